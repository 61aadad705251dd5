//! When each link next wants attention.

use super::LinkId;
use crate::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// What a link waits for. At most one of each kind runs per link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// Dial again.
    Redial,
    /// The handshake must be done by then.
    Handshake,
    /// Ping again.
    Ping,
    /// Look whether anything was heard.
    Silence,
    /// A session that no link carries is over. Of a session, and no part of what [`Timers::clear`] stops.
    Lease,
}

/// The timers of all links. Bounded by four per link and one per session.
#[derive(Debug, Default)]
pub(super) struct Timers {
    queue: BTreeSet<(Timestamp, LinkId, Timer)>,
    running: BTreeMap<(LinkId, Timer), Timestamp>,
}

impl Timers {
    /// Starts a timer, in place of one of the same kind that runs.
    pub(super) fn set(&mut self, link: LinkId, timer: Timer, at: Timestamp) {
        self.cancel(link, timer);
        self.running.insert((link, timer), at);
        self.queue.insert((at, link, timer));
    }

    /// Stops a timer; nothing happens where it does not run.
    pub(super) fn cancel(&mut self, link: LinkId, timer: Timer) {
        if let Some(at) = self.running.remove(&(link, timer)) {
            self.queue.remove(&(at, link, timer));
        }
    }

    /// Stops all timers of a link.
    pub(super) fn clear(&mut self, link: LinkId) {
        for timer in [Timer::Redial, Timer::Handshake, Timer::Ping, Timer::Silence] {
            self.cancel(link, timer);
        }
    }

    /// Stops all timers.
    pub(super) fn clear_all(&mut self) {
        self.queue.clear();
        self.running.clear();
    }

    /// When a timer of a link is due, if it runs.
    pub(super) fn due(&self, link: LinkId, timer: Timer) -> Option<Timestamp> {
        self.running.get(&(link, timer)).copied()
    }

    /// When the earliest one is due.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.queue.first().map(|(at, _, _)| *at)
    }

    /// Takes out the earliest one that is due.
    pub(super) fn pop(&mut self, now: Timestamp) -> Option<(Timestamp, LinkId, Timer)> {
        let first = *self.queue.first().filter(|(at, _, _)| *at <= now)?;
        self.queue.remove(&first);
        self.running.remove(&(first.1, first.2));
        Some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_fire_in_order_and_once() {
        let (a, b) = (LinkId(1), LinkId(2));
        let at = Timestamp::from_micros;
        let mut timers = Timers::default();
        timers.set(a, Timer::Ping, at(30));
        timers.set(b, Timer::Ping, at(20));
        timers.set(a, Timer::Ping, at(10));
        timers.set(b, Timer::Redial, at(15));
        timers.cancel(b, Timer::Redial);
        assert_eq!(timers.next(), Some(at(10)));
        assert_eq!(timers.pop(at(9)), None);
        assert_eq!(timers.pop(at(50)), Some((at(10), a, Timer::Ping)));
        assert_eq!(timers.pop(at(50)), Some((at(20), b, Timer::Ping)));
        assert_eq!(timers.pop(at(50)), None);
        assert_eq!(timers.next(), None);
    }
}
