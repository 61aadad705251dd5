//! What is sent again on another link, made of what was kept.
//!
//! All kept frames are walked in their order. Control frames that a session counts go again as they are, from the one on
//! that the other side lacks. What was written before the last of those it has, it has too. Of samples it is told the
//! numbers, so that it drops what it has already: AT goes ahead of the first of an alias in each write, and wherever some
//! were left out. Of lanes of which the other side may have counted too few nothing goes again: it would take for new what
//! it has. On a slow line only the newest of lanes that may lose samples go again. Stamps count from each
//! other, and are made anew.

use super::kept::{Ended, is_kept};
use crate::flow::batch::{Batch, Part, Piece};
use crate::time::Timestamp;
use crate::wire::control::Control;
use crate::wire::{StampReader, StampWriter, decode, encode, kind};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What is known beside the frames.
pub(super) struct Known {
    /// Each lane as far as it was taken to be written, and those that ended.
    pub(super) lanes: BTreeMap<u32, Ended>,
    /// Open lanes that may lose samples, or of which copies came: where they stand is told in any case.
    pub(super) loose: Vec<u32>,
    /// Of these it is told where anything is kept.
    pub(super) kept_only: Vec<u32>,
    /// Lanes that may not go over the link there is, and those that ended so.
    pub(super) barred: BTreeSet<u32>,
    pub(super) gone: BTreeSet<u32>,
    /// So many frames, the first, were not sent on the link that ended.
    pub(super) held: usize,
    /// Of these, and of those that ended, the ones that the other side may have counted with too low numbers: what it has
    /// already it would take for new.
    pub(super) unsure: BTreeSet<u32>,
    /// How many of the counted control frames came.
    pub(super) came: u64,
    /// The bytes a second of a slow line.
    pub(super) slow: Option<u64>,
    /// Where the stamps count from that come behind.
    pub(super) base: Option<u64>,
}

/// Makes what is sent again, in pieces of a write each; and what is to be, of barred lanes, on another link.
pub(super) fn again(rows: &[Batch], known: &Known) -> (VecDeque<Batch>, VecDeque<Batch>) {
    let mut walk = Walk::look(rows, known);
    if let Some(rate) = known.slow {
        walk.leave_out(rows, known, usize::try_from(rate).unwrap_or(usize::MAX) / SLOW_LINE_AGAIN);
    }
    let again = walk.write(rows, known);
    if known.barred.is_empty() {
        return (again, VecDeque::new());
    }
    let walk = Walk { holds: true, ..Walk::look(rows, known) };
    (again, walk.write(rows, known))
}

/// Rows of barred lanes, without one of them.
pub(super) fn without(rows: &[Batch], alias: u32) -> VecDeque<Batch> {
    let parts = || rows.iter().flat_map(Batch::frames);
    let aliases = parts().filter_map(|part| match part {
        Part::Sample(piece) => Some(piece.alias),
        part => part.numbers().map(|(alias, _)| alias),
    });
    let mut barred: BTreeSet<u32> = aliases.collect();
    barred.remove(&alias);
    let known = Known {
        lanes: BTreeMap::new(),
        loose: Vec::new(),
        kept_only: Vec::new(),
        barred,
        gone: BTreeSet::new(),
        held: parts().count(),
        unsure: BTreeSet::new(),
        came: 0,
        slow: None,
        base: None,
    };
    Walk { holds: true, ..Walk::look(rows, &known) }.write(rows, &known)
}

/// Both times the frames are walked.
struct Walk {
    tracks: BTreeMap<u32, Track>,
    /// All before this one are known to have come.
    from: usize,
    /// But for the first so many, which were not sent.
    held: usize,
    /// What is made is of barred lanes, and nothing else.
    holds: bool,
    out: Writes,
}

