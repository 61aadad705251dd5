//! A board on a serial line, a relay between that and the network, a station that wants the board's samples: three
//! programs.
//!
//!     cargo run --example gateway                                    # all three, for a few seconds
//!     cargo run --example gateway -- gateway serial:///dev/ttyUSB0   # the relay alone, beside a real board
//!     cargo run --example gateway -- station tcp://10.0.0.7:7450     # the station alone
//!
//! The board is the firmware under `examples/firmware`, in QEMU or as a process; where neither can be built, a
//! program in Rust stands in for it. The station knows nothing of the serial line: routes, types, losses and ages are
//! those of the board.

use bowline::{Endpoint, Event, Interest, InterestSettings};
use std::error::Error;
use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
#[path = "../tests/serial/cable.rs"]
#[allow(dead_code, reason = "a part of it is used here")]
mod cable;
#[cfg(target_os = "linux")]
#[path = "firmware/board.rs"]
mod firmware;
#[path = "firmware/messages.rs"]
#[allow(dead_code, reason = "a part of it is used here")]
mod messages;

type Fallible<T> = Result<T, Box<dyn Error>>;

fn main() -> Fallible<()> {
    env_logger::init();
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["gateway", port] => gateway(port, "tcp://0.0.0.0:7450"),
        ["gateway", port, listen] => gateway(port, listen),
        ["station", address] => station(address, Duration::MAX),
        ["station", address, seconds] => station(address, Duration::from_secs(seconds.parse()?)),
        ["board", port] => board(port),
        [] => all(),
        _ => Err("usage: gateway [gateway PORT | station ADDRESS | board PORT]".into()),
    }
}

/// The program in the middle. It decodes nothing and knows no types.
fn gateway(port: &str, listen: &str) -> Fallible<()> {
    let board = format!("{port}/robot.mcu?baud=115200");
    let gateway =
        Endpoint::builder("robot.gateway").connect(board).listen(listen).relay("robot.mcu").start()?;
    println!("relays robot.mcu at {}", gateway.listening()[0]);
    // Nothing is left to do but to say what happens.
    for event in gateway.events().iter() {
        if let Event::LinkUp { peer, .. } | Event::LinkDown { peer, .. } = &event {
            let what = if matches!(event, Event::LinkUp { .. }) { "up" } else { "down" };
            println!("relay: the link to {peer} is {what}");
        }
    }
    Ok(())
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

/// Stands in for the board where it cannot be built: its route, in Rust.
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
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    let cable = Cable::new(115_200);
    let program = |arguments: &[&str]| -> Fallible<Command> {
        let mut program = Command::new(std::env::current_exe()?);
        program.args(arguments);
        Ok(program)
    };
    let at = |end| cable.url(end, "").replace("?baud=115200", "");
    let _board = Program(match firmware::start(&cable.port(End::A))? {
        Some(board) => board,
        None => program(&["board", &at(End::A)])?.spawn()?,
    });
    let mut relay =
        Program(program(&["gateway", &at(End::B), "tcp://127.0.0.1:0"])?.stdout(Stdio::piped()).spawn()?);
    // The first thing it says is where it listens.
    let mut said = BufReader::new(relay.0.stdout.take().ok_or("the relay says nothing")?).lines();
    let first = said.next().ok_or("the relay ended")??;
    println!("{first}");
    std::thread::spawn(move || said.map_while(Result::ok).for_each(|line| println!("{line}")));
    let address = first.rsplit(' ').next().ok_or("the relay does not say where it listens")?;
    let station = program(&["station", address, "3"])?.status()?;
    if station.success() { Ok(()) } else { Err("the station failed".into()) }
}

#[cfg(not(target_os = "linux"))]
fn all() -> Fallible<()> {
    println!("pseudo-terminals are used as they are on Linux; start the three programs by hand");
    Ok(())
}
