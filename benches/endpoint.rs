//! What the calls of an endpoint cost, in one process.

mod support;

use bowline::{Endpoint, Error, Intent, Interest, InterestSettings, Supply, Want};
use std::sync::Arc;
use std::time::Duration;
use support::Bench;

const ROUTES: u32 = 10_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bench = Bench::from_args();
    declare(&bench)?;
    let endpoint = Endpoint::builder("bench").start()?;
    nobody(&bench, &endpoint)?;
    local(&bench, &endpoint)?;
    wrapped(&bench, &endpoint)?;
    Ok(())
}

/// 10,000 intents, then the 10,000 interests that match them; the figure is for one of them.
fn declare(bench: &Bench) -> Result<(), Error> {
    let paths: Vec<String> = (0..ROUTES).map(|i| format!("bench.group-{}.route-{i}", i % 100)).collect();
    let start = || Endpoint::builder("bench").start().expect("an endpoint that only is there starts");
    let intents = |endpoint: &Endpoint| -> Vec<Intent<f64>> {
        let declare = |path: &String| endpoint.intent(path).expect("the path is in order");
        paths.iter().map(declare).collect()
    };
    let interests = |endpoint: &Endpoint| -> Vec<Interest<f64>> {
        let declare = |path: &String| endpoint.interest(path).expect("the path is in order");
        paths.iter().map(declare).collect()
    };
    bench.batches("declare one of 10,000 intents", start, |endpoint| drop(intents(&endpoint)), ROUTES);
    let with_intents = || {
        let endpoint = start();
        let intents = intents(&endpoint);
        (endpoint, intents)
    };
    let link_all = |(endpoint, supplied): (Endpoint, Vec<Intent<f64>>)| {
        let wanted = interests(&endpoint);
        let linked = supplied.iter().all(|intent| intent.wait_interest(Duration::from_secs(10)));
        assert!(linked, "not all of {} routes were linked", wanted.len());
    };
    bench.batches("link one of 10,000 routes", with_intents, link_all, ROUTES);
    Ok(())
}

fn nobody(bench: &Bench, endpoint: &Endpoint) -> Result<(), Error> {
    let intent: Intent<[f32; 8]> = endpoint.intent("bench.nobody")?;
    bench.each("send to nobody", || intent.send([1.0; 8]).is_ok());
    Ok(())
}

fn local(bench: &Bench, endpoint: &Endpoint) -> Result<(), Error> {
    let intent: Intent<[f32; 8]> = endpoint.intent("bench.local")?;
    let queued: Interest<[f32; 8]> =
        endpoint.interest_with("bench.local", InterestSettings::new().queue(16))?;
    assert!(intent.wait_interest(Duration::from_secs(5)), "the two were not linked");
    let shared = Arc::new([1.0; 8]);
    bench.each("send and recv here, a value", || (intent.send([1.0; 8]).is_ok(), queued.recv().is_ok()));
    bench.each("send and recv here, an Arc", || {
        (intent.send_shared(Arc::clone(&shared)).is_ok(), queued.recv().is_ok())
    });
    drop(queued);
    let newest: Interest<[f32; 8]> =
        endpoint.interest_with("bench.local", InterestSettings::new().latest())?;
    assert!(intent.wait_interest(Duration::from_secs(5)), "the two were not linked");
    bench.each("send and latest here, an Arc", || {
        let sent = intent.send_shared(Arc::clone(&shared)).is_ok();
        drop(newest.latest());
        sent
    });
    bench.each("latest, nothing new", || drop(newest.latest()));
    Ok(())
}

/// What wrappers add: each line next to the same without them.
fn wrapped(bench: &Bench, endpoint: &Endpoint) -> Result<(), Error> {
    const MANY: u32 = 64;
    let intent: Intent<[f32; 8]> = endpoint.intent("bench.wrapped")?;
    let interest = || -> Result<Interest<[f32; 8]>, Error> {
        let interest = endpoint.interest_with("bench.wrapped", InterestSettings::new().queue(MANY))?;
        assert!(intent.wait_interests(1, Duration::from_secs(5)), "the two were not linked");
        Ok(interest)
    };
    let shared = Arc::new([1.0; 8]);
    let send = || (0..MANY).for_each(|_| drop(intent.send_shared(Arc::clone(&shared))));
    let plain = interest()?;
    bench.batches("recv, plain", || (), |()| work(&send, || plain.recv().is_ok(), MANY), MANY);
    bench.batches("try_recv, plain", || (), |()| work(&send, || plain.try_recv().is_ok(), MANY), MANY);
    drop(plain);
    let chain = interest()?.filter(|gyro| gyro[0] > 0.0).map(|gyro| gyro[2]);
    bench.batches("recv, filter and map", || (), |()| work(&send, || chain.recv().is_ok(), MANY), MANY);
    let read = || chain.try_recv().is_ok();
    bench.batches("try_recv, filter and map", || (), |()| work(&send, read, MANY), MANY);
    drop(chain);
    let boxed: Box<dyn Want<f32>> = Box::new(interest()?.filter(|gyro| gyro[0] > 0.0).map(|gyro| gyro[2]));
    bench.batches(
        "recv, filter and map, boxed",
        || (),
        |()| work(&send, || boxed.recv().is_ok(), MANY),
        MANY,
    );
    drop(boxed);
    let mut number = 0;
    let limited = interest()?.rate_limit(f64::INFINITY).dedup_by_key(move |_| {
        number += 1;
        number
    });
    let read = || limited.try_recv().is_ok();
    bench.batches("try_recv, rate limit and dedup", || (), |()| work(&send, read, MANY), MANY);
    drop(limited);
    let speed: Intent<f32> = endpoint.intent("bench.nobody.speed")?;
    bench.each("send to nobody, plain", || speed.send(1.0).is_ok());
    let speed = speed.filter(|speed| *speed > 0.0).map(|speed: &f64| *speed as f32);
    bench.each("send to nobody, filter and map", || speed.send(1.0).is_ok());
    let speed = speed.dedup();
    bench.each("send to nobody, dedup", || speed.send(1.0).is_ok());
    Ok(())
}

/// Sends what is then read.
fn work(send: &impl Fn(), read: impl Fn() -> bool, count: u32) {
    send();
    for _ in 0..count {
        assert!(read(), "a sample is missing");
    }
}
