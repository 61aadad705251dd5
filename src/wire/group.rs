//! Datagrams of a group: samples that are sent once for all, and what members say of themselves.
//!
//! ```text
//! magic 2 | version u8 | kind u8 | SAMPLE: digest 16 | sender u32 | intent u32 | sequence u32 | sent u64 | payload
//! ```
//! The digest stands at a fixed place, so that who does not want a sample drops it after one look-up.

use super::error::Fault;
use super::varint;
use crate::path::Path;
use crate::route::Route;
use crate::time::Timestamp;

/// The first bytes of every datagram of a group.
pub(crate) const MAGIC: [u8; 2] = *b"BG";
/// The version of the formats in this file.
pub(crate) const VERSION: u8 = 1;

/// How a sample begins; its digest follows.
#[cfg_attr(
    not(any(target_os = "linux", target_os = "android")),
    allow(dead_code, reason = "for a filter of Linux")
)]
pub(crate) const SAMPLE_START: [u8; 4] = [MAGIC[0], MAGIC[1], VERSION, SAMPLE];

const SAMPLE: u8 = 1;
const ANNOUNCE: u8 = 2;
const LEAVE: u8 = 3;
const REPORT: u8 = 4;

/// How many bytes stand before a payload.
pub(crate) const SAMPLE_HEAD: usize = 40;
/// The most entries of one ANNOUNCE.
pub(crate) const MAX_ENTRIES: usize = 4096;
/// The most pages the table of one member takes.
pub(crate) const MAX_PAGES: u16 = 256;
/// The most entries of one REPORT.
const MAX_LOSSES: usize = 3276;
/// The longest text of a LEAVE, in bytes.
const MAX_TEXT: usize = 256;
/// The longest name of a codec, in bytes.
const MAX_CODEC: usize = super::kind::MAX_CODEC;

/// The first half of the SHA-256 of a route's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Digest(pub(crate) [u8; 16]);

impl Digest {
    /// The digest of a route.
    pub(crate) fn of(route: &Route) -> Self {
        let whole = hmac_sha256::Hash::hash(route.to_string().as_bytes());
        let mut half = [0; 16];
        half.copy_from_slice(&whole[..16]);
        Self(half)
    }
}

/// A datagram by its kind.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Datagram<'a> {
    Sample(SampleHead, &'a [u8]),
    Announce(Announce),
    Leave(Leave),
    Report(Report),
}

/// What stands before the payload of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SampleHead {
    pub(crate) digest: Digest,
    /// Whose it is: the first four bytes of the instance.
    pub(crate) sender: u32,
    /// Which of the sender's intents.
    pub(crate) intent: u32,
    /// Counts the samples of the intent from 0, and wraps.
    pub(crate) sequence: u32,
    /// When, by the sender's clock.
    pub(crate) sent: Timestamp,
}

impl SampleHead {
    #[inline]
    pub(crate) fn encode(&self) -> [u8; SAMPLE_HEAD] {
        let mut head = [0; SAMPLE_HEAD];
        head[..4].copy_from_slice(&[MAGIC[0], MAGIC[1], VERSION, SAMPLE]);
        head[4..20].copy_from_slice(&self.digest.0);
        head[20..24].copy_from_slice(&self.sender.to_le_bytes());
        head[24..28].copy_from_slice(&self.intent.to_le_bytes());
        head[28..32].copy_from_slice(&self.sequence.to_le_bytes());
        head[32..].copy_from_slice(&self.sent.micros().to_le_bytes());
        head
    }

    /// The rest of a sample whose digest was looked at already, and its payload.
    #[inline]
    pub(crate) fn read(digest: Digest, datagram: &[u8]) -> Option<(Self, &[u8])> {
        let (head, payload) = datagram.split_first_chunk::<SAMPLE_HEAD>()?;
        let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let sent = u64::from(word(32)) | u64::from(word(36)) << 32;
        let (sender, intent, sequence) = (word(20), word(24), word(28));
        Some((Self { digest, sender, intent, sequence, sent: Timestamp::from_micros(sent) }, payload))
    }
}

