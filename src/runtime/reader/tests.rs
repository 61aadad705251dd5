//! Readers of connections that say what they are told to.

use super::*;
use crate::bytes::Bytes;
use crate::delivery::Delivery;
use crate::event::PeerName;
use crate::flow::run::Content;
use crate::proto::InterestId;
use crate::route::Route;
use crate::runtime::clock::Clock;
use crate::runtime::inbox::Inbox;
use crate::runtime::input::Input;
use crate::runtime::line::{Change, Inlet};
use crate::runtime::source::{Source, SourceRef};
use crate::time::Timestamp;
use crate::wire::control::{Accept, Credit, Hello};
use crate::wire::message::put_message_head;
use crate::wire::{Stamp, decode, encode, split};
use crossbeam_channel::{Receiver, bounded};
use parking_lot::Mutex;
use std::any::TypeId;
use std::collections::VecDeque;
use std::thread::spawn;

mod again;

pub(in crate::runtime) const MAX_FRAME: u32 = 1 << 16;

/// Gives what it was given to say, at most so much at once, then ends; keeps what is written, up to a bound.
pub(in crate::runtime) struct Script {
    says: Mutex<VecDeque<u8>>,
    at_once: Mutex<usize>,
    written: Mutex<Vec<u8>>,
    room: usize,
}

impl Script {
    pub(in crate::runtime) fn new(room: usize) -> Arc<Self> {
        let (says, written) = Default::default();
        Arc::new(Self { says, at_once: Mutex::new(usize::MAX), written, room })
    }

    pub(in crate::runtime) fn say(&self, bytes: &[u8], at_once: usize) {
        *self.at_once.lock() = at_once;
        self.says.lock().extend(bytes);
    }

    /// The control frames that were written.
    pub(in crate::runtime) fn heard(&self) -> Vec<Control> {
        let written = self.written.lock();
        let (mut heard, mut rest) = (Vec::new(), &written[..]);
        while let Ok(Split::Frame { frame, consumed }) = split(rest, Limits::agreed(MAX_FRAME)) {
            rest = &rest[consumed..];
            if let Frame::Control { kind, body } = frame {
                heard.push(decode(kind, body).unwrap());
            }
        }
        assert!(rest.is_empty());
        heard
    }
}

impl Connection for Script {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut says = self.says.lock();
        let count = buffer.len().min(says.len()).min(*self.at_once.lock());
        buffer.iter_mut().zip(says.drain(..count)).for_each(|(to, from)| *to = from);
        Ok(count)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.try_write(bytes)
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = self.written.lock();
        let count = bytes.len().min(self.room - written.len());
        if count == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        written.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn close(&self) {}

    fn remote(&self) -> String {
        "script".into()
    }
}

/// A line over a script, and where its inputs are announced.
pub(in crate::runtime) fn scripted(script: &Arc<Script>) -> (Arc<Line>, Receiver<Input>) {
    let (dispatcher, inputs) = bounded(64);
    let connection: Arc<dyn Connection> = script.clone();
    let line = Line::new("script://".to_owned(), connection, Clock::start(), 1 << 16, dispatcher);
    line.set_id(crate::proto::LinkId(1));
    (line, inputs)
}

/// Assigns an alias to an interest.
pub(in crate::runtime) fn open(line: &Arc<Line>, alias: u32, delivery: Delivery) -> (Arc<Inbox>, SourceRef) {
    let route = Route::parse("Imu@robot.imu").unwrap();
    let inbox = Arc::new(Inbox::new(InterestId(alias), route.clone(), TypeId::of::<Bytes>(), delivery, None));
    let source = Source::remote(route, line, alias, inbox.window());
    line.change(Change::Open(alias, Inlet { inbox: Arc::clone(&inbox), source: source.clone() }));
    source.open();
    (inbox, source)
}

/// What waits in a mailbox: numbers and payloads.
pub(in crate::runtime) fn read_all(inbox: &Inbox) -> Vec<(u64, Vec<u8>)> {
    let (mut runs, mut read) = (VecDeque::new(), Vec::new());
    while inbox.take(&mut runs) {
        for mut run in runs.drain(..) {
            while let Some(taken) = run.next() {
                let Content::Encoded(payload) = &taken.content else { panic!("it came over a line") };
                read.push((taken.sequence, payload.as_slice().to_vec()));
                taken.source.took_one(payload.as_slice().len());
            }
        }
    }
    read
}

