//! Faults on purpose, over real connections: what they do is seen, and what must hold does.
#![cfg(feature = "testing")]

mod support;

use bowline::testing::{Fault, FaultSwitch, Faults};
use bowline::transport::{Memory, Tcp, Udp};
use bowline::{Endpoint, EndpointBuilder, Event, Intent, Interest, InterestSettings};
use std::time::{Duration, Instant};
use support::{SOON, Watch, until, url};

/// Soon enough for what is to be found, and late enough for a machine that does much else.
const PING: Duration = Duration::from_millis(50);
const CALM: Duration = Duration::from_secs(2);

/// Two endpoints and what lies between them.
struct Scene {
    robot: Endpoint,
    desk: Endpoint,
    switch: FaultSwitch,
}

fn scene(scheme: &str, ping: Duration) -> Scene {
    let listen = match scheme {
        "memory" => format!("memory://fault-{}", number()),
        scheme => format!("{scheme}://127.0.0.1:0"),
    };
    let robot = quick("robot").ping_interval(ping).listen(listen).start().expect("starts");
    let switch = FaultSwitch::new(11);
    let desk = match scheme {
        "memory" => quick("desk").ping_interval(ping).transport(Fault::new(Memory, &switch)),
        "udp" => quick("desk").ping_interval(ping).transport(Fault::new(Udp, &switch)),
        _ => quick("desk").ping_interval(ping).transport(Fault::new(Tcp, &switch)),
    };
    let desk = desk.connect(format!("fault+{}", url(&robot))).start().expect("starts");
    Watch::new(&desk).link_is_up();
    Scene { robot, desk, switch }
}

fn quick(path: &str) -> EndpointBuilder {
    let redial = Duration::from_millis(10);
    Endpoint::builder(path).redial(redial, 2 * redial).redial_refused(redial)
}

