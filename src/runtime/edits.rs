//! Changes to where intents send, collected and then published at once.
//!
//! A program, or one frame of a peer, can declare thousands of interests in one route, or withdraw them. To
//! publish a list for each of them would keep the dispatcher for seconds, and with it the pings of all links.
//! So a list is published once there is nothing else to do, or when a while has passed.
//!
//! Whoever hears of a change finds it done: the events, and the notices that tell a peer of its link, wait until what
//! they speak of is published. A peer that was told may ask for a sample at once, and must get it.

use super::dispatcher::Dispatcher;
use super::outlets::Outlet;
use crate::event::Event;
use crate::proto::{IntentId, InterestId, LinkId, Order};
use crate::time::Timestamp;
use crate::wire::control::{Control, Notify};
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
    opened: BTreeMap<Place, Opened>,
    closed: BTreeSet<Place>,
}

struct Opened {
    outlet: Outlet,
    /// What tells the peer, once it is published.
    notice: Option<Control>,
}

/// An outlet among those of its intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Remote(LinkId, u32),
    Local(InterestId),
}

impl Edits {
    pub(super) fn open(&mut self, intent: IntentId, place: Place, outlet: Outlet) {
        self.edits.entry(intent).or_default().opened.insert(place, Opened { outlet, notice: None });
    }

    /// What the peer was not told yet of the place, if it was opened and that was never published.
    pub(super) fn close(&mut self, intent: IntentId, place: Place) -> Option<Control> {
        self.closing.insert(place);
        let edit = self.edits.entry(intent).or_default();
        edit.closed.insert(place);
        edit.opened.remove(&place)?.notice
    }

    /// Keeps a frame that tells of an outlet until that is published; gives it back where it need not wait.
    pub(super) fn hold_notice(&mut self, link: LinkId, frame: Control) -> Option<Control> {
        let Control::Notify(Notify::Linked { mine, alias, .. } | Notify::Packed { mine, alias, .. }) = frame
        else {
            return Some(frame);
        };
        let place = Place::Remote(link, alias);
        // Of what is passed on for others, `mine` is no intent of this endpoint, and nothing is opened in its place.
        match self.edits.get_mut(&IntentId(mine)).and_then(|edit| edit.opened.get_mut(&place)) {
            Some(opened) => {
                opened.notice = Some(frame);
                None
            }
            None => Some(frame),
        }
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
            let here: Vec<_> = opened.values().filter_map(|opened| opened.outlet.local()).collect();
            let mut notices = Vec::new();
            outlets.publish(|list| {
                list.retain(|outlet| !outlet.place().is_some_and(|place| closed.contains(&place)));
                for (place, Opened { outlet, notice }) in opened {
                    list.push(outlet);
                    notices.extend(notice.map(|notice| (place, notice)));
                }
            });
            for (inbox, source) in here {
                inbox.supplier_came(&source);
                self.give_retained(outlets, inbox, source);
            }
            for (place, notice) in notices {
                if let Place::Remote(link, _) = place {
                    self.send(link, &notice, Order::InLine);
                }
            }
        }
        for event in std::mem::take(&mut self.edits.untold) {
            self.events.send(event);
        }
    }
}

/// How long a change may wait while the dispatcher has much to do.
const WHILE: Duration = Duration::from_millis(5);
