//! The aliases a reader knows, and the samples of a chunk sorted by them.

use super::line::{Change, Inlet, Line};
use crate::bytes::{Buffer, Bytes, Payload, Pool};
use crate::delivery::Delivery;
use crate::event::LostAt;
use crate::flow::run::{Content, Head, Run, Taken};
use crate::reason::{Reason, ReasonCode};
use crate::time::Timestamp;
use crate::wire::{Stamp, StampReader};
use std::sync::Arc;

/// The receiving side of all aliases of one line.
pub(crate) struct Inlets {
    line: Arc<Line>,
    slots: Vec<Slot>,
    /// Aliases with samples staged.
    staged: Vec<u32>,
    stamps: StampReader,
    pool: Arc<Pool>,
}

enum Slot {
    Free,
    Draining,
    Open(Box<Open>),
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
    bytes: Vec<u8>,
    heads: Vec<Head>,
    /// How many samples the last chunk held.
    usual: usize,
    /// How many samples of a `latest` interest others in the chunk replaced.
    skipped: u64,
}

impl Stage {
    fn begin(&mut self, sequence: u64, pool: &Arc<Pool>) {
        self.first = sequence;
        self.bytes = pool.take();
        self.bytes.clear();
        self.heads.reserve(self.usual.min(HEADS_AHEAD));
    }
}