/// A number of its own for each scene.
fn number() -> u32 {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn linked(scene: &Scene, lossless: bool) -> (Intent<u32>, Interest<u32>) {
    let intent = scene.robot.intent("robot.count").expect("an intent");
    let settings = match lossless {
        true => InterestSettings::new().lossless(16),
        false => InterestSettings::new().queue(64),
    };
    let interest = scene.desk.interest_with("robot.count", settings).expect("an interest");
    assert!(intent.wait_interest(SOON));
    (intent, interest)
}

#[test]
fn lossless_loses_nothing_on_a_line_that_loses_doubles_and_reorders() {
    let scene = scene("udp", CALM);
    let (intent, interest) = linked(&scene, true);
    // A link that stands: with this loss a silence of 3.5 pings is rare, and ends it.
    let faults = Faults::none().loss(0.2).duplicate(0.5).reorder(0.2).jitter(Duration::from_millis(2));
    scene.switch.set(faults);
    for n in 0..300 {
        intent.send_timeout(n, SOON).expect("room");
        assert_eq!(*interest.recv_timeout(SOON).expect("comes"), n);
    }
    assert_eq!(interest.counts().lost_here + interest.counts().lost_on_the_way, 0);
}

#[test]
fn what_a_queue_loses_on_the_way_is_counted() {
    let scene = scene("udp", CALM);
    let (intent, interest) = linked(&scene, false);
    scene.switch.set_in(Faults::none().loss(0.3));
    let mut got = 0;
    for n in 0..300 {
        intent.send(n).expect("is taken");
        got += u64::from(interest.recv_timeout(Duration::from_millis(2)).is_ok());
    }
    scene.switch.heal();
    until("every sample came or was counted", || {
        intent.send(1000).expect("is taken");
        got += u64::from(interest.recv_timeout(Duration::from_millis(2)).is_ok());
        interest.counts().lost_on_the_way > 20
    });
    assert!(got > 100, "{got}");
}

#[test]
fn a_stream_is_late_by_what_was_said() {
    for scheme in ["tcp", "memory"] {
        let scene = scene(scheme, CALM);
        let (intent, interest) = linked(&scene, true);
        let delay = Duration::from_millis(60);
        scene.switch.set_in(Faults::none().delay(delay));
        let begun = Instant::now();
        for n in 0..5 {
            intent.send(n).expect("is taken");
        }
        for n in 0..5 {
            assert_eq!(*interest.recv_timeout(SOON).expect("comes"), n);
        }
        assert!(begun.elapsed() >= delay, "{scheme}: {:?}", begun.elapsed());
    }
}

#[test]
fn a_partition_is_found_by_both_sides_and_healed() {
    for scheme in ["tcp", "udp", "memory"] {
        let scene = scene(scheme, PING);
        let (mut robot, mut desk) = (Watch::new(&scene.robot), Watch::new(&scene.desk));
        robot.link_is_up();
        scene.switch.partition();
        robot.wait(|event| matches!(event, Event::LinkDown { .. }));
        desk.wait(|event| matches!(event, Event::LinkDown { .. }));
        scene.switch.heal();
        robot.link_is_up();
        desk.link_is_up();
        let (intent, interest) = linked(&scene, true);
        intent.send(7).expect("is taken");
        assert_eq!(*interest.recv_timeout(SOON).expect("comes"), 7, "{scheme}");
    }
}

#[test]
fn a_partition_one_way_is_found_too() {
    for scheme in ["tcp", "udp"] {
        let scene = scene(scheme, PING);
        let mut desk = Watch::new(&scene.desk);
        scene.switch.partition_in();
        desk.wait(|event| matches!(event, Event::LinkDown { .. }));
        scene.switch.heal();
        desk.link_is_up();
    }
}

#[test]
fn a_cut_ends_all_connections_and_they_come_back() {
    for scheme in ["tcp", "udp", "memory"] {
        let scene = scene(scheme, PING);
        let mut desk = Watch::new(&scene.desk);
        for _ in 0..5 {
            scene.switch.cut();
            desk.wait(|event| matches!(event, Event::LinkDown { .. }));
            desk.link_is_up();
        }
        assert!(scene.switch.connections() >= 1);
    }
}

#[test]
fn a_flipped_bit_harms_its_link_only_and_the_link_comes_back() {
    for busy in [true, false] {
        let scene = scene("tcp", PING);
        let mut desk = Watch::new(&scene.desk);
        let intent: Intent<Vec<u8>> = scene.robot.intent("robot.bulk").expect("an intent");
        let _interest: Interest<Vec<u8>> = scene.desk.interest("robot.bulk").expect("an interest");
        assert!(intent.wait_interest(SOON));
        scene.switch.set_in(Faults::none().corrupt(1.0));
        // A length that is wrong shows as such once there are so many bytes, or by what stands inside.
        let begun = Instant::now();
        while busy && scene.desk.links()[0].state.is_up() && begun.elapsed() < SOON {
            let _ = intent.send_timeout(vec![0; 60_000], Duration::from_millis(10));
        }
        desk.wait(|event| matches!(event, Event::LinkDown { .. }));
        scene.switch.heal();
        desk.link_is_up();
    }
}

#[test]
fn a_slow_line_holds_up_a_sender_without_loss() {
    let scene = scene("memory", CALM);
    let (intent, interest) = linked(&scene, true);
    scene.switch.set_in(Faults::none().rate(2_000_000));
    for n in 0..2000 {
        intent.send_timeout(n, SOON).expect("room");
        if n >= 4 {
            assert_eq!(*interest.recv_timeout(SOON).expect("comes"), n - 4);
        }
    }
}

#[test]
fn faults_stand_in_urls_and_wrong_ones_are_named() {
    let robot = quick("robot").listen("tcp://127.0.0.1:0").start().expect("starts");
    let desk = quick("desk").connect(format!("fault+{}?delay=20", url(&robot))).start().expect("starts");
    Watch::new(&desk).link_is_up();
    let intent: Intent<u32> = robot.intent("robot.count").expect("an intent");
    let interest: Interest<u32> = desk.interest("robot.count").expect("an interest");
    assert!(intent.wait_interest(SOON));
    let begun = Instant::now();
    intent.send(1).expect("is taken");
    assert_eq!(*interest.recv_timeout(SOON).expect("comes"), 1);
    assert!(begun.elapsed() >= Duration::from_millis(20));

    let error = quick("x").listen("fault+memory://wrong?loss=3").start().expect_err("a wrong chance");
    let source = std::error::Error::source(&error).expect("a reason").to_string();
    assert!(source.contains("part of one"), "{source}");
    let wrong =
        Endpoint::builder("y").connect(format!("fault+{}?lost=1", url(&robot))).start().expect("starts");
    Watch::new(&wrong)
        .wait(|event| matches!(event, Event::LinkDown { reason, .. } if reason.text().contains("lost")));
}
