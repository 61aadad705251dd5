//! Two programs in network namespaces, joined by a cable that loses one datagram of ten.
//!
//! Needs Linux, root, `ip` (iproute2) and `nft` (nftables); says so and does nothing where one is missing.
#![cfg(target_os = "linux")]

#[path = "process/child.rs"]
mod child;

use bowline::{Bytes, Endpoint, Event, Intent, Interest, InterestSettings, LostAt};
use child::{Role, say};
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(20);
const COUNT: u64 = 3000;
/// With its head it fills more than half of a datagram, so that each sample travels alone.
const SIZE: usize = 700;
/// As a robot might send, so that nothing but the rule loses any.
const PACE: Duration = Duration::from_micros(100);

/// Drops every tenth datagram that comes in, before anything looks at it.
const ANY: &str = "meta l4proto udp";
/// The same of those only that carry a sample: then what is dropped is what is lost.
const SAMPLES: &str = "meta l4proto udp udp length > 600";

#[test]
fn a_session_counts_what_the_line_lost_whatever_it_lost() {
    let Some(cable) = Cable::lay("any", ANY) else { return };
    let (result, dropped) = cable.send("session", "udp://10.77.1.1:7400", "udp://10.77.1.1:7400/robot");
    assert_eq!(result.received + result.on_the_way + result.there, COUNT, "{result:?}");
    assert!(
        0 < result.on_the_way && result.on_the_way <= dropped + result.overflowed,
        "{result:?}, {dropped}"
    );
}

#[test]
fn a_session_counts_exactly_the_samples_that_were_dropped() {
    let Some(cable) = Cable::lay("one", SAMPLES) else { return };
    let (result, dropped) = cable.send("session", "udp://10.77.1.1:7400", "udp://10.77.1.1:7400/robot");
    assert_eq!(result.received + result.on_the_way + result.there, COUNT, "{result:?}");
    assert_exact(&result, dropped);
}

#[test]
fn a_group_counts_exactly_the_samples_that_were_dropped_and_tells_who_sent_them() {
    let Some(cable) = Cable::lay("grp", SAMPLES) else { return };
    let group = |own: &str| format!("udp://239.255.79.1:7401?interface={own}");
    let (result, dropped) = cable.send("group", &group("10.77.1.1"), &group("10.77.1.2"));
    // The first and the last are small: around them nothing is missing.
    assert_eq!(result.received + result.on_the_way, COUNT + 2, "{result:?}");
    assert_exact(&result, dropped);
}

/// Nothing is lost but what the rule dropped, and what found no room at the receiver's socket.
fn assert_exact(result: &Counts, dropped: u64) {
    let least = dropped + result.unsent;
    let most = least + result.overflowed;
    assert!(dropped > 0 && (least..=most).contains(&result.on_the_way), "{result:?}, {dropped} dropped");
    assert_eq!(result.told, result.on_the_way + result.there, "who sent them is told: {result:?}");
}

#[derive(Debug)]
struct Counts {
    received: u64,
    on_the_way: u64,
    there: u64,
    /// As the events of the supplier say.
    told: u64,
    unsent: u64,
    overflowed: u64,
}

/// Two namespaces and the cable between them; gone when dropped.
struct Cable {
    robot: String,
    desk: String,
}

impl Cable {
    /// What comes in at the desk and fits `matched` is dropped, one of ten.
    fn lay(name: &str, matched: &str) -> Option<Self> {
        let missing = ["ip -V", "nft -v"].into_iter().find(|tool| {
            let mut words = tool.split(' ');
            let output = Command::new(words.next().unwrap_or_default()).args(words).output();
            !output.is_ok_and(|output| output.status.success())
        });
        if let Some(tool) = missing {
            println!("note: skipped, there is no `{tool}`; install iproute2 and nftables");
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
            &["-n", robot, "addr", "add", "10.77.1.1/24", "dev", "cable"],
            &["-n", desk, "addr", "add", "10.77.1.2/24", "dev", "cable"],
            &["-n", robot, "link", "set", "lo", "up"],
            &["-n", desk, "link", "set", "lo", "up"],
            &["-n", robot, "link", "set", "cable", "up"],
            &["-n", desk, "link", "set", "cable", "up"],
        ];
        for step in steps {
            let done = ip(step);
            assert!(done.status.success(), "ip {step:?}: {}", String::from_utf8_lossy(&done.stderr));
        }
        let rules = format!(
            "add table ip lossy; \
             add chain ip lossy in {{ type filter hook prerouting priority 0; }}; \
             add rule ip lossy in iifname cable {matched} numgen random mod 100 < 10 counter drop"
        );
        let done = ip(&["netns", "exec", desk, "nft", &rules]);
        assert!(done.status.success(), "nft: {}", String::from_utf8_lossy(&done.stderr));
        Some(cable)
    }

