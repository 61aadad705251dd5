//! The bytes of the protocol, written by hand from `src/wire/PROTOCOL.md`.

use std::sync::atomic::{AtomicU64, Ordering};

pub const BYE: u32 = 0x02;
pub const PING: u32 = 0x03;
pub const PONG: u32 = 0x04;
pub const INTENTS: u32 = 0x05;
pub const INTERESTS: u32 = 0x06;
pub const NOTIFY: u32 = 0x07;
pub const RESUME: u32 = 0x10;
pub const MARK: u32 = 0x12;
pub const MESSAGE: u32 = 0x20;

/// The capability of sessions that outlive links.
pub const RESUMES: u32 = 1 << 6;

/// One frame as it came.
#[derive(Clone, Debug)]
pub struct Frame {
    pub tag: u32,
    pub body: Vec<u8>,
}

impl Frame {
    /// The code and the text of a BYE.
    pub fn bye(&self) -> Option<(u8, String)> {
        if self.tag != BYE {
            return None;
        }
        let (length, used) = read_varint(&self.body[1..])?;
        let text = &self.body[1 + used..][..length as usize];
        Some((self.body[0], String::from_utf8(text.to_vec()).expect("UTF-8")))
    }

    pub fn is_initial(&self) -> bool {
        self.tag == 0x01 && self.body[0] == 0
    }

    pub fn is_final(&self) -> bool {
        self.tag == 0x01 && self.body[0] == 1
    }

    /// What a frame says that is one number.
    pub fn number(&self, tag: u32) -> Option<u64> {
        if self.tag == tag { read_varint(&self.body).map(|(number, _)| number) } else { None }
    }

    /// The sender, the receiver and the alias of a NOTIFY linked.
    pub fn linked(&self) -> Option<(u32, u32, u32)> {
        if self.tag != NOTIFY || self.body[0] != 0 {
            return None;
        }
        let mut rest = &self.body[1..];
        let mut next = || {
            let (value, used) = read_varint(rest)?;
            rest = &rest[used..];
            Some(value as u32)
        };
        Some((next()?, next()?, next()?))
    }
}

/// The frame at the front of `bytes` and how many of them it takes.
pub fn cut(bytes: &[u8]) -> Option<(Frame, usize)> {
    let (length, used) = read_varint(bytes)?;
    let whole = bytes.get(used..used + length as usize)?;
    let (tag, tag_bytes) = read_varint(whole)?;
    Some((Frame { tag: tag as u32, body: whole[tag_bytes..].to_vec() }, used + whole.len()))
}

pub fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 0x7F {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn read_varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0;
    for (place, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7F) << (7 * place);
        if byte & 0x80 == 0 {
            return Some((value, place + 1));
        }
    }
    None
}

pub fn frame(tag: u32, body: &[u8]) -> Vec<u8> {
    let tag = varint(tag.into());
    [varint((tag.len() + body.len()) as u64), tag, body.to_vec()].concat()
}

/// The head of a frame of `length` bytes whose body never comes.
pub fn head(length: u64, tag: u32) -> Vec<u8> {
    [varint(length), varint(tag.into())].concat()
}

/// The head of a MESSAGE of `length` bytes whose payload never comes.
pub fn message_head(length: u64, alias: u32) -> Vec<u8> {
    [head(length, MESSAGE + alias), vec![0, 0]].concat()
}

fn text(text: &str) -> Vec<u8> {
    [varint(text.len() as u64), text.as_bytes().to_vec()].concat()
}

/// What a raw peer says of itself.
#[derive(Clone, Debug)]
pub struct Hello {
    pub versions: (u8, u8),
    pub instance: [u8; 16],
    pub path: String,
    pub expected: String,
    pub capabilities: u32,
    /// The session it asks to go on with, and whether it only joins that.
    pub session: u64,
    pub joins: bool,
}

impl Hello {
    /// Of a peer of its own instance, which expects nobody in particular.
    pub fn of(path: &str) -> Self {
        let mut instance = [0xEE; 16];
        for (to, from) in instance.iter_mut().zip(path.bytes()) {
            *to = from;
        }
        let (path, expected) = (path.to_owned(), String::new());
        Self { versions: (1, 1), instance, path, expected, capabilities: 0, session: 0, joins: false }
    }

