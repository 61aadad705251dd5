//! One endpoint's control: its inputs, its actions and its wake-ups.

use super::handshake::kind;
use super::link::{Link, Phase, silence};
use super::registry::{OwnIntent, OwnInterest, Registry};
use super::relay::Relay;
use super::session::Session;
use super::timers::{Timer, Timers};
use super::ways::Ways;
use super::words;
use super::{Action, Declaration, IntentId, InterestId, LinkId, Order, SessionId};
use crate::delivery::Delivery;
use crate::event::Event;
use crate::health::HealthLimits;
use crate::path::Path;
use crate::peer::{PeerUrl, Scope};
use crate::priority::Priority;
use crate::reason::{Reason, ReasonCode};
use crate::route::Route;
use crate::time::Timestamp;
use crate::wire::control::{Control, Origin, Pong};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// What an engine is told once, at its start.
#[derive(Clone, Debug)]
pub(crate) struct EngineSettings {
    pub(crate) path: Path,
    pub(crate) scope: Scope,
    /// Unlike that of any other endpoint, now or before.
    pub(crate) instance: [u8; 16],
    /// Of all randomness: jitter and session numbers.
    pub(crate) seed: u64,
    pub(crate) ping_interval: Duration,
    pub(crate) handshake_deadline: Duration,
    pub(crate) backoff_min: Duration,
    pub(crate) backoff_max: Duration,
    /// How long a session goes on without a link; zero: not at all.
    pub(crate) lease: Duration,
    /// Before dialling again whoever refused for good.
    pub(crate) refused_wait: Duration,
    pub(crate) health: HealthLimits,
    /// The largest frame this endpoint takes.
    pub(crate) max_frame: u32,
    /// Accepted connections whose handshake is not done.
    pub(crate) max_pending: usize,
    /// Links of either kind.
    pub(crate) max_links: usize,
    /// Intents and interests of one peer, and pairs with it.
    pub(crate) max_routes_per_peer: usize,
    /// Routes under these are passed on between links.
    pub(crate) relay: Vec<Path>,
}

impl EngineSettings {
    /// The defaults: ping each second, handshake within 2 s, redial after 100 ms to 5 s or, if refused, 30 s, frames of 1 MiB,
    /// 100 pending and 1,024 links, 16,384 routes of a peer; sessions end with their links.
    pub(crate) fn new(path: Path, instance: [u8; 16], seed: u64) -> Self {
        Self {
            path,
            scope: Scope::Open,
            instance,
            seed,
            ping_interval: Duration::from_secs(1),
            handshake_deadline: Duration::from_secs(2),
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_secs(5),
            lease: Duration::ZERO,
            refused_wait: Duration::from_secs(30),
            health: HealthLimits::new(),
            max_frame: 1 << 20,
            max_pending: 100,
            max_links: 1024,
            max_routes_per_peer: 16_384,
            relay: Vec::new(),
        }
    }

    /// A peer that was not heard for so long is down: 3.5 ping intervals.
    pub(crate) fn silence(&self) -> Duration {
        silence(self.ping_interval)
    }
}

/// One endpoint's control.
///
/// The inputs of one link come in the order of its connection: nothing of an earlier connection after
/// `dialled` of a later. Frames that come while a link has no connection are ignored. A frame may have
/// been read before the last input's `now`; else time does not go back.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(super) settings: EngineSettings,
    pub(super) now: Timestamp,
    pub(super) rng: fastrand::Rng,
    pub(super) closed: bool,

    pub(super) links: BTreeMap<LinkId, Link>,
    next_link: u32,
    /// Accepted links whose handshake is not done, oldest first.
    pub(super) pending: BTreeSet<LinkId>,
    /// Sessions with peers, one for each instance.
    pub(super) sessions: BTreeMap<SessionId, Session>,
    /// How many sessions began.
    pub(super) begun: u64,
    pub(super) by_peer: BTreeMap<[u8; 16], SessionId>,
    /// The links of connections that go by another number.
    pub(super) by_line: BTreeMap<LinkId, LinkId>,
    /// Links that know their peer's instance.
    pub(super) by_instance: BTreeMap<[u8; 16], BTreeSet<LinkId>>,
    pub(super) timers: Timers,

    pub(super) registry: Registry,
    /// Pairs within this endpoint that are linked.
    pub(super) local: BTreeSet<(IntentId, InterestId)>,

    /// What is passed on between links.
    pub(super) relay: Relay,
    /// How each intent of a peer comes to each interest of this endpoint.
    pub(super) ways: BTreeMap<(InterestId, Origin), Ways>,

    /// Links that came up and were not told the tables yet.
    pub(super) untold: BTreeSet<LinkId>,
    /// Own parties that were withdrawn and whose peers were not told yet.
    pub(super) withdrawn_intents: Vec<(IntentId, Route)>,
    pub(super) withdrawn_interests: Vec<(InterestId, Route)>,
    /// Links on which aliases ended.
    pub(super) ended: BTreeSet<LinkId>,
    /// Links whose peers are to be told of faults.
    pub(super) dues: BTreeSet<LinkId>,

    pub(super) actions: VecDeque<Action>,
}

