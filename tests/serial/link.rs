//! Samples over a line that is well, and over one that is not.

use crate::cable::{Cable, End};
use crate::ends;
use crate::support::{SOON, Watch, until};
use bowline::{Bytes, Intent, Interest, InterestSettings};
use std::time::{Duration, Instant};

#[test]
fn samples_flow_both_ways() {
    let cable = Cable::new(115_200);
    let ends = ends(&cable);
    let up: Intent<f64> = ends.robot.intent("robot.speed").unwrap();
    let down: Intent<String> = ends.desk.intent("desk.mode").unwrap();
    let speed: Interest<f64> = ends.desk.interest("robot.speed").unwrap();
    let mode: Interest<String> =
        ends.robot.interest_with("desk.mode", InterestSettings::new().lossless(8)).unwrap();
    assert!(up.wait_interest(SOON) && down.wait_interest(SOON));
    for number in 0..50 {
        up.send(f64::from(number)).unwrap();
        assert_eq!(*speed.recv_timeout(SOON).unwrap(), f64::from(number));
        down.send_timeout(format!("mode {number}"), SOON).unwrap();
        assert_eq!(*mode.recv_timeout(SOON).unwrap(), format!("mode {number}"));
    }
    let link = &ends.desk.links()[0];
    println!("{link:#?}");
    assert_eq!(link.rate, Some(11_520));
    let counts = link.counts.unwrap();
    assert!(counts.packets_in > 50 && counts.packets_out > 50 && counts.broken == 0, "{counts:?}");
    assert!(link.round_trip.is_some());
}

#[test]
fn a_message_larger_than_a_packet_goes_in_pieces() {
    let cable = Cable::new(921_600);
    let ends = ends(&cable);
    let image: Intent<Bytes> = ends.robot.intent("robot.image").unwrap();
    let latest: Interest<Bytes> = ends.desk.interest("robot.image").unwrap();
    assert!(image.wait_interest(SOON));
    let bytes: Vec<u8> = (0..20_000u32).map(|n| (n % 251) as u8).collect();
    image.send(Bytes::from(bytes.clone())).unwrap();
    assert_eq!(latest.recv_timeout(SOON).unwrap().as_ref(), &bytes[..]);
}

#[test]
fn a_frame_that_never_ends_is_counted_once_and_passes() {
    let cable = Cable::new(2_000_000);
    let ends = ends(&cable);
    let intent: Intent<u32> = ends.robot.intent("robot.count").unwrap();
    let interest: Interest<u32> = ends.desk.interest("robot.count").unwrap();
    assert!(intent.wait_interest(SOON));
    let before = ends.desk.links()[0].counts.unwrap();
    cable.inject(End::A, &[0xA5; 100_000]);
    // Longer than any packet, then several that are too long.
    cable.inject(End::A, &[[0x9C; 1500].as_slice(), &[0]].concat().repeat(5));
    until("a sample comes again", || {
        intent.send(7).unwrap();
        interest.recv_timeout(Duration::from_millis(50)).is_ok()
    });
    let after = ends.desk.links()[0].counts.unwrap();
    println!("{after:?}");
    assert!((5..=7).contains(&(after.overlong - before.overlong)), "{after:?}");
    assert!(ends.desk.links()[0].state.is_up());
}

#[test]
fn a_line_of_1200_baud_is_slow_and_works() {
    let cable = Cable::new(1200);
    let ends = ends(&cable);
    let intent: Intent<u32> = ends.robot.intent("robot.count").unwrap();
    let interest: Interest<u32> = ends.desk.interest("robot.count").unwrap();
    assert!(intent.wait_interest(SOON));
    intent.send(7).unwrap();
    assert_eq!(*interest.recv_timeout(SOON).unwrap(), 7);
}

/// `cargo test --test serial -- --nocapture --exact link::a_paced_line_carries_275_samples_a_second`
#[test]
fn a_paced_line_carries_275_samples_a_second() {
    let cable = Cable::new(115_200);
    let ends = ends(&cable);
    let intent: Intent<[u8; 32]> = ends.robot.intent("robot.imu").unwrap();
    let interest: Interest<[u8; 32]> =
        ends.desk.interest_with("robot.imu", InterestSettings::new().queue(256)).unwrap();
    assert!(intent.wait_interest(SOON));
    let stop = &std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // As fast as the line takes them, and some more.
            let mut next = Instant::now();
            let (_never, pause) = std::sync::mpsc::channel::<()>();
            for number in 0u32.. {
                if stop.load(std::sync::atomic::Ordering::Relaxed) {
                    return;
                }
                let mut sample = [0xA5; 32];
                sample[..4].copy_from_slice(&number.to_le_bytes());
                intent.send(sample).unwrap();
                next += Duration::from_micros(3_300);
                let _ = pause.recv_timeout(next.saturating_duration_since(Instant::now()));
            }
        });
        // The queues fill first.
        for _ in 0..100 {
            interest.recv_timeout(SOON).unwrap();
        }
        // A busy machine leaves the line idle at times: the best of a few spans says what the line carries.
        let mut rate = 0.0;
        for _ in 0..6 {
            let (begin, mut count) = (Instant::now(), 0);
            while begin.elapsed() < Duration::from_secs(2) {
                interest.recv_timeout(SOON).unwrap();
                count += 1;
            }
            rate = f64::max(rate, f64::from(count) / begin.elapsed().as_secs_f64());
            if rate >= 275.0 {
                break;
            }
        }
        println!("32-byte samples at 115200 baud: {rate:.1} a second, of at most 281");
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(rate >= 275.0, "{rate:.1} samples a second");
    });
}

