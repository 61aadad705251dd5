//! The endpoint's clock.

use crate::time::Timestamp;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Set by the system's clock once, monotonic from then on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
    epoch: Timestamp,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self { start: Instant::now(), epoch: Timestamp::ZERO + since }
    }

    #[inline]
    pub(crate) fn now(&self) -> Timestamp {
        self.epoch + self.start.elapsed()
    }
}
