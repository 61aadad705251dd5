//! Senders, the writer, credits and the end of a line, in every order.

use super::*;
use crate::priority::Priority;
use crate::runtime::writer;
use crate::sync::{Condvar, interleave};
use crate::wire::control::{Bye, Ping};
use crate::wire::message::frame_ahead;
use crate::wire::{Frame, Limits, Split, decode, split};
use shuttle::rand::{Rng, thread_rng};
use shuttle::thread::{JoinHandle, spawn};
use std::collections::BTreeMap;
use std::io;

const ROUNDS: usize = 1000;

/// How many samples each sender sends.
const SAMPLES: u8 = 4;

/// Keeps what is written; takes as much at once as it likes.
#[derive(Default)]
struct Wire {
    taken: Mutex<Taken>,
    more: Condvar,
    /// Somebody writes.
    busy: AtomicBool,
}

#[derive(Default)]
struct Taken {
    bytes: Vec<u8>,
    closed: bool,
}

impl Wire {
    fn take(&self, bytes: &[u8], least: usize) -> io::Result<usize> {
        assert!(!self.busy.swap(true, Ordering::SeqCst), "two write at once");
        let mut taken = self.taken.lock();
        let count = thread_rng().gen_range(least..=bytes.len());
        let result = if taken.closed {
            Err(io::ErrorKind::BrokenPipe.into())
        } else if count == 0 {
            Err(io::ErrorKind::WouldBlock.into())
        } else {
            taken.bytes.extend_from_slice(&bytes[..count]);
            Ok(count)
        };
        drop(taken);
        self.busy.store(false, Ordering::SeqCst);
        self.more.notify_all();
        result
    }

    /// Waits until so many samples and control frames are there, whoever writes them.
    fn wait_for(&self, samples: usize, control: usize) {
        let mut taken = self.taken.lock();
        loop {
            let got = Got::of(&taken.bytes);
            if got.samples.values().map(Vec::len).sum::<usize>() + got.missing >= samples
                && got.control.len() >= control
            {
                return;
            }
            self.more.wait(&mut taken);
        }
    }
}

impl Connection for Wire {
    fn read(&self, _: &mut [u8]) -> io::Result<usize> {
        Ok(0)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.take(bytes, 1)
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.take(bytes, 0)
    }

    fn close(&self) {
        self.taken.lock().closed = true;
    }

    fn remote(&self) -> String {
        "model".into()
    }
}

/// What the other side would read.
#[derive(Default)]
struct Got {
    /// The payloads of each alias, one byte each.
    samples: BTreeMap<u32, Vec<u8>>,
    control: Vec<Control>,
    /// Samples that GAPs tell of.
    missing: usize,
}

impl Got {
    fn of(mut bytes: &[u8]) -> Self {
        let mut got = Self::default();
        while let Some((total, message)) = frame_ahead(bytes).filter(|(total, _)| *total <= bytes.len()) {
            let (frame, rest) = bytes.split_at(total);
            bytes = rest;
            match message {
                Some((alias, size, _)) => {
                    assert_eq!(size, 1);
                    got.samples.entry(alias).or_default().push(frame[total - 1]);
                }
                None => match split(frame, Limits::HANDSHAKE) {
                    Ok(Split::Frame { frame: Frame::Control { kind, body }, .. }) => {
                        got.control(decode(kind, body).unwrap());
                    }
                    other => panic!("{other:?}"),
                },
            }
        }
        got
    }

    fn control(&mut self, frame: Control) {
        match frame {
            Control::Gap { count, .. } => self.missing += usize::try_from(count).unwrap(),
            Control::Time(_) => {}
            frame => self.control.push(frame),
        }
    }

    fn check_order(&self) {
        for samples in self.samples.values() {
            assert!(samples.windows(2).all(|pair| pair[0] < pair[1]), "{samples:?}");
        }
    }
}

struct Bench {
    wire: Arc<Wire>,
    line: Arc<Line>,
    room: Arc<Signal>,
    lanes: Vec<LaneId>,
    writer: JoinHandle<()>,
    _inputs: crossbeam_channel::Receiver<Input>,
}

/// A line with a lane for each delivery, and its writer.
fn bench(deliveries: &[Delivery]) -> Bench {
    bench_of(deliveries, false)
}

