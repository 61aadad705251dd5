use super::*;
use crate::wrap::dedup::{Dedup, Whole};
use crate::wrap::rate_limit::RateLimit;
use crate::wrap::supply::Supply;
use crate::wrap::throttled_intent::ThrottledIntent;
use crate::wrap::wrapped_intent::WrappedIntent;
use proptest::prelude::*;

fn throttled<T, S: Supply<T>>(inner: S, interval: Duration, hand: &Hand) -> ThrottledIntent<S, T> {
    ThrottledIntent::new(inner, interval, hand.time())
}

fn limited<S>(inner: S, hertz: f64, hand: &Hand) -> WrappedIntent<S, RateLimit> {
    WrappedIntent::new(inner, RateLimit::new(hertz, hand.time()))
}

fn changes<T, S: Supply<T>>(inner: S, hand: &Hand) -> WrappedIntent<S, Dedup<Whole<T>>> {
    WrappedIntent::new(inner, Dedup::new(Whole::default(), hand.time()))
}

fn fate<T>(sent: Result<Outcome, SendError<T>>) -> Option<Fate> {
    sent.ok().map(Outcome::worst)
}

#[test]
fn what_a_filter_withholds_is_told_and_counted() {
    let hand = Hand::new();
    let notes = Notes::new(&hand);
    let positive = (&notes).filter(|value: &i32| *value > 0);
    assert_eq!(fate(positive.send(1)), Some(Fate::Queued));
    let outcome = positive.send_shared(Arc::new(-1)).expect("withheld is no error");
    assert_eq!((outcome.taken(), outcome.worst()), (0, Fate::Withheld));
    assert_eq!(*notes.sent.lock(), [(START, 1)]);
    assert_eq!(positive.withheld(), Withheld { filtered: 1, ..Withheld::default() });
}

#[test]
fn an_error_gives_back_what_was_given() {
    let hand = Hand::new();
    let notes: Notes<usize> = Notes::new(&hand);
    let lengths = (&notes).map(|text: &String| text.len()).tap(|text| assert!(!text.is_empty()));
    assert!(lengths.send("four".to_owned()).is_ok());
    *notes.fails.lock() = true;
    let error = lengths.send("seventh".to_owned()).unwrap_err();
    assert!(error.is_closed());
    assert_eq!(error.into_inner(), "seventh");
    let shared = Arc::new("third".to_owned());
    let error = lengths.send_shared(Arc::clone(&shared)).unwrap_err();
    assert!(Arc::ptr_eq(&error.into_inner(), &shared));
    assert_eq!(*notes.sent.lock(), [(START, 4)]);
}

#[test]
fn what_could_not_be_sent_is_no_duplicate_and_uses_up_no_rate() {
    let hand = Hand::new();
    let notes: Notes<i32> = Notes::new(&hand);
    let speed = changes(limited(&notes, 10.0, &hand), &hand);
    *notes.fails.lock() = true;
    assert!(speed.send(5).is_err());
    *notes.fails.lock() = false;
    assert_eq!(fate(speed.send(5)), Some(Fate::Queued));
    // Over the rate: withheld further down, so it is not yet the last one sent.
    assert_eq!(fate(speed.send(6)), Some(Fate::Withheld));
    hand.forward(MS * 100);
    assert_eq!(fate(speed.send(6)), Some(Fate::Queued));
    assert_eq!(fate(speed.send(6)), Some(Fate::Withheld));
    assert_eq!(speed.withheld(), Withheld { over_rate: 1, repeated: 1, ..Withheld::default() });
}

#[test]
fn who_comes_later_gets_an_equal_one_too() {
    let hand = Hand::new();
    let notes: Notes<i32> = Notes::new(&hand);
    *notes.interested.lock() = 0;
    let mode = changes(&notes, &hand);
    assert_eq!(fate(mode.send(1)), Some(Fate::NoInterest));
    assert_eq!(fate(mode.send(1)), Some(Fate::Withheld));
    *notes.interested.lock() = 1;
    assert_eq!(fate(mode.send(1)), Some(Fate::Queued));
    assert_eq!(fate(mode.send(1)), Some(Fate::Withheld));
    *notes.interested.lock() = 2;
    assert_eq!(fate(mode.send(1)), Some(Fate::Queued));
    *notes.interested.lock() = 1;
    assert_eq!(fate(mode.send(1)), Some(Fate::Withheld));
}

