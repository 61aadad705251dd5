//! What a program wants.

use crate::delivery::Delivery;
use crate::flow::mailbox::Slot;
use crate::flow::run::{Content, Run, Taken};
use crate::message::{CodecError, Message};
use crate::route::Route;
use crate::runtime::inbox::{Counts, Inbox, Waited};
use crate::runtime::input::Input;
use crate::runtime::source::SourceRef;
use crate::sample::{Reading, Sample};
use crate::time;
use crossbeam_channel::Sender;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// "I want this route": the receiving end of a route, for messages `T`.
///
/// Samples wait in a mailbox of its own by the [`Delivery`] it asked for. Reading never disturbs the
/// thread that received them. An interest belongs to one thread at a time: it is `Send` but not
/// `Sync`. Two threads that both want a route declare an interest each.
///
/// Dropping it withdraws it, and its intents are told.
///
/// ```
/// use bowline::{Endpoint, Intent, Interest};
/// use std::time::Duration;
/// let robot = Endpoint::builder("robot").start()?;
/// let wanted: Interest<String> = robot.interest("robot.word")?;
/// let word: Intent<String> = robot.intent("robot.word")?;
/// assert!(word.wait_interest(Duration::from_secs(1)));
/// word.send("hello".to_owned())?;
/// assert_eq!(*wanted.recv_timeout(Duration::from_secs(1))?, "hello");
/// assert!(wanted.try_recv().unwrap_err().is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Interest<T> {
    inbox: Arc<Inbox>,
    dispatcher: Sender<Input>,
    fresh_for: Option<Duration>,
    /// Taken from the mailbox and not yet handed out.
    taken: RefCell<VecDeque<Run<SourceRef>>>,
    /// The newest sample, for `latest`.
    newest: RefCell<Slot<SourceRef>>,
    messages: PhantomData<fn() -> T>,
}

/// Why there is no sample.
///
/// ```
/// # use bowline::{Endpoint, Interest};
/// # let desk = Endpoint::builder("desk").start()?;
/// let target: Interest<f64> = desk.interest("desk.target")?;
/// assert!(target.recv_timeout(std::time::Duration::from_millis(1)).unwrap_err().is_timeout());
/// desk.close(std::time::Duration::from_secs(1));
/// assert!(target.recv().unwrap_err().is_closed());
/// # Ok::<(), bowline::Error>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecvError {
    /// Nothing waits; `try_recv` does not wait for it.
    #[error("no sample of `{route}` waits")]
    Empty {
        /// The route.
        route: Route,
    },
    /// Nothing came within the time given.
    #[error("no sample of `{route}` came within {waited:?}")]
    Timeout {
        /// The route.
        route: Route,
        /// How long it waited.
        waited: Duration,
    },
    /// The endpoint is closed and all samples were read, or a callback panicked.
    #[error("`{route}` is closed: its endpoint was closed")]
    Closed {
        /// The route.
        route: Route,
    },
    /// A sample came that is no such message. It is gone; the next can be read.
    #[error("a sample of `{route}` cannot be decoded: {source}")]
    Decode {
        /// The route.
        route: Route,
        /// What the codec said.
        source: CodecError,
    },
}

impl RecvError {
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        matches!(self, RecvError::Empty { .. })
    }

    /// Whether nothing came in time.
    pub fn is_timeout(&self) -> bool {
        matches!(self, RecvError::Timeout { .. })
    }

    /// Whether nothing can come any more.
    pub fn is_closed(&self) -> bool {
        matches!(self, RecvError::Closed { .. })
    }

    /// Whether trying again can help.
    pub fn is_transient(&self) -> bool {
        !self.is_closed()
    }
}

/// What became of the samples of one interest so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct InterestCounts {
    /// Samples that reached the mailbox or the callback.
    pub received: u64,
    /// Dropped or replaced unread, on this side.
    pub lost_here: u64,
    /// Dropped by the sending sides, as they told. What was on its way when a link ended is not among them:
    /// nobody is left to tell it to this side.
    pub lost_there: u64,
    /// Lost between the two sides, by a line that loses things.
    pub lost_on_the_way: u64,
    /// Received and read, but no such message: they could not be decoded.
    pub undecodable: u64,
}

impl InterestCounts {
    fn of(inbox: &Inbox) -> Self {
        let Counts { received, lost_here, lost_there, lost_on_the_way, undecodable } = inbox.counts();
        Self { received, lost_here, lost_there, lost_on_the_way, undecodable }
    }
}

impl<T: Message> Interest<T> {
    pub(crate) fn new(inbox: Arc<Inbox>, dispatcher: Sender<Input>, fresh_for: Option<Duration>) -> Self {
        Self {
            inbox,
            dispatcher,
            fresh_for,
            taken: RefCell::default(),
            newest: RefCell::default(),
            messages: PhantomData,
        }
    }

    /// The route it is for.
    pub fn route(&self) -> &Route {
        &self.inbox.route
    }

