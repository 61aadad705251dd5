//! What an endpoint keeps of a peer: from the first link that is up until none can carry it any more.

use super::aliases::Aliases;
use super::carriage::{Carriage, Change};
use super::{IntentId, InterestId, LinkId};
use crate::event::PeerName;
use crate::path::Path;
use crate::route::Route;
use crate::wire::control::{Intent, Interest, Notify, Origin};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Samples that come in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inlet {
    /// The peer's number.
    pub(super) intent: u32,
    pub(super) interest: InterestId,
    /// Who declared the intent, and how many relays lie between.
    pub(super) origin: Origin,
    pub(super) hops: usize,
    pub(super) packed: bool,
}

impl Inlet {
    /// An inlet for the samples of an intent of the peer.
    pub(super) fn new(session: &Session, intent: u32, interest: InterestId, packed: bool) -> Self {
        let relayed = session.intents.get(&intent).and_then(|intent| intent.relayed.as_ref());
        let (origin, hops) = match relayed {
            Some(relayed) => (relayed.origin, relayed.via.len() + 1),
            None => (Origin { instance: session.instance, id: intent }, 0),
        };
        Self { intent, interest, origin, hops, packed }
    }
}

/// A pair whose schemas differ. `ours` is an intent if `supplier`, else an interest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Dispute {
    pub(super) supplier: bool,
    pub(super) ours: u32,
    pub(super) theirs: u32,
}

/// What the peer is still to be told.
#[derive(Clone, Debug)]
pub(super) enum Due {
    Schema(Dispute),
    Conflict {
        theirs: u32,
        text: String,
    },
    /// Passed on from another peer.
    Passed(Notify),
}

/// What two peers agreed on when a session began.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    /// What the peer and this side call it.
    pub(super) number: u64,
    pub(super) version: u8,
    /// Whether payloads may be packed.
    pub(super) packs: bool,
    /// Whether it can go on over another link.
    pub(super) resumes: bool,
    /// Whether scope own rules it.
    pub(super) own_scope: bool,
}

impl Terms {
    /// Whether a peer of this path may supply the route.
    pub(super) fn may_supply(&self, path: &Path, route: &Route) -> bool {
        !self.own_scope || route.is_under(path)
    }
}

/// The state of a session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) terms: Terms,
    pub(super) instance: [u8; 16],
    /// Who is at the other end, by the link that carries it or did last.
    pub(super) peer: Arc<PeerName>,
    /// Which of an endpoint's sessions it is.
    pub(super) began: u64,
    pub(super) carriage: Carriage,
    /// The link that carried it before it had none.
    pub(super) last: Option<LinkId>,
    /// A link is about to carry it.
    pub(super) change: Option<Change>,
    /// The last RESUME that was said here, and the one of the peer by which it went on last.
    pub(super) turn: u64,
    pub(super) their_turn: u64,
    /// Links whose handshake is done, ready to carry it.
    pub(super) standing_by: BTreeSet<LinkId>,
    /// How long a better link must have stood by before it takes over from one that does well.
    pub(super) patience: Duration,
    /// The peer's path.
    pub(super) path: Path,
    /// The peer's tables, by its numbers.
    pub(super) intents: BTreeMap<u32, Intent>,
    pub(super) interests: BTreeMap<u32, Interest>,

    pub(super) aliases: Aliases,
    /// Samples that go out: whose, by alias.
    pub(super) outlets: BTreeMap<u32, IntentId>,
    /// The alias of an own intent and an interest of the peer.
    pub(super) outlet_of: BTreeMap<(IntentId, u32), u32>,
    /// Until their END; those whose interest is gone drain.
    pub(super) inlets: BTreeMap<u32, Inlet>,
    /// Those of `inlets` that do not drain.
    pub(super) inlet_of: BTreeMap<(InterestId, u32), u32>,

    /// Pairs whose schemas differ, and whether the application was told.
    pub(super) disputes: BTreeMap<Dispute, bool>,
    /// Own intents of which the application was told that they are not advertised to this peer.
    pub(super) not_advertised: BTreeSet<IntentId>,
    /// Own intents of which a conflict with this peer was reported.
    pub(super) conflicts: BTreeSet<IntentId>,
    /// The peer's intents of which it was told that they conflict.
    pub(super) warned: BTreeSet<u32>,
    /// How much of other peers it was told: offers and wants.
    pub(super) passed: usize,
    /// How many of those wants are its own.
    pub(super) wanted: usize,
    pub(super) dues: VecDeque<Due>,
    /// Bytes of `dues` that may still be sent before the next ping.
    pub(super) allowance: usize,
}

impl Session {
    /// What explaining faults may cost between two pings, save for the last: with it, well below the
    /// 64 KiB of answers that a driver lets wait, so that a peer with very many faults is told of all.
    pub(super) const ALLOWANCE: usize = 32 * 1024;

    pub(super) fn new(terms: Terms, instance: [u8; 16], path: Path, peer: Arc<PeerName>, by: LinkId) -> Self {
        Self {
            terms,
            instance,
            path,
            peer,
            began: 0,
            carriage: Carriage::By(by),
            last: None,
            change: None,
            turn: 0,
            their_turn: 0,
            standing_by: BTreeSet::new(),
            patience: Duration::ZERO,
            intents: BTreeMap::new(),
            interests: BTreeMap::new(),
            aliases: Aliases::default(),
            outlets: BTreeMap::new(),
            outlet_of: BTreeMap::new(),
            inlets: BTreeMap::new(),
            inlet_of: BTreeMap::new(),
            disputes: BTreeMap::new(),
            not_advertised: BTreeSet::new(),
            conflicts: BTreeSet::new(),
            warned: BTreeSet::new(),
            passed: 0,
            wanted: 0,
            dues: VecDeque::new(),
            allowance: Self::ALLOWANCE,
        }
    }

    /// Whether the peer may supply the route on this link.
    pub(super) fn may_supply(&self, route: &Route) -> bool {
        self.terms.may_supply(&self.path, route)
    }

    /// How many pairs it takes part in.
    pub(super) fn pairs(&self) -> usize {
        self.outlets.len() + self.disputes.len()
    }

    /// The outlets of an own intent: the peer's interests.
    pub(super) fn outlets_of(&self, intent: IntentId) -> Vec<u32> {
        self.outlet_of.range((intent, 0)..=(intent, u32::MAX)).map(|((_, interest), _)| *interest).collect()
    }

    /// Drains the inlets of an own interest: their aliases.
    pub(super) fn drain(&mut self, interest: InterestId) -> Vec<u32> {
        let of = (interest, 0)..=(interest, u32::MAX);
        let inlets: Vec<_> = self.inlet_of.range(of).map(|(pair, alias)| (*pair, *alias)).collect();
        for (pair, _) in &inlets {
            self.inlet_of.remove(pair);
        }
        inlets.into_iter().map(|(_, alias)| alias).collect()
    }

    /// Forgets the disputes of an own intent (`supplier`) or interest.
    pub(super) fn forget_disputes(&mut self, supplier: bool, ours: u32) {
        let from = Dispute { supplier, ours, theirs: 0 };
        let to = Dispute { supplier, ours, theirs: u32::MAX };
        let gone: Vec<Dispute> = self.disputes.range(from..=to).map(|(dispute, _)| *dispute).collect();
        for dispute in gone {
            self.disputes.remove(&dispute);
        }
    }
}
