//! Both programs and the cable, what is done to them, and what came of it.

use crate::cable::{Cable, End};
use crate::child::Role;
use crate::programs::now;
use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(20);

/// How the two programs are joined.
#[derive(Clone, Copy)]
pub struct Setting {
    pub scheme: &'static str,
    pub robot_dials: bool,
}

impl Default for Setting {
    fn default() -> Self {
        Self { scheme: "tcp", robot_dials: false }
    }
}

pub struct Scene {
    cable: Cable,
    setting: Setting,
    robot: Role,
    desk: Role,
    /// Where readers write down what must not be.
    faults: PathBuf,
    /// Threads and descriptors of the robot and the desk in the beginning.
    held: [(usize, usize); 2],
    /// Readers that were killed, and with them what they counted.
    killed: bool,
    report: Report,
}

/// What came of it.
#[derive(Default)]
pub struct Report {
    pub found: Times,
    pub back: Times,
    taken: u64,
    lost: u64,
    unconfirmed: u64,
    /// What one reader received in all, if it was one.
    received: Option<u64>,
    sessions: u64,
    faults: String,
    /// Threads and descriptors of the robot and the desk: in the beginning, in the end.
    held: Vec<[(usize, usize); 2]>,
}

impl Scene {
    /// Lets both begin and waits for samples; `None` where there can be no such cable.
    pub fn begin(name: &str, setting: Setting) -> Option<Self> {
        let cable = Cable::lay(name)?;
        let faults = std::env::temp_dir().join(format!("bowline-faults-{name}-{}", std::process::id()));
        let _ = fs::remove_file(&faults);
        let robot = start(&cable, setting, "robot", &faults);
        robot.hears("ready");
        let desk = start(&cable, setting, "desk", &faults);
        desk.hears_within("flow", SOON).expect("samples flow");
        let held = [held(&robot), held(&desk)];
        let report = Report::default();
        Some(Self { cable, setting, robot, desk, faults, held, killed: false, report })
    }

    /// Pulls the cable at either end in turn, for a while, and plugs it in again.
    pub fn pull_cables(&mut self, count: usize) {
        for round in 0..count {
            let end = if round % 2 == 0 { End::Robot } else { End::Desk };
            // Some are so long that the waits before dialling again are long by then.
            let span = if round % 20 == 4 { 7000 } else { [600, 2500, 800, 1200][round / 2 % 4] };
            let began = now();
            self.cable.pull(end);
            let what = format!("{span} ms at the {end:?}");
            self.report.found.add(since(began, &self.robot, "down"), &what);
            self.report.found.add(since(began, &self.desk, "down"), &what);
            pause(Duration::from_millis(span).saturating_sub(Duration::from_micros(now() - began)));
            let plugged = now();
            self.cable.plug(end);
            self.report.back.add(since(plugged, &self.desk, "flow"), &what);
            pause(Duration::from_millis(300));
        }
    }

    /// Freezes the reader for a while.
    pub fn freeze_readers(&mut self, count: usize) {
        for round in 0..count {
            let began = now();
            self.desk.signal("STOP");
            self.report.found.add(since(began, &self.robot, "down"), "frozen");
            let span = [50, 300, 1500][round % 3];
            pause(Duration::from_millis(span));
            let thawed = now();
            self.desk.signal("CONT");
            let what = format!("thawed {span} ms later");
            self.report.back.add(since(thawed, &self.desk, "flow"), &what);
            pause(Duration::from_millis(300));
        }
    }

    /// Kills the reader and starts another one.
    pub fn kill_readers(&mut self, count: usize) {
        self.killed = count > 0;
        for _ in 0..count {
            let began = now();
            self.desk.signal("KILL");
            self.report.found.add(since(began, &self.robot, "down"), "killed");
            let started = now();
            self.desk = start(&self.cable, self.setting, "desk", &self.faults);
            self.report.back.add(since(started, &self.desk, "flow"), "started anew");
            pause(Duration::from_millis(300));
        }
    }

