//! What a bound socket does with each datagram: whose it is, and who may begin.
//!
//! ```text
//!  OPEN without a good cookie ──► RETRY                       nothing is kept
//!  OPEN with one ──► OPENED, half-open ──► a datagram with our token ──► a connection, to be accepted
//!                       │                                                     │
//!                       └─ 2 s, or 100 others: forgotten                      └─ RESET, or closed: forgotten
//! ```
//! Pure: the thread of the socket gives it datagrams and does what it says.

use super::cookie::Cookies;
use crate::time::Timestamp;
use crate::wire::packet::{
    Open, Opened, PacketFrame, VERSION, decode, pieces, put_opened, put_piece, put_reset, put_retry,
};
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

/// The connections of one socket.
pub(crate) struct Sorter {
    cookies: Cookies,
    rng: fastrand::Rng,
    /// The largest packet content that is taken, and how much of a stream is held: told to each dialler.
    packet: u16,
    window: u32,
    peers: HashMap<SocketAddr, Known>,
    /// Half-open ones, oldest first.
    half: VecDeque<Half>,
    next: u64,
    resets: Budget,
    counts: SorterCounts,
}

/// A connection that stands.
struct Known {
    number: u64,
    mine: u32,
    theirs: u32,
}

struct Half {
    from: SocketAddr,
    mine: u32,
    theirs: u32,
    packet: u16,
    window: u32,
    until: Timestamp,
}

/// A dialler that proved its address and spoke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Begun {
    pub(crate) number: u64,
    pub(crate) from: SocketAddr,
    pub(crate) mine: u32,
    pub(crate) theirs: u32,
    /// The largest packet content it takes, and how many bytes of the stream it holds.
    pub(crate) packet: u16,
    pub(crate) window: u32,
    /// The connection of the same address that ended with it.
    pub(crate) instead_of: Option<u64>,
}

/// What is to be done with a datagram.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sorted<'a> {
    /// It is dropped.
    Nothing,
    /// Content for a connection.
    Content(u64, &'a [u8]),
    /// A new connection, and content for it.
    Begun(Begun, &'a [u8]),
    /// The other side of a connection has none any more.
    Ended(u64),
    /// Send this back.
    Answer(Vec<u8>),
}

/// What came and was of no use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SorterCounts {
    /// Nothing of this protocol.
    pub(crate) useless: u64,
    /// OPENs without a good cookie.
    pub(crate) unproven: u64,
    /// Half-open ones that had to go.
    pub(crate) pushed_out: u64,
    /// OPENs while too many wait to be accepted.
    pub(crate) refused: u64,
}

impl Sorter {
    pub(crate) fn new(cookies: Cookies, seed: u64, packet: u16, window: u32) -> Self {
        Self {
            cookies,
            rng: fastrand::Rng::with_seed(seed),
            packet,
            window,
            peers: HashMap::new(),
            half: VecDeque::new(),
            next: 0,
            resets: Budget::default(),
            counts: SorterCounts::default(),
        }
    }

