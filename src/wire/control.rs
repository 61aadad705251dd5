//! The control frames as valid values. Encoding one cannot fail; decoding is checked.

use super::kind;
use crate::delivery::Delivery;
use crate::path::Path;
use crate::priority::Priority;
use crate::reason::ReasonCode;
use crate::route::Route;
use crate::time::Timestamp;

/// Any frame but MESSAGE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Control {
    Hello(Hello),
    Accept(Accept),
    Bye(Bye),
    Ping(Ping),
    Pong(Pong),
    Intents(Vec<Entry<Intent>>),
    Interests(Vec<Entry<Interest>>),
    Notify(Notify),
    Credit(Credit),
    Time(Timestamp),
    Gap {
        alias: u32,
        count: u64,
    },
    End {
        alias: u32,
    },
    /// Samples of the alias that were lost on the way.
    Lost {
        alias: u32,
        count: u64,
    },
    /// The interest of the alias is cut off: it has not taken so many samples for too long.
    Stalled {
        alias: u32,
        untaken: u64,
    },
    /// From here on the link carries the session: so many of its control frames came here so far. `turn`: which RESUME of
    /// the session it is on this side, from 1.
    Resume {
        received: u64,
        turn: u64,
    },
    /// The next sample of the alias has this number.
    At {
        alias: u32,
        number: u64,
    },
    /// A place in what is sent, which the other side says that it came to.
    Mark {
        number: u64,
    },
    /// All that was sent before this mark came.
    Marked {
        number: u64,
    },
    /// A kind this version may skip.
    Unknown {
        kind: u32,
    },
}

/// HANDSHAKE, initial: who I am and what I can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    pub(crate) version_min: u8,
    pub(crate) version_max: u8,
    pub(crate) capabilities: u32,
    /// Made anew each time an endpoint starts: a changed one says the peer restarted.
    pub(crate) instance: [u8; 16],
    /// The session the dialler would go on with, 0 for a new one.
    pub(crate) session: u64,
    pub(crate) scope_own: bool,
    /// Another link of the dialler carries `session`: this one stands by.
    pub(crate) joins: bool,
    /// The largest frame the sender of this takes, counted after the length field.
    pub(crate) max_frame: u32,
    pub(crate) ping_millis: u32,
    pub(crate) clock: Timestamp,
    pub(crate) path: Path,
    /// Whom the sender thinks it talks to.
    pub(crate) expected: Option<Path>,
}

/// HANDSHAKE, final: what was agreed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Accept {
    pub(crate) version: u8,
    pub(crate) capabilities: u32,
    pub(crate) session: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bye {
    pub(crate) code: ReasonCode,
    pub(crate) text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ping {
    /// The sender's clock when this was sent.
    pub(crate) sent: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pong {
    /// `sent` of the ping, unchanged.
    pub(crate) echo: Timestamp,
    /// The answering side's clock when the ping arrived.
    pub(crate) received: Timestamp,
    /// The answering side's clock when this was sent.
    pub(crate) sent: Timestamp,
}

/// One line of a batched advertisement. `id` is the declarer's own number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry<T> {
    Add { id: u32, item: T },
    Update { id: u32, item: T },
    Remove { id: u32 },
}

/// What an intent and an interest both say of their route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Declared {
    pub(crate) route: Route,
    /// 0: the messages are raw bytes.
    pub(crate) fingerprint: u64,
    pub(crate) codec: String,
    /// How long the declaration outlives a lost link; 0: not at all.
    pub(crate) lease_millis: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Intent {
    pub(crate) declared: Declared,
    /// Claims the route as its own.
    pub(crate) exclusive: bool,
    /// Retains its last sample for latecomers.
    pub(crate) retained: bool,
    /// How its samples go next to others.
    pub(crate) priority: Priority,
    /// How it came to the sender; `None` where it is the sender's own.
    pub(crate) relayed: Option<Box<Relayed>>,
}

/// An intent of somebody else, passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Relayed {
    pub(crate) origin: Origin,
    /// The relays it came by, without the sender, the one next to its origin first.
    pub(crate) via: Vec<[u8; 16]>,
}

/// An intent by who declared it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Origin {
    pub(crate) instance: [u8; 16],
    /// The number its own endpoint gave it.
    pub(crate) id: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interest {
    pub(crate) declared: Declared,
    pub(crate) delivery: Delivery,
    /// The only intent of the receiver that it is in; `None`: all of its route.
    pub(crate) only: Option<u32>,
    /// It takes packed payloads.
    pub(crate) unpacks: bool,
}

