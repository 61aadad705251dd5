//! What a sender that was held up does, and what a latecomer gets.

use super::*;
use crate::delivery::Delivery;
use crate::priority::Priority;
use crate::runtime::clock::Clock;
use crate::transport::memory;
use crate::wire::control::Credit;
use crossbeam_channel::bounded;

/// An intent, and a line to a peer that read nothing yet.
fn bench(retain: bool) -> (Arc<Outlets>, Arc<Line>) {
    let (here, _there) = memory::pair();
    let (dispatcher, _inputs) = bounded(8);
    let line = Line::new("memory://test".to_owned(), here, Clock::start(), 1 << 16, dispatcher);
    line.up(Arc::new(PeerName { path: None, url: line.url.clone() }), 1 << 16, true, false);
    let route = Route::parse("Imu@robot.imu").unwrap();
    (Arc::new(Outlets::new(IntentId(1), route, TypeId::of::<u8>(), false, retain, Bounds::NONE)), line)
}

fn open(outlets: &Outlets, line: &Arc<Line>, alias: u32, delivery: Delivery) -> Outlet {
    let sending = (delivery, Priority::Normal);
    let (route, signal) = (outlets.route.clone(), Arc::clone(&outlets.signal));
    let lane = line.open_lane(alias, sending, route, signal, outlets.bounds);
    let depth = u64::from(delivery.depth());
    line.credit(Credit { alias, limit: depth, taken: 0, lost: 0 }).unwrap();
    Outlet::Remote { line: Arc::clone(line), lane, lossless: delivery.is_lossless() }
}

fn sample(payload: &[u8]) -> Outgoing<'_> {
    Outgoing { payload, shared: None }
}

#[test]
fn a_sender_that_was_held_up_never_sends_under_an_alias_of_another_pair() {
    for lanes in [1, 2] {
        let (outlets, line) = bench(false);
        let delivery = Delivery::Lossless(4);
        let old: Vec<_> = (0..lanes).map(|alias| open(&outlets, &line, alias, delivery)).collect();
        outlets.publish(|list| *list = old);
        let mut sending = Sending::new(Arc::clone(&outlets), bounded(1).0);
        assert!(sending.refresh().bytes);
        // While the sender is here, its lanes end and their aliases are given to another intent.
        let (other, _) = bench(false);
        for alias in 0..lanes {
            line.end_lane(alias);
            open(&other, &line, alias, delivery);
        }
        let outcome = sending.send(sample(&[1]), || None).unwrap();
        assert_eq!((outcome.taken(), outcome.worst()), (0, Fate::LinkDown));
        assert_eq!(line.sent(0), Some(0));
    }
}

#[test]
fn who_comes_late_while_an_intent_sends_gets_what_is_the_last_one_then() {
    for is_sent in [true, false] {
        let (outlets, line) = bench(true);
        let kept =
            |number: u8| Retained { sent: Timestamp::ZERO, payload: Bytes::from(vec![number]), number: 1 };
        outlets.begin_send();
        assert!(outlets.end_send(Some(kept(1))).is_none(), "nobody came");
        let mut sending = Sending::new(Arc::clone(&outlets), bounded(1).0);
        outlets.begin_send();
        assert!(sending.refresh().is_nothing());
        let late = open(&outlets, &line, 0, Delivery::Lossless(1));
        outlets.publish(|list| list.push(late));
        assert!(outlets.give_retained(|_| ()).is_none(), "it is not known yet");
        let given = outlets.end_send(is_sent.then(|| kept(2))).expect("somebody came");
        assert_eq!(given.payload[..], [if is_sent { 2 } else { 1 }]);
        for _ in 0..2 {
            sending.give_missed(&given);
            assert_eq!(line.sent(0), Some(1), "it is given once");
        }
        sending.refresh();
        let turned = sending.send(sample(&[3]), || None);
        assert!(matches!(turned, Err(Turned::NoRoom { place: 0, fate: Fate::NoCredit, .. })), "{turned:?}");
        assert!(outlets.give_retained(|_| ()).is_some());
    }
}

