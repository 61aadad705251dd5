//! One live connection, shared by its reader, its writer, the dispatcher, and the intents that send.

use super::backlog::Backlog;
use super::carrier::Carrier;
use super::clock::Clock;
use super::feed::Feed;
use super::inbox::Inbox;
use super::inlets::Inlets;
use super::input::Input;
use super::outlets::Turned;
use super::signal::Signal;
use super::source::SourceRef;
use super::token::Token;
use crate::delivery::Delivery;
use crate::event::PeerName;
use crate::flow::batch::Batch;
use crate::flow::lane::LaneId;
use crate::flow::outbox::{Door, Left, Outbox, Outgoing, Put, QUIET};
use crate::priority::Priority;
use crate::proto::health::Seen;
use crate::proto::{LinkId, Order};
use crate::reason::{Reason, ReasonCode};
use crate::route::Route;
use crate::settings::Bounds;
use crate::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use crate::sync::{Mutex, MutexGuard, thread_local};
use crate::time::Timestamp;
use crate::transport::Connection;
use crate::wire::control::{Control, Credit};
use crossbeam_channel::Sender;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

mod carried;
mod copies;
mod incoming;
mod loads;
mod packed;
mod relay;
mod resuming;
mod some;

use carried::{Carried, Sizes};
use copies::{Others, Standing};
pub(crate) use loads::Load;
pub(crate) use resuming::Word;
use resuming::Words;

/// One live connection.
pub(crate) struct Line {
    /// Where it leads, as a URL.
    pub(crate) url: String,
    pub(crate) clock: Clock,
    pub(crate) connection: Carrier,
    /// Whether there is one.
    carried: AtomicBool,
    sizes: Sizes,
    out: Mutex<Out>,
    /// A token for the writer: there is something to write.
    token: Token,
    /// What the reader has for the dispatcher. Bounded for each line, so that a peer that floods
    /// control frames fills its own queue and waits, and no other's.
    inputs: Backlog,
    scheduled: AtomicBool,
    dispatcher: Sender<Input>,
    id: OnceLock<LinkId>,
    peer: Mutex<Option<Arc<PeerName>>>,
    /// What the dispatcher changed about the aliases the reader knows.
    changes: Mutex<Vec<Change>>,
    changed: AtomicBool,
    /// What the reader knows of the session's samples. It holds the lock while it takes in what it read.
    pub(super) inlets: Mutex<Inlets>,
    /// How many frames came that are counted.
    received: AtomicU64,
    /// What the dispatcher has to say to a reader that waits.
    words: Words,
    others: Others,
    /// The reader drops what comes: a BYE was said or heard.
    pub(crate) discarding: AtomicBool,
    /// The writer ends the connection once it wrote the last frame.
    ends_written: AtomicBool,
    /// The last frame was written.
    written: AtomicBool,
    heard: AtomicU64,
    offset: AtomicI64,
    /// In microseconds; `u64::MAX` before the first measurement.
    offset_error: AtomicU64,
    pub(crate) bytes_in: AtomicU64,
    pub(crate) bytes_out: AtomicU64,
    /// Frames of kinds that this version skips.
    pub(crate) skipped: AtomicU64,
    /// What compression did.
    #[cfg(feature = "lz4")]
    pub(crate) packing: super::packing::LinePacking,
}

struct Out {
    outbox: Door,
    carried: Carried,
    /// Whom to wake when a lane has credit or the link has room again.
    rooms: Vec<Option<Arc<Signal>>>,
    /// What each alias is for, or was last: an alias is given to another pair only once all samples of the
    /// old one arrived.
    routes: Vec<Option<Route>>,
    /// Lanes whose intents were turned away since.
    starved: Vec<u32>,
    /// Where the samples of lanes come from that are passed on.
    feeds: BTreeMap<u32, Arc<Feed>>,
    /// Room for a credit on its way out, so that granting it allocates nothing.
    spare: Batch,
    /// The batch that a sender wrote last, for the next one.
    due: Batch,
    standing: Standing,
}

