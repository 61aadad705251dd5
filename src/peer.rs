//! Peer URLs.
/// Whose routes a peer may supply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Scope {
    /// Anyone may supply any route.
    #[default]
    Open,
    /// A peer may supply only routes under its own path.
    Own,
}
/// Where a peer is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PeerUrl(String);
