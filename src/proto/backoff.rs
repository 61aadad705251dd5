//! How long a dialler waits before it tries again.

use fastrand::Rng;
use std::time::Duration;

/// Doubles from `min` to `max`; each wait is moved by up to a quarter either way, so that peers that
/// lost each other at the same moment do not meet at the same moment again and again.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    min: Duration,
    max: Duration,
    /// No wait at all is longer.
    longest: Duration,
    level: u32,
}

impl Backoff {
    /// Starts at `min`. A `max` below `min` counts as `min`. No wait is longer than `longest` and a quarter, even after
    /// a refusal.
    pub(super) fn new(min: Duration, max: Duration, longest: Duration) -> Self {
        Self { min, max: max.max(min), longest, level: 0 }
    }

    /// The next wait: at most `max` and a quarter.
    pub(super) fn next(&mut self, rng: &mut Rng) -> Duration {
        let wait = self.min.saturating_mul(1u32 << self.level.min(LEVELS)).min(self.max);
        self.level = (self.level + 1).min(LEVELS);
        jitter(wait, rng)
    }

    /// The wait after a refusal that trying again soon cannot mend.
    pub(super) fn refused(&mut self, wait: Duration, rng: &mut Rng) -> Duration {
        self.level = LEVELS;
        jitter(wait.min(self.longest), rng)
    }

    /// A moment below `min`: the way is free again, yet both sides may have seen it. It is a fifth at least, as the other
    /// end of a cable may carry a little later, and what is lost until then (ARP) is sent again after a second.
    pub(super) fn soon(&self, rng: &mut Rng) -> Duration {
        let min = u64::try_from(self.min.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(rng.u64(min / 5..=min))
    }

    /// The peer answers: the next waits are at most eight times `min`.
    pub(super) fn ease(&mut self) {
        self.level = self.level.min(3);
    }

    /// All is well: the next wait is `min` again.
    pub(super) fn reset(&mut self) {
        self.level = 0;
    }
}

fn jitter(wait: Duration, rng: &mut Rng) -> Duration {
    let micros = u64::try_from(wait.as_micros()).unwrap_or(u64::MAX);
    let quarter = micros / 4;
    Duration::from_micros((micros - quarter).saturating_add(rng.u64(0..=quarter.saturating_mul(2))))
}

/// Doublings after which the wait surely is the longest; keeps the shift in range.
const LEVELS: u32 = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_grows_and_stays_bounded() {
        let (min, max) = (Duration::from_millis(100), Duration::from_secs(5));
        for seed in 0..200 {
            let mut rng = Rng::with_seed(seed);
            let mut backoff = Backoff::new(min, max, Duration::MAX);
            let mut expected = min;
            for _ in 0..100 {
                let wait = backoff.next(&mut rng);
                assert!(wait >= expected * 3 / 4 && wait <= expected * 5 / 4, "{wait:?} for {expected:?}");
                expected = (expected * 2).min(max);
            }
            backoff.reset();
            assert!(backoff.next(&mut rng) <= min * 5 / 4);
            let refused = backoff.refused(max * 6, &mut rng);
            assert!(refused >= max * 9 / 2 && refused <= max * 15 / 2);
            assert!(Backoff::new(min, max, min).refused(max, &mut rng) <= min * 5 / 4);
            assert!(backoff.next(&mut rng) >= max * 3 / 4, "after a refusal it goes on slowly");
            let soon = backoff.soon(&mut rng);
            assert!(soon >= min / 5 && soon <= min, "{soon:?}");
            backoff.ease();
            assert!(backoff.next(&mut rng) <= min * 10);
        }
    }

    #[test]
    fn extreme_settings_do_not_overflow() {
        let mut rng = Rng::with_seed(1);
        let mut backoff = Backoff::new(Duration::MAX, Duration::ZERO, Duration::MAX);
        for _ in 0..40 {
            assert!(backoff.next(&mut rng) > Duration::ZERO);
        }
        assert_eq!(
            Backoff::new(Duration::ZERO, Duration::ZERO, Duration::ZERO).next(&mut rng),
            Duration::ZERO
        );
    }
}
