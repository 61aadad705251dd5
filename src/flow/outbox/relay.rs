//! Samples of other links that are passed on to this one.
//!
//! Such a lane takes samples as any other, with the time at which they were sent first, and by the same
//! policies; save that a lossless one, which is never granted more than it may send, parks what finds the line
//! full, and loses nothing. Numbers that are missing keep their place among the samples.

use super::{BY_REFERENCE, Outbox, Outgoing, Put, put_gap, put_lost};
use crate::bytes::Bytes;
use crate::delivery::Delivery;
use crate::flow::lane::{Lane, Missing, Parked, Upstream};
use crate::settings::Bounds;
use crate::time::Timestamp;
use crate::wire::control::Credit;
use crate::wire::packed;

/// Why a line is told of what it was granted on another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Onward {
    /// Credit came: whatever is more.
    Credit,
    /// Samples were taken by the line: half a window, or whatever is more where nothing was left.
    Room,
    /// It is time to report losses.
    Losses,
}

impl Outbox {
    /// Makes a lane for samples that are passed on. They wait for its first credit.
    pub(crate) fn open_relay(&mut self, alias: u32, delivery: Delivery) {
        // The endpoint of the intent keeps the bounds; here they are those of what is held.
        self.open(alias, delivery, Bounds::NONE);
        if let Some(lane) = self.lane_mut(alias) {
            lane.upstream = Some(Box::new(Upstream::new()));
        }
    }

    /// The payloads of a lane are packed.
    pub(crate) fn set_packed(&mut self, alias: u32) {
        if let Some(lane) = self.lane_mut(alias) {
            lane.packed = true;
        }
    }

    /// Takes a sample that was sent elsewhere, at `sent`. `Inline` is as for [`put`](Self::put).
    pub(crate) fn forward(
        &mut self,
        alias: u32,
        sample: Outgoing<'_>,
        sent: Timestamp,
        now: impl FnOnce() -> Timestamp,
    ) -> Put {
        let size = sample.payload.len();
        let (has_room, largest, closed) = (self.has_room(size), self.largest, self.closed);
        let Some(lane) = self.lane_mut(alias).filter(|lane| !lane.ending && !closed) else {
            return Put::Closed;
        };
        // Of a packed payload it counts what it becomes: the reader would close the link.
        let unpacked =
            if lane.packed { packed::look(sample.payload).map_or(0, |it| it.size()) } else { size };
        let fits = size <= largest + lane.more() && unpacked <= largest;
        let Some(upstream) = lane.upstream.as_mut().filter(|_| lane.limit.is_some()) else {
            return Put::NotOpen;
        };
        if !fits {
            lane.lost_here += 1;
            self.forward_missing(alias, Missing { gap: 1, lost: 0 });
            return Put::TooLarge;
        }
        upstream.next += 1;
        upstream.note_size(size);
        if !has_room || !lane.parked.is_empty() {
            return self.park_relayed(alias, sample, sent);
        }
        lane.sequence += 1;
        let missing = Missing { gap: std::mem::take(&mut lane.gap), lost: std::mem::take(&mut lane.lost) };
        lane.sequence += missing.gap + missing.lost;
        let alone = self.batch.is_empty();
        let now = self.now.now(alone, now);
        put_gap(self.batch.bytes(), alias, missing.gap);
        put_lost(self.batch.bytes(), alias, missing.lost);
        self.append(alias, sent, sample);
        let quiet = alone && !self.gate.writing && !self.gate.woken && !self.gate.loaded;
        if quiet && self.urgent.is_empty() && now - self.gate.last >= super::QUIET && size < BY_REFERENCE {
            return Put::Inline;
        }
        Put::Queued
    }

    /// Takes in that samples went missing before they came here.
    pub(crate) fn forward_missing(&mut self, alias: u32, missing: Missing) {
        let Some(lane) = self.lane_mut(alias) else { return };
        let Some(upstream) = &mut lane.upstream else { return };
        upstream.next += missing.gap + missing.lost;
        if lane.parked.is_empty() {
            lane.gap += missing.gap;
            lane.lost += missing.lost;
            if lane.delivery.is_lossless() && lane.limit.is_some() {
                self.tell_missing(alias);
            }
        } else {
            upstream.tail.gap += missing.gap;
            upstream.tail.lost += missing.lost;
        }
    }

    fn park_relayed(&mut self, alias: u32, sample: Outgoing<'_>, sent: Timestamp) -> Put {
        let payload = sample.shared.cloned().unwrap_or_else(|| Bytes::copy_from_slice(sample.payload));
        let (parked, held, capacity) = (self.parked, self.held, self.capacity);
        let Some(lane) = self.lane_mut(alias) else { return Put::Closed };
        let missing = lane.upstream.as_mut().map(|upstream| std::mem::take(&mut upstream.tail));
        let sample = Parked { sent, payload, missing: missing.unwrap_or_default() };
        if lane.delivery.is_lossless() {
            if held + sample.cost() > HELD {
                return Put::NoRoom;
            }
            let held = held + sample.cost();
            lane.parked.push_back(sample);
            self.held = held;
            return Put::Parked(0);
        }
        let (parked, dropped) = lane.park(sample, parked, capacity);
        self.parked = parked;
        Put::Parked(dropped)
    }

    /// What to tell the line from which the samples of a lane come, if it is worth a frame.
    ///
    /// Each frame but the first needs samples that came before it, so nobody can have that line flooded.
    pub(crate) fn onward(&mut self, alias: u32, why: Onward) -> Option<Credit> {
        let lane = self.lane_mut(alias)?;
        let upstream = lane.upstream.as_mut()?;
        let limit = lane.limit?;
        let window = upstream.window().min(u64::from(lane.delivery.depth()));
        let limit = if lane.delivery.is_lossless() { limit.min(lane.sequence + window) } else { u64::MAX };
        let lost = lane.lost_there.saturating_add(lane.lost_here).min(upstream.next);
        let worth = match upstream.granted {
            None => true,
            Some(granted) => {
                let more = limit.saturating_sub(granted);
                let starved = upstream.next >= granted;
                more > 0 && (why == Onward::Credit || starved || more >= window.div_ceil(2))
            }
        };
        if !worth && (why != Onward::Losses || lost <= upstream.lost) {
            return None;
        }
        let granted = upstream.granted.map_or(limit, |granted| granted.max(limit));
        (upstream.granted, upstream.lost) = (Some(granted), lost);
        Some(Credit { alias, limit: granted, taken: lane.taken.min(upstream.next), lost })
    }

    /// The lanes of which some were unparked since the last call.
    pub(crate) fn take_moved(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.moved)
    }
}

/// A sample of a lane that is passed on left its place: the line it came from may be granted more.
pub(super) fn unparked(lane: &mut Lane, moved: &mut Vec<u32>, alias: u32) {
    let Some(upstream) = &mut lane.upstream else { return };
    if lane.parked.is_empty() {
        let tail = std::mem::take(&mut upstream.tail);
        lane.gap += tail.gap;
        lane.lost += tail.lost;
    }
    if lane.delivery.is_lossless() && !moved.contains(&alias) {
        moved.push(alias);
    }
}

/// How many bytes of lossless samples may wait to be passed on to one link. Windows are such that only
/// dozens of large lossless routes at once come to so much on a link that stands still.
const HELD: usize = 64 << 20;
