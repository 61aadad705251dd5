//! What a world is made of, and how it goes on.
//!
//! ```text
//!  step:  settle ─► when is the next thing? ─► set all clocks ─► loops that are due ─► settle
//!  settle:  each endpoint, in an order of the seed's: dispatcher, readers, writers; dials; until all are idle
//! ```

use super::net::{self, Net, Place, Shared};
use crate::builder::EndpointBuilder;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::peer::PeerUrl;
use crate::proto::LinkId;
use crate::runtime::clock::Hand;
use crate::runtime::stepped::{self, Host};
use crate::sync::world::{self, BEGINNING, Steps};
use crate::time::Timestamp;
use fastrand::Rng;
use parking_lot::Mutex;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One endpoint.
struct Node {
    place: Place,
    host: Host,
    hand: Hand,
    /// By how much its clock is off, in microseconds.
    offset: i64,
    frozen: bool,
}

/// A control loop of a program.
struct Loop {
    node: usize,
    period: Duration,
    run: Box<dyn FnMut()>,
}

/// A connection that is being made.
pub(super) struct Dial {
    node: usize,
    link: LinkId,
    url: Arc<PeerUrl>,
    what: Next,
}

/// What comes of a dial next.
enum Next {
    /// It asks again, as until now it has no answer; it gives up by then.
    Ask { until: Timestamp },
    /// The question comes to who listens there.
    Come { until: Timestamp },
    /// Nobody answered in time, or nobody listens.
    Fail(String),
}

pub(super) struct Core {
    pub(super) net: Shared,
    /// The thread is this world's.
    entered: bool,
    seed: u64,
    rng: RefCell<Rng>,
    /// The paths of all endpoints that ever were.
    names: RefCell<Vec<String>>,
    /// In the order they were started; one that ended leaves an empty place until the end.
    nodes: RefCell<Vec<Option<Node>>>,
    /// Those of the places that ended, which handles may still look at.
    hands: RefCell<Vec<Hand>>,
    loops: RefCell<BTreeMap<(Timestamp, u64), Loop>>,
    dials: RefCell<BTreeMap<(Timestamp, u64), Dial>>,
    sequence: Cell<u64>,
    /// Something is going on: what waits must not wait for itself.
    busy: Cell<Busy>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Busy {
    Free,
    /// A loop runs.
    Loop,
    /// Endpoints are stepped.
    Settling,
}

impl Core {
    pub(super) fn new(seed: u64) -> Rc<Self> {
        Rc::new_cyclic(|core: &Weak<Core>| {
            let entered = world::enter(core.clone(), BEGINNING);
            if entered {
                stepped::begin();
            }
            Core {
                net: Arc::new(Mutex::new(Net::new(seed, BEGINNING))),
                entered,
                seed,
                rng: RefCell::new(Rng::with_seed(seed ^ 0x5EED)),
                names: RefCell::default(),
                nodes: RefCell::default(),
                hands: RefCell::default(),
                loops: RefCell::default(),
                dials: RefCell::default(),
                sequence: Cell::new(0),
                busy: Cell::new(Busy::Free),
            }
        })
    }

