//! What comes again under each kind of alias, and what of it goes missing.

use crate::bytes::Bytes;
use crate::delivery::Delivery;
use crate::event::LostAt;
use crate::flow::mailbox::Slot;
use crate::flow::run::Content;
use crate::proto::InterestId;
use crate::reason::ReasonCode;
use crate::route::Route;
use crate::runtime::inbox::{Called, Inbox};
use crate::runtime::input::{Input, LineInput};
use crate::runtime::line::{Change, Inlet, Line, Load};
use crate::runtime::reader::tests::{
    MAX_FRAME, Script, agreed, frame, message, open, read_all, read_to_end, relayed, scripted,
};
use crate::runtime::reader::{Halt, Reader};
use crate::runtime::source::Source;
use crate::wire::control::{Control, Credit};
use crate::wire::fragment::put_fragment_head;
use crate::wire::{Frame, Limits, Split, Stamp, decode, split};
use crossbeam_channel::Receiver;
use std::any::TypeId;
use std::sync::{Arc, Mutex};

mod calls;
mod copies;

struct Bed {
    script: Arc<Script>,
    line: Arc<Line>,
    _inputs: Receiver<Input>,
}

fn bed() -> Bed {
    let script = Script::new(1 << 20);
    let (line, _inputs) = scripted(&script);
    drop(agreed(&line));
    Bed { script, line, _inputs }
}

impl Bed {
    /// Another connection brings these frames, and ends.
    fn connection(&self, frames: &[Vec<u8>]) {
        self.line.inlets.lock().go_on();
        self.stream(frames);
    }

    /// The connection there is brings these.
    fn stream(&self, frames: &[Vec<u8>]) {
        self.script.say(&frames.concat(), 5000);
        read_to_end(&mut Reader::resumed(&self.line, MAX_FRAME, &[]));
    }

    /// The same, where a rule is broken.
    fn fault(&self, frames: &[Vec<u8>]) -> ReasonCode {
        self.script.say(&frames.concat(), usize::MAX);
        let mut reader = Reader::resumed(&self.line, MAX_FRAME, &[]);
        while !matches!(reader.step(), Err(Halt::End(_))) {}
        match self.line.next_input() {
            Some(LineInput::Fault(reason)) => reason.code(),
            _ => panic!("no rule was broken"),
        }
    }
}

fn at(alias: u32, number: u64) -> Vec<u8> {
    frame(&Control::At { alias, number })
}

fn gap(alias: u32, count: u64) -> Vec<u8> {
    frame(&Control::Gap { alias, count })
}

fn lost(alias: u32, count: u64) -> Vec<u8> {
    frame(&Control::Lost { alias, count })
}

/// A sample in three pieces.
fn pieces(alias: u32, sample: &[u8; 3]) -> Vec<Vec<u8>> {
    let piece = |place: usize| {
        let mut bytes = Vec::new();
        put_fragment_head(&mut bytes, alias, (place == 0).then_some(Stamp(1)), 2 - place as u32, 1);
        bytes.push(sample[place]);
        bytes
    };
    (0..3).map(piece).collect()
}

fn samples(payloads: &[&[u8]]) -> Vec<(u64, Vec<u8>)> {
    (0..).zip(payloads.iter().map(|payload| payload.to_vec())).collect()
}

#[test]
fn a_callback_is_called_once_for_what_comes_twice() {
    let bed = bed();
    let calls = Arc::new(Mutex::new(Vec::new()));
    let called = Arc::clone(&calls);
    let route = Route::parse("Imu@robot.imu").unwrap();
    let inbox = Inbox::new(
        InterestId(1),
        route.clone(),
        TypeId::of::<Bytes>(),
        Delivery::Lossless(2),
        Some(Box::new(move |taken| {
            let Content::Encoded(payload) = &taken.content else { panic!("it came over a line") };
            called.lock().unwrap().push((taken.sequence, payload.as_slice().to_vec()));
            Called::Done
        })),
    );
    let inbox = Arc::new(inbox);
    let source = Source::remote(route, &bed.line, 1, inbox.window());
    bed.line.change(Change::Open(1, Inlet { inbox, source: source.clone() }));
    source.open();
    bed.connection(&[message(1, b"a"), message(1, b"b")]);
    bed.connection(&[at(1, 1), message(1, b"b"), message(1, b"c")]);
    assert_eq!(*calls.lock().unwrap(), samples(&[b"a", b"b", b"c"]));
}

