//! Messaging for robots and the machines around them, for programs that block.
#![forbid(unsafe_code)]
#![warn(missing_docs, unreachable_pub)]

mod builder;
mod bytes;
mod delivery;
mod endpoint;
mod error;
mod event;
mod flow;
mod intent;
mod interest;
mod message;
mod outcome;
mod path;
mod peer;
mod proto;
mod reason;
mod route;
mod runtime;
mod sample;
mod schema;
mod settings;
mod time;
pub mod transport;
mod wire;

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;

#[cfg(feature = "measuring")]
#[doc(hidden)]
pub mod measuring;

pub use builder::EndpointBuilder;
pub use bytes::{Bytes, Payload};
pub use delivery::Delivery;
pub use endpoint::Endpoint;
pub use error::Error;
pub use event::{Event, PeerName, Refusal, Side};
pub use intent::{Intent, SendError};
pub use interest::{Interest, InterestCounts, RecvError, Subscription};
pub use message::{CodecError, Message};
pub use outcome::{Fate, Outcome};
pub use path::Path;
pub use peer::{ListenUrl, PeerUrl, Scope};
pub use reason::{Reason, ReasonCode};
pub use route::Route;
pub use runtime::events::Events;
pub use runtime::status::{LinkState, LinkStatus, RoundTrip};
pub use sample::{Reading, Sample};
pub use schema::{Schema, SchemaError};
pub use settings::{IntentSettings, InterestSettings};
pub use time::Timestamp;
