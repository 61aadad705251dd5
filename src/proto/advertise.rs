//! What peers are told: tables and their changes, faults, and what ended.

use super::carriage::Carriage;
use super::engine::Engine;
use super::registry::{OwnIntent, OwnInterest};
use super::session::{Dispute, Due, Session};
use super::words;
use super::{Action, Declaration, IntentId, InterestId, LinkId, Order};
use crate::event::{Event, PeerName, Refusal};
use crate::route::Route;
use crate::wire::control::{Control, Declared, Entry, Intent, Interest, Notify, Ping};
use crate::wire::kind::MAX_SCHEMA;
use crate::wire::{Advertised, batches};
use std::mem;

impl Engine {
    /// Whole tables to links that came up, what is new to the others.
    pub(super) fn advertise(&mut self) {
        let untold = mem::take(&mut self.untold);
        let intents: Vec<_> = self.registry.fresh_intents().collect();
        let interests: Vec<_> = self.registry.fresh_interests().collect();
        if untold.is_empty() && intents.is_empty() && interests.is_empty() {
            return;
        }
        let own = &self.settings.path;
        for (id, session) in &mut self.sessions {
            let (mut offers, mut wants) = (Vec::new(), Vec::new());
            let Session { terms, not_advertised, peer, path, .. } = session;
            let may_supply = |route: &Route| terms.may_supply(path, route);
            let mut offer = |intent: IntentId, supply: &OwnIntent| {
                let route = &supply.declaration.route;
                if !terms.own_scope || route.is_under(own) {
                    offers.push(intent_entry(intent, supply));
                } else if not_advertised.insert(intent) {
                    self.actions.push_back(Action::Event(Event::RouteRefused {
                        route: route.clone(),
                        peer: Some(PeerName::clone(peer)),
                        refusal: Refusal::NoRight(words::no_right_here(own, route)),
                    }));
                }
            };
            let mut want = |interest: InterestId, own: &OwnInterest| {
                if may_supply(&own.declaration.route) {
                    wants.push(interest_entry(interest, own, terms.packs));
                }
            };
            if untold.contains(id) {
                self.registry.intents().for_each(|(id, own)| offer(id, own));
                self.registry.interests().for_each(|(id, own)| want(id, own));
            } else {
                intents.iter().for_each(|(id, own)| offer(*id, own));
                interests.iter().for_each(|(id, own)| want(*id, own));
            }
            self.actions.extend(frames(*id, offers, Control::Intents, Order::Ahead));
            self.actions.extend(frames(*id, wants, Control::Interests, Order::Ahead));
        }
    }

    /// Removals, behind the samples and ENDs of what is removed.
    pub(super) fn retract(&mut self) {
        let intents = mem::take(&mut self.withdrawn_intents);
        let interests = mem::take(&mut self.withdrawn_interests);
        if intents.is_empty() && interests.is_empty() {
            return;
        }
        let own = &self.settings.path;
        for (id, session) in &self.sessions {
            let offers = intents.iter().filter(|(_, route)| !session.terms.own_scope || route.is_under(own));
            let offers = offers.map(|(intent, _)| Entry::Remove { id: intent.0 }).collect();
            let wants = interests.iter().filter(|(_, route)| session.may_supply(route));
            let wants = wants.map(|(interest, _)| Entry::Remove { id: interest.0 }).collect();
            self.actions.extend(frames(*id, offers, Control::Intents, Order::InLine));
            self.actions.extend(frames(*id, wants, Control::Interests, Order::Ahead));
        }
    }

    /// An own intent is gone: whoever was linked to it, and then everybody, is told.
    pub(super) fn retire_intent(&mut self, id: IntentId) {
        let Some((own, settled)) = self.registry.withdraw_intent(id) else { return };
        let route = own.declaration.route;
        let interests: Vec<_> = self.registry.parties(&route).interests.iter().copied().collect();
        for interest in interests {
            self.unlink_here(id, interest, &route);
        }
        for link in self.links.values_mut() {
            link.not_advertised.remove(&id);
        }
        for link in self.sessions.keys().copied().collect::<Vec<_>>() {
            let Some(session) = self.sessions.get_mut(&link) else { continue };
            session.not_advertised.remove(&id);
            session.conflicts.remove(&id);
            session.forget_disputes(true, id.0);
            for interest in session.outlets_of(id) {
                self.close_outlet(link, id, interest, &route);
            }
        }
        if settled {
            self.withdrawn_intents.push((id, route));
        }
    }