    /// Of one that knows sessions that outlive links.
    pub fn resuming(path: &str, session: u64) -> Self {
        Self { capabilities: RESUMES, session, ..Self::of(path) }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let body = [
            vec![0],
            b"BWLN".to_vec(),
            vec![self.versions.0, self.versions.1],
            self.capabilities.to_le_bytes().to_vec(),
            self.instance.to_vec(),
            self.session.to_le_bytes().to_vec(),
            vec![u8::from(self.joins) << 1],
            (1u32 << 20).to_le_bytes().to_vec(),
            1000u32.to_le_bytes().to_vec(),
            1_700_000_000_000_000u64.to_le_bytes().to_vec(),
            text(&self.path),
            text(&self.expected),
        ];
        frame(0x01, &body.concat())
    }
}

pub fn handshake_final(session: u64) -> Vec<u8> {
    handshake_final_with(session, 0)
}

pub fn handshake_final_with(session: u64, capabilities: u32) -> Vec<u8> {
    frame(0x01, &[vec![1, 1], capabilities.to_le_bytes().to_vec(), session.to_le_bytes().to_vec()].concat())
}

pub fn bye(code: u8, words: &str) -> Vec<u8> {
    frame(BYE, &[vec![code], text(words)].concat())
}

pub fn ping(sent: u64) -> Vec<u8> {
    frame(PING, &sent.to_le_bytes())
}

/// One entry that adds the route `Bytes@path`, raw bytes, up to its own last fields.
fn added(id: u32, path: &str) -> Vec<u8> {
    let route = [vec![1, 0], varint(id.into()), vec![0], text("Bytes"), text(path)].concat();
    [route, vec![0; 8], text("raw"), vec![0; 4]].concat()
}

/// INTENTS that add one intent of raw bytes.
pub fn intent(id: u32, path: &str) -> Vec<u8> {
    frame(INTENTS, &[added(id, path), vec![0]].concat())
}

/// INTERESTS that add one interest in raw bytes: 0 latest, 1 queue, 2 lossless.
pub fn interest(id: u32, path: &str, delivery: u8, depth: u32) -> Vec<u8> {
    frame(INTERESTS, &[added(id, path), vec![delivery], varint(depth.into())].concat())
}

pub fn linked(mine: u32, yours: u32, alias: u32) -> Vec<u8> {
    let numbers = [varint(mine.into()), varint(yours.into()), varint(alias.into())];
    frame(NOTIFY, &[vec![0], numbers.concat()].concat())
}

pub fn credit(alias: u32, limit: u64, taken: u64, lost: u64) -> Vec<u8> {
    frame(0x08, &[varint(alias.into()), varint(limit), varint(taken), varint(lost)].concat())
}

pub fn time(clock: u64) -> Vec<u8> {
    frame(0x09, &clock.to_le_bytes())
}

pub fn gap(alias: u32, count: u64) -> Vec<u8> {
    frame(0x0A, &[varint(alias.into()), varint(count)].concat())
}

pub fn stalled(alias: u32, untaken: u64) -> Vec<u8> {
    frame(0x14, &[varint(alias.into()), varint(untaken)].concat())
}

pub fn end(alias: u32) -> Vec<u8> {
    frame(0x0B, &varint(alias.into()))
}

pub fn message(alias: u32, payload: &[u8]) -> Vec<u8> {
    frame(MESSAGE + alias, &[vec![0, 0], payload.to_vec()].concat())
}

/// The next one: whatever session it is of, its turn is behind those before.
pub fn resume(received: u64) -> Vec<u8> {
    static TURN: AtomicU64 = AtomicU64::new(1);
    frame(RESUME, &[varint(received), varint(TURN.fetch_add(1, Ordering::Relaxed))].concat())
}

pub fn at(alias: u32, number: u64) -> Vec<u8> {
    frame(0x11, &[varint(alias.into()), varint(number)].concat())
}

pub fn mark(number: u64) -> Vec<u8> {
    frame(MARK, &varint(number))
}

pub fn marked(number: u64) -> Vec<u8> {
    frame(0x15, &varint(number))
}
