//! Lines of known speed, looked at once a second: what is wrong with them, how much they carry, and whether
//! what was declared can fit.

use super::dispatcher::Dispatcher;
use super::line::Line;
use crate::diagnosis::{Diagnosis, LineCounts};
use crate::event::{Event, Side};
use crate::proto::{IntentId, InterestId, LinkId};
use crate::route::Route;
use crate::settings::Expected;
use crate::time::Timestamp;
use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;
use std::time::Duration;

/// What was seen of such lines so far.
pub(crate) struct Checkups {
    due: Timestamp,
    links: HashMap<LinkId, Checkup>,
    /// Links on which routes were linked since the last look.
    changed: BTreeSet<LinkId>,
    /// What programs said they send and want to receive.
    pub(super) sent: HashMap<IntentId, Expected>,
    pub(super) received: HashMap<InterestId, Expected>,
}

/// One link.
#[derive(Default)]
pub(crate) struct Checkup {
    pub(crate) diagnosis: Option<Diagnosis>,
    /// The shares of the line that were used, sent and received.
    pub(crate) load: Option<(f32, f32)>,
    last: Option<(Timestamp, LineCounts)>,
    /// What it was told to be too much, in bytes a second, sent and received.
    overbooked: (u64, u64),
}

impl Checkups {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            due: now + EVERY,
            links: HashMap::new(),
            changed: BTreeSet::new(),
            sent: HashMap::new(),
            received: HashMap::new(),
        }
    }

    pub(super) fn of(&self, link: LinkId) -> Option<&Checkup> {
        self.links.get(&link)
    }

    /// A route was linked over a line of known speed.
    pub(super) fn linked(&mut self, link: LinkId, line: &Line) {
        if line.connection.rate().is_some() {
            self.changed.insert(link);
        }
    }
}

impl Dispatcher {
    /// When to look next; never while there is no such line.
    pub(super) fn next_checkup(&self) -> Option<Timestamp> {
        let some = self.lines.values().any(|line| line.connection.rate().is_some());
        some.then_some(self.checkups.due)
    }

    pub(super) fn checkup_is_due(&self, now: Timestamp) -> bool {
        self.next_checkup().is_some_and(|due| due <= now)
    }

    pub(super) fn check_up(&mut self, now: Timestamp) {
        self.checkups.due = now + EVERY;
        let known: BTreeSet<LinkId> = self.engine.links(now).map(|view| view.line).collect();
        self.checkups.links.retain(|link, _| known.contains(link));
        let lines: Vec<_> = self.lines.iter().map(|(link, line)| (*link, line.clone())).collect();
        for (link, line) in lines {
            let Some(rate) = line.connection.rate() else { continue };
            if let Some(counts) = line.connection.counts() {
                let checkup = self.checkups.links.entry(link).or_default();
                checkup.load = checkup.last.map(|(then, last)| {
                    let most = rate as f32 * (now - then).as_secs_f32().max(0.001);
                    let share = |all: u64, before: u64| all.saturating_sub(before) as f32 / most;
                    (share(counts.bytes_out, last.bytes_out), share(counts.bytes_in, last.bytes_in))
                });
                checkup.last = Some((now, counts));
            }
            self.diagnosed(link, line.connection.diagnose());
            if self.checkups.changed.remove(&link) {
                self.check_budget(link, rate);
            }
        }
    }

    /// Tells what is wrong with a line, or that nothing is any more, when that changes.
    pub(super) fn diagnosed(&mut self, link: LinkId, diagnosis: Option<Diagnosis>) {
        let checkup = self.checkups.links.entry(link).or_default();
        let finding = diagnosis.as_ref().map(Diagnosis::finding);
        let changes = finding != checkup.diagnosis.as_ref().map(Diagnosis::finding);
        checkup.diagnosis = diagnosis.clone();
        let peer = self.engine.links(self.clock.now()).find(|view| view.line == link).map(|view| view.peer);
        if let (true, Some(peer)) = (changes, peer) {
            let peer = (*peer).clone();
            match &diagnosis {
                Some(found) => log::warn!("{peer}: {found}"),
                None => log::info!("{peer}: the line is well again"),
            }
            self.events.send(Event::LinkDiagnosed { peer, diagnosis });
        }
    }

    /// Tells when more is declared than a line carries.
    fn check_budget(&mut self, link: LinkId, rate: u64) {
        let all = (link, 0)..=(link, u32::MAX);
        let sent = self
            .outgoing
            .range(all.clone())
            .filter_map(|(_, id)| Some((self.intents.get(id)?.route.clone(), *self.checkups.sent.get(id)?)));
        let sent = Budget::of(sent);
        let received = self.incoming.range(all).filter_map(|(_, (id, _))| {
            Some((self.interests.get(id)?.route.clone(), *self.checkups.received.get(id)?))
        });
        let received = Budget::of(received);
        let told = self.checkups.links.entry(link).or_default();
        let before = std::mem::replace(&mut told.overbooked, (sent.wanted, received.wanted));
        let peer = self.engine.links(self.clock.now()).find(|view| view.line == link).map(|view| view.peer);
        let Some(peer) = peer else { return };
        for (supplier, budget, before) in [(Side::Here, sent, before.0), (Side::There, received, before.1)] {
            if budget.wanted > rate && budget.wanted != before {
                let way = if supplier == Side::Here { "sent" } else { "received" };
                let text = format!(
                    "{} bytes a second are to be {way} and the line carries {rate}: {}; send less often or less, or \
                     raise its speed",
                    budget.wanted, budget.text
                );
                log::warn!("{peer}: {text}");
                let (wanted, peer) = (budget.wanted, (*peer).clone());
                self.events.send(Event::LinkOverbooked { peer, supplier, wanted, carried: rate, text });
            }
        }
    }
}

/// What routes need of a line together.
#[derive(Default)]
struct Budget {
    /// In bytes a second.
    wanted: u64,
    text: String,
}

impl Budget {
    fn of(routes: impl Iterator<Item = (Route, Expected)>) -> Self {
        let mut budget = Self::default();
        for (route, expected) in routes {
            let bytes = expected.bytes_a_second();
            budget.wanted = budget.wanted.saturating_add(bytes);
            let separator = if budget.text.is_empty() { "" } else { ", " };
            let _ = write!(
                budget.text,
                "{separator}`{route}` {bytes} ({} a second of {} bytes)",
                expected.hz, expected.bytes
            );
        }
        budget
    }
}

/// How often lines are looked at.
const EVERY: Duration = Duration::from_secs(1);
