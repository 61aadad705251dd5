//! Lines: how they are made, what comes out of them, and how they end.

use super::line::{Alias, Conn, ConnId, End, Side, Sink, Who, Wire};
use super::node::{Input, Place};
use super::world::{Happening, Target, World};
use crate::proto::{Declaration, InterestId, LinkId, Order};
use crate::reason::{Reason, ReasonCode};
use crate::time::Timestamp;
use crate::wire::control::Control;
use std::time::Duration;

impl World {
    /// When what is put on a line now comes out.
    pub(super) fn arrival(&mut self, conn: ConnId) -> Timestamp {
        let delay = self.conns[conn].delay;
        self.now + Duration::from_micros(delay + self.rng.u64(0..=delay / 2))
    }

    /// Sees to it that what is on the line comes out, and what waits goes on it.
    pub(super) fn after_sending(&mut self, conn: ConnId, side: Side) {
        if let Some((at, _)) = self.conns[conn].lines[side].back() {
            let at = *at;
            self.plan_at(at, Happening::Pump { conn, side });
        }
        if !self.conns[conn].ends[side].waiting.is_empty() {
            let wait = self.millis(0..20);
            self.plan(wait, Happening::Drain { conn, side });
        }
    }

    pub(super) fn pump(&mut self, conn: ConnId, side: Side) {
        if let Some(until) = self.parted(conn) {
            let wait = (until - self.now) + self.millis(0..5);
            return self.plan(wait, Happening::Pump { conn, side });
        }
        let now = self.now;
        loop {
            match self.conns[conn].lines[side].front() {
                Some((at, _)) if *at <= now => {}
                _ => return,
            }
            let Some((_, wire)) = self.conns[conn].lines[side].pop_front() else { return };
            let end = &self.conns[conn].ends[1 - side];
            if !end.open {
                continue;
            }
            match end.who {
                Who::Node { place, incarnation } if self.nodes[place].incarnation == incarnation => {
                    self.input(place, Input::Arrived(conn, 1 - side, wire));
                }
                Who::Node { .. } => {}
                Who::Hostile => self.hostile_hears(conn, wire),
            }
        }
    }

    pub(super) fn arrived(&mut self, place: Place, conn: ConnId, side: Side, wire: Wire) {
        if !self.conns[conn].ends[side].open {
            return;
        }
        let link = self.conns[conn].ends[side].link;
        self.conns[conn].ends[side].heard = self.now;
        let honest = self.conns[conn].ends[1 - side].who != Who::Hostile;
        match wire {
            Wire::Frame(Control::Credit(credit)) => {
                self.conns[conn].ends[side].credited(&credit);
                self.grant_onward((conn, side, credit.alias), credit.limit);
            }
            Wire::Frame(frame) => self.with_engine(place, |engine, now| engine.control(now, link, frame)),
            Wire::Sample { .. } if !honest => {}
            Wire::Sample { alias, intent, number, ref declaration, from } => {
                match self.conns[conn].ends[side].sampled(alias, number) {
                    Sink::Interest(interest) => {
                        self.check_route(place, interest, declaration);
                        *self.received.entry((place, interest, from, intent)).or_default() += 1;
                    }
                    Sink::Onward((to, other, onward)) => {
                        self.conns[to].ends[other].pass(onward, (conn, side, alias), &wire);
                        self.after_sending(to, other);
                    }
                    Sink::Nobody => {}
                }
            }
            Wire::Closed => self.lost(place, conn, side, "the peer closed"),
        }
    }

    /// What was granted for an alias that samples are passed on as is granted where they come from.
    fn grant_onward(&mut self, to: Alias, limit: u64) {
        let Some((conn, side, alias)) = self.conns[to.0].ends[to.1].passed_from(to.2) else { return };
        let end = &mut self.conns[conn].ends[side];
        if let Some(credit) = end.grant(alias, to, limit).filter(|_| end.open) {
            let comes = self.arrival(conn);
            self.conns[conn].send(side, credit, Order::Ahead, comes);
            self.after_sending(conn, side);
        }
    }

    /// A sample is only ever for an interest in the route of its intent, and of its type.
    fn check_route(&self, place: Place, interest: InterestId, supplied: &Declaration) {
        let wanted =
            &self.nodes[place].declared.get(&interest.0).expect("an interest that was declared").declaration;
        assert_eq!(wanted.route, supplied.route, "a sample on the wrong route");
        assert_eq!(wanted.schema, supplied.schema, "a sample of the wrong type");
        assert_eq!(wanted.codec, supplied.codec, "a sample that is encoded otherwise");
    }

