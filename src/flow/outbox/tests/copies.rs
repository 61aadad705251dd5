//! The numbers of samples that are copied, and the copies on links that stand by.

use super::*;
use crate::flow::outbox::control::ANSWERS;
use crate::links::Links;
use crate::wire::copied::{Copied, MOST_COPIED, read_copied};
use crate::wire::kind::COPY;
use proptest::prelude::*;

fn copied(payload: &[u8]) -> Copied<'_> {
    Copied { alias: 3, ends: 0, number: 7, sent: Timestamp::from_micros(5), payload }
}

proptest! {
    /// The number that a copy has is the one under which the sample comes, wherever that waits, and whatever of its lane is
    /// dropped before it goes.
    #[test]
    fn a_sample_comes_under_the_number_that_its_copy_has(
        kind in 0..6_usize,
        capacity in 50..2000_usize,
        steps in prop::collection::vec((0..400_usize, 0..4_u8), 1..80),
    ) {
        let delivery =
            [Delivery::Lossless(20), Delivery::Queue(4), Delivery::Latest][kind % 3];
        let priority = [Priority::Normal, Priority::Urgent][kind / 3];
        let mut bench = Bench::new(capacity);
        bench.outbox.set_peer(1 << 20, true);
        bench.outbox.set_stride(Some(300));
        bench.open_ranked(1, delivery, priority);
        bench.open_ranked(2, Delivery::Queue(9), Priority::Normal);
        bench.outbox.set_links(1, Links::All);
        let mut numbers: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
        for (place, (size, what)) in steps.into_iter().enumerate() {
            match what {
                0 => drop(bench.write()),
                1 => drop(bench.put(2, &vec![0; size])),
                _ => {
                    let mut payload = (place as u64).to_le_bytes().to_vec();
                    payload.resize(8 + size, 7);
                    match bench.put(1, &payload) {
                        Put::Copied(_, number) => drop(numbers.insert(payload, number)),
                        Put::NoRoom | Put::NoCredit(_) => {}
                        other => prop_assert!(false, "{:?}", other),
                    }
                }
            }
        }
        while bench.write() {}
        let mut count = 0;
        for got in &bench.got {
            if let Got::Sample { alias: 1, sequence, payload, .. } = got {
                prop_assert_eq!(numbers.get(payload), Some(sequence));
                count += 1;
            }
        }
        prop_assert!(count > 0 || numbers.is_empty());
        if delivery.is_lossless() {
            prop_assert_eq!(count, numbers.len());
        }
    }
}

#[test]
fn an_outbox_counts_the_pairs_that_ended_under_an_alias() {
    let mut bench = Bench::new(1000);
    for ends in 0..3 {
        assert_eq!(bench.outbox.ends(1), ends);
        bench.open(1, Delivery::Queue(1));
        bench.put(1, b"a");
        bench.outbox.end(1);
        while bench.write() {}
    }
    assert_eq!(bench.outbox.ends(0), 0);
}

#[test]
fn copies_that_wait_are_bounded_and_never_hold_up_an_answer() {
    let mut bench = Bench::new(1 << 20);
    let payload = vec![7; 1000];
    let mut taken = 0;
    while bench.outbox.copy(&copied(&payload)) {
        taken += 1;
    }
    assert_eq!(taken, ANSWERS / 1018, "each costs 18 bytes more");
    assert!(bench.outbox.urgent(&Control::Ping(Ping { sent: Timestamp::from_micros(1) })));
    let (urgent, batch) = bench.take().expect("there is something");
    let Ok(Split::Frame { frame: Frame::Control { kind: crate::wire::kind::PING, .. }, .. }) =
        split(&urgent, Limits::agreed(1 << 20))
    else {
        panic!("the PING goes first")
    };
    let mut rest = &batch[..];
    let mut came = 0;
    while let Ok(Split::Frame { frame: Frame::Control { kind: COPY, body }, consumed }) =
        split(rest, Limits::agreed(1 << 20))
    {
        assert_eq!(read_copied(body), Ok(copied(&payload)));
        (rest, came) = (&rest[consumed..], came + 1);
    }
    assert_eq!((came, rest.len()), (taken, 0));
    assert!(bench.outbox.copy(&copied(&payload)), "there is room again");
}

#[test]
fn what_is_too_large_for_its_link_is_not_copied() {
    let mut bench = Bench::new(1 << 20);
    assert!(!bench.outbox.copy(&copied(&vec![7; MOST_COPIED + 1])));
    assert!(bench.outbox.copy(&copied(&vec![7; MOST_COPIED])));
    // A slow line.
    let mut bench = Bench::new(576);
    assert!(!bench.outbox.copy(&copied(&[7; 576])));
    assert!(bench.outbox.copy(&copied(&[7; 500])));
    assert!(!bench.outbox.copy(&copied(&[7; 500])), "one after the other");
    bench.outbox.drop_copies();
    assert!(bench.take().is_none(), "none of it is said");
    assert!(bench.outbox.copy(&copied(&[7; 500])));
    bench.outbox.close(None, false);
    assert!(!bench.outbox.copy(&copied(&[7; 1])));
}

#[test]
fn behind_what_came_by_copies_alone_the_number_is_told_on_the_next_link() {
    let mut bench = Bench::new(10_000);
    bench.outbox.set_resumes(true);
    bench.open(1, Delivery::Lossless(9));
    bench.outbox.set_links(1, Links::All);
    for payload in [b"a", b"b", b"c", b"d"] {
        assert!(matches!(bench.put(1, payload), Put::Copied(..)));
    }
    while bench.write() {}
    // The stream had not brought all of them when its link ended.
    assert!(bench.outbox.credit(Credit { alias: 1, limit: 13, taken: 4, lost: 0 }).is_some());
    bench.outbox.suspend(Vec::new(), Batch::default());
    bench.got.clear();
    assert_eq!(bench.outbox.resume(0, None), Ok(()));
    assert!(matches!(bench.put(1, b"e"), Put::Copied(_, 4)));
    while bench.write() {}
    bench.got.retain(|got| !matches!(got, Got::Control(Control::Time(_) | Control::Mark { .. })));
    assert_eq!(bench.got.len(), 2, "{:?}", bench.got);
    assert_eq!(bench.got[0], Got::Control(Control::At { alias: 1, number: 4 }));
    assert!(matches!(&bench.got[1], Got::Sample { payload, .. } if payload == b"e"));
}
