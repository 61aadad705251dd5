//! The repaired stream, outgoing: what was sent is kept until the other side has it, and sent again where
//! that side lacks it.
//!
//! ```text
//!  bytes ──push──► [ not sent ] ──next──► [ flying ] ──ack──► gone
//!                                          │      ▲
//!                     later ones were taken│      │next
//!                         or time is over  ▼      │
//!                                        [ lost ] ┘
//! ```

use super::congestion::Congestion;
use super::rtt::Rtt;
use crate::time::Timestamp;
use crate::wire::packet::Ranges;
use std::collections::VecDeque;

/// Places in the stream are counted in 64 bits; on the wire go the lower 32.
pub(super) struct StreamOut {
    /// From `acked` on.
    bytes: VecDeque<u8>,
    acked: u64,
    sent: u64,
    /// The end of the window the other side granted.
    limit: u64,
    segments: VecDeque<Segment>,
    flying: usize,
    lost: usize,
    /// Counts what was sent, repeats too.
    order: u64,
    /// The latest of these that is known to have arrived.
    heard: u64,
    rtt: Rtt,
    /// When the wait for an acknowledgement ends.
    timer: Option<Timestamp>,
    congestion: Option<Congestion>,
    /// The end of what was sent when a wait ended in vain, and how often one did until all of that is acknowledged.
    overdue: (u64, u32),
    /// Losses of what was sent before this are one and the same to the congestion window.
    recover: u64,
    /// How many later ones must have arrived before one counts as lost.
    patience: u64,
    /// How much may be held in all, and how much of it not sent yet.
    most: usize,
    most_unsent: usize,
    /// The bytes of a full segment.
    full: usize,
    pub(super) repeated: u64,
}

struct Segment {
    start: u64,
    end: u64,
    order: u64,
    sent_at: Timestamp,
    once: bool,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Flying,
    Taken,
    Lost,
}

/// What an ACK was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Acked {
    Fine,
    /// It is about what was never sent.
    Absurd,
}

/// What a stream starts with.
pub(super) struct Start {
    pub(super) window: usize,
    pub(super) most_unsent: usize,
    pub(super) rtt: Rtt,
    pub(super) congestion: Option<Congestion>,
    pub(super) patience: u64,
    /// The bytes of a full segment.
    pub(super) full: usize,
}

impl StreamOut {
    pub(super) fn new(start: Start) -> Self {
        Self {
            bytes: VecDeque::new(),
            acked: 0,
            sent: 0,
            limit: start.window as u64,
            segments: VecDeque::new(),
            flying: 0,
            lost: 0,
            order: 0,
            heard: 0,
            rtt: start.rtt,
            timer: None,
            congestion: start.congestion,
            overdue: (0, 0),
            recover: 0,
            patience: start.patience,
            most: start.window.max(LEAST_HELD),
            most_unsent: start.most_unsent.max(LEAST_HELD),
            full: start.full,
            repeated: 0,
        }
    }

    /// Begins somewhere else than at 0.
    #[cfg(test)]
    pub(super) fn begin_at(&mut self, place: u64) {
        self.limit += place;
        (self.acked, self.sent) = (place, place);
    }

    /// How many bytes it takes now.
    pub(super) fn room(&self) -> usize {
        let unsent = self.bytes.len() - self.sent_len();
        self.most.saturating_sub(self.bytes.len()).min(self.most_unsent.saturating_sub(unsent))
    }

    /// Appends bytes; the caller looks at [`room`](Self::room), give or take the head of a frame.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }

    /// The place after the last byte.
    pub(super) fn end(&self) -> u64 {
        self.acked + self.bytes.len() as u64
    }

    pub(super) fn acked(&self) -> u64 {
        self.acked
    }

    /// Whether something is to be sent now, as far as window and congestion go.
    pub(super) fn has_work(&self) -> bool {
        self.lost > 0 || self.new_bytes() > 0
    }

    pub(super) fn has_lost(&self) -> bool {
        self.lost > 0
    }

    /// When [`expire`](Self::expire) has something to do.
    pub(super) fn wake(&self) -> Option<Timestamp> {
        self.timer
    }

