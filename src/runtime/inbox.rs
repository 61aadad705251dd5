//! An interest as the threads see it.

use super::outlets::Retained;
use super::signal::look_around;
use super::source::{Apart, Source, SourceRef};
use crate::bytes::{Bytes, Payload};
use crate::delivery::Delivery;
use crate::flow::Shared;
use crate::flow::coarse::Coarse;
use crate::flow::mailbox::{Mailbox, Slot};
use crate::flow::run::{Content, Run, Taken};
use crate::proto::InterestId;
use crate::route::Route;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{Condvar, Mutex};
use parking_lot::{ReentrantMutex, ReentrantMutexGuard};
use std::any::TypeId;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

#[cfg(feature = "testing")]
use crate::sync::{MutexGuard, world};

/// Where the samples of one interest go: to a mailbox, or to a callback at once.
pub(crate) struct Inbox {
    pub(crate) id: InterestId,
    pub(crate) route: Route,
    pub(crate) delivery: Delivery,
    /// The Rust type of its messages.
    pub(crate) message: TypeId,
    sink: Sink,
    state: Mutex<State>,
    /// Raised when there is something to read, a supplier came or went, or the end.
    ready: Condvar,
    closed: AtomicBool,
    /// Something was put in since the reader began to wait: a hint, looked at without the lock.
    filled: Apart<AtomicBool>,
    /// Losses of suppliers that are gone.
    past_lost_here: AtomicU64,
    past_lost_there: AtomicU64,
    past_lost_on_the_way: AtomicU64,
    /// Samples handed to the callback.
    called: AtomicU64,
    /// Samples for a callback that could not be called.
    passed_over: AtomicU64,
    /// Samples that came but are no such message.
    undecodable: AtomicU64,
}

struct State {
    mailbox: Mailbox<SourceRef>,
    now: Coarse,
    suppliers: Vec<SourceRef>,
}

enum Sink {
    Mailbox,
    /// Calls are made one at a time, on the thread that has the sample. This lock is held while the
    /// application's code runs: that is what the callback form is. A callback that is entered
    /// again by its own sends finds the cell borrowed, and the sample counts as lost.
    Callback(ReentrantMutex<RefCell<Option<Callback>>>),
}

/// The application's code for one sample.
pub(crate) type Callback = Box<dyn FnMut(Taken<'_, SourceRef>) -> Called + Send>;

/// What a call came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Called {
    Done,
    /// The sample was no such message; the application was not called.
    Undecodable,
    /// It must not be called again.
    Panicked,
}

/// What became of the samples of an interest so far.
pub(crate) struct Counts {
    pub(crate) received: u64,
    pub(crate) lost_here: u64,
    pub(crate) lost_there: u64,
    pub(crate) lost_on_the_way: u64,
    pub(crate) undecodable: u64,
}

thread_local! {
    /// How many callbacks this thread is in, one called by the sends of the other.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// What waiting ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    Ready,
    TimedOut,
    Closed,
}

impl Inbox {
    pub(crate) fn new(
        id: InterestId,
        route: Route,
        message: TypeId,
        delivery: Delivery,
        callback: Option<Callback>,
    ) -> Self {
        let sink = match callback {
            Some(callback) => Sink::Callback(ReentrantMutex::new(RefCell::new(Some(callback)))),
            None => Sink::Mailbox,
        };
        Self {
            id,
            route,
            delivery,
            message,
            sink,
            state: Mutex::new(State {
                mailbox: Mailbox::new(delivery),
                now: Coarse::default(),
                suppliers: Vec::new(),
            }),
            ready: Condvar::new(),
            closed: AtomicBool::new(false),
            filled: Apart::default(),
            past_lost_here: AtomicU64::new(0),
            past_lost_there: AtomicU64::new(0),
            past_lost_on_the_way: AtomicU64::new(0),
            called: AtomicU64::new(0),
            passed_over: AtomicU64::new(0),
            undecodable: AtomicU64::new(0),
        }
    }

    pub(crate) fn is_callback(&self) -> bool {
        matches!(self.sink, Sink::Callback(_))
    }

    /// How many samples a lossless interest lets each source have on the way; `None` for others.
    pub(crate) fn window(&self) -> Option<u32> {
        self.delivery.is_lossless().then(|| self.delivery.depth())
    }

