use super::*;
use crate::bytes::{Buffer, Pool};
use crate::flow::run::Head;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A sample as the tests know it: source, number, and how long.
type Sample = (u8, u64, usize);

fn encoded(source: u8, first: u64, lengths: &[usize]) -> Run<u8> {
    let (mut bytes, mut heads) = (Vec::new(), Vec::new());
    for (i, length) in lengths.iter().enumerate() {
        let start = bytes.len() as u32;
        bytes.extend(std::iter::repeat_n((first + i as u64) as u8, *length));
        heads.push(Head { sent: Timestamp::from_micros(first + i as u64), start, end: bytes.len() as u32 });
    }
    Run::encoded(source, first, Arc::new(Buffer::new(bytes, &Pool::new(1, 0))), heads)
}

fn local(source: u8, sequence: u64) -> Run<u8> {
    Run::local(source, sequence, Timestamp::from_micros(sequence), Arc::new(sequence))
}

fn whole(source: u8, sequence: u64, length: usize) -> Run<u8> {
    let bytes = Bytes::from(vec![sequence as u8; length]);
    Run::whole(source, sequence, Timestamp::from_micros(sequence), bytes)
}

fn sample(taken: &Taken<'_, u8>) -> Sample {
    assert_eq!(taken.sent.micros(), taken.sequence);
    let length = match &taken.content {
        Content::Encoded(payload) => {
            assert!(payload.as_slice().iter().all(|byte| *byte == taken.sequence as u8));
            payload.as_slice().len()
        }
        Content::Local(message) => {
            assert_eq!(message.downcast_ref::<u64>(), Some(&taken.sequence));
            8
        }
    };
    (*taken.source, taken.sequence, length)
}

/// Reads one sample as an interest does: from what was taken before, or from the mailbox.
fn read(mailbox: &mut Mailbox<u8>, taken: &mut VecDeque<Run<u8>>) -> Option<Sample> {
    loop {
        if let Some(taken) = taken.front_mut().and_then(Run::next) {
            return Some(sample(&taken));
        }
        taken.pop_front();
        if taken.is_empty() {
            mailbox.take(taken);
            if taken.is_empty() {
                return None;
            }
        }
    }
}

#[test]
fn a_queue_keeps_the_newest_n_across_runs_and_tells_whose_were_dropped() {
    let mut mailbox = Mailbox::new(Delivery::Queue(3));
    let mut dropped = Vec::new();
    let mut put = |run| mailbox.put(run, |source, count| dropped.push((*source, count)));
    put(encoded(1, 0, &[1, 2]));
    put(encoded(2, 0, &[3]));
    put(encoded(1, 2, &[4, 5]));
    assert_eq!(dropped, [(1, 1), (1, 1)]);
    assert_eq!((mailbox.len, mailbox.received()), (3, 5));
    let mut taken = VecDeque::new();
    let all: Vec<_> = std::iter::from_fn(|| read(&mut mailbox, &mut taken)).collect();
    assert_eq!(all, [(2, 0, 3), (1, 2, 4), (1, 3, 5)]);
    assert!(mailbox.is_empty());
}

#[test]
fn one_run_larger_than_the_queue_leaves_its_newest() {
    let mut mailbox = Mailbox::new(Delivery::Queue(2));
    let mut dropped = 0;
    mailbox.put(encoded(1, 0, &[1; 100]), |_, count| dropped += count);
    assert_eq!(dropped, 98);
    let mut taken = VecDeque::new();
    assert_eq!(read(&mut mailbox, &mut taken), Some((1, 98, 1)));
    assert_eq!(read(&mut mailbox, &mut taken), Some((1, 99, 1)));
    assert_eq!(read(&mut mailbox, &mut taken), None);
}

