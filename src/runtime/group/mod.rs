//! One group of an endpoint: its socket, its reader thread, and the way of its samples.
//!
//! | File | What |
//! | --- | --- |
//! | `mod` | what changes who gets what: other members' announcements, own declarations, time |
//! | `reader` | the thread that takes datagrams |
//! | `table` | the look-up each datagram goes through |
//! | `outlet` | a sample's way out: one datagram, written by the thread that sends |
//! | `narrowing` | what the system drops before it wakes the reader |
//! | `port` | the socket and the counts |
//!
//! The reader handles announcements by itself: a sample that follows one finds its interests told. The
//! dispatcher hands over declarations and keeps the time. Both do it under one lock, which no sample takes, in
//! either direction: samples see an immutable table, and lists of outlets as of links.

mod narrowing;
pub(crate) mod outlet;
pub(crate) mod port;
mod reader;
pub(crate) mod status;
pub(crate) mod table;

use super::clock::Clock;
use super::events::EventSender;
use super::inbox::Inbox;
use super::input::Input;
use super::outlets::{Outlet, Outlets, Retained};
use super::source::{Source, SourceRef};
use crate::delivery::Delivery;
use crate::event::{Event, LostAt, PeerName};
use crate::peer::group::GroupUrl;
use crate::proto::group::{self, GroupAction, GroupSettings, MemberClock, Supply};
use crate::proto::{Declaration, IntentId, InterestId};
use crate::time::Timestamp;
use crate::transport::udp::group::GroupSocket;
use crate::wire::group::{Digest, Loss, SAMPLE_HEAD};
use crossbeam_channel::Sender;
use narrowing::Narrowing;
use outlet::GroupOutlet;
use parking_lot::Mutex;
use port::{Port, Tallies};
use status::GroupStatus;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use table::{Order, Table};

/// One group of an endpoint.
pub(crate) struct Group {
    port: Arc<Port>,
    events: EventSender,
    dispatcher: Sender<Input>,
    control: Mutex<Control>,
    /// When the dispatcher is to tick, in microseconds; `u64::MAX`: never.
    wake: AtomicU64,
    narrowing: Narrowing,
    table: Mutex<Arc<Table>>,
    /// Counts the published tables.
    edition: AtomicU64,
    joined: AtomicBool,
    closed: AtomicBool,
    /// And its farewell is out, which the reader must not cut off.
    parted: AtomicBool,
}

/// Who gets what.
struct Control {
    core: group::Group,
    intents: HashMap<IntentId, OwnIntent>,
    interests: HashMap<InterestId, OwnInterest>,
    sources: BTreeMap<(InterestId, Supply), Feed>,
    orders: BTreeMap<Supply, Arc<Order>>,
    losses_due: Timestamp,
}

struct OwnIntent {
    outlets: Arc<Outlets>,
    outlet: Arc<GroupOutlet>,
    open: bool,
}

struct OwnInterest {
    inbox: Arc<Inbox>,
    digest: Digest,
}

/// One intent of a member as one interest sees it.
struct Feed {
    source: SourceRef,
    clock: Arc<MemberClock>,
    /// What the application was told of its losses, here and on the way.
    seen: (u64, u64),
    /// What its member was told of both, and how often it is to be told so again.
    told: u64,
    again: u8,
}

/// What is to be done once the lock is given back.
#[derive(Default)]
struct After {
    /// Sent before anything else: what an intent sends once it knows of an interest comes behind the
    /// announcement that lets it be known.
    datagrams: Vec<Vec<u8>>,
    /// Intents whose number of interests changed, and whether one of these came late.
    wanted: Vec<(IntentId, bool)>,
}

