//! The courier: carries the frames of a stream over a line of packets that loses things.
//!
//! It stands between a connection's bytes, which are the frames of a stream on both of its sides, and
//! packets. Control frames and the messages of lossless aliases travel in an ordered byte stream that is
//! repaired; messages of other aliases travel loose, numbered, and are never sent again; so do PING and
//! PONG. What was lost is counted and comes out as LOST frames. `PROTOCOL.md`, "Packet links", says it all.
//!
//! Where a session goes on over this line, AT tells the number of the next sample of an alias. Nothing of the alias may
//! overtake it, so its samples go in the stream until that came, and one that comes then waits for those.
//!
//! ```text
//!  send ─► outgoing ─┬─► stream_out ──► poll ──► packet …  line  … packet ──► stream_in ─► incoming ─┐
//!   (frames, cut     ├─► lanes_out  ──►                                   ──► lanes_in, pieces ──────┼─► ready ─► read
//!    anywhere)       └─► slips      ──►                                   ──► slips ─────────────────┘
//! ```
//!
//! It is pure: driven by [`send`](Courier::send), [`packet`](Courier::packet), [`poll`](Courier::poll) and
//! [`read`](Courier::read), each with the time, and [`next_wake`](Courier::next_wake) says when to come back.

mod arriving;
mod congestion;
mod incoming;
mod lanes_in;
mod lanes_out;
mod leaving;
mod outgoing;
mod pace;
mod pieces;
mod ready;
mod reference;
mod rtt;
mod stream_in;
mod stream_out;

use crate::time::Timestamp;
use crate::wire::control::{Ping, Pong};
use crate::wire::kind::MAX_HANDSHAKE_FRAME;
use crate::wire::packet::{MIN_PACKET, SEGMENT_HEAD};
use congestion::Congestion;
use incoming::Incoming;
use lanes_in::LanesIn;
use lanes_out::LanesOut;
use outgoing::Outgoing;
use pace::Pace;
use pieces::Assemblies;
use ready::Ready;
use reference::Reference;
use rtt::Rtt;
use std::collections::VecDeque;
use std::time::Duration;
use stream_in::StreamIn;
use stream_out::{Start, StreamOut};

/// What both sides of a packet link agreed on, and what is known of the line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// The line keeps the order and doubles nothing.
    pub(crate) fifo: bool,
    /// The largest packet content the other side takes, in bytes; at least 64.
    pub(crate) packet: usize,
    /// How many bytes of the stream are held here, and how many there.
    pub(crate) window_in: usize,
    pub(crate) window_out: usize,
    /// Bytes a second the line carries, if that is known: no more is given out.
    pub(crate) rate: Option<u64>,
    pub(crate) frames: Frames,
    /// What a packet costs on the line beside its content, in bytes.
    pub(crate) overhead: usize,
}

/// How many frames a packet holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frames {
    /// One, without a length.
    Single,
    /// Any number, each behind its length.
    Many,
}

/// What happened on a packet link so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) packets_in: u64,
    pub(crate) packets_out: u64,
    /// What they held, with what a packet costs beside.
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    /// Segments that were sent again.
    pub(crate) repeated: u64,
    /// Packet frames of no known kind.
    pub(crate) unknown: u64,
    /// Packet frames that are not as they should be.
    pub(crate) malformed: u64,
    /// Samples that came after a later one, or again.
    pub(crate) late: u64,
    /// Samples of aliases that are not open.
    pub(crate) stray: u64,
    /// Samples for which there was no room.
    pub(crate) refused: u64,
    /// Samples of which a part did not come.
    pub(crate) torn: u64,
}

/// Both directions of one packet link.
pub(crate) struct Courier {
    settings: Settings,
    outgoing: Outgoing,
    stream_out: StreamOut,
    lanes_out: LanesOut,
    slips: Slips,
    pace: Pace,
    /// The last packet began with bytes of the stream: next is a loose sample.
    stream_was_first: bool,
    incoming: Incoming,
    stream_in: StreamIn,
    lanes_in: LanesIn,
    assemblies: Assemblies,
    reference: Reference,
    ready: Ready,
    /// The largest frame of a message that is taken, as the own HANDSHAKE says.
    largest: u32,
    counts: Counts,
}

