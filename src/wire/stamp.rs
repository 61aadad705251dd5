//! Send times in two bytes a message.
//!
//! A [`Stamp`] is the span since the message before it in the same direction, in microseconds, as a
//! number with 4 bits of exponent and 12 of mantissa, cut off rather than rounded: exact below
//! 8.192 ms, within 1/4096 above, up to 134 s. The sender keeps the time its receiver arrives at and
//! measures the next span from there, so what was cut off is made up for and errors never add up. At first,
//! where a span is too long, and where a message is older than the one before it, a TIME frame sets the
//! receiver's time anew.
//!
//! ```text
//!              +--- reset(TIME) ---+
//!              v                   |
//!   [unset] --TIME--> [time t] --stamp s--> [time t + span(s)]
//! ```

use super::message::Stamp;
use crate::time::Timestamp;

/// The longest span a stamp can say, in microseconds.
const MAX_SPAN: u64 = 8191 << 14;

/// How much earlier than the one before a message may be and still pass for sent at the same time, in
/// microseconds. One that waited for longer while others went ahead of it gets a TIME, or its age
/// would seem shorter than it is.
const MAX_STEP_BACK: u64 = 1000;

impl Stamp {
    /// The span it says, in microseconds.
    #[inline]
    pub(crate) const fn span(self) -> u64 {
        let bits = self.0 as u64;
        if bits < 0x2000 { bits } else { ((bits & 0x0FFF) | 0x1000) << ((bits >> 12) - 1) }
    }

    /// The largest stamp that says no more than `micros`, which is at most [`MAX_SPAN`].
    #[inline]
    const fn of_span(micros: u64) -> Self {
        if micros < 0x2000 {
            return Self(micros as u16);
        }
        // The leading one lands on bit 12 and, added, counts the exponent up by one.
        let shift = 51 - micros.leading_zeros();
        Self(((shift as u16) << 12) + (micros >> shift) as u16)
    }
}

/// What a message is stamped with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StampOut {
    pub(crate) stamp: Stamp,
    /// Whether a TIME frame with the message's time goes out ahead of it.
    pub(crate) time_first: bool,
}

/// Stamps the messages of one direction of a link, in the order they are written.
#[derive(Clone, Debug, Default)]
pub(crate) struct StampWriter {
    /// What the receiver's reader says, once it says anything.
    theirs: Option<u64>,
}

impl StampWriter {
    /// The time that the receiver is at; `None` where it knows none.
    pub(crate) fn time(&self) -> Option<u64> {
        self.theirs
    }

    /// The stamp of a message sent at `now`. A time a little earlier than that of the message before, as
    /// clocks read in batches give, counts as the same.
    #[inline]
    pub(crate) fn stamp(&mut self, now: Timestamp) -> StampOut {
        if let Some(theirs) = self.theirs {
            let span = now.micros().saturating_sub(theirs);
            if span <= MAX_SPAN && theirs <= now.micros().saturating_add(MAX_STEP_BACK) {
                let stamp = Stamp::of_span(span);
                self.theirs = Some(theirs + stamp.span());
                return StampOut { stamp, time_first: false };
            }
        }
        self.theirs = Some(now.micros());
        StampOut { stamp: Stamp(0), time_first: true }
    }
}

/// Reads the stamps of one direction of a link back.
#[derive(Clone, Debug, Default)]
pub(crate) struct StampReader {
    /// That of the last message, or the last TIME; zero before both.
    time: Timestamp,
}

impl StampReader {
    /// A TIME frame came.
    pub(crate) fn reset(&mut self, time: Timestamp) {
        self.time = time;
    }

