//! What this process holds and uses, as Linux tells it.

use super::Result;
use std::fs;
use std::time::Duration;

/// What this process holds, in KiB.
pub struct Memory {
    pub stacks: usize,
    pub other: usize,
}

impl Memory {
    pub fn now() -> Result<Self> {
        let (mut stacks, mut all, mut size) = (0, 0, 0);
        for line in fs::read_to_string("/proc/self/smaps")?.lines() {
            let mut words = line.split_whitespace();
            match (words.next(), words.next()) {
                (Some("Size:"), Some(kib)) => size = kib.parse()?,
                (Some("Rss:"), Some(kib)) => {
                    let resident: usize = kib.parse()?;
                    all += resident;
                    // Stacks of threads are mapped whole, and apart from each other by a guard page.
                    if STACKS.contains(&size) {
                        stacks += resident;
                    }
                }
                _ => {}
            }
        }
        Ok(Self { stacks, other: all - stacks })
    }
}

/// KiB mapped for the stack of a thread: what Rust takes unless told otherwise.
const STACKS: [usize; 2] = [2048, 256];

pub fn threads() -> Result<usize> {
    Ok(fs::read_dir("/proc/self/task")?.count())
}

/// How long all threads of this process ran.
pub fn cpu() -> Result<Duration> {
    let mut nanos = 0;
    for task in fs::read_dir("/proc/self/task")?.flatten() {
        // One that ended meanwhile is left out.
        let Ok(text) = fs::read_to_string(task.path().join("schedstat")) else { continue };
        nanos += text.split_whitespace().next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0);
    }
    Ok(Duration::from_nanos(nanos))
}
