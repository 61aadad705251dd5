//! The programs of the scene: what they supply and want, and what they do each turn.

use crate::checker::Checker;
use bowline::testing::World;
use bowline::{
    Delivery, Endpoint, EndpointBuilder, Event, Fate, Intent, IntentSettings, Interest, InterestSettings,
    LinkState, LinkStatus, Links, LostAt, Priority, Side,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Which program: the one in the middle listens, the others dial it.
pub const NAMES: [&str; 3] = ["robot", "desk", "arm"];

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Count {
    /// Which life of its program it is of.
    life: u32,
    number: u64,
    /// To be of some size: text is encoded at once, where bytes would be one by one.
    load: String,
}

/// One route of the scene.
pub struct Plan {
    pub path: String,
    pub from: usize,
    pub to: usize,
    pub delivery: Delivery,
    /// Over which links of several.
    pub links: Links,
    pub priority: Priority,
    #[cfg(feature = "lz4")]
    pub compression: bowline::Compression,
    /// It is sent each so many turns, and read as often as it may be.
    pub every: u64,
    /// It had no room, and is sent as soon as it has.
    pub due: bool,
    /// It is not read for so many turns.
    pub asleep: u64,
    /// Its intent and its interest come and go.
    pub fickle: bool,
    pub load: usize,
    pub checker: Checker,
}

impl Plan {
    /// It goes through the one in the middle.
    pub fn is_relayed(&self) -> bool {
        self.from.min(self.to) > 0
    }
}

/// The sessions of the one in the middle with each of the others.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sessions {
    /// How often one could end: a program of the two did, or one of them had no link for its lease.
    pub causes: u32,
    /// How often the one in the middle heard that it ended, and the other one.
    pub ends: [u32; 2],
}

/// How a program does things.
#[derive(Clone, Copy, Default)]
pub struct Manner {
    /// By which lines it dials, the more wanted first.
    pub schemes: &'static [&'static str],
    /// As set with its builder.
    pub fragment_bytes: Option<usize>,
    pub outbox_bytes: Option<usize>,
}

/// One life of a program.
pub struct Program {
    name: usize,
    life: u32,
    intents: Vec<(usize, Intent<Count>)>,
    pub interests: Vec<(usize, Interest<Count>)>,
    pub endpoint: Endpoint,
}

impl Program {
    pub fn start(world: &World, name: usize, life: u32, manner: &Manner, plans: &mut [Plan]) -> Self {
        let endpoint = world.start(builder(name, manner)).expect("starts");
        let mut program = Self { name, life, intents: Vec::new(), interests: Vec::new(), endpoint };
        for (number, plan) in plans.iter_mut().enumerate() {
            program.declare(number, plan);
        }
        program
    }

    /// Declares its part in a route, if it has one.
    pub fn declare(&mut self, number: usize, plan: &mut Plan) {
        if plan.from == self.name && !self.intents.iter().any(|(other, _)| *other == number) {
            plan.checker.life(self.life);
            let settings = IntentSettings::new().links(plan.links.clone()).priority(plan.priority);
            #[cfg(feature = "lz4")]
            let settings = settings.compression(plan.compression);
            let intent = self.endpoint.intent_with(&plan.path, settings).expect("an intent");
            self.intents.push((number, intent));
        }
        if plan.to == self.name && !self.interests.iter().any(|(other, _)| *other == number) {
            let settings = InterestSettings::new();
            let settings = match plan.delivery {
                Delivery::Lossless(depth) => settings.lossless(depth),
                Delivery::Queue(depth) => settings.queue(depth),
                _ => settings.latest(),
            };
            let interest = self.endpoint.interest_with(&plan.path, settings).expect("an interest");
            self.interests.push((number, interest));
        }
    }

    /// Withdraws its part in a route.
    pub fn withdraw(&mut self, number: usize) {
        self.intents.retain(|(other, _)| *other != number);
        self.interests.retain(|(other, _)| *other != number);
    }

    /// What its events say of its samples, and of the sessions with others.
    pub fn hear(&self, plans: &mut [Plan], sessions: &mut [Sessions; 3], told: bool) {
        let mut ended = [false; 3];
        while let Some(event) = self.endpoint.events().try_recv() {
            if told {
                println!("    {} {}: {event:?}", self.endpoint.path(), self.life);
            }
            match &event {
                // A session that outlives its link keeps its routes linked, and nothing may be lost.
                Event::RouteUnlinked { route, supplier, .. } => {
                    let path = route.path().map(|path| path.as_str());
                    if let Some(plan) = plans.iter_mut().find(|plan| Some(plan.path.as_str()) == path) {
                        plan.checker.session_ended(*supplier == Side::There);
                        ended[plan.from.max(plan.to)] |= !plan.fickle && !plan.is_relayed();
                    }
                }
                Event::SessionEnded { peer, reason } if reason.text().contains("had no link for") => {
                    let path = peer.path.as_ref().map(|path| path.as_str());
                    let other = NAMES.iter().position(|name| Some(*name) == path).expect("one of the three");
                    sessions[self.name.max(other)].causes += 1;
                }
                Event::SamplesLost { route, count, lost: LostAt::Here, .. } => {
                    if let Some(plan) = self.supplied(plans, route.path().map(|path| path.as_str())) {
                        plan.checker.life(self.life).unsent += count;
                    }
                }
                Event::SamplesUnconfirmed { route, count, .. } => {
                    if let Some(plan) = self.supplied(plans, route.path().map(|path| path.as_str())) {
                        plan.checker.life(self.life).unconfirmed += count;
                    }
                }
                Event::ThreadPanicked { text, .. } => panic!("a panic: {text}"),
                _ => {}
            }
        }
        for (sessions, ended) in sessions.iter_mut().zip(ended) {
            sessions.ends[usize::from(self.name > 0)] += u32::from(ended);
        }
    }

