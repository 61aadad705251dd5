//! Before the handshake is done.

use super::*;

#[test]
fn a_stream_that_is_no_bowline_is_told_so() {
    everywhere(|scene| {
        let openings: [&[u8]; 6] = [
            b"GET / HTTP/1.1\r\nHost: robot\r\n\r\n",
            b"SSH-2.0-OpenSSH_9.2p1\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            &[0; 64],
            &[0xFF; 64],
            // All but the magic is right.
            &[0x30, 0x01, 0x00, b'B', b'W', b'L', b'M'],
        ];
        for bytes in openings {
            let stranger = RawPeer::dial(scene.url());
            stranger.send(bytes);
            scene.convicts(&stranger, ReasonCode::NotBowline, &format!("{:?}", bytes.escape_ascii()));
        }
        scene.close();
    });
}

#[test]
fn what_is_wrong_in_a_handshake_ends_it_with_a_reason() {
    everywhere(|scene| {
        let hello = Hello::of("villain");
        let good = hello.bytes();
        let with = |change: fn(&mut Hello)| {
            let mut hello = hello.clone();
            change(&mut hello);
            hello.bytes()
        };
        let cases: [(&str, Vec<u8>, ReasonCode); 14] = [
            ("an oversized first frame", head(1025, 1), ReasonCode::NotBowline),
            ("versions upside down", with(|hello| hello.versions = (3, 2)), ReasonCode::Malformed),
            ("a path that is none", with(|hello| hello.path = "a..b".into()), ReasonCode::Malformed),
            ("no path", with(|hello| hello.path = String::new()), ReasonCode::Malformed),
            ("a path too long", with(|hello| hello.path = "a".repeat(256)), ReasonCode::Malformed),
            ("another expected", with(|hello| hello.expected = "desk".into()), ReasonCode::WrongIdentity),
            ("initial cut short", frame(1, &good[2..40]), ReasonCode::Malformed),
            ("initial twice", [good.clone(), good.clone()].concat(), ReasonCode::Malformed),
            ("a PING too early", [good.clone(), frames::ping(1)].concat(), ReasonCode::Malformed),
            (
                "a sample too early",
                [good.clone(), frames::message(0, b"x")].concat(),
                ReasonCode::UnknownAlias,
            ),
            ("a GAP too early", [good.clone(), frames::gap(0, 1)].concat(), ReasonCode::Malformed),
            ("session 0", [good.clone(), frames::handshake_final(0)].concat(), ReasonCode::Malformed),
            (
                "a session of its own",
                [good.clone(), frames::handshake_final(7)].concat(),
                ReasonCode::Malformed,
            ),
            ("an oversized second frame", [good.clone(), head(1025, 5)].concat(), ReasonCode::FrameTooLarge),
        ];
        for (offence, bytes, code) in cases {
            let attacker = RawPeer::dial(scene.url());
            attacker.send(&bytes);
            scene.convicts(&attacker, code, offence);
        }
        scene.close();
    });
}

#[test]
fn an_endpoint_that_dials_itself_is_told_so() {
    let _turn = turn();
    let listen = unused("memory");
    let robot = Endpoint::builder("robot").listen(&listen).connect(&listen).start().expect("starts");
    let mut told = 0;
    while told < 2 {
        match robot.events().recv_timeout(SOON).expect("in time") {
            Event::LinkDown { reason, .. } => {
                assert_eq!(reason.code(), ReasonCode::Duplicate, "{reason}");
                assert!(reason.text().contains("itself"), "{reason}");
                told += 1;
            }
            Event::LinkUp { peer, .. } => panic!("{peer} is up"),
            _ => {}
        }
    }
    assert!(robot.close(SOON));
}

#[test]
fn no_common_version_is_told_in_words_to_a_dialler() {
    everywhere(|scene| {
        let newer = RawPeer::dial(scene.url());
        newer.send(&Hello { versions: (2, 9), ..Hello::of("newer") }.bytes());
        // It learns who refuses it, then why.
        newer.wait_for("HANDSHAKE initial", |frame| frame.is_initial().then_some(()));
        scene.convicts(&newer, ReasonCode::Version, "a newer version");
        scene.close();
    });
}

#[test]
fn no_common_version_is_told_in_words_to_an_acceptor() {
    let _turn = turn();
    let listener = Tcp.listen("127.0.0.1:0").expect("listens");
    let url = format!("tcp://{}/newer", listener.address());
    let robot = Endpoint::builder("robot").connect(&url).start().expect("starts");
    let newer = RawPeer::over(listener.accept().expect("accepts"));
    newer.wait_for("HANDSHAKE initial", |frame| frame.is_initial().then_some(()));
    newer.send(&Hello { versions: (2, 9), ..Hello::of("newer") }.bytes());
    let (code, words) = newer.bye();
    assert_eq!(code, ReasonCode::Version as u8);
    for needed in ["robot", "newer", "1", "9"] {
        assert!(words.contains(needed), "{words}");
    }
    let reason = down(&robot);
    assert_eq!((reason.code(), reason.text()), (ReasonCode::Version, words.as_str()));
    assert!(!reason.is_transient());
    assert!(robot.close(SOON));
}

