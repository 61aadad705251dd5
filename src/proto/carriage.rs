//! Which link carries a session, and how it goes on over another.
//!
//! A session outlives its links. When the one that carries it is lost, it waits: for the same link to be made again, or for
//! another that stands by; at most for its *lease*. Then it goes on: each side says in a RESUME how many control frames of
//! the session came to it, and sends from there what the other lacks.
//!
//! ```text
//!                  the link is lost: LetGo
//!   carried by A ───────────────────────────► carried by none, letting go
//!        ▲                                          │ let_go(received)
//!        │                                          ▼
//!        │                               carried by none ── the lease passed ──► over
//!        │                                          │ a link stands by, or the peer's RESUME came on one
//!        │                                          ▼
//!        │        the peer's RESUME came     changing to B: RESUME(received) is said on it
//!        └──────────────── HandOver ◄───────────────┤
//!                                                   └── B is lost, or too slow ──► carried by none
//! ```
//! A peer that started anew is another one, by its instance; what waits for the one that it was is over once it is seen, by its
//! path.
//!
//! A change can begin while A is well, too: it is let go of first. Nothing but RESUME is said on B until the
//! session goes on there.
//!
//! # Two ends, and what they see
//! Each end may find a link dead before the other does, or alone. Whoever finds it lets go, and as the connection is closed the other end finds
//! it too, or else by silence. Which link is next only the side that dials them chooses; the other follows when a
//! RESUME comes on a link that stands by, whatever it thinks of the one that carries the session. It begins by itself
//! only where it has just one link to choose from, so the two can never choose differently for long: a
//! RESUME on another link than the one that was chosen ends that other link. A RESUME may be long under way on one link, and be
//! overtaken by those on others: so each has its *turn*, and one that is not behind the one by which the session went on last ends the
//! link it comes by. What it says of the frames that came is not true any more.
//!
//! # Which link
//! The one that is up, not degraded, and named first by the program. One that is better, but not the present one,
//! takes over at once if the present one is lost or degraded, and else only after it has stood by, well, for a while:
//! [`FAILBACK`], twice as long after each time that a link had to be left because it was degraded.

use super::engine::Engine;
use super::link::Phase;
use super::registry::Party;
use super::session::Session;
use super::timers::Timer;
use super::words;
use super::{Action, LinkId, Order, SessionId};
use crate::event::{Event, PeerName, Side};
use crate::reason::{Reason, ReasonCode};
use crate::time::Timestamp;
use crate::wire::control::Control;
use std::sync::Arc;
use std::time::Duration;

/// Which link carries a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carriage {
    By(LinkId),
    /// The last one was let go of at `since`.
    None {
        since: Timestamp,
        /// How many control frames of the peer came, once its connection is closed and nothing more can come.
        received: Option<u64>,
    },
}

/// A link is to carry the session from now on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    pub(super) link: LinkId,
    /// RESUME was said on it.
    told: bool,
    /// What the peer's RESUME said: how many control frames came, and which of its RESUMEs it is.
    theirs: Option<(u64, u64)>,
}

impl Session {
    /// The link that carries it.
    pub(super) fn carrier(&self) -> Option<LinkId> {
        match self.carriage {
            Carriage::By(link) => Some(link),
            Carriage::None { .. } => None,
        }
    }

    /// Whether a link carries it or is about to.
    pub(super) fn is_carried(&self) -> bool {
        self.carrier().is_some() || self.change.is_some()
    }
}

impl Engine {
    /// The session of a peer, if there is one.
    pub(super) fn session_with(&self, instance: [u8; 16]) -> Option<(SessionId, &Session)> {
        let id = *self.by_peer.get(&instance)?;
        Some((id, self.sessions.get(&id)?))
    }

    /// The connection of a session was let go of: nothing more comes by it. `received` of the peer's control frames came.
    pub(crate) fn let_go(&mut self, now: Timestamp, id: SessionId, received: u64, reason: Reason) {
        self.advance(now);
        if let Some(carrier) = self.sessions.get(&id).and_then(Session::carrier) {
            self.down(carrier, reason, None);
        }
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if let Carriage::None { received: known @ None, .. } = &mut session.carriage {
            *known = Some(received);
        }
        self.tell_resume(id);
    }

