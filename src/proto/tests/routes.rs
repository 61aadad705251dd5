use super::*;
use crate::delivery::Delivery;
use crate::event::{Refusal, Side};
use crate::proto::testbed::declaration;
use crate::proto::{IntentId, InterestId, Order};
use crate::route::Route;
use crate::wire::control::{Control, Entry, Notify};

const IMU: &str = "Imu@robot.arm.imu";

fn linked(bed: &mut Bed, place: usize) -> Vec<(String, Option<String>, Side)> {
    let events = bed.events(place).into_iter();
    let linked = events.filter_map(|event| match event {
        Event::RouteLinked { route, peer, supplier } => {
            Some((route.to_string(), peer.and_then(|peer| peer.path).map(|path| path.to_string()), supplier))
        }
        _ => None,
    });
    linked.collect()
}

fn unlinked(bed: &mut Bed, place: usize) -> Vec<(String, Side)> {
    let events = bed.events(place).into_iter();
    let unlinked = events.filter_map(|event| match event {
        Event::RouteUnlinked { route, supplier, .. } => Some((route.to_string(), supplier)),
        _ => None,
    });
    unlinked.collect()
}

fn refusals(bed: &mut Bed, place: usize) -> Vec<(String, Refusal)> {
    let events = bed.events(place).into_iter();
    let refused = events.filter_map(|event| match event {
        Event::RouteRefused { route, refusal, .. } => Some((route.to_string(), refusal)),
        _ => None,
    });
    refused.collect()
}

#[test]
fn equal_routes_are_linked_whichever_comes_first() {
    for order in 0..3 {
        let (mut bed, _) = joined();
        if order == 0 {
            bed.interest(0, 4, IMU, 1);
            bed.settle();
        }
        bed.intent(1, 9, IMU, 1);
        if order == 1 {
            bed.settle();
        }
        if order != 0 {
            bed.interest(0, 4, IMU, 1);
        }
        bed.settle();
        assert_eq!(wires(&bed, 0), ["open inlet 4 as 0"]);
        assert_eq!(wires(&bed, 1), ["open outlet 9 as 0"]);
        assert_eq!(linked(&mut bed, 0), [(IMU.to_owned(), Some("robot.arm".to_owned()), Side::There)]);
        assert_eq!(linked(&mut bed, 1), [(IMU.to_owned(), Some("desk".to_owned()), Side::Here)]);
        let pairs = bed.engines[1].pairs(bed.engines[1].links(bed.now).next().unwrap().id);
        assert_eq!((pairs[0].intent, pairs[0].interest, pairs[0].alias), (9, 4, 0));
    }
}

/// The credit that answers the notice may be there before the driver does the next action.
#[test]
fn an_outlet_is_open_before_the_peer_hears_of_it() {
    let (mut bed, _) = joined();
    bed.interest(0, 4, IMU, 1);
    bed.intent(1, 9, IMU, 1);
    bed.settle();
    let opened = bed.actions[1].iter().position(|action| matches!(action, Action::OpenOutlet { .. }));
    let told = bed.actions[1].iter().position(|action| {
        matches!(action, Action::Send { frame: Control::Notify(Notify::Linked { .. }), .. })
    });
    assert!(opened.is_some() && opened < told, "{opened:?}, {told:?}");
}

#[test]
fn a_hashed_route_is_linked_to_its_like_only() {
    let (mut bed, _) = joined();
    let plain = Route::parse(IMU).unwrap();
    let hashed = plain.hashed(&crate::path::Path::parse("robot").unwrap()).unwrap().to_string();
    bed.interest(0, 0, &hashed, 1);
    bed.interest(0, 1, IMU, 1);
    bed.intent(1, 0, &hashed, 1);
    bed.settle();
    assert_eq!(wires(&bed, 0), ["open inlet 0 as 0"]);
}

#[test]
fn many_intents_and_many_interests_of_a_route_are_all_linked_once() {
    let (mut bed, _) = joined();
    for id in 0..3 {
        bed.interest(0, id, IMU, 1);
        bed.intent(1, id, IMU, 1);
    }
    bed.settle();
    let mut opened = wires(&bed, 0);
    opened.sort();
    assert_eq!(opened.len(), 9);
    opened.dedup();
    assert_eq!(opened.len(), 9);
    assert_eq!(wires(&bed, 1).len(), 9);
}

