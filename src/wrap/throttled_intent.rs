//! Intents that send the newest message once in an interval.

use super::push::{Push, Supplying};
use super::time::{LONGEST, Time};
use super::withheld::Withheld;
use crate::intent::SendError;
use crate::outcome::{Fate, Outcome};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A [`Supply`](super::Supply) that sends the newest message, once in an interval.
///
/// [`Supply::throttle`](super::Supply::throttle) makes it. Dropping it sends what it holds, without waiting.
pub struct ThrottledIntent<S: Push<T>, T> {
    inner: S,
    interval: Duration,
    /// When the next may be sent; at first, any time.
    turn: Cell<Option<Instant>>,
    /// The newest that was not sent yet.
    held: RefCell<Option<Held<T>>>,
    replaced: Cell<u64>,
    time: Time,
}

enum Held<T> {
    Own(T),
    Shared(Arc<T>),
}

impl<S: Push<T>, T> ThrottledIntent<S, T> {
    pub(crate) fn new(inner: S, interval: Duration, time: Time) -> Self {
        let interval = interval.min(LONGEST);
        let (turn, held, replaced) = (Cell::new(None), RefCell::new(None), Cell::new(0));
        Self { inner, interval, turn, held, replaced, time }
    }

    #[inline]
    fn pass<M>(
        &self,
        message: M,
        hold: impl FnOnce(M) -> Held<T>,
        push: impl FnOnce(M) -> Result<Outcome, SendError<M>>,
    ) -> Result<Outcome, SendError<M>> {
        let now = self.time.now();
        if !self.has_turn(now) {
            self.replace(Some(hold(message)));
            return Ok(Outcome::HELD);
        }
        let outcome = push(message)?;
        // Only now: had this one come back, the older one would still be the newest there is.
        self.replace(None);
        self.sent(outcome, now);
        Ok(outcome)
    }

    fn has_turn(&self, now: Instant) -> bool {
        self.turn.get().is_none_or(|turn| turn <= now)
    }

    /// What was held gives way to a newer one.
    fn replace(&self, newer: Option<Held<T>>) {
        if self.held.replace(newer).is_some() {
            self.replaced.set(self.replaced.get() + 1);
        }
    }

    fn sent(&self, outcome: Outcome, now: Instant) {
        if outcome.worst() != Fate::Withheld {
            self.turn.set(now.checked_add(self.interval));
        }
    }

    /// Sends what is held here. What cannot be sent is held as before.
    fn send_held(&self, wait: Option<Duration>) -> Result<Option<Outcome>, SendError<()>> {
        let (pushed, now) = (self.held.take(), self.time.now());
        let sent = match pushed {
            None => return Ok(None),
            Some(Held::Own(message)) => self.inner.push(message, wait).map_err(|error| {
                let (error, message) = error.exchange(());
                (error, Held::Own(message))
            }),
            Some(Held::Shared(message)) => self.inner.push_shared(message, wait).map_err(|error| {
                let (error, message) = error.exchange(());
                (error, Held::Shared(message))
            }),
        };
        match sent {
            Ok(outcome) => {
                self.sent(outcome, now);
                Ok(Some(outcome))
            }
            Err((error, message)) => {
                self.held.replace(Some(message));
                Err(error)
            }
        }
    }
}

impl<S: Push<T>, T> Push<T> for ThrottledIntent<S, T> {
    #[inline]
    fn push(&self, message: T, wait: Option<Duration>) -> Result<Outcome, SendError<T>> {
        self.pass(message, Held::Own, |message| self.inner.push(message, wait))
    }

    #[inline]
    fn push_shared(&self, message: Arc<T>, wait: Option<Duration>) -> Result<Outcome, SendError<Arc<T>>> {
        self.pass(message, Held::Shared, |message| self.inner.push_shared(message, wait))
    }

    fn push_held(&self, early: bool, wait: Option<Duration>) -> Result<Option<Outcome>, SendError<()>> {
        let sent = match early || self.has_turn(self.time.now()) {
            true => self.send_held(wait)?,
            false => None,
        };
        Ok(self.inner.push_held(early, wait)?.or(sent))
    }

    fn base(&self) -> &dyn Supplying {
        self.inner.base()
    }

    fn count(&self, withheld: &mut Withheld) {
        withheld.replaced += self.replaced.get();
        self.inner.count(withheld);
    }
}

impl<S: Push<T>, T> Drop for ThrottledIntent<S, T> {
    fn drop(&mut self) {
        if let Err(error) = self.send_held(Some(Duration::ZERO)) {
            log::warn!("the last message a throttle held is lost: {error}");
        }
    }
}

impl<S: Push<T> + fmt::Debug, T> fmt::Debug for ThrottledIntent<S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThrottledIntent")
            .field("interval", &self.interval)
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