/// The same, of a session that can go on over another connection.
fn bench_of(deliveries: &[Delivery], resumes: bool) -> Bench {
    let wire = Arc::<Wire>::default();
    let (dispatcher, _inputs) = crossbeam_channel::bounded(64);
    let line = Line::new("model://".to_owned(), wire.clone(), Clock::start(), 16, dispatcher);
    line.up(Arc::new(PeerName { path: None, url: line.url.clone() }), 1024, false, resumes);
    let (room, route) = (Arc::<Signal>::default(), Route::parse("Imu@robot.imu").unwrap());
    let open = |(alias, delivery): (u32, &Delivery)| {
        let sending = (*delivery, Priority::Normal);
        let lane = line.open_lane(alias, sending, route.clone(), Arc::clone(&room), Bounds::NONE);
        let limit = if delivery.is_lossless() { u64::from(delivery.depth()) } else { u64::MAX };
        line.credit(Credit { alias, limit, taken: 0, lost: 0 }).unwrap();
        lane
    };
    let lanes = (0..).zip(deliveries).map(open).collect();
    let writing = Arc::clone(&line);
    let writer = spawn(move || writer::run(&writing));
    Bench { wire, line, room, lanes, writer, _inputs }
}

impl Bench {
    /// A thread that sends, and waits for room where it must; under odd aliases many at once, where that goes. Returns
    /// how many samples were taken.
    fn sender(&self, lane: LaneId) -> JoinHandle<usize> {
        let (line, room) = (Arc::clone(&self.line), Arc::clone(&self.room));
        spawn(move || {
            let mut spare = Batch::default();
            let numbers: Vec<_> = (0..SAMPLES).map(|number| [number]).collect();
            let slices: Vec<_> = numbers.iter().map(|number| number.as_slice()).collect();
            let mut number = 0;
            while number < SAMPLES {
                let some = if lane.alias % 2 == 1 {
                    line.put_some(lane, &slices[usize::from(number)..])
                } else {
                    None
                };
                if let Some((count, _)) = some {
                    number += u8::try_from(count).unwrap();
                    continue;
                }
                loop {
                    let seen = room.seen();
                    let sample = Outgoing { payload: &[number], shared: None };
                    match line.put(lane, sample, false, &mut spare) {
                        Put::NoRoom | Put::NoCredit(_) => assert!(room.wait(seen, None)),
                        Put::Closed => return usize::from(number),
                        put => {
                            assert!(matches!(put, Put::Queued | Put::Inline | Put::Parked(_)), "{put:?}");
                            break;
                        }
                    }
                }
                assert!(spare.is_empty());
                number += 1;
            }
            usize::from(SAMPLES)
        })
    }
}

fn ping(micros: u64) -> Control {
    Control::Ping(Ping { sent: Timestamp::from_micros(micros) })
}

#[test]
fn every_sample_is_written_once_and_in_order_whoever_writes() {
    interleave(ROUNDS, || {
        let bench = bench(&[Delivery::Lossless(100), Delivery::Queue(2)]);
        let senders: Vec<_> = bench.lanes.iter().map(|lane| bench.sender(*lane)).collect();
        let ended = AtomicBool::new(false);
        bench.line.send_credit(|| Credit { alias: 7, limit: 1, taken: 0, lost: 0 }, &ended);
        assert!(bench.line.send(&ping(1), Order::Ahead));
        bench.line.send_credit(|| Credit { alias: 7, limit: 2, taken: 1, lost: 0 }, &ended);
        // Nobody wakes the writer from here on but the senders.
        bench.wire.wait_for(2 * usize::from(SAMPLES), 3);
        for sender in senders {
            assert_eq!(sender.join().unwrap(), usize::from(SAMPLES));
        }
        bench.line.finish(None, true, true);
        bench.writer.join().unwrap();
        let got = Got::of(&bench.wire.taken.lock().bytes);
        got.check_order();
        assert_eq!(got.samples[&0], (0..SAMPLES).collect::<Vec<_>>());
        assert_eq!(got.samples[&1].last(), Some(&(SAMPLES - 1)), "the newest is never lost");
        assert_eq!(got.samples[&1].len() + got.missing, usize::from(SAMPLES));
        assert_eq!(got.control.len(), 3);
        assert!(bench.line.settle().is_empty());
    });
}