impl Inlets {
    pub(crate) fn new(line: Arc<Line>) -> Self {
        Self {
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
                Change::Drain(alias) => (alias, Slot::Draining),
                Change::Close(alias) => (alias, Slot::Free),
            };
            let place = alias as usize;
            if self.slots.len() <= place {
                self.slots.resize_with(place + 1, || Slot::Free);
            }
            self.slots[place] = slot;
        }
    }

    /// The slot of an alias a sample may come under; `None` where samples are drained.
    #[inline]
    fn open(&mut self, alias: u32) -> Result<Option<&mut Open>, Reason> {
        let place = alias as usize;
        if matches!(self.slots.get(place), None | Some(Slot::Free)) && self.line.has_changes() {
            self.flush();
            self.apply_changes();
        }
        match self.slots.get_mut(place) {
            Some(Slot::Open(open)) => Ok(Some(open)),
            Some(Slot::Draining) => Ok(None),
            None | Some(Slot::Free) => {
                let text = format!("a sample came under alias {alias}, which was never assigned");
                Err(Reason::new(ReasonCode::UnknownAlias, text))
            }
        }
    }

    /// Checks that a sample may come under this alias, before memory is taken for it.
    pub(crate) fn expect(&mut self, alias: u32) -> Result<(), Reason> {
        match self.open(alias)? {
            Some(open) => open.check_grant(alias),
            None => Ok(()),
        }
    }

    #[inline]
    pub(crate) fn message(
        &mut self,
        alias: u32,
        stamp: Stamp,
        payload: &[u8],
        offset: i64,
    ) -> Result<(), Reason> {
        let sent = self.stamps.apply(stamp).shifted(offset.saturating_neg());
        let place = alias as usize;
        // The look-up of nearly every sample; anything but an open slot takes the slow way.
        let open = match self.slots.get_mut(place) {
            Some(Slot::Open(open)) => open,
            _ => match self.open(alias)? {
                Some(_) => return self.message_again(alias, sent, payload),
                None => return Ok(()),
            },
        };
        if open.put(alias, sent, payload, &self.pool)? {
            self.staged.push(alias);
        }
        Ok(())
    }

    #[cold]
    fn message_again(&mut self, alias: u32, sent: Timestamp, payload: &[u8]) -> Result<(), Reason> {
        if let Some(Slot::Open(open)) = self.slots.get_mut(alias as usize) {
            if open.put(alias, sent, payload, &self.pool)? {
                self.staged.push(alias);
            }
        }
        Ok(())
    }

    /// Delivers one large sample.
    pub(crate) fn large(
        &mut self,
        alias: u32,
        stamp: Stamp,
        bytes: Bytes,
        offset: i64,
    ) -> Result<(), Reason> {
        let sent = self.stamps.apply(stamp).shifted(offset.saturating_neg());
        if let Some(open) = self.open(alias)? {
            let sequence = open.sequence;
            open.sequence += 1;
            open.inlet.inbox.deliver(Run::whole(open.inlet.source.clone(), sequence, sent, bytes));
        }
        Ok(())
    }

    pub(crate) fn time(&mut self, time: Timestamp) {
        self.stamps.reset(time);
    }

    /// Samples were lost before they came here: the sender dropped them, or the way did.
    pub(crate) fn gap(&mut self, alias: u32, count: u64, at: LostAt) -> Result<(), Reason> {
        self.flush();
        if let Some(open) = self.open(alias)? {
            let sequence = open.sequence.checked_add(count).filter(|sequence| *sequence <= LAST_SEQUENCE);
            let Some(sequence) = sequence else {
                let text = format!("a gap of {count} samples under alias {alias} goes past the last number");
                return Err(Reason::new(ReasonCode::Malformed, text));
            };
            open.sequence = sequence;
            open.inlet.source.note_lost_at(count, at);
        }
        Ok(())
    }

    /// Hands what was staged to its interests.
    #[inline]
    pub(crate) fn flush(&mut self) {
        while let Some(alias) = self.staged.pop() {
            if let Some(Slot::Open(open)) = self.slots.get_mut(alias as usize) {
                open.flush(&self.pool);
            }
        }
    }
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
        let text =
            format!("sample {} of alias {alias} came, but {} were granted", self.sequence, self.granted);
        Err(Reason::new(ReasonCode::NoCredit, text))
    }

    /// Puts one sample into the stage, or calls the callback; true if it is the first staged.
    #[inline]
    fn put(&mut self, alias: u32, sent: Timestamp, payload: &[u8], pool: &Arc<Pool>) -> Result<bool, Reason> {
        self.check_grant(alias)?;
        let sequence = self.sequence;
        self.sequence += 1;
        let stage = &mut self.stage;
        let first = stage.heads.is_empty();
        match self.style {
            Style::Queue | Style::Latest if first => stage.begin(sequence, pool),
            Style::Queue => {}
            Style::Latest => {
                stage.heads.clear();
                stage.bytes.clear();
                stage.first = sequence;
                stage.skipped += 1;
            }
            Style::Callback => {
                let content = Content::Encoded(Payload::new(payload));
                self.inlet.inbox.call(Taken { source: &self.inlet.source, sequence, sent, content });
                return Ok(false);
            }
        }
        stage.bytes.extend_from_slice(payload);
        stage.heads.push(Head { sent, end: stage.bytes.len() as u32 });
        Ok(first)
    }

    fn flush(&mut self, pool: &Arc<Pool>) {
        let Inlet { inbox, source } = &self.inlet;
        let stage = &mut self.stage;
        // What is not needed until the next sample is not kept: there may be thousands of aliases.
        let bytes = std::mem::take(&mut stage.bytes);
        if self.style == Style::Latest {
            let skipped = std::mem::take(&mut stage.skipped);
            if let Some(head) = stage.heads.pop() {
                let content = Content::Encoded(Payload::new(&bytes));
                inbox.replace(&Taken { source, sequence: stage.first, sent: head.sent, content }, skipped);
            }
            return pool.give(bytes);
        }
        let heads = std::mem::take(&mut stage.heads);
        stage.usual = heads.len();
        inbox.deliver(Run::encoded(source.clone(), stage.first, Buffer::fitting(bytes, pool), heads));
    }
}

/// How many emptied stages a line keeps for the next chunks, and how large each may be.
const STAGES_KEPT: usize = 8;
const STAGE_BYTES: usize = 128 * 1024;

/// The highest number a sample can have. Nobody counts so far; a peer that says so is wrong.
const LAST_SEQUENCE: u64 = 1 << 62;

/// For how many samples of the next chunk room is made at once.
const HEADS_AHEAD: usize = 4096;
