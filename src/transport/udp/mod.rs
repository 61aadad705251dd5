//! UDP: sessions with one peer each, and groups.
//!
//! | File | What |
//! | --- | --- |
//! | `dial` | the dialler's end: a socket of its own, which the link's reader reads |
//! | `listen` | a bound socket, the thread that sorts its datagrams, the acceptor's ends |
//! | `sorter`, `cookie` | whose a datagram is, and who may begin; pure |
//! | `link`, `options` | what both ends have in common; what follows the `?` of an address |
//! | `group`, `filter` | the socket of a group; what the system drops of it unseen |

pub(crate) mod cookie;
mod dial;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod filter;
pub(crate) mod group;
mod link;
mod listen;
mod options;
pub(crate) mod sorter;

use super::outlook::{check_way, of_internet};
use super::resolve::resolve;
use super::tcp::Failures;
use super::{Cancel, Connection, Listener, Outlook, Transport, cancelled, deadline_after};
use options::Place;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Connections over UDP, `udp://host:port`, with one peer each; groups are
/// [joined](crate::EndpointBuilder::join).
///
/// The same sessions as over TCP, as far as datagrams allow. What must arrive is sent again until it does:
/// control, and the samples of `lossless` interests. Samples for `latest` and `queue` interests are sent once;
/// one that is lost holds up nothing, and is counted as lost [on the way](crate::LostAt::OnTheWay). A datagram
/// holds several whole frames, at most `mtu` bytes (default 1200, which every path takes whole); a sample that
/// does not fit is sent in fragments, of which the receiver keeps few and not for long.
///
/// A listener has one socket and one thread for all peers, and keeps nothing of a dialler that has not
/// shown that it receives at the address it sends from: by a cookie, and no answer is larger than what it
/// answers. The socket is held until the listener and all its connections are closed.
///
/// It does not encrypt, and who can read the datagrams can end or take over a connection.
///
/// ```
/// use bowline::{Endpoint, Intent, Interest};
/// use std::time::Duration;
/// let robot = Endpoint::builder("robot").listen("udp://127.0.0.1:0").start()?;
/// let desk = Endpoint::builder("desk").connect(robot.listening()[0].as_str()).start()?;
/// let speed: Intent<f64> = robot.intent("robot.speed")?;
/// let wanted: Interest<f64> = desk.interest("robot.speed")?;
/// assert!(speed.wait_interest(Duration::from_secs(5)));
/// speed.send(1.5)?;
/// assert_eq!(*wanted.recv_timeout(Duration::from_secs(5))?, 1.5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Udp;

impl Transport for Udp {
    fn scheme(&self) -> &str {
        "udp"
    }

    fn dial(&self, address: &str, timeout: Duration, cancel: &Cancel) -> io::Result<Arc<dyn Connection>> {
        let deadline = deadline_after(timeout);
        let Place { address, mtu } = Place::parse(address)?;
        let addresses = resolve(address, deadline, cancel)?;
        let mut failures = Failures::default();
        for (tried, address) in addresses.iter().enumerate() {
            let left = deadline.saturating_duration_since(Instant::now());
            let share = left / u32::try_from(addresses.len() - tried).unwrap_or(1);
            let dialled =
                check_way(*address).and_then(|()| dial::dial(*address, mtu, Instant::now() + share, cancel));
            match dialled {
                Ok(connection) => return Ok(Arc::new(connection)),
                Err(_) if cancel.is_cancelled() => return Err(cancelled()),
                Err(error) => failures.add(*address, error),
            }
        }
        Err(failures.into_error())
    }

    fn outlook(&self, address: &str) -> Outlook {
        of_internet(address)
    }

    fn listen(&self, address: &str) -> io::Result<Arc<dyn Listener>> {
        let Place { address, mtu } = Place::parse(address)?;
        let addresses = resolve(address, Instant::now() + super::tcp::LONGEST_LOOKUP, &Cancel::default())?;
        let mut failures = Failures::default();
        for address in addresses {
            match listen::UdpListener::open(address, mtu, cookie::Cookies::new()) {
                Ok(listener) => return Ok(Arc::new(listener)),
                Err(error) => failures.add(address, error),
            }
        }
        Err(failures.into_error())
    }
}
