//! Both ends of a session, and the links between them.

use super::super::*;
use super::there::{Answer, There};
use crate::links::Links;
use crate::wire::control::Notify;

/// Both ends of a session.
pub(super) struct World {
    pub(super) outbox: Outbox,
    pub(super) now: Timestamp,
    pub(super) there: There,
    /// What the writer has, and how much of what is urgent in it is written.
    pub(super) load: Option<(Vec<u8>, Batch, usize)>,
    /// What a sender writes inline.
    pub(super) inline: Option<Batch>,
    /// On its way.
    pub(super) wire: Vec<u8>,
    pub(super) up: bool,
    pub(super) pairs: Vec<Pair>,
    pub(super) urgent: u32,
    pub(super) in_line: u32,
    /// PINGs behind ENDs, and the aliases they free.
    pub(super) pings: BTreeMap<u64, Vec<u32>>,
    pub(super) ended: Vec<u32>,
    pub(super) stamp: u64,
    pub(super) slow: Option<u64>,
    pub(super) largest: usize,
    /// Every other pair goes by `tcp` alone.
    pub(super) choosy: bool,
    pub(super) way: &'static str,
}

/// What was sent by one pair.
pub(super) struct Pair {
    pub(super) lane: LaneId,
    pub(super) delivery: Delivery,
    /// When each was sent, also as the outbox read the clock last; and its size.
    pub(super) sent: Vec<([u64; 2], usize)>,
    pub(super) dropped: u64,
    pub(super) ended: bool,
    pub(super) taken: u64,
    /// It ended while it was barred, or may have.
    pub(super) given_up: bool,
}

pub(super) const KINDS: [(Delivery, Priority); 6] = [
    (Delivery::Lossless(1000), Priority::Normal),
    (Delivery::Queue(5), Priority::Normal),
    (Delivery::Latest, Priority::Urgent),
    (Delivery::Lossless(30), Priority::Bulk),
    (Delivery::Queue(100), Priority::Bulk),
    (Delivery::Lossless(1000), Priority::Urgent),
];

impl World {
    pub(super) fn new(capacity: usize, limit: Option<usize>, slow: Option<u64>) -> Self {
        let mut outbox = Outbox::new(capacity);
        outbox.set_peer(1 << 20, true);
        outbox.set_stride(Some(500));
        outbox.set_resumes(true);
        if let (Some(limit), Some(kept)) = (limit, &mut outbox.kept) {
            kept.set_limit(limit);
        }
        Self {
            outbox,
            now: Timestamp::from_micros(1_000_000_000),
            there: There::default(),
            load: None,
            inline: None,
            wire: Vec::new(),
            up: true,
            pairs: Vec::new(),
            urgent: 0,
            in_line: 0,
            pings: BTreeMap::new(),
            ended: Vec::new(),
            stamp: 0,
            slow,
            largest: 0,
            choosy: false,
            way: "tcp://here",
        }
    }

    /// Opens an alias that is free.
    pub(super) fn open(&mut self, alias: u32) {
        let busy = self.pairs.iter().any(|pair| pair.lane.alias == alias && !pair.ended);
        let freed = self.ended.iter().chain(self.pings.values().flatten()).all(|ended| *ended != alias);
        if busy || !freed {
            return;
        }
        let (delivery, priority) = KINDS[alias as usize % KINDS.len()];
        let lane = self.outbox.open_ranked(alias, delivery, priority, Bounds::default());
        let pair = self.pairs.len() as u32;
        if self.choosy && pair % 2 == 1 {
            self.outbox.set_links(alias, Links::only("tcp"));
        }
        let new =
            Pair { lane, delivery, sent: Vec::new(), dropped: 0, ended: false, taken: 0, given_up: false };
        self.pairs.push(new);
        let linked = Control::Notify(Notify::Linked { mine: pair, yours: 0, alias });
        if pair % 2 == 0 {
            assert!(self.outbox.urgent(&linked));
        } else {
            self.outbox.in_line(&linked);
        }
    }

    pub(super) fn pair(&mut self, alias: u32) -> Option<(u32, &mut Pair)> {
        (0..).zip(&mut self.pairs).find(|(_, pair)| pair.lane.alias == alias && !pair.ended)
    }