#[test]
fn the_newest_of_latest_stays_the_newest_where_older_ones_come_again() {
    let bed = bed();
    let (inbox, source) = open(&bed.line, 1, Delivery::Latest);
    bed.connection(&[message(1, b"a"), message(1, b"b")]);
    bed.connection(&[at(1, 0), message(1, b"a")]);
    let mut slot = Slot::default();
    assert!(inbox.take_latest(&mut slot));
    let taken = slot.view().expect("it is full");
    let Content::Encoded(payload) = &taken.content else { panic!("it came over a line") };
    assert_eq!((taken.sequence, payload.as_slice()), (1, &b"b"[..]));
    assert_eq!(source.lost_here(), 1);
}

#[test]
fn what_comes_again_needs_no_credit_and_what_follows_does() {
    let bed = bed();
    let (inbox, _source) = open(&bed.line, 1, Delivery::Lossless(2));
    bed.connection(&[message(1, b"a"), message(1, b"b")]);
    bed.connection(&[at(1, 0), message(1, b"a"), message(1, b"b")]);
    let more = [at(1, 0), message(1, b"a"), message(1, b"b"), message(1, b"c")];
    assert_eq!(bed.fault(&more), ReasonCode::NoCredit);
    assert_eq!(read_all(&inbox), samples(&[b"a", b"b"]));
}

#[test]
fn what_is_missing_is_lost_on_the_way_and_credit_goes_on_behind_it_once_all_before_it_is_read() {
    let bed = bed();
    let (inbox, source) = open(&bed.line, 1, Delivery::Lossless(3));
    bed.connection(&[message(1, b"a"), message(1, b"b")]);
    bed.connection(&[at(1, 7)]);
    let told = |limit, taken| Control::Credit(Credit { alias: 1, limit, taken, lost: 5 });
    assert_eq!(bed.script.heard().last(), Some(&told(3, 0)));
    assert_eq!(read_all(&inbox), [(0, b"a".to_vec()), (1, b"b".to_vec())]);
    assert_eq!(bed.script.heard().last(), Some(&told(10, 7)));
    bed.connection(&[message(1, b"c"), gap(1, 2)]);
    assert_eq!(bed.script.heard().last(), Some(&told(10, 7)));
    assert_eq!(read_all(&inbox), [(7, b"c".to_vec())]);
    assert_eq!(bed.script.heard().last(), Some(&told(13, 10)), "at once, as the intent may wait");
    // Nothing is unread.
    bed.connection(&[gap(1, 4)]);
    assert_eq!(bed.script.heard().last(), Some(&told(17, 14)));
    assert_eq!((source.lost_on_the_way(), source.lost_there()), (5, 6));
}

#[test]
fn what_a_broken_connection_was_to_bring_again_is_not_waited_for() {
    let bed = bed();
    let (inbox, source) = open(&bed.line, 1, Delivery::Lossless(4));
    bed.connection(&[message(1, b"a"), message(1, b"b")]);
    bed.connection(&[at(1, 0)]);
    // All of it is known to have come by now.
    bed.connection(&[gap(1, 1), message(1, b"d")]);
    assert_eq!(read_all(&inbox), [(0, b"a".to_vec()), (1, b"b".to_vec()), (3, b"d".to_vec())]);
    assert_eq!(source.lost_there(), 1);
}