/// The digest of a sample; `None` where the datagram is something else. Nothing more is looked at.
#[inline]
pub(crate) fn sample_digest(datagram: &[u8]) -> Option<Digest> {
    let head = datagram.first_chunk::<SAMPLE_HEAD>()?;
    if head[..4] != [MAGIC[0], MAGIC[1], VERSION, SAMPLE] {
        return None;
    }
    let mut digest = [0; 16];
    digest.copy_from_slice(&head[4..20]);
    Some(Digest(digest))
}

/// A part of what a member says of itself.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Announce {
    /// Unlike that of any other endpoint.
    pub(crate) instance: [u8; 16],
    /// When it was sent, by the sender's clock.
    pub(crate) clock: Timestamp,
    /// How often the member announces itself; never 0.
    pub(crate) interval_millis: u32,
    /// Counts the changes of its table.
    pub(crate) edition: u32,
    /// Which part of the table, from 0.
    pub(crate) page: u16,
    /// How many parts there are; at least 1.
    pub(crate) pages: u16,
    pub(crate) path: Path,
    pub(crate) entries: Vec<Entry>,
}

/// An intent or an interest of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) role: Role,
    pub(crate) id: u32,
    pub(crate) digest: Digest,
    pub(crate) fingerprint: u64,
    pub(crate) codec: String,
}

/// What a member does with a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    WantsLatest,
    WantsQueue,
    /// No group can serve it; it is told so that both sides can say why.
    WantsLossless,
    Supplies,
    /// It claims the route as its own.
    SuppliesAlone,
}

/// A member goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leave {
    pub(crate) instance: [u8; 16],
    pub(crate) text: String,
}

/// What a member missed of the intents of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) instance: [u8; 16],
    pub(crate) losses: Vec<Loss>,
}

/// How many samples of one intent an interest missed since the two met: on the way, or unread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Loss {
    /// Whose intent it is.
    pub(crate) sender: u32,
    pub(crate) intent: u32,
    /// The reporting member's.
    pub(crate) interest: u32,
    pub(crate) lost: u64,
}

/// The short name of an instance, which samples carry.
pub(crate) fn sender_of(instance: &[u8; 16]) -> u32 {
    u32::from_le_bytes([instance[0], instance[1], instance[2], instance[3]])
}

impl Role {
    const fn code(self) -> u8 {
        match self {
            Role::WantsLatest => 0,
            Role::WantsQueue => 1,
            Role::WantsLossless => 2,
            Role::Supplies => 3,
            Role::SuppliesAlone => 4,
        }
    }

    pub(crate) const fn supplies(self) -> bool {
        matches!(self, Role::Supplies | Role::SuppliesAlone)
    }
}

/// Cuts a table into the pages that announce it, each of at most `limit` bytes; at least one. What
/// would be past the last page is left out.
pub(crate) fn announce(front: &Announce, entries: &[Entry], limit: usize) -> Vec<Vec<u8>> {
    let mut head = Vec::new();
    put_front(&mut head, front);
    let (mut bodies, mut body, mut count) = (Vec::new(), Vec::new(), 0u64);
    let mut one = Vec::new();
    for entry in entries {
        one.clear();
        put_entry(&mut one, entry);
        if count > 0 && head.len() + varint::MAX_BYTES_U32 + body.len() + one.len() > limit {
            bodies.push((count, std::mem::take(&mut body)));
            count = 0;
        }
        body.extend_from_slice(&one);
        count += 1;
    }
    bodies.push((count, body));
    bodies.truncate(usize::from(MAX_PAGES));
    let pages = bodies.len() as u16;
    let page = |(page, (count, body)): (u16, (u64, Vec<u8>))| {
        let mut datagram = head.clone();
        datagram[PAGE_AT..PAGE_AT + 2].copy_from_slice(&page.to_le_bytes());
        datagram[PAGE_AT + 2..PAGE_AT + 4].copy_from_slice(&pages.to_le_bytes());
        varint::put(&mut datagram, count);
        datagram.extend_from_slice(&body);
        datagram
    };
    (0u16..).zip(bodies).map(page).collect()
}

/// The datagram of a member that goes.
pub(crate) fn leave(leave: &Leave) -> Vec<u8> {
    let mut out = vec![MAGIC[0], MAGIC[1], VERSION, LEAVE];
    out.extend_from_slice(&leave.instance);
    let end = (0..=leave.text.len().min(MAX_TEXT)).rev().find(|end| leave.text.is_char_boundary(*end));
    put_text(&mut out, &leave.text[..end.unwrap_or(0)]);
    out
}

