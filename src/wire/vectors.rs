//! The test vectors of `PROTOCOL.md`, read out of the page itself.

use super::control::*;
use super::copied::{Copied, put_copied, read_copied};
use super::error::WireError;
use super::fragment::{Fragment, put_fragment_head, read_fragment};
use super::message::put_message_head;
use super::*;
use crate::bytes::Payload;
use crate::delivery::Delivery;
use crate::message::Message;
use crate::path::Path;
use crate::priority::Priority;
use crate::reason::{Reason, ReasonCode};
use crate::route::Route;
use crate::schema::Schema;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

const PAGE: &str = include_str!("PROTOCOL.md");
const MAX_FRAME: u32 = 1_048_586;
const CLOCK: u64 = 1_700_000_000_000_000;

/// A fenced block: the words after the fence, and its lines without remarks.
pub(super) struct Block {
    pub(super) words: Vec<&'static str>,
    pub(super) lines: Vec<&'static str>,
}

impl Block {
    pub(super) fn name(&self) -> &'static str {
        self.words[2]
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let digits = self.lines.iter().flat_map(|line| line.split_whitespace());
        digits.map(|byte| u8::from_str_radix(byte, 16).expect("two digits")).collect()
    }
}

pub(super) fn blocks(language: &str, sort: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for line in PAGE.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(words), None) => {
                open = Some(Block { words: words.split_whitespace().collect(), lines: Vec::new() });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some(block)) => block.lines.push(line.split(';').next().unwrap_or_default()),
            (None, None) => {}
        }
    }
    blocks.retain(|block| block.words.starts_with(&[language, sort]));
    assert!(!blocks.is_empty(), "the page has no {language} {sort}");
    blocks
}

/// What a frame means.
#[derive(Debug, PartialEq)]
enum Meaning {
    Control(Control),
    Message { alias: u32, stamp: u16, payload: Vec<u8> },
    Fragment { alias: u32, stamp: Option<u16>, left: u32, bytes: Vec<u8> },
    Copy { alias: u32, ends: u32, number: u64, sent: Timestamp, payload: Vec<u8> },
}

fn meaning(frame: Frame<'_>) -> Result<Meaning, WireError> {
    Ok(match frame {
        Frame::Control { kind: kind::FRAGMENT, body } => {
            let Fragment { alias, first, left, bytes } = read_fragment(body)?;
            Meaning::Fragment { alias, stamp: first.map(|stamp| stamp.0), left, bytes: bytes.to_vec() }
        }
        Frame::Control { kind: kind::COPY, body } => {
            let Copied { alias, ends, number, sent, payload } = read_copied(body)?;
            Meaning::Copy { alias, ends, number, sent, payload: payload.to_vec() }
        }
        Frame::Control { kind, body } => Meaning::Control(decode(kind, body)?),
        Frame::Message { alias, stamp, payload } => {
            Meaning::Message { alias, stamp: stamp.0, payload: payload.to_vec() }
        }
    })
}

/// The frames of a stream that holds whole ones only.
fn read(mut bytes: &[u8]) -> Result<Vec<Meaning>, WireError> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        match split(bytes, Limits::agreed(MAX_FRAME))? {
            Split::Frame { frame, consumed } => {
                all.push(meaning(frame)?);
                bytes = &bytes[consumed..];
            }
            Split::NeedMore { total } => panic!("{bytes:02X?} is not whole: {total:?}"),
        }
    }
    Ok(all)
}

fn write(meaning: &Meaning) -> Vec<u8> {
    let mut bytes = Vec::new();
    match meaning {
        Meaning::Control(control) => encode(&mut bytes, control),
        Meaning::Fragment { alias, stamp, left, bytes: piece } => {
            put_fragment_head(&mut bytes, *alias, stamp.map(Stamp), *left, piece.len());
            bytes.extend_from_slice(piece);
        }
        Meaning::Copy { alias, ends, number, sent, payload } => {
            let (alias, ends, number, sent) = (*alias, *ends, *number, *sent);
            put_copied(&mut bytes, &Copied { alias, ends, number, sent, payload });
        }
        Meaning::Message { alias, stamp, payload } => {
            put_message_head(&mut bytes, *alias, Stamp(*stamp), payload.len());
            bytes.extend_from_slice(payload);
        }
    }
    bytes
}

