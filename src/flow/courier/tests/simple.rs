//! What each part does, on a line without faults.

use super::*;
use crate::wire::control::{Credit, Ping, Pong};
use crate::wire::packet::{self, PacketFrame, pieces};

const CLEAR: Weather = Weather { loss: 0, doubled: 0, delay: 100, jitter: 0, fifo: true };

fn ready(settings: Settings) -> Bench {
    let mut bench = Bench::new(settings, CLEAR, 1);
    bench.greet();
    bench.link(0, 3, false);
    bench.link(0, 4, true);
    assert!(bench.run(START + Duration::from_secs(10), 4096));
    for side in &mut bench.sides {
        side.got.clear();
    }
    bench
}

fn messages(side: &Side, wanted: u32) -> Vec<Vec<u8>> {
    let of = |got: &Got| match got {
        Got::Message { alias, payload, .. } if *alias == wanted => Some(payload.clone()),
        _ => None,
    };
    side.got.iter().filter_map(of).collect()
}

#[test]
fn frames_of_all_sorts_pass_in_order_and_whole() {
    for settings in [udp(), serial(11_520)] {
        for cut in [1, 7, 4096] {
            let mut bench = ready(settings);
            let now = bench.now;
            let side = &mut bench.sides[0];
            let credit = Control::Credit(Credit { alias: 9, limit: 64, taken: 0, lost: 0 });
            side.control(&credit);
            side.message(now, 3, b"loose");
            side.message(now, 4, b"lossless");
            side.message(now, 3, b"");
            side.message(now, 4, &[7; 5000]);
            side.message(now, 3, &[8; 5000]);
            side.control(&Control::Ping(Ping { sent: now }));
            assert!(bench.run(now + Duration::from_secs(10), cut));
            let there = &bench.sides[1];
            assert_eq!(messages(there, 3), [b"loose".to_vec(), vec![], vec![8; 5000]]);
            assert_eq!(messages(there, 4), [b"lossless".to_vec(), vec![7; 5000]]);
            assert!(there.got.contains(&Got::Control(credit)));
            assert!(there.got.contains(&Got::Control(Control::Ping(Ping { sent: now }))));
            assert_eq!(bench.sides[0].outbox.len(), 0);
            assert_eq!(there.courier.counts().malformed, 0);
        }
    }
}

#[test]
fn a_small_sample_costs_what_is_promised() {
    for (settings, most) in [(serial(115_200), 3), (udp(), 4)] {
        let mut side = ready(settings).sides.into_iter().next().unwrap();
        let now = START + Duration::from_secs(20);
        side.message(now, 3, &[1; 32]);
        side.push(now, 4096);
        let mut packet = Vec::new();
        assert!(side.courier.poll(now, &mut packet));
        // On a serial line 4 of CRC, 1 of COBS and the zero, in a datagram 2 of token come on top.
        assert_eq!(packet.len(), 32 + most);
    }
}

#[test]
fn send_times_come_through() {
    for settings in [udp(), serial(11_520)] {
        let mut bench = ready(settings);
        let mut times = Vec::new();
        for n in 0..50u8 {
            let now = bench.now;
            bench.sides[0].message(now, 3, &[n; 20]);
            bench.sides[0].message(now, 4, &[n; 20]);
            times.push(now);
            bench.run(now + Duration::from_millis(37), 4096);
            bench.now = now + Duration::from_millis(37);
        }
        let mut count = 0;
        for got in &bench.sides[1].got {
            if let Got::Message { alias, sent, payload } = got {
                let really = times[usize::from(payload[0])];
                // Ages are cut off at 64 µs and a sixteenth; 1 ms earlier counts as at the same time.
                let wrong = sent.micros().abs_diff(really.micros());
                assert!(wrong < 1500, "{alias}: {sent:?} for {really:?}");
                count += 1;
            }
        }
        assert_eq!(count, 100);
    }
}

#[test]
fn a_retained_sample_is_as_old_as_it_is() {
    for settings in [udp(), serial(11_520)] {
        let mut bench = ready(settings);
        let begin = bench.now;
        let then = Timestamp::from_micros(begin.micros() - 600_123_456);
        bench.sides[0].message(then, 3, b"retained");
        bench.sides[0].message(begin, 3, b"new");
        assert!(bench.run(begin + Duration::from_secs(1), 4096));
        for (got, really) in bench.sides[1].got.iter().zip([then, begin]) {
            let Got::Message { sent, .. } = got else { panic!("{got:?}") };
            assert!(sent.micros().abs_diff(really.micros()) < 1500, "{sent:?} for {really:?}");
        }
        assert_eq!(messages(&bench.sides[1], 3).len(), 2);
    }
}

