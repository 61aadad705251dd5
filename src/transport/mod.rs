//! Bytes in, bytes out: how connections are made and accepted.
//!
//! A [`Transport`] dials and listens for one URL scheme. TCP, Unix sockets and an in-process memory
//! pair are built in, and serial ports; a program can add its own with
//! [`EndpointBuilder::transport`](crate::EndpointBuilder::transport).
//!
//! | Transport | Address | What a peer that reads nothing holds at most |
//! | --- | --- | --- |
//! | [`Tcp`] | `host:port` | 512 KiB in the system here (1 MiB within a machine), 2 MiB there |
//! | [`Udp`] | `host:port` | 512 KiB in the system here, 1 MiB there |
//! | `Unix` | `/path/of/socket` | 512 KiB in the system |
//! | [`Memory`] | `name` | 64 KiB each way |
//! | [`Serial`] | `/dev/ttyUSB0` | 16 KiB each way, and a packet in the system |

use crate::diagnosis::{Diagnosis, LineCounts};
use crate::priority::Priority;
use parking_lot::{Condvar, Mutex};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

#[cfg(any(target_os = "linux", target_os = "android"))]
mod carrier;
#[cfg(feature = "testing")]
pub(crate) mod fault;
pub mod memory;
mod outlook;
#[allow(dead_code)]
pub(crate) mod packet;
mod resolve;
mod serial;
mod socket;
mod tcp;
pub(crate) mod udp;
#[cfg(unix)]
mod unix;

pub use memory::Memory;
pub use outlook::Outlook;
pub use serial::Serial;
pub use tcp::Tcp;
pub use udp::Udp;
#[cfg(unix)]
pub use unix::Unix;

/// Makes and accepts connections for one URL scheme.
pub trait Transport: Send + Sync + 'static {
    /// The scheme of the URLs it serves, such as `tcp`: lower-case letters, digits, `+`, `-`.
    fn scheme(&self) -> &str;

    /// Connects to `address`, the part of the URL between `scheme://` and the peer's path; behind it, where
    /// the URL has options other than `scope`, a `?` and these: `/dev/ttyUSB0?baud=9600&parity=even`.
    ///
    /// It may block for `timeout`, and should look at `cancel` at least every 100 ms.
    ///
    /// # Errors
    /// Whatever the system says. It is reported in an event and tried again.
    fn dial(&self, address: &str, timeout: Duration, cancel: &Cancel) -> io::Result<Arc<dyn Connection>>;

    /// What is known of the way to `address` before dialling it. It is asked before each attempt and ten times a second
    /// while a link waits for the next one, which is made at once when the answer
    /// [is better](Outlook::is_better_than) than the one before. It must not wait, and must cost little. The default
    /// knows nothing.
    fn outlook(&self, address: &str) -> Outlook {
        let _ = address;
        Outlook::default()
    }

    /// Starts to listen at `address`, the part of the URL behind `scheme://`, with its options.
    ///
    /// # Errors
    /// Whatever the system says; [`EndpointBuilder::start`](crate::EndpointBuilder::start) returns it.
    fn listen(&self, address: &str) -> io::Result<Arc<dyn Listener>>;
}

/// Accepts connections at one address. Dropping it frees the address.
pub trait Listener: Send + Sync + 'static {
    /// Waits for the next connection. After [`close`](Listener::close) it returns an error soon.
    ///
    /// # Errors
    /// Whatever the system says. The caller pauses and tries again unless the listener was closed.
    fn accept(&self) -> io::Result<Arc<dyn Connection>>;

    /// The address it really listens at, with a system-chosen port filled in.
    fn address(&self) -> String;

    /// Wakes a waiting [`accept`](Listener::accept). Can be called from any thread, more than once.
    fn close(&self);
}

