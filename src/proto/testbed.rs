//! A few engines joined by perfect lines, for tests that look at one thing.

use super::{Action, Declaration, Engine, EngineSettings, IntentId, InterestId, LinkId, Order};
use crate::delivery::Delivery;
use crate::event::Event;
use crate::path::Path;
use crate::peer::PeerUrl;
use crate::reason::{Reason, ReasonCode};
use crate::route::Route;
use crate::schema::Schema;
use crate::time::Timestamp;
use crate::wire::control::Control;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// An engine of the bed, by its place.
pub(super) type Place = usize;
type End = (Place, LinkId);

/// Engines, the lines between them, and what each engine did.
pub(super) struct Bed {
    pub(super) now: Timestamp,
    pub(super) engines: Vec<Engine>,
    /// Where dialling leads, by the address in the URL.
    pub(super) addresses: BTreeMap<String, Place>,
    pub(super) joined: BTreeMap<End, End>,
    pub(super) actions: Vec<Vec<Action>>,
    /// Engines that neither read nor tick.
    pub(super) frozen: Vec<Place>,
    /// Ends that nothing comes to for now; and where to dial makes ends such.
    pub(super) held: BTreeSet<End>,
    pub(super) holds: Option<String>,
    heard: BTreeMap<End, Timestamp>,
    /// By what the connections go that are handed over to a session.
    moved: BTreeMap<End, End>,
    /// What each end of a session said and was told that is counted.
    said: BTreeMap<End, Vec<Control>>,
    told: BTreeMap<End, u64>,
    wires: VecDeque<(End, Wire)>,
}

enum Wire {
    Frame(Control),
    Ended,
}

impl Bed {
    pub(super) fn new(paths: &[&str]) -> Bed {
        let settings = paths.iter().enumerate().map(|(place, path)| settings(path, place as u8 + 1));
        Bed::with(settings.collect())
    }

    pub(super) fn with(settings: Vec<EngineSettings>) -> Bed {
        let addresses = settings.iter().enumerate().map(|(place, s)| (s.path.to_string(), place)).collect();
        Bed {
            now: Timestamp::from_micros(1_000_000_000),
            actions: settings.iter().map(|_| Vec::new()).collect(),
            engines: settings.into_iter().map(Engine::new).collect(),
            addresses,
            joined: BTreeMap::new(),
            frozen: Vec::new(),
            held: BTreeSet::new(),
            holds: None,
            heard: BTreeMap::new(),
            moved: BTreeMap::new(),
            said: BTreeMap::new(),
            told: BTreeMap::new(),
            wires: VecDeque::new(),
        }
    }

    /// Lets `from` dial the engine whose path is the address of the URL: `memory://desk/desk`.
    pub(super) fn dial(&mut self, from: Place, url: &str) -> LinkId {
        let url = Arc::new(PeerUrl::parse(url).unwrap());
        let link = self.engines[from].dialler(self.now, url);
        self.settle();
        link
    }

    pub(super) fn intent(&mut self, place: Place, id: u32, route: &str, version: u64) {
        self.engines[place].declare_intent(self.now, IntentId(id), declaration(route, version), false, false);
    }

    pub(super) fn interest(&mut self, place: Place, id: u32, route: &str, version: u64) {
        let declaration = declaration(route, version);
        self.engines[place].declare_interest(self.now, InterestId(id), declaration, Delivery::default());
    }

    /// A connection to `place` whose other end is the test itself.
    pub(super) fn stranger(&mut self, place: Place) -> LinkId {
        let link = self.engines[place].accepted(self.now, "memory://stranger".to_owned());
        self.settle();
        link
    }

    pub(super) fn say(&mut self, place: Place, link: LinkId, frame: Control) {
        self.engines[place].control(self.now, link, frame);
        self.settle();
    }

    /// Does all that is to do at this point in time.
    pub(super) fn settle(&mut self) {
        loop {
            for place in 0..self.engines.len() {
                while let Some(action) = self.engines[place].poll() {
                    self.act(place, &action);
                    self.actions[place].push(action);
                }
            }
            let moves = |(end, _): &(End, Wire)| !self.frozen.contains(&end.0) && !self.held.contains(end);
            let Some(index) = self.wires.iter().position(moves) else { return };
            let Some((end, wire)) = self.wires.remove(index) else { return };
            let (place, link) = self.moved.get(&end).copied().unwrap_or(end);
            match wire {
                Wire::Frame(frame) => {
                    self.heard.insert((place, link), self.now);
                    if frame.is_counted() {
                        *self.told.entry((place, link)).or_default() += 1;
                    }
                    self.engines[place].control(self.now, link, frame);
                }
                Wire::Ended => {
                    self.ended(place, link, "ended");
                }
            }
        }
    }

