//! Samples that wait for their turn on one link, by priority: those too large to go at once, all of bulk, and
//! what is urgent behind one of its own kind.
//!
//! The three queues share the line by deficit round robin (M. Shreedhar, G. Varghese: Efficient Fair Queuing Using
//! Deficit Round Robin, SIGCOMM 1995): in each round a queue may send as many bytes more as its [weight](WEIGHTS)
//! says, and what it did not use it has in the next. So none starves, whatever the sizes, at the cost of a few
//! additions for each piece.
//!
//! Within a queue the order is that of sending, one sample after the other: two images cut into each other would
//! both come as late as the second of them does so. It also bounds what the other side has to put together at
//! once: one sample for each queue.

use crate::bytes::Bytes;
use crate::flow::lane::Missing;
use crate::priority::Priority;
use crate::time::Timestamp;
use std::collections::VecDeque;

/// The queues of one link.
#[derive(Default)]
pub(crate) struct Queues {
    queues: [Queue; 3],
    /// Whose turn it is.
    turn: usize,
    /// The urgent queue is next, out of turn.
    hurries: bool,
    /// It was so since another had its turn.
    hurried: bool,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    /// Bytes of all that wait, whole until the last piece went.
    bytes: usize,
    /// How much it may send in this round.
    deficit: usize,
}

/// A sample that waits.
pub(crate) struct Waiting {
    pub(crate) alias: u32,
    pub(crate) sent: Timestamp,
    pub(crate) payload: Bytes,
    /// Numbers before it that go by without a sample.
    pub(crate) missing: Missing,
    /// How much of it went.
    at: usize,
    /// Since when it is known to wait: not when it was sent, as a retained sample may be old.
    since: Option<Timestamp>,
}

impl Waiting {
    pub(crate) fn new(alias: u32, sent: Timestamp, payload: Bytes, missing: Missing) -> Self {
        Self { alias, sent, payload, missing, at: 0, since: None }
    }

    /// The numbers that it takes, with those missing before it.
    pub(crate) fn numbers(&self) -> u64 {
        self.missing.gap + self.missing.lost + 1
    }
}

/// What goes next: a sample, or a piece of one.
pub(crate) struct Cut {
    pub(crate) alias: u32,
    pub(crate) sent: Timestamp,
    /// The sample's own part of its buffer.
    pub(crate) bytes: Bytes,
    pub(crate) missing: Missing,
    /// It begins the sample.
    pub(crate) first: bool,
    /// How many bytes of the sample come later.
    pub(crate) left: usize,
}

impl Cut {
    pub(crate) fn is_whole(&self) -> bool {
        self.first && self.left == 0
    }
}

impl Queues {
    pub(crate) fn is_empty(&self) -> bool {
        self.queues.iter().all(|queue| queue.waiting.is_empty())
    }

    /// Whether a queue has room for a sample: one may wait however large it is.
    pub(crate) fn has_room(&self, priority: Priority, size: usize, capacity: usize) -> bool {
        let queue = &self.queues[priority.index()];
        queue.waiting.is_empty() || queue.bytes + size + WAITING_COST <= capacity
    }

    pub(crate) fn push(&mut self, priority: Priority, sample: Waiting) {
        let place = priority.index();
        let queue = &mut self.queues[place];
        if priority == Priority::Urgent && queue.waiting.is_empty() {
            // It need not wait for the round to come by, unless it just did not.
            self.hurries = !self.hurried;
        }
        queue.bytes += sample.payload.len() + WAITING_COST;
        queue.waiting.push_back(sample);
    }

    /// Puts one in that was [taken out](Self::take_out): behind the others, but for one of which a part went.
    pub(crate) fn put_back(&mut self, priority: Priority, sample: Waiting) {
        if sample.at == 0 {
            return self.push(priority, sample);
        }
        let queue = &mut self.queues[priority.index()];
        queue.bytes += sample.payload.len() + WAITING_COST;
        queue.waiting.push_front(sample);
    }

