//! Several links to one peer, of which one is kept.
//!
//! An endpoint keeps one link to each instance of a peer, but for those that were declared to lead to one peer, which carry
//! one session in turn. A link that is up and alive is kept: the
//! acceptor refuses another one when it sees the dialler's Hello, the dialler when it has to send its
//! final. Where both ends dial at once, each may have let the other's connection pass before its own
//! came up; then the one stays that the smaller instance dialled, and both see it so. A link that was
//! refused waits until the kept one is down. Where a peer dials although a link that it dialled is up
//! here, it must have lost that one: the new one takes its place, and where the peer says so goes on with its session.

use super::LinkId;
use super::engine::Engine;
use super::link::Link;
use super::session::Session;
use super::timers::Timer;
use super::words;
use crate::reason::Reason;

impl Engine {
    /// A link of that instance is down: those that were held for it try again.
    pub(super) fn release(&mut self, id: LinkId, instance: [u8; 16]) {
        let Some(links) = self.by_instance.get_mut(&instance) else { return };
        links.remove(&id);
        if !links.is_empty() {
            return;
        }
        self.by_instance.remove(&instance);
        for (held, link) in &mut self.links {
            if let Some(dialler) = link.dialler.as_mut().filter(|dialler| dialler.held == Some(instance)) {
                dialler.held = None;
                if !self.closed {
                    let wait = dialler.backoff.soon(&mut self.rng);
                    self.timers.set(*held, Timer::Redial, self.now + wait);
                }
            }
        }
    }

    /// The other links to the peer of `id` whose handshake is done.
    pub(super) fn rivals(&self, id: LinkId) -> impl Iterator<Item = (LinkId, &Link)> {
        let instance = self.links.get(&id).and_then(|link| link.instance);
        let links = instance.and_then(|instance| self.by_instance.get(&instance)).into_iter().flatten();
        let others = links.filter(move |other| **other != id);
        others.filter_map(|other| {
            let link = self.links.get(other)?;
            link.is_agreed().then_some((*other, link))
        })
    }

    /// A link to the same peer that is kept instead of `id`, as long as `id` was not promised to be kept:
    /// one that is up and alive. Where the peer dialled both, it must have given the older one up.
    pub(super) fn kept_instead(&self, id: LinkId) -> Option<LinkId> {
        let dialled = self.links.get(&id).is_some_and(|link| link.dialler.is_some());
        let kept =
            self.rivals(id).find(|(_, other)| self.is_alive(other) && (dialled || other.dialler.is_some()));
        kept.map(|(other, ..)| other)
    }

    /// The same for an accepted link whose dialler sent its final: both sides may have promised to keep
    /// their own. The one that the smaller instance dialled stays, and both sides see it so.
    pub(super) fn kept_after_all(&self, id: LinkId) -> Option<LinkId> {
        let instance = self.links.get(&id).and_then(|link| link.instance)?;
        let ours_stays = self.settings.instance < instance;
        let kept =
            self.rivals(id).find(|(_, other)| ours_stays && other.dialler.is_some() && self.is_alive(other));
        kept.map(|(other, ..)| other)
    }

    /// Whether there are links enough without this one, which was accepted. Those whose handshake is not
    /// done have a limit of their own, and those this one would replace do not count: all others to that peer, or, where
    /// it goes on with a session, the one that carries it.
    pub(super) fn is_full(&self, id: LinkId) -> bool {
        let accepted = |id| self.links.get(&id).is_some_and(|link| link.dialler.is_none());
        let replaces = |other| match self.asked(id) {
            Some((session, joins)) => {
                !joins && self.sessions.get(&session).and_then(Session::carrier) == Some(other)
            }
            None => true,
        };
        let replaced = self.rivals(id).filter(|(other, ..)| accepted(*other) && replaces(*other)).count();
        accepted(id) && self.links.len() - self.pending.len() - replaced >= self.settings.max_links
    }

    /// Whether the peer came up or answered a ping not long ago.
    fn is_alive(&self, link: &Link) -> bool {
        self.now - link.pulse.answered_at <= link.ping_interval.saturating_mul(2)
    }

    pub(super) fn lost_to(&self, id: LinkId, kept: LinkId) -> Reason {
        let name = |link: LinkId| self.links.get(&link).map(|link| &link.peer);
        let peer = name(id).and_then(|peer| peer.path.as_ref()).unwrap_or(&self.settings.path);
        let kept = name(kept).map_or("", |peer| peer.url.as_str());
        words::other_link_kept(&self.settings.path, peer, kept)
    }
}
