use super::*;

const ID: LaneId = LaneId { alias: 0, opening: 0 };

fn parked(size: usize) -> Parked {
    Parked { sent: Timestamp::ZERO, payload: Bytes::from(vec![0; size]), missing: Missing::default() }
}

fn sizes(lane: &Lane) -> Vec<usize> {
    lane.parked.iter().map(|sample| sample.payload.len()).collect()
}

/// Parks samples of these sizes, one after the other; returns the bytes held and how many went.
fn park_all(lane: &mut Lane, samples: &[usize], room: usize) -> (usize, u64) {
    samples.iter().fold((0, 0), |(held, dropped), size| {
        let (held, more) = lane.park(parked(*size), held, room);
        (held, dropped + more)
    })
}

#[test]
fn latest_parks_only_the_newest() {
    let mut lane = Lane::new(ID, Delivery::Latest, Bounds::NONE);
    assert_eq!(park_all(&mut lane, &[1, 2, 3], 10_000), (3 + PARKED_COST, 2));
    assert_eq!(sizes(&lane), [3]);
    assert_eq!((lane.gap, lane.lost_here), (2, 2));
}

#[test]
fn a_queue_parks_the_newest_n_in_order() {
    let mut lane = Lane::new(ID, Delivery::Queue(3), Bounds::NONE);
    let held = 3 + 4 + 5 + 3 * PARKED_COST;
    assert_eq!(park_all(&mut lane, &[1, 2, 3, 4, 5], 10_000), (held, 2));
    assert_eq!(sizes(&lane), [3, 4, 5]);
}

#[test]
fn the_newest_is_parked_whatever_other_lanes_hold() {
    let mut lane = Lane::new(ID, Delivery::Queue(100), Bounds::NONE);
    let (elsewhere, room) = (5000, 5000);
    let (held, dropped) = lane.park(parked(10), elsewhere, room);
    assert_eq!((held, dropped), (elsewhere + 10 + PARKED_COST, 0));
    let (held, dropped) = lane.park(parked(9000), held, room);
    assert_eq!((held, dropped), (elsewhere + 9000 + PARKED_COST, 1), "its own older one makes room");
    assert_eq!(sizes(&lane), [9000]);
}

#[test]
fn what_is_parked_beyond_the_newest_fits_the_room() {
    let mut lane = Lane::new(ID, Delivery::Queue(1 << 20), Bounds::NONE);
    let room = 10 * PARKED_COST;
    let (held, dropped) = park_all(&mut lane, &[0; 1000], room);
    assert_eq!((held, dropped, lane.parked.len()), (room, 990, 10), "empty samples cost memory too");
}

#[test]
fn credit_only_moves_forward_and_never_past_what_was_sent() {
    let mut lane = Lane::new(ID, Delivery::Lossless(4), Bounds::NONE);
    assert!(!lane.has_credit(), "before the first credit nothing may be sent");
    assert!(!lane.credit(5, 0, 0), "more than the window");
    assert!(!lane.credit(4, 1, 0), "taken what was never sent");
    assert!(lane.credit(4, 0, 0) && lane.has_credit());
    lane.sequence = 4;
    assert!(!lane.has_credit());
    assert!(!lane.credit(9, 5, 0), "five taken of four sent");
    assert!(!lane.credit(7, 2, 0), "window of five");
    assert!(lane.credit(6, 2, 0));
    assert!(!lane.credit(5, 2, 0), "the limit goes back");
    assert!(!lane.credit(6, 1, 0), "taken goes back");
    assert!(!lane.credit(6, 3, 5), "lost what was never sent");
    assert!(lane.credit(6, 3, 0));
    assert_eq!(
        (lane.limit, lane.taken, lane.lost_there),
        (Some(6), 3, 0),
        "a refused credit changes nothing"
    );
}

#[test]
fn credit_of_a_lane_that_loses_is_bounded_by_nothing_but_what_was_sent() {
    let mut lane = Lane::new(ID, Delivery::Queue(2), Bounds::NONE);
    assert!(lane.credit(u64::MAX, 0, 0));
    lane.sequence = 10;
    assert!(lane.credit(u64::MAX, 10, 3));
    assert!(!lane.credit(u64::MAX, 10, 2), "lost goes back");
    assert!(!lane.credit(u64::MAX, 11, 3));
}
