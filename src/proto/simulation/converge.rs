//! What must hold once everything was put right and ten seconds passed.

use super::line::Who;
use super::node::Place;
use super::world::World;
use crate::event::{Event, PeerName, Refusal, Side};
use crate::proto::{Engine, LinkState, LinkView};
use crate::route::Route;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Intent's place and number, interest's place and number.
type Pair = (Place, u32, Place, u32);

impl World {
    pub(super) fn converge(&mut self) {
        let links = self.check_links();
        if self.nodes.iter().any(|node| node.relays) {
            let expected = self.expected_by_relays(&links);
            self.check_ways(&expected);
            self.check_samples(&expected);
            return self.check_peace(&links);
        }
        let expected = self.expected(&links);
        self.check_pairs(&links, &expected);
        self.check_refusals(&links);
        self.check_samples(&expected);
        self.check_peace(&links);
    }

    fn engine(&self, place: Place) -> &Engine {
        self.nodes[place].engine.as_ref().expect("a node that was healed")
    }

    /// One link is up between two nodes if one of them dials the other rightly, else none. Returns
    /// both sides' views, by place and the other's place.
    fn check_links(&self) -> BTreeMap<(Place, Place), LinkView> {
        let mut ups = BTreeMap::new();
        for place in 0..self.nodes.len() {
            for view in self.engine(place).links(self.now) {
                if view.state != LinkState::Up {
                    assert!(view.dialled || view.state == LinkState::Handshaking);
                    continue;
                }
                let (conn, side) = self.nodes[place].conns[&view.id];
                let other = match self.conns[conn].ends[1 - side].who {
                    Who::Node { place, incarnation } => {
                        assert_eq!(
                            incarnation, self.nodes[place].incarnation,
                            "{place} is up with the dead: {view:?}"
                        );
                        place
                    }
                    Who::Hostile => panic!("{place} is up with somebody hostile: {view:?}"),
                };
                assert!(self.conns[conn].ends.iter().all(|end| end.open), "half a connection: {view:?}");
                assert_eq!(view.peer.path.as_ref(), Some(&self.nodes[other].path));
                let before = ups.insert((place, other), view);
                assert!(before.is_none(), "{place} has two links with {other}");
            }
        }
        for a in 0..self.nodes.len() {
            for b in 0..self.nodes.len() {
                let dials = |from: Place, to: Place| {
                    self.nodes[from].urls.iter().any(|url| {
                        url.address() == to.to_string()
                            && url.path().is_none_or(|path| *path == self.nodes[to].path)
                    })
                };
                let wanted = a != b && (dials(a, b) || dials(b, a));
                assert_eq!(ups.contains_key(&(a, b)), wanted, "between {a} and {b}");
                if let (Some(one), Some(other)) = (ups.get(&(a, b)), ups.get(&(b, a))) {
                    assert_eq!(one.own_scope, other.own_scope, "between {a} and {b}");
                    assert_ne!(one.dialled, other.dialled);
                    assert!(one.round_trip.is_some() && one.offset.is_some());
                }
            }
        }
        ups
    }

    /// All that should be linked over links.
    fn expected(&self, links: &BTreeMap<(Place, Place), LinkView>) -> BTreeSet<Pair> {
        let mut expected = BTreeSet::new();
        for ((a, b), view) in links {
            for (intent, offers) in &self.nodes[*a].intents {
                for (interest, wants) in &self.nodes[*b].interests {
                    let (ours, theirs) = (&offers.declaration, &wants.declaration);
                    if ours.route == theirs.route
                        && ours.codec == theirs.codec
                        && ours.schema == theirs.schema
                        && self.may_supply(*a, &ours.route, view)
                    {
                        expected.insert((*a, intent.0, *b, interest.0));
                    }
                }
            }
        }
        expected
    }

