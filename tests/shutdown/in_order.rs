//! In good order.

use super::*;

#[test]
fn closing_and_dropping_say_bye_write_all_and_end_the_threads() {
    let _turn = turn();
    for scheme in SCHEMES {
        for drops in [false, true] {
            let robot = robot(scheme);
            let desk = desk(&robot, "desk");
            let lossless = InterestSettings::new().lossless(1000);
            let wanted: Interest<Bytes> = desk.interest_with("robot.data", lossless).expect("interest");
            let intent: Intent<Bytes> = robot.intent("robot.data").expect("intent");
            assert!(intent.wait_interest(SOON));
            for number in 0..1000u32 {
                let mut sample = vec![0; 1000];
                sample[..4].copy_from_slice(&number.to_le_bytes());
                assert_eq!(intent.send_timeout(sample.into(), SOON).expect("has room").taken(), 1);
            }
            let ((), span) = timed(|| match drops {
                true => drop(robot),
                false => assert!(robot.close(SOON)),
            });
            assert!(span < Duration::from_millis(500), "{scheme}: {span:?}");
            for number in 0..1000u32 {
                let sample = wanted.recv_timeout(SOON).expect("was sent before the close");
                assert_eq!(sample[..4], number.to_le_bytes());
            }
            let reason = down(&desk);
            assert_eq!((reason.code(), reason.is_by_peer()), (ReasonCode::Closing, true), "{reason}");
            assert!(reason.is_transient() && reason.text().contains("robot"), "{reason}");
            // Of the desk: its dispatcher, and the thread that dials.
            assert!(eventually(SOON, || threads().len() <= 2), "{:?}", threads());
            assert!(intent.send(Bytes::new()).unwrap_err().is_closed());
            assert!(desk.close(SOON));
            no_threads_are_left();
        }
    }
}

#[test]
fn what_several_publishers_sent_until_the_close_arrives() {
    let _turn = turn();
    for scheme in SCHEMES {
        for round in 0..5 {
            let robot = robot(scheme);
            let began = Arc::new(Barrier::new(4));
            let mut publishers = Vec::new();
            let mut readers = Vec::new();
            for number in 0..3 {
                let desk = desk(&robot, &format!("desk{number}"));
                let path = format!("robot.data{number}");
                let lossless = InterestSettings::new().lossless(64);
                let wanted: Interest<Bytes> = desk.interest_with(&path, lossless).expect("interest");
                let intent: Intent<Bytes> = robot.intent(&path).expect("intent");
                assert!(intent.wait_interest(SOON) && wanted.wait_intent(SOON));
                let size = [20, 2_000, 40_000][number];
                let began = Arc::clone(&began);
                publishers.push(thread::spawn(move || {
                    let sample = Bytes::from(vec![1; size]);
                    let (mut taken, mut waited) = (0, false);
                    loop {
                        match intent.send_timeout(sample.clone(), SOON) {
                            Ok(outcome) => taken += u64::from(outcome.taken()),
                            Err(error) => {
                                assert!(error.is_closed(), "{error}");
                                return taken;
                            }
                        }
                        // Once: some are taken by nobody while the links end.
                        if taken == 10 && !std::mem::replace(&mut waited, true) {
                            began.wait();
                        }
                    }
                }));
                readers.push(thread::spawn(move || {
                    let mut received = 0;
                    // Until the link is down, which is told behind the last sample.
                    while wanted.suppliers() > 0 {
                        while wanted.recv_timeout(Duration::from_millis(20)).is_ok() {
                            received += 1;
                        }
                    }
                    received += std::iter::from_fn(|| wanted.try_recv().ok()).count() as u64;
                    assert!(desk.close(SOON));
                    received
                }));
            }
            began.wait();
            let (complete, span) = timed(|| robot.close(SOON));
            assert!(complete, "{scheme} {round}: after {span:?}");
            assert!(span < Duration::from_secs(3), "{scheme} {round}: {span:?}");
            for (publisher, reader) in publishers.into_iter().zip(readers) {
                let taken = publisher.join().expect("publishes");
                assert_eq!(reader.join().expect("reads"), taken, "{scheme} {round}");
            }
            no_threads_are_left();
        }
    }
}

