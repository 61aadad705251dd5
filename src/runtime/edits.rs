//! Changes to where intents send, collected and then published at once.
//!
//! A program, or one frame of a peer, can declare thousands of interests in one route, or withdraw them. To
//! publish a list for each of them would keep the dispatcher for seconds, and with it the pings of all links.
//! So a list is published once there is nothing else to do, or when a while has passed.

use super::dispatcher::Dispatcher;
use super::outlets::Outlet;
use crate::event::Event;
use crate::proto::{IntentId, InterestId, LinkId};
use crate::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What changed since it was last published.
#[derive(Default)]
pub(super) struct Edits {
    edits: BTreeMap<IntentId, Edit>,
    /// Places that were closed, of all intents.
    closing: BTreeSet<Place>,
    /// When it has to be published; set with the first change.
    due: Option<Timestamp>,
    /// Events that came meanwhile, told once all is published.
    untold: Vec<Event>,
}

#[derive(Default)]
struct Edit {
    opened: BTreeMap<Place, Outlet>,
    closed: BTreeSet<Place>,
}

/// An outlet among those of its intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Remote(LinkId, u32),
    Local(InterestId),
}

impl Edits {
    pub(super) fn open(&mut self, intent: IntentId, place: Place, outlet: Outlet) {
        self.edits.entry(intent).or_default().opened.insert(place, outlet);
    }

    /// True if the place was opened and never published.
    pub(super) fn close(&mut self, intent: IntentId, place: Place) -> bool {
        self.closing.insert(place);
        let edit = self.edits.entry(intent).or_default();
        edit.closed.insert(place);
        edit.opened.remove(&place).is_some()
    }

    /// Keeps an event until what it may speak of is published; gives it back where nothing waits.
    pub(super) fn hold_back(&mut self, event: Event) -> Option<Event> {
        if self.edits.is_empty() {
            return Some(event);
        }
        self.untold.push(event);
        None
    }

    /// Whether some intent may still send to a place that was closed.
    pub(super) fn is_closing(&self, place: Place) -> bool {
        self.closing.contains(&place)
    }

    /// Whether there are changes that waited long enough.
    fn are_due(&mut self, now: impl Fn() -> Timestamp) -> bool {
        !self.edits.is_empty() && now() >= *self.due.get_or_insert_with(|| now() + WHILE)
    }
}

impl Dispatcher {
    /// Publishes what waited for a while.
    pub(super) fn publish_due(&mut self) {
        let clock = self.clock;
        if self.edits.are_due(|| clock.now()) {
            self.publish();
        }
    }

    /// Publishes one list for each intent that has changes.
    pub(super) fn publish(&mut self) {
        self.edits.due = None;
        self.edits.closing.clear();
        while let Some((intent, edit)) = self.edits.edits.pop_first() {
            let Edit { opened, closed } = edit;
            let Some(outlets) = self.intents.get(&intent) else { continue };
            let here: Vec<_> = opened.values().filter_map(Outlet::local).collect();
            outlets.publish(|list| {
                list.retain(|outlet| !outlet.place().is_some_and(|place| closed.contains(&place)));
                list.extend(opened.into_values());
            });
            for (inbox, source) in here {
                inbox.supplier_came();
                self.give_retained(outlets, inbox, source);
            }
        }
        for event in std::mem::take(&mut self.edits.untold) {
            self.events.send(event);
        }
    }
}

/// How long a change may wait while the dispatcher has much to do.
const WHILE: Duration = Duration::from_millis(5);
