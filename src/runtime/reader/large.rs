//! Large payloads, which are read to where they are delivered from.
//!
//! Once the head of a large message is there, the rest of it is read into a buffer of its own, and that of a piece of one
//! right behind the pieces before. What of it is in the chunk by then is copied; so little more is read behind a large
//! payload, as another one may follow.

use super::{Halt, LARGE, Reader};
use crate::bytes::{Buffer, Bytes};
use crate::flow::assemblies::Lent;
use crate::reason::Reason;
use crate::runtime::inlets::{Inlets, Origin};
use crate::runtime::line::Line;
use crate::wire::fragment::{FragmentHead, peek_fragment};
use crate::wire::{MessageHead, peek_message};
use std::sync::Arc;

/// A large payload of which a part came.
pub(super) struct Filling {
    what: What,
    /// Where the payload begins in its memory, and how far it came.
    from: usize,
    filled: usize,
}

enum What {
    Message(MessageHead, Buffer),
    Piece(FragmentHead, Loan),
}

/// Memory of a sample that comes in pieces, which is given back whatever happens.
struct Loan {
    line: Arc<Line>,
    alias: u32,
    lent: Option<Lent>,
}

impl Drop for Loan {
    fn drop(&mut self) {
        if let Some(lent) = self.lent.take() {
            self.line.inlets.lock().give_back(self.alias, lent);
        }
    }
}

impl Filling {
    /// What came of it.
    pub(super) fn inside(&self) -> &[u8] {
        let bytes = match &self.what {
            What::Message(_, buffer) => buffer.bytes(),
            What::Piece(_, loan) => loan.lent.as_ref().map_or(&[][..], |lent| &lent.bytes),
        };
        bytes.get(self.from..self.filled).unwrap_or_default()
    }

    /// Where the rest of it belongs.
    fn rest(&mut self) -> &mut [u8] {
        let filled = self.filled;
        match &mut self.what {
            What::Message(_, buffer) => &mut buffer.bytes_mut()[filled..],
            What::Piece(_, loan) => {
                loan.lent.as_mut().map_or(&mut [], |lent| &mut lent.bytes[filled..lent.to])
            }
        }
    }

    /// Hands it over: it is whole.
    pub(super) fn hand(self, inlets: &mut Inlets, origin: Origin<'_>) -> Result<(), Reason> {
        match self.what {
            What::Message(head, buffer) => {
                let bytes = Bytes::whole(Arc::new(buffer));
                inlets.large(head.alias, head.stamp, bytes, origin)
            }
            What::Piece(head, mut loan) => match loan.lent.take() {
                Some(lent) => inlets.piece((&head, lent), origin),
                None => Ok(()),
            },
        }
    }
}

impl Reader {
    /// Begins to read the large frame that is next in the chunk, if it is one that is read to its place.
    pub(super) fn begin_large(&mut self, inlets: &mut Inlets, origin: Origin<'_>) -> Result<(), Reason> {
        let ahead = &origin.chunk.bytes()[self.start..self.end];
        let (what, from, header_len, total) = if let Some(head) = peek_message(ahead) {
            if head.payload_len < LARGE {
                return Ok(());
            }
            inlets.expect(head.alias, origin)?;
            let buffer = Buffer::of_len(head.payload_len, &self.large);
            (What::Message(head, buffer), 0, head.header_len, head.frame_total)
        } else if let Some(head) = peek_fragment(ahead).filter(|_| !self.stands_by) {
            if head.payload_len < LARGE {
                return Ok(());
            }
            let Some(lent) = inlets.lend(&head, origin)? else { return Ok(()) };
            let (from, line) = (lent.from, Arc::clone(&self.line));
            let loan = Loan { line, alias: head.alias, lent: Some(lent) };
            (What::Piece(head, loan), from, head.header_len, head.frame_total)
        } else {
            return Ok(());
        };
        let mut filling = Filling { what, from, filled: from };
        // The rest of it may be long in coming: what is there is handed over before.
        let there = &ahead[header_len..ahead.len().min(total)];
        filling.rest()[..there.len()].copy_from_slice(there);
        filling.filled += there.len();
        self.start += header_len + there.len();
        self.filling = Some(filling);
        self.astray.moved();
        Ok(())
    }

    /// Reads more of a large payload; returns it once that was the rest of it.
    pub(super) fn fill(&mut self, mut filling: Filling) -> Result<Option<Filling>, Halt> {
        let read = self.read(Some(filling.rest()));
        filling.filled += *read.as_ref().unwrap_or(&0);
        if read.is_err() || !filling.rest().is_empty() {
            self.filling = Some(filling);
            return read.map(|_| None);
        }
        self.after_large = true;
        self.astray.frame_ended();
        Ok(Some(filling))
    }
}
