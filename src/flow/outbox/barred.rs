//! Lanes whose samples may not go over the link that carries the session.
//!
//! ```text
//!            the link ends, or the session goes on over one that does not fit
//!   flowing ──────────────────────────────────────────────────────────────────► barred
//!      ▲                                                                          │
//!      └───────────────── the session goes on over one that fits ◄───────────────┘
//! ```
//! While a lane is barred, what was written and is not known to have come stays where it is kept, apart from the rest
//! ([`Kept::held`](super::kept::Kept::held)); what waited in a queue is set aside; and what is sent is parked, whatever the
//! delivery. Numbers and windows stay as they are. Nothing that tells of the lane's numbers goes over the link either, until the
//! lane goes on with AT as after any change of links, or ends: then what waits is given up.
//!
//! Between two links all such lanes are barred, as it is not known which link is next.

use super::{Outbox, Outgoing, Put};
use crate::bytes::Bytes;
use crate::flow::lane::{Lane, Missing, Parked};
use crate::links::Links;
use crate::time::Timestamp;
use std::collections::BTreeSet;

impl Outbox {
    /// The link that carries what is sent is this one, as a URL.
    pub(crate) fn set_way(&mut self, url: &str) {
        self.way = url.into();
    }

    /// Says over which links the samples of a lane go, before there are any.
    pub(crate) fn set_links(&mut self, alias: u32, links: Links) {
        let barred = is_only(&links) && (self.is_suspended() || !links.fit(&self.way));
        if let Some(lane) = self.lane_mut(alias) {
            (lane.links, lane.barred) = (links, barred);
            lane.note_waiting(lane.waiting);
        }
    }

    /// Takes a sample of a lane that is barred, or was and still has some parked that may not be overtaken.
    pub(super) fn hold(
        &mut self,
        alias: u32,
        sample: Outgoing<'_>,
        forced: bool,
        now: impl FnOnce() -> Timestamp,
    ) -> Put {
        let size = sample.payload.len();
        let Some(lane) = self.lane(alias) else { return Put::Closed };
        let barred = lane.barred;
        if !lane.delivery.is_lossless() {
            let put = self.park(alias, sample, now());
            return if barred && put == Put::Parked(0) { Put::Held } else { put };
        }
        if forced && !lane.holds(size) {
            return self.go_past(alias);
        }
        match self.room_to_hold(alias, size) {
            Put::Queued => {}
            _ if forced => {}
            Put::NoRoom => return Put::NoRoom,
            _ => return self.turn_away(alias, true, now()),
        }
        if let Some(lane) = self.lane_mut(alias) {
            lane.window.sent(size);
        }
        self.hold_one(alias, sample, now());
        if barred { Put::Held } else { Put::Parked(0) }
    }

    /// Parks a sample that is counted by its window.
    pub(super) fn hold_one(&mut self, alias: u32, sample: Outgoing<'_>, sent: Timestamp) {
        let payload = sample.shared.cloned().unwrap_or_else(|| Bytes::copy_from_slice(sample.payload));
        let parked = Parked { sent, payload, missing: Missing::default() };
        self.parked += parked.cost();
        if let Some(lane) = self.lane_mut(alias) {
            lane.parked.push_back(parked);
            lane.note_waiting(lane.waiting);
        }
    }

    /// Whether a lossless lane takes another sample to be parked: `Queued`, `NoRoom`, or `Closed` where it has to be turned away.
    pub(super) fn room_to_hold(&self, alias: u32, size: usize) -> Put {
        let Some(lane) = self.lane(alias) else { return Put::Closed };
        if !lane.holds(size) {
            // That nothing is taken of what does not go is nobody's fault.
            return if lane.barred && !lane.window.is_cut_off() { Put::NoRoom } else { Put::Closed };
        }
        // What other lanes park has as much.
        let fits = self.parked + size <= self.capacity / 2;
        if fits || lane.parked.is_empty() { Put::Queued } else { Put::NoRoom }
    }

    /// The link is gone: which one is next is not known.
    pub(super) fn bar_all(&mut self) {
        for lane in self.lanes.iter_mut().flatten().filter(|lane| is_only(&lane.links)) {
            lane.barred = true;
            lane.note_waiting(lane.waiting);
        }
    }

