//! Sessions that outlive their links, and several links that carry one in turn.

use super::*;
use crate::peer::PeerUrl;
use crate::proto::carriage::Carriage;
use crate::proto::testbed::settings;
use crate::proto::{EngineSettings, Order};
use crate::wire::control::Control;
use std::sync::Arc;

const LEASE: f64 = 10.0;

fn leased(path: &str, instance: u8) -> EngineSettings {
    EngineSettings { lease: seconds(LEASE), ..settings(path, instance) }
}

fn bed() -> Bed {
    Bed::with(vec![leased("desk", 1), leased("robot.arm", 2)])
}

/// `desk` dialled `robot.arm`, and `robot.arm` supplies what `desk` wants.
fn linked() -> (Bed, LinkId) {
    let mut bed = bed();
    bed.intent(1, 0, "Imu@robot.arm.imu", 1);
    bed.interest(0, 0, "Imu@robot.arm.imu", 1);
    let link = bed.dial(0, "memory://robot.arm/robot.arm");
    assert_eq!(pairs(&bed), (1, 1));
    forget(&mut bed);
    (bed, link)
}

/// `desk` has two links to `robot.arm`.
fn twice() -> (Bed, Vec<LinkId>) {
    twice_with(|_| {})
}

fn twice_with(begin: impl FnOnce(&mut Bed)) -> (Bed, Vec<LinkId>) {
    let mut bed = bed();
    begin(&mut bed);
    for alias in ["ethernet", "serial"] {
        bed.addresses.insert(alias.to_owned(), 1);
    }
    bed.intent(1, 0, "Imu@robot.arm.imu", 1);
    bed.interest(0, 0, "Imu@robot.arm.imu", 1);
    let urls = ["memory://ethernet/robot.arm", "memory://serial/robot.arm"];
    let urls = urls.map(|url| Arc::new(PeerUrl::parse(url).unwrap()));
    let links = bed.engines[0].diallers(bed.now, &urls).into_iter().map(|(link, _)| link).collect();
    bed.settle();
    bed.pass(seconds(1.0));
    (bed, links)
}

/// How many pairs the session of each side has.
fn pairs(bed: &Bed) -> (usize, usize) {
    let of = |place: usize| {
        let sessions = bed.engines[place].sessions.values();
        sessions.map(|session| session.outlets.len() + session.inlets.len()).sum()
    };
    (of(0), of(1))
}

fn state(bed: &Bed, link: LinkId) -> LinkState {
    bed.engines[0].links(bed.now).find(|view| view.id == link).unwrap().state
}

fn resumed(events: &[Event]) -> usize {
    events.iter().filter(|event| matches!(event, Event::SessionResumed { .. })).count()
}

fn tables(frames: &[(Control, Order)]) -> usize {
    let is_table =
        |frame: &Control| matches!(frame, Control::Intents(_) | Control::Interests(_) | Control::Notify(_));
    frames.iter().filter(|(frame, _)| is_table(frame)).count()
}

#[test]
fn a_session_goes_on_over_the_next_connection_and_nothing_is_told_anew() {
    let (mut bed, link) = linked();
    for round in 0..5 {
        bed.cut(0, link);
        assert_eq!(pairs(&bed), (1, 1), "what was linked still is");
        assert_eq!((ups(&bed, 0), ups(&bed, 1)), (0, 0));
        bed.pass(seconds(1.0));
        assert_eq!((ups(&bed, 0), ups(&bed, 1)), (1, 1), "round {round}");
        let frames = [bed.actions[0].clone(), bed.actions[1].clone()].concat();
        let frames: Vec<_> = frames
            .into_iter()
            .filter_map(|action| match action {
                Action::Send { frame, order, .. } => Some((frame, order)),
                _ => None,
            })
            .collect();
        assert_eq!(tables(&frames), 0, "{frames:?}");
        for place in 0..2 {
            let events = bed.events(place);
            assert_eq!(resumed(&events), 1, "{events:?}");
            let unlinked = |event: &Event| {
                matches!(
                    event,
                    Event::RouteUnlinked { .. } | Event::RouteLinked { .. } | Event::SessionEnded { .. }
                )
            };
            assert!(!events.iter().any(unlinked), "{events:?}");
        }
    }
}

