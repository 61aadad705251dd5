//! MESSAGE: what stands before a payload.
//!
//! ```text
//! length varint | tag varint = 0x20 + alias | stamp u16 | payload
//! ```
//! Four bytes for a payload of up to 124 bytes on one of the first 96 aliases of a link.

use super::fragment::peek_fragment;
use super::kind;
use super::varint;

/// When a message was sent, as it travels: the span since the one before. See [`stamp`](super::stamp).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) struct Stamp(pub(crate) u16);

impl Stamp {
    /// Its size on the wire.
    pub(crate) const BYTES: usize = 2;

    #[inline]
    pub(crate) const fn from_bytes(bytes: [u8; 2]) -> Self {
        Self(u16::from_le_bytes(bytes))
    }

    #[inline]
    pub(crate) const fn to_bytes(self) -> [u8; 2] {
        self.0.to_le_bytes()
    }
}

/// The most bytes before a payload.
pub(crate) const MESSAGE_HEAD_MAX: usize = varint::MAX_BYTES_U32 + MAX_INNER;

/// The most bytes between the length and a payload.
const MAX_INNER: usize = varint::len(tag(kind::MAX_ALIAS)) + Stamp::BYTES;

/// The front of a message whose payload may not be there yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MessageHead {
    /// Bytes of the whole frame, with its length field.
    pub(crate) frame_total: usize,
    /// Where in it the payload begins.
    pub(crate) header_len: usize,
    pub(crate) alias: u32,
    pub(crate) stamp: Stamp,
    pub(crate) payload_len: usize,
}

/// The head of the message at the front of `buffer`; `None` when it is not all there, or no message.
///
/// It checks no limit: it is for a buffer for which [`split`](super::frame::split) just wanted more.
pub(crate) fn peek_message(buffer: &[u8]) -> Option<MessageHead> {
    let (length, length_bytes) = varint::read_u32(buffer).ok()??;
    let (tag, tag_bytes) = varint::read_u32(&buffer[length_bytes..]).ok()??;
    let alias = tag.checked_sub(kind::MESSAGE)?;
    let stamp_at = length_bytes + tag_bytes;
    let stamp = Stamp::from_bytes(buffer.get(stamp_at..stamp_at + Stamp::BYTES)?.try_into().ok()?);
    let payload_len = (length as usize).checked_sub(tag_bytes + Stamp::BYTES)?;
    let header_len = stamp_at + Stamp::BYTES;
    Some(MessageHead { frame_total: header_len + payload_len, header_len, alias, stamp, payload_len })
}

/// An alias, the size of a payload or of a part of it, and whether the sample ends with it.
pub(crate) type OfSample = (u32, usize, bool);

/// How many bytes the frame at the front of `buffer` has in all; and of a message or a piece of one its alias,
/// the size of its payload, which need not be there, and whether that is the end of the sample. `None` where
/// there is no frame.
pub(crate) fn frame_ahead(buffer: &[u8]) -> Option<(usize, Option<OfSample>)> {
    if let Some(head) = peek_message(buffer) {
        return Some((head.frame_total, Some((head.alias, head.payload_len, true))));
    }
    if let Some(head) = peek_fragment(buffer) {
        return Some((head.frame_total, Some((head.alias, head.payload_len, head.left == 0))));
    }
    let (length, length_bytes) = varint::read_u32(buffer).ok()??;
    Some((length_bytes + length as usize, None))
}

/// Appends what stands before a payload of `payload_len` bytes.
///
/// The caller has checked the payload against [`max_payload`] of what the receiver announced, and the
/// alias is one that was assigned.
#[inline]
pub(crate) fn put_message_head(out: &mut Vec<u8>, alias: u32, stamp: Stamp, payload_len: usize) {
    if alias < 0x60 && payload_len < 0x80 - 3 {
        let [low, high] = stamp.to_bytes();
        out.extend_from_slice(&[payload_len as u8 + 3, 0x20 + alias as u8, low, high]);
    } else {
        put_long_head(out, alias, stamp, payload_len);
    }
}

/// How many bytes stand before a payload of `payload_len` bytes.
#[cfg(test)]
pub(crate) const fn head_len(alias: u32, payload_len: usize) -> usize {
    let inner = varint::len(tag(alias)) + Stamp::BYTES;
    varint::len(inner as u64 + payload_len as u64) + inner
}

/// The length field of a message with a payload of `payload_len` bytes.
pub(crate) const fn message_len(alias: u32, payload_len: u64) -> u64 {
    varint::len(tag(alias)) as u64 + Stamp::BYTES as u64 + payload_len
}

