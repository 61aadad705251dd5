//! What a line brings: credits, what the reader has for the dispatcher and the dispatcher for the reader, and
//! the peer's clock.

use super::{Change, Line};
use crate::flow::outbox::{Credited, Onward};
use crate::reason::{Reason, ReasonCode};
use crate::runtime::input::{Input, LineInput};
use crate::sync::atomic::Ordering;
use crate::time::Timestamp;
use crate::wire::control::Credit;
use std::time::Duration;

impl Line {
    /// Tells the reader what to do with an alias from now on.
    pub(crate) fn change(&self, change: Change) {
        let mut changes = self.changes.lock();
        if self.discarding.load(Ordering::Acquire) {
            // No reader takes it over any more.
            return;
        }
        changes.push(change);
        self.changed.store(true, Ordering::Release);
    }

    #[inline]
    pub(crate) fn has_changes(&self) -> bool {
        self.changed.load(Ordering::Acquire)
    }

    pub(crate) fn take_changes(&self) -> Vec<Change> {
        let mut changes = self.changes.lock();
        self.changed.store(false, Ordering::Release);
        std::mem::take(&mut changes)
    }

    /// Takes in a credit; an invalid one ends the link.
    pub(crate) fn credit(&self, credit: Credit) -> Result<(), Reason> {
        let mut out = self.out.lock();
        if out.outbox.lane(credit.alias).is_none() {
            // A credit that crossed our END.
            return Ok(());
        }
        let Some(Credited { first, missed }) = out.outbox.credit(credit) else {
            let known = out
                .outbox
                .lane(credit.alias)
                .map_or((0, 0, 0), |lane| (lane.sequence, lane.limit.unwrap_or(0), lane.taken));
            drop(out);
            let Credit { alias, limit, taken, lost } = credit;
            let (sent, old_limit, old_taken) = known;
            let text = format!(
                "a credit for alias {alias} goes backwards, past its depth or past what was sent: limit {limit} after \
                 {old_limit}, taken {taken} after {old_taken}, lost {lost}, of {sent} sent"
            );
            return Err(Reason::new(ReasonCode::Malformed, text));
        };
        let starved = out.starved.iter().position(|alias| *alias == credit.alias);
        let room = starved.and_then(|place| {
            out.starved.swap_remove(place);
            out.rooms.get(credit.alias as usize).cloned().flatten()
        });
        let fed = if out.feeds.is_empty() { None } else { out.fed(credit.alias, Onward::Credit) };
        self.wake_after(out);
        if let Some((feed, credit)) = fed {
            feed.grant(credit);
        }
        if let Some(room) = room {
            room.raise();
        }
        if first {
            self.input(LineInput::Opened { alias: credit.alias });
        }
        if let Some(missed) = missed {
            self.input(LineInput::Returned { alias: credit.alias, missed });
        }
        Ok(())
    }

    /// Hands something to the dispatcher; waits while this line has too much there already.
    pub(crate) fn input(&self, input: LineInput) {
        // Once the dispatcher has let go of the line nobody takes its inputs any more.
        if self.inputs.put(input, || self.discarding.load(Ordering::Acquire)) {
            self.schedule();
        }
    }

    /// Reports a fault from a thread that must not wait.
    pub(crate) fn fault(&self, reason: Reason) {
        let told = self.inputs.try_put(LineInput::Fault(reason))
            && (self.scheduled.swap(true, Ordering::AcqRel)
                || self.id.get().is_some_and(|id| self.dispatcher.try_send(Input::Ready(*id)).is_ok()));
        if !told {
            // So much waits for the dispatcher that the line is past saving gently: the reader will
            // meet its end and report it.
            self.scheduled.store(false, Ordering::Release);
            self.connection.close();
        }
    }

    fn schedule(&self) {
        if !self.scheduled.swap(true, Ordering::AcqRel) {
            if let Some(id) = self.id.get() {
                let _ = self.dispatcher.send(Input::Ready(*id));
            }
        }
    }

    /// For the dispatcher: the next input, and when there is none, the promise to be told of one.
    pub(crate) fn next_input(&self) -> Option<LineInput> {
        if let Some(input) = self.inputs.take() {
            return Some(input);
        }
        self.scheduled.store(false, Ordering::Release);
        // One may have come between the look and the store, by a reader that saw `scheduled` still set.
        let input = self.inputs.take()?;
        self.scheduled.store(true, Ordering::Release);
        Some(input)
    }

    pub(crate) fn note_heard(&self, now: Timestamp) {
        self.heard.store(now.micros(), Ordering::Relaxed);
    }

    pub(crate) fn heard(&self) -> Timestamp {
        Timestamp::from_micros(self.heard.load(Ordering::Relaxed))
    }

    pub(crate) fn set_offset(&self, micros: i64, error: Duration) {
        self.offset.store(micros, Ordering::Relaxed);
        let error = u64::try_from(error.as_micros()).unwrap_or(u64::MAX - 1);
        self.offset_error.store(error, Ordering::Release);
    }

    /// The peer's time t is `t - offset` here.
    #[inline]
    pub(crate) fn offset(&self) -> i64 {
        self.offset.load(Ordering::Relaxed)
    }

    pub(crate) fn clock_error(&self) -> Option<Duration> {
        match self.offset_error.load(Ordering::Acquire) {
            u64::MAX => None,
            micros => Some(Duration::from_micros(micros)),
        }
    }
}
