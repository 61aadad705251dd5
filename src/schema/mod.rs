//! The shape of a message type: what two programs compare before samples flow.
//!
//! bincode writes no names and no types, so a program that swapped two fields would read garbage without
//! noticing. Each side therefore describes its type as a [`Schema`], taken from the type's own
//! `Deserialize` by the tracer in `trace/`. The 64-bit fingerprints are compared when a route is linked;
//! where they differ the schemas are exchanged and both sides are told the first field that differs.
//!
//! # What is compared
//!
//! The order, names and shapes of fields and variants. Names of types are not: a `Pose` from one crate
//! matches a `Pose2` of the same shape from another. These pairs are the same shape, because their bytes are:
//!
//! - a newtype (`struct Metres(f64)`), `Box`, `Wrapping` or `#[serde(transparent)]`, and what is in it;
//! - `[f32; 3]` and `(f32, f32, f32)`;
//! - `Vec`, `VecDeque`, `HashSet` and whatever else serde calls a sequence, likewise maps;
//! - a field under `#[serde(skip)]` and no field at all; with or without `default`;
//! - a variant `V((A, B))` and `V(A, B)`; `V(())` and `V`;
//! - a recursive type, at whichever of its parts the tracing begins.
//!
//! Not seen, since decoding does not show it: `skip_serializing_if` and one-sided `skip_serializing`
//! (both break bincode), units, valid ranges, and whether an attribute reads a field in its own way.
//! An alias of a field makes no difference; aliases of a variant are part of its name.
//!
//! # On the wire
//!
//! The canonical encoding and the fingerprint made of it are described byte for byte in `PROTOCOL.md`, under
//! "Schema fingerprint". Changing either breaks every running robot.

mod difference;
mod encode;
mod error;
mod shape;
mod trace;

pub use error::SchemaError;

use serde::de::DeserializeOwned;
use shape::Shape;
use std::fmt;

/// The shape of a message type, without its name, and the fingerprint made of it.
///
/// Messages bring theirs along; it is made by hand only to state a version, or to look at it.
///
/// ```
/// use bowline::Schema;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Imu { gyro: [f32; 3], celsius: f32 }
///
/// let ours = Schema::of::<Imu>()?;
/// assert_eq!(ours.name(), "Imu");
/// assert_eq!(ours.to_string(), "Imu {gyro: [f32; 3], celsius: f32}");
///
/// mod other {
///     #[derive(serde::Deserialize)]
///     pub struct Imu { gyro: [f64; 3], celsius: f32 }
/// }
/// let theirs = Schema::of::<other::Imu>()?;
/// assert_ne!(ours.fingerprint(), theirs.fingerprint());
/// assert_eq!(ours.difference(&theirs).unwrap(), "field `gyro.0` is f32 here, f64 there");
/// # Ok::<(), bowline::SchemaError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    name: String,
    shape: Shape,
    fingerprint: u64,
}

impl Schema {
    /// The schema of a type that serde can decode.
    ///
    /// The type is decoded some times over from made-up values (zero, one, short strings, every variant of
    /// every enum), which takes 10 to 200 µs for usual messages. Types that check their values are
    /// offered others until one is good. Bounds: 32 levels, 2048 parts, 16 KiB encoded, 100,000 steps.
    ///
    /// # Errors
    ///
    /// A type that bincode cannot decode (`untagged`, `flatten`, internally tagged), that refuses every
    /// value tried, whose fields depend on each other's values, or that is beyond the bounds. The
    /// text names the field and the way out.
    pub fn of<T: DeserializeOwned>() -> Result<Self, SchemaError> {
        let (name, shape) = trace::trace::<T>()?;
        let mut schema = Self::new(name, shape);
        if schema.name.len() > NAME_LIMIT {
            let end = (0..=NAME_LIMIT - 17).rev().find(|end| schema.name.is_char_boundary(*end)).unwrap_or(0);
            schema.name = format!("{}~{:016x}", &schema.name[..end], schema.fingerprint);
        }
        if schema.encode().len() > ENCODED_LIMIT {
            return Err(SchemaError::TooLarge {
                place: format!("`{}`", schema.name),
                limit: "its names and parts take more than 16 KiB",
            });
        }
        Ok(schema)
    }

