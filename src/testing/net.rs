//! The network of a world: lines with faults, and what is under way on them.

use super::wire::{Wire, WireEnd, WirePort};
use crate::faults::Faults;
use crate::flow::courier::{Frames, Settings};
use crate::time::Timestamp;
use crate::transport::Connection;
use crate::transport::packet::PacketConnection;
use fastrand::Rng;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

/// One endpoint, by the place of its path among all that ever were: one that is started anew has the same.
pub(super) type Place = usize;

/// All lines of a world.
pub(super) struct Net {
    pub(super) now: Timestamp,
    rng: Rng,
    /// Counts what was put on lines or taken off them.
    pub(super) activity: u64,
    /// What goes wrong from one place to another, where it was said.
    rules: BTreeMap<(Place, Place), Rule>,
    /// The same for all others.
    default: Faults,
    listeners: BTreeMap<(String, String), Place>,
    next_port: u16,
    pub(super) wires: BTreeMap<u64, Wire>,
    next_wire: u64,
    /// Of all that happened on lines.
    pub(super) digest: u64,
}

/// What is said of one direction.
#[derive(Clone, Copy, Debug, Default)]
struct Rule {
    faults: Option<Faults>,
    /// Streams, and packets.
    blocked: [bool; 2],
}

pub(super) type Shared = Arc<Mutex<Net>>;

impl Net {
    pub(super) fn new(seed: u64, now: Timestamp) -> Self {
        Self {
            now,
            rng: Rng::with_seed(seed),
            activity: 0,
            rules: BTreeMap::new(),
            default: Faults::none(),
            listeners: BTreeMap::new(),
            next_port: FIRST_PORT,
            wires: BTreeMap::new(),
            next_wire: 0,
            digest: 0xcbf2_9ce4_8422_2325,
        }
    }

    /// Notes what happened, so that two runs can be compared.
    pub(super) fn note(&mut self, values: &[u64]) {
        for value in values.iter().chain([&self.now.micros()]) {
            self.digest = (self.digest ^ value).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
        }
    }

    pub(super) fn faults(&self, from: Place, to: Place) -> Faults {
        self.rules.get(&(from, to)).and_then(|rule| rule.faults).unwrap_or(self.default)
    }

    pub(super) fn is_blocked(&self, from: Place, to: Place, packets: bool) -> bool {
        self.rules.get(&(from, to)).is_some_and(|rule| rule.blocked[usize::from(packets)])
    }

    pub(super) fn set_all(&mut self, faults: Faults) {
        self.default = faults;
        for rule in self.rules.values_mut() {
            rule.faults = None;
        }
    }

    pub(super) fn set(&mut self, from: Place, to: Place, faults: Faults) {
        self.rules.entry((from, to)).or_default().faults = Some(faults);
    }

    /// Blocks lines of packets, or streams, or all.
    pub(super) fn block(&mut self, from: Place, to: Place, packets: Option<bool>) {
        let blocked = &mut self.rules.entry((from, to)).or_default().blocked;
        match packets {
            Some(packets) => blocked[usize::from(packets)] = true,
            None => *blocked = [true; 2],
        }
    }

    pub(super) fn heal(&mut self) {
        self.rules.clear();
        self.default = Faults::none();
        let now = self.now;
        self.wires.values_mut().for_each(|wire| wire.heal(now));
        self.activity += 1;
    }

    /// Listens; the address that it really is.
    pub(super) fn listen(&mut self, place: Place, scheme: &str, address: &str) -> io::Result<String> {
        if scheme == "serial" {
            let text =
                "a simulated world has no serial ports; `udp` is a line of packets, `Faults::rate` its speed";
            return Err(io::Error::new(io::ErrorKind::Unsupported, text));
        }
        let address = match address.strip_suffix(":0") {
            Some(host) if matches!(scheme, "tcp" | "udp") => {
                self.next_port = self.next_port.checked_add(1).unwrap_or(FIRST_PORT);
                format!("{host}:{}", self.next_port)
            }
            _ => address.to_owned(),
        };
        let key = (scheme.to_owned(), address.clone());
        if self.listeners.contains_key(&key) {
            let text = format!("somebody in this world listens at `{scheme}://{address}`");
            return Err(io::Error::new(io::ErrorKind::AddrInUse, text));
        }
        self.listeners.insert(key, place);
        Ok(address)
    }

