//! A shorter way in for samples that follow each other.
//!
//! What [`Outbox::put`] decides is nearly always what it decided for the sample before: the lane is open and has
//! credit, there is room, the clock need not be read, and whoever writes knows that there is something. So once a
//! sample was simply put in, the door works out how many more can follow it in that way, and how many bytes they may
//! have. It forgets that as soon as anybody does anything else to the outbox.

use super::{Outbox, Outgoing, Put};
use crate::flow::batch::BY_REFERENCE;
use crate::flow::lane::LaneId;
use crate::time::Timestamp;
use crate::wire::Stamp;
use crate::wire::message::{MESSAGE_HEAD_MAX, put_message_head};
use std::ops::{Deref, DerefMut};

/// An outbox, through which samples of one lane pass quickly while nothing else happens to it.
pub(crate) struct Door {
    outbox: Outbox,
    /// Whose samples pass.
    lane: LaneId,
    /// How many more of them.
    left: u32,
    /// How large each may be, and how many bytes they may have together, with their heads.
    most: usize,
    room: usize,
}

impl Door {
    pub(crate) fn new(outbox: Outbox) -> Self {
        Self { outbox, lane: LaneId { alias: 0, opening: 0 }, left: 0, most: 0, room: 0 }
    }

    #[inline]
    fn passes(&self, id: LaneId, size: usize) -> bool {
        self.left > 0 && id == self.lane && size <= self.most && size + MESSAGE_HEAD_MAX <= self.room
    }

    /// Puts in a sample that follows others simply: it is [`Queued`](Put::Queued), and nobody need be woken. False
    /// where there is more to decide.
    #[inline]
    pub(crate) fn put_next(&mut self, id: LaneId, payload: &[u8]) -> bool {
        if !self.passes(id, payload.len()) {
            return false;
        }
        let Some(lane) = self.outbox.lanes.get_mut(id.alias as usize).and_then(Option::as_mut) else {
            return false;
        };
        self.left -= 1;
        self.room -= payload.len() + MESSAGE_HEAD_MAX;
        lane.sequence += 1;
        if lane.delivery.is_lossless() {
            lane.window.sent(payload.len());
        }
        self.outbox.now.again();
        // No time went by since the sample before.
        put_message_head(self.outbox.batch.bytes(), id.alias, Stamp(0), payload.len());
        self.outbox.batch.payload(payload, None);
        true
    }

    /// As [`Outbox::put`].
    pub(crate) fn put(
        &mut self,
        id: LaneId,
        sample: Outgoing<'_>,
        forced: bool,
        now: impl FnOnce() -> Timestamp,
    ) -> Put {
        if self.put_next(id, sample.payload) {
            return Put::Queued;
        }
        let put = self.deref_mut().put(id, sample, forced, now);
        match put {
            Put::Queued => self.open_for(id),
            Put::NoRoom | Put::NoCredit(_) | Put::TooManyBytes(_) => self.outbox.press(),
            _ => {}
        }
        put
    }

    /// As [`Outbox::admits`].
    #[inline]
    pub(crate) fn admits(&mut self, id: LaneId, size: usize, now: impl FnOnce() -> Timestamp) -> Put {
        if self.passes(id, size) {
            return Put::Queued;
        }
        let put = self.deref_mut().admits(id, size, now);
        if matches!(put, Put::NoRoom | Put::NoCredit(_) | Put::TooManyBytes(_)) {
            self.outbox.press();
        }
        put
    }

    /// As [`Outbox::wake`]. That the writer will come changes nothing for those who follow.
    #[inline]
    pub(crate) fn wake(&mut self) -> bool {
        self.outbox.wake()
    }

