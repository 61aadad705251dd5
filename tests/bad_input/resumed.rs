//! Peers that go on with sessions as none should.

use super::*;

/// An attacker whose session can go on, and its number.
fn resuming(scene: &Scene) -> (RawPeer, u64) {
    let (peer, session) = RawPeer::shake_hands(scene.url(), &Hello::resuming("villain", 0));
    await_ping(&peer);
    (peer, session)
}

/// The same, once its link is lost.
fn waiting(scene: &Scene) -> u64 {
    let (peer, session) = resuming(scene);
    lose(scene, &peer);
    session
}

fn lose(scene: &Scene, peer: &RawPeer) {
    peer.hang_up();
    let reason = scene.verdict();
    assert_eq!(reason.code(), ReasonCode::Lost, "{reason}");
}

/// Asks to go on with a session, which is granted.
fn going_on(scene: &Scene, session: u64, joins: bool) -> RawPeer {
    let hello = Hello { joins, ..Hello::resuming("villain", session) };
    let (peer, found) = RawPeer::shake_hands(scene.url(), &hello);
    assert_eq!(found, session, "the session is another");
    peer
}

fn await_ping(peer: &RawPeer) {
    peer.wait_for("PING", |frame| (frame.tag == frames::PING).then_some(()));
}

/// Whether a link still carries its session: its PING is answered.
fn is_well(peer: &RawPeer) {
    peer.send(&frames::ping(1));
    peer.wait_for("PONG", |frame| (frame.tag == frames::PONG).then_some(()));
}

/// Goes on with the session as is right: of the robot's frames none came.
fn resumes(scene: &Scene, session: u64) {
    let peer = going_on(scene, session, false);
    peer.send(&frames::resume(0));
    let received = peer.wait_for("RESUME", |frame| frame.number(frames::RESUME));
    assert_eq!(received, 0, "nothing was said that is counted");
    peer.wait_for("what is kept", |frame| (frame.tag == frames::INTENTS).then_some(()));
    scene.next_event("SessionResumed", |event| matches!(event, Event::SessionResumed { .. }).then_some(()));
    lose(scene, &peer);
}

#[test]
fn a_session_is_its_own_instances_alone() {
    everywhere(|scene| {
        let session = waiting(&scene);
        let (thief, number) = RawPeer::shake_hands(scene.url(), &Hello::resuming("thief", session));
        assert_ne!(number, session, "the thief has the session");
        await_ping(&thief);
        is_well(&thief);
        resumes(&scene, session);
        is_well(&thief);
        let carried = going_on(&scene, session, false);
        carried.send(&frames::resume(0));
        await_ping(&carried);
        let joins = Hello { joins: true, ..Hello::resuming("thief2", session) };
        let (other, number) = RawPeer::shake_hands(scene.url(), &joins);
        assert_ne!(number, session, "the thief has the session");
        await_ping(&other);
        is_well(&carried);
        scene.close();
    });
}

#[test]
fn what_is_wrong_in_a_resume_ends_the_session() {
    everywhere(|scene| {
        let cases: [(&str, Vec<u8>, &str); 3] = [
            (
                "more than was sent",
                frames::resume(1 << 40),
                "1099511627776 control frames are said to have come",
            ),
            (
                "more than there can be",
                frames::resume(u64::MAX),
                "control frames are said to have come: 0 to",
            ),
            ("twice", [frames::resume(0), frames::resume(0)].concat(), "RESUME came on a link that is up"),
        ];
        for (offence, bytes, words) in cases {
            let session = waiting(&scene);
            let attacker = going_on(&scene, session, false);
            attacker.send(&bytes);
            convicts(&scene, &attacker, offence, words);
            let (next, number) = RawPeer::shake_hands(scene.url(), &Hello::resuming("villain", session));
            assert_ne!(number, session, "{offence}: the session is over");
            await_ping(&next);
            lose(&scene, &next);
        }
        scene.close();
    });
}

#[test]
fn what_is_known_to_have_come_is_not_sent_again() {
    everywhere(|scene| {
        let (attacker, session) = resuming(&scene);
        let mark = attacker.wait_for("MARK", |frame| frame.number(frames::MARK));
        attacker.send(&frames::marked(mark));
        lose(&scene, &attacker);
        let attacker = going_on(&scene, session, false);
        attacker.send(&frames::resume(0));
        convicts(&scene, &attacker, "fewer than were marked", "0 control frames are said to have come");
        scene.close();
    });
}

#[test]
fn marks_that_never_were_end_the_link() {
    everywhere(|scene| {
        for (number, offence) in [(0, "mark 0"), (99, "mark 99"), (u64::MAX, "mark 18446744073709551615")] {
            let (attacker, _) = resuming(&scene);
            attacker.send(&frames::marked(number));
            convicts(&scene, &attacker, offence, offence);
        }
        scene.close();
    });
}

#[test]
fn a_link_that_stands_by_takes_pings_and_little_else() {
    everywhere(|scene| {
        let (carrier, session) = resuming(&scene);
        let cases = [
            ("INTENTS", frame(frames::INTENTS, &[0])),
            ("CREDIT", frames::credit(0, 1, 0, 0)),
            ("TIME", frames::time(1)),
            ("GAP", frames::gap(0, 1)),
            ("STALLED", frames::stalled(0, 1)),
            ("END", frames::end(0)),
            ("AT", frames::at(0, 1)),
            ("MARK", frames::mark(1)),
            ("MARKED", frames::marked(1)),
            ("HANDSHAKE", frames::handshake_final_with(session, frames::RESUMES)),
            ("a sample", frames::message(0, b"x")),
        ];
        for (offence, bytes) in cases {
            let attacker = going_on(&scene, session, true);
            await_ping(&attacker);
            is_well(&attacker);
            attacker.send(&bytes);
            convicts(&scene, &attacker, offence, &format!("{offence} came on a link that stands by"));
            is_well(&carrier);
        }
        scene.close();
    });
}

