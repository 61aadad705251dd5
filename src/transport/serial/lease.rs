//! The use of an open port by one connection at a time, and the ports a transport holds.

use super::opening::Opening;
use super::settings::Settings;
use super::wire::{Wire, in_use};
use crate::diagnosis::{Diagnosis, LineCounts};
use crate::transport::Cancel;
use crate::transport::packet::Port;
use crate::wire::packet::{self, PacketFrame};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The ports that are open, by the system's names for them.
#[derive(Default)]
pub(super) struct Ports(Mutex<HashMap<String, Arc<Wire>>>);

impl Ports {
    /// The port for one connection, opened if it is not; true if it was not.
    pub(super) fn lease(&self, settings: &Settings) -> io::Result<(Lease, bool)> {
        let known = self.0.lock().get(&settings.path).cloned();
        if let Some(wire) = known.filter(|wire| !wire.is_dead()) {
            if wire.settings != *settings {
                return Err(in_use(&settings.name, "by this endpoint, with other options"));
            }
            if wire.leased.swap(true, Ordering::AcqRel) {
                return Err(in_use(&settings.name, "by another link of this endpoint"));
            }
            return Ok((Lease { wire, closed: Cancel::default() }, false));
        }
        let wire = Arc::new(Wire::open(settings.clone())?);
        wire.leased.store(true, Ordering::Release);
        self.0.lock().insert(settings.path.clone(), Arc::clone(&wire));
        Ok((Lease { wire, closed: Cancel::default() }, true))
    }

    /// Whether this transport has the port open.
    pub(super) fn has(&self, settings: &Settings) -> bool {
        self.0.lock().get(&settings.path).is_some_and(|wire| !wire.is_dead())
    }
}

/// A port, for one connection.
pub(super) struct Lease {
    pub(super) wire: Arc<Wire>,
    pub(super) closed: Cancel,
}

impl Lease {
    pub(super) fn receive(&self, buffer: &mut [u8], timeout: Duration) -> io::Result<Option<usize>> {
        self.wire.receive(buffer, timeout, &self.closed)
    }

    pub(super) fn send(&self, content: &[u8]) -> io::Result<()> {
        self.wire.send(content, true, &self.closed)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.closed.is_cancelled() {
            self.closed.cancel();
            self.wire.leased.store(false, Ordering::Release);
        }
    }
}

/// A port with a packet link on it.
pub(super) struct Linked {
    lease: Lease,
    /// The dialler's.
    token: u32,
    /// What this side answers an OPEN with the same token, if it was dialled.
    answer: Option<Box<[u8]>>,
    /// Something other than OPEN came: the dialler has the link too.
    begun: AtomicBool,
}

impl Linked {
    pub(super) fn new(lease: Lease, opening: Opening) -> Self {
        Self { lease, token: opening.token, answer: opening.answer, begun: AtomicBool::new(false) }
    }

    /// Deals with frames that open and end links; false where it is none of those.
    fn is_of_the_port(&self, content: &[u8]) -> io::Result<bool> {
        match packet::decode(content) {
            Ok(PacketFrame::Open(open)) => {
                let Some(answer) = &self.answer else { return Ok(true) };
                // A board without randomness may begin anew with the same token.
                if open.token != self.token || self.begun.load(Ordering::Relaxed) {
                    self.lease.wire.keep(content);
                    let text = "the peer began anew: it was restarted, or had given this link up";
                    return Err(io::Error::new(ErrorKind::ConnectionReset, text));
                }
                match self.lease.wire.send(answer, false, &self.lease.closed) {
                    // It will ask again.
                    Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(true),
                    sent => sent.map(|()| true),
                }
            }
            Ok(PacketFrame::Reset { .. }) => {
                let text = "the peer has no such link: it was restarted, or had given it up";
                Err(io::Error::new(ErrorKind::ConnectionReset, text))
            }
            Ok(
                PacketFrame::OpenOther { .. }
                | PacketFrame::Opened(_)
                | PacketFrame::OpenedOther { .. }
                | PacketFrame::Retry { .. },
            ) => Ok(true),
            // What is malformed is counted by the courier.
            _ => {
                self.begun.store(true, Ordering::Relaxed);
                Ok(false)
            }
        }
    }
}

impl Port for Linked {
    fn receive(&self, buffer: &mut [u8], timeout: Duration) -> io::Result<Option<usize>> {
        let deadline = Instant::now() + timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Some(count) = self.lease.receive(buffer, left)? else { return Ok(None) };
            if !self.is_of_the_port(&buffer[..count])? {
                return Ok(Some(count));
            }
        }
    }

    fn send(&self, content: &[u8]) -> io::Result<()> {
        self.lease.send(content)
    }

    fn try_send(&self, content: &[u8]) -> io::Result<()> {
        self.lease.wire.send(content, false, &self.lease.closed)
    }

    fn close(&self) {
        if self.lease.closed.is_cancelled() {
            return;
        }
        // So that the other side learns of it, if the BYE was lost or none was said.
        let mut reset = Vec::new();
        packet::put_reset(&mut reset, 0);
        let _ = self.lease.wire.send(&reset, false, &self.lease.closed);
        self.lease.closed.cancel();
        self.lease.wire.leased.store(false, Ordering::Release);
    }

    fn remote(&self) -> String {
        self.lease.wire.settings.name.clone()
    }

    fn rate(&self) -> Option<u64> {
        Some(self.lease.wire.settings.rate())
    }

    fn diagnose(&self) -> Option<Diagnosis> {
        self.lease.wire.diagnose()
    }

    fn counts(&self) -> Option<LineCounts> {
        Some(self.lease.wire.counts())
    }
}
