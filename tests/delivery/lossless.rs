//! `lossless(n)`: every sample, and the intent is told when there is no room.

use crate::support::{Kind, MOMENT, SOON, Watch, dial, pair};
use bowline::{Event, Fate, Intent, Interest, InterestSettings};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

crate::each_kind!(
    samples_arrive_however_slow_the_reader_is,
    a_full_mailbox_stops_its_own_intent_and_nothing_else,
    a_send_waits_as_long_as_it_may_and_goes_on_when_there_is_room,
    more_than_half_the_depth_can_be_sent_to_who_has_read_all,
);

/// The reader reads only once the sender was turned away, so it is always the slower one.
fn samples_arrive_however_slow_the_reader_is(kind: Kind) {
    for (depth, count) in [(1, 2_000), (2, 5_000), (16, 30_000), (1024, 100_000)] {
        let pair = pair(kind);
        let intent: Intent<u32> = pair.robot.intent("robot.count").expect("intent");
        let settings = InterestSettings::new().lossless(depth);
        let interest: Interest<u32> = pair.desk.interest_with("robot.count", settings).expect("interest");
        assert!(intent.wait_interest(SOON));
        let (full, is_full) = sync_channel::<()>(1);
        let reader = thread::spawn(move || {
            let mut turned_away = 0;
            let mut next = 0;
            while next < count {
                match is_full.recv_timeout(SOON) {
                    Ok(()) => turned_away += 1,
                    Err(RecvTimeoutError::Disconnected) => {}
                    Err(RecvTimeoutError::Timeout) => panic!("the sender waits for ever after {next}"),
                }
                for _ in 0..depth.min(count - next) {
                    let sample = interest.recv_timeout(SOON).expect("arrives");
                    assert_eq!((*sample, sample.sequence()), (next, u64::from(next)));
                    next += 1;
                }
            }
            assert!(interest.recv_timeout(Duration::ZERO).is_err_and(|error| error.is_timeout()));
            let counts = interest.counts();
            assert_eq!((counts.received, counts.lost_here, counts.lost_there), (u64::from(count), 0, 0));
            turned_away
        });
        for number in 0..count {
            if let Err(error) = intent.try_send(number) {
                assert!(error.is_no_credit() && error.is_transient(), "{error}");
                assert_eq!(error.into_inner(), number, "the message comes back");
                // It may have been told already.
                let _ = full.try_send(());
                let outcome = intent.send_timeout(number, SOON).expect("goes on");
                assert_eq!(outcome.taken(), 1);
            }
        }
        drop(full);
        assert!(reader.join().expect("the reader is content") > 0, "the reader was to be slow");
    }
}

fn a_full_mailbox_stops_its_own_intent_and_nothing_else(kind: Kind) {
    let pair = pair(kind);
    let stuck: Intent<u32> = pair.robot.intent("robot.stuck").expect("intent");
    let unread: Interest<u32> =
        pair.desk.interest_with("robot.stuck", InterestSettings::new().lossless(4)).expect("interest");
    let free: Intent<u32> = pair.robot.intent("robot.free").expect("intent");
    let read: Interest<u32> =
        pair.desk.interest_with("robot.free", InterestSettings::new().lossless(4)).expect("interest");
    let back: Intent<u32> = pair.desk.intent("desk.back").expect("intent");
    let other_way: Interest<u32> = pair.robot.interest("desk.back").expect("interest");
    assert!(stuck.wait_interest(SOON) && free.wait_interest(SOON) && back.wait_interest(SOON));
    for number in 0..4 {
        stuck.send(number).expect("there is room for four");
    }
    for number in 0..500 {
        assert!(stuck.try_send(4).is_err_and(|error| error.is_no_credit()));
        free.send_timeout(number, SOON).expect("this route has room");
        assert_eq!(*read.recv_timeout(SOON).expect("arrives"), number);
        back.send(number).expect("this one too");
        assert_eq!(*other_way.recv_timeout(SOON).expect("arrives"), number);
    }
    for number in 0..4 {
        assert_eq!(*unread.recv_timeout(SOON).expect("all are there"), number);
    }
    assert!(unread.try_recv().is_err_and(|error| error.is_empty()));
}

