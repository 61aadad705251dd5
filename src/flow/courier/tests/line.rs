//! A line that loses, doubles, delays and reorders packets, from a seed.

use crate::time::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// What happens to packets; parts of 1000.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weather {
    pub(super) loss: u64,
    pub(super) doubled: u64,
    pub(super) delay: u64,
    /// More delay, at random up to this, in microseconds; packets overtake each other on a line
    /// without order.
    pub(super) jitter: u64,
    pub(super) fifo: bool,
}

pub(super) struct Line {
    weather: Weather,
    rate: Option<u64>,
    overhead: usize,
    random: fastrand::Rng,
    under_way: BTreeMap<(Timestamp, u64), Vec<u8>>,
    count: u64,
    last: Timestamp,
    free_at: Timestamp,
    pub(super) lost: u64,
}

impl Line {
    pub(super) fn new(weather: Weather, rate: Option<u64>, overhead: usize, seed: u64) -> Self {
        Self {
            weather,
            rate,
            overhead,
            random: fastrand::Rng::with_seed(seed),
            under_way: BTreeMap::new(),
            count: 0,
            last: Timestamp::ZERO,
            free_at: Timestamp::ZERO,
            lost: 0,
        }
    }

    /// From now on nothing is lost.
    pub(super) fn heal(&mut self) {
        self.weather.loss = 0;
    }

    /// From now on nothing is late either.
    pub(super) fn hasten(&mut self) {
        (self.weather.delay, self.weather.jitter) = (0, 0);
    }

    /// From now on everything is lost.
    pub(super) fn cut(&mut self) {
        self.weather.loss = 1000;
    }

    pub(super) fn send(&mut self, now: Timestamp, packet: &[u8]) {
        let mut at = now;
        if let Some(rate) = self.rate {
            let bytes = (packet.len() + self.overhead) as u64;
            self.free_at = self.free_at.max(now) + Duration::from_micros(bytes * 1_000_000 / rate);
            // Two packets of 300 bytes, or 10 ms and a packet, and the rounding.
            let most = (600 * 1_000_000 / rate).max(10_000 + 300 * 1_000_000 / rate) + 10;
            assert!(self.free_at - now <= Duration::from_micros(most), "given out faster than the line is");
            at = self.free_at;
        }
        if self.random.u64(0..1000) < self.weather.loss {
            self.lost += 1;
            return;
        }
        let copies = if self.random.u64(0..1000) < self.weather.doubled { 2 } else { 1 };
        for _ in 0..copies {
            let jitter = self.random.u64(0..=self.weather.jitter);
            let mut arrives = at + Duration::from_micros(self.weather.delay + jitter);
            if self.weather.fifo {
                arrives = arrives.max(self.last);
                self.last = arrives;
            }
            self.count += 1;
            self.under_way.insert((arrives, self.count), packet.to_vec());
        }
    }

    pub(super) fn arrive(&mut self, now: Timestamp) -> Option<Vec<u8>> {
        let first = self.under_way.first_entry()?;
        if first.key().0 <= now { Some(first.remove()) } else { None }
    }

    pub(super) fn next(&self) -> Option<Timestamp> {
        self.under_way.keys().next().map(|(at, _)| *at)
    }
}
