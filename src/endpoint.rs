//! One program's presence.

use crate::builder::EndpointBuilder;
use crate::error::{Error, quote};
use crate::flow::run::Taken;
use crate::intent::Intent;
use crate::interest::{Interest, Subscription, decode};
use crate::message::Message;
use crate::path::Path;
use crate::proto::{Declaration, IntentId, InterestId};
use crate::route::Route;
use crate::runtime::clock::Clock;
use crate::runtime::events::Events;
use crate::runtime::gate::Gate;
use crate::runtime::group::Group;
use crate::runtime::group::status::GroupStatus;
use crate::runtime::inbox::{Callback, Called, Inbox};
use crate::runtime::input::Input;
use crate::runtime::outlets::Outlets;
use crate::runtime::signal::Signal;
use crate::runtime::source::SourceRef;
use crate::runtime::status::LinkStatus;
use crate::runtime::threads::panic_text;
use crate::sample::Sample;
use crate::schema::Schema;
#[cfg(feature = "lz4")]
use crate::settings::Compression;
use crate::settings::{IntentSettings, InterestSettings, Naming};
use crate::time;
use crate::wire::kind::MAX_CODEC;
use crossbeam_channel::{RecvTimeoutError, SendTimeoutError, Sender, bounded};
use parking_lot::Mutex;
use std::any::TypeId;
use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// One program's presence, under a path of its own: its links, its intents and interests.
///
/// It is used from any number of threads by reference or in an `Arc`. Dropping it closes it, which
/// takes at most 0.75 s; [`close`](Endpoint::close) lets the program choose.
///
/// ```
/// use bowline::{Endpoint, Intent, Interest};
/// use std::time::Duration;
/// let robot = Endpoint::builder("robot.base").listen("tcp://127.0.0.1:0").start()?;
/// let desk = Endpoint::builder("desk").connect(robot.listening()[0].clone() + "/robot.base").start()?;
///
/// let speed: Intent<f64> = robot.intent("robot.base.speed")?;
/// let wanted: Interest<f64> = desk.interest("robot.base.speed")?;
/// assert!(speed.wait_interest(Duration::from_secs(5)));
/// speed.send(1.5)?;
/// let sample = wanted.recv_timeout(Duration::from_secs(5))?;
/// assert_eq!(*sample, 1.5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Endpoint {
    pub(crate) path: Path,
    pub(crate) listening: Vec<String>,
    pub(crate) dispatcher: Sender<Input>,
    pub(crate) clock: Clock,
    pub(crate) events: Events,
    pub(crate) groups: Vec<Arc<Group>>,
    pub(crate) largest: usize,
    pub(crate) next_id: AtomicU32,
    /// What is declared here, to tell at once that two types collide: the schema, and how many use it.
    pub(crate) declared: Mutex<HashMap<Route, Arc<Schema>>>,
    /// What [`links`](Endpoint::links) answered last.
    pub(crate) links: Mutex<Vec<LinkStatus>>,
    pub(crate) end: End,
}

/// How the end of the dispatcher thread is known.
pub(crate) struct End {
    pub(crate) thread: Mutex<Option<JoinHandle<()>>>,
    pub(crate) done: Arc<Done>,
    pub(crate) gate: Arc<Gate>,
}

/// Raised when the dispatcher thread ends; says whether every other thread did.
#[derive(Default)]
pub(crate) struct Done {
    pub(crate) signal: Signal,
    pub(crate) ended: AtomicBool,
    pub(crate) in_time: AtomicBool,
}

impl Endpoint {
    /// Begins an endpoint with this path, such as `robot.base`; see [`Path`] for the rules.
    pub fn builder(path: impl Into<String>) -> EndpointBuilder {
        EndpointBuilder::new(path.into())
    }

    /// The path of this endpoint.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The URLs it really listens at, in the order they were given: a port 0 is filled in.
    pub fn listening(&self) -> &[String] {
        &self.listening
    }

    /// Declares that this endpoint can supply `T@path`.
    ///
    /// # Errors
    /// When the path is not valid, the type's shape cannot be found, its codec's name is longer than 32
    /// bytes, the same route is declared in this endpoint with another type, or the endpoint is closed.
    pub fn intent<T: Message>(&self, path: &str) -> Result<Intent<T>, Error> {
        self.intent_with(path, IntentSettings::new())
    }

