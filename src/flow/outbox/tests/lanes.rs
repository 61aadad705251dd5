//! Urgent, normal and bulk, and samples in pieces.

use super::*;
use crate::priority::Priority;
use proptest::prelude::*;

const STRIDE: usize = 500;

fn bench() -> Bench {
    let mut bench = Bench::new(CAPACITY);
    bench.outbox.set_peer(1 << 20, true);
    bench.outbox.set_stride(Some(STRIDE));
    bench
}

/// What arrived, by alias and size.
fn order(bench: &Bench) -> Vec<(u32, usize)> {
    let samples = bench.got.iter().filter_map(|got| match got {
        Got::Sample { alias, payload, .. } => Some((*alias, payload.len())),
        _ => None,
    });
    samples.collect()
}

#[test]
fn what_is_urgent_goes_ahead_of_what_waits_and_what_is_bulk_behind_it() {
    let mut bench = bench();
    bench.open_ranked(0, Delivery::default(), Priority::Normal);
    bench.open_ranked(1, Delivery::default(), Priority::Urgent);
    bench.open_ranked(2, Delivery::default(), Priority::Bulk);
    bench.put(0, &[0; 10]);
    bench.put(2, &[2; 20]);
    bench.put(0, &[0; 11]);
    bench.put(1, &[1; 30]);
    bench.put(0, &[0; 12]);
    bench.put(1, &[1; 31]);
    bench.write_all();
    assert_eq!(order(&bench), [(1, 30), (1, 31), (0, 10), (0, 11), (0, 12), (2, 20)]);
}

#[test]
fn send_times_are_right_whoever_overtook_whom() {
    let mut bench = bench();
    for (alias, priority) in [(0, Priority::Normal), (1, Priority::Urgent), (2, Priority::Bulk)] {
        bench.open_ranked(alias, Delivery::Queue(1000), priority);
    }
    let mut sent = Vec::new();
    for round in 0..50u32 {
        bench.now = bench.now + Duration::from_millis(20);
        for alias in [0, 2, 0, 1, 2] {
            let size = if (round + alias) % 7 == 0 { 1200 } else { 4 };
            bench.put(alias, &vec![round as u8; size]);
            sent.push((alias, round as u8, bench.now.micros()));
        }
        bench.write();
    }
    bench.write_all();
    for got in &bench.got {
        let Got::Sample { alias, sent: at, payload, .. } = got else { continue };
        let right =
            sent.iter().find(|(a, round, _)| a == alias && payload[0] == *round).expect("it was sent").2;
        // The clock is read in batches: a burst counts as sent at once.
        assert!(at.abs_diff(right) <= 1000, "{alias}, {}: {at} is not {right}", payload[0]);
    }
    assert!(order(&bench).len() > 150, "{} arrived", order(&bench).len());
}

#[test]
fn each_write_has_a_stride_of_pieces_at_most_and_one_at_least() {
    let mut bench = bench();
    bench.open_ranked(0, Delivery::Lossless(4), Priority::Bulk);
    bench.open_ranked(1, Delivery::Queue(4), Priority::Normal);
    bench.put(0, &[0; 5000]);
    let mut writes = 0;
    while bench.write() {
        writes += 1;
        bench.put(1, &[1; 100]);
        if writes > 10 {
            break;
        }
    }
    assert_eq!(bench.samples(0).len(), 1, "it took ten writes, beside what is normal");
    assert!(writes >= 10 && order(&bench).iter().filter(|(alias, _)| *alias == 1).count() >= 9);
}

#[test]
fn a_peer_that_takes_no_pieces_gets_whole_samples() {
    let mut bench = bench();
    bench.outbox.set_peer(1 << 20, false);
    bench.open_ranked(0, Delivery::Lossless(4), Priority::Bulk);
    bench.put(0, &[0; 10]);
    bench.put(0, &[0; 5000]);
    bench.write_all();
    assert_eq!((order(&bench), bench.pieces), (vec![(0, 10), (0, 5000)], 0));
}

#[test]
fn control_frames_in_line_stay_behind_the_end_of_a_lane_of_which_pieces_wait() {
    let mut bench = bench();
    bench.open_ranked(0, Delivery::Lossless(4), Priority::Normal);
    bench.put(0, &[0; 5000]);
    bench.outbox.end(0);
    bench.outbox.in_line(&ping(1));
    bench.write_all();
    let sample = Got::Sample { alias: 0, sequence: 0, sent: 1_000_000, payload: vec![0; 5000] };
    assert_eq!(bench.got, [sample, Got::Control(Control::End { alias: 0 }), Got::Control(ping(1))]);
}

