//! What delivery promises holds through a relay.

use crate::support::tap::Tap;
use crate::support::{SOON, Watch, until};
use crate::{EACH, address, dial, endpoint, net};
use bowline::{Bytes, Event, Intent, IntentSettings, Interest, InterestSettings, Path, Reading, Route};
use std::thread;
use std::time::Duration;

#[test]
fn samples_flow_both_ways_and_the_gateway_says_so() {
    for schemes in EACH {
        let net = net(schemes);
        let mut watch = Watch::new(&net.gateway);
        let imu: Intent<[f32; 3]> = net.board.intent("robot.mcu.imu").expect("intent");
        let seen: Interest<[f32; 3]> = net.desk.interest("robot.mcu.imu").expect("interest");
        let target: Intent<f64> = net.desk.intent("robot.mcu.target").expect("intent");
        let wanted: Interest<f64> = net.board.interest("robot.mcu.target").expect("interest");
        assert!(imu.wait_interest(SOON) && target.wait_interest(SOON));
        for number in 0..100_u16 {
            imu.send([number.into(); 3]).expect("sends");
            let sample = seen.recv_timeout(SOON).expect("arrives");
            assert_eq!((*sample, sample.sequence()), ([number.into(); 3], number.into()));
            let peer = sample.peer().and_then(|peer| peer.path.as_ref()).map(Path::as_str);
            assert_eq!(peer, Some("gateway"), "the peer is the next one");
            assert!(sample.age() < SOON);
            target.send(number.into()).expect("sends");
            assert_eq!(*wanted.recv_timeout(SOON).expect("arrives"), f64::from(number));
        }
        for expected in [("robot.mcu", "desk"), ("desk", "robot.mcu")] {
            watch.wait(|event| match event {
                Event::RouteRelayed { from, to, .. } => {
                    let name = |peer: &bowline::PeerName| peer.path.as_ref().map(ToString::to_string);
                    name(from).as_deref() == Some(expected.0) && name(to).as_deref() == Some(expected.1)
                }
                _ => false,
            });
        }
        drop(seen);
        watch.wait(|event| matches!(event, Event::RelayEnded { .. }));
        until("nobody is interested any more", || imu.interested() == 0);
    }
}

#[test]
fn a_lossless_route_loses_nothing_however_slow_the_reader_is() {
    for (schemes, depth, count) in [(EACH[0], 1, 500), (EACH[1], 7, 5_000), (EACH[2], 1024, 200_000)] {
        let net = net(schemes);
        let intent: Intent<u32> = net.board.intent("robot.mcu.count").expect("intent");
        let settings = InterestSettings::new().lossless(depth);
        let interest: Interest<u32> = net.desk.interest_with("robot.mcu.count", settings).expect("interest");
        assert!(intent.wait_interest(SOON));
        let reader = thread::spawn(move || {
            for number in 0..count {
                let sample = interest.recv_timeout(SOON).expect("arrives");
                assert_eq!((*sample, sample.sequence()), (number, number.into()));
            }
            let counts = interest.counts();
            let lost = (counts.lost_here, counts.lost_there, counts.lost_on_the_way);
            assert_eq!((counts.received, lost), (count.into(), (0, 0, 0)));
        });
        for number in 0..count {
            assert_eq!(intent.send_timeout(number, SOON).expect("goes on").taken(), 1);
        }
        reader.join().expect("the reader is content");
    }
}

