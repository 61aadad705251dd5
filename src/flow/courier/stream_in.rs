//! The repaired stream, incoming: what comes out of order waits in a window until it fits.

use crate::time::Timestamp;
use crate::wire::packet::MAX_RANGES;
use std::time::Duration;

pub(super) struct StreamIn {
    /// The place of the next byte.
    next: u64,
    /// The end of what was granted; it never goes back.
    right: u64,
    window: usize,
    /// What came from `next` on, with gaps; as long as needed.
    held: Vec<u8>,
    /// Where in the stream there are bytes in `held`: ascending, apart.
    ranges: Vec<(u64, u64)>,
    /// Segments taken since the last ACK.
    unacked: u8,
    /// When an ACK is due.
    ack_at: Option<Timestamp>,
    /// The longest to wait with it.
    patience: Duration,
}

impl StreamIn {
    pub(super) fn new(window: usize, patience: Duration) -> Self {
        Self {
            next: 0,
            right: window as u64,
            window,
            held: Vec::new(),
            ranges: Vec::new(),
            unacked: 0,
            ack_at: None,
            patience,
        }
    }

    /// Begins somewhere else than at 0.
    #[cfg(test)]
    pub(super) fn begin_at(&mut self, place: u64) {
        self.next = place;
        self.right = place + self.window as u64;
    }

    /// Takes a segment in, and hands what is next in order to `sink`.
    pub(super) fn segment(&mut self, now: Timestamp, offset: u32, bytes: &[u8], mut sink: impl FnMut(&[u8])) {
        // Where it stands is within 2 GiB of what is next, before or behind.
        let ahead = i64::from(offset.wrapping_sub(self.next as u32) as i32);
        let Some(start) = self.next.checked_add_signed(ahead) else { return self.ack_now(now) };
        let end = start + bytes.len() as u64;
        // Something beyond what was granted: cut off, or all of it dropped.
        let end = end.min(self.right);
        if end <= self.next || start >= end {
            return self.ack_now(now);
        }
        let skip = self.next.saturating_sub(start);
        let start = start + skip;
        let bytes = &bytes[skip as usize..(skip + end - start) as usize];
        if start > self.next {
            self.hold(start, bytes);
            return self.ack_now(now);
        }
        sink(bytes);
        self.next = end;
        if self.ranges.is_empty() {
            // An ACK can be long in going, while its thread waits for the line.
            self.unacked = self.unacked.saturating_add(1);
            if self.unacked >= 2 {
                self.ack_now(now);
            } else if self.ack_at.is_none() {
                self.ack_at = Some(now + self.patience);
            }
            return;
        }
        self.release(bytes.len(), sink);
        self.ack_now(now);
    }

    /// Keeps bytes that come too early.
    fn hold(&mut self, start: u64, bytes: &[u8]) {
        let end = start + bytes.len() as u64;
        let first = self.ranges.partition_point(|range| range.1 < start);
        let after = first + self.ranges[first..].partition_point(|range| range.0 <= end);
        if first == after && self.ranges.len() >= MOST_RANGES {
            return;
        }
        let (from, to) = ((start - self.next) as usize, (end - self.next) as usize);
        if self.held.len() < to {
            self.held.resize(to, 0);
        }
        self.held[from..to].copy_from_slice(bytes);
        let merged = match self.ranges.get(first..after) {
            Some([one, .., last]) => (start.min(one.0), end.max(last.1)),
            Some([one]) => (start.min(one.0), end.max(one.1)),
            _ => (start, end),
        };
        self.ranges.splice(first..after, [merged]);
    }

    /// Hands on what was held and is next now, after `shift` bytes came.
    fn release(&mut self, mut shift: usize, mut sink: impl FnMut(&[u8])) {
        while let Some(&(start, end)) = self.ranges.first() {
            if start > self.next {
                break;
            }
            self.ranges.remove(0);
            if end > self.next {
                let length = (end - self.next) as usize;
                sink(&self.held[shift..shift + length]);
                shift += length;
                self.next = end;
            }
        }
        self.held.drain(..shift.min(self.held.len()));
    }

    fn ack_now(&mut self, now: Timestamp) {
        self.ack_at = Some(now);
    }

    /// When an ACK is due.
    pub(super) fn wake(&self) -> Option<Timestamp> {
        self.ack_at
    }

    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.ack_at.is_some_and(|at| at <= now)
    }

    /// Tells how many bytes that came wait to be read, which the window is less by. Where what was granted
    /// runs short and there is room for much more, the other side is told.
    pub(super) fn waiting(&mut self, now: Timestamp, bytes: usize) {
        let left = self.right - self.next;
        let room = self.window.saturating_sub(bytes) as u64;
        if left < self.window as u64 / 4 && room >= left + self.window as u64 / 4 && self.ack_at.is_none() {
            self.ack_now(now);
        }
    }

    /// The ACK to be sent: place, window, and the first ranges as gaps and lengths. `waiting` bytes that
    /// came are yet to be read.
    pub(super) fn ack(&mut self, waiting: usize) -> (u32, u32, impl Iterator<Item = (u32, u32)> + '_) {
        self.ack_at = None;
        self.unacked = 0;
        self.right = self.right.max(self.next + self.window.saturating_sub(waiting) as u64);
        let mut at = self.next;
        let ranges = self.ranges.iter().take(MAX_RANGES).map(move |&(start, end)| {
            let gap = (start - at) as u32;
            at = end;
            (gap, (end - start) as u32)
        });
        (self.next as u32, (self.right - self.next) as u32, ranges)
    }

    /// What is held, in bytes.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }
}

/// How many separate ranges are kept: one more is dropped, and comes again.
const MOST_RANGES: usize = 64;
