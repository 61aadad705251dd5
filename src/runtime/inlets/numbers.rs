//! The numbers that samples have within their alias, and what of them goes missing or comes again.
//!
//! A session goes on over another connection from where the sender knows that all came, which may be well behind
//! where it broke off: what comes again has a number below that of the next sample, and is dropped.
//!
//! ```text
//!            here already, dropped      new
//!          ┌───────────┴──────────┐┌────┴────
//!   ───────┼──────────────────────┼──────────►
//!      AT number               sequence
//! ```
//!
//! Of a sample that may be lost the beginning may have been, in pieces, with the link that ended, and the sender may go on in
//! the middle of it. So what follows an AT and is no first piece is the rest of a sample that is lost: it counts as that at
//! once, and comes like one that was here.

use super::{Inlets, Origin, Slot};
use crate::event::LostAt;
use crate::reason::{Reason, ReasonCode};
use crate::runtime::input::LineInput;

/// How far the samples of an alias came.
#[derive(Default)]
pub(super) struct Numbers {
    /// The number of the next sample.
    pub(super) sequence: u64,
    /// Numbers below this were granted.
    pub(super) granted: u64,
    /// The next so many samples were here already, and come again.
    pub(super) behind: u64,
    /// The number that the connection there is told last.
    pub(super) told: Option<u64>,
}

impl Numbers {
    /// Whether the next sample was here already; then it is dropped, which this counts.
    #[inline]
    pub(super) fn is_again(&mut self) -> bool {
        let again = self.behind > 0;
        self.behind -= u64::from(again);
        again
    }
}

impl Inlets {
    /// Whether the next sample of an alias was here already.
    pub(super) fn is_behind(&self, alias: u32) -> bool {
        self.slots.get(alias as usize).and_then(Slot::numbers).is_some_and(|numbers| numbers.behind > 0)
    }

    /// The next sample of an alias that comes has this number: what was here already comes again, or what is between
    /// is lost.
    pub(crate) fn at(&mut self, alias: u32, number: u64, origin: Origin<'_>) -> Result<(), Reason> {
        if number > LAST_SEQUENCE {
            let text = format!("sample {number} of alias {alias} is past the last number");
            return Err(Reason::new(ReasonCode::Malformed, text));
        }
        self.flush(origin.chunk);
        let assigned = self.slot(alias, origin).map(|_| ());
        let Some(slot) = self.slots.get_mut(alias as usize) else { return assigned };
        let Some(numbers) = slot.numbers_mut() else {
            if matches!(slot, Slot::Free) {
                return assigned;
            }
            // Nobody counted its samples since.
            *slot = Slot::Ignored;
            self.assemblies.forget(alias);
            return Ok(());
        };
        numbers.told = Some(number);
        numbers.behind = numbers.sequence.saturating_sub(number);
        let missing = number.saturating_sub(numbers.sequence);
        if missing > 0 {
            self.assemblies.forget(alias);
            return self.miss(alias, missing, LostAt::OnTheWay, origin);
        }
        self.assemblies.comes_again(alias);
        Ok(())
    }

    /// A piece that is not the first is next of an alias: if the beginning of its sample was lost, so is the sample.
    pub(super) fn note_headless(&mut self, alias: u32, origin: Origin<'_>) -> Result<(), Reason> {
        let Some(slot) = self.slots.get(alias as usize).filter(|slot| !slot.is_lossless()) else {
            return Ok(());
        };
        let is_next = slot.numbers().is_some_and(|numbers| numbers.told == Some(numbers.sequence));
        if !is_next || self.assemblies.has(alias) {
            return Ok(());
        }
        self.miss(alias, 1, LostAt::OnTheWay, origin)?;
        if let Some(numbers) = self.slots.get_mut(alias as usize).and_then(Slot::numbers_mut) {
            numbers.behind = 1;
        }
        Ok(())
    }

    /// Samples were lost before they came here: the sender dropped them, or the way did.
    pub(crate) fn gap(
        &mut self,
        alias: u32,
        mut count: u64,
        at: LostAt,
        origin: Origin<'_>,
    ) -> Result<(), Reason> {
        self.flush(origin.chunk);
        match self.slot(alias, origin)?.numbers_mut() {
            Some(numbers) if numbers.behind > 0 => {
                let again = numbers.behind.min(count);
                numbers.behind -= again;
                if again == count {
                    return Ok(());
                }
                count -= again;
            }
            _ => {}
        }
        if at == LostAt::OnTheWay {
            self.assemblies.check_none(alias)?;
        } else {
            // A sample begun and given up is the first of those.
            self.assemblies.forget(alias);
        }
        self.miss(alias, count, at, origin)
    }

    /// The next `count` samples of an alias will not come.
    pub(super) fn miss(
        &mut self,
        alias: u32,
        count: u64,
        at: LostAt,
        origin: Origin<'_>,
    ) -> Result<(), Reason> {
        let slot = self.slot(alias, origin)?;
        let Some(numbers) = slot.numbers_mut() else { return Ok(()) };
        let next = numbers.sequence.checked_add(count).filter(|next| *next <= LAST_SEQUENCE);
        let Some(next) = next else {
            let text = format!("a gap of {count} samples under alias {alias} goes past the last number");
            return Err(Reason::new(ReasonCode::Malformed, text));
        };
        let from = std::mem::replace(&mut numbers.sequence, next);
        if let Slot::Relay(relay) = slot {
            relay.pass_missing(count, at);
        } else if let Some(open) = slot.open() {
            let source = &open.inlet.source;
            source.note_lost_at(count, at);
            source.skip(from, count);
            if source.set_cut_off(false) {
                origin.line.input(LineInput::TakesAgain { alias, missed: count });
            }
        }
        Ok(())
    }

    /// The intent passes its interest over from now on, until that takes again.
    pub(crate) fn stalled(&mut self, alias: u32, untaken: u64, origin: Origin<'_>) -> Result<(), Reason> {
        let slot = self.slot(alias, origin)?;
        if let Slot::Relay(relay) = slot {
            relay.pass_stalled(untaken);
        } else if let Some(open) = slot.open() {
            if open.inlet.source.set_cut_off(true) {
                origin.line.input(LineInput::CutOff { alias, untaken });
            }
        }
        Ok(())
    }
}

pub(super) fn not_granted(alias: u32, numbers: &Numbers) -> Reason {
    let Numbers { sequence, granted, .. } = numbers;
    let text = format!("sample {sequence} of alias {alias} came, but {granted} were granted");
    Reason::new(ReasonCode::NoCredit, text)
}

/// The highest number a sample can have. Nobody counts so far; a peer that says so is wrong.
pub(super) const LAST_SEQUENCE: u64 = 1 << 62;
