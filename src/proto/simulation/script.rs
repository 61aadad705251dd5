//! What befalls the nodes: the layout at the start, and one random thing after another.

use super::line::{Conn, End, Who};
use super::node::{Declared, Node, Place, declaration, path};
use super::world::{Happening, World};
use crate::delivery::Delivery;
use crate::peer::{PeerUrl, Scope};
use crate::proto::{IntentId, InterestId, LinkId, Order};
use std::sync::Arc;
use std::time::Duration;

impl World {
    /// Who there is, and who dials whom: one side, the other, both, or one side twice.
    pub(super) fn lay_out(&mut self, nodes: usize) {
        for place in 0..nodes {
            let scope = if self.rng.u8(0..8) == 0 { Scope::Own } else { Scope::Open };
            self.nodes.push(Node::new(path(place), scope));
        }
        if self.rng.u8(0..3) == 0 {
            for place in 0..nodes {
                self.nodes[place].relays = self.rng.u8(0..3) > 0;
            }
        }
        for a in 0..nodes {
            for b in a + 1..nodes {
                let kind = self.rng.u8(if nodes == 2 { 0..6 } else { 0..8 });
                let dials: &[(Place, Place)] = match kind {
                    0 | 1 => &[(a, b)],
                    2 => &[(b, a)],
                    3 | 4 => &[(a, b), (b, a)],
                    5 => &[(b, a), (b, a), (a, b)],
                    _ => &[],
                };
                for (from, to) in dials {
                    self.dials(*from, *to);
                }
            }
        }
        if self.rng.u8(0..8) == 0 {
            let place = self.rng.usize(0..nodes);
            self.nodes[place].urls.push(Arc::new(PeerUrl::parse("sim://hostile/*").unwrap()));
        }
        for place in 0..nodes {
            let wait = if self.rng.bool() { Duration::ZERO } else { self.millis(0..200) };
            self.plan(wait, Happening::Restart { place });
        }
    }

    fn dials(&mut self, from: Place, to: Place) {
        let expected = match self.rng.u8(0..20) {
            0 => "somebody.else",
            1..10 => "*",
            _ => path(to),
        };
        let scope = if self.rng.u8(0..12) == 0 { "?scope=own" } else { "" };
        let url = format!("sim://{to}/{expected}{scope}");
        self.nodes[from].urls.push(Arc::new(PeerUrl::parse(&url).unwrap()));
    }

    /// A while of things going wrong.
    pub(super) fn live(&mut self) {
        self.plan(Duration::from_millis(1), Happening::Step);
        let span = self.millis(3000..12_000);
        self.run_until(self.now + span);
    }

    /// Everything is put right, and ten seconds pass.
    pub(super) fn heal(&mut self) {
        self.note(30, || "all is healed".to_owned());
        self.healed = true;
        self.partitions.clear();
        for place in 0..self.nodes.len() {
            self.thaw(place);
            self.start(place);
        }
        for conn in 0..self.conns.len() {
            for side in 0..2 {
                let end = &self.conns[conn].ends[side];
                if end.open && end.who == Who::Hostile {
                    self.close(conn, side);
                }
                self.after_sending(conn, side);
            }
        }
        self.run_until(self.now + Duration::from_secs(10));
    }

    /// One thing, and the plan for the next.
    pub(super) fn step(&mut self) {
        if self.healed {
            return;
        }
        let next = self.millis(1..60);
        self.plan(next, Happening::Step);
        let place = self.rng.usize(0..self.nodes.len());
        match self.rng.u8(0..100) {
            0..20 => self.declare_one(place),
            20..30 => self.withdraw_one(place),
            30..36 => self.replace_one(place),
            36..82 => self.supply(),
            82..84 => self.partition(),
            84..86 => self.freeze(place),
            86 => self.stop(place),
            87..89 => self.hostile_dials(place),
            _ => self.hostile_speaks(),
        }
    }

    pub(super) fn declare_some(&mut self, place: Place) {
        for _ in 0..self.rng.usize(0..8) {
            self.declare_one(place);
        }
    }

    fn declare_one(&mut self, place: Place) {
        if !self.nodes[place].is_awake()
            || self.nodes[place].intents.len() + self.nodes[place].interests.len() > 12
        {
            return;
        }
        let route = self.routes[self.rng.usize(0..self.routes.len())].clone();
        let version = if self.rng.u8(0..8) == 0 { 2 } else { 1 };
        let codec = if self.rng.u8(0..25) == 0 { "json" } else { "bincode2" };
        let delivery = [Delivery::Latest, Delivery::Queue(8), Delivery::Lossless(4)][self.rng.usize(0..3)];
        let exclusive = self.rng.u8(0..6) == 0;
        let declared = Declared { declaration: declaration(route, version, codec), exclusive };
        let supplies = self.rng.bool();
        self.declare(place, supplies, declared, delivery);
    }

