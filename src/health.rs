//! How well a link that is up does, and what counts as not well.

use crate::error::Error;
use std::fmt;
use std::time::Duration;

/// What a link can suffer from while it is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Symptom {
    /// Nothing was heard of the peer for some time, though not yet for the 3.5 ping intervals after which the link
    /// is down.
    Silence,
    /// Round trips take long.
    RoundTrip,
    /// Round trips differ much from one to the next.
    Jitter,
    /// Pings are lost, as on UDP.
    Loss,
    /// Much has to be sent again, as on UDP and serial lines.
    Resent,
    /// What is to be sent waits long to be written.
    QueueAge,
}

/// How a link does, in figures; see [`HealthLimits`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkHealth {
    /// For how long nothing was heard of the peer.
    pub silence: Duration,
    /// The median of the last five round trips, one that is still under way counting as long as it is; `None`
    /// before the third.
    pub round_trip: Option<Duration>,
    /// The median difference between one round trip and the next, of the last eight; `None` before the fifth.
    pub jitter: Option<Duration>,
    /// How many of a thousand pings were not answered, of the last fifty.
    pub lost_per_mille: u32,
    /// How many of a thousand packets held something that was sent again, lately. Always 0 on lines that lose
    /// nothing: what TCP sends again is seen by the round trips and by the queue.
    pub resent_per_mille: u32,
    /// How long what is being written to the line has been waiting for it, since it carries the session.
    pub queue_age: Duration,
}

impl fmt::Display for LinkHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.round_trip {
            Some(round_trip) => write!(f, "round trips {}", Millis(round_trip))?,
            None => write!(f, "round trips not known yet")?,
        }
        if let Some(jitter) = self.jitter {
            write!(f, ", jitter {}", Millis(jitter))?;
        }
        let (lost, resent) = (Percent(self.lost_per_mille), Percent(self.resent_per_mille));
        write!(f, ", {lost} of pings lost, {resent} sent again, queue {}", Millis(self.queue_age))
    }
}

/// Past which figures a link that is up is [degraded](crate::LinkState::Degraded), and when it is well again.
///
/// A link is degraded as soon as one figure is past its limit, and
/// [`LinkDegraded`](crate::Event::LinkDegraded) says which. So that it does not flap, figures are medians or shares
/// of many, a lone outlier does nothing, and a degraded link is well again only once every figure was at most three
/// quarters of its limit for the [`recovery`](Self::recovery) time without a break. A link that is degraded again
/// within ten times that time has to hold out twice as long the next time, at most 16 times as long.
///
/// Nothing is done to a degraded link: samples flow on, as well as it can. On a line of known speed the three times
/// may be longer by what 1000 bytes take on it. Figures are looked at with every ping and every answer to one, so the
/// [ping interval](crate::EndpointBuilder::ping_interval) is what decides how soon a limit is found to be passed:
/// three to five pings for the times.
///
/// ```
/// use bowline::{Endpoint, HealthLimits};
/// use std::time::Duration;
/// let limits = HealthLimits::new()
///     .round_trip(Duration::from_millis(50))
///     .loss(5)
///     .recovery(Duration::from_secs(10));
/// let robot = Endpoint::builder("robot").health(limits).start()?;
/// # Ok::<(), bowline::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HealthLimits {
    pub(crate) silence: f32,
    pub(crate) round_trip: Duration,
    pub(crate) jitter: Duration,
    /// In percent.
    pub(crate) loss: u32,
    pub(crate) resent: u32,
    pub(crate) queue_age: Duration,
    pub(crate) recovery: Duration,
    /// Nothing is looked at.
    pub(crate) off: bool,
}

impl HealthLimits {
    /// The defaults, each named at its setter.
    pub fn new() -> Self {
        Self {
            silence: 2.5,
            round_trip: Duration::from_millis(500),
            jitter: Duration::from_millis(250),
            loss: 10,
            resent: 20,
            queue_age: Duration::from_millis(500),
            recovery: Duration::from_secs(5),
            off: false,
        }
    }

    /// A link that is up is never degraded. The figures are still there to be looked at.
    pub fn none() -> Self {
        Self { off: true, ..Self::new() }
    }

    /// After how many ping intervals without a byte from the peer. Default: 2.5. Range: 1.5 to 3.5, after which the
    /// link is down anyway.
    pub fn silence(mut self, ping_intervals: f32) -> Self {
        self.silence = ping_intervals;
        self
    }

