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

    /// What was being written never will be to its end.
    pub(super) fn stop(&mut self) {
        *self = Self::default();
    }
}

impl Outbox {
    /// The link is gone. The next one has no part in how long things waited for this one, or for itself to come: it would be
    /// left for another one as soon as it carries the session.
    pub(super) fn forget_waits(&mut self) {
        self.gate.waits.stop();
        self.apart.queues.forget_waits();
    }

    /// The writer takes what it writes next.
    pub(super) fn begin_write(&mut self, now: Timestamp) {
        let waits = &mut self.gate.waits;
        waits.begin(now);
        let oldest = self.apart.queues.oldest().map_or(Duration::ZERO, |since| now - since);
        waits.longest = waits.longest.max(oldest);
        self.apart.queues.note(now);
    }

    /// How long it took the writer to write what it had taken, or takes so far, at longest since this was last
    /// asked: what lay behind it waited as long, and then for its own turn. Or how long a sample waited for that turn.
    pub(crate) fn queue_age(&mut self, now: Timestamp) -> Duration {
        let waits = &mut self.gate.waits;
        let longest = std::mem::take(&mut waits.longest);
        let waiting = waits.began.into_iter().chain(self.apart.queues.oldest()).min();
        waiting.map_or(longest, |since| longest.max(now - since))
    }
}
