//! Control frames as bytes. It cannot fail: a value that exists is valid.
//!
//! What a value could hold beyond the bounds of the wire is cut to them: texts at the end of a
//! character, batches into several frames. So no frame is ever larger than the receiver takes.

use super::control::{Accept, Bye, Control, Credit, Declared, Entry, Hello, Intent, Interest, Notify};
use super::{kind, varint};
use crate::delivery::Delivery;
use crate::priority::Priority;
use crate::route::Route;
use crate::time::Timestamp;

/// Appends `control` with its length: one frame, or several for a batch above [`kind::MAX_BATCH`].
/// `Unknown` appends nothing.
pub(crate) fn encode(out: &mut Vec<u8>, control: &Control) {
    match control {
        Control::Hello(hello) => frame(out, kind::HANDSHAKE, |out| put_hello(out, hello)),
        Control::Accept(accept) => frame(out, kind::HANDSHAKE, |out| put_accept(out, accept)),
        Control::Bye(bye) => frame(out, kind::BYE, |out| put_bye(out, bye)),
        Control::Ping(ping) => frame(out, kind::PING, |out| put_time(out, ping.sent)),
        Control::Pong(pong) => frame(out, kind::PONG, |out| {
            put_time(out, pong.echo);
            put_time(out, pong.received);
            put_time(out, pong.sent);
        }),
        Control::Intents(entries) => put_batches(out, kind::INTENTS, entries),
        Control::Interests(entries) => put_batches(out, kind::INTERESTS, entries),
        Control::Notify(notify) => frame(out, kind::NOTIFY, |out| put_notify(out, notify)),
        Control::Credit(credit) => frame(out, kind::CREDIT, |out| put_credit(out, credit)),
        Control::Time(clock) => frame(out, kind::TIME, |out| put_time(out, *clock)),
        Control::Gap { alias, count } => frame(out, kind::GAP, |out| put_count(out, *alias, *count)),
        Control::Stalled { alias, untaken } => {
            frame(out, kind::STALLED, |out| put_count(out, *alias, *untaken));
        }
        Control::Lost { alias, count } => frame(out, kind::LOST, |out| put_count(out, *alias, *count)),
        Control::End { alias } => frame(out, kind::END, |out| varint::put(out, u64::from(*alias))),
        Control::Resume { received, turn } => frame(out, kind::RESUME, |out| {
            varint::put(out, *received);
            varint::put(out, *turn);
        }),
        Control::At { alias, number } => frame(out, kind::AT, |out| put_count(out, *alias, *number)),
        Control::Mark { number } => frame(out, kind::MARK, |out| varint::put(out, *number)),
        Control::Marked { number } => frame(out, kind::MARKED, |out| varint::put(out, *number)),
        Control::Unknown { .. } => {}
    }
}

fn put_count(out: &mut Vec<u8>, alias: u32, count: u64) {
    varint::put(out, u64::from(alias));
    varint::put(out, count);
}

/// Cuts a table into batches that fit one frame each. No entries: no batch.
pub(crate) fn batches<T: Advertised>(mut entries: Vec<Entry<T>>) -> Vec<Vec<Entry<T>>> {
    let mut cut: Vec<_> = lengths(&entries).collect();
    let mut batches = Vec::with_capacity(cut.len());
    // From behind, so that no entry moves twice.
    while let Some(length) = cut.pop() {
        batches.push(entries.split_off(entries.len() - length));
    }
    batches.reverse();
    batches
}

/// What stands in a batch: an intent or an interest.
pub(crate) trait Advertised {
    fn put(&self, out: &mut Vec<u8>);
}

impl Advertised for Intent {
    fn put(&self, out: &mut Vec<u8>) {
        put_declared(out, &self.declared);
        let relayed = u8::from(self.relayed.is_some());
        let priority = match self.priority {
            Priority::Normal => 0,
            Priority::Urgent => 1,
            Priority::Bulk => 2,
        };
        out.push(u8::from(self.exclusive) | u8::from(self.retained) << 1 | relayed << 2 | priority << 3);
        if let Some(relayed) = &self.relayed {
            out.extend_from_slice(&relayed.origin.instance);
            varint::put(out, u64::from(relayed.origin.id));
            let via = &relayed.via[..relayed.via.len().min(kind::MAX_HOPS - 1)];
            out.push(via.len() as u8 + 1);
            via.iter().for_each(|relay| out.extend_from_slice(relay));
        }
    }
}

impl Advertised for Interest {
    fn put(&self, out: &mut Vec<u8>) {
        put_declared(out, &self.declared);
        let delivery = match self.delivery {
            Delivery::Latest => 0,
            Delivery::Queue(_) => 1,
            Delivery::Lossless(_) => 2,
        };
        let unpacks = if self.unpacks { kind::UNPACKS } else { 0 };
        out.push(delivery | unpacks | if self.only.is_some() { kind::ONLY } else { 0 });
        varint::put(out, u64::from(self.delivery.depth().clamp(1, Delivery::MAX_DEPTH)));
        if let Some(only) = self.only {
            varint::put(out, u64::from(only));
        }
    }
}

/// More than any entry takes.
const MAX_ENTRY: usize = 592;

fn frame(out: &mut Vec<u8>, kind: u32, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.push(0);
    varint::put(out, u64::from(kind));
    body(out);
    let length = out.len() - start - 1;
    if length < 0x80 {
        out[start] = length as u8;
    } else {
        let mut prefix = Vec::with_capacity(varint::MAX_BYTES_U32);
        varint::put(&mut prefix, length as u64);
        out.splice(start..=start, prefix);
    }
}

