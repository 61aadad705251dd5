//! What becomes of samples when a link is cut.

use super::*;
use bowline::{Bytes, Fate, Reading, ReasonCode};
use std::sync::mpsc::{Sender, channel};
use std::thread;

/// A sample of some bytes that tells its number.
fn numbered(number: u64, bytes: usize) -> Bytes {
    let mut sample = vec![number as u8; bytes.max(8)];
    sample[..8].copy_from_slice(&number.to_le_bytes());
    Bytes::from(sample)
}

fn number(sample: &[u8]) -> u64 {
    let number = u64::from_le_bytes(sample[..8].try_into().expect("a number"));
    assert!(sample[8..].iter().all(|byte| *byte == number as u8), "sample {number} is whole");
    number
}

/// Sends `count` samples of these sizes in turn, and cuts the link each time the reader came `every` samples on.
fn nothing_lost(kind: Kind, count: u64, every: u64, sizes: &'static [usize]) {
    let Scene { robot, desk, scissors } = scene(kind);
    let intent: Intent<Bytes> = robot.intent("robot.data").unwrap();
    let interest: Interest<Bytes> = desk.interest_with("robot.data", lossless(64)).unwrap();
    assert!(intent.wait_interest(SOON));
    let sending = thread::spawn(move || {
        for n in 0..count {
            let sample = numbered(n, sizes[n as usize % sizes.len()]);
            intent.send_timeout(sample, SOON).unwrap_or_else(|error| panic!("sample {n}: {error}"));
        }
        intent
    });
    for n in 0..count {
        let sample = interest.recv_timeout(SOON).unwrap_or_else(|error| panic!("sample {n}: {error}"));
        assert_eq!(number(&sample), n, "in order, each once");
        assert_eq!(sample.sequence(), n, "numbers go on");
        if n % every == every / 2 {
            scissors.cut();
        }
    }
    let intent = sending.join().expect("it sends all");
    assert!(scissors.cuts() as u64 >= count / every / 4, "{} cuts", scissors.cuts());
    assert_eq!(interest.try_recv().ok().map(|sample| number(&sample)), None, "nothing comes twice");
    let counts = interest.counts();
    assert_eq!((counts.lost_here, counts.lost_there, counts.lost_on_the_way), (0, 0, 0));
    drop(intent);
    for endpoint in [&robot, &desk] {
        let events: Vec<_> = std::iter::from_fn(|| endpoint.events().try_recv()).collect();
        let bad = |event: &&Event| {
            matches!(
                event,
                Event::SessionEnded { .. } | Event::SamplesLost { .. } | Event::SamplesUnconfirmed { .. }
            )
        };
        assert_eq!(events.iter().find(bad), None);
        assert!(events.iter().any(resumed));
    }
}

#[test]
fn lossless_loses_nothing_over_tcp() {
    nothing_lost(Kind::Tcp, 20_000, 400, &[8, 64, 200]);
}

#[test]
fn lossless_loses_nothing_over_tcp_of_large_samples() {
    nothing_lost(Kind::Tcp, 400, 20, &[200_000, 64, 700_000]);
}

#[test]
fn lossless_loses_nothing_over_unix_sockets() {
    nothing_lost(Kind::Unix, 20_000, 400, &[8, 20_000, 64]);
}

#[test]
fn lossless_loses_nothing_over_memory() {
    nothing_lost(Kind::Memory, 20_000, 400, &[8, 3000]);
}

#[test]
fn lossless_loses_nothing_over_udp() {
    nothing_lost(Kind::Udp, 5_000, 400, &[8, 64, 3000]);
}

/// The newest that was sent while there was no link comes once there is one; a queue has its newest, in order, and
/// the rest is counted, at both ends alike.
fn others(kind: Kind) {
    let Scene { robot, desk, scissors } = scene(kind);
    let intent: Intent<u64> = robot.intent("robot.count").unwrap();
    let latest: Interest<u64> = desk.interest_with("robot.count", InterestSettings::new().latest()).unwrap();
    let queue: Interest<u64> = desk.interest_with("robot.count", InterestSettings::new().queue(4)).unwrap();
    assert!(intent.wait_interests(2, SOON));
    let mut watch = Watch::new(&desk);
    let mut sent = 0;
    for round in 0..20 {
        for _ in 0..10 {
            intent.send(sent).unwrap();
            sent += 1;
        }
        scissors.close();
        // Attempts to dial that fail say so too.
        watch.wait(
            |event| matches!(event, Event::LinkDown { reason, .. } if reason.code() == ReasonCode::Lost),
        );
        assert!(matches!(latest.latest(), Reading::LinkDown(_)), "round {round}");
        for _ in 0..20 {
            intent.send(sent).unwrap();
            sent += 1;
        }
        scissors.open();
        watch.wait(resumed);
        let deadline = std::time::Instant::now() + SOON;
        loop {
            match latest.latest() {
                Reading::Fresh(sample) | Reading::Stale(sample) if *sample == sent - 1 => break,
                other if std::time::Instant::now() > deadline => {
                    panic!(
                        "round {round}: {} was sent last, and there is {other:?}; {:?}",
                        sent - 1,
                        desk.links()
                    )
                }
                _ => thread::yield_now(),
            }
        }
        let mut last = None;
        while last != Some(sent - 1) {
            let sample = *queue.recv_timeout(SOON).unwrap();
            assert!(last < Some(sample), "in order, at most once");
            last = Some(sample);
        }
    }
    support::until("all is accounted for", || {
        let counts = queue.counts();
        counts.received + counts.lost_there + counts.lost_on_the_way == sent
    });
}

