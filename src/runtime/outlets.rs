//! An intent as the threads see it, and the path of a sample out.
//!
//! The dispatcher publishes where an intent's samples go as an immutable list; the intent takes it
//! over when its number changes. So a send takes no lock but that of the link it sends on.

use super::edits::Place;
use super::group::outlet::GroupOutlet;
use super::inbox::Inbox;
use super::input::Input;
use super::line::Line;
#[cfg(feature = "lz4")]
use super::packing::Packer;
use super::signal::Signal;
use super::source::SourceRef;
use super::stalls::{Note, Stall};
use crate::bytes::Bytes;
use crate::event::PeerName;
use crate::flow::Shared;
use crate::flow::batch::Batch;
use crate::flow::lane::LaneId;
use crate::flow::outbox::{Outgoing, Put, Taken};
use crate::links::Links;
use crate::outcome::{Fate, Outcome};
use crate::priority::Priority;
use crate::proto::IntentId;
use crate::route::Route;
use crate::settings::Bounds;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::time::Timestamp;
use crossbeam_channel::Sender;
use std::any::TypeId;
use std::cell::OnceCell;
use std::sync::Arc;
use std::time::Duration;

mod room;

use room::{admits, note, turned};

/// An intent as the threads see it.
pub(crate) struct Outlets {
    pub(crate) id: IntentId,
    pub(crate) route: Route,
    pub(crate) exclusive: bool,
    pub(crate) priority: Priority,
    /// Over which links to a peer its samples go.
    pub(crate) links: Links,
    /// The Rust type of its messages.
    pub(crate) message: TypeId,
    list: Mutex<Arc<Vec<Outlet>>>,
    /// Counts the published lists.
    edition: AtomicU64,
    /// Raised when there may be room or interest where there was none.
    pub(crate) signal: Arc<Signal>,
    /// How much a lossless interest may hold it up.
    pub(crate) bounds: Bounds,
    /// What was noted of interests that stall, to be told.
    notes: Mutex<Vec<Note>>,
    /// The last sample, kept for latecomers; `None` where the intent does not retain.
    retained: Option<Mutex<Kept>>,
    closed: AtomicBool,
}

/// One interest an intent is linked with.
#[derive(Clone)]
pub(crate) enum Outlet {
    Remote {
        line: Arc<Line>,
        lane: LaneId,
        lossless: bool,
    },
    /// The same, and payloads are packed.
    #[cfg(feature = "lz4")]
    Packed {
        line: Arc<Line>,
        lane: LaneId,
        lossless: bool,
        /// The largest payload the peer takes, before it is packed.
        largest: usize,
    },
    /// `encoded` where the interest is in another Rust type, of the same shape.
    Local {
        inbox: Arc<Inbox>,
        source: SourceRef,
        encoded: bool,
    },
    /// Everyone in a group.
    Group(Arc<GroupOutlet>),
}

/// The last sample of an intent.
#[derive(Clone)]
pub(crate) struct Retained {
    pub(crate) sent: Timestamp,
    pub(crate) payload: Bytes,
    /// What [`Sending::count`] was.
    pub(crate) number: u64,
}

/// What is there for latecomers.
#[derive(Default)]
struct Kept {
    last: Option<Retained>,
    /// The intent is sending: whether this or another sample is the last one will be known in a moment.
    sending: bool,
    /// Somebody came late meanwhile, and got nothing yet.
    missed: bool,
}

impl Outlets {
    pub(crate) fn new(
        id: IntentId,
        route: Route,
        message: TypeId,
        exclusive: bool,
        retain: bool,
        bounds: Bounds,
    ) -> Self {
        Self {
            id,
            route,
            exclusive,
            priority: Priority::Normal,
            links: Links::Best,
            message,
            list: Mutex::default(),
            edition: AtomicU64::new(0),
            signal: Arc::default(),
            bounds,
            notes: Mutex::default(),
            retained: retain.then(Mutex::default),
            closed: AtomicBool::new(false),
        }
    }

    /// The same with a priority.
    pub(crate) fn ranked(self, priority: Priority) -> Self {
        Self { priority, ..self }
    }

    /// The same over these links.
    pub(crate) fn over(self, links: Links) -> Self {
        Self { links, ..self }
    }

    pub(crate) fn retains(&self) -> bool {
        self.retained.is_some()
    }

    /// The intent is about to send; until [`end_send`](Self::end_send) no latecomer is given anything.
    ///
    /// A sample is the last one only once it was sent: what is turned away goes back to the application, and
    /// comes again. And it must be retained as soon as it was sent, or who came late would miss it. So
    /// whoever comes in between waits for the end.
    pub(crate) fn begin_send(&self) {
        if let Some(kept) = &self.retained {
            kept.lock().sending = true;
        }
    }

