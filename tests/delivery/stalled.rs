//! Lossless interests that take nothing: they hold an intent up for so long, and are cut off then.

use crate::support::{Kind, Pair, SOON, Watch, dial, pair, until};
use bowline::{Bytes, Event, Fate, Intent, IntentSettings, Interest, InterestSettings, Side};
use std::thread;
use std::time::{Duration, Instant};

crate::each_kind!(who_takes_nothing_is_cut_off_and_comes_back_by_taking, who_takes_slowly_is_never_cut_off,);

/// The shortest there is.
const LIMIT: Duration = Duration::from_secs(2);

fn step(pair: &Pair) -> Intent<u32> {
    pair.robot.intent_with("robot.step", IntentSettings::new().stall_limit(LIMIT)).expect("intent")
}

fn lossless(depth: u32) -> InterestSettings {
    InterestSettings::new().lossless(depth)
}

#[test]
fn over_a_unix_socket() {
    who_takes_nothing_is_cut_off_and_comes_back_by_taking(Kind::Unix);
}

fn who_takes_nothing_is_cut_off_and_comes_back_by_taking(kind: Kind) {
    let pair = pair(kind);
    let intent = step(&pair);
    let stuck: Interest<u32> = pair.desk.interest_with("robot.step", lossless(4)).expect("interest");
    let quick: Interest<u32> = pair.desk.interest_with("robot.step", lossless(4)).expect("interest");
    assert!(intent.wait_interests(2, SOON));
    let (mut robot, mut desk) = (Watch::new(&pair.robot), Watch::new(&pair.desk));
    for number in 0..4 {
        intent.send(number).expect("room for four");
        assert_eq!(*quick.recv_timeout(SOON).expect("arrives"), number);
    }
    // The one holds up the other, and the send says who.
    let error = intent.try_send(4).expect_err("no room");
    let (peer, fate) = error.no_room().expect("it is for want of room");
    assert_eq!((peer.is_none(), fate), (kind == Kind::Local, Fate::NoCredit));
    // Once it is known here that the other took all.
    until("one alone is in the way", || {
        intent.try_send(4).expect_err("no room");
        let mut fates: Vec<Fate> = intent.outcomes().into_iter().map(|(_, fate)| fate).collect();
        fates.sort();
        fates == [Fate::NotSent, Fate::NoCredit]
    });
    // A send that has the time waits for as long as the interest may stall, and then goes past it.
    let begun = Instant::now();
    let outcome = intent.send_timeout(4, SOON).expect("goes past it");
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    assert_eq!((outcome.taken(), outcome.worst()), (1, Fate::PassedOver));
    for number in 5..1000 {
        assert_eq!(*quick.recv_timeout(SOON).expect("arrives"), number - 1);
        assert_eq!(intent.send_timeout(number, SOON).expect("nobody is in the way").taken(), 1);
    }
    let cut = |event: &Event| match event {
        Event::InterestCutOff { route, peer, supplier, untaken } => {
            Some((route.to_string(), peer.is_none(), *supplier, *untaken))
        }
        _ => None,
    };
    let route = intent.route().to_string();
    let is_local = kind == Kind::Local;
    assert_eq!(robot.find(cut), (route.clone(), is_local, Side::Here, 4));
    if !is_local {
        assert_eq!(desk.find(cut), (route.clone(), false, Side::There, 4));
    }
    // It takes again, and is back behind what it missed. Nothing else happened meanwhile.
    assert!(robot.all().iter().all(|event| !matches!(event, Event::InterestReturned { .. })));
    for number in 0..4 {
        assert_eq!(*stuck.recv_timeout(SOON).expect("still there"), number);
    }
    // One more sample goes past it in this process, where its return is noticed by the next.
    let mut next = 1000;
    until("it is back", || {
        while quick.try_recv().is_ok() {}
        let sent = intent.send_timeout(next, SOON).expect("goes on");
        next += 1;
        sent.taken() == 2
    });
    let back = |event: &Event| match event {
        Event::InterestReturned { supplier, missed, .. } => Some((*supplier, *missed)),
        _ => None,
    };
    let (side, missed) = robot.find(back);
    assert_eq!(side, Side::Here);
    assert!((996..=u64::from(next) - 5).contains(&missed), "{missed} of {next}");
    if !is_local {
        assert_eq!(desk.find(back), (Side::There, missed));
    }
    let sample = stuck.recv_timeout(SOON).expect("arrives");
    assert_eq!((*sample, sample.sequence()), (next - 1, u64::from(next) - 1), "by its own number");
    until("what it missed is counted", || {
        let counts = stuck.counts();
        counts.lost_here + counts.lost_there == u64::from(next) - 5
    });
    assert_eq!(quick.counts().lost_here + quick.counts().lost_there, 0);
}

/// One sample in half a second, of a window that is renewed by the thousand.
fn who_takes_slowly_is_never_cut_off(kind: Kind) {
    let pair = pair(kind);
    let intent = step(&pair);
    let slow: Interest<u32> = pair.desk.interest_with("robot.step", lossless(2000)).expect("interest");
    assert!(intent.wait_interest(SOON));
    let mut sent = 0;
    while intent.try_send(sent).is_ok() {
        sent += 1;
    }
    let mut watch = Watch::new(&pair.robot);
    let (_never, pause) = std::sync::mpsc::channel::<()>();
    let begun = Instant::now();
    let mut next = 0;
    while begun.elapsed() < 2 * LIMIT {
        assert_eq!(*slow.recv_timeout(SOON).expect("arrives"), next);
        next += 1;
        let _ = pause.recv_timeout(Duration::from_millis(250));
        if let Ok(outcome) = intent.try_send(sent) {
            assert_eq!(outcome.taken(), 1, "it is not passed over");
            sent += 1;
        }
    }
    let told = watch.all();
    assert!(told.iter().all(|event| !matches!(event, Event::InterestCutOff { .. })), "{told:?}");
}

