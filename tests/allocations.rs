//! What allocates nothing, counted by an allocator on the thread that calls.

mod support;

use bowline::{Intent, Interest, InterestSettings, Supply, Want};
use serde::{Deserialize, Serialize};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use support::{Kind, SOON, pair, until};

#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
struct Imu {
    gyro: [f32; 3],
    accel: [f32; 3],
    number: u32,
}

fn imu(number: u32) -> Imu {
    Imu { gyro: [0.1; 3], accel: [9.81; 3], number }
}

struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

fn note() {
    // A thread that is ending has no counter left.
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

// Counting allocations takes a `GlobalAlloc`, and that trait is unsafe. Every call is handed on unchanged
// to the system's allocator, so its promises are kept.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note();
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note();
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often this thread allocates during `work`.
fn counted(work: impl FnOnce()) -> u64 {
    let before = COUNT.get();
    work();
    COUNT.get() - before
}

/// Runs rounds until ten in a row allocate nothing: buffers have grown to what they need by then.
fn settles(what: &str, mut round: impl FnMut()) {
    let mut quiet = 0;
    let counts: Vec<_> = (0..500)
        .map_while(|_| {
            let count = counted(&mut round);
            quiet = if count == 0 { quiet + 1 } else { 0 };
            (quiet < 10).then_some(count)
        })
        .collect();
    assert!(quiet == 10, "{what} goes on allocating: {counts:?}");
}

#[test]
fn the_allocator_counts() {
    assert_eq!(counted(|| drop(Box::new(1))), 1);
    assert_eq!(counted(|| ()), 0);
}

#[test]
fn a_send_that_nobody_wants_allocates_nothing() {
    let pair = pair(Kind::Tcp);
    let intent: Intent<Imu> = pair.robot.intent("robot.imu").expect("intent");
    let list: Intent<Vec<u8>> = pair.robot.intent("robot.list").expect("intent");
    let message = vec![7; 1000];
    let allocated = counted(|| {
        for number in 0..1000 {
            let outcome = intent.send(imu(number)).expect("nobody is no error");
            assert_eq!(outcome.taken(), 0);
        }
        // Nor is it encoded.
        list.send(message).expect("nobody is no error");
    });
    assert_eq!(allocated, 0);
}

#[test]
fn sending_and_receiving_over_tcp_settles_to_no_allocation() {
    let pair = pair(Kind::Tcp);
    let intent: Intent<Imu> = pair.robot.intent("robot.imu").expect("intent");
    let interest: Interest<Imu> =
        pair.desk.interest_with("robot.imu", InterestSettings::new().lossless(64)).expect("interest");
    assert!(intent.wait_interest(SOON));
    let mut next = 0;
    settles("a lossless send", || {
        for burst in [1, 1, 30, 1, 33, 2] {
            for number in next..next + burst {
                intent.send_timeout(imu(number), SOON).expect("goes on");
            }
            for number in next..next + burst {
                assert_eq!(*interest.recv_timeout(SOON).expect("arrives"), imu(number));
            }
            next += burst;
        }
    });
}

#[test]
fn a_loop_that_sends_and_one_that_reads_the_latest_settle_to_no_allocation() {
    let pair = pair(Kind::Tcp);
    let intent: Intent<Imu> = pair.robot.intent("robot.imu").expect("intent");
    let interest: Interest<Imu> =
        pair.desk.interest_with("robot.imu", InterestSettings::new().latest()).expect("interest");
    assert!(intent.wait_interest(SOON));
    let stop = &AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            settles("a read of the latest", || {
                for _ in 0..100 {
                    let reading = interest.latest().newest();
                    assert!(reading.is_none_or(|sample| sample.gyro == [0.1; 3]));
                }
                std::thread::yield_now();
            });
            stop.store(true, Ordering::Release);
        });
        let mut next = 0;
        let mut round = || {
            for _ in 0..100 {
                intent.send(imu(next)).expect("never refused");
                next += 1;
            }
        };
        settles("a send", &mut round);
        until("the reader settled too", || {
            round();
            stop.load(Ordering::Acquire)
        });
    });
}

#[test]
fn wrappers_allocate_nothing() {
    let pair = pair(Kind::Tcp);
    let intent = pair.robot.intent::<Imu>("robot.imu").expect("intent");
    let intent =
        intent.rate_limit(f64::INFINITY).dedup().filter(|imu| imu.number < u32::MAX).map(|n| imu(*n));
    let settings = InterestSettings::new().lossless(64);
    let interest = pair.desk.interest_with::<Imu>("robot.imu", settings).expect("interest");
    let odd = interest.filter(|imu| imu.number % 2 == 1).dedup().map(|imu| imu.number).tap(|_| ());
    let odd = odd.rate_limit(f64::INFINITY);
    assert!(intent.wait_interest(SOON));
    let mut next = 0;
    settles("a wrapped route", || {
        for burst in [2, 2, 30, 2, 32, 2] {
            for number in next..next + burst {
                intent.send_timeout(number, SOON).expect("goes on");
            }
            for number in (next..next + burst).filter(|number| number % 2 == 1) {
                assert_eq!(*odd.recv_timeout(SOON).expect("arrives"), number);
            }
            next += burst;
        }
        intent.send_timeout(next + 1, SOON).expect("goes on");
        until("the latest came", || odd.latest().newest().is_some_and(|sample| *sample == next + 1));
        next += 2;
    });
}