/// The largest payload that fits a frame of `max_frame` bytes, counted after the length field, under
/// any alias. Zero where none does.
pub(crate) const fn max_payload(max_frame: u32) -> usize {
    (max_frame as usize).saturating_sub(MAX_INNER)
}

/// The `max_frame` to announce so that payloads of `max_payload` bytes come through under any alias.
pub(crate) const fn max_frame(max_payload: usize) -> u32 {
    let frame = max_payload.saturating_add(MAX_INNER);
    let frame = if frame > u32::MAX as usize { u32::MAX } else { frame as u32 };
    if frame < kind::LEAST_MAX_FRAME { kind::LEAST_MAX_FRAME } else { frame }
}

const fn tag(alias: u32) -> u64 {
    kind::MESSAGE as u64 + alias as u64
}

fn put_long_head(out: &mut Vec<u8>, alias: u32, stamp: Stamp, payload_len: usize) {
    let tag = tag(alias);
    varint::put(out, varint::len(tag) as u64 + Stamp::BYTES as u64 + payload_len as u64);
    varint::put(out, tag);
    out.extend_from_slice(&stamp.to_bytes());
}

#[cfg(test)]
mod tests {
    use super::super::frame::{Frame, Limits, Split, split};
    use super::*;
    use proptest::prelude::*;

    fn message(alias: u32, stamp: Stamp, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        put_message_head(&mut out, alias, stamp, payload.len());
        out.extend_from_slice(payload);
        out
    }

    #[test]
    fn a_32_byte_payload_costs_4_bytes_more() {
        for alias in [0, 1, 95] {
            assert_eq!(message(alias, Stamp(0x0201), &[7; 32]).len(), 36);
            assert_eq!(head_len(alias, 32), 4);
        }
        assert_eq!(message(0, Stamp(0x0201), &[7; 32])[..4], [35, 0x20, 0x01, 0x02]);
        assert_eq!(head_len(0, 124), 4);
        assert_eq!(head_len(0, 125), 5);
        assert_eq!(head_len(96, 32), 5);
        assert_eq!(head_len(0, 1024), 5);
    }

    #[test]
    fn what_is_announced_is_enough_for_the_largest_payload() {
        for payload in [1024, 65_536, 1 << 20] {
            assert!(max_payload(max_frame(payload)) >= payload);
            let largest = varint::len(tag(kind::MAX_ALIAS)) + Stamp::BYTES + payload;
            assert!(largest <= max_frame(payload) as usize);
        }
        assert_eq!(max_frame(0), kind::LEAST_MAX_FRAME);
        assert_eq!((max_frame(64), max_payload(max_frame(64))), (69, 64));
        assert_eq!(max_frame(usize::MAX), u32::MAX);
        assert_eq!(max_payload(0), 0);
    }

    #[test]
    fn a_head_is_seen_as_soon_as_it_is_there() {
        let frame = message(300, Stamp(9), &[1; 70_000]);
        let head = peek_message(&frame[..7]).unwrap();
        assert_eq!(head, peek_message(&frame).unwrap());
        assert_eq!(
            head,
            MessageHead {
                frame_total: frame.len(),
                header_len: 7,
                alias: 300,
                stamp: Stamp(9),
                payload_len: 70_000
            }
        );
        for cut in 0..7 {
            assert_eq!(peek_message(&frame[..cut]), None);
        }
        assert_eq!(peek_message(&[9, kind::PING as u8, 0, 0, 0, 0]), None);
        assert_eq!(peek_message(&[2, 0x20, 0, 0]), None);
    }

    proptest! {
        #[test]
        fn a_message_comes_back(
            alias in prop_oneof![0..200u32, Just(kind::MAX_ALIAS), 0..=u32::MAX - kind::MESSAGE],
            stamp: u16,
            payload in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..200),
                prop::collection::vec(any::<u8>(), 16_000..17_000),
            ],
        ) {
            let bytes = message(alias, Stamp(stamp), &payload);
            prop_assert_eq!(bytes.len(), head_len(alias, payload.len()) + payload.len());
            let frame = Frame::Message { alias, stamp: Stamp(stamp), payload: &payload };
            prop_assert_eq!(
                split(&bytes, Limits::agreed(1 << 20)),
                Ok(Split::Frame { frame, consumed: bytes.len() })
            );
            let head = peek_message(&bytes).unwrap();
            prop_assert_eq!(head.frame_total, bytes.len());
            prop_assert_eq!(&bytes[head.header_len..], &payload[..]);
            prop_assert_eq!((head.alias, head.stamp, head.payload_len), (alias, Stamp(stamp), payload.len()));
        }
    }
}
