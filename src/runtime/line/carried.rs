//! A line whose session goes on over another connection.
//!
//! ```text
//!            release, or the end            both threads ended: let_go
//!  carried ───────────────────► released ─────────────────────────────► let go
//!     ▲                            ▲                                       │
//!     └───── attach ──────┐        └── attach ── recalled                  │
//!                         │                          ▲ release             │
//!                         └──────────────────────── coming ◄── will_attach ┘
//! ```
//! The connection to come has a thread of its own, that has yet to hear of it and may first have things to write. If it is
//! lost meanwhile the line is still attached: its threads find that out, and what came by it is known as ever.
//!
//! From each state [`finish`](Line::finish) and [`abort`](Line::abort) end it for good.

use super::{Line, Load, Out};
use crate::event::PeerName;
use crate::flow::batch::Batch;
use crate::flow::outbox::Outbox;
use crate::flow::outbox::Rank;
use crate::reason::Reason;
use crate::runtime::input::LineInput;
use crate::sync::atomic::Ordering;
use crate::transport::Connection;
use std::sync::{Arc, OnceLock};

/// Whether a connection carries the line.
pub(super) enum Carried {
    Yes,
    /// The connection is closed, and the threads are about to end.
    Released,
    /// They ended.
    LetGo,
    /// This one is to carry it next.
    Coming(Arc<dyn Connection>),
    /// That one was given up, and closed.
    Recalled,
}

/// How much waits to be written at most, and how large pieces are, on lines of any speed.
pub(super) struct Sizes {
    pub(super) capacity: usize,
    /// The bytes of a piece that were set.
    pub(super) stride: OnceLock<usize>,
}

impl Sizes {
    /// Fits an outbox to a line of that many bytes a second.
    pub(super) fn fit(&self, outbox: &mut Outbox, rate: Option<u64>) {
        let rate = rate.map(|rate| usize::try_from(rate).unwrap_or(usize::MAX));
        outbox.set_capacity(rate.map_or(self.capacity, |rate| self.capacity.min(rate / SLOW_LINE_AHEAD)));
        let fits = rate.map(|rate| (rate / SLOW_LINE_STRIDE).clamp(LEAST_STRIDE, MOST_STRIDE));
        outbox.set_stride(self.stride.get().copied().or(fits));
    }
}

impl Line {
    /// Who is at the other end, by the link that carries it from now on.
    pub(crate) fn set_peer(&self, peer: Arc<PeerName>) {
        *self.peer.lock() = Some(peer);
    }

    /// Whether a connection carries it.
    #[inline]
    pub(crate) fn is_carried(&self) -> bool {
        self.carried.load(Ordering::Relaxed)
    }

    /// Closes the connection and keeps all else, for another one; false where the line ends with its connection.
    pub(crate) fn release(&self) -> bool {
        let mut out = self.out.lock();
        if !out.outbox.resumes() || out.outbox.is_closed() {
            return false;
        }
        let mut coming = None;
        out.carried = match std::mem::replace(&mut out.carried, Carried::Recalled) {
            Carried::Yes => {
                self.carried.store(false, Ordering::Relaxed);
                Carried::Released
            }
            Carried::Coming(connection) => {
                coming = Some(connection);
                Carried::Recalled
            }
            other => other,
        };
        drop(out);
        self.connection.close();
        if let Some(connection) = coming {
            connection.close();
        }
        self.token.leave();
        true
    }

    /// Both threads are done with the connection; false where the line ended with it.
    pub(crate) fn let_go(&self) -> bool {
        let mut out = self.out.lock();
        if !matches!(out.carried, Carried::Released) || out.outbox.is_closed() {
            return false;
        }
        // The writer did so, where there was one.
        out.outbox.suspend(Vec::new(), Batch::default());
        out.carried = Carried::LetGo;
        true
    }

