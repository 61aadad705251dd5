//! Samples in pieces: what an outbox makes of any sends, and any pieces from a peer.

use super::choices::Choices;
use crate::bytes::Pool;
use crate::delivery::Delivery;
use crate::flow::assemblies::{Assemblies, MOST};
use crate::flow::batch::Batch;
use crate::flow::lane::LaneId;
use crate::flow::outbox::{Outbox, Outgoing, Put};
use crate::priority::Priority;
use crate::settings::Bounds;
use crate::time::Timestamp;
use crate::wire::control::Credit;
use crate::wire::fragment::{Fragment, put_fragment_head, read_fragment};
use crate::wire::{Frame, Limits, Split, Stamp, kind, split};
use std::time::Duration;

/// The bytes choose what six lanes send and when it is written: every sample comes whole, once, in order. Then they are
/// pieces from a peer: they are put together or refused, and hold no more memory than came.
///
/// # Panics
/// Where one of these is not so.
pub fn fragments(input: &[u8]) {
    let mut choices = Choices::new(input);
    let pool = Pool::new(4, 1 << 20);
    let mut outbox = Outbox::new(4096);
    outbox.set_peer(MAX_FRAME, true);
    outbox.set_stride(Some(256 + choices.below(3000) as usize));
    let lanes: Vec<LaneId> = (0..6)
        .map(|alias| {
            let priority = [Priority::Urgent, Priority::Normal, Priority::Bulk][alias as usize % 3];
            let lane = outbox.open_ranked(alias, Delivery::Lossless(1 << 20), priority, Bounds::NONE);
            outbox.credit(Credit { alias, limit: 1 << 20, taken: 0, lost: 0 });
            lane
        })
        .collect();
    let (mut sent, mut got) = (vec![Vec::new(); 6], vec![Vec::new(); 6]);
    let mut assemblies = Assemblies::new(MAX_FRAME, pool.clone());
    let (mut now, mut wrote) = (Timestamp::from_micros(1 << 40), false);
    let mut most = 0;
    while !choices.is_used_up() && most < 2000 {
        most += 1;
        now = now + Duration::from_micros(choices.below(5000));
        let place = choices.below(7) as usize;
        match lanes.get(place) {
            Some(lane) => {
                let payload = vec![choices.u8(); choices.below(9000) as usize];
                match outbox.put(*lane, Outgoing { payload: &payload, shared: None }, false, || now) {
                    Put::NoRoom => {}
                    Put::TooLarge => assert!(payload.len() + 5 > MAX_FRAME as usize),
                    _ => sent[place].push(payload),
                }
            }
            None => wrote = write(&mut outbox, &mut assemblies, &mut got, now, wrote),
        }
    }
    while write(&mut outbox, &mut assemblies, &mut got, now, wrote) {
        wrote = true;
    }
    assert!(assemblies.is_empty() && got == sent, "what came is not what was sent");
    hostile(Choices::new(input), Assemblies::new(MAX_FRAME, pool));
}

/// The writer writes once, and the other side takes it.
fn write(
    outbox: &mut Outbox,
    assemblies: &mut Assemblies,
    got: &mut [Vec<Vec<u8>>],
    now: Timestamp,
    wrote: bool,
) -> bool {
    let (mut urgent, mut batch) = (Vec::new(), Batch::default());
    if !outbox.take(&mut urgent, &mut batch, || now, wrote) {
        return false;
    }
    let mut bytes = urgent;
    while !batch.is_empty() {
        let mut slices = Vec::new();
        batch.slices(&mut slices);
        let before = bytes.len();
        slices.iter().for_each(|slice| bytes.extend_from_slice(slice));
        drop(slices);
        batch.wrote(bytes.len() - before);
    }
    let mut rest = &bytes[..];
    while let Ok(Split::Frame { frame, consumed }) = split(rest, Limits::agreed(MAX_FRAME)) {
        rest = &rest[consumed..];
        match frame {
            Frame::Message { alias, payload, .. } => {
                assert!(assemblies.check_none(alias).is_ok());
                got[alias as usize].push(payload.to_vec());
            }
            Frame::Control { kind: kind::FRAGMENT, body } => {
                let fragment = read_fragment(body).expect("a piece");
                let sent = fragment.first.map(|_| now);
                if let Some(whole) = assemblies.take(now, &fragment, sent, true).expect("it fits") {
                    got[fragment.alias as usize].push(whole.bytes.to_vec());
                }
            }
            Frame::Control { .. } => {}
        }
    }
    assert!(rest.is_empty(), "a frame was cut");
    true
}

fn hostile(mut choices: Choices<'_>, mut assemblies: Assemblies) {
    let (mut came, mut bytes) = (0, Vec::new());
    for _ in 0..500 {
        if choices.is_used_up() {
            break;
        }
        let (alias, left) = (choices.below(6) as u32, choices.u32() >> choices.below(32));
        let first = choices.flag().then(|| Stamp(choices.u64() as u16));
        bytes.clear();
        let piece = choices.raw(300);
        put_fragment_head(&mut bytes, alias, first, left, piece.len());
        bytes.extend_from_slice(piece);
        let body = match split(&bytes, Limits::agreed(MAX_FRAME)) {
            Ok(Split::Frame { frame: Frame::Control { body, .. }, .. }) => body,
            other => panic!("{other:?}"),
        };
        let Ok(fragment) = read_fragment(body) else {
            assert!(piece.is_empty());
            continue;
        };
        assert_eq!(fragment, Fragment { alias, first, left, bytes: piece });
        let taken =
            assemblies.take(Timestamp::ZERO, &fragment, first.map(|_| Timestamp::ZERO), choices.flag());
        came += piece.len();
        // A buffer that was used before may be larger than what came into it, though not than a frame.
        let bound = 2 * came + MOST * MAX_FRAME as usize;
        assert!(assemblies.held() <= bound, "{} bytes of {came} are held", assemblies.held());
        if taken.is_err() {
            // The link is over.
            return;
        }
    }
}

const MAX_FRAME: u32 = 8000;
