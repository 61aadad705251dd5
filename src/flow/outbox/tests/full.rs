//! Lossless lanes without room: turned away, cut off, and back.

use super::*;
use crate::links::Links;

const LIMIT: Duration = Duration::from_secs(4);

/// How long after a look the next one is due.
const AGAIN: Duration = Duration::from_millis(500);

fn bench(bytes: u64) -> Bench {
    let mut bench = Bench::new(CAPACITY);
    bench.bounds = Bounds { bytes, stall: LIMIT };
    bench
}

fn credit(bench: &mut Bench, limit: u64, taken: u64) -> Option<Credited> {
    bench.outbox.credit(Credit { alias: 0, limit, taken, lost: 0 })
}

#[test]
fn no_more_bytes_wait_for_an_interest_than_were_allowed_save_one_sample() {
    let mut bench = bench(1000);
    bench.open(0, Delivery::Lossless(100));
    assert_eq!(bench.put(0, &[0; 2000]), Put::Inline, "one is always taken");
    bench.write_all();
    assert_eq!(bench.admits(0, 1), Put::TooManyBytes(AGAIN));
    assert_eq!(bench.put(0, &[0; 1]), Put::TooManyBytes(AGAIN));
    assert_eq!(credit(&mut bench, 101, 1), Some(MORE));
    for _ in 0..10 {
        assert!(matches!(bench.put(0, &[0; 100]), Put::Queued | Put::Inline));
        bench.write_all();
    }
    assert!(matches!(bench.put(0, &[0]), Put::TooManyBytes(_)));
    assert_eq!(credit(&mut bench, 103, 3), Some(MORE));
    assert_eq!(bench.admits(0, 200), Put::Queued);
    assert!(matches!(bench.admits(0, 201), Put::TooManyBytes(_)));
}

#[test]
fn who_is_cut_off_is_told_and_passed_over_and_comes_back_behind_what_it_missed() {
    let mut bench = bench(u64::MAX);
    bench.open(0, Delivery::Lossless(2));
    for number in 0..2 {
        bench.put(0, &[number]);
    }
    assert_eq!(bench.put(0, &[2]), Put::NoCredit(AGAIN));
    bench.look_for(LIMIT - AGAIN);
    bench.now = bench.now + AGAIN / 5;
    assert_eq!(bench.admits(0, 1), Put::NoCredit(AGAIN / 5 * 4));
    bench.now = bench.now + AGAIN / 5 * 4;
    assert_eq!(bench.admits(0, 1), Put::PassedOver(Some(2)));
    for _ in 0..3 {
        assert_eq!(bench.put(0, &[2]), Put::PassedOver(None));
    }
    bench.write_all();
    assert_eq!(bench.got.last(), Some(&Got::Control(Control::Stalled { alias: 0, untaken: 2 })));
    assert_eq!(bench.outbox.lane(0).map(|lane| lane.lost_here), Some(3));
    assert_eq!(credit(&mut bench, 2, 0), Some(MORE), "nothing was taken");
    assert_eq!(bench.put(0, &[2]), Put::PassedOver(None));
    // It takes one: it is told what it missed, and grants more behind that.
    assert_eq!(credit(&mut bench, 3, 1), Some(Credited { first: false, missed: Some(4) }));
    bench.write_all();
    assert_eq!(bench.got.last(), Some(&Got::Gap { alias: 0, count: 4 }));
    assert_eq!(bench.put(0, &[6]), Put::NoCredit(AGAIN), "it takes part again");
    assert_eq!(credit(&mut bench, 5 + 2, 5), Some(MORE));
    bench.put(0, &[6]);
    bench.write_all();
    assert_eq!(bench.sequences(0), [0, 1, 6]);
}

#[test]
fn one_that_is_back_has_no_credit_before_it_knows_what_it_missed() {
    let mut bench = bench(u64::MAX);
    bench.open_ranked(0, Delivery::Lossless(3), Priority::Bulk);
    bench.put(0, &[0]);
    bench.write_all();
    // The line takes none of the next one.
    bench.put(0, &[1]);
    bench.put(0, &[2]);
    assert_eq!(bench.admits(0, 1), Put::NoCredit(AGAIN));
    bench.look_for(LIMIT);
    assert_eq!(bench.put(0, &[3]), Put::PassedOver(Some(3)));
    assert_eq!(bench.put(0, &[3]), Put::PassedOver(None));
    assert_eq!(credit(&mut bench, 4, 1), Some(Credited { first: false, missed: Some(2) }));
    assert!(
        bench.outbox.lane(0).is_some_and(|lane| lane.waiting > 0 && lane.gap == 2),
        "it was not told yet"
    );
    assert_eq!(bench.put(0, &[5]), Put::NoCredit(AGAIN), "5 is not granted");
    bench.write_all();
    assert_eq!(bench.got.last(), Some(&Got::Gap { alias: 0, count: 2 }));
    assert_eq!(credit(&mut bench, 8, 5), Some(MORE));
    bench.put(0, &[5]);
    bench.write_all();
    assert_eq!(bench.sequences(0), [0, 1, 2, 5]);
}

