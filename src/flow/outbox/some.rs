//! Samples that one sender puts in at once.

use super::{Outbox, Outgoing, Put, put_sample};
use crate::flow::lane::LaneId;
use crate::links::Links;
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
        if self.lane(id.alias).is_some_and(|lane| lane.links != Links::Best) {
            // Each goes its own ways.
            return (0, false);
        }
        while let Some(payload) = payloads.get(count) {
            // Turning a sample away is left to `put` for one: it looks at the time, and may cut the interest off.
            let is_full = |limit| self.lane(id.alias).is_some_and(|lane| !lane.takes(limit, payload.len()));
            let lossless = self.lane(id.alias).filter(|lane| lane.delivery.is_lossless());
            if lossless.and_then(|lane| lane.limit).is_some_and(is_full) {
                break;
            }
            match self.put(id, Outgoing { payload, shared: None }, false, &now) {
                Put::Queued => count += 1 + self.append_some(id, &payloads[count + 1..]),
                // Alone on a quiet line, but others may follow.
                Put::Inline => count += 1,
                Put::Parked(dropped) => {
                    count += 1;
                    replaced |= dropped > 0;
                }
                // Without room, or where it cannot be sent at all.
                _ => break,
            }
            if self.is_due(payload.len()) {
                break;
            }
        }
        (count, replaced)
    }

    /// Appends samples behind one of the same lane that was just put in, at the same time, as long as there is nothing
    /// to be decided. Nearly all of many are dealt with in this loop.
    fn append_some(&mut self, id: LaneId, payloads: &[&[u8]]) -> usize {
        let Self { batch, stamps, now, capacity, largest, whole, .. } = self;
        let Some(lane) = self.lanes.get_mut(id.alias as usize).and_then(Option::as_mut) else { return 0 };
        let Some(limit) = lane.limit.filter(|_| !lane.apart) else { return 0 };
        let most = (*largest).min(*whole);
        let credit = usize::try_from(limit.saturating_sub(lane.sequence)).unwrap_or(usize::MAX);
        let (lossless, sent) = (lane.delivery.is_lossless(), now.last());
        let mut count = 0;
        for payload in &payloads[..payloads.len().min(credit)] {
            if payload.len() > most || batch.len() + payload.len() > *capacity {
                break;
            }
            if lossless {
                if !lane.window.has_room(payload.len()) {
                    break;
                }
                lane.window.sent(payload.len());
            }
            put_sample(batch, stamps, id.alias, sent, Outgoing { payload, shared: None });
            count += 1;
        }
        lane.sequence += count as u64;
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::Delivery;
    use crate::settings::Bounds;
    use crate::wire::control::Credit;
    use proptest::prelude::*;

    fn outbox(capacity: usize, delivery: Delivery, limit: u64) -> (Outbox, LaneId) {
        let mut outbox = Outbox::new(capacity);
        outbox.set_peer(256, true);
        let lane = outbox.open(0, delivery, Bounds::default());
        assert!(
            outbox
                .credit(Credit { alias: 0, limit, taken: 0, lost: 0 })
                .is_some_and(|credited| credited.first)
        );
        (outbox, lane)
    }

    /// What is waiting, in the batch and parked, and how it stands with the lane.
    fn state(outbox: &Outbox) -> (Vec<u8>, [u64; 5]) {
        let lane = outbox.lane(0).expect("is open");
        let counts = [outbox.batch.messages(), outbox.parked, lane.parked.len()].map(|count| count as u64);
        let [messages, bytes, parked] = counts;
        (outbox.batch.rest(), [messages, bytes, parked, lane.sequence, lane.lost_here])
    }

    proptest! {
        #[test]
        fn many_at_once_are_the_same_as_one_by_one(
            sizes in prop::collection::vec(0..300usize, 0..40),
            capacity in 100..4000usize,
            depth in 1..40u32,
            lossless: bool,
            micros in 1_000_000..300_000_000u64,
        ) {
            let delivery = if lossless { Delivery::Lossless(depth) } else { Delivery::Queue(depth) };
            let limit = if lossless { u64::from(depth) } else { u64::MAX };
            let ((mut many, lane), (mut one, other)) =
                (outbox(capacity, delivery, limit), outbox(capacity, delivery, limit));
            let payloads: Vec<_> = sizes.iter().map(|size| vec![*size as u8; *size]).collect();
            let slices: Vec<_> = payloads.iter().map(Vec::as_slice).collect();
            let now = || Timestamp::from_micros(micros);
            // A first one, so that the clock goes on by more than a stamp says exactly.
            for (outbox, lane) in [(&mut many, lane), (&mut one, other)] {
                outbox.put(lane, Outgoing { payload: &[], shared: None }, false, || Timestamp::from_micros(1_000_000));
            }
            let mut done = 0;
            loop {
                let (count, _) = many.put_some(lane, &slices[done..], now);
                done += count;
                if count == 0 {
                    break;
                }
            }
            let taken = |put| matches!(put, Put::Queued | Put::Inline | Put::Parked(_));
            let single = slices.iter().take_while(|payload| {
                taken(one.put(other, Outgoing { payload, shared: None }, false, now))
            });
            prop_assert_eq!(single.count(), done);
            prop_assert_eq!(state(&many), state(&one));
        }
    }
}
