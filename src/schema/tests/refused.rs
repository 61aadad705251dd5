use super::{error, of};
use crate::schema::{Schema, SchemaError};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;

#[derive(Deserialize)]
#[allow(dead_code)]
struct Inner {
    a: u8,
}

#[test]
fn types_that_ask_what_comes_next_are_refused_as_bincode_would() {
    #[derive(Deserialize)]
    #[serde(untagged)]
    #[allow(dead_code)]
    enum Untagged {
        A(u8),
        B { x: f32 },
    }
    #[derive(Deserialize)]
    #[serde(tag = "kind")]
    #[allow(dead_code)]
    enum Internal {
        A { x: f32 },
    }
    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Flattened {
        b: u8,
        #[serde(flatten)]
        inner: Inner,
    }
    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Ignoring {
        first: u8,
        rest: serde::de::IgnoredAny,
    }
    #[derive(Deserialize)]
    #[serde(tag = "t", content = "c")]
    #[allow(dead_code)]
    enum Adjacent {
        A(Option<u8>),
        B(Option<f32>),
    }
    fn check<T: serde::de::DeserializeOwned>(field: &str) {
        let text = error::<T>().to_string();
        assert!(matches!(error::<T>(), SchemaError::SelfDescribing { .. }), "{text}");
        assert!(text.starts_with(field) && text.contains("send `Bytes`"), "{text}");
        let config = bincode::config::standard();
        assert!(bincode::serde::decode_from_slice::<T, _>(&[0; 64], config).is_err());
    }
    check::<Untagged>("`bowline::schema::");
    check::<Internal>("`bowline::schema::");
    check::<Adjacent>("field `t` of `bowline::schema::");
    check::<Flattened>("field `[key]` of `bowline::schema::");
    check::<Ignoring>("field `rest` of `bowline::schema::");
    check::<serde_json::Value>("`serde_json::");
}

#[test]
fn a_type_that_refuses_every_value_has_to_state_a_version() {
    #[derive(Deserialize)]
    #[serde(try_from = "String")]
    struct Code;
    impl TryFrom<String> for Code {
        type Error = &'static str;
        fn try_from(_: String) -> Result<Self, Self::Error> {
            Err("the checksum is wrong")
        }
    }
    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Label {
        size: f32,
        code: Vec<Code>,
    }
    let text = error::<Label>().to_string();
    assert!(text.starts_with("field `code[]` of `bowline::"), "{text}");
    assert!(text.contains("the checksum is wrong. State a schema version by hand"), "{text}");
}

#[test]
fn a_type_that_gives_up_at_once_is_refused() {
    struct Never;
    impl<'de> Deserialize<'de> for Never {
        fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            Err(serde::de::Error::custom("not today"))
        }
    }
    assert!(matches!(error::<Never>(), SchemaError::Refused { text, .. } if text == "not today"));
    assert!(matches!(error::<(u8, Never)>(), SchemaError::Refused { .. }));
}

#[test]
fn types_whose_parts_depend_on_values_are_refused() {
    /// Reads a `bool`, and a `u16` only if that is true.
    struct Optional;
    impl<'de> Deserialize<'de> for Optional {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Visitor;
            impl<'de> serde::de::Visitor<'de> for Visitor {
                type Value = Optional;
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("one or two")
                }
                fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Optional, A::Error> {
                    if seq.next_element::<bool>()? == Some(true) {
                        seq.next_element::<u16>()?;
                    }
                    Ok(Optional)
                }
            }
            deserializer.deserialize_tuple(2, Visitor)
        }
    }
    #[derive(Deserialize)]
    #[serde(try_from = "(Optional, bool)")]
    struct Both;
    impl TryFrom<(Optional, bool)> for Both {
        type Error = &'static str;
        fn try_from((_, last): (Optional, bool)) -> Result<Self, Self::Error> {
            if last { Ok(Self) } else { Err("the last has to be true") }
        }
    }
    assert!(matches!(error::<Both>(), SchemaError::ValueDependent { .. }));
}