#[test]
fn a_session_that_is_half_asked_for_goes_on() {
    let _turn = turn();
    let deadline = Duration::from_millis(200);
    let scene = Scene::set(&unused("tcp"), |robot| robot.handshake_deadline(deadline));
    let (carrier, session) = resuming(&scene);
    let half = RawPeer::dial(scene.url());
    half.send(&Hello::resuming("villain", session).bytes());
    scene.convicts(&half, ReasonCode::HandshakeTimeout, "no final");
    is_well(&carrier);
    // With the final the robot lets go of the other link, but waits for the RESUME no longer than that.
    let silent = going_on(&scene, session, false);
    carrier.wait_end();
    assert_eq!(scene.verdict().code(), ReasonCode::Lost);
    scene.convicts(&silent, ReasonCode::Silent, "no RESUME");
    resumes(&scene, session);
    scene.close();
}

#[test]
fn a_peer_that_answers_no_marks_costs_what_was_set() {
    let _turn = turn();
    const SIZE: usize = 16 * 1024;
    for scheme in SCHEMES {
        // It says nothing for long on a busy machine.
        let scene = Scene::set(&unused(scheme), |robot| robot.ping_interval(SOON));
        let intent: Intent<Bytes> = scene.robot.intent("robot.data").expect("intent");
        let honest = scene.honest_interest("robot.data", InterestSettings::new().queue(64));
        assert!(intent.wait_interest(SOON));
        let (mute, _) = resuming(&scene);
        mute.send(&frames::interest(1, "robot.data", 1, 64));
        mute.wait_for("NOTIFY linked", frames::Frame::linked);
        mute.send(&frames::credit(0, u64::MAX, 0, 0));
        let sample = Bytes::from(vec![7; SIZE]);
        // Until nothing more is taken for it.
        let (mut sent, mut replaced) = (0, 0);
        let (before, deadline) = (resident(), Instant::now() + SOON);
        forget_peak();
        while replaced < 1000 && Instant::now() < deadline {
            let outcome = intent.send(sample.clone()).expect("sends");
            replaced += u64::from(outcome.worst() == bowline::Fate::Replaced);
            sent += 1;
            honest.recv_timeout(SOON).expect("flows");
        }
        let more = peak().saturating_sub(before);
        println!("{scheme}: {sent} sent, {replaced} replaced, {} KiB more", more / 1024);
        assert_eq!(replaced, 1000, "it was never full");
        assert!(more < KEPT, "{} KiB more", more / 1024);
        let (mut samples, mut last) = (0, 0);
        while let Some(frame) = mute.next(Duration::from_millis(100)) {
            samples += usize::from(frame.tag == frames::MESSAGE);
            last = frame.number(frames::MARK).unwrap_or(last);
        }
        assert!(samples * SIZE <= UNMARKED + 2 * SIZE, "{samples} samples came unmarked");
        // All of it came after all: more does.
        mute.send(&frames::marked(last));
        mute.wait_for("a sample", |frame| (frame.tag == frames::MESSAGE).then_some(()));
        scene.close();
    }
}

/// What is sent before a mark must be answered: two of the largest frames it takes.
const UNMARKED: usize = 2 << 20;

/// What a peer that answers no marks costs: so much is kept, 256 KiB wait, as much is in the making, and in memory
/// connections and mailboxes; and some slack.
const KEPT: usize = 5 << 20;

#[test]
fn a_peer_that_goes_on_again_and_again_leaves_nothing_behind() {
    let _turn = turn();
    let scene = Scene::set(&unused("tcp"), |robot| robot);
    let (_, address) = scene.url().split_once("://").expect("a URL");
    let session = waiting(&scene);
    let before = (threads().len(), descriptors(), resident());
    let all = [
        Hello::resuming("villain", session).bytes(),
        frames::handshake_final_with(session, frames::RESUMES),
        frames::resume(0),
    ];
    for round in 0..ROUNDS {
        let connection = Tcp.dial(address, SOON, &Cancel::default()).expect("connects");
        let mut bytes = &all.concat()[..];
        while let Ok(count @ 1..) = connection.write(bytes) {
            bytes = &bytes[count..];
        }
        connection.close();
        if round % 100 == 99 {
            scene.goes_on();
            while scene.robot.events().try_recv().is_some() {}
        }
    }
    assert!(eventually(SOON, || threads().len() <= before.0 + 2), "{:?}, {} before", threads(), before.0);
    assert!(eventually(SOON, || descriptors() <= before.1 + 2), "{} descriptors", descriptors());
    let more = resident().saturating_sub(before.2);
    println!("{} KiB more", more / 1024);
    assert!(more < ROUNDS * LEFT, "{} KiB more", more / 1024);
    while scene.robot.events().try_recv().is_some() {}
    resumes(&scene, session);
    scene.close();
}

/// How often the peer goes on, and what it may leave in memory each time, as the allocator has it: a line with its
/// buffers, and what is kept for it, are far larger.
const ROUNDS: usize = 1000;
const LEFT: usize = 16 * 1024;

/// As Malformed, in these words among others.
fn convicts(scene: &Scene, attacker: &RawPeer, offence: &str, words: &str) {
    let (code, text) = attacker.bye();
    assert_eq!(code, ReasonCode::Malformed as u8, "{offence}: {text}");
    assert!(text.contains(words), "{offence}: {text}");
    let verdict = scene.verdict();
    assert_eq!((verdict.code(), verdict.text()), (ReasonCode::Malformed, text.as_str()), "{offence}");
    assert!(!verdict.is_by_peer(), "{offence}: {verdict}");
    scene.goes_on();
}
