//! Where samples of one interest come from.

use super::clock::Clock;
use super::gaps::Gaps;
use super::line::Line;
use super::signal::Signal;
use crate::event::{LostAt, PeerName};
use crate::flow::patience::Patience;
use crate::route::Route;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::time::Timestamp;
use crate::wire::control::Credit;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// One intent as one interest sees it: who it is, and what was granted, taken and lost.
pub(crate) struct Source {
    pub(crate) route: Route,
    pub(crate) peer: Option<Arc<PeerName>>,
    pub(crate) clock: Clock,
    /// How many samples may be on their way or unread; 0 where the interest is not lossless.
    window: u64,
    back: Back,
    /// What the thread that sends writes, where the intent is in this process.
    sending: Apart<Sending>,
    /// What the thread that reads writes.
    reading: Apart<Reading>,
    /// Dropped or replaced in the mailbox.
    lost_here: AtomicU64,
    /// Dropped by the sending side, as its GAPs told.
    lost_there: AtomicU64,
    /// Lost between the two sides, as LOSTs told.
    lost_on_the_way: AtomicU64,
    /// Numbers of a lossless interest that went by without a sample.
    gaps: Gaps,
    /// Samples with a number below this were granted, where they come over a line.
    granted: AtomicU64,
    /// The interest is cut off: its intent passes it over until it takes again.
    cut_off: AtomicBool,
    /// It was told that it may send.
    begun: AtomicBool,
    /// The alias ended, or nobody wants its samples any more: no credit is granted from now on.
    ended: AtomicBool,
}

/// Apart from its neighbours in memory: two threads on two cores that write to one cache line wait for
/// each other at every write.
#[derive(Default)]
#[repr(align(128))]
pub(super) struct Apart<T>(pub(super) T);

#[derive(Default)]
struct Sending {
    sent: AtomicU64,
    /// What `taken` was when it was looked at last.
    taken_seen: AtomicU64,
    /// How many of `sent` were passed over.
    passed_over: AtomicU64,
    /// The same since it was cut off.
    missed: AtomicU64,
    /// The intent was turned away since a sample was taken.
    is_full: AtomicBool,
    /// Since it was turned away first.
    patience: Mutex<Patience>,
}

#[derive(Default)]
struct Reading {
    /// Handed to the application, or dropped.
    taken: AtomicU64,
    /// What `taken` was when credit was granted last.
    reported: AtomicU64,
    /// Bytes of the samples taken since.
    bytes: AtomicU64,
}

/// Whether an interest of this endpoint has room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// None; when to look again, at the latest.
    None(Duration),
    /// It is cut off. When that happens just now: how many samples it has not taken.
    PassedOver(Option<u64>),
}

enum Back {
    Line {
        line: Weak<Line>,
        alias: u32,
    },
    Local(Arc<Signal>),
    /// A member of a group: nothing is granted, and its clock is known by how late its datagrams come.
    Group,
}

/// A source by identity.
#[derive(Clone)]
pub(crate) struct SourceRef(pub(crate) Arc<Source>);

impl PartialEq for SourceRef {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl SourceRef {
    /// Notes samples that were dropped or replaced unread.
    pub(crate) fn note_lost(&self, count: u64) {
        self.note_lost_here(count);
    }
}

impl std::ops::Deref for SourceRef {
    type Target = Source;
    #[inline]
    fn deref(&self) -> &Source {
        &self.0
    }
}

impl Source {
    /// An intent at the other end of a line.
    pub(crate) fn remote(route: Route, line: &Arc<Line>, alias: u32, window: Option<u32>) -> SourceRef {
        let back = Back::Line { line: Arc::downgrade(line), alias };
        Self::make(route, line.peer(), line.clock, window, back)
    }

    /// An intent of this endpoint; `room` is raised when a full interest has room again.
    pub(crate) fn local(route: Route, clock: Clock, window: Option<u32>, room: Arc<Signal>) -> SourceRef {
        Self::make(route, None, clock, window, Back::Local(room))
    }

    /// An intent of a member of a group.
    pub(crate) fn group(route: Route, peer: Arc<PeerName>, clock: Clock) -> SourceRef {
        Self::make(route, Some(peer), clock, None, Back::Group)
    }

