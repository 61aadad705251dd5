//! Numbers that go by without a sample, of a lossless interest: they count as taken like samples, in their order.
//!
//! ```text
//!   taken        not read yet    gap of 3   not here yet
//!  ──────────┬─────────────────┬──────────┬─────────────►
//!          credit says         └ counts once all before it is read
//! ```
//! So what the other side is told to be taken is that up to some number, and it knows which samples are not. No more gaps wait
//! than there are unread samples, each before one of them, and one; 16 bytes for each.

use crate::sync::Mutex;
use crate::sync::atomic::{AtomicU64, Ordering};
use std::collections::VecDeque;

/// The gaps of one source.
#[derive(Default)]
pub(super) struct Gaps {
    /// How many numbers they have that count.
    counted: AtomicU64,
    /// One more than the number of samples that are taken when the next gap counts; 0: there is none.
    due: AtomicU64,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    /// After how many samples each comes, and how many numbers it has.
    gaps: VecDeque<(u64, u64)>,
    /// How many numbers without a sample there were in all.
    all: u64,
}

impl Gaps {
    /// `count` numbers, from `at` on, have no sample.
    pub(super) fn add(&self, at: u64, count: u64) {
        let mut waiting = self.waiting.lock();
        let after = at.saturating_sub(waiting.all);
        waiting.all += count;
        match waiting.gaps.back_mut() {
            Some((last, numbers)) if *last == after => *numbers += count,
            _ => waiting.gaps.push_back((after, count)),
        }
        self.note_due(&waiting);
    }

    /// Whether a gap counts by now, with so many samples taken.
    #[inline]
    pub(super) fn is_due(&self, taken: u64) -> bool {
        let due = self.due.load(Ordering::Relaxed);
        due != 0 && taken >= due - 1
    }

    /// How many numbers count, with so many samples taken.
    pub(super) fn counted(&self, taken: u64) -> u64 {
        if self.is_due(taken) {
            let mut waiting = self.waiting.lock();
            let mut counted = self.counted.load(Ordering::Relaxed);
            while let Some((_, numbers)) = waiting.gaps.front().filter(|(after, _)| *after <= taken) {
                counted += numbers;
                waiting.gaps.pop_front();
            }
            self.counted.store(counted, Ordering::Relaxed);
            self.note_due(&waiting);
        }
        self.counted.load(Ordering::Relaxed)
    }

    fn note_due(&self, waiting: &Waiting) {
        let due = waiting.gaps.front().map_or(0, |(after, _)| after + 1);
        self.due.store(due, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_counts_once_all_samples_before_it_are_taken() {
        let gaps = Gaps::default();
        assert!(!gaps.is_due(0) && gaps.counted(9) == 0);
        // Two samples, three numbers without one and two more, two samples, four numbers.
        gaps.add(2, 3);
        gaps.add(5, 2);
        gaps.add(9, 4);
        assert_eq!(
            [0, 1, 2, 3, 4].map(|taken| (gaps.is_due(taken), gaps.counted(taken))),
            [(false, 0), (false, 0), (true, 5), (false, 5), (true, 9)]
        );
        assert!(!gaps.is_due(u64::MAX), "there is none");
        // Right behind what is taken.
        gaps.add(13, 1);
        assert!(gaps.is_due(4) && gaps.counted(4) == 10);
    }
}
