//! The program every newcomer writes first, over each kind of link.

use bowline::{Endpoint, Intent, Interest};
use serde::{Deserialize, Serialize};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(5);

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
struct Imu {
    gyro: [f32; 3],
    accel: [f32; 3],
    sequence: u32,
}

fn imu(sequence: u32) -> Imu {
    Imu { gyro: [0.1, 0.2, 0.3], accel: [0.0, 0.0, 9.81], sequence }
}

fn two(listen: &str) -> (Endpoint, Endpoint) {
    let robot = Endpoint::builder("robot.base").listen(listen).start().expect("starts");
    let url = format!("{}/robot.base", robot.listening()[0]);
    let desk = Endpoint::builder("desk").connect(url).start().expect("starts");
    (robot, desk)
}

fn samples_flow_over(listen: &str) {
    let (robot, desk) = two(listen);
    let intent: Intent<Imu> = robot.intent("robot.base.imu").expect("intent");
    let interest: Interest<Imu> = desk.interest("robot.base.imu").expect("interest");
    assert!(intent.wait_interest(SOON));
    for i in 0..1000 {
        let outcome = intent.send(imu(i)).expect("sends");
        assert_eq!(outcome.taken(), 1);
        let sample = interest.recv_timeout(SOON).expect("arrives");
        assert_eq!(*sample, imu(i));
        assert_eq!(sample.sequence(), u64::from(i));
        assert!(sample.age() < SOON);
    }
    assert!(robot.close(SOON));
    assert!(desk.close(SOON));
}

#[test]
fn samples_flow_over_tcp() {
    samples_flow_over("tcp://127.0.0.1:0");
}

#[test]
fn samples_flow_over_memory() {
    samples_flow_over("memory://two-programs");
}

#[cfg(unix)]
#[test]
fn samples_flow_over_unix_sockets() {
    let place = std::env::temp_dir().join(format!("bowline-two-{}.sock", std::process::id()));
    samples_flow_over(&format!("unix://{}", place.display()));
}
