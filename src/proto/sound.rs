//! What holds between any two inputs of an engine, for whoever tries to break it.

use super::carriage::Carriage;
use super::engine::Engine;
use super::link::Phase;
use super::timers::Timer;
use std::collections::BTreeMap;

impl Engine {
    /// Looks at how links and sessions belong together, and at what each of them waits for.
    ///
    /// # Panics
    /// Where something does not fit.
    pub(crate) fn check(&self) {
        let runs = |id, timer| self.timers.due(id, timer).is_some();
        let mut places = BTreeMap::new();
        for (id, session) in &self.sessions {
            assert_eq!(self.by_peer.get(&session.instance), Some(id), "{id:?} is not its peer's session");
            let lapses = runs(*id, Timer::Lease);
            match session.carriage {
                Carriage::By(carrier) => {
                    let link = self.links.get(&carrier).expect("a session is carried by a link that is gone");
                    assert!(matches!(link.phase, Phase::Up), "{carrier:?} carries {id:?}: {:?}", link.phase);
                    assert_eq!((link.session, link.line), (Some(*id), *id), "{carrier:?} carries {id:?}");
                    assert!(
                        runs(carrier, Timer::Silence) && runs(carrier, Timer::Ping),
                        "{carrier:?} is not watched"
                    );
                    assert!(!lapses && session.change.is_none(), "{id:?} is carried, and waits for a link");
                    places.insert(carrier, *id);
                }
                Carriage::None { .. } => assert!(lapses, "{id:?} waits for ever"),
            }
            let change = session.change.map(|change| change.link);
            for waiting in session.standing_by.iter().copied().chain(change) {
                let link = self.links.get(&waiting).expect("a link that is gone stands by");
                assert!(matches!(link.phase, Phase::StandsBy), "{waiting:?} stands by: {:?}", link.phase);
                assert_eq!(link.session, Some(*id), "{waiting:?} stands by for another session");
                assert!(runs(waiting, Timer::Silence), "{waiting:?} is not watched");
                let changes = Some(waiting) == change;
                assert_eq!(runs(waiting, Timer::Handshake), changes, "{waiting:?} changes for ever");
                assert_eq!(runs(waiting, Timer::Ping), !changes, "{waiting:?} is pinged, or never");
                assert_eq!(places.insert(waiting, *id), None, "{waiting:?} is counted twice");
            }
        }
        let waiting = self.sessions.values().filter(|session| session.carrier().is_none()).count();
        assert!(waiting <= self.settings.max_links, "{waiting} sessions wait for a link");
        assert_eq!(self.by_peer.len(), self.sessions.len(), "a peer has a session that is over");
        for (id, link) in &self.links {
            let agreed = link.is_agreed();
            assert_eq!(places.contains_key(id), agreed, "{id:?} is {:?} and of no session", link.phase);
            let connected = agreed || matches!(link.phase, Phase::Dialling | Phase::Handshaking(_));
            let named = connected && link.line != *id && !self.sessions.contains_key(&link.line);
            assert_eq!(self.by_line.get(&link.line) == Some(id), named, "{id:?} goes by {:?}", link.line);
        }
        for id in self.by_instance.values().flatten() {
            assert!(self.links.contains_key(id), "{id:?} is gone, and known by its peer");
        }
        if self.closed {
            assert!(
                self.sessions.is_empty() && self.timers.next().is_none(),
                "something is left after the close"
            );
        }
    }
}
