//! One endpoint's control and peers that say anything, in any order.

use super::choices::Choices;
use crate::delivery::Delivery;
use crate::path::Path;
use crate::peer::{PeerUrl, Scope};
use crate::proto::{Action, Declaration, Engine, EngineSettings, IntentId, InterestId, LinkId};
use crate::reason::{Reason, ReasonCode};
use crate::route::Route;
use crate::schema::Schema;
use crate::time::Timestamp;
use crate::wire::control::{
    Accept, Control, Declared, Entry, Hello, Intent, Interest, Notify, Origin, Ping, Pong, Relayed,
};
use crate::wire::{Frame, Limits, Split, decode, encode, split};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// One engine that dials and accepts, fed with frames made of any bytes, ticks, lost links and its own
/// declarations. It asks for no more than so many actions each time, speaks only on links that stand,
/// in frames that can be read, and opens and closes each alias in turn.
///
/// # Panics
/// Where one of these is not so.
pub fn handshake(input: &[u8]) {
    let mut choices = Choices::new(input);
    let mut bench = Bench::new(&mut choices);
    for _ in 0..STEPS {
        if choices.is_used_up() {
            break;
        }
        bench.step(&mut choices);
        bench.settle();
    }
    bench.engine.close(bench.now);
    bench.settle();
    assert!(bench.lines.is_empty(), "a line is left after the close");
}

/// An engine, and what it may rely on and must hold to.
struct Bench {
    now: Timestamp,
    engine: Engine,
    /// Links that were asked to dial and not yet answered.
    dials: BTreeSet<LinkId>,
    /// Links with a connection.
    lines: BTreeMap<LinkId, Line>,
    next_id: u32,
    intents: Vec<IntentId>,
    interests: Vec<(InterestId, Route, u64)>,
}

/// What is known of one connection.
#[derive(Default)]
struct Line {
    up: bool,
    heard: Timestamp,
    /// The final that the engine offered or sent.
    accept: Option<Accept>,
    pings: Vec<Ping>,
    /// The highest number the peer used.
    next_id: u32,
    /// What the peer supplies: routes and fingerprints.
    supplies: BTreeMap<u32, (Route, u64)>,
    outlets: BTreeSet<u32>,
    /// Those that drain too.
    inlets: BTreeSet<u32>,
}

impl Bench {
    fn new(choices: &mut Choices<'_>) -> Self {
        let mut settings = EngineSettings::new(path("robot"), [7; 16], choices.u64());
        settings.scope = if choices.flag() { Scope::Own } else { Scope::Open };
        settings.relay = if choices.below(4) == 0 { Vec::new() } else { vec![path("robot")] };
        settings.max_pending = 2;
        settings.max_links = 4;
        settings.max_routes_per_peer = 24;
        let mut bench = Self {
            now: Timestamp::from_micros(1_000_000),
            engine: Engine::new(settings),
            dials: BTreeSet::new(),
            lines: BTreeMap::new(),
            next_id: 1,
            intents: Vec::new(),
            interests: Vec::new(),
        };
        for url in ["memory://a", "memory://b/desk"] {
            if choices.flag() {
                let url = PeerUrl::parse(url).expect("it is valid");
                bench.engine.dialler(bench.now, Arc::new(url));
            }
        }
        bench.declare(choices);
        bench.declare(choices);
        bench.settle();
        bench
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        let links: Vec<_> = self.lines.keys().copied().collect();
        let link = links.get(choices.below(links.len() as u64) as usize).copied();
        match (choices.below(24), link) {
            (0 | 1, _) => self.declare(choices),
            (2, _) => self.withdraw(choices),
            (3, _) => self.answer_dial(choices),
            (4, _) | (_, None) => self.visit(choices),
            (5 | 6, _) => self.pass(choices),
            (7, Some(link)) => {
                let reason = Reason::new(ReasonCode::Lost, "lost");
                self.engine.link_lost(self.now, link, reason);
            }
            (8, Some(link)) => self.bytes(link, choices.raw(300)),
            (9, Some(link)) => self.say(link, choices.control()),
            (10, Some(link)) => self.say(link, Control::Hello(self.hello(choices))),
            (11, Some(link)) => self.say(link, Control::Accept(self.accept(link))),
            (12..=14, Some(link)) => {
                let entries = self.entries(link, choices, intent);
                self.note_supplies(link, &entries);
                self.say(link, Control::Intents(entries));
            }
            (15..=17, Some(link)) => {
                let entries = self.entries(link, choices, interest);
                self.say(link, Control::Interests(entries));
            }
            (18..=20, Some(link)) => self.say(link, Control::Notify(self.notify(link, choices))),
            (21, Some(link)) => {
                let aliases = self.lines.get(&link).map(|line| &line.inlets);
                let assigned = aliases.and_then(|aliases| aliases.first()).copied();
                self.say(link, Control::End { alias: assigned.unwrap_or(choices.below(4) as u32) });
            }
            (_, Some(link)) => {
                let pings = self.lines.get(&link).map_or(&[][..], |line| &line.pings);
                let ping = pings.get(choices.below(pings.len() as u64) as usize);
                let echo = ping.map_or(Timestamp::ZERO, |ping| ping.sent);
                self.say(link, Control::Pong(Pong { echo, received: self.now, sent: self.now }));
            }
        }
    }

