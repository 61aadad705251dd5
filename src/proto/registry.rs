//! Who supplies and who wants what: this endpoint's declarations, and where those of its peers are.
//!
//! A party is entered under its route only once it has met all that are there already, so every pair
//! meets exactly once, whatever the order. Finding the parties of a route takes O(log n).

use super::{Declaration, IntentId, InterestId, LinkId};
use crate::delivery::Delivery;
use crate::path::Path;
use crate::priority::Priority;
use crate::route::Route;
use std::collections::{BTreeMap, BTreeSet};

/// An intent of this endpoint.
#[derive(Clone, Debug)]
pub(super) struct OwnIntent {
    pub(super) declaration: Declaration,
    pub(super) exclusive: bool,
    pub(super) retained: bool,
    pub(super) priority: Priority,
}

/// An interest of this endpoint.
#[derive(Clone, Debug)]
pub(super) struct OwnInterest {
    pub(super) declaration: Declaration,
    pub(super) delivery: Delivery,
}

/// Whoever can be a side of a pair. The numbers of peers count within their link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Party {
    Intent(IntentId),
    Interest(InterestId),
    TheirIntent(LinkId, u32),
    TheirInterest(LinkId, u32),
}

/// The parties of one route.
#[derive(Debug, Default)]
pub(super) struct Parties {
    pub(super) intents: BTreeSet<IntentId>,
    pub(super) interests: BTreeSet<InterestId>,
    pub(super) their_intents: BTreeSet<(LinkId, u32)>,
    pub(super) their_interests: BTreeSet<(LinkId, u32)>,
    /// Those of `their_intents` that claim the route as their own.
    pub(super) claims: BTreeSet<(LinkId, u32)>,
}

impl Parties {
    fn any_here(&self) -> bool {
        !self.intents.is_empty() || !self.interests.is_empty()
    }

    fn any_there(&self) -> bool {
        !self.their_intents.is_empty() || !self.their_interests.is_empty()
    }
}

/// The tables of one endpoint.
#[derive(Debug, Default)]
pub(super) struct Registry {
    intents: BTreeMap<IntentId, OwnIntent>,
    interests: BTreeMap<InterestId, OwnInterest>,
    routes: BTreeMap<Route, Parties>,
    /// The plain routes under each path: those with a party here, and those with one there.
    here: BTreeMap<Path, BTreeSet<Route>>,
    there: BTreeMap<Path, BTreeSet<Route>>,
    /// Those that have not met the others yet.
    fresh: BTreeSet<Party>,
    highest_intent: Option<IntentId>,
    highest_interest: Option<InterestId>,
    none: Parties,
}

impl Registry {
    pub(super) fn declare_intent(&mut self, id: IntentId, intent: OwnIntent) {
        self.highest_intent = self.highest_intent.max(Some(id));
        self.intents.insert(id, intent);
        self.fresh.insert(Party::Intent(id));
    }

    pub(super) fn declare_interest(&mut self, id: InterestId, interest: OwnInterest) {
        self.highest_interest = self.highest_interest.max(Some(id));
        self.interests.insert(id, interest);
        self.fresh.insert(Party::Interest(id));
    }

    /// Takes an intent out; also says whether it had been settled, and so told to the peers.
    pub(super) fn withdraw_intent(&mut self, id: IntentId) -> Option<(OwnIntent, bool)> {
        let intent = self.intents.remove(&id)?;
        let settled = self.leave(Party::Intent(id), &intent.declaration.route);
        Some((intent, settled))
    }

    /// Takes an interest out; also says whether it had been settled, and so told to the peers.
    pub(super) fn withdraw_interest(&mut self, id: InterestId) -> Option<(OwnInterest, bool)> {
        let interest = self.interests.remove(&id)?;
        let settled = self.leave(Party::Interest(id), &interest.declaration.route);
        Some((interest, settled))
    }

    pub(super) fn intent(&self, id: IntentId) -> Option<&OwnIntent> {
        self.intents.get(&id)
    }

    pub(super) fn interest(&self, id: InterestId) -> Option<&OwnInterest> {
        self.interests.get(&id)
    }

    pub(super) fn intents(&self) -> impl Iterator<Item = (IntentId, &OwnIntent)> {
        self.intents.iter().map(|(id, intent)| (*id, intent))
    }

    pub(super) fn interests(&self) -> impl Iterator<Item = (InterestId, &OwnInterest)> {
        self.interests.iter().map(|(id, interest)| (*id, interest))
    }

    /// Whether there ever was such an intent. Ids are given in rising order and never again.
    pub(super) fn had_intent(&self, id: IntentId) -> bool {
        Some(id) <= self.highest_intent
    }

    /// Whether there ever was such an interest.
    pub(super) fn had_interest(&self, id: InterestId) -> bool {
        Some(id) <= self.highest_interest
    }

