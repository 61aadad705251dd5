//! Threads and the clock.
