//! What the benches under `benches/` measure of the inside; no part of the interface.

use crate::bytes::{Buffer, Bytes, Pool};
use crate::delivery::Delivery;
use crate::event::PeerName;
use crate::flow::batch::Batch;
use crate::flow::lane::LaneId;
use crate::flow::mailbox::Mailbox;
use crate::flow::outbox::{Door, Outbox, Outgoing, Put};
use crate::flow::run::{Content, Head, Run};
use crate::path::Path;
use crate::proto::group::{MemberClock, Supply};
use crate::proto::{Declaration, Engine, EngineSettings, IntentId, InterestId};
use crate::route::Route;
use crate::runtime::clock::Clock;
use crate::runtime::group::table::{Sorted, Table};
use crate::runtime::inbox::Inbox;
use crate::runtime::source::{Source, SourceRef};
use crate::schema::Schema;
use crate::settings::Bounds;
use crate::time::Timestamp;
use crate::wire::control::Credit;
use crate::wire::group::{Digest, SampleHead};
use std::any::TypeId;
use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Arc;

/// The outgoing buffer of a link with one open lane.
pub struct Outgo {
    outbox: Door,
    lane: LaneId,
    batch: Batch,
    urgent: Vec<u8>,
}

impl Default for Outgo {
    fn default() -> Self {
        let mut outbox = Outbox::new(1 << 20);
        outbox.set_peer(1 << 20, true);
        let lane = outbox.open(0, Delivery::Queue(16), Bounds::default());
        outbox.credit(Credit { alias: 0, limit: u64::MAX, taken: 0, lost: 0 });
        Self { outbox: Door::new(outbox), lane, batch: Batch::default(), urgent: Vec::new() }
    }
}

impl Outgo {
    /// Puts `count` samples in, then takes the batch as the writer does.
    pub fn put_and_take(&mut self, payload: &[u8], count: usize) {
        let Self { outbox, lane, .. } = self;
        for _ in 0..count {
            let sample = Outgoing { payload, shared: None };
            let put = outbox.put(*lane, sample, false, || Timestamp::from_micros(1));
            assert!(matches!(put, Put::Queued | Put::Inline), "the outbox is not emptied: {put:?}");
            outbox.wake();
        }
        let Self { outbox, batch, urgent, .. } = self;
        black_box(outbox.take(urgent, batch, || Timestamp::from_micros(2), true));
        batch.clear();
    }
}

/// A lossless mailbox as a reader thread fills it and an application empties it.
pub struct Mail {
    mailbox: Mailbox<u32>,
    pool: Arc<Pool>,
}

impl Default for Mail {
    fn default() -> Self {
        Self { mailbox: Mailbox::new(Delivery::Lossless(1 << 16)), pool: Pool::new(4, 1 << 20) }
    }
}

impl Mail {
    /// Puts one run of `count` samples in and takes them out again, one by one.
    pub fn put_and_take(&mut self, payload: &[u8], count: usize) {
        let (mut bytes, mut heads) = (self.pool.take(), Vec::with_capacity(count));
        bytes.clear();
        for _ in 0..count {
            let start = bytes.len() as u32;
            bytes.extend_from_slice(payload);
            heads.push(Head { sent: Timestamp::ZERO, start, end: bytes.len() as u32 });
        }
        let buffer = Arc::new(Buffer::new(bytes, &self.pool));
        self.mailbox.put(Run::encoded(0, 0, buffer, heads), |_, _| {});
        let mut runs = VecDeque::new();
        self.mailbox.take(&mut runs);
        for run in &mut runs {
            while let Some(taken) = run.next() {
                black_box(taken.sequence);
            }
        }
    }
}

/// An engine's registry.
pub struct Registry(Engine);

