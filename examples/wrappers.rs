//! Rates and wrappers: a sensor that says more than is wanted, and a loop that says the same too often.
//!
//!     cargo run --example wrappers
//!
//! The robot measures 1000 times a second, and some of it is not valid. The desk wants the turning rate 50
//! times a second, whatever the robot does; and it sends a speed in each cycle, of which the robot is to
//! hear what has changed, and that it is still the same now and then.

use bowline::{Endpoint, Intent, Interest, InterestSettings, Supply, Want};
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::thread;
use std::time::{Duration, Instant};

type Fault = Box<dyn Error + Send + Sync>;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Imu {
    valid: bool,
    gyro: [f32; 3],
}

const SAMPLES: u32 = 1_000;
const WAIT: Duration = Duration::from_secs(5);

fn main() -> Result<(), Fault> {
    env_logger::init();
    let robot = Endpoint::builder("robot").listen("tcp://127.0.0.1:0").start()?;
    let address = robot.listening().first().cloned().ok_or("the robot does not listen")?;
    let desk = Endpoint::builder("desk").connect(format!("{address}/robot")).start()?;

    // What is wanted, as a chain: valid ones, of those one number, of that the newest every 20 ms.
    let rate = desk
        .interest_with::<Imu>("robot.imu", InterestSettings::new().queue(256))?
        .filter(|imu| imu.valid)
        .map(|imu| imu.gyro[2])
        .throttle(Duration::from_millis(20));

    // What is supplied, too: steps of 0.1 m/s, only changes and a sign of life, at most 100 a second.
    let speed = desk
        .intent::<f32>("desk.speed")?
        .rate_limit(100.0)
        .dedup()
        .keep_alive(Duration::from_millis(250))
        .map(|wanted: &f32| (wanted * 10.0).round() / 10.0);

    let heard: Interest<f32> = robot.interest("desk.speed")?;
    let imu: Intent<Imu> = robot.intent("robot.imu")?;
    let measuring = thread::spawn(move || measure(&imu));
    let (read, newest) = drive(&rate, &speed)?;
    let sent = measuring.join().map_err(|_| "the robot panicked")??;

    let (counts, withheld) = (rate.counts(), rate.withheld());
    println!("the robot sent {sent} samples, {} came, {} were lost", counts.received, counts.lost_here);
    println!("{} were not valid, {} gave way to newer ones", withheld.filtered, withheld.replaced);
    println!("the desk read {read} of them; the last turning rate is {newest}");
    let mut speeds = Vec::new();
    while speeds.last() != Some(&0.0) {
        speeds.push(*heard.recv_timeout(WAIT)?);
    }
    let withheld = speed.withheld();
    println!(
        "of {} speeds, {} were repeated and {} over the rate; the robot heard {}: {speeds:?}",
        u64::from(read) + 1,
        withheld.repeated,
        withheld.over_rate,
        speeds.len()
    );
    let expected = f32::from(u16::try_from(SAMPLES - 1)?);
    if newest != expected {
        return Err(format!("the last turning rate is {newest}, not {expected}").into());
    }
    Ok(())
}

/// Works with an interest and an intent however they are wrapped, or not at all.
fn drive(rate: &impl Want<f32>, speed: &impl Supply<f32>) -> Result<(u32, f32), Fault> {
    if !(rate.wait_intent(WAIT) && speed.wait_interest(WAIT)) {
        return Err(format!("nobody supplies {} or wants {}", rate.route(), speed.route()).into());
    }
    let (mut read, mut newest) = (0, 0.0);
    // The robot falls silent when it has measured enough.
    while let Ok(sample) = rate.recv_timeout(Duration::from_millis(500)) {
        (read, newest) = (read + 1, *sample);
        speed.try_send(1.0 + newest / 1e4).map_err(|e| e.to_string())?;
    }
    speed.try_send(0.0).map_err(|e| e.to_string())?;
    Ok((read, newest))
}

/// Sends a sample every millisecond. Every fourth is not valid; the last one is.
fn measure(imu: &Intent<Imu>) -> Result<u32, Fault> {
    imu.wait_interest(WAIT);
    let begun = Instant::now();
    for number in 0..SAMPLES {
        let turn = begun + Duration::from_millis(u64::from(number));
        thread::sleep(turn.saturating_duration_since(Instant::now()));
        let valid = number % 4 != 0;
        imu.send(Imu { valid, gyro: [0.0, 0.0, f32::from(u16::try_from(number)?)] })?;
    }
    Ok(SAMPLES)
}