fn a_send_waits_as_long_as_it_may_and_goes_on_when_there_is_room(kind: Kind) {
    let pair = pair(kind);
    let intent: Intent<u32> = pair.robot.intent("robot.count").expect("intent");
    let interest: Interest<u32> =
        pair.desk.interest_with("robot.count", InterestSettings::new().lossless(2)).expect("interest");
    assert!(intent.wait_interest(SOON));
    intent.send(0).expect("room");
    intent.send(1).expect("room");
    let begun = Instant::now();
    let error = intent.send_timeout(2, MOMENT).expect_err("there is no room");
    let waited = begun.elapsed();
    assert!(waited >= MOMENT && waited < MOMENT + Duration::from_secs(2), "it waited {waited:?}");
    assert!(error.is_no_credit() && error.to_string().contains("robot.count"), "{error}");
    let begun = Instant::now();
    assert!(intent.send(2).is_err(), "by default a send does not wait");
    assert!(begun.elapsed() < Duration::from_secs(2));
    thread::scope(|scope| {
        let sending =
            scope.spawn(move || (intent.send_timeout(2, SOON).map(|outcome| outcome.taken()), intent));
        assert_eq!(*interest.recv_timeout(SOON).expect("arrives"), 0);
        let (sent, _intent) = sending.join().expect("no panic");
        assert_eq!(sent.expect("goes on"), 1);
        assert_eq!(*interest.recv_timeout(SOON).expect("arrives"), 1);
        assert_eq!(*interest.recv_timeout(SOON).expect("arrives"), 2);
    });
}

fn more_than_half_the_depth_can_be_sent_to_who_has_read_all(kind: Kind) {
    for depth in [1, 2, 3, 4, 7, 64] {
        let pair = pair(kind);
        let intent: Intent<u32> = pair.robot.intent("robot.count").expect("intent");
        let interest: Interest<u32> = pair
            .desk
            .interest_with("robot.count", InterestSettings::new().lossless(depth))
            .expect("interest");
        assert!(intent.wait_interest(SOON));
        let least = if kind == Kind::Local { depth } else { depth / 2 + 1 };
        for round in 0..10 {
            // One more each time, so that every state of the credit is met.
            for burst in [1, least] {
                for number in 0..burst {
                    let sent = intent.send_timeout(number, SOON);
                    assert!(sent.is_ok(), "{number} of {burst} in round {round}, depth {depth}: {sent:?}");
                }
                for number in 0..burst {
                    assert_eq!(*interest.recv_timeout(SOON).expect("arrives"), number);
                }
            }
        }
    }
}

#[test]
fn a_full_interest_of_one_peer_keeps_a_sample_from_all() {
    let pair = pair(Kind::Tcp);
    let other = dial("other", &pair.robot);
    let intent: Intent<u32> = pair.robot.intent("robot.count").expect("intent");
    let settings = || InterestSettings::new().lossless(3);
    let slow: Interest<u32> = pair.desk.interest_with("robot.count", settings()).expect("interest");
    let quick: Interest<u32> = other.interest_with("robot.count", settings()).expect("interest");
    let here: Interest<u32> = pair.robot.interest_with("robot.count", settings()).expect("interest");
    crate::support::until("all three are linked", || intent.interested() == 3);
    for number in 0..3 {
        assert_eq!(intent.send(number).expect("room").taken(), 3);
        assert_eq!(*quick.recv_timeout(SOON).expect("arrives"), number);
        assert_eq!(*here.recv_timeout(SOON).expect("arrives"), number);
    }
    for _ in 0..100 {
        assert!(intent.try_send(3).is_err_and(|error| error.is_no_credit()));
    }
    for number in 0..3 {
        assert_eq!(*slow.recv_timeout(SOON).expect("arrives"), number);
    }
    assert_eq!(intent.send_timeout(3, SOON).expect("room again").taken(), 3);
    for interest in [&slow, &quick, &here] {
        let sample = interest.recv_timeout(SOON).expect("arrives");
        assert_eq!((*sample, sample.sequence()), (3, 3), "what was not sent was sent to nobody");
    }
}

