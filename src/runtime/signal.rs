//! Waking application threads that wait for a change.

use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Condvar, Mutex, yield_now};
use std::hint::spin_loop;
use std::time::{Duration, Instant};

#[cfg(feature = "testing")]
use crate::sync::world;

/// A counter to wait on. Read it, look at what it guards, then wait for it to move on: no change in
/// between is missed.
#[derive(Default)]
pub(crate) struct Signal {
    /// Changed under the lock, so that nobody goes to sleep between two looks at it.
    changes: AtomicU64,
    lock: Mutex<()>,
    changed: Condvar,
}

impl Signal {
    pub(crate) fn seen(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    pub(crate) fn raise(&self) {
        let lock = self.lock.lock();
        self.changes.fetch_add(1, Ordering::Release);
        drop(lock);
        self.changed.notify_all();
    }

    /// Waits for a change since `seen`; false if there was none by the deadline.
    pub(crate) fn wait(&self, seen: u64, deadline: Option<Instant>) -> bool {
        #[cfg(feature = "testing")]
        while world::is_entered() && self.seen() == seen {
            if world::step(deadline) == Some(false) {
                return self.seen() != seen;
            }
        }
        if look_around(deadline, || self.seen() != seen) {
            return true;
        }
        let mut lock = self.lock.lock();
        while self.seen() == seen {
            match deadline {
                Some(deadline) => {
                    if self.changed.wait_until(&mut lock, deadline).timed_out() {
                        return self.seen() != seen;
                    }
                }
                None => self.changed.wait(&mut lock),
            }
        }
        true
    }
}

/// Looks a few times whether it is `done`, for some microseconds at most, before its caller sleeps.
///
/// Falling asleep and being woken cost more than most samples are apart under load. At first it looks in ever
/// longer pauses, for another processor to be done; then it lets others run on this one.
pub(crate) fn look_around(deadline: Option<Instant>, done: impl Fn() -> bool) -> bool {
    for step in 0..SPINS {
        if done() {
            return true;
        }
        for _ in 0..1 << step {
            spin_loop();
        }
    }
    for _ in 0..YIELDS {
        // On a busy core one look can take milliseconds: a wait that is to be short takes none.
        let is_late = deadline.is_some_and(|deadline| deadline <= Instant::now() + SHORT_WAIT);
        if done() {
            return true;
        }
        if is_late {
            break;
        }
        yield_now();
    }
    false
}

/// How often a thread looks without letting others run: one look, then pauses of 1 to 32 turns.
const SPINS: u32 = 6;

/// How often it looks while it lets others run.
const YIELDS: usize = 16;

/// A wait that ends within this time is slept, so that it ends on time.
const SHORT_WAIT: Duration = Duration::from_millis(2);
