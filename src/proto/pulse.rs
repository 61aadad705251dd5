//! Pings, pongs and silence.

use super::engine::Engine;
use super::link::Dialler;
use super::session::Session;
use super::timers::Timer;
use super::words;
use super::{Action, LinkId, Order};
use crate::time::Timestamp;
use crate::wire::control::{Control, Ping, Pong};
use std::time::Duration;

impl Engine {
    /// Pings, and plans the next one an interval after this one was due.
    pub(super) fn ping(&mut self, id: LinkId, due: Timestamp) {
        let now = self.now;
        let Some(link) = self.links.get_mut(&id) else { return };
        let interval = link.ping_interval;
        let Some(session) = link.session_mut() else { return };
        let stamp = session.pings.stamp(now);
        session.pings.sent(stamp);
        session.allowance = Session::ALLOWANCE;
        if !session.dues.is_empty() {
            self.dues.insert(id);
        }
        link.health.ping_sent(stamp);
        let mut next = due + interval;
        if next <= now {
            next = now + interval;
        }
        self.timers.set(id, Timer::Ping, next);
        self.send(id, Control::Ping(Ping { sent: stamp }), Order::Ahead);
        self.actions.push_back(Action::Look { link: id });
    }

    /// An answer came: to a ping that measures, or to one that frees aliases.
    pub(super) fn pong(&mut self, id: LinkId, pong: Pong, read: Timestamp) {
        let now = self.now;
        let Some(link) = self.links.get_mut(&id) else { return };
        let Some(session) = link.session_mut() else { return };
        if session.aliases.answered(pong.echo) || !session.pings.answered(pong.echo) {
            return;
        }
        let Some(round_trip) = session.clock.measure([pong.echo, pong.received, pong.sent, read]) else {
            return;
        };
        session.round_trips.add(round_trip);
        if let Some(estimate) = session.clock.best(now) {
            self.actions.push_back(Action::Clock {
                link: id,
                offset_micros: estimate.offset_micros,
                error: estimate.error,
            });
        }
        session.answered_at = now;
        link.health.answered(now, pong.echo, round_trip);
        if let Some(Dialler { backoff, .. }) = &mut link.dialler {
            // Not as soon as it is up: a link that comes up only to fail at once is dialled ever slower.
            backoff.reset();
        }
        self.review(id);
    }

    /// Hangs up if nothing was heard for too long, else looks again when that could be.
    pub(super) fn listen(&mut self, id: LinkId, heard: Timestamp) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let limit = link.silence();
        let Some(session) = link.session() else { return };
        let since = heard.max(session.alive_at);
        if since + limit > self.now {
            link.health.silent(since);
            // Before it is down it is degraded.
            let quiet = since + link.health.patience().min(limit) + Duration::from_micros(1);
            let next = if quiet > self.now { quiet } else { since + limit };
            self.timers.set(id, Timer::Silence, next);
            return self.review(id);
        }
        let reason = words::silent(&link.peer.to_string(), &self.settings.path, self.now - since);
        self.hang_up(id, reason);
    }

    /// If this process slept past its own wake-up, what its peers said meanwhile may still lie unread:
    /// that is not their silence. They get one more interval.
    pub(super) fn forgive_own_sleep(&mut self) {
        let interval = self.settings.ping_interval;
        let Some(planned) = self.timers.next() else { return };
        if self.now - planned <= interval {
            return;
        }
        let since_epoch = self.now - Timestamp::ZERO;
        for link in self.links.values_mut() {
            let grace = link.silence().saturating_sub(link.ping_interval);
            let floor = Timestamp::ZERO + since_epoch.saturating_sub(grace);
            link.health.silent(self.now);
            if let Some(session) = link.session_mut() {
                session.alive_at = session.alive_at.max(floor);
            }
        }
    }
}
