//! How a packet link on a serial port is opened: OPEN, and OPENED in answer.
//!
//! ```text
//!  dialler                                    acceptor
//!     │                          (once, when it starts) RESET │
//!     │ ── OPEN token ── again every 200 ms ────────────────► │  answers each, and any other frame with RESET
//!     │ ◄──────────────────────────────────── OPENED token ── │
//!   stands                                                stands: what comes next is the courier's
//! ```

use super::lease::{Lease, Linked};
use super::wire::most_content;
use crate::flow::courier::{Frames, Settings};
use crate::transport::packet::PacketConnection;
use crate::transport::{Cancel, Connection, cancelled};
use crate::wire::cobs::most_encoded;
use crate::wire::packet::{self, Open, Opened, PacketFrame, VERSION};
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How a link was opened.
pub(super) struct Opening {
    pub(super) token: u32,
    /// What the acceptor said, to be said again.
    pub(super) answer: Option<Box<[u8]>>,
}

/// Opens a link, asking again until `deadline`.
pub(super) fn dial(lease: Lease, deadline: Instant, cancel: &Cancel) -> io::Result<Arc<dyn Connection>> {
    let wire = Arc::clone(&lease.wire);
    let rate = wire.settings.rate();
    wire.begin(true);
    let token = token();
    let mut open = Vec::new();
    let packet = u16::try_from(most_content(rate)).unwrap_or(u16::MAX);
    packet::put_open(&mut open, &Open { version: VERSION, token, packet, window: WINDOW, cookie: &[] });
    // On a slow line asking takes at most a tenth of it.
    let every = ASK.max(time_of(10 * most_encoded(open.len()), rate));
    // On a slow line an answer takes its time.
    let deadline = deadline + time_of(8 * most_encoded(open.len()), rate);
    let mut buffer = vec![0; most_content(rate)];
    loop {
        lease.send(&open)?;
        let next = Instant::now() + every;
        while Instant::now() < next {
            if cancel.is_cancelled() {
                return Err(cancelled());
            }
            if Instant::now() >= deadline {
                return Err(match wire.diagnose() {
                    Some(diagnosis) => io::Error::new(ErrorKind::TimedOut, diagnosis),
                    None => {
                        let text = format!("the other end of {} does not answer", wire.settings.words());
                        io::Error::new(ErrorKind::TimedOut, text)
                    }
                });
            }
            let left = next.min(deadline).saturating_duration_since(Instant::now());
            let Some(count) = lease.receive(&mut buffer, left.min(LOOK))? else { continue };
            match packet::decode(&buffer[..count]) {
                Ok(PacketFrame::Opened(opened)) if opened.yours == token => {
                    let opening = Opening { token, answer: None };
                    return Ok(connection(lease, opening, opened.packet, opened.window));
                }
                Ok(PacketFrame::OpenedOther { .. }) => {
                    if let Some(diagnosis) = wire.diagnose() {
                        return Err(io::Error::new(ErrorKind::InvalidData, diagnosis));
                    }
                }
                _ => {}
            }
        }
    }
}

/// Who waits to be dialled.
pub(super) struct Waiting {
    /// The port was just opened: the other side may believe that a link stands.
    fresh: bool,
    /// When RESET may be said again.
    next_reset: Instant,
    next_look: Instant,
}

impl Waiting {
    /// Begins to wait on a port, which may be freshly opened.
    pub(super) fn new(lease: &Lease, fresh: bool) -> Self {
        lease.wire.begin(false);
        Self { fresh, next_reset: Instant::now(), next_look: Instant::now() + LOOK_FOR_FAULTS }
    }