#[test]
fn a_sample_of_which_pieces_went_counts_as_unsent_when_the_link_ends() {
    for drain in [false, true] {
        let mut bench = bench();
        bench.open_ranked(0, Delivery::Lossless(4), Priority::Bulk);
        bench.open_ranked(1, Delivery::Lossless(4), Priority::Urgent);
        bench.put(0, &[0; 5000]);
        bench.put(1, &[1; 10]);
        bench.write();
        bench.put(1, &[1; 10]);
        bench.outbox.close(Some(&ping(1)), drain);
        bench.write_all();
        let left: BTreeMap<u32, Left> = bench.outbox.settle().collect();
        let unsent = |alias| left.get(&alias).map_or(0, |left| left.unsent);
        assert_eq!((unsent(0), unsent(1)), if drain { (0, 0) } else { (1, 1) });
        assert_eq!(bench.got.last(), Some(&Got::Control(ping(1))), "the last word is the last");
        assert_eq!(bench.samples(0).len(), usize::from(drain));
        // Told as given up ahead of the last word.
        assert_eq!(bench.got.contains(&Got::Gap { alias: 0, count: 1 }), !drain);
    }
}

#[test]
fn who_was_passed_over_is_told_behind_the_pieces_that_wait_and_each_sample_counts_once() {
    for priority in [Priority::Urgent, Priority::Normal, Priority::Bulk] {
        let mut bench = bench();
        bench.bounds = Bounds { bytes: 6000, stall: Duration::from_secs(1) };
        bench.open_ranked(0, Delivery::Lossless(3), priority);
        for size in [10, 5000] {
            assert!(matches!(bench.put(0, &vec![1; size]), Put::Queued | Put::Inline));
        }
        bench.write();
        assert!(matches!(bench.put(0, &[2; 991]), Put::TooManyBytes(_)));
        assert_eq!(bench.admits(0, 990), Put::NoRoom, "the interest would take it");
        bench.look_for(Duration::from_secs(1));
        assert_eq!(bench.put(0, &[2; 991]), Put::PassedOver(Some(2)));
        assert_eq!(bench.put(0, &[2; 991]), Put::PassedOver(None));
        // It takes the first while pieces of the second wait.
        let back = Some(Credited { first: false, missed: Some(2) });
        assert_eq!(bench.outbox.credit(Credit { alias: 0, limit: 4, taken: 1, lost: 0 }), back);
        bench.write();
        assert!(!bench.got.iter().any(|got| matches!(got, Got::Gap { .. })), "{priority:?}");
        bench.write_all();
        assert_eq!(bench.got.last(), Some(&Got::Gap { alias: 0, count: 2 }));
        let credit = Credit { alias: 0, limit: 7, taken: 4, lost: 0 };
        assert_eq!(bench.outbox.credit(credit), Some(MORE));
        bench.put(0, &[3; 6000]);
        assert!(matches!(bench.put(0, &[3]), Put::TooManyBytes(_)), "all bytes were given back, once");
        bench.write_all();
        let sizes: Vec<_> = bench.samples(0).iter().map(|(number, it)| (*number, it.len())).collect();
        assert_eq!(sizes, [(0, 10), (1, 5000), (4, 6000)]);
    }
}

#[test]
fn what_is_missing_of_an_urgent_lane_is_not_overtaken_by_what_comes() {
    let mut bench = bench();
    bench.bounds = Bounds { bytes: u64::MAX, stall: Duration::ZERO };
    bench.open_ranked(0, Delivery::Lossless(2), Priority::Urgent);
    bench.open_ranked(1, Delivery::default(), Priority::Normal);
    bench.put(1, &[1]);
    for _ in 0..3 {
        bench.put(0, &[0]);
    }
    let back = Some(Credited { first: false, missed: Some(1) });
    assert_eq!(bench.outbox.credit(Credit { alias: 0, limit: 4, taken: 2, lost: 0 }), back);
    bench.put(0, &[9]);
    bench.write_all();
    let numbers: Vec<_> = bench.samples(0).iter().map(|(number, it)| (*number, it[0])).collect();
    assert_eq!(numbers, [(0, 0), (1, 0), (3, 9)]);
}

#[test]
fn many_at_once_are_cut_and_ranked_as_one_by_one() {
    for priority in [Priority::Urgent, Priority::Normal, Priority::Bulk] {
        let mut bench = bench();
        bench.open_ranked(0, Delivery::default(), Priority::Normal);
        bench.open_ranked(1, Delivery::Lossless(100), priority);
        bench.put(0, &[0; 20]);
        let payloads: Vec<_> = [10, 11, 1200, 12, 700, 13].map(|size| vec![1; size]).into();
        let slices: Vec<_> = payloads.iter().map(Vec::as_slice).collect();
        let (lane, now) = (bench.lane(1), bench.now);
        let mut done = 0;
        while done < slices.len() {
            let (count, _) = bench.outbox.put_some(lane, &slices[done..], || now);
            assert!(count > 0);
            done += count;
        }
        bench.write_all();
        let got: Vec<_> = bench.samples(1).iter().map(|(number, it)| (*number, it.len())).collect();
        assert_eq!(got, (0..).zip([10, 11, 1200, 12, 700, 13]).collect::<Vec<_>>());
        assert_eq!(bench.pieces, 3 + 2, "{priority:?}");
        let first = order(&bench)[0];
        assert_eq!(first == (1, 10), priority == Priority::Urgent, "{first:?}");
    }
}