    /// Looks which lanes are barred on the link there is now. Returns those, and those that no longer are.
    pub(super) fn note_barred(&mut self) -> (BTreeSet<u32>, Vec<u32>) {
        let (mut barred, mut freed) = (BTreeSet::new(), Vec::new());
        for lane in self.lanes.iter_mut().flatten().filter(|lane| is_only(&lane.links)) {
            lane.barred = !lane.links.fit(&self.way);
            lane.note_waiting(lane.waiting);
            match lane.barred {
                true => drop(barred.insert(lane.id.alias)),
                false => freed.push(lane.id.alias),
            }
        }
        for waiting in std::mem::take(&mut self.apart.barred) {
            let priority = self.lane(waiting.alias).map(|lane| lane.priority).unwrap_or_default();
            self.apart.queues.put_back(priority, waiting);
        }
        if !barred.is_empty() {
            self.apart.barred = self.apart.queues.take_out(|alias| barred.contains(&alias));
        }
        (barred, freed)
    }

    /// Moves what waits to where it is kept, where that of barred lanes is told from the rest.
    pub(super) fn keep_waiting(&mut self) {
        self.hasten();
        self.apart.turn_page();
        let mut batch = std::mem::take(&mut self.batch);
        let urgent = std::mem::take(&mut self.urgent);
        batch.counted += std::mem::take(&mut self.counted);
        self.tables = 0;
        let Some(kept) = &mut self.kept else { return };
        kept.given += batch.counted;
        batch.unwritten(|alias| *kept.cut.entry(alias).or_default() += 1);
        kept.keep_behind(&urgent, &mut batch);
    }

    /// The session goes on: so do lanes that no longer are barred, and those end that were to.
    pub(super) fn free_lanes(&mut self, barred: &BTreeSet<u32>, freed: Vec<u32>) {
        for alias in barred.iter().copied() {
            if self.lane(alias).is_some_and(|lane| lane.ending) {
                self.give_up(alias);
                self.finish_late(alias);
            }
        }
        for alias in freed {
            let Some(lane) = self.lane_mut(alias) else { continue };
            lane.window.look_anew();
            let (through, ending, lossless) = (lane.is_through(), lane.ending, lane.delivery.is_lossless());
            if through && ending {
                self.finish_late(alias);
            } else if through && lossless {
                self.tell_missing(alias);
            }
        }
        if self.parked > 0 {
            self.unpark(self.capacity);
        }
    }

    /// A barred lane ends: what waits of it will not be sent.
    pub(super) fn give_up(&mut self, alias: u32) {
        let waited = self.apart.barred.len();
        self.apart.barred.retain(|waiting| waiting.alias != alias);
        let waited = waited - self.apart.barred.len();
        let Some(lane) = self.lane_mut(alias) else { return };
        let parked = std::mem::take(&mut lane.parked);
        lane.gap += parked.len() as u64;
        lane.lost_here += (parked.len() + waited) as u64;
        lane.note_waiting(0);
        self.parked -= parked.iter().map(Parked::cost).sum::<usize>();
        if let Some(kept) = &mut self.kept {
            kept.forget_held(alias);
        }
    }

    /// Of an outbox that is closed: what barred lanes have waiting never leaves.
    pub(super) fn leave_barred(&mut self) {
        let left = &mut self.left;
        for waiting in self.apart.barred.drain(..) {
            left.entry(waiting.alias).or_default().unsent += 1;
        }
        for (alias, lane) in (0..).zip(&mut self.lanes) {
            let Some(lane) = lane.as_mut().filter(|lane| lane.barred && !lane.parked.is_empty()) else {
                continue;
            };
            let parked = std::mem::take(&mut lane.parked).len() as u64;
            lane.sequence += parked;
            left.entry(alias).or_default().unsent += parked;
        }
    }
}

impl Lane {
    /// Whether samples are parked whatever room there is.
    pub(crate) fn is_held(&self) -> bool {
        self.barred || (is_only(&self.links) && !self.parked.is_empty())
    }

    /// Whether a lossless lane may have another sample of so many bytes parked.
    fn holds(&self, size: usize) -> bool {
        let next = self.next() + self.parked.len() as u64;
        self.limit.is_some_and(|limit| next < limit)
            && self.window.has_room(size)
            && !self.window.is_cut_off()
    }
}

pub(super) fn is_only(links: &Links) -> bool {
    matches!(links, Links::Only(_))
}