pub(in crate::runtime) fn message(alias: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_message_head(&mut bytes, alias, Stamp(1), payload.len());
    bytes.extend_from_slice(payload);
    bytes
}

pub(in crate::runtime) fn frame(control: &Control) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(&mut bytes, control);
    bytes
}

/// A handshake up to its final.
pub(in crate::runtime) fn handshake() -> Vec<u8> {
    let hello = Hello {
        version_min: 1,
        version_max: 1,
        capabilities: 0,
        instance: [5; 16],
        session: 0,
        scope_own: false,
        joins: false,
        max_frame: MAX_FRAME,
        ping_millis: 1000,
        clock: Timestamp::from_micros(1),
        path: crate::path::Path::parse("script").unwrap(),
        expected: None,
    };
    let accept = Accept { version: 1, capabilities: 0, session: 1 };
    [frame(&Control::Hello(hello)), frame(&Control::Accept(accept))].concat()
}

/// The next input of a line, once it was announced.
pub(in crate::runtime) fn next_input(line: &Line, inputs: &Receiver<Input>) -> LineInput {
    loop {
        if let Some(input) = line.next_input() {
            return input;
        }
        assert!(matches!(inputs.recv(), Ok(Input::Ready(_))));
    }
}

/// Takes inputs up to the HANDSHAKE final.
pub(in crate::runtime) fn hear_final(line: &Line, inputs: &Receiver<Input>) {
    while !matches!(next_input(line, inputs), LineInput::Control(_, Control::Accept(_))) {}
}

/// Reads until the connection ends; none of what came may be at fault.
pub(in crate::runtime) fn read_to_end(reader: &mut Reader) {
    let text = loop {
        match reader.step() {
            Ok(()) => {
                if let Some(LineInput::Fault(reason)) = reader.line.next_input() {
                    panic!("{reason}");
                }
            }
            Err(Halt::End(reason)) => break reason.text().to_owned(),
            Err(_) => panic!("it ends otherwise"),
        }
    };
    assert!(text.contains("ended the connection"), "{text}");
}

/// A reader that is past its handshake, of what `script` says next.
pub(in crate::runtime) fn agreed(line: &Arc<Line>) -> Reader {
    drop(Reader::new(line, MAX_FRAME));
    Reader::resumed(line, MAX_FRAME, &[])
}

#[test]
fn frames_of_the_session_right_behind_the_handshake_wait_for_the_word_on_it() {
    let script = Script::new(1 << 16);
    let (line, inputs) = scripted(&script);
    script.say(&[handshake(), message(1, b"a"), message(1, b"b")].concat(), usize::MAX);
    let mut reader = Reader::new(&line, MAX_FRAME);
    let reading = spawn(move || ran(&mut reader).is_none());
    hear_final(&line, &inputs);
    // Had the reader gone on, it would know no such alias.
    let (inbox, _source) = open(&line, 1, Delivery::Queue(9));
    line.word(Word::GoOn);
    assert!(reading.join().unwrap());
    assert!(matches!(next_input(&line, &inputs), LineInput::Lost(_)));
    assert_eq!(read_all(&inbox), [(0, b"a".to_vec()), (1, b"b".to_vec())]);
}

#[test]
fn a_reader_that_waits_for_a_word_ends_with_its_line() {
    let script = Script::new(1 << 16);
    let (line, inputs) = scripted(&script);
    script.say(&[handshake(), message(1, b"a")].concat(), usize::MAX);
    let mut reader = Reader::new(&line, MAX_FRAME);
    let reading = spawn(move || ran(&mut reader).is_none());
    hear_final(&line, &inputs);
    line.abort();
    assert!(reading.join().unwrap());
    assert!(line.next_input().is_none(), "nothing is told of a line that is over");
}

#[test]
fn a_peer_that_ends_right_behind_the_handshake_is_lost() {
    let script = Script::new(1 << 16);
    let (line, inputs) = scripted(&script);
    script.say(&handshake(), 7);
    let mut reader = Reader::new(&line, MAX_FRAME);
    let reading = spawn(move || ran(&mut reader).is_none());
    hear_final(&line, &inputs);
    line.word(Word::GoOn);
    assert!(reading.join().unwrap());
    assert!(matches!(next_input(&line, &inputs), LineInput::Lost(_)));
}

