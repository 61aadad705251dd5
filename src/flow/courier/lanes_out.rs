//! Loose samples, outgoing: their numbers, and those that wait for the line.

use crate::time::Timestamp;
use crate::wire::packet::{Order, Tally};
use std::collections::VecDeque;
use std::time::Duration;

/// What was sent under each alias, and what is to be.
pub(super) struct LanesOut {
    lanes: Vec<Lane>,
    queue: VecDeque<Loose>,
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
    /// The last few were put on the line in a row.
    fast: bool,
    /// Where and when these few began.
    mark: (u64, Timestamp),
    /// Until then numbers go with more bits, as one did.
    wide_until: Timestamp,
}

/// A sample that waits for the line.
pub(super) struct Loose {
    pub(super) alias: u32,
    pub(super) sent: Timestamp,
    pub(super) payload: Vec<u8>,
    /// How much of it went out in fragments.
    pub(super) at: usize,
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
    }

    pub(super) fn is_loose(&self, alias: u32) -> bool {
        self.lanes.get(alias as usize).is_some_and(|lane| lane.loose)
    }

    /// The sender dropped samples.
    pub(super) fn gap(&mut self, alias: u32, count: u64) {
        let Some(lane) = self.lanes.get_mut(alias as usize) else { return };
        lane.gap = lane.gap.saturating_add(count);
        lane.dropped = lane.dropped.saturating_add(count);
        touch(lane, alias, &mut self.touched);
    }

    /// The alias ends: its last tally. Nothing of it waits any more.
    pub(super) fn end(&mut self, alias: u32) -> Option<Tally> {
        let lane = self.lanes.get_mut(alias as usize).filter(|lane| lane.loose)?;
        lane.loose = false;
        lane.gap = 0;
        lane.since_tally = 0;
        Some(Tally { alias, next: lane.next, dropped: lane.dropped })
    }

    /// Whether a sample of so many bytes is taken now.
    pub(super) fn admits(&self, alias: u32, bytes: usize) -> bool {
        match &self.large {
            Some(large) if bytes > self.small || large.alias == alias => false,
            None if bytes > self.small => true,
            _ => {
                self.queue.is_empty() || (self.queued + bytes <= self.room && self.queue.len() < MOST_WAITING)
            }
        }
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
        let (tallied, wide, of_itself) = (false, false, false);
        let loose = Loose { alias, sent, payload, at: 0, number, gap, dropped, tallied, wide, of_itself };
        if loose.payload.len() > self.small && self.large.is_none() {
            self.large = Some(loose);
        } else {
            self.queued += loose.payload.len();
            self.queue.push_back(loose);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.large.is_none()
    }

    /// Whether the large one is next: in turn, and not before what was sent under its alias earlier.
    fn is_large_next(&self) -> bool {
        let Some(large) = &self.large else { return false };
        let alone = self.lanes.get(large.alias as usize).is_some_and(|lane| lane.waiting == 1);
        self.queue.is_empty() || (self.turn && alone)
    }

    /// The sample that is next, and the tally that has to go before it, if one has.
    pub(super) fn first(&mut self, now: Timestamp) -> Option<(&mut Loose, Option<Tally>)> {
        let loose = if self.is_large_next() { self.large.as_mut()? } else { self.queue.front_mut()? };
        let lane = self.lanes.get(loose.alias as usize)?;
        if !self.fifo {
            // What may be overtaken by many of its alias must not be taken for one after them.
            loose.of_itself |=
                lane.fast || lane.waiting > 1 || loose.payload.len() > self.small || loose.at > 0;
            loose.wide |= loose.of_itself || now < lane.wide_until;
        }
        let due = lane.since_tally >= SAMPLES_A_TALLY;
        let tally = (due && !loose.tallied && loose.at == 0).then_some(Tally {
            alias: loose.alias,
            next: loose.number,
            dropped: loose.dropped,
        });
        Some((loose, tally))
    }

    /// The tally before the sample that is next is on the line.
    pub(super) fn tallied(&mut self) {
        let large = self.is_large_next();
        let next = if large { self.large.as_mut() } else { self.queue.front_mut() };
        let Some(loose) = next else { return };
        loose.tallied = true;
        if let Some(lane) = self.lanes.get_mut(loose.alias as usize) {
            lane.since_tally = 0;
        }
    }

    /// So many bytes more of the sample that is next are on the line; with the last it is done.
    pub(super) fn sent(&mut self, now: Timestamp, bytes: usize) {
        let large = self.is_large_next();
        self.turn = !large;
        let next = if large { self.large.as_mut() } else { self.queue.front_mut() };
        let Some(loose) = next else { return };
        loose.at += bytes;
        if loose.at < loose.payload.len() {
            return;
        }
        let done = if large { self.large.take() } else { self.queue.pop_front() };
        let Some(mut loose) = done else { return };
        if !large {
            self.queued -= loose.payload.len();
        }
        if let Some(lane) = self.lanes.get_mut(loose.alias as usize) {
            lane.waiting -= 1;
            lane.sent_next = loose.number + 1;
            lane.sent_dropped = loose.dropped;
            lane.since_tally += 1;
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
    /// last one, until it takes no more; the rest is for the next PING.
    pub(super) fn tally_resting(&mut self, mut tell: impl FnMut(&Tally) -> bool) {
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
            told = tell(&Tally { alias: *alias, next: lane.next, dropped: lane.dropped });
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

/// How many samples may wait, however small.
const MOST_WAITING: usize = 1024;

/// How many emptied payloads are kept, and how large.
const SPARE: usize = 64;
const SPARE_BYTES: usize = 4096;
