//! Ports that come and go, and boards that begin anew.

use crate::cable::{Cable, End};
use crate::ends;
use crate::support::{SOON, Watch, until};
use bowline::{Endpoint, Event, Intent, Interest, Reason};
use std::time::{Duration, Instant};

/// A link that went down must be said to be within this time.
const FOUND: Duration = Duration::from_millis(500);

/// A link must be up again so soon after its port is back.
const BACK: Duration = Duration::from_secs(1);

fn down(watch: &mut Watch) -> Reason {
    watch.find(|event| match event {
        Event::LinkDown { reason, .. } => Some(reason.clone()),
        _ => None,
    })
}

#[test]
fn a_port_that_is_absent_at_start_is_said_to_be_and_used_when_it_comes() {
    let cable = Cable::unplugged(115_200);
    let ends = ends(&cable);
    let mut desk = Watch::new(&ends.desk);
    let mut robot = Watch::new(&ends.robot);
    let reason = down(&mut desk);
    assert!(reason.text().contains("there is no port") && reason.text().contains("port-b"), "{reason}");
    let fault = robot.find(|event| match event {
        Event::ListenerFault { text, .. } => Some(text.clone()),
        _ => None,
    });
    assert!(fault.contains("there is no port") && fault.contains("port-a"), "{fault}");
    cable.plug(End::A);
    cable.plug(End::B);
    let plugged = Instant::now();
    desk.link_is_up();
    println!("up {:?} after the port came", plugged.elapsed());
    assert!(plugged.elapsed() < BACK);
}

/// `cargo test --test serial -- --nocapture --exact replug::twenty_unplugs`
#[test]
fn twenty_unplugs() {
    let cable = Cable::new(115_200);
    let ends = ends(&cable);
    let intent: Intent<u32> = ends.robot.intent("robot.count").unwrap();
    let interest: Interest<u32> = ends.desk.interest("robot.count").unwrap();
    let mut desk = Watch::new(&ends.desk);
    let mut robot = Watch::new(&ends.robot);
    desk.link_is_up();
    robot.link_is_up();
    let (mut slowest_found, mut slowest_back) = (Duration::ZERO, Duration::ZERO);
    for round in 0..20 {
        assert!(intent.wait_interest(SOON));
        intent.send(round).unwrap();
        until("the sample of this round comes", || *interest.recv_timeout(SOON).unwrap() == round);
        // In the middle of what is sent.
        intent.send(round).unwrap();
        // The dialler's port and the listener's in turn.
        let (end, watch) = if round % 2 == 0 { (End::B, &mut desk) } else { (End::A, &mut robot) };
        watch.all();
        let pulled = Instant::now();
        cable.unplug(end);
        let reason = down(watch);
        slowest_found = slowest_found.max(pulled.elapsed());
        assert!(reason.text().contains("is gone"), "{reason}");
        desk.all();
        robot.all();
        let plugged = Instant::now();
        // It comes back under another number.
        cable.plug(end);
        desk.link_is_up();
        robot.link_is_up();
        slowest_back = slowest_back.max(plugged.elapsed());
    }
    println!("20 unplugs: found within {slowest_found:?}, back within {slowest_back:?}");
    assert!(slowest_found < FOUND, "{slowest_found:?}");
    assert!(slowest_back < BACK, "{slowest_back:?}");
}

/// `cargo test --test serial -- --nocapture --exact replug::twenty_resets`
#[test]
fn twenty_resets_in_the_middle_of_frames() {
    let _ = env_logger::builder().is_test(true).try_init();
    for robot_listens in [true, false] {
        let cable = Cable::new(115_200);
        let robot = || {
            let robot = Endpoint::builder("robot");
            let robot = match robot_listens {
                true => robot.listen(cable.url(End::A, "")),
                false => robot.connect(cable.url(End::A, "/desk")),
            };
            robot.start().expect("the robot starts")
        };
        let desk = Endpoint::builder("desk");
        let desk = match robot_listens {
            true => desk.connect(cable.url(End::B, "/robot")),
            false => desk.listen(cable.url(End::B, "")),
        };
        let desk = desk.start().expect("the desk starts");
        let mut watch = Watch::new(&desk);
        let mut board = robot();
        watch.link_is_up();
        let (mut slowest_found, mut slowest_back) = (Duration::ZERO, Duration::ZERO);
        for round in 0..10 {
            let intent: Intent<[u8; 32]> = board.intent("robot.imu").unwrap();
            let interest: Interest<[u8; 32]> = desk.interest("robot.imu").unwrap();
            assert!(intent.wait_interest(SOON));
            // So much of the next frame is heard, and nothing of what an orderly end would say.
            cable.stops_in_the_middle(End::A, 5 + round);
            intent.send([0x55; 32]).unwrap();
            drop((intent, interest));
            drop(board);
            watch.all();
            cable.clear();
            let reset = Instant::now();
            board = robot();
            down(&mut watch);
            slowest_found = slowest_found.max(reset.elapsed());
            watch.link_is_up();
            slowest_back = slowest_back.max(reset.elapsed());
            if reset.elapsed() > BACK {
                println!("{:#?}", Watch::new(&board).all());
            }
        }
        let who = if robot_listens { "listens" } else { "dials" };
        println!(
            "10 resets of a board that {who}: found within {slowest_found:?} of its return, back within \
             {slowest_back:?}"
        );
        assert!(slowest_found < FOUND, "{slowest_found:?}");
        assert!(slowest_back < BACK, "{slowest_back:?}");
    }
}

#[test]
fn a_port_is_opened_for_one_alone() {
    let cable = Cable::new(115_200);
    let ends = ends(&cable);
    Watch::new(&ends.desk).link_is_up();
    let error = Endpoint::builder("other").listen(cable.url(End::A, "")).start().expect_err("it is taken");
    let source = std::error::Error::source(&error).expect("what the system said").to_string();
    assert!(source.contains("in use"), "{source}");
    let other = Endpoint::builder("other").connect(cable.url(End::B, "/robot")).start().unwrap();
    let reason = down(&mut Watch::new(&other));
    assert!(reason.text().contains("in use"), "{reason}");
    // Nobody was disturbed.
    assert!(ends.desk.links()[0].state.is_up());
}

#[test]
fn an_orderly_end_is_heard_and_the_port_free_at_once() {
    let cable = Cable::new(115_200);
    let ends = ends(&cable);
    let mut watch = Watch::new(&ends.desk);
    watch.link_is_up();
    assert!(ends.robot.close(Duration::from_secs(2)), "it ended in time");
    let reason = down(&mut watch);
    assert_eq!(reason.code(), bowline::ReasonCode::Closing, "{reason}");
    drop(ends.robot);
    let again = Endpoint::builder("robot").listen(cable.url(End::A, "")).start().expect("the port is free");
    watch.link_is_up();
    drop(again);
}
