//! Two sides that do not fit together are told so, both of them, in words.

mod support;

use bowline::{
    Bytes, CodecError, Endpoint, EndpointBuilder, Error, Event, Intent, IntentSettings, Interest,
    InterestSettings, Message, Payload, Refusal, Schema, SchemaError, Scope,
};
use std::time::Duration;
use support::tap::Tap;
use support::{Kind, MOMENT, SOON, Watch, dial, pair, pair_with, until, url};

each_link!(
    a_field_that_differs_is_named_on_both_sides,
    stated_versions_are_compared_instead_of_shapes,
    codecs_that_differ_are_named_on_both_sides,
    another_type_under_the_same_path_is_told_to_both_sides,
    a_route_claimed_by_one_and_supplied_by_another_is_a_conflict_for_both,
    a_peer_supplies_only_what_is_its_own_where_either_side_wishes_so,
);

/// The program of last year.
mod old {
    #[derive(serde::Serialize, serde::Deserialize, Clone, Debug, Default)]
    pub struct Imu {
        pub gyro: [f32; 3],
        pub temperature: f32,
    }
}

/// The program of today.
mod new {
    #[derive(serde::Serialize, serde::Deserialize, Clone, Debug, Default)]
    pub struct Imu {
        pub gyro: [f32; 3],
        pub temperature: f64,
    }
}

fn refusal(endpoint: &Endpoint) -> (String, Option<String>, Refusal) {
    Watch::new(endpoint).find(|event| match event {
        Event::RouteRefused { route, peer, refusal } => {
            let path = peer.as_ref().and_then(|peer| peer.path.as_ref()).map(ToString::to_string);
            Some((route.to_string(), path, refusal.clone()))
        }
        _ => None,
    })
}

fn a_field_that_differs_is_named_on_both_sides(kind: Kind) {
    let pair = pair(kind);
    let intent: Intent<new::Imu> = pair.robot.intent("robot.imu").expect("intent");
    let interest: Interest<old::Imu> = pair.desk.interest("robot.imu").expect("interest");
    for (endpoint, other, here, there) in
        [(&pair.robot, "desk", "f64", "f32"), (&pair.desk, "robot", "f32", "f64")]
    {
        let (route, peer, refusal) = refusal(endpoint);
        assert_eq!((route.as_str(), peer.as_deref()), ("Imu@robot.imu", Some(other)));
        let Refusal::Schema(text) = &refusal else { panic!("{refusal:?}") };
        for word in ["temperature", &format!("{here} here"), &format!("{there} there")] {
            assert!(text.contains(word), "`{word}` is not in {text:?}");
        }
        assert!(refusal.to_string().contains("temperature"));
    }
    assert!(!intent.wait_interest(Duration::ZERO));
    assert_eq!((intent.send(new::Imu::default()).expect("nobody").taken(), interest.suppliers()), (0, 0));
    // The right type is linked next to the wrong one.
    let other = dial("other", &pair.robot);
    let right: Interest<new::Imu> = other.interest("robot.imu").expect("interest");
    assert!(intent.wait_interest(SOON));
    intent.send(new::Imu { temperature: 21.5, ..Default::default() }).expect("sends");
    assert_eq!(right.recv_timeout(SOON).expect("arrives").temperature, 21.5);
    assert!(interest.try_recv().is_err());
}

fn stated_versions_are_compared_instead_of_shapes(kind: Kind) {
    let pair = pair(kind);
    let stated = |version| IntentSettings::new().schema_version(version);
    let wanted = |version| InterestSettings::new().schema_version(version);
    let same: Intent<old::Imu> = pair.robot.intent_with("robot.same", stated(3)).expect("intent");
    let _same: Interest<old::Imu> = pair.desk.interest_with("robot.same", wanted(3)).expect("interest");
    assert!(same.wait_interest(SOON));
    let other: Intent<old::Imu> = pair.robot.intent_with("robot.other", stated(3)).expect("intent");
    let _other: Interest<old::Imu> = pair.desk.interest_with("robot.other", wanted(4)).expect("interest");
    for (endpoint, here, there) in [(&pair.robot, "3", "4"), (&pair.desk, "4", "3")] {
        let (route, _, refusal) = refusal(endpoint);
        let Refusal::Schema(text) = refusal else { panic!("{refusal:?}") };
        assert_eq!(route, "Imu@robot.other");
        assert!(text.contains(here) && text.contains(there), "{text}");
    }
    // One that states a version and one that does not are no match either.
    let traced: Interest<old::Imu> = pair.desk.interest("robot.half").expect("interest");
    let half: Intent<old::Imu> = pair.robot.intent_with("robot.half", stated(1)).expect("intent");
    assert!(matches!(refusal(&pair.desk).2, Refusal::Schema(text) if text.contains('1')));
    assert!(matches!(refusal(&pair.robot).2, Refusal::Schema(text) if text.contains('1')));
    assert_eq!((half.interested(), traced.suppliers(), other.interested()), (0, 0, 0));
}

