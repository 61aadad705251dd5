//! Peers that say anything at all, in valid frames.

use super::line::{ConnId, Side, Who, Wire};
use super::node::path;
use super::world::World;
use crate::delivery::Delivery;
use crate::path::Path;
use crate::priority::Priority;
use crate::reason::ReasonCode;
use crate::time::Timestamp;
use crate::wire::control::{
    Accept, Bye, Control, Credit, Declared, Entry, Hello, Intent, Interest, Notify, Ping, Pong,
};

impl World {
    /// A connection with somebody hostile, who mostly knows how to shake hands.
    pub(super) fn hostile_greets(&mut self, conn: ConnId, side: Side) {
        if self.rng.u8(0..5) > 0 {
            let hello = Control::Hello(self.any_hello(true));
            self.say(conn, side, hello);
        }
    }

    /// Something reached somebody hostile.
    pub(super) fn hostile_hears(&mut self, conn: ConnId, wire: Wire) {
        let side = usize::from(self.conns[conn].ends[1].who == Who::Hostile);
        match wire {
            Wire::Closed => self.conns[conn].ends[side].close(),
            Wire::Frame(Control::Hello(_)) if side == 1 => {
                self.hostile_greets(conn, side);
                let accept = Accept { version: 1, capabilities: 0, session: self.rng.u64(0..3) };
                self.say(conn, side, Control::Accept(accept));
            }
            Wire::Frame(Control::Accept(accept)) if side == 0 => {
                self.say(conn, side, Control::Accept(accept))
            }
            Wire::Frame(Control::Ping(ping)) if self.rng.bool() => {
                let pong = Pong { echo: ping.sent, received: self.any_time(), sent: self.any_time() };
                self.say(conn, side, Control::Pong(pong));
            }
            _ => {}
        }
    }

    /// Each of them says something.
    pub(super) fn hostile_speaks(&mut self) {
        for conn in 0..self.conns.len() {
            for side in 0..2 {
                let end = &self.conns[conn].ends[side];
                if end.open && end.who == Who::Hostile {
                    for _ in 0..self.rng.usize(0..4) {
                        let frame = self.any_frame();
                        self.say(conn, side, frame);
                    }
                    if self.rng.u8(0..30) == 0 {
                        self.close(conn, side);
                    }
                }
            }
        }
    }

    fn say(&mut self, conn: ConnId, side: Side, frame: Control) {
        let comes = self.arrival(conn);
        self.conns[conn].put(side, Wire::Frame(frame), comes);
        self.after_sending(conn, side);
    }

    fn any_hello(&mut self, plausible: bool) -> Hello {
        let place = self.rng.usize(0..self.nodes.len());
        let mut instance = [0; 16];
        self.rng.fill(&mut instance);
        if self.rng.u8(0..8) == 0 {
            instance = self.nodes[place].instance(place);
        }
        let versions = if plausible { (1, 1) } else { (self.rng.u8(..), self.rng.u8(..)) };
        Hello {
            version_min: versions.0,
            version_max: versions.1,
            capabilities: self.rng.u32(..),
            instance,
            session: self.rng.u64(..),
            scope_own: self.rng.u8(0..6) == 0,
            joins: self.rng.u8(0..6) == 0,
            max_frame: self.rng.u32(..),
            ping_millis: self.rng.u32(..),
            clock: self.any_time(),
            path: self.any_path(),
            expected: if plausible { None } else { Some(self.any_path()) },
        }
    }

    fn any_frame(&mut self) -> Control {
        match self.rng.u8(0..37) {
            0 => Control::Hello(self.any_hello(false)),
            1 => Control::Accept(Accept { version: 1, capabilities: 0, session: self.rng.u64(0..2) }),
            2 => Control::Bye(Bye { code: ReasonCode::Internal, text: "whatever".to_owned() }),
            3 | 4 => Control::Ping(Ping { sent: self.any_time() }),
            5 => {
                let (echo, received, sent) = (self.any_time(), self.any_time(), self.any_time());
                Control::Pong(Pong { echo, received, sent })
            }
            6..14 => Control::Intents((0..self.rng.usize(0..5)).map(|_| self.any_intent()).collect()),
            14..22 => Control::Interests((0..self.rng.usize(0..5)).map(|_| self.any_interest()).collect()),
            22..31 => Control::Notify(self.any_notify()),
            31 => Control::Time(self.any_time()),
            32 => Control::Gap { alias: self.any_id(), count: self.rng.u64(..) },
            35 => Control::Lost { alias: self.any_id(), count: self.rng.u64(..) },
            33 => Control::End { alias: self.any_id() },
            34 => {
                let credit = Credit { alias: self.any_id(), limit: self.rng.u64(0..9), taken: 0, lost: 0 };
                Control::Credit(credit)
            }
            _ => Control::Unknown { kind: 0x10 },
        }
    }

    fn any_notify(&mut self) -> Notify {
        let (mine, yours) = (self.any_id(), self.any_id());
        let text = "no reason at all".to_owned();
        match self.rng.u8(0..4) {
            0 => Notify::Linked { mine, yours, alias: self.any_id() },
            1 => Notify::Refused { supplier: self.rng.bool(), mine, yours, text },
            2 => {
                let mut schema = super::node::declaration(self.routes[0].clone(), 2, "x").schema.encode();
                if self.rng.u8(0..3) == 0 {
                    schema.truncate(self.rng.usize(0..schema.len()));
                }
                Notify::Schema { supplier: self.rng.bool(), mine, yours, schema }
            }
            _ => Notify::Conflict { yours, text },
        }
    }

    fn any_intent(&mut self) -> Entry<Intent> {
        let item = Intent {
            declared: self.any_declared(),
            exclusive: self.rng.bool(),
            retained: self.rng.bool(),
            priority: Priority::Normal,
            relayed: None,
        };
        self.any_entry(item)
    }

    fn any_interest(&mut self) -> Entry<Interest> {
        let item = Interest {
            declared: self.any_declared(),
            delivery: Delivery::Queue(3),
            only: None,
            unpacks: false,
        };
        self.any_entry(item)
    }

    fn any_entry<T>(&mut self, item: T) -> Entry<T> {
        let id = self.rng.u32(0..64);
        match self.rng.u8(0..12) {
            0 => Entry::Update { id, item },
            1..4 => Entry::Remove { id },
            _ => Entry::Add { id, item },
        }
    }

    fn any_declared(&mut self) -> Declared {
        let route = self.routes[self.rng.usize(0..self.routes.len())].clone();
        let like = super::node::declaration(route, self.rng.u64(1..3), "bincode2");
        Declared {
            route: like.route.clone(),
            fingerprint: if self.rng.u8(0..4) == 0 { self.rng.u64(0..3) } else { like.schema.fingerprint() },
            codec: if self.rng.u8(0..6) == 0 { "json".to_owned() } else { like.codec.to_owned() },
            lease_millis: self.rng.u32(..),
        }
    }

    fn any_path(&mut self) -> Path {
        Path::parse(path(self.rng.usize(0..5))).unwrap()
    }

    fn any_id(&mut self) -> u32 {
        if self.rng.u8(0..10) == 0 { self.rng.u32(..) } else { self.rng.u32(0..12) }
    }

    fn any_time(&mut self) -> Timestamp {
        match self.rng.u8(0..4) {
            0 => Timestamp::from_micros(self.rng.u64(..)),
            1 => Timestamp::from_micros(u64::MAX),
            _ => self.now,
        }
    }
}
