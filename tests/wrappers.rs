//! Wrapped intents and interests, over each kind of link.

mod support;

use bowline::wrap::Feed;
use bowline::{Fate, Intent, Interest, InterestSettings, Reading, Supply, Want};
use std::sync::mpsc::channel;
use std::time::Duration;
use support::{Kind, SOON, pair, until};

each_kind!(
    a_wrapped_interest_gives_back_the_credit_of_what_it_withholds,
    every_sample_that_was_received_is_accounted_for,
    a_wrapped_handle_still_says_what_the_handle_says,
    callbacks_are_called_for_what_comes_through,
    latest_answers_the_newest_that_passes,
);

const COUNT: u32 = 2_000;

fn a_wrapped_interest_gives_back_the_credit_of_what_it_withholds(kind: Kind) {
    let pair = pair(kind);
    let intent: Intent<u32> = pair.robot.intent("robot.count").expect("intent");
    let settings = InterestSettings::new().lossless(8);
    let interest = pair.desk.interest_with::<u32>("robot.count", settings).expect("interest");
    let hundreds = interest.filter(|number| number % 100 == 0).map(|number| number / 100);
    assert!(intent.wait_interest(SOON));
    let sender = std::thread::spawn(move || {
        for number in 0..COUNT {
            intent.send_timeout(number, SOON).expect("room comes again");
        }
    });
    for number in 0..COUNT / 100 {
        let sample = hundreds.recv_timeout(SOON).expect("comes through");
        assert_eq!((*sample, sample.sequence()), (number, u64::from(number) * 100));
    }
    // The last ones do not come through; but they are taken.
    until("all were looked at", || {
        assert!(hundreds.try_recv().is_err_and(|error| error.is_empty()));
        hundreds.withheld().filtered == u64::from(COUNT - COUNT / 100)
    });
    sender.join().expect("all was sent");
}

fn every_sample_that_was_received_is_accounted_for(kind: Kind) {
    let pair = pair(kind);
    let intent: Intent<u32> = pair.robot.intent("robot.count").expect("intent");
    let interest: Interest<u32> = pair.desk.interest("robot.count").expect("interest");
    let some = interest
        .filter(|number| number % 3 != 0)
        .dedup_by_key(|number| number / 10)
        .throttle(Duration::from_micros(200))
        .rate_limit(1_000.0);
    assert!(intent.wait_interest(SOON));
    let sender = std::thread::spawn(move || {
        for number in 0..COUNT {
            intent.send(number).expect("a queue takes all");
        }
        intent
    });
    let (mut got, mut newest) = (0, None);
    let mut take = || {
        while let Ok(sample) = some.recv_timeout(Duration::from_millis(2)) {
            assert!(newest < Some(*sample), "{newest:?} came before {}", *sample);
            (got, newest) = (got + 1, Some(*sample));
        }
        let (counts, withheld) = (some.counts(), some.withheld());
        assert_eq!(counts.received - counts.lost_here, got + withheld.total(), "{counts:?} {withheld:?}");
        counts.received + counts.lost_there
    };
    let _intent = sender.join().expect("all was sent");
    until("all are accounted for", || take() == u64::from(COUNT));
}

fn a_wrapped_handle_still_says_what_the_handle_says(kind: Kind) {
    let pair = pair(kind);
    let intent = pair.robot.intent::<f32>("robot.speed").expect("intent");
    let speed = intent.map(|speed: &f64| *speed as f32).dedup().throttle(Duration::ZERO);
    assert!(speed.outcomes().is_empty() && !speed.wait_interests(1, Duration::ZERO));
    let wanted = pair.desk.interest::<f32>("robot.speed").expect("interest").tap(|_| ()).dedup();
    assert!(speed.wait_interest(SOON) && wanted.wait_intent(SOON));
    assert_eq!((speed.interested(), wanted.suppliers()), (1, 1));
    assert_eq!((speed.route().to_string(), wanted.route()), ("f32@robot.speed".to_owned(), speed.route()));
    assert_eq!(speed.send_timeout(1.5, SOON).expect("sends").taken(), 1);
    assert_eq!(speed.try_send(1.5).expect("is no error").worst(), Fate::Withheld);
    assert_eq!(speed.outcomes().len(), 1);
    let sample = wanted.recv_timeout(SOON).expect("arrives");
    assert_eq!((*sample, sample.sequence(), sample.peer().is_none()), (1.5, 0, kind == Kind::Local));
    assert!(sample.age() < SOON);
    assert_eq!(wanted.counts().received, 1);
    pair.desk.close(SOON);
    assert!(wanted.recv().is_err_and(|error| error.is_closed()));
    assert_eq!(wanted.iter().count(), 0);
    drop(pair.robot);
}

fn callbacks_are_called_for_what_comes_through(kind: Kind) {
    let pair = pair(kind);
    let (heard, hearing) = channel();
    let settings = InterestSettings::new().lossless(16);
    let wrap =
        |count: Feed<u32>| count.filter(|number| number % 2 == 0).map(|number| u64::from(*number) * 10);
    let subscription = pair
        .desk
        .on_sample_through("robot.count", settings, wrap, move |sample| heard.send(*sample).unwrap_or(()))
        .expect("a subscription");
    let intent: Intent<u32> = pair.robot.intent("robot.count").expect("intent");
    assert!(subscription.wait_intent(SOON) && intent.wait_interest(SOON));
    for number in 0..100 {
        intent.send_timeout(number, SOON).expect("sends");
    }
    for number in 0..50 {
        assert_eq!(hearing.recv_timeout(SOON), Ok(number * 20));
    }
    until("the last call ended", || subscription.withheld().filtered == 50);
    assert_eq!(subscription.counts().received, 100);
}

fn latest_answers_the_newest_that_passes(kind: Kind) {
    let pair = pair(kind);
    let interest = pair.desk.interest::<i32>("robot.count").expect("interest");
    let positive = interest.filter(|number| *number > 0);
    assert!(matches!(positive.latest(), Reading::LinkDown(None)));
    let intent: Intent<i32> = pair.robot.intent("robot.count").expect("intent");
    assert!(intent.wait_interest(SOON) && positive.wait_intent(SOON));
    assert!(matches!(positive.latest(), Reading::Never));
    for number in [1, 2, -1] {
        intent.send(number).expect("sends");
    }
    until("all three were looked at", || {
        let number = positive.latest().newest().map(|sample| *sample);
        number == Some(2) && positive.withheld().filtered == 1
    });
    drop(intent);
    until(
        "nobody supplies it",
        || matches!(positive.latest(), Reading::LinkDown(Some(sample)) if *sample == 2),
    );
}
