//! One link: where it stands.
//!
//! ```text
//!               dialled link                               accepted link
//!  dialler() ──► Dialling ◄─── Redial timer ─── Down       accepted()
//!                   │   │                        ▲             │
//!         dialled() │   └─ dial_failed() ───────►│             │
//!                   ▼                            │             ▼
//!              Handshaking ── BYE, fault, deadline, lost ◄─ Handshaking
//!                   │                            │             │
//!            finals agree                        │       finals agree
//!                   ▼                            │             ▼
//!         Up or StandsBy ── BYE, fault, silence, lost, duplicate ◄─ Up or StandsBy
//! ```
//! A link that goes on with a session, or joins one that another link carries, stands by until it carries it: see
//! [`carriage`](super::carriage).

//! A dialled link goes from Down to Dialling again after its backoff, or, where another link to the same
//! peer was kept instead of it, when that one is down. An accepted link is forgotten when it is down.

use super::backoff::Backoff;
use super::handshake::Handshake;
use super::health::Health;
use super::liveness::{Pings, RoundTrips};
use super::offset::ClockOffset;
use super::{IntentId, LinkId, SessionId};
use crate::event::PeerName;
use crate::peer::PeerUrl;
use crate::reason::Reason;
use crate::time::Timestamp;
use crate::wire::control::Hello;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// How long a peer may be silent that is pinged each `interval`: 3.5 times as long.
pub(crate) fn silence(interval: Duration) -> Duration {
    interval.saturating_mul(7) / 2
}

/// Where a link stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkState {
    /// A connection is being made.
    Dialling,
    /// A connection stands, and both sides tell each other who they are.
    Handshaking,
    /// The handshake is done, and another link carries the session, or will until this one does.
    StandsBy,
    /// It carries a session: routes can be linked.
    Up,
    /// There is no connection. A dialled link is tried again.
    Down,
}

/// The same, with what belongs to it.
#[derive(Debug)]
pub(super) enum Phase {
    Dialling,
    Handshaking(Box<Handshake>),
    StandsBy,
    Up,
    Down,
}

/// What makes a dialled link come back.
#[derive(Debug)]
pub(super) struct Dialler {
    pub(super) url: Arc<PeerUrl>,
    pub(super) backoff: Backoff,
    /// Attempts since the link was last up.
    pub(super) attempt: u32,
    /// The peer's instance whose other link was kept instead of this one.
    pub(super) held: Option<[u8; 16]>,
    /// The instance that was found there last.
    pub(super) found: Option<[u8; 16]>,
    /// The peer was found there under its path as another instance than by the link that carries its session: it may have
    /// started anew, and that link be dead.
    pub(super) may_be_anew: bool,
    /// Which links lead to one peer, the most wanted first.
    pub(super) group: Arc<[LinkId]>,
}

/// What is known of a link from its pings, since its handshake was done.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    /// When the handshake was done.
    pub(super) since: Timestamp,
    /// Silence counts from here at the earliest.
    pub(super) alive_at: Timestamp,
    /// When the peer last answered a ping, or came up.
    pub(super) answered_at: Timestamp,
    pub(super) pings: Pings,
    pub(super) round_trips: RoundTrips,
    pub(super) clock: ClockOffset,
}

impl Pulse {
    pub(super) fn new(now: Timestamp) -> Self {
        Self { since: now, alive_at: now, answered_at: now, ..Self::default() }
    }
}

/// One link.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) id: LinkId,
    /// `None` where the peer dialled.
    pub(super) dialler: Option<Dialler>,
    pub(super) peer: Arc<PeerName>,
    /// Whether this side wishes scope own.
    pub(super) own_scope: bool,
    /// How often its peer is pinged.
    pub(super) ping_interval: Duration,
    /// How much longer than elsewhere its handshake may take, as its line is slow.
    pub(super) handshake_extra: Duration,
    pub(super) phase: Phase,
    /// By what its connection goes: itself, or its session.
    pub(super) line: LinkId,
    /// The session that it carries or stands by for.
    pub(super) session: Option<SessionId>,
    /// Whom it found there; `None` before its handshake told, and once it is down.
    pub(super) instance: Option<[u8; 16]>,
    pub(super) pulse: Pulse,
    /// How it does while it is up.
    pub(super) health: Health,
    /// Why it was last down.
    pub(super) reason: Option<Reason>,
    /// Intents of which the application was told, in a session that is over, that they are not advertised there.
    pub(super) not_advertised: BTreeSet<IntentId>,
}

impl Link {
    pub(super) fn state(&self) -> LinkState {
        match self.phase {
            Phase::Dialling => LinkState::Dialling,
            Phase::Handshaking(_) => LinkState::Handshaking,
            Phase::StandsBy => LinkState::StandsBy,
            Phase::Up => LinkState::Up,
            Phase::Down => LinkState::Down,
        }
    }

    /// A peer that was not heard for so long is down.
    pub(super) fn silence(&self) -> Duration {
        silence(self.ping_interval)
    }

    /// Whether its handshake is done.
    pub(super) fn is_agreed(&self) -> bool {
        matches!(self.phase, Phase::StandsBy | Phase::Up)
    }

    pub(super) fn handshake_mut(&mut self) -> Option<&mut Handshake> {
        match &mut self.phase {
            Phase::Handshaking(handshake) => Some(handshake),
            _ => None,
        }
    }

    /// What the peer said of itself, while the handshake is under way.
    pub(super) fn greeting(&self) -> Option<&Hello> {
        match &self.phase {
            Phase::Handshaking(handshake) => handshake.theirs(),
            _ => None,
        }
    }

    pub(super) fn peer_name(&self) -> PeerName {
        (*self.peer).clone()
    }
}
