//! Serial ports.
//!
//! | File | What |
//! | --- | --- |
//! | `settings` | how a port is set, out of its URL |
//! | `wire` | an open port: packets in and out, and the doctor that watches |
//! | `lease` | a port in the use of one connection at a time |
//! | `opening` | how a link is opened |

use super::{Cancel, Connection, Listener, Transport, cancelled, deadline_after};
use crate::diagnosis::Finding;
use lease::{Lease, Ports};
use opening::Waiting;
use parking_lot::Mutex;
use settings::Settings;
use std::collections::HashSet;
use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::{Duration, Instant};

mod lease;
mod opening;
mod settings;
mod wire;

/// Links over serial ports, `serial:///dev/ttyUSB0/robot.mcu?baud=115200`, between two programs or with a board.
///
/// One end listens, mostly the board, and the other connects. The port is named by its device file, or by
/// its adapter, which keeps its name whatever else is plugged in: `serial:by-id/usb-FTDI_…-if00/robot.mcu` is
/// the one listed under that name in /dev/serial/by-id. Options are those of [`PeerUrl`](crate::PeerUrl).
///
/// - What goes over it is cut into packets with a checksum. A damaged one costs the sample in it, which is
///   counted; control and lossless routes are repaired. Text that a boot loader prints is passed over and
///   [counted](crate::LineCounts).
/// - A port is opened for one program alone. It stays open while the endpoint lives, from one link to the next,
///   since opening it resets many a board.
/// - A port that is not there is waited for, ten looks a second; one that is unplugged and comes back, the same
///   adapter under another number too, is opened again within a fraction of a second.
/// - Nothing is queued in the system: packets are given to the port at the pace of the line.
/// - What is wrong with a line is said in [`Event::LinkDiagnosed`](crate::Event::LinkDiagnosed), in
///   [`LinkStatus::diagnosis`](crate::LinkStatus::diagnosis), in the text of a dial that fails and, while a
///   listener waits, in [`Event::ListenerFault`](crate::Event::ListenerFault).
///
/// ```
/// use bowline::transport::{Cancel, Serial, Transport};
/// use std::time::Duration;
/// let serial = Serial::default();
/// let error = serial.dial("/dev/no-such-port?baud=9600", Duration::ZERO, &Cancel::default()).err().unwrap();
/// assert!(error.to_string().contains("there is no port /dev/no-such-port"));
/// ```
#[derive(Default)]
pub struct Serial {
    ports: Arc<Ports>,
    /// Ports that could not be opened, and were said to be so.
    absent: Mutex<HashSet<String>>,
}

impl Transport for Serial {
    fn scheme(&self) -> &str {
        "serial"
    }

    fn dial(&self, address: &str, timeout: Duration, cancel: &Cancel) -> io::Result<Arc<dyn Connection>> {
        let settings = Settings::parse(address)?;
        let lease = self.wait_for(&settings, deadline_after(timeout), cancel)?;
        // From here on: the port may have come at the last moment.
        opening::dial(lease, deadline_after(timeout), cancel)
    }