fn path(text: &str) -> Path {
    Path::parse(text).unwrap()
}

fn instance(first: u8) -> [u8; 16] {
    std::array::from_fn(|n| first + n as u8)
}

fn desk() -> Hello {
    Hello {
        version_min: 1,
        version_max: 1,
        capabilities: 0,
        instance: instance(0xA0),
        session: 0,
        scope_own: false,
        joins: false,
        max_frame: MAX_FRAME,
        ping_millis: 1000,
        clock: Timestamp::from_micros(CLOCK),
        path: path("desk"),
        expected: Some(path("robot.base")),
    }
}

fn declared(route: Route) -> Declared {
    Declared { route, fingerprint: 0x0123_4567_89AB_CDEF, codec: "bincode-2".into(), lease_millis: 0 }
}

fn imu() -> Declared {
    declared(Route::new("Imu", &path("robot.base.imu")).unwrap())
}

fn hidden() -> Declared {
    let plain = Route::new("Imu", &path("robot.arm.imu")).unwrap();
    declared(plain.hashed(&path("robot")).unwrap())
}

fn intent(declared: Declared) -> Intent {
    Intent { declared, exclusive: false, retained: false, priority: Priority::Normal, relayed: None }
}

fn time(micros: u64) -> Timestamp {
    Timestamp::from_micros(CLOCK + micros)
}

fn control(name: &str) -> Option<Control> {
    Some(match name {
        "handshake-initial-dialler" | "handshake-initial-longer" => Control::Hello(desk()),
        "handshake-initial-acceptor" => Control::Hello(Hello {
            instance: instance(0xB0),
            scope_own: true,
            joins: false,
            clock: time(250),
            path: path("robot.base"),
            expected: None,
            ..desk()
        }),
        "handshake-final" => {
            Control::Accept(Accept { version: 1, capabilities: 0, session: 0x1122_3344_5566_7788 })
        }
        "bye-closing" => Control::Bye(Bye { code: ReasonCode::Closing, text: "`robot.base` closes".into() }),
        "bye-silent-without-text" => Control::Bye(Bye { code: ReasonCode::Silent, text: String::new() }),
        "bye-unknown-code" => Control::Bye(Bye { code: ReasonCode::Internal, text: "code 200: soon".into() }),
        "ping" => Control::Ping(Ping { sent: time(1000) }),
        "pong" => Control::Pong(Pong { echo: time(1000), received: time(5200), sent: time(5230) }),
        "intents-add" => Control::Intents(vec![Entry::Add { id: 0, item: intent(imu()) }]),
        "intents-unknown-flags" => {
            let item = Intent { exclusive: true, ..intent(imu()) };
            Control::Intents(vec![Entry::Add { id: 0, item }])
        }
        "intents-batch" => {
            let speed = Declared {
                route: Route::new("f64", &path("robot.base.speed")).unwrap(),
                fingerprint: 0xFEDC_BA98_7654_3210,
                codec: "postcard".into(),
                lease_millis: 5000,
            };
            Control::Intents(vec![
                Entry::Add { id: 7, item: Intent { exclusive: true, ..intent(hidden()) } },
                Entry::Update { id: 300, item: Intent { retained: true, ..intent(speed) } },
                Entry::Remove { id: 8 },
            ])
        }
        "intents-empty" => Control::Intents(vec![]),
        "intents-relayed" => {
            let origin = Origin { instance: instance(0xB0), id: 300 };
            let relayed = Some(Box::new(Relayed { origin, via: vec![instance(0xC0)] }));
            let item = Intent { retained: true, relayed, ..intent(imu()) };
            Control::Intents(vec![Entry::Add { id: 9, item }])
        }
        "interests-only" => {
            let item = Interest {
                declared: imu(),
                delivery: Delivery::Lossless(64),
                only: Some(300),
                unpacks: false,
            };
            Control::Interests(vec![Entry::Add { id: 2, item }])
        }
        "interests-latest" => {
            let item = Interest { declared: imu(), delivery: Delivery::Latest, only: None, unpacks: false };
            Control::Interests(vec![Entry::Add { id: 0, item }])
        }
        "interests-batch" => {
            let route = Route::new("bytes", &path("robot.eye.left")).unwrap();
            let eye = Declared { route, fingerprint: 0, codec: "raw".into(), lease_millis: 0 };
            let deepest = Delivery::Lossless(Delivery::MAX_DEPTH);
            Control::Interests(vec![
                Entry::Add {
                    id: 1,
                    item: Interest {
                        declared: eye,
                        delivery: Delivery::Queue(64),
                        only: None,
                        unpacks: false,
                    },
                },
                Entry::Add {
                    id: 2,
                    item: Interest { declared: hidden(), delivery: deepest, only: None, unpacks: false },
                },
                Entry::Remove { id: 0 },
            ])
        }
        "notify-linked-packed" => Control::Notify(Notify::Packed { mine: 0, yours: 5, alias: 3 }),
        "interests-packed" => {
            let item = Interest { declared: imu(), delivery: Delivery::Queue(64), only: None, unpacks: true };
            Control::Interests(vec![Entry::Add { id: 0, item }])
        }
        "notify-linked" => Control::Notify(Notify::Linked { mine: 0, yours: 5, alias: 3 }),
        "notify-refused" => {
            Control::Notify(Notify::Refused { supplier: true, mine: 0, yours: 5, text: "no".into() })
        }
        "notify-schema" => {
            let schema = vec![1, 2, 3, 4];
            Control::Notify(Notify::Schema { supplier: false, mine: 5, yours: 0, schema })
        }
        "notify-conflict" => {
            Control::Notify(Notify::Conflict { yours: 300, text: "`a` and `b` both claim it".into() })
        }
        "credit-unlimited" => Control::Credit(Credit { alias: 3, limit: u64::MAX, taken: 0, lost: 0 }),
        "credit-lossless" => Control::Credit(Credit { alias: 200, limit: 1064, taken: 1000, lost: 0 }),
        "time" => Control::Time(time(0)),
        "gap" => Control::Gap { alias: 3, count: 1000 },
        "end" => Control::End { alias: 3 },
        "stalled" => Control::Stalled { alias: 3, untaken: 1024 },
        "resume" => Control::Resume { received: 300, turn: 2 },
        "at" => Control::At { alias: 3, number: 1000 },
        "mark" => Control::Mark { number: 7 },
        "marked" => Control::Marked { number: 7 },
        "lost" => Control::Lost { alias: 3, count: 200 },
        "unassigned-kind" => Control::Unknown { kind: 0x13 },
        _ => return None,
    })
}