    /// An own interest is gone.
    pub(super) fn retire_interest(&mut self, id: InterestId) {
        let Some((own, settled)) = self.registry.withdraw_interest(id) else { return };
        let route = own.declaration.route;
        let intents: Vec<_> = self.registry.parties(&route).intents.iter().copied().collect();
        for intent in intents {
            self.unlink_here(intent, id, &route);
        }
        for link in self.sessions.keys().copied().collect::<Vec<_>>() {
            self.drain_inlets(link, id, &route);
        }
        self.forget_ways(id);
        if settled {
            self.withdrawn_interests.push((id, route));
        }
    }

    /// Explains as many faults as the links' allowances permit; the rest follows with later pings.
    pub(super) fn explain_faults(&mut self) {
        for id in mem::take(&mut self.dues) {
            while let Some(session) = self.sessions.get_mut(&id) {
                if session.allowance == 0 {
                    break;
                }
                let Some(due) = session.dues.pop_front() else { break };
                let Some((notify, cost)) = self.due_notice(id, due) else { continue };
                if let Some(session) = self.sessions.get_mut(&id) {
                    session.allowance = session.allowance.saturating_sub(cost);
                }
                self.send(id, Control::Notify(notify), Order::Ahead);
            }
        }
    }

    /// The frame that explains a fault and about how many bytes it has; `None` where the fault is gone.
    fn due_notice(&self, link: LinkId, due: Due) -> Option<(Notify, usize)> {
        let session = self.sessions.get(&link)?;
        match due {
            Due::Conflict { theirs, text } => {
                session.intents.get(&theirs)?;
                let cost = text.len() + 16;
                Some((Notify::Conflict { yours: theirs, text }, cost))
            }
            Due::Passed(notify) => {
                let cost = match &notify {
                    Notify::Schema { schema, .. } => schema.len() + 16,
                    _ => 256,
                };
                Some((notify, cost))
            }
            Due::Schema(dispute) => {
                session.disputes.get(&dispute)?;
                let Dispute { supplier, ours: mine, theirs: yours } = dispute;
                let declaration = match supplier {
                    true => &self.registry.intent(IntentId(mine))?.declaration,
                    false => &self.registry.interest(InterestId(mine))?.declaration,
                };
                let schema = declaration.schema.encode();
                let cost = schema.len() + 16;
                if schema.len() <= MAX_SCHEMA {
                    return Some((Notify::Schema { supplier, mine, yours, schema }, cost));
                }
                let text = words::schema_not_sent(&declaration.route, declaration.schema.fingerprint());
                Some((Notify::Refused { supplier, mine, yours, text: words::clip(&text) }, 256))
            }
        }
    }

    /// Behind the ENDs of each link goes a ping; its pong frees their aliases.
    pub(super) fn follow_ends(&mut self) {
        for id in mem::take(&mut self.ended) {
            let now = self.now;
            let Some(session) = self.sessions.get_mut(&id) else { continue };
            let Carriage::By(link) = session.carriage else { continue };
            if let Some(link) = self.links.get_mut(&link).filter(|_| session.aliases.wants_ping()) {
                let stamp = link.pulse.pings.stamp(now);
                session.aliases.pinged(stamp);
                self.send(id, Control::Ping(Ping { sent: stamp }), Order::InLine);
            }
        }
    }
}

fn intent_entry(id: IntentId, own: &OwnIntent) -> Entry<Intent> {
    let declared = declared(&own.declaration);
    Entry::Add {
        id: id.0,
        item: Intent {
            declared,
            exclusive: own.exclusive,
            retained: own.retained,
            priority: own.priority,
            relayed: None,
        },
    }
}

/// `packs` is whether the peer knows of packed payloads.
fn interest_entry(id: InterestId, own: &OwnInterest, packs: bool) -> Entry<Interest> {
    let unpacks = packs && own.declaration.packs;
    let declared = declared(&own.declaration);
    Entry::Add { id: id.0, item: Interest { declared, delivery: own.delivery, only: None, unpacks } }
}

fn declared(declaration: &Declaration) -> Declared {
    Declared {
        route: declaration.route.clone(),
        fingerprint: declaration.schema.fingerprint(),
        codec: declaration.codec.to_owned(),
        lease_millis: 0,
    }
}

fn frames<T: Advertised>(
    link: LinkId,
    entries: Vec<Entry<T>>,
    frame: fn(Vec<Entry<T>>) -> Control,
    order: Order,
) -> impl Iterator<Item = Action> {
    batches(entries).into_iter().map(move |batch| Action::Send { link, frame: frame(batch), order })
}