/// The datagrams that report these losses, each of at most `limit` bytes.
pub(crate) fn report(instance: &[u8; 16], losses: &[Loss], limit: usize) -> Vec<Vec<u8>> {
    let most = limit.saturating_sub(REPORT_HEAD) / LOSS_BYTES;
    let datagram = |losses: &[Loss]| {
        let mut out = vec![MAGIC[0], MAGIC[1], VERSION, REPORT];
        out.extend_from_slice(instance);
        varint::put(&mut out, losses.len() as u64);
        for loss in losses {
            out.extend_from_slice(&loss.sender.to_le_bytes());
            out.extend_from_slice(&loss.intent.to_le_bytes());
            out.extend_from_slice(&loss.interest.to_le_bytes());
            out.extend_from_slice(&loss.lost.to_le_bytes());
        }
        out
    };
    losses.chunks(most.clamp(1, MAX_LOSSES)).map(datagram).collect()
}

/// What stands before the entries of a REPORT, at most.
const REPORT_HEAD: usize = 4 + 16 + varint::MAX_BYTES_U32;
/// The bytes of one of its entries.
const LOSS_BYTES: usize = 20;

/// Where the number of the page stands in an ANNOUNCE.
const PAGE_AT: usize = 4 + 16 + 8 + 4 + 4;

fn put_front(out: &mut Vec<u8>, announce: &Announce) {
    out.extend_from_slice(&[MAGIC[0], MAGIC[1], VERSION, ANNOUNCE]);
    out.extend_from_slice(&announce.instance);
    out.extend_from_slice(&announce.clock.micros().to_le_bytes());
    out.extend_from_slice(&announce.interval_millis.to_le_bytes());
    out.extend_from_slice(&announce.edition.to_le_bytes());
    out.extend_from_slice(&announce.page.to_le_bytes());
    out.extend_from_slice(&announce.pages.to_le_bytes());
    put_text(out, announce.path.as_str());
}

fn put_entry(out: &mut Vec<u8>, entry: &Entry) {
    out.push(entry.role.code());
    varint::put(out, entry.id.into());
    out.extend_from_slice(&entry.digest.0);
    out.extend_from_slice(&entry.fingerprint.to_le_bytes());
    put_text(out, &entry.codec);
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    varint::put(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Why a datagram that came to a group is of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Useless {
    #[error("it is no datagram of a bowline group")]
    Foreign,
    #[error("it is of version {0} of the group formats, this endpoint speaks {VERSION}")]
    Version(u8),
    #[error("it is malformed: {0}")]
    Malformed(Fault),
}

/// Reads a datagram of any kind.
pub(crate) fn read(datagram: &[u8]) -> Result<Datagram<'_>, Useless> {
    let Some((&[a, b, version, kind], rest)) = datagram.split_first_chunk() else {
        return Err(Useless::Foreign);
    };
    if [a, b] != MAGIC {
        return Err(Useless::Foreign);
    }
    if version != VERSION {
        return Err(Useless::Version(version));
    }
    if let Some(digest) = sample_digest(datagram) {
        let sample = SampleHead::read(digest, datagram);
        return sample.map(|(head, payload)| Datagram::Sample(head, payload)).ok_or(Useless::Foreign);
    }
    let mut body = Body { rest };
    let read = match kind {
        SAMPLE => Err(Fault::Ends { field: "head" }),
        ANNOUNCE => body.announce().map(Datagram::Announce),
        LEAVE => body.leave().map(Datagram::Leave),
        REPORT => body.report().map(Datagram::Report),
        kind => Err(Fault::Value { field: "kind", value: kind.into(), rule: "1 to 4" }),
    };
    match (read, body.rest.len()) {
        (Ok(datagram), 0) => Ok(datagram),
        (Ok(_), count) => Err(Useless::Malformed(Fault::Trailing { count })),
        (Err(fault), _) => Err(Useless::Malformed(fault)),
    }
}

/// The fewest bytes of an entry.
const MIN_ENTRY: usize = 27;

type Taken<T> = Result<T, Fault>;

struct Body<'a> {
    rest: &'a [u8],
}

