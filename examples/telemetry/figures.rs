//! What a station counts for each route.

use std::time::{Duration, Instant};

/// The figures of one route.
#[derive(Clone, Debug)]
pub struct Figures {
    /// The last segment of the route's path.
    pub name: &'static str,
    pub route: Option<String>,
    pub received: u64,
    pub lost: u64,
    /// The newest sample in a few words.
    pub newest: String,
    pub ages: Histogram,
    second: Second,
}

/// What came since figures were last asked for.
#[derive(Clone, Debug)]
struct Second {
    since: Instant,
    received: u64,
    ages: Histogram,
}

/// The figures of the last second or so.
#[derive(Clone, Copy, Debug)]
pub struct Recent {
    pub rate: f64,
    pub age_p50: Option<Duration>,
    pub age_p99: Option<Duration>,
}

impl Figures {
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            route: None,
            received: 0,
            lost: 0,
            newest: String::new(),
            ages: Histogram::default(),
            second: Second { since: Instant::now(), received: 0, ages: Histogram::default() },
        }
    }

    pub fn note(&mut self, age: Duration) {
        self.received += 1;
        self.ages.note(age);
        self.second.received += 1;
        self.second.ages.note(age);
    }

    /// The figures since the call before.
    pub fn take_recent(&mut self) -> Recent {
        let now = Instant::now();
        let span = (now - self.second.since).as_secs_f64().max(1e-3);
        let recent = Recent {
            rate: self.second.received as f64 / span,
            age_p50: self.second.ages.at(0.5),
            age_p99: self.second.ages.at(0.99),
        };
        self.second = Second { since: now, received: 0, ages: Histogram::default() };
        recent
    }
}

/// Spans of time, sorted into steps of a sixteenth: 8 KiB however many there are.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; 64 * STEPS], total: 0 }
    }
}

/// Steps between a power of two and the next.
const STEPS: usize = 16;

impl Histogram {
    pub fn note(&mut self, span: Duration) {
        let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        self.counts[place(micros)] += 1;
        self.total += 1;
    }

    /// The span that this share of all are at or below.
    pub fn at(&self, share: f64) -> Option<Duration> {
        let wanted = (self.total as f64 * share).ceil().max(1.0) as u64;
        let mut sum = 0;
        let place = self.counts.iter().position(|count| {
            sum += count;
            sum >= wanted
        })?;
        Some(Duration::from_micros(middle(place)))
    }
}

fn place(micros: u64) -> usize {
    if micros < STEPS as u64 {
        return micros as usize;
    }
    let power = micros.ilog2();
    let step = (micros >> (power - 4)) as usize - STEPS;
    (power as usize - 3) * STEPS + step
}

fn middle(place: usize) -> u64 {
    if place < STEPS {
        return place as u64;
    }
    let (power, step) = (place / STEPS + 3, (place % STEPS) as u64);
    let width = 1u64 << (power - 4);
    (STEPS as u64 + step) * width + width / 2
}
