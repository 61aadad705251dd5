//! What became of one send.

use std::fmt;

/// What became of a sample for one interest, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Fate {
    /// In the mailbox of an interest of this endpoint.
    Delivered,
    /// Handed to the operating system, on a line that was quiet.
    Written,
    /// In the outgoing buffer of the link; its writer thread writes it.
    Queued,
    /// The link is lost, and its session waits for the next one, on which this is sent: see
    /// [`lease`](crate::EndpointBuilder::lease). Or it may not go over the link that carries the session:
    /// [`Links::Only`](crate::Links::Only).
    Waits,
    /// Accepted, and an older sample not yet sent or read was dropped for it, and counted.
    Replaced,
    /// A [throttle](crate::Supply::throttle) around the intent holds it: it is sent later, if no newer one
    /// comes before.
    Held,
    /// A [wrapper](crate::wrap) of the intent withheld it and counted it: nothing was sent to anyone.
    Withheld,
    /// There was room, but not for another lossless interest: nothing was sent to anyone.
    NotSent,
    /// Nobody is interested.
    NoInterest,
    /// The system took no more for now, and a group's line has no queue: it is lost, and counted.
    Dropped,
    /// A lossless interest is [cut off](crate::Event::InterestCutOff): the sample goes past it, and is counted.
    PassedOver,
    /// The link ended while this was sent.
    LinkDown,
    /// The outgoing buffer of a lossless interest's link is full, as
    /// [`outbox_bytes`](crate::EndpointBuilder::outbox_bytes) bounds it: nothing was sent to anyone.
    LinkFull,
    /// A lossless interest has not taken as many samples as it granted: nothing was sent to anyone.
    NoCredit,
    /// A lossless interest has not taken as many bytes as
    /// [`unacknowledged_bytes`](crate::IntentSettings::unacknowledged_bytes) allows: nothing was sent to anyone.
    TooManyBytes,
    /// Larger than the peer takes.
    TooLarge,
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fate::Delivered => "delivered",
            Fate::Written => "written",
            Fate::Queued => "queued",
            Fate::Waits => "waits for a link",
            Fate::Replaced => "replaced an older one",
            Fate::Held => "held",
            Fate::Withheld => "withheld",
            Fate::NotSent => "not sent",
            Fate::NoInterest => "no interest",
            Fate::Dropped => "dropped",
            Fate::PassedOver => "passed over",
            Fate::LinkDown => "link down",
            Fate::LinkFull => "link full",
            Fate::NoCredit => "out of credit",
            Fate::TooManyBytes => "too many bytes not taken",
            Fate::TooLarge => "too large",
        })
    }
}

/// What became of one send: how many interests took the sample, and the worst that happened.
///
/// The detail per peer is what [`Intent::outcomes`](crate::Intent::outcomes) returns.
///
/// ```
/// use bowline::{Endpoint, Fate, Intent};
/// let robot = Endpoint::builder("robot").start()?;
/// let speed: Intent<f64> = robot.intent("robot.speed")?;
/// let outcome = speed.send(1.5)?;
/// assert_eq!(outcome.taken(), 0);
/// assert_eq!(outcome.worst(), Fate::NoInterest);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Outcome {
    taken: u32,
    worst: Fate,
}

impl Outcome {
    /// Nobody is there.
    pub(crate) const NOBODY: Outcome = Outcome { taken: 0, worst: Fate::NoInterest };

    /// A wrapper of the intent holds it.
    pub(crate) const HELD: Outcome = Outcome { taken: 0, worst: Fate::Held };

    /// A wrapper of the intent withheld it.
    pub(crate) const WITHHELD: Outcome = Outcome { taken: 0, worst: Fate::Withheld };

    /// How many interests took the sample.
    pub const fn taken(self) -> u32 {
        self.taken
    }

    /// The worst that happened for any interest.
    pub const fn worst(self) -> Fate {
        self.worst
    }

    /// The outcome with one interest more, in whatever order. One that is only about to be linked is not
    /// counted.
    #[inline]
    pub(crate) fn and(self, fate: Fate) -> Outcome {
        if fate == Fate::NoInterest {
            return self;
        }
        let taken = self.taken + u32::from(fate <= Fate::Replaced);
        let first = self.worst == Fate::NoInterest;
        Outcome { taken, worst: if first { fate } else { self.worst.max(fate) } }
    }

    /// Of two sends: the fewer that took the sample, and the worse that happened.
    #[inline]
    pub(crate) fn least(self, other: Outcome) -> Outcome {
        Outcome { taken: self.taken.min(other.taken), worst: self.worst.max(other.worst) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_interests_does_not_matter() {
        let fates = [Fate::NoInterest, Fate::Delivered, Fate::LinkDown, Fate::Replaced, Fate::NoInterest];
        let expected = Outcome { taken: 2, worst: Fate::LinkDown };
        let forth = fates.iter().fold(Outcome::NOBODY, |outcome, fate| outcome.and(*fate));
        let back = fates.iter().rev().fold(Outcome::NOBODY, |outcome, fate| outcome.and(*fate));
        assert_eq!((forth, back), (expected, expected));
    }
}
