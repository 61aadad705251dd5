//! `host:port`, as it stands in a `tcp://` URL.

use std::net::{Ipv4Addr, Ipv6Addr};

/// A checked `host:port`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HostPort<'a> {
    /// A name, an IPv4 address, or an IPv6 address without its brackets but with its zone.
    pub(crate) host: &'a str,
    pub(crate) port: u16,
}

impl<'a> HostPort<'a> {
    /// Reads `name:7400`, `10.0.0.2:7400`, `[::1]:7400` or `[fe80::1%eth0]:7400`. The error is the
    /// broken rule with the way out.
    pub(crate) fn parse(address: &'a str) -> Result<HostPort<'a>, String> {
        let Some((host, port)) = address.rsplit_once(':') else {
            return Err(format!("the port is missing; write `{address}:7400`"));
        };
        if host.ends_with(']') != host.starts_with('[') || port.ends_with(']') {
            return Err("an IPv6 address stands in brackets before its port, as in `[::1]:7400`".into());
        }
        let port = parse_port(port)?;
        let host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(inner) => check_ipv6(inner)?,
            None => check_name(host)?,
        };
        Ok(HostPort { host, port })
    }
}

fn parse_port(text: &str) -> Result<u16, String> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse() {
        Ok(port) if digits => Ok(port),
        _ => Err(format!("the port `{text}` is not a number from 0 to 65535")),
    }
}

fn check_ipv6(inner: &str) -> Result<&str, String> {
    let (address, zone) = match inner.split_once('%') {
        Some((address, zone)) => (address, Some(zone)),
        None => (inner, None),
    };
    if address.parse::<Ipv6Addr>().is_err() {
        return Err(format!("`{address}` is not an IPv6 address"));
    }
    match zone {
        Some(zone) if !zone.bytes().all(is_zone_byte) || zone.is_empty() => {
            Err(format!("`{zone}` names no network interface; write one as in `[fe80::1%eth0]`"))
        }
        _ => Ok(inner),
    }
}

fn check_name(host: &str) -> Result<&str, String> {
    if host.is_empty() || host == "*" {
        return Err("the host is missing; to listen on every interface write 0.0.0.0 or [::]".into());
    }
    if host.contains(':') {
        return Err(format!("an IPv6 address stands in brackets before its port; write `[{host}]`"));
    }
    if !host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_')) {
        return Err(format!("the host `{host}` holds more than letters, digits, `.`, `-` and `_`"));
    }
    let last = host.rsplit('.').next().unwrap_or(host);
    if last.bytes().all(|b| b.is_ascii_digit()) && host.parse::<Ipv4Addr>().is_err() {
        return Err(format!("`{host}` is not an IPv4 address"));
    }
    Ok(host)
}

/// What interface names are made of on the systems we run on, VLANs (`eth0.7`) and aliases included.
fn is_zone_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'@')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_taken_apart() {
        for (text, host, port) in [
            ("robot:7400", "robot", 7400),
            ("robot-1.local:1", "robot-1.local", 1),
            ("my_host:65535", "my_host", 65535),
            ("10.0.0.2:0", "10.0.0.2", 0),
            ("[::1]:7400", "::1", 7400),
            ("[fe80::1%eth0]:7400", "fe80::1%eth0", 7400),
            ("[fe80::1%2]:7400", "fe80::1%2", 7400),
        ] {
            assert_eq!(HostPort::parse(text), Ok(HostPort { host, port }), "{text}");
        }
    }

    #[test]
    fn every_broken_rule_is_named() {
        for (text, word) in [
            ("", "port is missing"),
            ("robot", "`robot:7400`"),
            ("robot:", "0 to 65535"),
            ("robot:65536", "0 to 65535"),
            ("robot:+80", "0 to 65535"),
            ("robot:http", "0 to 65535"),
            (":7400", "0.0.0.0"),
            ("*:7400", "0.0.0.0"),
            ("::1:7400", "`[::1]`"),
            ("[::1]", "brackets"),
            ("[::1:7400", "brackets"),
            ("::1]:7400", "brackets"),
            ("[robot]:7400", "not an IPv6"),
            ("[fe80::1%]:7400", "interface"),
            ("[fe80::1%a b]:7400", "interface"),
            ("10.0.0:7400", "not an IPv4"),
            ("10.0.0.256:7400", "not an IPv4"),
            ("ro bot:7400", "letters"),
            ("user@robot:7400", "letters"),
            ("röbot:7400", "letters"),
        ] {
            let rule = HostPort::parse(text).unwrap_err();
            assert!(rule.contains(word), "{text:?} gave {rule}");
        }
    }
}
