//! What the dispatcher is told.

use super::inbox::Inbox;
use super::line::Line;
use super::outlets::Outlets;
use super::refusals::Refusals;
use crate::diagnosis::Diagnosis;
use crate::proto::{Declaration, IntentId, InterestId, LinkId};
use crate::reason::Reason;
use crate::settings::Expected;
use crate::time::Timestamp;
use crate::wire::control::Control;
use crossbeam_channel::Sender;
use std::sync::Arc;
use std::time::Instant;

/// Everything that reaches the dispatcher, in one channel.
pub(crate) enum Input {
    /// A line has inputs of its own waiting.
    Ready(LinkId),
    /// A listener accepted a connection; the answer lets its reader begin.
    Accepted(Arc<Line>, Sender<()>),
    /// A dialled link has a connection.
    Dialled(LinkId, Arc<Line>, Sender<()>),
    /// What the transport says, and what it found wrong with the line.
    DialFailed(LinkId, String, Option<Diagnosis>),
    /// The network says that the way to a link's peer opened.
    WayOpened(LinkId),
    /// A reader and its writer are done with a line.
    LineEnded(Arc<Line>),
    /// The threads of a line are done with its connection, and the line itself can have another: so many of the control frames
    /// that are counted came by it, and why it ended.
    LetGo(Arc<Line>, u64, Reason),
    /// A listener turned connections away, for the first time since that was reported.
    Refused(Arc<Refusals>),
    ListenerFault {
        url: String,
        text: String,
    },
    ThreadPanicked {
        thread: String,
        text: String,
    },
    DeclareIntent(Arc<Outlets>, Declaration, Option<Expected>),
    WithdrawIntent(IntentId),
    DeclareInterest(Arc<Inbox>, Declaration, Option<Expected>),
    WithdrawInterest(InterestId),
    CallbackPanicked(InterestId, String),
    /// An intent has notes of interests it cut off.
    Noted(IntentId),
    Status(Sender<Vec<super::status::LinkStatus>>),
    /// A group wants to be ticked earlier than before.
    Tick,
    /// Say BYE to all and end by then.
    Close(Instant),
}

/// What a reader has for the dispatcher.
pub(crate) enum LineInput {
    /// A control frame and when it was read.
    Control(Timestamp, Control),
    /// The first credit of a lane came.
    Opened { alias: u32 },
    /// The interest of a lane had been cut off, and takes again.
    Returned { alias: u32, missed: u64 },
    /// The peer cut an interest off.
    CutOff { alias: u32, untaken: u64 },
    /// The peer told what such an interest missed.
    TakesAgain { alias: u32, missed: u64 },
    /// What comes under an alias to be passed on without loss finds no room.
    Stalled { alias: u32 },
    /// The peer broke a rule.
    Fault(Reason),
    /// The stream ended.
    Lost(Reason),
}

impl LineInput {
    /// What it holds in memory, about, in bytes.
    pub(super) fn cost(&self) -> usize {
        let held = match self {
            LineInput::Control(_, control) => control.held(),
            LineInput::Fault(reason) | LineInput::Lost(reason) => reason.text().len(),
            LineInput::Opened { .. }
            | LineInput::Stalled { .. }
            | LineInput::Returned { .. }
            | LineInput::CutOff { .. }
            | LineInput::TakesAgain { .. } => 0,
        };
        size_of::<LineInput>() + held
    }
}