#[test]
fn latest_holds_one_and_counts_what_it_replaced() {
    let mut mailbox = Mailbox::new(Delivery::Latest);
    let mut slot = Slot::default();
    assert!(!mailbox.take_latest(&mut slot) && slot.view().is_none());
    let mut dropped = Vec::new();
    mailbox.put(encoded(1, 0, &[1, 1]), |source, count| dropped.push((*source, count)));
    mailbox.put(local(2, 0), |source, count| dropped.push((*source, count)));
    let payload = [5; 5];
    let taken = Taken {
        source: &1,
        sequence: 5,
        sent: Timestamp::from_micros(5),
        content: Content::Encoded(Payload::new(&payload)),
    };
    mailbox.replace(&taken, 3, |source, count| dropped.push((*source, count)));
    // Two of source 1, one of source 2, and three that the last one replaced on its way.
    assert_eq!(dropped, [(1, 1), (1, 1), (1, 3), (2, 1)]);
    assert_eq!(mailbox.received(), 7);
    assert!(mailbox.take_latest(&mut slot));
    assert_eq!(slot.view().map(|taken| sample(&taken)), Some((1, 5, 5)));
    assert!(mailbox.is_empty() && !mailbox.take_latest(&mut slot));
    assert_eq!(slot.view().map(|taken| sample(&taken)), Some((1, 5, 5)), "it stays until a newer one comes");
}

#[test]
fn a_large_latest_sample_is_shared_and_let_go_when_replaced() {
    let mut mailbox = Mailbox::new(Delivery::Latest);
    let mut slot = Slot::default();
    let mut bytes = Bytes::from(vec![7; COPIED + 1]);
    mailbox.put(Run::whole(1, 7, Timestamp::from_micros(7), bytes.clone()), |_, _| {});
    assert!(bytes.get_mut().is_none(), "shared");
    assert!(mailbox.take_latest(&mut slot));
    assert_eq!(slot.view().map(|taken| sample(&taken)), Some((1, 7, COPIED + 1)));
    mailbox.put(encoded(1, 8, &[3]), |_, _| {});
    assert!(mailbox.take_latest(&mut slot));
    assert_eq!(slot.view().map(|taken| sample(&taken)), Some((1, 8, 3)));
    assert!(bytes.get_mut().is_some(), "nobody holds it any more");
}

#[test]
fn a_slot_is_a_run_too_and_keeps_what_it_is_given() {
    for run in [encoded(1, 3, &[9]), whole(1, 3, COPIED + 1), local(1, 3)] {
        let mut mailbox = Mailbox::new(Delivery::Latest);
        mailbox.put(run, |_, _| {});
        let mut slot = Slot::default();
        assert!(mailbox.take_latest(&mut slot));
        let expected = slot.view().map(|taken| sample(&taken));
        let mut run = slot.as_run().expect("it is full");
        assert_eq!(run.next().map(|taken| sample(&taken)), expected);
        let mut kept = Slot::default();
        if let Some(taken) = slot.view() {
            kept.keep(taken);
        }
        assert_eq!(kept.view().map(|taken| sample(&taken)), expected);
    }
}

#[test]
fn what_is_cleared_is_gone() {
    for delivery in [Delivery::Latest, Delivery::Queue(4), Delivery::Lossless(4)] {
        let mut mailbox = Mailbox::new(delivery);
        mailbox.put(encoded(1, 0, &[1, 2]), |_, _| {});
        assert!(!mailbox.is_empty());
        mailbox.clear();
        assert!(mailbox.is_empty() && !mailbox.take_latest(&mut Slot::default()));
        assert_eq!(read(&mut mailbox, &mut VecDeque::new()), None);
    }
}

#[test]
fn the_memory_of_a_run_that_was_read_serves_the_next() {
    let mut mailbox = Mailbox::new(Delivery::Lossless(8));
    let mut taken = VecDeque::new();
    for first in [0, 3] {
        for sequence in first..first + 3 {
            let sent = Timestamp::from_micros(sequence);
            mailbox.put_local(&1, sequence, sent, Arc::new(sequence), |_, _| {});
        }
        mailbox.take(&mut taken);
        assert_eq!((taken.len(), mailbox.is_empty()), (1, true));
        while let Some(read) = taken.front_mut().and_then(Run::next) {
            assert_eq!(sample(&read).1, read.sequence);
        }
        assert_eq!(taken[0].len(), 0);
        assert!(taken[0].is_reusable());
    }
    mailbox.take(&mut taken);
    assert!(taken.is_empty() && mailbox.is_empty(), "one that was read is not read again");
    // A run of another source begins anew.
    mailbox.put_local(&2, 0, Timestamp::ZERO, Arc::new(0_u64), |_, _| {});
    assert_eq!(read(&mut mailbox, &mut taken), Some((2, 0, 8)));
}

