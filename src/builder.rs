//! How an endpoint is started.

use crate::endpoint::{End, Ending, Endpoint};
use crate::error::Error;
use crate::health::HealthLimits;
use crate::path::Path;
use crate::peer::group::GroupUrl;
use crate::peer::{ListenUrl, Scope};
use crate::proto::group::GroupSettings;
use crate::proto::{Engine, EngineSettings, silence};
use crate::runtime::acceptor::Acceptor;
use crate::runtime::clock::Clock;
use crate::runtime::dial::Dialler;
use crate::runtime::dispatcher::{Dispatcher, Ends, Parts};
use crate::runtime::events::events;
use crate::runtime::gate::Gate;
use crate::runtime::group::Group;
use crate::runtime::session::LineSettings;
use crate::runtime::threads::Threads;
use crate::transport::{Cancel, Memory, Serial, Tcp, Transport, Udp};
use crate::wire::message::max_frame;
use crate::wire::packed::OVERHEAD;
use crossbeam_channel::{RecvTimeoutError, bounded};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize};
use std::time::Duration;

mod health;
mod peers;
#[cfg(feature = "testing")]
mod stepped;

/// An endpoint that is being set up. Nothing is checked or done before [`start`](Self::start).
///
/// ```
/// use bowline::{Endpoint, Scope};
/// use std::time::Duration;
/// let robot = Endpoint::builder("robot.base")
///     .listen("tcp://127.0.0.1:0")
///     .connect("tcp://127.0.0.1:7401/robot.arm") // need not be there yet
///     .scope(Scope::Own)
///     .ping_interval(Duration::from_millis(100))
///     .start()?;
/// # Ok::<(), bowline::Error>(())
/// ```
#[must_use = "an endpoint exists once it is started"]
pub struct EndpointBuilder {
    path: String,
    listen: Vec<String>,
    /// Each a peer, with the links to it.
    connect: Vec<Vec<String>>,
    join: Vec<String>,
    transports: Vec<Arc<dyn Transport>>,
    relay: Vec<String>,
    scope: Scope,
    ping_interval: Duration,
    handshake_deadline: Duration,
    redial: (Duration, Duration),
    redial_refused: Duration,
    lease: Duration,
    health: HealthLimits,
    dial_timeout: Duration,
    largest_message: usize,
    outbox_bytes: usize,
    fragment_bytes: Option<usize>,
    event_capacity: usize,
    link_limit: usize,
}

impl EndpointBuilder {
    pub(crate) fn new(path: String) -> Self {
        Self {
            path,
            listen: Vec::new(),
            connect: Vec::new(),
            join: Vec::new(),
            transports: built_in(),
            relay: Vec::new(),
            scope: Scope::Open,
            ping_interval: Duration::from_secs(1),
            handshake_deadline: Duration::from_secs(2),
            redial: (Duration::from_millis(100), Duration::from_secs(5)),
            redial_refused: Duration::from_secs(30),
            lease: Duration::from_secs(10),
            health: HealthLimits::new(),
            dial_timeout: Duration::from_secs(2),
            largest_message: 1 << 20,
            outbox_bytes: 64 << 10,
            fragment_bytes: None,
            event_capacity: 1024,
            link_limit: 1024,
        }
    }

    /// Listens at a URL such as `tcp://0.0.0.0:7400` or `unix:///run/robot.sock`. Can be given often.
    pub fn listen(mut self, url: impl Into<String>) -> Self {
        self.listen.push(url.into());
        self
    }

