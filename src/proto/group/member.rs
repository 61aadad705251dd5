//! Another member of a group.

use crate::event::PeerName;
use crate::path::Path;
use crate::time::Timestamp;
use crate::wire::group::{Announce, Digest, Entry};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// A member's table: what it supplies and wants, by route and number.
pub(super) type Table = BTreeMap<(Digest, u32), Entry>;

#[derive(Debug)]
pub(super) struct Member {
    pub(super) instance: [u8; 16],
    pub(super) path: Path,
    pub(super) name: Arc<PeerName>,
    pub(super) clock: Arc<MemberClock>,
    pub(super) table: Table,
    /// This endpoint announced itself since it knows of the member: before, that one would drop our samples.
    pub(super) told: bool,
    /// Pairs of an own party and an entry of this member that samples flow between.
    pub(super) linked: BTreeSet<(u32, u32)>,
    /// Pairs that the application was told about because they do not fit.
    pub(super) refused: BTreeSet<(u32, u32)>,
    interval: Duration,
    heard: Timestamp,
    /// The edition of `table`; none before the first.
    edition: Option<u32>,
    partial: Partial,
    /// The last delays: arrival by our clock less departure by the member's, in microseconds.
    delays: VecDeque<i64>,
}

/// Pages of a table that is not complete.
#[derive(Debug, Default)]
struct Partial {
    edition: u32,
    pages: Vec<Option<Vec<Entry>>>,
    entries: usize,
}

/// How a member's clock goes, as far as it can be known of one that nobody answers.
///
/// It is what must be added to its times to get ours, if its fastest announcement of late had taken no
/// time. So ages are too small by the time that one took.
#[derive(Debug, Default)]
pub(crate) struct MemberClock(AtomicI64);

impl MemberClock {
    /// A time of the member's clock by ours.
    #[inline]
    pub(crate) fn ours(&self, theirs: Timestamp) -> Timestamp {
        theirs.shifted(self.0.load(Ordering::Relaxed))
    }
}

impl Member {
    pub(super) fn new(now: Timestamp, url: &str, announce: &Announce) -> Self {
        let path = announce.path.clone();
        let mut member = Self {
            instance: announce.instance,
            name: Arc::new(PeerName { path: Some(path.clone()), url: url.to_owned() }),
            path,
            clock: Arc::default(),
            table: Table::new(),
            told: false,
            linked: BTreeSet::new(),
            refused: BTreeSet::new(),
            interval: Duration::ZERO,
            heard: now,
            edition: None,
            partial: Partial::default(),
            delays: VecDeque::with_capacity(DELAYS),
        };
        member.hear(now, announce);
        member
    }

    /// Notes that an announcement came.
    pub(super) fn hear(&mut self, now: Timestamp, announce: &Announce) {
        self.heard = now;
        self.interval = Duration::from_millis(announce.interval_millis.into()).min(LONGEST_INTERVAL);
        if self.delays.len() == DELAYS {
            self.delays.pop_front();
        }
        self.delays.push_back((now.micros() as i64).wrapping_sub(announce.clock.micros() as i64));
        let least = self.delays.iter().copied().min().unwrap_or_default();
        self.clock.0.store(least, Ordering::Relaxed);
    }

    /// Takes in a page; returns the table once all pages of a new edition are there.
    pub(super) fn collect(&mut self, announce: Announce) -> Option<Table> {
        if self.edition == Some(announce.edition) {
            return None;
        }
        let count = usize::from(announce.pages);
        if self.partial.edition != announce.edition || self.partial.pages.len() != count {
            let pages = std::iter::repeat_with(|| None).take(count).collect();
            self.partial = Partial { edition: announce.edition, pages, entries: 0 };
        }
        let place = self.partial.pages.get_mut(usize::from(announce.page))?;
        if place.is_none() {
            self.partial.entries += announce.entries.len();
            *place = Some(announce.entries);
        }
        if self.partial.pages.iter().any(Option::is_none) {
            return None;
        }
        self.edition = Some(announce.edition);
        let pages = std::mem::take(&mut self.partial).pages;
        let entries = pages.into_iter().flatten().flatten();
        Some(entries.map(|entry| ((entry.digest, entry.id), entry)).collect())
    }

    /// How many entries are held for it.
    pub(super) fn held(&self) -> usize {
        self.table.len() + self.partial.entries
    }

    /// How long nothing may be heard of it.
    pub(super) fn patience(&self) -> Duration {
        self.interval * 7 / 2 + GRACE
    }

    pub(super) fn lost_at(&self) -> Timestamp {
        self.heard + self.patience()
    }
}

/// How many delays are looked at for the least.
const DELAYS: usize = 16;

/// What a longer interval counts as: nobody stays for hours by a single datagram.
const LONGEST_INTERVAL: Duration = Duration::from_secs(60);

/// Beside 3.5 intervals, for a scheduler that is busy.
const GRACE: Duration = Duration::from_millis(100);
