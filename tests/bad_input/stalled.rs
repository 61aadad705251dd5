//! Peers that do not read.

use super::handshakes::down;
use super::*;

/// What a peer that reads nothing costs this process beside the system's buffers: what waits to be
/// written, what found that full, and what is being written, of 256 KiB each; and some slack.
const STALLED: usize = 3 << 20;

/// Sends as fast as it can until the end; returns how many.
fn publish(intent: Intent<Bytes>, size: usize, end: Arc<AtomicBool>) -> thread::JoinHandle<u64> {
    let sample = Bytes::from(vec![7; size]);
    thread::spawn(move || {
        let mut sent = 0;
        while !end.load(Ordering::Relaxed) {
            intent.send(sample.clone()).expect("never an error for one of these");
            sent += 1;
            thread::yield_now();
        }
        sent
    })
}

/// The same, and says once nothing more is taken at once for the raw peer.
fn publish_until_parked(
    intent: Intent<Bytes>,
    size: usize,
    end: Arc<AtomicBool>,
    parked: Arc<AtomicBool>,
) -> thread::JoinHandle<u64> {
    let sample = Bytes::from(vec![7; size]);
    thread::spawn(move || {
        let mut sent = 0;
        while !end.load(Ordering::Relaxed) {
            intent.send(sample.clone()).expect("never an error for one of these");
            sent += 1;
            let replaced = |(peer, fate): (Option<PeerName>, Fate)| {
                let path = peer.and_then(|peer| peer.path).map(|path| path.to_string());
                path.as_deref() == Some("villain") && fate == Fate::Replaced
            };
            if sent % 16 == 0 && intent.outcomes().into_iter().any(replaced) {
                parked.store(true, Ordering::Relaxed);
            }
            thread::yield_now();
        }
        sent
    })
}

#[test]
fn a_peer_that_reads_nothing_is_cut_off_and_costs_what_was_set() {
    let _turn = turn();
    let ping = Duration::from_millis(100);
    for scheme in SCHEMES {
        for (delivery, depth) in [(0, 1), (1, 1 << 20)] {
            let scene = Scene::set(&unused(scheme), |robot| robot.ping_interval(ping));
            let intent: Intent<Bytes> = scene.robot.intent("robot.data").expect("intent");
            let honest = scene.honest_interest("robot.data", InterestSettings::new().latest());
            assert!(intent.wait_interest(SOON));
            let deaf = taker(&scene, "robot.data", delivery, depth);
            deaf.stop_reading();
            let began = Instant::now();
            deaf.send(&frames::credit(0, u64::MAX, 0, 0));
            let before = resident();
            forget_peak();
            let end = Arc::new(AtomicBool::new(false));
            let publisher = publish(intent, 300, Arc::clone(&end));
            // It is not heard either, so it is given up after 3.5 intervals.
            let reason = scene.verdict();
            assert_eq!(reason.code(), ReasonCode::Silent, "{reason}");
            assert!(began.elapsed() < ping * 7 / 2 + LATE, "{:?}", began.elapsed());
            end.store(true, Ordering::Relaxed);
            let sent = publisher.join().expect("publishes");
            let more = peak().saturating_sub(before);
            let received = honest.counts().received;
            println!("{scheme} {delivery}: {sent} sent, {received} received, {} KiB more", more / 1024);
            assert!(more < STALLED, "{} KiB more", more / 1024);
            assert!(received > 100, "the honest peer got {received} of {sent}");
            scene.close();
        }
    }
}

#[test]
fn an_endless_queue_of_tiny_samples_is_bounded_in_bytes() {
    let _turn = turn();
    let scene = Scene::set(&unused("tcp"), |robot| robot);
    let intent: Intent<Bytes> = scene.robot.intent("robot.data").expect("intent");
    let deaf = taker(&scene, "robot.data", 1, 1 << 20);
    deaf.stop_reading();
    deaf.send(&frames::credit(0, u64::MAX, 0, 0));
    assert!(intent.wait_interest(SOON));
    let before = resident();
    forget_peak();
    let mut replaced = 0;
    let deadline = Instant::now() + SOON;
    while replaced < 1000 && Instant::now() < deadline {
        let outcome = intent.send(Bytes::new()).expect("sends");
        replaced += u64::from(outcome.worst() == bowline::Fate::Replaced);
    }
    let more = peak().saturating_sub(before);
    println!("{} KiB more", more / 1024);
    assert!(replaced > 0, "the queue never was full");
    assert!(more < STALLED, "{} KiB more", more / 1024);
    drop(deaf);
    scene.close();
}

