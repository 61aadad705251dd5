//! What is said of a fault, in words that make sense on both sides: they name endpoints and routes, and
//! never say "here" or "there", since the same text goes into a BYE or NOTIFY and into an event.

use crate::event::PeerName;
use crate::path::Path;
use crate::reason::{Reason, ReasonCode};
use crate::route::Route;
use crate::wire::control::{Bye, Hello};
use crate::wire::kind::MAX_TEXT;
use std::time::Duration;

/// As much of it as a frame carries, cut between characters.
pub(super) fn clip(text: &str) -> String {
    let mut end = text.len().min(MAX_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

/// The BYE that tells the peer why.
pub(super) fn bye(reason: &Reason) -> Bye {
    let code = match reason.code() {
        // What this side saw; to the other one the session goes on, as where nothing is heard.
        ReasonCode::Lost => ReasonCode::Silent,
        code => code,
    };
    Bye { code, text: clip(reason.text()) }
}

/// The reason a BYE gives.
pub(super) fn told(bye: &Bye) -> Reason {
    let text = if bye.text.is_empty() { "the peer hung up without a word" } else { bye.text.as_str() };
    Reason::by_peer(bye.code, plain(text))
}

/// A peer's text without what could move a terminal's cursor, forge a line of a log, or turn the
/// direction of writing.
pub(super) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => {
                plain.extend(letter.escape_unicode());
            }
            letter if letter.is_control() => plain.extend(letter.escape_debug()),
            letter => plain.push(letter),
        }
    }
    plain
}

pub(super) fn no_common_version(a: &Hello, b: &Hello) -> Reason {
    let text = format!(
        "`{}` speaks protocol versions {} to {}, `{}` speaks {} to {}: none is common; update the older one",
        a.path, a.version_min, a.version_max, b.path, b.version_min, b.version_max
    );
    Reason::new(ReasonCode::Version, text)
}

/// `found` answered where `expected` was meant.
pub(super) fn wrong_identity(dialler: &Path, expected: &Path, found: &Path) -> Reason {
    let text = format!("`{dialler}` expected `{expected}` at this address, which is that of `{found}`");
    Reason::new(ReasonCode::WrongIdentity, text)
}

pub(super) fn myself(path: &Path) -> Reason {
    let text = format!("the address leads back to `{path}` itself");
    Reason::new(ReasonCode::Duplicate, text)
}

pub(super) fn other_link_kept(a: &Path, b: &Path, kept: &str) -> Reason {
    let text = format!("`{a}` and `{b}` have another link, over {kept}, which is kept");
    Reason::new(ReasonCode::Duplicate, text)
}

pub(super) fn handshake_late(deadline: Duration) -> Reason {
    let text = format!("the handshake was not done within {deadline:?}");
    Reason::new(ReasonCode::HandshakeTimeout, text)
}

/// The session goes on, over another link.
pub(super) fn resume_late(by: &Path, deadline: Duration) -> Reason {
    let text = format!("`{by}` heard no RESUME for {deadline:?}, and tries another link");
    Reason::new(ReasonCode::Silent, text)
}

/// The RESUME of a link that was given up came late.
pub(super) fn resume_passed(by: &Path) -> Reason {
    let text = format!("a RESUME of `{by}` came late: the session went on over another link since");
    Reason::new(ReasonCode::Silent, text)
}

/// A session began meanwhile that this link is to join.
pub(super) fn session_began(own: &Path, peer: &Path) -> Reason {
    let text = format!("the session of `{own}` and `{peer}` began over another link; this one joins it");
    Reason::new(ReasonCode::Duplicate, text)
}

pub(super) fn silent(peer: &str, by: &Path, span: Duration) -> Reason {
    let text = format!("`{by}` heard nothing from {peer} for {} ms", span.as_millis());
    Reason::new(ReasonCode::Silent, text)
}

pub(super) fn lease_passed(peer: &PeerName, own: &Path, span: Duration) -> Reason {
    let text =
        format!("`{own}` and {peer} had no link for {} ms, and their session is over", span.as_millis());
    Reason::new(ReasonCode::Lost, text)
}

/// The session that a link was for is over; the next attempt begins another.
pub(super) fn session_over(own: &Path, peer: &Path) -> Reason {
    Reason::new(
        ReasonCode::Closing,
        format!("the session of `{own}` and `{peer}` is over; a new one can begin"),
    )
}

pub(super) fn too_many_waiting(path: &Path, most: usize) -> Reason {
    let text = format!("`{path}` keeps {most} sessions that have no link, and this one waited longest");
    Reason::new(ReasonCode::TooManyLinks, text)
}

