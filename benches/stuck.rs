//! What a lossless reader that is stuck costs a route beside it, on the same link: a sample in each millisecond,
//! timed from `send` to `recv`.
//!
//!     cargo bench --bench stuck

use bowline::{Endpoint, Intent, Interest, InterestSettings};
use std::error::Error;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

const WAIT: Duration = Duration::from_secs(5);
const ROUNDS: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let quick = std::env::args().any(|arg| arg == "--quick");
    let samples = if quick { 200 } else { 2000 };
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    // In turn, as what else the machine does changes with the time.
    for _ in 0..ROUNDS {
        alone.extend(ages(false, samples)?);
        beside.extend(ages(true, samples)?);
    }
    let (alone, beside) = (figures(&mut alone), figures(&mut beside));
    println!("1 kHz over TCP, {} samples each    p50        p99", ROUNDS * samples);
    println!("alone                         {:>8.1} µs {:>8.1} µs", alone.0, alone.1);
    println!("beside a stuck lossless route {:>8.1} µs {:>8.1} µs", beside.0, beside.1);
    println!("ratio                         {:>8.2}    {:>8.2}", beside.0 / alone.0, beside.1 / alone.1);
    Ok(())
}

/// How old samples of 64 bytes are when they are read, in microseconds.
fn ages(stuck: bool, samples: usize) -> Result<Vec<f64>, Box<dyn Error>> {
    let robot = Endpoint::builder("robot").listen("tcp://127.0.0.1:0").start()?;
    let desk = Endpoint::builder("desk").connect(robot.listening()[0].as_str()).start()?;
    let free: Intent<[u64; 8]> = robot.intent("robot.free")?;
    let read: Interest<[u64; 8]> = desk.interest_with("robot.free", InterestSettings::new().lossless(256))?;
    let full: Intent<[u64; 32]> = robot.intent("robot.stuck")?;
    let unread: Interest<[u64; 32]> =
        desk.interest_with("robot.stuck", InterestSettings::new().lossless(64))?;
    if !free.wait_interest(WAIT) || !full.wait_interest(WAIT) {
        return Err("the routes were not linked".into());
    }
    while stuck && full.try_send([0; 32]).is_ok() {}
    let (_never, pause) = channel::<()>();
    let begun = Instant::now();
    thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let mut ages = Vec::with_capacity(samples);
            while ages.len() < samples {
                let Ok(sample) = read.recv_timeout(WAIT) else { break };
                ages.push((begun.elapsed().as_nanos() as u64 - sample[0]) as f64 / 1e3);
            }
            ages
        });
        for cycle in 0..samples as u32 {
            let next = begun + Duration::from_millis(1) * cycle;
            let _ = pause.recv_timeout(next.saturating_duration_since(Instant::now()));
            let _ = free.send([begun.elapsed().as_nanos() as u64; 8]);
            if stuck {
                // Its loop tries again in each cycle, and is turned away.
                assert!(full.try_send([0; 32]).is_err(), "nobody reads");
            }
        }
        let ages = reader.join().map_err(|_| "the reader panicked")?;
        drop(unread);
        if ages.len() < samples { Err("samples were lost".into()) } else { Ok(ages) }
    })
}

fn figures(ages: &mut [f64]) -> (f64, f64) {
    ages.sort_by(f64::total_cmp);
    (ages[ages.len() / 2], ages[ages.len() * 99 / 100])
}
