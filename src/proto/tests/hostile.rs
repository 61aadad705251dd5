use super::*;
use crate::delivery::Delivery;
use crate::proto::testbed::{declaration, settings};
use crate::route::Route;
use crate::time::Timestamp;
use crate::wire::control::{Accept, Control, Credit, Declared, Entry, Intent, Interest, Notify};

const IMU: &str = "Imu@robot.arm.imu";

fn declared(route: &str, version: u64) -> Declared {
    let declaration = declaration(route, version);
    Declared {
        route: Route::parse(route).unwrap(),
        fingerprint: declaration.schema.fingerprint(),
        codec: declaration.codec.to_owned(),
        lease_millis: 0,
    }
}

pub(super) fn intent(route: &str, version: u64) -> Intent {
    Intent { declared: declared(route, version), exclusive: false, retained: false, relayed: None }
}

fn interest(route: &str, version: u64) -> Interest {
    Interest { declared: declared(route, version), delivery: Delivery::Latest, only: None, unpacks: false }
}

/// What the peer says, and what is answered: the code of the BYE, or nothing.
fn answer(frames: Vec<Control>) -> Option<ReasonCode> {
    let (mut bed, link) = joined();
    bed.frozen.push(1);
    bed.interest(0, 2, IMU, 1);
    bed.intent(0, 2, IMU, 1);
    bed.say(0, link, Control::Intents(vec![Entry::Add { id: 6, item: intent(IMU, 1) }]));
    forget(&mut bed);
    for frame in frames {
        bed.say(0, link, frame);
    }
    let bye = bed.actions[0].iter().find_map(|action| match action {
        Action::HangUp { bye, .. } => bye.clone(),
        _ => None,
    });
    if let Some(bye) = &bye {
        assert_down(&mut bed, 0, bye.code, false, &bye.text);
    }
    bye.map(|bye| bye.code)
}

fn linked(mine: u32, yours: u32, alias: u32) -> Control {
    Control::Notify(Notify::Linked { mine, yours, alias })
}

#[test]
fn what_no_honest_peer_says_ends_the_link_with_a_reason_on_both_sides() {
    let malformed = Some(ReasonCode::Malformed);
    assert_eq!(answer(vec![linked(6, 2, 0)]), None);
    assert_eq!(answer(vec![linked(6, 2, 0), linked(6, 2, 1)]), malformed, "a pair linked twice");
    assert_eq!(answer(vec![linked(6, 2, 0), linked(6, 1, 0)]), malformed, "an alias given twice");
    assert_eq!(answer(vec![linked(6, 3, 0)]), malformed, "an interest that never was");
    assert_eq!(answer(vec![linked(7, 2, 0)]), malformed, "an intent that is not advertised");
    assert_eq!(answer(vec![linked(6, 2, 16_384)]), malformed, "an alias beyond the bound");
    let other = Control::Intents(vec![Entry::Add { id: 7, item: intent(IMU, 2) }]);
    assert_eq!(answer(vec![other, linked(7, 2, 0)]), malformed, "a pair that does not fit");
    let other = Control::Intents(vec![Entry::Add { id: 7, item: intent("Imu@other", 1) }]);
    assert_eq!(answer(vec![other, linked(7, 2, 0)]), malformed, "a pair of two routes");
    assert_eq!(answer(vec![Control::End { alias: 0 }]), Some(ReasonCode::UnknownAlias));
    let twice = Control::Intents(vec![Entry::Add { id: 6, item: intent(IMU, 1) }]);
    assert_eq!(answer(vec![twice]), malformed);
    let update = Control::Interests(vec![Entry::Update { id: 9, item: interest(IMU, 1) }]);
    assert_eq!(answer(vec![update]), malformed);
    assert_eq!(answer(vec![Control::Accept(Accept { version: 1, capabilities: 0, session: 1 })]), malformed);
    let schema = Notify::Schema { supplier: true, mine: 6, yours: 2, schema: vec![0xFF, 0xFE, 0xFD] };
    assert_eq!(answer(vec![Control::Notify(schema)]), malformed);
    let conflict = Notify::Conflict { yours: 3, text: String::new() };
    assert_eq!(answer(vec![Control::Notify(conflict)]), malformed);
}

#[test]
fn what_a_reader_handles_or_a_later_version_says_is_ignored() {
    let credit = Credit { alias: 3, limit: 1, taken: 0, lost: 0 };
    let frames = vec![
        Control::Credit(credit),
        Control::Time(Timestamp::ZERO),
        Control::Gap { alias: 1, count: 1 },
        Control::Unknown { kind: 0x11 },
        Control::Intents(vec![Entry::Remove { id: 99 }]),
    ];
    assert_eq!(answer(frames), None);
}

