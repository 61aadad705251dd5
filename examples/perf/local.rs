//! Measurements inside one process.

use crate::allocations::{counted, counted_here};
use crate::options::{Mode, Options};
use bowline::{Endpoint, Intent, Interest, InterestSettings, Reading, Sample};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// A message of fixed size, as a sensor's would be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Imu {
    number: u64,
    acceleration: [f32; 3],
    rotation: [f32; 3],
    temperature: f32,
    flags: u32,
}

impl Imu {
    fn new(number: u64) -> Self {
        Self { number, acceleration: [0.1, 0.2, 9.8], rotation: [0.0; 3], temperature: 31.5, flags: 3 }
    }

    /// Tells the receiving thread that this was all.
    const LAST: u64 = u64::MAX;
}

const PATH: &str = "perf.imu";

/// Room between the two threads.
const ROOM: u32 = 1024;

pub fn measure(options: &Options) -> Result<Value, String> {
    match options.mode {
        Mode::Channel => channel(options),
        Mode::Thread => through_bowline(options),
        Mode::Nobody => nobody(options),
        Mode::Allocations => allocations(options),
        other => Err(format!("`local` cannot measure {}", other.name())),
    }
}

/// The floor: a plain bounded channel.
fn channel(options: &Options) -> Result<Value, String> {
    let (sender, receiver) = crossbeam_channel::bounded::<Arc<Imu>>(ROOM as usize);
    let receiving = thread::spawn(move || {
        let begun = Instant::now();
        let count = receiver.iter().take_while(|imu| imu.number != Imu::LAST).count();
        (count, begun.elapsed())
    });
    send_for(options, |message| sender.send(message).map_err(|e| e.to_string()))?;
    rate(options, receiving)
}

fn through_bowline(options: &Options) -> Result<Value, String> {
    let text = |e: bowline::Error| e.to_string();
    let endpoint = Endpoint::builder("perf").start().map_err(text)?;
    let settings = InterestSettings::new().lossless(ROOM);
    let interest: Interest<Imu> = endpoint.interest_with(PATH, settings).map_err(text)?;
    let intent: Intent<Imu> = endpoint.intent(PATH).map_err(text)?;
    if !intent.wait_interest(Options::LINK) {
        return Err("the two were not linked".into());
    }
    let receiving = thread::spawn(move || {
        let begun = Instant::now();
        let count = interest.iter().take_while(|imu| imu.number != Imu::LAST).count();
        (count, begun.elapsed())
    });
    send_for(options, |mut message| {
        loop {
            match intent.send_shared_timeout(message, Duration::from_secs(1)) {
                Ok(_) => return Ok(()),
                Err(e) if e.is_no_credit() => message = e.into_inner(),
                Err(e) => return Err(e.to_string()),
            }
        }
    })?;
    rate(options, receiving)
}

/// Sends the same `Arc` over and over, then the last one.
fn send_for(options: &Options, mut send: impl FnMut(Arc<Imu>) -> Result<(), String>) -> Result<(), String> {
    let message = Arc::new(Imu::new(0));
    let until = Instant::now() + Duration::from_secs_f64(options.secs);
    while Instant::now() < until {
        for _ in 0..1024 {
            send(Arc::clone(&message))?;
        }
    }
    send(Arc::new(Imu::new(Imu::LAST)))
}

fn rate(options: &Options, receiving: thread::JoinHandle<(usize, Duration)>) -> Result<Value, String> {
    let (recv, wall) = receiving.join().map_err(|_| "the receiving thread panicked")?;
    let wall = wall.as_secs_f64();
    Ok(json!({"mode": options.mode.name(), "recv": recv, "wall_s": wall, "msg_s": recv as f64 / wall}))
}

/// `send` while nobody is interested.
fn nobody(options: &Options) -> Result<Value, String> {
    let text = |e: bowline::Error| e.to_string();
    let endpoint = Endpoint::builder("perf").start().map_err(text)?;
    let intent: Intent<Imu> = endpoint.intent(PATH).map_err(text)?;
    let (mut sent, mut refused) = (0u64, 0u64);
    let mut send_some = |count: u64| {
        for _ in 0..count {
            refused += u64::from(intent.send(Imu::new(sent)).is_err());
            sent += 1;
        }
    };
    send_some(10_000);
    let begun = Instant::now();
    let mut timed = 0;
    while begun.elapsed().as_secs_f64() < options.secs {
        send_some(10_000);
        timed += 10_000;
    }
    let nanos = begun.elapsed().as_nanos() as f64 / timed as f64;
    let mut allocations = 0;
    counted(|| allocations = counted_here(|| send_some(10_000)));
    if refused > 0 {
        return Err(format!("{refused} sends failed with nobody interested"));
    }
    Ok(json!({"mode": "nobody", "n": timed, "ns": nanos, "allocations": allocations as f64 / 1e4}))
}

/// `send` and `latest` over a real link, both ends in this process so that all is counted.
fn allocations(options: &Options) -> Result<Value, String> {
    let text = |e: bowline::Error| e.to_string();
    let robot = Endpoint::builder("perf.robot").listen("tcp://127.0.0.1:0").start().map_err(text)?;
    let address = robot.listening().first().cloned().ok_or("nothing listens")?;
    let desk = Endpoint::builder("perf.desk").connect(address).start().map_err(text)?;
    let interest: Interest<Imu> = desk.interest_with(PATH, InterestSettings::new().latest()).map_err(text)?;
    let intent: Intent<Imu> = robot.intent(PATH).map_err(text)?;
    if !intent.wait_interest(Options::LINK) {
        return Err("the two were not linked".into());
    }
    let mut number = 0;
    let mut exchange = |count: u64| -> (u64, u64, Option<String>) {
        let (mut sending, mut reading) = (0, 0);
        for _ in 0..count {
            number += 1;
            let mut result = None;
            sending += counted_here(|| result = intent.send(Imu::new(number)).err().map(|e| e.to_string()));
            if result.is_some() {
                return (sending, reading, result);
            }
            let until = Instant::now() + Options::LINK;
            loop {
                let mut newest = 0;
                reading += counted_here(|| newest = number_of(interest.latest()));
                if newest == number {
                    break;
                }
                if Instant::now() > until {
                    return (sending, reading, Some(format!("sample {number} did not come")));
                }
                thread::yield_now();
            }
        }
        (sending, reading, None)
    };
    let count = 5_000;
    let mut result = (0, 0, None);
    let mut all = 1;
    // Steady is who did so much without an allocation: until then buffers that are rarely used may still grow.
    for _ in 0..10 {
        if all == 0 || result.2.is_some() {
            break;
        }
        all = counted(|| result = exchange(count));
    }
    if result.2.is_none() {
        all = counted(|| result = exchange(count));
    }
    match result {
        (sending, reading, None) => Ok(json!({
            "mode": options.mode.name(),
            "n": count,
            "send": sending as f64 / count as f64,
            "latest": reading as f64 / count as f64,
            "everywhere": all as f64 / count as f64,
        })),
        (_, _, Some(e)) => Err(e),
    }
}

fn number_of(reading: Reading<Imu>) -> u64 {
    let number = |sample: &Sample<Imu>| sample.number;
    match &reading {
        Reading::Fresh(sample) | Reading::Stale(sample) => number(sample),
        _ => 0,
    }
}
