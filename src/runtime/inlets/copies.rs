//! Copies of samples, which come by links that stand by: before the samples themselves, behind them, or instead.
//!
//! ```text
//!      came by the stream     came by copies, the stream brings them again
//!   ──────────────────────┬──────────────────────┬─────────►
//!                         │        behind        │
//!                   next of the stream        sequence: the next copy that is taken
//! ```

use super::{Head, Inlets, Origin, Slot};
use crate::event::LostAt;
use crate::flow::outbox::Outgoing;
use crate::reason::Reason;
use crate::time::Timestamp;
use crate::wire::copied::Copied;

/// A copy, and where its payload lies in a chunk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CopyAt {
    alias: u32,
    ends: u32,
    number: u64,
    sent: Timestamp,
    start: usize,
    end: usize,
}

impl CopyAt {
    /// One whose payload ends at `end` of its chunk.
    pub(crate) fn new(copied: &Copied<'_>, end: usize) -> Self {
        let Copied { alias, ends, number, sent, payload } = *copied;
        Self { alias, ends, number, sent, start: end - payload.len(), end }
    }
}

impl Inlets {
    /// The alias ended, as the other side said in the row of the session.
    pub(super) fn count_end(&mut self, alias: u32) {
        let place = alias as usize;
        if self.ends.len() <= place {
            self.ends.resize(place + 1, 0);
        }
        self.ends[place] = self.ends[place].wrapping_add(1);
    }

    /// Takes in a copy, if the sample is the next one that is wanted. Then [`flush`](Self::flush) has to follow, before
    /// anything of another chunk.
    pub(crate) fn copy(&mut self, copy: &CopyAt, origin: Origin<'_>) -> Result<(), Reason> {
        let CopyAt { alias, ends, number, sent, start, end } = *copy;
        if self.ends.get(alias as usize).copied().unwrap_or(0) != ends || self.assemblies.has(alias) {
            // Of another pair under this alias; or the sample itself is coming in pieces.
            return Ok(());
        }
        // What is not known here the link that carries the session will tell of.
        let Some(slot) = self.slots.get_mut(alias as usize) else { return Ok(()) };
        let lossless = slot.is_lossless();
        let Some(numbers) = slot.numbers_mut() else { return Ok(()) };
        let Some(missing) = number.checked_sub(numbers.sequence) else { return Ok(()) };
        if missing > 0 {
            if lossless {
                return Ok(());
            }
            numbers.behind += missing;
            self.miss(alias, missing, LostAt::OnTheWay, origin)?;
        }
        let Some(slot) = self.slots.get_mut(alias as usize) else { return Ok(()) };
        slot.check_grant(alias)?;
        if let Some(numbers) = slot.numbers_mut() {
            numbers.behind += 1;
        }
        let sent = sent.shifted(origin.offset.saturating_neg());
        let payload = &origin.chunk.bytes()[start..end];
        match slot {
            Slot::Open(open) => {
                if open.put(Head { sent, start: start as u32, end: end as u32 }, payload) {
                    self.staged.push(alias);
                }
            }
            Slot::Relay(relay) => {
                if !relay.pass(alias, sent, Outgoing { payload, shared: None })? {
                    self.stall(alias, origin.line);
                }
            }
            #[cfg(feature = "lz4")]
            Slot::Packed(_) => {
                return self.packed_message(alias, sent, payload, end, origin).unwrap_or(Ok(()));
            }
            Slot::Free | Slot::Closed | Slot::Draining | Slot::Ignored => {}
        }
        Ok(())
    }
}

impl Slot {
    /// Whether no sample of it may go missing.
    pub(super) fn is_lossless(&self) -> bool {
        match self {
            Slot::Relay(relay) => relay.is_lossless(),
            _ => self.open().is_some_and(|open| open.inlet.inbox.delivery.is_lossless()),
        }
    }
}
