//! Suppliers, a reader and the end of an interest, in every order.

use super::*;
use crate::runtime::clock::Clock;
use crate::runtime::signal::Signal;
use crate::runtime::source::Source;
use crate::sync::interleave;
use shuttle::thread::spawn;
use std::sync::Arc;

const ROUNDS: usize = 1000;
const SAMPLES: u64 = 3;

struct Bench {
    inbox: Arc<Inbox>,
    sources: Vec<(SourceRef, Arc<Signal>)>,
}

fn bench(delivery: Delivery, suppliers: usize) -> Bench {
    let route = Route::parse("Imu@robot.imu").unwrap();
    let inbox = Arc::new(Inbox::new(InterestId(1), route.clone(), TypeId::of::<u64>(), delivery, None));
    let sources = (0..suppliers).map(|_| {
        let room = Arc::<Signal>::default();
        let source = Source::local(route.clone(), Clock::start(), inbox.window(), Arc::clone(&room));
        inbox.add_supplier(source.clone());
        inbox.supplier_came(&source);
        (source, room)
    });
    let sources = sources.collect();
    Bench { inbox, sources }
}

impl Bench {
    /// Starts a thread for each source, which sends and waits for room where it must.
    fn supply(&self) -> Vec<shuttle::thread::JoinHandle<()>> {
        let start = |(source, room): &(SourceRef, Arc<Signal>)| {
            let (inbox, source, room) = (Arc::clone(&self.inbox), source.clone(), Arc::clone(room));
            spawn(move || {
                for number in 0..SAMPLES {
                    loop {
                        let seen = room.seen();
                        if source.has_room() {
                            break;
                        }
                        assert!(room.wait(seen, None));
                    }
                    if !inbox.deliver_local(&source, Arc::new(number)) {
                        return;
                    }
                }
            })
        };
        self.sources.iter().map(start).collect()
    }

    /// Reads until the end, or until there were so many; checks the order.
    fn read(&self, most: u64) -> u64 {
        let (mut runs, mut next, mut count) = (VecDeque::new(), vec![0; self.sources.len()], 0);
        while count < most {
            match self.inbox.wait_ready(None) {
                Waited::Ready => {}
                ended => {
                    assert_eq!(ended, Waited::Closed);
                    break;
                }
            }
            assert!(self.inbox.take(&mut runs), "it was told that there is something");
            while let Some(mut run) = runs.pop_front() {
                while let Some(taken) = run.next() {
                    let of = self.sources.iter().position(|(source, _)| source == taken.source).unwrap();
                    assert!(taken.sequence >= next[of], "{} came after {}", taken.sequence, next[of]);
                    next[of] = taken.sequence + 1;
                    count += 1;
                    taken.source.took_one(taken.bytes());
                }
            }
        }
        count
    }
}

#[test]
fn a_reader_that_waits_gets_every_sample_and_a_full_supplier_its_room() {
    for window in [1, 2] {
        interleave(ROUNDS, move || {
            let bench = bench(Delivery::Lossless(window), 2);
            let suppliers = bench.supply();
            assert_eq!(bench.read(2 * SAMPLES), 2 * SAMPLES);
            for supplier in suppliers {
                supplier.join().unwrap();
            }
            assert_eq!(bench.inbox.counts().lost_here, 0);
        });
    }
}

#[test]
fn a_slow_reader_counts_what_it_missed() {
    interleave(ROUNDS, || {
        let bench = bench(Delivery::Queue(2), 2);
        let suppliers = bench.supply();
        let inbox = Arc::clone(&bench.inbox);
        let ender = spawn(move || {
            for supplier in suppliers {
                supplier.join().unwrap();
            }
            inbox.close();
        });
        let read = bench.read(u64::MAX);
        ender.join().unwrap();
        let counts = bench.inbox.counts();
        assert_eq!((read + counts.lost_here, counts.received), (2 * SAMPLES, 2 * SAMPLES));
    });
}

#[test]
fn the_end_wakes_a_reader_and_what_came_before_it_is_read() {
    interleave(ROUNDS, || {
        let bench = bench(Delivery::Queue(100), 1);
        let suppliers = bench.supply();
        let inbox = Arc::clone(&bench.inbox);
        let ender = spawn(move || inbox.close());
        let read = bench.read(u64::MAX);
        ender.join().unwrap();
        for supplier in suppliers {
            supplier.join().unwrap();
        }
        assert_eq!(read, bench.inbox.counts().received);
    });
}
