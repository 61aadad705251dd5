//! Whether a stream lost its place.
//!
//! A length that was damaged on its way makes a frame of what are many, and its receiver waits for an end that
//! may be megabytes away, while all that comes counts as heard. It shows: the peer goes on answering, and what answers
//! a PING that was sent since stands inside the frame. In a frame that is only slow there is none, as the peer
//! has nothing to say before its end.

use super::kind::PONG;
use crate::time::Timestamp;
use std::time::Duration;

/// Looks into the frame that a stream is in the middle of.
#[derive(Debug, Default)]
pub(crate) struct Astray {
    /// When the first of it came.
    since: Option<Timestamp>,
    /// How much of it was looked at.
    seen: usize,
}

impl Astray {
    /// A frame came to its end.
    pub(crate) fn frame_ended(&mut self) {
        *self = Self::default();
    }

    /// What came of the frame lies in another place now, without its head.
    pub(crate) fn moved(&mut self) {
        self.seen = 0;
    }

    /// Whether an answer stands in `inside`, which is all that came of a frame until `now`.
    pub(crate) fn shows_in(&mut self, inside: &[u8], now: Timestamp) -> bool {
        let since = *self.since.get_or_insert(now);
        if now - since < PATIENCE {
            return false;
        }
        // The last ones may have been the beginning of one.
        let from = self.seen.saturating_sub(ANSWER - 1).min(inside.len());
        self.seen = inside.len();
        holds_answer(&inside[from..], since, now)
    }
}

/// Whether a whole PONG stands anywhere in `bytes` that answers a PING of this time.
fn holds_answer(bytes: &[u8], since: Timestamp, until: Timestamp) -> bool {
    bytes.windows(ANSWER).any(|window| {
        let echo = || {
            let (_, rest) = window.split_at(HEAD.len());
            rest.first_chunk().map(|echo| Timestamp::from_micros(u64::from_le_bytes(*echo)))
        };
        window.starts_with(&HEAD) && echo().is_some_and(|echo| echo > since && echo <= until)
    })
}

/// Length and tag of a PONG, which has three times.
const HEAD: [u8; 2] = [1 + 3 * 8, PONG as u8];
const ANSWER: usize = 1 + HEAD[0] as usize;

/// A frame that takes longer is looked into. Most take microseconds, and looking takes about a nanosecond a byte.
const PATIENCE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::super::control::{Control, Ping, Pong};
    use super::super::encode;
    use super::*;

    const SENT: Timestamp = Timestamp::from_micros(1_700_000_000_123_456);

    fn pong(echo: Timestamp) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(&mut bytes, &Control::Pong(Pong { echo, received: SENT, sent: SENT }));
        assert_eq!(bytes.len(), ANSWER);
        bytes
    }

    /// The first moment that a frame is looked into at which was waited for since just before `SENT`.
    fn waited() -> (Astray, Timestamp) {
        let mut astray = Astray::default();
        let began = SENT.shifted(-1);
        assert!(!astray.shows_in(&pong(SENT), began), "not before some time has gone by");
        (astray, began + PATIENCE)
    }

    #[test]
    fn an_answer_inside_a_frame_is_found_wherever_it_stands_and_however_it_is_cut() {
        for before in [0, 1, 25, 26, 27, 1000] {
            let bytes = [vec![HEAD[0]; before], pong(SENT), vec![0; 3]].concat();
            for cut in 0..=bytes.len() {
                let (mut astray, now) = waited();
                let first = astray.shows_in(&bytes[..cut], now);
                assert_eq!(first, cut >= before + ANSWER, "{before} {cut}");
                assert!(first || astray.shows_in(&bytes, now), "{before} {cut}");
            }
        }
    }

    #[test]
    fn only_answers_to_what_was_sent_since_count() {
        let (mut astray, now) = waited();
        let old = [pong(SENT.shifted(-1)), pong(now.shifted(1)), pong(Timestamp::ZERO)].concat();
        let mut ping = Vec::new();
        encode(&mut ping, &Control::Ping(Ping { sent: SENT }));
        assert!(!astray.shows_in(&[old, ping, pong(SENT)[..ANSWER - 1].to_vec()].concat(), now));
        astray.moved();
        assert!(astray.shows_in(&pong(now), now));
    }

    #[test]
    fn each_frame_has_its_own_time() {
        let (mut astray, now) = waited();
        astray.frame_ended();
        assert!(!astray.shows_in(&pong(SENT), now));
        assert!(!astray.shows_in(&pong(SENT), now + PATIENCE), "the ping was sent before this frame began");
        assert!(astray.shows_in(&[pong(SENT), pong(now.shifted(1))].concat(), now + PATIENCE));
    }
}