/// A change to what the reader does with an alias.
pub(crate) enum Change {
    Open(u32, Inlet),
    /// The same of payloads that are packed; `relayed` by somebody behind the peer.
    #[cfg(feature = "lz4")]
    OpenPacked {
        alias: u32,
        inlet: Inlet,
        relayed: bool,
    },
    /// Samples are passed on.
    Relay(u32, Passage),
    /// Samples are dropped until END.
    Drain(u32),
    Close(u32),
}

/// Where samples of an alias go.
pub(crate) struct Inlet {
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) source: SourceRef,
}

/// Where samples of an alias go that are passed on.
pub(crate) struct Passage {
    pub(crate) to: Arc<Line>,
    pub(crate) alias: u32,
    pub(crate) feed: Arc<Feed>,
    /// Payloads are packed.
    pub(crate) packed: bool,
}

impl Line {
    pub(crate) fn new(
        url: String,
        connection: Arc<dyn Connection>,
        clock: Clock,
        capacity: usize,
        dispatcher: Sender<Input>,
    ) -> Arc<Self> {
        let sizes = Sizes { capacity, stride: OnceLock::new() };
        let mut outbox = Outbox::new(capacity);
        sizes.fit(&mut outbox, connection.rate());
        Arc::new(Self {
            url,
            clock,
            connection: Carrier::new(connection),
            carried: AtomicBool::new(true),
            sizes,
            out: Mutex::new(Out {
                outbox: Door::new(outbox),
                carried: Carried::Yes,
                rooms: Vec::new(),
                routes: Vec::new(),
                starved: Vec::new(),
                feeds: BTreeMap::new(),
                spare: Batch::default(),
                due: Batch::default(),
                standing: Standing::default(),
            }),
            token: Token::default(),
            inputs: Backlog::default(),
            scheduled: AtomicBool::new(false),
            dispatcher,
            id: OnceLock::new(),
            peer: Mutex::new(None),
            changes: Mutex::default(),
            changed: AtomicBool::new(false),
            inlets: Mutex::new(Inlets::new()),
            received: AtomicU64::new(0),
            words: Words::default(),
            others: Others::default(),
            discarding: AtomicBool::new(false),
            ends_written: AtomicBool::new(false),
            written: AtomicBool::new(false),
            heard: AtomicU64::new(clock.now().micros()),
            offset: AtomicI64::new(0),
            offset_error: AtomicU64::new(u64::MAX),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            #[cfg(feature = "lz4")]
            packing: super::packing::LinePacking::default(),
        })
    }

    /// Sets how many bytes of large samples are written at once.
    pub(crate) fn set_fragment(&self, bytes: Option<usize>) {
        if let Some(bytes) = bytes {
            let _ = self.sizes.stride.set(bytes);
            self.out.lock().outbox.set_stride(Some(bytes));
        }
    }

    pub(crate) fn id(&self) -> Option<LinkId> {
        self.id.get().copied()
    }

    pub(crate) fn set_id(&self, id: LinkId) {
        let _ = self.id.set(id);
    }

    pub(crate) fn peer(&self) -> Option<Arc<PeerName>> {
        self.peer.lock().clone()
    }

    /// The handshake is done.
    pub(crate) fn up(&self, peer: Arc<PeerName>, max_frame: u32, fragments: bool, resumes: bool) {
        let url = peer.url.clone();
        self.set_peer(peer);
        let mut out = self.out.lock();
        out.outbox.set_way(&url);
        out.outbox.set_peer(max_frame, fragments);
        out.outbox.set_resumes(resumes);
    }

    // ---- samples out ------------------------------------------------------------------------

    pub(crate) fn open_lane(
        &self,
        alias: u32,
        (delivery, priority): (Delivery, Priority),
        route: Route,
        room: Arc<Signal>,
        bounds: Bounds,
    ) -> LaneId {
        self.connection.lane(alias, delivery.is_lossless());
        self.connection.priority(alias, priority);
        let mut out = self.out.lock();
        let lane = out.outbox.open_ranked(alias, delivery, priority, bounds);
        let place = alias as usize;
        if out.rooms.len() <= place {
            out.rooms.resize_with(place + 1, || None);
        }
        if out.routes.len() <= place {
            out.routes.resize_with(place + 1, || None);
        }
        out.rooms[place] = Some(room);
        out.routes[place] = Some(route);
        lane
    }