    /// A party that has to meet the others.
    pub(super) fn arrived(&mut self, party: Party) {
        self.fresh.insert(party);
    }

    /// The next party that has to meet the others, left where it is.
    pub(super) fn next_fresh(&self) -> Option<Party> {
        self.fresh.first().copied()
    }

    /// The intents of this endpoint that have to meet the others.
    pub(super) fn fresh_intents(&self) -> impl Iterator<Item = (IntentId, &OwnIntent)> {
        self.fresh.iter().filter_map(|party| match party {
            Party::Intent(id) => Some((*id, self.intents.get(id)?)),
            _ => None,
        })
    }

    /// The interests of this endpoint that have to meet the others.
    pub(super) fn fresh_interests(&self) -> impl Iterator<Item = (InterestId, &OwnInterest)> {
        self.fresh.iter().filter_map(|party| match party {
            Party::Interest(id) => Some((*id, self.interests.get(id)?)),
            _ => None,
        })
    }

    /// The parties of a route that have met each other.
    pub(super) fn parties(&self, route: &Route) -> &Parties {
        self.routes.get(route).unwrap_or(&self.none)
    }

    /// The routes of other types under the same path that have a party here.
    pub(super) fn other_types_here(&self, route: &Route) -> impl Iterator<Item = (&Route, &Parties)> {
        self.other_types(&self.here, route)
    }

    /// The routes of other types under the same path that have a party there.
    pub(super) fn other_types_there(&self, route: &Route) -> impl Iterator<Item = (&Route, &Parties)> {
        self.other_types(&self.there, route)
    }

    fn other_types<'a>(
        &'a self,
        index: &'a BTreeMap<Path, BTreeSet<Route>>,
        route: &Route,
    ) -> impl Iterator<Item = (&'a Route, &'a Parties)> {
        let wanted = route.clone();
        let routes = route.path().and_then(|path| index.get(path)).into_iter().flatten();
        routes.filter(move |other| **other != wanted).map(|other| (other, self.parties(other)))
    }

    /// The party has met the others and is one of them from now on.
    pub(super) fn settle(&mut self, party: Party, route: &Route, claims: bool) {
        self.fresh.remove(&party);
        let parties = self.routes.entry(route.clone()).or_default();
        let index = match party {
            Party::Intent(id) => {
                parties.intents.insert(id);
                &mut self.here
            }
            Party::Interest(id) => {
                parties.interests.insert(id);
                &mut self.here
            }
            Party::TheirIntent(link, id) => {
                parties.their_intents.insert((link, id));
                if claims {
                    parties.claims.insert((link, id));
                }
                &mut self.there
            }
            Party::TheirInterest(link, id) => {
                parties.their_interests.insert((link, id));
                &mut self.there
            }
        };
        if let Some(path) = route.path() {
            index.entry(path.clone()).or_default().insert(route.clone());
        }
    }

    /// The party is gone, and need not meet anybody.
    pub(super) fn dismiss(&mut self, party: Party) {
        self.fresh.remove(&party);
    }

    /// Takes a party out; says whether it had been settled.
    pub(super) fn leave(&mut self, party: Party, route: &Route) -> bool {
        self.fresh.remove(&party);
        let Some(parties) = self.routes.get_mut(route) else { return false };
        let found = match party {
            Party::Intent(id) => parties.intents.remove(&id),
            Party::Interest(id) => parties.interests.remove(&id),
            Party::TheirIntent(link, id) => {
                parties.claims.remove(&(link, id));
                parties.their_intents.remove(&(link, id))
            }
            Party::TheirInterest(link, id) => parties.their_interests.remove(&(link, id)),
        };
        let (here, there) = (parties.any_here(), parties.any_there());
        if !here {
            unlist(&mut self.here, route);
        }
        if !there {
            unlist(&mut self.there, route);
        }
        if !here && !there {
            self.routes.remove(route);
        }
        found
    }
}

fn unlist(index: &mut BTreeMap<Path, BTreeSet<Route>>, route: &Route) {
    let Some(path) = route.path() else { return };
    if let Some(routes) = index.get_mut(path) {
        routes.remove(route);
        if routes.is_empty() {
            index.remove(path);
        }
    }
}

/// The links that have an entry, each once.
pub(super) fn links_of(entries: &BTreeSet<(LinkId, u32)>) -> Vec<LinkId> {
    let mut links = Vec::new();
    let mut from = (LinkId(0), 0);
    while let Some((link, _)) = entries.range(from..).next() {
        links.push(*link);
        let Some(next) = link.0.checked_add(1) else { break };
        from = (LinkId(next), 0);
    }
    links
}

/// The first entry of a link.
pub(super) fn first_of(entries: &BTreeSet<(LinkId, u32)>, link: LinkId) -> Option<u32> {
    entries.range((link, 0)..=(link, u32::MAX)).next().map(|(_, id)| *id)
}
