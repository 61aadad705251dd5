//! What a lossless reader that is stuck costs a route beside it, on the same link: a sample in each millisecond,
//! timed from `send` to `recv`. `chrt --rr 10` before it keeps what else the machine does out of it.
//!
//!     cargo bench --bench stuck

use bowline::{Endpoint, Intent, Interest, InterestSettings};
use std::error::Error;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

const WAIT: Duration = Duration::from_secs(5);

/// Of so many samples each the percentiles are taken, and of these the median.
const WINDOW: usize = 500;

fn main() -> Result<(), Box<dyn Error>> {
    let quick = std::env::args().any(|arg| arg == "--quick");
    let (rounds, samples) = if quick { (2, WINDOW) } else { (20, 2 * WINDOW) };
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    // In turn, as what else the machine does changes with the time.
    for round in 0..rounds {
        for stuck in [round % 2 == 1, round % 2 == 0] {
            let ages = ages(stuck, samples)?;
            (if stuck { &mut beside } else { &mut alone }).extend(ages.chunks(WINDOW).map(figures));
        }
    }
    // What the halves of the first differ by is what else the machine does.
    let half = |first| middle(&alone.iter().skip(first).step_by(2).copied().collect::<Vec<_>>());
    let (even, odd) = (half(0), half(1));
    let (alone, beside) = (middle(&alone), middle(&beside));
    println!("1 kHz over TCP, {} samples each    p50        p99", rounds * samples);
    println!("alone                         {:>8.1} µs {:>8.1} µs", alone.0, alone.1);
    println!("beside a stuck lossless route {:>8.1} µs {:>8.1} µs", beside.0, beside.1);
    println!("ratio                         {:>8.2}    {:>8.2}", beside.0 / alone.0, beside.1 / alone.1);
    let differ = |a: f64, b: f64| a.max(b) / a.min(b);
    println!(
        "ratio of alone to itself      {:>8.2}    {:>8.2}",
        differ(even.0, odd.0),
        differ(even.1, odd.1)
    );
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

/// The median and the 99th percentile.
fn figures(ages: &[f64]) -> (f64, f64) {
    let sorted = sorted(ages.iter().copied());
    (sorted[sorted.len() / 2], sorted[sorted.len() * 99 / 100])
}

/// The medians of both.
fn middle(figures: &[(f64, f64)]) -> (f64, f64) {
    let half = figures.len() / 2;
    (sorted(figures.iter().map(|(p50, _)| *p50))[half], sorted(figures.iter().map(|(_, p99)| *p99))[half])
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}
