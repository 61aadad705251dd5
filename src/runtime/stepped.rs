//! The runtime of one endpoint without threads: what they would do is done when it is stepped.
//!
//! The dispatcher, the readers and the writers are those of every endpoint; only what they wait for is left to
//! whoever steps them. Time is that of the clock they are given.

use super::clock::Clock;
use super::closing::CUT;
use super::dial::Order;
use super::dispatcher::{Dispatcher, Parts};
use super::input::Input;
use super::line::{self, Line};
use super::reader::{Halt, Reader};
use super::session::LineSettings;
use super::threads::Tasks;
use super::writer::{Polled, Writer};
use crate::peer::PeerUrl;
use crate::proto::LinkId;
use crate::reason::Reason;
use crate::time::{Timestamp, instant};
use crate::transport::Connection;
use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One endpoint's runtime.
pub(crate) struct Host {
    clock: Clock,
    dispatcher: Option<Dispatcher>,
    dispatcher_inputs: Sender<Input>,
    /// Told that it is over, and whether it ended in time.
    ended: Option<Box<dyn FnOnce(bool)>>,
    /// What the dispatcher orders to be dialled.
    dials: Vec<(LinkId, Receiver<Order>)>,
    stations: Vec<Station>,
    tasks: Tasks,
    settings: LineSettings,
    /// It ends by the first, at the latest by the second.
    closing: Option<(Instant, Instant)>,
    /// Nothing was left to write when lines ended.
    complete: bool,
    /// When the last tick was, and how many there were then.
    ticked: (Timestamp, u32),
}

/// One line: its reader and its writer, once the dispatcher took it.
struct Station {
    line: Arc<Line>,
    begun: Option<Receiver<()>>,
    reader: Option<Reader>,
    writer: Option<Writer>,
    /// The line that goes on with the connection once this one's writer is done.
    next: Option<Next>,
    /// Why the connection ended.
    ended: Option<Reason>,
}

struct Next {
    line: Arc<Line>,
    received: u64,
    rest: Vec<u8>,
}

/// What a host is made of beside its dispatcher.
pub(crate) struct HostParts {
    pub(crate) inputs: Sender<Input>,
    pub(crate) ended: Box<dyn FnOnce(bool)>,
    pub(crate) dials: Vec<(LinkId, Receiver<Order>)>,
    pub(crate) tasks: Tasks,
    pub(crate) settings: LineSettings,
}

/// A world begins on this thread.
pub(crate) fn begin() {
    line::forget_inline();
}

impl Host {
    pub(crate) fn new(parts: Parts, host: HostParts) -> Self {
        let HostParts { inputs, ended, dials, tasks, settings } = host;
        let clock = parts.clock;
        let mut dispatcher = Dispatcher::new(parts);
        dispatcher.tick();
        Self {
            clock,
            dispatcher: Some(dispatcher),
            dispatcher_inputs: inputs,
            ended: Some(ended),
            dials,
            stations: Vec::new(),
            tasks,
            settings,
            closing: None,
            complete: true,
            ticked: (Timestamp::ZERO, 0),
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.dispatcher.is_none()
    }

    /// Does a part of what is to be done now; false if there was nothing. The dispatcher comes first or last.
    pub(crate) fn poll(&mut self, dispatcher_first: bool) -> bool {
        if self.is_over() {
            return false;
        }
        let mut worked = dispatcher_first && self.poll_dispatcher();
        let stations = self.stations.len();
        self.stations.retain_mut(|station| {
            let (some, end) = station.poll(&self.settings);
            worked |= some;
            let goes_on = end.is_none();
            if let Some(end) = end {
                let _ = self.dispatcher_inputs.send(end);
            }
            goes_on
        });
        worked |= stations != self.stations.len();
        loop {
            // One may put another there.
            let task = self.tasks.lock().pop_front();
            let Some(task) = task else { break };
            task();
            worked = true;
        }
        worked | (!dispatcher_first && self.poll_dispatcher())
    }

    fn poll_dispatcher(&mut self) -> bool {
        let Some(dispatcher) = &mut self.dispatcher else { return false };
        if let Some((deadline, limit)) = self.closing {
            let now = instant();
            let mut worked = false;
            while let Ok(input) = dispatcher.inputs.try_recv() {
                worked = true;
                match input {
                    Input::LineEnded(line) => dispatcher.line_ended(&line),
                    Input::LetGo(line, ..) => dispatcher.let_go_late(&line),
                    Input::Accepted(line, _) | Input::Dialled(_, line, _) => line.abort(),
                    _ => {}
                }
            }
            self.complete &= dispatcher.end_lingering(now >= deadline);
            if dispatcher.open_lines == 0 || now >= limit {
                dispatcher.close_interests();
                let in_time = self.complete && dispatcher.open_lines == 0;
                self.end(in_time);
                return true;
            }
            return worked;
        }
        let mut worked = false;
        loop {
            match dispatcher.inputs.try_recv() {
                Ok(Input::Close(deadline)) => {
                    dispatcher.begin_close();
                    self.closing = Some((deadline, deadline.max(instant()) + CUT));
                    return true;
                }
                Ok(input) => dispatcher.take(input),
                Err(TryRecvError::Disconnected) => {
                    self.end(true);
                    return true;
                }
                Err(TryRecvError::Empty) if !dispatcher.ready.is_empty() => {}
                Err(TryRecvError::Empty) => break,
            }
            dispatcher.serve_ready();
            worked = true;
        }
        let now = self.clock.now();
        if dispatcher.next_wake().is_some_and(|wake| wake <= now) {
            let before = if self.ticked.0 == now { self.ticked.1 } else { 0 };
            if before < TICKS_AT_ONCE {
                self.ticked = (now, before + 1);
                dispatcher.tick();
                worked = true;
            }
        }
        if worked {
            dispatcher.publish();
        }
        worked
    }

    /// When it is to be stepped again by its own clock, whatever else happens.
    pub(crate) fn next_wake(&self) -> Option<Timestamp> {
        let dispatcher = self.dispatcher.as_ref()?;
        let soonest = self.clock.now() + Duration::from_micros(1);
        if let Some((deadline, limit)) = self.closing {
            let now = instant();
            let next = if now < deadline { deadline } else { limit };
            let next = self.clock.now() + next.saturating_duration_since(now);
            return dispatcher.next_wake().into_iter().chain([next]).min().map(|wake| wake.max(soonest));
        }
        dispatcher.next_wake().map(|wake| wake.max(soonest))
    }

    /// What is to be dialled.
    pub(crate) fn orders(&self) -> impl Iterator<Item = (LinkId, Arc<PeerUrl>)> + '_ {
        // What there is to see of a simulated network, an attempt to dial shows: nobody watches it.
        let dial = |order| match order {
            Order::Dial(url) => Some(url),
            Order::Watch => None,
        };
        self.dials.iter().filter_map(move |(link, orders)| Some((*link, orders.try_iter().find_map(dial)?)))
    }

