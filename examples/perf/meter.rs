//! Counting what arrives in a window of time, and what round trips took.

use crate::options::Options;
use serde_json::{Value, json};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Counts messages by the counter they carry, in a window that opens at a given time.
pub struct Meter {
    opens: Option<Instant>,
    window: Duration,
    opened: Option<Instant>,
    closed: Option<Instant>,
    patience: Instant,
    expected: Option<u64>,
    recv: u64,
    lost: u64,
    reordered: u64,
    size: usize,
}

impl Meter {
    /// The window opens at `--start-ms`, or with the first message.
    pub fn new(options: &Options) -> Self {
        let now = Instant::now();
        let opens = options.start_ms.map(|at| {
            let wait = Duration::from_millis(at).saturating_sub(unix_now());
            now + wait
        });
        Self {
            opens,
            window: Duration::from_secs_f64(options.secs),
            opened: None,
            closed: None,
            patience: now + Options::LINK,
            expected: None,
            recv: 0,
            lost: 0,
            reordered: 0,
            size: options.size,
        }
    }

    /// Looks at the clock. Returns false once the window has closed.
    pub fn goes_on(&mut self) -> bool {
        let now = Instant::now();
        match (self.opened, self.opens) {
            (Some(opened), _) if now >= opened + self.window => {
                self.closed = Some(now);
                return false;
            }
            (None, Some(opens)) if now >= opens => self.open(now),
            (None, None) if self.expected.is_some() => self.open(now),
            (None, None) if now >= self.patience => return false,
            _ => {}
        }
        true
    }

    fn open(&mut self, now: Instant) {
        self.opened = Some(now);
        (self.recv, self.lost, self.reordered) = (0, 0, 0);
    }

    /// Counts the message with this counter.
    #[inline]
    pub fn count(&mut self, counter: u64) {
        self.recv += 1;
        if self.expected == Some(counter) {
            self.expected = Some(counter.wrapping_add(1));
        } else {
            self.out_of_line(counter);
        }
    }

    #[cold]
    fn out_of_line(&mut self, counter: u64) {
        match self.expected {
            Some(expected) if counter > expected => self.lost += counter - expected,
            Some(expected) if counter < expected => {
                self.reordered += 1;
                return;
            }
            _ => {}
        }
        self.expected = Some(counter.wrapping_add(1));
    }

    /// How many messages may be counted between two looks at the clock.
    pub fn stride(&self) -> u32 {
        if self.size > 1024 { 1 } else { 64 }
    }

    /// The line of JSON, or that nothing came.
    pub fn report(&self, options: &Options) -> Result<Value, String> {
        let wall = match (self.opened, self.closed) {
            (Some(opened), Some(closed)) => (closed - opened).as_secs_f64(),
            _ => return Err(format!("no message came from {} within 10 s", options.addr)),
        };
        if self.recv == 0 {
            return Err(format!("no message came from {} in the window of {wall:.3} s", options.addr));
        }
        let rate = self.recv as f64 / wall;
        Ok(json!({
            "mode": options.mode.name(),
            "size": self.size,
            "recv": self.recv,
            "lost": self.lost,
            "reordered": self.reordered,
            "wall_s": wall,
            "msg_s": rate,
            "mb_s": rate * self.size as f64 / 1e6,
        }))
    }
}

/// Collects round trips: a warm-up, then a number of them or a span of time.
pub struct RoundTrips {
    warmup: u64,
    wanted: u64,
    until: Option<Duration>,
    begun: Option<Instant>,
    nanos: Vec<u64>,
}

impl RoundTrips {
    /// The most that are kept: 8 bytes each.
    const MOST: u64 = 4_000_000;

    pub fn new(options: &Options) -> Self {
        let until = options.iters.is_none().then(|| Duration::from_secs_f64(options.secs));
        let wanted = options.iters.unwrap_or(Self::MOST).clamp(1, Self::MOST);
        let room = if until.is_some() { 1 << 20 } else { wanted };
        Self {
            warmup: options.warmup,
            wanted,
            until,
            begun: None,
            nanos: Vec::with_capacity(usize::try_from(room).unwrap_or(0)),
        }
    }

    /// Notes one round trip. Returns false once there are enough.
    pub fn note(&mut self, sent: Instant, received: Instant) -> bool {
        if self.warmup > 0 {
            self.warmup -= 1;
            return true;
        }
        let begun = *self.begun.get_or_insert(sent);
        self.nanos.push(u64::try_from((received - sent).as_nanos()).unwrap_or(u64::MAX));
        let in_time = self.until.is_none_or(|span| received - begun < span);
        in_time && (self.nanos.len() as u64) < self.wanted
    }

    /// The line of JSON.
    pub fn report(mut self, options: &Options) -> Result<Value, String> {
        if self.nanos.is_empty() {
            return Err("no round trip was measured".into());
        }
        self.nanos.sort_unstable();
        let n = self.nanos.len();
        let micros = |nanos: u64| nanos as f64 / 1e3;
        let at = |share: f64| micros(self.nanos[((n as f64 * share) as usize).min(n - 1)]);
        let sum: u64 = self.nanos.iter().sum();
        Ok(json!({
            "mode": options.mode.name(),
            "size": options.size,
            "n": n,
            "p50_us": at(0.5),
            "p99_us": at(0.99),
            "p999_us": at(0.999),
            "min_us": micros(self.nanos[0]),
            "max_us": micros(self.nanos[n - 1]),
            "mean_us": micros(sum) / n as f64,
        }))
    }
}

/// The time since the Unix epoch.
pub fn unix_now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Writes the counter where a payload carries it.
#[inline]
pub fn stamp(payload: &mut [u8], counter: u64) {
    if let Some(place) = payload.first_chunk_mut::<8>() {
        *place = counter.to_le_bytes();
    }
}

/// Reads the counter of a payload.
#[inline]
pub fn counter(payload: &[u8]) -> u64 {
    payload.first_chunk::<8>().map_or(u64::MAX, |bytes| u64::from_le_bytes(*bytes))
}
