//! The shape itself: a tree without type names.

use std::fmt;

/// How a type's bytes are laid out, and what its fields and variants are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Raw bytes, without serde. Only as the whole.
    Raw,
    /// Not traced: a version stated by hand. Only as the whole.
    Versioned(u64),
    Leaf(Leaf),
    Option(Box<Shape>),
    Seq(Box<Shape>),
    Map(Box<(Shape, Shape)>),
    /// Runs of equal items, each with its count: `[f32; 3]` and `(f32, f32, f32)` are both one run.
    Tuple(Vec<(u32, Shape)>),
    Struct(Vec<Member>),
    /// The shape of a variant is that of what it carries, [`Leaf::Unit`] for none.
    Enum(Vec<Member>),
    /// The enclosing shape so many levels up: a recursive type.
    Back(u32),
}

/// A field or a variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) name: Box<str>,
    pub(super) shape: Shape,
}

/// A type without parts. The numbers are those of the canonical encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Leaf {
    Bool = 0x01,
    I8 = 0x02,
    I16 = 0x03,
    I32 = 0x04,
    I64 = 0x05,
    I128 = 0x06,
    U8 = 0x07,
    U16 = 0x08,
    U32 = 0x09,
    U64 = 0x0A,
    U128 = 0x0B,
    F32 = 0x0C,
    F64 = 0x0D,
    Char = 0x0E,
    Str = 0x0F,
    Bytes = 0x10,
    Unit = 0x11,
}

impl Leaf {
    const ALL: [Leaf; 17] = [
        Leaf::Bool,
        Leaf::I8,
        Leaf::I16,
        Leaf::I32,
        Leaf::I64,
        Leaf::I128,
        Leaf::U8,
        Leaf::U16,
        Leaf::U32,
        Leaf::U64,
        Leaf::U128,
        Leaf::F32,
        Leaf::F64,
        Leaf::Char,
        Leaf::Str,
        Leaf::Bytes,
        Leaf::Unit,
    ];

    pub(super) fn tag(self) -> u8 {
        self as u8
    }

    pub(super) fn from_tag(tag: u8) -> Option<Leaf> {
        Self::ALL.into_iter().find(|leaf| leaf.tag() == tag)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Leaf::Bool => "bool",
            Leaf::I8 => "i8",
            Leaf::I16 => "i16",
            Leaf::I32 => "i32",
            Leaf::I64 => "i64",
            Leaf::I128 => "i128",
            Leaf::U8 => "u8",
            Leaf::U16 => "u16",
            Leaf::U32 => "u32",
            Leaf::U64 => "u64",
            Leaf::U128 => "u128",
            Leaf::F32 => "f32",
            Leaf::F64 => "f64",
            Leaf::Char => "char",
            Leaf::Str => "str",
            Leaf::Bytes => "bytes",
            Leaf::Unit => "()",
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shape::Raw => f.write_str("raw bytes"),
            Shape::Versioned(version) => write!(f, "version {version}, stated by hand"),
            Shape::Leaf(leaf) => f.write_str(leaf.name()),
            Shape::Option(item) => write!(f, "option<{item}>"),
            Shape::Seq(item) => write!(f, "seq<{item}>"),
            Shape::Map(entry) => write!(f, "map<{}, {}>", entry.0, entry.1),
            Shape::Tuple(runs) => match runs.as_slice() {
                [(count, item)] if *count > 1 => write!(f, "[{item}; {count}]"),
                runs => {
                    f.write_str("(")?;
                    for (i, (count, item)) in runs.iter().enumerate() {
                        f.write_str(if i > 0 { ", " } else { "" })?;
                        match count {
                            1 => write!(f, "{item}")?,
                            _ => write!(f, "{count} × {item}")?,
                        }
                    }
                    f.write_str(")")
                }
            },
            Shape::Struct(fields) => {
                f.write_str("{")?;
                for (i, field) in fields.iter().enumerate() {
                    let comma = if i > 0 { ", " } else { "" };
                    write!(f, "{comma}{}: {}", field.name.escape_debug(), field.shape)?;
                }
                f.write_str("}")
            }
            Shape::Enum(variants) => {
                f.write_str("enum {")?;
                for (i, variant) in variants.iter().enumerate() {
                    let comma = if i > 0 { ", " } else { "" };
                    write!(f, "{comma}{}", variant.name.escape_debug())?;
                    match &variant.shape {
                        Shape::Leaf(Leaf::Unit) => {}
                        carried @ (Shape::Struct(_) | Shape::Tuple(_)) => write!(f, " {carried}")?,
                        carried => write!(f, "({carried})")?,
                    }
                }
                f.write_str("}")
            }
            Shape::Back(levels) => write!(f, "^{levels}"),
        }
    }
}