    /// The same where some nodes pass on what is under `shared`.
    fn expected_by_relays(&self, links: &BTreeMap<(Place, Place), LinkView>) -> BTreeSet<Pair> {
        let shared = crate::path::Path::parse("shared").unwrap();
        let mut expected = BTreeSet::new();
        for a in 0..self.nodes.len() {
            for (intent, offers) in &self.nodes[a].intents {
                let ours = &offers.declaration;
                let (mut reached, mut next) = (BTreeSet::from([a]), vec![a]);
                while let Some(place) = next.pop() {
                    let passes = self.nodes[place].relays && ours.route.is_under(&shared);
                    for ((from, to), view) in links {
                        if *from == place
                            && (place == a || passes)
                            && self.may_supply(place, &ours.route, view)
                            && reached.insert(*to)
                        {
                            next.push(*to);
                        }
                    }
                }
                for b in reached.into_iter().filter(|b| *b != a) {
                    for (interest, wants) in &self.nodes[b].interests {
                        let theirs = &wants.declaration;
                        let fits = ours.codec == theirs.codec && ours.schema == theirs.schema;
                        if fits && ours.route == theirs.route {
                            expected.insert((a, intent.0, b, interest.0));
                        }
                    }
                }
            }
        }
        expected
    }

    /// Each pair is open by one way.
    fn check_ways(&self, expected: &BTreeSet<Pair>) {
        for (place, node) in self.nodes.iter().enumerate() {
            let mut open: Vec<_> = self
                .engine(place)
                .open_ways()
                .map(|(interest, origin, _)| {
                    let from = self
                        .nodes
                        .iter()
                        .enumerate()
                        .find(|(place, node)| node.instance(*place) == origin.instance);
                    (from.expect("an intent of somebody alive").0, origin.id, place, interest.0)
                })
                .collect();
            open.sort_unstable();
            let wanted: Vec<_> = expected.iter().filter(|pair| pair.2 == place).copied().collect();
            assert_eq!(open, wanted, "ways to {place}, `{}`", node.path);
        }
    }

    fn may_supply(&self, place: Place, route: &Route, view: &LinkView) -> bool {
        view.own_scope != Some(true) || route.is_under(&self.nodes[place].path)
    }

    fn check_pairs(&self, links: &BTreeMap<(Place, Place), LinkView>, expected: &BTreeSet<Pair>) {
        let (mut outlets, mut inlets) = (BTreeSet::new(), BTreeSet::new());
        for ((place, other), view) in links {
            for pair in self.engine(*place).pairs(view.id) {
                let fresh = match pair.supplier {
                    Side::Here => outlets.insert((*place, pair.intent, *other, pair.interest)),
                    Side::There => inlets.insert((*other, pair.intent, *place, pair.interest)),
                };
                assert!(fresh, "{place} links twice: {pair:?}");
            }
        }
        assert_eq!(&outlets, expected, "where the intents are");
        assert_eq!(&inlets, expected, "where the interests are");
        for (place, node) in self.nodes.iter().enumerate() {
            let mut local = 0;
            for offers in node.intents.values() {
                for wants in node.interests.values() {
                    let (ours, theirs) = (&offers.declaration, &wants.declaration);
                    let fit = ours.codec == theirs.codec && ours.schema == theirs.schema;
                    local += usize::from(fit && ours.route == theirs.route);
                }
            }
            assert_eq!(self.engine(place).local_pairs().count(), local, "within {place}");
            let remote =
                expected.iter().map(|pair| usize::from(pair.0 == place) + usize::from(pair.2 == place));
            assert_eq!(
                node.linked,
                (local + remote.sum::<usize>()) as i64,
                "what the application of {place} was told"
            );
        }
    }

