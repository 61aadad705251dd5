//! Loose samples, outgoing: their numbers, and those that wait for the line.

use crate::time::Timestamp;
use crate::wire::packet::{Order, Tally};
use std::collections::VecDeque;
use std::time::Duration;

mod settling;

pub(super) use settling::Way;
use settling::{FAR, FAR_IN_ORDER, Settling, Sure};

/// What was sent under each alias, and what is to be.
pub(super) struct LanesOut {
    lanes: Vec<Lane>,
    queue: VecDeque<Loose>,
    /// Those that go ahead of it, and their bytes.
    urgent: VecDeque<Loose>,
    urgent_bytes: usize,
    /// Payload bytes in the queue.
    queued: usize,
    room: usize,
    /// One that is too large for a packet goes beside the queue, so that it holds up no other alias.
    large: Option<Loose>,
    /// The largest payload that is sure to fit a packet.
    small: usize,
    /// It is the large one's turn.
    turn: bool,
    /// Nothing overtakes anything on this line, and few bits of a number will do.
    fifo: bool,
    /// Emptied payloads, to be used again.
    spare: Vec<Vec<u8>>,
    /// Aliases that counted on since their last tally.
    touched: Vec<u32>,
    /// Aliases of which a tally is to go out.
    tallies: VecDeque<u32>,
    /// Aliases that had their tally, which may have been lost.
    resting: Vec<u32>,
}

#[derive(Clone, Copy, Default)]
struct Lane {
    loose: bool,
    /// Its samples go ahead of others.
    urgent: bool,
    /// Copies of them go other ways.
    copied: bool,
    /// The last sample that came in pieces.
    open: Option<Open>,
    /// The last sample before which a tally went.
    tallied: Option<u64>,
    /// The number of the next sample. It goes on from one use of the alias to the next.
    next: u64,
    /// Dropped by the sender, in all.
    dropped: u64,
    /// Dropped since the last sample, and not told by a tally.
    gap: u64,
    /// Samples that wait for the line.
    waiting: u32,
    /// As far as it was put on the line.
    sent_next: u64,
    sent_dropped: u64,
    /// Samples put on the line since the last tally.
    since_tally: u32,
    touched: bool,
    /// It is among those that rest.
    resting: bool,
    /// Its samples go in the repaired stream for now.
    settling: Option<Settling>,
    /// Numbers went by without a sample that the other side may not know of before it has the stream up to there.
    unsure: Option<u64>,
    sure: Sure,
    /// The last few were put on the line in a row.
    fast: bool,
    /// Where and when these few began.
    mark: (u64, Timestamp),
    /// Until then numbers go with more bits, as one did.
    wide_until: Timestamp,
}

/// A sample that comes in pieces.
#[derive(Clone, Copy)]
struct Open {
    sent: Timestamp,
    number: u64,
    gap: u64,
    dropped: u64,
    total: usize,
    /// How much of it came.
    at: usize,
}

/// A sample that waits for the line, or a piece of one.
pub(super) struct Loose {
    pub(super) alias: u32,
    pub(super) sent: Timestamp,
    pub(super) payload: Vec<u8>,
    /// How much of it went out in fragments.
    pub(super) at: usize,
    /// Where in the sample it begins, and how many bytes that has.
    pub(super) base: usize,
    pub(super) total: usize,
    number: u64,
    gap: u64,
    dropped: u64,
    /// The tally that goes before it is out.
    tallied: bool,
    /// Its number goes with more bits,
    wide: bool,
    /// and not only because one before it did.
    of_itself: bool,
}

impl Loose {
    /// Its number, and what was dropped before it unless a tally told.
    pub(super) fn order(&self) -> Order {
        Order::new(self.number, self.wide, if self.tallied { 0 } else { self.gap })
    }
}

impl LanesOut {
    /// At most `room` bytes wait, and one sample above `small`, which has its packets in turn with the others.
    pub(super) fn new(room: usize, small: usize, fifo: bool) -> Self {
        Self {
            lanes: Vec::new(),
            queue: VecDeque::new(),
            urgent: VecDeque::new(),
            urgent_bytes: 0,
            queued: 0,
            room,
            large: None,
            small,
            turn: false,
            fifo,
            spare: Vec::new(),
            touched: Vec::new(),
            tallies: VecDeque::new(),
            resting: Vec::new(),
        }
    }

