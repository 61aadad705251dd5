//! What the fuzz targets call: each function takes any bytes and panics where a promise is broken.
//!
//! Only with the feature `fuzzing`; no part of the stable interface. A new target is a function here,
//! a file of three lines under `fuzz/fuzz_targets/`, and a `[[bin]]` in `fuzz/Cargo.toml`.

mod choices;
mod datagrams;
mod fragments;
mod handshake;
#[cfg(feature = "lz4")]
mod packed;
mod packets;
mod serial;
#[cfg(feature = "testing")]
mod session;

use crate::reason::Reason;
use crate::wire::control::Control;
use crate::wire::error::WireError;
use crate::wire::fragment::{Fragment, peek_fragment, read_fragment};
use crate::wire::message::put_message_head;
use crate::wire::{Frame, Limits, Split, Stamp, check_opening, decode, encode, kind, peek_message, split};
use choices::Choices;

pub use datagrams::datagrams;
pub use fragments::fragments;
pub use handshake::handshake;
#[cfg(feature = "lz4")]
pub use packed::packed;
pub use packets::packets;
pub use serial::serial;
#[cfg(feature = "testing")]
pub use session::session;

/// Any bytes as a stream: frames or an error, the same ones wherever the stream is cut, and every
/// value in them can be sent again. The first two bytes choose limits and cut.
///
/// # Panics
/// Where one of these is not so.
pub fn frames(input: &[u8]) {
    let Some((&[limits, cut], stream)) = input.split_first_chunk() else { return };
    let limits = if limits & 1 == 0 { Limits::HANDSHAKE } else { Limits::agreed(1 << 20) };
    let _ = check_opening(stream);

    let (whole, left, error) = read_all(stream, limits);
    let cut = usize::from(cut).min(stream.len());
    let (mut parts, left_before, error_before) = read_all(&stream[..cut], limits);
    if error_before.is_some() {
        assert_eq!((&parts, &error_before), (&whole, &error), "an error came before its cause");
    } else {
        let (after, left_after, error_after) = read_all(&stream[cut - left_before..], limits);
        parts.extend(after);
        assert_eq!((&parts, left_after, &error_after), (&whole, left, &error), "cut at {cut}");
    }
    whole.iter().for_each(check_sendable);
    if let Some(error) = error {
        assert!(!Reason::from(error).text().is_empty());
    }
}

/// A valid value made from the bytes comes back from its frame; then bytes of the frame are changed,
/// and it becomes an error or another value that can be sent.
///
/// # Panics
/// Where one of these is not so.
pub fn control_roundtrip(input: &[u8]) {
    let mut choices = Choices::new(input);
    let mut stream = Vec::new();
    let mut expected = Vec::new();
    for _ in 0..=choices.below(3) {
        if choices.below(4) == 0 {
            let length = choices.below(600) as usize;
            let (alias, stamp) = (choices.alias(), Stamp(choices.u64() as u16));
            put_message_head(&mut stream, alias, stamp, length);
            stream.resize(stream.len() + length, 0x5A);
            expected.push(Value::Message { alias, stamp, payload: vec![0x5A; length] });
        } else {
            let control = choices.control();
            encode(&mut stream, &control);
            expected.push(Value::Control(control));
        }
    }
    let limits = Limits::agreed(1 << 20);
    assert_eq!(read_all(&stream, limits), (expected, 0, None));

    for _ in 0..=choices.below(4) {
        let at = choices.below(stream.len() as u64) as usize;
        match choices.below(3) {
            0 => stream[at] ^= 1 << choices.below(8),
            1 => stream[at] = choices.u8(),
            _ => stream.truncate(at.max(1)),
        }
    }
    read_all(&stream, limits).0.iter().for_each(check_sendable);
}

/// A frame that owns its bytes, decoded all the way.
#[derive(Debug, PartialEq)]
enum Value {
    Message { alias: u32, stamp: Stamp, payload: Vec<u8> },
    Fragment { alias: u32, first: Option<Stamp>, left: u32, bytes: Vec<u8> },
    Control(Control),
}

