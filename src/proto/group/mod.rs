//! A group as one member sees it: who else is there, and who wants what of whom.
//!
//! A group has no connections and no handshakes. Each member announces itself and its table, at once when
//! something changed and else once an interval; whoever was not heard for 3.5 of its intervals has vanished.
//!
//! ```text
//!            ANNOUNCE                  all pages of an edition
//!  unknown ───────────► known, no table ─────────────────────► compared: its intents and interests
//!     ▲                    │                                      │      meet ours, pair by pair
//!     └──── LEAVE, or silent for 3.5 intervals ◄──────────────────┘
//! ```
//!
//! Pure, as all of `proto`: give it an input with `now`, take [`GroupAction`]s with `poll` until there are none,
//! ask `next_wake` when it next wants a `tick`.

mod losses;
mod member;
mod pairs;
#[cfg(test)]
mod tests;

use crate::event::{Event, PeerName};
use crate::path::Path;
use crate::peer::Scope;
use crate::proto::words::plain;
use crate::proto::{Declaration, IntentId, InterestId};
use crate::reason::{Reason, ReasonCode};
use crate::route::Route;
use crate::schema::Schema;
use crate::time::Timestamp;
use crate::wire::group::{Announce, Digest, Entry, Leave, Role, Useless, announce, leave, sender_of};
use member::Member;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

pub(crate) use member::MemberClock;

/// What a group is told once, at its start.
#[derive(Clone, Debug)]
pub(crate) struct GroupSettings {
    /// Of the group, for events.
    pub(crate) url: String,
    pub(crate) path: Path,
    pub(crate) scope: Scope,
    pub(crate) instance: [u8; 16],
    /// Of the pauses before an answer.
    pub(crate) seed: u64,
    /// How often this member announces itself.
    pub(crate) interval: Duration,
    /// The largest datagram, in bytes.
    pub(crate) mtu: usize,
}

/// One intent of a member, as its samples name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Supply {
    pub(crate) sender: u32,
    pub(crate) intent: u32,
}

/// What a group wants done. The driver does it at once and in order.
#[derive(Clone, Debug)]
pub(crate) enum GroupAction {
    /// Send this datagram to all.
    Send(Vec<u8>),
    /// How many interests of others want the samples of an intent has changed; to be looked up with
    /// [`wanted`](Group::wanted) once all datagrams before this were sent. If `late`, somebody came late: the
    /// retained sample is to be sent once more.
    Wanted { intent: IntentId, late: bool },
    /// Samples of `supply` are for `interest` from now on.
    Supplied { interest: InterestId, supply: Supply, member: Arc<PeerName>, clock: Arc<MemberClock> },
    /// They no longer are.
    Unsupplied { interest: InterestId, supply: Supply },
    /// Tell the application.
    Event(Event),
}

/// What came and was of no use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct GroupCounts {
    /// Neither a sample nor anything else that can be read.
    pub(crate) useless: u64,
    /// Announcements beyond the bounds.
    pub(crate) refused: u64,
}

/// One member's view of a group.
#[derive(Debug)]
pub(crate) struct Group {
    settings: GroupSettings,
    sender: u32,
    now: Timestamp,
    rng: fastrand::Rng,
    own: BTreeMap<u32, Own>,
    by_digest: BTreeMap<Digest, BTreeSet<u32>>,
    /// How many interests of others each own intent has.
    wanted: BTreeMap<u32, usize>,
    /// Own intents that were not announced yet: whoever knows nothing of them would drop their samples.
    unannounced: BTreeSet<u32>,
    members: BTreeMap<u32, Member>,
    /// Entries of all members, of whole and of partial tables.
    entries: usize,
    edition: u32,
    /// When to announce next, and when it was done last.
    due: Timestamp,
    announced: Option<Timestamp>,
    /// When the application was last told of something useless, and how many came since.
    told: Option<Timestamp>,
    untold: u64,
    counts: GroupCounts,
    missed: losses::Missed,
    closed: bool,
    actions: VecDeque<GroupAction>,
}