    /// Who listens there: at this very address, or at all addresses of some machine, and the port.
    pub(super) fn listener(&self, scheme: &str, address: &str) -> Option<Place> {
        let at = |address: String| self.listeners.get(&(scheme.to_owned(), address)).copied();
        at(address.to_owned()).or_else(|| {
            let (_, port) = address.rsplit_once(':').filter(|_| matches!(scheme, "tcp" | "udp"))?;
            at(format!("0.0.0.0:{port}")).or_else(|| at(format!("[::]:{port}")))
        })
    }

    pub(super) fn stop_listening(&mut self, place: Place) {
        self.listeners.retain(|_, listening| *listening != place);
    }

    /// When a datagram or the first piece of a connection comes that is sent now; none if it is lost.
    pub(super) fn passage(&mut self, from: Place, to: Place, packets: bool) -> Option<Timestamp> {
        if self.is_blocked(from, to, packets) {
            return None;
        }
        let mut course = crate::transport::fault::course::Course::new(self.rng.u64(..));
        let faults = self.faults(from, to);
        if packets {
            match course.packet(self.now, &faults, 60) {
                crate::transport::fault::course::Fate::Lost => None,
                crate::transport::fault::course::Fate::Comes(at, _) => Some(at),
            }
        } else {
            Some(course.piece(self.now, &faults, 60).comes)
        }
    }

    /// Ends all connections between two places, or those of packets, or streams; and both sides notice.
    pub(super) fn cut(&mut self, a: Place, b: Place, packets: Option<bool>) {
        let now = self.now;
        for wire in self.wires.values_mut().filter(|wire| wire.places == [a, b] || wire.places == [b, a]) {
            if packets.is_none_or(|packets| wire.packets == packets) {
                wire.cut(now);
            }
        }
        self.activity += 1;
    }

    /// A process ended: its ends of lines are closed, and the others are told, or not if it is its machine that is gone.
    pub(super) fn gone(&mut self, place: Place, silently: bool) {
        self.stop_listening(place);
        let now = self.now;
        if silently {
            for wire in self.wires.values_mut() {
                wire.silence(place, now);
            }
        }
    }

    /// When something comes out next.
    pub(super) fn next(&self, asleep: impl Fn(Place) -> bool) -> Option<Timestamp> {
        let wires = self.wires.values();
        wires.filter_map(|wire| wire.next(|from, to| self.is_blocked(from, to, wire.packets), &asleep)).min()
    }
}

/// A line between two places: the end of who dialled, and that of who was dialled.
pub(super) fn connect(
    net: &Shared,
    places: [Place; 2],
    names: [String; 2],
    packets: bool,
) -> [Arc<dyn Connection>; 2] {
    let number = {
        let mut state = net.lock();
        state.next_wire += 1;
        let (number, seeds) = (state.next_wire, [state.rng.u64(..), state.rng.u64(..)]);
        state.wires.insert(number, Wire::new(places, packets, seeds));
        number
    };
    let [there, here] = names;
    [(0, there), (1, here)].map(|(side, remote)| -> Arc<dyn Connection> {
        let end = WireEnd { net: Arc::clone(net), number, side, remote };
        if packets {
            Arc::new(PacketConnection::new(WirePort(end), SETTINGS, LARGEST))
        } else {
            Arc::new(end)
        }
    })
}

/// As over UDP with datagrams of 1200 bytes.
const SETTINGS: Settings = Settings {
    fifo: false,
    packet: 1198,
    window_in: 256 * 1024,
    window_out: 256 * 1024,
    rate: None,
    frames: Frames::Many,
    overhead: 30,
};

const LARGEST: usize = 2048;

const FIRST_PORT: u16 = 49_152;
