//! The handshake of one connection, without clock or line.
//!
//! ```text
//!   dialler                                   acceptor
//!     │ ── Hello: who I am, whom I expect ──────► │  checks version and identity
//!     │ ◄── Hello ─────────────────────────────── │
//!     │ ◄── Accept: version, session ──────────── │
//!  checks both                                    │
//!     │ ── Accept, the same ────────────────────► │
//!     up                                          up
//! ```
//! Whoever finds a fault says BYE instead. The acceptor says its Hello before such a BYE, so that the
//! dialler knows who refuses it.

use super::words;
use crate::reason::Reason;
use crate::time::Timestamp;
use crate::wire::control::{Accept, Control, Hello};
use crate::wire::kind::{FRAGMENTS, PACKS, RESUMES, VERSION, name};

/// The versions of the protocol that this library speaks.
pub(crate) const VERSIONS: (u8, u8) = (VERSION, VERSION);
/// What it can do beyond what all can, one bit each.
pub(crate) const CAPABILITIES: u32 = FRAGMENTS | PACKS | RESUMES;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The dialler said Hello, or the acceptor listens.
    AwaitsHello,
    /// The peer's Hello was good; the acceptor has yet to answer it.
    Greeted,
    /// The last word is the peer's.
    AwaitsAccept,
    Finished,
}

/// What a frame led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The peer's Hello was good, and it is known who it is. The acceptor answers with
    /// [`Handshake::answer`] unless there is another reason not to.
    Greeted,
    /// Both agree. The dialler sends this back and is up.
    Agreed(Accept),
}

/// One side's state.
#[derive(Debug)]
pub(super) struct Handshake {
    dialler: bool,
    stage: Stage,
    ours: Hello,
    theirs: Option<Hello>,
    offered: Option<Accept>,
}

impl Handshake {
    /// The dialling side, which says `ours` now.
    pub(super) fn dialler(ours: Hello) -> Self {
        Self { dialler: true, stage: Stage::AwaitsHello, ours, theirs: None, offered: None }
    }

    /// The accepting side, which says `ours` when it was greeted.
    pub(super) fn acceptor(ours: Hello) -> Self {
        Self { dialler: false, ..Self::dialler(ours) }
    }

    /// What this side says of itself.
    pub(super) fn ours(&self) -> &Hello {
        &self.ours
    }

    /// What the peer said of itself.
    pub(super) fn theirs(&self) -> Option<&Hello> {
        self.theirs.as_ref()
    }

    /// The Hello that the acceptor owes the peer, before a BYE at the latest.
    pub(super) fn owed_hello(&mut self, clock: Timestamp) -> Option<Control> {
        if self.dialler || self.theirs.is_none() || self.offered.is_some() {
            return None;
        }
        self.ours.clock = clock;
        Some(Control::Hello(self.ours.clone()))
    }

    /// Takes a frame.
    ///
    /// # Errors
    /// Why the connection must end, in words for both.
    pub(super) fn take(&mut self, frame: &Control) -> Result<Progress, Reason> {
        match (self.stage, frame) {
            (Stage::AwaitsHello, Control::Hello(theirs)) => {
                self.theirs = Some(theirs.clone());
                self.check(theirs)?;
                self.stage = if self.dialler { Stage::AwaitsAccept } else { Stage::Greeted };
                Ok(Progress::Greeted)
            }
            (Stage::AwaitsAccept, Control::Accept(theirs)) => {
                self.agree(*theirs).map(Progress::Agreed).inspect(|_| self.stage = Stage::Finished)
            }
            (stage, frame) => Err(words::malformed(format!(
                "{} came where {} was due",
                kind(frame),
                if stage == Stage::AwaitsHello { "HANDSHAKE initial" } else { "HANDSHAKE final" }
            ))),
        }
    }

    /// The acceptor's two frames, with a session number other than 0.
    pub(super) fn answer(&mut self, session: u64, clock: Timestamp) -> [Control; 2] {
        self.ours.clock = clock;
        let version = self.theirs.as_ref().and_then(|theirs| common_version(&self.ours, theirs));
        let offer = Accept {
            version: version.unwrap_or(VERSIONS.0),
            capabilities: self.common_capabilities(),
            session: session.max(1),
        };
        self.offered = Some(offer);
        self.stage = Stage::AwaitsAccept;
        [Control::Hello(self.ours.clone()), Control::Accept(offer)]
    }

    fn check(&self, theirs: &Hello) -> Result<(), Reason> {
        if theirs.instance == self.ours.instance {
            return Err(words::myself(&self.ours.path));
        }
        if common_version(&self.ours, theirs).is_none() {
            return Err(words::no_common_version(&self.ours, theirs));
        }
        check_identity(&self.ours, theirs)?;
        check_identity(theirs, &self.ours)
    }

    fn agree(&self, theirs: Accept) -> Result<Accept, Reason> {
        let ours = self.offered.unwrap_or(Accept {
            version: self.theirs.as_ref().and_then(|hello| common_version(&self.ours, hello)).unwrap_or(0),
            capabilities: self.common_capabilities(),
            session: theirs.session,
        });
        if theirs.session == 0 {
            return Err(words::malformed("HANDSHAKE final assigns session 0"));
        }
        if theirs != ours {
            let text = format!(
                "HANDSHAKE finals disagree: version {}, capabilities {:#x}, session {:#x} against {}, {:#x}, {:#x}",
                ours.version,
                ours.capabilities,
                ours.session,
                theirs.version,
                theirs.capabilities,
                theirs.session
            );
            return Err(words::malformed(text));
        }
        Ok(ours)
    }

    fn common_capabilities(&self) -> u32 {
        self.theirs.as_ref().map_or(0, |theirs| self.ours.capabilities & theirs.capabilities)
    }
}

/// The highest version that both speak.
fn common_version(a: &Hello, b: &Hello) -> Option<u8> {
    let highest = a.version_max.min(b.version_max);
    (highest >= a.version_min && highest >= b.version_min).then_some(highest)
}

fn check_identity(dialler: &Hello, found: &Hello) -> Result<(), Reason> {
    match &dialler.expected {
        Some(expected) if *expected != found.path => {
            Err(words::wrong_identity(&dialler.path, expected, &found.path))
        }
        _ => Ok(()),
    }
}

/// The name of a frame's kind, as the wire's page calls it.
pub(super) fn kind(frame: &Control) -> &'static str {
    match frame {
        Control::Hello(_) => "HANDSHAKE initial",
        Control::Accept(_) => "HANDSHAKE final",
        Control::Unknown { .. } => "a frame of an unknown kind",
        frame => name(frame.kind()),
    }
}

#[cfg(test)]
#[path = "handshake/tests.rs"]
pub(super) mod tests;
