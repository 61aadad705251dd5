//! An intent's last sample, for who comes later.

use crate::support::{Kind, MOMENT, SOON, pair, until};
use bowline::{Endpoint, Fate, Intent, IntentSettings, Interest, InterestSettings, Sample, Subscription};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::Duration;

crate::each_kind!(
    a_latecomer_gets_the_last_sample_with_its_true_age,
    a_latecomer_never_gets_it_after_a_newer_one,
    a_sample_that_is_taken_has_room_with_latecomers_too,
    a_sample_that_was_turned_away_reaches_no_latecomer,
);

fn retaining(endpoint: &Endpoint) -> Intent<u64> {
    endpoint.intent_with("robot.mode", IntentSettings::new().retain()).expect("intent")
}

fn called(endpoint: &Endpoint) -> (Subscription, Receiver<Sample<u64>>) {
    let (give, given) = channel();
    let settings = InterestSettings::new().lossless(4);
    let subscription = endpoint
        .on_sample("robot.mode", settings, move |sample: Sample<u64>| {
            let _ = give.send(sample);
        })
        .expect("subscription");
    (subscription, given)
}

fn a_latecomer_gets_the_last_sample_with_its_true_age(kind: Kind) {
    let pair = pair(kind);
    let intent = retaining(&pair.robot);
    for number in 1..=3 {
        assert_eq!(intent.send(number).expect("nobody is no error").taken(), 0);
    }
    // Nobody sends there: it is a pause that ends by itself.
    let pause: Interest<u8> = pair.desk.interest("robot.silence").expect("interest");
    assert!(pause.recv_timeout(MOMENT).is_err());
    // Loose samples say their age to within a sixteenth.
    let least = if kind == Kind::Udp { MOMENT - MOMENT / 16 } else { MOMENT };
    for settings in [
        InterestSettings::new().latest(),
        InterestSettings::new().queue(4),
        InterestSettings::new().lossless(1),
    ] {
        let late: Interest<u64> = pair.desk.interest_with("robot.mode", settings).expect("interest");
        let sample = late.recv_timeout(SOON).expect("the last one");
        assert_eq!((*sample, sample.sequence()), (3, 0));
        let error = sample.age_error().unwrap_or_default();
        assert!(sample.age() + error >= least, "{:?} is too young", sample.age());
        assert!(late.try_recv().is_err());
    }
    let (_subscription, given) = called(&pair.desk);
    let sample = given.recv_timeout(SOON).expect("the last one");
    assert_eq!((*sample, sample.sequence()), (3, 0));
    assert!(sample.age() + sample.age_error().unwrap_or_default() >= MOMENT);
}

fn a_latecomer_never_gets_it_after_a_newer_one(kind: Kind) {
    const ROUNDS: u64 = 150;
    let pair = pair(kind);
    let intent = retaining(&pair.robot);
    intent.send(0).expect("sends");
    let (stop, stopped) = channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut number = 1;
            while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                // A lossless latecomer may have no room just now.
                let _ = intent.try_send(number);
                number += 1;
                std::thread::yield_now();
            }
        });
        for round in 0..ROUNDS {
            let settings = match round % 3 {
                0 => InterestSettings::new().queue(1000),
                1 => InterestSettings::new().lossless(2),
                _ => InterestSettings::new().latest(),
            };
            let late: Interest<u64> = pair.desk.interest_with("robot.mode", settings).expect("interest");
            let first = late.recv_timeout(SOON).expect("the retained one or a newer");
            let mut last = (*first, first.sequence());
            for _ in 0..3 {
                let next = late.recv_timeout(SOON).expect("a newer one");
                assert!((*next, next.sequence()) > last, "{:?} after {last:?}", (*next, next.sequence()));
                last = (*next, next.sequence());
            }
        }
        for _ in 0..ROUNDS / 3 {
            let (subscription, given) = called(&pair.desk);
            let mut last = None;
            for _ in 0..3 {
                let next = given.recv_timeout(SOON).expect("a newer one");
                assert!(Some(*next) > last, "{} after {last:?}", *next);
                last = Some(*next);
            }
            drop(subscription);
        }
        drop(stop);
    });
}