#[test]
fn the_newest_at_counts() {
    let bed = bed();
    let (inbox, source) = open(&bed.line, 1, Delivery::Queue(9));
    bed.connection(&[message(1, b"a"), message(1, b"b"), message(1, b"c")]);
    bed.connection(&[at(1, 0), message(1, b"a"), at(1, 2), message(1, b"c"), message(1, b"d")]);
    bed.connection(&[at(1, 1), at(1, 4), message(1, b"e")]);
    assert_eq!(read_all(&inbox), samples(&[b"a", b"b", b"c", b"d", b"e"]));
    assert_eq!(source.lost_on_the_way(), 0);
}

#[test]
fn losses_told_again_are_counted_for_what_is_new_in_them() {
    for (tell, place) in [(gap as fn(u32, u64) -> Vec<u8>, LostAt::There), (lost, LostAt::OnTheWay)] {
        let bed = bed();
        let (inbox, source) = open(&bed.line, 1, Delivery::Queue(9));
        let counted = || match place {
            LostAt::There => (source.lost_there(), source.lost_on_the_way()),
            _ => (source.lost_on_the_way(), source.lost_there()),
        };
        bed.connection(&[message(1, b"a"), tell(1, 3)]);
        bed.connection(&[at(1, 1), tell(1, 2), tell(1, 1), message(1, b"b")]);
        assert_eq!(counted(), (3, 0));
        bed.connection(&[at(1, 2), tell(1, 2), tell(1, 3), message(1, b"c")]);
        assert_eq!(counted(), (5, 0));
        assert_eq!(read_all(&inbox), [(0, b"a".to_vec()), (4, b"b".to_vec()), (7, b"c".to_vec())]);
    }
}

#[test]
fn a_sample_in_pieces_that_comes_again_counts_with_its_last() {
    let bed = bed();
    let (inbox, _source) = open(&bed.line, 1, Delivery::Queue(9));
    let (a, b) = (pieces(1, b"abc"), pieces(1, b"def"));
    bed.connection(&[&a[..], &b[..2]].concat());
    // From the middle of one that is whole, with the next still open.
    bed.connection(&[&[at(1, 0)], &a[1..], &b[..], &[message(1, b"g")]].concat());
    bed.connection(&[&[at(1, 1)], &b[2..], &[message(1, b"g"), message(1, b"h")]].concat());
    assert_eq!(read_all(&inbox), samples(&[b"abc", b"def", b"g", b"h"]));
}

#[test]
fn a_sample_that_is_begun_goes_on_is_given_up_or_is_lost() {
    let bed = bed();
    let (inbox, source) = open(&bed.line, 1, Delivery::Queue(9));
    let of = |sample| pieces(1, sample);
    bed.connection(&of(b"abc")[..1]);
    bed.connection(&[&[at(1, 0)], &of(b"abc")[..2]].concat());
    bed.connection(&[&[at(1, 0)], &of(b"abc")[2..], &of(b"xyz")[..2]].concat());
    bed.connection(&[&[at(1, 1)], &of(b"xyz")[..1], &[gap(1, 2)], &of(b"xyz")[..2]].concat());
    assert_eq!(source.lost_there(), 2);
    bed.connection(&[&[at(1, 4)], &of(b"def")[..]].concat());
    assert_eq!(source.lost_on_the_way(), 1);
    assert_eq!(read_all(&inbox), [(0, b"abc".to_vec()), (4, b"def".to_vec())]);
    assert!(bed.line.inlets.lock().assemblies.is_empty());
}

