//! Aliases whose next number is told in the repaired stream, as where a session goes on over another line.
//!
//! ```text
//!         AT goes in the stream         it came                all of the alias there came
//!  loose ─────────────────────► stream ─────────► waits for that ───────────────────────► loose
//! ```

use super::{Lane, LanesOut, NOT_TOLD, SAMPLES_A_TALLY};
use crate::wire::packet::Tally;

/// An alias of which the number was told in the repaired stream: nothing of it may overtake that.
#[derive(Clone, Copy, Default)]
pub(super) struct Settling {
    /// The place in the stream behind what told it, and behind all of the alias that follows there.
    told: u64,
    end: u64,
    /// A sample was begun in the stream.
    within: bool,
}

/// How a frame of an alias goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::flow::courier) enum Way {
    Loose,
    Stream,
    /// Loose, once what went in the stream has come, or once the other side has counted more.
    Later,
}

/// How far the other side is sure to have counted the loose samples of an alias.
///
/// A number comes with its lowest bits only, so where that many are lost in a row it is taken for a lower one. What a
/// TALLY in the repaired stream told is known there for sure once it is acknowledged, and numbers count from it.
#[derive(Clone, Copy, Default)]
pub(super) struct Sure {
    /// Up to here.
    until: u64,
    /// Up to here once the stream came up to there.
    told: Option<(u64, u64)>,
    /// Behind the last sample that went with few bits, and with more.
    few: u64,
    more: u64,
}

impl Sure {
    /// The number up to which it counted, where the other side has the stream up to `acked`.
    fn until(&self, acked: u64) -> u64 {
        self.told.filter(|(_, end)| acked >= *end).map_or(self.until, |(number, _)| number)
    }

    /// A number was told in the stream, up to `end`, which has come up to `acked`.
    fn tell(&mut self, number: u64, end: u64, acked: u64) {
        self.until = self.until(acked);
        if self.told.is_none_or(|(_, end)| acked >= end) {
            self.told = Some((number, end));
        }
    }

    /// A sample went.
    pub(super) fn sent(&mut self, number: u64, more_bits: bool) {
        *(if more_bits { &mut self.more } else { &mut self.few }) = number + 1;
    }

    /// Whether a number is so far off that it is to go with more bits.
    pub(super) fn is_far(&self, number: u64, acked: u64, far: u64) -> bool {
        number.saturating_sub(self.until(acked)) >= far
    }

    /// Whether a sample may have been taken for one before it.
    fn is_exact(&self, acked: u64) -> bool {
        let until = self.until(acked);
        self.few.saturating_sub(until) <= SPAN && self.more.saturating_sub(until) <= SPAN_OF_MORE
    }
}

impl Lane {
    /// The tally of all of it is in the stream, up to `end`.
    pub(super) fn settled(&mut self, end: u64, acked: u64) {
        self.sure.tell(self.next, end, acked);
        self.unsure = self.unsure.map(|_| end);
    }
}

impl LanesOut {
    /// The number of an alias is to be told in the stream, of which the last sample went long after it was told: that, and how
    /// far in the stream it is told then is to be said to [`counted`](Self::counted).
    pub(in crate::flow::courier) fn to_be_counted(&self, alias: u32, acked: u64) -> Option<Tally> {
        let lane = self.lanes.get(alias as usize).filter(|lane| lane.loose)?;
        let due = match (self.fifo, lane.fast) {
            (true, _) => COUNTED_IN_ORDER,
            (false, true) => FAST_COUNTED,
            (false, false) => COUNTED,
        };
        let is_under_way = lane.sure.told.is_some_and(|(_, end)| acked < end);
        let tally = Tally { alias, next: lane.sent_next, dropped: lane.sent_dropped };
        // A sample that was begun and given up has a number, and was never sent.
        let count = lane.sent_next.saturating_sub(lane.sure.until(acked));
        (!is_under_way && count >= due).then_some(tally)
    }

    /// A tally of an alias is in the stream, up to `end`.
    pub(in crate::flow::courier) fn counted(&mut self, tally: &Tally, end: u64, acked: u64) {
        let Some(lane) = self.lanes.get_mut(tally.alias as usize) else { return };
        if lane.next == tally.next && lane.gap == 0 {
            lane.settled(end, acked);
        } else {
            lane.sure.tell(tally.next, end, acked);
        }
        if self.fifo {
            // As good as one ahead of the next sample.
            lane.since_tally = 0;
        }
    }
}