#[test]
fn what_follows_on_resume_is_read_by_the_session_that_takes_the_connection_over() {
    let (old, new) = (Script::new(1 << 16), Script::new(1 << 16));
    let (session, _inputs) = scripted(&old);
    let mut reader = agreed(&session);
    let (inbox, _source) = open(&session, 1, Delivery::Queue(9));
    old.say(&[message(1, b"a"), message(1, b"b")[..3].to_vec()].concat(), usize::MAX);
    read_to_end(&mut reader);
    assert!(reader.into_rest().len() == 3, "a part of a frame");

    let (line, inputs) = scripted(&new);
    let resume = Control::Resume { received: 7, turn: 1 };
    new.say(&[handshake(), frame(&resume), message(1, b"b"), message(1, b"c")].concat(), usize::MAX);
    let mut reader = Reader::new(&line, MAX_FRAME);
    let reading = spawn(move || {
        let (to, received) = ran(&mut reader).expect("it is handed over");
        (to, received, reader.into_rest())
    });
    hear_final(&line, &inputs);
    line.word(Word::GoOn);
    assert!(matches!(next_input(&line, &inputs), LineInput::Control(_, control) if control == resume));
    line.word(Word::HandOver(Arc::clone(&session), 7));
    let (to, received, rest) = reading.join().unwrap();
    assert!(Arc::ptr_eq(&to, &session) && received == 7);
    assert_eq!(rest, [message(1, b"b"), message(1, b"c")].concat());

    // The first step reads nothing: there would be nothing, and that the end.
    let mut reader = Reader::resumed(&session, MAX_FRAME, &rest);
    assert!(reader.step().is_ok());
    assert_eq!(read_all(&inbox), [(0, b"a".to_vec()), (1, b"b".to_vec()), (2, b"c".to_vec())]);
}

#[test]
fn resume_is_no_part_of_a_handshake() {
    let script = Script::new(1 << 16);
    let (line, _inputs) = scripted(&script);
    let handshake = handshake();
    let hello = usize::from(handshake[0]) + 1;
    script
        .say(&[&handshake[..hello], &frame(&Control::Resume { received: 7, turn: 1 })].concat(), usize::MAX);
    let mut reader = Reader::new(&line, MAX_FRAME);
    assert!(reader.step().is_ok());
    assert!(matches!(line.next_input(), Some(LineInput::Control(_, Control::Hello(_)))));
    assert!(
        matches!(line.next_input(), Some(LineInput::Fault(reason)) if reason.code() == ReasonCode::Malformed)
    );
}

#[test]
fn frames_that_both_sides_count_are_counted_once_each() {
    let script = Script::new(1 << 16);
    let (line, _inputs) = scripted(&script);
    let mut reader = agreed(&line);
    let (_inbox, _source) = open(&line, 1, Delivery::Queue(9));
    let counted = [
        Control::Intents(Vec::new()),
        Control::Interests(Vec::new()),
        Control::Credit(Credit { alias: 9, limit: 1, taken: 0, lost: 0 }),
        Control::Stalled { alias: 1, untaken: 2 },
        Control::End { alias: 1 },
    ];
    let others = [
        Control::Gap { alias: 1, count: 3 },
        Control::Lost { alias: 1, count: 3 },
        Control::At { alias: 1, number: 0 },
        Control::Mark { number: 1 },
        Control::Marked { number: 1 },
        Control::Time(Timestamp::from_micros(5)),
    ];
    let all: Vec<u8> = counted.iter().chain(&others).flat_map(frame).collect();
    script.say(&all, usize::MAX);
    read_to_end(&mut reader);
    assert_eq!(line.received(), counted.len() as u64);
    script.say(&frame(&counted[0]), usize::MAX);
    read_to_end(&mut Reader::resumed(&line, MAX_FRAME, &frame(&counted[2])));
    assert_eq!(line.received(), counted.len() as u64 + 2, "it goes on with the session");
}

