//! What holds for every frame alike, whatever its kind.

use super::control::*;
use super::error::WireError;
use super::message::put_message_head;
use super::*;
use crate::delivery::Delivery;
use crate::path::Path;
use crate::priority::Priority;
use crate::reason::{Reason, ReasonCode};
use crate::route::Route;
use crate::time::Timestamp;
use proptest::prelude::*;

mod values;

use values::control;

const LIMITS: Limits = Limits::agreed(1 << 20);

fn bytes_of(control: &Control) -> Vec<u8> {
    let mut out = Vec::new();
    encode(&mut out, control);
    out
}

/// One frame of every kind and form, whole.
fn samples() -> Vec<Vec<u8>> {
    let path = Path::parse("robot.arm").unwrap();
    let plain = Declared {
        route: Route::new("Imu", &path).unwrap(),
        fingerprint: 0x0123_4567_89AB_CDEF,
        codec: "bincode".into(),
        lease_millis: 0,
    };
    let hashed = Declared { route: Route::from_digest(path.clone(), [0xA5; 32]), ..plain.clone() };
    let intent = |declared: &Declared| Intent {
        declared: declared.clone(),
        exclusive: true,
        retained: false,
        priority: Priority::Bulk,
        relayed: None,
    };
    let interest = |delivery| Interest { declared: hashed.clone(), delivery, only: None, unpacks: false };
    let hello = Hello {
        version_min: 1,
        version_max: 3,
        capabilities: 0,
        instance: *b"0123456789abcdef",
        session: 0,
        scope_own: true,
        joins: true,
        max_frame: 1 << 20,
        ping_millis: 1000,
        clock: Timestamp::from_micros(1_700_000_000_000_000),
        path: path.clone(),
        expected: Some(path),
    };
    let text = || "déjà vu".to_owned();
    let mut frames: Vec<Vec<u8>> = [
        Control::Hello(hello),
        Control::Accept(Accept { version: 1, capabilities: 0, session: 7 }),
        Control::Bye(Bye { code: ReasonCode::Silent, text: text() }),
        Control::Ping(Ping { sent: Timestamp::from_micros(5) }),
        Control::Pong(Pong { echo: Timestamp::ZERO, received: Timestamp::ZERO, sent: Timestamp::ZERO }),
        Control::Intents(vec![
            Entry::Add { id: 0, item: intent(&plain) },
            Entry::Update { id: 300, item: intent(&hashed) },
            Entry::Remove { id: u32::MAX },
        ]),
        Control::Interests(vec![
            Entry::Add { id: 0, item: interest(Delivery::Latest) },
            Entry::Add { id: 1, item: interest(Delivery::Queue(64)) },
            Entry::Update { id: 300, item: interest(Delivery::Lossless(1 << 20)) },
        ]),
        Control::Notify(Notify::Linked { mine: 1, yours: 200, alias: 9_000 }),
        Control::Notify(Notify::Refused { supplier: true, mine: 1, yours: 2, text: text() }),
        Control::Notify(Notify::Schema { supplier: false, mine: 1, yours: 2, schema: vec![9; 200] }),
        Control::Notify(Notify::Conflict { yours: 2, text: text() }),
        Control::Credit(Credit { alias: 3, limit: u64::MAX, taken: 1000, lost: 0 }),
        Control::Time(Timestamp::from_micros(6)),
        Control::Gap { alias: 3, count: 500 },
        Control::End { alias: 3 },
        Control::Stalled { alias: 3, untaken: 500 },
        Control::Resume { received: 500, turn: 3 },
        Control::At { alias: 300, number: 500 },
        Control::Mark { number: 500 },
        Control::Marked { number: 500 },
    ]
    .iter()
    .map(bytes_of)
    .collect();
    frames.push(vec![3, 0x13, 1, 2]);
    for (alias, length) in [(0, 0), (95, 32), (96, 32), (0, 200), (16_383, 40)] {
        let mut frame = Vec::new();
        put_message_head(&mut frame, alias, Stamp(0x1234), length);
        frame.resize(frame.len() + length, 0xC3);
        frames.push(frame);
    }
    frames
}

