//! Links that do badly say so, and say when they are well again; peers that refuse are dialled slowly.

mod support;

use bowline::{
    Bytes, Endpoint, Error, Event, HealthLimits, Intent, Interest, InterestSettings, LinkState, LinkStatus,
    ReasonCode, Symptom,
};
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};
use support::{SOON, Watch, until};

/// So that a machine that does much else does not take a link for dead.
const PING: Duration = Duration::from_millis(200);

/// Limits of which none but those a test sets can be passed.
fn only() -> HealthLimits {
    let hour = Duration::from_secs(3600);
    HealthLimits::new()
        .silence(3.5)
        .round_trip(hour)
        .jitter(hour)
        .queue_age(hour)
        .loss(100)
        .resent(100)
        .recovery(Duration::from_millis(500))
}

fn degraded(watch: &mut Watch) -> (Vec<Symptom>, String) {
    watch.find(|event| match event {
        Event::LinkDegraded { symptoms, text, .. } => Some((symptoms.clone(), text.clone())),
        _ => None,
    })
}

fn recovered(watch: &mut Watch) -> Duration {
    watch.find(|event| match event {
        Event::LinkRecovered { after, .. } => Some(*after),
        _ => None,
    })
}

fn link(endpoint: &Endpoint) -> LinkStatus {
    endpoint.links().into_iter().find(|link| link.state.is_up()).expect("a link that is up")
}