fn a_sample_that_was_turned_away_reaches_no_latecomer(kind: Kind) {
    let pair = pair(kind);
    let intent = retaining(&pair.robot);
    // Nobody reads it, so that it stays full.
    let full: Interest<u64> =
        pair.desk.interest_with("robot.mode", InterestSettings::new().lossless(1)).expect("interest");
    assert!(intent.wait_interest(SOON));
    intent.send(1).expect("room");
    let (stop, stopped) = channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            while stopped.try_recv() == Err(TryRecvError::Empty) {
                assert!(intent.try_send(2).is_err_and(|error| error.is_no_credit()));
            }
        });
        for round in 0..60 {
            if round % 2 == 0 {
                let late: Interest<u64> = pair.desk.interest("robot.mode").expect("interest");
                assert_eq!(*late.recv_timeout(SOON).expect("the last one"), 1);
                assert!(late.try_recv().is_err());
            } else {
                let (_subscription, given) = called(&pair.desk);
                assert_eq!(*given.recv_timeout(SOON).expect("the last one"), 1);
                assert!(given.try_recv().is_err());
            }
        }
        drop(stop);
    });
    assert_eq!(*full.recv_timeout(SOON).expect("the first one"), 1);
}

#[test]
fn a_sample_that_was_not_sent_is_not_retained() {
    let pair = pair(Kind::Tcp);
    let intent = retaining(&pair.robot);
    let full: Interest<u64> =
        pair.desk.interest_with("robot.mode", InterestSettings::new().lossless(1)).expect("interest");
    assert!(intent.wait_interest(SOON));
    intent.send(1).expect("room");
    assert!(intent.send(2).is_err_and(|error| error.is_no_credit()));
    let late: Interest<u64> = pair.desk.interest("robot.mode").expect("interest");
    assert_eq!(*late.recv_timeout(SOON).expect("the last one"), 1);
    assert_eq!(*full.recv_timeout(SOON).expect("the first one"), 1);
    until("both are linked", || intent.interested() == 2);
}

#[test]
fn without_retaining_a_latecomer_gets_what_is_sent_from_then_on() {
    let pair = pair(Kind::Tcp);
    let intent: Intent<u64> = pair.robot.intent("robot.mode").expect("intent");
    intent.send(1).expect("nobody is no error");
    let late: Interest<u64> = pair.desk.interest("robot.mode").expect("interest");
    assert!(intent.wait_interest(SOON));
    intent.send(2).expect("sends");
    let sample = late.recv_timeout(SOON).expect("arrives");
    assert_eq!((*sample, sample.sequence()), (2, 0));
}

fn a_sample_that_is_taken_has_room_with_latecomers_too(kind: Kind) {
    const ROUNDS: u64 = 100;
    let pair = pair(kind);
    let intent = retaining(&pair.robot);
    intent.send(0).expect("sends");
    let (stop, stopped) = channel::<()>();
    std::thread::scope(|scope| {
        let sender = scope.spawn(move || {
            let mut number = 1;
            while stopped.try_recv() == Err(TryRecvError::Empty) {
                number += 1;
                if let Ok(outcome) = intent.send_timeout(number, Duration::from_millis(1)) {
                    // All or nothing: it is never taken, and then has no room with one of them.
                    assert_ne!(outcome.worst(), Fate::NoCredit, "{:?}", intent.outcomes());
                }
            }
        });
        let settings = InterestSettings::new().lossless(1);
        for round in 0..ROUNDS {
            // Two, since a sample for one alone is looked at and put in at once.
            let late: Vec<Interest<u64>> = (0..2)
                .map(|_| pair.desk.interest_with("robot.mode", settings.clone()).expect("interest"))
                .collect();
            // While one of them has no room, nobody gets anything: so the first of both, and then the next.
            let read = || late.iter().map(|late| late.recv_timeout(SOON).expect("a sample"));
            let (first, next): (Vec<_>, Vec<_>) = (read().collect(), read().collect());
            for (first, next) in first.iter().zip(&next) {
                assert!(**next > **first, "round {round}: {} after {}", **next, **first);
                assert_eq!((first.sequence(), next.sequence()), (0, 1));
            }
        }
        drop(stop);
        sender.join().expect("sends");
    });
}
