//! A session that goes on over another connection, as the reader sees it: where it stands, what it answers, and whose
//! frames it reads.

use super::{Inlets, Line};
use crate::sync::atomic::Ordering;
use crate::sync::{Condvar, Mutex, is_simulated};
use crate::wire::control::Control;
use std::sync::Arc;

/// What the dispatcher makes of a connection once it read the frame that decides it: a HANDSHAKE final or a RESUME. Until
/// then what follows is not cut into frames, as it is not known whose they are.
pub(crate) enum Word {
    /// It stays with its line.
    GoOn,
    /// The same, but it carries no session yet.
    StandBy,
    /// The session of another line goes on over it: of that, the peer has so many frames that are counted.
    HandOver(Arc<Line>, u64),
}

/// The word a reader waits for.
#[derive(Default)]
pub(super) struct Words {
    said: Mutex<Option<Word>>,
    /// Raised when there is one, or never will be.
    told: Condvar,
}

impl Words {
    /// Whoever waits looks whether the line is over.
    pub(super) fn give_up(&self) {
        // Whoever did not see it yet waits by now.
        drop(self.said.lock());
        self.told.notify_all();
    }
}

impl Line {
    /// Tells the reader, which waits or soon will, what becomes of its connection.
    pub(crate) fn word(&self, word: Word) {
        *self.words.said.lock() = Some(word);
        self.words.told.notify_all();
    }

    /// For the reader: waits for the word. `None` where the line is over; in a simulated world also where there
    /// is none yet.
    pub(crate) fn next_word(&self) -> Option<Word> {
        let mut said = self.words.said.lock();
        loop {
            if let Some(word) = said.take() {
                return Some(word);
            }
            if self.discarding.load(Ordering::Acquire) || is_simulated() {
                return None;
            }
            self.words.told.wait(&mut said);
        }
    }

    /// How many frames of the session came that are counted.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Acquire)
    }

    /// For the reader: another one came.
    pub(crate) fn count_received(&self) {
        self.received.fetch_add(1, Ordering::AcqRel);
    }

    /// Answers that all before this mark came.
    pub(crate) fn answer_mark(&self, number: u64) {
        self.answer(self.out.lock(), &Control::Marked { number });
    }

    /// The session is over, and the reader ended: lets go of what it knew. Lines that pass samples on to each other
    /// would else keep each other alive.
    pub(crate) fn forget(&self) {
        let known = std::mem::replace(&mut *self.inlets.lock(), Inlets::new());
        drop((known, self.take_changes()));
    }
}