    /// Whether it has neither a connection nor threads, as far as they have not come yet.
    pub(crate) fn is_let_go(&self) -> bool {
        matches!(self.out.lock().carried, Carried::LetGo | Carried::Coming(_) | Carried::Recalled)
    }

    /// It goes on over the connection of `other` as soon as its thread [attaches](Self::attach) it.
    pub(crate) fn will_attach(&self, other: &Line) {
        let connection = other.connection.current();
        let mut out = self.out.lock();
        if matches!(out.carried, Carried::LetGo) {
            out.carried = Carried::Coming(connection);
        }
    }

    /// The writer ends once all that waits is written, and the connection goes on for another line.
    pub(crate) fn retire(&self) {
        self.finish(None, true, false);
    }

    /// Goes on over the connection of `other`, whose threads are this one's from now on, from where the peer stands.
    /// False if it ended meanwhile; if it was to let go of that connection meanwhile, it is closed.
    pub(crate) fn attach(&self, other: &Line, received: u64) -> bool {
        let connection = other.connection.current();
        let rate = connection.rate();
        let way = self.peer().map(|peer| peer.url.clone()).unwrap_or_default();
        let unsure = self.connection.current().unsure();
        let exact = unsure.is_none() && connection.unsure().is_none();
        self.connection.replace(Arc::clone(&connection));
        let mut out = self.out.lock();
        if !matches!(out.carried, Carried::Coming(_) | Carried::Recalled) || out.outbox.is_closed() {
            drop(out);
            connection.close();
            return false;
        }
        self.sizes.fit(&mut out.outbox, rate);
        out.outbox.note_links(&unsure.unwrap_or_default(), exact);
        let lanes: Vec<_> = out.outbox.ranks().collect();
        drop(out);
        self.inlets.lock().go_on();
        // Before anything is written there.
        for Rank { alias, lossless, priority, copied } in lanes {
            connection.lane(alias, lossless);
            connection.priority(alias, priority);
            if copied {
                connection.copied(alias);
            }
        }
        for (count, others) in [
            (&self.bytes_in, &other.bytes_in),
            (&self.bytes_out, &other.bytes_out),
            (&self.heard, &other.heard),
        ] {
            count.store(others.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        let mut out = self.out.lock();
        out.outbox.set_way(&way);
        let resumed = out.outbox.resume(received, rate);
        let stays = matches!(out.carried, Carried::Coming(_));
        out.carried = if stays { Carried::Yes } else { Carried::Released };
        self.carried.store(stays, Ordering::Relaxed);
        drop(out);
        if let Err(reason) = resumed {
            self.input(LineInput::Fault(reason));
        }
        true
    }

    /// For the writer: it ends, and this is what it could not write to its end.
    pub(crate) fn broke(&self, load: &mut Load) {
        let Load { urgent, batch } = std::mem::take(load);
        self.out.lock().outbox.suspend(urgent, batch);
    }

    /// For the writer, which gives back what it wrote: whether it is to end, as the connection is closed.
    pub(super) fn is_released(out: &mut Out, load: &mut Load) -> bool {
        if !matches!(out.carried, Carried::Released) {
            return false;
        }
        let Load { urgent, batch } = std::mem::take(load);
        out.outbox.suspend(urgent, batch);
        true
    }

    /// All that was sent before this mark came.
    pub(crate) fn marked(&self, number: u64) -> Result<(), Reason> {
        let mut out = self.out.lock();
        if out.outbox.marked(number)? {
            self.wake_after(out);
        }
        Ok(())
    }
}

/// What part of a second's worth of a slow line may wait to be written: what waits there is late.
const SLOW_LINE_AHEAD: usize = 20;

/// What part of a second's worth of a line of known speed one piece of a large sample is, and its bounds in bytes:
/// below, what stands before each piece would cost too much.
const SLOW_LINE_STRIDE: usize = 50;
const LEAST_STRIDE: usize = 512;
const MOST_STRIDE: usize = 64 * 1024;