impl<'a> Body<'a> {
    fn announce(&mut self) -> Taken<Announce> {
        let instance = self.array("instance")?;
        let clock = Timestamp::from_micros(u64::from_le_bytes(self.array("clock")?));
        let interval_millis = u32::from_le_bytes(self.array("interval")?);
        if interval_millis == 0 {
            return Err(Fault::Value { field: "interval", value: 0, rule: "at least 1" });
        }
        let edition = u32::from_le_bytes(self.array("edition")?);
        let page = u16::from_le_bytes(self.array("page")?);
        let pages = u16::from_le_bytes(self.array("pages")?);
        if pages == 0 || pages > MAX_PAGES {
            return Err(Fault::Value { field: "pages", value: pages.into(), rule: "1 to 256" });
        }
        if page >= pages {
            return Err(Fault::Value { field: "page", value: page.into(), rule: "less than pages" });
        }
        let path = Path::parse(self.text("path", Path::MAX_BYTES)?)
            .map_err(|error| Fault::Name { field: "path", text: error.to_string().into() })?;
        let count = self.number("count")? as usize;
        if count > MAX_ENTRIES.min(self.rest.len() / MIN_ENTRY) {
            let rule = "at most 4096, and one for every 27 bytes after it";
            return Err(Fault::Value { field: "count", value: count as u64, rule });
        }
        let mut entries = Vec::with_capacity(count);
        for _ in 0..count {
            entries.push(self.entry()?);
        }
        Ok(Announce { instance, clock, interval_millis, edition, page, pages, path, entries })
    }

    fn entry(&mut self) -> Taken<Entry> {
        let [role] = self.array("role")?;
        let role = match role {
            0 => Role::WantsLatest,
            1 => Role::WantsQueue,
            2 => Role::WantsLossless,
            3 => Role::Supplies,
            4 => Role::SuppliesAlone,
            value => return Err(Fault::Value { field: "role", value: value.into(), rule: "0 to 4" }),
        };
        Ok(Entry {
            role,
            id: self.number("id")?,
            digest: Digest(self.array("digest")?),
            fingerprint: u64::from_le_bytes(self.array("fingerprint")?),
            codec: self.text("codec", MAX_CODEC)?.to_owned(),
        })
    }

    fn leave(&mut self) -> Taken<Leave> {
        Ok(Leave { instance: self.array("instance")?, text: self.text("text", MAX_TEXT)?.to_owned() })
    }

    fn report(&mut self) -> Taken<Report> {
        let instance = self.array("instance")?;
        let count = self.number("count")? as usize;
        if count > MAX_LOSSES.min(self.rest.len() / LOSS_BYTES) {
            let rule = "at most 3276, and one for every 20 bytes after it";
            return Err(Fault::Value { field: "count", value: count as u64, rule });
        }
        let mut losses = Vec::with_capacity(count);
        for _ in 0..count {
            losses.push(Loss {
                sender: u32::from_le_bytes(self.array("sender")?),
                intent: u32::from_le_bytes(self.array("intent")?),
                interest: u32::from_le_bytes(self.array("interest")?),
                lost: u64::from_le_bytes(self.array("lost")?),
            });
        }
        Ok(Report { instance, losses })
    }

    fn number(&mut self, field: &'static str) -> Taken<u32> {
        let read = varint::read_u32(self.rest).map_err(|fault| Fault::Varint { field, fault })?;
        let (value, used) = read.ok_or(Fault::Ends { field })?;
        self.rest = &self.rest[used..];
        Ok(value)
    }

    fn text(&mut self, field: &'static str, limit: usize) -> Taken<&'a str> {
        let length = self.number(field)?;
        if length as usize > limit {
            return Err(Fault::TooLong { field, length: length.into(), limit });
        }
        let (bytes, rest) = self.rest.split_at_checked(length as usize).ok_or(Fault::Ends { field })?;
        self.rest = rest;
        std::str::from_utf8(bytes).map_err(|error| {
            let at = error.valid_up_to();
            Fault::NotText { field, at, byte: bytes.get(at).copied().unwrap_or_default() }
        })
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Taken<[u8; N]> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(Fault::Ends { field })?;
        self.rest = rest;
        Ok(*array)
    }
}

#[cfg(test)]
mod tests;
