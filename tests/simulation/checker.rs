//! What must hold of the samples of one route, whatever happens.

use bowline::Delivery;
use std::collections::BTreeMap;

/// One program that supplied the route, from its start to its end.
#[derive(Debug, Default)]
pub struct Life {
    /// Numbers below this were taken by `send`.
    pub taken: u64,
    pub received: u64,
    /// The next number that may come.
    next: u64,
    /// Numbers that did not come although later ones did.
    holes: u64,
    /// How often one was passed over, as nobody took any more, and offered again with its number.
    pub passed: u64,
    /// What events said of it: never sent, and never confirmed.
    pub unsent: u64,
    pub unconfirmed: u64,
    /// How often a session of it ended, as either side heard.
    pub ends: u32,
    /// How often it did as the reading side heard, and how often something was missing then.
    breaks: u32,
    gaps: u32,
}

/// All that is known of the samples of one route.
#[derive(Debug)]
pub struct Checker {
    route: String,
    delivery: Delivery,
    lives: BTreeMap<u32, Life>,
}

impl Checker {
    pub fn new(route: String, delivery: Delivery) -> Self {
        Self { route, delivery, lives: BTreeMap::new() }
    }

    pub fn life(&mut self, life: u32) -> &mut Life {
        self.lives.entry(life).or_default()
    }

    /// A session between the two programs ended, as the one that `reads` heard or the other: by a lost connection, or
    /// because one of them did.
    pub fn session_ended(&mut self, reads: bool) {
        for life in self.lives.values_mut() {
            life.ends += 1;
            life.breaks += u32::from(reads);
        }
    }

    /// A sample came. One of a life that is over may come after those of the next, by another connection.
    pub fn comes(&mut self, life: u32, number: u64) {
        let (route, lossless) = (&self.route, self.delivery.is_lossless());
        let life = self.lives.get_mut(&life).unwrap_or_else(|| panic!("{route}: nobody lived that life"));
        assert!(number < life.taken, "{route}: {number} came and was never sent: {life:?}");
        assert!(number >= life.next, "{route}: {number} came twice, or after a later one: {life:?}");
        let missing = number - life.next;
        if lossless && missing > 0 {
            // What came before an end may be read after it was heard; so each end makes up for one gap.
            life.gaps += 1;
            assert!(
                life.gaps <= life.breaks,
                "{route}: {missing} lost before {number} in a session: {life:?}"
            );
        }
        life.holes += missing;
        life.next = number + 1;
        life.received += 1;
    }

    /// How many may be under way, as far as one can tell.
    pub fn check_bound(&self) {
        let Some((_, life)) = self.lives.last_key_value().filter(|(_, life)| life.ends == 0) else { return };
        if let Delivery::Lossless(most) = self.delivery {
            let under_way = life.taken - life.received;
            assert!(under_way <= u64::from(most), "{}: {under_way} are under way of {most}", self.route);
        }
    }

    /// All came that could. `counted` is what the reading side counted as lost since it began, if it is the first
    /// that ever read.
    pub fn check_end(&self, counted: Option<u64>) {
        let route = &self.route;
        let Some((_, life)) = self.lives.last_key_value() else { return };
        let missing = life.taken - life.received;
        match self.delivery {
            Delivery::Lossless(_) => {
                let most = life.unsent + life.unconfirmed;
                // Reported, as it went past somebody; the number came all the same.
                let never = life.unsent.saturating_sub(life.passed);
                assert!(missing >= never, "{route}: {never} reported as lost came: {life:?}");
                assert!(
                    missing <= most,
                    "{route}: {missing} lost, of which at most {most} are told: {life:?}"
                );
            }
            Delivery::Queue(_) if self.lives.len() == 1 && life.ends == 0 => {
                if let Some(counted) = counted {
                    assert_eq!(missing, counted, "{route}: lost, and counted as lost: {life:?}");
                }
            }
            _ => {}
        }
    }

    /// A number for what came.
    pub fn received(&self) -> u64 {
        self.lives.values().map(|life| life.received).sum()
    }
}
