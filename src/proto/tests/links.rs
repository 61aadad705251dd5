use super::*;
use crate::peer::PeerUrl;
use crate::proto::testbed::settings;
use crate::proto::{Action, Engine};
use crate::wire::control::Control;
use std::sync::Arc;

#[test]
fn two_endpoints_that_dial_each_other_at_once_end_with_one_session() {
    for (desk, arm) in [(1, 2), (2, 1)] {
        let mut bed = Bed::with(vec![settings("desk", desk), settings("robot.arm", arm)]);
        bed.intent(0, 0, "Text@a.b", 1);
        bed.interest(1, 0, "Text@a.b", 1);
        let urls = ["memory://robot.arm/robot.arm", "memory://desk/desk"];
        for (place, url) in urls.into_iter().enumerate() {
            bed.engines[place].dialler(bed.now, Arc::new(PeerUrl::parse(url).unwrap()));
        }
        bed.settle();
        assert_eq!((ups(&bed, 0), ups(&bed, 1)), (1, 1), "both see at once which one stays");
        bed.pass(seconds(20.0));
        assert_eq!((ups(&bed, 0), ups(&bed, 1)), (1, 1));
        let dialler = if desk < arm { 0 } else { 1 };
        let kept = bed.engines[dialler].links(bed.now).find(|link| link.state == LinkState::Up).unwrap();
        assert!(kept.dialled, "the smaller instance's link is kept");
        assert_eq!((kept.outlets + kept.inlets, kept.attempt), (1, 0));
        let other = bed.engines[1 - dialler].links(bed.now).find(|link| link.dialled).unwrap();
        assert_eq!(other.state, LinkState::Down);
        let reason = other.reason.unwrap();
        assert_eq!(reason.code(), ReasonCode::Duplicate);
        assert!(reason.text().contains("which is kept"), "{reason}");

        // The other one comes back when the kept link is gone for good.
        forget(&mut bed);
        bed.addresses.remove(urls[dialler].rsplit('/').next().unwrap());
        bed.cut(dialler, kept.id);
        bed.pass(seconds(0.2));
        assert_eq!((ups(&bed, 0), ups(&bed, 1)), (1, 1));
        bed.pass(seconds(20.0));
        assert_eq!((ups(&bed, 0), ups(&bed, 1)), (1, 1));
    }
}

#[test]
fn a_second_way_to_a_peer_waits_until_the_first_is_down() {
    let (mut bed, first) = joined();
    let second = bed.dial(0, "memory://robot.arm/*");
    bed.pass(seconds(20.0));
    let state = |bed: &Bed, id| bed.engines[0].links(bed.now).find(|link| link.id == id).unwrap().state;
    assert_eq!((state(&bed, first), state(&bed, second)), (LinkState::Up, LinkState::Down));
    assert_eq!(ups(&bed, 1), 1);
    assert_eq!(downs(&mut bed, 0).len(), 1, "it does not try in vain again and again");
    bed.cut(0, first);
    bed.pass(seconds(20.0));
    assert_eq!((ups(&bed, 0), ups(&bed, 1)), (1, 1));
}

#[test]
fn a_link_that_is_up_is_not_given_up_for_a_later_one() {
    for (desk, arm) in [(1, 2), (2, 1)] {
        let mut bed = Bed::with(vec![settings("desk", desk), settings("robot.arm", arm)]);
        bed.dial(0, "memory://robot.arm/robot.arm");
        forget(&mut bed);
        bed.dial(1, "memory://desk/desk");
        let told = "have another link, over memory://robot.arm/robot.arm, which is kept";
        assert_down(&mut bed, 0, ReasonCode::Duplicate, false, told);
        bed.pass(seconds(20.0));
        assert_eq!((ups(&bed, 0), ups(&bed, 1)), (1, 1));
        assert_eq!(downs(&mut bed, 1).len(), 1);
    }
}

