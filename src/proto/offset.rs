//! By how much a peer's clock differs from ours, with a bound on the error.
//!
//! NTP's four timestamps: we send at `t0`, the peer receives at `t1` and answers at `t2` by its clock,
//! we receive at `t3`. Where the ways there and back take equally long, the peer's clock is ahead by
//! `((t1 - t0) + (t2 - t3)) / 2`; however unequal they are, that is wrong by at most half the round
//! trip `(t3 - t0) - (t2 - t1)`. So the shortest of the recent round trips says most. Clocks drift
//! apart by up to 50 millionths, which is added with age.

use crate::time::Timestamp;
use std::collections::VecDeque;
use std::time::Duration;

/// The best estimate at some point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Estimate {
    /// The peer's clock minus ours, in microseconds.
    pub(super) offset_micros: i64,
    /// How wrong that can be.
    pub(super) error: Duration,
}

/// The recent measurements of one link.
#[derive(Debug, Default)]
pub(super) struct ClockOffset {
    measured: VecDeque<Measured>,
}

#[derive(Clone, Copy, Debug)]
struct Measured {
    offset: i64,
    error: u64,
    at: Timestamp,
}

impl ClockOffset {
    const WINDOW: usize = 16;

    /// Takes a measurement and returns its round trip; `None` where the four points contradict each
    /// other: a peer that says it held the ping for longer than it was away.
    pub(super) fn measure(&mut self, [t0, t1, t2, t3]: [Timestamp; 4]) -> Option<Duration> {
        let [t0, t1, t2, t3] = [t0, t1, t2, t3].map(|t| i128::from(t.micros()));
        let round_trip = u64::try_from((t3 - t0) - (t2 - t1)).ok()?;
        if t2 < t1 || t3 < t0 {
            return None;
        }
        let offset = ((t1 - t0) + (t2 - t3)) / 2;
        let offset = i64::try_from(offset).unwrap_or(if offset < 0 { i64::MIN } else { i64::MAX });
        if self.measured.len() == Self::WINDOW {
            self.measured.pop_front();
        }
        let at = Timestamp::from_micros(u64::try_from(t3).unwrap_or(u64::MAX));
        self.measured.push_back(Measured { offset, error: round_trip.div_ceil(2) + RESOLUTION, at });
        Some(Duration::from_micros(round_trip))
    }

    /// The measurement with the smallest error by now.
    pub(super) fn best(&self, now: Timestamp) -> Option<Estimate> {
        let aged = |measured: &Measured| measured.error.saturating_add(drift(now - measured.at));
        let best = self.measured.iter().min_by_key(|measured| aged(measured))?;
        Some(Estimate { offset_micros: best.offset, error: Duration::from_micros(aged(best)) })
    }
}

fn drift(age: Duration) -> u64 {
    u64::try_from(age.as_micros() / DRIFT).unwrap_or(u64::MAX)
}

/// Timestamps are whole microseconds, at both ends.
const RESOLUTION: u64 = 2;
/// 50 millionths: one part in 20,000.
const DRIFT: u128 = 20_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn points(points: [u64; 4]) -> [Timestamp; 4] {
        points.map(Timestamp::from_micros)
    }

    #[test]
    fn the_error_bound_holds_for_any_delays() {
        let mut rng = fastrand::Rng::with_seed(7);
        for _ in 0..10_000 {
            let truth = rng.i64(-1_000_000_000..1_000_000_000);
            let mut clock = ClockOffset::default();
            let mut now = 2_000_000_000u64;
            for _ in 0..rng.usize(1..5) {
                let sent = now;
                now += rng.u64(0..50_000);
                let received = now.saturating_add_signed(truth);
                now += rng.u64(0..5_000);
                let answered = now.saturating_add_signed(truth);
                now += rng.u64(0..50_000);
                assert!(clock.measure(points([sent, received, answered, now])).is_some());
            }
            let best = clock.best(Timestamp::from_micros(now)).unwrap();
            let wrong = best.offset_micros.abs_diff(truth);
            assert!(u128::from(wrong) <= best.error.as_micros(), "{best:?}, in truth {truth}");
        }
    }

    #[test]
    fn the_best_of_the_recent_wins_and_its_error_grows_with_age() {
        let mut clock = ClockOffset::default();
        assert_eq!(clock.best(Timestamp::ZERO), None);
        clock.measure(points([0, 1_000_010, 1_000_010, 20]));
        clock.measure(points([100, 1_005_100, 1_005_100, 10_100]));
        let best = clock.best(Timestamp::from_micros(10_100)).unwrap();
        assert_eq!((best.offset_micros, best.error.as_micros()), (1_000_000, 12));
        let later = clock.best(Timestamp::from_micros(20_000_020)).unwrap();
        assert_eq!(later.error.as_micros(), 1012);
    }

    #[test]
    fn a_peer_that_lies_about_time_breaks_nothing() {
        let mut clock = ClockOffset::default();
        assert_eq!(clock.measure(points([100, 10, 400, 200])), None);
        assert_eq!(clock.measure(points([100, 20, 10, 200])), None);
        assert!(clock.measure(points([0, u64::MAX, u64::MAX, 1])).is_some());
        assert!(clock.measure(points([u64::MAX, 0, 0, u64::MAX])).is_some());
        assert!(clock.best(Timestamp::from_micros(u64::MAX)).is_some());
    }
}