#[test]
fn an_equal_one_is_a_sign_of_life_now_and_then() {
    let hand = Hand::new();
    let notes: Notes<i32> = Notes::new(&hand);
    let mode = changes(&notes, &hand).keep_alive(MS * 10);
    for _ in 0..25 {
        mode.send(7).expect("sends");
        hand.forward(MS);
    }
    let at: Vec<Duration> = notes.sent.lock().iter().map(|(at, _)| *at).collect();
    assert_eq!(at, [START, MS * 10, MS * 20]);
}

#[test]
fn a_throttle_sends_once_in_an_interval_and_holds_the_newest() {
    let hand = Hand::new();
    let notes: Notes<u32> = Notes::new(&hand);
    let speed = throttled(&notes, MS * 20, &hand);
    for value in 0..50 {
        hand.to(MS * value);
        let expected = if value % 20 == 0 { Fate::Queued } else { Fate::Held };
        assert_eq!(fate(speed.send(value)), Some(expected));
    }
    assert_eq!(*notes.sent.lock(), [(START, 0), (MS * 20, 20), (MS * 40, 40)]);
    // The last one waits for its turn.
    assert!(speed.flush_due().expect("sends").is_none());
    hand.to(MS * 60);
    assert_eq!(speed.flush_due().expect("sends").map(Outcome::worst), Some(Fate::Queued));
    assert_eq!(notes.sent.lock().last(), Some(&(MS * 60, 49)));
    assert_eq!(speed.withheld(), Withheld { replaced: 46, ..Withheld::default() });
    // Or is sent before it, and counts for the next.
    hand.to(MS * 61);
    assert_eq!(fate(speed.send(61)), Some(Fate::Held));
    assert!(speed.flush().expect("sends").is_some());
    assert!(speed.flush().expect("nothing to do").is_none());
    hand.to(MS * 80);
    assert_eq!(fate(speed.send(80)), Some(Fate::Held));
    drop(speed);
    assert_eq!(notes.sent.lock()[4..], [(MS * 61, 61), (MS * 80, 80)]);
}

#[test]
fn what_a_throttle_cannot_send_is_held_as_before() {
    let hand = Hand::new();
    let notes: Notes<u32> = Notes::new(&hand);
    let speed = throttled(&notes, MS * 20, &hand);
    speed.send(0).expect("sends");
    speed.send_shared(Arc::new(1)).expect("is held");
    hand.forward(MS * 20);
    *notes.fails.lock() = true;
    assert!(speed.flush_due().unwrap_err().is_closed());
    assert_eq!(speed.send(2).unwrap_err().into_inner(), 2);
    assert_eq!(speed.withheld().total(), 0);
    *notes.fails.lock() = false;
    assert!(speed.flush().expect("sends").is_some());
    assert_eq!(*notes.sent.lock(), [(START, 0), (MS * 20, 1)]);
}

#[test]
fn the_newest_wins_though_an_equal_one_was_sent_before_the_one_that_is_held() {
    let hand = Hand::new();
    let notes: Notes<char> = Notes::new(&hand);
    let mode = changes(throttled(&notes, MS * 20, &hand), &hand);
    let fates = ['a', 'b', 'a'].map(|value| fate(mode.send(value)));
    assert_eq!(fates, [Fate::Queued, Fate::Held, Fate::Held].map(Some));
    mode.flush().expect("sends");
    assert_eq!(notes.sent.lock().last(), Some(&(START, 'a')));
    // One that is held goes when its turn has come and it is said again.
    assert_eq!(fate(mode.send('c')), Some(Fate::Held));
    hand.forward(MS * 20);
    assert_eq!(fate(mode.send('c')), Some(Fate::Queued));
    assert_eq!(fate(mode.send('c')), Some(Fate::Withheld));
}

