//! Wrappers in virtual time, around an interest that follows a script and an intent that takes notes.

mod intents;
mod interests;

use super::pull::{Pull, Wanting};
use super::push::{Push, Supplying};
use super::time::Time;
use super::wait::Wait;
use super::withheld::Withheld;
use crate::endpoint::Endpoint;
use crate::event::PeerName;
use crate::intent::{Intent, SendError};
use crate::interest::{InterestCounts, RecvError};
use crate::outcome::{Fate, Outcome};
use crate::route::Route;
use crate::runtime::clock::Clock;
use crate::runtime::source::{Source, SourceRef};
use crate::sample::{Reading, Sample};
use crate::time::Timestamp;
use parking_lot::Mutex;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

const START: Duration = Duration::ZERO;
const MS: Duration = Duration::from_millis(1);

/// A clock that only moves when it is told to.
#[derive(Clone)]
struct Hand(Arc<Mutex<Instant>>, Instant);

impl Hand {
    fn new() -> Self {
        let start = Instant::now();
        Self(Arc::new(Mutex::new(start)), start)
    }

    fn time(&self) -> Time {
        Time::Hand(Arc::clone(&self.0))
    }

    fn now(&self) -> Instant {
        *self.0.lock()
    }

    /// The time since it was made.
    fn at(&self) -> Duration {
        self.now() - self.1
    }

    fn forward(&self, span: Duration) {
        *self.0.lock() += span;
    }

    fn to(&self, at: Duration) {
        let mut now = self.0.lock();
        *now = (*now).max(self.1 + at);
    }
}

fn route() -> Route {
    Route::parse("f32@robot.speed").expect("a route")
}

/// What comes when; after it, the endpoint is closed.
struct Script<T> {
    hand: Hand,
    coming: RefCell<VecDeque<(Duration, T)>>,
    /// What one look costs.
    look: Duration,
    sequence: Cell<u64>,
    source: SourceRef,
    suppliers: Cell<usize>,
    fresh_for: Option<Duration>,
    sent: Cell<Timestamp>,
}

impl<T> Script<T> {
    fn new(hand: &Hand, coming: impl IntoIterator<Item = (Duration, T)>) -> Self {
        Self {
            hand: hand.clone(),
            coming: RefCell::new(coming.into_iter().collect()),
            look: Duration::ZERO,
            sequence: Cell::new(0),
            source: Source::local(route(), Clock::start(), None, Arc::default()),
            suppliers: Cell::new(1),
            fresh_for: None,
            sent: Cell::new(Timestamp::ZERO),
        }
    }

    /// Values that come at once, faster than they can be taken.
    fn flood(hand: &Hand, values: impl IntoIterator<Item = T>) -> Self {
        let coming = values.into_iter().map(|value| (Duration::ZERO, value));
        Self { look: Duration::from_micros(10), ..Self::new(hand, coming) }
    }
}

/// One value each millisecond.
fn each_ms(hand: &Hand, count: u32) -> Script<u32> {
    Script::new(hand, (0..count).map(|value| (MS * value, value)))
}

impl<T> Pull<T> for Script<T> {
    fn pull(&self, wait: &mut Wait) -> Result<Sample<T>, RecvError> {
        if !wait.may_look(|| self.hand.now()) {
            return Err(wait.nothing(&self.source.route));
        }
        self.hand.forward(self.look);
        let Some(at) = self.coming.borrow().front().map(|(at, _)| *at) else {
            return Err(RecvError::Closed { route: route() });
        };
        if at > self.hand.at() {
            match wait.left(self.hand.now()) {
                Some(left) if self.hand.at() + left >= at => self.hand.to(at),
                Some(left) => {
                    self.hand.forward(left);
                    return Err(wait.nothing(&self.source.route));
                }
                None => return Err(wait.nothing(&self.source.route)),
            }
        }
        let (_, value) = self.coming.borrow_mut().pop_front().expect("it was looked at");
        let sequence = self.sequence.replace(self.sequence.get() + 1);
        Ok(Sample::own(value, sequence, self.sent.get(), &self.source))
    }

    fn newest(&self) -> Reading<T> {
        Reading::Never
    }

    fn base(&self) -> &dyn Wanting {
        self
    }

    fn count(&self, _: &mut Withheld) {}
}

impl<T> Wanting for Script<T> {
    fn route(&self) -> &Route {
        &self.source.route
    }

    fn suppliers(&self) -> usize {
        self.suppliers.get()
    }

    fn wait_intent(&self, _: Duration) -> bool {
        true
    }

    fn counts(&self) -> InterestCounts {
        InterestCounts::default()
    }

    fn fresh_for(&self) -> Option<Duration> {
        self.fresh_for
    }

    fn backlog(&self) -> usize {
        64
    }
}

/// Notes what is sent and when; it can be told to fail.
struct Notes<T> {
    hand: Hand,
    sent: Arc<Mutex<Vec<(Duration, T)>>>,
    interested: Arc<Mutex<usize>>,
    fails: Arc<Mutex<bool>>,
    /// Only to have an error to give.
    closed: Intent<u8>,
}

impl<T> Notes<T> {
    fn new(hand: &Hand) -> Self {
        let endpoint = Endpoint::builder("notes").start().expect("starts");
        let closed = endpoint.intent("notes.nothing").expect("an intent");
        assert!(endpoint.close(Duration::from_secs(20)));
        let (sent, fails) = (Arc::default(), Arc::default());
        Self { hand: hand.clone(), sent, interested: Arc::new(Mutex::new(1)), fails, closed }
    }

    fn note(&self, message: T) -> Outcome {
        self.sent.lock().push((self.hand.at(), message));
        (0..*self.interested.lock()).fold(Outcome::NOBODY, |outcome, _| outcome.and(Fate::Queued))
    }

    fn fail<M>(&self, message: M) -> Result<Outcome, SendError<M>> {
        let error = self.closed.send(0).expect_err("it is closed");
        Err(error.exchange(message).0)
    }
}

impl<T: Clone> Push<T> for Notes<T> {
    fn push(&self, message: T, _: Option<Duration>) -> Result<Outcome, SendError<T>> {
        if *self.fails.lock() { self.fail(message) } else { Ok(self.note(message)) }
    }

    fn push_shared(&self, message: Arc<T>, _: Option<Duration>) -> Result<Outcome, SendError<Arc<T>>> {
        if *self.fails.lock() { self.fail(message) } else { Ok(self.note(T::clone(&message))) }
    }

    fn push_held(&self, _: bool, _: Option<Duration>) -> Result<Option<Outcome>, SendError<()>> {
        Ok(None)
    }

    fn base(&self) -> &dyn Supplying {
        self
    }

    fn count(&self, _: &mut Withheld) {}
}

impl<T> Supplying for Notes<T> {
    fn route(&self) -> &Route {
        self.closed.route()
    }

    fn interested(&self) -> usize {
        *self.interested.lock()
    }

    fn wait_interests(&self, count: usize, _: Duration) -> bool {
        self.interested() >= count
    }

    fn outcomes(&self) -> Vec<(Option<PeerName>, Fate)> {
        Vec::new()
    }
}
