//! One endpoint of the simulation: its engine, and what its application declared.

use super::line::{ConnId, Side, Wire};
use crate::event::Event;
use crate::path::Path;
use crate::peer::{PeerUrl, Scope};
use crate::proto::{Declaration, Engine, IntentId, InterestId, LinkId};
use crate::route::Route;
use crate::schema::Schema;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where a node stands in the world.
pub(super) type Place = usize;

/// What an application declared.
#[derive(Clone, Debug)]
pub(super) struct Declared {
    pub(super) declaration: Declaration,
    pub(super) exclusive: bool,
}

/// What waits for a frozen node.
#[derive(Debug)]
pub(super) enum Input {
    Accepted(ConnId),
    Dialled(LinkId, ConnId),
    DialFailed(LinkId),
    Arrived(ConnId, Side, Wire),
}

pub(super) struct Node {
    pub(super) path: Path,
    pub(super) scope: Scope,
    /// Whether it passes on what is under `shared`.
    pub(super) relays: bool,
    pub(super) urls: Vec<Arc<PeerUrl>>,
    /// `None` while it is crashed.
    pub(super) engine: Option<Engine>,
    /// Counts its starts.
    pub(super) incarnation: u32,
    pub(super) frozen: bool,
    pub(super) inbox: Vec<Input>,
    pub(super) intents: BTreeMap<IntentId, Declared>,
    pub(super) interests: BTreeMap<InterestId, Declared>,
    /// All that was declared since the start, withdrawn or not.
    pub(super) declared: BTreeMap<u32, Declared>,
    pub(super) next_id: u32,
    /// The connection of each link that has one.
    pub(super) conns: BTreeMap<LinkId, (ConnId, Side)>,
    /// What its application was told since each link came up, by the peer's path.
    pub(super) told: Vec<Event>,
    /// How often a link came up.
    pub(super) ups: u64,
    /// RouteLinked less RouteUnlinked.
    pub(super) linked: i64,
}

impl Node {
    pub(super) fn new(path: &str, scope: Scope) -> Node {
        Node {
            path: Path::parse(path).unwrap(),
            scope,
            relays: false,
            urls: Vec::new(),
            engine: None,
            incarnation: 0,
            frozen: false,
            inbox: Vec::new(),
            intents: BTreeMap::new(),
            interests: BTreeMap::new(),
            declared: BTreeMap::new(),
            next_id: 0,
            conns: BTreeMap::new(),
            told: Vec::new(),
            ups: 0,
            linked: 0,
        }
    }

    pub(super) fn is_awake(&self) -> bool {
        self.engine.is_some() && !self.frozen
    }

    pub(super) fn instance(&self, place: Place) -> [u8; 16] {
        // Which of two instances is smaller changes with every start.
        let mut instance = [0; 16];
        instance[0] = (self.incarnation.wrapping_mul(97) ^ (place as u32).wrapping_mul(59)) as u8;
        instance[1] = place as u8 + 1;
        instance[2..6].copy_from_slice(&self.incarnation.to_le_bytes());
        instance
    }

    pub(super) fn crash(&mut self) {
        self.engine = None;
        self.frozen = false;
        self.inbox.clear();
        self.intents.clear();
        self.interests.clear();
        self.declared.clear();
        self.next_id = 0;
        self.conns.clear();
        self.told.clear();
        self.linked = 0;
    }
}

/// The few routes there are: some meet, some differ in type only, one is hidden.
pub(super) fn routes() -> Vec<Route> {
    let mut routes = vec![route("Command@shared.command"), route("Status@shared.command")];
    for place in 0..2 {
        routes.push(route(&format!("Imu@{}.imu", path(place))));
        routes.push(route(&format!("Pose@{}.imu", path(place))));
    }
    let hidden = route("Map@shared.map").hashed(&Path::parse("shared").unwrap()).unwrap();
    routes.push(hidden);
    routes
}

fn route(text: &str) -> Route {
    Route::parse(text).unwrap()
}

/// The path of a node; one lies under another, and one looks as if it did.
pub(super) fn path(place: Place) -> &'static str {
    ["robot", "robot.arm", "robots", "desk", "shared"][place]
}

pub(super) fn declaration(route: Route, version: u64, codec: &'static str) -> Declaration {
    let schema = Schema::versioned("Simulated", version).unwrap();
    Declaration { route, schema: Arc::new(schema), codec, packs: false }
}
