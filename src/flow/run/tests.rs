use super::*;
use crate::bytes::Pool;

/// Samples of `source`, numbered from `first`; each holds its number, as many times as told.
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

/// The number and length of each sample, and whether its content and time are right.
fn drain(mut run: Run<u8>) -> Vec<(u64, usize)> {
    let mut drained = Vec::new();
    while let Some(taken) = run.next() {
        assert_eq!(taken.sent.micros(), taken.sequence);
        drained.push((
            taken.sequence,
            match taken.content {
                Content::Encoded(payload) => {
                    assert!(payload.as_slice().iter().all(|byte| *byte == taken.sequence as u8));
                    payload.as_slice().len()
                }
                Content::Local(message) => {
                    assert_eq!(message.downcast_ref::<u64>(), Some(&taken.sequence));
                    8
                }
            },
        ));
    }
    assert_eq!(run.len(), 0);
    assert!(run.split_first().is_none());
    drained
}

#[test]
fn a_run_is_read_once_from_the_front() {
    assert_eq!(drain(encoded(1, 5, &[3, 0, 7])), [(5, 3), (6, 0), (7, 7)]);
    assert_eq!(drain(whole(1, 9, 100)), [(9, 100)]);
    assert_eq!(drain(local(1, 4)), [(4, 8)]);
}

#[test]
fn small_runs_of_one_source_that_follow_each_other_are_joined() {
    let mut run = encoded(1, 0, &[3, 4]);
    assert!(run.next().is_some());
    let mut later = encoded(1, 2, &[9, 5, 6]);
    // What was read of either does not come again.
    let mut between = encoded(1, 1, &[4]);
    assert!(between.next().is_some());
    assert!(later.next().is_some());
    let refused = run.join(encoded(1, 3, &[5])).expect("a number is missing between them");
    assert_eq!(drain(refused), [(3, 5)]);
    assert!(run.join(encoded(2, 2, &[5])).is_some(), "another source");
    assert!(run.join(encoded(1, 2, &[9])).is_none());
    assert!(run.join(later).is_none());
    assert_eq!(drain(run), [(1, 4), (2, 9), (3, 5), (4, 6)]);
}

#[test]
fn large_or_shared_runs_are_not_joined() {
    let mut run = encoded(1, 0, &[JOINED]);
    assert!(run.join(encoded(1, 1, &[1])).is_some());
    let mut run = encoded(1, 0, &[1]);
    assert!(run.join(encoded(1, 1, &[JOINED - 1])).is_none(), "as much as may be");
    let mut run = encoded(1, 0, &[1, 1]);
    let held = run.split_first();
    assert!(held.is_some() && run.join(encoded(1, 2, &[1])).is_some(), "somebody holds the buffer");
    assert!(run.join(whole(1, 2, 5)).is_some());
    assert!(run.join(local(1, 2)).is_some());
}

#[test]
fn messages_of_this_process_are_joined() {
    let mut run = local(1, 0);
    assert!(run.join(local(1, 1)).is_none());
    assert!(run.join(local(1, 3)).is_some());
    assert_eq!(drain(run), [(0, 8), (1, 8)]);
}

#[test]
fn what_is_split_off_leaves_the_rest() {
    let mut run = encoded(1, 5, &[3, 0, 7]);
    let first = run.split_first().expect("three are left");
    assert_eq!((first.len(), run.len()), (1, 2));
    let second = run.split_first().expect("two are left");
    assert_eq!(drain(run), [(7, 7)]);
    assert_eq!(drain(second), [(6, 0)]);
    assert_eq!(drain(first), [(5, 3)]);
    for mut run in [whole(1, 3, 9), local(1, 3)] {
        let mut only = run.split_first().expect("one is there");
        assert!(run.split_first().is_none() && run.next().is_none());
        let same = only.split_first().expect("a part is a run too");
        assert_eq!(drain(same).len(), 1);
    }
}
