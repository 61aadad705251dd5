//! Samples of one source that arrived together.

use super::Shared;
use crate::bytes::{Buffer, Bytes, Payload};
use crate::time::Timestamp;
use std::collections::VecDeque;
use std::sync::Arc;

/// Consecutive samples of one source, read once from the front.
///
/// A chunk read from a socket holds many small samples; they are moved as one run, in one buffer, so
/// that the price of a lock and a wake-up is paid once per chunk.
pub(crate) struct Run<S> {
    source: S,
    /// The sequence number of the next sample.
    sequence: u64,
    body: Body,
}

enum Body {
    Encoded { buffer: Arc<Buffer>, heads: Vec<Head>, next: usize },
    Whole { sent: Timestamp, bytes: Bytes, left: bool },
    Part { sent: Timestamp, buffer: Arc<Buffer>, start: u32, end: u32, left: bool },
    Local(VecDeque<(Timestamp, Shared)>),
}

/// One encoded sample of a run: when it was sent and where its bytes lie.
#[derive(Clone, Copy)]
pub(crate) struct Head {
    pub(crate) sent: Timestamp,
    pub(crate) start: u32,
    pub(crate) end: u32,
}

/// One sample taken from a run.
pub(crate) struct Taken<'a, S> {
    pub(crate) source: &'a S,
    pub(crate) sequence: u64,
    pub(crate) sent: Timestamp,
    pub(crate) content: Content<'a>,
}

impl<S> Taken<'_, S> {
    /// How many bytes came for it; none where it was not encoded.
    #[inline]
    pub(crate) fn bytes(&self) -> usize {
        match &self.content {
            Content::Encoded(payload) => payload.as_slice().len(),
            Content::Local(_) => 0,
        }
    }
}

/// What a sample holds: bytes to decode, or the message itself.
pub(crate) enum Content<'a> {
    Encoded(Payload<'a>),
    Local(Shared),
}

impl<S> Run<S> {
    /// Small samples in one buffer; `heads` say where each lies, in their order.
    pub(crate) fn encoded(source: S, first: u64, buffer: Arc<Buffer>, heads: Vec<Head>) -> Self {
        let body = Body::Encoded { buffer, heads, next: 0 };
        Self { source, sequence: first, body }
    }

    /// One large sample in a buffer of its own.
    pub(crate) fn whole(source: S, sequence: u64, sent: Timestamp, bytes: Bytes) -> Self {
        Self { source, sequence, body: Body::Whole { sent, bytes, left: true } }
    }

    /// One sample of this process.
    pub(crate) fn local(source: S, sequence: u64, sent: Timestamp, message: Shared) -> Self {
        Self { source, sequence, body: Body::Local(VecDeque::from([(sent, message)])) }
    }

    /// Makes a run of samples of this process that was read to its end one with this sample, which takes over
    /// its memory; else gives the sample back.
    pub(crate) fn restart(
        &mut self,
        source: &S,
        sequence: u64,
        sent: Timestamp,
        message: Shared,
    ) -> Option<Shared>
    where
        S: Clone + PartialEq,
    {
        match &mut self.body {
            Body::Local(items) if items.is_empty() => {
                items.push_back((sent, message));
                self.sequence = sequence;
                if self.source != *source {
                    self.source = source.clone();
                }
                None
            }
            _ => Some(message),
        }
    }

    /// Whether it is worth keeping, read to its end, for [`restart`](Self::restart).
    pub(crate) fn is_reusable(&self) -> bool {
        matches!(&self.body, Body::Local(items) if items.is_empty() && items.capacity() <= LOCAL_KEPT)
    }

    /// Appends a sample of this process that follows on this run; else gives it back.
    #[inline]
    pub(crate) fn push_local(
        &mut self,
        source: &S,
        sequence: u64,
        sent: Timestamp,
        message: Shared,
    ) -> Option<Shared>
    where
        S: PartialEq,
    {
        match &mut self.body {
            Body::Local(items)
                if self.source == *source && self.sequence + items.len() as u64 == sequence =>
            {
                items.push_back((sent, message));
                None
            }
            _ => Some(message),
        }
    }

