//! Samples that wait for an application to read them.
//!
//! The policy is the interest's [`Delivery`]: `latest` keeps one and replaces it, `queue(n)` drops the
//! oldest, `lossless(n)` is never offered more than was granted.
//!
//! Memory: a mailbox holds at most `n` samples. Small ones of one source that follow each other share a
//! buffer. No buffer is more than four times as large as what came in it, and beside the bytes a sample
//! costs at most some 250 (a run, a buffer and a head of its own). So `n` samples of `b` bytes cost at
//! most `n * (4 * b + 250)` bytes, plus one buffer that was read in part, of at most 256 KiB,
//! and room kept for 4096 samples of this process.

use super::Shared;
use super::run::{Content, Run, Taken};
use crate::bytes::{Bytes, Payload};
use crate::delivery::Delivery;
use crate::time::Timestamp;
use std::collections::VecDeque;

/// The samples of one interest that were not read yet.
pub(crate) struct Mailbox<S> {
    delivery: Delivery,
    runs: VecDeque<Run<S>>,
    /// A run that was read to its end, for samples of this process.
    spent: Option<Run<S>>,
    len: usize,
    slot: Slot<S>,
    received: u64,
}

impl<S: Clone + PartialEq> Mailbox<S> {
    pub(crate) fn new(delivery: Delivery) -> Self {
        Self { delivery, runs: VecDeque::new(), spent: None, len: 0, slot: Slot::default(), received: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0 && !self.slot.is_full()
    }

    /// How many samples came in so far.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// Puts a run in; `dropped` is told the source of each sample that had to go for it.
    pub(crate) fn put(&mut self, run: Run<S>, mut dropped: impl FnMut(&S, u64)) {
        let added = run.len();
        self.received += added as u64;
        if self.delivery == Delivery::Latest {
            self.put_latest(run, dropped);
            return;
        }
        self.len += added;
        let rest = match self.runs.back_mut() {
            Some(last) => last.join(run),
            None => Some(run),
        };
        self.runs.extend(rest);
        if self.delivery.is_lossless() {
            return;
        }
        while self.len > self.delivery.depth() as usize {
            let Some(first) = self.runs.front_mut() else { return };
            if let Some(oldest) = first.next() {
                dropped(oldest.source, 1);
                self.len -= 1;
            }
            if first.len() == 0 {
                self.runs.pop_front();
            }
        }
    }

    /// Puts one sample of this process in; among many it allocates nothing.
    #[inline]
    pub(crate) fn put_local(
        &mut self,
        source: &S,
        sequence: u64,
        sent: Timestamp,
        message: Shared,
        dropped: impl FnMut(&S, u64),
    ) {
        let message = match self.runs.back_mut() {
            Some(last) if self.delivery.is_lossless() => {
                match last.push_local(source, sequence, sent, message) {
                    None => {
                        self.len += 1;
                        self.received += 1;
                        return;
                    }
                    Some(message) => message,
                }
            }
            _ => message,
        };
        let message = match self.spent.take() {
            Some(mut run) => match run.restart(source, sequence, sent, message) {
                None => return self.put(run, dropped),
                Some(message) => message,
            },
            None => message,
        };
        self.put(Run::local(source.clone(), sequence, sent, message), dropped);
    }

    fn put_latest(&mut self, mut run: Run<S>, mut dropped: impl FnMut(&S, u64)) {
        while let Some(taken) = run.next() {
            if let Some(source) = self.slot.source.as_ref().filter(|_| self.slot.is_full()) {
                dropped(source, 1);
            }
            self.slot.fill(&taken);
            if let Content::Local(message) = taken.content {
                self.slot.held = Held::Local(message);
            }
        }
    }

    /// Puts one small encoded sample of a `latest` interest in without allocating. It has replaced
    /// `skipped` others on its way.
    pub(crate) fn replace(&mut self, taken: &Taken<'_, S>, skipped: u64, mut dropped: impl FnMut(&S, u64)) {
        self.received += 1 + skipped;
        if skipped > 0 {
            dropped(taken.source, skipped);
        }
        if let Some(source) = self.slot.source.as_ref().filter(|_| self.slot.is_full()) {
            dropped(source, 1);
        }
        self.slot.fill(taken);
    }

    /// Moves what may be read now to `into`: everything of a lossless interest, the oldest sample of a
    /// queue. There must be nothing in `into` but a run that was read to its end, at most.
    pub(crate) fn take(&mut self, into: &mut VecDeque<Run<S>>) {
        let spent = into.pop_front();
        if self.delivery.is_lossless() {
            if let Some(spent) = spent.filter(Run::is_reusable) {
                self.spent = Some(spent);
            }
            std::mem::swap(&mut self.runs, into);
            self.len = 0;
            return;
        }
        let Some(first) = self.runs.front_mut() else { return };
        if let Some(oldest) = first.split_first() {
            self.len -= 1;
            into.push_back(oldest);
        }
        if first.len() == 0 {
            self.runs.pop_front();
        }
    }

    /// Swaps the newest sample of a `latest` interest for an emptied slot; false where there is none.
    pub(crate) fn take_latest(&mut self, into: &mut Slot<S>) -> bool {
        if !self.slot.is_full() {
            return false;
        }
        std::mem::swap(&mut self.slot, into);
        self.slot.held = Held::Nothing;
        true
    }

    /// Forgets all that was not read.
    pub(crate) fn clear(&mut self) {
        self.runs.clear();
        self.spent = None;
        self.len = 0;
        self.slot.held = Held::Nothing;
    }
}

/// Room for one sample that is used again and again, so that keeping the latest allocates nothing.
pub(crate) struct Slot<S> {
    source: Option<S>,
    sequence: u64,
    sent: Timestamp,
    copied: Vec<u8>,
    held: Held,
}

enum Held {
    Nothing,
    Copied,
    Whole(Bytes),
    Local(Shared),
}

impl<S> Default for Slot<S> {
    fn default() -> Self {
        Self { source: None, sequence: 0, sent: Timestamp::ZERO, copied: Vec::new(), held: Held::Nothing }
    }
}

impl<S: Clone + PartialEq> Slot<S> {
    pub(crate) fn is_full(&self) -> bool {
        !matches!(self.held, Held::Nothing)
    }

