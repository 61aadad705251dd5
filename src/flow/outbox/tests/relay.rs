//! Samples of another line, passed on.

use super::*;
use proptest::prelude::*;

const ALIAS: u32 = 5;

impl Bench {
    fn relay(&mut self, delivery: Delivery, limit: u64) -> Credit {
        self.outbox.open_relay(ALIAS, delivery);
        assert_eq!(self.forward(b"x", 0), Put::NotOpen);
        assert_eq!(self.outbox.onward(ALIAS, Onward::Credit), None);
        assert_eq!(self.outbox.credit(Credit { alias: ALIAS, limit, taken: 0, lost: 0 }), Some(FIRST));
        self.outbox.onward(ALIAS, Onward::Credit).expect("the first one is passed on")
    }

    fn forward(&mut self, payload: &[u8], sent: u64) -> Put {
        let (now, sample) = (self.now, Outgoing { payload, shared: None });
        self.outbox.forward(ALIAS, sample, Timestamp::from_micros(sent), || now)
    }

    fn missing(&mut self, gap: u64, lost: u64) {
        self.outbox.forward_missing(ALIAS, Missing { gap, lost });
    }
}

#[test]
fn samples_keep_their_numbers_and_the_time_they_were_sent() {
    let mut bench = Bench::new(1 << 16);
    let credit = bench.relay(Delivery::Queue(4), u64::MAX);
    assert_eq!((credit.limit, credit.taken, credit.lost), (u64::MAX, 0, 0));
    bench.forward(b"a", 900_000);
    bench.missing(2, 0);
    bench.missing(0, 3);
    bench.forward(b"b", 900_500);
    bench.write_all();
    assert_eq!(bench.samples(ALIAS), [(0, b"a".to_vec()), (6, b"b".to_vec())]);
    let sent = bench.got.iter().filter_map(|got| match got {
        Got::Sample { sent, .. } => Some(*sent),
        _ => None,
    });
    assert_eq!(sent.collect::<Vec<_>>(), [900_000, 900_500]);
    assert!(bench.got.contains(&Got::Gap { alias: ALIAS, count: 2 }));
    assert!(bench.got.contains(&Got::Control(Control::Lost { alias: ALIAS, count: 3 })));
}

#[test]
fn what_is_missing_keeps_its_place_among_samples_that_wait() {
    let mut bench = Bench::new(1000);
    bench.relay(Delivery::Queue(4), u64::MAX);
    bench.forward(&[0; 1000], 0);
    bench.forward(b"1", 0);
    bench.missing(3, 0);
    bench.forward(b"5", 0);
    bench.missing(0, 2);
    bench.outbox.end(ALIAS);
    bench.write_all();
    let numbers: Vec<u64> = bench.samples(ALIAS).into_iter().map(|(number, _)| number).collect();
    assert_eq!(numbers, [0, 1, 5]);
    assert_eq!(bench.next[&ALIAS], 8, "what is missing at the end is told before END");
    assert_eq!(bench.got.last(), Some(&Got::Control(Control::End { alias: ALIAS })));
}

#[test]
fn losses_told_from_beyond_are_told_on_together_with_those_made_here() {
    let mut bench = Bench::new(10);
    bench.relay(Delivery::Latest, u64::MAX);
    for _ in 0..5 {
        bench.forward(&[0; 10], 0);
    }
    bench.outbox.credit(Credit { alias: ALIAS, limit: u64::MAX, taken: 1, lost: 1 });
    assert_eq!(bench.outbox.onward(ALIAS, Onward::Credit), None, "no flood of frames");
    let credit = bench.outbox.onward(ALIAS, Onward::Losses).expect("in its time");
    assert_eq!((credit.taken, credit.lost), (1, 1 + 3));
    assert_eq!(bench.outbox.onward(ALIAS, Onward::Losses), None);
}

#[test]
fn a_sample_too_large_for_the_peer_is_a_gap() {
    let mut bench = Bench::new(1 << 16);
    bench.relay(Delivery::Queue(4), u64::MAX);
    assert_eq!(bench.forward(&vec![0; 2 << 20], 0), Put::TooLarge);
    bench.forward(b"1", 0);
    bench.write_all();
    assert_eq!(bench.samples(ALIAS), [(1, b"1".to_vec())]);
}