#[test]
fn a_peer_that_lost_a_link_is_let_in_again_at_once() {
    let (mut bed, _) = joined();
    bed.pass(seconds(5.0));
    forget(&mut bed);
    // Only the dialling side notices that the line broke.
    let dead = bed.engines[1].links(bed.now).next().unwrap().id;
    let link = bed.engines[0].links(bed.now).next().unwrap().id;
    bed.joined.clear();
    bed.engines[0].link_lost(bed.now, link, Reason::new(ReasonCode::Lost, "broke"));
    bed.pass(seconds(0.2));
    assert_eq!((ups(&bed, 0), ups(&bed, 1)), (1, 1));
    assert_ne!(bed.engines[1].links(bed.now).next().unwrap().id, dead);
    assert_down(&mut bed, 1, ReasonCode::Duplicate, false, "which is kept");
}

#[test]
fn an_endpoint_that_dials_itself_is_told_so_and_slows_down() {
    let mut bed = Bed::new(&["desk"]);
    bed.dial(0, "memory://desk");
    let reasons = downs(&mut bed, 0);
    assert_eq!(reasons.len(), 2);
    assert!(reasons.iter().all(|reason| reason.code() == ReasonCode::Duplicate), "{reasons:?}");
    assert!(reasons.iter().all(|reason| reason.text().contains("back to `desk` itself")), "{reasons:?}");
    bed.pass(seconds(60.0));
    assert!(downs(&mut bed, 0).len() <= 2 * 60 / 3);
}

#[test]
fn a_handshake_has_a_deadline_on_both_sides() {
    let mut bed = Bed::new(&["desk", "robot.arm"]);
    bed.frozen.push(1);
    bed.addresses.insert("silent".to_owned(), 1);
    bed.stranger(0);
    bed.pass(seconds(1.9));
    assert!(downs(&mut bed, 0).is_empty());
    bed.pass(seconds(0.2));
    assert_down(&mut bed, 0, ReasonCode::HandshakeTimeout, false, "within 2s");
    assert_eq!(states(&bed, 0), []);

    let mut engine = Engine::new(settings("desk", 1));
    let link = engine.dialler(bed.now, Arc::new(PeerUrl::parse("tcp://10.0.0.2:7400").unwrap()));
    engine.dialled(bed.now, link);
    let due = engine.next_wake().unwrap();
    assert_eq!(due - bed.now, seconds(2.0));
    while engine.poll().is_some() {}
    engine.tick(due, &|_| due);
    let hung_up = std::iter::from_fn(|| engine.poll()).any(|action| match action {
        Action::HangUp { bye: Some(bye), .. } => bye.code == ReasonCode::HandshakeTimeout,
        _ => false,
    });
    assert!(hung_up);
}

#[test]
fn no_common_version_is_told_to_both_in_words() {
    let mut bed = Bed::new(&["desk"]);
    let link = bed.stranger(0);
    let hello = crate::proto::handshake::tests::hello("robot.arm", 9, (2, 5), None);
    forget(&mut bed);
    bed.say(0, link, Control::Hello(hello));
    let words = "`desk` speaks protocol versions 1 to 1, `robot.arm` speaks 2 to 5";
    let frames = bed.frames(0);
    assert!(matches!(&frames[0].0, Control::Hello(hello) if hello.path.as_str() == "desk"), "{frames:?}");
    assert!(matches!(&frames[1].0, Control::Bye(bye) if bye.text.contains(words)), "{frames:?}");

    let link = bed.stranger(0);
    forget(&mut bed);
    let hello = crate::proto::handshake::tests::hello("robot.arm", 9, (2, 5), None);
    bed.say(0, link, Control::Hello(hello));
    assert_down(&mut bed, 0, ReasonCode::Version, false, words);
}

