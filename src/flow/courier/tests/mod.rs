//! Two couriers on a simulated line, in virtual time.

mod exact;
mod hostile;
mod line;
mod resumed;
mod simple;
mod speed;

use super::*;
use crate::wire::control::{Control, Hello, Notify};
use crate::wire::fragment::{put_fragment_head, read_fragment};
use crate::wire::kind;
use crate::wire::message::put_message_head;
use crate::wire::{Frame, Limits, Split, StampReader, StampWriter, decode, encode, split};
use line::{Line, Weather};
use std::collections::BTreeMap;

/// One end: a courier, what its application wrote and not all went in, and what came out.
struct Side {
    courier: Courier,
    outbox: VecDeque<u8>,
    stamps: StampWriter,
    inbox: Vec<u8>,
    /// Samples of which not all pieces came out.
    open: BTreeMap<u32, (Timestamp, Vec<u8>)>,
    times: StampReader,
    /// Frames that came out, messages with their send times.
    got: Vec<Got>,
    bytes_out: u64,
}

#[derive(Clone, Debug, PartialEq)]
enum Got {
    Message { alias: u32, sent: Timestamp, payload: Vec<u8> },
    Control(Control),
}

/// Two sides and the line between them.
struct Bench {
    now: Timestamp,
    sides: [Side; 2],
    /// From the first to the second, and back.
    lines: [Line; 2],
}

const START: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);
const MAX_FRAME: u32 = 200_000;

fn udp() -> Settings {
    Settings {
        fifo: false,
        packet: 1200,
        window_in: 64 * 1024,
        window_out: 64 * 1024,
        rate: None,
        frames: Frames::Many,
        overhead: 44,
    }
}

fn serial(rate: u64) -> Settings {
    Settings {
        fifo: true,
        packet: 256,
        window_in: 4096,
        window_out: 4096,
        rate: Some(rate),
        frames: Frames::Single,
        overhead: 7,
    }
}

impl Side {
    fn new(settings: Settings) -> Self {
        Self {
            courier: Courier::new(settings),
            outbox: VecDeque::new(),
            stamps: StampWriter::default(),
            inbox: Vec::new(),
            open: BTreeMap::new(),
            times: StampReader::default(),
            got: Vec::new(),
            bytes_out: 0,
        }
    }

    fn control(&mut self, control: &Control) {
        let mut bytes = Vec::new();
        encode(&mut bytes, control);
        self.outbox.extend(bytes);
    }

    fn message(&mut self, now: Timestamp, alias: u32, payload: &[u8]) {
        let mut bytes = Vec::new();
        let out = self.stamps.stamp(now);
        if out.time_first {
            encode(&mut bytes, &Control::Time(now));
        }
        put_message_head(&mut bytes, alias, out.stamp, payload.len());
        bytes.extend_from_slice(payload);
        self.outbox.extend(bytes);
    }

    /// A sample in pieces.
    fn pieces(&mut self, now: Timestamp, alias: u32, payload: &[u8], size: usize) {
        let mut bytes = Vec::new();
        let mut stamp = None;
        for (place, piece) in payload.chunks(size).enumerate() {
            if place == 0 {
                let out = self.stamps.stamp(now);
                if out.time_first {
                    encode(&mut bytes, &Control::Time(now));
                }
                stamp = Some(out.stamp);
            }
            let left = (payload.len() - place * size - piece.len()) as u32;
            put_fragment_head(&mut bytes, alias, stamp.take(), left, piece.len());
            bytes.extend_from_slice(piece);
        }
        self.outbox.extend(bytes);
    }

    /// Gives the courier what it takes, cut at most after `cut` bytes.
    fn push(&mut self, now: Timestamp, cut: usize) {
        loop {
            let bytes = self.outbox.as_slices().0;
            let taken = self.courier.send(now, &bytes[..cut.min(bytes.len())]);
            self.outbox.drain(..taken);
            if taken == 0 || self.outbox.is_empty() {
                return;
            }
        }
    }

