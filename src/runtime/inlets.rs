//! The aliases a reader knows, and the samples of a chunk sorted by them.

use super::input::LineInput;
use super::line::{Change, Inlet, Line, Passage};
use crate::bytes::{Buffer, Bytes, Payload, Pool};
use crate::delivery::Delivery;
use crate::event::LostAt;
use crate::flow::assemblies::{Assemblies, Whole};
use crate::flow::batch::Batch;
use crate::flow::lane::Missing;
use crate::flow::outbox::Outgoing;
use crate::flow::run::{Content, Head, Run, Taken};
use crate::reason::{Reason, ReasonCode};
use crate::time::Timestamp;
use crate::wire::fragment::Fragment;
use crate::wire::{self, Limits, Stamp, StampReader};
use std::sync::Arc;

#[cfg(feature = "lz4")]
mod packed;

/// The receiving side of all aliases of one line.
pub(crate) struct Inlets {
    line: Arc<Line>,
    slots: Vec<Slot>,
    /// Aliases with samples staged.
    staged: Vec<u32>,
    stamps: StampReader,
    pool: Arc<Pool>,
    assemblies: Assemblies,
    /// Buffers that payloads are unpacked into.
    #[cfg(feature = "lz4")]
    unpacked: Arc<Pool>,
    /// The largest payload that is taken.
    #[cfg(feature = "lz4")]
    largest: usize,
}

enum Slot {
    Free,
    Draining,
    Open(Box<Open>),
    Relay(Box<Relay>),
    #[cfg(feature = "lz4")]
    Packed(Box<packed::PackedOpen>),
}

struct Open {
    inlet: Inlet,
    style: Style,
    /// The number of the next sample.
    sequence: u64,
    /// Numbers below this were granted.
    granted: u64,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Queue,
    Latest,
    Callback,
}

/// Samples of one alias in one chunk.
#[derive(Default)]
struct Stage {
    first: u64,
    /// Where in the chunk they lie. Of a `latest` interest only the newest is here.
    heads: Vec<Head>,
    /// How many bytes they have in all.
    bytes: usize,
    /// How many samples the last chunk held.
    usual: usize,
    /// How many samples of a `latest` interest others in the chunk replaced.
    skipped: u64,
}

impl Stage {
    fn begin(&mut self, sequence: u64) {
        self.first = sequence;
        self.bytes = 0;
        self.heads.reserve(self.usual.min(HEADS_AHEAD));
    }
}

impl Inlets {
    /// Samples come in frames of at most `max_frame` bytes. `large`: where buffers of large ones come from.
    pub(crate) fn new(line: Arc<Line>, max_frame: u32, large: Arc<Pool>) -> Self {
        #[cfg(feature = "lz4")]
        let largest = wire::message::max_payload(max_frame).saturating_sub(wire::packed::OVERHEAD);
        Self {
            assemblies: Assemblies::new(max_frame, large),
            #[cfg(feature = "lz4")]
            unpacked: Pool::new(UNPACKED_KEPT, UNPACKED_KEPT * largest),
            #[cfg(feature = "lz4")]
            largest,
            line,
            slots: Vec::new(),
            staged: Vec::new(),
            stamps: StampReader::default(),
            pool: Pool::new(STAGES_KEPT, STAGES_KEPT * STAGE_BYTES),
        }
    }

    /// Takes over what the dispatcher changed.
    #[cold]
    pub(crate) fn apply_changes(&mut self) {
        for change in self.line.take_changes() {
            let (alias, slot) = match change {
                Change::Open(alias, inlet) => (alias, Slot::Open(Box::new(Open::new(inlet)))),
                #[cfg(feature = "lz4")]
                Change::OpenPacked { alias, inlet, relayed } => {
                    (alias, Slot::Packed(Box::new(packed::PackedOpen::new(inlet, relayed))))
                }
                Change::Relay(alias, passage) => (alias, Slot::Relay(Box::new(Relay::new(passage)))),
                Change::Drain(alias) => (alias, Slot::Draining),
                Change::Close(alias) => {
                    self.assemblies.forget(alias);
                    (alias, Slot::Free)
                }
            };
            let place = alias as usize;
            if self.slots.len() <= place {
                self.slots.resize_with(place + 1, || Slot::Free);
            }
            self.slots[place] = slot;
        }
    }

    /// The slot of an alias a sample may come under.
    #[inline]
    fn slot(&mut self, alias: u32, chunk: &Arc<Buffer>) -> Result<&mut Slot, Reason> {
        let place = alias as usize;
        if matches!(self.slots.get(place), None | Some(Slot::Free)) && self.line.has_changes() {
            self.flush(chunk);
            self.apply_changes();
        }
        match self.slots.get_mut(place) {
            Some(slot) if !matches!(slot, Slot::Free) => Ok(slot),
            _ => {
                let text = format!("a sample came under alias {alias}, which was never assigned");
                Err(Reason::new(ReasonCode::UnknownAlias, text))
            }
        }
    }

