//! Samples that do not simply go into the batch.
//!
//! ```text
//!  urgent, small ──► ahead ─┐
//!  normal, small ──► batch ─┼─► one write: control, ahead, batch, then pieces by turns, one stride of them
//!  large, or bulk ─► queues ┘
//! ```
//! What is urgent goes ahead of the batch that waits. What is larger than a write should be is cut, and what is bulk waits
//! with it: of these, each write takes at least one piece. On a quiet line all of them are samples like any other.
//! Those of one lane never overtake each other.

use super::{Outbox, Outgoing, Put, put_gap, put_lost};
use crate::bytes::Bytes;
use crate::delivery::Delivery;
use crate::flow::batch::Batch;
use crate::flow::gauge::Gauge;
use crate::flow::lane::{Lane, LaneId, Missing};
use crate::flow::queues::{Cut, Queues, Waiting};
use crate::links::Links;
use crate::priority::Priority;
use crate::settings::Bounds;
use crate::time::Timestamp;
use crate::wire::control::Control;
use crate::wire::fragment::{MAX_FRAGMENT, put_fragment_head};
use crate::wire::message::{max_payload, put_message_head};
use crate::wire::{StampWriter, encode};

/// What waits beside the batch, and how large a write should be.
pub(super) struct Apart {
    pub(super) queues: Queues,
    /// Urgent samples, which go ahead of the batch.
    ahead: Batch,
    ahead_stamps: StampWriter,
    /// How many batches were taken, and one.
    edition: u64,
    /// The peer takes samples in pieces.
    fragments: bool,
    /// The bytes of a write that were set; `None`: as measured.
    fixed: Option<usize>,
    gauge: Gauge,
    /// What waited in the queues of barred lanes.
    pub(super) barred: Vec<Waiting>,
    /// How much was taken last, and when.
    taken: Option<(usize, Timestamp)>,
    /// Lanes that end once what waits of them went.
    pub(super) endings: usize,
    /// Control frames behind these ends, and how many of them count.
    pub(super) late: Vec<u8>,
    pub(super) late_counted: u64,
    /// The last frame, behind all that waits.
    pub(super) bye: Option<Control>,
}

impl Apart {
    pub(super) fn new() -> Self {
        Self {
            queues: Queues::default(),
            ahead: Batch::default(),
            ahead_stamps: StampWriter::default(),
            edition: 1,
            fragments: false,
            fixed: None,
            gauge: Gauge::new(),
            barred: Vec::new(),
            taken: None,
            endings: 0,
            late: Vec::new(),
            late_counted: 0,
            bye: None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ahead.is_empty() && self.queues.is_empty() && self.bye.is_none()
    }

    pub(super) fn stride(&self) -> usize {
        self.fixed.unwrap_or(self.gauge.stride())
    }

    pub(super) fn ahead(&self) -> &Batch {
        &self.ahead
    }

    /// The writer never ends what it took.
    pub(super) fn forget_write(&mut self) {
        self.taken = None;
        self.gauge.begin_anew();
    }

    pub(super) fn edition(&self) -> u64 {
        self.edition
    }

    /// The batch was taken: another begins.
    pub(super) fn turn_page(&mut self) {
        self.edition += 1;
    }

    /// All urgent samples, to be written or not.
    pub(super) fn take_ahead(&mut self) -> Batch {
        self.ahead_stamps = StampWriter::default();
        std::mem::take(&mut self.ahead)
    }
}

impl Outbox {
    /// The handshake told how large the peer's frames may be, and whether samples may be cut.
    pub(crate) fn set_peer(&mut self, max_frame: u32, fragments: bool) {
        self.largest = max_payload(max_frame);
        self.apart.fragments = fragments;
        self.note_stride();
    }

    /// Sets how many bytes a write of large samples has; `None`: as measured.
    pub(crate) fn set_stride(&mut self, bytes: Option<usize>) {
        self.apart.fixed = bytes;
        self.note_stride();
    }

    /// Sets how many bytes wait to be written at most.
    pub(crate) fn set_capacity(&mut self, bytes: usize) {
        self.capacity = bytes;
        self.due = bytes - bytes / 16;
    }

    fn note_stride(&mut self) {
        self.whole = if self.apart.fragments { self.apart.stride() } else { usize::MAX };
    }

    /// Makes a lane for samples under `alias`. They wait for its first credit.
    pub(crate) fn open_ranked(
        &mut self,
        alias: u32,
        delivery: Delivery,
        priority: Priority,
        bounds: Bounds,
    ) -> LaneId {
        let id = self.open(alias, delivery, bounds);
        if let Some(lane) = self.lane_mut(alias) {
            lane.priority = priority;
            lane.note_waiting(0);
        }
        id
    }

