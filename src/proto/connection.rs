//! How links come and go: dialling, handshakes, what becomes of a link that is up, ends.

use super::backoff::Backoff;
use super::engine::Engine;
use super::handshake::{CAPABILITIES, Handshake, Progress, VERSIONS};
use super::health::Health;
use super::link::{Dialler, Link, Phase, Pulse};
use super::session::{Session, Terms};
use super::timers::Timer;
use super::words;
use super::{Action, LinkId, SessionId};
use crate::event::{Event, PeerName};
use crate::path::Path;
use crate::peer::{PeerUrl, Scope};
use crate::reason::{Reason, ReasonCode};
use crate::time::Timestamp;
use crate::wire::control::{Accept, Bye, Control, Hello};
use crate::wire::kind::{FRAGMENTS, PACKS, RESUMES};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

impl Engine {
    pub(super) fn add_dialler(&mut self, url: Arc<PeerUrl>) -> LinkId {
        let id = self.new_link();
        let longest = if url.scheme() == "serial" { LONGEST_FOR_PORTS } else { Duration::MAX };
        let max = self.settings.backoff_max.min(longest);
        let backoff = Backoff::new(self.settings.backoff_min.min(max), max, longest);
        let link = Link {
            id,
            peer: Arc::new(PeerName { path: url.path().cloned(), url: url.to_string() }),
            own_scope: url.scope().unwrap_or(self.settings.scope) == Scope::Own,
            ping_interval: self.settings.ping_interval,
            handshake_extra: Duration::ZERO,
            dialler: Some(Dialler {
                url,
                backoff,
                attempt: 0,
                held: None,
                found: None,
                may_be_anew: false,
                group: [id].into(),
            }),
            phase: Phase::Down,
            line: id,
            session: None,
            instance: None,
            pulse: Pulse::default(),
            health: Health::new(self.settings.health),
            reason: None,
            not_advertised: BTreeSet::new(),
        };
        self.links.insert(id, link);
        id
    }

    pub(super) fn add_accepted(&mut self, url: String) -> LinkId {
        let id = self.new_link();
        let peer = PeerName { path: None, url };
        if self.closed {
            let reason = words::closing(&self.settings.path);
            self.actions.push_back(Action::HangUp { link: id, bye: Some(words::bye(&reason)) });
            self.tell(Event::LinkDown { peer, reason });
            return id;
        }
        self.tell(Event::LinkHandshaking { peer: peer.clone() });
        let handshake = Handshake::acceptor(self.hello(None, self.settings.scope == Scope::Own));
        let link = Link {
            id,
            dialler: None,
            peer: Arc::new(peer),
            own_scope: self.settings.scope == Scope::Own,
            ping_interval: self.settings.ping_interval,
            handshake_extra: Duration::ZERO,
            phase: Phase::Handshaking(Box::new(handshake)),
            line: id,
            session: None,
            instance: None,
            pulse: Pulse::default(),
            health: Health::new(self.settings.health),
            reason: None,
            not_advertised: BTreeSet::new(),
        };
        self.links.insert(id, link);
        self.pending.insert(id);
        self.timers.set(id, Timer::Handshake, self.now + self.settings.handshake_deadline);
        if self.pending.len() > self.settings.max_pending {
            if let Some(oldest) = self.pending.first().copied() {
                self.hang_up(oldest, words::too_many_pending(&self.settings.path, self.settings.max_pending));
            }
        }
        id
    }

    pub(super) fn dial(&mut self, id: LinkId) {
        if self.closed {
            return;
        }
        let Some(link) = self.links.get_mut(&id) else { return };
        let (Phase::Down, Some(dialler)) = (&link.phase, &mut link.dialler) else { return };
        dialler.attempt = dialler.attempt.saturating_add(1);
        dialler.held = None;
        let (url, attempt) = (dialler.url.clone(), dialler.attempt);
        // A session that is to go on keeps the number of the connection it began on.
        let line = if self.sessions.contains_key(&id) { self.new_link() } else { id };
        let Some(link) = self.links.get_mut(&id) else { return };
        link.line = line;
        if line != id {
            self.by_line.insert(line, id);
        }
        link.phase = Phase::Dialling;
        if link.peer.path.as_ref() != url.path() {
            link.peer = Arc::new(PeerName { path: url.path().cloned(), url: url.to_string() });
        }
        let peer = link.peer_name();
        self.tell(Event::LinkDialling { peer, attempt });
        self.actions.push_back(Action::Dial { link: id, line, url });
    }