pub(super) fn session_moves(to: &str) -> Reason {
    Reason::new(ReasonCode::Lost, format!("the session goes on over {to}"))
}

pub(super) fn session_unknown(peer: &Path) -> Reason {
    let text = format!("`{peer}` does not know the session any more, and begins another");
    Reason::new(ReasonCode::Lost, text)
}

pub(super) fn peer_restarted(peer: &Path) -> Reason {
    Reason::new(ReasonCode::Lost, format!("`{peer}` started anew, and knows nothing of the session before"))
}

pub(super) fn another_peer(found: &Path, other: &str) -> Reason {
    let text = format!(
        "this link leads to `{found}`, and {other}, which was declared to lead to the same peer, to another instance"
    );
    Reason::new(ReasonCode::WrongIdentity, text)
}

pub(super) fn closing(path: &Path) -> Reason {
    Reason::new(ReasonCode::Closing, format!("`{path}` closes"))
}

pub(super) fn too_many_pending(path: &Path, most: usize) -> Reason {
    let text = format!("`{path}` keeps at most {most} connections whose handshake is not done");
    Reason::new(ReasonCode::TooManyLinks, text)
}

pub(super) fn too_many_links(path: &Path, most: usize) -> Reason {
    Reason::new(ReasonCode::TooManyLinks, format!("`{path}` keeps at most {most} links"))
}

pub(super) fn too_many_routes(path: &Path, most: usize) -> Reason {
    let text =
        format!("`{path}` takes at most {most} intents and interests, and pairs of them, from one peer");
    Reason::new(ReasonCode::TooManyRoutes, text)
}

/// An intent that the peer had no right to advertise.
pub(super) fn no_right_there(peer: &Path, route: &Route) -> Reason {
    let text = format!("scope own: `{peer}` may supply only routes under `{peer}`, and advertised `{route}`");
    Reason::new(ReasonCode::NoRight, text)
}

/// An intent that is not advertised because the peer would not take it.
pub(super) fn no_right_here(own: &Path, route: &Route) -> String {
    format!(
        "scope own rules this link: `{own}` may supply only routes under `{own}`, and `{route}` is not; \
         supply it under `{own}`, or set scope open on both sides"
    )
}

/// An intent of another endpoint that is not passed on because the peer would not take it.
pub(super) fn no_right_to_relay(own: &Path, route: &Route) -> String {
    format!(
        "scope own rules this link: `{own}` may supply only routes under `{own}`, so it does not relay `{route}` \
         there; set scope open on both sides, or give the relay a path above the route"
    )
}

pub(super) fn too_much_to_relay(own: &Path, most: usize) -> String {
    format!("`{own}` passes on at most {most} intents and interests to one peer, and half as many for one")
}

pub(super) fn stalled_relay(own: &Path, route: &Route) -> String {
    format!(
        "`{own}` keeps no more samples for a peer that does not take them, and relays `{route}` to it no longer; \
         ask for it again, with a smaller depth or as a queue"
    )
}

pub(super) fn schema_not_sent(route: &Route, fingerprint: u64) -> String {
    format!(
        "the message types of `{route}` differ; the fingerprint of the one that was not sent is {fingerprint:#018x}"
    )
}

pub(super) fn schema_unnamed(ours: u64, theirs: u64) -> String {
    format!("no field was found that differs, yet the fingerprint is {ours:#018x} here, {theirs:#018x} there")
}

/// `claims` says which of the two claim the route.
pub(super) fn conflict(route: &Route, (a, a_claims): (&Path, bool), (b, b_claims): (&Path, bool)) -> String {
    match (a_claims, b_claims) {
        (true, true) => format!("`{a}` and `{b}` both claim `{route}` as their own"),
        (false, true) => format!("`{b}` claims `{route}` as its own, and `{a}` supplies it too"),
        _ => format!("`{a}` claims `{route}` as its own, and `{b}` supplies it too"),
    }
}

pub(super) fn malformed(text: impl Into<String>) -> Reason {
    Reason::new(ReasonCode::Malformed, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peers_text_is_made_plain() {
        assert_eq!(plain("as it is: `ä` \\ \"日本\""), "as it is: `ä` \\ \"日本\"");
        assert_eq!(plain("a\nb\u{1b}[2J\u{202E}c\0"), r"a\nb\u{1b}[2J\u{202e}c\0");
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(clip("short"), "short");
        let long = "é".repeat(400);
        assert_eq!(clip(&long).len(), 512);
        assert_eq!(clip(&format!("x{long}")).len(), 511);
    }
}