/// A frame as a value that owns its bytes, decoded all the way.
#[derive(Clone, Debug, PartialEq)]
enum Whole {
    Message { alias: u32, stamp: Stamp, payload: Vec<u8> },
    Control(Control),
}

fn whole(frame: Frame<'_>) -> Result<Whole, WireError> {
    Ok(match frame {
        Frame::Message { alias, stamp, payload } => {
            Whole::Message { alias, stamp, payload: payload.to_vec() }
        }
        Frame::Control { kind, body } => Whole::Control(decode(kind, body)?),
    })
}

/// All frames of `stream`, how many bytes are left, and the error that ended it.
fn read_all(stream: &[u8], limits: Limits) -> (Vec<Whole>, usize, Option<WireError>) {
    let (mut frames, mut rest) = (Vec::new(), stream);
    loop {
        match split(rest, limits) {
            Ok(Split::Frame { frame, consumed }) => match whole(frame) {
                Ok(frame) => {
                    frames.push(frame);
                    rest = &rest[consumed..];
                }
                Err(error) => return (frames, rest.len(), Some(error)),
            },
            Ok(Split::NeedMore { total }) => {
                assert!(total.is_none_or(|total| total > rest.len()));
                return (frames, rest.len(), None);
            }
            Err(error) => return (frames, rest.len(), Some(error)),
        }
    }
}

/// What a stream gives may be anything, but each value must be one that can be sent again.
fn check_sendable(frames: &[Whole]) {
    for frame in frames {
        let Whole::Control(control) = frame else { continue };
        let bytes = bytes_of(control);
        let bye = matches!(control, Control::Bye(_));
        match split(&bytes, LIMITS) {
            Ok(Split::Frame { frame, consumed }) => {
                assert_eq!(consumed, bytes.len());
                // A BYE with an unknown code names it in its text, which may be cut when sent again.
                assert!(whole(frame) == Ok(Whole::Control(control.clone())) || bye, "{control:?}");
            }
            other => assert!(matches!(control, Control::Unknown { .. }) && bytes.is_empty(), "{other:?}"),
        }
    }
}

#[test]
fn every_kind_is_among_the_samples() {
    let mut kinds: Vec<u32> = samples()
        .iter()
        .map(|frame| varint::read_u32(&frame[varint::len(frame.len() as u64 - 2)..]).unwrap().unwrap().0)
        .collect();
    kinds.retain(|kind| *kind < kind::MESSAGE);
    kinds.dedup();
    assert_eq!(kinds, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0x14, 0x10, 0x11, 0x12, 0x15, 0x13]);
}

#[test]
fn every_truncation_wants_more_and_every_shortened_frame_is_refused() {
    for frame in samples() {
        let (frames, left, error) = read_all(&frame, LIMITS);
        assert_eq!((frames.len(), left, error), (1, 0, None));
        for cut in 0..frame.len() {
            assert_eq!(read_all(&frame[..cut], LIMITS), (vec![], cut, None), "{cut} of {frame:02X?}");
            if cut > 0 {
                if let Ok(Split::NeedMore { total: Some(total) }) = split(&frame[..cut], LIMITS) {
                    assert_eq!(total, frame.len());
                }
            }
        }
        let length_bytes = varint::len(frame.len() as u64 - 2);
        // The same body with fewer bytes, and the length to match: only what may end early may.
        for cut in 0..frame.len() - length_bytes {
            let mut shorter = Vec::new();
            varint::put(&mut shorter, cut as u64);
            shorter.extend_from_slice(&frame[length_bytes..length_bytes + cut]);
            let (frames, _, error) = read_all(&shorter, LIMITS);
            check_sendable(&frames);
            let may_end_early = matches!(
                frames.as_slice(),
                [Whole::Message { .. } | Whole::Control(Control::Unknown { .. })]
            );
            assert!(error.is_some() || may_end_early, "{shorter:02X?} gave {frames:?}");
        }
    }
}

