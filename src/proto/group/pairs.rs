//! What happens when an own intent or interest meets one of another member.

use super::member::{Member, Table};
use super::{Group, GroupAction, Own, Supply};
use crate::event::{Event, Refusal, Side};
use crate::peer::Scope;
use crate::proto::{IntentId, InterestId};
use crate::wire::group::{Entry, Role};
use std::collections::btree_map;

/// What two parties of one route are to each other.
enum Meeting {
    Linked,
    Refused(Refusal),
    Conflict,
    Nothing,
}

impl Group {
    /// An own party meets all that others have under its route.
    pub(super) fn meet_all(&mut self, id: u32) {
        let Some(digest) = self.own.get(&id).map(|own| own.entry.digest) else { return };
        let senders: Vec<u32> = self.members.keys().copied().collect();
        for sender in senders {
            let Some(member) = self.members.get(&sender) else { continue };
            let range = member.table.range((digest, 0)..=(digest, u32::MAX));
            let entries: Vec<Entry> = range.map(|(_, entry)| entry.clone()).collect();
            for entry in entries {
                self.meet(id, sender, &entry);
            }
        }
    }

    /// An own party is gone.
    pub(super) fn part_all(&mut self, id: u32) {
        let senders: Vec<u32> = self.members.keys().copied().collect();
        for sender in senders {
            self.part_where(sender, |own, _| own == id);
        }
    }

    /// All pairs with a member end.
    pub(super) fn part_from(&mut self, sender: u32) {
        self.part_where(sender, |_, _| true);
    }

    /// A member's table is another now.
    pub(super) fn compare(&mut self, sender: u32, table: Table) {
        let Some(member) = self.members.get_mut(&sender) else { return };
        let before = std::mem::replace(&mut member.table, table);
        let after = &member.table;
        self.entries = self.entries - before.len() + after.len();
        let same = |key: &_, entry: &Entry, other: &Table| other.get(key) == Some(entry);
        let gone: Vec<u32> =
            before.iter().filter(|(key, entry)| !same(key, entry, after)).map(|(key, _)| key.1).collect();
        let come: Vec<Entry> = after
            .iter()
            .filter(|(key, entry)| !same(key, entry, &before))
            .map(|(_, entry)| entry.clone())
            .collect();
        if !gone.is_empty() {
            self.part_where(sender, |_, theirs| {
                gone.binary_search(&theirs).is_ok() || gone.contains(&theirs)
            });
        }
        for entry in come {
            let Some(ids) = self.by_digest.get(&entry.digest) else { continue };
            for id in ids.difference(&self.unannounced).copied().collect::<Vec<_>>() {
                self.meet(id, sender, &entry);
            }
        }
    }

    fn meet(&mut self, id: u32, sender: u32, entry: &Entry) {
        let (Some(own), Some(member)) = (self.own.get(&id), self.members.get_mut(&sender)) else { return };
        let pair = (id, entry.id);
        if member.linked.contains(&pair) || member.linked.len() + member.refused.len() >= MAX_PAIRS {
            return;
        }
        let peer = Some((*member.name).clone());
        let route = own.route.clone();
        match judge(self.settings.scope, own, member, entry) {
            Meeting::Nothing => {}
            Meeting::Refused(refusal) => {
                if member.refused.insert(pair) {
                    self.actions.push_back(GroupAction::Event(Event::RouteRefused { route, peer, refusal }));
                }
            }
            Meeting::Conflict => {
                if member.refused.insert(pair) {
                    let who = if own.entry.role == Role::SuppliesAlone {
                        "this endpoint claims it as its own, and the other supplies it too"
                    } else {
                        "the other claims it as its own, and this endpoint supplies it too"
                    };
                    let text = format!("{who}, in the group {}", self.settings.url);
                    self.actions.push_back(GroupAction::Event(Event::Conflict { route, peer, text }));
                }
            }
            // It meets again once it can know of us.
            Meeting::Linked if own.entry.role.supplies() && !member.told => {}
            Meeting::Linked => {
                member.linked.insert(pair);
                let supplier = if own.entry.role.supplies() {
                    *self.wanted.entry(id).or_default() += 1;
                    let (intent, late) = (IntentId(id), own.retained);
                    self.actions.push_back(GroupAction::Wanted { intent, late });
                    Side::Here
                } else {
                    self.actions.push_back(GroupAction::Supplied {
                        interest: InterestId(id),
                        supply: Supply { sender, intent: entry.id },
                        member: member.name.clone(),
                        clock: member.clock.clone(),
                    });
                    Side::There
                };
                self.actions.push_back(GroupAction::Event(Event::RouteLinked { route, peer, supplier }));
            }
        }
    }