    /// Waits until a link is opened, or it is time to look for faults: then none. The lease is used up by a link.
    pub(super) fn accept(
        &mut self,
        lease: &mut Option<Lease>,
        closed: &Cancel,
    ) -> io::Result<Option<Arc<dyn Connection>>> {
        let Some(held) = lease else { return Ok(None) };
        if std::mem::take(&mut self.fresh) {
            self.reset(held)?;
        }
        let rate = held.wire.settings.rate();
        let mut buffer = vec![0; most_content(rate)];
        loop {
            if closed.is_cancelled() {
                return Err(cancelled());
            }
            let count = match held.wire.kept() {
                Some(content) => {
                    let count = content.len().min(buffer.len());
                    buffer[..count].copy_from_slice(&content[..count]);
                    Some(count)
                }
                None => held.receive(&mut buffer, LOOK)?,
            };
            if Instant::now() >= self.next_look {
                self.next_look = Instant::now() + LOOK_FOR_FAULTS;
                if count.is_none() {
                    return Ok(None);
                }
            }
            let Some(count) = count else { continue };
            match packet::decode(&buffer[..count]) {
                Ok(PacketFrame::Open(open)) => {
                    let answer = self.answer(held, open.token)?;
                    let opening = Opening { token: open.token, answer: Some(answer) };
                    let Some(lease) = lease.take() else { return Ok(None) };
                    return Ok(Some(connection(lease, opening, open.packet, open.window)));
                }
                // It sees from our answer that no version is spoken by both.
                Ok(PacketFrame::OpenOther { token, .. }) => {
                    self.answer(held, token)?;
                }
                Ok(
                    PacketFrame::Opened(_)
                    | PacketFrame::OpenedOther { .. }
                    | PacketFrame::Retry { .. }
                    | PacketFrame::Reset { .. },
                )
                | Err(_) => {}
                Ok(_) => self.reset(held)?,
            }
        }
    }

    fn answer(&self, lease: &Lease, yours: u32) -> io::Result<Box<[u8]>> {
        let packet = u16::try_from(most_content(lease.wire.settings.rate())).unwrap_or(u16::MAX);
        let opened = Opened { version: VERSION, yours, mine: token(), packet, window: WINDOW };
        let mut content = Vec::new();
        packet::put_opened(&mut content, &opened);
        lease.send(&content)?;
        Ok(content.into_boxed_slice())
    }

    /// Says that there is no link, at most ten times a second.
    fn reset(&mut self, lease: &Lease) -> io::Result<()> {
        if Instant::now() < self.next_reset {
            return Ok(());
        }
        self.next_reset = Instant::now() + RESET_EVERY;
        let mut content = Vec::new();
        packet::put_reset(&mut content, 0);
        lease.send(&content)
    }
}

/// A connection over a link that was opened.
fn connection(lease: Lease, opening: Opening, packet: u16, window: u32) -> Arc<dyn Connection> {
    let rate = lease.wire.settings.rate();
    let settings = Settings {
        fifo: true,
        // No longer than the line carries in a moment, even if the other side takes more.
        packet: usize::from(packet).min(most_content(rate)),
        window_in: WINDOW as usize,
        window_out: window as usize,
        rate: Some(rate),
        frames: Frames::Single,
        overhead: most_encoded(0),
    };
    Arc::new(PacketConnection::new(Linked::new(lease, opening), settings, most_content(rate)))
}

/// A random one, whose low half is not 0.
fn token() -> u32 {
    u32::from(fastrand::u16(..)) << 16 | u32::from(fastrand::u16(1..))
}

fn time_of(bytes: usize, rate: u64) -> Duration {
    Duration::from_micros(bytes as u64 * 1_000_000 / rate)
}

/// How many bytes of the repaired stream are held each way: more than the line carries in a second, mostly.
const WINDOW: u32 = 16 * 1024;

/// How often OPEN is said.
const ASK: Duration = Duration::from_millis(200);

/// How soon a thread that opens a link sees that it is not wanted any more.
const LOOK: Duration = Duration::from_millis(50);

/// How often a listener asks what is wrong.
const LOOK_FOR_FAULTS: Duration = Duration::from_secs(1);

const RESET_EVERY: Duration = Duration::from_millis(100);
