//! Small samples for a callback that follow each other in a chunk.
//!
//! The callback is entered once for all of them, which are cut in a short loop. So 18.7 M samples of 16 B a second came to a callback, and
//! 16.3 M of 64 B, where each entered it by itself 8.5 M and 6.4 M (medians of 3, in turn, each process on a processor of its own).

use super::open::Open;
use crate::bytes::{Buffer, Payload};
use crate::flow::run::{Content, Taken};
use crate::time::Timestamp;
use crate::wire::{self, Limits, Stamp, StampReader};
use std::sync::Arc;

/// Where samples lie that may follow each other.
pub(super) struct Following<'a> {
    pub(super) alias: u32,
    pub(super) frames: &'a [u8],
    /// Where `frames` begins in the chunk.
    pub(super) at: usize,
    pub(super) chunk: &'a Arc<Buffer>,
    pub(super) limits: Limits,
    /// What is added to the times of the other side.
    pub(super) behind: i64,
}

impl Open {
    /// Calls the callback for those that are granted; it is entered once for all of them. Returns how many bytes they were.
    ///
    /// Payloads share the chunk where such samples were a good part of the last one. Else they are copied, so that what is kept long
    /// keeps little memory.
    pub(super) fn call_for_small(&mut self, following: &Following<'_>, stamps: &mut StampReader) -> usize {
        let Following { alias, frames, at, chunk, limits, behind } = *following;
        let shares = chunk.suits(self.stage.usual);
        let (mut rest, mut calls, mut last) = (frames, None, None);
        while let Some((next, stamp, payload)) = wire::split_small(rest, limits) {
            if next != alias || self.numbers.sequence >= self.numbers.granted {
                break;
            }
            if calls.is_none() {
                calls = self.inlet.inbox.enter();
            }
            let Some(calls) = &mut calls else { break };
            let sent: Timestamp = match last.filter(|_| stamp == Stamp(0)) {
                Some(same) => same,
                None => *last.insert(stamps.apply(stamp).shifted(behind)),
            };
            let sequence = self.numbers.sequence;
            self.numbers.sequence += 1;
            let start = at + frames.len() - rest.len() + wire::SMALL_HEAD;
            rest = &rest[wire::SMALL_HEAD + payload.len()..];
            self.stage.bytes += payload.len();
            let shared = shares.then(|| Payload::part(chunk, start as u32, (start + payload.len()) as u32));
            let payload = shared.flatten().unwrap_or(Payload::new(payload));
            calls.call(Taken {
                source: &self.inlet.source,
                sequence,
                sent,
                content: Content::Encoded(payload),
            });
        }
        frames.len() - rest.len()
    }
}
