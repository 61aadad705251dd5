//! `queue(n)`: the newest n, in order; what went is counted, and told to both sides.

use crate::support::tap::Tap;
use crate::support::{Kind, SOON, Watch, pair, pair_with, until, url};
use bowline::{Endpoint, Event, Fate, Intent, Interest, InterestSettings, LostAt};

crate::each_kind!(a_full_queue_keeps_the_newest_in_order, a_queue_may_be_as_deep_as_one);
crate::each_link!(what_a_reader_was_too_slow_for_is_told_to_both_sides);

fn lost(at: LostAt) -> impl Fn(&Event) -> Option<u64> {
    move |event| match event {
        Event::SamplesLost { count, lost, route, .. } if *lost == at => {
            assert_eq!(route.to_string(), "u32@robot.count");
            Some(*count)
        }
        _ => None,
    }
}

fn a_full_queue_keeps_the_newest_in_order(kind: Kind) {
    let pair = pair(kind);
    let intent: Intent<u32> = pair.robot.intent("robot.count").expect("intent");
    let interest: Interest<u32> =
        pair.desk.interest_with("robot.count", InterestSettings::new().queue(5)).expect("interest");
    assert!(intent.wait_interest(SOON));
    for number in 0..100 {
        assert_eq!(intent.send(number).expect("never refused").taken(), 1);
    }
    until("all arrived", || interest.counts().received == 100);
    for number in 95..100 {
        let sample = interest.recv_timeout(SOON).expect("is there");
        assert_eq!((*sample, sample.sequence()), (number, u64::from(number)), "the gap shows in the numbers");
    }
    assert!(interest.try_recv().is_err_and(|error| error.is_empty()));
    assert_eq!((interest.counts().lost_here, interest.counts().lost_there), (95, 0));
    assert_eq!(Watch::new(&pair.desk).find(lost(LostAt::Here)), 95);
}

fn a_queue_may_be_as_deep_as_one(kind: Kind) {
    let pair = pair(kind);
    let intent: Intent<u32> = pair.robot.intent("robot.count").expect("intent");
    let interest: Interest<u32> =
        pair.desk.interest_with("robot.count", InterestSettings::new().queue(1)).expect("interest");
    assert!(intent.wait_interest(SOON));
    for number in 0..50 {
        intent.send(number).expect("never refused");
    }
    until("all arrived", || interest.counts().received == 50);
    assert_eq!(*interest.recv_timeout(SOON).expect("is there"), 49);
    assert!(interest.try_recv().is_err());
}

fn what_a_reader_was_too_slow_for_is_told_to_both_sides(kind: Kind) {
    let pair = pair(kind);
    let intent: Intent<u32> = pair.robot.intent("robot.count").expect("intent");
    let interest: Interest<u32> =
        pair.desk.interest_with("robot.count", InterestSettings::new().queue(5)).expect("interest");
    assert!(intent.wait_interest(SOON));
    for number in 0..100 {
        intent.send(number).expect("never refused");
    }
    assert_eq!(Watch::new(&pair.desk).find(lost(LostAt::Here)), 95);
    let event = Watch::new(&pair.robot).find(|event| match event {
        Event::SamplesLost { peer, count, lost: LostAt::There, .. } => Some((peer.clone(), *count)),
        _ => None,
    });
    let path = event.0.and_then(|peer| peer.path);
    assert_eq!((path.map(|path| path.to_string()).as_deref(), event.1), (Some("desk"), 95));
    assert_eq!(interest.counts().lost_here, 95);
}

