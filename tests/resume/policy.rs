//! Over which of several links to one peer the samples of an intent go.

use super::links::{Two, states, two};
use super::support::tap::Tap;
use super::*;
use bowline::{Bytes, Fate, LinkState, Links, Priority};
use std::thread;
use std::time::Instant;

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
    // As the one knows who sends the copies.
    support::until("the second stands by", || states(&robot).contains(&LinkState::StandsBy));
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
    let lost = || {
        let counts = interest.counts();
        counts.lost_here + counts.lost_there + counts.lost_on_the_way
    };
    let (mut next, mut read) = (0, 0);
    let since = Instant::now();
    // The last ones may be lost.
    while read + lost() <= LAST {
        let Ok(sample) = interest.recv_timeout(Duration::from_millis(20)) else {
            assert!(
                since.elapsed() < 2 * SOON,
                "after {next}, read {read}: {:?}, {:?}",
                interest.counts(),
                states(&desk)
            );
            continue;
        };
        if *sample != sample.sequence() {
            for e in [&desk, &robot] {
                eprintln!("--");
                while let Some(event) = e.events().try_recv() {
                    eprintln!("{event:?}");
                }
            }
        }
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
    assert_eq!(read + lost(), LAST + 1, "{:?}", interest.counts());
    if lossless {
        assert_eq!(lost(), 0);
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

/// Has the session go on over the second link, and over the first again.
fn to_second(desk: &Endpoint, scissors: &[Scissors; 2]) {
    scissors[1].open();
    support::until("the second stands by", || states(desk)[1] == LinkState::StandsBy);
    scissors[0].close();
    support::until("the second carries the session", || states(desk)[1].is_up());
}

fn to_first(desk: &Endpoint, scissors: &[Scissors; 2]) {
    scissors[0].open();
    support::until("the first stands by", || states(desk)[0] == LinkState::StandsBy);
    scissors[1].close();
    support::until("the first carries the session", || states(desk)[0].is_up());
}

fn both_are_ready(desk: &Endpoint) {
    support::until("the first carries, the second stands by", || {
        let states = states(desk);
        states[0].is_up() && states[1] == LinkState::StandsBy
    });
}

fn only(begins: &str) -> IntentSettings {
    IntentSettings::new().links(Links::only(begins))
}

#[test]
fn a_lossless_route_waits_for_a_link_that_fits_and_loses_nothing() {
    let Two { robot, desk, scissors } = two(Kind::Memory);
    both_are_ready(&desk);
    // Both ends supply a route: the one knows its link by where it came from, the other by what it dialled.
    let other: Intent<u64> = robot.intent("robot.other").unwrap();
    let others: Interest<u64> = desk.interest_with("robot.other", lossless(64)).unwrap();
    let there: Intent<u64> = robot.intent_with("robot.eye", only("tcp")).unwrap();
    let here: Intent<u64> = desk.intent_with("desk.eye", only("first")).unwrap();
    let from_there: Interest<u64> = desk.interest_with("robot.eye", lossless(16)).unwrap();
    let from_here: Interest<u64> = robot.interest_with("desk.eye", lossless(16)).unwrap();
    let routes = [(&there, &from_there), (&here, &from_here)];
    assert!(other.wait_interest(SOON) && routes.iter().all(|(intent, _)| intent.wait_interest(SOON)));
    let mut next = 0;
    for round in 0..3 {
        for (intent, interest) in routes {
            intent.send_timeout(next, SOON).unwrap();
            assert_eq!(interest.recv_timeout(SOON).map(|sample| *sample).ok(), Some(next));
        }
        next += 1;
        to_second(&desk, &scissors);
        for (intent, _) in routes {
            for n in next..next + 16 {
                let outcome = intent.send_timeout(n, SOON).unwrap();
                assert_eq!(outcome.worst(), Fate::Waits);
            }
            let error = intent.try_send(0).unwrap_err();
            assert_eq!(error.no_room().map(|(_, fate)| fate), Some(Fate::LinkFull));
        }
        other.send_timeout(round, SOON).unwrap();
        assert_eq!(others.recv_timeout(SOON).map(|sample| *sample).ok(), Some(round));
        for (_, interest) in routes {
            assert!(interest.try_recv().is_err(), "it goes over no other link");
        }
        to_first(&desk, &scissors);
        for (_, interest) in routes {
            for n in next..next + 16 {
                let sample =
                    interest.recv_timeout(SOON).unwrap_or_else(|error| panic!("sample {n}: {error}"));
                assert_eq!((*sample, sample.sequence()), (n, n));
            }
            let counts = interest.counts();
            assert_eq!((counts.lost_here, counts.lost_there, counts.lost_on_the_way), (0, 0, 0));
        }
        next += 16;
    }
}

#[test]
fn of_other_routes_the_newest_wait_and_older_ones_are_counted() {
    let Two { robot, desk, scissors } = two(Kind::Memory);
    both_are_ready(&desk);
    let image: Intent<u64> = robot.intent_with("robot.image", only("tcp")).unwrap();
    let queue: Interest<u64> = desk.interest_with("robot.image", InterestSettings::new().queue(4)).unwrap();
    let newest: Interest<u64> = desk.interest_with("robot.image", InterestSettings::new().latest()).unwrap();
    assert!(image.wait_interests(2, SOON));
    to_second(&desk, &scissors);
    for n in 0..10 {
        let fate = image.send(n).unwrap().worst();
        assert_eq!(fate, if n < 1 { Fate::Waits } else { Fate::Replaced });
    }
    to_first(&desk, &scissors);
    for n in 6..10 {
        assert_eq!(queue.recv_timeout(SOON).map(|sample| (*sample, sample.sequence())).ok(), Some((n, n)));
    }
    support::until("the newest came", || newest.latest().fresh().is_some_and(|sample| *sample == 9));
    let counts = queue.counts();
    assert_eq!((counts.received, counts.lost_there, counts.lost_on_the_way), (4, 6, 0));
}

#[test]
fn what_waits_is_given_up_and_counted_when_its_intent_is_dropped() {
    let Two { robot, desk, scissors } = two(Kind::Memory);
    both_are_ready(&desk);
    let image: Intent<u64> = robot.intent_with("robot.image", only("tcp")).unwrap();
    let interest: Interest<u64> = desk.interest_with("robot.image", lossless(8)).unwrap();
    assert!(image.wait_interest(SOON));
    to_second(&desk, &scissors);
    for n in 0..5 {
        image.send_timeout(n, SOON).unwrap();
    }
    drop(image);
    support::until("the interest is told", || interest.counts().lost_there == 5);
    assert_eq!(interest.counts().received, 0);
    // The route is free for another.
    let image: Intent<u64> = robot.intent("robot.image").unwrap();
    assert!(image.wait_interest(SOON));
    image.send(7).unwrap();
    assert_eq!(interest.recv_timeout(SOON).map(|sample| *sample).ok(), Some(7));
}

#[test]
fn large_samples_cut_off_in_the_middle_go_on_over_the_next_link_that_fits() {
    let Two { robot, desk, scissors } = two(Kind::Udp);
    both_are_ready(&desk);
    let settings = only("tcp").priority(Priority::Bulk);
    let eye: Intent<Bytes> = robot.intent_with("robot.eye", settings).unwrap();
    let eyes: Interest<Bytes> = desk.interest_with("robot.eye", lossless(8)).unwrap();
    assert!(eye.wait_interest(SOON));
    const COUNT: u8 = 40;
    let sending = thread::spawn(move || {
        for n in 0..COUNT {
            let image = Bytes::from(vec![n; 300_000]);
            eye.send_timeout(image, SOON).unwrap_or_else(|error| panic!("image {n}: {error}"));
        }
        eye
    });
    for n in 0..COUNT {
        let image = eyes.recv_timeout(SOON).unwrap_or_else(|error| panic!("image {n}: {error}"));
        assert!(
            image.len() == 300_000 && image.iter().all(|byte| *byte == n),
            "image {n} is whole, and in order"
        );
        if n % 10 == 5 {
            to_second(&desk, &scissors);
            to_first(&desk, &scissors);
        }
    }
    drop(sending.join().unwrap());
}