    /// A stranger comes, and most often shakes hands.
    fn visit(&mut self, choices: &mut Choices<'_>) {
        let link = self.engine.accepted(self.now, "memory://stranger".to_owned());
        self.lines.insert(link, Line { heard: self.now, ..Line::default() });
        self.settle();
        if choices.below(4) > 0 {
            self.say(link, Control::Hello(self.hello(choices)));
            self.settle();
            self.say(link, Control::Accept(self.accept(link)));
        }
    }

    /// All bytes at once, as a reader gives them.
    fn bytes(&mut self, link: LinkId, mut bytes: &[u8]) {
        let limits = match self.lines.get(&link) {
            Some(line) if line.up => Limits::agreed(1 << 20),
            _ => Limits::HANDSHAKE,
        };
        let fault = loop {
            match split(bytes, limits) {
                Ok(Split::Frame { frame: Frame::Control { kind, body }, consumed }) => {
                    bytes = &bytes[consumed..];
                    match decode(kind, body) {
                        Ok(control) => self.say(link, control),
                        Err(error) => break error,
                    }
                }
                Ok(Split::Frame { consumed, .. }) => bytes = &bytes[consumed..],
                Ok(Split::NeedMore { .. }) => return,
                Err(error) => break error,
            }
        };
        self.engine.fault(self.now, link, fault.into());
    }

    fn say(&mut self, link: LinkId, frame: Control) {
        if let Some(line) = self.lines.get_mut(&link) {
            line.heard = self.now;
            self.engine.control(self.now, link, frame);
        }
    }

    fn answer_dial(&mut self, choices: &mut Choices<'_>) {
        let Some(link) = self.dials.pop_first() else { return };
        if choices.flag() {
            self.lines.insert(link, Line { heard: self.now, ..Line::default() });
            self.engine.dialled(self.now, link);
        } else {
            self.engine.dial_failed(self.now, link, "nobody listens");
        }
    }

    fn pass(&mut self, choices: &mut Choices<'_>) {
        self.now = match self.engine.next_wake() {
            Some(wake) if choices.flag() => self.now.max(wake),
            _ => self.now + Duration::from_micros(choices.u64() >> 20),
        };
        let lines = &self.lines;
        self.engine.tick(self.now, &|link| lines.get(&link).map_or(Timestamp::ZERO, |line| line.heard));
        assert!(self.engine.next_wake().is_none_or(|wake| wake > self.now), "it would tick for ever");
    }

    /// The final that the engine waits for, or any.
    fn accept(&self, link: LinkId) -> Accept {
        let offered = self.lines.get(&link).and_then(|line| line.accept);
        offered.unwrap_or(Accept { version: 1, capabilities: 0, session: 1 })
    }

