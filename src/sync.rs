//! The primitives that threads share data by, in one place, so that a model can stand in for them.
//!
//! Compiled as ever, these are `parking_lot`'s and the standard library's, by their own
//! types: nothing is wrapped. Compiled for the unit tests with `--cfg shuttle` they are those of
//! [shuttle](https://docs.rs/shuttle), which runs the threads of a test one at a time, switches between them
//! at each use of a primitive as a random scheduler says, and says so if all of them wait:
//!
//! ```text
//! RUSTFLAGS="--cfg shuttle" cargo test --lib interleaved
//! ```
//!
//! The tests by it are called `interleaved` and lie beside what they test. A failing one prints the schedule that
//! `shuttle::replay` takes. What the model leaves out:
//!
//! - Time: the clock moves on by some microseconds with each look at it, by chance. A wait with a deadline lets
//!   others run and then ends as if that were over, which it may be at any time. So what must not be
//!   missed is tested by waits without one: there, a wake-up that is lost is a deadlock.
//! - Weak memory: all atomics behave as if sequentially consistent.
//! - Callbacks, whose lock the application's code runs under, and what is not named here: the dispatcher's
//!   channel, for one.

#[cfg(not(all(test, shuttle)))]
mod primitives {
    pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard};
    pub(crate) use std::sync::atomic;
    pub(crate) use std::thread::yield_now;
    pub(crate) use std::thread_local;
}

#[cfg(feature = "testing")]
pub(crate) mod world;

/// Whether this thread is that of a simulated world, where nobody waits for another.
pub(crate) fn is_simulated() -> bool {
    #[cfg(feature = "testing")]
    let simulated = world::is_entered();
    #[cfg(not(feature = "testing"))]
    let simulated = false;
    simulated
}

#[cfg(all(test, shuttle))]
mod model;

#[cfg(all(test, shuttle))]
pub(crate) use model::*;
#[cfg(not(all(test, shuttle)))]
pub(crate) use primitives::*;
