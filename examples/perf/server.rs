//! The bowline side that listens: echoes, or publishes as fast as there is credit.

use crate::meter::stamp;
use crate::options::{Mode, Options, Via};
use bowline::{
    Bytes, Endpoint, Intent, IntentSettings, Interest, InterestSettings, Outcome, Sample, SendError,
};
use std::thread;
use std::time::{Duration, Instant};

/// What the two sides call each other and their routes.
pub const SERVER: &str = "perf.server";
pub const PING: &str = "perf.ping";
pub const PONG: &str = "perf.pong";
pub const FEED: &str = "perf.feed";

/// How long a call waits before it looks around again.
pub const PATIENCE: Duration = Duration::from_millis(100);

/// Unread messages a lossless interest asks room for: some milliseconds of them, 16 MiB when large.
pub fn depth(size: usize) -> u32 {
    match size {
        0..=64 => 65536,
        65..=4096 => 1024,
        4097..=8192 => 512,
        8193..=16_384 => 256,
        16_385..=32_768 => 128,
        32_769..=65_536 => 64,
        _ => 16,
    }
}

/// The largest message either side takes.
pub fn largest(options: &Options) -> usize {
    options.size.max(1024 * 1024)
}

/// Serves until the process is ended.
pub fn serve(options: &Options) -> Result<(), String> {
    let endpoint = Endpoint::builder(SERVER)
        .listen(format!("{}://{}", options.line.name(), options.addr))
        .largest_message(largest(options))
        .start()
        .map_err(|e| e.to_string())?;
    match options.mode {
        Mode::Rtt => echo(&endpoint, options.via),
        Mode::Idle => tick(&endpoint, options),
        _ => publish(&endpoint, options),
    }
}

fn echo(endpoint: &Endpoint, via: Via) -> Result<(), String> {
    let text = |e: bowline::Error| e.to_string();
    let pong: Intent<Bytes> = endpoint.intent(PONG).map_err(text)?;
    match via {
        Via::Mailbox | Via::Slices => {
            let ping: Interest<Bytes> = endpoint.interest(PING).map_err(text)?;
            println!("READY");
            for sample in ping.iter() {
                report(pong.send(sample.into_inner()));
            }
        }
        Via::Callback => {
            let answer = move |sample: Sample<Bytes>| {
                report(pong.try_send(sample.into_inner()));
            };
            let _subscription = endpoint.on_sample(PING, InterestSettings::new(), answer).map_err(text)?;
            println!("READY");
            thread::sleep(Options::SERVE);
        }
    }
    Ok(())
}

/// An answer that nobody takes is worth a word: its client waits for it.
fn report(outcome: Result<Outcome, SendError<Bytes>>) {
    match outcome {
        Ok(outcome) if outcome.taken() > 0 => {}
        Ok(outcome) => eprintln!("perf: an answer was not sent: {}", outcome.worst()),
        Err(e) => eprintln!("perf: an answer was not sent: {e}"),
    }
}

fn tick(endpoint: &Endpoint, options: &Options) -> Result<(), String> {
    let feed: Intent<Bytes> = endpoint.intent(FEED).map_err(|e| e.to_string())?;
    println!("READY");
    let mut ring = Ring::new(options.size);
    let mut next = 0;
    loop {
        if let Ok(outcome) = feed.send(ring.next(next)) {
            next += u64::from(outcome.taken() > 0);
        }
        thread::sleep(Duration::from_millis(100));
    }
}

