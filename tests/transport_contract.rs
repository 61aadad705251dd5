//! What every transport promises, checked on each of them: the built-in ones and one of a user's own.
//!
//! Nothing here sleeps. A call that must return is waited for with a limit; a call that must wait is
//! seen to wait for a moment before it is woken.

use bowline::transport::{Cancel, Connection, Listener, Memory, Tcp, Transport, Udp};
use std::any::Any;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

/// A close must end every blocked call within this time. It takes microseconds; the rest is room for
/// a busy machine.
const WOKEN_WITHIN: Duration = Duration::from_secs(2);

/// A call that has not returned for so long is taken to wait.
const SEEN_TO_WAIT: Duration = Duration::from_millis(50);

/// The limit for everything that is not about time.
const DONE_WITHIN: Duration = Duration::from_secs(60);

/// One transport and a free address of it.
struct Line {
    transport: Arc<dyn Transport>,
    address: String,
    /// An address where nobody listens, and what keeps it so.
    nobody: (String, Box<dyn Any>),
    _directory: Option<Directory>,
}

impl Line {
    fn listen(&self) -> Arc<dyn Listener> {
        self.transport.listen(&self.address).unwrap()
    }

    fn dial(&self, address: &str, timeout: Duration) -> io::Result<Arc<dyn Connection>> {
        self.transport.dial(address, timeout, &Cancel::default())
    }

    /// Two ends of a connection.
    fn pair(&self) -> (Arc<dyn Connection>, Arc<dyn Connection>) {
        let listener = self.listen();
        self.pair_at(&listener)
    }

    fn pair_at(&self, listener: &Arc<dyn Listener>) -> (Arc<dyn Connection>, Arc<dyn Connection>) {
        let here = self.dial(&listener.address(), DONE_WITHIN).unwrap();
        let listener = listener.clone();
        let there = waited_for("accept", WOKEN_WITHIN, start(move || listener.accept())).unwrap();
        (here, there)
    }

    /// A listener that accepts nothing and whose queue is full, and what fills it.
    fn black_hole(&self) -> (Arc<dyn Listener>, Vec<Arc<dyn Connection>>) {
        let listener = self.listen();
        let mut waiting = Vec::new();
        loop {
            match self.dial(&listener.address(), Duration::from_millis(40)) {
                Ok(connection) => waiting.push(connection),
                Err(error) if error.kind() == ErrorKind::TimedOut => return (listener, waiting),
                Err(error) => panic!("{error}"),
            }
            assert!(waiting.len() < 450, "the queue of a listener must be bounded");
        }
    }
}

/// Runs something on a thread of its own; what it returns comes through the channel.
fn start<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> Receiver<T> {
    let (done, returned) = channel();
    thread::spawn(move || done.send(call()));
    returned
}

fn waited_for<T>(what: &str, limit: Duration, returned: Receiver<T>) -> T {
    match returned.recv_timeout(limit) {
        Ok(value) => value,
        Err(RecvTimeoutError::Timeout) => panic!("{what} did not return within {limit:?}"),
        Err(RecvTimeoutError::Disconnected) => panic!("{what} panicked"),
    }
}

fn assert_waits<T>(what: &str, returned: &Receiver<T>) {
    match returned.recv_timeout(SEEN_TO_WAIT) {
        Err(RecvTimeoutError::Timeout) => {}
        _ => panic!("{what} should wait"),
    }
}

fn write_all(connection: &dyn Connection, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let taken = connection.write(bytes).unwrap();
        assert!(taken > 0 && taken <= bytes.len());
        bytes = &bytes[taken..];
    }
}

fn read_to_end(connection: &dyn Connection) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match connection.read(&mut buffer).unwrap() {
            0 => return bytes,
            length => bytes.extend_from_slice(&buffer[..length]),
        }
    }
}

/// Bytes of which no part looks like another part a little further on.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut bytes = vec![0; length];
    random.fill(&mut bytes);
    bytes
}