    fn make(
        route: Route,
        peer: Option<Arc<PeerName>>,
        clock: Clock,
        window: Option<u32>,
        back: Back,
    ) -> SourceRef {
        SourceRef(Arc::new(Self {
            route,
            peer,
            clock,
            window: u64::from(window.unwrap_or(0)),
            back,
            sending: Apart::default(),
            reading: Apart::default(),
            lost_here: AtomicU64::new(0),
            lost_there: AtomicU64::new(0),
            lost_on_the_way: AtomicU64::new(0),
            gaps: Gaps::default(),
            granted: AtomicU64::new(0),
            cut_off: AtomicBool::new(false),
            begun: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        }))
    }

    /// How far the clock of this source may be off when an age is computed.
    pub(crate) fn clock_error(&self) -> Option<Duration> {
        match &self.back {
            Back::Local(_) => Some(Duration::ZERO),
            Back::Line { line, .. } => line.upgrade()?.clock_error(),
            Back::Group => None,
        }
    }

    /// It was told that it may send.
    pub(crate) fn begin(&self) {
        self.begun.store(true, Ordering::Relaxed);
    }

    /// Whether it was told that it may send. Its first sample may be faster than the one who tells it.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Relaxed) || self.reading.0.taken.load(Ordering::Relaxed) > 0
    }

    /// Whether its samples can come now: its session may wait for a link.
    pub(crate) fn is_carried(&self) -> bool {
        match &self.back {
            Back::Local(_) | Back::Group => true,
            Back::Line { line, .. } => line.upgrade().is_some_and(|line| line.is_carried()),
        }
    }

    /// Grants the first credit.
    pub(crate) fn open(&self) {
        self.report();
    }

    /// Notes that the application took one more sample, of so many bytes. One thread at a time does this.
    #[inline]
    pub(crate) fn took_one(&self, bytes: usize) {
        let Reading { taken: all, reported, bytes: unreported } = &self.reading.0;
        let taken = all.load(Ordering::Relaxed) + 1;
        all.store(taken, Ordering::Relaxed);
        if self.window > 0 {
            let bytes = unreported.load(Ordering::Relaxed) + bytes as u64;
            let due = taken - reported.load(Ordering::Relaxed) >= self.window.div_ceil(2);
            // A gap that comes just now is told of within a second, like any sample.
            if due || self.gaps.is_due(taken) || bytes >= TOLD_BYTES {
                unreported.store(0, Ordering::Relaxed);
                self.report();
            } else {
                unreported.store(bytes, Ordering::Relaxed);
            }
        }
    }

    /// Notes that `count` numbers, from `at` on, went by without a sample. Credit goes on behind them, which the other side
    /// may wait for.
    pub(crate) fn skip(&self, at: u64, count: u64) {
        if self.window > 0 {
            self.gaps.add(at, count);
            self.report();
        }
    }

    /// Tells the other side what a lossless interest took, where it does not know.
    pub(crate) fn tell_taken(&self) {
        let Reading { taken, reported, .. } = &self.reading.0;
        if self.window > 0 && taken.load(Ordering::Relaxed) != reported.load(Ordering::Relaxed) {
            self.report();
        }
    }

    /// The interest is cut off, or comes back. True if that is news.
    pub(crate) fn set_cut_off(&self, cut_off: bool) -> bool {
        self.cut_off.swap(cut_off, Ordering::Relaxed) != cut_off
    }

    /// Notes samples that were dropped or replaced unread.
    pub(crate) fn note_lost_here(&self, count: u64) {
        self.lost_here.fetch_add(count, Ordering::Relaxed);
    }