    pub(crate) fn end_lane(&self, alias: u32) {
        let mut out = self.out.lock();
        out.outbox.end(alias);
        out.feeds.remove(&alias);
        if let Some(room) = out.rooms.get_mut(alias as usize) {
            *room = None;
        }
        self.wake_after(out);
    }

    pub(crate) fn is_open(&self, lane: LaneId) -> bool {
        self.out.lock().outbox.is_open(lane)
    }

    /// The lane that an alias stands for now. Only the dispatcher, who opens them, can tell what for.
    pub(crate) fn lane(&self, alias: u32) -> Option<LaneId> {
        self.out.lock().outbox.lane(alias).map(|lane| lane.id)
    }

    /// Losses of a lane: dropped here, dropped there; and what its interest asked for.
    pub(crate) fn lane_losses(&self, alias: u32) -> Option<(u64, u64, Delivery)> {
        self.out.lock().outbox.lane(alias).map(|lane| (lane.lost_here, lane.lost_there, lane.delivery))
    }

    /// Whether a sample would be taken, and how many more of its size by all `outlets` of its intent. An intent that is turned away will
    /// be woken when to try again.
    pub(crate) fn admits(&self, lane: LaneId, size: usize, outlets: usize) -> (Put, usize) {
        let mut out = self.out.lock();
        let put = out.outbox.admits(lane, size, || self.clock.now());
        let more = if put == Put::Queued { out.outbox.admits_more(lane, size, outlets) } else { 0 };
        match put {
            Put::NoRoom | Put::NoCredit(_) | Put::TooManyBytes(_) => self.note_starved(out, lane.alias),
            Put::PassedOver(Some(_)) => self.wake_after(out),
            _ => {}
        }
        (put, more)
    }

    /// Sends a sample. `spare` is room for an inline write, empty before and after.
    #[inline]
    pub(crate) fn put(&self, lane: LaneId, sample: Outgoing<'_>, forced: bool, spare: &mut Batch) -> Put {
        let mut out = self.out.lock();
        if out.outbox.put_next(lane, sample.payload) {
            return Put::Queued;
        }
        self.put_any(out, lane, sample, forced, spare)
    }

    fn put_any(
        &self,
        mut out: MutexGuard<'_, Out>,
        lane: LaneId,
        sample: Outgoing<'_>,
        forced: bool,
        spare: &mut Batch,
    ) -> Put {
        let put = out.outbox.put(lane, sample, forced, || self.clock.now());
        match put {
            Put::Queued | Put::Parked(_) if out.outbox.is_due(sample.payload.len()) => self.write_due(out),
            // The writer comes by itself while it has work: most samples end here.
            Put::Queued | Put::Parked(_) => self.wake_after(out),
            Put::Inline if is_calm(out.outbox.now()) => {
                out.outbox.take_inline(spare);
                self.write_inline(out, spare);
            }
            Put::Inline => {
                self.wake_after(out);
                return Put::Queued;
            }
            Put::NoRoom | Put::NoCredit(_) | Put::TooManyBytes(_) => self.note_starved(out, lane.alias),
            Put::PassedOver(_) => self.wake_after(out),
            Put::NotOpen | Put::TooLarge | Put::Closed | Put::Held => {}
            Put::Copied(taken, number) => return self.put_copied(out, lane, sample, (taken, number), spare),
        }
        put
    }

    /// An intent has no room, and is woken when there is some. What it sent before must be on its way.
    fn note_starved(&self, mut out: MutexGuard<'_, Out>, alias: u32) {
        if !out.starved.contains(&alias) {
            out.starved.push(alias);
        }
        self.wake_after(out);
    }

    /// The error of a sample larger than the peer takes.
    pub(crate) fn too_large(&self) -> Turned {
        Turned::TooLarge { limit: self.out.lock().outbox.largest() }
    }

