//! Packet frames: every one comes back, whatever is cut or flipped is another one or none; and the
//! vectors of `PROTOCOL.md`.

use super::super::vectors::{Block, blocks};
use super::*;
use crate::time::Timestamp;
use crate::wire::control::{Ping, Pong};
use crate::wire::kind::MAX_ALIAS;
use proptest::prelude::*;

/// A packet frame that owns its bytes.
#[derive(Clone, Debug)]
enum Value {
    Open(u32, u16, u32, Vec<u8>),
    Retry(u32, Vec<u8>),
    Opened(Opened),
    Reset(u16),
    Segment(u32, Vec<u8>),
    Ack(u32, u32, Vec<(u32, u32)>),
    Ping(u64),
    Pong(u64, u64, u64),
    Tally(Tally),
    Fragment(u32, Order, u64, u32, u32, Vec<u8>),
    Message(u32, Order, u64, Vec<u8>),
}

fn time(micros: u64) -> Timestamp {
    Timestamp::from_micros(micros)
}

impl Value {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Value::Open(token, packet, window, cookie) => {
                let (token, packet, window) = (*token, *packet, *window);
                put_open(out, &Open { version: VERSION, token, packet, window, cookie });
            }
            Value::Retry(token, cookie) => put_retry(out, *token, cookie),
            Value::Opened(opened) => put_opened(out, opened),
            Value::Reset(token) => put_reset(out, *token),
            Value::Segment(offset, bytes) => {
                let (first, second) = bytes.split_at(bytes.len() / 3);
                put_segment(out, *offset, (first, second));
            }
            Value::Ack(next, window, ranges) => put_ack(out, *next, *window, ranges.iter().copied()),
            Value::Ping(sent) => put_ping(out, &Ping { sent: time(*sent) }),
            Value::Pong(echo, received, sent) => {
                let pong = Pong { echo: time(*echo), received: time(*received), sent: time(*sent) };
                put_pong(out, &pong);
            }
            Value::Tally(tally) => put_tally(out, tally),
            Value::Fragment(alias, order, age, total, at, bytes) => {
                let (alias, order, age, total, at) = (*alias, *order, Age::of(*age), *total, *at);
                put_fragment(out, &Fragment { alias, order, age, total, at, bytes });
            }
            Value::Message(alias, order, age, payload) => {
                put_message(out, *alias, *order, Age::of(*age), payload);
            }
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.put(&mut out);
        out
    }

    fn is(&self, frame: &PacketFrame<'_>) -> bool {
        match (self, *frame) {
            (Value::Open(token, packet, window, cookie), PacketFrame::Open(open)) => {
                open == Open { version: VERSION, token: *token, packet: *packet, window: *window, cookie }
            }
            (Value::Retry(token, cookie), PacketFrame::Retry { token: t, cookie: c }) => {
                *token == t && cookie == c
            }
            (Value::Opened(opened), PacketFrame::Opened(other)) => *opened == other,
            (Value::Reset(token), PacketFrame::Reset { token: other }) => *token == other,
            (Value::Segment(offset, bytes), PacketFrame::Segment { offset: o, bytes: b }) => {
                *offset == o && bytes == b
            }
            (Value::Ack(next, window, ranges), PacketFrame::Ack { next: n, window: w, ranges: r }) => {
                (*next, *window) == (n, w) && r.iter().eq(ranges.iter().copied())
            }
            (Value::Ping(sent), PacketFrame::Ping(ping)) => ping.sent == time(*sent),
            (Value::Pong(echo, received, sent), PacketFrame::Pong(pong)) => {
                pong == Pong { echo: time(*echo), received: time(*received), sent: time(*sent) }
            }
            (Value::Tally(tally), PacketFrame::Tally(other)) => *tally == other,
            (Value::Fragment(alias, order, age, total, at, bytes), PacketFrame::Fragment(fragment)) => {
                let (alias, order, age, total, at) = (*alias, *order, Age::of(*age), *total, *at);
                fragment == Fragment { alias, order, age, total, at, bytes }
            }
            (
                Value::Message(alias, order, age, payload),
                PacketFrame::Message { alias: a, order: o, age: g, payload: p },
            ) => *alias == a && *order == o && g == Age::of(*age) && payload == p,
            _ => false,
        }
    }
}

