//! A decoder that has no bytes: it makes up what it is asked for, and tells the tracer.

use super::fault::Fault;
use super::node::{Asked, Kind};
use super::parts::{Elements, Entries, Present, StructParts, TupleParts, find_label};
use super::tracer::{Choice, Segment, Tracer};
use super::values::{BYTES, CHARS, REALS, TEXTS, WHOLES};
use super::variants::{Chosen, Marking, pick};
use crate::schema::error::SchemaError;
use crate::schema::shape::Leaf;
use serde::de::{Deserializer, Visitor};
use std::any::type_name;

/// The decoder, at one node.
pub(super) struct At<'t> {
    tracer: &'t mut Tracer,
    node: usize,
}

impl<'t> At<'t> {
    pub(super) fn new(tracer: &'t mut Tracer, node: usize) -> Self {
        Self { tracer, node }
    }

    fn leaf<R>(
        self,
        leaf: Leaf,
        values: usize,
        visit: impl FnOnce(usize) -> Result<R, Fault>,
    ) -> Result<R, Fault> {
        let value = self.tracer.leaf(self.node, leaf, values)?;
        visit(value).inspect_err(|fault| self.tracer.blame(self.node, fault))
    }

    fn named(self, name: &'static str) -> Self {
        let node = &mut self.tracer.nodes[self.node];
        if node.name.is_none() && !name.is_empty() {
            node.name = Some(name);
        }
        self
    }

    fn refuse<R>(self) -> Result<R, Fault> {
        Err(self.tracer.fatal(|place| SchemaError::SelfDescribing { place }))
    }
}

macro_rules! leaves {
    ($($method:ident, $leaf:ident, $visit:ident, $values:expr, $value:expr;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            self.leaf(Leaf::$leaf, $values, |index| visitor.$visit($value(index)))
        }
    )*};
}

