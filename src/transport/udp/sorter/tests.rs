use super::*;
use crate::wire::packet::put_open;
use proptest::prelude::*;

fn sorter() -> Sorter {
    Sorter::new(Cookies::new(), 7, 1198, 65_536)
}

fn at(millis: u64) -> Timestamp {
    Timestamp::from_micros(1_000_000_000 + millis * 1000)
}

fn from(number: u32) -> SocketAddr {
    SocketAddr::new(std::net::Ipv4Addr::from(0x0A00_0000 + number).into(), 7000)
}

fn open(token: u32, cookie: &[u8]) -> Vec<u8> {
    let mut datagram = vec![0, 0];
    let open = Open { version: VERSION, token, packet: 1000, window: 4096, cookie };
    put_piece(&mut datagram, |out| put_open(out, &open));
    datagram.resize(datagram.len().max(LEAST_OPEN), 0);
    datagram
}

fn answer(sorted: Sorted<'_>) -> Vec<u8> {
    match sorted {
        Sorted::Answer(answer) => answer,
        other => panic!("{other:?}"),
    }
}

fn cookie(answer: &[u8]) -> Vec<u8> {
    match decode(pieces(&answer[2..]).next().unwrap().unwrap()).unwrap() {
        PacketFrame::Retry { cookie, .. } => cookie.to_vec(),
        other => panic!("{other:?}"),
    }
}

/// Opens up to OPENED, and returns the acceptor's token.
fn half_open(sorter: &mut Sorter, now: Timestamp, from: SocketAddr, token: u32) -> u32 {
    let retry = answer(sorter.datagram(now, from, &open(token, &[]), true));
    let opened = answer(sorter.datagram(now, from, &open(token, &cookie(&retry)), true));
    assert!(opened.len() <= LEAST_OPEN && retry.len() <= LEAST_OPEN, "no more comes back than was sent");
    match decode(pieces(&opened[2..]).next().unwrap().unwrap()).unwrap() {
        PacketFrame::Opened(opened) => {
            assert_eq!((opened.yours, opened.packet, opened.window), (token, 1198, 65_536));
            opened.mine
        }
        other => panic!("{other:?}"),
    }
}

fn with_token(token: u32, content: &[u8]) -> Vec<u8> {
    [&(token as u16).to_le_bytes()[..], content].concat()
}

#[test]
fn a_connection_begins_with_the_first_datagram_that_has_our_token() {
    let (mut sorter, now) = (sorter(), at(0));
    let mine = half_open(&mut sorter, now, from(1), 9);
    let datagram = with_token(mine, b"hello");
    let Sorted::Begun(begun, content) = sorter.datagram(now, from(1), &datagram, true) else { panic!() };
    assert_eq!((begun.theirs, begun.packet, begun.window, begun.instead_of), (9, 1000, 4096, None));
    assert_eq!(content, b"hello");
    assert_eq!(sorter.datagram(now, from(1), &datagram, true), Sorted::Content(begun.number, b"hello"));
    assert!(matches!(sorter.datagram(now, from(2), &datagram, true), Sorted::Answer(_)), "another's token");
    let again = half_open(&mut sorter, now, from(1), 9);
    assert_eq!(again, mine, "a repeated OPEN is answered as before");
    let fresh = half_open(&mut sorter, now, from(1), 10);
    let datagram = with_token(fresh, b"anew");
    assert_eq!(sorter.datagram(now, from(1), &with_token(mine, b"x"), true), Sorted::Content(0, b"x"));
    let Sorted::Begun(anew, _) = sorter.datagram(now, from(1), &datagram, true) else { panic!() };
    assert_eq!(anew.instead_of, Some(begun.number));
    let over = reset(10);
    assert_eq!(sorter.datagram(now, from(1), &reset(11), true), Sorted::Nothing);
    assert_eq!(sorter.datagram(now, from(1), &over, true), Sorted::Ended(anew.number));
    assert_eq!(sorter.datagram(now, from(1), &over, true), Sorted::Nothing);
}

#[test]
fn nothing_is_kept_of_who_does_not_receive_where_it_sends_from() {
    let mut sorter = sorter();
    for number in 0..100_000 {
        let datagram = open(number | 1, &[]);
        let answer = answer(sorter.datagram(at(0), from(number), &datagram, true));
        assert!(answer.len() <= datagram.len());
    }
    assert_eq!((sorter.peers.len(), sorter.half.len(), sorter.counts().unproven), (0, 0, 100_000));
    let stolen = cookie(&answer(sorter.datagram(at(0), from(1), &open(5, &[]), true)));
    answer(sorter.datagram(at(0), from(2), &open(5, &stolen), true));
    assert!(sorter.half.is_empty(), "a cookie is good for its own address alone");
    answer(sorter.datagram(at(20_000), from(1), &open(5, &stolen), true));
    assert!(sorter.half.is_empty(), "and for ten seconds at most");
    let small = &open(5, &[])[..LEAST_OPEN - 1];
    assert_eq!(sorter.datagram(at(0), from(1), small, true), Sorted::Nothing, "too small for its answer");
}

#[test]
fn half_open_ones_are_bounded_and_the_oldest_goes() {
    let mut sorter = sorter();
    let first = half_open(&mut sorter, at(0), from(0), 1);
    for number in 1..=MAX_HALF_OPEN as u32 {
        half_open(&mut sorter, at(1), from(number), 1);
    }
    assert_eq!((sorter.half.len(), sorter.counts().pushed_out), (MAX_HALF_OPEN, 1));
    assert!(matches!(sorter.datagram(at(2), from(0), &with_token(first, b"late"), true), Sorted::Answer(_)));
    let last = half_open(&mut sorter, at(3), from(500), 1);
    let late = with_token(last, b"late");
    assert!(!matches!(sorter.datagram(at(2003), from(500), &late, true), Sorted::Begun(..)), "2 s are over");
    assert!(sorter.half.is_empty());
}

#[test]
fn no_answer_to_open_where_nobody_accepts() {
    let mut sorter = sorter();
    let retry = answer(sorter.datagram(at(0), from(1), &open(5, &[]), true));
    assert_eq!(sorter.datagram(at(0), from(1), &open(5, &cookie(&retry)), false), Sorted::Nothing);
    assert_eq!((sorter.half.len(), sorter.counts().refused), (0, 1));
}

#[test]
fn resets_are_few() {
    let mut sorter = sorter();
    let mut answers = 0;
    for number in 0..10_000 {
        let sorted = sorter.datagram(at(number / 10), from(1), b"\x01\x00whatever it is", true);
        answers += u32::from(matches!(sorted, Sorted::Answer(_)));
    }
    assert_eq!(answers, RESETS_A_SECOND);
    assert_eq!(
        sorter.datagram(at(5000), from(1), b"\x01\x00ab", true),
        Sorted::Nothing,
        "smaller than a RESET"
    );
}

proptest! {
    #[test]
    fn whatever_comes_no_answer_is_larger(datagrams in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..120), 0..3u32, any::<bool>()), 0..50)) {
        let mut sorter = sorter();
        half_open(&mut sorter, at(0), from(0), 7);
        for (bytes, number, zero) in datagrams {
            let mut bytes = bytes;
            if zero {
                bytes.splice(0..0, [0, 0]);
            }
            if let Sorted::Answer(answer) = sorter.datagram(at(1), from(number), &bytes, true) {
                prop_assert!(answer.len() <= bytes.len());
            }
        }
        prop_assert!(sorter.half.len() <= 1 && sorter.peers.len() <= 1);
    }
}
