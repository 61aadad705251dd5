//! How samples come up through a stack of wrappers.

use super::wait::Wait;
use super::withheld::Withheld;
use crate::interest::{Interest, InterestCounts, RecvError};
use crate::message::Message;
use crate::route::Route;
use crate::sample::{Reading, Sample};
use crate::time;
use std::cell::RefCell;
use std::time::Duration;

/// What an interest and each of its wrappers do; [`Want`](super::Want) is made of it.
pub trait Pull<T> {
    /// The next sample, within the time given.
    fn pull(&self, wait: &mut Wait) -> Result<Sample<T>, RecvError>;

    /// The newest sample there is, without waiting.
    fn newest(&self) -> Reading<T>
    where
        T: Clone;

    /// The handle below all wrappers.
    fn base(&self) -> &dyn Wanting;

    /// Adds what was withheld here and below.
    fn count(&self, withheld: &mut Withheld);
}

/// What is below all wrappers.
pub trait Wanting {
    fn route(&self) -> &Route;
    fn suppliers(&self) -> usize;
    fn wait_intent(&self, timeout: Duration) -> bool;
    fn counts(&self) -> InterestCounts;
    fn is_supplied(&self) -> bool {
        self.suppliers() > 0
    }
    fn fresh_for(&self) -> Option<Duration>;

    /// As many samples as can have waited when a call began: so many are looked at by one that does not
    /// wait, however fast others follow them.
    fn backlog(&self) -> usize;
}

impl<T: Message> Pull<T> for Interest<T> {
    #[inline(always)]
    fn pull(&self, wait: &mut Wait) -> Result<Sample<T>, RecvError> {
        if wait.is_ever() {
            return self.recv();
        }
        if !wait.may_look(time::instant) {
            return Err(wait.nothing(self.route()));
        }
        match self.try_recv() {
            Err(RecvError::Empty { .. }) => {}
            found => return found,
        }
        match wait.left(time::instant()) {
            Some(left) => self.recv_timeout(left).map_err(|error| match error {
                RecvError::Timeout { .. } => wait.nothing(self.route()),
                error => error,
            }),
            None => Err(wait.nothing(self.route())),
        }
    }

    fn newest(&self) -> Reading<T> {
        self.latest()
    }

    fn base(&self) -> &dyn Wanting {
        self
    }

    fn count(&self, _: &mut Withheld) {}
}

impl<T: Message> Wanting for Interest<T> {
    fn route(&self) -> &Route {
        self.route()
    }

    fn suppliers(&self) -> usize {
        self.suppliers()
    }

    fn wait_intent(&self, timeout: Duration) -> bool {
        self.wait_intent(timeout)
    }

    fn counts(&self) -> InterestCounts {
        self.counts()
    }

    fn is_supplied(&self) -> bool {
        self.is_supplied()
    }

    fn fresh_for(&self) -> Option<Duration> {
        self.fresh_for()
    }

    fn backlog(&self) -> usize {
        let delivery = self.delivery();
        let sources = if delivery.is_lossless() { self.suppliers().max(1) } else { 1 };
        // Once in the mailbox, and once taken from it and not yet handed out.
        (delivery.depth() as usize).saturating_mul(sources).saturating_mul(2)
    }
}

macro_rules! pull_through {
    ($($pointer:ty),+) => {
        $(impl<T, W: Pull<T> + ?Sized> Pull<T> for $pointer {
            #[inline]
            fn pull(&self, wait: &mut Wait) -> Result<Sample<T>, RecvError> {
                (**self).pull(wait)
            }

            fn newest(&self) -> Reading<T>
            where
                T: Clone,
            {
                (**self).newest()
            }

            fn base(&self) -> &dyn Wanting {
                (**self).base()
            }

            fn count(&self, withheld: &mut Withheld) {
                (**self).count(withheld);
            }
        })+
    };
}

pull_through!(&W, Box<W>);

/// The newest sample that comes through; it stays in `kept` until there is a newer one.
pub(crate) fn newest_of<T: Clone>(
    pull: &(impl Pull<T> + ?Sized),
    kept: &RefCell<Option<Sample<T>>>,
) -> Reading<T> {
    let mut wait = Wait::never(pull.base().backlog());
    loop {
        match pull.pull(&mut wait) {
            Ok(sample) => *kept.borrow_mut() = Some(sample),
            Err(error @ RecvError::Decode { .. }) => log::warn!("{error}"),
            Err(_) => break,
        }
    }
    let sample = kept.borrow().clone();
    if !pull.base().is_supplied() {
        return Reading::LinkDown(sample);
    }
    match (sample, pull.base().fresh_for()) {
        (None, _) => Reading::Never,
        (Some(sample), Some(limit)) if sample.age() >= limit => Reading::Stale(sample),
        (Some(sample), _) => Reading::Fresh(sample),
    }
}
