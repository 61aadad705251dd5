//! Compression as the threads do it: by the one that sends, once for all links, and by the reader.

use super::line::Line;
use super::outlets::Outlet;
use crate::bytes::{Buffer, Bytes, Pool};
use crate::flow::batch::BY_REFERENCE;
use crate::flow::outbox::{Outgoing, Put};
use crate::flow::squeeze::Squeeze;
use crate::reason::{Reason, ReasonCode};
use crate::settings::Compression;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::wire::packed::{self, LZ4, PLAIN, Packed};
use crate::wire::varint;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Packs the samples of one intent.
#[derive(Default)]
pub(crate) struct Packer {
    pub(crate) mode: Compression,
    squeeze: Squeeze,
    plain: Form,
    small: Form,
    /// Whether `small` holds the sample.
    is_small: bool,
    /// The sample was turned away, and may come again.
    pending: bool,
    counts: CompressionCounts,
}

/// A sample as it goes on a line: what is large is not copied again.
#[derive(Default)]
struct Form {
    bytes: Vec<u8>,
    shared: Option<Bytes>,
}

/// What compression did for an intent, for all links it went to.
///
/// ```
/// use bowline::{Bytes, Compression, Endpoint, Intent, IntentSettings};
/// let robot = Endpoint::builder("robot").start()?;
/// let settings = IntentSettings::new().compression(Compression::Auto);
/// let map: Intent<Bytes> = robot.intent_with("robot.map", settings)?;
/// map.send(Bytes::from(vec![0; 10_000]))?; // nobody is there
/// assert_eq!(map.compression().raw, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CompressionCounts {
    /// Samples that went where both sides can compress, compressed or not.
    pub samples: u64,
    /// How many of them were compressed.
    pub compressed: u64,
    /// Bytes of these samples before that.
    pub raw: u64,
    /// Bytes after it, without the heads of frames.
    pub sent: u64,
}

/// What compression does on one link, each way, since this connection was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct LinkCompression {
    /// From here to the peer.
    pub out: CompressionCounts,
    /// From the peer to here; `sent` is what came, `raw` what it became.
    pub received: CompressionCounts,
    /// Samples that came by a relay and could not be unpacked: they are lost, and counted so too. Of a peer
    /// itself the first one ends the link.
    pub damaged: u64,
    /// How many bytes a second the line was found to carry when last it held up writing; `None` where it did not
    /// within half a minute, or is of known speed.
    pub held_up_at: Option<u64>,
}

impl Packer {
    /// Makes ready a sample for those of the outlets whose payloads are packed.
    pub(super) fn begin(&mut self, outlets: &[Outlet], payload: &[u8]) {
        let mut lines = outlets.iter().filter_map(|outlet| match outlet {
            Outlet::Packed { line, .. } => Some(line),
            _ => None,
        });
        let Some(first) = lines.next() else { return };
        if std::mem::replace(&mut self.pending, true)
            && self.plain.outgoing().payload.get(1..) == Some(payload)
        {
            // What there was no room for is not a sample more.
            return;
        }
        let wanted = self.wants(first) || lines.any(|line| self.wants(line));
        self.is_small = wanted && self.squeeze.tries(payload.len()) && self.compress(payload);
        self.plain.set(|bytes| {
            bytes.push(PLAIN);
            bytes.extend_from_slice(payload);
        });
    }

    fn compress(&mut self, payload: &[u8]) -> bool {
        let begun = Instant::now();
        let mut packed = 0;
        self.small.set(|bytes| {
            bytes.push(LZ4);
            varint::put(bytes, payload.len() as u64);
            let head = bytes.len();
            bytes.resize(head + lz4_flex::block::get_maximum_output_size(payload.len()), 0);
            // There is room for whatever it becomes.
            let written = lz4_flex::block::compress_into(payload, &mut bytes[head..]).unwrap_or(usize::MAX);
            packed = head.saturating_add(written);
            bytes.truncate(packed);
        });
        self.squeeze.tried(payload.len(), packed, begun.elapsed())
    }

