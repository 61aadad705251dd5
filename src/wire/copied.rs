//! COPY: a sample that goes over a link that stands by, beside the one that carries the session.
//!
//! ```text
//! length varint | tag 0x16 | alias varint | ends varint | number varint | sent u64 | payload
//! ```

use super::error::{Fault, WireError};
use super::{kind, varint};
use crate::time::Timestamp;

/// A sample and its number in the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Copied<'a> {
    pub(crate) alias: u32,
    /// How many pairs ended under the alias before this one. Nothing else tells to which of them a copy belongs that is late.
    pub(crate) ends: u32,
    pub(crate) number: u64,
    pub(crate) sent: Timestamp,
    pub(crate) payload: &'a [u8],
}

/// Reads the body of a COPY.
///
/// # Errors
/// [`WireError::Body`] where it is not one.
pub(crate) fn read_copied(body: &[u8]) -> Result<Copied<'_>, WireError> {
    read(body).map_err(|fault| WireError::Body { kind: kind::COPY, fault })
}

fn read(body: &[u8]) -> Result<Copied<'_>, Fault> {
    let varint = |field| move |fault| Fault::Varint { field, fault };
    let ends_at = |field| Fault::Ends { field };
    let (alias, used) = varint::read_u32(body).map_err(varint("alias"))?.ok_or(ends_at("alias"))?;
    if alias > kind::MAX_ALIAS {
        return Err(Fault::Value { field: "alias", value: alias.into(), rule: "0 to 16383" });
    }
    let rest = &body[used..];
    let (ends, used) = varint::read_u32(rest).map_err(varint("ends"))?.ok_or(ends_at("ends"))?;
    let rest = &rest[used..];
    let (number, used) = varint::read_u64(rest).map_err(varint("number"))?.ok_or(ends_at("number"))?;
    if number > LAST_NUMBER {
        return Err(Fault::Value { field: "number", value: number, rule: "at most 2^62" });
    }
    let (sent, payload) = rest[used..].split_first_chunk().ok_or(ends_at("sent"))?;
    let sent = Timestamp::from_micros(u64::from_le_bytes(*sent));
    Ok(Copied { alias, ends, number, sent, payload })
}

/// Appends a COPY, whose payload is no longer than [`MOST_COPIED`].
pub(crate) fn put_copied(out: &mut Vec<u8>, copied: &Copied<'_>) {
    varint::put(out, (copied_len(copied)) as u64);
    varint::put(out, kind::COPY.into());
    varint::put(out, copied.alias.into());
    varint::put(out, copied.ends.into());
    varint::put(out, copied.number);
    out.extend_from_slice(&copied.sent.micros().to_le_bytes());
    out.extend_from_slice(copied.payload);
}

/// What its length field says.
pub(crate) fn copied_len(copied: &Copied<'_>) -> usize {
    let Copied { alias, ends, number, payload, .. } = copied;
    let head = 1 + varint::len((*alias).into()) + varint::len((*ends).into()) + varint::len(*number) + 8;
    head + payload.len()
}

/// The largest payload that is copied.
pub(crate) const MOST_COPIED: usize = 32 * 1024;

/// The highest number a sample can have.
const LAST_NUMBER: u64 = 1 << 62;

#[cfg(test)]
mod tests {
    use super::super::frame::{Frame, Limits, Split, split};
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_put_is_read(
            alias in 0..=kind::MAX_ALIAS,
            ends: u32,
            number in 0..=LAST_NUMBER,
            sent: u64,
            payload in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let sent = Timestamp::from_micros(sent);
            let copied = Copied { alias, ends, number, sent, payload: &payload };
            let mut bytes = Vec::new();
            put_copied(&mut bytes, &copied);
            let Ok(Split::Frame { frame: Frame::Control { kind, body }, consumed }) =
                split(&bytes, Limits::agreed(64))
            else {
                panic!("{bytes:02X?} is no frame")
            };
            prop_assert_eq!((kind, consumed), (kind::COPY, bytes.len()));
            prop_assert_eq!(read_copied(body), Ok(copied));
            let head = body.len() - payload.len();
            for cut in 0..head {
                prop_assert!(read_copied(&body[..cut]).is_err());
            }
        }
    }

    #[test]
    fn the_largest_is_no_larger_than_a_control_frame() {
        let payload = vec![7; MOST_COPIED];
        let copied = Copied {
            alias: kind::MAX_ALIAS,
            ends: u32::MAX,
            number: LAST_NUMBER,
            sent: Timestamp::from_micros(u64::MAX),
            payload: &payload,
        };
        assert!(copied_len(&copied) <= kind::MAX_CONTROL_FRAME as usize);
    }
}