fn expected(name: &str) -> Meaning {
    match name {
        "message" => Meaning::Message { alias: 3, stamp: 500, payload: (0..32).collect() },
        "fragment-first" => {
            Meaning::Fragment { alias: 3, stamp: Some(500), left: 1000, bytes: b"ab".to_vec() }
        }
        "fragment-last" => Meaning::Fragment { alias: 300, stamp: None, left: 0, bytes: b"cde".to_vec() },
        "copy" => {
            let payload = b"stop".to_vec();
            Meaning::Copy { alias: 3, ends: 1, number: 1000, sent: time(0), payload }
        }
        "message-empty" => Meaning::Message { alias: 95, stamp: 0, payload: vec![] },
        "message-long" => Meaning::Message { alias: 300, stamp: 0x3400, payload: vec![0x5A; 200] },
        name => Meaning::Control(control(name).unwrap_or_else(|| panic!("nothing is expected of `{name}`"))),
    }
}

#[test]
fn every_vector_means_what_the_page_says_and_is_written_the_same() {
    for block in blocks("hex", "vector") {
        let bytes = block.bytes();
        let expected = expected(block.name());
        assert_eq!(read(&bytes), Ok(vec![expected]), "{}", block.name());
        assert_eq!(write(&self::expected(block.name())), bytes, "{}", block.name());
        if block.name().starts_with("handshake-initial") {
            assert_eq!(check_opening(&bytes), Ok(()));
        }
    }
}