/// Writes all of `bytes` in pieces of random sizes, by every kind of write.
fn write_in_pieces(connection: &dyn Connection, mut bytes: &[u8], seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    while !bytes.is_empty() {
        let size = piece(&mut random).clamp(1, bytes.len());
        let taken = match random.u8(0..3) {
            0 => connection.write(&bytes[..size]).unwrap(),
            1 => {
                let (a, b) = bytes[..size].split_at(random.usize(0..=size));
                connection.write_vectored(&[IoSlice::new(a), IoSlice::new(&[]), IoSlice::new(b)]).unwrap()
            }
            _ => match connection.try_write(&bytes[..size]) {
                Ok(taken) => taken,
                Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                Err(error) => panic!("{error}"),
            },
        };
        bytes = &bytes[taken..];
    }
}

/// Reads until `expected` came, by every kind of read, and compares on the way.
fn read_in_pieces(connection: &dyn Connection, expected: &[u8], seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut at = 0;
    while at < expected.len() {
        let mut buffer = vec![0; piece(&mut random)];
        let length = if random.bool() {
            connection.read(&mut buffer).unwrap()
        } else {
            let split = random.usize(0..=buffer.len());
            let (a, b) = buffer.split_at_mut(split);
            connection.read_vectored(&mut [IoSliceMut::new(a), IoSliceMut::new(b)]).unwrap()
        };
        assert!(length > 0, "the stream ended after {at} of {} bytes", expected.len());
        assert!(buffer[..length] == expected[at..at + length], "other bytes than written, from {at} on");
        at += length;
    }
}

/// Mostly small, sometimes larger than any buffer of a transport.
fn piece(random: &mut fastrand::Rng) -> usize {
    match random.u8(0..10) {
        0..6 => random.usize(1..200),
        6..9 => random.usize(200..20_000),
        _ => random.usize(20_000..2_000_000),
    }
}

// ---------------------------------------------------------------------------------- bytes

