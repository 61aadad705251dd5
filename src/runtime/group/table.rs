//! From a datagram to the interests it is for, or to nowhere.

use crate::bytes::{Buffer, Bytes, Payload, Pool};
use crate::delivery::Delivery;
use crate::event::LostAt;
use crate::flow::run::{Content, Run, Taken};
use crate::proto::group::{MemberClock, Supply};
use crate::runtime::inbox::Inbox;
use crate::runtime::source::SourceRef;
use crate::wire::group::{Digest, SampleHead, sample_digest};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// What this endpoint wants of a group, by digest: never changed once it is published.
#[derive(Default)]
pub(crate) struct Table {
    wanted: HashMap<Digest, Vec<(Supply, Supplier)>, BuildHasherDefault<FirstEight>>,
    /// The short name of this endpoint, whose own samples come back to it.
    own: u32,
}

/// One intent of a member, and who takes its samples here.
pub(crate) struct Supplier {
    pub(crate) order: Arc<Order>,
    pub(crate) clock: Arc<MemberClock>,
    pub(crate) takers: Vec<(Arc<Inbox>, SourceRef)>,
}

/// What became of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sorted {
    Taken,
    /// Nobody here wants its route: dropped after one look-up.
    Unwanted,
    /// Of a sender that did not announce it.
    Stranger,
    /// Its number was passed already: it came late, or twice.
    Late,
    /// This endpoint's own.
    Own,
    /// No sample.
    Other,
}

impl Table {
    pub(crate) fn new(own: u32) -> Self {
        Self { wanted: HashMap::default(), own }
    }

    /// Notes that a route is wanted, by whomever it is supplied.
    pub(crate) fn want(&mut self, digest: Digest) {
        self.wanted.entry(digest).or_default();
    }

    /// Adds somebody who takes the samples of `supply`.
    pub(crate) fn supply(
        &mut self,
        digest: Digest,
        supply: Supply,
        order: &Arc<Order>,
        clock: &Arc<MemberClock>,
        taker: (Arc<Inbox>, SourceRef),
    ) {
        let suppliers = self.wanted.entry(digest).or_default();
        let place = match suppliers.binary_search_by_key(&supply, |(supply, _)| *supply) {
            Ok(place) => place,
            Err(place) => {
                let new = Supplier { order: Arc::clone(order), clock: Arc::clone(clock), takers: Vec::new() };
                suppliers.insert(place, (supply, new));
                place
            }
        };
        suppliers[place].1.takers.push(taker);
    }

    /// Hands a sample to those who want it. What nobody wants costs a look-up and no more.
    #[inline]
    pub(crate) fn sort(&self, datagram: &[u8], pool: &Arc<Pool>) -> Sorted {
        let Some(digest) = sample_digest(datagram) else { return Sorted::Other };
        match self.wanted.get(&digest) {
            None => Sorted::Unwanted,
            Some(suppliers) => self.take(digest, suppliers, datagram, pool),
        }
    }

    fn take(
        &self,
        digest: Digest,
        suppliers: &[(Supply, Supplier)],
        datagram: &[u8],
        pool: &Arc<Pool>,
    ) -> Sorted {
        let Some((head, payload)) = SampleHead::read(digest, datagram) else { return Sorted::Other };
        if head.sender == self.own {
            return Sorted::Own;
        }
        let supply = Supply { sender: head.sender, intent: head.intent };
        let Ok(place) = suppliers.binary_search_by_key(&supply, |(supply, _)| *supply) else {
            return Sorted::Stranger;
        };
        let supplier = &suppliers[place].1;
        let Some((number, missing)) = supplier.order.take(head.sequence) else { return Sorted::Late };
        let sent = supplier.clock.ours(head.sent);
        let mut bytes = None;
        for (inbox, source) in &supplier.takers {
            if missing > 0 {
                source.note_lost_at(missing.into(), LostAt::OnTheWay);
            }
            let taken = |content| Taken { source, sequence: number, sent, content };
            if inbox.is_callback() {
                inbox.call(taken(Content::Encoded(Payload::new(payload))));
            } else if inbox.delivery == Delivery::Latest {
                inbox.replace(&taken(Content::Encoded(Payload::new(payload))), 0);
            } else {
                let bytes = bytes.get_or_insert_with(|| {
                    let mut buffer = Buffer::of_len(payload.len(), pool);
                    buffer.bytes_mut().copy_from_slice(payload);
                    Bytes::whole(Arc::new(buffer))
                });
                inbox.deliver(Run::whole(source.clone(), number, sent, bytes.clone()));
            }
        }
        Sorted::Taken
    }
}

