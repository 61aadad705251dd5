//! Simulated connections: two directed lines, on which control frames may overtake samples that wait,
//! and what both ends may believe of them.

use super::node::Place;
use crate::proto::{Declaration, IntentId, InterestId, LinkId, Order};
use crate::time::Timestamp;
use crate::wire::control::{Control, Credit};
use std::collections::{BTreeMap, VecDeque};

pub(super) type ConnId = usize;
/// 0 dialled, 1 accepted.
pub(super) type Side = usize;

/// What travels.
#[derive(Clone, Debug)]
pub(super) enum Wire {
    Frame(Control),
    /// The number counts the samples of this alias since it was assigned. What the intent declared
    /// comes along for the check.
    Sample {
        alias: u32,
        intent: IntentId,
        number: u64,
        declaration: Declaration,
    },
    /// The sender closed.
    Closed,
}

/// Who is at an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Node { place: Place, incarnation: u32 },
    Hostile,
}

/// How many samples a CREDIT grants at a time.
const GRANT: u64 = 4;

#[derive(Debug)]
struct Outlet {
    intent: IntentId,
    declaration: Declaration,
    next: u64,
    limit: u64,
}

#[derive(Debug)]
struct Inlet {
    interest: Option<InterestId>,
    next: u64,
    limit: u64,
}

/// One end: what its driver holds for the connection.
#[derive(Debug)]
pub(super) struct End {
    pub(super) who: Who,
    pub(super) link: LinkId,
    pub(super) open: bool,
    pub(super) heard: Timestamp,
    outlets: BTreeMap<u32, Outlet>,
    inlets: BTreeMap<u32, Inlet>,
    /// Samples and frames in line that the line did not take yet.
    pub(super) waiting: VecDeque<Wire>,
}

impl End {
    pub(super) fn new(who: Who, link: LinkId, now: Timestamp) -> End {
        let (outlets, inlets, waiting) = Default::default();
        End { who, link, open: true, heard: now, outlets, inlets, waiting }
    }

    pub(super) fn open_outlet(&mut self, alias: u32, intent: IntentId, declaration: Declaration) {
        let before = self.outlets.insert(alias, Outlet { intent, declaration, next: 0, limit: 0 });
        assert!(before.is_none(), "alias {alias} is given to two pairs");
    }

    pub(super) fn close_outlet(&mut self, alias: u32, intent: IntentId) {
        let outlet = self.outlets.remove(&alias).expect("an outlet that was opened");
        assert_eq!(outlet.intent, intent);
        self.waiting.push_back(Wire::Frame(Control::End { alias }));
    }

    /// Returns the CREDIT that goes out.
    pub(super) fn open_inlet(&mut self, alias: u32, interest: InterestId) -> Control {
        let before = self.inlets.insert(alias, Inlet { interest: Some(interest), next: 0, limit: GRANT });
        assert!(before.is_none(), "alias {alias} is opened twice");
        credit(alias, GRANT)
    }

    pub(super) fn drain_inlet(&mut self, alias: u32) {
        let inlet = self.inlets.entry(alias).or_insert(Inlet { interest: None, next: 0, limit: 0 });
        inlet.interest = None;
    }

    pub(super) fn close_inlet(&mut self, alias: u32) {
        assert!(self.inlets.remove(&alias).is_some(), "inlet {alias} is closed but was not open");
    }

    /// A CREDIT came; one for an alias that ended meanwhile says nothing.
    pub(super) fn credited(&mut self, credit: &Credit) {
        if let Some(outlet) = self.outlets.get_mut(&credit.alias) {
            outlet.limit = outlet.limit.max(credit.limit);
        }
    }

    /// A sample came: it must be what the inlet awaits. Returns who gets it.
    pub(super) fn sampled(&mut self, alias: u32, number: u64) -> Option<InterestId> {
        let inlet =
            self.inlets.get_mut(&alias).unwrap_or_else(|| panic!("a sample of alias {alias}: no such inlet"));
        assert_eq!(number, inlet.next, "samples of alias {alias} out of order, lost, or doubled");
        inlet.next += 1;
        assert!(number < inlet.limit, "more samples of alias {alias} than were granted");
        inlet.interest
    }

    /// The application takes what came: the CREDITs that go out.
    pub(super) fn take(&mut self) -> Vec<Control> {
        let taken = self.inlets.iter_mut().filter(|(_, inlet)| inlet.interest.is_some());
        let used = taken.filter(|(_, inlet)| inlet.next * 2 >= inlet.limit);
        let grants = used.map(|(alias, inlet)| {
            inlet.limit = inlet.next + GRANT;
            credit(*alias, inlet.limit)
        });
        grants.collect()
    }

    /// Puts a sample of each outlet that has credit in line.
    pub(super) fn supply(&mut self, most: u64) -> usize {
        let mut sent = 0;
        for (alias, outlet) in &mut self.outlets {
            for _ in 0..most.min(outlet.limit - outlet.next) {
                let declaration = outlet.declaration.clone();
                let (alias, intent, number) = (*alias, outlet.intent, outlet.next);
                let sample = Wire::Sample { alias, intent, number, declaration };
                self.waiting.push_back(sample);
                outlet.next += 1;
                sent += 1;
            }
        }
        sent
    }

    pub(super) fn close(&mut self) {
        self.open = false;
        self.waiting.clear();
        self.outlets.clear();
        self.inlets.clear();
    }
}

fn credit(alias: u32, limit: u64) -> Control {
    Control::Credit(Credit { alias, limit, taken: 0, lost: 0 })
}

/// One connection.
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) ends: [End; 2],
    /// What was put on the line by each side, and when it comes out.
    pub(super) lines: [VecDeque<(Timestamp, Wire)>; 2],
    /// When the last of them comes out.
    last: [Timestamp; 2],
    /// In microseconds.
    pub(super) delay: u64,
}

impl Conn {
    pub(super) fn new(ends: [End; 2], delay: u64) -> Conn {
        Conn { ends, lines: Default::default(), last: Default::default(), delay }
    }

    /// What is sent ahead goes on the line at once, the rest waits behind what is in line.
    pub(super) fn send(&mut self, side: Side, frame: Control, order: Order, comes: Timestamp) {
        match order {
            Order::Ahead => self.put(side, Wire::Frame(frame), comes),
            Order::InLine if self.ends[side].open => self.ends[side].waiting.push_back(Wire::Frame(frame)),
            Order::InLine => {}
        }
    }

    /// Lets the line take up to `most` of what waits.
    pub(super) fn drain(&mut self, side: Side, most: usize, comes: Timestamp) {
        for _ in 0..most {
            let Some(wire) = self.ends[side].waiting.pop_front() else { break };
            self.put(side, wire, comes);
        }
    }

    /// Lines keep the order.
    pub(super) fn put(&mut self, side: Side, wire: Wire, comes: Timestamp) {
        if !self.ends[side].open {
            return;
        }
        self.last[side] = self.last[side].max(comes);
        self.lines[side].push_back((self.last[side], wire));
    }
}