#[test]
fn a_large_sample_holds_up_no_other_alias() {
    let mut bench = ready(serial(11_520));
    bench.link(0, 5, false);
    let now = bench.now;
    bench.run(now + Duration::from_secs(1), 4096);
    let begin = bench.now;
    bench.sides[0].message(begin, 3, &[8; 20_000]);
    bench.run(begin + Duration::from_millis(300), 4096);
    let now = bench.now;
    bench.sides[0].message(now, 5, b"stop");
    bench.run(now + Duration::from_millis(100), 4096);
    assert_eq!(messages(&bench.sides[1], 5), [b"stop".to_vec()]);
    assert_eq!(messages(&bench.sides[1], 3).len(), 0);
    // Another of the large one's alias waits for it.
    bench.sides[0].message(bench.now, 3, b"after it");
    assert!(bench.run(begin + Duration::from_secs(5), 4096));
    assert_eq!(messages(&bench.sides[1], 3), [vec![8; 20_000], b"after it".to_vec()]);
}

#[test]
fn samples_in_pieces_come_whole_and_what_is_urgent_goes_between_them() {
    for settings in [udp(), serial(11_520)] {
        let mut bench = ready(settings);
        bench.link(0, 5, false);
        bench.link(0, 6, true);
        bench.sides[0].courier.urgent(5, true);
        let now = bench.now;
        bench.run(now + Duration::from_secs(1), 4096);
        let begin = bench.now;
        let image: Vec<u8> = (0..20_000).map(|at| (at * 7) as u8).collect();
        for (alias, round) in [(3, 0), (6, 1), (3, 2)] {
            bench.sides[0].pieces(begin + Duration::from_micros(round), alias, &image, 512);
        }
        if settings.fifo {
            // Some way into the first.
            bench.run(begin + Duration::from_millis(300), 4096);
            let stop: Vec<u8> = (0..2).flat_map(|_| b"stop".to_vec()).collect();
            let now = bench.now;
            // As the outbox does: it goes ahead of what was not written yet.
            let rest: Vec<u8> = bench.sides[0].outbox.drain(..).collect();
            let (head, tail) = frame_end(&bench, &rest);
            bench.sides[0].outbox.extend(head);
            bench.sides[0].message(now, 5, &stop);
            bench.sides[0].outbox.extend(tail);
            bench.run(now + Duration::from_millis(150), 4096);
            assert_eq!(messages(&bench.sides[1], 5), [stop]);
            assert_eq!(messages(&bench.sides[1], 3).len(), 0);
        }
        assert!(bench.run(begin + Duration::from_secs(20), 4096));
        assert_eq!(messages(&bench.sides[1], 3), [image.clone(), image.clone()]);
        assert_eq!(messages(&bench.sides[1], 6), [image]);
    }
}

/// Cuts what was not taken by a courier where the frame ends that it is in.
fn frame_end(bench: &Bench, rest: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let within = bench.sides[0].courier.unfinished();
    (rest[..within].to_vec(), rest[within..].to_vec())
}

#[test]
fn drops_are_told() {
    for settings in [udp(), serial(11_520)] {
        let mut bench = ready(settings);
        let now = bench.now;
        let side = &mut bench.sides[0];
        for count in [5, 31, 32, 63, 64, 1000, 1] {
            side.control(&Control::Gap { alias: 3, count });
            side.message(now, 3, b"x");
        }
        side.control(&Control::Gap { alias: 3, count: 200 });
        side.control(&Control::End { alias: 3 });
        assert!(bench.run(now + Duration::from_secs(10), 4096));
        let gaps: u64 = bench.sides[1]
            .got
            .iter()
            .map(|got| match got {
                Got::Control(Control::Gap { alias: 3, count }) => *count,
                Got::Control(Control::Lost { .. }) => panic!("nothing was lost"),
                _ => 0,
            })
            .sum();
        assert_eq!(gaps, 5 + 31 + 32 + 63 + 64 + 1000 + 1 + 200);
        assert_eq!(messages(&bench.sides[1], 3).len(), 7);
        assert_eq!(bench.sides[1].got.last(), Some(&Got::Control(Control::End { alias: 3 })));
    }
}

