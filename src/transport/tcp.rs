//! TCP.

use super::outlook::{check_way, of_internet};
use super::resolve::resolve;
use super::socket::{Acceptor, BACKLOG, Stream, connect};
use super::{Cancel, Connection, Listener, Outlook, Transport, cancelled, deadline_after};
use socket2::{Domain, Protocol, SockAddr, Socket, TcpKeepalive, Type};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Connections over TCP, `tcp://host:port`.
///
/// Small samples are sent at once (no Nagle). Of what is to go to another machine the system holds at most 512 KiB, which
/// bounds what a peer that vanished costs, and how old a sample can get on the way; of that, and within a machine, at most 64 KiB
/// that it has not sent yet (Linux). Else what is under way within a machine is the system's to say. A peer that never reads costs some 200 KB. What arrives waits in a buffer that the system lets grow while
/// it is read fast: on Linux up to `net.ipv4.tcp_rmem`, 6 MiB mostly, which fill only while the program does not run. Within a
/// machine BBR congestion control, where it is the system's default, gives way to Reno (Linux), as it halves what large samples can do; towards
/// others the system's choice stays.
///
/// # When the peer vanishes
/// Three things look for that, and each sees what the others do not. With S = 3.5
/// [ping intervals](crate::EndpointBuilder::ping_interval), 3.5 s by default:
///
/// | What | Finds | After |
/// | --- | --- | --- |
/// | bowline's own pings | whatever keeps the peer from answering: a pulled cable, a frozen process whose system still acknowledges everything | S |
/// | `TCP_USER_TIMEOUT` (Linux, Android) | that what was sent is not acknowledged, also while nobody pings: before the handshake, and behind a BYE, which the system would otherwise go on sending for many minutes | 2 S, at least 5 s |
/// | keepalive | a peer gone while nothing is sent: the same, where the line is quiet | S of quiet and at most S for three probes; at least 1 s each |
///
/// So it is the pings that decide, and a link that is down says so in bowline's words; the system's limits come
/// later, and see to it that nothing of a dead connection is left in it. Where the system has no `TCP_USER_TIMEOUT`,
/// the connection is shut all the same when the pings find it dead.
///
/// # When the way comes back
/// While a link waits to be dialled again, the interfaces that carry and the own address towards the peer are looked
/// at ten times a second; nothing is sent for that. When one of them comes, the peer is dialled at once; so is an
/// attempt begun anew that was under way. Where the peer's network is one of this machine's own and its interface does not
/// carry, an attempt fails at once and names it (Linux, IPv4). What happens beyond the next switch cannot be seen: then the
/// [waits](crate::EndpointBuilder::redial) have to do.
///
/// One wait is the system's: whatever is sent to a neighbour while its cable is out, were it the rest of a dead
/// connection, has the system ask who has that address, and ask anew each second. What is dialled after the return gets
/// out with the answer, up to a second later; a second attempt would wait for the same answer. Where this counts, let
/// both machines ask more often (Linux, as root): `sysctl net.ipv4.neigh.eth0.retrans_time_ms=200`, and for IPv6
/// likewise.
///
/// A host name is looked up anew at each attempt to dial; every address it has is tried, each for
/// its share of the time. Listening at a name takes the first of its addresses that can be had;
/// `0.0.0.0` listens at all IPv4 addresses of the machine, `[::]` at all of both kinds.
///
/// ```
/// use bowline::transport::{Cancel, Tcp, Transport};
/// use std::time::Duration;
/// let listener = Tcp.listen("127.0.0.1:0")?;
/// let here = Tcp.dial(&listener.address(), Duration::from_secs(1), &Cancel::default())?;
/// let there = listener.accept()?;
/// here.write(b"ahoy")?;
/// let mut buffer = [0; 16];
/// let length = there.read(&mut buffer)?;
/// assert_eq!(&buffer[..length], b"ahoy");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Tcp;

impl Transport for Tcp {
    fn scheme(&self) -> &str {
        "tcp"
    }

