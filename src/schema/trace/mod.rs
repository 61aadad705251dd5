//! Learns a type's shape by decoding it, again and again, from nothing.
//!
//! The [`decoder`] answers whatever the type's `Deserialize` asks for with made-up values, and each
//! position it is asked at becomes a node here. What one run cannot see is left for the next:
//!
//! - An enum tells the names of its variants, but a run can only go into one: each run takes, in every enum
//!   it meets, the first variant that is not yet known to the end.
//! - A type that checks its values may refuse one. The run is given up, the node's `plan` raised, and
//!   the next run answers otherwise there.
//! - A type inside itself is noticed by the name of its visitor among those still open. The node becomes a
//!   reference back, and from there on the run *finishes*: no option, no items, and in enums the
//!   variant that is known to end (`exit`). Where none is known yet, the choice that led here is
//!   deferred until more is known.
//!
//! Each run but the last learns something, and what they may do all together is bounded.

mod decoder;
mod fault;
mod graph;
mod node;
mod parts;
mod tracer;
mod values;
mod variants;

use super::error::SchemaError;
use super::shape::Shape;
use decoder::At;
use serde::de::DeserializeOwned;
use std::any::type_name;
use tracer::Tracer;

/// The name and shape of `T`.
pub(super) fn trace<T: DeserializeOwned>() -> Result<(String, Shape), SchemaError> {
    let mut tracer = Tracer::new(type_name::<T>());
    loop {
        tracer.begin();
        let fault = T::deserialize(At::new(&mut tracer, ROOT)).err();
        if tracer.end(fault)? {
            return graph::shape_of(&tracer);
        }
    }
}

/// The node of the type itself.
const ROOT: usize = 0;
