//! Aliases whose samples go to an interest of this endpoint.

use super::numbers::{Numbers, not_granted};
use crate::bytes::{Buffer, Payload, Pool};
use crate::delivery::Delivery;
use crate::flow::run::{Content, Head, Run, Taken};
use crate::reason::Reason;
use crate::runtime::line::Inlet;
use std::sync::Arc;

/// An alias that stands for an interest.
pub(super) struct Open {
    pub(super) inlet: Inlet,
    pub(super) style: Style,
    pub(super) numbers: Numbers,
    pub(super) stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Queue,
    Latest,
    Callback,
}

/// Samples of one alias in one chunk.
#[derive(Default)]
pub(super) struct Stage {
    first: u64,
    /// Where in the chunk they lie. Of a `latest` interest only the newest is here.
    pub(super) heads: Vec<Head>,
    /// How many bytes they have in all.
    pub(super) bytes: usize,
    /// How many samples the last chunk held; for a callback, how many bytes of samples that followed each other.
    pub(super) usual: usize,
    /// How many samples of a `latest` interest others in the chunk replaced.
    skipped: u64,
}

impl Stage {
    #[inline]
    pub(super) fn begin(&mut self, sequence: u64) {
        self.first = sequence;
        self.bytes = 0;
        self.heads.reserve(self.usual.min(HEADS_AHEAD));
    }
}

impl Open {
    pub(super) fn new(inlet: Inlet) -> Self {
        let style = if inlet.inbox.is_callback() {
            Style::Callback
        } else if inlet.inbox.delivery == Delivery::Latest {
            Style::Latest
        } else {
            Style::Queue
        };
        Self { inlet, style, numbers: Numbers::default(), stage: Stage::default() }
    }

    #[inline]
    pub(super) fn check_grant(&mut self, alias: u32) -> Result<(), Reason> {
        let numbers = &mut self.numbers;
        if numbers.sequence < numbers.granted {
            return Ok(());
        }
        numbers.granted = self.inlet.source.granted();
        if numbers.sequence < numbers.granted {
            return Ok(());
        }
        Err(not_granted(alias, numbers))
    }

    /// Puts one sample that was granted into the stage, or calls the callback; true if it is the first
    /// staged.
    pub(super) fn put(&mut self, head: Head, payload: &[u8]) -> bool {
        let sequence = self.numbers.sequence;
        self.numbers.sequence += 1;
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
    pub(super) fn flush(&mut self, chunk: &Arc<Buffer>, pool: &Arc<Pool>) {
        let Inlet { inbox, source } = &self.inlet;
        let stage = &mut self.stage;
        if self.style == Style::Callback {
            stage.usual = std::mem::take(&mut stage.bytes);
            return;
        }
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

/// For how many samples of the next chunk room is made at once.
const HEADS_AHEAD: usize = 4096;