/// An alias on the way.
#[derive(Default)]
struct Track {
    /// The number of the next sample.
    number: u64,
    /// The number of the first frame, where an AT told.
    start: Option<u64>,
    /// Numbers gone by before the first AT.
    passed: u64,
    /// Samples below this number were taken there.
    taken: u64,
    /// Samples below this number are not sent again.
    least: u64,
    /// The write in which the other side was told where it stands, if that holds.
    said: Option<usize>,
    /// It was told at all, and there is more to come.
    told: bool,
    /// A piece of a sample was sent that has others.
    within: bool,
}

impl Walk {
    /// Finds the numbers that aliases begin with, and what came.
    fn look(rows: &[Batch], known: &Known) -> Self {
        let mut tracks: BTreeMap<u32, Track> = BTreeMap::new();
        let (mut counted, mut from) = (0, 0);
        for (place, part) in rows.iter().flat_map(Batch::frames).enumerate() {
            if let Some((alias, count)) = part.numbers() {
                let track = tracks.entry(alias).or_default();
                if track.start.is_none() {
                    track.passed += count;
                }
                continue;
            }
            match part {
                // A piece whose sample goes on.
                Part::Sample(piece) => drop(tracks.entry(piece.alias).or_default()),
                Part::Control { kind: kind::AT, body, .. } => {
                    if let Ok(Control::At { alias, number }) = decode(kind::AT, body) {
                        let track = tracks.entry(alias).or_default();
                        if track.start.is_none() {
                            track.start = Some(number.saturating_sub(track.passed));
                        }
                    }
                }
                Part::Control { kind, .. } if kind::is_counted(kind) => {
                    counted += 1;
                    if counted <= known.came {
                        from = place + 1;
                    }
                }
                Part::Control { .. } => {}
            }
        }
        for (alias, track) in &mut tracks {
            let lane = known.lanes.get(alias);
            let end = lane.map_or(track.passed, |lane| lane.sequence);
            track.number = track.start.unwrap_or(end.saturating_sub(track.passed));
            track.start = Some(track.number);
            track.taken = lane.map_or(0, |lane| lane.taken);
            track.least = track.taken;
            if let Some(lane) =
                lane.filter(|lane| !lane.delivery.is_lossless() && known.unsure.contains(alias))
            {
                (track.least, track.told) = (lane.sequence, true);
            }
        }
        Self { tracks, from, held: known.held, holds: false, out: Writes::default() }
    }

    /// Leaves out all but the newest of lanes that may lose samples: so many of each as its interest keeps, and no more
    /// than `room` bytes but for one of each.
    fn leave_out(&mut self, rows: &[Batch], known: &Known, room: usize) {
        let mut samples: Vec<(u32, u64, usize)> = Vec::new();
        let mut open: BTreeMap<u32, usize> = BTreeMap::new();
        for (place, part) in rows.iter().flat_map(Batch::frames).enumerate() {
            if let Part::Sample(piece) = &part {
                *open.entry(piece.alias).or_default() += piece.len();
            }
            let Some(alias) = self.pass(&part) else { continue };
            let Some(track) = self.tracks.get(&alias) else { continue };
            if let (Part::Sample(Piece { left: 0, .. }), Some(size)) = (&part, open.remove(&alias)) {
                if self.is_new(place) && track.number > track.least {
                    samples.push((alias, track.number - 1, size));
                }
            }
        }
        // Of those in `open` more comes than what was kept.
        let mut counts: BTreeMap<u32, usize> = open.keys().map(|alias| (*alias, 1)).collect();
        let mut spent = 0;
        for (alias, number, size) in samples.into_iter().rev() {
            let Some(lane) = known.lanes.get(&alias).filter(|lane| !lane.delivery.is_lossless()) else {
                continue;
            };
            if !self.takes(alias, known) {
                continue;
            }
            let Some(track) = self.tracks.get_mut(&alias) else { continue };
            let count = counts.entry(alias).or_default();
            let fits = *count < lane.delivery.depth() as usize && spent + size <= room;
            if number < track.least {
                continue;
            } else if *count == 0 || fits {
                *count += 1;
                spent += size;
            } else {
                track.least = number + 1;
            }
        }
        for track in self.tracks.values_mut() {
            track.number = track.start.unwrap_or(0);
        }
    }

