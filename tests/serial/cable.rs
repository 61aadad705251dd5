//! A serial cable: two pseudo-terminals and a relay between them that takes as long as a line does, and does to
//! the bytes what it is told to.

use serialport::{SerialPort, TTYPort};
use std::collections::VecDeque;
use std::fs;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// An end of the cable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    A = 0,
    B = 1,
}

use End::{A, B};

/// What happens to bytes on their way from one end.
pub type Way = Box<dyn FnMut(Vec<u8>) -> Vec<u8> + Send>;

type Order = Box<dyn FnOnce(&mut Relay) + Send>;

/// A cable whose two ports have names that stay, whatever number the system gives them.
pub struct Cable {
    directory: PathBuf,
    pub baud: u32,
    orders: Option<Sender<(Order, Sender<()>)>>,
    relay: Option<JoinHandle<()>>,
}

struct Relay {
    directory: PathBuf,
    /// How long a byte takes.
    byte: Duration,
    plugs: [Option<Plug>; 2],
    /// From A, from B.
    lanes: [Lane; 2],
}

/// A pseudo-terminal. Its far side is held open so that the near one can be read before anybody opens it.
struct Plug {
    near: TTYPort,
    _far: TTYPort,
}

struct Lane {
    way: Option<Way>,
    /// Bytes go back to where they came from, and not on.
    echoes: bool,
    /// Bytes are left where they are.
    frozen: bool,
    waiting: VecDeque<u8>,
    /// More wait where they came from.
    more: bool,
    /// When the line is free for the next byte.
    free: Instant,
}

impl Cable {
    /// A cable of which both ends are plugged in.
    pub fn new(baud: u32) -> Self {
        let cable = Self::unplugged(baud);
        cable.plug(A);
        cable.plug(B);
        cable
    }

