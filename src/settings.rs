//! How an intent or an interest is declared.

use crate::delivery::Delivery;
use crate::error::Error;
use crate::links::Links;
use crate::message::Message;
use crate::path::Path;
use crate::priority::Priority;
use crate::route::Route;
use crate::schema::{Schema, SchemaError};
use std::time::Duration;

/// How the messages of a route are named; the same for intents and interests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Naming {
    type_name: Option<String>,
    version: Option<u64>,
    hashed: Option<String>,
    pub(crate) expected: Option<Expected>,
}

/// What a program says of the samples of a route.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    pub(crate) hz: f64,
    /// Of one payload.
    pub(crate) bytes: usize,
}

impl Expected {
    /// What they take of a line of packets: each sample 9 bytes more, and as much for each 100 of its bytes.
    pub(crate) fn bytes_a_second(self) -> u64 {
        let bytes = self.bytes.saturating_add(9 + self.bytes / 100 * 9);
        // The cast saturates, and makes zero of what is no number.
        (self.hz * bytes as f64).ceil() as u64
    }
}

impl Naming {
    /// The route and the schema of messages `T` under `path`.
    pub(crate) fn resolve<T: Message>(&self, path: &str) -> Result<(Route, Schema), Error> {
        let path = Path::parse(path)?;
        let named = |error: SchemaError| Error::Schema {
            type_name: std::any::type_name::<T>().to_owned(),
            text: error.to_string(),
        };
        let schema = match self.version {
            Some(version) => {
                let name = match &self.type_name {
                    Some(name) => name.clone(),
                    None => short_name(std::any::type_name::<T>()),
                };
                Schema::versioned(&name, version).map_err(named)?
            }
            None => T::schema().map_err(named)?,
        };
        let route = Route::new(self.type_name.as_deref().unwrap_or(schema.name()), &path)?;
        let route = match &self.hashed {
            Some(prefix) => route.hashed(&Path::parse(prefix)?)?,
            None => route,
        };
        Ok((route, schema))
    }
}

/// The name of a Rust type without the modules it lies in.
fn short_name(full: &str) -> String {
    let plain = full.split('<').next().unwrap_or(full);
    plain.rsplit("::").next().unwrap_or(plain).to_owned()
}

macro_rules! naming_setters {
    () => {
        /// Names the type in the route, instead of what serde calls it.
        pub fn type_name(mut self, name: impl Into<String>) -> Self {
            self.naming.type_name = Some(name.into());
            self
        }

        /// States the version of the message type by hand, for types whose shape cannot be traced, and
        /// for those where a change of meaning leaves the shape as it is. Both sides must state it.
        pub fn schema_version(mut self, version: u64) -> Self {
            self.naming.version = Some(version);
            self
        }

        /// Says how many samples a second there will be at most, and of how many bytes encoded. Where the
        /// speed of a line is known, as of a serial one, and the linked routes that were declared so do not fit
        /// together, [`Event::LinkOverbooked`](crate::Event::LinkOverbooked) says so. Nothing is held back.
        ///
        /// ```
        /// let imu = bowline::IntentSettings::new().expected_rate(100.0, 32); // 4,100 bytes a second on the line
        /// ```
        pub fn expected_rate(mut self, hz: f64, bytes: usize) -> Self {
            self.naming.expected = Some(Expected { hz, bytes });
            self
        }

        /// Hides the type and all of the path but `prefix` behind a digest; see
        /// [`Route::hashed`](crate::Route::hashed). Both sides must hide it by the same prefix.
        pub fn hashed(mut self, prefix: impl Into<String>) -> Self {
            self.naming.hashed = Some(prefix.into());
            self
        }
    };
}

/// How much one lossless interest may hold an intent up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Bytes of samples that were sent and not said to be taken.
    pub(crate) bytes: u64,
    /// How long it may take nothing while the intent is turned away; the longest span there is: for ever.
    pub(crate) stall: Duration,
}

impl Bounds {
    /// Nothing is bounded, where somebody else sees to it.
    pub(crate) const NONE: Self = Self { bytes: u64::MAX, stall: Duration::MAX };
}

impl Default for Bounds {
    fn default() -> Self {
        Self { bytes: 8 << 20, stall: Duration::from_secs(10) }
    }
}

/// How an intent supplies its route.
///
/// ```
/// use bowline::{Endpoint, Intent, IntentSettings};
/// let robot = Endpoint::builder("robot").start()?;
/// let settings = IntentSettings::new().retain().exclusive();
/// let mode: Intent<String> = robot.intent_with("robot.mode", settings)?;
/// mode.send("idle".to_owned())?; // whoever asks later gets it too
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct IntentSettings {
    pub(crate) naming: Naming,
    pub(crate) retain: bool,
    pub(crate) exclusive: bool,
    pub(crate) priority: Priority,
    pub(crate) links: Links,
    pub(crate) max_wait: Duration,
    #[cfg(feature = "lz4")]
    pub(crate) compression: Compression,
    pub(crate) bounds: Bounds,
}

