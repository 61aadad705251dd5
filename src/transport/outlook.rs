//! What the network says about the way to a peer, without anything being sent.

use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// The ways to a peer that are open as far as the system knows, each by a name.
///
/// What [`Transport::outlook`](super::Transport::outlook) answers. Only a way that is new matters: it is a reason to
/// dial at once.
///
/// ```
/// use bowline::transport::Outlook;
/// let (none, radio) = (Outlook::default(), Outlook::of(["wlan0"]));
/// let both = Outlook::of(["wlan0", "eth0"]);
/// assert!(radio.is_better_than(&none) && both.is_better_than(&radio));
/// assert!(!radio.is_better_than(&both) && !radio.is_better_than(&radio));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outlook {
    ways: BTreeSet<String>,
}

impl Outlook {
    /// These ways are open.
    pub fn of<T: Into<String>>(ways: impl IntoIterator<Item = T>) -> Self {
        Self { ways: ways.into_iter().map(Into::into).collect() }
    }

    /// Whether a way is open now that was not before.
    pub fn is_better_than(&self, before: &Outlook) -> bool {
        !self.ways.is_subset(&before.ways)
    }
}

/// The outlook of an address `host:port` of the internet protocols: the network interfaces that carry, and the own
/// address that the system would speak from.
///
/// The latter is asked by connecting a UDP socket, which sends nothing. It changes when a route or an own address
/// comes, as from DHCP some time after the cable; for a host given by name it is not known. Interfaces are those
/// under `/sys/class/net`, which is on Linux; elsewhere the own address has to do.
pub(super) fn of_internet(address: &str) -> Outlook {
    let mut ways = carrying();
    ways.extend(own_address(address).map(|own| format!("from {own}")));
    Outlook { ways }
}

/// An error if nothing can be sent to an address now, as far as the system knows.
pub(super) fn check_way(there: SocketAddr) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if own_address(&there.to_string()) != Some(there.ip().to_string()) {
        // One of this machine's own is reached whatever its interface is connected to.
        super::carrier::check(there)?;
    }
    let _ = there;
    Ok(())
}

fn own_address(address: &str) -> Option<String> {
    let address = address.split('?').next().unwrap_or_default();
    let there: SocketAddr = address.parse().ok()?;
    let any =
        if there.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    let socket = UdpSocket::bind::<SocketAddr>(any).ok()?;
    socket.connect(there).ok()?;
    Some(socket.local_addr().ok()?.ip().to_string())
}

/// The interfaces whose cable is in or whose radio is joined, as read not long ago: a look takes some 40 µs for each,
/// and there may be many links that wait.
fn carrying() -> BTreeSet<String> {
    static LAST: Mutex<Option<(Instant, BTreeSet<String>)>> = Mutex::new(None);
    if let Some((at, carrying)) = &*LAST.lock() {
        if at.elapsed() < KEPT {
            return carrying.clone();
        }
    }
    let now = Instant::now();
    let carrying = look();
    *LAST.lock() = Some((now, carrying.clone()));
    carrying
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn look() -> BTreeSet<String> {
    let Ok(interfaces) = std::fs::read_dir("/sys/class/net") else { return BTreeSet::new() };
    let interfaces = interfaces.take(MOST).flatten();
    let carries = |interface: &std::fs::DirEntry| {
        // It cannot even be read while the interface is switched off.
        std::fs::read(interface.path().join("carrier")).is_ok_and(|state| state.first() == Some(&b'1'))
    };
    interfaces.filter(carries).map(|interface| interface.file_name().to_string_lossy().into_owned()).collect()
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn look() -> BTreeSet<String> {
    BTreeSet::new()
}

/// How long a look serves all links of a process.
const KEPT: Duration = Duration::from_millis(50);

/// How many interfaces are looked at: a machine with many containers may have hundreds.
#[cfg(any(target_os = "linux", target_os = "android"))]
const MOST: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_to_an_address_is_known_without_sending_anything() {
        let local = of_internet("127.0.0.1:9");
        assert!(local.ways.contains("from 127.0.0.1"), "{local:?}");
        assert!(of_internet("127.0.0.1:9?mtu=1200").ways.contains("from 127.0.0.1"));
        // The loopback carries wherever it is switched on, and a name is not looked up.
        assert_eq!(of_internet("localhost:9"), Outlook { ways: carrying() });
        assert!(!of_internet("127.0.0.1:9").is_better_than(&local));
        assert!(local.is_better_than(&Outlook::default()));
    }
}
