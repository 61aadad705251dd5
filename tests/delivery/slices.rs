//! Raw bytes, many at a time: sent from where they are, read where they lie.

use crate::support::{Kind, MOMENT, SOON, pair, pair_with, until};
use bowline::{Bytes, Fate, Intent, Interest, InterestSettings};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

crate::each_kind!(
    slices_arrive_one_by_one_as_they_were,
    what_has_no_room_is_told_and_can_be_sent_later,
    the_reader_may_read_on_and_panic_while_it_is_shown,
);

fn linked(kind: Kind, settings: InterestSettings) -> (crate::support::Pair, Intent<Bytes>, Interest<Bytes>) {
    let pair = pair(kind);
    let intent: Intent<Bytes> = pair.robot.intent("robot.raw").expect("intent");
    let interest: Interest<Bytes> = pair.desk.interest_with("robot.raw", settings).expect("interest");
    assert!(intent.wait_interest(SOON));
    (pair, intent, interest)
}

/// Payloads that tell their number, of sizes that differ.
fn payloads(count: usize) -> Vec<Vec<u8>> {
    let sizes = [2, 3, 16, 64, 123, 124, 125, 126, 300, 1000];
    let of = |number: usize| {
        let mut payload = vec![number as u8; sizes[number % sizes.len()]];
        payload[..2].copy_from_slice(&(number as u16).to_le_bytes());
        payload
    };
    (0..count).map(of).collect()
}

fn slices(payloads: &[Vec<u8>]) -> Vec<&[u8]> {
    payloads.iter().map(Vec::as_slice).collect()
}

/// Reads until there were so many; each with its number.
fn read(interest: &Interest<Bytes>, count: usize) -> Vec<(u64, Vec<u8>)> {
    let mut got = Vec::new();
    while got.len() < count {
        let before = got.len();
        let shown = interest
            .recv_slices(SOON, |slice| {
                assert_eq!(slice.route(), interest.route());
                got.push((slice.sequence(), slice.to_vec()));
            })
            .expect("more come");
        assert_eq!(got.len() - before, shown);
        assert!(shown > 0);
    }
    got
}

fn slices_arrive_one_by_one_as_they_were(kind: Kind) {
    let (_pair, intent, interest) = linked(kind, InterestSettings::new().lossless(100));
    let sent = payloads(1000);
    let got = std::thread::scope(|scope| {
        let reading = scope.spawn(move || {
            let got = read(&interest, 1000);
            (got, interest)
        });
        for part in sent.chunks(171) {
            let outcome = intent.send_slices(&slices(part), SOON).expect("goes on");
            assert_eq!(outcome.taken(), 1);
            assert!(outcome.worst() <= Fate::Queued);
        }
        let (got, interest) = reading.join().expect("all arrived");
        assert_eq!(interest.counts().received, 1000);
        got
    });
    for (number, (sequence, payload)) in got.iter().enumerate() {
        assert_eq!((*sequence, payload), (number as u64, &sent[number]));
    }
    assert_eq!(intent.send_slices(&[], SOON).expect("nothing is nothing").taken(), 0);
}

fn what_has_no_room_is_told_and_can_be_sent_later(kind: Kind) {
    let (_pair, intent, interest) = linked(kind, InterestSettings::new().lossless(10));
    let sent = payloads(25);
    let all = slices(&sent);
    let error = intent.send_slices(&all, Duration::ZERO).expect_err("ten have room");
    assert!(error.is_no_credit() && error.is_transient());
    assert_eq!(error.into_inner(), 10);
    let error = intent.send_slices(&all[10..], MOMENT).expect_err("still");
    assert_eq!((error.is_no_credit(), error.into_inner()), (true, 0));
    std::thread::scope(|scope| {
        let reading = scope.spawn(move || read(&interest, 25));
        intent.send_slices(&all[10..], SOON).expect("as it is read");
        let got = reading.join().expect("all arrived");
        assert!(got.iter().map(|(_, payload)| payload).eq(&sent));
    });
}

