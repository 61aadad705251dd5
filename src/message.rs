//! What can be sent.

use crate::bytes::{Bytes, Payload};
use crate::schema::{Schema, SchemaError};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A type whose values can be sent.
///
/// Every serde type is one, encoded by bincode 2 in its standard configuration: nothing is to be
/// implemented. [`Bytes`] is one too, sent as it is. For another encoding, implement it for a type of
/// your own:
///
/// ```
/// use bowline::{CodecError, Message, Payload, Schema, SchemaError};
///
/// /// A line of text as the old controller wants it.
/// struct Line(String);
///
/// impl Message for Line {
///     const CODEC: &'static str = "ascii-line";
///     fn schema() -> Result<Schema, SchemaError> {
///         Schema::versioned("Line", 1)
///     }
///     fn encode(&self, out: &mut Vec<u8>) -> Result<(), CodecError> {
///         out.extend_from_slice(self.0.as_bytes());
///         Ok(())
///     }
///     fn decode(payload: Payload<'_>) -> Result<Self, CodecError> {
///         let text = std::str::from_utf8(payload.as_slice()).map_err(CodecError::new)?;
///         Ok(Line(text.to_owned()))
///     }
/// }
/// ```
pub trait Message: Sized + Send + Sync + 'static {
    /// The encoding, compared when a route is linked. At most 32 bytes: a longer name is an error when an
    /// intent or interest is declared.
    const CODEC: &'static str;

    /// The shape, compared when a route is linked.
    ///
    /// # Errors
    /// If the shape cannot be found. The error says the way out.
    fn schema() -> Result<Schema, SchemaError>;

    /// Appends the encoded value to `out`.
    ///
    /// # Errors
    /// If the value cannot be encoded; nothing is sent then.
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), CodecError>;

    /// Makes a value from what [`encode`](Message::encode) appended.
    ///
    /// # Errors
    /// If these bytes are no such value. Bytes from a peer can be anything, so it must not panic or take
    /// memory beyond their number without end.
    fn decode(payload: Payload<'_>) -> Result<Self, CodecError>;

    /// The encoded value where it exists already, so that it need not be copied.
    fn as_bytes(&self) -> Option<&Bytes> {
        None
    }
}

/// A value that could not be encoded, or bytes that could not be decoded.
///
/// ```
/// use bowline::{Message, Payload};
/// let error = bool::decode(Payload::new(&[7])).unwrap_err();
/// assert!(error.to_string().contains("7"));
/// ```
#[derive(Debug, thiserror::Error)]
#[error("{source}")]
pub struct CodecError {
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl CodecError {
    /// An error of the codec's own.
    pub fn new(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { source: source.into() }
    }
}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Message for T {
    const CODEC: &'static str = "bincode-2";

    fn schema() -> Result<Schema, SchemaError> {
        Schema::of::<T>()
    }

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), CodecError> {
        bincode::serde::encode_into_std_write(self, out, CONFIG).map_err(CodecError::new)?;
        Ok(())
    }

    #[inline]
    fn decode(payload: Payload<'_>) -> Result<Self, CodecError> {
        let bytes = payload.as_slice();
        if bytes.len() > SMALL {
            return decode_large(bytes);
        }
        let (value, used) =
            bincode::serde::decode_from_slice(bytes, SMALL_CONFIG).map_err(CodecError::new)?;
        if used != bytes.len() {
            return Err(CodecError::new(format!("{} bytes too many at its end", bytes.len() - used)));
        }
        Ok(value)
    }
}

impl Message for Bytes {
    const CODEC: &'static str = "raw";

    fn schema() -> Result<Schema, SchemaError> {
        Ok(Schema::raw())
    }

    fn encode(&self, out: &mut Vec<u8>) -> Result<(), CodecError> {
        out.extend_from_slice(self);
        Ok(())
    }

    #[inline(always)]
    fn decode(payload: Payload<'_>) -> Result<Self, CodecError> {
        Ok(payload.to_bytes())
    }

    #[inline]
    fn as_bytes(&self) -> Option<&Bytes> {
        Some(self)
    }
}

/// Decodes where more memory may be taken. Apart, so that the way of small messages is short.
#[inline(never)]
fn decode_large<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let (value, used) = bincode::serde::decode_from_slice(bytes, CONFIG).map_err(CodecError::new)?;
    if used != bytes.len() {
        return Err(CodecError::new(format!("{} bytes too many at its end", bytes.len() - used)));
    }
    Ok(value)
}

/// The limit is what bincode may take of memory while decoding: without one, nine bytes that claim a
/// string of 2^40 abort the process.
type Config<const LIMIT: usize> = bincode::config::Configuration<
    bincode::config::LittleEndian,
    bincode::config::Varint,
    bincode::config::Limit<LIMIT>,
>;

const CONFIG: Config<DECODE_LIMIT> = bincode::config::standard().with_limit::<DECODE_LIMIT>();
const SMALL_CONFIG: Config<SMALL_DECODE_LIMIT> =
    bincode::config::standard().with_limit::<SMALL_DECODE_LIMIT>();

/// How much memory decoding one message may take, by bincode's count: 256 MiB, or 16 MiB for a small one.
const DECODE_LIMIT: usize = 256 << 20;
const SMALL_DECODE_LIMIT: usize = 16 << 20;

/// Up to this size an encoded message is small.
const SMALL: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_that_lies_is_an_error_and_takes_no_memory() {
        let lie = [0xFD, 0, 0, 0, 0, 0, 1, 0, 0];
        assert!(String::decode(Payload::new(&lie)).is_err());
        assert!(Vec::<u64>::decode(Payload::new(&lie)).is_err());
    }

    #[test]
    fn a_small_message_takes_less_memory_than_a_large_one_may() {
        // A string of 20 MiB, of which but the beginning is there.
        let mut lie = vec![252];
        lie.extend_from_slice(&(20_u32 << 20).to_le_bytes());
        let said = |lie: &[u8]| String::decode(Payload::new(lie)).unwrap_err().to_string();
        assert!(said(&lie).contains("LimitExceeded"), "{}", said(&lie));
        lie.resize(SMALL + 1, b'a');
        assert!(said(&lie).contains("UnexpectedEnd"), "{}", said(&lie));
        let text = "b".repeat(3 << 20);
        let mut bytes = Vec::new();
        text.encode(&mut bytes).expect("encodes");
        assert_eq!(String::decode(Payload::new(&bytes)).expect("decodes"), text);
        bytes.push(0);
        assert!(String::decode(Payload::new(&bytes)).is_err());
    }

    #[test]
    fn trailing_bytes_are_an_error() {
        let mut bytes = Vec::new();
        7u8.encode(&mut bytes).expect("encodes");
        bytes.push(0);
        assert!(u8::decode(Payload::new(&bytes)).is_err());
    }
}