    fn pull(&mut self, now: Timestamp) {
        let mut out = [0; 1000];
        loop {
            let count = self.courier.read(now, &mut out);
            if count == 0 {
                return;
            }
            self.inbox.extend_from_slice(&out[..count]);
            let mut used = 0;
            loop {
                match split(&self.inbox[used..], Limits::agreed(MAX_FRAME)).expect("only frames come out") {
                    Split::NeedMore { .. } => break,
                    Split::Frame { frame, consumed } => {
                        used += consumed;
                        match frame {
                            Frame::Message { alias, stamp, payload } => {
                                let sent = self.times.apply(stamp);
                                self.got.push(Got::Message { alias, sent, payload: payload.to_vec() });
                            }
                            Frame::Control { kind: kind::FRAGMENT, body } => {
                                let piece = read_fragment(body).expect("a piece");
                                if let Some(stamp) = piece.first {
                                    self.open.insert(piece.alias, (self.times.apply(stamp), Vec::new()));
                                }
                                let (sent, bytes) = self.open.get_mut(&piece.alias).expect("it began");
                                bytes.extend_from_slice(piece.bytes);
                                if piece.left == 0 {
                                    let (alias, sent, payload) = (piece.alias, *sent, std::mem::take(bytes));
                                    self.got.push(Got::Message { alias, sent, payload });
                                }
                            }
                            Frame::Control { kind, body } => match decode(kind, body).expect("a valid frame")
                            {
                                Control::Time(time) => self.times.reset(time),
                                control => self.got.push(Got::Control(control)),
                            },
                        }
                    }
                }
            }
            self.inbox.drain(..used);
        }
    }
}

impl Bench {
    fn new(settings: Settings, weather: Weather, seed: u64) -> Self {
        let line = |seed| Line::new(weather, settings.rate, settings.overhead, seed);
        Self {
            now: START,
            sides: [Side::new(settings), Side::new(settings)],
            lines: [line(seed * 2), line(seed * 2 + 1)],
        }
    }

    /// Both say who they are, as the largest message and the clocks are known from it.
    fn greet(&mut self) {
        for side in &mut self.sides {
            side.control(&Control::Hello(hello(self.now)));
            let accept = crate::wire::control::Accept { version: 1, capabilities: 0, session: 7 };
            side.control(&Control::Accept(accept));
        }
    }

    /// Side `from` links `alias` towards the other.
    fn link(&mut self, from: usize, alias: u32, lossless: bool) {
        self.sides[from].courier.lane(alias, lossless);
        self.sides[from].control(&Control::Notify(Notify::Linked { mine: alias, yours: alias, alias }));
    }

    /// Everything that is due now, on both sides.
    fn settle(&mut self, cut: usize) {
        let now = self.now;
        for (n, side) in self.sides.iter_mut().enumerate() {
            let [there, back] = &mut self.lines;
            let (out, into) = if n == 0 { (there, back) } else { (back, there) };
            while let Some(packet) = into.arrive(now) {
                side.courier.packet(now, &packet);
                side.pull(now);
            }
            side.push(now, cut);
            let mut packet = Vec::new();
            while side.courier.poll(now, &mut packet) {
                assert!(packet.len() <= side.courier.settings.packet, "{} bytes", packet.len());
                side.bytes_out += (packet.len() + side.courier.settings.overhead) as u64;
                out.send(now, &packet);
                side.push(now, cut);
            }
            side.pull(now);
        }
    }

    /// When something is to be done next.
    fn next(&self) -> Option<Timestamp> {
        let sides = self.sides.iter().filter_map(|side| side.courier.next_wake());
        let lines = self.lines.iter().filter_map(Line::next);
        sides.chain(lines).min().map(|at| at.max(self.now + Duration::from_micros(1)))
    }

    /// Runs until `until`, or until nothing is to be done any more; false: it never came to rest.
    fn run(&mut self, until: Timestamp, cut: usize) -> bool {
        loop {
            self.settle(cut);
            match self.next() {
                Some(at) if at <= until => self.now = at,
                Some(_) => {
                    self.now = until;
                    return false;
                }
                None => return true,
            }
        }
    }
}

fn hello(clock: Timestamp) -> Hello {
    Hello {
        version_min: 1,
        version_max: 1,
        capabilities: 0,
        instance: [1; 16],
        session: 0,
        scope_own: false,
        joins: false,
        max_frame: MAX_FRAME,
        ping_millis: 1000,
        clock,
        path: crate::path::Path::parse("a.b").unwrap(),
        expected: None,
    }
}
