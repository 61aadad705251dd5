//! What the writer would write is decoded as the other side would, and checked.

use super::*;
use crate::flow::lane::PARKED_COST;
use crate::wire::control::Ping;
use crate::wire::message::MESSAGE_HEAD_MAX;
use crate::wire::{Frame, Limits, Split, StampReader, decode, split};
use std::collections::BTreeMap;

mod model;
mod relay;

/// An outbox with a clock that stands, its writer, and the reader at the other end.
pub(super) struct Bench {
    pub(super) outbox: Outbox,
    pub(super) now: Timestamp,
    /// Bytes that were written and make no whole frame yet.
    rest: Vec<u8>,
    stamps: StampReader,
    /// The number of the next sample of each alias.
    next: BTreeMap<u32, u64>,
    pub(super) got: Vec<Got>,
    wrote: bool,
}

/// What came out at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Got {
    Sample { alias: u32, sequence: u64, sent: u64, payload: Vec<u8> },
    Gap { alias: u32, count: u64 },
    Control(Control),
}

impl Bench {
    pub(super) fn new(capacity: usize) -> Self {
        let mut outbox = Outbox::new(capacity);
        outbox.set_max_frame(1 << 20);
        Self {
            outbox,
            now: Timestamp::from_micros(1_000_000),
            rest: Vec::new(),
            stamps: StampReader::default(),
            next: BTreeMap::new(),
            got: Vec::new(),
            wrote: false,
        }
    }

    pub(super) fn open(&mut self, alias: u32, delivery: Delivery) {
        self.outbox.open(alias, delivery);
        let limit = if delivery.is_lossless() { u64::from(delivery.depth()) } else { u64::MAX };
        assert_eq!(self.outbox.credit(Credit { alias, limit, taken: 0, lost: 0 }), Some(true));
    }

    pub(super) fn put(&mut self, alias: u32, payload: &[u8]) -> Put {
        let now = self.now;
        self.outbox.put(alias, Outgoing { payload, shared: None, retained: 0 }, false, || now)
    }

    pub(super) fn admits(&self, alias: u32, size: usize) -> Put {
        self.outbox.admits(alias, Outgoing { payload: &vec![0; size], shared: None, retained: 0 })
    }

    fn put_shared(&mut self, alias: u32, payload: &Bytes) -> Put {
        let now = self.now;
        self.outbox.put(alias, Outgoing { payload, shared: Some(payload), retained: 0 }, false, || now)
    }

    /// What the writer is given next: urgent frames and the batch, as bytes.
    fn take(&mut self) -> Option<(Vec<u8>, Vec<u8>)> {
        let (mut urgent, mut batch) = (Vec::new(), Batch::default());
        let now = self.now;
        let some = self.outbox.take(&mut urgent, &mut batch, || now, self.wrote);
        self.wrote = some;
        some.then(|| (urgent, all(&mut batch)))
    }

    /// The writer writes once.
    pub(super) fn write(&mut self) -> bool {
        let Some((urgent, batch)) = self.take() else { return false };
        self.receive(&urgent);
        self.receive(&batch);
        true
    }

    /// The writer writes until there is nothing left.
    pub(super) fn write_all(&mut self) {
        while self.write() {}
        assert!(self.rest.is_empty(), "a frame was begun and not finished");
    }

    /// A sender writes `most` bytes of its own sample inline. Whether it then tells the writer to come.
    pub(super) fn write_inline(&mut self, most: usize) -> bool {
        let mut batch = Batch::default();
        self.outbox.take_inline(&mut batch);
        let bytes = batch.as_one_piece().expect("one small sample").to_vec();
        let count = bytes.len().min(most);
        self.receive(&bytes[..count]);
        batch.wrote(count);
        self.outbox.end_inline(&mut batch, self.now);
        assert_eq!(batch.len(), 0);
        self.outbox.wake()
    }

    /// Bytes reach the other end.
    pub(super) fn receive(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        let rest = std::mem::take(&mut self.rest);
        let mut from = 0;
        while let Split::Frame { frame, consumed } =
            split(&rest[from..], Limits::agreed(1 << 20)).expect("a frame")
        {
            from += consumed;
            self.frame(frame);
        }
        self.rest = rest[from..].to_vec();
    }

