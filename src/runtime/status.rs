//! How a link is, for the application to see.

use crate::event::PeerName;
use std::time::Duration;

/// Where a link is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LinkState {
    /// Waiting for the next attempt to connect.
    Waiting,
    /// Connecting.
    Dialling,
    /// Connected; who is there and what can be spoken is being agreed.
    Handshaking,
    /// Routes can be linked and samples flow.
    Up,
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
    /// Where the link is in its life.
    pub state: LinkState,
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
    /// How many pairs of intent and interest are linked over it.
    pub routes: usize,
}
