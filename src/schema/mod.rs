//! The shape of a message type.
/// The shape of a message type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema(String);
