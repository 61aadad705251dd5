//! Callbacks: on which thread, one at a time, and what happens when they panic.

use crate::support::{Kind, SOON, Watch, pair, until};
use bowline::{Event, Intent, Interest, InterestSettings, Sample};
use std::sync::mpsc::{channel, sync_channel};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

crate::each_kind!(
    a_panic_is_an_event_and_everything_else_goes_on,
    a_lossless_callback_misses_nothing,
    no_call_begins_once_the_subscription_is_dropped,
);
crate::each_link!(a_callback_runs_on_the_reader_of_its_link_and_may_send_to_it);

fn a_callback_runs_on_the_reader_of_its_link_and_may_send_to_it(kind: Kind) {
    let pair = pair(kind);
    let ask: Intent<u32> = pair.robot.intent("robot.ask").expect("intent");
    let answers: Interest<u32> = pair.robot.interest("desk.answer").expect("interest");
    let answer: Intent<u32> = pair.desk.intent("desk.answer").expect("intent");
    let (give, given) = channel();
    let subscription = pair
        .desk
        .on_sample("robot.ask", InterestSettings::new(), move |sample: Sample<u32>| {
            let _ = give.send(thread::current().name().map(str::to_owned));
            answer.try_send(*sample * 2).expect("sends");
        })
        .expect("subscription");
    assert!(ask.wait_interest(SOON) && answers.wait_intent(SOON) && subscription.wait_intent(SOON));
    assert_eq!((subscription.suppliers(), subscription.route().to_string().as_str()), (1, "u32@robot.ask"));
    for number in 0..500 {
        ask.send(number).expect("sends");
        assert_eq!(*answers.recv_timeout(SOON).expect("answered"), number * 2);
    }
    let name = given.recv_timeout(SOON).expect("was called").expect("threads have names");
    assert!(name.starts_with("bowline/reader "), "{name}");
    until("all are counted", || subscription.counts().received == 500);
}

fn a_panic_is_an_event_and_everything_else_goes_on(kind: Kind) {
    let pair = pair(kind);
    let intent: Intent<u32> = pair.robot.intent("robot.count").expect("intent");
    let other: Interest<u32> =
        pair.desk.interest_with("robot.count", InterestSettings::new().lossless(4)).expect("interest");
    let (give, given) = channel();
    let _subscription = pair
        .desk
        .on_sample("robot.count", InterestSettings::new().lossless(4), move |sample: Sample<u32>| {
            let _ = give.send(*sample);
            assert!(*sample < 2, "{} is too many", *sample);
        })
        .expect("subscription");
    until("both are linked", || intent.interested() == 2);
    for number in 0..100 {
        intent.send_timeout(number, SOON).expect("goes on");
        assert_eq!(*other.recv_timeout(SOON).expect("arrives"), number);
    }
    let mut watch = Watch::new(&pair.desk);
    let (route, text) = watch.find(|event| match event {
        Event::CallbackPanicked { route, text } => Some((route.to_string(), text.clone())),
        _ => None,
    });
    assert_eq!((route.as_str(), text.as_str()), ("u32@robot.count", "2 is too many"));
    assert_eq!(given.try_iter().collect::<Vec<_>>(), [0, 1, 2], "it was not called again");
    until("its interest is withdrawn", || intent.interested() == 1);
    let wrong = watch.all().into_iter().find(|event| {
        matches!(
            event,
            Event::LinkDown { .. } | Event::ThreadPanicked { .. } | Event::CallbackPanicked { .. }
        )
    });
    assert_eq!(wrong, None);
}

fn a_lossless_callback_misses_nothing(kind: Kind) {
    let pair = pair(kind);
    let intent: Intent<u32> = pair.robot.intent("robot.count").expect("intent");
    let (give, given) = sync_channel(4);
    let _subscription = pair
        .desk
        .on_sample("robot.count", InterestSettings::new().lossless(8), move |sample: Sample<u32>| {
            let _ = give.send((*sample, sample.sequence()));
        })
        .expect("subscription");
    assert!(intent.wait_interest(SOON));
    thread::scope(|scope| {
        let sending = scope.spawn(move || {
            for number in 0..5000 {
                intent.send_timeout(number, SOON).expect("goes on");
            }
            intent
        });
        for number in 0..5000 {
            assert_eq!(given.recv_timeout(SOON), Ok((number, u64::from(number))));
        }
        drop(sending.join());
    });
}