/// Where the numbers of one supplier are. Only the reader of the group changes it.
#[derive(Default)]
pub(crate) struct Order {
    begun: AtomicBool,
    /// The number the next datagram should carry.
    next: AtomicU32,
    /// The same, counted from the first that came, without wrapping.
    number: AtomicU64,
}

impl Order {
    /// The number of a sample, counted from the first that came, and how many before it are missing;
    /// `None` where its turn is past.
    pub(crate) fn take(&self, sequence: u32) -> Option<(u64, u32)> {
        let expected = self.next.load(Ordering::Relaxed);
        let ahead = sequence.wrapping_sub(expected);
        let missing = if !self.begun.load(Ordering::Relaxed) {
            self.begun.store(true, Ordering::Relaxed);
            0
        } else if ahead.wrapping_neg() <= REORDERED && ahead != 0 {
            return None;
        } else if ahead > MOST_MISSING {
            // Nothing that happens to datagrams explains it: the sender counts anew.
            0
        } else {
            ahead
        };
        let number = self.number.load(Ordering::Relaxed).saturating_add(missing.into());
        self.next.store(sequence.wrapping_add(1), Ordering::Relaxed);
        self.number.store(number.saturating_add(1), Ordering::Relaxed);
        Some((number, missing))
    }
}

/// A digest is as good as a random number already.
#[derive(Default)]
pub(crate) struct FirstEight(u64);

impl Hasher for FirstEight {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    fn write_usize(&mut self, _: usize) {}

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}

/// How far behind a sample may be and count as late or double.
const REORDERED: u32 = 1024;

/// How many samples may be missing at once.
const MOST_MISSING: u32 = 1 << 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_counted_and_what_is_late_or_double_is_dropped() {
        let order = Order::default();
        assert_eq!(order.take(u32::MAX - 1), Some((0, 0)), "whatever comes first is the first");
        assert_eq!(order.take(u32::MAX), Some((1, 0)));
        assert_eq!(order.take(u32::MAX), None, "double");
        assert_eq!(order.take(2), Some((4, 2)), "numbers wrap");
        assert_eq!(order.take(1), None, "late; it was counted when it was missing");
        assert_eq!(order.take(3), Some((5, 0)));
        assert_eq!(order.take(1_000_000), Some((1_000_002, 999_996)));
        assert_eq!(order.take(7), Some((1_000_003, 0)), "the sender counts anew");
    }

    #[test]
    fn only_what_is_wanted_is_looked_into() {
        let route = |text: &str| Digest::of(&crate::route::Route::parse(text).unwrap());
        let (imu, scan) = (route("Imu@robot.imu"), route("Scan@robot.scan"));
        let mut table = Table::new(9);
        table.want(imu);
        let pool = Pool::new(1, 1000);
        let head = |digest, sender| SampleHead {
            digest,
            sender,
            intent: 1,
            sequence: 0,
            sent: crate::time::Timestamp::ZERO,
        };
        assert_eq!(table.sort(&head(scan, 1).encode(), &pool), Sorted::Unwanted);
        assert_eq!(table.sort(&head(imu, 1).encode(), &pool), Sorted::Stranger);
        assert_eq!(table.sort(&head(imu, 9).encode(), &pool), Sorted::Own);
        assert_eq!(table.sort(b"something else altogether, and longer than a head", &pool), Sorted::Other);
        assert_eq!(table.sort(&[], &pool), Sorted::Other);
    }
}
