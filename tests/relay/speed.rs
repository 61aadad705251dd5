//! What a relay costs, printed with `--nocapture`.

use crate::support::SOON;
use crate::{dial, endpoint, net};
use bowline::{Bytes, Endpoint, Intent, Interest, InterestSettings};
use std::time::{Duration, Instant};

/// The median of some round trips, in nanoseconds.
fn round_trip(near: &Endpoint, far: &Endpoint, rounds: usize) -> Duration {
    let there: Intent<u64> = near.intent("robot.mcu.there").expect("intent");
    let back: Interest<u64> = near.interest("robot.mcu.back").expect("interest");
    let echo: Intent<u64> = far.intent("robot.mcu.back").expect("intent");
    let _echoed = far
        .on_sample(
            "robot.mcu.there",
            InterestSettings::new().queue(16),
            move |sample: bowline::Sample<u64>| {
                let _ = echo.send(*sample);
            },
        )
        .expect("subscription");
    assert!(there.wait_interest(SOON));
    // The way back stands once something came by it.
    let deadline = Instant::now() + SOON;
    loop {
        there.send(u64::MAX).expect("sends");
        if back.recv_timeout(Duration::from_millis(100)).is_ok() {
            break;
        }
        assert!(Instant::now() < deadline, "no way back");
    }
    while back.recv_timeout(Duration::from_millis(20)).is_ok() {}
    let mut times: Vec<Duration> = (0..rounds as u64)
        .map(|number| {
            let begun = Instant::now();
            there.send(number).expect("sends");
            assert_eq!(*back.recv_timeout(SOON).expect("arrives"), number);
            begun.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2]
}

fn throughput(near: &Endpoint, far: &Endpoint, size: usize, count: u64) -> f64 {
    let intent: Intent<Bytes> = near.intent("robot.mcu.bulk").expect("intent");
    let settings = InterestSettings::new().lossless(1024);
    let interest: Interest<Bytes> = far.interest_with("robot.mcu.bulk", settings).expect("interest");
    assert!(intent.wait_interest(SOON));
    let begun = Instant::now();
    let sender = std::thread::spawn(move || {
        let payload = Bytes::from(vec![1; size]);
        for _ in 0..count {
            intent.send_timeout(payload.clone(), SOON).expect("goes on");
        }
        intent
    });
    for _ in 0..count {
        interest.recv_timeout(SOON).expect("arrives");
    }
    let rate = count as f64 / begun.elapsed().as_secs_f64();
    drop(sender.join());
    rate
}

#[test]
fn a_round_trip_through_a_relay_is_measured() {
    let rounds = if cfg!(debug_assertions) { 300 } else { 5000 };
    let bulk = if cfg!(debug_assertions) { 20_000 } else { 500_000 };
    let far = endpoint("robot.mcu").listen("tcp://127.0.0.1:0").start().expect("starts");
    let near = dial("desk", &far);
    let net = net(("tcp", "tcp"));
    let (direct, relayed) = (round_trip(&near, &far, rounds), round_trip(&net.desk, &net.board, rounds));
    println!("round trip over TCP, median: direct {direct:?}, through a relay {relayed:?}");
    for (size, count) in [(64, bulk), (1024, bulk / 4), (65_536, bulk / 100)] {
        let (direct, relayed) =
            (throughput(&near, &far, size, count), throughput(&net.desk, &net.board, size, count));
        println!("lossless, {size} B, a second: direct {direct:.0}, through a relay {relayed:.0}");
    }
    // Two hops instead of one; anything near this bound would be a wait somewhere.
    assert!(relayed < direct * 10 + Duration::from_millis(5));
}
