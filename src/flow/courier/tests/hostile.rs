//! Packets from somebody who means no good: nothing panics, memory stays within its bounds, and it is counted.

use super::*;
use crate::wire::control::{Accept, Ping, Pong};
use crate::wire::packet::{
    Age, Fragment, Order, Tally, put_ack, put_fragment, put_message, put_piece, put_ping, put_pong,
    put_segment, put_tally,
};

/// One courier with a link that stands, and nobody behind it.
struct Victim {
    courier: Courier,
    now: Timestamp,
    bound: usize,
}

impl Victim {
    fn new(settings: Settings) -> Self {
        let mut courier = Courier::new(settings);
        let mut bytes = Vec::new();
        encode(&mut bytes, &Control::Hello(hello(START)));
        encode(&mut bytes, &Control::Accept(Accept { version: 1, capabilities: 0, session: 7 }));
        encode(&mut bytes, &Control::Notify(Notify::Linked { mine: 0, yours: 0, alias: 3 }));
        assert_eq!(courier.send(START, &bytes), bytes.len());
        courier.lane(5, false);
        let mut victim = Self { courier, now: START, bound: 0 };
        victim.segment(0, &bytes);
        victim.drain();
        victim.bound = 2 * settings.window_in + 2 * MAX_FRAME as usize + 3 * 64 * 1024;
        victim
    }

    fn packet(&mut self, put: impl FnOnce(&mut Vec<u8>)) {
        let mut content = Vec::new();
        match self.courier.settings.frames {
            Frames::Single => put(&mut content),
            Frames::Many => put_piece(&mut content, put),
        }
        self.courier.packet(self.now, &content);
    }

    fn segment(&mut self, offset: u32, bytes: &[u8]) {
        self.packet(|out| put_segment(out, offset, (bytes, &[])));
    }

    /// Reads and sends all there is.
    fn drain(&mut self) -> usize {
        let mut read = 0;
        let mut out = [0; 4096];
        loop {
            let count = self.courier.read(self.now, &mut out);
            read += count;
            if count == 0 {
                break;
            }
        }
        let mut packet = Vec::new();
        for _ in 0..1000 {
            if !self.courier.poll(self.now, &mut packet) {
                return read;
            }
        }
        panic!("there is no end to what it sends");
    }

    fn check(&mut self) {
        let held = self.courier.held();
        assert!(held <= self.bound, "{held} bytes are held, {} are allowed", self.bound);
    }
}

fn both() -> [Settings; 2] {
    [udp(), serial(11_520)]
}

#[test]
fn acknowledgements_of_what_was_never_sent_are_counted() {
    for settings in both() {
        let mut victim = Victim::new(settings);
        let sent = victim.courier.stream_out.end() as u32;
        let before = victim.courier.counts().malformed;
        for (next, ranges) in [
            (sent + 1, vec![]),
            (1 << 30, vec![]),
            (0, vec![(1, sent)]),
            (0, vec![(u32::MAX, u32::MAX); 4]),
            (sent, vec![(1, 1)]),
        ] {
            victim.packet(|out| put_ack(out, next, 1000, ranges.into_iter()));
        }
        assert_eq!(victim.courier.counts().malformed, before + 5);
        // One that was overtaken is none of these.
        victim.packet(|out| put_ack(out, u32::MAX, 0, std::iter::empty()));
        victim.packet(|out| put_ack(out, sent, 0, std::iter::empty()));
        victim.packet(|out| put_ack(out, 0, 0, std::iter::empty()));
        assert_eq!(victim.courier.counts().malformed, before + 5);
    }
}

#[test]
fn a_window_that_shrinks_stops_nothing_that_was_granted() {
    let mut victim = Victim::new(udp());
    let sent = victim.courier.stream_out.end() as u32;
    victim.packet(|out| put_ack(out, sent, 1000, std::iter::empty()));
    victim.packet(|out| put_ack(out, sent, 0, std::iter::empty()));
    let mut bytes = Vec::new();
    for n in 0..200 {
        encode(
            &mut bytes,
            &Control::Credit(crate::wire::control::Credit { alias: n, limit: 1, taken: 0, lost: 0 }),
        );
    }
    victim.courier.send(victim.now, &bytes);
    let mut packet = Vec::new();
    assert!(victim.courier.poll(victim.now, &mut packet));
}

#[test]
fn segments_far_off_and_over_each_other_hold_a_window_at_most() {
    for settings in both() {
        let mut victim = Victim::new(settings);
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..20_000 {
            let offset = match random.u8(0..4) {
                0 => random.u32(..),
                1 => u32::MAX - random.u32(0..1000),
                _ => random.u32(0..2 * settings.window_in as u32),
            };
            let bytes = vec![random.u8(..); random.usize(1..200)];
            victim.segment(offset, &bytes);
            assert!(victim.courier.stream_in.held() <= settings.window_in);
        }
        victim.check();
        victim.drain();
    }
}