impl LanesOut {
    /// How the next frame of an alias goes, where the other side has the stream up to `acked`.
    pub(in crate::flow::courier) fn way(&mut self, alias: u32, acked: u64) -> Way {
        let fifo = self.fifo;
        let Some(lane) = self.lanes.get_mut(alias as usize).filter(|lane| lane.loose) else {
            return Way::Stream;
        };
        match lane.settling {
            Some(settling) if settling.within || acked < settling.told => return Way::Stream,
            Some(settling) if acked < settling.end => return Way::Later,
            _ => lane.settling = None,
        }
        if !fifo && lane.sure.is_far(lane.next, acked, AHEAD) {
            return Way::Later;
        }
        // A tally that is overtaken says nothing.
        if lane.unsure.is_some_and(|until| acked >= until) {
            lane.unsure = None;
        }
        lane.unsure = lane.unsure.map(|_| NOT_TOLD);
        Way::Loose
    }

    /// The same of a piece that is not the first: it goes the way that the first one went, which may have been
    /// another connection's.
    pub(in crate::flow::courier) fn way_of_more(&self, alias: u32) -> Way {
        let lane = self.lanes.get(alias as usize).filter(|lane| lane.loose);
        let is_begun = lane.and_then(|lane| lane.open).is_some_and(|open| open.at < open.total);
        if is_begun { Way::Loose } else { Way::Stream }
    }

    /// A frame of a loose alias goes in the stream, up to `end`. `within`: the sample goes on.
    pub(in crate::flow::courier) fn streamed(&mut self, alias: u32, end: u64, within: bool) {
        if let Some(lane) = self.lanes.get_mut(alias as usize).filter(|lane| lane.loose) {
            let settling = lane.settling.get_or_insert_default();
            (settling.end, settling.within) = (end, within);
        }
    }

    /// The number of the next sample of an alias is about to be told in the stream: what is to be known before it of
    /// samples that went loose.
    pub(in crate::flow::courier) fn tell(&mut self, alias: u32) -> Option<Tally> {
        let lane = self.lanes.get_mut(alias as usize).filter(|lane| lane.next > 0 || lane.dropped > 0)?;
        (lane.gap, lane.since_tally) = (0, 0);
        Some(Tally { alias, next: lane.next, dropped: lane.dropped })
    }

    /// It was, up to `end`.
    pub(in crate::flow::courier) fn told(&mut self, alias: u32, end: u64, acked: u64) {
        if let Some(lane) = self.lanes.get_mut(alias as usize) {
            lane.settling = Some(Settling { told: end, end, within: false });
        }
        self.settled(alias, end, acked);
    }

    /// What was missing of an alias is known there once the stream, which came up to `acked`, came up to `end`.
    pub(in crate::flow::courier) fn settled(&mut self, alias: u32, end: u64, acked: u64) {
        if let Some(lane) = self.lanes.get_mut(alias as usize) {
            lane.settled(end, acked);
        }
    }

    /// Samples were lost before they came here, which the stream tells up to `end`; samples may overtake that.
    pub(in crate::flow::courier) fn lost(&mut self, alias: u32, end: u64) {
        if let Some(lane) = self.lanes.get_mut(alias as usize).filter(|lane| lane.loose) {
            lane.unsure = Some(lane.unsure.map_or(end, |until| until.max(end)));
        }
    }

    /// Aliases of which the other side may have counted too few, where it has the stream up to `acked`.
    pub(in crate::flow::courier) fn unsure(&self, acked: u64) -> Vec<u32> {
        let lanes = (0..).zip(&self.lanes);
        lanes
            .filter(|(_, lane)| lane.unsure.is_some_and(|until| acked < until) || !lane.sure.is_exact(acked))
            .map(|(alias, _)| alias)
            .collect()
    }
}

/// Where so many samples of an alias went since its number was told in the stream, it is told again: on a line that may swap
/// packets long before the numbers go with more bits, and with many that they do anyway not as often; on one that keeps their order,
/// which may be slow, no more often than a tally would go without the stream.
const COUNTED: u64 = 32;
const FAST_COUNTED: u64 = 1024;
const COUNTED_IN_ORDER: u64 = SAMPLES_A_TALLY as u64;

/// So many samples after the last number that is sure to be known, numbers go with more bits: on a line that may swap packets, and
/// on one that keeps their order.
pub(super) const FAR: u64 = 64;
pub(super) const FAR_IN_ORDER: u64 = 120;

/// No more samples than this are on a line that may swap packets beyond the last number that is sure to be known: one that is
/// overtaken by half of what the most bits tell apart would be taken for a later one. It is a quarter, as those from before that
/// number may be under way still.
const AHEAD: u64 = SPAN_OF_MORE / 4;

/// Of so many samples that were lost in a row the other side counts none: their numbers begin anew. With few bits, and with
/// more.
const SPAN: u64 = 128;
const SPAN_OF_MORE: u64 = 16_384;
