//! The numbers of loose samples, seen by the side that takes them.

use crate::time::Timestamp;
use crate::wire::packet::{MAX_AHEAD, Order, Tally};
use std::time::Duration;

/// What arrived under each alias.
#[derive(Default)]
pub(super) struct LanesIn {
    lanes: Vec<Lane>,
    /// Numbers never lead backwards on this line: nothing is late, nothing comes twice.
    fifo: bool,
}

#[derive(Clone, Copy, Default)]
struct Lane {
    open: bool,
    /// The number of the next sample.
    next: u64,
    /// How many the sender is known to have dropped.
    dropped: u64,
    /// When the last number with more bits was taken, and what was next before the first of those in a row.
    wide_at: Timestamp,
    wide_from: u64,
}

/// What is missing before a sample or a tally.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Missing {
    /// The sender dropped them.
    pub(super) dropped: u64,
    /// The line did.
    pub(super) lost: u64,
}

/// Where a sample stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It is of this number.
    Next(u64),
    /// A later one came before it, or it came already.
    Late,
    /// No such alias is open.
    Closed,
}

impl LanesIn {
    pub(super) fn new(fifo: bool) -> Self {
        Self { lanes: Vec::new(), fifo }
    }

    /// NOTIFY linked went past. Numbers go on where they were.
    pub(super) fn open(&mut self, alias: u32) {
        let place = alias as usize;
        if self.lanes.len() <= place {
            self.lanes.resize(place + 1, Lane::default());
        }
        self.lanes[place].open = true;
    }

    /// END went past.
    pub(super) fn close(&mut self, alias: u32) {
        if let Some(lane) = self.lanes.get_mut(alias as usize) {
            lane.open = false;
        }
    }

    /// Where a sample stands, without taking it.
    pub(super) fn place(&self, now: Timestamp, alias: u32, order: Order) -> Place {
        let Some(lane) = self.lanes.get(alias as usize).filter(|lane| lane.open) else {
            return Place::Closed;
        };
        let ahead = u64::from(order.number).wrapping_sub(lane.next) % order.span();
        // So far ahead it stands for one that was left behind.
        if !self.fifo && ahead >= order.span() / 2 {
            return Place::Late;
        }
        let number = lane.next + ahead;
        // The sender gives few bits only long after it gave more: it was sent before those, and they overtook it.
        let soon = !order.wide && now - lane.wide_at < SOON;
        if !self.fifo && soon && number - lane.wide_from >= order.span() / 2 {
            return Place::Late;
        }
        Place::Next(number)
    }

    /// A sample is delivered: what is missing before it.
    pub(super) fn take(&mut self, now: Timestamp, alias: u32, number: u64, order: Order) -> Missing {
        let Some(lane) = self.lanes.get_mut(alias as usize) else { return Missing::default() };
        let lost = number.saturating_sub(lane.next);
        let dropped = u64::from(order.dropped);
        if order.wide {
            if now - lane.wide_at >= SOON {
                lane.wide_from = lane.next;
            }
            lane.wide_at = now;
        }
        lane.next = number + 1;
        lane.dropped = lane.dropped.saturating_add(dropped);
        Missing { dropped, lost }
    }

    /// A tally came: what it tells to be missing. `None` if it cannot be, or the alias is not open.
    pub(super) fn tally(&mut self, tally: &Tally) -> Option<Missing> {
        let lane = self.lanes.get_mut(tally.alias as usize).filter(|lane| lane.open)?;
        let Some(lost) = tally.next.checked_sub(lane.next) else { return Some(Missing::default()) };
        let dropped = tally.dropped.saturating_sub(lane.dropped);
        if lost > MAX_AHEAD || dropped > MAX_AHEAD {
            return None;
        }
        lane.next += lost;
        lane.dropped += dropped;
        Some(Missing { dropped, lost })
    }

    /// Whether a sample of this number could still be delivered.
    pub(super) fn wants(&self, alias: u32, number: u64) -> bool {
        self.lanes.get(alias as usize).is_some_and(|lane| lane.open && lane.next <= number)
    }
}

/// A number without more bits that comes this soon after one with them was sent before it.
const SOON: Duration = Duration::from_millis(80);
