//! How large a piece of a sample should be on a line whose speed nobody told.

use crate::time::Timestamp;
use std::time::Duration;

/// Measures a line by what it takes of one large write after the other, and says how many bytes one should have.
///
/// An urgent sample waits for the write that is under way. So one should not take longer than [`SPAN`]; on a fast line
/// it should not be shorter either, or large samples would cost many system calls. The buffers of the system take
/// the first of a burst at once, which says nothing: only bursts that last for [`WINDOW`] count, in which the writes are
/// at most [`PAUSE`] apart. Writes of less than [`LEAST`] bytes say more of system calls than of the line, and are passed over.
///
/// ```text
///   write ├──┤      ├────────┤  ├─────┤        the line is no slower than all bytes in all the time,
///            └─ since ── at most a pause ──►   and no faster than all bytes in the time that writing took
/// ```
#[derive(Debug)]
pub(crate) struct Gauge {
    stride: usize,
    /// Since when what is written counts: the end of a first write.
    since: Option<Timestamp>,
    bytes: u64,
    /// What the writes took.
    writing: Duration,
    /// When the last write ended.
    last: Timestamp,
}

impl Gauge {
    pub(crate) fn new() -> Self {
        Self { stride: FIRST, since: None, bytes: 0, writing: Duration::ZERO, last: Timestamp::ZERO }
    }

    /// How many bytes a write should have.
    pub(crate) fn stride(&self) -> usize {
        self.stride
    }

    /// What was seen of the burst so far says nothing about what follows.
    pub(crate) fn begin_anew(&mut self) {
        self.since = None;
    }

    /// A write took from `began` to `now`.
    pub(crate) fn wrote(&mut self, bytes: usize, began: Timestamp, now: Timestamp) {
        if bytes < LEAST {
            return;
        }
        let goes_on = began - self.last <= PAUSE;
        self.last = now;
        let Some(since) = self.since.filter(|_| goes_on) else {
            self.begin(now);
            return;
        };
        self.bytes += bytes as u64;
        self.writing += now - began;
        let time = now - since;
        if time < WINDOW {
            return;
        }
        let fits = |time: Duration| {
            let span = u128::from(self.bytes) * SPAN.as_micros() / time.as_micros().max(1);
            usize::try_from(span).unwrap_or(LARGEST).clamp(LEAST, LARGEST)
        };
        // Down at once, up by steps: a burst that found all buffers empty seems faster than the line is.
        let (least, most) = (fits(time).min(2 * self.stride), fits(self.writing));
        self.stride = self.stride.clamp(least.min(most), most);
        self.begin(now);
    }

    fn begin(&mut self, now: Timestamp) {
        (self.since, self.bytes, self.writing) = (Some(now), 0, Duration::ZERO);
    }
}

/// How long a write may take.
const SPAN: Duration = Duration::from_millis(1);

/// For how long a line is measured.
const WINDOW: Duration = Duration::from_millis(20);

/// How long a line may stand idle within a burst.
const PAUSE: Duration = Duration::from_millis(1);

/// What a write has before the line was measured, and at least and at most. Below 16 KiB system calls begin to cost
/// more than what they save; 1 MiB is a millisecond of a line as fast as memory.
const FIRST: usize = 64 * 1024;
const LEAST: usize = 16 * 1024;
const LARGEST: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes for `span`, each of a stride, or of `size` bytes, with a pause behind each.
    struct Flow {
        gauge: Gauge,
        now: Timestamp,
    }

    impl Flow {
        fn new() -> Self {
            Self { gauge: Gauge::new(), now: Timestamp::from_micros(1_000_000) }
        }

        fn write(&mut self, bytes: usize, takes: Duration, pause: Duration) {
            let began = self.now;
            self.now = began + takes;
            self.gauge.wrote(bytes, began, self.now);
            self.now = self.now + pause;
        }

        /// A second of large samples without a pause.
        fn stream(&mut self, bytes_a_second: u64, pause: Duration) {
            let until = self.now + Duration::from_secs(1);
            while self.now < until {
                let bytes = self.gauge.stride();
                let takes = Duration::from_micros((bytes as u64 * 1_000_000 / bytes_a_second).max(1));
                self.write(bytes, takes, pause);
            }
        }
    }

    #[test]
    fn a_write_takes_a_millisecond_of_the_line_within_bounds() {
        let mut flow = Flow::new();
        for (rate, stride) in [(125_000_000, 125_000), (1_000_000, LEAST), (8_000_000_000, LARGEST)] {
            flow.stream(rate, Duration::ZERO);
            let found = flow.gauge.stride();
            assert!(found.abs_diff(stride) <= stride / 20, "{found} at {rate}");
        }
    }

    #[test]
    fn a_short_pause_behind_each_sample_ends_no_burst_and_makes_no_line_faster_or_slower() {
        let mut flow = Flow::new();
        flow.stream(2_000_000_000, Duration::from_micros(300));
        assert_eq!(flow.gauge.stride(), LARGEST);
        flow.stream(125_000_000, Duration::from_micros(300));
        let found = flow.gauge.stride();
        assert!((60_000..=130_000).contains(&found), "{found}");
        // It takes at once what seldom comes.
        for _ in 0..1000 {
            flow.write(LEAST, Duration::from_micros(10), Duration::from_micros(900));
        }
        assert_eq!(flow.gauge.stride(), found);
    }

    #[test]
    fn a_burst_into_empty_buffers_says_nothing() {
        let mut flow = Flow::new();
        for _ in 0..100 {
            flow.write(256 * 1024, Duration::from_micros(100), Duration::ZERO);
            flow.write(256 * 1024, Duration::from_micros(100), Duration::from_millis(30));
        }
        assert_eq!(flow.gauge.stride(), FIRST);
    }

    #[test]
    fn small_writes_say_nothing() {
        let mut flow = Flow::new();
        for _ in 0..10_000 {
            flow.write(64, Duration::from_micros(5), Duration::from_micros(5));
        }
        assert_eq!(flow.gauge.stride(), FIRST);
    }
}
