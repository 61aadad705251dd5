//! A camera and a stop command on one slow line: how late the command is, with lanes and without.
//!
//!     cargo run --release --example image_and_stop
//!
//! A line of 4 MB/s joins a rover and a station. The rover sends images of 1 MB without pause; in between, 64 bytes
//! that must not wait. Once everything has the same priority and images go whole, once the command is urgent and
//! images are bulk, in pieces of 16 KiB. The line is made here: memory with a pace.

use bowline::transport::{Cancel, Connection, Listener, Memory, Transport};
use bowline::{Bytes, Endpoint, Intent, IntentSettings, Interest, InterestSettings, Priority};
use std::error::Error;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Bytes a second, and how many the line takes at once.
const RATE: u32 = 4_000_000;
const SLICE: usize = 8 * 1024;

const IMAGE: usize = 1_000_000;
const STOPS: usize = 20;
const SOON: Duration = Duration::from_secs(20);

fn main() -> Result<(), Box<dyn Error>> {
    let plain = run("whole", 1 << 20, [Priority::Normal, Priority::Normal])?;
    let lanes = run("lanes", 16 << 10, [Priority::Bulk, Priority::Urgent])?;
    println!("a line of {} MB/s, full of images of {} kB", RATE / 1_000_000, IMAGE / 1000);
    for (name, Run { late, images }) in [("without lanes", plain), ("with lanes", lanes)] {
        println!(
            "{name:>14}: the stop command came after {:6.1} ms (median), {:6.1} ms (worst) beside {images} images",
            millis(late[late.len() / 2]),
            millis(late[late.len() - 1]),
        );
    }
    Ok(())
}

struct Run {
    /// How late the commands were, sorted.
    late: Vec<Duration>,
    images: usize,
}

/// Sends stop commands one after the other, each as soon as the last one came and at another moment of an image.
fn run(name: &str, piece: usize, [images, stops]: [Priority; 2]) -> Result<Run, Box<dyn Error>> {
    let address = format!("paced://{name}");
    let line = Paced;
    let builder = |path: &str| Endpoint::builder(path).transport(line.clone()).fragment_bytes(piece);
    let station = builder("station").listen(address.as_str()).start()?;
    let rover = builder("rover").connect(format!("{address}/station")).start()?;

    let eye: Intent<Bytes> = rover.intent_with("rover.eye", IntentSettings::new().priority(images))?;
    let stop: Intent<Bytes> = rover.intent_with("rover.stop", IntentSettings::new().priority(stops))?;
    let seen: Interest<Bytes> = station.interest_with("rover.eye", InterestSettings::new().latest())?;
    let heard: Interest<Bytes> = station.interest("rover.stop")?;
    if !eye.wait_interest(SOON) || !stop.wait_interest(SOON) {
        return Err("the station is not there".into());
    }
    let image = Bytes::from(vec![7; IMAGE]);
    let (mut late, mut received) = (Vec::new(), 0);
    for turn in 0..STOPS {
        eye.send(image.clone())?;
        eye.send(image.clone())?;
        // Some way into an image: until the line carried so much more.
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_millis(11 * turn as u64) {
            received += usize::from(seen.recv_timeout(Duration::from_millis(5)).is_ok());
        }
        let sent = Instant::now();
        stop.send(Bytes::from(vec![1; 64]))?;
        heard.recv_timeout(SOON)?;
        late.push(sent.elapsed());
        received += usize::from(seen.try_recv().is_ok());
    }
    late.sort();
    Ok(Run { late, images: received })
}

fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}

/// Memory connections of which the dialling side writes no faster than [`RATE`].
#[derive(Clone, Default)]
struct Paced;

struct PacedLine {
    inner: Arc<dyn Connection>,
    /// When the line is through with what it was given.
    free_at: Mutex<Option<Instant>>,
    closed: Cancel,
}

impl Transport for Paced {
    fn scheme(&self) -> &str {
        "paced"
    }

    fn dial(&self, address: &str, timeout: Duration, cancel: &Cancel) -> io::Result<Arc<dyn Connection>> {
        let inner = Memory.dial(address, timeout, cancel)?;
        Ok(Arc::new(PacedLine { inner, free_at: Mutex::new(None), closed: Cancel::default() }))
    }

    fn listen(&self, address: &str) -> io::Result<Arc<dyn Listener>> {
        Memory.listen(address)
    }
}

impl Connection for PacedLine {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let bytes = &bytes[..bytes.len().min(SLICE)];
        let takes = Duration::from_secs(1) * bytes.len() as u32 / RATE;
        let now = Instant::now();
        let free_at = {
            let mut free_at = self.free_at.lock().map_err(|_| io::ErrorKind::Other)?;
            let next = free_at.map_or(now, |at| at.max(now)) + takes;
            *free_at = Some(next);
            next
        };
        if self.closed.wait(free_at.saturating_duration_since(now)) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.inner.write(bytes)
    }

    fn close(&self) {
        self.closed.cancel();
        self.inner.close();
    }

    fn remote(&self) -> String {
        self.inner.remote()
    }
}
