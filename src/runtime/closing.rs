//! How lines and the endpoint end, in the order that is written down in the page of [`runtime`](super).

use super::dispatcher::Dispatcher;
use super::input::Input;
use super::line::Line;
use crate::event::Event;
use crate::time::Timestamp;
use crossbeam_channel::RecvTimeoutError;
use std::sync::Weak;
use std::thread;
use std::time::{Duration, Instant};

/// A line that was hung up and may still be saying BYE. When its threads ended there is nothing left of it.
pub(super) struct Lingering {
    /// It is closed for good then.
    pub(super) until: Timestamp,
    pub(super) line: Weak<Line>,
    /// It still writes samples, and has longer while its peer is heard.
    pub(super) drains: bool,
}

impl Dispatcher {
    /// Ends everything: BYE to all, then what is left when the deadline comes is cut. True if nothing
    /// was, and every thread ended.
    pub(super) fn close(&mut self, deadline: Instant) -> bool {
        self.begin_close();
        let limit = deadline.max(Instant::now()) + CUT;
        let complete = self.end_lines(deadline, limit);
        self.close_interests();
        self.end_threads(limit) && complete
    }

    /// Says BYE to all.
    pub(super) fn begin_close(&mut self) {
        self.stop_taking();
        for intent in self.intents.values() {
            intent.close();
        }
        self.groups.iter().for_each(|group| group.close());
        self.engine.close(self.clock.now());
        self.apply_all();
        self.publish();
    }

    pub(super) fn close_interests(&self) {
        for interest in self.interests.values() {
            interest.close();
        }
    }

    /// Lets nothing new in, and serves what came before.
    fn stop_taking(&mut self) {
        while !self.ends.gate.shut(STEP) {
            // Whoever holds it open waits for room in the channel.
            self.take_all();
        }
        self.take_all();
        self.ends.acceptors = None;
        self.ends.cancel.cancel();
        self.dials.clear();
        for listener in &self.ends.listeners {
            listener.close();
        }
    }

    fn take_all(&mut self) {
        while let Ok(input) = self.inputs.try_recv() {
            self.take(input);
        }
    }

    /// Waits until the threads of all lines ended. False if samples were left to write.
    fn end_lines(&mut self, deadline: Instant, limit: Instant) -> bool {
        let mut complete = true;
        while self.open_lines > 0 {
            let now = Instant::now();
            complete &= self.end_lingering(now >= deadline);
            if now >= limit {
                break;
            }
            let next = if now < deadline { deadline } else { limit };
            let patience = self.next_end().map(|wait| now + wait);
            match self.inputs.recv_deadline(patience.map_or(next, |patience| patience.min(next))) {
                Ok(Input::LineEnded(line)) => self.line_ended(&line),
                Ok(Input::LetGo(line, ..)) => self.let_go_late(&line),
                Ok(Input::Accepted(line, _) | Input::Dialled(_, line, _)) => line.abort(),
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        complete
    }

    /// How long until the next lingering line has lingered long enough.
    fn next_end(&self) -> Option<Duration> {
        let now = self.clock.now();
        let next = self.lingering.iter().map(|rest| rest.until).min();
        // One more microsecond, as the clock counts whole ones.
        next.map(|until| until - now + Duration::from_micros(1))
    }

    /// Closes lines that lingered long enough, or all. False if one had samples left to write.
    pub(super) fn end_lingering(&mut self, all: bool) -> bool {
        let (now, silence) = (self.clock.now(), self.engine.silence());
        let mut complete = true;
        self.lingering.retain_mut(|rest| {
            let Some(line) = rest.line.upgrade() else { return false };
            if rest.drains {
                rest.until = line.heard() + silence;
            }
            let waits = rest.until > now && !all;
            if !waits {
                complete &= !rest.drains || line.is_written();
                line.abort();
            }
            waits
        });
        complete
    }

    /// Joins the threads. Those that dial or accept were told to end; one stuck in the application's
    /// code is left behind.
    fn end_threads(&mut self, limit: Instant) -> bool {
        loop {
            if self.ends.threads.join() == 0 {
                return true;
            }
            if Instant::now() >= limit {
                return false;
            }
            // Threads that end may still have something to say; nobody is left to hear it.
            let step = Instant::now() + STEP;
            while let Ok(input) = self.inputs.recv_deadline(step) {
                if let Input::Accepted(line, _) | Input::Dialled(_, line, _) = input {
                    line.abort();
                }
            }
        }
    }
}

impl Drop for Dispatcher {
    /// Whatever ended it, nobody is left waiting for it.
    fn drop(&mut self) {
        if thread::panicking() {
            let thread = thread::current().name().unwrap_or_default().to_owned();
            let text = "the endpoint is closed: its dispatcher panicked".to_owned();
            self.events.send(Event::ThreadPanicked { thread, text });
            self.ends.cancel.cancel();
            for listener in &self.ends.listeners {
                listener.close();
            }
        }
        self.groups.iter().for_each(|group| group.close());
        for line in self.lines.values() {
            line.abort();
        }
        for intent in self.intents.values() {
            intent.close();
        }
        for interest in self.interests.values() {
            interest.close();
        }
    }
}

/// How long threads may take to end once their connections were closed: 0.25 s less what it takes to tell.
pub(super) const CUT: Duration = Duration::from_millis(200);

/// How often it is looked whether threads ended.
const STEP: Duration = Duration::from_millis(2);
