//! Samples, pure: the outgoing buffer of a link with its lanes, and the mailboxes of interests.
//!
//! Nothing here waits, locks, or reads a clock. `runtime` puts each structure behind one lock and a
//! wake-up; the tests drive them as they are.

pub(crate) mod assemblies;
pub(crate) mod batch;
pub(crate) mod coarse;
#[allow(dead_code)]
pub(crate) mod courier;
pub(crate) mod doctor;
pub(crate) mod gauge;
pub(crate) mod lane;
pub(crate) mod mailbox;
pub(crate) mod outbox;
pub(crate) mod patience;
pub(crate) mod queues;
pub(crate) mod run;
#[cfg(feature = "lz4")]
pub(crate) mod squeeze;
pub(crate) mod window;

use std::any::Any;
use std::sync::Arc;

/// A message that passes inside this process without being encoded.
pub(crate) type Shared = Arc<dyn Any + Send + Sync>;