fn bytes_arrive_in_order_and_whole_both_ways_at_once(line: &Line) {
    const LENGTH: usize = 4 << 20;
    let seed =
        std::env::var("BOWLINE_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("BOWLINE_SEED={seed}");
    let (here, there) = line.pair();
    let (to_there, to_here) = (Arc::new(noise(seed, LENGTH)), Arc::new(noise(seed ^ 1, LENGTH)));
    let mut running = Vec::new();
    for (connection, outgoing, incoming, seed) in [
        (here.clone(), to_there.clone(), to_here.clone(), seed ^ 2),
        (there.clone(), to_here, to_there, seed ^ 4),
    ] {
        let writing = connection.clone();
        running.push(start(move || write_in_pieces(&*writing, &outgoing, seed)));
        let (done, read) = channel();
        running.push(read);
        thread::spawn(move || {
            read_in_pieces(&*connection, &incoming, seed ^ 1);
            let _ = done.send(());
            // What acknowledges the other direction comes this way too, where the transport is no stream.
            while matches!(connection.read(&mut [0; 64]), Ok(1..)) {}
        });
    }
    for side in running {
        waited_for("one direction", DONE_WITHIN, side);
    }
    here.close();
    there.close();
}

fn several_buffers_are_written_and_read_in_order(line: &Line) {
    let (here, there) = line.pair();
    let parts: [&[u8]; 4] = [b"", b"fast", b" ", b"hitch"];
    let mut sent = 0;
    while sent < 10 {
        let mut skip = sent;
        let rest: Vec<_> = parts
            .iter()
            .map(|part| {
                let from = skip.min(part.len());
                skip -= from;
                IoSlice::new(&part[from..])
            })
            .collect();
        sent += here.write_vectored(&rest).unwrap();
    }
    here.close();
    let mut bytes = Vec::new();
    loop {
        let (mut a, mut b) = ([0; 3], [0; 64]);
        let mut buffers = [IoSliceMut::new(&mut []), IoSliceMut::new(&mut a), IoSliceMut::new(&mut b)];
        let length = there.read_vectored(&mut buffers).unwrap();
        if length == 0 {
            break;
        }
        bytes.extend_from_slice(&[&a[..], &b[..]].concat()[..length]);
    }
    assert_eq!(bytes, b"fast hitch");
}

fn try_write_never_waits_and_keeps_the_order(line: &Line) {
    let (here, there) = line.pair();
    let bytes = noise(7, 32 << 20);
    let first = 1000;
    write_all(&*here, &bytes[..first]);
    let filling = start(move || {
        let mut at = first;
        let error = loop {
            let end = (at + 50_000).min(bytes.len());
            match here.try_write(&bytes[at..end]) {
                Ok(taken) => at += taken,
                Err(error) => break error,
            }
            assert!(at < bytes.len(), "a peer that reads nothing cannot take everything");
        };
        (here, bytes, at, error)
    });
    let (here, bytes, at, error) = waited_for("try_write", DONE_WITHIN, filling);
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    let again = start({
        let here = here.clone();
        move || here.try_write(b"x").map_err(|e| e.kind())
    });
    let one_more = match waited_for("try_write", WOKEN_WITHIN, again) {
        Ok(1) => true, // the system moved bytes on meanwhile
        Err(ErrorKind::WouldBlock) => false,
        other => panic!("{other:?}"),
    };
    let reading = start(move || read_to_end(&*there));
    write_all(&*here, b"the end");
    here.close();
    let got = waited_for("the reader", DONE_WITHIN, reading);
    let expected = [&bytes[..at], if one_more { b"x" } else { b"" }, b"the end"].concat();
    assert!(got == expected, "{} bytes came of {}", got.len(), expected.len());
}

// ------------------------------------------------------------------------------ the end of a stream

fn read_returns_0_after_the_peer_closed_and_all_was_read(line: &Line) {
    let listener = line.listen();
    for drop_instead in [false, true] {
        let (here, there) = line.pair_at(&listener);
        write_all(&*here, b"last words");
        if !drop_instead {
            here.close();
        }
        let kept = (!drop_instead).then_some(here);
        let reading = start(move || (read_to_end(&*there), there.read(&mut [0; 8]).unwrap()));
        assert_eq!(waited_for("read", WOKEN_WITHIN, reading), (b"last words".to_vec(), 0));
        drop(kept);
    }
}

fn a_write_to_a_peer_that_closed_fails_and_nothing_else_happens(line: &Line) {
    let (here, there) = line.pair();
    there.close();
    drop(there);
    let writing = start(move || {
        loop {
            if let Err(error) = here.write(&[0; 1000]) {
                break (error.kind(), here.try_write(&[0; 1000]).is_err());
            }
        }
    });
    let (kind, try_failed) = waited_for("write", WOKEN_WITHIN, writing);
    assert!(matches!(kind, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{kind:?}");
    assert!(try_failed);
}

fn close_wakes_a_blocked_read(line: &Line) {
    let (here, there) = line.pair();
    let reading = start({
        let here = here.clone();
        move || here.read(&mut [0; 8])
    });
    assert_waits("read", &reading);
    here.close();
    // How it ends is left to the transport; that nothing was read is not.
    assert!(matches!(waited_for("read", WOKEN_WITHIN, reading), Ok(0) | Err(_)));
    drop(there);
}

fn close_wakes_a_blocked_write(line: &Line) {
    let (here, there) = line.pair();
    let (progress, seen) = channel();
    let writing = start({
        let here = here.clone();
        move || {
            loop {
                match here.write(&[0; 10_000]) {
                    Ok(_) => progress.send(()).unwrap(),
                    Err(error) => break error.kind(),
                }
            }
        }
    });
    while seen.recv_timeout(SEEN_TO_WAIT) != Err(RecvTimeoutError::Timeout) {}
    assert_waits("write", &writing);
    here.close();
    let kind = waited_for("write", WOKEN_WITHIN, writing);
    assert!(!matches!(kind, ErrorKind::WouldBlock | ErrorKind::Interrupted), "{kind:?} would be tried again");
    drop(there);
}

fn a_peer_that_closes_wakes_a_blocked_read_and_write(line: &Line) {
    let (here, there) = line.pair();
    let reading = start({
        let here = here.clone();
        move || here.read(&mut [0; 8])
    });
    let writing = start(move || while here.write(&[0; 10_000]).is_ok() {});
    assert_waits("read", &reading);
    assert_waits("write", &writing);
    there.close();
    drop(there);
    assert!(matches!(waited_for("read", WOKEN_WITHIN, reading), Ok(0) | Err(_)));
    waited_for("write", WOKEN_WITHIN, writing);
}

fn a_blocked_write_does_not_hold_up_reading(line: &Line) {
    let (here, there) = line.pair();
    let writing = start({
        let here = here.clone();
        move || while here.write(&[0; 10_000]).is_ok() {}
    });
    assert_waits("write", &writing);
    write_all(&*there, b"still here");
    let reading = start({
        let here = here.clone();
        move || {
            let mut buffer = [0; 10];
            let mut at = 0;
            while at < buffer.len() {
                at += here.read(&mut buffer[at..]).unwrap();
            }
            buffer
        }
    });
    assert_eq!(&waited_for("read", WOKEN_WITHIN, reading), b"still here");
    here.close();
    waited_for("write", WOKEN_WITHIN, writing);
}

fn close_can_be_called_by_many_threads_at_once(line: &Line) {
    let (here, there) = line.pair();
    let reading = start({
        let here = here.clone();
        move || here.read(&mut [0; 8])
    });
    let barrier = Arc::new(Barrier::new(8));
    let closing: Vec<_> = (0..8)
        .map(|_| {
            let (here, barrier) = (here.clone(), barrier.clone());
            start(move || {
                barrier.wait();
                here.close();
                here.close();
            })
        })
        .collect();
    for one in closing {
        waited_for("close", WOKEN_WITHIN, one);
    }
    let _ = waited_for("read", WOKEN_WITHIN, reading);
    let after =
        start(move || (here.write(b"x").is_err(), here.try_write(b"x").is_err(), here.read(&mut [0; 8])));
    let (write, try_write, read) = waited_for("calls after close", WOKEN_WITHIN, after);
    assert!(write && try_write && matches!(read, Ok(0) | Err(_)));
    assert_eq!(waited_for("the peer", WOKEN_WITHIN, start(move || read_to_end(&*there))), b"");
}

// ------------------------------------------------------------------------------------- listening

fn close_wakes_a_blocked_accept(line: &Line) {
    let listener = line.listen();
    let accepting: Vec<_> = (0..2)
        .map(|_| {
            let listener = listener.clone();
            start(move || listener.accept().is_err())
        })
        .collect();
    for one in &accepting {
        assert_waits("accept", one);
    }
    listener.close();
    listener.close();
    for one in accepting {
        assert!(waited_for("accept", WOKEN_WITHIN, one));
    }
    let again = start(move || listener.accept().is_err());
    assert!(waited_for("accept after close", WOKEN_WITHIN, again));
}

fn the_address_can_be_dialled_and_tells_who_is_there(line: &Line) {
    let listener = line.listen();
    assert!(!listener.address().ends_with(":0"), "{}", listener.address());
    let (here, there) = line.pair_at(&listener);
    assert_eq!(here.remote(), listener.address());
    assert!(
        !there.remote().is_empty() && !there.remote().contains(char::is_whitespace),
        "{}",
        there.remote()
    );
    let (_here, other) = line.pair_at(&listener);
    assert_ne!(there.remote(), other.remote(), "two connections must be told apart");
}

fn many_connections_to_one_listener_are_kept_apart(line: &Line) {
    let listener = line.listen();
    let pairs: Vec<_> = (0..50).map(|_| line.pair_at(&listener)).collect();
    for (number, (here, there)) in pairs.iter().enumerate() {
        write_all(&**here, &[number as u8; 3]);
        write_all(&**there, &[number as u8 + 100; 3]);
        here.close();
        assert_eq!(read_to_end(&**there), [number as u8; 3]);
    }
}

fn listening_twice_at_one_address_is_an_error(line: &Line) {
    let listener = line.listen();
    let error = line.transport.listen(&listener.address()).err().expect("the address is taken");
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    line.pair_at(&listener);
}

fn a_dropped_listener_frees_its_address_at_once(line: &Line) {
    let listener = line.listen();
    let address = listener.address();
    // Connections that were open, and one that is, must not keep the address taken.
    let open = line.pair_at(&listener);
    drop(line.pair_at(&listener));
    drop(listener);
    let again = line.transport.listen(&address).unwrap();
    assert_eq!(again.address(), address);
    line.pair_at(&again);
    write_all(&*open.0, b"alive");
    open.0.close();
    assert_eq!(read_to_end(&*open.1), b"alive");
}

fn whoever_waits_at_a_listener_that_ends_is_told(line: &Line) {
    let listener = line.listen();
    let here = line.dial(&listener.address(), DONE_WITHIN).unwrap();
    listener.close();
    drop(listener);
    let reading = start(move || here.read(&mut [0; 8]));
    assert!(matches!(waited_for("read", WOKEN_WITHIN, reading), Ok(0) | Err(_)));
}

// --------------------------------------------------------------------------------------- dialling

fn dialling_where_nobody_listens_fails_promptly(line: &Line) {
    let started = Instant::now();
    let error = line.dial(&line.nobody.0, DONE_WITHIN).err().expect("nobody listens");
    assert!(started.elapsed() < WOKEN_WITHIN, "{:?}", started.elapsed());
    assert!(matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound), "{error:?}");
}

fn a_dial_without_an_answer_ends_in_time(line: &Line) {
    let (listener, _waiting) = line.black_hole();
    for timeout in [Duration::ZERO, Duration::from_millis(5), Duration::from_millis(200)] {
        let started = Instant::now();
        let error = line.dial(&listener.address(), timeout).err().expect("nobody answers");
        let took = started.elapsed();
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
        assert!(took >= timeout && took < timeout + WOKEN_WITHIN, "{took:?} instead of {timeout:?}");
    }
}

fn cancel_ends_a_dial_without_an_answer(line: &Line) {
    let (listener, _waiting) = line.black_hole();
    let (address, transport, cancel) = (listener.address(), line.transport.clone(), Cancel::default());
    let dialling = start({
        let cancel = cancel.clone();
        move || transport.dial(&address, Duration::from_secs(3600), &cancel).is_err()
    });
    assert_waits("dial", &dialling);
    cancel.cancel();
    assert!(waited_for("dial", WOKEN_WITHIN, dialling));
}

fn a_dial_cancelled_beforehand_connects_nothing(line: &Line) {
    let listener = line.listen();
    let cancel = Cancel::default();
    cancel.cancel();
    assert!(line.transport.dial(&listener.address(), DONE_WITHIN, &cancel).is_err());
}

fn a_dial_gets_through_once_there_is_room_again(line: &Line) {
    let (listener, waiting) = line.black_hole();
    let (address, transport) = (listener.address(), line.transport.clone());
    let dialling = start(move || transport.dial(&address, DONE_WITHIN, &Cancel::default()).map(drop));
    assert_waits("dial", &dialling);
    // The connections of dials that gave up may be among those accepted, so more are taken than wait.
    let accepting = listener.clone();
    thread::spawn(move || while accepting.accept().is_ok() {});
    waited_for("dial", DONE_WITHIN, dialling).unwrap();
    listener.close();
    drop(waiting);
}

fn an_endless_timeout_is_allowed(line: &Line) {
    let listener = line.listen();
    line.dial(&listener.address(), Duration::MAX).unwrap();
}

// ------------------------------------------------------------------------------------ the transports

macro_rules! on {
    ($transport:ident, $($promise:ident)*) => {
        mod $transport {
            $(#[test] fn $promise() { super::$promise(&super::lines::$transport()) })*
        }
    };
}

macro_rules! promises {
    ($($promise:ident)*) => {
        on!(tcp, $($promise)*);
        on!(tcp_v6, $($promise)*);
        #[cfg(unix)]
        on!(unix, $($promise)*);
        on!(in_memory, $($promise)*);
        on!(of_a_user, $($promise)*);
    };
}

promises! {
    bytes_arrive_in_order_and_whole_both_ways_at_once
    several_buffers_are_written_and_read_in_order
    try_write_never_waits_and_keeps_the_order
    read_returns_0_after_the_peer_closed_and_all_was_read
    a_write_to_a_peer_that_closed_fails_and_nothing_else_happens
    close_wakes_a_blocked_read
    close_wakes_a_blocked_write
    a_peer_that_closes_wakes_a_blocked_read_and_write
    a_blocked_write_does_not_hold_up_reading
    close_can_be_called_by_many_threads_at_once
    close_wakes_a_blocked_accept
    the_address_can_be_dialled_and_tells_who_is_there
    many_connections_to_one_listener_are_kept_apart
    listening_twice_at_one_address_is_an_error
    a_dropped_listener_frees_its_address_at_once
    whoever_waits_at_a_listener_that_ends_is_told
    dialling_where_nobody_listens_fails_promptly
    a_dial_without_an_answer_ends_in_time
    cancel_ends_a_dial_without_an_answer
    a_dial_cancelled_beforehand_connects_nothing
    a_dial_gets_through_once_there_is_room_again
    an_endless_timeout_is_allowed
}

// What is not here: a close drops what was not acknowledged (endpoints say BYE and hear one first), the
// end of a peer is found by who reads, and a listener's socket is also that of its connections.
on! { udp,
    bytes_arrive_in_order_and_whole_both_ways_at_once
    several_buffers_are_written_and_read_in_order
    read_returns_0_after_the_peer_closed_and_all_was_read
    close_wakes_a_blocked_read
    close_wakes_a_blocked_write
    a_peer_that_closes_wakes_a_blocked_read_and_write
    a_blocked_write_does_not_hold_up_reading
    close_can_be_called_by_many_threads_at_once
    close_wakes_a_blocked_accept
    the_address_can_be_dialled_and_tells_who_is_there
    many_connections_to_one_listener_are_kept_apart
    listening_twice_at_one_address_is_an_error
    whoever_waits_at_a_listener_that_ends_is_told
    dialling_where_nobody_listens_fails_promptly
    a_dial_without_an_answer_ends_in_time
    cancel_ends_a_dial_without_an_answer
    a_dial_cancelled_beforehand_connects_nothing
    a_dial_gets_through_once_there_is_room_again
    an_endless_timeout_is_allowed
}

#[test]
fn a_udp_socket_is_free_again_once_its_listener_and_connections_are_gone() {
    let line = lines::udp();
    let listener = line.listen();
    let address = listener.address();
    let (here, there) = line.pair_at(&listener);
    drop(listener);
    write_all(&*here, b"alive");
    here.close();
    assert_eq!(read_to_end(&*there), b"alive");
    drop((here, there));
    assert_eq!(line.transport.listen(&address).unwrap().address(), address);
}

mod lines {
    use super::*;

    pub fn tcp() -> Line {
        over_tcp("127.0.0.1")
    }

    pub fn tcp_v6() -> Line {
        // A machine without IPv6 runs these over IPv4 once more.
        let has_v6 = std::net::TcpListener::bind("[::1]:0").is_ok();
        over_tcp(if has_v6 { "[::1]" } else { "127.0.0.1" })
    }

    fn over_tcp(host: &str) -> Line {
        // Bound and not listening: refused for as long as the socket lives.
        let address: std::net::SocketAddr = format!("{host}:0").parse().unwrap();
        let domain = socket2::Domain::for_address(address);
        let held = socket2::Socket::new(domain, socket2::Type::STREAM, None).unwrap();
        held.bind(&address.into()).unwrap();
        let nobody = held.local_addr().unwrap().as_socket().unwrap().to_string();
        Line {
            transport: Arc::new(Tcp),
            address: address.to_string(),
            nobody: (nobody, Box::new(held)),
            _directory: None,
        }
    }

    pub fn udp() -> Line {
        let nobody = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        Line {
            transport: Arc::new(Udp),
            address: "127.0.0.1:0".to_owned(),
            nobody: (nobody, Box::new(())),
            _directory: None,
        }
    }

    #[cfg(unix)]
    pub fn unix() -> Line {
        let directory = Directory::new();
        let file = |name: &str| directory.0.join(name).to_str().unwrap().to_owned();
        Line {
            transport: Arc::new(bowline::transport::Unix),
            address: file("robot.sock"),
            nobody: (file("nobody.sock"), Box::new(())),
            _directory: Some(directory),
        }
    }

    pub fn in_memory() -> Line {
        over_memory(Arc::new(Memory))
    }

    pub fn of_a_user() -> Line {
        over_memory(Arc::new(Tunnel))
    }

    fn over_memory(transport: Arc<dyn Transport>) -> Line {
        Line {
            transport,
            address: format!("contract-{}", number()),
            nobody: ("nobody at all".into(), Box::new(())),
            _directory: None,
        }
    }
}

struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("bowline-{}-{}", std::process::id(), number()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn number() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A user's own transport: it turns every byte over on the way and implements no more than it must.
struct Tunnel;

impl Transport for Tunnel {
    fn scheme(&self) -> &str {
        "tunnel"
    }

    fn dial(&self, address: &str, timeout: Duration, cancel: &Cancel) -> io::Result<Arc<dyn Connection>> {
        Ok(Arc::new(TunnelEnd(Memory.dial(address, timeout, cancel)?)))
    }

    fn listen(&self, address: &str) -> io::Result<Arc<dyn Listener>> {
        Ok(Arc::new(TunnelListener(Memory.listen(address)?)))
    }
}

struct TunnelListener(Arc<dyn Listener>);

impl Listener for TunnelListener {
    fn accept(&self) -> io::Result<Arc<dyn Connection>> {
        Ok(Arc::new(TunnelEnd(self.0.accept()?)))
    }

    fn address(&self) -> String {
        self.0.address()
    }

    fn close(&self) {
        self.0.close();
    }
}

struct TunnelEnd(Arc<dyn Connection>);

impl Connection for TunnelEnd {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.0.read(buffer)?;
        buffer[..length].iter_mut().for_each(|byte| *byte = !*byte);
        Ok(length)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let turned: Vec<_> = bytes.iter().map(|byte| !byte).collect();
        self.0.write(&turned)
    }

    fn close(&self) {
        self.0.close();
    }

    fn remote(&self) -> String {
        self.0.remote()
    }
}

// ------------------------------------------------------------------------------ one transport only

#[test]
fn tcp_listens_at_a_real_port_and_is_found_by_name() {
    let listener = Tcp.listen("localhost:0").unwrap();
    let address = listener.address();
    let port: u16 = address.rsplit(':').next().unwrap().parse().unwrap();
    assert_ne!(port, 0);
    // A name can stand for several addresses; one that refuses does not stop the others.
    let here = Tcp.dial(&format!("localhost:{port}"), DONE_WITHIN, &Cancel::default()).unwrap();
    assert_eq!(here.remote(), address);
    listener.accept().unwrap();
}

#[test]
fn tcp_says_which_address_failed() {
    let (nobody, _held) = lines::tcp().nobody;
    let error = Tcp.dial(&nobody, DONE_WITHIN, &Cancel::default()).err().unwrap();
    assert!(error.to_string().contains(&nobody), "{error}");
    let error = Tcp.listen("robot").err().unwrap();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_tcp_listener_for_both_kinds_shows_ipv4_peers_as_such() {
    let Ok(listener) = Tcp.listen("[::]:0") else { return };
    let port = listener.address().rsplit(':').next().unwrap().to_owned();
    let _here = Tcp.dial(&format!("127.0.0.1:{port}"), DONE_WITHIN, &Cancel::default()).unwrap();
    assert!(listener.accept().unwrap().remote().starts_with("127.0.0.1:"));
}

#[test]
fn a_stalled_tcp_peer_holds_a_bounded_number_of_bytes() {
    let line = lines::tcp();
    let (here, _there) = line.pair();
    let mut held = 0;
    while let Ok(taken) = here.try_write(&[0; 16 * 1024]) {
        held += taken;
    }
    println!("{held} bytes");
    // 512 KiB in the send buffer here and 2 MiB in the receive buffer there.
    assert!(held <= 5 << 19, "{held} bytes");
}

#[test]
fn a_memory_connection_holds_as_much_as_is_said() {
    let (here, _there) = bowline::transport::memory::pair();
    let mut held = 0;
    while let Ok(taken) = here.try_write(&[0; 1000]) {
        held += taken;
    }
    assert_eq!(held, bowline::transport::memory::PIPE_BYTES);
}

#[test]
fn a_waiting_thread_is_woken_by_cancel() {
    let cancel = Cancel::default();
    assert!(!cancel.wait(Duration::ZERO));
    let waiting = start({
        let cancel = cancel.clone();
        move || cancel.wait(Duration::MAX)
    });
    assert_waits("wait", &waiting);
    cancel.cancel();
    assert!(waited_for("wait", WOKEN_WITHIN, waiting));
}
