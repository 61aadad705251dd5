//! Time, lines and nodes: what happens next, and what follows from it.

use super::Trace;
use super::line::{Conn, ConnId, Side};
use super::node::{Declared, Input, Node, Place, routes};
use crate::delivery::Delivery;
use crate::proto::{Engine, EngineSettings, IntentId, InterestId, LinkId};
use crate::route::Route;
use crate::time::Timestamp;
use fastrand::Rng;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

/// What happens at a point in time.
#[derive(Debug)]
pub(super) enum Happening {
    /// A connection is tried: `target` is where it leads, if anywhere.
    Dial {
        place: Place,
        incarnation: u32,
        link: LinkId,
        target: Option<Target>,
    },
    DialFails {
        place: Place,
        incarnation: u32,
        link: LinkId,
    },
    /// The front of a line comes out, or what waits goes on it.
    Pump {
        conn: ConnId,
        side: Side,
    },
    Drain {
        conn: ConnId,
        side: Side,
    },
    /// One end of a connection breaks.
    Break {
        conn: ConnId,
        side: Side,
    },
    Thaw {
        place: Place,
        incarnation: u32,
    },
    Restart {
        place: Place,
    },
    PartitionEnds,
    /// A node does what it put off.
    Act {
        place: Place,
    },
    /// The next thing of the script.
    Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Node(Place),
    Hostile,
}

pub(super) struct World {
    pub(super) rng: Rng,
    pub(super) now: Timestamp,
    pub(super) nodes: Vec<Node>,
    pub(super) routes: Vec<Route>,
    pub(super) conns: Vec<Conn>,
    happenings: BTreeMap<(Timestamp, u64), Happening>,
    sequence: u64,
    /// Pairs of places that do not reach each other, and until when.
    pub(super) partitions: BTreeMap<(Place, Place), Timestamp>,
    pub(super) healed: bool,
    /// Samples that reached an interest: node, interest, intent's node, intent.
    pub(super) received: BTreeMap<(Place, InterestId, Place, IntentId), u64>,
    trace: Trace,
    digest: u64,
}

impl World {
    pub(super) fn new(seed: u64, trace: Trace) -> World {
        let mut world = World {
            rng: Rng::with_seed(seed),
            now: Timestamp::from_micros(1_000_000_000_000),
            nodes: Vec::new(),
            routes: Vec::new(),
            conns: Vec::new(),
            happenings: BTreeMap::new(),
            sequence: 0,
            partitions: BTreeMap::new(),
            healed: false,
            received: BTreeMap::new(),
            trace,
            digest: 0xcbf2_9ce4_8422_2325,
        };
        let nodes = world.rng.usize(2..=5);
        world.routes = routes();
        world.lay_out(nodes);
        world
    }

    pub(super) fn digest(&self) -> u64 {
        self.digest
    }

    /// Notes what happened: in words where a trace is wanted, always as a digest.
    pub(super) fn note(&mut self, what: u64, text: impl FnOnce() -> String) {
        for value in [self.now.micros(), what] {
            self.digest = (self.digest ^ value).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
        }
        if let Some(trace) = &self.trace {
            let millis = self.now.micros() - 1_000_000_000_000;
            let mut line = String::new();
            let _ = write!(line, "{:>6}.{:03} ms  {}", millis / 1000, millis % 1000, text());
            trace.borrow_mut().push(line);
        }
    }

    pub(super) fn plan(&mut self, after: Duration, happening: Happening) {
        self.plan_at(self.now + after, happening);
    }

    pub(super) fn plan_at(&mut self, at: Timestamp, happening: Happening) {
        self.sequence += 1;
        self.happenings.insert((at, self.sequence), happening);
    }

    pub(super) fn millis(&mut self, range: std::ops::Range<u64>) -> Duration {
        Duration::from_micros(self.rng.u64(range.start * 1000..range.end * 1000))
    }