fn alias() -> impl Strategy<Value = u32> {
    prop_oneof![0..200u32, 0..=MAX_ALIAS]
}

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 1..most)
}

fn order() -> impl Strategy<Value = Order> {
    let dropped = prop_oneof![Just(0), 0..1000u64, any::<u64>()];
    (any::<u64>(), any::<bool>(), dropped)
        .prop_map(|(number, wide, dropped)| Order::new(number, wide, dropped))
}

fn micros() -> impl Strategy<Value = u64> {
    prop_oneof![0..2_000_000u64, any::<u64>()]
}

fn token() -> impl Strategy<Value = u32> {
    any::<u32>().prop_filter("a low half", |token| *token as u16 != 0)
}

fn value() -> impl Strategy<Value = Value> {
    let cookie = || prop::collection::vec(any::<u8>(), 0..=MAX_COOKIE);
    let packet = || MIN_PACKET as u16..=u16::MAX;
    let ranges = prop::collection::vec((1..=u32::MAX, 1..=u32::MAX), 0..=MAX_RANGES);
    prop_oneof![
        (token(), packet(), any::<u32>(), cookie()).prop_map(|(t, p, w, c)| Value::Open(t, p, w, c)),
        (any::<u32>(), cookie()).prop_map(|(t, c)| Value::Retry(t, c)),
        (token(), token(), packet(), any::<u32>()).prop_map(|(yours, mine, packet, window)| {
            Value::Opened(Opened { version: VERSION, yours, mine, packet, window })
        }),
        any::<u16>().prop_map(Value::Reset),
        (any::<u32>(), bytes(300)).prop_map(|(o, b)| Value::Segment(o, b)),
        (any::<u32>(), any::<u32>(), ranges).prop_map(|(n, w, r)| Value::Ack(n, w, r)),
        any::<u64>().prop_map(Value::Ping),
        any::<[u64; 3]>().prop_map(|[a, b, c]| Value::Pong(a, b, c)),
        (alias(), 0..=MAX_COUNT, 0..=MAX_COUNT).prop_map(|(alias, next, dropped)| Value::Tally(Tally {
            alias,
            next,
            dropped
        })),
        (alias(), order(), micros(), any::<u32>(), 0..1000u32, bytes(300)).prop_map(
            |(alias, order, age, total, at, bytes)| {
                let total = total.max(at + bytes.len() as u32);
                Value::Fragment(alias, order, age, total, at, bytes)
            }
        ),
        (alias(), order(), micros(), prop::collection::vec(any::<u8>(), 0..300))
            .prop_map(|(a, o, g, p)| Value::Message(a, o, g, p)),
    ]
}

proptest! {
    #[test]
    fn every_frame_comes_back(value in value()) {
        let bytes = value.bytes();
        let frame = decode(&bytes).expect("a valid frame");
        prop_assert!(value.is(&frame), "{value:?} became {frame:?}");
    }

    #[test]
    fn frames_of_a_datagram_come_back(values in prop::collection::vec(value(), 0..6), padding in 0..3usize) {
        let mut datagram = Vec::new();
        for value in &values {
            put_piece(&mut datagram, |out| value.put(out));
        }
        datagram.resize(datagram.len() + padding, 0);
        let mut count = 0;
        for piece in pieces(&datagram) {
            let piece = piece.expect("a whole piece");
            prop_assert!(values[count].is(&decode(piece).expect("a valid frame")));
            count += 1;
        }
        prop_assert_eq!(count, values.len());
    }

    #[test]
    fn what_is_cut_or_flipped_is_a_frame_or_none(value in value()) {
        let bytes = value.bytes();
        for cut in 0..bytes.len() {
            let _ = decode(&bytes[..cut]);
            pieces(&bytes[..cut]).for_each(|piece| { let _ = piece.map(decode); });
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Ok(frame) = decode(&flipped) {
                prop_assert!(!value.is(&frame), "a flipped bit went unseen: {frame:?}");
            }
        }
    }

    #[test]
    fn any_bytes_are_a_datagram_or_none(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut count = 0;
        for piece in pieces(&bytes).flatten() {
            count += piece.len() + 1;
            let _ = decode(piece);
        }
        prop_assert!(count <= bytes.len());
    }
}

