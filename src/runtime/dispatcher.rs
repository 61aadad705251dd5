//! The dispatcher thread: the only place where control happens.
//!
//! It owns the [`Engine`], which decides, and the tables that say which line, intent and interest a
//! number stands for. It never waits but for its one channel and the engine's next wake-up.

use super::actions::Relayed;
use super::checkups::Checkups;
use super::clock::Clock;
use super::closing::Lingering;
use super::dial::Order;
use super::edits::Edits;
use super::events::EventSender;
use super::gate::Gate;
use super::group::Group;
use super::inbox::Inbox;
use super::input::{Input, LineInput};
use super::line::Line;
use super::losses::{Losses, Stream};
use super::outlets::Outlets;
use super::refusals::Refused;
use super::source::SourceRef;
use super::stalls::Stall;
use super::status::LinkStatus;
use super::threads::Threads;
use crate::event::Event;
use crate::proto::{Engine, IntentId, InterestId, LinkId};
use crate::reason::{Reason, ReasonCode};
use crate::time::Timestamp;
use crate::transport::{Cancel, Listener};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The state of the dispatcher thread.
pub(crate) struct Dispatcher {
    pub(super) engine: Engine,
    pub(super) clock: Clock,
    pub(super) inputs: Receiver<Input>,
    pub(super) events: EventSender,
    pub(super) lines: BTreeMap<LinkId, Arc<Line>>,
    /// Lines that were hung up and may still be saying BYE.
    pub(super) lingering: Vec<Lingering>,
    /// Lines whose threads have not ended.
    pub(super) open_lines: usize,
    pub(super) dials: BTreeMap<LinkId, Sender<Order>>,
    /// By what the connection goes that a link is being dialled for.
    pub(super) dialling: BTreeMap<LinkId, LinkId>,
    pub(super) intents: BTreeMap<IntentId, Arc<Outlets>>,
    pub(super) interests: BTreeMap<InterestId, Arc<Inbox>>,
    /// Which intent sends under an alias of a link.
    pub(super) outgoing: BTreeMap<(LinkId, u32), IntentId>,
    /// Which interest an alias of a link is for.
    pub(super) incoming: BTreeMap<(LinkId, u32), (InterestId, SourceRef)>,
    /// What is passed on, by the link and alias it comes from.
    pub(super) relayed: BTreeMap<(LinkId, u32), Relayed>,
    pub(super) local: BTreeMap<(IntentId, InterestId), SourceRef>,
    pub(super) losses: Losses,
    pub(super) checkups: Checkups,
    pub(super) groups: Vec<Arc<Group>>,
    /// Connections that were turned away, to be told.
    pub(super) refused: Refused,
    /// What changed in where intents send, to be published.
    pub(super) edits: Edits,
    /// Lines with inputs waiting, each once.
    pub(super) ready: VecDeque<LinkId>,
    pub(super) ends: Ends,
}

/// What the dispatcher ends when the endpoint closes.
pub(crate) struct Ends {
    /// Shut when the endpoint begins to close.
    pub(crate) gate: Arc<Gate>,
    pub(crate) listeners: Vec<Arc<dyn Listener>>,
    /// Dropped to end the acceptors.
    pub(crate) acceptors: Option<Sender<()>>,
    pub(crate) cancel: Cancel,
    pub(crate) threads: Threads,
}

/// The parts a dispatcher is made of.
pub(crate) struct Parts {
    pub(crate) engine: Engine,
    pub(crate) clock: Clock,
    pub(crate) inputs: Receiver<Input>,
    pub(crate) events: EventSender,
    pub(crate) dials: BTreeMap<LinkId, Sender<Order>>,
    pub(crate) groups: Vec<Arc<Group>>,
    pub(crate) ends: Ends,
}

