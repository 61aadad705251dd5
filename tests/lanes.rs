//! What is urgent, normal and bulk on one link, seen from outside: by the order of bytes on the line, never by time.

mod support;

use bowline::transport::{Cancel, Connection, Listener, Memory, Transport};
use bowline::{Bytes, Endpoint, Fate, Intent, IntentSettings, Interest, InterestSettings, Priority};
use parking_lot::{Condvar, Mutex};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use support::{Kind, SOON, pair_with, until};

const PIECE: usize = 16 * 1024;
const LARGE: usize = 10_000_000;

/// Memory connections whose dialling side writes only as many bytes as a test lets it.
#[derive(Clone, Default)]
struct Metered(Arc<(Mutex<Meter>, Condvar)>);

#[derive(Default)]
struct Meter {
    /// Bytes that may still be written; `None`: any number.
    left: Option<usize>,
    written: Vec<u8>,
    closed: bool,
}

impl Metered {
    /// Lets so many bytes more through.
    fn allow(&self, bytes: usize) {
        let mut meter = self.0.0.lock();
        meter.left = Some(meter.left.unwrap_or(0) + bytes);
        self.0.1.notify_all();
    }

    fn hold(&self) {
        self.0.0.lock().left = Some(0);
    }

    fn open(&self) {
        self.0.0.lock().left = None;
        self.0.1.notify_all();
    }

    fn written(&self) -> usize {
        self.0.0.lock().written.len()
    }

    /// Where the bytes stand on the line, from `from` on.
    fn find(&self, from: usize, bytes: &[u8]) -> Option<usize> {
        let meter = self.0.0.lock();
        meter.written[from..].windows(bytes.len()).position(|window| window == bytes)
    }
}

struct MeteredLine {
    inner: Arc<dyn Connection>,
    meter: Metered,
}

impl Transport for Metered {
    fn scheme(&self) -> &str {
        "metered"
    }

    fn dial(&self, address: &str, timeout: Duration, cancel: &Cancel) -> io::Result<Arc<dyn Connection>> {
        Ok(Arc::new(MeteredLine { inner: Memory.dial(address, timeout, cancel)?, meter: self.clone() }))
    }

    fn listen(&self, address: &str) -> io::Result<Arc<dyn Listener>> {
        Memory.listen(address)
    }
}

impl Connection for MeteredLine {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let (lock, changed) = &*self.meter.0;
        let mut meter = lock.lock();
        while meter.left == Some(0) && !meter.closed {
            changed.wait(&mut meter);
        }
        if meter.closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let count = bytes.len().min(meter.left.unwrap_or(usize::MAX));
        drop(meter);
        let count = self.inner.write(&bytes[..count])?;
        let mut meter = lock.lock();
        meter.left = meter.left.map(|left| left - count);
        meter.written.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn close(&self) {
        self.meter.0.0.lock().closed = true;
        self.meter.0.1.notify_all();
        self.inner.close();
    }

    fn remote(&self) -> String {
        self.inner.remote()
    }
}

/// A rover that supplies over a metered line, and a station.
struct Scene {
    rover: Endpoint,
    station: Endpoint,
    line: Metered,
}

fn scene(name: &str) -> Scene {
    let line = Metered::default();
    let builder = |path: &str| {
        let builder = Endpoint::builder(path).transport(line.clone()).largest_message(16 << 20);
        builder.fragment_bytes(PIECE).ping_interval(Duration::from_secs(600))
    };
    let address = format!("metered://{name}");
    let station = builder("station").listen(address.as_str()).start().unwrap();
    let rover = builder("rover").connect(format!("{address}/station")).start().unwrap();
    Scene { rover, station, line }
}

impl Scene {
    /// A route from the rover to the station.
    fn route(
        &self,
        path: &str,
        priority: Priority,
        settings: InterestSettings,
    ) -> (Intent<Bytes>, Interest<Bytes>) {
        let intent = self.rover.intent_with(path, IntentSettings::new().priority(priority)).unwrap();
        let interest = self.station.interest_with(path, settings).unwrap();
        assert!(intent.wait_interest(SOON));
        (intent, interest)
    }
}