#[test]
fn an_endpoint_closes_while_everything_is_busy() {
    let _turn = turn();
    let robot = Endpoint::builder("robot")
        .listen(unused("tcp"))
        .listen(unused("unix"))
        .listen(unused("memory"))
        .connect("tcp://127.0.0.1:1/nobody")
        .start()
        .expect("starts");
    let mut desks = Vec::new();
    let mut publishers = Vec::new();
    let mut kept = Vec::new();
    for number in 0..6 {
        let url = format!("{}/robot", robot.listening()[number % 3]);
        let desk = Endpoint::builder(format!("desk{number}")).connect(url).start().expect("starts");
        let settings =
            [InterestSettings::new().latest(), InterestSettings::new().queue(100)][number % 2].clone();
        let down: Interest<Bytes> = desk.interest_with("robot.data", settings.clone()).expect("interest");
        let up: Interest<Bytes> = robot.interest_with("desk.data", settings).expect("interest");
        let intent: Intent<Bytes> = desk.intent("desk.data").expect("intent");
        assert!(intent.wait_interest(SOON));
        publishers.push(intent);
        desks.push(desk);
        kept.push((down, up));
    }
    let called = Arc::new(AtomicU64::new(0));
    let calls = Arc::clone(&called);
    let subscription = robot.on_sample("desk.data", InterestSettings::new(), move |_: Sample<Bytes>| {
        calls.fetch_add(1, Ordering::Relaxed);
    });
    for _ in 0..2 {
        publishers.push(robot.intent("robot.data").expect("intent"));
    }
    let threads: Vec<_> = publishers
        .into_iter()
        .map(|intent| {
            thread::spawn(move || {
                let sample = Bytes::from(vec![9; 5000]);
                // Until its own endpoint is closed.
                while intent.send(sample.clone()).is_ok() {}
            })
        })
        .collect();
    assert!(eventually(SOON, || called.load(Ordering::Relaxed) > 1000));
    let (complete, span) = timed(|| robot.close(Duration::from_secs(3)));
    assert!(complete, "after {span:?}");
    assert!(span < Duration::from_secs(3), "{span:?}");
    drop(subscription);
    for desk in desks {
        assert_eq!(down(&desk).code(), ReasonCode::Closing);
        assert!(desk.close(SOON));
    }
    for thread in threads {
        thread.join().expect("publishes");
    }
    no_threads_are_left();
}

#[test]
fn two_peers_that_close_at_once_do_not_wait_for_each_other() {
    let _turn = turn();
    for scheme in SCHEMES {
        for _ in 0..10 {
            let robot = robot(scheme);
            let desk = desk(&robot, "desk");
            let down: Interest<Bytes> = desk.interest("robot.data").expect("interest");
            let intent: Intent<Bytes> = robot.intent("robot.data").expect("intent");
            assert!(intent.wait_interest(SOON));
            let barrier = Barrier::new(2);
            let close = |endpoint: &Endpoint| {
                barrier.wait();
                timed(|| endpoint.close(SOON))
            };
            let (one, other) = thread::scope(|scope| {
                let other = scope.spawn(|| close(&desk));
                (close(&robot), other.join().expect("closes"))
            });
            assert!(one.0 && other.0, "{scheme}");
            assert!(one.1.max(other.1) < Duration::from_millis(500), "{scheme}: {:?} {:?}", one.1, other.1);
            drop((down, intent));
            no_threads_are_left();
        }
    }
}

