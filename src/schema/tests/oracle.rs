//! What a schema says is what bincode reads: values made up from the schema alone, without the type, are
//! decoded by bincode to the last byte.

use super::recursive::{A, B, Expr, Kind, List, Menu, Tree};
use super::traced::{Imu, Mode, Status, Vec3};
use super::{big_array, of};
use crate::schema::shape::{Leaf, Shape};
use proptest::prelude::*;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::time::SystemTime;

/// Writes values as bincode's standard configuration has them. All numbers are below 251, which is one
/// byte in its varints, and all texts are ASCII.
struct Maker {
    random: fastrand::Rng,
    out: Vec<u8>,
}

impl Maker {
    fn make<'a>(&mut self, shape: &'a Shape, above: &mut Vec<&'a Shape>) {
        // The deeper, the more likely none and nothing, or a recursive value would not end.
        let some = |maker: &mut Self, depth: usize| maker.random.usize(..depth + 1) < 2;
        above.push(shape);
        match shape {
            Shape::Raw | Shape::Versioned(_) => unreachable!(),
            Shape::Leaf(leaf) => self.leaf(*leaf),
            Shape::Option(item) => {
                let some = some(self, above.len());
                self.out.push(u8::from(some));
                if some {
                    self.make(item, above);
                }
            }
            Shape::Seq(item) => {
                let length = if some(self, above.len()) { self.random.u8(..3) } else { 0 };
                self.out.push(length);
                (0..length).for_each(|_| self.make(item, above));
            }
            Shape::Map(entry) => {
                let length = if some(self, above.len()) { self.random.u8(..3) } else { 0 };
                self.out.push(length);
                for _ in 0..length {
                    self.make(&entry.0, above);
                    self.make(&entry.1, above);
                }
            }
            Shape::Tuple(runs) => {
                for (count, item) in runs {
                    (0..*count).for_each(|_| self.make(item, above));
                }
            }
            Shape::Struct(fields) => fields.iter().for_each(|field| self.make(&field.shape, above)),
            Shape::Enum(variants) => {
                // Past some depth only variants without parts, where there are any.
                let plain = |index: &usize| matches!(variants[*index].shape, Shape::Leaf(_));
                let deep = above.len() > 12;
                let fit: Vec<usize> = (0..variants.len()).filter(|index| !deep || plain(index)).collect();
                let index = self.random.choice(fit).unwrap_or(variants.len() - 1);
                self.out.push(index as u8);
                self.make(&variants[index].shape, above);
            }
            Shape::Back(levels) => {
                let target = above.len() - 1 - *levels as usize;
                let (mut around, shape) = (above[..target].to_vec(), above[target]);
                // Keeps count of the depth; what is at the front is never referred to from here.
                let grown = above.len() - target;
                around.splice(0..0, std::iter::repeat_n(shape, grown));
                self.make(shape, &mut around);
            }
        }
        above.pop();
    }

    fn leaf(&mut self, leaf: Leaf) {
        match leaf {
            Leaf::Unit => {}
            Leaf::Bool => self.out.push(self.random.u8(..2)),
            Leaf::F32 => self.out.extend(self.random.f32().to_le_bytes()),
            Leaf::F64 => self.out.extend(self.random.f64().to_le_bytes()),
            Leaf::Char => self.out.push(self.random.u8(b'a'..=b'z')),
            Leaf::Str | Leaf::Bytes => {
                let length = self.random.u8(..4);
                self.out.push(length);
                (0..length).for_each(|_| self.out.push(self.random.u8(b'a'..=b'z')));
            }
            _ => self.out.push(self.random.u8(1..=250)),
        }
    }
}

fn check<T: DeserializeOwned>(seed: u64) -> Result<(), TestCaseError> {
    let schema = of::<T>();
    let mut maker = Maker { random: fastrand::Rng::with_seed(seed), out: Vec::new() };
    maker.make(&schema.shape, &mut Vec::new());
    let decoded = bincode::serde::decode_from_slice::<T, _>(&maker.out, bincode::config::standard());
    match decoded {
        Ok((_, length)) => prop_assert_eq!(length, maker.out.len(), "{}: {:?}", schema, maker.out),
        Err(error) => prop_assert!(false, "{}: {}: {:?}", schema, error, maker.out),
    }
    Ok(())
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct Mixed {
    #[serde(alias = "m")]
    mode: Mode,
    #[serde(skip)]
    skipped: u64,
    #[serde(with = "big_array")]
    matrix: [u16; 36],
    marker: std::marker::PhantomData<Imu>,
    wide: (i128, u128, i8, char, bool, String),
    bytes: std::ffi::CString,
    when: Option<SystemTime>,
    addresses: BTreeMap<String, SocketAddr>,
    sets: HashMap<u8, BTreeSet<(u8, String)>>,
    result: Result<Box<Mixed>, [Aliased; 2]>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
enum Aliased {
    #[serde(alias = "First", alias = "Zero")]
    One,
    #[serde(alias = "Second")]
    Two(f32, u8),
}

proptest! {
    #[test]
    fn bincode_reads_what_the_schema_says(seed in any::<u64>()) {
        check::<Status>(seed)?;
        check::<Vec<Vec3<Imu>>>(seed)?;
        check::<Mixed>(seed)?;
        check::<(List, Tree, Menu)>(seed)?;
        check::<Vec<Expr>>(seed)?;
        check::<(A, Kind)>(seed)?;
        check::<B>(seed)?;
    }
}