#[test]
fn within_an_endpoint_they_are_linked_without_a_line() {
    let mut bed = Bed::new(&["desk"]);
    bed.intent(0, 0, IMU, 1);
    bed.interest(0, 0, IMU, 1);
    bed.settle();
    assert_eq!(wires(&bed, 0), ["link 0 to 0"]);
    assert_eq!(linked(&mut bed, 0), [(IMU.to_owned(), None, Side::Here)]);
    assert_eq!(bed.engines[0].local_pairs().count(), 1);
    bed.engines[0].withdraw_interest(bed.now, InterestId(0));
    bed.settle();
    assert_eq!(wires(&bed, 0), ["unlink 0 from 0"]);
    assert_eq!(unlinked(&mut bed, 0), [(IMU.to_owned(), Side::Here)]);
    bed.engines[0].withdraw_intent(bed.now, IntentId(0));
    bed.settle();
    assert!(bed.actions[0].is_empty());
}

#[test]
fn a_withdrawn_intent_is_told_to_its_interests() {
    let (mut bed, _) = joined();
    bed.interest(0, 0, IMU, 1);
    bed.intent(1, 0, IMU, 1);
    forget(&mut bed);
    bed.engines[1].withdraw_intent(bed.now, IntentId(0));
    bed.settle();
    assert_eq!(wires(&bed, 1), ["close outlet 0 as 0"]);
    assert_eq!(wires(&bed, 0), ["close inlet 0"]);
    assert_eq!(unlinked(&mut bed, 0), [(IMU.to_owned(), Side::There)]);
    let removed = Control::Intents(vec![Entry::Remove { id: 0 }]);
    assert!(bed.frames(1).contains(&(removed, Order::InLine)), "behind its last samples");
    assert_eq!(bed.engines[0].links(bed.now).next().unwrap().their_intents, 0);
}

#[test]
fn a_withdrawn_interest_is_told_to_its_intents_and_drains() {
    let (mut bed, _) = joined();
    bed.interest(0, 0, IMU, 1);
    bed.intent(1, 0, IMU, 1);
    forget(&mut bed);
    bed.frozen.push(1);
    bed.engines[0].withdraw_interest(bed.now, InterestId(0));
    bed.settle();
    assert_eq!(wires(&bed, 0), ["drain inlet 0"]);
    assert_eq!(bed.engines[0].links(bed.now).next().unwrap().inlets, 0);
    bed.frozen.clear();
    bed.settle();
    assert_eq!(wires(&bed, 0), ["drain inlet 0", "close inlet 0"]);
    assert_eq!(wires(&bed, 1), ["close outlet 0 as 0"]);
    assert_eq!(unlinked(&mut bed, 0), [(IMU.to_owned(), Side::There)]);
    assert_eq!(unlinked(&mut bed, 1), [(IMU.to_owned(), Side::Here)]);
}

#[test]
fn an_interest_withdrawn_while_it_is_being_linked_drains() {
    let (mut bed, _) = joined();
    bed.interest(0, 0, IMU, 1);
    bed.settle();
    bed.frozen.push(0);
    bed.intent(1, 0, IMU, 1);
    forget(&mut bed);
    bed.engines[0].withdraw_interest(bed.now, InterestId(0));
    bed.frozen.clear();
    bed.settle();
    assert_eq!(wires(&bed, 0), ["drain inlet 0", "close inlet 0"]);
    assert_eq!(ups(&bed, 0), 1);
    assert!(linked(&mut bed, 0).is_empty());
}

#[test]
fn what_is_declared_and_withdrawn_at_once_is_never_told() {
    let (mut bed, _) = joined();
    bed.intent(0, 0, IMU, 1);
    bed.engines[0].withdraw_intent(bed.now, IntentId(0));
    bed.interest(0, 0, IMU, 1);
    bed.engines[0].withdraw_interest(bed.now, InterestId(0));
    bed.settle();
    assert!(bed.actions[0].is_empty(), "{:?}", bed.actions[0]);
}

#[test]
fn a_lost_link_unlinks_all_its_routes() {
    let (mut bed, link) = joined();
    bed.interest(0, 0, IMU, 1);
    bed.intent(1, 0, IMU, 1);
    forget(&mut bed);
    bed.cut(0, link);
    let told = bed.actions[0].iter().any(|action| matches!(action, Action::HangUp { bye: None, .. }));
    assert!(told, "the driver drops outlets and inlets on HangUp");
    assert_eq!(unlinked(&mut bed, 0), [(IMU.to_owned(), Side::There)]);
    assert_eq!(unlinked(&mut bed, 1), [(IMU.to_owned(), Side::Here)]);
    bed.pass(seconds(1.0));
    assert_eq!(linked(&mut bed, 0).len(), 1);
}

#[test]
fn an_alias_is_given_again_only_after_the_peer_is_past_its_end() {
    let (mut bed, _) = joined();
    bed.interest(0, 0, IMU, 1);
    bed.intent(1, 0, IMU, 1);
    bed.settle();
    bed.frozen.push(0);
    bed.engines[1].withdraw_intent(bed.now, IntentId(0));
    forget(&mut bed);
    bed.intent(1, 1, IMU, 1);
    bed.settle();
    assert_eq!(wires(&bed, 1), ["open outlet 1 as 1"], "the END of alias 0 is still under way");
    bed.frozen.clear();
    bed.settle();
    bed.intent(1, 2, IMU, 1);
    bed.settle();
    assert_eq!(wires(&bed, 1)[1..], ["open outlet 2 as 0"]);
    assert_eq!(ups(&bed, 0), 1);
}