    /// Whether a session goes on when its link ends for this reason. Not where the peer started anew since: another one
    /// under its path came later.
    pub(super) fn outlives(&self, id: SessionId, reason: &Reason) -> bool {
        let Some(session) = self.sessions.get(&id).filter(|session| session.terms.resumes) else {
            return false;
        };
        let passing = matches!(reason.code(), ReasonCode::Lost | ReasonCode::Silent);
        let later = |other: &Session| other.path == session.path && other.began > session.began;
        passing && !self.closed && !self.sessions.values().any(later)
    }

    /// The link that carries a session is lost, and the session is not.
    pub(super) fn lose(&mut self, id: SessionId) {
        let now = self.now;
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.carriage = Carriage::None { since: now, received: None };
        self.timers.set(id, Timer::Lease, now + self.settings.lease);
        self.actions.push_back(Action::LetGo { session: id });
        self.thin_out();
    }

    /// No more sessions wait for a link than there may be links: else whoever comes and goes would leave any number of them
    /// behind. Those that waited longest are over.
    fn thin_out(&mut self) {
        let waiting = self.sessions.iter().filter_map(|(id, session)| match session.carriage {
            Carriage::None { since, .. } => Some((since, *id)),
            Carriage::By(_) => None,
        });
        let mut waiting: Vec<_> = waiting.collect();
        let most = self.settings.max_links;
        if waiting.len() > most {
            waiting.sort_unstable();
            for (_, id) in &waiting[..waiting.len() - most] {
                self.give_up(*id, words::too_many_waiting(&self.settings.path, most));
            }
        }
    }

    /// No link came in time.
    pub(super) fn expire(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get(&id) else { return };
        let Carriage::None { since, .. } = session.carriage else { return };
        let reason = words::lease_passed(&session.peer, &self.settings.path, self.now - since);
        self.give_up(id, reason);
    }

    /// Ends a session that no link carries, and the links that wait to carry it.
    pub(super) fn give_up(&mut self, id: SessionId, reason: Reason) {
        let Some(session) = self.sessions.get(&id) else { return };
        if let Some(carrier) = session.carrier() {
            return self.hang_up(carrier, reason);
        }
        let peer = session.peer.clone();
        self.actions.push_back(Action::HangUp { link: id, bye: None });
        self.end_session(id);
        self.tell(Event::SessionEnded { peer: PeerName::clone(&peer), reason });
    }

    /// Forgets a session, whose line is hung up.
    pub(super) fn end_session(&mut self, id: SessionId) {
        let Some(session) = self.sessions.remove(&id) else { return };
        self.by_peer.remove(&session.instance);
        if let Some(link) = session.carrier().or(session.last).and_then(|link| self.links.get_mut(&link)) {
            link.not_advertised = session.not_advertised.clone();
        }
        self.timers.cancel(id, Timer::Lease);
        let peer = PeerName::clone(&session.peer);
        for intent in session.outlets.values() {
            if let Some(route) = self.registry.intent(*intent).map(|own| own.declaration.route.clone()) {
                self.tell(Event::RouteUnlinked { route, peer: Some(peer.clone()), supplier: Side::Here });
            }
        }
        let inlets = session.inlets.iter().map(|(alias, inlet)| (*alias, *inlet));
        let (open, held): (Vec<_>, Vec<_>) =
            inlets.partition(|(alias, inlet)| self.is_open(id, *alias, *inlet));
        // Those first that must not take over from another of this link.
        for (alias, inlet) in held.into_iter().chain(open) {
            self.leave_inlet(id, alias, inlet, Some(peer.clone()));
        }
        for (number, intent) in &session.intents {
            self.registry.leave(Party::TheirIntent(id, *number), &intent.declared.route);
        }
        for (number, interest) in &session.interests {
            self.registry.leave(Party::TheirInterest(id, *number), &interest.declared.route);
        }
        self.relay_link_down(id);
        for (number, intent) in &session.intents {
            self.relay_intent_gone(id, session.instance, *number, intent);
        }
        self.untold.remove(&id);
        self.ended.remove(&id);
        self.dues.remove(&id);
        let waiting = session.standing_by.into_iter().chain(session.change.map(|change| change.link));
        for link in waiting.collect::<Vec<_>>() {
            self.hang_up(link, words::session_over(&self.settings.path, &session.path));
        }
    }

