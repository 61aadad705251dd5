//! From one link to the next: nothing is written in between, and then what was kept comes first.

use super::Outbox;
use super::again::{Known, again};
use super::kept::{Ended, is_kept};
use crate::flow::batch::{Batch, Part, frames_of};
use crate::flow::lane::Lane;
use crate::links::Links;
use crate::priority::Priority;
use crate::reason::{Reason, ReasonCode};
use crate::wire::control::Control;
use crate::wire::encode;
use std::collections::{BTreeMap, BTreeSet};

/// What a link knows of a lane.
pub(crate) struct Rank {
    pub(crate) alias: u32,
    pub(crate) lossless: bool,
    pub(crate) priority: Priority,
    /// Copies go over other links.
    pub(crate) copied: bool,
}

impl Outbox {
    /// For the writer: the link is gone, and this is what it was writing, or nothing. Until [`resume`](Self::resume)
    /// nothing is taken to be written; samples wait, and are turned away, as on a line that takes none.
    /// Where nothing is kept, or the end was said, what was not written is lost instead.
    pub(crate) fn suspend(&mut self, urgent: Vec<u8>, mut batch: Batch) {
        let closed = self.closed;
        let Some(kept) = self.kept.as_mut().filter(|_| !closed) else {
            return self.note_unwritten_at_last(&batch);
        };
        if std::mem::take(&mut self.gate.taken) {
            self.gate.writing = false;
        }
        let mut rest = std::mem::take(&mut self.rest);
        let mut cut: BTreeMap<u32, u64> = BTreeMap::new();
        let mut count = |alias| *cut.entry(alias).or_default() += 1;
        batch.unwritten(&mut count);
        rest.unwritten(&mut count);
        kept.again.iter().for_each(|again| again.unwritten(&mut count));
        if kept.has_again || !kept.again.is_empty() {
            // Of what was sent again most had been written before.
            for (alias, count) in &mut cut {
                *count = (*count).min(kept.cut.get(alias).copied().unwrap_or(0));
            }
        }
        if !kept.suspended {
            kept.cut = cut;
        }
        kept.keep(&urgent, &mut batch);
        kept.keep(&[], &mut rest);
        kept.suspend();
        self.bar_all();
        let mut queued = Vec::with_capacity(self.urgent.len());
        for part in frames_of(&self.urgent) {
            if let Part::Control { kind, frame, .. } = part {
                if is_kept(kind) {
                    queued.extend_from_slice(frame);
                }
            }
        }
        self.urgent = queued;
        self.gate.woken = false;
        self.forget_waits();
        self.apart.forget_write();
        self.note_shut();
    }

    /// The other side may have counted too few samples of lanes `unsure` on the link that is gone. `exact`: neither that nor
    /// the next loses anything while it lasts. Before [`resume`](Self::resume).
    pub(crate) fn note_links(&mut self, unsure: &[u32], exact: bool) {
        if let Some(kept) = &mut self.kept {
            kept.unsure_now.extend(unsure);
            kept.inexact |= !exact;
        }
    }

    /// Another link carries on: `received` counted control frames came on those before. `slow`: how many bytes a second it
    /// carries, where it is slow. What is to be sent again is taken first; whoever calls this sees to it that the writer
    /// comes, as told by [`wake`](Self::wake).
    ///
    /// # Errors
    /// Malformed: fewer came than were said to before, or more than there were.
    pub(crate) fn resume(&mut self, received: u64, slow: Option<u64>) -> Result<(), Reason> {
        let closed = self.closed;
        let Some(kept) = self.kept.as_mut().filter(|kept| kept.suspended && !closed) else { return Ok(()) };
        if received < kept.first || received > kept.given {
            let (first, given) = (kept.first, kept.given);
            let text =
                format!("{received} control frames are said to have come: {first} to {given} can have");
            return Err(Reason::new(ReasonCode::Malformed, text));
        }
        if self.gate.writing {
            // A sender is about to give back what it wrote to the old link.
            kept.resuming = Some((received, slow));
        } else {
            self.go_on(received, slow);
        }
        Ok(())
    }

    /// A sender gives back what it wrote inline, at least in part. False: the rest is still to be written.
    pub(super) fn end_kept(&mut self, batch: &mut Batch) -> bool {
        let closed = self.closed;
        match &mut self.kept {
            Some(kept) if kept.suspended && !closed => {
                batch.unwritten(|alias| *kept.cut.entry(alias).or_default() += 1);
                kept.keep(&[], batch);
                batch.clear();
                if let Some((received, slow)) = kept.resuming.take() {
                    self.go_on(received, slow);
                }
                true
            }
            _ if batch.is_empty() => {
                self.take_back(&mut Vec::new(), batch);
                true
            }
            _ => false,
        }
    }

