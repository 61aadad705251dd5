//! Relays between perfect lines: who is linked with whom, by which way, and that it is one.

use super::*;
use crate::path::Path;
use crate::proto::relay::Relay;
use crate::proto::testbed::settings;
use crate::proto::{Engine, IntentId};
use crate::route::Route;
use crate::wire::control::{Control, Entry, Intent, Notify, Origin};
use std::collections::{BTreeMap, BTreeSet};

const IMU: &str = "Imu@robot.mcu.imu";
const OTHER: &str = "Imu@robot.base.imu";

/// Endpoints of which those named `g…` relay `robot.mcu`.
fn bed(paths: &[&str]) -> Bed {
    let settings = paths.iter().enumerate().map(|(place, path)| {
        let mut settings = settings(path, place as u8 + 1);
        if path.starts_with('g') {
            settings.relay = vec![Path::parse("robot.mcu").unwrap()];
        }
        settings
    });
    Bed::with(settings.collect())
}

fn dial(bed: &mut Bed, from: usize, to: usize) -> LinkId {
    let path = bed.engines[to].settings.path.clone();
    bed.dial(from, &format!("memory://{path}/{path}"))
}

/// Interest's place and number, intent's place and number.
type Pair = (usize, u32, usize, u32);

/// Follows every open way to its end, and checks it.
fn linked(bed: &Bed) -> BTreeMap<Pair, Vec<usize>> {
    let mut pairs = BTreeMap::new();
    for (place, engine) in bed.engines.iter().enumerate() {
        for (interest, origin, open) in engine.open_ways() {
            let (supplier, intent, passed) = follow(bed, place, open);
            let source = &bed.engines[supplier];
            assert_eq!(origin, Origin { instance: source.settings.instance, id: intent.0 });
            let wanted = &engine.registry.interest(interest).unwrap().declaration;
            let supplied = &source.registry.intent(intent).unwrap().declaration;
            assert_eq!(
                (&wanted.route, wanted.schema.fingerprint()),
                (&supplied.route, supplied.schema.fingerprint())
            );
            let before = pairs.insert((place, interest.0, supplier, intent.0), passed);
            assert!(before.is_none(), "one intent comes twice");
        }
    }
    pairs
}

fn follow(bed: &Bed, place: usize, open: (LinkId, u32)) -> (usize, IntentId, Vec<usize>) {
    let (mut at, (mut link, mut alias), mut passed) = (place, open, Vec::new());
    loop {
        let (next, back) = bed.joined[&(at, link)];
        assert!(next != place && !passed.contains(&next), "a way in a circle: {passed:?}, {next}");
        let session = &bed.engines[next].sessions[&back];
        let intent = session.outlets[&alias];
        if !Relay::is_passed(intent.0) {
            return (next, intent, passed);
        }
        passed.push(next);
        (link, alias) = bed.engines[next].passed_from(back, alias).expect("a flow that was begun");
        at = next;
    }
}

/// Both sides of each link see the same aliases.
fn check_links(bed: &Bed) {
    for ((place, link), (other, back)) in &bed.joined {
        let here = bed.engines[*place].sessions.get(link);
        let there = bed.engines[*other].sessions.get(back);
        let (Some(here), Some(there)) = (here, there) else { continue };
        let out: Vec<u32> = here.outlets.keys().copied().collect();
        let into: Vec<u32> = there.inlets.keys().copied().collect();
        assert_eq!(out, into, "between {place} and {other}");
        assert_eq!(here.outlets.len(), here.outlet_of.len());
        assert_eq!(there.inlets.len(), there.inlet_of.len());
    }
}

fn relayed(bed: &mut Bed, place: usize) -> (usize, usize) {
    let events = bed.events(place);
    let begun = events.iter().filter(|event| matches!(event, Event::RouteRelayed { .. })).count();
    (begun, events.iter().filter(|event| matches!(event, Event::RelayEnded { .. })).count())
}

#[test]
fn a_relay_links_peers_that_do_not_know_each_other_whoever_comes_first() {
    for order in 0..4 {
        let mut bed = bed(&["board", "g", "desk"]);
        let steps: [fn(&mut Bed); 4] = [
            |bed| {
                dial(bed, 0, 1);
            },
            |bed| {
                dial(bed, 2, 1);
            },
            |bed| bed.intent(0, 4, IMU, 1),
            |bed| bed.interest(2, 9, IMU, 1),
        ];
        for step in 0..4 {
            steps[(step + order) % 4](&mut bed);
            if order % 2 == 0 {
                bed.settle();
            }
        }
        bed.settle();
        assert_eq!(linked(&bed), BTreeMap::from([((2, 9, 0, 4), vec![1])]));
        check_links(&bed);
        assert_eq!(relayed(&mut bed, 1), (1, 0));
        bed.engines[2].withdraw_interest(bed.now, crate::proto::InterestId(9));
        bed.settle();
        assert_eq!(relayed(&mut bed, 1), (0, 1));
        check_links(&bed);
        assert!(bed.engines[0].sessions.values().all(|session| session.outlets.is_empty()));
    }
}