impl Engine {
    pub(crate) fn new(settings: EngineSettings) -> Self {
        Self {
            rng: fastrand::Rng::with_seed(settings.seed),
            relay: Relay::new(settings.relay.clone()),
            ways: BTreeMap::new(),
            settings,
            now: Timestamp::ZERO,
            closed: false,
            links: BTreeMap::new(),
            next_link: 0,
            pending: BTreeSet::new(),
            sessions: BTreeMap::new(),
            begun: 0,
            by_peer: BTreeMap::new(),
            by_line: BTreeMap::new(),
            by_instance: BTreeMap::new(),
            timers: Timers::default(),
            registry: Registry::default(),
            local: BTreeSet::new(),
            untold: BTreeSet::new(),
            withdrawn_intents: Vec::new(),
            withdrawn_interests: Vec::new(),
            ended: BTreeSet::new(),
            dues: BTreeSet::new(),
            actions: VecDeque::new(),
        }
    }

    /// Keeps a link to `url` from now on: dials at once, and again whenever it is down.
    #[cfg(test)]
    pub(crate) fn dialler(&mut self, now: Timestamp, url: Arc<PeerUrl>) -> LinkId {
        self.diallers(now, &[url])[0].0
    }

    /// Keeps several links to one peer, which carry one session in turn: the one first that is named first.
    pub(crate) fn diallers(&mut self, now: Timestamp, urls: &[Arc<PeerUrl>]) -> Vec<(LinkId, Arc<PeerUrl>)> {
        self.advance(now);
        let links: Vec<_> =
            urls.iter().map(|url| (self.add_dialler(Arc::clone(url)), Arc::clone(url))).collect();
        let group: Arc<[LinkId]> = links.iter().map(|(link, _)| *link).collect();
        for (id, _) in &links {
            if let Some(dialler) = self.links.get_mut(id).and_then(|link| link.dialler.as_mut()) {
                dialler.group = Arc::clone(&group);
            }
            self.dial(*id);
        }
        links
    }

    /// A connection came from `url`. It can be hung up at once.
    pub(crate) fn accepted(&mut self, now: Timestamp, url: String) -> LinkId {
        self.advance(now);
        self.add_accepted(url)
    }

    /// A `Dial` succeeded.
    pub(crate) fn dialled(&mut self, now: Timestamp, link: LinkId) {
        self.advance(now);
        self.greet(link);
    }

    /// The connection of a link carries no more than `rate` bytes a second: it is pinged less often
    /// if pings would take more than a hundredth of that. Said before `dialled`, or after `accepted`.
    pub(crate) fn set_rate(&mut self, link_id: LinkId, rate: Option<u64>) {
        let interval = self.settings.ping_interval.max(fitting_interval(rate));
        if let Some(link) = self.links.get_mut(&link_id) {
            link.ping_interval = interval;
            link.handshake_extra = handshake_time(rate);
            self.expect_handshake(link_id);
        }
    }

    /// A `Dial` failed.
    pub(crate) fn dial_failed(&mut self, now: Timestamp, link: LinkId, text: impl Into<String>) {
        self.advance(now);
        if matches!(self.links.get(&link), Some(Link { phase: Phase::Dialling, .. })) {
            self.down(link, Reason::new(ReasonCode::Unreachable, text), None);
        }
    }

    /// A frame came; `now` is when it was read.
    pub(crate) fn control(&mut self, now: Timestamp, line: LinkId, frame: Control) {
        self.advance(now);
        let link = self.link_at(line);
        match self.links.get(&link).map(|link| &link.phase) {
            Some(Phase::Handshaking(_)) if link == line || self.by_line.contains_key(&line) => match frame {
                Control::Bye(bye) => self.down(link, words::told(&bye), None),
                frame => self.handshake(link, &frame),
            },
            Some(Phase::StandsBy) => self.standing_by(link, frame, now),
            // Also what came before its link was lost.
            _ if self.sessions.contains_key(&line) => self.session(line, frame, now),
            _ => {}
        }
    }

    /// What came is no frame that the peer may send: says why and hangs up.
    pub(crate) fn fault(&mut self, now: Timestamp, line: LinkId, reason: Reason) {
        self.advance(now);
        let link = self.link_at(line);
        match self.sessions.contains_key(&line) {
            true => self.give_up(line, reason),
            false if self.is_connected(link) => self.hang_up(link, reason),
            false => {}
        }
    }

