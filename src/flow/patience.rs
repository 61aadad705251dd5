//! How long a lossless interest that takes nothing has been borne, in time in which the program ran.
//!
//! A program that is stopped, by SIGSTOP, a debugger or the host of its virtual machine, reads neither samples nor credits, and
//! looks at the time as soon as it goes on. Had it counted the time that passed, it would cut off its own interests, and peers whose
//! credits wait to be read. Nothing tells a thread that it was stopped but that it comes late. So whoever waits looks every
//! [`LOOKS`]th part of the limit, and a single look that comes much later than that counts for nothing:
//!
//! ```text
//!   look  look  look              look  look  look
//!    │─────│─────│░░░░░░░░░░░░░░░░░░│─────│─────│      ─ counts   ░ does not
//! ```
//! An application that seldom sends comes late each time. Of such looks all but the first count in full.

use crate::time::Timestamp;
use std::time::Duration;

/// What was counted since an intent was turned away first, and no sample was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Patience {
    borne: Duration,
    looked: Option<Timestamp>,
    /// The last look came late.
    late: bool,
}

impl Patience {
    /// The intent is turned away: when to look again at the latest; `None` if the interest is to be cut off.
    pub(crate) fn look(&mut self, now: Timestamp, limit: Duration) -> Option<Duration> {
        let since = self.looked.replace(now).map_or(Duration::ZERO, |looked| now - looked);
        let late = since > limit / LATE;
        if !late || self.late {
            self.borne = self.borne.saturating_add(since);
        }
        self.late = late;
        let left = limit.saturating_sub(self.borne);
        (!left.is_zero()).then(|| left.min(limit / LOOKS))
    }
}

/// How many looks whoever waits takes within the limit.
const LOOKS: u32 = 8;

/// What part of the limit there is between two looks when the program may not have run meanwhile: two turns of whoever waits, so that
/// one on a busy machine is not taken for it.
const LATE: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMIT: Duration = Duration::from_secs(8);

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_micros(1_000_000 + 1000 * millis)
    }

    /// Looks as whoever waits for room does, until it is told to cut off: how long it took from `begun` on.
    fn wait(patience: &mut Patience, begun: Timestamp) -> Duration {
        let mut now = begun;
        while let Some(pause) = patience.look(now, LIMIT) {
            assert!(!pause.is_zero() && pause <= LIMIT / LOOKS);
            now = now + pause;
        }
        now - begun
    }

    #[test]
    fn who_waits_is_told_at_the_limit() {
        assert_eq!(wait(&mut Patience::default(), at(0)), LIMIT);
    }

    #[test]
    fn time_in_which_the_program_was_stopped_does_not_count() {
        for before in 1..8 {
            let (mut patience, mut now) = (Patience::default(), at(0));
            for _ in 0..before {
                now = now + patience.look(now, LIMIT).expect("there is time");
            }
            // It was stopped just before it looked again.
            let borne = LIMIT / LOOKS * (before - 1);
            let thawed = now + Duration::from_secs(1000);
            assert_eq!(wait(&mut patience, thawed), LIMIT - borne, "{before} looks before");
        }
    }

    #[test]
    fn who_seldom_sends_looks_once_more() {
        // Those at which it bears with it, and the one at which it does not, in seconds.
        for (bears, cuts_off) in [(&[0, 20][..], 40), (&[0, 4, 8], 12), (&[0, 2, 4, 6], 8)] {
            let mut patience = Patience::default();
            let mut look = |seconds: u64| patience.look(at(1000 * seconds), LIMIT).is_some();
            assert!(bears.iter().all(|seconds| look(*seconds)), "{bears:?}");
            assert!(!look(cuts_off), "{bears:?}, then {cuts_off}");
        }
    }

    #[test]
    fn without_a_limit_nobody_is_cut_off() {
        let mut patience = Patience::default();
        for now in [at(0), at(1), Timestamp::from_micros(u64::MAX), Timestamp::from_micros(u64::MAX)] {
            assert!(patience.look(now, Duration::MAX).is_some());
        }
    }

    proptest! {
        /// Never earlier than the limit; and no later than that and the first of the looks that came late in a row.
        #[test]
        fn no_look_counts_twice(gaps in prop::collection::vec(0_u64..30_000, 1..60)) {
            let (mut patience, mut now, mut counted) = (Patience::default(), 0, 0);
            let mut late_before = false;
            prop_assert!(patience.look(at(now), LIMIT).is_some());
            for gap in gaps {
                now += gap;
                let late = gap > 2000;
                counted += if late && !late_before { 0 } else { gap };
                late_before = late;
                let goes_on = patience.look(at(now), LIMIT).is_some();
                prop_assert_eq!(goes_on, counted < 8000);
                if !goes_on {
                    break;
                }
            }
        }
    }
}
