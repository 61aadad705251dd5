//! What peers tell: their tables, what they linked or cannot link, and what ended.

use super::engine::Engine;
use super::registry::Party;
use super::relay::Relay;
use super::session::{Dispute, Inlet};
use super::wiring::{Verdict, compare, difference};
use super::words::{self, plain};
use super::{Action, Declaration, IntentId, InterestId, LinkId};
use crate::event::{Event, Refusal, Side};
use crate::reason::{Reason, ReasonCode};
use crate::route::Route;
use crate::schema::Schema;
use crate::wire::control::{Entry, Intent, Interest, Notify};
use crate::wire::kind::MAX_ALIAS;

impl Engine {
    pub(super) fn their_intents_changed(&mut self, link: LinkId, entries: Vec<Entry<Intent>>) {
        for entry in entries {
            let Some(session) = self.sessions.get_mut(&link) else { return };
            let (id, item) = match entry {
                Entry::Add { id, .. } if session.intents.contains_key(&id) => {
                    return self.give_up(link, words::malformed(format!("INTENTS adds number {id} twice")));
                }
                Entry::Update { id, .. } if !session.intents.contains_key(&id) => {
                    return self.give_up(
                        link,
                        words::malformed(format!("INTENTS updates number {id}, never added")),
                    );
                }
                Entry::Add { id, item } | Entry::Update { id, item } => (id, Some(item)),
                Entry::Remove { id } => (id, None),
            };
            self.forget_their_intent(link, id);
            if let Some(item) = item {
                self.add_their_intent(link, id, item);
            }
        }
    }

    pub(super) fn their_interests_changed(&mut self, link: LinkId, entries: Vec<Entry<Interest>>) {
        for entry in entries {
            let Some(session) = self.sessions.get_mut(&link) else { return };
            let (id, item) = match entry {
                Entry::Add { id, .. } if session.interests.contains_key(&id) => {
                    return self.give_up(link, words::malformed(format!("INTERESTS adds number {id} twice")));
                }
                Entry::Update { id, .. } if !session.interests.contains_key(&id) => {
                    let text = format!("INTERESTS updates number {id}, never added");
                    return self.give_up(link, words::malformed(text));
                }
                Entry::Add { id, item } | Entry::Update { id, item } => (id, Some(item)),
                Entry::Remove { id } => (id, None),
            };
            self.forget_their_interest(link, id);
            if let Some(item) = item {
                self.add_their_interest(link, id, item);
            }
        }
    }

    fn add_their_intent(&mut self, link: LinkId, id: u32, item: Intent) {
        let most = self.settings.max_routes_per_peer;
        let Some(session) = self.sessions.get_mut(&link) else { return };
        if !session.may_supply(&item.declared.route) {
            let reason = words::no_right_there(&session.path, &item.declared.route);
            return self.give_up(link, reason);
        }
        if session.intents.len() + session.interests.len() >= most {
            return self.too_many_routes(link);
        }
        let comes_back = self.came_back(&item);
        let Some(session) = self.sessions.get_mut(&link) else { return };
        session.intents.insert(id, item);
        if !comes_back {
            self.registry.arrived(Party::TheirIntent(link, id));
        }
    }

    fn add_their_interest(&mut self, link: LinkId, id: u32, mut item: Interest) {
        let most = self.settings.max_routes_per_peer;
        let Some(session) = self.sessions.get_mut(&link) else { return };
        if session.intents.len() + session.interests.len() >= most {
            return self.too_many_routes(link);
        }
        // What is not agreed does not hold.
        item.unpacks &= session.terms.packs;
        session.interests.insert(id, item);
        self.registry.arrived(Party::TheirInterest(link, id));
    }

    /// Inlets of the intent stay until their END.
    fn forget_their_intent(&mut self, link: LinkId, id: u32) {
        let Some(session) = self.sessions.get_mut(&link) else { return };
        let Some(gone) = session.intents.remove(&id) else { return };
        let instance = session.instance;
        session.warned.remove(&id);
        for interest in &self.registry.parties(&gone.declared.route).interests {
            session.disputes.remove(&Dispute { supplier: false, ours: interest.0, theirs: id });
        }
        self.registry.leave(Party::TheirIntent(link, id), &gone.declared.route);
        self.relay_intent_gone(link, instance, id, &gone);
    }

