//! The programs of the scene: what they supply and want, and what they do each turn.

use crate::checker::Checker;
use crate::handles::{Count, Inlet, Outlet};
use crate::plans::{Manner, Pair, Plan, Reader, Scenery, Supplier};
use bowline::testing::World;
use bowline::{
    Delivery, Endpoint, EndpointBuilder, Event, InterestCounts, LinkState, LinkStatus, Links, LostAt,
    PeerName, Side,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Which program: the first is in the middle.
pub const NAMES: [&str; 5] = ["robot", "desk", "arm", "hand", "eye"];

/// One life of a program.
pub struct Program {
    name: usize,
    life: u32,
    intents: Vec<(usize, Outlet)>,
    /// By their route, and which reader of it each is.
    inlets: Vec<([usize; 2], Inlet)>,
    pub endpoint: Endpoint,
}

impl Program {
    pub fn start(world: &World, name: usize, life: u32, scenery: &mut Scenery) -> Self {
        let endpoint = world.start(builder(name, scenery)).expect("starts");
        let mut program = Self { name, life, intents: Vec::new(), inlets: Vec::new(), endpoint };
        program.declare_all(&mut scenery.plans);
        program
    }

    /// Declares its parts in all routes, as far as it has not.
    pub fn declare_all(&mut self, plans: &mut [Plan]) {
        for (number, plan) in plans.iter_mut().enumerate() {
            if plan.supplier(self.name).is_some() && !self.supplies(number) {
                self.supply(number, plan);
            }
            for reader in 0..plan.readers.len() {
                if plan.readers[reader].to == self.name && !self.reads([number, reader]) {
                    self.want([number, reader], plan);
                }
            }
        }
    }

    /// Whether it supplies a route now.
    pub fn supplies(&self, number: usize) -> bool {
        self.intents.iter().any(|(other, _)| *other == number)
    }

    pub fn supply(&mut self, number: usize, plan: &mut Plan) {
        plan.lives += 1;
        let life = plan.lives;
        let supplier = plan.supplier(self.name).expect("it is to supply it");
        plan.suppliers[supplier].life = life;
        plan.checkers().for_each(|checker| checker.begins(life));
        self.intents.push((number, Outlet::new(&self.endpoint, plan)));
    }

    pub fn supply_no_more(&mut self, number: usize) {
        self.intents.retain(|(other, _)| *other != number);
    }

    /// Whether it is a reader of a route now.
    pub fn reads(&self, reader: [usize; 2]) -> bool {
        self.inlets.iter().any(|(other, _)| *other == reader)
    }

    pub fn want(&mut self, reader: [usize; 2], plan: &Plan) {
        self.inlets.push((reader, Inlet::new(&self.endpoint, plan, &plan.readers[reader[1]])));
    }

    pub fn want_no_more(&mut self, reader: [usize; 2]) {
        self.inlets.retain(|(other, _)| *other != reader);
    }

    /// What its events say of its samples, and of the sessions with others.
    pub fn hear(&self, plans: &mut [Plan], pairs: &mut [Pair], told: bool) {
        let mut ended = BTreeSet::new();
        while let Some(event) = self.endpoint.events().try_recv() {
            if told {
                println!("    {} {}: {event:?}", self.endpoint.path(), self.life);
            }
            match &event {
                // A session that outlives its link keeps its routes linked, and nothing may be lost.
                Event::RouteUnlinked { route, supplier, peer } => {
                    let path = route.path().map(|path| path.as_str());
                    if let Some(plan) = plans.iter_mut().find(|plan| Some(plan.path.as_str()) == path) {
                        self.unlinked(plan, *supplier, peer.as_ref(), &mut ended);
                    }
                }
                // What went past one that was cut off is told.
                Event::InterestReturned { route, supplier: Side::There, .. } => {
                    let path = route.path().map(|path| path.as_str());
                    let own = |reader: &&mut Reader| reader.to == self.name;
                    if let Some(plan) = plans.iter_mut().find(|plan| Some(plan.path.as_str()) == path) {
                        plan.readers
                            .iter_mut()
                            .filter(own)
                            .for_each(|reader| reader.checker.session_ended(true));
                    }
                }
                Event::SessionEnded { peer, reason } if reason.text().contains("had no link for") => {
                    let other = program_of(peer).expect("one of these");
                    Pair::of(pairs, self.name, other).expect("a session").causes += 1;
                }
                Event::SessionResumed { peer, .. } => {
                    let other = program_of(peer).expect("one of these");
                    Pair::of(pairs, self.name, other).expect("a session").moves += 1;
                }
                Event::SamplesLost { route, count, lost: LostAt::Here, .. } => {
                    let supplied = self.supplied(plans, route.path().map(|path| path.as_str()));
                    supplied.for_each(|(life, checker)| checker.life(life).unsent += count);
                }
                Event::SamplesUnconfirmed { route, count, .. } => {
                    let supplied = self.supplied(plans, route.path().map(|path| path.as_str()));
                    supplied.for_each(|(life, checker)| checker.life(life).unconfirmed += count);
                }
                Event::ThreadPanicked { text, .. } => panic!("a panic: {text}"),
                Event::CallbackPanicked { text, .. } => panic!("a panic in a callback: {text}"),
                _ => {}
            }
        }
        for other in ended {
            let pair = Pair::of(pairs, self.name, other).expect("a session");
            pair.ended[usize::from(pair.ends[1] == self.name)] += 1;
        }
    }

    /// A pair of an intent and an interest came apart. Of several readers in one program it is not told which of them it is.
    fn unlinked(
        &self,
        plan: &mut Plan,
        supplier: Side,
        peer: Option<&PeerName>,
        ended: &mut BTreeSet<usize>,
    ) {
        let here = supplier == Side::There || peer.is_none();
        let other = peer.and_then(program_of).filter(|_| !plan.far);
        for reader in &mut plan.readers {
            let to = if here { Some(self.name) } else { other };
            if to.is_none_or(|to| to == reader.to) {
                reader.checker.session_ended(here);
            }
        }
        ended.extend(other.filter(|_| !plan.fickle));
    }

    fn supplied<'a>(
        &self,
        plans: &'a mut [Plan],
        path: Option<&str>,
    ) -> impl Iterator<Item = (u32, &'a mut Checker)> {
        let mut own = self.intents.iter().map(|(number, _)| *number);
        let number = own.find(|number| Some(plans[*number].path.as_str()) == path);
        let supplied = number.and_then(|number| {
            let plan = &mut plans[number];
            let life = plan.suppliers[plan.supplier(self.name)?].life;
            Some(plan.checkers().map(move |checker| (life, checker)))
        });
        supplied.into_iter().flatten()
    }

    /// Sends what is due this turn.
    pub fn send(&self, plans: &mut [Plan], turn: u64) {
        // Each is the first in its turn, as one may fill the line.
        let (before, from) = self.intents.split_at(turn as usize % self.intents.len().max(1));
        for (number, intent) in from.iter().chain(before) {
            let plan = &mut plans[*number];
            let supplier = plan.supplier(self.name).expect("it supplies it");
            if turn % plan.every == 0 {
                plan.suppliers[supplier].due = plan.burst;
            }
            while plan.suppliers[supplier].due > 0 {
                let sent = send_some(intent, plan, supplier);
                plan.suppliers[supplier].due -= sent;
                if sent == 0 {
                    break;
                }
            }
        }
    }

    /// Reads what came, unless `skips` says that it has no time for a route.
    pub fn read(&self, plans: &mut [Plan], turn: u64, mut skips: impl FnMut() -> bool) {
        for ([number, reader], inlet) in &self.inlets {
            let plan = &mut plans[*number];
            let reader = &mut plan.readers[*reader];
            if skips() || reader.asleep > 0 {
                reader.asleep = reader.asleep.saturating_sub(1);
                continue;
            }
            for count in inlet.take(turn % 2 == 0) {
                assert_eq!(count.load.len(), plan.load, "{}: a sample of another route", plan.path);
                reader.checker.comes(count.life, count.number);
            }
            reader.checker.check_bound();
        }
    }

    /// Reads what it was called for: that was taken, and comes by no other session.
    pub fn read_called(&self, plans: &mut [Plan]) {
        for ([number, reader], inlet) in &self.inlets {
            let checker = &mut plans[*number].readers[*reader].checker;
            if inlet.is_called() {
                inlet.take(false).into_iter().for_each(|count| checker.comes(count.life, count.number));
            }
        }
    }

    /// What each reader here counted.
    pub fn counts(&self) -> impl Iterator<Item = ([usize; 2], InterestCounts)> {
        self.inlets.iter().map(|(reader, inlet)| (*reader, inlet.counts()))
    }

    /// What a reader that begins now gets: its number, and of which intent it is.
    pub fn late(&self, world: &World, plan: &Plan) -> BTreeMap<u32, u64> {
        let reader = Reader::new(self.name, Delivery::Queue(9), &plan.path);
        let late = Inlet::new(&self.endpoint, plan, &reader);
        world.run_for(Duration::from_secs(3));
        late.take(true).into_iter().map(|count| (count.life, count.number)).collect()
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

    /// Whether all that it should be linked with is there, and a link of each pair carries, the others stand by.
    pub fn is_linked(&self, pairs: &[Pair], plans: &[Plan]) -> bool {
        let own = pairs.iter().filter(|pair| pair.ends.contains(&self.name));
        let [links, standing_by] =
            own.fold([0, 0], |[links, standing_by], pair| [links + 1, standing_by + pair.schemes.len() - 1]);
        let states: Vec<_> = self.endpoint.links().into_iter().map(|link| link.state).collect();
        let up = states.iter().filter(|state| state.is_up()).count();
        let ready = states.iter().filter(|state| **state == LinkState::StandsBy).count();
        up == links
            && ready == standing_by
            && self.intents.iter().all(|(number, intent)| intent.interested() == plans[*number].readers.len())
            && self
                .inlets
                .iter()
                .all(|([number, _], inlet)| inlet.suppliers() == plans[*number].suppliers.len())
    }
}

/// Sends one sample that is due, or several where they are raw; how many, as far as there was room.
fn send_some(intent: &Outlet, plan: &mut Plan, supplier: usize) -> u64 {
    let Supplier { life, due, .. } = plan.suppliers[supplier];
    let next = plan.readers[0].checker.life(life).taken;
    let most = if plan.raw { due.min(64) } else { 1 };
    let count = |number| Count { life, number, load: "z".repeat(plan.load) };
    let (sent, outcome) = intent.send((next..next + most).map(count).collect());
    let taken = outcome.map_or(1, |outcome| u64::from(outcome.taken()));
    // It is told as lost to each that it passed.
    let passed_over = if outcome.is_some() { intent.passed_over() } else { 0 };
    // One that nobody takes is offered again with its number, unless it is kept for latecomers.
    let is_gone = taken > 0 || plan.retains;
    for checker in plan.checkers() {
        if is_gone {
            checker.life(life).taken += sent;
        } else if passed_over > 0 && sent > 1 {
            // Some of them may have been taken before it was cut off.
            checker.life(life).taken += sent;
            checker.session_ended(true);
        }
        checker.life(life).given += (taken + passed_over) * sent;
    }
    sent
}

fn program_of(peer: &PeerName) -> Option<usize> {
    let path = peer.path.as_ref()?;
    NAMES.iter().position(|name| *name == path.as_str())
}

/// Who is dialled listens in all ways; who has several peers passes on what is far; who dials in several ways has a link by each,
/// the first carries.
fn builder(name: usize, scenery: &Scenery) -> EndpointBuilder {
    let Manner { fragment_bytes, outbox_bytes } = scenery.manners[name];
    let redial = (Duration::from_millis(100), Duration::from_secs(2));
    let mut builder = Endpoint::builder(NAMES[name]).redial(redial.0, redial.1);
    if let Some(bytes) = fragment_bytes {
        builder = builder.fragment_bytes(bytes);
    }
    if let Some(bytes) = outbox_bytes {
        builder = builder.outbox_bytes(bytes);
    }
    let own = || scenery.pairs.iter().filter(|pair| pair.ends.contains(&name));
    if own().any(|pair| pair.ends[1] == name) {
        builder =
            builder.listen(format!("tcp://0.0.0.0:740{name}")).listen(format!("udp://0.0.0.0:740{name}"));
    }
    if own().count() > 1 {
        builder = builder.relay("far");
    }
    own().filter(|pair| pair.ends[0] == name).fold(builder, |builder, pair| {
        let (port, other) = (7400 + pair.ends[1], NAMES[pair.ends[1]]);
        builder.connect_any(pair.schemes.iter().map(|scheme| format!("{scheme}://{other}:{port}/{other}")))
    })
}
