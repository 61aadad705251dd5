//! How long what is written to a line waits for it.

use super::Outbox;
use crate::time::Timestamp;
use std::time::Duration;

/// The writer's writes, by the time they take.
#[derive(Default)]
pub(super) struct Waits {
    /// When the writer took what it is writing.
    began: Option<Timestamp>,
    /// The longest since this was last asked.
    longest: Duration,
}

impl Waits {
    pub(super) fn begin(&mut self, now: Timestamp) {
        self.began = Some(now);
    }

    pub(super) fn end(&mut self, now: Timestamp) {
        let took = self.began.take().map_or(Duration::ZERO, |began| now - began);
        self.longest = self.longest.max(took);
    }
}

impl Outbox {
    /// How long it took the writer to write what it had taken, or takes so far, at longest since this was last
    /// asked. What lay behind it waited as long, and then for its own turn.
    pub(crate) fn queue_age(&mut self, now: Timestamp) -> Duration {
        let waits = &mut self.gate.waits;
        let longest = std::mem::take(&mut waits.longest);
        waits.began.map_or(longest, |began| longest.max(now - began))
    }
}
