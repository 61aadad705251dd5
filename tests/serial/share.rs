//! What fits a line, and how much of it is used.

use crate::cable::Cable;
use crate::ends;
use crate::support::{SOON, Watch, until};
use bowline::{Event, Intent, IntentSettings, Interest, InterestSettings, Side};

#[test]
fn routes_that_cannot_fit_are_reported() {
    let cable = Cable::new(9600);
    let ends = ends(&cable);
    let said = |hz| IntentSettings::new().expected_rate(hz, 32);
    let _imu: Intent<[u8; 32]> = ends.robot.intent_with("robot.imu", said(20.0)).unwrap();
    let wanted = InterestSettings::new().expected_rate(20.0, 32);
    let _wanted: Interest<[u8; 32]> = ends.desk.interest_with("robot.imu", wanted).unwrap();
    assert!(_imu.wait_interest(SOON));
    // 20 * 41 bytes fit 960; with a second route they do not.
    let _odometry: Intent<[u8; 32]> = ends.robot.intent_with("robot.odometry", said(5.0)).unwrap();
    let wanted = InterestSettings::new().expected_rate(5.0, 32);
    let _wanted_too: Interest<[u8; 32]> = ends.desk.interest_with("robot.odometry", wanted).unwrap();
    for (endpoint, expected) in [(&ends.robot, Side::Here), (&ends.desk, Side::There)] {
        let text = Watch::new(endpoint).find(|event| match event {
            Event::LinkOverbooked { supplier, wanted: 1025, carried: 960, text, .. } => {
                assert_eq!(*supplier, expected);
                Some(text.clone())
            }
            _ => None,
        });
        println!("{text}");
        assert!(text.contains("robot.imu") && text.contains("robot.odometry") && text.contains("1025 bytes"));
    }
}

#[test]
fn the_load_is_known() {
    let cable = Cable::new(115_200);
    let ends = ends(&cable);
    let intent: Intent<[u8; 32]> = ends.robot.intent("robot.imu").unwrap();
    let interest: Interest<[u8; 32]> = ends.desk.interest("robot.imu").unwrap();
    assert!(intent.wait_interest(SOON));
    let mut most = (0.0f32, 0.0f32);
    until("half of the line is seen to be used", || {
        // A hundred samples and the time they take.
        for _ in 0..8 {
            intent.send([1; 32]).unwrap();
        }
        for _ in 0..8 {
            let _ = interest.recv_timeout(SOON);
        }
        let load = |endpoint: &bowline::Endpoint| endpoint.links()[0].load.unwrap_or_default();
        most = (most.0.max(load(&ends.robot).sent), most.1.max(load(&ends.desk).received));
        most.0 > 0.5 && most.1 > 0.5
    });
    println!("load: {most:?}");
    assert!(most.0 <= 1.05 && most.1 <= 1.05, "{most:?}");
}