/// An intent or interest of this endpoint.
#[derive(Debug)]
struct Own {
    route: Route,
    schema: Arc<Schema>,
    retained: bool,
    entry: Entry,
}

impl Group {
    /// Announces itself with the first `tick`.
    pub(crate) fn new(now: Timestamp, settings: GroupSettings) -> Self {
        Self {
            sender: sender_of(&settings.instance),
            rng: fastrand::Rng::with_seed(settings.seed),
            settings,
            now,
            own: BTreeMap::new(),
            by_digest: BTreeMap::new(),
            wanted: BTreeMap::new(),
            unannounced: BTreeSet::new(),
            members: BTreeMap::new(),
            entries: 0,
            edition: 0,
            due: now,
            announced: None,
            told: None,
            untold: 0,
            counts: GroupCounts::default(),
            missed: losses::Missed::default(),
            closed: false,
            actions: VecDeque::new(),
        }
    }

    /// The short name under which this member's samples go.
    pub(crate) fn sender(&self) -> u32 {
        self.sender
    }

    /// Supplies a route from now on. Ids of intents and interests are never used twice, nor for both.
    pub(crate) fn declare_intent(
        &mut self,
        now: Timestamp,
        id: IntentId,
        declaration: &Declaration,
        exclusive: bool,
        retained: bool,
    ) {
        let role = if exclusive { Role::SuppliesAlone } else { Role::Supplies };
        self.declare(now, id.0, declaration, role, retained);
    }

    /// Wants a route from now on.
    pub(crate) fn declare_interest(
        &mut self,
        now: Timestamp,
        id: InterestId,
        declaration: &Declaration,
        delivery: crate::delivery::Delivery,
    ) {
        let role = match delivery {
            crate::delivery::Delivery::Latest => Role::WantsLatest,
            crate::delivery::Delivery::Queue(_) => Role::WantsQueue,
            crate::delivery::Delivery::Lossless(_) => Role::WantsLossless,
        };
        self.declare(now, id.0, declaration, role, false);
    }

    fn declare(&mut self, now: Timestamp, id: u32, declaration: &Declaration, role: Role, retained: bool) {
        self.advance(now);
        let Declaration { route, schema, codec, .. } = declaration;
        let entry = Entry {
            role,
            id,
            digest: Digest::of(route),
            fingerprint: schema.fingerprint(),
            codec: (*codec).to_owned(),
        };
        self.by_digest.entry(entry.digest).or_default().insert(id);
        self.own.insert(id, Own { route: route.clone(), schema: Arc::clone(schema), retained, entry });
        if role.supplies() {
            self.unannounced.insert(id);
        } else {
            self.meet_all(id);
        }
        self.changed();
        self.tick(now);
    }

    /// An intent is gone.
    pub(crate) fn withdraw_intent(&mut self, now: Timestamp, id: IntentId) {
        self.withdraw(now, id.0);
    }

    /// An interest is gone.
    pub(crate) fn withdraw_interest(&mut self, now: Timestamp, id: InterestId) {
        self.withdraw(now, id.0);
    }

