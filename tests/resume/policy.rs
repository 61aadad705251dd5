//! Over which of several links to one peer the samples of an intent go.

use super::links::{Two, states, two};
use super::support::tap::Tap;
use super::*;
use bowline::{LinkState, Links, Priority};
use std::thread;

/// A robot and a desk with two links, the first of which can be held up in the direction to the desk, for long before
/// anybody takes it for lost.
fn held_up() -> (Endpoint, Endpoint, Tap) {
    let (tap, second) = (Tap::default(), Scissors::default());
    let patient = |path: &str| quick(path).ping_interval(SOON).transport(tap.clone());
    let listen = Kind::Memory.listen();
    let name = listen.split_once("://").expect("a URL").1;
    let robot = patient("robot").listen(format!("tap://{name}-tap")).listen(&listen).start().expect("starts");
    let desk = patient("desk").transport(second.on("second", Memory));
    second.close();
    let urls = [format!("tap://{name}-tap/robot"), format!("second://{name}/robot")];
    let desk = desk.connect_any(urls).start().expect("starts");
    support::until("the first carries the session", || states(&desk)[0].is_up());
    second.open();
    support::until("the second stands by", || states(&desk)[1] == LinkState::StandsBy);
    (robot, desk, tap)
}

fn all(priority: Priority) -> IntentSettings {
    IntentSettings::new().priority(priority).links(Links::All)
}

#[test]
fn while_the_link_that_carries_the_session_stands_still_samples_come_by_the_other() {
    for (delivery, priority) in [
        (InterestSettings::new().queue(64), Priority::Normal),
        (InterestSettings::new().queue(64), Priority::Urgent),
        (lossless(64), Priority::Normal),
        (lossless(64), Priority::Bulk),
    ] {
        let (robot, desk, tap) = held_up();
        let stop: Intent<u64> = robot.intent_with("robot.stop", all(priority)).unwrap();
        let other: Intent<u64> = robot.intent("robot.other").unwrap();
        let stops: Interest<u64> = desk.interest_with("robot.stop", delivery).unwrap();
        let others: Interest<u64> = desk.interest_with("robot.other", lossless(64)).unwrap();
        assert!(stop.wait_interest(SOON) && other.wait_interest(SOON));
        let mut number = 0;
        let mut pass = |count: u64| {
            for n in number..number + count {
                stop.send_timeout(n, SOON).unwrap();
                assert_eq!(
                    stops.recv_timeout(SOON).map(|sample| (*sample, sample.sequence())).ok(),
                    Some((n, n))
                );
            }
            number += count;
        };
        pass(10);
        tap.hold();
        other.send(0).unwrap();
        // Nothing of this comes by the first link.
        pass(20);
        assert!(others.try_recv().is_err());
        assert!(states(&desk)[0].is_up(), "it is not taken for lost yet");
        tap.release();
        pass(10);
        // What was held up came, when this does.
        other.send(1).unwrap();
        for n in 0..2 {
            assert_eq!(others.recv_timeout(SOON).map(|sample| *sample).ok(), Some(n));
        }
        assert!(stops.try_recv().is_err(), "none comes twice");
        let counts = stops.counts();
        assert_eq!((counts.lost_here, counts.lost_there, counts.lost_on_the_way), (0, 0, 0));
    }
}

#[test]
fn the_newest_comes_by_whichever_link_moves() {
    let (robot, desk, tap) = held_up();
    let target: Intent<u64> = robot.intent_with("robot.target", all(Priority::Normal).retain()).unwrap();
    target.send(7).unwrap();
    let newest: Interest<u64> = desk.interest_with("robot.target", InterestSettings::new().latest()).unwrap();
    assert!(target.wait_interest(SOON));
    support::until("the retained one came", || newest.latest().fresh().is_some_and(|sample| *sample == 7));
    tap.hold();
    for n in 0..100 {
        target.send(n).unwrap();
        support::until("it came", || newest.latest().fresh().is_some_and(|sample| *sample == n));
    }
    tap.release();
    target.send(100).unwrap();
    support::until("it came", || newest.latest().fresh().is_some_and(|sample| *sample == 100));
}

/// Sends over all links while these are cut in turn.
fn all_links_cut(second: Kind, delivery: InterestSettings, lossless: bool) {
    let Two { robot, desk, scissors } = two(second);
    let intent: Intent<u64> = robot.intent_with("robot.count", all(Priority::Normal)).unwrap();
    let interest: Interest<u64> = desk.interest_with("robot.count", delivery).unwrap();
    assert!(intent.wait_interest(SOON));
    const LAST: u64 = 4000;
    let sending = thread::spawn(move || {
        for n in 0..=LAST {
            intent.send_timeout(n, SOON).unwrap_or_else(|error| panic!("sample {n}: {error}"));
            if n % 8 == 0 {
                thread::yield_now();
            }
        }
        intent
    });
    let (mut next, mut read) = (0, 0);
    while next <= LAST {
        let sample = interest.recv_timeout(SOON).unwrap_or_else(|error| panic!("after {next}: {error}"));
        assert_eq!(*sample, sample.sequence());
        assert!(*sample >= next, "{} comes again, or late", *sample);
        for n in next..=*sample {
            match n % 500 {
                100 => scissors[0].close(),
                200 => scissors[0].open(),
                300 => scissors[1].close(),
                400 => scissors[1].open(),
                _ => {}
            }
        }
        (next, read) = (*sample + 1, read + 1);
    }
    let _intent = sending.join().unwrap();
    let counts = interest.counts();
    let lost = counts.lost_here + counts.lost_there + counts.lost_on_the_way;
    assert_eq!(read + lost, LAST + 1, "{counts:?}");
    if lossless {
        assert_eq!(lost, 0);
    }
}

#[test]
fn over_tcp_links_that_are_cut_in_turn_every_lossless_sample_comes_once() {
    all_links_cut(Kind::Tcp, lossless(64), true);
}

#[test]
fn with_a_udp_link_beside_it_every_lossless_sample_comes_once() {
    all_links_cut(Kind::Udp, lossless(64), true);
}

#[test]
fn over_links_that_are_cut_in_turn_each_sample_of_a_queue_comes_or_is_counted() {
    all_links_cut(Kind::Udp, InterestSettings::new().queue(8192), false);
}
