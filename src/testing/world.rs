//! A simulated world: its time, its endpoints, and what a test does to them.

use super::core::Core;
use crate::builder::EndpointBuilder;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::faults::Faults;
use crate::sync::world;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

/// Endpoints on a simulated network, in virtual time, all on one thread.
///
/// The endpoints are real ones: the same handles, the same protocol and the same code, but for threads and
/// sockets. URLs are those of the program; `tcp`, `unix`, `memory` and schemes of its own are streams, `udp` is a
/// line of packets with all that repairs it. `tcp://0.0.0.0:7400` is found under any address with that port.
///
/// Time stands still until a test lets it pass: by [`run_for`](Self::run_for) and [`run_until`](Self::run_until), or by
/// any call of a handle that waits. `recv_timeout(1 s)` returns when the sample is there, in no time at all, or
/// once a second of the world's time has passed. One seed gives one course of events, whatever the machine does.
///
/// ```
/// use bowline::testing::World;
/// use bowline::{Endpoint, Intent, Interest, InterestSettings, Reading};
/// use std::time::Duration;
///
/// /// What is tested: a motor that follows its target, and stops when it hears nothing for 100 ms.
/// struct Motor { target: Interest<f64>, speed: f64 }
/// impl Motor {
///     fn step(&mut self) {
///         self.speed = match self.target.latest() {
///             Reading::Fresh(target) => *target,
///             _ => 0.0,
///         };
///     }
/// }
///
/// let ms = Duration::from_millis;
/// let world = World::new(1);
/// let robot = world.start(Endpoint::builder("robot").listen("tcp://0.0.0.0:7400"))?;
/// let desk = world.start(Endpoint::builder("desk").connect("tcp://10.0.0.2:7400/robot"))?;
/// let stick: Intent<f64> = desk.intent("desk.stick")?;
/// let settings = InterestSettings::new().latest().fresh_for(ms(100));
/// let mut motor = Motor { target: robot.interest_with("desk.stick", settings)?, speed: 0.0 };
/// assert!(stick.wait_interest(ms(1000)));
///
/// let mut speeds = Vec::new();
/// for turn in 0..100 {
///     // The radio is out of reach for 300 ms.
///     if turn == 30 { world.partition("desk", "robot"); }
///     if turn == 60 { world.heal(); }
///     stick.send(1.0)?;
///     world.run_for(ms(10)); // the loop's period
///     motor.step();
///     speeds.push(motor.speed);
/// }
/// assert!(speeds[1..30].iter().all(|speed| *speed == 1.0), "it follows");
/// assert!(speeds[41..60].iter().all(|speed| *speed == 0.0), "it stopped within 110 ms");
/// assert!(speeds[62..].iter().all(|speed| *speed == 1.0), "it goes on");
/// assert_eq!(world.elapsed().as_secs(), 1); // of which next to nothing was waited for
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # What is different
/// - Handles are used on the world's thread alone, and that thread has no other endpoints, and one world at a time.
/// - In a [loop](Self::every) and in a callback time stands still: a call that waits does what is to be done at this
///   very moment, in a loop, and then ends as if its time were over.
/// - Threads of an endpoint take no time. Computing costs nothing; what a test wants to be late it makes late.
/// - There are no serial ports and no groups.
pub struct World(Rc<Core>);

impl World {
    /// A world without endpoints, on this thread. All that is random in it comes of `seed`.
    ///
    /// A thread has one world at a time: where there is one already, [`start`](Self::start) of this one fails.
    pub fn new(seed: u64) -> Self {
        Self(Core::new(seed))
    }

    /// Starts an endpoint, or starts one again after [`crash`](Self::crash) or its
    /// [`close`](Endpoint::close). All endpoints of a world have paths of their own, by which it knows them.
    ///
    /// # Errors
    /// As [`EndpointBuilder::start`]; also when an endpoint of that path is there, the thread has another world, or the
    /// builder asks for groups or listens at a serial port.
    pub fn start(&self, builder: EndpointBuilder) -> Result<Endpoint, Error> {
        self.0.start(builder)
    }

