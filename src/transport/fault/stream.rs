//! What goes wrong with streams: a thread for each direction holds what is under way.
//!
//! ```text
//!  writer ─► out ─► thread ─► connection        connection ─► thread ─► into ─► reader
//! ```

use super::course::Course;
use super::switch::{FaultSwitch, Way};
use crate::time::{Timestamp, now};
use crate::transport::Connection;
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// A connection on which things go wrong.
pub(super) struct FaultStream {
    inner: Arc<dyn Connection>,
    out: Arc<Pipe>,
    into: Arc<Pipe>,
}

impl FaultStream {
    /// Takes over `inner`, with two threads that end with it.
    pub(super) fn start(inner: Arc<dyn Connection>, switch: &FaultSwitch) -> io::Result<Self> {
        let out = Arc::new(Pipe::new(switch, Way::Out));
        let into = Arc::new(Pipe::new(switch, Way::In));
        let stream = Self { inner, out, into };
        let (inner, out) = (Arc::clone(&stream.inner), Arc::clone(&stream.out));
        let (reading, into) = (Arc::clone(&stream.inner), Arc::clone(&stream.into));
        let remote = stream.inner.remote();
        let name = format!("bowline/fault {remote} out");
        thread::Builder::new().name(name).spawn(move || write_on(&*inner, &out))?;
        let name = format!("bowline/fault {remote} in");
        // Without it, dropping the stream ends the first.
        thread::Builder::new().name(name).spawn(move || read_on(&*reading, &into))?;
        Ok(stream)
    }
}

/// Writes on what is due. At the end the connection is closed, once that can be told.
fn write_on(inner: &dyn Connection, out: &Pipe) {
    let mut piece = vec![0; PIECE];
    loop {
        match out.read(&mut piece) {
            Ok(0) | Err(_) => break,
            Ok(count) => {
                let mut done = 0;
                while done < count {
                    match inner.write(&piece[done..count]) {
                        Ok(0) => return out.close(Some(io::ErrorKind::BrokenPipe)),
                        Ok(more) => done += more,
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => return out.close(Some(error.kind())),
                    }
                }
            }
        }
    }
    let begun = Instant::now();
    while begun.elapsed() < LONGEST_UNTOLD && !out.switch.wait_passes(Way::Out, LOOK) {}
    inner.close();
}

/// Reads until the connection ends.
fn read_on(inner: &dyn Connection, into: &Pipe) {
    let mut piece = vec![0; PIECE];
    loop {
        match inner.read(&mut piece) {
            Ok(0) => return into.end(None),
            Ok(count) => {
                let mut done = 0;
                while done < count {
                    match into.write(&piece[done..count], true) {
                        Ok(more) => done += more,
                        Err(_) => return,
                    }
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return into.end(Some(error.kind())),
        }
    }
}

impl Connection for FaultStream {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() { Ok(0) } else { self.into.read(buffer) }
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes, true)
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes, false)
    }

    fn rate(&self) -> Option<u64> {
        self.inner.rate()
    }

    fn lane(&self, alias: u32, lossless: bool) {
        self.inner.lane(alias, lossless);
    }

    fn copied(&self, alias: u32) {
        self.inner.copied(alias);
    }

    fn unsure(&self) -> Option<Vec<u32>> {
        self.inner.unsure()
    }

    fn tend(&self, busy: &dyn Fn() -> bool) {
        self.inner.tend(busy);
    }

    fn close(&self) {
        self.into.close(None);
        // What was written before still goes out, and then the end is told.
        self.out.end(None);
    }

    fn remote(&self) -> String {
        self.inner.remote()
    }
}

impl Drop for FaultStream {
    fn drop(&mut self) {
        self.close();
    }
}

/// What is under way in one direction.
struct Pipe {
    switch: FaultSwitch,
    way: Way,
    content: Mutex<Content>,
    changed: Condvar,
}

