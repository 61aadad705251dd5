//! Several intents on one route, several interests, and several deliveries in one endpoint.

use crate::support::{Kind, SOON, Watch, dial, pair, pair_with, until};
use bowline::{Event, Intent, Interest, InterestSettings};
use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

crate::each_kind!(several_interests_of_one_endpoint_each_get_what_they_asked_for);

#[test]
fn several_intents_fan_in_and_each_keeps_its_order() {
    const COUNT: u32 = 3000;
    let pair = pair(Kind::Tcp);
    let others: Vec<_> = ["arm", "gripper"].into_iter().map(|path| dial(path, &pair.robot)).collect();
    let interest: Interest<u32> =
        pair.robot.interest_with("shared.log", InterestSettings::new().lossless(32)).expect("interest");
    let endpoints: Vec<_> = others.iter().chain([&*pair.desk, &*pair.robot]).collect();
    let intents: Vec<Intent<u32>> = endpoints
        .iter()
        .flat_map(|one| [*one, *one])
        .map(|one| one.intent("shared.log").expect("intent"))
        .collect();
    thread::scope(|scope| {
        for (number, intent) in intents.into_iter().enumerate() {
            scope.spawn(move || {
                assert!(intent.wait_interest(SOON));
                for count in 0..COUNT {
                    let sample = number as u32 * COUNT + count;
                    intent.send_timeout(sample, SOON).expect("goes on");
                }
                until("all was read", || intent.interested() == 0);
            });
        }
        let mut next = BTreeMap::<u32, u32>::new();
        for _ in 0..8 * COUNT {
            let sample = interest.recv_timeout(SOON).expect("arrives");
            let (from, count) = (*sample / COUNT, *sample % COUNT);
            let expected = next.entry(from).or_default();
            assert_eq!((count, sample.sequence()), (*expected, u64::from(count)), "of intent {from}");
            *expected += 1;
            let name = sample.peer().and_then(|peer| peer.path.as_ref()).map(|path| path.as_str());
            assert_eq!(name, [Some("arm"), Some("gripper"), Some("desk"), None][from as usize / 2]);
        }
        assert_eq!(interest.suppliers(), 8);
        drop(interest);
    });
}

#[test]
fn one_intent_fans_out_to_many_peers() {
    let pair = pair(Kind::Tcp);
    let others: Vec<_> = (0..5).map(|i| dial(&format!("desk{i}"), &pair.robot)).collect();
    let intent: Intent<u32> = pair.robot.intent("robot.count").expect("intent");
    let interests: Vec<Interest<u32>> = others
        .iter()
        .chain([&*pair.desk])
        .map(|one| one.interest_with("robot.count", InterestSettings::new().lossless(16)).expect("interest"))
        .collect();
    until("all are linked", || intent.interested() == 6);
    thread::scope(|scope| {
        let readers: Vec<_> = interests
            .into_iter()
            .map(|interest| {
                scope.spawn(move || {
                    for number in 0..2000 {
                        assert_eq!(*interest.recv_timeout(SOON).expect("arrives"), number);
                    }
                })
            })
            .collect();
        for number in 0..2000 {
            assert_eq!(intent.send_timeout(number, SOON).expect("goes on").taken(), 6);
        }
        for reader in readers {
            reader.join().expect("all arrived");
        }
    });
}

fn several_interests_of_one_endpoint_each_get_what_they_asked_for(kind: Kind) {
    let pair = pair(kind);
    let intent: Intent<u32> = pair.robot.intent("robot.count").expect("intent");
    let want =
        |settings| -> Interest<u32> { pair.desk.interest_with("robot.count", settings).expect("interest") };
    let all = want(InterestSettings::new().lossless(200));
    let few = want(InterestSettings::new().queue(3));
    let same = want(InterestSettings::new().queue(3));
    let newest = want(InterestSettings::new().latest());
    until("all are linked", || intent.interested() == 4);
    for number in 0..200 {
        assert_eq!(intent.send(number).expect("room").taken(), 4);
    }
    until("all arrived", || [&all, &few, &same, &newest].iter().all(|one| one.counts().received == 200));
    for number in 0..200 {
        assert_eq!(*all.try_recv().expect("is there"), number);
    }
    for interest in [few, same] {
        let left: Vec<_> = std::iter::from_fn(|| interest.try_recv().ok()).map(|sample| *sample).collect();
        assert_eq!(left, [197, 198, 199]);
    }
    assert_eq!(newest.latest().fresh().map(|sample| *sample), Some(199));
}

#[test]
fn a_peer_with_thousands_of_interests_does_not_disturb_another() {
    const MANY: usize = 1000;
    let often = Duration::from_millis(200);
    let pair = pair_with(Kind::Tcp, |robot| robot.ping_interval(often), |desk| desk.ping_interval(often));
    let greedy = dial("greedy", &pair.robot);
    let intent: Intent<u32> = pair.robot.intent("robot.count").expect("intent");
    let calm: Interest<u32> =
        pair.desk.interest_with("robot.count", InterestSettings::new().lossless(4)).expect("interest");
    assert!(intent.wait_interest(SOON) && calm.wait_intent(SOON));
    let mut watch = Watch::new(&pair.desk);
    let many: Vec<Interest<u32>> =
        (0..MANY).map(|_| greedy.interest("robot.count").expect("interest")).collect();
    until("all are linked", || intent.interested() == MANY + 1);
    assert_eq!(intent.send(7).expect("room").taken() as usize, MANY + 1);
    assert_eq!(*calm.recv_timeout(SOON).expect("arrives"), 7);
    for interest in &many {
        assert_eq!(*interest.recv_timeout(SOON).expect("arrives"), 7);
    }
    drop(many);
    until("only the calm one is left", || intent.interested() == 1);
    intent.send(8).expect("room");
    assert_eq!(*calm.recv_timeout(SOON).expect("arrives"), 8);
    let down = watch.all().into_iter().find(|event| matches!(event, Event::LinkDown { .. }));
    assert_eq!(down, None);
}
