//! Which numbers a link's samples go by.
//!
//! An alias that ended must not be given to another pair while the peer may still have a CREDIT for the
//! old one under way: it would open the new one too early, and the peer would then hang up for samples
//! it never granted. So behind the END goes a PING, in line; its PONG says that the peer is past the
//! END, and only then is the alias free again.

use crate::time::Timestamp;
use crate::wire::kind::MAX_ALIAS;
use std::collections::{BTreeMap, BTreeSet};

/// The aliases that one link's sending side assigns.
#[derive(Debug, Default)]
pub(super) struct Aliases {
    free: BTreeSet<u32>,
    next: u32,
    ended: Vec<u32>,
    awaited: BTreeMap<Timestamp, Vec<u32>>,
}

impl Aliases {
    /// The smallest free one; `None` when all are taken or wait for their PONG.
    pub(super) fn take(&mut self) -> Option<u32> {
        if let Some(alias) = self.free.pop_first() {
            return Some(alias);
        }
        let alias = self.next;
        if alias > MAX_ALIAS {
            return None;
        }
        self.next += 1;
        Some(alias)
    }

    /// END was said for it.
    pub(super) fn end(&mut self, alias: u32) {
        self.ended.push(alias);
    }

    /// Whether a PING must follow the ENDs said so far.
    pub(super) fn wants_ping(&self) -> bool {
        !self.ended.is_empty()
    }

    /// That PING was sent.
    pub(super) fn pinged(&mut self, stamp: Timestamp) {
        self.awaited.insert(stamp, std::mem::take(&mut self.ended));
    }

    /// The session goes on over another link, and the PONGs that were due may not come.
    pub(super) fn ask_again(&mut self) {
        self.ended.extend(std::mem::take(&mut self.awaited).into_values().flatten());
    }

    /// A PONG came; whether it was for such a PING.
    pub(super) fn answered(&mut self, stamp: Timestamp) -> bool {
        let Some(aliases) = self.awaited.remove(&stamp) else { return false };
        self.free.extend(aliases);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_is_used_again_only_after_the_peer_is_past_its_end() {
        let mut aliases = Aliases::default();
        let stamp = Timestamp::from_micros(5);
        assert_eq!((aliases.take(), aliases.take()), (Some(0), Some(1)));
        aliases.end(0);
        assert!(aliases.wants_ping());
        assert_eq!(aliases.take(), Some(2));
        aliases.pinged(stamp);
        assert!(!aliases.wants_ping());
        assert_eq!(aliases.take(), Some(3));
        assert!(!aliases.answered(Timestamp::from_micros(6)));
        assert!(aliases.answered(stamp) && !aliases.answered(stamp));
        assert_eq!((aliases.take(), aliases.take()), (Some(0), Some(4)));
    }

    #[test]
    fn aliases_are_bounded() {
        let mut aliases = Aliases::default();
        assert_eq!(std::iter::from_fn(|| aliases.take()).count(), MAX_ALIAS as usize + 1);
    }
}