/// A peer is in the way of others only for as long.
#[test]
fn a_stuck_peer_holds_up_others_no_longer_than_the_limit() {
    let pair = pair(Kind::Tcp);
    let other = dial("other", &pair.robot);
    let intent = step(&pair);
    let stuck: Interest<u32> = pair.desk.interest_with("robot.step", lossless(1)).expect("interest");
    let quick: Interest<u32> = other.interest_with("robot.step", lossless(64)).expect("interest");
    let newest: Interest<u32> =
        other.interest_with("robot.step", InterestSettings::new().latest()).expect("interest");
    assert!(intent.wait_interests(3, SOON));
    assert_eq!(intent.send(0).expect("room").taken(), 3);
    let outcome = intent.send_timeout(1, SOON).expect("goes past it");
    assert_eq!((outcome.taken(), outcome.worst()), (2, Fate::PassedOver));
    assert_eq!(*quick.recv_timeout(SOON).expect("arrives"), 0);
    assert_eq!(*quick.recv_timeout(SOON).expect("arrives"), 1);
    until("the newest is there", || newest.latest().newest().is_some_and(|sample| *sample == 1));
    // Withdrawing the stuck one ends it for good; a new one begins anew.
    drop(stuck);
    until("two are left", || intent.interested() == 2);
    let outcome = intent.send_timeout(2, SOON).expect("goes on");
    assert_eq!(outcome.taken(), 2, "{outcome:?}");
}

#[test]
fn no_more_bytes_are_on_their_way_than_the_intent_allows() {
    const BOUND: usize = 1 << 20;
    const SIZE: usize = 10_000;
    for kind in [Kind::Tcp, Kind::Udp, Kind::Memory, Kind::Unix] {
        let pair = pair(kind);
        let settings = IntentSettings::new().unacknowledged_bytes(BOUND);
        let intent: Intent<Bytes> = pair.robot.intent_with("robot.image", settings).expect("intent");
        let interest: Interest<Bytes> =
            pair.desk.interest_with("robot.image", lossless(1000)).expect("interest");
        assert!(intent.wait_interest(SOON));
        let image = |number: u32| {
            let mut bytes = vec![0; SIZE];
            bytes[..4].copy_from_slice(&number.to_le_bytes());
            Bytes::from(bytes)
        };
        let mut sent = 0;
        let fate = loop {
            match intent.send_timeout(image(sent), Duration::from_millis(200)) {
                Ok(_) => sent += 1,
                Err(error) => {
                    let text = error.to_string();
                    assert!(text.contains("unacknowledged_bytes") && text.contains("1048576"), "{text}");
                    break error.no_room().map(|(_, fate)| fate);
                }
            }
        };
        assert_eq!((fate, sent as usize), (Some(Fate::TooManyBytes), BOUND / SIZE), "{kind:?}");
        // It flows at the pace of the reader, far below the 500 after which credit would be renewed.
        thread::scope(|scope| {
            scope.spawn(move || {
                for number in sent..400 {
                    intent.send_timeout(image(number), SOON).expect("goes on");
                }
            });
            for number in 0..400_u32 {
                let sample = interest.recv_timeout(SOON).expect("arrives");
                assert_eq!(sample[..4], number.to_le_bytes());
            }
        });
    }
}

#[test]
fn settings_out_of_range_are_refused_by_name() {
    let pair = pair(Kind::Local);
    for (settings, name) in [
        (IntentSettings::new().stall_limit(Duration::from_millis(1999)), "stall_limit"),
        (IntentSettings::new().unacknowledged_bytes((1 << 20) - 1), "unacknowledged_bytes"),
    ] {
        let error = pair.robot.intent_with::<u32>("robot.step", settings).expect_err("out of range");
        assert!(error.to_string().contains(name), "{error}");
    }
}

/// What never left is told to who waits for it, where there is somebody left to tell it.
#[test]
fn an_interest_that_is_cut_off_hears_what_it_missed_when_the_intent_goes() {
    let pair = pair(Kind::Tcp);
    let intent = step(&pair);
    let stuck: Interest<u32> = pair.desk.interest_with("robot.step", lossless(1)).expect("interest");
    assert!(intent.wait_interest(SOON));
    intent.send(0).expect("room");
    for number in 1..=10 {
        assert_eq!(intent.send_timeout(number, SOON).expect("goes past it").taken(), 0);
    }
    drop(intent);
    let mut desk = Watch::new(&pair.desk);
    desk.wait(|event| matches!(event, Event::InterestReturned { missed: 10, supplier: Side::There, .. }));
    desk.wait(|event| matches!(event, Event::RouteUnlinked { .. }));
    assert_eq!(stuck.counts().lost_there, 10);
    assert_eq!(*stuck.recv_timeout(SOON).expect("what came can be read"), 0);
}
