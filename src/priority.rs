//! Which samples go first on a link.

use std::fmt;

/// How urgent the samples of an intent are, next to those of others on the same link.
///
/// A link writes what is urgent first, and a sample larger than a
/// [fragment](crate::EndpointBuilder::fragment_bytes) in pieces, between which others go: a stop command is behind
/// the piece that is being written, not behind the image. Samples of one intent never overtake each other. What is
/// not urgent never starves: of each write at least one piece is of those that wait in turn, which share it by
/// weight, 8 to 4 to 1.
///
/// It holds on every link on the way, relays included, and has no effect within a process, where nothing waits.
///
/// ```
/// use bowline::{Bytes, Endpoint, Intent, IntentSettings, Priority};
/// let robot = Endpoint::builder("robot").start()?;
/// let stop: Intent<bool> = robot.intent_with("robot.stop", IntentSettings::new().priority(Priority::Urgent))?;
/// let eye: Intent<Bytes> = robot.intent_with("robot.eye", IntentSettings::new().priority(Priority::Bulk))?;
/// # Ok::<(), bowline::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Ahead of all that waits: stop commands, set points. For small samples, few enough not to fill the line.
    Urgent,
    /// In the order they were sent. The default.
    #[default]
    Normal,
    /// When there is room: images, maps, logs.
    Bulk,
}

impl Priority {
    /// Its place in tables by priority.
    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Priority::Urgent => "urgent",
            Priority::Normal => "normal",
            Priority::Bulk => "bulk",
        })
    }
}
