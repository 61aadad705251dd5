//! The guide: what the parts are, which thread does what, what to turn, and what it all costs.
//!
//! | Page | For |
//! | --- | --- |
//! | [`concepts`] | everybody: endpoints, peers, intents, interests, delivery, outcomes, events |
//! | [`wrappers`] | whoever wants fewer samples, or others: rates, filters, maps |
//! | [`threads`] | whoever wants to know what may block, what runs where, and how it all ends |
//! | [`sessions`] | whoever must not lose a sample: what a lost link means, and several links to one peer |
//! | [`health`] | whoever has lines that fail: what is found out and when, and what brings a link back |
//! | [`relay`] | whoever has peers that do not reach each other, such as boards on serial lines |
//! | [`tuning`] | whoever wants it faster, smaller, or sooner to notice |
//! | [`bounds`] | whoever must say how much memory it takes at most |
//! | [`protocol`] | whoever writes the other end in another language |
//!
//! Short programs that each show one thing lie under `examples/`.

#[doc = include_str!("concepts.md")]
pub mod concepts {}

#[doc = include_str!("wrappers.md")]
pub mod wrappers {}

#[doc = include_str!("threads.md")]
#[doc = include_str!("shutdown.md")]
pub mod threads {}

#[doc = include_str!("sessions.md")]
pub mod sessions {}

#[doc = include_str!("health.md")]
pub mod health {}

#[doc = include_str!("relay.md")]
pub mod relay {}

#[doc = include_str!("tuning.md")]
pub mod tuning {}

#[doc = include_str!("bounds.md")]
pub mod bounds {}

#[doc = include_str!("../wire/PROTOCOL.md")]
pub mod protocol {}