#[test]
fn every_flipped_bit_gives_an_error_or_a_valid_value() {
    let next = bytes_of(&Control::End { alias: 1 });
    for frame in samples() {
        for bit in 0..frame.len() * 8 {
            let mut flipped = frame.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            flipped.extend_from_slice(&next);
            for limits in [LIMITS, Limits::HANDSHAKE] {
                let (frames, _, error) = read_all(&flipped, limits);
                check_sendable(&frames);
                if let Some(error) = error {
                    assert!(!Reason::from(error).text().is_empty());
                }
            }
            let _ = check_opening(&flipped);
            let _ = peek_message(&flipped);
        }
    }
}

#[test]
fn the_same_bytes_give_the_same_frames_wherever_they_are_cut() {
    let stream = samples().concat();
    let (expected, 0, None) = read_all(&stream, LIMITS) else { panic!("the samples are whole") };
    for cut in 0..=stream.len() {
        let (mut frames, left, error) = read_all(&stream[..cut], LIMITS);
        assert_eq!(error, None);
        let (after, left, error) = read_all(&stream[cut - left..], LIMITS);
        frames.extend(after);
        assert_eq!((left, error), (0, None));
        assert_eq!(frames, expected);
    }
}

#[test]
fn a_length_of_4_gib_allocates_nothing_and_is_too_large() {
    for (claim, length) in [
        (&[0x80, 0x80, 0x80, 0x80, 0x10][..], 1u64 << 32),
        (&[0xFF, 0xFF, 0xFF, 0xFF, 0x0F], u32::MAX.into()),
        (&[0xFF, 0xFF, 0xFF, 0xFF, 0x7F], (1 << 35) - 1),
        (&[0x81, 0x08], 1025),
    ] {
        let error = split(claim, Limits::HANDSHAKE).unwrap_err();
        assert_eq!(error, WireError::FrameTooLarge { kind: None, length, limit: 1024 });
        assert_eq!(error.code(), ReasonCode::FrameTooLarge);
    }
    // Within a frame: lengths and counts that claim more than is there.
    for claim in [&[0xFF, 0xFF, 0xFF, 0xFF, 0x0F][..], &[0x80, 0x20], &[5]] {
        for kind in [kind::INTENTS, kind::INTERESTS] {
            assert_eq!(decode(kind, claim).unwrap_err().code(), ReasonCode::Malformed);
        }
        let bye = [&[ReasonCode::Closing as u8], claim].concat();
        assert_eq!(decode(kind::BYE, &bye).unwrap_err().code(), ReasonCode::Malformed);
        let schema = [&[2, 0, 1, 1], claim].concat();
        assert_eq!(decode(kind::NOTIFY, &schema).unwrap_err().code(), ReasonCode::Malformed);
    }
}

#[test]
fn a_frame_may_be_as_large_as_agreed_and_no_larger() {
    let limits = Limits::agreed(100_000);
    let front = |length: u64, tag: u8| {
        let mut bytes = Vec::new();
        varint::put(&mut bytes, length);
        bytes.push(tag);
        bytes
    };
    let wants = |bytes: &[u8]| match split(bytes, limits) {
        Ok(Split::NeedMore { total }) => total,
        other => panic!("{other:?}"),
    };
    assert_eq!(wants(&front(100_000, 0x20)), Some(100_003));
    assert_eq!(wants(&front(65_536, kind::INTENTS as u8)), Some(65_539));
    let too_large = |kind, length, limit| Err(WireError::FrameTooLarge { kind, length, limit });
    assert_eq!(split(&front(100_001, 0x20), limits), too_large(None, 100_001, 100_000));
    assert_eq!(split(&front(65_537, 5), limits), too_large(Some(kind::INTENTS), 65_537, 65_536));
    // A receiver of small messages takes control frames of any allowed size.
    let small = Limits::agreed(64);
    assert!(split(&front(65_536, 5), small).is_ok());
    assert_eq!(split(&front(65, 0x20), small), too_large(Some(0x20), 65, 64));
    let whole = [front(65, 0x20), vec![0; 64]].concat();
    assert_eq!(split(&whole, small), too_large(Some(0x20), 65, 64));
    let whole = [front(64, 0x20), vec![0; 63]].concat();
    assert!(matches!(split(&whole, small), Ok(Split::Frame { consumed: 65, .. })));
    assert_eq!(split(&front(1025, 0x20), small), too_large(Some(0x20), 1025, 64));
}

