//! What no honest peer says: the link it comes on ends with a reason, told to both sides, and nothing else
//! notices.
//!
//! The attacker writes the protocol's bytes by itself, over each kind of connection.
#![cfg(target_os = "linux")]

#[path = "bad_input/frames.rs"]
mod frames;
#[path = "process/measure.rs"]
mod measure;
#[path = "bad_input/raw_peer.rs"]
mod raw_peer;
#[path = "bad_input/scene.rs"]
mod scene;

use bowline::transport::{Cancel, Memory, Tcp, Transport};
use bowline::{Bytes, Endpoint, Event, Intent, Interest, InterestSettings, LinkState, ReasonCode, Scope};
use frames::{Hello, frame, head, message_head, varint};
use measure::{descriptors, eventually, forget_peak, peak, resident, threads};
use raw_peer::{RawPeer, SOON};
use scene::{Scene, turn, unused};
use std::collections::VecDeque;
use std::io::Read;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

const SCHEMES: [&str; 3] = ["tcp", "unix", "memory"];

/// How late something may come: 100 ms, and what a busy machine adds.
const LATE: Duration = Duration::from_millis(400);

/// Runs a test over each kind of connection.
fn everywhere(test: impl Fn(Scene)) {
    let _turn = turn();
    for scheme in SCHEMES {
        test(Scene::set(&unused(scheme), |robot| robot));
    }
}

// ---- before the handshake is done ---------------------------------------------------------------

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

