//! Control frames from bytes. Every length and count is checked against the bytes that are there
//! before memory is taken for it.

use super::control::{
    Accept, Bye, Control, Credit, Declared, Entry, Hello, Intent, Interest, Notify, Origin, Ping, Pong,
    Relayed,
};
use super::error::{Fault, WireError};
use super::{kind, varint};
use crate::delivery::Delivery;
use crate::path::Path;
use crate::priority::Priority;
use crate::reason::ReasonCode;
use crate::route::Route;
use crate::time::Timestamp;

/// The value of a control frame, from its kind and what comes after its tag.
///
/// # Errors
/// [`WireError::UnknownKind`] and [`WireError::Body`]; the link has to be closed then.
pub(crate) fn decode(kind: u32, body: &[u8]) -> Result<Control, WireError> {
    // A piece of a sample is for `read_fragment`, a copy of one for `read_copied`.
    if !kind::is_taken(kind) || matches!(kind, kind::FRAGMENT | kind::COPY | kind::MESSAGE..) {
        return Err(WireError::UnknownKind { kind });
    }
    let mut body = Body { rest: body };
    let control = body.control(kind).map_err(|fault| WireError::Body { kind, fault })?;
    match body.rest.len() {
        0 => Ok(control),
        count => Err(WireError::Body { kind, fault: Fault::Trailing { count } }),
    }
}

/// The fewest bytes of an entry: a removal.
const MIN_ENTRY: usize = 2;
/// The fewest bytes of an entry that adds something.
const MIN_ADDED: usize = 20;

type Taken<T> = Result<T, Fault>;

/// What is left of a frame's body.
struct Body<'a> {
    rest: &'a [u8],
}

impl<'a> Body<'a> {
    fn control(&mut self, kind: u32) -> Taken<Control> {
        Ok(match kind {
            kind::HANDSHAKE => match self.number(0, 1, "phase", "0 (initial) or 1 (final)")? {
                0 => Control::Hello(self.hello()?),
                _ => Control::Accept(self.accept()?),
            },
            kind::BYE => Control::Bye(self.bye()?),
            kind::PING => Control::Ping(Ping { sent: self.time("sent")? }),
            kind::PONG => Control::Pong(Pong {
                echo: self.time("echo")?,
                received: self.time("received")?,
                sent: self.time("sent")?,
            }),
            kind::INTENTS => Control::Intents(self.entries(Self::intent)?),
            kind::INTERESTS => Control::Interests(self.entries(Self::interest)?),
            kind::NOTIFY => Control::Notify(self.notify()?),
            kind::CREDIT => Control::Credit(Credit {
                alias: self.alias()?,
                limit: self.varint_u64("limit")?,
                taken: self.varint_u64("taken")?,
                lost: self.varint_u64("lost")?,
            }),
            kind::TIME => Control::Time(self.time("clock")?),
            kind::GAP => Control::Gap { alias: self.alias()?, count: self.varint_u64("count")? },
            kind::END => Control::End { alias: self.alias()? },
            kind::STALLED => Control::Stalled { alias: self.alias()?, untaken: self.varint_u64("untaken")? },
            kind::RESUME => {
                Control::Resume { received: self.varint_u64("received")?, turn: self.varint_u64("turn")? }
            }
            kind::AT => Control::At { alias: self.alias()?, number: self.varint_u64("number")? },
            kind::MARK => Control::Mark { number: self.varint_u64("number")? },
            kind::MARKED => Control::Marked { number: self.varint_u64("number")? },
            kind::LOST => Control::Lost { alias: self.alias()?, count: self.varint_u64("count")? },
            kind => {
                self.rest = &[];
                Control::Unknown { kind }
            }
        })
    }

    fn hello(&mut self) -> Taken<Hello> {
        let magic = self.array::<4>("magic")?;
        if magic != kind::MAGIC {
            let value = u64::from(u32::from_le_bytes(magic));
            return Err(Fault::Value { field: "magic", value, rule: "`BWLN`" });
        }
        let version_min = self.number(1, u8::MAX, "version_min", "1 to 255")?;
        let version_max = self.number(version_min, u8::MAX, "version_max", "version_min to 255")?;
        let capabilities = self.u32("capabilities")?;
        let instance = self.array("instance")?;
        let session = self.u64("session")?;
        let flags = self.u8("flags")?;
        let (scope_own, joins) = (flags & 1 != 0, flags & 2 != 0);
        let max_frame = self.u32("max_frame")?;
        if max_frame < kind::LEAST_MAX_FRAME {
            return Err(Fault::Value { field: "max_frame", value: max_frame.into(), rule: "at least 64" });
        }
        let ping_millis = self.u32("ping_millis")?;
        if ping_millis == 0 {
            return Err(Fault::Value { field: "ping_millis", value: 0, rule: "at least 1" });
        }
        let clock = self.time("clock")?;
        let path = self.path("path")?;
        let expected = match self.text("expected", Path::MAX_BYTES)? {
            "" => None,
            text => Some(named("expected", Path::parse(text))?),
        };
        // Later versions may append to it.
        self.rest = &[];
        Ok(Hello {
            version_min,
            version_max,
            capabilities,
            instance,
            session,
            scope_own,
            joins,
            max_frame,
            ping_millis,
            clock,
            path,
            expected,
        })
    }

