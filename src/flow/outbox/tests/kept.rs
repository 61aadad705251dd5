//! Samples that must not be lost, and those that are retained.

use super::*;

#[test]
fn a_lossless_sample_is_never_parked_and_finds_no_room_or_no_credit() {
    let mut bench = Bench::new(CAPACITY);
    bench.open(0, Delivery::Lossless(3));
    for i in 0..3 {
        assert!(matches!(bench.put(0, &[i]), Put::Queued | Put::Inline));
    }
    assert!(matches!(bench.admits(0, 1), Put::NoCredit(_)));
    assert!(matches!(bench.put(0, &[3]), Put::NoCredit(_)), "out of credit");
    assert_eq!(bench.outbox.credit(Credit { alias: 0, limit: 5, taken: 2, lost: 0 }), Some(MORE));
    assert_eq!(bench.admits(0, CAPACITY), Put::NoRoom, "larger than what is left");
    assert_eq!(bench.put(0, &[3; CAPACITY]), Put::NoRoom);
    assert_eq!(bench.admits(0, 1), Put::Queued);
    assert_eq!(bench.put(0, &[3]), Put::Queued);
    assert!(bench.outbox.lane(0).is_some_and(|lane| lane.parked.is_empty() && lane.lost_here == 0));
    bench.write_all();
    assert_eq!(bench.sequences(0), [0, 1, 2, 3]);
    assert!(!bench.got.iter().any(|got| matches!(got, Got::Gap { .. })));
}

#[test]
fn a_lossless_sample_that_was_admitted_is_taken_though_others_filled_the_line_since() {
    let mut bench = Bench::new(CAPACITY);
    bench.open(0, Delivery::Lossless(3));
    bench.put(0, &[0]);
    assert_eq!(bench.admits(0, 100), Put::Queued);
    bench.open(1, Delivery::Latest);
    bench.put(1, &[0; CAPACITY - 100]);
    let sample = Outgoing { payload: &[1; 100], shared: None };
    assert_eq!(bench.outbox.put(bench.lane(0), sample, true, || Timestamp::ZERO), Put::Queued);
}

#[test]
fn a_retained_sample_is_only_ever_the_first() {
    let retained = |bench: &mut Bench, alias| {
        let sample = Outgoing { payload: &[42], shared: None };
        let lane = bench.lane(alias);
        bench.outbox.put_first(lane, sample, Timestamp::from_micros(5));
    };
    let mut bench = Bench::new(CAPACITY);
    bench.open(0, Delivery::Lossless(1));
    retained(&mut bench, 0);
    assert!(matches!(bench.put(0, &[1]), Put::NoCredit(_)), "it took the only credit");
    bench.open(1, Delivery::Latest);
    bench.put(1, &[1]);
    retained(&mut bench, 1);
    bench.fill();
    bench.open(2, Delivery::Latest);
    bench.put(2, &[1]);
    retained(&mut bench, 2);
    bench.open_waiting(3, Delivery::Latest);
    retained(&mut bench, 3);
    bench.open(4, Delivery::Latest);
    bench.outbox.end(4);
    retained(&mut bench, 4);
    retained(&mut bench, 77);
    bench.write_all();
    assert_eq!(bench.samples(0), [(0, vec![42])]);
    assert_eq!(bench.samples(1), [(0, vec![1])]);
    assert_eq!(bench.samples(2), [(0, vec![1])], "a parked one was sent too");
    assert!(bench.samples(3).is_empty() && bench.samples(4).is_empty());
}

#[test]
fn who_held_on_to_a_lane_never_sends_by_the_next_one_of_its_alias() {
    for delivery in [Delivery::Latest, Delivery::Queue(4), Delivery::Lossless(4)] {
        let mut bench = Bench::new(CAPACITY);
        bench.open(0, delivery);
        let held = bench.lane(0);
        bench.outbox.end(0);
        // The other side answered END, and the alias was given to another pair.
        bench.open(0, delivery);
        let sample = Outgoing { payload: &[1], shared: None };
        assert!(!bench.outbox.is_open(held) && bench.outbox.is_open(bench.lane(0)));
        for forced in [false, true] {
            assert_eq!(bench.outbox.admits(held, 1, || Timestamp::ZERO), Put::Closed);
            assert_eq!(bench.outbox.put(held, sample, forced, || Timestamp::ZERO), Put::Closed);
        }
        bench.outbox.put_first(held, sample, Timestamp::ZERO);
        bench.put(0, &[2]);
        bench.write_all();
        assert_eq!(bench.samples(0), [(0, vec![2])]);
    }
}