    /// The longest [`round_trip`](LinkHealth::round_trip). Default: 500 ms. Range: 1 ms to 1 h.
    pub fn round_trip(mut self, most: Duration) -> Self {
        self.round_trip = most;
        self
    }

    /// The largest [`jitter`](LinkHealth::jitter). Default: 250 ms. Range: 1 ms to 1 h.
    pub fn jitter(mut self, most: Duration) -> Self {
        self.jitter = most;
        self
    }

    /// How many of a hundred pings may be [lost](LinkHealth::lost_per_mille); it takes four that were. Default: 10.
    /// Range: 0 to 100, which is never passed.
    pub fn loss(mut self, percent: u32) -> Self {
        self.loss = percent;
        self
    }

    /// How many of a hundred packets may hold something that is [sent again](LinkHealth::resent_per_mille); it takes
    /// five that do. Default: 20. Range: 0 to 100, which is never passed.
    pub fn resent(mut self, percent: u32) -> Self {
        self.resent = percent;
        self
    }

    /// How [long](LinkHealth::queue_age) what is to be sent may wait for the line. Default: 500 ms. Range: 1 ms to 1 h.
    pub fn queue_age(mut self, most: Duration) -> Self {
        self.queue_age = most;
        self
    }

    /// For how long all must be well again before a link is. Default: 5 s. Range: 1 ms to 1 h.
    pub fn recovery(mut self, hold: Duration) -> Self {
        self.recovery = hold;
        self
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let wrong =
            |name, value, rule: &str| Err(Error::InvalidSetting { name, value, rule: rule.to_owned() });
        if !(1.5..=3.5).contains(&self.silence) {
            return wrong(
                "HealthLimits::silence",
                self.silence.to_string(),
                "it is 1.5 to 3.5 ping intervals",
            );
        }
        let spans = [
            ("HealthLimits::round_trip", self.round_trip),
            ("HealthLimits::jitter", self.jitter),
            ("HealthLimits::queue_age", self.queue_age),
            ("HealthLimits::recovery", self.recovery),
        ];
        for (name, span) in spans {
            if !(Duration::from_millis(1)..=Duration::from_secs(3600)).contains(&span) {
                return wrong(name, format!("{span:?}"), "it is 1 ms to 1 h");
            }
        }
        for (name, percent) in [("HealthLimits::loss", self.loss), ("HealthLimits::resent", self.resent)] {
            if percent > 100 {
                return wrong(name, percent.to_string(), "it is 0 to 100 percent");
            }
        }
        Ok(())
    }
}

impl Default for HealthLimits {
    fn default() -> Self {
        Self::new()
    }
}

/// A time in milliseconds, as precise as one may want to read it.
pub(crate) struct Millis(pub(crate) Duration);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_secs_f64() * 1e3;
        if millis < 10.0 { write!(f, "{millis:.1} ms") } else { write!(f, "{millis:.0} ms") }
    }
}

/// A share of a thousand, as percent.
pub(crate) struct Percent(pub(crate) u32);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", f64::from(self.0) / 10.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_out_of_range_is_refused_by_name() {
        let span = Duration::from_millis(1);
        for (limits, named) in [
            (HealthLimits::new().silence(1.4), "HealthLimits::silence"),
            (HealthLimits::new().silence(f32::NAN), "HealthLimits::silence"),
            (HealthLimits::new().round_trip(Duration::ZERO), "HealthLimits::round_trip"),
            (HealthLimits::new().jitter(span / 2), "HealthLimits::jitter"),
            (HealthLimits::new().loss(101), "HealthLimits::loss"),
            (HealthLimits::new().resent(101), "HealthLimits::resent"),
            (HealthLimits::new().queue_age(Duration::from_secs(3601)), "HealthLimits::queue_age"),
            (HealthLimits::new().recovery(Duration::ZERO), "HealthLimits::recovery"),
        ] {
            let error = limits.check().unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
        assert!(HealthLimits::none().check().is_ok());
        assert!(HealthLimits::default().round_trip(span).loss(0).silence(3.5).check().is_ok());
    }

    #[test]
    fn figures_can_be_read() {
        let health = LinkHealth {
            round_trip: Some(Duration::from_micros(412)),
            jitter: Some(Duration::from_millis(12)),
            lost_per_mille: 125,
            ..LinkHealth::default()
        };
        let text = "round trips 0.4 ms, jitter 12 ms, 12.5 % of pings lost, 0 % sent again, queue 0.0 ms";
        assert_eq!(health.to_string(), text);
    }
}
