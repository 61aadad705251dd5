//! What a driver does for its engine: actions on simulated lines.

use super::line::{End, Who, Wire};
use super::node::Place;
use super::world::{Happening, Target, World};
use crate::event::Event;
use crate::proto::{Action, Engine, LinkId, Order};
use crate::reason::ReasonCode;
use crate::wire::control::Control;

impl World {
    /// Does what a node's engine wants done.
    pub(super) fn act(&mut self, place: Place) {
        while let Some(action) = self.nodes[place].engine.as_mut().and_then(Engine::poll) {
            self.note(3 + place as u64, || format!("{place} -> {action:?}"));
            match action {
                Action::Dial { link, url, .. } => {
                    let incarnation = self.nodes[place].incarnation;
                    let target = url.address().parse().ok().map(Target::Node);
                    let target = target.or((url.address() == "hostile").then_some(Target::Hostile));
                    let wait = self.millis(0..30);
                    self.plan(wait, Happening::Dial { place, incarnation, link, target });
                }
                Action::Send { link, frame, order } => self.send(place, link, frame, order),
                Action::HangUp { link, bye } => {
                    let Some((conn, side)) = self.nodes[place].conns.remove(&link) else { continue };
                    if let (Some(bye), Who::Node { .. }) = (&bye, self.conns[conn].ends[1 - side].who) {
                        assert!(is_honest(bye.code), "{place} finds fault with an honest peer: {bye:?}");
                    }
                    if let Some(bye) = bye.filter(|_| self.rng.u8(0..5) > 0) {
                        let comes = self.arrival(conn);
                        self.conns[conn].put(side, Wire::Frame(Control::Bye(bye)), comes);
                    }
                    self.close(conn, side);
                }
                Action::OpenOutlet { link, intent, alias, .. } => {
                    let declared =
                        self.nodes[place].declared.get(&intent.0).expect("an intent that was declared");
                    let declaration = declared.declaration.clone();
                    self.end(place, link, |end| end.open_outlet(alias, intent, declaration));
                }
                Action::CloseOutlet { link, intent, alias } => {
                    self.end(place, link, |end| end.close_outlet(alias, intent));
                    self.wants_drain(place, link);
                }
                Action::OpenInlet { link, interest, alias, .. } => {
                    if let Some(credit) = self.end(place, link, |end| end.open_inlet(alias, interest)) {
                        self.send(place, link, credit, Order::Ahead);
                    }
                }
                Action::DrainInlet { link, alias } => {
                    self.end(place, link, |end| end.drain_inlet(alias));
                }
                Action::CloseInlet { link, alias } => {
                    self.end(place, link, |end| end.close_inlet(alias));
                }
                Action::Event(event) => self.told(place, event),
                Action::OpenRelay { from, from_alias, to, to_alias, .. } => {
                    let (source, target) = (self.nodes[place].conns[&from], self.nodes[place].conns[&to]);
                    self.end(place, to, |end| end.open_pass(to_alias, (source.0, source.1, from_alias)));
                    self.end(place, from, |end| end.open_relay(from_alias, (target.0, target.1, to_alias)));
                }
                Action::CloseRelay { to, to_alias } => {
                    self.end(place, to, |end| end.close_pass(to_alias));
                    self.wants_drain(place, to);
                }
                Action::LetGo { .. } | Action::StandBy { .. } | Action::HandOver { .. } => {
                    panic!("sessions end with their links here")
                }
                Action::Up { .. }
                | Action::Watch { .. }
                | Action::Look { .. }
                | Action::Clock { .. }
                | Action::LinkLocal { .. }
                | Action::UnlinkLocal { .. } => {}
            }
        }
    }

    fn told(&mut self, place: Place, event: Event) {
        let node = &mut self.nodes[place];
        match &event {
            Event::RouteLinked { .. } => node.linked += 1,
            Event::RouteUnlinked { .. } => node.linked -= 1,
            Event::LinkUp { .. } => node.ups += 1,
            Event::LinkDown { .. } | Event::LinkDialling { .. } | Event::LinkHandshaking { .. } => {}
            _ if node.told.len() < 100_000 => node.told.push(event),
            _ => {}
        }
    }

    /// Changes what the driver holds for a connection; nothing where it is closed already.
    fn end<T>(&mut self, place: Place, link: LinkId, act: impl FnOnce(&mut End) -> T) -> Option<T> {
        let (conn, side) =
            *self.nodes[place].conns.get(&link).expect("an action for a link that has a connection");
        let end = &mut self.conns[conn].ends[side];
        end.open.then(|| act(end))
    }

    pub(super) fn send(&mut self, place: Place, link: LinkId, frame: Control, order: Order) {
        let (conn, side) =
            *self.nodes[place].conns.get(&link).expect("a frame for a link that has a connection");
        let comes = self.arrival(conn);
        self.conns[conn].send(side, frame, order, comes);
        self.after_sending(conn, side);
    }

    fn wants_drain(&mut self, place: Place, link: LinkId) {
        if let Some((conn, side)) = self.nodes[place].conns.get(&link).copied() {
            self.after_sending(conn, side);
        }
    }
}

/// Whether one honest peer may say so to another.
fn is_honest(code: ReasonCode) -> bool {
    use ReasonCode::{Closing, Duplicate, HandshakeTimeout, Silent, WrongIdentity};
    [Closing, Duplicate, HandshakeTimeout, Silent, WrongIdentity].contains(&code)
}