#[test]
fn a_dialler_takes_the_words_of_an_acceptor_that_refuses() {
    let _turn = turn();
    let listener = Tcp.listen("127.0.0.1:0").expect("listens");
    let robot = Endpoint::builder("robot").connect(format!("tcp://{}", listener.address())).start();
    let robot = robot.expect("starts");
    let peer = RawPeer::over(listener.accept().expect("accepts"));
    // The first frame may be a BYE, by a side that will not talk, and with a code of the future.
    peer.send(&frames::bye(77, "come back on Monday"));
    let reason = down(&robot);
    assert_eq!(reason.code(), ReasonCode::Internal);
    assert!(
        reason.is_by_peer() && reason.text().contains("77") && reason.text().contains("Monday"),
        "{reason}"
    );
    assert!(robot.close(SOON));
}

#[test]
fn what_a_peer_says_cannot_forge_a_log_or_move_a_cursor() {
    everywhere(|scene| {
        let attacker = scene.attacker();
        attacker.send(&frames::bye(1, "bye\r\n[ERROR] all is lost\x1b[2J\u{202E}"));
        let reason = scene.verdict();
        assert!(reason.is_by_peer() && reason.text().starts_with("bye"), "{reason}");
        assert!(
            !reason.text().contains(|letter: char| letter.is_control() || letter == '\u{202E}'),
            "{reason}"
        );
        scene.close();
    });
}

pub fn down(robot: &Endpoint) -> bowline::Reason {
    loop {
        if let Event::LinkDown { reason, .. } = robot.events().recv_timeout(SOON).expect("in time") {
            return reason;
        }
    }
}

#[test]
fn a_handshake_that_is_never_finished_ends_at_its_deadline() {
    let _turn = turn();
    const DEADLINE: Duration = Duration::from_millis(200);
    let scene = Scene::set(&unused("tcp"), |robot| robot.handshake_deadline(DEADLINE));
    let good = Hello::of("villain").bytes();
    for (offence, bytes) in [("nothing", &[][..]), ("half an initial", &good[..20]), ("no final", &good)] {
        let began = Instant::now();
        let attacker = RawPeer::dial(scene.url());
        attacker.send(bytes);
        scene.convicts(&attacker, ReasonCode::HandshakeTimeout, offence);
        let span = began.elapsed();
        assert!(span >= DEADLINE && span < DEADLINE + LATE, "{offence}: {span:?}");
        attacker.wait_end();
    }
    scene.close();
}

#[test]
fn a_handshake_that_trickles_in_ends_at_its_deadline() {
    let _turn = turn();
    let deadline = Duration::from_millis(300);
    let scene = Scene::set(&unused("tcp"), |robot| robot.handshake_deadline(deadline));
    let attacker = RawPeer::dial(scene.url());
    let began = Instant::now();
    for byte in Hello::of("villain").bytes() {
        if !attacker.try_send(&[byte]) || attacker.next(Duration::from_millis(10)).is_some() {
            break;
        }
    }
    assert_eq!(scene.verdict().code(), ReasonCode::HandshakeTimeout);
    assert!(began.elapsed() < deadline + LATE, "{:?}", began.elapsed());
    scene.close();
}

#[test]
fn an_acceptor_that_says_nothing_is_left_and_dialled_again() {
    let _turn = turn();
    let listener = Tcp.listen("127.0.0.1:0").expect("listens");
    let robot = Endpoint::builder("robot")
        .connect(format!("tcp://{}/mute", listener.address()))
        .handshake_deadline(Duration::from_millis(100))
        .redial(Duration::from_millis(10), Duration::from_millis(20));
    let robot = robot.start().expect("starts");
    for attempt in 0..2 {
        let mute = RawPeer::over(listener.accept().expect("dialled"));
        assert_eq!(down(&robot).code(), ReasonCode::HandshakeTimeout, "attempt {attempt}");
        assert_eq!(mute.bye().0, ReasonCode::HandshakeTimeout as u8);
    }
    assert!(robot.close(SOON));
}

