//! Passing routes on from link to link.
//!
//! ```text
//!  supplier B                  this endpoint                       reader A
//!    │ ── INTENTS x ────────────► │ way to x; offer d ── INTENTS d ──► │
//!    │                            │ ◄──────────────── INTERESTS i ──── │
//!    │ ◄── INTERESTS j, only x ── │ want j of (d, i)                   │
//!    │ ── NOTIFY linked x, j ───► │ flow ───── NOTIFY linked d, i ───► │
//!    │ ◄───────────────── CREDIT ─┼─ ◄──────────────────────── CREDIT ─│
//!    │ ── samples ────────────────┼────────────────────────────────► │
//! ```
//! An intent is known by its *origin*: the instance of the endpoint that declared it, and its number there.
//! Of several *ways* to one origin a relay *offers* one to its other peers, as an intent of its own number that
//! carries the origin and the relays it came by. Whoever finds itself among these, or as the origin, leaves it
//! alone, and is not told in the first place: an offer's way never changes while it lasts, so each is a path
//! without a circle, and so is every flow, which goes back along it.
//!
//! A *want* is one pair of an offer and an interest of a peer that was told of it. The supplier gets it as an
//! interest in that one intent; so each pair has an alias of its own on both links, and nothing is sent twice.

use super::engine::Engine;
use super::{Action, LinkId, Order};
use crate::event::{Event, Refusal};
use crate::path::Path;
use crate::proto::words;
use crate::route::Route;
use crate::wire::batches;
use crate::wire::control::{Control, Entry, Intent, Interest, Origin, Relayed};
use crate::wire::kind::MAX_HOPS;
use std::collections::{BTreeMap, BTreeSet};
use std::mem;

mod flows;

/// What a relay knows.
#[derive(Debug, Default)]
pub(super) struct Relay {
    pub(super) prefixes: Vec<Path>,
    last_id: Option<u32>,
    /// The ways to each intent under a relayed prefix, shortest first.
    ways: BTreeMap<Origin, BTreeSet<Way>>,
    offers: BTreeMap<u32, Offer>,
    offer_of: BTreeMap<Origin, u32>,
    by_route: BTreeMap<Route, BTreeSet<u32>>,
    wants: BTreeMap<u32, Want>,
    /// The want of an offer, and an interest of a reader.
    want_of: BTreeMap<(u32, LinkId, u32), u32>,
    /// The wants of a reader's interest.
    wants_of: BTreeSet<(LinkId, u32, u32)>,
    /// Offers nobody was told of.
    fresh: BTreeSet<u32>,
    /// Links that came up and were told nothing.
    pub(super) untold: BTreeSet<LinkId>,
    /// What suppliers are to be told.
    asked: BTreeMap<LinkId, Vec<Entry<Interest>>>,
    /// What readers are to be told is gone.
    retracted: BTreeMap<LinkId, Vec<Entry<Intent>>>,
}

/// Hops, and the peer's intent that it begins with.
type Way = (usize, LinkId, u32);

/// An intent of a peer, as it is passed on.
#[derive(Debug)]
struct Offer {
    origin: Origin,
    route: Route,
    from: LinkId,
    /// The number `from` gave it.
    intent: u32,
    told: BTreeSet<LinkId>,
}

/// An interest of a peer in an offer, as its supplier is told.
#[derive(Debug)]
struct Want {
    offer: u32,
    reader: LinkId,
    /// The number `reader` gave it.
    interest: u32,
    supplier: LinkId,
    /// The number `supplier` gave its intent.
    intent: u32,
    /// The aliases on the supplier's and on the reader's link.
    flow: Option<(u32, u32)>,
    /// Whether the supplier's notice was passed on, and the reader's.
    told: [bool; 2],
}

/// Numbers from here on are of what is passed on, for both intents and interests.
const FIRST_ID: u32 = 1 << 31;

impl Relay {
    pub(super) fn new(prefixes: Vec<Path>) -> Self {
        Self { prefixes, ..Self::default() }
    }

    /// Whether a number stands for something passed on.
    pub(super) fn is_passed(id: u32) -> bool {
        id >= FIRST_ID
    }

    /// Whether there ever was such a number.
    pub(super) fn had(&self, id: u32) -> bool {
        Some(id) <= self.last_id
    }

    fn covers(&self, route: &Route) -> bool {
        self.prefixes.iter().any(|prefix| route.is_under(prefix))
    }

