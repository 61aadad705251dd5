//! Settings of links that do badly, and of peers that refuse.

use super::{EndpointBuilder, require};
use crate::error::Error;
use crate::health::HealthLimits;
use std::time::Duration;

impl EndpointBuilder {
    /// How long to wait before dialling a peer again that refused for a reason that is not
    /// [transient](crate::Reason::is_transient): it speaks no common version, is not the endpoint that was expected,
    /// or one side broke a rule. Until somebody changes a program or a setting, trying again only costs. It is varied at
    /// random by a quarter, and the network's state changes nothing about it. Default: 30 s. Range: 1 ms to 1 h. A
    /// serial port waits 0.5 s at most, as the board behind it may have been changed.
    ///
    /// ```
    /// use bowline::{Endpoint, Event};
    /// use std::time::Duration;
    /// let robot = Endpoint::builder("robot.base").listen("tcp://127.0.0.1:0").start()?;
    /// let desk = Endpoint::builder("desk")
    ///     .connect(format!("{}/robot.arm", robot.listening()[0])) // not who is there
    ///     .redial_refused(Duration::from_secs(60))
    ///     .start()?;
    /// while let Some(event) = desk.events().recv_timeout(Duration::from_secs(5)) {
    ///     if let Event::LinkDown { reason, .. } = event {
    ///         assert!(!reason.is_transient(), "{reason}");
    ///         break;
    ///     }
    /// }
    /// # Ok::<(), bowline::Error>(())
    /// ```
    pub fn redial_refused(mut self, wait: Duration) -> Self {
        self.redial_refused = wait;
        self
    }

    /// Past which figures a link that is up is degraded. Default: [`HealthLimits::new`].
    pub fn health(mut self, limits: HealthLimits) -> Self {
        self.health = limits;
        self
    }

    pub(super) fn check_health(&self) -> Result<(), Error> {
        let range = Duration::from_millis(1)..=Duration::from_secs(3600);
        let wait = self.redial_refused;
        require("redial_refused", range.contains(&wait), format!("{wait:?}"), "it is 1 ms to 1 h")?;
        self.health.check()
    }
}
