//! What was taken to be written and is not yet known to have come.
//!
//! Where a session outlives its links, what is lost with one is sent again on the next. So each frame that was
//! taken is kept, in the order of writing, until the other side says that it came there:
//!
//! ```text
//!  batch ──take──► with whoever writes ──back──► kept ──MARKED──► gone
//!    ▲                                            │
//!    │                             the link ends  ▼
//!    └───────────────────────── (again) ◄──── resume
//! ```
//! A MARK ends what is taken every [`MARK_LEAST`] bytes or more, up to [`MARK_MOST`] of them, or half of what may be kept, on a line
//! so fast that marks would be less than [`MARK_PAUSE`] apart; with a PING, and always ahead of a PING that stands in line: its
//! answer frees aliases, and nothing of their former use may be kept then. Batches that are well filled are kept as
//! they are, and whoever writes gets other memory; all else is copied to the end of the last one. While more is kept
//! than the limit, only control frames are taken, and of these no more than could wait before.
//!
//! Frames that mean something on their own link alone, such as PONG, are not kept.

use super::Outbox;
use super::again::without;
use super::barred::is_only;
use super::control::{ANSWERS, TABLES};
use crate::delivery::Delivery;
use crate::flow::batch::{Batch, Part, frames_of};
use crate::flow::lane::Lane;
use crate::links::Links;
use crate::reason::{Reason, ReasonCode};
use crate::time::Timestamp;
use crate::wire::control::Control;
use crate::wire::{decode, encode, kind};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// The memory of one session's outgoing side.
#[derive(Default)]
pub(super) struct Kept {
    entries: VecDeque<Batch>,
    /// What they cost in memory, in bytes.
    cost: usize,
    /// From this cost on no samples are taken.
    limit: usize,
    /// Emptied batches, and their bytes.
    spare: Vec<Batch>,
    spare_bytes: usize,
    /// The number of the first counted control frame that is kept, and of the next one to be taken.
    pub(super) first: u64,
    pub(super) given: u64,
    /// The last mark that was taken, and the last that was answered.
    mark: u64,
    marked: u64,
    /// Bytes taken since the last mark, and when that was.
    unmarked: usize,
    marked_at: Timestamp,
    /// A PING was queued since.
    pinged: bool,
    /// PINGs that stand in line, behind the next mark.
    pings: Vec<u8>,
    /// The mark of the other side that is to be answered.
    answer: Option<u64>,
    /// What is sent again, in pieces of a write each.
    pub(super) again: VecDeque<Batch>,
    /// What is to be sent again of barred lanes, once they are not.
    pub(super) held: VecDeque<Batch>,
    /// Whoever writes has one of these.
    pub(super) has_again: bool,
    /// The link is gone.
    pub(super) suspended: bool,
    /// It goes on as soon as a sender is back that writes inline: with how many frames that came, and how fast.
    pub(super) resuming: Option<(u64, Option<u64>)>,
    /// Nothing is kept any more, as nothing will be sent again.
    stopped: bool,
    /// How lanes ended, by alias, until that is opened anew.
    pub(super) ended: BTreeMap<u32, Ended>,
    /// Lanes without credit, that may lose samples or have copies, which another link was not told of.
    pub(super) untold: Vec<u32>,
    /// The last link, or the one that is about to carry on, may lose samples while it lasts.
    pub(super) inexact: bool,
    /// Lanes of which the other side may have counted too few, as known when the last link began, and when it ended.
    pub(super) unsure: BTreeSet<u32>,
    pub(super) unsure_now: BTreeSet<u32>,
    /// How many of the last samples of each alias were never written to their end when the link ended.
    pub(super) cut: BTreeMap<u32, u64>,
}

/// What is known of a lane that ended.
#[derive(Clone)]
pub(super) struct Ended {
    /// The number that a next sample would have.
    pub(super) sequence: u64,
    pub(super) taken: u64,
    pub(super) delivery: Delivery,
    /// Over which links it may go, if not over all.
    pub(super) links: Option<Links>,
}

impl Ended {
    /// A lane up to a number.
    pub(super) fn of(lane: &Lane, sequence: u64) -> Self {
        let links = is_only(&lane.links).then(|| lane.links.clone());
        Self { sequence, taken: lane.taken, delivery: lane.delivery, links }
    }
}

impl Kept {
    fn new(largest: usize) -> Self {
        Self { limit: KEEP.max(2 * largest.min(MOST_LARGEST)), ..Self::default() }
    }

    /// Whether so much is kept that no samples are taken.
    pub(super) fn is_full(&self) -> bool {
        self.cost > self.limit
    }

