//! What is to go wrong on a line.

use std::time::Duration;

/// What goes wrong on a line, each way: nothing by default.
///
/// Chances are parts of one: 0.05 is one in twenty. What they do depends on what the line carries:
///
/// | | Lines of packets: `udp`, `serial` | Streams: `tcp`, `unix`, `memory` |
/// | --- | --- | --- |
/// | [`delay`](Self::delay), [`jitter`](Self::jitter) | of each packet; they keep their order | of each piece written; they keep their order |
/// | [`rate`](Self::rate) | packets stand in line; past a second of it they are lost | pieces stand in line, and the writer waits |
/// | [`loss`](Self::loss) | the packet is gone | the piece is late by 200 ms, 400 ms and so on, as TCP repeats it |
/// | [`duplicate`](Self::duplicate) | it comes twice | nothing: a stream knows what it has |
/// | [`reorder`](Self::reorder) | it is overtaken by what is sent up to 20 ms later | nothing |
/// | [`corrupt`](Self::corrupt) | its checksum tells, and it is gone | one bit is flipped, which no checksum tells |
///
/// ```
/// use bowline::testing::Faults;
/// use std::time::Duration;
/// let radio = Faults::none().delay(Duration::from_millis(30)).jitter(Duration::from_millis(20)).loss(0.1);
/// assert!(radio != Faults::default());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Faults {
    pub(crate) delay: Duration,
    pub(crate) jitter: Duration,
    pub(crate) loss: f64,
    pub(crate) duplicate: f64,
    pub(crate) reorder: f64,
    pub(crate) corrupt: f64,
    pub(crate) rate: Option<u64>,
}

impl Faults {
    /// Nothing goes wrong.
    pub const fn none() -> Self {
        Self {
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            loss: 0.0,
            duplicate: 0.0,
            reorder: 0.0,
            corrupt: 0.0,
            rate: None,
        }
    }

    /// How long everything takes one way. Default: no time. More than an hour is an hour.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay.min(LONGEST);
        self
    }

    /// Up to how much longer it takes, at random. Default: no longer. More than an hour is an hour.
    pub fn jitter(mut self, jitter: Duration) -> Self {
        self.jitter = jitter.min(LONGEST);
        self
    }

    /// The chance to be lost. Default: 0. Taken into 0 to 1.
    pub fn loss(mut self, chance: f64) -> Self {
        self.loss = part(chance);
        self
    }

    /// The chance of a packet to come twice. Default: 0. Taken into 0 to 1.
    pub fn duplicate(mut self, chance: f64) -> Self {
        self.duplicate = part(chance);
        self
    }

    /// The chance of a packet to be overtaken. Default: 0. Taken into 0 to 1.
    pub fn reorder(mut self, chance: f64) -> Self {
        self.reorder = part(chance);
        self
    }

    /// The chance to be damaged. Default: 0. Taken into 0 to 1.
    pub fn corrupt(mut self, chance: f64) -> Self {
        self.corrupt = part(chance);
        self
    }

    /// How many bytes a second the line carries. Default: any number. Less than 1 is 1.
    pub fn rate(mut self, bytes_a_second: u64) -> Self {
        self.rate = Some(bytes_a_second.max(1));
        self
    }

    /// Reads what the options of a URL ask for, and returns those that are none of these.
    ///
    /// The error is the rule that is broken and the way out.
    pub(crate) fn from_options(options: &str) -> Result<(Self, Option<u64>, String), String> {
        let (mut faults, mut seed, mut others) = (Self::none(), None, String::new());
        for option in options.split('&').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            let number = || {
                let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
                let number = value.parse::<u64>().ok().filter(|_| digits);
                number.ok_or_else(|| format!("the option `{name}` is a whole number, not `{value}`"))
            };
            let chance = || {
                let chance = value.parse::<f64>().ok().filter(|chance| (0.0..=1.0).contains(chance));
                chance.ok_or_else(|| format!("the option `{name}` is a part of one, as 0.05, not `{value}`"))
            };
            faults = match name {
                "delay" => faults.delay(Duration::from_millis(number()?)),
                "jitter" => faults.jitter(Duration::from_millis(number()?)),
                "loss" => faults.loss(chance()?),
                "duplicate" => faults.duplicate(chance()?),
                "reorder" => faults.reorder(chance()?),
                "corrupt" => faults.corrupt(chance()?),
                "rate" => faults.rate(number()?),
                "seed" => {
                    seed = Some(number()?);
                    faults
                }
                _ => {
                    if !others.is_empty() {
                        others.push('&');
                    }
                    others.push_str(option);
                    faults
                }
            };
        }
        Ok((faults, seed, others))
    }
}

/// Into 0 to 1; what is no number is 0.
fn part(chance: f64) -> f64 {
    if chance.is_nan() { 0.0 } else { chance.clamp(0.0, 1.0) }
}

const LONGEST: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chances_and_spans_are_taken_into_their_ranges() {
        let faults = Faults::none().loss(7.0).corrupt(-1.0).duplicate(f64::NAN).delay(Duration::MAX).rate(0);
        assert_eq!((faults.loss, faults.corrupt, faults.duplicate), (1.0, 0.0, 0.0));
        assert_eq!((faults.delay, faults.rate), (LONGEST, Some(1)));
        assert_eq!(Faults::none(), Faults::default());
    }

    #[test]
    fn options_are_read_and_others_handed_on() {
        let read = Faults::from_options("mtu=900&delay=30&loss=0.1&seed=7&rate=1000&x");
        let wanted = Faults::none().delay(Duration::from_millis(30)).loss(0.1).rate(1000);
        assert_eq!(read, Ok((wanted, Some(7), "mtu=900&x".to_owned())));
        for (text, word) in [("loss=2", "part of one"), ("delay=1s", "whole number"), ("rate=", "whole")] {
            assert!(Faults::from_options(text).is_err_and(|rule| rule.contains(word)), "{text}");
        }
    }
}
