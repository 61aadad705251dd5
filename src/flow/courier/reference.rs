//! What lies between the other side's clock and ours, the way included: the least of the last pings.

use crate::time::Timestamp;
use std::collections::VecDeque;

#[derive(Default)]
pub(super) struct Reference {
    /// Arrival here less time of sending there, in microseconds.
    last: VecDeque<i64>,
    least: Option<i64>,
}

impl Reference {
    /// Something that says when it was sent came.
    pub(super) fn note(&mut self, sent: Timestamp, arrived: Timestamp) {
        if self.last.len() == KEPT {
            self.last.pop_front();
        }
        self.last.push_back(difference(arrived, sent));
        self.least = self.last.iter().copied().min();
    }

    /// When what arrived now was sent, by the other side's clock, if it took no longer than the quickest.
    pub(super) fn sent(&self, arrived: Timestamp) -> Timestamp {
        arrived.shifted(self.least.unwrap_or(0).saturating_neg())
    }
}

fn difference(later: Timestamp, earlier: Timestamp) -> i64 {
    i64::try_from(i128::from(later.micros()) - i128::from(earlier.micros())).unwrap_or(if later > earlier {
        i64::MAX
    } else {
        i64::MIN
    })
}

/// How many are looked at: as many as 8 to 16 s bring, within which clocks drift apart by less than 1 ms.
const KEPT: usize = 16;