#[test]
fn samples_that_are_never_whole_hold_a_largest_message_at_most() {
    for settings in both() {
        let mut victim = Victim::new(settings);
        let mut random = fastrand::Rng::with_seed(4);
        for _ in 0..5000 {
            let total = if random.bool() { MAX_FRAME } else { random.u32(1..=u32::MAX) };
            let at = random.u32(0..total);
            let bytes = vec![1; random.usize(1..100).min((total - at) as usize)];
            let order = Order::new(random.u64(..), random.bool(), 0);
            let fragment = Fragment {
                alias: 3,
                order,
                age: Age::of(random.u64(0..5_000_000)),
                total,
                at,
                bytes: &bytes,
            };
            victim.packet(|out| put_fragment(out, &fragment));
            victim.check();
            victim.now = victim.now + Duration::from_millis(random.u64(0..20));
        }
        assert!(victim.courier.counts().refused > 0);
    }
}

#[test]
fn an_unread_flood_is_refused_in_the_end() {
    for settings in both() {
        let mut victim = Victim::new(settings);
        let mut next = 0;
        for n in 0..20_000u64 {
            let now = victim.now;
            let payload = [7; 200];
            let order = Order::new(n, false, n % 3);
            victim.packet(|out| put_message(out, 3, order, Age::of(200), &payload));
            victim.packet(|out| put_tally(out, &Tally { alias: 3, next: n * 1000, dropped: n }));
            victim.packet(|out| put_ping(out, &Ping { sent: now }));
            victim.packet(|out| put_pong(out, &Pong { echo: now, received: now, sent: now }));
            // Credits, one after the other, in the stream.
            let mut bytes = Vec::new();
            encode(&mut bytes, &Control::Gap { alias: 3, count: n });
            if next == 0 {
                next = victim.courier.stream_in.ack(0).0;
            }
            victim.segment(next, &bytes);
            next = victim.courier.stream_in.ack(victim.courier.ready.len()).0;
            victim.check();
        }
        assert!(victim.courier.counts().refused > 0);
        let read = victim.drain();
        assert!(read <= victim.bound, "{read}");
    }
}

#[test]
fn samples_of_unknown_aliases_are_counted_and_nothing_else() {
    for settings in both() {
        let mut victim = Victim::new(settings);
        for alias in [4, 16_383] {
            victim.packet(|out| put_message(out, alias, Order::default(), Age::default(), b"x"));
            victim.packet(|out| put_tally(out, &Tally { alias, next: 9, dropped: 0 }));
        }
        victim.packet(|out| put_tally(out, &Tally { alias: 3, next: 1 << 40, dropped: 0 }));
        assert_eq!(victim.courier.counts().stray, 5);
        assert_eq!(victim.drain(), 0);
    }
}

#[test]
fn broken_frames_in_the_stream_reach_the_reader_as_they_are() {
    let mut victim = Victim::new(udp());
    let next = victim.courier.stream_in.ack(0).0;
    // A reserved kind, and whatever follows.
    let broken = [1, 0x0C, 5, 6, 7];
    victim.segment(next, &broken);
    victim.segment(next + 5, b"more");
    let mut out = [0; 100];
    let count = victim.courier.read(victim.now, &mut out);
    assert_eq!(&out[..count], [&broken[..], b"more"].concat());
}

/// Any packets, valid in form or not, in any order.
fn storm(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut victim = Victim::new(both()[usize::from(random.bool())]);
    for _ in 0..300 {
        victim.now = victim.now + Duration::from_micros(random.u64(0..30_000));
        let (a, b, c) = (small(&mut random), small(&mut random), small(&mut random));
        let bytes: Vec<u8> = (0..random.usize(0..60)).map(|_| random.u8(..)).collect();
        let order = Order::new(u64::from(a), random.bool(), u64::from(b));
        let time = Timestamp::from_micros(random.u64(..));
        match random.u8(0..10) {
            0 => victim.segment(a, &bytes),
            1 => victim.packet(|out| put_ack(out, a, b, [(b.max(1), c.max(1)), (1, 1)].into_iter())),
            2 => victim.packet(|out| put_message(out, 3, order, Age::of(u64::from(c)), &bytes)),
            3 => {
                let tally = Tally { alias: 3, next: u64::from(a) * u64::from(b), dropped: u64::from(c) };
                victim.packet(|out| put_tally(out, &tally));
            }
            4 => {
                let fragment =
                    Fragment { alias: 3, order, age: Age::default(), total: c, at: b, bytes: &bytes };
                victim.packet(|out| put_fragment(out, &fragment));
            }
            5 => victim.packet(|out| put_ping(out, &Ping { sent: time })),
            6 => victim.packet(|out| put_pong(out, &Pong { echo: time, received: time, sent: time })),
            7 => {
                let now = victim.now;
                victim.courier.packet(now, &bytes);
            }
            8 => {
                let now = victim.now;
                let mut frame = Vec::new();
                put_message_head(&mut frame, 5, crate::wire::Stamp(0), bytes.len());
                frame.extend_from_slice(&bytes);
                victim.courier.send(now, &frame);
            }
            _ => {
                victim.drain();
            }
        }
        victim.check();
    }
    victim.now = victim.now + Duration::from_secs(1);
    victim.drain();
}

fn small(random: &mut fastrand::Rng) -> u32 {
    match random.u8(0..4) {
        0 => random.u32(..),
        1 => u32::MAX - random.u32(0..3),
        _ => random.u32(0..300),
    }
}

#[test]
fn no_storm_of_packets_breaks_it() {
    for seed in 0..1000 {
        storm(seed);
    }
}
