//! What both ends of a connection over UDP have in common.

use crate::flow::courier::{Frames, Settings};
use crate::wire::packet::{PacketFrame, decode, pieces};
use socket2::Socket;
use std::io;
use std::net::{IpAddr, SocketAddr};

/// The two tokens of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    /// What datagrams to this end begin with is its low half.
    pub(super) mine: u32,
    pub(super) theirs: u32,
}

impl Link {
    pub(super) fn theirs_short(&self) -> [u8; 2] {
        (self.theirs as u16).to_le_bytes()
    }

    /// Whether a datagram has content for this connection.
    pub(super) fn is_content(&self, datagram: &[u8]) -> bool {
        datagram.first_chunk() == Some(&(self.mine as u16).to_le_bytes())
    }

    /// Whether it says that the other end has no such connection.
    pub(super) fn is_reset(&self, datagram: &[u8]) -> bool {
        let Some((&[0, 0], content)) = datagram.split_first_chunk() else { return false };
        let frame = pieces(content).next().and_then(Result::ok).and_then(|piece| decode(piece).ok());
        matches!(frame, Some(PacketFrame::Reset { token }) if token == self.theirs as u16)
    }

    /// The datagram that says that this end has none any more.
    pub(super) fn over(&self) -> Vec<u8> {
        super::sorter::reset(self.mine as u16)
    }
}

/// How the courier is to work over UDP.
pub(super) fn settings(packet: usize, window: u32) -> Settings {
    Settings {
        fifo: false,
        packet,
        window_in: WINDOW,
        window_out: usize::try_from(window).unwrap_or(WINDOW).min(WINDOW),
        rate: None,
        frames: Frames::Many,
        overhead: OVERHEAD,
    }
}

pub(super) fn set_buffers(socket: &Socket) -> io::Result<()> {
    socket.set_send_buffer_size(BUFFER)?;
    socket.set_recv_buffer_size(BUFFER)
}

/// Whether a fault is over with the next try, or only the end of a wait.
pub(super) fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

/// What a send came to: only a fault that ends the link is one. A datagram the system had no room for in
/// time, or no way, is lost as on the way.
pub(super) fn send_error(sent: io::Result<usize>, waited: bool) -> io::Result<()> {
    match sent {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock && !waited => Err(error),
        Err(error)
            if is_passing(&error)
                || matches!(
                    error.kind(),
                    io::ErrorKind::NetworkUnreachable
                        | io::ErrorKind::HostUnreachable
                        | io::ErrorKind::OutOfMemory
                ) =>
        {
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// An IPv4 peer of a socket for both kinds is shown as what it is.
pub(super) fn name_of(address: SocketAddr) -> String {
    match address.ip().to_canonical() {
        ip @ IpAddr::V4(_) => SocketAddr::new(ip, address.port()).to_string(),
        IpAddr::V6(_) => address.to_string(),
    }
}

/// How many bytes of the repaired stream may be under way each way, at most.
pub(super) const WINDOW: usize = 256 * 1024;

/// The headers of UDP and IPv4 and the token, in bytes.
const OVERHEAD: usize = 8 + 20 + 2;

/// What the system may hold each way, in bytes; Linux doubles it for its bookkeeping.
const BUFFER: usize = 256 * 1024;

#[cfg(all(unix, not(target_vendor = "apple")))]
pub(super) const NO_WAIT: i32 = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
#[cfg(all(unix, target_vendor = "apple"))]
pub(super) const NO_WAIT: i32 = libc::MSG_DONTWAIT;
#[cfg(not(unix))]
pub(super) const NO_WAIT: i32 = 0;
