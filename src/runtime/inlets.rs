//! The aliases a reader knows, and the samples of a chunk sorted by them.
//!
//! They belong to a session, and stay while its connections come and go: see [`numbers`].

use self::calls::Following;
use self::numbers::Numbers;
use self::open::{Open, Style};
use self::relay::Relay;
use super::input::LineInput;
use super::line::{Change, Line};
use crate::bytes::{Buffer, Bytes, Pool};
use crate::flow::assemblies::{Assemblies, Lent, Whole};
use crate::flow::outbox::Outgoing;
use crate::flow::run::{Head, Run};
use crate::reason::{Reason, ReasonCode};
use crate::time::Timestamp;
use crate::wire::fragment::{Fragment, FragmentHead};
use crate::wire::{self, Limits, Stamp, StampReader};
use std::sync::Arc;

mod calls;
mod copies;
mod numbers;
mod open;
#[cfg(feature = "lz4")]
mod packed;
mod relay;

pub(crate) use copies::CopyAt;

/// The receiving side of all aliases of one session.
pub(crate) struct Inlets {
    slots: Vec<Slot>,
    /// Aliases with samples staged.
    staged: Vec<u32>,
    /// How many pairs ended, by alias.
    ends: Vec<u32>,
    stamps: StampReader,
    pool: Arc<Pool>,
    assemblies: Assemblies,
    /// Buffers of large payloads.
    large: Arc<Pool>,
    /// Buffers that payloads are unpacked into.
    #[cfg(feature = "lz4")]
    unpacked: Arc<Pool>,
    /// The largest payload that is taken.
    #[cfg(feature = "lz4")]
    largest: usize,
}

enum Slot {
    /// The alias was never assigned.
    Free,
    /// It was, and ended.
    Closed,
    Draining,
    /// As that, and some of it comes again, nobody knows from where on.
    Ignored,
    Open(Box<Open>),
    Relay(Box<Relay>),
    #[cfg(feature = "lz4")]
    Packed(Box<packed::PackedOpen>),
}

/// Where frames come from, and what those of one chunk have in common.
#[derive(Clone, Copy)]
pub(crate) struct Origin<'a> {
    pub(crate) line: &'a Line,
    pub(crate) chunk: &'a Arc<Buffer>,
    /// What the clock of the peer is off.
    pub(crate) offset: i64,
}

impl Slot {
    #[inline]
    fn is_assigned(&self) -> bool {
        !matches!(self, Slot::Free | Slot::Closed)
    }

    fn numbers(&self) -> Option<&Numbers> {
        match self {
            Slot::Open(open) => Some(&open.numbers),
            Slot::Relay(relay) => Some(&relay.numbers),
            #[cfg(feature = "lz4")]
            Slot::Packed(packed) => Some(&packed.open.numbers),
            Slot::Free | Slot::Closed | Slot::Draining | Slot::Ignored => None,
        }
    }

    fn numbers_mut(&mut self) -> Option<&mut Numbers> {
        match self {
            Slot::Open(open) => Some(&mut open.numbers),
            Slot::Relay(relay) => Some(&mut relay.numbers),
            #[cfg(feature = "lz4")]
            Slot::Packed(packed) => Some(&mut packed.open.numbers),
            Slot::Free | Slot::Closed | Slot::Draining | Slot::Ignored => None,
        }
    }

    /// That of an interest of this endpoint.
    fn open(&self) -> Option<&Open> {
        match self {
            Slot::Open(open) => Some(open),
            #[cfg(feature = "lz4")]
            Slot::Packed(packed) => Some(&packed.open),
            _ => None,
        }
    }

    fn check_grant(&mut self, alias: u32) -> Result<(), Reason> {
        match self {
            Slot::Open(open) => open.check_grant(alias),
            #[cfg(feature = "lz4")]
            Slot::Packed(packed) => packed.open.check_grant(alias),
            Slot::Relay(relay) => relay.check_grant(alias),
            Slot::Free | Slot::Closed | Slot::Draining | Slot::Ignored => Ok(()),
        }
    }
}

impl Inlets {
    /// No frame is taken before [`begin`](Self::begin).
    pub(crate) fn new() -> Self {
        let large = Pool::new(0, 0);
        Self {
            assemblies: Assemblies::new(0, Arc::clone(&large)),
            #[cfg(feature = "lz4")]
            unpacked: Arc::clone(&large),
            #[cfg(feature = "lz4")]
            largest: 0,
            large,
            slots: Vec::new(),
            staged: Vec::new(),
            ends: Vec::new(),
            stamps: StampReader::default(),
            pool: Pool::new(STAGES_KEPT, STAGES_KEPT * STAGE_BYTES),
        }
    }

