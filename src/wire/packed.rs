//! Payloads of a packed alias: each says by its first byte whether it is compressed.
//!
//! ```text
//! 0 | payload
//! 1 | size varint32 | one LZ4 block that becomes `size` bytes
//! ```
//! What a payload claims is checked here, before any memory is taken for it. Who passes it on needs no more
//! than this either: a relay neither packs nor unpacks.

use super::varint;
use std::fmt;

/// A packed payload, as far as it can be told without unpacking it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packed<'a> {
    Plain(&'a [u8]),
    /// `size` is what the block claims to become.
    #[cfg_attr(not(feature = "lz4"), allow(dead_code, reason = "only who has the feature unpacks"))]
    Lz4 {
        size: usize,
        block: &'a [u8],
    },
}

/// Why a packed payload cannot be what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PackedFault {
    Empty,
    Form(u8),
    Size,
    /// The block is too short to become so much, whatever is in it.
    Ratio {
        size: usize,
        block: usize,
    },
}

impl fmt::Display for PackedFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PackedFault::Empty => f.write_str("it is empty, where at least a form is due"),
            PackedFault::Form(form) => write!(f, "its form is {form}; 0 (plain) and 1 (LZ4) are known"),
            PackedFault::Size => f.write_str("the size it unpacks to is no varint32 above 0"),
            PackedFault::Ratio { size, block } => {
                write!(
                    f,
                    "{block} bytes of LZ4 claim to become {size}; at most {MOST_RATIO} times as many can"
                )
            }
        }
    }
}

/// Reads what stands before the payload.
///
/// # Errors
/// Where no sender that keeps the rules could have sent it.
pub(crate) fn look(payload: &[u8]) -> Result<Packed<'_>, PackedFault> {
    let (form, rest) = payload.split_first().ok_or(PackedFault::Empty)?;
    match *form {
        PLAIN => Ok(Packed::Plain(rest)),
        LZ4 => {
            let (size, used) = varint::read_u32(rest).ok().flatten().ok_or(PackedFault::Size)?;
            let (size, block) = (size as usize, &rest[used..]);
            if size == 0 {
                return Err(PackedFault::Size);
            }
            if size > block.len().saturating_mul(MOST_RATIO) {
                return Err(PackedFault::Ratio { size, block: block.len() });
            }
            Ok(Packed::Lz4 { size, block })
        }
        form => Err(PackedFault::Form(form)),
    }
}

impl Packed<'_> {
    /// How many bytes the payload has once it is unpacked.
    pub(crate) fn size(&self) -> usize {
        match self {
            Packed::Plain(payload) => payload.len(),
            Packed::Lz4 { size, .. } => *size,
        }
    }
}

/// The form of a payload that is as it is.
pub(crate) const PLAIN: u8 = 0;

/// The form of one that is an LZ4 block.
pub(crate) const LZ4: u8 = 1;

/// How many bytes a packed payload can have more than the payload.
pub(crate) const OVERHEAD: usize = 1;

/// No byte of an LZ4 block makes more than this many: one of a length field adds 255 to a match.
const MOST_RATIO: usize = 255;

#[cfg(test)]
mod tests {
    use super::super::vectors::blocks;
    use super::*;

    #[test]
    fn a_claim_that_no_block_can_keep_is_seen_before_it_is_unpacked() {
        let mut payload = vec![LZ4];
        varint::put(&mut payload, u64::from(u32::MAX));
        payload.extend_from_slice(&[0; 100]);
        let fault = PackedFault::Ratio { size: u32::MAX as usize, block: 100 };
        assert_eq!(look(&payload), Err(fault));
        assert!(fault.to_string().contains("100 bytes of LZ4 claim to become 4294967295"));
        let mut payload = vec![LZ4];
        varint::put(&mut payload, 25_500);
        payload.extend_from_slice(&[0; 100]);
        assert_eq!(look(&payload).map(|packed| packed.size()), Ok(25_500), "that much is possible");
    }

    #[test]
    fn the_page_shows_what_is_taken_and_what_is_not() {
        for block in blocks("hex", "packed") {
            let bytes = block.bytes();
            match (block.name(), look(&bytes)) {
                ("plain", taken) => assert_eq!(taken, Ok(Packed::Plain(b"abcd"))),
                ("lz4", Ok(Packed::Lz4 { size: 100, block })) => {
                    assert_eq!(block.len(), bytes.len() - 2);
                    #[cfg(feature = "lz4")]
                    assert_eq!(lz4_flex::block::decompress(block, 100).ok(), Some(b"abcd".repeat(25)));
                }
                (name, other) => panic!("`{name}` is {other:?}"),
            }
        }
        for block in blocks("hex", "unpackable") {
            let fault = look(&block.bytes()).expect_err(block.name());
            assert!(fault.to_string().len() > 10);
        }
    }

    #[test]
    fn what_no_sender_writes_is_refused() {
        assert_eq!(look(&[]), Err(PackedFault::Empty));
        assert_eq!(look(&[PLAIN]), Ok(Packed::Plain(&[])));
        assert_eq!(look(&[PLAIN, 7]), Ok(Packed::Plain(&[7])));
        assert_eq!(look(&[2, 0, 0]), Err(PackedFault::Form(2)));
        assert_eq!(look(&[LZ4]), Err(PackedFault::Size));
        assert_eq!(look(&[LZ4, 0, 1]), Err(PackedFault::Size));
        assert_eq!(look(&[LZ4, 0x80]), Err(PackedFault::Size), "cut short");
        assert_eq!(look(&[LZ4, 0x81, 0x00, 1]), Err(PackedFault::Size), "not in its shortest form");
        assert_eq!(look(&[LZ4, 1]), Err(PackedFault::Ratio { size: 1, block: 0 }));
    }
}
