//! Proof that who opens a connection receives at the address it sends from.

use crate::time::Timestamp;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};

/// Makes cookies and knows its own again, keeping nothing of those it made.
pub(crate) struct Cookies {
    secret: [u8; 32],
}

/// What a dialler has to bring back.
pub(crate) type Cookie = [u8; 16];

impl Cookies {
    /// With a secret from the system's own randomness, which seeds the hashers of the standard library.
    pub(crate) fn new() -> Self {
        let mut hash = hmac_sha256::Hash::new();
        for number in 0u64..8 {
            hash.update(RandomState::new().hash_one(number).to_le_bytes());
        }
        Self { secret: hash.finalize() }
    }

    /// The cookie for who dials from `from` now.
    pub(crate) fn make(&self, now: Timestamp, from: SocketAddr, token: u32) -> Cookie {
        self.of(slot(now), from, token)
    }

    /// Whether `cookie` was made for it in this slot of time or the last.
    pub(crate) fn is_good(&self, now: Timestamp, from: SocketAddr, token: u32, cookie: &[u8]) -> bool {
        let slot = slot(now);
        [slot, slot.wrapping_sub(1)].iter().any(|slot| same(&self.of(*slot, from, token), cookie))
    }

    fn of(&self, slot: u64, from: SocketAddr, token: u32) -> Cookie {
        let mut hash = hmac_sha256::Hash::new();
        hash.update(self.secret);
        match from.ip() {
            IpAddr::V4(ip) => hash.update(ip.to_ipv6_mapped().octets()),
            IpAddr::V6(ip) => hash.update(ip.octets()),
        }
        hash.update(from.port().to_le_bytes());
        hash.update(token.to_le_bytes());
        hash.update(slot.to_le_bytes());
        let whole = hash.finalize();
        let mut cookie = [0; 16];
        cookie.copy_from_slice(&whole[..16]);
        cookie
    }
}

/// Compared in the same time wherever they differ.
fn same(ours: &Cookie, theirs: &[u8]) -> bool {
    ours.len() == theirs.len() && ours.iter().zip(theirs).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

fn slot(now: Timestamp) -> u64 {
    now.micros() / SLOT_MICROS
}

/// A cookie is good for one to two of these.
const SLOT_MICROS: u64 = 5_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_cookie_is_good_for_its_address_and_token_and_not_for_long() {
        let cookies = Cookies::new();
        let now = Timestamp::from_micros(7 * SLOT_MICROS);
        let (from, other): (SocketAddr, SocketAddr) =
            ("10.0.0.1:7".parse().unwrap(), "10.0.0.1:8".parse().unwrap());
        let cookie = cookies.make(now, from, 5);
        let later = |seconds| now + Duration::from_secs(seconds);
        for (when, from, token, good) in [
            (now, from, 5, true),
            (later(9), from, 5, true),
            (later(10), from, 5, false),
            (now, other, 5, false),
            (now, from, 6, false),
        ] {
            assert_eq!(cookies.is_good(when, from, token, &cookie), good);
        }
        for cut in 0..16 {
            assert!(!cookies.is_good(now, from, 5, &cookie[..cut]));
        }
        assert!(!Cookies::new().is_good(now, from, 5, &cookie), "secrets differ");
    }
}
