//! Doing what the engine wants done.

use super::closing::Lingering;
use super::dial;
use super::dispatcher::Dispatcher;
use super::edits::Place;
use super::feed::Feed;
use super::inbox::Inbox;
use super::line::{Change, Inlet, Line, Passage, Word};
use super::losses::Stream;
use super::outlets::{Outlet, Outlets, Retained};
use super::source::{Source, SourceRef};
use crate::delivery::Delivery;
use crate::event::Event;
use crate::links::Links;
use crate::peer::PeerUrl;
use crate::priority::Priority;
use crate::proto::{Action, IntentId, InterestId, LinkId, Order, Packing};
use crate::reason::ReasonCode;
use crate::route::Route;
use crate::wire::control::{Bye, Control};
use crate::wire::packed::OVERHEAD;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A flow of samples from one link to another.
pub(super) struct Relayed {
    pub(super) feed: Arc<Feed>,
    /// The link it goes to, and its alias there.
    pub(super) to: (LinkId, u32),
}

impl Dispatcher {
    /// Takes all the engine wants done, and does it.
    pub(super) fn apply_all(&mut self) {
        while let Some(action) = self.engine.poll() {
            self.apply(action);
        }
        self.publish_due();
    }

    fn apply(&mut self, action: Action) {
        match action {
            Action::Dial { link, line, url } => self.dial(link, line, url),
            Action::Watch { link } => self.watch(link),
            Action::Look { link } => {
                if let Some(seen) = self.lines.get(&link).map(|line| line.seen()) {
                    self.engine.look(self.clock.now(), link, seen);
                }
            }
            Action::Send { link, frame, order } => {
                if let Some(frame) = self.edits.hold_notice(link, frame) {
                    self.send(link, &frame, order);
                }
            }
            Action::HangUp { link, bye } => self.hang_up(link, bye),
            Action::LetGo { session } => {
                if let Some(line) = self.lines.get(&session) {
                    line.release();
                }
            }
            Action::StandBy { link, session } => {
                if let Some(line) = self.lines.get(&link) {
                    if let Some(session) = self.lines.get(&session) {
                        session.has_standing_by(line);
                    }
                    line.word(Word::StandBy);
                }
            }
            Action::HandOver { session, line, peer, received } => {
                let from = self.lines.remove(&line);
                let to = self.lines.get(&session);
                let (Some(from), Some(to)) = (from, to) else { return };
                to.set_peer(peer);
                to.will_attach(&from);
                from.word(Word::HandOver(Arc::clone(to), received));
            }
            Action::Up { link, peer, max_frame, fragments, packs, resumes } => {
                if let Some(line) = self.lines.get(&link) {
                    // One byte of each frame is for how its payload is packed.
                    let more = if packs { OVERHEAD as u32 } else { 0 };
                    line.up(peer, max_frame.saturating_sub(more), fragments, resumes);
                    line.word(Word::GoOn);
                }
            }
            Action::Clock { link, offset_micros, error } => {
                if let Some(line) = self.lines.get(&link) {
                    line.set_offset(offset_micros, error);
                }
            }
            Action::OpenOutlet { link, intent, alias, delivery, packed } => {
                self.open_outlet(link, intent, alias, delivery, packed);
            }
            Action::CloseOutlet { link, intent, alias } => self.close_outlet(link, intent, alias),
            Action::OpenInlet { link, interest, alias, packing } => {
                self.open_inlet(link, interest, alias, packing);
            }
            Action::DrainInlet { link, alias } => {
                if let Some(line) = self.lines.get(&link).cloned() {
                    self.close_inlet(link, alias);
                    line.change(Change::Drain(alias));
                }
            }
            Action::CloseInlet { link, alias } => {
                if let Some(line) = self.lines.get(&link).cloned() {
                    self.close_inlet(link, alias);
                    line.change(Change::Close(alias));
                }
            }
            Action::OpenRelay { route, from, from_alias, to, to_alias, delivery, priority, packed } => {
                self.open_relay(route, (from, from_alias), (to, to_alias), (delivery, priority), packed);
            }
            Action::CloseRelay { to, to_alias } => {
                if let Some(line) = self.lines.get(&to) {
                    line.end_lane(to_alias);
                }
            }
            Action::LinkLocal { intent, interest } => self.link_local(intent, interest),
            Action::UnlinkLocal { intent, interest } => self.unlink_local(intent, interest),
            Action::Event(event) => self.tell(event),
        }
    }

    fn tell(&mut self, event: Event) {
        match &event {
            Event::LinkDown { peer, reason } => log::info!("link to {peer} is down: {reason}"),
            Event::LinkUp { peer, version } => log::info!("link to {peer} is up, version {version}"),
            Event::LinkDegraded { peer, text, .. } => log::warn!("link to {peer} is degraded: {text}"),
            Event::LinkRecovered { peer, after, health } => {
                log::info!("link to {peer} is well again after {after:?}: {health}");
            }
            Event::RouteRefused { route, refusal, .. } => log::warn!("{route} is not linked: {refusal}"),
            other => log::debug!("{other:?}"),
        }
        // Whoever hears of a change finds it done.
        if let Some(event) = self.edits.hold_back(event) {
            self.events.send(event);
        }
    }

