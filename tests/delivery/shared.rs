//! In one process a sample passes as it is, never encoded.

use crate::support::{Kind, SOON, pair, until};
use bowline::{Intent, Interest, InterestSettings, Sample};
use serde::{Deserialize, Serialize, Serializer};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::channel;

/// How often one was encoded.
static ENCODED: AtomicU32 = AtomicU32::new(0);

#[derive(Clone, Deserialize, Debug, PartialEq)]
struct Counting {
    number: u32,
}

impl Serialize for Counting {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Plain {
            number: u32,
        }
        ENCODED.fetch_add(1, Ordering::Relaxed);
        Plain { number: self.number }.serialize(serializer)
    }
}

#[test]
fn a_message_is_passed_by_reference_and_encoded_only_for_links() {
    let pair = pair(Kind::Tcp);
    let intent: Intent<Counting> = pair.robot.intent("robot.part").expect("intent");
    let queue: Interest<Counting> = pair.robot.interest("robot.part").expect("interest");
    let latest: Interest<Counting> =
        pair.robot.interest_with("robot.part", InterestSettings::new().latest()).expect("interest");
    let lossless: Interest<Counting> =
        pair.robot.interest_with("robot.part", InterestSettings::new().lossless(2)).expect("interest");
    let (give, given) = channel();
    let _subscription = pair
        .robot
        .on_sample("robot.part", InterestSettings::new(), move |sample: Sample<Counting>| {
            let _ = give.send(sample.into_shared());
        })
        .expect("subscription");
    until("all are linked", || intent.interested() == 4);
    let message = Arc::new(Counting { number: 1 });
    assert_eq!(intent.send_shared(Arc::clone(&message)).expect("room").taken(), 4);
    let mut got: Vec<_> = [&queue, &lossless]
        .iter()
        .map(|one| one.recv_timeout(SOON).expect("is there").into_shared())
        .collect();
    got.push(latest.latest().fresh().expect("is there").into_shared());
    got.push(given.recv_timeout(SOON).expect("was called"));
    assert!(got.iter().all(|one| Arc::ptr_eq(one, &message)), "the very same");
    intent.try_send_shared(Arc::clone(&message)).expect("room");
    intent.send(Counting { number: 2 }).expect("room");
    assert!(intent.send(Counting { number: 3 }).is_err_and(|error| error.into_inner().number == 3));
    let back = intent.send_shared_timeout(Arc::clone(&message), std::time::Duration::ZERO);
    assert!(back.is_err_and(|error| Arc::ptr_eq(&error.into_inner(), &message)));
    assert_eq!(ENCODED.load(Ordering::Relaxed), 0);
    let there: Interest<Counting> = pair.desk.interest("robot.part").expect("interest");
    until("the desk is linked too", || intent.interested() == 5);
    for _ in 0..2 {
        lossless.recv_timeout(SOON).expect("is there");
    }
    intent.send(Counting { number: 4 }).expect("room");
    assert_eq!(*there.recv_timeout(SOON).expect("arrives"), Counting { number: 4 });
    assert_eq!(ENCODED.load(Ordering::Relaxed), 1, "once for all links");
}

#[test]
fn a_message_others_hold_is_cloned_when_it_is_taken_out() {
    let pair = pair(Kind::Local);
    let intent: Intent<Vec<u8>> = pair.robot.intent("robot.list").expect("intent");
    let one: Interest<Vec<u8>> = pair.robot.interest("robot.list").expect("interest");
    let two: Interest<Vec<u8>> = pair.robot.interest("robot.list").expect("interest");
    until("both are linked", || intent.interested() == 2);
    intent.send(vec![1, 2, 3]).expect("sends");
    let mut first = one.recv_timeout(SOON).expect("is there").into_inner();
    first.push(4);
    assert_eq!(*two.recv_timeout(SOON).expect("is there"), vec![1, 2, 3]);
}
