//! Compressed samples between real endpoints: both take them, one does, none does.

mod support;

use bowline::transport::{Cancel, Connection, Listener, Memory, Transport};
use bowline::{
    Bytes, Compression, CompressionCounts, Endpoint, Intent, IntentSettings, Interest, InterestSettings,
    LinkCompression,
};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use support::{Kind, Pair, SOON, dial, pair, pair_with, until, url};

each_link!(
    what_repeats_is_sent_small,
    a_reader_that_takes_none_gets_them_as_they_are,
    an_intent_that_does_not_compress_sends_them_as_they_are,
    noise_is_soon_left_alone,
    latecomers_get_what_was_retained,
);

/// 20 KB that compress well, each one different.
fn map(number: u32) -> Bytes {
    let mut bytes = Vec::new();
    for place in 0..5000u32 {
        bytes.extend_from_slice(&(number + place / 100).to_le_bytes());
    }
    Bytes::from(bytes)
}

/// As many bytes that do not compress.
fn noise(number: u32, size: usize) -> Bytes {
    let mut state = 0x9E37_79B9_7F4A_7C15u64 ^ u64::from(number + 1);
    let bytes = (0..size).map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    });
    Bytes::from(bytes.collect::<Vec<u8>>())
}

fn supply(pair: &Pair, compression: Compression) -> Intent<Bytes> {
    let settings = IntentSettings::new().compression(compression).max_wait(SOON);
    pair.robot.intent_with("robot.map", settings).expect("intent")
}

fn want(pair: &Pair, settings: InterestSettings) -> Interest<Bytes> {
    pair.desk.interest_with("robot.map", settings).expect("interest")
}

fn of_link(endpoint: &Endpoint) -> LinkCompression {
    endpoint.links()[0].compression.expect("it is up")
}

/// Sends some without loss and reads them.
fn exchange(intent: &Intent<Bytes>, interest: &Interest<Bytes>, samples: impl Iterator<Item = Bytes>) {
    assert!(intent.wait_interest(SOON));
    for sample in samples {
        intent.send(sample.clone()).expect("sends");
        assert_eq!(**interest.recv_timeout(SOON).expect("comes"), *sample);
    }
}

fn what_repeats_is_sent_small(kind: Kind) {
    let pair = pair(kind);
    let intent = supply(&pair, Compression::Always);
    let deliveries = [
        InterestSettings::new().lossless(4),
        InterestSettings::new().queue(4),
        InterestSettings::new().latest(),
    ];
    for settings in deliveries {
        let interest = want(&pair, settings);
        exchange(&intent, &interest, (0..20).map(map));
        drop(interest);
        until("nobody wants it", || intent.interested() == 0);
    }
    let counts = intent.compression();
    assert_eq!((counts.samples, counts.compressed, counts.raw), (60, 60, 60 * 20_000));
    assert!(counts.sent < counts.raw / 4, "{counts:?}");
    assert_eq!(of_link(&pair.robot).out, counts);
    assert_eq!(of_link(&pair.desk).received, counts);
    assert!(pair.robot.links()[0].bytes_out < counts.raw / 2);
}

fn a_reader_that_takes_none_gets_them_as_they_are(kind: Kind) {
    let pair = pair(kind);
    let intent = supply(&pair, Compression::Always);
    exchange(&intent, &want(&pair, InterestSettings::new().lossless(4).uncompressed()), (0..10).map(map));
    assert_eq!(intent.compression(), CompressionCounts::default());
    assert_eq!(of_link(&pair.desk), LinkCompression::default());
}

fn an_intent_that_does_not_compress_sends_them_as_they_are(kind: Kind) {
    let pair = pair(kind);
    let intent = supply(&pair, Compression::Off);
    exchange(&intent, &want(&pair, InterestSettings::new().lossless(4)), (0..10).map(map));
    assert_eq!(intent.compression(), CompressionCounts::default());
    assert_eq!(of_link(&pair.robot), LinkCompression::default());
}

