//! Compressed samples that are not what they claim.

use super::*;

/// The bit of packed payloads.
const PACKS: u32 = 0x20;

/// A supplier whose intent is linked with an interest of the robot, under alias 0, packed.
fn supplier(scene: &Scene) -> (RawPeer, Interest<Bytes>) {
    let peer = RawPeer::join_as(scene.url(), Hello { capabilities: PACKS, ..Hello::of("villain") });
    let wanted: Interest<Bytes> = scene.robot.interest("villain.map").expect("interest");
    peer.send(&frames::intent(0, "villain.map"));
    let id = peer.wait_for("INTERESTS that takes packed payloads", |frame| {
        let body = (frame.tag == frames::INTERESTS).then_some(&frame.body)?;
        let place = body.windows(11).position(|window| window == b"villain.map")?;
        let after = &body[place + 11 + 8 + 4 + 4..];
        assert_eq!(after[0], 0x41, "a queue, and takes packed payloads");
        // One entry a frame, as this was declared by itself.
        let one = body[0] == 1;
        one.then(|| u32::from(body[2]))
    });
    peer.send(&linked_packed(0, id, 0));
    peer.wait_for("CREDIT", |frame| (frame.tag == 0x08).then_some(()));
    (peer, wanted)
}

/// NOTIFY linked, with packed payloads.
fn linked_packed(mine: u32, yours: u32, alias: u32) -> Vec<u8> {
    let numbers = [varint(mine.into()), varint(yours.into()), varint(alias.into())];
    frame(frames::NOTIFY, &[vec![0x80], numbers.concat()].concat())
}

fn lz4(size: u64, block: &[u8]) -> Vec<u8> {
    frames::message(0, &[&[1], &varint(size)[..], block].concat())
}

/// A block that becomes very much: one literal, then a match of 4 + 15 + 255 for each byte of length.
fn bomb(lengths: usize) -> Vec<u8> {
    [&[0x1F, 0x61, 0x01, 0x00][..], &vec![0xFF; lengths], &[0x00, 0x50, 0x61, 0x61, 0x61, 0x61, 0x61]]
        .concat()
}

#[test]
fn a_bomb_ends_the_link_and_takes_no_memory() {
    everywhere(|scene| {
        let (peer, _wanted) = supplier(&scene);
        let before = resident();
        forget_peak();
        peer.send(&lz4(200 << 20, &bomb(1 << 20)[..(1 << 20) - 100]));
        scene.convicts(&peer, ReasonCode::FrameTooLarge, "a bomb");
        assert!(peak() < before + (16 << 20), "{} bytes more", peak() - before);
        scene.close();
    });
}

#[test]
fn a_claim_that_cannot_be_kept_ends_the_link() {
    everywhere(|scene| {
        for (offence, sample) in [
            ("more than any block becomes", lz4(1 << 20, &[0x1F; 1000])),
            ("less than it becomes", lz4(100, &bomb(8))),
            ("more than it becomes", lz4(3000, &bomb(12)[..16])),
            ("nonsense", lz4(50, &[0xF0; 60])),
            ("an offset before the beginning", lz4(20, &[0x1F, 0x61, 0xFF, 0xFF, 0x01])),
            ("an unknown form", frames::message(0, &[7, 1, 2])),
            ("no form", frames::message(0, &[])),
        ] {
            let (peer, _wanted) = supplier(&scene);
            peer.send(&sample);
            scene.convicts(&peer, ReasonCode::Malformed, offence);
        }
        scene.close();
    });
}

#[test]
fn what_is_in_order_is_taken() {
    everywhere(|scene| {
        let (peer, wanted) = supplier(&scene);
        peer.send(&frames::message(0, &[0, 1, 2, 3]));
        let size = 1 + 4 + 15 + 8 * 255 + 5;
        peer.send(&lz4(size, &bomb(8)));
        assert_eq!(**wanted.recv_timeout(SOON).expect("comes"), [1, 2, 3]);
        let second = wanted.recv_timeout(SOON).expect("comes");
        assert_eq!(**second, vec![0x61; size as usize][..]);
        drop(peer);
        scene.close();
    });
}

#[test]
fn packed_payloads_that_nobody_asked_for_end_the_link() {
    everywhere(|scene| {
        let settings = InterestSettings::new().uncompressed();
        let peer = RawPeer::join_as(scene.url(), Hello { capabilities: PACKS, ..Hello::of("villain") });
        let _wanted: Interest<Bytes> = scene.robot.interest_with("villain.map", settings).expect("interest");
        peer.send(&frames::intent(0, "villain.map"));
        let id = peer.wait_for("INTERESTS", |frame| {
            let found = frame.body.windows(11).any(|window| window == b"villain.map");
            (frame.tag == frames::INTERESTS && found && frame.body[0] == 1).then(|| u32::from(frame.body[2]))
        });
        peer.send(&linked_packed(0, id, 0));
        scene.convicts(&peer, ReasonCode::Malformed, "packed unasked");
        scene.close();
    });
}
