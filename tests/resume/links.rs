//! Several links to one peer, which carry one session in turn.

use super::*;
use bowline::LinkState;
use std::thread;

pub struct Two {
    pub robot: Endpoint,
    pub desk: Endpoint,
    /// Those of the first and of the second link.
    pub scissors: [Scissors; 2],
}

pub fn two(second: Kind) -> Two {
    let robot =
        quick("robot").listen(Kind::Tcp.listen()).listen(second.listen()).start().expect("the robot starts");
    let scissors = [Scissors::default(), Scissors::default()];
    let desk = quick("desk").transport(scissors[0].on("first", Tcp));
    let desk = match second {
        Kind::Udp => desk.transport(scissors[1].on("second", Udp)),
        Kind::Memory => desk.transport(scissors[1].on("second", Memory)),
        _ => desk.transport(scissors[1].on("second", Tcp)),
    };
    let address = |place: usize| robot.listening()[place].split_once("://").expect("a URL").1.to_owned();
    let urls = [format!("first://{}/robot", address(0)), format!("second://{}/robot", address(1))];
    let desk = desk.connect_any(urls).start().expect("the desk starts");
    Two { robot, desk, scissors }
}

pub fn states(desk: &Endpoint) -> Vec<LinkState> {
    desk.links().into_iter().map(|link| link.state).collect()
}

fn takes_over(second: Kind) {
    let Two { robot, desk, scissors } = two(second);
    let intent: Intent<u64> = robot.intent("robot.count").unwrap();
    let interest: Interest<u64> = desk.interest_with("robot.count", lossless(64)).unwrap();
    assert!(intent.wait_interest(SOON));
    let sending = thread::spawn(move || {
        for n in 0..6000 {
            intent.send_timeout(n, SOON).unwrap_or_else(|error| panic!("sample {n}: {error}"));
        }
        intent
    });
    for n in 0..6000_u64 {
        let sample = interest.recv_timeout(SOON).unwrap_or_else(|error| panic!("sample {n}: {error}"));
        assert_eq!(*sample, n);
        match n % 500 {
            100 => scissors[0].close(),
            200 => scissors[0].open(),
            300 => scissors[1].close(),
            400 => scissors[1].open(),
            _ => {}
        }
    }
    let _intent = sending.join().unwrap();
    support::until("one carries, the other stands by", || {
        let mut states = states(&desk);
        states.sort_by_key(|state| *state == LinkState::StandsBy);
        states[0].is_up() && states[1] == LinkState::StandsBy
    });
    let events: Vec<_> = std::iter::from_fn(|| robot.events().try_recv()).collect();
    assert!(
        !events.iter().any(|event| matches!(event, Event::SessionEnded { .. } | Event::RouteUnlinked { .. }))
    );
}

#[test]
fn a_second_tcp_link_takes_over_and_nothing_is_lost() {
    takes_over(Kind::Tcp);
}

#[test]
fn a_udp_link_takes_over_and_nothing_is_lost() {
    takes_over(Kind::Udp);
}

#[test]
fn a_memory_link_takes_over_and_nothing_is_lost() {
    takes_over(Kind::Memory);
}

#[test]
fn the_link_named_first_is_gone_back_to() {
    let Two { robot, desk, scissors } = two(Kind::Memory);
    let mut watch = Watch::new(&desk);
    support::until("both are ready", || {
        let states = states(&desk);
        states[0].is_up() && states[1] == LinkState::StandsBy
    });
    scissors[0].close();
    watch.wait(resumed);
    support::until("the second carries", || states(&desk)[1].is_up());
    scissors[0].open();
    support::until("the first carries again", || states(&desk)[0].is_up());
    support::until("the second stands by", || states(&desk)[1] == LinkState::StandsBy);
    drop(robot);
}