/// The same type, written as text.
struct Text(f64);

impl Message for Text {
    const CODEC: &'static str = "ascii";

    fn schema() -> Result<Schema, SchemaError> {
        Schema::versioned("Value", 1)
    }

    fn encode(&self, out: &mut Vec<u8>) -> Result<(), CodecError> {
        out.extend_from_slice(self.0.to_string().as_bytes());
        Ok(())
    }

    fn decode(payload: Payload<'_>) -> Result<Self, CodecError> {
        let text = std::str::from_utf8(payload.as_slice()).map_err(CodecError::new)?;
        text.parse().map(Text).map_err(CodecError::new)
    }
}

fn codecs_that_differ_are_named_on_both_sides(kind: Kind) {
    let pair = pair(kind);
    let intent: Intent<Text> = pair.robot.intent("robot.value").expect("intent");
    let settings = || InterestSettings::new().type_name("Value").schema_version(1);
    let interest: Interest<f64> = pair.desk.interest_with("robot.value", settings()).expect("interest");
    for (endpoint, here, there) in [(&pair.robot, "ascii", "bincode-2"), (&pair.desk, "bincode-2", "ascii")] {
        let (route, _, refusal) = refusal(endpoint);
        assert_eq!(route, "Value@robot.value");
        assert!(refusal.to_string().contains(here) && refusal.to_string().contains(there), "{refusal}");
        assert_eq!(refusal, Refusal::Codec { ours: here.to_owned(), theirs: there.to_owned() });
    }
    // In one endpoint too.
    let _here: Interest<f64> = pair.robot.interest_with("robot.value", settings()).expect("interest");
    let (_, peer, refusal) = refusal(&pair.robot);
    assert_eq!((peer, refusal), (None, Refusal::Codec { ours: "ascii".into(), theirs: "bincode-2".into() }));
    assert_eq!((intent.interested(), interest.suppliers()), (0, 0));
    let right: Interest<Text> = pair.desk.interest("robot.value").expect("interest");
    assert!(intent.wait_interest(SOON));
    intent.send(Text(1.5)).expect("sends");
    assert_eq!(right.recv_timeout(SOON).expect("arrives").0, 1.5);
}

fn another_type_under_the_same_path_is_told_to_both_sides(kind: Kind) {
    let pair = pair(kind);
    let _intent: Intent<f64> = pair.robot.intent("robot.speed").expect("intent");
    let _interest: Interest<f32> = pair.desk.interest("robot.speed").expect("interest");
    for (endpoint, here, there) in [
        (&pair.robot, "f64@robot.speed", "f32@robot.speed"),
        (&pair.desk, "f32@robot.speed", "f64@robot.speed"),
    ] {
        let found = Watch::new(endpoint).find(|event| match event {
            Event::WrongType { ours, theirs, peer } => {
                Some((ours.to_string(), theirs.to_string(), peer.is_some()))
            }
            _ => None,
        });
        assert_eq!(found, (here.to_owned(), there.to_owned(), true));
    }
    let _here: Interest<u8> = pair.robot.interest("robot.speed").expect("interest");
    let peer = Watch::new(&pair.robot).find(|event| match event {
        Event::WrongType { ours, theirs, peer } => Some((ours.to_string(), theirs.to_string(), peer.clone())),
        _ => None,
    });
    assert_eq!(peer, ("u8@robot.speed".to_owned(), "f64@robot.speed".to_owned(), None));
}

fn conflict(endpoint: &Endpoint) -> (String, String) {
    Watch::new(endpoint).find(|event| match event {
        Event::Conflict { route, text, .. } => Some((route.to_string(), text.clone())),
        _ => None,
    })
}

