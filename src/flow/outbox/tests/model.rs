//! Random senders, writers and readers against what the promises say must come out.

use super::*;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Put {
        alias: u32,
        size: usize,
    },
    /// The writer writes once.
    Write,
    /// The other side reads some more of what was sent to it, and says so.
    Credit {
        alias: u32,
        take: u64,
    },
    /// How much of an inline write gets through from now on.
    Inline(usize),
    Urgent,
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let size = prop_oneof![4 => 5..60_usize, 2 => 60..600_usize, 1 => 5000..9000_usize];
    let step = prop_oneof![
        12 => (0..5_u32, size).prop_map(|(alias, size)| Step::Put { alias, size }),
        3 => Just(Step::Write),
        3 => (0..5_u32, 0..6_u64).prop_map(|(alias, take)| Step::Credit { alias, take }),
        1 => (0..80_usize).prop_map(Step::Inline),
        1 => Just(Step::Urgent),
        2 => (0..50_u64).prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 1..400)
}

/// What the sender knows of a lane.
#[derive(Default)]
struct Sent {
    accepted: u64,
    dropped: u64,
    limit: u64,
    taken: u64,
}

const LANES: [Delivery; 5] =
    [Delivery::Latest, Delivery::Queue(1), Delivery::Queue(8), Delivery::Lossless(1), Delivery::Lossless(16)];

/// The sample with this number: its payload says which it is.
fn payload(alias: u32, number: u64, size: usize) -> Vec<u8> {
    let mut payload = vec![alias as u8; size];
    payload[1..5].copy_from_slice(&(number as u32).to_le_bytes());
    payload
}

fn run(steps: Vec<Step>) {
    let mut bench = Bench::new(CAPACITY);
    let mut lanes: Vec<Sent> = Vec::new();
    for (alias, delivery) in LANES.into_iter().enumerate() {
        bench.open(alias as u32, delivery);
        let limit = if delivery.is_lossless() { u64::from(delivery.depth()) } else { u64::MAX };
        lanes.push(Sent { limit, ..Sent::default() });
    }
    let (mut inline, mut urgent, mut largest) = (usize::MAX, 0, 0);
    for step in steps {
        match step {
            Step::Put { alias, size } => {
                let lane = &mut lanes[alias as usize];
                put(&mut bench, lane, alias, size, inline);
                largest = largest.max(size);
            }
            Step::Write => {
                bench.write();
            }
            Step::Credit { alias, take } => {
                let arrived = bench.next.get(&alias).copied().unwrap_or(0);
                let lane = &mut lanes[alias as usize];
                lane.taken = (lane.taken + take).min(arrived);
                if LANES[alias as usize].is_lossless() {
                    lane.limit = lane.taken + u64::from(LANES[alias as usize].depth());
                }
                let credit = Credit { alias, limit: lane.limit, taken: lane.taken, lost: 0 };
                assert_eq!(bench.outbox.credit(credit), Some(MORE), "an honest credit");
            }
            Step::Inline(most) => inline = most,
            Step::Urgent => {
                assert!(bench.outbox.urgent(&ping(urgent)));
                urgent += 1;
            }
            Step::Wait(micros) => bench.now = bench.now + Duration::from_micros(micros),
        }
        check_bounds(&bench.outbox, largest);
    }
    for alias in 0..LANES.len() as u32 {
        bench.outbox.end(alias);
    }
    bench.write_all();
    check_what_came(&bench, &lanes, urgent);
}

fn put(bench: &mut Bench, lane: &mut Sent, alias: u32, size: usize, inline: usize) {
    let delivery = LANES[alias as usize];
    let waiting = bench.outbox.batch.len();
    let has_room = waiting == 0 || waiting + size <= CAPACITY;
    let has_credit = lane.accepted < lane.limit;
    let admitted = bench.admits(alias, size);
    let put = bench.put(alias, &payload(alias, lane.accepted, size));
    let full = |put| matches!(put, Put::NoRoom | Put::NoCredit(_));
    assert_eq!(full(admitted), full(put));
    match put {
        Put::NoRoom | Put::NoCredit(_) => {
            return assert!(delivery.is_lossless() && !(has_room && has_credit));
        }
        Put::Parked(dropped) => {
            assert!(!delivery.is_lossless());
            lane.dropped += dropped;
        }
        Put::Queued | Put::Inline => assert!(has_room && has_credit),
        other => panic!("{other:?}"),
    }
    lane.accepted += 1;
    if put == Put::Inline {
        bench.write_inline(inline);
    } else {
        bench.outbox.wake();
    }
}

fn check_bounds(outbox: &Outbox, largest: usize) {
    // One sample beyond the capacity, and the heads of those that just fit.
    let heads = CAPACITY / 5 * MESSAGE_HEAD_MAX;
    assert!(outbox.batch.len() <= CAPACITY + largest + heads, "{}", outbox.batch.len());
    let parked: usize = outbox.lanes.iter().flatten().flat_map(|lane| &lane.parked).map(Parked::cost).sum();
    assert_eq!(parked, outbox.parked);
    let losing = LANES.iter().filter(|delivery| !delivery.is_lossless()).count();
    assert!(parked <= CAPACITY + losing * (largest + PARKED_COST), "{parked} bytes are parked");
}

fn check_what_came(bench: &Bench, lanes: &[Sent], urgent: u64) {
    for (alias, lane) in lanes.iter().enumerate() {
        let samples = bench.samples(alias as u32);
        // In order, at most once, and each under the number it was sent as: all others are announced.
        assert!(samples.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for (sequence, bytes) in &samples {
            assert_eq!(*bytes, payload(alias as u32, *sequence, bytes.len()));
        }
        assert_eq!(samples.len() as u64 + lane.dropped, lane.accepted, "each arrived or was counted");
        assert_eq!(bench.next.get(&(alias as u32)).copied().unwrap_or(0), lane.accepted);
        if lane.accepted > 0 {
            assert_eq!(samples.last().map(|(sequence, _)| *sequence), Some(lane.accepted - 1), "the newest");
        }
        if LANES[alias].is_lossless() {
            assert_eq!(lane.dropped, 0);
        }
    }
    let pings = bench.got.iter().filter(|got| matches!(got, Got::Control(Control::Ping(_)))).count();
    assert_eq!(pings as u64, urgent);
    let ends = bench.got.iter().filter(|got| matches!(got, Got::Control(Control::End { .. }))).count();
    assert_eq!(ends, LANES.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_sample_arrives_once_in_order_or_its_loss_is_announced(steps in steps()) {
        run(steps);
    }
}
