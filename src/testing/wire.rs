//! One line of a world, and its two ends as endpoints see them.

use super::net::{Place, Shared};
use crate::time::Timestamp;
use crate::transport::Connection;
use crate::transport::fault::course::{Course, Fate};
use crate::transport::packet::Port;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::time::Duration;

/// One line between two places.
pub(super) struct Wire {
    pub(super) places: [Place; 2],
    pub(super) packets: bool,
    /// By the side that sends.
    ways: [Way; 2],
    ends: [End; 2],
}

/// One direction.
struct Way {
    course: Course,
    /// Pieces of a stream, in order.
    pieces: VecDeque<(Timestamp, Vec<u8>)>,
    /// Of the first piece, what was read.
    read: usize,
    /// Of all pieces, what was not read.
    bytes: usize,
    /// When the end of the stream comes.
    ended: Option<Timestamp>,
    /// Packets by when they come. An empty one tells that the line is over.
    packets: BTreeMap<(Timestamp, u64), Vec<u8>>,
    sequence: u64,
}

#[derive(Default)]
struct End {
    closed: bool,
    /// Its machine is gone: nothing leaves any more.
    silent: bool,
    /// When its reader looks again.
    look: Option<Timestamp>,
}

impl Wire {
    pub(super) fn new(places: [Place; 2], packets: bool, seeds: [u64; 2]) -> Self {
        let ways = seeds.map(|seed| Way {
            course: Course::new(seed),
            pieces: VecDeque::new(),
            read: 0,
            bytes: 0,
            ended: None,
            packets: BTreeMap::new(),
            sequence: 0,
        });
        Self { places, packets, ways, ends: Default::default() }
    }

    /// When something comes out, or an end wants to look.
    pub(super) fn next(
        &self,
        blocked: impl Fn(Place, Place) -> bool,
        asleep: impl Fn(Place) -> bool,
    ) -> Option<Timestamp> {
        let reads = |side: usize| {
            let end = &self.ends[side];
            !end.closed && !end.silent && !asleep(self.places[side])
        };
        let sides = (0..2).filter(|side| reads(1 - side));
        let next = sides.flat_map(|side| {
            let way = &self.ways[side];
            let passes = self.packets || !blocked(self.places[side], self.places[1 - side]);
            let piece = way.pieces.front().map(|(at, _)| *at).or(way.ended).filter(|_| passes);
            let packet = way.packets.keys().next().map(|(at, _)| *at);
            [piece, packet, self.ends[1 - side].look]
        });
        next.flatten().min()
    }

    /// What stands in line on a stream comes now.
    pub(super) fn heal(&mut self, now: Timestamp) {
        for way in &mut self.ways {
            way.course.heal(now);
            for (comes, _) in &mut way.pieces {
                *comes = (*comes).min(now);
            }
            way.ended = way.ended.map(|comes| comes.min(now));
        }
    }

    /// Both ends find it ended now.
    pub(super) fn cut(&mut self, now: Timestamp) {
        let packets = self.packets;
        for way in &mut self.ways {
            way.pieces.clear();
            (way.read, way.bytes) = (0, 0);
            if packets {
                way.packets = [((now, 0), Vec::new())].into();
            } else {
                way.ended = Some(now);
            }
        }
    }

    /// Nothing leaves this place any more; what of a stream has not come was to be sent again, and is not.
    pub(super) fn silence(&mut self, place: Place, now: Timestamp) {
        for side in (0..2).filter(|side| self.places[*side] == place) {
            self.ends[side].silent = true;
            let way = &mut self.ways[side];
            let came = way.pieces.iter().take_while(|(comes, _)| *comes <= now).count();
            way.pieces.truncate(came);
            if came == 0 {
                way.read = 0;
            }
            way.bytes = way.pieces.iter().map(|(_, piece)| piece.len()).sum::<usize>() - way.read;
            way.ended = None;
        }
    }
}

/// One end of a line of a world.
pub(super) struct WireEnd {
    pub(super) net: Shared,
    pub(super) number: u64,
    pub(super) side: usize,
    pub(super) remote: String,
}