    /// Whether not even control frames are taken, own tables among them or not.
    pub(super) fn is_blocked(&self, tables: bool) -> bool {
        self.cost > self.limit + if tables { TABLES } else { ANSWERS_KEPT }
    }

    /// Whether nobody but the writer takes anything, or nobody at all.
    pub(super) fn is_shut(&self) -> bool {
        self.suspended || self.is_full() || !self.again.is_empty()
    }

    /// A PING goes ahead of samples.
    pub(super) fn note_ping(&mut self) {
        self.pinged = true;
    }

    /// A PING is to go behind all that was sent.
    pub(super) fn ping_in_line(&mut self, ping: &Control) {
        encode(&mut self.pings, ping);
    }

    pub(super) fn has_pings(&self) -> bool {
        !self.pings.is_empty()
    }

    /// The other side wants to know that it came here. The last mark answers for those before it.
    pub(super) fn answer(&mut self, mark: u64) {
        self.answer = Some(mark);
    }

    pub(super) fn has_answer(&self) -> bool {
        self.answer.is_some()
    }

    pub(super) fn put_answer(&mut self, into: &mut Vec<u8>) {
        if let Some(number) = self.answer.take() {
            encode(into, &Control::Marked { number });
        }
    }

    /// A batch is taken to be written at `now`, `bytes` of which, and of what goes ahead of it, are to be kept. `pings`:
    /// PINGs that stand in line may go behind it.
    pub(super) fn taken(&mut self, batch: &mut Batch, bytes: usize, pings: bool, now: Timestamp) {
        self.given += batch.counted;
        if self.stopped {
            return;
        }
        self.unmarked += bytes;
        let pings = pings && !self.pings.is_empty();
        let pinged = std::mem::take(&mut self.pinged) && self.unmarked > 0;
        // The mark must not wait for what the answer to it makes room for.
        let fills = bytes > 0 && self.cost + batch.cost() + bytes + ENTRY_COST > self.limit;
        let due = if now - self.marked_at >= MARK_PAUSE { MARK_LEAST } else { MARK_MOST.min(self.limit / 2) };
        if pings || pinged || fills || self.unmarked >= due {
            self.mark += 1;
            (self.unmarked, self.marked_at) = (0, now);
            encode(batch.bytes(), &Control::Mark { number: self.mark });
            batch.mark = Some(self.mark);
        }
        if pings {
            batch.bytes().append(&mut self.pings);
        }
    }

    /// What was taken is written, or the link ended meanwhile: all of it is kept.
    pub(super) fn keep(&mut self, urgent: &[u8], batch: &mut Batch) {
        if self.stopped {
            return;
        }
        let mark = batch.mark;
        if mark.is_some_and(|mark| mark <= self.marked) {
            // Its answer was faster.
            self.first += batch.counted;
            self.forget(self.entries.len());
            return;
        }
        batch.rewind();
        self.add_control(urgent);
        let (len, room) = batch.filled();
        if batch.messages() == 0 {
            // Control frames alone, small or rare.
            batch.frames().for_each(|part| self.add_part(part));
            if batch.counted > 0 {
                self.change_last(0, |last| last.counted += batch.counted);
            }
        } else if len >= WHOLE && len >= room / 4 {
            let whole = std::mem::replace(batch, self.take_spare());
            self.cost += whole.cost() + ENTRY_COST;
            self.entries.push_back(whole);
        } else {
            self.change_last(len, |last| last.append(batch));
        }
        if mark.is_some() {
            self.change_last(0, |last| last.mark = mark);
        }
    }

    /// What was never taken is kept too, behind all that was, right before [`take_all`](Self::take_all).
    pub(super) fn keep_behind(&mut self, urgent: &[u8], batch: &mut Batch) {
        for again in std::mem::take(&mut self.again) {
            self.cost += again.cost() + ENTRY_COST;
            self.entries.push_back(again);
        }
        self.keep(urgent, batch);
    }

    fn take_spare(&mut self) -> Batch {
        let spare = self.spare.pop().unwrap_or_default();
        self.spare_bytes = self.spare_bytes.saturating_sub(spare.filled().1);
        spare
    }

    fn add_control(&mut self, frames: &[u8]) {
        frames_of(frames).for_each(|part| self.add_part(part));
    }

    fn add_part(&mut self, part: Part<'_>) {
        if let Part::Control { kind, frame, .. } = part {
            if is_kept(kind) {
                self.change_last(frame.len(), |last| last.bytes().extend_from_slice(frame));
            }
        }
    }