    fn dial(&mut self, link: LinkId, line: LinkId, url: Arc<PeerUrl>) {
        self.dialling.insert(link, line);
        // The thread takes one order at a time and the engine gives the next one only after an answer, and at most
        // one order to watch before it.
        let given =
            self.dials.get(&link).is_some_and(|orders| orders.try_send(dial::Order::Dial(url)).is_ok());
        if !given {
            let text = "the dialling thread is gone".to_owned();
            self.engine.dial_failed(self.clock.now(), link, text);
        }
    }

    fn watch(&mut self, link: LinkId) {
        // A thread that is gone, or has an order that waits, has no need to watch.
        let _ = self.dials.get(&link).map(|orders| orders.try_send(dial::Order::Watch));
    }

    pub(super) fn send(&mut self, link: LinkId, frame: &Control, order: Order) {
        if let Some(line) = self.lines.get(&link) {
            if !line.send(frame, order) {
                self.backlog(link);
            }
        }
    }

    fn hang_up(&mut self, link: LinkId, bye: Option<Bye>) {
        self.close_streams(link);
        let Some(line) = self.lines.remove(&link) else { return };
        if line.is_let_go() {
            // No thread is left that would tell of its end; one that is to come has nothing to come for.
            line.release();
            line.abort();
            line.forget();
            return self.report_end(&line);
        }
        let Some(bye) = bye else { return line.abort() };
        let drains = bye.code == ReasonCode::Closing;
        // Of one that said nothing yet, or nothing for long, nothing can be under way that would destroy the BYE. Of the
        // first there may be very many, and the others are dialled again.
        let silent = bye.code == ReasonCode::Silent && self.clock.now() - line.heard() >= LINGER;
        let at_once =
            silent || bye.code == ReasonCode::TooManyLinks || line.bytes_in.load(Ordering::Relaxed) == 0;
        line.finish(Some(&Control::Bye(bye)), drains, at_once);
        let span = if drains { self.engine.silence() } else { LINGER };
        let since = if drains { line.heard() } else { self.clock.now() };
        self.lingering.push(Lingering { until: since + span, line: Arc::downgrade(&line), drains });
    }

    /// All outlets and inlets of a link go with it.
    fn close_streams(&mut self, link: LinkId) {
        let all = (link, 0)..=(link, u32::MAX);
        let outgoing: Vec<_> =
            self.outgoing.range(all.clone()).map(|((_, alias), id)| (*alias, *id)).collect();
        for (alias, intent) in outgoing {
            let _untold = self.forget_outlet(link, intent, alias);
        }
        let incoming = self.incoming.range(all.clone()).map(|((_, alias), _)| *alias);
        let relayed = self.relayed.range(all).map(|((_, alias), _)| *alias);
        let incoming: Vec<_> = incoming.chain(relayed).collect();
        for alias in incoming {
            self.close_inlet(link, alias);
        }
    }

    // ---- samples out ------------------------------------------------------------------------

    fn open_outlet(&mut self, link: LinkId, intent: IntentId, alias: u32, delivery: Delivery, packed: bool) {
        if self.edits.is_closing(Place::Remote(link, alias)) {
            // Whoever had the alias before must not send under it any more.
            self.publish();
        }
        let (Some(line), Some(outlets)) = (self.lines.get(&link), self.intents.get(&intent)) else { return };
        let sending = (delivery, outlets.priority);
        let (route, signal) = (outlets.route.clone(), Arc::clone(&outlets.signal));
        let lane = line.open_lane(alias, sending, route, signal, outlets.bounds);
        if outlets.links != Links::Best {
            line.set_links(alias, outlets.links.clone());
        }
        let outlet = Outlet::remote(line, lane, delivery.is_lossless(), packed);
        self.edits.open(intent, Place::Remote(link, alias), outlet);
        self.outgoing.insert((link, alias), intent);
        self.checkups.linked(link, line);
        self.losses.begin(Stream::Out(link, alias));
    }

    fn close_outlet(&mut self, link: LinkId, intent: IntentId, alias: u32) {
        if let Some(notice) = self.forget_outlet(link, intent, alias) {
            // The peer must know the alias before it is told of its end.
            self.send(link, &notice, Order::InLine);
        }
        if let Some(line) = self.lines.get(&link) {
            line.end_lane(alias);
        }
    }

    /// What the peer was not told of the outlet yet.
    fn forget_outlet(&mut self, link: LinkId, intent: IntentId, alias: u32) -> Option<Control> {
        self.report_loss(Stream::Out(link, alias));
        self.losses.end(Stream::Out(link, alias));
        self.outgoing.remove(&(link, alias));
        self.edits.close(intent, Place::Remote(link, alias))
    }