#[test]
fn a_mark_is_answered_by_the_reader_itself() {
    let script = Script::new(1 << 16);
    let (line, _inputs) = scripted(&script);
    let mut reader = agreed(&line);
    script.say(&[frame(&Control::Mark { number: 7 }), frame(&Control::Mark { number: 8 })].concat(), 1);
    read_to_end(&mut reader);
    assert_eq!(script.heard(), [Control::Marked { number: 7 }, Control::Marked { number: 8 }]);
}

#[test]
fn a_peer_that_marks_and_does_not_read_the_answers_is_cut_off() {
    let script = Script::new(0);
    let (line, _inputs) = scripted(&script);
    let mut reader = agreed(&line);
    let marks: Vec<u8> =
        (1 << 40..(1 << 40) + 20_000).flat_map(|number| frame(&Control::Mark { number })).collect();
    script.say(&marks, usize::MAX);
    while !matches!(reader.step(), Err(Halt::End(_))) {}
    assert!(
        matches!(line.next_input(), Some(LineInput::Fault(reason)) if reason.code() == ReasonCode::Backlog)
    );
}

#[cfg(feature = "testing")]
#[test]
fn a_reader_that_is_stepped_asks_to_come_again_until_there_is_a_word() {
    use crate::sync::world;
    struct Still;
    impl world::Steps for Still {
        fn step(&self, _: Option<std::time::Instant>) -> bool {
            false
        }
        fn settle(&self) {}
    }
    let script = Script::new(1 << 16);
    script.say(&handshake(), usize::MAX);
    let world = std::rc::Rc::new(Still);
    let weak: std::rc::Weak<dyn world::Steps> = std::rc::Rc::<Still>::downgrade(&world);
    assert!(world::enter(weak, world::BEGINNING));
    let (line, _inputs) = scripted(&script);
    let mut reader = Reader::new(&line, MAX_FRAME);
    let steps: Vec<bool> = (0..4).map(|_| matches!(reader.step(), Err(Halt::Later))).collect();
    line.word(Word::GoOn);
    let then = (reader.step().is_ok(), matches!(reader.step(), Err(Halt::End(_))));
    world::leave();
    assert_eq!((steps, then), (vec![false, true, true, true], (true, true)));
}

#[test]
fn lines_that_pass_samples_on_to_each_other_are_freed() {
    let ends = [Script::new(0), Script::new(0)];
    let lines: Vec<Arc<Line>> = ends.iter().map(|script| scripted(script).0).collect();
    for (from, to) in [(0, 1), (1, 0)] {
        let mut reader = agreed(&lines[from]);
        lines[from].change(relayed(&lines[from], 1, &lines[to]).1);
        ends[from].say(&frame(&Control::Time(Timestamp::from_micros(5))), usize::MAX);
        read_to_end(&mut reader);
        // This one no reader takes over.
        lines[from].change(relayed(&lines[from], 2, &lines[to]).1);
    }
    let weak: Vec<_> = lines.iter().map(Arc::downgrade).collect();
    for line in &lines {
        line.abort();
        line.forget();
    }
    lines[0].change(relayed(&lines[0], 3, &lines[0]).1);
    drop(lines);
    assert!(weak.iter().all(|line| line.upgrade().is_none()));
}

/// What passes samples on from one line to the next under the same alias, and the change that says so.
pub(in crate::runtime) fn relayed(
    from: &Arc<Line>,
    alias: u32,
    to: &Arc<Line>,
) -> (Arc<crate::runtime::feed::Feed>, Change) {
    use crate::priority::Priority;
    let feed = crate::runtime::feed::Feed::new(Route::parse("Imu@robot.imu").unwrap(), from, alias);
    to.up(Arc::new(PeerName { path: None, url: "script://".to_owned() }), MAX_FRAME, false, false);
    to.open_relay(alias, (Delivery::Queue(1000), Priority::Normal), Arc::clone(&feed), false);
    let passage =
        crate::runtime::line::Passage { to: Arc::clone(to), alias, feed: Arc::clone(&feed), packed: false };
    (feed, Change::Relay(alias, passage))
}

/// Reads to the end, as the thread of a line does.
fn ran(reader: &mut Reader) -> Option<(Arc<Line>, u64)> {
    match run(reader) {
        End::HandOver(line, received) => Some((line, received)),
        End::Lost(reason) => {
            reader.end(reason);
            None
        }
    }
}