    /// Changes the last entry, which takes `more` bytes; that is another one if it is full or ends with a mark.
    fn change_last(&mut self, more: usize, change: impl FnOnce(&mut Batch)) {
        let fits = |last: &Batch| {
            let (len, room) = last.filled();
            last.mark.is_none() && (more == 0 || len + more <= room.max(APPENDED))
        };
        if !self.entries.back().is_some_and(fits) {
            let spare = self.take_spare();
            self.cost += spare.cost() + ENTRY_COST;
            self.entries.push_back(spare);
        }
        if let Some(last) = self.entries.back_mut() {
            let before = last.cost();
            change(last);
            self.cost = self.cost + last.cost() - before;
        }
    }

    /// The other side came to a mark.
    fn marked(&mut self, number: u64) -> Result<(), Reason> {
        if number == 0 || number > self.mark || number < self.marked {
            let text = format!("an acknowledgement of mark {number}, which was never sent or passed before");
            return Err(Reason::new(ReasonCode::Malformed, text));
        }
        self.marked = number;
        let ends = |batch: &Batch| batch.mark.is_some_and(|mark| mark <= number);
        let count = self.entries.iter().rposition(ends).map_or(0, |place| place + 1);
        self.forget(count);
        Ok(())
    }

    /// Drops the first few entries.
    fn forget(&mut self, count: usize) {
        for _ in 0..count {
            let Some(batch) = self.entries.pop_front() else { break };
            self.first += batch.counted;
            self.cost -= batch.cost() + ENTRY_COST;
            self.recycle(batch);
        }
    }

    pub(super) fn recycle(&mut self, mut batch: Batch) {
        batch.clear();
        let (_, room) = batch.filled();
        if room > 0 && self.spare_bytes + room <= SPARE {
            self.spare_bytes += room;
            self.spare.push(batch);
        }
    }

    /// All that may have to be sent again, in order; none of it is kept any longer. The first so many frames are of lanes that
    /// were barred, and never sent on the link that ended.
    pub(super) fn take_all(&mut self) -> (Vec<Batch>, usize) {
        self.cost = 0;
        self.unmarked = 0;
        self.marked = self.mark;
        let held = self.held.iter().map(|batch| batch.frames().count()).sum();
        (self.held.drain(..).chain(self.entries.drain(..)).chain(self.again.drain(..)).collect(), held)
    }

    /// Nothing of a lane that was barred is sent again.
    pub(super) fn forget_held(&mut self, alias: u32) {
        let rows: Vec<_> = self.held.drain(..).collect();
        self.held = without(&rows, alias);
    }

    /// The lanes of which the other side may have counted too few, of these rows: those of the last link, and those of links
    /// before whose number, told on the last, is not known to have come.
    pub(super) fn unsure(&mut self, rows: &[Batch]) -> BTreeSet<u32> {
        let mut unsure = std::mem::take(&mut self.unsure_now);
        for part in rows.iter().flat_map(Batch::frames) {
            if let Part::Control { kind: kind::AT, body, .. } = part {
                if let Ok(Control::At { alias, .. }) = decode(kind::AT, body) {
                    unsure.extend(self.unsure.get(&alias));
                }
            }
        }
        unsure
    }

    /// The link ended: what was about it alone is dropped.
    pub(super) fn suspend(&mut self) {
        self.suspended = true;
        self.resuming = None;
        self.has_again = false;
        self.answer = None;
        self.pinged = false;
        self.pings.clear();
    }

    /// Nothing will be sent again on another link. With `drains` what was to be sent again still is on this one.
    pub(super) fn stop(&mut self, drains: bool) {
        self.stopped = true;
        // Where a connection is there all the same, it takes the last words.
        self.suspended = false;
        self.answer = None;
        self.pings.clear();
        self.resuming = None;
        self.entries.clear();
        self.cost = 0;
        self.held.clear();
        if !drains {
            self.again.clear();
        }
        self.spare = Vec::new();
        self.spare_bytes = 0;
    }

    /// The memory of all that is kept or may be used for it, in bytes.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        let entries: usize = self.entries.iter().map(|batch| batch.cost() + ENTRY_COST).sum();
        assert_eq!(entries, self.cost);
        entries + self.again.iter().chain(&self.held).map(Batch::cost).sum::<usize>() + self.spare_bytes
    }

    #[cfg(test)]
    pub(super) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }
}

impl Outbox {
    /// Both sides know sessions that outlive their links: what is sent from now on is kept until it is known to
    /// have come. After [`set_peer`](Self::set_peer), before the first sample.
    pub(crate) fn set_resumes(&mut self, resumes: bool) {
        self.kept = resumes.then(|| Box::new(Kept::new(self.largest())));
        self.note_shut();
    }