/// Ids: `mine` is of the sender of the frame, `yours` of its receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Notify {
    /// From the intent's side: samples of intent `mine` for interest `yours` come as `alias`.
    /// They may be sent once a CREDIT for the alias arrived.
    Linked { mine: u32, yours: u32, alias: u32 },
    /// The same, and each payload is [packed](super::packed).
    Packed { mine: u32, yours: u32, alias: u32 },
    /// The pair cannot be linked. `supplier` says whether `mine` is the intent.
    Refused { supplier: bool, mine: u32, yours: u32, text: String },
    /// The fingerprints of the pair differ: this is the sender's schema, so that both can say where.
    Schema { supplier: bool, mine: u32, yours: u32, schema: Vec<u8> },
    /// Intent `yours` collides with another supplier of its route.
    Conflict { yours: u32, text: String },
}

impl Notify {
    /// A pair is linked, and its payloads are packed or not.
    pub(crate) fn linked(mine: u32, yours: u32, alias: u32, packed: bool) -> Self {
        match packed {
            true => Self::Packed { mine, yours, alias },
            false => Self::Linked { mine, yours, alias },
        }
    }
}

impl Control {
    /// Whether it is among those that a session counts: what was sent of them, and did not come before a link
    /// ended, is sent again on the next one.
    pub(crate) fn is_counted(&self) -> bool {
        kind::is_counted(self.kind())
    }

    /// The number of its kind.
    pub(crate) fn kind(&self) -> u32 {
        match self {
            Control::Hello(_) | Control::Accept(_) => kind::HANDSHAKE,
            Control::Bye(_) => kind::BYE,
            Control::Ping(_) => kind::PING,
            Control::Pong(_) => kind::PONG,
            Control::Intents(_) => kind::INTENTS,
            Control::Interests(_) => kind::INTERESTS,
            Control::Notify(_) => kind::NOTIFY,
            Control::Credit(_) => kind::CREDIT,
            Control::Time(_) => kind::TIME,
            Control::Gap { .. } => kind::GAP,
            Control::End { .. } => kind::END,
            Control::Lost { .. } => kind::LOST,
            Control::Stalled { .. } => kind::STALLED,
            Control::Resume { .. } => kind::RESUME,
            Control::At { .. } => kind::AT,
            Control::Mark { .. } => kind::MARK,
            Control::Marked { .. } => kind::MARKED,
            Control::Unknown { kind } => *kind,
        }
    }

    /// The memory it holds beside itself, about, in bytes.
    pub(crate) fn held(&self) -> usize {
        match self {
            Control::Intents(entries) => held(entries, |intent| {
                let relayed = intent.relayed.as_ref();
                (&intent.declared, relayed.map_or(0, |relayed| 16 * relayed.via.len() + size_of::<Relayed>()))
            }),
            Control::Interests(entries) => held(entries, |interest| (&interest.declared, 0)),
            Control::Notify(Notify::Schema { schema, .. }) => schema.len(),
            Control::Notify(Notify::Refused { text, .. } | Notify::Conflict { text, .. }) => text.len(),
            Control::Bye(bye) => bye.text.len(),
            _ => 0,
        }
    }
}

fn held<T>(entries: &Vec<Entry<T>>, parts: fn(&T) -> (&Declared, usize)) -> usize {
    let texts = entries.iter().map(|entry| match entry {
        Entry::Add { item, .. } | Entry::Update { item, .. } => {
            let (Declared { route, codec, .. }, more) = parts(item);
            // Each text has an allocation of its own, and some bytes around it.
            route.held() + codec.len() + 16 + more
        }
        Entry::Remove { .. } => 0,
    });
    entries.capacity() * size_of::<Entry<T>>() + texts.sum::<usize>()
}

/// From the interest's side: what may be sent, what was taken, what was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Credit {
    pub(crate) alias: u32,
    /// Samples with a sequence number below this may be sent; `u64::MAX`: any number.
    pub(crate) limit: u64,
    /// All below this sequence number were handed to the application or counted as lost.
    pub(crate) taken: u64,
    /// How many were dropped or replaced on the interest's side so far.
    pub(crate) lost: u64,
}
