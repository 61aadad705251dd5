//! The reader thread of a dialled link, which also dials, and dials again.

use super::clock::Clock;
use super::input::Input;
use super::line::Line;
use super::session::{self, LineSettings};
use super::threads::Threads;
use crate::diagnosis::Diagnosis;
use crate::peer::PeerUrl;
use crate::proto::LinkId;
use crate::transport::{Cancel, Transport};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::sync::Arc;

/// What a dialling thread needs.
pub(crate) struct Dialler {
    pub(crate) link: LinkId,
    pub(crate) transport: Arc<dyn Transport>,
    /// Each order is one attempt to connect; the end of the channel ends the thread.
    pub(crate) orders: Receiver<Arc<PeerUrl>>,
    pub(crate) cancel: Cancel,
    pub(crate) dispatcher: Sender<Input>,
    pub(crate) clock: Clock,
    pub(crate) threads: Threads,
    pub(crate) settings: LineSettings,
}

impl Dialler {
    /// Connects when told to, and reads what the connection brings until it ends.
    pub(crate) fn run(self) {
        while let Ok(url) = self.orders.recv() {
            let dialled = self.transport.dial(url.target(), self.settings.dial_timeout, &self.cancel);
            let input = match dialled {
                Ok(connection) => {
                    let dispatcher = self.dispatcher.clone();
                    let line = Line::new(
                        url.to_string(),
                        connection,
                        self.clock,
                        self.settings.outbox_bytes,
                        dispatcher,
                    );
                    line.set_fragment(self.settings.fragment_bytes);
                    let (begin, begun) = bounded(1);
                    let told = self.dispatcher.send(Input::Dialled(self.link, Arc::clone(&line), begin));
                    if told.is_ok() && begun.recv().is_ok() {
                        session::run(&line, &self.threads, &self.settings, &self.dispatcher);
                    } else {
                        line.abort();
                    }
                    continue;
                }
                Err(error) => {
                    let found = error.get_ref().and_then(|inner| inner.downcast_ref::<Diagnosis>());
                    Input::DialFailed(self.link, error.to_string(), found.cloned())
                }
            };
            if self.dispatcher.send(input).is_err() {
                return;
            }
        }
    }
}
