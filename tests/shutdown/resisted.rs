//! Against resistance: peers, transports and callbacks that do not let go.

use super::*;

/// An endpoint and a peer of it in another process, which is frozen.
fn with_a_frozen_peer(scheme: &str, ping: Duration) -> (Endpoint, Intent<Bytes>, Role) {
    // More can wait than a system that sends again what it dropped will ever find room for.
    let robot = Endpoint::builder("robot").listen(unused(scheme)).ping_interval(ping).outbox_bytes(16 << 20);
    let robot = robot.start().expect("starts");
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
        // Until its buffers and ours are full, and stay so for longer than the system takes to send again what it dropped.
        let mut room = Instant::now();
        let full = || {
            if intent.send(sample.clone()).expect("sends").worst() != bowline::Fate::Replaced {
                room = Instant::now();
            }
            room.elapsed() > Duration::from_secs(1)
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
