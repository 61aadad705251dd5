//! How well a link does that is up.
//!
//! ```text
//!                      some figure past its limit
//!            ┌──────────────────────────────────────────────┐
//!            │                                              ▼
//!  up ──► Well                                           Degraded
//!            ▲                                              │
//!            └── all at most ¾ of their limits for the hold ┘
//! ```
//! The hold is the recovery time, and doubles each time the link is degraded again within ten of them. A link that
//! comes up begins well; when it goes down, all of this is forgotten but how often it relapsed.
//!
//! Driven by what happens to pings ([`ping_sent`](Health::ping_sent), [`answered`](Health::answered)), by what the
//! driver sees of the line ([`seen`](Health::seen)) and by silence ([`silent`](Health::silent)); after any of them
//! [`judge`](Health::judge) says whether the link changed.

use crate::health::{HealthLimits, LinkHealth, Millis, Percent, Symptom};
use crate::time::Timestamp;
use std::collections::VecDeque;
use std::time::Duration;

/// What the driver sees of a line, asked for by [`Action::Look`](super::Action::Look).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// When bytes last came.
    pub(crate) heard: Timestamp,
    /// How long what is being written has waited.
    pub(crate) queue_age: Duration,
    /// Packets written since the connection was made, and pieces that were sent again; 0 on streams.
    pub(crate) packets: u64,
    pub(crate) resent: u64,
}

/// How good a link is, to choose among several: the least is the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    pub(crate) degraded: bool,
    /// The worst figure, in thousandths of its limit.
    pub(crate) strain: u32,
}

/// A link became worse or well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Degraded { symptoms: Vec<Symptom>, text: String, health: LinkHealth },
    Recovered { after: Duration, health: LinkHealth },
}

/// The health of one link. 2 KiB at most.
#[derive(Debug)]
pub(crate) struct Health {
    limits: HealthLimits,
    /// How much longer than elsewhere things may take, as the line is slow.
    extra: Duration,
    interval: Duration,
    pings: VecDeque<Sent>,
    seen: VecDeque<Seen>,
    heard: Timestamp,
    state: State,
    /// How often it was degraded again soon after it recovered.
    relapses: u32,
    recovered_at: Option<Timestamp>,
}

#[derive(Debug)]
enum State {
    Well,
    Degraded { since: Timestamp, calm_since: Option<Timestamp>, symptoms: Vec<Symptom> },
}

/// A ping and its round trip in microseconds, once there is one.
#[derive(Clone, Copy, Debug)]
struct Sent {
    at: Timestamp,
    round_trip: Option<u64>,
}

impl Health {
    pub(crate) fn new(limits: HealthLimits) -> Self {
        Self {
            limits,
            extra: Duration::ZERO,
            interval: Duration::ZERO,
            pings: VecDeque::new(),
            seen: VecDeque::new(),
            heard: Timestamp::ZERO,
            state: State::Well,
            relapses: 0,
            recovered_at: None,
        }
    }

    /// The link came up. It is pinged each `interval`, and its line may take `extra` longer than others.
    pub(crate) fn came_up(&mut self, now: Timestamp, interval: Duration, extra: Duration) {
        (self.interval, self.extra, self.heard) = (interval, extra, now);
        self.pings.clear();
        self.seen.clear();
        self.state = State::Well;
    }

    pub(crate) fn ping_sent(&mut self, at: Timestamp) {
        if self.pings.len() == PINGS {
            self.pings.pop_front();
        }
        self.pings.push_back(Sent { at, round_trip: None });
    }

    pub(crate) fn answered(&mut self, now: Timestamp, ping: Timestamp, round_trip: Duration) {
        self.heard = self.heard.max(now);
        if let Some(sent) = self.pings.iter_mut().rev().find(|sent| sent.at == ping) {
            sent.round_trip = Some(micros(round_trip));
        }
    }

    pub(crate) fn seen(&mut self, seen: Seen) {
        self.heard = self.heard.max(seen.heard);
        if self.seen.len() == LOOKS {
            self.seen.pop_front();
        }
        self.seen.push_back(seen);
    }

    /// Nothing was heard since then, which is when silence begins to count.
    pub(crate) fn silent(&mut self, since: Timestamp) {
        self.heard = self.heard.max(since);
    }

