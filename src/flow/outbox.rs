//! What waits to be written to one link.
//!
//! Senders encode whole frames into one [`Batch`]; the writer swaps it for an empty one and writes it
//! whole. Under load one lock and one system call thus serve hundreds of samples. What was measured
//! when this was chosen stands in the documentation of [`runtime`](crate::runtime).
//!
//! Control frames lie apart and are written first. When the batch is full, a lossless sample is not
//! taken, and any other is *parked* in its [`Lane`] by its own policy: `latest` keeps the newest,
//! `queue(n)` the newest n. So a slow line delivers new samples, not a backlog, and one route's
//! backlog never costs another its newest sample.
//!
//! What is urgent, large or bulk has its own places beside the batch: see [`apart`].
//!
//! # Writing inline
//! When the line is quiet and nobody writes, a sender may write its frame itself without waiting, which
//! saves a wake-up of the writer thread. The gate notices load: once the writer took two samples at
//! a time, nobody writes inline until it took exactly one, and never within [`QUIET`] of the last
//! write.
//!
//! Under load, whoever fills the batch writes it, if nobody else is writing just then: without waiting too,
//! and the writer takes over what does not fit. On a busy core the writer would come late, and the sender
//! sleep until it does. On a line that is [flooded](flood) with small samples the writer leaves it to them.
//!
//! # Bounds
//! The batch and what is parked hold `capacity` bytes each, plus at most one sample per sending intent, or an eighth
//! of `capacity` of small ones where the intent has several outlets; lanes of one intent share the bytes of what they
//! park. Answers to a peer that does not read them: [`control::ANSWERS`].
//!
//! # Links that end
//! A session may outlive its link. What was written is [kept](kept) until it is known to have come, and sent
//! [again](again) on the next link.

use self::apart::{Apart, put_sample};
use self::barred::is_only;
use self::flood::Flood;
use self::kept::Kept;
use super::batch::{BY_REFERENCE, Batch, encode_counted};
use super::coarse::Coarse;
use super::lane::{Lane, LaneId, Missing};
use crate::bytes::Bytes;
use crate::delivery::Delivery;
use crate::links::Links;
use crate::settings::Bounds;
use crate::time::Timestamp;
use crate::wire::control::Control;
use crate::wire::{StampWriter, encode};
use std::collections::BTreeMap;
use std::time::Duration;

mod again;
mod apart;
mod barred;
mod control;
mod copying;
mod door;
mod ending;
mod flood;
mod full;
mod kept;
mod parking;
mod relay;
mod resuming;
mod some;
mod taking;
mod waits;

pub(crate) use copying::Taken;
pub(crate) use door::Door;
pub(crate) use ending::Left;
pub(crate) use full::Credited;
pub(crate) use relay::Onward;
pub(crate) use resuming::Rank;
use waits::Waits;

/// The outgoing side of one link.
pub(crate) struct Outbox {
    capacity: usize,
    /// From so many bytes on, the batch is written by the sender that filled it if nobody else is writing.
    due: usize,
    /// The largest payload the peer takes.
    largest: usize,
    /// Payloads above it are cut.
    whole: usize,
    urgent: Vec<u8>,
    /// How many frames of `urgent` a session counts.
    counted: u64,
    /// How many bytes of `urgent` are our own tables, or passed on: see [`control::TABLES`].
    tables: usize,
    batch: Batch,
    /// What an inline write could not write.
    rest: Batch,
    apart: Apart,
    lanes: Vec<Option<Lane>>,
    /// How many lanes were opened.
    openings: u32,
    /// How many ended, by alias.
    ends: Vec<u32>,
    /// Bytes parked in all lanes.
    parked: usize,
    /// The same of samples passed on that must not be lost.
    held: usize,
    /// Lanes of samples passed on of which some were unparked.
    moved: Vec<u32>,
    /// The lane that is asked first when there is room again.
    turn: usize,
    stamps: StampWriter,
    now: Coarse,
    gate: Gate,
    closed: bool,
    /// What waits is still written, though it is closed.
    drains: bool,
    /// What never left or was never confirmed, by alias, once it is closed.
    left: BTreeMap<u32, Left>,
    /// What was written, where the session outlives its links.
    kept: Option<Box<Kept>>,
    /// The link that carries it, as a URL.
    way: Box<str>,
}

/// What became of a sample that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    /// In the batch; whoever was told `Wake` by [`Outbox::wake`] tells the writer.
    Queued,
    /// In the batch, alone, on a quiet line: the caller may write it at once.
    Inline,
    /// Parked; this many older ones had to go.
    Parked(u64),
    /// Parked, as it may not go over the link there is.
    Held,
    /// The line has no room for a sample that must not be lost.
    NoRoom,
    /// A lossless interest granted no more; to be looked at again within so long, as it may be cut off then.
    NoCredit(Duration),
    /// So many bytes wait for a lossless interest that this would be too many; as above.
    TooManyBytes(Duration),
    /// The interest is cut off, and the sample goes past it. When it is cut off just now: how many samples it has
    /// not taken.
    PassedOver(Option<u64>),
    /// The other side has not yet granted its first credit.
    NotOpen,
    /// Larger than the peer takes.
    TooLarge,
    /// The lane or the link is gone.
    Closed,
    /// It was taken, and has this number: a copy goes over each link that stands by.
    Copied(Taken, u64),
}

