//! How long one call may take.

use super::time::LONGEST;
use crate::interest::RecvError;
use crate::route::Route;
use std::time::{Duration, Instant};

/// How long one call to receive may wait, and how many samples it may look at.
///
/// A wrapper that withholds a sample asks for the next one with the same `Wait`; so however many are
/// withheld, and however fast others follow them, the call ends when it must.
#[derive(Debug)]
pub struct Wait {
    limit: Limit,
    /// What the caller said, for the error.
    asked: Option<Duration>,
}

#[derive(Debug)]
enum Limit {
    /// It does not wait, and looks at this many samples at most.
    Never {
        left: usize,
    },
    /// `until` is known once the clock was read: a call that finds a sample at once need not read it.
    For {
        timeout: Duration,
        until: Option<Instant>,
        looked: bool,
    },
    Ever,
}

impl Wait {
    /// No time at all; at `most` so many samples are looked at.
    #[inline]
    pub(crate) fn never(most: usize) -> Self {
        Self { limit: Limit::Never { left: most }, asked: None }
    }

    /// So long; where that is no time at all, as [`never`](Self::never).
    #[inline]
    pub(crate) fn at_most(timeout: Duration, most: impl FnOnce() -> usize) -> Self {
        let limit = match timeout {
            Duration::ZERO => Limit::Never { left: most() },
            _ => Limit::For { timeout: timeout.min(LONGEST), until: None, looked: false },
        };
        Self { limit, asked: Some(timeout) }
    }

    #[inline]
    pub(crate) fn ever() -> Self {
        Self { limit: Limit::Ever, asked: None }
    }

    pub(crate) fn is_never(&self) -> bool {
        matches!(self.limit, Limit::Never { .. })
    }

    #[inline]
    pub(crate) fn is_ever(&self) -> bool {
        matches!(self.limit, Limit::Ever)
    }

    /// Whether one more sample may be looked at. Only the looks after the first read the clock.
    #[inline]
    pub(crate) fn may_look(&mut self, now: impl FnOnce() -> Instant) -> bool {
        match &mut self.limit {
            Limit::Never { left: 0 } => false,
            Limit::Never { left } => {
                *left -= 1;
                true
            }
            Limit::For { looked, .. } if !*looked => {
                *looked = true;
                true
            }
            Limit::For { timeout, until, .. } => {
                let now = now();
                now < *until.get_or_insert(now + *timeout)
            }
            Limit::Ever => true,
        }
    }

    /// How much time is left; `None` if it may not wait at all, or no longer.
    pub(crate) fn left(&mut self, now: Instant) -> Option<Duration> {
        let left = match &mut self.limit {
            Limit::Never { .. } => return None,
            Limit::For { timeout, until, .. } => {
                until.get_or_insert(now + *timeout).saturating_duration_since(now)
            }
            Limit::Ever => LONGEST,
        };
        Some(left).filter(|left| !left.is_zero())
    }

    /// The part of it that is over at `turn` at the latest; `None` if it is over itself.
    pub(crate) fn part(&mut self, now: Instant, turn: Option<Instant>) -> Option<Wait> {
        let left = self.left(now)?;
        let timeout = match turn {
            None if self.is_ever() => return Some(Wait::ever()),
            None => left,
            Some(turn) => left.min(turn.saturating_duration_since(now)),
        };
        let limit = Limit::For { timeout, until: Some(now + timeout), looked: false };
        Some(Wait { limit, asked: Some(timeout) })
    }

    /// What to answer when it is over.
    #[cold]
    pub(crate) fn nothing(&self, route: &Route) -> RecvError {
        let route = route.clone();
        match self.asked {
            Some(waited) => RecvError::Timeout { route, waited },
            None => RecvError::Empty { route },
        }
    }
}
