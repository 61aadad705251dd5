//! Who writes when, and what goes first.

use super::*;
use crate::flow::outbox::control::ANSWERS;

#[test]
fn urgent_frames_go_ahead_of_samples_and_in_line_frames_behind_them() {
    let mut bench = Bench::new(CAPACITY);
    bench.open(0, Delivery::default());
    bench.put(0, &[1]);
    bench.outbox.in_line(&ping(1));
    bench.put(0, &[2]);
    assert!(bench.outbox.urgent(&ping(2)));
    bench.write_all();
    let kinds: Vec<_> = bench
        .got
        .iter()
        .map(|got| match got {
            Got::Sample { payload, .. } => format!("sample {}", payload[0]),
            Got::Control(Control::Ping(ping)) => format!("ping {}", ping.sent.micros()),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(kinds, ["ping 2", "sample 1", "ping 1", "sample 2"]);
}

#[test]
fn a_peer_that_reads_no_answers_is_noticed_but_our_tables_do_not_count() {
    let mut bench = Bench::new(CAPACITY);
    let table = Control::Intents((0..4096).map(|id| crate::wire::control::Entry::Remove { id }).collect());
    for _ in 0..20 {
        assert!(bench.outbox.urgent(&table));
    }
    let answers = (0..100_000).take_while(|i| bench.outbox.urgent(&ping(*i))).count();
    let bytes = answers * 10;
    assert!((ANSWERS..ANSWERS + 2 * 10).contains(&bytes), "{bytes} bytes were kept");
    bench.write_all();
    assert!(bench.outbox.urgent(&ping(0)), "once they were read there is room again");
}

#[test]
fn a_sender_writes_inline_only_on_a_quiet_line() {
    let mut bench = Bench::new(CAPACITY);
    bench.open(0, Delivery::default());
    assert_eq!(bench.put(0, &[0]), Put::Inline);
    assert!(!bench.write_inline(usize::MAX), "nothing is left for the writer");
    assert_eq!(bench.put(0, &[1]), Put::Queued, "a moment after the last write it is not quiet");
    assert!(bench.outbox.wake() && !bench.outbox.wake(), "the writer is told once");
    bench.write_all();
    bench.now = bench.now + QUIET;
    assert_eq!(bench.put(0, &[2]), Put::Inline);
    assert!(!bench.write_inline(usize::MAX));
    bench.now = bench.now + QUIET;
    // Two at a time are load: nobody writes inline until the writer took exactly one.
    bench.outbox.in_line(&ping(1));
    assert_eq!(bench.put(0, &[3]), Put::Queued);
    assert_eq!(bench.put(0, &[4]), Put::Queued);
    bench.write_all();
    bench.now = bench.now + Duration::from_secs(1);
    assert_eq!(bench.put(0, &[5]), Put::Queued, "the last batch held two");
    bench.write_all();
    bench.now = bench.now + QUIET;
    assert_eq!(bench.put(0, &[6]), Put::Inline);
    assert!(!bench.write_inline(usize::MAX));
    bench.now = bench.now + QUIET;
    assert!(bench.outbox.urgent(&ping(2)));
    assert_eq!(bench.put(0, &[7]), Put::Queued, "control waits, and goes first");
    bench.write_all();
    bench.now = bench.now + QUIET;
    assert_eq!(bench.put(0, &[8; BY_REFERENCE]), Put::Queued, "a large one is the writer's");
    bench.write_all();
    assert_eq!(bench.sequences(0), (0..9).collect::<Vec<_>>());
}

#[test]
fn nobody_writes_while_another_does() {
    let mut bench = Bench::new(CAPACITY);
    bench.open(0, Delivery::default());
    assert_eq!(bench.put(0, &[0]), Put::Inline);
    let mut inline = Batch::default();
    bench.outbox.take_inline(&mut inline);
    bench.now = bench.now + Duration::from_secs(1);
    assert_eq!(bench.put(0, &[1]), Put::Queued);
    assert!(!bench.outbox.wake(), "whoever writes inline will see to the writer");
    assert!(bench.take().is_none(), "the writer waits for the inline write");
    let bytes = all(&mut inline);
    bench.receive(&bytes);
    bench.outbox.end_inline(&mut inline, bench.now);
    assert!(bench.outbox.wake());
    assert!(bench.write());
    let now = bench.now;
    assert_eq!(bench.put(0, &[2]), Put::Queued, "the writer writes");
    let mut spare = Batch::default();
    assert!(bench.outbox.urgent(&ping(1)));
    assert!(!bench.outbox.take_urgent_inline(&mut spare));
    assert_eq!(now, bench.now);
    bench.write_all();
    assert_eq!(bench.sequences(0), [0, 1, 2]);
}

#[test]
fn what_an_inline_write_left_is_finished_before_anything_else() {
    let payload: Vec<u8> = (0..50).collect();
    for most in 0..60 {
        let mut bench = Bench::new(CAPACITY);
        bench.open(0, Delivery::default());
        assert_eq!(bench.put(0, &payload), Put::Inline);
        let told = bench.write_inline(most);
        let total = bench.got.len();
        assert_eq!(told, total == 0, "the writer is told of the rest");
        bench.now = bench.now + Duration::from_secs(1);
        assert!(bench.outbox.urgent(&ping(1)));
        if total == 0 {
            let mut spare = Batch::default();
            assert!(!bench.outbox.take_urgent_inline(&mut spare), "control must not cut a frame in two");
            assert_eq!(bench.put(0, &[1]), Put::Queued);
        }
        bench.write_all();
        assert_eq!(bench.samples(0).first(), Some(&(0, payload.clone())), "after {most} bytes inline");
        assert!(matches!(bench.got[0], Got::Sample { .. }), "after {most} bytes inline: {:?}", bench.got[0]);
    }
}

#[test]
fn a_credit_is_written_by_whoever_grants_it_when_the_line_is_free() {
    let mut bench = Bench::new(CAPACITY);
    let mut batch = Batch::default();
    assert!(!bench.outbox.take_urgent_inline(&mut batch), "there is none");
    let credit = Control::Credit(Credit { alias: 0, limit: 4, taken: 0, lost: 0 });
    assert!(bench.outbox.urgent(&credit));
    assert!(bench.outbox.take_urgent_inline(&mut batch));
    // Half of it fits; the writer writes the rest.
    let bytes = batch.as_one_piece().map(<[u8]>::to_vec).unwrap_or_default();
    bench.receive(&bytes[..2]);
    batch.wrote(2);
    bench.outbox.end_inline(&mut batch, bench.now);
    assert!(bench.outbox.wake());
    bench.write_all();
    assert_eq!(bench.got, [Got::Control(credit)]);
}

#[test]
fn a_large_payload_is_held_by_reference_not_copied() {
    let mut bench = Bench::new(1 << 20);
    bench.open(0, Delivery::Latest);
    let large = Bytes::from((0..BY_REFERENCE).map(|i| i as u8).collect::<Vec<_>>());
    assert!(matches!(bench.put_shared(0, &large), Put::Queued));
    assert!(bench.outbox.batch.bytes().len() < 64);
    assert!(bench.outbox.batch.len() > BY_REFERENCE);
    bench.write_all();
    assert_eq!(bench.samples(0), [(0, large.to_vec())]);
}

#[test]
fn whoever_fills_the_batch_writes_it_unless_another_does() {
    let mut bench = Bench::new(CAPACITY);
    bench.open(0, Delivery::Lossless(1 << 16));
    while !bench.outbox.is_due(60) {
        assert_ne!(bench.put(0, &[7; 60]), Put::NoRoom);
    }
    let sent = bench.outbox.lane(0).map(|lane| lane.sequence);
    let mut due = Batch::default();
    bench.outbox.take_due(&mut due);
    let bytes = all(&mut due);
    // The system takes a part of it; meanwhile the next batch is filled, and nobody may write that.
    bench.receive(&bytes[..100]);
    while bench.put(0, &[8; 60]) == Put::Queued {
        assert!(!bench.outbox.is_due(60) && bench.take().is_none());
    }
    due.bytes().extend_from_slice(&bytes);
    due.wrote(100);
    bench.outbox.end_inline(&mut due, bench.now);
    assert!(!bench.outbox.is_due(60), "the rest goes first");
    assert!(bench.outbox.wake(), "and the writer writes it");
    bench.write_all();
    let sent = (sent, bench.outbox.lane(0).map(|lane| lane.sequence));
    assert!(sent.1 > sent.0, "{sent:?}");
    assert_eq!(Some(bench.sequences(0).len() as u64), sent.1);
}

#[test]
fn a_batch_is_due_without_room_for_another_sample_as_large() {
    let mut bench = Bench::new(CAPACITY);
    bench.open(0, Delivery::Lossless(1 << 16));
    for (size, together) in [(CAPACITY / 2, 1), (CAPACITY / 3, 2), (CAPACITY / 5, 4), (CAPACITY, 1)] {
        assert!(!bench.outbox.is_due(size), "there is nothing to write");
        for count in 1..=together {
            assert_ne!(bench.put(0, &vec![7; size]), Put::NoRoom);
            assert_eq!(bench.outbox.is_due(size), count == together, "{count} of {size} bytes");
        }
        assert!(!bench.outbox.has_room(size));
        let mut due = Batch::default();
        bench.outbox.take_due(&mut due);
        let bytes = all(&mut due);
        bench.receive(&bytes);
        bench.outbox.end_inline(&mut due, bench.now);
    }
    assert_eq!(bench.sequences(0).len(), 8);
}

#[test]
fn what_is_far_too_large_for_the_line_is_left_to_the_writer() {
    let mut bench = Bench::new(CAPACITY);
    bench.open(0, Delivery::default());
    assert_ne!(bench.put(0, &vec![0; 3 * CAPACITY]), Put::NoRoom);
    assert!(!bench.outbox.is_due(3 * CAPACITY) && bench.outbox.wake());
}
