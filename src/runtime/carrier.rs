//! The connection of a line, which is another one when its session goes on over another link.

use crate::diagnosis::{Diagnosis, LineCounts};
use crate::priority::Priority;
use crate::sync::Mutex;
use crate::transport::Connection;
use std::sync::Arc;
use std::time::Duration;

/// What carries a line now. The threads that read and write are let go of before it changes. A sender that writes by itself
/// may still be about to then: it holds on to the connection that it took its bytes for.
pub(crate) struct Carrier(Mutex<Arc<dyn Connection>>);

impl Carrier {
    pub(crate) fn new(connection: Arc<dyn Connection>) -> Self {
        Self(Mutex::new(connection))
    }

    /// The connection.
    pub(crate) fn current(&self) -> Arc<dyn Connection> {
        Arc::clone(&self.0.lock())
    }

    /// Has another connection carry the line.
    pub(crate) fn replace(&self, connection: Arc<dyn Connection>) {
        *self.0.lock() = connection;
    }

    pub(crate) fn rate(&self) -> Option<u64> {
        self.current().rate()
    }

    pub(crate) fn lane(&self, alias: u32, lossless: bool) {
        self.current().lane(alias, lossless);
    }

    pub(crate) fn copied(&self, alias: u32) {
        self.current().copied(alias);
    }

    pub(crate) fn priority(&self, alias: u32, priority: Priority) {
        self.current().priority(alias, priority);
    }

    pub(crate) fn expect_silence(&self, span: Duration) {
        self.current().expect_silence(span);
    }

    pub(crate) fn counts(&self) -> Option<LineCounts> {
        self.current().counts()
    }

    pub(crate) fn diagnose(&self) -> Option<Diagnosis> {
        self.current().diagnose()
    }

    pub(crate) fn close(&self) {
        self.current().close();
    }
}
