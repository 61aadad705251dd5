//! Copies of samples, for links that stand by.
//!
//! A sample of a lane whose intent wants all links is numbered when it is taken, wherever it waits: what is dropped of
//! those before it leaves a gap, and the number as it is. Its copy goes into the outboxes of the links that stand by, which hold
//! nothing else but answers; those go ahead of it.

use super::control::ANSWERS;
use super::{Outbox, Put};
use crate::wire::copied::{Copied, MOST_COPIED, copied_len, put_copied};

/// How a sample was taken of which there are copies: see [`Put`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    Queued,
    Inline,
    Parked(u64),
}

impl Put {
    /// The same of a sample of which there are copies, if it was taken.
    pub(super) fn copied(self, number: u64) -> Self {
        match self {
            Put::Queued => Put::Copied(Taken::Queued, number),
            Put::Inline => Put::Copied(Taken::Inline, number),
            Put::Parked(dropped) => Put::Copied(Taken::Parked(dropped), number),
            other => other,
        }
    }
}

impl Outbox {
    /// How many lanes ended under an alias.
    pub(crate) fn ends(&self, alias: u32) -> u32 {
        self.ends.get(alias as usize).copied().unwrap_or(0)
    }

    pub(super) fn count_end(&mut self, alias: u32) {
        let place = alias as usize;
        if self.ends.len() <= place {
            self.ends.resize(place + 1, 0);
        }
        self.ends[place] = self.ends[place].wrapping_add(1);
    }

    /// Of a link that stands by: takes the copy of a sample, if there is room for it.
    pub(crate) fn copy(&mut self, copied: &Copied<'_>) -> bool {
        let len = copied_len(copied);
        let room = self.capacity.clamp(LEAST_COPIES, ANSWERS);
        let fits = copied.payload.len() <= MOST_COPIED && self.batch.len() + len <= room;
        if self.closed || !fits {
            return false;
        }
        put_copied(self.batch.bytes(), copied);
        true
    }

    /// Of a link that stood by: nothing but RESUME goes over it, and then the session, with all of its samples.
    pub(crate) fn drop_copies(&mut self) {
        self.batch.clear();
    }
}

/// How many bytes of copies may wait on any link.
const LEAST_COPIES: usize = 512;