    /// Notes samples that were lost.
    pub(crate) fn note_lost_at(&self, count: u64, at: LostAt) {
        let counter = match at {
            LostAt::Here => &self.lost_here,
            LostAt::There => &self.lost_there,
            LostAt::OnTheWay => &self.lost_on_the_way,
        };
        counter.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn lost_here(&self) -> u64 {
        self.lost_here.load(Ordering::Relaxed)
    }

    pub(crate) fn lost_there(&self) -> u64 {
        self.lost_there.load(Ordering::Relaxed)
    }

    pub(crate) fn lost_on_the_way(&self) -> u64 {
        self.lost_on_the_way.load(Ordering::Relaxed)
    }

    /// Samples with a number below this were granted.
    pub(crate) fn granted(&self) -> u64 {
        if self.window == 0 { u64::MAX } else { self.granted.load(Ordering::Acquire) }
    }

    /// Whether there is room for one more sample of an intent of this endpoint.
    #[inline]
    pub(crate) fn has_room(&self) -> bool {
        if self.window == 0 {
            return true;
        }
        let Sending { sent, taken_seen, passed_over, .. } = &self.sending.0;
        let sent = sent.load(Ordering::Relaxed) - passed_over.load(Ordering::Relaxed);
        if sent < taken_seen.load(Ordering::Relaxed) + self.window {
            return true;
        }
        let taken = self.reading.0.taken.load(Ordering::Acquire);
        taken_seen.store(taken, Ordering::Relaxed);
        sent < taken + self.window
    }

    /// Whether an intent of this endpoint may go on, where there is no room for a sample of its.
    #[cold]
    pub(crate) fn turned_away(&self, stall: Duration) -> Room {
        let Sending { sent, passed_over, missed, is_full, patience, .. } = &self.sending.0;
        let taken = self.reading.0.taken.load(Ordering::Relaxed);
        let untaken = sent.load(Ordering::Relaxed) - passed_over.load(Ordering::Relaxed) - taken;
        if self.cut_off.load(Ordering::Relaxed) {
            return Room::PassedOver(None);
        }
        let mut patience = patience.lock();
        // The first time since a sample was taken; a full window is the same one as long as none is.
        if !is_full.swap(true, Ordering::Relaxed) {
            *patience = Patience::default();
        }
        match patience.look(self.clock.now(), stall) {
            Some(again) => Room::None(again),
            None => {
                missed.store(0, Ordering::Relaxed);
                self.cut_off.store(true, Ordering::Relaxed);
                Room::PassedOver(Some(untaken))
            }
        }
    }

    pub(crate) fn is_cut_off(&self) -> bool {
        self.cut_off.load(Ordering::Relaxed)
    }

    /// A sample of an intent of this endpoint goes past its interest.
    pub(crate) fn pass_over(&self) {
        let Sending { passed_over, missed, .. } = &self.sending.0;
        self.next_sequence();
        for count in [passed_over, missed] {
            count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        }
        self.note_lost_here(1);
    }

    /// There is room again: how many samples were missed, if the interest was cut off.
    #[inline]
    pub(crate) fn is_back(&self) -> Option<u64> {
        let Sending { missed, is_full, .. } = &self.sending.0;
        if !is_full.load(Ordering::Relaxed) {
            return None;
        }
        is_full.store(false, Ordering::Relaxed);
        self.cut_off.swap(false, Ordering::Relaxed).then(|| missed.load(Ordering::Relaxed))
    }

    /// Whether an intent of this endpoint sent anything yet.
    pub(crate) fn has_sent(&self) -> bool {
        self.sending.0.sent.load(Ordering::Relaxed) > 0
    }

    /// The number of the next sample of an intent of this endpoint, under the lock of its interest.
    #[inline]
    pub(crate) fn next_sequence(&self) -> u64 {
        let sequence = self.sending.0.sent.load(Ordering::Relaxed);
        self.sending.0.sent.store(sequence + 1, Ordering::Relaxed);
        sequence
    }

    /// Tells the sending side what was taken and lost, and grants the next credit. Several threads do this: the
    /// figures are looked up where their order is that on the line.
    pub(crate) fn report(&self) {
        let Reading { taken, reported, .. } = &self.reading.0;
        reported.store(taken.load(Ordering::Relaxed), Ordering::Relaxed);
        match &self.back {
            Back::Local(room) => room.raise(),
            Back::Group => {}
            Back::Line { line, alias } => {
                let Some(line) = line.upgrade() else { return };
                line.send_credit(|| self.credit(*alias), &self.ended);
            }
        }
    }

    fn credit(&self, alias: u32) -> Credit {
        let taken = self.reading.0.taken.load(Ordering::Relaxed);
        let taken = taken.saturating_add(self.gaps.counted(taken));
        let limit = if self.window == 0 { u64::MAX } else { taken.saturating_add(self.window) };
        self.granted.store(limit, Ordering::Release);
        let lost = self.lost_here().saturating_add(self.lost_on_the_way());
        Credit { alias, limit, taken, lost }
    }

    /// Grants no credit from now on: the alias may come to stand for another pair, whose credit a late
    /// one would be taken for. An application can still read what came, and takes from the source.
    pub(crate) fn end(&self) {
        if let Back::Line { line, .. } = &self.back {
            if let Some(line) = line.upgrade() {
                line.end_credit(&self.ended);
            }
        }
    }

    /// Tells the sending side what was taken and lost up to now.
    pub(crate) fn report_now(&self) {
        self.report();
    }

    /// When a sample was sent, as an age.
    pub(crate) fn age(&self, sent: Timestamp) -> Duration {
        self.clock.now() - sent
    }
}

/// How many bytes are taken before the other side is told, at most, whatever their number. It may keep no more
/// than some bytes that were not told to be taken.
///
/// As with a mark, each time wakes a thread on the other side: with 128 KiB, samples of 64 KiB came at
/// 1.77 GB/s over loopback, with 512 KiB at 1.96 (medians of 7, in turn), and with each process on one processor at 2.2 to 2.6
/// and 2.6 to 2.8.
const TOLD_BYTES: u64 = 512 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::inbox::Inbox;
    use crate::transport::memory;
    use crate::wire::control::Control;
    use crate::wire::{Frame, Limits, Split, decode, split};
    use crossbeam_channel::bounded;

