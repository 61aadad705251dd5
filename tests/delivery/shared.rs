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

mod there {
    /// As a part of the program that knows nothing of the other would declare it.
    #[derive(serde::Deserialize, serde::Serialize, Debug, PartialEq)]
    pub struct Pose {
        pub x: f64,
        pub name: String,
    }
}

#[derive(Clone, Deserialize, serde::Serialize, Debug, PartialEq)]
struct Pose {
    x: f64,
    name: String,
}

impl Pose {
    fn at(x: f64) -> Self {
        Self { x, name: "arm".to_owned() }
    }
}

#[test]
fn two_types_of_one_shape_meet_in_one_endpoint_as_they_do_over_a_link() {
    let robot = pair(Kind::Local).robot;
    let settings = bowline::IntentSettings::new().retain();
    for intent in [robot.intent::<Pose>("robot.pose"), robot.intent_with("robot.kept", settings)] {
        let intent = intent.expect("intent");
        let path = intent.route().path().expect("is plain").to_string();
        let want = |settings| robot.interest_with::<there::Pose>(&path, settings).expect("interest");
        let (queue, latest) = (want(InterestSettings::new()), want(InterestSettings::new().latest()));
        let lossless = want(InterestSettings::new().lossless(1));
        let (give, given) = channel();
        let _subscription = robot
            .on_sample(&path, InterestSettings::new(), move |pose: Sample<there::Pose>| {
                let _ = give.send((pose.sequence(), pose.into_shared()));
            })
            .expect("subscription");
        assert!(intent.wait_interests(4, SOON));
        assert_eq!(intent.send(Pose::at(1.5)).expect("room").taken(), 4);
        let pose = there::Pose { x: 1.5, name: "arm".to_owned() };
        assert_eq!(*queue.recv_timeout(SOON).expect("arrives"), pose);
        assert_eq!(*latest.latest().fresh().expect("arrives"), pose);
        let (sequence, called) = given.recv_timeout(SOON).expect("is called");
        assert_eq!((sequence, &*called), (0, &pose));
        let error = intent.try_send(Pose::at(2.0)).unwrap_err();
        assert!(error.is_no_credit() && error.into_inner() == Pose::at(2.0));
        assert_eq!(*lossless.recv_timeout(SOON).expect("arrives"), pose);
        // Beside them one of the same type, which gets it as it is.
        let same: Interest<Pose> = robot.interest(&path).expect("interest");
        assert!(intent.wait_interests(5, SOON));
        let _ = same.try_recv();
        let message = Arc::new(Pose::at(3.0));
        assert_eq!(intent.send_shared(Arc::clone(&message)).expect("room").taken(), 5);
        assert!(Arc::ptr_eq(&same.recv_timeout(SOON).expect("arrives").into_shared(), &message));
        let sample = queue.recv_timeout(SOON).expect("arrives");
        assert_eq!((sample.sequence(), sample.x, sample.peer()), (1, 3.0, None));
        assert_eq!(queue.counts().undecodable, 0);
    }
}
