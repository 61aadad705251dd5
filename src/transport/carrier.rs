//! Whether the network that leads straight to a peer carries at all.
//!
//! While an interface has no carrier, Linux drops whatever is sent through it: to dial all the same is in vain, and
//! says less about why.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// An error if the peer is in a network of this machine's own whose interface does not carry.
pub(super) fn check(there: SocketAddr) -> io::Result<()> {
    let IpAddr::V4(there) = there.ip() else { return Ok(()) };
    let Ok(routes) = fs::read_to_string("/proc/net/route") else { return Ok(()) };
    let Some(interface) = straight(&routes, there) else { return Ok(()) };
    match fs::read(format!("/sys/class/net/{interface}/carrier")) {
        Ok(state) if state.first() == Some(&b'0') => {
            let text = format!("`{interface}` is not connected to its network: no cable, or no radio");
            Err(io::Error::new(io::ErrorKind::HostUnreachable, text))
        }
        _ => Ok(()),
    }
}

/// The interface of the narrowest route to an address, if no gateway lies between.
fn straight(routes: &str, there: Ipv4Addr) -> Option<&str> {
    let there = u32::from(there);
    let found = routes.lines().skip(1).filter_map(Route::parse).filter(|route| route.is_to(there));
    let best = found.min_by_key(|route| (!route.mask, route.metric))?;
    (best.gateway == 0 && best.mask != 0).then_some(best.interface)
}

struct Route<'a> {
    interface: &'a str,
    network: u32,
    gateway: u32,
    mask: u32,
    metric: u32,
}

impl<'a> Route<'a> {
    /// A line of `/proc/net/route`: interface, destination, gateway, flags, two counts, metric, mask.
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.split_whitespace();
        let interface = fields.next()?;
        // Addresses stand there as they lie in memory.
        let address = |text: Option<&str>| Some(u32::from_str_radix(text?, 16).ok()?.to_ne_bytes());
        let (network, gateway) = (address(fields.next())?, address(fields.next())?);
        let metric = fields.nth(3)?.parse().ok()?;
        let mask = address(fields.next())?;
        let [network, gateway, mask] = [network, gateway, mask].map(u32::from_be_bytes);
        Some(Self { interface, network, gateway, mask, metric })
    }

    fn is_to(&self, there: u32) -> bool {
        there & self.mask == self.network
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_endian = "little")]
    #[test]
    fn the_narrowest_route_leads_straight_to_an_address_or_over_a_gateway() {
        let routes = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
            eth0\t00000000\t0100A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
            eth0\t0000A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n\
            wlan0\t0000A8C0\t00000000\t0001\t0\t0\t600\t00FFFFFF\t0\t0\t0\n\
            tun0\t0700A8C0\t00000000\t0005\t0\t0\t0\tFFFFFFFF\t0\t0\t0\n\
            no route at all\n";
        for (there, interface) in [
            ([192, 168, 0, 9], Some("eth0")),
            ([192, 168, 0, 7], Some("tun0")),
            ([192, 168, 1, 9], None),
            ([8, 8, 8, 8], None),
        ] {
            assert_eq!(straight(routes, there.into()), interface, "{there:?}");
        }
        assert_eq!(straight("", [10, 0, 0, 1].into()), None);
    }

    #[test]
    fn what_is_on_this_machine_can_always_be_dialled() {
        check(([127, 0, 0, 1], 9).into()).unwrap();
        check(SocketAddr::new("::1".parse().unwrap(), 9)).unwrap();
    }
}
