//! What wrappers kept back.

/// How many samples the wrappers of one handle withheld so far, by the reason.
///
/// It is the sum over the whole stack of wrappers. Together with
/// [`InterestCounts`](crate::InterestCounts), every sample that was received is accounted for.
///
/// ```
/// use bowline::{Endpoint, Fate, Supply};
/// let robot = Endpoint::builder("robot").start()?;
/// let speed = robot.intent::<f32>("robot.speed")?.filter(|speed| *speed >= 0.0);
/// assert_eq!(speed.send(-1.0)?.worst(), Fate::Withheld);
/// assert_eq!((speed.withheld().filtered, speed.withheld().total()), (1, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Withheld {
    /// A filter did not want them.
    pub filtered: u64,
    /// They were more than a rate limit allows.
    pub over_rate: u64,
    /// A throttle held them, and a newer one took their place.
    pub replaced: u64,
    /// They were equal to the one before.
    pub repeated: u64,
}

impl Withheld {
    /// All of them.
    pub const fn total(self) -> u64 {
        self.filtered + self.over_rate + self.replaced + self.repeated
    }
}