    pub fn unplugged(baud: u32) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("bowline-cable-{}-{number}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory for the ports' names");
        let (orders, told) = channel();
        let lane = || Lane {
            way: None,
            echoes: false,
            frozen: false,
            waiting: VecDeque::new(),
            more: false,
            free: Instant::now(),
        };
        let relay = Relay {
            directory: directory.clone(),
            byte: Duration::from_nanos(10_000_000_000 / u64::from(baud)),
            plugs: [None, None],
            lanes: [lane(), lane()],
        };
        let relay = std::thread::Builder::new().name("cable".into()).spawn(move || relay.run(&told));
        Self { directory, baud, orders: Some(orders), relay: Some(relay.expect("a thread")) }
    }

    /// The name of a port.
    pub fn port(&self, end: End) -> String {
        self.directory.join(name(end)).display().to_string()
    }

    /// The URL of a port, with more behind it.
    pub fn url(&self, end: End, rest: &str) -> String {
        let separator = if rest.contains('?') { '&' } else { '?' };
        format!("serial://{}{rest}{separator}baud={}", self.port(end), self.baud)
    }

    /// Plugs a port in; it gets a new number.
    pub fn plug(&self, end: End) {
        self.order(move |relay| relay.plug(end));
    }

    pub fn unplug(&self, end: End) {
        self.order(move |relay| relay.unplug(end));
    }

    /// What happens to bytes sent from `end`.
    pub fn way(&self, end: End, way: impl FnMut(Vec<u8>) -> Vec<u8> + Send + 'static) {
        self.order(move |relay| relay.lanes[end as usize].way = Some(Box::new(way)));
    }

    pub fn clear(&self) {
        self.order(|relay| {
            for lane in &mut relay.lanes {
                lane.way = None;
                lane.echoes = false;
                lane.frozen = false;
            }
        });
    }

    /// Nothing that is sent from `end` arrives.
    pub fn cut(&self, end: End) {
        self.way(end, |_| Vec::new());
    }

    /// What is sent from `end` is not even taken from it.
    pub fn freeze(&self, end: End) {
        self.order(move |relay| relay.lanes[end as usize].frozen = true);
    }

    /// What is sent from `end` comes back there.
    pub fn echo(&self, end: End) {
        self.order(move |relay| relay.lanes[end as usize].echoes = true);
    }

    /// Puts bytes into the stream from `end`.
    pub fn inject(&self, end: End, bytes: &[u8]) {
        let bytes = bytes.to_vec();
        self.order(move |relay| relay.lanes[end as usize].waiting.extend(bytes));
    }

    /// So many bytes from `end` arrive still, and then no more.
    pub fn stops_in_the_middle(&self, end: End, bytes: usize) {
        let mut left = bytes;
        self.way(end, move |mut sent| {
            sent.truncate(left);
            left -= sent.len();
            sent
        });
    }

    fn order(&self, order: impl FnOnce(&mut Relay) + Send + 'static) {
        let (done, wait) = channel();
        let orders = self.orders.as_ref().expect("the relay runs");
        orders.send((Box::new(order), done)).expect("the relay runs");
        wait.recv().expect("the relay runs");
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(relay) = self.relay.take() {
            let _ = relay.join();
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

impl Relay {
    fn run(mut self, orders: &Receiver<(Order, Sender<()>)>) {
        loop {
            match orders.recv_timeout(Duration::from_micros(500)) {
                Ok((order, done)) => {
                    order(&mut self);
                    let _ = done.send(());
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.carry(A, B);
            self.carry(B, A);
        }
    }

    fn plug(&mut self, end: End) {
        let (mut near, far) = TTYPort::pair().expect("a pseudo-terminal");
        near.set_timeout(Duration::ZERO).expect("a timeout");
        let name = self.directory.join(name(end));
        std::os::unix::fs::symlink(far.name().expect("its name"), name.with_extension("new"))
            .expect("a link");
        fs::rename(name.with_extension("new"), name).expect("the link has its name");
        self.plugs[end as usize] = Some(Plug { near, _far: far });
    }

    fn unplug(&mut self, end: End) {
        let _ = fs::remove_file(self.directory.join(name(end)));
        self.plugs[end as usize] = None;
        self.lanes[0].waiting.clear();
        self.lanes[1].waiting.clear();
    }

    fn carry(&mut self, from: End, to: End) {
        let now = Instant::now();
        let lane = &mut self.lanes[from as usize];
        // No more than the line takes in a while, so that the rest waits where it would wait.
        let most = (Duration::from_millis(2).as_nanos() / self.byte.as_nanos()) as usize + 16;
        let mut ready = Vec::new();
        loop {
            if lane.waiting.is_empty() && !lane.more {
                lane.free = lane.free.max(now - Duration::from_millis(1));
            }
            let mut chunk = vec![0; most.saturating_sub(lane.waiting.len())];
            let read = match self.plugs[from as usize].as_mut().filter(|_| !lane.frozen) {
                Some(_) if chunk.is_empty() => None,
                Some(plug) => Some(plug.near.read(&mut chunk).unwrap_or(0)),
                None => Some(0),
            };
            if let Some(count) = read {
                lane.more = count == chunk.len();
                chunk.truncate(count);
            }
            if read.is_some_and(|count| count > 0) {
                lane.waiting.extend(match &mut lane.way {
                    Some(way) => way(chunk),
                    None => chunk,
                });
            }
            while lane.free + self.byte <= now {
                let Some(byte) = lane.waiting.pop_front() else { break };
                ready.push(byte);
                lane.free += self.byte;
            }
            // A line does not stand still when this thread comes late, as long as bytes wait for it.
            if lane.free + self.byte > now || !lane.more {
                break;
            }
        }
        let to = if lane.echoes { from } else { to };
        if let Some(plug) = self.plugs[to as usize].as_mut().filter(|_| !ready.is_empty()) {
            // What nobody reads is lost.
            let _ = plug.near.write_all(&ready);
        }
    }
}

fn name(end: End) -> &'static str {
    match end {
        A => "port-a",
        B => "port-b",
    }
}