    /// There is room for the sample everywhere.
    pub(super) fn goes(&mut self) {
        self.pending = false;
    }

    /// The sample as it goes on a line.
    pub(super) fn sample_for(&self, line: &Line) -> Outgoing<'_> {
        if self.is_small && self.wants(line) { self.small.outgoing() } else { self.plain.outgoing() }
    }

    fn wants(&self, line: &Line) -> bool {
        match self.mode {
            Compression::Off => false,
            Compression::Always => true,
            Compression::Auto => self.squeeze.pays(line.rate_to_beat()),
        }
    }

    /// Notes what became of a sample of `raw` bytes that was offered in `sent`.
    pub(super) fn note(&mut self, line: &Line, raw: usize, sent: usize, put: Put) {
        if matches!(put, Put::Queued | Put::Inline | Put::Parked(_)) {
            self.counts.note(raw, sent);
            line.packing.out.note(raw, sent);
        }
    }

    pub(crate) fn counts(&self) -> CompressionCounts {
        self.counts
    }
}

impl Form {
    fn set(&mut self, fill: impl FnOnce(&mut Vec<u8>)) {
        // What the line still holds is its own by now.
        self.shared = None;
        self.bytes.clear();
        fill(&mut self.bytes);
        if self.bytes.len() >= BY_REFERENCE {
            self.shared = Some(Bytes::from(std::mem::take(&mut self.bytes)));
        }
    }

    fn outgoing(&self) -> Outgoing<'_> {
        match &self.shared {
            Some(bytes) => Outgoing { payload: bytes, shared: Some(bytes) },
            None => Outgoing { payload: &self.bytes, shared: None },
        }
    }
}

impl CompressionCounts {
    fn note(&mut self, raw: usize, sent: usize) {
        self.samples += 1;
        self.compressed += u64::from(sent < raw);
        self.raw += raw as u64;
        self.sent += sent as u64;
    }
}

/// What a line keeps for compression.
#[derive(Default)]
pub(crate) struct LinePacking {
    out: Counters,
    received: Counters,
    damaged: AtomicU64,
    /// What was written in writes that took their time, and how long they took, since `rate` was found last.
    written: AtomicU64,
    nanos: AtomicU64,
    /// Bytes a second, and when that was found, in microseconds of the line's clock; 0 where it was not.
    rate: AtomicU64,
    found: AtomicU64,
}

#[derive(Default)]
struct Counters {
    samples: AtomicU64,
    compressed: AtomicU64,
    raw: AtomicU64,
    sent: AtomicU64,
}

impl Counters {
    fn note(&self, raw: usize, sent: usize) {
        self.samples.fetch_add(1, Ordering::Relaxed);
        self.compressed.fetch_add(u64::from(sent < raw), Ordering::Relaxed);
        self.raw.fetch_add(raw as u64, Ordering::Relaxed);
        self.sent.fetch_add(sent as u64, Ordering::Relaxed);
    }

    fn counts(&self) -> CompressionCounts {
        CompressionCounts {
            samples: self.samples.load(Ordering::Relaxed),
            compressed: self.compressed.load(Ordering::Relaxed),
            raw: self.raw.load(Ordering::Relaxed),
            sent: self.sent.load(Ordering::Relaxed),
        }
    }
}

impl Line {
    /// The writer wrote so many bytes in this time. Only what it wrote in [`ENOUGH`] of writing says how fast the
    /// line is: short of that the bytes went into the system's buffers, or the thread was held up once.
    pub(super) fn note_write(&self, bytes: usize, took: Duration) {
        let packing = &self.packing;
        let written = packing.written.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64;
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let nanos = packing.nanos.fetch_add(took, Ordering::Relaxed).saturating_add(took);
        if nanos >= ENOUGH.as_nanos() as u64 {
            let rate = u128::from(written) * 1_000_000_000 / u128::from(nanos);
            packing.written.store(0, Ordering::Relaxed);
            packing.nanos.store(0, Ordering::Relaxed);
            packing.rate.store(u64::try_from(rate).unwrap_or(u64::MAX).max(1), Ordering::Relaxed);
            packing.found.store(self.clock.now().micros(), Ordering::Release);
        }
    }

