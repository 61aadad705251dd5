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
use crate::time::Timestamp;
use crate::wire::control::Control;
use crate::wire::fragment::read_fragment;
use crate::wire::kind::{BYE, FRAGMENT};
use crate::wire::{self, Astray, Frame, Limits, MessageHead, Split};
use std::io::{self, IoSliceMut};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Reads `line` until it ends, then reports why.
pub(crate) fn run(line: &Arc<Line>, max_frame: u32) {
    let mut reader = Reader::new(line, max_frame);
    loop {
        match reader.step() {
            Ok(()) => {}
            // Only a simulated connection asks to come again.
            #[cfg(feature = "testing")]
            Err(Halt::Later) => {}
            Err(Halt::End(reason)) => return reader.end(reason),
        }
    }
}

/// How far the reading of one line is.
pub(super) struct Reader {
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
    /// When it was read.
    read_at: Timestamp,
    limits: Limits,
    astray: Astray,
    /// Nothing was cut yet.
    opening: bool,
    /// The other side said BYE.
    ended: bool,
    inlets: Inlets,
    /// A large payload was read last.
    after_large: bool,
    /// Buffers that large payloads are read into.
    large: Arc<Pool>,
    /// The large payload that is being read.
    filling: Option<Filling>,
    /// All that comes is dropped.
    discarding: Option<Discarding>,
}

/// A large message of which a part came.
struct Filling {
    head: MessageHead,
    buffer: Buffer,
    filled: usize,
}

/// What is known of a stream that is dropped: whether its frames are understood, and how much of one is
/// passed over.
struct Discarding {
    understood: bool,
    skip: usize,
}

/// Why nothing was read.
pub(super) enum Halt {
    /// The line ended.
    End(Reason),
    /// Nothing is there now: of a connection that does not wait.
    #[cfg(feature = "testing")]
    Later,
}

impl Reader {
    pub(super) fn new(line: &Arc<Line>, max_frame: u32) -> Self {
        let large = Pool::new(LARGE_KEPT, LARGE_KEPT * max_frame as usize);
        Self {
            line: Arc::clone(line),
            max_frame,
            chunk: Arc::new(Buffer::zeroed(FIRST_CHUNK)),
            spare: Vec::new(),
            start: 0,
            end: 0,
            limits: Limits::HANDSHAKE,
            read_at: Timestamp::ZERO,
            astray: Astray::default(),
            opening: true,
            ended: false,
            inlets: Inlets::new(Arc::clone(line), max_frame, Arc::clone(&large)),
            after_large: false,
            large,
            filling: None,
            discarding: None,
        }
    }

    /// The line ended: hands over what came, and says why.
    pub(super) fn end(&mut self, reason: Reason) {
        self.inlets.flush(&self.chunk);
        if !self.line.discarding.load(Ordering::Acquire) {
            self.line.input(LineInput::Lost(reason));
        }
    }

    /// Reads once, and does what is to be done with it.
    pub(super) fn step(&mut self) -> Result<(), Halt> {
        if let Some(discarding) = self.discarding.take() {
            return self.discard(discarding);
        }
        let cut = match self.filling.take() {
            None => {
                self.read(None)?;
                self.cut()
            }
            Some(filling) => match self.fill(filling)? {
                None => Ok(None),
                Some(filled) => filled.and_then(|()| self.cut()),
            },
        };
        let cut = match cut {
            Ok(Some(head)) => self.begin_large(head),
            Ok(None) => Ok(()),
            Err(reason) => Err(reason),
        };
        let cut = cut.and_then(|()| self.look_inside());
        self.inlets.flush(&self.chunk);
        if let Err(reason) = cut {
            log::warn!("{}: {reason}", self.line.url);
            self.line.input(LineInput::Fault(reason));
            self.discarding = Some(Discarding { understood: false, skip: 0 });
        } else if self.line.discarding.load(Ordering::Relaxed) && self.filling.is_none() {
            self.discarding = Some(Discarding { understood: true, skip: 0 });
        }
        Ok(())
    }

