//! Types that check their values, want just so many, or decode by hand.

use super::{of, reads, same};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::num::{NonZeroI64, NonZeroU8};

#[derive(Deserialize)]
#[allow(dead_code)]
enum Kind {
    A(u8),
    B,
    C(u32),
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct Imu {
    acc: [f64; 3],
}

/// As nalgebra does it: a sequence of just so many.
#[test]
fn sequences_that_want_a_certain_length() {
    fn nine<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[f64; 9], D::Error> {
        struct Nine;
        impl<'de> serde::de::Visitor<'de> for Nine {
            type Value = [f64; 9];
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("nine items")
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<[f64; 9], A::Error> {
                let (mut items, mut count) = ([0.0; 9], 0);
                while let Some(item) = seq.next_element()? {
                    let place = items.get_mut(count);
                    *place.ok_or_else(|| serde::de::Error::invalid_length(count, &self))? = item;
                    count += 1;
                }
                if count == 9 { Ok(items) } else { Err(serde::de::Error::invalid_length(count, &self)) }
            }
        }
        deserializer.deserialize_seq(Nine)
    }
    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Pose {
        before: NonZeroU8,
        #[serde(deserialize_with = "nine")]
        rotation: [f64; 9],
        after: u8,
    }
    reads::<Pose>("Pose {before: u8, rotation: seq<f64>, after: u8}");
    reads::<Vec<Pose>>("seq<Pose> seq<{before: u8, rotation: seq<f64>, after: u8}>");

    #[derive(Deserialize)]
    #[serde(try_from = "Vec<u16>")]
    struct Some2;
    impl TryFrom<Vec<u16>> for Some2 {
        type Error = &'static str;
        fn try_from(items: Vec<u16>) -> Result<Self, Self::Error> {
            if items.len() >= 2 { Ok(Self) } else { Err("two at least") }
        }
    }
    reads::<Some2>("seq<u16>");
}

/// As serde_bytes does it.
#[test]
fn bytes_of_any_and_of_a_certain_length() {
    struct Raw<const N: usize>;
    impl<'de, const N: usize> Deserialize<'de> for Raw<N> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Visitor<const N: usize>;
            impl<const N: usize> serde::de::Visitor<'_> for Visitor<N> {
                type Value = Raw<N>;
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    write!(f, "{N} bytes")
                }
                fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Raw<N>, E> {
                    if bytes.len() == N { Ok(Raw) } else { Err(E::invalid_length(bytes.len(), &self)) }
                }
            }
            deserializer.deserialize_bytes(Visitor::<N>)
        }
    }
    reads::<Raw<0>>("bytes");
    same::<Raw<0>, Raw<16>>();
    same::<(u8, Raw<6>), (u8, Raw<12>)>();
}

#[derive(Deserialize)]
#[serde(try_from = "(f64, f64, f64, f64)")]
struct UnitQuaternion;

impl TryFrom<(f64, f64, f64, f64)> for UnitQuaternion {
    type Error = &'static str;
    fn try_from((x, y, z, w): (f64, f64, f64, f64)) -> Result<Self, Self::Error> {
        let norm = x * x + y * y + z * z + w * w;
        if (norm - 1.0).abs() < 1e-6 { Ok(Self) } else { Err("its norm is not 1") }
    }
}

#[derive(Deserialize)]
#[serde(try_from = "Bounds")]
struct Span;

#[derive(Deserialize)]
struct Bounds {
    from: NonZeroU8,
    to: u8,
}

impl TryFrom<Bounds> for Span {
    type Error = &'static str;
    fn try_from(bounds: Bounds) -> Result<Self, Self::Error> {
        if bounds.from.get() < bounds.to { Ok(Self) } else { Err("it ends before it begins") }
    }
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Stamp;

impl TryFrom<String> for Stamp {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.ends_with('Z') { Ok(Self) } else { Err("not a time") }
    }
}

#[derive(Deserialize)]
#[serde(try_from = "u8")]
struct Repr;

impl TryFrom<u8> for Repr {
    type Error = String;
    fn try_from(number: u8) -> Result<Self, Self::Error> {
        if matches!(number, 16 | 32) { Ok(Self) } else { Err(format!("unknown kind {number}")) }
    }
}

#[test]
fn types_that_check_their_values_are_offered_others() {
    reads::<(NonZeroU8, NonZeroI64)>("(u8, i64)");
    reads::<UnitQuaternion>("[f64; 4]");
    reads::<Span>("Bounds {from: u8, to: u8}");
    reads::<(Stamp, Repr)>("(str, u8)");

    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct All {
        attitude: UnitQuaternion,
        spans: BTreeMap<String, Span>,
        mode: Kind,
        stamp: Option<Stamp>,
        repr: [Repr; 3],
        id: NonZeroU8,
    }
    reads::<All>(
        "All {attitude: [f64; 4], spans: map<str, {from: u8, to: u8}>, mode: enum {A(u8), B, C(u32)}, \
         stamp: option<str>, repr: [u8; 3], id: u8}",
    );
}

#[test]
fn a_type_that_swallows_errors_is_seen_nonetheless() {
    fn lenient<'de, D: Deserializer<'de>, T: Deserialize<'de>>(d: D) -> Result<Option<T>, D::Error> {
        Ok(T::deserialize(d).ok())
    }
    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Lenient {
        #[serde(deserialize_with = "lenient")]
        id: Option<NonZeroU8>,
        #[serde(deserialize_with = "lenient")]
        imu: Option<Imu>,
    }
    assert!(of::<Lenient>().to_string().starts_with("Lenient {id: u8, imu: {acc: "));
}

#[test]
fn hand_written_decoding_that_takes_nothing_is_unit() {
    struct Skipped;
    impl<'de> Deserialize<'de> for Skipped {
        fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            Ok(Skipped)
        }
    }
    reads::<Skipped>("()");
    reads::<(u8, Skipped)>("(u8, ())");
}