#[test]
fn what_is_told_is_told_once_and_taken_back() {
    let mut bed = bed(&["board", "g", "desk"]);
    dial(&mut bed, 0, 1);
    dial(&mut bed, 2, 1);
    forget(&mut bed);
    bed.intent(0, 4, IMU, 1);
    bed.intent(0, 5, OTHER, 1);
    bed.settle();
    let told: Vec<Control> = bed.frames(1).into_iter().map(|(frame, _)| frame).collect();
    let [Control::Intents(entries)] = &told[..] else { panic!("{told:?}") };
    let [Entry::Add { id, item: Intent { relayed: Some(relayed), declared, .. } }] = &entries[..] else {
        panic!("{entries:?}")
    };
    assert_eq!((declared.route.to_string().as_str(), relayed.via.len()), (IMU, 0));
    assert_eq!(relayed.origin, Origin { instance: [1; 16], id: 4 });
    let id = *id;
    bed.engines[0].withdraw_intent(bed.now, IntentId(4));
    let told: Vec<Control> = bed.frames(1).into_iter().map(|(frame, _)| frame).collect();
    assert_eq!(told, [Control::Intents(vec![Entry::Remove { id }])]);
}

#[test]
fn each_side_hears_the_others_schema_once() {
    let mut bed = bed(&["board", "g", "desk"]);
    dial(&mut bed, 0, 1);
    dial(&mut bed, 2, 1);
    bed.intent(0, 4, IMU, 1);
    bed.interest(2, 9, IMU, 2);
    for place in [0, 2] {
        let events = bed.events(place);
        let told = |event: &&Event| matches!(event, Event::RouteRefused { .. });
        assert_eq!(events.iter().filter(told).count(), 1, "{events:?}");
    }
    assert!(linked(&bed).is_empty());
}

#[test]
fn a_conflict_is_told_through_a_relay_and_one_intent_is_none() {
    let mut bed = bed(&["board", "g.1", "g.2", "desk"]);
    for (from, to) in [(0, 1), (0, 2), (3, 1), (3, 2)] {
        dial(&mut bed, from, to);
    }
    let declaration = crate::proto::testbed::declaration(IMU, 1);
    bed.engines[0].declare_intent(bed.now, IntentId(4), declaration, true, false);
    bed.interest(3, 9, IMU, 1);
    let conflicts = |bed: &mut Bed, place: usize| {
        bed.events(place).iter().filter(|event| matches!(event, Event::Conflict { .. })).count()
    };
    assert_eq!((conflicts(&mut bed, 0), conflicts(&mut bed, 3)), (0, 0), "it does not collide with itself");
    bed.intent(3, 5, IMU, 1);
    assert!(conflicts(&mut bed, 3) > 0 && conflicts(&mut bed, 0) > 0);
}

#[test]
fn a_peer_that_links_what_was_not_asked_for_is_hung_up_on() {
    for (mine, other) in [(1, "differ"), (7, "never was")] {
        let mut bed = bed(&["board", "g", "desk"]);
        dial(&mut bed, 0, 1);
        dial(&mut bed, 2, 1);
        bed.intent(0, 0, IMU, 1);
        bed.intent(0, 1, "Imu@robot.mcu.two", 1);
        bed.interest(2, 9, IMU, 1);
        bed.settle();
        let first = 1 << 31;
        let link = *bed.engines[1]
            .links
            .iter()
            .find(|(_, link)| link.peer.path.as_ref().is_some_and(|path| path.as_str() == "board"))
            .unwrap()
            .0;
        // Offers and wants are numbered in turn; the want is the last.
        let want = (first..first + 10).rev().find(|id| bed.engines[1].relay.had(*id)).unwrap();
        let yours = if mine == 1 { want } else { want + 50 };
        bed.say(1, link, Control::Notify(Notify::Linked { mine, yours, alias: 77 }));
        let downs = bed.events(1).into_iter().filter_map(|event| match event {
            Event::LinkDown { reason, .. } => Some(reason.to_string()),
            _ => None,
        });
        let downs: Vec<String> = downs.collect();
        assert!(downs.len() == 1 && downs[0].contains(other), "{downs:?}");
    }
}

