//! What a program supplies.

use crate::bytes::Bytes;
use crate::event::PeerName;
use crate::flow::Shared;
use crate::flow::outbox::Outgoing;
use crate::message::Message;
use crate::outcome::{Fate, Outcome};
use crate::route::Route;
use crate::runtime::clock::Clock;
use crate::runtime::input::Input;
use crate::runtime::outlets::{Outlets, Retained, Sending, Turned};
use crate::time;
use crossbeam_channel::Sender;
use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

mod error;

pub use error::SendError;
use error::Why;

/// "I can supply this route": the sending end of a route, for messages `T`.
///
/// Sending puts a sample into the mailboxes of this endpoint and the outgoing buffers of the links
/// where there is interest. It never waits unless told to, and it is all or nothing for lossless
/// interests: every one has room, or nothing is sent and the message comes back.
///
/// An intent belongs to one thread at a time: it is `Send` but not `Sync`. Several threads that
/// supply one route declare an intent each; samples of one intent arrive in order.
///
/// Dropping it withdraws it, and its interests are told, after what it sent before.
///
/// ```
/// use bowline::{Endpoint, Fate, Intent, Interest};
/// use std::time::Duration;
/// let robot = Endpoint::builder("robot").start()?;
/// let speed: Intent<f64> = robot.intent("robot.speed")?;
/// let wanted: Interest<f64> = robot.interest("robot.speed")?;
/// assert!(speed.wait_interest(Duration::from_secs(1)));
/// let outcome = speed.send(1.5)?;
/// assert_eq!((outcome.taken(), outcome.worst()), (1, Fate::Delivered));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Intent<T> {
    core: Arc<Outlets>,
    dispatcher: Sender<Input>,
    clock: Clock,
    max_wait: Duration,
    largest: usize,
    state: RefCell<State>,
    messages: PhantomData<fn(T)>,
}

struct State {
    sending: Sending,
    /// The encoded message; its memory is used again.
    encoded: Vec<u8>,
}

impl<T: Message> Intent<T> {
    pub(crate) fn new(
        core: Arc<Outlets>,
        dispatcher: Sender<Input>,
        clock: Clock,
        max_wait: Duration,
        largest: usize,
    ) -> Self {
        let sending = Sending::new(Arc::clone(&core), dispatcher.clone());
        let state = State { sending, encoded: Vec::new() };
        Self { core, dispatcher, clock, max_wait, largest, state: RefCell::new(state), messages: PhantomData }
    }

    /// The route it supplies.
    pub fn route(&self) -> &Route {
        &self.core.route
    }

    /// Sends a message. It waits for room at most as long as
    /// [`max_wait`](crate::IntentSettings::max_wait) says; by default, not at all.
    ///
    /// # Errors
    /// When a lossless interest has no room, the message is too large or cannot be encoded, or the
    /// endpoint is closed. The message comes back in the error. That nobody is interested, or a
    /// reader slow, is no error but told by the [`Outcome`].
    #[inline]
    pub fn send(&self, message: T) -> Result<Outcome, SendError<T>> {
        self.deliver(message, self.max_wait)
    }

    /// Sends a message, and never waits.
    ///
    /// # Errors
    /// As [`send`](Intent::send).
    #[inline]
    pub fn try_send(&self, message: T) -> Result<Outcome, SendError<T>> {
        self.deliver(message, Duration::ZERO)
    }

    /// Sends a message, waiting for room for at most `timeout`.
    ///
    /// # Errors
    /// As [`send`](Intent::send).
    #[inline]
    pub fn send_timeout(&self, message: T, timeout: Duration) -> Result<Outcome, SendError<T>> {
        self.deliver(message, timeout)
    }

    /// Sends a message that is shared already: interests of this endpoint get the same `Arc`.
    ///
    /// # Errors
    /// As [`send`](Intent::send).
    #[inline]
    pub fn send_shared(&self, message: Arc<T>) -> Result<Outcome, SendError<Arc<T>>> {
        self.deliver(message, self.max_wait)
    }

    /// As [`send_shared`](Intent::send_shared), and never waits.
    ///
    /// # Errors
    /// As [`send`](Intent::send).
    #[inline]
    pub fn try_send_shared(&self, message: Arc<T>) -> Result<Outcome, SendError<Arc<T>>> {
        self.deliver(message, Duration::ZERO)
    }

    /// As [`send_shared`](Intent::send_shared), waiting for room for at most `timeout`.
    ///
    /// # Errors
    /// As [`send`](Intent::send).
    #[inline]
    pub fn send_shared_timeout(
        &self,
        message: Arc<T>,
        timeout: Duration,
    ) -> Result<Outcome, SendError<Arc<T>>> {
        self.deliver(message, timeout)
    }

    /// What compression did for this intent so far. Only with the feature `lz4`.
    #[cfg(feature = "lz4")]
    pub fn compression(&self) -> crate::CompressionCounts {
        self.state.borrow().sending.packer.counts()
    }