    fn next_id(&mut self) -> u32 {
        loop {
            let id = self.last_id.map_or(FIRST_ID, |last| last.checked_add(1).unwrap_or(FIRST_ID));
            self.last_id = Some(id);
            if !self.offers.contains_key(&id) && !self.wants.contains_key(&id) {
                return id;
            }
        }
    }

    fn is_idle(&self) -> bool {
        self.fresh.is_empty() && self.untold.is_empty() && self.asked.is_empty() && self.retracted.is_empty()
    }
}

impl Engine {
    /// Who declared an intent of a peer, and how many relays lie between.
    pub(super) fn origin_of(&self, link: LinkId, id: u32) -> Option<(Origin, usize)> {
        let session = self.sessions.get(&link)?;
        let intent = session.intents.get(&id)?;
        Some(origin(session.instance, id, intent))
    }

    /// Whether an intent that came by relays came back.
    pub(super) fn came_back(&self, intent: &Intent) -> bool {
        let own = &self.settings.instance;
        let relayed = intent.relayed.as_ref();
        relayed.is_some_and(|relayed| relayed.origin.instance == *own || relayed.via.contains(own))
    }

    /// A new intent of a peer: a way more to its origin.
    pub(super) fn relay_their_intent(&mut self, link: LinkId, id: u32, route: &Route) {
        if !self.relay.covers(route) {
            return;
        }
        let Some((origin, hops)) = self.origin_of(link, id).filter(|(_, hops)| *hops < MAX_HOPS) else {
            return;
        };
        self.relay.ways.entry(origin).or_default().insert((hops, link, id));
        if !self.relay.offer_of.contains_key(&origin) {
            self.make_offer(origin);
        }
    }

    /// A new interest of a peer, against what it was offered.
    pub(super) fn relay_their_interest(&mut self, link: LinkId, id: u32, route: &Route) {
        let Some(offers) = self.relay.by_route.get(route) else { return };
        let told =
            |offer: &&u32| self.relay.offers.get(offer).is_some_and(|offer| offer.told.contains(&link));
        for offer in offers.iter().filter(told).copied().collect::<Vec<_>>() {
            self.want(offer, link, id);
        }
    }

    /// An intent of a peer is gone: another way to its origin takes over.
    pub(super) fn relay_intent_gone(&mut self, link: LinkId, instance: [u8; 16], id: u32, gone: &Intent) {
        let (origin, hops) = origin(instance, id, gone);
        let Some(ways) = self.relay.ways.get_mut(&origin) else { return };
        ways.remove(&(hops, link, id));
        if ways.is_empty() {
            self.relay.ways.remove(&origin);
        }
        let Some(offered) = self.relay.offer_of.get(&origin).copied() else { return };
        let is_it = |offer: &Offer| offer.from == link && offer.intent == id;
        if self.relay.offers.get(&offered).is_some_and(is_it) {
            self.withdraw_offer(offered);
            self.make_offer(origin);
        }
    }

    /// A link is down: what came by it and what went to it.
    pub(super) fn relay_link_down(&mut self, link: LinkId) {
        self.relay.untold.remove(&link);
        self.relay.asked.remove(&link);
        self.relay.retracted.remove(&link);
        for offer in self.relay.offers.values_mut() {
            offer.told.remove(&link);
        }
        let all = (link, 0, 0)..=(link, u32::MAX, u32::MAX);
        for (.., want) in self.relay.wants_of.range(all).copied().collect::<Vec<_>>() {
            self.drop_want(want);
        }
    }

    /// Offers the shortest way to an origin, if there is one.
    fn make_offer(&mut self, origin: Origin) {
        let ways = self.relay.ways.get(&origin).into_iter().flatten();
        let up = |link: &LinkId| self.sessions.contains_key(link);
        let Some((_, from, intent)) = ways.copied().find(|(_, link, _)| up(link)) else { return };
        let session = self.sessions.get(&from);
        let Some(item) = session.and_then(|session| session.intents.get(&intent)) else { return };
        let route = item.declared.route.clone();
        let id = self.relay.next_id();
        self.relay.by_route.entry(route.clone()).or_default().insert(id);
        self.relay.offers.insert(id, Offer { origin, route, from, intent, told: BTreeSet::new() });
        self.relay.offer_of.insert(origin, id);
        self.relay.fresh.insert(id);
    }