#[derive(Clone, Debug)]
enum Step {
    Encoded {
        source: u8,
        lengths: Vec<usize>,
    },
    Whole {
        source: u8,
        length: usize,
    },
    Local {
        source: u8,
    },
    /// The sender dropped some.
    Gap {
        source: u8,
        count: u64,
    },
    Read(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let lengths = proptest::collection::vec(prop_oneof![8 => 0..40_usize, 1 => 4000..20_000_usize], 1..12);
    let step = prop_oneof![
        5 => (0..3_u8, lengths).prop_map(|(source, lengths)| Step::Encoded { source, lengths }),
        1 => (0..3_u8, 0..40_000_usize).prop_map(|(source, length)| Step::Whole { source, length }),
        2 => (3..5_u8).prop_map(|source| Step::Local { source }),
        1 => (0..3_u8, 1..5_u64).prop_map(|(source, count)| Step::Gap { source, count }),
        4 => (0..20_usize).prop_map(Step::Read),
    ];
    proptest::collection::vec(step, 1..80)
}

/// The mailbox against a plain deque of samples.
fn run(delivery: Delivery, steps: Vec<Step>) {
    let mut mailbox = Mailbox::new(delivery);
    let mut taken = VecDeque::new();
    let (mut model, mut lost) = (VecDeque::new(), BTreeMap::<u8, u64>::new());
    let mut model_lost = BTreeMap::<u8, u64>::new();
    let mut next = [0_u64; 5];
    let mut received = 0;
    for step in steps {
        let (run, samples): (_, Vec<Sample>) = match step {
            Step::Encoded { source, lengths } => {
                let first = next[usize::from(source)];
                let numbered = lengths.iter().zip(first..).map(|(length, number)| (source, number, *length));
                (encoded(source, first, &lengths), numbered.collect())
            }
            Step::Whole { source, length } => {
                let number = next[usize::from(source)];
                (whole(source, number, length), vec![(source, number, length)])
            }
            Step::Local { source } => {
                let number = next[usize::from(source)];
                (local(source, number), vec![(source, number, 8)])
            }
            Step::Gap { source, count } => {
                next[usize::from(source)] += count;
                continue;
            }
            Step::Read(count) => {
                for _ in 0..count {
                    assert_eq!(read(&mut mailbox, &mut taken), model.pop_front());
                }
                continue;
            }
        };
        next[usize::from(samples[0].0)] += samples.len() as u64;
        received += samples.len() as u64;
        mailbox.put(run, |source, count| *lost.entry(*source).or_default() += count);
        model.extend(samples);
        while !delivery.is_lossless() && model.len() > delivery.depth() as usize {
            if let Some((source, ..)) = model.pop_front() {
                *model_lost.entry(source).or_default() += 1;
            }
        }
        assert_eq!(lost, model_lost);
        assert_eq!(mailbox.received(), received);
        assert_eq!(mailbox.is_empty(), mailbox.len == 0);
    }
    while let Some(expected) = model.pop_front() {
        assert_eq!(read(&mut mailbox, &mut taken), Some(expected));
    }
    assert_eq!(read(&mut mailbox, &mut taken), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_queue_is_a_deque_that_drops_at_its_front(depth in 1..20_u32, steps in steps()) {
        run(Delivery::Queue(depth), steps);
    }

    #[test]
    fn a_lossless_mailbox_is_a_deque(steps in steps()) {
        run(Delivery::Lossless(1), steps);
    }
}
