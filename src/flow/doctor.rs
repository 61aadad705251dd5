//! What is wrong with a serial line, told from what passes over it.
//!
//! The doctor sees every byte that arrives, what it was found to be, and every packet that is sent; it changes
//! nothing. It remembers counts of the last five seconds, what it waits for in answer, and a few checksums.
//!
//! | Seen | Said |
//! | --- | --- |
//! | sending fails, the port takes nothing | Stalled |
//! | an OPEN or OPENED of another version | OtherVersion |
//! | most packets that arrive are our own | Echo |
//! | while dialling: an OPEN of the other end | BothDial |
//! | packets arrive, but no answers; or OPEN again and again although it was answered | NotHeard |
//! | while dialling: no byte | Silent |
//! | no packet, only text | OnlyText |
//! | no packet, other bytes | Garbled, and of what kind |
//! | one packet in twenty or more is damaged | Damaged, in bursts or scattered |

use crate::diagnosis::{Diagnosis, Finding, LineCounts};
use crate::time::Timestamp;
use crate::wire::cobs::{Found, is_text};
use crate::wire::crc32c;
use std::collections::VecDeque;
use std::time::Duration;

/// Watches one serial port.
#[derive(Debug)]
pub(crate) struct Doctor {
    /// The port and its settings, as they are said in texts.
    line: String,
    counts: LineCounts,
    seconds: VecDeque<Second>,
    /// Checksums of packets sent lately, to know them when they come back.
    sent: VecDeque<u32>,
    /// Pieces without a whole packet between them, so far.
    run: u64,
    /// The end of the last text that came.
    text: Vec<u8>,
    attempt: Attempt,
}

/// The connection that is being made or stands.
#[derive(Debug, Default)]
struct Attempt {
    dials: bool,
    since: Timestamp,
    /// Packets of this attempt that were sent.
    sent: u64,
    /// Sent since the last answer and waiting for one, and since when.
    unanswered: u64,
    unanswered_since: Timestamp,
    /// The token of our last OPEN.
    token: [u8; 4],
    /// How often the same OPEN came after it was answered.
    repeated: u64,
    last_open: [u8; 4],
    /// How often an OPEN came.
    dialled: u64,
    answered: bool,
    /// Something other than the opening arrived.
    stands: bool,
    other_version: Option<u8>,
    stalled: Option<Timestamp>,
}

/// What was seen in one second.
#[derive(Debug, Default)]
struct Second {
    number: u64,
    bytes: u64,
    zeros: u64,
    text: u64,
    packets: u64,
    own: u64,
    broken: u64,
    longest_run: u64,
    garbage: u64,
    /// Changes from one bit to the next within the bytes of garbage.
    changes: u64,
}

impl Doctor {
    /// For the line that texts call by this name, such as `/dev/ttyUSB0 (115200 baud, 8N1)`.
    pub(crate) fn new(line: String) -> Self {
        Self {
            line,
            counts: LineCounts::default(),
            seconds: VecDeque::with_capacity(SECONDS),
            sent: VecDeque::with_capacity(REMEMBERED),
            run: 0,
            text: Vec::new(),
            attempt: Attempt::default(),
        }
    }

    /// A connection is about to be made, by this side if it `dials`. What was seen since the last one stood
    /// still counts.
    pub(crate) fn begin(&mut self, now: Timestamp, dials: bool) {
        let last = std::mem::take(&mut self.attempt);
        if last.stands || last.since == Timestamp::ZERO {
            self.attempt = Attempt { dials, since: now, ..Attempt::default() };
            self.seconds.clear();
            self.run = 0;
        } else {
            self.attempt = Attempt { dials, since: last.since, sent: last.sent, ..Attempt::default() };
        }
    }

    /// Bytes arrived.
    pub(crate) fn bytes(&mut self, now: Timestamp, bytes: &[u8]) {
        self.counts.bytes_in += bytes.len() as u64;
        let second = self.second(now);
        second.bytes += bytes.len() as u64;
        second.zeros += bytes.iter().filter(|byte| **byte == 0).count() as u64;
    }

    /// What they were.
    pub(crate) fn found(&mut self, now: Timestamp, found: &Found<'_>) {
        match found {
            Found::Packet(content) => {
                self.counts.packets_in += 1;
                self.run = 0;
                let own = self.is_own(content);
                let second = self.second(now);
                second.packets += 1;
                second.own += u64::from(own);
                if !own {
                    self.attempt.heard(content);
                }
            }
            Found::Text(bytes) => {
                self.counts.text_bytes += bytes.len() as u64;
                self.second(now).text += bytes.len() as u64;
                self.text.clear();
                self.text.extend_from_slice(&bytes[bytes.len().saturating_sub(TEXT_KEPT)..]);
            }
            Found::Broken(bytes) => {
                self.counts.broken += 1;
                self.garbage(now, bytes, true);
            }
            Found::Overlong { bytes, begins } => {
                self.counts.overlong += u64::from(*begins);
                self.garbage(now, bytes, *begins);
            }
        }
    }