#[test]
fn differing_schemas_are_named_on_both_sides() {
    let (mut bed, _) = joined();
    bed.interest(0, 0, IMU, 1);
    bed.intent(1, 0, IMU, 2);
    bed.settle();
    assert_eq!(wires(&bed, 0), [] as [&str; 0]);
    let ours = declaration(IMU, 1).schema;
    let theirs = declaration(IMU, 2).schema;
    let desk = Refusal::Schema(ours.difference(&theirs).unwrap());
    let arm = Refusal::Schema(theirs.difference(&ours).unwrap());
    assert_eq!(refusals(&mut bed, 0), [(IMU.to_owned(), desk)]);
    assert_eq!(refusals(&mut bed, 1), [(IMU.to_owned(), arm)]);
}

#[test]
fn differing_schemas_within_an_endpoint_are_named() {
    let mut bed = Bed::new(&["desk"]);
    bed.interest(0, 0, IMU, 1);
    bed.intent(0, 0, IMU, 2);
    assert!(matches!(refusals(&mut bed, 0).as_slice(), [(_, Refusal::Schema(_))]));
}

#[test]
fn differing_codecs_are_named_on_both_sides() {
    let (mut bed, _) = joined();
    bed.interest(0, 0, IMU, 1);
    let mut other = declaration(IMU, 1);
    other.codec = "json";
    bed.engines[1].declare_intent(bed.now, IntentId(0), other, false, false);
    bed.settle();
    let codec =
        |ours: &str, theirs: &str| Refusal::Codec { ours: ours.to_owned(), theirs: theirs.to_owned() };
    assert_eq!(refusals(&mut bed, 0), [(IMU.to_owned(), codec("bincode2", "json"))]);
    assert_eq!(refusals(&mut bed, 1), [(IMU.to_owned(), codec("json", "bincode2"))]);
}

#[test]
fn another_type_under_the_same_path_is_told_to_both() {
    let wrong = |bed: &mut Bed, place| {
        let events = bed.events(place).into_iter();
        let wrong = events.filter_map(|event| match event {
            Event::WrongType { ours, theirs, peer } => {
                Some((ours.to_string(), theirs.to_string(), peer.is_some()))
            }
            _ => None,
        });
        wrong.collect::<Vec<_>>()
    };
    let pose = "Pose@robot.arm.imu";
    for first in 0..2 {
        let (mut bed, _) = joined();
        for turn in [first, 1 - first] {
            match turn {
                0 => (0..2).for_each(|id| bed.interest(0, id, IMU, 1)),
                _ => (0..2).for_each(|id| bed.intent(1, id, pose, 1)),
            }
            bed.settle();
        }
        assert_eq!(wrong(&mut bed, 0), [(IMU.to_owned(), pose.to_owned(), true)], "once, not per pair");
        assert_eq!(wrong(&mut bed, 1), [(pose.to_owned(), IMU.to_owned(), true)]);
    }
    let mut bed = Bed::new(&["desk"]);
    bed.intent(0, 0, pose, 1);
    bed.interest(0, 0, IMU, 1);
    assert_eq!(wrong(&mut bed, 0), [(IMU.to_owned(), pose.to_owned(), false)]);
}

fn conflicts(bed: &mut Bed, place: usize) -> Vec<(Option<String>, String)> {
    let events = bed.events(place).into_iter();
    let conflicts = events.filter_map(|event| match event {
        Event::Conflict { peer, text, .. } => {
            Some((peer.and_then(|peer| peer.path).map(|path| path.to_string()), text))
        }
        _ => None,
    });
    conflicts.collect()
}

#[test]
fn a_second_supplier_of_a_claimed_route_is_told_to_both() {
    for claims in [(true, false), (false, true), (true, true)] {
        let (mut bed, _) = joined();
        bed.engines[0].declare_intent(bed.now, IntentId(0), declaration(IMU, 1), claims.0, false);
        bed.engines[1].declare_intent(bed.now, IntentId(0), declaration(IMU, 1), claims.1, false);
        let (desk, arm) = (conflicts(&mut bed, 0), conflicts(&mut bed, 1));
        assert_eq!((desk.len(), arm.len()), (1, 1), "{desk:?} {arm:?}");
        assert_eq!(desk[0].0.as_deref(), Some("robot.arm"));
        assert_eq!(arm[0].0.as_deref(), Some("desk"));
        assert!(desk[0].1.contains("claim") && desk[0].1.contains("desk") && desk[0].1.contains("robot.arm"));
        assert!(arm[0].1.contains(IMU));
    }
    let (mut bed, _) = joined();
    bed.intent(0, 0, IMU, 1);
    bed.intent(1, 0, IMU, 1);
    assert!(conflicts(&mut bed, 0).is_empty(), "fan-in is no conflict");
}