    /// Numbers rise, most often.
    fn entries<T>(
        &mut self,
        link: LinkId,
        choices: &mut Choices<'_>,
        item: fn(&mut Choices<'_>) -> T,
    ) -> Vec<Entry<T>> {
        let Some(line) = self.lines.get_mut(&link) else { return Vec::new() };
        let count = 1 + choices.below(4);
        let entry = |_| {
            let id = choices.below(u64::from(line.next_id) + 1) as u32;
            match choices.below(8) {
                0 => Entry::Remove { id },
                1 => Entry::Update { id, item: item(choices) },
                2 => Entry::Add { id, item: item(choices) },
                _ => {
                    line.next_id += 1;
                    Entry::Add { id: line.next_id, item: item(choices) }
                }
            }
        };
        (0..count).map(entry).collect()
    }

    fn note_supplies(&mut self, link: LinkId, entries: &[Entry<Intent>]) {
        let Some(line) = self.lines.get_mut(&link) else { return };
        for entry in entries {
            match entry {
                Entry::Add { id, item } | Entry::Update { id, item } => {
                    let declared = &item.declared;
                    line.supplies.insert(*id, (declared.route.clone(), declared.fingerprint));
                }
                Entry::Remove { id } => drop(line.supplies.remove(id)),
            }
        }
    }

    /// About what both sides declared, most often.
    fn notify(&self, link: LinkId, choices: &mut Choices<'_>) -> Notify {
        let next_id = self.lines.get(&link).map_or(0, |line| line.next_id);
        let (supplier, mine) = (choices.flag(), choices.below(u64::from(next_id) + 2) as u32);
        let interest = self.interests.get(choices.below(self.interests.len() as u64 + 1) as usize);
        let passed = choices.below(3) == 0;
        let yours = if passed {
            PASSED + choices.below(12) as u32
        } else {
            interest.map_or(choices.below(12) as u32, |(id, ..)| id.0)
        };
        match choices.below(12) {
            0 => Notify::Refused { supplier, mine, yours, text: choices.text(20) },
            1 => {
                let schema = Schema::versioned("T", choices.below(2)).expect("it is valid").encode();
                Notify::Schema { supplier, mine, yours, schema }
            }
            2 => Notify::Conflict { yours, text: choices.text(20) },
            3 => Notify::Linked { mine, yours, alias: choices.below(6) as u32 },
            _ => {
                let pairs = self.pairs(link);
                let pair = pairs.get(choices.below(pairs.len() as u64) as usize);
                let (mine, yours) = pair.copied().unwrap_or((mine, yours));
                Notify::Linked { mine, yours, alias: choices.below(20) as u32 }
            }
        }
    }

    /// What the peer can link: its intents and our interests of equal route and shape.
    fn pairs(&self, link: LinkId) -> Vec<(u32, u32)> {
        let Some(line) = self.lines.get(&link) else { return Vec::new() };
        let fits = |(id, theirs): (&u32, &(Route, u64))| {
            let ours =
                self.interests.iter().find(|(_, route, print)| (route, print) == (&theirs.0, &theirs.1));
            ours.map(|(interest, ..)| (*id, interest.0))
        };
        line.supplies.iter().filter_map(fits).collect()
    }

    fn hello(&self, choices: &mut Choices<'_>) -> Hello {
        Hello {
            version_min: if choices.below(16) == 0 { 2 } else { 1 },
            version_max: 2,
            capabilities: choices.u32(),
            instance: [5 + choices.below(8) as u8; 16],
            session: 0,
            scope_own: choices.below(4) == 0,
            joins: choices.below(4) == 0,
            max_frame: 1 << 20,
            ping_millis: 1000,
            clock: choices.time(),
            path: path(["desk", "robot", "robot.arm"][choices.below(3) as usize]),
            expected: choices.flag().then(|| path("robot")),
        }
    }

    fn declare(&mut self, choices: &mut Choices<'_>) {
        if self.intents.len() + self.interests.len() == OWN {
            return;
        }
        let id = self.next_id;
        self.next_id += 1;
        let (route, version) = names(choices);
        let schema = Arc::new(Schema::versioned("T", version).expect("it is valid"));
        let fingerprint = schema.fingerprint();
        let declaration = Declaration { route: route.clone(), schema, codec: "codec", packs: false };
        if choices.flag() {
            let (exclusive, retained) = (choices.flag(), choices.flag());
            self.engine.declare_intent(self.now, IntentId(id), declaration, exclusive, retained);
            self.intents.push(IntentId(id));
        } else {
            self.engine.declare_interest(self.now, InterestId(id), declaration, Delivery::default());
            self.interests.push((InterestId(id), route, fingerprint));
        }
    }

    fn withdraw(&mut self, choices: &mut Choices<'_>) {
        if choices.flag() {
            if let Some(id) = self.intents.pop() {
                self.engine.withdraw_intent(self.now, id);
            }
        } else if let Some((id, ..)) = self.interests.pop() {
            self.engine.withdraw_interest(self.now, id);
        }
    }

    /// Takes all actions, as the runtime does.
    fn settle(&mut self) {
        let mut count = 0;
        while let Some(action) = self.engine.poll() {
            count += 1;
            assert!(count <= ACTIONS, "one input led to more than {ACTIONS} actions");
            self.act(action);
        }
        assert!(self.engine.links(self.now).count() <= 4 + 2, "more links than allowed");
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Dial { link, .. } => {
                assert!(self.dials.insert(link), "dialled again before the answer");
                assert!(!self.lines.contains_key(&link), "dialled while there is a line");
            }
            Action::Send { link, frame, .. } => {
                let line = self.lines.get_mut(&link).expect("spoke on a link without a line");
                check_readable(&frame, line.up);
                match frame {
                    Control::Accept(accept) => line.accept = Some(accept),
                    Control::Ping(ping) => line.pings.push(ping),
                    _ => {}
                }
            }
            Action::HangUp { link, bye } => {
                if let Some(bye) = bye {
                    check_readable(&Control::Bye(bye), false);
                }
                self.lines.remove(&link);
            }
            Action::Up { link, .. } => self.line(link).up = true,
            Action::OpenOutlet { link, alias, .. } => {
                assert!(self.line(link).outlets.insert(alias), "outlet {alias} is open already");
            }
            Action::CloseOutlet { link, alias, .. } => {
                assert!(self.line(link).outlets.remove(&alias), "outlet {alias} is not open");
            }
            Action::OpenInlet { link, alias, .. } => {
                assert!(self.line(link).inlets.insert(alias), "inlet {alias} is open already");
            }
            Action::DrainInlet { link, alias } => {
                self.line(link).inlets.insert(alias);
            }
            Action::CloseInlet { link, alias } => {
                assert!(self.line(link).inlets.remove(&alias), "inlet {alias} is not open");
            }
            Action::OpenRelay { from, from_alias, to, to_alias, .. } => {
                assert!(self.line(from).inlets.insert(from_alias), "inlet {from_alias} is open already");
                assert!(self.line(to).outlets.insert(to_alias), "outlet {to_alias} is open already");
            }
            Action::CloseRelay { to, to_alias } => {
                assert!(self.line(to).outlets.remove(&to_alias), "outlet {to_alias} is not open");
            }
            Action::LetGo { .. } | Action::StandBy { .. } | Action::HandOver { .. } => {
                panic!("sessions end with their links here")
            }
            Action::Clock { .. }
            | Action::Watch { .. }
            | Action::Look { .. }
            | Action::LinkLocal { .. }
            | Action::UnlinkLocal { .. }
            | Action::Event(_) => {}
        }
    }

