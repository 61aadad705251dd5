use super::*;
use crate::wrap::dedup::{Dedup, Whole};
use crate::wrap::rate_limit::RateLimit;
use crate::wrap::throttled_interest::ThrottledInterest;
use crate::wrap::want::Want;
use crate::wrap::wrapped_interest::WrappedInterest;
use proptest::prelude::*;

fn throttled<T, W: Want<T>>(inner: W, interval: Duration, hand: &Hand) -> ThrottledInterest<W, T> {
    ThrottledInterest::new(inner, interval, hand.time())
}

fn limited<T, W: Want<T>>(inner: W, hertz: f64, hand: &Hand) -> WrappedInterest<W, RateLimit, T, T> {
    WrappedInterest::new(inner, RateLimit::new(hertz, hand.time()))
}

type Changes<W, T> = WrappedInterest<W, Dedup<Whole<T>>, T, T>;

fn changes<T: PartialEq + Clone, W: Want<T>>(inner: W, hand: &Hand) -> Changes<W, T> {
    WrappedInterest::new(inner, Dedup::new(Whole::default(), hand.time()))
}

#[test]
fn what_passes_stays_in_order_and_keeps_its_number() {
    let hand = Hand::new();
    let seen = Arc::new(Mutex::new(0));
    let noted = Arc::clone(&seen);
    let even = each_ms(&hand, 10)
        .tap(move |_| *noted.lock() += 1)
        .filter(|value| value % 2 == 0)
        .map(|value| f64::from(*value) / 2.0);
    let got: Vec<(u64, f64)> = even.iter().map(|sample| (sample.sequence(), *sample)).collect();
    assert_eq!(got, [(0, 0.0), (2, 1.0), (4, 2.0), (6, 3.0), (8, 4.0)]);
    assert_eq!(even.withheld(), Withheld { filtered: 5, ..Withheld::default() });
    assert_eq!(*seen.lock(), 10);
}

#[test]
fn a_call_ends_in_time_however_much_is_withheld() {
    let hand = Hand::new();
    let none = Script::flood(&hand, 0..u32::MAX >> 12).filter(|_| false);
    let error = none.recv_timeout(MS * 3).unwrap_err();
    assert!(matches!(error, RecvError::Timeout { waited, .. } if waited == MS * 3), "{error}");
    assert!(hand.at() <= MS * 3 + MS / 50, "{:?}", hand.at());
    let before = none.withheld().filtered;
    assert!(none.try_recv().unwrap_err().is_empty());
    assert_eq!(none.withheld().filtered - before, 64);
    let error = none.recv_timeout(Duration::ZERO).unwrap_err();
    assert!(matches!(error, RecvError::Timeout { waited: Duration::ZERO, .. }), "{error}");
    assert_eq!(none.withheld().filtered - before, 128);
    assert!(matches!(none.latest(), Reading::Never));
}

#[test]
fn a_throttle_ends_in_time_however_fast_samples_follow() {
    let hand = Hand::new();
    let newest = throttled(Script::flood(&hand, 0..u32::MAX >> 12), MS * 20, &hand);
    assert_eq!(newest.try_recv().map(|sample| *sample).ok(), Some(63));
    let from = hand.at();
    assert!(newest.try_recv().unwrap_err().is_empty());
    assert!(newest.recv_timeout(MS * 5).unwrap_err().is_timeout());
    assert!(hand.at() - from <= MS * 7, "{:?}", hand.at() - from);
    assert!(newest.recv().is_ok());
    // Even one that never holds anything back.
    let each = throttled(Script::flood(&hand, 0..u32::MAX >> 12), Duration::ZERO, &hand);
    assert_eq!(each.latest().newest().map(|sample| *sample), Some(63));
}

#[test]
fn a_throttle_hands_out_the_newest_once_in_an_interval() {
    let hand = Hand::new();
    let newest = throttled(each_ms(&hand, 100), MS * 20, &hand);
    let got: Vec<(Duration, u32)> = newest.iter().map(|sample| (hand.at(), *sample)).collect();
    assert_eq!(got, [(START, 0), (MS * 20, 20), (MS * 40, 40), (MS * 60, 60), (MS * 80, 80), (MS * 99, 99)]);
    assert_eq!(newest.withheld(), Withheld { replaced: 94, ..Withheld::default() });
}

