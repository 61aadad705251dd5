//! Why a type has no schema, in words.

/// Why a schema could not be made.
///
/// The text names the type or field, the rule it breaks, and the way out.
///
/// ```
/// use bowline::Schema;
/// let error = Schema::versioned("two words", 1).unwrap_err();
/// assert!(error.to_string().starts_with("`two words` is no type name"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// The type asks the data what it is, as serde's `untagged`, `flatten` and `tag` do. bincode writes no
    /// such marks, so it cannot decode the type either.
    #[error(
        "{place} asks the decoder what comes next, as serde's `untagged`, `flatten`, `tag = \"..\"` and \
         `IgnoredAny` do; bincode cannot answer that. Use a plain struct or enum there, or send `Bytes` \
         encoded by yourself"
    )]
    SelfDescribing {
        /// The type, and the field in it.
        place: String,
    },
    /// The type checks its values while decoding, and no value tried was good enough.
    #[error(
        "{place} refuses every value tried, the last because: {text}. State a schema version by hand \
         (`schema_version`), the same on both sides, and change it whenever the type changes"
    )]
    Refused {
        /// The type, and the field in it.
        place: String,
        /// What the type said of the last value.
        text: String,
    },
    /// What the type reads in one field depends on the value of another.
    #[error(
        "{place} is not of the same type each time, but depends on other values. Use a plain enum there, or \
         state a schema version by hand (`schema_version`), the same on both sides"
    )]
    ValueDependent {
        /// The type, and the field in it.
        place: String,
    },
    /// The type contains itself and no value of it ever ends.
    #[error(
        "{place} contains itself without end: no value of it can be made. Put an `Option` or `Vec` between"
    )]
    Endless {
        /// The type, and the field in it.
        place: String,
    },
    /// The type is larger than a schema can be.
    #[error(
        "{place} is too large to describe: {limit}. Send parts of it under routes of their own, or state a \
         schema version by hand (`schema_version`), the same on both sides"
    )]
    TooLarge {
        /// The type, and the field in it.
        place: String,
        /// The limit it exceeds.
        limit: &'static str,
    },
    /// A type name that cannot stand in a route.
    #[error("`{name}` is no type name: it needs 1 to 127 bytes of visible ASCII without `@` and `#`")]
    BadName {
        /// The name as given.
        name: String,
    },
    /// A peer's schema that cannot be decoded.
    #[error("malformed schema at byte {at}: {rule}")]
    Malformed {
        /// Where, counted from the first byte.
        at: usize,
        /// The rule that is broken.
        rule: &'static str,
    },
}