#[test]
fn a_reader_that_takes_nothing_stops_the_sender_and_nothing_else() {
    let net = net(EACH[1]);
    let intent: Intent<u32> = net.board.intent("robot.mcu.stuck").expect("intent");
    let settings = InterestSettings::new().lossless(4);
    let unread: Interest<u32> = net.desk.interest_with("robot.mcu.stuck", settings).expect("interest");
    let free: Intent<u32> = net.board.intent("robot.mcu.free").expect("intent");
    let read: Interest<u32> = net.desk.interest("robot.mcu.free").expect("interest");
    assert!(intent.wait_interest(SOON) && free.wait_interest(SOON));
    let mut sent = 0;
    while intent.try_send(sent).is_ok() {
        sent += 1;
        // What waits for credit of the gateway gets it.
        let _ = intent.send_timeout(sent, Duration::from_millis(50)).map(|_| sent += 1);
    }
    assert_eq!(sent, 4, "as many as the reader granted");
    for number in 0..500 {
        free.send(number).expect("sends");
        assert_eq!(*read.recv_timeout(SOON).expect("arrives"), number);
    }
    for number in 0..4 {
        assert_eq!(*unread.recv_timeout(SOON).expect("all are there"), number);
    }
    intent.send_timeout(4, SOON).expect("there is room again");
    assert_eq!(*unread.recv_timeout(SOON).expect("arrives"), 4);
}

/// The gateway's line to the desk stands still: nobody else waits for it, and the board is told.
#[test]
fn a_link_that_stands_still_holds_up_no_other() {
    let tap = Tap::default();
    let place = address("memory").replace("memory://", "tap://");
    let gateway = endpoint("gateway").ping_interval(Duration::from_secs(5)).transport(tap.clone());
    let gateway = gateway.listen(address("tcp")).listen(&place).relay("robot.mcu").start().expect("starts");
    let slow = endpoint("desk").ping_interval(Duration::from_secs(5)).transport(tap.clone());
    let slow = slow.connect(format!("{place}/gateway")).start().expect("starts");
    let (board, office) = (dial("robot.mcu", &gateway), dial("office", &gateway));
    let every = || InterestSettings::new().lossless(400);
    let count: Intent<u32> = board.intent("robot.mcu.count").expect("intent");
    let image: Intent<Bytes> = board.intent("robot.mcu.image").expect("intent");
    let stuck: Interest<u32> = slow.interest_with("robot.mcu.count", every()).expect("interest");
    let unseen: Interest<Bytes> =
        slow.interest_with("robot.mcu.image", InterestSettings::new().queue(3)).expect("interest");
    let free: Interest<u32> = office.interest("robot.mcu.free").expect("interest");
    let seen: Interest<Bytes> =
        office.interest_with("robot.mcu.image", InterestSettings::new().queue(64)).expect("interest");
    let moving: Intent<u32> = board.intent("robot.mcu.free").expect("intent");
    assert!(count.wait_interest(SOON) && moving.wait_interest(SOON));
    until("both want images", || image.interested() == 2);
    tap.hold();
    for number in 0..300_u32 {
        image.send(Bytes::from(vec![1; 20_000])).expect("sends");
        let _ = count.try_send(number);
        moving.send(number).expect("sends");
        assert_eq!(*free.recv_timeout(SOON).expect("arrives"), number);
        seen.recv_timeout(SOON).expect("arrives");
    }
    while count.send_timeout(9999, Duration::from_millis(100)).is_ok() {}
    assert!(count.try_send(9999).is_err_and(|error| error.is_no_credit()), "the board is told");
    tap.release();
    let mut next = 0;
    while let Ok(sample) = stuck.recv_timeout(Duration::from_millis(500)) {
        assert_eq!(sample.sequence(), next, "none is missing");
        next += 1;
    }
    assert!(next >= 300, "{next}");
    let mut last = 0;
    while let Ok(sample) = unseen.try_recv() {
        last = sample.sequence();
    }
    assert_eq!(last, 299, "the newest is there, by its number");
}