    /// The dialler's connection stands.
    pub(super) fn greet(&mut self, id: LinkId) {
        let dialling = match self.links.get(&id) {
            Some(Link { phase: Phase::Dialling, dialler: Some(dialler), own_scope, .. }) => {
                Some((dialler.url.path().cloned(), *own_scope))
            }
            _ => None,
        };
        let Some((expected, own_scope)) = dialling else {
            // Cancelled meanwhile.
            let line = self.links.get(&id).map_or(id, |link| link.line);
            self.actions.push_back(Action::HangUp { link: line, bye: None });
            return;
        };
        let (session, joins) = self.to_go_on(id);
        let hello = Hello { session, joins, ..self.hello(expected, own_scope) };
        if let Some(link) = self.links.get_mut(&id) {
            link.phase = Phase::Handshaking(Box::new(Handshake::dialler(hello.clone())));
            let peer = link.peer_name();
            self.tell(Event::LinkHandshaking { peer });
        }
        self.expect_handshake(id);
        self.send_to(id, Control::Hello(hello));
    }

    /// The session to ask the peer of a dialled link for, and whether another of the links to that peer carries it.
    fn to_go_on(&self, id: LinkId) -> (u64, bool) {
        let Some(Link { dialler: Some(dialler), .. }) = self.links.get(&id) else { return (0, false) };
        // Not each of them may have found a peer that started anew.
        let found = dialler.group.iter().filter_map(|link| self.links.get(link)?.dialler.as_ref()?.found);
        let mut sessions = found.filter_map(|found| self.session_with(found));
        let Some((_, session)) = sessions.next() else { return (0, false) };
        let carrier = session.carrier().or(session.change.map(|change| change.link));
        match carrier {
            _ if !session.terms.resumes => (0, false),
            None => (session.terms.number, false),
            Some(carrier) if dialler.group.contains(&carrier) => (session.terms.number, true),
            Some(_) => (0, false),
        }
    }

    /// Sets the time by which the handshake of a link must be done.
    pub(super) fn expect_handshake(&mut self, id: LinkId) {
        let Some(Link { phase: Phase::Handshaking(_), handshake_extra, .. }) = self.links.get(&id) else {
            return;
        };
        let deadline = self.now + self.settings.handshake_deadline + *handshake_extra;
        self.timers.set(id, Timer::Handshake, deadline);
    }

    /// A frame while the handshake is not done.
    pub(super) fn handshake(&mut self, id: LinkId, frame: &Control) {
        let Some(handshake) = self.links.get_mut(&id).and_then(Link::handshake_mut) else { return };
        let progress = handshake.take(frame);
        if let (Some(theirs), Control::Hello(_)) = (handshake.theirs().cloned(), frame) {
            self.introduce(id, theirs.path, theirs.instance);
        }
        match progress {
            Ok(Progress::Greeted) => self.greeted(id),
            Ok(Progress::Agreed(accept)) => self.up(id, accept),
            Err(reason) => self.refuse(id, reason),
        }
    }

    fn introduce(&mut self, id: LinkId, path: Path, instance: [u8; 16]) {
        if let Some(link) = self.links.get_mut(&id) {
            link.instance = Some(instance);
            link.peer = Arc::new(PeerName { path: Some(path), url: link.peer.url.clone() });
        }
    }

