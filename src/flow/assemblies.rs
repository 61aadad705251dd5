//! Samples that come in pieces over a stream, put together.
//!
//! The pieces of one sample come in order, those of several between each other. Memory is taken as bytes come: what a
//! piece claims of those to come costs nothing.
//!
//! ```text
//!  (none) ──first, more to come──► open ──another, more to come──► open ──the last──► whole
//!     anything else: the link ends
//! ```
//!
//! A large piece can be read right into its place: [`lend`](Assemblies::lend) gives the memory out, with what is there in
//! it, and the piece brings it back, or [`give_back`](Assemblies::give_back) where it never came whole.
//!
//! A session that goes on over another connection keeps what is open. The sender begins again with any earlier piece of
//! the sample, of its choice: up to the first that follows on what is there, they are dropped.

use crate::bytes::{Buffer, Bytes, Pool};
use crate::reason::{Reason, ReasonCode};
use crate::time::Timestamp;
use crate::wire::fragment::{Fragment, FragmentHead};
use crate::wire::message::message_len;
use std::sync::Arc;
use std::time::Duration;

/// The samples of one session of which not all is there.
pub(crate) struct Assemblies {
    open: Vec<Assembly>,
    /// The largest frame that a whole sample may be.
    max_frame: u32,
    pool: Arc<Pool>,
}

struct Assembly {
    alias: u32,
    sent: Timestamp,
    /// Its bytes, as far as `filled`, and room for more.
    bytes: Vec<u8>,
    filled: usize,
    /// `bytes` is lent for a piece to be read into.
    lent: bool,
    /// How many bytes are to come.
    left: u32,
    /// When a piece came last.
    heard: Timestamp,
    /// Nobody wants it any more: its pieces are only counted.
    unwanted: bool,
    /// Pieces of it that are here come again.
    again: bool,
    /// None of it came by this connection: it may not be what that is for.
    rests: bool,
}

/// A sample that is whole.
pub(crate) struct Whole {
    pub(crate) sent: Timestamp,
    pub(crate) bytes: Bytes,
}

/// Memory that a piece is read into: its place is from `from` to `to`.
#[derive(Debug)]
pub(crate) struct Lent {
    pub(crate) bytes: Vec<u8>,
    pub(crate) from: usize,
    pub(crate) to: usize,
}

/// The bytes of a piece.
enum Bits<'a> {
    /// Here, to be copied.
    Here(&'a [u8]),
    /// In their place already.
    InPlace(Lent),
}

impl Bits<'_> {
    fn len(&self) -> usize {
        match self {
            Bits::Here(bytes) => bytes.len(),
            Bits::InPlace(lent) => lent.to - lent.from,
        }
    }
}

