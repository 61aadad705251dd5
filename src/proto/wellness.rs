//! What the engine makes of a link's health.

use super::LinkId;
use super::engine::Engine;
use super::health::{Change, Rank, Seen};
use super::link::{Link, Phase};
use super::timers::Timer;
use crate::event::Event;
use crate::time::Timestamp;

impl Engine {
    /// What an `Action::Look` brought.
    pub(crate) fn look(&mut self, now: Timestamp, line: LinkId, seen: Seen) {
        self.advance(now);
        let link = self.link_at(line);
        if let Some(found) = self.links.get_mut(&link).filter(|link| link.is_agreed()) {
            found.health.seen(seen);
            self.review(link);
        }
    }

    /// How good a link is that is up: the least of several is the best.
    pub(crate) fn rank(&self, now: Timestamp, link: LinkId) -> Option<Rank> {
        let link = self.links.get(&link).filter(|link| link.is_agreed())?;
        Some(link.health.rank(now))
    }

    /// The network says that the way to a link's peer opened: it is dialled at once, give or take a random part of the
    /// shortest wait, if it waits for nothing else.
    pub(crate) fn way_opened(&mut self, now: Timestamp, id: LinkId) {
        self.advance(now);
        let Some(Link { phase: Phase::Down, dialler: Some(dialler), reason, .. }) = self.links.get_mut(&id)
        else {
            return;
        };
        let passing = reason.as_ref().is_none_or(|reason| reason.is_transient());
        let Some(planned) = self.timers.due(id, Timer::Redial).filter(|_| passing && !self.closed) else {
            return;
        };
        dialler.backoff.reset();
        let at = self.now + dialler.backoff.soon(&mut self.rng);
        self.timers.set(id, Timer::Redial, at.min(planned));
    }

    /// Tells when a link became worse or well.
    pub(super) fn review(&mut self, id: LinkId) {
        let now = self.now;
        let Some(link) = self.links.get_mut(&id) else { return };
        let (change, session) = (link.health.judge(now), link.session);
        if let Some(change) = change {
            let peer = link.peer_name();
            self.tell(match change {
                Change::Degraded { symptoms, text, health } => {
                    Event::LinkDegraded { peer, symptoms, text, health }
                }
                Change::Recovered { after, health } => Event::LinkRecovered { peer, after, health },
            });
        }
        if let Some(session) = session {
            self.choose(session);
        }
    }
}