/// `cargo test --test serial -- --nocapture --exact link::nothing_damaged_is_delivered`
#[test]
fn nothing_damaged_is_delivered() {
    let seed = std::env::var("BOWLINE_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(7);
    println!("BOWLINE_SEED={seed}");
    let cable = Cable::new(2_000_000);
    let ends = ends(&cable);
    let intent: Intent<(u32, u64, u64)> = ends.robot.intent("robot.count").unwrap();
    let interest: Interest<(u32, u64, u64)> =
        ends.desk.interest_with("robot.count", InterestSettings::new().queue(1024)).unwrap();
    assert!(intent.wait_interest(SOON));
    let mut random = fastrand::Rng::with_seed(seed);
    // One byte in 500 is changed, lost, or followed by another: a packet in twelve.
    cable.way(End::A, move |bytes| {
        let mut out = Vec::new();
        for byte in bytes {
            match random.u16(0..1500) {
                0 => out.push(byte ^ 1 << random.u8(0..8)),
                1 => {}
                2 => out.extend([byte, random.u8(..)]),
                _ => out.push(byte),
            }
        }
        out
    });
    let check = |number: u32| u64::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let (mut taken, mut last) = (0u32, None);
    let mut take = |sample: (u32, u64, u64)| {
        assert_eq!((check(sample.0), !check(sample.0)), (sample.1, sample.2), "a damaged sample");
        assert!(last.is_none_or(|last| last < sample.0), "{} after {last:?}", sample.0);
        last = Some(sample.0);
        taken += 1;
    };
    let begin = Instant::now();
    for number in 0..10_000 {
        intent.send((number, check(number), !check(number))).unwrap();
        if number % 8 == 7 {
            // As fast as the line takes them, nearly.
            let next = begin + Duration::from_micros(250) * (number + 1);
            while let Ok(sample) = interest.recv_timeout(next.saturating_duration_since(Instant::now())) {
                take(*sample);
            }
        }
    }
    cable.clear();
    // Those that come now close the account.
    until("all are accounted for", || {
        intent.send((u32::MAX, check(u32::MAX), !check(u32::MAX))).unwrap();
        loop {
            match interest.recv_timeout(Duration::from_millis(20)) {
                Ok(sample) if sample.0 == u32::MAX => return true,
                Ok(sample) => take(*sample),
                Err(_) => return false,
            }
        }
    });
    let lost = interest.counts();
    let line = ends.desk.links()[0].counts.unwrap();
    println!("10,000 samples over a damaging line: {taken} taken, none damaged; {lost:?}; {line:?}");
    assert!(line.broken > 300, "{line:?}");
    assert!(taken > 7000, "{taken}");
}

#[test]
fn what_is_lossless_is_repaired() {
    let cable = Cable::new(460_800);
    let ends = ends(&cable);
    let intent: Intent<u32> = ends.robot.intent("robot.count").unwrap();
    let interest: Interest<u32> =
        ends.desk.interest_with("robot.count", InterestSettings::new().lossless(32)).unwrap();
    assert!(intent.wait_interest(SOON));
    for end in [End::A, End::B] {
        let mut random = fastrand::Rng::with_seed(end as u64);
        cable.way(end, move |mut bytes| {
            for byte in &mut bytes {
                if random.u16(0..300) == 0 {
                    *byte ^= 0x10;
                }
            }
            bytes
        });
    }
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for number in 0..500 {
                intent.send_timeout(number, SOON).unwrap();
            }
        });
        for number in 0..500 {
            assert_eq!(*interest.recv_timeout(SOON).unwrap(), number);
        }
    });
}

#[test]
fn text_in_the_stream_is_passed_over_and_counted() {
    let cable = Cable::new(460_800);
    cable.inject(End::A, b"\r\nROM boot v3\r\nloading...\r\n");
    let ends = ends(&cable);
    let intent: Intent<u32> = ends.robot.intent("robot.count").unwrap();
    let interest: Interest<u32> =
        ends.desk.interest_with("robot.count", InterestSettings::new().queue(1024)).unwrap();
    assert!(intent.wait_interest(SOON));
    let mut watch = Watch::new(&ends.desk);
    watch.link_is_up();
    for number in 0..40 {
        cable.inject(End::A, b"[warn] battery low\r\n");
        intent.send(number).unwrap();
        assert_eq!(*interest.recv_timeout(SOON).unwrap(), number);
    }
    let counts = ends.desk.links()[0].counts.unwrap();
    println!("{counts:?}");
    assert!(counts.text_bytes >= 20 * 40, "{counts:?}");
}