    fn frame(&mut self, frame: Frame<'_>) {
        match frame {
            Frame::Message { alias, stamp, payload } => {
                let next = self.next.entry(alias).or_default();
                let sent = self.stamps.apply(stamp).micros();
                self.got.push(Got::Sample { alias, sequence: *next, sent, payload: payload.to_vec() });
                *next += 1;
            }
            Frame::Control { kind, body } => match decode(kind, body).expect("a control frame") {
                Control::Time(time) => self.stamps.reset(time),
                Control::Gap { alias, count } => {
                    *self.next.entry(alias).or_default() += count;
                    self.got.push(Got::Gap { alias, count });
                }
                control => {
                    if let Control::Lost { alias, count } = &control {
                        *self.next.entry(*alias).or_default() += count;
                    }
                    self.got.push(Got::Control(control));
                }
            },
        }
    }

    /// The numbers and payloads of the samples of an alias that arrived.
    pub(super) fn samples(&self, of: u32) -> Vec<(u64, Vec<u8>)> {
        let samples = self.got.iter().filter_map(|got| match got {
            Got::Sample { alias, sequence, payload, .. } if *alias == of => {
                Some((*sequence, payload.clone()))
            }
            _ => None,
        });
        samples.collect()
    }

    fn sequences(&self, alias: u32) -> Vec<u64> {
        self.samples(alias).into_iter().map(|(sequence, _)| sequence).collect()
    }

    /// Fills the batch, by a lane of its own, so that what follows finds no room.
    fn fill(&mut self) {
        self.open(FILLER, Delivery::Lossless(1));
        let sample = Outgoing { payload: &[0; CAPACITY], shared: None, retained: 0 };
        assert_ne!(self.outbox.put(FILLER, sample, true, || Timestamp::ZERO), Put::NoRoom);
    }
}

pub(super) fn all(batch: &mut Batch) -> Vec<u8> {
    let mut bytes = Vec::new();
    while !batch.is_empty() {
        let mut slices = Vec::new();
        batch.slices(&mut slices);
        let before = bytes.len();
        slices.iter().for_each(|slice| bytes.extend_from_slice(slice));
        drop(slices);
        batch.wrote(bytes.len() - before);
    }
    bytes
}

const CAPACITY: usize = 4096;
const FILLER: u32 = 9;

fn ping(micros: u64) -> Control {
    Control::Ping(Ping { sent: Timestamp::from_micros(micros) })
}

#[test]
fn samples_wait_for_the_first_credit() {
    let mut bench = Bench::new(CAPACITY);
    assert_eq!(bench.put(0, &[1]), Put::Closed, "no such lane");
    bench.outbox.open(0, Delivery::default());
    assert_eq!(bench.put(0, &[1]), Put::NotOpen);
    assert_eq!(bench.admits(0, 1), Put::NotOpen);
    assert_eq!(bench.outbox.credit(Credit { alias: 0, limit: u64::MAX, taken: 0, lost: 0 }), Some(true));
    assert_eq!(bench.outbox.credit(Credit { alias: 0, limit: u64::MAX, taken: 0, lost: 0 }), Some(false));
    assert_eq!(bench.put(0, &[1]), Put::Inline);
    assert_eq!(bench.outbox.credit(Credit { alias: 1, limit: 1, taken: 0, lost: 0 }), None);
}

#[test]
fn a_full_line_keeps_the_newest_of_latest_and_announces_the_rest() {
    let mut bench = Bench::new(CAPACITY);
    bench.open(0, Delivery::Latest);
    bench.put(0, &[0]);
    bench.fill();
    assert_eq!(bench.put(0, &[1]), Put::Parked(0));
    assert_eq!(bench.put(0, &[2]), Put::Parked(1));
    assert_eq!(bench.put(0, &[3]), Put::Parked(1));
    bench.write_all();
    assert_eq!(bench.samples(0), [(0, vec![0]), (3, vec![3])]);
    assert!(bench.got.contains(&Got::Gap { alias: 0, count: 2 }));
    assert_eq!(bench.outbox.lane(0).map(|lane| lane.lost_here), Some(2));
}

