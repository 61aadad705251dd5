//! The floor: the same work over plain blocking sockets of the standard library.

use crate::meter::{Meter, RoundTrips, counter, stamp};
use crate::options::{Line, Mode, Options};
use serde_json::Value;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

/// Serves until the process is ended.
pub fn serve(options: &Options) -> Result<(), String> {
    if options.line == Line::Udp {
        return echo_datagrams(options).map_err(|e| format!("{}: {e}", options.addr));
    }
    let listener = TcpListener::bind(&options.addr).map_err(|e| format!("{}: {e}", options.addr))?;
    println!("READY");
    loop {
        let mut streams = Vec::new();
        let wanted = if options.mode == Mode::Fan { options.clients.unwrap_or(1) } else { 1 };
        while streams.len() < wanted {
            let (stream, _) = listener.accept().map_err(|e| e.to_string())?;
            stream.set_nodelay(true).map_err(|e| e.to_string())?;
            streams.push(stream);
        }
        // Whoever hangs up has finished measuring; then the next ones are served.
        let _ended: io::Error = match options.mode {
            Mode::Rtt => echo(&mut streams[0], options.size),
            Mode::Idle => tick(&mut streams[0], options.size),
            _ => publish(&mut streams, options),
        };
    }
}

fn echo(stream: &mut TcpStream, size: usize) -> io::Error {
    let mut message = vec![0; size];
    loop {
        if let Err(e) = stream.read_exact(&mut message).and_then(|()| stream.write_all(&message)) {
            return e;
        }
    }
}

/// One socket for all who send to it, as a listener has.
fn echo_datagrams(options: &Options) -> io::Result<()> {
    let socket = UdpSocket::bind(&options.addr)?;
    println!("READY");
    let mut message = vec![0; options.size];
    loop {
        let (length, from) = socket.recv_from(&mut message)?;
        socket.send_to(&message[..length], from)?;
    }
}

fn tick(stream: &mut TcpStream, size: usize) -> io::Error {
    let mut message = vec![0; size];
    for number in 0.. {
        stamp(&mut message, number);
        if let Err(e) = stream.write_all(&message) {
            return e;
        }
        thread::sleep(Duration::from_millis(100));
    }
    ErrorKind::Other.into()
}

fn publish(streams: &mut Vec<TcpStream>, options: &Options) -> io::Error {
    let size = options.size;
    let mut batch = vec![0; (options.batch / size).max(1) * size];
    // A batch smaller than the message cuts it: many writes per message.
    let piece = if options.batch == 0 { batch.len() } else { options.batch.min(batch.len()) };
    let mut next = 0;
    loop {
        for message in batch.chunks_exact_mut(size) {
            stamp(message, next);
            next += 1;
        }
        let mut failed = None;
        streams.retain_mut(|stream| match batch.chunks(piece).try_for_each(|part| stream.write_all(part)) {
            Ok(()) => true,
            Err(e) => {
                failed = Some(e);
                false
            }
        });
        if let (Some(e), true) = (failed, streams.is_empty()) {
            return e;
        }
    }
}

/// Measures and returns the line of JSON.
pub fn measure(options: &Options) -> Result<Value, String> {
    if options.line == Line::Udp {
        let socket = connect_datagrams(options).map_err(|e| format!("{}: {e}", options.addr))?;
        return round_trips(options, |ping, pong| {
            socket.send(ping)?;
            socket.recv(pong).map(drop)
        });
    }
    let mut stream = connect(options)?;
    let failed = |e: io::Error| format!("{}: {e}", options.addr);
    match options.mode {
        Mode::Rtt => {
            round_trips(options, |ping, pong| stream.write_all(ping).and_then(|()| stream.read_exact(pong)))
        }
        _ => receive(&mut stream, options).map_err(failed)?.report(options),
    }
}

fn round_trips(
    options: &Options,
    mut exchange: impl FnMut(&[u8], &mut [u8]) -> io::Result<()>,
) -> Result<Value, String> {
    let mut trips = RoundTrips::new(options);
    let (mut ping, mut pong) = (vec![7; options.size], vec![0; options.size]);
    for number in 0.. {
        stamp(&mut ping, number);
        let sent = Instant::now();
        exchange(&ping, &mut pong).map_err(|e| format!("{}: {e}", options.addr))?;
        let goes_on = trips.note(sent, Instant::now());
        if pong != ping {
            return Err(format!("reply {number} differs from what was sent"));
        }
        if !goes_on {
            break;
        }
    }
    trips.report(options)
}

fn receive(stream: &mut TcpStream, options: &Options) -> io::Result<Meter> {
    let size = options.size;
    let mut buffer = vec![0; (64 * 1024 / size).max(1) * size];
    let mut filled = 0;
    let mut meter = Meter::new(options);
    stream.set_read_timeout(Some(Duration::from_millis(100)))?;
    while meter.goes_on() {
        filled += match stream.read(&mut buffer[filled..]) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(n) => n,
            Err(e) if e.kind() == ErrorKind::WouldBlock => 0,
            Err(e) => return Err(e),
        };
        let whole = filled - filled % size;
        for message in buffer[..whole].chunks_exact(size) {
            meter.count(counter(message));
        }
        if whole > 0 {
            buffer.copy_within(whole..filled, 0);
            filled -= whole;
        }
    }
    Ok(meter)
}

fn connect(options: &Options) -> Result<TcpStream, String> {
    let until = Instant::now() + Options::LINK;
    loop {
        match TcpStream::connect(&options.addr) {
            Ok(stream) => {
                stream.set_nodelay(true).map_err(|e| e.to_string())?;
                return Ok(stream);
            }
            Err(e) if Instant::now() >= until => return Err(format!("{}: {e}", options.addr)),
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
}

fn connect_datagrams(options: &Options) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(&options.addr)?;
    // On one machine none is lost; were it otherwise, it would wait for ever.
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    Ok(socket)
}