    /// The first credit of a lane came: it is open now, and a latecomer gets the retained sample.
    pub(super) fn opened(&mut self, link: LinkId, line: &Line, alias: u32) {
        let intent = self.outgoing.get(&(link, alias));
        let Some(outlets) = intent.and_then(|id| self.intents.get(id)).map(Arc::clone) else { return };
        if outlets.retains() {
            // What the intent sends from now on, it must send here too.
            self.publish();
        }
        if let Some(lane) = line.lane(alias) {
            outlets.give_retained(|Retained { payload, sent, .. }| {
                line.put_retained(lane, payload, *sent);
            });
        }
        outlets.signal.raise();
    }

    // ---- samples in -------------------------------------------------------------------------

    fn open_inlet(&mut self, link: LinkId, interest: InterestId, alias: u32, packing: Packing) {
        let (Some(line), Some(inbox)) = (self.lines.get(&link), self.interests.get(&interest)) else {
            return;
        };
        let source = Source::remote(inbox.route.clone(), line, alias, inbox.window());
        let inlet = Inlet { inbox: Arc::clone(inbox), source: source.clone() };
        line.change(Change::open(alias, inlet, packing));
        inbox.add_supplier(source.clone());
        source.open();
        inbox.supplier_came(&source);
        self.incoming.insert((link, alias), (interest, source));
        self.checkups.linked(link, line);
        self.losses.begin(Stream::In(link, alias));
    }

    fn close_inlet(&mut self, link: LinkId, alias: u32) {
        self.close_relay(link, alias);
        self.report_loss(Stream::In(link, alias));
        self.losses.end(Stream::In(link, alias));
        if let Some((interest, source)) = self.incoming.remove(&(link, alias)) {
            source.end();
            if let Some(inbox) = self.interests.get(&interest) {
                inbox.remove_supplier(&source);
            }
        }
    }

    // ---- samples passed on ------------------------------------------------------------------

    fn open_relay(
        &mut self,
        route: Route,
        from: (LinkId, u32),
        to: (LinkId, u32),
        sending: (Delivery, Priority),
        packed: bool,
    ) {
        let (Some(source), Some(target)) = (self.lines.get(&from.0), self.lines.get(&to.0)) else { return };
        let feed = Feed::new(route, source, from.1);
        target.open_relay(to.1, sending, Arc::clone(&feed), packed);
        let passage = Passage { to: Arc::clone(target), alias: to.1, feed: Arc::clone(&feed), packed };
        source.change(Change::Relay(from.1, passage));
        self.relayed.insert(from, Relayed { feed, to });
        self.losses.begin(Stream::Relayed(from.0, from.1));
    }

    fn close_relay(&mut self, link: LinkId, alias: u32) {
        if self.relayed.contains_key(&(link, alias)) {
            self.report_loss(Stream::Relayed(link, alias));
            self.losses.end(Stream::Relayed(link, alias));
            if let Some(relayed) = self.relayed.remove(&(link, alias)) {
                relayed.feed.end();
            }
        }
    }

    // ---- inside this endpoint ---------------------------------------------------------------

    fn link_local(&mut self, intent: IntentId, interest: InterestId) {
        let (Some(outlets), Some(inbox)) = (self.intents.get(&intent), self.interests.get(&interest)) else {
            return;
        };
        let room = Arc::clone(&outlets.signal);
        let source = Source::local(inbox.route.clone(), self.clock, inbox.window(), room);
        let encoded = outlets.message != inbox.message;
        let outlet = Outlet::Local { inbox: Arc::clone(inbox), source: source.clone(), encoded };
        inbox.add_supplier(source.clone());
        self.edits.open(intent, Place::Local(interest), outlet);
        self.local.insert((intent, interest), source);
        self.losses.begin(Stream::Local(intent, interest));
    }

    fn unlink_local(&mut self, intent: IntentId, interest: InterestId) {
        let stream = Stream::Local(intent, interest);
        self.report_loss(stream);
        self.losses.end(stream);
        let Some(source) = self.local.remove(&(intent, interest)) else { return };
        self.edits.close(intent, Place::Local(interest));
        if let Some(inbox) = self.interests.get(&interest) {
            inbox.remove_supplier(&source);
        }
    }

    /// Gives a latecomer of this endpoint the retained sample, unless the intent sent it a newer one.
    pub(super) fn give_retained(&self, outlets: &Outlets, inbox: Arc<Inbox>, source: SourceRef) {
        if !inbox.is_callback() {
            outlets.give_retained(|retained| inbox.deliver_first(&source, retained));
            return;
        }
        // A callback is the application's code, which must not run on this thread.
        let Some(retained) = outlets.give_retained(Retained::clone) else { return };
        let name = format!("bowline/retained {}", inbox.route);
        let given = move || inbox.deliver_first(&source, &retained);
        if let Err(error) = self.ends.threads.start(name, given) {
            log::error!("no thread to give the retained sample on: {error}");
        }
    }
}

/// How long a line that was hung up may take to say BYE and hear the other side end. One that closes in an
/// orderly way has as long as the close has, while its peer is heard.
const LINGER: Duration = Duration::from_millis(250);