    /// Looks at the clock: what waited too long for an acknowledgement is lost, and a closed window is
    /// tried with one byte.
    pub(super) fn expire(&mut self, now: Timestamp) {
        if self.timer.is_none_or(|timer| timer > now) {
            return;
        }
        self.timer = None;
        self.rtt.expired();
        let before = if self.acked < self.overdue.0 { self.overdue.1 } else { 0 };
        self.overdue = (self.sent, before.saturating_add(1));
        if let Some(congestion) = &mut self.congestion {
            congestion.expired(self.flying);
        }
        self.recover = self.sent;
        let unsent = self.sent < self.end();
        match self.segments.iter_mut().find(|segment| segment.state != State::Taken) {
            Some(first) if first.state == State::Flying => {
                first.state = State::Lost;
                self.flying -= first.len();
                self.lost += 1;
            }
            // It waits for the line.
            Some(_) => {}
            // Nothing is under way, so the window is closed: one byte beyond it.
            None if unsent => self.limit = self.limit.max(self.sent + 1),
            None => {}
        }
        self.arm(now);
    }

    /// Takes what is to be sent next, at most `room` bytes: its place, and the bytes in the two parts the
    /// ring holds them in. Room that is not a packet's all is used only for what fits in whole.
    pub(super) fn next(&mut self, now: Timestamp, room: usize, all: bool) -> Option<(u64, &[u8], &[u8])> {
        self.order += 1;
        let order = self.order;
        let (start, end) = if self.lost > 0 {
            let place = self.segments.iter().position(|segment| segment.state == State::Lost)?;
            let segment = &mut self.segments[place];
            if segment.len() > room {
                return None;
            }
            segment.state = State::Flying;
            segment.once = false;
            segment.order = order;
            segment.sent_at = now;
            self.lost -= 1;
            self.flying += segment.len();
            self.repeated += 1;
            (segment.start, segment.end)
        } else {
            let wanted = self.new_bytes();
            let length = wanted.min(room);
            if length == 0 || (length < wanted && !all) {
                return None;
            }
            let (start, end) = (self.sent, self.sent + length as u64);
            self.segments.push_back(Segment {
                start,
                end,
                order,
                sent_at: now,
                once: true,
                state: State::Flying,
            });
            self.sent = end;
            self.flying += length;
            (start, end)
        };
        if self.timer.is_none() {
            self.arm(now);
        }
        let (from, to) = ((start - self.acked) as usize, (end - self.acked) as usize);
        let (first, second) = self.bytes.as_slices();
        let split = first.len();
        Some((
            start,
            &first[from.min(split)..to.min(split)],
            &second[from.max(split) - split..to.max(split) - split],
        ))
    }

    /// Takes an ACK in.
    pub(super) fn ack(&mut self, now: Timestamp, next: u32, window: u32, ranges: &Ranges) -> Acked {
        let ahead = next.wrapping_sub(self.acked as u32);
        if ahead > u32::MAX / 2 {
            // It was overtaken by a later one.
            return Acked::Fine;
        }
        let next = self.acked + u64::from(ahead);
        if next > self.sent {
            return Acked::Absurd;
        }
        let mut at = next;
        for (gap, length) in ranges.iter() {
            at += u64::from(gap) + u64::from(length);
        }
        if at > self.sent {
            return Acked::Absurd;
        }
        let opened = next + u64::from(window.min(MOST_WINDOW)) > self.limit;
        self.limit = self.limit.max(next + u64::from(window.min(MOST_WINDOW)));
        // Once a wait ended twice, the first copies are lost, and the line may be faster than it ever was.
        let believed = self.acked < self.overdue.0 && self.overdue.1 > 1;
        let mut news = News { believed, ..News::default() };
        while let Some(first) = self.segments.front_mut() {
            if first.end <= next {
                news.note(first, &self.rtt, now);
                match first.state {
                    State::Flying => self.flying -= first.len(),
                    State::Lost => self.lost -= 1,
                    State::Taken => {}
                }
                self.segments.pop_front();
            } else {
                if first.start < next {
                    if first.state == State::Flying {
                        self.flying -= (next - first.start) as usize;
                    }
                    first.start = next;
                }
                break;
            }
        }
        self.bytes.drain(..(next - self.acked) as usize);
        let moved = next > self.acked;
        news.bytes += (next - self.acked) as usize;
        self.acked = next;
        let mut at = next;
        for (gap, length) in ranges.iter() {
            let from = at + u64::from(gap);
            at = from + u64::from(length);
            self.take_range(from, at, now, &mut news);
        }
        self.heard = self.heard.max(news.order);
        if let Some(sent_at) = news.measured.filter(|_| !news.repeated) {
            self.rtt.measured(now - sent_at);
        }
        if let Some(congestion) = &mut self.congestion {
            congestion.acknowledged(news.bytes);
        }
        self.find_lost();
        if moved || news.order > 0 {
            self.rtt.progress();
            self.arm(now);
        } else if opened {
            self.arm(now);
        }
        Acked::Fine
    }

