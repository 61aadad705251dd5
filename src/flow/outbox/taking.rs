//! What waits is taken to be written, by the writer or by a sender.

use super::Outbox;
use crate::flow::batch::Batch;
use crate::time::Timestamp;

impl Outbox {
    /// Takes control frames that nothing waits ahead of, to be written inline by the caller.
    pub(crate) fn take_urgent_inline(&mut self, into: &mut Batch) -> bool {
        let alone = self.batch.is_empty()
            && self.rest.is_empty()
            && self.tables == 0
            && self.apart.is_empty()
            && !self.gate.shut;
        let some = !self.urgent.is_empty() || self.kept.as_ref().is_some_and(|kept| kept.has_answer());
        let free = alone && !self.gate.writing && !self.gate.woken && some;
        if free {
            std::mem::swap(&mut self.urgent, into.bytes());
            into.counted = std::mem::take(&mut self.counted);
            self.gate.writing = true;
            let now = self.now.last();
            if let Some(kept) = &mut self.kept {
                let bytes = if into.counted > 0 { into.size() } else { 0 };
                kept.put_answer(into.bytes());
                kept.taken(into, bytes, false, now);
            }
        }
        free
    }

    /// Moves the batch into an emptied one, to be written inline by the caller. It is small, and copied:
    /// swapped, the large buffers of a busy time would end up with the intents, one each.
    pub(crate) fn take_inline(&mut self, into: &mut Batch) {
        self.batch.move_to(into);
        self.apart.turn_page();
        self.gate.writing = true;
        self.note_kept(into, 0, self.apart.endings == 0);
    }

    /// Whether so much waits that whoever put in the last of it, of `size` bytes, should write it, as nobody else does: there is
    /// no room for another as large, or hardly any. More than twice the capacity, a large payload, is left to the writer:
    /// sending it would take long.
    #[inline]
    pub(crate) fn is_due(&self, size: usize) -> bool {
        let len = self.batch.len();
        let full = len >= self.due || len + size > self.capacity;
        let alone =
            !self.gate.writing && self.rest.is_empty() && self.urgent.is_empty() && self.apart.is_empty();
        full && alone && len > 0 && len <= 2 * self.capacity && !self.closed && !self.gate.shut
    }

    /// Swaps the batch for an emptied one, to be written by the caller.
    pub(crate) fn take_due(&mut self, into: &mut Batch) {
        self.gate.writing = true;
        let ends = self.apart.endings == 0;
        self.take_batch(into);
        self.note_kept(into, 0, ends);
    }

    /// A batch is taken, with `ahead` bytes of control frames to be kept before it. `ends`: the ENDs of all lanes that
    /// ended are in it, or went before.
    fn note_kept(&mut self, batch: &mut Batch, ahead: usize, ends: bool) {
        let now = self.now.last();
        if let Some(kept) = &mut self.kept {
            let bytes = ahead + batch.size();
            kept.taken(batch, bytes, ends, now);
        }
    }

    fn take_batch(&mut self, into: &mut Batch) {
        self.hasten();
        std::mem::swap(&mut self.batch, into);
        self.gate.flood.took(into.len(), into.messages(), self.capacity, self.now.last());
        self.apart.turn_page();
        if !self.apart.is_empty() {
            self.fill(into);
        }
        if into.messages() > 0 {
            self.gate.loaded = into.messages() > 1;
        }
        if self.parked > 0 || self.held > 0 {
            self.unpark(self.capacity);
        }
    }

    /// A write by a sender ended: what it took is in `batch`, with how much of it was written. Empties it.
    pub(crate) fn end_inline(&mut self, batch: &mut Batch, now: Timestamp) {
        self.gate.writing = false;
        self.gate.last = now;
        self.note_inline(batch.size() - batch.len(), now);
        if self.kept.is_some() && self.end_kept(batch) {
            return;
        }
        if batch.len() >= self.due {
            std::mem::swap(batch, &mut self.rest);
        } else if !batch.is_empty() {
            batch.move_to(&mut self.rest);
        }
        batch.clear();
    }

    /// For the writer: takes what is to be written next, or goes idle and returns false.
    ///
    /// `urgent` is written before `batch`. Where the caller `wrote`, both must hold all of what it was given: they are
    /// kept or emptied. Else they must come in empty. `now` is asked once, where there is something to
    /// write or the caller `wrote` something since the last call.
    pub(crate) fn take(
        &mut self,
        urgent: &mut Vec<u8>,
        batch: &mut Batch,
        now: impl Fn() -> Timestamp,
        wrote: bool,
    ) -> bool {
        if wrote {
            let now = now();
            self.note_written(now);
            self.gate.writing = false;
            self.gate.taken = false;
            self.gate.last = now;
            self.gate.waits.end(now);
            self.take_back(urgent, batch);
        }
        self.gate.woken = false;
        if self.gate.writing || !self.has_work() {
            return false;
        }
        (self.gate.writing, self.gate.taken) = (true, true);
        let now = if wrote { self.gate.last } else { now() };
        self.begin_write(now);
        if !self.rest.is_empty() {
            // It may end in the middle of a frame, so nothing may go before the rest of it.
            std::mem::swap(&mut self.rest, batch);
            return true;
        }
        if self.gate.shut {
            self.take_shut(urgent, batch);
        } else {
            std::mem::swap(&mut self.urgent, urgent);
            self.tables = 0;
            let (counted, ends) = (std::mem::take(&mut self.counted), self.apart.endings == 0);
            self.take_batch(batch);
            batch.counted += counted;
            self.note_kept(batch, if counted > 0 { urgent.len() } else { 0 }, ends);
            if let Some(kept) = &mut self.kept {
                kept.put_answer(urgent);
            }
        }
        self.note_taken(urgent.len() + batch.len(), now);
        true
    }
}
