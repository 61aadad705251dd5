//! Every example runs to its end and says that all is well.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};

/// Some examples measure: no two run at once.
static TURN: Mutex<()> = Mutex::new(());

fn output(name: &str, args: &[&str]) -> Output {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let output = Command::new(example(name)).args(args).output();
    output.unwrap_or_else(|e| panic!("{name} does not start: {e}"))
}

/// Runs an example and returns what it printed.
fn run(name: &str, args: &[&str]) -> String {
    let Output { status, stdout, stderr } = output(name, args);
    let (out, err) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{name} {args:?} ended with {status}\n{out}\n{err}");
    assert!(!err.contains("panicked"), "{name} {args:?}: {err}");
    out.into_owned()
}

/// The whole of `cargo test` builds the examples; they lie beside the folder of the test programs.
fn example(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap_or_else(|e| panic!("this test has no path: {e}"));
    let mut path = own.clone();
    path.pop();
    path.pop();
    path.push("examples");
    path.push(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(path.exists(), "{} is not built: run the whole of `cargo test`", path.display());
    path
}

#[test]
fn pubsub_delivers_every_sample_in_order() {
    let text = run("pubsub", &[]);
    assert!(text.contains("received 200 of 200 samples, in order"), "{text}");
}

#[test]
fn the_control_loop_keeps_its_pace_and_prints_a_histogram() {
    let text = run("control_loop", &[]);
    for part in ["2000 cycles of 1 ms", "woke up late by", "calls took", "worst call: "] {
        assert!(text.contains(part), "no `{part}` in\n{text}");
    }
}

#[test]
fn a_group_hears_every_position_by_one_datagram_each() {
    let text = run("udp_group", &[]);
    assert_eq!(text.matches(": heard 50 positions, 0 lost").count(), 3, "{text}");
    assert!(text.contains("150 receptions by 3 members"), "{text}");
}

#[test]
fn fan_in_and_fan_out_reach_everyone_in_order() {
    let text = run("fan_in_out", &[]);
    assert!(text.contains("fan-in: 2000 reports of 4 arms"), "{text}");
    assert_eq!(text.matches("heard 500 commands in order").count(), 4, "{text}");
}

#[test]
fn a_serial_line_takes_over_from_a_cable_that_is_pulled_and_nothing_is_lost() {
    let text = run("failover", &[]);
    assert!(text.contains(", missing 0, twice or out of order 0;"), "{text}");
    assert_eq!(text.matches("the session goes on over robot.arm (").count(), 2, "{text}");
}

#[test]
fn a_slow_reader_gets_what_it_asked_for_and_one_that_hangs_is_cut_off_and_comes_back() {
    let text = run("slow_reader", &[]);
    let lossless = text.lines().find(|line| line.contains("lossless(16)")).unwrap_or_default();
    assert!(lossless.contains("lost   0"), "{text}");
    for part in
        ["turned away   0; read", "it is cut off", "all of the next 200", "it reads again", "all is well"]
    {
        assert!(text.contains(part), "no `{part}` in\n{text}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_station_gets_what_a_board_measures_through_a_gateway() {
    let text = run("gateway", &[]);
    assert!(text.contains("the station got"), "{text}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_board_on_a_serial_line_is_back_after_its_cable_was_pulled() {
    let text = run("serial_mcu", &["--seconds", "5"]);
    assert!(text.contains("measurements in 5 s") || text.contains("nothing to show"), "{text}");
}

#[test]
fn wrappers_hand_out_the_last_one_and_count_the_others() {
    let text = run("wrappers", &[]);
    assert!(text.contains("the robot sent 1000 samples"), "{text}");
    assert!(text.contains("250 were not valid"), "{text}");
    assert!(text.contains("the last turning rate is 999"), "{text}");
    assert!(text.trim_end().ends_with(", 0.0]"), "{text}");
}

#[test]
fn a_stop_command_between_images_is_measured_with_lanes_and_without() {
    let text = run("image_and_stop", &[]);
    assert!(text.contains("without lanes: the stop command came after"), "{text}");
    assert!(text.contains("   with lanes: the stop command came after"), "{text}");
}

#[test]
fn a_transport_of_the_users_own_carries_samples() {
    let text = run("custom_transport", &[]);
    assert!(text.contains("100 samples over counted://"), "{text}");
}

#[test]
fn telemetry_shows_every_route_with_data() {
    let text = run("telemetry", &["--seconds", "2"]);
    let (_, summary) = text.split_once("summary of").unwrap_or_else(|| panic!("no summary in\n{text}"));
    for route in ["about", "cpu", "memory", "network"] {
        let line = summary.lines().find(|line| line.starts_with(route));
        let line = line.unwrap_or_else(|| panic!("no line of {route} in\n{text}"));
        assert!(!line.contains(" 0 samples"), "{line}");
    }
}

#[test]
fn telemetry_speaks_json_a_line_at_a_time() {
    let text = run("telemetry", &["--json", "--seconds", "2"]);
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect();
    let up = lines.iter().find(|line| line["event"] == "link_up");
    let up = up.unwrap_or_else(|| panic!("no link_up in\n{text}"));
    assert!(up["peer"].is_string() && up["at_ms"].is_u64(), "{up}");
    let cpu = lines.iter().filter(|line| line["summary"] == "cpu").collect::<Vec<_>>();
    assert_eq!(cpu.len(), 1, "{text}");
    assert!(cpu[0]["received"].as_u64() > Some(20), "{}", cpu[0]);
    let route = lines.iter().find(|line| line["name"] == "memory" && line["rate_hz"].is_number());
    assert!(route.is_some(), "no figures of the memory route in\n{text}");
}

#[test]
fn a_station_without_a_robot_says_so_and_fails() {
    // Nothing listens at port 1 of this machine.
    let args = ["--role", "station", "--peer", "tcp://127.0.0.1:1/robot", "--seconds", "1", "--json"];
    let output = output("telemetry", &args);
    assert!(!output.status.success());
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(err.contains("no data came on: about, cpu"), "{err}");
    assert!(out.contains("\"link_down\"") && out.contains("\"transient\":true"), "{out}");
}

#[test]
fn perf_measures_every_line_without_a_loss() {
    let text = run("perf", &["--quick", "--json"]);
    let rows: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect();
    for case in ["round trip 64 B, mailbox, p50", "16 B", "64 B", "1 KiB", "64 KiB", "1 MiB"] {
        let row = rows.iter().find(|row| row["case"] == case);
        let row = row.unwrap_or_else(|| panic!("no `{case}` in\n{text}"));
        assert!(row["floor"]["median"].as_f64() > Some(0.0), "{row}");
        assert!(row["bowline"]["median"].as_f64() > Some(0.0), "{row}");
        assert_eq!(row["lost"], 0, "{row}");
    }
}
