use super::{big_array, error, of, reads, same};
use crate::schema::SchemaError;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::{NonZeroI64, NonZeroU8, Wrapping};
use std::time::{Duration, SystemTime};

#[derive(Deserialize)]
#[allow(dead_code)]
struct Vec3<T> {
    x: T,
    y: T,
    z: T,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct Imu {
    acc: Vec3<f64>,
    gyro: Vec3<f32>,
    frame: String,
}

#[test]
fn structs_and_two_instances_of_one_generic() {
    reads::<Imu>("Imu {acc: {x: f64, y: f64, z: f64}, gyro: {x: f32, y: f32, z: f32}, frame: str}");
    reads::<Vec3<Vec3<u8>>>(
        "Vec3 {x: {x: u8, y: u8, z: u8}, y: {x: u8, y: u8, z: u8}, z: {x: u8, y: u8, z: u8}}",
    );
}

#[test]
fn every_leaf() {
    reads::<bool>("bool");
    reads::<(i8, i16, i32, i64, i128)>("(i8, i16, i32, i64, i128)");
    reads::<(u8, u16, u32, u64, u128)>("(u8, u16, u32, u64, u128)");
    reads::<(isize, usize)>("(i64, u64)");
    reads::<(f32, f64, char, String, ())>("(f32, f64, char, str, ())");
    same::<String, Box<str>>();
}

#[test]
fn tuples_and_arrays() {
    reads::<[f32; 3]>("[f32; 3]");
    reads::<(u8, u8, f64, f64, f64)>("(u8,u8,f64,f64,f64) (2 × u8, 3 × f64)");
    reads::<[[u8; 4]; 2]>("[[u8; 4]; 2]");
    reads::<[u8; 0]>("()");
    same::<(f32, f32, f32), [f32; 3]>();
    same::<(f32, Metres32, Wrapping<f32>), [f32; 3]>();
    same::<Triple, [u16; 3]>();
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct Metres32(f32);

#[derive(Deserialize)]
#[allow(dead_code)]
struct Triple(u16, u16, u16);

#[derive(Deserialize)]
#[allow(dead_code)]
struct Metres(f64);

#[derive(Deserialize)]
#[serde(transparent)]
#[allow(dead_code)]
struct Depth {
    metres: f64,
}

#[test]
fn newtypes_count_for_what_is_in_them() {
    reads::<Metres>("Metres f64");
    same::<Metres, f64>();
    same::<Depth, f64>();
    same::<Box<Wrapping<f64>>, f64>();
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct Marker;

#[derive(Deserialize)]
#[allow(dead_code)]
struct Nothing {}

#[derive(Deserialize)]
#[allow(dead_code)]
struct Tagged<T> {
    id: u8,
    of: std::marker::PhantomData<T>,
    marker: Marker,
}

#[test]
fn units() {
    reads::<()>("()");
    reads::<Marker>("Marker ()");
    reads::<Nothing>("Nothing {}");
    reads::<Tagged<String>>("Tagged {id: u8, of: (), marker: ()}");
}

#[derive(Deserialize)]
#[allow(dead_code)]
enum Mode {
    Idle,
    Run(f32),
    Move { x: f32, y: f32 },
    Both(u8, u16),
    Nested(Level),
}

#[derive(Deserialize)]
#[allow(dead_code)]
enum Level {
    Low,
    High(Option<Mode2>),
}

#[derive(Deserialize)]
#[allow(dead_code)]
enum Mode2 {
    A(u8),
    B,
    C(u32),
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct Status {
    mode: Mode,
    levels: Vec<Level>,
    by_name: BTreeMap<String, Mode2>,
    pair: (Mode2, Mode2),
    after: u64,
}

const LEVEL: &str = "enum {Low, High(option<enum {A(u8), B, C(u32)}>)}";

#[test]
fn every_variant_of_enums_anywhere() {
    reads::<Mode>(&format!(
        "Mode enum {{Idle, Run(f32), Move {{x: f32, y: f32}}, Both (u8, u16), Nested({LEVEL})}}"
    ));
    let text = of::<Status>().to_string();
    assert!(text.contains(&format!("levels: seq<{LEVEL}>")), "{text}");
    assert!(text.contains("by_name: map<str, enum {A(u8), B, C(u32)}>"), "{text}");
    assert!(text.contains("pair: [enum {A(u8), B, C(u32)}; 2], after: u64}"), "{text}");
    reads::<Result<u8, String>>("Result enum {Ok(u8), Err(str)}");
    reads::<HashMap<Mode2, ()>>("map<Mode2,()> map<enum {A(u8), B, C(u32)}, ()>");
}

impl PartialEq for Mode2 {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
impl Eq for Mode2 {}
impl std::hash::Hash for Mode2 {
    fn hash<H: std::hash::Hasher>(&self, _: &mut H) {}
}

#[test]
fn variants_of_one_value_are_what_they_carry() {
    #[derive(Deserialize)]
    #[allow(dead_code)]
    enum A {
        V((u8, u16)),
        W(()),
    }
    #[derive(Deserialize)]
    #[allow(dead_code)]
    enum B {
        V(u8, u16),
        W,
    }
    same::<A, B>();
}

#[test]
fn containers_are_seen_through() {
    same::<Vec<u8>, VecDeque<u8>>();
    same::<Vec<u8>, BTreeSet<u8>>();
    same::<Vec<u8>, Box<[u8]>>();
    same::<HashMap<String, Option<u8>>, BTreeMap<String, Option<u8>>>();
    reads::<Option<Option<Vec<Vec<f32>>>>>("option<option<seq<seq<f32>>>>");
    reads::<Vec<Imu>>(
        "seq<Imu> seq<{acc: {x: f64, y: f64, z: f64}, gyro: {x: f32, y: f32, z: f32}, frame: str}>",
    );
}

#[test]
fn types_of_the_standard_library_in_their_compact_form() {
    reads::<Duration>("Duration {secs: u64, nanos: u32}");
    reads::<SystemTime>("SystemTime {secs_since_epoch: u64, nanos_since_epoch: u32}");
    reads::<Ipv4Addr>("[u8; 4]");
    reads::<IpAddr>("IpAddr enum {V4 [u8; 4], V6 [u8; 16]}");
    reads::<SocketAddr>("SocketAddr enum {V4 ([u8; 4], u16), V6 ([u8; 16], u16)}");
    reads::<std::ops::Range<i32>>("Range {start: i32, end: i32}");
    reads::<std::path::PathBuf>("str");
    reads::<std::ffi::CString>("bytes");
    reads::<std::sync::atomic::AtomicU32>("u32");
    reads::<std::cmp::Reverse<std::cell::RefCell<u16>>>("u16");
}

#[test]
fn arrays_of_any_size() {
    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Covariance {
        #[serde(with = "big_array")]
        matrix: [f32; 36],
        kind: Mode2,
    }
    reads::<Covariance>("Covariance {matrix: [f32; 36], kind: enum {A(u8), B, C(u32)}}");

    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Image {
        #[serde(with = "big_array")]
        pixels: [u8; 60_000],
    }
    reads::<Image>("Image {pixels: [u8; 60000]}");
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

#[test]
fn attributes_that_bincode_honours_too() {
    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Plain {
        a: u8,
        b: u16,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "snake_case")]
    #[allow(dead_code, non_snake_case)]
    struct Adorned {
        #[serde(default)]
        a: u8,
        #[serde(skip)]
        skipped: String,
        #[serde(rename = "b")]
        second: u16,
    }
    same::<Plain, Adorned>();
}

#[test]
fn a_fields_alias_makes_no_difference() {
    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Plain {
        gain: f32,
        mode: Mode2,
        offset: Option<f32>,
    }
    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Aliased {
        #[serde(alias = "amplification", alias = "k")]
        gain: f32,
        #[serde(alias = "a")]
        mode: Mode2,
        #[serde(default)]
        offset: Option<f32>,
    }
    same::<Plain, Aliased>();
    same::<Vec<Plain>, Vec<Aliased>>();
}

#[test]
fn a_variants_aliases_are_all_named() {
    #[derive(Deserialize)]
    #[allow(dead_code)]
    enum Command {
        #[serde(alias = "Halt")]
        Stop,
        Go(f32),
        #[serde(alias = "Away", alias = "Zero")]
        Home {
            #[serde(alias = "v")]
            speed: f32,
        },
    }
    reads::<Command>("Command enum {Halt|Stop, Go(f32), Away|Home|Zero {speed: f32}}");
    reads::<(Command, u8)>("(Command,u8) (enum {Halt|Stop, Go(f32), Away|Home|Zero {speed: f32}}, u8)");
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
        mode: Mode2,
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
fn many_fields_and_many_variants() {
    macro_rules! many {
        ($($name:ident)*) => {
            #[derive(Deserialize)]
            #[allow(dead_code, non_camel_case_types)]
            enum Many { $($name(Mode2),)* }
            #[derive(Deserialize)]
            #[allow(dead_code)]
            struct Wide { $($name: Mode2,)* last: Many }
        };
    }
    many!(a b c d e f g h i j k l m n o p q r s t u v w x y z aa ab ac ad ae af ag ah ai aj ak al am an ao ap);
    let text = of::<Wide>().to_string();
    assert_eq!(text.matches("enum {A(u8), B, C(u32)}").count(), 84);
}

#[test]
fn names_can_stand_in_a_route() {
    #[derive(Deserialize)]
    #[serde(rename = "größe @#1")]
    struct Odd;
    assert_eq!(of::<Odd>().name(), "gr__e___1");
    #[derive(Deserialize)]
    struct AVeryLongNameThatGoesOnAndOnAndOnAndOn;
    type Long = AVeryLongNameThatGoesOnAndOnAndOnAndOn;
    let schema = of::<(u8, Long, u16, Long, u32, Long, u64, Long)>();
    assert_eq!(schema.name().len(), 127);
    assert!(schema.name().ends_with(&format!("~{:016x}", schema.fingerprint())));
    assert_eq!(of::<Vec<(u8, f64)>>().name(), "seq<(u8,f64)>");
    assert_eq!(of::<HashMap<u8, [f32; 3]>>().name(), "map<u8,[f32;3]>");
    assert_eq!(of::<Option<Imu>>().name(), "option<Imu>");
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

/// What the schema says is what bincode writes: field by field, for a type with everything in it.
#[test]
fn the_shape_is_that_of_the_bytes() {
    #[derive(Serialize, Deserialize, Default)]
    struct Everything {
        a: u8,
        b: Option<(u8, u8)>,
        c: Vec<u8>,
        d: [u8; 3],
    }
    let value = Everything { a: 1, b: Some((2, 3)), c: vec![4, 5], d: [6, 7, 8] };
    let config = bincode::config::standard();
    let bytes = bincode::serde::encode_to_vec(&value, config).unwrap();
    assert_eq!(bytes, [1, 1, 2, 3, 2, 4, 5, 6, 7, 8]);
    reads::<Everything>("Everything {a: u8, b: option<[u8; 2]>, c: seq<u8>, d: [u8; 3]}");
}

#[test]
fn a_schema_that_fails_names_the_field() {
    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Deep {
        list: Vec<Option<(u8, Unknown)>>,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    #[allow(dead_code)]
    enum Unknown {
        A(u8),
    }
    let SchemaError::SelfDescribing { place } = error::<Deep>() else { panic!() };
    assert!(place.starts_with("field `list[]?.1` of `"), "{place}");
}
