//! Bytes and frames.
pub(crate) mod control;