#[test]
fn a_sample_of_which_the_beginning_was_lost_with_its_link_is_lost() {
    let (a, b) = (pieces(1, b"abc"), pieces(1, b"def"));
    let last = [message(1, b"x")];
    // Of those that went before, all came or one did not; or the rest of it comes only over the link after.
    for (next, first, lost) in [(0, &[][..], 1), (3, &a[1..2], 4)] {
        let bed = bed();
        let (inbox, source) = open(&bed.line, 1, Delivery::Queue(9));
        bed.connection(&[&[at(1, next)], first].concat());
        bed.connection(&[&[at(1, next)], &a[2..], &b[..], &last].concat());
        assert_eq!(read_all(&inbox), [(next + 1, b"def".to_vec()), (next + 2, b"x".to_vec())]);
        assert_eq!((source.lost_on_the_way(), source.lost_there()), (lost, 0));
    }
    // Nothing of that is so where nothing may be lost, or where the number was not told.
    for (delivery, told) in [(Delivery::Lossless(9), true), (Delivery::Queue(9), false)] {
        let bed = bed();
        let (_inbox, _source) = open(&bed.line, 1, delivery);
        let told = if told { vec![at(1, 0)] } else { vec![message(1, b"x")] };
        assert_eq!(bed.fault(&[told, a[1..].to_vec()].concat()), ReasonCode::Malformed);
    }
    let bed = bed();
    let (_inbox, _source) = open(&bed.line, 1, Delivery::Queue(9));
    let second = [&[at(1, 0), message(1, b"x")], &a[1..]].concat();
    assert_eq!(bed.fault(&second), ReasonCode::Malformed, "it is not the first that follows");
}

#[test]
fn what_a_connection_was_told_says_nothing_of_pieces_on_the_next() {
    let bed = bed();
    let (_inbox, _source) = open(&bed.line, 1, Delivery::Queue(9));
    bed.connection(&[at(1, 0)]);
    bed.line.inlets.lock().go_on();
    assert_eq!(bed.fault(&pieces(1, b"abc")[1..]), ReasonCode::Malformed);
}

#[test]
fn a_sample_of_which_the_beginning_was_lost_may_be_given_up() {
    let bed = bed();
    let (inbox, source) = open(&bed.line, 1, Delivery::Queue(9));
    let (a, b) = (pieces(1, b"abc"), pieces(1, b"def"));
    bed.connection(&[&[at(1, 0)], &a[1..2], &[gap(1, 2)], &b[..]].concat());
    assert_eq!(read_all(&inbox), [(2, b"def".to_vec())]);
    assert_eq!((source.lost_on_the_way(), source.lost_there()), (1, 1));
}

#[test]
fn within_a_sample_that_comes_again_nothing_else_may_come() {
    for other in [message(1, b"x"), lost(1, 1), frame(&Control::End { alias: 1 })] {
        let bed = bed();
        let (_inbox, _source) = open(&bed.line, 1, Delivery::Queue(9));
        let a = pieces(1, b"abc");
        bed.connection(&a[..2]);
        assert_eq!(bed.fault(&[at(1, 0), a[0].clone(), other]), ReasonCode::Malformed);
    }
    let bed = bed();
    let (_inbox, _source) = open(&bed.line, 1, Delivery::Queue(9));
    bed.connection(&pieces(1, b"abc")[..2]);
    assert_eq!(bed.fault(&pieces(1, b"abc")), ReasonCode::Malformed, "it was not said to come again");
}

#[test]
fn large_samples_that_come_again_are_dropped_too() {
    let bed = bed();
    let (inbox, source) = open(&bed.line, 1, Delivery::Lossless(3));
    let large = |byte| message(1, &[byte; 20_000]);
    bed.connection(&[large(1), large(2)]);
    bed.connection(&[at(1, 0), large(1), large(2), large(3)]);
    bed.connection(&[at(1, 2), large(3)]);
    let read = read_all(&inbox);
    assert_eq!(read, samples(&[&[1; 20_000], &[2; 20_000], &[3; 20_000]]));
    assert_eq!(source.lost_on_the_way(), 0);
}