#[test]
fn what_is_declared_meanwhile_is_told_once_there_is_a_link() {
    let (mut bed, link) = linked();
    bed.addresses.clear();
    bed.cut(0, link);
    bed.intent(1, 1, "Text@robot.arm.log", 1);
    bed.interest(0, 1, "Text@robot.arm.log", 1);
    bed.engines[0].withdraw_interest(bed.now, crate::proto::InterestId(0));
    bed.pass(seconds(2.0));
    bed.addresses.insert("robot.arm".to_owned(), 1);
    bed.pass(seconds(6.0));
    let routes = |place: usize, link: LinkId| {
        bed.engines[place].pairs(link).into_iter().map(|pair| pair.route.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(routes(0, link), ["Text@robot.arm.log"]);
    let back = *bed.engines[1].sessions.keys().next().unwrap();
    assert_eq!(routes(1, back), ["Text@robot.arm.log"]);
}

#[test]
fn past_the_lease_a_session_is_over_and_both_sides_say_so() {
    let (mut bed, link) = linked();
    bed.addresses.clear();
    bed.cut(0, link);
    bed.pass(seconds(LEASE - 0.1));
    assert_eq!(pairs(&bed), (1, 1));
    bed.pass(seconds(0.2));
    assert_eq!(pairs(&bed), (0, 0));
    for place in 0..2 {
        let events = bed.events(place);
        let text = format!("{events:?}");
        assert!(text.contains("SessionEnded") && text.contains("RouteUnlinked"), "{text}");
        assert!(text.contains("had no link for 10000 ms"), "{text}");
    }
    bed.addresses.insert("robot.arm".to_owned(), 1);
    bed.pass(seconds(6.0));
    assert_eq!(pairs(&bed), (1, 1), "the next one begins as the first did");
    assert_eq!(resumed(&bed.events(0)), 0);
}

#[test]
fn a_peer_that_started_anew_has_another_session_at_once() {
    let (mut bed, link) = linked();
    bed.cut(0, link);
    bed.engines[1] = Engine::new(leased("robot.arm", 3));
    bed.intent(1, 0, "Imu@robot.arm.imu", 1);
    bed.pass(seconds(1.0));
    assert_eq!(pairs(&bed), (1, 1));
    let text = format!("{:?}", bed.events(0));
    assert!(text.contains("SessionEnded") && text.contains("started anew"), "{text}");
    assert!(!text.contains("SessionResumed"), "{text}");
}

#[test]
fn a_dialler_that_started_anew_ends_the_session_that_waits_for_it() {
    let (mut bed, link) = linked();
    bed.cut(0, link);
    bed.engines[0] = Engine::new(leased("desk", 3));
    bed.interest(0, 0, "Imu@robot.arm.imu", 1);
    bed.dial(0, "memory://robot.arm/robot.arm");
    assert_eq!(pairs(&bed), (1, 1));
    let text = format!("{:?}", bed.events(1));
    assert!(text.contains("SessionEnded") && text.contains("started anew"), "{text}");
}

#[test]
fn the_session_of_a_peer_that_started_anew_unnoticed_does_not_wait_for_it() {
    let (mut bed, _) = linked();
    // Its machine lost power: the other side hears nothing of it.
    let back = *bed.engines[1].sessions.keys().next().unwrap();
    let gone = bed.joined.remove(&(1, back)).unwrap();
    bed.joined.remove(&gone);
    bed.engines[0] = Engine::new(leased("desk", 3));
    bed.interest(0, 0, "Imu@robot.arm.imu", 1);
    bed.dial(0, "memory://robot.arm/robot.arm");
    assert_eq!(pairs(&bed), (1, 2), "both seem to be there");
    bed.pass(seconds(5.0));
    assert_eq!((pairs(&bed), bed.engines[1].sessions.len()), ((1, 1), 1));
}

#[test]
fn who_did_not_notice_the_loss_goes_on_all_the_same() {
    for place in 0..2 {
        let (mut bed, link) = linked();
        let back = *bed.engines[1].sessions.keys().next().unwrap();
        let end = [(0, link), (1, back)][place];
        let other = bed.joined.remove(&end).unwrap();
        bed.joined.remove(&other);
        bed.ended(end.0, end.1, "only here");
        bed.pass(seconds(5.0));
        assert_eq!((ups(&bed, 0), ups(&bed, 1)), (1, 1), "noticed by {place}");
        assert_eq!(pairs(&bed), (1, 1));
        assert_eq!((resumed(&bed.events(0)), resumed(&bed.events(1))), (1, 1));
    }
}

#[test]
fn where_both_dial_one_session_goes_on() {
    for (desk, arm) in [(1, 2), (2, 1)] {
        let mut bed = Bed::with(vec![leased("desk", desk), leased("robot.arm", arm)]);
        bed.intent(1, 0, "Imu@robot.arm.imu", 1);
        bed.interest(0, 0, "Imu@robot.arm.imu", 1);
        for (place, url) in ["memory://robot.arm/robot.arm", "memory://desk/desk"].into_iter().enumerate() {
            bed.engines[place].dialler(bed.now, Arc::new(PeerUrl::parse(url).unwrap()));
        }
        bed.pass(seconds(2.0));
        for round in 0..20 {
            let (session, carrier) = bed.engines[0]
                .sessions
                .iter()
                .find_map(|(id, session)| Some((*id, session.carrier()?)))
                .expect("a session that is carried");
            assert!(bed.engines[0].links.contains_key(&carrier));
            bed.cut(0, session);
            bed.pass(seconds(4.0));
            assert_eq!(pairs(&bed), (1, 1), "round {round}");
            assert_eq!(
                (ups(&bed, 0), ups(&bed, 1)),
                (1, 1),
                "round {round}: {:#?}",
                (bed.events(0), bed.events(1))
            );
        }
        let ended = |event: &Event| matches!(event, Event::SessionEnded { .. } | Event::RouteUnlinked { .. });
        assert!(!bed.events(0).iter().any(ended));
        assert!(!bed.events(1).iter().any(ended));
    }
}

#[test]
fn another_link_takes_over_and_gives_back() {
    let (mut bed, links) = twice();
    assert_eq!((state(&bed, links[0]), state(&bed, links[1])), (LinkState::Up, LinkState::StandsBy));
    assert_eq!(pairs(&bed), (1, 1));
    forget(&mut bed);
    bed.addresses.remove("ethernet");
    let session = *bed.engines[0].sessions.keys().next().unwrap();
    bed.cut(0, session);
    assert_eq!((state(&bed, links[0]), state(&bed, links[1])), (LinkState::Down, LinkState::Up), "at once");
    assert_eq!(pairs(&bed), (1, 1));
    assert_eq!((resumed(&bed.events(0)), resumed(&bed.events(1))), (1, 1));
    bed.pass(seconds(20.0));
    bed.addresses.insert("ethernet".to_owned(), 1);
    while state(&bed, links[0]) != LinkState::StandsBy {
        bed.pass(seconds(0.1));
    }
    bed.pass(seconds(2.5));
    assert_eq!((state(&bed, links[0]), state(&bed, links[1])), (LinkState::StandsBy, LinkState::Up));
    bed.pass(seconds(3.0));
    assert_eq!((state(&bed, links[0]), state(&bed, links[1])), (LinkState::Up, LinkState::StandsBy));
    assert_eq!(pairs(&bed), (1, 1));
    bed.pass(seconds(60.0));
    let events = bed.events(0);
    assert_eq!(resumed(&events), 1, "it went back once: {events:?}");
    assert!(!events.iter().any(|event| matches!(event, Event::RouteUnlinked { .. })));
}

#[test]
fn links_of_one_peer_that_lead_to_two_are_told_apart() {
    let mut bed = Bed::with(vec![leased("desk", 1), leased("robot.arm", 2), leased("robot.arm", 3)]);
    bed.addresses.insert("ethernet".to_owned(), 1);
    bed.addresses.insert("serial".to_owned(), 2);
    let urls = ["memory://ethernet/robot.arm", "memory://serial/robot.arm"];
    let urls = urls.map(|url| Arc::new(PeerUrl::parse(url).unwrap()));
    bed.engines[0].diallers(bed.now, &urls);
    bed.pass(seconds(2.0));
    assert_eq!(ups(&bed, 0), 1);
    let wrong = downs(&mut bed, 0).into_iter().find(|reason| reason.code() == ReasonCode::WrongIdentity);
    assert!(wrong.unwrap().text().contains("was declared to lead to the same peer"));
}

#[test]
fn a_peer_that_started_anew_is_had_by_all_links_once_the_dead_one_is_found() {
    let mut bed = Bed::with(vec![leased("desk", 1), leased("robot.arm", 2), leased("robot.arm", 3)]);
    bed.addresses.insert("ethernet".to_owned(), 1);
    bed.addresses.insert("serial".to_owned(), 1);
    let urls = ["memory://ethernet/robot.arm", "memory://serial/robot.arm"];
    let urls = urls.map(|url| Arc::new(PeerUrl::parse(url).unwrap()));
    let links = bed.engines[0].diallers(bed.now, &urls);
    let links: Vec<_> = links.into_iter().map(|(link, _)| link).collect();
    bed.pass(seconds(2.0));
    assert_eq!((state(&bed, links[0]), state(&bed, links[1])), (LinkState::Up, LinkState::StandsBy));
    // The other link is the first to find who it is now.
    bed.addresses.insert("serial".to_owned(), 2);
    let line = bed.engines[0].links[&links[1]].line;
    bed.cut(0, line);
    bed.pass(seconds(2.0));
    let wrong = downs(&mut bed, 0).into_iter().any(|reason| reason.code() == ReasonCode::WrongIdentity);
    assert!(wrong && state(&bed, links[0]) == LinkState::Up);
    bed.addresses.insert("ethernet".to_owned(), 2);
    let session = *bed.engines[0].sessions.keys().next().unwrap();
    bed.cut(0, session);
    bed.pass(seconds(6.0));
    assert_eq!(bed.engines[0].sessions.len(), 1);
    let mut states = [state(&bed, links[0]), state(&bed, links[1])];
    states.sort_by_key(|state| *state == LinkState::StandsBy);
    assert_eq!(states, [LinkState::Up, LinkState::StandsBy]);
}

/// No session ended, and so many times one went on.
fn assert_went_on(bed: &mut Bed, times: usize) {
    for place in 0..2 {
        let events = bed.events(place);
        let ended = |event: &Event| matches!(event, Event::SessionEnded { .. } | Event::RouteUnlinked { .. });
        assert!(!events.iter().any(ended), "{events:?}");
        assert_eq!(resumed(&events), times, "{events:?}");
    }
    assert_eq!(pairs(bed), (1, 1));
    assert_eq!((bed.engines[0].sessions.len(), bed.engines[1].sessions.len()), (1, 1));
}

#[test]
fn a_link_that_was_dialled_before_the_session_began_joins_it() {
    let (mut bed, links) = twice_with(|bed| bed.holds = Some("serial".to_owned()));
    assert_eq!(state(&bed, links[0]), LinkState::Up);
    forget(&mut bed);
    // It is lost before the handshake of the other one is done, which names no session.
    bed.addresses.remove("ethernet");
    let session = *bed.engines[0].sessions.keys().next().unwrap();
    bed.cut(0, session);
    bed.holds = None;
    bed.held.clear();
    bed.pass(seconds(1.0));
    assert_eq!((state(&bed, links[0]), state(&bed, links[1])), (LinkState::Down, LinkState::Up));
    assert_went_on(&mut bed, 1);
}

#[test]
fn a_session_outlives_a_link_on_which_one_side_alone_went_on() {
    let (mut bed, links) = twice();
    forget(&mut bed);
    bed.addresses.clear();
    // What the other side says on the link that takes over does not come.
    let line = bed.engines[0].links[&links[1]].line;
    bed.held.insert((0, line));
    let session = *bed.engines[0].sessions.keys().next().unwrap();
    bed.cut(0, session);
    bed.pass(seconds(1.0));
    assert_eq!((ups(&bed, 0), ups(&bed, 1)), (0, 1));
    bed.pass(seconds(2.0));
    assert_eq!((ups(&bed, 0), ups(&bed, 1)), (0, 0));
    let late = |reason: &Reason| reason.text().contains("heard no RESUME for 2s");
    assert_eq!(downs(&mut bed, 0).iter().find(|reason| late(reason)).unwrap().code(), ReasonCode::Silent);
    bed.addresses.insert("ethernet".to_owned(), 1);
    bed.events(1);
    bed.pass(seconds(6.0));
    assert_eq!(state(&bed, links[0]), LinkState::Up);
    assert_went_on(&mut bed, 1);
}

#[test]
fn a_link_that_has_not_found_a_peer_anew_does_not_keep_others_from_going_on() {
    let (mut bed, links) = twice();
    bed.addresses.remove("ethernet");
    bed.restart(1, leased("robot.arm", 3));
    bed.intent(1, 0, "Imu@robot.arm.imu", 1);
    bed.pass(seconds(6.0));
    assert_eq!(state(&bed, links[1]), LinkState::Up);
    forget(&mut bed);
    let session = bed.engines[0].sessions.iter().find(|(_, session)| session.is_carried());
    let session = *session.expect("one that is carried").0;
    bed.cut(0, session);
    bed.pass(seconds(6.0));
    assert_went_on(&mut bed, 1);
}

#[test]
fn a_session_that_is_anothers_is_not_to_be_had() {
    let (mut bed, _) = linked();
    let number = bed.engines[1].sessions.values().next().unwrap().terms.number;
    let stranger = bed.stranger(1);
    let hello = crate::proto::handshake::tests::hello("robot.base", 9, (1, 1), None);
    let hello = crate::wire::control::Hello { session: number, ..hello };
    forget(&mut bed);
    bed.say(1, stranger, Control::Hello(hello));
    let frames = bed.frames(1);
    let offered = frames.iter().find_map(|(frame, _)| match frame {
        Control::Accept(accept) => Some(accept.session),
        _ => None,
    });
    assert!(offered.is_some_and(|offered| offered != number), "{frames:?}");
    assert_eq!(pairs(&bed), (1, 1));
}

#[test]
fn resume_where_there_is_nothing_to_resume_is_malformed() {
    let (mut bed, link) = linked();
    bed.say(0, link, Control::Resume { received: 0, turn: 1 });
    let reasons = downs(&mut bed, 0);
    assert_eq!(reasons.iter().map(Reason::code).collect::<Vec<_>>(), [ReasonCode::Malformed]);
}

#[test]
fn a_resume_that_was_long_under_way_ends_its_link_alone() {
    let (mut bed, links) = twice();
    // The session goes on, and back.
    for _ in 0..2 {
        let session = *bed.engines[0].sessions.keys().next().unwrap();
        bed.cut(0, session);
        bed.pass(seconds(1.0));
    }
    let turn = bed.engines[0].sessions.values().next().unwrap().their_turn;
    assert!(turn >= 2);
    let (carrier, ready) = match state(&bed, links[0]) {
        LinkState::Up => (links[0], links[1]),
        _ => (links[1], links[0]),
    };
    assert_eq!(state(&bed, ready), LinkState::StandsBy);
    forget(&mut bed);
    let line = bed.engines[0].links[&ready].line;
    bed.say(0, line, Control::Resume { received: 0, turn });
    assert_eq!((state(&bed, carrier), state(&bed, ready)), (LinkState::Up, LinkState::Down));
    let reason = downs(&mut bed, 0).pop().unwrap();
    assert!(reason.code() == ReasonCode::Silent && reason.text().contains("came late"), "{reason}");
    assert_went_on(&mut bed, 0);
}

#[test]
fn a_link_that_stands_by_carries_pings_and_nothing_else() {
    let (mut bed, links) = twice();
    bed.say(0, links[1], Control::End { alias: 0 });
    assert!(matches!(state(&bed, links[1]), LinkState::Down));
    assert_eq!((state(&bed, links[0]), pairs(&bed)), (LinkState::Up, (1, 1)));
    bed.pass(seconds(60.0));
    assert_eq!(state(&bed, links[1]), LinkState::StandsBy);
    let session = bed.engines[0].sessions.values().next().unwrap();
    assert!(matches!(session.carriage, Carriage::By(_)));
}

/// A stranger shakes hands with `place`, and asks to go on with a session. Returns its link.
fn comes(bed: &mut Bed, place: usize, instance: u8, session: u64, joins: bool) -> LinkId {
    let stranger = bed.stranger(place);
    let hello = crate::proto::handshake::tests::hello(&format!("robot.b{instance}"), instance, (1, 1), None);
    let capabilities = crate::proto::handshake::CAPABILITIES;
    let hello = crate::wire::control::Hello { session, joins, capabilities, ..hello };
    bed.actions[place].clear();
    bed.say(place, stranger, Control::Hello(hello));
    let offered = bed.actions[place].iter().find_map(|action| match action {
        Action::Send { frame: Control::Accept(accept), .. } => Some(*accept),
        _ => None,
    });
    if let Some(accept) = offered {
        bed.say(place, stranger, Control::Accept(accept));
    }
    stranger
}

#[test]
fn links_that_stand_by_count_towards_the_limit() {
    let settings = EngineSettings { max_links: 4, ..leased("robot.arm", 2) };
    let mut bed = Bed::with(vec![settings]);
    comes(&mut bed, 0, 9, 0, false);
    let number = bed.engines[0].sessions.values().next().unwrap().terms.number;
    for _ in 0..3 {
        comes(&mut bed, 0, 9, number, true);
    }
    assert_eq!(bed.engines[0].links.len(), 4);
    comes(&mut bed, 0, 9, number, true);
    assert_eq!(bed.engines[0].links.len(), 4);
    let codes: Vec<_> = downs(&mut bed, 0).iter().map(Reason::code).collect();
    assert_eq!(codes, [ReasonCode::TooManyLinks]);
    comes(&mut bed, 0, 9, number, false);
    assert_eq!(bed.engines[0].links.len(), 4, "one that goes on takes the place of the one that carries");
    assert_eq!(ups(&bed, 0), 0);
    bed.engines[0].check();
}

#[test]
fn whoever_comes_and_goes_leaves_no_more_sessions_than_links() {
    let settings = EngineSettings { max_links: 3, ..leased("robot.arm", 2) };
    let mut bed = Bed::with(vec![settings]);
    for instance in 10..20 {
        let link = comes(&mut bed, 0, instance, 0, false);
        bed.ended(0, link, "gone");
        bed.settle();
        bed.engines[0].check();
        bed.now = bed.now + seconds(0.1);
    }
    let left: Vec<_> = bed.engines[0].sessions.values().map(|session| session.instance[0]).collect();
    assert_eq!(left, [17, 18, 19], "those that waited longest are over");
    let number = bed.engines[0].sessions.values().next().unwrap().terms.number;
    let link = comes(&mut bed, 0, 17, number, false);
    bed.say(0, link, Control::Resume { received: 0, turn: 1 });
    assert_eq!((ups(&bed, 0), resumed(&bed.events(0))), (1, 1));
}