    fn forget_their_interest(&mut self, link: LinkId, id: u32) {
        let Some(session) = self.sessions.get_mut(&link) else { return };
        let Some(gone) = session.interests.remove(&id) else { return };
        let route = gone.declared.route;
        let intents: Vec<IntentId> = self.registry.parties(&route).intents.iter().copied().collect();
        for intent in &intents {
            session.disputes.remove(&Dispute { supplier: true, ours: intent.0, theirs: id });
        }
        for intent in intents {
            self.close_outlet(link, intent, id, &route);
        }
        self.registry.leave(Party::TheirInterest(link, id), &route);
        self.relay_interest_gone(link, id);
    }

    pub(super) fn notified(&mut self, link: LinkId, notify: Notify) {
        match notify {
            Notify::Linked { mine, yours, alias } | Notify::Packed { mine, yours, alias } => {
                let packed = matches!(notify, Notify::Packed { .. });
                match Relay::is_passed(yours) {
                    true => self.relay_linked(link, mine, yours, alias, packed),
                    false => self.linked(link, mine, InterestId(yours), alias, packed),
                }
            }
            Notify::Schema { yours, ref schema, .. } if Relay::is_passed(yours) => {
                match Schema::decode(schema) {
                    Ok(_) => self.pass_notice(link, notify),
                    Err(_) => self.give_up(link, words::malformed("NOTIFY schema holds no schema")),
                }
            }
            Notify::Refused { yours, .. } if Relay::is_passed(yours) => self.pass_notice(link, notify),
            Notify::Conflict { yours, text } if Relay::is_passed(yours) => {
                self.pass_conflict(link, yours, &text);
            }
            Notify::Schema { supplier, mine, yours, schema } => match Schema::decode(&schema) {
                Ok(schema) => self.not_linked(link, supplier, mine, yours, |ours, fingerprint| {
                    Refusal::Schema(difference(ours, &schema, fingerprint))
                }),
                Err(_) => self.give_up(link, words::malformed("NOTIFY schema holds no schema")),
            },
            Notify::Refused { supplier, mine, yours, text } => {
                self.not_linked(link, supplier, mine, yours, |_, _| Refusal::ByPeer(plain(&text)));
            }
            Notify::Conflict { yours, text } => {
                let intent = IntentId(yours);
                match self.registry.intent(intent).map(|own| own.declaration.route.clone()) {
                    Some(route) => self.conflict(link, intent, route, plain(&text)),
                    None if self.registry.had_intent(intent) => {}
                    None => self.never_declared(link, "intent", yours),
                }
            }
        }
    }

    /// The peer linked its intent to an interest of this endpoint.
    fn linked(&mut self, link: LinkId, theirs: u32, interest: InterestId, alias: u32, packed: bool) {
        let had_interest = self.registry.had_interest(interest);
        let Some(session) = self.sessions.get_mut(&link) else { return };
        let own = self.registry.interest(interest).map(|own| &own.declaration);
        let fault = if alias > MAX_ALIAS {
            Some(format!("NOTIFY linked assigns alias {alias}; the highest is {}", MAX_ALIAS))
        } else if session.inlets.contains_key(&alias) {
            Some(format!("NOTIFY linked assigns alias {alias}, which did not end"))
        } else if !had_interest {
            return self.never_declared(link, "interest", interest.0);
        } else if session.inlet_of.contains_key(&(interest, theirs)) {
            Some(format!("NOTIFY linked links intent {theirs} and interest {} twice", interest.0))
        } else if let (Some(own), intent) = (own, session.intents.get(&theirs)) {
            match intent {
                None => Some(format!("NOTIFY linked names intent {theirs}, which is not advertised")),
                Some(intent) if !fits(own, intent) => Some(format!(
                    "NOTIFY linked links intent {theirs} and interest {}, which differ",
                    interest.0
                )),
                Some(_) if packed && !(session.terms.packs && own.packs) => Some(format!(
                    "NOTIFY linked packs the payloads for interest {}, which does not take them so",
                    interest.0
                )),
                Some(_) => None,
            }
        } else {
            None
        };
        if let Some(text) = fault {
            return self.give_up(link, words::malformed(text));
        }
        let inlet = Inlet::new(session, theirs, interest, packed);
        session.inlets.insert(alias, inlet);
        if own.is_none() {
            // Withdrawn while this was under way: END will follow.
            self.actions.push_back(Action::DrainInlet { link, alias });
            return;
        }
        session.inlet_of.insert((interest, theirs), alias);
        self.enter_inlet(link, alias, inlet);
    }

