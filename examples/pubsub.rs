//! One program supplies, another wants: the smallest whole thing, over TCP.
//!
//!     cargo run --example pubsub

use bowline::{Endpoint, Intent, Interest, InterestSettings};
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::thread;
use std::time::Duration;

/// Any serde type is a message. Both programs declare it; if the two differ, both are told at link
/// time which field it is, instead of reading garbage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Imu {
    number: u32,
    acceleration: [f32; 3],
    rotation: [f32; 3],
}

const SAMPLES: u32 = 200;

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    env_logger::init();
    let robot = Endpoint::builder("robot.base").listen("tcp://127.0.0.1:0").start()?;
    let address = robot.listening().first().cloned().ok_or("the robot does not listen")?;
    println!("the robot listens at {address}");

    // Elsewhere, usually: another process, another machine.
    let desk = thread::spawn(move || desk(&address));

    let intent: Intent<Imu> = robot.intent("robot.base.imu")?; // supplies Imu@robot.base.imu
    if !intent.wait_interest(Duration::from_secs(5)) {
        return Err("nobody became interested".into());
    }
    for number in 0..SAMPLES {
        let imu = Imu { number, acceleration: [0.0, 0.0, 9.81], rotation: [0.0; 3] };
        // Waits for credit for as long as is said here, never longer.
        let outcome = intent.send_timeout(imu, Duration::from_secs(1))?;
        if outcome.taken() != 1 {
            return Err(format!("sample {number}: {}", outcome.worst()).into());
        }
        thread::sleep(Duration::from_millis(2));
    }

    let received = desk.join().map_err(|_| "the desk panicked")??;
    println!("the desk received {received} of {SAMPLES} samples, in order");
    if !robot.close(Duration::from_secs(1)) {
        return Err("the robot did not close in time".into());
    }
    Ok(())
}

fn desk(address: &str) -> Result<u32, Box<dyn Error + Send + Sync>> {
    let desk = Endpoint::builder("desk").connect(format!("{address}/robot.base")).start()?;
    // The interest chooses the delivery. Here: every sample, with room for 16 unread ones.
    let settings = InterestSettings::new().lossless(16);
    let imu: Interest<Imu> = desk.interest_with("robot.base.imu", settings)?;
    let mut worst_age = Duration::ZERO;
    for expected in 0..SAMPLES {
        let sample = imu.recv_timeout(Duration::from_secs(5))?;
        if sample.number != expected {
            return Err(format!("expected sample {expected}, got {}", sample.number).into());
        }
        worst_age = worst_age.max(sample.age());
        if expected % 50 == 0 {
            println!("{} from {:?}, {:?} old: {:?}", sample.route(), sample.peer(), sample.age(), *sample);
        }
    }
    println!("the oldest was {worst_age:?} old when it was read");
    Ok(SAMPLES)
}