fn noise_is_soon_left_alone(kind: Kind) {
    let pair = pair(kind);
    let intent = supply(&pair, Compression::Always);
    let interest = want(&pair, InterestSettings::new().lossless(4));
    exchange(&intent, &interest, (0..20).map(|number| noise(number, 3000)));
    let counts = intent.compression();
    assert_eq!((counts.samples, counts.compressed), (20, 0));
    assert_eq!(counts.sent, counts.raw + 20, "a byte each");
    // It rests now, whatever comes.
    exchange(&intent, &interest, (0..52).map(map));
    assert_eq!(intent.compression().compressed, 0);
    exchange(&intent, &interest, (0..10).map(map));
    assert_eq!(intent.compression().compressed, 10);
}

fn latecomers_get_what_was_retained(kind: Kind) {
    let pair = pair(kind);
    let settings = IntentSettings::new().compression(Compression::Always).retain();
    let intent: Intent<Bytes> = pair.robot.intent_with("robot.map", settings).expect("intent");
    intent.send(map(1)).expect("sends");
    let interest = want(&pair, InterestSettings::new().lossless(4));
    assert_eq!(**interest.recv_timeout(SOON).expect("comes"), *map(1));
    intent.send(map(2)).expect("sends");
    assert_eq!(**interest.recv_timeout(SOON).expect("comes"), *map(2));
}

#[test]
fn several_readers_each_get_the_form_they_take() {
    let pair = pair(Kind::Tcp);
    let other = dial("other", &pair.robot);
    let intent = supply(&pair, Compression::Always);
    let packed = want(&pair, InterestSettings::new().lossless(4));
    let plain = want(&pair, InterestSettings::new().lossless(4).uncompressed());
    let second: Interest<Bytes> =
        other.interest_with("robot.map", InterestSettings::new().lossless(4)).expect("interest");
    let here: Interest<Bytes> =
        pair.robot.interest_with("robot.map", InterestSettings::new().lossless(4)).expect("interest");
    assert!(intent.wait_interests(4, SOON));
    for number in 0..10 {
        intent.send(map(number)).expect("sends");
        for interest in [&packed, &plain, &second, &here] {
            assert_eq!(**interest.recv_timeout(SOON).expect("comes"), *map(number));
        }
    }
    assert_eq!((intent.compression().samples, intent.compression().compressed), (20, 20));
}

#[test]
fn the_largest_message_passes_and_a_larger_one_does_not() {
    const LARGEST: usize = 100_000;
    for other in [LARGEST, 2 * LARGEST] {
        let small = |builder: bowline::EndpointBuilder| builder.largest_message(LARGEST);
        let pair = pair_with(Kind::Tcp, |robot| robot.largest_message(other), small);
        let intent = supply(&pair, Compression::Always);
        let interest = want(&pair, InterestSettings::new().lossless(4));
        exchange(&intent, &interest, [noise(1, LARGEST), Bytes::from(vec![0; LARGEST])].into_iter());
        for sample in [noise(1, LARGEST + 1), Bytes::from(vec![0; LARGEST + 1])] {
            let error = intent.send(sample).expect_err("it is too large");
            assert!(error.is_too_large() && error.to_string().contains("100000"), "{error}");
        }
        exchange(&intent, &interest, (0..3).map(map));
    }
}

#[test]
fn small_samples_under_load_come_whole_and_in_order() {
    let pair = pair(Kind::Tcp);
    let settings = IntentSettings::new().compression(Compression::Always).max_wait(SOON);
    let intent: Intent<Vec<u32>> = pair.robot.intent_with("robot.list", settings).expect("intent");
    let lossless = InterestSettings::new().lossless(1000);
    let interest: Interest<Vec<u32>> = pair.desk.interest_with("robot.list", lossless).expect("interest");
    assert!(intent.wait_interest(SOON));
    // Some too small to be tried, some that are compressed, all behind each other.
    let list = |number: u32| vec![number; (number % 97) as usize];
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for number in 0..20_000 {
                assert_eq!(*interest.recv_timeout(SOON).expect("comes"), list(number));
            }
        });
        for number in 0..20_000 {
            intent.send(list(number)).expect("sends");
        }
    });
    let counts = intent.compression();
    assert!(counts.compressed > 1000 && counts.compressed < counts.samples, "{counts:?}");
}

