//! A dialled connection: a socket of its own, read by the link's own reader.

use super::link::{Link, WINDOW, is_passing, name_of, send_error, set_buffers};
use crate::flow::courier::Settings;
use crate::transport::packet::{PacketConnection, Port};
use crate::transport::{Cancel, Pauses, cancelled};
use crate::wire::packet::{
    MAX_COOKIE, Open, Opened, PacketFrame, VERSION, decode, pieces, put_open, put_piece,
};
use parking_lot::Mutex;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The dialler's end.
pub(super) struct Dialled {
    socket: UdpSocket,
    link: Link,
    remote: String,
    closed: AtomicBool,
    /// How long a receive waits at most: setting it is a call of the system.
    patience: Mutex<Duration>,
}

/// Opens a connection to `address`.
pub(super) fn dial(
    address: SocketAddr,
    mtu: usize,
    deadline: Instant,
    cancel: &Cancel,
) -> io::Result<PacketConnection<Dialled>> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    set_buffers(&socket)?;
    socket.connect(&address.into())?;
    let socket = UdpSocket::from(socket);
    socket.set_write_timeout(Some(LONGEST_SEND))?;
    socket.set_read_timeout(Some(Pauses::LONGEST))?;
    let opened = open(&socket, mtu, deadline, cancel)?;
    let link = Link { mine: opened.yours, theirs: opened.mine };
    // The acceptor keeps a connection once it has heard its token: nothing but that, and padding.
    socket.send(&[&link.theirs_short()[..], &[0]].concat())?;
    let packet = usize::from(opened.packet).min(mtu - 2);
    let settings: Settings = super::link::settings(packet, opened.window);
    let patience = Mutex::new(Pauses::LONGEST);
    let port = Dialled { socket, link, remote: name_of(address), closed: AtomicBool::new(false), patience };
    Ok(PacketConnection::new(port, settings, LARGEST_DATAGRAM))
}

/// Asks until there is an answer.
fn open(socket: &UdpSocket, mtu: usize, deadline: Instant, cancel: &Cancel) -> io::Result<Opened> {
    let token = loop {
        let token = fastrand::u32(..);
        if token as u16 != 0 {
            break token;
        }
    };
    let packet = u16::try_from(mtu - 2).unwrap_or(u16::MAX);
    let mut cookie: Vec<u8> = Vec::new();
    let mut buffer = [0; 2048];
    let (mut next, mut other, mut cookies) = (Instant::now(), 0u32, 0u32);
    loop {
        if cancel.is_cancelled() {
            return Err(cancelled());
        }
        let now = Instant::now();
        if now >= deadline {
            let seen = if other > 0 {
                format!("; {other} datagrams came that are no answer: something else speaks there")
            } else if cookies > 0 {
                "; it answers, but takes no more connections now".to_owned()
            } else {
                String::new()
            };
            let text = format!("no answer within the time allowed{seen}");
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
        if now >= next {
            let open = Open { version: VERSION, token, packet, window: WINDOW as u32, cookie: &cookie };
            let mut datagram = vec![0, 0];
            put_piece(&mut datagram, |out| put_open(out, &open));
            datagram.resize(datagram.len().max(super::sorter::LEAST_OPEN), 0);
            match socket.send(&datagram) {
                Ok(_) => {}
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(error),
            }
            next = now + ASK_EVERY;
        }
        let length = match socket.recv(&mut buffer) {
            Ok(length) => length,
            Err(error) if is_passing(&error) => continue,
            Err(error) => return Err(error),
        };
        let content = buffer.get(2..length).unwrap_or_default();
        match pieces(content).next().and_then(Result::ok).and_then(|piece| decode(piece).ok()) {
            Some(PacketFrame::Retry { token: about, cookie: given })
                if about == token && given.len() <= MAX_COOKIE =>
            {
                cookies += 1;
                if cookie != given {
                    given.clone_into(&mut cookie);
                    next = now;
                }
            }
            Some(PacketFrame::Opened(opened)) if opened.yours == token => return Ok(opened),
            Some(PacketFrame::OpenedOther { version }) => {
                let text = format!(
                    "the peer speaks version {version} of packet links, this endpoint {VERSION}; update the older one"
                );
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
            _ => other += 1,
        }
    }
}

impl Port for Dialled {
    fn receive(&self, buffer: &mut [u8], timeout: Duration) -> io::Result<Option<usize>> {
        self.set_patience(timeout)?;
        let length = match self.socket.recv(buffer) {
            Ok(length) => length,
            Err(_) if self.closed.load(Ordering::Acquire) => return Ok(Some(0)),
            Err(error) if is_passing(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        if self.closed.load(Ordering::Acquire) {
            return Ok(Some(0));
        }
        let datagram = buffer.get(..length).unwrap_or_default();
        if self.link.is_content(datagram) {
            buffer.copy_within(2..length, 0);
            // One without content confirms what is known already.
            return Ok((length > 2).then_some(length - 2));
        }
        Ok(self.link.is_reset(datagram).then_some(0))
    }

    fn send(&self, content: &[u8]) -> io::Result<()> {
        self.put(content, 0)
    }

    fn try_send(&self, content: &[u8]) -> io::Result<()> {
        self.put(content, super::link::NO_WAIT)
    }

    fn close(&self) {
        if !self.closed.swap(true, Ordering::AcqRel) {
            let _ = self.socket.send(&self.link.over());
            let _ = SockRef::from(&self.socket).shutdown(Shutdown::Both);
        }
    }

    fn remote(&self) -> String {
        self.remote.clone()
    }

    fn rate(&self) -> Option<u64> {
        None
    }
}

impl Dialled {
    fn put(&self, content: &[u8], flags: i32) -> io::Result<()> {
        let token = self.link.theirs_short();
        let parts = [IoSlice::new(&token), IoSlice::new(content)];
        let sent = SockRef::from(&self.socket).send_vectored_with_flags(&parts, flags);
        send_error(sent, flags == 0)
    }

    /// Has a receive wait for at most `timeout`, or less by up to a half.
    fn set_patience(&self, timeout: Duration) -> io::Result<()> {
        let mut patience = self.patience.lock();
        if timeout < *patience || timeout / 2 > *patience {
            self.socket.set_read_timeout(Some(timeout.max(Duration::from_micros(1))))?;
            *patience = timeout;
        }
        Ok(())
    }
}

impl Drop for Dialled {
    fn drop(&mut self) {
        self.close();
    }
}

/// How often OPEN is repeated.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// How long a datagram may wait for the system to take it; then it is lost, as on the way.
const LONGEST_SEND: Duration = Duration::from_millis(100);

/// The most a datagram can hold.
const LARGEST_DATAGRAM: usize = 65_536;
