//! Messaging for robots and the machines around them, for programs that block.
#![forbid(unsafe_code)]
#![warn(missing_docs, unreachable_pub)]
#![allow(dead_code, unused_imports)]

mod bytes;
mod delivery;
mod error;
mod event;
mod flow;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod message;
mod path;
mod peer;
mod proto;
mod reason;
mod route;
mod runtime;
mod schema;
mod time;
pub mod transport;
mod wire;

pub use delivery::Delivery;
pub use error::Error;
pub use event::{Event, PeerName, Refusal, Side};
pub use path::Path;
pub use peer::{ListenUrl, PeerUrl, Scope};
pub use reason::{Reason, ReasonCode};
pub use route::Route;
pub use schema::{Schema, SchemaError};
pub use time::Timestamp;