    /// The intent sent a sample to retain, or was turned away. Returns what is to be given to all who never
    /// got anything, if one of them came meanwhile.
    pub(crate) fn end_send(&self, sent: Option<Retained>) -> Option<Retained> {
        let mut kept = self.retained.as_ref()?.lock();
        kept.sending = false;
        if sent.is_some() {
            kept.last = sent;
        }
        if std::mem::take(&mut kept.missed) { kept.last.clone() } else { None }
    }

    /// Publishes another list.
    ///
    /// A retaining send begins before it reads the list, and the dispatcher publishes before it reads what is
    /// retained: so a latecomer that the send does not find in the list is given its sample. `put_first` and
    /// `deliver_first` see to it that none is given twice, or after a newer one.
    pub(crate) fn publish(&self, change: impl FnOnce(&mut Vec<Outlet>)) {
        let mut list = self.list.lock();
        let mut outlets = Vec::clone(&list);
        change(&mut outlets);
        *list = Arc::new(outlets);
        self.edition.fetch_add(1, Ordering::Release);
        drop(list);
        self.signal.raise();
    }

    pub(crate) fn list(&self) -> Arc<Vec<Outlet>> {
        Arc::clone(&self.list.lock())
    }

    /// Gives what is retained to a latecomer, or leaves that to the intent if it is sending. It cannot begin
    /// to send meanwhile: it would find room for another sample which this one takes.
    pub(crate) fn give_retained<T>(&self, give: impl FnOnce(&Retained) -> T) -> Option<T> {
        let mut kept = self.retained.as_ref()?.lock();
        if kept.sending {
            kept.missed = true;
            return None;
        }
        kept.last.as_ref().map(give)
    }

    /// How many interests would get a sample now.
    pub(crate) fn interested(&self) -> usize {
        self.list().iter().map(Outlet::interested).sum()
    }

    pub(crate) fn take_notes(&self) -> Vec<Note> {
        std::mem::take(&mut self.notes.lock())
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.signal.raise();
    }

    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }
}

impl Outlet {
    /// A lane of a line; `packed` where that was agreed on.
    pub(super) fn remote(line: &Arc<Line>, lane: LaneId, lossless: bool, packed: bool) -> Self {
        let line = Arc::clone(line);
        #[cfg(feature = "lz4")]
        if packed {
            line.set_packed(lane.alias);
            let largest = line.largest();
            return Outlet::Packed { line, lane, lossless, largest };
        }
        debug_assert!(!packed, "nobody here asked for it");
        Outlet::Remote { line, lane, lossless }
    }

    /// Where it leads.
    pub(super) fn place(&self) -> Option<Place> {
        match self {
            Outlet::Remote { line, lane, .. } => Some(Place::Remote(line.id()?, lane.alias)),
            #[cfg(feature = "lz4")]
            Outlet::Packed { line, lane, .. } => Some(Place::Remote(line.id()?, lane.alias)),
            Outlet::Local { inbox, .. } => Some(Place::Local(inbox.id)),
            Outlet::Group(_) => None,
        }
    }

    /// The interest of this endpoint that it leads to.
    pub(super) fn local(&self) -> Option<(Arc<Inbox>, SourceRef)> {
        match self {
            Outlet::Remote { .. } | Outlet::Group(_) => None,
            #[cfg(feature = "lz4")]
            Outlet::Packed { .. } => None,
            Outlet::Local { inbox, source, .. } => Some((Arc::clone(inbox), source.clone())),
        }
    }

    /// How many interests would get a sample now.
    fn interested(&self) -> usize {
        match self {
            Outlet::Remote { line, lane, .. } => usize::from(line.is_open(*lane)),
            #[cfg(feature = "lz4")]
            Outlet::Packed { line, lane, .. } => usize::from(line.is_open(*lane)),
            Outlet::Local { inbox, .. } => usize::from(!inbox.is_closed()),
            Outlet::Group(group) => group.interested(),
        }
    }

    fn peer(&self) -> Option<Arc<PeerName>> {
        match self {
            Outlet::Remote { line, .. } => line.peer(),
            #[cfg(feature = "lz4")]
            Outlet::Packed { line, .. } => line.peer(),
            Outlet::Local { .. } => None,
            Outlet::Group(group) => Some(group.peer()),
        }
    }
}

/// The sending half of one intent, owned by the thread that sends.
pub(crate) struct Sending {
    pub(crate) core: Arc<Outlets>,
    edition: u64,
    list: Arc<Vec<Outlet>>,
    needs: Needs,
    /// What became of the last sample, outlet by outlet.
    fates: Vec<Fate>,
    /// For how many more samples there is room with all outlets, and of what size at most.
    admitted: usize,
    admitted_size: usize,
    /// Room for an inline write.
    spare: Batch,
    /// How many samples went to more than one outlet or to a group, and one.
    count: u64,
    #[cfg(feature = "lz4")]
    pub(crate) packer: Packer,
    dispatcher: Sender<Input>,
}

