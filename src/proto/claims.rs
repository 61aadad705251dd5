//! Intents that claim a route as their own, and those that supply it nevertheless.
//!
//! Who claims tells the others. An endpoint that wants the route and sees several suppliers, one of
//! which claims it, tells them too: they may have no link to each other.

use super::engine::Engine;
use super::registry::{first_of, links_of};
use super::session::Due;
use super::words;
use super::{IntentId, LinkId};
use crate::event::Event;
use crate::path::Path;
use crate::route::Route;

impl Engine {
    /// A new intent of this endpoint, against all others of its route.
    pub(super) fn check_claims(&mut self, id: IntentId, route: &Route, exclusive: bool) {
        let parties = self.registry.parties(route);
        let claims_here = parties.intents.iter().any(|other| self.claims_here(*other));
        let collides_here = !parties.intents.is_empty() && (exclusive || claims_here);
        let others = if exclusive { &parties.their_intents } else { &parties.claims };
        let others: Vec<_> = others.iter().copied().collect();
        if collides_here {
            let path = &self.settings.path;
            let text = words::conflict(route, (path, exclusive), (path, claims_here));
            self.tell(Event::Conflict { route: route.clone(), peer: None, text });
        }
        for (link, other) in others {
            self.collide(link, id, other, route);
        }
    }

    /// A new intent of a peer, against all others of its route.
    pub(super) fn check_their_claim(&mut self, link: LinkId, id: u32, route: &Route, exclusive: bool) {
        let parties = self.registry.parties(route);
        let ours: Vec<_> = parties.intents.iter().copied().collect();
        let first = match exclusive {
            true => first_of(&parties.claims, link).is_none(),
            false => first_of(&parties.their_intents, link).is_none(),
        };
        let mut others = Vec::new();
        if first && !parties.interests.is_empty() {
            let against = if exclusive { &parties.their_intents } else { &parties.claims };
            let links = links_of(against).into_iter().filter(|other| *other != link);
            others.extend(links.filter_map(|other| Some((other, first_of(against, other)?))));
            // One intent by several ways does not collide with itself.
            let origin = self.origin_of(link, id).map(|(origin, _)| origin);
            others.retain(|(link, id)| self.origin_of(*link, *id).map(|(origin, _)| origin) != origin);
        }
        for own in ours {
            if exclusive || self.claims_here(own) {
                self.collide(link, own, id, route);
            }
        }
        for (other_link, other) in others {
            self.mediate(route, (link, id), (other_link, other));
        }
    }

    /// A first interest of this endpoint in a route: do its suppliers agree?
    pub(super) fn check_claims_there(&mut self, route: &Route) {
        let parties = self.registry.parties(route);
        let claims: Vec<_> = links_of(&parties.claims)
            .into_iter()
            .filter_map(|l| Some((l, first_of(&parties.claims, l)?)))
            .collect();
        let suppliers: Vec<_> = links_of(&parties.their_intents)
            .into_iter()
            .filter_map(|l| Some((l, first_of(&parties.their_intents, l)?)))
            .collect();
        let claiming = |link: LinkId| claims.iter().any(|(other, _)| *other == link);
        let mut pairs = Vec::new();
        for claim in &claims {
            for supplier in &suppliers {
                let seen = claiming(supplier.0) && supplier.0 <= claim.0;
                let origin = |(link, id): (LinkId, u32)| self.origin_of(link, id).map(|(origin, _)| origin);
                if supplier.0 != claim.0 && !seen && origin(*supplier) != origin(*claim) {
                    pairs.push((*claim, *supplier));
                }
            }
        }
        for (claim, supplier) in pairs {
            self.mediate(route, claim, supplier);
        }
    }

    fn claims_here(&self, id: IntentId) -> bool {
        self.registry.intent(id).is_some_and(|own| own.exclusive)
    }

    fn their_claim(&self, link: LinkId, id: u32) -> Option<(Path, bool)> {
        let session = self.sessions.get(&link)?;
        Some((session.path.clone(), session.intents.get(&id)?.exclusive))
    }

    /// An own intent and one of a peer collide.
    fn collide(&mut self, link: LinkId, own: IntentId, theirs: u32, route: &Route) {
        let Some((path, their_claim)) = self.their_claim(link, theirs) else { return };
        let claim = self.claims_here(own);
        let text = words::conflict(route, (&self.settings.path, claim), (&path, their_claim));
        if claim {
            self.warn(link, theirs, &text);
        }
        self.conflict(link, own, route.clone(), text);
    }

    /// Intents of two peers collide.
    fn mediate(&mut self, route: &Route, (a_link, a): (LinkId, u32), (b_link, b): (LinkId, u32)) {
        let (Some(first), Some(second)) = (self.their_claim(a_link, a), self.their_claim(b_link, b)) else {
            return;
        };
        let text = words::conflict(route, (&first.0, first.1), (&second.0, second.1));
        self.warn(a_link, a, &text);
        self.warn(b_link, b, &text);
        let claimer = if first.1 { a_link } else { b_link };
        let peer = self.peer_name(claimer);
        self.tell(Event::Conflict { route: route.clone(), peer, text });
    }

    pub(super) fn warn(&mut self, link: LinkId, theirs: u32, text: &str) {
        let Some(session) = self.sessions.get_mut(&link) else { return };
        if session.warned.insert(theirs) {
            session.dues.push_back(Due::Conflict { theirs, text: words::clip(text) });
            self.dues.insert(link);
        }
    }

    /// Tells the application, once per own intent and link.
    pub(super) fn conflict(&mut self, link: LinkId, own: IntentId, route: Route, text: String) {
        let Some(session) = self.sessions.get_mut(&link) else { return };
        if session.conflicts.insert(own) {
            let peer = self.peer_name(link);
            self.tell(Event::Conflict { route, peer, text });
        }
    }
}