    /// A packet was written, of `bytes` bytes on the line.
    pub(crate) fn sent(&mut self, now: Timestamp, content: &[u8], bytes: usize) {
        self.counts.packets_out += 1;
        self.counts.bytes_out += bytes as u64;
        if self.sent.len() == REMEMBERED {
            self.sent.pop_front();
        }
        self.sent.push_back(crc32c(content));
        self.attempt.sent(now, content);
    }

    /// A packet could not be written: the port takes nothing.
    pub(crate) fn stalled(&mut self, now: Timestamp) {
        self.attempt.stalled = Some(now);
    }

    pub(crate) fn counts(&self) -> LineCounts {
        self.counts
    }

    /// What is wrong, if anything. `pending` is what arrived and may become a packet yet.
    pub(crate) fn diagnose(&self, now: Timestamp, pending: &[u8]) -> Option<Diagnosis> {
        let seen = self.seen(now);
        let line = &self.line;
        let span = (now - self.attempt.since).min(SPAN).as_secs_f32();
        let is = |finding, text: String| Some(Diagnosis::new(finding, text));
        if self.attempt.stalled.is_some_and(|at| now - at < SPAN) {
            let text = format!(
                "{line} takes nothing to send: hardware flow control holds it back (CTS); with `flow=none` it \
                 is not asked"
            );
            return is(Finding::Stalled, text);
        }
        if let Some(version) = self.attempt.other_version {
            let text = format!(
                "the other end of {line} speaks version {version} of the packets, and this one {VERSION}: update \
                 the older of the two"
            );
            return is(Finding::OtherVersion, text);
        }
        if seen.own >= 3 && seen.own * 2 > seen.packets {
            let text = format!(
                "what is sent to {line} comes back ({} of {} packets): TX and RX are joined, or the adapter or the \
                 other end echoes",
                seen.own, seen.packets
            );
            return is(Finding::Echo, text);
        }
        if self.attempt.dials && self.attempt.dialled >= 3 && !self.attempt.stands {
            let text = format!("both ends of {line} dial; one of them must listen");
            return is(Finding::BothDial, text);
        }
        if seen.packets > seen.own && self.attempt.is_not_heard(now) {
            let text = format!(
                "the other end of {line} is heard but does not hear this one: {} packets in it were not answered; \
                 look at the wire from TX here to RX there",
                self.attempt.unanswered.max(self.attempt.repeated)
            );
            return is(Finding::NotHeard, text);
        }
        if seen.packets == 0 {
            return self.without_packets(now, &seen, pending, span);
        }
        if seen.broken >= 3 && seen.broken * 20 >= seen.broken + seen.packets {
            let kind = if seen.longest_run >= 3 {
                format!(
                    "in bursts of up to {}: interference, or bytes lost where no flow control holds a sender back",
                    seen.longest_run
                )
            } else {
                "scattered: noise, a long or unshielded wire, or clocks a little apart".to_owned()
            };
            let all = seen.broken + seen.packets;
            let text =
                format!("{} of {all} packets came damaged at {line} in {span:.0} s, {kind}", seen.broken);
            return is(Finding::Damaged, text);
        }
        None
    }

    /// No packet came, but perhaps something else.
    fn without_packets(&self, now: Timestamp, seen: &Second, pending: &[u8], span: f32) -> Option<Diagnosis> {
        let (line, sent) = (&self.line, self.attempt.sent);
        let waited = self.attempt.dials && sent >= 2 && now - self.attempt.since >= PATIENCE;
        if seen.bytes == 0 {
            let text = format!(
                "nothing arrives at {line}, though {sent} packets were sent to it: is the other end on, and are RX \
                 and TX crossed?"
            );
            return waited.then(|| Diagnosis::new(Finding::Silent, text));
        }
        if seen.bytes < ENOUGH {
            return None;
        }
        let waiting = if is_text(pending) { pending.len() as u64 } else { 0 };
        if (seen.text + waiting) * 10 >= seen.bytes * 9 {
            let sample = shown(if waiting > 0 { pending } else { &self.text });
            let text = format!(
                "only text arrives at {line}, such as `{sample}`: a console or a boot loader is at the other end, and \
                 no bowline"
            );
            return Some(Diagnosis::new(Finding::OnlyText, text));
        }
        let zeros = seen.zeros * 100 / seen.bytes;
        // Of bits that are as often one as zero, 3.5 in a byte differ from the one before.
        let kind = if seen.garbage > 0 && seen.changes < 2 * seen.garbage {
            "their bits come in long runs, as if the other end sent more slowly".to_owned()
        } else if zeros >= 25 {
            format!(
                "{zeros} % are zero, which is what bytes with a wrong stop bit read as: the speeds differ"
            )
        } else {
            "they look random, as if the other end sent faster, or with another parity".to_owned()
        };
        let text = format!(
            "{} bytes arrived at {line} in {span:.0} s and no packet among them; {kind}: compare baud, parity and stop \
             bits of both ends",
            seen.bytes
        );
        Some(Diagnosis::new(Finding::Garbled, text))
    }

