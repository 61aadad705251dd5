//! Why a message was not sent.

use crate::event::PeerName;
use crate::message::CodecError;
use crate::outcome::Fate;
use crate::route::Route;
use crate::settings::Bounds;
use std::fmt;
use std::sync::Arc;

/// A message that was not sent to anyone, and why. It holds the message.
///
/// ```
/// use bowline::{Bytes, Endpoint, Intent};
/// let robot = Endpoint::builder("robot").largest_message(100).start()?;
/// let image: Intent<Bytes> = robot.intent("robot.image")?;
/// let error = image.send(Bytes::from(vec![0; 101])).unwrap_err();
/// assert!(error.is_too_large());
/// assert_eq!(error.into_inner().len(), 101);
/// # Ok::<(), bowline::Error>(())
/// ```
pub struct SendError<M> {
    pub(super) message: M,
    pub(super) route: Route,
    pub(super) why: Why,
}

#[derive(Debug)]
pub(super) enum Why {
    NoRoom { peer: Option<Arc<PeerName>>, fate: Fate, bounds: Bounds },
    TooLarge { size: usize, limit: usize },
    Codec(CodecError),
    Closed,
}

impl<M> SendError<M> {
    /// The message that was not sent.
    pub fn into_inner(self) -> M {
        self.message
    }

    /// The same for another message, and the one it held.
    pub(crate) fn exchange<N>(self, message: N) -> (SendError<N>, M) {
        (SendError { message, route: self.route, why: self.why }, self.message)
    }

    /// A lossless interest, or the link to it, has no room. Send again later, or wait with
    /// [`send_timeout`](crate::Intent::send_timeout).
    pub fn is_no_credit(&self) -> bool {
        matches!(self.why, Why::NoRoom { .. })
    }

    /// Which lossless interest was in the way, and why: the other endpoint (`None`: it is in this one), and
    /// [`NoCredit`](Fate::NoCredit), [`TooManyBytes`](Fate::TooManyBytes) or [`LinkFull`](Fate::LinkFull). Of
    /// several it is one; [`outcomes`](crate::Intent::outcomes) tells of all. `None` where it failed for another reason.
    pub fn no_room(&self) -> Option<(Option<&PeerName>, Fate)> {
        match &self.why {
            Why::NoRoom { peer, fate, .. } => Some((peer.as_deref(), *fate)),
            _ => None,
        }
    }

    /// The encoded message is larger than this endpoint sends, or a lossless interest's peer takes.
    pub fn is_too_large(&self) -> bool {
        matches!(self.why, Why::TooLarge { .. })
    }

    /// The endpoint is closed.
    pub fn is_closed(&self) -> bool {
        matches!(self.why, Why::Closed)
    }

    /// Whether the same call can succeed later.
    pub fn is_transient(&self) -> bool {
        self.is_no_credit()
    }
}

impl<M> fmt::Display for SendError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let route = &self.route;
        match &self.why {
            Why::NoRoom { peer, fate, bounds } => {
                match peer {
                    Some(peer) => write!(f, "`{route}` was not sent: {peer} ")?,
                    None => write!(f, "`{route}` was not sent: this endpoint ")?,
                }
                match fate {
                    Fate::TooManyBytes => write!(
                        f,
                        "has a lossless interest for which so many bytes wait that this would be more than \
                         unacknowledged_bytes allows, {}",
                        bounds.bytes
                    )?,
                    Fate::LinkFull => f.write_str("is reached by a link that has no room (outbox_bytes)")?,
                    _ => f.write_str("has a lossless interest that has not taken all it granted")?,
                }
                f.write_str("; send again later, or wait with send_timeout")
            }
            Why::TooLarge { size, limit } => write!(
                f,
                "`{route}` was not sent: the message has {size} bytes, at most {limit} are taken; \
                 send less at once, or raise largest_message on both sides"
            ),
            Why::Codec(error) => write!(f, "`{route}` was not sent: the message cannot be encoded: {error}"),
            Why::Closed => write!(f, "`{route}` was not sent: its endpoint is closed"),
        }
    }
}

impl<M> fmt::Debug for SendError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendError")
            .field("route", &self.route)
            .field("why", &self.why)
            .finish_non_exhaustive()
    }
}

impl<M> std::error::Error for SendError<M> {}
