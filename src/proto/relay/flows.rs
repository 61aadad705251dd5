//! One pair of a supplier's intent and a reader's interest: from the want to the samples, and its end.

use super::Want;
use crate::event::{Event, Refusal};
use crate::priority::Priority;
use crate::proto::engine::Engine;
use crate::proto::session::{Due, Inlet};
use crate::proto::{Action, IntentId, InterestId, LinkId, Order, words};
use crate::time::Timestamp;
use crate::wire::control::{Control, Entry, Interest, Notify};
use crate::wire::kind::MAX_ALIAS;
use std::mem;

impl Engine {
    /// A reader that was told of an offer wants it: its supplier is asked for it.
    pub(super) fn want(&mut self, offer_id: u32, reader: LinkId, interest: u32) {
        let Some(offer) = self.relay.offers.get(&offer_id) else { return };
        let Some(session) = self.sessions.get(&reader) else { return };
        let Some(theirs) = session.interests.get(&interest) else { return };
        let other = theirs.only.is_some_and(|only| only != offer_id);
        if other || self.relay.want_of.contains_key(&(offer_id, reader, interest)) {
            return;
        }
        let (supplier, intent, most) = (offer.from, offer.intent, self.most_passed());
        let Some(from) = self.sessions.get(&supplier) else { return };
        if from.passed >= most || session.wanted >= most / 2 {
            let refusal = Refusal::Relay(words::too_much_to_relay(&self.settings.path, most));
            return self.refused(reader, offer.route.clone(), refusal);
        }
        let mut declared = theirs.declared.clone();
        declared.lease_millis = 0;
        // Nothing is unpacked here: all three must know of it.
        let unpacks = theirs.unpacks && from.terms.packs;
        let item = Interest { declared, delivery: theirs.delivery, only: Some(intent), unpacks };
        let id = self.relay.next_id();
        let (flow, told) = (None, [false; 2]);
        let want = Want { offer: offer_id, reader, interest, supplier, intent, flow, told };
        self.relay.wants.insert(id, want);
        self.relay.want_of.insert((offer_id, reader, interest), id);
        self.relay.wants_of.insert((reader, interest, id));
        self.relay.asked.entry(supplier).or_default().push(Entry::Add { id, item });
        for (link, count) in [(supplier, true), (reader, false)] {
            if let Some(session) = self.sessions.get_mut(&link) {
                *(if count { &mut session.passed } else { &mut session.wanted }) += 1;
            }
        }
    }

    /// A reader's interest is gone.
    pub(in crate::proto) fn relay_interest_gone(&mut self, link: LinkId, id: u32) {
        let all = (link, id, 0)..=(link, id, u32::MAX);
        for (.., want) in self.relay.wants_of.range(all).copied().collect::<Vec<_>>() {
            self.drop_want(want);
        }
    }

    /// A want is over: the reader gets what is there and END, the supplier is asked for no more.
    pub(super) fn drop_want(&mut self, id: u32) {
        let Some(want) = self.relay.wants.remove(&id) else { return };
        self.relay.want_of.remove(&(want.offer, want.reader, want.interest));
        self.relay.wants_of.remove(&(want.reader, want.interest, id));
        if let Some(session) = self.sessions.get_mut(&want.reader) {
            session.wanted -= 1;
        }
        if let Some(session) = self.sessions.get_mut(&want.supplier) {
            session.passed -= 1;
            if let Some(alias) = session.inlet_of.remove(&(InterestId(id), want.intent)) {
                self.actions.push_back(Action::DrainInlet { link: want.supplier, alias });
            }
            self.relay.asked.entry(want.supplier).or_default().push(Entry::Remove { id });
        }
        if let Some((_, alias)) = want.flow {
            self.end_flow(&want, alias);
        }
    }

