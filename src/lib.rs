//! Messaging for robots and the machines around them, for programs that block.
#![forbid(unsafe_code)]
#![warn(missing_docs, unreachable_pub)]
#![allow(dead_code, unused_imports)]

mod bytes;
mod delivery;
mod error;
mod event;
mod flow;
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
pub use event::{Event, PeerName, Refusal, Side};
pub use path::Path;
pub use peer::{PeerUrl, Scope};
pub use reason::{Reason, ReasonCode};
pub use route::Route;
pub use schema::{Schema, SchemaError};
pub use time::Timestamp;