    fn garbage(&mut self, now: Timestamp, bytes: &[u8], begins: bool) {
        self.run += u64::from(begins);
        let run = self.run;
        let second = self.second(now);
        second.broken += u64::from(begins);
        second.longest_run = second.longest_run.max(run);
        second.garbage += bytes.len() as u64;
        second.changes +=
            bytes.iter().map(|byte| u64::from(((byte ^ (byte >> 1)) & 0x7F).count_ones())).sum::<u64>();
    }

    /// Whether a packet that came is one that was sent. Such as may well be alike do not count.
    fn is_own(&self, content: &[u8]) -> bool {
        !matches!(content.first(), Some(&(RESET | ACK))) && self.sent.contains(&crc32c(content))
    }

    fn second(&mut self, now: Timestamp) -> &mut Second {
        let number = now.micros() / 1_000_000;
        if self.seconds.back().is_none_or(|second| second.number < number) {
            if self.seconds.len() == SECONDS {
                self.seconds.pop_front();
            }
            self.seconds.push_back(Second { number, ..Second::default() });
        }
        let last = self.seconds.len() - 1;
        &mut self.seconds[last]
    }

    /// The sum of the last seconds.
    fn seen(&self, now: Timestamp) -> Second {
        let first = (now.micros() / 1_000_000).saturating_sub(SECONDS as u64 - 1);
        let mut sum = Second::default();
        for second in self.seconds.iter().filter(|second| second.number >= first) {
            sum.bytes += second.bytes;
            sum.zeros += second.zeros;
            sum.text += second.text;
            sum.packets += second.packets;
            sum.own += second.own;
            sum.broken += second.broken;
            sum.longest_run = sum.longest_run.max(second.longest_run);
            sum.garbage += second.garbage;
            sum.changes += second.changes;
        }
        sum
    }
}

impl Attempt {
    fn sent(&mut self, now: Timestamp, content: &[u8]) {
        self.sent += 1;
        self.stalled = None;
        match content {
            [OPEN, _, _, _, _, _, a, b, c, d, ..] => self.token = [*a, *b, *c, *d],
            [OPENED, ..] => self.answered = true,
            _ => {}
        }
        if matches!(content.first(), Some(&(OPEN | SEGMENT | PING))) {
            if self.unanswered == 0 {
                self.unanswered_since = now;
            }
            self.unanswered += 1;
        }
    }

    fn heard(&mut self, content: &[u8]) {
        match content {
            [OPEN, b'B', b'W', b'L', b'P', version, a, b, c, d, ..] => {
                self.other_version = (*version != VERSION).then_some(*version);
                let token = [*a, *b, *c, *d];
                let again = self.answered && token == self.last_open;
                self.repeated = if again { self.repeated + 1 } else { 0 };
                self.last_open = token;
                self.dialled += 1;
            }
            [OPENED, version, a, b, c, d, ..] if [*a, *b, *c, *d] == self.token => {
                self.other_version = (*version != VERSION).then_some(*version);
                self.unanswered = 0;
            }
            [ACK | PONG, ..] => {
                self.unanswered = 0;
                self.stands = true;
            }
            [SEGMENT | PING, ..] => self.stands = true,
            _ => {}
        }
        if self.stands {
            self.repeated = 0;
        }
    }

    fn is_not_heard(&self, now: Timestamp) -> bool {
        self.repeated >= 4 || (self.unanswered >= 3 && now - self.unanswered_since >= PATIENCE)
    }
}

/// The last line of a text that holds something to read, short and printable.
fn shown(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = lines.next_back().unwrap_or_default();
    line.chars().filter(|c| !c.is_control()).take(TEXT_SHOWN).collect()
}

/// The version of the packets.
const VERSION: u8 = 1;

/// Tags of packet frames, as far as they say something of the line.
const OPEN: u8 = 0x01;
const OPENED: u8 = 0x03;
const RESET: u8 = 0x04;
const SEGMENT: u8 = 0x05;
const ACK: u8 = 0x06;
const PING: u8 = 0x07;
const PONG: u8 = 0x08;

/// How far back the doctor looks.
const SECONDS: usize = 5;
const SPAN: Duration = Duration::from_secs(SECONDS as u64);

/// How long an answer may take before its lack says something.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Fewer bytes than these are not judged.
const ENOUGH: u64 = 16;

/// How many of the packets sent last are known again.
const REMEMBERED: usize = 64;

/// How much of a text is kept, and of one line of it shown.
const TEXT_KEPT: usize = 200;
const TEXT_SHOWN: usize = 60;

#[cfg(test)]
mod tests;
