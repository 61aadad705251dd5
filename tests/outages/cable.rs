//! Two network namespaces and the cable between them.

use std::process::{Command, Output};

/// Gone when dropped.
pub struct Cable {
    pub robot: String,
    pub desk: String,
}

/// At which end the cable is pulled: the other one sees that nothing is plugged in there any more.
#[derive(Clone, Copy, Debug)]
pub enum End {
    Robot,
    Desk,
}

impl Cable {
    pub fn lay(name: &str) -> Option<Self> {
        if !Command::new("ip").arg("-V").output().is_ok_and(|output| output.status.success()) {
            println!("note: skipped, there is no `ip`; install iproute2");
            return None;
        }
        let id = std::process::id();
        let cable = Self { robot: format!("bowline-{name}-a{id}"), desk: format!("bowline-{name}-b{id}") };
        let added = ip(&["netns", "add", &cable.robot]);
        if !added.status.success() {
            let why = String::from_utf8_lossy(&added.stderr).into_owned();
            println!("note: skipped, no network namespace can be made here: {}", why.trim());
            return None;
        }
        let Self { robot, desk } = &cable;
        let steps: [&[&str]; 8] = [
            &["netns", "add", desk],
            &["link", "add", "cable", "netns", robot, "type", "veth", "peer", "name", "cable", "netns", desk],
            &["-n", robot, "addr", "add", "10.78.1.1/24", "dev", "cable"],
            &["-n", desk, "addr", "add", "10.78.1.2/24", "dev", "cable"],
            &["-n", robot, "link", "set", "lo", "up"],
            &["-n", desk, "link", "set", "lo", "up"],
            &["-n", robot, "link", "set", "cable", "up"],
            &["-n", desk, "link", "set", "cable", "up"],
        ];
        for step in steps {
            run(step);
        }
        Some(cable)
    }

    pub fn pull(&self, end: End) {
        self.set(end, "down");
    }

    pub fn plug(&self, end: End) {
        self.set(end, "up");
    }

    fn set(&self, end: End, state: &str) {
        let namespace = match end {
            End::Robot => &self.robot,
            End::Desk => &self.desk,
        };
        run(&["-n", namespace, "link", "set", "cable", state]);
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for namespace in [&self.robot, &self.desk] {
            ip(&["netns", "del", namespace]);
        }
    }
}

fn run(step: &[&str]) {
    let done = ip(step);
    assert!(done.status.success(), "ip {step:?}: {}", String::from_utf8_lossy(&done.stderr));
}

fn ip(args: &[&str]) -> Output {
    Command::new("ip").args(args).output().expect("it is there")
}
