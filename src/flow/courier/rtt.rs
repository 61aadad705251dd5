//! How long an acknowledgement takes, and when to stop waiting for one (RFC 6298).

use crate::time::Timestamp;
use std::time::Duration;

pub(super) struct Rtt {
    /// In microseconds; `None` before the first measurement.
    smooth: Option<u64>,
    variation: u64,
    smallest: u64,
    floor: u64,
    timeout: u64,
    /// How often the wait was doubled since something was acknowledged.
    doubled: u32,
}

impl Rtt {
    /// `floor` is the least to wait, `first` what is waited before anything was measured, in microseconds.
    pub(super) fn new(floor: u64, first: u64) -> Self {
        Self { smooth: None, variation: 0, smallest: u64::MAX, floor, timeout: first, doubled: 0 }
    }

    /// An acknowledgement of what was sent once.
    pub(super) fn measured(&mut self, span: Duration) {
        let span = u64::try_from(span.as_micros()).unwrap_or(u64::MAX).min(LONGEST);
        self.smallest = self.smallest.min(span);
        let smooth = match self.smooth {
            None => {
                self.variation = span / 2;
                span
            }
            Some(smooth) => {
                self.variation = (3 * self.variation + smooth.abs_diff(span)) / 4;
                (7 * smooth + span) / 8
            }
        };
        self.smooth = Some(smooth);
        self.timeout = smooth + 4 * self.variation;
    }

    /// Something new was acknowledged.
    pub(super) fn progress(&mut self) {
        self.doubled = 0;
    }

    /// Nothing was acknowledged in time.
    pub(super) fn expired(&mut self) {
        self.doubled = (self.doubled + 1).min(16);
    }

    pub(super) fn deadline(&self, from: Timestamp) -> Timestamp {
        let wait = self.timeout.max(self.floor).min(LONGEST);
        from + Duration::from_micros((wait << self.doubled).min(LONGEST.max(self.floor)))
    }

    /// Whether an acknowledgement so soon can be for what was sent then, and not for an earlier copy.
    pub(super) fn is_plausible(&self, span: Duration) -> bool {
        self.smallest == u64::MAX || span.as_micros() >= u128::from(self.smallest)
    }
}

/// The longest wait, in microseconds.
const LONGEST: u64 = 2_000_000;
