//! What peers say that could be right.

use super::{Bench, Talk, path};
use crate::delivery::Delivery;
use crate::fuzzing::choices::Choices;
use crate::proto::LinkId;
use crate::route::Route;
use crate::schema::Schema;
use crate::wire::control::{Accept, Declared, Entry, Hello, Intent, Interest, Notify, Origin, Relayed};
use crate::wire::kind::RESUMES;

impl Bench {
    /// The final that the engine waits for, or any.
    pub(super) fn accept(&self, link: LinkId, choices: &mut Choices<'_>) -> Accept {
        let line = self.lines.get(&link);
        if let Some(offered) = line.and_then(|line| line.accept) {
            return offered;
        }
        let hellos = line.and_then(|line| Some((line.ours.as_ref()?, line.theirs.as_ref()?)));
        let Some((ours, theirs)) = hellos.filter(|_| line.is_some_and(|line| line.dialled)) else {
            return Accept { version: 1, capabilities: 0, session: 1 };
        };
        let asked = ours.session != 0 && choices.below(4) > 0;
        let session = if asked { ours.session } else { self.number(choices).max(1) };
        Accept { version: 1, capabilities: ours.capabilities & theirs.capabilities, session }
    }

    /// Of a session that was spoken of, or any.
    fn number(&self, choices: &mut Choices<'_>) -> u64 {
        let place = choices.below(self.numbers.len() as u64 + 1) as usize;
        self.numbers.iter().nth(place).copied().unwrap_or_else(|| choices.u64())
    }

    /// Numbers rise, most often.
    pub(super) fn entries<T>(
        &mut self,
        link: LinkId,
        choices: &mut Choices<'_>,
        item: fn(&mut Choices<'_>) -> T,
    ) -> Vec<Entry<T>> {
        let mut nobody = Talk::default();
        let talk = self.sessions.get_mut(&link).map_or(&mut nobody, |session| &mut session.talk);
        let count = 1 + choices.below(4);
        let entry = |_| {
            let id = choices.below(u64::from(talk.next_id) + 1) as u32;
            match choices.below(8) {
                0 => Entry::Remove { id },
                1 => Entry::Update { id, item: item(choices) },
                2 => Entry::Add { id, item: item(choices) },
                _ => {
                    talk.next_id += 1;
                    Entry::Add { id: talk.next_id, item: item(choices) }
                }
            }
        };
        (0..count).map(entry).collect()
    }

    pub(super) fn note_supplies(&mut self, link: LinkId, entries: &[Entry<Intent>]) {
        let Some(session) = self.sessions.get_mut(&link) else { return };
        let supplies = &mut session.talk.supplies;
        for entry in entries {
            match entry {
                Entry::Add { id, item } | Entry::Update { id, item } => {
                    let declared = &item.declared;
                    supplies.insert(*id, (declared.route.clone(), declared.fingerprint));
                }
                Entry::Remove { id } => drop(supplies.remove(id)),
            }
        }
    }

    /// About what both sides declared, most often.
    pub(super) fn notify(&self, link: LinkId, choices: &mut Choices<'_>) -> Notify {
        let next_id = self.sessions.get(&link).map_or(0, |session| session.talk.next_id);
        let (supplier, mine) = (choices.flag(), choices.below(u64::from(next_id) + 2) as u32);
        let interest = self.interests.get(choices.below(self.interests.len() as u64 + 1) as usize);
        let passed = choices.below(3) == 0;
        let yours = if passed {
            PASSED + choices.below(12) as u32
        } else {
            interest.map_or(choices.below(12) as u32, |(id, ..)| id.0)
        };
        match choices.below(12) {
            0 => Notify::Refused { supplier, mine, yours, text: choices.text(20) },
            1 => {
                let schema = Schema::versioned("T", choices.below(2)).expect("it is valid").encode();
                Notify::Schema { supplier, mine, yours, schema }
            }
            2 => Notify::Conflict { yours, text: choices.text(20) },
            3 => Notify::Linked { mine, yours, alias: choices.below(6) as u32 },
            _ => {
                let pairs = self.pairs(link);
                let pair = pairs.get(choices.below(pairs.len() as u64) as usize);
                let (mine, yours) = pair.copied().unwrap_or((mine, yours));
                Notify::Linked { mine, yours, alias: choices.below(20) as u32 }
            }
        }
    }

    /// What the peer can link: its intents and our interests of equal route and shape.
    fn pairs(&self, link: LinkId) -> Vec<(u32, u32)> {
        let Some(session) = self.sessions.get(&link) else { return Vec::new() };
        let fits = |(id, theirs): (&u32, &(Route, u64))| {
            let ours =
                self.interests.iter().find(|(_, route, print)| (route, print) == (&theirs.0, &theirs.1));
            ours.map(|(interest, ..)| (*id, interest.0))
        };
        session.talk.supplies.iter().filter_map(fits).collect()
    }

    pub(super) fn hello(&self, choices: &mut Choices<'_>) -> Hello {
        Hello {
            version_min: if choices.below(16) == 0 { 2 } else { 1 },
            version_max: 2,
            capabilities: if choices.below(4) > 0 { u32::MAX } else { choices.u32() & !RESUMES },
            instance: [if choices.flag() { 5 } else { 5 + choices.below(8) as u8 }; 16],
            session: if choices.below(4) == 0 { 0 } else { self.number(choices) },
            scope_own: choices.below(4) == 0,
            joins: choices.flag(),
            max_frame: 1 << 20,
            ping_millis: 1000,
            clock: choices.time(),
            path: path(["desk", "robot", "robot.arm"][choices.below(3) as usize]),
            expected: choices.flag().then(|| path("robot")),
        }
    }
}

/// One of a few routes, and one of a few versions, so that they often meet.
pub(super) fn names(choices: &mut Choices<'_>) -> (Route, u64) {
    let place = path(["robot.x", "desk.x"][usize::from(choices.below(4) == 0)]);
    let route = Route::new(if choices.below(8) == 0 { "U" } else { "T" }, &place).expect("it is valid");
    let hidden = choices.below(8) == 0;
    let route = if hidden { route.hashed(&place).expect("its own path") } else { route };
    (route, u64::from(choices.below(8) == 0))
}

fn declared(choices: &mut Choices<'_>) -> Declared {
    let (route, version) = names(choices);
    let fingerprint = Schema::versioned("T", version).expect("it is valid").fingerprint();
    let codec = if choices.below(8) == 0 { "other" } else { "codec" };
    Declared { route, fingerprint, codec: codec.to_owned(), lease_millis: 0 }
}

pub(super) fn intent(choices: &mut Choices<'_>) -> Intent {
    let declared = declared(choices);
    let relayed = (choices.below(4) == 0).then(|| {
        let origin = Origin { instance: [5 + choices.below(8) as u8; 16], id: choices.below(4) as u32 };
        let via = (0..choices.below(3)).map(|_| [5 + choices.below(8) as u8; 16]).collect();
        Box::new(Relayed { origin, via })
    });
    Intent {
        declared,
        exclusive: choices.flag(),
        retained: choices.flag(),
        priority: choices.priority(),
        relayed,
    }
}

pub(super) fn interest(choices: &mut Choices<'_>) -> Interest {
    let only = (choices.below(4) == 0).then(|| PASSED + choices.below(12) as u32);
    Interest {
        declared: declared(choices),
        delivery: Delivery::Lossless(4),
        only,
        unpacks: choices.below(2) == 1,
    }
}

/// The first number of what a relay passes on.
const PASSED: u32 = 1 << 31;
