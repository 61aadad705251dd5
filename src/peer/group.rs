//! Groups: `udp://239.1.1.1:7400?ttl=1`, an address that many receive at.

use super::host::HostPort;
use super::options::{Options, Role, value};
use super::{Scope, check_length, split_scheme};
use crate::error::{Error, quote};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// A group's address and how to use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupUrl {
    /// Without options, as it stands in events.
    pub(crate) url: String,
    pub(crate) address: SocketAddr,
    /// Broadcast instead of multicast.
    pub(crate) broadcast: bool,
    pub(crate) scope: Option<Scope>,
    /// How many routers a datagram may pass, and the own network.
    pub(crate) ttl: u32,
    pub(crate) interface: Option<Interface>,
    /// Whether other programs of this machine hear it.
    pub(crate) loopback: bool,
    /// Whether other programs of this machine can be in the group.
    pub(crate) reuse: bool,
    /// The largest datagram.
    pub(crate) mtu: usize,
}

/// Which network a group is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Interface {
    /// By its own IPv4 address.
    Address(Ipv4Addr),
    /// By its name.
    Name(String),
}

impl GroupUrl {
    /// Reads the URL of a group.
    pub(crate) fn parse(text: &str) -> Result<GroupUrl, Error> {
        Self::take_apart(text).map_err(|rule| Error::InvalidUrl { value: quote(text), rule })
    }

    /// Whether a URL to connect to means a group: a multicast or broadcast address.
    pub(crate) fn is_meant(text: &str) -> bool {
        let Some(rest) = text.strip_prefix("udp://") else { return false };
        let (rest, options) = rest.split_once('?').unwrap_or((rest, ""));
        let address = rest.split_once('/').map_or(rest, |(address, _)| address);
        let ip = address.parse::<SocketAddr>().map(|address| address.ip());
        ip.is_ok_and(|ip| is_group(ip) || value(options, "broadcast") == Some("1"))
    }

    fn take_apart(text: &str) -> Result<GroupUrl, String> {
        check_length(text)?;
        let (scheme, rest) = split_scheme(text, EXAMPLE)?;
        if scheme != "udp" {
            return Err(format!("groups are of the scheme `udp`; write it as in `{EXAMPLE}`"));
        }
        let (rest, options) = match rest.split_once('?') {
            Some((rest, options)) => (rest, Some(options)),
            None => (rest, None),
        };
        let (address, path) = rest.split_once('/').unwrap_or((rest, ""));
        if !matches!(path, "" | "*") {
            return Err(format!(
                "a group has many members, not only `{path}`; leave the path out, or write `*`"
            ));
        }
        let HostPort { host, port } = HostPort::parse(address)?;
        let ip: IpAddr = host.parse().map_err(|_| {
            format!("a group is named by its address in numbers, not `{host}`; write it as in `{EXAMPLE}`")
        })?;
        if port == 0 {
            return Err("a group has no port 0; name the one that all its members use".into());
        }
        let options = options
            .map_or_else(|| Ok(Options::default()), |text| Options::parse(GROUP, Role::Connect, text))?;
        let option = |name| value(&options.transport, name);
        let broadcast = !ip.is_multicast();
        if broadcast && !is_group(ip) && option("broadcast") != Some("1") {
            return Err(format!(
                "`{ip}` is neither a multicast address nor 255.255.255.255; the broadcast address of a network \
                 has to be marked by `broadcast=1`, and a single peer is not joined but connected to"
            ));
        }
        if broadcast && ip.is_ipv6() {
            return Err(
                "there is no broadcast in IPv6; use a multicast address, as in `[ff02::7400]:7400`".into()
            );
        }
        let interface = option("interface").map(|name| match name.parse() {
            Ok(address) => Interface::Address(address),
            Err(_) => Interface::Name(name.to_owned()),
        });
        if matches!(interface, Some(Interface::Address(_))) && (broadcast || ip.is_ipv6()) {
            return Err("for broadcast and IPv6 the interface is named, as in `interface=eth0`".into());
        }
        let number =
            |name: &'static str, default| option(name).and_then(|text| text.parse().ok()).unwrap_or(default);
        Ok(GroupUrl {
            url: format!("udp://{}", SocketAddr::new(ip, port)),
            address: SocketAddr::new(ip, port),
            broadcast,
            scope: options.scope,
            ttl: number("ttl", 1),
            interface,
            loopback: option("loopback") != Some("0"),
            reuse: option("reuse") != Some("0"),
            mtu: number("mtu", super::UDP_MTU as u32) as usize,
        })
    }
}