/// The form of a frame, `None` for what is never sent.
fn form(meaning: &Meaning) -> Option<usize> {
    Some(match meaning {
        Meaning::Message { .. } => 0,
        Meaning::Fragment { stamp: Some(_), .. } => 18,
        Meaning::Fragment { stamp: None, .. } => 19,
        Meaning::Copy { .. } => 24,
        Meaning::Control(control) => match control {
            Control::Hello(_) => 1,
            Control::Accept(_) => 2,
            Control::Bye(_) => 3,
            Control::Ping(_) => 4,
            Control::Pong(_) => 5,
            Control::Intents(_) => 6,
            Control::Interests(_) => 7,
            Control::Notify(Notify::Linked { .. } | Notify::Packed { .. }) => 8,
            Control::Notify(Notify::Refused { .. }) => 9,
            Control::Notify(Notify::Schema { .. }) => 10,
            Control::Notify(Notify::Conflict { .. }) => 11,
            Control::Credit(_) => 12,
            Control::Time(_) => 13,
            Control::Gap { .. } => 14,
            Control::End { .. } => 15,
            Control::Lost { .. } => 16,
            Control::Stalled { .. } => 17,
            Control::Resume { .. } => 20,
            Control::At { .. } => 21,
            Control::Mark { .. } => 22,
            Control::Marked { .. } => 23,
            Control::Unknown { .. } => return None,
        },
    })
}

#[test]
fn every_kind_and_form_has_a_vector() {
    let vectors = blocks("hex", "vector");
    let forms: BTreeSet<_> = vectors.iter().filter_map(|block| form(&expected(block.name()))).collect();
    assert_eq!(forms, (0..25).collect());
}

#[test]
fn what_later_endpoints_may_send_is_taken() {
    for block in blocks("hex", "lenient") {
        assert_eq!(read(&block.bytes()), Ok(vec![expected(block.name())]), "{}", block.name());
    }
}

#[test]
fn every_malformed_vector_is_refused_with_the_stated_reason() {
    for block in blocks("hex", "refused") {
        let (bytes, name) = (block.bytes(), block.name());
        let error = match block.words.get(4) {
            Some(&"first") => check_opening(&bytes).expect_err(name),
            Some(other) => panic!("`{other}` of `{name}`"),
            None => match split(&bytes, Limits::agreed(MAX_FRAME)) {
                Err(error) => error,
                Ok(Split::Frame { frame, consumed }) => {
                    assert_eq!(consumed, bytes.len(), "{name}");
                    meaning(frame).expect_err(name)
                }
                // The fault is in a body of which not all is there.
                Ok(Split::NeedMore { .. }) => panic!("`{name}` is cut short"),
            },
        };
        let reason = Reason::from(error);
        assert_eq!(format!("{:?}", reason.code()), block.words[3], "{name}: {reason}");
    }
}

#[test]
fn the_stream_reads_as_the_page_says() {
    let blocks = blocks("hex", "stream");
    let bytes = blocks[0].bytes();
    let frames = read(&bytes).unwrap();
    let mut times = StampReader::default();
    let (mut next, mut samples) = (0, Vec::new());
    for frame in &frames {
        match frame {
            Meaning::Control(Control::Time(clock)) => times.reset(*clock),
            Meaning::Control(Control::Gap { count, .. }) => next += count,
            Meaning::Message { stamp, payload, .. } => {
                samples.push((next, times.apply(Stamp(*stamp)), payload.as_slice()));
                next += 1;
            }
            _ => {}
        }
    }
    assert_eq!(samples, [(0, time(0), &b"a"[..]), (1, time(500), b"b"), (4, time(8692), b"c")]);

    let mut written = Vec::new();
    let mut stamps = StampWriter::default();
    encode(&mut written, &Control::Notify(Notify::Linked { mine: 0, yours: 5, alias: 3 }));
    for (number, sent, payload) in samples {
        if number == 4 {
            encode(&mut written, &Control::Gap { alias: 3, count: 2 });
        }
        let out = stamps.stamp(sent);
        if out.time_first {
            encode(&mut written, &Control::Time(sent));
        }
        put_message_head(&mut written, 3, out.stamp, payload.len());
        written.extend_from_slice(payload);
    }
    encode(&mut written, &Control::End { alias: 3 });
    assert_eq!(written, bytes);
}