    /// Waits for bytes: into the chunk, or first into `large` and what is over into the chunk.
    fn read(&mut self, large: Option<&mut [u8]>) -> Result<usize, Halt> {
        self.make_room();
        let Some(chunk) = Arc::get_mut(&mut self.chunk) else {
            let text = "there is no memory of its own to read into";
            return Err(Halt::End(Reason::new(ReasonCode::Internal, text)));
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
            #[cfg(feature = "testing")]
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && crate::sync::world::is_entered() => {
                return Err(Halt::Later);
            }
            Err(error) => return Err(lost(format!("the connection broke: {error}"))),
        };
        self.read_at = self.line.clock.now();
        self.line.note_heard(self.read_at);
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
        let (chunk, before) = (Arc::clone(&self.chunk), self.start);
        let cut = self.cut_frames(&chunk);
        if self.start > before {
            self.astray.frame_ended();
        }
        cut
    }

    /// An error where the frame that is coming cannot be one.
    fn look_inside(&mut self) -> Result<(), Reason> {
        let inside = match &self.filling {
            Some(filling) => &filling.buffer.bytes()[..filling.filled],
            None => &self.chunk.bytes()[self.start..self.end],
        };
        if !inside.is_empty() && self.astray.shows_in(inside, self.read_at) {
            let came = inside.len();
            let text =
                format!("no frame ends: in the one of which {came} bytes came stands what answers a PING");
            return Err(Reason::new(ReasonCode::Silent, text));
        }
        Ok(())
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

    /// Begins to read a large payload straight into the buffer it will be delivered in.
    fn begin_large(&mut self, head: MessageHead) -> Result<(), Reason> {
        self.inlets.expect(head.alias, &self.chunk)?;
        // The rest of it may be long in coming: what is there is handed over before.
        let mut buffer = Buffer::of_len(head.payload_len, &self.large);
        let there = (self.end - self.start).min(head.frame_total) - head.header_len;
        let from = self.start + head.header_len;
        buffer.bytes_mut()[..there].copy_from_slice(&self.chunk.bytes()[from..from + there]);
        self.start += head.header_len + there;
        self.filling = Some(Filling { head, buffer, filled: there });
        self.astray.moved();
        Ok(())
    }

    /// Reads more of a large payload: whether that was the rest of it, and then, whether a rule was broken.
    fn fill(&mut self, mut filling: Filling) -> Result<Option<Result<(), Reason>>, Halt> {
        let filled = filling.filled;
        let read = self.read(Some(&mut filling.buffer.bytes_mut()[filled..]));
        filling.filled += *read.as_ref().unwrap_or(&0);
        if read.is_err() || filling.filled < filling.head.payload_len {
            self.filling = Some(filling);
            return read.map(|_| None);
        }
        self.after_large = true;
        self.astray.frame_ended();
        let Filling { head, buffer, .. } = filling;
        let bytes = Bytes::whole(Arc::new(buffer));
        Ok(Some(self.inlets.large(head.alias, head.stamp, bytes, &self.chunk, self.line.offset())))
    }

    /// Reads and drops until the line ends, so that a BYE on its way out is not lost in a reset. Where
    /// the peer is still understood, its own BYE is the end too: both wait for the other to end then.
    fn discard(&mut self, mut state: Discarding) -> Result<(), Halt> {
        while state.understood && !self.ended {
            let here = state.skip.min(self.end - self.start);
            (self.start, state.skip) = (self.start + here, state.skip - here);
            match wire::split(&self.chunk.bytes()[self.start..self.end], self.limits) {
                Ok(Split::Frame { frame, consumed }) => {
                    self.ended = matches!(frame, Frame::Control { kind: BYE, .. });
                    self.start += consumed;
                }
                Ok(Split::NeedMore { total: Some(total) }) if total >= LARGE && state.skip == 0 => {
                    state.skip = total;
                }
                Ok(Split::NeedMore { .. }) => break,
                Err(_) => state.understood = false,
            }
        }
        if self.ended {
            return Err(lost("both sides said BYE".to_owned()));
        }
        if !state.understood {
            (self.start, self.end) = (0, 0);
        }
        self.discarding = Some(state);
        self.read(None).map(drop)
    }
}

fn lost(text: String) -> Halt {
    Halt::End(Reason::new(ReasonCode::Lost, text))
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
