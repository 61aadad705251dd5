//! Waiting takes as long as the caller said, and not longer.

use crate::support::{Kind, MOMENT, SOON, pair, until};
use bowline::{Intent, Interest, InterestSettings};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

crate::each_kind!(waiting_for_the_other_side_ends_in_time_or_when_it_comes);

/// Room for a machine that does something else just now.
const SLACK: Duration = Duration::from_secs(2);

fn took(span: Duration, call: impl FnOnce() -> bool) {
    let begun = Instant::now();
    assert!(!call());
    let waited = begun.elapsed();
    assert!(waited >= span && waited < span + SLACK, "it waited {waited:?} of {span:?}");
}

fn waiting_for_the_other_side_ends_in_time_or_when_it_comes(kind: Kind) {
    let pair = pair(kind);
    let intent: Intent<u32> = pair.robot.intent("robot.count").expect("intent");
    took(MOMENT, || intent.wait_interest(MOMENT));
    took(Duration::ZERO, || intent.wait_interest(Duration::ZERO));
    let early: Interest<u32> = pair.desk.interest("robot.early").expect("interest");
    took(MOMENT, || early.wait_intent(MOMENT));
    took(MOMENT, || early.recv_timeout(MOMENT).is_ok());
    took(Duration::ZERO, || early.recv_timeout(Duration::ZERO).is_ok());
    took(Duration::ZERO, || early.try_recv().is_ok());
    let error = early.recv_timeout(MOMENT).expect_err("nothing came");
    assert!(error.is_timeout() && error.is_transient());
    assert!(error.to_string().contains("robot.early") && error.to_string().contains("50ms"), "{error}");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(move || (intent.wait_interest(SOON), intent));
        let late: Interest<u32> = pair.desk.interest("robot.count").expect("interest");
        let (came, intent) = waiting.join().expect("no panic");
        assert!(came);
        let supply: Intent<u32> = pair.robot.intent("robot.early").expect("intent");
        assert!(early.wait_intent(Duration::MAX), "for ever is a time too");
        assert!(supply.wait_interest(Duration::MAX));
        let receiving = scope.spawn(move || early.recv_timeout(Duration::MAX).map(|sample| *sample));
        supply.send_timeout(5, Duration::MAX).expect("room");
        assert_eq!(receiving.join().expect("no panic").expect("arrives"), 5);
        drop(late);
        until("it is gone", || intent.interested() == 0);
    });
}

#[test]
fn closing_ends_every_wait_after_what_was_received_is_read() {
    let pair = pair(Kind::Tcp);
    let intent: Intent<u32> = pair.robot.intent("robot.count").expect("intent");
    let interest: Interest<u32> =
        pair.desk.interest_with("robot.count", InterestSettings::new().lossless(2)).expect("interest");
    let alone: Intent<u32> = pair.robot.intent("robot.alone").expect("intent");
    let unsupplied: Interest<u32> = pair.robot.interest("robot.nobody").expect("interest");
    assert!(intent.wait_interest(SOON));
    intent.send(0).expect("room");
    intent.send(1).expect("room");
    std::thread::scope(|scope| {
        let sending = scope.spawn(move || {
            let error = intent.send_timeout(2, SOON).expect_err("there is no room");
            (error, intent)
        });
        let waiting = scope.spawn(move || alone.wait_interest(SOON));
        let receiving = scope.spawn(move || {
            let error = unsupplied.recv().expect_err("nobody sends");
            (error.is_closed(), unsupplied.wait_intent(SOON))
        });
        until("both arrived", || interest.counts().received == 2);
        let begun = Instant::now();
        assert!(pair.robot.close(SOON));
        let (error, intent) = sending.join().expect("no panic");
        assert!(error.is_closed() || error.is_no_credit(), "{error}");
        assert!(!waiting.join().expect("no panic"));
        assert_eq!(receiving.join().expect("no panic"), (true, false));
        assert!(begun.elapsed() < SLACK, "the waits ended after {:?}", begun.elapsed());
        assert!(intent.send(3).is_err_and(|error| error.is_closed() && error.into_inner() == 3));
        assert!(!intent.wait_interest(SOON));
    });
    assert!(pair.robot.intent::<u32>("robot.more").is_err_and(|error| error.is_closed()));
    assert!(pair.desk.close(SOON));
    assert_eq!(interest.iter().map(|sample| *sample).collect::<Vec<_>>(), [0, 1], "what came can be read");
    assert!(interest.recv().is_err_and(|error| error.is_closed()));
    assert!(interest.try_recv().is_err_and(|error| error.is_closed()));
}

/// The supplier's dispatcher always has something to do, so what it may do later comes late.
#[test]
fn who_waited_for_an_intent_gets_what_is_sent_from_then_on() {
    // Not over UDP, where a sample may overtake the credit that was sent before it.
    for kind in [Kind::Tcp, Kind::Memory, Kind::Unix, Kind::Local] {
        let pair = pair(kind);
        let intent: Intent<u32> = pair.robot.intent("robot.count").expect("intent");
        let ask: Intent<u32> = pair.desk.intent("desk.ask").expect("intent");
        let asked: Interest<u32> =
            pair.robot.interest_with("desk.ask", InterestSettings::new().lossless(4)).expect("interest");
        assert!(ask.wait_interest(SOON));
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        let _ = pair.robot.links();
                    }
                });
            }
            let _ended = Ended(&done);
            for round in 0..200 {
                let count: Interest<u32> = pair.desk.interest("robot.count").expect("interest");
                assert!(count.wait_intent(SOON));
                ask.send(round).expect("room");
                assert_eq!(asked.recv_timeout(SOON).map(|sample| *sample).ok(), Some(round));
                let outcome = intent.send(round).expect("room");
                let got = count.recv_timeout(SOON).map(|sample| *sample);
                assert_eq!(got.ok(), Some(round), "over {kind:?}, sent to {outcome:?}");
            }
        });
    }
}

/// Says so when it is dropped, by a panic too.
struct Ended<'a>(&'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