/// In which forms a message is needed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Needs {
    /// Encoded, for links.
    pub(crate) bytes: bool,
    /// As it is, for interests of this endpoint.
    pub(crate) message: bool,
}

impl Needs {
    #[inline]
    pub(crate) fn is_nothing(self) -> bool {
        !self.bytes && !self.message
    }
}

/// Why nothing was sent to anyone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turned {
    /// The first outlet in the way, why, and when to look again whether one is to be cut off.
    NoRoom {
        place: usize,
        fate: Fate,
        left: Duration,
    },
    TooLarge {
        limit: usize,
    },
}

impl Sending {
    pub(crate) fn new(core: Arc<Outlets>, dispatcher: Sender<Input>) -> Self {
        Self {
            core,
            edition: 0,
            list: Arc::default(),
            needs: Needs::default(),
            fates: Vec::new(),
            admitted: 0,
            admitted_size: 0,
            spare: Batch::default(),
            count: 1,
            #[cfg(feature = "lz4")]
            packer: Packer::default(),
            dispatcher,
        }
    }

    /// Takes over the newest list, and says what a send to it needs.
    #[inline]
    pub(crate) fn refresh(&mut self) -> Needs {
        let edition = self.core.edition.load(Ordering::Acquire);
        if edition != self.edition {
            self.edition = edition;
            self.admitted = 0;
            self.list = self.core.list();
            self.fates.clear();
            self.fates.resize(self.list.len(), Fate::NoInterest);
            self.needs = Needs {
                bytes: self.list.iter().any(|outlet| !matches!(outlet, Outlet::Local { encoded: false, .. })),
                message: self
                    .list
                    .iter()
                    .any(|outlet| matches!(outlet, Outlet::Local { encoded: false, .. })),
            };
        }
        self.needs
    }

    /// A number by which a group tells the samples that went to it from others.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Whether nobody is interested, by the list taken over last.
    #[inline]
    pub(crate) fn is_alone(&self) -> bool {
        self.needs.is_nothing()
    }

    /// Sends to all outlets or, where a lossless one has no room, to none.
    #[inline]
    pub(crate) fn send(
        &mut self,
        sample: Outgoing<'_>,
        message: impl FnOnce() -> Option<Shared>,
    ) -> Result<Outcome, Turned> {
        let fate = match self.list.as_slice() {
            [Outlet::Remote { line, lane, lossless }] => {
                match line.put(*lane, sample, false, &mut self.spare) {
                    put @ (Put::NoRoom | Put::NoCredit(_) | Put::TooManyBytes(_)) => {
                        return Err(turned(&mut self.fates, put));
                    }
                    Put::TooLarge if *lossless => return Err(line.too_large()),
                    Put::PassedOver(Some(untaken)) => {
                        note(&self.core, &self.dispatcher, line.peer(), Stall::CutOff(untaken));
                        Fate::PassedOver
                    }
                    put => fate_on(line, put),
                }
            }
            // The message is moved: counting it up and down again on the way would cost as much as all the
            // rest, as its count is most often in the cache of another core.
            [Outlet::Local { inbox, source, encoded: false }] => {
                match admits(&self.core, &self.dispatcher, inbox, source) {
                    Put::NoCredit(left) => return Err(turned(&mut self.fates, Put::NoCredit(left))),
                    Put::PassedOver(_) => {
                        source.pass_over();
                        Fate::PassedOver
                    }
                    _ => {
                        let taken = message().is_some_and(|message| inbox.deliver_local(source, message));
                        if taken { Fate::Delivered } else { Fate::NoInterest }
                    }
                }
            }
            _ => return self.send_to_many(sample, message),
        };
        if let Some(last) = self.fates.first_mut() {
            *last = fate;
        }
        Ok(Outcome::NOBODY.and(fate))
    }

    /// Sends some of `payloads` where there is one outlet, and that a link: how many, and what became of the worst.
    /// `None` where there is another list, or the first is not simply taken: [`send`](Self::send) tells why.
    pub(crate) fn send_some(&mut self, payloads: &[&[u8]]) -> Option<(usize, Outcome)> {
        let [Outlet::Remote { line, lane, .. }] = self.list.as_slice() else { return None };
        let (count, replaced) = line.put_some(*lane, payloads)?;
        let fate = if replaced { Fate::Replaced } else { fate_on(line, Put::Queued) };
        if let Some(last) = self.fates.first_mut() {
            *last = fate;
        }
        Some((count, Outcome::NOBODY.and(fate)))
    }