    /// Sends all samples from one end to the other; what the programs counted, and what the rule did.
    fn send(&self, kind: &str, robot: &str, desk: &str) -> (Counts, u64) {
        let sender = Role::start_in_namespace(&self.robot, "robot", &[kind, robot]);
        sender.hears("ready");
        let receiver = Role::start_in_namespace(&self.desk, "desk", &[kind, desk]);
        let number = |text: String| text.parse::<u64>().expect("a number");
        let unsent = number(sender.hears_within("sent", SOON).expect("the robot sends"));
        let counted = receiver.hears_within("counted", SOON).expect("the desk counts all");
        let counted: Vec<u64> = counted.split(' ').map(|text| number(text.into())).collect();
        // Losses are told about once a second.
        let mut told = 0;
        let deadline = Instant::now() + SOON;
        while told < counted[1] + counted[2] && Instant::now() < deadline {
            told = sender.hears_within("told", SOON).map_or(told, number);
        }
        let snmp = ip(&["netns", "exec", &self.desk, "cat", "/proc/net/snmp"]);
        let overflowed = overflowed(&String::from_utf8_lossy(&snmp.stdout));
        let rules = ip(&["netns", "exec", &self.desk, "nft", "list", "ruleset"]);
        let rules = String::from_utf8_lossy(&rules.stdout).into_owned();
        let dropped = rules.split_once("counter packets ").and_then(|(_, rest)| rest.split(' ').next());
        let dropped = number(dropped.expect("the rule counts").into());
        let (received, on_the_way, there) = (counted[0], counted[1], counted[2]);
        let counts = Counts { received, on_the_way, there, told, unsent, overflowed };
        println!("{kind}: {counts:?}, {dropped} dropped by the rule");
        (counts, dropped)
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for namespace in [&self.robot, &self.desk] {
            ip(&["netns", "del", namespace]);
        }
    }
}

fn ip(args: &[&str]) -> Output {
    Command::new("ip").args(args).output().expect("it is there")
}

/// How many datagrams found no room at their socket.
fn overflowed(snmp: &str) -> u64 {
    let mut lines = snmp.lines().filter(|line| line.starts_with("Udp:"));
    let (names, values) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let place = names.split(' ').position(|name| name == "RcvbufErrors").expect("Linux tells");
    values.split(' ').nth(place).and_then(|value| value.parse().ok()).expect("a number")
}

#[test]
fn child_process() {
    let Some((role, told)) = child::role() else { return };
    match &role[..] {
        "robot" => robot(&told[0], &told[1]),
        _ => desk(&told[0], &told[1]),
    }
}

fn robot(kind: &str, url: &str) {
    let builder = Endpoint::builder("robot").ping_interval(Duration::from_millis(200));
    let builder = if kind == "group" { builder.join(url) } else { builder.listen(url) };
    let endpoint = builder.start().expect("it starts");
    let raw: Intent<Bytes> = endpoint.intent("robot.raw").expect("an intent");
    say("ready", "");
    assert!(raw.wait_interest(SOON));
    // In a group, numbers count from the first that comes, and what the last was is seen by the next: neither
    // of these two fits the rule.
    let edge = || raw.send(Bytes::from(vec![7; 8])).expect("it is sent");
    if kind == "group" {
        edge();
    }
    let mut next = Instant::now();
    for _ in 0..COUNT {
        while Instant::now() < next {
            thread::yield_now();
        }
        next += PACE;
        raw.send(Bytes::from(vec![7; SIZE])).expect("it is sent");
    }
    if kind == "group" {
        edge();
    }
    say("sent", endpoint.groups().first().map_or(0, |group| group.unsent));
    let mut told = 0;
    while let Some(event) = endpoint.events().recv_timeout(SOON) {
        if let Event::SamplesLost { count, lost: LostAt::There | LostAt::Here, .. } = event {
            told += count;
            say("told", told);
        }
    }
}

fn desk(kind: &str, url: &str) {
    let builder = Endpoint::builder("desk").ping_interval(Duration::from_millis(200));
    let builder = if kind == "group" { builder.join(url) } else { builder.connect(url) };
    let endpoint = builder.start().expect("it starts");
    let queue = InterestSettings::new().queue(8192);
    let raw: Interest<Bytes> = endpoint.interest_with("robot.raw", queue).expect("an interest");
    let all = if kind == "group" { COUNT + 2 } else { COUNT };
    let deadline = Instant::now() + SOON;
    let mut received = 0;
    loop {
        received += u64::from(raw.recv_timeout(Duration::from_millis(20)).is_ok());
        let counts = raw.counts();
        if received + counts.lost_on_the_way + counts.lost_there >= all || Instant::now() >= deadline {
            break say("counted", format!("{received} {} {}", counts.lost_on_the_way, counts.lost_there));
        }
    }
    child::until_the_parent_ends();
}
