//! The frames of a batch, one by one.

use super::Batch;
use crate::bytes::Bytes;
use crate::wire::control::Control;
use crate::wire::fragment::{peek_fragment, put_fragment_head};
use crate::wire::message::{frame_ahead, put_message_head};
use crate::wire::{Stamp, decode, encode, kind, peek_message, varint};
use std::iter::Peekable;
use std::slice::Iter;

/// One frame.
pub(crate) enum Part<'a> {
    Sample(Piece<'a>),
    /// A control frame: its kind, all of it, and its body.
    Control {
        kind: u32,
        frame: &'a [u8],
        body: &'a [u8],
    },
}

/// A sample, or a piece of one.
pub(crate) struct Piece<'a> {
    pub(crate) alias: u32,
    /// `None` for a piece that is not the first.
    pub(crate) stamp: Option<Stamp>,
    /// Bytes of the sample that come later.
    pub(crate) left: u32,
    payload: &'a [u8],
    shared: Option<&'a Bytes>,
    is_piece: bool,
}

impl Piece<'_> {
    /// How many bytes of the sample it has.
    pub(crate) fn len(&self) -> usize {
        self.payload.len()
    }

    /// Appends it, stamped anew.
    pub(crate) fn put(&self, into: &mut Batch, stamp: Option<Stamp>) {
        let (bytes, len) = (into.bytes(), self.payload.len());
        match (self.is_piece, stamp) {
            (false, stamp) => put_message_head(bytes, self.alias, stamp.unwrap_or_default(), len),
            (true, stamp) => put_fragment_head(bytes, self.alias, stamp, self.left, len),
        }
        into.payload(self.payload, self.shared);
    }
}

impl Part<'_> {
    /// The alias whose numbers go on with it, and by how many.
    pub(crate) fn numbers(&self) -> Option<(u32, u64)> {
        match *self {
            Part::Sample(Piece { alias, left: 0, .. }) => Some((alias, 1)),
            Part::Control { kind: kind @ (kind::GAP | kind::LOST), body, .. } => match decode(kind, body) {
                Ok(Control::Gap { alias, count } | Control::Lost { alias, count }) => Some((alias, count)),
                _ => None,
            },
            _ => None,
        }
    }
}

/// All frames of a batch, written or not.
pub(crate) struct Frames<'a> {
    bytes: &'a [u8],
    place: usize,
    cuts: Peekable<Iter<'a, (usize, Bytes)>>,
}

impl Batch {
    pub(crate) fn frames(&self) -> Frames<'_> {
        Frames { bytes: &self.bytes, place: 0, cuts: self.cuts.iter().peekable() }
    }

    /// The buffer, for appending control frames, and where those are counted that are.
    pub(crate) fn control_place(&mut self) -> (&mut Vec<u8>, &mut u64) {
        (&mut self.bytes, &mut self.counted)
    }

    /// Appends a control frame, and counts it if it is counted.
    pub(crate) fn control(&mut self, frame: &Control) {
        self.counted += encode_counted(&mut self.bytes, frame);
    }
}

/// The frames in a buffer.
pub(crate) fn frames_of(bytes: &[u8]) -> Frames<'_> {
    Frames { bytes, place: 0, cuts: [].iter().peekable() }
}

impl<'a> Frames<'a> {
    /// The payload that begins at `start`, and steps behind it.
    fn payload(&mut self, start: usize, len: usize) -> Option<(&'a [u8], Option<&'a Bytes>)> {
        if let Some((_, shared)) = self.cuts.next_if(|(cut, _)| *cut == start) {
            self.place = start;
            return Some((shared, Some(shared)));
        }
        self.place = start + len;
        Some((self.bytes.get(start..start + len)?, None))
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Part<'a>> {
        let rest = self.bytes.get(self.place..)?;
        if let Some(head) = peek_message(rest) {
            let (payload, shared) = self.payload(self.place + head.header_len, head.payload_len)?;
            let (alias, stamp) = (head.alias, Some(head.stamp));
            return Some(Part::Sample(Piece { alias, stamp, left: 0, payload, shared, is_piece: false }));
        }
        if let Some(head) = peek_fragment(rest) {
            let (payload, shared) = self.payload(self.place + head.header_len, head.payload_len)?;
            let (alias, stamp, left) = (head.alias, head.first, head.left);
            return Some(Part::Sample(Piece { alias, stamp, left, payload, shared, is_piece: true }));
        }
        let frame = rest.get(..frame_ahead(rest)?.0)?;
        let (_, length_bytes) = varint::read_u32(frame).ok()??;
        let (kind, tag_bytes) = varint::read_u32(&frame[length_bytes..]).ok()??;
        self.place += frame.len();
        Some(Part::Control { kind, frame, body: &frame[length_bytes + tag_bytes..] })
    }
}

/// Appends a control frame. Returns how many frames it came to that a session counts.
pub(crate) fn encode_counted(out: &mut Vec<u8>, frame: &Control) -> u64 {
    let mut place = out.len();
    encode(out, frame);
    let mut count = 0;
    while let Some((total, _)) = out.get(place..).filter(|_| frame.is_counted()).and_then(frame_ahead) {
        place += total;
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::batch::BY_REFERENCE;
    use crate::wire::control::Entry;

    #[test]
    fn all_frames_come_as_they_were_put_and_can_be_put_again() {
        let large = Bytes::from(vec![7; BY_REFERENCE]);
        let mut batch = Batch::default();
        let payloads = [&[][..], &[1; 200], &large, &[3], &large];
        for (alias, payload) in [0, 300, 1, 2, 1].into_iter().zip(payloads) {
            batch.control(&Control::Gap { alias, count: 3 });
            put_message_head(batch.bytes(), alias, Stamp(9), payload.len());
            batch.payload(payload, (payload.len() == BY_REFERENCE).then_some(&large));
        }
        put_fragment_head(batch.bytes(), 5, Some(Stamp(1)), BY_REFERENCE as u32, 3);
        batch.payload(&[1, 2, 3], None);
        put_fragment_head(batch.bytes(), 5, None, 0, BY_REFERENCE);
        batch.payload(&large, Some(&large));
        batch.control(&Control::End { alias: 1 });
        let mut again = Batch::default();
        for part in batch.frames() {
            match part {
                Part::Sample(piece) => piece.put(&mut again, piece.stamp),
                Part::Control { frame, .. } => again.bytes().extend_from_slice(frame),
            }
        }
        assert_eq!(again.rest(), batch.rest());
        assert_eq!((again.messages(), batch.counted), (7, 1));
        let shared =
            again.frames().filter(|part| matches!(part, Part::Sample(Piece { shared: Some(_), .. })));
        assert_eq!(shared.count(), 3);
    }

    #[test]
    fn a_table_counts_for_as_many_frames_as_it_takes() {
        let table = Control::Intents((0..70_000).map(|id| Entry::Remove { id }).collect());
        let mut batch = Batch::default();
        batch.control(&table);
        batch.control(&Control::Intents(Vec::new()));
        batch.control(&Control::Gap { alias: 0, count: 1 });
        assert_eq!(batch.frames().count() as u64, batch.counted + 1);
        assert!(batch.counted > 2);
    }
}