    fn act(&mut self, place: Place, action: &Action) {
        match action {
            Action::Dial { link, line, url } => match self.addresses.get(url.address()).copied() {
                Some(target) if !self.frozen.contains(&target) => {
                    let accepted = self.engines[target].accepted(self.now, format!("memory://from-{place}"));
                    self.moved.remove(&(place, *line));
                    self.joined.insert((place, *line), (target, accepted));
                    self.joined.insert((target, accepted), (place, *line));
                    if self.holds.as_deref() == Some(url.address()) {
                        self.held.extend([(place, *line), (target, accepted)]);
                    }
                    self.engines[place].dialled(self.now, *link);
                }
                _ => self.engines[place].dial_failed(self.now, *link, "nobody listens"),
            },
            Action::Send { link, frame, .. } => self.put((place, *link), Wire::Frame(frame.clone())),
            Action::CloseOutlet { link, alias, .. } => {
                self.put((place, *link), Wire::Frame(Control::End { alias: *alias }));
            }
            Action::CloseRelay { to, to_alias } => {
                self.put((place, *to), Wire::Frame(Control::End { alias: *to_alias }));
            }
            Action::LetGo { session } => {
                let end = (place, *session);
                if self.joined.contains_key(&end) {
                    self.put(end, Wire::Ended);
                    self.joined.remove(&end);
                }
                let told = self.told.get(&end).copied().unwrap_or_default();
                let reason = Reason::new(ReasonCode::Lost, "let go");
                self.engines[place].let_go(self.now, *session, told, reason);
            }
            Action::HandOver { session, line, received, .. } => {
                let (from, to) = ((place, *line), (place, *session));
                self.moved.insert(from, to);
                if let Some(other) = self.joined.remove(&from) {
                    self.joined.insert(to, other);
                    self.joined.insert(other, to);
                }
                for frame in self
                    .said
                    .get(&to)
                    .into_iter()
                    .flatten()
                    .skip(*received as usize)
                    .cloned()
                    .collect::<Vec<_>>()
                {
                    self.put_again(to, frame);
                }
            }
            Action::HangUp { link, bye } => {
                if let Some(bye) = bye {
                    self.put((place, *link), Wire::Frame(Control::Bye(bye.clone())));
                }
                self.put((place, *link), Wire::Ended);
                self.joined.remove(&(place, *link));
            }
            _ => {}
        }
    }

    /// A connection ended: this end lets go of it, if a session can go on without.
    pub(super) fn ended(&mut self, place: Place, link: LinkId, text: &str) {
        let end = (place, link);
        self.joined.remove(&end);
        let reason = Reason::new(ReasonCode::Lost, text);
        match self.engines[place].sessions.contains_key(&link) {
            true => {
                let told = self.told.get(&end).copied().unwrap_or_default();
                self.engines[place].let_go(self.now, link, told, reason);
            }
            false => self.engines[place].link_lost(self.now, link, reason),
        }
    }

    /// The program of `place` ends, and begins anew; its lines are cut.
    pub(super) fn restart(&mut self, place: Place, settings: EngineSettings) {
        let ends: Vec<End> = self.joined.keys().filter(|end| end.0 != place).copied().collect();
        let cut = ends.into_iter().filter(|end| self.joined[end].0 == place);
        for (other, link) in cut.collect::<Vec<_>>() {
            self.ended(other, link, "cut");
        }
        self.joined.retain(|end, _| end.0 != place);
        self.said.retain(|end, _| end.0 != place);
        self.told.retain(|end, _| end.0 != place);
        self.moved.retain(|end, _| end.0 != place);
        self.engines[place] = Engine::new(settings);
    }

    fn put_again(&mut self, from: End, frame: Control) {
        if let Some(to) = self.joined.get(&from) {
            self.wires.push_back((*to, Wire::Frame(frame)));
        }
    }

    fn put(&mut self, from: End, wire: Wire) {
        if let Wire::Frame(frame) = &wire {
            if frame.is_counted() {
                self.said.entry(from).or_default().push(frame.clone());
            }
        }
        if let Some(to) = self.joined.get(&from) {
            self.wires.push_back((*to, wire));
        }
    }

    /// Cuts a line; both ends notice.
    pub(super) fn cut(&mut self, place: Place, link: LinkId) {
        if let Some(other) = self.joined.remove(&(place, link)) {
            self.joined.remove(&other);
            for (place, link) in [(place, link), other] {
                self.ended(place, link, "cut");
            }
        }
        self.settle();
    }

    /// Lets time pass, with all that happens in it.
    pub(super) fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        self.settle();
        loop {
            let awake = (0..self.engines.len()).filter(|place| !self.frozen.contains(place));
            let next = awake.filter_map(|place| Some((self.engines[place].next_wake()?, place))).min();
            match next {
                Some((at, place)) if at <= end => {
                    self.now = self.now.max(at);
                    let heard = &self.heard;
                    self.engines[place]
                        .tick(self.now, &|link| heard.get(&(place, link)).copied().unwrap_or_default());
                    self.settle();
                }
                _ => break,
            }
        }
        self.now = end;
    }

    /// What the application of an engine was told, and has not been asked for yet.
    pub(super) fn events(&mut self, place: Place) -> Vec<Event> {
        self.settle();
        let actions = std::mem::take(&mut self.actions[place]);
        actions
            .into_iter()
            .filter_map(|action| if let Action::Event(event) = action { Some(event) } else { None })
            .collect()
    }

    /// The frames that an engine sent, and has not been asked for yet.
    pub(super) fn frames(&mut self, place: Place) -> Vec<(Control, Order)> {
        self.settle();
        let actions = std::mem::take(&mut self.actions[place]);
        let sent = actions.into_iter().filter_map(|action| match action {
            Action::Send { frame, order, .. } => Some((frame, order)),
            Action::HangUp { bye: Some(bye), .. } => Some((Control::Bye(bye), Order::Ahead)),
            _ => None,
        });
        sent.collect()
    }
}

pub(super) fn settings(path: &str, instance: u8) -> EngineSettings {
    EngineSettings::new(Path::parse(path).unwrap(), [instance; 16], u64::from(instance))
}

pub(super) fn declaration(route: &str, version: u64) -> Declaration {
    let schema = Schema::versioned("Imu", version).unwrap();
    Declaration {
        route: Route::parse(route).unwrap(),
        schema: Arc::new(schema),
        codec: "bincode2",
        packs: false,
    }
}