fn a_route_claimed_by_one_and_supplied_by_another_is_a_conflict_for_both(kind: Kind) {
    let pair = pair(kind);
    let claims = || IntentSettings::new().exclusive();
    let owner: Intent<f64> = pair.robot.intent_with("shared.target", claims()).expect("intent");
    let other: Intent<f64> = pair.desk.intent("shared.target").expect("intent");
    for endpoint in [&pair.robot, &pair.desk] {
        let (route, text) = conflict(endpoint);
        assert_eq!(route, "f64@shared.target");
        assert!(text.contains("`robot`") && text.contains("`desk`"), "{text}");
    }
    // It is told, and not enforced: samples flow all the same.
    let want: Interest<f64> = pair.robot.interest("shared.target").expect("interest");
    assert!(owner.wait_interest(SOON) && other.wait_interest(SOON));
    owner.send(1.0).expect("sends");
    other.send(2.0).expect("sends");
    let mut got: Vec<_> = (0..2).map(|_| *want.recv_timeout(SOON).expect("arrives")).collect();
    got.sort_by(f64::total_cmp);
    assert_eq!(got, [1.0, 2.0]);
    let _second: Intent<f64> = pair.robot.intent("shared.target").expect("intent");
    assert!(conflict(&pair.robot).1.contains("shared.target"), "in one endpoint too");
}

/// Two suppliers without a link to each other are told by the one that wants the route.
#[test]
fn suppliers_that_do_not_know_each_other_are_told_of_their_conflict() {
    let pair = pair(Kind::Tcp);
    let arm = dial("arm", &pair.robot);
    let _want: Interest<f64> = pair.robot.interest("shared.target").expect("interest");
    let _one: Intent<f64> =
        pair.desk.intent_with("shared.target", IntentSettings::new().exclusive()).expect("intent");
    let _two: Intent<f64> = arm.intent("shared.target").expect("intent");
    for endpoint in [&*pair.desk, &arm, &*pair.robot] {
        let (route, text) = conflict(endpoint);
        assert_eq!(route, "f64@shared.target");
        assert!(text.contains("`desk`") && text.contains("`arm`"), "{text}");
    }
}

fn a_peer_supplies_only_what_is_its_own_where_either_side_wishes_so(kind: Kind) {
    let own = |builder: EndpointBuilder| builder.scope(Scope::Own);
    let open = |builder: EndpointBuilder| builder;
    for (robot, desk) in [(true, false), (false, true), (true, true)] {
        let pair = pair_with(kind, if robot { own } else { open }, if desk { own } else { open });
        let mine: Intent<u8> = pair.robot.intent("robot.mine").expect("intent");
        let theirs: Intent<u8> = pair.robot.intent("robots.theirs").expect("intent");
        let mine_wanted: Interest<u8> = pair.desk.interest("robot.mine").expect("interest");
        let _theirs_wanted: Interest<u8> = pair.desk.interest("robots.theirs").expect("interest");
        assert!(mine.wait_interest(SOON), "what is under its path is linked");
        mine.send(1).expect("sends");
        assert_eq!(*mine_wanted.recv_timeout(SOON).expect("arrives"), 1);
        let (route, peer, refusal) = refusal(&pair.robot);
        assert_eq!((route.as_str(), peer.as_deref()), ("u8@robots.theirs", Some("desk")));
        let Refusal::NoRight(text) = refusal else { panic!("{refusal:?}") };
        assert!(text.contains("robots.theirs") && text.contains("`robot`"), "rule and way out: {text}");
        assert_eq!(theirs.interested(), 0);
        let here: Interest<u8> = pair.robot.interest("robots.theirs").expect("interest");
        assert!(theirs.wait_interest(SOON), "in its own endpoint it is free");
        theirs.send(2).expect("sends");
        assert_eq!(*here.recv_timeout(SOON).expect("arrives"), 2);
    }
}