impl Group {
    /// Opens the socket and joins; where that is not possible yet, each tick tries again.
    pub(crate) fn open(
        url: &GroupUrl,
        settings: GroupSettings,
        clock: Clock,
        events: EventSender,
        dispatcher: Sender<Input>,
    ) -> io::Result<Arc<Self>> {
        let socket = GroupSocket::open(url)?;
        let joined = socket.join().is_ok();
        let name = Arc::new(PeerName { path: None, url: url.url.clone() });
        let largest = url.mtu - SAMPLE_HEAD;
        let port = Arc::new(Port { socket, clock, name, largest, tallies: Tallies::default() });
        let core = group::Group::new(clock.now(), settings);
        let table = Arc::new(Table::new(core.sender()));
        Ok(Arc::new(Self {
            port,
            events,
            dispatcher,
            control: Mutex::new(Control {
                core,
                intents: HashMap::new(),
                interests: HashMap::new(),
                sources: BTreeMap::new(),
                orders: BTreeMap::new(),
                losses_due: Timestamp::ZERO,
            }),
            wake: AtomicU64::new(0),
            narrowing: Narrowing::new(),
            table: Mutex::new(table),
            edition: AtomicU64::new(0),
            joined: AtomicBool::new(joined),
            closed: AtomicBool::new(false),
            parted: AtomicBool::new(false),
        }))
    }

    pub(crate) fn url(&self) -> &str {
        &self.port.name.url
    }

    // ---- what the dispatcher does ---------------------------------------------------------------

    pub(crate) fn declare_intent(&self, outlets: &Arc<Outlets>, declaration: &Declaration) {
        self.drive(|control, now| {
            let id = outlets.id;
            let digest = Digest::of(&declaration.route);
            let outlet = GroupOutlet::new(Arc::clone(&self.port), digest, control.core.sender(), id);
            let own = OwnIntent { outlets: Arc::clone(outlets), outlet: Arc::new(outlet), open: false };
            control.intents.insert(id, own);
            control.core.declare_intent(now, id, declaration, outlets.exclusive, outlets.retains());
        });
    }

    pub(crate) fn declare_interest(&self, inbox: &Arc<Inbox>, declaration: &Declaration) {
        self.widen();
        self.drive(|control, now| {
            let (id, delivery) = (inbox.id, inbox.delivery);
            let digest = Digest::of(&declaration.route);
            control.interests.insert(id, OwnInterest { inbox: Arc::clone(inbox), digest });
            control.core.declare_interest(now, id, declaration, delivery);
            self.publish(control);
        });
    }

    pub(crate) fn withdraw_intent(&self, id: IntentId) {
        self.drive(|control, now| {
            control.core.withdraw_intent(now, id);
            if let Some(own) = control.intents.remove(&id) {
                own.outlet.set_interested(0);
            }
        });
    }

    pub(crate) fn withdraw_interest(&self, id: InterestId) {
        self.widen();
        self.drive(|control, now| {
            control.tell_losses(|interest| interest == id);
            control.core.withdraw_interest(now, id);
            // What it was supplied by goes while it is still there.
            self.apply(control, &mut After::default());
            control.interests.remove(&id);
            self.publish(control);
        });
    }

