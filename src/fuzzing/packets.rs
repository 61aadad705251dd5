//! Packet links: any packets, and what two couriers make of a line that does anything.

use super::choices::Choices;
use crate::flow::courier::{Courier, Frames, Settings};
use crate::time::Timestamp;
use crate::wire::control::{Accept, Control, Hello, Notify};
use crate::wire::message::put_message_head;
use crate::wire::packet::{
    Age, Fragment, Order, PacketFrame, Tally, decode, pieces, put_ack, put_fragment, put_message, put_open,
    put_opened, put_piece, put_ping, put_pong, put_reset, put_retry, put_segment, put_tally,
};
use crate::wire::{Stamp, encode, kind};
use std::time::Duration;

/// Any bytes as the content of a packet: frames or none, and those that are frames are written the same.
/// Then the bytes choose what two couriers on one line send, what becomes of it on the way, and what else
/// comes: memory stays within its bounds, and there is an end to what is sent at one time.
///
/// # Panics
/// Where one of these is not so.
pub fn packets(input: &[u8]) {
    check_frame(input);
    pieces(input).flatten().for_each(check_frame);
    let mut choices = Choices::new(input);
    let settings = settings(&mut choices);
    let mut ends = [End::new(settings), End::new(settings)];
    let mut now = START;
    for _ in 0..400 {
        if choices.is_used_up() {
            break;
        }
        now = now + Duration::from_micros(choices.below(40_000));
        let end = usize::from(choices.flag());
        match choices.below(8) {
            0 => ends[end].send(now, &mut choices),
            1 => hostile(&mut ends[end], now, &mut choices),
            2 => {
                let content = choices.raw(100);
                ends[end].courier.packet(now, content);
            }
            3 => {
                let mut out = [0; 700];
                ends[end].courier.read(now, &mut out);
            }
            _ => {
                let mut packet = Vec::new();
                for _ in 0..MOST_PACKETS {
                    if !ends[end].courier.poll(now, &mut packet) {
                        break;
                    }
                    assert!(packet.len() <= settings.packet.max(64), "a packet of {} bytes", packet.len());
                    match choices.below(8) {
                        0 => {}
                        1 => {
                            ends[1 - end].courier.packet(now, &packet);
                            ends[1 - end].courier.packet(now, &packet);
                        }
                        2 => {
                            let at = choices.below(packet.len() as u64) as usize;
                            packet[at] ^= 1 << choices.below(8);
                            ends[1 - end].courier.packet(now, &packet);
                        }
                        _ => ends[1 - end].courier.packet(now, &packet),
                    }
                }
                assert!(
                    !ends[end].courier.poll(now, &mut packet) || choices.is_used_up() || !packet.is_empty()
                );
            }
        }
        for end in &ends {
            let held = end.courier.held();
            let most = 2 * settings.window_in + 2 * MAX_FRAME as usize + 3 * 64 * 1024;
            assert!(held <= most, "{held} bytes are held");
        }
    }
}

struct End {
    courier: Courier,
}

impl End {
    fn new(settings: Settings) -> Self {
        let mut courier = Courier::new(settings);
        let mut bytes = Vec::new();
        let hello = Hello {
            version_min: 1,
            version_max: 1,
            capabilities: 0,
            instance: [1; 16],
            session: 0,
            scope_own: false,
            joins: false,
            max_frame: MAX_FRAME,
            ping_millis: 1000,
            clock: START,
            path: crate::path::Path::parse("a.b").expect("a path"),
            expected: None,
        };
        encode(&mut bytes, &Control::Hello(hello));
        encode(&mut bytes, &Control::Accept(Accept { version: 1, capabilities: 0, session: 7 }));
        for alias in 0..3 {
            encode(&mut bytes, &Control::Notify(Notify::Linked { mine: alias, yours: alias, alias }));
            courier.lane(alias, alias == 2);
        }
        courier.send(START, &bytes);
        Self { courier }
    }

