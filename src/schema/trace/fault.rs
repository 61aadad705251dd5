//! What goes wrong while tracing, as serde wants it.

use crate::schema::difference::clip;
use serde::de;
use std::fmt;

/// What the type under the tracer says, or the sign that the run is given up.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) text: String,
    /// serde's name of a field that was given twice.
    pub(super) twice: Option<&'static str>,
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
