//! What goes into the next packet.

use super::{Courier, Frames};
use crate::time::Timestamp;
use crate::wire::packet::{
    self, Age, Fragment, SEGMENT_HEAD, Tally, put_ack, put_fragment, put_message, put_piece, put_ping,
    put_pong, put_segment, put_tally,
};
use crate::wire::varint;

impl Courier {
    /// Makes the content of the next packet, if one is to be sent now.
    pub(crate) fn poll(&mut self, now: Timestamp, packet: &mut Vec<u8>) -> bool {
        packet.clear();
        self.stream_out.expire(now);
        if self.pace.next() > now {
            return false;
        }
        while self.put_frame(now, packet) && self.settings.frames == Frames::Many {}
        if packet.is_empty() {
            return false;
        }
        self.pace.sent(now, packet.len());
        self.counts.packets_out += 1;
        self.counts.bytes_out += (packet.len() + self.settings.overhead) as u64;
        true
    }

    /// When to poll, whatever comes in the meantime. In the past: at once.
    pub(crate) fn next_wake(&self) -> Option<Timestamp> {
        let work = self.wants_out();
        let timers = [self.stream_in.wake().map(|at| at.max(self.pace.next())), self.stream_out.wake()];
        let timers = timers.into_iter().flatten().min();
        if work { Some(timers.unwrap_or(self.pace.next()).min(self.pace.next())) } else { timers }
    }

    /// Whether something waits for the line, beside what waits for its time.
    fn wants_out(&self) -> bool {
        self.stream_out.has_work()
            || !self.lanes_out.is_empty()
            || self.lanes_out.has_tallies()
            || !self.slips.pongs.is_empty()
            || !self.slips.pings.is_empty()
    }

    /// Whether a poll would give a packet now.
    pub(crate) fn has_packet(&self, now: Timestamp) -> bool {
        self.pace.next() <= now
            && (self.wants_out()
                || self.stream_in.is_due(now)
                || self.stream_out.wake().is_some_and(|at| at <= now))
    }

    /// Whether something waits for nothing but the pace of the line.
    pub(crate) fn is_held_back(&self, now: Timestamp) -> bool {
        self.pace.next() > now && self.wants_out()
    }

    /// Room for the content of one more frame.
    fn room(&self, packet: &[u8]) -> usize {
        let left = self.settings.packet.saturating_sub(packet.len());
        match self.settings.frames {
            Frames::Single => left,
            Frames::Many => {
                // Its length stands before it: of the shortest form that can hold what fits.
                let length = varint::len(left.saturating_sub(1) as u64);
                left.saturating_sub(length)
            }
        }
    }

    fn put(&self, packet: &mut Vec<u8>, frame: impl FnOnce(&mut Vec<u8>)) {
        match self.settings.frames {
            Frames::Single => frame(packet),
            Frames::Many => put_piece(packet, frame),
        }
    }

    /// Adds one frame, of those that wait the most urgent that fits.
    fn put_frame(&mut self, now: Timestamp, packet: &mut Vec<u8>) -> bool {
        let room = self.room(packet);
        if room < SMALLEST {
            return false;
        }
        if self.stream_in.is_due(now) && room >= ACK_BYTES {
            let single = self.settings.frames == Frames::Single;
            let waiting = self.ready.len();
            let (next, window, ranges) = self.stream_in.ack(waiting);
            let put = |packet: &mut Vec<u8>| put_ack(packet, next, window, ranges);
            if single {
                put(packet)
            } else {
                put_piece(packet, put)
            }
            return true;
        }
        if room >= PONG_BYTES {
            if let Some(mut pong) = self.slips.pongs.pop_front() {
                // It leaves now: what it waited for the line is none of the way's.
                pong.sent = pong.sent.max(now + self.pace.backlog(now));
                self.put(packet, |packet| put_pong(packet, &pong));
                return true;
            }
            if let Some(ping) = self.slips.pings.pop_front() {
                self.put(packet, |packet| put_ping(packet, &ping));
                self.tally_for_sure();
                self.lanes_out.tally_all();
                return true;
            }
        }
        if self.lanes_out.has_urgent() && self.put_sample(now, packet, room) {
            return true;
        }
        let all = packet.is_empty();
        if self.stream_out.has_lost() {
            return self.put_segment(now, packet, room, all);
        }
        if self.stream_was_first {
            self.stream_was_first = false;
            return self.put_sample(now, packet, room)
                || self.put_segment(now, packet, room, all)
                || self.put_tally(packet, room);
        }
        if self.put_segment(now, packet, room, all) {
            self.stream_was_first = true;
            return true;
        }
        self.put_sample(now, packet, room) || self.put_tally(packet, room)
    }

