//! What every transport promises, checked on each of them: the built-in ones and one of a user's own.
//!
//! Nothing here sleeps. A call that must return is waited for with a limit; a call that must wait is
//! seen to wait for a moment before it is woken.

mod lines;
mod own;
mod streams;

use bowline::transport::{Cancel, Connection, Listener, Memory, Tcp, Transport, Udp};
use std::any::Any;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};
use streams::*;

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
    _directory: Option<lines::Directory>,
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

    /// A listener that accepts nothing and whose queue is full, and what fills it. One dial alone may be late for
    /// another reason.
    fn black_hole(&self) -> (Arc<dyn Listener>, Vec<Arc<dyn Connection>>) {
        let listener = self.listen();
        let (mut waiting, mut in_vain) = (Vec::new(), 0);
        while in_vain < 3 {
            match self.dial(&listener.address(), Duration::from_millis(40)) {
                Ok(connection) => {
                    waiting.push(connection);
                    in_vain = 0;
                }
                Err(error) if error.kind() == ErrorKind::TimedOut => in_vain += 1,
                Err(error) => panic!("{error}"),
            }
            assert!(waiting.len() < 450, "the queue of a listener must be bounded");
        }
        (listener, waiting)
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