    /// The schema of raw bytes: fingerprint 0, name `Bytes`.
    ///
    /// ```
    /// assert_eq!(bowline::Schema::raw().fingerprint(), 0);
    /// ```
    pub fn raw() -> Self {
        Self::new("Bytes".to_owned(), Shape::Raw)
    }

    /// A schema that is only a number, for types that cannot be traced. Only equal versions match; whoever
    /// changes the type has to change the version.
    ///
    /// ```
    /// use bowline::Schema;
    /// let (old, new) = (Schema::versioned("Scan", 1)?, Schema::versioned("Scan", 2)?);
    /// assert_eq!(old.difference(&new).unwrap(), "the schema version stated by hand is 1 here, 2 there");
    /// # Ok::<(), bowline::SchemaError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// A name that is not 1 to 127 bytes of visible ASCII, or has `@` or `#` in it.
    pub fn versioned(name: &str, version: u64) -> Result<Self, SchemaError> {
        if !is_type_name(name) {
            return Err(SchemaError::BadName { name: difference::clip(name, NAME_LIMIT) });
        }
        Ok(Self::new(name.to_owned(), Shape::Versioned(version)))
    }

    fn new(name: String, shape: Shape) -> Self {
        let fingerprint = fingerprint(&shape);
        Self { name, shape, fingerprint }
    }

    /// The type's name as serde has it, or one made of its parts': `Imu`, `seq<Imu>`, `[f32;3]`, `(u8,f64)`.
    /// It can stand in a route: 1 to 127 bytes of visible ASCII without `@` and `#`; others become `_`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is compared when a route is linked. It depends on the shape alone: not on the name, the program,
    /// the platform or the compiler.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// The first difference in words, this schema being "here" and the other "there"; `None` when the shapes
    /// are equal. At most about 480 bytes, without control characters, whatever a peer's names hold.
    pub fn difference(&self, theirs: &Schema) -> Option<String> {
        difference::difference(&self.shape, &theirs.shape)
    }

    /// The name and the shape as they go over the wire, byte for byte what `PROTOCOL.md` describes under
    /// "Schema fingerprint"; at most 16 KiB. For tools that make something of a type: the example `c_header`
    /// prints C for it.
    ///
    /// ```
    /// use bowline::Schema;
    ///
    /// let bytes = Schema::of::<[f32; 2]>()?.to_bytes();
    /// assert_eq!(bytes, b"\x07[f32;2]\x23\x01\x02\x0C"); // the name, then one run of two f32
    /// # Ok::<(), bowline::SchemaError>(())
    /// ```
    pub fn to_bytes(&self) -> Vec<u8> {
        self.encode()
    }

    /// The name and the shape as they go over the wire, at most [`ENCODED_LIMIT`] bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        encode::put_text(&mut out, &self.name);
        encode::put_shape(&mut out, &self.shape);
        out
    }

    /// A peer's schema. Takes memory in proportion to the bytes given, which may be anything.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, SchemaError> {
        let (name, shape) = encode::read(bytes)?;
        if !is_type_name(&name) {
            return Err(SchemaError::Malformed { at: 0, rule: "a name that is no type name" });
        }
        Ok(Self::new(name, shape))
    }
}

impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shape = self.shape.to_string();
        if shape.replace(' ', "") == self.name {
            f.write_str(&shape)
        } else {
            write!(f, "{} {shape}", self.name)
        }
    }
}

fn fingerprint(shape: &Shape) -> u64 {
    if *shape == Shape::Raw {
        return 0;
    }
    let mut bytes = Vec::new();
    encode::put_shape(&mut bytes, shape);
    let digest = hmac_sha256::Hash::hash(&bytes);
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    u64::from_le_bytes(first).max(1)
}

fn is_type_name(name: &str) -> bool {
    let fits = |c: u8| c.is_ascii_graphic() && c != b'@' && c != b'#';
    (1..=NAME_LIMIT).contains(&name.len()) && name.bytes().all(fits)
}

/// Levels of shapes within shapes; also what bounds the recursion over a peer's schema.
const DEPTH_LIMIT: usize = 32;
/// Shapes in a schema; about 64 bytes of memory each.
const NODE_LIMIT: usize = 2048;
/// Bytes of an encoded schema: what NOTIFY takes.
pub(crate) const ENCODED_LIMIT: usize = 16 * 1024;
/// Bytes of a type's name in a route.
const NAME_LIMIT: usize = 127;

#[cfg(test)]
mod tests;
