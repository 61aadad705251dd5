use super::*;
use crate::event::Refusal;
use crate::peer::Scope;
use crate::proto::testbed::{declaration, settings};
use crate::wire::control::{Control, Declared, Entry, Intent, Interest};

/// `desk` and `robot.arm`, joined, with scope own wished by the side that `by` names.
fn own(by: &str) -> Bed {
    let mut all = vec![settings("desk", 1), settings("robot.arm", 2)];
    match by {
        "desk" => all[0].scope = Scope::Own,
        "robot.arm" => all[1].scope = Scope::Own,
        _ => {}
    }
    let mut bed = Bed::with(all);
    bed.dial(
        0,
        if by == "url" { "memory://robot.arm/robot.arm?scope=own" } else { "memory://robot.arm/robot.arm" },
    );
    forget(&mut bed);
    bed
}

fn no_rights(bed: &mut Bed, place: usize) -> Vec<String> {
    let events = bed.events(place).into_iter();
    let refused = events.filter_map(|event| match event {
        Event::RouteRefused { refusal: Refusal::NoRight(text), .. } => Some(text),
        _ => None,
    });
    refused.collect()
}

fn offered(bed: &mut Bed, place: usize) -> usize {
    let frames = bed.frames(place).into_iter();
    frames.filter(|(frame, _)| matches!(frame, Control::Intents(_) | Control::Interests(_))).count()
}

#[test]
fn scope_own_rules_the_link_whoever_wishes_it() {
    for by in ["desk", "robot.arm", "url"] {
        let mut bed = own(by);
        // Under the supplier's own path: linked.
        bed.intent(1, 0, "Imu@robot.arm.imu", 1);
        bed.interest(0, 0, "Imu@robot.arm.imu", 1);
        bed.settle();
        assert_eq!(wires(&bed, 0), ["open inlet 0 as 0"], "wished by {by}");
        // Not under it: neither offered, nor asked for, nor linked; and said.
        forget(&mut bed);
        bed.interest(0, 1, "Imu@robot.arm2.imu", 1);
        assert_eq!(offered(&mut bed, 0), 0);
        bed.intent(1, 1, "Imu@robot.arm2.imu", 1);
        let told = no_rights(&mut bed, 1);
        assert_eq!(told.len(), 1);
        assert!(
            told[0]
                .contains("`robot.arm` may supply only routes under `robot.arm`, and `Imu@robot.arm2.imu`")
        );
        assert!(told[0].contains("set scope open"), "{}", told[0]);
        assert_eq!(wires(&bed, 0), [] as [&str; 0]);
    }
    let mut bed = own("nobody");
    bed.intent(1, 1, "Imu@robot.arm2.imu", 1);
    bed.interest(0, 1, "Imu@robot.arm2.imu", 1);
    bed.settle();
    assert_eq!(wires(&bed, 0), ["open inlet 1 as 0"]);
}

#[test]
fn an_intent_that_is_kept_back_is_told_once_across_redials() {
    let mut bed = own("desk");
    let link = bed.engines[0].links(bed.now).next().unwrap().id;
    bed.intent(0, 0, "Imu@robot.arm.imu", 1);
    assert_eq!(no_rights(&mut bed, 0).len(), 1);
    bed.cut(0, link);
    bed.pass(seconds(5.0));
    assert_eq!(ups(&bed, 0), 1);
    assert!(no_rights(&mut bed, 0).is_empty());
}

#[test]
fn a_url_can_open_what_the_settings_close() {
    let mut closed = settings("desk", 1);
    closed.scope = Scope::Own;
    let mut bed = Bed::with(vec![closed, settings("robot.arm", 2)]);
    bed.dial(0, "memory://robot.arm/robot.arm?scope=open");
    bed.interest(0, 0, "Imu@anywhere", 1);
    bed.intent(1, 0, "Imu@anywhere", 1);
    bed.settle();
    assert_eq!(wires(&bed, 0), ["open inlet 0 as 0"]);
}

#[test]
fn a_peer_that_offers_what_it_has_no_right_to_is_hung_up_and_told() {
    let mut bed = own("desk");
    let link = bed.engines[0].links(bed.now).next().unwrap().id;
    let wanted = declaration("Imu@robot.leg.imu", 1);
    let declared = Declared {
        route: wanted.route.clone(),
        fingerprint: wanted.schema.fingerprint(),
        codec: wanted.codec.to_owned(),
        lease_millis: 0,
    };
    let item = Intent { declared: declared.clone(), exclusive: false, retained: false, relayed: None };
    bed.say(0, link, Control::Intents(vec![Entry::Add { id: 0, item }]));
    let words =
        "scope own: `robot.arm` may supply only routes under `robot.arm`, and advertised `Imu@robot.leg.imu`";
    assert_down(&mut bed, 0, ReasonCode::NoRight, false, words);
    assert_down(&mut bed, 1, ReasonCode::NoRight, true, words);

    // An interest in what this side has no right to supply is not served.
    let mut bed = own("desk");
    let link = bed.engines[0].links(bed.now).next().unwrap().id;
    bed.intent(0, 0, "Imu@robot.leg.imu", 1);
    forget(&mut bed);
    let item = Interest { declared, delivery: crate::delivery::Delivery::Latest, only: None, unpacks: false };
    bed.say(0, link, Control::Interests(vec![Entry::Add { id: 0, item }]));
    assert_eq!(wires(&bed, 0), [] as [&str; 0]);
}
