//! Why a link ended or a route was refused, in words both sides can read.

use std::fmt;

/// The code a BYE carries, and what a [`Reason`] is sorted by. The numbers are those of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum ReasonCode {
    /// The other endpoint is closing in an orderly way.
    Closing = 1,
    /// Another link to the same peer was kept instead of this one.
    Duplicate = 2,
    /// The other side does not speak this protocol at all.
    NotBowline = 3,
    /// No protocol version is spoken by both.
    Version = 4,
    /// The peer is not the endpoint that was expected under this address.
    WrongIdentity = 5,
    /// The handshake was not finished in time.
    HandshakeTimeout = 6,
    /// A frame that cannot be decoded.
    Malformed = 7,
    /// A frame larger than was agreed.
    FrameTooLarge = 8,
    /// A frame kind that this version does not know and must not skip.
    UnknownKind = 9,
    /// A sample under a number that was never assigned.
    UnknownAlias = 10,
    /// An advertisement the peer has no right to.
    NoRight = 11,
    /// Nothing was heard for 3.5 ping intervals; or no frame ends any more, as the length of one was damaged on its way; or the
    /// peer did not say in time how a session is to go on.
    Silent = 12,
    /// Too many links, or too many whose handshake is unfinished.
    TooManyLinks = 13,
    /// The peer sends control frames but does not read the answers.
    Backlog = 14,
    /// More was advertised than the limits allow.
    TooManyRoutes = 15,
    /// More samples than were granted.
    NoCredit = 16,
    /// A fault inside the endpoint: a bug, said honestly.
    Internal = 17,
    /// The connection could not be made.
    Unreachable = 32,
    /// The connection ended without a BYE.
    Lost = 33,
}

impl ReasonCode {
    /// The code of a number on the wire, `None` where this version does not know it.
    pub const fn from_wire(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::Closing,
            2 => Self::Duplicate,
            3 => Self::NotBowline,
            4 => Self::Version,
            5 => Self::WrongIdentity,
            6 => Self::HandshakeTimeout,
            7 => Self::Malformed,
            8 => Self::FrameTooLarge,
            9 => Self::UnknownKind,
            10 => Self::UnknownAlias,
            11 => Self::NoRight,
            12 => Self::Silent,
            13 => Self::TooManyLinks,
            14 => Self::Backlog,
            15 => Self::TooManyRoutes,
            16 => Self::NoCredit,
            17 => Self::Internal,
            32 => Self::Unreachable,
            33 => Self::Lost,
            _ => return None,
        })
    }

    /// Whether trying again can help without anybody changing a program or a setting.
    pub const fn is_transient(self) -> bool {
        matches!(
            self,
            Self::Closing
                | Self::Duplicate
                | Self::HandshakeTimeout
                | Self::Silent
                | Self::TooManyLinks
                | Self::Backlog
                | Self::Unreachable
                | Self::Lost
        )
    }
}

/// Why a link ended: a code to sort by, a text to read, and which side decided.
///
/// ```
/// use bowline::{Reason, ReasonCode};
/// let reason = Reason::new(ReasonCode::Silent, "nothing heard for 350 ms");
/// assert!(reason.is_transient());
/// assert_eq!(reason.to_string(), "nothing heard for 350 ms");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    code: ReasonCode,
    text: String,
    by_peer: bool,
}

impl Reason {
    /// A reason decided on this side.
    pub fn new(code: ReasonCode, text: impl Into<String>) -> Self {
        Self { code, text: text.into(), by_peer: false }
    }

    /// A reason the peer gave.
    pub fn by_peer(code: ReasonCode, text: impl Into<String>) -> Self {
        Self { code, text: text.into(), by_peer: true }
    }

    /// What kind of reason.
    pub fn code(&self) -> ReasonCode {
        self.code
    }

    /// The reason in words.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the peer decided, and said so in a BYE.
    pub fn is_by_peer(&self) -> bool {
        self.by_peer
    }

    /// Whether trying again can help without anybody changing a program or a setting.
    pub fn is_transient(&self) -> bool {
        self.code.is_transient()
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.by_peer { write!(f, "the peer says: {}", self.text) } else { f.write_str(&self.text) }
    }
}