#[test]
fn a_sender_that_waits_for_credit_is_woken_by_it() {
    interleave(ROUNDS, || {
        let bench = bench(&[Delivery::Lossless(1)]);
        let sender = bench.sender(bench.lanes[0]);
        for taken in 1..u64::from(SAMPLES) {
            bench.wire.wait_for(usize::try_from(taken).unwrap(), 0);
            bench.line.credit(Credit { alias: 0, limit: taken + 1, taken, lost: 0 }).unwrap();
        }
        assert_eq!(sender.join().unwrap(), usize::from(SAMPLES));
        bench.line.finish(None, true, true);
        bench.writer.join().unwrap();
        assert_eq!(Got::of(&bench.wire.taken.lock().bytes).samples[&0], (0..SAMPLES).collect::<Vec<_>>());
    });
}

#[test]
fn the_end_of_a_busy_line_ends_all_and_every_sample_is_accounted_for() {
    for (drain, aborts) in [(true, false), (false, false), (false, true)] {
        interleave(ROUNDS / 3, move || {
            let bench = bench(&[Delivery::Lossless(100), Delivery::Lossless(2)]);
            let senders: Vec<_> = bench.lanes.iter().map(|lane| bench.sender(*lane)).collect();
            let line = Arc::clone(&bench.line);
            let ender = spawn(move || {
                let bye = Control::Bye(Bye { code: ReasonCode::Closing, text: String::new() });
                if aborts { line.abort() } else { line.finish(Some(&bye), drain, true) }
            });
            let taken: usize = senders.into_iter().map(|sender| sender.join().unwrap()).sum();
            ender.join().unwrap();
            bench.writer.join().unwrap();
            let got = Got::of(&bench.wire.taken.lock().bytes);
            got.check_order();
            let written: usize = got.samples.values().map(Vec::len).sum();
            let unsent: u64 = bench.line.settle().iter().map(|(_, left)| left.unsent).sum();
            assert_eq!(written + usize::try_from(unsent).unwrap(), taken);
            if drain {
                assert_eq!(written, taken);
            }
            if !aborts {
                assert!(matches!(got.control.last(), Some(Control::Bye(_))), "{:?}", got.control);
            }
        });
    }
}

#[test]
fn a_reader_that_waits_for_a_word_hears_it_or_that_the_line_is_over() {
    interleave(ROUNDS, || {
        let Bench { line, writer, .. } = bench(&[]);
        let reading = {
            let line = Arc::clone(&line);
            spawn(move || line.next_word().is_some())
        };
        let says = thread_rng().gen_range(0..2) == 0;
        let saying = {
            let line = Arc::clone(&line);
            spawn(move || {
                if says {
                    line.word(Word::GoOn);
                }
            })
        };
        if !says {
            line.abort();
        }
        assert_eq!(reading.join().unwrap(), says);
        saying.join().unwrap();
        line.abort();
        writer.join().unwrap();
    });
}

/// What the other side takes of the connections of one session, in turn.
#[derive(Default)]
struct Peer {
    /// The payloads of each alias, and how many of the next ones were here already.
    samples: BTreeMap<u32, (Vec<u8>, usize)>,
    counted: Vec<Control>,
    marks: Vec<u64>,
}

impl Peer {
    fn of(connections: &[&[u8]]) -> Self {
        let mut peer = Self::default();
        for bytes in connections {
            peer.read(bytes);
        }
        peer
    }

    fn read(&mut self, mut bytes: &[u8]) {
        while let Some((total, message)) = frame_ahead(bytes).filter(|(total, _)| *total <= bytes.len()) {
            let (frame, rest) = bytes.split_at(total);
            bytes = rest;
            if let Some((alias, ..)) = message {
                let (samples, behind) = self.samples.entry(alias).or_default();
                match *behind {
                    0 => samples.push(frame[total - 1]),
                    _ => {
                        let again = samples[samples.len() - *behind];
                        assert_eq!(again, frame[total - 1], "another one under the same number");
                        *behind -= 1;
                    }
                }
                continue;
            }
            let Ok(Split::Frame { frame: Frame::Control { kind, body }, .. }) =
                split(frame, Limits::HANDSHAKE)
            else {
                panic!("no frame");
            };
            match decode(kind, body).unwrap() {
                Control::At { alias, number } => {
                    let (samples, behind) = self.samples.entry(alias).or_default();
                    *behind =
                        samples.len().checked_sub(usize::try_from(number).unwrap()).expect("some are lost");
                }
                Control::Mark { number } => self.marks.push(number),
                frame if frame.is_counted() => self.counted.push(frame),
                Control::Time(_) | Control::Ping(_) => {}
                frame => panic!("{frame:?}"),
            }
        }
    }

