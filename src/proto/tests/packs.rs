//! Packed payloads: agreed on for each pair, by both ends and all between them.

use super::*;
use crate::delivery::Delivery;
use crate::path::Path;
use crate::proto::testbed::{declaration, settings};
use crate::proto::{Declaration, IntentId, InterestId, Packing};
use crate::wire::control::{Accept, Control, Entry, Hello, Interest, Notify};
use crate::wire::kind::PACKS;

const IMU: &str = "Imu@robot.mcu.imu";

fn declare(bed: &mut Bed, (supplier, supplies): (usize, bool), (reader, reads): (usize, bool)) {
    let packed = |packs| Declaration { packs, ..declaration(IMU, 1) };
    bed.engines[supplier].declare_intent(bed.now, IntentId(0), packed(supplies), false, false);
    bed.engines[reader].declare_interest(bed.now, InterestId(0), packed(reads), Delivery::Queue(4));
    bed.settle();
}

/// How payloads leave the supplier, pass the relay if there is one, and come to the reader.
fn packing(bed: &Bed) -> (Vec<bool>, Vec<bool>, Vec<Packing>) {
    let (mut out, mut passed, mut came) = (Vec::new(), Vec::new(), Vec::new());
    for action in bed.actions.iter().flatten() {
        match action {
            Action::OpenOutlet { packed, .. } => out.push(*packed),
            Action::OpenRelay { packed, .. } => passed.push(*packed),
            Action::OpenInlet { packing, .. } => came.push(*packing),
            _ => {}
        }
    }
    (out, passed, came)
}

#[test]
fn payloads_are_packed_where_both_want_it() {
    for (supplies, reads) in [(true, true), (true, false), (false, true), (false, false)] {
        let (mut bed, _) = joined();
        declare(&mut bed, (1, supplies), (0, reads));
        let both = supplies && reads;
        let came = if both { Packing::Packed } else { Packing::Plain };
        assert_eq!(packing(&bed), (vec![both], vec![], vec![came]), "{supplies} {reads}");
    }
}

#[test]
fn a_relay_passes_on_that_they_are_wanted_and_that_they_come() {
    for (supplies, reads) in [(true, true), (true, false), (false, true)] {
        let mut relay = settings("gateway", 3);
        relay.relay = vec![Path::parse("robot.mcu").unwrap()];
        let mut bed = Bed::with(vec![settings("desk", 1), settings("robot.mcu", 2), relay]);
        bed.dial(0, "memory://gateway/gateway");
        bed.dial(1, "memory://gateway/gateway");
        declare(&mut bed, (1, supplies), (0, reads));
        let both = supplies && reads;
        let came = if both { Packing::Relayed } else { Packing::Plain };
        assert_eq!(packing(&bed), (vec![both], vec![both], vec![came]), "{supplies} {reads}");
    }
}

/// Has a stranger with these capabilities come up at the first engine, and returns its link.
fn stranger(bed: &mut Bed, capabilities: u32) -> LinkId {
    let link = bed.stranger(0);
    let hello = Hello {
        version_min: 1,
        version_max: 1,
        capabilities,
        instance: [9; 16],
        session: 0,
        scope_own: false,
        joins: false,
        max_frame: 1 << 20,
        ping_millis: 1000,
        clock: bed.now,
        path: Path::parse("stranger").unwrap(),
        expected: None,
    };
    bed.say(0, link, Control::Hello(hello));
    let frames = bed.frames(0);
    let accept = frames.iter().find_map(|(frame, _)| match frame {
        Control::Accept(accept) => Some(*accept),
        _ => None,
    });
    let accept: Accept = accept.expect("it is answered");
    assert_eq!(accept.capabilities, capabilities);
    bed.say(0, link, Control::Accept(accept));
    link
}

#[test]
fn a_peer_that_knows_nothing_of_it_is_not_asked_and_not_believed() {
    let mut bed = Bed::new(&["desk"]);
    let packed = |packs| Declaration { packs, ..declaration(IMU, 1) };
    bed.engines[0].declare_intent(bed.now, IntentId(0), packed(true), false, false);
    bed.engines[0].declare_interest(bed.now, InterestId(0), packed(true), Delivery::Queue(4));
    bed.settle();
    let link = stranger(&mut bed, 0);
    let told = bed.frames(0).into_iter().find_map(|(frame, _)| match frame {
        Control::Interests(entries) => Some(entries),
        _ => None,
    });
    let Some([Entry::Add { item, .. }]) = told.as_deref() else { panic!("{told:?}") };
    assert!(!item.unpacks);
    let item = Interest { unpacks: true, ..item.clone() };
    bed.say(0, link, Control::Interests(vec![Entry::Add { id: 0, item }]));
    assert_eq!(packing(&bed).0, [false]);
}

#[test]
fn a_pair_that_is_packed_unasked_ends_the_link() {
    for (capabilities, reads) in [(0, true), (PACKS, false)] {
        let mut bed = Bed::new(&["desk"]);
        let own = Declaration { packs: reads, ..declaration(IMU, 1) };
        bed.engines[0].declare_interest(bed.now, InterestId(0), own, Delivery::Queue(4));
        bed.settle();
        let link = stranger(&mut bed, capabilities);
        bed.say(0, link, Control::Intents(vec![Entry::Add { id: 0, item: super::hostile::intent(IMU, 1) }]));
        bed.say(0, link, Control::Notify(Notify::Packed { mine: 0, yours: 0, alias: 0 }));
        assert_down(&mut bed, 0, ReasonCode::Malformed, false, "which does not take them so");
    }
}