    fn supplied<'a>(&self, plans: &'a mut [Plan], path: Option<&str>) -> Option<&'a mut Plan> {
        let mut own = self.intents.iter().map(|(number, _)| *number);
        let number = own.find(|number| Some(plans[*number].path.as_str()) == path)?;
        plans.get_mut(number)
    }

    /// Sends what is due this turn.
    pub fn send(&self, plans: &mut [Plan], turn: u64) {
        // Each is the first in its turn, as one may fill the line.
        let (before, from) = self.intents.split_at(turn as usize % self.intents.len().max(1));
        for (number, intent) in from.iter().chain(before) {
            let plan = &mut plans[*number];
            plan.due |= turn % plan.every == 0;
            if !plan.due {
                continue;
            }
            let life = plan.checker.life(self.life);
            let (life_number, next) = (self.life, life.taken);
            let count = Count { life: life_number, number: next, load: "z".repeat(plan.load) };
            let sent = intent.try_send(count);
            plan.due = sent.is_err();
            if let Ok(outcome) = sent {
                // One that nobody takes is offered again with its number.
                life.taken += u64::from(outcome.taken() > 0);
                life.given += u64::from(outcome.taken());
                // It is told as lost to each of them.
                let passed_over = |(_, fate): &(_, Fate)| *fate == Fate::PassedOver;
                life.given += intent.outcomes().into_iter().filter(passed_over).count() as u64;
            }
        }
    }

    /// Reads what came, unless `skips` says that it has no time for a route.
    pub fn read(&self, plans: &mut [Plan], mut skips: impl FnMut() -> bool) {
        for (number, interest) in &self.interests {
            let plan = &mut plans[*number];
            if skips() || plan.asleep > 0 {
                plan.asleep = plan.asleep.saturating_sub(1);
                continue;
            }
            while let Ok(count) = interest.try_recv() {
                assert_eq!(count.load.len(), plan.load, "{}: a sample of another route", plan.path);
                plan.checker.comes(count.life, count.number);
            }
            plan.checker.check_bound();
        }
    }

    /// Whether it takes part in a route now.
    pub fn has(&self, number: usize) -> bool {
        let of_interest = self.interests.iter().any(|(other, _)| *other == number);
        of_interest || self.intents.iter().any(|(other, _)| *other == number)
    }

    /// Whether a link that this is one of carries the session with another.
    pub fn is_carried_by(&self, other: usize, links: &Links) -> bool {
        let carries = |link: &LinkStatus| {
            let is_to = link.peer.path.as_ref().is_some_and(|path| path.as_str() == NAMES[other]);
            link.state.is_up()
                && is_to
                && !matches!(links, Links::Only(begins) if !link.peer.url.starts_with(&**begins))
        };
        self.endpoint.links().iter().any(carries)
    }

    /// Whether all that it should be linked with is there, and so many links stand by.
    pub fn is_linked(&self, links: usize, standing_by: usize) -> bool {
        let states: Vec<_> = self.endpoint.links().into_iter().map(|link| link.state).collect();
        let up = states.iter().filter(|state| state.is_up()).count();
        let ready = states.iter().filter(|state| **state == LinkState::StandsBy).count();
        up == links
            && ready == standing_by
            && self.intents.iter().all(|(_, intent)| intent.interested() == 1)
            && self.interests.iter().all(|(_, interest)| interest.suppliers() == 1)
    }
}

/// The one in the middle listens in all ways, and passes on what is far; who dials in several has a link by each, the first carries.
fn builder(name: usize, manner: &Manner) -> EndpointBuilder {
    let Manner { schemes, fragment_bytes, outbox_bytes } = *manner;
    let redial = (Duration::from_millis(100), Duration::from_secs(2));
    let mut builder = Endpoint::builder(NAMES[name]).redial(redial.0, redial.1);
    if let Some(bytes) = fragment_bytes {
        builder = builder.fragment_bytes(bytes);
    }
    if let Some(bytes) = outbox_bytes {
        builder = builder.outbox_bytes(bytes);
    }
    if name == 0 {
        builder.listen("tcp://0.0.0.0:7400").listen("udp://0.0.0.0:7400").relay("far")
    } else {
        builder.connect_any(schemes.iter().map(|scheme| format!("{scheme}://robot:7400/robot")))
    }
}
