//! What comes compressed, and is not what it says.

use super::*;
use crate::runtime::clock::Clock;
use crate::transport::memory;
use crossbeam_channel::bounded;
use proptest::prelude::*;

fn line() -> Arc<Line> {
    let (here, _there) = memory::pair();
    Line::new("memory://test".to_owned(), here, Clock::start(), 1024, bounded(1).0)
}

fn compressed(raw: &[u8]) -> Vec<u8> {
    let mut packed = vec![LZ4];
    varint::put(&mut packed, raw.len() as u64);
    packed.extend_from_slice(&lz4_flex::block::compress(raw));
    packed
}

/// What a payload becomes where `largest` bytes are taken, and how much memory was taken for it.
fn became(payload: &[u8], largest: usize) -> (Result<Vec<u8>, ReasonCode>, usize) {
    let pool = Pool::new(4, usize::MAX);
    let bytes = match unpack(&line(), 0, payload, largest, &pool) {
        Ok(Unpacked::Plain) => Ok(payload[1..].to_vec()),
        Ok(Unpacked::Bytes(bytes)) => Ok(bytes.to_vec()),
        Err(reason) => Err(reason.code()),
    };
    (bytes, pool.take().capacity())
}

#[test]
fn a_bomb_takes_no_memory() {
    let bomb = compressed(&vec![0; 1 << 24]);
    assert!(bomb.len() < 70_000);
    assert_eq!(became(&bomb, 1 << 20), (Err(ReasonCode::FrameTooLarge), 0));
    let mut lie = vec![LZ4];
    varint::put(&mut lie, 1 << 20);
    lie.extend_from_slice(&[0; 1000]);
    assert_eq!(became(&lie, 1 << 20), (Err(ReasonCode::Malformed), 0));
}

#[test]
fn a_size_that_is_not_kept_is_a_fault() {
    let raw = vec![5; 1000];
    let block = lz4_flex::block::compress(&raw);
    for claim in [999, 1001, 1] {
        let mut packed = vec![LZ4];
        varint::put(&mut packed, claim);
        packed.extend_from_slice(&block);
        assert_eq!(became(&packed, 1 << 20).0, Err(ReasonCode::Malformed), "{claim} claimed");
    }
    assert_eq!(became(&compressed(&raw), 1000).0, Ok(raw));
}

#[test]
fn a_line_is_slow_once_it_held_up_the_writer_for_long_enough() {
    let line = line();
    line.note_write(1 << 20, Duration::from_millis(1));
    assert_eq!(line.rate_to_beat(), None);
    line.note_write(1 << 20, Duration::from_millis(999));
    assert_eq!(line.rate_to_beat(), Some(2 << 20));
}

proptest! {
    #[test]
    fn any_bytes_are_a_payload_or_a_fault(
        form in 0..3u8,
        claim in 0..100_000u64,
        block in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut payload = vec![form];
        varint::put(&mut payload, claim);
        payload.extend_from_slice(&block);
        let (bytes, taken) = became(&payload, 1 << 16);
        prop_assert!(taken <= 1 << 16);
        if let (1, Ok(bytes)) = (form, bytes) {
            prop_assert_eq!(bytes.len() as u64, claim);
        }
    }

    #[test]
    fn what_is_changed_on_the_way_never_becomes_more(
        raw in prop::collection::vec(0..4u8, 1..2000),
        at: prop::sample::Index,
        to: u8,
    ) {
        let mut payload = compressed(&raw);
        prop_assert_eq!(became(&payload, 1 << 16).0, Ok(raw));
        let at = at.index(payload.len());
        payload[at] = to;
        if let (Ok(bytes), _) = became(&payload, 1 << 16) {
            prop_assert!(bytes.len() <= 1 << 16);
        }
    }
}
