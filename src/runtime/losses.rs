//! Losses, told to the other side and to the application.

use super::dispatcher::Dispatcher;
use super::line::Line;
use crate::delivery::Delivery;
use crate::event::{Event, LostAt, PeerName};
use crate::flow::outbox::Left;
use crate::proto::{IntentId, InterestId, LinkId};
use crate::route::Route;
use crate::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What was reported so far.
pub(crate) struct Losses {
    due: Timestamp,
    seen: BTreeMap<Stream, Counts>,
}

/// A stream of samples as its losses are counted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stream {
    Out(LinkId, u32),
    In(LinkId, u32),
    /// Passed on, by where it comes from.
    Relayed(LinkId, u32),
    Local(IntentId, InterestId),
}

/// Lost on this side, on the other, and between.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) here: u64,
    pub(super) there: u64,
    pub(super) on_the_way: u64,
}

/// What losses are of.
pub(super) struct Subject {
    pub(super) route: Route,
    pub(super) peer: Option<Arc<PeerName>>,
    /// An interest in only the latest sample has what it wants when others were replaced.
    pub(super) is_loss: bool,
}

impl Losses {
    pub(super) fn new(now: Timestamp) -> Self {
        Self { due: now + EVERY, seen: BTreeMap::new() }
    }

    pub(super) fn next_wake(&self) -> Option<Timestamp> {
        (!self.seen.is_empty()).then_some(self.due)
    }

    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        !self.seen.is_empty() && now >= self.due
    }

    pub(super) fn begin(&mut self, stream: Stream) {
        self.seen.insert(stream, Counts::default());
    }

    pub(super) fn end(&mut self, stream: Stream) {
        self.seen.remove(&stream);
    }

    /// What was lost since the last call.
    fn since(&mut self, stream: Stream, counts: Counts) -> Counts {
        let Some(seen) = self.seen.get_mut(&stream) else { return Counts::default() };
        let since = Counts {
            here: counts.here.saturating_sub(seen.here),
            there: counts.there.saturating_sub(seen.there),
            on_the_way: counts.on_the_way.saturating_sub(seen.on_the_way),
        };
        *seen = counts;
        since
    }
}

impl Dispatcher {
    pub(super) fn report_losses(&mut self, now: Timestamp) {
        self.losses.due = now + EVERY;
        self.tell_taken();
        let streams: Vec<_> = self.losses.seen.keys().copied().collect();
        for stream in streams {
            self.report_loss(stream);
        }
    }

    /// Reports what a stream lost since the last time.
    pub(super) fn report_loss(&mut self, stream: Stream) {
        let Some((counts, subject)) = self.look_at(stream) else { return };
        let since = self.losses.since(stream, counts);
        if since.here > 0 || since.on_the_way > 0 {
            if let Stream::In(link, alias) = stream {
                if let Some((_, source)) = self.incoming.get(&(link, alias)) {
                    source.report_now();
                }
            }
        }
        if since != Counts::default() {
            if let Stream::Relayed(link, alias) = stream {
                let to = self.relayed.get(&(link, alias)).map(|relayed| relayed.to);
                if let Some((line, alias)) = to.and_then(|to| Some((self.lines.get(&to.0)?, to.1))) {
                    line.pass_losses(alias);
                }
            }
        }
        if !subject.is_loss {
            return;
        }
        let all =
            [(since.here, LostAt::Here), (since.there, LostAt::There), (since.on_the_way, LostAt::OnTheWay)];
        for (count, lost) in all {
            if count > 0 {
                let peer = subject.peer.as_deref().cloned();
                log::info!("{}: {count} samples lost, {lost:?}", subject.route);
                self.events.send(Event::SamplesLost { route: subject.route.clone(), peer, count, lost });
            }
        }
    }

    /// A line ended, and its threads: what never left it is lost, and what a lossless interest did not
    /// confirm may be.
    pub(super) fn report_end(&mut self, line: &Arc<Line>) {
        let Some(peer) = line.peer() else { return };
        // Where it is not known yet that the line is lost, what it dropped is told first.
        let link =
            line.id().filter(|link| self.lines.get(link).is_some_and(|other| Arc::ptr_eq(other, line)));
        if let Some(link) = link {
            let aliases = self.outgoing.range((link, 0)..=(link, u32::MAX));
            for alias in aliases.map(|((_, alias), _)| *alias).collect::<Vec<_>>() {
                self.report_loss(Stream::Out(link, alias));
            }
        }
        for (route, Left { unsent, unconfirmed }) in line.settle() {
            log::info!(
                "{route}: the link to {peer} ended with {unsent} samples unsent, {unconfirmed} unsure"
            );
            let peer = PeerName::clone(&peer);
            if unconfirmed > 0 {
                let (route, peer, count) = (route.clone(), peer.clone(), unconfirmed);
                self.events.send(Event::SamplesUnconfirmed { route, peer, count });
            }
            if unsent > 0 {
                let (peer, count) = (Some(peer), unsent);
                self.events.send(Event::SamplesLost { route, peer, count, lost: LostAt::Here });
            }
        }
    }

    fn look_at(&self, stream: Stream) -> Option<(Counts, Subject)> {
        let of_interest = |id: &InterestId| self.interests.get(id).map(|inbox| inbox.delivery);
        match stream {
            Stream::Out(link, alias) => {
                let intent = self.intents.get(self.outgoing.get(&(link, alias))?)?;
                let line = self.lines.get(&link)?;
                let (here, there, delivery) = line.lane_losses(alias)?;
                let subject = Subject {
                    route: intent.route.clone(),
                    peer: line.peer(),
                    is_loss: delivery != Delivery::Latest,
                };
                Some((Counts { here, there, on_the_way: 0 }, subject))
            }
            Stream::In(link, alias) => {
                let (interest, source) = self.incoming.get(&(link, alias))?;
                let counts = Counts {
                    here: source.lost_here(),
                    there: source.lost_there(),
                    on_the_way: source.lost_on_the_way(),
                };
                let is_loss = of_interest(interest)? != Delivery::Latest;
                Some((counts, Subject { route: source.route.clone(), peer: source.peer.clone(), is_loss }))
            }
            Stream::Relayed(link, alias) => {
                let relayed = self.relayed.get(&(link, alias))?;
                let line = self.lines.get(&relayed.to.0)?;
                let (here, there, delivery) = line.lane_losses(relayed.to.1)?;
                let route = relayed.feed.route.clone();
                let is_loss = delivery != Delivery::Latest;
                Some((Counts { here, there, on_the_way: 0 }, Subject { route, peer: line.peer(), is_loss }))
            }
            Stream::Local(intent, interest) => {
                let source = self.local.get(&(intent, interest))?;
                let counts = Counts { here: source.lost_here(), ..Counts::default() };
                let is_loss = of_interest(&interest)? != Delivery::Latest;
                Some((counts, Subject { route: source.route.clone(), peer: None, is_loss }))
            }
        }
    }
}

/// How often losses are looked at: an event and a report per stream at most this often.
const EVERY: Duration = Duration::from_secs(1);
