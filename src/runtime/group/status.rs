//! How a group is, for the application to see.

use super::port::Tallies;
use crate::event::PeerName;
use crate::proto::group::GroupCounts;

/// One group this endpoint is in, as it is now.
///
/// ```
/// # let group = "udp://239.255.77.1:47011?interface=127.0.0.1";
/// let robot = bowline::Endpoint::builder("robot").join(group).start()?;
/// let status = &robot.groups()[0];
/// assert_eq!(status.url, "udp://239.255.77.1:47011");
/// assert!(status.members.iter().all(|member| member.path.is_some()));
/// # Ok::<(), bowline::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupStatus {
    /// The group's URL, without options.
    pub url: String,
    /// Who else is there.
    pub members: Vec<PeerName>,
    /// Datagrams sent: samples and announcements.
    pub sent: u64,
    /// Datagrams the system did not take; they are lost, and whoever wanted them sees a gap.
    pub unsent: u64,
    /// Samples handed to interests.
    pub taken: u64,
    /// Samples nobody here wants, dropped after one look-up. Once there were 100 of them Linux drops the like,
    /// so that they cost nothing, and they are no longer counted until something else is wanted.
    pub unwanted: u64,
    /// Samples of a wanted route by somebody who did not announce it, dropped.
    pub strangers: u64,
    /// Samples that came late or twice, dropped. They were counted as lost when they were missing.
    pub late: u64,
    /// Datagrams that are no part of this protocol.
    pub useless: u64,
    /// Announcements beyond the bounds: more than 256 members, or more than 16,384 entries in all.
    pub refused: u64,
}

impl GroupStatus {
    pub(super) fn new(url: String, members: Vec<PeerName>, counts: GroupCounts, tallies: &Tallies) -> Self {
        Self {
            url,
            members,
            sent: tallies.sent.get(),
            unsent: tallies.unsent.get(),
            taken: tallies.taken.get(),
            unwanted: tallies.unwanted.get(),
            strangers: tallies.strangers.get(),
            late: tallies.late.get(),
            useless: counts.useless,
            refused: counts.refused,
        }
    }
}