    /// Goes past a frame: the alias whose numbers went on.
    fn pass(&mut self, part: &Part<'_>) -> Option<u32> {
        if let Part::Control { kind: kind::AT, body, .. } = part {
            if let Ok(Control::At { alias, number }) = decode(kind::AT, body) {
                let track = self.tracks.entry(alias).or_default();
                if number != track.number {
                    // Some were left out before.
                    (track.number, track.said) = (number, None);
                }
            }
            return None;
        }
        let (alias, count) = part.numbers()?;
        let track = self.tracks.entry(alias).or_default();
        track.number = track.number.saturating_add(count);
        Some(alias)
    }

    fn write(mut self, rows: &[Batch], known: &Known) -> VecDeque<Batch> {
        let (mut place, mut counted) = (0, 0);
        let mut times = StampReader::default();
        for row in rows {
            if let Some(base) = row.base {
                times.reset(Timestamp::from_micros(base));
            }
            for part in row.frames() {
                let is_new = self.is_new(place);
                place += 1;
                match &part {
                    Part::Sample(piece) => {
                        let takes = is_new && self.takes(piece.alias, known);
                        self.sample(piece, takes, &mut times);
                    }
                    Part::Control { kind: kind::TIME, body, .. } => {
                        if let Ok(Control::Time(time)) = decode(kind::TIME, body) {
                            times.reset(time);
                        }
                    }
                    Part::Control { kind: kind::GAP | kind::LOST, frame, .. } => {
                        let takes = part.numbers().is_some_and(|(alias, _)| self.takes(alias, known));
                        self.missing(&part, frame, is_new && takes)
                    }
                    Part::Control { kind, frame, body } if kind::is_counted(*kind) => {
                        counted += 1;
                        let is_new = counted > known.came && !self.holds;
                        self.ends(*kind, body, known, is_new);
                        if is_new {
                            self.out.batch.bytes().extend_from_slice(frame);
                            self.out.batch.counted += 1;
                        }
                    }
                    Part::Control { kind, .. } => debug_assert!(*kind == kind::AT || !is_kept(*kind)),
                }
                self.pass(&part);
                self.out.turn();
            }
        }
        self.end(known)
    }

    fn is_new(&self, place: usize) -> bool {
        place < self.held || place >= self.from
    }

    /// Whether what is made has samples of an alias.
    fn takes(&self, alias: u32, known: &Known) -> bool {
        known.barred.contains(&alias) == self.holds && !known.gone.contains(&alias)
    }

    fn sample(&mut self, piece: &Piece<'_>, is_new: bool, times: &mut StampReader) {
        let sent = piece.stamp.map(|stamp| times.apply(stamp));
        let Some(track) = self.tracks.get_mut(&piece.alias) else { return };
        if !is_new || track.number < track.least {
            (track.said, track.within) = (None, false);
            return;
        }
        // Never between two pieces.
        if !track.within {
            self.out.at(piece.alias, track);
        }
        track.within = piece.left > 0;
        let stamp = self.out.stamp(sent);
        piece.put(&mut self.out.batch, stamp);
    }

    fn missing(&mut self, part: &Part<'_>, frame: &[u8], is_new: bool) {
        let Some((alias, count)) = part.numbers() else { return };
        let Some(track) = self.tracks.get_mut(&alias) else { return };
        // Where what is behind it was taken there too, nothing would tell the number after that.
        if !is_new || track.number.saturating_add(count) <= track.taken {
            track.said = None;
            return;
        }
        self.out.at(alias, track);
        self.out.batch.bytes().extend_from_slice(frame);
    }

