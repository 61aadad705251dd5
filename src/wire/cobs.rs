//! Packets on a serial line: COBS, ended by a zero, with a checksum.
//!
//! ```text
//! on the line:  COBS(content ++ CRC-32C of content, least byte first) 00
//! ```
//! COBS leaves no zero inside, so that a zero ends a packet whatever was lost before it. What stands between
//! two zeros is a *block*: a packet, or something else, which is passed over and said to have been text
//! or garbage. A packet behind something else in one block is found by its checksum: text that a boot loader
//! prints costs no packet, and a zero that was lost costs the one packet that it ended.

use super::crc::crc32c;

/// The bytes of the checksum.
const CHECKSUM: usize = 4;

/// How many bytes follow a code of 0xFF.
const GROUP: usize = 254;

/// The most bytes that a packet with `content` bytes takes on the line, its zero included.
pub(crate) const fn most_encoded(content: usize) -> usize {
    let bytes = content + CHECKSUM;
    bytes + bytes.div_ceil(GROUP) + 1
}

/// Appends the packet with this content to `line`.
pub(crate) fn encode(content: &[u8], line: &mut Vec<u8>) {
    let checksum = crc32c(content).to_le_bytes();
    line.reserve(most_encoded(content.len()));
    let mut place = line.len();
    let mut code: u8 = 1;
    line.push(0);
    for byte in content.iter().chain(&checksum) {
        if code == u8::MAX {
            line[place] = code;
            (place, code) = (line.len(), 1);
            line.push(0);
        }
        if *byte == 0 {
            line[place] = code;
            (place, code) = (line.len(), 1);
            line.push(0);
        } else {
            line.push(*byte);
            code += 1;
        }
    }
    line[place] = code;
    line.push(0);
}

/// Takes the packet out of a block, into `content`. False if it is none.
fn decode(block: &[u8], content: &mut Vec<u8>) -> bool {
    content.clear();
    let mut rest = block;
    while let Some((code, behind)) = rest.split_first() {
        let Some((group, behind)) = behind.split_at_checked(usize::from(*code).saturating_sub(1)) else {
            return false;
        };
        content.extend_from_slice(group);
        if *code != u8::MAX && !behind.is_empty() {
            content.push(0);
        }
        rest = behind;
    }
    let Some(length) = content.len().checked_sub(CHECKSUM) else { return false };
    let fits = crc32c(&content[..length]).to_le_bytes() == content[length..];
    content.truncate(length);
    fits && length > 0
}

/// From which places of a block the codes lead right to its end. Seldom so by chance, and quick to see: one look
/// at each byte, from the end on.
fn mark_whole(block: &[u8], whole: &mut Vec<bool>) {
    whole.clear();
    whole.resize(block.len() + 1, false);
    whole[block.len()] = true;
    for (at, code) in block.iter().enumerate().rev() {
        whole[at] = whole.get(at + usize::from(*code).max(1)).is_some_and(|whole| *whole);
    }
}

