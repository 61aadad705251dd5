//! The end of an outbox: what is still written, and what is not.

use super::*;

#[test]
fn closing_drains_what_waits_or_drops_it_and_bye_is_the_last_word() {
    let bye = || {
        Control::Bye(crate::wire::control::Bye {
            code: crate::reason::ReasonCode::Closing,
            text: "bye".into(),
        })
    };
    for drain in [true, false] {
        let mut bench = Bench::new(CAPACITY);
        bench.open(0, Delivery::Queue(100));
        bench.fill();
        for i in 0..5 {
            assert_eq!(bench.put(0, &[i]), Put::Parked(0));
        }
        assert!(bench.outbox.urgent(&Control::Intents(vec![crate::wire::control::Entry::Remove { id: 1 }])));
        bench.outbox.close(Some(&bye()), drain);
        bench.outbox.close(None, false);
        assert_eq!(bench.put(0, &[9]), Put::Closed);
        assert_eq!(bench.admits(0, 1), Put::Closed);
        assert!(bench.outbox.urgent(&ping(1)), "what comes later is dropped, and no fault");
        bench.outbox.in_line(&ping(2));
        bench.outbox.end(0);
        bench.write_all();
        assert_eq!(bench.got.last(), Some(&Got::Control(bye())));
        let sent: &[u64] = if drain { &[0, 1, 2, 3, 4] } else { &[] };
        assert_eq!(bench.sequences(0), sent);
        // Control frames are written all the same, and how many samples do not come.
        assert_eq!(bench.got.len(), if drain { 8 } else { 4 }, "{:?}", bench.got);
        assert_eq!(bench.got.contains(&Got::Gap { alias: 0, count: 5 }), !drain);
        assert_eq!(bench.got.contains(&Got::Gap { alias: FILLER, count: 1 }), !drain);
        assert!(bench.outbox.is_finished());
    }
}

#[test]
fn the_writer_stays_until_an_inline_write_and_the_bye_behind_it_are_out() {
    let mut bench = Bench::new(CAPACITY);
    bench.open(0, Delivery::default());
    assert_eq!(bench.put(0, &[1; 30]), Put::Inline);
    let mut inline = Batch::default();
    bench.outbox.take_inline(&mut inline);
    bench.outbox.close(None, true);
    assert!(bench.take().is_none() && !bench.outbox.is_finished());
    let bytes = inline.as_one_piece().map(<[u8]>::to_vec).unwrap_or_default();
    bench.receive(&bytes[..10]);
    inline.wrote(10);
    bench.outbox.end_inline(&mut inline, bench.now);
    assert!(bench.outbox.wake(), "the writer is told, as it waits to end");
    bench.write_all();
    assert_eq!(bench.samples(0), [(0, vec![1; 30])]);
    assert!(bench.outbox.is_finished());
}

/// What never left and what was not confirmed, by alias.
fn left(bench: &mut Bench) -> Vec<(u32, u64, u64)> {
    bench.outbox.settle().map(|(alias, Left { unsent, unconfirmed })| (alias, unsent, unconfirmed)).collect()
}

#[test]
fn what_waits_when_a_link_dies_is_lost_and_counted_by_route() {
    let mut bench = Bench::new(CAPACITY);
    bench.open(0, Delivery::Queue(10));
    bench.open(1, Delivery::Lossless(10));
    bench.open(2, Delivery::Latest);
    for i in 0..4 {
        bench.put(0, &[i]);
        bench.put(1, &[i]);
    }
    bench.write_all();
    assert_eq!(bench.outbox.credit(Credit { alias: 1, limit: 11, taken: 1, lost: 0 }), Some(MORE));
    bench.put(0, &[4]);
    bench.put(1, &[4]);
    bench.put(1, &[5]);
    bench.fill();
    bench.put(0, &[5; 100]);
    bench.put(2, &[0; 100]);
    bench.outbox.close(None, false);
    // Of the filler one sample; of the lossless lane three were written and not confirmed.
    assert_eq!(left(&mut bench), [(0, 2, 0), (1, 2, 3), (2, 1, 0), (FILLER, 1, 0)]);
    assert_eq!(left(&mut bench), [], "once");
}

#[test]
fn what_never_left_by_its_own_link_may_have_come_by_a_copy() {
    let mut bench = Bench::new(CAPACITY);
    for (alias, delivery) in [(0, Delivery::Queue(10)), (1, Delivery::Lossless(10))] {
        bench.open(alias, delivery);
        bench.outbox.set_links(alias, Links::All);
        bench.put(alias, &[0]);
    }
    bench.write_all();
    for alias in 0..2 {
        bench.put(alias, &[1]);
        bench.put(alias, &[2]);
    }
    bench.outbox.close(None, false);
    assert_eq!(left(&mut bench), [(0, 0, 2), (1, 0, 3)]);
}

