//! How large a piece of a sample should be on a line whose speed nobody told.

use std::time::Duration;

/// Measures a line by what it takes of one write after the other, and says how many bytes one should have.
///
/// An urgent sample waits for the write that is under way. So one should not take longer than [`SPAN`]; on a fast line
/// it should not be shorter either, or large samples would cost many system calls. The buffers of the system take
/// the first of a burst at once, which says nothing: only bursts that last for [`WINDOW`] count.
#[derive(Debug)]
pub(crate) struct Gauge {
    stride: usize,
    bytes: u64,
    time: Duration,
}

impl Gauge {
    pub(crate) fn new() -> Self {
        Self { stride: FIRST, bytes: 0, time: Duration::ZERO }
    }

    /// How many bytes a write should have.
    pub(crate) fn stride(&self) -> usize {
        self.stride
    }

    /// The line stood idle.
    pub(crate) fn idle(&mut self) {
        (self.bytes, self.time) = (0, Duration::ZERO);
    }

    /// A write right behind another took so long.
    pub(crate) fn wrote(&mut self, bytes: usize, time: Duration) {
        self.bytes += bytes as u64;
        self.time += time;
        if self.time < WINDOW {
            return;
        }
        let span = u128::from(self.bytes) * SPAN.as_micros() / self.time.as_micros().max(1);
        let fits = usize::try_from(span).unwrap_or(LARGEST).clamp(LEAST, LARGEST);
        // Down at once, up by steps: a burst that found all buffers empty seems faster than the line is.
        self.stride = fits.min(2 * self.stride);
        self.idle();
    }
}

/// How long a write may take.
const SPAN: Duration = Duration::from_millis(1);

/// For how long a line is measured.
const WINDOW: Duration = Duration::from_millis(20);

/// What a write has before the line was measured, and at least and at most. Below 16 KiB system calls begin to cost
/// more than what they save; 1 MiB is a millisecond of a line as fast as memory.
const FIRST: usize = 64 * 1024;
const LEAST: usize = 16 * 1024;
const LARGEST: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(gauge: &mut Gauge, bytes_a_second: u64, span: Duration) {
        let mut left = span;
        while !left.is_zero() {
            let bytes = gauge.stride();
            let time = Duration::from_micros((bytes as u64 * 1_000_000 / bytes_a_second).max(1));
            gauge.wrote(bytes, time);
            left = left.saturating_sub(time);
        }
    }

    #[test]
    fn a_write_takes_a_millisecond_of_the_line_within_bounds() {
        let mut gauge = Gauge::new();
        for (rate, stride) in [(125_000_000, 125_000), (1_000_000, LEAST), (8_000_000_000, LARGEST)] {
            flow(&mut gauge, rate, Duration::from_secs(1));
            assert!(gauge.stride().abs_diff(stride) <= stride / 20, "{} at {rate}", gauge.stride());
        }
    }

    #[test]
    fn a_burst_into_empty_buffers_says_nothing() {
        let mut gauge = Gauge::new();
        for _ in 0..100 {
            gauge.wrote(512 * 1024, Duration::from_micros(200));
            gauge.idle();
        }
        assert_eq!(gauge.stride(), FIRST);
    }
}