    fn has_all(&self) -> bool {
        let whole = |(samples, _): &(Vec<u8>, usize)| samples.len() == usize::from(SAMPLES);
        self.samples.len() == 2 && self.samples.values().all(whole) && self.counted.len() == 3
    }
}

/// A connection of a session: what it carried lies in its wire.
fn connection() -> (Arc<Wire>, Arc<Line>) {
    let wire = Arc::<Wire>::default();
    let (dispatcher, _others) = crossbeam_channel::bounded(64);
    (wire.clone(), Line::new("model://2".to_owned(), wire, Clock::start(), 16, dispatcher))
}

/// Goes on over another connection, of which it is known that it will carry the line; the thread that writes there.
fn attach(line: &Arc<Line>, other: &Line, before: &[&[u8]]) -> JoinHandle<()> {
    let received = u64::try_from(Peer::of(before).counted.len()).unwrap();
    assert!(line.attach(other, received));
    let writing = Arc::clone(line);
    spawn(move || writer::run(&writing))
}

/// Over one connection and another; or the session is to let go of that at once, while it begins, and goes on over a third.
fn nothing_is_lost_or_doubled_over_connections(recalled: bool) {
    let bench = bench_of(&[Delivery::Lossless(100), Delivery::Lossless(100)], true);
    let line = &bench.line;
    let senders: Vec<_> = bench.lanes.iter().map(|lane| bench.sender(*lane)).collect();
    let ended = AtomicBool::new(false);
    let grant = |limit| line.send_credit(|| Credit { alias: 7, limit, taken: 0, lost: 0 }, &ended);
    grant(1);
    assert!(line.send(&ping(1), Order::Ahead));
    grant(2);
    let marks = Peer::of(&[&bench.wire.taken.lock().bytes]).marks;
    if let Some(mark) = marks.last() {
        line.marked(*mark).unwrap();
    }
    assert!(line.release());
    let first = std::mem::take(&mut bench.wire.taken.lock().bytes);
    bench.writer.join().unwrap();
    assert!(line.let_go());
    grant(3);

    let mut second = Vec::new();
    if recalled {
        let (wire, other) = connection();
        line.will_attach(&other);
        let recalling = Arc::clone(line);
        let recalls = spawn(move || assert!(recalling.release()));
        attach(line, &other, &[&first]).join().unwrap();
        recalls.join().unwrap();
        assert!(line.let_go(), "it has no connection, and no thread that writes");
        second = std::mem::take(&mut wire.taken.lock().bytes);
    }
    let (wire, other) = connection();
    line.will_attach(&other);
    let writer = attach(line, &other, &[&first, &second]);
    let mut taken = wire.taken.lock();
    while !Peer::of(&[&first, &second, &taken.bytes]).has_all() {
        wire.more.wait(&mut taken);
    }
    drop(taken);
    for sender in senders {
        assert_eq!(sender.join().unwrap(), usize::from(SAMPLES));
    }
    line.finish(None, true, true);
    writer.join().unwrap();
    let peer = Peer::of(&[&first, &second, &wire.taken.lock().bytes]);
    for (samples, behind) in peer.samples.values() {
        assert_eq!((samples, *behind), (&(0..SAMPLES).collect::<Vec<_>>(), 0));
    }
    let limits = peer.counted.iter().map(|frame| match frame {
        Control::Credit(credit) => credit.limit,
        other => panic!("{other:?}"),
    });
    assert_eq!(limits.collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn nothing_is_lost_or_doubled_between_two_connections_of_a_session() {
    interleave(ROUNDS, || nothing_is_lost_or_doubled_over_connections(false));
}

#[test]
fn nothing_is_lost_or_doubled_where_a_connection_is_given_up_before_it_carries_the_session() {
    interleave(ROUNDS, || nothing_is_lost_or_doubled_over_connections(true));
}
