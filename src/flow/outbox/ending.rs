//! The end of an outbox, and what never left it.
//!
//! Nothing is noted for it while samples flow: what is left at the end are frames, which say themselves
//! whose they are.

use super::{Outbox, put_gap, put_lost};
use crate::flow::batch::Batch;
use crate::links::Links;
use crate::wire::control::Control;
use crate::wire::encode;

/// What is known of the last samples of an alias when its link ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Left {
    /// Samples of which not all bytes were written, and no copy went over another link: they are lost.
    pub(crate) unsent: u64,
    /// Samples that were written, and of which a lossless interest did not say that it took them; and those of which no more
    /// than a copy may have been.
    pub(crate) unconfirmed: u64,
}

impl Outbox {
    /// Nothing more is taken. With `drain`, samples that wait are still written; control frames are in any
    /// case, among them the HANDSHAKE that tells who says BYE. `bye` is the last frame.
    pub(crate) fn close(&mut self, bye: Option<&Control>, drain: bool) {
        if self.closed {
            return;
        }
        // There is no link that it could drain to.
        let drain = drain && !self.is_suspended();
        self.drains = drain;
        self.leave_barred();
        self.stop_keeping(drain);
        if !drain {
            for (alias, lane) in (0..).zip(&mut self.lanes) {
                let parked = lane.as_mut().map_or(0, |lane| std::mem::take(&mut lane.parked).len());
                if parked > 0 {
                    self.left.entry(alias).or_default().unsent += parked as u64;
                }
            }
        }
        if drain {
            self.unpark(usize::MAX);
        } else {
            let batch = std::mem::take(&mut self.batch);
            self.note_unwritten(&batch);
            self.drop_apart();
        }
        self.parked = 0;
        self.held = 0;
        self.closed = true;
        if let Some(bye) = bye {
            // Behind all that waits.
            if self.apart.is_empty() {
                self.say_bye(bye);
            } else {
                self.apart.bye = Some(bye.clone());
            }
        }
    }

    /// The last frame, and before it what is missing.
    pub(super) fn say_bye(&mut self, bye: &Control) {
        self.tell_unsent();
        encode(self.batch.bytes(), bye);
    }

    /// Tells the other side, ahead of the BYE, how many samples will not come.
    fn tell_unsent(&mut self) {
        for (alias, lane) in (0..).zip(&mut self.lanes) {
            let Some(lane) = lane.as_mut().filter(|lane| lane.limit.is_some()) else { continue };
            let unsent = self.left.get(&alias).map_or(0, |left| left.unsent);
            put_gap(self.batch.bytes(), alias, std::mem::take(&mut lane.gap) + unsent);
            put_lost(self.batch.bytes(), alias, std::mem::take(&mut lane.lost));
        }
    }

    /// Notes the samples of a batch that will not be written, or were not to their end.
    pub(crate) fn note_unwritten(&mut self, batch: &Batch) {
        batch.unwritten(|alias| self.left.entry(alias).or_default().unsent += 1);
    }

    /// Whether nothing more is taken.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether nothing more will be written, once [`take`](Self::take) has nothing: it is closed, and
    /// nobody writes inline, who could leave a rest.
    pub(crate) fn is_finished(&self) -> bool {
        self.closed && !self.gate.writing
    }

    /// Gives its memory back, once it is finished: intents may hold on to the line for long.
    pub(crate) fn free(&mut self) {
        self.urgent = Vec::new();
        self.batch = Batch::default();
        self.rest = Batch::default();
        self.moved = Vec::new();
        self.apart.late = Vec::new();
        self.kept = None;
    }

    /// Takes what never left and what was never confirmed, by alias, once the outbox is closed and nobody writes
    /// any more. All that was drained to the end is as good as confirmed: the other side reads it before
    /// the BYE.
    pub(crate) fn settle(&mut self) -> impl Iterator<Item = (u32, Left)> + use<> {
        for batch in [std::mem::take(&mut self.rest), std::mem::take(&mut self.batch)] {
            self.note_unwritten(&batch);
        }
        self.drop_apart();
        self.free();
        let complete = self.drains && self.left.values().all(|left| left.unsent == 0);
        for (alias, lane) in (0..).zip(std::mem::take(&mut self.lanes)) {
            let Some(lane) = lane else { continue };
            if let Some(left) = self.left.get_mut(&alias).filter(|_| lane.links == Links::All) {
                left.unconfirmed = std::mem::take(&mut left.unsent);
            }
            if !lane.delivery.is_lossless() {
                continue;
            }
            // What went past it is told as lost already.
            let unconfirmed = lane.sequence.saturating_sub(lane.taken + lane.window.skips());
            if unconfirmed > 0 {
                self.left.entry(alias).or_default().unconfirmed = unconfirmed;
            }
        }
        let known =
            std::mem::take(&mut self.left).into_iter().map(move |(alias, Left { unsent, unconfirmed })| {
                let unconfirmed = if complete { 0 } else { unconfirmed.saturating_sub(unsent) };
                (alias, Left { unsent, unconfirmed })
            });
        known.filter(|(_, left)| *left != Left::default())
    }
}