    /// Calls `run` each `period` of the world's time from now on, first after one period, as a control loop of
    /// that endpoint's program: not while it is frozen, and no more once it ended, when `run` is dropped.
    ///
    /// A period of less than 1 µs is 1 µs.
    ///
    /// ```
    /// use bowline::testing::World;
    /// use bowline::{Endpoint, Intent, Interest};
    /// use std::time::Duration;
    /// let world = World::new(1);
    /// let robot = world.start(Endpoint::builder("robot").listen("tcp://0.0.0.0:7400"))?;
    /// let desk = world.start(Endpoint::builder("desk").connect("tcp://robot:7400"))?;
    /// let (count, counted): (Intent<u32>, Interest<u32>) = (robot.intent("robot.count")?, desk.interest("robot.count")?);
    /// let mut turn = 0;
    /// world.every(&robot, Duration::from_millis(10), move || {
    ///     turn += 1;
    ///     let _ = count.send(turn);
    /// });
    /// world.run_for(Duration::from_secs(1));
    /// let last = std::iter::from_fn(|| counted.try_recv().ok()).map(|sample| *sample).last();
    /// assert_eq!(last, Some(100));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn every(&self, endpoint: &Endpoint, period: Duration, run: impl FnMut() + 'static) {
        self.0.every(endpoint, period.max(Duration::from_micros(1)), Box::new(run));
    }

    /// Lets so much time pass.
    pub fn run_for(&self, span: Duration) {
        self.0.run_until(self.0.now() + span.min(world::LONGEST));
    }

    /// Lets time pass until `condition` holds, which is looked at whenever something happened, and for at most
    /// `limit`. True if it held.
    ///
    /// ```
    /// use bowline::testing::World;
    /// use bowline::{Endpoint, LinkState};
    /// use std::time::Duration;
    /// let world = World::new(1);
    /// let robot = world.start(Endpoint::builder("robot").listen("tcp://0.0.0.0:7400"))?;
    /// let desk = world.start(Endpoint::builder("desk").connect("tcp://robot:7400"))?;
    /// let is_up = || desk.links().iter().any(|link| link.state == LinkState::Up);
    /// assert!(world.run_until(Duration::from_secs(1), is_up));
    /// # Ok::<(), bowline::Error>(())
    /// ```
    pub fn run_until(&self, limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
        let until = self.0.now() + limit.min(world::LONGEST);
        loop {
            self.0.settle_now();
            if condition() {
                return true;
            }
            self.0.settle_now();
            if !self.0.step_until(Some(until)) {
                return condition();
            }
        }
    }

    /// How much of the world's time has passed.
    pub fn elapsed(&self) -> Duration {
        self.0.now() - world::BEGINNING
    }

    /// From now on this goes wrong on all lines, both ways.
    pub fn faults(&self, faults: Faults) {
        self.0.net.lock().set_all(faults);
    }

    /// From now on this goes wrong on all lines between two endpoints, by their paths, both ways.
    pub fn faults_between(&self, a: &str, b: &str, faults: Faults) {
        self.faults_from(a, b, faults);
        self.faults_from(b, a, faults);
    }

    /// The same for what `from` sends to `to` alone.
    pub fn faults_from(&self, from: &str, to: &str, faults: Faults) {
        let (from, to) = (self.0.place(from), self.0.place(to));
        self.0.net.lock().set(from, to, faults);
    }

    /// Nothing passes between two endpoints any more, and nobody is told. What is written to streams comes once it is
    /// [healed](Self::heal), if the connection still stands then; packets are lost.
    pub fn partition(&self, a: &str, b: &str) {
        self.partition_from(a, b);
        self.partition_from(b, a);
    }

    /// The same for what `from` sends to `to` alone.
    pub fn partition_from(&self, from: &str, to: &str) {
        let (from, to) = (self.0.place(from), self.0.place(to));
        self.0.net.lock().block(from, to, None);
    }

    /// Nothing passes between two endpoints any more over lines of one scheme, such as `udp`, as where one of two cables is
    /// pulled: see [`partition`](Self::partition).
    pub fn partition_lines(&self, a: &str, b: &str, scheme: &str) {
        let (a, b) = (self.0.place(a), self.0.place(b));
        let mut net = self.0.net.lock();
        net.block(a, b, Some(scheme == "udp"));
        net.block(b, a, Some(scheme == "udp"));
    }

    /// Ends all partitions and faults. What stands in line on streams comes at once.
    pub fn heal(&self) {
        self.0.net.lock().heal();
    }

    /// Ends all connections between two endpoints, and both notice at once.
    pub fn cut(&self, a: &str, b: &str) {
        let (a, b) = (self.0.place(a), self.0.place(b));
        self.0.net.lock().cut(a, b, None);
    }

    /// Ends those of one scheme, such as `udp`.
    pub fn cut_lines(&self, a: &str, b: &str, scheme: &str) {
        let (a, b) = (self.0.place(a), self.0.place(b));
        self.0.net.lock().cut(a, b, Some(scheme == "udp"));
    }

    /// Ends an endpoint as if its process were killed: it says no BYE, and the system closes its connections. Its
    /// handles are closed. It can be [started](Self::start) again.
    pub fn crash(&self, endpoint: &Endpoint) {
        self.0.crash(endpoint, false);
    }

    /// Ends an endpoint as if its machine lost power: nobody is told.
    pub fn power_off(&self, endpoint: &Endpoint) {
        self.0.crash(endpoint, true);
    }

    /// Stops an endpoint, as a debugger or a machine that swaps does: it does nothing until it is
    /// [thawed](Self::thaw), while what comes waits.
    pub fn freeze(&self, endpoint: &Endpoint) {
        self.0.freeze(endpoint, true);
    }

    /// Lets a frozen endpoint go on.
    pub fn thaw(&self, endpoint: &Endpoint) {
        self.0.freeze(endpoint, false);
    }

    /// Moves an endpoint's clock forward at once, as when a machine wakes from sleep.
    ///
    /// Only forward: an endpoint goes by a clock that never steps back. Before it is
    /// [started](Self::start_at_offset) it can be off either way.
    pub fn clock_jump(&self, endpoint: &Endpoint, span: Duration) {
        self.0.clock_jump(endpoint, span.min(world::LONGEST));
    }

    /// Starts an endpoint on a machine whose clock is off by so many microseconds, at most ten years.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_at_offset(&self, builder: EndpointBuilder, micros: i64) -> Result<Endpoint, Error> {
        let most = i64::try_from(world::LONGEST.as_micros()).unwrap_or(i64::MAX);
        self.0.start_with(builder, micros.clamp(-most, most))
    }

    /// A connection to an endpoint whose other end is the caller itself.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn stranger(&self, to: &str) -> std::sync::Arc<dyn crate::transport::Connection> {
        self.0.stranger(to)
    }

    /// A number for all that happened on all lines until now: two runs of one seed have the same.
    pub fn digest(&self) -> u64 {
        self.0.net.lock().digest
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("elapsed", &self.elapsed()).finish_non_exhaustive()
    }
}
