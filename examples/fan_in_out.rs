//! Many suppliers on one route, many interests in one: both at once, on one listening endpoint.
//!
//!     cargo run --example fan_in_out

use bowline::{Endpoint, Intent, Interest, InterestSettings};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::error::Error;
use std::thread;
use std::time::Duration;

type Fault = Box<dyn Error + Send + Sync>;

/// What each arm reports: all on the route `Report@arms.report`.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Report {
    arm: u32,
    number: u32,
}

/// What the hub tells everyone.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Command {
    number: u32,
}

const ARMS: u32 = 4;
const EACH: u32 = 500;
const WAIT: Duration = Duration::from_secs(5);

fn main() -> Result<(), Fault> {
    env_logger::init();
    let hub = Endpoint::builder("hub").listen("tcp://127.0.0.1:0").start()?;
    let address = hub.listening().first().cloned().ok_or("the hub does not listen")?;
    let reports: Interest<Report> = hub.interest_with("arms.report", InterestSettings::new().lossless(64))?;
    let commands: Intent<Command> = hub.intent("hub.command")?;

    let arms: Vec<_> = (0..ARMS)
        .map(|number| {
            let address = address.clone();
            thread::spawn(move || arm(number, &address))
        })
        .collect();

    // The reports are read beside the commands: arms that could not report would stop to listen.
    let collected = thread::spawn(move || collect(&reports));

    // Fan-out: one intent, one call, every arm. Wait until all are there, so that all hear all.
    if !commands.wait_interests(ARMS as usize, WAIT) {
        return Err("not every arm came".into());
    }
    for number in 0..EACH {
        let outcome = commands.send_timeout(Command { number }, WAIT)?;
        if outcome.taken() != ARMS {
            return Err(format!("command {number} reached {} arms", outcome.taken()).into());
        }
    }
    collected.join().map_err(|_| "the collecting thread panicked")??;
    for arm in arms {
        let (number, heard) = arm.join().map_err(|_| "an arm panicked")??;
        println!("fan-out: arm {number} heard {heard} commands in order");
    }
    Ok(())
}

/// Fan-in: one interest, every arm's reports; those of one arm in order.
fn collect(reports: &Interest<Report>) -> Result<(), Fault> {
    let mut next = BTreeMap::new();
    for _ in 0..ARMS * EACH {
        let report = reports.recv_timeout(WAIT)?;
        let expected = next.entry(report.arm).or_insert(0);
        if report.number != *expected {
            return Err(format!("arm {}: report {} instead of {expected}", report.arm, report.number).into());
        }
        *expected += 1;
    }
    println!("fan-in: {} reports of {ARMS} arms, each arm's in order: {next:?}", ARMS * EACH);
    Ok(())
}

/// One arm: hears all commands, and reports as often.
fn arm(number: u32, address: &str) -> Result<(u32, u32), Fault> {
    let endpoint =
        Endpoint::builder(format!("arms.arm-{number}")).connect(format!("{address}/hub")).start()?;
    let commands: Interest<Command> =
        endpoint.interest_with("hub.command", InterestSettings::new().lossless(64))?;
    let reports: Intent<Report> = endpoint.intent("arms.report")?;
    reports.wait_interest(WAIT);
    for expected in 0..EACH {
        let command = commands.recv_timeout(WAIT)?;
        if command.number != expected {
            return Err(format!("command {} instead of {expected}", command.number).into());
        }
        reports.send_timeout(Report { arm: number, number: expected }, WAIT)?;
    }
    // Leaves only once everything it said is on its way.
    endpoint.close(WAIT);
    Ok((number, EACH))
}
