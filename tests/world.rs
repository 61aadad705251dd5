//! A simulated world from the outside: endpoints in virtual time, and what a test can do to them.
#![cfg(feature = "testing")]

use bowline::testing::{Faults, World};
use bowline::{
    Bytes, Endpoint, EndpointBuilder, Event, Fate, Intent, IntentSettings, Interest, InterestSettings,
    LinkState, Reading, Sample,
};
use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const SOON: Duration = Duration::from_secs(10);

/// A robot that listens for both kinds of line.
fn robot() -> EndpointBuilder {
    Endpoint::builder("robot").listen("tcp://0.0.0.0:7400").listen("udp://0.0.0.0:7400")
}

fn desk(scheme: &str) -> EndpointBuilder {
    Endpoint::builder("desk").connect(format!("{scheme}://10.0.0.2:7400/robot"))
}

struct Scene {
    // The order in which they are dropped: the world last.
    intent: Intent<u32>,
    interest: Interest<u32>,
    robot: Endpoint,
    desk: Endpoint,
    world: World,
}

fn scene(seed: u64, scheme: &str, settings: InterestSettings) -> Scene {
    let world = World::new(seed);
    let robot = world.start(robot()).expect("starts");
    let desk = world.start(desk(scheme)).expect("starts");
    let intent = robot.intent("robot.count").expect("an intent");
    let interest = desk.interest_with("robot.count", settings).expect("an interest");
    assert!(intent.wait_interest(SOON));
    Scene { intent, interest, robot, desk, world }
}

fn is_down(event: &Event) -> bool {
    matches!(event, Event::LinkDown { .. })
}

/// Waits for an event, and says how long that took in the world.
fn wait(world: &World, endpoint: &Endpoint, wanted: impl Fn(&Event) -> bool) -> Duration {
    let begun = world.elapsed();
    while let Some(event) = endpoint.events().recv_timeout(SOON) {
        if wanted(&event) {
            return world.elapsed() - begun;
        }
    }
    panic!("the event did not come");
}

#[test]
fn samples_flow_and_waiting_takes_no_time() {
    for scheme in ["tcp", "udp"] {
        let begun = Instant::now();
        let scene = scene(1, scheme, InterestSettings::new().lossless(16));
        for n in 0..1000 {
            scene.intent.send_timeout(n, SOON).expect("room");
            assert_eq!(*scene.interest.recv_timeout(SOON).expect("comes"), n);
        }
        let before = scene.world.elapsed();
        assert!(scene.interest.recv_timeout(Duration::from_secs(600)).is_err_and(|error| error.is_timeout()));
        assert_eq!(scene.world.elapsed() - before, Duration::from_secs(600));
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    }
}

#[test]
fn what_comes_at_once_is_not_waited_for() {
    let scene = scene(1, "tcp", InterestSettings::new());
    assert_eq!(scene.world.elapsed(), Duration::ZERO);
    scene.intent.send(1).expect("is taken");
    assert_eq!(*scene.interest.recv_timeout(SOON).expect("comes"), 1);
    assert_eq!(scene.world.elapsed(), Duration::ZERO);
}

#[test]
fn a_sample_is_as_old_as_the_line_is_long() {
    for scheme in ["tcp", "udp"] {
        let scene = scene(1, scheme, InterestSettings::new());
        scene.world.faults_from("robot", "desk", Faults::none().delay(ms(70)));
        // The clocks are compared by pings, each of which takes its time.
        scene.world.run_for(ms(5000));
        scene.intent.send(1).expect("is taken");
        let before = scene.world.elapsed();
        let sample: Sample<u32> = scene.interest.recv_timeout(SOON).expect("comes");
        assert_eq!(scene.world.elapsed() - before, ms(70), "{scheme}");
        assert_eq!(*sample, 1);
    }
}

#[test]
fn one_seed_gives_one_course_and_another_another() {
    let run = |seed| {
        let scene = scene(seed, "udp", InterestSettings::new().queue(8));
        let faults = Faults::none().loss(0.2).duplicate(0.2).reorder(0.1).jitter(ms(9));
        scene.world.faults(faults);
        let (mut got, mut events) = (Vec::new(), Vec::new());
        for n in 0..500 {
            let _ = scene.intent.send(n);
            scene.world.run_for(ms(3));
            got.extend(std::iter::from_fn(|| scene.interest.try_recv().ok()).map(|sample| *sample));
            if n == 250 {
                scene.world.cut("robot", "desk");
            }
        }
        for endpoint in [&scene.robot, &scene.desk] {
            events.extend(
                std::iter::from_fn(|| endpoint.events().try_recv()).map(|event| format!("{event:?}")),
            );
        }
        (scene.world.digest(), got, events)
    };
    let (first, again, other) = (run(3), run(3), run(4));
    assert_eq!(first, again);
    assert_ne!(first.0, other.0);
    assert!(first.1.len() > 200 && first.1.len() < 500, "{}", first.1.len());
}

