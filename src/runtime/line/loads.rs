//! What the writer of a line does between two writes.

use super::{Line, RoomMade};
use crate::flow::batch::Batch;
use crate::sync::atomic::Ordering;
use std::time::Duration;

/// What the writer writes next.
#[derive(Default)]
pub(crate) struct Load {
    pub(crate) urgent: Vec<u8>,
    pub(crate) batch: Batch,
}

impl Line {
    /// For the writer: waits for something to write. False at the end.
    pub(crate) fn next_load(&self, load: &mut Load, mut wrote: bool) -> bool {
        let mut scarce = false;
        loop {
            self.nap(scarce);
            // It wrote, or was woken.
            if let Some(some) = self.poll_load(load, wrote, true) {
                return some;
            }
            wrote = false;
            let begun = self.clock.now();
            let slept = self.token.wait();
            scarce = !slept && self.clock.now() - begun >= SCARCE;
        }
    }

    /// While senders flood the line, and write by themselves what they filled, lets them. Not where others' samples are passed
    /// on: how many those have on the way is bounded by what leaves here. `scarce`: processors are, see [`SCARCE`].
    fn nap(&self, mut scarce: bool) {
        let mut again = false;
        loop {
            let mut out = self.out.lock();
            if !out.feeds.is_empty() {
                return;
            }
            if std::mem::take(&mut scarce) {
                out.outbox.note_scarce();
            }
            let Some(nap) = out.outbox.nap(again, || self.clock.now()) else { return };
            drop(out);
            again = !self.token.wait_for(nap);
        }
    }

    /// Whether the writer was woken since this was last asked.
    #[cfg(feature = "testing")]
    pub(in crate::runtime) fn was_woken(&self) -> bool {
        self.token.take()
    }

    /// The same without waiting: `None` if there is nothing to write now. There can be room again for who had none only where
    /// something `changed` or is written now: they would try again at once, and for ever.
    #[inline]
    pub(in crate::runtime) fn poll_load(&self, load: &mut Load, wrote: bool, changed: bool) -> Option<bool> {
        let mut out = self.out.lock();
        if Self::is_released(&mut out, load) {
            return Some(false);
        }
        let some = out.outbox.take(&mut load.urgent, &mut load.batch, || self.clock.now(), wrote);
        let made = if some || changed { out.room_made() } else { RoomMade::default() };
        let finished = !some && out.outbox.is_finished();
        if finished {
            out.outbox.free();
        }
        drop(out);
        made.tell();
        if some {
            return Some(true);
        }
        if !finished {
            return None;
        }
        self.written.store(true, Ordering::Release);
        if self.ends_written.load(Ordering::Acquire) {
            self.connection.close();
        }
        Some(false)
    }
}

/// A writer that did not sleep, and yet waited so long, let others run on its processor. Where none want to, all its looking
/// around takes 6 µs (median; p99 7).
const SCARCE: Duration = Duration::from_micros(25);