    /// It is known who the peer is.
    fn greeted(&mut self, id: LinkId) {
        let Some(theirs) = self.links.get(&id).and_then(Link::greeting).cloned() else { return };
        self.by_instance.entry(theirs.instance).or_default().insert(id);
        if let Some(dialler) = self.links.get_mut(&id).and_then(|link| link.dialler.as_mut()) {
            dialler.found = Some(theirs.instance);
        }
        let goes_on = self.asked(id).is_some_and(|(_, joins)| joins);
        if let Some(kept) = if goes_on { None } else { self.kept_instead(id) } {
            let reason = self.lost_to(id, kept);
            return self.refuse(id, reason);
        }
        if self.is_full(id) {
            return self.refuse(id, words::too_many_links(&self.settings.path, self.settings.max_links));
        }
        let asked = self.asked(id).and_then(|(session, _)| Some(self.sessions.get(&session)?.terms.number));
        let (session, clock) = (asked.unwrap_or_else(|| self.rng.u64(1..)), self.now);
        let Some(link) = self.links.get_mut(&id) else { return };
        let accepted = link.dialler.is_none();
        let Some(handshake) = link.handshake_mut() else { return };
        if accepted {
            for frame in handshake.answer(session, clock) {
                self.send_to(id, frame);
            }
        }
    }

    /// The session that the dialler of a link asked to go on with, where this side has it with that peer; and whether it only
    /// joins it, as another link carries it.
    pub(super) fn asked(&self, id: LinkId) -> Option<(SessionId, bool)> {
        let link = self.links.get(&id)?;
        let Phase::Handshaking(handshake) = &link.phase else { return None };
        let theirs = handshake.theirs()?;
        let dialler = if link.dialler.is_some() { handshake.ours() } else { theirs };
        let (session_id, session) = self.session_with(theirs.instance)?;
        let same = session.terms.resumes && session.terms.number == dialler.session;
        same.then_some((session_id, dialler.joins))
    }

    /// Both sides agree.
    fn up(&mut self, id: LinkId, accept: Accept) {
        let asked = self.asked(id);
        let Some(link) = self.links.get_mut(&id) else { return };
        let dialled = link.dialler.is_some();
        let Some(theirs) = link.greeting().cloned() else { return };
        let Some(handshake) = link.handshake_mut() else { return };
        let dialler = if dialled { handshake.ours() } else { &theirs };
        let goes_on = dialler.session != 0 && dialler.session == accept.session;
        let joins = goes_on && dialler.joins;
        let named = dialler.session;
        let kept = match dialled {
            _ if joins => None,
            true => self.kept_instead(id),
            false => self.kept_after_all(id),
        };
        if let Some(kept) = kept {
            let reason = self.lost_to(id, kept);
            return self.hang_up(id, reason);
        }
        // One that began since over another link.
        let (known, _) = self.to_go_on(id);
        if dialled && !goes_on && known != 0 && known != named {
            return self.hang_up(id, words::session_began(&self.settings.path, &theirs.path));
        }
        if goes_on && asked.is_none() {
            // It ended since it was asked for.
            return self.hang_up(id, words::session_over(&self.settings.path, &theirs.path));
        }
        if !goes_on {
            if let Err(reason) = self.make_way(id, &theirs) {
                return self.hang_up(id, reason);
            }
        }
        if self.is_full(id) {
            return self.hang_up(id, words::too_many_links(&self.settings.path, self.settings.max_links));
        }
        if dialled {
            self.send_to(id, Control::Accept(accept));
        }
        self.agreed(id, theirs.clock);
        match asked.filter(|_| goes_on) {
            Some((session, _)) => {
                self.stand_by(id, session);
                if !joins || !self.sessions.get(&session).is_some_and(Session::is_carried) {
                    self.carry(session, id);
                }
            }
            None => self.begin_session(id, &theirs, accept),
        }
    }

