//! Values of every kind, drawn from the bytes of a fuzzer.

use crate::delivery::Delivery;
use crate::path::Path;
use crate::priority::Priority;
use crate::reason::ReasonCode;
use crate::route::Route;
use crate::time::Timestamp;
use crate::wire::control::{
    Accept, Bye, Control, Credit, Declared, Entry, Hello, Intent, Interest, Notify, Origin, Ping, Pong,
    Relayed,
};
use crate::wire::kind;

/// Values drawn from the input; zeros once it is used up.
pub(super) struct Choices<'a> {
    rest: &'a [u8],
}

impl<'a> Choices<'a> {
    pub(super) fn new(input: &'a [u8]) -> Self {
        Self { rest: input }
    }

    pub(super) fn is_used_up(&self) -> bool {
        self.rest.is_empty()
    }

    /// At most so many bytes of the input as they are.
    pub(super) fn raw(&mut self, most: u64) -> &'a [u8] {
        let length = (self.below(most + 1) as usize).min(self.rest.len());
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        taken
    }

    pub(super) fn u8(&mut self) -> u8 {
        self.bytes::<1>()[0]
    }

    /// Often small, sometimes at an edge, otherwise anything.
    pub(super) fn u64(&mut self) -> u64 {
        match self.u8() {
            0xFF => u64::MAX,
            0xFE => u64::from_le_bytes(self.bytes()),
            0xFD => u64::from(u32::from_le_bytes(self.bytes())),
            small => u64::from(small),
        }
    }

    pub(super) fn u32(&mut self) -> u32 {
        self.u64().try_into().unwrap_or(u32::MAX)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        u64::from(u16::from_le_bytes(self.bytes())) % bound.max(1)
    }

    pub(super) fn flag(&mut self) -> bool {
        self.u8() & 1 == 1
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        let count = N.min(self.rest.len());
        let (taken, rest) = self.rest.split_at(count);
        bytes[..count].copy_from_slice(taken);
        self.rest = rest;
        bytes
    }

    pub(super) fn time(&mut self) -> Timestamp {
        Timestamp::from_micros(self.u64())
    }

    pub(super) fn alias(&mut self) -> u32 {
        self.u32().min(kind::MAX_ALIAS)
    }

    pub(super) fn text(&mut self, most: u64) -> String {
        let length = self.below(most + 1) as usize;
        (0..length).map(|_| char::from(self.u8() & 0x7F)).collect()
    }

    pub(super) fn path(&mut self) -> Path {
        const LETTERS: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
        let mut text = String::new();
        for segment in 0..=self.below(4) {
            if segment > 0 {
                text.push('.');
            }
            for _ in 0..=self.below(Path::MAX_SEGMENT_BYTES as u64) {
                text.push(char::from(LETTERS[usize::from(self.u8() & 63)]));
            }
        }
        Path::parse(&text).expect("made by the rule for paths")
    }

    fn route(&mut self) -> Route {
        let path = self.path();
        if self.flag() {
            return Route::from_digest(path, self.bytes());
        }
        let length = 1 + self.below(Route::MAX_TYPE_BYTES as u64);
        let name: String = (0..length).map(|_| char::from(b'A' + self.u8() % 26)).collect();
        Route::new(&name, &path).expect("made by the rule for type names")
    }

    fn declared(&mut self) -> Declared {
        Declared {
            route: self.route(),
            fingerprint: self.u64(),
            codec: self.text(kind::MAX_CODEC as u64),
            lease_millis: self.u32(),
        }
    }

    pub(super) fn priority(&mut self) -> Priority {
        match self.below(3) {
            0 => Priority::Urgent,
            1 => Priority::Normal,
            _ => Priority::Bulk,
        }
    }

    fn entries<T>(&mut self, item: fn(&mut Self) -> T) -> Vec<Entry<T>> {
        let count = self.below(20);
        (0..count)
            .map(|_| match (self.below(3), self.u32()) {
                (0, id) => Entry::Add { id, item: item(self) },
                (1, id) => Entry::Update { id, item: item(self) },
                (_, id) => Entry::Remove { id },
            })
            .collect()
    }

    fn intent(&mut self) -> Intent {
        let declared = self.declared();
        let (exclusive, retained) = (self.flag(), self.flag());
        let relayed = self.flag().then(|| {
            let origin = Origin { instance: self.bytes(), id: self.u32() };
            let via = (0..self.below(kind::MAX_HOPS as u64)).map(|_| self.bytes()).collect();
            Box::new(Relayed { origin, via })
        });
        Intent { declared, exclusive, retained, priority: self.priority(), relayed }
    }

    fn interest(&mut self) -> Interest {
        let declared = self.declared();
        let depth = self.u32().clamp(1, Delivery::MAX_DEPTH);
        let delivery = match self.below(3) {
            0 => Delivery::Latest,
            1 => Delivery::Queue(depth),
            _ => Delivery::Lossless(depth),
        };
        let only = if self.flag() { Some(self.u32()) } else { None };
        Interest { declared, delivery, only, unpacks: self.below(2) == 1 }
    }

    fn hello(&mut self) -> Hello {
        let version_min = self.u8().max(1);
        Hello {
            version_min,
            version_max: self.u8().max(version_min),
            capabilities: self.u32(),
            instance: self.bytes(),
            session: self.u64(),
            scope_own: self.flag(),
            joins: self.flag(),
            max_frame: self.u32().max(kind::LEAST_MAX_FRAME),
            ping_millis: self.u32().max(1),
            clock: self.time(),
            path: self.path(),
            expected: if self.flag() { Some(self.path()) } else { None },
        }
    }

    fn notify(&mut self) -> Notify {
        let (supplier, mine, yours) = (self.flag(), self.u32(), self.u32());
        match self.below(4) {
            0 => Notify::Linked { mine, yours, alias: self.alias() },
            1 => Notify::Refused { supplier, mine, yours, text: self.text(kind::MAX_TEXT as u64) },
            2 => Notify::Schema { supplier, mine, yours, schema: self.text(4000).into_bytes() },
            _ => Notify::Conflict { yours, text: self.text(kind::MAX_TEXT as u64) },
        }
    }

    pub(super) fn control(&mut self) -> Control {
        match self.below(17) {
            0 => Control::Hello(self.hello()),
            1 => Control::Accept(Accept {
                version: self.u8().max(1),
                capabilities: self.u32(),
                session: self.u64().max(1),
            }),
            2 => {
                let code = ReasonCode::from_wire(self.u8()).unwrap_or(ReasonCode::Closing);
                Control::Bye(Bye { code, text: self.text(kind::MAX_TEXT as u64) })
            }
            3 => Control::Ping(Ping { sent: self.time() }),
            4 => Control::Pong(Pong { echo: self.time(), received: self.time(), sent: self.time() }),
            5 => Control::Intents(self.entries(Self::intent)),
            6 => Control::Interests(self.entries(Self::interest)),
            7 => Control::Notify(self.notify()),
            8 => Control::Credit(Credit {
                alias: self.alias(),
                limit: self.u64(),
                taken: self.u64(),
                lost: self.u64(),
            }),
            9 => Control::Time(self.time()),
            10 => Control::Gap { alias: self.alias(), count: self.u64() },
            12 => Control::Stalled { alias: self.alias(), untaken: self.u64() },
            13 => Control::Resume { received: self.u64(), turn: self.u64() },
            14 => Control::At { alias: self.alias(), number: self.u64() },
            15 => Control::Mark { number: self.u64() },
            16 => Control::Marked { number: self.u64() },
            11 => Control::Lost { alias: self.alias(), count: self.u64() },
            _ => Control::End { alias: self.alias() },
        }
    }
}