#[test]
fn a_partition_is_found_within_three_and_a_half_pings() {
    for scheme in ["tcp", "udp"] {
        let world = World::new(1);
        let robot = world.start(robot().ping_interval(ms(100))).expect("starts");
        let desk = world.start(desk(scheme).ping_interval(ms(100))).expect("starts");
        wait(&world, &robot, |event| matches!(event, Event::LinkUp { .. }));
        wait(&world, &desk, |event| matches!(event, Event::LinkUp { .. }));
        world.run_for(ms(1000));
        world.partition("desk", "robot");
        let found = wait(&world, &desk, is_down);
        assert!(found <= ms(450) && found >= ms(200), "{scheme}: {found:?}");
        assert!(wait(&world, &robot, is_down) <= ms(450));
        world.heal();
        let back = wait(&world, &desk, |event| matches!(event, Event::LinkUp { .. }));
        assert!(back <= ms(5000), "{scheme}: {back:?}");
    }
}

#[test]
fn a_partition_one_way_is_found_by_both() {
    for scheme in ["tcp", "udp"] {
        let scene = scene(1, scheme, InterestSettings::new());
        scene.world.partition_from("robot", "desk");
        wait(&scene.world, &scene.desk, is_down);
        wait(&scene.world, &scene.robot, is_down);
    }
}

/// A busy queue whose UDP link dies unnoticed: what was sent meanwhile comes by the other, late by the time that took.
#[test]
fn a_queue_loses_nothing_where_its_udp_link_dies() {
    let world = World::new(5);
    let robot = world.start(robot()).expect("starts");
    let urls = ["udp", "tcp"].map(|scheme| format!("{scheme}://10.0.0.2:7400/robot"));
    let desk = world.start(Endpoint::builder("desk").connect_any(urls)).expect("starts");
    let intent: Intent<u32> = robot.intent("robot.count").expect("an intent");
    let interest: Interest<u32> =
        desk.interest_with("robot.count", InterestSettings::new().queue(8192)).expect("an interest");
    assert!(intent.wait_interest(SOON));
    world.run_for(Duration::from_secs(1));
    let mut next = 0;
    for n in 0..12_000 {
        intent.send(n).expect("sent");
        world.run_for(ms(1));
        while let Ok(sample) = interest.try_recv() {
            assert_eq!((*sample, sample.sequence()), (next, u64::from(next)), "{:?}", interest.counts());
            assert!(sample.age() < ms(3600), "{:?}", sample.age());
            next += 1;
        }
        if n == 3000 {
            assert_eq!(desk.links()[1].state, LinkState::StandsBy);
            world.partition_lines("robot", "desk", "udp");
        }
    }
    assert_eq!(next, 12_000, "{:?}", interest.counts());
    assert!(desk.links()[1].state.is_up());
}

#[test]
fn a_crash_is_seen_and_the_endpoint_started_again_is_found() {
    for scheme in ["tcp", "udp"] {
        for silently in [false, true] {
            let Scene { intent, interest, robot: first, desk, world } =
                scene(1, scheme, InterestSettings::new());
            if silently {
                world.power_off(&first);
            } else {
                world.crash(&first);
            }
            assert!(intent.send(1).is_err_and(|error| error.is_closed()));
            assert!(first.events().iter().count() < 100 && first.close(ms(10)) == first.close(ms(10)));
            let found = wait(&world, &desk, is_down);
            assert_eq!(found > ms(1000), silently, "{scheme}: {found:?}");
            world.run_for(ms(3000));
            let second = world.start(robot()).expect("starts again");
            let intent: Intent<u32> = second.intent("robot.count").expect("an intent");
            assert!(intent.wait_interest(SOON));
            intent.send(7).expect("is taken");
            assert_eq!(*interest.recv_timeout(SOON).expect("comes"), 7);
        }
    }
}

#[test]
fn a_frozen_endpoint_is_found_and_goes_on_when_thawed() {
    let scene = scene(1, "tcp", InterestSettings::new());
    let turns = Rc::new(Cell::new(0));
    let counted = Rc::clone(&turns);
    scene.world.every(&scene.robot, ms(10), move || counted.set(counted.get() + 1));
    scene.world.run_for(ms(1000));
    assert_eq!(turns.get(), 100);
    scene.world.freeze(&scene.robot);
    wait(&scene.world, &scene.desk, is_down);
    assert_eq!(turns.get(), 100);
    scene.world.thaw(&scene.robot);
    wait(&scene.world, &scene.desk, |event| matches!(event, Event::LinkUp { .. }));
    assert!(scene.intent.wait_interest(SOON) && turns.get() > 100);
}

