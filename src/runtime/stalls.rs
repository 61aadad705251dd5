//! Interests that take nothing and are cut off, told to the application.

use super::dispatcher::Dispatcher;
use super::losses::Stream;
use crate::event::{Event, PeerName, Side};
use crate::proto::IntentId;
use crate::route::Route;
use std::sync::Arc;

/// What became of a lossless interest that takes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stall {
    /// It is passed over from now on; so many samples it has not taken.
    CutOff(u64),
    /// It takes again; so many samples went past it.
    Over(u64),
}

/// What an intent found out while it sent, and has the dispatcher tell.
pub(crate) struct Note {
    /// `None`: an interest of this endpoint.
    pub(crate) peer: Option<Arc<PeerName>>,
    pub(crate) stall: Stall,
}

impl Dispatcher {
    /// Tells what an intent noted.
    pub(super) fn tell_notes(&self, id: IntentId) {
        let Some(outlets) = self.intents.get(&id) else { return };
        for Note { peer, stall } in outlets.take_notes() {
            let peer = peer.as_deref().cloned();
            let supplier = Side::Here;
            let route = outlets.route.clone();
            self.events.send(event(stall, route, peer, supplier));
        }
    }

    /// Tells what a line brought of one of its streams.
    pub(super) fn tell_stall(&mut self, stall: Stall, stream: Stream) {
        let (route, peer, supplier) = match stream {
            Stream::Out(link, alias) => {
                let intent = self.outgoing.get(&(link, alias)).copied();
                // That it was cut off is noted by its intent, and comes first.
                intent.into_iter().for_each(|id| self.tell_notes(id));
                let Some(intent) = intent.and_then(|id| self.intents.get(&id)) else { return };
                let peer = self.lines.get(&link).and_then(|line| line.peer());
                (intent.route.clone(), peer, Side::Here)
            }
            Stream::In(link, alias) => {
                let Some((_, source)) = self.incoming.get(&(link, alias)) else { return };
                (source.route.clone(), source.peer.clone(), Side::There)
            }
            Stream::Relayed(..) | Stream::Local(..) => return,
        };
        self.events.send(event(stall, route, peer.as_deref().cloned(), supplier));
    }

    /// Tells intents what lossless interests took, which need not have been enough to grant more; and what could
    /// not be told at once.
    pub(super) fn tell_taken(&self) {
        self.incoming.values().for_each(|(_, source)| source.tell_taken());
        self.intents.keys().for_each(|id| self.tell_notes(*id));
    }
}

fn event(stall: Stall, route: Route, peer: Option<PeerName>, supplier: Side) -> Event {
    let who = peer.as_ref().map_or_else(|| "this endpoint".to_owned(), ToString::to_string);
    match stall {
        Stall::CutOff(untaken) => {
            log::warn!("{route}: the interest with {who} is cut off, {untaken} samples not taken");
            Event::InterestCutOff { route, peer, supplier, untaken }
        }
        Stall::Over(missed) => {
            log::info!("{route}: the interest with {who} takes again, {missed} samples missed");
            Event::InterestReturned { route, peer, supplier, missed }
        }
    }
}