    pub(super) fn put(&mut self, alias: u32, size: usize, inline: Option<usize>) -> Option<Put> {
        let now = self.now;
        let (place, pair) = self.pair(alias)?;
        let (lane, number) = (pair.lane, pair.sent.len());
        let bytes = payload(place, number as u64, size);
        let put = self.outbox.put(lane, Outgoing { payload: &bytes, shared: None }, false, || now);
        self.largest = self.largest.max(bytes.len());
        match put {
            Put::Queued | Put::Inline | Put::Held => {}
            Put::Parked(dropped) => self.pair(alias)?.1.dropped += dropped,
            Put::NoRoom | Put::NoCredit(_) | Put::NotOpen | Put::TooManyBytes(_) => return Some(put),
            other => panic!("{other:?}"),
        }
        let times = [now.micros(), self.outbox.now().micros()];
        self.pair(alias)?.1.sent.push((times, bytes.len()));
        if put == Put::Inline && inline.is_some() {
            let mut batch = Batch::default();
            self.outbox.take_inline(&mut batch);
            self.write_inline(batch, inline.unwrap_or(0));
        }
        Some(put)
    }

    pub(super) fn write_inline(&mut self, mut batch: Batch, most: usize) {
        assert!(self.inline.is_none() && self.load.is_none(), "two write at once");
        let bytes = batch.rest();
        let count = bytes.len().min(most);
        self.wire.extend_from_slice(&bytes[..count]);
        batch.wrote(count);
        self.inline = Some(batch);
    }

    pub(super) fn end_inline(&mut self) {
        if let Some(mut batch) = self.inline.take() {
            self.outbox.end_inline(&mut batch, self.now);
            assert_eq!(batch.size(), 0);
        }
    }

    /// A sender writes what it filled, if it may.
    pub(super) fn write_due(&mut self, most: usize) {
        if self.outbox.is_due(20) {
            let mut batch = Batch::default();
            self.outbox.take_due(&mut batch);
            self.write_inline(batch, most);
        }
    }

    pub(super) fn end(&mut self, alias: u32) {
        let barred = self.up && self.outbox.lane(alias).is_some_and(|lane| lane.barred);
        if let Some((_, pair)) = self.pair(alias) {
            (pair.ended, pair.given_up) = (true, barred);
            self.outbox.end(alias);
            self.ended.push(alias);
        }
    }

    /// Asks whether what ended may be used again.
    pub(super) fn ping_in_line(&mut self) {
        if self.up && !self.ended.is_empty() {
            self.stamp += 1;
            self.outbox.in_line(&ping(self.stamp));
            self.pings.insert(self.stamp, std::mem::take(&mut self.ended));
        }
    }

    /// The writer takes something, if it has nothing.
    pub(super) fn take(&mut self) -> bool {
        if self.load.is_none() && self.up {
            let (mut urgent, mut batch) = (Vec::new(), Batch::default());
            let now = self.now;
            if self.outbox.take(&mut urgent, &mut batch, || now, false) {
                assert!(urgent.len() + batch.len() > 0);
                self.load = Some((urgent, batch, 0));
            }
        }
        self.load.is_some()
    }

    /// It writes some bytes of that.
    pub(super) fn write(&mut self, most: usize) {
        let Some((mut urgent, mut batch, ahead)) = self.load.take() else { return };
        let mut bytes = urgent[ahead..].to_vec();
        bytes.extend_from_slice(&batch.rest());
        let count = bytes.len().min(most);
        self.wire.extend_from_slice(&bytes[..count]);
        let of_urgent = count.min(urgent.len() - ahead);
        batch.wrote(count - of_urgent);
        let now = self.now;
        if count < bytes.len() {
            self.load = Some((urgent, batch, ahead + of_urgent));
        } else if self.outbox.take(&mut urgent, &mut batch, || now, true) {
            // It came back for more at once.
            self.load = Some((urgent, batch, 0));
        } else {
            assert!(urgent.is_empty() && batch.size() == 0);
        }
    }

    pub(super) fn read(&mut self, most: usize) {
        let bytes: Vec<u8> = self.wire.drain(..most.min(self.wire.len())).collect();
        self.there.receive(&bytes);
    }

    /// What the other end said comes here.
    pub(super) fn answer(&mut self) {
        if !self.up {
            return;
        }
        for answer in std::mem::take(&mut self.there.answers) {
            match answer {
                Answer::Marked(number) => {
                    self.outbox.marked(number).expect("it was sent");
                }
                Answer::Pong(stamp) => drop(self.pings.remove(&stamp)),
                Answer::Opened(alias) => self.credit(alias),
            }
        }
    }

    /// All that came was taken there.
    pub(super) fn credit(&mut self, alias: u32) {
        let Some(taken) = self.there.aliases.get(&alias).map(|came| came.sequence) else { return };
        if !self.up {
            return;
        }
        let Some((_, pair)) = self.pair(alias) else { return };
        let (lossless, depth) = (pair.delivery.is_lossless(), u64::from(pair.delivery.depth()));
        let limit = if lossless { taken + depth } else { u64::MAX };
        pair.taken = taken;
        let _ = self.outbox.credit(Credit { alias, limit, taken, lost: 0 }).expect("an honest credit");
    }