impl<'de> Deserializer<'de> for At<'_> {
    type Error = Fault;

    leaves! {
        deserialize_bool, Bool, visit_bool, 2, |index| index == 1;
        deserialize_i8, I8, visit_i8, WHOLES.len(), |index: usize| WHOLES[index];
        deserialize_i16, I16, visit_i16, WHOLES.len(), |index: usize| WHOLES[index].into();
        deserialize_i32, I32, visit_i32, WHOLES.len(), |index: usize| WHOLES[index].into();
        deserialize_i64, I64, visit_i64, WHOLES.len(), |index: usize| WHOLES[index].into();
        deserialize_i128, I128, visit_i128, WHOLES.len(), |index: usize| WHOLES[index].into();
        deserialize_u8, U8, visit_u8, WHOLES.len(), |index: usize| WHOLES[index].unsigned_abs();
        deserialize_u16, U16, visit_u16, WHOLES.len(), |index: usize| WHOLES[index].unsigned_abs().into();
        deserialize_u32, U32, visit_u32, WHOLES.len(), |index: usize| WHOLES[index].unsigned_abs().into();
        deserialize_u64, U64, visit_u64, WHOLES.len(), |index: usize| WHOLES[index].unsigned_abs().into();
        deserialize_u128, U128, visit_u128, WHOLES.len(), |index: usize| WHOLES[index].unsigned_abs().into();
        deserialize_f32, F32, visit_f32, REALS.len(), |index: usize| REALS[index];
        deserialize_f64, F64, visit_f64, REALS.len(), |index: usize| REALS[index].into();
        deserialize_char, Char, visit_char, CHARS.len(), |index: usize| CHARS[index];
        deserialize_str, Str, visit_string, TEXTS.len(), |index: usize| TEXTS[index].to_owned();
        deserialize_string, Str, visit_string, TEXTS.len(), |index: usize| TEXTS[index].to_owned();
        deserialize_bytes, Bytes, visit_byte_buf, BYTES.len(), |index: usize| vec![0; BYTES[index]];
        deserialize_byte_buf, Bytes, visit_byte_buf, BYTES.len(), |index: usize| vec![0; BYTES[index]];
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.leaf(Leaf::Unit, 1, |_| visitor.visit_unit())
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.named(name).deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let At { tracer, node } = self.named(name);
        let node = tracer.enter(node, type_name::<V>(), Asked::Newtype)?;
        let result = visitor.visit_newtype_struct(At::new(tracer, node));
        tracer.leave(node, result.as_ref().err())?;
        result
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let tracer = self.tracer;
        let node = tracer.enter(self.node, type_name::<V>(), Asked::Option)?;
        let Kind::Option { item } = tracer.nodes[node].kind else {
            return Err(tracer.value_dependent());
        };
        let some = match tracer.nodes[node].plan {
            0 => !tracer.nodes[item].done && tracer.explore(node, item),
            _ => true,
        };
        let result =
            if some { tracer.part(item, Segment::Mark("?"), Present(visitor)) } else { visitor.visit_none() };
        tracer.leave(node, result.as_ref().err())?;
        result
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let tracer = self.tracer;
        let node = tracer.enter(self.node, type_name::<V>(), Asked::Seq)?;
        let Kind::Seq { item, given } = tracer.nodes[node].kind else {
            return Err(tracer.value_dependent());
        };
        // Most types take any number. Some want at least one, some none, and some just so many: they
        // tell by taking that many and then refusing either the next or the end.
        let length = match tracer.nodes[node].plan {
            0 => usize::from(tracer.explore(node, item)),
            1 => 1,
            2 => 0,
            3 => MANY,
            4 => given.saturating_sub(1),
            _ => given,
        };
        let probing = tracer.nodes[node].plan == 3;
        let mut elements = Elements { tracer: &mut *tracer, item, left: length, given: 0 };
        let result = visitor.visit_seq(&mut elements);
        let taken = elements.given;
        if let (true, Kind::Seq { given, .. }) = (probing, &mut tracer.nodes[node].kind) {
            *given = taken;
        }
        tracer.leave(node, result.as_ref().err())?;
        result
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let tracer = self.tracer;
        let node = tracer.enter(self.node, type_name::<V>(), Asked::Map)?;
        let Kind::Map { key, value } = tracer.nodes[node].kind else {
            return Err(tracer.value_dependent());
        };
        let left = match tracer.nodes[node].plan {
            0 => usize::from(tracer.explore(node, value)),
            1 => 1,
            _ => 0,
        };
        let result = visitor.visit_map(Entries { tracer: &mut *tracer, key, value, left });
        tracer.leave(node, result.as_ref().err())?;
        result
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Fault> {
        let tracer = self.tracer;
        let node = tracer.enter(self.node, type_name::<V>(), Asked::Tuple)?;
        let mut parts = TupleParts { tracer: &mut *tracer, node, len, next: 0, run: 0, before: 0 };
        let result = visitor.visit_seq(&mut parts);
        let next = parts.next;
        if let (true, Kind::Tuple { total, .. }) = (result.is_ok(), &mut tracer.nodes[node].kind) {
            if *total.get_or_insert(next) != next {
                return Err(tracer.value_dependent());
            }
        }
        tracer.leave(node, result.as_ref().err())?;
        result
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.named(name).deserialize_tuple(len, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let At { tracer, node } = self.named(name);
        let node = tracer.enter(node, type_name::<V>(), Asked::Struct(fields))?;
        if let Kind::Struct(known) = &tracer.nodes[node].kind {
            if known.wants_labels() && !tracer.is_finishing() {
                let index = known.labels.len();
                return Err(find_label(tracer, node, index, visitor));
            }
        }
        let mut parts = StructParts { tracer: &mut *tracer, node, names: fields, next: 0 };
        let result = visitor.visit_seq(&mut parts);
        let next = parts.next;
        if let (true, Kind::Struct(known)) = (result.is_ok(), &mut tracer.nodes[node].kind) {
            if *known.read.get_or_insert(next) != next {
                return Err(tracer.value_dependent());
            }
        }
        tracer.leave(node, result.as_ref().err())?;
        result
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let At { tracer, node } = self.named(name);
        let node = tracer.enter(node, type_name::<V>(), Asked::Enum(variants))?;
        let Kind::Enum(known) = &tracer.nodes[node].kind else {
            return Err(tracer.value_dependent());
        };
        if known.known.is_empty() {
            return Err(tracer.fatal(|place| SchemaError::Endless { place }));
        }
        let marking =
            known.wants_marks() && known.known.iter().all(|variant| tracer.nodes[variant.node].done);
        if marking && !tracer.is_finishing() {
            let result = visitor.visit_enum(Marking { tracer: &mut *tracer, node });
            tracer.leave(node, result.as_ref().err())?;
            return result;
        }
        let Some(index) = pick(tracer, known) else {
            return Err(tracer.block());
        };
        let part = known.known[index].node;
        if !tracer.nodes[part].done && !tracer.is_finishing() {
            tracer.choose(Choice { node, variant: Some(index) });
        }
        let result = visitor.visit_enum(Chosen { tracer: &mut *tracer, node, index });
        if result.is_ok() && !tracer.is_given_up() {
            tracer.variant_ended(node, index);
        }
        tracer.leave(node, result.as_ref().err())?;
        result
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Fault> {
        self.refuse()
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Fault> {
        self.refuse()
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Fault> {
        self.refuse()
    }

    /// As with bincode: types that have a text form and a compact one shall show the compact one.
    fn is_human_readable(&self) -> bool {
        false
    }
}

/// How many items a sequence that refused one and none is offered at once.
const MANY: usize = 256;