    /// A message came: its send time, by the sender's clock.
    #[inline]
    pub(crate) fn apply(&mut self, stamp: Stamp) -> Timestamp {
        self.time = Timestamp::from_micros(self.time.micros().saturating_add(stamp.span()));
        self.time
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Both ends of one direction.
    #[derive(Default)]
    struct Line {
        writer: StampWriter,
        reader: StampReader,
        times: usize,
    }

    impl Line {
        fn pass(&mut self, now: u64) -> u64 {
            let out = self.writer.stamp(Timestamp::from_micros(now));
            if out.time_first {
                self.reader.reset(Timestamp::from_micros(now));
                self.times += 1;
            }
            let read = self.reader.apply(out.stamp);
            assert_eq!(self.writer.theirs, Some(read.micros()), "both ends agree");
            read.micros()
        }
    }

    #[test]
    fn stamps_rise_with_the_spans_they_say() {
        let spans: Vec<u64> = (0..=u16::MAX).map(|bits| Stamp(bits).span()).collect();
        assert!(spans.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(spans.last(), Some(&MAX_SPAN));
        for (bits, &span) in spans.iter().enumerate() {
            assert_eq!(usize::from(Stamp::of_span(span).0), bits);
            if let Some(&next) = spans.get(bits + 1) {
                assert_eq!(usize::from(Stamp::of_span(next - 1).0), bits, "cut off, never rounded up");
                assert!((next - 1 - span) * 4096 < next, "within 1/4096");
            }
        }
    }

    #[test]
    fn time_frames_come_first_and_after_long_silence_only() {
        let mut line = Line::default();
        let start = 1_700_000_000_000_000;
        assert_eq!(line.pass(start), start);
        assert_eq!(line.times, 1);
        assert_eq!(line.pass(start + MAX_SPAN), start + MAX_SPAN);
        assert_eq!(line.times, 1);
        let later = start + 2 * MAX_SPAN + 1;
        assert_eq!(line.pass(later), later);
        assert_eq!(line.times, 2);
    }

    #[test]
    fn a_steady_rate_does_not_drift() {
        let mut line = Line::default();
        for n in 0..100_000u64 {
            let now = n * 10_001;
            assert!(now - line.pass(now) <= 2);
        }
        assert_eq!(line.times, 1);
    }

    #[test]
    fn a_reader_without_time_does_not_overflow() {
        let mut reader = StampReader::default();
        assert_eq!(reader.apply(Stamp(3)), Timestamp::from_micros(3));
        reader.reset(Timestamp::from_micros(u64::MAX));
        assert_eq!(reader.apply(Stamp(u16::MAX)), Timestamp::from_micros(u64::MAX));
    }

    proptest! {
        #[test]
        fn read_times_are_never_late_and_errors_never_add_up(
            start in 0..u64::MAX / 2,
            gaps in prop::collection::vec(prop_oneof![0..100u64, 0..20_000u64, 0..3_000_000u64, 0..200_000_000u64], 1..200),
        ) {
            let mut line = Line::default();
            let (mut now, mut error) = (start, 0);
            for gap in gaps {
                now += gap;
                let read = line.pass(now);
                prop_assert!(read <= now, "never later than it was");
                // What was cut off one span is part of the next: at most 16 ms, of which 1/4096 remains.
                let bound = (gap + error) / 4096;
                let slack = if error < 4096 { 1 } else { 4 };
                error = now - read;
                prop_assert!(error <= bound, "{error} µs wrong after {gap} µs");
                prop_assert!(error <= gap / 4096 + slack);
            }
        }

        #[test]
        fn a_clock_that_goes_back_a_little_stands_still(steps in prop::collection::vec(-500i64..1000, 1..200)) {
            let mut line = Line::default();
            let (mut now, mut latest, mut before) = (1_000_000_000_000u64, 0, 0);
            for step in steps {
                now = now.saturating_add_signed(step).max(latest - latest.min(MAX_STEP_BACK));
                latest = latest.max(now);
                let read = line.pass(now);
                prop_assert!(read >= before && read <= latest);
                if now <= before {
                    prop_assert_eq!(read, before);
                }
                before = read;
            }
            prop_assert_eq!(line.times, 1);
        }

        #[test]
        fn a_message_that_waited_keeps_its_age(steps in prop::collection::vec(-3_000_000i64..3_000_000, 1..200)) {
            let mut line = Line::default();
            let mut now = 1_000_000_000_000u64;
            for step in steps {
                now = now.saturating_add_signed(step);
                let read = line.pass(now);
                prop_assert!(read <= now + MAX_STEP_BACK && now <= read + step.unsigned_abs() / 4096 + 4);
            }
        }
    }
}