impl Assemblies {
    pub(crate) fn new(max_frame: u32, pool: Arc<Pool>) -> Self {
        Self { open: Vec::new(), max_frame, pool }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Whether a sample of an alias is unfinished.
    pub(crate) fn has(&self, alias: u32) -> bool {
        self.place(alias).is_some()
    }

    /// Checks that no sample of an alias is unfinished, before anything else comes of it.
    ///
    /// # Errors
    /// Malformed, as something is.
    pub(crate) fn check_none(&self, alias: u32) -> Result<(), Reason> {
        match self.place(alias) {
            None => Ok(()),
            Some(place) => {
                let left = self.open[place].left;
                Err(malformed(format!(
                    "something else came under alias {alias} within a sample that lacks {left} bytes"
                )))
            }
        }
    }

    /// Takes a piece; `sent` is asked of a first one, and `wanted` whether anyone wants the sample. Returns the
    /// sample if it is whole.
    ///
    /// # Errors
    /// Where the piece does not fit what came before it, or what may come at all.
    pub(crate) fn take(
        &mut self,
        now: Timestamp,
        fragment: &Fragment<'_>,
        sent: Option<Timestamp>,
        wanted: bool,
    ) -> Result<Option<Whole>, Reason> {
        self.take_bits(now, fragment.alias, fragment.left, Bits::Here(fragment.bytes), sent, wanted)
    }

    /// The same of a piece that was read into what was [lent](Self::lend) for it.
    ///
    /// # Errors
    /// As of any piece.
    pub(crate) fn take_lent(
        &mut self,
        now: Timestamp,
        (head, lent): (&FragmentHead, Lent),
        sent: Option<Timestamp>,
        wanted: bool,
    ) -> Result<Option<Whole>, Reason> {
        self.take_bits(now, head.alias, head.left, Bits::InPlace(lent), sent, wanted)
    }

    fn take_bits(
        &mut self,
        now: Timestamp,
        alias: u32,
        left: u32,
        bits: Bits<'_>,
        sent: Option<Timestamp>,
        wanted: bool,
    ) -> Result<Option<Whole>, Reason> {
        self.check_heard(now)?;
        let (place, len) = (self.place(alias), bits.len());
        if let Some(open) = place.map(|place| &mut self.open[place]) {
            (open.heard, open.rests) = (now, false);
            // None of these was lent memory: what was there before it is not what is there.
            if open.again && left >= open.left {
                return Ok(None);
            }
        }
        let place = match (sent, place) {
            (Some(_), Some(_)) => return Err(self.check_none(alias).err().unwrap_or_else(too_many)),
            (None, None) => {
                return Err(malformed(format!(
                    "a piece came under alias {alias} of a sample that never began"
                )));
            }
            (None, Some(place)) => place,
            (Some(sent), None) => self.begin(alias, u64::from(left) + len as u64, sent, now)?,
        };
        let assembly = &mut self.open[place];
        let due = assembly.left;
        if u64::from(left) + len as u64 != u64::from(due) {
            return Err(malformed(format!(
                "{len} bytes came under alias {alias} with {left} to follow, where {due} were due"
            )));
        }
        assembly.left = left;
        assembly.again = false;
        assembly.heard = now;
        assembly.unwanted |= !wanted;
        if assembly.unwanted {
            (assembly.bytes, assembly.filled) = (Vec::new(), 0);
        } else {
            assembly.add(bits, &self.pool);
        }
        assembly.lent = false;
        if left > 0 {
            return Ok(None);
        }
        let Assembly { sent, mut bytes, filled, unwanted, .. } = self.open.swap_remove(place);
        bytes.truncate(filled);
        let whole = || Whole { sent, bytes: Bytes::whole(Arc::new(Buffer::new(bytes, &self.pool))) };
        Ok((!unwanted).then(whole))
    }

    /// Lends the memory that a piece is to be read into, of which only the head came. `None` where it has to be looked at
    /// when all of it is there: it does not fit what came before, or would be dropped. Takes memory for what is there, this
    /// piece and as much again, at most.
    pub(crate) fn lend(&mut self, head: &FragmentHead) -> Option<Lent> {
        let total = u64::from(head.left) + head.payload_len as u64;
        let place = self.place(head.alias);
        let (mut bytes, from) = match (head.first, place) {
            (Some(_), None) if message_len(head.alias, total) <= u64::from(self.max_frame) => {
                (Buffer::growing(total as usize, &self.pool), 0)
            }
            (None, Some(place)) => {
                let open = &mut self.open[place];
                if open.unwanted || open.lent || total != u64::from(open.left) {
                    return None;
                }
                open.lent = true;
                (std::mem::take(&mut open.bytes), open.filled)
            }
            _ => return None,
        };
        make_room(&mut bytes, from, head.payload_len, head.left as usize);
        Some(Lent { bytes, from, to: from + head.payload_len })
    }

    /// Takes back what was lent for a piece under an alias that did not come whole, or is dropped.
    pub(crate) fn give_back(&mut self, alias: u32, lent: Lent) {
        if let Some(open) = self.open.iter_mut().find(|open| open.alias == alias && open.lent) {
            (open.bytes, open.lent) = (lent.bytes, false);
        }
    }

    /// The sample of an alias that is open, if one is, comes again from one of its pieces on.
    pub(crate) fn comes_again(&mut self, alias: u32) {
        if let Some(place) = self.place(alias) {
            self.open[place].again = true;
        }
    }

    /// Another connection goes on with the session: what is not sent there, or not yet, is not late.
    pub(crate) fn go_on(&mut self) {
        for assembly in &mut self.open {
            assembly.rests = true;
        }
    }

    /// An alias is not in use any more, or the rest of its sample will not come.
    pub(crate) fn forget(&mut self, alias: u32) {
        self.open.retain(|assembly| assembly.alias != alias);
    }

    /// Gives up on a peer that begins samples and does not end them.
    fn check_heard(&self, now: Timestamp) -> Result<(), Reason> {
        let is_late = |assembly: &&Assembly| !assembly.rests && now - assembly.heard > LONGEST_PAUSE;
        match self.open.iter().find(is_late) {
            None => Ok(()),
            Some(Assembly { alias, left, .. }) => Err(malformed(format!(
                "nothing came for {LONGEST_PAUSE:?} of a sample under alias {alias} that lacks {left} bytes"
            ))),
        }
    }

    fn begin(&mut self, alias: u32, total: u64, sent: Timestamp, now: Timestamp) -> Result<usize, Reason> {
        if message_len(alias, total) > u64::from(self.max_frame) {
            let text = format!("a sample of {total} bytes in pieces: at most {} are taken", self.max_frame);
            return Err(Reason::new(ReasonCode::FrameTooLarge, text));
        }
        let active = self.open.iter().filter(|assembly| !assembly.rests).count();
        if active >= MOST || self.open.len() >= MOST_IN_ALL {
            return Err(too_many());
        }
        self.open.push(Assembly {
            alias,
            sent,
            bytes: Vec::new(),
            filled: 0,
            lent: false,
            // Within `max_frame`, which is a `u32`.
            left: total as u32,
            heard: now,
            unwanted: false,
            again: false,
            rests: false,
        });
        Ok(self.open.len() - 1)
    }

    fn place(&self, alias: u32) -> Option<usize> {
        self.open.iter().position(|assembly| assembly.alias == alias)
    }

    /// The memory taken, in bytes.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn held(&self) -> usize {
        self.open.iter().map(|assembly| assembly.bytes.capacity()).sum()
    }
}

