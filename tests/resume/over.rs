//! Sessions that are over, and what is said of them.

use super::*;
use bowline::LostAt;

#[test]
fn past_the_lease_what_could_not_be_kept_is_counted() {
    let short = Duration::from_millis(300);
    let Scene { robot, desk, scissors } =
        scene_with(Kind::Tcp, |robot| robot.lease(short), |desk| desk.lease(short));
    let intent: Intent<u64> = robot.intent("robot.count").unwrap();
    let interest: Interest<u64> = desk.interest_with("robot.count", lossless(16)).unwrap();
    assert!(intent.wait_interest(SOON));
    intent.send(0).unwrap();
    assert_eq!(*interest.recv_timeout(SOON).unwrap(), 0);
    let (mut here, mut there) = (Watch::new(&robot), Watch::new(&desk));
    scissors.close();
    here.wait(|event| matches!(event, Event::LinkDown { .. }));
    for n in 1..=5 {
        intent.send(n).unwrap();
    }
    for watch in [&mut here, &mut there] {
        let reason = watch.find(|event| match event {
            Event::SessionEnded { reason, .. } => Some(reason.clone()),
            _ => None,
        });
        assert!(reason.text().contains("had no link for"), "{reason}");
    }
    let lost = here.find(|event| match event {
        Event::SamplesLost { count, lost: LostAt::Here, .. } => Some(*count),
        _ => None,
    });
    assert_eq!(lost, 5);
    assert_eq!(intent.interested(), 0);
    scissors.open();
    assert!(intent.wait_interest(SOON), "and a new session begins");
    intent.send(6).unwrap();
    assert_eq!(*interest.recv_timeout(SOON).unwrap(), 6);
}

#[test]
fn without_a_lease_a_session_ends_with_its_link() {
    let none = Duration::ZERO;
    let Scene { robot, desk, scissors } = scene_with(Kind::Tcp, |robot| robot, |desk| desk.lease(none));
    let intent: Intent<u64> = robot.intent("robot.count").unwrap();
    let _interest: Interest<u64> = desk.interest_with("robot.count", lossless(16)).unwrap();
    assert!(intent.wait_interest(SOON));
    let mut watch = Watch::new(&robot);
    scissors.close();
    watch.wait(|event| matches!(event, Event::RouteUnlinked { .. }));
    assert_eq!(intent.interested(), 0);
    drop(desk);
}

#[test]
fn a_peer_that_starts_anew_is_told_from_one_that_comes_back() {
    let Scene { robot, desk, scissors } = scene(Kind::Tcp);
    let intent: Intent<u64> = robot.intent("robot.count").unwrap();
    let interest: Interest<u64> = desk.interest_with("robot.count", lossless(16)).unwrap();
    assert!(intent.wait_interest(SOON));
    let mut watch = Watch::new(&robot);
    scissors.close();
    watch.wait(|event| matches!(event, Event::LinkDown { .. }));
    for n in 0..3 {
        intent.send(n).unwrap();
    }
    // It says BYE to nobody, as there is no link.
    drop((interest, desk));
    let desk = quick("desk").connect(support::url(&robot)).start().unwrap();
    let interest: Interest<u64> = desk.interest_with("robot.count", lossless(16)).unwrap();
    let reason = watch.find(|event| match event {
        Event::SessionEnded { reason, .. } => Some(reason.clone()),
        _ => None,
    });
    assert!(reason.text().contains("started anew"), "{reason}");
    let lost = watch.find(|event| match event {
        Event::SamplesLost { count, .. } => Some(*count),
        _ => None,
    });
    assert_eq!(lost, 3);
    assert!(intent.wait_interest(SOON));
    intent.send(3).unwrap();
    assert_eq!(*interest.recv_timeout(SOON).unwrap(), 3);
}

#[test]
fn close_while_there_is_no_link_ends_at_once_and_counts() {
    let Scene { robot, desk, scissors } = scene(Kind::Tcp);
    let intent: Intent<u64> = robot.intent("robot.count").unwrap();
    let _interest: Interest<u64> = desk.interest_with("robot.count", lossless(16)).unwrap();
    assert!(intent.wait_interest(SOON));
    let mut watch = Watch::new(&robot);
    scissors.close();
    watch.wait(|event| matches!(event, Event::LinkDown { .. }));
    intent.send(0).unwrap();
    let begun = std::time::Instant::now();
    robot.close(SOON);
    assert!(begun.elapsed() < SOON / 2, "nobody waits for a link that may never come");
    let lost = watch.find(|event| match event {
        Event::SamplesLost { count, .. } => Some(*count),
        _ => None,
    });
    assert_eq!(lost, 1);
}
