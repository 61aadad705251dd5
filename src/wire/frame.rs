//! Cutting a stream of bytes into frames.
//!
//! Nothing is copied and nothing is allocated: a frame is a view of the buffer. A reader calls
//! [`check_opening`] until the first frame is whole, then [`split`] until it wants more bytes.

use super::error::{Fault, FirstBytes, WireError};
use super::kind;
use super::message::Stamp;
use super::varint::{self, MAX_BYTES_U32};

/// One frame of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    Message { alias: u32, stamp: Stamp, payload: &'a [u8] },
    Control { kind: u32, body: &'a [u8] },
}

/// What the front of a buffer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Split<'a> {
    /// A whole frame, in the first `consumed` bytes.
    Frame { frame: Frame<'a>, consumed: usize },
    /// The beginning of a frame of `total` bytes, `None` when not even its length is there.
    NeedMore { total: Option<usize> },
}

/// The largest frames taken from a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    message: u32,
    control: u32,
    /// The largest length of one byte that a message may have.
    short: u8,
}

impl Limits {
    /// Until the handshake is done.
    pub(crate) const HANDSHAKE: Limits =
        Limits { message: kind::MAX_HANDSHAKE_FRAME, control: kind::MAX_HANDSHAKE_FRAME, short: 0x7F };

    /// From then on: messages up to the `max_frame` announced, control frames up to their own bound.
    pub(crate) const fn agreed(max_frame: u32) -> Limits {
        let short = if max_frame < 0x7F { max_frame as u8 } else { 0x7F };
        Limits { message: max_frame, control: kind::MAX_CONTROL_FRAME, short }
    }

    const fn largest(self) -> u32 {
        if self.message > self.control { self.message } else { self.control }
    }
}

/// Takes the frame at the front of `buffer`.
///
/// # Errors
/// As soon as the bytes there cannot become a frame, whole or not: the stream is lost from there on.
#[inline]
pub(crate) fn split(buffer: &[u8], limits: Limits) -> Result<Split<'_>, WireError> {
    match split_small(buffer, limits) {
        Some((alias, stamp, payload)) => {
            let frame = Frame::Message { alias, stamp, payload };
            Ok(Split::Frame { frame, consumed: SMALL_HEAD + payload.len() })
        }
        None => split_any(buffer, limits),
    }
}

/// Takes the message at the front of `buffer` if its length and its tag have one byte each and all of it
/// is there: nearly all of a busy stream.
#[inline]
pub(crate) fn split_small(buffer: &[u8], limits: Limits) -> Option<(u32, Stamp, &[u8])> {
    let &[length, tag @ 0x20..=0x7F, low, high, ref rest @ ..] = buffer else { return None };
    if !(3..=limits.short).contains(&length) {
        return None;
    }
    let payload = rest.get(..usize::from(length) - 3)?;
    Some((u32::from(tag) - kind::MESSAGE, Stamp::from_bytes([low, high]), payload))
}

/// How many bytes stand before the payload of a message that [`split_small`] takes.
pub(crate) const SMALL_HEAD: usize = 4;

/// Checks that a stream begins as one of this protocol does, as far as it is there yet: with a
/// HANDSHAKE initial, or with a BYE from a peer that will not talk.
///
/// # Errors
/// [`WireError::NotBowline`] at the first byte that cannot be.
pub(crate) fn check_opening(buffer: &[u8]) -> Result<(), WireError> {
    let wrong = || WireError::NotBowline { first: FirstBytes::of(buffer) };
    let Some((length, used)) = varint::read(buffer, 2).map_err(|_| wrong())? else { return Ok(()) };
    if length > u64::from(kind::MAX_HANDSHAKE_FRAME) {
        return Err(wrong());
    }
    let rest = &buffer[used..];
    let Some(&tag) = rest.first() else { return Ok(()) };
    let opens = match u32::from(tag) {
        kind::HANDSHAKE => {
            let [a, b, c, d] = kind::MAGIC;
            rest[1..].iter().zip([0, a, b, c, d]).all(|(&there, wanted)| there == wanted)
        }
        kind::BYE => length >= 3,
        _ => false,
    };
    if opens { Ok(()) } else { Err(wrong()) }
}

fn split_any(buffer: &[u8], limits: Limits) -> Result<Split<'_>, WireError> {
    let broken = |field| move |fault| WireError::Frame { fault: Fault::Varint { field, fault } };
    let Some((length, length_bytes)) = varint::read(buffer, MAX_BYTES_U32).map_err(broken("length"))? else {
        return Ok(Split::NeedMore { total: None });
    };
    if length == 0 {
        return Err(WireError::Frame { fault: Fault::Empty });
    }
    within(length, None, limits.largest())?;
    let rest = &buffer[length_bytes..];
    // Cannot be cut short: it is within the limits, which are `u32`.
    let length_here = length as usize;
    let (rest, whole) = match rest.get(..length_here) {
        Some(frame) => (frame, true),
        None => (rest, false),
    };
    let total = length_bytes + length_here;
    let Some((tag, tag_bytes)) = varint::read_u32(rest).map_err(broken("tag"))? else {
        return if whole {
            Err(WireError::Frame { fault: Fault::Ends { field: "tag" } })
        } else {
            Ok(Split::NeedMore { total: Some(total) })
        };
    };
    if tag < kind::MESSAGE {
        if !kind::is_taken(tag) {
            return Err(WireError::UnknownKind { kind: tag });
        }
        within(length, Some(tag), limits.control)?;
    } else {
        within(length, Some(tag), limits.message)?;
        if length_here < tag_bytes + Stamp::BYTES {
            return Err(WireError::Body { kind: tag, fault: Fault::Ends { field: "stamp" } });
        }
    }
    if !whole {
        return Ok(Split::NeedMore { total: Some(total) });
    }
    let frame = match &rest[tag_bytes..] {
        [low, high, payload @ ..] if tag >= kind::MESSAGE => {
            Frame::Message { alias: tag - kind::MESSAGE, stamp: Stamp::from_bytes([*low, *high]), payload }
        }
        body => Frame::Control { kind: tag, body },
    };
    Ok(Split::Frame { frame, consumed: total })
}

fn within(length: u64, kind: Option<u32>, limit: u32) -> Result<(), WireError> {
    if length > u64::from(limit) { Err(WireError::FrameTooLarge { kind, length, limit }) } else { Ok(()) }
}