    fn take_range(&mut self, from: u64, to: u64, now: Timestamp, news: &mut News) {
        let first = self.segments.partition_point(|segment| segment.start < from);
        for segment in self.segments.iter_mut().skip(first).take_while(|segment| segment.end <= to) {
            if segment.state != State::Taken {
                news.note(segment, &self.rtt, now);
                match segment.state {
                    State::Flying => self.flying -= segment.len(),
                    _ => self.lost -= 1,
                }
                segment.state = State::Taken;
            }
        }
    }

    /// What was sent well before something that has arrived, and has not, is lost.
    fn find_lost(&mut self) {
        let flying = self.flying;
        let mut worst = None;
        for segment in &mut self.segments {
            if segment.state == State::Flying && segment.order + self.patience <= self.heard {
                segment.state = State::Lost;
                self.flying -= segment.len();
                self.lost += 1;
                worst = Some(segment.start);
            }
        }
        if let (Some(congestion), Some(worst)) = (&mut self.congestion, worst) {
            if worst >= self.recover {
                congestion.lost(flying);
                self.recover = self.sent;
            }
        }
    }

    /// Bytes that were never sent and may be.
    fn new_bytes(&self) -> usize {
        let there = self.bytes.len() - self.sent_len();
        let granted = usize::try_from(self.limit.saturating_sub(self.sent)).unwrap_or(usize::MAX);
        let free = match &self.congestion {
            Some(congestion) => congestion.window().saturating_sub(self.flying),
            None => usize::MAX,
        };
        let allowed = granted.min(free);
        // Small pieces cost more than they bring: better wait for what is under way.
        let too_small = allowed < there.min(self.full) && self.flying > 0;
        if too_small || self.segments.len() >= MOST_SEGMENTS { 0 } else { there.min(allowed) }
    }

    fn sent_len(&self) -> usize {
        (self.sent - self.acked) as usize
    }

    /// Starts the wait anew, if there is something to wait for.
    fn arm(&mut self, now: Timestamp) {
        let waits = !self.segments.is_empty() || (self.sent < self.end() && self.limit <= self.sent);
        self.timer = waits.then(|| self.rtt.deadline(now));
    }

    /// Sees to it that a closed window is tried some time.
    pub(super) fn watch(&mut self, now: Timestamp) {
        if self.timer.is_none() {
            self.arm(now);
        }
    }
}

impl Segment {
    fn len(&self) -> usize {
        (self.end - self.start) as usize
    }
}

/// What an ACK told that was not known.
#[derive(Default)]
struct News {
    order: u64,
    bytes: usize,
    /// When the latest of those that were sent once was sent.
    measured: Option<Timestamp>,
    /// One was sent again: so long the others may have waited for it, or for this word of them.
    repeated: bool,
    /// An acknowledgement of a repeat is for the repeat, however soon it comes.
    believed: bool,
}

impl News {
    fn note(&mut self, segment: &Segment, rtt: &Rtt, now: Timestamp) {
        if segment.state == State::Taken {
            return;
        }
        if segment.once {
            self.measured = self.measured.max(Some(segment.sent_at));
        } else {
            self.repeated = true;
        }
        // An acknowledgement that comes too soon is for the first copy, and tells nothing of the order.
        if segment.once || self.believed || rtt.is_plausible(now - segment.sent_at) {
            self.order = self.order.max(segment.order);
        }
    }
}

/// What is held at least, whatever the other side's window: room for the heads of frames.
const LEAST_HELD: usize = 512;

/// The largest window that is believed, in bytes.
const MOST_WINDOW: u32 = 1 << 30;

/// How many segments may be under way.
const MOST_SEGMENTS: usize = 1024;