#[test]
fn a_scope_can_be_wished_for_one_peer_and_what_it_may_not_supply_is_not_even_asked_for() {
    let tap = Tap::default();
    let robot =
        Endpoint::builder("robot").transport(tap.clone()).listen("tap://scope").start().expect("starts");
    let dialled = format!("{}?scope=own", url(&robot));
    let desk = Endpoint::builder("desk").transport(tap.clone()).connect(dialled).start().expect("starts");
    let _hidden: Interest<u8> = desk.interest("warehouse.plan").expect("interest");
    let asked: Interest<u8> = desk.interest("robot.state").expect("interest");
    let state: Intent<u8> = robot.intent("robot.state").expect("intent");
    assert!(state.wait_interest(SOON) && asked.wait_intent(SOON));
    assert!(contains(&tap.dialler_sent(), b"robot.state"));
    assert!(!contains(&tap.dialler_sent(), b"warehouse"));
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

#[test]
fn a_hashed_route_is_linked_and_its_names_never_cross_the_line() {
    let tap = Tap::default();
    let robot =
        Endpoint::builder("robot").transport(tap.clone()).listen("tap://hashed").start().expect("starts");
    let desk = Endpoint::builder("desk").transport(tap.clone()).connect(url(&robot)).start().expect("starts");
    let path = "robot.secret.place";
    let settings = IntentSettings::new().hashed("robot").type_name("Hidden");
    let intent: Intent<f64> = robot.intent_with(path, settings.clone()).expect("intent");
    let wanted = InterestSettings::new().hashed("robot").type_name("Hidden");
    let interest: Interest<f64> = desk.interest_with(path, wanted.clone()).expect("interest");
    assert!(intent.wait_interest(SOON));
    intent.send(1.5).expect("sends");
    let sample = interest.recv_timeout(SOON).expect("arrives");
    assert_eq!(*sample, 1.5);
    assert!(sample.route().is_hashed() && sample.route().to_string().starts_with("robot#"));
    // Plain, or hidden by another prefix, it is another route.
    let _plain: Interest<f64> = desk.interest("robot.other").expect("interest");
    let deep: Interest<f64> = desk
        .interest_with(path, InterestSettings::new().hashed("robot.secret").type_name("Hidden"))
        .expect("interest");
    let plain_intent: Intent<f64> = robot.intent("robot.other").expect("intent");
    assert!(plain_intent.wait_interest(SOON));
    assert_eq!((deep.suppliers(), intent.interested()), (0, 1));
    drop(intent);
    drop(interest);
    assert!(robot.close(SOON) && desk.close(SOON));
    for bytes in [tap.listener_sent(), tap.dialler_sent()] {
        assert!(contains(&bytes, b"robot.other"), "plain routes are readable");
        for hidden in [&b"place"[..], b"Hidden"] {
            assert!(!contains(&bytes, hidden), "{:?} was sent", String::from_utf8_lossy(hidden));
        }
    }
    assert!(!contains(&tap.listener_sent(), b"secret"), "only who hides by it shows the prefix");
}

#[test]
fn a_type_used_twice_is_refused_with_the_field_that_differs() {
    let endpoint = Endpoint::builder("robot").start().expect("starts");
    let _imu: Intent<new::Imu> = endpoint.intent("robot.imu").expect("intent");
    for error in [
        endpoint.interest::<old::Imu>("robot.imu").expect_err("differs"),
        endpoint.intent::<old::Imu>("robot.imu").expect_err("differs"),
    ] {
        assert!(matches!(error, Error::TypeInUse { .. }) && error.is_user_mistake(), "{error:?}");
        let text = error.to_string();
        for word in ["Imu@robot.imu", "temperature", "f32", "f64", "another path"] {
            assert!(text.contains(word), "`{word}` is not in {text:?}");
        }
    }
    assert!(endpoint.interest::<new::Imu>("robot.imu").is_ok());
    assert!(endpoint.interest::<old::Imu>("robot.old").is_ok(), "elsewhere it may be used");
}

/// What starting with these settings fails with.
fn mistake(change: impl FnOnce(EndpointBuilder) -> EndpointBuilder) -> String {
    let error = change(Endpoint::builder("robot")).start().map(|_| ()).expect_err("a mistake");
    assert!(error.is_user_mistake() && !error.is_transient(), "{error:?}");
    error.to_string()
}

#[track_caller]
fn names(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "`{word}` is not in {text:?}");
    }
}

