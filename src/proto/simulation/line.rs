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
        /// Where the intent is.
        from: Place,
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

/// An alias that samples of another one are passed on to.
#[derive(Debug)]
struct Pass {
    from: Alias,
    next: u64,
}

/// An alias of one end of a connection.
pub(super) type Alias = (ConnId, Side, u32);

/// Who gets a sample.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sink {
    Interest(InterestId),
    Onward(Alias),
    Nobody,
}

#[derive(Debug)]
struct Inlet {
    sink: Sink,
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
    passes: BTreeMap<u32, Pass>,
    inlets: BTreeMap<u32, Inlet>,
    /// Samples and frames in line that the line did not take yet.
    pub(super) waiting: VecDeque<Wire>,
}

impl End {
    pub(super) fn new(who: Who, link: LinkId, now: Timestamp) -> End {
        let (outlets, passes, inlets, waiting) = Default::default();
        End { who, link, open: true, heard: now, outlets, passes, inlets, waiting }
    }

    pub(super) fn open_outlet(&mut self, alias: u32, intent: IntentId, declaration: Declaration) {
        let before = self.outlets.insert(alias, Outlet { intent, declaration, next: 0, limit: 0 });
        assert!(before.is_none(), "alias {alias} is given to two pairs");
        assert!(!self.passes.contains_key(&alias), "alias {alias} is given to two pairs");
    }

    /// Samples of another alias are passed on as this one.
    pub(super) fn open_pass(&mut self, alias: u32, from: Alias) {
        let before = self.passes.insert(alias, Pass { from, next: 0 });
        assert!(
            before.is_none() && !self.outlets.contains_key(&alias),
            "alias {alias} is given to two pairs"
        );
    }

    pub(super) fn close_pass(&mut self, alias: u32) {
        assert!(self.passes.remove(&alias).is_some(), "nothing is passed on as {alias}");
        self.waiting.push_back(Wire::Frame(Control::End { alias }));
    }

    /// Passes a sample on that came as `from`; nothing where that is over.
    pub(super) fn pass(&mut self, alias: u32, came: Alias, sample: &Wire) {
        let Some(pass) = self.passes.get_mut(&alias).filter(|pass| pass.from == came && self.open) else {
            return;
        };
        if let Wire::Sample { intent, declaration, from, .. } = sample {
            let (intent, declaration, from, number) = (*intent, declaration.clone(), *from, pass.next);
            pass.next += 1;
            self.waiting.push_back(Wire::Sample { alias, intent, number, declaration, from });
        }
    }

    /// Where the samples come from that are passed on as this alias.
    pub(super) fn passed_from(&self, alias: u32) -> Option<Alias> {
        self.passes.get(&alias).map(|pass| pass.from)
    }

    pub(super) fn open_relay(&mut self, alias: u32, onward: Alias) {
        let before = self.inlets.insert(alias, Inlet { sink: Sink::Onward(onward), next: 0, limit: 0 });
        assert!(before.is_none(), "alias {alias} is opened twice");
    }

    /// Grants on what was granted for the alias that samples of this one go to.
    pub(super) fn grant(&mut self, alias: u32, onward: Alias, limit: u64) -> Option<Control> {
        let inlet = self.inlets.get_mut(&alias)?;
        let is_it = matches!(inlet.sink, Sink::Onward(to) if to == onward) && limit > inlet.limit;
        is_it.then(|| {
            inlet.limit = limit;
            credit(alias, limit)
        })
    }

    pub(super) fn close_outlet(&mut self, alias: u32, intent: IntentId) {
        let outlet = self.outlets.remove(&alias).expect("an outlet that was opened");
        assert_eq!(outlet.intent, intent);
        self.waiting.push_back(Wire::Frame(Control::End { alias }));
    }

    /// Returns the CREDIT that goes out.
    pub(super) fn open_inlet(&mut self, alias: u32, interest: InterestId) -> Control {
        let before =
            self.inlets.insert(alias, Inlet { sink: Sink::Interest(interest), next: 0, limit: GRANT });
        assert!(before.is_none(), "alias {alias} is opened twice");
        credit(alias, GRANT)
    }

    pub(super) fn drain_inlet(&mut self, alias: u32) {
        let inlet = self.inlets.entry(alias).or_insert(Inlet { sink: Sink::Nobody, next: 0, limit: 0 });
        inlet.sink = Sink::Nobody;
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
    pub(super) fn sampled(&mut self, alias: u32, number: u64) -> Sink {
        let inlet =
            self.inlets.get_mut(&alias).unwrap_or_else(|| panic!("a sample of alias {alias}: no such inlet"));
        assert_eq!(number, inlet.next, "samples of alias {alias} out of order, lost, or doubled");
        inlet.next += 1;
        assert!(number < inlet.limit, "more samples of alias {alias} than were granted");
        inlet.sink
    }

    /// The application takes what came: the CREDITs that go out.
    pub(super) fn take(&mut self) -> Vec<Control> {
        let taken = self.inlets.iter_mut().filter(|(_, inlet)| matches!(inlet.sink, Sink::Interest(_)));
        let used = taken.filter(|(_, inlet)| inlet.next * 2 >= inlet.limit);
        let grants = used.map(|(alias, inlet)| {
            inlet.limit = inlet.next + GRANT;
            credit(*alias, inlet.limit)
        });
        grants.collect()
    }

    /// Puts a sample of each outlet that has credit in line.
    pub(super) fn supply(&mut self, from: Place, most: u64) -> usize {
        let mut sent = 0;
        for (alias, outlet) in &mut self.outlets {
            for _ in 0..most.min(outlet.limit - outlet.next) {
                let declaration = outlet.declaration.clone();
                let (alias, intent, number) = (*alias, outlet.intent, outlet.next);
                let sample = Wire::Sample { alias, intent, number, declaration, from };
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
        self.passes.clear();
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