    fn withdraw_one(&mut self, place: Place) {
        if !self.nodes[place].is_awake() {
            return;
        }
        let intents: Vec<IntentId> = self.nodes[place].intents.keys().copied().collect();
        let interests: Vec<InterestId> = self.nodes[place].interests.keys().copied().collect();
        if self.rng.bool() {
            let Some(id) = self.rng.choice(intents) else { return };
            self.note(31, || format!("{place} withdraws {id:?}"));
            self.nodes[place].intents.remove(&id);
            self.with_engine(place, |engine, now| engine.withdraw_intent(now, id));
        } else {
            let Some(id) = self.rng.choice(interests) else { return };
            self.note(32, || format!("{place} withdraws {id:?}"));
            self.nodes[place].interests.remove(&id);
            self.with_engine(place, |engine, now| engine.withdraw_interest(now, id));
        }
    }

    /// An intent is replaced by one of the same route, while samples and credit are under way.
    fn replace_one(&mut self, place: Place) {
        if !self.nodes[place].is_awake() {
            return;
        }
        let intents: Vec<IntentId> = self.nodes[place].intents.keys().copied().collect();
        let Some(id) = self.rng.choice(intents) else { return };
        self.note(38, || format!("{place} replaces {id:?}"));
        if let Some(declared) = self.nodes[place].intents.remove(&id) {
            self.with_engine(place, |engine, now| engine.withdraw_intent(now, id));
            self.declare(place, true, declared, Delivery::Latest);
        }
    }

    /// All applications take what came, and all intents that may send do.
    pub(super) fn supply(&mut self) {
        for conn in 0..self.conns.len() {
            for side in 0..2 {
                let end = &mut self.conns[conn].ends[side];
                let Who::Node { place, incarnation } = end.who else { continue };
                if !end.open || !self.nodes[place].is_awake() || self.nodes[place].incarnation != incarnation
                {
                    continue;
                }
                let taken = if self.healed || self.rng.bool() { end.take() } else { Vec::new() };
                let supplied = end.supply(place, self.rng.u64(1..10)) > 0;
                if !taken.is_empty() || supplied {
                    self.note(33, || format!("{place} supplies and takes on conn {conn}"));
                    let comes = self.arrival(conn);
                    for credit in taken {
                        self.conns[conn].send(side, credit, Order::Ahead, comes);
                    }
                    self.after_sending(conn, side);
                }
            }
        }
    }

    /// Two nodes do not reach each other for a while; connections may break, at each end on its own.
    fn partition(&mut self) {
        let nodes = self.nodes.len();
        let (a, b) = (self.rng.usize(0..nodes), self.rng.usize(0..nodes));
        if a == b {
            return;
        }
        let longest = if self.rng.bool() { 300 } else { 6000 };
        let span = self.millis(10..longest);
        self.note(34, || format!("{a} and {b} are parted for {span:?}"));
        self.partitions.insert((a.min(b), a.max(b)), self.now + span);
        self.plan(span, Happening::PartitionEnds);
        for conn in 0..self.conns.len() {
            let at = |side: usize| match self.conns[conn].ends[side].who {
                Who::Node { place, .. } => Some(place),
                Who::Hostile => None,
            };
            let (from, to) = (at(0), at(1));
            if [(Some(a), Some(b)), (Some(b), Some(a))].contains(&(from, to)) {
                for side in 0..2 {
                    if self.conns[conn].ends[side].open && self.rng.u8(0..3) == 0 {
                        let wait = self.millis(0..6000);
                        self.plan(wait, Happening::Break { conn, side });
                    }
                }
            }
        }
    }

    fn freeze(&mut self, place: Place) {
        if !self.nodes[place].is_awake() {
            return;
        }
        let longest = if self.rng.bool() { 500 } else { 7000 };
        let span = self.millis(10..longest);
        self.note(35, || format!("{place} freezes for {span:?}"));
        self.nodes[place].frozen = true;
        let incarnation = self.nodes[place].incarnation;
        self.plan(span, Happening::Thaw { place, incarnation });
    }

    /// A node crashes, or closes in an orderly way, and comes back.
    fn stop(&mut self, place: Place) {
        if self.nodes[place].is_awake() && self.rng.bool() {
            self.note(36, || format!("{place} closes"));
            self.with_engine(place, |engine, now| engine.close(now));
        }
        if self.nodes[place].engine.is_some() {
            self.crash(place);
            let wait = self.millis(10..3000);
            self.plan(wait, Happening::Restart { place });
        }
    }

    fn hostile_dials(&mut self, place: Place) {
        if self.nodes[place].engine.is_none() {
            return;
        }
        let conn = self.conns.len();
        let who = Who::Node { place, incarnation: self.nodes[place].incarnation };
        let ends = [End::new(Who::Hostile, LinkId(0), self.now), End::new(who, LinkId(u32::MAX), self.now)];
        self.conns.push(Conn::new(ends, 1000));
        self.note(37, || format!("somebody hostile dials {place}: conn {conn}"));
        self.input(place, super::node::Input::Accepted(conn));
        self.hostile_greets(conn, 0);
    }
}
