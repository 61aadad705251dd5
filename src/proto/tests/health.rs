use super::*;
use crate::health::Symptom;
use crate::proto::Order;
use crate::proto::health::Seen;
use crate::time::Timestamp;
use crate::wire::control::{Control, Ping, Pong};

#[test]
fn a_silent_peer_is_down_at_three_and_a_half_ping_intervals() {
    let (mut bed, _) = joined();
    bed.pass(seconds(10.0));
    assert!(downs(&mut bed, 0).is_empty());
    let heard = bed.now;
    bed.frozen.push(1);
    bed.pass(seconds(3.4));
    assert!(downs(&mut bed, 0).is_empty());
    bed.pass(seconds(0.2));
    assert_down(&mut bed, 0, ReasonCode::Silent, false, "`desk` heard nothing from robot.arm");
    assert!(bed.now - heard <= seconds(3.6));
}

#[test]
fn a_process_that_slept_itself_does_not_take_it_for_its_peers_silence() {
    let (mut bed, link) = joined();
    let heard = bed.now;
    bed.now = bed.now + seconds(60.0);
    bed.engines[0].tick(bed.now, &|_| heard);
    bed.settle();
    bed.pass(seconds(5.0));
    let events = bed.events(0);
    assert!(events.is_empty(), "neither down nor degraded: {events:?}");
    assert_eq!(ups(&bed, 0), 1);
    // It gets one interval, no more.
    bed.frozen.push(1);
    bed.now = bed.now + seconds(60.0);
    bed.engines[0].tick(bed.now, &|_| heard);
    forget(&mut bed);
    bed.pass(seconds(1.1));
    assert_down(&mut bed, 0, ReasonCode::Silent, false, "heard nothing");
    let _ = link;
}

#[test]
fn pings_are_paced_and_answered_at_once() {
    let (mut bed, _) = joined();
    bed.pass(seconds(10.0));
    let pings = bed.frames(0).into_iter().filter(|(frame, _)| matches!(frame, Control::Ping(_))).count();
    assert_eq!(pings, 10);
    let link = bed.stranger(1);
    let _ = link;
    let desk = bed.engines[1].links(bed.now).next().unwrap().id;
    forget(&mut bed);
    let sent = Timestamp::from_micros(77);
    bed.engines[1].control(bed.now, desk, Control::Ping(Ping { sent }));
    let pong = Control::Pong(Pong { echo: sent, received: bed.now, sent: bed.now });
    assert!(bed.frames(1).contains(&(pong, Order::Ahead)));
}

#[test]
fn round_trips_and_clock_offset_are_measured_on_both_sides() {
    let (mut bed, link) = joined();
    // The test answers in place of the peer: 10 ms there, 30 ms back, its clock 5 s ahead.
    bed.frozen.push(1);
    bed.joined.clear();
    bed.now = bed.now + seconds(1.0);
    let now = bed.now;
    bed.engines[0].tick(now, &|_| now);
    let ping = bed.frames(0).into_iter().find_map(|(frame, _)| match frame {
        Control::Ping(ping) => Some(ping),
        _ => None,
    });
    let there = now + seconds(5.010);
    let pong = Pong { echo: ping.unwrap().sent, received: there, sent: there };
    bed.now = bed.now + seconds(0.040);
    bed.say(0, link, Control::Pong(pong));
    let view = bed.engines[0].links(bed.now).next().unwrap();
    assert_eq!(view.round_trip.unwrap().p99, seconds(0.040));
    // The best so far is the one without any delay, a second ago.
    assert_eq!(view.offset.unwrap().0, 0);
    let clocks = bed.actions[0].iter().filter(|action| matches!(action, Action::Clock { .. })).count();
    assert_eq!(clocks, 1);
    // A pong that answers nothing changes nothing.
    bed.say(0, link, Control::Pong(pong));
    assert_eq!(bed.engines[0].links(bed.now).next().unwrap().round_trip, view.round_trip);
}

