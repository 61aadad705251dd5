//! Several ways to one intent: a peer itself and relays, or several relays.
//!
//! An interest takes samples of each intent by one way only. Pairs that come by another are *held*: the peer
//! was not granted any credit, so nothing is sent there. When the open way ends, the shortest of those takes
//! over. A way that works is not given up for a shorter one, since samples under way would be lost.

use super::engine::Engine;
use super::session::Inlet;
use super::{Action, InterestId, LinkId, Packing};
use crate::event::{Event, PeerName, Side};
use crate::wire::control::Origin;
use std::collections::BTreeSet;

/// How the samples of one intent come to one interest.
#[derive(Debug)]
pub(super) struct Ways {
    open: (LinkId, u32),
    /// Hops, link and alias of the others.
    held: BTreeSet<(usize, LinkId, u32)>,
}

impl Engine {
    /// A pair was linked by a peer: opened, or held while another way is open.
    pub(super) fn enter_inlet(&mut self, link: LinkId, alias: u32, inlet: Inlet) {
        use std::collections::btree_map::Entry;
        match self.ways.entry((inlet.interest, inlet.origin)) {
            Entry::Occupied(mut ways) => {
                ways.get_mut().held.insert((inlet.hops, link, alias));
            }
            Entry::Vacant(place) => {
                place.insert(Ways { open: (link, alias), held: BTreeSet::new() });
                self.open_inlet(link, inlet.interest, alias);
            }
        }
    }

    /// An inlet is gone: the next way is opened if it was the open one.
    pub(super) fn leave_inlet(&mut self, link: LinkId, alias: u32, inlet: Inlet, peer: Option<PeerName>) {
        let key = (inlet.interest, inlet.origin);
        let Some(ways) = self.ways.get_mut(&key) else { return };
        if ways.open != (link, alias) {
            ways.held.remove(&(inlet.hops, link, alias));
            return;
        }
        if let Some(own) = self.registry.interest(inlet.interest) {
            let route = own.declaration.route.clone();
            self.actions.push_back(Action::Event(Event::RouteUnlinked {
                route,
                peer,
                supplier: Side::There,
            }));
        }
        match ways.held.pop_first() {
            Some((_, link, alias)) => {
                ways.open = (link, alias);
                self.open_inlet(link, inlet.interest, alias);
            }
            None => {
                self.ways.remove(&key);
            }
        }
    }

    /// Whether the samples of an inlet are taken.
    pub(super) fn is_open(&self, link: LinkId, alias: u32, inlet: Inlet) -> bool {
        self.ways.get(&(inlet.interest, inlet.origin)).is_some_and(|ways| ways.open == (link, alias))
    }

    /// Whether an inlet waits for another way to end.
    pub(super) fn is_held(&self, link: LinkId, alias: u32, inlet: Inlet) -> bool {
        let ways = self.ways.get(&(inlet.interest, inlet.origin));
        ways.is_some_and(|ways| ways.held.contains(&(inlet.hops, link, alias)))
    }

    /// The interest is gone, and with it all ways.
    pub(super) fn forget_ways(&mut self, interest: InterestId) {
        let (least, most) = ([0; 16], [u8::MAX; 16]);
        let from = (interest, Origin { instance: least, id: 0 });
        let to = (interest, Origin { instance: most, id: u32::MAX });
        for key in self.ways.range(from..=to).map(|(key, _)| *key).collect::<Vec<_>>() {
            self.ways.remove(&key);
        }
    }

    /// By which link and alias each intent comes to each interest.
    #[cfg(test)]
    pub(super) fn open_ways(&self) -> impl Iterator<Item = (InterestId, Origin, (LinkId, u32))> {
        self.ways.iter().map(|((interest, origin), ways)| (*interest, *origin, ways.open))
    }

    fn open_inlet(&mut self, link: LinkId, interest: InterestId, alias: u32) {
        let session = self.sessions.get(&link);
        let packing = match session.and_then(|session| session.inlets.get(&alias)) {
            Some(inlet) if inlet.packed && inlet.hops > 0 => Packing::Relayed,
            Some(inlet) if inlet.packed => Packing::Packed,
            _ => Packing::Plain,
        };
        self.actions.push_back(Action::OpenInlet { link, interest, alias, packing });
        let Some(own) = self.registry.interest(interest) else { return };
        let route = own.declaration.route.clone();
        let peer = self.peer_name(link);
        self.tell(Event::RouteLinked { route, peer, supplier: Side::There });
    }
}
