//! An intent's way into a group.

use super::port::Port;
use crate::event::PeerName;
use crate::flow::outbox::Outgoing;
use crate::outcome::Fate;
use crate::proto::IntentId;
use crate::runtime::outlets::Retained;
use crate::time::Timestamp;
use crate::wire::group::{Digest, SampleHead};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// One intent in one group: each of its samples is one datagram, sent once for all.
pub(crate) struct GroupOutlet {
    port: Arc<Port>,
    digest: Digest,
    sender: u32,
    intent: IntentId,
    interested: AtomicUsize,
    numbers: Mutex<Numbers>,
}

struct Numbers {
    /// Of the next sample.
    next: u32,
    /// What tells the last sample from others of its intent, or 0.
    last: u64,
}

impl GroupOutlet {
    pub(crate) fn new(port: Arc<Port>, digest: Digest, sender: u32, intent: IntentId) -> Self {
        let numbers = Mutex::new(Numbers { next: 0, last: 0 });
        Self { port, digest, sender, intent, interested: AtomicUsize::new(0), numbers }
    }

    /// Sends a sample without waiting. `number` tells it from others of its intent.
    pub(crate) fn put(&self, sample: Outgoing<'_>, number: u64) -> Fate {
        if sample.payload.len() > self.port.largest {
            return Fate::TooLarge;
        }
        let sequence = {
            let mut numbers = self.numbers.lock();
            numbers.last = number;
            let sequence = numbers.next;
            numbers.next = sequence.wrapping_add(1);
            sequence
        };
        self.send(sequence, self.port.clock.now(), sample.payload)
    }

    /// Sends the retained sample for one that came late. Under its old number, if it has one: whoever had
    /// it then drops it now. A newer one went to the late one too.
    pub(crate) fn repeat(&self, retained: &Retained) {
        if retained.payload.len() > self.port.largest {
            return;
        }
        let sequence = {
            let mut numbers = self.numbers.lock();
            if numbers.last > retained.number {
                return;
            }
            if numbers.last != retained.number {
                numbers.last = retained.number;
                numbers.next = numbers.next.wrapping_add(1);
            }
            numbers.next.wrapping_sub(1)
        };
        self.send(sequence, retained.sent, &retained.payload);
    }

    fn send(&self, sequence: u32, sent: Timestamp, payload: &[u8]) -> Fate {
        let (digest, sender, intent) = (self.digest, self.sender, self.intent.0);
        let head = SampleHead { digest, sender, intent, sequence, sent };
        if self.port.send(&head.encode(), payload) { Fate::Written } else { Fate::Dropped }
    }

    /// How many interests of others there are.
    pub(crate) fn interested(&self) -> usize {
        self.interested.load(Ordering::Relaxed)
    }

    pub(crate) fn set_interested(&self, count: usize) {
        self.interested.store(count, Ordering::Relaxed);
    }

    pub(crate) fn peer(&self) -> Arc<PeerName> {
        Arc::clone(&self.port.name)
    }
}