    /// Works out what may follow a sample that was queued.
    fn open_for(&mut self, id: LaneId) {
        let Outbox { gate, batch, stamps, now, due, capacity, largest, whole, .. } = &self.outbox;
        let Some(lane) = self.outbox.lane(id.alias).filter(|lane| lane.id == id) else { return };
        let simple = !lane.apart && !lane.ending && lane.gap == 0 && lane.parked.is_empty();
        let same_time = stamps.time() == Some(now.last().micros());
        if !simple || !same_time || !(gate.writing || gate.woken) || batch.messages() == 0 {
            return;
        }
        let (mut left, mut room) = (u64::from(now.left()), due.saturating_sub(batch.len()));
        if lane.delivery.is_lossless() {
            left = left.min(lane.limit.map_or(0, |limit| limit.saturating_sub(lane.sequence)));
            room = room.min(lane.window.room());
        }
        // Fits, as it is no more than the clock says.
        self.left = left as u32;
        self.room = room;
        // Where a larger one is put in, the batch may be due before it is filled: see `is_due`.
        self.most = (*largest).min(*whole).min(BY_REFERENCE - 1).min(capacity - due);
        self.lane = id;
    }
}

impl Deref for Door {
    type Target = Outbox;

    #[inline]
    fn deref(&self) -> &Outbox {
        &self.outbox
    }
}

impl DerefMut for Door {
    /// Whatever is done to the outbox may change who can pass.
    #[inline]
    fn deref_mut(&mut self) -> &mut Outbox {
        self.left = 0;
        &mut self.outbox
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::Delivery;
    use crate::flow::batch::Batch;
    use crate::priority::Priority;
    use crate::settings::Bounds;
    use crate::wire::control::{Control, Credit, Ping};
    use proptest::prelude::*;
    use std::time::Duration;

    const CAPACITY: usize = 2000;
    const LANES: [Delivery; 3] = [Delivery::Lossless(200), Delivery::Queue(4), Delivery::Lossless(20)];

    fn credit(alias: u32, taken: u64) -> Credit {
        let delivery = LANES[alias as usize];
        let limit = if delivery.is_lossless() { taken + u64::from(delivery.depth()) } else { u64::MAX };
        Credit { alias, limit, taken, lost: 0 }
    }

    fn outbox() -> (Outbox, Vec<LaneId>) {
        let mut outbox = Outbox::new(CAPACITY);
        outbox.set_peer(1 << 20, true);
        outbox.set_stride(Some(400));
        let bounds = Bounds { bytes: 3000, stall: Duration::from_millis(5) };
        let lanes = (0..).zip(LANES).map(|(alias, delivery)| {
            let lane = outbox.open_ranked(alias, delivery, Priority::Normal, bounds);
            assert!(outbox.credit(credit(alias, 0)).is_some());
            lane
        });
        let lanes = lanes.collect();
        (outbox, lanes)
    }

    #[derive(Clone, Debug)]
    enum Step {
        Put { lane: usize, size: usize, times: usize },
        Write,
        Credit { alias: u32, take: u64 },
        Urgent,
        InLine,
        End(u32),
        Wait(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let size = prop_oneof![8 => 0..40_usize, 2 => 40..300_usize, 1 => 300..600_usize];
        let step = prop_oneof![
            12 => (0..LANES.len(), size, 1..40_usize)
                .prop_map(|(lane, size, times)| Step::Put { lane, size, times }),
            4 => Just(Step::Write),
            4 => (0..LANES.len() as u32, 0..60_u64).prop_map(|(alias, take)| Step::Credit { alias, take }),
            1 => Just(Step::Urgent),
            1 => Just(Step::InLine),
            1 => (0..LANES.len() as u32).prop_map(Step::End),
            4 => (0..12_000_u64).prop_map(Step::Wait),
        ];
        proptest::collection::vec(step, 1..60)
    }

    /// One outbox behind a door and one without, to which the same is done.
    struct Pair {
        door: Door,
        plain: Outbox,
        lanes: Vec<LaneId>,
        now: Timestamp,
        wrote: bool,
    }

    impl Pair {
        fn put(&mut self, lane: usize, payload: &[u8]) {
            let (id, now) = (self.lanes[lane], self.now);
            let sample = Outgoing { payload, shared: None };
            let (size, plain) = (payload.len(), &mut self.plain);
            assert_eq!(self.door.admits(id, size, || now), plain.admits(id, size, || now));
            let put = plain.put(id, sample, false, || now);
            let passes = self.door.passes(id, size);
            assert_eq!(self.door.put(id, sample, false, || now), put);
            assert!(
                !passes || !plain.is_due(size),
                "nobody asks whether a batch is due for one of {size} bytes"
            );
            assert_eq!(self.door.is_due(size), plain.is_due(size));
            assert_eq!(self.door.wake(), plain.wake());
        }

        /// All that is to be written.
        fn write(&mut self) -> Vec<u8> {
            let (now, wrote) = (self.now, self.wrote);
            let [door, plain] = [&mut *self.door, &mut self.plain].map(|outbox| {
                let (mut bytes, mut batch) = (Vec::new(), Batch::default());
                let some = outbox.take(&mut bytes, &mut batch, || now, wrote);
                bytes.extend(batch.rest());
                (some, bytes)
            });
            assert_eq!(door, plain);
            self.wrote = plain.0;
            plain.1
        }

        fn run(mut self, steps: Vec<Step>) {
            let mut taken = [0; LANES.len()];
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Put { lane, size, times } => {
                        let mut payload = vec![number as u8; size];
                        for time in 0..times {
                            payload.iter_mut().take(1).for_each(|first| *first = time as u8);
                            self.put(lane, &payload);
                        }
                    }
                    Step::Write => drop(self.write()),
                    Step::Credit { alias, take } => {
                        let taken = &mut taken[alias as usize];
                        let sent = self.plain.lane(alias).map_or(0, |lane| lane.sequence);
                        *taken = (*taken + take).min(sent);
                        let credit = credit(alias, *taken);
                        assert_eq!(self.door.credit(credit), self.plain.credit(credit));
                    }
                    Step::Urgent => {
                        let ping = Control::Ping(Ping { sent: self.now });
                        assert_eq!(self.door.urgent(&ping), self.plain.urgent(&ping));
                    }
                    Step::InLine => {
                        let frame = Control::Gap { alias: 9, count: 1 };
                        self.door.in_line(&frame);
                        self.plain.in_line(&frame);
                    }
                    Step::End(alias) => {
                        self.door.end(alias);
                        self.plain.end(alias);
                    }
                    Step::Wait(micros) => self.now = self.now + Duration::from_micros(micros),
                }
            }
            while !self.write().is_empty() {}
        }
    }