#[test]
fn what_went_past_an_interest_that_was_cut_off_is_lost_and_not_unsure_too() {
    let mut bench = Bench::new(CAPACITY);
    bench.bounds = Bounds { bytes: u64::MAX, stall: Duration::from_secs(1) };
    bench.open(0, Delivery::Lossless(2));
    for number in 0..2 {
        bench.put(0, &[number]);
    }
    bench.look_for(Duration::from_secs(1));
    assert_eq!(bench.put(0, &[2]), Put::PassedOver(Some(2)));
    assert_eq!(bench.put(0, &[2]), Put::PassedOver(None));
    // It takes one and grants another: it is told of the two, and has not said that it knows.
    let missed = Credited { first: false, missed: Some(2) };
    assert_eq!(bench.outbox.credit(Credit { alias: 0, limit: 3, taken: 1, lost: 0 }), Some(missed));
    bench.write_all();
    bench.outbox.close(None, false);
    assert_eq!(left(&mut bench), [(0, 0, 1)]);
}

#[test]
fn a_write_that_breaks_within_a_batch_loses_what_did_not_get_through_whole() {
    let mut bench = Bench::new(CAPACITY);
    bench.open(0, Delivery::Queue(10));
    for i in 0..4 {
        bench.put(0, &[i; 96]);
    }
    let (mut urgent, mut batch) = (Vec::new(), Batch::default());
    assert!(bench.outbox.take(&mut urgent, &mut batch, || Timestamp::ZERO, false));
    // A TIME frame of 10 bytes goes ahead; then 100 bytes each.
    batch.wrote(10 + 2 * 100 + 99);
    bench.put(0, &[4]);
    bench.outbox.end(0);
    bench.outbox.close(None, true);
    bench.outbox.note_unwritten(&batch);
    assert_eq!(left(&mut bench), [(0, 3, 0)]);
}

#[test]
fn what_an_orderly_end_wrote_to_the_last_byte_is_neither_lost_nor_unsure() {
    for breaks in [false, true] {
        let mut bench = Bench::new(CAPACITY);
        bench.open(0, Delivery::Lossless(10));
        bench.put(0, &[1]);
        bench.write_all();
        bench.put(0, &[2]);
        bench.outbox.close(Some(&ping(1)), true);
        if !breaks {
            bench.write_all();
        }
        assert_eq!(left(&mut bench), if breaks { vec![(0, 1, 1)] } else { vec![] });
    }
}

mod every_sample {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Put(u32, usize),
        Write,
        Inline(usize),
        Wait(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            8 => (0..4_u32, prop_oneof![0..60_usize, 500..3000_usize]).prop_map(|(a, s)| Step::Put(a, s)),
            2 => Just(Step::Write),
            1 => (0..80_usize).prop_map(Step::Inline),
            1 => (0..50_u64).prop_map(Step::Wait),
        ];
        proptest::collection::vec(step, 1..200)
    }

    proptest! {
        /// Arrived, replaced, or never left: there is no fourth.
        #[test]
        fn is_accounted_for(steps in steps(), drain: bool, last in 0..6000_usize) {
            let mut bench = Bench::new(CAPACITY);
            let kinds = [Delivery::Queue(3), Delivery::Latest, Delivery::Lossless(1000), Delivery::Queue(999)];
            for (alias, delivery) in kinds.into_iter().enumerate() {
                bench.open(alias as u32, delivery);
            }
            let (mut taken, mut replaced, mut most) = ([0; 4], [0; 4], usize::MAX);
            for step in steps {
                match step {
                    Step::Put(alias, size) => {
                        let put = bench.put(alias, &vec![alias as u8; size]);
                        taken[alias as usize] += u64::from(!matches!(put, Put::NoRoom | Put::NoCredit(_)));
                        match put {
                            Put::Parked(older) => replaced[alias as usize] += older,
                            Put::Inline => drop(bench.write_inline(most)),
                            _ => {}
                        }
                    }
                    Step::Write => drop(bench.write()),
                    Step::Inline(count) => most = count,
                    Step::Wait(micros) => bench.now = bench.now + Duration::from_micros(micros),
                }
            }
            // The last batch gets out in part, and then the link is dead.
            let (mut urgent, mut batch) = (Vec::new(), Batch::default());
            let now = bench.now;
            if bench.outbox.take(&mut urgent, &mut batch, || now, bench.wrote) {
                let written = last.min(batch.len());
                bench.receive(&urgent);
                bench.receive(&batch.rest()[..written]);
                batch.wrote(written);
            }
            bench.outbox.close(None, drain);
            bench.outbox.note_unwritten(&batch);
            let left: BTreeMap<u32, Left> = bench.outbox.settle().collect();
            let drained = drain && left.values().all(|left| left.unsent == 0);
            for alias in 0..4 {
                let arrived = bench.samples(alias).len() as u64;
                let Left { unsent, unconfirmed } = left.get(&alias).copied().unwrap_or_default();
                let place = alias as usize;
                prop_assert_eq!(taken[place], arrived + replaced[place] + unsent, "alias {}", alias);
                prop_assert_eq!(unconfirmed, if alias == 2 && !drained { arrived } else { 0 });
            }
        }
    }
}