#[test]
fn a_relay_passes_them_on_as_they_are() {
    let relay =
        Endpoint::builder("gateway").listen("tcp://127.0.0.1:0").relay("robot").start().expect("starts");
    let (robot, desk) = (dial("robot", &relay), dial("desk", &relay));
    let settings = IntentSettings::new().compression(Compression::Always).max_wait(SOON);
    let intent: Intent<Bytes> = robot.intent_with("robot.map", settings).expect("intent");
    let lossless = InterestSettings::new().lossless(4);
    let interest: Interest<Bytes> = desk.interest_with("robot.map", lossless).expect("interest");
    exchange(&intent, &interest, (0..20).map(map));
    let counts = intent.compression();
    assert_eq!((counts.samples, counts.compressed), (20, 20));
    assert_eq!(of_link(&desk).received, counts);
    for link in relay.links() {
        assert_eq!(link.compression, Some(LinkCompression::default()), "it unpacks nothing");
        assert!(link.bytes_out < counts.raw / 4);
    }
}

#[test]
fn auto_leaves_lines_alone_that_keep_up_and_compresses_on_slow_ones() {
    for (transport, compressed) in [(Slow(None), 0), (Slow(Some(1 << 40)), 0), (Slow(Some(100_000)), 20)] {
        let rate = transport.0;
        let robot = Endpoint::builder("robot").transport(transport);
        let robot = robot.listen(format!("slow://auto-{}", rate.unwrap_or(0))).start().expect("starts");
        let desk =
            Endpoint::builder("desk").transport(transport).connect(url(&robot)).start().expect("starts");
        let settings = IntentSettings::new().compression(Compression::Auto).max_wait(SOON);
        let intent: Intent<Bytes> = robot.intent_with("robot.map", settings).expect("intent");
        let lossless = InterestSettings::new().lossless(4);
        let interest: Interest<Bytes> = desk.interest_with("robot.map", lossless).expect("interest");
        exchange(&intent, &interest, (0..20).map(map));
        let counts = intent.compression();
        assert_eq!((counts.samples, counts.compressed), (20, compressed), "at {rate:?} bytes a second");
    }
}

/// Memory that says how fast it is.
#[derive(Clone, Copy)]
struct Slow(Option<u64>);

struct Paced(Arc<dyn Connection>, Option<u64>);

struct Accepts(Arc<dyn Listener>, Option<u64>);

impl Transport for Slow {
    fn scheme(&self) -> &'static str {
        "slow"
    }

    fn dial(&self, address: &str, timeout: Duration, cancel: &Cancel) -> io::Result<Arc<dyn Connection>> {
        let connection = Memory.dial(address, timeout, cancel)?;
        Ok(Arc::new(Paced(connection, self.0)))
    }

    fn listen(&self, address: &str) -> io::Result<Arc<dyn Listener>> {
        Ok(Arc::new(Accepts(Memory.listen(address)?, self.0)))
    }
}

impl Listener for Accepts {
    fn accept(&self) -> io::Result<Arc<dyn Connection>> {
        Ok(Arc::new(Paced(self.0.accept()?, self.1)))
    }

    fn address(&self) -> String {
        self.0.address()
    }

    fn close(&self) {
        self.0.close();
    }
}

impl Connection for Paced {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn rate(&self) -> Option<u64> {
        self.1
    }

    fn close(&self) {
        self.0.close();
    }

    fn remote(&self) -> String {
        self.0.remote()
    }
}
