//! `latest`: the newest wins, and reading never waits.

use crate::support::{Kind, SOON, Watch, pair, until};
use bowline::{Event, Intent, Interest, InterestSettings, Reading};
use std::time::Duration;

crate::each_kind!(the_newest_wins_and_what_it_replaced_is_counted, a_reading_says_how_fresh_it_is);

fn the_newest_wins_and_what_it_replaced_is_counted(kind: Kind) {
    let pair = pair(kind);
    let intent: Intent<u32> = pair.robot.intent("robot.count").expect("intent");
    let interest: Interest<u32> =
        pair.desk.interest_with("robot.count", InterestSettings::new().latest()).expect("interest");
    assert!(intent.wait_interest(SOON));
    for number in 0..1000 {
        assert_eq!(intent.send(number).expect("never refused").taken(), 1);
    }
    until("all arrived", || interest.counts().received == 1000);
    let sample = interest.latest().fresh().expect("there is one");
    assert_eq!((*sample, sample.sequence()), (999, 999));
    assert_eq!(interest.counts().lost_here, 999);
    assert_eq!(*interest.latest().fresh().expect("it stays"), 999);
    assert!(interest.try_recv().is_err_and(|error| error.is_empty()), "it was read");
    intent.send(1000).expect("never refused");
    assert_eq!(*interest.recv_timeout(SOON).expect("it can be waited for too"), 1000);
    assert_eq!(*interest.latest().fresh().expect("and it stays"), 1000);
    assert_eq!(interest.counts().lost_here, 999);
}

fn a_reading_says_how_fresh_it_is(kind: Kind) {
    let pair = pair(kind);
    let settings = |limit| InterestSettings::new().latest().fresh_for(limit);
    let ever: Interest<f64> =
        pair.desk.interest_with("robot.speed", settings(Duration::MAX)).expect("interest");
    let never: Interest<f64> =
        pair.desk.interest_with("robot.speed", settings(Duration::ZERO)).expect("interest");
    let queue: Interest<f64> = pair.desk.interest("robot.speed").expect("interest");
    for interest in [&ever, &never, &queue] {
        assert!(matches!(interest.latest(), Reading::LinkDown(None)));
        assert_eq!(interest.latest().value_or(7.0), 7.0);
    }
    let intent: Intent<f64> = pair.robot.intent("robot.speed").expect("intent");
    until("all are linked", || intent.interested() == 3);
    for interest in [&ever, &never, &queue] {
        assert!(interest.wait_intent(SOON));
        assert!(matches!(interest.latest(), Reading::Never));
        assert_eq!(interest.latest().value_or(7.0), 7.0);
    }
    intent.send(1.0).expect("sends");
    intent.send(1.5).expect("sends");
    until("all arrived", || [&ever, &never, &queue].iter().all(|interest| interest.counts().received == 2));
    assert!(matches!(ever.latest(), Reading::Fresh(sample) if *sample == 1.5));
    assert!(matches!(never.latest(), Reading::Stale(sample) if *sample == 1.5));
    assert!(matches!(queue.latest(), Reading::Fresh(sample) if *sample == 1.5), "all that waits is taken");
    assert!(queue.try_recv().is_err());
    assert_eq!(ever.latest().value_or(7.0), 1.5);
    assert_eq!(never.latest().value_or(7.0), 7.0, "a stale value is none");
    assert_eq!(never.latest().newest().map(|sample| *sample), Some(1.5));
    drop(intent);
    until("the intent is gone", || ever.suppliers() + never.suppliers() + queue.suppliers() == 0);
    for interest in [&ever, &never, &queue] {
        assert!(matches!(interest.latest(), Reading::LinkDown(Some(sample)) if *sample == 1.5));
        assert_eq!(interest.latest().value_or(7.0), 7.0);
    }
}

#[test]
fn a_lost_link_is_told_by_the_reading_and_so_is_its_return() {
    let pair = pair(Kind::Memory);
    let listen = pair.robot.listening()[0].clone();
    let interest: Interest<u32> =
        pair.desk.interest_with("robot.count", InterestSettings::new().latest()).expect("interest");
    let intent: Intent<u32> = pair.robot.intent("robot.count").expect("intent");
    assert!(intent.wait_interest(SOON));
    intent.send(1).expect("sends");
    until("it arrived", || interest.counts().received == 1);
    let mut watch = Watch::new(&pair.desk);
    assert!(pair.robot.close(SOON));
    watch.wait(|event| matches!(event, Event::RouteUnlinked { .. }));
    watch.wait(|event| matches!(event, Event::LinkDown { .. }));
    assert_eq!(interest.suppliers(), 0);
    assert!(matches!(interest.latest(), Reading::LinkDown(Some(sample)) if *sample == 1));
    drop(intent);
    drop(pair.robot);
    let again = bowline::Endpoint::builder("robot").listen(listen).start().expect("starts");
    let intent: Intent<u32> = again.intent("robot.count").expect("intent");
    assert!(intent.wait_interest(SOON));
    assert!(interest.wait_intent(SOON));
    assert_eq!(interest.suppliers(), 1);
    intent.send(2).expect("sends");
    until("the new value is there", || interest.latest().value_or(0) == 2);
    assert_eq!(interest.counts().received, 2);
}

/// The intents' side of the same.
#[test]
fn a_lost_link_takes_its_interests_with_it() {
    let pair = pair(Kind::Tcp);
    let intent: Intent<u32> = pair.robot.intent("robot.count").expect("intent");
    let interests: Vec<Interest<u32>> =
        (0..20).map(|_| pair.desk.interest("robot.count").expect("interest")).collect();
    until("all are linked", || intent.interested() == 20);
    assert_eq!(intent.send(0).expect("sends").taken(), 20);
    let mut watch = Watch::new(&pair.robot);
    assert!(pair.desk.close(SOON));
    watch.wait(|event| matches!(event, Event::LinkDown { .. }));
    until("nobody is interested", || intent.interested() == 0);
    assert_eq!(intent.send(1).expect("nobody is no error").taken(), 0);
    assert!(intent.outcomes().is_empty(), "{:?}", intent.outcomes());
    drop(interests);
}

#[test]
fn reading_in_a_loop_sees_values_only_move_forward() {
    let pair = pair(Kind::Tcp);
    let intent: Intent<u64> = pair.robot.intent("robot.count").expect("intent");
    let interest: Interest<u64> =
        pair.desk.interest_with("robot.count", InterestSettings::new().latest()).expect("interest");
    assert!(intent.wait_interest(SOON));
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for number in 1..=20_000 {
                intent.send(number).expect("never refused");
            }
            // Stays declared until all was read.
            until("the last was seen", || intent.interested() == 0);
        });
        let mut seen = 0;
        while seen < 20_000 {
            let value = interest.latest().value_or(0);
            assert!(value >= seen, "{value} after {seen}");
            seen = value;
        }
        drop(interest);
    });
}