    /// A new session begins with a peer: others with it, or with who it was before it started anew, are over.
    fn make_way(&mut self, id: LinkId, theirs: &Hello) -> Result<(), Reason> {
        let group =
            self.links.get(&id).and_then(|link| link.dialler.as_ref()).map(|dialler| dialler.group.clone());
        let stale = |session: &Session| match &group {
            // What the same links led to before.
            Some(group) => session.carrier().or(session.last).is_some_and(|link| group.contains(&link)),
            None => session.path == theirs.path && session.carrier().is_none(),
        };
        let others =
            self.sessions.iter().filter(|(_, session)| session.instance != theirs.instance && stale(session));
        for other in others.map(|(other, _)| *other).collect::<Vec<_>>() {
            if let Some(carrier) = self.sessions.get(&other).and_then(Session::carrier) {
                // Two links that were to lead to one peer lead to two.
                let url = self.links.get(&carrier).map(|link| link.peer.url.clone()).unwrap_or_default();
                let same = self.sessions.get(&other).is_some_and(|session| session.path == theirs.path);
                if let Some(dialler) = self.links.get_mut(&id).and_then(|link| link.dialler.as_mut()) {
                    dialler.may_be_anew = same;
                }
                return Err(words::another_peer(&theirs.path, &url));
            }
            self.give_up(other, words::peer_restarted(&theirs.path));
        }
        for other in self.rivals(id).map(|(other, ..)| other).collect::<Vec<_>>() {
            let reason = self.lost_to(other, id);
            self.hang_up(other, reason);
        }
        if let Some((other, _)) = self.session_with(theirs.instance) {
            self.give_up(other, words::session_unknown(&theirs.path));
        }
        Ok(())
    }

    /// The handshake of a link is done.
    fn agreed(&mut self, id: LinkId, their_clock: Timestamp) {
        let now = self.now;
        let Some(link) = self.links.get_mut(&id) else { return };
        let greeted_at = link.handshake_mut().map(|handshake| handshake.ours().clock);
        link.pulse = Pulse::new(now);
        if let (Some(greeted_at), Some(_)) = (greeted_at, &link.dialler) {
            // The peer's Hello answered ours, as a PONG answers a PING.
            link.pulse.clock.measure([greeted_at, their_clock, their_clock, now]);
        }
        link.health.came_up(now, link.ping_interval, link.handshake_extra);
        link.reason = None;
        if let Some(dialler) = &mut link.dialler {
            dialler.attempt = 0;
        }
        self.pending.remove(&id);
        self.timers.clear(id);
    }

    fn begin_session(&mut self, id: LinkId, theirs: &Hello, accept: Accept) {
        let now = self.now;
        let Some(link) = self.links.get_mut(&id) else { return };
        let (peer, line) = (link.peer.clone(), link.line);
        let has = |bit| accept.capabilities & bit != 0;
        let (fragments, packs, resumes) = (has(FRAGMENTS), has(PACKS), has(RESUMES));
        let terms = Terms {
            number: accept.session,
            version: accept.version,
            packs,
            resumes,
            own_scope: link.own_scope || theirs.scope_own,
        };
        link.phase = Phase::Up;
        link.session = Some(line);
        let estimate = link.pulse.clock.best(now);
        let not_advertised = std::mem::take(&mut link.not_advertised);
        self.by_line.remove(&line);
        let session = Session::new(terms, theirs.instance, theirs.path.clone(), peer.clone(), id);
        self.begun += 1;
        self.sessions.insert(line, Session { not_advertised, began: self.begun, ..session });
        self.by_peer.insert(theirs.instance, line);
        self.actions.push_back(Action::Up {
            link: line,
            peer: peer.clone(),
            max_frame: theirs.max_frame,
            fragments,
            packs,
            resumes,
        });
        self.tell(Event::LinkUp { peer: PeerName::clone(&peer), version: accept.version });
        if let Some(estimate) = estimate {
            self.actions.push_back(Action::Clock {
                link: line,
                offset_micros: estimate.offset_micros,
                error: estimate.error,
            });
        }
        self.untold.insert(line);
        if !self.relay.prefixes.is_empty() {
            self.relay.untold.insert(line);
        }
        self.timers.set(id, Timer::Silence, now + self.silence_of(id));
        self.ping(id, now);
    }

    /// Ends a handshake with a BYE, so that the peer knows who refuses it and why.
    fn refuse(&mut self, id: LinkId, reason: Reason) {
        let clock = self.now;
        let handshake = self.links.get_mut(&id).and_then(Link::handshake_mut);
        if let Some(hello) = handshake.and_then(|handshake| handshake.owed_hello(clock)) {
            self.send_to(id, hello);
        }
        self.hang_up(id, reason);
    }

    /// Ends a connection with a BYE.
    pub(super) fn hang_up(&mut self, id: LinkId, reason: Reason) {
        let bye = words::bye(&reason);
        self.down(id, reason, Some(bye));
    }

