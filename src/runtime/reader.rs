//! The reader thread of a line: from bytes to mailboxes.
//!
//! It reads a chunk, cuts it into frames, sorts the samples by alias, and hands each interest its samples
//! of the whole chunk at once. Credits, gaps and times belong to the path of samples and are dealt
//! with here; every other control frame goes to the dispatcher. It waits for the socket and, when a
//! peer floods control frames, for the dispatcher; never for an application.

use super::inlets::{CopyAt, Inlets, Origin};
use super::input::LineInput;
use super::line::{Line, Word};
use crate::bytes::{Buffer, Pool};
use crate::event::LostAt;
use crate::reason::{Reason, ReasonCode};
use crate::time::Timestamp;
use crate::transport::Connection;
use crate::wire::control::Control;
use crate::wire::copied::read_copied;
use crate::wire::fragment::read_fragment;
use crate::wire::kind::{AT, BYE, COPY, FRAGMENT, MARK, MARKED, PING, PONG, RESUME, STALLED};
use crate::wire::{self, Astray, Frame, Limits, Split};
use std::io::{self, IoSliceMut};
use std::sync::Arc;
use std::sync::atomic::Ordering;

mod large;

use large::Filling;

/// Why there is nothing more to read.
pub(crate) enum End {
    /// The connection ended.
    Lost(Reason),
    /// The session of this line goes on with it, of which the peer has so many frames that are counted.
    HandOver(Arc<Line>, u64),
}

/// Reads until the connection ends, or until the session of another line goes on with it.
pub(crate) fn run(reader: &mut Reader) -> End {
    loop {
        match reader.step() {
            Ok(()) => {}
            // Only a simulated connection asks to come again.
            #[cfg(feature = "testing")]
            Err(Halt::Later) => {}
            Err(Halt::HandOver(line, received)) => return End::HandOver(line, received),
            Err(Halt::End(reason)) => return End::Lost(reason),
        }
    }
}

/// How far the reading of one connection is. What is known of the samples belongs to the line, which may see several.
///
/// ```text
///  handshake ──HANDSHAKE final──► waits ──go on──► agreed ──RESUME──► waits ──hand over──► (that of another line)
/// ```
pub(crate) struct Reader {
    line: Arc<Line>,
    connection: Arc<dyn Connection>,
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
    /// It carries no session.
    stands_by: bool,
    /// Nothing is cut before the dispatcher's word on what was read last.
    waits: bool,
    /// There are bytes that were not looked at yet: no more are read before.
    unseen: bool,
    /// A large payload was read last.
    after_large: bool,
    /// Buffers that large payloads are read into, where they do not come in pieces.
    large: Arc<Pool>,
    /// The large payload that is being read.
    filling: Option<Filling>,
    /// Copies of samples of the session for which the line stands by, as they lie in the chunk.
    copies: Vec<CopyAt>,
    /// All that comes is dropped.
    discarding: Option<Discarding>,
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
    /// The session of this line goes on with the connection, of which the peer has so many frames that are counted.
    HandOver(Arc<Line>, u64),
    /// Nothing is there now: of a connection that does not wait.
    #[cfg(feature = "testing")]
    Later,
}

impl Reader {
    /// Begins the first connection of a session.
    pub(crate) fn new(line: &Arc<Line>, max_frame: u32) -> Self {
        line.inlets.lock().begin(max_frame);
        Self::on(line, max_frame, Buffer::zeroed(FIRST_CHUNK), Limits::HANDSHAKE)
    }

    /// Goes on with the session of `line` over the connection it has now. `rest`: what was read of that already, by
    /// [the reader](Self::into_rest) that saw its handshake.
    pub(crate) fn resumed(line: &Arc<Line>, max_frame: u32, rest: &[u8]) -> Self {
        let mut chunk = Buffer::zeroed(CHUNK.max(rest.len()));
        chunk.bytes_mut()[..rest.len()].copy_from_slice(rest);
        let reader = Self::on(line, max_frame, chunk, Limits::agreed(max_frame));
        Self { end: rest.len(), unseen: !rest.is_empty(), opening: false, ..reader }
    }

    fn on(line: &Arc<Line>, max_frame: u32, chunk: Buffer, limits: Limits) -> Self {
        Self {
            line: Arc::clone(line),
            connection: line.connection.current(),
            max_frame,
            chunk: Arc::new(chunk),
            spare: Vec::new(),
            start: 0,
            end: 0,
            limits,
            read_at: Timestamp::ZERO,
            astray: Astray::default(),
            opening: true,
            ended: false,
            stands_by: false,
            waits: false,
            unseen: false,
            after_large: false,
            large: Arc::clone(line.inlets.lock().large_buffers()),
            filling: None,
            copies: Vec::new(),
            discarding: None,
        }
    }

