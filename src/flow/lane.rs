//! One route on one link, seen from the side that sends.

use crate::bytes::Bytes;
use crate::delivery::Delivery;
use crate::time::Timestamp;
use std::collections::VecDeque;

/// The sending side of an alias.
///
/// ```text
///  closed ──open──► waiting ──first credit──► flowing ──end──► ending ──nothing parked──► free
///                      └───────────────────────end───────────────┘
/// ```
pub(crate) struct Lane {
    pub(crate) delivery: Delivery,
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
    /// Samples that found the line full, oldest first.
    pub(crate) parked: VecDeque<Parked>,
    pub(crate) ending: bool,
    /// The number of the retained sample it was given when it opened, or 0.
    pub(crate) given: u64,
}

/// A sample that waits for the line to take it.
pub(crate) struct Parked {
    pub(crate) sent: Timestamp,
    pub(crate) payload: Bytes,
}

impl Parked {
    /// What it costs in memory, about, in bytes. Even an empty one costs something, or a peer could have
    /// a million of them kept.
    pub(crate) fn cost(&self) -> usize {
        self.payload.len() + PARKED_COST
    }
}

impl Lane {
    pub(crate) fn new(delivery: Delivery) -> Self {
        Self {
            delivery,
            sequence: 0,
            limit: None,
            taken: 0,
            lost_there: 0,
            gap: 0,
            lost_here: 0,
            parked: VecDeque::new(),
            ending: false,
            given: 0,
        }
    }

    #[inline]
    pub(crate) fn has_credit(&self) -> bool {
        self.limit.is_some_and(|limit| self.sequence < limit)
    }

    /// Whether this retained sample is on its way already.
    #[inline]
    pub(crate) fn was_given(&self, retained: u64) -> bool {
        retained > 0 && retained == self.given
    }

    /// Takes in what the other side grants; false where it goes backwards or past what was sent.
    pub(crate) fn credit(&mut self, limit: u64, taken: u64, lost: u64) -> bool {
        let known = self.sequence + self.gap + self.parked.len() as u64;
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
        }
        self.parked.push_back(sample);
        self.gap += dropped;
        self.lost_here += dropped;
        (parked + cost, dropped)
    }
}

/// What a parked sample costs beside its payload: its place in the queue and the heads of its buffer.
pub(crate) const PARKED_COST: usize = 96;

#[cfg(test)]
mod tests;
