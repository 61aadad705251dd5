//! One route on one link, seen from the side that sends.

use super::window::Window;
use crate::bytes::Bytes;
use crate::delivery::Delivery;
use crate::links::Links;
use crate::priority::Priority;
use crate::settings::Bounds;
use crate::time::Timestamp;
use crate::wire::packed::OVERHEAD;
use std::collections::VecDeque;

/// The sending side of an alias.
///
/// ```text
///  closed ──open──► waiting ──first credit──► flowing ──end──► ending ──nothing parked──► free
///                      └───────────────────────end───────────────┘
/// ```
pub(crate) struct Lane {
    pub(crate) id: LaneId,
    pub(crate) delivery: Delivery,
    pub(crate) priority: Priority,
    /// Its samples do not simply go into the batch: they are not of normal priority, or some wait, or it matters over
    /// which links they go.
    pub(crate) apart: bool,
    pub(crate) links: Links,
    /// They may not go over the link there is.
    pub(crate) barred: bool,
    /// Samples that wait in the queue of its priority.
    pub(crate) waiting: u32,
    /// The last batch that one of its samples went into, where it is not of normal priority.
    pub(crate) batched: u64,
    /// The sequence number of the next sample that enters the line.
    pub(crate) sequence: u64,
    /// Samples below this number may be sent. `None` before the first credit.
    pub(crate) limit: Option<u64>,
    /// What the other side said it took.
    pub(crate) taken: u64,
    /// What the other side said it dropped.
    pub(crate) lost_there: u64,
    /// Dropped here since the last GAP.
    pub(crate) gap: u64,
    /// Dropped here in all.
    pub(crate) lost_here: u64,
    /// Samples lost on the way to here, since the last LOST.
    pub(crate) lost: u64,
    /// Samples that found the line full, oldest first.
    pub(crate) parked: VecDeque<Parked>,
    pub(crate) ending: bool,
    /// Its payloads are packed.
    pub(crate) packed: bool,
    /// What a lossless one has on its way.
    pub(crate) window: Window,
    /// What the line was granted that the samples come from, where they are passed on.
    pub(crate) upstream: Option<Box<Upstream>>,
}

/// One lane among all that its line ever has. An alias comes to stand for another pair once the lane it stood
/// for has ended; whoever sends by an older list of outlets must not send to that one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LaneId {
    pub(crate) alias: u32,
    /// How many lanes the line opened before.
    pub(crate) opening: u32,
}

/// A sample that waits for the line to take it.
pub(crate) struct Parked {
    pub(crate) sent: Timestamp,
    pub(crate) payload: Bytes,
    /// Samples before it that never came here: dropped, and lost on the way.
    pub(crate) missing: Missing,
}

/// Numbers that go by without a sample.
#[derive(Clone, Copy, Default)]
pub(crate) struct Missing {
    pub(crate) gap: u64,
    pub(crate) lost: u64,
}

impl Parked {
    /// What it costs in memory, about, in bytes. Even an empty one costs something, or a peer could have
    /// a million of them kept.
    pub(crate) fn cost(&self) -> usize {
        self.payload.len() + PARKED_COST
    }
}

impl Lane {
    pub(crate) fn new(id: LaneId, delivery: Delivery, bounds: Bounds) -> Self {
        Self {
            id,
            delivery,
            priority: Priority::Normal,
            apart: false,
            links: Links::Best,
            barred: false,
            waiting: 0,
            batched: 0,
            sequence: 0,
            limit: None,
            taken: 0,
            lost_there: 0,
            gap: 0,
            lost: 0,
            lost_here: 0,
            parked: VecDeque::new(),
            ending: false,
            packed: false,
            window: Window::new(bounds),
            upstream: None,
        }
    }

    /// How many bytes its payloads may have more than others.
    #[inline]
    pub(crate) fn more(&self) -> usize {
        if self.packed { OVERHEAD } else { 0 }
    }

    #[inline]
    pub(crate) fn has_credit(&self) -> bool {
        self.limit.is_some_and(|limit| self.next() < limit)
    }

    /// The number that the next sample will have: behind those missing that are still to be told.
    #[inline]
    pub(crate) fn next(&self) -> u64 {
        self.sequence + self.gap + self.lost
    }

    /// Whether nothing of it waits that is not in the batch.
    pub(crate) fn is_through(&self) -> bool {
        self.parked.is_empty() && self.waiting == 0
    }