    /// Ends a link's connection, or its attempt at one.
    pub(super) fn down(&mut self, id: LinkId, reason: Reason, bye: Option<Bye>) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let failed_dial = matches!(link.phase, Phase::Dialling) && reason.code() == ReasonCode::Unreachable;
        if matches!(link.phase, Phase::Down) {
            return;
        }
        link.phase = Phase::Down;
        link.reason = Some(reason.clone());
        let (instance, session, line) = (link.instance.take(), link.session.take(), link.line);
        let (peer, accepted) = (link.peer_name(), link.dialler.is_none());
        let mut left = None;
        match session {
            Some(session) if self.sessions.get(&session).and_then(Session::carrier) == Some(id) => {
                if self.outlives(session, &reason) {
                    if let Some(session) = self.sessions.get_mut(&session) {
                        session.last = Some(id);
                    }
                    self.lose(session);
                    left = Some(session);
                } else {
                    self.actions.push_back(Action::HangUp { link: line, bye });
                    self.end_session(session);
                }
            }
            session => {
                if !failed_dial {
                    self.actions.push_back(Action::HangUp { link: line, bye });
                }
                left = session;
            }
        }
        self.by_line.remove(&line);
        self.timers.clear(id);
        self.pending.remove(&id);
        self.tell(Event::LinkDown { peer, reason: reason.clone() });
        if accepted {
            self.links.remove(&id);
        } else if !self.closed {
            self.plan_redial(id, &reason, instance);
        }
        if let Some(instance) = instance {
            self.release(id, instance);
        }
        if let Some(session) = left {
            self.left(session, id);
        }
    }

    fn plan_redial(&mut self, id: LinkId, reason: &Reason, instance: Option<[u8; 16]>) {
        let others = instance.and_then(|instance| self.by_instance.get(&instance));
        let group =
            self.links.get(&id).and_then(|link| link.dialler.as_ref()).map(|dialler| dialler.group.clone());
        let joins = |other: &LinkId| group.as_ref().is_some_and(|group| group.contains(other));
        let mut others = others.into_iter().flatten().filter(|other| **other != id).peekable();
        let kept = others.peek().is_some();
        // The other one was first, and this one joins what that one began, or goes on with it.
        let joins = others.any(joins) || (!reason.is_by_peer() && self.to_go_on(id).0 != 0);
        let Some(Link { dialler: Some(dialler), .. }) = self.links.get_mut(&id) else { return };
        let duplicate = reason.code() == ReasonCode::Duplicate;
        if duplicate && kept && !joins {
            dialler.held = instance;
            return;
        }
        let myself = instance == Some(self.settings.instance);
        let anew = std::mem::take(&mut dialler.may_be_anew);
        let passing = !myself && (reason.is_transient() || anew);
        let wait = if duplicate && joins {
            dialler.backoff.soon(&mut self.rng)
        } else if !passing {
            dialler.backoff.refused(self.settings.refused_wait, &mut self.rng)
        } else {
            if duplicate || anew {
                // The peer is there, and will take us once it notices, or we do, that its other link is dead.
                dialler.backoff.ease();
            }
            dialler.backoff.next(&mut self.rng)
        };
        self.timers.set(id, Timer::Redial, self.now + wait);
        if passing {
            self.actions.push_back(Action::Watch { link: id });
        }
    }

    fn hello(&self, expected: Option<Path>, scope_own: bool) -> Hello {
        let ping = self.settings.ping_interval.as_millis();
        Hello {
            version_min: VERSIONS.0,
            version_max: VERSIONS.1,
            capabilities: if self.settings.lease.is_zero() { CAPABILITIES & !RESUMES } else { CAPABILITIES },
            instance: self.settings.instance,
            session: 0,
            scope_own,
            joins: false,
            max_frame: self.settings.max_frame,
            ping_millis: u32::try_from(ping).unwrap_or(u32::MAX),
            clock: self.now,
            path: self.settings.path.clone(),
            expected,
        }
    }
}

/// The longest wait before a serial port is tried again. Nobody is troubled by that, as a machine with many peers
/// would be, and a port that is plugged in should be back at once.
const LONGEST_FOR_PORTS: Duration = Duration::from_millis(500);