    /// How long a silence makes it degraded.
    pub(crate) fn patience(&self) -> Duration {
        self.interval.mul_f32(self.limits.silence)
    }

    pub(crate) fn is_degraded(&self) -> bool {
        matches!(self.state, State::Degraded { .. })
    }

    /// What it was found to suffer from when it was last looked at; empty while it is well.
    pub(crate) fn symptoms(&self) -> &[Symptom] {
        match &self.state {
            State::Degraded { symptoms, .. } => symptoms,
            State::Well => &[],
        }
    }

    pub(crate) fn rank(&self, now: Timestamp) -> Rank {
        let figures = self.figures(now);
        let strain = self.parts(&figures).into_iter().map(|(_, strain)| strain).max();
        Rank { degraded: self.is_degraded(), strain: strain.unwrap_or(0) }
    }

    pub(crate) fn figures(&self, now: Timestamp) -> LinkHealth {
        let known = |sent: &Sent| sent.round_trip.or_else(|| self.overdue(sent, now));
        let trips = self.pings.iter().rev().filter_map(known);
        let mut last: Vec<u64> = trips.take(ROUND_TRIPS).collect();
        let round_trip = (last.len() >= ROUND_TRIPS.div_ceil(2)).then(|| median(&mut last)).flatten();
        let answered: Vec<u64> =
            self.pings.iter().rev().filter_map(|sent| sent.round_trip).take(JITTER).collect();
        let mut steps: Vec<u64> = answered.windows(2).map(|pair| pair[0].abs_diff(pair[1])).collect();
        let jitter = (steps.len() >= JITTER / 2).then(|| median(&mut steps)).flatten();
        LinkHealth {
            silence: now - self.heard,
            round_trip,
            jitter,
            lost_per_mille: self.lost(),
            resent_per_mille: self.resent(),
            queue_age: self.seen.back().map_or(Duration::ZERO, |seen| seen.queue_age),
        }
    }

    /// Whether the link changed, by what is known now.
    pub(crate) fn judge(&mut self, now: Timestamp) -> Option<Change> {
        if self.limits.off {
            return None;
        }
        let health = self.figures(now);
        let parts = self.parts(&health);
        let calm = parts.iter().all(|(_, strain)| *strain <= CALM);
        let found: Vec<Symptom> =
            parts.iter().filter(|(_, strain)| *strain > PAST).map(|(symptom, _)| *symptom).collect();
        let hold = self.hold();
        match &mut self.state {
            State::Well if found.is_empty() => None,
            State::Well => {
                let texts: Vec<String> =
                    found.iter().map(|symptom| self.describe(*symptom, &health)).collect();
                let text = texts.join("; ");
                let soon = self.recovered_at.is_some_and(|at| now - at <= hold.saturating_mul(RELAPSE));
                self.relapses = if soon { (self.relapses + 1).min(RELAPSES) } else { 0 };
                self.state = State::Degraded { since: now, calm_since: None, symptoms: found.clone() };
                Some(Change::Degraded { symptoms: found, text, health })
            }
            State::Degraded { since, calm_since, symptoms } => {
                if !found.is_empty() {
                    *symptoms = found;
                }
                if !calm {
                    *calm_since = None;
                    return None;
                }
                if now - *calm_since.get_or_insert(now) < hold {
                    return None;
                }
                let after = now - *since;
                self.state = State::Well;
                self.recovered_at = Some(now);
                Some(Change::Recovered { after, health })
            }
        }
    }

    /// How long it must be calm before it is well.
    fn hold(&self) -> Duration {
        self.limits.recovery.saturating_mul(1 << self.relapses)
    }

    /// The age of a ping that should have been answered by now.
    fn overdue(&self, sent: &Sent, now: Timestamp) -> Option<u64> {
        let age = now - sent.at;
        (age > self.limits.round_trip + self.extra).then(|| micros(age))
    }

    /// Pings of a thousand that were not answered although a later one was.
    fn lost(&self) -> u32 {
        let last = self.pings.iter().rposition(|sent| sent.round_trip.is_some());
        let settled = last.map_or(0, |last| last + 1);
        let lost = self.pings.iter().take(settled).filter(|sent| sent.round_trip.is_none()).count();
        if lost < LEAST_LOST { 0 } else { per_mille(lost as u64, settled as u64) }
    }