#[test]
fn what_a_queue_loses_is_counted_on_the_whole_way() {
    for schemes in EACH {
        let net = net(schemes);
        let intent: Intent<Bytes> = net.board.intent("robot.mcu.video").expect("intent");
        let settings = InterestSettings::new().queue(8);
        let interest: Interest<Bytes> =
            net.desk.interest_with("robot.mcu.video", settings).expect("interest");
        let mark: Intent<u8> = net.board.intent("robot.mcu.mark").expect("intent");
        let marked: Interest<u8> = net.desk.interest("robot.mcu.mark").expect("interest");
        assert!(intent.wait_interest(SOON) && mark.wait_interest(SOON));
        let total = 3_000_u64;
        for _ in 0..total {
            intent.send(Bytes::from(vec![7; 4000])).expect("sends");
        }
        mark.send(1).expect("sends");
        marked.recv_timeout(SOON).expect("arrives");
        let mut last = None;
        // One more makes the last gap known.
        until("all numbers went by", || {
            intent.send(Bytes::from(vec![7; 10])).expect("sends");
            while let Ok(sample) = interest.try_recv() {
                assert!(last < Some(sample.sequence()), "in order");
                last = Some(sample.sequence());
            }
            last > Some(total)
        });
        let counts = interest.counts();
        let lost = counts.lost_here + counts.lost_there + counts.lost_on_the_way;
        let sent = counts.received + lost;
        assert!(sent > total && lost > 0 && last < Some(sent), "{counts:?}, the last is {last:?}");
        let mut watch = Watch::new(&net.board);
        watch.wait(|event| matches!(event, Event::SamplesLost { .. }));
    }
}

#[test]
fn the_latest_is_the_newest_and_the_last_one_arrives() {
    let net = net(EACH[0]);
    let intent: Intent<u32> = net.board.intent("robot.mcu.speed").expect("intent");
    let settings = InterestSettings::new().latest();
    let interest: Interest<u32> = net.desk.interest_with("robot.mcu.speed", settings).expect("interest");
    assert!(intent.wait_interest(SOON));
    for number in 0..50_000 {
        intent.send(number).expect("sends");
    }
    until("the last one is there", || match interest.latest() {
        Reading::Fresh(sample) | Reading::Stale(sample) => *sample == 49_999,
        _ => false,
    });
}

#[test]
fn a_latecomer_gets_the_retained_sample_with_its_true_age() {
    for schemes in EACH {
        let net = net(schemes);
        let settings = IntentSettings::new().retain();
        let intent: Intent<u32> = net.board.intent_with("robot.mcu.mode", settings).expect("intent");
        let pause: Interest<u8> = net.board.interest("robot.silence").expect("interest");
        intent.send(42).expect("nobody is no error");
        assert!(pause.recv_timeout(Duration::from_millis(60)).is_err());
        for _ in 0..3 {
            let interest: Interest<u32> = net.desk.interest("robot.mcu.mode").expect("interest");
            let sample = interest.recv_timeout(SOON).expect("it was kept");
            assert_eq!(*sample, 42);
            assert!(
                sample.age() >= Duration::from_millis(50),
                "the age is of the whole way: {:?}",
                sample.age()
            );
        }
    }
}

#[test]
fn large_messages_pass_by_themselves_and_between_small_ones() {
    for schemes in EACH {
        let net = net(schemes);
        let intent: Intent<Bytes> = net.board.intent("robot.mcu.image").expect("intent");
        let settings = InterestSettings::new().lossless(16);
        let interest: Interest<Bytes> =
            net.desk.interest_with("robot.mcu.image", settings).expect("interest");
        assert!(intent.wait_interest(SOON));
        let sizes = [0, 1, 100, 16_384, 1 << 20, 3, 65_536, 700_000, 17_000, 5];
        let sender = thread::spawn(move || {
            for round in 0..10_u8 {
                for size in sizes {
                    intent.send_timeout(Bytes::from(vec![round; size]), SOON).expect("sends");
                }
            }
        });
        for round in 0..10_u8 {
            for size in sizes {
                let sample = interest.recv_timeout(SOON).expect("arrives");
                assert!(sample.len() == size && sample.iter().all(|byte| *byte == round));
            }
        }
        sender.join().expect("all was sent");
    }
}

