//! One message as it was received.

use crate::event::PeerName;
use crate::route::Route;
use crate::runtime::source::SourceRef;
use crate::time::Timestamp;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

/// One message as it was received, with where it came from and when it was sent.
///
/// It dereferences to the message.
///
/// ```
/// use bowline::{Endpoint, Intent, Interest};
/// let robot = Endpoint::builder("robot").start()?;
/// let wanted: Interest<f64> = robot.interest("robot.speed")?;
/// let speed: Intent<f64> = robot.intent("robot.speed")?;
/// speed.wait_interest(std::time::Duration::from_secs(1));
/// speed.send(1.5)?;
/// let sample = wanted.recv()?;
/// assert_eq!(*sample, 1.5);
/// assert_eq!((sample.sequence(), sample.peer()), (0, None));
/// assert_eq!(sample.route().to_string(), "f64@robot.speed");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Sample<T> {
    message: Held<T>,
    sequence: u64,
    sent: Timestamp,
    source: SourceRef,
}

#[derive(Clone)]
enum Held<T> {
    Own(T),
    Shared(Arc<T>),
}

impl<T> Sample<T> {
    #[inline]
    pub(crate) fn own(message: T, sequence: u64, sent: Timestamp, source: &SourceRef) -> Self {
        Self { message: Held::Own(message), sequence, sent, source: source.clone() }
    }

    #[inline]
    pub(crate) fn shared(message: Arc<T>, sequence: u64, sent: Timestamp, source: &SourceRef) -> Self {
        Self { message: Held::Shared(message), sequence, sent, source: source.clone() }
    }

    /// The time since the message was sent, by this endpoint's clock.
    ///
    /// For a message of a peer it is right to within [`age_error`](Sample::age_error): the difference
    /// of the clocks is estimated from pings. It is never negative. In a burst of samples less than 20 µs
    /// apart one reading of the clock serves up to 32: of those that follow the burst after a pause, up to 31
    /// can look older than they are, by as long as the pause was.
    pub fn age(&self) -> Duration {
        self.source.age(self.sent)
    }

    /// How far off [`age`](Sample::age) is at most, because of the clocks; zero for a message of this
    /// endpoint, `None` if the link was not measured yet or is gone.
    pub fn age_error(&self) -> Option<Duration> {
        self.source.clock_error()
    }

    /// When the message was sent, by this endpoint's clock.
    pub fn sent(&self) -> Timestamp {
        self.sent
    }

    /// The message's number among those of its intent for this interest, from 0. A gap between two
    /// numbers is that many samples lost.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Who sent it; `None` if this endpoint did.
    pub fn peer(&self) -> Option<&PeerName> {
        self.source.peer.as_deref()
    }

    /// The route it came on.
    pub fn route(&self) -> &Route {
        &self.source.route
    }

    /// The sample with another message made from this one; age, number and origin stay.
    ///
    /// A function rather than a method, as a message may have a `map` of its own.
    ///
    /// ```
    /// use bowline::{Endpoint, Intent, Interest, Sample};
    /// let robot = Endpoint::builder("robot").start()?;
    /// let wanted: Interest<f64> = robot.interest("robot.speed")?;
    /// let speed: Intent<f64> = robot.intent("robot.speed")?;
    /// speed.wait_interest(std::time::Duration::from_secs(5));
    /// speed.send(1.5)?;
    /// let doubled = Sample::map(wanted.recv()?, |speed| speed * 2.0);
    /// assert_eq!((*doubled, doubled.sequence()), (3.0, 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline(always)]
    pub fn map<U>(sample: Sample<T>, make: impl FnOnce(&T) -> U) -> Sample<U> {
        let message = Held::Own(make(&sample));
        Sample { message, sequence: sample.sequence, sent: sample.sent, source: sample.source }
    }

    /// The message. One of this endpoint that others hold too is cloned.
    pub fn into_inner(self) -> T
    where
        T: Clone,
    {
        match self.message {
            Held::Own(message) => message,
            Held::Shared(message) => Arc::unwrap_or_clone(message),
        }
    }

    /// The message in an `Arc`, without cloning it.
    pub fn into_shared(self) -> Arc<T> {
        match self.message {
            Held::Own(message) => Arc::new(message),
            Held::Shared(message) => message,
        }
    }
}

impl<T> Deref for Sample<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        match &self.message {
            Held::Own(message) => message,
            Held::Shared(message) => message,
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Sample<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sample")
            .field("message", &**self)
            .field("sequence", &self.sequence)
            .field("age", &self.age())
            .finish_non_exhaustive()
    }
}

/// What [`Interest::latest`](crate::Interest::latest) answers.
///
/// ```
/// use bowline::{Endpoint, Interest, Reading};
/// let desk = Endpoint::builder("desk").start()?;
/// let target: Interest<f64> = desk.interest("desk.target")?;
/// assert!(matches!(target.latest(), Reading::LinkDown(None)));
/// assert_eq!(target.latest().value_or(0.0), 0.0);
/// # Ok::<(), bowline::Error>(())
/// ```
#[derive(Clone, Debug)]
pub enum Reading<T> {
    /// The newest sample, younger than the interest's limit.
    Fresh(Sample<T>),
    /// The newest sample, but it has reached the limit.
    Stale(Sample<T>),
    /// An intent is linked, and nothing came yet.
    Never,
    /// No intent is linked; with the last sample there was.
    LinkDown(Option<Sample<T>>),
}

impl<T> Reading<T> {
    /// The sample if it is fresh.
    pub fn fresh(self) -> Option<Sample<T>> {
        match self {
            Reading::Fresh(sample) => Some(sample),
            _ => None,
        }
    }

    /// The newest sample, however old, even if its intent is gone.
    pub fn newest(self) -> Option<Sample<T>> {
        match self {
            Reading::Fresh(sample) | Reading::Stale(sample) => Some(sample),
            Reading::LinkDown(sample) => sample,
            Reading::Never => None,
        }
    }

    /// The message if it is fresh, or else `fallback`.
    pub fn value_or(self, fallback: T) -> T
    where
        T: Clone,
    {
        self.fresh().map_or(fallback, Sample::into_inner)
    }
}