    /// A link whose handshake is done waits to carry a session.
    pub(super) fn stand_by(&mut self, id: LinkId, session_id: SessionId) {
        let now = self.now;
        let Some(session) = self.sessions.get_mut(&session_id) else { return };
        session.standing_by.insert(id);
        let is_carried = session.is_carried();
        let Some(link) = self.links.get_mut(&id) else { return };
        link.phase = Phase::StandsBy;
        link.session = Some(session_id);
        let (line, peer) = (link.line, link.peer_name());
        self.actions.push_back(Action::StandBy { link: line, session: session_id });
        self.timers.set(id, Timer::Silence, now + self.silence_of(id));
        if is_carried {
            self.tell(Event::LinkStandsBy { peer });
            self.ping(id, now);
        }
    }

    /// Has a link that stands by carry its session, whatever carries it now.
    pub(super) fn carry(&mut self, id: SessionId, link: LinkId) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if session.carriage == Carriage::By(link) || session.change.is_some_and(|change| change.link == link)
        {
            return;
        }
        let (other, carrier) = (session.change, session.carrier());
        session.standing_by.remove(&link);
        session.change = Some(Change { link, told: false, theirs: None });
        let url = self.links.get(&link).map(|link| link.peer.url.clone()).unwrap_or_default();
        if let Some(other) = other {
            self.hang_up(other.link, words::session_moves(&url));
        }
        // Nothing but RESUME may be said on it from now on.
        self.timers.cancel(link, Timer::Ping);
        let extra = self.links.get(&link).map_or(Duration::ZERO, |link| link.handshake_extra);
        self.timers.set(link, Timer::Handshake, self.now + self.settings.handshake_deadline + extra);
        if let Some(carrier) = carrier {
            self.down(carrier, words::session_moves(&url), None);
        }
        self.tell_resume(id);
    }

    /// Says RESUME once it is known what came.
    fn tell_resume(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let (Carriage::None { received: Some(received), .. }, Some(change)) =
            (session.carriage, &mut session.change)
        else {
            return;
        };
        if std::mem::replace(&mut change.told, true) {
            return;
        }
        let link = change.link;
        session.turn += 1;
        let turn = session.turn;
        if let Some(line) = self.links.get(&link).map(|link| link.line) {
            self.send(line, Control::Resume { received, turn }, Order::Ahead);
        }
        self.go_on(id);
    }

    /// The peer's RESUME came on a link, the one of this `turn`.
    pub(super) fn resume(&mut self, id: LinkId, received: u64, turn: u64) {
        let session_id = self
            .links
            .get(&id)
            .filter(|link| matches!(link.phase, Phase::StandsBy))
            .and_then(|link| link.session);
        let Some((session_id, session)) = session_id.and_then(|id| Some((id, self.sessions.get_mut(&id)?)))
        else {
            let text = "RESUME came on a link that carries a session, or has none";
            return self.hang_up(id, words::malformed(text));
        };
        if turn <= session.their_turn {
            // It was long under way: the session went on since, over another link.
            let reason = words::resume_passed(&session.path);
            return self.hang_up(id, reason);
        }
        match &mut session.change {
            Some(change) if change.link == id => {
                if change.theirs.replace((received, turn)).is_some() {
                    return self.hang_up(id, words::malformed("RESUME came twice"));
                }
                return self.go_on(session_id);
            }
            Some(change) => {
                let ours = self.links.get(&id).is_some_and(|link| link.dialler.is_some());
                if ours {
                    let chosen = change.link;
                    let url = self.links.get(&chosen).map(|link| link.peer.url.clone()).unwrap_or_default();
                    return self.hang_up(id, words::session_moves(&url));
                }
            }
            None => {}
        }
        self.carry(session_id, id);
        if let Some(change) = self.sessions.get_mut(&session_id).and_then(|session| session.change.as_mut()) {
            if change.link == id {
                change.theirs = Some((received, turn));
                self.go_on(session_id);
            }
        }
    }

    /// Both sides said RESUME: the session goes on.
    fn go_on(&mut self, id: SessionId) {
        let now = self.now;
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let Some(Change { link: link_id, told: true, theirs: Some((received, turn)) }) = session.change
        else {
            return;
        };
        let Some(link) = self.links.get_mut(&link_id) else { return };
        let since = match session.carriage {
            Carriage::None { since, .. } => since,
            Carriage::By(_) => now,
        };
        session.change = None;
        session.their_turn = turn;
        session.carriage = Carriage::By(link_id);
        session.peer = link.peer.clone();
        session.aliases.ask_again();
        link.phase = Phase::Up;
        link.reason = None;
        link.health.came_up(now, link.ping_interval, link.handshake_extra);
        let line = std::mem::replace(&mut link.line, id);
        if let Some(dialler) = &mut link.dialler {
            dialler.attempt = 0;
        }
        let (peer, version) = (link.peer.clone(), session.terms.version);
        let estimate = link.pulse.clock.best(now);
        self.by_line.remove(&line);
        if !session.dues.is_empty() {
            self.dues.insert(id);
        }
        self.ended.insert(id);
        self.timers.cancel(id, Timer::Lease);
        self.timers.cancel(link_id, Timer::Handshake);
        self.actions.push_back(Action::HandOver { session: id, line, peer: Arc::clone(&peer), received });
        if let Some(estimate) = estimate {
            let (offset_micros, error) = (estimate.offset_micros, estimate.error);
            self.actions.push_back(Action::Clock { link: id, offset_micros, error });
        }
        let peer = PeerName::clone(&peer);
        self.tell(Event::LinkUp { peer: peer.clone(), version });
        self.tell(Event::SessionResumed { peer, after: now - since });
        self.timers.set(link_id, Timer::Silence, now + self.silence_of(link_id));
        self.ping(link_id, now);
    }

    /// A link that carried a session, or stood by for it, is no more.
    pub(super) fn left(&mut self, id: SessionId, link: LinkId) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.standing_by.remove(&link);
        if session.change.is_some_and(|change| change.link == link) {
            session.change = None;
        }
        self.choose(id);
    }

    /// Finds the link that is to carry a session, if another one is to.
    pub(super) fn choose(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get(&id).filter(|session| session.change.is_none()) else { return };
        let ready = session.standing_by.iter().copied();
        let Some(best) = ready.min_by_key(|link| self.standing(*link)) else { return };
        let dialled = self.links.get(&best).is_some_and(|link| link.dialler.is_some());
        match session.carriage {
            Carriage::None { .. } if dialled || session.standing_by.len() == 1 => self.carry(id, best),
            Carriage::By(present) if dialled => {
                let (better, worse) = (self.standing(best), self.standing(present));
                let Some(since) = self.links.get(&best).map(|link| link.pulse.since) else { return };
                if worse.0 && !better.0 {
                    let patience = session.patience.max(FAILBACK / 2).saturating_mul(2).min(LONGEST_FAILBACK);
                    if let Some(session) = self.sessions.get_mut(&id) {
                        session.patience = patience;
                    }
                    self.carry(id, best);
                } else if better < worse && self.now - since >= session.patience.max(FAILBACK) {
                    self.carry(id, best);
                }
            }
            Carriage::None { .. } | Carriage::By(_) => {}
        }
    }

    /// The less, the rather a link is to carry its session: whether it is degraded, and its place among those that were named.
    fn standing(&self, id: LinkId) -> (bool, usize) {
        let Some(link) = self.links.get(&id) else { return (true, usize::MAX) };
        let place =
            link.dialler.as_ref().and_then(|dialler| dialler.group.iter().position(|other| *other == id));
        (link.health.is_degraded(), place.unwrap_or(usize::MAX))
    }
}

/// How long a better link must have stood by, at least, before a session goes back to it, and at most.
const FAILBACK: Duration = Duration::from_secs(3);
const LONGEST_FAILBACK: Duration = Duration::from_secs(60);