#[test]
fn suppliers_without_a_link_to_each_other_are_told_by_who_wants_their_route() {
    for interest_first in [true, false] {
        let mut bed = Bed::new(&["desk", "a", "b"]);
        bed.dial(0, "memory://a/a");
        bed.dial(0, "memory://b/b");
        if interest_first {
            bed.interest(0, 0, IMU, 1);
        }
        bed.settle();
        bed.engines[1].declare_intent(bed.now, IntentId(0), declaration(IMU, 1), true, false);
        bed.settle();
        bed.intent(2, 0, IMU, 1);
        bed.settle();
        if !interest_first {
            assert!(conflicts(&mut bed, 0).is_empty(), "it is none of its business");
            bed.interest(0, 0, IMU, 1);
        }
        let text = format!("`a` claims `{IMU}` as its own, and `b` supplies it too");
        assert_eq!(conflicts(&mut bed, 0), [(Some("a".to_owned()), text.clone())]);
        assert_eq!(conflicts(&mut bed, 1), [(Some("desk".to_owned()), text.clone())]);
        assert_eq!(conflicts(&mut bed, 2), [(Some("desk".to_owned()), text)]);
    }
}

#[test]
fn ten_thousand_routes_are_told_in_few_frames_and_linked() {
    let mut bed = Bed::new(&["desk", "robot.arm"]);
    for id in 0..10_000 {
        bed.intent(1, id, &format!("Imu@robot.arm.imu.n{id}"), 1);
        if id % 2 == 0 {
            bed.interest(0, id, &format!("Imu@robot.arm.imu.n{id}"), 1);
        }
    }
    let started = std::time::Instant::now();
    bed.dial(0, "memory://robot.arm/robot.arm");
    assert_eq!(wires(&bed, 0).len(), 5000);
    let frames = bed.frames(1);
    let tables = frames.iter().filter(|(frame, _)| matches!(frame, Control::Intents(_))).count();
    assert!(tables <= 12, "{tables}");
    for (frame, _) in &frames {
        let mut bytes = Vec::new();
        crate::wire::encode(&mut bytes, frame);
        assert!(bytes.len() <= 65_536);
    }
    // One more is O(log n), not O(n).
    let declared = std::time::Instant::now();
    for id in 10_000..10_100 {
        bed.interest(0, id, &format!("Imu@robot.arm.imu.n{}", id - 9_999), 1);
        while let Some(action) = bed.engines[0].poll() {
            bed.actions[0].push(action);
        }
    }
    assert!(declared.elapsed() < (started.elapsed() / 4).max(seconds(0.1)), "{:?}", declared.elapsed());
}

#[test]
fn notices_that_cross_a_withdrawal_are_harmless() {
    let (mut bed, link) = joined();
    bed.interest(0, 3, IMU, 1);
    bed.engines[0].declare_intent(bed.now, IntentId(3), declaration(IMU, 1), false, false);
    bed.settle();
    bed.engines[0].withdraw_interest(bed.now, InterestId(3));
    bed.engines[0].withdraw_intent(bed.now, IntentId(3));
    forget(&mut bed);
    let schema = declaration(IMU, 2).schema.encode();
    for supplier in [true, false] {
        let notify = Notify::Schema { supplier, mine: 1, yours: 3, schema: schema.clone() };
        bed.say(0, link, Control::Notify(notify));
        let notify = Notify::Refused { supplier, mine: 1, yours: 3, text: "no".to_owned() };
        bed.say(0, link, Control::Notify(notify));
    }
    bed.say(0, link, Control::Notify(Notify::Conflict { yours: 3, text: "no".to_owned() }));
    bed.say(0, link, Control::Notify(Notify::Linked { mine: 1, yours: 3, alias: 5 }));
    assert_eq!(wires(&bed, 0), ["drain inlet 5"]);
    assert_eq!(ups(&bed, 0), 1);
    assert!(bed.events(0).is_empty());
}

#[test]
fn the_delivery_that_the_interest_asks_reaches_the_intent() {
    let (mut bed, _) = joined();
    bed.engines[0].declare_interest(bed.now, InterestId(0), declaration(IMU, 1), Delivery::Lossless(5));
    bed.intent(1, 0, IMU, 1);
    bed.settle();
    let opened = bed.actions[1].iter().find_map(|action| match action {
        Action::OpenOutlet { delivery, .. } => Some(*delivery),
        _ => None,
    });
    assert_eq!(opened, Some(Delivery::Lossless(5)));
}
