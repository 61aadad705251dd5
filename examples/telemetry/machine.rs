//! Reads this machine's state from /proc and /sys.

use crate::messages::{About, CpuLoad, HERTZ, Interface, Memory, Network, Temperature, Temperatures};
use std::collections::VecDeque;
use std::fs;
use std::path::PathBuf;

/// Busy and total ticks: all processors together first, then each.
type Ticks = Vec<(u64, u64)>;

/// This machine, and what must be remembered between two samples.
#[derive(Default)]
pub struct Machine {
    /// The ticks of the last second, a reading for each sample.
    ticks: VecDeque<Ticks>,
    /// Where temperatures are read, and what the sensors are called.
    sensors: Vec<(String, PathBuf)>,
}

impl Machine {
    /// Looks for the sensors there are.
    pub fn new() -> Self {
        let mut machine = Self { ticks: VecDeque::new(), sensors: sensors() };
        // Load is a difference: the first reading only says where it starts.
        machine.cpu_load();
        machine
    }

    pub fn about(&self) -> About {
        let mut supplies = vec!["cpu", "memory", "network"];
        if self.has_temperatures() {
            supplies.push("temperature");
        }
        About {
            host: read("/proc/sys/kernel/hostname").unwrap_or_else(|| "unknown".into()),
            kernel: read("/proc/sys/kernel/osrelease").unwrap_or_else(|| "unknown".into()),
            processors: self.ticks.front().map_or(0, |ticks| ticks.len().saturating_sub(1) as u32),
            supplies: supplies.into_iter().map(String::from).collect(),
        }
    }

    /// Load over the last second; `None` where there is no /proc/stat.
    ///
    /// The kernel counts 100 ticks a second, as often as we look: between two looks there is
    /// next to nothing to see, so each is compared with the one a second before.
    pub fn cpu_load(&mut self) -> Option<CpuLoad> {
        let now = cpu_ticks(&read("/proc/stat")?);
        let load = |(i, (busy, total)): (usize, &(u64, u64))| {
            let before = self.ticks.front().and_then(|ticks| ticks.get(i)).copied().unwrap_or_default();
            let passed = total.saturating_sub(before.1);
            if passed == 0 { 0.0 } else { busy.saturating_sub(before.0) as f32 / passed as f32 }
        };
        let loads: Vec<f32> = now.iter().enumerate().map(load).collect();
        if self.ticks.len() >= HERTZ as usize {
            self.ticks.pop_front();
        }
        self.ticks.push_back(now);
        let average = read("/proc/loadavg").unwrap_or_default();
        let mut words = average.split_whitespace();
        let one_minute = words.next().and_then(|w| w.parse().ok()).unwrap_or(0.0);
        let runnable = words.nth(2).and_then(|w| w.split('/').next()?.parse().ok()).unwrap_or(0);
        let (total, each) = loads.split_first()?;
        Some(CpuLoad { total: *total, each: each.to_vec(), one_minute, runnable })
    }

    pub fn memory(&self) -> Option<Memory> {
        let text = read("/proc/meminfo")?;
        let kib = |name: &str| -> Option<u64> {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            line.split_whitespace().next()?.parse().ok()
        };
        Some(Memory {
            total_kib: kib("MemTotal")?,
            available_kib: kib("MemAvailable")?,
            cached_kib: kib("Cached").unwrap_or(0),
            swap_used_kib: kib("SwapTotal").unwrap_or(0).saturating_sub(kib("SwapFree").unwrap_or(0)),
        })
    }

    pub fn has_temperatures(&self) -> bool {
        !self.sensors.is_empty()
    }

    pub fn temperatures(&self) -> Option<Temperatures> {
        let sensors: Vec<Temperature> = self
            .sensors
            .iter()
            .filter_map(|(sensor, path)| {
                let milli: f32 = read(path)?.parse().ok()?;
                Some(Temperature { sensor: sensor.clone(), celsius: milli / 1000.0 })
            })
            .collect();
        (!sensors.is_empty()).then_some(Temperatures { sensors })
    }

    pub fn network(&self) -> Option<Network> {
        let interfaces = interfaces(&read("/proc/net/dev")?);
        (!interfaces.is_empty()).then_some(Network { interfaces })
    }
}

fn read(path: impl Into<PathBuf>) -> Option<String> {
    fs::read_to_string(path.into()).ok().map(|text| text.trim().to_string())
}

/// Busy and total ticks of all processors together, then of each.
fn cpu_ticks(stat: &str) -> Ticks {
    stat.lines()
        .take_while(|line| line.starts_with("cpu"))
        .map(|line| {
            let ticks: Vec<u64> = line.split_whitespace().skip(1).filter_map(|t| t.parse().ok()).collect();
            // user nice system idle iowait irq softirq steal; guest time is in user already.
            let total: u64 = ticks.iter().take(8).sum();
            let idle: u64 = ticks.iter().skip(3).take(2).sum();
            (total - idle, total)
        })
        .collect()
}

fn interfaces(dev: &str) -> Vec<Interface> {
    dev.lines()
        .filter_map(|line| {
            let (name, counters) = line.split_once(':')?;
            let n: Vec<u64> = counters.split_whitespace().filter_map(|c| c.parse().ok()).collect();
            let at = |i: usize| n.get(i).copied();
            Some(Interface {
                name: name.trim().into(),
                received_bytes: at(0)?,
                received_packets: at(1)?,
                sent_bytes: at(8)?,
                sent_packets: at(9)?,
                faults: at(2)? + at(3)? + at(10)? + at(11)?,
            })
        })
        .collect()
}

/// Thermal zones, and where there are none, hardware monitors.
fn sensors() -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    for zone in entries("/sys/class/thermal", "thermal_zone") {
        let name = read(zone.join("type")).unwrap_or_else(|| "zone".into());
        found.push((name, zone.join("temp")));
    }
    if found.is_empty() {
        for monitor in entries("/sys/class/hwmon", "hwmon") {
            let name = read(monitor.join("name")).unwrap_or_else(|| "sensor".into());
            found.extend((1..=8).map(|i| (format!("{name} {i}"), monitor.join(format!("temp{i}_input")))));
        }
    }
    found.retain(|(_, path)| read(path).is_some_and(|text| text.parse::<f32>().is_ok()));
    found.truncate(16);
    found
}

fn entries(folder: &str, prefix: &str) -> Vec<PathBuf> {
    let Ok(listing) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = listing
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix)))
        .collect();
    paths.sort();
    paths
}
