//! Packet frames: what travels in one packet of a line that may lose things.
//!
//! A packet is a COBS frame on a serial line, which holds one packet frame, or a UDP datagram, which holds
//! any number of them, each behind its length. `PROTOCOL.md`, "Packet links", is the specification.

mod age;
mod decode;
mod encode;

use crate::wire::varint;

pub(crate) use age::Age;
pub(crate) use decode::{PacketFault, PacketFrame, Ranges, decode, pieces};
#[allow(unused_imports)]
pub(crate) use encode::{
    put_ack, put_fragment, put_message, put_open, put_opened, put_piece, put_ping, put_pong, put_reset,
    put_retry, put_segment, put_tally,
};

/// The first bytes of an OPEN's body.
pub(crate) const MAGIC: [u8; 4] = *b"BWLP";
/// The version of packet links described by `PROTOCOL.md`.
pub(crate) const VERSION: u8 = 1;

pub(crate) const OPEN: u32 = 0x01;
pub(crate) const RETRY: u32 = 0x02;
pub(crate) const OPENED: u32 = 0x03;
pub(crate) const RESET: u32 = 0x04;
pub(crate) const SEGMENT: u32 = 0x05;
pub(crate) const ACK: u32 = 0x06;
pub(crate) const PING: u32 = 0x07;
pub(crate) const PONG: u32 = 0x08;
pub(crate) const TALLY: u32 = 0x09;
pub(crate) const FRAGMENT: u32 = 0x0A;
/// The tag of a MESSAGE of alias 0.
pub(crate) const MESSAGE: u32 = 0x20;

/// The smallest packet content an endpoint may be limited to, in bytes.
pub(crate) const MIN_PACKET: usize = 64;
/// The longest cookie.
pub(crate) const MAX_COOKIE: usize = 32;
/// The most ranges of an ACK.
pub(crate) const MAX_RANGES: usize = 4;
/// The bytes of a SEGMENT before its content.
pub(crate) const SEGMENT_HEAD: usize = 5;
/// How many drops go with a sample at most.
const MAX_DROPPED: u32 = (1 << 25) - 1;
/// The largest numbers of a TALLY.
pub(crate) const MAX_COUNT: u64 = 1 << 62;
/// How many samples at most it tells to be missing at once.
pub(crate) const MAX_AHEAD: u64 = 1 << 32;

/// Who begins a packet link: the body of OPEN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Open<'a> {
    pub(crate) version: u8,
    /// The dialler's; its low half is not 0.
    pub(crate) token: u32,
    /// The largest packet content the sender takes, in bytes.
    pub(crate) packet: u16,
    /// How many bytes of the stream it can hold.
    pub(crate) window: u32,
    /// What RETRY gave, or nothing.
    pub(crate) cookie: &'a [u8],
}

/// The answer to OPEN: the body of OPENED.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Opened {
    pub(crate) version: u8,
    /// The dialler's token.
    pub(crate) yours: u32,
    /// The acceptor's; its low half is not 0.
    pub(crate) mine: u32,
    pub(crate) packet: u16,
    pub(crate) window: u32,
}

/// What stands before the bytes of a sample: its number and what the sender dropped right before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Order {
    /// The low bits of the sample's number: seven, or fourteen if it is wide.
    pub(crate) number: u16,
    pub(crate) wide: bool,
    /// At most 2^25 - 1; only if it is wide.
    pub(crate) dropped: u32,
}

impl Order {
    /// Wide as well where something was dropped. Drops beyond the largest number are left to a tally.
    pub(crate) fn new(number: u64, wide: bool, dropped: u64) -> Self {
        let wide = wide || dropped > 0;
        let dropped = u32::try_from(dropped).unwrap_or(MAX_DROPPED).min(MAX_DROPPED);
        Self { number: (number & if wide { 0x3FFF } else { 0x7F }) as u16, wide, dropped }
    }

    /// Where its numbers begin anew.
    pub(crate) const fn span(self) -> u64 {
        if self.wide { 1 << 14 } else { 1 << 7 }
    }

    /// What follows the first byte.
    fn more(self) -> Option<u32> {
        self.wide.then_some(self.dropped << 7 | u32::from(self.number >> 7))
    }

    /// How many bytes it takes.
    pub(crate) fn len(self) -> usize {
        1 + self.more().map_or(0, |more| varint::len(u64::from(more)))
    }
}

/// One piece of a sample that is too large for one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fragment<'a> {
    pub(crate) alias: u32,
    pub(crate) order: Order,
    pub(crate) age: Age,
    /// Bytes of the whole payload.
    pub(crate) total: u32,
    /// Where these begin in it.
    pub(crate) at: u32,
    pub(crate) bytes: &'a [u8],
}

/// What the sender of an alias counted so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) alias: u32,
    /// The number of the next sample: how many were put on the line.
    pub(crate) next: u64,
    /// How many were not, as the sender dropped them.
    pub(crate) dropped: u64,
}

#[cfg(test)]
mod tests;