    /// Takes what goes next: samples of up to `whole` bytes at once, others in pieces of up to `piece`.
    pub(crate) fn next(&mut self, whole: usize, piece: usize) -> Option<Cut> {
        if self.is_empty() {
            return None;
        }
        let quantum = |place: usize| WEIGHTS[place] * (whole.min(LARGEST_UNIT).max(piece) + HEAD);
        if std::mem::take(&mut self.hurries) {
            self.turn = Priority::Urgent.index();
            self.queues[self.turn].deficit = quantum(self.turn);
            self.hurried = true;
        }
        loop {
            let queue = &mut self.queues[self.turn];
            match queue.waiting.front() {
                Some(sample) => {
                    let size = sample.size(whole, piece);
                    if let Some(deficit) = queue.deficit.checked_sub(size + HEAD) {
                        queue.deficit = deficit;
                        self.hurried &= self.turn == Priority::Urgent.index();
                        return queue.cut(size);
                    }
                }
                None => queue.deficit = 0,
            }
            self.turn = (self.turn + 1) % self.queues.len();
            let queue = &mut self.queues[self.turn];
            if !queue.waiting.is_empty() {
                // Enough for one at least, but where samples of any size go whole.
                queue.deficit += quantum(self.turn);
            }
        }
    }

    /// The writer is about to write: what came since it was last wants to know how long it waits from here on.
    pub(crate) fn note(&mut self, now: Timestamp) {
        for queue in &mut self.queues {
            let new = queue.waiting.iter_mut().rev().take_while(|sample| sample.since.is_none());
            new.for_each(|sample| sample.since = Some(now));
        }
    }

    /// Nobody writes any more: how long it all waits counts anew once somebody does.
    pub(crate) fn forget_waits(&mut self) {
        self.queues.iter_mut().flat_map(|queue| &mut queue.waiting).for_each(|sample| sample.since = None);
    }

    /// Since when the one has waited that waits longest.
    pub(crate) fn oldest(&self) -> Option<Timestamp> {
        self.queues.iter().filter_map(|queue| queue.waiting.front()?.since).min()
    }

    /// Takes out the samples of some aliases, those of one alias in their order.
    pub(crate) fn take_out(&mut self, is_one: impl Fn(u32) -> bool) -> Vec<Waiting> {
        let mut out = Vec::new();
        for queue in &mut self.queues {
            for sample in std::mem::take(&mut queue.waiting) {
                if is_one(sample.alias) {
                    queue.bytes -= sample.payload.len() + WAITING_COST;
                    out.push(sample);
                } else {
                    queue.waiting.push_back(sample);
                }
            }
        }
        out
    }

    /// Calls `each` with the alias of every sample that waits, and the numbers that it takes, with those missing before it.
    pub(crate) fn numbers(&self, mut each: impl FnMut(u32, u64)) {
        for sample in self.queues.iter().flat_map(|queue| &queue.waiting) {
            each(sample.alias, sample.numbers());
        }
    }

    /// Bytes of all that waits.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.queues.iter().map(|queue| queue.bytes).sum()
    }

    /// Drops all that waits, telling whose it was.
    pub(crate) fn clear(&mut self, mut dropped: impl FnMut(u32)) {
        for queue in &mut self.queues {
            queue.waiting.drain(..).for_each(|sample| dropped(sample.alias));
            (queue.bytes, queue.deficit) = (0, 0);
        }
    }
}

impl Queue {
    /// Takes `size` bytes of the first sample.
    fn cut(&mut self, size: usize) -> Option<Cut> {
        let sample = self.waiting.front_mut()?;
        let (first, missing) = (sample.at == 0, std::mem::take(&mut sample.missing));
        let bytes = sample.payload.part(sample.at, size);
        sample.at += size;
        let (alias, sent, left) = (sample.alias, sample.sent, sample.payload.len() - sample.at);
        if left == 0 {
            self.bytes -= sample.payload.len() + WAITING_COST;
            self.waiting.pop_front();
        }
        Some(Cut { alias, sent, bytes, missing, first, left })
    }
}

impl Waiting {
    /// How many bytes of it go next.
    fn size(&self, whole: usize, piece: usize) -> usize {
        let left = self.payload.len() - self.at;
        if self.at == 0 && left <= whole { left } else { left.min(piece) }
    }
}

/// What urgent, normal and bulk may send in a round, in pieces.
pub(crate) const WEIGHTS: [usize; 3] = [8, 4, 1];

/// What a piece counts beside its bytes, about what stands before them, so that empty ones count too.
const HEAD: usize = 16;

/// What a sample that waits costs in memory beside its payload, about.
const WAITING_COST: usize = 96;

/// From here on a piece counts for several rounds: samples go whole to a peer that takes no pieces.
const LARGEST_UNIT: usize = 1 << 20;

#[cfg(test)]
mod tests;
