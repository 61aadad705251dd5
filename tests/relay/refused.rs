//! What is not passed on, and how it is told.

use crate::support::{MOMENT, SOON, Watch};
use crate::{EACH, net, net_with};
use bowline::{Endpoint, Event, Intent, Interest, Refusal, Scope};

mod old {
    #[derive(serde::Serialize, serde::Deserialize, Clone, Debug, Default)]
    pub struct Imu {
        pub temperature: f32,
    }
}

mod new {
    #[derive(serde::Serialize, serde::Deserialize, Clone, Debug, Default)]
    pub struct Imu {
        pub temperature: f64,
    }
}

fn refusal(endpoint: &Endpoint) -> Refusal {
    Watch::new(endpoint).find(|event| match event {
        Event::RouteRefused { refusal, .. } => Some(refusal.clone()),
        _ => None,
    })
}

#[test]
fn a_field_that_differs_is_named_at_both_ends() {
    for schemes in EACH {
        let net = net(schemes);
        let _intent: Intent<new::Imu> = net.board.intent("robot.mcu.imu").expect("intent");
        let _interest: Interest<old::Imu> = net.desk.interest("robot.mcu.imu").expect("interest");
        for (endpoint, here) in [(&net.board, "f64 here"), (&net.desk, "f32 here")] {
            let Refusal::Schema(text) = refusal(endpoint) else { panic!("another refusal") };
            assert!(text.contains("temperature") && text.contains(here), "{text}");
        }
    }
}

#[test]
fn another_type_under_the_same_path_is_told_to_the_reader() {
    let net = net(EACH[0]);
    let _intent: Intent<f32> = net.board.intent("robot.mcu.speed").expect("intent");
    let _interest: Interest<f64> = net.desk.interest("robot.mcu.speed").expect("interest");
    Watch::new(&net.desk).wait(|event| matches!(event, Event::WrongType { .. }));
}

#[test]
fn only_the_prefix_is_passed_on_and_whole_segments_count() {
    let net = net(EACH[0]);
    let mut waiting = Vec::new();
    for path in ["robot.base.speed", "robot.mcu2.speed", "robot"] {
        let intent: Intent<f32> = net.board.intent(path).expect("intent");
        let interest: Interest<f32> = net.desk.interest(path).expect("interest");
        waiting.push((intent, interest));
    }
    let intent: Intent<f32> = net.board.intent("robot.mcu").expect("intent");
    let interest: Interest<f32> = net.desk.interest("robot.mcu").expect("interest");
    assert!(intent.wait_interest(SOON), "the prefix itself is passed on");
    intent.send(1.0).expect("sends");
    interest.recv_timeout(SOON).expect("arrives");
    for (intent, interest) in &waiting {
        assert!(!intent.wait_interest(MOMENT / 5));
        assert_eq!(interest.suppliers(), 0);
    }
}

#[test]
fn scope_own_forbids_what_is_not_under_the_relays_path_in_words() {
    let net = net_with(EACH[0], |gateway| gateway.scope(Scope::Own));
    let _intent: Intent<f32> = net.board.intent("robot.mcu.speed").expect("intent");
    let Refusal::NoRight(text) = refusal(&net.gateway) else { panic!("another refusal") };
    assert!(text.contains("`gateway`") && text.contains("scope open"), "{text}");
}

#[test]
fn scope_own_allows_a_relay_what_is_under_its_path() {
    let gateway = crate::endpoint("robot").listen(crate::address("tcp")).relay("robot.mcu").scope(Scope::Own);
    let gateway = gateway.start().expect("starts");
    let (board, desk) = (crate::dial("robot.mcu", &gateway), crate::dial("desk", &gateway));
    let intent: Intent<f32> = board.intent("robot.mcu.speed").expect("intent");
    let interest: Interest<f32> = desk.interest("robot.mcu.speed").expect("interest");
    assert!(intent.wait_interest(SOON));
    intent.send(2.0).expect("sends");
    interest.recv_timeout(SOON).expect("arrives");
}

#[test]
fn a_prefix_that_is_no_path_is_an_error() {
    let started = Endpoint::builder("gateway").relay("robot..mcu").start();
    assert!(started.is_err_and(|error| error.to_string().contains("robot..mcu")));
}
