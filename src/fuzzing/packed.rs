//! Packed payloads: any bytes, and good ones with some bytes changed.

use super::choices::Choices;
use crate::bytes::Pool;
use crate::runtime::packing::unpacked;
use crate::wire::packed::LZ4;
use crate::wire::varint;

/// Bytes that are compressed come back; with some of them changed they become a fault, or no more than they claim
/// and than is taken, and no more memory is taken for them.
///
/// # Panics
/// Where one of these is not so.
pub fn packed(input: &[u8]) {
    check(input);
    let mut choices = Choices::new(input);
    // What repeats is compressed, what does not is not; the input decides.
    let mut raw = Vec::new();
    for _ in 0..=choices.below(8) {
        let (byte, step) = (choices.u8(), choices.u8() & 3);
        let length = choices.below(2000) as usize;
        raw.extend((0..length).map(|place| byte.wrapping_add((place as u8).wrapping_mul(step))));
    }
    raw.push(choices.u8());
    let mut payload = vec![LZ4];
    varint::put(&mut payload, raw.len() as u64);
    payload.extend_from_slice(&lz4_flex::block::compress(&raw));
    // Whoever claims a thousand times as much as there is lies; all that repeats is within 255 times.
    assert_eq!(check(&payload).as_deref(), Some(&raw[..]));
    for _ in 0..=choices.below(6) {
        let at = choices.below(payload.len() as u64) as usize;
        match choices.below(3) {
            0 => payload[at] ^= 1 << choices.below(8),
            1 => payload[at] = choices.u8(),
            _ => payload.truncate(at.max(1)),
        }
    }
    check(&payload);
}

fn check(payload: &[u8]) -> Option<Vec<u8>> {
    let pool = Pool::new(4, usize::MAX);
    let bytes = unpacked(payload, LARGEST, &pool).ok().map(|bytes| bytes.to_vec());
    assert!(bytes.as_ref().is_none_or(|bytes| bytes.len() <= LARGEST.max(payload.len())));
    assert!(pool.take().capacity() <= LARGEST, "more memory was taken than is allowed");
    bytes
}

const LARGEST: usize = 1 << 16;
