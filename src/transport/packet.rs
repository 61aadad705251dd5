//! Connections over lines of packets: serial lines and UDP.
//!
//! A [`Port`] sends and receives packets; the courier (`flow::courier`) makes a stream of frames of them,
//! and this file turns both into a [`Connection`]. Packets are sent by whoever has reason to, the writer,
//! an intent or the reader, one at a time: who has the *turn* polls the courier under a short lock and
//! sends outside of it; who finds the turn taken leaves, and the holder looks again before it gives it back.

use super::Connection;
use crate::diagnosis::{Diagnosis, LineCounts};
use crate::flow::courier::{Counts, Courier, Settings};
use crate::priority::Priority;
use crate::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use crate::sync::{Condvar, Mutex};
use crate::time::{self, Timestamp};
use std::io;
use std::time::{Duration, Instant};

#[cfg(feature = "testing")]
use super::fault::{FaultSwitch, packets::PacketFaults, switch::Way};

/// What packets go in and out of, once both sides opened a packet link: content alone, without framing,
/// checksums and tokens, and without the frames that open and reset links, which are the port's own.
pub(crate) trait Port: Send + Sync + 'static {
    /// Waits for the next packet, at most for `timeout`, and puts its content into `buffer`. Zero bytes: the
    /// other side ended the link. Only one thread receives at a time.
    ///
    /// # Errors
    /// Any error ends the link. After [`close`](Port::close) it returns one soon.
    fn receive(&self, buffer: &mut [u8], timeout: Duration) -> io::Result<Option<usize>>;

    /// Sends a packet, waiting for room. Only one thread sends at a time.
    ///
    /// # Errors
    /// Any error ends the link, also one that was closed in the meantime.
    fn send(&self, content: &[u8]) -> io::Result<()>;

    /// The same without waiting.
    ///
    /// # Errors
    /// `WouldBlock`: nothing of it was sent. Any other ends the link.
    fn try_send(&self, content: &[u8]) -> io::Result<()>;

    /// Makes a waiting [`receive`](Port::receive) return `None` at once, if it can: what is to be sent later
    /// may otherwise be late by some 25 ms, which is the longest a receive is asked to wait.
    fn wake(&self) {}

    /// Ends it, tells the other side if it can, and wakes what waits. Idempotent, from any thread.
    fn close(&self);

    /// Where the other end is, for events and logs; no scheme.
    fn remote(&self) -> String;

    /// How many bytes a second the line carries, where it is known.
    fn rate(&self) -> Option<u64>;

    /// The time that all waits and repairs go by.
    fn now(&self) -> Timestamp {
        time::now()
    }

    /// As [`Connection::counts`].
    fn counts(&self) -> Option<LineCounts> {
        None
    }

    /// As [`Connection::diagnose`].
    fn diagnose(&self) -> Option<Diagnosis> {
        None
    }
}

/// A [`Connection`] over a [`Port`].
pub(crate) struct PacketConnection<P> {
    port: P,
    state: Mutex<State>,
    /// There is room for what a writer waits to write, or it is time to look.
    room: Condvar,
    turn: AtomicU8,
    closed: AtomicBool,
    /// What a writer met that ended it: the reader is the one to say it.
    fault: Mutex<Option<io::Error>>,
    /// Until when the reader waits, in microseconds: who needs it earlier wakes it.
    reader_until: AtomicU64,
    /// What goes wrong on purpose.
    #[cfg(feature = "testing")]
    faults: std::sync::OnceLock<PacketFaults>,
}

struct State {
    courier: Courier,
    /// Where packets are made; whoever has the turn takes it along.
    packet: Vec<u8>,
    /// A packet that could not be sent at once.
    unsent: bool,
    /// Where packets come in; the reader takes it along.
    buffer: Vec<u8>,
    /// A writer waits for room.
    waiting: bool,
}

