//! What happens when an intent or an interest goes.

use crate::support::{Kind, SOON, Watch, pair, until};
use bowline::{Event, Intent, Interest, InterestSettings, Side};

crate::each_kind!(
    an_intent_that_goes_is_withdrawn_after_its_last_samples,
    an_interest_that_goes_lets_its_intent_go_on,
);

fn an_intent_that_goes_is_withdrawn_after_its_last_samples(kind: Kind) {
    for settings in [InterestSettings::new().queue(1000), InterestSettings::new().lossless(1000)] {
        let pair = pair(kind);
        let mut watch = Watch::new(&pair.desk);
        let intent: Intent<u32> = pair.robot.intent("robot.count").expect("intent");
        let interest: Interest<u32> = pair.desk.interest_with("robot.count", settings).expect("interest");
        assert!(intent.wait_interest(SOON) && interest.wait_intent(SOON));
        for number in 0..1000 {
            intent.send(number).expect("room");
        }
        drop(intent);
        let (route, supplier) = watch.find(|event| match event {
            Event::RouteUnlinked { route, supplier, .. } => Some((route.to_string(), *supplier)),
            _ => None,
        });
        assert_eq!(route, "u32@robot.count");
        assert_eq!(supplier, if kind == Kind::Local { Side::Here } else { Side::There });
        assert_eq!(interest.suppliers(), 0);
        for number in 0..1000 {
            assert_eq!(*interest.try_recv().expect("all came before the end"), number);
        }
        assert!(interest.try_recv().is_err_and(|error| error.is_empty()));
        let again: Intent<u32> = pair.robot.intent("robot.count").expect("intent");
        assert!(again.wait_interest(SOON) && interest.wait_intent(SOON));
        again.send(7).expect("sends");
        let sample = interest.recv_timeout(SOON).expect("arrives");
        assert_eq!((*sample, sample.sequence()), (7, 0), "another intent counts anew");
    }
}

fn an_interest_that_goes_lets_its_intent_go_on(kind: Kind) {
    let pair = pair(kind);
    let intent: Intent<u32> = pair.robot.intent("robot.count").expect("intent");
    let settings = || InterestSettings::new().lossless(2);
    let goes: Interest<u32> = pair.desk.interest_with("robot.count", settings()).expect("interest");
    let stays: Interest<u32> =
        pair.desk.interest_with("robot.count", InterestSettings::new().queue(100)).expect("interest");
    until("both are linked", || intent.interested() == 2);
    intent.send(0).expect("room");
    intent.send(1).expect("room");
    assert!(intent.send(2).is_err());
    std::thread::scope(|scope| {
        let sending = scope.spawn(move || intent.send_timeout(2, SOON).map(|outcome| outcome.taken()));
        drop(goes);
        assert_eq!(sending.join().expect("no panic").expect("goes on"), 1);
        for number in 0..3 {
            assert_eq!(*stays.recv_timeout(SOON).expect("arrives"), number);
        }
        drop(stays);
    });
}

#[test]
fn many_come_and_go_and_the_link_stays() {
    let pair = pair(Kind::Tcp);
    let mut watch = Watch::new(&pair.desk);
    let steady: Intent<u32> = pair.robot.intent("robot.steady").expect("intent");
    let want: Interest<u32> =
        pair.desk.interest_with("robot.steady", InterestSettings::new().lossless(64)).expect("interest");
    assert!(steady.wait_interest(SOON));
    for round in 0..60 {
        let path = format!("robot.r{}", round % 7);
        let intent: Intent<u32> = pair.robot.intent(&path).expect("intent");
        let settings = match round % 3 {
            0 => InterestSettings::new().lossless(3),
            1 => InterestSettings::new().queue(3),
            _ => InterestSettings::new().latest(),
        };
        let interest: Interest<u32> = pair.desk.interest_with(&path, settings).expect("interest");
        assert!(intent.wait_interest(SOON));
        for number in 0..20 {
            let _ = intent.try_send(number);
            steady.send_timeout(round * 20 + number, SOON).expect("goes on");
            assert_eq!(*want.recv_timeout(SOON).expect("arrives"), round * 20 + number);
        }
        if round % 2 == 0 {
            drop(intent);
            let _ = interest.try_recv();
        } else {
            drop(interest);
            let _ = intent.try_send(0);
        }
    }
    let down = watch.all().into_iter().find(|event| matches!(event, Event::LinkDown { .. }));
    assert_eq!(down, None);
}
