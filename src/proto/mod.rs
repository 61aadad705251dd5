//! Control, pure: handshakes, sessions, the registry, pings, redialling.
//!
//! [`Engine`] is one endpoint's control, without threads, sockets or clock. It is driven by three
//! verbs: give it an input with `now`; take [`Action`]s with `poll` until there are none; ask
//! `next_wake` when it next wants a `tick`. The dispatcher thread drives one; the simulation drives
//! several, joined by simulated lines in virtual time.
//!
//! | File | What |
//! | --- | --- |
//! | `engine` | inputs, actions, wake-ups |
//! | `connection`, `link`, `handshake` | how links come, go, and are told apart |
//! | `session`, `carriage` | what is kept of a peer, and which link carries it |
//! | `rivals` | several links to one peer, of which one is kept |
//! | `registry`, `wiring`, `claims` | who supplies and wants what, and what happens when two meet |
//! | `advertise`, `tables` | what peers are told, and what they tell |
//! | `relay` | what is passed on from link to link |
//! | `ways` | one way among several to the same intent |
//! | `aliases` | the numbers that samples go by |
//! | `pulse`, `liveness`, `offset` | pings, round trips, clocks |
//! | `health`, `wellness` | how well a link does; what the engine makes of it |
//! | `backoff`, `timers` | when to try again |
//! | `words` | what is said of a fault |
//! | `view` | what status calls see |
//! | `group` | groups, apart from all of the above: members, and who wants what of whom |

use crate::delivery::Delivery;
use crate::event::{Event, PeerName};
use crate::peer::PeerUrl;
use crate::priority::Priority;
use crate::route::Route;
use crate::schema::Schema;
use crate::wire::control::{Bye, Control};
use std::sync::Arc;
use std::time::Duration;

mod advertise;
mod aliases;
mod backoff;
mod carriage;
mod claims;
mod connection;
pub(crate) mod engine;
pub(crate) mod group;
mod handshake;
pub(crate) mod health;
mod link;
mod liveness;
mod offset;
mod pulse;
mod registry;
mod relay;
mod rivals;
mod session;
#[cfg(test)]
mod simulation;
#[cfg(any(test, feature = "fuzzing"))]
mod sound;
mod tables;
#[cfg(test)]
mod testbed;
#[cfg(test)]
mod tests;
mod timers;
mod view;
mod ways;
mod wellness;
mod wiring;
mod words;

pub(crate) use engine::{Engine, EngineSettings};
pub(crate) use link::{LinkState, silence};
pub(crate) use view::LinkView;

/// One link of this endpoint; never used again for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LinkId(pub(crate) u32);

/// One session with a peer. It goes by the number of the connection that it began on: links, connections and sessions
/// are numbered in one row, and most often all three are the same.
pub(crate) type SessionId = LinkId;

/// One intent of this endpoint; its number on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct IntentId(pub(crate) u32);

/// One interest of this endpoint; its number on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct InterestId(pub(crate) u32);

/// What a program declares of an intent or an interest alike.
#[derive(Clone, Debug)]
pub(crate) struct Declaration {
    pub(crate) route: Route,
    pub(crate) schema: Arc<Schema>,
    pub(crate) codec: &'static str,
    /// Payloads may be packed: of an intent, that it may send such; of an interest, that it takes them.
    pub(crate) packs: bool,
}

/// How the payloads of an inlet come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    Plain,
    /// Packed by the peer itself.
    Packed,
    /// Packed by somebody behind the peer, who passes them on.
    Relayed,
}

/// Where among the bytes of a link a control frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Ahead of samples that wait.
    Ahead,
    /// Behind the samples queued before it.
    InLine,
}

/// What the engine wants done. The driver does it at once and in order.
///
/// `link` is the connection: that of a link until its handshake is done, and then that of its session, which keeps it
/// when it goes on over another link.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// Try to connect; answer with `dialled` or `dial_failed`. The connection goes by `line`.
    Dial { link: LinkId, line: LinkId, url: Arc<PeerUrl> },
    /// Send a frame.
    Send { link: LinkId, frame: Control, order: Order },
    /// Say BYE if one is given and the line takes it, then close the connection or stop dialling. All
    /// outlets and inlets of the link go with it. A dialled link will be given a new `Dial` later; an
    /// accepted one is forgotten. No `link_lost` is wanted for it. It comes for a lost link too.
    HangUp { link: LinkId, bye: Option<Bye> },
    /// Close the connection of a session and keep all else of it; say when that is done with `let_go`. It comes for a
    /// connection that is let go of by itself too.
    LetGo { session: SessionId },
    /// A session goes on over the connection `line`, of which the peer's RESUME is the last that is read: so many of the
    /// session's control frames came there.
    HandOver { session: SessionId, line: LinkId, peer: Arc<PeerName>, received: u64 },
    /// A link waits to be dialled again: if the network says that the way to it opened, say `way_opened`. It
    /// ends with the next `Dial`.
    Watch { link: LinkId },
    /// Look at a link that is up, and say what is seen with `look`.
    Look { link: LinkId },
    /// The handshake is done: samples may be sent, in frames of at most `max_frame` bytes.
    /// `fragments` says that they may be sent in pieces, `packs` that payloads may be packed, `resumes` that the session
    /// can go on over another connection.
    Up { link: LinkId, peer: Arc<PeerName>, max_frame: u32, fragments: bool, packs: bool, resumes: bool },
    /// The handshake is done, and the link carries nothing yet but pings, and copies of samples of `session`.
    StandBy { link: LinkId, session: SessionId },
    /// A round trip was measured. The peer's time t is `t - offset` here, at most `error` wrong.
    Clock { link: LinkId, offset_micros: i64, error: Duration },
    /// Samples of `intent` go to this link as `alias`, once credit for it comes.
    OpenOutlet { link: LinkId, intent: IntentId, alias: u32, delivery: Delivery, packed: bool },
    /// No more samples of `intent` as `alias`: what waits is sent, then END. Both stand in line before
    /// the next action is done, since frames that follow rely on being behind the END.
    CloseOutlet { link: LinkId, intent: IntentId, alias: u32 },
    /// Samples of this alias are for `interest`: install the inlet, then grant credit.
    OpenInlet { link: LinkId, interest: InterestId, alias: u32, packing: Packing },
    /// The interest is gone: samples of the alias are discarded until END, and no more credit is
    /// granted. It can come without an `OpenInlet`, where the interest was withdrawn in time.
    DrainInlet { link: LinkId, alias: u32 },
    /// END came: the alias is unknown from now on. No CREDIT for it may be queued after this: the peer
    /// would take it for that of the next pair under this alias.
    CloseInlet { link: LinkId, alias: u32 },
    /// Samples that come from a peer under an alias go to another one as `to_alias`, as `delivery` says, once
    /// credit for that comes; it is granted to the first peer in turn. What comes of the inlet is said by
    /// `DrainInlet` and `CloseInlet`.
    OpenRelay {
        route: Route,
        from: LinkId,
        from_alias: u32,
        to: LinkId,
        to_alias: u32,
        delivery: Delivery,
        priority: Priority,
        packed: bool,
    },
    /// No more samples of the alias: what waits is sent, then END, as for `CloseOutlet`.
    CloseRelay { to: LinkId, to_alias: u32 },
    /// An intent and an interest of this endpoint met.
    LinkLocal { intent: IntentId, interest: InterestId },
    /// One of them is gone.
    UnlinkLocal { intent: IntentId, interest: InterestId },
    /// Tell the application.
    Event(Event),
}