#[test]
fn a_close_is_called_from_many_threads_and_again() {
    let _turn = turn();
    let robot = robot("tcp");
    let desk = desk(&robot, "desk");
    let intent: Intent<Bytes> = robot.intent("robot.data").expect("intent");
    let wanted: Interest<Bytes> = desk.interest("robot.data").expect("interest");
    assert!(intent.wait_interest(SOON));
    let barrier = Barrier::new(8);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                barrier.wait();
                let (complete, span) = timed(|| robot.close(SOON));
                assert!(complete && span < Duration::from_millis(500), "{span:?}");
            });
        }
    });
    let (again, span) = timed(|| robot.close(SOON));
    assert!(again && span < Duration::from_millis(50), "{span:?}");
    assert!(
        robot.links().is_empty() && robot.interest::<u8>("robot.x").is_err_and(|error| error.is_closed())
    );
    assert_eq!(down(&desk).code(), ReasonCode::Closing);
    drop((intent, wanted, robot));
    assert!(desk.close(SOON));
    no_threads_are_left();
}

#[test]
fn whoever_waits_is_woken_by_the_close() {
    let _turn = turn();
    let robot = Arc::new(robot("memory"));
    let desk = desk(&robot, "desk");
    let lossless = InterestSettings::new().lossless(1);
    let full: Interest<u8> = desk.interest_with("robot.full", lossless).expect("interest");
    let sending: Intent<u8> = robot.intent("robot.full").expect("intent");
    assert!(sending.wait_interest(SOON));
    sending.send(1).expect("has room");
    let reading: Interest<u8> = robot.interest("robot.nothing").expect("interest");
    let iterating: Interest<u8> = robot.interest("robot.nothing").expect("interest");
    let lonely: Intent<u8> = robot.intent("robot.lonely").expect("intent");
    let wanting: Interest<u8> = robot.interest("robot.wanting").expect("interest");
    let watching = Arc::clone(&robot);
    let waiting: Vec<(&str, thread::JoinHandle<bool>)> = vec![
        ("send", thread::spawn(move || sending.send_timeout(2, SOON).unwrap_err().is_closed())),
        ("recv", thread::spawn(move || reading.recv().unwrap_err().is_closed())),
        ("iter", thread::spawn(move || iterating.iter().count() == 0)),
        ("wait_interest", thread::spawn(move || !lonely.wait_interest(SOON))),
        ("wait_intent", thread::spawn(move || !wanting.wait_intent(SOON))),
        ("events", thread::spawn(move || watching.events().iter().count() > 0)),
    ];
    let (complete, span) = timed(|| robot.close(Duration::from_secs(1)));
    assert!(complete, "after {span:?}");
    for (name, thread) in waiting {
        let (as_it_should, span) = timed(|| thread.join().expect("ends"));
        assert!(as_it_should && span < Duration::from_secs(1), "{name}: {span:?}");
    }
    drop(full);
    assert!(desk.close(SOON));
    no_threads_are_left();
}

#[test]
fn what_is_declared_while_an_endpoint_closes_is_closed_too() {
    let _turn = turn();
    for _ in 0..50 {
        let robot = Arc::new(robot("memory"));
        let barrier = Arc::new(Barrier::new(4));
        let declare: [fn(&Endpoint) -> bool; 3] = [
            |robot| match robot.interest::<u8>("robot.x") {
                Ok(interest) => interest.recv().is_err(),
                Err(error) => error.is_closed(),
            },
            |robot| match robot.intent::<u8>("robot.y") {
                Ok(intent) => !intent.wait_interest(SOON),
                Err(error) => error.is_closed(),
            },
            |robot| robot.links().is_empty(),
        ];
        let (told, ends) = channel();
        for declare in declare {
            let (robot, barrier, told) = (Arc::clone(&robot), Arc::clone(&barrier), told.clone());
            thread::spawn(move || {
                barrier.wait();
                let deadline = Instant::now() + SOON;
                while !robot.intent::<u8>("robot.z").is_err_and(|error| error.is_closed()) {
                    assert!(declare(&robot) && Instant::now() < deadline);
                }
                told.send(()).expect("is awaited");
            });
        }
        barrier.wait();
        assert!(robot.close(SOON));
        for _ in 0..3 {
            ends.recv_timeout(Duration::from_secs(2)).expect("nobody waits for a closed endpoint");
        }
    }
    no_threads_are_left();
}
