//! Round trips of 64 bytes over UDP on the loopback interface, next to plain blocking sockets in the same run.
//!
//! `cargo bench --bench udp`

use bowline::{Bytes, Endpoint, Intent, InterestSettings, Sample};
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

const ROUNDS: usize = 5;
const TRIPS: usize = 5_000;
const SOON: Duration = Duration::from_secs(10);

fn main() {
    let quick = std::env::args().any(|arg| arg == "--quick");
    let (rounds, trips) = if quick { (1, 200) } else { (ROUNDS, TRIPS) };
    let mut ratios = Vec::new();
    for _ in 0..rounds {
        let floor = floor(trips);
        let ours = match ours(trips) {
            Ok(ours) => ours,
            Err(error) => return println!("udp: {error}"),
        };
        ratios.push(ours / floor);
        println!("plain {floor:>8.1} µs   bowline, callbacks {ours:>8.1} µs   {:.2} ×", ours / floor);
    }
    ratios.sort_by(f64::total_cmp);
    println!("median ratio {:.2}", ratios[ratios.len() / 2]);
}

/// The median round trip in microseconds.
fn median(mut trips: Vec<Duration>) -> f64 {
    trips.sort();
    trips.get(trips.len() / 2).map_or(f64::NAN, |trip| trip.as_nanos() as f64 / 1e3)
}

fn floor(trips: usize) -> f64 {
    let (Ok(here), Ok(there)) = (UdpSocket::bind("127.0.0.1:0"), UdpSocket::bind("127.0.0.1:0")) else {
        return f64::NAN;
    };
    let addresses = (here.local_addr(), there.local_addr());
    let (Ok(a), Ok(b)) = addresses else { return f64::NAN };
    if here.connect(b).is_err() || there.connect(a).is_err() {
        return f64::NAN;
    }
    let echo = thread::spawn(move || {
        let mut buffer = [0; 64];
        while there.recv(&mut buffer).is_ok_and(|length| length > 0) {
            let _ = there.send(&buffer);
        }
    });
    let mut buffer = [0; 64];
    let mut spent = Vec::with_capacity(trips);
    for _ in 0..trips {
        let begun = Instant::now();
        let _ = here.send(&[7; 64]);
        let _ = here.recv(&mut buffer);
        spent.push(begun.elapsed());
    }
    let _ = here.send(&[]);
    let _ = echo.join();
    median(spent)
}

/// Both sides answer from their callbacks; the time is taken from one call to the next.
fn ours(trips: usize) -> Result<f64, Box<dyn std::error::Error>> {
    let robot = Endpoint::builder("robot").listen("udp://127.0.0.1:0").start()?;
    let desk = Endpoint::builder("desk").connect(robot.listening()[0].as_str()).start()?;
    let pong: Intent<Bytes> = robot.intent("robot.pong")?;
    let ping: Intent<Bytes> = desk.intent("desk.ping")?;
    let ready = Arc::new(AtomicBool::new(false));
    // An intent belongs to one thread at a time: its callback's, once it is handed over.
    let (hand_pong, take_pong): (Sender<Intent<Bytes>>, Receiver<_>) = channel();
    let mut answering = None;
    let _echo =
        robot.on_sample("desk.ping", InterestSettings::new().queue(4), move |ping: Sample<Bytes>| {
            if answering.is_none() {
                answering = take_pong.try_recv().ok();
            }
            if let Some(pong) = &answering {
                let _ = pong.try_send(ping.into_inner());
            }
        })?;
    let (hand_ping, take_ping): (Sender<Intent<Bytes>>, Receiver<_>) = channel();
    let (done, finished) = channel();
    let (mut asking, mut spent, mut last): (Option<Intent<Bytes>>, _, Option<Instant>) =
        (None, Vec::new(), None);
    let begun = Arc::clone(&ready);
    let _back =
        desk.on_sample("robot.pong", InterestSettings::new().queue(4), move |pong: Sample<Bytes>| {
            let now = Instant::now();
            if asking.is_none() {
                asking = take_ping.try_recv().ok();
            }
            if let Some(last) = last.filter(|_| begun.load(Ordering::Relaxed)) {
                spent.push(now - last);
            }
            if spent.len() >= trips {
                let _ = done.send(std::mem::take(&mut spent));
                asking = None;
                return;
            }
            last = Some(Instant::now());
            if let Some(ping) = &asking {
                let _ = ping.try_send(pong.into_inner());
            }
        })?;
    if !ping.wait_interest(SOON) || !pong.wait_interest(SOON) {
        return Err("the two did not find each other".into());
    }
    ready.store(true, Ordering::Relaxed);
    hand_pong.send(pong)?;
    ping.send(Bytes::from(vec![7; 64]))?;
    hand_ping.send(ping)?;
    Ok(median(finished.recv_timeout(SOON)?))
}
