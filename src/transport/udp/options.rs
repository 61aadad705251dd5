//! What follows the `?` of an address.

use crate::peer::{UDP_MTU, options::value};
use std::io;

/// An address and the options of its socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place<'a> {
    pub(super) address: &'a str,
    /// The largest datagram.
    pub(super) mtu: usize,
}

impl<'a> Place<'a> {
    /// Takes apart what a transport is given.
    pub(super) fn parse(text: &'a str) -> io::Result<Self> {
        let (address, options) = text.split_once('?').unwrap_or((text, ""));
        let mtu = match value(options, "mtu").map(str::parse) {
            None => UDP_MTU,
            Some(Ok(mtu)) if (MIN_MTU..=MAX_MTU).contains(&mtu) => mtu,
            Some(_) => {
                let text = format!("the option `mtu` is {MIN_MTU} to {MAX_MTU} bytes of a datagram");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
            }
        };
        Ok(Self { address, mtu })
    }
}

const MIN_MTU: usize = 576;
const MAX_MTU: usize = 65_507;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_read_and_checked() {
        assert_eq!(Place::parse("h:1").unwrap(), Place { address: "h:1", mtu: 1200 });
        assert_eq!(Place::parse("h:1?mtu=9000").unwrap(), Place { address: "h:1", mtu: 9000 });
        for text in ["h:1?mtu=575", "h:1?mtu=65508", "h:1?mtu=x"] {
            assert_eq!(Place::parse(text).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
    }
}