    pub(crate) fn next_wake(&self) -> Option<Timestamp> {
        match self.wake.load(Ordering::Relaxed) {
            u64::MAX => None,
            micros => Some(Timestamp::from_micros(micros)),
        }
    }

    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        self.next_wake().is_some_and(|wake| wake <= now)
    }

    /// Does what is due.
    pub(crate) fn tick(&self) {
        self.narrow();
        let trouble = self.join();
        self.drive(|control, now| {
            if let Some(text) = trouble {
                control.core.trouble(now, text);
            }
            control.core.tick(now);
            self.report_losses(control, now);
        });
    }

    /// Joins if that is yet to be done; what is wrong, if it cannot be.
    fn join(&self) -> Option<String> {
        if self.joined.load(Ordering::Relaxed) {
            return None;
        }
        match self.port.socket.join() {
            Ok(()) => {
                self.joined.store(true, Ordering::Relaxed);
                None
            }
            Err(error) => Some(format!("the group cannot be joined: {error}; trying again")),
        }
    }

    /// Says that this endpoint goes, and ends the reader.
    pub(crate) fn close(&self) {
        if !self.closed.swap(true, Ordering::AcqRel) {
            self.drive(|control, now| {
                control.losses_due = now;
                self.report_losses(control, now);
                control.core.close(now);
            });
            self.parted.store(true, Ordering::Release);
            // Once more, as one may be lost. It comes back to the reader, which then finds that it is over.
            let farewell = self.control.lock().core.farewell();
            self.port.send(&farewell, &[]);
        }
    }

    pub(crate) fn status(&self) -> GroupStatus {
        let control = self.control.lock();
        let members = control.core.members().map(|name| PeerName::clone(name)).collect();
        let counts = control.core.counts();
        drop(control);
        GroupStatus::new(self.url().to_owned(), members, counts, &self.port.tallies)
    }

    // ---- what both do ---------------------------------------------------------------------------

    /// Gives the core an input and does what it wants done. Datagrams go out without the lock.
    fn drive(&self, input: impl FnOnce(&mut Control, Timestamp)) {
        let now = self.port.clock.now();
        let mut after = After::default();
        let mut control = self.control.lock();
        input(&mut control, now);
        self.apply(&mut control, &mut after);
        let before = self.wake.load(Ordering::Relaxed);
        let losses = (!control.sources.is_empty()).then_some(control.losses_due);
        let next = control.core.next_wake().into_iter().chain(losses).min();
        let wake = next.map_or(u64::MAX, Timestamp::micros);
        self.wake.store(wake, Ordering::Relaxed);
        drop(control);
        let mut sent = true;
        for datagram in &after.datagrams {
            sent &= self.port.send(datagram, &[]);
        }
        if !sent && self.joined.load(Ordering::Relaxed) && !self.closed.load(Ordering::Relaxed) {
            let text = "an announcement could not be sent: there is no way to the group now".to_owned();
            self.control.lock().core.trouble(now, text);
        }
        for (intent, late) in after.wanted {
            self.control.lock().wanted(intent);
            if late {
                self.repeat(intent);
            }
        }
        if wake < before {
            // A full channel means that it is awake.
            let _ = self.dispatcher.try_send(Input::Tick);
        }
    }

    fn apply(&self, control: &mut Control, after: &mut After) {
        let mut changed = false;
        while let Some(action) = control.core.poll() {
            match action {
                GroupAction::Send(datagram) => after.datagrams.push(datagram),
                GroupAction::Wanted { intent, late } => after.wanted.push((intent, late)),
                GroupAction::Supplied { interest, supply, member, clock } => {
                    let Some(own) = control.interests.get(&interest) else { continue };
                    let source = Source::group(own.inbox.route.clone(), member, self.port.clock);
                    own.inbox.add_supplier(source.clone());
                    own.inbox.supplier_came(&source);
                    control.orders.entry(supply).or_default();
                    control.sources.insert((interest, supply), Feed::new(source, clock));
                    changed = true;
                }
                GroupAction::Unsupplied { interest, supply } => {
                    self.report_loss(control, interest, supply);
                    let Some(feed) = control.sources.remove(&(interest, supply)) else { continue };
                    if let Some(own) = control.interests.get(&interest) {
                        own.inbox.remove_supplier(&feed.source);
                    }
                    if !control.sources.keys().any(|(_, other)| *other == supply) {
                        control.orders.remove(&supply);
                    }
                    changed = true;
                }
                GroupAction::Event(event) => self.tell(event),
            }
        }
        if changed {
            self.publish(control);
        }
    }

    /// Sends the retained sample for one that came late.
    fn repeat(&self, intent: IntentId) {
        let own =
            self.control.lock().intents.get(&intent).map(|own| (own.outlet.clone(), own.outlets.clone()));
        if let Some((outlet, outlets)) = own {
            if let Some(retained) = outlets.give_retained(Retained::clone) {
                outlet.repeat(&retained);
            }
        }
    }

    /// Gives the reader a table of what is wanted now.
    fn publish(&self, control: &Control) {
        let mut table = Table::new(control.core.sender());
        for own in control.interests.values() {
            table.want(own.digest);
        }
        for ((interest, supply), feed) in &control.sources {
            let (Some(own), Some(order)) = (control.interests.get(interest), control.orders.get(supply))
            else {
                continue;
            };
            let taker = (Arc::clone(&own.inbox), feed.source.clone());
            table.supply(own.digest, *supply, order, &feed.clock, taker);
        }
        *self.table.lock() = Arc::new(table);
        self.edition.fetch_add(1, Ordering::Release);
    }

    fn tell(&self, event: Event) {
        match &event {
            Event::MemberJoined { member } => log::info!("{member} is in the group"),
            Event::MemberLeft { member, reason } => log::info!("{member} left the group: {reason}"),
            Event::GroupFault { url, text } => log::warn!("{url}: {text}"),
            Event::RouteRefused { route, refusal, .. } => log::warn!("{route} is not linked: {refusal}"),
            other => log::debug!("{other:?}"),
        }
        self.events.send(event);
    }

    // ---- losses ---------------------------------------------------------------------------------

    fn report_losses(&self, control: &mut Control, now: Timestamp) {
        if now < control.losses_due {
            return;
        }
        control.losses_due = now + LOSSES_EVERY;
        let feeds: Vec<_> = control.sources.keys().copied().collect();
        for (interest, supply) in feeds {
            self.report_loss(control, interest, supply);
        }
        control.tell_losses(|_| true);
    }

    fn report_loss(&self, control: &mut Control, interest: InterestId, supply: Supply) {
        let Control { sources, interests, .. } = control;
        let (Some(feed), Some(own)) = (sources.get_mut(&(interest, supply)), interests.get(&interest)) else {
            return;
        };
        let now = (feed.source.lost_here(), feed.source.lost_on_the_way());
        let seen = std::mem::replace(&mut feed.seen, now);
        if own.inbox.delivery == Delivery::Latest {
            return;
        }
        for (count, lost) in [(now.0 - seen.0, LostAt::Here), (now.1 - seen.1, LostAt::OnTheWay)] {
            if count > 0 {
                let (route, peer) = (own.inbox.route.clone(), feed.source.peer.as_deref().cloned());
                self.tell(Event::SamplesLost { route, peer, count, lost });
            }
        }
    }
}