    /// The connection ended.
    pub(crate) fn link_lost(&mut self, now: Timestamp, line: LinkId, reason: Reason) {
        self.advance(now);
        let link = self.link_at(line);
        if self.is_connected(link) {
            self.down(link, reason, None);
        }
    }

    /// The link that a connection is of, now.
    pub(super) fn link_at(&self, line: LinkId) -> LinkId {
        match self.sessions.get(&line) {
            Some(session) => session.carrier().unwrap_or(NO_LINK),
            None => self.by_line.get(&line).copied().unwrap_or(line),
        }
    }

    /// By what the connection of a link goes.
    pub(super) fn line_of(&self, link: LinkId) -> LinkId {
        self.links.get(&link).map_or(link, |link| link.line)
    }

    /// Supplies a route of normal priority from now on.
    #[cfg(any(test, feature = "fuzzing", feature = "measuring"))]
    pub(crate) fn declare_intent(
        &mut self,
        now: Timestamp,
        intent: IntentId,
        declaration: Declaration,
        exclusive: bool,
        retained: bool,
    ) {
        self.declare_ranked(now, intent, declaration, (exclusive, retained, Priority::Normal));
    }

    /// Supplies a route from now on. Ids rise and are never used again.
    pub(crate) fn declare_ranked(
        &mut self,
        now: Timestamp,
        intent: IntentId,
        declaration: Declaration,
        (exclusive, retained, priority): (bool, bool, Priority),
    ) {
        self.advance(now);
        self.registry.declare_intent(intent, OwnIntent { declaration, exclusive, retained, priority });
    }

    /// Wants a route from now on. Ids rise and are never used again.
    pub(crate) fn declare_interest(
        &mut self,
        now: Timestamp,
        interest: InterestId,
        declaration: Declaration,
        delivery: Delivery,
    ) {
        self.advance(now);
        self.registry.declare_interest(interest, OwnInterest { declaration, delivery });
    }

    /// The route is no longer supplied by this intent.
    pub(crate) fn withdraw_intent(&mut self, now: Timestamp, intent: IntentId) {
        self.advance(now);
        self.retire_intent(intent);
    }

    /// The route is no longer wanted by this interest.
    pub(crate) fn withdraw_interest(&mut self, now: Timestamp, interest: InterestId) {
        self.advance(now);
        self.retire_interest(interest);
    }

    /// Says BYE on all links, and neither dials nor accepts from now on.
    pub(crate) fn close(&mut self, now: Timestamp) {
        self.advance(now);
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        let reason = words::closing(&self.settings.path);
        for link in self.links.keys().copied().collect::<Vec<_>>() {
            match self.links.get(&link).map(|link| &link.phase) {
                Some(Phase::Dialling) => self.down(link, reason.clone(), None),
                Some(Phase::Handshaking(_) | Phase::StandsBy | Phase::Up) => {
                    self.hang_up(link, reason.clone())
                }
                Some(Phase::Down) | None => {}
            }
        }
        for session in self.sessions.keys().copied().collect::<Vec<_>>() {
            self.give_up(session, reason.clone());
        }
        self.timers.clear_all();
    }

    /// Does what is due. `heard` says when bytes last came on a link.
    pub(crate) fn tick(&mut self, now: Timestamp, heard: &dyn Fn(LinkId) -> Timestamp) {
        self.advance(now);
        self.forgive_own_sleep();
        while let Some((due, link, timer)) = self.timers.pop(now) {
            match timer {
                Timer::Redial => self.dial(link),
                Timer::Handshake => {
                    let extra = self.links.get(&link).map_or(Duration::ZERO, |link| link.handshake_extra);
                    let deadline = self.settings.handshake_deadline + extra;
                    let reason = match self.links.get(&link).map(|link| &link.phase) {
                        // What it was to carry goes on over another one, on both sides.
                        Some(Phase::StandsBy) => words::resume_late(&self.settings.path, deadline),
                        _ => words::handshake_late(deadline),
                    };
                    self.hang_up(link, reason);
                }
                Timer::Ping => self.ping(link, due),
                Timer::Silence => self.listen(link, heard(self.line_of(link))),
                Timer::Lease => self.expire(link),
            }
        }
    }

    /// When `tick` is wanted next.
    pub(crate) fn next_wake(&self) -> Option<Timestamp> {
        self.timers.next()
    }

    /// How long nothing may be heard of a peer.
    pub(crate) fn silence(&self) -> Duration {
        self.settings.silence()
    }

    /// The next thing to do. What was declared and advertised since it last ran dry is compared, linked
    /// and advertised then, all at once.
    pub(crate) fn poll(&mut self) -> Option<Action> {
        if self.actions.is_empty() {
            self.flush();
        }
        self.actions.pop_front()
    }

