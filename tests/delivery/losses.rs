//! What a link that dies takes with it is counted, and told.

use crate::support::tap::Tap;
use crate::support::{SOON, Watch, dial_at};
use bowline::{Bytes, Endpoint, Event, Intent, Interest, InterestSettings, LostAt};

/// A robot and a desk whose link the test can hold up in the direction to the desk.
struct Scene {
    tap: Tap,
    robot: Endpoint,
    desk: Endpoint,
    watch: Watch,
    intent: Intent<Bytes>,
    wanted: Interest<Bytes>,
}

fn scene(place: &str, settings: InterestSettings) -> Scene {
    let tap = Tap::default();
    let listen = format!("tap://{place}");
    let robot = Endpoint::builder("robot").transport(tap.clone()).listen(listen).start().expect("starts");
    let desk = dial_at("desk", &robot, |desk| desk.transport(tap.clone()));
    let intent = robot.intent("robot.data").expect("intent");
    let wanted = desk.interest_with("robot.data", settings).expect("interest");
    assert!(intent.wait_interest(SOON));
    Scene { tap, watch: Watch::new(&robot), robot, desk, intent, wanted }
}

impl Scene {
    fn send(&self, count: u64, size: usize) {
        for _ in 0..count {
            assert_eq!(
                self.intent.send_timeout(Bytes::from(vec![7; size]), SOON).expect("has room").taken(),
                1
            );
        }
    }

    fn receive(&self, count: u64) {
        for number in 0..count {
            assert_eq!(self.wanted.recv_timeout(SOON).expect("arrives").sequence(), number);
        }
    }

    /// The other side is gone without having read what is held.
    fn kill(&mut self) {
        let _ = self.desk.close(std::time::Duration::ZERO);
        self.watch.wait(|event| matches!(event, Event::LinkDown { .. }));
    }

    /// How many samples were lost on this side, once it is `wanted`.
    fn lost(&mut self, wanted: u64) {
        let mut lost = 0;
        while lost < wanted {
            lost += self.watch.find(|event| match event {
                Event::SamplesLost { route, peer: Some(peer), count, lost: LostAt::Here } => {
                    assert_eq!(
                        (route.to_string().as_str(), peer.path.as_ref().map(AsRef::as_ref)),
                        ("Bytes@robot.data", Some("desk"))
                    );
                    Some(*count)
                }
                _ => None,
            });
        }
        assert_eq!(lost, wanted);
    }
}

#[test]
fn what_waits_in_a_queue_for_a_link_that_dies_is_lost_and_told() {
    let mut scene = scene("losses-queue", InterestSettings::new().queue(1000));
    scene.send(3, 10);
    scene.receive(3);
    scene.tap.hold();
    // Some in the writer's hands, some in its next load, some parked, some replaced.
    scene.send(700, 300);
    scene.kill();
    scene.lost(700);
    assert!(scene.robot.close(SOON));
    assert!(!scene.watch.all().iter().any(|event| matches!(event, Event::SamplesUnconfirmed { .. })));
}

#[test]
fn of_lossless_samples_it_is_told_which_are_lost_and_which_unsure() {
    let mut scene = scene("losses-lossless", InterestSettings::new().lossless(10));
    scene.send(7, 10);
    // Of these five are confirmed, as half of the window was taken; only then there is room for four more.
    scene.receive(7);
    scene.tap.hold();
    scene.send(4, 10);
    scene.kill();
    scene.lost(4);
    let unsure = scene.watch.find(|event| match event {
        Event::SamplesUnconfirmed { count, .. } => Some(*count),
        _ => None,
    });
    assert_eq!(unsure, 2);
}

#[test]
fn an_orderly_close_that_wrote_everything_loses_nothing() {
    let mut scene = scene("losses-close", InterestSettings::new().lossless(100));
    scene.send(60, 1000);
    assert!(scene.robot.close(SOON));
    scene.receive(60);
    let ends = scene.watch.all();
    assert!(
        !ends
            .iter()
            .any(|event| { matches!(event, Event::SamplesLost { .. } | Event::SamplesUnconfirmed { .. }) }),
        "{ends:#?}"
    );
}