fn put_batches<T: Advertised>(out: &mut Vec<u8>, kind: u32, entries: &[Entry<T>]) {
    if entries.is_empty() {
        frame(out, kind, |out| out.push(0));
    }
    let mut rest = entries;
    for length in lengths(entries) {
        let (batch, after) = rest.split_at(length);
        rest = after;
        frame(out, kind, |out| {
            varint::put(out, batch.len() as u64);
            batch.iter().for_each(|entry| put_entry(out, entry));
        });
    }
}

/// How many entries each batch takes, one after the other.
fn lengths<T: Advertised>(entries: &[Entry<T>]) -> impl Iterator<Item = usize> {
    let mut rest = entries;
    let mut scratch = Vec::new();
    std::iter::from_fn(move || {
        let mut count = rest.len().min(kind::MAX_BATCH / MAX_ENTRY);
        if count < rest.len() {
            let mut bytes = 0;
            count = rest
                .iter()
                .take(kind::MAX_ENTRIES)
                .take_while(|entry| {
                    scratch.clear();
                    put_entry(&mut scratch, entry);
                    bytes += scratch.len();
                    bytes <= kind::MAX_BATCH
                })
                .count();
        }
        rest = &rest[count..];
        (count > 0).then_some(count)
    })
}

fn put_entry<T: Advertised>(out: &mut Vec<u8>, entry: &Entry<T>) {
    let (op, id, item) = match entry {
        Entry::Add { id, item } => (0, id, Some(item)),
        Entry::Update { id, item } => (1, id, Some(item)),
        Entry::Remove { id } => (2, id, None),
    };
    out.push(op);
    varint::put(out, u64::from(*id));
    if let Some(item) = item {
        item.put(out);
    }
}

fn put_declared(out: &mut Vec<u8>, declared: &Declared) {
    put_route(out, &declared.route);
    out.extend_from_slice(&declared.fingerprint.to_le_bytes());
    put_text(out, &declared.codec, kind::MAX_CODEC);
    out.extend_from_slice(&declared.lease_millis.to_le_bytes());
}

fn put_route(out: &mut Vec<u8>, route: &Route) {
    match (route.digest(), route.type_name()) {
        (Some(digest), _) => {
            out.push(1);
            put_bytes(out, route.prefix().as_str().as_bytes());
            out.extend_from_slice(&digest);
        }
        (None, name) => {
            out.push(0);
            put_bytes(out, name.unwrap_or_default().as_bytes());
            put_bytes(out, route.prefix().as_str().as_bytes());
        }
    }
}

fn put_hello(out: &mut Vec<u8>, hello: &Hello) {
    out.push(0);
    out.extend_from_slice(&kind::MAGIC);
    out.extend_from_slice(&[hello.version_min, hello.version_max]);
    out.extend_from_slice(&hello.capabilities.to_le_bytes());
    out.extend_from_slice(&hello.instance);
    out.extend_from_slice(&hello.session.to_le_bytes());
    out.push(u8::from(hello.scope_own) | u8::from(hello.joins) << 1);
    out.extend_from_slice(&hello.max_frame.max(kind::LEAST_MAX_FRAME).to_le_bytes());
    out.extend_from_slice(&hello.ping_millis.max(1).to_le_bytes());
    put_time(out, hello.clock);
    put_bytes(out, hello.path.as_str().as_bytes());
    put_bytes(out, hello.expected.as_ref().map_or("", |path| path.as_str()).as_bytes());
}

fn put_accept(out: &mut Vec<u8>, accept: &Accept) {
    out.extend_from_slice(&[1, accept.version]);
    out.extend_from_slice(&accept.capabilities.to_le_bytes());
    out.extend_from_slice(&accept.session.to_le_bytes());
}

fn put_bye(out: &mut Vec<u8>, bye: &Bye) {
    out.push(bye.code as u8);
    put_text(out, &bye.text, kind::MAX_TEXT);
}

fn put_notify(out: &mut Vec<u8>, notify: &Notify) {
    let pair = |out: &mut Vec<u8>, supplier: bool, mine: u32, yours: u32| {
        out.push(u8::from(supplier));
        varint::put(out, u64::from(mine));
        varint::put(out, u64::from(yours));
    };
    match notify {
        Notify::Linked { mine, yours, alias } | Notify::Packed { mine, yours, alias } => {
            out.push(if matches!(notify, Notify::Packed { .. }) { kind::LINKED_PACKED } else { 0 });
            for number in [mine, yours, alias] {
                varint::put(out, u64::from(*number));
            }
        }
        Notify::Refused { supplier, mine, yours, text } => {
            out.push(1);
            pair(out, *supplier, *mine, *yours);
            put_text(out, text, kind::MAX_TEXT);
        }
        Notify::Schema { supplier, mine, yours, schema } => {
            out.push(2);
            pair(out, *supplier, *mine, *yours);
            put_bytes(out, &schema[..schema.len().min(kind::MAX_SCHEMA)]);
        }
        Notify::Conflict { yours, text } => {
            out.push(3);
            varint::put(out, u64::from(*yours));
            put_text(out, text, kind::MAX_TEXT);
        }
    }
}

fn put_credit(out: &mut Vec<u8>, credit: &Credit) {
    varint::put(out, u64::from(credit.alias));
    for number in [credit.limit, credit.taken, credit.lost] {
        varint::put(out, number);
    }
}

fn put_time(out: &mut Vec<u8>, time: Timestamp) {
    out.extend_from_slice(&time.micros().to_le_bytes());
}

/// A text of at most `limit` bytes, cut where a character ends.
fn put_text(out: &mut Vec<u8>, text: &str, limit: usize) {
    let mut end = text.len().min(limit);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    put_bytes(out, &text.as_bytes()[..end]);
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    varint::put(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}
