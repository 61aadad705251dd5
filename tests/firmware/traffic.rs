//! What flows while nothing is wrong, and while the line is bad.

use crate::board::{Bench, Kind};
use crate::cable::End;
use crate::each_board;
use crate::messages::{Command, Setpoint};
use crate::support::SOON;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

each_board!(measurements_go_up_and_set_points_down, commands_arrive_in_order_over_a_bad_line);

fn measurements_go_up_and_set_points_down(kind: Kind) {
    let mut bench = Bench::new(kind);
    bench.is_up();
    let (_never, pause) = channel::<()>();
    let first = bench.imu.recv_timeout(SOON).unwrap().count;
    let (begun, mut next, mut last, mut got, mut oldest) =
        (Instant::now(), Instant::now(), first, 0, Duration::ZERO);
    let before = bench.status_when("it says how it fares", |_| true);
    const SENT: u32 = 150;
    for count in 1..=SENT {
        bench.setpoint.send(Setpoint { count, left: 0.5, right: -0.5 }).unwrap();
        next += Duration::from_millis(20);
        let _ = pause.recv_timeout(next.saturating_duration_since(Instant::now()));
        while let Ok(sample) = bench.imu.try_recv() {
            assert!(sample.count > last, "{} behind {last}", sample.count);
            assert!((sample.accel[2] - 9.81).abs() < 1e-6);
            last = sample.count;
            got += 1;
            oldest = oldest.max(sample.age());
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    let rate = f64::from(got) / seconds;
    let status = bench.status_when("the last set-point came", |status| status.last == SENT);
    let came = status.setpoints - before.setpoints;
    println!(
        "{kind:?}: {rate:.1} measurements a second, {got} of {}, the oldest {oldest:?}; {came} of {SENT} set-points, {} lost, \
         the last {} us old",
        last - first,
        status.lost,
        status.age
    );
    // Beside other tests on a busy machine; alone it is 100.
    assert!(rate > 50.0, "{rate:.1} measurements a second");
    assert!(oldest < Duration::from_secs(2), "{oldest:?}");
    assert!(came + status.lost >= SENT * 9 / 10 && came <= SENT, "{came} and {}", status.lost);
    assert!(!status.stopped && status.noise == 0, "{status:?}");
    bench.status_when("the wheels stop when no more comes", |status| status.stopped);
}

fn commands_arrive_in_order_over_a_bad_line(kind: Kind) {
    let mut bench = Bench::new(kind);
    bench.is_up();
    for (end, seed) in [(End::A, 1), (End::B, 2)] {
        let mut random = fastrand::Rng::with_seed(seed);
        bench.rig.cable.way(end, move |mut bytes| {
            for byte in &mut bytes {
                if random.u32(0..400) == 0 {
                    *byte ^= 1 << random.u32(0..8);
                }
            }
            bytes
        });
    }
    for number in 1..=60 {
        bench.order.send_timeout(Command::Echo(number), SOON).unwrap();
    }
    let status = bench.status_when("every command is done", |status| status.commands == 60);
    assert_eq!(status.echo, 60, "in order");
    println!("{kind:?}: 60 commands over a line with a bit wrong in one of 400 bytes: {status:?}");
    bench.rig.cable.clear();
    assert!(status.noise > 0, "the line was bad: {status:?}");
    bench.imu.recv_timeout(SOON).unwrap();
}