    fn withdraw(&mut self, now: Timestamp, id: u32) {
        self.advance(now);
        self.part_all(id);
        let Some(own) = self.own.remove(&id) else { return };
        self.wanted.remove(&id);
        self.unannounced.remove(&id);
        self.missed.forget_intent(id);
        if let Some(ids) = self.by_digest.get_mut(&own.entry.digest) {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_digest.remove(&own.entry.digest);
            }
        }
        self.changed();
    }

    /// A part of what a member says of itself came, at `now`.
    pub(crate) fn announced(&mut self, now: Timestamp, from: &str, announce: Announce) {
        self.advance(now);
        let sender = sender_of(&announce.instance);
        if self.closed || announce.instance == self.settings.instance {
            return;
        }
        let count = announce.entries.len();
        let full = self.members.len() >= MAX_MEMBERS;
        match self.members.get_mut(&sender) {
            Some(member) if member.instance != announce.instance => {
                return self.refuse(from, "its short name is taken by another member");
            }
            Some(member) => member.hear(now, &announce),
            None if sender == self.sender => {
                return self.refuse(from, "its short name is this endpoint's own");
            }
            None if full => {
                return self.refuse(from, &format!("the group has {MAX_MEMBERS} other members already"));
            }
            None => {
                let member = Member::new(now, &self.settings.url, &announce);
                let name = (*member.name).clone();
                self.members.insert(sender, member);
                self.actions.push_back(GroupAction::Event(Event::MemberJoined { member: name }));
                self.answer();
            }
        }
        let room = MAX_ENTRIES_IN_ALL.saturating_sub(self.entries);
        let Some(member) = self.members.get_mut(&sender) else { return };
        let before = member.held();
        let fits = count <= room && before + count <= 2 * MAX_ENTRIES_OF_ONE;
        let table = if fits { member.collect(announce) } else { None };
        self.entries = self.entries - before + member.held();
        if !fits {
            return self.refuse(from, "it declares more than the bounds allow");
        }
        if let Some(table) = table {
            self.compare(sender, table);
        }
    }

    /// A member says that it goes.
    pub(crate) fn left(&mut self, now: Timestamp, leave: &Leave) {
        self.advance(now);
        let sender = sender_of(&leave.instance);
        if self.members.get(&sender).is_some_and(|member| member.instance == leave.instance) {
            self.forget(sender, Reason::by_peer(ReasonCode::Closing, plain(&leave.text)));
            self.missed.forget_member(sender);
        }
    }

    /// Something came that is of no use.
    pub(crate) fn useless(&mut self, now: Timestamp, from: &str, useless: &Useless) {
        self.advance(now);
        self.counts.useless += 1;
        self.complain(format!("a datagram from {from} is of no use: {useless}"));
    }

    /// The group cannot be reached.
    pub(crate) fn trouble(&mut self, now: Timestamp, text: String) {
        self.advance(now);
        self.complain(text);
    }

    /// How many interests of others want the samples of an intent.
    pub(crate) fn wanted(&self, intent: IntentId) -> usize {
        self.wanted.get(&intent.0).copied().unwrap_or(0)
    }

    /// Says that it goes, and forgets the others.
    pub(crate) fn close(&mut self, now: Timestamp) {
        self.advance(now);
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        let text = self.closing();
        self.actions.push_back(GroupAction::Send(self.farewell()));
        let senders: Vec<u32> = self.members.keys().copied().collect();
        for sender in senders {
            self.forget(sender, Reason::new(ReasonCode::Closing, text.clone()));
        }
    }

    /// The datagram that says so.
    pub(crate) fn farewell(&self) -> Vec<u8> {
        leave(&Leave { instance: self.settings.instance, text: self.closing() })
    }

    fn closing(&self) -> String {
        format!("`{}` is closing", self.settings.path)
    }

    /// Does what is due.
    pub(crate) fn tick(&mut self, now: Timestamp) {
        self.advance(now);
        if self.closed {
            return;
        }
        let silent = |member: &Member| now >= member.lost_at();
        let gone: Vec<u32> = self.members.iter().filter(|(_, m)| silent(m)).map(|(id, _)| *id).collect();
        for sender in gone {
            let Some(member) = self.members.get(&sender) else { continue };
            let text = format!("nothing was heard of it for {:?}", member.patience());
            self.forget(sender, Reason::new(ReasonCode::Silent, text));
        }
        self.tell_missed();
        if now >= self.due {
            self.announce();
        }
    }

    /// When `tick` is wanted next.
    pub(crate) fn next_wake(&self) -> Option<Timestamp> {
        if self.closed {
            return None;
        }
        self.members.values().map(Member::lost_at).chain([self.due]).chain(self.missed.due()).min()
    }

    /// The next thing to do.
    pub(crate) fn poll(&mut self) -> Option<GroupAction> {
        self.actions.pop_front()
    }

    /// Who else is there.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Arc<PeerName>> {
        self.members.values().map(|member| &member.name)
    }

    pub(crate) fn counts(&self) -> GroupCounts {
        self.counts
    }

    fn advance(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
    }

    /// The own table is another: tells it soon, and several changes at once.
    fn changed(&mut self) {
        self.edition = self.edition.wrapping_add(1);
        self.due = self.due.min(self.after_pause(Duration::ZERO));
    }

    /// Lets a newcomer know of this member: soon, but not all members at once.
    fn answer(&mut self) {
        let most = (self.members.len() as u64).min(LONGEST_ANSWER);
        let pause = Duration::from_micros(self.rng.u64(0..=most * 1000));
        self.due = self.due.min(self.after_pause(pause));
    }

    fn after_pause(&self, pause: Duration) -> Timestamp {
        let soon = self.now + pause;
        self.announced.map_or(soon, |last| soon.max(last + SHORTEST_INTERVAL))
    }

    fn announce(&mut self) {
        self.announced = Some(self.now);
        self.due = self.now + self.settings.interval;
        let front = Announce {
            instance: self.settings.instance,
            clock: self.now,
            interval_millis: u32::try_from(self.settings.interval.as_millis()).unwrap_or(u32::MAX).max(1),
            edition: self.edition,
            page: 0,
            pages: 1,
            path: self.settings.path.clone(),
            entries: Vec::new(),
        };
        let entries: Vec<Entry> = self.own.values().map(|own| own.entry.clone()).collect();
        let pages = announce(&front, &entries, self.settings.mtu);
        self.actions.extend(pages.into_iter().map(GroupAction::Send));
        let mut waiting = std::mem::take(&mut self.unannounced);
        if self.members.values().any(|member| !member.told) {
            self.members.values_mut().for_each(|member| member.told = true);
            waiting.extend(self.own.iter().filter(|(_, own)| own.entry.role.supplies()).map(|(id, _)| *id));
        }
        for id in waiting {
            self.meet_all(id);
        }
    }

    /// A member is gone, and all its pairs with it.
    fn forget(&mut self, sender: u32, reason: Reason) {
        self.part_from(sender);
        if let Some(member) = self.members.remove(&sender) {
            self.entries -= member.held();
            let member = (*member.name).clone();
            self.actions.push_back(GroupAction::Event(Event::MemberLeft { member, reason }));
        }
    }

    fn refuse(&mut self, from: &str, why: &str) {
        self.counts.refused += 1;
        self.complain(format!("an announcement from {from} is refused: {why}"));
    }

    /// Tells the application, once in a while.
    fn complain(&mut self, mut text: String) {
        if self.told.is_some_and(|told| self.now - told < COMPLAIN_EVERY) {
            self.untold += 1;
            return;
        }
        match std::mem::take(&mut self.untold) {
            0 => {}
            more => text.push_str(&format!(" ({more} more came since the last such report)")),
        }
        self.told = Some(self.now);
        let url = self.settings.url.clone();
        self.actions.push_back(GroupAction::Event(Event::GroupFault { url, text }));
    }
}

/// How many other members are known at most.
pub(crate) const MAX_MEMBERS: usize = 256;

/// How many entries one member may declare, and all of them together, at some 200 bytes each.
const MAX_ENTRIES_OF_ONE: usize = crate::wire::group::MAX_ENTRIES;
const MAX_ENTRIES_IN_ALL: usize = 16_384;

/// A member announces itself no more often than this, whatever happens: what others send must not make it
/// send without end.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(20);

/// An answer to a newcomer waits for up to a millisecond for each member, and this many at most.
const LONGEST_ANSWER: u64 = 50;

/// How often the application is told of useless datagrams.
const COMPLAIN_EVERY: Duration = Duration::from_secs(10);
