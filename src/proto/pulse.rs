//! Pings, pongs and silence.

use super::engine::Engine;
use super::link::{Dialler, Link};
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
        let Some(link) = self.links.get_mut(&id).filter(|link| link.is_agreed()) else { return };
        let (interval, line) = (link.ping_interval, link.line);
        let stamp = link.pulse.pings.stamp(now);
        link.pulse.pings.sent(stamp);
        link.health.ping_sent(stamp);
        if let Some(session) = self.sessions.get_mut(&line) {
            session.allowance = Session::ALLOWANCE;
            if !session.dues.is_empty() {
                self.dues.insert(line);
            }
        }
        let mut next = due + interval;
        if next <= now {
            next = now + interval;
        }
        self.timers.set(id, Timer::Ping, next);
        self.send(line, Control::Ping(Ping { sent: stamp }), Order::Ahead);
        self.actions.push_back(Action::Look { link: line });
    }

    /// An answer came: to a ping that measures, or to one that frees aliases.
    pub(super) fn pong(&mut self, id: LinkId, pong: Pong, read: Timestamp) {
        let now = self.now;
        let Some(link) = self.links.get_mut(&id).filter(|link| link.is_agreed()) else { return };
        let line = link.line;
        if self.sessions.get_mut(&line).is_some_and(|session| session.aliases.answered(pong.echo)) {
            return;
        }
        let pulse = &mut link.pulse;
        if !pulse.pings.answered(pong.echo) {
            return;
        }
        let Some(round_trip) = pulse.clock.measure([pong.echo, pong.received, pong.sent, read]) else {
            return;
        };
        pulse.round_trips.add(round_trip);
        if let Some(estimate) = pulse.clock.best(now) {
            self.actions.push_back(Action::Clock {
                link: line,
                offset_micros: estimate.offset_micros,
                error: estimate.error,
            });
        }
        pulse.answered_at = now;
        link.health.answered(now, pong.echo, round_trip);
        if let Some(Dialler { backoff, .. }) = &mut link.dialler {
            // Not as soon as it is up: a link that comes up only to fail at once is dialled ever slower.
            backoff.reset();
        }
        self.review(id);
    }

    /// Hangs up if nothing was heard for too long, else looks again when that could be.
    pub(super) fn listen(&mut self, id: LinkId, heard: Timestamp) {
        let Some(link) = self.links.get_mut(&id).filter(|link| link.is_agreed()) else { return };
        let limit = link.silence();
        let since = heard.max(link.pulse.alive_at);
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

    /// How long the peer of a link may be silent.
    pub(super) fn silence_of(&self, id: LinkId) -> Duration {
        self.links.get(&id).map_or(Duration::ZERO, Link::silence)
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
            link.pulse.alive_at = link.pulse.alive_at.max(floor);
        }
    }
}
