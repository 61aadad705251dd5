//! What the reader gets: whole frames of a stream, with one chain of stamps over all of its messages.

use crate::time::Timestamp;
use crate::wire::control::Control;
use crate::wire::fragment::{Fragment, put_fragment_head};
use crate::wire::message::put_message_head;
use crate::wire::{StampWriter, encode};

#[derive(Default)]
pub(super) struct Ready {
    bytes: Vec<u8>,
    /// How much of it was read.
    start: usize,
    stamps: StampWriter,
}

impl Ready {
    /// Bytes that wait to be read.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    pub(super) fn message(&mut self, alias: u32, sent: Timestamp, payload: &[u8]) {
        let out = self.stamps.stamp(sent);
        if out.time_first {
            encode(&mut self.bytes, &Control::Time(sent));
        }
        put_message_head(&mut self.bytes, alias, out.stamp, payload.len());
        self.bytes.extend_from_slice(payload);
    }

    /// A piece of a sample, with the first one when it was sent.
    pub(super) fn fragment(&mut self, fragment: &Fragment<'_>, sent: Option<Timestamp>) {
        let stamp = sent.map(|sent| {
            let out = self.stamps.stamp(sent);
            if out.time_first {
                encode(&mut self.bytes, &Control::Time(sent));
            }
            out.stamp
        });
        put_fragment_head(&mut self.bytes, fragment.alias, stamp, fragment.left, fragment.bytes.len());
        self.bytes.extend_from_slice(fragment.bytes);
    }

    pub(super) fn control(&mut self, control: &Control) {
        encode(&mut self.bytes, control);
    }

    /// A frame, or what cannot be one, as it came.
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn read(&mut self, out: &mut [u8]) -> usize {
        let count = self.len().min(out.len());
        out[..count].copy_from_slice(&self.bytes[self.start..self.start + count]);
        self.start += count;
        if self.start == self.bytes.len() {
            self.bytes.clear();
            self.start = 0;
            if self.bytes.capacity() > KEPT {
                self.bytes.shrink_to(KEPT);
            }
        } else if self.start >= KEPT {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        count
    }
}

/// The memory kept when all was read, in bytes; and how much that was read is put up with.
const KEPT: usize = 64 * 1024;