    fn accept(&mut self) -> Taken<Accept> {
        let version = self.number(1, u8::MAX, "version", "1 to 255")?;
        let capabilities = self.u32("capabilities")?;
        match self.u64("session")? {
            0 => Err(Fault::Value { field: "session", value: 0, rule: "anything but 0" }),
            session => Ok(Accept { version, capabilities, session }),
        }
    }

    fn bye(&mut self) -> Taken<Bye> {
        let code = self.u8("code")?;
        let text = self.text("text", kind::MAX_TEXT)?;
        Ok(match ReasonCode::from_wire(code) {
            Some(code) => Bye { code, text: text.to_owned() },
            None => Bye { code: ReasonCode::Internal, text: format!("code {code}: {text}") },
        })
    }

    fn notify(&mut self) -> Taken<Notify> {
        let notice = self.u8("notice")?;
        Ok(match notice {
            0 | kind::LINKED_PACKED => {
                let (mine, yours, alias) =
                    (self.varint_u32("mine")?, self.varint_u32("yours")?, self.alias()?);
                match notice {
                    0 => Notify::Linked { mine, yours, alias },
                    _ => Notify::Packed { mine, yours, alias },
                }
            }
            1 => Notify::Refused {
                supplier: self.supplier()?,
                mine: self.varint_u32("mine")?,
                yours: self.varint_u32("yours")?,
                text: self.text("text", kind::MAX_TEXT)?.to_owned(),
            },
            2 => Notify::Schema {
                supplier: self.supplier()?,
                mine: self.varint_u32("mine")?,
                yours: self.varint_u32("yours")?,
                schema: self.bytes("schema", kind::MAX_SCHEMA)?.to_vec(),
            },
            3 => Notify::Conflict {
                yours: self.varint_u32("yours")?,
                text: self.text("text", kind::MAX_TEXT)?.to_owned(),
            },
            value => {
                let rule = "0 to 3, or 128 for linked and packed";
                return Err(Fault::Value { field: "notice", value: value.into(), rule });
            }
        })
    }

    fn entries<T>(&mut self, item: fn(&mut Self) -> Taken<T>) -> Taken<Vec<Entry<T>>> {
        let count = self.varint_u32("count")?;
        let there = self.rest.len() / MIN_ENTRY;
        if count as usize > kind::MAX_ENTRIES {
            return Err(Fault::Value { field: "count", value: count.into(), rule: "at most 4096" });
        }
        if count as usize > there {
            let rule = "at most one for every two bytes after it";
            return Err(Fault::Value { field: "count", value: count.into(), rule });
        }
        let mut entries = Vec::with_capacity((count as usize).min(self.rest.len() / MIN_ADDED));
        for _ in 0..count {
            let op = self.number(0, 2, "op", "0 (add), 1 (update) or 2 (remove)")?;
            let id = self.varint_u32("id")?;
            entries.push(match op {
                0 => Entry::Add { id, item: item(self)? },
                1 => Entry::Update { id, item: item(self)? },
                _ => Entry::Remove { id },
            });
        }
        Ok(entries)
    }

    fn intent(&mut self) -> Taken<Intent> {
        let declared = self.declared()?;
        let flags = self.u8("flags")?;
        let relayed = if flags & 4 == 0 { None } else { Some(Box::new(self.relayed()?)) };
        let priority = match flags >> 3 & 3 {
            1 => Priority::Urgent,
            2 => Priority::Bulk,
            _ => Priority::Normal,
        };
        Ok(Intent { declared, exclusive: flags & 1 != 0, retained: flags & 2 != 0, priority, relayed })
    }

    fn relayed(&mut self) -> Taken<Relayed> {
        let origin = Origin { instance: self.array("origin")?, id: self.varint_u32("origin id")? };
        let hops = self.number(1, kind::MAX_HOPS as u8, "hops", "1 to 8")?;
        let via = (1..hops).map(|_| self.array("via")).collect::<Taken<_>>()?;
        Ok(Relayed { origin, via })
    }