impl Feed {
    fn new(source: SourceRef, clock: Arc<MemberClock>) -> Self {
        Self { source, clock, seen: (0, 0), told: 0, again: 0 }
    }

    /// What its member is to be told of its losses, if that is so.
    fn due_report(&mut self, interest: InterestId, supply: Supply) -> Option<Loss> {
        let lost = self.source.lost_here().saturating_add(self.source.lost_on_the_way());
        if lost != self.told {
            (self.told, self.again) = (lost, REPORTS);
        }
        self.again = self.again.checked_sub(1)?;
        let Supply { sender, intent } = supply;
        Some(Loss { sender, intent, interest: interest.0, lost })
    }
}

impl Control {
    /// Tells others what these interests missed of theirs.
    fn tell_losses(&mut self, which: impl Fn(InterestId) -> bool) {
        let Self { core, interests, sources, .. } = self;
        let told = sources.iter_mut().filter_map(|((interest, supply), feed)| {
            // What only wants the latest loses nothing.
            let own = interests.get(interest).filter(|own| own.inbox.delivery != Delivery::Latest)?;
            if which(own.inbox.id) { feed.due_report(*interest, *supply) } else { None }
        });
        let losses: Vec<_> = told.collect();
        core.report(&losses);
    }

    /// The number of interests of others in an intent has changed.
    fn wanted(&mut self, intent: IntentId) {
        let count = self.core.wanted(intent);
        let Some(own) = self.intents.get_mut(&intent) else { return };
        own.outlet.set_interested(count);
        let open = count > 0;
        if open == own.open {
            own.outlets.signal.raise();
            return;
        }
        own.open = open;
        let outlet = Arc::clone(&own.outlet);
        own.outlets.publish(|list| {
            if open {
                list.push(Outlet::Group(outlet));
            } else {
                list.retain(|other| !matches!(other, Outlet::Group(other) if Arc::ptr_eq(other, &outlet)));
            }
        });
    }
}

/// How often losses are looked at: an event, and a report to the others, at most this often.
const LOSSES_EVERY: Duration = Duration::from_secs(1);

/// How many reports tell of a loss, as each of them may be lost.
const REPORTS: u8 = 4;
