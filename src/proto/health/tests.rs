use super::*;

const INTERVAL: Duration = Duration::from_millis(100);

/// A link in virtual time: each step is a ping, its answer, and a look.
struct Patient {
    health: Health,
    now: Timestamp,
    packets: u64,
    resent: u64,
    changes: Vec<Change>,
}

impl Patient {
    fn new(limits: HealthLimits) -> Self {
        let now = Timestamp::from_micros(1_000_000_000);
        let mut health = Health::new(limits);
        health.came_up(now, INTERVAL, Duration::ZERO);
        Self { health, now, packets: 0, resent: 0, changes: Vec::new() }
    }

    fn judge(&mut self) {
        self.changes.extend(self.health.judge(self.now));
    }

    /// A ping that is answered after `round_trip`, or never; what else is seen by then.
    fn step(&mut self, round_trip: Option<Duration>, queue_age: Duration) {
        let ping = self.now;
        self.health.ping_sent(ping);
        self.judge();
        if let Some(round_trip) = round_trip {
            self.health.answered(ping + round_trip, ping, round_trip);
        }
        self.now = self.now + INTERVAL;
        self.packets += 10;
        let heard = if round_trip.is_some() { self.now } else { Timestamp::ZERO };
        self.health.seen(Seen { heard, queue_age, packets: self.packets, resent: self.resent });
        self.judge();
    }

    fn steps(&mut self, count: usize, round_trip: Duration) {
        for _ in 0..count {
            self.step(Some(round_trip), Duration::ZERO);
        }
    }

    /// The changes since this was last asked, and nothing that does not alternate.
    fn degraded(&mut self) -> (Vec<Symptom>, String) {
        match &self.changes[..] {
            [Change::Degraded { symptoms, text, .. }] => {
                let found = (symptoms.clone(), text.clone());
                assert_eq!(self.health.symptoms(), found.0);
                assert!(self.health.rank(self.now).degraded);
                self.changes.clear();
                found
            }
            other => panic!("{other:?}"),
        }
    }

