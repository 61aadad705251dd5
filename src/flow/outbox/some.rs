//! Samples that one sender puts in at once.

use super::{Outbox, Outgoing, Put, append};
use crate::flow::lane::LaneId;
use crate::time::Timestamp;

impl Outbox {
    /// Offers samples that follow each other, which are sent at one time. Returns how many were taken, and whether older
    /// ones had to go; it stops where the batch is due. Why the first was not, where none was, [`put`](Outbox::put) tells.
    pub(crate) fn put_some(
        &mut self,
        id: LaneId,
        payloads: &[&[u8]],
        now: impl Fn() -> Timestamp,
    ) -> (usize, bool) {
        let (mut count, mut replaced) = (0, false);
        while let Some(payload) = payloads.get(count) {
            match self.put(id, Outgoing { payload, shared: None }, false, &now) {
                Put::Queued => count += 1 + self.append_some(id, &payloads[count + 1..]),
                // Alone on a quiet line, but others may follow.
                Put::Inline => count += 1,
                Put::Parked(dropped) => {
                    count += 1;
                    replaced |= dropped > 0;
                }
                Put::NoRoom | Put::NotOpen | Put::TooLarge | Put::Closed => break,
            }
            if self.is_due() {
                break;
            }
        }
        (count, replaced)
    }

    /// Appends samples behind one of the same lane that was just put in, at the same time, as long as there is nothing
    /// to be decided. Nearly all of many are dealt with in this loop.
    fn append_some(&mut self, id: LaneId, payloads: &[&[u8]]) -> usize {
        let Self { batch, stamps, now, capacity, largest, .. } = self;
        let Some(lane) = self.lanes.get_mut(id.alias as usize).and_then(Option::as_mut) else { return 0 };
        let credit = lane.limit.map_or(0, |limit| limit.saturating_sub(lane.sequence));
        let (credit, sent) = (usize::try_from(credit).unwrap_or(usize::MAX), now.last());
        let mut count = 0;
        for payload in &payloads[..payloads.len().min(credit)] {
            if payload.len() > *largest || batch.len() + payload.len() > *capacity {
                break;
            }
            append(batch, stamps, id.alias, sent, Outgoing { payload, shared: None });
            count += 1;
        }
        lane.sequence += count as u64;
        count
    }
}
