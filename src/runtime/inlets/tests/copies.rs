//! Samples that come twice, by the link that carries the session and by one that stands by.

use super::*;
use crate::runtime::reader::tests::frame as control_frame;
use crate::time::Timestamp;
use crate::wire::copied::{Copied, put_copied};
use proptest::prelude::*;

/// A session, and a line that stands by for it.
struct Two {
    bed: Bed,
    other: Bed,
}

fn two() -> Two {
    let two = Two { bed: bed(), other: bed() };
    two.bed.line.has_standing_by(&two.other.line);
    two
}

impl Two {
    /// The link that stands by brings these frames.
    fn copies(&self, frames: &[Vec<u8>]) {
        self.other.stream(frames);
    }

    /// The same, where a rule is broken.
    fn fault(&self, frames: &[Vec<u8>]) -> ReasonCode {
        self.other.fault(frames)
    }
}

fn copy_of(alias: u32, ends: u32, number: u64, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let sent = Timestamp::from_micros(1_000_000 + number);
    put_copied(&mut bytes, &Copied { alias, ends, number, sent, payload });
    bytes
}

fn copy(number: u64, payload: &[u8]) -> Vec<u8> {
    copy_of(1, 0, number, payload)
}

const ALL: [Delivery; 3] = [Delivery::Lossless(9), Delivery::Queue(9), Delivery::Lossless(2)];

#[test]
fn whichever_comes_first_is_taken_and_the_other_dropped() {
    for delivery in ALL {
        let two = two();
        let (inbox, source) = open(&two.bed.line, 1, delivery);
        two.copies(&[copy(0, b"a")]);
        two.bed.stream(&[message(1, b"a"), message(1, b"b")]);
        two.copies(&[copy(1, b"b")]);
        assert_eq!(read_all(&inbox), samples(&[b"a", b"b"]));
        two.copies(&[copy(2, b"c"), copy(3, b"d")]);
        assert_eq!(read_all(&inbox), [(2, b"c".to_vec()), (3, b"d".to_vec())], "before the stream has them");
        two.bed.stream(&[message(1, b"c"), message(1, b"d"), message(1, b"e")]);
        assert_eq!(read_all(&inbox), [(4, b"e".to_vec())]);
        assert_eq!((source.lost_on_the_way(), source.lost_there()), (0, 0));
    }
}

#[test]
fn the_newest_copy_is_the_newest_sample() {
    let two = two();
    let (inbox, source) = open(&two.bed.line, 1, Delivery::Latest);
    two.copies(&[copy(0, b"a"), copy(1, b"b"), copy(2, b"c")]);
    let mut slot = Slot::default();
    assert!(inbox.take_latest(&mut slot));
    let taken = slot.view().expect("it is full");
    assert_eq!((taken.sequence, source.lost_here()), (2, 2));
    two.bed.stream(&[message(1, b"a"), message(1, b"b"), message(1, b"c")]);
    assert!(!inbox.take_latest(&mut slot), "none of it is new");
}

#[test]
fn one_that_overtakes_others_costs_what_may_be_lost_and_waits_for_what_may_not() {
    let two = two();
    let (lossless, _source) = open(&two.bed.line, 1, Delivery::Lossless(9));
    let (queue, source) = open(&two.bed.line, 2, Delivery::Queue(9));
    two.copies(&[copy(2, b"c"), copy_of(2, 0, 2, b"c")]);
    assert_eq!(read_all(&lossless), []);
    assert_eq!(read_all(&queue), [(2, b"c".to_vec())]);
    assert_eq!(source.lost_on_the_way(), 2);
    let stream = [b"a", b"b", b"c", b"d"].map(|payload| [message(1, payload), message(2, payload)].concat());
    two.bed.stream(&stream);
    assert_eq!(read_all(&lossless), samples(&[b"a", b"b", b"c", b"d"]));
    assert_eq!(read_all(&queue), [(3, b"d".to_vec())], "what came late is not taken after all");
    assert_eq!(source.lost_on_the_way(), 2);
}

#[test]
fn what_was_dropped_there_and_came_by_a_copy_is_not_missed_twice() {
    let two = two();
    let (inbox, source) = open(&two.bed.line, 1, Delivery::Queue(9));
    two.copies(&[copy(0, b"a"), copy(1, b"b")]);
    two.bed.stream(&[gap(1, 3), message(1, b"d")]);
    assert_eq!(read_all(&inbox), [(0, b"a".to_vec()), (1, b"b".to_vec()), (3, b"d".to_vec())]);
    assert_eq!((source.lost_there(), source.lost_on_the_way()), (1, 0));
}

