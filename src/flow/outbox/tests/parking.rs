//! Lanes on a line that is full, and the ends of lanes.

use super::*;

#[test]
fn samples_wait_for_the_first_credit() {
    let mut bench = Bench::new(CAPACITY);
    assert_eq!(bench.put(0, &[1]), Put::Closed, "no such lane");
    bench.open_waiting(0, Delivery::default());
    assert_eq!(bench.put(0, &[1]), Put::NotOpen);
    assert_eq!(bench.admits(0, 1), Put::NotOpen);
    assert_eq!(bench.outbox.credit(Credit { alias: 0, limit: u64::MAX, taken: 0, lost: 0 }), Some(FIRST));
    assert_eq!(bench.outbox.credit(Credit { alias: 0, limit: u64::MAX, taken: 0, lost: 0 }), Some(MORE));
    assert_eq!(bench.put(0, &[1]), Put::Inline);
    assert_eq!(bench.outbox.credit(Credit { alias: 1, limit: 1, taken: 0, lost: 0 }), None);
}

#[test]
fn a_full_line_keeps_the_newest_of_latest_and_announces_the_rest() {
    let mut bench = Bench::new(CAPACITY);
    bench.open(0, Delivery::Latest);
    bench.put(0, &[0]);
    bench.fill();
    assert_eq!(bench.put(0, &[1]), Put::Parked(0));
    assert_eq!(bench.put(0, &[2]), Put::Parked(1));
    assert_eq!(bench.put(0, &[3]), Put::Parked(1));
    bench.write_all();
    assert_eq!(bench.samples(0), [(0, vec![0]), (3, vec![3])]);
    assert!(bench.got.contains(&Got::Gap { alias: 0, count: 2 }));
    assert_eq!(bench.outbox.lane(0).map(|lane| lane.lost_here), Some(2));
}

#[test]
fn a_full_line_keeps_the_newest_n_of_a_queue_in_order() {
    let mut bench = Bench::new(CAPACITY);
    bench.open(0, Delivery::Queue(3));
    bench.fill();
    for i in 0..10 {
        assert_eq!(bench.put(0, &[i]), Put::Parked(u64::from(i >= 3)));
    }
    bench.write_all();
    assert_eq!(bench.samples(0), [(7, vec![7]), (8, vec![8]), (9, vec![9])]);
    assert_eq!(bench.outbox.lane(0).map(|lane| (lane.lost_here, lane.gap)), Some((7, 0)));
}

#[test]
fn a_sample_never_overtakes_a_parked_one_of_its_route() {
    let mut bench = Bench::new(CAPACITY);
    bench.open(0, Delivery::Queue(1000));
    bench.fill();
    for i in 0..60 {
        assert!(matches!(bench.put(0, &[i; 100]), Put::Parked(0)) || i >= 20);
    }
    // The batch has room again after this, but not for all that is parked.
    assert!(bench.write());
    let held = bench.outbox.lane(0).map_or(0, |lane| lane.parked.len());
    if held > 0 {
        assert!(matches!(bench.put(0, &[60; 1]), Put::Parked(_)));
    }
    bench.write_all();
    let sequences = bench.sequences(0);
    assert!(sequences.windows(2).all(|pair| pair[0] < pair[1]), "{sequences:?}");
    for (sequence, payload) in bench.samples(0) {
        assert_eq!(u64::from(payload[0]), sequence);
    }
}

#[test]
fn empty_samples_are_parked_and_sent_as_any_other() {
    let mut bench = Bench::new(CAPACITY);
    bench.open(0, Delivery::Queue(8));
    bench.fill();
    assert_eq!(bench.put(0, &[]), Put::Parked(0));
    assert_eq!(bench.put(0, &[]), Put::Parked(0));
    bench.outbox.end(0);
    bench.write_all();
    assert_eq!(bench.samples(0), [(0, vec![]), (1, vec![])]);
    assert_eq!(bench.got.last(), Some(&Got::Control(Control::End { alias: 0 })));
}