fn down(robot: &Endpoint) -> bowline::Reason {
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
    // Once, so that what the system's allocator keeps for later is there before it is measured.
    let (_, _) = besieged(&scene, 2000);
    assert!(eventually(SOON, || threads().len() <= THREADS_OF_SCENE));
    let before = (descriptors(), resident());
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
    assert!(more < 2048, "{more} KiB more afterwards");
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

// ---- on a link that is up -----------------------------------------------------------------------

#[test]
fn connections_that_are_turned_away_without_a_word_are_told_to_the_application() {
    let _turn = turn();
    let scene = Scene::set(&unused("memory"), |robot| robot.link_limit(2));
    let address = scene.url().split_once("://").expect("a URL").1.to_owned();
    let (began, mut events, mut count, mut held) = (Instant::now(), 0, 0, VecDeque::new());
    while count < 300 {
        assert!(began.elapsed() < SOON, "only {count}");
        // Each says what is wrong and stays, so that saying BYE to it takes a while.
        if let Ok(connection) = Memory.dial(&address, SOON, &Cancel::default()) {
            let _ = connection.write(b"GET / HTTP/1.1\r\n");
            held.push_back(connection);
        }
        if held.len() > 1000 {
            held.pop_front();
        }
        while let Some(event) = scene.robot.events().try_recv() {
            if let Event::ConnectionsRefused { url, count: more } = event {
                assert_eq!(&url, scene.url());
                assert!(more > 0);
                (events, count) = (events + 1, count + more);
            }
        }
    }
    let most = began.elapsed().as_secs() + 2;
    assert!(events <= most, "{events} events for {count} connections");
    drop(held);
    scene.close();
}

#[test]
fn what_must_not_come_ends_the_link_with_a_reason() {
    use ReasonCode::{FrameTooLarge, Malformed, UnknownAlias, UnknownKind};
    everywhere(|scene| {
        let wanted: Interest<Bytes> = scene.robot.interest("villain.data").expect("interest");
        let cases: Vec<(&str, Vec<u8>, ReasonCode)> = vec![
            ("a frame of length 0", vec![0], Malformed),
            ("a length longer than it must be", vec![0x82, 0x00, 0x03, 0x00], Malformed),
            ("4 GiB", [varint(u32::MAX.into()), vec![0x20]].concat(), FrameTooLarge),
            ("more than 4 GiB", vec![0xFF, 0xFF, 0xFF, 0xFF, 0x7F, 0x20], FrameTooLarge),
            ("a control frame of more than 64 KiB", head(65_537, 5), FrameTooLarge),
            ("a message of more than it takes", head((1 << 20) + 11, 0x20), FrameTooLarge),
            ("a PING cut short", frame(3, &[1, 2, 3]), Malformed),
            ("a PING too long", frame(3, &[0; 9]), Malformed),
            ("a HANDSHAKE", Hello::of("villain").bytes(), Malformed),
            ("a HANDSHAKE final", frames::handshake_final(1), Malformed),
            ("a message without a stamp", frame(0x20, &[1]), Malformed),
            ("a message nobody linked", frames::message(0, b"x"), UnknownAlias),
            ("a large message nobody linked", message_head(1 << 20, 3), UnknownAlias),
            ("a GAP nobody linked", frames::gap(5, 1), UnknownAlias),
            ("an END nobody linked", frames::end(16_383), UnknownAlias),
            ("an alias too high", frames::end(16_384), Malformed),
            ("a CREDIT too short", frame(8, &[0, 1]), Malformed),
            ("entries that are not there", frame(5, &[200]), Malformed),
            ("4 billion entries", frame(5, &varint(u32::MAX.into())), Malformed),
            ("a path too long", frames::intent(1, &"a".repeat(64)), Malformed),
            ("a depth of 0", frames::interest(1, "robot.count", 1, 0), Malformed),
            ("a depth too deep", frames::interest(1, "robot.count", 1, (1 << 20) + 1), Malformed),
            ("a delivery of its own", frames::interest(1, "robot.count", 3, 1), Malformed),
            ("a number added twice", [frames::intent(1, "a"), frames::intent(1, "b")].concat(), Malformed),
            ("an interest that never was", frames::linked(1, 999, 0), Malformed),
            ("a NOTIFY of a new kind", frame(7, &[4, 0]), Malformed),
            ("no schema", frame(7, &[2, 1, 0, 0, 1, 0xFF]), Malformed),
        ];
        let kinds = [0x00, 0x0C, 0x0D, 0x0F].into_iter().chain(0x18..=0x1F);
        let unknown = kinds.map(|kind| ("a reserved kind", frame(kind, &[1]), UnknownKind));
        for (offence, bytes, code) in cases.into_iter().chain(unknown) {
            let attacker = scene.attacker();
            attacker.send(&bytes);
            scene.convicts(&attacker, code, offence);
        }
        drop(wanted);
        scene.close();
    });
}

#[test]
fn kinds_of_later_versions_are_skipped() {
    everywhere(|scene| {
        let peer = scene.attacker();
        for kind in 0x10..=0x17 {
            for body in [&[][..], &[0xFF; 5], &[7; 60_000]] {
                peer.send(&frame(kind, body));
            }
        }
        peer.send(&frames::ping(42));
        let echo = peer.wait_for("PONG", |frame| (frame.tag == frames::PONG).then(|| frame.body[0]));
        assert_eq!(echo, 42);
        let links = scene.robot.links();
        let villain =
            links.iter().find(|link| link.peer.path.as_ref().is_some_and(|path| path.as_str() == "villain"));
        assert_eq!(villain.map(|link| link.frames_skipped), Some(24));
        drop(peer);
        assert_eq!(scene.verdict().code(), ReasonCode::Lost);
        scene.close();
    });
}

#[test]
fn a_length_that_lies_takes_no_memory() {
    let _turn = turn();
    let scene = Scene::set(&unused("tcp"), |robot| robot);
    let wanted: Interest<Bytes> = scene.robot.interest("villain.data").expect("interest");
    let attack = |bytes: &[u8]| {
        let attacker = scene.attacker();
        attacker.send(bytes);
        let (_, words) = attacker.bye();
        scene.verdict();
        words
    };
    attack(&head(u32::MAX.into(), 0x20));
    let before = resident();
    forget_peak();
    for _ in 0..20 {
        // 4 GiB, of a message and of a table; and 1 MiB, which is allowed, but of nothing that was linked.
        attack(&head(u32::MAX.into(), 0x20));
        attack(&head(u32::MAX.into(), 5));
        attack(&message_head(1 << 20, 0));
        attack(&frame(5, &varint(4096)));
    }
    let more = peak().saturating_sub(before);
    println!("{} KiB more at the peak", more / 1024);
    assert!(more < 1 << 20, "{} KiB more", more / 1024);
    drop(wanted);
    scene.close();
}

#[test]
fn a_large_message_takes_memory_only_as_it_comes() {
    let _turn = turn();
    const LARGE: usize = 256 << 20;
    let scene = Scene::set(&unused("tcp"), |robot| robot.largest_message(LARGE));
    let wanted: Interest<Bytes> = scene.robot.interest("villain.data").expect("interest");
    let peer = supplier(&scene, 0);
    let before = resident();
    forget_peak();
    peer.send(&[message_head(LARGE as u64, 0), vec![7; 100_000]].concat());
    peer.hang_up();
    assert_eq!(scene.verdict().code(), ReasonCode::Lost);
    let more = peak().saturating_sub(before) / 1024;
    println!("{more} KiB more at the peak");
    assert!(more < 1024, "{more} KiB more at the peak");
    drop(wanted);
    scene.close();
}

#[test]
fn more_routes_than_the_limit_end_the_link() {
    let _turn = turn();
    let scene = Scene::set(&unused("tcp"), |robot| robot);
    let before = resident();
    forget_peak();
    let attacker = scene.attacker();
    for number in 0..=16_384 {
        // It is hung up on at the last one, if not before this is told.
        attacker.try_send(&frames::intent(number, &format!("villain.data.number{number}")));
    }
    scene.convicts(&attacker, ReasonCode::TooManyRoutes, "16,385 intents");
    let more = peak().saturating_sub(before) / 1024;
    println!("{more} KiB more at the peak");
    assert!(more < 40 * 1024, "{more} KiB more at the peak");
    scene.close();
}

#[test]
fn a_stream_cut_anywhere_is_a_lost_link() {
    everywhere(|scene| {
        let bytes = frames::intent(1, "villain.data");
        for end in [0, 1, 2, bytes.len() / 2, bytes.len() - 1] {
            let peer = scene.attacker();
            peer.send(&bytes[..end]);
            peer.hang_up();
            let reason = scene.verdict();
            assert_eq!(reason.code(), ReasonCode::Lost, "cut at {end}: {reason}");
            scene.goes_on();
        }
        scene.close();
    });
}

#[test]
fn a_peer_that_stops_in_the_middle_of_a_frame_falls_silent() {
    let _turn = turn();
    let ping = Duration::from_millis(50);
    let scene = Scene::set(&unused("tcp"), |robot| robot.ping_interval(ping));
    let wanted: Interest<Bytes> = scene.robot.interest("villain.data").expect("interest");
    for large in [false, true] {
        let peer = supplier(&scene, 0);
        let began = Instant::now();
        peer.send(&if large { message_head(1 << 20, 0) } else { head(60, 3) });
        let reason = scene.verdict();
        assert_eq!(reason.code(), ReasonCode::Silent, "{reason}");
        assert!(began.elapsed() < ping * 7 / 2 + LATE, "{:?}", began.elapsed());
        assert_eq!(peer.bye().0, ReasonCode::Silent as u8);
    }
    drop(wanted);
    scene.close();
}

/// An attacker whose intent is linked under an alias to the interest of the robot in `villain.data`.
fn supplier(scene: &Scene, alias: u32) -> RawPeer {
    let peer = RawPeer::dial(scene.url());
    peer.send(&Hello::of("villain").bytes());
    let mut session = 0;
    let number = peer.wait_for("the interest", |frame| {
        if frame.is_final() {
            session = u64::from_le_bytes(frame.body[6..14].try_into().expect("8 bytes"));
            peer.send(&frames::handshake_final(session));
        }
        (frame.tag == frames::INTERESTS).then(|| frame.clone())
    });
    let number = number_of(&number, "villain.data");
    peer.send(&[frames::intent(9, "villain.data"), frames::linked(9, number, alias)].concat());
    peer.wait_for("CREDIT", |frame| (frame.tag == 0x08).then_some(()));
    peer
}

/// The number of the entry with this path: it stands before form, type and path.
fn number_of(table: &frames::Frame, path: &str) -> u32 {
    let entry = [b"\0\x05Bytes".as_slice(), &[path.len() as u8], path.as_bytes()].concat();
    let place = table.body.windows(entry.len()).position(|part| part == entry).expect("it is there");
    assert!(table.body[place - 1] < 0x80, "a number of one byte");
    table.body[place - 1].into()
}

#[test]
fn an_intent_outside_its_own_namespace_ends_the_link() {
    let _turn = turn();
    for scheme in SCHEMES {
        let scene = Scene::set(&unused(scheme), |robot| robot.scope(Scope::Own));
        for path in ["robot.stop", "villainy.data", "vill"] {
            let attacker = scene.attacker();
            attacker.send(&frames::intent(1, path));
            scene.convicts(&attacker, ReasonCode::NoRight, path);
        }
        // Its own are welcome.
        let peer = scene.attacker();
        peer.send(&frames::intent(1, "villain.data"));
        peer.send(&frames::ping(1));
        peer.wait_for("PONG", |frame| (frame.tag == frames::PONG).then_some(()));
        drop(peer);
        scene.close();
    }
}

#[test]
fn more_than_the_credit_granted_ends_the_link() {
    everywhere(|scene| {
        let lossless = InterestSettings::new().lossless(4);
        let wanted: Interest<Bytes> = scene.robot.interest_with("villain.data", lossless).expect("interest");
        let attacker = supplier(&scene, 3);
        let samples: Vec<u8> = (0..5u8).flat_map(|number| frames::message(3, &[number])).collect();
        attacker.send(&[frames::time(1_700_000_000_000_000), samples].concat());
        scene.convicts(&attacker, ReasonCode::NoCredit, "5 samples where 4 were granted");
        for number in 0..4 {
            assert_eq!(&**wanted.recv_timeout(SOON).expect("was granted"), &[number]);
        }
        assert!(wanted.try_recv().is_err());
        assert_eq!(wanted.suppliers(), 0);
        // A large one as well, before memory is taken for it.
        let attacker = supplier(&scene, 0);
        for number in 0..4u8 {
            attacker.send(&frames::message(0, &[number]));
        }
        attacker.send(&message_head(1 << 20, 0));
        scene.convicts(&attacker, ReasonCode::NoCredit, "a large one");
        scene.close();
    });
}

#[test]
fn gaps_past_the_end_of_numbers_end_the_link() {
    const LAST: u64 = 1 << 62;
    everywhere(|scene| {
        let wanted: Interest<Bytes> = scene.robot.interest("villain.data").expect("interest");
        for attack in 1..=5 {
            let attacker = supplier(&scene, 0);
            assert!(wanted.wait_intent(SOON));
            attacker.send(&[frames::gap(0, LAST), frames::message(0, b"last")].concat());
            let last = wanted.recv_timeout(SOON).expect("arrives");
            assert_eq!(last.sequence(), LAST);
            // As many as can be counted.
            assert_eq!(wanted.counts().lost_there, LAST.saturating_mul(attack));
            attacker.send(&frames::gap(0, if attack == 1 { 1 } else { u64::MAX }));
            scene.convicts(&attacker, ReasonCode::Malformed, "a GAP past the last number");
        }
        scene.close();
    });
}

/// An attacker with an interest in `path`, which has alias 0.
fn taker(scene: &Scene, path: &str, delivery: u8, depth: u32) -> RawPeer {
    let peer = scene.attacker();
    peer.send(&frames::interest(1, path, delivery, depth));
    let (_, yours, alias) = peer.wait_for("NOTIFY linked", frames::Frame::linked);
    assert_eq!((yours, alias), (1, 0));
    peer
}

#[test]
fn credit_that_cannot_be_ends_the_link() {
    const NO_LIMIT: u64 = u64::MAX;
    everywhere(|scene| {
        let intent: Intent<Bytes> = scene.robot.intent("robot.data").expect("intent");
        let cases: [(&str, u8, &[[u64; 3]]); 7] = [
            ("a limit that goes back", 2, &[[4, 0, 0], [3, 0, 0]]),
            ("a limit past its depth", 2, &[[9, 0, 0]]),
            ("more taken than was sent", 2, &[[4, 0, 0], [9, 5, 0]]),
            ("more lost than was sent", 1, &[[NO_LIMIT, 0, 0], [NO_LIMIT, 0, 1]]),
            ("all numbers taken", 2, &[[NO_LIMIT, NO_LIMIT, 0]]),
            ("a limit for latest that goes back", 0, &[[NO_LIMIT, 0, 0], [5, 0, 0]]),
            ("losses beyond number", 0, &[[NO_LIMIT, 0, NO_LIMIT]]),
        ];
        for (offence, delivery, credits) in cases {
            let attacker = taker(&scene, "robot.data", delivery, if delivery == 0 { 1 } else { 8 });
            for [limit, taken, lost] in credits {
                attacker.send(&frames::credit(0, *limit, *taken, *lost));
            }
            scene.convicts(&attacker, ReasonCode::Malformed, offence);
            assert_eq!(intent.interested(), 0, "{offence}");
        }
        // For an alias that was never assigned it may be late, and is ignored.
        let peer = scene.attacker();
        peer.send(&[frames::credit(700, 1, 0, 0), frames::ping(1)].concat());
        peer.wait_for("PONG", |frame| (frame.tag == frames::PONG).then_some(()));
        drop(peer);
        scene.close();
    });
}

#[test]
fn garbage_after_a_good_handshake_ends_the_link() {
    everywhere(|scene| {
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..20 {
            let mut bytes = vec![0; 1 << random.u32(6..17)];
            random.fill(&mut bytes);
            let attacker = scene.attacker();
            // It may be hung up on in the middle of it.
            attacker.try_send(&bytes);
            // A tail that no frame can have swallowed whole: all lengths are too large.
            attacker.try_send(&[0xFF; 1 << 17]);
            let (code, words) = attacker.bye();
            let reason = scene.verdict();
            assert_eq!(reason.code() as u8, code, "{reason}; the peer was told {words}");
            assert!(!reason.is_transient(), "{reason}");
        }
        scene.goes_on();
        scene.close();
    });
}

// ---- peers that do not read ---------------------------------------------------------------------

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
    let publisher = publish(intent, 1000, Arc::clone(&end));
    // It says something harmless now and then, for longer than silence is borne.
    let (stop, stopped) = channel::<()>();
    let alive = deaf.connection();
    let speaker = thread::spawn(move || {
        while stopped.recv_timeout(Duration::from_millis(20)) == Err(RecvTimeoutError::Timeout) {
            alive.write(&frame(frames::INTENTS, &[0])).expect("is read");
        }
    });
    let mut worst = Duration::ZERO;
    for _ in 0..40 {
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
    let up = scene.robot.links().iter().filter(|link| link.state == LinkState::Up).count();
    assert_eq!(up, 2);
    deaf.read_on();
    let gap = deaf.wait_for("GAP", |frame| (frame.tag == 0x0A).then(|| frame.body[0]));
    assert_eq!(gap, 0);
    drop(stop);
    speaker.join().expect("speaks");
    drop(deaf);
    scene.close();
}
