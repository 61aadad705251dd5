//! What interests and their wrappers have in common.

use super::dedup::{ByKey, Dedup, Whole};
use super::gate::Filter;
use super::pull::Pull;
use super::rate_limit::RateLimit;
use super::throttled_interest::ThrottledInterest;
use super::time::Time;
use super::wait::Wait;
use super::withheld::Withheld;
use super::wrapped_interest::{Map, Tap, WrappedInterest};
use crate::interest::{InterestCounts, RecvError};
use crate::route::Route;
use crate::sample::{Reading, Sample};
use std::time::Duration;

/// What is wanted: an [`Interest`](crate::Interest), or one that is wrapped, however often.
///
/// A function that takes `&impl Want<f32>` works with either; `Box<dyn Want<f32> + Send>` is for a
/// field whose type must not depend on the wrappers. A reference to a `Want` is one too. Wrappers of
/// your own are functions that call these methods; the trait is not to be implemented elsewhere.
///
/// ```
/// use bowline::{Endpoint, Want};
/// use std::time::Duration;
/// # #[derive(Clone, serde::Serialize, serde::Deserialize)]
/// # struct Imu { valid: bool, gyro: [f32; 3] }
/// fn turning(rate: &impl Want<f32>) -> bool {
///     rate.latest().value_or(0.0).abs() > 0.1
/// }
///
/// let robot = Endpoint::builder("robot").start()?;
/// let rate = robot
///     .interest::<Imu>("robot.imu")?
///     .filter(|imu| imu.valid)
///     .map(|imu| imu.gyro[2])
///     .throttle(Duration::from_millis(20));
/// let imu = robot.intent::<Imu>("robot.imu")?;
/// assert!(imu.wait_interest(Duration::from_secs(5)));
/// imu.send(Imu { valid: false, gyro: [9.0; 3] })?;
/// imu.send(Imu { valid: true, gyro: [0.0, 0.0, 0.5] })?;
/// assert!(turning(&rate));
/// assert_eq!(rate.withheld().filtered, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Want<T>: Pull<T> {
    /// Waits for the next sample that comes through; see [`Interest::recv`](crate::Interest::recv).
    ///
    /// # Errors
    /// When the endpoint is closed, or a sample cannot be decoded.
    #[inline(always)]
    fn recv(&self) -> Result<Sample<T>, RecvError> {
        self.pull(&mut Wait::ever())
    }

    /// The next sample that comes through, if one waits. Those that are withheld on the way are taken.
    ///
    /// # Errors
    /// When none waits, the endpoint is closed, or a sample cannot be decoded.
    #[inline(always)]
    fn try_recv(&self) -> Result<Sample<T>, RecvError> {
        self.pull(&mut Wait::never(self.base().backlog()))
    }

    /// Waits for the next sample that comes through, for at most `timeout`, however many are withheld
    /// meanwhile.
    ///
    /// # Errors
    /// When the time passed, the endpoint is closed, or a sample cannot be decoded.
    #[inline(always)]
    fn recv_timeout(&self, timeout: Duration) -> Result<Sample<T>, RecvError> {
        self.pull(&mut Wait::at_most(timeout, || self.base().backlog()))
    }

    /// All samples that come through from now on; it waits for each, and ends when the endpoint is
    /// closed. Samples that cannot be decoded are passed over and logged.
    fn iter(&self) -> impl Iterator<Item = Sample<T>> + '_
    where
        Self: Sized,
    {
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

    /// The newest sample that came through; never waits.
    ///
    /// All that wait are taken for it and go through the wrappers, each once and in order. The last one
    /// that came through is answered, and answered again until another does. Whether it is fresh is
    /// told by its own age: where everything newer is withheld, it grows stale. A sample that was
    /// handed out by `recv` before is not answered; a program uses the one or the other.
    fn latest(&self) -> Reading<T>
    where
        T: Clone,
    {
        self.newest()
    }

    /// The route it is for.
    fn route(&self) -> &Route {
        self.base().route()
    }

    /// How many intents supply it now.
    fn suppliers(&self) -> usize {
        self.base().suppliers()
    }

    /// Waits until an intent supplies it, for at most `timeout`; false if none did.
    fn wait_intent(&self, timeout: Duration) -> bool {
        self.base().wait_intent(timeout)
    }

    /// What became of its samples before they reached the wrappers.
    fn counts(&self) -> InterestCounts {
        self.base().counts()
    }

    /// What the wrappers withheld, by the reason; nothing without wrappers.
    fn withheld(&self) -> Withheld {
        let mut withheld = Withheld::default();
        self.count(&mut withheld);
        withheld
    }

    /// Lets only those messages through that `keep` is true for.
    ///
    /// ```
    /// use bowline::{Endpoint, Want};
    /// let desk = Endpoint::builder("desk").start()?;
    /// let hot = desk.interest::<f32>("robot.celsius")?.filter(|celsius| *celsius > 60.0);
    /// # Ok::<(), bowline::Error>(())
    /// ```
    fn filter<F>(self, keep: F) -> WrappedInterest<Self, Filter<F>, T, T>
    where
        Self: Sized,
        F: FnMut(&T) -> bool,
    {
        WrappedInterest::new(self, Filter::new(keep))
    }

    /// Makes another message of each. Its age, number and peer stay those of the one it was made of.
    ///
    /// `make` may keep a state: it is called once for each sample, in order, by `latest` too.
    ///
    /// ```
    /// use bowline::{Endpoint, Want};
    /// let desk = Endpoint::builder("desk").start()?;
    /// let mut mean = 0.0;
    /// let smooth = desk.interest::<f32>("robot.celsius")?.map(move |celsius| {
    ///     mean += 0.1 * (celsius - mean);
    ///     mean
    /// });
    /// # Ok::<(), bowline::Error>(())
    /// ```
    fn map<U, F>(self, make: F) -> WrappedInterest<Self, Map<F>, T, U>
    where
        Self: Sized,
        F: FnMut(&T) -> U,
    {
        WrappedInterest::new(self, Map(make))
    }

    /// Shows each sample to `see`, and changes nothing: to log, to count, to record.
    ///
    /// ```
    /// use bowline::{Endpoint, Want};
    /// let desk = Endpoint::builder("desk").start()?;
    /// let speed = desk.interest::<f32>("robot.speed")?.tap(|sample| println!("{:?}", sample.age()));
    /// # Ok::<(), bowline::Error>(())
    /// ```
    fn tap<F>(self, see: F) -> WrappedInterest<Self, Tap<F>, T, T>
    where
        Self: Sized,
        F: FnMut(&Sample<T>),
    {
        WrappedInterest::new(self, Tap(see))
    }

    /// Lets a message through only if it differs from the last one that came through.
    ///
    /// As the age of a sample is its own, a value that stays the same grows stale for
    /// [`latest`](Want::latest); with [`keep_alive`](WrappedInterest::keep_alive) it passes again now
    /// and then. A float that is NaN differs from every other. The last message is kept as a clone.
    ///
    /// ```
    /// use bowline::{Endpoint, Want};
    /// use std::time::Duration;
    /// let robot = Endpoint::builder("robot").start()?;
    /// let mode = robot.interest::<String>("robot.mode")?.dedup();
    /// let intent = robot.intent::<String>("robot.mode")?;
    /// assert!(intent.wait_interest(Duration::from_secs(5)));
    /// for word in ["idle", "idle", "drive"] {
    ///     intent.send(word.to_owned())?;
    /// }
    /// assert_eq!((mode.recv()?.as_str(), mode.recv()?.as_str()), ("idle", "drive"));
    /// assert_eq!(mode.withheld().repeated, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn dedup(self) -> WrappedInterest<Self, Dedup<Whole<T>>, T, T>
    where
        Self: Sized,
        T: PartialEq + Clone,
    {
        WrappedInterest::new(self, Dedup::new(Whole::default(), Time::Machine))
    }

    /// As [`dedup`](Want::dedup), comparing what `key` makes of the messages.
    ///
    /// ```
    /// use bowline::{Endpoint, Want};
    /// let desk = Endpoint::builder("desk").start()?;
    /// let steps = desk.interest::<f32>("robot.celsius")?.dedup_by_key(|celsius| celsius.round() as i32);
    /// # Ok::<(), bowline::Error>(())
    /// ```
    fn dedup_by_key<K, F>(self, key: F) -> WrappedInterest<Self, Dedup<ByKey<F, K>>, T, T>
    where
        Self: Sized,
        K: PartialEq,
        F: FnMut(&T) -> K,
    {
        WrappedInterest::new(self, Dedup::new(ByKey::new(key), Time::Machine))
    }

    /// Lets at most `hertz` samples a second through: each passes when it is looked at, or is withheld
    /// for good.
    ///
    /// Nothing is held back, so what passes is never late; but of a burst the first passes and not the
    /// last. For the last one, use [`throttle`](Want::throttle). The time is that of this side, when a
    /// sample is taken. In the time of `n` periods at most `n` + 1 pass.
    ///
    /// Range: above 0; with anything else, only the first one passes.
    ///
    /// ```
    /// use bowline::{Endpoint, Want};
    /// let desk = Endpoint::builder("desk").start()?;
    /// let scan = desk.interest::<Vec<f32>>("robot.scan")?.rate_limit(5.0);
    /// # Ok::<(), bowline::Error>(())
    /// ```
    fn rate_limit(self, hertz: f64) -> WrappedInterest<Self, RateLimit, T, T>
    where
        Self: Sized,
    {
        WrappedInterest::new(self, RateLimit::new(hertz, Time::Machine))
    }

    /// Hands out the newest sample, at most one in each `interval`; those that it replaced are counted.
    ///
    /// The first comes at once. Then a call takes whatever comes until the interval is over, and hands
    /// out the newest of it; a call that may not wait so long ends in time, and what it took is held for
    /// the next. So the last of a burst is never missed, and at most an interval late. When the endpoint
    /// is closed, what is held is handed out at once. [`latest`](Want::latest) does not wait: its answer
    /// changes once in an interval.
    ///
    /// ```
    /// use bowline::{Endpoint, Want};
    /// use std::time::Duration;
    /// let robot = Endpoint::builder("robot").start()?;
    /// let count = robot.interest::<u32>("robot.count")?.throttle(Duration::from_millis(10));
    /// let intent = robot.intent::<u32>("robot.count")?;
    /// assert!(intent.wait_interest(Duration::from_secs(5)));
    /// intent.send(0)?;
    /// assert_eq!(*count.recv()?, 0);
    /// intent.send(1)?;
    /// intent.send(2)?;
    /// assert_eq!(*count.recv()?, 2); // 10 ms after the first
    /// assert_eq!(count.withheld().replaced, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn throttle(self, interval: Duration) -> ThrottledInterest<Self, T>
    where
        Self: Sized,
    {
        ThrottledInterest::new(self, interval, Time::Machine)
    }
}

impl<T, W: Pull<T> + ?Sized> Want<T> for W {}