#[test]
fn the_last_of_a_burst_comes_when_its_interval_is_over() {
    let hand = Hand::new();
    let coming = [(START, 0), (MS, 1), (MS * 2, 2), (MS * 500, 3)];
    let newest = throttled(Script::new(&hand, coming), MS * 20, &hand);
    assert_eq!(newest.recv().map(|sample| *sample).ok(), Some(0));
    // One call may not wait so long; what it took is not lost.
    assert!(newest.recv_timeout(MS * 5).unwrap_err().is_timeout());
    assert_eq!(hand.at(), MS * 5);
    assert!(newest.try_recv().unwrap_err().is_empty());
    assert_eq!(newest.recv().map(|sample| *sample).ok(), Some(2));
    assert_eq!(hand.at(), MS * 20);
    // After silence the next one comes at once, and when all is over what is held does.
    assert_eq!(newest.recv().map(|sample| *sample).ok(), Some(3));
    assert_eq!(hand.at(), MS * 500);
    assert!(newest.recv().unwrap_err().is_closed());
    assert_eq!(newest.withheld().total(), 1);
}

#[test]
fn a_throttled_latest_changes_once_in_an_interval_and_never_waits() {
    let hand = Hand::new();
    let newest = throttled(each_ms(&hand, 1000), MS * 20, &hand);
    let mut got = Vec::new();
    for cycle in 0..60 {
        hand.to(MS * cycle);
        got.extend(newest.latest().newest().map(|sample| *sample));
        assert_eq!(hand.at(), MS * cycle);
    }
    let expected: Vec<u32> = (0..60).map(|cycle| cycle / 20 * 20).collect();
    assert_eq!(got, expected);
}

#[test]
fn a_rate_limit_keeps_its_rate_though_the_source_is_out_of_step() {
    let hand = Hand::new();
    for (every, hertz, seconds) in
        [(1_050_u32, 100.0, 10_u32), (9_000, 100.0, 10), (1_000, 30.0, 10), (7, 1e3, 1)]
    {
        let count = seconds * 1_000_000 / every;
        let from = hand.at();
        let coming = (0..count).map(|i| (from + Duration::from_micros(u64::from(i * every)), i));
        let few = limited(Script::new(&hand, coming), hertz, &hand);
        let passed: Vec<Duration> = few.iter().map(|_| hand.at()).collect();
        let expected = f64::from(seconds) * hertz;
        assert!((passed.len() as f64 - expected).abs() <= 2.0, "{} at {hertz} Hz of {every}", passed.len());
        assert_eq!(few.withheld().over_rate, u64::from(count) - passed.len() as u64);
        // In the time of n periods at most n + 1 pass.
        for n in [1_u32, 2, 10] {
            let span = Duration::from_secs_f64(f64::from(n) / hertz);
            let most = passed
                .iter()
                .map(|start| passed.iter().filter(|at| *at >= start && **at < *start + span).count());
            assert!(most.max() <= Some(n as usize + 1), "{n} periods of {hertz} Hz, {every}");
        }
    }
}

#[test]
fn a_rate_that_is_none_lets_only_the_first_pass() {
    for (hertz, passing) in
        [(0.0, 1), (-1.0, 1), (f64::NAN, 1), (f64::INFINITY, 50), (1e300, 50), (1e-300, 1)]
    {
        let hand = Hand::new();
        let few = limited(each_ms(&hand, 50), hertz, &hand);
        assert_eq!(few.iter().count(), passing, "{hertz}");
    }
}

#[test]
fn equal_ones_are_withheld_until_they_are_wanted_as_a_sign_of_life() {
    let hand = Hand::new();
    let values = [1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1];
    let coming = || values.iter().enumerate().map(|(i, value)| (hand.at() + MS * i as u32, *value)).collect();
    let at_once: Vec<_> = coming();
    let changed = changes(Script::new(&hand, at_once), &hand);
    let got: Vec<i32> = changed.iter().map(|sample| *sample).collect();
    assert_eq!(got, [1, 2, 1]);
    assert_eq!(changed.withheld(), Withheld { repeated: 9, ..Withheld::default() });
    let later: Vec<_> = coming();
    let alive = changes(Script::new(&hand, later), &hand).keep_alive(MS * 3);
    let got: Vec<(u64, i32)> = alive.iter().map(|sample| (sample.sequence(), *sample)).collect();
    assert_eq!(got, [(0, 1), (2, 2), (5, 1), (8, 1), (11, 1)]);
}

#[test]
fn a_key_decides_what_is_equal_and_nan_equals_nothing() {
    let hand = Hand::new();
    let floats = [0.1, 0.4, 0.6, f32::NAN, f32::NAN].map(|value| (START, value));
    let rounded = Script::new(&hand, floats).dedup_by_key(|value| value.round());
    assert_eq!(rounded.iter().map(|sample| sample.sequence()).collect::<Vec<_>>(), [0, 2, 3, 4]);
}