    /// Whether it can go on over another link.
    pub(crate) fn resumes(&self) -> bool {
        self.kept.is_some()
    }

    /// Takes in that the other side came to a mark. Returns whether more may be taken now than before: then
    /// [`wake`](Self::wake) says whether the writer must be told.
    ///
    /// # Errors
    /// Malformed: no such mark was sent, or a later one was answered before.
    pub(crate) fn marked(&mut self, number: u64) -> Result<bool, Reason> {
        let Some(kept) = &mut self.kept else { return Ok(false) };
        let was_full = kept.is_full();
        kept.marked(number)?;
        self.note_shut();
        Ok(was_full)
    }

    pub(super) fn note_shut(&mut self) {
        self.gate.shut = self.kept.as_ref().is_some_and(|kept| kept.is_shut());
    }

    /// Whoever wrote gives back what it wrote.
    pub(super) fn take_back(&mut self, urgent: &mut Vec<u8>, batch: &mut Batch) {
        if let Some(kept) = &mut self.kept {
            kept.keep(urgent, batch);
            kept.has_again = false;
            self.note_shut();
        }
        urgent.clear();
        urgent.shrink_to(URGENT_KEPT);
        batch.clear();
    }

    /// For the writer, where it may not take all there is: what is sent again, or control frames alone.
    pub(super) fn take_shut(&mut self, urgent: &mut Vec<u8>, batch: &mut Batch) {
        let now = self.now.last();
        let Some(kept) = &mut self.kept else { return };
        kept.put_answer(urgent);
        if !kept.again.is_empty() {
            if let Some(again) = if kept.is_full() { None } else { kept.again.pop_front() } {
                *batch = again;
                kept.has_again = true;
                let bytes = batch.size();
                kept.taken(batch, bytes, false, now);
            }
        } else if !kept.is_blocked(self.tables > 0) {
            let bytes = if self.counted > 0 { self.urgent.len() } else { 0 };
            if urgent.is_empty() {
                std::mem::swap(&mut self.urgent, urgent);
            } else {
                urgent.append(&mut self.urgent);
            }
            self.tables = 0;
            batch.counted = std::mem::take(&mut self.counted);
            kept.taken(batch, bytes, false, now);
        }
        self.note_shut();
    }

    /// Whether [`take_shut`](Self::take_shut) has something.
    pub(super) fn has_shut_work(&self) -> bool {
        let Some(kept) = self.kept.as_ref().filter(|kept| !kept.suspended) else { return false };
        let control = !self.urgent.is_empty() && !kept.is_blocked(self.tables > 0);
        let again = if kept.again.is_empty() { control } else { !kept.is_full() };
        again || kept.has_answer() || !self.rest.is_empty()
    }
}

/// Whether frames of a kind are sent again, or say something of those that are.
pub(super) const fn is_kept(kind: u32) -> bool {
    kind::is_counted(kind) || matches!(kind, kind::GAP | kind::LOST | kind::AT | kind::TIME)
}

/// How much may be kept, in bytes, before no more samples are taken: this, or two of the largest samples.
const KEEP: usize = 1 << 20;
/// What one sample counts for in this at most.
const MOST_LARGEST: usize = 8 << 20;
/// How many bytes of answers may be kept beyond that.
const ANSWERS_KEPT: usize = 4 * ANSWERS;
/// After how many bytes a mark is put, at least and at most; the least do where the last mark was so long ago.
///
/// Every answer wakes a thread on each side, which on two processors take turns with those that send and read. With 128 KiB
/// always, samples of 1 KiB came at 1.2 to 1.4 GB/s over loopback, with 512 KiB at 1.7 to 1.8 (medians of 7, in turn). On a slow
/// line rare marks gain nothing, and what is kept costs memory on each of many.
pub(super) const MARK_LEAST: usize = 128 * 1024;
pub(super) const MARK_MOST: usize = 1 << 20;
pub(super) const MARK_PAUSE: Duration = Duration::from_millis(1);
/// From how many bytes on a batch is kept without being copied, if it is filled well.
const WHOLE: usize = 8 * 1024;
/// Up to how many bytes what is copied goes into one entry.
const APPENDED: usize = 32 * 1024;
/// What an entry costs beside its bytes.
const ENTRY_COST: usize = 256;
/// How much memory is kept for later, in bytes.
const SPARE: usize = 1 << 20;
/// How much memory the buffer for control frames keeps when it is empty.
const URGENT_KEPT: usize = 64 * 1024;
