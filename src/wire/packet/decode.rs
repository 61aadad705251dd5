//! Packet frames from bytes. A frame that is not as it should be is dropped and counted, never more.

use super::age::LONG;
use super::{
    ACK, Age, FRAGMENT, Fragment, MAGIC, MAX_COOKIE, MAX_COUNT, MAX_RANGES, MESSAGE, MIN_PACKET, OPEN,
    OPENED, Open, Opened, Order, PING, PONG, RESET, RETRY, SEGMENT, TALLY, Tally,
};
use crate::time::Timestamp;
use crate::wire::control::{Ping, Pong};
use crate::wire::kind::MAX_ALIAS;
use crate::wire::varint;

/// One packet frame: a view of the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PacketFrame<'a> {
    Open(Open<'a>),
    /// An OPEN of another version; what follows its token is not looked at.
    OpenOther {
        version: u8,
        token: u32,
    },
    Retry {
        token: u32,
        cookie: &'a [u8],
    },
    Opened(Opened),
    /// An OPENED of another version.
    OpenedOther {
        version: u8,
    },
    Reset {
        token: u16,
    },
    Segment {
        offset: u32,
        bytes: &'a [u8],
    },
    Ack {
        next: u32,
        window: u32,
        ranges: Ranges,
    },
    Ping(Ping),
    Pong(Pong),
    Tally(Tally),
    Fragment(Fragment<'a>),
    Message {
        alias: u32,
        order: Order,
        age: Age,
        payload: &'a [u8],
    },
}

/// Why bytes are no packet frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PacketFault {
    /// Of a kind this version does not know.
    Unknown,
    Malformed,
}

/// The ranges of an ACK: of each the bytes missing before it, and its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Ranges {
    pairs: [(u32, u32); MAX_RANGES],
    count: u8,
}

impl Ranges {
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.pairs[..usize::from(self.count)].iter().copied()
    }
}

/// The frame that is the whole of `content`.
///
/// # Errors
/// Where it is none.
pub(crate) fn decode(content: &[u8]) -> Result<PacketFrame<'_>, PacketFault> {
    let mut body = Body { rest: content };
    let tag = body.varint_u32()?;
    let frame = match tag {
        OPEN => body.open()?,
        RETRY => PacketFrame::Retry { token: body.u32()?, cookie: body.cookie()? },
        OPENED => body.opened()?,
        RESET => PacketFrame::Reset { token: u16::from_le_bytes(body.array()?) },
        SEGMENT => {
            let frame = PacketFrame::Segment { offset: body.u32()?, bytes: body.all() };
            match frame {
                PacketFrame::Segment { bytes: [], .. } => return Err(PacketFault::Malformed),
                frame => frame,
            }
        }
        ACK => PacketFrame::Ack { next: body.u32()?, window: body.u32()?, ranges: body.ranges()? },
        PING => PacketFrame::Ping(Ping { sent: body.time()? }),
        PONG => PacketFrame::Pong(Pong { echo: body.time()?, received: body.time()?, sent: body.time()? }),
        TALLY => {
            let (alias, next, dropped) = (body.alias()?, body.varint_u64()?, body.varint_u64()?);
            if next > MAX_COUNT || dropped > MAX_COUNT {
                return Err(PacketFault::Malformed);
            }
            PacketFrame::Tally(Tally { alias, next, dropped })
        }
        FRAGMENT => {
            let (alias, order, age) = (body.alias()?, body.order()?, body.age()?);
            let (total, at, bytes) = (body.varint_u32()?, body.varint_u32()?, body.all());
            if bytes.is_empty() || u64::from(at) + bytes.len() as u64 > u64::from(total) {
                return Err(PacketFault::Malformed);
            }
            PacketFrame::Fragment(Fragment { alias, order, age, total, at, bytes })
        }
        MESSAGE.. => {
            let alias = tag - MESSAGE;
            if alias > MAX_ALIAS {
                return Err(PacketFault::Malformed);
            }
            PacketFrame::Message { alias, order: body.order()?, age: body.age()?, payload: body.all() }
        }
        _ => return Err(PacketFault::Unknown),
    };
    if body.rest.is_empty() { Ok(frame) } else { Err(PacketFault::Malformed) }
}

/// The frames of a datagram, each without its length. A length of 0 says that the rest is padding.
pub(crate) fn pieces(datagram: &[u8]) -> Pieces<'_> {
    Pieces { rest: datagram }
}

