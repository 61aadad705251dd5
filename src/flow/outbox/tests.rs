//! What the writer would write is decoded as the other side would, and checked.

use super::*;
use crate::flow::lane::{PARKED_COST, Parked};
use crate::priority::Priority;
use crate::wire::control::{Credit, Ping};
use crate::wire::fragment::read_fragment;
use crate::wire::kind::FRAGMENT;
use crate::wire::message::MESSAGE_HEAD_MAX;
use crate::wire::{Frame, Limits, Split, StampReader, decode, split};
use std::collections::BTreeMap;

mod copies;
mod ending;
mod flood;
mod full;
mod kept;
mod lanes;
mod model;
mod parking;
mod relay;
mod resuming;
mod writing;

/// An outbox with a clock that stands, its writer, and the reader at the other end.
pub(super) struct Bench {
    pub(super) outbox: Door,
    pub(super) now: Timestamp,
    /// Bytes that were written and make no whole frame yet.
    rest: Vec<u8>,
    stamps: StampReader,
    /// The number of the next sample of each alias.
    next: BTreeMap<u32, u64>,
    /// The lane opened last under each alias.
    lanes: BTreeMap<u32, LaneId>,
    pub(super) got: Vec<Got>,
    /// Samples of which not all pieces came, with when they were sent; and how many pieces came.
    open: BTreeMap<u32, (u64, Vec<u8>)>,
    pub(super) pieces: usize,
    /// Those of lanes that are opened.
    bounds: Bounds,
    wrote: bool,
}

/// What came out at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Got {
    Sample { alias: u32, sequence: u64, sent: u64, payload: Vec<u8> },
    Gap { alias: u32, count: u64 },
    Control(Control),
}

impl Bench {
    pub(super) fn new(capacity: usize) -> Self {
        let mut outbox = Outbox::new(capacity);
        outbox.set_peer(1 << 20, false);
        Self {
            outbox: Door::new(outbox),
            now: Timestamp::from_micros(1_000_000),
            rest: Vec::new(),
            stamps: StampReader::default(),
            next: BTreeMap::new(),
            lanes: BTreeMap::new(),
            got: Vec::new(),
            open: BTreeMap::new(),
            pieces: 0,
            bounds: Bounds::NONE,
            wrote: false,
        }
    }

    /// A lane that waits for its first credit.
    pub(super) fn open_waiting(&mut self, alias: u32, delivery: Delivery) {
        let lane = self.outbox.open(alias, delivery, self.bounds);
        self.lanes.insert(alias, lane);
    }

    /// The lane opened last under an alias, or one that never was.
    pub(super) fn lane(&self, alias: u32) -> LaneId {
        self.lanes.get(&alias).copied().unwrap_or(LaneId { alias, opening: u32::MAX })
    }

    pub(super) fn open(&mut self, alias: u32, delivery: Delivery) {
        self.open_waiting(alias, delivery);
        let limit = if delivery.is_lossless() { u64::from(delivery.depth()) } else { u64::MAX };
        assert_eq!(self.outbox.credit(Credit { alias, limit, taken: 0, lost: 0 }), Some(FIRST));
    }

    pub(super) fn open_ranked(&mut self, alias: u32, delivery: Delivery, priority: Priority) {
        let lane = self.outbox.open_ranked(alias, delivery, priority, self.bounds);
        self.lanes.insert(alias, lane);
        let limit = if delivery.is_lossless() { u64::from(delivery.depth()) } else { u64::MAX };
        assert_eq!(self.outbox.credit(Credit { alias, limit, taken: 0, lost: 0 }), Some(FIRST));
    }

    pub(super) fn put(&mut self, alias: u32, payload: &[u8]) -> Put {
        let now = self.now;
        self.outbox.put(self.lane(alias), Outgoing { payload, shared: None }, false, || now)
    }

    pub(super) fn admits(&mut self, alias: u32, size: usize) -> Put {
        let now = self.now;
        self.outbox.admits(self.lane(alias), size, || now)
    }

    /// Looks for so long whether lane 0 has room, as whoever waits for it does; the last look is left to the caller.
    pub(super) fn look_for(&mut self, span: Duration) {
        let until = self.now + span;
        loop {
            let (Put::NoCredit(again) | Put::TooManyBytes(again)) = self.admits(0, usize::from(u16::MAX))
            else {
                panic!("there is room, or nobody to wait for");
            };
            if self.now + again >= until {
                self.now = until;
                break;
            }
            self.now = self.now + again;
        }
    }

    fn put_shared(&mut self, alias: u32, payload: &Bytes) -> Put {
        let now = self.now;
        self.outbox.put(self.lane(alias), Outgoing { payload, shared: Some(payload) }, false, || now)
    }

