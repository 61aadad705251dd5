//! `close` and `Drop` say BYE, write what waits, and end every thread within the time they state.
#![cfg(target_os = "linux")]

#[path = "process/child.rs"]
mod child;
#[path = "process/measure.rs"]
mod measure;

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

// ---- in good order ------------------------------------------------------------------------------

#[test]
fn closing_and_dropping_say_bye_write_all_and_end_the_threads() {
    let _turn = turn();
    for scheme in SCHEMES {
        for drops in [false, true] {
            let robot = robot(scheme);
            let desk = desk(&robot, "desk");
            let lossless = InterestSettings::new().lossless(1000);
            let wanted: Interest<Bytes> = desk.interest_with("robot.data", lossless).expect("interest");
            let intent: Intent<Bytes> = robot.intent("robot.data").expect("intent");
            assert!(intent.wait_interest(SOON));
            for number in 0..1000u32 {
                let mut sample = vec![0; 1000];
                sample[..4].copy_from_slice(&number.to_le_bytes());
                assert_eq!(intent.send_timeout(sample.into(), SOON).expect("has room").taken(), 1);
            }
            let ((), span) = timed(|| match drops {
                true => drop(robot),
                false => assert!(robot.close(SOON)),
            });
            assert!(span < Duration::from_millis(500), "{scheme}: {span:?}");
            for number in 0..1000u32 {
                let sample = wanted.recv_timeout(SOON).expect("was sent before the close");
                assert_eq!(sample[..4], number.to_le_bytes());
            }
            let reason = down(&desk);
            assert_eq!((reason.code(), reason.is_by_peer()), (ReasonCode::Closing, true), "{reason}");
            assert!(reason.is_transient() && reason.text().contains("robot"), "{reason}");
            // Of the desk: its dispatcher, and the thread that dials.
            assert!(eventually(SOON, || threads().len() <= 2), "{:?}", threads());
            assert!(intent.send(Bytes::new()).unwrap_err().is_closed());
            assert!(desk.close(SOON));
            no_threads_are_left();
        }
    }
}

#[test]
fn what_several_publishers_sent_until_the_close_arrives() {
    let _turn = turn();
    for scheme in SCHEMES {
        for round in 0..5 {
            let robot = robot(scheme);
            let began = Arc::new(Barrier::new(4));
            let mut publishers = Vec::new();
            let mut readers = Vec::new();
            for number in 0..3 {
                let desk = desk(&robot, &format!("desk{number}"));
                let path = format!("robot.data{number}");
                let lossless = InterestSettings::new().lossless(64);
                let wanted: Interest<Bytes> = desk.interest_with(&path, lossless).expect("interest");
                let intent: Intent<Bytes> = robot.intent(&path).expect("intent");
                assert!(intent.wait_interest(SOON) && wanted.wait_intent(SOON));
                let size = [20, 2_000, 40_000][number];
                let began = Arc::clone(&began);
                publishers.push(thread::spawn(move || {
                    let sample = Bytes::from(vec![1; size]);
                    let mut taken = 0;
                    loop {
                        match intent.send_timeout(sample.clone(), SOON) {
                            Ok(outcome) => taken += u64::from(outcome.taken()),
                            Err(error) => {
                                assert!(error.is_closed(), "{error}");
                                return taken;
                            }
                        }
                        if taken == 10 {
                            began.wait();
                        }
                    }
                }));
                readers.push(thread::spawn(move || {
                    let mut received = 0;
                    // Until the link is down, which is told behind the last sample.
                    while wanted.suppliers() > 0 {
                        while wanted.recv_timeout(Duration::from_millis(20)).is_ok() {
                            received += 1;
                        }
                    }
                    received += std::iter::from_fn(|| wanted.try_recv().ok()).count() as u64;
                    assert!(desk.close(SOON));
                    received
                }));
            }
            began.wait();
            let (complete, span) = timed(|| robot.close(SOON));
            assert!(complete, "{scheme} {round}: after {span:?}");
            assert!(span < Duration::from_secs(3), "{scheme} {round}: {span:?}");
            for (publisher, reader) in publishers.into_iter().zip(readers) {
                let taken = publisher.join().expect("publishes");
                assert_eq!(reader.join().expect("reads"), taken, "{scheme} {round}");
            }
            no_threads_are_left();
        }
    }
}

