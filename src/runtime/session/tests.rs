//! Connections that are handed over while their writers are stuck.

use super::*;
use crate::event::PeerName;
use crate::proto::{LinkId, Order};
use crate::runtime::clock::Clock;
use crate::runtime::line::Word;
use crate::runtime::reader::tests::{MAX_FRAME, Script, frame, handshake, hear_final, next_input, scripted};
use crate::transport::Connection;
use crate::wire::control::Control;
use crossbeam_channel::{Receiver, bounded};
use parking_lot::{Condvar, Mutex};
use std::io;
use std::thread::JoinHandle;

/// Says what a script does, takes nothing until it is closed, and is tended for as long as it is asked to.
struct Stuck {
    script: Arc<Script>,
    closed: Mutex<bool>,
    closes: Condvar,
    /// When that ended.
    tended: Mutex<Option<Instant>>,
}

impl Stuck {
    fn wait_closed(&self) {
        self.closes.wait_while(&mut self.closed.lock(), |closed| !*closed);
    }
}

impl Connection for Stuck {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.script.read(buffer)? {
            0 => {
                self.wait_closed();
                Ok(0)
            }
            count => Ok(count),
        }
    }

    fn write(&self, _: &[u8]) -> io::Result<usize> {
        self.wait_closed();
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn tend(&self, busy: &dyn Fn() -> bool) {
        while busy() {
            std::thread::yield_now();
        }
        *self.tended.lock() = Some(Instant::now());
    }

    fn close(&self) {
        *self.closed.lock() = true;
        self.closes.notify_all();
    }

    fn remote(&self) -> String {
        "stuck".into()
    }
}

/// A connection whose peer said RESUME, and that is stuck; what its dispatcher hears, and the thread that runs it.
struct Bench {
    stuck: Arc<Stuck>,
    line: Arc<Line>,
    inputs: Receiver<Input>,
    run: JoinHandle<()>,
}

impl Bench {
    fn new(silence: Duration) -> Self {
        let script = Script::new(1 << 16);
        let resume = Control::Resume { received: 7, turn: 1 };
        script.say(&[handshake(), frame(&resume)].concat(), usize::MAX);
        let stuck = Arc::new(Stuck {
            script,
            closed: Mutex::new(false),
            closes: Condvar::new(),
            tended: Mutex::new(None),
        });
        let (dispatcher, inputs) = bounded(64);
        let connection: Arc<dyn Connection> = stuck.clone();
        let line = Line::new("stuck://".to_owned(), connection, Clock::start(), 1 << 16, dispatcher.clone());
        line.set_id(LinkId(2));
        line.send(&Control::Marked { number: 1 }, Order::Ahead);
        let settings = LineSettings {
            max_frame: MAX_FRAME,
            outbox_bytes: 1 << 16,
            fragment_bytes: None,
            dial_timeout: silence,
            silence,
        };
        let running = Arc::clone(&line);
        let threads = Threads::new(dispatcher.clone());
        let run = std::thread::spawn(move || run(&running, &threads, &settings, &dispatcher));
        hear_final(&line, &inputs);
        line.word(Word::GoOn);
        assert!(matches!(next_input(&line, &inputs), LineInput::Control(_, control) if control == resume));
        Self { stuck, line, inputs, run }
    }

    /// The end of its line, or that it was let go of. Where it is tended for ever, nothing comes.
    fn end(&self) -> Input {
        loop {
            match self.inputs.recv_timeout(Duration::from_secs(20)).expect("it ends") {
                Input::Ready(_) => {}
                other => break other,
            }
        }
    }
}

#[test]
fn a_line_that_is_handed_over_is_tended_for_no_longer_than_its_peer_may_be_silent() {
    const SILENCE: Duration = Duration::from_millis(50);
    let (session, _inputs) = scripted(&Script::new(1 << 16));
    let bench = Bench::new(SILENCE);
    let begun = Instant::now();
    bench.line.word(Word::HandOver(session, 7));
    let ended = bench.end();
    assert!(matches!(ended, Input::LineEnded(ended) if Arc::ptr_eq(&ended, &bench.line)));
    bench.run.join().unwrap();
    assert!(
        bench.stuck.tended.lock().is_some_and(|ended| ended - begun >= SILENCE),
        "for that long it may be busy"
    );
}

#[test]
fn a_connection_that_a_session_lets_go_of_before_it_is_attached_is_let_go_of() {
    // By silence it would end long after this gave up.
    let bench = Bench::new(Duration::from_secs(3600));
    let (session, _inputs) = scripted(&Script::new(1 << 16));
    session.set_id(LinkId(1));
    session.up(Arc::new(PeerName { path: None, url: "stuck://".to_owned() }), MAX_FRAME, true, true);
    assert!(session.release() && session.let_go());
    session.will_attach(&bench.line);
    bench.line.word(Word::HandOver(Arc::clone(&session), 0));
    assert!(session.release());
    let ended = bench.end();
    assert!(matches!(ended, Input::LetGo(ended, 0, _) if Arc::ptr_eq(&ended, &session)));
    assert!(session.is_let_go() && !session.is_carried());
    bench.run.join().unwrap();
}
