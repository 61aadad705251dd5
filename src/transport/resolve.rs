//! Host names to addresses, without being stuck in the system's resolver.

use super::{Cancel, Pauses, cancelled};
use crate::peer::host::HostPort;
use crossbeam_channel::{RecvTimeoutError, bounded};
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// The addresses of `host:port`, at most [`MAX_ADDRESSES`].
///
/// The system's resolver can take many seconds, and nothing can end its wait. So a name is looked up
/// on a thread of its own, which nobody waits for longer than allowed: when it comes back late it
/// finds nobody and ends. At most [`MAX_LOOKUPS`] such threads exist in a process.
pub(super) fn resolve(address: &str, deadline: Instant, cancel: &Cancel) -> io::Result<Vec<SocketAddr>> {
    let HostPort { host, port } =
        HostPort::parse(address).map_err(|rule| io::Error::new(io::ErrorKind::InvalidInput, rule))?;
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    if host.contains(':') {
        // An address with a zone: the system turns the interface's name into a number, without
        // asking anybody.
        return first_addresses(host, port);
    }
    let permit = Permit::take(&RUNNING)?;
    let (answer, answered) = bounded(1);
    let owned = host.to_owned();
    std::thread::Builder::new().name(format!("bowline/resolver {host}")).spawn(move || {
        let _permit = permit;
        let _ = answer.send(first_addresses(&owned, port));
    })?;
    loop {
        if cancel.is_cancelled() {
            return Err(cancelled());
        }
        let look = Instant::now() + Pauses::LONGEST;
        match answered.recv_deadline(look.min(deadline)) {
            Ok(addresses) => return addresses,
            Err(RecvTimeoutError::Timeout) if Instant::now() < deadline => {}
            Err(_) => {
                let text = format!("the name `{host}` was not resolved within the time allowed");
                return Err(io::Error::new(io::ErrorKind::TimedOut, text));
            }
        }
    }
}

fn first_addresses(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let found = (host, port).to_socket_addrs();
    let found = found.map_err(|error| io::Error::new(error.kind(), format!("the name `{host}`: {error}")))?;
    let addresses: Vec<_> = found.take(MAX_ADDRESSES).collect();
    if addresses.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, format!("the name `{host}` has no address")));
    }
    Ok(addresses)
}

/// The right to run one look-up, given back on drop.
struct Permit(&'static AtomicUsize);

impl Permit {
    fn take(running: &'static AtomicUsize) -> io::Result<Permit> {
        let more = |count| (count < MAX_LOOKUPS).then_some(count + 1);
        match running.fetch_update(Ordering::AcqRel, Ordering::Acquire, more) {
            Ok(_) => Ok(Permit(running)),
            Err(_) => {
                let text = format!("{MAX_LOOKUPS} name look-ups are still without an answer");
                Err(io::Error::new(io::ErrorKind::WouldBlock, text))
            }
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// Each unanswered one costs a thread, of which the system gives real memory only for what it uses.
const MAX_LOOKUPS: usize = 64;

/// More are not tried: the time allowed for dialling is divided among them.
const MAX_ADDRESSES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn resolved(address: &str) -> io::Result<Vec<SocketAddr>> {
        resolve(address, Instant::now() + Duration::from_secs(10), &Cancel::default())
    }

    #[test]
    fn numbers_need_no_look_up() {
        assert_eq!(resolved("10.0.0.2:7400").unwrap(), ["10.0.0.2:7400".parse().unwrap()]);
        assert_eq!(resolved("[::1]:7400").unwrap(), ["[::1]:7400".parse().unwrap()]);
    }

    #[test]
    fn a_name_is_looked_up() {
        let addresses = resolved("localhost:7400").unwrap();
        assert!(addresses.iter().all(|a| a.ip().is_loopback() && a.port() == 7400), "{addresses:?}");
    }

    #[test]
    fn a_bad_address_is_an_error_that_names_the_rule() {
        let error = resolved("robot").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("port is missing"), "{error}");
    }

    #[test]
    fn a_cancelled_look_up_is_not_waited_for() {
        let cancel = Cancel::default();
        cancel.cancel();
        let deadline = Instant::now() + Duration::from_secs(3600);
        assert!(resolve("localhost:7400", deadline, &cancel).is_err());
    }

    #[test]
    fn look_ups_without_an_answer_are_bounded() {
        static RUNNING: AtomicUsize = AtomicUsize::new(0);
        let mut permits: Vec<_> = (0..MAX_LOOKUPS).map(|_| Permit::take(&RUNNING).unwrap()).collect();
        assert_eq!(Permit::take(&RUNNING).err().unwrap().kind(), io::ErrorKind::WouldBlock);
        permits.pop();
        assert!(Permit::take(&RUNNING).is_ok());
    }

    #[test]
    fn a_name_that_cannot_be_resolved_is_named() {
        // No name may end like this: the system refuses it, or its resolver says there is none.
        let error = resolved("nobody.invalid:7400").unwrap_err().to_string();
        assert!(error.contains("nobody.invalid"), "{error}");
    }
}
