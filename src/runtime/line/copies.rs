//! Samples that go over all links to a peer: the line of the session sends a copy over each line that stands by for it, and
//! takes in those that come there.

use super::{Line, Out, is_calm};
use crate::bytes::Buffer;
use crate::flow::batch::Batch;
use crate::flow::lane::LaneId;
use crate::flow::outbox::{Outgoing, Put, Taken};
use crate::links::Links;
use crate::reason::Reason;
use crate::runtime::inlets::{CopyAt, Origin};
use crate::sync::MutexGuard;
use crate::sync::atomic::Ordering;
use crate::time::Timestamp;
use crate::wire::copied::Copied;
use std::sync::{Arc, OnceLock, Weak};

/// What a line has to do with others to the same peer.
#[derive(Default)]
pub(super) struct Others {
    /// Of a line that carries no session: the line of the one for which it stands by.
    session: OnceLock<Weak<Line>>,
}

/// The part of it that is about what is sent.
#[derive(Default)]
pub(super) struct Standing {
    /// The lines that stand by for the session of this one, those that ended among them.
    by: Arc<Vec<Weak<Line>>>,
    /// It stands by itself, and nothing was said that ends that.
    takes_copies: bool,
}

impl Line {
    /// Another line stands by for the session of this one. Before that reads anything more.
    pub(crate) fn has_standing_by(self: &Arc<Self>, other: &Arc<Line>) {
        let _ = other.others.session.set(Arc::downgrade(self));
        other.out.lock().standing.takes_copies = true;
        let mut out = self.out.lock();
        let there = out.standing.by.iter().filter(|other| other.strong_count() > 0).cloned();
        let by = there.chain([Arc::downgrade(other)]).collect();
        out.standing.by = Arc::new(by);
    }

    /// Says over which links the samples of a lane go, before there are any.
    pub(crate) fn set_links(&self, alias: u32, links: Links) {
        if links == Links::All {
            self.connection.copied(alias);
        }
        self.out.lock().outbox.set_links(alias, links);
    }

    /// Sees to a sample that was taken, and sends its copies.
    #[cold]
    pub(super) fn put_copied(
        &self,
        mut out: MutexGuard<'_, Out>,
        lane: LaneId,
        sample: Outgoing<'_>,
        (taken, number): (Taken, u64),
        spare: &mut Batch,
    ) -> Put {
        let (ends, by) = (out.outbox.ends(lane.alias), Arc::clone(&out.standing.by));
        let sent = self.clock.now();
        let put = match taken {
            Taken::Inline if is_calm(out.outbox.now()) => {
                out.outbox.take_inline(spare);
                self.write_inline(out, spare);
                Put::Inline
            }
            Taken::Queued | Taken::Inline | Taken::Parked(_) => {
                if out.outbox.is_due(sample.payload.len()) {
                    self.write_due(out);
                } else {
                    self.wake_after(out);
                }
                match taken {
                    Taken::Parked(dropped) => Put::Parked(dropped),
                    Taken::Queued | Taken::Inline => Put::Queued,
                }
            }
        };
        copy_to(&by, &Copied { alias: lane.alias, ends, number, sent, payload: sample.payload });
        put
    }

    /// Sends the copies of the first sample of a lane.
    pub(super) fn copy_first(&self, lane: LaneId, sample: Outgoing<'_>, sent: Timestamp) {
        let out = self.out.lock();
        let (ends, by) = (out.outbox.ends(lane.alias), Arc::clone(&out.standing.by));
        drop(out);
        copy_to(&by, &Copied { alias: lane.alias, ends, number: 0, sent, payload: sample.payload });
    }

    fn copy(&self, copied: &Copied<'_>) {
        let mut out = self.out.lock();
        if out.standing.takes_copies && out.outbox.copy(copied) {
            self.wake_after(out);
        }
    }

    /// Whether it carries no session, and stands by for one.
    pub(crate) fn stands_by(&self) -> bool {
        self.others.session.get().is_some()
    }

    /// For the reader of a line that stands by: hands over copies that lie in this chunk.
    pub(crate) fn hand_copies(&self, chunk: &Arc<Buffer>, copies: &[CopyAt]) -> Result<(), Reason> {
        match self.others.session.get().and_then(Weak::upgrade) {
            Some(session) => session.take_copies(chunk, copies),
            None => Ok(()),
        }
    }

    fn take_copies(&self, chunk: &Arc<Buffer>, copies: &[CopyAt]) -> Result<(), Reason> {
        if self.discarding.load(Ordering::Acquire) {
            return Ok(());
        }
        let origin = Origin { line: self, chunk, offset: self.offset() };
        let mut inlets = self.inlets.lock();
        if self.has_changes() {
            inlets.apply_changes(self);
        }
        let taken = copies.iter().try_for_each(|copy| inlets.copy(copy, origin));
        inlets.flush(chunk);
        taken
    }
}

impl Out {
    /// The session is about to go on over this line: no copy goes behind that.
    pub(super) fn stop_copies(&mut self) {
        if std::mem::take(&mut self.standing.takes_copies) {
            self.outbox.drop_copies();
        }
    }
}

fn copy_to(by: &[Weak<Line>], copied: &Copied<'_>) {
    by.iter().filter_map(Weak::upgrade).for_each(|line| line.copy(copied));
}
