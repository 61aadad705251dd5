//! How messages go down through a stack of wrappers.

use super::withheld::Withheld;
use crate::event::PeerName;
use crate::intent::{Intent, SendError};
use crate::message::Message;
use crate::outcome::{Fate, Outcome};
use crate::route::Route;
use std::sync::Arc;
use std::time::Duration;

/// What an intent and each of its wrappers do; [`Supply`](super::Supply) is made of it.
///
/// A `wait` of `None` is as long as the settings of the intent say.
pub trait Push<T> {
    /// Sends a message, or withholds it.
    fn push(&self, message: T, wait: Option<Duration>) -> Result<Outcome, SendError<T>>;

    /// As [`push`](Push::push), with a message that is shared.
    fn push_shared(&self, message: Arc<T>, wait: Option<Duration>) -> Result<Outcome, SendError<Arc<T>>>;

    /// Sends what is held here or below; if not `early`, only what has its turn.
    fn push_held(&self, early: bool, wait: Option<Duration>) -> Result<Option<Outcome>, SendError<()>>;

    /// The handle below all wrappers.
    fn base(&self) -> &dyn Supplying;

    /// Adds what was withheld here and below.
    fn count(&self, withheld: &mut Withheld);
}

/// What is below all wrappers.
pub trait Supplying {
    fn route(&self) -> &Route;
    fn interested(&self) -> usize;
    fn wait_interests(&self, count: usize, timeout: Duration) -> bool;
    fn outcomes(&self) -> Vec<(Option<PeerName>, Fate)>;
}

impl<T: Message> Push<T> for Intent<T> {
    #[inline]
    fn push(&self, message: T, wait: Option<Duration>) -> Result<Outcome, SendError<T>> {
        match wait {
            Some(timeout) => self.send_timeout(message, timeout),
            None => self.send(message),
        }
    }

    #[inline]
    fn push_shared(&self, message: Arc<T>, wait: Option<Duration>) -> Result<Outcome, SendError<Arc<T>>> {
        match wait {
            Some(timeout) => self.send_shared_timeout(message, timeout),
            None => self.send_shared(message),
        }
    }

    fn push_held(&self, _: bool, _: Option<Duration>) -> Result<Option<Outcome>, SendError<()>> {
        Ok(None)
    }

    fn base(&self) -> &dyn Supplying {
        self
    }

    fn count(&self, _: &mut Withheld) {}
}

impl<T: Message> Supplying for Intent<T> {
    fn route(&self) -> &Route {
        self.route()
    }

    fn interested(&self) -> usize {
        self.interested()
    }

    fn wait_interests(&self, count: usize, timeout: Duration) -> bool {
        self.wait_interests(count, timeout)
    }

    fn outcomes(&self) -> Vec<(Option<PeerName>, Fate)> {
        self.outcomes()
    }
}

macro_rules! push_through {
    ($($pointer:ty),+) => {
        $(impl<T, S: Push<T> + ?Sized> Push<T> for $pointer {
            #[inline]
            fn push(&self, message: T, wait: Option<Duration>) -> Result<Outcome, SendError<T>> {
                (**self).push(message, wait)
            }

            #[inline]
            fn push_shared(
                &self,
                message: Arc<T>,
                wait: Option<Duration>,
            ) -> Result<Outcome, SendError<Arc<T>>> {
                (**self).push_shared(message, wait)
            }

            fn push_held(
                &self,
                early: bool,
                wait: Option<Duration>,
            ) -> Result<Option<Outcome>, SendError<()>> {
                (**self).push_held(early, wait)
            }

            fn base(&self) -> &dyn Supplying {
                (**self).base()
            }

            fn count(&self, withheld: &mut Withheld) {
                (**self).count(withheld);
            }
        })+
    };
}

push_through!(&S, Box<S>);
