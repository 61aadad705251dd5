//! A simulated world on this thread: its time is virtual, and what would wait lets it go on instead.

use crate::time::{Timestamp, origin};
use std::cell::{Cell, RefCell};
use std::rc::Weak;
use std::time::{Duration, Instant};

/// What a thread can let go on.
pub(crate) trait Steps {
    /// Does what is to be done next, at `until` at the latest. False if it is that late, or nothing ever happens
    /// any more, or it is going on already.
    fn step(&self, until: Option<Instant>) -> bool;

    /// Does all that is to be done now.
    fn settle(&self);
}

thread_local! {
    static WORLD: RefCell<Option<Weak<dyn Steps>>> = const { RefCell::new(None) };
    /// The time, while there is a world.
    static NOW: Cell<Option<Timestamp>> = const { Cell::new(None) };
}

/// From now on this thread has a world. False if it has one already.
pub(crate) fn enter(world: Weak<dyn Steps>, now: Timestamp) -> bool {
    if NOW.get().is_some() {
        return false;
    }
    NOW.set(Some(now));
    WORLD.set(Some(world));
    true
}

/// The world is over.
pub(crate) fn leave() {
    NOW.set(None);
    WORLD.set(None);
}

/// Whether this thread has a world.
pub(crate) fn is_entered() -> bool {
    NOW.get().is_some()
}

pub(crate) fn set_now(now: Timestamp) {
    NOW.set(Some(now));
}

/// The world's time as the system gives it, or the system's.
pub(crate) fn instant() -> Instant {
    NOW.get().map_or_else(Instant::now, at)
}

/// A point in the time of a world.
pub(crate) fn at(time: Timestamp) -> Instant {
    origin().0 + (time - BEGINNING)
}

/// The same back.
pub(crate) fn time_of(instant: Instant) -> Timestamp {
    BEGINNING + instant.saturating_duration_since(origin().0)
}

/// Lets the world go on; `None` where there is none, and false if the time is over.
pub(crate) fn step(until: Option<Instant>) -> Option<bool> {
    NOW.get()?;
    // A test that fails is not to do more than end.
    let world = WORLD.with_borrow(|world| world.as_ref().and_then(Weak::upgrade));
    Some(!std::thread::panicking() && world.is_some_and(|world| world.step(until)))
}

/// Lets all happen that is to happen now; false where there is no world.
pub(crate) fn settle() -> bool {
    let world = WORLD.with_borrow(|world| world.as_ref().and_then(Weak::upgrade));
    if let Some(world) = world.filter(|_| !std::thread::panicking()) {
        world.settle();
    }
    is_entered()
}

/// When every world begins: the first of January 2030, so that a trace shows it.
pub(crate) const BEGINNING: Timestamp = Timestamp::from_micros(1_893_456_000_000_000);

/// Longer than any world lasts, so that no point in its time is out of reach.
pub(crate) const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