/// A stream of bytes in both directions, used by one reading and one writing thread at once.
pub trait Connection: Send + Sync + 'static {
    /// Waits for bytes and returns how many came; 0 means the other side ended the stream.
    ///
    /// # Errors
    /// Any error ends the link, save `Interrupted`, which is tried again.
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Reads into several buffers in order, as [`read`](Connection::read) does into one.
    ///
    /// # Errors
    /// As [`read`](Connection::read).
    fn read_vectored(&self, buffers: &mut [io::IoSliceMut<'_>]) -> io::Result<usize> {
        match buffers.iter_mut().find(|b| !b.is_empty()) {
            Some(buffer) => self.read(buffer),
            None => Ok(0),
        }
    }

    /// Writes some of `bytes`, waiting for room, and returns how many were taken.
    ///
    /// # Errors
    /// Any error ends the link, save `Interrupted`, which is tried again.
    fn write(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Writes from several buffers in order, as [`write`](Connection::write) does from one.
    ///
    /// # Errors
    /// As [`write`](Connection::write).
    fn write_vectored(&self, buffers: &[io::IoSlice<'_>]) -> io::Result<usize> {
        match buffers.iter().find(|b| !b.is_empty()) {
            Some(buffer) => self.write(buffer),
            None => Ok(0),
        }
    }

    /// Writes what fits without waiting. It is called by application threads in `send`, so it must
    /// not block; the default takes nothing, and everything goes through the writer thread. It is
    /// never called while a [`write`](Connection::write) is under way.
    ///
    /// # Errors
    /// `WouldBlock` where nothing fits; anything else ends the link.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let _ = bytes;
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// Writes from several buffers in order, as [`try_write`](Connection::try_write) does from one.
    ///
    /// # Errors
    /// As [`try_write`](Connection::try_write).
    fn try_write_vectored(&self, buffers: &[io::IoSlice<'_>]) -> io::Result<usize> {
        match buffers.iter().find(|b| !b.is_empty()) {
            Some(buffer) => self.try_write(buffer),
            None => Ok(0),
        }
    }

    /// How many bytes a second the line carries, where it is known and slow enough to matter, as on a serial
    /// line. Pings are then rare enough to cost at most 1 % of it, and little is queued ahead of it.
    fn rate(&self) -> Option<u64> {
        None
    }

    /// Tells how samples sent under `alias` are to be carried, before the first is written: all of them,
    /// in order, if `lossless`, else as soon as possible or not at all. Lines that lose nothing ignore it.
    fn lane(&self, alias: u32, lossless: bool) {
        let _ = (alias, lossless);
    }

    /// Tells that copies of the samples under `alias`, which go by [`lane`](Connection::lane), go over other connections, before
    /// the first is written: their numbers have to be known there at any time, so no sample may overtake what tells of
    /// others that are missing. Lines that keep the order ignore it.
    fn copied(&self, alias: u32) {
        let _ = alias;
    }

    /// For lines that may lose samples while they last: aliases whose samples the other side may have counted with too low
    /// numbers, as samples overtake what tells of others that are missing, and that may not have come. Asked once nothing
    /// more is written. Of these nothing is sent again on another connection. The default, `None`, is for lines that keep the
    /// order and lose nothing.
    fn unsure(&self) -> Option<Vec<u32>> {
        None
    }

    /// Does what a [`read`](Connection::read) does beside reading, as long as `busy` says so: nobody reads, as the session of another
    /// link is about to go on over this connection, and what is left to be written goes first. A line that takes in
    /// acknowledgements and repairs what was lost by its reader has to do so here, or the writer waits for ever; what comes to be
    /// read is kept. The default, which does nothing, is for all others.
    fn tend(&self, busy: &dyn Fn() -> bool) {
        let _ = busy;
    }

    /// Tells how urgent samples under `alias` are, before the first is written. What is written comes in the right
    /// order already: only lines that keep queues of their own need to know.
    fn priority(&self, alias: u32, priority: Priority) {
        let _ = (alias, priority);
    }

    /// The peer is given up once it was silent for `span`, which is what this endpoint finds out by pings. A transport
    /// that has limits of its own in the system sets them by it: they must come later, and not much. It is told once,
    /// before anything is read or written.
    fn expect_silence(&self, span: Duration) {
        let _ = span;
    }

    /// What went over the line so far, where the transport counts it itself because framing and repairs add to
    /// what is read and written here.
    fn counts(&self) -> Option<LineCounts> {
        None
    }

    /// What is wrong with the line, where the transport can tell. It is asked about once a second and must
    /// not wait.
    fn diagnose(&self) -> Option<Diagnosis> {
        None
    }

    /// Has what `switch` says go wrong with each packet, where the connection is over a line of packets;
    /// false where it is none.
    #[cfg(feature = "testing")]
    #[doc(hidden)]
    fn disturb(&self, switch: &fault::FaultSwitch) -> bool {
        let _ = switch;
        false
    }

    /// Ends both directions and wakes a blocked read and write. Idempotent, from any thread.
    fn close(&self);

    /// Where the other end is, for events and logs; no scheme.
    fn remote(&self) -> String;
}

/// Tells a dialling thread that its result is no longer wanted.
///
/// ```
/// let cancel = bowline::transport::Cancel::default();
/// let for_the_thread = cancel.clone();
/// cancel.cancel();
/// assert!(for_the_thread.is_cancelled());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    cancelled: AtomicBool,
    lock: Mutex<()>,
    changed: Condvar,
}

impl Cancel {
    /// Asks for the end. Cannot be taken back.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Release);
        // Whoever waits has either seen the flag or is asleep by the time the lock is ours.
        drop(self.0.lock.lock());
        self.0.changed.notify_all();
    }

    /// Whether the end was asked for.
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::Acquire)
    }

    /// Waits for `span`, or until the end is asked for; returns whether it was. For transports that
    /// must try something again after a pause.
    ///
    /// ```
    /// use std::time::Duration;
    /// let cancel = bowline::transport::Cancel::default();
    /// assert!(!cancel.wait(Duration::from_millis(1)));
    /// cancel.cancel();
    /// assert!(cancel.wait(Duration::from_secs(3600))); // at once
    /// ```
    pub fn wait(&self, span: Duration) -> bool {
        let end = Instant::now().checked_add(span);
        let mut guard = self.0.lock.lock();
        while !self.is_cancelled() {
            match end {
                Some(end) if self.0.changed.wait_until(&mut guard, end).timed_out() => break,
                Some(_) => {}
                None => self.0.changed.wait(&mut guard),
            }
        }
        self.is_cancelled()
    }
}

/// What a dial that was cancelled fails with.
fn cancelled() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "no longer wanted")
}

/// When the time allowed for dialling is over.
fn deadline_after(timeout: Duration) -> Instant {
    // Longer is not meant, and a duration without end would overflow the clock's arithmetic.
    Instant::now() + timeout.min(Duration::from_secs(24 * 3600))
}

/// The pauses between two looks at something that announces no change by itself: short at first,
/// for what takes a moment, then no more than 50 looks a second.
struct Pauses(Duration);

impl Pauses {
    const FIRST: Duration = Duration::from_millis(1);
    const LONGEST: Duration = Duration::from_millis(20);

    fn new() -> Self {
        Self(Self::FIRST)
    }

    /// Waits for the next pause, but not past `deadline`.
    fn wait(&mut self, deadline: Instant, cancel: &Cancel) -> io::Result<()> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "no answer within the time allowed"));
        }
        if cancel.wait(self.0.min(left)) {
            return Err(cancelled());
        }
        self.0 = (self.0 * 2).min(Self::LONGEST);
        Ok(())
    }
}
