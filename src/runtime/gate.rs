//! The application's way to the dispatcher, which is shut once.

use parking_lot::RwLock;
use std::time::Duration;

/// What passes before it is shut is in the dispatcher's channel then, so that nothing is left there that
/// somebody waits for.
#[derive(Default)]
pub(crate) struct Gate {
    shut: RwLock<bool>,
}

impl Gate {
    /// Does `send` unless the gate is shut, and not while it is being shut.
    pub(crate) fn pass<T>(&self, send: impl FnOnce() -> T) -> Option<T> {
        let shut = self.shut.read();
        (!*shut).then(send)
    }

    /// Shuts it. False if that takes longer, as somebody passes just then.
    pub(crate) fn shut(&self, within: Duration) -> bool {
        let shut = self.shut.try_write_for(within);
        shut.map(|mut shut| *shut = true).is_some()
    }
}
