//! A board at one end of a cable, and a desk at the other.

use crate::cable::{Cable, End};
use crate::messages::{Command as Order, Imu, Setpoint, Status};
use crate::support::{SOON, Watch};
use bowline::{Endpoint, Intent, Interest, InterestSettings};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// What runs the board's program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Process,
    Qemu,
}

impl Kind {
    /// Whether it can be run here; says so if not.
    pub fn is_there(self) -> bool {
        let tools: &[&str] = match self {
            Kind::Process => &["cc"],
            Kind::Qemu => &["arm-none-eabi-gcc", "qemu-system-arm"],
        };
        let missing = tools.iter().find(|name| !tool(name));
        if let Some(name) = missing {
            println!("skipped: {name} is not installed");
        }
        missing.is_none()
    }

    /// The board's program, built once.
    fn program(self) -> &'static Path {
        static BUILT: [OnceLock<PathBuf>; 2] = [OnceLock::new(), OnceLock::new()];
        BUILT[self as usize].get_or_init(|| match self {
            Kind::Process => {
                build("host", &[("SANITIZE", "1")]);
                out().join("imu_board")
            }
            Kind::Qemu => {
                build("firmware", &[]);
                out().join("firmware.elf")
            }
        })
    }
}

pub fn tool(name: &str) -> bool {
    Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/firmware")
}

fn out() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("firmware")
}

/// Runs `build.sh` and returns what it printed.
pub fn build(what: &str, environment: &[(&str, &str)]) -> String {
    let mut command = Command::new("sh");
    command.arg(folder().join("build.sh")).arg(what).arg(out()).envs(environment.iter().copied());
    let output = command.output().expect("sh starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "build.sh {what}: {text}\n{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// Closes all that a program would inherit, and becomes that program.
const CLOSE_ALL: &str =
    r#"for file in /proc/$$/fd/*; do n=${file##*/}; [ "$n" -gt 2 ] && eval "exec $n>&-"; done; exec "$@""#;

/// A board that runs, and a desk that dials it.
pub struct Rig {
    pub cable: Cable,
    pub desk: Endpoint,
    pub watch: Watch,
    board: Child,
}

impl Rig {
    pub fn new(kind: Kind) -> Self {
        let cable = Cable::new(115_200);
        let port = cable.port(End::A);
        // The cable's ports are not to be held open by it.
        let mut command = Command::new("bash");
        command.args(["-c", CLOSE_ALL, "board"]);
        match kind {
            Kind::Process => {
                command.arg(kind.program()).arg(&port);
            }
            Kind::Qemu => {
                command.args([
                    "qemu-system-arm",
                    "-M",
                    "mps2-an385",
                    "-nographic",
                    "-monitor",
                    "none",
                    "-nodefaults",
                ]);
                command.arg("-chardev").arg(format!("serial,id=line,path={port}"));
                command.args(["-serial", "chardev:line"]).arg("-kernel").arg(kind.program());
            }
        }
        let board = command.stdin(Stdio::null()).spawn().expect("the board starts");
        let desk = Endpoint::builder("desk").connect(cable.url(End::B, "/robot.mcu")).start();
        let desk = desk.expect("the desk starts");
        Self { watch: Watch::new(&desk), cable, desk, board }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let ended = self.board.try_wait();
        let _ = self.board.kill();
        let _ = self.board.wait();
        if !std::thread::panicking() {
            assert!(matches!(ended, Ok(None)), "the board's program ended by itself: {ended:?}");
        }
    }
}

/// A rig whose desk uses all that the board has.
pub struct Bench {
    pub imu: Interest<Imu>,
    pub status: Interest<Status>,
    pub setpoint: Intent<Setpoint>,
    pub order: Intent<Order>,
    pub rig: Rig,
}

impl Bench {
    pub fn new(kind: Kind) -> Self {
        let rig = Rig::new(kind);
        let queue = InterestSettings::new().queue(64);
        Self {
            imu: rig.desk.interest_with("robot.mcu.imu", queue).expect("an interest"),
            status: rig.desk.interest("robot.mcu.status").expect("an interest"),
            setpoint: rig.desk.intent("robot.mcu.setpoint").expect("an intent"),
            order: rig.desk.intent("robot.mcu.command").expect("an intent"),
            rig,
        }
    }

    /// Waits until all routes are linked.
    pub fn is_up(&mut self) {
        self.rig.watch.link_is_up();
        assert!(self.setpoint.wait_interest(SOON) && self.order.wait_interest(SOON));
        self.imu.recv_timeout(SOON).expect("the board measures");
    }

    /// The first status that is as wanted.
    pub fn status_when(&self, what: &str, wanted: impl Fn(&Status) -> bool) -> Status {
        let mut last = None;
        crate::support::until(what, || {
            let status = *self.status.recv_timeout(SOON).expect("the board says how it fares");
            last = Some(status);
            wanted(&status)
        });
        last.expect("there was one")
    }
}