    /// Lets everything happen until `end`.
    pub(super) fn run_until(&mut self, end: Timestamp) {
        loop {
            let wake = self.nodes.iter().enumerate().filter(|(_, node)| node.is_awake());
            let wake =
                wake.filter_map(|(place, node)| Some((node.engine.as_ref()?.next_wake()?, place))).min();
            let next = self.happenings.keys().next().copied();
            let wakes_first = match (wake, next) {
                (Some((at, _)), Some((happens, _))) => at < happens,
                (wake, _) => wake.is_some(),
            };
            if let Some((at, place)) = wake.filter(|_| wakes_first) {
                if at > end {
                    break;
                }
                self.now = self.now.max(at);
                self.tick(place);
            } else if let Some(key) = next {
                if key.0 > end {
                    break;
                }
                self.now = self.now.max(key.0);
                if let Some(happening) = self.happenings.remove(&key) {
                    self.happen(happening);
                }
            } else {
                break;
            }
        }
        self.now = end;
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Dial { place, incarnation, link, target } => {
                self.connect(place, incarnation, link, target)
            }
            Happening::DialFails { place, incarnation, link } => {
                if self.nodes[place].incarnation == incarnation {
                    self.input(place, Input::DialFailed(link));
                }
            }
            Happening::Pump { conn, side } => self.pump(conn, side),
            Happening::Drain { conn, side } => {
                let most = self.rng.usize(1..6);
                let comes = self.arrival(conn);
                self.conns[conn].drain(side, most, comes);
                self.after_sending(conn, side);
            }
            Happening::Break { conn, side } => self.break_end(conn, side),
            Happening::Thaw { place, incarnation } => {
                if self.nodes[place].incarnation == incarnation {
                    self.thaw(place);
                }
            }
            Happening::Restart { place } => self.start(place),
            Happening::PartitionEnds => {
                let now = self.now;
                self.partitions.retain(|_, until| *until > now);
            }
            Happening::Act { place } => self.act(place),
            Happening::Step => self.step(),
        }
    }

    /// Starts a node anew.
    pub(super) fn start(&mut self, place: Place) {
        if self.nodes[place].engine.is_some() {
            return;
        }
        let node = &mut self.nodes[place];
        node.incarnation += 1;
        let mut settings = EngineSettings::new(node.path.clone(), node.instance(place), self.rng.u64(..));
        settings.scope = node.scope;
        if node.relays {
            settings.relay = vec![crate::path::Path::parse("shared").unwrap()];
        }
        node.engine = Some(Engine::new(settings));
        self.note(1, || format!("{place} starts"));
        self.declare_some(place);
        let urls = self.nodes[place].urls.clone();
        for url in urls {
            self.with_engine(place, |engine, now| {
                engine.dialler(now, url);
            });
        }
    }

    /// Gives an engine an input, and does what it wants now or together with what follows.
    pub(super) fn with_engine(&mut self, place: Place, input: impl FnOnce(&mut Engine, Timestamp)) {
        let now = self.now;
        if let Some(engine) = &mut self.nodes[place].engine {
            input(engine, now);
        }
        if self.rng.u8(0..3) > 0 {
            self.act(place);
        } else {
            self.plan(Duration::ZERO, Happening::Act { place });
        }
    }

    pub(super) fn tick(&mut self, place: Place) {
        let (now, node) = (self.now, &mut self.nodes[place]);
        let (conns, known) = (&self.conns, &node.conns);
        if let Some(engine) = &mut node.engine {
            engine.tick(now, &|link| {
                known.get(&link).map_or(now, |(conn, side)| conns[*conn].ends[*side].heard)
            });
        }
        self.act(place);
    }

    /// Something comes from outside: now, or when the node is awake again.
    pub(super) fn input(&mut self, place: Place, input: Input) {
        let node = &mut self.nodes[place];
        if node.engine.is_none() {
            return;
        }
        if node.frozen {
            node.inbox.push(input);
            return;
        }
        self.note(2, || format!("{place} <- {input:?}"));
        match input {
            Input::Accepted(conn) => {
                let mut id = LinkId(0);
                let now = self.now;
                if let Some(engine) = &mut self.nodes[place].engine {
                    id = engine.accepted(now, format!("sim://conn-{conn}"));
                }
                self.conns[conn].ends[1].link = id;
                self.conns[conn].ends[1].heard = self.now;
                self.nodes[place].conns.insert(id, (conn, 1));
                self.act(place);
            }
            Input::Dialled(link, conn) => {
                self.nodes[place].conns.insert(link, (conn, 0));
                self.conns[conn].ends[0].heard = self.now;
                self.with_engine(place, |engine, now| engine.dialled(now, link));
            }
            Input::DialFailed(link) => {
                self.with_engine(place, |engine, now| engine.dial_failed(now, link, "simulated"));
            }
            Input::Arrived(conn, side, wire) => self.arrived(place, conn, side, wire),
        }
    }

    pub(super) fn declare(&mut self, place: Place, supplies: bool, declared: Declared, delivery: Delivery) {
        let node = &mut self.nodes[place];
        let id = node.next_id;
        node.next_id += 1;
        let Declared { declaration, exclusive } = declared.clone();
        self.note(23, || {
            format!("{place} declares {} {id}: {declared:?}", if supplies { "intent" } else { "interest" })
        });
        let node = &mut self.nodes[place];
        node.declared.insert(id, declared.clone());
        if supplies {
            node.intents.insert(IntentId(id), declared);
            self.with_engine(place, |engine, now| {
                engine.declare_intent(now, IntentId(id), declaration, exclusive, false);
            });
        } else {
            node.interests.insert(InterestId(id), declared);
            self.with_engine(place, |engine, now| {
                engine.declare_interest(now, InterestId(id), declaration, delivery);
            });
        }
    }
}
