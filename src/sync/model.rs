//! What stands in for the primitives in the model.

use crate::time::Timestamp;
use shuttle::rand::{Rng, thread_rng};
use shuttle::sync as model;
use std::cell::Cell;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

pub(crate) use shuttle::sync::atomic;
pub(crate) use shuttle::thread::yield_now;
pub(crate) use shuttle::thread_local;

/// As `parking_lot`'s: without poisoning.
#[derive(Default)]
pub(crate) struct Mutex<T>(model::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(model::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        MutexGuard { mutex: self, held: Some(held) }
    }

    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    /// `None` only inside of a wait.
    held: Option<model::MutexGuard<'a, T>>,
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.held.as_ref().unwrap()
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.held.as_mut().unwrap()
    }
}

#[derive(Default)]
pub(crate) struct Condvar(model::Condvar);

impl Condvar {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let held = guard.held.take().unwrap();
        guard.held = Some(self.0.wait(held).unwrap_or_else(PoisonError::into_inner));
    }

    /// Ends as if the deadline had passed, once others could run.
    pub(crate) fn wait_until<T>(&self, guard: &mut MutexGuard<'_, T>, _: Instant) -> TimedOut {
        guard.held = None;
        yield_now();
        guard.held = guard.mutex.lock().held.take();
        TimedOut
    }

    pub(crate) fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, _: Duration) -> TimedOut {
        self.wait_until(guard, Instant::now())
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}

pub(crate) struct TimedOut;

impl TimedOut {
    pub(crate) fn timed_out(&self) -> bool {
        true
    }
}

std::thread_local! {
    /// The model runs on one thread, each run with a clock of its own.
    static NOW: Cell<Timestamp> = const { Cell::new(Timestamp::ZERO) };
}

/// The model's clock. Most looks at it are close together; a pause makes a line quiet.
pub(crate) fn now() -> Timestamp {
    let step = if thread_rng().gen_bool(0.3) { 10 } else { 1 };
    NOW.set(NOW.get() + Duration::from_micros(step));
    NOW.get()
}

/// Runs a test by both schedulers, so often each. One switches threads by chance; the other keeps to one thread
/// but for a few switches, which finds what needs exactly those.
pub(crate) fn interleave(rounds: usize, test: impl Fn() + Send + Sync + 'static) {
    let test = Arc::new(test);
    for pct in [false, true] {
        let test = Arc::clone(&test);
        let run = move || {
            NOW.set(Timestamp::from_micros(1_000_000));
            test();
        };
        if pct { shuttle::check_pct(run, rounds, 3) } else { shuttle::check_random(run, rounds) }
    }
}