#[test]
fn lossless_samples_that_nobody_takes_are_bounded() {
    let mut bench = Bench::new(1 << 10);
    let depth = Delivery::MAX_DEPTH;
    let mut granted = bench.relay(Delivery::Lossless(depth), depth.into()).limit;
    let mut sent = 0;
    while sent < granted {
        assert_ne!(bench.forward(&[0; 100_000], 0), Put::NoRoom);
        sent += 1;
        granted = bench.outbox.onward(ALIAS, Onward::Room).map_or(granted, |credit| credit.limit);
    }
    assert!(sent <= 20, "{sent} large samples at most before it is known how large they are");
    bench.write_all();
    granted = bench.outbox.onward(ALIAS, Onward::Room).expect("more").limit;
    assert_eq!(granted, sent + 10, "1 MiB of these");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_lossless_route_stays_lossless_and_never_stands_still(
        steps in prop::collection::vec((0..5u8, 1..200usize), 1..400),
        depth in prop_oneof![1..8u32, Just(64), Just(5000)],
        capacity in prop_oneof![Just(64usize), Just(2000), Just(1 << 16)],
    ) {
        let mut bench = Bench::new(capacity);
        let mut granted = bench.relay(Delivery::Lossless(depth), depth.into()).limit;
        let (mut sent, mut taken) = (0u64, 0u64);
        let deeper = u64::from(depth);
        let mut regrant = |bench: &mut Bench, why: Onward| {
            if let Some(credit) = bench.outbox.onward(ALIAS, why) {
                assert!(credit.limit >= granted && credit.limit <= credit.taken + deeper);
                granted = credit.limit;
            }
            granted
        };
        let last = [(0, 1), (4, 1)].repeat(200);
        for (step, size) in steps.into_iter().chain(last) {
            let granted = match step {
                // The supplier sends all it may, at most so many.
                0..=2 => {
                    let mut granted = regrant(&mut bench, Onward::Room);
                    for _ in 0..size {
                        if sent < granted {
                            let put = bench.forward(&vec![7; size], 0);
                            prop_assert!(matches!(put, Put::Queued | Put::Inline | Put::Parked(0)), "{put:?}");
                            sent += 1;
                            granted = regrant(&mut bench, Onward::Room);
                        }
                    }
                    granted
                }
                3 => {
                    bench.write();
                    let moved = bench.outbox.take_moved();
                    if moved.is_empty() { continue } else { regrant(&mut bench, Onward::Room) }
                }
                // The reader takes all there is, and grants more.
                _ => {
                    bench.write_all();
                    bench.outbox.take_moved();
                    regrant(&mut bench, Onward::Room);
                    taken = bench.samples(ALIAS).len() as u64;
                    let credit = Credit { alias: ALIAS, limit: taken + deeper, taken, lost: 0 };
                    prop_assert!(bench.outbox.credit(credit).is_some());
                    regrant(&mut bench, Onward::Credit)
                }
            };
            prop_assert!(sent <= granted && granted <= taken + deeper);
        }
        bench.write_all();
        let numbers: Vec<u64> = bench.samples(ALIAS).into_iter().map(|(number, _)| number).collect();
        prop_assert!(numbers.iter().copied().eq(0..sent), "all of {sent}, once, in order");
        prop_assert!(sent >= 200, "it goes on: {sent}");
    }

    #[test]
    fn what_a_queue_loses_is_told_to_the_last(
        steps in prop::collection::vec((0..5u8, 1..60usize), 1..300),
        depth in 1..8u32,
        latest: bool,
    ) {
        let mut bench = Bench::new(200);
        let delivery = if latest { Delivery::Latest } else { Delivery::Queue(depth) };
        bench.relay(delivery, u64::MAX);
        let mut next = 0u64;
        let mut sent = std::collections::BTreeSet::new();
        for (step, size) in steps {
            match step {
                0..=2 => {
                    bench.forward(&next.to_le_bytes().repeat(size), 0);
                    sent.insert(next);
                    next += 1;
                }
                3 => {
                    bench.missing(size as u64, step as u64);
                    next += size as u64 + step as u64;
                }
                _ => drop(bench.write()),
            }
        }
        bench.outbox.end(ALIAS);
        bench.write_all();
        prop_assert_eq!(bench.next.get(&ALIAS).copied().unwrap_or(0), next, "every number went by");
        for (number, payload) in bench.samples(ALIAS) {
            prop_assert!(sent.contains(&number));
            prop_assert_eq!(&payload[..8], &number.to_le_bytes(), "it is the one of that number");
        }
    }
}
