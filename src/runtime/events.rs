//! The bounded stream of events.

use crate::event::Event;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

#[cfg(feature = "testing")]
use crate::sync::world;

/// Where the dispatcher and groups put events: it never waits, the oldest goes when nobody reads.
#[derive(Clone)]
pub(crate) struct EventSender {
    sender: Sender<Event>,
    receiver: Receiver<Event>,
    missed: Arc<AtomicU64>,
}

/// The events of one endpoint, in order.
///
/// At most as many wait as [`EndpointBuilder::event_capacity`](crate::EndpointBuilder::event_capacity)
/// says; then the oldest go, and the next one read is [`Event::Missed`] with their number. An event
/// is read once: two threads that read share them.
///
/// ```
/// use bowline::Endpoint;
/// let robot = Endpoint::builder("robot").start()?;
/// assert!(robot.events().try_recv().is_none());
/// robot.close(std::time::Duration::from_secs(1));
/// assert_eq!(robot.events().iter().count(), 0); // ends once the endpoint is closed
/// # Ok::<(), bowline::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Events {
    receiver: Receiver<Event>,
    missed: Arc<AtomicU64>,
}

/// A stream that keeps `capacity` events.
pub(crate) fn events(capacity: usize) -> (EventSender, Events) {
    let (sender, receiver) = bounded(capacity);
    let missed = Arc::new(AtomicU64::new(0));
    let ours = EventSender { sender, receiver: receiver.clone(), missed: Arc::clone(&missed) };
    (ours, Events { receiver, missed })
}

impl EventSender {
    pub(crate) fn send(&self, event: Event) {
        let mut event = event;
        while let Err(TrySendError::Full(back)) = self.sender.try_send(event) {
            event = back;
            if self.receiver.try_recv().is_ok() {
                self.missed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl Events {
    /// Waits for the next event; `None` once the endpoint is closed and all were read.
    pub fn recv(&self) -> Option<Event> {
        #[cfg(feature = "testing")]
        if world::is_entered() {
            return self.simulated(None);
        }
        self.missed().or_else(|| self.receiver.recv().ok())
    }

    /// The next event if one waits.
    pub fn try_recv(&self) -> Option<Event> {
        self.missed().or_else(|| self.receiver.try_recv().ok())
    }

    /// Waits for the next event for at most `timeout`; `None` when it passed or the endpoint is closed.
    pub fn recv_timeout(&self, timeout: Duration) -> Option<Event> {
        #[cfg(feature = "testing")]
        if world::is_entered() {
            return self.simulated(crate::time::instant().checked_add(timeout));
        }
        self.missed().or_else(|| self.receiver.recv_timeout(timeout).ok())
    }

    /// All events from now on; it waits for each, and ends when the endpoint is closed.
    pub fn iter(&self) -> impl Iterator<Item = Event> + '_ {
        std::iter::from_fn(|| self.recv())
    }

    /// Lets the world go on until there is one.
    #[cfg(feature = "testing")]
    fn simulated(&self, deadline: Option<std::time::Instant>) -> Option<Event> {
        loop {
            if let Some(event) = self.missed() {
                return Some(event);
            }
            match self.receiver.try_recv() {
                Ok(event) => return Some(event),
                Err(crossbeam_channel::TryRecvError::Disconnected) => return None,
                Err(crossbeam_channel::TryRecvError::Empty) => {}
            }
            if world::step(deadline) != Some(true) {
                return self.try_recv();
            }
        }
    }

    fn missed(&self) -> Option<Event> {
        match self.missed.swap(0, Ordering::Relaxed) {
            0 => None,
            count => Some(Event::Missed { count }),
        }
    }
}