    fn lost(&mut self, place: Place, conn: ConnId, side: Side, text: &str) {
        let link = self.conns[conn].ends[side].link;
        self.conns[conn].ends[side].close();
        self.with_engine(place, |engine, now| {
            engine.link_lost(now, link, Reason::new(ReasonCode::Lost, text))
        });
    }

    /// One side closes: the other notices once the line told it.
    pub(super) fn close(&mut self, conn: ConnId, side: Side) {
        let comes = self.arrival(conn);
        self.conns[conn].put(side, Wire::Closed, comes);
        self.conns[conn].ends[side].close();
        self.after_sending(conn, side);
    }

    pub(super) fn break_end(&mut self, conn: ConnId, side: Side) {
        if !self.conns[conn].ends[side].open {
            return;
        }
        match self.conns[conn].ends[side].who {
            Who::Node { place, incarnation } => {
                if self.nodes[place].incarnation != incarnation || !self.nodes[place].is_awake() {
                    return;
                }
                self.note(20, || format!("conn {conn} breaks at {place}"));
                if self.rng.bool() {
                    // The other end is told, sooner or later.
                    let comes = self.arrival(conn);
                    self.conns[conn].put(side, Wire::Closed, comes);
                    self.after_sending(conn, side);
                }
                self.lost(place, conn, side, "the line broke");
            }
            Who::Hostile => self.close(conn, side),
        }
    }

    pub(super) fn connect(&mut self, place: Place, incarnation: u32, link: LinkId, target: Option<Target>) {
        let alive = &self.nodes[place];
        if alive.incarnation != incarnation || alive.engine.is_none() {
            return;
        }
        let target = match target {
            Some(Target::Node(to)) if self.nodes[to].engine.is_none() => None,
            Some(Target::Node(to)) if self.parted_places(place, to).is_some() => {
                let wait = self.millis(500..2000);
                return self.plan(wait, Happening::DialFails { place, incarnation, link });
            }
            target => target.filter(|target| *target != Target::Hostile || !self.healed),
        };
        let Some(target) = target else {
            return self.input(place, Input::DialFailed(link));
        };
        let (who, to) = match target {
            Target::Node(to) => (Who::Node { place: to, incarnation: self.nodes[to].incarnation }, Some(to)),
            Target::Hostile => (Who::Hostile, None),
        };
        let conn = self.conns.len();
        let ends = [
            End::new(Who::Node { place, incarnation }, link, self.now),
            End::new(who, LinkId(u32::MAX), self.now),
        ];
        let delay = self.rng.u64(100..30_000);
        self.conns.push(Conn::new(ends, delay));
        if let Some(to) = to {
            self.input(to, Input::Accepted(conn));
        }
        self.input(place, Input::Dialled(link, conn));
    }

    pub(super) fn thaw(&mut self, place: Place) {
        if !self.nodes[place].frozen || self.nodes[place].engine.is_none() {
            return;
        }
        self.note(21, || format!("{place} thaws"));
        self.nodes[place].frozen = false;
        // Threads wake in any order: the timers may run before the readers.
        if self.rng.bool() {
            self.tick(place);
        }
        for input in std::mem::take(&mut self.nodes[place].inbox) {
            self.input(place, input);
        }
    }

    /// The process ends: the other ends of its connections notice, or not.
    pub(super) fn crash(&mut self, place: Place) {
        self.note(22, || format!("{place} crashes"));
        let incarnation = self.nodes[place].incarnation;
        self.nodes[place].crash();
        for conn in 0..self.conns.len() {
            for side in 0..2 {
                let end = &self.conns[conn].ends[side];
                if end.open && end.who == (Who::Node { place, incarnation }) {
                    if self.rng.u8(0..5) > 0 {
                        self.close(conn, side);
                    } else {
                        self.conns[conn].ends[side].close();
                    }
                }
            }
        }
    }

    pub(super) fn parted(&self, conn: ConnId) -> Option<Timestamp> {
        let place = |side: Side| match self.conns[conn].ends[side].who {
            Who::Node { place, .. } => Some(place),
            Who::Hostile => None,
        };
        self.parted_places(place(0)?, place(1)?)
    }

    pub(super) fn parted_places(&self, a: Place, b: Place) -> Option<Timestamp> {
        self.partitions.get(&(a.min(b), a.max(b))).copied().filter(|until| *until > self.now)
    }
}
