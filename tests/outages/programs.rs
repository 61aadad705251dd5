//! The two programs: a robot that supplies numbers, and a desk that wants every one of them.

use crate::child::{self, say};
use bowline::{Endpoint, EndpointBuilder, Event, Intent, Interest, InterestSettings};
use std::fs::OpenOptions;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Some 2000 samples a second.
const PACE: Duration = Duration::from_micros(500);
/// Nothing for so long is an outage, and what comes then a return.
const PAUSE: Duration = Duration::from_millis(150);
/// What is no older than this was sent since.
const FRESH: Duration = Duration::from_millis(100);
const SOON: Duration = Duration::from_secs(20);

/// What the role is told: whether it `dials` or listens, where, and a file for what must not be.
pub fn run(role: &str, told: &[String]) {
    let (dials, url, faults) = (told[0] == "dial", &told[1], &told[2]);
    let builder = Endpoint::builder(role).ping_interval(Duration::from_millis(100));
    let builder = if dials { builder.connect(url) } else { builder.listen(url) };
    match role {
        "robot" => robot(builder),
        _ => desk(builder, faults),
    }
}

/// The time that all processes of this machine share, in microseconds.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_micros() as u64)
}

fn robot(builder: EndpointBuilder) {
    let endpoint = builder.event_capacity(1 << 16).start().expect("it starts");
    let count: Intent<u64> = endpoint.intent("robot.count").expect("an intent");
    say("ready", "");
    let (lost, unconfirmed, ended) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    let mut taken = 0u64;
    thread::scope(|scope| {
        scope.spawn(|| {
            while let Some(event) = endpoint.events().recv() {
                match &event {
                    Event::SamplesLost { count, .. } => drop(lost.fetch_add(*count, Ordering::SeqCst)),
                    Event::SamplesUnconfirmed { count, .. } => {
                        unconfirmed.fetch_add(*count, Ordering::SeqCst);
                    }
                    other => tell(other),
                }
            }
        });
        let (stop, stopped) = channel::<()>();
        scope.spawn(move || {
            child::until_the_parent_ends();
            drop(stop);
        });
        while stopped.recv_timeout(PACE) == Err(RecvTimeoutError::Timeout) {
            match count.send_timeout(taken, Duration::from_millis(100)) {
                Ok(outcome) if outcome.taken() > 0 => taken += 1,
                Ok(_) => drop(count.wait_interest(Duration::from_millis(100))),
                Err(error) => assert!(error.is_no_credit(), "{error}"),
            }
        }
        // All that was taken is on its way; the reader says when it has it.
        say("sent", taken);
        endpoint.close(SOON);
        ended.store(true, Ordering::SeqCst);
    });
    say("totals", format!("{taken} {} {}", lost.into_inner(), unconfirmed.into_inner()));
}

fn desk(builder: EndpointBuilder, faults: &str) {
    let endpoint = builder.event_capacity(1 << 16).start().expect("it starts");
    let all = InterestSettings::new().lossless(256);
    let wanted: Interest<u64> = endpoint.interest_with("robot.count", all).expect("an interest");
    say("ready", "");
    let mut file = OpenOptions::new().append(true).create(true).open(faults).expect("a file");
    let ending = AtomicBool::new(false);
    thread::scope(|scope| {
        let events = endpoint.events().clone();
        scope.spawn(move || {
            while let Some(event) = events.recv() {
                tell(&event);
            }
        });
        scope.spawn(|| {
            child::until_the_parent_ends();
            ending.store(true, Ordering::SeqCst);
        });
        let (mut received, mut sessions) = (0u64, 0u64);
        let mut last: Option<(u64, u64)> = None;
        let (mut at, mut paused) = (Instant::now(), true);
        while !(ending.load(Ordering::SeqCst) && at.elapsed() > 4 * PAUSE) {
            let Ok(sample) = wanted.recv_timeout(Duration::from_millis(20)) else { continue };
            paused |= at.elapsed() >= PAUSE;
            at = Instant::now();
            let (sequence, value) = (sample.sequence(), *sample);
            // A session counts from 0.
            let fault = match last {
                Some((before, _)) if sequence != 0 && sequence != before + 1 => Some("sequence"),
                Some((_, before)) if value <= before => Some("value"),
                // Within a session nothing is taken that does not come.
                Some((_, before)) if sequence != 0 && value != before + 1 => Some("gap"),
                None if sequence != 0 => Some("beginning"),
                _ => None,
            };
            if let Some(fault) = fault {
                let _ = writeln!(file, "{fault}: {last:?}, then {:?}", (sequence, value));
            }
            sessions += u64::from(sequence == 0);
            received += 1;
            last = Some((sequence, value));
            // What was sent before the outage may come first.
            if paused && sample.age() < FRESH {
                paused = false;
                say("flow", now());
            }
        }
        let counts = wanted.counts();
        say("counts", format!("{received} {sessions} {}", counts.lost_here + counts.lost_there));
        endpoint.close(SOON);
    });
}

fn tell(event: &Event) {
    match event {
        Event::LinkDown { reason, .. } => say("down", format!("{} {reason}", now())),
        Event::LinkUp { .. } => say("up", now()),
        Event::LinkDegraded { text, .. } => say("degraded", format!("{} {text}", now())),
        Event::ThreadPanicked { thread, text } => say("panic", format!("{thread}: {text}")),
        _ => {}
    }
}
