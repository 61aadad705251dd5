//! The reader thread of a line: from bytes to mailboxes.
//!
//! It reads a chunk, cuts it into frames, sorts the samples by alias, and hands each interest its samples
//! of the whole chunk at once. Credits, gaps and times belong to the path of samples and are dealt
//! with here; every other control frame goes to the dispatcher. It waits for the socket and, when a
//! peer floods control frames, for the dispatcher; never for an application.

use super::inlets::Inlets;
use super::input::LineInput;
use super::line::Line;
use crate::bytes::{Buffer, Bytes, Pool};
use crate::event::LostAt;
use crate::reason::{Reason, ReasonCode};
use crate::wire::control::Control;
use crate::wire::fragment::read_fragment;
use crate::wire::kind::{BYE, FRAGMENT};
use crate::wire::{self, Frame, Limits, MessageHead, Split};
use std::io::{self, IoSliceMut};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Reads `line` until it ends, then reports why.
pub(crate) fn run(line: &Arc<Line>, max_frame: u32) {
    let large = Pool::new(LARGE_KEPT, LARGE_KEPT * max_frame as usize);
    let mut reader = Reader {
        line: Arc::clone(line),
        max_frame,
        chunk: Arc::new(Buffer::zeroed(FIRST_CHUNK)),
        spare: Vec::new(),
        start: 0,
        end: 0,
        limits: Limits::HANDSHAKE,
        opening: true,
        ended: false,
        inlets: Inlets::new(Arc::clone(line), max_frame, Arc::clone(&large)),
        after_large: false,
        large,
    };
    let reason = reader.run();
    reader.inlets.flush(&reader.chunk);
    if !line.discarding.load(Ordering::Acquire) {
        line.input(LineInput::Lost(reason));
    }
}

struct Reader {
    line: Arc<Line>,
    max_frame: u32,
    /// What was read. Samples that wait in mailboxes may lie in it, so it is written only while nobody else
    /// holds it.
    chunk: Arc<Buffer>,
    /// Chunks that were used before, for when their samples were read.
    spare: Vec<Arc<Buffer>>,
    /// What was read and not yet cut lies between `start` and `end`.
    start: usize,
    end: usize,
    limits: Limits,
    /// Nothing was cut yet.
    opening: bool,
    /// The other side said BYE.
    ended: bool,
    inlets: Inlets,
    /// A large payload was read last.
    after_large: bool,
    /// Buffers that large payloads are read into.
    large: Arc<Pool>,
}

impl Reader {
    fn run(&mut self) -> Reason {
        loop {
            if let Err(reason) = self.read(None) {
                return reason;
            }
            let mut cut = self.cut();
            while let Ok(Some(head)) = cut {
                cut = match self.read_large(head) {
                    Err(reason) => return reason,
                    Ok(Err(reason)) => Err(reason),
                    Ok(Ok(())) => self.cut(),
                };
            }
            self.inlets.flush(&self.chunk);
            if let Err(reason) = cut {
                log::warn!("{}: {reason}", self.line.url);
                self.line.input(LineInput::Fault(reason));
                return self.discard(false);
            }
            if self.line.discarding.load(Ordering::Relaxed) {
                return self.discard(true);
            }
        }
    }

    /// Waits for bytes: into the chunk, or first into `large` and what is over into the chunk.
    fn read(&mut self, large: Option<&mut [u8]>) -> Result<usize, Reason> {
        self.make_room();
        let Some(chunk) = Arc::get_mut(&mut self.chunk) else {
            return Err(Reason::new(ReasonCode::Internal, "there is no memory of its own to read into"));
        };
        let mut room = &mut chunk.bytes_mut()[self.end..];
        if large.is_some() || std::mem::take(&mut self.after_large) {
            let ahead = room.len().min(AHEAD);
            room = &mut room[..ahead];
        }
        let wanted = large.as_ref().map_or(0, |large| large.len());
        let read = match large {
            None => retried(|| self.line.connection.read(room)),
            Some(large) => retried(|| {
                let mut slices = [IoSliceMut::new(large), IoSliceMut::new(room)];
                self.line.connection.read_vectored(&mut slices)
            }),
        };
        let count = match read {
            Ok(0) => return Err(lost("the peer ended the connection without a BYE".to_owned())),
            Ok(count) => count,
            Err(error) => return Err(lost(format!("the connection broke: {error}"))),
        };
        self.line.note_heard(self.line.clock.now());
        self.line.bytes_in.fetch_add(count as u64, Ordering::Relaxed);
        self.end += count.saturating_sub(wanted);
        Ok(count.min(wanted))
    }

