//! Ages and round trips between endpoints, whose clocks are each their own.

mod support;

use bowline::{Endpoint, Intent, Interest, InterestSettings, LinkStatus};
use std::time::{Duration, Instant};
use support::{Kind, MOMENT, SOON, pair, pair_with, until};

each_link!(an_age_is_right_to_within_its_error, round_trips_and_offset_are_measured);

/// How far apart the two clocks can be set by a machine that did something else between the two
/// readings a clock is set from.
const SET: Duration = Duration::from_millis(100);

fn measured(endpoint: &Endpoint) -> LinkStatus {
    let mut found = None;
    until("the link is measured", || {
        found = endpoint.links().into_iter().find(|link| link.round_trip.is_some());
        found.is_some()
    });
    found.expect("it was found")
}

fn an_age_is_right_to_within_its_error(kind: Kind) {
    let pair = pair(kind);
    let intent: Intent<u32> = pair.robot.intent("robot.count").expect("intent");
    let interest: Interest<u32> = pair.desk.interest("robot.count").expect("interest");
    assert!(intent.wait_interest(SOON));
    measured(&pair.desk);
    for number in 0..200 {
        let begun = Instant::now();
        intent.send(number).expect("sends");
        let sample = interest.recv_timeout(SOON).expect("arrives");
        let (age, error) = (sample.age(), sample.age_error().expect("the link was measured"));
        let elapsed = begun.elapsed();
        assert!(age <= elapsed + error, "{age:?} old after {elapsed:?}, with an error of {error:?}");
    }
    let begun = Instant::now();
    intent.send(1).expect("sends");
    let sample = interest.recv_timeout(SOON).expect("arrives");
    assert!(interest.recv_timeout(MOMENT).is_err(), "nothing else is sent for a moment");
    let (age, error) = (sample.age(), sample.age_error().expect("the link was measured"));
    assert!(age + error >= MOMENT, "{age:?} is too young");
    assert!(age <= begun.elapsed() + error, "{age:?} is too old");
    assert!(sample.age() >= age, "it grows");
}

fn round_trips_and_offset_are_measured(kind: Kind) {
    let often = Duration::from_millis(50);
    let pair = pair_with(kind, |robot| robot.ping_interval(often), |desk| desk.ping_interval(often));
    for endpoint in [&pair.robot, &pair.desk] {
        let mut seen = Vec::new();
        until("several pings were answered", || {
            let now = measured(endpoint).round_trip;
            if seen.last() != Some(&now) {
                seen.push(now);
            }
            seen.len() > 8
        });
        let link = measured(endpoint);
        assert!(link.state.is_up());
        let trip = link.round_trip.expect("measured");
        assert!(trip.min > Duration::ZERO || kind == Kind::Memory);
        assert!(trip.min <= trip.p50 && trip.p50 <= trip.p99, "{trip:?}");
        assert!(trip.min <= trip.smoothed && trip.smoothed < SOON, "{trip:?}");
        let error = link.clock_error.expect("measured");
        let offset = Duration::from_micros(link.clock_offset_micros.unsigned_abs());
        assert!(offset <= error + SET, "clocks of one machine are {offset:?} apart, error {error:?}");
        assert!(error <= trip.p99.max(Duration::from_millis(1)), "{error:?} for {trip:?}");
        assert!(link.bytes_in > 0 && link.bytes_out > 0);
    }
}

#[test]
fn a_sample_of_this_endpoint_has_the_very_age() {
    let pair = pair(Kind::Local);
    let intent: Intent<u32> = pair.robot.intent("robot.count").expect("intent");
    let interest: Interest<u32> =
        pair.robot.interest_with("robot.count", InterestSettings::new().queue(1000)).expect("interest");
    assert!(intent.wait_interest(SOON));
    // A burst, and then one after a pause: its age is its own.
    for number in 0..500 {
        intent.send(number).expect("sends");
    }
    until("all are there", || interest.counts().received == 500);
    let waiting = interest.iter().take(500).last().expect("there are some");
    assert!(interest.recv_timeout(MOMENT).is_err());
    let begun = Instant::now();
    intent.send(500).expect("sends");
    let sample = interest.recv_timeout(SOON).expect("arrives");
    assert_eq!(sample.age_error(), Some(Duration::ZERO));
    assert!(sample.age() <= begun.elapsed() + Duration::from_micros(1));
    assert!(waiting.age() >= MOMENT);
    assert!(sample.sent() >= waiting.sent());
}

/// A burst is stamped with few readings of the clock; what comes after it is not.
#[test]
fn what_follows_a_burst_over_a_link_has_its_own_age() {
    let pair = pair(Kind::Tcp);
    let intent: Intent<u32> = pair.robot.intent("robot.count").expect("intent");
    let interest: Interest<u32> =
        pair.desk.interest_with("robot.count", InterestSettings::new().lossless(10_000)).expect("interest");
    assert!(intent.wait_interest(SOON));
    measured(&pair.desk);
    for number in 0..10_000 {
        intent.send_timeout(number, SOON).expect("room");
    }
    for _ in 0..10_000 {
        interest.recv_timeout(SOON).expect("arrives");
    }
    for number in 0..5 {
        assert!(interest.recv_timeout(MOMENT).is_err());
        let begun = Instant::now();
        intent.send_timeout(number, SOON).expect("room");
        let sample = interest.recv_timeout(SOON).expect("arrives");
        let (age, error) = (sample.age(), sample.age_error().expect("measured"));
        assert!(age <= begun.elapsed() + error, "{age:?} old after {:?}, error {error:?}", begun.elapsed());
    }
}