    /// Ends the pairs of a member that `which` names by the own and the member's number.
    fn part_where(&mut self, sender: u32, which: impl Fn(u32, u32) -> bool) {
        let Some(member) = self.members.get_mut(&sender) else { return };
        member.refused.retain(|pair| !which(pair.0, pair.1));
        let ended: Vec<_> = member.linked.iter().copied().filter(|pair| which(pair.0, pair.1)).collect();
        member.linked.retain(|pair| !which(pair.0, pair.1));
        let peer = Some((*member.name).clone());
        for (id, theirs) in ended {
            self.tell_missed_of(sender, id, theirs);
            let Some(own) = self.own.get(&id) else { continue };
            let route = own.route.clone();
            let supplier = if own.entry.role.supplies() {
                if let btree_map::Entry::Occupied(mut wanted) = self.wanted.entry(id) {
                    *wanted.get_mut() -= 1;
                    self.actions.push_back(GroupAction::Wanted { intent: IntentId(id), late: false });
                }
                Side::Here
            } else {
                let supply = Supply { sender, intent: theirs };
                self.actions.push_back(GroupAction::Unsupplied { interest: InterestId(id), supply });
                Side::There
            };
            let peer = peer.clone();
            self.actions.push_back(GroupAction::Event(Event::RouteUnlinked { route, peer, supplier }));
        }
    }
}

fn judge(scope: Scope, own: &Own, member: &Member, theirs: &Entry) -> Meeting {
    let ours = &own.entry;
    let (wants, supplies) = match (ours.role.supplies(), theirs.role.supplies()) {
        (true, true) if ours.role == Role::SuppliesAlone || theirs.role == Role::SuppliesAlone => {
            return Meeting::Conflict;
        }
        (true, false) => (theirs, ours),
        (false, true) => (ours, theirs),
        _ => return Meeting::Nothing,
    };
    if ours.codec != theirs.codec {
        let theirs = crate::proto::words::plain(&theirs.codec);
        return Meeting::Refused(Refusal::Codec { ours: ours.codec.clone(), theirs });
    }
    if ours.fingerprint != theirs.fingerprint {
        return Meeting::Refused(Refusal::Schema(format!(
            "the type here is {}, fingerprint {:016x}, and that of `{}` has fingerprint {:016x}; \
             in a group only fingerprints are compared: a link between the two would name the field",
            own.schema, ours.fingerprint, member.path, theirs.fingerprint
        )));
    }
    if wants.role == Role::WantsLossless {
        return Meeting::Refused(Refusal::Delivery(
            "a group repeats nothing, so it cannot serve a lossless interest; ask for `latest` or `queue(n)`, or \
             connect the two endpoints by a link of their own"
                .to_owned(),
        ));
    }
    let theirs_supply = std::ptr::eq(supplies, theirs);
    if scope == Scope::Own && theirs_supply && !own.route.is_under(&member.path) {
        return Meeting::Refused(Refusal::NoRight(format!(
            "`{}` may supply only routes under its own path, by scope=own of the group",
            member.path
        )));
    }
    Meeting::Linked
}

/// How many pairs with one member there are at most.
const MAX_PAIRS: usize = 4096;