    /// Whether a sample goes ahead of the batch.
    fn is_hasty(&self, lane: &Lane, size: usize) -> bool {
        lane.priority == Priority::Urgent && lane.waiting == 0 && size <= self.whole
    }

    /// Whether there is room for a sample of a lane.
    pub(super) fn has_room_for(&self, lane: &Lane, size: usize) -> bool {
        if !lane.is_aside() && size <= self.whole {
            self.has_room(size)
        } else if self.is_hasty(lane, size) {
            if lane.batched == self.apart.edition {
                return self.has_room(size);
            }
            let waiting = self.apart.ahead.len();
            waiting == 0 || waiting + size <= self.capacity
        } else {
            self.apart.queues.has_room(lane.priority, size, self.capacity)
        }
    }

    /// Takes a sample that does not simply go into the batch, and that was granted.
    pub(super) fn put_apart(
        &mut self,
        alias: u32,
        sample: Outgoing<'_>,
        forced: bool,
        now: impl FnOnce() -> Timestamp,
    ) -> Put {
        if self.lane(alias).is_some_and(Lane::is_held) {
            return self.hold(alias, sample, forced, now);
        }
        let put = self.put_aside(alias, sample, forced, now);
        match self.lane(alias).filter(|lane| lane.links == Links::All) {
            Some(lane) => put.copied(lane.newest()),
            None => put,
        }
    }

    fn put_aside(
        &mut self,
        alias: u32,
        sample: Outgoing<'_>,
        forced: bool,
        now: impl FnOnce() -> Timestamp,
    ) -> Put {
        let size = sample.payload.len();
        let Some(lane) = self.lane(alias) else { return Put::Closed };
        let has_room = forced || self.has_room_for(lane, size);
        if lane.delivery.is_lossless() {
            if !lane.limit.is_some_and(|limit| lane.takes(limit, size)) {
                return if forced { self.go_past(alias) } else { self.turn_away(alias, true, now()) };
            }
            if !has_room {
                return Put::NoRoom;
            }
        } else if !has_room || !lane.parked.is_empty() {
            return self.park(alias, sample, now());
        }
        let idle = self.is_quiet() && size <= self.whole;
        let sent = if idle { self.now.now(true, now) } else { now() };
        let missing = match self.lane_mut(alias) {
            Some(lane) => {
                let gap = std::mem::take(&mut lane.gap);
                if lane.delivery.is_lossless() {
                    if gap > 0 {
                        lane.window.skipped(gap);
                    }
                    lane.window.sent(size);
                }
                Missing { gap, lost: 0 }
            }
            None => return Put::Closed,
        };
        self.place(alias, sample, sent, missing);
        if idle && self.may_write_inline(sent, size) { Put::Inline } else { Put::Queued }
    }

    /// Puts a sample where it is to wait: its number is counted, and that of those missing before it.
    pub(super) fn place(&mut self, alias: u32, sample: Outgoing<'_>, sent: Timestamp, missing: Missing) {
        let (whole, edition, size) = (self.whole, self.apart.edition, sample.payload.len());
        let quiet = self.is_quiet();
        let Some(lane) = self.lane_mut(alias) else { return };
        lane.sequence += missing.gap + missing.lost + 1;
        let fits = lane.waiting == 0 && size <= whole;
        // Behind another of its own in the batch it does not overtake that.
        let behind = lane.priority == Priority::Urgent && lane.batched == edition;
        if fits && (quiet || behind || lane.priority == Priority::Normal) {
            lane.batched = edition;
            put_gap(self.batch.bytes(), alias, missing.gap);
            put_lost(self.batch.bytes(), alias, missing.lost);
            self.append(alias, sent, sample);
        } else if fits && lane.priority == Priority::Urgent {
            let ahead = &mut self.apart.ahead;
            put_gap(ahead.bytes(), alias, missing.gap);
            put_lost(ahead.bytes(), alias, missing.lost);
            put_sample(ahead, &mut self.apart.ahead_stamps, alias, sent, sample);
        } else {
            let priority = lane.priority;
            lane.note_waiting(lane.waiting + 1);
            let payload = sample.shared.cloned().unwrap_or_else(|| Bytes::copy_from_slice(sample.payload));
            self.apart.queues.push(priority, Waiting::new(alias, sent, payload, missing));
        }
    }

    /// Nothing waits, and nobody writes or is about to.
    fn is_quiet(&self) -> bool {
        self.batch.is_empty() && self.apart.is_empty() && !self.gate.writing && !self.gate.woken
    }

