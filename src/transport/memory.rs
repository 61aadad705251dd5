//! Connections within one process, without the operating system.

use super::{Cancel, Connection, Listener, Pauses, Transport, cancelled, deadline_after};
use parking_lot::{Condvar, Mutex};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Connections between endpoints of one process, `memory://name`; mostly for tests.
///
/// A name can be listened at once at a time. Each direction of a connection holds at most
/// [`PIPE_BYTES`] and a writer waits for room, as with a socket.
///
/// ```
/// use bowline::transport::{Cancel, Memory, Transport};
/// use std::time::Duration;
/// let listener = Memory.listen("desk")?;
/// let here = Memory.dial("desk", Duration::from_secs(1), &Cancel::default())?;
/// let there = listener.accept()?;
/// here.write(b"ahoy")?;
/// let mut buffer = [0; 16];
/// let length = there.read(&mut buffer)?;
/// assert_eq!(&buffer[..length], b"ahoy");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory;

impl Transport for Memory {
    fn scheme(&self) -> &str {
        "memory"
    }

    fn dial(&self, address: &str, timeout: Duration, cancel: &Cancel) -> io::Result<Arc<dyn Connection>> {
        let deadline = deadline_after(timeout);
        let mut pauses = Pauses::new();
        loop {
            if cancel.is_cancelled() {
                return Err(cancelled());
            }
            let Some(backlog) = NAMES.lock().get(address).cloned() else {
                return Err(nobody(address));
            };
            match backlog.dial()? {
                Some(connection) => return Ok(connection),
                None => pauses.wait(deadline, cancel)?,
            }
        }
    }

    fn listen(&self, address: &str) -> io::Result<Arc<dyn Listener>> {
        if address.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a name must follow `memory://`"));
        }
        let mut names = NAMES.lock();
        if names.contains_key(address) {
            let text = format!("somebody in this process listens at `{address}`");
            return Err(io::Error::new(io::ErrorKind::AddrInUse, text));
        }
        let backlog = Arc::new(Backlog::new(address));
        names.insert(address.to_owned(), backlog.clone());
        Ok(Arc::new(MemoryListener(backlog)))
    }
}

/// Two ends of one connection, for tests that need no listener. What one writes the other reads.
///
/// ```
/// use bowline::transport::memory;
/// let (here, there) = memory::pair();
/// here.write(b"ahoy")?;
/// here.close();
/// let mut buffer = [0; 16];
/// assert_eq!(there.read(&mut buffer)?, 4);
/// assert_eq!(there.read(&mut buffer)?, 0);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn pair() -> (Arc<dyn Connection>, Arc<dyn Connection>) {
    ends("pair#1".into(), "pair#2".into())
}

struct MemoryListener(Arc<Backlog>);

impl Listener for MemoryListener {
    fn accept(&self) -> io::Result<Arc<dyn Connection>> {
        let mut waiting = self.0.waiting.lock();
        loop {
            if waiting.closed {
                return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the listener is closed"));
            }
            if let Some(connection) = waiting.connections.pop_front() {
                return Ok(connection);
            }
            self.0.arrived.wait(&mut waiting);
        }
    }

    fn address(&self) -> String {
        self.0.name.clone()
    }

    fn close(&self) {
        let dropped = {
            let mut waiting = self.0.waiting.lock();
            waiting.closed = true;
            std::mem::take(&mut waiting.connections)
        };
        self.0.arrived.notify_all();
        // Whoever waited to be accepted sees the end; done without the lock.
        drop(dropped);
    }
}

impl Drop for MemoryListener {
    fn drop(&mut self) {
        self.close();
        NAMES.lock().remove(&self.0.name);
    }
}

/// The connections that wait for a listener to accept them.
struct Backlog {
    name: String,
    waiting: Mutex<Waiting>,
    arrived: Condvar,
}

#[derive(Default)]
struct Waiting {
    connections: VecDeque<Arc<dyn Connection>>,
    dialled: u64,
    closed: bool,
}