#[test]
fn ten_thousand_connections_that_say_nothing_leave_nothing_behind() {
    let _turn = turn();
    let scene = Scene::set(&unused("tcp"), |robot| robot.event_capacity(64));
    let open = descriptors();
    // Once, so that what the system's allocator keeps for later is there before it is measured.
    let (_, _) = besieged(&scene, 2000);
    assert!(eventually(SOON, || threads().len() <= THREADS_OF_SCENE));
    let before = (open, resident());
    forget_peak();
    let began = Instant::now();
    let (guests, most_threads) = besieged(&scene, 10_000);
    let more = peak().saturating_sub(before.1) / 1024;
    let span = began.elapsed();
    println!("{guests} guests in {span:?}, {most_threads} threads and {more} KiB more at the peak");
    assert!(guests > 0);
    // 100 pending, two threads each, and those that end just now.
    assert!(most_threads < 2 * 100 + 200, "{most_threads} threads at once");
    // 64 KiB for each of them and as much for the attacker's.
    assert!(more < 200 * 64, "{more} KiB more at the peak");
    let gone = || descriptors() <= before.0 && threads().len() <= THREADS_OF_SCENE;
    assert!(eventually(SOON, gone), "{} of {} descriptors, {:?}", descriptors(), before.0, threads());
    let more = resident().saturating_sub(before.1) / 1024;
    println!("{more} KiB more afterwards");
    assert!(more < 4096, "{more} KiB more afterwards");
    scene.close();
}

/// Of two endpoints and a link: two dispatchers, two acceptors, two readers and two writers.
const THREADS_OF_SCENE: usize = 8;

/// Silent connections come from several threads, and meanwhile honest guests who must get in. Returns how
/// many there were, and the most threads of this library that were seen.
fn besieged(scene: &Scene, connections: usize) -> (usize, usize) {
    const THREADS: usize = 4;
    /// Held open by each at once. All together more than may be pending, and less than the system lets
    /// wait to be accepted.
    const HELD: usize = 30;
    let (url, done) = (scene.url(), &AtomicBool::new(false));
    let (mut guests, mut most_threads) = (0, 0);
    thread::scope(|scope| {
        let attack = move |_| scope.spawn(move || silent_connections(url, connections / THREADS, HELD));
        let attackers: Vec<_> = (0..THREADS).map(attack).collect();
        scope.spawn(move || {
            let told: Vec<_> = attackers.into_iter().map(thread::ScopedJoinHandle::join).collect();
            done.store(true, Ordering::SeqCst);
            let told: usize = told.into_iter().map(|told| told.expect("attacks")).sum();
            assert!(told > connections / 4, "{told} of {connections} were told");
        });
        while !done.load(Ordering::SeqCst) {
            let builder = Endpoint::builder(format!("guest{guests}")).connect(format!("{url}/robot"));
            let builder = builder.redial(Duration::from_millis(5), Duration::from_millis(20));
            let guest = builder.start().expect("starts");
            let counts: Interest<u64> = guest.interest("robot.count").expect("interest");
            assert!(counts.wait_intent(SOON), "guest {guests} did not get in");
            guests += 1;
            most_threads = most_threads.max(threads().len());
            scene.goes_on();
            assert!(guest.close(SOON));
            eventually(Duration::from_millis(200), || done.load(Ordering::SeqCst));
        }
    });
    // An intent lets go of the links that ended when it sends again.
    scene.goes_on();
    (guests, most_threads)
}

/// Opens connections one after the other and keeps `held` open at once. The oldest is waited for a moment,
/// as it should be hung up on and told why: faster attackers would meet the limit of the system's own
/// queue, and wait a second for each. Returns how many were told.
fn silent_connections(url: &str, count: usize, held: usize) -> usize {
    let address = url.strip_prefix("tcp://").expect("TCP");
    let mut open = VecDeque::new();
    let mut told = 0;
    for _ in 0..count {
        open.push_back(TcpStream::connect(address).expect("connects"));
        if open.len() > held {
            let mut bytes = Vec::new();
            let mut oldest: TcpStream = open.pop_front().expect("there are more");
            oldest.set_read_timeout(Some(Duration::from_millis(5))).expect("is set");
            if oldest.read_to_end(&mut bytes).is_ok() {
                let (code, words) = frames::cut(&bytes).and_then(|(frame, _)| frame.bye()).expect("a BYE");
                assert!(code == ReasonCode::TooManyLinks as u8 && words.contains("100"), "{code}: {words}");
                told += 1;
            }
        }
    }
    told
}

#[test]
fn unfinished_handshakes_do_not_use_up_the_links() {
    let _turn = turn();
    let scene = Scene::set(&unused("tcp"), |robot| robot.link_limit(2));
    let silent: Vec<_> = (0..50).map(|_| RawPeer::dial(scene.url())).collect();
    for _ in 0..silent.len() {
        scene.next_event("LinkHandshaking", |event| {
            matches!(event, Event::LinkHandshaking { .. }).then_some(())
        });
    }
    let second = RawPeer::join(scene.url(), "second");
    let third = RawPeer::dial(scene.url());
    third.send(&Hello::of("third").bytes());
    third.wait_for("HANDSHAKE initial", |frame| frame.is_initial().then_some(()));
    let (code, words) = third.bye();
    assert_eq!(code, ReasonCode::TooManyLinks as u8, "{words}");
    assert!(words.contains('2'), "{words}");
    drop(second);
    scene.close();
}
