//! What the board and the robot's computer say to each other. `messages.h` beside this file is the same in C,
//! printed by `cargo run --example c_header`.

use serde::{Deserialize, Serialize};

/// Measured by the board, 100 times a second, as `Imu@robot.mcu.imu`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Imu {
    /// Counts up from 0 when the board starts.
    pub count: u32,
    /// Radians per second.
    pub gyro: [f32; 3],
    /// Metres per second squared.
    pub accel: [f32; 3],
}

/// What the wheels shall do, 50 times a second, as `Setpoint@robot.mcu.setpoint`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Setpoint {
    pub count: u32,
    /// Metres per second.
    pub left: f32,
    pub right: f32,
}

/// How the board fares, 10 times a second, as `Status@robot.mcu.status`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Set-points that came since the board started, and those it knows to be lost.
    pub setpoints: u32,
    pub lost: u32,
    /// The `count` of the last set-point.
    pub last: u32,
    /// How old that was when it came, in microseconds.
    pub age: u32,
    /// Commands done, and the number of the last `Echo`.
    pub commands: u32,
    pub echo: u16,
    /// Frames broken on the line, and times the board repeated what it said.
    pub noise: u32,
    pub repeats: u32,
    /// No set-point came for 200 ms, so the wheels were stopped.
    pub stopped: bool,
}

/// What is asked of the board, every one of it in order, as `Command@robot.mcu.command`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Command {
    /// Starts anew, as by its reset button.
    Reset,
    /// Hangs in an endless loop; the watchdog resets the board after some seconds, if it has one.
    Hang,
    /// Comes back in [`Status`].
    Echo(u16),
}