impl Registry {
    /// With an intent declared on each of these paths.
    pub fn with_intents(paths: &[String]) -> Option<Self> {
        let mut engine = Engine::new(EngineSettings::new(Path::parse("bench").ok()?, [1; 16], 1));
        for (id, path) in (1..).zip(paths) {
            let declaration = declaration(path)?;
            engine.declare_intent(Timestamp::ZERO, IntentId(id), declaration, false, false);
        }
        while engine.poll().is_some() {}
        Some(Self(engine))
    }

    /// Declares an interest on each path, and returns how much the engine wants done for it.
    pub fn declare_interests(&mut self, paths: &[String]) -> usize {
        let ids = (1 << 20..).map(InterestId);
        for (id, declaration) in ids.zip(paths.iter().filter_map(|path| declaration(path))) {
            self.0.declare_interest(Timestamp::ZERO, id, declaration, Delivery::Latest);
        }
        std::iter::from_fn(|| self.0.poll()).count()
    }
}

fn declaration(path: &str) -> Option<Declaration> {
    let route = Route::new("f64", &Path::parse(path).ok()?).ok()?;
    Some(Declaration { route, schema: Arc::new(Schema::raw()), codec: "raw", packs: false })
}

/// A group's table with a hundred wanted routes, and an application that reads one of them.
pub struct Sorting {
    table: Table,
    pool: Arc<Pool>,
    inbox: Arc<Inbox>,
    taken: VecDeque<Run<SourceRef>>,
    unwanted: Vec<u8>,
    head: SampleHead,
    wanted: Vec<u8>,
}

impl Default for Sorting {
    fn default() -> Self {
        let digest = |number: u32| {
            let mut whole = [0x5A; 16];
            whole[..4].copy_from_slice(&number.wrapping_mul(0x9E37_79B9).to_le_bytes());
            whole[4..8].copy_from_slice(&number.wrapping_mul(0x85EB_CA6B).to_le_bytes());
            Digest(whole)
        };
        let head = |digest| SampleHead { digest, sender: 1, intent: 2, sequence: 0, sent: Timestamp::ZERO };
        let datagram = |head: &SampleHead| [&head.encode()[..], &[7; 64]].concat();
        let mut table = Table::new(0);
        (0..100).for_each(|number| table.want(digest(number)));
        let delivery = Delivery::Queue(64);
        let route = Route::from_digest(Path::parse("bench").expect("a path"), [0; 32]);
        let inbox = Arc::new(Inbox::new(InterestId(1), route.clone(), TypeId::of::<Bytes>(), delivery, None));
        let peer = Arc::new(PeerName { path: None, url: String::new() });
        let taker = (Arc::clone(&inbox), Source::group(route, peer, Clock::start()));
        let supply = Supply { sender: 1, intent: 2 };
        table.supply(digest(7), supply, &Arc::default(), &Arc::<MemberClock>::default(), taker);
        let (unwanted, wanted) = (head(digest(1000)), head(digest(7)));
        Self {
            table,
            pool: Pool::new(32, 1 << 20),
            inbox,
            taken: VecDeque::new(),
            unwanted: datagram(&unwanted),
            head: wanted,
            wanted: datagram(&wanted),
        }
    }
}

impl Sorting {
    /// Handles a datagram that nobody wants.
    pub fn drop_one(&mut self) {
        let sorted = self.table.sort(black_box(&self.unwanted), &self.pool);
        assert!(sorted == Sorted::Unwanted);
    }

    /// Handles one that is wanted, up to the application's hands.
    pub fn take_one(&mut self) {
        self.wanted[..40].copy_from_slice(&self.head.encode());
        self.head.sequence = self.head.sequence.wrapping_add(1);
        assert!(self.table.sort(black_box(&self.wanted), &self.pool) == Sorted::Taken);
        self.inbox.take(&mut self.taken);
        while let Some(mut run) = self.taken.pop_front() {
            while let Some(taken) = run.next() {
                if let Content::Encoded(payload) = taken.content {
                    black_box(payload.to_bytes());
                }
            }
        }
    }
}

/// A payload to measure with.
pub fn payload(size: usize) -> Bytes {
    Bytes::from(vec![7; size])
}