    /// Moves what was not cut to the front of a chunk that nobody else holds.
    fn make_room(&mut self) {
        let wanted = if self.limits == Limits::HANDSHAKE { FIRST_CHUNK } else { CHUNK };
        let rest = self.start..self.end;
        (self.start, self.end) = (0, rest.len());
        match Arc::get_mut(&mut self.chunk) {
            Some(chunk) if chunk.bytes().len() >= wanted => {
                if rest.start > 0 {
                    chunk.bytes_mut().copy_within(rest, 0);
                }
            }
            _ => {
                let mut fresh = self.another_chunk(wanted);
                if let Some(chunk) = Arc::get_mut(&mut fresh) {
                    chunk.bytes_mut()[..rest.len()].copy_from_slice(&self.chunk.bytes()[rest]);
                }
                let used = std::mem::replace(&mut self.chunk, fresh);
                if used.bytes().len() == CHUNK {
                    self.spare.push(used);
                }
            }
        }
    }

    /// A chunk that nobody holds: the one that was last used, as it may still be in the cache.
    fn another_chunk(&mut self, wanted: usize) -> Arc<Buffer> {
        let free = self.spare.iter_mut().rposition(|chunk| Arc::get_mut(chunk).is_some());
        match free {
            Some(place) => self.spare.remove(place),
            None => {
                if self.spare.len() >= CHUNKS_KEPT {
                    self.spare.remove(0);
                }
                Arc::new(Buffer::zeroed(wanted))
            }
        }
    }

    /// Cuts all whole frames. Returns the head of a large message whose payload is not all there.
    fn cut(&mut self) -> Result<Option<MessageHead>, Reason> {
        let chunk = Arc::clone(&self.chunk);
        self.cut_frames(&chunk)
    }

    fn cut_frames(&mut self, chunk: &Arc<Buffer>) -> Result<Option<MessageHead>, Reason> {
        let bytes = &chunk.bytes()[..self.end];
        if self.opening {
            wire::check_opening(&bytes[self.start..])?;
        }
        if self.line.has_changes() {
            self.inlets.apply_changes();
        }
        let offset = self.line.offset();
        loop {
            let rest = &bytes[self.start..];
            match wire::split(rest, self.limits)? {
                Split::Frame { frame, consumed } => {
                    self.start += consumed;
                    self.opening = false;
                    match frame {
                        Frame::Message { alias, stamp, payload } => {
                            self.inlets.message(alias, stamp, payload, chunk, self.start, offset)?;
                            self.start += self.inlets.run_of_small(
                                alias,
                                &bytes[self.start..],
                                self.start,
                                self.limits,
                                offset,
                            );
                        }
                        Frame::Control { kind: FRAGMENT, body } if self.limits != Limits::HANDSHAKE => {
                            self.inlets.fragment(&read_fragment(body)?, chunk, offset)?;
                        }
                        Frame::Control { kind, body } => self.control(wire::decode(kind, body)?)?,
                    }
                }
                Split::NeedMore { total } => {
                    if total.is_none_or(|total| total < LARGE) {
                        return Ok(None);
                    }
                    return Ok(wire::peek_message(rest).filter(|head| head.payload_len >= LARGE));
                }
            }
        }
    }

