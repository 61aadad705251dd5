//! Intents with a step before them that each message goes through.

use super::dedup::Dedup;
use super::gate::Gate;
use super::push::{Push, Supplying};
use super::withheld::Withheld;
use crate::intent::SendError;
use crate::outcome::{Fate, Outcome};
use std::borrow::Borrow;
use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

/// A [`Supply`](super::Supply) `S` with a gate `G` before it that lets messages through or withholds them.
///
/// The methods of [`Supply`](super::Supply) make it.
pub struct WrappedIntent<S, G> {
    inner: S,
    gate: RefCell<G>,
}

impl<S, G> WrappedIntent<S, G> {
    pub(crate) fn new(inner: S, gate: G) -> Self {
        Self { inner, gate: RefCell::new(gate) }
    }

    #[inline]
    fn pass<T, M: Borrow<T>>(
        &self,
        message: M,
        push: impl FnOnce(M) -> Result<Outcome, SendError<M>>,
    ) -> Result<Outcome, SendError<M>>
    where
        S: Push<T>,
        G: Gate<T>,
    {
        let interested = || self.inner.base().interested();
        if !self.gate.borrow_mut().admit(message.borrow(), &interested) {
            return Ok(Outcome::WITHHELD);
        }
        let outcome = push(message)?;
        if outcome.worst() != Fate::Withheld {
            self.gate.borrow_mut().passed(outcome.taken() as usize);
        }
        Ok(outcome)
    }
}

impl<S, M> WrappedIntent<S, Dedup<M>> {
    /// Sends an equal message too if `interval` went by since the last one was sent. Default: never.
    ///
    /// It is looked at when a message is given; no thread sends on its own.
    ///
    /// ```
    /// use bowline::{Endpoint, Supply};
    /// use std::time::Duration;
    /// let robot = Endpoint::builder("robot").start()?;
    /// let speed = robot.intent::<f32>("robot.speed")?.dedup().keep_alive(Duration::from_secs(1));
    /// # Ok::<(), bowline::Error>(())
    /// ```
    pub fn keep_alive(self, interval: Duration) -> Self {
        self.gate.borrow_mut().set_keep_alive(interval);
        self
    }
}

impl<S: Push<T>, G: Gate<T>, T> Push<T> for WrappedIntent<S, G> {
    #[inline]
    fn push(&self, message: T, wait: Option<Duration>) -> Result<Outcome, SendError<T>> {
        self.pass(message, |message| self.inner.push(message, wait))
    }

    #[inline]
    fn push_shared(&self, message: Arc<T>, wait: Option<Duration>) -> Result<Outcome, SendError<Arc<T>>> {
        self.pass(message, |message| self.inner.push_shared(message, wait))
    }

    fn push_held(&self, early: bool, wait: Option<Duration>) -> Result<Option<Outcome>, SendError<()>> {
        self.inner.push_held(early, wait)
    }

    fn base(&self) -> &dyn Supplying {
        self.inner.base()
    }

    fn count(&self, withheld: &mut Withheld) {
        self.gate.borrow().count(withheld);
        self.inner.count(withheld);
    }
}

impl<S: fmt::Debug, G> fmt::Debug for WrappedIntent<S, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gate = std::any::type_name::<G>();
        f.debug_struct("WrappedIntent")
            .field("gate", &gate)
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

/// The gate of [`Supply::tap`](super::Supply::tap).
#[derive(Debug)]
pub struct Look<F>(pub(crate) F);

impl<T, F: FnMut(&T)> Gate<T> for Look<F> {
    #[inline]
    fn admit(&mut self, message: &T, _: &dyn Fn() -> usize) -> bool {
        (self.0)(message);
        true
    }

    #[inline]
    fn passed(&mut self, _: usize) {}

    fn count(&self, _: &mut Withheld) {}
}

/// A [`Supply`](super::Supply) of messages `U` that sends what a function makes of them, messages `T`.
///
/// [`Supply::map`](super::Supply::map) makes it.
pub struct MappedIntent<S, F, T, U> {
    inner: S,
    make: RefCell<F>,
    messages: PhantomData<fn(U) -> T>,
}

impl<S, F, T, U> MappedIntent<S, F, T, U> {
    pub(crate) fn new(inner: S, make: F) -> Self {
        Self { inner, make: RefCell::new(make), messages: PhantomData }
    }

    #[inline]
    fn pass<M: Borrow<U>>(&self, message: M, wait: Option<Duration>) -> Result<Outcome, SendError<M>>
    where
        S: Push<T>,
        F: FnMut(&U) -> T,
    {
        let made = (self.make.borrow_mut())(message.borrow());
        // The caller gets back what it gave.
        self.inner.push(made, wait).map_err(|error| error.exchange(message).0)
    }
}

impl<S: Push<T>, F: FnMut(&U) -> T, T, U> Push<U> for MappedIntent<S, F, T, U> {
    #[inline]
    fn push(&self, message: U, wait: Option<Duration>) -> Result<Outcome, SendError<U>> {
        self.pass(message, wait)
    }

    #[inline]
    fn push_shared(&self, message: Arc<U>, wait: Option<Duration>) -> Result<Outcome, SendError<Arc<U>>> {
        self.pass(message, wait)
    }

    fn push_held(&self, early: bool, wait: Option<Duration>) -> Result<Option<Outcome>, SendError<()>> {
        self.inner.push_held(early, wait)
    }

    fn base(&self) -> &dyn Supplying {
        self.inner.base()
    }

    fn count(&self, withheld: &mut Withheld) {
        self.inner.count(withheld);
    }
}

impl<S: fmt::Debug, F, T, U> fmt::Debug for MappedIntent<S, F, T, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MappedIntent").field("inner", &self.inner).finish_non_exhaustive()
    }
}
