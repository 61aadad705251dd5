//! When the next packet may go on a line of known speed.

use crate::time::Timestamp;
use std::time::Duration;

pub(super) struct Pace {
    /// Bytes a second; `None`: no pace is kept.
    rate: Option<u64>,
    /// What a packet costs on the line beside its content, in bytes.
    overhead: usize,
    /// How far ahead of the line packets may be given out.
    ahead: Duration,
    /// When the line will be through with all it was given.
    free_at: Timestamp,
    /// Nanoseconds that `free_at` is short of.
    rest: u64,
}

impl Pace {
    pub(super) fn new(rate: Option<u64>, overhead: usize, packet: usize) -> Self {
        let rate = rate.map(|rate| rate.max(1));
        let mut pace = Self { rate, overhead, ahead: AHEAD, free_at: Timestamp::ZERO, rest: 0 };
        pace.ahead = AHEAD.max(pace.time_of(packet));
        pace
    }

    /// How long a packet of so many bytes of content takes; zero on a line without a known rate.
    pub(super) fn time_of(&self, content: usize) -> Duration {
        Duration::from_nanos(self.nanos_of(content + self.overhead))
    }

    /// The same for bytes that come on top of a packet.
    pub(super) fn time_of_more(&self, bytes: usize) -> Duration {
        Duration::from_nanos(self.nanos_of(bytes))
    }

    /// From when on the next packet may go.
    pub(super) fn next(&self) -> Timestamp {
        match self.rate {
            None => Timestamp::ZERO,
            Some(_) => {
                let ahead = u64::try_from(self.ahead.as_micros()).unwrap_or(u64::MAX);
                Timestamp::from_micros(self.free_at.micros().saturating_sub(ahead))
            }
        }
    }

    /// How long the line is busy with what it was given.
    pub(super) fn backlog(&self, now: Timestamp) -> Duration {
        self.free_at - now
    }

    pub(super) fn sent(&mut self, now: Timestamp, content: usize) {
        if self.rate.is_some() {
            let nanos = self.nanos_of(content + self.overhead) + self.rest;
            self.free_at = self.free_at.max(now) + Duration::from_micros(nanos / 1000);
            self.rest = nanos % 1000;
        }
    }

    /// How many bytes the line carries within `span`, if its rate is known.
    pub(super) fn bytes_in(&self, span: Duration) -> Option<usize> {
        let rate = self.rate?;
        let bytes = u128::from(rate) * span.as_micros() / 1_000_000;
        Some(usize::try_from(bytes).unwrap_or(usize::MAX))
    }

    fn nanos_of(&self, bytes: usize) -> u64 {
        match self.rate {
            None => 0,
            Some(rate) => (bytes as u64).saturating_mul(1_000_000_000) / rate,
        }
    }
}

/// How far ahead at least: what a thread that waits may be late.
const AHEAD: Duration = Duration::from_millis(10);