pub(crate) struct Pieces<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Result<&'a [u8], PacketFault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let rest = std::mem::take(&mut self.rest);
        match varint::read_u32(rest) {
            Ok(Some((0, _))) => None,
            Ok(Some((length, used))) if rest.len() - used >= length as usize => {
                let (piece, after) = rest[used..].split_at(length as usize);
                self.rest = after;
                Some(Ok(piece))
            }
            _ => Some(Err(PacketFault::Malformed)),
        }
    }
}

type Taken<T> = Result<T, PacketFault>;

struct Body<'a> {
    rest: &'a [u8],
}

impl<'a> Body<'a> {
    fn open(&mut self) -> Taken<PacketFrame<'a>> {
        if self.array::<4>()? != MAGIC {
            return Err(PacketFault::Malformed);
        }
        let (version, token) = (self.u8()?, self.token()?);
        if version != super::VERSION {
            self.rest = &[];
            return Ok(PacketFrame::OpenOther { version, token });
        }
        let (packet, window) = (self.packet()?, self.u32()?);
        Ok(PacketFrame::Open(Open { version, token, packet, window, cookie: self.cookie()? }))
    }

    fn opened(&mut self) -> Taken<PacketFrame<'a>> {
        let version = self.u8()?;
        if version != super::VERSION {
            self.rest = &[];
            return Ok(PacketFrame::OpenedOther { version });
        }
        let (yours, mine) = (self.token()?, self.token()?);
        let (packet, window) = (self.packet()?, self.u32()?);
        Ok(PacketFrame::Opened(Opened { version, yours, mine, packet, window }))
    }

    /// A token: 0 stands for none, also in its low half, which goes before each datagram.
    fn token(&mut self) -> Taken<u32> {
        self.u32().and_then(|token| if token as u16 == 0 { Err(PacketFault::Malformed) } else { Ok(token) })
    }

    fn packet(&mut self) -> Taken<u16> {
        let packet = u16::from_le_bytes(self.array()?);
        if usize::from(packet) < MIN_PACKET { Err(PacketFault::Malformed) } else { Ok(packet) }
    }

    fn cookie(&mut self) -> Taken<&'a [u8]> {
        let length = self.varint_u32()? as usize;
        if length > MAX_COOKIE || length > self.rest.len() {
            return Err(PacketFault::Malformed);
        }
        let (cookie, rest) = self.rest.split_at(length);
        self.rest = rest;
        Ok(cookie)
    }

    fn ranges(&mut self) -> Taken<Ranges> {
        let mut ranges = Ranges::default();
        while !self.rest.is_empty() {
            let (gap, length) = (self.varint_u32()?, self.varint_u32()?);
            let place = ranges.pairs.get_mut(usize::from(ranges.count)).ok_or(PacketFault::Malformed)?;
            if gap == 0 || length == 0 {
                return Err(PacketFault::Malformed);
            }
            *place = (gap, length);
            ranges.count += 1;
        }
        Ok(ranges)
    }

    fn order(&mut self) -> Taken<Order> {
        let byte = self.u8()?;
        if byte < 0x80 {
            return Ok(Order { number: u16::from(byte), wide: false, dropped: 0 });
        }
        let more = self.varint_u32()?;
        let number = u16::from(byte & 0x7F) | ((more & 0x7F) as u16) << 7;
        Ok(Order { number, wide: true, dropped: more >> 7 })
    }

    fn age(&mut self) -> Taken<Age> {
        match self.u8()? {
            LONG => Ok(Age::from_long(self.varint_u64()?)),
            byte => Ok(Age::from_byte(byte)),
        }
    }

    fn alias(&mut self) -> Taken<u32> {
        let alias = self.varint_u32()?;
        if alias > MAX_ALIAS { Err(PacketFault::Malformed) } else { Ok(alias) }
    }

    fn time(&mut self) -> Taken<Timestamp> {
        Ok(Timestamp::from_micros(u64::from_le_bytes(self.array()?)))
    }

    fn u8(&mut self) -> Taken<u8> {
        Ok(self.array::<1>()?[0])
    }

    fn u32(&mut self) -> Taken<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn array<const N: usize>(&mut self) -> Taken<[u8; N]> {
        let (array, rest) = self.rest.split_first_chunk::<N>().ok_or(PacketFault::Malformed)?;
        self.rest = rest;
        Ok(*array)
    }

    fn varint_u32(&mut self) -> Taken<u32> {
        let (value, used) = varint::read_u32(self.rest).ok().flatten().ok_or(PacketFault::Malformed)?;
        self.rest = &self.rest[used..];
        Ok(value)
    }

    fn varint_u64(&mut self) -> Taken<u64> {
        let (value, used) = varint::read_u64(self.rest).ok().flatten().ok_or(PacketFault::Malformed)?;
        self.rest = &self.rest[used..];
        Ok(value)
    }

    fn all(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }
}
