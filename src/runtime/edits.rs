//! Changes to where intents send, collected and then published at once.
//!
//! One frame of a peer can declare thousands of interests in one route. To publish a list for each of
//! them would keep the dispatcher for a second, and with it the pings of all other links.

use super::outlets::{Outlet, Outlets};
use crate::proto::{IntentId, LinkId};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// What changed since it was last published.
#[derive(Default)]
pub(super) struct Edits(BTreeMap<IntentId, Edit>);

#[derive(Default)]
struct Edit {
    opened: BTreeMap<(LinkId, u32), Outlet>,
    closed: BTreeSet<(LinkId, u32)>,
}

impl Edits {
    pub(super) fn open(&mut self, intent: IntentId, link: LinkId, alias: u32, outlet: Outlet) {
        self.0.entry(intent).or_default().opened.insert((link, alias), outlet);
    }

    pub(super) fn close(&mut self, intent: IntentId, link: LinkId, alias: u32) {
        let edit = self.0.entry(intent).or_default();
        edit.opened.remove(&(link, alias));
        edit.closed.insert((link, alias));
    }

    /// Publishes one list for each intent that has changes.
    pub(super) fn publish(&mut self, intents: &HashMap<IntentId, Arc<Outlets>>) {
        while let Some((intent, edit)) = self.0.pop_first() {
            let Edit { opened, closed } = edit;
            let Some(outlets) = intents.get(&intent) else { continue };
            outlets.publish(|list| {
                list.retain(|outlet| !outlet.place().is_some_and(|place| closed.contains(&place)));
                list.extend(opened.into_values());
            });
        }
    }
}