    /// Puts samples in and wakes the reader.
    pub(crate) fn deliver(&self, mut run: Run<SourceRef>) {
        if self.is_callback() {
            while let Some(taken) = run.next() {
                self.call(taken);
            }
            return;
        }
        if self.closed.load(Ordering::Relaxed) {
            return;
        }
        self.state.lock().mailbox.put(run, SourceRef::note_lost);
        self.wake_reader();
    }

    /// Puts in a message of this process; false if nobody takes it any more.
    #[inline]
    pub(crate) fn deliver_local(&self, source: &SourceRef, message: Shared) -> bool {
        match &self.sink {
            Sink::Callback(cell) => {
                let Some(cell) = enter(cell) else {
                    // Nobody else numbers samples of this intent.
                    source.next_sequence();
                    return self.pass_over(source);
                };
                let sequence = source.next_sequence();
                let sent = source.clock.now();
                let content = Content::Local(message);
                self.call_locked(&cell, Taken { source, sequence, sent, content })
            }
            Sink::Mailbox => {
                let mut state = self.state.lock();
                if self.closed.load(Ordering::Relaxed) {
                    return false;
                }
                let State { mailbox, now, .. } = &mut *state;
                let sent = now.now(mailbox.is_empty(), || source.clock.now());
                let (sequence, lost) = (source.next_sequence(), SourceRef::note_lost);
                mailbox.put_local(source, sequence, sent, message, lost);
                drop(state);
                self.wake_reader();
                true
            }
        }
    }

    /// Puts in a message of this process as bytes, for an interest in another Rust type of the same shape;
    /// false if nobody takes it any more.
    #[cold]
    pub(crate) fn deliver_bytes(&self, source: &SourceRef, payload: &[u8]) -> bool {
        match &self.sink {
            Sink::Callback(cell) => {
                let Some(cell) = enter(cell) else {
                    source.next_sequence();
                    return self.pass_over(source);
                };
                let (sequence, sent) = (source.next_sequence(), source.clock.now());
                let content = Content::Encoded(Payload::new(payload));
                self.call_locked(&cell, Taken { source, sequence, sent, content })
            }
            Sink::Mailbox => {
                let mut state = self.state.lock();
                if self.closed.load(Ordering::Relaxed) {
                    return false;
                }
                let (sequence, sent) = (source.next_sequence(), source.clock.now());
                let run = Run::whole(source.clone(), sequence, sent, Bytes::copy_from_slice(payload));
                state.mailbox.put(run, SourceRef::note_lost);
                drop(state);
                self.wake_reader();
                true
            }
        }
    }

    /// Wakes the application's thread. Called after something was put in.
    #[inline]
    fn wake_reader(&self) {
        // Most often it is set already, and to write it again would take it from the reader's core.
        if !self.filled.0.load(Ordering::Relaxed) {
            self.filled.0.store(true, Ordering::Relaxed);
        }
        self.ready.notify_one();
    }

    /// Puts in a retained message of this process, unless its intent sent a newer one.
    ///
    /// A sample gets its number under the lock it is put in under, so this one never comes after a
    /// newer one, though it is another thread that gives it.
    pub(crate) fn deliver_first(&self, source: &SourceRef, retained: &Retained) {
        let Retained { sent, payload, .. } = retained;
        let sent = *sent;
        match &self.sink {
            Sink::Callback(cell) => {
                // The intent's own thread may be in another callback.
                let Some(cell) = enter(cell) else { return };
                if !source.has_sent() {
                    let sequence = source.next_sequence();
                    let content = Content::Encoded(Payload::of(payload));
                    self.call_locked(&cell, Taken { source, sequence, sent, content });
                }
            }
            Sink::Mailbox => {
                let mut state = self.state.lock();
                if !source.has_sent() {
                    let run = Run::whole(source.clone(), source.next_sequence(), sent, payload.clone());
                    state.mailbox.put(run, SourceRef::note_lost);
                    drop(state);
                    self.wake_reader();
                }
            }
        }
    }

    /// Puts the newest small sample of a `latest` interest in, without allocating.
    ///
    /// It has replaced `skipped` others before.
    pub(crate) fn replace(&self, taken: &Taken<'_, SourceRef>, skipped: u64) {
        if self.closed.load(Ordering::Relaxed) {
            return;
        }
        self.state.lock().mailbox.replace(taken, skipped, SourceRef::note_lost);
        self.wake_reader();
    }