    /// Checks that a sample may come under this alias, before memory is taken for it.
    pub(crate) fn expect(&mut self, alias: u32, chunk: &Arc<Buffer>) -> Result<(), Reason> {
        self.assemblies.check_none(alias)?;
        match self.slot(alias, chunk)? {
            Slot::Open(open) => open.check_grant(alias),
            #[cfg(feature = "lz4")]
            Slot::Packed(packed) => packed.open.check_grant(alias),
            Slot::Relay(relay) => relay.check_grant(alias),
            Slot::Draining | Slot::Free => Ok(()),
        }
    }

    /// Takes in a message whose payload ends at `end` of the chunk.
    pub(crate) fn message(
        &mut self,
        alias: u32,
        stamp: Stamp,
        payload: &[u8],
        chunk: &Arc<Buffer>,
        end: usize,
        offset: i64,
    ) -> Result<(), Reason> {
        let sent = self.stamps.apply(stamp).shifted(offset.saturating_neg());
        if !self.assemblies.is_empty() {
            self.assemblies.check_none(alias)?;
        }
        match self.slot(alias, chunk)? {
            Slot::Open(open) => {
                open.check_grant(alias)?;
                let head = Head { sent, start: (end - payload.len()) as u32, end: end as u32 };
                if open.put(head, payload) {
                    self.staged.push(alias);
                }
            }
            Slot::Relay(relay) => {
                if !relay.pass(alias, sent, Outgoing { payload, shared: None })? {
                    self.stall(alias);
                }
            }
            #[cfg(feature = "lz4")]
            Slot::Packed(_) => {
                return self.packed_message(alias, sent, payload, (chunk, end)).unwrap_or(Ok(()));
            }
            Slot::Draining | Slot::Free => {}
        }
        Ok(())
    }

