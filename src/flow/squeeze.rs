//! When compressing the samples of an intent pays.
//!
//! ```text
//!           8 in a row gained less than a tenth
//!   trying ────────────────────────────────────► resting ──┐ the next 64 samples go plain, then
//!     ▲   ◄────────────────────────────────────     │      │ 128, 256, ... up to 4096
//!     │        the rest is over: try 8 again         ◄──────┘
//!     └─ one gained: the rest begins at 64 again
//! ```
//! A sample of fewer than [`LEAST`] bytes is never tried: what LZ4 finds in it is not worth its form. Whether a
//! line is slow enough is asked apart, of each: see [`Squeeze::pays`].

use std::time::Duration;

/// The rule of one intent. It is told what was gained, and says whether to try.
#[derive(Debug)]
pub(crate) struct Squeeze {
    /// How many tries in a row gained too little.
    failed: u32,
    /// How many samples go plain before the next try.
    rest: u32,
    /// How long the next rest is.
    next_rest: u32,
    /// What compressing a byte takes, in picoseconds, and what share of it is gained, in thousandths: smoothed.
    cost: u64,
    gain: u64,
}

impl Default for Squeeze {
    fn default() -> Self {
        Self { failed: 0, rest: 0, next_rest: FIRST_REST, cost: 0, gain: 0 }
    }
}

impl Squeeze {
    /// Whether a sample of `size` bytes is to be compressed. Each call counts as one sample.
    pub(crate) fn tries(&mut self, size: usize) -> bool {
        if size < LEAST {
            return false;
        }
        if self.rest > 0 {
            self.rest -= 1;
            return false;
        }
        true
    }

    /// Takes in that `size` bytes became `packed` in `spent`. True if that is worth sending.
    pub(crate) fn tried(&mut self, size: usize, packed: usize, spent: Duration) -> bool {
        let size_here = size.max(1) as u64;
        let gain = size.saturating_sub(packed) as u64 * 1000 / size_here;
        let cost = u64::try_from(spent.as_nanos()).unwrap_or(u64::MAX).saturating_mul(1000) / size_here;
        self.gain = smoothed(self.gain, gain);
        self.cost = smoothed(self.cost, cost);
        let worth = gain >= WORTH;
        if worth {
            (self.failed, self.next_rest) = (0, FIRST_REST);
        } else {
            self.failed += 1;
            if self.failed >= TRIES {
                (self.failed, self.rest) = (0, self.next_rest);
                self.next_rest = (self.next_rest * 2).min(LONGEST_REST);
            }
        }
        worth
    }

    /// Whether a line of so many bytes a second gets a sample sooner if it is compressed, unpacking it at the other
    /// end included, which is taken for half as long as packing it: nobody measures it here. `None` is a line that kept up with all that
    /// was written: it gains nothing.
    pub(crate) fn pays(&self, rate: Option<u64>) -> bool {
        let Some(rate) = rate else { return false };
        if self.cost == 0 {
            // Never tried: that has to be found out.
            return true;
        }
        // Of 1000 bytes, in picoseconds: what the line is spared, and what it costs.
        let spared = u128::from(self.gain) * 1_000_000_000_000 / u128::from(rate.max(1));
        spared > u128::from(self.cost) * 1500
    }
}

fn smoothed(old: u64, new: u64) -> u64 {
    if old == 0 { new } else { old - old / 8 + new / 8 }
}

/// Smaller samples are sent as they are.
pub(crate) const LEAST: usize = 64;

/// What a try must gain to count, in thousandths.
const WORTH: u64 = 100;

/// After how many tries in a row without that it rests.
const TRIES: u32 = 8;

/// For how many samples it rests, at first and at most.
const FIRST_REST: u32 = 64;
const LONGEST_REST: u32 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    const SPENT: Duration = Duration::from_micros(2);

    /// How many of `count` samples of 1000 bytes are tried, each of which becomes `packed`.
    fn tried(squeeze: &mut Squeeze, count: u32, packed: usize) -> u32 {
        let mut tries = 0;
        for _ in 0..count {
            if squeeze.tries(1000) {
                tries += 1;
                squeeze.tried(1000, packed, SPENT);
            }
        }
        tries
    }

    #[test]
    fn what_gains_nothing_is_tried_less_and_less() {
        let mut squeeze = Squeeze::default();
        assert_eq!(tried(&mut squeeze, 8 + 64, 950), 8);
        assert_eq!(tried(&mut squeeze, 8 + 128, 950), 8);
        // In the long run 8 of 4104.
        assert_eq!(tried(&mut squeeze, 8 * 8 + 256 + 512 + 1024 + 2048 + 4 * 4096, 950), 8 * 8);
    }

    #[test]
    fn what_gains_is_tried_always_and_begins_anew() {
        let mut squeeze = Squeeze::default();
        tried(&mut squeeze, 3 * 8 + 64 + 128 + 256, 1002);
        assert_eq!(tried(&mut squeeze, 1000, 900), 1000, "a tenth is enough");
        assert_eq!(tried(&mut squeeze, 8 + 64, 901), 8, "less is not, and the rest is short again");
    }

    #[test]
    fn one_that_fails_now_and_then_does_not_count() {
        let mut squeeze = Squeeze::default();
        for _ in 0..100 {
            assert_eq!(tried(&mut squeeze, 7, 1000), 7);
            assert_eq!(tried(&mut squeeze, 1, 500), 1);
        }
    }

    #[test]
    fn the_smallest_are_never_tried() {
        let mut squeeze = Squeeze::default();
        assert!(!squeeze.tries(LEAST - 1) && squeeze.tries(LEAST));
    }

    #[test]
    fn it_pays_where_the_line_is_slower_than_packing_and_unpacking() {
        let mut squeeze = Squeeze::default();
        assert!(squeeze.pays(Some(1 << 40)), "nothing is known yet");
        // 2 µs for 1000 bytes, 3 with unpacking; half of it gained: worth it below 500 bytes in 3 µs.
        assert!(squeeze.tried(1000, 500, SPENT));
        assert!(squeeze.pays(Some(166_000_000)));
        assert!(!squeeze.pays(Some(167_000_000)));
        assert!(!squeeze.pays(None), "a line that keeps up");
    }
}
