//! The endpoint's clock.

use crate::time::{Timestamp, origin};
#[cfg(feature = "testing")]
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// The process's clock, looked up once so that reading it costs no look-up.
#[derive(Clone, Copy, Debug)]
// Where threads run in every order, another clock is looked at.
#[cfg_attr(all(test, shuttle), allow(dead_code))]
pub(crate) struct Clock {
    start: Instant,
    epoch: Timestamp,
    /// What a simulated endpoint goes by.
    #[cfg(feature = "testing")]
    hand: Option<&'static AtomicU64>,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let (start, epoch) = origin();
        Self {
            start,
            epoch,
            #[cfg(feature = "testing")]
            hand: None,
        }
    }

    #[cfg(all(test, shuttle))]
    pub(crate) fn now(&self) -> Timestamp {
        crate::sync::now()
    }

    #[cfg(not(all(test, shuttle)))]
    #[inline]
    pub(crate) fn now(&self) -> Timestamp {
        #[cfg(feature = "testing")]
        if let Some(hand) = self.hand {
            return Timestamp::from_micros(hand.load(Ordering::Relaxed));
        }
        self.epoch + self.start.elapsed()
    }
}

/// The hand of a simulated clock, set by whoever has it.
#[cfg(feature = "testing")]
pub(crate) struct Hand(&'static AtomicU64);

/// Those that nobody has. As many stay as there ever were at once, at 8 bytes each.
#[cfg(feature = "testing")]
static HANDS: parking_lot::Mutex<Vec<&'static AtomicU64>> = parking_lot::Mutex::new(Vec::new());

#[cfg(feature = "testing")]
impl Hand {
    pub(crate) fn new(now: Timestamp) -> Self {
        let free = HANDS.lock().pop();
        let hand = Self(free.unwrap_or_else(|| Box::leak(Box::default())));
        hand.set(now);
        hand
    }

    pub(crate) fn set(&self, now: Timestamp) {
        self.0.store(now.micros(), Ordering::Relaxed);
    }

    pub(crate) fn clock(&self) -> Clock {
        Clock { hand: Some(self.0), ..Clock::start() }
    }

    /// Whether it is this clock's.
    pub(crate) fn is_of(&self, clock: &Clock) -> bool {
        clock.hand.is_some_and(|hand| std::ptr::eq(hand, self.0))
    }
}

#[cfg(feature = "testing")]
impl Drop for Hand {
    fn drop(&mut self) {
        HANDS.lock().push(self.0);
    }
}