/// PINGs and PONGs that wait for the line.
#[derive(Default)]
struct Slips {
    pings: VecDeque<Ping>,
    pongs: VecDeque<Pong>,
}

impl Courier {
    pub(crate) fn new(settings: Settings) -> Self {
        let settings = Settings { packet: settings.packet.max(MIN_PACKET), ..settings };
        let Settings { fifo, packet, window_in, window_out, rate, .. } = settings;
        let pace = Pace::new(rate, settings.overhead, packet);
        let packet_time = pace.time_of(packet);
        let micros = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        let floor = if fifo { micros(4 * packet_time) + 30_000 } else { 20_000 };
        let ack = if fifo { packet_time + Duration::from_millis(20) } else { Duration::from_millis(5) };
        let on_line = |span| pace.bytes_in(span).map(|bytes| bytes.max(2 * packet));
        Self {
            stream_out: StreamOut::new(Start {
                window: window_out,
                most_unsent: on_line(Duration::from_millis(20)).unwrap_or(LOOSE_ROOM),
                rtt: Rtt::new(floor, 250_000 + micros(2 * packet_time)),
                congestion: rate.is_none().then(|| Congestion::new(packet, window_out)),
                patience: if fifo { 1 } else { 3 },
                full: packet - SEGMENT_HEAD,
            }),
            lanes_out: LanesOut::new(
                on_line(Duration::from_millis(10)).unwrap_or(LOOSE_ROOM),
                packet - SAMPLE_HEAD,
                fifo,
            ),
            outgoing: Outgoing::new(),
            slips: Slips::default(),
            pace,
            stream_was_first: false,
            incoming: Incoming::new(),
            stream_in: StreamIn::new(window_in, ack),
            lanes_in: LanesIn::new(fifo),
            assemblies: Assemblies::default(),
            reference: Reference::default(),
            ready: Ready::default(),
            largest: MAX_HANDSHAKE_FRAME,
            counts: Counts::default(),
            settings,
        }
    }

    /// How samples of an alias that is sent are carried, from now until its END: lossless, as without
    /// this, or loose.
    pub(crate) fn lane(&mut self, alias: u32, lossless: bool) {
        if alias <= crate::wire::kind::MAX_ALIAS {
            self.lanes_out.set(alias, !lossless);
        }
    }

    /// Copies of the samples of an alias go other ways: what the other side counts must be right at any time.
    pub(crate) fn copied(&mut self, alias: u32) {
        self.lanes_out.set_copied(alias);
    }

    /// Whether samples of an alias go ahead of others that wait for the line.
    pub(crate) fn urgent(&mut self, alias: u32, urgent: bool) {
        self.lanes_out.set_urgent(alias, urgent);
    }

    /// Aliases of which the other side may have counted too few: samples were dropped, or lost before they came here, and
    /// it is not known to have been told.
    pub(crate) fn unsure(&self) -> Vec<u32> {
        self.lanes_out.unsure(self.stream_out.acked())
    }

    /// Takes what is ready to be read: frames of a stream, cut where `out` ends.
    pub(crate) fn read(&mut self, now: Timestamp, out: &mut [u8]) -> usize {
        let count = self.ready.read(out);
        self.stream_in.waiting(now, self.ready.len());
        count
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts { repeated: self.stream_out.repeated, ..self.counts }
    }
}

/// The most bytes of a packet with one sample that are not the sample: length, tag, order, age.
const SAMPLE_HEAD: usize = 3 + 3 + 6 + 11;

/// How many bytes of loose samples, and of the stream, wait where the line's speed is unknown.
const LOOSE_ROOM: usize = 64 * 1024;

#[cfg(test)]
mod tests;
