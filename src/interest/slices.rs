//! Raw bytes read where they lie.

use super::{Interest, RecvError};
use crate::bytes::Bytes;
use crate::event::PeerName;
use crate::flow::run::{Content, Run, Taken};
use crate::route::Route;
use crate::runtime::source::SourceRef;
use crate::time::Timestamp;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::ops::Deref;
use std::time::Duration;

/// One sample of raw bytes where it lies, as [`Interest::recv_slices`] shows it.
///
/// It dereferences to the bytes, and tells what a [`Sample`](crate::Sample) tells.
#[derive(Clone, Copy)]
pub struct Slice<'a> {
    bytes: &'a [u8],
    sequence: u64,
    sent: Timestamp,
    source: &'a SourceRef,
}

impl<'a> Slice<'a> {
    /// The bytes.
    #[inline]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// As [`Sample::age`](crate::Sample::age).
    pub fn age(&self) -> Duration {
        self.source.age(self.sent)
    }

    /// As [`Sample::age_error`](crate::Sample::age_error).
    pub fn age_error(&self) -> Option<Duration> {
        self.source.clock_error()
    }

    /// When it was sent, by this endpoint's clock.
    #[inline]
    pub fn sent(&self) -> Timestamp {
        self.sent
    }

    /// Its number among those of its intent for this interest, from 0. A gap is that many samples lost.
    #[inline]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Who sent it; `None` if this endpoint did.
    pub fn peer(&self) -> Option<&'a PeerName> {
        self.source.peer.as_deref()
    }

    /// The route it came on.
    pub fn route(&self) -> &'a Route {
        &self.source.route
    }
}

impl Deref for Slice<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.bytes
    }
}

impl fmt::Debug for Slice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slice")
            .field("bytes", &self.bytes.len())
            .field("sequence", &self.sequence)
            .field("age", &self.age())
            .finish_non_exhaustive()
    }
}

impl Interest<Bytes> {
    /// Shows each sample that waits to `each`, in order and where it lies, and returns how many there were: at least
    /// one. Waits for the first for at most `timeout`.
    ///
    /// For small samples by the million: nothing is copied, and nothing counted that other threads count too. No
    /// more are shown than can have waited when it was called, twice the interest's depth at most. `each` is called by
    /// the thread that called this, under no lock, and may take its time; what it keeps it copies. A sample it panics at
    /// counts as read. What is read from the same interest inside `each` comes before what this call has yet to show.
    ///
    /// ```
    /// use bowline::{Bytes, Endpoint, Intent, Interest};
    /// use std::time::Duration;
    /// let robot = Endpoint::builder("robot").start()?;
    /// let adc: Intent<Bytes> = robot.intent("robot.adc")?;
    /// let wanted: Interest<Bytes> = robot.interest("robot.adc")?;
    /// adc.wait_interest(Duration::from_secs(1));
    /// adc.send_slice(&[1, 2], Duration::ZERO)?;
    /// let mut sum = 0;
    /// let count = wanted.recv_slices(Duration::from_secs(1), |slice| sum += slice.iter().map(|b| u32::from(*b)).sum::<u32>())?;
    /// assert_eq!((count, sum), (1, 3));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When none came in time, or the endpoint is closed and all were read.
    pub fn recv_slices(
        &self,
        timeout: Duration,
        mut each: impl FnMut(Slice<'_>),
    ) -> Result<usize, RecvError> {
        let mut deadline = None;
        loop {
            let count = self.show_all(&mut each);
            if count > 0 {
                return Ok(count);
            }
            self.wait(Some(timeout), &mut deadline)?;
        }
    }

    fn show_all(&self, each: &mut impl FnMut(Slice<'_>)) -> usize {
        let mut hold = Hold::of(&self.taken);
        let turns = if self.inbox.delivery.is_lossless() { 1 } else { self.inbox.delivery.depth() };
        let mut count = 0;
        for turn in 0..=turns {
            loop {
                while let Some(taken) = hold.runs.front_mut().and_then(Run::next) {
                    taken.source.took_one(taken.bytes());
                    count += usize::from(self.show(taken, each));
                }
                if hold.runs.len() <= 1 {
                    break;
                }
                hold.runs.pop_front();
            }
            if turn == turns || !self.refill(&mut hold.runs) {
                break;
            }
        }
        count
    }

    /// Shows one; false if it is no bytes.
    #[inline(always)]
    fn show(&self, taken: Taken<'_, SourceRef>, each: &mut impl FnMut(Slice<'_>)) -> bool {
        let Taken { source, sequence, sent, content } = taken;
        match content {
            Content::Encoded(payload) => each(Slice { bytes: payload.as_slice(), sequence, sent, source }),
            Content::Local(message) => {
                let Some(bytes) = message.downcast_ref::<Bytes>() else {
                    self.inbox.note_undecodable();
                    log::warn!("a sample of `{}` is of another Rust type", self.inbox.route);
                    return false;
                };
                each(Slice { bytes, sequence, sent, source });
            }
        }
        true
    }
}

/// What was taken from the mailbox, held apart while the application looks at it: it may read on meanwhile, or panic.
struct Hold<'a> {
    home: &'a RefCell<VecDeque<Run<SourceRef>>>,
    runs: VecDeque<Run<SourceRef>>,
}

impl<'a> Hold<'a> {
    fn of(home: &'a RefCell<VecDeque<Run<SourceRef>>>) -> Self {
        Self { home, runs: home.take() }
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        let mut home = self.home.borrow_mut();
        // Where something was read meanwhile, what it left is later than this.
        let mut later = std::mem::replace(&mut *home, std::mem::take(&mut self.runs));
        later.retain(|run| run.len() > 0);
        home.append(&mut later);
    }
}
