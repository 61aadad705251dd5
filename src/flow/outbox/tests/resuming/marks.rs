//! Marks, and what may be kept between two of them.

use super::*;

#[test]
fn a_peer_that_answers_no_mark_costs_no_more_than_the_bound() {
    let mut world = World::new(64 * 1024, None, None);
    world.open(0);
    world.open(1);
    world.step(Step::Flow);
    let mut sent = 0;
    for round in 0..200_000_u64 {
        sent += usize::from(matches!(world.put(0, 64, None), Some(Put::Queued | Put::Inline)));
        world.put(1, 64, None);
        world.credit(0);
        if round % 100 == 0 {
            world.take();
            world.write(usize::MAX);
            world.read(usize::MAX);
        }
    }
    let kept = world.outbox.kept.as_ref().expect("it keeps");
    assert!(kept.is_full() && kept.held() < (2 << 20) + (1 << 19), "{}", kept.held());
    assert!(!world.outbox.is_due(0) && !world.outbox.wake(), "nothing is taken");
    assert!(sent > 10_000 && world.outbox.batch.len() > 60_000);
    // Control frames still pass, and are bounded too.
    assert!(world.outbox.urgent(&ping(1)) && world.outbox.wake());
    assert!(world.take());
    world.write(usize::MAX);
    let credit = |n| Control::Credit(Credit { alias: 9, limit: n, taken: n, lost: 0 });
    let mut count = 0;
    while world.outbox.urgent(&credit(count)) && count < 1_000_000 {
        count += 1;
        if world.take() {
            world.write(usize::MAX);
        }
    }
    assert!(count < 1_000_000, "it is noticed that the peer reads no answers");
    assert!(world.outbox.urgent(&Control::Marked { number: 5 }) && world.take(), "or both would wait");
    let (urgent, ..) = world.load.as_ref().expect("taken");
    assert_eq!(urgent.len(), 3, "this alone");
}

#[test]
fn marks_that_were_never_sent_or_passed_are_no_answers() {
    let mut world = World::new(4096, None, None);
    world.open(0);
    assert!(world.outbox.marked(0).is_err() && world.outbox.marked(1).is_err());
    world.step(Step::Flow);
    world.put(0, 20, None);
    world.outbox.urgent(&ping(1));
    world.take();
    world.write(usize::MAX);
    world.put(0, 20, None);
    world.outbox.urgent(&ping(1));
    world.take();
    world.write(usize::MAX);
    world.read(usize::MAX);
    let marks: Vec<u64> = (world.there.answers.iter())
        .filter_map(|answer| match answer {
            Answer::Marked(number) => Some(*number),
            _ => None,
        })
        .collect();
    let [first, second] = marks[..] else { panic!("{marks:?}") };
    assert!(world.outbox.marked(second + 1).is_err());
    assert_eq!(world.outbox.marked(second), Ok(false));
    assert!(world.outbox.marked(first).is_err());
    assert_eq!(world.outbox.marked(second), Ok(false), "again");
}

#[test]
fn memory_goes_round_and_does_not_grow() {
    let mut world = World::new(64 * 1024, None, None);
    world.open(0);
    world.step(Step::Flow);
    let mut held = Vec::new();
    for _ in 0..60 {
        for _ in 0..3 * MARK_LEAST / 68 {
            if !matches!(world.put(0, 64, Some(usize::MAX)), Some(Put::Queued | Put::Inline)) {
                world.step(Step::Flow);
                world.credit(0);
            }
            world.end_inline();
            world.now = world.now + Duration::from_micros(1);
        }
        world.step(Step::Flow);
        held.push(world.outbox.kept.as_ref().map_or(0, |kept| kept.held()));
    }
    let (early, late) = (held[..30].iter().max(), held[30..].iter().max());
    assert!(early >= late, "{held:?}");
}

#[test]
fn without_the_capability_nothing_is_kept_and_no_mark_is_sent() {
    let mut bench = Bench::new(CAPACITY);
    bench.open(0, Delivery::Lossless(1 << 20));
    for _ in 0..4 * MARK_MOST / CAPACITY {
        assert_ne!(bench.put(0, &[0; CAPACITY - 8]), Put::NoRoom);
        bench.outbox.urgent(&ping(1));
        bench.write_all();
    }
    assert!(!bench.got.iter().any(|got| matches!(got, Got::Control(Control::Mark { .. }))));
    assert_eq!(bench.outbox.marked(3), Ok(false));
}

#[test]
fn marks_are_as_many_bytes_apart_for_samples_of_all_sizes_and_on_a_fast_line_more() {
    // Where less is kept, half of that: the other half is for the way of the answer.
    let little = MARK_MOST / 2;
    for (pause, limit, every) in [
        (MARK_PAUSE, 4 * MARK_MOST, MARK_LEAST),
        (Duration::ZERO, 4 * MARK_MOST, MARK_MOST),
        (Duration::ZERO, little, little / 2),
    ] {
        for size in [100, 8 * 1024, BY_REFERENCE] {
            let mut bench = Bench::new(CAPACITY);
            bench.outbox.set_resumes(true);
            bench.outbox.kept.as_mut().expect("it keeps").set_limit(limit);
            bench.open(0, Delivery::Lossless(1 << 20));
            let payload = Bytes::from(vec![7; size]);
            let (mut bytes, mut at_marks) = (0, Vec::new());
            while at_marks.len() < 4 {
                let sample = Outgoing { payload: &payload, shared: Some(&payload) };
                let (lane, now) = (bench.outbox.lane(0).expect("it is open").id, bench.now);
                assert_ne!(bench.outbox.put(lane, sample, false, || now), Put::NoRoom);
                bytes += size;
                bench.write_all();
                for got in std::mem::take(&mut bench.got) {
                    if let Got::Control(Control::Mark { number }) = got {
                        at_marks.push(bytes);
                        bench.outbox.marked(number).expect("it was sent");
                    }
                }
                bench.now = bench.now + pause;
            }
            // The first follows a long pause in any case.
            assert!(at_marks[0].abs_diff(MARK_LEAST) <= MARK_LEAST / 8, "{at_marks:?}");
            let found = (at_marks[3] - at_marks[0]) / 3;
            assert!(found.abs_diff(every) <= every / 8, "{found} bytes a mark, with payloads of {size}");
        }
    }
}
