//! Pings under way, and what their round trips say of a link.

use crate::time::Timestamp;
use std::collections::VecDeque;
use std::time::Duration;

/// The pings of one link that were not answered yet: at most [`Pings::MOST`], the oldest are given up.
#[derive(Debug, Default)]
pub(super) struct Pings {
    under_way: VecDeque<Timestamp>,
    last: Timestamp,
}

impl Pings {
    const MOST: usize = 8;

    /// A point in time at or just after `now` that no ping of this link carried before, so that every
    /// PONG names one PING.
    pub(super) fn stamp(&mut self, now: Timestamp) -> Timestamp {
        let after = Timestamp::from_micros(self.last.micros().saturating_add(1));
        self.last = now.max(after);
        self.last
    }

    /// Notes a ping that measures the round trip.
    pub(super) fn sent(&mut self, stamp: Timestamp) {
        if self.under_way.len() == Self::MOST {
            self.under_way.pop_front();
        }
        self.under_way.push_back(stamp);
    }

    /// Whether a ping with this stamp was under way; it is not any more.
    pub(super) fn answered(&mut self, stamp: Timestamp) -> bool {
        let found = self.under_way.iter().position(|sent| *sent == stamp);
        found.map(|index| self.under_way.remove(index)).is_some()
    }
}

/// What the round trips of one link were like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RoundTripView {
    /// The moving average of RFC 6298: an eighth of each new one.
    pub(crate) smoothed: Duration,
    /// The mean deviation of RFC 6298: a quarter of each new one.
    pub(crate) jitter: Duration,
    /// The shortest since the link is up.
    pub(crate) min: Duration,
    /// The median of the last 128.
    pub(crate) p50: Duration,
    /// The 99th percentile of the last 128.
    pub(crate) p99: Duration,
}

/// Collects round trips. 1 KiB at most.
#[derive(Debug, Default)]
pub(super) struct RoundTrips {
    smoothed: u64,
    jitter: u64,
    min: u64,
    window: VecDeque<u64>,
}

impl RoundTrips {
    const WINDOW: usize = 128;

    /// Adds one.
    pub(super) fn add(&mut self, round_trip: Duration) {
        let micros = u64::try_from(round_trip.as_micros()).unwrap_or(u64::MAX).min(LONGEST);
        if self.window.is_empty() {
            self.smoothed = micros;
            self.jitter = micros / 2;
            self.min = micros;
        } else {
            self.jitter = (3 * self.jitter + self.smoothed.abs_diff(micros)) / 4;
            self.smoothed = (7 * self.smoothed + micros) / 8;
            self.min = self.min.min(micros);
        }
        if self.window.len() == Self::WINDOW {
            self.window.pop_front();
        }
        self.window.push_back(micros);
    }

    /// The figures, `None` before the first.
    pub(super) fn view(&self) -> Option<RoundTripView> {
        let mut sorted: Vec<u64> = self.window.iter().copied().collect();
        sorted.sort_unstable();
        let rank = |percent: usize| {
            let index = (sorted.len() * percent).div_ceil(100).max(1) - 1;
            sorted.get(index).copied().map(Duration::from_micros)
        };
        Some(RoundTripView {
            p50: rank(50)?,
            p99: rank(99)?,
            smoothed: Duration::from_micros(self.smoothed),
            jitter: Duration::from_micros(self.jitter),
            min: Duration::from_micros(self.min),
        })
    }
}

/// An hour: longer ones say no more, and the sums above cannot overflow.
const LONGEST: u64 = 3_600_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pong_answers_one_ping() {
        let mut pings = Pings::default();
        let now = Timestamp::from_micros(100);
        let (a, b) = (pings.stamp(now), pings.stamp(now));
        assert!(a == now && b > a);
        pings.sent(a);
        assert!(pings.answered(a));
        assert!(!pings.answered(a) && !pings.answered(b));
        for n in 0..1000 {
            let stamp = pings.stamp(Timestamp::from_micros(n));
            pings.sent(stamp);
        }
        assert_eq!(pings.under_way.len(), Pings::MOST);
    }

    #[test]
    fn round_trips_are_smoothed_and_ranked() {
        let mut trips = RoundTrips::default();
        assert_eq!(trips.view(), None);
        trips.add(Duration::from_micros(800));
        let view = trips.view().unwrap();
        assert_eq!((view.smoothed.as_micros(), view.jitter.as_micros()), (800, 400));
        trips.add(Duration::from_micros(1600));
        let view = trips.view().unwrap();
        assert_eq!((view.smoothed.as_micros(), view.jitter.as_micros()), (900, 500));
        for n in 1..=100 {
            trips.add(Duration::from_micros(n * 10));
        }
        for _ in 0..28 {
            trips.add(Duration::from_micros(1));
        }
        let view = trips.view().unwrap();
        assert_eq!(view.min.as_micros(), 1);
        assert_eq!(view.p50.as_micros(), 360);
        assert_eq!(view.p99.as_micros(), 990);
        trips.add(Duration::MAX);
        trips.add(Duration::MAX);
        assert_eq!(trips.window.len(), RoundTrips::WINDOW);
    }
}
