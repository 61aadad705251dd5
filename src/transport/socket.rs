//! What TCP and Unix sockets share: a connected stream, a listening socket, and dialling without
//! being stuck in it.

use super::{Cancel, Connection, Pauses, cancelled};
use socket2::{SockAddr, Socket};
use std::io::{self, IoSlice, IoSliceMut, Read};
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A connected stream socket in blocking mode.
pub(super) struct Stream {
    socket: Socket,
    remote: String,
    limits: Option<Limits>,
}

/// Sets by which silence the system gives a connection up.
type Limits = fn(&Socket, Duration) -> io::Result<()>;

impl Stream {
    pub(super) fn new(socket: Socket, remote: String) -> Self {
        Self { socket, remote, limits: None }
    }

    /// The system has limits of its own for a peer's silence, set by this.
    pub(super) fn limited_by(self, limits: Limits) -> Self {
        Self { limits: Some(limits), ..self }
    }
}

impl Connection for Stream {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        (&self.socket).read(buffer)
    }

    fn read_vectored(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        (&self.socket).read_vectored(buffers)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.send_with_flags(bytes, NO_SIGNAL)
    }

    fn write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.socket.send_vectored_with_flags(buffers, NO_SIGNAL)
    }

    #[cfg(unix)]
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.send_with_flags(bytes, NO_SIGNAL | libc::MSG_DONTWAIT)
    }

    #[cfg(unix)]
    fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.socket.send_vectored_with_flags(buffers, NO_SIGNAL | libc::MSG_DONTWAIT)
    }

    fn expect_silence(&self, span: Duration) {
        let set = self.limits.map(|limits| limits(&self.socket, span));
        if let Some(Err(error)) = set {
            log::debug!("{}: the system keeps its own limits for silence: {error}", self.remote);
        }
    }

    fn close(&self) {
        // An error says that it is closed already, which is what was asked for.
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    fn remote(&self) -> String {
        self.remote.clone()
    }
}

/// A listening socket whose waiting `accept` can be woken.
pub(super) struct Acceptor {
    socket: Socket,
    closed: AtomicBool,
}

impl Acceptor {
    /// Takes a socket that listens.
    pub(super) fn new(socket: Socket) -> Self {
        Self { socket, closed: AtomicBool::new(false) }
    }

    /// Waits for the next connection that can be `prepare`d. One that cannot, most often because it
    /// is gone already, says nothing about the listener and is passed over.
    pub(super) fn accept<T>(&self, prepare: impl Fn(Socket, SockAddr) -> io::Result<T>) -> io::Result<T> {
        loop {
            let accepted = self.socket.accept();
            if self.closed.load(Ordering::Acquire) {
                return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the listener is closed"));
            }
            let (socket, from) = match accepted {
                Ok(accepted) => accepted,
                Err(error) if is_about_one_connection(&error) => continue,
                Err(error) => return Err(error),
            };
            match prepare(socket, from) {
                Ok(connection) => return Ok(connection),
                Err(error) => log::debug!("a connection was lost while it was accepted: {error}"),
            }
        }
    }

    pub(super) fn local_addr(&self) -> io::Result<SockAddr> {
        self.socket.local_addr()
    }

    pub(super) fn close(&self) {
        if self.closed.swap(true, Ordering::AcqRel) {
            return;
        }
        let woken = self.socket.shutdown(Shutdown::Both);
        if woken.is_err() || !cfg!(any(target_os = "linux", target_os = "android")) {
            // Elsewhere a shutdown does not wake an accept, but a connection does.
            if let Err(error) = self.dial_self() {
                log::debug!("the listener could not be woken by dialling it: {error}");
            }
        }
    }

    fn dial_self(&self) -> io::Result<()> {
        let mut address = self.socket.local_addr()?;
        if let Some(mut inet) = address.as_socket().filter(|inet| inet.ip().is_unspecified()) {
            inet.set_ip(if inet.is_ipv4() {
                std::net::Ipv4Addr::LOCALHOST.into()
            } else {
                std::net::Ipv6Addr::LOCALHOST.into()
            });
            address = inet.into();
        }
        let socket = Socket::new(address.domain(), socket2::Type::STREAM, None)?;
        socket.connect_timeout(&address, WAKE_TIMEOUT)
    }
}

/// Connects `socket` within the time allowed and leaves it in blocking mode.
///
/// The first moments are waited for in the system, which answers at once when there is an answer.
/// What takes longer is looked at in pauses, because no wait of the system can be cancelled; in each of them
/// `give_up` is asked, and ends it with `Interrupted`.
pub(super) fn connect(
    socket: &Socket,
    address: &SockAddr,
    deadline: Instant,
    cancel: &Cancel,
    give_up: &mut dyn FnMut() -> bool,
) -> io::Result<()> {
    if cancel.is_cancelled() {
        return Err(cancelled());
    }
    let left = deadline.saturating_duration_since(Instant::now());
    match socket.connect_timeout(address, left.clamp(Pauses::FIRST, Pauses::LONGEST)) {
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {}
        done => return done,
    }
    let mut pauses = Pauses::new();
    loop {
        if let Some(error) = socket.take_error()? {
            return Err(error);
        }
        if socket.peer_addr().is_ok() {
            return Ok(());
        }
        pauses.wait(deadline, cancel)?;
        if give_up() {
            return Err(io::ErrorKind::Interrupted.into());
        }
    }
}

fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}

/// A write to a closed socket is an error, never a signal that ends the program. Apple's systems have
/// an option of the socket for it, which socket2 sets.
#[cfg(all(unix, not(target_vendor = "apple")))]
const NO_SIGNAL: i32 = libc::MSG_NOSIGNAL;
#[cfg(not(all(unix, not(target_vendor = "apple"))))]
const NO_SIGNAL: i32 = 0;

/// Dialling a listener of this very machine takes microseconds.
const WAKE_TIMEOUT: Duration = Duration::from_millis(100);

/// How many connections may wait to be accepted; the system may allow fewer. Each costs it a few
/// hundred bytes until then.
pub(super) const BACKLOG: i32 = 128;