#[test]
fn a_mistake_in_a_path_or_url_is_named_with_its_rule() {
    for (path, rule) in [
        ("robot/arm", "A-Z"),
        ("robot.ärm", "A-Z"),
        ("", "empty"),
        ("robot..arm", "dot"),
        (".robot", "dot"),
        ("robot.", "dot"),
    ] {
        let error = Endpoint::builder(path).start().map(|_| ()).expect_err("a mistake");
        assert!(matches!(error, Error::InvalidPath { .. }), "{error:?}");
        names(&error.to_string(), &[path, rule]);
    }
    let long = "x".repeat(64);
    names(&Endpoint::builder(long).start().map(|_| ()).expect_err("too long").to_string(), &["63"]);
    for (url, words) in [
        ("nonsense", &["nonsense", "tcp://"][..]),
        ("tcp://10.0.0.2", &["10.0.0.2", "port"]),
        ("tcp://10.0.0.2:0", &["port 0"]),
        ("tcp://10.0.0.2:99999", &["99999"]),
        ("tcp://10.0.0.2:7400/robot/arm", &["robot/arm"]),
        ("tcp://10.0.0.2:7400/robot?speed=9", &["speed", "scope"]),
        ("tcp://10.0.0.2:7400/robot?scope=mine", &["mine", "own", "open"]),
        ("unix://robot.sock", &["robot.sock", "path"]),
        ("carrier-pigeon://roof/robot", &["carrier-pigeon", "tcp", "EndpointBuilder::transport"]),
    ] {
        names(&mistake(|builder| builder.connect(url)), words);
    }
    for (url, words) in [
        ("0.0.0.0:7400", &["0.0.0.0:7400", "tcp://"][..]),
        ("tcp://0.0.0.0:7400/robot", &["/robot"]),
        ("tcp://0.0.0.0:7400?scope=own", &["scope"]),
        ("carrier-pigeon://roof", &["carrier-pigeon", "memory"]),
    ] {
        names(&mistake(|builder| builder.listen(url)), words);
    }
}

#[test]
fn an_address_that_is_taken_is_said_so() {
    let first = Endpoint::builder("robot").listen("tcp://127.0.0.1:0").start().expect("starts");
    let again = Endpoint::builder("desk").listen(first.listening()[0].clone()).start();
    let error = again.map(|_| ()).expect_err("it is taken");
    assert!(error.is_address_in_use() && error.is_transient() && !error.is_user_mistake());
    names(&error.to_string(), &[&first.listening()[0], "taken", "port 0"]);
}

#[test]
fn a_setting_out_of_range_is_named_with_its_range() {
    for (name, text) in [
        ("ping_interval", mistake(|builder| builder.ping_interval(Duration::ZERO))),
        ("handshake_deadline", mistake(|builder| builder.handshake_deadline(Duration::from_secs(7200)))),
        ("redial", mistake(|builder| builder.redial(MOMENT, Duration::from_millis(1)))),
        ("dial_timeout", mistake(|builder| builder.dial_timeout(Duration::ZERO))),
        ("largest_message", mistake(|builder| builder.largest_message(63))),
        ("outbox_bytes", mistake(|builder| builder.outbox_bytes(usize::MAX))),
        ("event_capacity", mistake(|builder| builder.event_capacity(0))),
        ("link_limit", mistake(|builder| builder.link_limit(0))),
    ] {
        names(&text, &[&format!("`{name}`"), " cannot be "]);
    }
    let endpoint = Endpoint::builder("robot").start().expect("starts");
    for (settings, name, value) in [
        (InterestSettings::new().queue(0), "queue", "0"),
        (InterestSettings::new().lossless(0), "lossless", "0"),
        (InterestSettings::new().queue((1 << 20) + 1), "queue", "1048577"),
    ] {
        let error = endpoint.interest_with::<u8>("robot.x", settings).expect_err("out of range");
        names(&error.to_string(), &[name, value, "1 to 1048576"]);
    }
}

/// A type whose shape depends on what is read.
#[derive(serde::Serialize, serde::Deserialize, Debug)]
#[serde(untagged)]
enum Untagged {
    Number(u32),
    Text(String),
}

#[test]
fn a_name_or_type_that_cannot_be_used_is_refused_with_the_way_out() {
    let endpoint = Endpoint::builder("robot").start().expect("starts");
    let named = |name: &str| IntentSettings::new().type_name(name);
    for name in ["", "a b", "a@b", "a#b"] {
        let error = endpoint.intent_with::<u8>("robot.x", named(name)).expect_err("a mistake");
        assert!(matches!(error, Error::InvalidTypeName { .. }), "{error:?}");
        names(&error.to_string(), &[name, "type name"]);
    }
    names(&endpoint.intent::<u8>("robot x").expect_err("a mistake").to_string(), &["robot x"]);
    let hidden = IntentSettings::new().hashed("robot.arm");
    let error = endpoint.intent_with::<u8>("robot.base.x", hidden).expect_err("no prefix");
    names(&error.to_string(), &["robot.arm", "prefix"]);
    let error = endpoint.intent::<Untagged>("robot.x").expect_err("cannot be traced");
    assert!(error.is_user_mistake());
    names(&error.to_string(), &["Untagged"]);
    assert!(endpoint.intent::<Bytes>("robot.x").is_ok());
    until("it is still of use", || endpoint.links().is_empty());
}