    fn dial(&self, address: &str, timeout: Duration, cancel: &Cancel) -> io::Result<Arc<dyn Connection>> {
        let deadline = deadline_after(timeout);
        let addresses = resolve(address, deadline, cancel)?;
        let mut failures = Failures::default();
        for (tried, address) in addresses.iter().enumerate() {
            let left = deadline.saturating_duration_since(Instant::now());
            let share = left / u32::try_from(addresses.len() - tried).unwrap_or(1);
            match dial_until(*address, Instant::now() + share, cancel) {
                Ok(stream) => return Ok(Arc::new(stream)),
                Err(_) if cancel.is_cancelled() => return Err(cancelled()),
                Err(error) => failures.add(*address, error),
            }
        }
        Err(failures.into_error())
    }

    fn outlook(&self, address: &str) -> Outlook {
        of_internet(address)
    }

    fn listen(&self, address: &str) -> io::Result<Arc<dyn Listener>> {
        let addresses = resolve(address, Instant::now() + LONGEST_LOOKUP, &Cancel::default())?;
        let mut failures = Failures::default();
        for address in addresses {
            match listen_at(address) {
                Ok(socket) => return Ok(Arc::new(TcpListener(Acceptor::new(socket)))),
                Err(error) => failures.add(address, error),
            }
        }
        Err(failures.into_error())
    }
}

struct TcpListener(Acceptor);

impl Listener for TcpListener {
    fn accept(&self) -> io::Result<Arc<dyn Connection>> {
        let stream = self.0.accept(|socket, from| {
            set_options(&socket)?;
            Ok(Stream::new(socket, name_of(&from)).limited_by(set_limits))
        })?;
        Ok(Arc::new(stream))
    }

    fn address(&self) -> String {
        self.0.local_addr().ok().and_then(|a| a.as_socket()).map_or_else(String::new, |a| a.to_string())
    }

    fn close(&self) {
        self.0.close();
    }
}

/// Dials, and anew whenever the network says that the way opened: what was sent before is lost, and the system
/// would wait for a second and more before it sends it again.
fn dial_until(address: SocketAddr, deadline: Instant, cancel: &Cancel) -> io::Result<Stream> {
    check_way(address)?;
    let text = address.to_string();
    let mut before = of_internet(&text);
    let mut next = Instant::now() + LOOK_EVERY;
    loop {
        let mut opened = || {
            if Instant::now() < next {
                return false;
            }
            next = Instant::now() + LOOK_EVERY;
            let now = of_internet(&text);
            let better = now.is_better_than(&before);
            before = now;
            better
        };
        match dial_one(address, deadline, cancel, &mut opened) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// `Interrupted` where another attempt should be made.
fn dial_one(
    address: SocketAddr,
    deadline: Instant,
    cancel: &Cancel,
    give_up: &mut dyn FnMut() -> bool,
) -> io::Result<Stream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    connect(&socket, &address.into(), deadline, cancel, give_up)?;
    let (here, there) = (socket.local_addr()?.as_socket(), socket.peer_addr()?.as_socket());
    if here == there {
        // Dialling a local port where nobody listens can, once in some ten thousand times, pick the
        // same port to dial from; TCP then connects the socket to itself and keeps the port taken.
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    set_options(&socket)?;
    Ok(Stream::new(socket, address.to_string()).limited_by(set_limits))
}

fn listen_at(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        // `[::]` means both kinds on every system that can; one that cannot serves IPv6 alone.
        let _ = socket.set_only_v6(false);
    }
    // Without it a restarted program waits a minute for its port. On Windows it means something
    // else: that two programs may take the same port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

fn set_options(socket: &Socket) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_tcp_notsent_lowat(NOT_SENT)?;
    set_sending(socket)?;
    set_limits(socket, SILENCE)
}

/// How much may be under way, and at what pace.
///
/// Within a machine the receiver has at once what is sent, and nothing is congested: the system lets grow what is under way. BBR, where
/// it is what the system uses, sends by timers all the same: see [`UNPACED`]. Where the system does not allow the other, it stays.
///
/// The receive buffer is never set. The system lets it grow as it is read, and also where a program stands still and much
/// comes in small writes, each of which costs it a multiple of its bytes. One of a fixed size drops these, and their sender waits longer each
/// time before it sends them again. A program that was stopped for 2.5 s while 3,000 writes of 2,000 B came a second got the next one 1.5 s after it
/// went on with a buffer of 1 MiB, and after 2 ms where the system tunes it (each of 4). `net.ipv4.tcp_rmem` bounds it too, but at far more than a
/// link sends before its peer acknowledges it. Nor may a program ask for more than `net.core.rmem_max`, 208 KiB mostly, with which samples of
/// 32 KiB came at 2.2 GB/s, and at 2.7 where it tunes both buffers (medians of 7, in turn).
fn set_sending(socket: &Socket) -> io::Result<()> {
    let ip = |address: io::Result<SockAddr>| Some(address.ok()?.as_socket()?.ip().to_canonical());
    let (here, there) = (ip(socket.local_addr()), ip(socket.peer_addr()));
    if !there.is_some_and(|there| there.is_loopback() || here == Some(there)) {
        return socket.set_send_buffer_size(SEND_BUFFER);
    }
    #[cfg(target_os = "linux")]
    if socket.tcp_congestion().is_ok_and(|name| name.starts_with(b"bbr")) {
        let _ = socket.set_tcp_congestion(UNPACED);
    }
    Ok(())
}

/// Has the system give the connection up some time after a silence of `silence`.
fn set_limits(socket: &Socket, silence: Duration) -> io::Result<()> {
    // Systems count it in seconds.
    let quiet = silence.max(Duration::from_secs(1));
    let keepalive = TcpKeepalive::new().with_time(quiet);
    #[cfg(not(target_os = "openbsd"))]
    let keepalive = keepalive.with_interval((quiet / PROBES).max(Duration::from_secs(1)));
    #[cfg(any(
        target_os = "linux",
        target_os = "android",
        target_os = "macos",
        target_os = "ios",
        target_os = "freebsd",
        target_os = "netbsd",
    ))]
    let keepalive = keepalive.with_retries(PROBES);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_tcp_user_timeout(Some((silence * 2).max(LEAST_USER_TIMEOUT)))?;
    Ok(())
}