impl IntentSettings {
    /// The defaults: nothing is retained or claimed, the priority is normal, samples go over the best
    /// link, and `send` never waits.
    pub fn new() -> Self {
        Self::default()
    }

    naming_setters!();

    /// Keeps the last sample, and gives it to each interest that comes later. Default: not kept.
    pub fn retain(mut self) -> Self {
        self.retain = true;
        self
    }

    /// Claims the route: any other intent on it is a [`Conflict`](crate::Event::Conflict), told to
    /// both sides. Samples flow all the same. Default: not claimed.
    pub fn exclusive(mut self) -> Self {
        self.exclusive = true;
        self
    }

    /// How its samples go next to those of others on the same link. Default: [`Priority::Normal`].
    ///
    /// ```
    /// use bowline::{IntentSettings, Priority};
    /// let stop = IntentSettings::new().priority(Priority::Urgent); // ahead of all that waits
    /// let eye = IntentSettings::new().priority(Priority::Bulk); // in pieces, when there is room
    /// ```
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// Over which links to a peer its samples go, where there are several. Default: [`Links::Best`].
    ///
    /// ```
    /// use bowline::{IntentSettings, Links};
    /// let stop = IntentSettings::new().links(Links::All); // over all at once
    /// let eye = IntentSettings::new().links(Links::only("tcp")); // never over the radio
    /// ```
    pub fn links(mut self, links: Links) -> Self {
        self.links = links;
        self
    }

    /// Whether samples are compressed on their way to peers that take them so; see [`Compression`]. Default:
    /// [`Off`](Compression::Off). Only with the feature `lz4`.
    ///
    /// ```
    /// use bowline::{Compression, IntentSettings};
    /// let map = IntentSettings::new().compression(Compression::Auto);
    /// ```
    #[cfg(feature = "lz4")]
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// How long [`send`](crate::Intent::send) may wait for room. Default: zero, it never waits.
    pub fn max_wait(mut self, wait: Duration) -> Self {
        self.max_wait = wait;
        self
    }

    /// How long a lossless interest may take no sample while it has no room for the next. Then it is cut off:
    /// [`InterestCutOff`](crate::Event::InterestCutOff) tells both sides, and samples go past it to the others,
    /// as [`Fate::PassedOver`](crate::Fate::PassedOver), until it takes again.
    ///
    /// The intent chooses, as it is the one held up: while one lossless interest has no room, nothing is sent
    /// to any other either. An interest that takes slowly is never cut off, nor is one that has room. The time is
    /// looked at when a message is sent, so nothing happens to an intent that sends nothing. Nor does time count in which
    /// this program was stopped, by a debugger or SIGSTOP: what is longer than a quarter of the limit and passes between two
    /// looks counts only if the one before did as well.
    ///
    /// Default: 10 s, which outlasts a full disk being tidied up and not an operator's patience. Range: from 2 s on,
    /// as what an interest takes is told once a second; on a slow line well above its round trip.
    /// [`Duration::MAX`]: never.
    ///
    /// ```
    /// use bowline::{Endpoint, Fate, Intent, IntentSettings, Interest, InterestSettings};
    /// use std::time::Duration;
    /// let robot = Endpoint::builder("robot").start()?;
    /// let patience = IntentSettings::new().stall_limit(Duration::from_secs(2));
    /// let step: Intent<u32> = robot.intent_with("robot.step", patience)?;
    /// let stuck: Interest<u32> = robot.interest_with("robot.step", InterestSettings::new().lossless(1))?;
    /// assert!(step.wait_interest(Duration::from_secs(5)));
    /// step.send(0)?;
    /// // Nobody reads. The send waits for as long as that is to be waited for, and goes past it.
    /// let outcome = step.send_timeout(1, Duration::from_secs(60))?;
    /// assert_eq!((outcome.taken(), outcome.worst()), (0, Fate::PassedOver));
    /// // It reads, and is back.
    /// assert_eq!(*stuck.recv()?, 0);
    /// assert_eq!(step.send(2)?.taken(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn stall_limit(mut self, limit: Duration) -> Self {
        self.bounds.stall = limit;
        self
    }

    /// How many bytes may be on their way to a lossless interest of another endpoint: sent, and not said to be
    /// taken. Encoded payloads count, for each interest by itself. One sample may always be, however large. Where
    /// there are as many, nothing is sent, as when the interest has no credit:
    /// [`Fate::TooManyBytes`](crate::Fate::TooManyBytes).
    ///
    /// So the depth an interest asks for bounds samples, and this what they cost both sides. Default: 8 MiB. Range:
    /// from 1 MiB on, twice what an interest takes before it says so.
    ///
    /// ```
    /// let image = bowline::IntentSettings::new().unacknowledged_bytes(32 << 20); // some images of a camera
    /// ```
    pub fn unacknowledged_bytes(mut self, bytes: usize) -> Self {
        self.bounds.bytes = bytes as u64;
        self
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let invalid =
            |name, value, rule: &str| Err(Error::InvalidSetting { name, value, rule: rule.to_owned() });
        if self.bounds.stall < LEAST_STALL {
            let rule = "at least 2 s: an interest says once a second what it took";
            return invalid("stall_limit", format!("{:?}", self.bounds.stall), rule);
        }
        if self.bounds.bytes < LEAST_BYTES {
            let rule = "at least 1048576: an interest takes half as many before it says so";
            return invalid("unacknowledged_bytes", self.bounds.bytes.to_string(), rule);
        }
        if self.links == Links::only("") {
            return invalid("links", String::new(), "a scheme, such as `tcp`, or the beginning of a URL");
        }
        Ok(())
    }
}

