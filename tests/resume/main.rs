//! Sessions that outlive their links, and several links to one peer, over real connections.

mod cut;
#[path = "../support/mod.rs"]
mod support;

mod links;
mod over;
mod policy;
mod samples;

use bowline::transport::{Memory, Tcp, Transport, Udp};
use bowline::{Endpoint, EndpointBuilder, Event, Intent, IntentSettings, Interest, InterestSettings};
use cut::Scissors;
use std::time::Duration;
use support::{Kind, SOON, Watch};

/// A robot that supplies and a desk that wants and dials, by a connection that can be cut.
struct Scene {
    robot: Endpoint,
    desk: Endpoint,
    scissors: Scissors,
}

fn quick(path: &str) -> EndpointBuilder {
    let millis = Duration::from_millis;
    Endpoint::builder(path).redial(millis(1), millis(10)).ping_interval(millis(200)).lease(SOON)
}

fn scene(kind: Kind) -> Scene {
    scene_with(kind, |robot| robot, |desk| desk)
}

fn scene_with(
    kind: Kind,
    robot: impl FnOnce(EndpointBuilder) -> EndpointBuilder,
    desk: impl FnOnce(EndpointBuilder) -> EndpointBuilder,
) -> Scene {
    let robot = robot(quick("robot")).listen(kind.listen()).start().expect("the robot starts");
    let scissors = Scissors::default();
    let desk = with(desk(quick("desk")), kind, &scissors);
    let url = support::url(&robot);
    let address = url.split_once("://").expect("a URL").1;
    let desk = desk.connect(format!("cut://{address}")).start().expect("the desk starts");
    Scene { robot, desk, scissors }
}

fn with(builder: EndpointBuilder, kind: Kind, scissors: &Scissors) -> EndpointBuilder {
    fn on(builder: EndpointBuilder, scissors: &Scissors, inner: impl Transport) -> EndpointBuilder {
        builder.transport(scissors.on("cut", inner))
    }
    match kind {
        Kind::Tcp => on(builder, scissors, Tcp),
        Kind::Udp => on(builder, scissors, Udp),
        Kind::Unix => on(builder, scissors, bowline::transport::Unix),
        Kind::Memory | Kind::Local => on(builder, scissors, Memory),
    }
}

fn lossless(depth: u32) -> InterestSettings {
    InterestSettings::new().lossless(depth)
}

fn resumed(event: &Event) -> bool {
    matches!(event, Event::SessionResumed { .. })
}
