//! What a datagram of a group costs its receivers: dropped because nobody wants it, and received.
//!
//! `cargo bench --features measuring --bench group`
//!
//! First the handling alone, from the bytes in the reader's hands to the application's; then, on Linux, the
//! processor time of all threads that take part, the system's calls and wake-ups included.

mod support;

use bowline::measuring::Sorting;
use std::time::Instant;
use support::Bench;

fn main() {
    let bench = Bench::from_args();
    let mut sorting = Sorting::default();
    bench.each("group: drop one that nobody wants", || sorting.drop_one());
    bench.each("group: receive one of 64 B, queue", || sorting.take_one());
    let (dropping, receiving) = (time(|| sorting.drop_one()), time(|| sorting.take_one()));
    println!("handling: dropping costs {:.3} of receiving", dropping / receiving);
    #[cfg(target_os = "linux")]
    threads::measure();
}

/// Nanoseconds a call.
fn time(mut work: impl FnMut()) -> f64 {
    const CALLS: u32 = 200_000;
    let mut best = f64::MAX;
    for _ in 0..5 {
        let begun = Instant::now();
        (0..CALLS).for_each(|_| work());
        best = best.min(begun.elapsed().as_nanos() as f64 / f64::from(CALLS));
    }
    best
}

#[cfg(target_os = "linux")]
mod threads {
    use bowline::{Bytes, Endpoint, Intent, Interest};
    use std::fs;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    use std::thread;
    use std::time::{Duration, Instant};

    const GROUP: &str = "udp://239.255.77.2:47013?interface=127.0.0.1";
    const SAMPLES: u32 = 20_000;
    const PACE: Duration = Duration::from_micros(50);

    /// Sends at a pace a robot might, and compares the receiver's processor time with and without interest.
    pub fn measure() {
        let (Ok(robot), Ok(desk)) = (start("robot"), start("desk")) else {
            return println!("there is no multicast on the loopback interface");
        };
        let Ok(logger) = start("logger") else { return };
        let (Ok(intent), Ok(other)) =
            (robot.intent::<Bytes>("robot.raw"), logger.interest::<Bytes>("robot.raw"))
        else {
            return;
        };
        if !intent.wait_interest(Duration::from_secs(10)) {
            return println!("the logger was not found");
        }
        // The logger wants it, so that it is sent at all; who is measured is the desk.
        let draining = drain(other);
        let desk_reader = readers()[1].clone();
        // The reader drops them by itself at first, then the system does.
        let first = spent(&[&desk_reader], || send(&intent));
        send(&intent);
        let dropped = spent(&[&desk_reader], || send(&intent));
        let Ok(wanted) = desk.interest::<Bytes>("robot.raw") else { return };
        intent.wait_interests(2, Duration::from_secs(10));
        let receiving = drain(wanted);
        let received = spent(&[&desk_reader, &receiving.task], || send(&intent));
        println!(
            "threads: dropping {first:.0} ns in the first second, then {dropped:.0}, receiving {received:.0} ns a \
             datagram: {:.3}, then {:.3} ({} received)",
            first / received,
            dropped / received,
            receiving.count.load(Ordering::Relaxed)
        );
        drop((draining, receiving));
    }

    fn start(path: &str) -> Result<Endpoint, bowline::Error> {
        Endpoint::builder(path).join(GROUP).start()
    }

    fn send(intent: &Intent<Bytes>) {
        let payload = Bytes::from(vec![7; 64]);
        let mut next = Instant::now();
        for _ in 0..SAMPLES {
            while Instant::now() < next {
                thread::yield_now();
            }
            next += PACE;
            let _ = intent.send(payload.clone());
        }
    }

    struct Drain {
        ended: Arc<AtomicBool>,
        count: Arc<AtomicU64>,
        task: String,
        thread: Option<thread::JoinHandle<()>>,
    }

    /// An application that reads all.
    fn drain(interest: Interest<Bytes>) -> Drain {
        let (ended, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stop, counting) = (ended.clone(), count.clone());
        let (told, telling) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            let own = fs::read_link("/proc/thread-self").map(|path| path.to_string_lossy().into_owned());
            let _ = told.send(own.unwrap_or_default());
            while !stop.load(Ordering::Relaxed) {
                if interest.recv_timeout(Duration::from_millis(50)).is_ok() {
                    counting.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        let own = telling.recv().unwrap_or_default();
        let task = format!("/proc/{own}/schedstat");
        Drain { ended, count, task, thread: Some(thread) }
    }

    impl Drop for Drain {
        fn drop(&mut self) {
            self.ended.store(true, Ordering::Relaxed);
            if let Some(thread) = self.thread.take() {
                let _ = thread.join();
            }
        }
    }

    /// The readers of the groups, in the order their endpoints were started.
    fn readers() -> Vec<String> {
        let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
        let mut found: Vec<(u32, String)> = tasks
            .filter(|task| {
                fs::read_to_string(task.path().join("comm"))
                    .is_ok_and(|name| name.starts_with("bowline/group"))
            })
            .filter_map(|task| {
                let number = task.file_name().to_str()?.parse().ok()?;
                Some((number, task.path().join("schedstat").to_string_lossy().into_owned()))
            })
            .collect();
        found.sort();
        found.into_iter().map(|(_, path)| path).collect()
    }

    /// Nanoseconds of processor time the threads spend for each sample while `work` is done.
    fn spent(tasks: &[&str], work: impl FnOnce()) -> f64 {
        let now = || -> f64 {
            let one = |path: &&str| -> Option<f64> {
                fs::read_to_string(path).ok()?.split_whitespace().next()?.parse().ok()
            };
            tasks.iter().filter_map(one).sum()
        };
        let before = now();
        work();
        thread::sleep(Duration::from_millis(100));
        (now() - before) / f64::from(SAMPLES)
    }
}
