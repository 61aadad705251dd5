//! Callbacks that are called for samples which follow each other.

use super::*;
use crate::bytes::Payload;
use crate::flow::run::Taken;
use crate::runtime::clock::Clock;
use crate::runtime::inbox::Callback;
use crate::runtime::outlets::Retained;
use crate::runtime::source::SourceRef;
use crate::time::Timestamp;
use std::sync::mpsc;
use std::time::Duration;

/// An interest whose callback this is, supplied under alias 1.
fn calling(bed: &Bed, delivery: Delivery, callback: Callback) -> (Arc<Inbox>, SourceRef) {
    let route = Route::parse("Imu@robot.imu").unwrap();
    let message = TypeId::of::<Bytes>();
    let inbox = Arc::new(Inbox::new(InterestId(1), route.clone(), message, delivery, Some(callback)));
    let source = Source::remote(route, &bed.line, 1, inbox.window());
    bed.line.change(Change::Open(1, Inlet { inbox: Arc::clone(&inbox), source: source.clone() }));
    source.open();
    (inbox, source)
}

fn encoded<'a>(taken: &'a Taken<'_, SourceRef>) -> &'a Payload<'a> {
    match &taken.content {
        Content::Encoded(payload) => payload,
        Content::Local(_) => panic!("it came over a line"),
    }
}

fn numbered(count: u32) -> Vec<Vec<u8>> {
    (0..count).map(|number| message(1, &number.to_le_bytes().repeat(16))).collect()
}

#[test]
fn each_of_many_samples_is_called_for_once_in_order_and_what_is_kept_stays_whole() {
    const COUNT: u32 = 20_000;
    // Most share the chunk they came in; with little in each chunk all are copied.
    for at_once in [100_000, 700] {
        let bed = bed();
        let (kept, got) = mpsc::channel();
        let callback = Box::new(move |taken: Taken<'_, SourceRef>| {
            kept.send((taken.sequence, encoded(&taken).to_bytes())).unwrap();
            Called::Done
        });
        let (inbox, _source) = calling(&bed, Delivery::Lossless(COUNT), callback);
        bed.script.say(&numbered(COUNT).concat(), at_once);
        read_to_end(&mut Reader::resumed(&bed.line, MAX_FRAME, &[]));
        assert_eq!(inbox.counts().received, u64::from(COUNT));
        let got: Vec<_> = got.try_iter().collect();
        assert_eq!(got.len(), COUNT as usize);
        for (number, (sequence, bytes)) in (0_u32..).zip(&got) {
            assert_eq!(*sequence, u64::from(number));
            assert_eq!(bytes[..], number.to_le_bytes().repeat(16)[..]);
        }
    }
}

#[test]
fn nobody_is_called_for_what_was_not_granted() {
    let bed = bed();
    let calls = Arc::new(Mutex::new(0));
    let called = Arc::clone(&calls);
    // It takes nothing, as it were: credit is given when it returns.
    let (_inbox, source) = calling(
        &bed,
        Delivery::Lossless(50),
        Box::new(move |_| {
            *called.lock().unwrap() += 1;
            Called::Done
        }),
    );
    source.end();
    assert_eq!(bed.fault(&numbered(200)), ReasonCode::NoCredit);
    assert_eq!(*calls.lock().unwrap(), 50);
}

#[test]
fn a_callback_that_panicked_is_not_called_for_those_that_follow() {
    let bed = bed();
    let calls = Arc::new(Mutex::new(0));
    let called = Arc::clone(&calls);
    let (inbox, _source) = calling(
        &bed,
        Delivery::Lossless(1000),
        Box::new(move |taken| {
            *called.lock().unwrap() += 1;
            if taken.sequence == 70 { Called::Panicked } else { Called::Done }
        }),
    );
    bed.stream(&numbered(200));
    assert_eq!(*calls.lock().unwrap(), 71);
    assert!(inbox.is_closed());
}

/// Many samples that came at once do not keep others from the callback.
#[test]
fn another_thread_has_its_turn_between_two_samples() {
    let bed = bed();
    let (begun, wait) = mpsc::channel();
    let order = Arc::new(Mutex::new(Vec::new()));
    let (seen, other_came) = (Arc::clone(&order), Mutex::new(false));
    let callback = Box::new(move |taken: Taken<'_, SourceRef>| {
        let other = matches!(&taken.content, Content::Encoded(payload) if payload.as_slice() == b"other");
        seen.lock().unwrap().push(other);
        let mut came = other_came.lock().unwrap();
        *came |= other;
        // From the second on they follow each other.
        if !*came && taken.sequence >= 2 {
            let _ = begun.send(());
            std::thread::sleep(Duration::from_millis(1));
        }
        Called::Done
    });
    let (inbox, _source) = calling(&bed, Delivery::Queue(9), callback);
    let there = Arc::clone(&inbox);
    let other = std::thread::spawn(move || {
        wait.recv().unwrap();
        let source = Source::local(there.route.clone(), Clock::start(), None, Arc::default());
        let payload = Bytes::copy_from_slice(b"other");
        there.deliver_first(&source, &Retained { sent: Timestamp::ZERO, payload, number: 1 });
    });
    // All of them lie in one chunk.
    bed.script.say(&numbered(1500).concat(), usize::MAX);
    read_to_end(&mut Reader::resumed(&bed.line, MAX_FRAME, &[]));
    other.join().unwrap();
    let order = order.lock().unwrap();
    let place = order.iter().position(|other| *other).expect("it came");
    assert!(place < order.len() - 1, "behind all {place}");
}

#[test]
fn what_a_callback_holds_is_dropped_by_whoever_was_in_it_when_it_was_given_up() {
    let bed = bed();
    let held = Arc::new(());
    let holds = Arc::clone(&held);
    let (inbox, _source) = calling(
        &bed,
        Delivery::Queue(9),
        Box::new(move |_| {
            let _holds = &holds;
            Called::Done
        }),
    );
    let calls = inbox.enter();
    let there = Arc::clone(&inbox);
    std::thread::spawn(move || there.discard()).join().unwrap();
    assert_eq!(Arc::strong_count(&held), 2, "it is in use");
    drop(calls);
    assert_eq!(Arc::strong_count(&held), 1);
}