#[test]
fn a_packed_payload_may_have_its_byte_more_in_pieces_too() {
    let mut bench = bench();
    bench.open_ranked(0, Delivery::Lossless(9), Priority::Normal);
    let largest = bench.outbox.largest();
    assert_eq!(bench.put(0, &vec![0; largest + 1]), Put::TooLarge);
    bench.outbox.set_packed(0);
    assert_eq!(bench.put(0, &vec![0; largest + 2]), Put::TooLarge);
    assert_eq!(bench.put(0, &vec![0; largest + 1]), Put::Queued);
    bench.write_all();
    assert_eq!(order(&bench), [(0, largest + 1)]);
    assert!(bench.pieces > 1);
}

proptest! {
    /// Lossless: all of it comes, in order; the rest: in order, and what did not come was counted. Never more waits than
    /// is said, however it is written.
    #[test]
    fn every_lane_is_in_order_and_accounts_for_all(
        steps in prop::collection::vec((0..6u32, 0..1600usize, 0..4u8), 1..300),
        stride in 64..2000usize,
    ) {
        let mut bench = bench();
        bench.outbox.set_stride(Some(stride));
        let ranks = [Priority::Urgent, Priority::Normal, Priority::Bulk];
        for alias in 0..6 {
            let delivery = if alias < 3 { Delivery::Lossless(1 << 20) } else { Delivery::Queue(3) };
            bench.open_ranked(alias, delivery, ranks[alias as usize % 3]);
        }
        let mut taken: Vec<Vec<Vec<u8>>> = vec![Vec::new(); 6];
        for (step, (alias, size, then)) in steps.into_iter().enumerate() {
            let payload = vec![step as u8; size];
            match bench.put(alias, &payload) {
                Put::NoRoom => prop_assert!(alias < 3),
                Put::Inline => {
                    taken[alias as usize].push(payload);
                    bench.write_inline(usize::MAX);
                }
                _ => taken[alias as usize].push(payload),
            }
            if then == 0 {
                bench.write();
            }
            prop_assert!(bench.outbox.waiting_bytes() <= 3 * (CAPACITY + 1700) + 2 * (CAPACITY + 1700));
        }
        bench.write_all();
        for (alias, taken) in taken.iter().enumerate() {
            let got = bench.samples(alias as u32);
            prop_assert!(got.windows(2).all(|two| two[0].0 < two[1].0));
            for (number, payload) in &got {
                prop_assert_eq!(payload, &taken[*number as usize]);
            }
            if alias < 3 {
                prop_assert_eq!(got.len(), taken.len());
            }
            // GAPs count as numbers.
            let lost = bench.outbox.lane(alias as u32).map_or(0, |lane| lane.lost_here);
            prop_assert_eq!(got.len() as u64 + lost, taken.len() as u64);
        }
    }
}

#[test]
fn a_link_is_not_blamed_for_how_long_samples_waited_before_it_came() {
    let mut bench = bench();
    bench.outbox.set_resumes(true);
    bench.open_ranked(0, Delivery::Lossless(9), Priority::Normal);
    for number in 0..3 {
        bench.put(0, &vec![number; 10 * STRIDE]);
    }
    assert!(bench.write());
    let (mut urgent, mut batch) = (Vec::new(), Batch::default());
    let now = bench.now;
    assert!(bench.outbox.take(&mut urgent, &mut batch, || now, true));
    let span = Duration::from_secs(10);
    bench.now = bench.now + span;
    assert_eq!(bench.outbox.queue_age(bench.now), span, "it is written all the time");
    bench.outbox.suspend(urgent, batch);
    bench.now = bench.now + span;
    bench.outbox.resume(0, None).expect("none was counted");
    bench.wrote = false;
    bench.rest.clear();
    let (mut urgent, mut batch) = (Vec::new(), Batch::default());
    let now = bench.now;
    assert!(bench.outbox.take(&mut urgent, &mut batch, || now, false));
    assert_eq!(bench.outbox.queue_age(bench.now), Duration::ZERO);
    bench.now = bench.now + span;
    assert_eq!(bench.outbox.queue_age(bench.now), span);
}