    fn resent(&self) -> u32 {
        let (Some(first), Some(last)) = (self.seen.front(), self.seen.back()) else { return 0 };
        let resent = last.resent.saturating_sub(first.resent);
        if resent < LEAST_RESENT {
            return 0;
        }
        per_mille(resent, last.packets.saturating_sub(first.packets))
    }

    /// Every symptom, and how much of its limit is used.
    fn parts(&self, health: &LinkHealth) -> [(Symptom, u32); 6] {
        let HealthLimits { round_trip, jitter, queue_age, loss, resent, .. } = self.limits;
        let time = |is: Duration, limit: Duration| strain(micros(is), micros(limit));
        let share =
            |is: u32, percent: u32| if percent >= 100 { 0 } else { strain(is.into(), tenths(percent)) };
        [
            (Symptom::Silence, time(health.silence, self.patience())),
            (Symptom::RoundTrip, time(health.round_trip.unwrap_or_default(), round_trip + self.extra)),
            (Symptom::Jitter, time(health.jitter.unwrap_or_default(), jitter + self.extra)),
            (Symptom::Loss, share(health.lost_per_mille, loss)),
            (Symptom::Resent, share(health.resent_per_mille, resent)),
            (Symptom::QueueAge, time(health.queue_age, queue_age + self.extra)),
        ]
    }

    /// A figure and its limit, in words.
    fn describe(&self, symptom: Symptom, health: &LinkHealth) -> String {
        let limits = &self.limits;
        let time = |what: &str, is: Duration, limit: Duration| {
            format!("{what} {} (limit {})", Millis(is), Millis(limit))
        };
        let share = |is, what: &str, limit: u32| format!("{} {what} (limit {limit} %)", Percent(is));
        match symptom {
            Symptom::Silence => time("nothing heard for", health.silence, self.patience()),
            Symptom::RoundTrip => {
                time("round trips of", health.round_trip.unwrap_or_default(), limits.round_trip + self.extra)
            }
            Symptom::Jitter => {
                time("jitter of", health.jitter.unwrap_or_default(), limits.jitter + self.extra)
            }
            Symptom::Loss => share(health.lost_per_mille, "of pings lost", limits.loss),
            Symptom::Resent => share(health.resent_per_mille, "of packets sent again", limits.resent),
            Symptom::QueueAge => {
                time("what is to be sent waits for", health.queue_age, limits.queue_age + self.extra)
            }
        }
    }
}

/// A figure in thousandths of its limit.
fn strain(is: u64, limit: u64) -> u32 {
    if is == 0 {
        return 0;
    }
    // Rounded up, so that more than the limit is always past it.
    let strain = (u128::from(is) * 1000).div_ceil(u128::from(limit.max(1)));
    u32::try_from(strain).unwrap_or(u32::MAX)
}

fn tenths(percent: u32) -> u64 {
    u64::from(percent) * 10
}

fn per_mille(part: u64, whole: u64) -> u32 {
    u32::try_from(part.saturating_mul(1000) / whole.max(1)).unwrap_or(1000).min(1000)
}

fn median(values: &mut [u64]) -> Option<Duration> {
    values.sort_unstable();
    values.get(values.len() / 2).copied().map(Duration::from_micros)
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

/// How many pings are remembered, for the share of those that were lost.
const PINGS: usize = 50;
/// How many round trips, for the median; and for what one differs from the next by.
const ROUND_TRIPS: usize = 5;
const JITTER: usize = 8;
/// How many looks at the line, one with each ping.
const LOOKS: usize = 8;
/// A share of fewer says nothing.
const LEAST_LOST: usize = 4;
const LEAST_RESENT: u64 = 5;
/// Strains past which a link is degraded, and up to which it is calm.
const PAST: u32 = 1000;
const CALM: u32 = 750;
/// Degraded again within so many holds, the next hold is twice as long; so often at most.
const RELAPSE: u32 = 10;
const RELAPSES: u32 = 4;

#[cfg(test)]
mod tests;
