//! What the calls of an endpoint cost, in one process.

mod support;

use bowline::{Endpoint, Error, Intent, Interest, InterestSettings};
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
