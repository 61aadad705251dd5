//! What happens when an intent and an interest meet.
//!
//! ```text
//!  intent's side                                        interest's side
//!    │ ◄─────────── INTERESTS add ─────────────────────── │
//!    │ ── INTENTS add ──────────────────────────────────► │
//!  same route, codec and fingerprint:                     │
//!    │ ── NOTIFY linked: alias ─────────────────────────► │  inlet opens
//!    │ ◄─────────── CREDIT ─────────────────────────────── │
//!    │ ── samples ──────────────────────────────────────► │
//!  same route, other codec:       both see it in the tables, and tell their application
//!  same route, other fingerprint: NOTIFY schema both ways; each compares, and tells its application
//!  same path, other type:         both see it in the tables, and tell their application
//!  same intent linked by another way: no CREDIT until that one ends
//!    │ ── END: intent or interest withdrawn ────────────► │  inlet closes
//! ```

use super::engine::Engine;
use super::registry::{Party, first_of, links_of};
use super::session::{Dispute, Due};
use super::words;
use super::{Action, Declaration, IntentId, InterestId, LinkId, Order};
use crate::event::{Event, PeerName, Refusal, Side};
use crate::route::Route;
use crate::wire::control::{Control, Declared, Notify};

/// How two declarations of one route compare.
pub(super) enum Verdict {
    Match,
    Codec { ours: String, theirs: String },
    Schema,
}

/// Compares a declaration of this endpoint with one of a peer.
pub(super) fn compare(ours: &Declaration, theirs: &Declared) -> Verdict {
    if ours.codec != theirs.codec {
        Verdict::Codec { ours: ours.codec.to_owned(), theirs: words::plain(&theirs.codec) }
    } else if ours.schema.fingerprint() != theirs.fingerprint {
        Verdict::Schema
    } else {
        Verdict::Match
    }
}

impl Engine {
    /// Tells peers what is new here, lets everybody new meet the others, and tells peers what is gone.
    /// This order holds on the line: a NOTIFY linked comes after the INTENTS that add, and before those
    /// that remove.
    pub(super) fn flush(&mut self) {
        if self.closed {
            return;
        }
        self.advertise();
        while let Some(party) = self.registry.next_fresh() {
            self.meet(party);
        }
        self.relay();
        self.explain_faults();
        self.follow_ends();
        self.retract();
    }

    fn meet(&mut self, party: Party) {
        let entry = match party {
            Party::Intent(id) => {
                self.registry.intent(id).map(|own| (own.declaration.route.clone(), own.exclusive))
            }
            Party::Interest(id) => {
                self.registry.interest(id).map(|own| (own.declaration.route.clone(), false))
            }
            Party::TheirIntent(link, id) => self.sessions.get(&link).and_then(|session| {
                session.intents.get(&id).map(|intent| (intent.declared.route.clone(), intent.exclusive))
            }),
            Party::TheirInterest(link, id) => self.sessions.get(&link).and_then(|session| {
                session.interests.get(&id).map(|interest| (interest.declared.route.clone(), false))
            }),
        };
        let Some((route, exclusive)) = entry else { return self.registry.dismiss(party) };
        match party {
            Party::Intent(id) => self.meet_intent(id, &route, exclusive),
            Party::Interest(id) => self.meet_interest(id, &route),
            Party::TheirIntent(link, id) => self.meet_their_intent(link, id, &route, exclusive),
            Party::TheirInterest(link, id) => self.meet_their_interest(link, id, &route),
        }
        let gone = match party {
            Party::TheirIntent(link, _) | Party::TheirInterest(link, _) => !self.sessions.contains_key(&link),
            Party::Intent(_) | Party::Interest(_) => false,
        };
        if gone {
            return self.registry.dismiss(party);
        }
        self.registry.settle(party, &route, exclusive);
    }

    fn meet_intent(&mut self, id: IntentId, route: &Route, exclusive: bool) {
        let parties = self.registry.parties(route);
        let first = parties.intents.is_empty();
        let interests: Vec<_> = parties.interests.iter().copied().collect();
        let their_interests: Vec<_> = parties.their_interests.iter().copied().collect();
        for interest in interests {
            self.meet_here(id, interest);
        }
        for (link, interest) in their_interests {
            self.meet_outgoing(link, id, interest);
        }
        self.check_claims(id, route, exclusive);
        if first {
            let mut others = Vec::new();
            for (other, parties) in self.registry.other_types_here(route) {
                if !parties.interests.is_empty() {
                    others.push((other.clone(), None));
                }
            }
            for (other, parties) in self.registry.other_types_there(route) {
                let links = links_of(&parties.their_interests);
                others.extend(links.into_iter().map(|link| (other.clone(), Some(link))));
            }
            self.wrong_types(route, others);
        }
    }