    fn fill(&mut self, taken: &Taken<'_, S>) {
        if self.source.as_ref() != Some(taken.source) {
            self.source = Some(taken.source.clone());
        }
        self.sequence = taken.sequence;
        self.sent = taken.sent;
        let Content::Encoded(payload) = &taken.content else { return };
        if payload.as_slice().len() > COPIED {
            self.held = Held::Whole(payload.to_bytes());
        } else {
            self.copied.clear();
            self.copied.extend_from_slice(payload.as_slice());
            self.held = Held::Copied;
        }
    }

    /// The sample; it stays.
    pub(crate) fn view(&self) -> Option<Taken<'_, S>> {
        let content = match &self.held {
            Held::Nothing => return None,
            Held::Copied => Content::Encoded(Payload::new(&self.copied)),
            Held::Whole(bytes) => Content::Encoded(Payload::of(bytes)),
            Held::Local(message) => Content::Local(message.clone()),
        };
        Some(Taken { source: self.source.as_ref()?, sequence: self.sequence, sent: self.sent, content })
    }

    /// The sample as a run, without the slot giving it up.
    pub(crate) fn as_run(&self) -> Option<Run<S>> {
        let source = self.source.clone()?;
        Some(match &self.held {
            Held::Nothing => return None,
            Held::Copied => {
                Run::whole(source, self.sequence, self.sent, Bytes::copy_from_slice(&self.copied))
            }
            Held::Whole(bytes) => Run::whole(source, self.sequence, self.sent, bytes.clone()),
            Held::Local(message) => Run::local(source, self.sequence, self.sent, message.clone()),
        })
    }

    /// Fills the slot from a sample taken elsewhere.
    pub(crate) fn keep(&mut self, taken: Taken<'_, S>) {
        self.fill(&taken);
        if let Content::Local(message) = taken.content {
            self.held = Held::Local(message);
        }
    }
}

/// Up to how many bytes the latest sample is copied rather than shared.
const COPIED: usize = 16 * 1024;

#[cfg(test)]
mod tests;
