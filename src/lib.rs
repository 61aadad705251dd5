//! Messaging for robots and the machines around them, for programs that block.
//!
//! A program declares what it supplies, its [`Intent`]s; another, what it wants, its [`Interest`]s. Where
//! the two are of the same route, samples flow, over TCP, UDP, Unix sockets, serial ports, memory or a
//! [`transport`] of your own. No async runtime, no broker, no code generator; no call takes longer than you said.
//!
//! ```
//! use bowline::{Endpoint, Intent, Interest};
//! use std::time::Duration;
//! let robot = Endpoint::builder("robot").listen("tcp://127.0.0.1:0").start()?;
//! let desk = Endpoint::builder("desk").connect(robot.listening()[0].as_str()).start()?;
//! let speed: Intent<f64> = robot.intent("robot.speed")?;
//! let wanted: Interest<f64> = desk.interest("robot.speed")?;
//! speed.wait_interest(Duration::from_secs(5));
//! speed.send(1.5)?;
//! assert_eq!(*wanted.recv_timeout(Duration::from_secs(5))?, 1.5);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The [`guide`] explains it: [concepts](guide::concepts), [threads](guide::threads), [tuning](guide::tuning),
//! [bounds](guide::bounds), and the [protocol](guide::protocol) byte for byte.
//!
//! # Threads
//! ```text
//!  application threads            dispatcher (one)                 per link: two
//!  intent.send ─────────────┐   owns tables, handshakes,      ┌─► writer ─► socket
//!  interest.recv ◄─ mailbox │   timers; the only place        │     ▲
//!        ▲                  │   where control happens         │     │ control frames
//!        │                  └──────── outbox ─────────────────┘     │
//!        │                             ▲ links and unlinks          │
//!        └──────── samples ◄───────── reader ── control ───────► dispatcher
//! ```
//! # Layers
//! Imports point down only; a test checks it.
//!
//! | Layer | What it is |
//! | --- | --- |
//! | `endpoint` `intent` `interest` | what a user holds; `wrap`, what it can be wrapped in; `testing`, a simulated world |
//! | `runtime` | the threads: dispatcher, reader, writer, acceptor; the clock |
//! | `transport` | bytes in, bytes out: tcp, unix, serial, memory; faults on purpose |
//! | `proto` | control, pure: handshakes, sessions, the registry of routes, pings, redialling |
//! | `flow` | samples, pure: the outbox of a link with its lanes, mailboxes |
//! | `wire` | frames and what they mean: bytes of a peer become values here, or an error |
//! | values | `path` `route` `peer` `schema` `message` `bytes` `event` `health` `error` and their like |
//!
//! `proto` and `flow` cannot wait, read a clock or touch the system: they are given an input and the time,
//! and say what is to be done.
#![forbid(unsafe_code)]
#![warn(missing_docs, unreachable_pub)]

mod builder;
mod bytes;
mod delivery;
mod diagnosis;
mod endpoint;
mod error;
mod event;
#[cfg(feature = "testing")]
mod faults;
mod flow;
pub mod guide;
mod health;
mod intent;
mod interest;
mod links;
mod message;
mod outcome;
mod path;
mod peer;
mod priority;
mod proto;
mod reason;
mod route;
mod runtime;
mod sample;
mod schema;
mod settings;
mod sync;
mod time;
pub mod transport;
mod wire;
pub mod wrap;

#[cfg(feature = "testing")]
pub mod testing;

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;

#[cfg(feature = "measuring")]
#[doc(hidden)]
pub mod measuring;

/// The README's programs are compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use builder::EndpointBuilder;
pub use bytes::{Bytes, Payload};
pub use delivery::Delivery;
pub use diagnosis::{Diagnosis, Finding, LineCounts};
pub use endpoint::Endpoint;
pub use error::Error;
pub use event::{Event, LostAt, PeerName, Refusal, Side};
pub use health::{HealthLimits, LinkHealth, Symptom};
pub use intent::{Intent, SendError};
pub use interest::{Interest, InterestCounts, RecvError, Slice, Subscription};
pub use links::Links;
pub use message::{CodecError, Message};
pub use outcome::{Fate, Outcome};
pub use path::Path;
pub use peer::{ListenUrl, PeerUrl, Scope};
pub use priority::Priority;
pub use reason::{Reason, ReasonCode};
pub use route::Route;
pub use runtime::events::Events;
pub use runtime::group::status::GroupStatus;
#[cfg(feature = "lz4")]
pub use runtime::packing::{CompressionCounts, LinkCompression};
pub use runtime::status::{LinkState, LinkStatus, Load, RoundTrip};
pub use sample::{Reading, Sample};
pub use schema::{Schema, SchemaError};
#[cfg(feature = "lz4")]
pub use settings::Compression;
pub use settings::{IntentSettings, InterestSettings};
pub use time::Timestamp;
pub use wrap::{Supply, Want, Withheld};
