use super::{big_array, error, of, reads, same};
use crate::schema::SchemaError;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::Wrapping;
use std::time::{Duration, SystemTime};

#[derive(Deserialize)]
#[allow(dead_code)]
pub(super) struct Vec3<T> {
    x: T,
    y: T,
    z: T,
}

#[derive(Deserialize)]
#[allow(dead_code)]
pub(super) struct Imu {
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
pub(super) enum Mode {
    Idle,
    Run(f32),
    Move { x: f32, y: f32 },
    Both(u8, u16),
    Nested(Level),
}

#[derive(Deserialize)]
#[allow(dead_code)]
pub(super) enum Level {
    Low,
    High(Option<Mode2>),
}

#[derive(Deserialize)]
#[allow(dead_code)]
pub(super) enum Mode2 {
    A(u8),
    B,
    C(u32),
}

#[derive(Deserialize)]
#[allow(dead_code)]
pub(super) struct Status {
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
