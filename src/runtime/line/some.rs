//! Samples of one intent that it sends at once.

use super::Line;
use crate::flow::lane::LaneId;

impl Line {
    /// Sends samples that follow each other under one lock: how many, and whether older ones had to go. `None` where
    /// the first is not simply taken.
    pub(crate) fn put_some(&self, lane: LaneId, payloads: &[&[u8]]) -> Option<(usize, bool)> {
        let payloads = &payloads[..payloads.len().min(AT_ONCE)];
        let mut out = self.out.lock();
        let (count, replaced) = out.outbox.put_some(lane, payloads, || self.clock.now());
        if out.outbox.is_due(payloads.last().map_or(0, |payload| payload.len())) {
            self.write_due(out);
        } else {
            self.wake_after(out);
        }
        (count > 0).then_some((count, replaced))
    }
}

/// How many samples are put in under one lock: others wait for it, the writer for one.
const AT_ONCE: usize = 64;