#[test]
fn an_endpoint_closes_while_everything_is_busy() {
    let _turn = turn();
    let robot = Endpoint::builder("robot")
        .listen(unused("tcp"))
        .listen(unused("unix"))
        .listen(unused("memory"))
        .connect("tcp://127.0.0.1:1/nobody")
        .start()
        .expect("starts");
    let mut desks = Vec::new();
    let mut publishers = Vec::new();
    let mut kept = Vec::new();
    for number in 0..6 {
        let url = format!("{}/robot", robot.listening()[number % 3]);
        let desk = Endpoint::builder(format!("desk{number}")).connect(url).start().expect("starts");
        let settings =
            [InterestSettings::new().latest(), InterestSettings::new().queue(100)][number % 2].clone();
        let down: Interest<Bytes> = desk.interest_with("robot.data", settings.clone()).expect("interest");
        let up: Interest<Bytes> = robot.interest_with("desk.data", settings).expect("interest");
        let intent: Intent<Bytes> = desk.intent("desk.data").expect("intent");
        assert!(intent.wait_interest(SOON));
        publishers.push(intent);
        desks.push(desk);
        kept.push((down, up));
    }
    let called = Arc::new(AtomicU64::new(0));
    let calls = Arc::clone(&called);
    let subscription = robot.on_sample("desk.data", InterestSettings::new(), move |_: Sample<Bytes>| {
        calls.fetch_add(1, Ordering::Relaxed);
    });
    for _ in 0..2 {
        publishers.push(robot.intent("robot.data").expect("intent"));
    }
    let threads: Vec<_> = publishers
        .into_iter()
        .map(|intent| {
            thread::spawn(move || {
                let sample = Bytes::from(vec![9; 5000]);
                // Until its own endpoint is closed.
                while intent.send(sample.clone()).is_ok() {}
            })
        })
        .collect();
    assert!(eventually(SOON, || called.load(Ordering::Relaxed) > 1000));
    let (complete, span) = timed(|| robot.close(Duration::from_secs(3)));
    assert!(complete, "after {span:?}");
    assert!(span < Duration::from_secs(3), "{span:?}");
    drop(subscription);
    for desk in desks {
        assert_eq!(down(&desk).code(), ReasonCode::Closing);
        assert!(desk.close(SOON));
    }
    for thread in threads {
        thread.join().expect("publishes");
    }
    no_threads_are_left();
}

#[test]
fn two_peers_that_close_at_once_do_not_wait_for_each_other() {
    let _turn = turn();
    for scheme in SCHEMES {
        for _ in 0..10 {
            let robot = robot(scheme);
            let desk = desk(&robot, "desk");
            let down: Interest<Bytes> = desk.interest("robot.data").expect("interest");
            let intent: Intent<Bytes> = robot.intent("robot.data").expect("intent");
            assert!(intent.wait_interest(SOON));
            let barrier = Barrier::new(2);
            let close = |endpoint: &Endpoint| {
                barrier.wait();
                timed(|| endpoint.close(SOON))
            };
            let (one, other) = thread::scope(|scope| {
                let other = scope.spawn(|| close(&desk));
                (close(&robot), other.join().expect("closes"))
            });
            assert!(one.0 && other.0, "{scheme}");
            assert!(one.1.max(other.1) < Duration::from_millis(500), "{scheme}: {:?} {:?}", one.1, other.1);
            drop((down, intent));
            no_threads_are_left();
        }
    }
}

#[test]
fn a_close_is_called_from_many_threads_and_again() {
    let _turn = turn();
    let robot = robot("tcp");
    let desk = desk(&robot, "desk");
    let intent: Intent<Bytes> = robot.intent("robot.data").expect("intent");
    let wanted: Interest<Bytes> = desk.interest("robot.data").expect("interest");
    assert!(intent.wait_interest(SOON));
    let barrier = Barrier::new(8);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                barrier.wait();
                let (complete, span) = timed(|| robot.close(SOON));
                assert!(complete && span < Duration::from_millis(500), "{span:?}");
            });
        }
    });
    let (again, span) = timed(|| robot.close(SOON));
    assert!(again && span < Duration::from_millis(50), "{span:?}");
    assert!(
        robot.links().is_empty() && robot.interest::<u8>("robot.x").is_err_and(|error| error.is_closed())
    );
    assert_eq!(down(&desk).code(), ReasonCode::Closing);
    drop((intent, wanted, robot));
    assert!(desk.close(SOON));
    no_threads_are_left();
}

