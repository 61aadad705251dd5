//! Bytes and frames: what comes from a peer becomes a valid value here, or an error.
//!
//! `PROTOCOL.md` beside this file is the specification.

mod astray;
pub(crate) mod cobs;
pub(crate) mod control;
pub(crate) mod copied;
mod crc;
mod decode;
mod encode;
pub(crate) mod error;
pub(crate) mod fragment;
pub(crate) mod frame;
pub(crate) mod group;
pub(crate) mod kind;
pub(crate) mod message;
pub(crate) mod packed;
#[allow(dead_code)]
pub(crate) mod packet;
pub(crate) mod stamp;
pub(crate) mod varint;

pub(crate) use astray::Astray;
pub(crate) use crc::crc32c;
pub(crate) use decode::decode;
pub(crate) use encode::{Advertised, batches, encode};
pub(crate) use frame::{Frame, Limits, SMALL_HEAD, Split, check_opening, split, split_small};
pub(crate) use message::{MessageHead, Stamp, peek_message};
pub(crate) use stamp::{StampReader, StampWriter};

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