    fn line(&mut self, link: LinkId) -> &mut Line {
        self.lines.get_mut(&link).expect("a line for this link")
    }
}

/// Whatever the engine sends, a peer can read, before the handshake in the small frames of that time.
fn check_readable(frame: &Control, up: bool) {
    let limits = if up { Limits::agreed(1 << 20) } else { Limits::HANDSHAKE };
    let mut bytes = Vec::new();
    encode(&mut bytes, frame);
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        match split(rest, limits) {
            Ok(Split::Frame { frame: Frame::Control { kind, body }, consumed }) => {
                assert!(decode(kind, body).is_ok(), "{frame:?}");
                rest = &rest[consumed..];
            }
            other => panic!("{frame:?} is no frame a peer takes: {other:?}"),
        }
    }
}

fn path(text: &str) -> Path {
    Path::parse(text).expect("it is valid")
}

/// One of a few routes, and one of a few versions, so that they often meet.
fn names(choices: &mut Choices<'_>) -> (Route, u64) {
    let place = path(["robot.x", "desk.x"][usize::from(choices.below(4) == 0)]);
    let route = Route::new(if choices.below(8) == 0 { "U" } else { "T" }, &place).expect("it is valid");
    let hidden = choices.below(8) == 0;
    let route = if hidden { route.hashed(&place).expect("its own path") } else { route };
    (route, u64::from(choices.below(8) == 0))
}

fn declared(choices: &mut Choices<'_>) -> Declared {
    let (route, version) = names(choices);
    let fingerprint = Schema::versioned("T", version).expect("it is valid").fingerprint();
    let codec = if choices.below(8) == 0 { "other" } else { "codec" };
    Declared { route, fingerprint, codec: codec.to_owned(), lease_millis: 0 }
}

fn intent(choices: &mut Choices<'_>) -> Intent {
    let declared = declared(choices);
    let relayed = (choices.below(4) == 0).then(|| {
        let origin = Origin { instance: [5 + choices.below(8) as u8; 16], id: choices.below(4) as u32 };
        let via = (0..choices.below(3)).map(|_| [5 + choices.below(8) as u8; 16]).collect();
        Box::new(Relayed { origin, via })
    });
    Intent {
        declared,
        exclusive: choices.flag(),
        retained: choices.flag(),
        priority: choices.priority(),
        relayed,
    }
}

fn interest(choices: &mut Choices<'_>) -> Interest {
    let only = (choices.below(4) == 0).then(|| PASSED + choices.below(12) as u32);
    Interest {
        declared: declared(choices),
        delivery: Delivery::Lossless(4),
        only,
        unpacks: choices.below(2) == 1,
    }
}

/// The first number of what a relay passes on.
const PASSED: u32 = 1 << 31;

/// How many things happen at most in one run.
const STEPS: usize = 400;

/// How many intents and interests the endpoint has at most.
const OWN: usize = 10;

/// More actions than one input can rightly lead to: 24 routes of each of 6 peers, met by 10 of its own and passed
/// on to each other.
const ACTIONS: usize = 40_000;
