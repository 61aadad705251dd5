use super::{differ, of};
use crate::schema::Schema;
use serde::Deserialize;
use std::collections::BTreeMap;

macro_rules! types {
    ($($name:ident { $($field:ident: $type:ty),* })*) => {$(
        #[derive(Deserialize)]
        #[allow(dead_code)]
        struct $name { $($field: $type),* }
    )*};
}

types! {
    Acc { x: f32, y: f32 }
    AccWide { x: f64, y: f32 }
    AccSwapped { y: f32, x: f32 }
    Imu { acc: Acc, gain: f32 }
    ImuWide { acc: AccWide, gain: f32 }
    ImuSwapped { acc: AccSwapped, gain: f32 }
    ImuNoGain { acc: Acc }
    ImuRenamed { acc: Acc, gains: f32 }
    ImuOther { acc: Acc, a: f32, b: f32 }
    Bag { list: Vec<Acc>, table: BTreeMap<String, Option<Acc>>, pair: (u8, u16, [Acc; 2]) }
    BagList { list: Vec<AccWide>, table: BTreeMap<String, Option<Acc>>, pair: (u8, u16, [Acc; 2]) }
    BagKey { list: Vec<Acc>, table: BTreeMap<u8, Option<Acc>>, pair: (u8, u16, [Acc; 2]) }
    BagValue { list: Vec<Acc>, table: BTreeMap<String, Option<AccWide>>, pair: (u8, u16, [Acc; 2]) }
    BagPair { list: Vec<Acc>, table: BTreeMap<String, Option<Acc>>, pair: (u8, u16, [AccWide; 2]) }
    BagLonger { list: Vec<Acc>, table: BTreeMap<String, Option<Acc>>, pair: (u8, u16, [Acc; 3]) }
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct Command<M> {
    mode: M,
}

macro_rules! enums {
    ($($name:ident { $($variants:tt)* })*) => {$(
        #[derive(Deserialize)]
        #[allow(dead_code)]
        enum $name { $($variants)* }
    )*};
}

enums! {
    Mode { Idle, Run(f32), Move { x: f32 } }
    ModeMore { Idle, Run(f32), Move { x: f32 }, Stop }
    ModeSwapped { Run(f32), Idle, Move { x: f32 } }
    ModeWide { Idle, Run(f64), Move { x: f32 } }
    ModeField { Idle, Run(f32), Move { x: f64 } }
    ModeRenamed { Idle, Go(f32), Move { x: f32 } }
    ModeUnit { Idle, Run, Move { x: f32 } }
}

#[test]
fn the_field_that_differs_is_named() {
    differ::<Imu, ImuWide>("field `acc.x` is f32 here, f64 there");
    differ::<Imu, ImuNoGain>("field `gain` is only here");
    differ::<ImuNoGain, Imu>("field `gain` is only there");
    differ::<Imu, ImuRenamed>("field `gain` is only here, field `gains` is only there");
    differ::<ImuOther, Imu>("fields `a`, `b` are only here, field `gain` is only there");
    differ::<Imu, ImuSwapped>("field order differs in `acc`: x, y here; y, x there");
    differ::<Acc, AccSwapped>("field order differs: x, y here; y, x there");
}

#[test]
fn what_is_in_containers_is_named() {
    differ::<Bag, BagList>("field `list[].x` is f32 here, f64 there");
    differ::<Bag, BagKey>("field `table[key]` is str here, u8 there");
    differ::<Bag, BagValue>("field `table[value]?.x` is f32 here, f64 there");
    differ::<Bag, BagPair>("field `pair.2.0.x` is f32 here, f64 there");
    differ::<Bag, BagLonger>("field `pair.2` is [{x: f32, y: f32}; 2] here, [{x: f32, y: f32}; 3] there");
    differ::<(u8, u8, f32), (u8, f32, f32)>("field `1` is u8 here, f32 there");
    differ::<(u8, u8, u8), (u8, u8, f32)>("field `2` is u8 here, f32 there");
}

#[test]
fn variants_are_named() {
    differ::<Command<Mode>, Command<ModeMore>>("variant `mode.Stop` is only there");
    differ::<Command<Mode>, Command<ModeSwapped>>(
        "variant order differs in `mode`: Idle, Run, Move here; Run, Idle, Move there",
    );
    differ::<Command<Mode>, Command<ModeWide>>("variant `mode.Run` is f32 here, f64 there");
    differ::<Command<Mode>, Command<ModeField>>("field `mode.Move.x` is f32 here, f64 there");
    differ::<Mode, ModeRenamed>("variant `Run` is only here, variant `Go` is only there");
    differ::<Mode, ModeUnit>("variant `Run` is f32 here, () there");
}

#[test]
fn whole_messages_that_differ() {
    differ::<f32, f64>("the message is f32 here, f64 there");
    differ::<Vec<u8>, Option<u8>>("the message is seq<u8> here, option<u8> there");
    differ::<Imu, f32>("the message is {acc: {x: f32, y: f32}, gain: f32} here, f32 there");
    differ::<[u8; 3], [u8; 4]>("the message is [u8; 3] here, [u8; 4] there");

    let (raw, imu) = (Schema::raw(), of::<f32>());
    let stated = Schema::versioned("Imu", 3).unwrap();
    assert_eq!(raw.difference(&imu).unwrap(), "the message is raw bytes here, f32 there");
    assert_eq!(imu.difference(&stated).unwrap(), "the message is f32 here, version 3, stated by hand there");
    assert_eq!(
        raw.difference(&stated).unwrap(),
        "the message is raw bytes here, version 3, stated by hand there"
    );
    assert_eq!(raw.difference(&Schema::raw()), None);
    assert_eq!(stated.difference(&Schema::versioned("Other", 3).unwrap()), None);
    assert_ne!(stated.fingerprint(), Schema::versioned("Imu", 4).unwrap().fingerprint());
}

#[test]
fn the_text_stays_short() {
    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Long {
        #[serde(
            rename = "a name that goes on and on and on and on and on and on and on and on and on and on"
        )]
        a: Vec<Bag>,
        b: u8,
    }
    let text = of::<Long>().difference(&of::<u8>()).unwrap();
    assert!(text.len() < 200 && text.contains('…'), "{text}");
    let text = of::<Long>().difference(&of::<Acc>()).unwrap();
    assert!(text.len() < 200 && text.contains("and on an…`"), "{text}");
}