    #[test]
    fn an_alias_that_ended_gets_no_late_credit() {
        let (here, there) = memory::pair();
        let (clock, (dispatcher, _inputs)) = (Clock::start(), bounded(1));
        let line = Line::new("memory://test".to_owned(), here, clock, 1024, dispatcher);
        let route = Route::parse("Imu@robot.imu").unwrap();
        let source = Source::remote(route, &line, 3, Some(1));
        source.open();
        source.took_one(4);
        source.end();
        source.took_one(4);
        source.report_now();
        line.connection.close();

        let mut bytes = vec![0; 1024];
        let mut count = 0;
        while let Ok(more @ 1..) = there.read(&mut bytes[count..]) {
            count += more;
        }
        let (mut credits, mut rest) = (Vec::new(), &bytes[..count]);
        while let Ok(Split::Frame { frame: Frame::Control { kind, body }, consumed }) =
            split(rest, Limits::HANDSHAKE)
        {
            credits.push(decode(kind, body).unwrap());
            rest = &rest[consumed..];
        }
        let credit = |limit, taken| Control::Credit(Credit { alias: 3, limit, taken, lost: 0 });
        assert_eq!(credits, [credit(1, 0), credit(2, 1)]);
        assert!(rest.is_empty());
    }

    /// Between the credit and whoever says that it was sent, the first sample may come.
    #[test]
    fn who_sent_a_sample_has_begun() {
        use crate::delivery::Delivery;
        use crate::proto::InterestId;
        use crate::runtime::inbox::Waited;
        let route = Route::parse("Imu@robot.imu").unwrap();
        let message = std::any::TypeId::of::<u64>();
        let inbox = Inbox::new(InterestId(1), route.clone(), message, Delivery::Queue(9), None);
        let sources = [(); 2].map(|()| Source::local(route.clone(), Clock::start(), None, Arc::default()));
        sources.iter().for_each(|source| inbox.add_supplier(source.clone()));
        let soon = Some(std::time::Instant::now());
        assert_eq!((inbox.suppliers(), inbox.wait_supplier(soon)), (0, Waited::TimedOut));
        sources[0].took_one(4);
        assert_eq!((inbox.suppliers(), inbox.wait_supplier(soon)), (1, Waited::Ready));
        for source in &sources {
            inbox.supplier_came(source);
        }
        assert_eq!(inbox.suppliers(), 2);
        inbox.remove_supplier(&sources[0]);
        assert_eq!(inbox.suppliers(), 1);
    }
}