    fn pair() -> Pair {
        let ((door, lanes), (plain, _)) = (outbox(), outbox());
        let now = Timestamp::from_micros(1_000_000);
        Pair { door: Door::new(door), plain, lanes, now, wrote: false }
    }

    proptest! {
        #[test]
        fn who_passes_quickly_fares_as_all_others(steps in steps()) {
            pair().run(steps);
        }
    }

    #[test]
    fn nearly_all_samples_of_a_burst_pass_quickly() {
        let Pair { mut door, lanes, now, .. } = pair();
        let mut quick = 0;
        for _ in 0..100 {
            if door.put_next(lanes[0], &[7; 4]) {
                quick += 1;
            } else {
                let put = door.put(lanes[0], Outgoing { payload: &[7; 4], shared: None }, false, || now);
                assert!(matches!(put, Put::Queued | Put::Inline), "{put:?}");
                door.wake();
            }
        }
        assert!(quick > 80, "{quick} of 100");
        assert_eq!(door.batch.messages(), 100);
    }

    #[test]
    fn nobody_passes_once_anything_else_was_done() {
        let Pair { mut door, lanes, now, .. } = pair();
        let sample = Outgoing { payload: &[7; 4], shared: None };
        let others: [fn(&mut Door); 4] = [
            |door| assert!(door.credit(credit(0, 1)).is_some()),
            |door| door.set_stride(Some(50)),
            |door| door.in_line(&Control::End { alias: 9 }),
            |door| door.end(0),
        ];
        for other in others {
            while !door.passes(lanes[0], 4) {
                assert!(matches!(door.put(lanes[0], sample, false, || now), Put::Queued | Put::Inline));
                door.wake();
            }
            other(&mut door);
            assert!(!door.put_next(lanes[0], sample.payload));
        }
        assert_eq!(door.put(lanes[0], sample, false, || now), Put::Closed);
    }
}