#[test]
fn a_full_line_keeps_the_newest_n_of_a_queue_in_order() {
    let mut bench = Bench::new(CAPACITY);
    bench.open(0, Delivery::Queue(3));
    bench.fill();
    for i in 0..10 {
        assert_eq!(bench.put(0, &[i]), Put::Parked(u64::from(i >= 3)));
    }
    bench.write_all();
    assert_eq!(bench.samples(0), [(7, vec![7]), (8, vec![8]), (9, vec![9])]);
    assert_eq!(bench.outbox.lane(0).map(|lane| (lane.lost_here, lane.gap)), Some((7, 0)));
}

#[test]
fn a_sample_never_overtakes_a_parked_one_of_its_route() {
    let mut bench = Bench::new(CAPACITY);
    bench.open(0, Delivery::Queue(1000));
    bench.fill();
    for i in 0..60 {
        assert!(matches!(bench.put(0, &[i; 100]), Put::Parked(0)) || i >= 20);
    }
    // The batch has room again after this, but not for all that is parked.
    assert!(bench.write());
    let held = bench.outbox.lane(0).map_or(0, |lane| lane.parked.len());
    if held > 0 {
        assert!(matches!(bench.put(0, &[60; 1]), Put::Parked(_)));
    }
    bench.write_all();
    let sequences = bench.sequences(0);
    assert!(sequences.windows(2).all(|pair| pair[0] < pair[1]), "{sequences:?}");
    for (sequence, payload) in bench.samples(0) {
        assert_eq!(u64::from(payload[0]), sequence);
    }
}

#[test]
fn empty_samples_are_parked_and_sent_as_any_other() {
    let mut bench = Bench::new(CAPACITY);
    bench.open(0, Delivery::Queue(8));
    bench.fill();
    assert_eq!(bench.put(0, &[]), Put::Parked(0));
    assert_eq!(bench.put(0, &[]), Put::Parked(0));
    bench.outbox.end(0);
    bench.write_all();
    assert_eq!(bench.samples(0), [(0, vec![]), (1, vec![])]);
    assert_eq!(bench.got.last(), Some(&Got::Control(Control::End { alias: 0 })));
}

#[test]
fn one_route_that_parks_all_it_can_never_costs_another_its_newest_sample() {
    let mut bench = Bench::new(CAPACITY);
    bench.open(0, Delivery::Queue(1 << 20));
    bench.open(1, Delivery::Latest);
    bench.fill();
    for i in 0..1000_u32 {
        bench.put(0, &i.to_le_bytes());
        bench.put(1, &i.to_le_bytes());
    }
    bench.write_all();
    assert_eq!(bench.samples(1), [(999, 999_u32.to_le_bytes().to_vec())]);
    assert_eq!(bench.samples(0).last().map(|(sequence, _)| *sequence), Some(999));
}

#[test]
fn end_comes_after_all_that_was_parked() {
    let mut bench = Bench::new(CAPACITY);
    bench.open(0, Delivery::Queue(4));
    bench.fill();
    for i in 0..6 {
        bench.put(0, &[i]);
    }
    bench.outbox.end(0);
    assert_eq!(bench.put(0, &[9]), Put::Closed, "an ending lane takes nothing more");
    assert_eq!(bench.admits(0, 1), Put::Closed);
    bench.write_all();
    assert_eq!(bench.sequences(0), [2, 3, 4, 5]);
    assert_eq!(bench.got.last(), Some(&Got::Control(Control::End { alias: 0 })));
    assert!(bench.outbox.lane(0).is_none());
}

#[test]
fn end_is_said_for_a_lane_that_never_opened() {
    let mut bench = Bench::new(CAPACITY);
    bench.outbox.open(3, Delivery::Latest);
    bench.outbox.end(3);
    bench.write_all();
    assert_eq!(bench.got, [Got::Control(Control::End { alias: 3 })]);
}

