//! What can be wrong with bytes from a peer, in words.

use super::kind;
use super::varint::VarintFault;
use crate::reason::{Reason, ReasonCode};
use std::fmt;

/// Bytes that are not what the protocol says. The link they came from is closed with this reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WireError {
    #[error("not a bowline stream: it begins with {first}, not with a HANDSHAKE")]
    NotBowline { first: FirstBytes },
    #[error("{} of {length} bytes: at most {limit} are taken", frame_name(*.kind))]
    FrameTooLarge { kind: Option<u32>, length: u64, limit: u32 },
    #[error("frame kind 0x{kind:02X} is reserved in protocol version {}", kind::VERSION)]
    UnknownKind { kind: u32 },
    #[error("malformed frame: {fault}")]
    Frame { fault: Fault },
    #[error("malformed {}: {fault}", kind::name(*.kind))]
    Body { kind: u32, fault: Fault },
}

/// What is wrong within a frame, and with which part of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("`{field}` {fault}")]
    Varint { field: &'static str, fault: VarintFault },
    #[error("its length is 0, but every frame has a tag")]
    Empty,
    #[error("it ends within `{field}`")]
    Ends { field: &'static str },
    #[error("{count} bytes too many at its end")]
    Trailing { count: usize },
    #[error("`{field}` is {value}, allowed is {rule}")]
    Value { field: &'static str, value: u64, rule: &'static str },
    #[error("`{field}` is {length} bytes long, allowed are {limit}")]
    TooLong { field: &'static str, length: u64, limit: usize },
    #[error("`{field}` is not UTF-8: byte {at} of it is 0x{byte:02X}")]
    NotText { field: &'static str, at: usize, byte: u8 },
    #[error("`{field}` is not allowed: {text}")]
    Name { field: &'static str, text: Box<str> },
}

impl WireError {
    /// The code a BYE for it carries.
    pub(crate) fn code(&self) -> ReasonCode {
        match self {
            WireError::NotBowline { .. } => ReasonCode::NotBowline,
            WireError::FrameTooLarge { .. } => ReasonCode::FrameTooLarge,
            WireError::UnknownKind { .. } => ReasonCode::UnknownKind,
            WireError::Frame { .. } | WireError::Body { .. } => ReasonCode::Malformed,
        }
    }
}

impl From<WireError> for Reason {
    fn from(error: WireError) -> Reason {
        Reason::new(error.code(), error.to_string())
    }
}

/// The first bytes of a stream, as quoted in an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FirstBytes {
    bytes: [u8; 16],
    count: u8,
}

impl FirstBytes {
    pub(crate) fn of(stream: &[u8]) -> Self {
        let mut bytes = [0; 16];
        let count = stream.len().min(bytes.len());
        bytes[..count].copy_from_slice(&stream[..count]);
        Self { bytes, count: count as u8 }
    }
}

impl fmt::Display for FirstBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.bytes[..usize::from(self.count)].escape_ascii())
    }
}

fn frame_name(kind: Option<u32>) -> &'static str {
    match kind {
        Some(kind) => kind::name(kind),
        None => "a frame",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_name_the_offending_numbers() {
        let reason = Reason::from(WireError::FrameTooLarge { kind: None, length: 1 << 32, limit: 1024 });
        assert_eq!(reason.code(), ReasonCode::FrameTooLarge);
        assert_eq!(reason.text(), "a frame of 4294967296 bytes: at most 1024 are taken");
        let reason =
            Reason::from(WireError::NotBowline { first: FirstBytes::of(b"GET / HTTP/1.1\r\nHost: x") });
        assert_eq!(reason.code(), ReasonCode::NotBowline);
        assert_eq!(
            reason.text(),
            r"not a bowline stream: it begins with `GET / HTTP/1.1\r\n`, not with a HANDSHAKE"
        );
        let fault = Fault::Value { field: "op", value: 9, rule: "0 to 2" };
        let reason = Reason::from(WireError::Body { kind: kind::INTENTS, fault });
        assert_eq!(reason.code(), ReasonCode::Malformed);
        assert_eq!(reason.text(), "malformed INTENTS: `op` is 9, allowed is 0 to 2");
        assert_eq!(
            Reason::from(WireError::UnknownKind { kind: 0x0C }).text(),
            "frame kind 0x0C is reserved in protocol version 1"
        );
    }
}
