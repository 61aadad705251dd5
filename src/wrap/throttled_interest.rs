//! Interests that hand out the newest sample once in an interval.

use super::pull::{Pull, Wanting, newest_of};
use super::time::{LONGEST, Time};
use super::wait::Wait;
use super::withheld::Withheld;
use crate::interest::RecvError;
use crate::sample::{Reading, Sample};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::time::{Duration, Instant};

/// A [`Want`](super::Want) that hands out the newest sample, once in an interval.
///
/// [`Want::throttle`](super::Want::throttle) makes it.
pub struct ThrottledInterest<W, T> {
    inner: W,
    interval: Duration,
    /// When the next may be handed out; at first, any time.
    turn: Cell<Option<Instant>>,
    /// The newest that was not handed out yet.
    held: RefCell<Option<Sample<T>>>,
    replaced: Cell<u64>,
    time: Time,
    /// For `latest`.
    newest: RefCell<Option<Sample<T>>>,
}

impl<W, T> ThrottledInterest<W, T> {
    pub(crate) fn new(inner: W, interval: Duration, time: Time) -> Self {
        Self {
            inner,
            interval: interval.min(LONGEST),
            turn: Cell::new(None),
            held: RefCell::new(None),
            replaced: Cell::new(0),
            time,
            newest: RefCell::new(None),
        }
    }

    fn hold(&self, sample: Sample<T>) {
        if self.held.replace(Some(sample)).is_some() {
            self.replaced.set(self.replaced.get() + 1);
        }
    }

    fn hand_out(&self, now: Instant) -> Option<Sample<T>> {
        let sample = self.held.take()?;
        self.turn.set(now.checked_add(self.interval));
        Some(sample)
    }
}

impl<W: Pull<T>, T> ThrottledInterest<W, T> {
    fn next(&self, wait: &mut Wait) -> Result<Sample<T>, RecvError> {
        loop {
            if wait.is_never() {
                self.drain(wait)?;
            } else {
                self.drain(&mut Wait::never(self.inner.base().backlog()))?;
            }
            let now = self.time.now();
            let turn = self.turn.get().filter(|turn| now < *turn);
            if turn.is_none() {
                if let Some(sample) = self.hand_out(now) {
                    return Ok(sample);
                }
            }
            // Until it is time; or if it is, until there is something.
            let Some(mut part) = wait.part(now, turn) else {
                return Err(wait.nothing(self.base().route()));
            };
            self.take(&mut part)?;
        }
    }

    /// Takes all that wait, and holds the newest.
    fn drain(&self, wait: &mut Wait) -> Result<(), RecvError> {
        while self.take(wait)? {}
        Ok(())
    }

    /// Takes one; false if none came.
    fn take(&self, wait: &mut Wait) -> Result<bool, RecvError> {
        match self.inner.pull(wait) {
            Ok(sample) => {
                self.hold(sample);
                Ok(true)
            }
            Err(RecvError::Empty { .. } | RecvError::Timeout { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl<W: Pull<T>, T> Pull<T> for ThrottledInterest<W, T> {
    fn pull(&self, wait: &mut Wait) -> Result<Sample<T>, RecvError> {
        match self.next(wait) {
            // Nothing can follow, so there is nothing to hold the last one back for.
            Err(RecvError::Closed { route }) => {
                self.hand_out(self.time.now()).ok_or(RecvError::Closed { route })
            }
            found => found,
        }
    }

    fn newest(&self) -> Reading<T>
    where
        T: Clone,
    {
        newest_of(self, &self.newest)
    }

    fn base(&self) -> &dyn Wanting {
        self.inner.base()
    }

    fn count(&self, withheld: &mut Withheld) {
        withheld.replaced += self.replaced.get();
        self.inner.count(withheld);
    }
}

impl<W: fmt::Debug, T> fmt::Debug for ThrottledInterest<W, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThrottledInterest")
            .field("interval", &self.interval)
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
