//! Bytes that leave together.

use crate::bytes::Bytes;
use crate::wire::message::frame_ahead;
use std::io::IoSlice;

mod frames;

pub(crate) use frames::{Part, Piece, encode_counted, frames_of};

/// Frames in the order they are written: most copied into one buffer, large payloads by reference.
#[derive(Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    /// Large payloads, each with the place in `bytes` it follows.
    cuts: Vec<(usize, Bytes)>,
    /// Bytes of the large payloads.
    cut_bytes: usize,
    messages: usize,
    /// How many bytes were written already.
    written: usize,
    /// The time that the receiver of the first message has before it, in microseconds.
    pub(crate) base: Option<u64>,
    /// How many control frames it holds that a session counts, with those that are written right before it.
    pub(crate) counted: u64,
    /// The mark near its end.
    pub(crate) mark: Option<u64>,
}

impl Batch {
    /// Bytes not yet written.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() + self.cut_bytes - self.written
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All its bytes, written or not.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len() + self.cut_bytes
    }

    /// The memory it takes, about, in bytes: at least half of what it does.
    pub(crate) fn cost(&self) -> usize {
        self.bytes.len().max(self.bytes.capacity() / 2) + self.cut_bytes
    }

    /// How many bytes its buffer holds, and how many it could.
    pub(crate) fn filled(&self) -> (usize, usize) {
        (self.bytes.len(), self.bytes.capacity())
    }

    /// None of it counts as written any more.
    pub(crate) fn rewind(&mut self) {
        self.written = 0;
    }

    /// Appends all of another, which is emptied and keeps its memory.
    pub(crate) fn append(&mut self, other: &mut Batch) {
        let shift = self.bytes.len();
        self.bytes.extend_from_slice(&other.bytes);
        self.cuts.extend(other.cuts.drain(..).map(|(place, payload)| (place + shift, payload)));
        self.cut_bytes += other.cut_bytes;
        if self.messages == 0 {
            self.base = other.base;
        }
        self.messages += other.messages;
        self.counted += other.counted;
        other.clear();
    }

    /// How many samples are in it.
    #[inline]
    pub(crate) fn messages(&self) -> usize {
        self.messages
    }

    /// The buffer, for appending whole frames.
    #[inline]
    pub(crate) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Appends a payload; from [`BY_REFERENCE`] bytes on it is not copied.
    #[inline]
    pub(crate) fn payload(&mut self, payload: &[u8], shared: Option<&Bytes>) {
        match shared {
            Some(bytes) if payload.len() >= BY_REFERENCE => {
                self.cuts.push((self.bytes.len(), bytes.clone()));
                self.cut_bytes += payload.len();
            }
            _ => self.bytes.extend_from_slice(payload),
        }
        self.messages += 1;
    }

    /// The bytes if all of them lie in one piece, none written yet.
    pub(crate) fn as_one_piece(&self) -> Option<&[u8]> {
        (self.cuts.is_empty() && self.written == 0).then_some(self.bytes.as_slice())
    }

    /// Fills `slices` with what is to be written next, in order.
    pub(crate) fn slices<'a>(&'a self, slices: &mut Vec<IoSlice<'a>>) {
        let mut skip = self.written;
        let mut from = 0;
        let mut add = |piece: &'a [u8]| {
            let cut = skip.min(piece.len());
            skip -= cut;
            if cut < piece.len() && slices.len() < SLICES {
                slices.push(IoSlice::new(&piece[cut..]));
            }
        };
        for (place, payload) in &self.cuts {
            add(&self.bytes[from..*place]);
            add(payload);
            from = *place;
        }
        add(&self.bytes[from..]);
    }

    /// Notes that `count` more bytes were written.
    pub(crate) fn wrote(&mut self, count: usize) {
        self.written += count;
    }

    /// Calls `lost` with the alias of each sample whose frame, or last piece, is not written to its end.
    pub(crate) fn unwritten(&self, mut lost: impl FnMut(u32)) {
        let mut cuts = self.cuts.iter().peekable();
        // Where a frame begins in the buffer, and among all bytes.
        let (mut place, mut at) = (0, 0);
        while let Some((total, message)) = self.bytes.get(place..).and_then(frame_ahead) {
            at += total;
            place += total;
            if let Some((alias, payload, ends)) = message {
                let head_end = place - payload;
                if cuts.next_if(|(cut, _)| *cut == head_end).is_some() {
                    place = head_end;
                }
                if at > self.written && ends {
                    lost(alias);
                }
            }
        }
    }

    /// Moves what is in it to `into`, which is empty, and keeps its own memory.
    #[inline]
    pub(crate) fn move_to(&mut self, into: &mut Batch) {
        into.bytes.extend_from_slice(&self.bytes);
        std::mem::swap(&mut self.cuts, &mut into.cuts);
        (into.cut_bytes, into.messages, into.written) = (self.cut_bytes, self.messages, self.written);
        (into.base, into.counted, into.mark) = (self.base, self.counted, self.mark);
        self.clear();
    }

    /// Puts `ahead`, which lies before it in the order of writing, in front.
    pub(crate) fn put_ahead(&mut self, mut ahead: Batch) {
        let shift = ahead.bytes.len();
        ahead.bytes.extend_from_slice(&self.bytes);
        ahead.cuts.extend(self.cuts.drain(..).map(|(place, payload)| (place + shift, payload)));
        ahead.cut_bytes += self.cut_bytes;
        ahead.messages += self.messages;
        ahead.counted += self.counted;
        *self = ahead;
    }

    /// Empties it and keeps the memory, unless it grew past [`KEPT`] bytes.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT);
        self.cuts.clear();
        self.cut_bytes = 0;
        self.messages = 0;
        self.written = 0;
        self.base = None;
        self.counted = 0;
        self.mark = None;
    }
}

