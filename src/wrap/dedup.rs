//! What is equal to the one before it.

use super::gate::Gate;
use super::time::Time;
use super::withheld::Withheld;
use std::mem;
use std::time::{Duration, Instant};

/// The step of [`Want::dedup`](super::Want::dedup) and [`Supply::dedup`](super::Supply::dedup).
#[derive(Debug)]
pub struct Dedup<M> {
    memory: M,
    /// The message admitted last differs from the one in memory.
    is_new: bool,
    keep_alive: Option<Duration>,
    /// When the last one passed, where it matters.
    passed: Option<Instant>,
    /// How many interests took it.
    taken: usize,
    time: Time,
    withheld: u64,
}

impl<M> Dedup<M> {
    pub(crate) fn new(memory: M, time: Time) -> Self {
        Self { memory, is_new: false, keep_alive: None, passed: None, taken: 0, time, withheld: 0 }
    }

    pub(crate) fn set_keep_alive(&mut self, interval: Duration) {
        self.keep_alive = Some(interval);
    }

    fn is_time(&self) -> bool {
        let (Some(interval), Some(passed)) = (self.keep_alive, self.passed) else { return false };
        self.time.now().saturating_duration_since(passed) >= interval
    }
}

impl<T, M: Memory<T>> Gate<T> for Dedup<M> {
    #[inline]
    fn admit(&mut self, message: &T, interested: &dyn Fn() -> usize) -> bool {
        self.is_new = !self.memory.knows(message);
        // Who came after the last one passed has not seen it yet.
        if self.is_new || self.is_time() || interested() > self.taken {
            return true;
        }
        self.withheld += 1;
        false
    }

    #[inline]
    fn passed(&mut self, taken: usize) {
        if mem::take(&mut self.is_new) {
            self.memory.keep();
        }
        self.taken = taken;
        if self.keep_alive.is_some() {
            self.passed = Some(self.time.now());
        }
    }

    fn count(&self, withheld: &mut Withheld) {
        withheld.repeated += self.withheld;
    }
}

/// What is remembered of the last message that passed.
pub trait Memory<T> {
    /// Whether the message is equal to the one in memory; if not, it is noted.
    fn knows(&mut self, message: &T) -> bool;

    /// The message noted is now the one in memory.
    fn keep(&mut self);
}

/// Remembers the message itself.
///
/// Two places are used in turn, so that what a message has allocated is used again.
#[derive(Debug)]
pub struct Whole<T> {
    last: Option<T>,
    noted: Option<T>,
}

impl<T> Default for Whole<T> {
    fn default() -> Self {
        Self { last: None, noted: None }
    }
}

impl<T: PartialEq + Clone> Memory<T> for Whole<T> {
    #[inline]
    fn knows(&mut self, message: &T) -> bool {
        if self.last.as_ref() == Some(message) {
            return true;
        }
        match &mut self.noted {
            Some(noted) => noted.clone_from(message),
            None => self.noted = Some(message.clone()),
        }
        false
    }

    #[inline]
    fn keep(&mut self) {
        mem::swap(&mut self.last, &mut self.noted);
    }
}

/// Remembers what a function makes of the message.
#[derive(Debug)]
pub struct ByKey<F, K> {
    key: F,
    last: Option<K>,
    noted: Option<K>,
}

impl<F, K> ByKey<F, K> {
    pub(crate) fn new(key: F) -> Self {
        Self { key, last: None, noted: None }
    }
}

impl<T, K: PartialEq, F: FnMut(&T) -> K> Memory<T> for ByKey<F, K> {
    #[inline]
    fn knows(&mut self, message: &T) -> bool {
        self.noted = Some((self.key)(message));
        self.last == self.noted
    }

    #[inline]
    fn keep(&mut self) {
        self.last = self.noted.take();
    }
}