/// What a debugger, SIGSTOP or the host of a virtual machine does to a program: it goes on as if no time had passed, and so do the
/// interests that were in its way.
#[test]
fn a_program_that_was_frozen_cuts_nobody_off_for_it() {
    let is_cut_off = |event: &Event| matches!(event, Event::InterestCutOff { .. });
    for local in [false, true] {
        let world = World::new(1);
        let robot = world.start(robot()).expect("starts");
        let desk = world.start(desk("tcp")).expect("starts");
        let patience = IntentSettings::new().stall_limit(ms(2000));
        let intent: Intent<u32> = robot.intent_with("robot.step", patience).expect("an intent");
        let reader = if local { &robot } else { &desk };
        let settings = InterestSettings::new().lossless(4);
        let interest: Interest<u32> = reader.interest_with("robot.step", settings).expect("an interest");
        assert!(intent.wait_interest(SOON));
        for number in 0..4 {
            intent.try_send(number).expect("room");
        }
        let full = |number| intent.try_send(number).expect_err("no room").no_room().is_some();
        for _ in 0..10 {
            assert!(full(4));
            world.run_for(ms(100));
        }
        world.freeze(&robot);
        if !local {
            // It reads meanwhile, and what it grants waits to be read.
            assert_eq!(*interest.recv_timeout(SOON).expect("comes"), 0);
        }
        world.run_for(ms(3000));
        world.thaw(&robot);
        assert!(full(4), "as before it was frozen");
        if local {
            // The rest of the limit is left, and the 100 ms since it looked last.
            for _ in 0..10 {
                world.run_for(ms(100));
                assert!(full(4));
            }
            world.run_for(ms(100));
            let outcome = intent.try_send(4).expect("goes past it");
            assert_eq!(outcome.worst(), Fate::PassedOver);
            wait(&world, &robot, is_cut_off);
        } else {
            assert_eq!(intent.send_timeout(4, ms(900)).expect("room").taken(), 1);
            world.run_for(ms(100));
            assert!(std::iter::from_fn(|| robot.events().try_recv()).all(|event| !is_cut_off(&event)));
        }
    }
}

#[test]
fn clocks_that_are_off_do_not_show_in_ages_and_a_jump_ends_no_route_for_good() {
    for hours in [-5, 0, 3] {
        let world = World::new(1);
        let robot = world.start(robot()).expect("starts");
        let desk = world.start_at_offset(desk("tcp"), hours * 3_600_000_000).expect("starts");
        let (intent, interest): (Intent<u32>, Interest<u32>) =
            (robot.intent("robot.count").expect("an intent"), desk.interest("robot.count").expect("one"));
        assert!(intent.wait_interest(SOON));
        world.faults(Faults::none().delay(ms(20)));
        world.run_for(ms(10_000));
        intent.send(1).expect("is taken");
        let age = interest.recv_timeout(SOON).expect("comes").age();
        assert!(age >= ms(15) && age <= ms(25), "{hours} h: {age:?}");

        world.clock_jump(&robot, Duration::from_secs(60));
        world.run_for(ms(10_000));
        assert!(intent.wait_interest(SOON));
        intent.send(2).expect("is taken");
        assert_eq!(*interest.recv_timeout(SOON).expect("comes"), 2);
    }
}

#[test]
fn control_loops_of_both_sides_run_in_turn() {
    let scene = scene(1, "tcp", InterestSettings::new());
    let Scene { intent, interest, robot, desk, world } = scene;
    let (sent, got) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let (sending, getting) = (Rc::clone(&sent), Rc::clone(&got));
    world.every(&robot, ms(10), move || {
        sending.set(sending.get() + 1);
        intent.send(sending.get()).expect("is taken");
    });
    world.every(&desk, ms(5), move || {
        // A call that waits does not: the loop is not to stop the world.
        while let Ok(sample) = interest.recv_timeout(SOON) {
            getting.set(*sample);
        }
    });
    world.run_for(Duration::from_secs(60));
    assert_eq!((sent.get(), got.get()), (6000, 6000));
    world.crash(&robot);
    world.run_for(Duration::from_secs(1));
    assert_eq!(sent.get(), 6000);
}

#[test]
fn a_dropout_stops_a_motor_and_it_goes_on() {
    let settings = InterestSettings::new().latest().fresh_for(ms(100));
    for scheme in ["tcp", "udp"] {
        let scene = scene(1, scheme, settings.clone());
        let mut speeds = Vec::new();
        for turn in 0..100 {
            match turn {
                30 => scene.world.partition("desk", "robot"),
                60 => scene.world.heal(),
                _ => {}
            }
            scene.intent.send(turn).expect("is taken");
            scene.world.run_for(ms(10));
            speeds.push(matches!(scene.interest.latest(), Reading::Fresh(_)));
        }
        assert!(speeds[..30].iter().all(|runs| *runs), "{scheme}");
        assert!(speeds[41..60].iter().all(|runs| !*runs), "{scheme}");
        assert!(speeds[62..].iter().all(|runs| *runs), "{scheme}");
    }
}

