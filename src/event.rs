//! What changed, for the application to see.

use crate::diagnosis::Diagnosis;
use crate::health::{LinkHealth, Symptom};
use crate::path::Path;
use crate::reason::Reason;
use crate::route::Route;
use std::fmt;
use std::time::Duration;

/// Which end of a link or route is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// This endpoint.
    Here,
    /// The peer.
    There,
}

/// Where samples were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LostAt {
    /// In this endpoint.
    Here,
    /// At the peer, or, as an intent sees it, anywhere past this endpoint.
    There,
    /// Between the two, by a line that loses things.
    OnTheWay,
}

/// Who is at the other end of a link, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PeerName {
    /// The peer's path, once its handshake told it, or as it was expected when dialling.
    pub path: Option<Path>,
    /// Where the link leads, as a URL: the one dialled, or the one the connection came from.
    pub url: String,
}

impl fmt::Display for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(f, "{path} ({})", self.url),
            None => f.write_str(&self.url),
        }
    }
}

/// Why a route that both sides have was not linked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The message types differ in shape; the text names the first field that differs.
    Schema(String),
    /// The payloads are encoded differently.
    Codec {
        /// The codec used here.
        ours: String,
        /// The codec used there.
        theirs: String,
    },
    /// `Scope::Own` does not allow this route on this link.
    NoRight(String),
    /// The line cannot serve what the interest asks for.
    Delivery(String),
    /// This endpoint relays the route, and has no room for it.
    Relay(String),
    /// The peer refused, with a text of its own.
    ByPeer(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Schema(text) => write!(f, "the message types differ: {text}"),
            Refusal::Codec { ours, theirs } => {
                write!(f, "the codecs differ: `{ours}` here, `{theirs}` there")
            }
            Refusal::NoRight(text) | Refusal::Delivery(text) | Refusal::Relay(text) => f.write_str(text),
            Refusal::ByPeer(text) => write!(f, "the peer refused: {text}"),
        }
    }
}

