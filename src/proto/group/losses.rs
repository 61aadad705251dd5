//! What others missed of the intents here, as they report it.

use super::{Group, GroupAction};
use crate::event::{Event, LostAt};
use crate::time::Timestamp;
use crate::wire::group::{Loss, Report, report};
use std::collections::BTreeMap;
use std::time::Duration;

/// An own intent and an interest of a member: its sender, the intent, the interest.
type Pair = (u32, u32, u32);

/// What is known of it, by pair. It outlives the pair, as a member that was not heard for a while goes on
/// counting where it was.
#[derive(Debug, Default)]
pub(super) struct Missed {
    pairs: BTreeMap<Pair, Count>,
    /// When the application is to be told of what it was not told yet.
    due: Option<Timestamp>,
    /// When it was told last.
    last: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    seen: u64,
    untold: u64,
}

impl Missed {
    pub(super) fn due(&self) -> Option<Timestamp> {
        self.due
    }

    /// An own intent is gone, and will not come back.
    pub(super) fn forget_intent(&mut self, id: u32) {
        self.pairs.retain(|pair, _| pair.1 != id);
    }

    /// A member is gone that said so.
    pub(super) fn forget_member(&mut self, sender: u32) {
        self.pairs.retain(|pair, _| pair.0 != sender);
    }
}

impl Group {
    /// Tells other members what was missed of their intents.
    pub(crate) fn report(&mut self, losses: &[Loss]) {
        if !self.closed {
            let datagrams = report(&self.settings.instance, losses, self.settings.mtu);
            self.actions.extend(datagrams.into_iter().map(GroupAction::Send));
        }
    }

    /// A member tells what it missed.
    pub(crate) fn reported(&mut self, now: Timestamp, report: &Report) {
        self.advance(now);
        let sender = crate::wire::group::sender_of(&report.instance);
        let Some(member) = self.members.get(&sender).filter(|member| member.instance == report.instance)
        else {
            return;
        };
        let missed = &mut self.missed;
        for loss in report.losses.iter().filter(|loss| loss.sender == self.sender) {
            let is_ours = self.own.get(&loss.intent).is_some_and(|own| own.entry.role.supplies());
            if !is_ours || !member.linked.contains(&(loss.intent, loss.interest)) {
                continue;
            }
            let pair = (sender, loss.intent, loss.interest);
            if missed.pairs.len() >= MAX_COUNTED && !missed.pairs.contains_key(&pair) {
                let members = &self.members;
                missed.pairs.retain(|pair, _| members.contains_key(&pair.0));
                if missed.pairs.len() >= MAX_COUNTED {
                    continue;
                }
            }
            let count = missed.pairs.entry(pair).or_default();
            // Less than before: that one met us anew, and counts from 0.
            let more = loss.lost.checked_sub(count.seen).unwrap_or(loss.lost);
            count.seen = loss.lost;
            count.untold = count.untold.saturating_add(more);
            if more > 0 && missed.due.is_none() {
                missed.due = Some(missed.last.map_or(now, |last| now.max(last + TELL_EVERY)));
            }
        }
    }

    /// Tells the application what others missed, if that is due.
    pub(super) fn tell_missed(&mut self) {
        if self.missed.due.is_none_or(|due| due > self.now) {
            return;
        }
        (self.missed.due, self.missed.last) = (None, Some(self.now));
        let untold: Vec<Pair> =
            self.missed.pairs.iter().filter(|(_, count)| count.untold > 0).map(|(pair, _)| *pair).collect();
        for (sender, own, theirs) in untold {
            self.tell_missed_of(sender, own, theirs);
        }
    }

    /// The same for one pair, whenever it was done last.
    pub(super) fn tell_missed_of(&mut self, sender: u32, own: u32, theirs: u32) {
        let Some(count) = self.missed.pairs.get_mut(&(sender, own, theirs)) else { return };
        let count = std::mem::take(&mut count.untold);
        let (Some(own), Some(member)) = (self.own.get(&own), self.members.get(&sender)) else { return };
        if count > 0 {
            let (route, peer) = (own.route.clone(), Some((*member.name).clone()));
            let event = Event::SamplesLost { route, peer, count, lost: LostAt::There };
            self.actions.push_back(GroupAction::Event(event));
        }
    }
}

/// Of how many pairs the losses are counted, at some 60 bytes each. Those of more are not told.
const MAX_COUNTED: usize = 16_384;

/// How often the application is told at most.
const TELL_EVERY: Duration = Duration::from_secs(1);
