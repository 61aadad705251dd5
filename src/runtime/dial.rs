//! The reader thread of a dialled link, which also dials, dials again, and watches the network until then.

use super::clock::Clock;
use super::input::Input;
use super::line::Line;
use super::session::{self, LineSettings};
use super::threads::Threads;
use crate::diagnosis::Diagnosis;
use crate::peer::PeerUrl;
use crate::proto::LinkId;
use crate::transport::{Cancel, Outlook, Transport};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::sync::Arc;
use std::time::Duration;

/// What a dialling thread needs.
pub(crate) struct Dialler {
    pub(crate) link: LinkId,
    pub(crate) url: Arc<PeerUrl>,
    pub(crate) transport: Arc<dyn Transport>,
    /// The end of the channel ends the thread.
    pub(crate) orders: Receiver<Order>,
    pub(crate) cancel: Cancel,
    pub(crate) dispatcher: Sender<Input>,
    pub(crate) clock: Clock,
    pub(crate) threads: Threads,
    pub(crate) settings: LineSettings,
}

/// What a dialling thread is told to do.
pub(crate) enum Order {
    /// One attempt to connect, which is answered.
    Dial(Arc<PeerUrl>),
    /// To look at the network until the next order, and tell when the way to the peer opens.
    Watch,
}

impl Dialler {
    /// Connects when told to, and reads what the connection brings until it ends.
    pub(crate) fn run(self) {
        // How the way was before the last attempt: what opened during it, the attempt may have missed.
        let mut outlook = Outlook::default();
        let mut order = self.orders.recv().ok();
        while let Some(now) = order {
            order = match now {
                Order::Watch => self.watch(&mut outlook),
                Order::Dial(url) => {
                    outlook = self.transport.outlook(url.target());
                    match self.dial(&url) {
                        // What changed while the link was up is no news.
                        Dialled::Ended => outlook = self.transport.outlook(url.target()),
                        Dialled::Failed => {}
                        Dialled::NobodyListens => return,
                    }
                    self.orders.recv().ok()
                }
            };
        }
    }

    /// One attempt, and where it succeeds the connection up to its end.
    fn dial(&self, url: &Arc<PeerUrl>) -> Dialled {
        let dialled = self.transport.dial(url.target(), self.settings.dial_timeout, &self.cancel);
        let connection = match dialled {
            Ok(connection) => connection,
            Err(error) => {
                let found = error.get_ref().and_then(|inner| inner.downcast_ref::<Diagnosis>());
                let failed = Input::DialFailed(self.link, error.to_string(), found.cloned());
                let told = self.dispatcher.send(failed);
                return if told.is_ok() { Dialled::Failed } else { Dialled::NobodyListens };
            }
        };
        let dispatcher = self.dispatcher.clone();
        let line = Line::new(url.to_string(), connection, self.clock, self.settings.outbox_bytes, dispatcher);
        let (begin, begun) = bounded(1);
        let told = self.dispatcher.send(Input::Dialled(self.link, Arc::clone(&line), begin));
        if told.is_ok() && begun.recv().is_ok() {
            session::run(&line, &self.threads, &self.settings, &self.dispatcher);
        } else {
            line.abort();
        }
        Dialled::Ended
    }

    /// Watches until there is an order, which is returned.
    fn watch(&self, outlook: &mut Outlook) -> Option<Order> {
        loop {
            match self.orders.recv_timeout(LOOK_EVERY) {
                Ok(order) => return Some(order),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {}
            }
            let now = self.transport.outlook(self.url.target());
            if now.is_better_than(outlook) {
                log::debug!("{}: the network says that the way is open", self.url);
                if self.dispatcher.send(Input::WayOpened(self.link)).is_err() {
                    return None;
                }
            }
            *outlook = now;
        }
    }
}

/// What became of an attempt.
enum Dialled {
    /// There was a connection.
    Ended,
    Failed,
    NobodyListens,
}

/// How often the network is looked at while a link waits to be dialled again. A look takes some 20 µs, and once for
/// all links of a process some 40 µs for each network interface.
const LOOK_EVERY: Duration = Duration::from_millis(100);