impl Assembly {
    fn add(&mut self, bits: Bits<'_>, pool: &Arc<Pool>) {
        match bits {
            Bits::InPlace(Lent { bytes, to, .. }) => (self.bytes, self.filled) = (bytes, to),
            Bits::Here(bytes) => {
                if self.filled == 0 {
                    self.bytes = Buffer::growing(bytes.len() + self.left as usize, pool);
                }
                make_room(&mut self.bytes, self.filled, bytes.len(), self.left as usize);
                let end = self.filled + bytes.len();
                self.bytes[self.filled..end].copy_from_slice(bytes);
                self.filled = end;
            }
        }
    }
}

/// Makes room for `more` bytes behind the first `filled`, of which there will be `left` more: twice what is there then, but
/// no more than there will be. What is behind `filled` may be anything.
fn make_room(bytes: &mut Vec<u8>, filled: usize, more: usize, left: usize) {
    let needed = filled + more;
    if bytes.capacity() < needed {
        bytes.truncate(filled);
        bytes.reserve_exact((needed + left).min(2 * needed) - filled);
    }
    if bytes.len() < needed {
        bytes.resize(needed, 0);
    }
}

fn malformed(text: String) -> Reason {
    Reason::new(ReasonCode::Malformed, text)
}

fn too_many() -> Reason {
    malformed(format!("pieces of more than {MOST} samples came between each other"))
}

/// How many samples of a link may be unfinished at once. This library sends three: one for each priority.
pub(crate) const MOST: usize = 4;

/// The same with those that were begun on other links of the session, and wait for such.
pub(crate) const MOST_IN_ALL: usize = 2 * MOST;