    pub(super) fn end(&self) {
        // Without the borrow: what ends may have something to say.
        let nodes = std::mem::take(&mut *self.nodes.borrow_mut());
        drop(nodes);
        let loops = std::mem::take(&mut *self.loops.borrow_mut());
        drop(loops);
        if self.entered {
            world::leave();
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.net.lock().now
    }

    pub(super) fn place(&self, name: &str) -> Place {
        let mut names = self.names.borrow_mut();
        names.iter().position(|known| known == name).unwrap_or_else(|| {
            names.push(name.to_owned());
            names.len() - 1
        })
    }

    fn next(&self) -> u64 {
        self.sequence.set(self.sequence.get() + 1);
        self.sequence.get()
    }

    pub(super) fn start(&self, builder: EndpointBuilder) -> Result<Endpoint, Error> {
        self.start_with(builder, 0)
    }

    pub(super) fn start_with(&self, builder: EndpointBuilder, offset: i64) -> Result<Endpoint, Error> {
        let refused = |value: &str, rule: &str| {
            Err(Error::InvalidSetting { name: "World", value: value.to_owned(), rule: rule.to_owned() })
        };
        if !self.entered {
            return refused("a second one", "a thread has one world at a time; drop the first before");
        }
        let name = builder.path_text().to_owned();
        let place = self.place(&name);
        self.settle_now();
        let is_there = |node: &Node| node.place == place && !node.host.is_over();
        if self.nodes.borrow().iter().flatten().any(is_there) {
            return refused(&name, "an endpoint of that path is there; close or crash it before");
        }
        self.net.lock().stop_listening(place);
        let now = self.now();
        let hand = Hand::new(now.shifted(offset));
        // The instance and the seed of an endpoint are drawn on this thread.
        fastrand::seed(self.seed ^ self.next().wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let started = builder
            .start_stepped(hand.clock(), |scheme, address| self.net.lock().listen(place, scheme, address));
        let (endpoint, host) = match started {
            Ok(started) => started,
            Err(error) => {
                self.net.lock().stop_listening(place);
                return Err(error);
            }
        };
        let node = Some(Node { place, host, hand, offset, frozen: false });
        let mut nodes = self.nodes.borrow_mut();
        // Loops and dials of one that ended are gone with it.
        match nodes.iter().position(Option::is_none) {
            Some(free) => nodes[free] = node,
            None => nodes.push(node),
        }
        Ok(endpoint)
    }

    fn node_of(&self, endpoint: &Endpoint) -> Option<usize> {
        let nodes = self.nodes.borrow();
        nodes.iter().position(|node| node.as_ref().is_some_and(|node| node.hand.is_of(&endpoint.clock)))
    }

    pub(super) fn every(&self, endpoint: &Endpoint, period: Duration, run: Box<dyn FnMut()>) {
        if let Some(node) = self.node_of(endpoint) {
            let key = (self.now() + period, self.next());
            self.loops.borrow_mut().insert(key, Loop { node, period, run });
        }
    }

    pub(super) fn crash(&self, endpoint: &Endpoint, silently: bool) {
        let Some(node) = self.node_of(endpoint) else { return };
        let Ok(mut nodes) = self.nodes.try_borrow_mut() else { return };
        if let Some(node) = &mut nodes[node] {
            self.net.lock().gone(node.place, silently);
            node.host.crash();
        }
        drop(nodes);
        self.forget_ended();
    }

    pub(super) fn freeze(&self, endpoint: &Endpoint, frozen: bool) {
        let node = self.node_of(endpoint);
        let Ok(mut nodes) = self.nodes.try_borrow_mut() else { return };
        if let Some(node) = node.and_then(|node| nodes[node].as_mut()) {
            node.frozen = frozen;
        }
    }

    pub(super) fn clock_jump(&self, endpoint: &Endpoint, span: Duration) {
        let now = self.now();
        let node = self.node_of(endpoint);
        let Ok(mut nodes) = self.nodes.try_borrow_mut() else { return };
        if let Some(node) = node.and_then(|node| nodes[node].as_mut()) {
            let micros = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
            node.offset = node.offset.saturating_add(micros);
            node.hand.set(now.shifted(node.offset));
        }
    }

    /// Forgets what ended, with its loops and dials.
    fn forget_ended(&self) {
        let mut nodes = self.nodes.borrow_mut();
        let mut gone = Vec::new();
        for (number, place) in nodes.iter_mut().enumerate() {
            if place.as_ref().is_some_and(|node| node.host.is_over()) {
                gone.extend(place.take().map(|node| (number, node)));
            }
        }
        drop(nodes);
        for (number, node) in gone {
            self.net.lock().stop_listening(node.place);
            self.dials.borrow_mut().retain(|_, dial| dial.node != number);
            let loops = std::mem::take(&mut *self.loops.borrow_mut());
            let (ended, left): (BTreeMap<_, _>, _) =
                loops.into_iter().partition(|(_, run)| run.node == number);
            self.loops.borrow_mut().extend(left);
            self.hands.borrow_mut().push(node.hand);
            drop(node.host);
            // Its handles go with them.
            drop(ended);
        }
    }

    /// Does what is to be done, up to `until`.
    pub(super) fn run_until(&self, until: Timestamp) {
        self.settle_now();
        if self.busy.get() == Busy::Free {
            while self.step_until(Some(until)) {}
        }
    }

    /// Where all is settled, does what is next, at `until` at the latest. False if it is that late, or nothing is left.
    pub(super) fn step_until(&self, until: Option<Timestamp>) -> bool {
        if self.busy.get() != Busy::Free {
            return false;
        }
        let now = self.now();
        let next = self.next_time().map(|next| next.max(now + Duration::from_micros(1)));
        let last = until.filter(|until| next.is_none_or(|next| next > *until));
        if let Some(until) = last {
            // Until then there is nothing to do.
            self.set_now(until.max(now));
            return false;
        }
        let Some(next) = next else { return false };
        self.set_now(next);
        self.run_loops();
        self.settle_now();
        true
    }

    /// When something happens next.
    fn next_time(&self) -> Option<Timestamp> {
        let nodes = self.nodes.borrow();
        let mut next = self.dials.borrow().keys().next().map(|(at, _)| *at);
        let mut earlier = |at: Option<Timestamp>| next = next.into_iter().chain(at).min();
        for node in nodes.iter().flatten().filter(|node| !node.frozen) {
            earlier(node.host.next_wake().map(|wake| wake.shifted(node.offset.saturating_neg())));
        }
        // Where nobody reads, nothing happens.
        let is_asleep = |place| !nodes.iter().flatten().any(|node| node.place == place && !node.frozen);
        earlier(self.net.lock().next(is_asleep));
        let loops = self.loops.borrow();
        earlier(loops.keys().next().map(|(at, _)| *at));
        next
    }

    fn set_now(&self, now: Timestamp) {
        self.net.lock().now = now;
        for node in self.nodes.borrow().iter().flatten() {
            node.hand.set(now.shifted(node.offset));
        }
        world::set_now(now);
    }

    fn run_loops(&self) {
        let now = self.now();
        loop {
            let due = {
                let mut loops = self.loops.borrow_mut();
                match loops.first_entry() {
                    Some(entry) if entry.key().0 <= now => entry.remove_entry(),
                    _ => return,
                }
            };
            let ((at, _), mut due) = due;
            let frozen = self.nodes.borrow()[due.node].as_ref().is_some_and(|node| node.frozen);
            if !frozen {
                self.busy.set(Busy::Loop);
                (due.run)();
                self.busy.set(Busy::Free);
            }
            let is_there = self.nodes.borrow()[due.node].is_some();
            if is_there {
                let key = (at + due.period, self.next());
                self.loops.borrow_mut().insert(key, due);
            }
        }
    }

    /// Does all that is to be done now; false if there was nothing.
    pub(super) fn settle_now(&self) -> bool {
        if self.busy.get() == Busy::Settling {
            return false;
        }
        let before = self.busy.replace(Busy::Settling);
        let mut settled = false;
        loop {
            let activity = self.net.lock().activity;
            let mut worked = self.serve_dials();
            if let Ok(mut nodes) = self.nodes.try_borrow_mut() {
                let count = nodes.len();
                let (first, dispatchers_first) = {
                    let mut rng = self.rng.borrow_mut();
                    (rng.usize(..count.max(1)), rng.bool())
                };
                for turn in 0..count {
                    let number = (first + turn) % count;
                    let Some(node) = nodes[number].as_mut().filter(|node| !node.frozen) else { continue };
                    worked |= node.host.poll(dispatchers_first);
                    worked |= self.take_orders(number, node);
                }
            }
            if !worked && self.net.lock().activity == activity {
                break;
            }
            settled = true;
        }
        self.forget_ended();
        self.busy.set(before);
        settled
    }

    fn take_orders(&self, number: usize, node: &Node) -> bool {
        let now = self.now();
        let orders: Vec<_> = node.host.orders().collect();
        for (link, url) in &orders {
            let what = Next::Ask { until: now + node.host.dial_timeout() };
            self.plan(now, Dial { node: number, link: *link, url: Arc::clone(url), what });
        }
        !orders.is_empty()
    }

    fn plan(&self, at: Timestamp, dial: Dial) {
        let key = (at, self.next());
        self.dials.borrow_mut().insert(key, dial);
    }

    fn serve_dials(&self) -> bool {
        let now = self.now();
        let mut worked = false;
        loop {
            let dial = {
                let mut dials = self.dials.borrow_mut();
                match dials.first_entry() {
                    Some(entry) if entry.key().0 <= now => entry.remove(),
                    _ => return worked,
                }
            };
            worked = true;
            self.serve(dial);
        }
    }

    fn serve(&self, dial: Dial) {
        let now = self.now();
        let Ok(mut nodes) = self.nodes.try_borrow_mut() else { return };
        let Some(from) = nodes.get(dial.node).and_then(Option::as_ref).map(|node| node.place) else { return };
        let packets = dial.url.scheme() == "udp";
        let to = self.net.lock().listener(dial.url.scheme(), dial.url.address());
        match dial.what {
            Next::Fail(text) => {
                if let Some(node) = nodes[dial.node].as_mut() {
                    node.host.dialled(dial.link, &dial.url, Err(text));
                }
            }
            Next::Ask { until } => {
                let passage = match to {
                    Some(to) => self.net.lock().passage(from, to, packets),
                    // The machine answers that nobody listens there.
                    None => Some(now),
                };
                let again = now + if packets { ASK_AGAIN } else { SYN_AGAIN };
                let what = |what| Dial { what, ..dial };
                match passage {
                    Some(at) if at <= until => self.plan(at, what(Next::Come { until })),
                    _ if again < until => self.plan(again, what(Next::Ask { until })),
                    _ => {
                        let text = "no answer within the time allowed".to_owned();
                        self.plan(until, what(Next::Fail(text)));
                    }
                }
            }
            Next::Come { until } => {
                let place = |node: &Option<Node>| node.as_ref().map(|node| node.place);
                let target = to.and_then(|to| nodes.iter().position(|node| place(node) == Some(to)));
                let Some((to, target)) = to.zip(target) else {
                    let text = "connection refused".to_owned();
                    return self.plan(now, Dial { what: Next::Fail(text), ..dial });
                };
                if self.net.lock().is_blocked(to, from, packets) {
                    // The answer does not come.
                    let text = "no answer within the time allowed".to_owned();
                    return self.plan(until, Dial { what: Next::Fail(text), ..dial });
                }
                let names = [dial.url.address().to_owned(), self.names.borrow()[from].clone()];
                let [here, there] = net::connect(&self.net, [from, to], names, packets);
                let url = format!("{}://{}", dial.url.scheme(), there.remote());
                if let Some(node) = nodes[target].as_mut() {
                    node.host.accepted(url, there);
                }
                if let Some(node) = nodes[dial.node].as_mut() {
                    node.host.dialled(dial.link, &dial.url, Ok(here));
                }
            }
        }
    }
}

#[cfg(feature = "fuzzing")]
impl Core {
    /// A connection to an endpoint whose other end is the caller itself.
    pub(super) fn stranger(&self, to: &str) -> Arc<dyn crate::transport::Connection> {
        let (from, to) = (self.place("stranger"), self.place(to));
        let names = ["robot".to_owned(), "stranger".to_owned()];
        let [here, there] = net::connect(&self.net, [from, to], names, false);
        for node in self.nodes.borrow_mut().iter_mut().flatten().filter(|node| node.place == to) {
            node.host.accepted("tcp://stranger".to_owned(), Arc::clone(&there));
        }
        here
    }
}

impl Steps for Core {
    fn step(&self, until: Option<Instant>) -> bool {
        // What is waited for may have come without any time.
        let settled = self.settle_now();
        self.busy.get() == Busy::Free && (settled || self.step_until(until.map(world::time_of)))
    }

    fn settle(&self) {
        self.settle_now();
    }
}

/// When TCP asks again for a connection, and when packets do.
const SYN_AGAIN: Duration = Duration::from_secs(1);
const ASK_AGAIN: Duration = Duration::from_millis(200);