fn pattern(len: usize, seed: usize) -> Bytes {
    Bytes::from((0..len).map(|at| ((at * 31 + seed) >> 3) as u8 | 1).collect::<Vec<_>>())
}

/// 64 bytes that occur nowhere else.
fn stop(number: u8) -> Bytes {
    let mut bytes = vec![0; 64];
    bytes[0] = number;
    bytes[63] = 0xEE;
    Bytes::from(bytes)
}

#[test]
fn an_urgent_sample_is_two_pieces_behind_whatever_flows() {
    let scene = scene("lanes-urgent");
    let (eye, seen) = scene.route("rover.eye", Priority::Bulk, InterestSettings::new().lossless(4));
    let (log, _logged) = scene.route("rover.log", Priority::Normal, InterestSettings::new().queue(4));
    let (halt, halted) = scene.route("rover.halt", Priority::Urgent, InterestSettings::new().lossless(64));
    let image = pattern(LARGE, 1);
    scene.line.hold();
    eye.send(image.clone()).unwrap();
    log.send(pattern(3_000_000, 2)).unwrap();
    for number in 0..20 {
        // Somewhere in the middle of a piece.
        let before = scene.line.written();
        scene.line.allow(100_000 + 7919 * usize::from(number));
        until("it flows", || scene.line.written() == before + 100_000 + 7919 * usize::from(number));
        let from = scene.line.written();
        halt.send(stop(number)).unwrap();
        scene.line.allow(3 * (PIECE + 100));
        until("three pieces went", || scene.line.written() == from + 3 * (PIECE + 100));
        let at = scene.line.find(from, &stop(number)).expect("it is among them");
        assert!(at <= 2 * (PIECE + 100), "stop command {number} is {at} bytes behind");
        assert_eq!(*halted.recv_timeout(SOON).unwrap(), stop(number));
    }
    scene.line.open();
    assert!(*seen.recv_timeout(SOON).unwrap() == image, "the image is whole");
}

#[test]
fn bulk_does_not_starve_beside_what_is_urgent_and_normal() {
    let scene = scene("lanes-starve");
    let (eye, seen) = scene.route("rover.eye", Priority::Bulk, InterestSettings::new().lossless(1));
    let (map, _map) = scene.route("rover.map", Priority::Normal, InterestSettings::new().latest());
    let (halt, _halt) = scene.route("rover.halt", Priority::Urgent, InterestSettings::new().latest());
    let image = pattern(300_000, 1);
    scene.line.hold();
    eye.send(image.clone()).unwrap();
    // More of the others than the line takes, all the time.
    let mut turns = 0;
    let got = loop {
        map.send(pattern(100_000, turns)).unwrap();
        halt.send(pattern(10_000, turns)).unwrap();
        scene.line.allow(20_000);
        if let Ok(got) = seen.recv_timeout(Duration::from_millis(2)) {
            break got;
        }
        turns += 1;
        assert!(turns < 5000, "the image did not come");
    };
    assert!(*got == image);
    scene.line.open();
}

#[test]
fn samples_of_one_intent_never_overtake_each_other_whatever_their_sizes() {
    for (place, priority) in [Priority::Urgent, Priority::Normal, Priority::Bulk].into_iter().enumerate() {
        let scene = scene(&format!("lanes-order-{place}"));
        let (intent, interest) = scene.route("rover.any", priority, InterestSettings::new().lossless(64));
        let (other, others) =
            scene.route("rover.other", Priority::Normal, InterestSettings::new().lossless(64));
        let sizes = [10, 40_000, 0, 100, 70_000, 16 * 1024, 16 * 1024 + 1, 5, 200_000, 1];
        for round in 0..5 {
            for (at, size) in sizes.into_iter().enumerate() {
                intent.send_timeout(pattern(size, at + round), SOON).unwrap();
                other.send_timeout(pattern(50, at + round), SOON).unwrap();
            }
            for (at, size) in sizes.into_iter().enumerate() {
                let sample = interest.recv_timeout(SOON).unwrap();
                assert!(*sample == pattern(size, at + round), "{priority}: sample {at} of round {round}");
                assert_eq!(sample.sequence(), (round * sizes.len() + at) as u64);
                assert_eq!(*others.recv_timeout(SOON).unwrap(), pattern(50, at + round));
            }
        }
        assert!(interest.try_recv().is_err());
    }
}

