//! The socket of a group.

use crate::peer::group::{GroupUrl, Interface};
use crate::wire::group::Digest;
#[cfg(any(target_os = "linux", target_os = "android"))]
use socket2::SockFilter;
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockAddr, SockRef, Socket, Type};
use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, ToSocketAddrs, UdpSocket};

/// A socket that sends to a group and receives what is sent to it.
///
/// It is bound to the group's own address where the system allows it, so that nothing else comes.
pub(crate) struct GroupSocket {
    socket: UdpSocket,
    target: SockAddr,
    group: IpAddr,
    broadcast: bool,
    interface: Option<Interface>,
}

impl GroupSocket {
    /// Opens and binds the socket; [`join`](Self::join) is yet to be called.
    pub(crate) fn open(url: &GroupUrl) -> io::Result<Self> {
        let group = url.address.ip();
        let socket = Socket::new(Domain::for_address(url.address), Type::DGRAM, Some(Protocol::UDP))?;
        if url.reuse {
            socket.set_reuse_address(true)?;
            #[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
            socket.set_reuse_port(true)?;
        }
        let index = match &url.interface {
            Some(Interface::Name(name)) => index_of(name)?,
            _ => 0,
        };
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let Some(Interface::Name(name)) = &url.interface {
            socket.bind_device(Some(name.as_bytes()))?;
        }
        if group.is_ipv6() {
            socket.set_only_v6(true)?;
            socket.set_multicast_hops_v6(url.ttl)?;
            socket.set_multicast_loop_v6(url.loopback)?;
            socket.set_multicast_if_v6(index)?;
        } else if url.broadcast {
            socket.set_broadcast(true)?;
        } else {
            socket.set_multicast_ttl_v4(url.ttl)?;
            socket.set_multicast_loop_v4(url.loopback)?;
            if let Some(Interface::Address(address)) = url.interface {
                socket.set_multicast_if_v4(&address)?;
            }
        }
        // A larger one than usual: a member that is kept from its core for a moment should not lose samples.
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        let any =
            if group.is_ipv6() { IpAddr::V6(Ipv6Addr::UNSPECIFIED) } else { Ipv4Addr::UNSPECIFIED.into() };
        let place = if cfg!(any(target_os = "linux", target_os = "android")) { group } else { any };
        socket.bind(&SocketAddr::new(place, url.address.port()).into())?;
        let socket = UdpSocket::from(socket);
        socket.set_read_timeout(Some(LOOK_EVERY))?;
        let (broadcast, interface) = (url.broadcast, url.interface.clone());
        Ok(Self { socket, target: url.address.into(), group, broadcast, interface })
    }

    /// Asks the network for what is sent to the group. It can be called again where it fails.
    pub(crate) fn join(&self) -> io::Result<()> {
        if self.broadcast {
            return Ok(());
        }
        let socket = SockRef::from(&self.socket);
        let joined = match (self.group, &self.interface) {
            (IpAddr::V4(group), Some(Interface::Address(address))) => {
                socket.join_multicast_v4(&group, address)
            }
            (IpAddr::V4(group), Some(Interface::Name(name))) => {
                socket.join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(index_of(name)?))
            }
            (IpAddr::V4(group), None) => socket.join_multicast_v4(&group, &Ipv4Addr::UNSPECIFIED),
            (IpAddr::V6(group), Some(Interface::Name(name))) => {
                socket.join_multicast_v6(&group, index_of(name)?)
            }
            (IpAddr::V6(group), _) => socket.join_multicast_v6(&group, 0),
        };
        match joined {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(()),
            joined => joined,
        }
    }

    /// Waits for a datagram, but no longer than 50 ms.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.socket.recv_from(buffer)
    }

    /// Sends one datagram to all, without waiting.
    pub(crate) fn send(&self, head: &[u8], payload: &[u8]) -> io::Result<()> {
        let parts = [IoSlice::new(head), IoSlice::new(payload)];
        SockRef::from(&self.socket).send_to_vectored_with_flags(&parts, &self.target, NO_WAIT)?;
        Ok(())
    }

    /// Has the system drop the samples of all digests but these, which then cost nothing here; `None`: of
    /// none. False where it cannot.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(crate) fn narrow(&self, wanted: Option<&[Digest]>) -> bool {
        let socket = SockRef::from(&self.socket);
        let Some(wanted) = wanted else { return socket.detach_filter().is_ok() };
        let program: Vec<SockFilter> = super::filter::program(wanted)
            .into_iter()
            .map(|(code, yes, no, operand)| SockFilter::new(code, yes, no, operand))
            .collect();
        socket.attach_filter(&program).is_ok()
    }

    /// Only Linux can.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub(crate) fn narrow(&self, _: Option<&[Digest]>) -> bool {
        false
    }

    /// Takes nothing more from the system. Only once nobody receives any more: what ends a wait in this way has
    /// no sender, which the standard library does not expect.
    pub(crate) fn close(&self) {
        // It is not connected, which the system complains about after it did what was asked for.
        let _ = SockRef::from(&self.socket).shutdown(Shutdown::Both);
    }
}

/// The number of an interface, which the system finds as it does for an address with a zone.
fn index_of(name: &str) -> io::Result<u32> {
    let unknown = || io::Error::new(io::ErrorKind::NotFound, format!("there is no interface `{name}`"));
    let mut found = format!("[fe80::1%{name}]:0").to_socket_addrs().map_err(|_| unknown())?;
    match found.next() {
        Some(SocketAddr::V6(address)) if address.scope_id() != 0 => Ok(address.scope_id()),
        _ => Err(unknown()),
    }
}

/// What the system may hold of datagrams not read yet, in bytes; Linux doubles it for its bookkeeping.
const RECEIVE_BUFFER: usize = 256 * 1024;

#[cfg(unix)]
const NO_WAIT: i32 = libc::MSG_DONTWAIT;
#[cfg(not(unix))]
const NO_WAIT: i32 = 0;

/// How often a wait is ended, as nothing else surely ends it.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_millis(50);