    fn recovered(&mut self) -> Duration {
        match &self.changes[..] {
            [Change::Recovered { after, .. }] => {
                let after = *after;
                assert!(self.health.symptoms().is_empty() && !self.health.is_degraded());
                self.changes.clear();
                after
            }
            other => panic!("{other:?}"),
        }
    }
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn limits() -> HealthLimits {
    HealthLimits::new().round_trip(millis(50)).jitter(millis(20)).recovery(millis(1000))
}

#[test]
fn long_round_trips_degrade_a_link_and_it_recovers_after_the_hold() {
    let mut patient = Patient::new(limits());
    patient.steps(20, millis(2));
    assert_eq!(patient.changes, []);
    assert!(patient.health.rank(patient.now).strain < 500);
    patient.steps(2, millis(80));
    assert_eq!(patient.changes, [], "two outliers of five say nothing");
    patient.steps(1, millis(80));
    let (symptoms, text) = patient.degraded();
    assert_eq!((symptoms, &text[..]), (vec![Symptom::RoundTrip], "round trips of 80 ms (limit 50 ms)"));
    // Below the limit, but not enough to be called well.
    patient.steps(50, millis(45));
    assert_eq!(patient.changes, []);
    patient.steps(12, millis(3));
    assert_eq!(patient.changes, [], "it must hold");
    patient.steps(3, millis(3));
    let after = patient.recovered();
    assert!(after > millis(5500) && after < millis(6700), "{after:?}");
}

#[test]
fn a_figure_that_swings_about_its_limit_does_not_flap() {
    let mut patient = Patient::new(limits());
    for round in 0..300 {
        patient.steps(1, millis(if round % 7 < 4 { 52 } else { 47 }));
    }
    assert_eq!(patient.degraded().0, [Symptom::RoundTrip]);
    patient.steps(20, millis(1));
    patient.recovered();
}

#[test]
fn a_lone_outlier_says_nothing() {
    let mut patient = Patient::new(limits());
    for _ in 0..40 {
        patient.steps(9, millis(2));
        patient.steps(1, millis(90));
    }
    assert_eq!(patient.changes, []);
}

#[test]
fn jitter_is_what_one_round_trip_differs_from_the_next_by() {
    let mut patient = Patient::new(limits());
    for round in 0..20 {
        patient.steps(1, millis(if round % 2 == 0 { 5 } else { 45 }));
    }
    let (symptoms, text) = patient.degraded();
    assert_eq!((symptoms, &text[..]), (vec![Symptom::Jitter], "jitter of 40 ms (limit 20 ms)"));
}

#[test]
fn lost_pings_are_counted_once_a_later_one_was_answered() {
    let mut patient = Patient::new(limits());
    for round in 0..100 {
        let round_trip = (round % 4 != 0).then_some(millis(2));
        patient.step(round_trip, Duration::ZERO);
    }
    let (symptoms, text) = patient.degraded();
    assert_eq!(symptoms, [Symptom::Loss]);
    assert!(text.contains("% of pings lost (limit 10 %)"), "{text}");
    // A line that loses three of a hundred is well.
    let mut patient = Patient::new(limits());
    for round in 0..500 {
        patient.step((round % 33 != 0).then_some(millis(2)), Duration::ZERO);
    }
    assert_eq!(patient.changes, []);
}

#[test]
fn pings_that_stay_unanswered_count_as_long_as_they_are_under_way() {
    let mut patient = Patient::new(limits().silence(3.5));
    patient.steps(5, millis(2));
    for _ in 0..4 {
        patient.health.ping_sent(patient.now);
        patient.now = patient.now + INTERVAL;
        // Samples come all the same.
        patient.health.seen(Seen { heard: patient.now, ..Seen::default() });
        patient.judge();
    }
    assert_eq!(patient.degraded().0, [Symptom::RoundTrip]);
}

#[test]
fn silence_degrades_before_the_link_is_down() {
    let mut patient = Patient::new(limits());
    patient.steps(5, millis(2));
    let heard = patient.now;
    patient.now = heard + patient.health.patience();
    patient.health.silent(heard);
    patient.judge();
    assert_eq!(patient.changes, [], "the limit itself is not past it");
    patient.now = patient.now + Duration::from_micros(1);
    patient.judge();
    let (symptoms, text) = patient.degraded();
    assert_eq!((symptoms, &text[..]), (vec![Symptom::Silence], "nothing heard for 250 ms (limit 250 ms)"));
    patient.steps(13, millis(2));
    patient.recovered();
}

#[test]
fn what_waits_for_the_line_and_what_is_sent_again_degrade_it() {
    let mut patient = Patient::new(limits().queue_age(millis(100)));
    patient.steps(5, millis(2));
    patient.step(Some(millis(2)), millis(101));
    assert_eq!(patient.degraded().0, [Symptom::QueueAge]);
    patient.steps(13, millis(2));
    patient.recovered();
    for _ in 0..8 {
        patient.resent += 3;
        patient.steps(1, millis(2));
    }
    let (symptoms, text) = patient.degraded();
    assert_eq!(symptoms, [Symptom::Resent]);
    assert!(text.contains("% of packets sent again (limit 20 %)"), "{text}");
}

#[test]
fn a_link_that_relapses_has_to_hold_out_longer_each_time() {
    let mut patient = Patient::new(limits());
    let mut holds = Vec::new();
    for _ in 0..7 {
        patient.steps(5, millis(90));
        patient.degraded();
        let mut steps = 0u64;
        while patient.changes.is_empty() {
            patient.steps(1, millis(2));
            steps += 1;
        }
        holds.push(steps);
        patient.recovered();
    }
    for (hold, seconds) in holds.iter().zip([1, 2, 4, 8, 16, 16, 16]) {
        assert!((seconds * 10..=seconds * 10 + 6).contains(hold), "{holds:?}");
    }
    // After a long time all is forgiven.
    patient.steps(1700, millis(2));
    patient.steps(5, millis(90));
    patient.degraded();
    patient.steps(16, millis(2));
    patient.recovered();
}

#[test]
fn several_symptoms_are_told_at_once_and_a_worse_link_ranks_behind_a_better_one() {
    let mut patient = Patient::new(limits().queue_age(millis(100)));
    patient.steps(2, millis(80));
    patient.step(Some(millis(80)), millis(400));
    let (symptoms, text) = patient.degraded();
    assert_eq!(symptoms, [Symptom::RoundTrip, Symptom::QueueAge]);
    assert!(text.contains("; "), "{text}");
    let mut other = Patient::new(limits());
    other.steps(20, millis(2));
    let (bad, good) = (patient.health.rank(patient.now), other.health.rank(other.now));
    assert!(good < bad && bad.strain == 4000, "{good:?} {bad:?}");
}

#[test]
fn without_limits_a_link_is_never_degraded_and_its_figures_are_known() {
    let mut patient = Patient::new(HealthLimits::none());
    for _ in 0..50 {
        patient.step(Some(millis(3000)), millis(3000));
    }
    assert_eq!(patient.changes, []);
    assert_eq!(patient.health.figures(patient.now).round_trip, Some(millis(3000)));
}

#[test]
fn a_slow_line_may_take_longer_and_a_new_connection_begins_well() {
    let mut patient = Patient::new(limits());
    patient.health.came_up(patient.now, INTERVAL, millis(500));
    patient.steps(20, millis(90));
    assert_eq!(patient.changes, []);
    patient.health.came_up(patient.now, INTERVAL, Duration::ZERO);
    patient.steps(5, millis(90));
    patient.degraded();
    patient.health.came_up(patient.now, INTERVAL, Duration::ZERO);
    assert!(!patient.health.is_degraded());
    assert_eq!(patient.health.figures(patient.now).round_trip, None);
}