    /// Hands a sample to the callback.
    pub(crate) fn call(&self, taken: Taken<'_, SourceRef>) {
        if let Sink::Callback(cell) = &self.sink {
            match enter(cell) {
                Some(cell) => self.call_locked(&cell, taken),
                None => self.pass_over(taken.source),
            };
            self.left();
        }
    }

    /// The callback was left: whoever does not want it any more may have found this thread in it.
    #[inline]
    fn left(&self) {
        if self.is_closed() {
            self.forget_callback();
        }
    }

    #[cold]
    fn forget_callback(&self) {
        if let Sink::Callback(cell) = &self.sink {
            let callback = cell.try_lock().and_then(|cell| cell.try_borrow_mut().ok()?.take());
            drop(callback);
        }
    }

    /// Enters the callback for several samples; `None` where that takes too long, or there is none.
    pub(crate) fn enter(&self) -> Option<Calls<'_>> {
        match &self.sink {
            Sink::Callback(cell) => enter(cell).map(|cell| Calls { inbox: self, cell: Some(cell) }),
            Sink::Mailbox => None,
        }
    }

    fn call_locked(&self, cell: &RefCell<Option<Callback>>, taken: Taken<'_, SourceRef>) -> bool {
        let (source, bytes) = (taken.source, taken.bytes());
        let Ok(mut callback) = cell.try_borrow_mut() else { return self.pass_over(source) };
        let Some(call) = callback.as_mut().filter(|_| !self.is_closed()) else { return false };
        // Only under the lock.
        self.called.store(self.called.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        DEPTH.set(DEPTH.get() + 1);
        let called = call(taken);
        DEPTH.set(DEPTH.get() - 1);
        match called {
            Called::Done => {}
            Called::Undecodable => self.note_undecodable(),
            Called::Panicked => self.close(),
        }
        if self.is_closed() {
            *callback = None;
        }
        drop(callback);
        source.took_one(bytes);
        true
    }

    /// A sample for a callback that cannot be called.
    #[cold]
    fn pass_over(&self, source: &SourceRef) -> bool {
        self.passed_over.fetch_add(1, Ordering::Relaxed);
        source.note_lost_here(1);
        source.took_one(0);
        false
    }

    /// Notes a sample that is no such message.
    #[cold]
    pub(crate) fn note_undecodable(&self) {
        self.undecodable.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes what may be read now; false if there is nothing.
    #[inline]
    pub(crate) fn take(&self, into: &mut VecDeque<Run<SourceRef>>) -> bool {
        self.state.lock().mailbox.take(into);
        !into.is_empty()
    }

    /// Takes the newest of a `latest` interest; false if there is none newer.
    pub(crate) fn take_latest(&self, into: &mut Slot<SourceRef>) -> bool {
        self.state.lock().mailbox.take_latest(into)
    }

    /// Waits until there is something to read.
    pub(crate) fn wait_ready(&self, deadline: Option<Instant>) -> Waited {
        #[cfg(feature = "testing")]
        if world::is_entered() {
            return self.wait(deadline, |state| !state.mailbox.is_empty());
        }
        if look_around(deadline, || self.filled.0.load(Ordering::Relaxed)) {
            self.filled.0.store(false, Ordering::Relaxed);
        }
        self.wait(deadline, |state| !state.mailbox.is_empty())
    }

    /// Waits until some intent supplies this interest.
    pub(crate) fn wait_supplier(&self, deadline: Option<Instant>) -> Waited {
        self.wait(deadline, |state| state.suppliers.iter().any(|source| source.has_begun()))
    }

    fn wait(&self, deadline: Option<Instant>, ready: impl Fn(&State) -> bool) -> Waited {
        let mut state = self.state.lock();
        loop {
            if ready(&state) {
                return Waited::Ready;
            }
            if self.closed.load(Ordering::Acquire) {
                return Waited::Closed;
            }
            #[cfg(feature = "testing")]
            if world::is_entered() {
                // Only there: elsewhere what comes while it is unlocked would be missed.
                match MutexGuard::unlocked(&mut state, || world::step(deadline)) {
                    Some(true) => continue,
                    _ => return if ready(&state) { Waited::Ready } else { Waited::TimedOut },
                }
            }
            match deadline {
                None => self.ready.wait(&mut state),
                Some(deadline) => {
                    if self.ready.wait_until(&mut state, deadline).timed_out() {
                        return if ready(&state) { Waited::Ready } else { Waited::TimedOut };
                    }
                }
            }
        }
    }

    /// Whether there is a supplier whose link is up, be it one that is about to begin.
    pub(crate) fn is_supplied(&self) -> bool {
        self.state.lock().suppliers.iter().any(|source| source.is_carried())
    }

    /// How many suppliers there are that may send.
    pub(crate) fn suppliers(&self) -> usize {
        self.state.lock().suppliers.iter().filter(|source| source.has_begun()).count()
    }

    /// Adds a supplier that is about to begin: [`supplier_came`](Self::supplier_came) says that it has. So
    /// its samples never come from nowhere, and whoever waited for it finds it ready to send.
    pub(crate) fn add_supplier(&self, source: SourceRef) {
        self.state.lock().suppliers.push(source);
    }

    /// A supplier was told that it may send.
    pub(crate) fn supplier_came(&self, source: &Source) {
        let state = self.state.lock();
        source.begin();
        drop(state);
        self.ready.notify_all();
    }

    pub(crate) fn remove_supplier(&self, source: &SourceRef) {
        let mut state = self.state.lock();
        state.suppliers.retain(|other| other != source);
        for (past, more) in [
            (&self.past_lost_here, source.lost_here()),
            (&self.past_lost_there, source.lost_there()),
            (&self.past_lost_on_the_way, source.lost_on_the_way()),
        ] {
            // One thread at a time does this, the dispatcher.
            past.store(past.load(Ordering::Relaxed).saturating_add(more), Ordering::Relaxed);
        }
        drop(state);
        self.ready.notify_all();
    }

    pub(crate) fn counts(&self) -> Counts {
        let state = self.state.lock();
        let all = |of: fn(&SourceRef) -> u64, past: &AtomicU64| {
            // What peers say they lost is any number.
            state.suppliers.iter().map(of).fold(past.load(Ordering::Relaxed), u64::saturating_add)
        };
        let called = self.called.load(Ordering::Relaxed) + self.passed_over.load(Ordering::Relaxed);
        Counts {
            received: state.mailbox.received() + called,
            lost_here: all(|source| source.lost_here(), &self.past_lost_here),
            lost_there: all(|source| source.lost_there(), &self.past_lost_there),
            lost_on_the_way: all(|source| source.lost_on_the_way(), &self.past_lost_on_the_way),
            undecodable: self.undecodable.load(Ordering::Relaxed),
        }
    }

    /// Nothing more comes in; what waits can still be read, and waiting ends.
    pub(crate) fn close(&self) {
        let state = self.state.lock();
        self.closed.store(true, Ordering::Release);
        drop(state);
        self.ready.notify_all();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Forgets what was not read, and the callback: nobody wants it any more.
    ///
    /// What a callback holds is dropped by the thread that dropped its subscription, or by the one that
    /// is in it just now; never by the dispatcher, which must not wait for what that may do.
    pub(crate) fn discard(&self) {
        self.close();
        self.state.lock().mailbox.clear();
        self.forget_callback();
    }
}

/// A thread that is in the callback, for several samples.
pub(crate) struct Calls<'a> {
    inbox: &'a Inbox,
    /// `None` once it was left.
    cell: Option<ReentrantMutexGuard<'a, RefCell<Option<Callback>>>>,
}

impl Calls<'_> {
    /// Hands a sample to it. Another thread that waits for the callback has the turn then.
    pub(crate) fn call(&mut self, taken: Taken<'_, SourceRef>) {
        if let Some(cell) = &mut self.cell {
            self.inbox.call_locked(cell, taken);
            ReentrantMutexGuard::bump(cell);
        }
    }
}

impl Drop for Calls<'_> {
    fn drop(&mut self) {
        self.cell = None;
        self.inbox.left();
    }
}

/// Waits until no other thread is in the callback.
///
/// Two callbacks that send to each other could wait for each other for ever. So a callback waits
/// for another only for a while, and what it sent is passed over then.
fn enter(
    cell: &ReentrantMutex<RefCell<Option<Callback>>>,
) -> Option<ReentrantMutexGuard<'_, RefCell<Option<Callback>>>> {
    if DEPTH.get() == 0 { Some(cell.lock()) } else { cell.try_lock_for(CALLBACK_PATIENCE) }
}

/// How long a callback waits for another one that it sends to, before its sample is lost.
const CALLBACK_PATIENCE: Duration = Duration::from_millis(100);

#[cfg(all(test, shuttle))]
mod interleaved;
