//! What a line costs on which nothing happens, or that is not there.

use crate::cable::{Cable, End};
use crate::ends;
use crate::support::{SOON, Watch};
use bowline::{Intent, Interest};
use std::collections::HashMap;
use std::fs;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// How long each thread of the library ran so far, by its number.
fn running() -> HashMap<String, (String, Duration)> {
    let mut all = HashMap::new();
    for task in fs::read_dir("/proc/self/task").expect("the threads of this process").flatten() {
        let name = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        let ran = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        let nanos = ran.split(' ').next().and_then(|text| text.parse().ok());
        if let (true, Some(nanos)) = (name.starts_with("bowline/"), nanos) {
            let id = task.file_name().to_string_lossy().into_owned();
            all.insert(id, (name.trim().to_owned(), Duration::from_nanos(nanos)));
        }
    }
    all
}

/// The share of a core that the busiest thread of the library takes.
fn busiest(span: Duration) -> (f64, String) {
    let before = running();
    pause(span);
    let after = running();
    let shares = after.iter().filter_map(|(id, (name, ran))| {
        let (_, before) = before.get(id)?;
        Some(((*ran - *before).as_secs_f64() / span.as_secs_f64(), name.clone()))
    });
    shares.max_by(|a, b| a.0.total_cmp(&b.0)).expect("there are threads")
}

/// Time passes: that is what is measured.
fn pause(span: Duration) {
    let (_never, wait) = channel::<()>();
    let _ = wait.recv_timeout(span);
}

/// `cargo test --test serial -- --ignored --nocapture --exact idle::no_thread_is_busy_on_an_idle_or_dead_port`, by
/// itself, since it looks at all threads of the library in the process.
#[test]
#[ignore = "looks at all threads of the process"]
fn no_thread_is_busy_on_an_idle_or_dead_port() {
    let cable = Cable::new(115_200);
    let ends = ends(&cable);
    let mut watch = Watch::new(&ends.desk);
    watch.link_is_up();
    pause(Duration::from_millis(500));
    let (share, name) = busiest(Duration::from_secs(3));
    println!("idle line: {:.3} % of a core, {name}", share * 100.0);
    assert!(share < 0.01);
    cable.cut(End::A);
    cable.cut(End::B);
    let (share, name) = busiest(Duration::from_secs(3));
    println!("deaf line: {:.3} % of a core, {name}", share * 100.0);
    assert!(share < 0.01);
    cable.unplug(End::A);
    cable.unplug(End::B);
    pause(Duration::from_secs(1));
    let (share, name) = busiest(Duration::from_secs(3));
    println!("no port: {:.3} % of a core, {name}", share * 100.0);
    assert!(share < 0.01);
}

/// `cargo test --test serial -- --nocapture --exact idle::idle_traffic_is_below_one_percent_of_9600_baud`
#[test]
fn idle_traffic_is_below_one_percent_of_9600_baud() {
    let cable = Cable::new(9600);
    let ends = ends(&cable);
    let _intent: Intent<[u8; 32]> = ends.robot.intent("robot.imu").unwrap();
    let _interest: Interest<[u8; 32]> = ends.desk.interest("robot.imu").unwrap();
    assert!(_intent.wait_interest(SOON));
    // Until all is told and acknowledged: what was told last is marked with the next ping, 4.8 s later.
    pause(Duration::from_secs(8));
    let counts = || ends.desk.links()[0].counts.unwrap();
    let (begin, before) = (Instant::now(), counts());
    pause(Duration::from_secs(15));
    let after = counts();
    let most = 960.0 * begin.elapsed().as_secs_f64();
    for (way, bytes) in
        [("out", after.bytes_out - before.bytes_out), ("in", after.bytes_in - before.bytes_in)]
    {
        let share = bytes as f64 / most;
        println!("idle traffic at 9600 baud, {way}: {bytes} bytes, {:.2} % of the line", share * 100.0);
        assert!(share < 0.01);
    }
    assert!(ends.desk.links()[0].state.is_up());
}