#[test]
fn a_line_that_becomes_slow_is_degraded_on_both_sides_and_well_again_when_it_is_fast() {
    let limits = only().round_trip(Duration::from_millis(50));
    let robot = Endpoint::builder("robot").ping_interval(PING).health(limits).listen("tcp://127.0.0.1:0");
    let robot = robot.start().expect("starts");
    let relay = Relay::before(&robot);
    let desk = Endpoint::builder("desk").ping_interval(PING).health(limits).connect(relay.url());
    let desk = desk.start().expect("starts");
    let count: Intent<u64> = robot.intent("robot.count").expect("an intent");
    let wanted: Interest<u64> = desk.interest("robot.count").expect("an interest");
    let mut watches = [Watch::new(&robot), Watch::new(&desk)];
    watches.iter_mut().for_each(Watch::link_is_up);
    assert!(count.wait_interest(SOON));
    assert_eq!(link(&desk).state, LinkState::Up);

    relay.delay(Duration::from_millis(60));
    let began = Instant::now();
    for watch in &mut watches {
        let (symptoms, text) = degraded(watch);
        assert_eq!(symptoms, [Symptom::RoundTrip], "{text}");
        assert!(text.starts_with("round trips of 1") && text.ends_with("(limit 50 ms)"), "{text}");
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    for endpoint in [&robot, &desk] {
        let link = link(endpoint);
        let since: Vec<_> = std::iter::from_fn(|| endpoint.events().try_recv()).collect();
        assert_eq!(link.symptoms, [Symptom::RoundTrip], "{link:?}, {since:?}");
        assert_eq!(link.state, LinkState::Degraded);
        assert!(link.strain > 1000 && link.health.round_trip > Some(Duration::from_millis(100)), "{link:?}");
        assert!(link.reason.is_none());
    }
    // It is as good as it is.
    count.send(7).expect("sends");
    assert_eq!(*wanted.recv_timeout(SOON).expect("arrives"), 7);

    relay.delay(Duration::ZERO);
    for watch in &mut watches {
        assert!(recovered(watch) >= Duration::from_millis(500));
        assert!(!watch.all().iter().any(|event| matches!(event, Event::LinkDown { .. })));
    }
    let link = link(&desk);
    assert!(link.state == LinkState::Up && link.symptoms.is_empty() && link.strain <= 750, "{link:?}");
}

#[test]
fn what_waits_long_for_the_line_degrades_it() {
    let limits = only().queue_age(Duration::from_millis(200));
    let robot = Endpoint::builder("robot").health(limits).ping_interval(Duration::from_millis(300));
    let robot = robot.listen("tcp://127.0.0.1:0").start().expect("starts");
    let relay = Relay::before(&robot);
    let desk = Endpoint::builder("desk").connect(relay.url()).start().expect("starts");
    let images: Intent<Bytes> = robot.intent("robot.eye").expect("an intent");
    let _wanted: Interest<Bytes> = desk.interest("robot.eye").expect("an interest");
    let mut watch = Watch::new(&robot);
    assert!(images.wait_interest(SOON));
    // A line of some 500 kB/s, and much more to send.
    relay.rate(500_000);
    let image = Bytes::from(vec![7; 256 << 10]);
    let flooding = AtomicBool::new(true);
    thread::scope(|scope| {
        let flooding = Until(&flooding);
        let floods = flooding.0;
        scope.spawn(move || {
            while floods.load(Ordering::SeqCst) {
                images.send(image.clone()).expect("sends");
                thread::park_timeout(Duration::from_millis(2));
            }
        });
        let (symptoms, text) = degraded(&mut watch);
        assert_eq!(symptoms, [Symptom::QueueAge], "{text}");
        assert!(text.starts_with("what is to be sent waits for") && text.contains("limit 200 ms"), "{text}");
    });
    relay.rate(0);
    recovered(&mut watch);
    assert_eq!(link(&robot).state, LinkState::Up);
}

#[test]
fn a_line_that_loses_datagrams_is_degraded_until_it_does_not() {
    let limits = only().loss(15).resent(5).recovery(Duration::from_millis(100));
    let robot = Endpoint::builder("robot").health(limits).ping_interval(PING / 2);
    let robot = robot.listen("udp://127.0.0.1:0").start().expect("starts");
    let loss = Lossy::before(&robot);
    let desk = Endpoint::builder("desk").ping_interval(PING / 2).connect(loss.url()).start().expect("starts");
    let count: Intent<u64> = robot.intent("robot.count").expect("an intent");
    let lossless = InterestSettings::new().lossless(64);
    let wanted: Interest<u64> = desk.interest_with("robot.count", lossless).expect("an interest");
    let mut watch = Watch::new(&robot);
    assert!(count.wait_interest(SOON));
    let flowing = AtomicBool::new(true);
    thread::scope(|scope| {
        let flowing = Until(&flowing);
        let flows = flowing.0;
        scope.spawn(move || {
            let mut next = 0;
            while flows.load(Ordering::SeqCst) {
                if count.send_timeout(next, Duration::from_millis(50)).is_ok_and(|sent| sent.taken() > 0) {
                    next += 1;
                }
                thread::park_timeout(Duration::from_millis(2));
            }
        });
        scope.spawn(move || {
            while flows.load(Ordering::SeqCst) {
                let _ = wanted.recv_timeout(Duration::from_millis(50));
            }
        });
        loss.percent(25);
        let (symptoms, text) = degraded(&mut watch);
        assert!(symptoms.iter().all(|found| [Symptom::Loss, Symptom::Resent].contains(found)), "{text}");
        until("both are seen", || link(&robot).symptoms == [Symptom::Loss, Symptom::Resent]);
        let counts = link(&robot).counts.expect("UDP counts");
        assert!(counts.resent > 0 && counts.packets_out > counts.resent && counts.bytes_in > 0, "{counts:?}");
        loss.percent(0);
        recovered(&mut watch);
    });
}

#[test]
fn a_refusal_is_told_from_what_passes_and_tried_at_its_own_pace() {
    let robot = Endpoint::builder("robot.base").listen("tcp://127.0.0.1:0").start().expect("starts");
    let quick = (Duration::from_millis(10), Duration::from_millis(20));
    let refused = |millis| {
        Endpoint::builder("desk")
            .connect(format!("{}/robot.arm", robot.listening()[0]))
            .redial(quick.0, quick.1)
            .redial_refused(Duration::from_millis(millis))
            .start()
            .expect("starts")
    };
    let desk = refused(400);
    let mut times = Vec::new();
    while times.len() < 3 {
        if let Some(Event::LinkDown { reason, .. }) = desk.events().recv_timeout(SOON) {
            assert!(reason.code() == ReasonCode::WrongIdentity && !reason.is_transient(), "{reason}");
            times.push(Instant::now());
        }
    }
    for pair in times.windows(2) {
        let wait = pair[1] - pair[0];
        assert!(wait >= Duration::from_millis(290) && wait < Duration::from_secs(2), "{wait:?}");
    }
    let desk = refused(3_600_000);
    let mut watch = Watch::new(&desk);
    watch.wait(|event| matches!(event, Event::LinkDown { .. }));
    let wait = desk.links()[0].redial_in.expect("it waits");
    assert!(wait > Duration::from_secs(2600) && wait < Duration::from_secs(4600), "{wait:?}");
    // Nobody there is something else.
    let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("there is one");
    let desk = Endpoint::builder("desk").connect(format!("tcp://{free}/robot.arm")).redial(quick.0, quick.1);
    let desk = desk.start().expect("starts");
    for _ in 0..10 {
        let reason = Watch::new(&desk).find(|event| match event {
            Event::LinkDown { reason, .. } => Some(reason.clone()),
            _ => None,
        });
        assert!(reason.code() == ReasonCode::Unreachable && reason.is_transient(), "{reason}");
    }
}

#[test]
fn limits_out_of_range_are_refused_by_name() {
    for (limits, name) in [
        (HealthLimits::new().silence(1.0), "HealthLimits::silence"),
        (HealthLimits::new().loss(101), "HealthLimits::loss"),
    ] {
        let error = Endpoint::builder("desk").health(limits).start().unwrap_err();
        assert!(matches!(&error, Error::InvalidSetting { name: named, .. } if *named == name), "{error}");
    }
    let error = Endpoint::builder("desk").redial_refused(Duration::ZERO).start().unwrap_err();
    assert!(error.to_string().contains("redial_refused"), "{error}");
}

/// Lets threads run until this is dropped, by a failing test too.
struct Until<'a>(&'a AtomicBool);

