//! The endpoint's clock.

use crate::time::{Timestamp, origin};
use std::time::Instant;

/// The process's clock, looked up once so that reading it costs no look-up.
#[derive(Clone, Copy, Debug)]
// Where threads run in every order, another clock is looked at.
#[cfg_attr(all(test, shuttle), allow(dead_code))]
pub(crate) struct Clock {
    start: Instant,
    epoch: Timestamp,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let (start, epoch) = origin();
        Self { start, epoch }
    }

    #[cfg(all(test, shuttle))]
    pub(crate) fn now(&self) -> Timestamp {
        crate::sync::now()
    }

    #[cfg(not(all(test, shuttle)))]
    #[inline]
    pub(crate) fn now(&self) -> Timestamp {
        self.epoch + self.start.elapsed()
    }
}
