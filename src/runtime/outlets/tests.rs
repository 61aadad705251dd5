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
