//! Reading the clock less often than once a sample, without being wrong for long.

use crate::time::Timestamp;
use std::time::Duration;

/// A clock that reuses its last reading while samples follow each other within microseconds.
///
/// Reading the system's clock takes 37 ns (measured), more than all the rest of a small sample's way
/// out. So a reading serves up to [`REUSE`] samples, but only while the readings themselves are less
/// than [`DENSE`] apart. When a burst ends, at most [`REUSE`] - 1 samples seem older than they are,
/// and never younger.
#[derive(Default)]
pub(crate) struct Coarse {
    now: Timestamp,
    /// How many more samples the reading serves.
    left: u32,
    /// How many the next one will serve.
    step: u32,
}

impl Coarse {
    /// The last reading.
    pub(crate) fn last(&self) -> Timestamp {
        self.now
    }

    /// How many more samples the last reading serves.
    pub(crate) fn left(&self) -> u32 {
        self.left
    }

    /// The last reading serves one more of those that are left.
    #[inline]
    pub(crate) fn again(&mut self) {
        self.left = self.left.saturating_sub(1);
    }

    #[inline]
    pub(crate) fn now(&mut self, fresh: bool, read: impl FnOnce() -> Timestamp) -> Timestamp {
        if self.left > 0 && !fresh {
            self.left -= 1;
            return self.now;
        }
        let now = read();
        self.step = if now - self.now < DENSE { (self.step * 2 + 1).min(REUSE - 1) } else { 0 };
        self.left = self.step;
        self.now = now;
        now
    }
}

/// How many samples one reading serves at most.
const REUSE: u32 = 32;

/// Readings further apart than this are made for every sample.
const DENSE: Duration = Duration::from_micros(20);

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn sparse_samples_are_all_stamped_by_a_reading_of_their_own() {
        let mut coarse = Coarse::default();
        for i in 1..100 {
            let now = Timestamp::from_micros(i * 100);
            assert_eq!(coarse.now(false, || now), now);
        }
    }

    #[test]
    fn a_burst_is_stamped_by_few_readings_and_its_end_is_noticed() {
        let (mut coarse, reads) = (Coarse::default(), Cell::new(0));
        let mut at = |micros: u64| {
            coarse.now(false, || {
                reads.set(reads.get() + 1);
                Timestamp::from_micros(micros)
            })
        };
        for _ in 0..800 {
            at(1_000_000);
        }
        assert!(reads.get() < 40, "{} readings", reads.get());
        let late = (1..=32).filter(|i| at(1_000_000 + i * 1_000_000).micros() != 1_000_000 + i * 1_000_000);
        assert!(late.count() < 32);
        assert_eq!(at(50_000_000).micros(), 50_000_000);
        assert_eq!(at(51_000_000).micros(), 51_000_000);
    }
}