#[test]
fn a_lossless_sample_is_never_parked_and_finds_no_room_or_no_credit() {
    let mut bench = Bench::new(CAPACITY);
    bench.open(0, Delivery::Lossless(3));
    for i in 0..3 {
        assert!(matches!(bench.put(0, &[i]), Put::Queued | Put::Inline));
    }
    assert_eq!(bench.admits(0, 1), Put::NoRoom);
    assert_eq!(bench.put(0, &[3]), Put::NoRoom, "out of credit");
    assert_eq!(bench.outbox.credit(Credit { alias: 0, limit: 5, taken: 2, lost: 0 }), Some(false));
    assert_eq!(bench.admits(0, CAPACITY), Put::NoRoom, "larger than what is left");
    assert_eq!(bench.put(0, &[3; CAPACITY]), Put::NoRoom);
    assert_eq!(bench.admits(0, 1), Put::Queued);
    assert_eq!(bench.put(0, &[3]), Put::Queued);
    assert!(bench.outbox.lane(0).is_some_and(|lane| lane.parked.is_empty() && lane.lost_here == 0));
    bench.write_all();
    assert_eq!(bench.sequences(0), [0, 1, 2, 3]);
    assert!(!bench.got.iter().any(|got| matches!(got, Got::Gap { .. })));
}

#[test]
fn a_lossless_sample_that_was_admitted_is_taken_though_others_filled_the_line_since() {
    let mut bench = Bench::new(CAPACITY);
    bench.open(0, Delivery::Lossless(3));
    bench.put(0, &[0]);
    assert_eq!(bench.admits(0, 100), Put::Queued);
    bench.open(1, Delivery::Latest);
    bench.put(1, &[0; CAPACITY - 100]);
    let sample = Outgoing { payload: &[1; 100], shared: None, retained: 0 };
    assert_eq!(bench.outbox.put(0, sample, true, || Timestamp::ZERO), Put::Queued);
}

#[test]
fn one_sample_is_taken_even_if_it_is_larger_than_the_line_holds() {
    let mut bench = Bench::new(CAPACITY);
    for (alias, delivery) in [(0, Delivery::Latest), (1, Delivery::Lossless(2))] {
        bench.open(alias, delivery);
        assert!(matches!(bench.put(alias, &[7; 10 * CAPACITY]), Put::Queued | Put::Inline));
        bench.write_all();
        assert_eq!(bench.samples(alias), [(0, vec![7; 10 * CAPACITY])]);
    }
}

#[test]
fn a_sample_larger_than_the_peer_takes_is_refused_by_every_kind_of_lane() {
    let mut bench = Bench::new(CAPACITY);
    bench.outbox.set_max_frame(2000);
    let largest = bench.outbox.largest();
    assert!((1900..2000).contains(&largest));
    for (alias, delivery) in
        [Delivery::Latest, Delivery::Queue(2), Delivery::Lossless(2)].into_iter().enumerate()
    {
        let alias = alias as u32;
        bench.open(alias, delivery);
        assert_eq!(bench.admits(alias, largest + 1), Put::TooLarge);
        assert_eq!(bench.put(alias, &vec![0; largest + 1]), Put::TooLarge);
        assert!(matches!(bench.put(alias, &vec![0; largest]), Put::Queued | Put::Inline));
        bench.write_all();
    }
}

