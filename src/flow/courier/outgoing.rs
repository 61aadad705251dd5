//! What the writer gives, cut into frames and sorted: to the repaired stream, loose, or straight out.

use super::incoming::STREAM_TALLY;
use super::lanes_out::Way;
use super::{Courier, Slips};
use crate::time::Timestamp;
use crate::wire::control::{Control, Ping, Pong};
use crate::wire::fragment::{FragmentHead, peek_fragment, put_fragment_head};
use crate::wire::message::{Stamp, put_message_head};
use crate::wire::packet::Tally;
use crate::wire::{
    Frame, Limits, Split, StampReader, StampWriter, check_opening, decode, encode, kind, peek_message, split,
    varint,
};

/// Where in its stream the writer stands.
pub(super) struct Outgoing {
    /// The beginning of a frame of which not enough is there.
    head: Vec<u8>,
    /// Bytes of a frame that go on into the repaired stream as they come.
    passing: usize,
    /// A loose sample of which not all is there.
    collecting: Option<Collecting>,
    /// The writer's chain of stamps, and that of the repaired stream.
    theirs: StampReader,
    ours: StampWriter,
    opening: bool,
    /// These are no frames: all goes into the repaired stream as it is.
    raw: bool,
    /// The place in the repaired stream behind the last HANDSHAKE or END, which no PING may overtake.
    ended_at: u64,
    scratch: Vec<u8>,
}

struct Collecting {
    alias: u32,
    sent: Timestamp,
    payload: Vec<u8>,
    left: usize,
    /// It is a piece of a sample: whether the first one, and how many bytes come after it.
    piece: Option<(bool, usize)>,
}

impl Outgoing {
    pub(super) fn new() -> Self {
        Self {
            head: Vec::new(),
            passing: 0,
            collecting: None,
            theirs: StampReader::default(),
            ours: StampWriter::default(),
            opening: true,
            raw: false,
            ended_at: 0,
            scratch: Vec::new(),
        }
    }
}

impl Courier {
    /// Takes bytes of the writer's stream, which may be cut anywhere; returns how many.
    pub(crate) fn send(&mut self, now: Timestamp, bytes: &[u8]) -> usize {
        let mut used = 0;
        while used < bytes.len() || !self.outgoing.head.is_empty() {
            match self.send_some(&bytes[used..]) {
                Some(count) => used += count,
                None => break,
            }
        }
        self.stream_out.watch(now);
        used
    }

    /// How many bytes it lacks of the frame that it is in.
    #[cfg(test)]
    pub(super) fn unfinished(&self) -> usize {
        assert!(self.outgoing.head.is_empty(), "the head of a frame was cut");
        self.outgoing.passing + self.outgoing.collecting.as_ref().map_or(0, |collecting| collecting.left)
    }

    /// One step: how many bytes it took, `None` when there is no room or nothing more to do.
    fn send_some(&mut self, rest: &[u8]) -> Option<usize> {
        let out = &mut self.outgoing;
        if out.raw || out.passing > 0 {
            let wanted = if out.raw { rest.len() } else { out.passing.min(rest.len()) };
            let count = wanted.min(self.stream_out.room());
            self.stream_out.push(&rest[..count]);
            out.passing = out.passing.saturating_sub(count);
            return (count > 0).then_some(count);
        }
        if let Some(collecting) = &mut out.collecting {
            let count = collecting.left.min(rest.len());
            collecting.payload.extend_from_slice(&rest[..count]);
            collecting.left -= count;
            if collecting.left == 0 {
                if let Some(Collecting { alias, sent, payload, piece, .. }) = out.collecting.take() {
                    match piece {
                        None => self.lanes_out.push(alias, sent, payload),
                        Some((first, left)) => {
                            self.lanes_out.push_piece(alias, first.then_some(sent), payload, left);
                        }
                    }
                }
            }
            return (count > 0).then_some(count);
        }
        if out.head.is_empty() {
            match self.front(rest)? {
                0 => self.gather(rest),
                count => Some(count),
            }
        } else {
            let mut head = std::mem::take(&mut self.outgoing.head);
            let taken = self.front(&head);
            match taken {
                None => {
                    self.outgoing.head = head;
                    None
                }
                Some(0) => {
                    self.outgoing.head = head;
                    self.gather(rest)
                }
                Some(count) => {
                    head.drain(..count);
                    self.outgoing.head = head;
                    Some(0)
                }
            }
        }
    }

