//! What status calls see. Nothing here changes anything.

use super::LinkId;
use super::engine::Engine;
use super::health::Rank;
use super::link::{Link, LinkState};
use super::liveness::RoundTripView;
use super::timers::Timer;
#[cfg(test)]
use super::{IntentId, InterestId};
use crate::event::PeerName;
#[cfg(test)]
use crate::event::Side;
use crate::health::{LinkHealth, Symptom};
use crate::reason::Reason;
#[cfg(test)]
use crate::route::Route;
use crate::time::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// One link, as it stands.
#[derive(Clone, Debug)]
pub(crate) struct LinkView {
    /// By what its connection goes.
    pub(crate) line: LinkId,
    #[cfg(test)]
    pub(crate) id: LinkId,
    pub(crate) peer: Arc<PeerName>,
    pub(crate) state: LinkState,
    /// Whether this side dials.
    pub(crate) dialled: bool,
    /// Whether scope own rules it; while it is up.
    #[cfg(test)]
    pub(crate) own_scope: Option<bool>,
    pub(crate) round_trip: Option<RoundTripView>,
    /// The peer's clock minus ours, and how wrong that can be by now.
    pub(crate) offset: Option<(i64, Duration)>,
    /// Pairs whose intent is here.
    pub(crate) outlets: usize,
    /// Pairs whose interest is here.
    pub(crate) inlets: usize,
    /// How many intents the peer advertises.
    #[cfg(test)]
    pub(crate) their_intents: usize,
    /// Attempts to dial since it was last up.
    pub(crate) attempt: u32,
    /// How long until it is dialled again, if it waits for that.
    pub(crate) redial_in: Option<Duration>,
    /// While it is up.
    pub(crate) wellness: Option<Wellness>,
    /// Why it is down, or was before this attempt.
    pub(crate) reason: Option<Reason>,
}

/// How a link that is up does.
#[derive(Clone, Debug)]
pub(crate) struct Wellness {
    pub(crate) rank: Rank,
    pub(crate) figures: LinkHealth,
    pub(crate) symptoms: Vec<Symptom>,
}

/// One pair that is linked over a link.
#[cfg(test)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PairView {
    pub(crate) route: Route,
    pub(crate) supplier: Side,
    pub(crate) intent: u32,
    pub(crate) interest: u32,
    pub(crate) alias: u32,
}

impl Engine {
    /// All links, oldest first.
    pub(crate) fn links(&self, now: Timestamp) -> impl Iterator<Item = LinkView> {
        self.links.values().map(move |link| {
            let redial = self.timers.due(link.id, Timer::Redial).map(|at| at - now);
            LinkView { redial_in: redial, wellness: self.wellness(link, now), ..self.view(link, now) }
        })
    }

    fn wellness(&self, link: &Link, now: Timestamp) -> Option<Wellness> {
        let rank = self.rank(now, link.id)?;
        let symptoms = link.health.symptoms().to_vec();
        Some(Wellness { rank, figures: link.health.figures(now), symptoms })
    }

    /// What is linked over a link.
    #[cfg(test)]
    pub(crate) fn pairs(&self, link: LinkId) -> Vec<PairView> {
        let Some(session) = self.sessions.get(&link) else { return Vec::new() };
        let mut pairs = Vec::new();
        for ((intent, interest), alias) in &session.outlet_of {
            if let Some(own) = self.registry.intent(*intent) {
                pairs.push(PairView {
                    route: own.declaration.route.clone(),
                    supplier: Side::Here,
                    intent: intent.0,
                    interest: *interest,
                    alias: *alias,
                });
            }
        }
        for (alias, inlet) in &session.inlets {
            if let Some(own) = self.registry.interest(inlet.interest) {
                pairs.push(PairView {
                    route: own.declaration.route.clone(),
                    supplier: Side::There,
                    intent: inlet.intent,
                    interest: inlet.interest.0,
                    alias: *alias,
                });
            }
        }
        pairs
    }

    fn view(&self, link: &Link, now: Timestamp) -> LinkView {
        let session = self.sessions.get(&link.line).filter(|session| session.carrier() == Some(link.id));
        let agreed = link.is_agreed().then_some(&link.pulse);
        let estimate = agreed.and_then(|pulse| pulse.clock.best(now));
        LinkView {
            line: link.line,
            #[cfg(test)]
            id: link.id,
            peer: link.peer.clone(),
            state: link.state(),
            dialled: link.dialler.is_some(),
            #[cfg(test)]
            own_scope: session.map(|session| session.terms.own_scope),
            round_trip: agreed.and_then(|pulse| pulse.round_trips.view()),
            offset: estimate.map(|estimate| (estimate.offset_micros, estimate.error)),
            outlets: session.map_or(0, |session| session.outlets.len()),
            inlets: session.map_or(0, |session| session.inlet_of.len()),
            #[cfg(test)]
            their_intents: session.map_or(0, |session| session.intents.len()),
            attempt: link.dialler.as_ref().map_or(0, |dialler| dialler.attempt),
            redial_in: None,
            wellness: None,
            reason: link.reason.clone(),
        }
    }

    /// The pairs within this endpoint.
    #[cfg(test)]
    pub(crate) fn local_pairs(&self) -> impl Iterator<Item = (IntentId, InterestId)> {
        self.local.iter().copied()
    }
}
