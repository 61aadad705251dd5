//! What no honest peer says: the link it comes on ends with a reason, told to both sides, and nothing else
//! notices.
//!
//! The attacker writes the protocol's bytes by itself, over each kind of connection.
#![cfg(target_os = "linux")]

mod astray;
mod established;
mod frames;
mod handshakes;
#[path = "../process/measure.rs"]
mod measure;
#[cfg(feature = "lz4")]
mod packed;
mod raw_peer;
mod resumed;
mod scene;
mod stalled;

use bowline::transport::{Cancel, Memory, Tcp, Transport};
use bowline::{
    Bytes, Endpoint, Event, Fate, Intent, Interest, InterestSettings, PeerName, ReasonCode, Scope,
};
use frames::{Hello, frame, head, message_head, varint};
use measure::{descriptors, eventually, forget_peak, peak, resident, threads};
use raw_peer::{RawPeer, SOON};
use scene::{Scene, turn, unused};
use std::collections::VecDeque;
use std::io::Read;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

const SCHEMES: [&str; 3] = ["tcp", "unix", "memory"];

/// How late something may come: 100 ms, and what a busy machine adds.
const LATE: Duration = Duration::from_millis(400);

/// Runs a test over each kind of connection.
fn everywhere(test: impl Fn(Scene)) {
    let _turn = turn();
    for scheme in SCHEMES {
        test(Scene::set(&unused(scheme), |robot| robot));
    }
}

/// An attacker with an interest in `path`, which has alias 0.
fn taker(scene: &Scene, path: &str, delivery: u8, depth: u32) -> RawPeer {
    let peer = scene.attacker();
    peer.send(&frames::interest(1, path, delivery, depth));
    let (_, yours, alias) = peer.wait_for("NOTIFY linked", frames::Frame::linked);
    assert_eq!((yours, alias), (1, 0));
    peer
}