#[test]
fn what_is_coming_in_pieces_or_whole_comes_once() {
    let two = two();
    let (inbox, _source) = open(&two.bed.line, 1, Delivery::Queue(9));
    let a = pieces(1, b"abc");
    two.bed.stream(&a[..2]);
    two.copies(&[copy(0, b"abc"), copy(1, b"x")]);
    assert_eq!(read_all(&inbox), [], "the sample itself is on its way");
    two.bed.connection(&[&[at(1, 0)], &a[..], &[message(1, b"x")]].concat());
    assert_eq!(read_all(&inbox), samples(&[b"abc", b"x"]));
    // Large ones are read where they will lie, outside of all that is known of their alias.
    let large = message(1, &[7; 20_000]);
    two.bed.script.say(&large[..10_000], usize::MAX);
    let mut reader = Reader::resumed(&two.bed.line, MAX_FRAME, &[]);
    assert!(reader.step().is_ok());
    two.copies(&[copy(2, &[7; 20_000]), copy(3, b"y")]);
    two.bed.script.say(&[&large[10_000..], &message(1, b"y"), &message(1, b"z")].concat(), usize::MAX);
    read_to_end(&mut reader);
    let read = read_all(&inbox);
    assert_eq!(read.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [2, 3, 4]);
    assert_eq!((read[0].1.len(), &read[2].1[..]), (20_000, &b"z"[..]));
}

#[test]
fn pieces_of_what_came_by_a_copy_are_dropped() {
    let two = two();
    let (inbox, _source) = open(&two.bed.line, 1, Delivery::Lossless(9));
    two.copies(&[copy(0, b"abc")]);
    two.bed.stream(&[&pieces(1, b"abc")[..], &[message(1, b"d")]].concat());
    assert_eq!(read_all(&inbox), samples(&[b"abc", b"d"]));
}

#[test]
fn a_copy_that_is_late_is_not_taken_for_one_of_the_next_pair() {
    let two = two();
    let (old, _source) = open(&two.bed.line, 1, Delivery::Queue(9));
    two.bed.stream(&[message(1, b"a"), control_frame(&Control::End { alias: 1 })]);
    two.bed.line.change(Change::Close(1));
    two.copies(&[copy(1, b"late")]);
    let (new, source) = open(&two.bed.line, 1, Delivery::Queue(9));
    two.copies(&[copy(0, b"late"), copy(1, b"late"), copy_of(1, 1, 0, b"x"), copy_of(1, 2, 1, b"early")]);
    two.bed.stream(&[message(1, b"x"), message(1, b"y")]);
    assert_eq!(read_all(&old), samples(&[b"a"]));
    assert_eq!(read_all(&new), samples(&[b"x", b"y"]));
    assert_eq!(source.lost_on_the_way(), 0);
}

#[test]
fn copies_of_what_is_not_known_concern_nobody() {
    let two = two();
    two.copies(&[copy(0, b"a"), copy_of(9000, 0, 0, b"a"), copy_of(16_383, 5, 1 << 62, b"")]);
    let (inbox, _source) = open(&two.bed.line, 1, Delivery::Queue(9));
    two.bed.line.change(Change::Drain(1));
    two.copies(&[copy(0, b"a")]);
    assert_eq!(read_all(&inbox), []);
    let (inbox, _source) = open(&two.bed.line, 2, Delivery::Queue(9));
    two.bed.line.finish(None, false, true);
    two.copies(&[copy_of(2, 0, 0, b"a")]);
    assert_eq!(read_all(&inbox), [], "the session is over");
}

#[test]
fn a_copy_needs_credit_as_its_sample_does() {
    let two = two();
    let (inbox, _source) = open(&two.bed.line, 1, Delivery::Lossless(2));
    two.copies(&[copy(0, b"a"), copy(1, b"b")]);
    assert_eq!(two.fault(&[copy(2, b"c")]), ReasonCode::NoCredit);
    assert_eq!(read_all(&inbox), samples(&[b"a", b"b"]));
}