#[test]
fn whoever_waits_is_woken_by_the_close() {
    let _turn = turn();
    let robot = Arc::new(robot("memory"));
    let desk = desk(&robot, "desk");
    let lossless = InterestSettings::new().lossless(1);
    let full: Interest<u8> = desk.interest_with("robot.full", lossless).expect("interest");
    let sending: Intent<u8> = robot.intent("robot.full").expect("intent");
    assert!(sending.wait_interest(SOON));
    sending.send(1).expect("has room");
    let reading: Interest<u8> = robot.interest("robot.nothing").expect("interest");
    let iterating: Interest<u8> = robot.interest("robot.nothing").expect("interest");
    let lonely: Intent<u8> = robot.intent("robot.lonely").expect("intent");
    let wanting: Interest<u8> = robot.interest("robot.wanting").expect("interest");
    let watching = Arc::clone(&robot);
    let waiting: Vec<(&str, thread::JoinHandle<bool>)> = vec![
        ("send", thread::spawn(move || sending.send_timeout(2, SOON).unwrap_err().is_closed())),
        ("recv", thread::spawn(move || reading.recv().unwrap_err().is_closed())),
        ("iter", thread::spawn(move || iterating.iter().count() == 0)),
        ("wait_interest", thread::spawn(move || !lonely.wait_interest(SOON))),
        ("wait_intent", thread::spawn(move || !wanting.wait_intent(SOON))),
        ("events", thread::spawn(move || watching.events().iter().count() > 0)),
    ];
    let (complete, span) = timed(|| robot.close(Duration::from_secs(1)));
    assert!(complete, "after {span:?}");
    for (name, thread) in waiting {
        let (as_it_should, span) = timed(|| thread.join().expect("ends"));
        assert!(as_it_should && span < Duration::from_secs(1), "{name}: {span:?}");
    }
    drop(full);
    assert!(desk.close(SOON));
    no_threads_are_left();
}

#[test]
fn what_is_declared_while_an_endpoint_closes_is_closed_too() {
    let _turn = turn();
    for _ in 0..50 {
        let robot = Arc::new(robot("memory"));
        let barrier = Arc::new(Barrier::new(4));
        let declare: [fn(&Endpoint) -> bool; 3] = [
            |robot| match robot.interest::<u8>("robot.x") {
                Ok(interest) => interest.recv().is_err(),
                Err(error) => error.is_closed(),
            },
            |robot| match robot.intent::<u8>("robot.y") {
                Ok(intent) => !intent.wait_interest(SOON),
                Err(error) => error.is_closed(),
            },
            |robot| robot.links().is_empty(),
        ];
        let (told, ends) = channel();
        for declare in declare {
            let (robot, barrier, told) = (Arc::clone(&robot), Arc::clone(&barrier), told.clone());
            thread::spawn(move || {
                barrier.wait();
                let deadline = Instant::now() + SOON;
                while !robot.intent::<u8>("robot.z").is_err_and(|error| error.is_closed()) {
                    assert!(declare(&robot) && Instant::now() < deadline);
                }
                told.send(()).expect("is awaited");
            });
        }
        barrier.wait();
        assert!(robot.close(SOON));
        for _ in 0..3 {
            ends.recv_timeout(Duration::from_secs(2)).expect("nobody waits for a closed endpoint");
        }
    }
    no_threads_are_left();
}

// ---- against resistance -------------------------------------------------------------------------

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

/// An endpoint and a peer of it in another process, which is frozen.
fn with_a_frozen_peer(scheme: &str, ping: Duration) -> (Endpoint, Intent<Bytes>, Role) {
    let robot =
        Endpoint::builder("robot").listen(unused(scheme)).ping_interval(ping).start().expect("starts");
    let intent: Intent<Bytes> = robot.intent("robot.data").expect("intent");
    let desk = Role::start("desk", &[&format!("{}/robot", robot.listening()[0])]);
    desk.hears("ready");
    assert!(intent.wait_interest(SOON));
    desk.signal("STOP");
    (robot, intent, desk)
}

