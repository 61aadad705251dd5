//! The canonical encoding, as `PROTOCOL.md` describes it byte for byte.

use super::error::SchemaError;
use super::shape::{Leaf, Member, Shape};
use super::{DEPTH_LIMIT, ENCODED_LIMIT, NODE_LIMIT};

const RAW: u8 = 0x00;
const OPTION: u8 = 0x20;
const SEQ: u8 = 0x21;
const MAP: u8 = 0x22;
const TUPLE: u8 = 0x23;
const STRUCT: u8 = 0x24;
const ENUM: u8 = 0x25;
const BACK: u8 = 0x26;
const VERSIONED: u8 = 0x30;

pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push((value & 0x7F) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A name: its length in bytes, which [`ENCODED_LIMIT`] keeps far below `u32::MAX`, then UTF-8.
pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_varint(out, text.len() as u32);
    out.extend_from_slice(text.as_bytes());
}

pub(super) fn put_shape(out: &mut Vec<u8>, shape: &Shape) {
    match shape {
        Shape::Raw => out.push(RAW),
        Shape::Versioned(version) => {
            out.push(VERSIONED);
            out.extend_from_slice(&version.to_le_bytes());
        }
        Shape::Leaf(leaf) => out.push(leaf.tag()),
        Shape::Option(item) => {
            out.push(OPTION);
            put_shape(out, item);
        }
        Shape::Seq(item) => {
            out.push(SEQ);
            put_shape(out, item);
        }
        Shape::Map(entry) => {
            out.push(MAP);
            put_shape(out, &entry.0);
            put_shape(out, &entry.1);
        }
        Shape::Tuple(runs) => {
            out.push(TUPLE);
            put_varint(out, runs.len() as u32);
            for (count, item) in runs {
                put_varint(out, *count);
                put_shape(out, item);
            }
        }
        Shape::Struct(fields) => put_members(out, STRUCT, fields),
        Shape::Enum(variants) => put_members(out, ENUM, variants),
        Shape::Back(levels) => {
            out.push(BACK);
            put_varint(out, *levels);
        }
    }
}

fn put_members(out: &mut Vec<u8>, tag: u8, members: &[Member]) {
    out.push(tag);
    put_varint(out, members.len() as u32);
    for member in members {
        put_text(out, &member.name);
        put_shape(out, &member.shape);
    }
}

/// Reads a name and a shape from a peer's bytes, which may be anything.
pub(super) fn read(bytes: &[u8]) -> Result<(String, Shape), SchemaError> {
    let mut reader = Reader { bytes, at: 0, nodes: 0 };
    if bytes.len() > ENCODED_LIMIT {
        return Err(reader.malformed("longer than 16 KiB"));
    }
    let name = reader.text()?.to_owned();
    let shape = match reader.bytes.get(reader.at) {
        Some(&RAW) => {
            reader.at += 1;
            Shape::Raw
        }
        Some(&VERSIONED) => {
            reader.at += 1;
            Shape::Versioned(reader.fixed_u64()?)
        }
        _ => reader.shape(0)?,
    };
    if reader.at < bytes.len() {
        return Err(reader.malformed("bytes after the end"));
    }
    Ok((name, shape))
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    nodes: usize,
}

impl<'a> Reader<'a> {
    /// `above` is the number of shapes around this one; it bounds how deep this recurses.
    fn shape(&mut self, above: usize) -> Result<Shape, SchemaError> {
        if above >= DEPTH_LIMIT {
            return Err(self.malformed("nested more than 32 levels deep"));
        }
        self.nodes += 1;
        if self.nodes > NODE_LIMIT {
            return Err(self.malformed("more than 2048 parts"));
        }
        let tag = self.byte()?;
        Ok(match tag {
            OPTION => Shape::Option(Box::new(self.shape(above + 1)?)),
            SEQ => Shape::Seq(Box::new(self.shape(above + 1)?)),
            MAP => {
                let key = self.shape(above + 1)?;
                Shape::Map(Box::new((key, self.shape(above + 1)?)))
            }
            TUPLE => {
                // Not allocated ahead: the count is only a claim.
                let mut runs = Vec::new();
                for _ in 0..self.varint()? {
                    let count = self.varint()?;
                    if count == 0 {
                        return Err(self.malformed("a run of no items"));
                    }
                    runs.push((count, self.shape(above + 1)?));
                }
                Shape::Tuple(runs)
            }
            STRUCT => Shape::Struct(self.members(above)?),
            ENUM => Shape::Enum(self.members(above)?),
            BACK => {
                let levels = self.varint()?;
                if levels == 0 || levels as usize > above {
                    return Err(self.malformed("a reference to outside"));
                }
                Shape::Back(levels)
            }
            tag => match Leaf::from_tag(tag) {
                Some(leaf) => Shape::Leaf(leaf),
                None => return Err(self.malformed("an unknown tag")),
            },
        })
    }

    fn members(&mut self, above: usize) -> Result<Vec<Member>, SchemaError> {
        let mut members = Vec::new();
        for _ in 0..self.varint()? {
            let name = self.text()?.into();
            members.push(Member { name, shape: self.shape(above + 1)? });
        }
        Ok(members)
    }

    fn text(&mut self) -> Result<&'a str, SchemaError> {
        let length = self.varint()? as usize;
        let rest = &self.bytes[self.at..];
        let Some(text) = rest.get(..length) else {
            return Err(self.malformed("a name longer than the rest"));
        };
        let Ok(text) = std::str::from_utf8(text) else {
            return Err(self.malformed("a name that is not UTF-8"));
        };
        self.at += length;
        Ok(text)
    }

    fn varint(&mut self) -> Result<u32, SchemaError> {
        let mut value = 0u64;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                if byte == 0 && shift > 0 {
                    return Err(self.malformed("a number not in its shortest form"));
                }
                return u32::try_from(value).map_err(|_| self.malformed("a number past 32 bits"));
            }
        }
        Err(self.malformed("a number past 32 bits"))
    }

    fn fixed_u64(&mut self) -> Result<u64, SchemaError> {
        let mut bytes = [0; 8];
        for byte in &mut bytes {
            *byte = self.byte()?;
        }
        Ok(u64::from_le_bytes(bytes))
    }

    fn byte(&mut self) -> Result<u8, SchemaError> {
        let Some(&byte) = self.bytes.get(self.at) else {
            return Err(self.malformed("it ends too early"));
        };
        self.at += 1;
        Ok(byte)
    }

    fn malformed(&self, rule: &'static str) -> SchemaError {
        SchemaError::Malformed { at: self.at, rule }
    }
}