#[test]
fn a_copy_comes_only_where_a_link_stands_by() {
    let two = two();
    let (_inbox, _source) = open(&two.bed.line, 1, Delivery::Queue(9));
    assert_eq!(two.bed.fault(&[copy(0, b"a")]), ReasonCode::Malformed, "it carries the session");
    assert_eq!(two.fault(&[message(1, b"a")]), ReasonCode::UnknownAlias, "no samples of its own");
    let fresh = Script::new(1 << 20);
    let (line, _inputs) = scripted(&fresh);
    fresh.say(&copy(0, b"a"), usize::MAX);
    let mut reader = Reader::new(&line, MAX_FRAME);
    while !matches!(reader.step(), Err(Halt::End(_))) {}
    assert!(matches!(line.next_input(), Some(LineInput::Fault(_))), "a handshake comes first");
}

#[test]
fn more_copies_than_are_handed_over_at_once_come_in_order() {
    let two = two();
    let (inbox, _source) = open(&two.bed.line, 1, Delivery::Queue(2000));
    let copies: Vec<_> = (0..1000_u64).map(|number| copy(number, &number.to_le_bytes())).collect();
    two.other.script.say(&copies.concat(), usize::MAX);
    read_to_end(&mut Reader::resumed(&two.other.line, MAX_FRAME, &[]));
    let read: Vec<_> = (0..1000_u64).map(|number| (number, number.to_le_bytes().to_vec())).collect();
    assert_eq!(read_all(&inbox), read);
}

#[test]
fn copies_are_passed_on_like_samples() {
    let two = two();
    let (to, _inputs) = scripted(&Script::new(0));
    let (_feed, change) = relayed(&two.bed.line, 1, &to);
    two.bed.line.change(change);
    to.credit(Credit { alias: 1, limit: u64::MAX, taken: 0, lost: 0 }).unwrap();
    two.copies(&[copy(0, b"a")]);
    two.bed.stream(&[message(1, b"a"), message(1, b"b")]);
    two.copies(&[copy(1, b"b"), copy(3, b"d")]);
    two.bed.stream(&[message(1, b"c"), message(1, b"d"), message(1, b"e")]);
    let (samples, others) = written(&to);
    assert_eq!(samples, [b"a", b"b", b"d", b"e"].map(|payload| payload.to_vec()));
    assert_eq!(others, [Control::Lost { alias: 1, count: 1 }]);
}

proptest! {
    /// However the stream and the copies go, and wherever the stream begins again: each sample once, in order, none missed
    /// that is not told.
    #[test]
    fn each_sample_comes_once_and_in_order(
        lossless: bool,
        steps in prop::collection::vec((0..4_u8, 0..12_u64), 1..60),
    ) {
        const LAST: u64 = 40;
        let two = two();
        let delivery = if lossless { Delivery::Lossless(100) } else { Delivery::Queue(100) };
        let (inbox, source) = open(&two.bed.line, 1, delivery);
        let (mut stream, mut copied) = (0, 0);
        for (kind, by) in steps {
            match kind {
                0 => {
                    let to = (stream + by).min(LAST);
                    let frames: Vec<_> = (stream..to).map(|number| message(1, &number.to_le_bytes())).collect();
                    two.bed.stream(&frames);
                    stream = to;
                }
                1 => {
                    let to = (copied + by).min(LAST);
                    let frames: Vec<_> = (copied..to).map(|number| copy(number, &number.to_le_bytes())).collect();
                    two.copies(&frames);
                    copied = to;
                }
                // Some copies are left out.
                2 => copied = (copied + by / 3).min(LAST),
                // Another link: from before where the stream was.
                _ => {
                    stream -= by.min(stream);
                    two.bed.connection(&[at(1, stream)]);
                }
            }
        }
        let rest: Vec<_> = (stream..LAST).map(|number| message(1, &number.to_le_bytes())).collect();
        two.bed.stream(&rest);
        let read = read_all(&inbox);
        for (number, payload) in &read {
            prop_assert_eq!(&payload[..], &number.to_le_bytes()[..]);
        }
        prop_assert!(read.windows(2).all(|pair| pair[0].0 < pair[1].0));
        prop_assert_eq!(read.len() as u64 + source.lost_on_the_way(), LAST);
        if lossless {
            prop_assert_eq!(source.lost_on_the_way(), 0);
        }
    }
}
