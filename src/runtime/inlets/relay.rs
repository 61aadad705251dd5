//! Aliases whose samples are passed on to another line.

use super::numbers::{Numbers, not_granted};
use crate::event::LostAt;
use crate::flow::batch::Batch;
use crate::flow::lane::Missing;
use crate::flow::outbox::Outgoing;
use crate::reason::{Reason, ReasonCode};
use crate::runtime::line::Passage;
use crate::time::Timestamp;
use crate::wire;

/// Samples of one alias that are passed on.
pub(super) struct Relay {
    passage: Passage,
    pub(super) numbers: Numbers,
    /// Room for an inline write.
    spare: Batch,
}

impl Relay {
    pub(super) fn new(passage: Passage) -> Self {
        Self { passage, numbers: Numbers::default(), spare: Batch::default() }
    }

    pub(super) fn check_grant(&mut self, alias: u32) -> Result<(), Reason> {
        let numbers = &mut self.numbers;
        if numbers.sequence >= numbers.granted {
            numbers.granted = self.passage.feed.granted();
            if numbers.sequence >= numbers.granted {
                return Err(not_granted(alias, numbers));
            }
        }
        Ok(())
    }

    /// Whether no sample of it may go missing: what is granted of others has no end.
    pub(super) fn is_lossless(&self) -> bool {
        self.passage.feed.granted() != u64::MAX
    }

    /// False where it must not be lost, and there is no room to keep it.
    pub(super) fn pass(&mut self, alias: u32, sent: Timestamp, sample: Outgoing<'_>) -> Result<bool, Reason> {
        self.check_grant(alias)?;
        if self.passage.packed {
            // The reader would blame this endpoint.
            if let Err(fault) = wire::packed::look(sample.payload) {
                let text = format!("a sample of alias {alias}: {fault}");
                return Err(Reason::new(ReasonCode::Malformed, text));
            }
        }
        self.numbers.sequence += 1;
        let Passage { to, alias, feed, .. } = &self.passage;
        Ok(to.forward((*alias, feed), sample, sent, &mut self.spare))
    }

    pub(super) fn pass_missing(&self, count: u64, at: LostAt) {
        let missing = match at {
            LostAt::OnTheWay => Missing { gap: 0, lost: count },
            LostAt::Here | LostAt::There => Missing { gap: count, lost: 0 },
        };
        let Passage { to, alias, feed, .. } = &self.passage;
        to.forward_missing((*alias, feed), missing);
    }

    pub(super) fn pass_stalled(&self, untaken: u64) {
        let Passage { to, alias, feed, .. } = &self.passage;
        to.forward_stalled((*alias, feed), untaken);
    }
}
