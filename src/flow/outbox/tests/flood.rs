use super::*;
use crate::flow::outbox::flood::{FEW, NAP, SLICE};

const CAPACITY: usize = 4000;

impl Bench {
    fn nap(&mut self, again: bool) -> Option<Duration> {
        let now = self.now;
        self.outbox.nap(again, || now)
    }

    fn put_many(&mut self, count: u8) {
        for number in 0..count {
            assert!(matches!(self.put(0, &[number; 20]), Put::Queued | Put::Inline));
        }
    }

    fn wait(&mut self, time: Duration) {
        self.now = self.now + time;
    }
}

/// Many batches were just written, and one more sample waits.
fn flooded() -> Bench {
    let mut bench = Bench::new(CAPACITY);
    bench.open(0, Delivery::Lossless(1 << 20));
    for _ in 0..16 {
        bench.put_many(100);
        bench.write_all();
        bench.wait(Duration::from_micros(100));
    }
    bench.put(0, &[0; 20]);
    bench
}

#[test]
fn the_writer_of_a_flooded_line_naps_while_more_comes_and_nobody_wakes_it_for_that() {
    let mut bench = flooded();
    assert_eq!(bench.nap(false), Some(SLICE));
    bench.put_many(10);
    assert!(!bench.outbox.wake());
    bench.wait(SLICE);
    let left = NAP - SLICE - Duration::from_micros(100);
    assert_eq!(bench.nap(true), Some(left), "more came: for no longer than a nap since the last write");
    bench.put_many(10);
    bench.wait(left);
    assert_eq!(bench.nap(true), None, "nobody wrote for so long");
    assert!(bench.write());
}

#[test]
fn a_slice_in_which_nothing_came_ends_the_nap() {
    let mut bench = flooded();
    assert!(bench.nap(false).is_some());
    assert_eq!(bench.nap(true), None);
    // Who found that a few times naps no more.
    let mut naps = 0;
    while bench.nap(false).is_some() {
        naps += 1;
        assert_eq!(bench.nap(true), None);
        assert!(naps < 4);
    }
    assert!(bench.write());
}

#[test]
fn a_sender_writes_what_it_filled_while_the_writer_naps() {
    let mut bench = flooded();
    assert!(bench.nap(false).is_some());
    while !bench.outbox.is_due(20) {
        assert!(!bench.outbox.wake());
        bench.put(0, &[0; 20]);
    }
    let mut due = Batch::default();
    bench.outbox.take_due(&mut due);
    assert!(bench.nap(true).is_none() && !bench.write(), "one writes");
    let bytes = all(&mut due);
    bench.receive(&bytes);
    bench.outbox.end_inline(&mut due, bench.now);
    assert!(!bench.outbox.wake(), "nothing waits");
}

/// The writer naps, this happens, and it comes at once.
fn wakes(name: &str, what: impl FnOnce(&mut Bench)) {
    let mut bench = flooded();
    assert!(bench.nap(false).is_some());
    what(&mut bench);
    assert!(bench.outbox.wake(), "{name}");
    assert!(!bench.outbox.wake(), "{name}: once");
    assert_eq!(bench.nap(false), None, "{name}");
    assert!(bench.write(), "{name}");
}

#[test]
fn what_cannot_wait_wakes_it() {
    wakes("urgent", |bench| assert!(bench.outbox.urgent(&ping(1))));
    wakes("the end", |bench| bench.outbox.close(None, true));
    wakes("no room", |bench| assert_eq!(bench.admits(0, CAPACITY - 20), Put::NoRoom));
    wakes("full", |bench| {
        while bench.outbox.batch.len() < CAPACITY - CAPACITY / 16 {
            bench.put(0, &[0; 20]);
        }
    });
    wakes("no credit", |bench| {
        bench.open(1, Delivery::Lossless(1));
        bench.put(1, &[1]);
        assert!(!bench.outbox.wake(), "it could wait for that");
        assert!(matches!(bench.put(1, &[1]), Put::NoCredit(_)));
    });
}

#[test]
fn where_processors_are_scarce_a_few_samples_at_a_time_are_a_flood() {
    for (count, scarce) in [(FEW as u8, true), (FEW as u8, false), (FEW as u8 - 1, true)] {
        let mut bench = Bench::new(CAPACITY);
        bench.open(0, Delivery::Lossless(1 << 20));
        for _ in 0..20 {
            bench.put_many(count);
            if scarce {
                bench.outbox.note_scarce();
            }
            bench.write_all();
            bench.wait(Duration::from_micros(100));
        }
        bench.put(0, &[0; 20]);
        assert_eq!(bench.nap(false).is_some(), scarce && count == FEW as u8, "{count} {scarce}");
    }
}

#[test]
fn one_batch_that_was_taken_late_is_no_flood() {
    let mut bench = Bench::new(CAPACITY);
    bench.open(0, Delivery::Lossless(1 << 20));
    bench.put_many(FEW as u8);
    bench.outbox.note_scarce();
    bench.write_all();
    for _ in 0..100 {
        bench.put_many(FEW as u8);
        assert_eq!(bench.nap(false), None);
        bench.write_all();
        bench.wait(Duration::from_micros(10));
    }
}

#[test]
fn bursts_with_pauses_few_samples_at_a_time_and_what_is_long_past_are_no_flood() {
    let mut bench = Bench::new(CAPACITY);
    bench.open(0, Delivery::Lossless(1 << 20));
    for _ in 0..100 {
        bench.put_many(100);
        bench.write_all();
        bench.wait(Duration::from_millis(3));
    }
    bench.put(0, &[0]);
    assert_eq!(bench.nap(false), None, "less than a capacity in 4 ms");
    for _ in 0..1000 {
        bench.put_many(10);
        bench.write_all();
    }
    bench.put(0, &[0]);
    assert_eq!(bench.nap(false), None, "ten at a time");

    let mut bench = flooded();
    bench.wait(Duration::from_millis(100));
    assert_eq!(bench.nap(false), None, "long past");
    bench.write_all();
}