    /// Handles the frame at the front, or its head where the rest of it may follow: how many bytes that
    /// took, 0 if more of them are needed. `None`: there is no room.
    fn front(&mut self, bytes: &[u8]) -> Option<usize> {
        if self.outgoing.opening && check_opening(bytes).is_err() {
            self.outgoing.raw = true;
            return self.pass(bytes, bytes.len());
        }
        match split(bytes, Limits::agreed(u32::MAX)) {
            Ok(Split::Frame { frame, consumed }) => {
                let taken = match frame {
                    Frame::Message { alias, stamp, payload } => {
                        self.message_head(alias, stamp, payload.len()).then_some(consumed - payload.len())
                    }
                    Frame::Control { kind: kind::FRAGMENT, .. } => match peek_fragment(bytes) {
                        Some(head) => self.fragment_head(&head).then_some(head.header_len),
                        None => self.pass(bytes, consumed),
                    },
                    Frame::Control { kind, body } => self.control(kind, body, &bytes[..consumed]),
                };
                self.outgoing.opening &= taken.is_none();
                taken
            }
            Ok(Split::NeedMore { total: Some(total) }) => match peek_message(bytes) {
                Some(head) => {
                    self.message_head(head.alias, head.stamp, head.payload_len).then_some(head.header_len)
                }
                None if is_passed(bytes) => self.pass(bytes, total),
                None => match peek_fragment(bytes) {
                    Some(head) => self.fragment_head(&head).then_some(head.header_len),
                    None => Some(0),
                },
            },
            Ok(Split::NeedMore { total: None }) => Some(0),
            // Not for us to judge: the other side's reader will.
            Err(_) => {
                self.outgoing.raw = true;
                self.pass(bytes, bytes.len())
            }
        }
    }

    /// Puts as much of a frame of `total` bytes into the stream as there is room for; the rest passes later.
    fn pass(&mut self, bytes: &[u8], total: usize) -> Option<usize> {
        let room = self.stream_out.room();
        if room < bytes.len().min(HEAD_ROOM) {
            return None;
        }
        let count = bytes.len().min(room);
        self.stream_out.push(&bytes[..count]);
        self.outgoing.passing = total - count;
        Some(count)
    }

    /// Takes bytes into the head of a frame: as many as it may need, and no more.
    fn gather(&mut self, rest: &[u8]) -> Option<usize> {
        let head = &mut self.outgoing.head;
        // Control frames that are looked at are small; anything else is told by its first bytes, and what
        // follows them goes another way.
        let small = match head.first() {
            Some(&length)
                if head.len() >= 2
                    && length < 0x80
                    && u32::from(head[1]) < kind::MESSAGE
                    && u32::from(head[1]) != kind::FRAGMENT =>
            {
                usize::from(length) + 1 - head.len()
            }
            _ => 1,
        };
        let count = small.max(1).min(rest.len());
        head.extend_from_slice(&rest[..count]);
        (count > 0).then_some(count)
    }

    /// A message begins; false if there is no room for it.
    fn message_head(&mut self, alias: u32, stamp: Stamp, length: usize) -> bool {
        let way = self.lanes_out.way(alias, self.stream_out.acked());
        if way == Way::Later {
            // So that what it waits for comes: there may have been no room for that.
            self.tally_busy(alias);
            return false;
        }
        if way == Way::Loose {
            if !self.lanes_out.admits(alias, length) {
                return false;
            }
            let sent = self.outgoing.theirs.apply(stamp);
            let payload = self.lanes_out.buffer();
            if length == 0 {
                self.lanes_out.push(alias, sent, payload);
            } else {
                self.outgoing.collecting =
                    Some(Collecting { alias, sent, payload, left: length, piece: None });
            }
            return true;
        }
        if self.stream_out.room() < HEAD_ROOM {
            return false;
        }
        let sent = self.outgoing.theirs.apply(stamp);
        let out = self.outgoing.ours.stamp(sent);
        let scratch = &mut self.outgoing.scratch;
        scratch.clear();
        if out.time_first {
            encode(scratch, &Control::Time(sent));
        }
        put_message_head(scratch, alias, out.stamp, length);
        self.stream_out.push(scratch);
        self.outgoing.passing = length;
        self.lanes_out.streamed(alias, self.stream_out.end() + length as u64, false);
        true
    }