    /// An alias ends: with the number it has there, and no more is to be told of it.
    fn ends(&mut self, kind: u32, body: &[u8], known: &Known, is_new: bool) {
        let Some(Ok(Control::End { alias })) = (kind == kind::END).then(|| decode(kind, body)) else {
            return;
        };
        let Some(track) = self.tracks.get_mut(&alias) else { return };
        // Of one that not every link fits samples may be left out that were never told of.
        let choosy = known.lanes.get(&alias).is_some_and(|lane| lane.links.is_some());
        let told = std::mem::take(&mut track.told) || choosy;
        if told && is_new && track.said.is_none() {
            self.out.at(alias, track);
            track.told = false;
        }
    }

    /// Tells where the rest of the lanes stand of which something may have been lost on the way.
    fn end(mut self, known: &Known) -> VecDeque<Batch> {
        if self.holds {
            // Nor does anything tell the number behind what was left out of these, once they may go.
            for (alias, track) in self.tracks.iter_mut().filter(|(alias, _)| known.barred.contains(alias)) {
                if track.told && track.said.is_none() {
                    self.out.at(*alias, track);
                }
            }
            return self.out.finish();
        }
        for (alias, track) in &self.tracks {
            let at = known.lanes.get(alias).map(|lane| lane.sequence);
            debug_assert_eq!(Some(track.number), at, "alias {alias}");
        }
        // Those that were told of, and of which something was left out since.
        for (alias, track) in self.tracks.iter_mut().filter(|(_, track)| track.told && track.said.is_none()) {
            self.out.at(*alias, track);
        }
        let kept_only = known.kept_only.iter().filter(|alias| self.tracks.contains_key(alias));
        let told: Vec<u32> = kept_only.chain(&known.loose).copied().collect();
        for alias in &told {
            let Some(lane) = known.lanes.get(alias) else { continue };
            let track = self.tracks.entry(*alias).or_default();
            if track.said.is_none() && !track.within {
                track.number = lane.sequence;
                self.out.at(*alias, track);
                self.out.turn();
            }
        }
        if let Some(base) = known.base {
            encode(self.out.batch.bytes(), &Control::Time(Timestamp::from_micros(base)));
        }
        self.out.finish()
    }
}

/// Writes in the making.
#[derive(Default)]
struct Writes {
    done: VecDeque<Batch>,
    batch: Batch,
    stamps: StampWriter,
}

impl Writes {
    /// Says where an alias stands, once in each write.
    fn at(&mut self, alias: u32, track: &mut Track) {
        if track.said != Some(self.done.len()) {
            (track.said, track.told) = (Some(self.done.len()), true);
            encode(self.batch.bytes(), &Control::At { alias, number: track.number });
        }
    }

    /// The stamp of a sample, if this is its beginning.
    fn stamp(&mut self, sent: Option<Timestamp>) -> Option<crate::wire::Stamp> {
        if self.batch.messages() == 0 {
            self.batch.base = self.stamps.time();
        }
        let sent = sent?;
        if self.stamps.time().is_some_and(|time| time > sent.micros()) {
            // It may seem a little later than it was already: not again.
            self.stamps = StampWriter::default();
        }
        let out = self.stamps.stamp(sent);
        if out.time_first {
            encode(self.batch.bytes(), &Control::Time(sent));
        }
        Some(out.stamp)
    }

    /// Ends a write that is long enough.
    fn turn(&mut self) {
        if self.batch.size() >= WRITE {
            self.done.push_back(std::mem::take(&mut self.batch));
        }
    }

    fn finish(mut self) -> VecDeque<Batch> {
        if self.batch.size() > 0 {
            self.done.push_back(self.batch);
        }
        self.done
    }
}

/// How many bytes one write has, about.
const WRITE: usize = 64 * 1024;

/// What part of a second's worth of a slow line is sent again of samples that may be lost.
const SLOW_LINE_AGAIN: usize = 20;
