//! Answers for what has parts: options, sequences, maps, tuples and structs.

use super::fault::Fault;
use super::node::{Items, Kind};
use super::tracer::{Segment, Tracer};
use crate::schema::error::SchemaError;
use serde::de::{DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use std::any::type_name;

/// Makes `visit_some` a part like others.
pub(super) struct Present<V>(pub(super) V);

impl<'de, V: Visitor<'de>> DeserializeSeed<'de> for Present<V> {
    type Value = V::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        self.0.visit_some(deserializer)
    }
}

pub(super) struct Elements<'t> {
    pub(super) tracer: &'t mut Tracer,
    pub(super) item: usize,
    pub(super) left: usize,
    pub(super) given: usize,
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

pub(super) struct Entries<'t> {
    pub(super) tracer: &'t mut Tracer,
    pub(super) key: usize,
    pub(super) value: usize,
    pub(super) left: usize,
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
pub(super) struct TupleParts<'t> {
    pub(super) tracer: &'t mut Tracer,
    pub(super) node: usize,
    pub(super) len: usize,
    pub(super) next: usize,
    /// The run of the last item, and the number of items in the runs before it.
    pub(super) run: usize,
    pub(super) before: usize,
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

pub(super) struct StructParts<'t> {
    pub(super) tracer: &'t mut Tracer,
    pub(super) node: usize,
    pub(super) names: &'static [&'static str],
    pub(super) next: usize,
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

/// Fields with aliases: finds the name proper of one by giving it twice.
pub(super) fn find_label<'de, V: Visitor<'de>>(
    tracer: &mut Tracer,
    node: usize,
    index: usize,
    visitor: V,
) -> Fault {
    let fault = match visitor.visit_map(Twice { tracer: &mut *tracer, node, index }) {
        Ok(_) => Fault::halted(),
        Err(fault) => fault,
    };
    if tracer.is_given_up() {
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