fn name_of(address: &SockAddr) -> String {
    match address.as_socket() {
        // An IPv4 peer of a listener for both kinds is shown as what it is.
        Some(inet) => match inet.ip().to_canonical() {
            ip @ std::net::IpAddr::V4(_) => SocketAddr::new(ip, inet.port()).to_string(),
            _ => inet.to_string(),
        },
        None => "an address of unknown kind".into(),
    }
}

/// What went wrong at each address of a host, told as one error of the last one's kind.
#[derive(Default)]
pub(super) struct Failures {
    text: String,
    kind: Option<io::ErrorKind>,
}

impl Failures {
    pub(super) fn add(&mut self, address: SocketAddr, error: io::Error) {
        let separator = if self.text.is_empty() { "" } else { "; " };
        self.text.push_str(&format!("{separator}{address}: {error}"));
        self.kind = Some(error.kind());
    }

    pub(super) fn into_error(self) -> io::Error {
        io::Error::new(self.kind.unwrap_or(io::ErrorKind::Other), self.text)
    }
}

/// The send buffer asked of the system for each connection to another machine, in bytes; unasked, it lets it
/// grow to megabytes for a peer that vanished. Linux counts its own bookkeeping too, doubles the number
/// for it, and allows at most `net.core.wmem_max`. What a slow line has not taken yet waits here, so this
/// is also what bounds the age of a sample on such a line, and what can be under way: some 5 MB/s on a line with a round trip of 50 ms.
///
/// Within a machine the system lets it grow: 1 MiB a sample came at 4.5 GB/s where it came at 3.9 with 512 KiB, of which Linux allowed 208
/// (medians of 7, in turn).
const SEND_BUFFER: usize = 256 * 1024;

/// What controls congestion within a machine in place of BBR; Linux always has and allows it. 1 MiB a sample came at 4.4 GB/s where it came
/// at 2.2 with BBR, and there and back in 0.6 ms where it took 1.0; up to 64 KiB both made the same (medians, in turn).
#[cfg(target_os = "linux")]
const UNPACED: &[u8] = b"reno";