    /// A piece of a sample begins; false if there is no room for it.
    fn fragment_head(&mut self, head: &FragmentHead) -> bool {
        let FragmentHead { alias, first, left, payload_len, .. } = *head;
        let way = match first {
            Some(_) => self.lanes_out.way(alias, self.stream_out.acked()),
            None => self.lanes_out.way_of_more(alias),
        };
        if way == Way::Later {
            // So that what it waits for comes: there may have been no room for that.
            self.tally_busy(alias);
            return false;
        }
        if way == Way::Loose {
            if !self.lanes_out.admits_piece(alias, payload_len) {
                return false;
            }
            let sent = first.map_or(Timestamp::ZERO, |stamp| self.outgoing.theirs.apply(stamp));
            let (payload, piece) = (self.lanes_out.buffer(), Some((first.is_some(), left as usize)));
            self.outgoing.collecting = Some(Collecting { alias, sent, payload, left: payload_len, piece });
            return true;
        }
        if self.stream_out.room() < HEAD_ROOM {
            return false;
        }
        let out = &mut self.outgoing;
        out.scratch.clear();
        let stamp = first.map(|stamp| {
            let sent = out.theirs.apply(stamp);
            let again = out.ours.stamp(sent);
            if again.time_first {
                encode(&mut out.scratch, &Control::Time(sent));
            }
            again.stamp
        });
        put_fragment_head(&mut out.scratch, alias, stamp, left, payload_len);
        self.stream_out.push(&out.scratch);
        out.passing = payload_len;
        self.lanes_out.streamed(alias, self.stream_out.end() + payload_len as u64, left > 0);
        true
    }

    /// A whole control frame: how many of its bytes were taken, `None` if there is no room for it.
    fn control(&mut self, kind: u32, body: &[u8], bytes: &[u8]) -> Option<usize> {
        let watched = matches!(
            kind,
            kind::TIME
                | kind::GAP
                | kind::LOST
                | kind::END
                | kind::PING
                | kind::PONG
                | kind::HANDSHAKE
                | kind::AT
        );
        let whole = Some(bytes.len());
        match watched.then(|| decode(kind, body)) {
            Some(Ok(Control::Time(time))) => {
                self.outgoing.theirs.reset(time);
                return whole;
            }
            Some(Ok(Control::Gap { alias, count })) if self.lanes_out.is_loose(alias) => {
                return self.gap(alias, count, bytes).then_some(bytes.len());
            }
            Some(Ok(Control::Lost { alias, .. })) => {
                let passed = self.pass(bytes, bytes.len());
                if passed.is_some() {
                    self.lanes_out.lost(alias, self.stream_out.end() + self.outgoing.passing as u64);
                }
                return passed;
            }
            Some(Ok(Control::At { alias, .. })) if self.lanes_out.is_loose(alias) => {
                return self.at(alias, bytes).then_some(bytes.len());
            }
            // Behind a HANDSHAKE or an END it stands in line until that arrived.
            Some(Ok(Control::Ping(ping))) if self.stream_out.acked() >= self.outgoing.ended_at => {
                return self.slips.ping(ping).then_some(bytes.len());
            }
            Some(Ok(Control::Pong(pong))) => {
                if !self.incoming.is_ping(pong.echo) {
                    return self.slips.pong(pong).then_some(bytes.len());
                }
                if self.stream_out.room() < HEAD_ROOM {
                    return None;
                }
                self.incoming.take_ping(pong.echo);
            }
            Some(Ok(Control::End { alias })) => return self.end(alias, bytes).then_some(bytes.len()),
            Some(Ok(Control::Hello(hello))) => self.largest = hello.max_frame,
            _ => {}
        }
        // Samples go before what may be the last frame.
        if kind == kind::BYE && !self.lanes_out.is_empty() {
            return None;
        }
        let passed = self.pass(bytes, bytes.len());
        if kind == kind::HANDSHAKE && passed.is_some() {
            self.outgoing.ended_at = self.stream_out.end() + self.outgoing.passing as u64;
        }
        passed
    }

    /// Samples of a loose alias were dropped.
    fn gap(&mut self, alias: u32, count: u64, bytes: &[u8]) -> bool {
        if self.lanes_out.is_copied(alias) {
            if self.stream_out.room() < 2 * HEAD_ROOM || !self.lanes_out.is_empty() {
                return false;
            }
            // As where the number of the next one is told. One that was begun loose has its number already.
            let begun = self.lanes_out.give_up(alias);
            let mut gap = Vec::with_capacity(HEAD_ROOM);
            if count > u64::from(begun) {
                encode(&mut gap, &Control::Gap { alias, count: count - u64::from(begun) });
            }
            return self.at(alias, &gap);
        }
        match self.lanes_out.way(alias, self.stream_out.acked()) {
            Way::Loose => self.lanes_out.gap(alias, count),
            Way::Stream if self.stream_out.room() >= HEAD_ROOM => {
                self.stream_out.push(bytes);
                // Samples that were begun are given up with it.
                self.lanes_out.streamed(alias, self.stream_out.end(), false);
            }
            Way::Stream | Way::Later => return false,
        }
        true
    }