    /// Moves what is urgent in front of the batch, which is about to be taken.
    pub(super) fn hasten(&mut self) {
        if self.apart.ahead.is_empty() {
            return;
        }
        let stamps = self.apart.ahead_stamps.clone();
        let mut ahead = self.apart.take_ahead();
        if self.batch.messages() == 0 {
            self.stamps = stamps;
        } else if let Some(base) = self.batch.base {
            // The stamps behind it count from where they were made.
            encode(ahead.bytes(), &Control::Time(Timestamp::from_micros(base)));
        }
        self.batch.put_ahead(ahead);
    }

    /// Adds pieces to what is about to be written: one at least, and one stride of them.
    pub(super) fn fill(&mut self, into: &mut Batch) {
        let stride = self.apart.stride();
        let mut bytes = 0;
        while bytes < stride {
            let Some(cut) = self.apart.queues.next(self.whole, stride.min(MAX_FRAGMENT)) else { break };
            bytes += cut.bytes.len();
            self.put_cut(into, &cut);
            if cut.left == 0 {
                self.left_queue(cut.alias);
            }
        }
        if self.apart.queues.is_empty() {
            if let Some(bye) = self.apart.bye.take() {
                self.say_bye(&bye);
            }
        }
    }

    fn put_cut(&mut self, into: &mut Batch, cut: &Cut) {
        let sample = Outgoing { payload: &cut.bytes, shared: Some(&cut.bytes) };
        put_gap(into.bytes(), cut.alias, cut.missing.gap);
        put_lost(into.bytes(), cut.alias, cut.missing.lost);
        if cut.is_whole() {
            return put_sample(into, &mut self.stamps, cut.alias, cut.sent, sample);
        }
        if into.messages() == 0 {
            into.base = self.stamps.time();
        }
        let first = cut.first.then(|| {
            let out = self.stamps.stamp(cut.sent);
            if out.time_first {
                encode(into.bytes(), &Control::Time(cut.sent));
            }
            out.stamp
        });
        let left = u32::try_from(cut.left).unwrap_or(u32::MAX);
        put_fragment_head(into.bytes(), cut.alias, first, left, cut.bytes.len());
        into.payload(sample.payload, sample.shared);
    }

    fn left_queue(&mut self, alias: u32) {
        let Some(lane) = self.lane_mut(alias) else { return };
        lane.note_waiting(lane.waiting.saturating_sub(1));
        if lane.ending && lane.is_through() {
            self.finish_late(alias);
        } else if lane.delivery.is_lossless() && lane.is_through() {
            // Held back while samples before it waited.
            self.tell_missing(alias);
        }
    }

    /// A lane that was to end is through with what waited.
    pub(super) fn finish_late(&mut self, alias: u32) {
        self.finish_lane(alias, false);
        self.apart.endings = self.apart.endings.saturating_sub(1);
        if self.apart.endings == 0 {
            let late = std::mem::take(&mut self.apart.late);
            self.batch.bytes().extend_from_slice(&late);
            self.batch.counted += std::mem::take(&mut self.apart.late_counted);
        }
    }

    /// The writer took `bytes` to write at `now`.
    pub(super) fn note_taken(&mut self, bytes: usize, now: Timestamp) {
        self.apart.taken = Some((bytes, now));
    }

    /// The writer is through with what it took, at `now`.
    pub(super) fn note_written(&mut self, now: Timestamp) {
        if let Some((bytes, began)) = self.apart.taken.take() {
            self.apart.gauge.wrote(bytes, began, now);
            self.note_stride();
        }
    }

    /// A sender wrote `bytes`, without waiting.
    pub(super) fn note_inline(&mut self, bytes: usize, now: Timestamp) {
        self.apart.gauge.wrote(bytes, now, now);
        self.note_stride();
    }

    /// Bytes of all that waits.
    #[cfg(test)]
    pub(super) fn waiting_bytes(&self) -> usize {
        self.batch.len() + self.apart.ahead.len() + self.apart.queues.bytes() + self.parked
    }

    /// Drops what waits beside the batch, and notes whose it was.
    pub(super) fn drop_apart(&mut self) {
        let ahead = self.apart.take_ahead();
        self.note_unwritten(&ahead);
        let left = &mut self.left;
        self.apart.queues.clear(|alias| left.entry(alias).or_default().unsent += 1);
    }
}

/// Appends a whole sample.
#[inline]
pub(super) fn put_sample(
    into: &mut Batch,
    stamps: &mut StampWriter,
    alias: u32,
    sent: Timestamp,
    sample: Outgoing<'_>,
) {
    if into.messages() == 0 {
        into.base = stamps.time();
    }
    let out = stamps.stamp(sent);
    let bytes = into.bytes();
    if out.time_first {
        encode(bytes, &Control::Time(sent));
    }
    put_message_head(bytes, alias, out.stamp, sample.payload.len());
    into.payload(sample.payload, sample.shared);
}