    fn listen(&self, address: &str) -> io::Result<Arc<dyn Listener>> {
        let settings = Settings::parse(address)?;
        // A port that is not there yet is no error; one that somebody else has is.
        let lease = match self.ports.lease(&settings) {
            Ok(lease) => Some(lease),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let waits =
            lease.map(|(lease, fresh)| Held { waiting: Waiting::new(&lease, fresh), lease: Some(lease) });
        Ok(Arc::new(SerialListener {
            ports: Arc::clone(&self.ports),
            settings,
            closed: Cancel::default(),
            state: Mutex::new(Some(Accepting { held: waits, absent: false, found: None })),
        }))
    }
}

impl Serial {
    /// The port, as soon as it can be had. The first time that it cannot is an error at once, so that it is said;
    /// after that it is waited for.
    fn wait_for(&self, settings: &Settings, deadline: Instant, cancel: &Cancel) -> io::Result<Lease> {
        loop {
            let error = match self.ports.lease(settings) {
                Ok((lease, _)) => {
                    self.absent.lock().remove(&settings.path);
                    return Ok(lease);
                }
                Err(error) => error,
            };
            let first = self.absent.lock().insert(settings.path.clone());
            let left = deadline.saturating_duration_since(Instant::now());
            if first || left.is_zero() {
                return Err(error);
            }
            if cancel.wait(pause_after(&error).min(left)) {
                return Err(cancelled());
            }
        }
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serial").finish_non_exhaustive()
    }
}

struct SerialListener {
    ports: Arc<Ports>,
    settings: Settings,
    closed: Cancel,
    /// Taken out by the thread that accepts.
    state: Mutex<Option<Accepting>>,
}

/// How far the accepting thread is.
struct Accepting {
    held: Option<Held>,
    /// It was said that the port cannot be had.
    absent: bool,
    /// What was said to be wrong with the line.
    found: Option<Finding>,
}

/// A port on which nobody opened a link yet.
struct Held {
    lease: Option<Lease>,
    waiting: Waiting,
}

impl Listener for SerialListener {
    fn accept(&self) -> io::Result<Arc<dyn Connection>> {
        let taken = self.state.lock().take();
        let Some(mut state) = taken else {
            return Err(io::Error::new(ErrorKind::ResourceBusy, "another thread accepts here"));
        };
        let accepted = self.accept_with(&mut state);
        *self.state.lock() = Some(state);
        accepted
    }

    fn address(&self) -> String {
        self.settings.name.clone()
    }

    fn close(&self) {
        self.closed.cancel();
    }
}

impl SerialListener {
    fn accept_with(&self, state: &mut Accepting) -> io::Result<Arc<dyn Connection>> {
        loop {
            if self.closed.is_cancelled() {
                return Err(cancelled());
            }
            let Some(mut held) = state.held.take() else {
                state.held = self.hold(state)?;
                continue;
            };
            // That the port is gone need not be said twice.
            let lost = |_: &io::Error| state.absent = true;
            let accepted = held.waiting.accept(&mut held.lease, &self.closed).inspect_err(lost)?;
            if let Some(connection) = accepted {
                state.found = None;
                return Ok(connection);
            }
            let found = held.lease.as_ref().and_then(|lease| lease.wire.diagnose());
            state.held = Some(held);
            let finding = found.as_ref().map(|found| found.finding());
            if std::mem::replace(&mut state.found, finding) != finding {
                if let Some(found) = found {
                    return Err(io::Error::new(ErrorKind::InvalidData, found));
                }
            }
        }
    }

    /// Takes the port; none if it is to be tried again.
    fn hold(&self, state: &mut Accepting) -> io::Result<Option<Held>> {
        match self.ports.lease(&self.settings) {
            Ok((lease, fresh)) => {
                state.absent = false;
                let waiting = Waiting::new(&lease, fresh);
                Ok(Some(Held { waiting, lease: Some(lease) }))
            }
            Err(error) => {
                // As long as a link stands the port is its.
                let own = error.kind() == ErrorKind::ResourceBusy && self.ports.has(&self.settings);
                if !own && !std::mem::replace(&mut state.absent, true) {
                    return Err(error);
                }
                let pause = if own { LOOK_FOR_END } else { pause_after(&error) };
                if self.closed.wait(pause) { Err(cancelled()) } else { Ok(None) }
            }
        }
    }
}

/// How soon it is tried again to open a port.
fn pause_after(error: &io::Error) -> Duration {
    if error.kind() == ErrorKind::NotFound { LOOK_FOR_PORT } else { LOOK_AGAIN }
}

/// How often it is looked whether a port is there.
const LOOK_FOR_PORT: Duration = Duration::from_millis(100);

/// How often a port is tried that is there, and could not be opened.
const LOOK_AGAIN: Duration = Duration::from_millis(300);

/// How often it is looked whether the link on a port has ended.
const LOOK_FOR_END: Duration = Duration::from_millis(50);