#[test]
fn a_slow_line_is_pinged_so_rarely_that_it_costs_a_hundredth_of_it() {
    let (mut bed, link) = joined();
    // 9600 baud: 960 bytes a second, a ping and a pong each way at most every 4.8 s.
    bed.engines[0].set_rate(link, Some(960));
    forget(&mut bed);
    bed.pass(seconds(49.0));
    let pings = bed.frames(0).into_iter().filter(|(frame, _)| matches!(frame, Control::Ping(_))).count();
    assert!((9..=11).contains(&pings), "{pings} pings");
    // Silence is measured by the same interval.
    bed.frozen.push(1);
    bed.pass(seconds(12.0));
    assert!(downs(&mut bed, 0).is_empty());
    bed.pass(seconds(6.0));
    let reason = downs(&mut bed, 0).remove(0);
    assert!(
        reason.to_string().contains("heard nothing from robot.arm (memory://robot.arm/robot.arm) for 16"),
        "{reason}"
    );
    // A fast one is pinged as the endpoint was told.
    let (mut bed, link) = joined();
    bed.engines[0].set_rate(link, Some(1_000_000));
    forget(&mut bed);
    bed.pass(seconds(10.0));
    let pings = bed.frames(0).into_iter().filter(|(frame, _)| matches!(frame, Control::Ping(_))).count();
    assert!((9..=11).contains(&pings), "{pings} pings");
}

#[test]
fn a_quiet_link_is_degraded_before_it_is_down_and_told_both_ways() {
    let (mut bed, link) = joined();
    bed.pass(seconds(10.0));
    assert!(bed.events(0).is_empty());
    bed.frozen.push(1);
    bed.pass(seconds(2.7));
    let events = bed.events(0);
    let [Event::LinkDegraded { peer, symptoms, text, .. }] = &events[..] else { panic!("{events:?}") };
    assert_eq!((peer.path.as_ref().unwrap().as_str(), &symptoms[..]), ("robot.arm", &[Symptom::Silence][..]));
    assert!(text.starts_with("nothing heard for") && text.contains("limit"), "{text}");
    let view = bed.engines[0].links(bed.now).next().unwrap();
    let wellness = view.wellness.unwrap();
    assert!(view.state == LinkState::Up && wellness.rank.degraded && wellness.symptoms == [Symptom::Silence]);
    assert!(wellness.rank.strain > 1000);
    assert!(bed.engines[0].rank(bed.now, link).unwrap() > bed.engines[1].rank(bed.now, LinkId(0)).unwrap());
    // It speaks again, and has to hold out for a while.
    bed.frozen.clear();
    bed.pass(seconds(4.0));
    assert!(bed.events(0).is_empty());
    bed.pass(seconds(3.0));
    let events = bed.events(0);
    let [Event::LinkRecovered { after, .. }] = &events[..] else { panic!("{events:?}") };
    assert!(*after >= seconds(5.0) && *after < seconds(7.0), "{after:?}");
    assert!(!bed.engines[0].rank(bed.now, link).unwrap().degraded);
    bed.frozen.push(1);
    bed.pass(seconds(3.55));
    assert_down(&mut bed, 0, ReasonCode::Silent, false, "heard nothing");
    assert_eq!(bed.engines[0].rank(bed.now, link), None);
}

#[test]
fn what_the_driver_sees_of_a_line_counts() {
    let (mut bed, link) = joined();
    assert!(bed.engines[0].links(bed.now).next().unwrap().wellness.unwrap().symptoms.is_empty());
    bed.pass(seconds(1.5));
    assert!(bed.actions[0].iter().any(|action| matches!(action, Action::Look { link: id } if *id == link)));
    forget(&mut bed);
    let seen = Seen { heard: bed.now, queue_age: seconds(0.7), ..Seen::default() };
    bed.engines[0].look(bed.now, link, seen);
    let events = bed.events(0);
    let [Event::LinkDegraded { symptoms, health, .. }] = &events[..] else { panic!("{events:?}") };
    assert_eq!((&symptoms[..], health.queue_age), (&[Symptom::QueueAge][..], seconds(0.7)));
    bed.engines[0].look(bed.now, LinkId(77), seen);
    assert!(bed.events(0).is_empty());
}