impl Dispatcher {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { engine, clock, inputs, events, dials, groups, ends } = parts;
        Self {
            engine,
            clock,
            inputs,
            events,
            lines: BTreeMap::new(),
            lingering: Vec::new(),
            open_lines: 0,
            dials,
            dialling: BTreeMap::new(),
            intents: BTreeMap::new(),
            interests: BTreeMap::new(),
            outgoing: BTreeMap::new(),
            incoming: BTreeMap::new(),
            relayed: BTreeMap::new(),
            local: BTreeMap::new(),
            losses: Losses::new(clock.now()),
            checkups: Checkups::new(clock.now()),
            groups,
            refused: Refused::new(clock.now()),
            edits: Edits::default(),
            ready: VecDeque::new(),
            ends,
        }
    }

    /// Runs until the endpoint closes. True if every thread ended in time.
    pub(crate) fn run(mut self) -> bool {
        self.tick();
        let deadline = loop {
            match self.next_input() {
                Some(Input::Close(deadline)) => break deadline,
                Some(input) => self.take(input),
                None => self.tick(),
            }
            self.serve_ready();
            if self.ready.is_empty() && self.inputs.is_empty() {
                self.publish();
            }
        };
        self.close(deadline)
    }

    /// The next input, or none when it is time for a tick.
    fn next_input(&mut self) -> Option<Input> {
        if !self.ready.is_empty() {
            return self.inputs.try_recv().ok();
        }
        let now = self.clock.now();
        let received = match self.next_wake() {
            Some(wake) if wake <= now => self.inputs.try_recv().map_err(|_| RecvTimeoutError::Timeout),
            // One more microsecond, as the clock counts whole ones and must not come a fraction early.
            Some(wake) => self.inputs.recv_timeout(wake - now + Duration::from_micros(1)),
            None => self.inputs.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match received {
            Ok(input) => Some(input),
            // Every sender is gone: nobody holds the endpoint any more.
            Err(RecvTimeoutError::Disconnected) => Some(Input::Close(Instant::now() + ORPHAN)),
            Err(RecvTimeoutError::Timeout) => None,
        }
    }

    /// When the next tick is due.
    pub(super) fn next_wake(&self) -> Option<Timestamp> {
        let lingering = self.lingering.iter().map(|rest| rest.until).min();
        let others = [self.losses.next_wake(), self.refused.next_wake(), self.next_checkup()];
        let wakes = [self.engine.next_wake(), lingering].into_iter().chain(others);
        let groups = self.groups.iter().filter_map(|group| group.next_wake());
        wakes.flatten().chain(groups).min()
    }

    pub(super) fn tick(&mut self) {
        let now = self.clock.now();
        let lines = &self.lines;
        self.engine.tick(now, &|link| lines.get(&link).map_or(Timestamp::ZERO, |line| line.heard()));
        self.apply_all();
        self.end_lingering(false);
        if self.losses.is_due(now) {
            self.report_losses(now);
        }
        if self.checkup_is_due(now) {
            self.check_up(now);
        }
        self.refused.report(now, &self.events);
        for group in self.groups.iter().filter(|group| group.is_due(now)) {
            group.tick();
        }
    }

    /// Serves each line that has inputs for a while, in turn, so that none keeps the others waiting.
    pub(super) fn serve_ready(&mut self) {
        for _ in 0..self.ready.len() {
            let Some(link) = self.ready.pop_front() else { return };
            let mut served = 0;
            loop {
                let Some(line) = self.lines.get(&link).cloned() else { break };
                let Some(input) = line.next_input() else { break };
                self.take_line_input(link, &line, input);
                served += 1;
                if served == SERVED_AT_ONCE {
                    self.ready.push_back(link);
                    break;
                }
            }
        }
        self.overdue();
    }

    /// Ticks even when inputs never cease.
    fn overdue(&mut self) {
        if !self.ready.is_empty() || !self.inputs.is_empty() {
            let now = self.clock.now();
            let wakes = [self.engine.next_wake(), self.refused.next_wake(), self.next_checkup()];
            let due = wakes.into_iter().flatten().any(|wake| wake <= now);
            if due || self.losses.is_due(now) || self.groups.iter().any(|group| group.is_due(now)) {
                self.tick();
            }
        }
    }

    pub(super) fn take(&mut self, input: Input) {
        let now = self.clock.now();
        match input {
            Input::Ready(link) => self.ready.push_back(link),
            Input::Accepted(line, begin) => {
                let link = self.engine.accepted(now, line.url.clone());
                self.engine.set_rate(link, line.connection.rate());
                self.adopt(link, line, &begin);
            }
            Input::Dialled(link, line, begin) => {
                self.engine.set_rate(link, line.connection.rate());
                let number = self.dialling.remove(&link).unwrap_or(link);
                self.adopt(number, line, &begin);
                self.engine.dialled(now, link);
            }
            Input::DialFailed(link, text, diagnosis) => {
                if diagnosis.is_some() {
                    self.diagnosed(link, diagnosis);
                }
                self.engine.dial_failed(now, link, text);
            }
            Input::WayOpened(link) => self.engine.way_opened(now, link),
            Input::LineEnded(line) => {
                self.line_ended(&line);
                // What a thread leaves behind is freed when it is joined.
                self.ends.threads.join();
            }
            Input::LetGo(line, received, reason) => {
                self.open_lines = self.open_lines.saturating_sub(1);
                // What came by it comes first. It may have been hung up meanwhile, and another go by its number.
                let is_this = |link: &LinkId| self.lines.get(link).is_some_and(|own| Arc::ptr_eq(own, &line));
                if let Some(link) = line.id().filter(is_this) {
                    while let Some(input) = line.next_input() {
                        self.take_line_input(link, &line, input);
                    }
                    self.engine.let_go(now, link, received, reason);
                }
                self.ends.threads.join();
            }
            Input::Refused(refusals) => self.refused.add(refusals),
            Input::ListenerFault { url, text } => self.events.send(Event::ListenerFault { url, text }),
            Input::ThreadPanicked { thread, text } => {
                self.events.send(Event::ThreadPanicked { thread, text });
            }
            Input::DeclareIntent(intent, declaration, expected) => {
                let (id, ranked) = (intent.id, (intent.exclusive, intent.retains(), intent.priority));
                self.checkups.sent.extend(expected.map(|expected| (id, expected)));
                self.groups.iter().for_each(|group| group.declare_intent(&intent, &declaration));
                self.intents.insert(id, intent);
                self.engine.declare_ranked(now, id, declaration, ranked);
            }
            Input::WithdrawIntent(id) => {
                self.groups.iter().for_each(|group| group.withdraw_intent(id));
                self.engine.withdraw_intent(now, id);
                self.apply_all();
                self.intents.remove(&id);
                self.checkups.sent.remove(&id);
            }
            Input::DeclareInterest(interest, declaration, expected) => {
                let (id, delivery) = (interest.id, interest.delivery);
                self.checkups.received.extend(expected.map(|expected| (id, expected)));
                self.groups.iter().for_each(|group| group.declare_interest(&interest, &declaration));
                self.interests.insert(id, interest);
                self.engine.declare_interest(now, id, declaration, delivery);
            }
            Input::WithdrawInterest(id) => self.withdraw_interest(id),
            Input::CallbackPanicked(id, text) => {
                if let Some(interest) = self.interests.get(&id) {
                    self.events.send(Event::CallbackPanicked { route: interest.route.clone(), text });
                }
                self.withdraw_interest(id);
            }
            Input::Noted(id) => self.tell_notes(id),
            Input::Status(answer) => {
                let _ = answer.send(self.status());
            }
            // It is for the time this thread sleeps, which is computed anew; or a second close while the first
            // one is under way.
            Input::Tick | Input::Close(_) => {}
        }
        self.apply_all();
    }

    pub(super) fn line_ended(&mut self, line: &Arc<Line>) {
        self.open_lines = self.open_lines.saturating_sub(1);
        self.report_end(line);
    }

    /// A line was let go of, and the endpoint closes.
    pub(super) fn let_go_late(&mut self, line: &Arc<Line>) {
        line.abort();
        line.forget();
        self.line_ended(line);
    }

    fn withdraw_interest(&mut self, id: InterestId) {
        self.groups.iter().for_each(|group| group.withdraw_interest(id));
        self.engine.withdraw_interest(self.clock.now(), id);
        self.apply_all();
        self.checkups.received.remove(&id);
        if let Some(interest) = self.interests.remove(&id) {
            interest.discard();
        }
    }

    fn adopt(&mut self, link: LinkId, line: Arc<Line>, begin: &Sender<()>) {
        line.set_id(link);
        if begin.send(()).is_ok() {
            self.open_lines += 1;
            self.lines.insert(link, line);
        }
    }

    fn take_line_input(&mut self, link: LinkId, line: &Line, input: LineInput) {
        match input {
            LineInput::Control(at, control) => self.engine.control(at, link, control),
            LineInput::Opened { alias } => self.opened(link, line, alias),
            LineInput::Returned { alias, missed } => {
                self.tell_stall(Stall::Over(missed), Stream::Out(link, alias))
            }
            LineInput::CutOff { alias, untaken } => {
                self.tell_stall(Stall::CutOff(untaken), Stream::In(link, alias));
            }
            LineInput::TakesAgain { alias, missed } => {
                self.tell_stall(Stall::Over(missed), Stream::In(link, alias))
            }
            LineInput::Stalled { alias } => self.engine.relay_stalled(self.clock.now(), link, alias),
            LineInput::Fault(reason) => self.engine.fault(self.clock.now(), link, reason),
            LineInput::Lost(reason) => {
                self.engine.link_lost(self.clock.now(), link, reason);
                // What the engine wants done of it may need the line still.
                self.apply_all();
                if let Some(line) = self.lines.remove(&link) {
                    line.abort();
                }
            }
        }
        self.apply_all();
    }

    fn status(&self) -> Vec<LinkStatus> {
        let views = self.engine.links(self.clock.now());
        views
            .map(|view| LinkStatus::new(&view, self.lines.get(&view.line), self.checkups.of(view.line)))
            .collect()
    }

    pub(super) fn backlog(&mut self, link: LinkId) {
        let reason = Reason::new(ReasonCode::Backlog, "the peer does not read what is sent to it");
        self.engine.fault(self.clock.now(), link, reason);
    }
}

/// How many inputs of one line are served before the next line's.
const SERVED_AT_ONCE: usize = 32;

/// The deadline of a close that nobody asked for.
const ORPHAN: Duration = Duration::from_millis(500);
