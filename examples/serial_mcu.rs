//! A microcontroller on a serial line: an IMU at 100 Hz up, set-points at 50 Hz down, a live table; in the middle
//! of it the cable is pulled out and put back.
//!
//!     cargo run --example serial_mcu -- --seconds 8
//!
//! The board is the firmware under `examples/firmware`, in QEMU where `qemu-system-arm` and `arm-none-eabi-gcc` are
//! installed, else the same program as a process; both on a pseudo-terminal with a cable behind it that is as slow
//! as a real one. With a real board only the URL differs: `serial:///dev/ttyUSB0/robot.mcu?baud=115200`.

#[cfg(target_os = "linux")]
#[path = "firmware/board.rs"]
mod board;
#[cfg(target_os = "linux")]
#[path = "../tests/serial/cable.rs"]
#[allow(dead_code, reason = "a part of it is used here")]
mod cable;
#[path = "firmware/messages.rs"]
#[allow(dead_code, reason = "a part of it is used here")]
mod messages;

#[cfg(target_os = "linux")]
use std::error::Error;

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("pseudo-terminals are used as they are on Linux; there is nothing to show here");
}

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn Error>> {
    linux::main()
}

#[cfg(target_os = "linux")]
mod linux {
    use crate::cable::{Cable, End};
    use crate::messages::{Imu, Setpoint, Status};
    use bowline::{Endpoint, Intent, Interest, InterestSettings};
    use std::error::Error;
    use std::time::{Duration, Instant};

    const CYCLE: Duration = Duration::from_millis(20);

    pub(crate) fn main() -> Result<(), Box<dyn Error>> {
        env_logger::init();
        let mut arguments = std::env::args().skip_while(|argument| argument != "--seconds").skip(1);
        let seconds: u32 = arguments.next().map_or(Ok(8), |text| text.parse())?;
        let cable = Cable::new(115_200);
        let Some(mut board) = crate::board::start(&cable.port(End::A))? else {
            println!("neither QEMU with arm-none-eabi-gcc nor cc is installed: there is nothing to show");
            return Ok(());
        };
        let shown = show(&cable, seconds);
        board.kill()?;
        board.wait()?;
        shown
    }

    fn show(cable: &Cable, seconds: u32) -> Result<(), Box<dyn Error>> {
        let desk = Endpoint::builder("robot.base").connect(cable.url(End::B, "/robot.mcu")).start()?;
        let imu: Interest<Imu> = desk.interest_with("robot.mcu.imu", InterestSettings::new().queue(64))?;
        let status: Interest<Status> = desk.interest("robot.mcu.status")?;
        let setpoint: Intent<Setpoint> = desk.intent("robot.mcu.setpoint")?;
        if !setpoint.wait_interest(Duration::from_secs(10)) {
            return Err("the board does not come up".into());
        }
        let cycles = seconds * 50;
        let (begun, mut next, mut count, mut total, mut oldest) =
            (Instant::now(), Instant::now(), 0, 0u32, Duration::ZERO);
        let mut now = Status::default();
        println!("   time  link     imu/s  oldest ms  set-points  lost  age us  wheels");
        for cycle in 1..=cycles {
            setpoint.send(Setpoint { count: cycle, left: 0.4, right: 0.6 })?;
            while let Ok(sample) = imu.try_recv() {
                count += 1;
                oldest = oldest.max(sample.age());
            }
            if cycle == cycles / 2 {
                println!("         the cable is pulled out");
                cable.unplug(End::B);
            }
            if cycle == cycles / 2 + 50 {
                println!("         and put back");
                cable.plug(End::B);
            }
            if cycle % 25 == 0 {
                while let Ok(newer) = status.try_recv() {
                    now = *newer;
                }
                let links = desk.links();
                let is_up = links.first().is_some_and(|link| link.state.is_up());
                println!(
                    "{:6.1}s  {:6} {:7} {:10.1} {:11} {:5} {:7}  {}",
                    begun.elapsed().as_secs_f64(),
                    if is_up { "up" } else { "down" },
                    count * 2,
                    oldest.as_secs_f64() * 1e3,
                    now.setpoints,
                    now.lost,
                    now.age,
                    if now.stopped { "stopped" } else { "turn" }
                );
                total += count;
                (count, oldest) = (0, Duration::ZERO);
            }
            next += CYCLE;
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        println!("{total} measurements in {seconds} s, one of them without a cable");
        if !desk.links().first().is_some_and(|link| link.state.is_up()) {
            return Err("the link did not come back".into());
        }
        Ok(())
    }
}