#[test]
fn outcomes_say_what_became_of_a_sample_for_each_peer() {
    let pair = pair(Kind::Tcp);
    let intent: Intent<u32> = pair.robot.intent("robot.count").expect("intent");
    assert_eq!(intent.send(0).expect("nobody is no error").taken(), 0);
    assert!(intent.outcomes().is_empty());
    let there: Interest<u32> = pair.desk.interest("robot.count").expect("interest");
    let here: Interest<u32> = pair.robot.interest("robot.count").expect("interest");
    crate::support::until("both are linked", || intent.interested() == 2);
    let outcome = intent.send(1).expect("sends");
    assert_eq!(outcome.taken(), 2);
    assert!(outcome.worst() == Fate::Queued || outcome.worst() == Fate::Written);
    let mut outcomes = intent.outcomes();
    outcomes.sort_by_key(|(peer, _)| peer.is_some());
    assert_eq!(outcomes.len(), 2);
    assert_eq!(outcomes[0], (None, Fate::Delivered));
    let peer = outcomes[1].0.as_ref().and_then(|peer| peer.path.as_ref());
    assert_eq!(peer.map(|path| path.as_str()), Some("desk"));
    assert_eq!(outcomes[1].1, outcome.worst());
    assert_eq!(*there.recv_timeout(SOON).expect("arrives"), 1);
    let mut watch = Watch::new(&pair.robot);
    drop(here);
    watch.wait(|event| matches!(event, Event::RouteUnlinked { peer: None, .. }));
    assert_eq!(intent.send(2).expect("sends").taken(), 1);
    assert_eq!(intent.outcomes().len(), 1);
}

/// A credit for samples read late must not go under an alias that another pair has by then.
#[test]
fn samples_read_after_their_intent_is_gone_do_no_harm() {
    let pair = pair(Kind::Tcp);
    let mut watch = Watch::new(&pair.desk);
    let old: Intent<u32> = pair.robot.intent("robot.old").expect("intent");
    let late: Interest<u32> =
        pair.desk.interest_with("robot.old", InterestSettings::new().lossless(8)).expect("interest");
    assert!(old.wait_interest(SOON));
    for number in 0..8 {
        old.send(number).expect("room");
    }
    drop(old);
    watch.wait(|event| matches!(event, Event::RouteUnlinked { .. }));
    // Aliases are used again, once the peer is known to be past the end of the old one; by the third
    // at the latest.
    for name in ["robot.a", "robot.b", "robot.c"] {
        let new: Intent<u32> = pair.robot.intent(name).expect("intent");
        let fresh: Interest<u32> =
            pair.desk.interest_with(name, InterestSettings::new().lossless(1)).expect("interest");
        assert!(new.wait_interest(SOON));
        for _ in 0..2 {
            let _ = late.try_recv();
        }
        for number in 0..20 {
            new.send_timeout(number, SOON).expect("goes on");
            assert_eq!(*fresh.recv_timeout(SOON).expect("arrives"), number);
        }
    }
    let down = watch.all().into_iter().find(|event| matches!(event, Event::LinkDown { .. }));
    assert_eq!(down, None);
}

/// While a send waits, others may come to want the message in a form it was not in.
#[test]
fn who_is_linked_while_a_send_waits_gets_the_message_and_not_an_older_one() {
    let pair = pair(Kind::Tcp);
    let intent: Intent<String> = pair.robot.intent("robot.word").expect("intent");
    let go: Interest<u8> = pair.robot.interest("desk.go").expect("interest");
    let went: Intent<u8> = pair.desk.intent("desk.go").expect("intent");
    assert!(went.wait_interest(SOON));
    let here: Interest<String> =
        pair.robot.interest_with("robot.word", InterestSettings::new().lossless(1)).expect("interest");
    assert!(here.wait_intent(SOON));
    thread::scope(|scope| {
        let first: Interest<String> = pair.desk.interest("robot.word").expect("interest");
        crate::support::until("both are linked", || intent.interested() == 2);
        intent.send("old".to_owned()).expect("room");
        assert_eq!(*first.recv_timeout(SOON).expect("arrives"), "old");
        drop(first);
        crate::support::until("only one is left", || intent.interested() == 1);
        let sending = scope.spawn(move || intent.send_timeout("new".to_owned(), SOON).map(|_| intent));
        let there: Interest<String> = pair.desk.interest("robot.word").expect("interest");
        assert!(there.wait_intent(SOON));
        // The credit goes ahead of this, so the robot has it too.
        went.send(1).expect("sends");
        go.recv_timeout(SOON).expect("arrives");
        assert_eq!(*here.recv_timeout(SOON).expect("arrives"), "old");
        assert_eq!(*here.recv_timeout(SOON).expect("arrives"), "new");
        let intent = sending.join().expect("no panic").expect("goes on");
        intent.send_timeout("newest".to_owned(), SOON).expect("room");
        let got = there.recv_timeout(SOON).expect("arrives");
        assert!(*got == "new" || *got == "newest", "{got:?}");
    });
}