#[test]
fn nor_has_one_that_waits_for_another_link() {
    let mut bench = bench(u64::MAX);
    bench.outbox.set_resumes(true);
    bench.outbox.set_way("tcp://here");
    bench.open(0, Delivery::Lossless(3));
    bench.outbox.set_links(0, Links::only("tcp"));
    for number in 0..3 {
        bench.put(0, &[number]);
        bench.write_all();
    }
    assert_eq!(bench.admits(0, 1), Put::NoCredit(AGAIN));
    bench.look_for(LIMIT);
    assert_eq!(bench.put(0, &[3]), Put::PassedOver(Some(3)));
    assert_eq!(bench.put(0, &[3]), Put::PassedOver(None));
    bench.write_all();
    bench.outbox.suspend(Vec::new(), Batch::default());
    bench.outbox.set_way("udp://here");
    bench.outbox.resume(0, None).expect("none was counted");
    assert_eq!(credit(&mut bench, 4, 1), Some(Credited { first: false, missed: Some(2) }));
    assert_ne!(bench.put(0, &[5]), Put::Held, "5 is not granted");
    assert_eq!(credit(&mut bench, 6, 3), Some(MORE));
    assert_eq!(bench.put(0, &[5]), Put::Held);
}

#[test]
fn one_that_came_back_since_it_was_looked_at_is_told_what_goes_past_it() {
    let mut bench = bench(u64::MAX);
    bench.open(0, Delivery::Lossless(1));
    bench.put(0, &[0]);
    bench.admits(0, 1);
    bench.look_for(LIMIT);
    assert_eq!(bench.admits(0, 1), Put::PassedOver(Some(1)));
    assert_eq!(credit(&mut bench, 2, 1), Some(Credited { first: false, missed: Some(0) }));
    // It granted one, which the sample may take; the next finds no room.
    let sample = Outgoing { payload: &[1], shared: None };
    let (lane, now) = (bench.lane(0), bench.now);
    assert!(matches!(bench.outbox.put(lane, sample, true, || now), Put::Queued | Put::Inline));
    assert_eq!(bench.outbox.put(lane, sample, true, || now), Put::PassedOver(None));
    bench.write_all();
    assert_eq!(bench.got.last(), Some(&Got::Gap { alias: 0, count: 1 }));
    assert_eq!(bench.outbox.lane(0).map(|lane| (lane.sequence, lane.gap)), Some((3, 0)));
}

#[test]
fn what_went_past_an_interest_is_told_before_the_end() {
    for closes in [false, true] {
        let mut bench = bench(u64::MAX);
        bench.open(0, Delivery::Lossless(1));
        bench.put(0, &[0]);
        bench.put(0, &[1]);
        bench.look_for(LIMIT);
        assert_eq!(bench.put(0, &[1]), Put::PassedOver(Some(1)));
        if closes {
            bench.outbox.close(Some(&ping(1)), true);
        } else {
            bench.outbox.end(0);
        }
        bench.write_all();
        let end = if closes { ping(1) } else { Control::End { alias: 0 } };
        assert_eq!(bench.got[bench.got.len() - 2..], [Got::Gap { alias: 0, count: 1 }, Got::Control(end)]);
    }
}

#[test]
fn acknowledging_what_was_never_sent_is_refused() {
    let mut bench = bench(u64::MAX);
    bench.open(0, Delivery::Lossless(2));
    bench.put(0, &[0]);
    for (limit, taken) in [(4, 2), (1, 1), (4, 1), (u64::MAX, u64::MAX)] {
        assert_eq!(credit(&mut bench, limit, taken), None, "limit {limit}, taken {taken}");
    }
    // What went past it while it was cut off was not sent either.
    bench.put(0, &[1]);
    bench.put(0, &[2]);
    bench.look_for(LIMIT);
    assert_eq!(bench.put(0, &[2]), Put::PassedOver(Some(2)));
    assert_eq!(credit(&mut bench, 5, 3), None);
    assert_eq!(credit(&mut bench, 4, 2), Some(Credited { first: false, missed: Some(1) }));
}
