use super::{big_array, of, same};
use crate::schema::Schema;
use serde::Deserialize;

/// Bytes and fingerprint as `PROTOCOL.md` says, worked out apart from the code: part of the wire contract.
/// A change here breaks every running robot.
#[track_caller]
fn pinned<T: serde::de::DeserializeOwned>(hex: &str, fingerprint: u64) {
    let schema = of::<T>();
    let mut bytes = Vec::new();
    crate::schema::encode::put_shape(&mut bytes, &schema.shape);
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(text, hex.replace(' ', ""), "{schema}");
    assert_eq!(schema.fingerprint(), fingerprint, "{:#018x}", schema.fingerprint());
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct Imu {
    gyro: [f32; 3],
    temperature: Option<f64>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
enum Mode {
    Idle,
    Run(f32),
    Move { x: i16, y: i16 },
    Pair(u8, u8, char),
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct List {
    next: Option<Box<List>>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct Row {
    #[serde(with = "big_array")]
    row: [u8; 300],
}

#[test]
fn fingerprints_never_change() {
    pinned::<f32>("0c", 0x79ea_ea61_21bd_6cef);
    pinned::<()>("11", 0x5332_cbf0_07a1_644a);
    pinned::<Vec<u8>>("21 07", 0xf3db_55a7_d79a_1a21);
    pinned::<[f32; 3]>("23 01 03 0c", 0x53ba_032e_a51b_4d99);
    pinned::<Row>("24 01 03 726f77 23 01 ac02 07", 0xe13d_514c_509e_29d8);
    pinned::<Imu>("24 02 04 6779726f 23 01 03 0c 0b 74656d7065726174757265 20 0d", 0xafb5_c87f_f3f8_f974);
    pinned::<Mode>(
        "25 04 04 49646c65 11 03 52756e 0c 04 4d6f7665 24 02 01 78 03 01 79 03 \
         04 50616972 23 02 02 07 01 0e",
        0x8090_b02f_80ef_d677,
    );
    pinned::<List>("24 01 04 6e657874 20 26 02", 0xf2df_397a_b9c2_ce37);
    pinned::<std::collections::BTreeMap<String, i64>>("22 0f 05", 0x586e_176c_1c84_e74b);
    assert_eq!(Schema::versioned("Any", 0x0102).unwrap().fingerprint(), 0x975b_407c_91a2_a9ec);
    assert_eq!(Schema::raw().fingerprint(), 0);
}

#[test]
fn names_of_types_do_not_count() {
    mod other {
        #[derive(serde::Deserialize)]
        #[allow(dead_code)]
        pub(super) struct Gyroscope {
            gyro: (f32, f32, f32),
            temperature: Option<f64>,
        }
    }
    same::<Imu, other::Gyroscope>();
    assert_eq!(of::<other::Gyroscope>().name(), "Gyroscope");
}

#[test]
fn tracing_twice_gives_the_same() {
    assert_eq!(of::<Mode>(), of::<Mode>());
}