impl<P: Port> PacketConnection<P> {
    /// `largest` is the largest packet content this side takes, in bytes.
    pub(crate) fn new(port: P, settings: Settings, largest: usize) -> Self {
        Self {
            port,
            state: Mutex::new(State {
                courier: Courier::new(settings),
                packet: Vec::with_capacity(settings.packet),
                unsent: false,
                buffer: vec![0; largest],
                waiting: false,
            }),
            room: Condvar::new(),
            turn: AtomicU8::new(FREE),
            closed: AtomicBool::new(false),
            fault: Mutex::new(None),
            reader_until: AtomicU64::new(0),
            #[cfg(feature = "testing")]
            faults: std::sync::OnceLock::new(),
        }
    }

    pub(crate) fn port(&self) -> &P {
        &self.port
    }

    pub(crate) fn counts(&self) -> Counts {
        self.state.lock().courier.counts()
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Sends all packets that may go now, unless another thread is at it: that one does it then.
    fn pump(&self, may_wait: bool) -> io::Result<()> {
        self.pump_all(may_wait).inspect_err(|error| {
            if !self.is_closed() {
                self.fault.lock().get_or_insert_with(|| io::Error::new(error.kind(), error.to_string()));
            }
        })
    }

    fn pump_all(&self, may_wait: bool) -> io::Result<()> {
        loop {
            if self.turn.compare_exchange(FREE, TAKEN, Ordering::AcqRel, Ordering::Acquire).is_err() {
                // The holder looks again, unless it ends just now.
                if self.turn.compare_exchange(TAKEN, AGAIN, Ordering::AcqRel, Ordering::Acquire).is_ok()
                    || self.turn.load(Ordering::Acquire) == AGAIN
                {
                    return Ok(());
                }
                continue;
            }
            let result = self.send_all(may_wait);
            let again = self.turn.swap(FREE, Ordering::AcqRel) == AGAIN;
            match result {
                Ok(true) if again => {}
                Ok(_) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends what may go, as the holder of the turn; false if the port takes no more now.
    fn send_all(&self, may_wait: bool) -> io::Result<bool> {
        let mut packet = Vec::new();
        let mut borrowed = false;
        #[cfg(feature = "testing")]
        self.put_due()?;
        let result = loop {
            {
                let mut state = self.state.lock();
                if !borrowed {
                    packet = std::mem::take(&mut state.packet);
                    borrowed = true;
                }
                if !std::mem::take(&mut state.unsent) && !state.courier.poll(self.port.now(), &mut packet) {
                    self.tell_of_room(&mut state);
                    break Ok(true);
                }
            }
            match self.put(&packet, may_wait) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.state.lock().unsent = true;
                    break Ok(false);
                }
                Err(error) => break Err(error),
            }
        };
        self.state.lock().packet = packet;
        result
    }

    #[cfg(not(feature = "testing"))]
    #[inline]
    fn put(&self, packet: &[u8], may_wait: bool) -> io::Result<()> {
        if may_wait { self.port.send(packet) } else { self.port.try_send(packet) }
    }

    /// Sends a packet, or puts it among those that are held.
    #[cfg(feature = "testing")]
    fn put(&self, packet: &[u8], may_wait: bool) -> io::Result<()> {
        let Some(faults) = self.faults.get() else {
            return if may_wait { self.port.send(packet) } else { self.port.try_send(packet) };
        };
        faults.put(Way::Out, self.port.now(), packet);
        self.put_due()
    }

    /// Sends what was held until now, as the holder of the turn. What the port does not take at once is lost.
    #[cfg(feature = "testing")]
    fn put_due(&self) -> io::Result<()> {
        let Some(faults) = self.faults.get() else { return Ok(()) };
        while let Some(packet) = faults.take(Way::Out, self.port.now()) {
            match self.port.try_send(&packet) {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn tell_of_room(&self, state: &mut State) {
        if std::mem::take(&mut state.waiting) {
            self.room.notify_all();
        }
    }

    /// Has the reader come back in time for what is to be done next.
    fn mind_reader(&self, wake: Option<Timestamp>) {
        if wake.is_some_and(|wake| wake.micros() < self.reader_until.load(Ordering::Acquire)) {
            self.port.wake();
        }
    }

    /// Waits for a packet until it is time to do something else.
    fn receive(
        &self,
        buffer: &mut [u8],
        wake: Option<Timestamp>,
        patience: Duration,
    ) -> io::Result<Option<usize>> {
        #[cfg(feature = "testing")]
        let wake = self.with_held(wake);
        let here = self.port.now();
        let timeout = wake.map_or(patience, |wake| (wake - here).min(patience)).max(SHORTEST);
        self.reader_until.store((here + timeout).micros(), Ordering::Release);
        let received = self.port.receive(buffer, timeout);
        self.reader_until.store(0, Ordering::Release);
        #[cfg(feature = "testing")]
        let received = received.map(|received| self.disturbed(buffer, received));
        received
    }

    /// When it is to be looked again: what the courier says, or what is held.
    #[cfg(feature = "testing")]
    fn with_held(&self, wake: Option<Timestamp>) -> Option<Timestamp> {
        let held = self.faults.get().into_iter();
        let held = held.flat_map(|faults| [Way::Out, Way::In].map(|way| faults.next(way)));
        held.flatten().chain(wake).min()
    }

    /// What a packet that came turns into: whatever is due now.
    #[cfg(feature = "testing")]
    fn disturbed(&self, buffer: &mut [u8], received: Option<usize>) -> Option<usize> {
        let Some(faults) = self.faults.get().filter(|_| received != Some(0)) else { return received };
        if let Some(count) = received {
            faults.put(Way::In, self.port.now(), &buffer[..count]);
        }
        let packet = faults.take(Way::In, self.port.now())?;
        buffer[..packet.len()].copy_from_slice(&packet);
        Some(packet.len())
    }

    fn read_with(&self, out: &mut [u8], buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let (count, due, wake, unsent) = {
                let mut state = self.state.lock();
                let here = self.port.now();
                let count = state.courier.read(here, out);
                let due = state.unsent || state.courier.has_packet(here);
                #[cfg(feature = "testing")]
                let due = due || self.faults.get().is_some_and(|faults| faults.is_due(Way::Out, here));
                (count, due, state.courier.next_wake(), state.unsent)
            };
            if due {
                if let Err(error) = self.pump(false) {
                    return if count > 0 { Ok(count) } else { self.ended(error) };
                }
            }
            if count > 0 {
                return Ok(count);
            }
            if self.is_closed() {
                return self.fault.lock().take().map_or(Ok(0), Err);
            }
            let (wake, unsent) = if due {
                let state = self.state.lock();
                (state.courier.next_wake(), state.unsent)
            } else {
                (wake, unsent)
            };
            let patience = if unsent { RETRY } else { PATIENCE };
            if let Err(error) = self.take_in(buffer, wake, patience) {
                return self.ended(error);
            }
        }
    }

    /// Waits for a packet until it is time to do something else, and takes it in.
    fn take_in(&self, buffer: &mut [u8], wake: Option<Timestamp>, patience: Duration) -> io::Result<()> {
        match self.receive(buffer, wake, patience) {
            Ok(Some(0)) => {
                self.closed.store(true, Ordering::Release);
                self.room.notify_all();
                self.port.close();
            }
            Ok(Some(count)) => {
                let mut state = self.state.lock();
                state.courier.packet(self.port.now(), &buffer[..count]);
                self.tell_of_room(&mut state);
            }
            Ok(None) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Sends what is due and takes in what comes, but reads nothing.
    fn tend_with(&self, busy: &dyn Fn() -> bool, buffer: &mut [u8]) -> io::Result<()> {
        while busy() && !self.is_closed() {
            self.pump(false)?;
            let wake = self.state.lock().courier.next_wake();
            self.take_in(buffer, wake, RETRY)?;
        }
        Ok(())
    }

    /// What a read returns when the port fails: the end, if it was closed here.
    fn ended(&self, error: io::Error) -> io::Result<usize> {
        match self.fault.lock().take() {
            Some(fault) => Err(fault),
            None if self.is_closed() => Ok(0),
            None => Err(error),
        }
    }

    fn check_open(&self) -> io::Result<()> {
        if self.is_closed() { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
    }
}

impl<P: Port> Connection for PacketConnection<P> {
    fn read(&self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        let mut buffer = std::mem::take(&mut self.state.lock().buffer);
        let result = self.read_with(out, &mut buffer);
        self.state.lock().buffer = buffer;
        result
    }

    fn tend(&self, busy: &dyn Fn() -> bool) {
        let mut buffer = std::mem::take(&mut self.state.lock().buffer);
        let tended = self.tend_with(busy, &mut buffer);
        self.state.lock().buffer = buffer;
        match tended {
            // Only a port that does not wait says so.
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                log::debug!("{}: {error}", self.port.remote());
                self.close();
            }
            _ => {}
        }
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let paced = self.port.rate().is_some();
        let mut taken = 0;
        loop {
            self.check_open()?;
            taken += self.state.lock().courier.send(self.port.now(), &bytes[taken..]);
            self.pump(true)?;
            let mut state = self.state.lock();
            let here = self.port.now();
            let wake = state.courier.next_wake();
            // On a paced line this thread sees to it that the next packet goes in time.
            let pace = paced && state.courier.is_held_back(here);
            let done = if paced { taken == bytes.len() && !pace } else { taken > 0 };
            // What the port did not take at once from a thread that must not wait is this one's to send.
            if done && !state.unsent {
                drop(state);
                self.mind_reader(wake);
                return Ok(taken);
            }
            if self.is_closed() {
                continue;
            }
            state.waiting = true;
            let span = wake.map_or(PATIENCE, |wake| (wake - here).min(PATIENCE));
            let span = if state.unsent { span.min(RETRY) } else { span }.max(SHORTEST);
            self.room.wait_until(&mut state, Instant::now() + span);
        }
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.check_open()?;
        if self.port.rate().is_some() {
            // Nobody would see to it that what has to wait for the line goes out in time.
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let taken = self.state.lock().courier.send(self.port.now(), bytes);
        if taken == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.pump(false)?;
        let wake = {
            let state = self.state.lock();
            if state.unsent { Some(self.port.now() + RETRY) } else { state.courier.next_wake() }
        };
        self.mind_reader(wake);
        Ok(taken)
    }

    fn rate(&self) -> Option<u64> {
        self.port.rate()
    }

    fn counts(&self) -> Option<LineCounts> {
        let courier = self.counts();
        let counts = self.port.counts().unwrap_or_else(|| LineCounts {
            bytes_in: courier.bytes_in,
            bytes_out: courier.bytes_out,
            packets_in: courier.packets_in,
            packets_out: courier.packets_out,
            ..LineCounts::default()
        });
        Some(LineCounts { resent: courier.repeated, ..counts })
    }

    fn diagnose(&self) -> Option<Diagnosis> {
        self.port.diagnose()
    }

    fn lane(&self, alias: u32, lossless: bool) {
        self.state.lock().courier.lane(alias, lossless);
    }

    fn copied(&self, alias: u32) {
        self.state.lock().courier.copied(alias);
    }

    fn unsure(&self) -> Option<Vec<u32>> {
        Some(self.state.lock().courier.unsure())
    }

    fn priority(&self, alias: u32, priority: Priority) {
        self.state.lock().courier.urgent(alias, priority == Priority::Urgent);
    }

    #[cfg(feature = "testing")]
    fn disturb(&self, switch: &FaultSwitch) -> bool {
        let _ = self.faults.set(PacketFaults::new(switch));
        true
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.port.close();
        // Whoever waits has either seen the flag or is asleep by the time the lock is ours.
        drop(self.state.lock());
        self.room.notify_all();
    }

    fn remote(&self) -> String {
        self.port.remote()
    }
}

impl<P> Drop for PacketConnection<P> {
    fn drop(&mut self) {
        log::trace!("packets: {:?}", self.state.get_mut().courier.counts());
    }
}

/// Whether a thread sends, and whether it has to look again.
const FREE: u8 = 0;
const TAKEN: u8 = 1;
const AGAIN: u8 = 2;

/// The longest a reader or writer waits without looking at the clock. Who sends first on a line that was
/// quiet cannot always wake the reader, which is to send again what is not acknowledged.
const PATIENCE: Duration = Duration::from_millis(25);

/// How soon a packet that the port did not take is tried again.
const RETRY: Duration = Duration::from_millis(2);

/// Shorter is not waited: it would be no waiting at all for some ports.
const SHORTEST: Duration = Duration::from_micros(100);

#[cfg(test)]
mod tests;

#[cfg(all(test, shuttle))]
mod interleaved;
