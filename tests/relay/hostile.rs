//! Peers that break the rules towards a relay, byte by byte: they harm their own link only.

use crate::frames;
use crate::raw_peer::RawPeer;
use crate::support::{SOON, Watch};
use crate::{address, dial, endpoint};
use bowline::{Bytes, Endpoint, Event, Intent, Interest, InterestSettings};
use std::time::Duration;

const INTERESTS: u32 = 0x06;
const CREDIT: u32 = 0x08;

fn gateway() -> Endpoint {
    let builder = endpoint("gateway").ping_interval(Duration::from_secs(5)).listen(address("tcp"));
    builder.relay("robot.mcu").start().expect("starts")
}

fn number(bytes: &[u8], from: usize) -> u32 {
    let bytes = bytes[from..].iter().take(5).enumerate();
    let mut value = 0;
    for (place, byte) in bytes {
        value |= u32::from(byte & 0x7F) << (7 * place);
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}

/// A board that supplies `robot.mcu.raw` as alias 0 to the one that wants it.
fn linked_board(gateway: &Endpoint) -> RawPeer {
    let board = RawPeer::join(&gateway.listening()[0], "robot.mcu");
    board.send(&frames::intent(3, "robot.mcu.raw"));
    let wanted = board.wait_for("INTERESTS", |frame| {
        (frame.tag == INTERESTS && frame.body[..2] == [1, 0]).then(|| number(&frame.body, 2))
    });
    board.send(&frames::linked(3, wanted, 0));
    board
}

#[test]
fn samples_that_were_not_granted_cost_the_supplier_its_link() {
    let gateway = gateway();
    let (desk, honest) = (dial("desk", &gateway), dial("robot.mcu.two", &gateway));
    let settings = InterestSettings::new().lossless(4);
    let interest: Interest<Bytes> = desk.interest_with("robot.mcu.raw", settings).expect("interest");
    let board = linked_board(&gateway);
    let limit = board.wait_for("CREDIT", |frame| (frame.tag == CREDIT).then(|| number(&frame.body, 1)));
    assert_eq!(limit, 4);
    for n in 0..4 {
        board.send(&frames::message(0, &[n]));
    }
    let intent: Intent<Bytes> = honest.intent("robot.mcu.raw").expect("intent");
    assert!(intent.wait_interest(SOON));
    board.try_send(&frames::message(0, &[4]));
    let (code, text) = board.bye();
    assert!(code == 16 && text.contains("granted"), "{code}: {text}");
    for n in 0..4 {
        assert_eq!(*interest.recv_timeout(SOON).expect("those were granted"), Bytes::from(vec![n]));
    }
    intent.send_timeout(Bytes::from(vec![9]), SOON).expect("another supplier goes on");
    assert_eq!(*interest.recv_timeout(SOON).expect("arrives"), Bytes::from(vec![9]));
}

#[test]
fn what_went_missing_before_is_told_as_it_was() {
    let gateway = gateway();
    let desk = dial("desk", &gateway);
    let interest: Interest<Bytes> = desk.interest("robot.mcu.raw").expect("interest");
    let board = linked_board(&gateway);
    board.wait_for("CREDIT", |frame| (frame.tag == CREDIT).then_some(()));
    board.send(&frames::message(0, &[0]));
    board.send(&frames::gap(0, 5));
    board.send(&frames::frame(0x0E, &[0, 2]));
    board.send(&frames::message(0, &[8]));
    for sequence in [0, 8] {
        assert_eq!(interest.recv_timeout(SOON).expect("arrives").sequence(), sequence);
    }
    let counts = interest.counts();
    assert_eq!((counts.lost_here, counts.lost_there, counts.lost_on_the_way), (0, 5, 2));
    board.send(&frames::gap(0, u64::MAX));
    assert_eq!(board.bye().0, 7, "past the last number: Malformed");
    Watch::new(&desk).wait(|event| matches!(event, Event::RouteUnlinked { .. }));
}

#[test]
fn a_reader_that_grants_nonsense_costs_itself_its_link() {
    let gateway = gateway();
    let (board, desk) = (dial("robot.mcu", &gateway), dial("desk", &gateway));
    let intent: Intent<Bytes> = board.intent("robot.mcu.raw").expect("intent");
    let interest: Interest<Bytes> = desk.interest("robot.mcu.raw").expect("interest");
    assert!(intent.wait_interest(SOON));
    for credit in [(100, 0, 0), (4, 5, 0), (4, 0, 9)] {
        let reader = RawPeer::join(&gateway.listening()[0], "reader");
        reader.send(&frames::interest(1, "robot.mcu.raw", 2, 4));
        let (_, _, alias) = reader.wait_for("NOTIFY linked", frames::Frame::linked);
        reader.send(&frames::credit(alias, credit.0, credit.1, credit.2));
        assert_eq!(reader.bye().0, 7, "{credit:?} is Malformed");
        intent.send_timeout(Bytes::from(vec![1]), SOON).expect("the board goes on");
        interest.recv_timeout(SOON).expect("and the desk");
    }
}

#[test]
fn a_reader_that_comes_and_goes_leaves_nothing_behind() {
    let gateway = gateway();
    let (board, desk) = (dial("robot.mcu", &gateway), dial("desk", &gateway));
    let intent: Intent<Bytes> = board.intent("robot.mcu.raw").expect("intent");
    let interest: Interest<Bytes> = desk.interest("robot.mcu.raw").expect("interest");
    assert!(intent.wait_interest(SOON));
    let reader = RawPeer::join(&gateway.listening()[0], "reader");
    for id in 1..300 {
        reader.send(&frames::interest(id, "robot.mcu.raw", 0, 1));
        // Its removal: one entry, op 2.
        reader.send(&frames::frame(INTERESTS, &[vec![1, 2], frames::varint(id.into())].concat()));
        if id % 50 == 0 {
            intent.send_timeout(Bytes::from(vec![1]), SOON).expect("the board goes on");
            interest.recv_timeout(SOON).expect("and the desk");
        }
    }
    reader.hang_up();
    crate::support::until("only the desk is left", || {
        intent.send(Bytes::from(vec![1])).is_ok() && intent.interested() == 1 && intent.outcomes().len() == 1
    });
}