#[test]
fn an_intent_that_is_withdrawn_is_so_behind_its_last_piece() {
    let scene = scene("lanes-withdrawn");
    let (eye, seen) = scene.route("rover.eye", Priority::Bulk, InterestSettings::new().lossless(4));
    let (image, second) = (pattern(LARGE, 1), pattern(100_000, 2));
    scene.line.hold();
    eye.send(image.clone()).unwrap();
    drop(eye);
    // The alias must not stand for another pair before.
    let again: Intent<Bytes> = scene.rover.intent("rover.eye").unwrap();
    scene.line.open();
    assert!(*seen.recv_timeout(SOON).unwrap() == image);
    assert!(again.wait_interest(SOON));
    again.send(second.clone()).unwrap();
    assert!(*seen.recv_timeout(SOON).unwrap() == second);
}

#[test]
fn what_waits_in_pieces_is_sent_before_an_orderly_end() {
    let Scene { rover, station, line } = scene("lanes-closing");
    let (eye, seen): (Intent<Bytes>, Interest<Bytes>) = (
        rover.intent_with("rover.eye", IntentSettings::new().priority(Priority::Bulk)).unwrap(),
        station.interest_with("rover.eye", InterestSettings::new().lossless(4)).unwrap(),
    );
    assert!(eye.wait_interest(SOON));
    let image = pattern(LARGE, 1);
    eye.send(image.clone()).unwrap();
    rover.close(SOON);
    assert!(*seen.recv_timeout(SOON).unwrap() == image);
    drop(line);
}

each_link! { large_samples_come_whole, what_is_too_large_is_told_with_both_numbers }

fn large_samples_come_whole(kind: Kind) {
    let pair = pair_with(kind, |robot| robot.largest_message(4 << 20), |desk| desk.largest_message(4 << 20));
    for (path, priority) in
        [("robot.a", Priority::Bulk), ("robot.b", Priority::Normal), ("robot.c", Priority::Urgent)]
    {
        let settings = IntentSettings::new().priority(priority);
        let intent: Intent<Bytes> = pair.robot.intent_with(path, settings).unwrap();
        let wanted: Interest<Bytes> =
            pair.desk.interest_with(path, InterestSettings::new().lossless(2)).unwrap();
        assert!(intent.wait_interest(SOON));
        for seed in 0..4 {
            let image = pattern(700_000 * (seed + 1) + seed, seed);
            intent.send_timeout(image.clone(), SOON).unwrap();
            assert!(*wanted.recv_timeout(SOON).unwrap() == image, "{priority}, {} bytes", image.len());
        }
    }
}

fn what_is_too_large_is_told_with_both_numbers(kind: Kind) {
    let pair = pair_with(kind, |robot| robot.largest_message(4 << 20), |desk| desk.largest_message(1 << 20));
    let intent: Intent<Bytes> = pair.robot.intent("robot.eye").unwrap();
    let wanted: Interest<Bytes> =
        pair.desk.interest_with("robot.eye", InterestSettings::new().lossless(2)).unwrap();
    assert!(intent.wait_interest(SOON));
    let error = intent.send(pattern(2_000_000, 1)).unwrap_err();
    let text = error.to_string();
    assert!(error.is_too_large() && text.contains("2000000") && text.contains("1048576"), "{text}");
    drop(wanted);
    let wanted: Interest<Bytes> =
        pair.desk.interest_with("robot.eye", InterestSettings::new().latest()).unwrap();
    until("it is told", || {
        intent.send(pattern(2_000_000, 1)).is_ok_and(|outcome| outcome.worst() == Fate::TooLarge)
    });
    drop(wanted);
}