    /// Ends both and says what came of it.
    pub fn end(mut self) -> Report {
        let mut report = self.report;
        report.held.push(self.held);
        // The system takes a moment to let go of what is closed.
        let deadline = Instant::now() + Duration::from_secs(5);
        let mut held_now = [held(&self.robot), held(&self.desk)];
        while held_now != self.held && Instant::now() < deadline {
            pause(Duration::from_millis(20));
            held_now = [held(&self.robot), held(&self.desk)];
        }
        report.held.push(held_now);
        self.robot.end_input();
        let totals = numbers(&self.robot.hears_within("totals", SOON).expect("the robot ends"));
        (report.taken, report.lost, report.unconfirmed) = (totals[0], totals[1], totals[2]);
        self.desk.end_input();
        let counts = numbers(&self.desk.hears_within("counts", SOON).expect("the desk ends"));
        assert_eq!(counts[2], 0, "nothing is dropped of what must not be lost");
        report.sessions = counts[1];
        report.received = (!self.killed).then_some(counts[0]);
        report.faults = fs::read_to_string(&self.faults).unwrap_or_default();
        let _ = fs::remove_file(&self.faults);
        report
    }
}

impl Report {
    /// Within sessions nothing was lost, doubled or out of order; across them nothing came twice, and what was
    /// taken and did not arrive was counted. Nothing is held in the end that was not in the beginning.
    pub fn nothing_is_lost_unsaid(&self) {
        assert!(self.faults.is_empty(), "{self}\n{}", self.faults);
        if let Some(received) = self.received {
            let most = self.taken - self.lost;
            let least = most - self.unconfirmed;
            assert!((least..=most).contains(&received), "{self}");
        }
        assert!(self.taken > 1000, "{self}");
        assert_eq!(self.held.first(), self.held.last(), "{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { found, back, taken, lost, unconfirmed, received, sessions, faults, held } = self;
        writeln!(f, "  found after {found}")?;
        writeln!(f, "  flowing again after {back}")?;
        writeln!(f, "  taken {taken}, told lost {lost}, unconfirmed {unconfirmed}, received {received:?}")?;
        writeln!(f, "  the last reader saw {sessions} sessions; {} faults", faults.lines().count())?;
        write!(f, "  threads and descriptors of robot and desk, first and last: {held:?}")
    }
}

/// Spans of time, and what each was the time of.
#[derive(Default)]
pub struct Times(Vec<(Duration, String)>);

impl Times {
    fn add(&mut self, time: Duration, what: &str) {
        self.0.push((time, what.to_owned()));
    }

    pub fn median(&self) -> Duration {
        let mut sorted: Vec<Duration> = self.0.iter().map(|(time, _)| *time).collect();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    }

    pub fn most(&self) -> Duration {
        self.0.iter().map(|(time, _)| *time).max().unwrap_or_default()
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = |time: Duration| time.as_secs_f64() * 1e3;
        let worst = self.0.iter().max().map_or("nothing", |(_, what)| what);
        let (median, most) = (millis(self.median()), millis(self.most()));
        write!(f, "{median:.0} ms (median of {}), {most:.0} ms at most ({worst})", self.0.len())
    }
}

fn start(cable: &Cable, setting: Setting, role: &str, faults: &std::path::Path) -> Role {
    let Setting { scheme, robot_dials } = setting;
    let dials = robot_dials == (role == "robot");
    let (address, other) = if robot_dials { ("10.78.1.2:7400", "desk") } else { ("10.78.1.1:7400", "robot") };
    let url = if dials { format!("{scheme}://{address}/{other}") } else { format!("{scheme}://{address}") };
    let namespace = if role == "robot" { &cable.robot } else { &cable.desk };
    let faults = faults.display().to_string();
    Role::start_in_namespace(namespace, role, &[if dials { "dial" } else { "listen" }, &url, &faults])
}

/// How long after `began` it says this for the first time.
fn since(began: u64, role: &Role, word: &str) -> Duration {
    let deadline = Instant::now() + SOON;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let said = role.hears_within(word, left).unwrap_or_else(|| panic!("no `{word}` in time"));
        let at = said.split(' ').next().and_then(|at| at.parse::<u64>().ok()).expect("a time");
        if at >= began {
            return Duration::from_micros(at - began);
        }
    }
}

/// Threads and descriptors of a process.
fn held(role: &Role) -> (usize, usize) {
    let count = |what| fs::read_dir(format!("/proc/{}/{what}", role.id())).expect("Linux tells").count();
    (count("task"), count("fd"))
}

fn numbers(text: &str) -> Vec<u64> {
    text.split(' ').map(|number| number.parse().expect("a number")).collect()
}

/// For how long a cable is out is what these tests are about: there is no event to wait for.
fn pause(span: Duration) {
    let end = Instant::now() + span;
    while Instant::now() < end {
        thread::park_timeout(end.saturating_duration_since(Instant::now()));
    }
}