/// What the vectors of the page mean.
fn expected(name: &str) -> Value {
    let cookie: Vec<u8> = (0..16).collect();
    let micros = 1_700_000_000_000_000;
    let order = Order::new(5, false, 0);
    match name {
        "open" => Value::Open(0x1122_3344, 256, 4096, vec![]),
        "open-cookie" => Value::Open(0x1122_3344, 1200, 65_536, cookie),
        "retry" => Value::Retry(0x1122_3344, cookie),
        "opened" => {
            let (yours, mine) = (0x1122_3344, 0x5566_7788);
            Value::Opened(Opened { version: 1, yours, mine, packet: 1200, window: 65_536 })
        }
        "reset" => Value::Reset(0x7788),
        "segment" => Value::Segment(256, vec![0x02, 0x0B, 0x03]),
        "ack" => Value::Ack(259, 4096, vec![]),
        "ack-ranges" => Value::Ack(259, 4093, vec![(16, 32), (200, 16)]),
        "ping" => Value::Ping(micros + 1000),
        "pong" => Value::Pong(micros + 1000, micros + 5200, micros + 5230),
        "tally" => Value::Tally(Tally { alias: 3, next: 200, dropped: 7 }),
        "message" => Value::Message(3, order, 128, (0..32).collect()),
        "message-dropped" => Value::Message(3, Order::new(1000, true, 200), 2176, b"ab".to_vec()),
        "message-old" => Value::Message(3, Order::default(), 600_000_000, b"c".to_vec()),
        "message-wide" => Value::Message(3, Order::new(1000, true, 0), 0, vec![]),
        "message-long-alias" => Value::Message(300, order, 0, vec![]),
        "fragment" => Value::Fragment(3, order, 128, 1000, 100, vec![1, 2, 3]),
        name => panic!("nothing is expected of `{name}`"),
    }
}

#[test]
fn every_vector_means_what_the_page_says_and_is_written_the_same() {
    let blocks = blocks("hex", "packet");
    let mut tags = std::collections::BTreeSet::new();
    for block in &blocks {
        let (bytes, value) = (block.bytes(), expected(block.name()));
        assert!(decode(&bytes).is_ok_and(|frame| value.is(&frame)), "{}", block.name());
        assert_eq!(value.bytes(), bytes, "{}", block.name());
        tags.insert(bytes[0].min(MESSAGE as u8));
    }
    assert_eq!(tags, (0x01..=0x0A).chain([0x20]).collect(), "every frame has a vector");
}

#[test]
fn the_datagrams_of_the_page_are_cut_as_it_says() {
    for block in blocks("hex", "datagram") {
        let bytes = block.bytes();
        let (token, content) = bytes.split_first_chunk::<2>().unwrap();
        let names: Vec<&str> = block.words[3..].to_vec();
        let mut count = 0;
        for (piece, name) in pieces(content).zip(&names) {
            assert!(expected(name).is(&decode(piece.unwrap()).unwrap()), "{name} of {}", block.name());
            count += 1;
        }
        assert_eq!((count, pieces(content).count()), (names.len(), names.len()), "{}", block.name());
        if block.name() == "opening" {
            assert_eq!((token, bytes.len()), (&[0, 0], 64));
        } else {
            assert_eq!(token, &[0x88, 0x77]);
        }
    }
}

#[test]
fn every_dropped_vector_is_dropped() {
    for block in blocks("hex", "dropped") {
        let fault = decode(&block.bytes()).expect_err(block.name());
        assert_eq!(fault == PacketFault::Unknown, block.name().starts_with("unknown"), "{}", block.name());
    }
}

#[test]
fn ages_are_the_spans_of_the_page() {
    let of = |block: &Block| block.lines.clone();
    for line in blocks("text", "ages").iter().flat_map(of) {
        let (age, span) = line.split_once(' ').unwrap();
        let age = u8::from_str_radix(age.trim_start_matches("0x"), 16).unwrap();
        let span = span.parse::<u64>().unwrap();
        assert_eq!(Age::from_byte(age).micros(), span, "{line}");
        assert!(span >= 1_000_000 || Age::of(span) == Age::from_byte(age), "{line}");
    }
}
