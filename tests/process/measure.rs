//! What this process holds: memory, threads, descriptors.
#![allow(dead_code, reason = "each test program uses a part")]

use std::fs;
use std::time::{Duration, Instant};

/// What the system holds for this process now, in bytes.
pub fn resident() -> usize {
    status("VmRSS:")
}

/// The most it held since [`forget_peak`].
pub fn peak() -> usize {
    status("VmHWM:")
}

/// Lets the peak begin again at what is held now.
pub fn forget_peak() {
    fs::write("/proc/self/clear_refs", "5").expect("Linux resets the peak");
}

fn status(field: &str) -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("Linux tells");
    let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("the field is there");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") * 1024
}

/// The names of this library's threads in this process.
pub fn threads() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").expect("Linux tells").flatten();
    let names = tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
    names.map(|name| name.trim().to_owned()).filter(|name| name.starts_with("bowline/")).collect()
}

/// Open descriptors.
pub fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").expect("Linux tells").count()
}

/// Looks again and again, with short pauses, for what announces no change by itself.
pub fn eventually(within: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + within;
    loop {
        if holds() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// Waits until all threads of this library are gone: a joined one is listed for a moment longer.
pub fn no_threads_are_left() {
    assert!(eventually(Duration::from_secs(1), || threads().is_empty()), "left: {:?}", threads());
}
