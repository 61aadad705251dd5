//! Samples that found no room, and how they get in once there is some.

use super::{Outbox, Outgoing, Put, put_gap, put_lost, relay};
use crate::bytes::Bytes;
use crate::flow::lane::{Missing, Parked};
use crate::time::Timestamp;

impl Outbox {
    pub(super) fn park(&mut self, alias: u32, sample: Outgoing<'_>, sent: Timestamp) -> Put {
        let payload = sample.shared.cloned().unwrap_or_else(|| Bytes::copy_from_slice(sample.payload));
        let (parked, capacity) = (self.parked, self.capacity);
        let Some(lane) = self.lane_mut(alias) else { return Put::Closed };
        let (parked, dropped) =
            lane.park(Parked { sent, payload, missing: Missing::default() }, parked, capacity);
        self.parked = parked;
        Put::Parked(dropped)
    }

    /// Moves parked samples into the batch, lane by lane in turn, while there is room.
    pub(super) fn unpark(&mut self, until: usize) {
        let lanes = self.lanes.len();
        let mut idle = 0;
        while idle < lanes {
            let place = self.turn % lanes;
            self.turn = place + 1;
            idle += 1;
            let Some(lane) = self.lanes[place].as_ref().filter(|lane| !lane.barred) else { continue };
            let Some(size) = lane.parked.front().map(|sample| sample.payload.len()) else { continue };
            let aside = lane.is_aside() || size > self.whole;
            let has_room = if aside { self.has_room_for(lane, size) } else { self.batch.len() < until };
            if !has_room && until < usize::MAX {
                continue;
            }
            let Some(lane) = self.lanes[place].as_mut() else { continue };
            let Some(sample) = lane.parked.pop_front() else { continue };
            idle = 0;
            lane.note_waiting(lane.waiting);
            let gap = std::mem::take(&mut lane.gap) + sample.missing.gap;
            let lost = std::mem::take(&mut lane.lost) + sample.missing.lost;
            let alias = place as u32;
            let of_lane = if lane.upstream.is_none() {
                &mut self.parked
            } else {
                relay::unparked(lane, &mut self.moved, alias);
                if lane.delivery.is_lossless() { &mut self.held } else { &mut self.parked }
            };
            *of_lane -= sample.cost();
            let (sent, missing) = (sample.sent, Missing { gap, lost });
            let sample = Outgoing { payload: &sample.payload, shared: Some(&sample.payload) };
            if aside {
                self.place(alias, sample, sent, missing);
            } else {
                let Some(lane) = self.lane_mut(alias) else { continue };
                lane.sequence += gap + lost + 1;
                put_gap(self.batch.bytes(), alias, gap);
                put_lost(self.batch.bytes(), alias, lost);
                self.append(alias, sent, sample);
            }
            let Some(lane) = self.lane(alias).filter(|lane| lane.is_through()) else { continue };
            if lane.ending {
                self.finish_late(alias);
            } else if lane.delivery.is_lossless() {
                self.tell_missing(alias);
            }
        }
    }
}