impl Backlog {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), waiting: Mutex::default(), arrived: Condvar::new() }
    }

    /// A new connection to the listener; `None` while too many wait.
    fn dial(&self) -> io::Result<Option<Arc<dyn Connection>>> {
        let mut waiting = self.waiting.lock();
        if waiting.closed {
            return Err(nobody(&self.name));
        }
        if waiting.connections.len() == BACKLOG {
            return Ok(None);
        }
        waiting.dialled += 1;
        let (here, there) = ends(self.name.clone(), format!("{}#{}", self.name, waiting.dialled));
        waiting.connections.push_back(there);
        drop(waiting);
        self.arrived.notify_one();
        Ok(Some(here))
    }
}

/// One end of a connection.
struct End {
    incoming: Arc<Pipe>,
    outgoing: Arc<Pipe>,
    remote: String,
}

impl Connection for End {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(self.incoming.read(buffer))
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.outgoing.write(bytes, true)
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.outgoing.write(bytes, false)
    }

    fn close(&self) {
        self.incoming.close();
        self.outgoing.close();
    }

    fn remote(&self) -> String {
        self.remote.clone()
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.close();
    }
}

/// Bytes on their way in one direction. What was written before it is closed can still be read.
#[derive(Default)]
struct Pipe {
    content: Mutex<Content>,
    readable: Condvar,
    writable: Condvar,
}

#[derive(Default)]
struct Content {
    bytes: VecDeque<u8>,
    closed: bool,
}

impl Pipe {
    fn read(&self, buffer: &mut [u8]) -> usize {
        if buffer.is_empty() {
            return 0;
        }
        let mut content = self.content.lock();
        while content.bytes.is_empty() && !content.closed {
            self.readable.wait(&mut content);
        }
        let (first, second) = content.bytes.as_slices();
        let from_first = first.len().min(buffer.len());
        buffer[..from_first].copy_from_slice(&first[..from_first]);
        let from_second = second.len().min(buffer.len() - from_first);
        buffer[from_first..from_first + from_second].copy_from_slice(&second[..from_second]);
        content.bytes.drain(..from_first + from_second);
        drop(content);
        self.writable.notify_one();
        from_first + from_second
    }

    fn write(&self, bytes: &[u8], may_wait: bool) -> io::Result<usize> {
        let mut content = self.content.lock();
        while content.bytes.len() == PIPE_BYTES && !content.closed && !bytes.is_empty() {
            if !may_wait {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.writable.wait(&mut content);
        }
        if content.closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let taken = bytes.len().min(PIPE_BYTES - content.bytes.len());
        content.bytes.extend(&bytes[..taken]);
        drop(content);
        self.readable.notify_one();
        Ok(taken)
    }

    fn close(&self) {
        self.content.lock().closed = true;
        self.readable.notify_all();
        self.writable.notify_all();
    }
}

/// Two ends; each is told the name of the other.
fn ends(name_of_there: String, name_of_here: String) -> (Arc<dyn Connection>, Arc<dyn Connection>) {
    let (outgoing, incoming) = (Arc::<Pipe>::default(), Arc::<Pipe>::default());
    let there = End { incoming: outgoing.clone(), outgoing: incoming.clone(), remote: name_of_here };
    (Arc::new(End { incoming, outgoing, remote: name_of_there }), Arc::new(there))
}

fn nobody(address: &str) -> io::Error {
    let text = format!("nobody in this process listens at `{address}`");
    io::Error::new(io::ErrorKind::ConnectionRefused, text)
}

/// Who listens in this process; as many entries as there are listeners.
static NAMES: Mutex<BTreeMap<String, Arc<Backlog>>> = Mutex::new(BTreeMap::new());

/// How many bytes each direction of a connection holds at most: 65,536. They are taken as needed, and
/// kept until the connection ends.
pub const PIPE_BYTES: usize = 64 * 1024;

/// How many connections may wait to be accepted.
const BACKLOG: usize = 128;