    pub(super) fn set(&mut self, alias: u32, loose: bool) {
        let place = alias as usize;
        if self.lanes.len() <= place {
            self.lanes.resize(place + 1, Lane::default());
        }
        self.lanes[place].loose = loose;
        self.lanes[place].copied = false;
    }

    /// Samples of an alias go ahead of others, or not.
    pub(super) fn set_urgent(&mut self, alias: u32, urgent: bool) {
        if let Some(lane) = self.lanes.get_mut(alias as usize) {
            lane.urgent = urgent;
        }
    }

    /// Its numbers must be known at any time.
    pub(super) fn set_copied(&mut self, alias: u32) {
        if let Some(lane) = self.lanes.get_mut(alias as usize) {
            lane.copied = true;
        }
    }

    pub(super) fn is_copied(&self, alias: u32) -> bool {
        self.lanes.get(alias as usize).is_some_and(|lane| lane.loose && lane.copied)
    }

    pub(super) fn is_loose(&self, alias: u32) -> bool {
        self.lanes.get(alias as usize).is_some_and(|lane| lane.loose)
    }

    /// Whether the last sample was begun, and is given up.
    pub(super) fn give_up(&mut self, alias: u32) -> bool {
        let open = self.lanes.get_mut(alias as usize).and_then(|lane| lane.open.take());
        open.is_some_and(|open| open.at < open.total)
    }

    /// The sender dropped samples.
    pub(super) fn gap(&mut self, alias: u32, count: u64) {
        // A sample that was begun and is given up is the first of them, and has its number already.
        let begun = self.give_up(alias);
        let Some(lane) = self.lanes.get_mut(alias as usize) else { return };
        let count = count - u64::from(begun && count > 0);
        lane.gap = lane.gap.saturating_add(count);
        lane.dropped = lane.dropped.saturating_add(count);
        lane.unsure = Some(NOT_TOLD);
        touch(lane, alias, &mut self.touched);
    }

    /// The alias ends: its last tally. Nothing of it waits any more.
    pub(super) fn end(&mut self, alias: u32) -> Option<Tally> {
        let lane = self.lanes.get_mut(alias as usize).filter(|lane| lane.loose)?;
        lane.loose = false;
        lane.settling = None;
        lane.open = None;
        lane.gap = 0;
        lane.since_tally = 0;
        Some(Tally { alias, next: lane.next, dropped: lane.dropped })
    }

    /// Whether a sample of so many bytes is taken now.
    pub(super) fn admits(&self, alias: u32, bytes: usize) -> bool {
        match &self.large {
            Some(large) if bytes > self.small || large.alias == alias => false,
            None if bytes > self.small => true,
            _ => self.has_room(alias, bytes),
        }
    }

    /// The same of a piece of a sample.
    pub(super) fn admits_piece(&self, alias: u32, bytes: usize) -> bool {
        self.large.as_ref().is_none_or(|large| large.alias != alias) && self.has_room(alias, bytes)
    }

    fn has_room(&self, alias: u32, bytes: usize) -> bool {
        let (queue, queued) = match self.lanes.get(alias as usize) {
            Some(lane) if lane.urgent => (&self.urgent, self.urgent_bytes),
            _ => (&self.queue, self.queued),
        };
        queue.is_empty() || (queued + bytes <= self.room && queue.len() < MOST_WAITING)
    }

    /// A buffer to collect a payload in.
    pub(super) fn buffer(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_default()
    }

    /// A sample enters the queue.
    pub(super) fn push(&mut self, alias: u32, sent: Timestamp, payload: Vec<u8>) {
        let Some(lane) = self.lanes.get_mut(alias as usize) else { return };
        let (number, gap, dropped) = (lane.next, lane.gap, lane.dropped);
        lane.next += 1;
        lane.gap = 0;
        lane.waiting += 1;
        let (urgent, total) = (lane.urgent, payload.len());
        let (at, base) = (0, 0);
        let loose = Loose {
            alias,
            sent,
            payload,
            at,
            base,
            total,
            number,
            gap,
            dropped,
            tallied: false,
            wide: false,
            of_itself: false,
        };
        if loose.payload.len() > self.small && self.large.is_none() {
            self.large = Some(loose);
        } else {
            self.enqueue(loose, urgent);
        }
    }

