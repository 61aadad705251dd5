//! Answers for enums: one variant a run.

use super::fault::Fault;
use super::node::{Kind, Variants};
use super::tracer::{Segment, Tracer};
use serde::de::{DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, VariantAccess, Visitor};
use std::hash::{DefaultHasher, Hash, Hasher};

/// The variant to go into: one not yet seen to the end, else one that ends.
pub(super) fn pick(tracer: &Tracer, variants: &Variants) -> Option<usize> {
    if tracer.is_finishing() {
        return variants.exit;
    }
    let open = variants
        .known
        .iter()
        .position(|variant| !tracer.nodes[variant.node].done && !tracer.is_deferred(variant.deferred));
    open.or(variants.exit)
}

/// One variant of an enum, by index as on the wire.
pub(super) struct Chosen<'t> {
    pub(super) tracer: &'t mut Tracer,
    pub(super) node: usize,
    pub(super) index: usize,
}

impl<'de, 't> EnumAccess<'de> for Chosen<'t> {
    type Error = Fault;
    type Variant = Content<'t>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Content<'t>), Fault> {
        let Self { tracer, node, index } = self;
        let result = seed.deserialize((index as u32).into_deserializer());
        let Kind::Enum(variants) = &mut tracer.nodes[node].kind else {
            return Err(tracer.value_dependent());
        };
        match result {
            Ok(value) => {
                variants.known[index].mark = mark(&value);
                let (name, node) = (variants.names[index], variants.known[index].node);
                Ok((value, Content { tracer, node, name }))
            }
            Err(fault) if index == 0 => Err(fault),
            // No such index: some of the names are aliases.
            Err(_) => {
                variants.known.truncate(index);
                Err(tracer.again())
            }
        }
    }
}

/// Variants with aliases: finds which variant each name means.
pub(super) struct Marking<'t> {
    pub(super) tracer: &'t mut Tracer,
    pub(super) node: usize,
}

impl<'de, 't> EnumAccess<'de> for Marking<'t> {
    type Error = Fault;
    type Variant = Content<'t>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Content<'t>), Fault> {
        let Kind::Enum(variants) = &mut self.tracer.nodes[self.node].kind else {
            return Err(self.tracer.value_dependent());
        };
        let name = variants.names[variants.marks.len()];
        let value: Result<S::Value, Fault> = seed.deserialize(name.into_deserializer());
        variants.marks.push(value.map_or(0, |value| mark(&value)));
        Err(self.tracer.again())
    }
}

/// Tells variants apart whose type is not known: serde's identifiers are enums.
fn mark<T>(value: &T) -> u64 {
    let mut hasher = DefaultHasher::new();
    std::mem::discriminant(value).hash(&mut hasher);
    hasher.finish()
}

/// What a variant carries.
pub(super) struct Content<'t> {
    tracer: &'t mut Tracer,
    node: usize,
    name: &'static str,
}

impl Content<'_> {
    fn part<'de, S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Fault> {
        self.tracer.part(self.node, Segment::Name(self.name), seed)
    }
}

impl<'de> VariantAccess<'de> for Content<'_> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        self.part(std::marker::PhantomData::<()>)
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Fault> {
        self.part(seed)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Fault> {
        self.part(TupleContent { len, visitor })
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.part(StructContent { fields, visitor })
    }
}

struct TupleContent<V> {
    len: usize,
    visitor: V,
}

impl<'de, V: Visitor<'de>> DeserializeSeed<'de> for TupleContent<V> {
    type Value = V::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        deserializer.deserialize_tuple(self.len, self.visitor)
    }
}

struct StructContent<V> {
    fields: &'static [&'static str],
    visitor: V,
}

impl<'de, V: Visitor<'de>> DeserializeSeed<'de> for StructContent<V> {
    type Value = V::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        deserializer.deserialize_struct("", self.fields, self.visitor)
    }
}