    /// The first connection begins: samples come in frames of at most `max_frame` bytes.
    pub(crate) fn begin(&mut self, max_frame: u32) {
        self.large = Pool::new(LARGE_KEPT, LARGEST_KEPT * max_frame as usize);
        self.assemblies = Assemblies::new(max_frame, Arc::clone(&self.large));
        #[cfg(feature = "lz4")]
        {
            self.largest = wire::message::max_payload(max_frame).saturating_sub(wire::packed::OVERHEAD);
            self.unpacked = Pool::new(UNPACKED_KEPT, UNPACKED_KEPT * self.largest);
        }
    }

    /// Another connection goes on with the session. What the one before was about to bring again is of no matter: where
    /// nothing is told of an alias, it goes on with what is next.
    pub(crate) fn go_on(&mut self) {
        for numbers in self.slots.iter_mut().filter_map(Slot::numbers_mut) {
            (numbers.behind, numbers.told) = (0, None);
        }
        self.assemblies.go_on();
    }

    /// Where buffers of large payloads come from.
    pub(crate) fn large_buffers(&self) -> &Arc<Pool> {
        &self.large
    }

    /// Takes over what the dispatcher changed.
    #[cold]
    pub(crate) fn apply_changes(&mut self, line: &Line) {
        for change in line.take_changes() {
            let (alias, slot) = match change {
                Change::Open(alias, inlet) => (alias, Slot::Open(Box::new(Open::new(inlet)))),
                #[cfg(feature = "lz4")]
                Change::OpenPacked { alias, inlet, relayed } => {
                    (alias, Slot::Packed(Box::new(packed::PackedOpen::new(inlet, relayed))))
                }
                Change::Relay(alias, passage) => (alias, Slot::Relay(Box::new(Relay::new(passage)))),
                Change::Drain(alias) => (alias, self.left_as(alias, Slot::Draining)),
                Change::Close(alias) => {
                    self.assemblies.forget(alias);
                    (alias, self.left_as(alias, Slot::Closed))
                }
            };
            let place = alias as usize;
            if self.slots.len() <= place {
                self.slots.resize_with(place + 1, || Slot::Free);
            }
            self.slots[place] = slot;
        }
    }

    /// What an alias becomes whose samples nobody wants any more: while they come again, it is not known how far they
    /// are.
    fn left_as(&mut self, alias: u32, slot: Slot) -> Slot {
        if !self.is_behind(alias) && !matches!(self.slots.get(alias as usize), Some(Slot::Ignored)) {
            return slot;
        }
        self.assemblies.forget(alias);
        Slot::Ignored
    }

    /// The slot of an alias a sample may come under.
    #[inline]
    fn slot(&mut self, alias: u32, origin: Origin<'_>) -> Result<&mut Slot, Reason> {
        let place = alias as usize;
        if !self.slots.get(place).is_some_and(Slot::is_assigned) && origin.line.has_changes() {
            self.flush(origin.chunk);
            self.apply_changes(origin.line);
        }
        match self.slots.get_mut(place) {
            Some(slot) if slot.is_assigned() => Ok(slot),
            _ => {
                let text = format!("a sample came under alias {alias}, which was never assigned");
                Err(Reason::new(ReasonCode::UnknownAlias, text))
            }
        }
    }

    /// Checks that a sample may come under this alias, before memory is taken for it.
    pub(crate) fn expect(&mut self, alias: u32, origin: Origin<'_>) -> Result<(), Reason> {
        if self.is_behind(alias) {
            return Ok(());
        }
        self.assemblies.check_none(alias)?;
        self.slot(alias, origin)?.check_grant(alias)
    }

    /// Takes in a message whose payload ends at `end` of the chunk.
    pub(crate) fn message(
        &mut self,
        alias: u32,
        stamp: Stamp,
        payload: &[u8],
        end: usize,
        origin: Origin<'_>,
    ) -> Result<(), Reason> {
        let sent = self.stamps.apply(stamp).shifted(origin.offset.saturating_neg());
        if !self.assemblies.is_empty() && !self.is_behind(alias) {
            self.assemblies.check_none(alias)?;
        }
        match self.slot(alias, origin)? {
            Slot::Open(open) => {
                if open.numbers.is_again() {
                    return Ok(());
                }
                open.check_grant(alias)?;
                let head = Head { sent, start: (end - payload.len()) as u32, end: end as u32 };
                if open.put(head, payload) {
                    self.staged.push(alias);
                }
            }
            Slot::Relay(relay) => {
                if !relay.numbers.is_again()
                    && !relay.pass(alias, sent, Outgoing { payload, shared: None })?
                {
                    self.stall(alias, origin.line);
                }
            }
            #[cfg(feature = "lz4")]
            Slot::Packed(packed) => {
                if packed.open.numbers.is_again() {
                    return Ok(());
                }
                return self.packed_message(alias, sent, payload, end, origin).unwrap_or(Ok(()));
            }
            Slot::Free | Slot::Closed | Slot::Draining | Slot::Ignored => {}
        }
        Ok(())
    }

