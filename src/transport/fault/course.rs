//! What becomes of one thing that is sent, decided once, from a seed.

use crate::faults::Faults;
use crate::time::Timestamp;
use fastrand::Rng;
use std::time::Duration;

/// One direction of a line.
#[derive(Debug)]
pub(crate) struct Course {
    rng: Rng,
    /// When the line has sent all that stands in line.
    free: Timestamp,
    /// When the last one comes that keeps its place.
    last: Timestamp,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Lost,
    /// When it comes, and when it comes again.
    Comes(Timestamp, Option<Timestamp>),
}

/// What becomes of a piece of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) comes: Timestamp,
    /// A bit of it that is flipped.
    pub(crate) flipped: Option<usize>,
}

impl Course {
    pub(crate) fn new(seed: u64) -> Self {
        Self { rng: Rng::with_seed(seed), free: Timestamp::ZERO, last: Timestamp::ZERO }
    }

    /// A packet of so many bytes is sent.
    pub(crate) fn packet(&mut self, now: Timestamp, faults: &Faults, bytes: usize) -> Fate {
        let lost = self.happens(faults.loss) | self.happens(faults.corrupt);
        let twice = self.happens(faults.duplicate);
        let stray = self.happens(faults.reorder);
        let Some(comes) = self.arrival(now, faults, bytes, Some(LINE)) else { return Fate::Lost };
        if lost {
            return Fate::Lost;
        }
        let comes = if stray { comes + self.up_to(ASTRAY) } else { self.in_turn(comes) };
        let again = twice.then(|| comes + self.up_to(ASTRAY));
        Fate::Comes(comes, again)
    }

    /// A piece of so many bytes is written.
    pub(crate) fn piece(&mut self, now: Timestamp, faults: &Faults, bytes: usize) -> Piece {
        let mut comes = self.arrival(now, faults, bytes, None).unwrap_or(now);
        let mut pause = REPEAT;
        while pause <= LONGEST_REPEAT && self.happens(faults.loss) {
            comes = comes + pause;
            pause *= 2;
        }
        let flipped = (self.happens(faults.corrupt) && bytes > 0).then(|| self.rng.usize(..bytes * 8));
        Piece { comes: self.in_turn(comes), flipped }
    }

    /// All is well from now on: nothing stands in line any more.
    pub(crate) fn heal(&mut self, now: Timestamp) {
        self.free = self.free.min(now);
        self.last = self.last.min(now);
    }

    /// When it comes out, or none if the line is longer than it may be.
    fn arrival(
        &mut self,
        now: Timestamp,
        faults: &Faults,
        bytes: usize,
        longest: Option<Duration>,
    ) -> Option<Timestamp> {
        let jitter = self.up_to(faults.jitter);
        let mut leaves = now;
        if let Some(rate) = faults.rate {
            let free = self.free.max(now);
            if longest.is_some_and(|longest| free - now > longest) {
                return None;
            }
            let micros = (bytes as u64).saturating_mul(1_000_000) / rate;
            leaves = free + Duration::from_micros(micros);
            self.free = leaves;
        }
        Some(leaves + faults.delay + jitter)
    }

    /// Not before what was sent before.
    fn in_turn(&mut self, comes: Timestamp) -> Timestamp {
        self.last = self.last.max(comes);
        self.last
    }

    fn happens(&mut self, chance: f64) -> bool {
        chance > 0.0 && self.rng.f64() < chance
    }

    fn up_to(&mut self, span: Duration) -> Duration {
        match u64::try_from(span.as_micros()) {
            Ok(0) | Err(_) => Duration::ZERO,
            Ok(micros) => Duration::from_micros(self.rng.u64(0..=micros)),
        }
    }
}

/// How much later a packet comes that is overtaken, or that comes again, at most.
const ASTRAY: Duration = Duration::from_millis(20);

/// How long packets may stand in line; those that come then are lost.
const LINE: Duration = Duration::from_secs(1);

/// When TCP repeats what was lost, and the last time.
const REPEAT: Duration = Duration::from_millis(200);
const LONGEST_REPEAT: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_000_000);

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn without_faults_everything_comes_at_once() {
        let mut course = Course::new(1);
        assert_eq!(course.packet(NOW, &Faults::none(), 100), Fate::Comes(NOW, None));
        assert_eq!(course.piece(NOW, &Faults::none(), 100), Piece { comes: NOW, flipped: None });
    }

    #[test]
    fn chances_are_kept_and_one_seed_gives_one_course() {
        let faults = Faults::none().loss(0.3).duplicate(0.5).jitter(millis(5)).reorder(0.1);
        let run = |seed| {
            let mut course = Course::new(seed);
            (0..10_000).map(|_| course.packet(NOW, &faults, 100)).collect::<Vec<_>>()
        };
        let fates = run(7);
        assert!(fates == run(7) && fates != run(8));
        let lost = fates.iter().filter(|fate| **fate == Fate::Lost).count();
        let twice = fates.iter().filter(|fate| matches!(fate, Fate::Comes(_, Some(_)))).count();
        assert!((2_800..3_200).contains(&lost) && (3_200..3_800).contains(&twice), "{lost} {twice}");
    }

    #[test]
    fn a_stream_keeps_its_order_and_a_line_its_rate() {
        let faults = Faults::none().loss(0.3).jitter(millis(50)).rate(1000);
        let mut course = Course::new(3);
        let mut last = NOW;
        for _ in 0..1000 {
            let piece = course.piece(NOW, &faults, 10);
            assert!(piece.comes >= last);
            last = piece.comes;
        }
        assert!(last - NOW >= Duration::from_secs(10));
    }

    #[test]
    fn a_full_line_of_packets_loses_what_comes() {
        let faults = Faults::none().rate(1000);
        let mut course = Course::new(3);
        let comes = (0..100).filter(|_| course.packet(NOW, &faults, 100) != Fate::Lost).count();
        assert_eq!(comes, 11);
    }
}