struct Content {
    course: Course,
    pieces: VecDeque<(Timestamp, Vec<u8>)>,
    /// Of the first piece, what was read.
    read: usize,
    bytes: usize,
    /// Nothing more is written, and how it ended.
    ended: Option<Option<io::ErrorKind>>,
    /// Nothing more is read either.
    closed: bool,
}

impl Pipe {
    fn new(switch: &FaultSwitch, way: Way) -> Self {
        let content = Content {
            course: switch.course(),
            pieces: VecDeque::new(),
            read: 0,
            bytes: 0,
            ended: None,
            closed: false,
        };
        Self { switch: switch.clone(), way, content: Mutex::new(content), changed: Condvar::new() }
    }

    fn write(&self, bytes: &[u8], may_wait: bool) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let mut content = self.content.lock();
        while content.bytes >= MOST_HELD && content.ended.is_none() {
            if !may_wait {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.changed.wait(&mut content);
        }
        if let Some(kind) = content.ended {
            return Err(kind.unwrap_or(io::ErrorKind::BrokenPipe).into());
        }
        let faults = self.switch.faults_once_healed(self.way);
        let mut piece = bytes[..bytes.len().min(PIECE)].to_vec();
        let course = content.course.piece(now(), &faults, piece.len());
        if let Some(bit) = course.flipped {
            piece[bit / 8] ^= 1 << (bit % 8);
        }
        let count = piece.len();
        content.bytes += count;
        content.pieces.push_back((course.comes, piece));
        drop(content);
        self.changed.notify_all();
        Ok(count)
    }

    /// Waits for what is due.
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut content = self.content.lock();
        loop {
            if content.closed {
                return Ok(0);
            }
            let due = content.pieces.front().map(|(comes, _)| *comes - now());
            match (due, content.ended) {
                (Some(Duration::ZERO), _) if self.switch.faults(self.way).is_some() => break,
                (None, Some(_)) if self.switch.faults(self.way).is_none() => self.wait_passes(&mut content),
                (None, Some(None)) => return Ok(0),
                (None, Some(Some(kind))) => return Err(kind.into()),
                (None, None) => self.changed.wait(&mut content),
                (Some(Duration::ZERO), _) => self.wait_passes(&mut content),
                (Some(wait), _) => {
                    self.changed.wait_for(&mut content, wait.min(LOOK));
                }
            }
        }
        let read = content.read;
        let Some((_, piece)) = content.pieces.front() else { return Ok(0) };
        let count = (piece.len() - read).min(buffer.len());
        buffer[..count].copy_from_slice(&piece[read..read + count]);
        content.read += count;
        content.bytes -= count;
        if piece_is_over(&content) {
            content.pieces.pop_front();
            content.read = 0;
        }
        drop(content);
        self.changed.notify_all();
        Ok(count)
    }

    /// Waits for the end of a partition, without the lock.
    fn wait_passes(&self, content: &mut MutexGuard<'_, Content>) {
        MutexGuard::unlocked(content, || self.switch.wait_passes(self.way, LOOK));
    }

    /// Nothing more is written; what is under way still comes.
    fn end(&self, kind: Option<io::ErrorKind>) {
        self.content.lock().ended.get_or_insert(kind);
        self.changed.notify_all();
    }

    /// Nothing more is written nor read.
    fn close(&self, kind: Option<io::ErrorKind>) {
        let mut content = self.content.lock();
        content.ended.get_or_insert(kind);
        content.closed = true;
        content.pieces.clear();
        drop(content);
        self.changed.notify_all();
    }
}

fn piece_is_over(content: &Content) -> bool {
    content.pieces.front().is_some_and(|(_, piece)| content.read >= piece.len())
}

/// What goes its way together.
const PIECE: usize = 16 * 1024;

/// How many bytes are under way each way, about; whoever writes more waits.
const MOST_HELD: usize = 1 << 20;

/// The longest a thread waits without looking whether something changed.
const LOOK: Duration = Duration::from_millis(20);

/// How long a connection that was closed during a partition stays open below.
const LONGEST_UNTOLD: Duration = Duration::from_secs(30);
