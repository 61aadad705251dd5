//! On a link that is up.

use super::*;

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
            ("a STALLED nobody linked", frames::stalled(5, 1), UnknownAlias),
            ("a STALLED too short", frame(0x14, &[0]), Malformed),
            ("a RESUME too short", frame(0x10, &[]), Malformed),
            ("an AT too short", frame(0x11, &[0]), Malformed),
            ("an AT of nothing", frame(0x11, &[5, 0]), UnknownAlias),
            (
                "an AT past the last number",
                frame(0x11, &[&[5][..], &varint((1 << 62) + 1)].concat()),
                Malformed,
            ),
            ("a MARK too short", frame(0x12, &[]), Malformed),
            ("a MARKED too short", frame(0x15, &[]), Malformed),
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
        let kinds = [0x00, 0x0C, 0x0F].into_iter().chain(0x18..=0x1F);
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
        for kind in [0x13, 0x17] {
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
        assert_eq!(villain.map(|link| link.frames_skipped), Some(6));
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
    // The threads of a few links that are about to end, and no more.
    assert!(more < 4 << 20, "{} KiB more", more / 1024);
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
    assert!(more < 4096, "{more} KiB more at the peak");
    drop(wanted);
    scene.close();
}

#[test]
fn pieces_that_do_not_fit_end_the_link() {
    use ReasonCode::{FrameTooLarge, Malformed, UnknownAlias};
    let first = |alias: u32, left: u64, bytes: &[u8]| {
        let head = [varint(alias.into()), vec![0], varint(left), vec![0, 0]].concat();
        frame(0x0D, &[&head[..], bytes].concat())
    };
    let more = |alias: u32, left: u64, bytes: &[u8]| {
        frame(0x0D, &[&[varint(alias.into()), vec![1], varint(left)].concat()[..], bytes].concat())
    };
    everywhere(|scene| {
        let wanted: Interest<Bytes> = scene.robot.interest("villain.data").expect("interest");
        let begun = first(0, 1000, b"abc");
        let cases: Vec<(&str, Vec<u8>, ReasonCode)> = vec![
            ("a piece of what never began", more(0, 10, b"abc"), Malformed),
            ("a piece nobody linked", first(7, 10, b"abc"), UnknownAlias),
            ("4 GiB in pieces", first(0, u32::MAX.into(), b"abc"), FrameTooLarge),
            ("more than is taken, in pieces", first(0, 1 << 20, &[0; 100]), FrameTooLarge),
            ("an empty piece", first(0, 10, b""), Malformed),
            ("a piece of no part", frame(0x0D, &[0, 2, 0, 1]), Malformed),
            ("a beginning within a sample", [begun.clone(), begun.clone()].concat(), Malformed),
            ("a piece that repeats", [begun.clone(), more(0, 1000, b"abc")].concat(), Malformed),
            ("a piece that overlaps", [begun.clone(), more(0, 998, b"abc")].concat(), Malformed),
            ("a piece that skips", [begun.clone(), more(0, 1, b"abc")].concat(), Malformed),
            ("pieces past the end", [begun.clone(), more(0, 0, &[0; 1001])].concat(), Malformed),
            ("a message within a sample", [begun.clone(), frames::message(0, b"x")].concat(), Malformed),
            (
                "a piece of what was given up",
                [begun.clone(), frames::gap(0, 1), more(0, 997, b"abc")].concat(),
                Malformed,
            ),
            ("an END within a sample", [begun, frames::end(0)].concat(), Malformed),
        ];
        for (offence, bytes, code) in cases {
            let attacker = supplier(&scene, 0);
            attacker.send(&bytes);
            scene.convicts(&attacker, code, offence);
        }
        // In order it comes whole, cut anywhere.
        let peer = supplier(&scene, 0);
        // One that is given up is as if it had not come, but for its number.
        peer.send(&[first(0, 9, b"no"), more(0, 4, b"never"), frames::gap(0, 1)].concat());
        let pieces = [first(0, 5, b"ab"), more(0, 4, b"c"), frames::ping(1), more(0, 0, b"defg")].concat();
        pieces.chunks(5).for_each(|part| peer.send(part));
        assert_eq!(&**wanted.recv_timeout(SOON).expect("it is whole"), b"abcdefg");
        drop((wanted, peer));
        scene.verdict();
        scene.close();
    });
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
pub fn supplier(scene: &Scene, alias: u32) -> RawPeer {
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

#[test]
fn credit_that_cannot_be_ends_the_link() {
    const NO_LIMIT: u64 = u64::MAX;
    everywhere(|scene| {
        let intent: Intent<Bytes> = scene.robot.intent("robot.data").expect("intent");
        let cases: [(&str, u8, &[[u64; 3]]); 8] = [
            ("a limit that goes back", 2, &[[4, 0, 0], [3, 0, 0]]),
            ("a limit past its depth", 2, &[[9, 0, 0]]),
            ("more taken than was sent", 2, &[[4, 0, 0], [9, 5, 0]]),
            ("more lost than was sent", 1, &[[NO_LIMIT, 0, 0], [NO_LIMIT, 0, 1]]),
            ("taken again", 2, &[[4, 0, 0], [5, 1, 0]]),
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

/// A supplier may cut its reader off and tell what that missed, as often as it likes: each costs it a frame.
#[test]
fn stalls_and_gaps_without_end_cost_no_more_than_frames() {
    const TIMES: u64 = 2000;
    everywhere(|scene| {
        let lossless = InterestSettings::new().lossless(4);
        let wanted: Interest<Bytes> = scene.robot.interest_with("villain.data", lossless).expect("interest");
        let attacker = supplier(&scene, 0);
        for _ in 0..TIMES {
            attacker.send(&[frames::stalled(0, u64::MAX), frames::gap(0, 3)].concat());
            // What is missing needs no credit, which goes on behind it.
            attacker.wait_for("CREDIT", |frame| (frame.tag == 8).then_some(()));
        }
        let samples: Vec<u8> = (0..4u8).flat_map(|number| frames::message(0, &[number])).collect();
        attacker.send(&[frames::time(1_700_000_000_000_000), samples].concat());
        for number in 0..4 {
            let sample = wanted.recv_timeout(SOON).expect("was granted");
            assert_eq!((&**sample, sample.sequence()), (&[number][..], 3 * TIMES + u64::from(number)));
        }
        assert_eq!(wanted.counts().lost_there, 3 * TIMES);
        scene.goes_on();
        drop(attacker);
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