    /// How long a dial may take.
    pub(crate) fn dial_timeout(&self) -> Duration {
        self.settings.dial_timeout
    }

    /// A dial came to this.
    pub(crate) fn dialled(&mut self, link: LinkId, url: &PeerUrl, came: Result<Arc<dyn Connection>, String>) {
        let input = match came {
            Ok(connection) => {
                let (line, begin) = self.line(url.to_string(), connection);
                Input::Dialled(link, line, begin)
            }
            Err(text) => Input::DialFailed(link, text, None),
        };
        let _ = self.dispatcher_inputs.send(input);
    }

    /// A connection came to a listener.
    pub(crate) fn accepted(&mut self, url: String, connection: Arc<dyn Connection>) {
        let (line, begin) = self.line(url, connection);
        let _ = self.dispatcher_inputs.send(Input::Accepted(line, begin));
    }

    fn line(&mut self, url: String, connection: Arc<dyn Connection>) -> (Arc<Line>, Sender<()>) {
        let bytes = self.settings.outbox_bytes;
        let line = Line::new(url, connection, self.clock, bytes, self.dispatcher_inputs.clone());
        let (begin, begun) = bounded(1);
        self.stations.push(Station {
            line: Arc::clone(&line),
            begun: Some(begun),
            reader: None,
            writer: None,
            next: None,
            ended: None,
        });
        (line, begin)
    }

    /// Ends it as if its process were killed: nobody says BYE.
    pub(crate) fn crash(&mut self) {
        self.end(false);
    }

    fn end(&mut self, in_time: bool) {
        // What it still had to say, nobody hears.
        for station in std::mem::take(&mut self.stations) {
            station.line.abort();
            station.line.forget();
        }
        self.dispatcher = None;
        self.tasks.lock().clear();
        if let Some(ended) = self.ended.take() {
            ended(in_time);
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.end(false);
    }
}

impl Station {
    /// Whether anything was done, and how it is over if it is.
    fn poll(&mut self, settings: &LineSettings) -> (bool, Option<Input>) {
        if let Some(begun) = &self.begun {
            match begun.try_recv() {
                Ok(()) => {
                    self.line.connection.expect_silence(settings.silence);
                    self.reader = Some(Reader::new(&self.line, settings.max_frame));
                    self.writer = Some(Writer::default());
                    self.begun = None;
                }
                Err(TryRecvError::Empty) => return (false, None),
                Err(TryRecvError::Disconnected) => {
                    self.line.abort();
                    return (true, Some(Input::LineEnded(Arc::clone(&self.line))));
                }
            }
        }
        let mut worked = false;
        if let Some(reader) = &mut self.reader {
            match reader.step() {
                Ok(()) => worked = true,
                Err(Halt::Later) => {}
                Err(Halt::HandOver(to, received)) => {
                    self.line.retire();
                    let rest = self.reader.take().map(Reader::into_rest).unwrap_or_default();
                    self.next = Some(Next { line: to, received, rest });
                    worked = true;
                }
                Err(Halt::End(reason)) => {
                    if !self.line.release() {
                        reader.end(reason.clone());
                        self.line.abort();
                    }
                    self.ended = Some(reason);
                    self.reader = None;
                    worked = true;
                }
            }
        }
        if self.next.is_some() {
            self.line.connection.current().tend(&|| true);
        }
        if let Some(writer) = &mut self.writer {
            match writer.poll(&self.line) {
                Polled::Idle => {}
                Polled::Wrote => worked = true,
                Polled::Ended => {
                    self.writer = None;
                    worked = true;
                }
            }
        }
        if self.reader.is_some() || self.writer.is_some() {
            return (worked, None);
        }
        if let Some(Next { line, received, rest }) = self.next.take() {
            if line.attach(&self.line, received) {
                self.reader = Some(Reader::resumed(&line, settings.max_frame, &rest));
                self.writer = Some(Writer::default());
                self.line = line;
                return (true, None);
            }
            self.line.abort();
        }
        let end = match self.ended.take().filter(|_| self.line.let_go()) {
            Some(reason) => Input::LetGo(Arc::clone(&self.line), self.line.received(), reason),
            None => {
                self.line.forget();
                Input::LineEnded(Arc::clone(&self.line))
            }
        };
        (true, Some(end))
    }
}

/// How often a tick is made at one point in time: one that is always due must not stop the time.
const TICKS_AT_ONCE: u32 = 4;