    /// The number of the next sample of a loose alias is told. What went before goes first, and is settled there: what
    /// did not come by then is lost.
    fn at(&mut self, alias: u32, bytes: &[u8]) -> bool {
        if self.stream_out.room() < HEAD_ROOM || !self.lanes_out.is_empty() {
            return false;
        }
        if let Some(tally) = self.lanes_out.tell(alias) {
            let scratch = &mut self.outgoing.scratch;
            put_stream_tally(scratch, &tally);
            self.stream_out.push(scratch);
        }
        self.stream_out.push(bytes);
        self.lanes_out.told(alias, self.stream_out.end(), self.stream_out.acked());
        true
    }

    fn end(&mut self, alias: u32, bytes: &[u8]) -> bool {
        // Its samples go first, those of others with them.
        if self.stream_out.room() < HEAD_ROOM || !self.lanes_out.is_empty() {
            return false;
        }
        if let Some(tally) = self.lanes_out.end(alias) {
            let scratch = &mut self.outgoing.scratch;
            put_stream_tally(scratch, &tally);
            self.stream_out.push(scratch);
        }
        self.stream_out.push(bytes);
        self.outgoing.ended_at = self.stream_out.end();
        self.lanes_out.settled(alias, self.stream_out.end(), self.stream_out.acked());
        true
    }
}

impl Courier {
    /// Tallies in the repaired stream, of aliases at rest: what told of their last samples may have been lost.
    pub(super) fn tally_for_sure(&mut self) {
        let Self { outgoing, stream_out, lanes_out, .. } = self;
        // Between two frames only.
        if outgoing.raw || outgoing.passing > 0 {
            return;
        }
        lanes_out.tally_resting(stream_out.acked(), |tally| {
            (stream_out.room() >= HEAD_ROOM).then(|| {
                put_stream_tally(&mut outgoing.scratch, tally);
                stream_out.push(&outgoing.scratch);
                stream_out.end()
            })
        });
    }

    /// A tally in the repaired stream of an alias that is busy, if one is due: so that what is known there for sure is
    /// never long ago.
    pub(super) fn tally_busy(&mut self, alias: u32) {
        let Self { outgoing, stream_out, lanes_out, .. } = self;
        let acked = stream_out.acked();
        if outgoing.raw || outgoing.passing > 0 || stream_out.room() < HEAD_ROOM {
            return;
        }
        if let Some(tally) = lanes_out.to_be_counted(alias, acked) {
            put_stream_tally(&mut outgoing.scratch, &tally);
            stream_out.push(&outgoing.scratch);
            lanes_out.counted(&tally, stream_out.end(), acked);
        }
    }
}

fn put_stream_tally(scratch: &mut Vec<u8>, tally: &Tally) {
    scratch.clear();
    scratch.push(0);
    for number in [u64::from(STREAM_TALLY), u64::from(tally.alias), tally.next, tally.dropped] {
        varint::put(scratch, number);
    }
    // At most 24 bytes.
    scratch[0] = (scratch.len() - 1) as u8;
}

impl Slips {
    fn ping(&mut self, ping: Ping) -> bool {
        if self.pings.len() >= MOST_SLIPS {
            return false;
        }
        self.pings.push_back(ping);
        true
    }

    fn pong(&mut self, pong: Pong) -> bool {
        if self.pongs.len() >= MOST_SLIPS {
            return false;
        }
        self.pongs.push_back(pong);
        true
    }
}

/// Whether this is the front of a control frame that goes into the stream unseen.
fn is_passed(bytes: &[u8]) -> bool {
    let Ok(Some((_, used))) = varint::read_u32(bytes) else { return false };
    bytes.get(used).is_some_and(|tag| {
        matches!(
            u32::from(*tag),
            kind::INTENTS | kind::INTERESTS | kind::NOTIFY | kind::CREDIT | 0x10 | 0x12..=0x17
        )
    })
}

/// Room for a TIME and the head of a message, or for a tally and an END or an AT, give or take a few bytes.
const HEAD_ROOM: usize = 32;

/// How many PINGs, and how many PONGs, may wait for the line.
const MOST_SLIPS: usize = 16;
