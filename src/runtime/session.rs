//! One connection from its first byte to its last: the reader, here, and its writer.

use super::input::{Input, LineInput};
use super::line::Line;
use super::reader::Reader;
use super::threads::{Threads, panic_text};
use super::{reader, writer};
use crate::reason::{Reason, ReasonCode};
use crossbeam_channel::Sender;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

/// What every line of an endpoint is made with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LineSettings {
    /// The largest frame taken, counted after its length field.
    pub(crate) max_frame: u32,
    pub(crate) outbox_bytes: usize,
    /// How many bytes of large samples are written at once; `None`: as suits the line.
    pub(crate) fragment_bytes: Option<usize>,
    pub(crate) dial_timeout: Duration,
    /// How long the peer may be silent before this endpoint gives the line up.
    pub(crate) silence: Duration,
}

/// Reads `line` on this thread and writes it on another, until both ended; tells the dispatcher.
pub(crate) fn run(line: &Arc<Line>, threads: &Threads, settings: &LineSettings, dispatcher: &Sender<Input>) {
    line.connection.expect_silence(settings.silence);
    let writing = Arc::clone(line);
    let name = format!("bowline/writer {}", line.url);
    match threads.spawn(name, move || writer::run(&writing)) {
        Ok(writer) => {
            let mut reader = Reader::new(line, settings.max_frame);
            let read = catch_unwind(AssertUnwindSafe(|| reader::run(&mut reader)));
            if let Err(panic) = read {
                let thread = format!("bowline/reader {}", line.url);
                let text = panic_text(panic.as_ref());
                log::error!("{thread} panicked: {text}");
                let _ = dispatcher.send(Input::ThreadPanicked { thread, text });
                line.input(LineInput::Fault(internal("the thread that reads this link panicked".to_owned())));
            }
            line.abort();
            // Its panic, if any, was reported inside the thread.
            let _ = writer.join();
        }
        Err(error) => {
            log::error!("{}: no thread to write with: {error}", line.url);
            line.input(LineInput::Lost(internal(format!("no thread to write with: {error}"))));
            line.abort();
        }
    }
    line.forget();
    let _ = dispatcher.send(Input::LineEnded(Arc::clone(line)));
}

fn internal(text: String) -> Reason {
    Reason::new(ReasonCode::Internal, text)
}