    /// Waits for the next sample.
    ///
    /// # Errors
    /// When the endpoint is closed, or a sample cannot be decoded.
    #[inline]
    pub fn recv(&self) -> Result<Sample<T>, RecvError> {
        self.next(None)
    }

    /// The next sample if one waits.
    ///
    /// # Errors
    /// When none waits, the endpoint is closed, or a sample cannot be decoded.
    #[inline]
    pub fn try_recv(&self) -> Result<Sample<T>, RecvError> {
        let mut runs = self.taken.borrow_mut();
        loop {
            if let Some(taken) = runs.front_mut().and_then(Run::next) {
                return self.sample(taken);
            }
            if !self.refill(&mut runs) {
                return Err(self.nothing());
            }
        }
    }

    /// Waits for the next sample for at most `timeout`.
    ///
    /// # Errors
    /// When the time passed, the endpoint is closed, or a sample cannot be decoded.
    #[inline]
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Sample<T>, RecvError> {
        self.next(Some(timeout))
    }

    /// All samples from now on; it waits for each, and ends when the endpoint is closed. Samples that
    /// cannot be decoded are passed over and logged.
    pub fn iter(&self) -> impl Iterator<Item = Sample<T>> + '_ {
        std::iter::from_fn(move || {
            loop {
                match self.recv() {
                    Ok(sample) => return Some(sample),
                    Err(RecvError::Closed { .. }) => return None,
                    Err(error) => log::warn!("{error}"),
                }
            }
        })
    }

    /// The newest sample there is; never waits. All samples that wait are taken for it.
    ///
    /// The same sample is answered again until a newer one comes, and tells by
    /// [`Reading`] whether it is fresh. One that cannot be decoded counts as none; it is logged and
    /// [counted](Self::counts) once.
    pub fn latest(&self) -> Reading<T> {
        let mut newest = self.newest.borrow_mut();
        let is_new = if self.inbox.delivery == Delivery::Latest {
            let is_new = self.inbox.take_latest(&mut newest);
            if let Some(taken) = newest.view().filter(|_| is_new) {
                taken.source.took_one(taken.bytes());
            }
            is_new
        } else {
            self.drain_into(&mut newest)
        };
        let sample = newest.view().and_then(|taken| match decode(taken) {
            Ok(sample) => Some(sample),
            Err(error) => {
                if is_new {
                    self.inbox.note_undecodable();
                    log::warn!("a sample of `{}` cannot be decoded: {error}", self.inbox.route);
                }
                None
            }
        });
        if !self.is_supplied() {
            return Reading::LinkDown(sample);
        }
        match (sample, self.fresh_for) {
            (None, _) => Reading::Never,
            (Some(sample), Some(limit)) if sample.age() >= limit => Reading::Stale(sample),
            (Some(sample), _) => Reading::Fresh(sample),
        }
    }

    /// Takes all samples that wait and keeps the last; false if there were none.
    fn drain_into(&self, newest: &mut Slot<SourceRef>) -> bool {
        let mut runs = self.taken.borrow_mut();
        let mut is_new = false;
        // As many as can have waited when this was called, however fast others follow them.
        let turns = if self.inbox.delivery.is_lossless() { 1 } else { self.inbox.delivery.depth() };
        for _ in 0..=turns {
            while let Some(mut run) = runs.pop_front() {
                while let Some(taken) = run.next() {
                    taken.source.took_one(taken.bytes());
                    is_new = true;
                    newest.keep(taken);
                }
            }
            if !self.inbox.take(&mut runs) {
                break;
            }
        }
        is_new
    }

    /// What it asked of delivery.
    pub(crate) fn delivery(&self) -> Delivery {
        self.inbox.delivery
    }

    /// Whether there is a supplier, be it one that is about to begin.
    pub(crate) fn is_supplied(&self) -> bool {
        self.inbox.is_supplied()
    }

    /// The age from which a sample is stale.
    pub(crate) fn fresh_for(&self) -> Option<Duration> {
        self.fresh_for
    }

    /// How many intents supply it now.
    pub fn suppliers(&self) -> usize {
        self.inbox.suppliers()
    }

    /// Waits until an intent supplies it, for at most `timeout`; false if none did.
    ///
    /// The intent was told to send here before this returns: what it sends in answer to anything that goes to its
    /// program afterwards, is sent here too. Only over UDP may the one overtake the other.
    pub fn wait_intent(&self, timeout: Duration) -> bool {
        self.inbox.wait_supplier(time::instant().checked_add(timeout)) == Waited::Ready
    }

    /// What became of its samples so far.
    pub fn counts(&self) -> InterestCounts {
        InterestCounts::of(&self.inbox)
    }

    #[inline]
    fn next(&self, timeout: Option<Duration>) -> Result<Sample<T>, RecvError> {
        let mut runs = self.taken.borrow_mut();
        // The clock is read only if there is something to wait for.
        let mut deadline = None;
        loop {
            if let Some(taken) = runs.front_mut().and_then(Run::next) {
                return self.sample(taken);
            }
            if !self.refill(&mut runs) {
                self.wait(timeout, &mut deadline)?;
            }
        }
    }

    /// Waits until there is something to take.
    #[cold]
    fn wait(&self, timeout: Option<Duration>, deadline: &mut Option<Instant>) -> Result<(), RecvError> {
        if let (Some(timeout), None) = (timeout, &deadline) {
            *deadline = time::instant().checked_add(timeout);
        }
        let route = || self.inbox.route.clone();
        match self.inbox.wait_ready(*deadline) {
            Waited::Ready => Ok(()),
            Waited::TimedOut => {
                Err(RecvError::Timeout { route: route(), waited: timeout.unwrap_or_default() })
            }
            Waited::Closed => Err(RecvError::Closed { route: route() }),
        }
    }

    /// Makes a sample of what was taken. Built where it is returned: under load, moving a sample once
    /// more costs as much as taking it.
    #[inline(always)]
    fn sample(&self, taken: Taken<'_, SourceRef>) -> Result<Sample<T>, RecvError> {
        taken.source.took_one(taken.bytes());
        match decode(taken) {
            Ok(sample) => Ok(sample),
            Err(source) => Err(self.undecodable(source)),
        }
    }

    #[cold]
    fn nothing(&self) -> RecvError {
        let route = self.inbox.route.clone();
        if self.inbox.is_closed() { RecvError::Closed { route } } else { RecvError::Empty { route } }
    }

    #[cold]
    fn undecodable(&self, source: CodecError) -> RecvError {
        self.inbox.note_undecodable();
        RecvError::Decode { route: self.inbox.route.clone(), source }
    }

    /// Goes on to the next run, from the mailbox if need be.
    fn refill(&self, runs: &mut VecDeque<Run<SourceRef>>) -> bool {
        if runs.len() > 1 {
            runs.pop_front();
            return true;
        }
        // The last one of this process goes back to the mailbox, which uses its memory again.
        if !runs.front().is_some_and(Run::is_reusable) {
            runs.pop_front();
        }
        if self.inbox.delivery != Delivery::Latest {
            return self.inbox.take(runs);
        }
        runs.clear();
        let mut newest = self.newest.borrow_mut();
        let taken = self.inbox.take_latest(&mut newest);
        if taken {
            runs.extend(newest.as_run());
        }
        taken
    }
}

