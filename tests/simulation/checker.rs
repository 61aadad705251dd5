//! What must hold of the samples of one route, whatever happens.

use bowline::Delivery;
use std::collections::BTreeMap;

/// One intent that supplied the route, from its start to its end.
#[derive(Debug, Default)]
pub struct Life {
    /// Numbers below this were taken by `send`.
    pub taken: u64,
    pub received: u64,
    /// The next number that may come.
    next: u64,
    /// Numbers that did not come although later ones did.
    holes: u64,
    /// How many interests took samples or were passed over, in all. A sample has several of them where the reading
    /// program began anew and it is not known yet that its last session is over: what that one loses may come by the
    /// other. And one that was only passed over is offered again with its number.
    pub given: u64,
    /// What events said of it, of one interest each: never sent, and never confirmed.
    pub unsent: u64,
    pub unconfirmed: u64,
    /// How often a session of it ended, as either side heard.
    pub ends: u32,
    /// How often it did as the reading side heard, and how often something was missing then.
    breaks: u32,
    gaps: u32,
    /// How often the last one came again.
    repeats: u32,
}

/// All that is known of the samples of one route.
#[derive(Debug)]
pub struct Checker {
    route: String,
    delivery: Delivery,
    /// It need not begin with the first sample.
    late: bool,
    /// Its last sample comes again when it is linked again.
    retained: bool,
    lives: BTreeMap<u32, Life>,
}

impl Checker {
    pub fn new(route: String, delivery: Delivery) -> Self {
        Self { route, delivery, late: false, retained: false, lives: BTreeMap::new() }
    }

    /// It is linked after others, or gets what was sent before it was.
    pub fn may_come_late(&mut self, retained: bool) {
        (self.late, self.retained) = (true, retained);
    }

    /// An intent begins.
    pub fn begins(&mut self, life: u32) {
        let first = u32::from(self.late);
        self.lives.insert(life, Life { ends: first, breaks: first, ..Life::default() });
    }

    pub fn life(&mut self, life: u32) -> &mut Life {
        self.lives.get_mut(&life).expect("it began")
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
        if self.retained && number + 1 == life.next && life.repeats < life.breaks {
            life.repeats += 1;
            return;
        }
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

    /// The last that an intent sent came.
    pub fn check_last(&self, life: u32) {
        let Some(life) = self.lives.get(&life) else { return };
        assert_eq!(life.next, life.taken, "{}: all is well, and the last did not come: {life:?}", self.route);
    }

    /// The number of the last that an intent sent.
    pub fn last(&self, life: u32) -> Option<u64> {
        self.lives.get(&life)?.taken.checked_sub(1)
    }

    /// All came that could. `counted` is what the reading side counted as lost since it began, if it is the first
    /// that ever read.
    pub fn check_end(&self, counted: Option<u64>) {
        let route = &self.route;
        let Some((_, life)) = self.lives.last_key_value() else { return };
        match self.delivery {
            Delivery::Lossless(_) => {
                // What was given to somebody came or is told to be lost, of which no more is told than he was given.
                let Life { given, received, unsent, unconfirmed, .. } = *life;
                assert!(received + unsent <= given, "{route}: what is told to be lost came: {life:?}");
                assert!(unconfirmed + unsent <= given, "{route}: more is told than was given: {life:?}");
                let known = received + unsent + unconfirmed;
                assert!(given <= known, "{route}: {} lost, and nobody is told: {life:?}", given - known);
            }
            Delivery::Queue(_) if self.lives.len() == 1 && life.ends == 0 => {
                if let Some(counted) = counted {
                    let missing = life.taken - life.received;
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

/// One life of a supplier that gave samples to interests; what came of them, and what events told.
fn life(taken: u64, given: u64, comes: &[u64], [unsent, unconfirmed]: [u64; 2]) -> Checker {
    let mut checker = Checker::new("robot.count".to_owned(), Delivery::Lossless(8));
    checker.begins(0);
    *checker.life(0) = Life { taken, given, unsent, unconfirmed, ..Life::default() };
    checker.session_ended(true);
    comes.iter().for_each(|number| checker.comes(0, *number));
    checker
}

#[test]
fn what_one_session_lost_may_come_by_another() {
    // Two of the four went to two sessions, and two past one of them, which is told to have lost them and one more.
    life(4, 6 + 2, &[0, 1, 2, 3], [3, 1]).check_end(None);
    // One that went past the only one was offered again.
    life(2, 3, &[0, 1], [1, 0]).check_end(None);
}

#[test]
#[should_panic(expected = "told to be lost came")]
fn a_sample_that_came_by_the_only_session_is_not_told_to_be_lost() {
    life(4, 4, &[0, 1, 2, 3], [1, 0]).check_end(None);
}

#[test]
#[should_panic(expected = "1 lost, and nobody is told")]
fn a_sample_that_one_of_two_sessions_lost_is_told() {
    life(2, 4, &[0, 1], [1, 0]).check_end(None);
}

#[test]
#[should_panic(expected = "more is told than was given")]
fn no_more_samples_are_unsure_than_were_given() {
    life(2, 2, &[], [1, 2]).check_end(None);
}
