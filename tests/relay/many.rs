//! Relays in a chain, in a ring, and side by side.

use crate::support::{SOON, Watch, until, url};
use crate::{address, dial, endpoint};
use bowline::{Endpoint, Event, Intent, Interest, InterestSettings};
use std::time::{Duration, Instant};

fn gateway(path: &str, peers: &[&Endpoint]) -> Endpoint {
    let builder = endpoint(path).listen(address("tcp")).relay("robot.mcu");
    let builder = peers.iter().fold(builder, |builder, peer| builder.connect(url(peer)));
    builder.start().expect("a gateway starts")
}

/// What comes when the intent sends numbers from `from` on; each must come once.
fn each_comes_once(intent: &Intent<u32>, interest: &Interest<u32>, from: u32) {
    for number in from..from + 200 {
        assert_eq!(intent.send_timeout(number, SOON).expect("sends").taken(), 1);
        assert_eq!(*interest.recv_timeout(SOON).expect("arrives"), number);
    }
    assert!(interest.recv_timeout(Duration::from_millis(30)).is_err(), "and nothing comes twice");
}

#[test]
fn a_chain_of_relays_passes_samples_both_ways() {
    let mut chain = vec![gateway("g.0", &[])];
    for number in 1..8 {
        let next = gateway(&format!("g.{number}"), &[&chain[number - 1]]);
        chain.push(next);
    }
    let board = dial("robot.mcu", &chain[0]);
    let desk = dial("desk", &chain[7]);
    let settings = || InterestSettings::new().lossless(32);
    let intent: Intent<u32> = board.intent("robot.mcu.count").expect("intent");
    let interest: Interest<u32> = desk.interest_with("robot.mcu.count", settings()).expect("interest");
    let back: Intent<u32> = desk.intent("robot.mcu.back").expect("intent");
    let comes: Interest<u32> = board.interest_with("robot.mcu.back", settings()).expect("interest");
    assert!(intent.wait_interest(SOON) && back.wait_interest(SOON));
    each_comes_once(&intent, &interest, 0);
    each_comes_once(&back, &comes, 0);
    // A ninth is one too many.
    let ninth = gateway("g.8", &[&chain[7]]);
    let far = dial("far", &ninth);
    let mut watch = Watch::new(&far);
    watch.link_is_up();
    let near: Interest<u32> = ninth.interest("robot.mcu.count").expect("interest");
    let too_far: Interest<u32> = far.interest("robot.mcu.count").expect("interest");
    until("the eighth is heard", || intent.interested() == 2);
    intent.send(7).expect("sends");
    assert_eq!(*near.recv_timeout(SOON).expect("arrives"), 7);
    assert_eq!(too_far.suppliers(), 0);
}

#[test]
fn a_ring_of_three_passes_each_sample_once_and_heals() {
    let one = gateway("g.1", &[]);
    let two = gateway("g.2", &[&one]);
    let three = gateway("g.3", &[&one, &two]);
    let board = dial("robot.mcu", &one);
    let desk = dial("desk", &three);
    let intent: Intent<u32> = board.intent("robot.mcu.count").expect("intent");
    let settings = InterestSettings::new().lossless(32);
    let interest: Interest<u32> = desk.interest_with("robot.mcu.count", settings).expect("interest");
    assert!(intent.wait_interest(SOON));
    each_comes_once(&intent, &interest, 0);
    drop(two);
    // It may have been on the way, or not.
    let mut sent = 1000;
    let deadline = Instant::now() + SOON;
    loop {
        assert!(Instant::now() < deadline, "the ring is whole without one");
        sent += 1;
        let taken = intent.send(sent).is_ok_and(|outcome| outcome.taken() == 1);
        let came = interest.recv_timeout(Duration::from_millis(50));
        if taken && came.is_ok_and(|sample| *sample == sent) && intent.interested() == 1 {
            break;
        }
    }
    each_comes_once(&intent, &interest, 5000);
}

#[test]
fn of_two_gateways_side_by_side_one_is_used_and_the_other_takes_over() {
    let places = [address("tcp"), address("tcp")];
    let start = |n: usize| {
        let gateway = endpoint(&format!("g.{n}")).listen(&places[n]).relay("robot.mcu");
        Some(gateway.start().expect("a gateway starts"))
    };
    let mut gateways = [start(0), start(1)];
    let connected = |path: &str| {
        let builder = places
            .iter()
            .enumerate()
            .fold(endpoint(path), |builder, (n, place)| builder.connect(format!("{place}/g.{n}")));
        builder.start().expect("starts")
    };
    let (board, desk) = (connected("robot.mcu"), connected("desk"));
    let intent: Intent<u32> = board.intent("robot.mcu.count").expect("intent");
    let settings = InterestSettings::new().lossless(32);
    let interest: Interest<u32> = desk.interest_with("robot.mcu.count", settings).expect("interest");
    let mut board_watch = Watch::new(&board);
    for _ in 0..2 {
        board_watch.wait(|event| matches!(event, Event::RouteLinked { .. }));
    }
    for round in 0..6_u32 {
        until("one way is open", || intent.interested() == 1);
        each_comes_once(&intent, &interest, round * 10_000);
        intent.send(round).expect("sends");
        let sample = interest.recv_timeout(SOON).expect("arrives");
        let used = sample.peer().and_then(|peer| peer.path.clone()).expect("a gateway");
        let used = usize::from(used.as_str() == "g.1");
        let mut desk_watch = Watch::new(&desk);
        gateways[used] = None;
        desk_watch.wait(|event| matches!(event, Event::RouteUnlinked { .. }));
        desk_watch.wait(|event| matches!(event, Event::RouteLinked { .. }));
        until("the other way is open", || intent.interested() == 1);
        each_comes_once(&intent, &interest, round * 10_000 + 5000);
        gateways[used] = start(used);
        board_watch.wait(|event| matches!(event, Event::RouteLinked { .. }));
    }
}