#[test]
fn a_peer_that_says_a_pair_is_refused_is_believed_only_where_it_is_and_once() {
    let (mut bed, link) = joined();
    bed.frozen.push(1);
    bed.interest(0, 0, IMU, 1);
    bed.say(0, link, Control::Intents(vec![Entry::Add { id: 6, item: intent(IMU, 1) }]));
    forget(&mut bed);
    let refused =
        |yours| Control::Notify(Notify::Refused { supplier: true, mine: 6, yours, text: "no".to_owned() });
    bed.say(0, link, refused(0));
    assert!(bed.events(0).is_empty(), "they fit");
    bed.interest(0, 1, IMU, 2);
    bed.settle();
    forget(&mut bed);
    for _ in 0..100 {
        bed.say(0, link, refused(1));
    }
    let events = bed.events(0);
    assert!(matches!(events.as_slice(), [Event::RouteRefused { .. }]), "{events:?}");
}

#[test]
fn an_updated_declaration_is_linked_anew() {
    let (mut bed, link) = joined();
    bed.frozen.push(1);
    bed.intent(0, 0, IMU, 1);
    bed.say(0, link, Control::Interests(vec![Entry::Add { id: 0, item: interest(IMU, 1) }]));
    assert_eq!(wires(&bed, 0), ["open outlet 0 as 0"]);
    forget(&mut bed);
    bed.say(0, link, Control::Interests(vec![Entry::Update { id: 0, item: interest(IMU, 1) }]));
    assert_eq!(wires(&bed, 0), ["close outlet 0 as 0", "open outlet 0 as 1"]);
}

#[test]
fn more_routes_than_the_limit_end_the_link() {
    let (mut bed, link) = joined();
    let route = |id: u32| format!("Imu@robot.arm.n{id}");
    for batch in 0..17 {
        let entries =
            (batch * 1000..batch * 1000 + 1000).map(|id| Entry::Add { id, item: intent(&route(id), 1) });
        bed.say(0, link, Control::Intents(entries.collect()));
    }
    let words = "`desk` takes at most 16384 intents and interests";
    assert_down(&mut bed, 0, ReasonCode::TooManyRoutes, false, words);
    assert_down(&mut bed, 1, ReasonCode::TooManyRoutes, true, words);
}

#[test]
fn more_pairs_than_the_limit_end_the_link() {
    for version in [1, 2] {
        let mut few = settings("desk", 1);
        few.max_routes_per_peer = 300;
        let mut bed = Bed::with(vec![few, settings("robot.arm", 2)]);
        let link = bed.dial(0, "memory://robot.arm/robot.arm");
        (0..30).for_each(|id| bed.intent(0, id, IMU, 1));
        forget(&mut bed);
        let entries = (0..11).map(|id| Entry::Add { id, item: interest(IMU, version) });
        bed.say(0, link, Control::Interests(entries.collect()));
        assert_down(&mut bed, 0, ReasonCode::TooManyRoutes, false, "at most 300");
    }
}

#[test]
fn a_peer_that_never_confirms_ends_cannot_take_aliases_without_bound() {
    let (mut bed, link) = joined();
    bed.intent(0, 0, IMU, 1);
    bed.settle();
    bed.joined.clear();
    for _ in 0..=16_384 {
        bed.engines[0].control(
            bed.now,
            link,
            Control::Interests(vec![Entry::Add { id: 0, item: interest(IMU, 1) }]),
        );
        while bed.engines[0].poll().is_some() {}
        bed.engines[0].control(bed.now, link, Control::Interests(vec![Entry::Remove { id: 0 }]));
        while bed.engines[0].poll().is_some() {}
    }
    assert_eq!(ups(&bed, 0), 0);
}

#[test]
fn explaining_very_many_differing_schemas_is_paced() {
    let (mut bed, link) = joined();
    bed.interest(0, 0, IMU, 1);
    bed.settle();
    bed.joined.clear();
    forget(&mut bed);
    for batch in 0..16 {
        let entries = (batch * 1000..batch * 1000 + 1000).map(|id| Entry::Add { id, item: intent(IMU, 2) });
        bed.say(0, link, Control::Intents(entries.collect()));
    }
    let bytes = |bed: &mut Bed| {
        let mut bytes = Vec::new();
        for (frame, _) in bed.frames(0) {
            crate::wire::encode(&mut bytes, &frame);
        }
        bytes.len()
    };
    let first = bytes(&mut bed);
    assert!((1000..60_000).contains(&first), "{first}");
    let now = bed.now + seconds(1.0);
    bed.now = now;
    bed.engines[0].tick(now, &|_| now);
    let second = bytes(&mut bed);
    assert!((1000..60_000).contains(&second), "the rest follows: {second}");
}

#[test]
fn a_fault_that_the_reader_finds_is_told_to_the_peer() {
    let (mut bed, link) = joined();
    bed.engines[0].fault(bed.now, link, Reason::new(ReasonCode::FrameTooLarge, "x".repeat(2000)));
    bed.settle();
    assert_down(&mut bed, 1, ReasonCode::FrameTooLarge, true, "xxxx");
    assert_down(&mut bed, 0, ReasonCode::FrameTooLarge, false, "xxxx");
}
