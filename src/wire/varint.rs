//! Unsigned integers of variable length: LEB128, always in its shortest form.
//!
//! Seven bits a byte, the low ones first; the top bit says that another byte follows. A number has
//! exactly one form, so that equal frames are equal bytes: a padded one is refused.

/// The most bytes a `u32` takes.
pub(crate) const MAX_BYTES_U32: usize = 5;
/// The most bytes a `u64` takes.
pub(crate) const MAX_BYTES_U64: usize = 10;

/// Why bytes are no varint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum VarintFault {
    #[error("is not in its shortest form")]
    Padded,
    #[error("does not end within {0} bytes")]
    Endless(usize),
    #[error("does not fit into {0} bits")]
    TooWide(u32),
}

/// How many bytes `value` takes.
#[inline]
pub(crate) const fn len(value: u64) -> usize {
    // `| 1`: zero takes a byte too.
    (70 - (value | 1).leading_zeros() as usize) / 7
}

/// Appends `value`.
#[inline]
pub(crate) fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Reads a number of at most `max_bytes` bytes from the front: the value and its length in bytes,
/// `None` when `bytes` ends before it does.
///
/// With `max_bytes` 5 the value may have 35 bits: whoever wants a `u32` checks, and can name the value.
#[inline]
pub(crate) fn read(bytes: &[u8], max_bytes: usize) -> Result<Option<(u64, usize)>, VarintFault> {
    match bytes.first() {
        Some(&first) if first < 0x80 => Ok(Some((u64::from(first), 1))),
        Some(_) => read_long(bytes, max_bytes),
        None => Ok(None),
    }
}

/// Reads a `u32` from the front, as [`read`] does.
#[inline]
pub(crate) fn read_u32(bytes: &[u8]) -> Result<Option<(u32, usize)>, VarintFault> {
    match read(bytes, MAX_BYTES_U32)? {
        None => Ok(None),
        Some((value, used)) => match u32::try_from(value) {
            Ok(value) => Ok(Some((value, used))),
            Err(_) => Err(VarintFault::TooWide(32)),
        },
    }
}

/// Reads a `u64` from the front, as [`read`] does.
#[inline]
pub(crate) fn read_u64(bytes: &[u8]) -> Result<Option<(u64, usize)>, VarintFault> {
    read(bytes, MAX_BYTES_U64)
}

fn read_long(bytes: &[u8], max_bytes: usize) -> Result<Option<(u64, usize)>, VarintFault> {
    let mut value = 0u64;
    for (at, &byte) in bytes.iter().take(max_bytes).enumerate() {
        let bits = u64::from(byte & 0x7F);
        let shift = 7 * at as u32;
        if shift == 63 && bits > 1 {
            return Err(VarintFault::TooWide(64));
        }
        value |= bits << shift;
        if byte < 0x80 {
            if byte == 0 && at > 0 {
                return Err(VarintFault::Padded);
            }
            return Ok(Some((value, at + 1)));
        }
    }
    if bytes.len() >= max_bytes { Err(VarintFault::Endless(max_bytes)) } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes_of(value: u64) -> Vec<u8> {
        let mut out = Vec::new();
        put(&mut out, value);
        out
    }

    #[test]
    fn known_numbers_have_their_known_bytes() {
        assert_eq!(bytes_of(0), [0]);
        assert_eq!(bytes_of(127), [0x7F]);
        assert_eq!(bytes_of(128), [0x80, 0x01]);
        assert_eq!(bytes_of(16_383), [0xFF, 0x7F]);
        assert_eq!(bytes_of(u64::from(u32::MAX)), [0xFF, 0xFF, 0xFF, 0xFF, 0x0F]);
        assert_eq!(bytes_of(u64::MAX).len(), MAX_BYTES_U64);
    }

    #[test]
    fn every_edge_comes_back_and_every_cut_wants_more() {
        for bits in 0..64 {
            for value in [(1u64 << bits) - 1, 1 << bits, (1 << bits) + 1] {
                let bytes = bytes_of(value);
                assert_eq!(bytes.len(), len(value), "{value}");
                assert_eq!(read_u64(&bytes), Ok(Some((value, bytes.len()))));
                for cut in 0..bytes.len() {
                    assert_eq!(read_u64(&bytes[..cut]), Ok(None));
                }
            }
        }
        assert_eq!(read_u64(&bytes_of(u64::MAX)), Ok(Some((u64::MAX, 10))));
    }

    #[test]
    fn only_the_shortest_form_is_taken() {
        for padded in [&[0x80, 0x00][..], &[0xFF, 0x00], &[0x81, 0x80, 0x00]] {
            assert_eq!(read_u64(padded), Err(VarintFault::Padded));
            assert_eq!(read_u32(padded), Err(VarintFault::Padded));
        }
    }

    #[test]
    fn what_is_too_wide_is_refused() {
        assert_eq!(read_u32(&[0xFF, 0xFF, 0xFF, 0xFF, 0x10]), Err(VarintFault::TooWide(32)));
        assert_eq!(read_u32(&[0xFF; 5]), Err(VarintFault::Endless(5)));
        let mut wide = [0xFF; 10];
        assert_eq!(read_u64(&wide), Err(VarintFault::TooWide(64)));
        wide[9] = 0x81;
        assert_eq!(read_u64(&wide), Err(VarintFault::Endless(10)));
        wide[9] = 0x01;
        assert_eq!(read_u64(&wide), Ok(Some((u64::MAX, 10))));
    }

    proptest! {
        #[test]
        fn every_number_comes_back(value: u64, rest: Vec<u8>) {
            let mut bytes = bytes_of(value);
            let used = bytes.len();
            bytes.extend(rest);
            prop_assert_eq!(read_u64(&bytes), Ok(Some((value, used))));
        }

        #[test]
        fn whatever_is_read_is_written_the_same(bytes in prop::collection::vec(any::<u8>(), 0..12)) {
            if let Ok(Some((value, used))) = read_u64(&bytes) {
                prop_assert_eq!(bytes_of(value), &bytes[..used]);
            }
        }
    }
}
