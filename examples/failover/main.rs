//! Ethernet is pulled, a serial line takes over, and nothing is lost: it counts.
//!
//!     cargo run --release --example failover
//!
//! A base has two links to an arm, Ethernet and a serial line of 115200 baud, here a TCP connection through a cable that can be pulled
//! and two pseudo-terminals. The arm numbers what it sends, a hundred times a second; the base wants every one.
//! After a second the cable is pulled: nothing says so, bytes just stop coming. Two seconds later it is plugged in again.

use bowline::{Endpoint, Event, Intent, IntentSettings, Interest, InterestSettings};
use ethernet::Ethernet;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

mod ethernet;
#[allow(dead_code, reason = "tests do more to it")]
#[path = "../../tests/serial/cable.rs"]
mod serial;

type Fault = Box<dyn Error + Send + Sync>;

const WAIT: Duration = Duration::from_secs(10);
const PULLED_AFTER: Duration = Duration::from_secs(1);
const PULLED_FOR: Duration = Duration::from_secs(2);
const PERIOD: Duration = Duration::from_millis(10);

fn main() -> Result<(), Fault> {
    env_logger::init();
    let line = serial::Cable::new(115_200);
    let arm = Endpoint::builder("robot.arm")
        .listen("tcp://127.0.0.1:0")
        .listen(line.url(serial::End::B, ""))
        .ping_interval(Duration::from_millis(100))
        .start()?;
    let address = arm.listening()[0].trim_start_matches("tcp://").parse()?;
    let ethernet = Ethernet::to(address)?;
    let base = Endpoint::builder("robot.base")
        .connect_any([
            format!("tcp://{}/robot.arm", ethernet.address()),
            line.url(serial::End::A, "/robot.arm"),
        ])
        .ping_interval(Duration::from_millis(100))
        .redial(Duration::from_millis(50), Duration::from_millis(500))
        .dial_timeout(Duration::from_millis(500))
        .start()?;

    let steps: Intent<u64> = arm.intent_with("robot.arm.steps", IntentSettings::new())?;
    let wanted: Interest<u64> =
        base.interest_with("robot.arm.steps", InterestSettings::new().lossless(256))?;
    if !steps.wait_interest(WAIT) {
        return Err("the base did not come".into());
    }
    let begun = Instant::now();
    let over = Arc::new(AtomicBool::new(false));
    let sending = thread::spawn({
        let over = Arc::clone(&over);
        move || send(&steps, &over)
    });
    let reading = thread::spawn(move || read(&wanted));

    let (mut pulled, mut plugged) = (false, false);
    let mut back = 0;
    // Once over the serial line, once back over Ethernet.
    while back < 2 {
        let now = begun.elapsed();
        if !pulled && now >= PULLED_AFTER {
            pulled = true;
            say(begun, "the cable is pulled");
            ethernet.pull();
        }
        if !plugged && now >= PULLED_AFTER + PULLED_FOR {
            plugged = true;
            say(begun, "the cable is plugged in");
            ethernet.plug();
        }
        match base.events().recv_timeout(Duration::from_millis(10)) {
            Some(Event::LinkDown { peer, reason }) if pulled => say(begun, &format!("{peer}: {reason}")),
            Some(Event::LinkStandsBy { peer }) => say(begun, &format!("{peer} stands by")),
            Some(Event::SessionResumed { peer, after }) => {
                back += 1;
                say(begun, &format!("the session goes on over {peer}, {} ms later", after.as_millis()));
            }
            _ if now > 3 * WAIT => return Err("the session did not go on".into()),
            _ => {}
        }
    }
    over.store(true, Ordering::Relaxed);
    let (sent, turned_away) = sending.join().map_err(|_| "the sender panicked")??;
    let Read { received, again, missing, longest } = reading.join().map_err(|_| "the reader panicked")?;
    println!(
        "sent {sent}, received {received}, missing {missing}, twice or out of order {again}; longest pause {} ms",
        longest.as_millis()
    );
    if turned_away > 0 {
        println!("{turned_away} sends found no room, and were tried again");
    }
    if (received, missing, again) != (sent, 0, 0) {
        return Err("that is not what was promised".into());
    }
    Ok(())
}

/// Sends numbers as a control loop does; a number that finds no room comes again.
fn send(steps: &Intent<u64>, over: &AtomicBool) -> Result<(u64, u64), Fault> {
    let (mut number, mut turned_away) = (0, 0);
    let mut next = Instant::now();
    while !over.load(Ordering::Relaxed) {
        match steps.send(number) {
            Ok(_) => number += 1,
            Err(_) => turned_away += 1,
        }
        next += PERIOD;
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    // One that says that it was the last.
    while steps.send(LAST).is_err() {
        thread::sleep(PERIOD);
    }
    Ok((number, turned_away))
}

struct Read {
    received: u64,
    again: u64,
    missing: u64,
    longest: Duration,
}

fn read(wanted: &Interest<u64>) -> Read {
    let mut read = Read { received: 0, again: 0, missing: 0, longest: Duration::ZERO };
    let (mut due, mut last) = (0, Instant::now());
    for sample in wanted.iter() {
        read.longest = read.longest.max(last.elapsed());
        last = Instant::now();
        match *sample {
            LAST => break,
            number if number < due => read.again += 1,
            number => {
                read.missing += number - due;
                read.received += 1;
                due = number + 1;
            }
        }
    }
    read
}

fn say(begun: Instant, what: &str) {
    println!("{:>6} ms  {what}", begun.elapsed().as_millis());
}

const LAST: u64 = u64::MAX;
