//! A cable for TCP connections that can be pulled: then bytes stay where they are, and nobody is told.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

pub struct Ethernet {
    address: SocketAddr,
    pulled: Arc<AtomicBool>,
}

impl Ethernet {
    /// A cable that leads to `target`.
    pub fn to(target: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let pulled = Arc::new(AtomicBool::new(false));
        let state = Arc::clone(&pulled);
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let state = Arc::clone(&state);
                thread::spawn(move || join(&near, target, &state));
            }
        });
        Ok(Self { address, pulled })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn pull(&self) {
        self.pulled.store(true, Ordering::Relaxed);
    }

    pub fn plug(&self) {
        self.pulled.store(false, Ordering::Relaxed);
    }
}

/// Carries one connection until an end of it closes.
fn join(near: &TcpStream, target: SocketAddr, pulled: &AtomicBool) {
    while pulled.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(1));
    }
    let Ok(far) = TcpStream::connect(target) else { return };
    thread::scope(|scope| {
        scope.spawn(|| carry(near, &far, pulled));
        carry(&far, near, pulled);
    });
}

fn carry(mut from: &TcpStream, mut to: &TcpStream, pulled: &AtomicBool) {
    let mut bytes = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        while pulled.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(1));
        }
        if to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
}