    /// Sends a retained sample to a lane that has sent nothing yet.
    pub(crate) fn put_first(&self, lane: LaneId, sample: Outgoing<'_>, sent: Timestamp) {
        let mut out = self.out.lock();
        let copied = out.outbox.put_first(lane, sample, sent);
        self.wake_after(out);
        if copied {
            self.copy_first(lane, sample, sent);
        }
    }

    /// Writes a full batch on the thread that filled it. Under load that saves two changes of threads for
    /// each batch: the writer's, and that of the sender, which had to wait for it.
    fn write_due(&self, mut out: MutexGuard<'_, Out>) {
        let mut batch = std::mem::take(&mut out.due);
        out.outbox.take_due(&mut batch);
        let mut out = self.write_now(out, &mut batch);
        out.due = batch;
        let made = out.room_made();
        self.wake_after(out);
        made.tell();
    }

    /// Writes one sample at once.
    fn write_inline(&self, out: MutexGuard<'_, Out>, batch: &mut Batch) {
        let out = self.write_now(out, batch);
        self.wake_after(out);
    }

    /// Writes without waiting, without the lock. The writer takes over what did not fit.
    fn write_now(&self, out: MutexGuard<'_, Out>, batch: &mut Batch) -> MutexGuard<'_, Out> {
        // What was taken is for this one, which another may replace as soon as the lock is free.
        let connection = self.connection.current();
        drop(out);
        let written = match batch.as_one_piece() {
            Some(bytes) => connection.try_write(bytes),
            None => {
                let mut slices = Vec::new();
                batch.slices(&mut slices);
                connection.try_write_vectored(&slices)
            }
        };
        // Any real fault will meet the writer or the reader too, and they report it.
        let count = written.unwrap_or(0);
        batch.wrote(count);
        self.bytes_out.fetch_add(count as u64, Ordering::Relaxed);
        let now = self.clock.now();
        LAST_INLINE.with(|last| last.set(now));
        let mut out = self.out.lock();
        out.outbox.end_inline(batch, now);
        out
    }

    // ---- control out ------------------------------------------------------------------------

    /// Sends a control frame. False if the peer does not read its answers.
    pub(crate) fn send(&self, frame: &Control, order: Order) -> bool {
        let mut out = self.out.lock();
        if matches!(frame, Control::Resume { .. }) {
            out.stop_copies();
        }
        let taken = match order {
            Order::Ahead => out.outbox.urgent(frame),
            Order::InLine => {
                out.outbox.in_line(frame);
                true
            }
        };
        self.wake_after(out);
        taken
    }

    /// Grants credit and reports losses; a peer that does not read its answers is cut off.
    ///
    /// The thread that took the samples writes it, if nobody else is writing: the other side may wait
    /// for it, and on a busy core the writer thread may not run before this one pauses.
    ///
    /// Nothing is sent once `ended` is set: see [`end_credit`](Self::end_credit).
    ///
    /// The credit is looked up under the lock, so that later ones never say less.
    pub(crate) fn send_credit(&self, credit: impl FnOnce() -> Credit, ended: &AtomicBool) {
        let out = self.out.lock();
        if ended.load(Ordering::Relaxed) {
            return;
        }
        self.answer(out, &Control::Credit(credit()));
    }

    /// Sends what the other side may wait for, on this thread where it can. A peer that does not read its answers is
    /// cut off.
    fn answer(&self, mut out: MutexGuard<'_, Out>, frame: &Control) {
        if !out.outbox.urgent(frame) {
            drop(out);
            self.fault(Reason::new(ReasonCode::Backlog, "the peer does not read what is sent to it"));
            return;
        }
        let mut batch = std::mem::take(&mut out.spare);
        if out.outbox.take_urgent_inline(&mut batch) {
            self.write_inline(out, &mut batch);
            self.out.lock().spare = batch;
        } else {
            out.spare = batch;
            self.wake_after(out);
        }
    }

    /// Sets `ended`: from then on no credit of its alias is queued, whoever is about to. Every later frame,
    /// so also the PONG that lets the peer use the alias again, goes behind the last credit for it.
    pub(crate) fn end_credit(&self, ended: &AtomicBool) {
        let _out = self.out.lock();
        ended.store(true, Ordering::Relaxed);
    }

    #[inline]
    fn wake_after(&self, mut out: MutexGuard<'_, Out>) {
        let wake = out.outbox.wake();
        drop(out);
        if wake {
            self.token.leave();
        }
    }

    /// Ends the outgoing side; `drain` lets what waits be written first. The writer ends after it and, where that is to be `at_once`, the
    /// connection with it.
    pub(crate) fn finish(&self, bye: Option<&Control>, drain: bool, at_once: bool) {
        self.ends_written.store(at_once, Ordering::Release);
        self.discarding.store(true, Ordering::Release);
        self.inputs.give_up();
        self.words.give_up();
        let mut out = self.out.lock();
        out.outbox.close(bye, drain);
        let rooms: Vec<_> = out.rooms.drain(..).flatten().collect();
        out.feeds.clear();
        drop(out);
        self.token.leave();
        for room in rooms {
            room.raise();
        }
    }

    /// Ends the connection at once.
    pub(crate) fn abort(&self) {
        self.finish(None, false, true);
        self.connection.close();
    }

    /// What never left and what was never confirmed, once the line and its threads ended.
    pub(crate) fn settle(&self) -> Vec<(Route, Left)> {
        let mut out = self.out.lock();
        let (left, mut routes) = (out.outbox.settle(), std::mem::take(&mut out.routes));
        left.filter_map(|(alias, left)| Some((routes.get_mut(alias as usize)?.take()?, left))).collect()
    }

    /// How the line does, for whoever judges its health.
    pub(crate) fn seen(&self) -> Seen {
        let counts = self.connection.counts().unwrap_or_default();
        let now = self.clock.now();
        let queue_age = self.out.lock().outbox.queue_age(now);
        Seen { heard: self.heard(), queue_age, packets: counts.packets_out, resent: counts.resent }
    }

    /// Whether everything was written, up to the last frame.
    pub(crate) fn is_written(&self) -> bool {
        self.written.load(Ordering::Acquire)
    }

    /// Writes all of `load`, counting. The writer's part, here because it is about this connection.
    pub(crate) fn count_out(&self, bytes: usize) {
        self.bytes_out.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

#[cfg(test)]
impl Line {
    /// How many samples entered the lane that an alias stands for.
    pub(super) fn sent(&self, alias: u32) -> Option<u64> {
        self.out.lock().outbox.lane(alias).map(|lane| lane.sequence)
    }
}

impl Out {
    fn take_starved(&mut self) -> Vec<Arc<Signal>> {
        let rooms = &self.rooms;
        self.starved.drain(..).filter_map(|alias| rooms.get(alias as usize).cloned().flatten()).collect()
    }

    /// Whom to tell that there is room again, once the lock is given back.
    fn room_made(&mut self) -> RoomMade {
        RoomMade {
            intents: if self.starved.is_empty() { Vec::new() } else { self.take_starved() },
            feeds: if self.feeds.is_empty() { Vec::new() } else { self.take_fed() },
        }
    }
}

/// Who waits for room that there is now.
#[derive(Default)]
struct RoomMade {
    intents: Vec<Arc<Signal>>,
    feeds: Vec<(Arc<Feed>, Credit)>,
}

impl RoomMade {
    fn tell(self) {
        for intent in self.intents {
            intent.raise();
        }
        for (feed, credit) in self.feeds {
            feed.grant(credit);
        }
    }
}

/// Whether this thread has not written inline just now. One that sends without pause, be it on many
/// lines in turn, each of them quiet, leaves the writing to the writers.
fn is_calm(now: Timestamp) -> bool {
    now - LAST_INLINE.with(Cell::get) >= QUIET
}

thread_local! {
    /// When this thread last ended an inline write.
    static LAST_INLINE: Cell<Timestamp> = const { Cell::new(Timestamp::ZERO) };
}

/// A simulated world begins, on a thread that may have had one before whose time was later.
#[cfg(feature = "testing")]
pub(crate) fn forget_inline() {
    LAST_INLINE.with(|last| last.set(Timestamp::ZERO));
}

#[cfg(all(test, shuttle))]
mod interleaved;
