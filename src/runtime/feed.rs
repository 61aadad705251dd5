//! What passes samples on from one line to another.

use super::line::Line;
use crate::route::Route;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::wire::control::Credit;
use std::sync::{Arc, Weak};

/// A flow of samples that is passed on, as its credit finds the way back.
///
/// Credit is worked out under the lock of the line that samples go to, and sent under that of the line they
/// come from, by the reader or the writer of the former or the reader of the latter. The figures lie here in between,
/// and only grow, so it does not matter who is first.
pub(crate) struct Feed {
    pub(crate) route: Route,
    from: Weak<Line>,
    alias: u32,
    limit: AtomicU64,
    taken: AtomicU64,
    lost: AtomicU64,
    /// No credit is sent from now on: see [`Line::end_credit`].
    pub(crate) ended: AtomicBool,
}

impl Feed {
    /// A flow that comes from `from` under `alias`.
    pub(crate) fn new(route: Route, from: &Arc<Line>, alias: u32) -> Arc<Self> {
        Arc::new(Self {
            route,
            from: Arc::downgrade(from),
            alias,
            limit: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            ended: AtomicBool::new(false),
        })
    }

    /// Samples with a number below this were granted.
    pub(crate) fn granted(&self) -> u64 {
        self.limit.load(Ordering::Acquire)
    }

    /// Passes on what a line worked out.
    pub(crate) fn grant(&self, credit: Credit) {
        // What is granted never goes beyond what was taken and the depth: so this first.
        self.taken.fetch_max(credit.taken, Ordering::AcqRel);
        self.lost.fetch_max(credit.lost, Ordering::AcqRel);
        self.limit.fetch_max(credit.limit, Ordering::AcqRel);
        if let Some(line) = self.from.upgrade() {
            line.send_onward(self);
        }
    }

    /// The newest credit, under the lock of the line it goes to.
    pub(crate) fn credit(&self) -> Credit {
        let limit = self.limit.load(Ordering::Acquire);
        let (taken, lost) = (self.taken.load(Ordering::Acquire), self.lost.load(Ordering::Acquire));
        Credit { alias: self.alias, limit, taken, lost }
    }

    /// Grants nothing from now on.
    pub(crate) fn end(&self) {
        if let Some(line) = self.from.upgrade() {
            line.end_credit(&self.ended);
        }
    }
}
