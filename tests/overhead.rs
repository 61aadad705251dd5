//! What a sample costs on the wire.

mod support;

use bowline::{Bytes, Endpoint, Intent, Interest, InterestSettings};
use std::time::Duration;
use support::tap::Tap;
use support::{SOON, until, url};

#[test]
fn a_small_sample_costs_four_bytes_more_than_its_payload() {
    let tap = Tap::default();
    // One ping each when the link comes up, and none while bytes are counted.
    let seldom = Duration::from_secs(3600);
    let robot = Endpoint::builder("robot")
        .transport(tap.clone())
        .listen("tap://overhead")
        .ping_interval(seldom)
        .start()
        .expect("starts");
    let desk = Endpoint::builder("desk")
        .transport(tap.clone())
        .connect(url(&robot))
        .ping_interval(seldom)
        .start()
        .expect("starts");
    let intent: Intent<Bytes> = robot.intent("robot.raw").expect("intent");
    let interest: Interest<Bytes> =
        desk.interest_with("robot.raw", InterestSettings::new().queue(2000)).expect("interest");
    assert!(intent.wait_interest(SOON));
    until("both have measured", || [&robot, &desk].iter().all(|one| one.links()[0].round_trip.is_some()));
    // The first one sets the time.
    intent.send(Bytes::from(vec![0; 32])).expect("sends");
    interest.recv_timeout(SOON).expect("arrives");
    for (size, count) in [(32, 1000), (0, 1000), (124, 1000), (125, 0)] {
        let before = tap.listener_sent().len();
        for number in 0..count {
            intent.send(Bytes::from(vec![number as u8; size])).expect("sends");
            interest.recv_timeout(SOON).expect("arrives");
        }
        let expected = before + count * (size + 4);
        until("all was written", || tap.listener_sent().len() >= expected);
        // A mark every 64 KiB, whose answer says that all before it came.
        let marks = tap.listener_sent().len() - expected;
        assert!(marks <= 6 * (expected / (64 << 10)), "{count} samples of {size} bytes: {marks} more");
    }
    assert_eq!(interest.counts().lost_here, 0);
}