#[test]
fn latest_is_the_newest_that_passed_each_looked_at_once() {
    let hand = Hand::new();
    let coming = [(START, 1), (MS, 2), (MS * 2, 3), (MS * 9, 5)];
    let script = Script { fresh_for: Some(Duration::from_secs(3600)), ..Script::new(&hand, coming) };
    script.sent.set(Clock::start().now());
    let mut sum = 0;
    let total = script.filter(|value| *value != 3).map(move |value| {
        sum += value;
        sum
    });
    hand.to(MS * 2);
    for _ in 0..3 {
        assert!(matches!(total.latest(), Reading::Fresh(sample) if (*sample, sample.sequence()) == (3, 1)));
    }
    hand.to(MS * 9);
    assert_eq!(total.latest().newest().map(|sample| *sample), Some(8));
    assert_eq!(total.withheld().filtered, 1);
}

#[test]
fn latest_says_how_old_the_one_that_passed_is_and_whether_anybody_is_there() {
    let hand = Hand::new();
    let coming = [(START, 7), (MS, 0)];
    // Sent at the epoch, so it is old.
    let script = Script { fresh_for: Some(MS), ..Script::new(&hand, coming) };
    let positive = (&script).filter(|value| *value > 0);
    assert!(matches!(positive.latest(), Reading::Stale(sample) if *sample == 7));
    hand.to(MS);
    script.sent.set(Clock::start().now() + Duration::from_secs(3600));
    // A younger one came, but it did not pass.
    assert!(matches!(positive.latest(), Reading::Stale(sample) if *sample == 7));
    script.suppliers.set(0);
    assert!(matches!(positive.latest(), Reading::LinkDown(Some(sample)) if *sample == 7));
    assert!(matches!((&script).map(|value| value + 1).latest(), Reading::LinkDown(None)));
}

#[test]
fn wrappers_work_from_the_inside_out() {
    let hand = Hand::new();
    let odd = |value: &u32| value % 2 == 1;
    let newest_odd = throttled(each_ms(&hand, 81).filter(odd), MS * 20, &hand);
    assert_eq!(newest_odd.iter().map(|sample| *sample).collect::<Vec<_>>(), [1, 21, 41, 61, 79]);
    let hand = Hand::new();
    let newest_if_odd = throttled(each_ms(&hand, 82), MS * 20, &hand).filter(odd);
    assert_eq!(newest_if_odd.iter().map(|sample| *sample).collect::<Vec<_>>(), [81]);
}

#[test]
fn a_boxed_stack_is_one_too_and_moves_to_another_thread() {
    let hand = Hand::new();
    let boxed: Box<dyn Want<u32> + Send> = Box::new(each_ms(&hand, 5).filter(|value| *value > 2));
    let more = boxed.map(|value| value * 10).throttle(Duration::ZERO);
    let got = std::thread::spawn(move || (more.iter().map(|sample| *sample).collect(), more.withheld()));
    let (values, withheld): (Vec<u32>, Withheld) = got.join().expect("no panic");
    assert_eq!((values, withheld.filtered), (vec![30, 40], 3));
}

proptest! {
    /// Whatever the stack and the calls: nothing is lost or doubled, and order stays.
    #[test]
    fn every_sample_is_handed_out_or_counted(
        gaps in prop::collection::vec((0u64..8, 0u32..4), 1..200),
        stack in prop::collection::vec(0u8..5, 0..5),
        calls in prop::collection::vec(0u8..3, 1..50),
    ) {
        let hand = Hand::new();
        let mut at = Duration::ZERO;
        let count = gaps.len();
        let coming = gaps.into_iter().map(|(gap, value)| {
            at += MS * gap as u32;
            (at, value)
        });
        let mut wanted: Box<dyn Want<u32>> = Box::new(Script::new(&hand, coming.collect::<Vec<_>>()));
        for layer in stack {
            wanted = match layer {
                0 => Box::new(wanted.filter(|value| *value > 0)),
                1 => Box::new(wanted.map(|value| value + 1)),
                2 => Box::new(throttled(wanted, MS * 7, &hand)),
                3 => Box::new(limited(wanted, 200.0, &hand)),
                _ => Box::new(changes(wanted, &hand)),
            };
        }
        let mut got = Vec::new();
        for call in calls.into_iter().cycle().take(10_000) {
            let from = hand.at();
            let found = match call {
                0 => wanted.try_recv(),
                1 => wanted.recv_timeout(MS * 3),
                _ => wanted.recv(),
            };
            match call {
                0 => prop_assert_eq!(hand.at(), from),
                1 => prop_assert!(hand.at() <= from + MS * 3),
                _ => {}
            }
            match found {
                Ok(sample) => got.push(sample.sequence()),
                Err(error) if error.is_closed() => break,
                Err(_) => hand.forward(MS),
            }
        }
        prop_assert!(got.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", got);
        prop_assert_eq!(got.len() as u64 + wanted.withheld().total(), count as u64);
    }
}
