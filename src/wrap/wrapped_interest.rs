//! Interests with a step over them that takes one sample after the other.

use super::dedup::{Dedup, Memory};
use super::gate::{Filter, Gate};
use super::pull::{Pull, Wanting, newest_of};
use super::rate_limit::RateLimit;
use super::wait::Wait;
use super::withheld::Withheld;
use crate::interest::RecvError;
use crate::sample::{Reading, Sample};
use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

/// A [`Want`](super::Want) `W` of messages `T` whose samples go through a step `S` and come out as `U`.
///
/// The methods of [`Want`](super::Want) make it.
pub struct WrappedInterest<W, S, T, U> {
    inner: W,
    step: RefCell<S>,
    /// For `latest`.
    newest: RefCell<Option<Sample<U>>>,
    messages: PhantomData<fn(T)>,
}

/// What is done to one sample after the other.
pub trait Step<T, U> {
    /// Whether it comes through; if not, that is counted.
    fn admits(&mut self, sample: &Sample<T>) -> bool;

    /// What comes out.
    fn make(&mut self, sample: Sample<T>) -> Sample<U>;

    /// Adds what was withheld here.
    fn count(&self, withheld: &mut Withheld);
}

impl<T, F: FnMut(&T) -> bool> Step<T, T> for Filter<F> {
    #[inline(always)]
    fn admits(&mut self, sample: &Sample<T>) -> bool {
        passes(self, sample)
    }

    #[inline(always)]
    fn make(&mut self, sample: Sample<T>) -> Sample<T> {
        sample
    }

    fn count(&self, withheld: &mut Withheld) {
        Gate::<T>::count(self, withheld);
    }
}

impl<T> Step<T, T> for RateLimit {
    #[inline(always)]
    fn admits(&mut self, sample: &Sample<T>) -> bool {
        passes(self, sample)
    }

    #[inline(always)]
    fn make(&mut self, sample: Sample<T>) -> Sample<T> {
        sample
    }

    fn count(&self, withheld: &mut Withheld) {
        Gate::<T>::count(self, withheld);
    }
}

impl<T, M: Memory<T>> Step<T, T> for Dedup<M> {
    #[inline(always)]
    fn admits(&mut self, sample: &Sample<T>) -> bool {
        passes(self, sample)
    }

    #[inline(always)]
    fn make(&mut self, sample: Sample<T>) -> Sample<T> {
        sample
    }

    fn count(&self, withheld: &mut Withheld) {
        Gate::<T>::count(self, withheld);
    }
}

/// A sample that passes has done so at once: nothing can hinder it on this side.
#[inline(always)]
fn passes<T>(gate: &mut impl Gate<T>, sample: &Sample<T>) -> bool {
    let admits = gate.admit(sample, &|| 0);
    if admits {
        gate.passed(0);
    }
    admits
}

/// The step of [`Want::map`](super::Want::map).
#[derive(Debug)]
pub struct Map<F>(pub(crate) F);

impl<T, U, F: FnMut(&T) -> U> Step<T, U> for Map<F> {
    #[inline(always)]
    fn admits(&mut self, _: &Sample<T>) -> bool {
        true
    }

    #[inline(always)]
    fn make(&mut self, sample: Sample<T>) -> Sample<U> {
        Sample::map(sample, &mut self.0)
    }

    fn count(&self, _: &mut Withheld) {}
}

/// The step of [`Want::tap`](super::Want::tap).
#[derive(Debug)]
pub struct Tap<F>(pub(crate) F);

impl<T, F: FnMut(&Sample<T>)> Step<T, T> for Tap<F> {
    #[inline(always)]
    fn admits(&mut self, sample: &Sample<T>) -> bool {
        (self.0)(sample);
        true
    }

    #[inline(always)]
    fn make(&mut self, sample: Sample<T>) -> Sample<T> {
        sample
    }

    fn count(&self, _: &mut Withheld) {}
}

impl<W, S, T, U> WrappedInterest<W, S, T, U> {
    pub(crate) fn new(inner: W, step: S) -> Self {
        Self { inner, step: RefCell::new(step), newest: RefCell::new(None), messages: PhantomData }
    }
}

impl<W, M, T> WrappedInterest<W, Dedup<M>, T, T> {
    /// Lets an equal sample pass too if `interval` went by since the last one passed. Default: never.
    ///
    /// ```
    /// use bowline::{Endpoint, Want};
    /// use std::time::Duration;
    /// let desk = Endpoint::builder("desk").start()?;
    /// let mode = desk.interest::<String>("robot.mode")?.dedup().keep_alive(Duration::from_secs(1));
    /// # Ok::<(), bowline::Error>(())
    /// ```
    pub fn keep_alive(self, interval: Duration) -> Self {
        self.step.borrow_mut().set_keep_alive(interval);
        self
    }
}

impl<W: Pull<T>, S: Step<T, U>, T, U> Pull<U> for WrappedInterest<W, S, T, U> {
    /// Looked at where it lies: moving a sample costs more than most of what is done to it.
    #[inline(always)]
    fn pull(&self, wait: &mut Wait) -> Result<Sample<U>, RecvError> {
        loop {
            let found = self.inner.pull(wait);
            let mut step = self.step.borrow_mut();
            if !found.as_ref().is_ok_and(|sample| !step.admits(sample)) {
                return found.map(|sample| step.make(sample));
            }
        }
    }

    fn newest(&self) -> Reading<U>
    where
        U: Clone,
    {
        newest_of(self, &self.newest)
    }

    fn base(&self) -> &dyn Wanting {
        self.inner.base()
    }

    fn count(&self, withheld: &mut Withheld) {
        self.step.borrow().count(withheld);
        self.inner.count(withheld);
    }
}

impl<W: fmt::Debug, S, T, U> fmt::Debug for WrappedInterest<W, S, T, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = std::any::type_name::<S>();
        f.debug_struct("WrappedInterest")
            .field("step", &step)
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
