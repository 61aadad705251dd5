//! What an endpoint's peer sends it, counted as it comes.

use bowline::transport::{Cancel, Connection, Listener, Tcp, Transport};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// TCP that notes what comes.
#[derive(Clone, Default)]
pub struct Tap(Arc<Mutex<Vec<u8>>>);

impl Tap {
    /// How many INTENTS came, and how many bytes they have.
    pub fn tables(&self) -> (usize, usize) {
        let Ok(bytes) = self.0.lock() else { return (0, 0) };
        let (mut rest, mut frames, mut total) = (&bytes[..], 0, 0);
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
        Ok(Arc::new(Tapped(Tcp.dial(address, timeout, cancel)?, self.clone())))
    }

    fn listen(&self, address: &str) -> io::Result<Arc<dyn Listener>> {
        Tcp.listen(address)
    }
}

struct Tapped(Arc<dyn Connection>, Tap);

impl Connection for Tapped {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(buffer)?;
        if let Ok(mut bytes) = self.1.0.lock() {
            bytes.extend_from_slice(&buffer[..count]);
        }
        Ok(count)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn close(&self) {
        self.0.close();
    }

    fn remote(&self) -> String {
        self.0.remote()
    }
}
