//! The time as wrappers see it.

use crate::time;
#[cfg(test)]
use parking_lot::Mutex;
#[cfg(test)]
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The machine's monotonic clock, or in tests one that is set by hand.
#[derive(Clone, Debug)]
pub(crate) enum Time {
    Machine,
    #[cfg(test)]
    Hand(Arc<Mutex<Instant>>),
}

impl Time {
    #[inline]
    pub(crate) fn now(&self) -> Instant {
        match self {
            Time::Machine => time::instant(),
            #[cfg(test)]
            Time::Hand(now) => *now.lock(),
        }
    }
}

/// Longer than any program runs: what a longer span is taken for, so that adding one cannot overflow.
pub(crate) const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