fn the_reader_may_read_on_and_panic_while_it_is_shown(kind: Kind) {
    let (_pair, intent, interest) = linked(kind, InterestSettings::new().lossless(100));
    let sent = payloads(6);
    intent.send_slices(&slices(&sent), SOON).expect("room for all");
    until("all are there", || interest.counts().received == 6);
    let mut got = Vec::new();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        interest.recv_slices(SOON, |slice| {
            got.push(slice.sequence());
            assert!(interest.try_recv().is_err(), "what is being shown is not read twice");
            assert!(slice.sequence() < 2, "on purpose");
        })
    }));
    assert!(panicked.is_err());
    // The one it panicked at counts as read; none of the others is lost.
    while got.len() < 6 {
        got.push(interest.recv_timeout(SOON).expect("waits").sequence());
    }
    got.sort_unstable();
    assert_eq!(got, [0, 1, 2, 3, 4, 5]);
    assert!(interest.recv_slices(MOMENT, |_| ()).expect_err("no more").is_timeout());
    assert!(interest.recv_slices(Duration::ZERO, |_| ()).expect_err("no more").is_timeout());
}

#[test]
fn a_queue_and_the_latest_are_shown_what_they_keep() {
    for kind in [Kind::Tcp, Kind::Local] {
        let (_pair, intent, interest) = linked(kind, InterestSettings::new().queue(3));
        let sent = payloads(10);
        intent.send_slices(&slices(&sent), SOON).expect("a queue always has room");
        until("all came", || {
            let counts = interest.counts();
            counts.received + counts.lost_there == 10
        });
        let mut got = Vec::new();
        interest.recv_slices(SOON, |slice| got.push(slice.sequence())).expect("three wait");
        assert_eq!(got, [7, 8, 9], "{kind:?}");

        let (_pair, intent, interest) = linked(kind, InterestSettings::new().latest());
        intent.send_slices(&slices(&sent), SOON).expect("goes on");
        let mut last = None;
        while last.as_deref() != sent.last().map(Vec::as_slice) {
            interest.recv_slices(SOON, |slice| last = Some(slice.to_vec())).expect("the newest comes");
        }
    }
}

#[test]
fn many_slices_go_to_many_interests_and_the_slowest_says_how_many() {
    let pair = pair(Kind::Tcp);
    let intent: Intent<Bytes> = pair.robot.intent("robot.raw").expect("intent");
    let want = |depth| -> Interest<Bytes> {
        let settings = InterestSettings::new().lossless(depth);
        pair.desk.interest_with("robot.raw", settings).expect("interest")
    };
    let (wide, narrow) = (want(100), want(4));
    assert!(intent.wait_interests(2, SOON));
    let sent = payloads(8);
    let error = intent.send_slices(&slices(&sent), Duration::ZERO).expect_err("four have room");
    assert_eq!(error.into_inner(), 4);
    assert_eq!((read(&wide, 4).len(), read(&narrow, 4).len()), (4, 4));
    assert!(wide.recv_slices(MOMENT, |_| ()).is_err(), "all or nothing");
}

#[test]
fn one_that_is_too_large_or_a_closed_endpoint_sends_none() {
    let pair = pair_with(Kind::Tcp, |robot| robot.largest_message(2000), |desk| desk);
    let intent: Intent<Bytes> = pair.robot.intent("robot.raw").expect("intent");
    let interest: Interest<Bytes> = pair.desk.interest("robot.raw").expect("interest");
    assert!(intent.wait_interest(SOON));
    let error = intent.send_slices(&[&[1], &[2; 2001]], SOON).expect_err("too large");
    assert!(error.is_too_large() && error.to_string().contains("2001"), "{error}");
    assert_eq!(error.into_inner(), 0);
    assert!(interest.recv_slices(MOMENT, |_| ()).is_err());
    pair.robot.close(SOON);
    assert!(intent.send_slices(&[&[1], &[2]], SOON).expect_err("closed").is_closed());
    pair.desk.close(SOON);
    assert!(interest.recv_slices(SOON, |_| ()).expect_err("closed").is_closed());
}