fn publish(endpoint: &Endpoint, options: &Options) -> Result<(), String> {
    let settings = IntentSettings::new().exclusive();
    let feed: Intent<Bytes> = endpoint.intent_with(FEED, settings).map_err(|e| e.to_string())?;
    println!("READY");
    let wanted = if options.mode == Mode::Fan { options.clients.unwrap_or(1) } else { 1 };
    let mut ring = Ring::new(options.size);
    let mut next = 0;
    loop {
        while !feed.wait_interest(PATIENCE) {}
        let until = Instant::now() + Options::LINK / 2;
        while feed.interested() < wanted && Instant::now() < until {
            thread::sleep(Duration::from_millis(1));
        }
        if options.via == Via::Slices {
            let mut buffer = vec![0; options.size * AT_ONCE];
            while send_some(&feed, &mut buffer, options.size, next)? {
                next += AT_ONCE as u64;
            }
        } else if options.size < LARGE {
            let mut message = vec![0; options.size];
            while send_small(&feed, &mut message, next)? {
                next += 1;
            }
        } else {
            while send_one(&feed, ring.next(next))? {
                next += 1;
            }
        }
    }
}

/// From this size on, a message that is shared is not copied on its way out.
const LARGE: usize = 16 * 1024;

/// How many samples are sent by one call where they are sent as slices.
const AT_ONCE: usize = 64;

/// Sends as many from one buffer that is written anew each time. False once nobody is interested.
fn send_some(feed: &Intent<Bytes>, buffer: &mut [u8], size: usize, number: u64) -> Result<bool, String> {
    for (message, number) in buffer.chunks_exact_mut(size).zip(number..) {
        stamp(message, number);
    }
    let mut slices = [&[][..]; AT_ONCE];
    for (slice, message) in slices.iter_mut().zip(buffer.chunks_exact(size)) {
        *slice = message;
    }
    let mut rest = &slices[..];
    loop {
        match feed.send_slices(rest, PATIENCE) {
            Ok(outcome) => return Ok(outcome.taken() > 0),
            Err(e) if e.is_no_credit() => rest = rest.get(e.into_inner()..).unwrap_or_default(),
            Err(e) => return Err(e.to_string()),
        }
    }
}

/// Sends from one buffer that is written anew each time. False once nobody is interested.
fn send_small(feed: &Intent<Bytes>, message: &mut [u8], number: u64) -> Result<bool, String> {
    message[..8].copy_from_slice(&number.to_le_bytes());
    loop {
        match feed.send_slice(message, PATIENCE) {
            Ok(outcome) => return Ok(outcome.taken() > 0),
            Err(e) if e.is_no_credit() => {}
            Err(e) => return Err(e.to_string()),
        }
    }
}

fn send_one(feed: &Intent<Bytes>, mut message: Bytes) -> Result<bool, String> {
    loop {
        match feed.send_timeout(message, PATIENCE) {
            Ok(outcome) => return Ok(outcome.taken() > 0),
            Err(e) if e.is_no_credit() => message = e.into_inner(),
            Err(e) => return Err(e.to_string()),
        }
    }
}

/// A few buffers, written again once nobody holds them any more.
pub struct Ring {
    buffers: [Bytes; Ring::BUFFERS],
    at: usize,
    size: usize,
}

impl Ring {
    const BUFFERS: usize = 64;

    pub fn new(size: usize) -> Self {
        Self { buffers: std::array::from_fn(|_| Bytes::new()), at: 0, size }
    }

    /// A message of the wanted size that carries this counter. Memory is taken only while all there is is held.
    #[inline]
    pub fn next(&mut self, counter: u64) -> Bytes {
        let mut empty = None;
        for _ in 0..Self::BUFFERS {
            if self.buffers[self.at].is_empty() {
                empty = empty.or(Some(self.at));
            } else if let Some(bytes) = self.buffers[self.at].get_mut() {
                stamp(bytes, counter);
                return self.buffers[self.at].clone();
            }
            self.at = (self.at + 1) % Self::BUFFERS;
        }
        self.at = empty.unwrap_or(self.at);
        self.renew(counter)
    }

    /// None is free: the next one is left to whoever holds it.
    #[cold]
    fn renew(&mut self, counter: u64) -> Bytes {
        let mut message = vec![7; self.size];
        stamp(&mut message, counter);
        self.buffers[self.at] = Bytes::from(message);
        self.buffers[self.at].clone()
    }
}