    fn meet_interest(&mut self, id: InterestId, route: &Route) {
        let parties = self.registry.parties(route);
        let first = parties.interests.is_empty();
        let intents: Vec<_> = parties.intents.iter().copied().collect();
        let their_intents: Vec<_> = parties.their_intents.iter().copied().collect();
        for intent in intents {
            self.meet_here(intent, id);
        }
        for (link, intent) in their_intents {
            self.meet_incoming(link, intent, id);
        }
        if first {
            self.check_claims_there(route);
            let mut others = Vec::new();
            for (other, parties) in self.registry.other_types_here(route) {
                if !parties.intents.is_empty() {
                    others.push((other.clone(), None));
                }
            }
            for (other, parties) in self.registry.other_types_there(route) {
                let links = links_of(&parties.their_intents);
                others.extend(links.into_iter().map(|link| (other.clone(), Some(link))));
            }
            self.wrong_types(route, others);
        }
    }

    fn meet_their_intent(&mut self, link: LinkId, id: u32, route: &Route, exclusive: bool) {
        let parties = self.registry.parties(route);
        let first = first_of(&parties.their_intents, link).is_none();
        let interests: Vec<_> = parties.interests.iter().copied().collect();
        for interest in interests {
            self.meet_incoming(link, id, interest);
        }
        self.relay_their_intent(link, id, route);
        self.check_their_claim(link, id, route, exclusive);
        if first {
            let others = self.registry.other_types_here(route);
            let wanted: Vec<_> = others
                .filter(|(_, parties)| !parties.interests.is_empty())
                .map(|(other, _)| other.clone())
                .collect();
            for ours in wanted {
                self.wrong_type(ours, route.clone(), Some(link));
            }
        }
    }

    fn meet_their_interest(&mut self, link: LinkId, id: u32, route: &Route) {
        let parties = self.registry.parties(route);
        let intents: Vec<_> = parties.intents.iter().copied().collect();
        let session = self.sessions.get(&link);
        let only = session.and_then(|session| session.interests.get(&id)).and_then(|theirs| theirs.only);
        let first = only.is_none() && first_of(&parties.their_interests, link).is_none();
        for intent in intents {
            self.meet_outgoing(link, intent, id);
        }
        self.relay_their_interest(link, id, route);
        if first {
            let others = self.registry.other_types_here(route);
            let supplied: Vec<_> = others
                .filter(|(_, parties)| !parties.intents.is_empty())
                .map(|(other, _)| other.clone())
                .collect();
            for ours in supplied {
                self.wrong_type(ours, route.clone(), Some(link));
            }
        }
    }

    /// Both in this endpoint.
    fn meet_here(&mut self, intent: IntentId, interest: InterestId) {
        let (Some(supply), Some(want)) = (self.registry.intent(intent), self.registry.interest(interest))
        else {
            return;
        };
        let (ours, theirs) = (&supply.declaration, &want.declaration);
        let route = ours.route.clone();
        let refusal = if ours.codec != theirs.codec {
            Some(Refusal::Codec { ours: ours.codec.to_owned(), theirs: theirs.codec.to_owned() })
        } else if ours.schema.fingerprint() != theirs.schema.fingerprint() {
            Some(Refusal::Schema(difference(ours, &theirs.schema, theirs.schema.fingerprint())))
        } else {
            None
        };
        match refusal {
            Some(refusal) => self.tell(Event::RouteRefused { route, peer: None, refusal }),
            None => {
                self.local.insert((intent, interest));
                self.actions.push_back(Action::LinkLocal { intent, interest });
                self.tell(Event::RouteLinked { route, peer: None, supplier: Side::Here });
            }
        }
    }

    /// An intent of this endpoint and an interest of a peer: this side links.
    fn meet_outgoing(&mut self, link: LinkId, intent: IntentId, interest: u32) {
        let Some(session) = self.sessions.get(&link) else { return };
        let (Some(own), Some(theirs)) = (self.registry.intent(intent), session.interests.get(&interest))
        else {
            return;
        };
        if theirs.only.is_some_and(|only| only != intent.0) {
            return;
        }
        let route = own.declaration.route.clone();
        if session.terms.own_scope && !route.is_under(&self.settings.path) {
            return;
        }
        match compare(&own.declaration, &theirs.declared) {
            Verdict::Match => self.open_outlet(link, intent, interest, route),
            Verdict::Codec { ours, theirs } => self.refused(link, route, Refusal::Codec { ours, theirs }),
            Verdict::Schema => {
                self.dispute(link, Dispute { supplier: true, ours: intent.0, theirs: interest });
            }
        }
    }

