//! What goes wrong with packets: those that are held until they are due, each way.

use super::course::{Course, Fate};
use super::switch::{FaultSwitch, Way};
use crate::time::Timestamp;
use parking_lot::Mutex;
use std::collections::BTreeMap;

/// The faults of one connection over a line of packets.
pub(crate) struct PacketFaults {
    switch: FaultSwitch,
    out: Mutex<Held>,
    into: Mutex<Held>,
}

/// Packets that are under way.
struct Held {
    course: Course,
    packets: BTreeMap<(Timestamp, u64), Vec<u8>>,
    sequence: u64,
}

impl PacketFaults {
    pub(crate) fn new(switch: &FaultSwitch) -> Self {
        let held = || {
            let course = switch.course();
            Mutex::new(Held { course, packets: BTreeMap::new(), sequence: 0 })
        };
        Self { out: held(), into: held(), switch: switch.clone() }
    }

    fn held(&self, way: Way) -> &Mutex<Held> {
        match way {
            Way::Out => &self.out,
            Way::In => &self.into,
        }
    }

    /// Takes a packet on its way.
    pub(crate) fn put(&self, way: Way, now: Timestamp, packet: &[u8]) {
        let Some(faults) = self.switch.faults(way) else { return };
        let mut held = self.held(way).lock();
        if let Fate::Comes(comes, again) = held.course.packet(now, &faults, packet.len()) {
            for at in [Some(comes), again].into_iter().flatten() {
                if held.packets.len() < MOST_HELD {
                    held.sequence += 1;
                    let key = (at, held.sequence);
                    held.packets.insert(key, packet.to_vec());
                }
            }
        }
    }

    /// The next packet that is due; what was under way when a partition began is lost with it.
    pub(crate) fn take(&self, way: Way, now: Timestamp) -> Option<Vec<u8>> {
        let passes = self.switch.faults(way).is_some();
        let mut held = self.held(way).lock();
        loop {
            let entry = held.packets.first_entry()?;
            if entry.key().0 > now {
                return None;
            }
            let packet = entry.remove();
            if passes {
                return Some(packet);
            }
        }
    }

    /// Whether one is due.
    pub(crate) fn is_due(&self, way: Way, now: Timestamp) -> bool {
        self.next(way).is_some_and(|next| next <= now)
    }

    pub(crate) fn next(&self, way: Way) -> Option<Timestamp> {
        self.held(way).lock().packets.keys().next().map(|(at, _)| *at)
    }
}

/// How many packets are held each way: at 1200 bytes, 5 MB. What comes beyond is lost.
const MOST_HELD: usize = 4096;
