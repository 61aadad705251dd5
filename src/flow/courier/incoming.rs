//! The repaired stream on its way to the reader: cut into frames, watched for aliases and times.

use super::lanes_in::{LanesIn, Missing};
use super::ready::Ready;
use super::reference::Reference;
use crate::time::Timestamp;
use crate::wire::control::{Control, Notify, Ping};
use crate::wire::fragment::read_fragment;
use crate::wire::packet::{MAX_COUNT, Tally};
use crate::wire::{Frame, Limits, Split, StampReader, check_opening, decode, kind, split, varint};

pub(super) struct Incoming {
    /// The beginning of a frame of which not all is there.
    partial: Vec<u8>,
    stamps: StampReader,
    limits: Limits,
    /// Until the first frame: what it begins with decides whether there are frames at all.
    opening: bool,
    /// Something came that is no frame: what follows goes to the reader as it is, which knows what to do.
    raw: bool,
    /// PINGs that came in the stream: their PONGs go back in the stream.
    pings: Vec<Timestamp>,
    /// Aliases that ended, whose unfinished samples nobody wants any more.
    pub(super) ended: bool,
}

/// What frames of the stream act on.
pub(super) struct Effects<'a> {
    /// When it came, less what its packet took longer than that of a PING.
    pub(super) arrived: Timestamp,
    pub(super) ready: &'a mut Ready,
    pub(super) lanes: &'a mut LanesIn,
    pub(super) reference: &'a mut Reference,
    /// The largest message taken.
    pub(super) largest: u32,
}

impl Effects<'_> {
    pub(super) fn missing(&mut self, alias: u32, missing: Missing) {
        if missing.dropped > 0 {
            self.ready.control(&Control::Gap { alias, count: missing.dropped });
        }
        if missing.lost > 0 {
            self.ready.control(&Control::Lost { alias, count: missing.lost });
        }
    }
}

impl Incoming {
    pub(super) fn new() -> Self {
        Self {
            partial: Vec::new(),
            stamps: StampReader::default(),
            limits: Limits::HANDSHAKE,
            opening: true,
            raw: false,
            pings: Vec::new(),
            ended: false,
        }
    }

    /// Takes the next bytes of the stream.
    pub(super) fn take(&mut self, bytes: &[u8], effects: &mut Effects<'_>) {
        if self.raw {
            return effects.ready.raw(bytes);
        }
        if self.partial.is_empty() {
            let used = self.cut(bytes, effects);
            self.partial.extend_from_slice(&bytes[used..]);
        } else {
            let mut partial = std::mem::take(&mut self.partial);
            partial.extend_from_slice(bytes);
            let used = self.cut(&partial, effects);
            partial.drain(..used);
            if partial.is_empty() && partial.capacity() > PARTIAL_KEPT {
                partial = Vec::new();
            }
            self.partial = partial;
        }
    }

    /// Bytes of a frame that is not whole.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn held(&self) -> usize {
        self.partial.len()
    }

    /// Whether this PING came in the stream.
    pub(super) fn is_ping(&self, sent: Timestamp) -> bool {
        self.pings.contains(&sent)
    }

    /// It is answered.
    pub(super) fn take_ping(&mut self, sent: Timestamp) {
        self.pings.retain(|ping| *ping != sent);
    }

    /// Handles all whole frames; returns how many bytes they took.
    fn cut(&mut self, bytes: &[u8], effects: &mut Effects<'_>) -> usize {
        let mut used = 0;
        if self.opening && check_opening(bytes).is_err() {
            self.raw = true;
        }
        while !self.raw {
            let rest = &bytes[used..];
            if let Some(body) = front_tally(rest) {
                let Some(body) = body else { return used };
                match read_tally(body) {
                    Some(tally) => {
                        if let Some(missing) = effects.lanes.tally(&tally) {
                            effects.missing(tally.alias, missing);
                        }
                        used += body.len() + 2;
                        continue;
                    }
                    None => self.raw = true,
                }
                break;
            }
            match split(rest, self.limits) {
                Ok(Split::Frame { frame, consumed }) => {
                    self.opening = false;
                    self.frame(frame, &rest[..consumed], effects);
                    used += consumed;
                }
                Ok(Split::NeedMore { .. }) => return used,
                Err(_) => self.raw = true,
            }
        }
        effects.ready.raw(&bytes[used..]);
        bytes.len()
    }

    fn frame(&mut self, frame: Frame<'_>, bytes: &[u8], effects: &mut Effects<'_>) {
        let (kind, body) = match frame {
            Frame::Message { alias, stamp, payload } => {
                let sent = self.stamps.apply(stamp);
                return effects.ready.message(alias, sent, payload);
            }
            Frame::Control { kind, body } => (kind, body),
        };
        if kind == kind::FRAGMENT {
            if let Ok(fragment) = read_fragment(body) {
                let sent = fragment.first.map(|stamp| self.stamps.apply(stamp));
                return effects.ready.fragment(&fragment, sent);
            }
        }
        let watched = matches!(
            (kind, body.first().copied()),
            (kind::TIME | kind::END | kind::PING | kind::PONG | kind::HANDSHAKE | kind::AT, _)
                | (kind::NOTIFY, Some(0 | kind::LINKED_PACKED))
        );
        match watched.then(|| decode(kind, body)) {
            Some(Ok(Control::Time(time))) => return self.stamps.reset(time),
            Some(Ok(Control::Notify(Notify::Linked { alias, .. } | Notify::Packed { alias, .. }))) => {
                effects.lanes.open(alias);
            }
            // It was linked on another connection.
            Some(Ok(Control::At { alias, .. })) => effects.lanes.open(alias),
            Some(Ok(Control::End { alias })) => {
                effects.lanes.close(alias);
                self.ended = true;
            }
            Some(Ok(Control::Hello(hello))) => effects.reference.note(hello.clock, effects.arrived),
            Some(Ok(Control::Accept(_))) => self.limits = Limits::agreed(effects.largest),
            Some(Ok(Control::Pong(pong))) => effects.reference.note(pong.sent, effects.arrived),
            Some(Ok(Control::Ping(Ping { sent }))) => {
                effects.reference.note(sent, effects.arrived);
                if self.pings.len() == MOST_PINGS {
                    self.pings.remove(0);
                }
                self.pings.push(sent);
            }
            // The reader says what is wrong with it.
            _ => {}
        }
        effects.ready.raw(bytes);
    }
}

/// The body of the TALLY at the front, the one kind that is of packet links alone; within, `None` where
/// not all of it is there.
fn front_tally(bytes: &[u8]) -> Option<Option<&[u8]>> {
    match *bytes {
        [length @ 1..=0x7F, tag, ref rest @ ..] if u32::from(tag) == STREAM_TALLY => {
            Some(rest.get(..usize::from(length) - 1))
        }
        _ => None,
    }
}

fn read_tally(body: &[u8]) -> Option<Tally> {
    let (alias, used) = varint::read_u32(body).ok()??;
    let body = &body[used..];
    let (next, used) = varint::read_u64(body).ok()??;
    let body = &body[used..];
    let (dropped, used) = varint::read_u64(body).ok()??;
    let valid = body.len() == used && alias <= kind::MAX_ALIAS && dropped.max(next) <= MAX_COUNT;
    valid.then_some(Tally { alias, next, dropped })
}

/// The kind of TALLY among the frames of a repaired stream.
pub(super) const STREAM_TALLY: u32 = 0x0F;

/// How many PINGs that came in the stream are remembered.
const MOST_PINGS: usize = 16;

/// The memory kept for unfinished frames, in bytes.
const PARTIAL_KEPT: usize = 64 * 1024;