/// The other way round: the line is slow, and the samples go before they are sent.
#[test]
fn what_a_slow_line_dropped_is_told_to_both_sides() {
    let tap = Tap::default();
    let robot = Endpoint::builder("robot")
        .transport(tap.clone())
        .listen("tap://slow-line")
        .outbox_bytes(1024)
        .start()
        .expect("starts");
    let desk = Endpoint::builder("desk").transport(tap.clone()).connect(url(&robot)).start().expect("starts");
    let intent: Intent<u32> = robot.intent("robot.count").expect("intent");
    let interest: Interest<u32> =
        desk.interest_with("robot.count", InterestSettings::new().queue(4)).expect("interest");
    assert!(intent.wait_interest(SOON));
    tap.hold();
    let mut replaced = 0;
    for number in 0..10_000 {
        let outcome = intent.send(number).expect("never refused");
        assert_eq!(outcome.taken(), 1);
        replaced += u64::from(outcome.worst() == Fate::Replaced);
    }
    tap.release();
    assert!(replaced > 9000, "{replaced} were replaced");
    assert_eq!(Watch::new(&robot).find(lost(LostAt::Here)), replaced);
    assert_eq!(Watch::new(&desk).find(lost(LostAt::There)), replaced);
    let counts = interest.counts();
    assert_eq!((counts.lost_there, counts.received), (replaced, 10_000 - replaced));
    for number in 9_996..10_000 {
        let sample = interest.recv_timeout(SOON).expect("is there");
        assert_eq!((*sample, sample.sequence()), (number, u64::from(number)), "the newest came through");
    }
}

#[test]
fn a_slow_line_loses_nothing_of_a_lossless_route_and_the_newest_of_none() {
    let tap = Tap::default();
    let robot = Endpoint::builder("robot")
        .transport(tap.clone())
        .listen("tap://busy-line")
        .outbox_bytes(1024)
        .start()
        .expect("starts");
    let desk = Endpoint::builder("desk").transport(tap.clone()).connect(url(&robot)).start().expect("starts");
    let (all, bulk, newest) = ("robot.all", "robot.bulk", "robot.newest");
    let sends: Vec<Intent<u64>> =
        [all, bulk, newest].into_iter().map(|path| robot.intent(path).expect("intent")).collect();
    let wants = |path, settings| -> Interest<u64> { desk.interest_with(path, settings).expect("interest") };
    let all = wants(all, InterestSettings::new().lossless(1000));
    let bulk = wants(bulk, InterestSettings::new().queue(1 << 20));
    let newest = wants(newest, InterestSettings::new().latest());
    assert!(sends.iter().all(|intent| intent.wait_interest(SOON)));
    tap.hold();
    let mut accepted = 0;
    for number in 0..5_000 {
        if sends[0].try_send(accepted).is_ok() {
            accepted += 1;
        }
        sends[1].send(number).expect("never refused");
        sends[2].send(number).expect("never refused");
    }
    assert!((1..1000).contains(&accepted), "the line is full before the window: {accepted}");
    tap.release();
    for number in 0..accepted {
        assert_eq!(*all.recv_timeout(SOON).expect("arrives"), number);
    }
    until("the newest is there", || newest.latest().newest().is_some_and(|sample| *sample == 4_999));
    let last = bulk.iter().map(|sample| *sample).find(|number| *number == 4_999);
    assert_eq!(last, Some(4_999));
}

#[test]
fn latest_that_replaces_is_no_loss_and_no_event() {
    let pair = pair_with(Kind::Tcp, |robot| robot, |desk| desk);
    let intent: Intent<u32> = pair.robot.intent("robot.count").expect("intent");
    let interest: Interest<u32> =
        pair.desk.interest_with("robot.count", InterestSettings::new().latest()).expect("interest");
    let queued: Intent<u32> = pair.robot.intent("robot.queued").expect("intent");
    let queue: Interest<u32> =
        pair.desk.interest_with("robot.queued", InterestSettings::new().queue(1)).expect("interest");
    assert!(intent.wait_interest(SOON) && queued.wait_interest(SOON));
    for number in 0..100 {
        intent.send(number).expect("never refused");
        queued.send(number).expect("never refused");
    }
    until("all arrived", || interest.counts().received == 100 && queue.counts().received == 100);
    assert_eq!(interest.counts().lost_here, 99, "counted all the same");
    let mut watch = Watch::new(&pair.desk);
    watch.wait(|event| matches!(event, Event::SamplesLost { .. }));
    let others = watch.all().into_iter().filter(|event| matches!(event, Event::SamplesLost { .. }));
    assert_eq!(others.count(), 0);
}
