//! A bound socket: one thread that sorts datagrams by peer, and the connections it feeds.

use super::link::{Link, WINDOW, is_passing, name_of, send_error, set_buffers, settings};
use super::sorter::{Begun, Sorted, Sorter};
use crate::time;
use crate::transport::packet::{PacketConnection, Port};
use crate::transport::{Connection, Listener};
use parking_lot::{Condvar, Mutex};
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};
use std::collections::{HashMap, VecDeque};
use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Listens at one address.
pub(super) struct UdpListener {
    hub: Arc<Hub>,
    address: SocketAddr,
}

impl UdpListener {
    /// Binds a socket and starts its thread.
    pub(super) fn open(address: SocketAddr, mtu: usize, cookies: super::cookie::Cookies) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() && address.ip().is_unspecified() {
            // `[::]` means both kinds on every system that can; one that cannot serves IPv6 alone.
            let _ = socket.set_only_v6(false);
        }
        set_buffers(&socket)?;
        socket.bind(&address.into())?;
        let socket = UdpSocket::from(socket);
        // Should the datagram be lost that is to end a wait.
        socket.set_read_timeout(Some(LOOK_EVERY))?;
        socket.set_write_timeout(Some(LONGEST_SEND))?;
        let address = socket.local_addr()?;
        let packet = u16::try_from(mtu - 2).unwrap_or(u16::MAX);
        let shared = Arc::new(Shared {
            socket,
            mtu,
            state: Mutex::new(State {
                sorter: Sorter::new(cookies, fastrand::u64(..), packet, WINDOW as u32),
                inlets: HashMap::new(),
                waiting: VecDeque::new(),
                closed: false,
                reported: Instant::now(),
            }),
            arrived: Condvar::new(),
            ended: AtomicBool::new(false),
        });
        let sorting = Arc::clone(&shared);
        let name = format!("bowline/sorter udp://{address}");
        let thread = thread::Builder::new().name(name).spawn(move || sorting.run())?;
        Ok(Self { hub: Arc::new(Hub { shared, thread: Mutex::new(Some(thread)) }), address })
    }
}

impl Listener for UdpListener {
    fn accept(&self) -> io::Result<Arc<dyn Connection>> {
        let shared = &self.hub.shared;
        let mut state = shared.state.lock();
        let (begun, inlet) = loop {
            if state.closed {
                return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the listener is closed"));
            }
            match state.waiting.pop_front() {
                Some(next) => break next,
                None => shared.arrived.wait(&mut state),
            }
        };
        drop(state);
        Ok(accepted(Arc::clone(&self.hub), begun, inlet))
    }

    fn address(&self) -> String {
        self.address.to_string()
    }

    fn close(&self) {
        let shared = &self.hub.shared;
        let (waiting, resets) = {
            let mut state = shared.state.lock();
            state.closed = true;
            (std::mem::take(&mut state.waiting), state.sorter.close())
        };
        for (from, reset) in resets {
            let _ = shared.socket.send_to(&reset, from);
        }
        shared.arrived.notify_all();
        for (begun, inlet) in waiting {
            // Whoever waited to be accepted is told.
            drop(accepted(Arc::clone(&self.hub), begun, inlet));
        }
        shared.end_if_unused();
    }
}

impl Drop for UdpListener {
    fn drop(&mut self) {
        self.close();
    }
}

/// The socket and its thread, as long as the listener or a connection needs them.
struct Hub {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.shared.end();
        let thread = self.thread.lock().take();
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != thread::current().id()) {
            let _ = thread.join();
        }
    }
}

struct Shared {
    socket: UdpSocket,
    mtu: usize,
    state: Mutex<State>,
    arrived: Condvar,
    ended: AtomicBool,
}

struct State {
    sorter: Sorter,
    inlets: HashMap<u64, Arc<Inlet>>,
    /// Connections to be accepted.
    waiting: VecDeque<(Begun, Arc<Inlet>)>,
    closed: bool,
    reported: Instant,
}

impl Shared {
    /// Sorts datagrams until the socket is shut.
    fn run(&self) {
        let mut buffer = vec![0; LARGEST_DATAGRAM];
        while !self.ended.load(Ordering::Acquire) {
            match self.socket.recv_from(&mut buffer) {
                Ok((length, from)) => self.sort(from, buffer.get(..length).unwrap_or_default()),
                Err(error) if is_passing(&error) => {}
                // What came back for a datagram to a peer that is gone; nothing else is known to happen.
                Err(error) => {
                    log::debug!("reading datagrams: {error}");
                    let mut state = self.state.lock();
                    if !self.ended.load(Ordering::Acquire) {
                        self.arrived.wait_until(&mut state, Instant::now() + FAULT_PAUSE);
                    }
                }
            }
        }
    }

