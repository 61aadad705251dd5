//! What the robot supplies. Any serde type is a message.

use serde::{Deserialize, Serialize};

/// Where everything is.
pub const ROBOT: &str = "robot";
pub const STATION: &str = "station";

/// How often a sample is taken.
pub const HERTZ: u32 = 100;

/// What this robot supplies: kept for stations that come late.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct About {
    pub host: String,
    pub kernel: String,
    pub processors: u32,
    /// The last segment of the path of each route that has data.
    pub supplies: Vec<String>,
}

/// Processor load over the last second, 0 to 1, and the system's own one-minute figure.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CpuLoad {
    pub total: f32,
    pub each: Vec<f32>,
    pub one_minute: f32,
    pub runnable: u32,
}

/// Memory in KiB.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Memory {
    pub total_kib: u64,
    pub available_kib: u64,
    pub cached_kib: u64,
    pub swap_used_kib: u64,
}

/// One sensor of the kernel's.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Temperature {
    pub sensor: String,
    pub celsius: f32,
}

/// All sensors at once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Temperatures {
    pub sensors: Vec<Temperature>,
}

/// One interface's counters since it came up.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Interface {
    pub name: String,
    pub received_bytes: u64,
    pub received_packets: u64,
    pub sent_bytes: u64,
    pub sent_packets: u64,
    pub faults: u64,
}

/// All interfaces at once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Network {
    pub interfaces: Vec<Interface>,
}
