//! Waking application threads that wait for a change.

use crate::sync::{Condvar, Mutex};
use std::time::Instant;

#[cfg(feature = "testing")]
use crate::sync::{MutexGuard, world};

/// A counter to wait on. Read it, look at what it guards, then wait for it to move on: no change in
/// between is missed.
#[derive(Default)]
pub(crate) struct Signal {
    changes: Mutex<u64>,
    changed: Condvar,
}

impl Signal {
    pub(crate) fn seen(&self) -> u64 {
        *self.changes.lock()
    }

    pub(crate) fn raise(&self) {
        *self.changes.lock() += 1;
        self.changed.notify_all();
    }

    /// Waits for a change since `seen`; false if there was none by the deadline.
    pub(crate) fn wait(&self, seen: u64, deadline: Option<Instant>) -> bool {
        let mut changes = self.changes.lock();
        while *changes == seen {
            #[cfg(feature = "testing")]
            match MutexGuard::unlocked(&mut changes, || world::step(deadline)) {
                Some(true) => continue,
                Some(false) => return *changes != seen,
                None => {}
            }
            match deadline {
                Some(deadline) => {
                    if self.changed.wait_until(&mut changes, deadline).timed_out() {
                        return *changes != seen;
                    }
                }
                None => self.changed.wait(&mut changes),
            }
        }
        true
    }
}