impl WireEnd {
    fn now(&self) -> Timestamp {
        self.net.lock().now
    }

    fn take(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut net = self.net.lock();
        let net = &mut *net;
        let now = net.now;
        let Some(wire) = net.wires.get_mut(&self.number) else { return Ok(0) };
        if wire.ends[self.side].closed {
            return Ok(0);
        }
        let [here, there] = [wire.places[self.side], wire.places[1 - self.side]];
        let way = &mut wire.ways[1 - self.side];
        let due = way.pieces.front().map(|(at, _)| *at).or(way.ended);
        let some = due.is_some_and(|at| at <= now);
        if !some || net.is_blocked(there, here, false) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let Some(wire) = net.wires.get_mut(&self.number) else { return Ok(0) };
        let way = &mut wire.ways[1 - self.side];
        let Some((_, piece)) = way.pieces.front() else { return Ok(0) };
        let count = (piece.len() - way.read).min(buffer.len());
        buffer[..count].copy_from_slice(&piece[way.read..way.read + count]);
        way.read += count;
        way.bytes -= count;
        if way.read == piece.len() {
            way.pieces.pop_front();
            way.read = 0;
        }
        net.activity += 1;
        Ok(count)
    }

    fn put(&self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let mut net = self.net.lock();
        let net = &mut *net;
        let now = net.now;
        let (here, there) = self.places(net)?;
        let faults = net.faults(here, there);
        let Some(wire) = net.wires.get_mut(&self.number) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        if wire.ends[self.side].closed || wire.ways[self.side].ended.is_some() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let count = bytes.len().min(PIECE);
        if wire.ends[1 - self.side].closed || wire.ends[self.side].silent {
            return Ok(count);
        }
        let way = &mut wire.ways[self.side];
        if way.bytes >= WINDOW {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut piece = bytes[..count].to_vec();
        let course = way.course.piece(now, &faults, count);
        if let Some(bit) = course.flipped {
            piece[bit / 8] ^= 1 << (bit % 8);
        }
        way.bytes += count;
        let sum = digest(&piece);
        way.pieces.push_back((course.comes, piece));
        net.activity += 1;
        net.note(&[self.number, self.side as u64, course.comes.micros(), sum]);
        Ok(count)
    }

    fn places(&self, net: &super::net::Net) -> io::Result<(Place, Place)> {
        let wire = net.wires.get(&self.number).ok_or(io::ErrorKind::BrokenPipe)?;
        Ok((wire.places[self.side], wire.places[1 - self.side]))
    }

    fn end(&self) {
        let mut net = self.net.lock();
        let net = &mut *net;
        let Ok((here, there)) = self.places(net) else { return };
        let (now, faults, blocked) = (net.now, net.faults(here, there), net.is_blocked(here, there, true));
        let Some(wire) = net.wires.get_mut(&self.number) else { return };
        if std::mem::replace(&mut wire.ends[self.side].closed, true) {
            return;
        }
        let told = !wire.ends[self.side].silent;
        let way = &mut wire.ways[self.side];
        if wire.packets {
            if told && !blocked {
                if let Fate::Comes(comes, _) = way.course.packet(now, &faults, 0) {
                    way.sequence += 1;
                    way.packets.insert((comes, way.sequence), Vec::new());
                }
            }
        } else if told && way.ended.is_none() {
            way.ended = Some(way.course.piece(now, &faults, 0).comes);
        }
        if wire.ends.iter().all(|end| end.closed) {
            net.wires.remove(&self.number);
        }
        net.activity += 1;
        net.note(&[self.number, self.side as u64, 0xE0D]);
    }
}

impl Connection for WireEnd {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.take(buffer)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.put(bytes)
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.put(bytes)
    }

    fn close(&self) {
        self.end();
    }

    fn remote(&self) -> String {
        self.remote.clone()
    }
}

impl Drop for WireEnd {
    fn drop(&mut self) {
        self.end();
    }
}

