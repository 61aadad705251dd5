//! What types that check their values are offered, in this order.

use super::node::Kind;
use crate::schema::shape::Leaf;

/// How many answers there are for a node before it is said to refuse all.
pub(super) fn plans(kind: &Kind) -> usize {
    match kind {
        Kind::Unknown | Kind::Back(_) => 1,
        Kind::Leaf(leaf) => match leaf {
            Leaf::Unit => 1,
            Leaf::Bool => 2,
            Leaf::F32 | Leaf::F64 => REALS.len(),
            Leaf::Char => CHARS.len(),
            Leaf::Str => TEXTS.len(),
            Leaf::Bytes => BYTES.len(),
            _ => WHOLES.len(),
        },
        Kind::Option { .. } => 2,
        Kind::Map { .. } => 3,
        Kind::Seq { .. } => 6,
        Kind::Tuple { .. } | Kind::Struct(_) | Kind::Enum(_) => 7,
    }
}

pub(super) const WHOLES: [i8; 20] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 16, 20, 24, 32, 50, 64, 100, 127];
pub(super) const REALS: [f32; 7] = [0.0, 1.0, 0.5, 2.0, 10.0, 100.0, -1.0];
pub(super) const CHARS: [char; 4] = ['a', 'A', '0', ' '];
/// Lengths; 16 is a UUID.
pub(super) const BYTES: [usize; 16] = [0, 1, 16, 4, 6, 8, 2, 3, 12, 20, 24, 32, 48, 64, 128, 256];
pub(super) const TEXTS: [&str; 20] = [
    "",
    "a",
    "0",
    "1",
    "a.b",
    "0.0.0.0",
    "0.0.0.0:0",
    "::1",
    "[::1]:1",
    "1970-01-01T00:00:00Z",
    "1970-01-01T00:00:00",
    "1970-01-01",
    "00:00:00",
    "00000000-0000-0000-0000-000000000000",
    "0.0.0",
    "http://a/",
    "UTC",
    "+00:00",
    "/",
    "{}",
];