/// From this size on a shared payload is written from where it is. Below, copying it costs less than
/// one more piece in a vectored write (measured at 1, 4, 16 and 64 KiB).
pub(crate) const BY_REFERENCE: usize = 16 * 1024;

/// How many pieces one vectored write takes at most.
const SLICES: usize = 64;

/// How much memory an emptied batch keeps.
const KEPT: usize = 512 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::control::Control;
    use crate::wire::message::put_message_head;
    use crate::wire::{Stamp, encode};

    impl Batch {
        /// What is to be written next, as far as one write takes it.
        pub(crate) fn rest(&self) -> Vec<u8> {
            let mut slices = Vec::new();
            self.slices(&mut slices);
            slices.iter().flat_map(|s| s.to_vec()).collect()
        }
    }

    fn rest(batch: &Batch) -> Vec<u8> {
        batch.rest()
    }

    #[test]
    fn samples_that_were_not_written_to_their_end_are_told() {
        let large = Bytes::from(vec![7; BY_REFERENCE]);
        let mut batch = Batch::default();
        let mut ends = Vec::new();
        for (alias, payload, shared) in [
            (0, &[][..], None),
            (300, &[1; 200][..], None),
            (1, &large[..], Some(&large)),
            (2, &[3][..], None),
            (1, &large[..], Some(&large)),
        ] {
            encode(batch.bytes(), &Control::Gap { alias, count: 3 });
            put_message_head(batch.bytes(), alias, Stamp(0), payload.len());
            batch.payload(payload, shared);
            ends.push((alias, batch.len()));
        }
        encode(batch.bytes(), &Control::End { alias: 1 });
        let whole = batch.len();
        for written in 0..=whole {
            let mut lost = Vec::new();
            batch.unwritten(|alias| lost.push(alias));
            let wanted: Vec<u32> =
                ends.iter().filter(|(_, end)| *end > written).map(|(alias, _)| *alias).collect();
            assert_eq!(lost, wanted, "after {written} bytes");
            batch.wrote(1);
        }
    }

    #[test]
    fn any_partial_write_leaves_exactly_the_rest() {
        let large = Bytes::from(vec![7; BY_REFERENCE]);
        let mut whole = vec![1, 2];
        whole.extend_from_slice(&large);
        whole.extend_from_slice(&[3]);
        for written in [0, 1, 2, 3, BY_REFERENCE, BY_REFERENCE + 2, BY_REFERENCE + 3] {
            let mut batch = Batch::default();
            batch.bytes().extend_from_slice(&[1, 2]);
            batch.payload(&large, Some(&large));
            batch.payload(&[3], None);
            batch.wrote(written);
            assert_eq!(rest(&batch), whole[written..], "after {written} bytes");
            assert_eq!(batch.len(), whole.len() - written);
            let mut moved = Batch::default();
            batch.move_to(&mut moved);
            assert_eq!(rest(&moved), whole[written..]);
            assert_eq!((batch.len(), moved.messages(), rest(&batch)), (0, 2, vec![]));
        }
    }
}
