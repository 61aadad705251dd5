//! Sessions over UDP, through a relay that loses datagrams, and against senders that mean no good.

mod support;

use bowline::{Bytes, Endpoint, Event, Intent, Interest, InterestSettings, LostAt};
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use support::{SOON, Watch, until};

/// Passes datagrams between one dialler and a listener, and loses some.
struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    /// Of 100, how many are lost each way.
    percent: AtomicU32,
    lost: AtomicU64,
    /// The largest datagram.
    largest: AtomicUsize,
    ended: AtomicBool,
}

impl Relay {
    fn to(listener: &Endpoint) -> Self {
        let target: SocketAddr = listener.listening()[0].trim_start_matches("udp://").parse().unwrap();
        let front = Arc::new(UdpSocket::bind("127.0.0.1:0").unwrap());
        let back = Arc::new(UdpSocket::bind("127.0.0.1:0").unwrap());
        for socket in [&front, &back] {
            socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
            socket2::SockRef::from(&**socket).set_recv_buffer_size(1 << 20).unwrap();
        }
        let address = front.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        // Where the dialler is, as its last datagram said.
        let dialler = Arc::new(Mutex::new(None));
        let seed = std::env::var("BOWLINE_SEED")
            .ok()
            .and_then(|s| s.parse().ok())
            .unwrap_or_else(|| fastrand::u64(..));
        println!("BOWLINE_SEED={seed}");
        let threads = vec![
            {
                let (front, back, shared, dialler) =
                    (front.clone(), back.clone(), shared.clone(), dialler.clone());
                thread::spawn(move || {
                    shared.pass(&front, seed, |bytes, from| {
                        *dialler.lock().unwrap() = Some(from);
                        let _ = back.send_to(bytes, target);
                    });
                })
            },
            {
                let shared = shared.clone();
                thread::spawn(move || {
                    shared.pass(&back, seed ^ 1, |bytes, _| {
                        let dialler = *dialler.lock().unwrap();
                        if let Some(dialler) = dialler {
                            let _ = front.send_to(bytes, dialler);
                        }
                    });
                })
            },
        ];
        Self { address, shared, threads }
    }

    fn lose(&self, percent: u32) {
        self.shared.percent.store(percent, Ordering::Relaxed);
    }

    fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    fn largest(&self) -> usize {
        self.shared.largest.load(Ordering::Relaxed)
    }

    fn url(&self) -> String {
        format!("udp://{}", self.address)
    }
}

