//! What a program holds of a route: messages or raw bytes, sent one by one or many at once, read or called for.

use crate::plans::{Plan, Reader};
use bowline::{
    Bytes, Endpoint, Fate, Intent, IntentSettings, Interest, InterestCounts, InterestSettings, Outcome,
    Sample, Subscription,
};
use serde::{Deserialize, Serialize};
use std::mem;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A sample.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Count {
    /// Of which intent it is, counted since the first.
    pub life: u32,
    pub number: u64,
    /// To be of some size: text is encoded at once, where bytes would be one by one.
    pub load: String,
}

impl Count {
    fn to_bytes(&self) -> Vec<u8> {
        [&self.life.to_le_bytes()[..], &self.number.to_le_bytes(), self.load.as_bytes()].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Self {
        let (life, rest) = bytes.split_first_chunk().expect("a life");
        let (number, load) = rest.split_first_chunk().expect("a number");
        let load = String::from_utf8(load.to_vec()).expect("its load");
        Self { life: u32::from_le_bytes(*life), number: u64::from_le_bytes(*number), load }
    }
}

/// An intent.
pub enum Outlet {
    Messages(Intent<Count>),
    Raw(Intent<Bytes>),
}

impl Outlet {
    pub fn new(endpoint: &Endpoint, plan: &Plan) -> Self {
        let settings = IntentSettings::new().links(plan.links.clone()).priority(plan.priority);
        let settings = if plan.retains { settings.retain() } else { settings };
        #[cfg(feature = "lz4")]
        let settings = settings.compression(plan.compression);
        match plan.raw {
            true => Self::Raw(endpoint.intent_with(&plan.path, settings).expect("an intent")),
            false => Self::Messages(endpoint.intent_with(&plan.path, settings).expect("an intent")),
        }
    }

    /// Sends some samples, of which there are several only where they are raw: how many were sent, and the least that
    /// became of them.
    pub fn send(&self, mut counts: Vec<Count>) -> (u64, Option<Outcome>) {
        let count = counts.len() as u64;
        let sent = |outcome| (count, Some(outcome));
        match self {
            Self::Messages(intent) => intent.try_send(counts.remove(0)).map_or((0, None), sent),
            Self::Raw(intent) => {
                let bytes: Vec<_> = counts.iter().map(Count::to_bytes).collect();
                let slices: Vec<_> = bytes.iter().map(|bytes| &bytes[..]).collect();
                match intent.send_slices(&slices, Duration::ZERO) {
                    Ok(outcome) => sent(outcome),
                    Err(error) => (error.into_inner() as u64, None),
                }
            }
        }
    }

    /// How many interests the last sample went past.
    pub fn passed_over(&self) -> u64 {
        let outcomes = match self {
            Self::Messages(intent) => intent.outcomes(),
            Self::Raw(intent) => intent.outcomes(),
        };
        outcomes.into_iter().filter(|(_, fate)| *fate == Fate::PassedOver).count() as u64
    }

    pub fn interested(&self) -> usize {
        match self {
            Self::Messages(intent) => intent.interested(),
            Self::Raw(intent) => intent.interested(),
        }
    }
}

/// An interest.
pub enum Inlet {
    Messages(Interest<Count>),
    Raw(Interest<Bytes>),
    Called(Subscription, Arc<Mutex<Vec<Count>>>),
}

impl Inlet {
    pub fn new(endpoint: &Endpoint, plan: &Plan, reader: &Reader) -> Self {
        let (path, settings) = (&plan.path, InterestSettings::new().delivery(reader.delivery));
        if !reader.called {
            return match plan.raw {
                true => Self::Raw(endpoint.interest_with(path, settings).expect("an interest")),
                false => Self::Messages(endpoint.interest_with(path, settings).expect("an interest")),
            };
        }
        let came = Arc::<Mutex<Vec<_>>>::default();
        let keep = Arc::clone(&came);
        let keep = move |count| keep.lock().expect("no panic").push(count);
        let subscription = match plan.raw {
            true => {
                let keep = move |bytes: Sample<Bytes>| keep(Count::from_bytes(&bytes));
                endpoint.on_sample(path, settings, keep)
            }
            false => endpoint.on_sample(path, settings, move |count: Sample<Count>| keep(count.into_inner())),
        };
        Self::Called(subscription.expect("a callback"), came)
    }

    /// All that came; raw bytes where they lie, or not.
    pub fn take(&self, lies: bool) -> Vec<Count> {
        match self {
            Self::Messages(interest) => {
                std::iter::from_fn(|| interest.try_recv().ok()).map(Sample::into_inner).collect()
            }
            Self::Raw(interest) if lies => {
                let mut counts = Vec::new();
                let mut show =
                    || interest.recv_slices(Duration::ZERO, |slice| counts.push(Count::from_bytes(&slice)));
                while show().is_ok() {}
                counts
            }
            Self::Raw(interest) => {
                let next = || interest.try_recv().ok();
                std::iter::from_fn(next).map(|bytes| Count::from_bytes(&bytes)).collect()
            }
            Self::Called(_, came) => mem::take(&mut came.lock().expect("no panic")),
        }
    }

    pub fn is_called(&self) -> bool {
        matches!(self, Self::Called(..))
    }

    pub fn suppliers(&self) -> usize {
        match self {
            Self::Messages(interest) => interest.suppliers(),
            Self::Raw(interest) => interest.suppliers(),
            Self::Called(subscription, _) => subscription.suppliers(),
        }
    }

    pub fn counts(&self) -> InterestCounts {
        match self {
            Self::Messages(interest) => interest.counts(),
            Self::Raw(interest) => interest.counts(),
            Self::Called(subscription, _) => subscription.counts(),
        }
    }
}
