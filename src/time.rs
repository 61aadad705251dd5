//! Points in time as the protocol carries them: microseconds since the Unix epoch.

use std::fmt;
use std::ops::{Add, Sub};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A point in time on one endpoint's clock, in microseconds since the Unix epoch.
///
/// The clock of a process is set once, when its first endpoint starts, and is monotonic from then on:
/// stepping the system's clock neither moves it nor fires its timers. Clocks of different machines
/// differ; each link estimates by how much.
///
/// ```
/// use bowline::Timestamp;
/// use std::time::Duration;
/// let start = Timestamp::from_micros(1_000);
/// assert_eq!((start + Duration::from_millis(2)).micros(), 3_000);
/// assert_eq!(Timestamp::from_micros(5) - start, Duration::ZERO); // saturates
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The epoch itself.
    pub const ZERO: Timestamp = Timestamp(0);

    /// The point `micros` microseconds after the Unix epoch.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the Unix epoch.
    pub const fn micros(self) -> u64 {
        self.0
    }

    /// This point moved by a signed number of microseconds; saturates at both ends.
    pub const fn shifted(self, micros: i64) -> Self {
        Self(self.0.saturating_add_signed(micros))
    }
}

/// When this process's clock was set, and to what.
pub(crate) fn origin() -> (Instant, Timestamp) {
    static ORIGIN: OnceLock<(Instant, Timestamp)> = OnceLock::new();
    *ORIGIN.get_or_init(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        (Instant::now(), Timestamp::ZERO + since)
    })
}

/// This process's clock.
#[cfg(not(all(test, shuttle)))]
pub(crate) fn now() -> Timestamp {
    let (start, epoch) = origin();
    epoch + start.elapsed()
}

#[cfg(all(test, shuttle))]
pub(crate) use crate::sync::now;

/// The system's monotonic clock, by which waits of applications end; that of a simulated world where there is one.
#[cfg(not(feature = "testing"))]
#[inline]
pub(crate) fn instant() -> Instant {
    Instant::now()
}

#[cfg(feature = "testing")]
pub(crate) use crate::sync::world::instant;

impl Add<Duration> for Timestamp {
    type Output = Timestamp;
    fn add(self, span: Duration) -> Timestamp {
        let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        Timestamp(self.0.saturating_add(micros))
    }
}

impl Sub for Timestamp {
    type Output = Duration;
    /// The span from `earlier` to `self`, zero where `earlier` is later.
    fn sub(self, earlier: Timestamp) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}s", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}