#[test]
fn a_peer_that_asks_but_does_not_read_the_answers_is_cut_off() {
    let _turn = turn();
    for scheme in SCHEMES {
        let scene = Scene::set(&unused(scheme), |robot| robot);
        let intent: Intent<Bytes> = scene.robot.intent("robot.data").expect("intent");
        let honest = scene.honest_interest("robot.data", InterestSettings::new().queue(16));
        assert!(intent.wait_interest(SOON));
        let end = Arc::new(AtomicBool::new(false));
        let flood = scene.attacker();
        flood.stop_reading();
        let before = resident();
        forget_peak();
        let publisher = publish(intent, 100, Arc::clone(&end));
        let pings: Vec<u8> = (0..1000).flat_map(frames::ping).collect();
        let connection = flood.connection();
        let flooder = thread::spawn(move || {
            let mut rest = pings.as_slice();
            while let Ok(count) = connection.write(rest) {
                rest = if count < rest.len() { &rest[count..] } else { &pings };
            }
        });
        let reason = scene.verdict();
        assert_eq!(reason.code(), ReasonCode::Backlog, "{reason}");
        let at_verdict = honest.counts().received;
        scene.goes_on();
        flooder.join().expect("is hung up on");
        end.store(true, Ordering::Relaxed);
        let sent = publisher.join().expect("publishes");
        let more = peak().saturating_sub(before);
        println!("{scheme}: {at_verdict} of {sent} received until then, {} KiB more", more / 1024);
        assert!(at_verdict > 0, "the honest peer got nothing");
        assert!(more < STALLED, "{} KiB more", more / 1024);
        scene.close();
    }
}

#[test]
fn a_peer_that_lives_but_reads_nothing_delays_nobody() {
    let _turn = turn();
    let ping = Duration::from_millis(100);
    let scene = Scene::set(&unused("tcp"), |robot| robot.ping_interval(ping));
    let intent: Intent<Bytes> = scene.robot.intent("robot.data").expect("intent");
    let honest = scene.honest_interest("robot.data", InterestSettings::new().queue(64));
    assert!(intent.wait_interest(SOON));
    let deaf = taker(&scene, "robot.data", 1, 1 << 20);
    deaf.stop_reading();
    deaf.send(&frames::credit(0, u64::MAX, 0, 0));
    let before = resident();
    forget_peak();
    let end = Arc::new(AtomicBool::new(false));
    let parked = Arc::new(AtomicBool::new(false));
    let publisher = publish_until_parked(intent, 1000, Arc::clone(&end), Arc::clone(&parked));
    // It says something harmless now and then, for longer than silence is borne.
    let (stop, stopped) = channel::<()>();
    let alive = deaf.connection();
    let speaker = thread::spawn(move || {
        while stopped.recv_timeout(Duration::from_millis(20)) == Err(RecvTimeoutError::Timeout) {
            alive.write(&frame(frames::INTENTS, &[0])).expect("is read");
        }
    });
    let mut worst = Duration::ZERO;
    let (mut rounds, deadline) = (0, Instant::now() + 3 * SOON);
    // Until more was sent than the system holds for it, however fast that is.
    while rounds < 40 || (!parked.load(Ordering::Relaxed) && Instant::now() < deadline) {
        rounds += 1;
        let asked = Instant::now();
        scene.goes_on();
        worst = worst.max(asked.elapsed());
        let pause = Instant::now() + Duration::from_millis(25);
        while Instant::now() < pause {
            honest.recv_timeout(SOON).expect("flows");
        }
    }
    end.store(true, Ordering::Relaxed);
    let sent = publisher.join().expect("publishes");
    let more = peak().saturating_sub(before);
    println!("{sent} sent, the honest peer waited {worst:?} at most, {} KiB more", more / 1024);
    assert!(more < STALLED, "{} KiB more", more / 1024);
    // It is up still, and once it reads gets what is new, behind a gap.
    let up = scene.robot.links().iter().filter(|link| link.state.is_up()).count();
    assert_eq!(up, 2);
    deaf.read_on();
    let gap = deaf.wait_for("GAP", |frame| (frame.tag == 0x0A).then(|| frame.body[0]));
    assert_eq!(gap, 0);
    drop(stop);
    speaker.join().expect("speaks");
    drop(deaf);
    scene.close();
}

#[test]
fn a_peer_that_fell_silent_is_dialled_again_without_waiting_for_its_last_words() {
    let _turn = turn();
    let listener = Tcp.listen("127.0.0.1:0").expect("listens");
    let desk = Endpoint::builder("desk")
        .connect(format!("tcp://{}", listener.address()))
        .ping_interval(Duration::from_millis(100))
        .redial(Duration::from_millis(1), Duration::from_millis(1));
    let desk = desk.start().expect("starts");
    let mut peer = RawPeer::over(listener.accept().expect("dialled"));
    let mut soonest = SOON;
    for session in 1..=5 {
        peer.wait_for("HANDSHAKE initial", |frame| frame.is_initial().then_some(()));
        peer.send(&[Hello::of("robot").bytes(), frames::handshake_final(session)].concat());
        peer.wait_for("PING", |frame| (frame.tag == frames::PING).then_some(()));
        let reason = down(&desk);
        assert_eq!(reason.code(), ReasonCode::Silent, "{reason}");
        let found = Instant::now();
        let next = RawPeer::over(listener.accept().expect("dialled again"));
        soonest = soonest.min(found.elapsed());
        // It is told all the same.
        assert_eq!(peer.bye(), (ReasonCode::Silent as u8, reason.text().to_owned()));
        peer = next;
    }
    // A quarter of a second is what words on their way have elsewhere.
    assert!(soonest < Duration::from_millis(200), "{soonest:?}");
    assert!(desk.close(SOON));
}
