//! Lossless samples over a line that damages a packet in a hundred, and on from it by a relay.

use crate::cable::{Cable, End};
use crate::ends;
use crate::support::{SOON, Watch, until};
use bowline::{Endpoint, Event, Fate, Intent, IntentSettings, Interest, InterestSettings};
use std::thread;
use std::time::{Duration, Instant};

/// What a sample of the tests is: 64 bytes, the first of them a number.
type Sample = (u32, [u8; 20], [u8; 20], [u8; 20]);

fn sample(number: u32) -> Sample {
    (number, [7; 20], [8; 20], [9; 20])
}

/// One packet in so many loses a byte's worth of truth, whatever its length.
fn damages_one_packet_in(packets: u32, seed: u64) -> impl FnMut(Vec<u8>) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut doomed = false;
    move |mut bytes| {
        for byte in &mut bytes {
            if *byte == 0 {
                // A packet ends: the next one begins.
                doomed = random.u32(0..packets) == 0;
            } else if std::mem::take(&mut doomed) {
                // Not to a zero, which would make two packets of it.
                *byte = if *byte == 0x55 { 0x54 } else { 0x55 };
            }
        }
        bytes
    }
}

/// How many samples a second a reader takes that takes all, out of `count` in all; and how many packets came
/// damaged.
fn rate(cable: &Cable, count: u32) -> (f64, u64) {
    let ends = ends(cable);
    let intent: Intent<Sample> = ends.robot.intent("robot.sample").expect("intent");
    let interest: Interest<Sample> =
        ends.desk.interest_with("robot.sample", InterestSettings::new().lossless(64)).expect("interest");
    assert!(intent.wait_interest(SOON));
    let rate = thread::scope(|scope| {
        scope.spawn(move || {
            for number in 0..count {
                intent.send_timeout(sample(number), SOON).expect("goes on");
            }
        });
        let mut begun = Instant::now();
        for number in 0..count {
            let sample = interest.recv_timeout(SOON).expect("arrives");
            assert_eq!((sample.0, sample.sequence()), (number, u64::from(number)), "all, in order");
            // What waits at both ends is filled first.
            if number == count / 8 {
                begun = Instant::now();
            }
        }
        assert!(interest.recv_timeout(Duration::from_millis(50)).is_err(), "none comes twice");
        f64::from(count - count / 8) / begun.elapsed().as_secs_f64()
    });
    let links = [ends.robot.links(), ends.desk.links()].concat();
    (rate, links.iter().filter_map(|link| link.counts).map(|counts| counts.broken).sum())
}

/// `cargo test --test serial -- --nocapture --exact lossless::a_damaged_line_delivers_all_at_nearly_its_rate`
#[test]
fn a_damaged_line_delivers_all_at_nearly_its_rate() {
    const COUNT: u32 = 800;
    // A busy machine leaves either line idle at times: the best of a few pairs says what the damage costs.
    let mut best = 0.0;
    for _ in 0..3 {
        let (clean, _) = rate(&Cable::new(115_200), COUNT);
        let cable = Cable::new(115_200);
        for end in [End::A, End::B] {
            cable.way(end, damages_one_packet_in(100, end as u64));
        }
        let (damaged, packets) = rate(&cable, COUNT);
        best = f64::max(best, damaged / clean);
        println!(
            "lossless at 115200 baud, {} bytes a sample: {clean:.1} a second clean, {damaged:.1} with 1 % of packets \
             damaged ({packets}), {:.3}",
            size_of::<Sample>(),
            damaged / clean
        );
        assert!(packets > 0, "the line was to be damaged");
        if best >= 0.9 {
            return;
        }
    }
    panic!("{best:.3} of the clean rate");
}

/// A board that stalls nobody, a gateway on the board's serial line and a reader behind TCP.
#[test]
fn what_a_board_sends_stays_lossless_behind_a_relay() {
    const COUNT: u32 = 600;
    let cable = Cable::new(460_800);
    let gateway = Endpoint::builder("gateway")
        .listen(cable.url(End::A, ""))
        .listen("tcp://127.0.0.1:0")
        .relay("board")
        .start()
        .expect("the gateway starts");
    let board = Endpoint::builder("board").connect(cable.url(End::B, "/gateway")).start().expect("starts");
    let address = gateway.listening().iter().find(|url| url.starts_with("tcp:")).expect("it listens");
    let desk = Endpoint::builder("desk").connect(format!("{address}/gateway")).start().expect("starts");
    for end in [End::A, End::B] {
        cable.way(end, damages_one_packet_in(50, end as u64));
    }
    let intent: Intent<Sample> = board.intent("board.sample").expect("intent");
    let interest: Interest<Sample> =
        desk.interest_with("board.sample", InterestSettings::new().lossless(32)).expect("interest");
    assert!(intent.wait_interest(SOON));
    thread::scope(|scope| {
        scope.spawn(move || {
            for number in 0..COUNT {
                intent.send_timeout(sample(number), SOON).expect("goes on");
            }
        });
        for number in 0..COUNT {
            let sample = interest.recv_timeout(SOON).expect("arrives");
            assert_eq!((sample.0, sample.sequence()), (number, u64::from(number)), "all, in order");
        }
    });
    let counts = interest.counts();
    assert_eq!((counts.received, counts.lost_here), (COUNT.into(), 0));
    assert_eq!((counts.lost_there, counts.lost_on_the_way), (0, 0));
    let repaired =
        gateway.links().iter().filter_map(|link| link.counts).map(|counts| counts.broken).sum::<u64>();
    assert!(repaired > 0, "the line was to be damaged");
}

/// The one who is cut off, and who cuts off, may have a relay between them.
#[test]
fn a_reader_behind_a_relay_is_cut_off_and_comes_back() {
    let cable = Cable::new(460_800);
    let gateway = Endpoint::builder("gateway")
        .listen(cable.url(End::A, ""))
        .listen("tcp://127.0.0.1:0")
        .relay("board")
        .start()
        .expect("the gateway starts");
    let board = Endpoint::builder("board").connect(cable.url(End::B, "/gateway")).start().expect("starts");
    let address = gateway.listening().iter().find(|url| url.starts_with("tcp:")).expect("it listens");
    let desk = Endpoint::builder("desk").connect(format!("{address}/gateway")).start().expect("starts");
    let settings = IntentSettings::new().stall_limit(Duration::from_secs(2));
    let intent: Intent<u32> = board.intent_with("board.step", settings).expect("intent");
    let stuck: Interest<u32> =
        desk.interest_with("board.step", InterestSettings::new().lossless(4)).expect("interest");
    assert!(intent.wait_interest(SOON));
    let mut next = 0;
    loop {
        let outcome = intent.send_timeout(next, SOON).expect("there is room, or it goes past");
        next += 1;
        if outcome.worst() == Fate::PassedOver {
            break;
        }
    }
    assert_eq!(next, 5, "four were granted");
    let mut told = Watch::new(&desk);
    told.wait(|event| matches!(event, Event::InterestCutOff { untaken: 4, .. }));
    for number in 0..4 {
        assert_eq!(*stuck.recv_timeout(SOON).expect("what came is there"), number);
    }
    until("it is back", || {
        let sent = intent.send_timeout(next, SOON).expect("goes on");
        next += 1;
        sent.taken() == 1
    });
    told.wait(|event| matches!(event, Event::InterestReturned { .. }));
    let sample = stuck.recv_timeout(SOON).expect("arrives");
    assert_eq!((*sample, sample.sequence()), (next - 1, u64::from(next) - 1));
    assert_eq!(stuck.counts().lost_there, u64::from(next) - 5);
}