    fn sort(&self, from: SocketAddr, datagram: &[u8]) {
        let mut state = self.state.lock();
        let room = !state.closed && state.waiting.len() < BACKLOG;
        let sorted = state.sorter.datagram(time::now(), from, datagram, room);
        match sorted {
            Sorted::Nothing => state.report(),
            Sorted::Content(number, content) => {
                let inlet = state.inlets.get(&number).cloned();
                drop(state);
                if let Some(inlet) = inlet {
                    inlet.put(content);
                }
            }
            Sorted::Begun(begun, content) => {
                let inlet = Arc::new(Inlet::default());
                inlet.put(content);
                let older = begun.instead_of.and_then(|number| state.inlets.remove(&number));
                state.inlets.insert(begun.number, Arc::clone(&inlet));
                state.waiting.push_back((begun, inlet));
                drop(state);
                self.arrived.notify_one();
                if let Some(older) = older {
                    older.end();
                }
            }
            Sorted::Ended(number) => {
                let inlet = state.inlets.remove(&number);
                drop(state);
                if let Some(inlet) = inlet {
                    inlet.end();
                }
            }
            Sorted::Answer(answer) => {
                state.report();
                drop(state);
                let target = SockAddr::from(from);
                let _ =
                    SockRef::from(&self.socket).send_to_with_flags(&answer, &target, super::link::NO_WAIT);
            }
        }
    }

    /// A connection is closed here.
    fn forget(&self, from: SocketAddr, number: u64) {
        let mut state = self.state.lock();
        state.sorter.forget(from, number);
        state.inlets.remove(&number);
        drop(state);
        self.end_if_unused();
    }

    fn end_if_unused(&self) {
        let state = self.state.lock();
        let unused = state.closed && state.inlets.is_empty();
        drop(state);
        if unused {
            self.end();
        }
    }

    fn end(&self) {
        if !self.ended.swap(true, Ordering::AcqRel) {
            drop(self.state.lock());
            self.arrived.notify_all();
            if let Ok(mut own) = self.socket.local_addr() {
                if own.ip().is_unspecified() {
                    own.set_ip(if own.is_ipv4() {
                        Ipv4Addr::LOCALHOST.into()
                    } else {
                        Ipv6Addr::LOCALHOST.into()
                    });
                }
                let _ =
                    SockRef::from(&self.socket).send_to_with_flags(&[], &own.into(), super::link::NO_WAIT);
            }
        }
    }
}

impl State {
    /// Says once in a while what was dropped.
    fn report(&mut self) {
        if self.reported.elapsed() > REPORT_EVERY {
            self.reported = Instant::now();
            log::info!("datagrams dropped so far: {:?}", self.sorter.counts());
        }
    }
}

/// Datagrams of one peer on their way to the link's reader.
#[derive(Default)]
struct Inlet {
    queue: Mutex<Queue>,
    filled: Condvar,
    dropped: AtomicU64,
}

#[derive(Default)]
struct Queue {
    datagrams: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Emptied ones, for the next.
    spare: Vec<Vec<u8>>,
    ended: bool,
    woken: bool,
    reader_waits: bool,
}