#[test]
fn closing_says_bye_and_takes_as_long_as_it_must() {
    let Scene { intent, interest, robot, desk, world } = scene(1, "tcp", InterestSettings::new());
    world.faults(Faults::none().delay(ms(40)));
    for n in 0..10 {
        intent.send(n).expect("is taken");
    }
    let before = world.elapsed();
    assert!(robot.close(Duration::from_secs(1)));
    assert!(world.elapsed() - before < ms(200), "{:?}", world.elapsed() - before);
    let got: Vec<u32> = std::iter::from_fn(|| interest.try_recv().ok()).map(|sample| *sample).collect();
    assert_eq!(got, (0..10).collect::<Vec<_>>());
    let found = desk.events().iter().find_map(|event| match event {
        Event::LinkDown { reason, .. } => Some(reason),
        _ => None,
    });
    assert_eq!(found.expect("it is told").code(), bowline::ReasonCode::Closing);
}

#[test]
fn retained_samples_callbacks_and_large_messages_work_as_ever() {
    let world = World::new(5);
    let robot = world.start(robot().largest_message(4 << 20)).expect("starts");
    let desk = world.start(desk("tcp").largest_message(4 << 20)).expect("starts");
    let map: Intent<Vec<u8>> =
        robot.intent_with("robot.map", bowline::IntentSettings::new().retain()).expect("an intent");
    map.send(vec![7; 3 << 20]).expect("is retained");
    let seen = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let seeing = std::sync::Arc::clone(&seen);
    let callback = move |sample: Sample<Vec<u8>>| {
        seeing.store(sample.len(), std::sync::atomic::Ordering::SeqCst);
    };
    let subscribed = desk.on_sample("robot.map", InterestSettings::new(), callback).expect("an interest");
    world.faults(Faults::none().delay(ms(5)).rate(10_000_000));
    assert!(world.run_until(SOON, || seen.load(std::sync::atomic::Ordering::SeqCst) == 3 << 20));
    drop(subscribed);
}

#[test]
fn links_are_seen_within_a_loop_too() {
    let Scene { intent, interest, robot, desk, world } = scene(1, "tcp", InterestSettings::new());
    let desk = Rc::new(desk);
    let (up, looked) = (Rc::new(Cell::new(0)), Rc::clone(&desk));
    let counted = Rc::clone(&up);
    world.every(&robot, ms(100), move || {
        counted.set(counted.get() + looked.links().iter().filter(|link| link.state == LinkState::Up).count());
    });
    world.run_for(ms(1000));
    assert_eq!(up.get(), 10);
    drop((intent, interest));
}

#[test]
fn mistakes_are_told() {
    let world = World::new(1);
    let _robot = world.start(robot()).expect("starts");
    let error = world.start(Endpoint::builder("robot")).expect_err("the path is taken");
    assert!(error.to_string().contains("path"), "{error}");
    let error = world.start(Endpoint::builder("other").listen("tcp://0.0.0.0:7400")).expect_err("is taken");
    assert!(error.to_string().contains("7400"), "{error}");
    assert!(world.start(Endpoint::builder("third").listen("serial:///dev/ttyS0")).is_err());
    assert!(world.start(Endpoint::builder("fourth").join("udp://239.1.1.1:7400")).is_err());
    let second = World::new(2);
    assert!(second.start(Endpoint::builder("x")).is_err_and(|error| error.to_string().contains("one world")));
}

#[test]
fn many_samples_wait_for_room_no_longer_than_was_said_in_all() {
    let world = World::new(3);
    let (robot, desk) = (world.start(robot()).expect("starts"), world.start(desk("tcp")).expect("starts"));
    let intent: Intent<Bytes> = robot.intent("robot.raw").expect("an intent");
    let interest: Interest<Bytes> =
        desk.interest_with("robot.raw", InterestSettings::new().lossless(1)).expect("an interest");
    assert!(intent.wait_interest(SOON));
    let read = Rc::new(Cell::new(0));
    let reads = Rc::clone(&read);
    world.every(&desk, ms(60), move || reads.set(reads.get() + usize::from(interest.try_recv().is_ok())));
    let begun = world.elapsed();
    let slices = [[7; 4]; 9];
    let slices: Vec<&[u8]> = slices.iter().map(|slice| &slice[..]).collect();
    let error = intent.send_slices(&slices, ms(200)).expect_err("there is room for one each 60 ms");
    assert!(error.is_no_credit());
    assert_eq!(world.elapsed() - begun, ms(200));
    let sent = error.into_inner();
    assert!(sent == read.get() || sent == read.get() + 1, "{sent} were sent and {} read", read.get());
}
