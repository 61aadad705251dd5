//! A transport on which things go wrong on purpose: any other one, and what a test does to it.

use super::{Cancel, Connection, Listener, Transport, cancelled};
use crate::faults::Faults;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) mod course;
pub(crate) mod packets;
mod stream;
pub(crate) mod switch;

pub use switch::FaultSwitch;

use stream::FaultStream;

/// A transport around another one, whose connections suffer what a test wants: `fault+tcp://…` for `tcp://…`.
///
/// An endpoint has one for each built-in transport, turned by the options of its URLs. They are for all connections by
/// that URL, both ways, and what is not one of them is the inner transport's:
///
/// | Option | |
/// | --- | --- |
/// | `delay=`, `jitter=` | milliseconds |
/// | `loss=`, `duplicate=`, `reorder=`, `corrupt=` | chances, 0 to 1 |
/// | `rate=` | bytes a second |
/// | `seed=` | of what is random; otherwise any |
///
/// ```
/// use bowline::{Endpoint, Intent, Interest};
/// use std::time::Duration;
/// let robot = Endpoint::builder("robot").listen("udp://127.0.0.1:0").start()?;
/// let url = format!("fault+{}/robot?loss=0.2&duplicate=0.2&delay=2", robot.listening()[0]);
/// let desk = Endpoint::builder("desk").connect(url).start()?;
/// let (speed, wanted): (Intent<u32>, Interest<u32>) = (
///     robot.intent("robot.speed")?,
///     desk.interest_with("robot.speed", bowline::InterestSettings::new().lossless(8))?,
/// );
/// assert!(speed.wait_interest(Duration::from_secs(5)));
/// for n in 0..20 {
///     speed.send_timeout(n, Duration::from_secs(5))?;
///     assert_eq!(*wanted.recv_timeout(Duration::from_secs(5))?, n);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// With a [`FaultSwitch`] a test turns them while connections stand. A stream gets two threads more for each
/// connection, and holds up to 1 MiB each way; a line of packets holds up to 4096 of them each way.
///
/// There is none in an endpoint built without the feature `testing`.
pub struct Fault {
    scheme: String,
    inner: Arc<dyn Transport>,
    switch: Option<FaultSwitch>,
}

impl Fault {
    /// Wraps a transport; its scheme is that of the inner one behind `fault+`. What `switch` says holds for all
    /// connections, dialled or accepted; options of URLs are refused then.
    pub fn new(transport: impl Transport, switch: &FaultSwitch) -> Self {
        Self::around(Arc::new(transport), Some(switch.clone()))
    }

    /// One turned by the options of URLs.
    pub(crate) fn by_options(inner: Arc<dyn Transport>) -> Self {
        Self::around(inner, None)
    }

    fn around(inner: Arc<dyn Transport>, switch: Option<FaultSwitch>) -> Self {
        Self { scheme: format!("fault+{}", inner.scheme()), inner, switch }
    }

    /// What the inner transport is given, and who turns the faults.
    fn take_apart(&self, target: &str) -> io::Result<(String, FaultSwitch)> {
        let (address, options) = target.split_once('?').unwrap_or((target, ""));
        let invalid = |rule: String| io::Error::new(io::ErrorKind::InvalidInput, rule);
        let (faults, seed, others) = Faults::from_options(options).map_err(invalid)?;
        let switch = match &self.switch {
            Some(_) if faults != Faults::none() || seed.is_some() => {
                let rule = "faults are turned by a `FaultSwitch` here; leave out the options that are faults";
                return Err(invalid(rule.to_owned()));
            }
            Some(switch) => switch.clone(),
            None => {
                let switch = FaultSwitch::new(seed.unwrap_or_else(|| fastrand::u64(..)));
                switch.set(faults);
                switch
            }
        };
        let target = if others.is_empty() { address.to_owned() } else { format!("{address}?{others}") };
        Ok((target, switch))
    }
}

impl std::fmt::Debug for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fault").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

impl Transport for Fault {
    fn scheme(&self) -> &str {
        &self.scheme
    }

    fn dial(&self, address: &str, timeout: Duration, cancel: &Cancel) -> io::Result<Arc<dyn Connection>> {
        let (target, switch) = self.take_apart(address)?;
        let begun = Instant::now();
        while !switch.passes() {
            let left = timeout.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "no answer within the time allowed"));
            }
            if cancel.wait(left.min(LOOK)) {
                return Err(cancelled());
            }
        }
        let left = timeout.saturating_sub(begun.elapsed()).max(LOOK);
        disturbed(self.inner.dial(&target, left, cancel)?, &switch)
    }

    fn listen(&self, address: &str) -> io::Result<Arc<dyn Listener>> {
        let (target, switch) = self.take_apart(address)?;
        Ok(Arc::new(FaultListener { inner: self.inner.listen(&target)?, switch }))
    }
}

struct FaultListener {
    inner: Arc<dyn Listener>,
    switch: FaultSwitch,
}

impl Listener for FaultListener {
    fn accept(&self) -> io::Result<Arc<dyn Connection>> {
        disturbed(self.inner.accept()?, &self.switch)
    }

    fn address(&self) -> String {
        self.inner.address()
    }

    fn close(&self) {
        self.inner.close();
    }
}

/// The connection with what goes wrong on it: with each packet where it is a line of packets, else with the stream.
fn disturbed(inner: Arc<dyn Connection>, switch: &FaultSwitch) -> io::Result<Arc<dyn Connection>> {
    let connection: Arc<dyn Connection> =
        if inner.disturb(switch) { inner } else { Arc::new(FaultStream::start(inner, switch)?) };
    switch.add(&connection);
    Ok(connection)
}

/// How often a dial that nothing passes looks whether that changed.
const LOOK: Duration = Duration::from_millis(20);