    #[cfg(feature = "lz4")]
    pub(crate) fn compresses(self, compression: crate::Compression) -> Self {
        self.state.borrow_mut().sending.packer.mode = compression;
        self
    }

    /// How many interests would get a sample now.
    pub fn interested(&self) -> usize {
        self.core.interested()
    }

    /// Waits until somebody is interested, for at most `timeout`; false if nobody was.
    pub fn wait_interest(&self, timeout: Duration) -> bool {
        self.wait_interests(1, timeout)
    }

    /// Waits until at least `count` interests would get a sample, for at most `timeout`; false if
    /// there were fewer to the end.
    ///
    /// [`RouteLinked`](crate::Event::RouteLinked) says that an interest was found; it can be sent to once it
    /// has answered, a round trip later. This waits for that.
    ///
    /// ```
    /// use bowline::{Endpoint, Intent, Interest};
    /// use std::time::Duration;
    /// let robot = Endpoint::builder("robot").start()?;
    /// let speed: Intent<f32> = robot.intent("robot.speed")?;
    /// let (a, b): (Interest<f32>, Interest<f32>) = (robot.interest("robot.speed")?, robot.interest("robot.speed")?);
    /// assert!(speed.wait_interests(2, Duration::from_secs(5)));
    /// assert!(!speed.wait_interests(3, Duration::ZERO));
    /// # Ok::<(), bowline::Error>(())
    /// ```
    pub fn wait_interests(&self, count: usize, timeout: Duration) -> bool {
        let deadline = time::instant().checked_add(timeout);
        loop {
            let seen = self.core.signal.seen();
            if self.core.interested() >= count {
                return true;
            }
            if self.core.is_closed() || !self.core.signal.wait(seen, deadline) {
                return false;
            }
        }
    }

    /// What became of the last message sent, for each interest: who wants it (`None`: this endpoint),
    /// and its fate. Where it was turned away, [`NotSent`](Fate::NotSent) stands for those who had room.
    pub fn outcomes(&self) -> Vec<(Option<PeerName>, Fate)> {
        let outcomes = self.state.borrow().sending.outcomes();
        outcomes.into_iter().map(|(peer, fate)| (peer.as_deref().cloned(), fate)).collect()
    }

    #[inline]
    fn deliver<M: Carried<T>>(&self, message: M, wait: Duration) -> Result<Outcome, SendError<M>> {
        if self.core.is_closed() {
            return Err(self.error(message, Why::Closed));
        }
        let mut state = self.state.borrow_mut();
        let State { sending, encoded } = &mut *state;
        let needs = sending.refresh();
        if needs.message || self.core.retains() {
            return self.deliver_whole(sending, encoded, message, wait);
        }
        if let Err(why) = self.prepare(message.get(), encoded, needs.bytes) {
            return Err(self.error(message, why));
        }
        if needs.is_nothing() {
            return Ok(Outcome::NOBODY);
        }
        let sample = match message.get().as_bytes() {
            Some(bytes) => Outgoing { payload: bytes, shared: Some(bytes) },
            None => Outgoing { payload: encoded, shared: None },
        };
        match sending.send(sample, || None) {
            Ok(outcome) => Ok(outcome),
            Err(turned) => match self.wait_for_room(sending, sample, turned, wait) {
                Ok(outcome) => Ok(outcome),
                Err(why) => Err(self.error(message, why)),
            },
        }
    }

    /// Encodes a message that is not bytes already, where it `must` be, and checks its size.
    #[inline]
    fn prepare(&self, message: &T, encoded: &mut Vec<u8>, must: bool) -> Result<(), Why> {
        let size = match message.as_bytes() {
            Some(bytes) => bytes.len(),
            None if must => {
                encoded.clear();
                message.encode(encoded).map_err(Why::Codec)?;
                encoded.len()
            }
            None => return Ok(()),
        };
        if size > self.largest { Err(Why::TooLarge { size, limit: self.largest }) } else { Ok(()) }
    }