#[test]
fn what_is_no_frame_is_refused_at_its_first_wrong_byte() {
    let code = |bytes: &[u8]| split(bytes, LIMITS).unwrap_err().code();
    assert_eq!(code(&[0]), ReasonCode::Malformed);
    assert_eq!(code(&[0x80, 0x00]), ReasonCode::Malformed);
    assert_eq!(code(&[0xFF; 5]), ReasonCode::Malformed);
    assert_eq!(code(&[0x02, 0xA0, 0x00]), ReasonCode::Malformed);
    assert_eq!(code(&[0x01, 0x80]), ReasonCode::Malformed);
    assert_eq!(code(&[0x02, 0x20]), ReasonCode::Malformed);
    for kind in [0x00, 0x0C, 0x0F, 0x18, 0x1F] {
        assert_eq!(split(&[0x10, kind], LIMITS), Err(WireError::UnknownKind { kind: kind.into() }));
        assert_eq!(decode(kind.into(), &[]), Err(WireError::UnknownKind { kind: kind.into() }));
    }
    for kind in [0x13, 0x17] {
        assert_eq!(decode(kind, &[1, 2, 3]), Ok(Control::Unknown { kind }));
    }
}

#[test]
fn a_stream_of_something_else_is_known_by_its_first_bytes() {
    for stream in [
        &b"GET / HTTP/1.1\r\n"[..],
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x00\x00\x00\x00",
        b"\xff\xff\xff\xff",
        b"\x05\x03hello",
        b"\x40\x01\x00BWLM",
        b"\x40\x01\x01BWLN",
    ] {
        let error = check_opening(stream).unwrap_err();
        assert_eq!(error.code(), ReasonCode::NotBowline);
        let quoted = stream[..stream.len().min(16)].escape_ascii().to_string();
        assert!(error.to_string().contains(&quoted), "{error}");
    }
    for frame in [&samples()[0], &samples()[2]] {
        for cut in 0..=frame.len() {
            assert_eq!(check_opening(&frame[..cut]), Ok(()));
        }
    }
    assert!(check_opening(&samples()[1]).is_err(), "a final cannot come first");
}

#[test]
fn values_beyond_the_wires_bounds_are_cut_to_them() {
    let long = "é".repeat(300);
    for control in [
        Control::Bye(Bye { code: ReasonCode::Internal, text: format!("x{long}") }),
        Control::Notify(Notify::Conflict { yours: 0, text: format!("x{long}") }),
    ] {
        let bytes = bytes_of(&control);
        let (frames, 0, None) = read_all(&bytes, LIMITS) else { panic!("{bytes:02X?}") };
        let text = match &frames[..] {
            [Whole::Control(Control::Bye(Bye { text, .. }))] => text,
            [Whole::Control(Control::Notify(Notify::Conflict { text, .. }))] => text,
            other => panic!("{other:?}"),
        };
        assert_eq!(text.len(), 511, "cut before the character that does not fit");
    }
    let schema = Notify::Schema { supplier: true, mine: 0, yours: 0, schema: vec![0; 70_000] };
    let (frames, 0, None) = read_all(&bytes_of(&Control::Notify(schema)), LIMITS) else { panic!() };
    let [Whole::Control(Control::Notify(Notify::Schema { schema, .. }))] = &frames[..] else { panic!() };
    assert_eq!(schema.len(), kind::MAX_SCHEMA);
}