/// One thing that changed. [`Endpoint::events`](crate::Endpoint::events) delivers them in order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A connection is being tried, for the `attempt`-th time since the link was last up.
    LinkDialling {
        /// Who is dialled.
        peer: PeerName,
        /// Counts from 1.
        attempt: u32,
    },
    /// A connection stands and the handshake began.
    LinkHandshaking {
        /// Who is at the other end.
        peer: PeerName,
    },
    /// The handshake is done: routes can be linked.
    LinkUp {
        /// Who is at the other end.
        peer: PeerName,
        /// The protocol version agreed on.
        version: u8,
    },
    /// A link that is up does worse than its [`HealthLimits`](crate::HealthLimits) allow. Samples flow on over it, until a
    /// [`LinkRecovered`](Event::LinkRecovered) or a [`LinkDown`](Event::LinkDown).
    LinkDegraded {
        /// Who is at the other end.
        peer: PeerName,
        /// Which figures are past their limits.
        symptoms: Vec<Symptom>,
        /// The same in words, with the figures and their limits.
        text: String,
        /// All figures.
        health: LinkHealth,
    },
    /// A degraded link has been well again for the
    /// [`recovery`](crate::HealthLimits::recovery) time.
    LinkRecovered {
        /// Who is at the other end.
        peer: PeerName,
        /// How long it was degraded.
        after: Duration,
        /// All figures.
        health: LinkHealth,
    },
    /// The handshake of a link is done, and another one to the same peer carries the session: this one is ready to take
    /// over. See [`EndpointBuilder::connect_any`](crate::EndpointBuilder::connect_any).
    LinkStandsBy {
        /// Who is at the other end.
        peer: PeerName,
    },
    /// A session goes on over a link, this one or another, after the one that carried it was lost or given up. What was linked
    /// still is; lossless samples go on from the last that came.
    SessionResumed {
        /// Who is at the other end, by the link that carries it now.
        peer: PeerName,
        /// How long it had none.
        after: Duration,
    },
    /// A session whose link was lost is over: no other came within the [lease](crate::EndpointBuilder::lease), or the peer
    /// started anew. What could not be kept is told by [`SamplesLost`](Event::SamplesLost) and
    /// [`SamplesUnconfirmed`](Event::SamplesUnconfirmed).
    SessionEnded {
        /// Who was at the other end.
        peer: PeerName,
        /// Why.
        reason: Reason,
    },
    /// A link ended or could not be made. A dialled one is tried again by itself: soon where that can help, at the
    /// pace of [`redial_refused`](crate::EndpointBuilder::redial_refused) where the reason is not
    /// [transient](Reason::is_transient).
    LinkDown {
        /// Who was at the other end.
        peer: PeerName,
        /// Why.
        reason: Reason,
    },
    /// An intent and an interest met: samples can flow, those to another endpoint a round trip later, for
    /// which [`Intent::wait_interests`](crate::Intent::wait_interests) waits.
    RouteLinked {
        /// The route.
        route: Route,
        /// The other endpoint; `None` when both are in this one.
        peer: Option<PeerName>,
        /// Where the supplier is.
        supplier: Side,
    },
    /// Samples no longer flow between an intent and an interest.
    RouteUnlinked {
        /// The route.
        route: Route,
        /// The other endpoint; `None` when both are in this one.
        peer: Option<PeerName>,
        /// Where the supplier was.
        supplier: Side,
    },
    /// This endpoint [relays](crate::EndpointBuilder::relay) samples from one peer to another from now on.
    RouteRelayed {
        /// The route.
        route: Route,
        /// The peer that supplies it.
        from: PeerName,
        /// The peer that wants it.
        to: PeerName,
    },
    /// This endpoint relays no more samples of a pair of peers.
    RelayEnded {
        /// The route.
        route: Route,
        /// The peer that supplied it.
        from: PeerName,
        /// The peer that wanted it.
        to: PeerName,
    },
    /// Both sides have the route and yet it was not linked.
    RouteRefused {
        /// The route.
        route: Route,
        /// The other endpoint; `None` when both are in this one.
        peer: Option<PeerName>,
        /// Why, in a form both sides are told.
        refusal: Refusal,
    },
    /// One side supplies and the other wants different types under the same path.
    WrongType {
        /// The route declared here.
        ours: Route,
        /// The route declared there.
        theirs: Route,
        /// The other endpoint; `None` when both are in this one.
        peer: Option<PeerName>,
    },
    /// An intent claims the route as its own, and there is another supplier.
    Conflict {
        /// The route.
        route: Route,
        /// The other supplier's endpoint, or the one that saw both; `None` when it is this one.
        peer: Option<PeerName>,
        /// Who claims and who else supplies, in words.
        text: String,
    },
    /// Samples were lost since the last such event of this route and peer. It comes about once a second
    /// while there are losses; and when a link ends, for those that this side took and that never left it
    /// whole: the peer does not have them.
    ///
    /// Each interest is counted by itself. Where a peer began anew, and it is not known yet that its last run is
    /// over, samples go to both: what the one lost the other may have.
    SamplesLost {
        /// The route.
        route: Route,
        /// The other endpoint; `None` when both are in this one.
        peer: Option<PeerName>,
        /// How many.
        count: u64,
        /// Where they were lost.
        lost: LostAt,
    },
    /// A link ended before a lossless interest said that it took these samples: each of them may have
    /// arrived, or not. They were written, and are counted here and not as lost.
    ///
    /// What an interest with another [`Delivery`](crate::Delivery) takes is not confirmed one by one, so
    /// nothing is said of it; [`RouteUnlinked`](Event::RouteUnlinked) says that something can be missing. Of a route over
    /// [all links](crate::Links::All) what did not leave by its own is told here as well, as a copy may have arrived.
    SamplesUnconfirmed {
        /// The route.
        route: Route,
        /// The endpoint that wanted them.
        peer: PeerName,
        /// How many.
        count: u64,
    },
    /// A lossless interest took nothing for the intent's
    /// [`stall_limit`](crate::IntentSettings::stall_limit) while the intent had no room to send: it is cut off. The
    /// intent passes it over from now on, and sends to the others. Both sides are told.
    ///
    /// It comes back by itself: as soon as it takes a sample, what waits for it is granted on behind what it
    /// missed; then [`InterestReturned`](Event::InterestReturned) tells how many that was.
    InterestCutOff {
        /// The route.
        route: Route,
        /// The other endpoint; `None` when both are in this one.
        peer: Option<PeerName>,
        /// Where the intent is.
        supplier: Side,
        /// How many samples were sent to it that it has not taken, as far as it has said. They can still be read.
        untaken: u64,
    },
    /// A lossless interest that was [cut off](Event::InterestCutOff) takes again. Both sides are told.
    InterestReturned {
        /// The route.
        route: Route,
        /// The other endpoint; `None` when both are in this one.
        peer: Option<PeerName>,
        /// Where the intent is.
        supplier: Side,
        /// How many samples went past it. They are counted by [`SamplesLost`](Event::SamplesLost) too.
        missed: u64,
    },
    /// A callback panicked; it will not be called again and its interest is withdrawn.
    CallbackPanicked {
        /// The route it was for.
        route: Route,
        /// What the panic said.
        text: String,
    },
    /// What is wrong with a line changed, where its transport can tell, as on a serial port.
    LinkDiagnosed {
        /// Who is or should be at the other end.
        peer: PeerName,
        /// What is wrong now; `None`: nothing any more.
        diagnosis: Option<Diagnosis>,
    },
    /// More is to be sent over a line than it carries, going by what
    /// [`IntentSettings::expected_rate`](crate::IntentSettings::expected_rate) and its like for interests declared.
    LinkOverbooked {
        /// Who is at the other end.
        peer: PeerName,
        /// Which end sends too much.
        supplier: Side,
        /// What the declared routes need, in bytes a second with all overhead.
        wanted: u64,
        /// What the line carries, in bytes a second.
        carried: u64,
        /// Which routes need how much, in words.
        text: String,
    },
    /// A listener failed to accept, or knows what is wrong with its line; it goes on after a pause.
    ListenerFault {
        /// The listening URL.
        url: String,
        /// What the system said.
        text: String,
    },
    /// Somebody is in a group that was not there before.
    MemberJoined {
        /// Who, and the URL of the group.
        member: PeerName,
    },
    /// A member of a group said that it goes, or was not heard for 3.5 of its intervals.
    MemberLeft {
        /// Who, and the URL of the group.
        member: PeerName,
        /// Why.
        reason: Reason,
    },
    /// A group cannot be reached, or something came there that is of no use; at most every 10 s.
    GroupFault {
        /// The URL of the group.
        url: String,
        /// What happened, and how often since the last such event.
        text: String,
    },
    /// Connections were turned away without a word, as there were too many: 200 more than
    /// [`link_limit`](crate::EndpointBuilder::link_limit). Told at most once a second for each listener.
    ConnectionsRefused {
        /// The listening URL.
        url: String,
        /// How many, since the last such event of this listener.
        count: u64,
    },
    /// A thread of the library panicked. Its link was closed; the rest goes on.
    ThreadPanicked {
        /// The thread's name.
        thread: String,
        /// What the panic said.
        text: String,
    },
    /// The application did not read events fast enough: the `count` oldest are gone.
    Missed {
        /// How many.
        count: u64,
    },
}
