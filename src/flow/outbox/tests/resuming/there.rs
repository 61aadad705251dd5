//! The other end of a session, whatever links carry it.

use super::super::*;
use crate::wire::control::Notify;

/// What came of the session.
#[derive(Default)]
pub(super) struct There {
    bytes: Vec<u8>,
    stamps: StampReader,
    /// How many counted control frames came.
    pub(super) received: u64,
    /// Those of them that are told apart by a number: urgent ones, and those in line.
    pub(super) urgent: Vec<u32>,
    pub(super) in_line: Vec<u32>,
    pub(super) aliases: BTreeMap<u32, Came>,
    /// What came by each pair, by its number, also of those that ended.
    pub(super) ended: BTreeMap<u32, Came>,
    pub(super) answers: Vec<Answer>,
    pub(super) repeated: usize,
    /// Every other pair has nothing to say on this link.
    pub(super) barred: bool,
    /// What tells of samples that were dropped is lost on the way, as it can be where samples overtake each other.
    pub(super) misses_gaps: bool,
}

/// What this end says.
#[derive(Debug)]
pub(super) enum Answer {
    Marked(u64),
    Pong(u64),
    Opened(u32),
}

/// What came by one pair.
#[derive(Default)]
pub(super) struct Came {
    pair: u32,
    pub(super) sequence: u64,
    /// The number of what comes next.
    next: u64,
    open: Option<(u64, Vec<u8>, usize)>,
    pub(super) samples: Vec<(u64, u64, Vec<u8>)>,
    pub(super) gaps: u64,
    pub(super) lost: u64,
}

impl There {
    /// Another link carries the session.
    pub(super) fn turn(&mut self) {
        self.bytes.clear();
        self.stamps = StampReader::default();
        self.answers.retain(|answer| matches!(answer, Answer::Opened(_)));
        self.aliases.values_mut().for_each(|came| came.next = came.sequence);
    }

    pub(super) fn receive(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        let bytes = std::mem::take(&mut self.bytes);
        let mut used = 0;
        while let Split::Frame { frame, consumed } =
            split(&bytes[used..], Limits::agreed(1 << 20)).expect("a frame")
        {
            used += consumed;
            self.frame(frame);
        }
        self.bytes = bytes[used..].to_vec();
    }

    fn check_way(&self, alias: u32) {
        let pair = self.aliases.get(&alias).map_or(0, |came| came.pair);
        assert!(!self.barred || pair % 2 == 0, "a sample of pair {pair} goes over a link that does not fit");
    }

    fn came(&mut self, alias: u32) -> &mut Came {
        self.aliases.get_mut(&alias).expect("the alias is known")
    }

    fn frame(&mut self, frame: Frame<'_>) {
        match frame {
            Frame::Message { alias, stamp, payload } => {
                let sent = self.stamps.apply(stamp).micros();
                self.check_way(alias);
                let came = self.came(alias);
                assert!(came.open.is_none() || came.next < came.sequence, "within a sample");
                if came.next == came.sequence {
                    came.samples.push((came.sequence, sent, payload.to_vec()));
                    came.sequence += 1;
                } else {
                    self.repeated += 1;
                }
                self.came(alias).next += 1;
            }
            Frame::Control { kind: FRAGMENT, body } => self.piece(body),
            Frame::Control { kind, body } => self.control(decode(kind, body).expect("a control frame")),
        }
    }

    fn piece(&mut self, body: &[u8]) {
        let piece = read_fragment(body).expect("a piece");
        let sent = piece.first.map(|stamp| self.stamps.apply(stamp).micros());
        self.check_way(piece.alias);
        let came = self.came(piece.alias);
        let left = piece.left as usize;
        if came.next == came.sequence {
            if let (Some(sent), None) = (sent, &came.open) {
                came.open = Some((sent, Vec::new(), left + piece.bytes.len()));
            }
            let (sent, bytes, due) = came.open.as_mut().expect("it began");
            if left + piece.bytes.len() == *due {
                bytes.extend_from_slice(piece.bytes);
                *due = left;
                if left == 0 {
                    came.samples.push((came.sequence, *sent, std::mem::take(bytes)));
                    came.open = None;
                    came.sequence += 1;
                }
            } else {
                assert!(left >= *due, "all of it is there already");
            }
        }
        if left == 0 {
            came.next += 1;
        }
    }

    fn control(&mut self, control: Control) {
        self.received += u64::from(control.is_counted());
        match control {
            Control::Time(time) => self.stamps.reset(time),
            Control::Gap { .. } if self.misses_gaps => {}
            Control::Gap { alias, count } => {
                let came = self.came(alias);
                let new = (came.next + count).saturating_sub(came.sequence);
                came.next += count;
                came.gaps += new;
                came.sequence += new;
            }
            Control::At { alias, number } => {
                let came = self.came(alias);
                came.next = number;
                if number > came.sequence {
                    came.lost += number - came.sequence;
                    came.sequence = number;
                    came.open = None;
                }
            }
            Control::Mark { number } => self.answers.push(Answer::Marked(number)),
            Control::Ping(ping) => self.answers.push(Answer::Pong(ping.sent.micros())),
            Control::Notify(Notify::Linked { mine, alias, .. }) => {
                let before = self.aliases.insert(alias, Came { pair: mine, ..Came::default() });
                assert!(before.is_none(), "the alias is in use");
                self.answers.push(Answer::Opened(alias));
            }
            Control::End { alias } => {
                let came = self.aliases.remove(&alias).expect("it is known");
                assert!(came.open.is_none() && came.next == came.sequence);
                self.ended.insert(came.pair, came);
            }
            Control::Interests(entries) => self.urgent.push(id(&entries[0])),
            Control::Intents(entries) => self.in_line.push(id(&entries[0])),
            Control::Stalled { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

fn id<T>(entry: &crate::wire::control::Entry<T>) -> u32 {
    match entry {
        crate::wire::control::Entry::Remove { id } => *id,
        _ => panic!("only removals are sent"),
    }
}
