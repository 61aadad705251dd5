//! FRAGMENT: a piece of a sample that is too large to go at once.
//!
//! ```text
//! length varint | tag 0x0D | alias varint | part u8 | left varint | stamp u16 if part is 0 | bytes
//! ```

use super::error::{Fault, WireError};
use super::kind;
use super::message::Stamp;
use super::varint;

/// One piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fragment<'a> {
    pub(crate) alias: u32,
    /// The sample's stamp, with its first piece.
    pub(crate) first: Option<Stamp>,
    /// How many bytes of the sample come after these; 0 with the last piece.
    pub(crate) left: u32,
    pub(crate) bytes: &'a [u8],
}

/// The front of a FRAGMENT whose bytes may not be there yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FragmentHead {
    /// Bytes of the whole frame, with its length field.
    pub(crate) frame_total: usize,
    /// Where in it the sample's bytes begin.
    pub(crate) header_len: usize,
    pub(crate) alias: u32,
    pub(crate) first: Option<Stamp>,
    pub(crate) left: u32,
    pub(crate) payload_len: usize,
}

/// Reads the body of a FRAGMENT.
///
/// # Errors
/// [`WireError::Body`] where it is not one.
pub(crate) fn read_fragment(body: &[u8]) -> Result<Fragment<'_>, WireError> {
    let fault = |fault| WireError::Body { kind: kind::FRAGMENT, fault };
    match read_head(body).map_err(fault)? {
        Some(Head { size, alias, first, left }) if size < body.len() => {
            Ok(Fragment { alias, first, left, bytes: &body[size..] })
        }
        Some(_) => Err(fault(Fault::Ends { field: "bytes" })),
        None => Err(fault(Fault::Ends { field: "stamp" })),
    }
}

/// The head of the FRAGMENT at the front of `buffer`; `None` when it is not all there, or no FRAGMENT.
pub(crate) fn peek_fragment(buffer: &[u8]) -> Option<FragmentHead> {
    let (length, length_bytes) = varint::read_u32(buffer).ok()??;
    let (tag, tag_bytes) = varint::read_u32(&buffer[length_bytes..]).ok()??;
    if tag != kind::FRAGMENT {
        return None;
    }
    let Head { size, alias, first, left } = read_head(&buffer[length_bytes + tag_bytes..]).ok()??;
    let header_len = length_bytes + tag_bytes + size;
    let frame_total = length_bytes + length as usize;
    let payload_len = frame_total.checked_sub(header_len).filter(|len| *len > 0)?;
    Some(FragmentHead { frame_total, header_len, alias, first, left, payload_len })
}

/// Appends what stands before `len` bytes of a sample, of which `left` more come later.
pub(crate) fn put_fragment_head(out: &mut Vec<u8>, alias: u32, first: Option<Stamp>, left: u32, len: usize) {
    let stamp = if first.is_some() { Stamp::BYTES } else { 0 };
    let head = 2 + varint::len(alias.into()) + varint::len(left.into()) + stamp;
    varint::put(out, (head + len) as u64);
    varint::put(out, kind::FRAGMENT.into());
    varint::put(out, alias.into());
    out.push(u8::from(first.is_none()));
    varint::put(out, left.into());
    if let Some(stamp) = first {
        out.extend_from_slice(&stamp.to_bytes());
    }
}

struct Head {
    size: usize,
    alias: u32,
    first: Option<Stamp>,
    left: u32,
}

/// What stands before the bytes; `None` where not all of it is there.
fn read_head(body: &[u8]) -> Result<Option<Head>, Fault> {
    let varint = |field| move |fault| Fault::Varint { field, fault };
    let Some((alias, mut size)) = varint::read_u32(body).map_err(varint("alias"))? else { return Ok(None) };
    if alias > kind::MAX_ALIAS {
        return Err(Fault::Value { field: "alias", value: alias.into(), rule: "at most 16383" });
    }
    let Some(&part) = body.get(size) else { return Ok(None) };
    if part > 1 {
        return Err(Fault::Value { field: "part", value: part.into(), rule: "0 (first) or 1 (another)" });
    }
    size += 1;
    let Some((left, used)) = varint::read_u32(&body[size..]).map_err(varint("left"))? else {
        return Ok(None);
    };
    size += used;
    if part == 1 {
        return Ok(Some(Head { size, alias, first: None, left }));
    }
    let Some(&[low, high]) = body.get(size..size + Stamp::BYTES) else { return Ok(None) };
    Ok(Some(Head { size: size + Stamp::BYTES, alias, first: Some(Stamp::from_bytes([low, high])), left }))
}

/// The most bytes between the length and a sample's bytes.
const MAX_HEAD: usize = 1 + 3 + 1 + varint::MAX_BYTES_U32 + Stamp::BYTES;

/// The most bytes of a sample that one FRAGMENT carries: it is no larger than any other control frame.
pub(crate) const MAX_FRAGMENT: usize = kind::MAX_CONTROL_FRAME as usize - MAX_HEAD;

#[cfg(test)]
mod tests {
    use super::super::frame::{Frame, Limits, Split, split};
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_fragment_comes_back_and_its_head_is_seen_as_soon_as_it_is_there(
            alias in 0..=kind::MAX_ALIAS,
            stamp in prop::option::of(any::<u16>()),
            left: u32,
            bytes in prop::collection::vec(any::<u8>(), 1..300),
        ) {
            let first = stamp.map(Stamp);
            let mut frame = Vec::new();
            put_fragment_head(&mut frame, alias, first, left, bytes.len());
            let header_len = frame.len();
            frame.extend_from_slice(&bytes);
            let Ok(Split::Frame { frame: Frame::Control { kind, body }, consumed }) =
                split(&frame, Limits::agreed(1 << 20)) else { panic!("no frame") };
            prop_assert_eq!((kind, consumed), (kind::FRAGMENT, frame.len()));
            prop_assert_eq!(read_fragment(body), Ok(Fragment { alias, first, left, bytes: &bytes }));
            let head = FragmentHead {
                frame_total: frame.len(), header_len, alias, first, left, payload_len: bytes.len(),
            };
            prop_assert_eq!(peek_fragment(&frame[..header_len]), Some(head));
            prop_assert_eq!(peek_fragment(&frame), Some(head));
            for cut in 0..header_len {
                prop_assert_eq!(peek_fragment(&frame[..cut]), None);
            }
        }
    }

    #[test]
    fn the_largest_fragment_is_within_the_limit_of_a_control_frame() {
        let mut frame = Vec::new();
        put_fragment_head(&mut frame, kind::MAX_ALIAS, Some(Stamp(1)), u32::MAX, MAX_FRAGMENT);
        frame.resize(frame.len() + MAX_FRAGMENT, 0);
        assert!(matches!(split(&frame, Limits::agreed(64)), Ok(Split::Frame { .. })));
    }

    #[test]
    fn what_is_no_fragment_is_refused() {
        for body in [&[][..], &[1], &[1, 2, 0, 0, 0, 9], &[1, 1, 0], &[0x80, 0x80, 1, 1, 0, 9], &[1, 0, 5, 7]]
        {
            assert!(matches!(read_fragment(body), Err(WireError::Body { .. })), "{body:?}");
        }
    }
}