/// An intent with two lines, of which each granted `depth` samples, or more as told.
fn two_lines(depths: [u32; 2]) -> (Arc<Outlets>, [Arc<Line>; 2], Sending) {
    let ((outlets, first), (_, second)) = (bench(false), bench(false));
    let lines = [first, second];
    let list = lines.iter().zip(depths);
    let list: Vec<_> = list.map(|(line, depth)| open(&outlets, line, 0, Delivery::Lossless(depth))).collect();
    outlets.publish(|old| *old = list);
    let mut sending = Sending::new(Arc::clone(&outlets), bounded(1).0);
    sending.refresh();
    (outlets, lines, sending)
}

/// How many samples of these sizes go out before it is turned away.
fn sent(sending: &mut Sending, sizes: impl IntoIterator<Item = usize>) -> (u32, Option<Fate>) {
    let mut count = 0;
    for size in sizes {
        match sending.send(sample(&vec![7; size]), || None) {
            Ok(outcome) => assert_eq!(outcome.taken(), 2),
            Err(Turned::NoRoom { fate, .. }) => return (count, Some(fate)),
            Err(other) => panic!("{other:?}"),
        }
        count += 1;
    }
    (count, None)
}

#[test]
fn who_is_admitted_for_several_samples_goes_no_further_than_the_least_credit() {
    for (depths, least) in [([100, 30], 30), ([1, 100], 1), ([2, 2], 2), ([300, 200], 200)] {
        let (_outlets, lines, mut sending) = two_lines(depths);
        assert_eq!(sent(&mut sending, std::iter::repeat(20)), (least, Some(Fate::NoCredit)));
        for line in &lines {
            assert_eq!(line.sent(0), Some(u64::from(least)));
        }
        // And by as many as are granted then.
        for (line, depth) in lines.iter().zip(depths) {
            line.credit(Credit { alias: 0, limit: u64::from(depth) + 1, taken: 1, lost: 0 }).unwrap();
        }
        assert_eq!(sent(&mut sending, std::iter::repeat(20)), (1, Some(Fate::NoCredit)));
    }
}

#[test]
fn who_is_admitted_for_several_small_samples_is_not_for_large_ones() {
    let (_outlets, lines, mut sending) = two_lines([1000, 1000]);
    assert_eq!(sent(&mut sending, [20; 3]), (3, None));
    let (count, why) = sent(&mut sending, std::iter::repeat(1000));
    assert_eq!(why, Some(Fate::LinkFull));
    assert!((60..66).contains(&count), "{count} of 1000 bytes in 64 KiB");
    assert_eq!(lines.map(|line| line.sent(0)), [Some(u64::from(count) + 3); 2]);
}

#[test]
fn what_others_fill_meanwhile_is_passed_by_an_eighth_at_most() {
    let (_outlets, [first, second], mut sending) = two_lines([10_000, 10_000]);
    assert_eq!(sent(&mut sending, [20]), (1, None));
    // Another intent takes all that there is.
    let (others, _) = bench(false);
    let Outlet::Remote { lane, .. } = open(&others, &first, 1, Delivery::Lossless(1000)) else { panic!() };
    let mut spare = Batch::default();
    while first.put(lane, sample(&[7; 1000]), false, &mut spare) != Put::NoRoom {}
    while first.put(lane, sample(&[7; 10]), false, &mut spare) != Put::NoRoom {}
    let (count, why) = sent(&mut sending, std::iter::repeat(20));
    assert_eq!(why, Some(Fate::LinkFull));
    assert!(count > 10, "it had been admitted");
    assert!(count * 20 <= (1 << 16) / 8, "{count} of 20 bytes");
    assert_eq!(second.sent(0), Some(u64::from(count) + 1));
}

#[test]
fn who_was_admitted_looks_again_when_there_is_another_interest() {
    let (outlets, [first, _second], mut sending) = two_lines([100, 100]);
    assert_eq!(sent(&mut sending, [20]), (1, None));
    let full = open(&outlets, &first, 1, Delivery::Lossless(1));
    outlets.publish(|list| list.push(full));
    sending.refresh();
    let outcome = sending.send(sample(&[1]), || None).unwrap();
    assert_eq!(outcome.taken(), 3);
    let turned = sending.send(sample(&[1]), || None);
    assert!(matches!(turned, Err(Turned::NoRoom { place: 2, fate: Fate::NoCredit, .. })), "{turned:?}");
}
