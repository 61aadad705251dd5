//! The threads of one endpoint: named, owned, joined.

use super::input::Input;
use crossbeam_channel::Sender;
use parking_lot::Mutex;
use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

/// The threads of one endpoint. A panic in one is reported to the dispatcher, not swallowed.
#[derive(Clone)]
pub(crate) struct Threads {
    running: Arc<Mutex<Vec<JoinHandle<()>>>>,
    dispatcher: Sender<Input>,
    /// What a simulated endpoint has instead: it is run by whoever steps it.
    #[cfg(feature = "testing")]
    tasks: Option<Tasks>,
}

/// What is to be run, in order.
#[cfg(feature = "testing")]
pub(crate) type Tasks = Arc<Mutex<std::collections::VecDeque<Box<dyn FnOnce() + Send>>>>;

impl Threads {
    pub(crate) fn new(dispatcher: Sender<Input>) -> Self {
        Self {
            running: Arc::default(),
            dispatcher,
            #[cfg(feature = "testing")]
            tasks: None,
        }
    }

    /// None: what is started is put among these.
    #[cfg(feature = "testing")]
    pub(crate) fn tasks(dispatcher: Sender<Input>, tasks: &Tasks) -> Self {
        Self { tasks: Some(Arc::clone(tasks)), ..Self::new(dispatcher) }
    }

    /// Starts a thread that [`join`](Self::join) will wait for.
    pub(crate) fn start(&self, name: String, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
        #[cfg(feature = "testing")]
        if let Some(tasks) = &self.tasks {
            tasks.lock().push_back(Box::new(body));
            return Ok(());
        }
        let handle = self.spawn(name, body)?;
        self.running.lock().push(handle);
        self.join();
        Ok(())
    }

    /// Starts a thread its caller joins.
    pub(crate) fn spawn(
        &self,
        name: String,
        body: impl FnOnce() + Send + 'static,
    ) -> io::Result<JoinHandle<()>> {
        let dispatcher = self.dispatcher.clone();
        thread::Builder::new().name(name.clone()).spawn(move || {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(body)) {
                let text = panic_text(panic.as_ref());
                log::error!("{name} panicked: {text}");
                let _ = dispatcher.send(Input::ThreadPanicked { thread: name, text });
            }
        })
    }

    /// Joins every thread that has ended, and returns how many have not.
    pub(crate) fn join(&self) -> usize {
        let (ended, left) = {
            let mut running = self.running.lock();
            let (ended, left) = std::mem::take(&mut *running).into_iter().partition(JoinHandle::is_finished);
            *running = left;
            (ended, running.len())
        };
        let ended: Vec<JoinHandle<()>> = ended;
        for thread in ended {
            // The body's panic was caught and reported inside the thread.
            let _ = thread.join();
        }
        left
    }
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    if let Some(text) = panic.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text.clone()
    } else {
        "a panic without a text".to_owned()
    }
}
