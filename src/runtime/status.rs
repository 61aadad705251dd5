//! How a link is, for the application to see.

use super::checkups::Checkup;
use super::line::Line;
#[cfg(feature = "lz4")]
use super::packing::LinkCompression;
use crate::diagnosis::{Diagnosis, LineCounts};
use crate::event::PeerName;
use crate::health::{LinkHealth, Symptom};
use crate::proto;
use crate::reason::Reason;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Where a link is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LinkState {
    /// There is no connection. A dialled link is tried again by itself.
    Down,
    /// A connection is being made.
    Dialling,
    /// Connected; who is there and what can be spoken is being agreed.
    Handshaking,
    /// The handshake is done, and another link to the same peer carries the session: this one is ready to take over.
    StandsBy,
    /// Routes can be linked and samples flow.
    Up,
    /// Up, and worse than [`HealthLimits`](crate::HealthLimits) allow. Routes are linked and samples flow all the same.
    Degraded,
}

impl LinkState {
    /// Whether samples flow: up, or up and degraded.
    pub fn is_up(self) -> bool {
        matches!(self, LinkState::Up | LinkState::Degraded)
    }
}

/// Round trips of the pings of one link, without the time the peer took to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RoundTrip {
    /// Smoothed as in RFC 6298.
    pub smoothed: Duration,
    /// Mean deviation, as RFC 6298's RTTVAR.
    pub jitter: Duration,
    /// The shortest since the link came up.
    pub min: Duration,
    /// The median of the last 128.
    pub p50: Duration,
    /// The 99th percentile of the last 128.
    pub p99: Duration,
}

/// One link, as it is now.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LinkStatus {
    /// Who is at the other end.
    pub peer: PeerName,
    /// Whether this endpoint dials it. Such a link is tried again by itself; an accepted one is gone from
    /// the list once it is down.
    pub dialled: bool,
    /// Where the link is in its life.
    pub state: LinkState,
    /// How often it was dialled since it was last up.
    pub attempts: u32,
    /// How long until it is dialled again, while it waits for that. It can be sooner, when the network says that the way
    /// to the peer is open again.
    pub redial_in: Option<Duration>,
    /// Why it is down, or was before the attempt under way; `None` while it is up.
    pub reason: Option<Reason>,
    /// The figures that decide whether it is degraded; all zero while it is not up.
    pub health: LinkHealth,
    /// What it suffers from; empty unless it is degraded. Those that were past their limits when some last were.
    pub symptoms: Vec<Symptom>,
    /// How near the worst figure of `health` is to its limit, in thousandths: past 1000 the link is degraded, up to 750 it
    /// recovers.
    pub strain: u32,
    /// Round trips; `None` before the first pong.
    pub round_trip: Option<RoundTrip>,
    /// The peer's clock less ours, in microseconds.
    pub clock_offset_micros: i64,
    /// How far off `clock_offset_micros` is at most; `None` before the first pong.
    pub clock_error: Option<Duration>,
    /// Bytes read since this connection was made.
    pub bytes_in: u64,
    /// Bytes written since this connection was made.
    pub bytes_out: u64,
    /// Frames of kinds this version does not know that were skipped since this connection was made: a peer
    /// of a later version may send them.
    pub frames_skipped: u64,
    /// How many pairs of intent and interest are linked over it.
    pub routes: usize,
    /// How many bytes a second the line carries each way, where that is known, as on a serial port.
    pub rate: Option<u64>,
    /// How much of that was used in the last second; `None` before the first, or where it is not known.
    pub load: Option<Load>,
    /// What went over the line with all overhead, where its transport counts it.
    pub counts: Option<LineCounts>,
    /// What is wrong with the line, as found when it was last looked at, where its transport can tell.
    pub diagnosis: Option<Diagnosis>,
    /// What compression does on it; `None` while there is no connection. Only with the feature `lz4`.
    #[cfg(feature = "lz4")]
    pub compression: Option<LinkCompression>,
}

/// The shares of a line that are used, each way: 0 is an idle line, 1 a full one.
///
/// ```
/// let endpoint = bowline::Endpoint::builder("desk").start()?;
/// for link in endpoint.links() {
///     if let Some(load) = link.load {
///         println!("{}: {:.0} % sent, {:.0} % received", link.peer, load.sent * 100.0, load.received * 100.0);
///     }
/// }
/// # Ok::<(), bowline::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Default)]
#[non_exhaustive]
pub struct Load {
    /// From here to the peer.
    pub sent: f32,
    /// From the peer to here.
    pub received: f32,
}

impl LinkStatus {
    pub(super) fn new(view: &proto::LinkView, line: Option<&Arc<Line>>, checkup: Option<&Checkup>) -> Self {
        let wellness = view.wellness.as_ref();
        let degraded = wellness.is_some_and(|wellness| wellness.rank.degraded);
        Self {
            peer: PeerName::clone(&view.peer),
            dialled: view.dialled,
            state: match view.state {
                proto::LinkState::Down => LinkState::Down,
                proto::LinkState::Dialling => LinkState::Dialling,
                proto::LinkState::Handshaking => LinkState::Handshaking,
                proto::LinkState::StandsBy => LinkState::StandsBy,
                proto::LinkState::Up if degraded => LinkState::Degraded,
                proto::LinkState::Up => LinkState::Up,
            },
            attempts: view.attempt,
            redial_in: view.redial_in,
            reason: view.reason.clone(),
            health: wellness.map_or_else(LinkHealth::default, |wellness| wellness.figures),
            symptoms: wellness.map_or_else(Vec::new, |wellness| wellness.symptoms.clone()),
            strain: wellness.map_or(0, |wellness| wellness.rank.strain),
            round_trip: view.round_trip.map(|seen| RoundTrip {
                smoothed: seen.smoothed,
                jitter: seen.jitter,
                min: seen.min,
                p50: seen.p50,
                p99: seen.p99,
            }),
            clock_offset_micros: view.offset.map_or(0, |(micros, _)| micros),
            clock_error: view.offset.map(|(_, error)| error),
            bytes_in: line.map_or(0, |line| line.bytes_in.load(Ordering::Relaxed)),
            bytes_out: line.map_or(0, |line| line.bytes_out.load(Ordering::Relaxed)),
            frames_skipped: line.map_or(0, |line| line.skipped.load(Ordering::Relaxed)),
            routes: view.outlets + view.inlets,
            rate: line.and_then(|line| line.connection.rate()),
            load: checkup
                .and_then(|checkup| checkup.load)
                .filter(|_| line.is_some())
                .map(|(sent, received)| Load { sent, received }),
            counts: line.and_then(|line| line.connection.counts()),
            diagnosis: checkup.and_then(|checkup| checkup.diagnosis.clone()),
            #[cfg(feature = "lz4")]
            compression: line.map(|line| line.compression()),
        }
    }
}