    /// The link ends after some more bytes; what the other side said may be lost too.
    pub(super) fn cut(&mut self, read: usize) {
        if !self.up {
            return;
        }
        self.read(read);
        self.wire.clear();
        self.up = false;
        let (urgent, batch, _) = self.load.take().unwrap_or_default();
        self.outbox.suspend(urgent, batch);
        self.there.turn();
        assert!(!self.outbox.wake());
        for aliases in std::mem::take(&mut self.pings).into_values() {
            self.ended.extend(aliases);
        }
    }

    pub(super) fn resume(&mut self) {
        if self.up {
            return;
        }
        for wrong in [0, self.there.received + 1000] {
            if wrong != self.there.received && wrong < self.outbox.kept.as_ref().map_or(0, |kept| kept.first)
            {
                assert!(self.outbox.resume(wrong, None).is_err());
            }
        }
        assert!(self.outbox.resume(u64::MAX, None).is_err());
        self.outbox.set_way(self.way);
        self.there.barred = self.choosy && self.way != "tcp://here";
        let over: Vec<_> = self.there.ended.keys().copied().collect();
        for (place, pair) in (0..).zip(&mut self.pairs) {
            let choosy = self.there.barred && place % 2 == 1;
            pair.given_up |= choosy && pair.ended && !over.contains(&place);
        }
        assert_eq!(self.outbox.resume(self.there.received, self.slow), Ok(()));
        self.up = true;
    }

    pub(super) fn check_bounds(&self) {
        let Some(kept) = &self.outbox.kept else { return };
        let held = kept.held();
        assert!(held < (1 << 20) * 2 + 8 * self.largest + 300_000, "{held}");
    }

    /// All that can come comes, and is what it should be.
    pub(super) fn finish(mut self) {
        self.end_inline();
        if self.choosy {
            // All goes on, and none of it is missing.
            self.cut(usize::MAX);
            self.way = "tcp://here";
        }
        self.resume();
        for alias in 0..KINDS.len() as u32 {
            self.end(alias);
        }
        for round in 0..10_000 {
            self.answer();
            if round % 10 == 9 {
                // As links do once a second: so a mark comes where too few bytes go for one.
                self.outbox.urgent(&ping(0));
            }
            self.take();
            self.write(usize::MAX);
            self.read(usize::MAX);
            let aliases: Vec<u32> = self.there.aliases.keys().copied().collect();
            aliases.into_iter().for_each(|alias| self.credit(alias));
            let is_over = self.there.aliases.is_empty() && self.there.answers.is_empty();
            if is_over && self.load.is_none() && !self.take() {
                break;
            }
        }
        assert!(!self.outbox.has_work() && self.there.aliases.is_empty());
        assert_eq!(self.there.urgent, (0..self.urgent).collect::<Vec<_>>());
        assert_eq!(self.there.in_line, (0..self.in_line).collect::<Vec<_>>());
        assert_eq!(self.there.ended.len(), self.pairs.len());
        for (place, pair) in (0..).zip(&self.pairs) {
            let came = &self.there.ended[&place];
            let count = came.samples.len() as u64;
            assert_eq!(count + came.gaps + came.lost, pair.sent.len() as u64, "pair {place}");
            assert_eq!(came.sequence, pair.sent.len() as u64);
            assert!(came.gaps == pair.dropped || pair.given_up, "{} and {}", came.gaps, pair.dropped);
            assert!(came.samples.windows(2).all(|pair| pair[0].0 < pair[1].0));
            if (self.slow.is_none() || pair.delivery.is_lossless()) && !pair.given_up {
                assert_eq!(came.lost, 0, "pair {place}");
            }
            for (number, sent, bytes) in &came.samples {
                let (times, size) = pair.sent[*number as usize];
                assert_eq!(*bytes, payload(place, *number, size));
                let right = times.iter().any(|at| sent.abs_diff(*at) <= 1050);
                assert!(right, "{number} of pair {place}: {sent} is none of {times:?}");
            }
            if !pair.sent.is_empty() && !pair.given_up {
                assert_eq!(came.samples.last().map(|last| last.0 + 1), Some(pair.sent.len() as u64));
            }
        }
    }
}

/// The sample of a pair with this number: its payload says which it is.
fn payload(pair: u32, number: u64, size: usize) -> Vec<u8> {
    let mut payload = vec![pair as u8; size.max(12)];
    payload[..4].copy_from_slice(&pair.to_le_bytes());
    payload[4..12].copy_from_slice(&number.to_le_bytes());
    payload
}