    fn go_on(&mut self, received: u64, slow: Option<u64>) {
        let (barred, freed) = self.note_barred();
        if !barred.is_empty() {
            self.keep_waiting();
        }
        let lanes = self.lanes_taken();
        let gone = self.gone(&lanes);
        let base = if self.batch.messages() > 0 { self.batch.base } else { self.stamps.time() };
        let Some(kept) = &mut self.kept else { return };
        let exact = !std::mem::take(&mut kept.inexact);
        // Where samples came by copies, what is left out of those that came is not what it seems.
        let (loose, untold): (Vec<&Lane>, Vec<&Lane>) = (self.lanes.iter().flatten())
            .filter(|lane| !lane.delivery.is_lossless() || lane.links == Links::All)
            .filter(|lane| !lane.barred)
            .partition(|lane| lane.limit.is_some());
        // What a link that loses nothing brought before it ended is known to have come, or is kept.
        let (kept_only, loose): (Vec<&Lane>, Vec<&Lane>) =
            loose.into_iter().partition(|lane| exact && lane.links != Links::All);
        let [loose, kept_only, untold] =
            [loose, kept_only, untold].map(|lanes| lanes.iter().map(|lane| lane.id.alias).collect());
        let (rows, held) = kept.take_all();
        let unsure = kept.unsure(&rows);
        let came = received - kept.first;
        let known = Known { lanes, loose, kept_only, barred, gone, held, unsure, came, slow, base };
        (kept.again, kept.held) = again(&rows, &known);
        kept.unsure = known.unsure;
        (kept.first, kept.given) = (received, received);
        kept.suspended = false;
        if !exact {
            kept.untold = untold;
        }
        rows.into_iter().for_each(|row| kept.recycle(row));
        self.note_shut();
        self.free_lanes(&known.barred, freed);
    }

    /// Lanes that ended, and whose samples may not go over the link there is.
    fn gone(&self, lanes: &BTreeMap<u32, Ended>) -> BTreeSet<u32> {
        let gone = lanes.iter().filter(|(alias, ended)| {
            self.lane(**alias).is_none() && ended.links.as_ref().is_some_and(|links| !links.fit(&self.way))
        });
        gone.map(|(alias, _)| *alias).collect()
    }

    /// All lanes as far as they were taken to be written.
    fn lanes_taken(&self) -> BTreeMap<u32, Ended> {
        let mut lanes = self.kept.as_ref().map(|kept| kept.ended.clone()).unwrap_or_default();
        for lane in self.lanes.iter().flatten() {
            lanes.insert(lane.id.alias, Ended::of(lane, lane.sequence));
        }
        let mut waits = |alias, count| {
            if let Some(lane) = lanes.get_mut(&alias) {
                lane.sequence = lane.sequence.saturating_sub(count);
            }
        };
        let waiting = self.batch.frames().chain(self.apart.ahead().frames());
        for part in waiting.chain(frames_of(&self.apart.late)) {
            if let Some((alias, count)) = part.numbers() {
                waits(alias, count);
            }
        }
        for waiting in &self.apart.barred {
            waits(waiting.alias, waiting.numbers());
        }
        self.apart.queues.numbers(waits);
        lanes
    }

    /// Counts as never sent what was not written when the link ended, or was not yet sent again on this one.
    pub(super) fn stop_keeping(&mut self, drains: bool) {
        let Some(kept) = &mut self.kept else { return };
        if kept.suspended {
            for (alias, count) in std::mem::take(&mut kept.cut) {
                self.left.entry(alias).or_default().unsent += count;
            }
        } else if !drains {
            for again in std::mem::take(&mut kept.again).iter().rev() {
                self.note_unwritten_again(again);
            }
        }
        if let Some(kept) = &mut self.kept {
            kept.stop(drains);
        }
        self.note_shut();
    }

    /// Counts as never sent what the writer had in hand when the outbox was closed.
    fn note_unwritten_at_last(&mut self, batch: &Batch) {
        if self.kept.as_ref().is_some_and(|kept| kept.has_again) {
            self.note_unwritten_again(batch);
        } else {
            self.note_unwritten(batch);
        }
    }

    /// Counts as never sent what was not sent again, and not before either: the last samples of each alias. What is behind
    /// was counted.
    fn note_unwritten_again(&mut self, batch: &Batch) {
        let Some(kept) = &mut self.kept else { return };
        batch.unwritten(|alias| {
            if let Some(never) = kept.cut.get_mut(&alias).filter(|never| **never > 0) {
                *never -= 1;
                self.left.entry(alias).or_default().unsent += 1;
            }
        });
    }

    /// The link is gone and no other carries on yet.
    pub(super) fn is_suspended(&self) -> bool {
        self.kept.as_ref().is_some_and(|kept| kept.suspended)
    }

    /// The lanes there are, of which another link is told.
    pub(crate) fn ranks(&self) -> impl Iterator<Item = Rank> + '_ {
        self.lanes.iter().flatten().map(|lane| Rank {
            alias: lane.id.alias,
            lossless: lane.delivery.is_lossless(),
            priority: lane.priority,
            copied: lane.links == Links::All,
        })
    }

    /// A lane has its first credit: if it was opened on another link, this one learns of it.
    pub(super) fn note_first_credit(&mut self, alias: u32) {
        let Some(kept) = self.kept.as_mut().filter(|kept| !kept.untold.is_empty()) else { return };
        if let Some(place) = kept.untold.iter().position(|untold| *untold == alias) {
            kept.untold.swap_remove(place);
            // What is urgent must not go ahead of it.
            let edition = self.apart.edition();
            if let Some(lane) = self.lane_mut(alias) {
                lane.batched = edition;
            }
            encode(self.batch.bytes(), &Control::At { alias, number: 0 });
        }
    }

    /// A lane ended at the next number.
    pub(super) fn note_ended(&mut self, lane: &Lane) {
        if let Some(kept) = &mut self.kept {
            kept.ended.insert(lane.id.alias, Ended::of(lane, lane.next()));
            kept.untold.retain(|alias| *alias != lane.id.alias);
        }
    }
}