    /// What the writer is given next: urgent frames and the batch, as bytes.
    fn take(&mut self) -> Option<(Vec<u8>, Vec<u8>)> {
        let (mut urgent, mut batch) = (Vec::new(), Batch::default());
        let now = self.now;
        let some = self.outbox.take(&mut urgent, &mut batch, || now, self.wrote);
        self.wrote = some;
        some.then(|| (urgent, all(&mut batch)))
    }

    /// The writer writes once.
    pub(super) fn write(&mut self) -> bool {
        let Some((urgent, batch)) = self.take() else { return false };
        self.receive(&urgent);
        self.receive(&batch);
        true
    }

    /// The writer writes until there is nothing left.
    pub(super) fn write_all(&mut self) {
        while self.write() {}
        assert!(self.rest.is_empty(), "a frame was begun and not finished");
    }

    /// A sender writes `most` bytes of its own sample inline. Whether it then tells the writer to come.
    pub(super) fn write_inline(&mut self, most: usize) -> bool {
        let mut batch = Batch::default();
        self.outbox.take_inline(&mut batch);
        let bytes = batch.as_one_piece().expect("one small sample").to_vec();
        let count = bytes.len().min(most);
        self.receive(&bytes[..count]);
        batch.wrote(count);
        self.outbox.end_inline(&mut batch, self.now);
        assert_eq!(batch.len(), 0);
        self.outbox.wake()
    }

    /// Bytes reach the other end.
    pub(super) fn receive(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        let rest = std::mem::take(&mut self.rest);
        let mut from = 0;
        while let Split::Frame { frame, consumed } =
            split(&rest[from..], Limits::agreed(1 << 20)).expect("a frame")
        {
            from += consumed;
            self.frame(frame);
        }
        self.rest = rest[from..].to_vec();
    }

    fn frame(&mut self, frame: Frame<'_>) {
        match frame {
            Frame::Message { alias, stamp, payload } => {
                let next = self.next.entry(alias).or_default();
                let sent = self.stamps.apply(stamp).micros();
                self.got.push(Got::Sample { alias, sequence: *next, sent, payload: payload.to_vec() });
                *next += 1;
            }
            Frame::Control { kind: FRAGMENT, body } => {
                let piece = read_fragment(body).expect("a piece");
                let (alias, stamps) = (piece.alias, &mut self.stamps);
                if let Some(stamp) = piece.first {
                    self.open.insert(alias, (stamps.apply(stamp).micros(), Vec::new()));
                }
                self.pieces += 1;
                let (sent, bytes) = self.open.get_mut(&alias).expect("it began");
                bytes.extend_from_slice(piece.bytes);
                if piece.left == 0 {
                    let (next, sent) = (self.next.entry(alias).or_default(), *sent);
                    let payload = std::mem::take(bytes);
                    self.got.push(Got::Sample { alias, sequence: *next, sent, payload });
                    *next += 1;
                }
            }
            Frame::Control { kind, body } => match decode(kind, body).expect("a control frame") {
                Control::Time(time) => self.stamps.reset(time),
                Control::Gap { alias, count } => {
                    *self.next.entry(alias).or_default() += count;
                    self.got.push(Got::Gap { alias, count });
                }
                control => {
                    if let Control::Lost { alias, count } = &control {
                        *self.next.entry(*alias).or_default() += count;
                    }
                    self.got.push(Got::Control(control));
                }
            },
        }
    }

    /// The numbers and payloads of the samples of an alias that arrived.
    pub(super) fn samples(&self, of: u32) -> Vec<(u64, Vec<u8>)> {
        let samples = self.got.iter().filter_map(|got| match got {
            Got::Sample { alias, sequence, payload, .. } if *alias == of => {
                Some((*sequence, payload.clone()))
            }
            _ => None,
        });
        samples.collect()
    }

    fn sequences(&self, alias: u32) -> Vec<u64> {
        self.samples(alias).into_iter().map(|(sequence, _)| sequence).collect()
    }

    /// Fills the batch, by a lane of its own, so that what follows finds no room.
    fn fill(&mut self) {
        self.open(FILLER, Delivery::Lossless(1));
        let sample = Outgoing { payload: &[0; CAPACITY], shared: None };
        assert_ne!(self.outbox.put(self.lane(FILLER), sample, true, || Timestamp::ZERO), Put::NoRoom);
    }
}

pub(super) fn all(batch: &mut Batch) -> Vec<u8> {
    let mut bytes = Vec::new();
    while !batch.is_empty() {
        let mut slices = Vec::new();
        batch.slices(&mut slices);
        let before = bytes.len();
        slices.iter().for_each(|slice| bytes.extend_from_slice(slice));
        drop(slices);
        batch.wrote(bytes.len() - before);
    }
    bytes
}

/// The first credit of a lane, and any other.
const FIRST: Credited = Credited { first: true, missed: None };
const MORE: Credited = Credited { first: false, missed: None };

const CAPACITY: usize = 4096;
const FILLER: u32 = 9;

fn ping(micros: u64) -> Control {
    Control::Ping(Ping { sent: Timestamp::from_micros(micros) })
}