#[test]
fn a_frozen_peer_that_was_sent_everything_costs_no_more_than_its_silence() {
    let _turn = turn();
    for scheme in ["tcp", "unix"] {
        let (robot, intent, desk) = with_a_frozen_peer(scheme, Duration::from_millis(100));
        intent.send(Bytes::from(vec![1; 1000])).expect("sends");
        let (complete, span) = timed(|| robot.close(SOON));
        assert!(complete, "{scheme}: it all was written, after {span:?}");
        assert!(span < Duration::from_millis(350) + SLACK, "{scheme}: {span:?}");
        no_threads_are_left();
        desk.signal("CONT");
    }
}

#[test]
fn a_frozen_peer_that_cannot_be_sent_everything_is_cut_at_the_deadline() {
    let _turn = turn();
    for (scheme, drops) in [("tcp", false), ("unix", false), ("tcp", true)] {
        let (robot, intent, _desk) = with_a_frozen_peer(scheme, Duration::from_secs(10));
        let sample = Bytes::from(vec![1; 100_000]);
        // Until its buffers and ours are full, and stay so.
        let mut room = Instant::now();
        let full = || {
            if intent.send(sample.clone()).expect("sends").worst() != bowline::Fate::Replaced {
                room = Instant::now();
            }
            room.elapsed() > Duration::from_millis(100)
        };
        assert!(eventually(SOON, full));
        let deadline = Duration::from_millis(if drops { 500 } else { 300 });
        let (complete, span) = timed(|| match drops {
            true => {
                drop(robot);
                false
            }
            false => robot.close(deadline),
        });
        assert!(!complete, "{scheme}: not all was written");
        assert!(span >= deadline && span < deadline + CUT + SLACK, "{scheme}: {span:?}");
        no_threads_are_left();
    }
}

#[test]
fn dialling_a_black_hole_ends_with_the_close() {
    let _turn = turn();
    // Connections that nobody accepts fill the system's queue, and further ones get no answer at all.
    let hole = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    let any: std::net::SocketAddr = "127.0.0.1:0".parse().expect("an address");
    hole.bind(&any.into()).and_then(|()| hole.listen(0)).expect("listens");
    let address = hole.local_addr().expect("has one").as_socket().expect("of TCP");
    let short = Duration::from_millis(100);
    let filled: Vec<_> =
        std::iter::from_fn(|| std::net::TcpStream::connect_timeout(&address, short).ok()).take(8).collect();
    assert!(filled.len() < 8, "it takes no more");
    let robot = Endpoint::builder("robot").connect(format!("tcp://{address}/hole")).start().expect("starts");
    match robot.events().recv_timeout(SOON) {
        Some(Event::LinkDialling { .. }) => {}
        other => panic!("{other:?}"),
    }
    let (complete, span) = timed(|| robot.close(SOON));
    assert!(complete && span < SLACK, "{span:?}");
    no_threads_are_left();
}

/// Its dialling ends when the test says so, and not before.
struct Stubborn(Mutex<Receiver<()>>);

impl Transport for Stubborn {
    fn scheme(&self) -> &str {
        "stubborn"
    }

    fn dial(&self, _: &str, _: Duration, _: &Cancel) -> io::Result<Arc<dyn Connection>> {
        let _ = self.0.lock().recv();
        Err(io::ErrorKind::TimedOut.into())
    }

    fn listen(&self, _: &str) -> io::Result<Arc<dyn Listener>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[test]
fn a_transport_that_does_not_end_dialling_is_left_behind() {
    let _turn = turn();
    let (release, released): (Sender<()>, _) = channel();
    let robot = Endpoint::builder("robot")
        .transport(Stubborn(Mutex::new(released)))
        .connect("stubborn://somewhere/desk")
        .start()
        .expect("starts");
    let deadline = Duration::from_millis(100);
    let (complete, span) = timed(|| robot.close(deadline));
    assert!(!complete);
    assert!(span >= deadline && span < deadline + CUT + SLACK, "{span:?}");
    let (again, span) = timed(|| robot.close(SOON));
    assert!(!again && span < Duration::from_millis(50), "{span:?}");
    assert_eq!(threads().len(), 1, "{:?}", threads());
    drop(release);
    no_threads_are_left();
}

/// Memory connections that do not close before the test says so.
#[derive(Clone)]
struct Clinging(Arc<Mutex<Receiver<()>>>);

impl Transport for Clinging {
    fn scheme(&self) -> &str {
        "clinging"
    }