    /// Takes in small messages under `alias`, for a mailbox, as long as they follow each other in `frames` and
    /// are granted. Nearly all of a busy stream is dealt with in this loop. Returns how many bytes of the
    /// chunk they were, from `at` on.
    #[inline]
    pub(crate) fn run_of_small(
        &mut self,
        alias: u32,
        frames: &[u8],
        at: usize,
        limits: Limits,
        offset: i64,
    ) -> usize {
        let Self { slots, staged, stamps, assemblies, .. } = self;
        if !assemblies.is_empty() {
            return 0;
        }
        let Some(Slot::Open(open)) = slots.get_mut(alias as usize) else { return 0 };
        if open.style != Style::Queue {
            return 0;
        }
        let Open { sequence, granted, stage, .. } = &mut **open;
        let (mut rest, before) = (frames, stage.heads.len());
        if before == 0 {
            stage.begin(*sequence);
        }
        let (behind, mut sent) = (offset.saturating_neg(), None);
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
    fn stall(&mut self, alias: u32) {
        if let Some(slot) = self.slots.get_mut(alias as usize) {
            *slot = Slot::Draining;
        }
        self.line.input(LineInput::Stalled { alias });
    }

    /// Delivers one large sample.
    pub(crate) fn large(
        &mut self,
        alias: u32,
        stamp: Stamp,
        bytes: Bytes,
        chunk: &Arc<Buffer>,
        offset: i64,
    ) -> Result<(), Reason> {
        let sent = self.stamps.apply(stamp).shifted(offset.saturating_neg());
        self.deliver(alias, sent, bytes, chunk)
    }

    /// Takes in a piece of a sample, and delivers that if it is whole.
    pub(crate) fn fragment(
        &mut self,
        fragment: &Fragment<'_>,
        chunk: &Arc<Buffer>,
        offset: i64,
    ) -> Result<(), Reason> {
        let alias = fragment.alias;
        let sent = fragment.first.map(|stamp| self.stamps.apply(stamp).shifted(offset.saturating_neg()));
        let wanted = match self.slot(alias, chunk)? {
            Slot::Open(open) => open.check_grant(alias).map(|()| true)?,
            #[cfg(feature = "lz4")]
            Slot::Packed(packed) => packed.open.check_grant(alias).map(|()| true)?,
            Slot::Relay(relay) => relay.check_grant(alias).map(|()| true)?,
            Slot::Draining | Slot::Free => false,
        };
        match self.assemblies.take(self.line.clock.now(), fragment, sent, wanted)? {
            Some(Whole { sent, bytes }) => {
                // What came before it under its alias.
                self.flush(chunk);
                self.deliver(alias, sent, bytes, chunk)
            }
            None => Ok(()),
        }
    }

    /// The alias ends: no sample of it may be unfinished.
    pub(crate) fn end(&self, alias: u32) -> Result<(), Reason> {
        self.assemblies.check_none(alias)
    }

    fn deliver(
        &mut self,
        alias: u32,
        sent: Timestamp,
        bytes: Bytes,
        chunk: &Arc<Buffer>,
    ) -> Result<(), Reason> {
        match self.slot(alias, chunk)? {
            Slot::Open(open) => {
                let sequence = open.sequence;
                open.sequence += 1;
                open.inlet.inbox.deliver(Run::whole(open.inlet.source.clone(), sequence, sent, bytes));
                Ok(())
            }
            Slot::Relay(relay) => {
                let sample = Outgoing { payload: &bytes, shared: Some(&bytes) };
                if !relay.pass(alias, sent, sample)? {
                    self.stall(alias);
                }
                Ok(())
            }
            #[cfg(feature = "lz4")]
            Slot::Packed(_) => self.packed_large(alias, sent, &bytes, chunk).unwrap_or(Ok(())),
            Slot::Draining | Slot::Free => Ok(()),
        }
    }

    pub(crate) fn time(&mut self, time: Timestamp) {
        self.stamps.reset(time);
    }

    /// Samples were lost before they came here: the sender dropped them, or the way did.
    pub(crate) fn gap(
        &mut self,
        alias: u32,
        count: u64,
        at: LostAt,
        chunk: &Arc<Buffer>,
    ) -> Result<(), Reason> {
        self.flush(chunk);
        if at == LostAt::OnTheWay {
            self.assemblies.check_none(alias)?;
        } else {
            // A sample begun and given up is the first of those.
            self.assemblies.forget(alias);
        }
        let slot = self.slot(alias, chunk)?;
        let sequence = match slot {
            Slot::Open(open) => &mut open.sequence,
            #[cfg(feature = "lz4")]
            Slot::Packed(packed) => &mut packed.open.sequence,
            Slot::Relay(relay) => &mut relay.sequence,
            Slot::Draining | Slot::Free => return Ok(()),
        };
        let next = sequence.checked_add(count).filter(|next| *next <= LAST_SEQUENCE);
        let Some(next) = next else {
            let text = format!("a gap of {count} samples under alias {alias} goes past the last number");
            return Err(Reason::new(ReasonCode::Malformed, text));
        };
        *sequence = next;
        match slot {
            Slot::Open(open) => {
                let source = &open.inlet.source;
                source.note_lost_at(count, at);
                source.skip(count);
                if source.set_cut_off(false) {
                    self.line.input(LineInput::TakesAgain { alias, missed: count });
                }
            }
            #[cfg(feature = "lz4")]
            Slot::Packed(packed) => {
                let source = &packed.open.inlet.source;
                source.note_lost_at(count, at);
                source.skip(count);
                if source.set_cut_off(false) {
                    self.line.input(LineInput::TakesAgain { alias, missed: count });
                }
            }
            Slot::Relay(relay) => relay.pass_missing(count, at),
            Slot::Draining | Slot::Free => {}
        }
        Ok(())
    }

    /// The intent passes its interest over from now on, until that takes again.
    pub(crate) fn stalled(&mut self, alias: u32, untaken: u64, chunk: &Arc<Buffer>) -> Result<(), Reason> {
        match self.slot(alias, chunk)? {
            Slot::Open(open) => {
                if open.inlet.source.set_cut_off(true) {
                    self.line.input(LineInput::CutOff { alias, untaken });
                }
            }
            #[cfg(feature = "lz4")]
            Slot::Packed(packed) => {
                if packed.open.inlet.source.set_cut_off(true) {
                    self.line.input(LineInput::CutOff { alias, untaken });
                }
            }
            Slot::Relay(relay) => {
                let Passage { to, alias, feed, .. } = &relay.passage;
                to.forward_stalled((*alias, feed), untaken);
            }
            Slot::Draining | Slot::Free => {}
        }
        Ok(())
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

/// Samples of one alias that are passed on.
struct Relay {
    passage: Passage,
    /// The number of the next sample.
    sequence: u64,
    /// Numbers below this were granted.
    granted: u64,
    /// Room for an inline write.
    spare: Batch,
}

impl Relay {
    fn new(passage: Passage) -> Self {
        Self { passage, sequence: 0, granted: 0, spare: Batch::default() }
    }

    fn check_grant(&mut self, alias: u32) -> Result<(), Reason> {
        if self.sequence >= self.granted {
            self.granted = self.passage.feed.granted();
            if self.sequence >= self.granted {
                return Err(not_granted(alias, self.sequence, self.granted));
            }
        }
        Ok(())
    }

    fn pass(&mut self, alias: u32, sent: Timestamp, sample: Outgoing<'_>) -> Result<bool, Reason> {
        self.check_grant(alias)?;
        if self.passage.packed {
            // The reader would blame this endpoint.
            if let Err(fault) = wire::packed::look(sample.payload) {
                let text = format!("a sample of alias {alias}: {fault}");
                return Err(Reason::new(ReasonCode::Malformed, text));
            }
        }
        self.sequence += 1;
        let Passage { to, alias, feed, .. } = &self.passage;
        Ok(to.forward((*alias, feed), sample, sent, &mut self.spare))
    }

    fn pass_missing(&self, count: u64, at: LostAt) {
        let missing = match at {
            LostAt::OnTheWay => Missing { gap: 0, lost: count },
            LostAt::Here | LostAt::There => Missing { gap: count, lost: 0 },
        };
        let Passage { to, alias, feed, .. } = &self.passage;
        to.forward_missing((*alias, feed), missing);
    }
}

fn not_granted(alias: u32, sequence: u64, granted: u64) -> Reason {
    let text = format!("sample {sequence} of alias {alias} came, but {granted} were granted");
    Reason::new(ReasonCode::NoCredit, text)
}

impl Open {
    fn new(inlet: Inlet) -> Self {
        let style = if inlet.inbox.is_callback() {
            Style::Callback
        } else if inlet.inbox.delivery == Delivery::Latest {
            Style::Latest
        } else {
            Style::Queue
        };
        Self { inlet, style, sequence: 0, granted: 0, stage: Stage::default() }
    }

    #[inline]
    fn check_grant(&mut self, alias: u32) -> Result<(), Reason> {
        if self.sequence < self.granted {
            return Ok(());
        }
        self.granted = self.inlet.source.granted();
        if self.sequence < self.granted {
            return Ok(());
        }
        Err(not_granted(alias, self.sequence, self.granted))
    }

    /// Puts one sample that was granted into the stage, or calls the callback; true if it is the first
    /// staged.
    fn put(&mut self, head: Head, payload: &[u8]) -> bool {
        let sequence = self.sequence;
        self.sequence += 1;
        let stage = &mut self.stage;
        let first = stage.heads.is_empty();
        match self.style {
            Style::Queue | Style::Latest if first => stage.begin(sequence),
            Style::Queue => {}
            Style::Latest => {
                stage.heads.clear();
                stage.first = sequence;
                stage.skipped += 1;
            }
            Style::Callback => {
                let (source, sent) = (&self.inlet.source, head.sent);
                let content = Content::Encoded(Payload::new(payload));
                self.inlet.inbox.call(Taken { source, sequence, sent, content });
                return false;
            }
        }
        stage.bytes += payload.len();
        stage.heads.push(head);
        first
    }

    /// Samples that are a good part of their chunk are read from it; others are copied, so that what waits
    /// long keeps little memory.
    fn flush(&mut self, chunk: &Arc<Buffer>, pool: &Arc<Pool>) {
        let Inlet { inbox, source } = &self.inlet;
        let stage = &mut self.stage;
        if self.style == Style::Latest {
            let skipped = std::mem::take(&mut stage.skipped);
            if let Some(head) = stage.heads.pop() {
                let Some(payload) = Payload::part(chunk, head.start, head.end) else { return };
                let content = Content::Encoded(Payload::new(payload.as_slice()));
                inbox.replace(&Taken { source, sequence: stage.first, sent: head.sent, content }, skipped);
            }
            return;
        }
        // What is not needed until the next sample is not kept: there may be thousands of aliases.
        let mut heads = std::mem::take(&mut stage.heads);
        stage.usual = heads.len();
        let buffer = if chunk.suits(stage.bytes) {
            Arc::clone(chunk)
        } else {
            Arc::new(copied(chunk, &mut heads, stage.bytes, pool))
        };
        inbox.deliver(Run::encoded(source.clone(), stage.first, buffer, heads));
    }
}

/// A buffer with these samples of a chunk alone, of `bytes` bytes in all; the heads are changed to say where
/// they lie in it.
fn copied(chunk: &Buffer, heads: &mut [Head], bytes: usize, pool: &Arc<Pool>) -> Buffer {
    let mut buffer = Buffer::with_room(bytes, pool);
    let into = buffer.bytes_mut();
    for head in heads {
        let payload = &chunk.bytes()[head.start as usize..head.end as usize];
        head.start = into.len() as u32;
        into.extend_from_slice(payload);
        head.end = into.len() as u32;
    }
    buffer
}

/// How many emptied stages a line keeps for the next chunks, and how large each may be.
const STAGES_KEPT: usize = 8;
const STAGE_BYTES: usize = 128 * 1024;

/// How many buffers for unpacked payloads a line keeps.
#[cfg(feature = "lz4")]
const UNPACKED_KEPT: usize = 4;

/// The highest number a sample can have. Nobody counts so far; a peer that says so is wrong.
const LAST_SEQUENCE: u64 = 1 << 62;

/// For how many samples of the next chunk room is made at once.
const HEADS_AHEAD: usize = 4096;
