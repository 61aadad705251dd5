//! A line that is flooded with small samples, whose writer naps while senders write.
//!
//! Under load whoever fills the batch writes it. A writer that is woken by the first sample of the next batch comes before
//! that is filled, takes the little there is, and comes again: with several busy lines on few processors most writes are
//! the writers' then, small, and each of their turns is one that senders and readers do not have.
//!
//! So on a flooded line the writer naps in slices of [`SLICE`], and takes what is there when nothing was put in for a
//! slice, or nobody wrote for [`NAP`]. It counts as told meanwhile, so that no sample wakes it. What cannot wait does:
//!
//! ```text
//!            HIGH capacities written,            control frames, urgent or large samples, the rest of
//!            and not long ago                    a write, a full batch, somebody without room or credit
//!   awake ──────────────────────────► naps ──────────────────────────────────────────────────────► awake
//!                                     │  ▲
//!                                     └──┘ a slice in which more came
//! ```
//! A flood is what was written in batches of [`MANY`] samples or more, less a capacity each [`EBB`]; where the writer napped in
//! vain, as the sender was done, half of it is forgotten. So of those who send much and then wait for an answer, not
//! each waits for a slice.
//!
//! Where processors are scarce, batches may never become as large: writers of several lines that look around take turns with
//! the sender, each of which puts in a few samples for each line, and it stays like that. A writer that let others run for long
//! before it came says so, and its batch counts half a capacity then, from [`FEW`] samples on.
//!
//! Fan-out of 64 B to eight processes made 8.5 M samples a second (6.4 to 13.4) where writers that let others run four times before each
//! small batch made 6.9 (5.7 to 10.3), and 1 KiB to one process with each on a processor of its own 2.40 M (2.33 to 2.84) and 2.08 M (1.61 to
//! 2.47); at 64 B both made the same (medians of 6, in turn). Where scarce processors made no flood, 2 of 60 and 9 of 80 runs of fan-out made
//! 0.9 to 2.4 M, with eleven samples a batch; of 170 with it none. Slices of 250 µs and of 1 ms were no better for both.

use super::Outbox;
use crate::time::Timestamp;
use std::time::Duration;

/// How much a line was flooded of late, and whether its writer naps.
#[derive(Default)]
pub(super) struct Flood {
    /// Bytes, as of then.
    level: usize,
    at: Timestamp,
    pub(super) naps: bool,
    /// The writer let others run for long before it came.
    scarce: bool,
    /// Somebody found no room or no credit since a batch was taken.
    pub(super) pressed: bool,
    /// How much waited when the slice began.
    seen: usize,
}

impl Flood {
    /// A batch was taken to be written.
    pub(super) fn took(&mut self, bytes: usize, messages: usize, capacity: usize, now: Timestamp) {
        self.pressed = false;
        let scarce = std::mem::take(&mut self.scarce) && messages >= FEW;
        if messages >= MANY || scarce {
            let bytes = if scarce { bytes.max(capacity / 2) } else { bytes };
            self.level = (self.level_at(now, capacity) + bytes).min(HIGHEST * capacity);
            self.at = now;
        }
    }

    fn level_at(&self, now: Timestamp, capacity: usize) -> usize {
        let ebbed = (now - self.at).as_micros() * capacity as u128 / EBB.as_micros();
        self.level.saturating_sub(usize::try_from(ebbed).unwrap_or(usize::MAX))
    }
}

impl Outbox {
    /// The writer comes late, as it let others run.
    pub(crate) fn note_scarce(&mut self) {
        self.gate.flood.scarce = true;
    }

    /// For the writer: for how long it should nap before it takes what there is, unless it is told to come. Not while anybody
    /// writes. `again`: a slice is over. It counts as told while it naps, and until it takes or finds nothing.
    #[inline]
    pub(crate) fn nap(&mut self, again: bool, now: impl FnOnce() -> Timestamp) -> Option<Duration> {
        self.gate.flood.naps = false;
        if self.gate.flood.level < HIGH * self.capacity || self.gate.writing || self.cannot_wait() {
            return None;
        }
        self.nap_from(again, now())
    }

    fn nap_from(&mut self, again: bool, now: Timestamp) -> Option<Duration> {
        let (waiting, capacity) = (self.batch.len(), self.capacity);
        let flood = &mut self.gate.flood;
        if flood.level_at(now, capacity) < HIGH * capacity {
            return None;
        }
        if again && waiting > 0 && waiting == flood.seen {
            flood.level /= 2;
            return None;
        }
        let left = NAP.checked_sub(now - self.gate.last).filter(|left| !left.is_zero())?;
        (flood.naps, flood.seen) = (true, waiting);
        self.gate.woken = true;
        Some(left.min(SLICE))
    }

    /// Whether more waits, or something else, than samples of which soon more will come.
    pub(super) fn cannot_wait(&self) -> bool {
        let more = !self.urgent.is_empty() || !self.rest.is_empty() || !self.apart.is_empty();
        let full = self.batch.len() >= self.due || self.parked > 0 || self.held > 0;
        let kept = || self.kept.as_ref().is_some_and(|kept| kept.has_answer() || kept.has_pings());
        more || full || self.gate.flood.pressed || self.gate.shut || self.closed || kept()
    }

    /// Somebody has no room or no credit for a sample: what waits ahead of it must not wait any longer.
    pub(super) fn press(&mut self) {
        self.gate.flood.pressed = !self.batch.is_empty();
    }
}

/// After how long without a write a writer takes what there is, though more comes.
pub(super) const NAP: Duration = Duration::from_millis(1);

/// After how long it looks whether more came: so long the last samples of a flood may wait.
pub(super) const SLICE: Duration = Duration::from_micros(500);

/// From how many samples on a batch counts, and one that was taken late.
pub(super) const MANY: usize = 32;
pub(super) const FEW: usize = 4;

/// From how many capacities on a line is flooded, and how many count at most.
const HIGH: usize = 4;
const HIGHEST: usize = 16;

/// In what time a capacity is forgotten: with 64 KiB, 16 MB/s or less are no flood.
const EBB: Duration = Duration::from_millis(4);