    fn interest(&mut self) -> Taken<Interest> {
        let declared = self.declared()?;
        let flagged = self.u8("delivery")?;
        let form = flagged & !(kind::ONLY | kind::UNPACKS);
        if form > 2 {
            let rule = "0 (latest), 1 (queue) or 2 (lossless), 128 more for one intent alone, 64 more if it takes packed payloads";
            return Err(Fault::Value { field: "delivery", value: flagged.into(), rule });
        }
        let depth = self.varint_u32("depth")?;
        let (most, rule) =
            if form == 0 { (1, "1 for latest") } else { (Delivery::MAX_DEPTH, "1 to 1048576") };
        if depth == 0 || depth > most {
            return Err(Fault::Value { field: "depth", value: depth.into(), rule });
        }
        let delivery = match form {
            0 => Delivery::Latest,
            1 => Delivery::Queue(depth),
            _ => Delivery::Lossless(depth),
        };
        let only = if flagged & kind::ONLY == 0 { None } else { Some(self.varint_u32("only")?) };
        Ok(Interest { declared, delivery, only, unpacks: flagged & kind::UNPACKS != 0 })
    }

    fn declared(&mut self) -> Taken<Declared> {
        Ok(Declared {
            route: self.route()?,
            fingerprint: self.u64("fingerprint")?,
            codec: self.text("codec", kind::MAX_CODEC)?.to_owned(),
            lease_millis: self.u32("lease_millis")?,
        })
    }

    fn route(&mut self) -> Taken<Route> {
        if self.number(0, 1, "route form", "0 (plain) or 1 (hashed)")? == 0 {
            let name = self.text("type", Route::MAX_TYPE_BYTES)?;
            let path = self.path("path")?;
            return named("route", Route::new(name, &path));
        }
        let prefix = self.path("prefix")?;
        Ok(Route::from_digest(prefix, self.array("digest")?))
    }

    fn path(&mut self, field: &'static str) -> Taken<Path> {
        named(field, Path::parse(self.text(field, Path::MAX_BYTES)?))
    }

    fn alias(&mut self) -> Taken<u32> {
        match self.varint_u32("alias")? {
            alias if alias <= kind::MAX_ALIAS => Ok(alias),
            alias => Err(Fault::Value { field: "alias", value: alias.into(), rule: "0 to 16383" }),
        }
    }

    fn supplier(&mut self) -> Taken<bool> {
        Ok(self.number(0, 1, "supplier", "0 or 1")? == 1)
    }

    fn text(&mut self, field: &'static str, limit: usize) -> Taken<&'a str> {
        let bytes = self.bytes(field, limit)?;
        std::str::from_utf8(bytes).map_err(|error| {
            let at = error.valid_up_to();
            Fault::NotText { field, at, byte: bytes.get(at).copied().unwrap_or_default() }
        })
    }

    fn bytes(&mut self, field: &'static str, limit: usize) -> Taken<&'a [u8]> {
        let length = self.varint_u32(field)?;
        if length as usize > limit {
            return Err(Fault::TooLong { field, length: length.into(), limit });
        }
        self.take(field, length as usize)
    }

    fn time(&mut self, field: &'static str) -> Taken<Timestamp> {
        self.u64(field).map(Timestamp::from_micros)
    }

    fn number(&mut self, least: u8, most: u8, field: &'static str, rule: &'static str) -> Taken<u8> {
        match self.u8(field)? {
            value if (least..=most).contains(&value) => Ok(value),
            value => Err(Fault::Value { field, value: value.into(), rule }),
        }
    }

    fn u8(&mut self, field: &'static str) -> Taken<u8> {
        self.array::<1>(field).map(|[byte]| byte)
    }

    fn u32(&mut self, field: &'static str) -> Taken<u32> {
        self.array(field).map(u32::from_le_bytes)
    }

    fn u64(&mut self, field: &'static str) -> Taken<u64> {
        self.array(field).map(u64::from_le_bytes)
    }

    fn varint_u32(&mut self, field: &'static str) -> Taken<u32> {
        let read = varint::read_u32(self.rest).map_err(|fault| Fault::Varint { field, fault })?;
        let (value, used) = read.ok_or(Fault::Ends { field })?;
        self.rest = &self.rest[used..];
        Ok(value)
    }

    fn varint_u64(&mut self, field: &'static str) -> Taken<u64> {
        let read = varint::read_u64(self.rest).map_err(|fault| Fault::Varint { field, fault })?;
        let (value, used) = read.ok_or(Fault::Ends { field })?;
        self.rest = &self.rest[used..];
        Ok(value)
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Taken<[u8; N]> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(Fault::Ends { field })?;
        self.rest = rest;
        Ok(*array)
    }

    fn take(&mut self, field: &'static str, length: usize) -> Taken<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Fault::Ends { field })?;
        self.rest = rest;
        Ok(taken)
    }
}

fn named<T>(field: &'static str, parsed: Result<T, impl std::fmt::Display>) -> Taken<T> {
    parsed.map_err(|error| Fault::Name { field, text: error.to_string().into() })
}
