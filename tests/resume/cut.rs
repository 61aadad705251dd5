//! Connections that a test can cut, and a way that it can close.

use bowline::transport::{Cancel, Connection, Listener, Transport};
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Transports under names of their own, all of whose connections are cut together.
#[derive(Clone, Default)]
pub struct Scissors(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    closed: bool,
    dialled: Vec<Arc<dyn Connection>>,
    cuts: usize,
}

impl Scissors {
    /// The transport, by the scheme `name`.
    pub fn on(&self, name: &str, inner: impl Transport) -> impl Transport {
        Scissored { name: name.to_owned(), inner: Arc::new(inner), scissors: self.clone() }
    }

    /// Cuts what there is. True if there was anything.
    pub fn cut(&self) -> bool {
        let mut state = self.0.lock();
        let dialled = std::mem::take(&mut state.dialled);
        state.cuts += usize::from(!dialled.is_empty());
        drop(state);
        dialled.iter().for_each(|connection| connection.close());
        !dialled.is_empty()
    }

    /// Cuts what there is, and lets nothing through until [`open`](Self::open).
    pub fn close(&self) {
        self.0.lock().closed = true;
        self.cut();
    }

    pub fn open(&self) {
        self.0.lock().closed = false;
    }

    pub fn cuts(&self) -> usize {
        self.0.lock().cuts
    }
}

struct Scissored {
    name: String,
    inner: Arc<dyn Transport>,
    scissors: Scissors,
}

impl Transport for Scissored {
    fn scheme(&self) -> &str {
        &self.name
    }

    fn dial(&self, address: &str, timeout: Duration, cancel: &Cancel) -> io::Result<Arc<dyn Connection>> {
        if self.scissors.0.lock().closed {
            return Err(io::ErrorKind::NetworkUnreachable.into());
        }
        let connection = self.inner.dial(address, timeout, cancel)?;
        let mut state = self.scissors.0.lock();
        if state.closed {
            connection.close();
        }
        state.dialled.push(Arc::clone(&connection));
        Ok(connection)
    }

    fn listen(&self, address: &str) -> io::Result<Arc<dyn Listener>> {
        self.inner.listen(address)
    }
}
