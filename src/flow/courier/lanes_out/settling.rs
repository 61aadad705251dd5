//! Aliases whose next number is told in the repaired stream, as where a session goes on over another line.
//!
//! ```text
//!         AT goes in the stream         it came                all of the alias there came
//!  loose ─────────────────────► stream ─────────► waits for that ───────────────────────► loose
//! ```

use super::{Lane, LanesOut, NOT_TOLD, SPAN};
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
    /// Loose, once what went in the stream has come.
    Later,
}

impl Lane {
    /// A sample goes loose.
    pub(super) fn goes_loose(&mut self) {
        self.since_sure += 1;
        if self.since_sure > SPAN {
            self.unsure.get_or_insert(NOT_TOLD);
        }
    }
}

impl LanesOut {
    /// How the next frame of an alias goes, where the other side has the stream up to `acked`.
    pub(in crate::flow::courier) fn way(&mut self, alias: u32, acked: u64) -> Way {
        let Some(lane) = self.lanes.get_mut(alias as usize).filter(|lane| lane.loose) else {
            return Way::Stream;
        };
        match lane.settling {
            Some(settling) if settling.within || acked < settling.told => return Way::Stream,
            Some(settling) if acked < settling.end => return Way::Later,
            _ => lane.settling = None,
        }
        // A tally that is overtaken says nothing.
        if lane.unsure.is_some_and(|until| acked >= until) {
            (lane.unsure, lane.since_sure) = (None, 0);
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
    pub(in crate::flow::courier) fn told(&mut self, alias: u32, end: u64) {
        if let Some(lane) = self.lanes.get_mut(alias as usize) {
            lane.settling = Some(Settling { told: end, end, within: false });
        }
        self.settled(alias, end);
    }

    /// What was missing of an alias is known there once the stream came up to `end`.
    pub(in crate::flow::courier) fn settled(&mut self, alias: u32, end: u64) {
        if let Some(lane) = self.lanes.get_mut(alias as usize) {
            lane.unsure = lane.unsure.map(|_| end);
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
            .filter(|(_, lane)| lane.unsure.is_some_and(|until| acked < until))
            .map(|(alias, _)| alias)
            .collect()
    }
}
