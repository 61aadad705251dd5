//! Where samples of one interest come from.

use super::clock::Clock;
use super::line::Line;
use super::signal::Signal;
use crate::event::{LostAt, PeerName};
use crate::route::Route;
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
}

#[derive(Default)]
struct Reading {
    /// Handed to the application, or dropped.
    taken: AtomicU64,
    /// What `taken` was when credit was granted last.
    reported: AtomicU64,
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

    /// Grants the first credit.
    pub(crate) fn open(&self) {
        self.report(self.reading.0.taken.load(Ordering::Relaxed));
    }

    /// Notes that the application took one more sample. One thread at a time does this.
    #[inline]
    pub(crate) fn took_one(&self) {
        let taken = self.reading.0.taken.load(Ordering::Relaxed) + 1;
        self.reading.0.taken.store(taken, Ordering::Relaxed);
        if self.window > 0
            && taken - self.reading.0.reported.load(Ordering::Relaxed) >= self.window.div_ceil(2)
        {
            self.report(taken);
        }
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
        if self.window == 0 {
            u64::MAX
        } else {
            self.reading.0.reported.load(Ordering::Acquire) + self.window
        }
    }

    /// Whether there is room for one more sample of an intent of this endpoint.
    #[inline]
    pub(crate) fn has_room(&self) -> bool {
        if self.window == 0 {
            return true;
        }
        let Sending { sent, taken_seen } = &self.sending.0;
        let sent = sent.load(Ordering::Relaxed);
        if sent < taken_seen.load(Ordering::Relaxed) + self.window {
            return true;
        }
        let taken = self.reading.0.taken.load(Ordering::Acquire);
        taken_seen.store(taken, Ordering::Relaxed);
        sent < taken + self.window
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

    /// Tells the sending side what was taken and lost, and grants the next credit.
    pub(crate) fn report(&self, taken: u64) {
        self.reading.0.reported.store(taken, Ordering::Release);
        match &self.back {
            Back::Local(room) => room.raise(),
            Back::Group => {}
            Back::Line { line, alias } => {
                let Some(line) = line.upgrade() else { return };
                let limit = if self.window == 0 { u64::MAX } else { taken + self.window };
                let lost = self.lost_here().saturating_add(self.lost_on_the_way());
                let credit = Credit { alias: *alias, limit, taken, lost };
                line.send_credit(credit, &self.ended);
            }
        }
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
        self.report(self.reading.0.taken.load(Ordering::Relaxed));
    }

    /// When a sample was sent, as an age.
    pub(crate) fn age(&self, sent: Timestamp) -> Duration {
        self.clock.now() - sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
        source.took_one();
        source.end();
        source.took_one();
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
}