    fn dial(&self, address: &str, timeout: Duration, cancel: &Cancel) -> io::Result<Arc<dyn Connection>> {
        let inner = Memory.dial(address, timeout, cancel)?;
        Ok(Arc::new(ClingingConnection { inner, released: self.clone() }))
    }

    fn listen(&self, _: &str) -> io::Result<Arc<dyn Listener>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

struct ClingingConnection {
    inner: Arc<dyn Connection>,
    released: Clinging,
}

impl Connection for ClingingConnection {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.inner.write(bytes)
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.inner.try_write(bytes)
    }

    fn close(&self) {
        let _ = self.released.0.lock().recv();
        self.inner.close();
    }

    fn remote(&self) -> String {
        self.inner.remote()
    }
}

#[test]
fn a_transport_that_keeps_the_dispatcher_keeps_nobody_else_for_long() {
    let _turn = turn();
    // The shortest of a few, as a busy machine may take longer at any of them.
    let mut spans = Vec::new();
    for _ in 0..3 {
        let robot = robot("memory");
        let (release, released): (Sender<()>, _) = channel();
        let url = robot.listening()[0].replace("memory", "clinging") + "/robot";
        let clinging = Clinging(Arc::new(Mutex::new(released)));
        let desk = Endpoint::builder("desk").transport(clinging).connect(url).start().expect("starts");
        let wanted: Interest<u8> = desk.interest("robot.data").expect("interest");
        let intent: Intent<u8> = robot.intent("robot.data").expect("intent");
        assert!(intent.wait_interest(SOON));
        assert_eq!(desk.links().len(), 1);
        robot.close(SOON);
        let (links, look) = timed(|| {
            let until = Instant::now() + SOON;
            loop {
                let (links, span) = timed(|| desk.links());
                if span > Duration::from_millis(900) || Instant::now() > until {
                    return (links, span);
                }
            }
        })
        .0;
        assert!(look < Duration::from_millis(1000) + SLACK, "{look:?}");
        assert_eq!(links.len(), 1, "the last answer there was");
        let deadline = Duration::from_millis(100);
        let (complete, span) = timed(|| desk.close(deadline));
        assert!(!complete && span >= deadline + CUT);
        spans.push(span);
        drop(release);
        drop((wanted, desk));
        no_threads_are_left();
    }
    let least = spans.iter().min().expect("some");
    assert!(*least < Duration::from_millis(100) + CUT + Duration::from_millis(100), "{spans:?}");
}

#[test]
fn a_close_within_a_callback_gives_up_by_its_deadline() {
    let _turn = turn();
    for scheme in SCHEMES {
        let robot = Arc::new(robot(scheme));
        let desk = desk(&robot, "desk");
        let (told, ends) = channel();
        let closing = Arc::clone(&robot);
        let deadline = Duration::from_millis(200);
        let subscription = robot.on_sample("desk.stop", InterestSettings::new(), move |_: Sample<u8>| {
            let _ = told.send(timed(|| closing.close(deadline)));
        });
        let stop: Intent<u8> = desk.intent("desk.stop").expect("intent");
        assert!(stop.wait_interest(SOON));
        stop.send(1).expect("sends");
        let (complete, span) = ends.recv_timeout(SOON).expect("ends");
        assert!(!complete, "{scheme}: it cannot wait for itself");
        assert!(span >= deadline && span < deadline + CUT + SLACK, "{scheme}: {span:?}");
        assert_eq!(down(&desk).code(), ReasonCode::Closing, "{scheme}");
        drop((subscription, robot));
        assert!(desk.close(SOON));
        no_threads_are_left();
    }
}

#[test]
fn the_last_owner_may_be_a_callback() {
    let _turn = turn();
    let robot = robot("tcp");
    let desk = desk(&robot, "desk");
    let stop: Intent<u8> = desk.intent("desk.stop").expect("intent");
    let (given, taken) = channel::<Endpoint>();
    let (told, ends) = channel();
    let subscription = robot.on_sample("desk.stop", InterestSettings::new(), move |_: Sample<u8>| {
        let robot = taken.recv().expect("is given");
        let _ = told.send(timed(|| drop(robot)).1);
    });
    assert!(stop.wait_interest(SOON));
    stop.send(1).expect("sends");
    given.send(robot).expect("is taken");
    let span = ends.recv_timeout(SOON).expect("ends");
    assert!(span < Duration::from_millis(750) + SLACK, "{span:?}");
    drop(subscription);
    assert!(desk.close(SOON));
    no_threads_are_left();
}

#[test]
fn a_callback_that_never_returns_is_left_behind() {
    let _turn = turn();
    for scheme in SCHEMES {
        let robot = robot(scheme);
        let desk = desk(&robot, "desk");
        let (entered, entering) = channel();
        let (release, released): (Sender<()>, _) = channel();
        let subscription = robot.on_sample("desk.data", InterestSettings::new(), move |_: Sample<u8>| {
            let _ = entered.send(());
            let _ = released.recv();
        });
        let intent: Intent<u8> = desk.intent("desk.data").expect("intent");
        assert!(intent.wait_interest(SOON));
        intent.send(1).expect("sends");
        entering.recv_timeout(SOON).expect("is called");
        let deadline = Duration::from_millis(200);
        let (complete, span) = timed(|| robot.close(deadline));
        assert!(!complete, "{scheme}");
        assert!(span >= deadline && span < deadline + CUT + SLACK, "{scheme}: {span:?}");
        // The peer was told all the same.
        assert_eq!(down(&desk).code(), ReasonCode::Closing, "{scheme}");
        assert!(desk.close(SOON));
        let left = threads();
        assert!(left.len() <= 2 && left.iter().any(|name| name.contains("reader")), "{scheme}: {left:?}");
        drop(release);
        no_threads_are_left();
        drop(subscription);
    }
}

#[test]
fn a_deadline_of_nothing_is_kept_too() {
    let _turn = turn();
    for scheme in SCHEMES {
        let robot = robot(scheme);
        let desk = desk(&robot, "desk");
        let intent: Intent<u8> = desk.intent("desk.data").expect("intent");
        let wanted: Interest<u8> = robot.interest("desk.data").expect("interest");
        assert!(intent.wait_interest(SOON));
        let (_, span) = timed(|| robot.close(Duration::ZERO));
        assert!(span < CUT + SLACK, "{scheme}: {span:?}");
        drop(wanted);
        assert!(desk.close(SOON));
        no_threads_are_left();
    }
}

#[test]
fn sends_and_closes_race_without_harm() {
    let _turn = turn();
    for round in 0..30 {
        let robot = Arc::new(robot(SCHEMES[round % 3]));
        let desk = desk(&robot, "desk");
        let wanted: Interest<u64> = desk.interest("robot.data").expect("interest");
        let intent: Intent<u64> = robot.intent("robot.data").expect("intent");
        assert!(intent.wait_interest(SOON));
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        let sender = thread::spawn(move || {
            // One at a time, so that many are written inline by this thread.
            let mut sent = 0;
            while !stopping.load(Ordering::Relaxed) && intent.send(sent).is_ok() {
                sent += 1;
                for _ in 0..2000 {
                    std::hint::spin_loop();
                }
            }
        });
        wanted.recv_timeout(SOON).expect("arrives");
        let (complete, span) = timed(|| robot.close(SOON));
        assert!(complete && span < Duration::from_secs(1), "round {round}: {span:?}");
        stop.store(true, Ordering::Relaxed);
        sender.join().expect("sends");
        // Told by a BYE: none of the races loses it.
        let reason = down(&desk);
        assert_eq!(reason.code(), ReasonCode::Closing, "round {round}: {reason}");
        assert!(desk.close(SOON));
    }
    no_threads_are_left();
}