impl Drop for Until<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

/// Passes TCP connections on, late and slowly if told so.
struct Relay {
    address: SocketAddr,
    how: Arc<How>,
}

#[derive(Default)]
struct How {
    delay_micros: AtomicU64,
    /// Bytes a second; 0 is any number.
    rate: AtomicU64,
}

impl Relay {
    fn before(endpoint: &Endpoint) -> Self {
        let to = address_of(endpoint);
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let address = listener.local_addr().expect("an address");
        let how = Arc::<How>::default();
        let shared = Arc::clone(&how);
        thread::spawn(move || {
            for from in listener.incoming().map_while(Result::ok) {
                let Ok(to) = TcpStream::connect(to) else { return };
                for (from, to) in [(&from, &to), (&to, &from)] {
                    let (from, to) = (from.try_clone().expect("clones"), to.try_clone().expect("clones"));
                    to.set_nodelay(true).expect("is set");
                    let (pieces, due) = channel();
                    let how = Arc::clone(&shared);
                    thread::spawn(move || read_all(from, &how, |piece| pieces.send(piece).is_ok()));
                    thread::spawn(move || write_all(&due, to));
                }
            }
        });
        Self { address, how }
    }

    fn url(&self) -> String {
        format!("tcp://{}/robot", self.address)
    }

    fn delay(&self, span: Duration) {
        self.how.delay_micros.store(span.as_micros() as u64, Ordering::SeqCst);
    }

    fn rate(&self, bytes: u64) {
        self.how.rate.store(bytes, Ordering::SeqCst);
    }
}

fn read_all(mut from: TcpStream, how: &How, mut give: impl FnMut((Instant, Vec<u8>)) -> bool) {
    let mut buffer = vec![0; 16 << 10];
    let mut free = Instant::now();
    loop {
        let length = from.read(&mut buffer).unwrap_or(0);
        if length == 0 {
            return;
        }
        let now = Instant::now();
        let rate = how.rate.load(Ordering::SeqCst);
        if rate > 0 {
            // What is not read here waits there.
            free = free.max(now) + Duration::from_secs_f64(length as f64 / rate as f64);
            wait_until(free);
        }
        let late = Duration::from_micros(how.delay_micros.load(Ordering::SeqCst));
        if !give((now + late, buffer[..length].to_vec())) {
            return;
        }
    }
}

