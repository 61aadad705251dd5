//! Raw bytes sent from where they are.

use super::{Intent, LONGEST_WAIT, SendError, State, Why};
use crate::bytes::Bytes;
use crate::flow::outbox::Outgoing;
use crate::outcome::Outcome;
use crate::time;
use std::time::Duration;

impl Intent<Bytes> {
    /// Sends bytes from where they are: they are copied once, into the outgoing buffer of each link.
    ///
    /// For small messages this is the cheapest way; from 16 KiB on, a [`Bytes`] that is sent by
    /// [`send_timeout`](Intent::send_timeout) is not copied at all. Waits for room for at most `timeout`.
    ///
    /// ```
    /// use bowline::{Bytes, Endpoint, Intent};
    /// use std::time::Duration;
    /// let robot = Endpoint::builder("robot").start()?;
    /// let intent: Intent<Bytes> = robot.intent("robot.raw")?;
    /// let buffer = [7; 16];
    /// intent.send_slice(&buffer, Duration::ZERO)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`send`](Intent::send); the error holds nothing, as the bytes are still the caller's.
    #[inline]
    pub fn send_slice(&self, bytes: &[u8], timeout: Duration) -> Result<Outcome, SendError<()>> {
        let mut state = self.state.borrow_mut();
        let State { sending, .. } = &mut *state;
        if sending.refresh().message || self.core.retains() {
            drop(state);
            let sent = self.deliver(Bytes::copy_from_slice(bytes), timeout);
            return sent.map_err(|SendError { route, why, .. }| SendError { message: (), route, why });
        }
        if self.core.is_closed() {
            return Err(self.error((), Why::Closed));
        }
        if bytes.len() > self.largest {
            return Err(self.error((), Why::TooLarge { size: bytes.len(), limit: self.largest }));
        }
        if sending.is_alone() {
            return Ok(Outcome::NOBODY);
        }
        let sample = Outgoing { payload: bytes, shared: None };
        match sending.send(sample, || None) {
            Ok(outcome) => Ok(outcome),
            Err(turned) => {
                self.wait_for_room(sending, sample, turned, timeout).map_err(|why| self.error((), why))
            }
        }
    }

    /// Sends each of `slices` as a sample of its own, in order: as [`send_slice`](Intent::send_slice) for each of
    /// them, but where there is one interest, and that at the other end of a link, up to 64 of them for the price of
    /// one lock.
    ///
    /// For a source that has many small samples at once: a log that is read, a converter that fills a buffer. Waits
    /// for room for at most `timeout` in all. The outcome is the least of theirs: the fewest that took one, and the worst
    /// that happened to any.
    ///
    /// ```
    /// use bowline::{Bytes, Endpoint, Intent};
    /// use std::time::Duration;
    /// let robot = Endpoint::builder("robot").start()?;
    /// let intent: Intent<Bytes> = robot.intent("robot.adc")?;
    /// let readings = [[1, 0], [2, 0], [3, 0]];
    /// let slices = readings.each_ref().map(|reading| reading.as_slice());
    /// intent.send_slices(&slices, Duration::ZERO)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`send`](Intent::send), of the first that was not sent; the error holds how many were sent before. Where one
    /// is larger than this endpoint sends, none is.
    pub fn send_slices(&self, slices: &[&[u8]], timeout: Duration) -> Result<Outcome, SendError<usize>> {
        if let Some(large) = slices.iter().find(|slice| slice.len() > self.largest) {
            return Err(self.error(0, Why::TooLarge { size: large.len(), limit: self.largest }));
        }
        let (mut done, mut least, mut deadline) = (0, None, None);
        while let Some((next, rest)) = slices.get(done..).and_then(<[&[u8]]>::split_first) {
            let some = if rest.is_empty() { None } else { self.send_some(&slices[done..]) };
            let (count, outcome) = match some {
                Some(sent) => sent,
                None => {
                    let one = match self.send_slice(next, Duration::ZERO) {
                        Err(error) if error.is_no_credit() && !timeout.is_zero() => {
                            let until =
                                *deadline.get_or_insert_with(|| time::instant() + timeout.min(LONGEST_WAIT));
                            self.send_slice(next, until.saturating_duration_since(time::instant()))
                        }
                        one => one,
                    };
                    (1, one.map_err(|error| error.exchange(done).0)?)
                }
            };
            done += count;
            least = Some(least.map_or(outcome, |least: Outcome| least.least(outcome)));
        }
        Ok(least.unwrap_or(Outcome::NOBODY))
    }

    /// Sends some at once to the one peer that wants them; `None` where that is not how it is, or it has no room.
    fn send_some(&self, slices: &[&[u8]]) -> Option<(usize, Outcome)> {
        let State { sending, .. } = &mut *self.state.borrow_mut();
        if sending.refresh().message || self.core.retains() || self.core.is_closed() {
            return None;
        }
        sending.send_some(slices)
    }
}
