//! What the system drops of a group, before it wakes the reader.

use super::Group;
use std::sync::atomic::{AtomicU64, Ordering};

/// Only the dispatcher changes it, as only the dispatcher changes what is wanted: so no sample is dropped of a
/// route that an announcement says is wanted.
pub(super) struct Narrowing {
    /// How many unwanted samples there may be before the system is to drop them; `u64::MAX`: it does already.
    next: AtomicU64,
}

impl Narrowing {
    pub(super) fn new() -> Self {
        Self { next: AtomicU64::new(UNWANTED) }
    }
}

impl Group {
    /// What is wanted changes: the system drops nothing for now.
    pub(super) fn widen(&self) {
        let unwanted = self.port.tallies.unwanted.get();
        if self.narrowing.next.swap(unwanted + UNWANTED, Ordering::Relaxed) == u64::MAX {
            self.port.socket.narrow(None);
        }
    }

    /// Has the system drop what nobody here wants, if there is much of it.
    pub(super) fn narrow(&self) {
        if self.port.tallies.unwanted.get() < self.narrowing.next.load(Ordering::Relaxed) {
            return;
        }
        let wanted: Vec<_> = self.control.lock().interests.values().map(|own| own.digest).collect();
        self.narrowing.next.store(u64::MAX, Ordering::Relaxed);
        if wanted.len() > MOST_WANTED || !self.port.socket.narrow(Some(&wanted)) {
            // It stays as it is until something else is wanted.
            self.narrowing.next.store(u64::MAX - 1, Ordering::Relaxed);
        }
    }
}

/// How many unwanted samples the reader drops by itself before the system is to do it.
const UNWANTED: u64 = 100;

/// Of more routes it is not asked to: it compares them one by one.
const MOST_WANTED: usize = 64;