#[test]
fn large_pieces_that_come_again_need_no_credit_and_what_follows_does() {
    let bed = bed();
    let (inbox, _source) = open(&bed.line, 1, Delivery::Lossless(2));
    let halves = |byte| {
        [true, false].map(|is_first| {
            let mut bytes = Vec::new();
            let left = if is_first { 20_000 } else { 0 };
            put_fragment_head(&mut bytes, 1, is_first.then_some(Stamp(1)), left, 20_000);
            bytes.extend_from_slice(&[byte; 20_000]);
            bytes
        })
    };
    let both = [halves(1), halves(2)].concat();
    bed.connection(&both);
    bed.connection(&[&[at(1, 0)], &both[..]].concat());
    // From the middle of one on, up to one for which there is no credit.
    let more = [&[at(1, 0)], &both[1..], &halves(3)[..]].concat();
    assert_eq!(bed.fault(&more), ReasonCode::NoCredit);
    assert_eq!(read_all(&inbox), samples(&[&[1; 40_000], &[2; 40_000]]));
}

#[test]
fn only_what_was_assigned_may_come_again() {
    let bed = bed();
    let (_inbox, _source) = open(&bed.line, 3, Delivery::Queue(9));
    assert_eq!(bed.fault(&[at(1, 0)]), ReasonCode::UnknownAlias, "below one that was");
    assert_eq!(bed.fault(&[at(4, 0)]), ReasonCode::UnknownAlias, "above");
    assert_eq!(bed.fault(&[at(3, (1 << 62) + 1)]), ReasonCode::Malformed);
    bed.connection(&[at(3, 1 << 62)]);
    assert_eq!(bed.fault(&[gap(3, 1)]), ReasonCode::Malformed, "past the last number");
}

/// Some of an alias that nobody wants any more: whole, in pieces, and lost.
fn leftovers() -> Vec<Vec<u8>> {
    let (a, b) = (pieces(1, b"abc"), pieces(1, b"def"));
    [&a[1..], &[message(1, b"g"), message(1, &[7; 20_000]), gap(1, 3), lost(1, 2)], &b[..2]].concat()
}

#[test]
fn what_comes_again_of_an_alias_that_ended_is_dropped() {
    for end in [Change::Drain(1), Change::Close(1)] {
        let bed = bed();
        let (inbox, _source) = open(&bed.line, 1, Delivery::Queue(9));
        bed.connection(&[&[message(1, b"a")], &pieces(1, b"bcd")[..1]].concat());
        bed.line.change(end);
        bed.connection(&[vec![at(1, 0)], leftovers()].concat());
        bed.connection(&[vec![at(1, 5)], leftovers()].concat());
        assert_eq!(read_all(&inbox), samples(&[b"a"]));
        // Whoever has the alias next counts from zero.
        let (inbox, _source) = open(&bed.line, 1, Delivery::Queue(9));
        bed.connection(&[message(1, b"x")]);
        assert_eq!(read_all(&inbox), samples(&[b"x"]));
    }
    let bed = bed();
    let (_inbox, _source) = open(&bed.line, 1, Delivery::Queue(9));
    bed.line.change(Change::Close(1));
    assert_eq!(bed.fault(&[message(1, b"x")]), ReasonCode::UnknownAlias, "it was not said to come again");
}

#[test]
fn an_alias_may_end_while_its_samples_come_again() {
    for end in [Change::Drain as fn(u32) -> Change, Change::Close] {
        let bed = bed();
        let (inbox, _source) = open(&bed.line, 1, Delivery::Queue(9));
        bed.connection(&[&[message(1, b"a"), message(1, b"b")], &pieces(1, b"cde")[..1]].concat());
        bed.line.inlets.lock().go_on();
        let mut reader = Reader::resumed(&bed.line, MAX_FRAME, &[]);
        bed.script.say(&at(1, 0), usize::MAX);
        assert!(reader.step().is_ok());
        bed.line.change(end(1));
        bed.script.say(&leftovers().concat(), 5000);
        read_to_end(&mut reader);
        assert_eq!(read_all(&inbox), samples(&[b"a", b"b"]));
    }
}

