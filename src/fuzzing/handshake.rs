//! One endpoint's control and peers that say anything, in any order.

mod acts;
mod says;

use super::choices::Choices;
use crate::delivery::Delivery;
use crate::path::Path;
use crate::peer::{PeerUrl, Scope};
use crate::proto::{Declaration, Engine, EngineSettings, IntentId, InterestId, LinkId};
use crate::reason::{Reason, ReasonCode};
use crate::route::Route;
use crate::schema::Schema;
use crate::time::Timestamp;
use crate::wire::control::{Accept, Control, Hello, Ping, Pong};
use crate::wire::{Frame, Limits, Split, decode, split};
use says::names;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// One engine that dials and accepts, fed with frames made of any bytes, ticks, lost links and its own
/// declarations; sessions go on over other connections where the engine has them do so. It asks for no more than so many
/// actions each time, speaks only on links that stand, in frames that can be read, opens and closes each alias in turn,
/// and says nothing behind a RESUME. No session waits for ever, and each is carried by one link at most.
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
    assert!(bench.sessions.is_empty(), "a session is left after the close");
}

/// An engine, and what it may rely on and must hold to.
struct Bench {
    now: Timestamp,
    engine: Engine,
    /// Links that were asked to dial and not yet answered, and by what the connection goes.
    dials: BTreeMap<LinkId, LinkId>,
    /// Links with a connection, by what that goes.
    lines: BTreeMap<LinkId, Line>,
    sessions: BTreeMap<LinkId, Session>,
    /// The numbers of sessions that were spoken of.
    numbers: BTreeSet<u64>,
    /// A connection that is to be let go of is so at once.
    prompt: bool,
    next_id: u32,
    intents: Vec<IntentId>,
    interests: Vec<(InterestId, Route, u64)>,
}

/// What is known of one connection.
#[derive(Default)]
struct Line {
    stage: Stage,
    dialled: bool,
    heard: Timestamp,
    /// What the engine said of itself, and the peer.
    ours: Option<Hello>,
    theirs: Option<Hello>,
    /// The final that the engine offered or sent.
    accept: Option<Accept>,
    pings: Vec<Ping>,
    /// Who said RESUME on it: the engine, the peer.
    resumed: (bool, bool),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Handshaking,
    StandsBy,
    Carries,
}

/// What is known of one session.
#[derive(Default)]
struct Session {
    resumes: bool,
    hold: Hold,
    talk: Talk,
    outlets: BTreeSet<u32>,
    /// Those that drain too.
    inlets: BTreeSet<u32>,
}

/// Whether a connection is the session's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Hold {
    #[default]
    Carried,
    /// It is closed; what came before may still be read.
    LettingGo,
    LetGo,
}

/// What a peer said in a session.
#[derive(Default)]
struct Talk {
    /// The highest number it used.
    next_id: u32,
    /// What it supplies: routes and fingerprints.
    supplies: BTreeMap<u32, (Route, u64)>,
}

