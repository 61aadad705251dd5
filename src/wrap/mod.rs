//! What intents and interests can be wrapped in: plain values and functions, stacked in any order.
//!
//! [`Want`] is what an interest and its wrappers have in common, [`Supply`] the same for intents. The
//! methods that wrap are theirs, and a wrapped handle has all the methods that the handle has.
//!
//! | | around an interest | around an intent |
//! | --- | --- | --- |
//! | `filter` | passes what a function is true for | sends what a function is true for |
//! | `map` | makes another message of each sample | takes another message, and sends what it makes of it |
//! | `tap` | shows each sample | shows each message |
//! | `dedup` | passes what differs from the one before | sends what differs from the one before |
//! | `rate_limit` | passes at most so many a second | sends at most so many a second |
//! | `throttle` | passes the newest, once in an interval | sends the newest, once in an interval |
//!
//! What is withheld is counted by its reason: [`Withheld`]. Order stays; a wrapper neither adds a thread nor
//! allocates for a sample. The page about [wrappers](crate::guide::wrappers) shows them at work.

mod callback;
mod dedup;
mod gate;
mod pull;
mod push;
mod rate_limit;
mod supply;
mod throttled_intent;
mod throttled_interest;
mod time;
mod wait;
mod want;
mod withheld;
mod wrapped_intent;
mod wrapped_interest;

#[cfg(test)]
mod tests;

pub use callback::{Feed, WrappedSubscription};
pub use dedup::{ByKey, Dedup, Whole};
pub use gate::Filter;
pub use rate_limit::RateLimit;
pub use supply::Supply;
pub use throttled_intent::ThrottledIntent;
pub use throttled_interest::ThrottledInterest;
pub use want::Want;
pub use withheld::Withheld;
pub use wrapped_intent::{Look, MappedIntent, WrappedIntent};
pub use wrapped_interest::{Map, Tap, WrappedInterest};