/// Whether an intent compresses its samples, by LZ4.
///
/// It does so for interests of other processes that take it, over links to peers that know of it; others get the
/// same samples as they are, so both sides need not agree on anything. A sample that goes to several links is
/// compressed once, on the thread that sends. Samples of fewer than 64 bytes never are, nor those of groups.
///
/// Where eight samples in a row become less than a tenth smaller, the next 64 are sent as they are, then eight
/// are tried again; each time that does not help the pause doubles, up to 4096 samples.
///
/// Where it is on, each sample costs a byte more, compressed or not, and one copy. What it brings is counted by
/// [`Intent::compression`](crate::Intent::compression) and [`LinkStatus::compression`](crate::LinkStatus::compression).
#[cfg(feature = "lz4")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Compression {
    /// Never. The default, as samples that cannot be compressed would only be copied and tried for nothing.
    #[default]
    Off,
    /// On links where it makes samples arrive sooner: those of known speed, such as serial ports, and those that
    /// held up the writer within the last 30 s, if what compressing takes, as measured, and half of that again for
    /// unpacking, which is not measured, is less than what the line is spared. A link that keeps up with all that is sent gets samples as they are.
    Auto,
    /// Wherever it makes samples at least a tenth smaller, however fast the line is: for links that are shared, or
    /// paid for by the byte.
    Always,
}

/// What an interest asks of delivery.
///
/// ```
/// use bowline::{Endpoint, Interest, InterestSettings};
/// use std::time::Duration;
/// let desk = Endpoint::builder("desk").start()?;
/// let settings = InterestSettings::new().latest().fresh_for(Duration::from_millis(50));
/// let target: Interest<f64> = desk.interest_with("desk.target", settings)?;
/// # Ok::<(), bowline::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct InterestSettings {
    pub(crate) naming: Naming,
    pub(crate) delivery: Delivery,
    pub(crate) fresh_for: Option<Duration>,
    #[cfg(feature = "lz4")]
    pub(crate) uncompressed: bool,
}

impl InterestSettings {
    /// The defaults: a queue of 64, and a sample never grows stale.
    pub fn new() -> Self {
        Self::default()
    }

    naming_setters!();

    /// Only the newest sample matters; see [`Delivery::Latest`].
    pub fn latest(self) -> Self {
        self.delivery(Delivery::Latest)
    }

    /// Keeps the newest `depth` samples; see [`Delivery::Queue`]. Range: 1 to [`Delivery::MAX_DEPTH`].
    pub fn queue(self, depth: u32) -> Self {
        self.delivery(Delivery::Queue(depth))
    }

    /// Takes every sample; see [`Delivery::Lossless`]. `depth` is how many each intent may have on the
    /// way or unread. Range: 1 to [`Delivery::MAX_DEPTH`].
    pub fn lossless(self, depth: u32) -> Self {
        self.delivery(Delivery::Lossless(depth))
    }

    /// Sets the delivery as a value. Default: a queue of 64.
    pub fn delivery(mut self, delivery: Delivery) -> Self {
        self.delivery = delivery;
        self
    }

    /// The age from which [`latest`](crate::Interest::latest) calls a sample stale. Default: none.
    pub fn fresh_for(mut self, age: Duration) -> Self {
        self.fresh_for = Some(age);
        self
    }

    /// Takes no compressed samples, whatever intents would send: for a reader whose processor is slower than its
    /// line. Default: it takes them. Only with the feature `lz4`; without it none are taken.
    #[cfg(feature = "lz4")]
    pub fn uncompressed(mut self) -> Self {
        self.uncompressed = true;
        self
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let depth = self.delivery.depth();
        if (1..=Delivery::MAX_DEPTH).contains(&depth) {
            return Ok(());
        }
        let name = if self.delivery.is_lossless() { "lossless" } else { "queue" };
        let rule = format!("a depth is 1 to {} samples", Delivery::MAX_DEPTH);
        Err(Error::InvalidSetting { name, value: depth.to_string(), rule })
    }
}

/// What lossless interests take is told once a second; this leaves as much again for the way.
const LEAST_STALL: Duration = Duration::from_secs(2);

/// Twice what is taken before it is told.
const LEAST_BYTES: u64 = 1 << 20;