impl Shared {
    fn pass(&self, from: &UdpSocket, seed: u64, pass: impl Fn(&[u8], SocketAddr)) {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut buffer = [0; 65_536];
        while !self.ended.load(Ordering::Relaxed) {
            match from.recv_from(&mut buffer) {
                Ok((length, sender)) => {
                    self.largest.fetch_max(length, Ordering::Relaxed);
                    if random.u32(0..100) < self.percent.load(Ordering::Relaxed) {
                        self.lost.fetch_add(1, Ordering::Relaxed);
                    } else {
                        pass(&buffer[..length], sender);
                    }
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => {}
            }
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn robot() -> Endpoint {
    Endpoint::builder("robot").listen("udp://127.0.0.1:0").start().expect("the robot starts")
}

fn desk(url: &str) -> Endpoint {
    Endpoint::builder("desk").connect(url).start().expect("the desk starts")
}

#[test]
fn at_ten_percent_loss_a_queue_loses_what_was_dropped_and_counts_exactly_that() {
    const COUNT: u32 = 3000;
    let robot = robot();
    let relay = Relay::to(&robot);
    let desk = desk(&relay.url());
    let count: Intent<u32> = robot.intent("robot.count").unwrap();
    let wanted: Interest<u32> =
        desk.interest_with("robot.count", InterestSettings::new().queue(8192)).unwrap();
    assert!(count.wait_interest(SOON));
    relay.lose(10);
    for number in 0..COUNT {
        count.send(number).unwrap();
        if number % 8 == 0 {
            thread::yield_now();
        }
    }
    let all = || {
        let counts = wanted.counts();
        counts.received + counts.lost_on_the_way + counts.lost_there
    };
    until("every sample came or was counted", || all() == u64::from(COUNT));
    let (mut received, mut last) = (0u32, None);
    while let Ok(sample) = wanted.try_recv() {
        // Where more than 63 in a row are lost with one datagram, some numbers stay behind until the next tally.
        assert!(sample.sequence() <= u64::from(*sample), "no loss is counted that was none");
        assert!(last < Some(*sample), "in order, and once");
        last = Some(*sample);
        received += 1;
    }
    let counts = wanted.counts();
    assert_eq!(u64::from(received) + counts.lost_on_the_way + counts.lost_there, u64::from(COUNT));
    assert_eq!(counts.lost_here, 0);
    assert!(counts.lost_on_the_way > 0 && relay.lost() > 0);
    println!(
        "{received} came, {} lost on the way, {} dropped by the sender, {} datagrams lost",
        counts.lost_on_the_way,
        counts.lost_there,
        relay.lost()
    );
    // Both sides are told.
    let told = |event: &Event| matches!(event, Event::SamplesLost { lost: LostAt::OnTheWay, .. });
    Watch::new(&desk).wait(told);
    Watch::new(&robot).wait(|event| matches!(event, Event::SamplesLost { lost: LostAt::There, .. }));
}

#[test]
fn at_ten_percent_loss_a_lossless_interest_gets_everything_in_order() {
    const COUNT: u32 = 2000;
    let robot = robot();
    let relay = Relay::to(&robot);
    let desk = desk(&relay.url());
    let count: Intent<u32> = robot.intent("robot.count").unwrap();
    let wanted: Interest<u32> =
        desk.interest_with("robot.count", InterestSettings::new().lossless(64)).unwrap();
    assert!(count.wait_interest(SOON));
    relay.lose(10);
    let receiving = thread::spawn(move || {
        for number in 0..COUNT {
            assert_eq!(*wanted.recv_timeout(SOON).unwrap(), number);
        }
        wanted.counts()
    });
    for number in 0..COUNT {
        assert_eq!(count.send_timeout(number, SOON).unwrap().taken(), 1);
    }
    let counts = receiving.join().unwrap();
    assert_eq!((counts.received, counts.lost_on_the_way), (COUNT.into(), 0));
    assert!(relay.lost() > 0);
}

#[test]
fn a_link_comes_up_and_back_through_loss() {
    let robot = robot();
    let relay = Relay::to(&robot);
    relay.lose(30);
    let desk = Endpoint::builder("desk")
        .connect(relay.url())
        .ping_interval(Duration::from_millis(100))
        .redial(Duration::from_millis(10), Duration::from_millis(50))
        .start()
        .unwrap();
    let mut watch = Watch::new(&desk);
    watch.link_is_up();
    relay.lose(100);
    watch.wait(|event| matches!(event, Event::LinkDown { .. }));
    relay.lose(10);
    watch.link_is_up();
}

#[test]
fn large_samples_go_in_fragments_and_small_ones_are_not_split() {
    let robot = robot();
    let desk = desk(&robot.listening()[0]);
    let image: Intent<Bytes> = robot.intent("robot.image").unwrap();
    let wanted: Interest<Bytes> = desk.interest("robot.image").unwrap();
    assert!(image.wait_interest(SOON));
    for size in [0, 1, 1150, 1190, 1200, 5000, 60_000] {
        let bytes: Vec<u8> = (0..size).map(|at| at as u8).collect();
        image.send(Bytes::from(bytes.clone())).unwrap();
        let sample = wanted.recv_timeout(SOON).unwrap();
        assert!(sample[..] == bytes[..], "{size}");
    }
}

#[test]
fn peers_of_one_socket_are_kept_apart_and_found_again_after_a_restart() {
    let robot = robot();
    let desks: Vec<Endpoint> = (0..8)
        .map(|number| {
            let name = format!("desk{number}");
            Endpoint::builder(name).connect(robot.listening()[0].as_str()).start().unwrap()
        })
        .collect();
    let sum: Interest<u32> = robot.interest_with("desk.number", InterestSettings::new().queue(64)).unwrap();
    let intents: Vec<Intent<u32>> = desks.iter().map(|desk| desk.intent("desk.number").unwrap()).collect();
    for (number, intent) in (0..).zip(&intents) {
        assert!(intent.wait_interest(SOON));
        intent.send(number).unwrap();
        let sample = sum.recv_timeout(SOON).unwrap();
        assert_eq!(sample.peer().unwrap().path.as_ref().unwrap().as_str(), format!("desk{}", *sample));
    }
    let address = robot.listening()[0].clone();
    assert!(robot.close(SOON), "the robot closes in time");
    let again =
        Endpoint::builder("robot").listen(address.as_str()).start().expect("the socket is free again");
    let _sum: Interest<u32> = again.interest("desk.number").unwrap();
    for intent in &intents {
        assert!(intent.wait_interest(SOON), "each found the new one");
    }
}

#[test]
fn floods_of_openings_and_rubbish_leave_other_links_alone_and_get_less_than_they_send() {
    let robot = robot();
    let desk = desk(&robot.listening()[0]);
    let count: Intent<u32> = robot.intent("robot.count").unwrap();
    let wanted: Interest<u32> =
        desk.interest_with("robot.count", InterestSettings::new().lossless(64)).unwrap();
    assert!(count.wait_interest(SOON));
    let target: SocketAddr = robot.listening()[0].trim_start_matches("udp://").parse().unwrap();
    let ended = Arc::new(AtomicBool::new(false));
    let flooding: Vec<_> = (0..2u64)
        .map(|seed| {
            let ended = ended.clone();
            thread::spawn(move || {
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                socket.set_nonblocking(true).unwrap();
                let mut random = fastrand::Rng::with_seed(seed);
                let (mut sent, mut received) = (0, 0);
                let mut buffer = [0; 2048];
                while !ended.load(Ordering::Relaxed) {
                    let mut datagram = vec![0u8, 0, 20, 1];
                    datagram.extend(b"BWLP\x01");
                    datagram.extend((random.u32(..) | 1).to_le_bytes());
                    datagram.extend([0xB0, 4, 0, 0, 1, 0, 0]);
                    datagram.resize(64, 0);
                    if random.bool() {
                        let length = random.usize(0..datagram.len());
                        datagram.truncate(length);
                        random.fill(&mut datagram);
                    }
                    sent += socket.send_to(&datagram, target).unwrap_or(0);
                    while let Ok(length) = socket.recv(&mut buffer) {
                        received += length;
                    }
                    // The machine has two cores, and this is about what is kept, not about how fast it is.
                    thread::yield_now();
                }
                (sent, received)
            })
        })
        .collect();
    let began = Instant::now();
    for number in 0..300 {
        count.send_timeout(number, SOON).unwrap();
        assert_eq!(*wanted.recv_timeout(SOON).unwrap(), number);
    }
    println!("300 samples in {:?} beside the flood", began.elapsed());
    ended.store(true, Ordering::Relaxed);
    for flood in flooding {
        let (sent, received) = flood.join().unwrap();
        println!("sent {sent} bytes, got {received}");
        assert!(sent > 0 && received <= sent);
    }
    assert_eq!(robot.links().len(), 1);
}

#[test]
fn a_size_of_datagrams_is_kept_to() {
    let robot = Endpoint::builder("robot").listen("udp://127.0.0.1:0?mtu=600").start().unwrap();
    let relay = Relay::to(&robot);
    let desk = desk(&format!("{}?mtu=1400", relay.url()));
    let image: Intent<Bytes> = robot.intent("robot.image").unwrap();
    let wanted: Interest<Bytes> = desk.interest("robot.image").unwrap();
    assert!(image.wait_interest(SOON));
    image.send(Bytes::from(vec![1; 5000])).unwrap();
    assert_eq!(wanted.recv_timeout(SOON).unwrap().len(), 5000);
    assert!(relay.largest() <= 600, "{}", relay.largest());
    let error = Endpoint::builder("x").listen("udp://127.0.0.1:0?mtu=500").start().unwrap_err();
    assert!(error.to_string().contains("`mtu` is 576 to 65507"), "{error}");
}
