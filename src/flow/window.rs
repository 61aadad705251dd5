//! What a lossless interest may have on its way: so many samples as it granted, so many bytes as the intent
//! keeps; and how long it may take none of them.
//!
//! ```text
//!            turned away                  the stall limit passes
//!  open ───────────────────► full ──────────────────────────────► cut off
//!   ▲                         │                                      │
//!   └──── a sample is taken ──┴───────────── a sample is taken ──────┘
//! ```
//! Nothing runs by a timer: whoever is turned away looks at the time. So an interest that is in nobody's way
//! is never cut off, and a look costs nothing while there is room. What counts of that time, see [`Patience`].

use super::patience::Patience;
use crate::settings::Bounds;
use crate::time::Timestamp;
use std::collections::VecDeque;
use std::time::Duration;

/// The samples of a lossless lane that were sent and not said to be taken.
#[derive(Default)]
pub(crate) struct Window {
    bounds: Bounds,
    bytes: u64,
    /// How large they are, oldest first, and how many in a row are so. `None`: numbers without a sample.
    sizes: VecDeque<(Option<u32>, u64)>,
    /// Since the intent was turned away first after a sample was taken.
    patience: Patience,
    cut_off: bool,
}

impl Window {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self { bounds, ..Self::default() }
    }

    /// Whether so many bytes more may be sent. One sample may be, however large it is.
    #[inline]
    pub(crate) fn has_room(&self, size: usize) -> bool {
        self.bytes == 0 || self.bytes + size as u64 <= self.bounds.bytes
    }

    #[inline]
    pub(crate) fn is_cut_off(&self) -> bool {
        self.cut_off
    }

    /// How many bytes more may be sent.
    pub(crate) fn room(&self) -> usize {
        if self.cut_off {
            return 0;
        }
        usize::try_from(self.bounds.bytes.saturating_sub(self.bytes)).unwrap_or(usize::MAX)
    }

    /// A sample was sent.
    #[inline(always)]
    pub(crate) fn sent(&mut self, size: usize) {
        self.bytes += size as u64;
        // A payload fits a frame, whose length has 32 bits.
        let size = Some(u32::try_from(size).unwrap_or(u32::MAX));
        match self.sizes.back_mut() {
            Some((last, count)) if *last == size => *count += 1,
            _ => self.sent_another(size),
        }
    }

    /// One of another size than the last.
    fn sent_another(&mut self, size: Option<u32>) {
        self.sizes.push_back((size, 1));
    }

    /// Numbers went by without a sample.
    pub(crate) fn skipped(&mut self, count: u64) {
        match self.sizes.back_mut() {
            Some((None, skipped)) => *skipped += count,
            _ => self.sizes.push_back((None, count)),
        }
    }

    /// How many numbers without a sample were not said to be taken.
    pub(crate) fn skips(&self) -> u64 {
        self.sizes.iter().filter(|(size, _)| size.is_none()).map(|(_, count)| count).sum()
    }

    /// So many more were taken. True if the interest had been cut off.
    pub(crate) fn taken(&mut self, mut count: u64) -> bool {
        if count == 0 {
            return false;
        }
        self.patience = Patience::default();
        while count > 0 {
            let Some((size, waiting)) = self.sizes.front_mut() else { break };
            let some = count.min(*waiting);
            self.bytes = self.bytes.saturating_sub(u64::from(size.unwrap_or(0)).saturating_mul(some));
            *waiting -= some;
            count -= some;
            if *waiting == 0 {
                self.sizes.pop_front();
            }
        }
        std::mem::take(&mut self.cut_off)
    }

    /// Nothing could be taken so far: the time begins anew.
    pub(crate) fn look_anew(&mut self) {
        self.patience = Patience::default();
    }

    /// The intent was turned away: when to look again, or that the interest is cut off by now.
    pub(crate) fn turned_away(&mut self, now: Timestamp) -> Option<Duration> {
        let again = self.patience.look(now, self.bounds.stall);
        self.cut_off |= again.is_none();
        again.filter(|_| !self.cut_off)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_micros(1_000_000 + 1000 * millis)
    }

    fn window(bytes: u64) -> Window {
        Window::new(Bounds { bytes, stall: Duration::from_millis(500) })
    }

    #[test]
    fn bytes_are_given_back_as_samples_are_taken_in_their_order() {
        let mut window = window(100);
        for size in [40, 40, 20] {
            assert!(window.has_room(size));
            window.sent(size);
        }
        assert!(!window.has_room(1) && window.has_room(0));
        assert!(!window.taken(1));
        assert!(window.has_room(40) && !window.has_room(41));
        window.skipped(5);
        window.sent(10);
        assert_eq!(window.skips(), 5);
        window.taken(2 + 4);
        assert_eq!(window.skips(), 1);
        window.taken(1);
        assert!(window.has_room(90) && !window.has_room(91));
        window.taken(1);
        assert!(window.has_room(1000), "one sample is sent whatever its size");
        assert!(window.sizes.is_empty());
    }

    #[test]
    fn samples_of_one_size_cost_no_memory_each() {
        let mut window = window(u64::MAX);
        (0..100_000).for_each(|_| window.sent(64));
        assert_eq!(window.sizes.len(), 1);
        window.taken(u64::MAX);
        assert_eq!((window.bytes, window.sizes.len()), (0, 0));
    }

    #[test]
    fn who_takes_nothing_for_the_limit_is_cut_off_and_comes_back_by_taking() {
        let mut window = window(100);
        let look = |window: &mut Window, from: u64, to: u64| {
            (from..to).step_by(50).find(|millis| window.turned_away(at(*millis)).is_none())
        };
        assert_eq!(look(&mut window, 0, 500), None);
        assert!(!window.taken(1), "it is not too late");
        assert_eq!(look(&mut window, 500, 1000), None);
        assert!(!window.taken(0));
        assert_eq!(look(&mut window, 1000, 2000), Some(1000));
        assert!(window.is_cut_off());
        assert_eq!(window.turned_away(at(1200)), None);
        assert!(window.taken(1) && !window.is_cut_off());
        assert!(window.turned_away(at(1300)).is_some());
        look(&mut window, 1350, 1800);
        window.look_anew();
        assert_eq!(look(&mut window, 1800, 9000), Some(2300));
    }
}
