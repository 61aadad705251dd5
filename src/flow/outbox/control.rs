//! Control frames on their way out.

use super::Outbox;
use crate::flow::batch::encode_counted;
use crate::wire::control::Control;

impl Outbox {
    /// Adds a control frame that goes ahead of all samples. False if the peer does not read its answers.
    pub(crate) fn urgent(&mut self, frame: &Control) -> bool {
        if self.closed {
            return true;
        }
        if let Some(kept) = &mut self.kept {
            match frame {
                // On a link that is gone nobody waits for it.
                _ if kept.suspended && !frame.is_counted() => return true,
                Control::Marked { number } => {
                    kept.answer(*number);
                    return true;
                }
                Control::Ping(_) => kept.note_ping(),
                _ => {}
            }
        }
        let before = self.urgent.len();
        let own_table = matches!(frame, Control::Intents(_) | Control::Interests(_));
        if own_table && self.tables > TABLES {
            // Only what is passed on from other peers can come to so much.
            return false;
        }
        if !own_table && before - self.tables > ANSWERS {
            return false;
        }
        self.counted += encode_counted(&mut self.urgent, frame);
        if own_table {
            self.tables += self.urgent.len() - before;
        }
        true
    }

    /// Adds a control frame behind the samples that wait.
    pub(crate) fn in_line(&mut self, frame: &Control) {
        if self.closed {
            return;
        }
        match &mut self.kept {
            Some(kept) if kept.suspended && !frame.is_counted() => {}
            Some(kept) if matches!(frame, Control::Ping(_)) => kept.ping_in_line(frame),
            // Not ahead of the END of a lane of which something waits.
            _ if self.apart.endings > 0 => {
                self.apart.late_counted += encode_counted(&mut self.apart.late, frame);
            }
            _ => self.batch.control(frame),
        }
    }
}

/// Bytes of tables that may wait for a peer that does not read.
pub(super) const TABLES: usize = 32 << 20;

/// Bytes of answers (PONG, NOTIFY, CREDIT, …) that may wait for a peer that does not read.
pub(super) const ANSWERS: usize = 64 * 1024;
