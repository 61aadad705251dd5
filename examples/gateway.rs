//! A board on a serial line, a relay between that and the network, a station that wants the board's samples: three
//! programs, here in one file.
//!
//!     cargo run --example gateway                                    # all three, for a few seconds
//!     cargo run --example gateway -- gateway serial:///dev/ttyUSB0   # the relay alone, beside a real board
//!     cargo run --example gateway -- station tcp://10.0.0.7:7450     # the station alone
//!
//! The station knows nothing of the serial line: routes, types, losses and ages are those of the board.

use bowline::{Endpoint, Interest, InterestSettings};
use std::error::Error;
use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
#[path = "../tests/serial/cable.rs"]
#[allow(dead_code, reason = "a part of it is used here")]
mod cable;
#[path = "firmware/messages.rs"]
#[allow(dead_code, reason = "a part of it is used here")]
mod messages;

type Fallible<T> = Result<T, Box<dyn Error>>;

fn main() -> Fallible<()> {
    env_logger::init();
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["gateway", port] => {
            let gateway = gateway(&format!("{port}/robot.mcu?baud=115200"), "tcp://0.0.0.0:7450")?;
            println!("relays robot.mcu at {}", gateway.listening()[0]);
            loop {
                std::thread::park();
            }
        }
        ["station", address] => station(address, Duration::from_secs(3600)),
        ["board", port] => board(port),
        [] => all(),
        _ => Err("usage: gateway [gateway PORT | station ADDRESS | board PORT]".into()),
    }
}

/// The program in the middle. It decodes nothing and knows no types.
fn gateway(board: &str, listen: &str) -> Fallible<Endpoint> {
    Ok(Endpoint::builder("robot.gateway").connect(board).listen(listen).relay("robot.mcu").start()?)
}

/// Somebody who wants the board's samples.
fn station(address: &str, time: Duration) -> Fallible<()> {
    let station = Endpoint::builder("station").connect(format!("{address}/robot.gateway")).start()?;
    let settings = InterestSettings::new().queue(64);
    let imu: Interest<messages::Imu> = station.interest_with("robot.mcu.imu", settings)?;
    let (begun, mut count, mut shown) = (Instant::now(), 0, Instant::now());
    while begun.elapsed() < time {
        let sample = imu.recv_timeout(Duration::from_secs(10))?;
        count += 1;
        if shown.elapsed() > Duration::from_millis(500) {
            shown = Instant::now();
            println!("measurement {} of the board, {:?} old, {count} so far", sample.count, sample.age());
        }
    }
    println!("the station got {count} measurements in {:.1} s", begun.elapsed().as_secs_f64());
    Ok(())
}

/// A stand-in for the board where there is none: its routes, in Rust. `serial_mcu` shows the firmware itself.
fn board(port: &str) -> Fallible<()> {
    let board = Endpoint::builder("robot.mcu").listen(format!("{port}?baud=115200")).start()?;
    let imu = board.intent::<messages::Imu>("robot.mcu.imu")?;
    for count in 0.. {
        imu.send(messages::Imu { count, accel: [0.0, 0.0, 9.81], ..Default::default() })?;
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// A program that ends with this one.
#[cfg(target_os = "linux")]
struct Program(std::process::Child);

#[cfg(target_os = "linux")]
impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(target_os = "linux")]
fn all() -> Fallible<()> {
    use cable::{Cable, End};
    let cable = Cable::new(115_200);
    let program = |arguments: &[&str]| -> Fallible<Program> {
        Ok(Program(std::process::Command::new(std::env::current_exe()?).args(arguments).spawn()?))
    };
    let _board = program(&["board", &cable.url(End::A, "").replace("?baud=115200", "")])?;
    let gateway = gateway(&cable.url(End::B, "/robot.mcu"), "tcp://127.0.0.1:0")?;
    let address = &gateway.listening()[0];
    println!("a board at {}, a relay at {address}, a station", cable.port(End::A));
    station(address, Duration::from_secs(3))
}

#[cfg(not(target_os = "linux"))]
fn all() -> Fallible<()> {
    println!("pseudo-terminals are used as they are on Linux; start the three programs by hand");
    Ok(())
}