fn is_group(ip: IpAddr) -> bool {
    ip.is_multicast() || ip == IpAddr::V4(Ipv4Addr::BROADCAST)
}

/// What the options of a group are listed under.
pub(super) const GROUP: &str = "udp group";

const EXAMPLE: &str = "udp://239.1.1.1:7400";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_taken_apart() {
        let url =
            GroupUrl::parse("udp://239.1.1.1:7400/*?ttl=3&interface=127.0.0.1&loopback=0&scope=own&mtu=1400")
                .unwrap();
        assert_eq!(url.url, "udp://239.1.1.1:7400");
        assert_eq!((url.broadcast, url.ttl, url.loopback, url.reuse, url.mtu), (false, 3, false, true, 1400));
        assert_eq!(url.interface, Some(Interface::Address(Ipv4Addr::LOCALHOST)));
        assert_eq!(url.scope, Some(Scope::Own));
        let url = GroupUrl::parse("udp://255.255.255.255:7400?interface=eth0.7").unwrap();
        assert_eq!((url.broadcast, url.ttl, url.mtu), (true, 1, 1200));
        assert_eq!(url.interface, Some(Interface::Name("eth0.7".into())));
        assert!(GroupUrl::parse("udp://10.0.0.255:7400?broadcast=1").unwrap().broadcast);
        assert!(GroupUrl::parse("udp://[ff02::7400]:7400").is_ok());
    }

    #[test]
    fn a_group_is_told_from_a_peer() {
        for text in [
            "udp://239.1.1.1:7400/*?ttl=1",
            "udp://255.255.255.255:1",
            "udp://[ff02::1]:7400",
            "udp://10.0.0.255:7400?broadcast=1",
        ] {
            assert!(GroupUrl::is_meant(text), "{text}");
        }
        for text in ["udp://10.0.0.1:7400/robot", "tcp://239.1.1.1:7400", "udp://robot:7400", "", "udp://"] {
            assert!(!GroupUrl::is_meant(text), "{text}");
        }
    }

    #[test]
    fn every_broken_rule_of_a_group_is_named() {
        for (text, word) in [
            ("239.1.1.1:7400", "`scheme://` is missing"),
            ("tcp://239.1.1.1:7400", "scheme `udp`"),
            ("udp://239.1.1.1:7400/robot", "many members"),
            ("udp://239.1.1.1:0", "port 0"),
            ("udp://239.1.1.1", "port is missing"),
            ("udp://robots:7400", "in numbers"),
            ("udp://10.0.0.7:7400", "neither a multicast address"),
            ("udp://239.1.1.1:7400?ttl=0", "`ttl` is 1 to 255"),
            ("udp://239.1.1.1:7400?ttl=256", "`ttl` is 1 to 255"),
            ("udp://239.1.1.1:7400?mtu=100", "`mtu` is 576 to 65507"),
            ("udp://239.1.1.1:7400?loopback=yes", "`0` or `1`, not `yes`"),
            ("udp://239.1.1.1:7400?interface=", "`interface` is"),
            ("udp://239.1.1.1:7400?tll=1", "not known; there is `scope=own`"),
            ("udp://[ff02::1]:7400?interface=10.0.0.1", "interface is named"),
            ("udp://[::1]:7400?broadcast=1", "no broadcast in IPv6"),
        ] {
            let error = GroupUrl::parse(text).unwrap_err().to_string();
            assert!(error.contains(word), "{text} gave {error}");
        }
    }
}