    /// As [`intent`](Endpoint::intent), with settings.
    ///
    /// # Errors
    /// As [`intent`](Endpoint::intent), or when a setting is out of its range.
    pub fn intent_with<T: Message>(&self, path: &str, settings: IntentSettings) -> Result<Intent<T>, Error> {
        #[cfg_attr(not(feature = "lz4"), allow(unused_mut, reason = "nothing is packed"))]
        let mut declaration = self.declaration::<T>(path, &settings.naming)?;
        #[cfg(feature = "lz4")]
        {
            declaration.packs = settings.compression != Compression::Off;
        }
        let id = IntentId(self.next_id());
        settings.check()?;
        let IntentSettings { exclusive, retain, priority, links, bounds, .. } = settings;
        let route = declaration.route.clone();
        let outlets = Outlets::new(id, route, TypeId::of::<T>(), exclusive, retain, bounds);
        let outlets = Arc::new(outlets.ranked(priority).over(links));
        self.tell(Input::DeclareIntent(Arc::clone(&outlets), declaration, settings.naming.expected))?;
        let dispatcher = self.dispatcher.clone();
        let intent = Intent::new(outlets, dispatcher, self.clock, settings.max_wait, self.largest);
        #[cfg(feature = "lz4")]
        let intent = intent.compresses(settings.compression);
        Ok(intent)
    }

    /// Declares that this endpoint wants `T@path`, in a queue of 64.
    ///
    /// # Errors
    /// As [`intent`](Endpoint::intent).
    pub fn interest<T: Message>(&self, path: &str) -> Result<Interest<T>, Error> {
        self.interest_with(path, InterestSettings::new())
    }

    /// As [`interest`](Endpoint::interest), with settings.
    ///
    /// # Errors
    /// As [`intent`](Endpoint::intent), or when a depth is out of range.
    pub fn interest_with<T: Message>(
        &self,
        path: &str,
        settings: InterestSettings,
    ) -> Result<Interest<T>, Error> {
        let inbox = self.declare_interest::<T>(path, &settings, |_| None)?;
        Ok(Interest::new(inbox, self.dispatcher.clone(), settings.fresh_for))
    }

    /// Declares that this endpoint wants `T@path`, and calls `callback` for each sample.
    ///
    /// This is the shortest path a sample can take: the call is made by the thread that received it,
    /// the link's reader, or, for an intent of this endpoint, the thread that sends. Hence the rules:
    ///
    /// - It must not block, wait, or compute for long: as long as it runs, nothing else is read from
    ///   that link, and an intent of this endpoint waits in its `send`. It may send
    ///   ([`try_send`](Intent::try_send)).
    /// - Calls are made one at a time. A sample that the callback itself causes, by sending on its own
    ///   route in this endpoint, is not delivered but counted as lost. So is one that a callback sends to
    ///   another one of this endpoint which does not return for 100 ms: two of them that send to each other
    ///   must not wait for each other for ever.
    /// - It must not call [`close`](Endpoint::close) on its endpoint: that would wait for itself until
    ///   the deadline.
    /// - If it panics, the panic is caught, it is never called again, its interest is withdrawn, and
    ///   [`Event::CallbackPanicked`](crate::Event::CallbackPanicked) says so. The link goes on.
    /// - A sample that cannot be decoded is passed over, logged, and
    ///   [counted](Subscription::counts).
    /// - Once the subscription is dropped no further call begins. One that is under way on another thread
    ///   may still end after that.
    ///
    /// With `lossless`, credit for the next sample is given when the callback returns.
    ///
    /// ```
    /// use bowline::{Endpoint, Intent, InterestSettings, Sample};
    /// use std::sync::mpsc::channel;
    /// use std::time::Duration;
    /// let robot = Endpoint::builder("robot").start()?;
    /// let (seen, seeing) = channel();
    /// let stop = robot.on_sample("robot.stop", InterestSettings::new(), move |stop: Sample<bool>| {
    ///     let _ = seen.send(*stop);
    /// })?;
    /// let button = robot.intent("robot.stop")?;
    /// assert!(stop.wait_intent(Duration::from_secs(1)));
    /// button.send(true)?;
    /// assert_eq!(seeing.recv_timeout(Duration::from_secs(1)), Ok(true));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`interest_with`](Endpoint::interest_with).
    pub fn on_sample<T: Message>(
        &self,
        path: &str,
        settings: InterestSettings,
        callback: impl FnMut(Sample<T>) + Send + 'static,
    ) -> Result<Subscription, Error> {
        let dispatcher = self.dispatcher.clone();
        let inbox =
            self.declare_interest::<T>(path, &settings, |id| Some(guarded(id, dispatcher, callback)))?;
        Ok(Subscription::new(inbox, self.dispatcher.clone()))
    }