/// All frames of `stream`, how many bytes are left, and the error that ended it.
fn read_all(stream: &[u8], limits: Limits) -> (Vec<Value>, usize, Option<WireError>) {
    let (mut values, mut rest) = (Vec::new(), stream);
    loop {
        let (value, consumed) = match split(rest, limits) {
            Ok(Split::NeedMore { total }) => {
                assert!(total.is_none_or(|total| total > rest.len()), "it is all there");
                return (values, rest.len(), None);
            }
            Ok(Split::Frame { frame, consumed }) => match frame {
                Frame::Message { alias, stamp, payload } => {
                    let head = peek_message(rest).expect("a whole message has a head");
                    assert_eq!((head.alias, head.stamp), (alias, stamp));
                    assert_eq!((head.frame_total, head.payload_len), (consumed, payload.len()));
                    assert_eq!(&rest[head.header_len..consumed], payload);
                    (Ok(Value::Message { alias, stamp, payload: payload.to_vec() }), consumed)
                }
                Frame::Control { kind: kind::FRAGMENT, body } => {
                    let value = read_fragment(body).map(|Fragment { alias, first, left, bytes }| {
                        let head = peek_fragment(rest).expect("a whole piece has a head");
                        assert_eq!((head.frame_total, head.payload_len), (consumed, bytes.len()));
                        assert_eq!((head.alias, head.first, head.left), (alias, first, left));
                        Value::Fragment { alias, first, left, bytes: bytes.to_vec() }
                    });
                    (value, consumed)
                }
                Frame::Control { kind, body } => (decode(kind, body).map(Value::Control), consumed),
            },
            Err(error) => return (values, rest.len(), Some(error)),
        };
        match value {
            Ok(value) => values.push(value),
            Err(error) => return (values, rest.len(), Some(error)),
        }
        rest = &rest[consumed..];
    }
}

/// A value that was decoded gives the same again from its own frame.
fn check_sendable(value: &Value) {
    let Value::Control(control) = value else { return };
    let mut bytes = Vec::new();
    encode(&mut bytes, control);
    match (control, read_all(&bytes, Limits::agreed(1 << 20))) {
        (Control::Unknown { .. }, _) => assert!(bytes.is_empty()),
        // A code this version does not know is put into the text, which may be cut when sent again.
        (Control::Bye(bye), (values, 0, None)) if bye.text.len() > kind::MAX_TEXT => {
            assert!(matches!(&values[..], [Value::Control(Control::Bye(again))] if again.code == bye.code));
        }
        (_, (values, 0, None)) => assert_eq!(values.iter().collect::<Vec<_>>(), [value]),
        (_, (_, left, error)) => panic!("{control:?}: {left} bytes left, {error:?}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_targets_hold_for_any_bytes(input in prop::collection::vec(any::<u8>(), 0..400)) {
            super::frames(&input);
            super::control_roundtrip(&input);
            super::packets(&input);
        }

        #[test]
        fn no_sequence_of_frames_breaks_the_engine(input in prop::collection::vec(any::<u8>(), 0..3000)) {
            super::handshake(&input);
        }

        #[test]
        fn no_datagrams_break_a_socket_or_a_group(input in prop::collection::vec(any::<u8>(), 0..4000)) {
            super::datagrams(&input);
        }
    }

    #[cfg(feature = "testing")]
    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_sequence_of_frames_breaks_an_endpoint(input in prop::collection::vec(any::<u8>(), 0..1500)) {
            super::session(&input);
        }
    }

    proptest! {
        #[test]
        fn no_line_breaks_the_deframer(input in prop::collection::vec(any::<u8>(), 0..3000)) {
            super::serial(&input);
        }

        #[test]
        fn no_sends_and_no_pieces_break_a_sample(input in prop::collection::vec(any::<u8>(), 0..3000)) {
            super::fragments(&input);
        }

        #[test]
        fn no_packets_break_a_courier(input in prop::collection::vec(any::<u8>(), 0..6000)) {
            super::packets(&input);
        }
    }
}
