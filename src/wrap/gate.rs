//! Wrappers that let a message pass or not, the same for both sides.

use super::withheld::Withheld;

/// Decides about one message after the other.
///
/// For an intent, `admit` comes before the message is sent and `passed` after it was: what could not be
/// sent has changed nothing, so that sending it again is judged as the first time.
pub trait Gate<T> {
    /// Whether the message passes; if not, it is counted. `interested` says how many want it now.
    fn admit(&mut self, message: &T, interested: &dyn Fn() -> usize) -> bool;

    /// The message admitted last has passed, and `taken` interests took it.
    fn passed(&mut self, taken: usize);

    /// Adds what was withheld here.
    fn count(&self, withheld: &mut Withheld);
}

/// The step of [`Want::filter`](super::Want::filter) and [`Supply::filter`](super::Supply::filter).
#[derive(Debug)]
pub struct Filter<F> {
    keep: F,
    withheld: u64,
}

impl<F> Filter<F> {
    pub(crate) fn new(keep: F) -> Self {
        Self { keep, withheld: 0 }
    }
}

impl<T, F: FnMut(&T) -> bool> Gate<T> for Filter<F> {
    #[inline]
    fn admit(&mut self, message: &T, _: &dyn Fn() -> usize) -> bool {
        let keeps = (self.keep)(message);
        self.withheld += u64::from(!keeps);
        keeps
    }

    #[inline]
    fn passed(&mut self, _: usize) {}

    fn count(&self, withheld: &mut Withheld) {
        withheld.filtered += self.withheld;
    }
}