    /// What changes: links, routes, losses, conflicts.
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// How each link is now. Empty once the endpoint is closed.
    ///
    /// The thread that knows answers within microseconds, as it waits for nobody. Should a
    /// [`transport`](crate::transport) keep it all the same, this returns after 1 s with what it answered last.
    pub fn links(&self) -> Vec<LinkStatus> {
        let until = time::instant() + LOOK;
        let (answer, answered) = bounded(1);
        let asked = self.end.gate.pass(|| self.dispatcher.send_deadline(Input::Status(answer), until));
        let links = match asked {
            None | Some(Err(SendTimeoutError::Disconnected(_))) => Ok(Vec::new()),
            #[cfg(feature = "testing")]
            Some(Ok(())) if crate::sync::world::settle() => {
                answered.try_recv().map_err(|_| RecvTimeoutError::Timeout)
            }
            Some(Ok(())) => answered.recv_deadline(until),
            Some(Err(SendTimeoutError::Timeout(_))) => Err(RecvTimeoutError::Timeout),
        };
        let mut known = self.links.lock();
        match links {
            Ok(links) => known.clone_from(&links),
            Err(RecvTimeoutError::Disconnected) => known.clear(),
            Err(RecvTimeoutError::Timeout) => {}
        }
        known.clone()
    }

    /// How each group is now that was [joined](EndpointBuilder::join), in the order they were given.
    pub fn groups(&self) -> Vec<GroupStatus> {
        self.groups.iter().map(|group| group.status()).collect()
    }

    /// Says BYE to all peers, writes what waits to be sent, and ends every thread.
    ///
    /// By the deadline, what was not written is dropped and connections are cut; ending takes at most
    /// 0.25 s more. True if everything was written and ended in time; false too where a callback does
    /// not return, whose thread is left behind. It can be called from several threads at once and
    /// again: all wait for the one end.
    ///
    /// ```
    /// use std::time::Duration;
    /// let robot = bowline::Endpoint::builder("robot").listen("tcp://127.0.0.1:0").start()?;
    /// assert!(robot.close(Duration::from_secs(1)));
    /// assert!(robot.interest::<u8>("robot.x").is_err_and(|error| error.is_closed()));
    /// # Ok::<(), bowline::Error>(())
    /// ```
    pub fn close(&self, deadline: Duration) -> bool {
        let done = &self.end.done;
        let until = time::instant() + deadline.min(LONGEST_CLOSE);
        let seen = done.signal.seen();
        if !done.ended.load(Ordering::Acquire) {
            // A full channel is being emptied by a dispatcher that ends already, or is about to.
            let _ = self.dispatcher.send_deadline(Input::Close(until), until);
            if !done.ended.load(Ordering::Acquire) {
                done.signal.wait(seen, Some(until + LEAVE));
            }
        }
        if !done.ended.load(Ordering::Acquire) {
            return false;
        }
        // It has said its last word; what is left of it is its return, which all wait for.
        let mut thread = self.end.thread.lock();
        if let Some(thread) = thread.take() {
            let _ = thread.join();
        }
        done.in_time.load(Ordering::Acquire)
    }

    fn declaration<T: Message>(&self, path: &str, naming: &Naming) -> Result<Declaration, Error> {
        if T::CODEC.len() > MAX_CODEC {
            let rule = format!("the name of a codec has at most {MAX_CODEC} bytes; both sides use the same");
            return Err(Error::InvalidSetting { name: "Message::CODEC", value: quote(T::CODEC), rule });
        }
        let (route, schema) = naming.resolve::<T>(path)?;
        let mut declared = self.declared.lock();
        let schema = match declared.get(&route) {
            Some(known) => {
                if let Some(difference) = known.difference(&schema) {
                    return Err(Error::TypeInUse { route, difference });
                }
                Arc::clone(known)
            }
            None => Arc::new(schema),
        };
        if declared.len() < REMEMBERED {
            declared.insert(route.clone(), Arc::clone(&schema));
        }
        Ok(Declaration { route, schema, codec: T::CODEC, packs: false })
    }

