//! The acceptor thread of a listener.

use super::clock::Clock;
use super::input::Input;
use super::line::Line;
use super::refusals::Refusals;
use super::session::{self, LineSettings};
use super::threads::Threads;
use crate::diagnosis::Diagnosis;
use crate::transport::{Connection, Listener};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What an acceptor thread needs.
pub(crate) struct Acceptor {
    pub(crate) scheme: String,
    pub(crate) listener: Arc<dyn Listener>,
    /// Nothing is sent; its end is the endpoint's.
    pub(crate) closed: Receiver<()>,
    pub(crate) dispatcher: Sender<Input>,
    pub(crate) clock: Clock,
    pub(crate) threads: Threads,
    pub(crate) settings: LineSettings,
    /// Accepted connections alive, of all listeners of the endpoint.
    pub(crate) alive: Arc<AtomicUsize>,
    pub(crate) alive_limit: usize,
}

impl Acceptor {
    /// Accepts until the endpoint closes.
    pub(crate) fn run(self) {
        let mut pause = FIRST_PAUSE;
        let refusals = Refusals::new(self.url());
        while !self.is_closed() {
            match self.listener.accept() {
                Ok(connection) => {
                    pause = FIRST_PAUSE;
                    self.begin(connection, &refusals);
                }
                Err(_) if self.is_closed() => return,
                Err(error) => {
                    let found = error.get_ref().and_then(|inner| inner.downcast_ref::<Diagnosis>());
                    let text = match found {
                        Some(found) => found.to_string(),
                        None => format!("cannot accept: {error}; trying again in {pause:?}"),
                    };
                    // Out of descriptors, most likely: accepting at once again would spin.
                    if !self.report(text) {
                        return;
                    }
                    if self.closed.recv_timeout(pause) == Err(RecvTimeoutError::Disconnected) {
                        return;
                    }
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    fn is_closed(&self) -> bool {
        matches!(self.closed.try_recv(), Err(crossbeam_channel::TryRecvError::Disconnected))
    }

    fn begin(&self, connection: Arc<dyn Connection>, refusals: &Arc<Refusals>) {
        if self.alive.load(Ordering::Relaxed) >= self.alive_limit {
            log::warn!("{}: refused, {} connections are open", connection.remote(), self.alive_limit);
            connection.close();
            refusals.count(&self.dispatcher);
            return;
        }
        let url = format!("{}://{}", self.scheme, connection.remote());
        let line =
            Line::new(url, connection, self.clock, self.settings.outbox_bytes, self.dispatcher.clone());
        line.set_fragment(self.settings.fragment_bytes);
        self.alive.fetch_add(1, Ordering::Relaxed);
        let (threads, settings, dispatcher) = (self.threads.clone(), self.settings, self.dispatcher.clone());
        let (alive, reading) = (Arc::clone(&self.alive), Arc::clone(&line));
        let started = self.threads.start(format!("bowline/reader {}", line.url), move || {
            let (begin, begun) = bounded(1);
            let told = dispatcher.send(Input::Accepted(Arc::clone(&reading), begin));
            if told.is_ok() && begun.recv().is_ok() {
                session::run(&reading, &threads, &settings, &dispatcher);
            } else {
                reading.abort();
            }
            alive.fetch_sub(1, Ordering::Relaxed);
        });
        if let Err(error) = started {
            self.alive.fetch_sub(1, Ordering::Relaxed);
            line.abort();
            self.report(format!("no thread to read {} with: {error}", line.url));
        }
    }

    fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.listener.address())
    }

    /// Tells the application; false once nobody listens.
    fn report(&self, text: String) -> bool {
        let url = self.url();
        log::warn!("{url}: {text}");
        self.dispatcher.send(Input::ListenerFault { url, text }).is_ok()
    }
}

/// How long to wait after the first failed accept, and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