    /// An intent of a peer and an interest of this endpoint: the peer links, unless they differ.
    fn meet_incoming(&mut self, link: LinkId, intent: u32, interest: InterestId) {
        let Some(session) = self.sessions.get(&link) else { return };
        let (Some(theirs), Some(own)) = (session.intents.get(&intent), self.registry.interest(interest))
        else {
            return;
        };
        match compare(&own.declaration, &theirs.declared) {
            Verdict::Match => {}
            Verdict::Codec { ours, theirs } => {
                let route = own.declaration.route.clone();
                self.refused(link, route, Refusal::Codec { ours, theirs });
            }
            Verdict::Schema => {
                self.dispute(link, Dispute { supplier: false, ours: interest.0, theirs: intent });
            }
        }
    }

    fn open_outlet(&mut self, link: LinkId, intent: IntentId, interest: u32, route: Route) {
        if !self.has_room(link) {
            return;
        }
        let Some(session) = self.sessions.get_mut(&link) else { return };
        let Some(theirs) = session.interests.get(&interest) else { return };
        let own = self.registry.intent(intent);
        let packed = theirs.unpacks && session.terms.packs && own.is_some_and(|own| own.declaration.packs);
        let delivery = theirs.delivery;
        let Some(alias) = session.aliases.take() else {
            return self.too_many_routes(link);
        };
        session.outlets.insert(alias, intent);
        session.outlet_of.insert((intent, interest), alias);
        // The outlet first: the credit that answers the notice may come before the next action is done.
        self.actions.push_back(Action::OpenOutlet { link, intent, alias, delivery, packed });
        let linked = Notify::linked(intent.0, interest, alias, packed);
        self.send(link, Control::Notify(linked), Order::InLine);
        let peer = self.peer_name(link);
        self.tell(Event::RouteLinked { route, peer, supplier: Side::Here });
    }

    /// Ends what was linked by `open_outlet`, if it was.
    pub(super) fn close_outlet(&mut self, link: LinkId, intent: IntentId, interest: u32, route: &Route) {
        let Some(session) = self.sessions.get_mut(&link) else { return };
        let Some(alias) = session.outlet_of.remove(&(intent, interest)) else { return };
        session.outlets.remove(&alias);
        session.aliases.end(alias);
        self.ended.insert(link);
        self.actions.push_back(Action::CloseOutlet { link, intent, alias });
        let peer = self.peer_name(link);
        self.tell(Event::RouteUnlinked { route: route.clone(), peer, supplier: Side::Here });
    }

    fn dispute(&mut self, link: LinkId, dispute: Dispute) {
        if !self.has_room(link) {
            return;
        }
        let Some(session) = self.sessions.get_mut(&link) else { return };
        if session.disputes.insert(dispute, false).is_none() {
            session.dues.push_back(Due::Schema(dispute));
            self.dues.insert(link);
        }
    }

    /// Whether one pair more is within the limit of a link; hangs up where not.
    pub(super) fn has_room(&mut self, link: LinkId) -> bool {
        let session = self.sessions.get(&link);
        let room = session.is_some_and(|session| session.pairs() < self.settings.max_routes_per_peer);
        if session.is_some() && !room {
            self.too_many_routes(link);
        }
        room
    }

    pub(super) fn too_many_routes(&mut self, link: LinkId) {
        let reason = words::too_many_routes(&self.settings.path, self.settings.max_routes_per_peer);
        self.give_up(link, reason);
    }

    pub(super) fn refused(&mut self, link: LinkId, route: Route, refusal: Refusal) {
        let peer = self.peer_name(link);
        self.tell(Event::RouteRefused { route, peer, refusal });
    }

    fn wrong_types(&mut self, ours: &Route, others: Vec<(Route, Option<LinkId>)>) {
        for (theirs, link) in others {
            self.wrong_type(ours.clone(), theirs, link);
        }
    }

    fn wrong_type(&mut self, ours: Route, theirs: Route, link: Option<LinkId>) {
        let peer = link.and_then(|link| self.peer_name(link));
        self.tell(Event::WrongType { ours, theirs, peer });
    }

    pub(super) fn peer_name(&self, link: LinkId) -> Option<PeerName> {
        self.sessions.get(&link).map(|session| PeerName::clone(&session.peer))
    }
}

/// Where a schema of this endpoint and another differ, in words.
pub(super) fn difference(ours: &Declaration, theirs: &crate::schema::Schema, fingerprint: u64) -> String {
    let difference = ours.schema.difference(theirs);
    difference.unwrap_or_else(|| words::schema_unnamed(ours.schema.fingerprint(), fingerprint))
}
