//! Samples too large for one packet, put together again.

use crate::time::Timestamp;
use crate::wire::packet::{Fragment, Order};
use std::time::Duration;

#[derive(Default)]
pub(super) struct Assemblies {
    open: Vec<Assembly>,
    spare: Vec<u8>,
}

/// One sample of which not all is there.
pub(super) struct Assembly {
    pub(super) alias: u32,
    pub(super) number: u64,
    pub(super) order: Order,
    /// When it was sent, by the earliest of its pieces.
    pub(super) sent: Timestamp,
    pub(super) bytes: Vec<u8>,
    total: usize,
    /// Which parts are there: ascending, apart.
    ranges: Vec<(u32, u32)>,
    heard: Timestamp,
}

/// What became of a piece.
pub(super) enum Piece {
    /// It was the last: the sample is whole.
    Whole(Assembly),
    Kept,
    /// It does not fit what is there, or there is no room.
    Refused,
}

impl Assemblies {
    /// Takes a piece of sample `number` in. `largest` bounds a sample; all that are open together may have
    /// [`MORE`] bytes beyond it.
    pub(super) fn piece(
        &mut self,
        now: Timestamp,
        number: u64,
        sent: Timestamp,
        fragment: &Fragment<'_>,
        largest: usize,
    ) -> Piece {
        let total = fragment.total as usize;
        let same = |assembly: &Assembly| assembly.alias == fragment.alias && assembly.number == number;
        let place = match self.open.iter().position(same) {
            Some(place) => place,
            None => {
                if total > largest || !self.make_room(now, fragment.alias, total, largest) {
                    return Piece::Refused;
                }
                let mut bytes = std::mem::take(&mut self.spare);
                bytes.clear();
                self.open.push(Assembly {
                    alias: fragment.alias,
                    number,
                    order: fragment.order,
                    sent,
                    bytes,
                    total,
                    ranges: Vec::new(),
                    heard: now,
                });
                self.open.len() - 1
            }
        };
        let assembly = &mut self.open[place];
        if assembly.total != total || !assembly.put(fragment.at, fragment.bytes) {
            return Piece::Refused;
        }
        assembly.heard = now;
        assembly.sent = assembly.sent.min(sent);
        if assembly.ranges == [(0, fragment.total)] {
            return Piece::Whole(self.open.swap_remove(place));
        }
        Piece::Kept
    }

    /// Gives the memory of a whole sample back.
    pub(super) fn recycle(&mut self, bytes: Vec<u8>) {
        self.spare = bytes;
    }

    /// Drops what `wanted` says nobody wants any more, and what was not heard of for long.
    pub(super) fn forget(&mut self, now: Timestamp, wanted: impl Fn(u32, u64) -> bool) -> u64 {
        let before = self.open.len();
        self.open.retain(|assembly| {
            wanted(assembly.alias, assembly.number) && now - assembly.heard < GIVEN_UP_AFTER
        });
        (before - self.open.len()) as u64
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// An older sample of the same alias gives way.
    fn make_room(&mut self, now: Timestamp, alias: u32, total: usize, largest: usize) -> bool {
        self.open.retain(|assembly| now - assembly.heard < GIVEN_UP_AFTER);
        loop {
            let taken: usize = self.open.iter().map(|assembly| assembly.total).sum();
            if self.open.len() < MOST && taken.saturating_add(total) <= largest.saturating_add(MORE) {
                return true;
            }
            match self.open.iter().position(|assembly| assembly.alias == alias) {
                Some(place) => drop(self.open.swap_remove(place)),
                None => return false,
            }
        }
    }

    /// What is held, in bytes.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn held(&self) -> usize {
        self.open.iter().map(|assembly| assembly.bytes.len()).sum()
    }
}

impl Assembly {
    fn put(&mut self, at: u32, bytes: &[u8]) -> bool {
        let (start, end) = (at, at + bytes.len() as u32);
        let first = self.ranges.partition_point(|range| range.1 < start);
        let after = first + self.ranges[first..].partition_point(|range| range.0 <= end);
        if first == after && self.ranges.len() >= MOST_RANGES || start as usize > self.bytes.len() + MOST_GAP
        {
            return false;
        }
        if self.bytes.len() < end as usize {
            self.bytes.resize(end as usize, 0);
        }
        self.bytes[start as usize..end as usize].copy_from_slice(bytes);
        let merged = match self.ranges.get(first..after) {
            Some([one, .., last]) => (start.min(one.0), end.max(last.1)),
            Some([one]) => (start.min(one.0), end.max(one.1)),
            _ => (start, end),
        };
        self.ranges.splice(first..after, [merged]);
        true
    }
}

/// How many samples may be put together at once.
const MOST: usize = 4;

/// What they may have in bytes beyond the largest sample, all together.
const MORE: usize = 64 * 1024;

/// How far ahead of what is there a part may be: memory is taken as bytes come.
const MOST_GAP: usize = 64 * 1024;

/// How many separate parts of a sample are kept track of.
const MOST_RANGES: usize = 64;

/// How long a sample may lack a piece.
const GIVEN_UP_AFTER: Duration = Duration::from_millis(500);
