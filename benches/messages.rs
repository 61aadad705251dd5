//! What a message costs by itself: encoding, decoding, and the schema taken from its type.

mod support;

use bowline::{Bytes, Message, Payload, Schema};
use serde::{Deserialize, Serialize};
use support::Bench;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Imu {
    number: u64,
    acceleration: [f32; 3],
    rotation: [f32; 3],
    temperature: f32,
}

/// Something with everything a schema can hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Plan {
    name: String,
    steps: Vec<Step>,
    deadline: Option<f64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Step {
    Wait(u32),
    Move { to: [f64; 3], speed: Option<f32> },
    Grip(bool),
}

fn main() {
    let bench = Bench::from_args();
    let imu = Imu { number: 7, acceleration: [0.1, 0.2, 9.8], rotation: [0.0; 3], temperature: 31.5 };
    let plan = Plan {
        name: "pick and place".into(),
        steps: (0..20).map(|i| Step::Move { to: [f64::from(i); 3], speed: Some(0.5) }).collect(),
        deadline: Some(2.5),
    };
    encode_and_decode(&bench, "imu, 36 B", &imu);
    encode_and_decode(&bench, "plan of 20 steps", &plan);
    encode_and_decode(&bench, "raw bytes, 64 B", &Bytes::from(vec![7; 64]));
    encode_and_decode(&bench, "raw bytes, 64 KiB", &Bytes::from(vec![7; 64 * 1024]));
    bench.each("schema of imu", || Schema::of::<Imu>().map(|schema| schema.fingerprint()));
    bench.each("schema of plan", || Schema::of::<Plan>().map(|schema| schema.fingerprint()));
}

fn encode_and_decode<T: Message>(bench: &Bench, name: &str, message: &T) {
    let mut out = Vec::new();
    bench.each(&format!("encode {name}"), || {
        out.clear();
        message.encode(&mut out).map(|()| out.len())
    });
    out.clear();
    message.encode(&mut out).expect("these messages can be encoded");
    bench.each(&format!("decode {name}"), || T::decode(Payload::new(&out)).map(drop));
}