/// One end of a line of packets.
pub(super) struct WirePort(pub(super) WireEnd);

impl WirePort {
    /// Puts a packet on its way; what is blocked is lost. One that finds no end there is answered by the word that
    /// the line is over.
    fn put(&self, content: &[u8]) -> io::Result<()> {
        let end = &self.0;
        let mut net = end.net.lock();
        let net = &mut *net;
        let (here, there) = end.places(net)?;
        let (now, faults, back) = (net.now, net.faults(here, there), net.faults(there, here));
        let blocked = [net.is_blocked(here, there, true), net.is_blocked(there, here, true)];
        let Some(wire) = net.wires.get_mut(&end.number) else { return Ok(()) };
        if wire.ends[end.side].closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let is_there = !wire.ends[1 - end.side].closed;
        let fate = wire.ways[end.side].course.packet(now, &faults, content.len() + OVERHEAD);
        let mut noted = 0;
        if let (Fate::Comes(comes, again), false, false) = (fate, blocked[0], wire.ends[end.side].silent) {
            noted = comes.micros();
            if is_there {
                let way = &mut wire.ways[end.side];
                for at in [Some(comes), again].into_iter().flatten() {
                    if way.packets.len() < MOST_PACKETS {
                        way.sequence += 1;
                        way.packets.insert((at, way.sequence), content.to_vec());
                    }
                }
            } else if !blocked[1] && !wire.ends[1 - end.side].silent {
                let way = &mut wire.ways[1 - end.side];
                if let Fate::Comes(comes, _) = way.course.packet(comes, &back, OVERHEAD) {
                    way.sequence += 1;
                    way.packets.insert((comes, way.sequence), Vec::new());
                }
            }
        }
        net.activity += 1;
        net.note(&[end.number, end.side as u64, noted, digest(content)]);
        Ok(())
    }
}

impl Port for WirePort {
    fn receive(&self, buffer: &mut [u8], timeout: Duration) -> io::Result<Option<usize>> {
        let end = &self.0;
        let mut net = end.net.lock();
        let net = &mut *net;
        let now = net.now;
        let Some(wire) = net.wires.get_mut(&end.number) else { return Ok(Some(0)) };
        if wire.ends[end.side].closed {
            return Ok(Some(0));
        }
        wire.ends[end.side].look = None;
        let way = &mut wire.ways[1 - end.side];
        match way.packets.first_entry().filter(|entry| entry.key().0 <= now) {
            Some(entry) => {
                let packet = entry.remove();
                buffer[..packet.len()].copy_from_slice(&packet);
                net.activity += 1;
                Ok(Some(packet.len()))
            }
            None => {
                wire.ends[end.side].look = Some(now + timeout);
                Err(io::ErrorKind::WouldBlock.into())
            }
        }
    }

    fn send(&self, content: &[u8]) -> io::Result<()> {
        self.put(content)
    }

    fn try_send(&self, content: &[u8]) -> io::Result<()> {
        self.put(content)
    }

    fn close(&self) {
        self.0.end();
    }

    fn remote(&self) -> String {
        self.0.remote.clone()
    }

    fn rate(&self) -> Option<u64> {
        None
    }

    fn now(&self) -> Timestamp {
        self.0.now()
    }
}

/// A number for some bytes.
fn digest(bytes: &[u8]) -> u64 {
    let mix =
        |sum: u64, word| (sum ^ u64::from_le_bytes(word)).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
    let (mut sum, mut rest) = (bytes.len() as u64, bytes);
    while let Some((word, more)) = rest.split_first_chunk() {
        (sum, rest) = (mix(sum, *word), more);
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    mix(sum, last)
}

/// What goes its way together.
const PIECE: usize = 16 * 1024;

/// How many bytes a stream holds each way, those that were not read included.
const WINDOW: usize = 256 * 1024;

/// How many packets are under way each way; what is sent beyond is lost.
const MOST_PACKETS: usize = 4096;

/// What a datagram costs beside its content.
const OVERHEAD: usize = 30;