#[test]
fn latest_and_queue_go_on_over_tcp() {
    others(Kind::Tcp);
}

#[test]
fn latest_and_queue_go_on_over_udp() {
    others(Kind::Udp);
}

#[test]
fn latest_and_queue_go_on_over_memory() {
    others(Kind::Memory);
}

#[test]
fn what_is_sent_without_a_link_waits_and_says_so() {
    let Scene { robot, desk, scissors } = scene(Kind::Tcp);
    let intent: Intent<u64> = robot.intent("robot.count").unwrap();
    let interest: Interest<u64> = desk.interest_with("robot.count", lossless(8)).unwrap();
    assert!(intent.wait_interest(SOON));
    scissors.close();
    Watch::new(&robot).wait(|event| matches!(event, Event::LinkDown { .. }));
    assert_eq!(intent.interested(), 1, "the pair still is");
    for n in 0..8 {
        let outcome = intent.send(n).unwrap();
        assert_eq!((outcome.taken(), outcome.worst()), (1, Fate::Waits));
    }
    assert!(intent.send(8).unwrap_err().no_room().is_some(), "no more than was granted");
    scissors.open();
    for n in 0..8 {
        assert_eq!(*interest.recv_timeout(SOON).unwrap(), n);
    }
    intent.send_timeout(8, SOON).unwrap();
    assert_eq!(*interest.recv_timeout(SOON).unwrap(), 8);
}

#[test]
fn many_routes_both_ways_and_callbacks_go_on() {
    let Scene { robot, desk, scissors } = scene(Kind::Tcp);
    let (here, there): (Vec<_>, Vec<_>) = (0..20)
        .map(|n| {
            let (a, b) = (format!("robot.out{n}"), format!("robot.in{n}"));
            let (out, back): (Intent<u64>, Intent<u64>) =
                (robot.intent(&a).unwrap(), desk.intent(&b).unwrap());
            let settings = || lossless(16);
            let (tx, rx) = channel();
            let called = desk
                .on_sample(&a, settings(), move |sample: bowline::Sample<u64>| {
                    let _: Result<(), _> = Sender::send(&tx, *sample);
                })
                .unwrap();
            let wanted: Interest<u64> = robot.interest_with(&b, settings()).unwrap();
            ((out, rx, called), (back, wanted))
        })
        .unzip();
    assert!(here.iter().all(|(out, ..)| out.wait_interest(SOON)));
    assert!(there.iter().all(|(back, _)| back.wait_interest(SOON)));
    for n in 0..200_u64 {
        for (out, ..) in &here {
            out.send_timeout(n, SOON).unwrap();
        }
        for (back, _) in &there {
            back.send_timeout(n, SOON).unwrap();
        }
        if n % 10 == 5 {
            scissors.cut();
        }
        for (_, came, _) in &here {
            assert_eq!(came.recv_timeout(SOON).unwrap(), n);
        }
        for (_, wanted) in &there {
            assert_eq!(*wanted.recv_timeout(SOON).unwrap(), n);
        }
    }
}

#[test]
fn raw_payloads_are_read_where_they_lie_across_cuts() {
    let Scene { robot, desk, scissors } = scene(Kind::Tcp);
    let intent: Intent<Bytes> = robot.intent_with("robot.raw", IntentSettings::new()).unwrap();
    let interest: Interest<Bytes> = desk.interest_with("robot.raw", lossless(256)).unwrap();
    assert!(intent.wait_interest(SOON));
    let sending = thread::spawn(move || {
        let samples: Vec<_> = (0..64).map(|n| numbered(n, 100)).collect();
        let slices: Vec<&[u8]> = samples.iter().map(|sample| &sample[..]).collect();
        for _ in 0..200 {
            intent.send_slices(&slices, SOON).unwrap();
        }
    });
    for n in 0..200 * 64_u64 {
        let sample = interest.recv_timeout(SOON).unwrap();
        assert_eq!(number(&sample), n % 64);
        if n % 2000 == 1000 {
            scissors.cut();
        }
    }
    sending.join().unwrap();
}