fn no_call_begins_once_the_subscription_is_dropped(kind: Kind) {
    let pair = pair(kind);
    let intent: Intent<u32> = pair.robot.intent("robot.count").expect("intent");
    let steady: Interest<u32> = pair.desk.interest("robot.count").expect("interest");
    let held = Arc::new(Mutex::new(Vec::new()));
    let holds = Arc::clone(&held);
    let subscription = pair
        .desk
        .on_sample("robot.count", InterestSettings::new(), move |sample: Sample<u32>| {
            holds.lock().expect("nobody panicked").push(*sample);
        })
        .expect("subscription");
    until("both are linked", || intent.interested() == 2);
    for number in 0..10 {
        intent.send(number).expect("sends");
    }
    until("all were seen", || held.lock().expect("nobody panicked").len() == 10);
    drop(subscription);
    assert_eq!(Arc::strong_count(&held), 1, "what it held is let go at once");
    for number in 10..20 {
        intent.send(number).expect("sends");
    }
    for number in 0..20 {
        assert_eq!(*steady.recv_timeout(SOON).expect("arrives"), number);
    }
    assert_eq!(held.lock().expect("nobody panicked").len(), 10);
}

#[test]
fn a_callback_that_sends_on_its_own_route_is_not_entered_again() {
    let pair = pair(Kind::Local);
    let first: Intent<u32> = pair.robot.intent("robot.count").expect("intent");
    let own: Intent<u32> = pair.robot.intent("robot.count").expect("intent");
    let (give, given) = channel();
    let subscription = pair
        .robot
        .on_sample("robot.count", InterestSettings::new(), move |sample: Sample<u32>| {
            let _ = give.send(*sample);
            own.try_send(*sample + 1000).expect("sends");
        })
        .expect("subscription");
    until("both are linked", || subscription.suppliers() == 2);
    for number in 0..10 {
        first.send(number).expect("sends");
    }
    assert_eq!(given.try_iter().collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
    let counts = subscription.counts();
    assert_eq!((counts.received, counts.lost_here), (20, 10), "its own are counted as lost");
}

#[test]
fn a_chain_of_callbacks_runs_in_one_send() {
    let pair = pair(Kind::Local);
    let start: Intent<u32> = pair.robot.intent("robot.a").expect("intent");
    let next: Intent<u32> = pair.robot.intent("robot.b").expect("intent");
    let end: Interest<u32> = pair.robot.interest("robot.c").expect("interest");
    let last: Intent<u32> = pair.robot.intent("robot.c").expect("intent");
    let a = pair.robot.on_sample("robot.a", InterestSettings::new(), move |sample: Sample<u32>| {
        next.try_send(*sample + 1).expect("sends");
    });
    let b = pair.robot.on_sample("robot.b", InterestSettings::new(), move |sample: Sample<u32>| {
        last.try_send(*sample + 1).expect("sends");
    });
    let (a, b) = (a.expect("subscription"), b.expect("subscription"));
    assert!(a.wait_intent(SOON) && b.wait_intent(SOON) && end.wait_intent(SOON));
    start.send(1).expect("sends");
    assert_eq!(*end.try_recv().expect("is there already"), 3);
}

/// Each waits for the other: a lock taken in both orders.
#[test]
fn two_callbacks_that_send_to_each_other_do_not_wait_for_ever() {
    let pair = pair(Kind::Local);
    let meet = Arc::new(std::sync::Barrier::new(2));
    let starts: Vec<Intent<u32>> =
        ["robot.a", "robot.b"].into_iter().map(|path| pair.robot.intent(path).expect("intent")).collect();
    let crossing = |own: &str, other: &str| {
        let intent: Intent<u32> = pair.robot.intent(other).expect("intent");
        let meet = Arc::clone(&meet);
        pair.robot.on_sample(own, InterestSettings::new(), move |sample: Sample<u32>| {
            if *sample == 0 {
                // Both threads are in a callback now.
                meet.wait();
                intent.try_send(1).expect("sends");
            }
        })
    };
    let a = crossing("robot.a", "robot.b").expect("subscription");
    let b = crossing("robot.b", "robot.a").expect("subscription");
    until("all are linked", || a.suppliers() == 2 && b.suppliers() == 2);
    let (done, is_done) = mpsc::channel();
    for start in starts {
        let done = done.clone();
        thread::spawn(move || {
            start.send(0).expect("sends");
            let _ = done.send(());
        });
    }
    for _ in 0..2 {
        is_done.recv_timeout(SOON).expect("a send returns");
    }
    let (a, b) = (a.counts(), b.counts());
    assert_eq!(a.received + b.received, 4);
    assert!(a.lost_here + b.lost_here >= 1, "what could not be delivered is counted");
}
