//! Other processes that run this same test program, in a role.
#![allow(dead_code, reason = "each test program uses a part")]

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// A process in a role. It is killed when this is dropped.
pub struct Role {
    process: Child,
    lines: Receiver<String>,
}

impl Role {
    /// Starts this program again, to run its test `child_process` with the role and what it is to know.
    pub fn start(role: &str, told: &[&str]) -> Self {
        let program = std::env::current_exe().expect("Linux tells");
        Self::spawn(Command::new(program), role, told)
    }

    /// The same with at most so many descriptors.
    pub fn start_with_descriptors(most: usize, role: &str, told: &[&str]) -> Self {
        let program = std::env::current_exe().expect("Linux tells");
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("ulimit -n {most}; exec \"$0\" \"$@\"")).arg(program);
        Self::spawn(shell, role, told)
    }

    /// The same in a network namespace, as `ip netns` names it.
    pub fn start_in_namespace(namespace: &str, role: &str, told: &[&str]) -> Self {
        let program = std::env::current_exe().expect("Linux tells");
        let mut ip = Command::new("ip");
        ip.args(["netns", "exec", namespace]).arg(program);
        Self::spawn(ip, role, told)
    }

    fn spawn(mut command: Command, role: &str, told: &[&str]) -> Self {
        command.args(["--exact", "child_process", "--nocapture", "--test-threads=1"]);
        command.env(ROLE, role).env(TOLD, told.join("\n"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("starts");
        let output = BufReader::new(process.stdout.take().expect("piped"));
        let (said, lines) = channel();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if said.send(line).is_err() {
                    return;
                }
            }
        });
        Self { process, lines }
    }

    /// The rest of the next line that it says with this word, within 10 s; others are passed over.
    pub fn hears(&self, word: &str) -> String {
        self.hears_within(word, Duration::from_secs(10)).unwrap_or_else(|| panic!("no `{word}` in time"))
    }

    pub fn hears_within(&self, word: &str, within: Duration) -> Option<String> {
        let deadline = Instant::now() + within;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left).ok()?;
            // What is not said by the role may stand before it on its line.
            if let Some((_, rest)) = line.split_once(&format!("[{word}]")) {
                return Some(rest.trim().to_owned());
            }
        }
    }

    /// Ends what it reads: it stops to wait for its parent and goes on to its end.
    pub fn end_input(&mut self) {
        self.process.stdin.take();
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Sends a signal such as `STOP`.
    pub fn signal(&self, name: &str) {
        let kill = Command::new("kill").arg(format!("-{name}")).arg(self.process.id().to_string()).status();
        assert!(kill.expect("there is a kill").success());
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// For the child: its role and what it is told; `None` in the process of the tests.
pub fn role() -> Option<(String, Vec<String>)> {
    let role = std::env::var(ROLE).ok()?;
    let told = std::env::var(TOLD).unwrap_or_default();
    Some((role, told.lines().map(str::to_owned).collect()))
}

/// For the child: says something to the parent.
pub fn say(word: &str, rest: impl std::fmt::Display) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "[{word}] {rest}");
    let _ = out.flush();
}

/// For the child: waits until the parent is gone or ends it.
pub fn until_the_parent_ends() {
    let _ = std::io::stdin().read(&mut [0]);
}

const ROLE: &str = "BOWLINE_TEST_ROLE";
const TOLD: &str = "BOWLINE_TEST_TOLD";