    /// Sends where the message itself is wanted, or is retained.
    fn deliver_whole<M: Carried<T>>(
        &self,
        sending: &mut Sending,
        encoded: &mut Vec<u8>,
        message: M,
        wait: Duration,
    ) -> Result<Outcome, SendError<M>> {
        let retains = self.core.retains();
        let mut is_encoded = retains || sending.refresh().bytes;
        if let Err(why) = self.prepare(message.get(), encoded, is_encoded) {
            return Err(self.error(message, why));
        }
        // A handle of its own, as the message may be given away before the bytes are written.
        let mut held = message.get().as_bytes().cloned();
        if retains && held.is_none() {
            held = Some(Bytes::copy_from_slice(encoded));
        }
        let mut message = Some(message);
        let mut deadline = None;
        // Looked at only once turned away: the first wait then ends at once, and the next is sure.
        let mut seen = 0;
        let why = loop {
            // Who is linked from here on is not in the list, and is given the sample once it was sent.
            self.core.begin_send();
            // Reading the clock costs as much as all the rest of a sample's way within a process.
            let sent = retains.then(|| self.clock.now());
            // Who was linked while this waited may need the message in a form it is not in yet.
            let needs = sending.refresh();
            if needs.bytes && !is_encoded {
                is_encoded = true;
                let prepared = message.as_ref().map(|message| self.prepare(message.get(), encoded, true));
                if let Some(Err(why)) = prepared {
                    break why;
                }
            }
            let sample = match &held {
                Some(bytes) => Outgoing { payload: bytes, shared: Some(bytes) },
                None => Outgoing { payload: encoded, shared: None },
            };
            let give = || message.take().map(|message| -> Shared { message.into_arc() });
            let result = sending.send(sample, give);
            if retains {
                let payload = if result.is_ok() { held.clone() } else { None };
                let number = sending.count();
                let retained = payload.zip(sent).map(|(payload, sent)| Retained { sent, payload, number });
                if let Some(retained) = self.core.end_send(retained) {
                    sending.give_missed(&retained);
                }
            }
            let turned = match result {
                Ok(outcome) => return Ok(outcome),
                Err(turned) => turned,
            };
            if let Err(why) = self.again(sending, turned, sample, seen, &mut deadline, wait) {
                break why;
            }
            seen = self.core.signal.seen();
        };
        // All or nothing: the message is given away only once everyone has room.
        match message {
            Some(message) => Err(self.error(message, why)),
            None => Ok(Outcome::NOBODY),
        }
    }

    /// Tries again, after being turned away once, until there is room or the time is over.
    #[cold]
    fn wait_for_room(
        &self,
        sending: &mut Sending,
        sample: Outgoing<'_>,
        mut turned: Turned,
        wait: Duration,
    ) -> Result<Outcome, Why> {
        let mut deadline = None;
        let mut seen = 0;
        loop {
            self.again(sending, turned, sample, seen, &mut deadline, wait)?;
            seen = self.core.signal.seen();
            if sending.refresh().message {
                // An interest of this endpoint came while waiting; it is for the next message.
                log::debug!("`{}` found a new local interest while waiting", self.core.route);
            }
            match sending.send(sample, || None) {
                Ok(outcome) => return Ok(outcome),
                Err(again) => turned = again,
            }
        }
    }

    /// Waits for a change since `seen`, where waiting can help and there is time.
    fn again(
        &self,
        sending: &Sending,
        turned: Turned,
        sample: Outgoing<'_>,
        seen: u64,
        deadline: &mut Option<Instant>,
        wait: Duration,
    ) -> Result<(), Why> {
        let (place, fate, left) = match turned {
            Turned::TooLarge { limit } => return Err(Why::TooLarge { size: sample.payload.len(), limit }),
            Turned::NoRoom { place, fate, left } => (place, fate, left),
        };
        let in_vain = || Why::NoRoom { peer: sending.peer(place), fate, bounds: self.core.bounds };
        if wait.is_zero() {
            return Err(in_vain());
        }
        let until = *deadline.get_or_insert_with(|| time::instant() + wait.min(LONGEST_WAIT));
        // One who is cut off meanwhile is in the way no longer.
        let look = until.min(time::instant() + left.min(LONGEST_WAIT));
        if !self.core.signal.wait(seen, Some(look)) && time::instant() >= until {
            return Err(in_vain());
        }
        if self.core.is_closed() { Err(Why::Closed) } else { Ok(()) }
    }

    #[cold]
    fn error<M>(&self, message: M, why: Why) -> SendError<M> {
        SendError { message, route: self.core.route.clone(), why }
    }
}

impl<T> fmt::Debug for Intent<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intent").field("route", &self.core.route).finish_non_exhaustive()
    }
}

impl<T> Drop for Intent<T> {
    fn drop(&mut self) {
        let _ = self.dispatcher.send(Input::WithdrawIntent(self.core.id));
    }
}

/// A message by value or in an `Arc`.
trait Carried<T> {
    fn get(&self) -> &T;
    fn into_arc(self) -> Arc<T>;
}

impl<T> Carried<T> for T {
    #[inline]
    fn get(&self) -> &T {
        self
    }

    fn into_arc(self) -> Arc<T> {
        Arc::new(self)
    }
}

impl<T> Carried<T> for Arc<T> {
    #[inline]
    fn get(&self) -> &T {
        self
    }

    fn into_arc(self) -> Arc<T> {
        self
    }
}

/// Longer than any program waits: what a longer wait is taken for.
const LONGEST_WAIT: Duration = Duration::from_secs(365 * 24 * 3600);

mod slices;

#[cfg(all(test, shuttle))]
mod interleaved;
