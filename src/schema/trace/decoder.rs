//! A decoder that has no bytes: it makes up what it is asked for, and tells the tracer.

use super::{Asked, Choice, Items, Kind, Segment, Tracer, Variants};
use crate::schema::difference::clip;
use crate::schema::error::SchemaError;
use crate::schema::shape::Leaf;
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess,
    Visitor,
};
use std::any::type_name;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

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

/// What the type under the tracer says, or the sign that the run is given up.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) text: String,
    /// serde's name of a field that was given twice.
    twice: Option<&'static str>,
}

impl Fault {
    pub(super) fn halted() -> Self {
        Self { text: String::new(), twice: None }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self { text: clip(&text.to_string(), 200), twice: None }
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self { text: format!("duplicate field `{field}`"), twice: Some(field) }
    }
}

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
            if some { tracer.part(item, Segment::Mark("?"), Some_(visitor)) } else { visitor.visit_none() };
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
            if known.wants_labels() && !tracer.run.finishing {
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
        if marking && !tracer.run.finishing {
            let result = visitor.visit_enum(Marking { tracer: &mut *tracer, node });
            tracer.leave(node, result.as_ref().err())?;
            return result;
        }
        let Some(index) = pick(tracer, known) else {
            return Err(tracer.block());
        };
        let part = known.known[index].node;
        if !tracer.nodes[part].done && !tracer.run.finishing {
            tracer.choose(Choice { node, variant: Some(index) });
        }
        let result = visitor.visit_enum(Chosen { tracer: &mut *tracer, node, index });
        if result.is_ok() && tracer.run.halt.is_none() {
            tracer.settle(part);
            if let Kind::Enum(known) = &mut tracer.nodes[node].kind {
                if known.exit.is_none() {
                    known.exit = Some(index);
                    tracer.generation += 1;
                    tracer.learnt += 1;
                }
            }
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

/// The variant to go into: one not yet seen to the end, else one that ends.
fn pick(tracer: &Tracer, variants: &Variants) -> Option<usize> {
    if tracer.run.finishing {
        return variants.exit;
    }
    let open = variants
        .known
        .iter()
        .position(|variant| !tracer.nodes[variant.node].done && variant.deferred != Some(tracer.generation));
    open.or(variants.exit)
}

/// Fields with aliases: finds the name proper of one by giving it twice.
fn find_label<'de, V: Visitor<'de>>(tracer: &mut Tracer, node: usize, index: usize, visitor: V) -> Fault {
    let fault = match visitor.visit_map(Twice { tracer: &mut *tracer, node, index }) {
        Ok(_) => Fault::halted(),
        Err(fault) => fault,
    };
    if tracer.run.halt.is_some() {
        return fault;
    }
    match (fault.twice, &mut tracer.nodes[node].kind) {
        (Some(label), Kind::Struct(fields)) => {
            fields.labels.push(label);
            tracer.again()
        }
        _ => tracer.fatal(|place| SchemaError::Refused {
            place,
            text: "it reads fewer fields than it names".to_owned(),
        }),
    }
}

/// Makes `visit_some` a part like others.
struct Some_<V>(V);

impl<'de, V: Visitor<'de>> DeserializeSeed<'de> for Some_<V> {
    type Value = V::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        self.0.visit_some(deserializer)
    }
}

struct Elements<'t> {
    tracer: &'t mut Tracer,
    item: usize,
    left: usize,
    given: usize,
}

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = Fault;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        self.given += 1;
        self.tracer.part(self.item, Segment::Mark("[]"), seed).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

struct Entries<'t> {
    tracer: &'t mut Tracer,
    key: usize,
    value: usize,
    left: usize,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Fault;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        self.tracer.part(self.key, Segment::Mark("[key]"), seed).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Fault> {
        self.tracer.part(self.value, Segment::Mark("[value]"), seed)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

/// The items of a tuple or array. Neighbours asked for with the same type of seed share a node, or an array
/// of a million would need as many.
struct TupleParts<'t> {
    tracer: &'t mut Tracer,
    node: usize,
    len: usize,
    next: usize,
    /// The run of the last item, and the number of items in the runs before it.
    run: usize,
    before: usize,
}