    /// Joins a group: `udp://239.1.1.1:7400`, where a sample is sent once for all members. Can be given often.
    ///
    /// Members find each other by themselves, by a datagram each [`ping_interval`](Self::ping_interval);
    /// [`MemberJoined`](crate::Event::MemberJoined) and [`MemberLeft`](crate::Event::MemberLeft) tell. A sample
    /// is one datagram, sent by the thread that calls `send`, and only while some member is interested. Nothing
    /// is repeated: what is lost is counted as lost [on the way](crate::LostAt::OnTheWay) by whoever missed
    /// it, which tells the sender about once a second. Interests that ask for `lossless` are refused there, in
    /// words, by a [`RouteRefused`](crate::Event::RouteRefused) on both sides. A sample that does not
    /// fit a datagram is [`TooLarge`](crate::Fate::TooLarge) for the group. Ages count from the fastest of
    /// the sender's last 16 announcements, so they are too small by what that one took on its way.
    ///
    /// | Option | Default | |
    /// | --- | --- | --- |
    /// | `ttl=` 1 to 255 | 1 | how many networks it may pass, the own included |
    /// | `interface=` | the system's choice | a network by its name (Linux, IPv6) or own IPv4 address |
    /// | `loopback=0` | 1 | whether other programs of this machine hear it |
    /// | `reuse=0` | 1 | whether other programs of this machine may join too |
    /// | `broadcast=1` | | marks the broadcast address of a network, as `10.0.0.255`; 255.255.255.255 needs no mark |
    /// | `mtu=` 576 to 65507 | 1200 | the largest datagram; 40 bytes of it are not payload |
    /// | `scope=own` or `open` | the endpoint's | whose routes members may supply |
    ///
    /// Bounds: 256 other members, 16,384 intents and interests of them all, 512 KiB in the system.
    ///
    /// ```
    /// use bowline::{Endpoint, Intent, Interest};
    /// use std::time::Duration;
    /// let group = "udp://239.255.77.1:47012?interface=127.0.0.1";
    /// let (robot, desk) = (Endpoint::builder("robot").join(group).start()?, Endpoint::builder("desk").join(group).start()?);
    /// let (speed, wanted): (Intent<f64>, Interest<f64>) = (robot.intent("robot.speed")?, desk.interest("robot.speed")?);
    /// assert!(speed.wait_interest(Duration::from_secs(5)));
    /// speed.send(1.5)?;
    /// assert_eq!(*wanted.recv_timeout(Duration::from_secs(5))?, 1.5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn join(mut self, url: impl Into<String>) -> Self {
        self.join.push(url.into());
        self
    }

    /// Adds a transport for a scheme of its own; one for a scheme there already is replaces it.
    pub fn transport(mut self, transport: impl Transport) -> Self {
        self.transports.retain(|known| known.scheme() != transport.scheme());
        self.transports.push(Arc::new(transport));
        self
    }

    /// Passes routes under `prefix` on between this endpoint's links. Can be given often.
    ///
    /// What one peer supplies there, the others can want of this endpoint as if it were its own, and the other way
    /// round: a board on a serial line is used from any peer on the network. `robot.mcu` stands for
    /// `robot.mcu` itself and all below it, not for `robot.mcu2`; a hashed route goes by its readable prefix.
    /// Nothing is decoded, delivery and schema are between the two ends, and a lossless route stays lossless on each
    /// hop. Relays can be chained, side by side, or in a ring: see [the guide](crate::guide::relay).
    ///
    /// Where [`Scope::Own`] rules a link, only routes under this endpoint's own path are passed on to it.
    ///
    /// ```
    /// use bowline::{Endpoint, Intent, Interest};
    /// use std::time::Duration;
    /// # let wait = Duration::from_secs(5);
    /// let gateway = Endpoint::builder("gateway")
    ///     .listen("tcp://127.0.0.1:0")
    ///     .listen("memory://relay-doc") // a board would hang on `.connect("serial:///dev/ttyUSB0/…")`
    ///     .relay("robot.mcu")
    ///     .start()?;
    /// let board = Endpoint::builder("robot.mcu").connect("memory://relay-doc/gateway").start()?;
    /// let desk = Endpoint::builder("desk").connect(gateway.listening()[0].as_str()).start()?;
    ///
    /// let speed: Intent<f64> = board.intent("robot.mcu.speed")?;
    /// let wanted: Interest<f64> = desk.interest("robot.mcu.speed")?;
    /// assert!(speed.wait_interest(wait));
    /// speed.send(1.5)?;
    /// assert_eq!(*wanted.recv_timeout(wait)?, 1.5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn relay(mut self, prefix: impl Into<String>) -> Self {
        self.relay.push(prefix.into());
        self
    }

    /// Whose routes a peer may supply. Default: [`Scope::Open`], any.
    pub fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// How often each peer is pinged. A peer that is silent for 3.5 times as long is down, so this is
    /// what decides how soon a dead link is found. The limits that TCP is given follow from it too: see
    /// [`Tcp`](crate::transport::Tcp). Default: 1 s. Range: 1 ms to 1 h.
    pub fn ping_interval(mut self, interval: Duration) -> Self {
        self.ping_interval = interval;
        self
    }

    /// How long a handshake may take. Default: 2 s. Range: 1 ms to 1 h.
    pub fn handshake_deadline(mut self, deadline: Duration) -> Self {
        self.handshake_deadline = deadline;
        self
    }

    /// How long to wait before dialling again: `min` after the first failure, twice as long after each
    /// next one, at most `max`; each varied at random by a quarter. Defaults: 100 ms, 5 s.
    /// Range: 1 ms to 1 h.
    ///
    /// It is not waited for longer where the network says that the way is open again: when a cable is plugged in, a
    /// radio network joined or an address assigned, TCP and UDP peers that wait are dialled within 0.1 s and at most
    /// `min`, and the waits begin at `min` again. Serial ports wait 0.5 s at most.
    pub fn redial(mut self, min: Duration, max: Duration) -> Self {
        self.redial = (min, max);
        self
    }

    /// How long one attempt to connect may take. Default: 2 s. Range: 1 ms to 1 h.
    pub fn dial_timeout(mut self, timeout: Duration) -> Self {
        self.dial_timeout = timeout;
        self
    }

    /// The largest encoded message that is sent or taken, in bytes; each peer is told. Default: 1 MiB.
    /// Range: 64 B to 1 GiB. A link may hold a few buffers of this size.
    pub fn largest_message(mut self, bytes: usize) -> Self {
        self.largest_message = bytes;
        self
    }

    /// How many bytes of samples may wait to be written to each link, and as many that found it
    /// full. Default: 64 KiB, which stays in the cache: more is slower (measured).
    /// Range: 1 KiB to 1 GiB. One sample may wait even if it is larger.
    pub fn outbox_bytes(mut self, bytes: usize) -> Self {
        self.outbox_bytes = bytes;
        self
    }

    /// How many bytes of large samples are written to a link at once. A larger one goes in pieces, of at most 64 KiB,
    /// between which others go: an [urgent](crate::Priority::Urgent) sample waits for one such write, and for what the
    /// system holds already. Small pieces cost more system calls.
    ///
    /// Default: what suits the line. On one of known speed, as a serial one, what it carries in 20 ms, but at least 512
    /// bytes; on others what it was measured to carry in 1 ms, between 16 KiB and 1 MiB, and 64 KiB before.
    /// Range: 256 B to 1 MiB. It has no effect towards peers that take no pieces.
    ///
    /// ```
    /// use bowline::Endpoint;
    /// let rover = Endpoint::builder("rover").fragment_bytes(2 << 10).start()?; // over a radio of 1 Mbit/s: 16 ms
    /// # Ok::<(), bowline::Error>(())
    /// ```
    pub fn fragment_bytes(mut self, bytes: usize) -> Self {
        self.fragment_bytes = Some(bytes);
        self
    }

    /// How many events may wait to be read; then the oldest go. Default: 1024. Range: 1 to 1,048,576.
    pub fn event_capacity(mut self, events: usize) -> Self {
        self.event_capacity = events;
        self
    }

    /// How many links there may be, dialled and accepted, beside 100 whose handshake is not done.
    /// Default: 1024. Range: 1 to 65,536.
    pub fn link_limit(mut self, links: usize) -> Self {
        self.link_limit = links;
        self
    }

    /// Checks the settings, opens the listeners, and starts the threads.
    ///
    /// Connecting goes on in the background and is reported by [events](crate::Event): a peer that is
    /// not there yet is no error.
    ///
    /// # Errors
    /// When a path, URL or setting is not valid, an address cannot be listened at, or the system gives
    /// no thread. The error names the value, the rule, and the way out.
    pub fn start(self) -> Result<Endpoint, Error> {
        self.check()?;
        let path = Path::parse(&self.path)?;
        let relay = self.relay.iter().map(|prefix| Path::parse(prefix)).collect::<Result<_, _>>()?;
        let peers = self.peers()?;
        let places: Vec<_> = self.listen.iter().map(|url| ListenUrl::parse(url)).collect::<Result<_, _>>()?;
        let joined: Vec<_> = self.join.iter().map(|url| GroupUrl::parse(url)).collect::<Result<_, _>>()?;
        for scheme in
            peers.iter().flatten().map(|url| url.scheme()).chain(places.iter().map(ListenUrl::scheme))
        {
            self.transport_for(scheme)?;
        }
        let clock = Clock::start();
        let (dispatcher, inputs) = bounded(INPUTS);
        let (event_sender, events) = events(self.event_capacity);
        let threads = Threads::new(dispatcher.clone());
        let mut listeners = Vec::new();
        for place in &places {
            let listen = self.transport_for(place.scheme())?.listen(place.target());
            let listener =
                listen.map_err(|source| Error::Listen { url: place.as_str().to_owned(), source })?;
            listeners.push((place.scheme().to_owned(), listener));
        }
        let mut groups = Vec::new();
        for url in &joined {
            let settings = self.group_settings(url, path.clone());
            let group = Group::open(url, settings, clock, event_sender.clone(), dispatcher.clone());
            groups.push(group.map_err(|source| Error::Join { url: url.url.clone(), source })?);
        }
        let listening =
            listeners.iter().map(|(scheme, listener)| format!("{scheme}://{}", listener.address())).collect();
        let mut engine = Engine::new(self.engine_settings(path.clone(), relay));
        let settings = LineSettings {
            max_frame: self.max_frame(),
            outbox_bytes: self.outbox_bytes,
            fragment_bytes: self.fragment_bytes,
            dial_timeout: self.dial_timeout,
            silence: silence(self.ping_interval),
        };
        let cancel = Cancel::default();
        let mut dials = BTreeMap::new();
        for (link, url) in
            peers.iter().flat_map(|urls| engine.diallers(clock.now(), urls)).collect::<Vec<_>>()
        {
            let (order, orders) = bounded(2);
            let transport = Arc::clone(self.transport_for(url.scheme())?);
            let name = format!("bowline/reader {url}");
            let dialler = Dialler {
                link,
                url,
                transport,
                orders,
                cancel: cancel.clone(),
                dispatcher: dispatcher.clone(),
                clock,
                threads: threads.clone(),
                settings,
            };
            threads.start(name, move || dialler.run()).map_err(thread_error)?;
            dials.insert(link, order);
        }
        let (acceptors, closed) = bounded(0);
        let alive = Arc::new(AtomicUsize::new(0));
        for (scheme, listener) in &listeners {
            let acceptor = Acceptor {
                scheme: scheme.clone(),
                listener: Arc::clone(listener),
                closed: closed.clone(),
                dispatcher: dispatcher.clone(),
                clock,
                threads: threads.clone(),
                settings,
                alive: Arc::clone(&alive),
                alive_limit: self.link_limit + 2 * PENDING,
            };
            let name = format!("bowline/acceptor {scheme}://{}", listener.address());
            threads.start(name, move || acceptor.run()).map_err(thread_error)?;
        }
        for group in &groups {
            let (reading, closed) = (Arc::clone(group), closed.clone());
            let pause = move |span| closed.recv_timeout(span) == Err(RecvTimeoutError::Disconnected);
            let name = format!("bowline/group {}", group.url());
            threads.start(name, move || reading.run(pause)).map_err(thread_error)?;
        }
        let listeners = listeners.into_iter().map(|(_, listener)| listener).collect();
        let gate = Arc::new(Gate::default());
        let (acceptors, threads_too) = (Some(acceptors), threads.clone());
        let ends = Ends { gate: Arc::clone(&gate), listeners, acceptors, cancel, threads: threads_too };
        let group_views = groups.clone();
        let parts = Parts { engine, clock, inputs, events: event_sender, dials, groups, ends };
        let ending = Ending::default();
        let done = Arc::clone(&ending.done);
        let run = move || {
            let mut ending = ending;
            ending.in_time = Dispatcher::new(parts).run();
        };
        let thread = threads.spawn(format!("bowline/dispatcher {path}"), run).map_err(thread_error)?;
        Ok(Endpoint {
            path,
            listening,
            dispatcher,
            clock,
            events,
            groups: group_views,
            largest: self.largest_message,
            next_id: AtomicU32::new(1),
            declared: Mutex::default(),
            links: Mutex::default(),
            end: End { thread: Mutex::new(Some(thread)), done, gate },
        })
    }

    #[cfg(feature = "testing")]
    pub(crate) fn path_text(&self) -> &str {
        &self.path
    }

    fn check(&self) -> Result<(), Error> {
        let spans = [
            ("ping_interval", self.ping_interval),
            ("handshake_deadline", self.handshake_deadline),
            ("redial", self.redial.0),
            ("redial", self.redial.1),
            ("dial_timeout", self.dial_timeout),
        ];
        for (name, span) in spans {
            let range = Duration::from_millis(1)..=Duration::from_secs(3600);
            require(name, range.contains(&span), format!("{span:?}"), "it is 1 ms to 1 h")?;
        }
        self.check_health()?;
        self.check_lease()?;
        let (min, max) = self.redial;
        require("redial", min <= max, format!("{min:?}, {max:?}"), "the first is at most the second")?;
        let numbers = [
            ("largest_message", self.largest_message, 64, 1 << 30, "it is 64 B to 1 GiB"),
            ("outbox_bytes", self.outbox_bytes, 1 << 10, 1 << 30, "it is 1 KiB to 1 GiB"),
            ("fragment_bytes", self.fragment_bytes.unwrap_or(1 << 16), 256, 1 << 20, "it is 256 B to 1 MiB"),
            ("event_capacity", self.event_capacity, 1, 1 << 20, "it is 1 to 1,048,576"),
            ("link_limit", self.link_limit, 1, 1 << 16, "it is 1 to 65,536"),
        ];
        for (name, value, least, most, rule) in numbers {
            require(name, (least..=most).contains(&value), value.to_string(), rule)?;
        }
        Ok(())
    }

    fn transport_for(&self, scheme: &str) -> Result<&Arc<dyn Transport>, Error> {
        let found = self.transports.iter().find(|transport| transport.scheme() == scheme);
        found.ok_or_else(|| {
            let known: Vec<_> = self.transports.iter().map(|transport| transport.scheme()).collect();
            Error::UnknownScheme { scheme: scheme.to_owned(), known: known.join(", ") }
        })
    }

    fn max_frame(&self) -> u32 {
        // A packed payload has a byte more.
        max_frame(self.largest_message.saturating_add(OVERHEAD))
    }

    fn group_settings(&self, url: &GroupUrl, path: Path) -> GroupSettings {
        let mut instance = [0; 16];
        fastrand::fill(&mut instance);
        GroupSettings {
            url: url.url.clone(),
            path,
            scope: url.scope.unwrap_or(self.scope),
            instance,
            seed: fastrand::u64(..),
            interval: self.ping_interval,
            mtu: url.mtu,
        }
    }

    fn engine_settings(&self, path: Path, relay: Vec<Path>) -> EngineSettings {
        let mut instance = [0; 16];
        fastrand::fill(&mut instance);
        let mut settings = EngineSettings::new(path, instance, fastrand::u64(..));
        settings.scope = self.scope;
        settings.relay = relay;
        settings.ping_interval = self.ping_interval;
        settings.handshake_deadline = self.handshake_deadline;
        (settings.backoff_min, settings.backoff_max) = self.redial;
        settings.refused_wait = self.redial_refused;
        settings.lease = self.lease;
        settings.health = self.health;
        settings.max_frame = self.max_frame();
        settings.max_pending = PENDING;
        settings.max_links = self.link_limit;
        settings
    }
}

fn require(name: &'static str, holds: bool, value: String, rule: &str) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(Error::InvalidSetting { name, value, rule: rule.to_owned() }) }
}

fn thread_error(source: std::io::Error) -> Error {
    Error::Thread { source }
}

fn built_in() -> Vec<Arc<dyn Transport>> {
    let transports: Vec<Arc<dyn Transport>> = vec![
        Arc::new(Tcp),
        Arc::new(Udp),
        #[cfg(unix)]
        Arc::new(crate::transport::Unix),
        Arc::new(Memory),
        Arc::new(Serial::default()),
    ];
    #[cfg(feature = "testing")]
    let transports = {
        use crate::transport::fault::Fault;
        let faulty = transports.iter().map(|inner| Arc::new(Fault::by_options(Arc::clone(inner))));
        let faulty: Vec<_> = faulty.map(|faulty| faulty as Arc<dyn Transport>).collect();
        [transports, faulty].concat()
    };
    transports
}

/// How many inputs of all threads may wait for the dispatcher, at some 100 bytes each.
const INPUTS: usize = 1024;

/// How many accepted connections may be in their handshake; beyond, the oldest is closed.
const PENDING: usize = 100;