#[test]
fn types_without_end_are_refused() {
    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Snake {
        tail: Box<Snake>,
    }
    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Bare(Box<Bare>);
    #[derive(Deserialize)]
    #[allow(dead_code)]
    enum Void {}
    #[derive(Deserialize)]
    #[allow(dead_code)]
    enum Spiral {
        A(Box<Spiral>),
        B(u8, Box<Spiral>),
    }
    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Optional {
        snake: Option<Snake>,
        list: Vec<Spiral>,
    }
    for error in [error::<Snake>(), error::<Bare>(), error::<Void>(), error::<Spiral>(), error::<Optional>()]
    {
        assert!(matches!(error, SchemaError::Endless { .. }), "{error}");
    }
}

#[test]
fn types_beyond_the_bounds_are_refused() {
    type Four<T> = Option<Option<Option<Option<T>>>>;
    type Sixteen<T> = Four<Four<Four<Four<T>>>>;
    of::<Sixteen<Four<Four<Four<Option<Option<Option<u8>>>>>>>>();
    let text = error::<Sixteen<Four<Four<Four<Four<u8>>>>>>().to_string();
    assert!(text.contains("more than 32 levels deep. Send parts of it"), "{text}");

    type Wide<T> = (T, (u8, T), (u16, T), (u32, T), (u64, T), (i8, T), (i16, T), (i32, T));
    type Wider = Wide<Wide<Wide<Wide<Inner>>>>;
    assert!(matches!(error::<Wider>(), SchemaError::TooLarge { .. }));

    struct Long;
    impl<'de> Deserialize<'de> for Long {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            <BTreeMap<u8, Nest<0>>>::deserialize(deserializer).map(|_| Self)
        }
    }
    /// New types without end, as only a hand-written decoding can have.
    struct Nest<const N: usize>;
    impl<'de, const N: usize> Deserialize<'de> for Nest<N> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Visitor;
            impl<'de> serde::de::Visitor<'de> for Visitor {
                type Value = ();
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("anything")
                }
                fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
                    while seq.next_element::<u8>()?.is_some() {}
                    Ok(())
                }
            }
            deserializer.deserialize_tuple(usize::MAX, Visitor).map(|()| Self)
        }
    }
    assert!(matches!(error::<Long>(), SchemaError::TooLarge { .. }));
}

#[test]
fn names_beyond_the_bounds_are_refused() {
    struct Visitor;
    impl<'de> serde::de::Visitor<'de> for Visitor {
        type Value = ();
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("anything")
        }
        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
            seq.next_element::<u8>().map(drop)
        }
    }
    fn names(count: usize, length: usize) -> &'static [&'static str] {
        vec![&*"x".repeat(length).leak(); count].leak()
    }
    struct LongNamed;
    impl<'de> Deserialize<'de> for LongNamed {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_struct("L", names(1, 17_000), Visitor).map(|()| Self)
        }
    }
    struct Many;
    impl<'de> Deserialize<'de> for Many {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_enum("M", names(3_000, 1), Visitor).map(|()| Self)
        }
    }
    assert!(matches!(error::<LongNamed>(), SchemaError::TooLarge { limit, .. } if limit.contains("16 KiB")));
    assert!(matches!(error::<Many>(), SchemaError::TooLarge { limit, .. } if limit.contains("2048")));
}

#[test]
fn names_that_no_route_takes_are_refused() {
    for name in ["", "two words", "a@b", "a#b", "größe", &"x".repeat(128)] {
        let text = Schema::versioned(name, 1).unwrap_err().to_string();
        assert!(text.contains("is no type name: it needs 1 to 127 bytes"), "{text}");
    }
    assert_eq!(Schema::versioned(&"x".repeat(127), 1).unwrap().name().len(), 127);
}