impl Bench {
    fn new(choices: &mut Choices<'_>) -> Self {
        let mut settings = EngineSettings::new(path("robot"), [7; 16], choices.u64());
        settings.scope = if choices.flag() { Scope::Own } else { Scope::Open };
        settings.relay = if choices.below(4) == 0 { Vec::new() } else { vec![path("robot")] };
        settings.lease = Duration::from_secs(if choices.below(8) == 0 { 0 } else { 5 });
        settings.max_pending = 2;
        settings.max_links = MOST_LINKS - 2;
        settings.max_routes_per_peer = 24;
        let mut bench = Self {
            now: Timestamp::from_micros(1_000_000),
            engine: Engine::new(settings),
            dials: BTreeMap::new(),
            lines: BTreeMap::new(),
            sessions: BTreeMap::new(),
            numbers: BTreeSet::new(),
            prompt: true,
            next_id: 1,
            intents: Vec::new(),
            interests: Vec::new(),
        };
        // A group of links to one peer, and a link to another, or the same.
        let urls = ["memory://a", "memory://b", "memory://c/desk", "memory://d"];
        let urls = urls.map(|url| Arc::new(PeerUrl::parse(url).expect("it is valid")));
        for urls in [&urls[..choices.below(4) as usize], &urls[4 - choices.below(2) as usize..]] {
            bench.engine.diallers(bench.now, urls);
        }
        bench.declare(choices);
        bench.declare(choices);
        bench.settle();
        bench
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        self.prompt = choices.below(4) > 0;
        let ends: BTreeSet<_> = self.lines.keys().chain(self.sessions.keys()).copied().collect();
        let link = ends.iter().nth(choices.below(ends.len() as u64) as usize).copied();
        match (choices.below(32), link) {
            (0 | 1, _) => self.declare(choices),
            (2, _) => self.withdraw(choices),
            (3 | 22 | 23, _) if !self.dials.is_empty() => self.answer_dial(choices),
            (4, _) | (_, None) => self.visit(choices),
            (3 | 5 | 6, _) => self.pass(choices),
            (7, Some(link)) => self.engine.link_lost(self.now, link, lost()),
            (8, Some(link)) => self.bytes(link, choices.raw(300)),
            (9, Some(link)) => self.say(link, choices.control()),
            (10 | 11, Some(link)) => self.shake_hands(link, choices),
            (12..=14, Some(link)) => {
                let entries = self.entries(link, choices, says::intent);
                self.note_supplies(link, &entries);
                self.say(link, Control::Intents(entries));
            }
            (15..=17, Some(link)) => {
                let entries = self.entries(link, choices, says::interest);
                self.say(link, Control::Interests(entries));
            }
            (18..=20, Some(link)) => self.say(link, Control::Notify(self.notify(link, choices))),
            (21, Some(link)) => {
                let aliases = self.sessions.get(&link).map(|session| &session.inlets);
                let assigned = aliases.and_then(|aliases| aliases.first()).copied();
                self.say(link, Control::End { alias: assigned.unwrap_or(choices.below(4) as u32) });
            }
            (24..=26, Some(link)) => {
                self.say(link, Control::Resume { received: choices.u64(), turn: choices.below(20) })
            }
            (27 | 28, Some(link)) => self.end(link, choices.u64()),
            (29, Some(link)) => {
                self.engine.fault(self.now, link, Reason::new(ReasonCode::Malformed, "wrong"))
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
            self.shake_hands(link, choices);
        }
    }

    /// The frames of a handshake, at whatever time.
    fn shake_hands(&mut self, link: LinkId, choices: &mut Choices<'_>) {
        if choices.below(8) > 0 {
            let hello = self.hello(choices);
            if let Some(line) = self.lines.get_mut(&link) {
                line.theirs = Some(hello.clone());
            }
            self.say(link, Control::Hello(hello));
            self.settle();
        }
        if choices.below(8) > 0 {
            let accept = self.accept(link, choices);
            self.numbers.insert(accept.session);
            self.say(link, Control::Accept(accept));
        }
    }

    /// All bytes at once, as a reader gives them.
    fn bytes(&mut self, link: LinkId, mut bytes: &[u8]) {
        let limits = match self.lines.get(&link) {
            Some(line) if line.stage != Stage::Handshaking => Limits::agreed(1 << 20),
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

    /// A frame is read of a connection, or was before that was closed.
    fn say(&mut self, link: LinkId, frame: Control) {
        match self.lines.get_mut(&link) {
            Some(line) => {
                line.heard = self.now;
                line.resumed.1 |= matches!(frame, Control::Resume { .. });
            }
            None if self.sessions.get(&link).is_some_and(|session| session.hold == Hold::LettingGo) => {}
            None => return,
        }
        self.engine.control(self.now, link, frame);
    }

    /// The connection of a session ends, and its threads are done with it; or those of one that was closed before are.
    fn end(&mut self, link: LinkId, received: u64) {
        match self.sessions.get_mut(&link).filter(|session| session.resumes && session.hold != Hold::LetGo) {
            Some(session) => {
                session.hold = Hold::LetGo;
                self.lines.remove(&link);
                self.engine.let_go(self.now, link, received, lost());
            }
            None => self.engine.link_lost(self.now, link, lost()),
        }
    }

    fn answer_dial(&mut self, choices: &mut Choices<'_>) {
        let place = choices.below(self.dials.len() as u64) as usize;
        let Some((link, line)) = self.dials.iter().nth(place).map(|(link, line)| (*link, *line)) else {
            return;
        };
        self.dials.remove(&link);
        if choices.below(4) == 0 {
            return self.engine.dial_failed(self.now, link, "nobody listens");
        }
        self.lines.insert(line, Line { heard: self.now, dialled: true, ..Line::default() });
        self.engine.dialled(self.now, link);
        self.settle();
        if choices.below(4) > 0 {
            self.shake_hands(line, choices);
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
        loop {
            while let Some(action) = self.engine.poll() {
                count += 1;
                assert!(count <= ACTIONS, "one input led to more than {ACTIONS} actions");
                self.act(action);
            }
            let closed = self.sessions.iter().find(|(_, session)| session.hold == Hold::LettingGo);
            let Some(id) = closed.map(|(id, _)| *id).filter(|_| self.prompt) else { break };
            self.end(id, 0);
        }
        assert!(self.engine.links(self.now).count() <= MOST_LINKS, "more links than allowed");
        self.engine.check();
    }
}

fn path(text: &str) -> Path {
    Path::parse(text).expect("it is valid")
}

fn lost() -> Reason {
    Reason::new(ReasonCode::Lost, "lost")
}

/// How many things happen at most in one run.
const STEPS: usize = 400;

/// How many links there are at most, with two whose handshake is not done.
const MOST_LINKS: usize = 8;

/// How many intents and interests the endpoint has at most.
const OWN: usize = 10;

/// More actions than one input can rightly lead to: 24 routes of each of 6 peers, met by 10 of its own and passed
/// on to each other.
const ACTIONS: usize = 40_000;
