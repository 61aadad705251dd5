//! How links come and go: dialling, handshakes, one link per peer, ends.
//!
//! An endpoint keeps one link to each instance of a peer. A link that is up and alive is kept: the
//! acceptor refuses another one when it sees the dialler's Hello, the dialler when it has to send its
//! final. Where both ends dial at once, each may have let the other's connection pass before its own
//! came up; then the one stays that the smaller instance dialled, and both see it so. A link that was
//! refused waits until the kept one is down. Where a peer dials although a link that it dialled is up
//! here, it must have lost that one: the new one takes its place.

use super::backoff::Backoff;
use super::engine::Engine;
use super::handshake::{CAPABILITIES, Handshake, Progress, VERSIONS};
use super::health::Health;
use super::link::{Dialler, Link, Phase};
use super::registry::Party;
use super::session::Session;
use super::timers::Timer;
use super::words;
use super::{Action, LinkId, Order};
use crate::event::{Event, PeerName, Side};
use crate::path::Path;
use crate::peer::{PeerUrl, Scope};
use crate::reason::{Reason, ReasonCode};
use crate::wire::control::{Accept, Bye, Control, Hello};
use crate::wire::kind::{FRAGMENTS, PACKS};
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
            dialler: Some(Dialler { url, backoff, attempt: 0, held: None }),
            phase: Phase::Down,
            health: Health::new(self.settings.health),
            reason: None,
            not_advertised: BTreeSet::new(),
        };
        self.links.insert(id, link);
        self.dial(id);
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
        link.phase = Phase::Dialling;
        if link.peer.path.as_ref() != url.path() {
            link.peer = Arc::new(PeerName { path: url.path().cloned(), url: url.to_string() });
        }
        let peer = link.peer_name();
        self.tell(Event::LinkDialling { peer, attempt });
        self.actions.push_back(Action::Dial { link: id, url });
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
            self.actions.push_back(Action::HangUp { link: id, bye: None });
            return;
        };
        let hello = self.hello(expected, own_scope);
        if let Some(link) = self.links.get_mut(&id) {
            link.phase = Phase::Handshaking(Box::new(Handshake::dialler(hello.clone())));
            let peer = link.peer_name();
            self.tell(Event::LinkHandshaking { peer });
        }
        self.expect_handshake(id);
        self.send(id, Control::Hello(hello), Order::Ahead);
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
            self.introduce(id, theirs.path);
        }
        match progress {
            Ok(Progress::Greeted) => self.greeted(id),
            Ok(Progress::Agreed(accept)) => self.up(id, accept),
            Err(reason) => self.refuse(id, reason),
        }
    }

    fn introduce(&mut self, id: LinkId, path: Path) {
        if let Some(link) = self.links.get_mut(&id) {
            link.peer = Arc::new(PeerName { path: Some(path), url: link.peer.url.clone() });
        }
    }

    /// It is known who the peer is.
    fn greeted(&mut self, id: LinkId) {
        if let Some(instance) = self.links.get(&id).and_then(Link::instance) {
            self.by_instance.entry(instance).or_default().insert(id);
        }
        if let Some(kept) = self.kept_instead(id) {
            let reason = self.lost_to(id, kept);
            return self.refuse(id, reason);
        }
        if self.is_full(id) {
            return self.refuse(id, words::too_many_links(&self.settings.path, self.settings.max_links));
        }
        let (session, clock) = (self.rng.u64(1..), self.now);
        let Some(link) = self.links.get_mut(&id) else { return };
        let accepted = link.dialler.is_none();
        let Some(handshake) = link.handshake_mut() else { return };
        if accepted {
            for frame in handshake.answer(session, clock) {
                self.send(id, frame, Order::Ahead);
            }
        }
    }

    /// Both sides agree.
    fn up(&mut self, id: LinkId, accept: Accept) {
        let now = self.now;
        let Some(link) = self.links.get_mut(&id) else { return };
        let wish = link.own_scope;
        let dialled = link.dialler.is_some();
        let Some(handshake) = link.handshake_mut() else { return };
        let Some(theirs) = handshake.theirs().cloned() else { return };
        let greeted_at = handshake.ours().clock;
        let own_scope = wish || theirs.scope_own;
        let kept = if dialled { self.kept_instead(id) } else { self.kept_after_all(id) };
        if let Some(kept) = kept {
            let reason = self.lost_to(id, kept);
            return self.hang_up(id, reason);
        }
        for other in self.rivals(id).map(|(other, ..)| other).collect::<Vec<_>>() {
            let reason = self.lost_to(other, id);
            self.hang_up(other, reason);
        }
        if self.is_full(id) {
            return self.hang_up(id, words::too_many_links(&self.settings.path, self.settings.max_links));
        }
        if dialled {
            self.send(id, Control::Accept(accept), Order::Ahead);
        }
        let Some(link) = self.links.get_mut(&id) else { return };
        let mut session = Session::new(theirs.instance, theirs.path, own_scope, now);
        session.packs = accept.capabilities & PACKS != 0;
        let (fragments, packs) = (accept.capabilities & FRAGMENTS != 0, session.packs);
        if dialled {
            // The peer's Hello answered ours, as a PONG answers a PING.
            session.clock.measure([greeted_at, theirs.clock, theirs.clock, now]);
        }
        let estimate = session.clock.best(now);
        link.phase = Phase::Up(Box::new(session));
        link.health.came_up(now, link.ping_interval, link.handshake_extra);
        link.reason = None;
        if let Some(dialler) = &mut link.dialler {
            dialler.attempt = 0;
        }
        let peer = link.peer.clone();
        let name = link.peer_name();
        self.pending.remove(&id);
        self.timers.clear(id);
        self.actions.push_back(Action::Up { link: id, peer, max_frame: theirs.max_frame, fragments, packs });
        self.tell(Event::LinkUp { peer: name, version: accept.version });
        if let Some(estimate) = estimate {
            self.actions.push_back(Action::Clock {
                link: id,
                offset_micros: estimate.offset_micros,
                error: estimate.error,
            });
        }
        self.untold.insert(id);
        if !self.relay.prefixes.is_empty() {
            self.relay.untold.insert(id);
        }
        let silence = self.links.get(&id).map_or(Duration::ZERO, Link::silence);
        self.timers.set(id, Timer::Silence, now + silence);
        self.ping(id, now);
    }

    /// Ends a handshake with a BYE, so that the peer knows who refuses it and why.
    fn refuse(&mut self, id: LinkId, reason: Reason) {
        let clock = self.now;
        let handshake = self.links.get_mut(&id).and_then(Link::handshake_mut);
        if let Some(hello) = handshake.and_then(|handshake| handshake.owed_hello(clock)) {
            self.send(id, hello, Order::Ahead);
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
        let instance = link.instance();
        let failed_dial = matches!(link.phase, Phase::Dialling) && reason.code() == ReasonCode::Unreachable;
        let phase = std::mem::replace(&mut link.phase, Phase::Down);
        if matches!(phase, Phase::Down) {
            return;
        }
        link.reason = Some(reason.clone());
        let (peer, accepted) = (link.peer_name(), link.dialler.is_none());
        if !failed_dial {
            self.actions.push_back(Action::HangUp { link: id, bye });
        }
        if let Phase::Up(session) = phase {
            self.end_session(id, &session, &peer);
        }
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
    }

    fn end_session(&mut self, id: LinkId, session: &Session, peer: &PeerName) {
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
    }

    fn plan_redial(&mut self, id: LinkId, reason: &Reason, instance: Option<[u8; 16]>) {
        let others = instance.and_then(|instance| self.by_instance.get(&instance));
        let kept = others.is_some_and(|links| links.iter().any(|other| *other != id));
        let Some(Link { dialler: Some(dialler), .. }) = self.links.get_mut(&id) else { return };
        let duplicate = reason.code() == ReasonCode::Duplicate;
        if duplicate && kept {
            dialler.held = instance;
            return;
        }
        let myself = instance == Some(self.settings.instance);
        let passing = !myself && reason.is_transient();
        let wait = if !passing {
            dialler.backoff.refused(self.settings.refused_wait, &mut self.rng)
        } else {
            if duplicate {
                // The peer is there, and will take us once it notices that its other link is dead.
                dialler.backoff.ease();
            }
            dialler.backoff.next(&mut self.rng)
        };
        self.timers.set(id, Timer::Redial, self.now + wait);
        if passing {
            self.actions.push_back(Action::Watch { link: id });
        }
    }

    /// A link of that instance is down: those that were held for it try again.
    fn release(&mut self, id: LinkId, instance: [u8; 16]) {
        let Some(links) = self.by_instance.get_mut(&instance) else { return };
        links.remove(&id);
        if !links.is_empty() {
            return;
        }
        self.by_instance.remove(&instance);
        for (held, link) in &mut self.links {
            if let Some(dialler) = link.dialler.as_mut().filter(|dialler| dialler.held == Some(instance)) {
                dialler.held = None;
                if !self.closed {
                    let wait = dialler.backoff.soon(&mut self.rng);
                    self.timers.set(*held, Timer::Redial, self.now + wait);
                }
            }
        }
    }

    /// The other links to the peer of `id` that are up.
    fn rivals(&self, id: LinkId) -> impl Iterator<Item = (LinkId, &Link, &Session)> {
        let instance = self.links.get(&id).and_then(Link::instance);
        let links = instance.and_then(|instance| self.by_instance.get(&instance)).into_iter().flatten();
        let others = links.filter(move |other| **other != id);
        others.filter_map(|other| {
            let link = self.links.get(other)?;
            Some((*other, link, link.session()?))
        })
    }

    /// A link to the same peer that is kept instead of `id`, as long as `id` was not promised to be kept:
    /// one that is up and alive. Where the peer dialled both, it must have given the older one up.
    fn kept_instead(&self, id: LinkId) -> Option<LinkId> {
        let dialled = self.links.get(&id).is_some_and(|link| link.dialler.is_some());
        let kept = self.rivals(id).find(|(_, other, session)| {
            self.is_alive(other, session) && (dialled || other.dialler.is_some())
        });
        kept.map(|(other, ..)| other)
    }

    /// The same for an accepted link whose dialler sent its final: both sides may have promised to keep
    /// their own. The one that the smaller instance dialled stays, and both sides see it so.
    fn kept_after_all(&self, id: LinkId) -> Option<LinkId> {
        let instance = self.links.get(&id).and_then(Link::instance)?;
        let ours_stays = self.settings.instance < instance;
        let kept = self.rivals(id).find(|(_, other, session)| {
            ours_stays && other.dialler.is_some() && self.is_alive(other, session)
        });
        kept.map(|(other, ..)| other)
    }

    /// Whether there are links enough without this one, which was accepted. Those whose handshake is not
    /// done have a limit of their own, and those this one would replace do not count.
    fn is_full(&self, id: LinkId) -> bool {
        let accepted = |id| self.links.get(&id).is_some_and(|link| link.dialler.is_none());
        let replaced = self.rivals(id).filter(|(other, ..)| accepted(*other)).count();
        accepted(id) && self.links.len() - self.pending.len() - replaced >= self.settings.max_links
    }

    /// Whether the peer came up or answered a ping not long ago.
    fn is_alive(&self, link: &Link, session: &Session) -> bool {
        self.now - session.answered_at <= link.ping_interval.saturating_mul(2)
    }

    fn lost_to(&self, id: LinkId, kept: LinkId) -> Reason {
        let name = |link: LinkId| self.links.get(&link).map(|link| &link.peer);
        let peer = name(id).and_then(|peer| peer.path.as_ref()).unwrap_or(&self.settings.path);
        let kept = name(kept).map_or("", |peer| peer.url.as_str());
        words::other_link_kept(&self.settings.path, peer, kept)
    }

    fn hello(&self, expected: Option<Path>, scope_own: bool) -> Hello {
        let ping = self.settings.ping_interval.as_millis();
        Hello {
            version_min: VERSIONS.0,
            version_max: VERSIONS.1,
            capabilities: CAPABILITIES,
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