#[test]
fn one_route_that_parks_all_it_can_never_costs_another_its_newest_sample() {
    let mut bench = Bench::new(CAPACITY);
    bench.open(0, Delivery::Queue(1 << 20));
    bench.open(1, Delivery::Latest);
    bench.fill();
    for i in 0..1000_u32 {
        bench.put(0, &i.to_le_bytes());
        bench.put(1, &i.to_le_bytes());
    }
    bench.write_all();
    assert_eq!(bench.samples(1), [(999, 999_u32.to_le_bytes().to_vec())]);
    assert_eq!(bench.samples(0).last().map(|(sequence, _)| *sequence), Some(999));
}

#[test]
fn end_comes_after_all_that_was_parked() {
    let mut bench = Bench::new(CAPACITY);
    bench.open(0, Delivery::Queue(4));
    bench.fill();
    for i in 0..6 {
        bench.put(0, &[i]);
    }
    bench.outbox.end(0);
    assert_eq!(bench.put(0, &[9]), Put::Closed, "an ending lane takes nothing more");
    assert_eq!(bench.admits(0, 1), Put::Closed);
    bench.write_all();
    assert_eq!(bench.sequences(0), [2, 3, 4, 5]);
    assert_eq!(bench.got.last(), Some(&Got::Control(Control::End { alias: 0 })));
    assert!(bench.outbox.lane(0).is_none());
}

#[test]
fn end_is_said_for_a_lane_that_never_opened() {
    let mut bench = Bench::new(CAPACITY);
    bench.open_waiting(3, Delivery::Latest);
    bench.outbox.end(3);
    bench.write_all();
    assert_eq!(bench.got, [Got::Control(Control::End { alias: 3 })]);
}

#[test]
fn one_sample_is_taken_even_if_it_is_larger_than_the_line_holds() {
    let mut bench = Bench::new(CAPACITY);
    for (alias, delivery) in [(0, Delivery::Latest), (1, Delivery::Lossless(2))] {
        bench.open(alias, delivery);
        assert!(matches!(bench.put(alias, &[7; 10 * CAPACITY]), Put::Queued | Put::Inline));
        bench.write_all();
        assert_eq!(bench.samples(alias), [(0, vec![7; 10 * CAPACITY])]);
    }
}

#[test]
fn a_sample_larger_than_the_peer_takes_is_refused_by_every_kind_of_lane() {
    let mut bench = Bench::new(CAPACITY);
    bench.outbox.set_max_frame(2000);
    let largest = bench.outbox.largest();
    assert!((1900..2000).contains(&largest));
    for (alias, delivery) in
        [Delivery::Latest, Delivery::Queue(2), Delivery::Lossless(2)].into_iter().enumerate()
    {
        let alias = alias as u32;
        bench.open(alias, delivery);
        assert_eq!(bench.admits(alias, largest + 1), Put::TooLarge);
        assert_eq!(bench.put(alias, &vec![0; largest + 1]), Put::TooLarge);
        assert!(matches!(bench.put(alias, &vec![0; largest]), Put::Queued | Put::Inline));
        bench.write_all();
    }
}

#[test]
fn an_older_sample_keeps_its_age_when_it_was_parked() {
    let mut bench = Bench::new(CAPACITY);
    bench.open(0, Delivery::Latest);
    bench.open(1, Delivery::Queue(100));
    bench.fill();
    bench.put(0, &[0]);
    let parked_at = bench.now.micros();
    bench.now = bench.now + Duration::from_millis(20);
    for _ in 0..40 {
        bench.put(1, &[1; 64]);
    }
    bench.write_all();
    let sent = bench.got.iter().find_map(|got| match got {
        Got::Sample { alias: 0, sent, .. } => Some(*sent),
        _ => None,
    });
    assert!(sent.is_some_and(|sent| sent.abs_diff(parked_at) <= 1000), "{sent:?} for {parked_at}");
}
