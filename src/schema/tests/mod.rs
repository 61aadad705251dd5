//! What the tracer survives, what it refuses, what differs, and what hostile bytes do.

mod bytes;
mod checked;
mod difference;
mod fingerprint;
mod oracle;
mod recursive;
mod refused;
mod traced;

use super::{Schema, SchemaError};
use serde::de::DeserializeOwned;

fn of<T: DeserializeOwned>() -> Schema {
    Schema::of::<T>().unwrap()
}

fn error<T: DeserializeOwned>() -> SchemaError {
    Schema::of::<T>().unwrap_err()
}

/// The name and the shape, as a user reads them.
#[track_caller]
fn reads<T: DeserializeOwned>(text: &str) {
    assert_eq!(of::<T>().to_string(), text);
}

#[track_caller]
fn same<A: DeserializeOwned, B: DeserializeOwned>() {
    let (a, b) = (of::<A>(), of::<B>());
    assert_eq!(a.difference(&b), None);
    assert_eq!(a.fingerprint(), b.fingerprint(), "{a}\n{b}");
}

#[track_caller]
fn differ<A: DeserializeOwned, B: DeserializeOwned>(text: &str) {
    let (a, b) = (of::<A>(), of::<B>());
    assert_ne!(a.fingerprint(), b.fingerprint(), "{a}\n{b}");
    assert_eq!(a.difference(&b).as_deref(), Some(text));
    assert!(b.difference(&a).is_some());
}

/// As the crate serde_big_array does it: a tuple of a length that std has no array for.
mod big_array {
    use serde::Deserialize;
    use serde::de::{Deserializer, Error, SeqAccess, Visitor};
    use std::fmt;
    use std::marker::PhantomData;

    struct Items<T, const N: usize>(PhantomData<T>);

    impl<'de, T: Deserialize<'de> + Copy + Default, const N: usize> Visitor<'de> for Items<T, N> {
        type Value = [T; N];

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{N} items")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<[T; N], A::Error> {
            let mut items = [T::default(); N];
            for (i, item) in items.iter_mut().enumerate() {
                *item = seq.next_element()?.ok_or_else(|| Error::invalid_length(i, &self))?;
            }
            Ok(items)
        }
    }

    pub(super) fn deserialize<'de, D, T, const N: usize>(deserializer: D) -> Result<[T; N], D::Error>
    where
        D: Deserializer<'de>,
        T: Deserialize<'de> + Copy + Default,
    {
        deserializer.deserialize_tuple(N, Items(PhantomData))
    }
}