    /// The supplier linked its intent to a want.
    pub(in crate::proto) fn relay_linked(
        &mut self,
        link: LinkId,
        theirs: u32,
        id: u32,
        alias: u32,
        packed: bool,
    ) {
        if !self.relay.had(id) {
            return self.never_declared(link, "interest", id);
        }
        let Some(session) = self.sessions.get(&link) else { return };
        let inlet = Inlet::new(session, theirs, InterestId(id), packed);
        let want = self.relay.wants.get(&id).filter(|want| want.supplier == link);
        let fault = if alias > MAX_ALIAS {
            Some(format!("NOTIFY linked assigns alias {alias}; the highest is {MAX_ALIAS}"))
        } else if session.inlets.contains_key(&alias) {
            Some(format!("NOTIFY linked assigns alias {alias}, which did not end"))
        } else if want.is_some_and(|want| want.intent != theirs || !self.fits_want(want)) {
            Some(format!("NOTIFY linked links intent {theirs} and interest {id}, which differ"))
        } else if want.is_some_and(|want| want.flow.is_some()) {
            Some(format!("NOTIFY linked links intent {theirs} and interest {id} twice"))
        } else if packed && want.is_some_and(|want| !self.unpacks_want(want)) {
            Some(format!("NOTIFY linked packs the payloads for interest {id}, which does not take them so"))
        } else {
            None
        };
        if let Some(text) = fault {
            return self.give_up(link, words::malformed(text));
        }
        let place = want.map(|want| (want.reader, want.offer, want.interest));
        let Some(session) = self.sessions.get_mut(&link) else { return };
        session.inlets.insert(alias, inlet);
        let Some((reader, offer, interest)) = place else {
            // Withdrawn while this was under way: END will follow.
            self.actions.push_back(Action::DrainInlet { link, alias });
            return;
        };
        session.inlet_of.insert((InterestId(id), theirs), alias);
        if self.has_room(reader) {
            self.begin_flow(id, alias, (reader, offer, interest), packed);
        }
    }

    /// Links the reader as the supplier was linked.
    fn begin_flow(
        &mut self,
        id: u32,
        from_alias: u32,
        (reader, offer, interest): (LinkId, u32, u32),
        packed: bool,
    ) {
        let Some(session) = self.sessions.get_mut(&reader) else { return };
        let Some(delivery) = session.interests.get(&interest).map(|theirs| theirs.delivery) else { return };
        let Some(alias) = session.aliases.take() else { return self.too_many_routes(reader) };
        session.outlets.insert(alias, IntentId(offer));
        session.outlet_of.insert((IntentId(offer), interest), alias);
        let Some(want) = self.relay.wants.get_mut(&id) else { return };
        want.flow = Some((from_alias, alias));
        let (supplier, intent) = (want.supplier, want.intent);
        let theirs = self.sessions.get(&supplier);
        let theirs = theirs.and_then(|session| session.intents.get(&intent));
        let priority = theirs.map_or(Priority::Normal, |intent| intent.priority);
        let Some(route) = self.relay.offers.get(&offer).map(|offer| offer.route.clone()) else { return };
        self.actions.push_back(Action::OpenRelay {
            route: route.clone(),
            from: supplier,
            from_alias,
            to: reader,
            to_alias: alias,
            delivery,
            priority,
            packed,
        });
        let linked = Notify::linked(offer, interest, alias, packed);
        self.send(reader, Control::Notify(linked), Order::InLine);
        if let (Some(from), Some(to)) = (self.peer_name(supplier), self.peer_name(reader)) {
            self.tell(Event::RouteRelayed { route, from, to });
        }
    }

    /// Whether what the supplier has and what the reader wants are of one kind.
    fn fits_want(&self, want: &Want) -> bool {
        let session = |link| self.sessions.get(link);
        let supply = session(&want.supplier).and_then(|session| session.intents.get(&want.intent));
        let wanted = session(&want.reader).and_then(|session| session.interests.get(&want.interest));
        let (Some(supply), Some(wanted)) = (supply, wanted) else { return false };
        let (a, b) = (&supply.declared, &wanted.declared);
        a.route == b.route && a.codec == b.codec && a.fingerprint == b.fingerprint
    }

    /// Whether a want asked its supplier for packed payloads.
    fn unpacks_want(&self, want: &Want) -> bool {
        let session = |link| self.sessions.get(link);
        let wanted = session(&want.reader).and_then(|session| session.interests.get(&want.interest));
        wanted.is_some_and(|wanted| wanted.unpacks)
            && session(&want.supplier).is_some_and(|it| it.terms.packs)
    }

    /// The supplier ended a pair: the reader is told behind its last sample.
    pub(in crate::proto) fn relay_ended(&mut self, link: LinkId, from_alias: u32, id: u32) {
        let is_it = |want: &Want| want.supplier == link && want.flow.is_some_and(|flow| flow.0 == from_alias);
        if !self.relay.wants.get(&id).is_some_and(is_it) {
            return;
        }
        let Some(mut want) = self.relay.wants.remove(&id) else { return };
        if let Some((_, alias)) = want.flow.take() {
            self.end_flow(&want, alias);
        }
        self.relay.wants.insert(id, want);
    }