/// How many bytes the system takes, on Linux, beyond those it sent already: these wait ahead of whatever becomes
/// urgent now. What was sent and not acknowledged, which a fast line with a long way needs, is not counted; so
/// that this costs little throughput. Over loopback, with 1 MiB a write of plain sockets, 64 KiB made 2.4 GB/s where no limit
/// made 2.5 and 128 KiB 1.9 (medians of 9, in turn).
#[cfg(any(target_os = "linux", target_os = "android"))]
const NOT_SENT: u32 = 64 * 1024;

/// The silence that the system's limits are set by until a line says its own: that of a ping each second.
const SILENCE: Duration = Duration::from_millis(3500);

/// How many probes of a quiet connection may go unanswered.
const PROBES: u32 = 3;

/// A first retransmission comes after 0.2 s or more, the next after twice as long: several of them must have failed.
#[cfg(any(target_os = "linux", target_os = "android"))]
const LEAST_USER_TIMEOUT: Duration = Duration::from_secs(5);

/// How often the network is looked at while a connection is being made.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How long a name to listen at may take to be looked up. Nothing else can happen meanwhile.
pub(super) const LONGEST_LOOKUP: Duration = Duration::from_secs(10);

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    fn congestion(stream: &Socket) -> String {
        String::from_utf8(stream.tcp_congestion().unwrap()).unwrap().trim_end_matches('\0').to_owned()
    }

    /// A connection from one socket to another, whose algorithm is to be `name`; none where the system does not have that.
    fn controlled_by(name: &str, to: &str) -> Option<Socket> {
        let listener = std::net::TcpListener::bind((to, 0)).unwrap();
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
        socket.set_tcp_congestion(name.as_bytes()).ok()?;
        let port = listener.local_addr().unwrap().port();
        socket.connect(&SocketAddr::new(to.parse().unwrap(), port).into()).unwrap();
        assert_eq!(congestion(&socket), name);
        set_options(&socket).unwrap();
        Some(socket)
    }

    #[test]
    fn nothing_is_paced_within_the_machine() {
        for to in ["127.0.0.1", "127.3.2.1"] {
            for (name, becomes) in [("reno", "reno"), ("cubic", "cubic"), ("bbr", "reno")] {
                let Some(socket) = controlled_by(name, to) else { continue };
                assert_eq!(congestion(&socket), becomes);
            }
        }
        // Nor does it hurt where there is no other side yet.
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
        let before = congestion(&socket);
        set_sending(&socket).unwrap();
        assert_eq!(congestion(&socket), before);
    }

    #[test]
    fn only_what_is_to_leave_the_machine_has_a_buffer_of_a_set_size() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = || Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
        let sizes =
            |socket: &Socket| (socket.send_buffer_size().unwrap(), socket.recv_buffer_size().unwrap());
        let within = socket();
        within.connect(&listener.local_addr().unwrap().into()).unwrap();
        let before = sizes(&within);
        set_options(&within).unwrap();
        assert_eq!(sizes(&within), before);
        // Whose peer is not known is taken for one elsewhere. How much of what is asked for is given, the system says.
        let (beyond, asked) = (socket(), socket());
        asked.set_send_buffer_size(SEND_BUFFER).unwrap();
        assert_ne!(sizes(&beyond), sizes(&asked));
        set_options(&beyond).unwrap();
        assert_eq!(sizes(&beyond), sizes(&asked));
    }

    #[test]
    fn the_limits_of_the_system_follow_from_the_silence_and_come_after_it() {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
        set_options(&socket).unwrap();
        assert_eq!(socket.tcp_notsent_lowat().unwrap(), NOT_SENT);
        for (silence, user_timeout, quiet, every) in [
            (3500, 7000, 3, 1),
            (350, 5000, 1, 1),
            (35_000, 70_000, 35, 11),
            (12_600_000, 25_200_000, 12_600, 4200),
        ] {
            let silence = Duration::from_millis(silence);
            set_limits(&socket, silence).unwrap();
            let found = socket.tcp_user_timeout().unwrap().unwrap();
            assert_eq!(found, Duration::from_millis(user_timeout));
            assert!(found >= 2 * silence);
            assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(quiet));
            assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(every));
            assert_eq!(socket.tcp_keepalive_retries().unwrap(), PROBES);
            assert!(socket.keepalive().unwrap());
        }
    }
}
