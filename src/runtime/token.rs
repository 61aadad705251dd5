//! A token that wakes one thread.

use super::signal::look_around;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Condvar, Mutex};
use std::time::Duration;

/// A place for one token: whoever has work for a thread leaves one, and that thread waits for it.
///
/// One that lies there already is enough: whoever takes it looks at what was there before it was taken, and so at what
/// was left to be done when it was found to lie.
#[derive(Default)]
pub(super) struct Token {
    /// Laid down under the lock, so that nobody goes to sleep between two looks at it.
    lies: AtomicBool,
    lock: Mutex<()>,
    left: Condvar,
}

impl Token {
    /// Leaves a token, unless one lies there.
    pub(super) fn leave(&self) {
        if self.lies.load(Ordering::Acquire) {
            return;
        }
        let lock = self.lock.lock();
        self.lies.store(true, Ordering::Release);
        drop(lock);
        self.left.notify_one();
    }

    /// Takes the token, if one lies there.
    pub(super) fn take(&self) -> bool {
        self.lies.load(Ordering::Relaxed) && self.lies.swap(false, Ordering::AcqRel)
    }

    /// Waits for a token and takes it. It looks around first; true if it slept.
    pub(super) fn wait(&self) -> bool {
        if look_around(None, || self.take()) {
            return false;
        }
        let mut lock = self.lock.lock();
        while !self.take() {
            self.left.wait(&mut lock);
        }
        true
    }

    /// Sleeps until there is a token and takes it; false if there was none for that long.
    pub(super) fn wait_for(&self, time: Duration) -> bool {
        let mut lock = self.lock.lock();
        // A wake-up for nothing only ends the wait early.
        if !self.take() {
            self.left.wait_for(&mut lock, time);
            return self.take();
        }
        true
    }
}