    fn declare_interest<T: Message>(
        &self,
        path: &str,
        settings: &InterestSettings,
        callback: impl FnOnce(InterestId) -> Option<Callback>,
    ) -> Result<Arc<Inbox>, Error> {
        settings.check()?;
        #[cfg_attr(not(feature = "lz4"), allow(unused_mut, reason = "nothing is unpacked"))]
        let mut declaration = self.declaration::<T>(path, &settings.naming)?;
        #[cfg(feature = "lz4")]
        {
            declaration.packs = !settings.uncompressed;
        }
        let id = InterestId(self.next_id());
        let route = declaration.route.clone();
        let inbox = Inbox::new(id, route, TypeId::of::<T>(), settings.delivery, callback(id));
        let inbox = Arc::new(inbox);
        self.tell(Input::DeclareInterest(Arc::clone(&inbox), declaration, settings.naming.expected))?;
        Ok(inbox)
    }

    fn next_id(&self) -> u32 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    fn tell(&self, input: Input) -> Result<(), Error> {
        let sent = self.end.gate.pass(|| self.dispatcher.send(input));
        sent.and_then(Result::ok).ok_or(Error::Closed)
    }
}

impl Done {
    fn end(&self, in_time: bool) {
        self.in_time.store(in_time, Ordering::Release);
        self.ended.store(true, Ordering::Release);
        self.signal.raise();
    }
}

/// Says that the dispatcher thread ended, however it did.
#[derive(Default)]
pub(crate) struct Ending {
    pub(crate) done: Arc<Done>,
    pub(crate) in_time: bool,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.done.end(self.in_time);
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Endpoint { path, listening, .. } = self;
        f.debug_struct("Endpoint").field("path", path).field("listening", listening).finish_non_exhaustive()
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.close(DROP_DEADLINE);
    }
}

/// The callback as the runtime calls it: samples decoded, panics caught and reported once.
fn guarded<T: Message>(
    id: InterestId,
    dispatcher: Sender<Input>,
    mut callback: impl FnMut(Sample<T>) + Send + 'static,
) -> Callback {
    Box::new(move |taken: Taken<'_, SourceRef>| {
        let route = &taken.source.route;
        let called = catch_unwind(AssertUnwindSafe(|| match decode(taken) {
            Ok(sample) => {
                callback(sample);
                Called::Done
            }
            Err(error) => {
                log::warn!("a sample of `{route}` cannot be decoded: {error}");
                Called::Undecodable
            }
        }));
        called.unwrap_or_else(|panic| {
            let text = panic_text(panic.as_ref());
            log::error!("the callback for `{route}` panicked: {text}");
            // The dispatcher waits for nobody, so this waits for it at most a moment.
            let _ = dispatcher.send(Input::CallbackPanicked(id, text));
            Called::Panicked
        })
    })
}

/// How long dropping an endpoint waits for what is still to be written.
const DROP_DEADLINE: Duration = Duration::from_millis(500);

/// How long it may take to find out how the links are.
const LOOK: Duration = Duration::from_secs(1);

/// How much longer than its deadline a close may take: lines are cut, threads end. A little longer than
/// the dispatcher gives them, so that it is heard when it says how that went.
const LEAVE: Duration = Duration::from_millis(250);

/// What a longer deadline is taken for.
const LONGEST_CLOSE: Duration = Duration::from_secs(3600);

/// For how many routes the type is remembered, to tell collisions at once.
const REMEMBERED: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::Payload;
    use crate::message::CodecError;
    use crate::schema::SchemaError;

    struct Named;

    impl Message for Named {
        const CODEC: &'static str = "a-codec-with-a-name-of-33-bytes-x";

        fn schema() -> Result<Schema, SchemaError> {
            Schema::versioned("Named", 1)
        }

        fn encode(&self, _: &mut Vec<u8>) -> Result<(), CodecError> {
            Ok(())
        }

        fn decode(_: Payload<'_>) -> Result<Self, CodecError> {
            Ok(Named)
        }
    }

    #[test]
    fn a_codec_whose_name_no_frame_can_hold_is_refused() {
        let robot = Endpoint::builder("robot").start().unwrap();
        let errors = [
            robot.intent::<Named>("robot.x").map(drop).unwrap_err(),
            robot.interest::<Named>("robot.x").map(drop).unwrap_err(),
        ];
        for error in errors {
            assert!(error.is_user_mistake());
            assert_eq!(
                error.to_string(),
                format!(
                    "the setting `Message::CODEC` cannot be {}: the name of a codec has at most 32 bytes; \
                     both sides use the same",
                    Named::CODEC
                )
            );
        }
    }
}
