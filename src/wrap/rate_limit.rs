//! At most so many a second.

use super::gate::Gate;
use super::time::{LONGEST, Time};
use super::withheld::Withheld;
use std::time::{Duration, Instant};

/// The step of [`Want::rate_limit`](super::Want::rate_limit) and
/// [`Supply::rate_limit`](super::Supply::rate_limit).
///
/// A message passes when its turn has come. The next turn is one period after this turn, not after the
/// message, if the message is less than a period late: a source that is a little out of step is not slowed
/// to the next whole number of its own periods.
#[derive(Debug)]
pub struct RateLimit {
    period: Duration,
    /// When the next may pass; at first, any time.
    turn: Option<Instant>,
    admitted: Option<Instant>,
    time: Time,
    withheld: u64,
}

impl RateLimit {
    pub(crate) fn new(hertz: f64, time: Time) -> Self {
        // What is no rate, such as zero or NaN, has no period either: nothing passes after the first.
        let period = Duration::try_from_secs_f64(1.0 / hertz).unwrap_or(LONGEST).min(LONGEST);
        Self { period, turn: None, admitted: None, time, withheld: 0 }
    }
}

impl<T> Gate<T> for RateLimit {
    #[inline]
    fn admit(&mut self, _: &T, _: &dyn Fn() -> usize) -> bool {
        let now = self.time.now();
        let passes = self.turn.is_none_or(|turn| turn <= now);
        self.admitted = Some(now);
        self.withheld += u64::from(!passes);
        passes
    }

    #[inline]
    fn passed(&mut self, _: usize) {
        let Some(now) = self.admitted else { return };
        let turn = self.turn.filter(|turn| now.saturating_duration_since(*turn) < self.period);
        self.turn = turn.unwrap_or(now).checked_add(self.period);
    }

    fn count(&self, withheld: &mut Withheld) {
        withheld.over_rate += self.withheld;
    }
}
