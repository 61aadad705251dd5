//! Packet frames as bytes. Each function appends one frame, tag and body; it cannot fail.

use super::{
    ACK, Age, FRAGMENT, Fragment, MAGIC, MESSAGE, OPEN, OPENED, Open, Opened, Order, PING, PONG, RESET,
    RETRY, SEGMENT, TALLY, Tally,
};
use crate::time::Timestamp;
use crate::wire::control::{Ping, Pong};
use crate::wire::varint;

/// Appends what `frame` appends, behind its length: one of the frames of a datagram.
pub(crate) fn put_piece(out: &mut Vec<u8>, frame: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.push(0);
    frame(out);
    let length = out.len() - start - 1;
    if length < 0x80 {
        out[start] = length as u8;
    } else {
        let mut prefix = [0u8; varint::MAX_BYTES_U32];
        let (mut used, mut left) = (0, length);
        while left > 0 {
            prefix[used] = (left & 0x7F) as u8 | if left > 0x7F { 0x80 } else { 0 };
            left >>= 7;
            used += 1;
        }
        out.splice(start..=start, prefix[..used].iter().copied());
    }
}

pub(crate) fn put_open(out: &mut Vec<u8>, open: &Open<'_>) {
    varint::put(out, u64::from(OPEN));
    out.extend_from_slice(&MAGIC);
    out.push(open.version);
    out.extend_from_slice(&open.token.to_le_bytes());
    out.extend_from_slice(&open.packet.to_le_bytes());
    out.extend_from_slice(&open.window.to_le_bytes());
    varint::put(out, open.cookie.len() as u64);
    out.extend_from_slice(open.cookie);
}

pub(crate) fn put_retry(out: &mut Vec<u8>, token: u32, cookie: &[u8]) {
    varint::put(out, u64::from(RETRY));
    out.extend_from_slice(&token.to_le_bytes());
    varint::put(out, cookie.len() as u64);
    out.extend_from_slice(cookie);
}

pub(crate) fn put_opened(out: &mut Vec<u8>, opened: &Opened) {
    varint::put(out, u64::from(OPENED));
    out.push(opened.version);
    out.extend_from_slice(&opened.yours.to_le_bytes());
    out.extend_from_slice(&opened.mine.to_le_bytes());
    out.extend_from_slice(&opened.packet.to_le_bytes());
    out.extend_from_slice(&opened.window.to_le_bytes());
}

pub(crate) fn put_reset(out: &mut Vec<u8>, token: u16) {
    varint::put(out, u64::from(RESET));
    out.extend_from_slice(&token.to_le_bytes());
}

/// A SEGMENT whose bytes come in two parts, as a ring holds them.
pub(crate) fn put_segment(out: &mut Vec<u8>, offset: u32, bytes: (&[u8], &[u8])) {
    varint::put(out, u64::from(SEGMENT));
    out.extend_from_slice(&offset.to_le_bytes());
    out.extend_from_slice(bytes.0);
    out.extend_from_slice(bytes.1);
}

/// `ranges`: of each the bytes missing before it, and its length.
pub(crate) fn put_ack(out: &mut Vec<u8>, next: u32, window: u32, ranges: impl Iterator<Item = (u32, u32)>) {
    varint::put(out, u64::from(ACK));
    out.extend_from_slice(&next.to_le_bytes());
    out.extend_from_slice(&window.to_le_bytes());
    for (gap, length) in ranges.take(super::MAX_RANGES) {
        varint::put(out, u64::from(gap));
        varint::put(out, u64::from(length));
    }
}

pub(crate) fn put_ping(out: &mut Vec<u8>, ping: &Ping) {
    varint::put(out, u64::from(PING));
    put_time(out, ping.sent);
}

pub(crate) fn put_pong(out: &mut Vec<u8>, pong: &Pong) {
    varint::put(out, u64::from(PONG));
    put_time(out, pong.echo);
    put_time(out, pong.received);
    put_time(out, pong.sent);
}

pub(crate) fn put_tally(out: &mut Vec<u8>, tally: &Tally) {
    varint::put(out, u64::from(TALLY));
    varint::put(out, u64::from(tally.alias));
    varint::put(out, tally.next);
    varint::put(out, tally.dropped);
}

#[inline]
pub(crate) fn put_message(out: &mut Vec<u8>, alias: u32, order: Order, age: Age, payload: &[u8]) {
    varint::put(out, u64::from(MESSAGE) + u64::from(alias));
    put_order(out, order);
    age.put(out);
    out.extend_from_slice(payload);
}

pub(crate) fn put_fragment(out: &mut Vec<u8>, fragment: &Fragment<'_>) {
    varint::put(out, u64::from(FRAGMENT));
    varint::put(out, u64::from(fragment.alias));
    put_order(out, fragment.order);
    fragment.age.put(out);
    varint::put(out, u64::from(fragment.total));
    varint::put(out, u64::from(fragment.at));
    out.extend_from_slice(fragment.bytes);
}

#[inline]
fn put_order(out: &mut Vec<u8>, order: Order) {
    let low = (order.number & 0x7F) as u8;
    match order.more() {
        None => out.push(low),
        Some(more) => {
            out.push(low | 0x80);
            varint::put(out, u64::from(more));
        }
    }
}

fn put_time(out: &mut Vec<u8>, time: Timestamp) {
    out.extend_from_slice(&time.micros().to_le_bytes());
}