/// What a line has to write, but for credit and times: the payloads of messages, and control frames.
fn written(line: &Line) -> (Vec<Vec<u8>>, Vec<Control>) {
    let (mut load, mut bytes, mut wrote) = (Load::default(), Vec::new(), false);
    while line.poll_load(&mut load, std::mem::take(&mut wrote), true) == Some(true) {
        bytes.append(&mut load.urgent);
        while !load.batch.is_empty() {
            let mut slices = Vec::new();
            load.batch.slices(&mut slices);
            let before = bytes.len();
            slices.iter().for_each(|slice| bytes.extend_from_slice(slice));
            drop(slices);
            load.batch.wrote(bytes.len() - before);
        }
        load.batch.clear();
        wrote = true;
    }
    let (mut samples, mut others, mut rest) = (Vec::new(), Vec::new(), &bytes[..]);
    while let Ok(Split::Frame { frame, consumed }) = split(rest, Limits::agreed(MAX_FRAME)) {
        rest = &rest[consumed..];
        match frame {
            Frame::Message { payload, .. } => samples.push(payload.to_vec()),
            Frame::Control { kind, body } => match decode(kind, body).unwrap() {
                Control::Time(_) => {}
                control => others.push(control),
            },
        }
    }
    (samples, others)
}

#[test]
fn what_is_passed_on_is_neither_doubled_nor_lost() {
    let from = bed();
    // Nothing is written inline: the writer here is the test.
    let (to, _inputs) = scripted(&Script::new(0));
    let (_feed, change) = relayed(&from.line, 1, &to);
    from.line.change(change);
    to.credit(Credit { alias: 1, limit: u64::MAX, taken: 0, lost: 0 }).unwrap();
    let large = message(1, &[7; 20_000]);
    from.connection(&[message(1, b"a"), gap(1, 2), large.clone(), message(1, b"b")]);
    from.connection(&[&[at(1, 0), message(1, b"a"), gap(1, 2), large], &[message(1, b"b")][..]].concat());
    from.connection(&[at(1, 1), gap(1, 2), at(1, 9), message(1, b"c")]);
    from.connection(&[at(1, 9), message(1, b"c"), message(1, b"d")]);
    let (samples, others) = written(&to);
    assert_eq!(samples, [b"a".to_vec(), vec![7; 20_000], b"b".to_vec(), b"c".to_vec(), b"d".to_vec()]);
    let told = [Control::Gap { alias: 1, count: 2 }, Control::Lost { alias: 1, count: 4 }];
    assert_eq!(others, told);
}

#[cfg(feature = "lz4")]
#[test]
fn what_is_packed_and_comes_again_is_not_even_unpacked() {
    use crate::wire::packed::PLAIN;
    let bed = bed();
    let route = Route::parse("Imu@robot.imu").unwrap();
    let delivery = Delivery::Lossless(3);
    let inbox = Arc::new(Inbox::new(InterestId(1), route.clone(), TypeId::of::<Bytes>(), delivery, None));
    let source = Source::remote(route, &bed.line, 1, inbox.window());
    let inlet = Inlet { inbox: Arc::clone(&inbox), source: source.clone() };
    bed.line.change(Change::OpenPacked { alias: 1, inlet, relayed: false });
    source.open();
    let packed = |payload: &[u8]| message(1, &[&[PLAIN], payload].concat());
    let (small, large) = (packed(b"a"), packed(&[7; 20_000]));
    bed.connection(&[small.clone(), large.clone()]);
    bed.connection(&[at(1, 0), message(1, &[99]), message(1, &[99; 20_000]), packed(b"b")]);
    bed.connection(&[at(1, 1), large, packed(b"b")]);
    assert_eq!(read_all(&inbox), samples(&[b"a", &[7; 20_000], b"b"]));
}