fn table(count: u32, long: bool) -> Vec<Entry<Interest>> {
    let name = |n: u32, length: usize| format!("{n:0>length$}");
    let path = |n: u32| if long { [&*name(n, 63); 4].join(".") } else { format!("p.{n}") };
    (0..count)
        .map(|n| {
            let route = Route::new(&name(n, if long { 127 } else { 1 }), &Path::parse(&path(n)).unwrap());
            let codec = if long { "c".repeat(32) } else { String::new() };
            let declared =
                Declared { route: route.unwrap(), fingerprint: u64::MAX, codec, lease_millis: u32::MAX };
            let delivery = Delivery::Lossless(Delivery::MAX_DEPTH);
            Entry::Add { id: u32::MAX - n, item: Interest { declared, delivery, only: None, unpacks: false } }
        })
        .collect()
}

#[test]
fn large_tables_are_cut_into_frames_that_fit() {
    let removals = (0..10_000).map(|id| Entry::Remove { id }).collect();
    for table in [table(10_000, false), table(1000, true), table(138, true), table(137, true), removals] {
        let cut = batches(table.clone());
        assert_eq!(cut.concat(), table);
        let bytes = bytes_of(&Control::Interests(table.clone()));
        let each: Vec<u8> =
            cut.iter().flat_map(|batch| bytes_of(&Control::Interests(batch.clone()))).collect();
        assert_eq!(bytes, each, "a table too large for one frame becomes several by itself");
        let (frames, 0, None) = read_all(&bytes, LIMITS) else { panic!("not whole") };
        assert_eq!(
            frames,
            cut.iter().map(|batch| Whole::Control(Control::Interests(batch.clone()))).collect::<Vec<_>>()
        );
        for batch in cut {
            assert!(batch.len() <= kind::MAX_ENTRIES);
            assert!(bytes_of(&Control::Interests(batch)).len() <= kind::MAX_BATCH + 16);
        }
    }
    assert!(batches::<Interest>(vec![]).is_empty());
    assert_eq!(bytes_of(&Control::Intents(vec![])), [2, 5, 0]);
}

proptest! {
    #[test]
    fn every_value_comes_back(control in control()) {
        let bytes = bytes_of(&control);
        let (frames, left, error) = read_all(&bytes, LIMITS);
        prop_assert_eq!((frames, left, error), (vec![Whole::Control(control.clone())], 0, None));
        if matches!(control, Control::Hello(_)) {
            prop_assert!(bytes.len() <= 1024);
            prop_assert_eq!(check_opening(&bytes), Ok(()));
        }
    }

    #[test]
    fn several_frames_come_back_cut_anywhere(controls in prop::collection::vec(control(), 1..6), cut: prop::sample::Index) {
        let stream: Vec<u8> = controls.iter().flat_map(bytes_of).collect();
        let cut = cut.index(stream.len() + 1);
        let (mut frames, left, error) = read_all(&stream[..cut], LIMITS);
        prop_assert_eq!(error, None);
        let (after, left, error) = read_all(&stream[cut - left..], LIMITS);
        prop_assert_eq!((left, error), (0, None));
        frames.extend(after);
        let expected: Vec<Whole> = controls.into_iter().map(Whole::Control).collect();
        prop_assert_eq!(frames, expected);
    }

    #[test]
    fn any_bytes_give_frames_or_an_error(stream in prop::collection::vec(any::<u8>(), 0..300)) {
        for limits in [LIMITS, Limits::HANDSHAKE] {
            check_sendable(&read_all(&stream, limits).0);
        }
        let _ = check_opening(&stream);
        let _ = peek_message(&stream);
    }

    #[test]
    fn any_body_gives_a_value_or_an_error(kind in 0..0x22u32, body in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(control) = decode(kind, &body) {
            check_sendable(&[Whole::Control(control)]);
        }
    }
}