    /// One sample more waits in the queue of its priority, or one less.
    pub(crate) fn note_waiting(&mut self, waiting: u32) {
        self.waiting = waiting;
        self.apart = self.is_aside() || self.links == Links::All || self.is_held();
    }

    /// Whether its samples go beside the batch.
    pub(crate) fn is_aside(&self) -> bool {
        self.waiting > 0 || self.priority != Priority::Normal
    }

    /// The number of the sample that it took last.
    pub(crate) fn newest(&self) -> u64 {
        (self.next() + self.parked.len() as u64).saturating_sub(1)
    }

    /// Whether a lossless lane takes a sample of so many bytes now.
    #[inline]
    pub(crate) fn takes(&self, limit: u64, size: usize) -> bool {
        self.next() < limit && self.window.has_room(size) && !self.window.is_cut_off()
    }

    /// Takes in what the other side grants; false where it goes backwards or past what was sent.
    pub(crate) fn credit(&mut self, limit: u64, taken: u64, lost: u64) -> bool {
        // Of a lossless lane what was sent is known to the number; of others the line may drop some yet.
        let dropped = self.gap + self.lost + self.parked.len() as u64;
        let known = self.sequence + if self.delivery.is_lossless() { 0 } else { dropped };
        let depth = u64::from(self.delivery.depth());
        let bounded = !self.delivery.is_lossless() || limit <= taken.saturating_add(depth);
        let forward =
            self.limit.is_none_or(|old| limit >= old) && taken >= self.taken && lost >= self.lost_there;
        if !bounded || !forward || taken > known || lost > known {
            return false;
        }
        self.limit = Some(limit);
        self.taken = taken;
        self.lost_there = lost;
        true
    }

    /// Parks a sample, the oldest of this lane going where the policy or the room says so.
    ///
    /// `parked` is what all lanes of the link park, in bytes, and `room` the bound. The newest sample of
    /// a lane is always parked: what other lanes park can cost it its older ones, but never that one.
    /// Returns the new total and how many samples had to go.
    pub(crate) fn park(&mut self, sample: Parked, mut parked: usize, room: usize) -> (usize, u64) {
        let cost = sample.cost();
        let mut dropped = 0;
        while self.parked.len() >= self.delivery.depth() as usize || parked + cost > room {
            let Some(oldest) = self.parked.pop_front() else { break };
            parked -= oldest.cost();
            dropped += 1;
            self.gap += oldest.missing.gap;
            self.lost += oldest.missing.lost;
        }
        self.parked.push_back(sample);
        self.gap += dropped;
        self.lost_here += dropped;
        (parked + cost, dropped)
    }
}

/// How samples of another line come to a lane.
///
/// They are numbered as they were there, and credit is granted there as it comes here: never more than the
/// interest at the far end granted, and for lossless no more than [`window`](Self::window) samples beyond what the
/// line took. So what waits here is bounded, and none of it is ever in the way of another lane.
pub(crate) struct Upstream {
    /// The number of the next sample that comes.
    pub(crate) next: u64,
    /// Samples below this number were granted; `None` before the first credit.
    pub(crate) granted: Option<u64>,
    /// Losses reported.
    pub(crate) lost: u64,
    /// About the largest payload of late.
    pub(crate) size: usize,
    /// What is missing behind the last parked sample.
    pub(crate) tail: Missing,
}

impl Upstream {
    pub(crate) fn new() -> Self {
        Self { next: 0, granted: None, lost: 0, size: FIRST_SIZE, tail: Missing::default() }
    }

    /// How many samples may come beyond what the line took.
    pub(crate) fn window(&self) -> u64 {
        let fit = WINDOW_BYTES / (self.size + PARKED_COST);
        fit.clamp(WINDOW_LEAST, WINDOW_MOST) as u64
    }

    pub(crate) fn note_size(&mut self, size: usize) {
        self.size = size.max(self.size - self.size / 64);
    }
}

/// How many bytes of one lossless lane may wait to be passed on, about, and in how many samples.
const WINDOW_BYTES: usize = 1 << 20;
const WINDOW_LEAST: usize = 2;
const WINDOW_MOST: usize = 512;

/// What a payload is taken for before one came: that is a window of 16.
const FIRST_SIZE: usize = 65_000;

/// What a parked sample costs beside its payload: its place in the queue and the heads of its buffer.
pub(crate) const PARKED_COST: usize = 96;

#[cfg(test)]
mod tests;
