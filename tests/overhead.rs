//! What a sample costs on the wire.

mod support;

use bowline::{Bytes, Endpoint, Intent, Interest, InterestSettings};
use std::thread;
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

#[test]
fn credit_for_lossless_samples_of_a_kibibyte_is_below_a_hundredth_of_the_bytes() {
    const COUNT: u32 = 20_000;
    // Nothing but credit goes back while bytes are counted.
    let seldom = Duration::from_secs(3600);
    let start = |path| Endpoint::builder(path).ping_interval(seldom);
    let robot = start("robot").listen("tcp://127.0.0.1:0").start().expect("starts");
    let desk = start("desk").connect(url(&robot)).start().expect("starts");
    let intent: Intent<Bytes> = robot.intent("robot.raw").expect("intent");
    for depth in [1, 2, 16, 256, 4096] {
        let settings = InterestSettings::new().lossless(depth);
        let interest: Interest<Bytes> = desk.interest_with("robot.raw", settings).expect("interest");
        assert!(intent.wait_interest(SOON));
        until("both have measured", || [&robot, &desk].iter().all(|one| one.links()[0].round_trip.is_some()));
        let before = desk.links().remove(0);
        let reader = thread::spawn(move || {
            for _ in 0..COUNT {
                interest.recv_timeout(SOON).expect("arrives");
            }
            interest
        });
        for _ in 0..COUNT {
            intent.send_timeout(Bytes::from(vec![7; 1024]), SOON).expect("there is room in time");
        }
        let interest = reader.join().expect("reads all");
        let after = desk.links().remove(0);
        let (came, went) = (after.bytes_in - before.bytes_in, after.bytes_out - before.bytes_out);
        let share = went as f64 / (came + went) as f64;
        println!(
            "lossless({depth}), {COUNT} samples of 1 KiB: {went} bytes of credit, {:.3} %",
            share * 100.0
        );
        assert!(came >= u64::from(COUNT) * 1024, "{came}");
        assert!(went > 0 && share <= 0.01, "lossless({depth}): {went} of {came}");
        drop(interest);
        until("it is gone", || intent.interested() == 0);
    }
}