#[test]
fn stamps_are_the_spans_of_the_page() {
    for line in blocks("text", "stamps").iter().flat_map(|block| &block.lines) {
        let (stamp, span) = line.split_once(' ').unwrap();
        let stamp = u16::from_str_radix(stamp.trim_start_matches("0x"), 16).unwrap();
        assert_eq!(Stamp(stamp).span(), span.parse::<u64>().unwrap(), "{line}");
    }
}

#[test]
fn the_pages_bye_codes_are_those_of_the_library() {
    let rows = PAGE.lines().filter_map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        match cells[..] {
            [code, name, _, passing @ ("yes" | "no")] => {
                Some((code.parse::<u8>().ok()?, name, passing == "yes"))
            }
            _ => None,
        }
    });
    let mut codes = Vec::new();
    for (code, name, passing) in rows {
        let reason = ReasonCode::from_wire(code).unwrap_or_else(|| panic!("no code {code}"));
        assert_eq!((format!("{reason:?}").as_str(), reason.is_transient()), (name, passing));
        codes.push(code);
    }
    let known: Vec<u8> = (0..32).filter(|code| ReasonCode::from_wire(*code).is_some()).collect();
    assert_eq!(codes, known);
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Imu {
    gyro: [f32; 3],
    temperature: Option<f64>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Mode {
    Idle,
    Run(f32),
    Move { x: i16, y: i16 },
    Pair(u8, u8, char),
}

#[derive(Serialize, Deserialize)]
struct List {
    next: Option<Box<List>>,
}

#[test]
fn schemas_are_encoded_and_hashed_as_the_page_says() {
    let blocks = blocks("hex", "schema");
    assert_eq!(blocks.iter().map(Block::name).collect::<Vec<_>>(), ["Imu", "Mode", "List", "Scan"]);
    for block in blocks {
        let schema = match block.name() {
            "Imu" => Schema::of::<Imu>(),
            "Mode" => Schema::of::<Mode>(),
            "List" => Schema::of::<List>(),
            name => Schema::versioned(name, 7),
        };
        let schema = schema.unwrap();
        assert_eq!(schema.encode(), block.bytes(), "{}", block.name());
        assert_eq!(Schema::decode(&block.bytes()), Ok(schema.clone()));
        assert_eq!(format!("0x{:016X}", schema.fingerprint()), block.words[3], "{}", block.name());
    }
}

fn check_payload<T: Message + PartialEq + std::fmt::Debug>(message: &T, block: &Block) {
    let mut bytes = Vec::new();
    message.encode(&mut bytes).unwrap();
    assert_eq!(bytes, block.bytes(), "{}", block.name());
    assert_eq!(T::decode(Payload::new(&bytes)).unwrap(), *message);
}

#[test]
fn payloads_are_encoded_as_the_page_says() {
    assert_eq!((Imu::CODEC, crate::bytes::Bytes::CODEC), ("bincode-2", "raw"));
    for block in blocks("hex", "payload") {
        match block.name() {
            "imu" => check_payload(&Imu { gyro: [0.5, -1.0, 2.0], temperature: Some(21.5) }, &block),
            "mode-move" => check_payload(&Mode::Move { x: -1, y: 300 }, &block),
            "mode-pair" => check_payload(&Mode::Pair(7, 255, 'é'), &block),
            name => panic!("nothing is expected of `{name}`"),
        }
    }
}

#[test]
fn packets_stand_on_a_serial_line_as_the_page_says() {
    let contents = blocks("hex", "serial");
    let lines = blocks("hex", "serial-line");
    assert_eq!(
        contents.iter().map(Block::name).collect::<Vec<_>>(),
        lines.iter().map(Block::name).collect::<Vec<_>>()
    );
    let check = |content: &[u8], line: &[u8]| {
        let mut written = Vec::new();
        cobs::encode(content, &mut written);
        assert_eq!(written, line);
        let (mut deframer, mut input) = (cobs::Deframer::new(512), line);
        assert_eq!(deframer.next(&mut input), Some(cobs::Found::Packet(content)));
        assert_eq!(deframer.next(&mut input), None);
    };
    for (content, line) in contents.iter().zip(&lines) {
        check(&content.bytes(), &line.bytes());
    }
    let line = [&[0xFF][..], &[7; 254], &[0x33], &[7; 46], &[0xE1, 0x53, 0x86, 0xC7, 0]].concat();
    check(&[7; 300], &line);
}
