//! An intent that sends while interests come, in every order.

use super::*;
use crate::delivery::Delivery;
use crate::flow::run::Content;
use crate::proto::{IntentId, InterestId};
use crate::runtime::inbox::Inbox;
use crate::runtime::outlets::Outlet;
use crate::runtime::source::Source;
use crate::settings::Bounds;
use crate::sync::interleave;
use shuttle::thread::spawn;
use std::any::TypeId;
use std::collections::VecDeque;

const ROUNDS: usize = 1000;

fn route() -> Route {
    Route::parse("Mode@robot.mode").unwrap()
}

fn interest(id: u32, delivery: Delivery) -> Arc<Inbox> {
    Arc::new(Inbox::new(InterestId(id), route(), TypeId::of::<u8>(), delivery, None))
}

/// What the dispatcher does when an interest comes.
fn link(outlets: &Outlets, inbox: &Arc<Inbox>) {
    let source = Source::local(route(), Clock::start(), inbox.window(), Arc::clone(&outlets.signal));
    inbox.add_supplier(source.clone());
    let outlet = Outlet::Local { inbox: Arc::clone(inbox), source: source.clone(), encoded: false };
    outlets.publish(|list| list.push(outlet));
    inbox.supplier_came(&source);
    outlets.give_retained(|retained| inbox.deliver_first(&source, retained));
}

/// All that an interest got and was not read yet.
fn got(inbox: &Inbox) -> Vec<u8> {
    let (mut runs, mut got) = (VecDeque::new(), Vec::new());
    while inbox.take(&mut runs) {
        for mut run in runs.drain(..) {
            while let Some(taken) = run.next() {
                assert_eq!(taken.sequence, got.len() as u64);
                got.push(match taken.content {
                    Content::Local(message) => *message.downcast_ref::<u8>().unwrap(),
                    Content::Encoded(payload) => payload.as_slice()[0],
                });
            }
        }
    }
    got
}

fn bench(retain: bool) -> (Arc<Outlets>, Intent<u8>) {
    let (dispatcher, _inputs) = crossbeam_channel::bounded(1);
    let outlets =
        Arc::new(Outlets::new(IntentId(1), route(), TypeId::of::<u8>(), false, retain, Bounds::NONE));
    let intent = Intent::new(Arc::clone(&outlets), dispatcher, Clock::start(), Duration::ZERO, 1024);
    (outlets, intent)
}

#[test]
fn a_latecomer_gets_the_last_sample_and_all_after_it_once() {
    interleave(ROUNDS, || {
        let (outlets, intent) = bench(true);
        intent.send(0).unwrap();
        let late = [interest(1, Delivery::Queue(100)), interest(2, Delivery::Lossless(100))];
        let sender = spawn(move || {
            for number in 1..4 {
                intent.send(number).unwrap();
            }
        });
        for inbox in &late {
            link(&outlets, inbox);
        }
        sender.join().unwrap();
        for inbox in &late {
            let got = got(inbox);
            let wanted: Vec<u8> = (got[0]..4).collect();
            assert_eq!(got, wanted);
        }
    });
}

#[test]
fn a_latecomer_never_gets_what_was_turned_away() {
    interleave(ROUNDS, || {
        let (outlets, intent) = bench(true);
        let full = interest(1, Delivery::Lossless(1));
        link(&outlets, &full);
        intent.send(1).unwrap();
        let late = interest(2, Delivery::Queue(100));
        let sender = spawn(move || {
            for _ in 0..3 {
                assert!(intent.try_send(2).unwrap_err().is_no_credit());
            }
        });
        link(&outlets, &late);
        sender.join().unwrap();
        assert_eq!((got(&full), got(&late)), (vec![1], vec![1]));
    });
}

#[test]
fn a_lossless_latecomer_never_gets_more_than_it_has_room_for() {
    interleave(ROUNDS, || {
        let (outlets, intent) = bench(true);
        intent.send(0).unwrap();
        let late = interest(2, Delivery::Lossless(1));
        let sender = spawn(move || (1..4).filter(|number| intent.try_send(*number).is_ok()).last());
        link(&outlets, &late);
        let last = sender.join().unwrap().unwrap_or(0);
        assert_eq!(got(&late), [last]);
    });
}

#[test]
fn an_interest_gets_all_that_is_sent_once_it_was_seen() {
    interleave(ROUNDS, || {
        let (outlets, intent) = bench(false);
        let inbox = interest(1, Delivery::Queue(100));
        let sender = spawn(move || {
            // Without a deadline, so that a change that is missed is a wait without end.
            loop {
                let seen = intent.core.signal.seen();
                if intent.interested() > 0 {
                    break;
                }
                assert!(intent.core.signal.wait(seen, None));
            }
            (0..3).map(|number| intent.send(number).unwrap().taken()).sum::<u32>()
        });
        link(&outlets, &inbox);
        assert_eq!(sender.join().unwrap(), 3);
        assert_eq!(got(&inbox), [0, 1, 2]);
    });
}