#[test]
fn a_ping_behind_an_end_stands_in_line_and_so_does_its_pong() {
    let mut bench = ready(udp());
    let now = bench.now;
    bench.sides[0].control(&Control::End { alias: 4 });
    bench.sides[0].control(&Control::Ping(Ping { sent: now }));
    bench.sides[0].push(now, 4096);
    let mut packet = Vec::new();
    assert!(bench.sides[0].courier.poll(now, &mut packet));
    // The end and the ping are of one segment.
    assert_eq!(crate::wire::packet::pieces(&packet).count(), 1);
    bench.lines[0].send(now, &packet);
    bench.run(now + Duration::from_micros(200), 4096);
    let pong = Pong { echo: now, received: bench.now, sent: bench.now };
    assert_eq!(bench.sides[1].got.last(), Some(&Got::Control(Control::Ping(Ping { sent: now }))));
    bench.sides[1].control(&Control::Credit(Credit { alias: 9, limit: 1, taken: 0, lost: 0 }));
    bench.sides[1].control(&Control::Pong(pong));
    let now = bench.now;
    bench.sides[1].push(now, 4096);
    let mut packet = Vec::new();
    assert!(bench.sides[1].courier.poll(now, &mut packet));
    bench.lines[1].send(now, &packet);
    assert!(bench.run(now + Duration::from_secs(1), 4096));
    let got = &bench.sides[0].got;
    assert!(
        matches!(got[..], [Got::Control(Control::Credit(_)), Got::Control(Control::Pong(p))] if p == pong)
    );
}

#[test]
fn what_is_no_stream_of_frames_passes_as_it_is() {
    let mut bench = Bench::new(udp(), CLEAR, 1);
    bench.sides[0].outbox.extend(*b"ahoy, this is no bowline stream");
    bench.settle(5);
    let mut out = [0; 100];
    let mut text = Vec::new();
    for _ in 0..100 {
        bench.now = bench.now + Duration::from_millis(1);
        let [here, there] = &mut bench.sides;
        here.push(bench.now, 5);
        let mut packet = Vec::new();
        while here.courier.poll(bench.now, &mut packet) {
            bench.lines[0].send(bench.now, &packet);
        }
        while let Some(packet) = bench.lines[0].arrive(bench.now) {
            there.courier.packet(bench.now, &packet);
        }
        while there.courier.poll(bench.now, &mut packet) {
            bench.lines[1].send(bench.now, &packet);
        }
        while let Some(packet) = bench.lines[1].arrive(bench.now) {
            here.courier.packet(bench.now, &packet);
        }
        let count = there.courier.read(bench.now, &mut out);
        text.extend_from_slice(&out[..count]);
    }
    assert_eq!(text, b"ahoy, this is no bowline stream");
}

#[test]
fn the_last_samples_are_counted_though_the_tally_behind_them_is_lost_too() {
    for settings in [udp(), serial(11_520)] {
        let mut bench = ready(settings);
        bench.lines[0].cut();
        for round in 0..4 {
            let now = bench.now;
            if round == 0 {
                for _ in 0..3 {
                    bench.sides[0].message(now, 3, b"lost");
                }
            }
            bench.sides[0].control(&Control::Ping(Ping { sent: now }));
            bench.run(now + Duration::from_secs(1), 4096);
            bench.now = now + Duration::from_secs(1);
            if round == 2 {
                bench.lines[0].heal();
            }
        }
        assert!(bench.run(bench.now + Duration::from_secs(60), 4096));
        let there = &bench.sides[1];
        let lost = |got: &&Got| matches!(got, Got::Control(Control::Lost { alias: 3, count: 3 }));
        assert_eq!(there.got.iter().filter(lost).count(), 1, "{:?}", there.got);
        assert_eq!(there.courier.counts().malformed, 0);
    }
}

/// The packet that brings a sample.
fn packet_of(side: &mut Side, now: Timestamp, payload: &[u8]) -> Vec<u8> {
    side.message(now, 3, payload);
    side.push(now, 4096);
    let mut packet = Vec::new();
    assert!(side.courier.poll(now, &mut packet) && side.outbox.is_empty());
    packet
}

/// Whether its number goes with more bits.
fn has_more(packet: &[u8]) -> bool {
    let mut frames = pieces(packet).map(|piece| packet::decode(piece.unwrap()).unwrap());
    frames.any(|frame| matches!(frame, PacketFrame::Message { order, .. } if order.wide))
}

/// A packet comes, and what is answered goes back.
fn arrives(here: &mut Side, there: &mut Side, now: Timestamp, packet: &[u8]) {
    there.courier.packet(now, packet);
    let mut answer = Vec::new();
    while there.courier.poll(now + Duration::from_millis(5), &mut answer) {
        here.courier.packet(now + Duration::from_millis(5), &answer);
    }
}