#[test]
fn urgent_frames_go_ahead_of_samples_and_in_line_frames_behind_them() {
    let mut bench = Bench::new(CAPACITY);
    bench.open(0, Delivery::default());
    bench.put(0, &[1]);
    bench.outbox.in_line(&ping(1));
    bench.put(0, &[2]);
    assert!(bench.outbox.urgent(&ping(2)));
    bench.write_all();
    let kinds: Vec<_> = bench
        .got
        .iter()
        .map(|got| match got {
            Got::Sample { payload, .. } => format!("sample {}", payload[0]),
            Got::Control(Control::Ping(ping)) => format!("ping {}", ping.sent.micros()),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(kinds, ["ping 2", "sample 1", "ping 1", "sample 2"]);
}

#[test]
fn a_peer_that_reads_no_answers_is_noticed_but_our_tables_do_not_count() {
    let mut bench = Bench::new(CAPACITY);
    let table = Control::Intents((0..4096).map(|id| crate::wire::control::Entry::Remove { id }).collect());
    for _ in 0..20 {
        assert!(bench.outbox.urgent(&table));
    }
    let answers = (0..100_000).take_while(|i| bench.outbox.urgent(&ping(*i))).count();
    let bytes = answers * 10;
    assert!((ANSWERS..ANSWERS + 2 * 10).contains(&bytes), "{bytes} bytes were kept");
    bench.write_all();
    assert!(bench.outbox.urgent(&ping(0)), "once they were read there is room again");
}

#[test]
fn a_sender_writes_inline_only_on_a_quiet_line() {
    let mut bench = Bench::new(CAPACITY);
    bench.open(0, Delivery::default());
    assert_eq!(bench.put(0, &[0]), Put::Inline);
    assert!(!bench.write_inline(usize::MAX), "nothing is left for the writer");
    assert_eq!(bench.put(0, &[1]), Put::Queued, "a moment after the last write it is not quiet");
    assert!(bench.outbox.wake() && !bench.outbox.wake(), "the writer is told once");
    bench.write_all();
    bench.now = bench.now + QUIET;
    assert_eq!(bench.put(0, &[2]), Put::Inline);
    assert!(!bench.write_inline(usize::MAX));
    bench.now = bench.now + QUIET;
    // Two at a time are load: nobody writes inline until the writer took exactly one.
    bench.outbox.in_line(&ping(1));
    assert_eq!(bench.put(0, &[3]), Put::Queued);
    assert_eq!(bench.put(0, &[4]), Put::Queued);
    bench.write_all();
    bench.now = bench.now + Duration::from_secs(1);
    assert_eq!(bench.put(0, &[5]), Put::Queued, "the last batch held two");
    bench.write_all();
    bench.now = bench.now + QUIET;
    assert_eq!(bench.put(0, &[6]), Put::Inline);
    assert!(!bench.write_inline(usize::MAX));
    bench.now = bench.now + QUIET;
    assert!(bench.outbox.urgent(&ping(2)));
    assert_eq!(bench.put(0, &[7]), Put::Queued, "control waits, and goes first");
    bench.write_all();
    bench.now = bench.now + QUIET;
    assert_eq!(bench.put(0, &[8; BY_REFERENCE]), Put::Queued, "a large one is the writer's");
    bench.write_all();
    assert_eq!(bench.sequences(0), (0..9).collect::<Vec<_>>());
}

#[test]
fn nobody_writes_while_another_does() {
    let mut bench = Bench::new(CAPACITY);
    bench.open(0, Delivery::default());
    assert_eq!(bench.put(0, &[0]), Put::Inline);
    let mut inline = Batch::default();
    bench.outbox.take_inline(&mut inline);
    bench.now = bench.now + Duration::from_secs(1);
    assert_eq!(bench.put(0, &[1]), Put::Queued);
    assert!(!bench.outbox.wake(), "whoever writes inline will see to the writer");
    assert!(bench.take().is_none(), "the writer waits for the inline write");
    let bytes = all(&mut inline);
    bench.receive(&bytes);
    bench.outbox.end_inline(&mut inline, bench.now);
    assert!(bench.outbox.wake());
    assert!(bench.write());
    let now = bench.now;
    assert_eq!(bench.put(0, &[2]), Put::Queued, "the writer writes");
    let mut spare = Batch::default();
    assert!(bench.outbox.urgent(&ping(1)));
    assert!(!bench.outbox.take_urgent_inline(&mut spare));
    assert_eq!(now, bench.now);
    bench.write_all();
    assert_eq!(bench.sequences(0), [0, 1, 2]);
}

#[test]
fn what_an_inline_write_left_is_finished_before_anything_else() {
    let payload: Vec<u8> = (0..50).collect();
    for most in 0..60 {
        let mut bench = Bench::new(CAPACITY);
        bench.open(0, Delivery::default());
        assert_eq!(bench.put(0, &payload), Put::Inline);
        let told = bench.write_inline(most);
        let total = bench.got.len();
        assert_eq!(told, total == 0, "the writer is told of the rest");
        bench.now = bench.now + Duration::from_secs(1);
        assert!(bench.outbox.urgent(&ping(1)));
        if total == 0 {
            let mut spare = Batch::default();
            assert!(!bench.outbox.take_urgent_inline(&mut spare), "control must not cut a frame in two");
            assert_eq!(bench.put(0, &[1]), Put::Queued);
        }
        bench.write_all();
        assert_eq!(bench.samples(0).first(), Some(&(0, payload.clone())), "after {most} bytes inline");
        assert!(matches!(bench.got[0], Got::Sample { .. }), "after {most} bytes inline: {:?}", bench.got[0]);
    }
}

#[test]
fn a_credit_is_written_by_whoever_grants_it_when_the_line_is_free() {
    let mut bench = Bench::new(CAPACITY);
    let mut batch = Batch::default();
    assert!(!bench.outbox.take_urgent_inline(&mut batch), "there is none");
    let credit = Control::Credit(Credit { alias: 0, limit: 4, taken: 0, lost: 0 });
    assert!(bench.outbox.urgent(&credit));
    assert!(bench.outbox.take_urgent_inline(&mut batch));
    // Half of it fits; the writer writes the rest.
    let bytes = batch.as_one_piece().map(<[u8]>::to_vec).unwrap_or_default();
    bench.receive(&bytes[..2]);
    batch.wrote(2);
    bench.outbox.end_inline(&mut batch, bench.now);
    assert!(bench.outbox.wake());
    bench.write_all();
    assert_eq!(bench.got, [Got::Control(credit)]);
}

#[test]
fn an_older_sample_keeps_its_age_when_it_was_parked() {
    let mut bench = Bench::new(CAPACITY);
    bench.open(0, Delivery::Latest);
    bench.open(1, Delivery::Queue(100));
    bench.fill();
    bench.put(0, &[0]);
    let parked_at = bench.now.micros();
    bench.now = bench.now + Duration::from_millis(20);
    for _ in 0..40 {
        bench.put(1, &[1; 64]);
    }
    bench.write_all();
    let sent = bench.got.iter().find_map(|got| match got {
        Got::Sample { alias: 0, sent, .. } => Some(*sent),
        _ => None,
    });
    assert!(sent.is_some_and(|sent| sent.abs_diff(parked_at) <= 1000), "{sent:?} for {parked_at}");
}

#[test]
fn a_retained_sample_is_only_ever_the_first() {
    let retained = |bench: &mut Bench, alias| {
        let sample = Outgoing { payload: &[42], shared: None, retained: 0 };
        bench.outbox.put_first(alias, sample, Timestamp::from_micros(5));
    };
    let mut bench = Bench::new(CAPACITY);
    bench.open(0, Delivery::Lossless(1));
    retained(&mut bench, 0);
    assert_eq!(bench.put(0, &[1]), Put::NoRoom, "it took the only credit");
    bench.open(1, Delivery::Latest);
    bench.put(1, &[1]);
    retained(&mut bench, 1);
    bench.fill();
    bench.open(2, Delivery::Latest);
    bench.put(2, &[1]);
    retained(&mut bench, 2);
    bench.outbox.open(3, Delivery::Latest);
    retained(&mut bench, 3);
    bench.open(4, Delivery::Latest);
    bench.outbox.end(4);
    retained(&mut bench, 4);
    retained(&mut bench, 77);
    bench.write_all();
    assert_eq!(bench.samples(0), [(0, vec![42])]);
    assert_eq!(bench.samples(1), [(0, vec![1])]);
    assert_eq!(bench.samples(2), [(0, vec![1])], "a parked one was sent too");
    assert!(bench.samples(3).is_empty() && bench.samples(4).is_empty());
}

#[test]
fn a_retained_sample_goes_to_a_latecomer_by_one_way_only() {
    let mut bench = Bench::new(CAPACITY);
    for alias in 0..2 {
        bench.open(alias, Delivery::Lossless(1));
        let retained = Outgoing { payload: &[7], shared: None, retained: 7 };
        bench.outbox.put_first(alias, retained, bench.now);
        // Its intent is about to send it too, as the lane opened only just now.
        assert_eq!(bench.outbox.admits(alias, retained), Put::Queued, "it took the only credit itself");
        assert_eq!(bench.outbox.put(alias, retained, false, || Timestamp::ZERO), Put::Queued);
        let next = Outgoing { payload: &[8], shared: None, retained: 8 };
        assert_eq!(bench.outbox.put(alias, next, false, || Timestamp::ZERO), Put::NoRoom);
    }
    bench.write_all();
    assert_eq!((bench.samples(0), bench.samples(1)), (vec![(0, vec![7])], vec![(0, vec![7])]));
}

#[test]
fn closing_drains_what_waits_or_drops_it_and_bye_is_the_last_word() {
    let bye = || {
        Control::Bye(crate::wire::control::Bye {
            code: crate::reason::ReasonCode::Closing,
            text: "bye".into(),
        })
    };
    for drain in [true, false] {
        let mut bench = Bench::new(CAPACITY);
        bench.open(0, Delivery::Queue(100));
        bench.fill();
        for i in 0..5 {
            assert_eq!(bench.put(0, &[i]), Put::Parked(0));
        }
        assert!(bench.outbox.urgent(&Control::Intents(vec![crate::wire::control::Entry::Remove { id: 1 }])));
        bench.outbox.close(Some(&bye()), drain);
        bench.outbox.close(None, false);
        assert_eq!(bench.put(0, &[9]), Put::Closed);
        assert_eq!(bench.admits(0, 1), Put::Closed);
        assert!(bench.outbox.urgent(&ping(1)), "what comes later is dropped, and no fault");
        bench.outbox.in_line(&ping(2));
        bench.outbox.end(0);
        bench.write_all();
        assert_eq!(bench.got.last(), Some(&Got::Control(bye())));
        let sent: &[u64] = if drain { &[0, 1, 2, 3, 4] } else { &[] };
        assert_eq!(bench.sequences(0), sent);
        // Control frames are written all the same.
        assert_eq!(bench.got.len(), if drain { 8 } else { 2 }, "{:?}", bench.got);
        assert!(bench.outbox.is_finished());
    }
}

#[test]
fn the_writer_stays_until_an_inline_write_and_the_bye_behind_it_are_out() {
    let mut bench = Bench::new(CAPACITY);
    bench.open(0, Delivery::default());
    assert_eq!(bench.put(0, &[1; 30]), Put::Inline);
    let mut inline = Batch::default();
    bench.outbox.take_inline(&mut inline);
    bench.outbox.close(None, true);
    assert!(bench.take().is_none() && !bench.outbox.is_finished());
    let bytes = inline.as_one_piece().map(<[u8]>::to_vec).unwrap_or_default();
    bench.receive(&bytes[..10]);
    inline.wrote(10);
    bench.outbox.end_inline(&mut inline, bench.now);
    assert!(bench.outbox.wake(), "the writer is told, as it waits to end");
    bench.write_all();
    assert_eq!(bench.samples(0), [(0, vec![1; 30])]);
    assert!(bench.outbox.is_finished());
}

#[test]
fn a_large_payload_is_held_by_reference_not_copied() {
    let mut bench = Bench::new(1 << 20);
    bench.open(0, Delivery::Latest);
    let large = Bytes::from((0..BY_REFERENCE).map(|i| i as u8).collect::<Vec<_>>());
    assert!(matches!(bench.put_shared(0, &large), Put::Queued));
    assert!(bench.outbox.batch.bytes().len() < 64);
    assert!(bench.outbox.batch.len() > BY_REFERENCE);
    bench.write_all();
    assert_eq!(bench.samples(0), [(0, large.to_vec())]);
}
