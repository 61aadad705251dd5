//! Callbacks behind wrappers.

use super::pull::{Pull, Wanting};
use super::wait::Wait;
use super::want::Want;
use super::withheld::Withheld;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::interest::{InterestCounts, RecvError, Subscription};
use crate::message::Message;
use crate::route::Route;
use crate::sample::{Reading, Sample};
use crate::settings::InterestSettings;
use parking_lot::Mutex;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

/// The samples of a callback, to be wrapped; see [`Endpoint::on_sample_through`].
///
/// It holds the one sample that the call is for.
pub struct Feed<T> {
    route: Route,
    slot: Arc<Mutex<Option<Sample<T>>>>,
}

impl Endpoint {
    /// As [`on_sample`](Endpoint::on_sample), with wrappers between: `wrap` gets the samples as they come
    /// and wraps them, and `callback` is called for each one that comes through.
    ///
    /// The wrappers run where the callback does, so its rules hold for them. They have no thread of their
    /// own: a sample that a [throttle](Want::throttle) holds is handed on when the next one comes, if it
    /// is time by then.
    ///
    /// ```
    /// use bowline::{Endpoint, InterestSettings, Want, wrap::Feed};
    /// use std::sync::mpsc::channel;
    /// use std::time::Duration;
    /// let robot = Endpoint::builder("robot").start()?;
    /// let (heard, hearing) = channel();
    /// let hot = robot.on_sample_through(
    ///     "robot.celsius",
    ///     InterestSettings::new(),
    ///     |celsius: Feed<f32>| celsius.map(|celsius| celsius.round() as i32).dedup(),
    ///     move |celsius| heard.send(*celsius).unwrap_or(()), // nobody hears it any more: so be it
    /// )?;
    /// let celsius = robot.intent::<f32>("robot.celsius")?;
    /// assert!(celsius.wait_interest(Duration::from_secs(5)));
    /// for value in [20.1, 20.2, 21.3] {
    ///     celsius.send(value)?;
    /// }
    /// assert_eq!(hearing.try_iter().collect::<Vec<i32>>(), [20, 21]);
    /// assert_eq!(hot.withheld().repeated, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`interest_with`](Endpoint::interest_with).
    pub fn on_sample_through<T: Message, U, W: Want<U> + Send + 'static>(
        &self,
        path: &str,
        settings: InterestSettings,
        wrap: impl FnOnce(Feed<T>) -> W,
        mut callback: impl FnMut(Sample<U>) + Send + 'static,
    ) -> Result<WrappedSubscription, Error> {
        let (route, _) = settings.naming.resolve::<T>(path)?;
        let slot = Arc::new(Mutex::new(None));
        let wanted = wrap(Feed { route, slot: Arc::clone(&slot) });
        let withheld = Arc::new(Mutex::new(Withheld::default()));
        let told = Arc::clone(&withheld);
        let subscription = self.on_sample(path, settings, move |sample: Sample<T>| {
            *slot.lock() = Some(sample);
            // One came, and a throttle may hold one more.
            while let Ok(sample) = wanted.try_recv() {
                callback(sample);
            }
            *told.lock() = wanted.withheld();
        })?;
        Ok(WrappedSubscription { subscription, withheld })
    }
}

impl<T> Pull<T> for Feed<T> {
    #[inline]
    fn pull(&self, wait: &mut Wait) -> Result<Sample<T>, RecvError> {
        self.slot.lock().take().ok_or_else(|| wait.nothing(&self.route))
    }

    fn newest(&self) -> Reading<T> {
        self.slot.lock().take().map_or(Reading::Never, Reading::Fresh)
    }

    fn base(&self) -> &dyn Wanting {
        self
    }

    fn count(&self, _: &mut Withheld) {}
}

/// Within a call there is nothing to be said of what is around it: the subscription does.
impl<T> Wanting for Feed<T> {
    fn route(&self) -> &Route {
        &self.route
    }

    fn suppliers(&self) -> usize {
        1
    }

    fn wait_intent(&self, _: Duration) -> bool {
        true
    }

    fn counts(&self) -> InterestCounts {
        InterestCounts::default()
    }

    fn fresh_for(&self) -> Option<Duration> {
        None
    }

    fn backlog(&self) -> usize {
        1
    }
}

impl<T> fmt::Debug for Feed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("route", &self.route).finish_non_exhaustive()
    }
}

/// A [`Subscription`] whose samples go through wrappers; it dereferences to it.
///
/// [`Endpoint::on_sample_through`] makes it.
#[derive(Debug)]
#[must_use = "dropping it ends the calls"]
pub struct WrappedSubscription {
    subscription: Subscription,
    withheld: Arc<Mutex<Withheld>>,
}

impl WrappedSubscription {
    /// What the wrappers withheld, by the reason, when the last call ended.
    pub fn withheld(&self) -> Withheld {
        *self.withheld.lock()
    }
}

impl Deref for WrappedSubscription {
    type Target = Subscription;

    fn deref(&self) -> &Subscription {
        &self.subscription
    }
}
