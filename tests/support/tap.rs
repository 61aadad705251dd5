//! Memory connections, under the scheme `tap`, that record what the listening side writes, and whose
//! writes a test can hold back.

use bowline::transport::{Cancel, Connection, Listener, Memory, Transport};
use parking_lot::{Condvar, Mutex};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// All connections made through clones of one tap are recorded and held together.
#[derive(Clone, Default)]
pub struct Tap(Arc<State>);

#[derive(Default)]
struct State {
    inner: Mutex<Inner>,
    opened: Condvar,
}

#[derive(Default)]
struct Inner {
    /// What the side that listens wrote.
    listener_sent: Vec<u8>,
    /// What the side that dials wrote.
    dialler_sent: Vec<u8>,
    /// Writes of the side that listens wait.
    held: bool,
    closed: bool,
}

impl Tap {
    /// Writes of the side that listens wait from now on, until [`release`](Self::release).
    pub fn hold(&self) {
        self.0.inner.lock().held = true;
    }

    pub fn release(&self) {
        self.0.inner.lock().held = false;
        self.0.opened.notify_all();
    }

    /// What the side that listens wrote so far.
    pub fn listener_sent(&self) -> Vec<u8> {
        self.0.inner.lock().listener_sent.clone()
    }

    /// What the side that dials wrote so far.
    pub fn dialler_sent(&self) -> Vec<u8> {
        self.0.inner.lock().dialler_sent.clone()
    }

    fn connection(&self, inner: Arc<dyn Connection>, listens: bool) -> Arc<dyn Connection> {
        self.0.inner.lock().closed = false;
        Arc::new(Tapped { inner, tap: self.clone(), listens })
    }
}

impl Transport for Tap {
    fn scheme(&self) -> &str {
        "tap"
    }

    fn dial(&self, address: &str, timeout: Duration, cancel: &Cancel) -> io::Result<Arc<dyn Connection>> {
        Ok(self.connection(Memory.dial(address, timeout, cancel)?, false))
    }

    fn listen(&self, address: &str) -> io::Result<Arc<dyn Listener>> {
        Ok(Arc::new(TappedListener { inner: Memory.listen(address)?, tap: self.clone() }))
    }
}

struct TappedListener {
    inner: Arc<dyn Listener>,
    tap: Tap,
}

impl Listener for TappedListener {
    fn accept(&self) -> io::Result<Arc<dyn Connection>> {
        Ok(self.tap.connection(self.inner.accept()?, true))
    }

    fn address(&self) -> String {
        self.inner.address()
    }

    fn close(&self) {
        self.inner.close();
    }
}

struct Tapped {
    inner: Arc<dyn Connection>,
    tap: Tap,
    listens: bool,
}

impl Tapped {
    fn note(&self, bytes: &[u8]) {
        let mut inner = self.tap.0.inner.lock();
        let written = if self.listens { &mut inner.listener_sent } else { &mut inner.dialler_sent };
        written.extend_from_slice(bytes);
    }
}

impl Connection for Tapped {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut inner = self.tap.0.inner.lock();
        while self.listens && inner.held && !inner.closed {
            self.tap.0.opened.wait(&mut inner);
        }
        if self.listens && inner.held {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        drop(inner);
        let count = self.inner.write(bytes)?;
        self.note(&bytes[..count]);
        Ok(count)
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        if self.listens && self.tap.0.inner.lock().held {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = self.inner.try_write(bytes)?;
        self.note(&bytes[..count]);
        Ok(count)
    }

    fn close(&self) {
        self.tap.0.inner.lock().closed = true;
        self.tap.0.opened.notify_all();
        self.inner.close();
    }

    fn remote(&self) -> String {
        self.inner.remote()
    }
}
