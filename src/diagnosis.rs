//! What is wrong with a line, in words.

use std::fmt;

/// What is wrong with a line that can be damaged, such as a serial one: what was found, and words that say
/// what was seen and what to look at.
///
/// It is in [`LinkStatus::diagnosis`](crate::LinkStatus::diagnosis) and
/// [`Event::LinkDiagnosed`](crate::Event::LinkDiagnosed).
///
/// ```
/// use bowline::{Diagnosis, Finding};
/// let found = Diagnosis::new(Finding::Echo, "what is sent comes back");
/// assert_eq!(found.finding(), Finding::Echo);
/// assert_eq!(found.to_string(), "what is sent comes back");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    finding: Finding,
    text: String,
}

/// What was found to be wrong with a line.
///
/// ```
/// use bowline::Finding;
/// let advice = |finding| match finding {
///     Finding::Garbled => "try another baud rate",
///     Finding::OnlyText => "start the program on the board",
///     _ => "read what the diagnosis says",
/// };
/// assert_eq!(advice(Finding::Garbled), "try another baud rate");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Finding {
    /// Nothing at all arrives.
    Silent,
    /// Text arrives and nothing else: a console or a boot loader is there.
    OnlyText,
    /// Bytes arrive that make no sense: most often the speeds differ.
    Garbled,
    /// Our own bytes come back.
    Echo,
    /// The other end is heard, and does not hear us.
    NotHeard,
    /// Packets arrive damaged, more than now and then.
    Damaged,
    /// Both ends dial, and none listens.
    BothDial,
    /// The other end speaks another version.
    OtherVersion,
    /// The port takes nothing more to send.
    Stalled,
}

impl Diagnosis {
    /// A diagnosis in words of a transport's own.
    pub fn new(finding: Finding, text: impl Into<String>) -> Self {
        Self { finding, text: text.into() }
    }

    /// What was found.
    pub fn finding(&self) -> Finding {
        self.finding
    }

    /// What was seen, and what to look at.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// So that a [`dial`](crate::transport::Transport::dial) can fail with it inside its error.
impl std::error::Error for Diagnosis {}

/// What went over a line, counted since it was opened.
///
/// ```
/// let mut counts = bowline::LineCounts::default();
/// counts.packets_in += 1;
/// assert_eq!((counts.packets_in, counts.broken), (1, 0));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LineCounts {
    /// Bytes that arrived, of whatever kind.
    pub bytes_in: u64,
    /// Bytes written, with all that framing adds.
    pub bytes_out: u64,
    /// Packets that arrived whole.
    pub packets_in: u64,
    /// Packets written.
    pub packets_out: u64,
    /// Packets, or pieces of the repaired stream, that were sent again.
    pub resent: u64,
    /// Pieces that were no whole packet: damaged, or not meant to be one.
    pub broken: u64,
    /// Pieces longer than any packet.
    pub overlong: u64,
    /// Bytes of text that were passed over.
    pub text_bytes: u64,
}