/// How long a sample may lack its next piece while others come.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Stamp;
    use proptest::prelude::*;

    fn assemblies(max_frame: u32) -> Assemblies {
        Assemblies::new(max_frame, Pool::new(4, 1 << 20))
    }

    fn piece(alias: u32, first: bool, left: u32, bytes: &[u8]) -> Fragment<'_> {
        Fragment { alias, first: first.then_some(Stamp(0)), left, bytes }
    }

    fn take(all: &mut Assemblies, fragment: Fragment<'_>) -> Result<Option<Vec<u8>>, ReasonCode> {
        let sent = fragment.first.map(|_| Timestamp::from_micros(7));
        let taken = all.take(Timestamp::ZERO, &fragment, sent, true);
        taken.map(|whole| whole.map(|whole| whole.bytes.to_vec())).map_err(|reason| reason.code())
    }

    #[test]
    fn pieces_that_do_not_fit_are_refused() {
        let first = |all: &mut Assemblies| assert_eq!(take(all, piece(3, true, 6, &[1; 4])), Ok(None));
        let cases: [(&str, Fragment<'_>); 6] = [
            ("begins again", piece(3, true, 6, &[1; 4])),
            ("overlaps", piece(3, false, 4, &[1; 4])),
            ("repeats", piece(3, false, 6, &[1; 4])),
            ("skips", piece(3, false, 1, &[1; 4])),
            ("goes on for longer", piece(3, false, 0, &[1; 7])),
            ("never began", piece(4, false, 2, &[1; 4])),
        ];
        for (what, fragment) in cases {
            let mut all = assemblies(1000);
            first(&mut all);
            assert_eq!(take(&mut all, fragment), Err(ReasonCode::Malformed), "{what}");
        }
    }

    #[test]
    fn what_claims_too_much_costs_nothing() {
        let mut all = assemblies(1 << 30);
        assert_eq!(take(&mut all, piece(1, true, u32::MAX, &[0])), Err(ReasonCode::FrameTooLarge));
        for alias in 0..MOST as u32 {
            assert_eq!(take(&mut all, piece(alias, true, (1 << 30) - 200, &[0; 100])), Ok(None));
        }
        assert!(all.held() <= MOST * 200, "{} bytes are held", all.held());
        assert_eq!(take(&mut all, piece(99, true, 1, &[0])), Err(ReasonCode::Malformed));
        all.forget(0);
        assert_eq!(take(&mut all, piece(99, true, 1, &[0])), Ok(None));
    }

    #[test]
    fn a_sample_that_is_begun_and_left_is_given_up() {
        let mut all = assemblies(1000);
        assert_eq!(take(&mut all, piece(1, true, 10, &[0])), Ok(None));
        let late = Timestamp::ZERO + LONGEST_PAUSE + Duration::from_secs(1);
        let other = piece(2, true, 10, &[0]);
        assert!(all.take(late, &other, Some(late), true).is_err());
    }

    #[test]
    fn what_nobody_wants_is_not_kept() {
        let mut all = assemblies(100_000);
        assert_eq!(take(&mut all, piece(1, true, 60_000, &[0; 1000])), Ok(None));
        let last = piece(1, false, 0, &[0; 60_000]);
        assert!(matches!(all.take(Timestamp::ZERO, &last, None, false), Ok(None)));
        assert_eq!((all.held(), all.is_empty()), (0, true));
    }

    #[test]
    fn pieces_that_were_here_may_come_again_and_the_first_that_follows_goes_on() {
        for from in [6, 3, 0] {
            let mut all = assemblies(1000);
            assert_eq!(take(&mut all, piece(1, true, 7, &[0, 1, 2])), Ok(None));
            assert_eq!(take(&mut all, piece(1, false, 4, &[3, 4, 5])), Ok(None));
            all.comes_again(1);
            for at in (from..6).step_by(3) {
                let bytes = [at as u8, at as u8 + 1, at as u8 + 2];
                assert_eq!(take(&mut all, piece(1, at == 0, 7 - at, &bytes)), Ok(None), "from {from}");
            }
            assert_eq!(take(&mut all, piece(1, false, 2, &[6, 7])), Ok(None));
            // From there on it is as strict as ever.
            assert_eq!(take(&mut all, piece(1, false, 2, &[6, 7])), Err(ReasonCode::Malformed));
            assert_eq!(take(&mut all, piece(1, false, 0, &[8, 9])), Ok(Some((0..10).collect())));
            assert!(all.is_empty());
        }
    }

    #[test]
    fn what_comes_again_must_fit_too() {
        let cases: [(&str, Fragment<'_>); 4] = [
            ("overlaps", piece(1, false, 3, &[1; 4])),
            ("skips", piece(1, false, 1, &[1; 4])),
            ("begins and goes beyond", piece(1, true, 3, &[1; 7])),
            ("is of another", piece(2, false, 6, &[1; 4])),
        ];
        for (what, fragment) in cases {
            let mut all = assemblies(1000);
            assert_eq!(take(&mut all, piece(1, true, 6, &[1; 4])), Ok(None));
            all.comes_again(1);
            all.comes_again(2);
            assert_eq!(take(&mut all, fragment), Err(ReasonCode::Malformed), "{what}");
        }
    }

    #[test]
    fn a_sample_is_not_late_because_there_was_no_connection() {
        let mut all = assemblies(1000);
        assert_eq!(take(&mut all, piece(1, true, 1, &[7])), Ok(None));
        let late = Timestamp::ZERO + LONGEST_PAUSE + LONGEST_PAUSE;
        all.go_on();
        let last = piece(1, false, 0, &[8]);
        let whole = all.take(late, &last, None, true).expect("it is in time").expect("it is whole");
        assert_eq!(*whole.bytes, [7, 8]);
    }

    /// As [`take`], into memory that is lent where it is.
    fn take_in_place(all: &mut Assemblies, fragment: Fragment<'_>) -> Result<Option<Vec<u8>>, ReasonCode> {
        let Fragment { alias, first, left, bytes } = fragment;
        let head =
            FragmentHead { frame_total: 0, header_len: 0, alias, first, left, payload_len: bytes.len() };
        let Some(mut lent) = all.lend(&head) else { return take(all, fragment) };
        lent.bytes[lent.from..lent.to].copy_from_slice(bytes);
        let sent = first.map(|_| Timestamp::from_micros(7));
        let taken = all.take_lent(Timestamp::ZERO, (&head, lent), sent, true);
        taken.map(|whole| whole.map(|whole| whole.bytes.to_vec())).map_err(|reason| reason.code())
    }

    #[test]
    fn what_was_lent_and_comes_back_changed_nothing() {
        let mut all = assemblies(1000);
        assert_eq!(take_in_place(&mut all, piece(1, true, 6, &[0, 1])), Ok(None));
        for _ in 0..3 {
            let head = FragmentHead {
                frame_total: 0,
                header_len: 0,
                alias: 1,
                first: None,
                left: 3,
                payload_len: 3,
            };
            let mut lent = all.lend(&head).expect("it follows on what is there");
            assert!(all.lend(&head).is_none(), "it is lent once");
            lent.bytes[lent.from..lent.to].fill(9);
            all.give_back(1, lent);
        }
        assert_eq!(take(&mut all, piece(1, false, 3, &[2, 3, 4])), Ok(None));
        assert_eq!(take_in_place(&mut all, piece(1, false, 0, &[5, 6, 7])), Ok(Some((0..8).collect())));
    }

    #[test]
    fn nothing_is_lent_for_a_piece_that_does_not_fit() {
        let mut all = assemblies(1000);
        assert_eq!(take(&mut all, piece(1, true, 6, &[0, 1])), Ok(None));
        for (what, first, left, len) in
            [("begins again", true, 3, 3), ("skips", false, 1, 3), ("goes beyond", false, 0, 7)]
        {
            let first = first.then_some(Stamp(0));
            let head =
                FragmentHead { frame_total: 0, header_len: 0, alias: 1, first, left, payload_len: len };
            assert!(all.lend(&head).is_none(), "{what}");
        }
        let first = Some(Stamp(0));
        let large =
            FragmentHead { frame_total: 0, header_len: 0, alias: 2, first, left: 900, payload_len: 100 };
        assert!(all.lend(&large).is_none(), "larger than any sample");
        assert_eq!(take(&mut all, piece(1, false, 0, &[2; 6])), Ok(Some(vec![0, 1, 2, 2, 2, 2, 2, 2])));
    }

    proptest! {
        #[test]
        fn any_cuts_in_any_order_between_samples_give_the_samples(
            sizes in prop::collection::vec(2..3000usize, 1..4),
            turns in prop::collection::vec((any::<prop::sample::Index>(), 1..900usize, any::<bool>()), 0..200),
        ) {
            let samples: Vec<Vec<u8>> =
                sizes.iter().enumerate().map(|(i, size)| (0..*size).map(|at| (at * 7 + i) as u8).collect()).collect();
            let (mut all, mut at) = (assemblies(10_000), vec![0; samples.len()]);
            let rest = (0..samples.len()).map(|place| (place, usize::MAX, true));
            let turns = turns.iter().map(|(i, size, lent)| (i.index(samples.len()), *size, *lent));
            for (place, size, lent) in turns.chain(rest) {
                let (sample, from) = (&samples[place], at[place]);
                if from == sample.len() { continue; }
                let to = from.saturating_add(size).min(sample.len());
                let left = (sample.len() - to) as u32;
                let next = piece(place as u32, from == 0, left, &sample[from..to]);
                let got = if lent { take_in_place(&mut all, next) } else { take(&mut all, next) };
                at[place] = to;
                prop_assert_eq!(got, Ok((left == 0).then(|| sample.clone())));
                prop_assert!(all.held() <= 2 * at.iter().sum::<usize>() + 3000);
            }
            prop_assert!(all.is_empty());
        }
    }
}
