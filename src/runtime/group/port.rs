//! A group's socket with what is counted at it.

use crate::event::PeerName;
use crate::runtime::clock::Clock;
use crate::transport::udp::group::GroupSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What intents and the reader of a group share.
pub(crate) struct Port {
    pub(crate) socket: GroupSocket,
    pub(crate) clock: Clock,
    /// The group as the peer of its samples.
    pub(crate) name: Arc<PeerName>,
    /// The largest payload that fits a datagram.
    pub(crate) largest: usize,
    pub(crate) tallies: Tallies,
}

/// How many datagrams there were, by what became of them.
#[derive(Default)]
pub(crate) struct Tallies {
    pub(crate) sent: Tally,
    pub(crate) unsent: Tally,
    pub(crate) taken: Tally,
    pub(crate) unwanted: Tally,
    pub(crate) strangers: Tally,
    pub(crate) late: Tally,
}

/// A count that only grows.
#[derive(Default)]
pub(crate) struct Tally(AtomicU64);

impl Tally {
    #[inline]
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Port {
    /// Sends one datagram, never waiting; false if the system does not take it.
    pub(crate) fn send(&self, head: &[u8], payload: &[u8]) -> bool {
        match self.socket.send(head, payload) {
            Ok(()) => {
                self.tallies.sent.add();
                true
            }
            Err(error) => {
                self.tallies.unsent.add();
                log::debug!("{}: a datagram was not sent: {error}", self.name);
                false
            }
        }
    }
}
