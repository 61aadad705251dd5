//! What a slow reader does to a fast sender, by what it asked for.
//!
//!     cargo run --example slow_reader
//!
//! A robot sends a thousand poses a second. Three stations read them far more slowly: one wants the latest, one
//! a queue of the newest 16, one every single one. Then one of two readers that want every one hangs: the robot is
//! held up by it for two seconds, then it is cut off, and comes back once it reads again.

use bowline::{Endpoint, Event, Events, Intent, IntentSettings, Interest, InterestSettings};
use std::error::Error;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

type Fault = Box<dyn Error + Send + Sync>;

const WAIT: Duration = Duration::from_secs(5);
/// How long each of the three is watched.
const WATCHED: Duration = Duration::from_secs(1);
/// What the slow reader does with each pose.
const WORK: Duration = Duration::from_millis(10);
/// How long the robot bears with a reader that hangs.
const PATIENCE: Duration = Duration::from_secs(2);

fn main() -> Result<(), Fault> {
    env_logger::init();
    let robot = Endpoint::builder("robot").listen("tcp://127.0.0.1:0").start()?;
    let address = robot.listening().first().cloned().ok_or("the robot does not listen")?;
    let station = Endpoint::builder("station").connect(address.as_str()).start()?;

    println!("a robot sends 1000 poses a second; a reader takes 10 ms for each:");
    for (name, settings) in [
        ("latest", InterestSettings::new().latest()),
        ("queue(16)", InterestSettings::new().queue(16)),
        ("lossless(16)", InterestSettings::new().lossless(16)),
    ] {
        // A path for each, so that the one does not hold up the other.
        let path = format!("robot.pose.{}", name.split('(').next().unwrap_or(name));
        let pose: Intent<u32> = robot.intent(&path)?;
        let wanted: Interest<u32> = station.interest_with(&path, settings)?;
        if !pose.wait_interest(WAIT) {
            return Err("the station did not come".into());
        }
        let reader = thread::spawn(move || read_slowly(&wanted));
        let (sent, turned_away) = send(&pose)?;
        drop(pose);
        let Read { taken, lost, oldest } = reader.join().map_err(|_| "the reader panicked")??;
        println!(
            "  {name:<13} sent {sent:>4}, turned away {turned_away:>3}; read {taken:>3}, lost {lost:>3}, \
             {oldest:>3} ms old at worst"
        );
    }

    hang(&robot, &station)?;
    let closed = robot.close(WAIT);
    println!("{}", if closed { "all is well" } else { "a thread is left" });
    Ok(())
}

/// Sends as a control loop does: once in a millisecond, never waiting.
fn send(pose: &Intent<u32>) -> Result<(u32, u32), Fault> {
    let (_never, pause) = channel::<()>();
    let (mut sent, mut turned_away) = (0, 0);
    let begun = Instant::now();
    for cycle in 0_u32.. {
        let next = begun + Duration::from_millis(1) * cycle;
        if begun.elapsed() >= WATCHED {
            break;
        }
        if pause.recv_timeout(next.saturating_duration_since(Instant::now()))
            == Err(RecvTimeoutError::Disconnected)
        {
            break;
        }
        match pose.try_send(sent) {
            Ok(_) => sent += 1,
            // It has the choice: keep it, drop it, or slow down. Here it is dropped.
            Err(error) if error.is_no_credit() => turned_away += 1,
            Err(error) => return Err(error.to_string().into()),
        }
    }
    Ok((sent, turned_away))
}

struct Read {
    taken: u32,
    lost: u64,
    oldest: u128,
}

/// Reads until the intent is gone.
fn read_slowly(wanted: &Interest<u32>) -> Result<Read, Fault> {
    let (_never, work) = channel::<()>();
    let (mut taken, mut oldest) = (0, 0);
    loop {
        match wanted.recv_timeout(WORK * 5) {
            Ok(sample) => {
                taken += 1;
                oldest = oldest.max(sample.age().as_millis());
                let _ = work.recv_timeout(WORK);
            }
            Err(error) if error.is_timeout() && wanted.suppliers() == 0 => break,
            Err(error) if error.is_timeout() => {}
            Err(error) => return Err(error.into()),
        }
    }
    let counts = wanted.counts();
    Ok(Read { taken, lost: counts.lost_here + counts.lost_there, oldest })
}

/// One of two lossless readers hangs.
fn hang(robot: &Endpoint, station: &Endpoint) -> Result<(), Fault> {
    let events = robot.events().clone();
    let step: Intent<u32> = robot.intent_with("robot.step", IntentSettings::new().stall_limit(PATIENCE))?;
    let hangs: Interest<u32> = station.interest_with("robot.step", InterestSettings::new().lossless(16))?;
    let reads: Interest<u32> = station.interest_with("robot.step", InterestSettings::new().lossless(16))?;
    if !step.wait_interests(2, WAIT) {
        return Err("the station did not come".into());
    }
    println!("two readers want every step, and one of them hangs:");
    let mut number = 0;
    while step.try_send(number).is_ok() {
        number += 1;
        reads.recv_timeout(WAIT)?;
    }
    let begun = Instant::now();
    step.send_timeout(number, WAIT)?;
    reads.recv_timeout(WAIT)?;
    println!("  the robot was held up after {number} steps, for {:.1} s", begun.elapsed().as_secs_f64());
    let untaken = find(&events, |event| match event {
        Event::InterestCutOff { untaken, .. } => Some(*untaken),
        _ => None,
    })?;
    println!("  it is cut off: {untaken} steps not taken");
    for _ in 0..200 {
        number += 1;
        step.send_timeout(number, WAIT)?;
        reads.recv_timeout(WAIT)?;
    }
    println!("  the other one has all of the next 200");
    let mut old = 0;
    while hangs.try_recv().is_ok() {
        old += 1;
    }
    let missed = find(&events, |event| match event {
        Event::InterestReturned { missed, .. } => Some(*missed),
        _ => None,
    })?;
    number += 1;
    step.send_timeout(number, WAIT)?;
    let sample = hangs.recv_timeout(WAIT)?;
    println!("  it reads again: the {old} that waited, then step {} behind the {missed} it missed", *sample);
    if *sample != number {
        return Err(format!("step {number} was to come").into());
    }
    Ok(())
}

/// The first event that `wanted` takes.
fn find<T>(events: &Events, wanted: impl Fn(&Event) -> Option<T>) -> Result<T, Fault> {
    let deadline = Instant::now() + WAIT;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let event = events.recv_timeout(left).ok_or("an event did not come")?;
        if let Some(found) = wanted(&event) {
            return Ok(found);
        }
    }
}
