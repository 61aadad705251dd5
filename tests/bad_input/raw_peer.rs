//! A peer that speaks the protocol's bytes by itself, and breaks its rules at will.

use super::frames::{self, Frame, Hello};
use bowline::transport::{Cancel, Connection, Memory, Tcp, Transport, Unix};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Longer than anything here takes; what is asserted about time is asserted apart.
pub const SOON: Duration = Duration::from_secs(10);

/// One connection. It is ended when this is dropped.
pub struct RawPeer {
    connection: Arc<dyn Connection>,
    frames: Receiver<Frame>,
    ear: Arc<Ear>,
}

/// Whether the peer reads.
#[derive(Default)]
struct Ear {
    deaf: AtomicBool,
    changed: (Mutex<()>, Condvar),
}

impl RawPeer {
    /// Connects to what an endpoint listens at, and says nothing.
    pub fn dial(url: &str) -> Self {
        let (scheme, address) = url.split_once("://").expect("a URL");
        let transport: &dyn Transport = match scheme {
            "tcp" => &Tcp,
            "unix" => &Unix,
            "memory" => &Memory,
            other => panic!("no transport for {other}"),
        };
        Self::over(transport.dial(address, SOON, &Cancel::default()).expect("connects"))
    }

    /// Speaks over a connection that stands already.
    pub fn over(connection: Arc<dyn Connection>) -> Self {
        let (told, frames) = channel();
        let ear = Arc::new(Ear::default());
        let (reading, heard) = (Arc::clone(&connection), Arc::clone(&ear));
        thread::spawn(move || {
            let mut bytes = Vec::new();
            let mut buffer = [0; 4096];
            loop {
                heard.wait();
                match reading.read(&mut buffer) {
                    Ok(0) | Err(_) => return,
                    Ok(count) => bytes.extend_from_slice(&buffer[..count]),
                }
                let mut from = 0;
                while let Some((frame, used)) = frames::cut(&bytes[from..]) {
                    from += used;
                    if told.send(frame).is_err() {
                        return;
                    }
                }
                bytes.drain(..from);
            }
        });
        Self { connection, frames, ear }
    }

    /// Connects and does the whole handshake.
    pub fn join(url: &str, path: &str) -> Self {
        Self::join_as(url, Hello::of(path))
    }

    /// The same, and says this of itself.
    pub fn join_as(url: &str, hello: Hello) -> Self {
        let (peer, _) = Self::shake_hands(url, &hello);
        // The first PING says that the other side sees it up too.
        peer.wait_for("PING", |frame| (frame.tag == frames::PING).then_some(()));
        peer
    }

    /// Connects and says all of the handshake. Returns the number of the session too.
    pub fn shake_hands(url: &str, hello: &Hello) -> (Self, u64) {
        let peer = Self::dial(url);
        peer.send(&hello.bytes());
        peer.wait_for("HANDSHAKE initial", |frame| frame.is_initial().then_some(()));
        let session = peer.wait_for("HANDSHAKE final", |frame| {
            frame.is_final().then(|| u64::from_le_bytes(frame.body[6..14].try_into().expect("8 bytes")))
        });
        peer.send(&frames::handshake_final_with(session, hello.capabilities));
        (peer, session)
    }

    /// Writes all of it; false where the connection was ended first.
    pub fn try_send(&self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            match self.connection.write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(_) => return false,
            }
        }
        true
    }

    pub fn send(&self, bytes: &[u8]) {
        assert!(self.try_send(bytes), "the connection was ended");
    }

    /// The first frame that `wanted` takes; others are passed over.
    pub fn wait_for<T>(&self, what: &str, mut wanted: impl FnMut(&Frame) -> Option<T>) -> T {
        let deadline = Instant::now() + SOON;
        let mut seen = std::collections::BTreeMap::<u32, usize>::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.frames.recv_timeout(left) {
                Ok(frame) => {
                    if let Some(found) = wanted(&frame) {
                        return found;
                    }
                    *seen.entry(frame.tag).or_default() += 1;
                    if let Some((code, text)) = frame.bye() {
                        panic!("BYE {code} came instead of {what}: {text}");
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("{what} did not come in time, but {seen:?}"),
                Err(RecvTimeoutError::Disconnected) => panic!("the stream ended before {what} came"),
            }
        }
    }

    /// The code and the words of the BYE that comes.
    pub fn bye(&self) -> (u8, String) {
        self.wait_for("BYE", Frame::bye)
    }

    /// The BYE if one comes before the stream ends.
    pub fn last_words(&self) -> Option<(u8, String)> {
        let mut last = None;
        loop {
            match self.frames.recv_timeout(SOON) {
                Ok(frame) => last = frame.bye(),
                Err(RecvTimeoutError::Disconnected) => return last,
                Err(RecvTimeoutError::Timeout) => panic!("the stream did not end in time"),
            }
        }
    }

    /// The next frame, if one comes within this time.
    pub fn next(&self, within: Duration) -> Option<Frame> {
        self.frames.recv_timeout(within).ok()
    }

    /// Waits until the other side ended the stream.
    pub fn wait_end(&self) {
        self.last_words();
    }

    /// From now on nothing more is read, save 4 KiB at most.
    pub fn stop_reading(&self) {
        self.ear.deaf.store(true, Ordering::SeqCst);
    }

    /// Reads again.
    pub fn read_on(&self) {
        let _lock = self.ear.changed.0.lock();
        self.ear.deaf.store(false, Ordering::SeqCst);
        self.ear.changed.1.notify_all();
    }

    /// Ends the stream without a word.
    pub fn hang_up(&self) {
        self.connection.close();
    }

    /// Its connection, for threads that only write.
    pub fn connection(&self) -> Arc<dyn Connection> {
        Arc::clone(&self.connection)
    }
}

impl Drop for RawPeer {
    fn drop(&mut self) {
        self.connection.close();
        self.read_on();
    }
}

impl Ear {
    fn wait(&self) {
        let mut lock = self.changed.0.lock().expect("nobody panics with it");
        while self.deaf.load(Ordering::SeqCst) {
            lock = self.changed.1.wait(lock).expect("nobody panics with it");
        }
    }
}
