//! What the fuzz targets call: each function takes any bytes and panics where a promise is broken.
//!
//! Only with the feature `fuzzing`; no part of the stable interface. A new target is a function here,
//! a file of three lines under `fuzz/fuzz_targets/`, and a `[[bin]]` in `fuzz/Cargo.toml`.

use crate::delivery::Delivery;
use crate::path::Path;
use crate::reason::{Reason, ReasonCode};
use crate::route::Route;
use crate::time::Timestamp;
use crate::wire::control::{
    Accept, Bye, Control, Credit, Declared, Entry, Hello, Intent, Interest, Notify, Ping, Pong,
};
use crate::wire::error::WireError;
use crate::wire::message::put_message_head;
use crate::wire::{Frame, Limits, Split, Stamp, check_opening, decode, encode, kind, peek_message, split};

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
    let mut choices = Choices { rest: input };
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

/// Values drawn from the input; zeros once it is used up.
struct Choices<'a> {
    rest: &'a [u8],
}

impl Choices<'_> {
    fn u8(&mut self) -> u8 {
        self.bytes::<1>()[0]
    }

    /// Often small, sometimes at an edge, otherwise anything.
    fn u64(&mut self) -> u64 {
        match self.u8() {
            0xFF => u64::MAX,
            0xFE => u64::from_le_bytes(self.bytes()),
            0xFD => u64::from(u32::from_le_bytes(self.bytes())),
            small => u64::from(small),
        }
    }

    fn u32(&mut self) -> u32 {
        self.u64().try_into().unwrap_or(u32::MAX)
    }

    fn below(&mut self, bound: u64) -> u64 {
        u64::from(u16::from_le_bytes(self.bytes())) % bound.max(1)
    }

    fn flag(&mut self) -> bool {
        self.u8() & 1 == 1
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        let count = N.min(self.rest.len());
        let (taken, rest) = self.rest.split_at(count);
        bytes[..count].copy_from_slice(taken);
        self.rest = rest;
        bytes
    }

    fn time(&mut self) -> Timestamp {
        Timestamp::from_micros(self.u64())
    }

    fn alias(&mut self) -> u32 {
        self.u32().min(kind::MAX_ALIAS)
    }

    fn text(&mut self, most: u64) -> String {
        let length = self.below(most + 1) as usize;
        (0..length).map(|_| char::from(self.u8() & 0x7F)).collect()
    }

    fn path(&mut self) -> Path {
        const LETTERS: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
        let mut text = String::new();
        for segment in 0..=self.below(4) {
            if segment > 0 {
                text.push('.');
            }
            for _ in 0..=self.below(Path::MAX_SEGMENT_BYTES as u64) {
                text.push(char::from(LETTERS[usize::from(self.u8() & 63)]));
            }
        }
        Path::parse(&text).expect("made by the rule for paths")
    }

    fn route(&mut self) -> Route {
        let path = self.path();
        if self.flag() {
            return Route::from_digest(path, self.bytes());
        }
        let length = 1 + self.below(Route::MAX_TYPE_BYTES as u64);
        let name: String = (0..length).map(|_| char::from(b'A' + self.u8() % 26)).collect();
        Route::new(&name, &path).expect("made by the rule for type names")
    }

    fn declared(&mut self) -> Declared {
        Declared {
            route: self.route(),
            fingerprint: self.u64(),
            codec: self.text(kind::MAX_CODEC as u64),
            lease_millis: self.u32(),
        }
    }

    fn entries<T>(&mut self, item: fn(&mut Self) -> T) -> Vec<Entry<T>> {
        let count = self.below(20);
        (0..count)
            .map(|_| match (self.below(3), self.u32()) {
                (0, id) => Entry::Add { id, item: item(self) },
                (1, id) => Entry::Update { id, item: item(self) },
                (_, id) => Entry::Remove { id },
            })
            .collect()
    }

    fn intent(&mut self) -> Intent {
        Intent { declared: self.declared(), exclusive: self.flag(), retained: self.flag() }
    }

    fn interest(&mut self) -> Interest {
        let declared = self.declared();
        let depth = self.u32().clamp(1, Delivery::MAX_DEPTH);
        let delivery = match self.below(3) {
            0 => Delivery::Latest,
            1 => Delivery::Queue(depth),
            _ => Delivery::Lossless(depth),
        };
        Interest { declared, delivery }
    }

    fn hello(&mut self) -> Hello {
        let version_min = self.u8().max(1);
        Hello {
            version_min,
            version_max: self.u8().max(version_min),
            capabilities: self.u32(),
            instance: self.bytes(),
            session: self.u64(),
            scope_own: self.flag(),
            max_frame: self.u32().max(kind::MAX_HANDSHAKE_FRAME),
            ping_millis: self.u32().max(1),
            clock: self.time(),
            path: self.path(),
            expected: if self.flag() { Some(self.path()) } else { None },
        }
    }

    fn notify(&mut self) -> Notify {
        let (supplier, mine, yours) = (self.flag(), self.u32(), self.u32());
        match self.below(4) {
            0 => Notify::Linked { mine, yours, alias: self.alias() },
            1 => Notify::Refused { supplier, mine, yours, text: self.text(kind::MAX_TEXT as u64) },
            2 => Notify::Schema { supplier, mine, yours, schema: self.text(4000).into_bytes() },
            _ => Notify::Conflict { yours, text: self.text(kind::MAX_TEXT as u64) },
        }
    }

    fn control(&mut self) -> Control {
        match self.below(12) {
            0 => Control::Hello(self.hello()),
            1 => Control::Accept(Accept {
                version: self.u8().max(1),
                capabilities: self.u32(),
                session: self.u64().max(1),
            }),
            2 => {
                let code = ReasonCode::from_wire(self.u8()).unwrap_or(ReasonCode::Closing);
                Control::Bye(Bye { code, text: self.text(kind::MAX_TEXT as u64) })
            }
            3 => Control::Ping(Ping { sent: self.time() }),
            4 => Control::Pong(Pong { echo: self.time(), received: self.time(), sent: self.time() }),
            5 => Control::Intents(self.entries(Self::intent)),
            6 => Control::Interests(self.entries(Self::interest)),
            7 => Control::Notify(self.notify()),
            8 => Control::Credit(Credit {
                alias: self.alias(),
                limit: self.u64(),
                taken: self.u64(),
                lost: self.u64(),
            }),
            9 => Control::Time(self.time()),
            10 => Control::Gap { alias: self.alias(), count: self.u64() },
            _ => Control::End { alias: self.alias() },
        }
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
        }
    }
}