impl TupleParts<'_> {
    fn item(&mut self, seed: &'static str) -> Result<usize, Fault> {
        let depth = self.tracer.nodes[self.node].depth + 1;
        let added = self.tracer.nodes.len();
        let Kind::Tuple { runs, .. } = &mut self.tracer.nodes[self.node].kind else {
            return Err(self.tracer.value_dependent());
        };
        // Looked up anew each time: a recursive type may have come by here while its outer self was under way.
        while let Some(run) = runs.get(self.run) {
            if self.next < self.before + run.count {
                return if run.seed == seed { Ok(run.node) } else { Err(self.tracer.value_dependent()) };
            }
            if self.run + 1 == runs.len() {
                break;
            }
            self.before += run.count;
            self.run += 1;
        }
        match runs.last_mut() {
            Some(run) if run.seed == seed => {
                run.count += 1;
                Ok(run.node)
            }
            _ => {
                runs.push(Items { seed, count: 1, node: added });
                self.tracer.step()?;
                Ok(self.tracer.add_node(depth))
            }
        }
    }
}

impl<'de> SeqAccess<'de> for TupleParts<'_> {
    type Error = Fault;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        if self.next == self.len {
            return Ok(None);
        }
        let item = self.item(type_name::<S>())?;
        let index = self.next;
        self.next += 1;
        self.tracer.part(item, Segment::Index(index), seed).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.len - self.next)
    }
}

struct StructParts<'t> {
    tracer: &'t mut Tracer,
    node: usize,
    names: &'static [&'static str],
    next: usize,
}

impl<'de> SeqAccess<'de> for StructParts<'_> {
    type Error = Fault;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        let Some(name) = self.names.get(self.next) else {
            return Ok(None);
        };
        let (depth, added) = (self.tracer.nodes[self.node].depth + 1, self.tracer.nodes.len());
        let Kind::Struct(fields) = &mut self.tracer.nodes[self.node].kind else {
            return Err(self.tracer.value_dependent());
        };
        let field = match fields.nodes.get(self.next) {
            Some(field) => *field,
            None => {
                fields.nodes.push(added);
                self.tracer.add_node(depth)
            }
        };
        self.next += 1;
        self.tracer.part(field, Segment::Name(name), seed).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.names.len() - self.next)
    }
}

/// One field, twice.
struct Twice<'t> {
    tracer: &'t mut Tracer,
    node: usize,
    index: usize,
}

impl<'de> MapAccess<'de> for Twice<'_> {
    type Error = Fault;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        self.tracer.visit()?;
        seed.deserialize((self.index as u64).into_deserializer()).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Fault> {
        let field = match &self.tracer.nodes[self.node].kind {
            Kind::Struct(fields) => fields.nodes.get(self.index).copied(),
            _ => None,
        };
        match field {
            Some(field) => self.tracer.part(field, Segment::Index(self.index), seed),
            None => Err(self.tracer.value_dependent()),
        }
    }
}

/// One variant of an enum, by index as on the wire.
struct Chosen<'t> {
    tracer: &'t mut Tracer,
    node: usize,
    index: usize,
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
struct Marking<'t> {
    tracer: &'t mut Tracer,
    node: usize,
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
struct Content<'t> {
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

/// How many items a sequence that refused one and none is offered at once.
const MANY: usize = 256;

// What types that check their values are offered, in this order.
const WHOLES: [i8; 20] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 16, 20, 24, 32, 50, 64, 100, 127];
const REALS: [f32; 7] = [0.0, 1.0, 0.5, 2.0, 10.0, 100.0, -1.0];
const CHARS: [char; 4] = ['a', 'A', '0', ' '];
/// Lengths; 16 is a UUID.
const BYTES: [usize; 16] = [0, 1, 16, 4, 6, 8, 2, 3, 12, 20, 24, 32, 48, 64, 128, 256];
const TEXTS: [&str; 20] = [
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