    /// The peer says why a pair is not linked. It is believed only where this side sees the pair too,
    /// and once.
    fn not_linked(
        &mut self,
        link: LinkId,
        supplier: bool,
        theirs: u32,
        ours: u32,
        refusal: impl FnOnce(&Declaration, u64) -> Refusal,
    ) {
        // Where the peer's number is the supplier, ours is an interest.
        let (own, had) = if supplier {
            let id = InterestId(ours);
            (self.registry.interest(id).map(|own| &own.declaration), self.registry.had_interest(id))
        } else {
            let id = IntentId(ours);
            (self.registry.intent(id).map(|own| &own.declaration), self.registry.had_intent(id))
        };
        if !had {
            return self.never_declared(link, if supplier { "interest" } else { "intent" }, ours);
        }
        let Some(session) = self.sessions.get_mut(&link) else { return };
        let declared = match supplier {
            true => session.intents.get(&theirs).map(|intent| &intent.declared),
            false => session.interests.get(&theirs).map(|interest| &interest.declared),
        };
        let (Some(own), Some(declared)) = (own, declared) else { return };
        let dispute = Dispute { supplier: !supplier, ours, theirs };
        let Some(told) = session.disputes.get_mut(&dispute) else { return };
        if std::mem::replace(told, true) {
            return;
        }
        let (route, refusal) = (own.route.clone(), refusal(own, declared.fingerprint));
        self.refused(link, route, refusal);
    }

    pub(super) fn never_declared(&mut self, link: LinkId, what: &str, id: u32) {
        self.give_up(link, words::malformed(format!("NOTIFY names {what} {id}, which never was")));
    }

    /// No more samples come under the alias.
    pub(super) fn their_end(&mut self, link: LinkId, alias: u32) {
        let Some(session) = self.sessions.get_mut(&link) else { return };
        let Some(inlet) = session.inlets.remove(&alias) else {
            let text = format!("END of alias {alias}, which was not assigned");
            return self.give_up(link, Reason::new(ReasonCode::UnknownAlias, text));
        };
        session.inlet_of.remove(&(inlet.interest, inlet.intent));
        if !self.is_held(link, alias, inlet) {
            self.actions.push_back(Action::CloseInlet { link, alias });
        }
        if Relay::is_passed(inlet.interest.0) {
            return self.relay_ended(link, alias, inlet.interest.0);
        }
        let peer = self.peer_name(link);
        self.leave_inlet(link, alias, inlet, peer);
    }

    /// The interest is gone; what still comes for it is discarded until END.
    pub(super) fn drain_inlets(&mut self, link: LinkId, interest: InterestId, route: &Route) {
        let Some(session) = self.sessions.get_mut(&link) else { return };
        session.forget_disputes(false, interest.0);
        let aliases = session.drain(interest);
        let inlets = aliases.into_iter().filter_map(|alias| Some((alias, *session.inlets.get(&alias)?)));
        for (alias, inlet) in inlets.collect::<Vec<_>>() {
            self.actions.push_back(Action::DrainInlet { link, alias });
            if self.is_open(link, alias, inlet) {
                let peer = self.peer_name(link);
                self.tell(Event::RouteUnlinked { route: route.clone(), peer, supplier: Side::There });
            }
        }
    }

    /// Both of the pair are of this endpoint, and one is gone.
    pub(super) fn unlink_here(&mut self, intent: IntentId, interest: InterestId, route: &Route) {
        if self.local.remove(&(intent, interest)) {
            self.actions.push_back(Action::UnlinkLocal { intent, interest });
            self.tell(Event::RouteUnlinked { route: route.clone(), peer: None, supplier: Side::Here });
        }
    }
}

fn fits(own: &Declaration, intent: &Intent) -> bool {
    own.route == intent.declared.route && matches!(compare(own, &intent.declared), Verdict::Match)
}