    /// A piece of a sample enters the queue: the first one with when it was sent. `left` bytes come later.
    pub(super) fn push_piece(&mut self, alias: u32, sent: Option<Timestamp>, payload: Vec<u8>, left: usize) {
        let Some(lane) = self.lanes.get_mut(alias as usize) else { return };
        if let Some(sent) = sent {
            let (number, gap, dropped) = (lane.next, lane.gap, lane.dropped);
            lane.next += 1;
            lane.gap = 0;
            lane.waiting += 1;
            lane.open = Some(Open { sent, number, gap, dropped, total: payload.len() + left, at: 0 });
        }
        let urgent = lane.urgent;
        let Some(open) = &mut lane.open else { return };
        let Open { sent, number, gap, dropped, total, at: base } = *open;
        open.at += payload.len();
        let loose = Loose {
            alias,
            sent,
            payload,
            at: 0,
            base,
            total,
            number,
            gap,
            dropped,
            tallied: false,
            wide: false,
            of_itself: false,
        };
        self.enqueue(loose, urgent);
    }

    fn enqueue(&mut self, loose: Loose, urgent: bool) {
        if urgent {
            self.urgent_bytes += loose.payload.len();
            self.urgent.push_back(loose);
        } else {
            self.queued += loose.payload.len();
            self.queue.push_back(loose);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.large.is_none() && self.urgent.is_empty()
    }

    /// Whether a sample waits that goes ahead of all others.
    pub(super) fn has_urgent(&self) -> bool {
        !self.urgent.is_empty()
    }

    /// The sample that is next, or the piece.
    fn front(&mut self) -> Option<&mut Loose> {
        if !self.urgent.is_empty() {
            self.urgent.front_mut()
        } else if self.is_large_next() {
            self.large.as_mut()
        } else {
            self.queue.front_mut()
        }
    }

    /// Whether the large one is next: in turn, and not before what was sent under its alias earlier.
    fn is_large_next(&self) -> bool {
        let Some(large) = self.large.as_ref().filter(|_| self.urgent.is_empty()) else { return false };
        let alone = self.lanes.get(large.alias as usize).is_some_and(|lane| lane.waiting == 1);
        self.queue.is_empty() || (self.turn && alone)
    }

    /// The sample that is next, and the tally that has to go before it, if one has.
    /// The other side has the stream up to `acked`.
    pub(super) fn first(&mut self, now: Timestamp, acked: u64) -> Option<(&mut Loose, Option<Tally>)> {
        let (fifo, small) = (self.fifo, self.small);
        let alias = self.front()?.alias;
        let lane = *self.lanes.get(alias as usize)?;
        let loose = self.front()?;
        // Where none of these overtakes another they begin anew all the same.
        loose.wide |= fifo && lane.sure.is_far(loose.number, acked, FAR_IN_ORDER);
        if !fifo {
            let part = loose.payload.len() > small || loose.at > 0 || loose.payload.len() < loose.total;
            // What may be overtaken by many of its alias must not be taken for one after them.
            loose.of_itself |=
                lane.fast || lane.waiting > 1 || part || lane.sure.is_far(loose.number, acked, FAR);
            loose.wide |= loose.of_itself || now < lane.wide_until;
        }
        // All pieces say the same.
        loose.tallied |= loose.base > 0 && lane.tallied == Some(loose.number);
        let due = lane.since_tally >= SAMPLES_A_TALLY;
        let tally = (due && !loose.tallied && loose.at == 0 && loose.base == 0).then_some(Tally {
            alias: loose.alias,
            next: loose.number,
            dropped: loose.dropped,
        });
        Some((loose, tally))
    }

    /// The tally before the sample that is next is on the line.
    pub(super) fn tallied(&mut self) {
        let Some(loose) = self.front() else { return };
        loose.tallied = true;
        let (alias, number) = (loose.alias, loose.number);
        if let Some(lane) = self.lanes.get_mut(alias as usize) {
            lane.since_tally = 0;
            lane.tallied = Some(number);
        }
    }

    /// So many bytes more of the sample that is next are on the line; with the last it is done: then its alias.
    pub(super) fn sent(&mut self, now: Timestamp, bytes: usize) -> Option<u32> {
        let (urgent, large) = (self.has_urgent(), self.is_large_next());
        let loose = self.front()?;
        loose.at += bytes;
        let through = loose.at >= loose.payload.len();
        if !urgent {
            // Not before: whose turn it is says which one is in front.
            self.turn = !large;
        }
        if !through {
            return None;
        }
        let done = match (urgent, large) {
            (true, _) => self.urgent.pop_front(),
            (false, true) => self.large.take(),
            (false, false) => self.queue.pop_front(),
        };
        let mut loose = done?;
        match (urgent, large) {
            (true, _) => self.urgent_bytes -= loose.payload.len(),
            (false, true) => {}
            (false, false) => self.queued -= loose.payload.len(),
        }
        let ends = loose.base + loose.payload.len() == loose.total;
        if let Some(lane) = self.lanes.get_mut(loose.alias as usize).filter(|_| ends) {
            lane.waiting -= 1;
            lane.sent_next = loose.number + 1;
            lane.sent_dropped = loose.dropped;
            lane.since_tally += 1;
            lane.sure.sent(loose.number, loose.order().wide);
            if loose.of_itself || (loose.gap > 0 && !loose.tallied) {
                lane.wide_until = now + STAYS_WIDE;
            }
            if lane.sent_next - lane.mark.0 >= FEW {
                lane.fast = now - lane.mark.1 < FAST;
                lane.mark = (lane.sent_next, now);
            }
            touch(lane, loose.alias, &mut self.touched);
        }
        if self.spare.len() < SPARE && loose.payload.capacity() <= SPARE_BYTES {
            loose.payload.clear();
            self.spare.push(loose.payload);
        }
        ends.then_some(loose.alias)
    }

    /// A PING goes out: each alias that counted on since its last tally sends one.
    pub(super) fn tally_all(&mut self) {
        for alias in self.touched.drain(..) {
            if let Some(lane) = self.lanes.get_mut(alias as usize) {
                lane.touched = false;
                self.tallies.push_back(alias);
                if !lane.resting {
                    lane.resting = true;
                    self.resting.push(alias);
                }
            }
        }
    }

    /// A PING is about to go out: `tell` is given the tallies of the aliases that counted no further since the
    /// last one, until it takes no more; the rest is for the next PING. It says where in the stream they end; the other side has
    /// that up to `acked`.
    pub(super) fn tally_resting(&mut self, acked: u64, mut tell: impl FnMut(&Tally) -> Option<u64>) {
        let Self { lanes, resting, .. } = self;
        let mut told = true;
        resting.retain(|alias| {
            let Some(lane) = lanes.get_mut(*alias as usize) else { return false };
            if !lane.loose {
                lane.resting = false;
                return false;
            }
            if lane.touched || lane.waiting > 0 || !told {
                return true;
            }
            let end = tell(&Tally { alias: *alias, next: lane.next, dropped: lane.dropped });
            told = end.is_some();
            if let Some(end) = end {
                lane.settled(end, acked);
            }
            lane.resting = !told;
            lane.resting
        });
    }

    pub(super) fn has_tallies(&self) -> bool {
        !self.tallies.is_empty()
    }

    /// The next of these tallies, if one is due.
    pub(super) fn next_tally(&mut self) -> Option<Tally> {
        while let Some(alias) = self.tallies.pop_front() {
            let Some(lane) = self.lanes.get_mut(alias as usize).filter(|lane| lane.loose) else { continue };
            let (next, dropped) = match lane.waiting {
                0 => {
                    lane.gap = 0;
                    (lane.next, lane.dropped)
                }
                _ => (lane.sent_next, lane.sent_dropped),
            };
            lane.since_tally = 0;
            return Some(Tally { alias, next, dropped });
        }
        None
    }
}

fn touch(lane: &mut Lane, alias: u32, touched: &mut Vec<u32>) {
    if !lane.touched {
        lane.touched = true;
        touched.push(alias);
    }
}

/// A tally goes before every sample after so many: twice within the span of the numbers.
const SAMPLES_A_TALLY: u32 = 64;

/// Where so many samples of an alias take less than this, on a line that may swap packets, their numbers go
/// with more bits: 64 of them, which is what few bits tell apart, last for 80 ms else.
const FEW: u64 = 8;
const FAST: Duration = Duration::from_millis(10);

/// For so long after a number with more bits all have them: so the other side knows one without, which comes
/// soon after it, for one that was overtaken.
const STAYS_WIDE: Duration = Duration::from_millis(200);

/// Nothing in the stream tells of it yet.
const NOT_TOLD: u64 = u64::MAX;

/// How many samples may wait, however small.
const MOST_WAITING: usize = 1024;

/// How many emptied payloads are kept, and how large.
const SPARE: usize = 64;
const SPARE_BYTES: usize = 4096;
