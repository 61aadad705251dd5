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
//!                  Up ── BYE, fault, silence, lost, duplicate ◄─ Up
//! ```
//! A dialled link goes from Down to Dialling again after its backoff, or, where another link to the same
//! peer was kept instead of it, when that one is down. An accepted link is forgotten when it is down.

use super::backoff::Backoff;
use super::handshake::Handshake;
use super::health::Health;
use super::session::Session;
use super::{IntentId, LinkId};
use crate::event::PeerName;
use crate::peer::PeerUrl;
use crate::reason::Reason;
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
    /// Routes can be linked.
    Up,
    /// There is no connection. A dialled link is tried again.
    Down,
}

/// The same, with what belongs to it.
#[derive(Debug)]
pub(super) enum Phase {
    Dialling,
    Handshaking(Box<Handshake>),
    Up(Box<Session>),
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
    /// How it does while it is up.
    pub(super) health: Health,
    /// Why it was last down.
    pub(super) reason: Option<Reason>,
    /// Intents of which the application was told that they are not advertised on this link.
    pub(super) not_advertised: BTreeSet<IntentId>,
}

impl Link {
    pub(super) fn state(&self) -> LinkState {
        match self.phase {
            Phase::Dialling => LinkState::Dialling,
            Phase::Handshaking(_) => LinkState::Handshaking,
            Phase::Up(_) => LinkState::Up,
            Phase::Down => LinkState::Down,
        }
    }

    /// A peer that was not heard for so long is down.
    pub(super) fn silence(&self) -> Duration {
        silence(self.ping_interval)
    }

    pub(super) fn session(&self) -> Option<&Session> {
        match &self.phase {
            Phase::Up(session) => Some(session),
            _ => None,
        }
    }

    pub(super) fn session_mut(&mut self) -> Option<&mut Session> {
        match &mut self.phase {
            Phase::Up(session) => Some(session),
            _ => None,
        }
    }

    pub(super) fn handshake_mut(&mut self) -> Option<&mut Handshake> {
        match &mut self.phase {
            Phase::Handshaking(handshake) => Some(handshake),
            _ => None,
        }
    }

    /// The peer's instance, once its Hello was taken.
    pub(super) fn instance(&self) -> Option<[u8; 16]> {
        match &self.phase {
            Phase::Handshaking(handshake) => handshake.theirs().map(|hello| hello.instance),
            Phase::Up(session) => Some(session.instance),
            Phase::Dialling | Phase::Down => None,
        }
    }

    pub(super) fn peer_name(&self) -> PeerName {
        (*self.peer).clone()
    }
}