    fn withdraw_offer(&mut self, id: u32) {
        let all = (id, LinkId(0), 0)..=(id, LinkId(u32::MAX), u32::MAX);
        for want in self.relay.want_of.range(all).map(|(_, want)| *want).collect::<Vec<_>>() {
            self.drop_want(want);
        }
        let Some(offer) = self.relay.offers.remove(&id) else { return };
        self.relay.fresh.remove(&id);
        self.relay.offer_of.remove(&offer.origin);
        if let Some(offers) = self.relay.by_route.get_mut(&offer.route) {
            offers.remove(&id);
            if offers.is_empty() {
                self.relay.by_route.remove(&offer.route);
            }
        }
        for link in offer.told {
            if let Some(session) = self.sessions.get_mut(&link) {
                session.passed -= 1;
                self.relay.retracted.entry(link).or_default().push(Entry::Remove { id });
            }
        }
    }

    /// Tells peers what is offered, asks suppliers for what is wanted, and says what is gone.
    pub(super) fn relay(&mut self) {
        if self.relay.is_idle() {
            return;
        }
        let (untold, fresh) = (mem::take(&mut self.relay.untold), mem::take(&mut self.relay.fresh));
        for link in self.sessions.keys().copied().collect::<Vec<_>>() {
            let offers: Vec<u32> = match untold.contains(&link) {
                true => self.relay.offers.keys().copied().collect(),
                false => fresh.iter().copied().collect(),
            };
            self.offer(link, &offers);
        }
        for (link, entries) in mem::take(&mut self.relay.asked) {
            for batch in batches(entries) {
                self.send(link, Control::Interests(batch), Order::Ahead);
            }
        }
        // Behind the ENDs of what is gone.
        for (link, entries) in mem::take(&mut self.relay.retracted) {
            for batch in batches(entries) {
                self.send(link, Control::Intents(batch), Order::InLine);
            }
        }
    }

    /// Tells a peer of those offers that are for it, and looks what it wants of them.
    fn offer(&mut self, link: LinkId, offers: &[u32]) {
        let (mut entries, mut told) = (Vec::new(), Vec::new());
        for id in offers {
            if let Some(item) = self.for_peer(link, *id) {
                entries.push(Entry::Add { id: *id, item });
                told.push(*id);
            }
        }
        for batch in batches(entries) {
            self.send(link, Control::Intents(batch), Order::Ahead);
        }
        for id in told {
            let Some(offer) = self.relay.offers.get_mut(&id) else { continue };
            offer.told.insert(link);
            let theirs = &self.registry.parties(&offer.route).their_interests;
            let wanted = theirs.range((link, 0)..=(link, u32::MAX)).map(|(_, interest)| *interest);
            for interest in wanted.collect::<Vec<_>>() {
                self.want(id, link, interest);
            }
        }
    }

    /// An offer as a peer is told of it; `None` where it is not to be.
    fn for_peer(&mut self, link: LinkId, id: u32) -> Option<Intent> {
        let offer = self.relay.offers.get(&id)?;
        let session = self.sessions.get(&link)?;
        let from = self.sessions.get(&offer.from)?;
        let item = from.intents.get(&offer.intent)?;
        let mut via = Vec::new();
        if let Some(relayed) = &item.relayed {
            via.clone_from(&relayed.via);
            via.push(from.instance);
        }
        if link == offer.from || session.instance == offer.origin.instance || via.contains(&session.instance)
        {
            return None;
        }
        let own = &self.settings.path;
        let refusal = if session.terms.own_scope && !offer.route.is_under(own) {
            Refusal::NoRight(words::no_right_to_relay(own, &offer.route))
        } else if session.passed >= self.most_passed() {
            Refusal::Relay(words::too_much_to_relay(own, self.most_passed()))
        } else {
            let mut declared = item.declared.clone();
            declared.lease_millis = 0;
            let relayed = Some(Box::new(Relayed { origin: offer.origin, via }));
            let Intent { exclusive, retained, priority, .. } = *item;
            if let Some(session) = self.sessions.get_mut(&link) {
                session.passed += 1;
            }
            return Some(Intent { declared, exclusive, retained, priority, relayed });
        };
        let event = Event::RouteRefused { route: offer.route.clone(), peer: self.peer_name(link), refusal };
        self.actions.push_back(Action::Event(event));
        None
    }

    /// How much of others a peer is told at most: half of what it takes of one peer by default. So a peer
    /// that declares very much costs no relay its link to another.
    fn most_passed(&self) -> usize {
        self.settings.max_routes_per_peer / 2
    }
}

fn origin(instance: [u8; 16], id: u32, intent: &Intent) -> (Origin, usize) {
    match &intent.relayed {
        Some(relayed) => (relayed.origin, relayed.via.len() + 1),
        None => (Origin { instance, id }, 0),
    }
}
