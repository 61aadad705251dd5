//! Links over serial lines: pseudo-terminals with a cable between them that is as slow as a real one, and that can
//! be pulled out, damaged, and talked into.
#![cfg(unix)]

#[path = "../support/mod.rs"]
mod support;

mod cable;
mod doctor;
mod idle;
mod link;
mod lossless;
mod options;
mod replug;
mod share;

use bowline::Endpoint;
use cable::{Cable, End};

/// A robot that listens at one end of a cable and a desk that dials it at the other.
struct Ends {
    robot: Endpoint,
    desk: Endpoint,
}

fn ends(cable: &Cable) -> Ends {
    // `RUST_LOG=debug` shows what goes on.
    let _ = env_logger::builder().is_test(true).try_init();
    let robot = Endpoint::builder("robot").listen(cable.url(End::A, "")).start();
    let desk = Endpoint::builder("desk").connect(cable.url(End::B, "/robot")).start();
    Ends { robot: robot.expect("the robot starts"), desk: desk.expect("the desk starts") }
}