    fn control(&mut self, control: Control) -> Result<(), Reason> {
        let agreed = self.limits != Limits::HANDSHAKE;
        match control {
            Control::Credit(credit) if agreed => self.line.credit(credit)?,
            Control::Time(time) if agreed => self.inlets.time(time),
            Control::Gap { alias, count } if agreed => {
                self.inlets.gap(alias, count, LostAt::There, &self.chunk)?
            }
            Control::Lost { alias, count } if agreed => {
                self.inlets.gap(alias, count, LostAt::OnTheWay, &self.chunk)?
            }
            Control::Stalled { alias, untaken } if agreed => {
                self.inlets.stalled(alias, untaken, &self.chunk)?
            }
            // Of kinds that a later version may send unasked: nobody here has to know them.
            Control::Unknown { .. } if agreed => {
                self.line.skipped.fetch_add(1, Ordering::Relaxed);
            }
            Control::Credit(_)
            | Control::Time(_)
            | Control::Gap { .. }
            | Control::Lost { .. }
            | Control::Stalled { .. } => {
                let text = "a frame of the path of samples came before the handshake was done";
                return Err(Reason::new(ReasonCode::Malformed, text));
            }
            control => {
                match control {
                    Control::End { alias } => self.inlets.end(alias)?,
                    Control::Accept(_) => self.limits = Limits::agreed(self.max_frame),
                    Control::Bye(_) => self.ended = true,
                    _ => {}
                }
                // What the dispatcher makes of a frame must not overtake the samples before it.
                self.inlets.flush(&self.chunk);
                self.line.input(LineInput::Control(self.line.clock.now(), control));
            }
        }
        Ok(())
    }

    /// Reads a large payload straight into the buffer it will be delivered in. The outer error is a lost
    /// line, the inner a broken rule.
    fn read_large(&mut self, head: MessageHead) -> Result<Result<(), Reason>, Reason> {
        if let Err(reason) = self.inlets.expect(head.alias, &self.chunk) {
            return Ok(Err(reason));
        }
        // The rest of it may be long in coming: what is there must not wait.
        self.inlets.flush(&self.chunk);
        let mut buffer = Buffer::of_len(head.payload_len, &self.large);
        let payload = buffer.bytes_mut();
        let there = (self.end - self.start).min(head.frame_total) - head.header_len;
        let from = self.start + head.header_len;
        payload[..there].copy_from_slice(&self.chunk.bytes()[from..from + there]);
        self.start += head.header_len + there;
        let mut filled = there;
        while filled < payload.len() {
            filled += self.read(Some(&mut payload[filled..]))?;
        }
        let bytes = Bytes::whole(Arc::new(buffer));
        self.after_large = true;
        Ok(self.inlets.large(head.alias, head.stamp, bytes, &self.chunk, self.line.offset()))
    }

    /// Reads and drops until the line ends, so that a BYE on its way out is not lost in a reset. Where
    /// the peer is still understood, its own BYE is the end too: both wait for the other to end then.
    fn discard(&mut self, mut understood: bool) -> Reason {
        let mut skip = 0;
        loop {
            while understood && !self.ended {
                let here = skip.min(self.end - self.start);
                (self.start, skip) = (self.start + here, skip - here);
                match wire::split(&self.chunk.bytes()[self.start..self.end], self.limits) {
                    Ok(Split::Frame { frame, consumed }) => {
                        self.ended = matches!(frame, Frame::Control { kind: BYE, .. });
                        self.start += consumed;
                    }
                    Ok(Split::NeedMore { total: Some(total) }) if total >= LARGE && skip == 0 => skip = total,
                    Ok(Split::NeedMore { .. }) => break,
                    Err(_) => understood = false,
                }
            }
            if self.ended {
                return lost("both sides said BYE".to_owned());
            }
            if !understood {
                (self.start, self.end) = (0, 0);
            }
            if let Err(reason) = self.read(None) {
                return reason;
            }
        }
    }
}

fn lost(text: String) -> Reason {
    Reason::new(ReasonCode::Lost, text)
}

fn retried(mut read: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match read() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// How much is read at once. A control frame, or any message that is not large, fits in it whole.
const CHUNK: usize = 128 * 1024;

/// The same until the handshake is done: a frame may have 1024 bytes then.
const FIRST_CHUNK: usize = 4 * 1024;

/// From this payload on, a message is read into a buffer of its own rather than copied there.
const LARGE: usize = 16 * 1024;

/// How many chunks a line keeps whose samples wait in mailboxes.
const CHUNKS_KEPT: usize = 8;

/// How much may be read beyond a large payload, by the same call or the next: enough for the heads of
/// what follows, and little enough to copy where that is large too.
const AHEAD: usize = 4 * 1024;

/// How many buffers for large payloads a line keeps.
const LARGE_KEPT: usize = 4;
