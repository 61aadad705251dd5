//! One connection from its first byte to its last: the reader, here, and its writer.
//!
//! ```text
//!  handshake on a line of its own ──Word::GoOn──► that line ──the end──► LineEnded
//!             │                                      └── the end, and its session goes on ──► LetGo
//!             └──Word::HandOver──► the line of the session, let go of before ── as above
//! ```

use super::input::{Input, LineInput};
use super::line::Line;
use super::reader::{self, Reader};
use super::threads::{Threads, panic_text};
use super::writer;
use crate::reason::{Reason, ReasonCode};
use crossbeam_channel::Sender;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

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
    let mut line = Arc::clone(line);
    let mut reader = Reader::new(&line, settings.max_frame);
    let end = loop {
        match stint(&line, reader, threads, settings, dispatcher) {
            Stint::HandedOver { to, received, rest } => match to.attach(&line, received) {
                true => {
                    reader = Reader::resumed(&to, settings.max_frame, &rest);
                    line = to;
                }
                false => {
                    line.abort();
                    break Input::LineEnded(line);
                }
            },
            Stint::Ended(reason) => match line.let_go() {
                true => break Input::LetGo(Arc::clone(&line), line.received(), reason),
                false => {
                    line.forget();
                    break Input::LineEnded(line);
                }
            },
        }
    };
    let _ = dispatcher.send(end);
}

/// What came of a line on one connection.
enum Stint {
    /// The connection is for another line, whose control frames came there as `received` says. `rest` was read.
    HandedOver { to: Arc<Line>, received: u64, rest: Vec<u8> },
    /// The connection ended, and both threads are done with it.
    Ended(Reason),
}

fn stint(
    line: &Arc<Line>,
    mut reader: Reader,
    threads: &Threads,
    settings: &LineSettings,
    dispatcher: &Sender<Input>,
) -> Stint {
    let writing = Arc::clone(line);
    let name = format!("bowline/writer {}", line.url);
    let writer = match threads.spawn(name, move || writer::run(&writing)) {
        Ok(writer) => writer,
        Err(error) => {
            log::error!("{}: no thread to write with: {error}", line.url);
            let reason = internal(format!("no thread to write with: {error}"));
            line.input(LineInput::Lost(reason.clone()));
            line.abort();
            return Stint::Ended(reason);
        }
    };
    let read = catch_unwind(AssertUnwindSafe(|| reader::run(&mut reader)));
    let stint = match read {
        Ok(reader::End::HandOver(to, received)) => {
            line.retire();
            // What it still writes may wait for what the other side acknowledges.
            let connection = line.connection.current();
            let until = Instant::now() + settings.silence;
            connection.tend(&|| !writer.is_finished() && Instant::now() < until);
            if Instant::now() >= until && !writer.is_finished() {
                // Nobody else would find out that the other side is gone.
                connection.close();
            }
            Stint::HandedOver { to, received, rest: reader.into_rest() }
        }
        Ok(reader::End::Lost(reason)) => {
            if !line.release() {
                reader.end(reason.clone());
                line.abort();
            }
            Stint::Ended(reason)
        }
        Err(panic) => {
            let thread = format!("bowline/reader {}", line.url);
            let text = panic_text(panic.as_ref());
            log::error!("{thread} panicked: {text}");
            let _ = dispatcher.send(Input::ThreadPanicked { thread, text });
            let reason = internal("the thread that reads this link panicked".to_owned());
            line.input(LineInput::Fault(reason.clone()));
            line.abort();
            Stint::Ended(reason)
        }
    };
    // Its panic, if any, was reported inside the thread.
    let _ = writer.join();
    stint
}

fn internal(text: String) -> Reason {
    Reason::new(ReasonCode::Internal, text)
}

#[cfg(test)]
mod tests;