    /// What was read and not cut.
    pub(crate) fn into_rest(self) -> Vec<u8> {
        self.chunk.bytes()[self.start..self.end].to_vec()
    }

    /// The line ended: says why.
    pub(super) fn end(&mut self, reason: Reason) {
        if !self.line.discarding.load(Ordering::Acquire) {
            self.line.input(LineInput::Lost(reason));
        }
    }

    /// Reads once, and does what is to be done with it.
    pub(super) fn step(&mut self) -> Result<(), Halt> {
        if let Some(discarding) = self.discarding.take() {
            return self.discard(discarding);
        }
        if self.waits {
            return self.wait();
        }
        let taken = match self.filling.take() {
            Some(filling) => match self.fill(filling)? {
                None => Ok(()),
                large => self.take_in(large),
            },
            None => {
                if !std::mem::take(&mut self.unseen) {
                    self.read(None)?;
                }
                self.take_in(None)
            }
        };
        if let Err(reason) = taken.and_then(|()| self.look_inside()) {
            log::warn!("{}: {reason}", self.line.url);
            self.line.input(LineInput::Fault(reason));
            self.discarding = Some(Discarding { understood: false, skip: 0 });
        } else if self.line.discarding.load(Ordering::Relaxed) && self.filling.is_none() {
            self.discarding = Some(Discarding { understood: true, skip: 0 });
        }
        Ok(())
    }

    /// Waits until it is known whose frames come next.
    fn wait(&mut self) -> Result<(), Halt> {
        match self.line.next_word() {
            Some(word @ (Word::GoOn | Word::StandBy)) => {
                self.stands_by = matches!(word, Word::StandBy);
                self.waits = false;
                self.unseen = self.start < self.end;
            }
            Some(Word::HandOver(line, received)) => return Err(Halt::HandOver(line, received)),
            #[cfg(feature = "testing")]
            None if !self.line.discarding.load(Ordering::Acquire) => return Err(Halt::Later),
            None => self.discarding = Some(Discarding { understood: true, skip: 0 }),
        }
        Ok(())
    }

    /// Takes in what was read: a large payload that is whole now, then what is in the chunk.
    fn take_in(&mut self, large: Option<Filling>) -> Result<(), Reason> {
        let (line, chunk) = (Arc::clone(&self.line), Arc::clone(&self.chunk));
        let origin = Origin { line: &line, chunk: &chunk, offset: line.offset() };
        let mut inlets = line.inlets.lock();
        let taken = large.map_or(Ok(()), |large| large.hand(&mut inlets, origin));
        let before = self.start;
        let taken = taken.and_then(|()| match self.cut(&mut inlets, origin)? {
            true => self.begin_large(&mut inlets, origin),
            false => Ok(()),
        });
        if self.start > before {
            self.astray.frame_ended();
        }
        inlets.flush(&chunk);
        drop(inlets);
        taken.and(self.hand_copies(&chunk))
    }