    /// A tally that a PING asked for: last, as there may be as many as there are aliases.
    fn put_tally(&mut self, packet: &mut Vec<u8>, room: usize) -> bool {
        if room < TALLY_BYTES {
            return false;
        }
        let Some(tally) = self.lanes_out.next_tally() else { return false };
        self.put(packet, |packet| put_tally(packet, &tally));
        true
    }

    fn put_segment(&mut self, now: Timestamp, packet: &mut Vec<u8>, room: usize, all: bool) -> bool {
        if room <= SEGMENT_HEAD || !self.stream_out.has_work() {
            return false;
        }
        let single = self.settings.frames == Frames::Single;
        let Some((start, first, second)) = self.stream_out.next(now, room - SEGMENT_HEAD, all) else {
            return false;
        };
        let put = |packet: &mut Vec<u8>| put_segment(packet, start as u32, (first, second));
        if single {
            put(packet)
        } else {
            put_piece(packet, put)
        }
        true
    }

    fn put_sample(&mut self, now: Timestamp, packet: &mut Vec<u8>, room: usize) -> bool {
        let many = self.settings.frames == Frames::Many;
        let all = packet.is_empty();
        let Some((loose, tally)) = self.lanes_out.first(now, self.stream_out.acked()) else { return false };
        if let Some(tally) = tally {
            if room < TALLY_BYTES {
                return false;
            }
            put_framed(packet, many, |packet| put_tally(packet, &tally));
            self.lanes_out.tallied();
            return true;
        }
        let order = loose.order();
        let waited = (now + self.pace.backlog(now)) - loose.sent;
        let age = Age::of(u64::try_from(waited.as_micros()).unwrap_or(u64::MAX));
        let order_bytes = order.len();
        let tag = u64::from(packet::MESSAGE) + u64::from(loose.alias);
        let (total, at) = (loose.total, loose.base + loose.at);
        let (here, whole) = (loose.payload.len() - loose.at, at == 0 && loose.payload.len() == total);
        if whole && varint::len(tag) + order_bytes + age.len() + total <= room {
            put_framed(packet, many, |packet| put_message(packet, loose.alias, order, age, &loose.payload));
            self.sample_sent(now, total);
            return true;
        }
        if !all {
            // It has the next packet for itself, and fits there or is cut.
            return false;
        }
        let head = 1
            + varint::len(u64::from(loose.alias))
            + order_bytes
            + age.len()
            + varint::len(total as u64)
            + varint::len(at as u64);
        let length = room.saturating_sub(head).min(here);
        let fragment = Fragment {
            alias: loose.alias,
            order,
            age,
            total: u32::try_from(total).unwrap_or(u32::MAX),
            at: u32::try_from(at).unwrap_or(u32::MAX),
            bytes: &loose.payload[loose.at..loose.at + length],
        };
        put_framed(packet, many, |packet| put_fragment(packet, &fragment));
        self.sample_sent(now, length);
        true
    }

    fn sample_sent(&mut self, now: Timestamp, bytes: usize) {
        if let Some(alias) = self.lanes_out.sent(now, bytes) {
            self.tally_busy(alias);
        }
    }
}

fn put_framed(packet: &mut Vec<u8>, many: bool, frame: impl FnOnce(&mut Vec<u8>)) {
    if many { put_piece(packet, frame) } else { frame(packet) }
}

/// No frame is shorter than a MESSAGE without a payload.
const SMALLEST: usize = 3;
/// The most bytes of an ACK, of a PONG, and of a TALLY.
const ACK_BYTES: usize = 9 + packet::MAX_RANGES * 2 * varint::MAX_BYTES_U32;
const PONG_BYTES: usize = 25;
const TALLY_BYTES: usize = 24;

const _: () = assert!(ACK_BYTES < packet::MIN_PACKET && size_of::<Tally>() > 0);