/// Any net, anything declared, withdrawn, cut: what can be linked is, once, by a way without a circle.
#[test]
fn whatever_the_net_is_each_pair_has_one_way() {
    let (mut pairs, mut far) = (0, 0);
    for seed in 0..200 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let names = ["g.a", "b", "g.c", "d", "g.e", "f", "g.h", "g.i"];
        let count = rng.usize(3..=names.len());
        let mut bed = bed(&names[..count]);
        let mut next = 0;
        let (mut intents, mut interests) = (Vec::new(), Vec::new());
        for step in 0..rng.usize(10..60) {
            let place = rng.usize(0..count);
            let route = if rng.u8(0..4) == 0 { OTHER } else { IMU };
            let version = if rng.u8(0..8) == 0 { 2 } else { 1 };
            next += 1;
            match rng.u8(0..12) {
                0..4 => {
                    let other = rng.usize(0..count);
                    if other != place {
                        dial(&mut bed, place, other);
                    }
                }
                4..6 => {
                    bed.intent(place, next, route, version);
                    intents.push((place, next, route, version));
                }
                6..8 => {
                    bed.interest(place, next, route, version);
                    interests.push((place, next, route, version));
                }
                8 if !intents.is_empty() => {
                    let (place, id, ..) = intents.swap_remove(rng.usize(0..intents.len()));
                    bed.engines[place].withdraw_intent(bed.now, IntentId(id));
                }
                9 if !interests.is_empty() => {
                    let (place, id, ..) = interests.swap_remove(rng.usize(0..interests.len()));
                    bed.engines[place].withdraw_interest(bed.now, crate::proto::InterestId(id));
                }
                10 if !bed.joined.is_empty() => {
                    let (place, link) = *bed.joined.keys().nth(rng.usize(0..bed.joined.len())).unwrap();
                    bed.cut(place, link);
                }
                _ => bed.pass(seconds(rng.f64() * 3.0)),
            }
            if rng.bool() || step == 0 {
                bed.settle();
                linked(&bed);
                check_links(&bed);
            }
        }
        bed.pass(seconds(20.0));
        check_links(&bed);
        let expected = reachable(&bed, &intents, &interests);
        let found = linked(&bed);
        pairs += found.len();
        far += found.values().filter(|passed| passed.len() > 1).count();
        assert!(found.keys().eq(&expected), "seed {seed}: {found:?} instead of {expected:?}");
    }
    assert!(pairs > 500 && far > 40, "{pairs} pairs, {far} by several relays");
}

type Declared = (usize, u32, &'static str, u64);

fn reachable(bed: &Bed, intents: &[Declared], interests: &[Declared]) -> BTreeSet<Pair> {
    let edges: BTreeSet<(usize, usize)> =
        bed.joined.iter().map(|((place, _), (other, _))| (*place, *other)).collect();
    let mut pairs = BTreeSet::new();
    for (supplier, intent, route, version) in intents {
        let path = Route::parse(route).unwrap();
        let passes =
            |place: usize| bed.engines[place].relay.prefixes.iter().any(|prefix| path.is_under(prefix));
        let (mut reached, mut next) = (BTreeSet::from([*supplier]), vec![*supplier]);
        while let Some(place) = next.pop() {
            if place != *supplier && !passes(place) {
                continue;
            }
            for (_, other) in edges.range((place, 0)..=(place, usize::MAX)) {
                if reached.insert(*other) {
                    next.push(*other);
                }
            }
        }
        for (reader, interest, wanted, wanted_version) in interests {
            let fits = (wanted, wanted_version) == (route, version) && reader != supplier;
            if fits && reached.contains(reader) {
                pairs.insert((*reader, *interest, *supplier, *intent));
            }
        }
    }
    pairs
}

/// A peer that declares very much costs no other peer its link.
#[test]
fn what_is_passed_on_to_one_peer_is_bounded_and_the_rest_is_told() {
    let mut all: Vec<_> = ["board", "g", "desk"].iter().zip(1..).map(|(path, n)| settings(path, n)).collect();
    all[1].relay = vec![Path::parse("robot.mcu").unwrap()];
    all[1].max_routes_per_peer = 100;
    let mut bed = Bed::with(all);
    dial(&mut bed, 0, 1);
    dial(&mut bed, 2, 1);
    for id in 0..80 {
        bed.intent(0, id, &format!("Imu@robot.mcu.n{id}"), 1);
    }
    bed.settle();
    let desk = bed.engines[2].sessions.values().next().unwrap();
    assert_eq!(desk.intents.len(), 50);
    let refused = bed.events(1);
    assert_eq!(refused.iter().filter(|event| matches!(event, Event::RouteRefused { .. })).count(), 30);
    assert!(
        bed.engines.iter().all(|engine: &Engine| engine.links.values().all(|link| link.session.is_some()))
    );
}
