//! A 1 kHz control loop that reads the latest set-point and never blocks.
//!
//!     cargo run --release --example control_loop
//!
//! It prints how late the loop woke up, which is the operating system's doing, and how long its
//! calls into the library took, which is ours.

use bowline::{Endpoint, Intent, IntentSettings, Interest, InterestSettings, Reading};
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::thread;
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct SetPoint {
    number: u32,
    speed: f32,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Wheel {
    cycle: u32,
    speed: f32,
}

const CYCLES: u32 = 2_000;
const PERIOD: Duration = Duration::from_millis(1);

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    env_logger::init();
    let robot = Endpoint::builder("robot").listen("tcp://127.0.0.1:0").start()?;
    let address = robot.listening().first().cloned().ok_or("the robot does not listen")?;
    let planner = thread::spawn(move || plan(&address));

    // A set-point older than 100 ms is stale: the loop then brakes.
    let settings = InterestSettings::new().latest().fresh_for(Duration::from_millis(100));
    let set_point: Interest<SetPoint> = robot.interest_with("planner.set-point", settings)?;
    let wheel: Intent<Wheel> = robot.intent_with("robot.wheel", IntentSettings::new().exclusive())?;
    set_point.wait_intent(Duration::from_secs(5));

    let (mut late, mut calls) = (Vec::new(), Vec::new());
    let (mut speed, mut fresh, mut newest) = (0.0f32, 0u32, 0u32);
    let mut next = Instant::now();
    for cycle in 0..CYCLES {
        next += PERIOD;
        thread::sleep(next.saturating_duration_since(Instant::now()));
        let woke = Instant::now();
        let wanted = match set_point.latest() {
            Reading::Fresh(sample) => {
                if sample.number < newest {
                    return Err(format!("set-point {} came after {newest}", sample.number).into());
                }
                (fresh, newest) = (fresh + 1, sample.number);
                sample.speed
            }
            _ => 0.0,
        };
        speed += (wanted - speed) * 0.05;
        wheel.try_send(Wheel { cycle, speed }).map_err(|e| e.to_string())?;
        calls.push(woke.elapsed());
        late.push(woke.saturating_duration_since(next));
    }

    let watched = planner.join().map_err(|_| "the planner panicked")??;
    println!("{CYCLES} cycles of 1 ms, {fresh} with a fresh set-point, the last one number {newest}");
    println!("the planner saw {watched} wheel samples");
    histogram("woke up late by", &mut late);
    histogram("calls took", &mut calls);
    println!("worst call: {:?}", calls[calls.len() - 1]);
    if fresh < CYCLES / 2 || newest == 0 || watched == 0 {
        return Err("too few set-points or wheel samples arrived".into());
    }
    Ok(())
}

/// Sends set-points at 50 Hz and watches the wheel.
fn plan(address: &str) -> Result<usize, Box<dyn Error + Send + Sync>> {
    let planner = Endpoint::builder("planner").connect(format!("{address}/robot")).start()?;
    let set_point: Intent<SetPoint> = planner.intent("planner.set-point")?;
    let wheel: Interest<Wheel> = planner.interest("robot.wheel")?;
    set_point.wait_interest(Duration::from_secs(5));
    let mut watched = 0;
    for number in 1..=110u32 {
        set_point.send(SetPoint { number, speed: (number as f32 / 20.0).sin() })?;
        thread::sleep(Duration::from_millis(20));
        watched += std::iter::from_fn(|| wheel.try_recv().ok()).count();
    }
    Ok(watched)
}

fn histogram(title: &str, spans: &mut [Duration]) {
    spans.sort();
    println!("\n{title} (median {:?})", spans[spans.len() / 2]);
    let limits = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 10_000, u64::MAX].map(Duration::from_micros);
    let mut from = 0;
    for limit in limits {
        let to = spans.partition_point(|span| *span < limit);
        if to > from {
            let bar = "#".repeat(((to - from) * 60).div_ceil(spans.len()));
            let label = if limit == limits[11] { "more".into() } else { format!("< {limit:?}") };
            println!("{label:>10} {:>6} {bar}", to - from);
        }
        from = to;
    }
}
