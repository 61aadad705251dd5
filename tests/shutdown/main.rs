//! `close` and `Drop` say BYE, write what waits, and end every thread within the time they state.
#![cfg(target_os = "linux")]

#[path = "../process/child.rs"]
mod child;
mod in_order;
#[path = "../process/measure.rs"]
mod measure;
mod resisted;

use bowline::transport::{Cancel, Connection, Listener, Memory, Transport};
use bowline::{Bytes, Endpoint, Event, Intent, Interest, InterestSettings, Reason, ReasonCode, Sample};
use child::Role;
use measure::{eventually, no_threads_are_left, threads};
use parking_lot::{Mutex, MutexGuard};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(10);
const SCHEMES: [&str; 3] = ["tcp", "unix", "memory"];

/// How much longer than its deadline a close may take, by its documentation.
const CUT: Duration = Duration::from_millis(250);

/// What a busy machine may add.
const SLACK: Duration = Duration::from_millis(250);

/// One test at a time: they count the threads of the process.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock()
}

fn unused(scheme: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let process = std::process::id();
    match scheme {
        "tcp" => "tcp://127.0.0.1:0".to_owned(),
        "unix" => {
            let place = std::env::temp_dir().join(format!("bowline-end-{process}-{number}.sock"));
            format!("unix://{}", place.display())
        }
        _ => format!("memory://end-{process}-{number}"),
    }
}

fn robot(scheme: &str) -> Endpoint {
    Endpoint::builder("robot").listen(unused(scheme)).start().expect("starts")
}

/// An endpoint that dials `robot`.
fn desk(robot: &Endpoint, path: &str) -> Endpoint {
    Endpoint::builder(path).connect(format!("{}/robot", robot.listening()[0])).start().expect("starts")
}

/// Why the link of an endpoint ended.
fn down(endpoint: &Endpoint) -> Reason {
    let deadline = Instant::now() + SOON;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match endpoint.events().recv_timeout(left).expect("LinkDown in time") {
            Event::LinkDown { reason, .. } => return reason,
            Event::ThreadPanicked { thread, text } => panic!("{thread}: {text}"),
            _ => {}
        }
    }
}

/// What it returned and how long it took.
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let began = Instant::now();
    let result = work();
    (result, began.elapsed())
}

/// What a child process does here: it takes what `robot` sends.
#[test]
fn child_process() {
    let Some((_, told)) = child::role() else { return };
    let desk = Endpoint::builder("desk").connect(&told[0]).start().expect("starts");
    let wanted: Interest<Bytes> = desk.interest("robot.data").expect("interest");
    assert!(wanted.wait_intent(SOON));
    child::say("ready", "");
    child::until_the_parent_ends();
}