    /// Takes in small messages under `alias`, for a mailbox or a callback, as long as they follow each other in `frames` and
    /// are granted. Nearly all of a busy stream is dealt with in this loop. Returns how many bytes of the
    /// chunk they were, from `at` on.
    #[inline]
    pub(crate) fn run_of_small(
        &mut self,
        alias: u32,
        frames: &[u8],
        at: usize,
        limits: Limits,
        origin: Origin<'_>,
    ) -> usize {
        let Self { slots, staged, stamps, assemblies, .. } = self;
        if !assemblies.is_empty() {
            return 0;
        }
        let Some(Slot::Open(open)) = slots.get_mut(alias as usize) else { return 0 };
        if open.style == Style::Latest || open.numbers.behind > 0 {
            return 0;
        }
        let behind = origin.offset.saturating_neg();
        if open.style == Style::Callback {
            let (before, chunk) = (open.stage.bytes, origin.chunk);
            let following = Following { alias, frames, at, chunk, limits, behind };
            let taken = open.call_for_small(&following, stamps);
            if before == 0 && open.stage.bytes > 0 {
                staged.push(alias);
            }
            return taken;
        }
        let Open { numbers: Numbers { sequence, granted, .. }, stage, .. } = &mut **open;
        let (mut rest, before) = (frames, stage.heads.len());
        if before == 0 {
            stage.begin(*sequence);
        }
        let mut sent = None;
        while let Some((next, stamp, payload)) = wire::split_small(rest, limits) {
            if next != alias || *sequence >= *granted {
                break;
            }
            // Of most no time went by since the one before.
            let sent = match sent.filter(|_| stamp == Stamp(0)) {
                Some(same) => same,
                None => *sent.insert(stamps.apply(stamp).shifted(behind)),
            };
            let start = at + frames.len() - rest.len() + wire::SMALL_HEAD;
            stage.heads.push(Head { sent, start: start as u32, end: (start + payload.len()) as u32 });
            stage.bytes += payload.len();
            *sequence += 1;
            rest = &rest[wire::SMALL_HEAD + payload.len()..];
        }
        if before == 0 && !stage.heads.is_empty() {
            staged.push(alias);
        }
        frames.len() - rest.len()
    }

    /// What is passed on has no room: the pair ends.
    #[cold]
    fn stall(&mut self, alias: u32, line: &Line) {
        if let Some(slot) = self.slots.get_mut(alias as usize) {
            *slot = Slot::Draining;
        }
        line.input(LineInput::Stalled { alias });
    }

    /// Delivers one large sample.
    pub(crate) fn large(
        &mut self,
        alias: u32,
        stamp: Stamp,
        bytes: Bytes,
        origin: Origin<'_>,
    ) -> Result<(), Reason> {
        let sent = self.stamps.apply(stamp).shifted(origin.offset.saturating_neg());
        if self.slot(alias, origin)?.numbers_mut().is_some_and(Numbers::is_again) {
            return Ok(());
        }
        self.deliver(alias, sent, bytes, origin)
    }

    /// Takes in a piece of a sample, and delivers that if it is whole.
    pub(crate) fn fragment(&mut self, fragment: &Fragment<'_>, origin: Origin<'_>) -> Result<(), Reason> {
        let Fragment { alias, first, left, .. } = *fragment;
        let sent = self.sent(first, origin);
        if first.is_none() {
            self.note_headless(alias, origin)?;
        }
        let Some(wanted) = self.wants_piece(alias, left, origin)? else { return Ok(()) };
        let taken = self.assemblies.take(origin.line.clock.now(), fragment, sent, wanted)?;
        self.deliver_whole(alias, taken, origin)
    }

    /// Memory for a piece to be read into, of which only the head came; `None` where it has to be looked at when all of it
    /// is there.
    pub(crate) fn lend(&mut self, head: &FragmentHead, origin: Origin<'_>) -> Result<Option<Lent>, Reason> {
        let slot = self.slot(head.alias, origin)?;
        match slot.numbers() {
            Some(numbers) if numbers.behind == 0 => slot.check_grant(head.alias)?,
            // Of what was here already nothing is taken, so that it needs no credit either.
            _ => return Ok(None),
        }
        Ok(self.assemblies.lend(head))
    }

