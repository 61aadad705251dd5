//! The bowline side that connects, measures, and reports one line of JSON.

use crate::meter::{Meter, RoundTrips, counter};
use crate::options::{Mode, Options, Via};
use crate::server::{FEED, PATIENCE, PING, PONG, Ring, SERVER, depth, largest};
use bowline::{Bytes, Endpoint, Intent, Interest, InterestSettings, Outcome, Sample, SendError};
use serde_json::Value;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How long one reply may take.
const REPLY: Duration = Duration::from_secs(5);

pub fn measure(options: &Options) -> Result<Value, String> {
    let endpoint = Endpoint::builder(format!("perf.client-{}", options.id))
        .connect(format!("{}://{}/{SERVER}", options.line.name(), options.addr))
        .largest_message(largest(options))
        .start()
        .map_err(|e| e.to_string())?;
    match (options.mode, options.via) {
        (Mode::Rtt, Via::Mailbox | Via::Slices) => round_trips(&endpoint, options)?.report(options),
        (Mode::Rtt, Via::Callback) => round_trips_by_callback(&endpoint, options)?.report(options),
        (_, Via::Mailbox) => receive(&endpoint, options)?.report(options),
        (_, Via::Slices) => receive_slices(&endpoint, options)?.report(options),
        (_, Via::Callback) => receive_by_callback(&endpoint, options)?.report(options),
    }
}

fn round_trips(endpoint: &Endpoint, options: &Options) -> Result<RoundTrips, String> {
    let text = |e: bowline::Error| e.to_string();
    let ping: Intent<Bytes> = endpoint.intent(PING).map_err(text)?;
    let pong: Interest<Bytes> = endpoint.interest(PONG).map_err(text)?;
    if !(ping.wait_interest(Options::LINK) && pong.wait_intent(Options::LINK)) {
        return Err(not_linked(options));
    }
    let mut ring = Ring::new(options.size);
    let mut trips = RoundTrips::new(options);
    for number in 0.. {
        let message = ring.next(number);
        let sent = Instant::now();
        taken(ping.send(message))?;
        let reply = pong.recv_timeout(REPLY).map_err(|e| format!("reply {number}: {e}"))?;
        let goes_on = trips.note(sent, Instant::now());
        check(&reply, number, options.size)?;
        if !goes_on {
            break;
        }
    }
    Ok(trips)
}

/// The next ping goes out from where the pong came in.
fn round_trips_by_callback(endpoint: &Endpoint, options: &Options) -> Result<RoundTrips, String> {
    let text = |e: bowline::Error| e.to_string();
    let ping: Intent<Bytes> = endpoint.intent(PING).map_err(text)?;
    let first: Intent<Bytes> = endpoint.intent(PING).map_err(text)?;
    if !(ping.wait_interest(Options::LINK) && first.wait_interest(Options::LINK)) {
        return Err(not_linked(options));
    }
    let (done, result) = mpsc::sync_channel(1);
    let size = options.size;
    let mut ring = Ring::new(size);
    let mut trips = Some(RoundTrips::new(options));
    let (mut number, mut sent) = (0, Instant::now());
    let answer = move |reply: Sample<Bytes>| {
        let received = Instant::now();
        let Some(mut kept) = trips.take() else { return };
        let step = check(&reply, number, size).and_then(|()| {
            // The first was sent by another thread, at a time not known here.
            if number > 0 && !kept.note(sent, received) {
                return Ok(false);
            }
            number += 1;
            let message = ring.next(number);
            sent = Instant::now();
            taken(ping.try_send(message)).map(|()| true)
        });
        let _ = match step {
            Ok(true) => return trips = Some(kept),
            Ok(false) => done.try_send(Ok(kept)),
            Err(e) => done.try_send(Err(e)),
        };
    };
    let subscription = endpoint.on_sample(PONG, InterestSettings::new(), answer).map_err(text)?;
    if !subscription.wait_intent(Options::LINK) {
        return Err(not_linked(options));
    }
    taken(first.send(Ring::new(size).next(0)))?;
    drop(first);
    result.recv_timeout(Options::SERVE).map_err(|e| format!("no result: {e}"))?
}

fn receive(endpoint: &Endpoint, options: &Options) -> Result<Meter, String> {
    let settings = InterestSettings::new().lossless(depth(options.size));
    let feed: Interest<Bytes> = endpoint.interest_with(FEED, settings).map_err(|e| e.to_string())?;
    let mut meter = Meter::new(options);
    let stride = meter.stride();
    while meter.goes_on() {
        for _ in 0..stride {
            if let Ok(sample) = feed.try_recv() {
                meter.count(counter(&sample));
                continue;
            }
            match feed.recv_timeout(PATIENCE) {
                Ok(sample) => meter.count(counter(&sample)),
                Err(e) if e.is_timeout() => {}
                Err(e) => return Err(e.to_string()),
            }
            break;
        }
    }
    Ok(meter)
}

fn receive_slices(endpoint: &Endpoint, options: &Options) -> Result<Meter, String> {
    let settings = InterestSettings::new().lossless(depth(options.size));
    let feed: Interest<Bytes> = endpoint.interest_with(FEED, settings).map_err(|e| e.to_string())?;
    let mut meter = Meter::new(options);
    while meter.goes_on() {
        match feed.recv_slices(PATIENCE, |slice| meter.count(counter(&slice))) {
            Ok(_) => {}
            Err(e) if e.is_timeout() => {}
            Err(e) => return Err(e.to_string()),
        }
    }
    Ok(meter)
}

fn receive_by_callback(endpoint: &Endpoint, options: &Options) -> Result<Meter, String> {
    let settings = InterestSettings::new().lossless(depth(options.size));
    let (done, result) = mpsc::sync_channel(1);
    let mut meter = Some(Meter::new(options));
    let mut left = 0;
    let count = move |sample: Sample<Bytes>| {
        let Some(kept) = &mut meter else { return };
        kept.count(counter(&sample));
        if left > 0 {
            left -= 1;
            return;
        }
        left = kept.stride() - 1;
        if kept.goes_on() {
            return;
        }
        if let Some(kept) = meter.take() {
            let _ = done.try_send(kept);
        }
    };
    let _subscription = endpoint.on_sample(FEED, settings, count).map_err(|e| e.to_string())?;
    result.recv_timeout(Options::SERVE).map_err(|e| format!("no result: {e}"))
}

fn check(reply: &[u8], number: u64, size: usize) -> Result<(), String> {
    if counter(reply) == number && reply.len() == size {
        return Ok(());
    }
    Err(format!("reply {number} of {size} bytes came back as {} of {}", counter(reply), reply.len()))
}

/// Whether the one interest there is took the message.
fn taken(outcome: Result<Outcome, SendError<Bytes>>) -> Result<(), String> {
    match outcome {
        Ok(outcome) if outcome.taken() == 1 => Ok(()),
        Ok(outcome) => Err(format!("{} took the message: {}", outcome.taken(), outcome.worst())),
        Err(e) => Err(e.to_string()),
    }
}

fn not_linked(options: &Options) -> String {
    format!("nobody at {} was linked within {} s", options.addr, Options::LINK.as_secs())
}