#[test]
fn flush_reaches_a_throttle_below_others() {
    let hand = Hand::new();
    let notes: Notes<u32> = Notes::new(&hand);
    let inner = throttled(&notes, MS * 20, &hand).filter(|value| *value < 100);
    let outer = throttled(inner.map(|value: &u64| *value as u32), MS * 5, &hand);
    for value in 0..4 {
        outer.send(value).expect("sends");
    }
    assert!(outer.flush().expect("sends").is_some());
    assert_eq!(notes.sent.lock().last(), Some(&(START, 3)));
}

#[test]
fn a_boxed_stack_is_one_too_and_moves_to_another_thread() {
    let robot = Endpoint::builder("robot").start().expect("starts");
    let intent = robot.intent::<u32>("robot.count").expect("an intent");
    let boxed: Box<dyn Supply<u32> + Send> = Box::new(intent.filter(|value| *value > 2));
    let more = boxed.map(|value: &u64| *value as u32).throttle(Duration::ZERO).rate_limit(f64::INFINITY);
    let sent = std::thread::spawn(move || (fate(more.send(1)), fate(more.send(3)), more.interested()));
    assert_eq!(sent.join().expect("no panic"), (Some(Fate::Withheld), Some(Fate::NoInterest), 0));
}

proptest! {
    /// Where nothing is filtered or over a rate, the last message that was given is the last one sent.
    #[test]
    fn the_last_message_wins(
        given in prop::collection::vec((0u32..8, 0u32..3, 0u8..3), 1..200),
        stack in prop::collection::vec(0u8..2, 0..5),
    ) {
        let hand = Hand::new();
        let notes: Notes<u32> = Notes::new(&hand);
        let mut mode: Box<dyn Supply<u32> + '_> = Box::new(&notes);
        for layer in stack {
            mode = match layer {
                0 => Box::new(throttled(mode, MS * 7, &hand)),
                _ => Box::new(changes(mode, &hand)),
            };
        }
        for (gap, value, flush) in given {
            hand.forward(MS * gap);
            mode.send(value).expect("sends");
            if flush == 0 {
                mode.flush_due().expect("sends");
            }
            if flush == 1 {
                mode.flush().expect("sends");
                prop_assert_eq!(notes.sent.lock().last().map(|sent| sent.1), Some(value));
            }
        }
    }

    /// Whatever the stack: a message is sent, comes back, or is counted, and order stays.
    #[test]
    fn every_message_is_sent_comes_back_or_is_counted(
        gaps in prop::collection::vec((0u32..8, 0u32..4, prop::bool::weighted(0.2)), 1..200),
        stack in prop::collection::vec(0u8..4, 0..5),
    ) {
        let hand = Hand::new();
        let notes: Notes<(usize, u32)> = Notes::new(&hand);
        let mut speed: Box<dyn Supply<(usize, u32)> + '_> = Box::new(&notes);
        for layer in stack {
            speed = match layer {
                0 => Box::new(speed.filter(|value| value.1 > 0)),
                1 => Box::new(throttled(speed, MS * 7, &hand)),
                2 => Box::new(limited(speed, 200.0, &hand)),
                _ => Box::new(speed.dedup_by_key(|value| value.1)),
            };
        }
        let count = gaps.len();
        let mut back = 0;
        for (number, (gap, value, fails)) in gaps.into_iter().enumerate() {
            hand.forward(MS * gap);
            *notes.fails.lock() = fails;
            back += u64::from(speed.send((number, value)).is_err());
        }
        *notes.fails.lock() = false;
        prop_assert!(speed.flush().is_ok());
        let withheld = speed.withheld().total();
        drop(speed);
        let sent: Vec<usize> = notes.sent.lock().iter().map(|(_, (number, _))| *number).collect();
        prop_assert!(sent.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", sent);
        prop_assert_eq!(sent.len() as u64 + withheld + back, count as u64);
    }
}
