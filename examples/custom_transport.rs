//! A transport of one's own: TCP that counts the bytes, under the scheme `counted`.
//!
//!     cargo run --example custom_transport
//!
//! A transport makes connections; a connection reads, writes, and can be closed from any thread.
//! Links, routes and delivery work over it as over the built-in ones.

use bowline::transport::{Cancel, Connection, Listener, Transport};
use bowline::{Endpoint, Intent, Interest, InterestSettings};
use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Shared by all connections: bytes read and written.
#[derive(Clone, Default)]
struct Counted(Arc<(AtomicU64, AtomicU64)>);

struct CountedStream(TcpStream, Counted);

struct CountedListener {
    socket: TcpListener,
    closed: AtomicBool,
    transport: Counted,
}

impl Transport for Counted {
    fn scheme(&self) -> &str {
        "counted"
    }

    fn dial(&self, address: &str, timeout: Duration, _: &Cancel) -> io::Result<Arc<dyn Connection>> {
        let address: SocketAddr = address.parse().map_err(|e| io::Error::new(ErrorKind::InvalidInput, e))?;
        // At most 100 ms, after which the caller may have changed its mind; it dials again.
        let stream = TcpStream::connect_timeout(&address, timeout.min(Duration::from_millis(100)))?;
        Ok(Arc::new(CountedStream(stream, self.clone())))
    }

    fn listen(&self, address: &str) -> io::Result<Arc<dyn Listener>> {
        let (socket, closed) = (TcpListener::bind(address)?, AtomicBool::new(false));
        Ok(Arc::new(CountedListener { socket, closed, transport: self.clone() }))
    }
}

impl Listener for CountedListener {
    fn accept(&self) -> io::Result<Arc<dyn Connection>> {
        let (stream, _) = self.socket.accept()?;
        if self.closed.load(Ordering::SeqCst) {
            return Err(ErrorKind::ConnectionAborted.into());
        }
        Ok(Arc::new(CountedStream(stream, self.transport.clone())))
    }

    fn address(&self) -> String {
        self.socket.local_addr().map_or_else(|e| e.to_string(), |address| address.to_string())
    }

    fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        // Wakes a waiting `accept`.
        let _ = self.socket.local_addr().and_then(TcpStream::connect);
    }
}

impl Connection for CountedStream {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = (&self.0).read(buffer)?;
        self.1.0.0.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let n = (&self.0).write(bytes)?;
        self.1.0.1.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }

    fn close(&self) {
        let _ = self.0.shutdown(Shutdown::Both);
    }

    fn remote(&self) -> String {
        self.0.peer_addr().map_or_else(|e| e.to_string(), |address| address.to_string())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    env_logger::init();
    let counted = Counted::default();
    let robot =
        Endpoint::builder("robot").transport(counted.clone()).listen("counted://127.0.0.1:0").start()?;
    let address = robot.listening().first().cloned().ok_or("the robot does not listen")?;
    let url = format!("{address}/robot");
    let desk = Endpoint::builder("desk").transport(counted.clone()).connect(&url).start()?;

    let text: Interest<String> = desk.interest_with("robot.text", InterestSettings::new().lossless(8))?;
    let intent: Intent<String> = robot.intent("robot.text")?;
    if !intent.wait_interest(Duration::from_secs(5)) {
        return Err("nobody became interested".into());
    }
    for number in 0..100 {
        intent.send_timeout(format!("hello {number}"), Duration::from_secs(1))?;
        let sample = text.recv_timeout(Duration::from_secs(5))?;
        if *sample != format!("hello {number}") {
            return Err(format!("`{}` instead of `hello {number}`", *sample).into());
        }
    }
    desk.close(Duration::from_secs(1));
    robot.close(Duration::from_secs(1));
    let (read, written) = (counted.0.0.load(Ordering::Relaxed), counted.0.1.load(Ordering::Relaxed));
    println!("100 samples over {url}: {written} bytes written, {read} read");
    if written < 1000 { Err("too few bytes were counted".into()) } else { Ok(()) }
}