#[test]
fn several_suppliers_and_several_readers_are_all_linked_once() {
    let net = net(EACH[1]);
    let other = dial("robot.mcu.second", &net.gateway);
    let office = dial("office", &net.gateway);
    let one: Intent<u32> = net.board.intent("robot.mcu.count").expect("intent");
    let two: Intent<u32> = other.intent("robot.mcu.count").expect("intent");
    let settings = || InterestSettings::new().lossless(64);
    let readers: Vec<Interest<u32>> = [&net.desk, &office, &net.gateway]
        .map(|place| place.interest_with("robot.mcu.count", settings()).expect("interest"))
        .into();
    until("each has three readers", || one.interested() == 3 && two.interested() == 3);
    for number in 0..50 {
        assert_eq!(one.send_timeout(number, SOON).expect("sends").taken(), 3);
        assert_eq!(two.send_timeout(1000 + number, SOON).expect("sends").taken(), 3);
    }
    for reader in &readers {
        let mut got: Vec<u32> = (0..100).map(|_| *reader.recv_timeout(SOON).expect("arrives")).collect();
        got.sort_unstable();
        assert!(got.iter().copied().eq((0..50).chain(1000..1050)));
        assert!(reader.try_recv().is_err(), "and no more");
    }
}

#[test]
fn hashed_routes_go_by_their_prefix() {
    let net = net(EACH[0]);
    let prefix = Path::parse("robot.mcu").expect("a path");
    let hidden = Path::parse("robot.mcu.secret").expect("a path");
    let route = Route::new("u32", &hidden).and_then(|route| route.hashed(&prefix)).expect("a route");
    assert!(route.is_under(&prefix));
    let settings = || IntentSettings::new().hashed("robot.mcu");
    let intent: Intent<u32> = net.board.intent_with("robot.mcu.secret", settings()).expect("intent");
    let interest: Interest<u32> = net
        .desk
        .interest_with("robot.mcu.secret", InterestSettings::new().hashed("robot.mcu"))
        .expect("interest");
    assert!(intent.wait_interest(SOON));
    intent.send(5).expect("sends");
    assert_eq!(*interest.recv_timeout(SOON).expect("arrives"), 5);
}

#[test]
fn a_gateway_that_dies_and_returns_is_found_again() {
    let places = [address("tcp"), address("unix")];
    let start = || {
        let gateway = endpoint("gateway").listen(&places[0]).listen(&places[1]).relay("robot.mcu");
        gateway.start().expect("the gateway starts")
    };
    let board = endpoint("robot.mcu").connect(format!("{}/gateway", places[0])).start().expect("starts");
    let desk = endpoint("desk").connect(format!("{}/gateway", places[1])).start().expect("starts");
    let intent: Intent<u32> = board.intent("robot.mcu.count").expect("intent");
    let interest: Interest<u32> =
        desk.interest_with("robot.mcu.count", InterestSettings::new().lossless(8)).expect("interest");
    let mut watch = Watch::new(&desk);
    for round in 0..3 {
        let gateway = start();
        assert!(intent.wait_interest(SOON));
        for number in 0..100 {
            intent.send_timeout(round * 1000 + number, SOON).expect("sends");
            let sample = interest.recv_timeout(SOON).expect("arrives");
            assert_eq!((*sample, sample.sequence()), (round * 1000 + number, number.into()));
        }
        watch.wait(|event| matches!(event, Event::RouteLinked { .. }));
        drop(gateway);
        watch.wait(|event| matches!(event, Event::RouteUnlinked { .. }));
        until("the board knows", || intent.interested() == 0);
    }
}

#[test]
fn a_board_that_goes_is_gone_for_the_desk_at_once() {
    let net = net(EACH[2]);
    let interest: Interest<u32> = net.desk.interest("robot.mcu.count").expect("interest");
    let mut watch = Watch::new(&net.desk);
    for _ in 0..3 {
        let board = dial("robot.mcu.other", &net.gateway);
        let intent: Intent<u32> = board.intent("robot.mcu.count").expect("intent");
        assert!(intent.wait_interest(SOON));
        intent.send(9).expect("sends");
        assert_eq!(*interest.recv_timeout(SOON).expect("arrives"), 9);
        watch.wait(|event| matches!(event, Event::RouteLinked { .. }));
        drop(board);
        watch.wait(|event| matches!(event, Event::RouteUnlinked { .. }));
    }
}
