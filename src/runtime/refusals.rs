//! Connections that were turned away without a word, told to the application.

use super::events::EventSender;
use super::input::Input;
use crate::event::Event;
use crate::time::Timestamp;
use crossbeam_channel::Sender;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Those of one listener that were not told yet.
pub(crate) struct Refusals {
    url: String,
    count: AtomicU64,
}

impl Refusals {
    pub(super) fn new(url: String) -> Arc<Self> {
        Arc::new(Self { url, count: AtomicU64::new(0) })
    }

    /// Counts one; the first is told to the dispatcher, which asks for all when it is time.
    pub(super) fn count(self: &Arc<Self>, dispatcher: &Sender<Input>) {
        if self.count.fetch_add(1, Ordering::Relaxed) == 0 {
            let _ = dispatcher.send(Input::Refused(Arc::clone(self)));
        }
    }
}

/// The listeners that have something to tell.
pub(super) struct Refused {
    due: Timestamp,
    waiting: Vec<Arc<Refusals>>,
}

impl Refused {
    pub(super) fn new(now: Timestamp) -> Self {
        Self { due: now, waiting: Vec::new() }
    }

    pub(super) fn add(&mut self, refusals: Arc<Refusals>) {
        self.waiting.push(refusals);
    }

    pub(super) fn next_wake(&self) -> Option<Timestamp> {
        (!self.waiting.is_empty()).then_some(self.due)
    }

    /// Tells what there is, at most once in a while.
    pub(super) fn report(&mut self, now: Timestamp, events: &EventSender) {
        if self.waiting.is_empty() || now < self.due {
            return;
        }
        self.due = now + EVERY;
        for refusals in self.waiting.drain(..) {
            let count = refusals.count.swap(0, Ordering::Relaxed);
            events.send(Event::ConnectionsRefused { url: refusals.url.clone(), count });
        }
    }
}

/// How often each listener may tell.
const EVERY: Duration = Duration::from_secs(1);
