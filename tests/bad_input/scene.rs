//! An endpoint under attack, with an honest peer whose traffic must not notice.

use super::raw_peer::{RawPeer, SOON};
use bowline::{Bytes, Endpoint, EndpointBuilder, Event, Intent, Interest, PeerName, Reason, ReasonCode};
use parking_lot::{Mutex, MutexGuard};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// One test at a time: they measure what the whole process holds.
pub fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock()
}

pub struct Scene {
    /// The one that is attacked.
    pub robot: Endpoint,
    honest: Endpoint,
    down: Intent<u64>,
    down_there: Interest<u64>,
    up: Intent<u64>,
    up_here: Interest<u64>,
    sent: AtomicU64,
}

impl Scene {
    /// The robot listens at `listen`, and is besides set as `settings` says.
    pub fn set(listen: &str, settings: impl FnOnce(EndpointBuilder) -> EndpointBuilder) -> Self {
        let builder = Endpoint::builder("robot").listen(listen).listen(unused("memory"));
        let robot = settings(builder.event_capacity(1 << 16)).start().expect("starts");
        let url = format!("{}/robot", robot.listening()[1]);
        let honest = Endpoint::builder("honest").connect(url).start().expect("starts");
        let down: Intent<u64> = robot.intent("robot.count").expect("intent");
        let down_there: Interest<u64> = honest.interest("robot.count").expect("interest");
        let up: Intent<u64> = honest.intent("honest.count").expect("intent");
        let up_here: Interest<u64> = robot.interest("honest.count").expect("interest");
        assert!(down.wait_interest(SOON) && up.wait_interest(SOON));
        let scene = Self { robot, honest, down, down_there, up, up_here, sent: AtomicU64::new(0) };
        scene.goes_on();
        while scene.robot.events().try_recv().is_some() {}
        while scene.honest.events().try_recv().is_some() {}
        scene
    }

    /// What the robot listens at, for the attacker.
    pub fn url(&self) -> &str {
        &self.robot.listening()[0]
    }

    pub fn attacker(&self) -> RawPeer {
        RawPeer::join(self.url(), "villain")
    }

    /// Samples flow between the robot and the honest peer, both ways, and soon.
    pub fn goes_on(&self) {
        let number = self.sent.fetch_add(1, Ordering::Relaxed);
        let began = Instant::now();
        self.down.send(number).expect("sends");
        assert_eq!(*self.down_there.recv_timeout(SOON).expect("arrives"), number);
        self.up.send(number).expect("sends");
        assert_eq!(*self.up_here.recv_timeout(SOON).expect("arrives"), number);
        assert!(began.elapsed() < Duration::from_secs(1), "the honest peer waited {:?}", began.elapsed());
    }

    /// Why the robot's link to the attacker ended.
    pub fn verdict(&self) -> Reason {
        self.next_event("LinkDown of the attacker", |event| match event {
            Event::LinkDown { peer, reason } if !is_honest(peer) => Some(reason.clone()),
            _ => None,
        })
    }

    /// Waits for an event of the robot. The link to the honest peer must stay meanwhile.
    pub fn next_event<T>(&self, what: &str, wanted: impl Fn(&Event) -> Option<T>) -> T {
        let deadline = Instant::now() + SOON;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let event = self.robot.events().recv_timeout(left);
            let event = event.unwrap_or_else(|| panic!("no {what} in time"));
            self.must_stay(&event);
            if let Some(found) = wanted(&event) {
                return found;
            }
        }
    }

    fn must_stay(&self, event: &Event) {
        if let Event::LinkDown { peer, reason } = event {
            assert!(!is_honest(peer), "the honest peer's link ended: {reason}");
        }
        assert!(!matches!(event, Event::ThreadPanicked { .. }), "{event:?}");
    }

    /// The attacker was told why by a BYE with this code and in words, the robot's application by an event
    /// with the same, and nobody else noticed.
    pub fn convicts(&self, attacker: &RawPeer, code: ReasonCode, offence: &str) {
        let (told, words) = attacker.bye();
        assert_eq!(told, code as u8, "{offence}: {words}");
        let verdict = self.verdict();
        assert_eq!(verdict.code(), code, "{offence}: {verdict}");
        assert_eq!(verdict.text(), words, "{offence}");
        assert!(!verdict.is_by_peer() && words.len() > 10, "{offence}: {verdict}");
        self.goes_on();
    }

    /// Ends all; nothing else may have gone wrong.
    pub fn close(self) {
        self.goes_on();
        while let Some(event) = self.robot.events().try_recv() {
            self.must_stay(&event);
        }
        assert!(self.honest.close(SOON) && self.robot.close(SOON));
    }

    /// How many samples of `path` the honest peer gets.
    pub fn honest_interest(&self, path: &str, settings: bowline::InterestSettings) -> Interest<Bytes> {
        self.honest.interest_with(path, settings).expect("interest")
    }
}

fn is_honest(peer: &PeerName) -> bool {
    peer.path.as_ref().is_some_and(|path| path.as_str() == "honest")
}

/// An address that nobody uses.
pub fn unused(scheme: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let process = std::process::id();
    match scheme {
        "tcp" => "tcp://127.0.0.1:0".to_owned(),
        "unix" => {
            let place = std::env::temp_dir().join(format!("bowline-bad-{process}-{number}.sock"));
            format!("unix://{}", place.display())
        }
        _ => format!("memory://bad-{process}-{number}"),
    }
}
