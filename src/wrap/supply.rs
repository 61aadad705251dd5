//! What intents and their wrappers have in common.

use super::dedup::{ByKey, Dedup, Whole};
use super::gate::Filter;
use super::push::Push;
use super::rate_limit::RateLimit;
use super::throttled_intent::ThrottledIntent;
use super::time::Time;
use super::withheld::Withheld;
use super::wrapped_intent::{Look, MappedIntent, WrappedIntent};
use crate::event::PeerName;
use crate::intent::SendError;
use crate::outcome::{Fate, Outcome};
use crate::route::Route;
use std::sync::Arc;
use std::time::Duration;

/// What is supplied: an [`Intent`](crate::Intent), or one that is wrapped, however often.
///
/// A function that takes `&impl Supply<f32>` works with either; `Box<dyn Supply<f32> + Send>` is for a
/// field whose type must not depend on the wrappers. A reference to a `Supply` is one too. Wrappers of
/// your own are functions that call these methods; the trait is not to be implemented elsewhere.
///
/// A message meets the wrapper that was added last first. One that is withheld is no error: the
/// [`Outcome`] says [`Fate::Withheld`], and [`withheld`](Supply::withheld) counts it; or it says
/// [`Fate::Held`], and a throttle sends it later, or counts it when a newer one takes its place. What
/// could not be sent counts for no rate and is no duplicate: send it again.
///
/// ```
/// use bowline::{Endpoint, Fate, Supply};
/// fn drive(speed: &impl Supply<f32>) -> Result<Fate, Box<dyn std::error::Error>> {
///     Ok(speed.send(1.5)?.worst())
/// }
///
/// let robot = Endpoint::builder("robot").start()?;
/// let speed = robot.intent::<f32>("robot.speed")?.rate_limit(100.0).dedup();
/// assert_eq!(drive(&speed)?, Fate::NoInterest);
/// assert_eq!(drive(&speed)?, Fate::Withheld); // the same again
/// assert_eq!(speed.withheld().repeated, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Supply<T>: Push<T> {
    /// Sends a message, or withholds it; see [`Intent::send`](crate::Intent::send).
    ///
    /// # Errors
    /// As [`Intent::send`](crate::Intent::send). The message comes back as it was given.
    #[inline]
    fn send(&self, message: T) -> Result<Outcome, SendError<T>> {
        self.push(message, None)
    }

    /// As [`send`](Supply::send), and never waits.
    ///
    /// # Errors
    /// As [`send`](Supply::send).
    #[inline]
    fn try_send(&self, message: T) -> Result<Outcome, SendError<T>> {
        self.push(message, Some(Duration::ZERO))
    }

    /// As [`send`](Supply::send), waiting for room for at most `timeout`.
    ///
    /// # Errors
    /// As [`send`](Supply::send).
    #[inline]
    fn send_timeout(&self, message: T, timeout: Duration) -> Result<Outcome, SendError<T>> {
        self.push(message, Some(timeout))
    }

    /// Sends a message that is shared already; see [`Intent::send_shared`](crate::Intent::send_shared).
    ///
    /// # Errors
    /// As [`send`](Supply::send).
    #[inline]
    fn send_shared(&self, message: Arc<T>) -> Result<Outcome, SendError<Arc<T>>> {
        self.push_shared(message, None)
    }

    /// As [`send_shared`](Supply::send_shared), and never waits.
    ///
    /// # Errors
    /// As [`send`](Supply::send).
    #[inline]
    fn try_send_shared(&self, message: Arc<T>) -> Result<Outcome, SendError<Arc<T>>> {
        self.push_shared(message, Some(Duration::ZERO))
    }

    /// As [`send_shared`](Supply::send_shared), waiting for room for at most `timeout`.
    ///
    /// # Errors
    /// As [`send`](Supply::send).
    #[inline]
    fn send_shared_timeout(&self, message: Arc<T>, timeout: Duration) -> Result<Outcome, SendError<Arc<T>>> {
        self.push_shared(message, Some(timeout))
    }

    /// Sends now what a [`throttle`](Supply::throttle) holds, without regard to its interval; `None` if
    /// nothing is held. For the end of a program, or of a movement.
    ///
    /// # Errors
    /// As [`send`](Supply::send); what could not be sent is held as before.
    fn flush(&self) -> Result<Option<Outcome>, SendError<()>> {
        self.push_held(true, None)
    }

    /// Sends what a [`throttle`](Supply::throttle) holds if its interval is over; `None` if nothing was to
    /// be sent. For a loop that does not send each time.
    ///
    /// # Errors
    /// As [`send`](Supply::send); what could not be sent is held as before.
    fn flush_due(&self) -> Result<Option<Outcome>, SendError<()>> {
        self.push_held(false, None)
    }

    /// The route it supplies.
    fn route(&self) -> &Route {
        self.base().route()
    }

    /// How many interests would get a sample now.
    fn interested(&self) -> usize {
        self.base().interested()
    }

    /// Waits until somebody is interested, for at most `timeout`; false if nobody was.
    fn wait_interest(&self, timeout: Duration) -> bool {
        self.wait_interests(1, timeout)
    }

    /// Waits until at least `count` interests would get a sample, for at most `timeout`; false if there
    /// were fewer to the end.
    fn wait_interests(&self, count: usize, timeout: Duration) -> bool {
        self.base().wait_interests(count, timeout)
    }

    /// What became, for each interest, of the last message that was sent and not withheld.
    fn outcomes(&self) -> Vec<(Option<PeerName>, Fate)> {
        self.base().outcomes()
    }

    /// What the wrappers withheld, by the reason; nothing without wrappers. What a throttle holds is
    /// not counted, as it may still be sent.
    fn withheld(&self) -> Withheld {
        let mut withheld = Withheld::default();
        self.count(&mut withheld);
        withheld
    }

    /// Sends only those messages that `keep` is true for.
    ///
    /// ```
    /// use bowline::{Endpoint, Supply};
    /// let robot = Endpoint::builder("robot").start()?;
    /// let speed = robot.intent::<f32>("robot.speed")?.filter(|speed| speed.is_finite());
    /// # Ok::<(), bowline::Error>(())
    /// ```
    fn filter<F>(self, keep: F) -> WrappedIntent<Self, Filter<F>>
    where
        Self: Sized,
        F: FnMut(&T) -> bool,
    {
        WrappedIntent::new(self, Filter::new(keep))
    }

    /// Takes messages `U`, and sends what `make` makes of them. In an error the message that was given
    /// comes back.
    ///
    /// ```
    /// use bowline::{Endpoint, Supply};
    /// let robot = Endpoint::builder("robot").start()?;
    /// let speed = robot.intent::<f32>("robot.speed")?.map(|ticks: &u32| *ticks as f32 * 0.01);
    /// speed.send(150_u32)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn map<U, F>(self, make: F) -> MappedIntent<Self, F, T, U>
    where
        Self: Sized,
        F: FnMut(&U) -> T,
    {
        MappedIntent::new(self, make)
    }

    /// Shows each message to `see` before it is sent, and changes nothing. One that could not be sent and
    /// is sent again is seen again.
    ///
    /// ```
    /// use bowline::{Endpoint, Supply};
    /// let robot = Endpoint::builder("robot").start()?;
    /// let speed = robot.intent::<f32>("robot.speed")?.tap(|speed| println!("{speed} m/s"));
    /// # Ok::<(), bowline::Error>(())
    /// ```
    fn tap<F>(self, see: F) -> WrappedIntent<Self, Look<F>>
    where
        Self: Sized,
        F: FnMut(&T),
    {
        WrappedIntent::new(self, Look(see))
    }

    /// Sends a message only if it differs from the last one that was sent.
    ///
    /// An equal one is sent all the same if fewer interests took the last one than there are now. That one
    /// left and another came is not seen: [`keep_alive`](WrappedIntent::keep_alive), which sends again now
    /// and then, or [`retain`](crate::IntentSettings::retain) is for that. A float that is NaN differs
    /// from every other. The last message is kept as a clone.
    ///
    /// ```
    /// use bowline::{Endpoint, Supply};
    /// let robot = Endpoint::builder("robot").start()?;
    /// let mode = robot.intent::<String>("robot.mode")?.dedup();
    /// mode.send("idle".to_owned())?;
    /// mode.send("idle".to_owned())?;
    /// assert_eq!(mode.withheld().repeated, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn dedup(self) -> WrappedIntent<Self, Dedup<Whole<T>>>
    where
        Self: Sized,
        T: PartialEq + Clone,
    {
        WrappedIntent::new(self, Dedup::new(Whole::default(), Time::Machine))
    }

    /// As [`dedup`](Supply::dedup), comparing what `key` makes of the messages.
    ///
    /// ```
    /// use bowline::{Endpoint, Supply};
    /// let robot = Endpoint::builder("robot").start()?;
    /// let heat = robot.intent::<f32>("robot.celsius")?.dedup_by_key(|celsius| celsius.round() as i32);
    /// # Ok::<(), bowline::Error>(())
    /// ```
    fn dedup_by_key<K, F>(self, key: F) -> WrappedIntent<Self, Dedup<ByKey<F, K>>>
    where
        Self: Sized,
        K: PartialEq,
        F: FnMut(&T) -> K,
    {
        WrappedIntent::new(self, Dedup::new(ByKey::new(key), Time::Machine))
    }

    /// Sends at most `hertz` messages a second; the others are withheld for good.
    ///
    /// In the time of `n` periods at most `n` + 1 are sent. Of a burst the first is sent and not the last;
    /// where the last counts, use [`throttle`](Supply::throttle).
    ///
    /// Range: above 0; with anything else, only the first one is sent.
    ///
    /// ```
    /// use bowline::{Endpoint, Fate, Supply};
    /// let robot = Endpoint::builder("robot").start()?;
    /// let speed = robot.intent::<f32>("robot.speed")?.rate_limit(0.1);
    /// speed.send(1.0)?;
    /// assert_eq!(speed.send(2.0)?.worst(), Fate::Withheld);
    /// assert_eq!(speed.withheld().over_rate, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn rate_limit(self, hertz: f64) -> WrappedIntent<Self, RateLimit>
    where
        Self: Sized,
    {
        WrappedIntent::new(self, RateLimit::new(hertz, Time::Machine))
    }

    /// Sends the newest message, at most one in each `interval`.
    ///
    /// The first is sent at once. One that comes before the interval is over is held, in place of the
    /// one held before, which is counted. No thread waits for its turn: what is held goes for a newer one
    /// that is sent when it comes, or is sent by [`flush_due`](Supply::flush_due), by
    /// [`flush`](Supply::flush), or when this is dropped.
    ///
    /// ```
    /// use bowline::{Endpoint, Fate, Interest, Supply};
    /// use std::time::Duration;
    /// let robot = Endpoint::builder("robot").start()?;
    /// let wanted: Interest<f32> = robot.interest("robot.speed")?;
    /// let speed = robot.intent::<f32>("robot.speed")?.throttle(Duration::from_secs(60));
    /// assert!(speed.wait_interest(Duration::from_secs(5)));
    /// speed.send(1.0)?;
    /// assert_eq!(speed.send(2.0)?.worst(), Fate::Held);
    /// assert_eq!(speed.send(3.0)?.worst(), Fate::Held);
    /// assert_eq!(*wanted.recv()?, 1.0);
    /// assert!(speed.flush_due()?.is_none()); // it is not time yet
    /// speed.flush()?;
    /// assert_eq!(*wanted.recv()?, 3.0);
    /// assert_eq!(speed.withheld().replaced, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn throttle(self, interval: Duration) -> ThrottledIntent<Self, T>
    where
        Self: Sized,
    {
        ThrottledIntent::new(self, interval, Time::Machine)
    }
}

impl<T, S: Push<T> + ?Sized> Supply<T> for S {}