    /// Samples of a lossless pair found no room to wait: the pair ends, and the rest goes on.
    pub(crate) fn relay_stalled(&mut self, now: Timestamp, link: LinkId, from_alias: u32) {
        self.advance(now);
        let is_it = |want: &Want| want.supplier == link && want.flow.is_some_and(|flow| flow.0 == from_alias);
        let found = self.relay.wants.iter().find(|(_, want)| is_it(want));
        let Some((id, reader, offer)) = found.map(|(id, want)| (*id, want.reader, want.offer)) else {
            return;
        };
        if let Some(route) = self.relay.offers.get(&offer).map(|offer| offer.route.clone()) {
            let text = words::stalled_relay(&self.settings.path, &route);
            self.refused(reader, route, Refusal::Relay(text));
        }
        self.drop_want(id);
    }

    fn end_flow(&mut self, want: &Want, alias: u32) {
        let route = self.relay.offers.get(&want.offer).map(|offer| offer.route.clone());
        let names = (self.peer_name(want.supplier), self.peer_name(want.reader));
        if let (Some(route), (Some(from), Some(to))) = (route, names) {
            self.tell(Event::RelayEnded { route, from, to });
        }
        let Some(session) = self.sessions.get_mut(&want.reader) else { return };
        session.outlet_of.remove(&(IntentId(want.offer), want.interest));
        session.outlets.remove(&alias);
        session.aliases.end(alias);
        self.ended.insert(want.reader);
        self.actions.push_back(Action::CloseRelay { to: want.reader, to_alias: alias });
    }

    /// Where the samples come from that go to a link as an alias.
    #[cfg(test)]
    pub(in crate::proto) fn passed_from(&self, link: LinkId, alias: u32) -> Option<(LinkId, u32)> {
        let mut wants = self.relay.wants.values().filter(|want| want.reader == link);
        wants.find_map(|want| want.flow.filter(|flow| flow.1 == alias).map(|flow| (want.supplier, flow.0)))
    }

    /// One side of a pair tells the other why it is not linked.
    pub(in crate::proto) fn pass_notice(&mut self, link: LinkId, notify: Notify) {
        let (Notify::Schema { supplier, mine, yours, .. } | Notify::Refused { supplier, mine, yours, .. }) =
            notify
        else {
            return;
        };
        if !self.relay.had(yours) {
            return self.never_declared(link, if supplier { "interest" } else { "intent" }, yours);
        }
        let id = match supplier {
            true => Some(yours),
            false => self.relay.want_of.get(&(yours, link, mine)).copied(),
        };
        let Some((id, want)) = id.and_then(|id| Some((id, self.relay.wants.get_mut(&id)?))) else { return };
        let (to, mine, yours) = match supplier {
            true if want.supplier == link && want.intent == mine => (want.reader, want.offer, want.interest),
            false if want.reader == link => (want.supplier, id, want.intent),
            _ => return,
        };
        if mem::replace(&mut want.told[usize::from(supplier)], true) {
            return;
        }
        let passed = match notify {
            Notify::Schema { schema, .. } => Notify::Schema { supplier, mine, yours, schema },
            Notify::Refused { text, .. } => {
                let text = words::clip(&words::plain(&text));
                Notify::Refused { supplier, mine, yours, text }
            }
            other => other,
        };
        let Some(session) = self.sessions.get_mut(&to) else { return };
        if session.dues.len() < NOTICES {
            session.dues.push_back(Due::Passed(passed));
            self.dues.insert(to);
        }
    }

    /// A reader saw an offer collide with another intent.
    pub(in crate::proto) fn pass_conflict(&mut self, link: LinkId, id: u32, text: &str) {
        match self.relay.offers.get(&id).map(|offer| (offer.from, offer.intent)) {
            Some((from, intent)) => self.warn(from, intent, &words::plain(text)),
            None if self.relay.had(id) => {}
            None => self.never_declared(link, "intent", id),
        }
    }
}

/// How many notices may wait to be passed on to one peer, each up to 16 KiB; more are dropped.
const NOTICES: usize = 256;
