//! The handle by which a test turns faults on and off.

use super::course::Course;
use crate::faults::Faults;
use crate::transport::Connection;
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::fmt;
use std::sync::{Arc, Weak};

/// Which way things go on a line, as seen from the end that has the fault transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Out,
    In,
}

/// Turns faults on and off, on all connections of the [`Fault`](super::Fault) transports it was given to.
///
/// It is a handle: clones turn the same. What is under way when it is turned stays as it was.
///
/// ```
/// use bowline::testing::{Fault, FaultSwitch, Faults};
/// use bowline::transport::Memory;
/// use bowline::{Endpoint, Event, Intent, Interest};
/// use std::time::Duration;
/// let switch = FaultSwitch::new(7);
/// let robot = Endpoint::builder("robot").listen("memory://switch-doc").start()?;
/// let desk = Endpoint::builder("desk")
///     .transport(Fault::new(Memory, &switch))
///     .connect("fault+memory://switch-doc/robot")
///     .start()?;
/// let (speed, wanted): (Intent<f64>, Interest<f64>) = (robot.intent("robot.speed")?, desk.interest("robot.speed")?);
/// assert!(speed.wait_interest(Duration::from_secs(5)));
///
/// switch.set(Faults::none().delay(Duration::from_millis(30)));
/// speed.send(1.5)?;
/// assert!(wanted.recv_timeout(Duration::from_millis(10)).is_err_and(|error| error.is_timeout()));
/// assert_eq!(*wanted.recv_timeout(Duration::from_secs(5))?, 1.5);
///
/// switch.cut(); // the plug is pulled, and put back
/// assert!(desk.events().iter().any(|event| matches!(event, Event::LinkDown { .. })));
/// assert!(desk.events().iter().any(|event| matches!(event, Event::LinkUp { .. })));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct FaultSwitch(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    out: Side,
    into: Side,
    /// Of all randomness to come.
    rng: fastrand::Rng,
    /// Those that were not closed.
    connections: Vec<Weak<dyn Connection>>,
    /// Counts changes.
    changes: u64,
}

#[derive(Clone, Copy, Default)]
struct Side {
    faults: Faults,
    blocked: bool,
}

impl State {
    fn side(&self, way: Way) -> &Side {
        match way {
            Way::Out => &self.out,
            Way::In => &self.into,
        }
    }
}

impl FaultSwitch {
    /// Nothing goes wrong yet. What is random comes of `seed`: the same one gives the same course to what
    /// is sent in the same order, as far as the threads of a real program send in the same order.
    pub fn new(seed: u64) -> Self {
        let state = State {
            out: Side::default(),
            into: Side::default(),
            rng: fastrand::Rng::with_seed(seed),
            connections: Vec::new(),
            changes: 0,
        };
        Self(Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() }))
    }

    /// From now on this goes wrong, both ways.
    pub fn set(&self, faults: Faults) {
        self.change(|state| (state.out.faults, state.into.faults) = (faults, faults));
    }

    /// From now on this goes wrong with what is sent here.
    pub fn set_out(&self, faults: Faults) {
        self.change(|state| state.out.faults = faults);
    }

    /// From now on this goes wrong with what the peers send.
    pub fn set_in(&self, faults: Faults) {
        self.change(|state| state.into.faults = faults);
    }

    /// Nothing passes, either way, and nobody is told: as when a switch on the way fails, or a radio is out of reach.
    ///
    /// What is sent meanwhile over a stream comes once it is [healed](Self::heal), if the link still stands;
    /// packets are lost. New connections are not made. An end of a connection that is closed meanwhile is not
    /// told over a stream; over lines of packets it is.
    pub fn partition(&self) {
        self.change(|state| (state.out.blocked, state.into.blocked) = (true, true));
    }

    /// The same for what is sent here alone.
    pub fn partition_out(&self) {
        self.change(|state| state.out.blocked = true);
    }

    /// The same for what the peers send alone.
    pub fn partition_in(&self) {
        self.change(|state| state.into.blocked = true);
    }

    /// All is well again: partitions end, and nothing goes wrong from now on.
    pub fn heal(&self) {
        self.change(|state| (state.out, state.into) = (Side::default(), Side::default()));
    }

    /// Ends all connections there are at once, and both sides notice, as when a process at the other end is
    /// killed. New ones can be made.
    pub fn cut(&self) {
        let connections = std::mem::take(&mut self.0.state.lock().connections);
        for connection in connections.iter().filter_map(Weak::upgrade) {
            connection.close();
        }
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.0.state.lock().connections.iter().filter(|known| known.strong_count() > 0).count()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.0.state.lock();
        change(&mut state);
        state.changes += 1;
        drop(state);
        self.0.changed.notify_all();
    }

    pub(super) fn add(&self, connection: &Arc<dyn Connection>) {
        let mut state = self.0.state.lock();
        state.connections.retain(|known| known.strong_count() > 0);
        state.connections.push(Arc::downgrade(connection));
    }

    pub(super) fn course(&self) -> Course {
        Course::new(self.0.state.lock().rng.u64(..))
    }

    /// What goes wrong one way, or `None` where nothing passes.
    pub(crate) fn faults(&self, way: Way) -> Option<Faults> {
        let state = self.0.state.lock();
        let side = state.side(way);
        (!side.blocked).then_some(side.faults)
    }

    /// The same, where it is not asked whether anything passes.
    pub(super) fn faults_once_healed(&self, way: Way) -> Faults {
        self.0.state.lock().side(way).faults
    }

    /// Whether it is not blocked either way.
    pub(super) fn passes(&self) -> bool {
        let state = self.0.state.lock();
        !state.out.blocked && !state.into.blocked
    }

    /// Waits until something passes that way, or for `patience`; true if it does.
    pub(super) fn wait_passes(&self, way: Way, patience: std::time::Duration) -> bool {
        let mut state: MutexGuard<'_, State> = self.0.state.lock();
        if state.side(way).blocked {
            self.0.changed.wait_for(&mut state, patience);
        }
        !state.side(way).blocked
    }
}

impl fmt::Debug for FaultSwitch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.state.lock();
        let (out, into) = (state.out, state.into);
        f.debug_struct("FaultSwitch")
            .field("out", &out.faults)
            .field("in", &into.faults)
            .field("out_blocked", &out.blocked)
            .field("in_blocked", &into.blocked)
            .finish_non_exhaustive()
    }
}
