//! The endpoint's clock.

use crate::time::{Timestamp, origin};
use std::time::Instant;

/// The process's clock, looked up once so that reading it costs no look-up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
    epoch: Timestamp,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let (start, epoch) = origin();
        Self { start, epoch }
    }

    #[inline]
    pub(crate) fn now(&self) -> Timestamp {
        self.epoch + self.start.elapsed()
    }
}