    /// How many samples are left.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        match &self.body {
            Body::Encoded { heads, next, .. } => heads.len() - next,
            Body::Whole { left, .. } | Body::Part { left, .. } => usize::from(*left),
            Body::Local(items) => items.len(),
        }
    }

    /// Takes the next sample.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Option<Taken<'_, S>> {
        let (sent, content) = match &mut self.body {
            Body::Encoded { buffer, heads, next } => {
                let head = *heads.get(*next)?;
                let payload = Payload::part(buffer, head.start, head.end)?;
                *next += 1;
                (head.sent, Content::Encoded(payload))
            }
            Body::Whole { sent, bytes, left } => {
                if !std::mem::take(left) {
                    return None;
                }
                (*sent, Content::Encoded(Payload::of(bytes)))
            }
            Body::Part { sent, buffer, start, end, left } => {
                if !std::mem::take(left) {
                    return None;
                }
                (*sent, Content::Encoded(Payload::part(buffer, *start, *end)?))
            }
            Body::Local(items) => {
                let (sent, message) = items.pop_front()?;
                (sent, Content::Local(message))
            }
        };
        let sequence = self.sequence;
        self.sequence += 1;
        Some(Taken { source: &self.source, sequence, sent, content })
    }

    /// Appends `later` to `self` where that is cheap and keeps little memory alive; else gives it back.
    ///
    /// Runs are joined while together they hold at most [`JOINED`] bytes, so that the buffers of a
    /// mailbox are never mostly empty: two neighbours that were not joined hold more than that.
    pub(crate) fn join(&mut self, mut later: Self) -> Option<Self>
    where
        S: PartialEq,
    {
        if self.source != later.source || self.sequence + self.len() as u64 != later.sequence {
            return Some(later);
        }
        match (&mut self.body, &mut later.body) {
            (Body::Local(items), Body::Local(more)) => items.append(more),
            (
                Body::Encoded { buffer, heads, .. },
                Body::Encoded { buffer: more, heads: more_heads, next },
            ) => {
                let Some(bytes) = Arc::get_mut(buffer).map(Buffer::bytes_mut) else { return Some(later) };
                if bytes.len() + more.bytes().len() > JOINED {
                    return Some(later);
                }
                let (start, shift) = (more_heads.get(*next).map_or(0, |head| head.start), bytes.len() as u32);
                bytes.extend_from_slice(&more.bytes()[start as usize..]);
                let place = |at: u32| at - start + shift;
                heads.extend(more_heads[*next..].iter().map(|head| Head {
                    sent: head.sent,
                    start: place(head.start),
                    end: place(head.end),
                }));
            }
            _ => return Some(later),
        }
        None
    }
}

impl<S: Clone> Run<S> {
    /// Splits off the next sample as a run of its own.
    pub(crate) fn split_first(&mut self) -> Option<Self> {
        let body = match &mut self.body {
            Body::Encoded { buffer, heads, next } => {
                let Head { sent, start, end } = *heads.get(*next)?;
                *next += 1;
                Body::Part { sent, buffer: Arc::clone(buffer), start, end, left: true }
            }
            Body::Whole { sent, bytes, left } => {
                if !std::mem::take(left) {
                    return None;
                }
                Body::Whole { sent: *sent, bytes: std::mem::take(bytes), left: true }
            }
            Body::Part { sent, buffer, start, end, left } => {
                if !std::mem::take(left) {
                    return None;
                }
                Body::Part { sent: *sent, buffer: Arc::clone(buffer), start: *start, end: *end, left: true }
            }
            Body::Local(items) => Body::Local(VecDeque::from([items.pop_front()?])),
        };
        let sequence = self.sequence;
        self.sequence += 1;
        Some(Self { source: self.source.clone(), sequence, body })
    }
}

/// For how many samples of this process a run that was read keeps room, some 32 bytes each.
const LOCAL_KEPT: usize = 4096;

/// Up to how many bytes runs are joined, at the price of copying the later one.
const JOINED: usize = 16 * 1024;

#[cfg(test)]
mod tests;