impl Inlet {
    fn put(&self, content: &[u8]) {
        let mut queue = self.queue.lock();
        if queue.ended {
            return;
        }
        if queue.bytes + content.len() > QUEUE_BYTES || queue.datagrams.len() >= QUEUE_DATAGRAMS {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let mut datagram = queue.spare.pop().unwrap_or_default();
        datagram.clear();
        datagram.extend_from_slice(content);
        queue.bytes += content.len();
        queue.datagrams.push_back(datagram);
        let wake = queue.reader_waits;
        drop(queue);
        if wake {
            self.filled.notify_one();
        }
    }

    /// The next content; zero bytes at the end, `None` when the time is over.
    fn take(&self, buffer: &mut [u8], timeout: Duration) -> Option<usize> {
        let deadline = Instant::now() + timeout;
        let mut queue = self.queue.lock();
        loop {
            if let Some(datagram) = queue.datagrams.pop_front() {
                let length = datagram.len().min(buffer.len());
                buffer[..length].copy_from_slice(&datagram[..length]);
                queue.bytes -= datagram.len();
                if queue.spare.len() < SPARE && datagram.capacity() <= SPARE_BYTES {
                    queue.spare.push(datagram);
                }
                if length > 0 {
                    return Some(length);
                }
                continue;
            }
            if queue.ended {
                return Some(0);
            }
            if std::mem::take(&mut queue.woken) {
                return None;
            }
            queue.reader_waits = true;
            let late = self.filled.wait_until(&mut queue, deadline).timed_out();
            queue.reader_waits = false;
            if late && queue.datagrams.is_empty() && !queue.ended {
                return None;
            }
        }
    }

    fn wake(&self) {
        self.queue.lock().woken = true;
        self.filled.notify_one();
    }

    fn end(&self) {
        self.queue.lock().ended = true;
        self.filled.notify_all();
    }
}

/// The acceptor's end of a connection.
pub(super) struct Accepted {
    hub: Arc<Hub>,
    inlet: Arc<Inlet>,
    link: Link,
    number: u64,
    from: SocketAddr,
    target: SockAddr,
    closed: AtomicBool,
}

fn accepted(hub: Arc<Hub>, begun: Begun, inlet: Arc<Inlet>) -> Arc<PacketConnection<Accepted>> {
    let Begun { number, from, mine, theirs, packet, window, .. } = begun;
    let packet = usize::from(packet).min(hub.shared.mtu - 2);
    let port = Accepted {
        hub,
        inlet,
        link: Link { mine, theirs },
        number,
        from,
        target: from.into(),
        closed: AtomicBool::new(false),
    };
    Arc::new(PacketConnection::new(port, settings(packet, window), LARGEST_DATAGRAM))
}

impl Port for Accepted {
    fn receive(&self, buffer: &mut [u8], timeout: Duration) -> io::Result<Option<usize>> {
        Ok(self.inlet.take(buffer, timeout))
    }

    fn send(&self, content: &[u8]) -> io::Result<()> {
        self.put(content, 0)
    }

    fn try_send(&self, content: &[u8]) -> io::Result<()> {
        self.put(content, super::link::NO_WAIT)
    }

    fn wake(&self) {
        self.inlet.wake();
    }

    fn close(&self) {
        if !self.closed.swap(true, Ordering::AcqRel) {
            let over = self.link.over();
            let _ = SockRef::from(&self.hub.shared.socket).send_to(&over, &self.target);
            self.inlet.end();
            self.hub.shared.forget(self.from, self.number);
        }
    }

    fn remote(&self) -> String {
        name_of(self.from)
    }

    fn rate(&self) -> Option<u64> {
        None
    }
}

impl Accepted {
    fn put(&self, content: &[u8], flags: i32) -> io::Result<()> {
        if self.closed.load(Ordering::Acquire) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let token = self.link.theirs_short();
        let parts = [IoSlice::new(&token), IoSlice::new(content)];
        let socket = SockRef::from(&self.hub.shared.socket);
        send_error(socket.send_to_vectored_with_flags(&parts, &self.target, flags), flags == 0)
    }
}

impl Drop for Accepted {
    fn drop(&mut self) {
        self.close();
        let dropped = self.inlet.dropped.load(Ordering::Relaxed);
        if dropped > 0 {
            log::info!("{}: {dropped} datagrams came faster than they were read", name_of(self.from));
        }
    }
}

/// How many connections may wait to be accepted.
const BACKLOG: usize = 128;

/// How much of one peer may wait for the link's reader; what comes beyond is lost, as on the way.
const QUEUE_DATAGRAMS: usize = 1024;
const QUEUE_BYTES: usize = 512 * 1024;

/// How many emptied buffers are kept for a peer, and how large each may be.
const SPARE: usize = 64;
const SPARE_BYTES: usize = 2048;

const LARGEST_DATAGRAM: usize = 65_536;

/// How long a datagram may wait for the system to take it; then it is lost, as on the way.
const LONGEST_SEND: Duration = Duration::from_millis(100);

const FAULT_PAUSE: Duration = Duration::from_millis(20);

/// How often a wait is ended in any case.
const LOOK_EVERY: Duration = Duration::from_millis(100);

const REPORT_EVERY: Duration = Duration::from_secs(10);