/// A sample on its way out.
#[derive(Clone, Copy)]
pub(crate) struct Outgoing<'a> {
    pub(crate) payload: &'a [u8],
    /// The same bytes where they can be kept without copying.
    pub(crate) shared: Option<&'a Bytes>,
}

/// Who writes, and whether anyone else may.
#[derive(Default)]
struct Gate {
    /// Somebody is writing: the writer thread, or a sender inline.
    writing: bool,
    /// The writer was told that there is something, and has not come yet.
    woken: bool,
    /// The writer has what it took last.
    taken: bool,
    /// The last batch the writer took held more than one sample.
    loaded: bool,
    /// Not all that waits may be taken: see [`kept`].
    shut: bool,
    /// When the last write ended.
    last: Timestamp,
    waits: Waits,
    flood: Flood,
}

impl Outbox {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            due: capacity - capacity / 16,
            largest: 0,
            whole: usize::MAX,
            urgent: Vec::new(),
            counted: 0,
            tables: 0,
            batch: Batch::default(),
            rest: Batch::default(),
            apart: Apart::new(),
            lanes: Vec::new(),
            openings: 0,
            ends: Vec::new(),
            parked: 0,
            held: 0,
            moved: Vec::new(),
            turn: 0,
            stamps: StampWriter::default(),
            now: Coarse::default(),
            gate: Gate::default(),
            closed: false,
            drains: false,
            left: BTreeMap::new(),
            kept: None,
            way: Box::default(),
        }
    }

    /// The largest payload the peer takes, whatever the alias.
    pub(crate) fn largest(&self) -> usize {
        self.largest
    }

    /// Makes a lane for samples under `alias`. They wait for its first credit.
    pub(crate) fn open(&mut self, alias: u32, delivery: Delivery, bounds: Bounds) -> LaneId {
        let place = alias as usize;
        if self.lanes.len() <= place {
            self.lanes.resize_with(place + 1, || None);
        }
        let id = LaneId { alias, opening: self.openings };
        self.openings = self.openings.wrapping_add(1);
        if let Some(kept) = &mut self.kept {
            kept.ended.remove(&alias);
        }
        self.lanes[place] = Some(Lane::new(id, delivery, bounds));
        id
    }

    /// Ends a lane: what is parked is sent, then END.
    pub(crate) fn end(&mut self, alias: u32) {
        if self.closed {
            return;
        }
        let Some(lane) = self.lane_mut(alias) else { return };
        lane.ending = true;
        if lane.barred {
            return self.end_barred(alias);
        }
        if lane.is_through() {
            // Not ahead of a control frame that waits for the end of another.
            self.finish_lane(alias, self.apart.endings > 0);
        } else {
            self.apart.endings += 1;
        }
    }

    /// Ends a barred lane: at once, or once it is known which link is next.
    fn end_barred(&mut self, alias: u32) {
        // One that was never granted anything has nothing that waits, and its beginning may be what does.
        if self.is_suspended() && self.lane(alias).is_some_and(|lane| lane.limit.is_some()) {
            self.apart.endings += 1;
            return;
        }
        self.give_up(alias);
        self.finish_lane(alias, self.apart.endings > 0);
    }

    fn finish_lane(&mut self, alias: u32, late: bool) {
        if let Some(lane) = self.lanes.get_mut(alias as usize).and_then(Option::take) {
            let (bytes, counted) = match late {
                true => (&mut self.apart.late, &mut self.apart.late_counted),
                false => self.batch.control_place(),
            };
            if is_only(&lane.links) && lane.limit.is_some() && self.kept.is_some() {
                // Samples before may not go ahead of it after all.
                encode(bytes, &Control::At { alias, number: lane.sequence });
            }
            put_gap(bytes, alias, lane.gap);
            put_lost(bytes, alias, lane.lost);
            *counted += encode_counted(bytes, &Control::End { alias });
            self.note_ended(&lane);
            self.count_end(alias);
        }
    }

    /// Whether samples of this lane are taken.
    pub(crate) fn is_open(&self, id: LaneId) -> bool {
        !self.closed && self.lane(id.alias).is_some_and(|lane| lane.id == id && lane.limit.is_some())
    }

    pub(crate) fn lane(&self, alias: u32) -> Option<&Lane> {
        self.lanes.get(alias as usize)?.as_ref()
    }

    #[inline]
    fn lane_mut(&mut self, alias: u32) -> Option<&mut Lane> {
        self.lanes.get_mut(alias as usize)?.as_mut()
    }

    #[inline]
    fn has_room(&self, size: usize) -> bool {
        let waiting = self.batch.len();
        waiting == 0 || waiting + size <= self.capacity
    }

    /// Offers a sample. Whoever sends by a list of outlets that is out of date, and may have been held up since
    /// for as long as it takes to give the alias to another pair, is told `Closed`. `forced` skips the check for room, which the caller made before.
    #[inline]
    pub(crate) fn put(
        &mut self,
        id: LaneId,
        sample: Outgoing<'_>,
        forced: bool,
        now: impl FnOnce() -> Timestamp,
    ) -> Put {
        let (alias, size) = (id.alias, sample.payload.len());
        let has_room = forced || self.has_room(size);
        let Some(lane) = self.lanes.get_mut(alias as usize).and_then(Option::as_mut) else {
            return Put::Closed;
        };
        if self.closed || lane.ending || lane.id.opening != id.opening {
            return Put::Closed;
        }
        let Some(limit) = lane.limit else { return Put::NotOpen };
        if size > self.largest + lane.more() {
            return Put::TooLarge;
        }
        if lane.apart || size > self.whole {
            return self.put_apart(alias, sample, forced, now);
        }
        if lane.delivery.is_lossless() {
            if !lane.takes(limit, size) {
                return if forced { self.go_past(alias) } else { self.turn_away(alias, true, now()) };
            }
            if !has_room {
                return Put::NoRoom;
            }
            lane.window.sent(size);
        } else if !has_room || !lane.parked.is_empty() {
            return self.park(alias, sample, now());
        }
        let alone = self.batch.is_empty();
        let sent = self.now.now(alone, now);
        lane.sequence += 1;
        let gap = std::mem::take(&mut lane.gap);
        if gap > 0 {
            lane.sequence += gap;
            put_gap(self.batch.bytes(), alias, gap);
        }
        self.append(alias, sent, sample);
        let quiet = alone && !self.gate.writing && !self.gate.woken;
        if quiet && self.may_write_inline(sent, size) { Put::Inline } else { Put::Queued }
    }

    /// Whether a sample that finds nobody writing is written by its sender.
    #[inline]
    fn may_write_inline(&self, sent: Timestamp, size: usize) -> bool {
        let alone = !self.gate.loaded && self.urgent.is_empty() && self.apart.is_empty() && !self.gate.shut;
        alone && sent - self.gate.last >= QUIET && size < BY_REFERENCE
    }

    /// Sends a sample made earlier to a lane that has sent nothing yet, and does nothing to any other. True if a copy is to go
    /// over each link that stands by.
    pub(crate) fn put_first(&mut self, id: LaneId, sample: Outgoing<'_>, sent: Timestamp) -> bool {
        let (largest, closed) = (self.largest, self.closed);
        let Some(lane) = self.lane_mut(id.alias).filter(|lane| lane.id == id) else { return false };
        let copied = lane.links == Links::All;
        let fits = sample.payload.len() <= largest + lane.more() && !closed;
        let fresh = lane.sequence == 0 && lane.parked.is_empty() && lane.gap == 0;
        if fits && fresh && !lane.ending && lane.has_credit() {
            lane.window.sent(sample.payload.len());
            if lane.is_held() {
                self.hold_one(id.alias, sample, sent);
                return false;
            }
            let apart = lane.apart;
            if apart || sample.payload.len() > self.whole {
                self.place(id.alias, sample, sent, Missing::default());
                return copied;
            }
            let Some(lane) = self.lane_mut(id.alias) else { return false };
            lane.sequence = 1;
            self.append(id.alias, sent, sample);
        }
        false
    }

    #[inline]
    fn append(&mut self, alias: u32, sent: Timestamp, sample: Outgoing<'_>) {
        put_sample(&mut self.batch, &mut self.stamps, alias, sent, sample);
    }

    /// The clock as it was read last, for the sample that was put in last.
    pub(crate) fn now(&self) -> Timestamp {
        self.now.last()
    }

    /// Whether the writer must be told that there is something to write. Asking promises to tell it.
    #[inline]
    pub(crate) fn wake(&mut self) -> bool {
        if self.gate.flood.naps && self.cannot_wait() {
            self.gate.flood.naps = false;
            return true;
        }
        let idle = !self.gate.writing && !self.gate.woken;
        // A writer that waited for an inline write to end, in order to end itself, is told too.
        if idle && (self.has_work() || self.closed) {
            self.gate.woken = true;
        }
        idle && self.gate.woken
    }

    fn has_work(&self) -> bool {
        if self.gate.shut {
            return self.has_shut_work();
        }
        !self.rest.is_empty()
            || !self.urgent.is_empty()
            || !self.batch.is_empty()
            || !self.apart.is_empty()
            || self
                .kept
                .as_ref()
                .is_some_and(|kept| kept.has_answer() || (kept.has_pings() && self.apart.endings == 0))
    }
}

fn put_lost(bytes: &mut Vec<u8>, alias: u32, count: u64) {
    if count > 0 {
        encode(bytes, &Control::Lost { alias, count });
    }
}

fn put_gap(bytes: &mut Vec<u8>, alias: u32, count: u64) {
    if count > 0 {
        encode(bytes, &Control::Gap { alias, count });
    }
}

/// How long a line must have been quiet before a sender writes inline.
pub(crate) const QUIET: Duration = Duration::from_micros(5);

#[cfg(test)]
mod tests;