impl<T> fmt::Debug for Interest<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inbox { route, delivery, .. } = &*self.inbox;
        f.debug_struct("Interest").field("route", route).field("delivery", delivery).finish_non_exhaustive()
    }
}

impl<T> Drop for Interest<T> {
    fn drop(&mut self) {
        self.inbox.discard();
        let _ = self.dispatcher.send(Input::WithdrawInterest(self.inbox.id));
    }
}

mod slices;
pub use slices::Slice;

/// Makes a sample of what was taken.
#[inline(always)]
pub(crate) fn decode<T: Message>(taken: Taken<'_, SourceRef>) -> Result<Sample<T>, CodecError> {
    let Taken { source, sequence, sent, content } = taken;
    match content {
        Content::Encoded(payload) => Ok(Sample::own(T::decode(payload)?, sequence, sent, source)),
        Content::Local(message) => match message.downcast::<T>() {
            Ok(message) => Ok(Sample::shared(message, sequence, sent, source)),
            Err(_) => Err(CodecError::new("the intent of this endpoint sends another Rust type")),
        },
    }
}

/// A callback that is called for each sample, until this is dropped.
///
/// Made by [`Endpoint::on_sample`](crate::Endpoint::on_sample), which states the rules.
#[must_use = "dropping it ends the calls"]
pub struct Subscription {
    inbox: Arc<Inbox>,
    dispatcher: Sender<Input>,
}

impl Subscription {
    pub(crate) fn new(inbox: Arc<Inbox>, dispatcher: Sender<Input>) -> Self {
        Self { inbox, dispatcher }
    }

    /// The route it is for.
    pub fn route(&self) -> &Route {
        &self.inbox.route
    }

    /// How many intents supply it now.
    pub fn suppliers(&self) -> usize {
        self.inbox.suppliers()
    }

    /// Waits until an intent supplies it, for at most `timeout`; false if none did. What is promised then is said at
    /// [`Interest::wait_intent`].
    pub fn wait_intent(&self, timeout: Duration) -> bool {
        self.inbox.wait_supplier(time::instant().checked_add(timeout)) == Waited::Ready
    }

    /// What became of its samples so far.
    pub fn counts(&self) -> InterestCounts {
        InterestCounts::of(&self.inbox)
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("route", self.route()).finish_non_exhaustive()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.inbox.discard();
        let _ = self.dispatcher.send(Input::WithdrawInterest(self.inbox.id));
    }
}