fn write_all(due: &Receiver<(Instant, Vec<u8>)>, mut to: TcpStream) {
    let mut waiting: VecDeque<(Instant, Vec<u8>)> = VecDeque::new();
    let mut open = true;
    while open || !waiting.is_empty() {
        let next = waiting
            .front()
            .map_or(Duration::from_secs(3600), |(at, _)| at.saturating_duration_since(Instant::now()));
        match due.recv_timeout(next) {
            Ok(piece) => waiting.push_back(piece),
            Err(RecvTimeoutError::Disconnected) if open => open = false,
            Err(_) => {}
        }
        while waiting.front().is_some_and(|(at, _)| *at <= Instant::now()) {
            let Some((_, piece)) = waiting.pop_front() else { break };
            if to.write_all(&piece).is_err() {
                return;
            }
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

/// Passes datagrams on, save for some.
struct Lossy {
    address: SocketAddr,
    percent: Arc<AtomicU32>,
}

impl Lossy {
    fn before(endpoint: &Endpoint) -> Self {
        let to = address_of(endpoint);
        let front = Arc::new(UdpSocket::bind("127.0.0.1:0").expect("binds"));
        let back = Arc::new(UdpSocket::bind("127.0.0.1:0").expect("binds"));
        back.connect(to).expect("connects");
        let address = front.local_addr().expect("an address");
        let percent = Arc::new(AtomicU32::new(0));
        let dialler = Arc::new(parking_lot::Mutex::new(None));
        let (loses, from, known, out) = (percent.clone(), front.clone(), dialler.clone(), back.clone());
        thread::spawn(move || {
            let mut loses = Loses::new(loses);
            let mut buffer = [0; 2048];
            while let Some((length, from)) = received(from.recv_from(&mut buffer)) {
                *known.lock() = Some(from);
                if !loses.this_one() {
                    let _ = out.send(&buffer[..length]);
                }
            }
        });
        let loses = percent.clone();
        thread::spawn(move || {
            let mut loses = Loses::new(loses);
            let mut buffer = [0; 2048];
            while let Some((length, _)) = received(back.recv_from(&mut buffer)) {
                let to = *dialler.lock();
                if let Some(to) = to.filter(|_| !loses.this_one()) {
                    let _ = front.send_to(&buffer[..length], to);
                }
            }
        });
        Self { address, percent }
    }

    fn url(&self) -> String {
        format!("udp://{}/robot", self.address)
    }

    fn percent(&self, percent: u32) {
        self.percent.store(percent, Ordering::SeqCst);
    }
}

/// Which datagrams are lost: always the same ones.
struct Loses {
    percent: Arc<AtomicU32>,
    random: fastrand::Rng,
}

impl Loses {
    fn new(percent: Arc<AtomicU32>) -> Self {
        Self { percent, random: fastrand::Rng::with_seed(7) }
    }

    fn this_one(&mut self) -> bool {
        self.random.u32(0..100) < self.percent.load(Ordering::SeqCst)
    }
}

fn received(received: io::Result<(usize, SocketAddr)>) -> Option<(usize, SocketAddr)> {
    match received {
        // An answer of the system to what was sent before is of no interest.
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Some((0, ([127, 0, 0, 1], 9).into()))
        }
        other => other.ok(),
    }
}

fn address_of(endpoint: &Endpoint) -> SocketAddr {
    let (_, address) = endpoint.listening()[0].split_once("://").expect("a URL");
    address.parse().expect("an address")
}

fn wait_until(at: Instant) {
    while Instant::now() < at {
        thread::park_timeout(at.saturating_duration_since(Instant::now()));
    }
}
