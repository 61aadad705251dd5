//! What an endpoint and its peer send each other, counted as it comes and goes, over a connection that can be cut.

use bowline::transport::{Cancel, Connection, Listener, Tcp, Transport};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// TCP that notes what comes, and how much goes.
#[derive(Clone, Default)]
pub struct Tap(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    came: Vec<u8>,
    went: usize,
    connection: Option<Arc<dyn Connection>>,
    /// When it was dialled.
    dialled: Option<Instant>,
    /// Nothing can be dialled.
    closed: bool,
}

impl Tap {
    /// Cuts the connection, and begins to count anew.
    pub fn cut(&self) {
        let Ok(mut seen) = self.0.lock() else { return };
        (seen.came, seen.went) = (Vec::new(), 0);
        let connection = seen.connection.take();
        drop(seen);
        if let Some(connection) = connection {
            connection.close();
        }
    }

    /// When the connection was dialled last.
    pub fn dialled(&self) -> Option<Instant> {
        self.0.lock().ok()?.dialled
    }

    /// Whether nothing can be dialled.
    pub fn set_closed(&self, closed: bool) {
        if let Ok(mut seen) = self.0.lock() {
            seen.closed = closed;
        }
    }

    /// How many bytes came and went.
    pub fn bytes(&self) -> (usize, usize) {
        self.0.lock().map(|seen| (seen.came.len(), seen.went)).unwrap_or_default()
    }

    /// How many INTENTS came, and how many bytes they have.
    pub fn tables(&self) -> (usize, usize) {
        let Ok(seen) = self.0.lock() else { return (0, 0) };
        let (mut rest, mut frames, mut total) = (&seen.came[..], 0, 0);
        while let Some((length, used)) = varint(rest) {
            let Some(frame) = rest.get(used..used + length) else { break };
            if frame.first() == Some(&0x05) {
                (frames, total) = (frames + 1, total + used + length);
            }
            rest = &rest[used + length..];
        }
        (frames, total)
    }
}

fn varint(bytes: &[u8]) -> Option<(usize, usize)> {
    let end = bytes.iter().position(|byte| byte & 0x80 == 0)?;
    let value = bytes[..=end].iter().rev().fold(0, |value, byte| value << 7 | usize::from(byte & 0x7F));
    Some((value, end + 1))
}

impl Transport for Tap {
    fn scheme(&self) -> &str {
        "tap"
    }

    fn dial(&self, address: &str, timeout: Duration, cancel: &Cancel) -> io::Result<Arc<dyn Connection>> {
        if self.0.lock().is_ok_and(|seen| seen.closed) {
            return Err(io::ErrorKind::NetworkUnreachable.into());
        }
        let begun = Instant::now();
        let connection = Tcp.dial(address, timeout, cancel)?;
        if let Ok(mut seen) = self.0.lock() {
            (seen.connection, seen.dialled) = (Some(Arc::clone(&connection)), Some(begun));
        }
        Ok(Arc::new(Tapped(connection, self.clone())))
    }

    fn listen(&self, address: &str) -> io::Result<Arc<dyn Listener>> {
        Tcp.listen(address)
    }
}

struct Tapped(Arc<dyn Connection>, Tap);

impl Connection for Tapped {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(buffer)?;
        if let Ok(mut seen) = self.1.0.lock() {
            seen.came.extend_from_slice(&buffer[..count]);
        }
        Ok(count)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.0.write(bytes)?;
        if let Ok(mut seen) = self.1.0.lock() {
            seen.went += count;
        }
        Ok(count)
    }

    fn close(&self) {
        self.0.close();
    }

    fn remote(&self) -> String {
        self.0.remote()
    }
}
