//! What an interest asks of delivery.

use std::fmt;

/// How samples are kept for a reader that is slower than the sender.
///
/// The interest chooses; every intent can serve every choice, so no pair of settings is
/// incompatible.
///
/// ```
/// use bowline::Delivery;
/// assert_eq!(Delivery::default(), Delivery::Queue(64));
/// assert_eq!(Delivery::Lossless(16).depth(), 16);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// Only the newest sample matters: an older one not yet read is replaced, and counted.
    Latest,
    /// The newest `n` samples, in order: when full, the oldest goes, counted and seen by both sides.
    Queue(u32),
    /// Every sample: when `n` are unread, the intent is out of credit and is told so.
    ///
    /// One that takes nothing while the intent has something to send is cut off after the intent's
    /// [`stall_limit`](crate::IntentSettings::stall_limit), and comes back by taking.
    ///
    /// Over a link credit is renewed each time half of `n` were read. So to a reader that has read
    /// all, an intent can send more than half of `n` in a row, and up to `n` if it was just renewed.
    Lossless(u32),
}

impl Delivery {
    /// The largest depth a queue may have: 1,048,576 samples.
    pub const MAX_DEPTH: u32 = 1 << 20;

    /// How many unread samples are kept at most.
    pub const fn depth(self) -> u32 {
        match self {
            Delivery::Latest => 1,
            Delivery::Queue(n) | Delivery::Lossless(n) => n,
        }
    }

    /// Whether every sample must arrive.
    pub const fn is_lossless(self) -> bool {
        matches!(self, Delivery::Lossless(_))
    }
}

impl Default for Delivery {
    /// A queue of 64.
    fn default() -> Self {
        Delivery::Queue(64)
    }
}

impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Delivery::Latest => f.write_str("latest"),
            Delivery::Queue(n) => write!(f, "queue({n})"),
            Delivery::Lossless(n) => write!(f, "lossless({n})"),
        }
    }
}