    /// How many bytes a second the line carries, if it is known to be slow: by its transport, or as it held up the
    /// writer.
    pub(super) fn rate_to_beat(&self) -> Option<u64> {
        self.connection.rate().or_else(|| self.held_up_at())
    }

    fn held_up_at(&self) -> Option<u64> {
        let found = self.packing.found.load(Ordering::Acquire);
        let age = self.clock.now().micros().saturating_sub(found);
        (found > 0 && age <= BELIEVED.as_micros() as u64).then(|| self.packing.rate.load(Ordering::Relaxed))
    }

    pub(super) fn compression(&self) -> LinkCompression {
        LinkCompression {
            out: self.packing.out.counts(),
            received: self.packing.received.counts(),
            damaged: self.packing.damaged.load(Ordering::Relaxed),
            held_up_at: self.held_up_at(),
        }
    }

    pub(super) fn note_damaged(&self) {
        self.packing.damaged.fetch_add(1, Ordering::Relaxed);
    }
}

/// What a packed payload is.
pub(super) enum Unpacked {
    /// The payload stands behind the first byte.
    Plain,
    Bytes(Bytes),
}

/// Unpacks a payload, and copies one that was not compressed, for the fuzz target.
#[cfg(feature = "fuzzing")]
pub(crate) fn unpacked(payload: &[u8], largest: usize, pool: &Arc<Pool>) -> Result<Bytes, Reason> {
    match open(0, payload, largest, pool)? {
        Unpacked::Plain => Ok(Bytes::copy_from_slice(&payload[1..])),
        Unpacked::Bytes(bytes) => Ok(bytes),
    }
}

/// Unpacks a payload that came on `line`; `largest` is what this endpoint takes.
///
/// # Errors
/// What is wrong with it. No more memory is taken than it may become, and none where it cannot be what it claims.
pub(super) fn unpack(
    line: &Line,
    alias: u32,
    payload: &[u8],
    largest: usize,
    pool: &Arc<Pool>,
) -> Result<Unpacked, Reason> {
    let unpacked = open(alias, payload, largest, pool)?;
    let raw = match &unpacked {
        Unpacked::Plain => payload.len() - 1,
        Unpacked::Bytes(bytes) => bytes.len(),
    };
    line.packing.received.note(raw, payload.len());
    Ok(unpacked)
}

fn open(alias: u32, payload: &[u8], largest: usize, pool: &Arc<Pool>) -> Result<Unpacked, Reason> {
    let malformed = |text| Reason::new(ReasonCode::Malformed, format!("a sample of alias {alias}: {text}"));
    let (size, block) = match packed::look(payload).map_err(|fault| malformed(fault.to_string()))? {
        Packed::Plain(_) => return Ok(Unpacked::Plain),
        Packed::Lz4 { size, block } => (size, block),
    };
    if size > largest {
        let text = format!(
            "a sample of alias {alias} is compressed and claims to become {size} bytes, at most {largest} are taken"
        );
        return Err(Reason::new(ReasonCode::FrameTooLarge, text));
    }
    let mut buffer = Buffer::of_len(size, pool);
    match lz4_flex::block::decompress_into(block, buffer.bytes_mut()) {
        Ok(became) if became == size => Ok(Unpacked::Bytes(Bytes::whole(Arc::new(buffer)))),
        Ok(became) => Err(malformed(format!("it became {became} bytes, where {size} were claimed"))),
        Err(error) => Err(malformed(format!("its LZ4 block cannot be read: {error}"))),
    }
}

/// How long the writer must have been writing before the line is taken for as slow as that was.
const ENOUGH: Duration = Duration::from_millis(50);

/// For how long that is believed. Then samples go plain, until the line holds up the writer again.
const BELIEVED: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