    /// A frame on a link that stands by.
    fn standing_by(&mut self, link: LinkId, frame: Control, read: Timestamp) {
        let session = self.links.get(&link).and_then(|link| self.sessions.get(&link.session?));
        let changes = session.and_then(|session| session.change).is_some_and(|change| change.link == link);
        match frame {
            Control::Bye(bye) => self.down(link, words::told(&bye), None),
            // Nothing goes behind the RESUME.
            Control::Ping(_) if changes => {}
            Control::Ping(ping) => {
                let pong = Pong { echo: ping.sent, received: read, sent: self.now };
                self.send_to(link, Control::Pong(pong));
            }
            Control::Pong(pong) => self.pong(link, pong, read),
            Control::Resume { received, turn } => self.resume(link, received, turn),
            Control::Unknown { .. } => {}
            frame => {
                let text = format!("{} came on a link that stands by", kind(&frame));
                self.hang_up(link, words::malformed(text));
            }
        }
    }

    /// A frame of a session.
    fn session(&mut self, link: SessionId, frame: Control, read: Timestamp) {
        let carrier = self.sessions.get(&link).and_then(Session::carrier);
        match frame {
            Control::Bye(bye) => match carrier {
                Some(carrier) => self.down(carrier, words::told(&bye), None),
                None => {
                    let reason = words::told(&bye);
                    if !self.outlives(link, &reason) {
                        self.give_up(link, reason);
                    }
                }
            },
            Control::Ping(ping) => {
                let pong = Pong { echo: ping.sent, received: read, sent: self.now };
                if carrier.is_some() {
                    self.send(link, Control::Pong(pong), Order::Ahead);
                }
            }
            Control::Pong(pong) => {
                if let Some(carrier) = carrier {
                    self.pong(carrier, pong, read);
                }
            }
            Control::Intents(entries) => self.their_intents_changed(link, entries),
            Control::Interests(entries) => self.their_interests_changed(link, entries),
            Control::Notify(notify) => {
                // What the peer speaks of may have come in the same batch of inputs.
                self.flush();
                self.notified(link, notify);
            }
            Control::End { alias } => self.their_end(link, alias),
            Control::Hello(_) | Control::Accept(_) | Control::Resume { .. } => {
                let text = format!("{} came on a link that is up", kind(&frame));
                self.give_up(link, words::malformed(text));
            }
            Control::Credit(_)
            | Control::Time(_)
            | Control::Gap { .. }
            | Control::Lost { .. }
            | Control::Stalled { .. }
            | Control::At { .. }
            | Control::Mark { .. }
            | Control::Marked { .. }
            | Control::Unknown { .. } => {}
        }
    }

    pub(super) fn advance(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
    }

    pub(super) fn is_connected(&self, link: LinkId) -> bool {
        let link = self.links.get(&link);
        link.is_some_and(|link| link.is_agreed() || matches!(link.phase, Phase::Handshaking(_)))
    }

    /// A number for a new link.
    pub(super) fn new_link(&mut self) -> LinkId {
        loop {
            let id = LinkId(self.next_link);
            self.next_link = self.next_link.wrapping_add(1);
            let taken = self.links.contains_key(&id)
                || self.sessions.contains_key(&id)
                || self.by_line.contains_key(&id)
                || id == NO_LINK;
            if !taken {
                return id;
            }
        }
    }

    pub(super) fn send(&mut self, link: LinkId, frame: Control, order: Order) {
        self.actions.push_back(Action::Send { link, frame, order });
    }

    /// Sends a frame on the connection of a link that carries no session.
    pub(super) fn send_to(&mut self, link: LinkId, frame: Control) {
        self.send(self.line_of(link), frame, Order::Ahead);
    }

    pub(super) fn tell(&mut self, event: Event) {
        self.actions.push_back(Action::Event(event));
    }
}

/// What no link goes by.
const NO_LINK: LinkId = LinkId(u32::MAX);

/// How long the frames of a handshake take on a line of this many bytes a second, with what is repeated.
fn handshake_time(rate: Option<u64>) -> Duration {
    const BYTES: u64 = 1000;
    rate.map_or(Duration::ZERO, |rate| Duration::from_micros(BYTES * 1_000_000 / rate.max(1)))
}

/// How often a line of this many bytes a second can be pinged: each way a PING and a PONG of 46 bytes with
/// their framing, a hundredth of the line.
fn fitting_interval(rate: Option<u64>) -> Duration {
    const BYTES: u64 = 46;
    rate.map_or(Duration::ZERO, |rate| Duration::from_micros(BYTES * 100 * 1_000_000 / rate.max(1)))
}
