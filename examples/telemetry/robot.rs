//! The robot: samples this machine and supplies it.

use crate::machine::Machine;
use crate::messages::{About, CpuLoad, HERTZ, Memory, Network, ROBOT, Temperatures};
use bowline::{Endpoint, Error, Intent, IntentSettings};
use std::thread;
use std::time::{Duration, Instant};

/// What the robot supplies.
pub struct Robot {
    machine: Machine,
    about: Intent<About>,
    cpu: Intent<CpuLoad>,
    memory: Intent<Memory>,
    network: Intent<Network>,
    temperature: Option<Intent<Temperatures>>,
}

impl Robot {
    pub fn new(endpoint: &Endpoint) -> Result<Self, Error> {
        let machine = Machine::new();
        let path = |name: &str| format!("{ROBOT}.{name}");
        Ok(Self {
            // A station that comes late still wants to know whom it looks at.
            about: endpoint.intent_with(&path("about"), IntentSettings::new().retain())?,
            cpu: endpoint.intent(&path("cpu"))?,
            memory: endpoint.intent(&path("memory"))?,
            network: endpoint.intent(&path("network"))?,
            temperature: match machine.has_temperatures() {
                true => Some(endpoint.intent(&path("temperature"))?),
                false => None,
            },
            machine,
        })
    }

    /// Samples at a steady pace for as long as `goes_on` says so, asked once a second.
    pub fn run(mut self, mut goes_on: impl FnMut() -> bool) -> Result<(), String> {
        self.about.send(self.machine.about()).map_err(|e| e.to_string())?;
        let pace = Duration::from_secs(1) / HERTZ;
        let mut next = Instant::now();
        while goes_on() {
            for _ in 0..HERTZ {
                // Sleeping until a point in time, not for a span: lateness does not add up.
                thread::sleep(next.saturating_duration_since(Instant::now()));
                next = (next + pace).max(Instant::now());
                self.sample().map_err(|e| e.to_string())?;
            }
        }
        Ok(())
    }

    /// Reads and sends everything once. Sending never waits; with nobody interested it costs next
    /// to nothing, so nothing asks first.
    fn sample(&mut self) -> Result<(), Box<dyn std::error::Error>> {
        if let Some(load) = self.machine.cpu_load() {
            self.cpu.send(load)?;
        }
        if let Some(memory) = self.machine.memory() {
            self.memory.send(memory)?;
        }
        if let Some(network) = self.machine.network() {
            self.network.send(network)?;
        }
        if let (Some(intent), Some(sample)) = (&self.temperature, self.machine.temperatures()) {
            intent.send(sample)?;
        }
        Ok(())
    }
}
