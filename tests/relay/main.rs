//! Peers that talk through others: over TCP, Unix sockets and memory, by real endpoints.

#[path = "../support/mod.rs"]
mod support;

#[allow(dead_code, reason = "a part of it is used")]
#[path = "../bad_input/frames.rs"]
mod frames;
#[allow(dead_code, reason = "a part of it is used")]
#[path = "../bad_input/raw_peer.rs"]
mod raw_peer;

mod flows;
mod hostile;
mod many;
mod refused;
mod speed;

use bowline::{Endpoint, EndpointBuilder};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use support::url;

/// An address nobody listens at yet.
fn address(scheme: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let (process, number) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    match scheme {
        "tcp" => {
            let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
            format!("tcp://{}", free.expect("there is one"))
        }
        "unix" => {
            let place = std::env::temp_dir().join(format!("bowline-relay-{process}-{number}.sock"));
            format!("unix://{}", place.display())
        }
        _ => format!("memory://relay-{process}-{number}"),
    }
}

fn endpoint(path: &str) -> EndpointBuilder {
    Endpoint::builder(path)
        .ping_interval(Duration::from_millis(200))
        .redial(Duration::from_millis(20), Duration::from_millis(200))
}

/// A board and a desk that do not reach each other, and a gateway that both dial.
struct Net {
    board: Endpoint,
    gateway: Endpoint,
    desk: Endpoint,
}

/// The schemes of the board's and of the desk's link.
type Schemes = (&'static str, &'static str);

const EACH: [Schemes; 3] = [("memory", "tcp"), ("tcp", "unix"), ("unix", "memory")];

fn net(schemes: Schemes) -> Net {
    net_with(schemes, |gateway| gateway)
}

fn net_with((field, office): Schemes, gateway: impl FnOnce(EndpointBuilder) -> EndpointBuilder) -> Net {
    let builder = endpoint("gateway").listen(address(field)).listen(address(office)).relay("robot.mcu");
    let gateway = gateway(builder).start().expect("the gateway starts");
    let place = |n: usize| format!("{}/gateway", gateway.listening()[n]);
    let board = endpoint("robot.mcu").connect(place(0)).start().expect("the board starts");
    let desk = endpoint("desk").connect(place(1)).start().expect("the desk starts");
    Net { board, gateway, desk }
}

/// One more endpoint that dials another.
fn dial(path: &str, to: &Endpoint) -> Endpoint {
    endpoint(path).connect(url(to)).start().expect("starts")
}
