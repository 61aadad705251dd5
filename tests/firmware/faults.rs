//! Boards that begin anew, hang, and lose their cable, in the middle of it all.

use crate::board::{Bench, Kind, Rig};
use crate::cable::End;
use crate::each_board;
use crate::messages::{Command, Status};
use crate::support::SOON;
use bowline::{Event, Interest};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

each_board!(
    resets_are_seen_at_once,
    a_board_that_hangs_is_given_up_and_comes_back,
    unplugs,
    a_type_that_differs_is_told
);

/// A board that is there again must be in use again so soon. Alone it takes a tenth of it.
const BACK: Duration = Duration::from_secs(2);

fn is_down(bench: &mut Bench) -> String {
    bench.rig.watch.find(|event| match event {
        Event::LinkDown { reason, .. } => Some(reason.to_string()),
        _ => None,
    })
}

fn resets_are_seen_at_once(kind: Kind) {
    let mut bench = Bench::new(kind);
    bench.is_up();
    let mut slowest = Duration::ZERO;
    for round in 0..5 {
        while bench.imu.try_recv().is_ok() {}
        bench.rig.watch.all();
        let reset = Instant::now();
        bench.order.send_timeout(Command::Reset, SOON).unwrap();
        let reason = is_down(&mut bench);
        bench.is_up();
        slowest = slowest.max(reset.elapsed());
        if round == 0 {
            println!("{kind:?}: a reset is seen as: {reason}");
        }
        let status = bench.status_when("it began anew", |_| true);
        assert!(status.commands == 0 && status.setpoints == 0, "{status:?}");
    }
    println!("{kind:?}: 5 resets, each back within {slowest:?}");
    assert!(slowest < BACK, "{slowest:?}");
}

fn a_board_that_hangs_is_given_up_and_comes_back(kind: Kind) {
    let mut bench = Bench::new(kind);
    bench.is_up();
    bench.rig.watch.all();
    let hung = Instant::now();
    bench.order.send_timeout(Command::Hang, SOON).unwrap();
    let reason = is_down(&mut bench);
    let found = hung.elapsed();
    bench.is_up();
    println!("{kind:?}: hung; down after {found:?} ({reason}), back after {:?}", hung.elapsed());
    // The watchdog resets it after 3 s, and silence is found after 3.5.
    assert!(found < Duration::from_secs(5), "{found:?}");
}

fn unplugs(kind: Kind) {
    let mut bench = Bench::new(kind);
    bench.is_up();
    let mut slowest = Duration::ZERO;
    for _ in 0..5 {
        bench.rig.watch.all();
        bench.rig.cable.unplug(End::B);
        println!("{kind:?}: unplugged; {}", is_down(&mut bench));
        let plugged = Instant::now();
        bench.rig.cable.plug(End::B);
        bench.is_up();
        slowest = slowest.max(plugged.elapsed());
    }
    println!("{kind:?}: 5 unplugs, each back within {slowest:?}");
    assert!(slowest < BACK, "{slowest:?}");
}

fn a_type_that_differs_is_told(kind: Kind) {
    #[derive(Serialize, Deserialize)]
    struct Imu {
        count: u32,
        gyro: [f64; 3],
    }
    let mut rig = Rig::new(kind);
    let other: Interest<Imu> = rig.desk.interest("robot.mcu.imu").unwrap();
    let status: Interest<Status> = rig.desk.interest("robot.mcu.status").unwrap();
    rig.watch.link_is_up();
    for _ in 0..5 {
        status.recv_timeout(SOON).expect("other routes go on");
    }
    assert!(other.try_recv().is_err(), "nothing comes that would be read wrongly");
}
