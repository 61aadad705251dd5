//! The numbers of the wire: frame kinds and bounds.

/// The first bytes of a HANDSHAKE initial's body after its phase.
pub(crate) const MAGIC: [u8; 4] = *b"BWLN";
/// The protocol version described by `PROTOCOL.md`.
pub(crate) const VERSION: u8 = 1;

pub(crate) const HANDSHAKE: u32 = 0x01;
pub(crate) const BYE: u32 = 0x02;
pub(crate) const PING: u32 = 0x03;
pub(crate) const PONG: u32 = 0x04;
pub(crate) const INTENTS: u32 = 0x05;
pub(crate) const INTERESTS: u32 = 0x06;
pub(crate) const NOTIFY: u32 = 0x07;
pub(crate) const CREDIT: u32 = 0x08;
pub(crate) const TIME: u32 = 0x09;
pub(crate) const GAP: u32 = 0x0A;
pub(crate) const END: u32 = 0x0B;
/// A piece of a sample, between two that both set [`FRAGMENTS`].
pub(crate) const FRAGMENT: u32 = 0x0D;
pub(crate) const LOST: u32 = 0x0E;
/// Between two that both set [`RESUMES`], as are the next three.
pub(crate) const RESUME: u32 = 0x10;
pub(crate) const AT: u32 = 0x11;
pub(crate) const MARK: u32 = 0x12;
pub(crate) const STALLED: u32 = 0x14;
pub(crate) const MARKED: u32 = 0x15;
/// A copy of a sample, between two that both set [`RESUMES`].
pub(crate) const COPY: u32 = 0x16;
/// The tag of a MESSAGE of alias 0.
pub(crate) const MESSAGE: u32 = 0x20;

/// The capability to take samples in pieces.
pub(crate) const FRAGMENTS: u32 = 1 << 1;

/// The largest alias: bounds the tables that are indexed by it.
pub(crate) const MAX_ALIAS: u32 = 16_383;
/// The largest frame before the handshake is done, counted after the length field.
pub(crate) const MAX_HANDSHAKE_FRAME: u32 = 1024;
/// The capability of aliases whose payloads are packed. It says that they are known, not that they are wanted:
/// that each interest says for itself.
pub(crate) const PACKS: u32 = 1 << 5;
/// The capability of sessions that outlive their links.
pub(crate) const RESUMES: u32 = 1 << 6;
/// The least `max_frame` a side may announce: small controllers take no more.
pub(crate) const LEAST_MAX_FRAME: u32 = 64;
/// The largest control frame, counted after the length field.
pub(crate) const MAX_CONTROL_FRAME: u32 = 65_536;
/// What a sender fills a batch of entries up to: 60 KiB.
pub(crate) const MAX_BATCH: usize = 60 * 1024;
/// The most entries of one INTENTS or INTERESTS: bounds what a frame costs once decoded.
pub(crate) const MAX_ENTRIES: usize = 4096;
/// The most relays between an intent and an interest.
pub(crate) const MAX_HOPS: usize = 8;
/// Set in an interest's `delivery` where it is in one intent alone.
pub(crate) const ONLY: u8 = 0x80;
/// Set in an interest's `delivery` where it takes packed payloads.
pub(crate) const UNPACKS: u8 = 0x40;
/// The `notice` of NOTIFY linked where payloads are packed.
pub(crate) const LINKED_PACKED: u8 = 0x80;
/// The longest text of a BYE or NOTIFY, in bytes.
pub(crate) const MAX_TEXT: usize = 512;
/// The longest name of a codec, in bytes.
pub(crate) const MAX_CODEC: usize = 32;
/// The longest encoded schema in a NOTIFY.
pub(crate) const MAX_SCHEMA: usize = 16 * 1024;

/// The name of a kind, for texts.
pub(crate) const fn name(kind: u32) -> &'static str {
    match kind {
        HANDSHAKE => "HANDSHAKE",
        BYE => "BYE",
        PING => "PING",
        PONG => "PONG",
        INTENTS => "INTENTS",
        INTERESTS => "INTERESTS",
        NOTIFY => "NOTIFY",
        CREDIT => "CREDIT",
        TIME => "TIME",
        GAP => "GAP",
        END => "END",
        FRAGMENT => "FRAGMENT",
        LOST => "LOST",
        RESUME => "RESUME",
        AT => "AT",
        MARK => "MARK",
        STALLED => "STALLED",
        MARKED => "MARKED",
        COPY => "COPY",
        0x13 | 0x17 => "an unassigned kind",
        MESSAGE.. => "MESSAGE",
        _ => "a reserved kind",
    }
}

/// Whether frames of a kind are counted in a session, by both sides alike.
pub(crate) const fn is_counted(kind: u32) -> bool {
    matches!(kind, INTENTS | INTERESTS | NOTIFY | CREDIT | END | STALLED)
}

/// Whether a frame of this kind may come at all. Those from 0x10 to 0x17 this version does not know, but
/// skips: what a later one may send without asking.
pub(crate) const fn is_taken(kind: u32) -> bool {
    matches!(kind, HANDSHAKE..=END | FRAGMENT | LOST | 0x10..=0x17 | MESSAGE..)
}