    /// Hands the copies in the chunk to their session.
    fn hand_copies(&mut self, chunk: &Arc<Buffer>) -> Result<(), Reason> {
        if self.copies.is_empty() {
            return Ok(());
        }
        let handed = self.line.hand_copies(chunk, &self.copies);
        self.copies.clear();
        handed
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
            None => retried(|| self.connection.read(room)),
            Some(large) => retried(|| {
                let mut slices = [IoSliceMut::new(large), IoSliceMut::new(room)];
                self.connection.read_vectored(&mut slices)
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

    /// An error where the frame that is coming cannot be one.
    fn look_inside(&mut self) -> Result<(), Reason> {
        let inside = match &self.filling {
            Some(filling) => filling.inside(),
            None => &self.chunk.bytes()[self.start..self.end],
        };
        if !inside.is_empty() && !self.waits && self.astray.shows_in(inside, self.read_at) {
            let came = inside.len();
            let text =
                format!("no frame ends: in the one of which {came} bytes came stands what answers a PING");
            return Err(Reason::new(ReasonCode::Silent, text));
        }
        Ok(())
    }

    /// Cuts all whole frames, or up to one that the dispatcher has a word on. True before a large one that is not all
    /// there.
    fn cut(&mut self, inlets: &mut Inlets, origin: Origin<'_>) -> Result<bool, Reason> {
        let bytes = &origin.chunk.bytes()[..self.end];
        if self.opening {
            wire::check_opening(&bytes[self.start..])?;
        }
        if self.line.has_changes() {
            inlets.apply_changes(origin.line);
        }
        while !self.waits {
            if self.copies.len() == COPIES_AT_ONCE {
                self.unseen = true;
                return Ok(false);
            }
            let rest = &bytes[self.start..];
            match wire::split(rest, self.limits)? {
                Split::Frame { frame, consumed } => {
                    self.start += consumed;
                    self.opening = false;
                    if self.stands_by {
                        check_standing_by(&frame)?;
                    }
                    match frame {
                        Frame::Message { alias, stamp, payload } => {
                            inlets.message(alias, stamp, payload, self.start, origin)?;
                            self.start += inlets.run_of_small(
                                alias,
                                &bytes[self.start..],
                                self.start,
                                self.limits,
                                origin,
                            );
                        }
                        Frame::Control { kind: FRAGMENT, body } if self.limits != Limits::HANDSHAKE => {
                            inlets.fragment(&read_fragment(body)?, origin)?;
                        }
                        Frame::Control { kind: COPY, body } => {
                            if !self.line.stands_by() {
                                let text = "COPY came on a link that does not stand by";
                                return Err(Reason::new(ReasonCode::Malformed, text));
                            }
                            self.copies.push(CopyAt::new(&read_copied(body)?, self.start));
                        }
                        Frame::Control { kind, body } => {
                            self.control(wire::decode(kind, body)?, inlets, origin)?;
                        }
                    }
                }
                Split::NeedMore { total } => return Ok(total.is_some_and(|total| total >= LARGE)),
            }
        }
        Ok(false)
    }

    fn control(&mut self, control: Control, inlets: &mut Inlets, origin: Origin<'_>) -> Result<(), Reason> {
        let agreed = self.limits != Limits::HANDSHAKE;
        if control.is_counted() {
            self.line.count_received();
        }
        match control {
            Control::Credit(credit) if agreed => self.line.credit(credit)?,
            Control::Time(time) if agreed => inlets.time(time),
            Control::Gap { alias, count } if agreed => inlets.gap(alias, count, LostAt::There, origin)?,
            Control::Lost { alias, count } if agreed => inlets.gap(alias, count, LostAt::OnTheWay, origin)?,
            Control::Stalled { alias, untaken } if agreed => inlets.stalled(alias, untaken, origin)?,
            Control::At { alias, number } if agreed => inlets.at(alias, number, origin)?,
            Control::Mark { number } if agreed => self.line.answer_mark(number),
            Control::Marked { number } if agreed => self.line.marked(number)?,
            // Of kinds that a later version may send unasked: nobody here has to know them.
            Control::Unknown { .. } if agreed => {
                self.line.skipped.fetch_add(1, Ordering::Relaxed);
            }
            Control::Credit(_)
            | Control::Time(_)
            | Control::Gap { .. }
            | Control::Lost { .. }
            | Control::Stalled { .. }
            | Control::At { .. }
            | Control::Mark { .. }
            | Control::Marked { .. } => {
                let text = "a frame of the path of samples came before the handshake was done";
                return Err(Reason::new(ReasonCode::Malformed, text));
            }
            Control::Resume { .. } if !agreed => {
                let text = "RESUME came before the handshake was done";
                return Err(Reason::new(ReasonCode::Malformed, text));
            }
            control => {
                match control {
                    Control::End { alias } => inlets.end(alias)?,
                    Control::Accept(_) => {
                        self.limits = Limits::agreed(self.max_frame);
                        self.waits = true;
                    }
                    Control::Resume { .. } => self.waits = true,
                    Control::Bye(_) => self.ended = true,
                    _ => {}
                }
                // What the dispatcher makes of a frame must not overtake the samples before it.
                inlets.flush(origin.chunk);
                self.line.input(LineInput::Control(self.line.clock.now(), control));
            }
        }
        Ok(())
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

/// A frame on a link that stands by: whatever is of a session has no place there.
fn check_standing_by(frame: &Frame<'_>) -> Result<(), Reason> {
    let what = match *frame {
        Frame::Control { kind: PING | PONG | BYE | RESUME, .. } => return Ok(()),
        Frame::Control { kind: kind @ (AT | MARK | MARKED | STALLED), .. } => wire::kind::name(kind),
        // COPY, and those of later versions.
        Frame::Control { kind: 0x10..=0x17, .. } => return Ok(()),
        Frame::Control { kind, .. } => wire::kind::name(kind),
        Frame::Message { .. } => "a sample",
    };
    let text = format!("{what} came on a link that stands by");
    Err(Reason::new(ReasonCode::Malformed, text))
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

/// From this size on, a message or a piece of one is read to where it will be delivered rather than copied there.
const LARGE: usize = 16 * 1024;

/// How many copies are handed over at once.
const COPIES_AT_ONCE: usize = 256;

/// How many chunks a line keeps whose samples wait in mailboxes.
const CHUNKS_KEPT: usize = 8;

/// How much may be read beyond a large payload, by the same call or the next: enough for the heads of
/// what follows, and little enough to copy where that is large too.
const AHEAD: usize = 4 * 1024;

#[cfg(test)]
pub(super) mod tests;