/// What was found in the bytes of a line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    /// The content of a packet: at least one byte, at most as many as the bound.
    Packet(&'a [u8]),
    /// Text that is no packet's.
    Text(&'a [u8]),
    /// Bytes that should be a packet and are not: damaged on the way, or meant for something else.
    Broken(&'a [u8]),
    /// A part of a block that is longer than any packet. `begins` is true for its first part.
    Overlong { bytes: &'a [u8], begins: bool },
}

/// The same, without the bytes.
#[derive(Clone, Copy)]
enum Kind {
    Packet,
    Text,
    Broken,
    Overlong,
}

/// Cuts the bytes of a line into packets, and into what is none. It holds at most two blocks of the
/// largest packet, the content of one, and a mark for each byte of the blocks.
///
/// ```text
///              bytes                    zero: a packet at the end? what stands before it
///  ┌─────────► gathering ────────────────────────────────────────► given out ──┐
///  │               │ full: the older half                                      │
///  │               └──────────────────────────────────────────────► given out ─┤
///  └───────────────────────────────────────────────────────────────────────────┘
/// ```
#[derive(Debug)]
pub(crate) struct Deframer {
    /// Bytes since the last zero, that were not given out.
    block: Vec<u8>,
    content: Vec<u8>,
    /// Where in the block a packet may begin, while one is looked for.
    whole: Vec<bool>,
    bound: usize,
    /// How many bytes of `block` the last call gave out.
    given: usize,
    /// A packet stands behind what the last call gave out.
    ready: bool,
    /// A part of this block was given out as overlong.
    overlong: bool,
}

impl Deframer {
    /// For packets of at most `bound` bytes of content.
    pub(crate) fn new(bound: usize) -> Self {
        Self {
            block: Vec::with_capacity(2 * most_encoded(bound)),
            content: Vec::with_capacity(2 * most_encoded(bound)),
            whole: Vec::new(),
            bound,
            given: 0,
            ready: false,
            overlong: false,
        }
    }

    /// The next thing found, taking bytes from the front of `input`; none when it is used up.
    pub(crate) fn next(&mut self, input: &mut &[u8]) -> Option<Found<'_>> {
        let (kind, begins) = self.step(input)?;
        let bytes = &self.block[..self.given];
        Some(match kind {
            Kind::Packet => Found::Packet(&self.content),
            Kind::Text => Found::Text(bytes),
            Kind::Broken => Found::Broken(bytes),
            Kind::Overlong => Found::Overlong { bytes, begins },
        })
    }

    /// What came since the last zero and was not given out.
    pub(crate) fn pending(&self) -> &[u8] {
        self.block.get(self.given..).unwrap_or_default()
    }

    /// Finds something, of which `given` bytes at the front of the block are the bytes.
    fn step(&mut self, input: &mut &[u8]) -> Option<(Kind, bool)> {
        self.block.drain(..self.given);
        self.given = 0;
        if std::mem::take(&mut self.ready) {
            self.given = self.block.len();
            return Some((Kind::Packet, false));
        }
        let most = 2 * most_encoded(self.bound);
        while !input.is_empty() {
            let end = input.iter().position(|byte| *byte == 0).unwrap_or(input.len());
            let (taken, rest) = input.split_at(end.min(most - self.block.len()));
            self.block.extend_from_slice(taken);
            *input = rest;
            match rest.first() {
                None => return None,
                Some(0) => {
                    *input = &rest[1..];
                    if let Some(found) = self.end_block() {
                        return Some(found);
                    }
                }
                Some(_) => {
                    self.given = most / 2;
                    return Some(self.name_given(true));
                }
            }
        }
        None
    }

    /// A zero came.
    fn end_block(&mut self) -> Option<(Kind, bool)> {
        // What is further from the end cannot be the beginning of a packet.
        let first = self.block.len().saturating_sub(most_encoded(self.bound) - 1);
        let begin = self.find_packet(first);
        let found = match begin {
            Some(0) => {
                self.given = self.block.len();
                Some((Kind::Packet, false))
            }
            Some(begin) => {
                self.ready = true;
                self.given = begin;
                Some(self.name_given(false))
            }
            // Zeros may stand side by side: one ahead of a packet ends whatever was there before.
            None if self.block.is_empty() => None,
            None => {
                self.given = self.block.len();
                Some(self.name_given(false))
            }
        };
        self.overlong = false;
        found
    }

    /// Where the packet begins that ends the block, from `first` on.
    fn find_packet(&mut self, first: usize) -> Option<usize> {
        if self.is_packet(first) {
            return Some(first);
        }
        mark_whole(&self.block, &mut self.whole);
        (first + 1..self.block.len()).find(|begin| self.whole[*begin] && self.is_packet(*begin))
    }

    fn is_packet(&mut self, begin: usize) -> bool {
        decode(&self.block[begin..], &mut self.content) && self.content.len() <= self.bound
    }

    /// What the bytes are that are given out and are no packet.
    fn name_given(&mut self, full: bool) -> (Kind, bool) {
        if is_text(&self.block[..self.given]) {
            (Kind::Text, false)
        } else if full || self.overlong || self.given > most_encoded(self.bound) {
            (Kind::Overlong, !std::mem::replace(&mut self.overlong, true))
        } else {
            (Kind::Broken, false)
        }
    }
}

/// Whether these bytes look like text that something printed: nine of ten are ASCII characters, and the
/// others are no control characters. Less than four bytes say nothing.
pub(crate) fn is_text(bytes: &[u8]) -> bool {
    let other = bytes.iter().filter(|byte| !matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n' | 0x1B));
    let (mut foreign, mut control) = (0, false);
    for byte in other {
        foreign += 1;
        control |= byte.is_ascii_control();
    }
    bytes.len() >= 4 && !control && foreign * 10 <= bytes.len()
}

#[cfg(test)]
mod tests;
