//! Time, lines and nodes: what happens next, and what follows from it.

use super::Trace;
use super::line::{Conn, ConnId, End, Side, Who, Wire};
use super::node::{Declared, Input, Node, Place, routes};
use crate::delivery::Delivery;
use crate::event::Event;
use crate::proto::{Action, Engine, EngineSettings, IntentId, InterestId, LinkId, Order};
use crate::reason::{Reason, ReasonCode};
use crate::route::Route;
use crate::time::Timestamp;
use crate::wire::control::Control;
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
        world.routes = routes(nodes);
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

    fn plan_at(&mut self, at: Timestamp, happening: Happening) {
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

    pub(super) fn with_engine(&mut self, place: Place, input: impl FnOnce(&mut Engine, Timestamp)) {
        let now = self.now;
        if let Some(engine) = &mut self.nodes[place].engine {
            input(engine, now);
        }
        self.act(place);
    }

    fn tick(&mut self, place: Place) {
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

    /// Does what a node's engine wants done.
    fn act(&mut self, place: Place) {
        while let Some(action) = self.nodes[place].engine.as_mut().and_then(Engine::poll) {
            self.note(3 + place as u64, || format!("{place} -> {action:?}"));
            match action {
                Action::Dial { link, url } => {
                    let incarnation = self.nodes[place].incarnation;
                    let target = url.address().parse().ok().map(Target::Node);
                    let target = target.or((url.address() == "hostile").then_some(Target::Hostile));
                    let wait = self.millis(0..30);
                    self.plan(wait, Happening::Dial { place, incarnation, link, target });
                }
                Action::Send { link, frame, order } => self.send(place, link, frame, order),
                Action::HangUp { link, bye } => {
                    let Some((conn, side)) = self.nodes[place].conns.remove(&link) else { continue };
                    if let Some(bye) = bye.filter(|_| self.rng.u8(0..5) > 0) {
                        let comes = self.arrival(conn);
                        self.conns[conn].put(side, Wire::Frame(Control::Bye(bye)), comes);
                    }
                    self.close(conn, side);
                }
                Action::OpenOutlet { link, intent, alias, delivery } => {
                    assert!(
                        self.nodes[place].intents.contains_key(&intent),
                        "an outlet of an intent that is gone"
                    );
                    self.end(place, link, |end| end.open_outlet(alias, intent, delivery));
                }
                Action::CloseOutlet { link, intent, alias } => {
                    self.end(place, link, |end| end.close_outlet(alias, intent));
                    self.wants_drain(place, link);
                }
                Action::OpenInlet { link, interest, alias } => {
                    assert!(
                        self.nodes[place].interests.contains_key(&interest),
                        "an inlet of an interest that is gone"
                    );
                    let credit = self.end(place, link, |end| end.open_inlet(alias, interest));
                    self.send(place, link, credit, Order::Ahead);
                }
                Action::DrainInlet { link, alias } => self.end(place, link, |end| end.drain_inlet(alias)),
                Action::CloseInlet { link, alias } => self.end(place, link, |end| end.close_inlet(alias)),
                Action::Event(event) => self.told(place, event),
                Action::Up { .. }
                | Action::Clock { .. }
                | Action::LinkLocal { .. }
                | Action::UnlinkLocal { .. } => {}
            }
        }
    }

    fn told(&mut self, place: Place, event: Event) {
        let node = &mut self.nodes[place];
        match &event {
            Event::RouteLinked { .. } => node.linked += 1,
            Event::RouteUnlinked { .. } => node.linked -= 1,
            Event::LinkUp { .. }
            | Event::LinkDown { .. }
            | Event::LinkDialling { .. }
            | Event::LinkHandshaking { .. } => {}
            _ if node.told.len() < 100_000 => node.told.push(event),
            _ => {}
        }
    }

    fn end<T>(&mut self, place: Place, link: LinkId, act: impl FnOnce(&mut End) -> T) -> T {
        let (conn, side) =
            *self.nodes[place].conns.get(&link).expect("an action for a link that has a connection");
        act(&mut self.conns[conn].ends[side])
    }

    fn send(&mut self, place: Place, link: LinkId, frame: Control, order: Order) {
        let (conn, side) =
            *self.nodes[place].conns.get(&link).expect("a frame for a link that has a connection");
        let comes = self.arrival(conn);
        self.conns[conn].send(side, frame, order, comes);
        self.after_sending(conn, side);
    }

    fn wants_drain(&mut self, place: Place, link: LinkId) {
        if let Some((conn, side)) = self.nodes[place].conns.get(&link).copied() {
            self.after_sending(conn, side);
        }
    }

    /// When what is put on a line now comes out.
    pub(super) fn arrival(&mut self, conn: ConnId) -> Timestamp {
        let delay = self.conns[conn].delay;
        self.now + Duration::from_micros(delay + self.rng.u64(0..=delay / 2))
    }

    /// Sees to it that what is on the line comes out, and what waits goes on it.
    pub(super) fn after_sending(&mut self, conn: ConnId, side: Side) {
        if let Some((at, _)) = self.conns[conn].lines[side].back() {
            let at = *at;
            self.plan_at(at, Happening::Pump { conn, side });
        }
        if !self.conns[conn].ends[side].waiting.is_empty() {
            let wait = self.millis(0..20);
            self.plan(wait, Happening::Drain { conn, side });
        }
    }

    fn pump(&mut self, conn: ConnId, side: Side) {
        if let Some(until) = self.parted(conn) {
            let wait = (until - self.now) + self.millis(0..5);
            return self.plan(wait, Happening::Pump { conn, side });
        }
        let now = self.now;
        loop {
            match self.conns[conn].lines[side].front() {
                Some((at, _)) if *at <= now => {}
                _ => return,
            }
            let Some((_, wire)) = self.conns[conn].lines[side].pop_front() else { return };
            let end = &self.conns[conn].ends[1 - side];
            if !end.open {
                continue;
            }
            match end.who {
                Who::Node { place, incarnation } if self.nodes[place].incarnation == incarnation => {
                    self.input(place, Input::Arrived(conn, 1 - side, wire));
                }
                Who::Node { .. } => {}
                Who::Hostile => self.hostile_hears(conn, wire),
            }
        }
    }

    fn arrived(&mut self, place: Place, conn: ConnId, side: Side, wire: Wire) {
        if !self.conns[conn].ends[side].open {
            return;
        }
        let link = self.conns[conn].ends[side].link;
        self.conns[conn].ends[side].heard = self.now;
        let honest = self.conns[conn].ends[1 - side].who != Who::Hostile;
        match wire {
            Wire::Frame(Control::Credit(credit)) => self.conns[conn].ends[side].credited(&credit),
            Wire::Frame(frame) => self.with_engine(place, |engine, now| engine.control(now, link, frame)),
            Wire::Sample { .. } if !honest => {}
            Wire::Sample { alias, intent, number } => {
                let (interest, grant) = self.conns[conn].ends[side].sampled(alias, number);
                if let Some(credit) = grant {
                    self.send(place, link, credit, Order::Ahead);
                }
                if let (Some(interest), Who::Node { place: from, .. }) =
                    (interest, self.conns[conn].ends[1 - side].who)
                {
                    self.check_route(place, interest, from, intent);
                }
            }
            Wire::Closed => self.lost(place, conn, side, "the peer closed"),
        }
    }

    /// A sample is only ever for an interest in the route of its intent, and of its type.
    fn check_route(&mut self, place: Place, interest: InterestId, from: Place, intent: IntentId) {
        let wants = self.nodes[place].interests.get(&interest).expect("an interest that is declared");
        // The intent may be withdrawn while its last samples are under way.
        if let Some(offers) = self.nodes[from].intents.get(&intent) {
            assert_eq!(wants.declaration.route, offers.declaration.route, "a sample on the wrong route");
            assert_eq!(wants.declaration.schema, offers.declaration.schema, "a sample of the wrong type");
        }
        *self.received.entry((place, interest, from, intent)).or_default() += 1;
    }

    fn lost(&mut self, place: Place, conn: ConnId, side: Side, text: &str) {
        let link = self.conns[conn].ends[side].link;
        self.conns[conn].ends[side].close();
        self.with_engine(place, |engine, now| {
            engine.link_lost(now, link, Reason::new(ReasonCode::Lost, text))
        });
    }

    /// One side closes: the other notices once the line told it.
    pub(super) fn close(&mut self, conn: ConnId, side: Side) {
        let comes = self.arrival(conn);
        self.conns[conn].put(side, Wire::Closed, comes);
        self.conns[conn].ends[side].close();
        self.after_sending(conn, side);
    }

    fn break_end(&mut self, conn: ConnId, side: Side) {
        if !self.conns[conn].ends[side].open {
            return;
        }
        match self.conns[conn].ends[side].who {
            Who::Node { place, incarnation } => {
                if self.nodes[place].incarnation != incarnation || !self.nodes[place].is_awake() {
                    return;
                }
                self.note(20, || format!("conn {conn} breaks at {place}"));
                if self.rng.bool() {
                    // The other end is told, sooner or later.
                    let comes = self.arrival(conn);
                    self.conns[conn].put(side, Wire::Closed, comes);
                    self.after_sending(conn, side);
                }
                self.lost(place, conn, side, "the line broke");
            }
            Who::Hostile => self.close(conn, side),
        }
    }

    fn connect(&mut self, place: Place, incarnation: u32, link: LinkId, target: Option<Target>) {
        let alive = &self.nodes[place];
        if alive.incarnation != incarnation || alive.engine.is_none() {
            return;
        }
        let target = match target {
            Some(Target::Node(to)) if self.nodes[to].engine.is_none() => None,
            Some(Target::Node(to)) if self.parted_places(place, to).is_some() => {
                let wait = self.millis(500..2000);
                return self.plan(wait, Happening::DialFails { place, incarnation, link });
            }
            target => target.filter(|target| *target != Target::Hostile || !self.healed),
        };
        let Some(target) = target else {
            return self.input(place, Input::DialFailed(link));
        };
        let (who, to) = match target {
            Target::Node(to) => (Who::Node { place: to, incarnation: self.nodes[to].incarnation }, Some(to)),
            Target::Hostile => (Who::Hostile, None),
        };
        let conn = self.conns.len();
        let ends = [
            End::new(Who::Node { place, incarnation }, link, self.now),
            End::new(who, LinkId(u32::MAX), self.now),
        ];
        let delay = self.rng.u64(100..30_000);
        self.conns.push(Conn::new(ends, delay));
        if let Some(to) = to {
            self.input(to, Input::Accepted(conn));
        }
        self.input(place, Input::Dialled(link, conn));
    }

    pub(super) fn thaw(&mut self, place: Place) {
        if !self.nodes[place].frozen || self.nodes[place].engine.is_none() {
            return;
        }
        self.note(21, || format!("{place} thaws"));
        self.nodes[place].frozen = false;
        // Threads wake in any order: the timers may run before the readers.
        if self.rng.bool() {
            self.tick(place);
        }
        for input in std::mem::take(&mut self.nodes[place].inbox) {
            self.input(place, input);
        }
    }

    /// The process ends: the other ends of its connections notice, or not.
    pub(super) fn crash(&mut self, place: Place) {
        self.note(22, || format!("{place} crashes"));
        let incarnation = self.nodes[place].incarnation;
        self.nodes[place].crash();
        for conn in 0..self.conns.len() {
            for side in 0..2 {
                let end = &self.conns[conn].ends[side];
                if end.open && end.who == (Who::Node { place, incarnation }) {
                    if self.rng.u8(0..5) > 0 {
                        self.close(conn, side);
                    } else {
                        self.conns[conn].ends[side].close();
                    }
                }
            }
        }
    }

    fn parted(&self, conn: ConnId) -> Option<Timestamp> {
        let place = |side: Side| match self.conns[conn].ends[side].who {
            Who::Node { place, .. } => Some(place),
            Who::Hostile => None,
        };
        self.parted_places(place(0)?, place(1)?)
    }

    fn parted_places(&self, a: Place, b: Place) -> Option<Timestamp> {
        self.partitions.get(&(a.min(b), a.max(b))).copied().filter(|until| *until > self.now)
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
