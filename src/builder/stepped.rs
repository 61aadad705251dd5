//! How an endpoint of a simulated world is started: without threads and sockets.

use crate::builder::EndpointBuilder;
use crate::endpoint::{End, Ending, Endpoint};
use crate::error::Error;
use crate::path::Path;
use crate::peer::ListenUrl;
use crate::proto::{Engine, silence};
use crate::runtime::clock::Clock;
use crate::runtime::dispatcher::{Ends, Parts};
use crate::runtime::events::events;
use crate::runtime::gate::Gate;
use crate::runtime::session::LineSettings;
use crate::runtime::stepped::{Host, HostParts};
use crate::runtime::threads::{Tasks, Threads};
use crate::transport::Cancel;
use crossbeam_channel::{bounded, unbounded};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

impl EndpointBuilder {
    /// Checks the settings, and makes an endpoint that is stepped. `listen` says at which address it
    /// listens, as a transport would.
    pub(crate) fn start_stepped(
        self,
        clock: Clock,
        mut listen: impl FnMut(&str, &str) -> io::Result<String>,
    ) -> Result<(Endpoint, Host), Error> {
        self.check()?;
        let path = Path::parse(&self.path)?;
        let relay = self.relay.iter().map(|prefix| Path::parse(prefix)).collect::<Result<_, _>>()?;
        let peers = self.peers()?;
        let places: Vec<_> = self.listen.iter().map(|url| ListenUrl::parse(url)).collect::<Result<_, _>>()?;
        if let Some(url) = self.join.first() {
            let rule = "a simulated world has no groups; give the endpoints links to each other".to_owned();
            return Err(Error::InvalidSetting { name: "join", value: url.clone(), rule });
        }
        let mut listening = Vec::new();
        for place in &places {
            let address = listen(place.scheme(), place.address());
            let address =
                address.map_err(|source| Error::Listen { url: place.as_str().to_owned(), source })?;
            listening.push(format!("{}://{address}", place.scheme()));
        }
        // Without a bound, as nobody takes inputs while an application puts them there; it is stepped soon.
        let (dispatcher, inputs) = unbounded();
        let (event_sender, events) = events(self.event_capacity);
        let tasks = Tasks::default();
        let threads = Threads::tasks(dispatcher.clone(), &tasks);
        let mut engine = Engine::new(self.engine_settings(path.clone(), relay));
        let settings = LineSettings {
            max_frame: self.max_frame(),
            outbox_bytes: self.outbox_bytes,
            dial_timeout: self.dial_timeout,
            silence: silence(self.ping_interval),
            fragment_bytes: self.fragment_bytes,
        };
        let (mut dials, mut orders) = (BTreeMap::new(), Vec::new());
        for (link, _) in peers.iter().flat_map(|urls| engine.diallers(clock.now(), urls)).collect::<Vec<_>>()
        {
            let (order, ordered) = bounded(2);
            dials.insert(link, order);
            orders.push((link, ordered));
        }
        let gate = Arc::new(Gate::default());
        let ends = Ends {
            gate: Arc::clone(&gate),
            listeners: Vec::new(),
            acceptors: None,
            cancel: Cancel::default(),
            threads,
        };
        let parts = Parts { engine, clock, inputs, events: event_sender, dials, groups: Vec::new(), ends };
        let ending = Ending::default();
        let done = Arc::clone(&ending.done);
        let ended = Box::new(move |in_time| {
            let mut ending = ending;
            ending.in_time = in_time;
        });
        let inputs = dispatcher.clone();
        let host = Host::new(parts, HostParts { inputs, ended, dials: orders, tasks, settings });
        let endpoint = Endpoint {
            path,
            listening,
            dispatcher,
            clock,
            events,
            groups: Vec::new(),
            largest: self.largest_message,
            next_id: AtomicU32::new(1),
            declared: Mutex::default(),
            links: Mutex::default(),
            end: End { thread: Mutex::new(None), done, gate },
        };
        Ok((endpoint, host))
    }
}