    /// Whoever disagrees was told so, on both sides.
    fn check_refusals(&self, links: &BTreeMap<(Place, Place), LinkView>) {
        for ((a, b), view) in links {
            let (a, b) = (*a, *b);
            for (id, offers) in &self.nodes[a].intents {
                let ours = &offers.declaration;
                let allowed = self.may_supply(a, &ours.route, view);
                if !allowed {
                    assert!(
                        self.refused(a, b, &ours.route, |refusal| matches!(refusal, Refusal::NoRight(_)))
                    );
                    continue;
                }
                for wants in self.nodes[b].interests.values() {
                    let theirs = &wants.declaration;
                    if ours.route == theirs.route {
                        let codec = |refusal: &Refusal| matches!(refusal, Refusal::Codec { .. });
                        let schema = |refusal: &Refusal| matches!(refusal, Refusal::Schema(_));
                        let told: &dyn Fn(&Refusal) -> bool = match () {
                            () if ours.codec != theirs.codec => &codec,
                            () if ours.schema != theirs.schema => &schema,
                            () => continue,
                        };
                        assert!(
                            self.refused(a, b, &ours.route, told),
                            "{a} is not told of {b}: intent {id:?}"
                        );
                        assert!(
                            self.refused(b, a, &ours.route, told),
                            "{b} is not told of {a}: intent {id:?}"
                        );
                    } else if ours.route.path().is_some() && ours.route.path() == theirs.route.path() {
                        assert!(self.wrong_type(a, b, &ours.route, &theirs.route), "{a} is not told of {b}");
                        let seen = self.may_supply(a, &theirs.route, view);
                        assert!(
                            !seen || self.wrong_type(b, a, &theirs.route, &ours.route),
                            "{b} is not told of {a}"
                        );
                    }
                }
                for (other, also) in &self.nodes[b].intents {
                    let same = also.declaration.route == ours.route && (also.exclusive || offers.exclusive);
                    if same && self.may_supply(b, &ours.route, view) {
                        assert!(self.conflict(a, &ours.route), "{a} is not told of {other:?} of {b}");
                    }
                }
            }
        }
    }

    fn refused(&self, place: Place, other: Place, route: &Route, like: impl Fn(&Refusal) -> bool) -> bool {
        self.nodes[place].told.iter().any(|event| match event {
            Event::RouteRefused { route: told, peer, refusal } => {
                told == route && self.is(peer, other) && like(refusal)
            }
            _ => false,
        })
    }

    fn wrong_type(&self, place: Place, other: Place, one: &Route, another: &Route) -> bool {
        self.nodes[place].told.iter().any(|event| match event {
            Event::WrongType { ours, theirs, peer } => {
                ours == one && theirs == another && self.is(peer, other)
            }
            _ => false,
        })
    }

    fn conflict(&self, place: Place, route: &Route) -> bool {
        let told = &self.nodes[place].told;
        told.iter().any(|event| matches!(event, Event::Conflict { route: told, .. } if told == route))
    }

    fn is(&self, peer: &Option<PeerName>, place: Place) -> bool {
        peer.as_ref().and_then(|peer| peer.path.as_ref()) == Some(&self.nodes[place].path)
    }

    /// Nothing changes any more.
    fn check_peace(&mut self, links: &BTreeMap<(Place, Place), LinkView>) {
        let ups: Vec<u64> = self.nodes.iter().map(|node| node.ups).collect();
        self.run_until(self.now + Duration::from_secs(8));
        assert_eq!(ups, self.nodes.iter().map(|node| node.ups).collect::<Vec<_>>(), "links come and go");
        let after = self.check_links();
        for (pair, view) in links {
            assert_eq!(view.id, after[pair].id, "another link between {pair:?}");
        }
    }

    /// What is linked carries samples.
    fn check_samples(&mut self, expected: &BTreeSet<Pair>) {
        self.received.clear();
        for _ in 0..4 {
            self.supply();
            self.run_until(self.now + Duration::from_millis(400));
        }
        let received: BTreeSet<Pair> = self
            .received
            .keys()
            .map(|(place, interest, from, intent)| (*from, intent.0, *place, interest.0))
            .collect();
        assert_eq!(&received, expected, "pairs that carry samples");
    }
}