    fn send_to_many(
        &mut self,
        sample: Outgoing<'_>,
        message: impl FnOnce() -> Option<Shared>,
    ) -> Result<Outcome, Turned> {
        #[cfg(feature = "lz4")]
        self.packer.begin(&self.list, sample.payload);
        self.admit(sample.payload.len())?;
        #[cfg(feature = "lz4")]
        self.packer.goes();
        let message = if self.needs.message { message() } else { None };
        let mut outcome = Outcome::NOBODY;
        let (mut sample, copy) = (sample, OnceCell::new());
        self.count += 1;
        self.fates.clear();
        for outlet in self.list.iter() {
            let fate = match outlet {
                Outlet::Remote { line, lane, lossless } => {
                    let put = line.put(*lane, sample, *lossless, &mut self.spare);
                    if matches!(put, Put::Parked(_)) && sample.shared.is_none() {
                        // What the others park is one copy, however many interests a peer declares.
                        sample.shared = Some(copy.get_or_init(|| Bytes::copy_from_slice(sample.payload)));
                    }
                    fate_on(line, put)
                }
                #[cfg(feature = "lz4")]
                Outlet::Packed { largest, .. } if sample.payload.len() > *largest => Fate::TooLarge,
                #[cfg(feature = "lz4")]
                Outlet::Packed { line, lane, lossless, .. } => {
                    let packed = self.packer.sample_for(line);
                    let put = line.put(*lane, packed, *lossless, &mut self.spare);
                    self.packer.note(line, sample.payload.len(), packed.payload.len(), put);
                    fate_on(line, put)
                }
                Outlet::Local { source, .. } if source.is_cut_off() => {
                    source.pass_over();
                    Fate::PassedOver
                }
                Outlet::Local { inbox, source, encoded: true } => {
                    match inbox.deliver_bytes(source, sample.payload) {
                        true => Fate::Delivered,
                        false => Fate::NoInterest,
                    }
                }
                Outlet::Local { inbox, source, encoded: false } => match &message {
                    Some(message) if inbox.deliver_local(source, Arc::clone(message)) => Fate::Delivered,
                    _ => Fate::NoInterest,
                },
                Outlet::Group(group) => group.put(sample, self.count),
            };
            self.fates.push(fate);
            outcome = outcome.and(fate);
        }
        if !matches!(outcome.worst(), Fate::Queued | Fate::Written) {
            self.admitted = 0;
        }
        Ok(outcome)
    }

    /// The other endpoint of an outlet; `None` where it is this one.
    pub(crate) fn peer(&self, place: usize) -> Option<Arc<PeerName>> {
        self.list.get(place).and_then(Outlet::peer)
    }

    /// Gives a retained sample to all who never got anything.
    #[cold]
    pub(crate) fn give_missed(&mut self, retained: &Retained) {
        // Only to be given to: what the next send needs is told by its own look at the list.
        for outlet in self.core.list().iter() {
            match outlet {
                #[cfg(feature = "lz4")]
                Outlet::Packed { line, lane, .. } => {
                    line.put_retained(*lane, &retained.payload, retained.sent)
                }
                Outlet::Remote { line, lane, .. } => {
                    line.put_retained(*lane, &retained.payload, retained.sent)
                }
                Outlet::Local { inbox, source, .. } => inbox.deliver_first(source, retained),
                Outlet::Group(group) => group.repeat(retained),
            }
        }
    }

    /// What became of the last sample, for each peer; `None` for an interest of this endpoint.
    pub(crate) fn outcomes(&self) -> Vec<(Option<Arc<PeerName>>, Fate)> {
        self.list.iter().zip(&self.fates).map(|(outlet, fate)| (outlet.peer(), *fate)).collect()
    }
}

/// What became of a sample on its way to a link.
#[inline]
fn fate_on(line: &Line, put: Put) -> Fate {
    match fate_of(put) {
        Fate::Queued if !line.is_carried() => Fate::Waits,
        fate => fate,
    }
}

fn fate_of(put: Put) -> Fate {
    match put {
        Put::Queued | Put::Parked(0) => Fate::Queued,
        Put::Held => Fate::Waits,
        Put::Inline => Fate::Written,
        Put::Parked(_) => Fate::Replaced,
        Put::NoRoom => Fate::LinkFull,
        Put::NoCredit(_) => Fate::NoCredit,
        Put::TooManyBytes(_) => Fate::TooManyBytes,
        Put::PassedOver(_) => Fate::PassedOver,
        Put::NotOpen => Fate::NoInterest,
        Put::TooLarge => Fate::TooLarge,
        Put::Closed => Fate::LinkDown,
        Put::Copied(Taken::Inline, _) => Fate::Written,
        Put::Copied(Taken::Queued | Taken::Parked(0), _) => Fate::Queued,
        Put::Copied(Taken::Parked(_), _) => Fate::Replaced,
    }
}

#[cfg(test)]
mod tests;
