//! What a packet brings.

use super::incoming::Effects;
use super::lanes_in::Place;
use super::pieces::Piece;
use super::stream_out::Acked;
use super::{Courier, Frames};
use crate::time::Timestamp;
use crate::wire::control::Control;
use crate::wire::packet::{Age, Fragment, Order, PacketFault, PacketFrame, Tally, decode, pieces};
use std::time::Duration;

impl Courier {
    /// Takes the content of a packet that came. What is wrong with it is counted and does no harm.
    pub(crate) fn packet(&mut self, now: Timestamp, content: &[u8]) {
        self.counts.packets_in += 1;
        self.counts.bytes_in += (content.len() + self.settings.overhead) as u64;
        match self.settings.frames {
            Frames::Single => self.frame(now, decode(content), content.len()),
            Frames::Many => {
                for piece in pieces(content) {
                    let frame = piece.and_then(decode);
                    self.frame(now, frame, content.len());
                }
            }
        }
        if self.incoming.ended {
            self.incoming.ended = false;
            self.forget_pieces(now);
        }
        self.stream_in.waiting(now, self.ready.len());
    }

    fn frame(&mut self, now: Timestamp, frame: Result<PacketFrame<'_>, PacketFault>, size: usize) {
        match frame {
            Ok(PacketFrame::Message { alias, order, age, payload }) => {
                self.sample(now, alias, order, age, payload, size);
            }
            Ok(PacketFrame::Segment { offset, bytes }) => self.segment(now, offset, bytes, size),
            Ok(PacketFrame::Ack { next, window, ranges }) => {
                if self.stream_out.ack(now, next, window, &ranges) == Acked::Absurd {
                    self.counts.malformed += 1;
                }
            }
            Ok(PacketFrame::Ping(ping)) => {
                self.reference.note(ping.sent, now);
                self.slip(&Control::Ping(ping));
            }
            Ok(PacketFrame::Pong(pong)) => {
                self.reference.note(pong.sent, now);
                self.slip(&Control::Pong(pong));
            }
            Ok(PacketFrame::Tally(tally)) => self.tally(now, &tally),
            Ok(PacketFrame::Fragment(fragment)) => self.fragment(now, &fragment, size),
            // The beginning of a connection is not for the courier of one that stands.
            Ok(_) | Err(PacketFault::Unknown) => self.counts.unknown += 1,
            Err(PacketFault::Malformed) => self.counts.malformed += 1,
        }
    }

    fn segment(&mut self, now: Timestamp, offset: u32, bytes: &[u8], size: usize) {
        // As if it were no longer than a PING.
        let longer = self.pace.time_of_more(size.saturating_sub(PING_BYTES));
        let mut effects = Effects {
            arrived: now.shifted(-i64::try_from(longer.as_micros()).unwrap_or(i64::MAX)),
            ready: &mut self.ready,
            lanes: &mut self.lanes_in,
            reference: &mut self.reference,
            largest: self.largest,
        };
        let incoming = &mut self.incoming;
        self.stream_in.segment(now, offset, bytes, |bytes| incoming.take(bytes, &mut effects));
    }

    /// A PING or PONG goes to the reader at once, unless that leaves too many unread.
    fn slip(&mut self, control: &Control) {
        if self.ready.len() < self.most_ready() {
            self.ready.control(control);
        } else {
            self.counts.refused += 1;
        }
    }

    fn sample(&mut self, now: Timestamp, alias: u32, order: Order, age: Age, payload: &[u8], size: usize) {
        let Some(number) = self.place(now, alias, order) else { return };
        if payload.len() > self.largest as usize || self.ready.len() >= self.most_ready() {
            // It is counted as lost once a later one comes.
            self.counts.refused += 1;
            return;
        }
        let sent = self.sent(now, age, size);
        self.deliver(now, alias, number, order, sent, payload);
    }

    fn fragment(&mut self, now: Timestamp, fragment: &Fragment<'_>, size: usize) {
        let Some(number) = self.place(now, fragment.alias, fragment.order) else { return };
        if self.ready.len() >= self.most_ready() {
            self.counts.refused += 1;
            return;
        }
        let sent = self.sent(now, fragment.age, size);
        match self.assemblies.piece(now, number, sent, fragment, self.largest as usize) {
            Piece::Whole(whole) => {
                self.deliver(now, whole.alias, whole.number, whole.order, whole.sent, &whole.bytes);
                self.assemblies.recycle(whole.bytes);
            }
            Piece::Kept => {}
            Piece::Refused => self.counts.refused += 1,
        }
    }

    /// The number of a sample, if it is to be delivered.
    fn place(&mut self, now: Timestamp, alias: u32, order: Order) -> Option<u64> {
        match self.lanes_in.place(now, alias, order) {
            Place::Next(number) => return Some(number),
            Place::Late => self.counts.late += 1,
            Place::Closed => self.counts.stray += 1,
        }
        None
    }

    fn deliver(
        &mut self,
        now: Timestamp,
        alias: u32,
        number: u64,
        order: Order,
        sent: Timestamp,
        payload: &[u8],
    ) {
        let missing = self.lanes_in.take(now, alias, number, order);
        for (count, lost) in [(missing.dropped, false), (missing.lost, true)] {
            if count > 0 {
                let frame = if lost { Control::Lost { alias, count } } else { Control::Gap { alias, count } };
                self.ready.control(&frame);
            }
        }
        self.ready.message(alias, sent, payload);
        self.forget_pieces(now);
    }

    fn tally(&mut self, now: Timestamp, tally: &Tally) {
        if self.ready.len() >= self.most_ready() {
            self.counts.refused += 1;
            return;
        }
        let Some(missing) = self.lanes_in.tally(tally) else {
            self.counts.stray += 1;
            return;
        };
        let mut effects = Effects {
            arrived: now,
            ready: &mut self.ready,
            lanes: &mut self.lanes_in,
            reference: &mut self.reference,
            largest: self.largest,
        };
        effects.missing(tally.alias, missing);
        self.forget_pieces(now);
    }

    fn forget_pieces(&mut self, now: Timestamp) {
        if !self.assemblies.is_empty() {
            let lanes = &self.lanes_in;
            self.counts.torn += self.assemblies.forget(now, |alias, number| lanes.wants(alias, number));
        }
    }

    /// When a sample that came now was sent, by the other side's clock: the time it waited there and the
    /// time it took, also for being longer than a PING, are taken off.
    fn sent(&self, now: Timestamp, age: Age, size: usize) -> Timestamp {
        let longer = self.pace.time_of_more(size.saturating_sub(PING_BYTES));
        let off = Duration::from_micros(age.micros()) + longer;
        self.reference.sent(now).shifted(-i64::try_from(off.as_micros()).unwrap_or(i64::MAX))
    }

    /// How many bytes may wait to be read before loose samples are refused.
    fn most_ready(&self) -> usize {
        self.settings.window_in.saturating_add(self.largest as usize).saturating_add(READY_MORE)
    }

    /// The memory held for the other side, in bytes.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn held(&self) -> usize {
        self.ready.len() + self.stream_in.held() + self.incoming.held() + self.assemblies.held()
    }
}

/// The content of a packet that holds a PING.
const PING_BYTES: usize = 9;

/// What may wait to be read beyond a window of the stream and a message, in bytes.
const READY_MORE: usize = 64 * 1024;