#[test]
fn the_wrong_endpoint_under_an_address_is_told_to_both_in_words() {
    let mut bed = Bed::new(&["desk", "robot.arm"]);
    bed.dial(0, "memory://robot.arm/robot.leg");
    let words = "`desk` expected `robot.leg` at this address, which is that of `robot.arm`";
    for place in 0..2 {
        assert_down(&mut bed, place, ReasonCode::WrongIdentity, false, words);
    }
    bed.pass(seconds(22.0));
    assert!(downs(&mut bed, 0).is_empty(), "what waiting cannot mend is tried slowly");
    // Nor can the network mend it.
    let link = bed.engines[0].links(bed.now).next().unwrap();
    assert!(link.redial_in.is_some_and(|wait| wait < seconds(16.0)), "{link:?}");
    bed.engines[0].way_opened(bed.now, link.id);
    bed.pass(seconds(0.4));
    assert!(downs(&mut bed, 0).is_empty());
    bed.pass(seconds(16.0));
    assert_eq!(downs(&mut bed, 0).len(), 1);
}

#[test]
fn an_expected_path_may_be_left_open() {
    let mut bed = Bed::new(&["desk", "robot.arm"]);
    bed.dial(0, "memory://robot.arm/*");
    assert_eq!((ups(&bed, 0), ups(&bed, 1)), (1, 1));
    let view = bed.engines[0].links(bed.now).next().unwrap();
    assert_eq!(view.peer.to_string(), "robot.arm (memory://robot.arm/*)");
}

#[test]
fn a_peer_that_is_not_there_yet_is_dialled_again_with_bounded_backoff() {
    let mut bed = Bed::new(&["desk", "robot.arm"]);
    bed.addresses.remove("robot.arm");
    bed.dial(0, "memory://robot.arm/robot.arm");
    let mut last = bed.now;
    let (mut attempts, mut gaps) = (1, Vec::new());
    for _ in 0..60_000 {
        bed.pass(Duration::from_millis(10));
        for event in bed.events(0) {
            match event {
                Event::LinkDialling { attempt, .. } => {
                    attempts += 1;
                    if attempts > 2 {
                        assert_eq!(attempt, attempts - 1);
                    }
                    gaps.push(bed.now - last);
                    last = bed.now;
                }
                Event::LinkDown { reason, .. } => assert_eq!(reason.code(), ReasonCode::Unreachable),
                _ => {}
            }
        }
    }
    assert!(gaps.iter().all(|gap| *gap <= Duration::from_millis(6260)), "{gaps:?}");
    assert!((100..200).contains(&gaps.len()), "{}", gaps.len());
    bed.addresses.insert("robot.arm".to_owned(), 1);
    bed.pass(seconds(6.3));
    assert_eq!((ups(&bed, 0), ups(&bed, 1)), (1, 1));
}

#[test]
fn connections_that_say_nothing_are_capped_and_the_oldest_goes() {
    let mut bed = Bed::new(&["desk"]);
    let links: Vec<_> = (0..10_000).map(|_| bed.stranger(0)).collect();
    let view: Vec<_> = bed.engines[0].links(bed.now).map(|link| link.id).collect();
    assert_eq!(view, links[9900..]);
    let reasons = downs(&mut bed, 0);
    assert_eq!(reasons.len(), 9900);
    assert!(reasons.iter().all(|reason| reason.code() == ReasonCode::TooManyLinks));
    assert!(reasons[0].text().contains("at most 100"), "{}", reasons[0]);
}

#[test]
fn links_are_capped_and_the_newest_is_refused() {
    let mut few = settings("desk", 1);
    few.max_links = 2;
    let others = (2..5).map(|n| settings(&format!("other{n}"), n));
    let mut bed = Bed::with(std::iter::once(few).chain(others).collect());
    // Those that did not say who they are do not count.
    for _ in 0..3 {
        bed.stranger(0);
    }
    for place in 1..3 {
        bed.dial(place, "memory://desk/desk");
        assert_eq!(ups(&bed, place), 1);
    }
    forget(&mut bed);
    bed.dial(3, "memory://desk/desk");
    assert_down(&mut bed, 0, ReasonCode::TooManyLinks, false, "at most 2 links");
    assert_down(&mut bed, 3, ReasonCode::TooManyLinks, true, "at most 2 links");
    assert_eq!((ups(&bed, 0), ups(&bed, 3)), (2, 0));
}