    /// Sorts one datagram. `room` says whether a new connection could be accepted.
    pub(crate) fn datagram<'a>(
        &mut self,
        now: Timestamp,
        from: SocketAddr,
        datagram: &'a [u8],
        room: bool,
    ) -> Sorted<'a> {
        let Some((token, content)) = datagram.split_first_chunk() else { return self.useless() };
        match u16::from_le_bytes(*token) {
            0 => self.opening(now, from, datagram.len(), content, room),
            token => self.content(now, from, token, content),
        }
    }

    /// A connection is closed here.
    pub(crate) fn forget(&mut self, from: SocketAddr, number: u64) {
        if self.peers.get(&from).is_some_and(|known| known.number == number) {
            self.peers.remove(&from);
        }
    }

    /// No more connections: forgets the half-open ones, and returns what tells them.
    pub(crate) fn close(&mut self) -> Vec<(SocketAddr, Vec<u8>)> {
        self.half.drain(..).map(|half| (half.from, reset(half.mine as u16))).collect()
    }

    pub(crate) fn counts(&self) -> SorterCounts {
        self.counts
    }

    fn useless<'a>(&mut self) -> Sorted<'a> {
        self.counts.useless += 1;
        Sorted::Nothing
    }

    fn content<'a>(&mut self, now: Timestamp, from: SocketAddr, token: u16, content: &'a [u8]) -> Sorted<'a> {
        let known = self.peers.get(&from);
        if let Some(known) = known.filter(|known| known.mine as u16 == token) {
            return Sorted::Content(known.number, content);
        }
        let instead_of = known.map(|known| known.number);
        self.expire(now);
        let found = self.half.iter().position(|half| half.from == from && half.mine as u16 == token);
        if let Some(half) = found.and_then(|place| self.half.remove(place)) {
            let Half { mine, theirs, packet, window, .. } = half;
            let number = self.next;
            self.next += 1;
            self.peers.insert(from, Known { number, mine, theirs });
            return Sorted::Begun(Begun { number, from, mine, theirs, packet, window, instead_of }, content);
        }
        self.counts.useless += 1;
        if content.len() + 2 < RESET_BYTES || !self.resets.take(now) {
            return Sorted::Nothing;
        }
        Sorted::Answer(reset(token))
    }

    fn opening<'a>(
        &mut self,
        now: Timestamp,
        from: SocketAddr,
        size: usize,
        content: &'a [u8],
        room: bool,
    ) -> Sorted<'a> {
        let frame = pieces(content).next().and_then(Result::ok).and_then(|piece| decode(piece).ok());
        match frame {
            Some(PacketFrame::Open(open)) if size >= LEAST_OPEN => self.open(now, from, &open, room),
            Some(PacketFrame::OpenOther { token, .. }) if size >= LEAST_OPEN && self.resets.take(now) => {
                // It says which version is spoken here; nothing else of it is meant.
                Sorted::Answer(self.opened(token, token))
            }
            Some(PacketFrame::Reset { token }) => match self.peers.get(&from) {
                Some(known) if known.theirs as u16 == token => {
                    let number = known.number;
                    self.peers.remove(&from);
                    Sorted::Ended(number)
                }
                _ => Sorted::Nothing,
            },
            _ => self.useless(),
        }
    }

    fn open<'a>(&mut self, now: Timestamp, from: SocketAddr, open: &Open<'_>, room: bool) -> Sorted<'a> {
        let Open { token, packet, window, cookie, .. } = *open;
        if !self.cookies.is_good(now, from, token, cookie) {
            self.counts.unproven += 1;
            let cookie = self.cookies.make(now, from, token);
            let mut answer = vec![0, 0];
            put_piece(&mut answer, |out| put_retry(out, token, &cookie));
            return Sorted::Answer(answer);
        }
        self.expire(now);
        let standing = self.peers.get(&from).filter(|known| known.theirs == token).map(|known| known.mine);
        let asked = self.half.iter().find(|half| half.from == from && half.theirs == token);
        if let Some(mine) = standing.or(asked.map(|half| half.mine)) {
            return Sorted::Answer(self.opened(token, mine));
        }
        if !room {
            self.counts.refused += 1;
            return Sorted::Nothing;
        }
        if self.half.len() >= MAX_HALF_OPEN {
            self.half.pop_front();
            self.counts.pushed_out += 1;
        }
        let mine = self.new_token(from);
        self.half.push_back(Half { from, mine, theirs: token, packet, window, until: now + HALF_OPEN });
        Sorted::Answer(self.opened(token, mine))
    }

    fn opened(&self, yours: u32, mine: u32) -> Vec<u8> {
        let opened = Opened { version: VERSION, yours, mine, packet: self.packet, window: self.window };
        let mut answer = vec![0, 0];
        put_piece(&mut answer, |out| put_opened(out, &opened));
        answer
    }

    /// A token that datagrams of this address do not carry yet.
    fn new_token(&mut self, from: SocketAddr) -> u32 {
        loop {
            let token = self.rng.u32(..);
            let taken = |known: u32| known as u16 == token as u16;
            let standing = self.peers.get(&from).is_some_and(|known| taken(known.mine));
            let asked = self.half.iter().any(|half| half.from == from && taken(half.mine));
            if token as u16 != 0 && !standing && !asked {
                return token;
            }
        }
    }

    fn expire(&mut self, now: Timestamp) {
        while self.half.front().is_some_and(|half| half.until <= now) {
            self.half.pop_front();
        }
    }
}

/// The datagram that says: I have no such connection.
pub(crate) fn reset(token: u16) -> Vec<u8> {
    let mut answer = vec![0, 0];
    put_piece(&mut answer, |out| put_reset(out, token));
    answer
}

/// How many answers to useless datagrams may still be given in this second.
#[derive(Default)]
struct Budget {
    second: u64,
    given: u32,
}

impl Budget {
    fn take(&mut self, now: Timestamp) -> bool {
        let second = now.micros() / 1_000_000;
        if second != self.second {
            (self.second, self.given) = (second, 0);
        }
        self.given += u32::from(self.given < RESETS_A_SECOND + 1);
        self.given <= RESETS_A_SECOND
    }
}

/// An OPEN must be as large: so is no answer to it.
pub(crate) const LEAST_OPEN: usize = 64;

/// What a RESET takes; a smaller datagram is not answered by one.
const RESET_BYTES: usize = 6;

const RESETS_A_SECOND: u32 = 10;

/// How many half-open ones there are at most, and for how long.
const MAX_HALF_OPEN: usize = 100;
const HALF_OPEN: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests;
