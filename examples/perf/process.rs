//! Starting this program again as server or client, pinned or not, and looking at it in /proc.

use crate::options::Line;
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, UdpSocket};
use std::process::{Child, Command, Stdio};

/// The two processors that processes are pinned to, where the system has two and `taskset`.
#[derive(Clone, Copy, Debug)]
pub struct Processors {
    pub server: usize,
    pub client: usize,
}

impl Processors {
    pub fn find() -> Option<Self> {
        let mut taskset = Command::new("taskset");
        taskset.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        if !taskset.status().is_ok_and(|status| status.success()) {
            return None;
        }
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
        let mut allowed = list.trim().split(',').flat_map(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            first.parse().unwrap_or(0usize)..=last.parse().unwrap_or(0usize)
        });
        Some(Self { server: allowed.next()?, client: allowed.next()? })
    }
}

/// A running copy of this program; ended when dropped.
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts this program with `args`, on one processor if one is named.
    pub fn start(args: &[String], processor: Option<usize>) -> Result<Self, String> {
        let own = std::env::current_exe().map_err(|e| format!("cannot find this program: {e}"))?;
        let mut command = match processor {
            Some(number) => {
                let mut command = Command::new("taskset");
                command.arg("-c").arg(number.to_string()).arg(own);
                command
            }
            None => Command::new(own),
        };
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped());
        let child = command.spawn().map_err(|e| format!("cannot start {args:?}: {e}"))?;
        Ok(Self { child })
    }

    /// Waits for the line `READY`.
    pub fn wait_ready(&mut self) -> Result<(), String> {
        let mut line = String::new();
        if let Some(output) = self.child.stdout.take() {
            BufReader::new(output).read_line(&mut line).map_err(|e| e.to_string())?;
        }
        if line.trim() == "READY" { Ok(()) } else { Err("the server ended before it was ready".into()) }
    }

    /// Waits for the end and reads the line of JSON.
    pub fn result(mut self) -> Result<Value, String> {
        let mut line = String::new();
        if let Some(output) = self.child.stdout.take() {
            BufReader::new(output).read_line(&mut line).map_err(|e| e.to_string())?;
        }
        let status = self.child.wait().map_err(|e| e.to_string())?;
        if !status.success() {
            return Err(format!("a measuring process failed: {status}"));
        }
        serde_json::from_str(&line).map_err(|e| format!("`{}` is no JSON: {e}", line.trim()))
    }

    /// A number from /proc/PID/status, such as `VmHWM` in KiB; `None` where there is no /proc.
    pub fn status(&self, field: &str) -> Option<f64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse().ok()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address on this machine that nothing listens at.
pub fn free_address(line: Line) -> Result<String, String> {
    let address = match line {
        Line::Tcp => TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()),
        Line::Udp => UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()),
    };
    address.map(|address| address.to_string()).map_err(|e| e.to_string())
}