#[test]
fn a_peer_that_comes_again_has_its_place() {
    let mut few = settings("desk", 1);
    few.max_links = 1;
    let mut bed = Bed::with(vec![few, settings("robot.arm", 2)]);
    let link = bed.dial(1, "memory://desk/desk");
    // The link is dead, and only its dialler knows yet.
    let other = bed.joined.remove(&(1, link)).unwrap();
    bed.joined.remove(&other);
    bed.engines[1].link_lost(bed.now, link, Reason::new(ReasonCode::Lost, "cut"));
    bed.pass(seconds(0.2));
    assert_eq!((ups(&bed, 0), ups(&bed, 1)), (1, 1));
}

#[test]
fn a_lost_link_comes_back_and_says_what_happened() {
    let (mut bed, link) = joined();
    bed.cut(0, link);
    for place in 0..2 {
        assert_down(&mut bed, place, ReasonCode::Lost, false, "cut");
    }
    bed.pass(seconds(0.2));
    assert_eq!((ups(&bed, 0), ups(&bed, 1)), (1, 1));
}

#[test]
fn closing_says_bye_to_all_and_ends_dialling() {
    let (mut bed, _) = joined();
    bed.dial(0, "memory://nobody");
    forget(&mut bed);
    bed.engines[0].close(bed.now);
    bed.engines[0].close(bed.now);
    bed.settle();
    let closing: Vec<_> = downs(&mut bed, 0).iter().map(Reason::code).collect();
    assert_eq!(closing, [ReasonCode::Closing]);
    assert_down(&mut bed, 1, ReasonCode::Closing, true, "`desk` closes");
    assert_eq!(bed.engines[0].next_wake(), None);
    bed.stranger(0);
    assert_down(&mut bed, 0, ReasonCode::Closing, false, "`desk` closes");
    bed.pass(seconds(30.0));
    assert!(bed.events(0).is_empty());
    assert_eq!(ups(&bed, 1), 0);
}

#[test]
fn a_dial_that_succeeds_after_closing_is_hung_up() {
    let mut engine = Engine::new(settings("desk", 1));
    let now = crate::time::Timestamp::from_micros(1);
    let link = engine.dialler(now, Arc::new(PeerUrl::parse("tcp://10.0.0.2:7400").unwrap()));
    engine.close(now);
    let actions: Vec<_> = std::iter::from_fn(|| engine.poll()).collect();
    assert!(actions.iter().any(|action| matches!(action, Action::HangUp { .. })), "cancels the attempt");
    engine.dialled(now, link);
    assert!(matches!(engine.poll(), Some(Action::HangUp { bye: None, .. })));
}

#[test]
fn a_way_that_opens_is_dialled_at_once_and_the_waits_begin_anew() {
    let mut bed = Bed::new(&["desk", "robot.arm"]);
    bed.frozen.push(1);
    let link = bed.dial(0, "memory://robot.arm/robot.arm");
    bed.pass(seconds(30.0));
    let waits = bed.engines[0].links(bed.now).next().unwrap();
    assert!(waits.attempt > 5 && waits.redial_in.is_some(), "{waits:?}");
    assert!(bed.actions[0].iter().any(|action| matches!(action, Action::Watch { link: id } if *id == link)));
    forget(&mut bed);
    bed.engines[0].way_opened(bed.now, link);
    bed.pass(seconds(0.1));
    assert!(!downs(&mut bed, 0).is_empty(), "at most the shortest wait");
    bed.pass(seconds(0.5));
    assert!(!downs(&mut bed, 0).is_empty(), "the next waits are short again");
    bed.frozen.clear();
    bed.engines[0].way_opened(bed.now, link);
    bed.pass(seconds(0.1));
    assert_eq!(ups(&bed, 0), 1);
    // To a link that is up it means nothing.
    forget(&mut bed);
    bed.engines[0].way_opened(bed.now, link);
    bed.pass(seconds(0.5));
    assert!(
        bed.actions[0].iter().all(|action| !matches!(action, Action::Dial { .. } | Action::HangUp { .. }))
    );
}
