//! What the benches under `benches/` measure of the inside; no part of the interface.

use crate::bytes::{Buffer, Bytes, Pool};
use crate::delivery::Delivery;
use crate::flow::batch::Batch;
use crate::flow::lane::LaneId;
use crate::flow::mailbox::Mailbox;
use crate::flow::outbox::{Outbox, Outgoing, Put};
use crate::flow::run::{Head, Run};
use crate::path::Path;
use crate::proto::{Declaration, Engine, EngineSettings, IntentId, InterestId};
use crate::route::Route;
use crate::schema::Schema;
use crate::time::Timestamp;
use crate::wire::control::Credit;
use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Arc;

/// The outgoing buffer of a link with one open lane.
pub struct Outgo {
    outbox: Outbox,
    lane: LaneId,
    batch: Batch,
    urgent: Vec<u8>,
}

impl Default for Outgo {
    fn default() -> Self {
        let mut outbox = Outbox::new(1 << 20);
        outbox.set_max_frame(1 << 20);
        let lane = outbox.open(0, Delivery::Queue(16));
        outbox.credit(Credit { alias: 0, limit: u64::MAX, taken: 0, lost: 0 });
        Self { outbox, lane, batch: Batch::default(), urgent: Vec::new() }
    }
}

impl Outgo {
    /// Puts `count` samples in, then takes the batch as the writer does.
    pub fn put_and_take(&mut self, payload: &[u8], count: usize) {
        for _ in 0..count {
            let sample = Outgoing { payload, shared: None };
            let put = self.outbox.put(self.lane, sample, false, || Timestamp::from_micros(1));
            assert!(matches!(put, Put::Queued | Put::Inline), "the outbox is not emptied: {put:?}");
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
    Some(Declaration { route, schema: Arc::new(Schema::raw()), codec: "raw" })
}

/// A payload to measure with.
pub fn payload(size: usize) -> Bytes {
    Bytes::from(vec![7; size])
}