    /// The piece for which memory was lent did not come whole.
    pub(crate) fn give_back(&mut self, alias: u32, lent: Lent) {
        self.assemblies.give_back(alias, lent);
    }

    /// As [`fragment`](Self::fragment), of a piece that lies where it belongs.
    pub(crate) fn piece(
        &mut self,
        (head, lent): (&FragmentHead, Lent),
        origin: Origin<'_>,
    ) -> Result<(), Reason> {
        let FragmentHead { alias, first, left, .. } = *head;
        let sent = self.sent(first, origin);
        let Some(wanted) = self.wants_piece(alias, left, origin)? else {
            self.assemblies.give_back(alias, lent);
            return Ok(());
        };
        let taken = self.assemblies.take_lent(origin.line.clock.now(), (head, lent), sent, wanted)?;
        self.deliver_whole(alias, taken, origin)
    }

    /// When a sample was sent that begins with this stamp.
    fn sent(&mut self, first: Option<Stamp>, origin: Origin<'_>) -> Option<Timestamp> {
        first.map(|stamp| self.stamps.apply(stamp).shifted(origin.offset.saturating_neg()))
    }

    /// Whether the sample is wanted of which a piece came, with `left` bytes to follow; `None` where it is not looked at.
    fn wants_piece(&mut self, alias: u32, left: u32, origin: Origin<'_>) -> Result<Option<bool>, Reason> {
        let slot = self.slot(alias, origin)?;
        if matches!(slot, Slot::Ignored) {
            return Ok(None);
        }
        let wanted = match slot.numbers_mut() {
            Some(numbers) if numbers.behind > 0 => {
                // A sample counts with its last piece.
                if left == 0 {
                    numbers.behind -= 1;
                }
                return Ok(None);
            }
            numbers => numbers.is_some(),
        };
        slot.check_grant(alias)?;
        Ok(Some(wanted))
    }

    fn deliver_whole(&mut self, alias: u32, whole: Option<Whole>, origin: Origin<'_>) -> Result<(), Reason> {
        let Some(Whole { sent, bytes }) = whole else { return Ok(()) };
        // What came before it under its alias.
        self.flush(origin.chunk);
        self.deliver(alias, sent, bytes, origin)
    }

    /// The alias ends: no sample of it may be unfinished.
    pub(crate) fn end(&mut self, alias: u32) -> Result<(), Reason> {
        self.count_end(alias);
        self.assemblies.check_none(alias)
    }

    fn deliver(
        &mut self,
        alias: u32,
        sent: Timestamp,
        bytes: Bytes,
        origin: Origin<'_>,
    ) -> Result<(), Reason> {
        match self.slot(alias, origin)? {
            Slot::Open(open) => {
                let sequence = open.numbers.sequence;
                open.numbers.sequence += 1;
                open.inlet.inbox.deliver(Run::whole(open.inlet.source.clone(), sequence, sent, bytes));
                Ok(())
            }
            Slot::Relay(relay) => {
                let sample = Outgoing { payload: &bytes, shared: Some(&bytes) };
                if !relay.pass(alias, sent, sample)? {
                    self.stall(alias, origin.line);
                }
                Ok(())
            }
            #[cfg(feature = "lz4")]
            Slot::Packed(_) => self.packed_large(alias, sent, &bytes, origin).unwrap_or(Ok(())),
            Slot::Free | Slot::Closed | Slot::Draining | Slot::Ignored => Ok(()),
        }
    }

    pub(crate) fn time(&mut self, time: Timestamp) {
        self.stamps.reset(time);
    }

    /// Hands what was staged, which lies in this chunk, to its interests.
    #[inline]
    pub(crate) fn flush(&mut self, chunk: &Arc<Buffer>) {
        while let Some(alias) = self.staged.pop() {
            match self.slots.get_mut(alias as usize) {
                Some(Slot::Open(open)) => open.flush(chunk, &self.pool),
                // What was staged may have gone ahead of one that was not.
                #[cfg(feature = "lz4")]
                Some(Slot::Packed(packed)) if !packed.open.stage.heads.is_empty() => {
                    packed.open.flush(chunk, &self.pool);
                }
                _ => {}
            }
        }
    }
}

/// How many emptied stages a line keeps for the next chunks, and how large each may be.
const STAGES_KEPT: usize = 8;
const STAGE_BYTES: usize = 128 * 1024;

/// How many buffers for large payloads a line keeps, and how many of the largest.
const LARGE_KEPT: usize = 64;
const LARGEST_KEPT: usize = 4;

/// How many buffers for unpacked payloads a line keeps.
#[cfg(feature = "lz4")]
const UNPACKED_KEPT: usize = 4;

#[cfg(test)]
mod tests;