#[test]
fn a_sample_that_a_burst_overtook_is_not_taken_for_one_after_it() {
    let mut bench = ready(udp());
    let mut now = bench.now + Duration::from_secs(20);
    let [here, there] = &mut bench.sides;
    let held = packet_of(here, now, &[0; 20]);
    for n in 1..=100 {
        let packet = packet_of(here, now, &[n; 20]);
        arrives(here, there, now, &packet);
        now = now + Duration::from_micros(300);
    }
    let late = there.courier.counts().late;
    there.courier.packet(now, &held);
    assert_eq!(there.courier.counts().late, late + 1);
    // More bits go on for 200 ms, so that good samples are never late by this.
    for (wait, n, wide) in
        [(100, 101, true), (90, 102, true), (30, 103, true), (190, 104, true), (10, 105, false)]
    {
        now = now + Duration::from_millis(wait);
        let packet = packet_of(here, now, &[n; 20]);
        assert_eq!(has_more(&packet), wide, "{n}");
        arrives(here, there, now, &packet);
    }
    for n in 106..=120 {
        now = now + Duration::from_millis(30);
        let packet = packet_of(here, now, &[n; 20]);
        arrives(here, there, now, &packet);
        assert!(!has_more(&packet), "{n}");
    }
    there.pull(now);
    let all: Vec<_> = (1..=120).map(|n| vec![n; 20]).collect();
    assert_eq!(messages(there, 3), all);
    let lost = |got: &&Got| matches!(got, Got::Control(Control::Lost { .. }));
    assert_eq!(there.got.iter().find(lost), Some(&Got::Control(Control::Lost { alias: 3, count: 1 })));
    assert_eq!(there.got.iter().filter(lost).count(), 1);
}

#[test]
fn numbers_far_from_what_is_sure_to_be_known_go_with_more_bits() {
    let mut bench = ready(udp());
    let [here, there] = &mut bench.sides;
    let mut now = bench.now + Duration::from_secs(20);
    let mut held = Vec::new();
    for n in 0..200_u8 {
        now = now + Duration::from_millis(20);
        // From the 100th on no acknowledgement comes.
        let packet = packet_of(here, now, &[n; 20]);
        if n < 100 {
            arrives(here, there, now, &packet);
            assert!(!has_more(&packet), "{n}");
        } else {
            there.courier.packet(now, &packet);
            held.push(has_more(&packet));
        }
    }
    let first = held.iter().position(|wide| *wide).expect("some do");
    assert!((32..=64).contains(&first) && held[first..].iter().all(|wide| *wide), "{held:?}");
    assert!(here.courier.unsure().is_empty());
}

#[test]
fn what_was_under_way_in_an_outage_comes_as_soon_as_the_line_is_tried_again() {
    for delay in [50_000, 5_000] {
        let weather = Weather { loss: 0, doubled: 0, delay, jitter: 0, fifo: false };
        let mut bench = Bench::new(udp(), weather, 1);
        bench.greet();
        bench.link(0, 7, true);
        bench.run(START + Duration::from_secs(1), 3000);
        // Acknowledgements are lost first: of what came, the other side speaks again much later.
        for (cut, count) in [(1, 2), (0, 8)] {
            bench.lines[cut].cut();
            for _ in 0..count {
                bench.sides[0].message(bench.now, 7, &[0; 1000]);
            }
            bench.run(bench.now + Duration::from_millis(delay / 2000), 3000);
        }
        bench.run(bench.now + Duration::from_secs(1), 3000);
        assert_eq!(messages(&bench.sides[1], 7).len(), 2);
        // It comes back, and is faster than ever.
        for line in &mut bench.lines {
            line.heal();
            line.hasten();
        }
        bench.run(bench.now + Duration::from_secs(2), 3000);
        assert_eq!(messages(&bench.sides[1], 7).len(), 10, "delay {delay}");
        // How long the outage was is not how long an acknowledgement takes.
        bench.lines[0].cut();
        bench.sides[0].message(bench.now, 7, &[0; 1000]);
        bench.settle(3000);
        let wait = bench.sides[0].courier.stream_out.wake().map(|at| at - bench.now);
        assert!(wait.is_some_and(|wait| wait < Duration::from_millis(400)), "delay {delay}: {wait:?}");
    }
}

#[test]
fn no_more_samples_are_under_way_than_numbers_tell_apart() {
    // All of them at once, and a line that swaps those of 12 ms as it likes.
    const COUNT: u32 = 40_000;
    let weather = Weather { loss: 0, doubled: 100, delay: 29_000, jitter: 12_000, fifo: false };
    let mut bench = Bench::new(udp(), weather, 1);
    bench.greet();
    bench.link(0, 3, false);
    assert!(bench.run(START + Duration::from_secs(10), 4096));
    let now = bench.now;
    for number in 0..COUNT {
        bench.sides[0].message(now, 3, &number.to_le_bytes());
    }
    assert!(bench.run(now + Duration::from_secs(100), 4096));
    let came: Vec<_> = messages(&bench.sides[1], 3)
        .into_iter()
        .map(|bytes| u32::from_le_bytes(bytes.try_into().expect("a number")))
        .collect();
    let swapped = came.windows(2).filter(|pair| pair[0] >= pair[1]).count();
    assert!(swapped == 0 && came.len() > 100, "{swapped} of {} came after later ones", came.len());
    assert_eq!(came.last(), Some(&(COUNT - 1)), "the last is the newest");
}
