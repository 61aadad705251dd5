//! An open serial port: packets in, packets out, and what the doctor sees of them.

use super::settings::Settings;
use crate::diagnosis::{Diagnosis, LineCounts};
use crate::flow::doctor::Doctor;
use crate::time;
use crate::transport::Cancel;
use crate::wire::cobs::{Deframer, Found, encode};
use parking_lot::{Condvar, Mutex};
use serialport::SerialPort;
use std::io::{self, ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// An open port. It stays open from one connection to the next, since opening it resets many a board; each
/// connection in turn [leases](super::lease::Lease) it.
pub(super) struct Wire {
    pub(super) settings: Settings,
    /// Taken out by the thread that reads, so that no lock is held while it waits.
    reading: Mutex<Option<Reading>>,
    writing: Mutex<Option<Writing>>,
    given_back: Condvar,
    /// The port is gone.
    dead: AtomicBool,
    pub(super) leased: AtomicBool,
    /// The OPEN that ended the last link.
    kept: Mutex<Option<Vec<u8>>>,
    doctor: Mutex<Doctor>,
}

struct Reading {
    port: Box<dyn SerialPort>,
    deframer: Deframer,
    chunk: Box<[u8]>,
    /// What was read and not yet cut lies between `start` and `end`.
    start: usize,
    end: usize,
}

struct Writing {
    port: Box<dyn Write + Send>,
    bytes: Vec<u8>,
    /// How many of `bytes` were written.
    at: usize,
    /// What stands on the line may be the beginning of something.
    torn: bool,
}

impl Wire {
    /// Opens the port, for this program alone.
    pub(super) fn open(settings: Settings) -> io::Result<Wire> {
        let (reader, writer) = open(&settings)?;
        let bound = most_content(settings.rate());
        Ok(Wire {
            reading: Mutex::new(Some(Reading {
                port: reader,
                deframer: Deframer::new(bound),
                chunk: vec![0; CHUNK].into_boxed_slice(),
                start: 0,
                end: 0,
            })),
            writing: Mutex::new(Some(Writing { port: writer, bytes: Vec::new(), at: 0, torn: true })),
            given_back: Condvar::new(),
            dead: AtomicBool::new(false),
            leased: AtomicBool::new(false),
            kept: Mutex::new(None),
            doctor: Mutex::new(Doctor::new(settings.words())),
            settings,
        })
    }

    pub(super) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    /// Tells the doctor that a connection is about to be made.
    pub(super) fn begin(&self, dials: bool) {
        self.doctor.lock().begin(time::now(), dials);
    }

    /// Keeps an OPEN for the next link.
    pub(super) fn keep(&self, content: &[u8]) {
        *self.kept.lock() = Some(content.to_vec());
    }

    /// The OPEN that was kept.
    pub(super) fn kept(&self) -> Option<Vec<u8>> {
        self.kept.lock().take()
    }

    pub(super) fn diagnose(&self) -> Option<Diagnosis> {
        // Where a thread reads, what it holds is not seen; it is looked at again soon.
        let pending = self.reading.lock().as_ref().map(|reading| reading.deframer.pending().to_vec());
        self.doctor.lock().diagnose(time::now(), &pending.unwrap_or_default())
    }

    pub(super) fn counts(&self) -> LineCounts {
        self.doctor.lock().counts()
    }

    /// Waits for the next packet and copies its content; none came if it returns none.
    pub(super) fn receive(
        &self,
        buffer: &mut [u8],
        timeout: Duration,
        closed: &Cancel,
    ) -> io::Result<Option<usize>> {
        let deadline = Instant::now() + timeout.min(LONGEST_WAIT);
        let Some(mut reading) = self.take(&self.reading, deadline, closed)? else { return Ok(None) };
        let received = self.read_packet(&mut reading, buffer, deadline, closed);
        match received {
            Err(error) if !closed.is_cancelled() => Err(self.lost(&error)),
            received => {
                self.give_back(&self.reading, reading);
                received
            }
        }
    }

    fn read_packet(
        &self,
        reading: &mut Reading,
        buffer: &mut [u8],
        deadline: Instant,
        closed: &Cancel,
    ) -> io::Result<Option<usize>> {
        loop {
            let Reading { port, deframer, chunk, start, end } = reading;
            let mut input = &chunk[*start..*end];
            while let Some(found) = deframer.next(&mut input) {
                self.doctor.lock().found(time::now(), &found);
                let Found::Packet(content) = found else { continue };
                if let Some(place) = buffer.get_mut(..content.len()) {
                    place.copy_from_slice(content);
                    *start = *end - input.len();
                    return Ok(Some(content.len()));
                }
            }
            (*start, *end) = (0, 0);
            if closed.is_cancelled() {
                return Err(ErrorKind::ConnectionAborted.into());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            port.set_timeout(left.min(SLICE))?;
            match port.read(chunk) {
                Ok(0) => return Err(ErrorKind::BrokenPipe.into()),
                Ok(count) => {
                    *end = count;
                    self.doctor.lock().bytes(time::now(), &chunk[..count]);
                }
                // On serial ports this is all the waiting there is, and no fault.
                Err(error) if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::Interrupted) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes a packet, waiting for room; a packet that a port takes no room for in time is given up. Where
    /// `waits` is not set, a packet for which there is no room now is `WouldBlock`.
    pub(super) fn send(&self, content: &[u8], waits: bool, closed: &Cancel) -> io::Result<()> {
        let deadline = Instant::now() + if waits { STALLED } else { Duration::ZERO };
        let Some(mut writing) = self.take(&self.writing, deadline, closed)? else {
            return Err(ErrorKind::WouldBlock.into());
        };
        let sent = self.write_packet(&mut writing, content, deadline, closed);
        match sent {
            Err(error) if error.kind() != ErrorKind::WouldBlock && !closed.is_cancelled() => {
                Err(self.lost(&error))
            }
            sent => {
                self.give_back(&self.writing, writing);
                sent
            }
        }
    }

    fn write_packet(
        &self,
        writing: &mut Writing,
        content: &[u8],
        deadline: Instant,
        closed: &Cancel,
    ) -> io::Result<()> {
        let waits = deadline > Instant::now();
        let mut done = writing.flush(deadline, closed)?;
        if done {
            writing.bytes.clear();
            writing.at = 0;
            if std::mem::take(&mut writing.torn) {
                // It ends whatever came before.
                writing.bytes.push(0);
            }
            encode(content, &mut writing.bytes);
            done = writing.flush(deadline, closed)?;
            if done || !waits {
                // What was not written goes ahead of the next packet.
                self.doctor.lock().sent(time::now(), content, writing.bytes.len());
                return Ok(());
            }
        }
        if !waits {
            return Err(ErrorKind::WouldBlock.into());
        }
        // The line takes nothing: what waits for it would only grow old.
        writing.bytes.clear();
        writing.at = 0;
        writing.torn = true;
        self.doctor.lock().stalled(time::now());
        Ok(())
    }

    /// What a thread needs for itself, as soon as no other one has it.
    fn take<T>(&self, place: &Mutex<Option<T>>, deadline: Instant, closed: &Cancel) -> io::Result<Option<T>> {
        let mut held = place.lock();
        loop {
            if closed.is_cancelled() {
                return Err(ErrorKind::ConnectionAborted.into());
            }
            if self.is_dead() {
                return Err(self.gone("it was unplugged"));
            }
            if let Some(taken) = held.take() {
                return Ok(Some(taken));
            }
            if self.given_back.wait_until(&mut held, deadline).timed_out() {
                return Ok(None);
            }
        }
    }

    fn give_back<T>(&self, place: &Mutex<Option<T>>, taken: T) {
        let mut held = place.lock();
        if !self.is_dead() {
            *held = Some(taken);
        }
        drop(held);
        self.given_back.notify_all();
    }

    /// The port is gone: closes what is left of it, so that its name is free for when it comes back.
    fn lost(&self, error: &io::Error) -> io::Error {
        self.dead.store(true, Ordering::Release);
        let reading = self.reading.lock().take();
        let writing = self.writing.lock().take();
        drop((reading, writing));
        self.given_back.notify_all();
        self.gone(&error.to_string())
    }

    fn gone(&self, why: &str) -> io::Error {
        io::Error::new(ErrorKind::BrokenPipe, format!("the port {} is gone: {why}", self.settings.name))
    }
}

impl Writing {
    /// Writes what waits; false if there was no room for all of it in time.
    fn flush(&mut self, deadline: Instant, closed: &Cancel) -> io::Result<bool> {
        let mut pause = Duration::from_millis(1);
        while let Some(rest) = self.bytes.get(self.at..).filter(|rest| !rest.is_empty()) {
            match self.port.write(rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => self.at += count,
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                        let left = deadline.saturating_duration_since(Instant::now());
                        if left.is_zero() || closed.wait(pause.min(left)) {
                            return Ok(false);
                        }
                        pause = (pause * 2).min(Duration::from_millis(20));
                    }
                    _ => return Err(error),
                },
            }
        }
        Ok(true)
    }
}

/// Opens a port for reading and for writing without waiting.
#[cfg(unix)]
fn open(settings: &Settings) -> io::Result<(Box<dyn SerialPort>, Box<dyn Write + Send>)> {
    use std::os::unix::fs::OpenOptionsExt;
    // The crate's port waits in a write until the line takes all, which may be never; a second descriptor
    // does not. It must come first: behind the other one the port is not to be had any more.
    let writer = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NOCTTY | libc::O_NONBLOCK)
        .open(&settings.path)
        .map_err(|error| explain(settings, &error))?;
    let reader =
        settings.builder().timeout(SLICE).open().map_err(|error| explain(settings, &error.into()))?;
    Ok((reader, Box::new(writer)))
}

#[cfg(not(unix))]
fn open(settings: &Settings) -> io::Result<(Box<dyn SerialPort>, Box<dyn Write + Send>)> {
    let explained = |error: serialport::Error| explain(settings, &error.into());
    let reader = settings.builder().timeout(SLICE).open().map_err(explained)?;
    let writer = reader.try_clone().map_err(explained)?;
    Ok((reader, Box::new(writer)))
}

/// Why a port cannot be opened, and what to do about it.
fn explain(settings: &Settings, error: &io::Error) -> io::Error {
    let name = &settings.name;
    let text = match error.kind() {
        ErrorKind::NotFound if std::fs::exists(&settings.path).unwrap_or(false) => {
            return in_use(name, &error.to_string());
        }
        ErrorKind::NotFound => format!(
            "there is no port {name}: it is not plugged in, or goes by another name; adapters keep theirs under \
             /dev/serial/by-id, `serial:by-id/…`"
        ),
        ErrorKind::PermissionDenied => format!(
            "no right to open {name}: the user this runs as must be in the group the port belongs to, mostly `dialout`"
        ),
        ErrorKind::ResourceBusy => return in_use(name, &error.to_string()),
        ErrorKind::NotADirectory => {
            format!("there is no port {name}: a URL to listen at ends with the port, without a peer's path")
        }
        _ => format!("{name} cannot be used as a serial port: {error}"),
    };
    io::Error::new(error.kind(), text)
}

/// Another program, or another link of this one, has the port.
pub(super) fn in_use(name: &str, why: &str) -> io::Error {
    io::Error::new(
        ErrorKind::ResourceBusy,
        format!("the port {name} is in use ({why}); only one can have it"),
    )
}

/// The longest content of a packet that is taken: what the line carries in 25 ms, so that a damaged one costs
/// little and an urgent one waits little.
pub(super) fn most_content(rate: u64) -> usize {
    usize::try_from(rate / 40).unwrap_or(usize::MAX).clamp(64, 1024)
}

/// How much is read at once.
const CHUNK: usize = 4096;

/// How soon a thread that waits in a port looks whether the port was closed.
const SLICE: Duration = Duration::from_millis(50);

/// The longest time to wait for a packet.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// How long a port may take nothing before what was to be sent is given up.
const STALLED: Duration = Duration::from_millis(100);