    /// Frames as a writer gives them, whole or cut.
    fn send(&mut self, now: Timestamp, choices: &mut Choices<'_>) {
        let mut bytes = Vec::new();
        match choices.below(4) {
            0 => encode(&mut bytes, &choices.control()),
            _ => {
                let payload = choices.raw(600);
                let (alias, stamp) = (choices.below(4) as u32, Stamp(choices.u64() as u16));
                put_message_head(&mut bytes, alias, stamp, payload.len());
                bytes.extend_from_slice(payload);
            }
        }
        let cut = choices.below(bytes.len() as u64 + 1) as usize;
        let taken = self.courier.send(now, &bytes[..cut]);
        if taken == cut {
            self.courier.send(now, &bytes[cut..]);
        }
    }
}

/// A packet that is valid in form.
fn hostile(end: &mut End, now: Timestamp, choices: &mut Choices<'_>) {
    let alias = choices.below(4) as u32;
    let order = Order::new(choices.u64(), choices.flag(), choices.u64());
    let (a, b, age) = (choices.u32(), choices.u32(), Age::of(choices.u64()));
    let kind = choices.below(7);
    let bytes = choices.raw(300);
    let put = |out: &mut Vec<u8>| match kind {
        0 => put_segment(out, a, (bytes, &[])),
        1 => put_ack(out, a, b, [(1, 1), (b.max(1), a.max(1))].into_iter()),
        2 => put_message(out, alias, order, age, bytes),
        3 => put_tally(
            out,
            &Tally { alias, next: u64::from(a) * u64::from(b), dropped: u64::from(order.dropped) },
        ),
        4 => put_fragment(out, &Fragment { alias, order, age, total: b, at: a, bytes }),
        5 => put_ping(out, &crate::wire::control::Ping { sent: Timestamp::from_micros(u64::from(a) << 32) }),
        _ => {
            let time = Timestamp::from_micros(u64::from(b));
            put_pong(out, &crate::wire::control::Pong { echo: time, received: time, sent: time });
        }
    };
    let mut content = Vec::new();
    put_piece(&mut content, put);
    end.courier.packet(now, &content);
    end.courier.packet(now, content.get(1..).unwrap_or_default());
}

fn settings(choices: &mut Choices<'_>) -> Settings {
    let serial = choices.flag();
    Settings {
        fifo: serial,
        packet: 64 + choices.below(1200) as usize,
        window_in: choices.below(5000) as usize,
        window_out: choices.below(5000) as usize,
        rate: serial.then(|| choices.u64()),
        frames: if serial { Frames::Single } else { Frames::Many },
        overhead: choices.below(50) as usize,
    }
}

/// What is a frame is written as the same bytes again.
fn check_frame(content: &[u8]) {
    let Ok(frame) = decode(content) else { return };
    let mut again = Vec::new();
    match frame {
        PacketFrame::Open(open) => put_open(&mut again, &open),
        PacketFrame::Retry { token, cookie } => put_retry(&mut again, token, cookie),
        PacketFrame::Opened(opened) => put_opened(&mut again, &opened),
        PacketFrame::Reset { token } => put_reset(&mut again, token),
        PacketFrame::Segment { offset, bytes } => put_segment(&mut again, offset, (bytes, &[])),
        PacketFrame::Ack { next, window, ranges } => put_ack(&mut again, next, window, ranges.iter()),
        PacketFrame::Ping(ping) => put_ping(&mut again, &ping),
        PacketFrame::Pong(pong) => put_pong(&mut again, &pong),
        PacketFrame::Tally(tally) => put_tally(&mut again, &tally),
        PacketFrame::Fragment(fragment) => put_fragment(&mut again, &fragment),
        PacketFrame::Message { alias, order, age, payload } => {
            assert!(alias <= kind::MAX_ALIAS);
            put_message(&mut again, alias, order, age, payload);
        }
        // What follows is another version's.
        PacketFrame::OpenOther { .. } | PacketFrame::OpenedOther { .. } => return,
    }
    assert_eq!(again, content);
}

const START: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);
const MAX_FRAME: u32 = 20_000;

/// More are never sent at one time: what was taken is less.
const MOST_PACKETS: usize = 10_000;
