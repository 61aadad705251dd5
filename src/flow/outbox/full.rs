//! Lossless lanes that have no room: who is turned away, who is passed over, and the way back.

use super::{Outbox, Put, put_gap, put_lost};
use crate::flow::lane::LaneId;
use crate::time::Timestamp;
use crate::wire::control::{Control, Credit};
use crate::wire::message::MESSAGE_HEAD_MAX;

/// What a valid credit brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Credited {
    /// It is the first of its lane.
    pub(crate) first: bool,
    /// The interest had been cut off and takes again: so many samples it missed.
    pub(crate) missed: Option<u64>,
}

impl Outbox {
    /// Whether a sample of `size` bytes would be taken now, without taking it.
    pub(crate) fn admits(&mut self, id: LaneId, size: usize, now: impl FnOnce() -> Timestamp) -> Put {
        let Some(lane) = self.lane(id.alias).filter(|lane| lane.id == id && !lane.ending && !self.closed)
        else {
            return Put::Closed;
        };
        let Some(limit) = lane.limit else { return Put::NotOpen };
        if size > self.largest + lane.more() {
            Put::TooLarge
        } else if !lane.delivery.is_lossless() {
            Put::Queued
        } else if lane.is_held() {
            match self.room_to_hold(id.alias, size) {
                Put::Closed => self.turn_away(id.alias, false, now()),
                put => put,
            }
        } else if !lane.takes(limit, size) {
            self.turn_away(id.alias, false, now())
        } else if !self.lane(id.alias).is_some_and(|lane| self.has_room_for(lane, size)) {
            Put::NoRoom
        } else {
            Put::Queued
        }
    }

    /// How many samples of `size` bytes more would be taken than the one that was admitted just now, each by all of `outlets` of
    /// its intent: their room is theirs for as long as nobody else fills it.
    pub(crate) fn admits_more(&self, id: LaneId, size: usize, outlets: usize) -> usize {
        let Some(lane) = self.lane(id.alias) else { return 0 };
        let simple = !lane.apart && lane.gap == 0 && lane.parked.is_empty() && size <= self.whole;
        if !simple || lane.window.is_cut_off() {
            return 0;
        }
        let credit = lane.limit.map_or(0, |limit| limit.saturating_sub(lane.next()));
        let free = self.due.saturating_sub(self.batch.len()).min(self.capacity / AHEAD) / outlets;
        let fit = free.min(lane.window.room()) / (size + MESSAGE_HEAD_MAX);
        fit.min(usize::try_from(credit).unwrap_or(usize::MAX)).saturating_sub(1)
    }

    /// Takes in a credit; `None` if it is not a valid one.
    pub(crate) fn credit(&mut self, credit: Credit) -> Option<Credited> {
        let lane = self.lane_mut(credit.alias)?;
        let (first, before) = (lane.limit.is_none(), lane.taken);
        if !lane.credit(credit.limit, credit.taken, credit.lost) {
            return None;
        }
        let is_back = lane.window.taken(credit.taken - before);
        let missed = is_back.then_some(lane.gap);
        if first {
            self.note_first_credit(credit.alias);
        }
        if is_back {
            // It is told what it missed, and takes part again once it granted more.
            self.tell_missing(credit.alias);
        }
        Some(Credited { first, missed })
    }

    /// A lossless lane has no room for a sample, or is passed over. `counts`: the sample goes past it.
    #[cold]
    pub(super) fn turn_away(&mut self, alias: u32, counts: bool, now: Timestamp) -> Put {
        let Some(lane) = self.lane_mut(alias) else { return Put::Closed };
        let mut untaken = None;
        if !lane.window.is_cut_off() {
            let has_credit = lane.has_credit();
            if let Some(left) = lane.window.turned_away(now) {
                return if has_credit { Put::TooManyBytes(left) } else { Put::NoCredit(left) };
            }
            untaken = Some(lane.sequence.saturating_sub(lane.taken));
        }
        if counts {
            lane.gap += 1;
            lane.lost_here += 1;
        }
        if let Some(untaken) = untaken {
            self.batch.control(&Control::Stalled { alias, untaken });
        }
        Put::PassedOver(untaken)
    }

    /// A sample goes to others and finds no room here, though it was looked for: the interest had been cut off
    /// then, and is back since. Or it still is cut off.
    #[cold]
    pub(super) fn go_past(&mut self, alias: u32) -> Put {
        let Some(lane) = self.lane_mut(alias) else { return Put::Closed };
        lane.gap += 1;
        lane.lost_here += 1;
        if !lane.window.is_cut_off() {
            self.tell_missing(alias);
        }
        Put::PassedOver(None)
    }

    /// Tells what is missing in a lane at once, as credit depends on it; others are told with the next sample. It goes
    /// behind what waits of the lane, and ahead of what comes.
    pub(super) fn tell_missing(&mut self, alias: u32) {
        let edition = self.apart.edition();
        let Some(lane) = self.lane_mut(alias).filter(|lane| lane.waiting == 0 && !lane.is_held()) else {
            return;
        };
        lane.batched = edition;
        let (gap, lost) = (std::mem::take(&mut lane.gap), std::mem::take(&mut lane.lost));
        lane.sequence += gap + lost;
        if gap + lost > 0 {
            lane.window.skipped(gap + lost);
        }
        put_gap(self.batch.bytes(), alias, gap);
        put_lost(self.batch.bytes(), alias, lost);
    }
}

/// What part of the capacity an intent may be admitted to at once, and so beyond which it may fill the batch where others
/// filled it since.
pub(super) const AHEAD: usize = 8;
