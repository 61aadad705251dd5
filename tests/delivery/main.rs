//! What delivery promises: over TCP, over memory, and in one process.

#[path = "../support/mod.rs"]
mod support;

mod callback;
mod churn;
mod fan;
mod latest;
mod losses;
mod lossless;
mod payload;
mod queue;
mod retained;
mod shared;
mod slices;
mod stalled;
mod waits;
mod withdrawn;
