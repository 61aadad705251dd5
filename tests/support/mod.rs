//! Two endpoints, over each kind of link, and waiting for what happens to them.

#![allow(dead_code, reason = "each test program uses a part of it")]

pub mod tap;

use bowline::{Endpoint, EndpointBuilder, Event, Events};
use std::io::Write;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

/// Longer than anything that must happen takes, even on a machine that does much else.
pub const SOON: Duration = Duration::from_secs(20);

/// Long enough for something wrong to happen, short enough to wait for.
pub const MOMENT: Duration = Duration::from_millis(50);

/// From now on a thread of bowline that panics ends the whole program: a test that looks at no events would not notice.
pub fn panics_end_the_program() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let thread = std::thread::current();
            if let Some(name) = thread.name().filter(|name| name.starts_with("bowline/")) {
                // Not what a test prints, which would be lost with the program.
                let _ = writeln!(std::io::stderr(), "{name}: {panic}");
                std::process::abort();
            }
            usual(panic);
        }));
    });
}

/// Where the two sides of a route are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Tcp,
    Udp,
    Memory,
    Unix,
    /// Both in one endpoint.
    Local,
}

impl Kind {
    pub fn listen(self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        match self {
            Kind::Tcp => "tcp://127.0.0.1:0".to_owned(),
            Kind::Udp => "udp://127.0.0.1:0".to_owned(),
            Kind::Unix => {
                let number = NEXT.fetch_add(1, Ordering::Relaxed);
                let name = format!("bowline-pair-{}-{number}.sock", std::process::id());
                format!("unix://{}", std::env::temp_dir().join(name).display())
            }
            _ => format!("memory://pair-{}", NEXT.fetch_add(1, Ordering::Relaxed)),
        }
    }
}

/// A robot that supplies and a desk that wants; the desk dials.
pub struct Pair {
    pub robot: Arc<Endpoint>,
    pub desk: Arc<Endpoint>,
}

pub fn pair(kind: Kind) -> Pair {
    pair_with(kind, |robot| robot, |desk| desk)
}

pub fn pair_with(
    kind: Kind,
    robot: impl FnOnce(EndpointBuilder) -> EndpointBuilder,
    desk: impl FnOnce(EndpointBuilder) -> EndpointBuilder,
) -> Pair {
    let robot = robot(Endpoint::builder("robot")).listen(kind.listen()).start().expect("the robot starts");
    let robot = Arc::new(robot);
    if kind == Kind::Local {
        return Pair { desk: Arc::clone(&robot), robot };
    }
    let desk = desk(Endpoint::builder("desk")).connect(url(&robot)).start().expect("the desk starts");
    Pair { robot, desk: Arc::new(desk) }
}

/// Where to dial an endpoint.
pub fn url(endpoint: &Endpoint) -> String {
    format!("{}/{}", endpoint.listening()[0], endpoint.path())
}

/// One more endpoint that dials another.
pub fn dial(path: &str, to: &Endpoint) -> Endpoint {
    dial_at(path, to, |builder| builder)
}

/// The same, with settings.
pub fn dial_at(
    path: &str,
    to: &Endpoint,
    settings: impl FnOnce(EndpointBuilder) -> EndpointBuilder,
) -> Endpoint {
    settings(Endpoint::builder(path)).connect(url(to)).start().expect("starts")
}

/// Waits for events of one endpoint, in any order, and remembers those it passed.
pub struct Watch {
    events: Events,
    seen: Vec<Event>,
}

impl Watch {
    pub fn new(endpoint: &Endpoint) -> Self {
        Self { events: endpoint.events().clone(), seen: Vec::new() }
    }

    /// The first event, past or to come, that `wanted` takes; it is forgotten.
    pub fn find<T>(&mut self, wanted: impl Fn(&Event) -> Option<T>) -> T {
        let deadline = Instant::now() + SOON;
        let mut from = 0;
        loop {
            while let Some(event) = self.seen.get(from) {
                if let Some(found) = wanted(event) {
                    self.seen.remove(from);
                    return found;
                }
                from += 1;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Some(event) => self.seen.push(event),
                None => panic!("the event did not come; these did: {:#?}", self.seen),
            }
        }
    }

    pub fn wait(&mut self, wanted: impl Fn(&Event) -> bool) {
        self.find(|event| wanted(event).then_some(()));
    }

    /// All events so far, and forgets them.
    pub fn all(&mut self) -> Vec<Event> {
        self.seen.extend(std::iter::from_fn(|| self.events.try_recv()));
        std::mem::take(&mut self.seen)
    }

    pub fn link_is_up(&mut self) {
        self.wait(|event| matches!(event, Event::LinkUp { .. }));
    }
}

/// Waits until something holds that no event tells.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !holds() {
        assert!(Instant::now() < deadline, "in vain until {what}");
        std::thread::yield_now();
    }
}

/// Makes a test of each kind of route from a function that takes the kind.
#[macro_export]
macro_rules! each_kind {
    ($($name:ident),+ $(,)?) => {
        $(mod $name {
            use $crate::support::Kind;

            #[test]
            fn over_tcp() {
                super::$name(Kind::Tcp);
            }

            #[test]
            fn over_udp() {
                super::$name(Kind::Udp);
            }

            #[test]
            fn over_memory() {
                super::$name(Kind::Memory);
            }

            #[test]
            fn in_one_process() {
                super::$name(Kind::Local);
            }
        })+
    };
}

/// The same for routes between two endpoints only.
#[macro_export]
macro_rules! each_link {
    ($($name:ident),+ $(,)?) => {
        $(mod $name {
            use $crate::support::Kind;

            #[test]
            fn over_tcp() {
                super::$name(Kind::Tcp);
            }

            #[test]
            fn over_udp() {
                super::$name(Kind::Udp);
            }

            #[test]
            fn over_memory() {
                super::$name(Kind::Memory);
            }
        })+
    };
}
