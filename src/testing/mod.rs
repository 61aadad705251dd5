//! For tests of programs: endpoints in a simulated world, and links on which things go wrong on purpose.
//!
//! ```toml
//! [dev-dependencies]
//! bowline = { version = "0.1", features = ["testing"] }
//! ```
//!
//! | | What it is for |
//! | --- | --- |
//! | [`World`] | a whole system in virtual time, on one thread: a minute takes milliseconds, a seed gives one course |
//! | [`Fault`], [`FaultSwitch`] | real connections that suffer: `fault+tcp://…` in a URL, or turned by a test |
//! | [`Faults`] | what goes wrong, for both |

mod core;
mod net;
mod wire;
mod world;

pub use crate::faults::Faults;
pub use crate::transport::fault::{Fault, FaultSwitch};
pub use world::World;
