//! Settings of links that are dialled, and of the sessions they carry.

use super::{EndpointBuilder, require};
use crate::error::Error;
use crate::peer::PeerUrl;
use crate::peer::group::GroupUrl;
use std::sync::Arc;
use std::time::Duration;

impl EndpointBuilder {
    /// Connects to a peer, such as `tcp://10.0.0.2:7400/robot.arm`, and again whenever the link is lost.
    /// The peer need not be there yet. Can be given often. The address of a group is
    /// [joined](Self::join).
    pub fn connect(mut self, url: impl Into<String>) -> Self {
        let url = url.into();
        if GroupUrl::is_meant(&url) {
            self.join.push(url)
        } else {
            self.connect.push(vec![url])
        }
        self
    }

    /// Connects to one peer over several links, the most wanted first: Ethernet, say, and a serial radio. Can be given often,
    /// once for each peer.
    ///
    /// One link carries the session; the others stand by ([`LinkStandsBy`](crate::Event::LinkStandsBy)), pinged like any
    /// link. When the one that carries it is lost, or is degraded where another is not, the session goes on over
    /// the first of the others that is well ([`SessionResumed`](crate::Event::SessionResumed)): nothing is linked anew,
    /// lossless samples go on from the last that came, and others are late by what it took to find the loss. It goes
    /// back to a link named before the present one once that has stood by, well, for 3 s; twice as long after each time it
    /// had to leave one because it was degraded, 60 s at most. See also [`Links`](crate::Links), by which an intent
    /// sends over all links at once, or over some kinds only.
    ///
    /// ```
    /// use bowline::{Endpoint, Event};
    /// use std::time::Duration;
    /// let arm = Endpoint::builder("robot.arm").listen("tcp://127.0.0.1:0").listen("memory://connect-any-doc").start()?;
    /// let base = Endpoint::builder("robot.base")
    ///     .connect_any([format!("{}/robot.arm", arm.listening()[0]), "memory://connect-any-doc/robot.arm".into()])
    ///     .start()?;
    /// let (mut up, mut ready) = (0, 0);
    /// while up + ready < 2 {
    ///     match base.events().recv_timeout(Duration::from_secs(5)) {
    ///         Some(Event::LinkUp { .. }) => up += 1,
    ///         Some(Event::LinkStandsBy { .. }) => ready += 1,
    ///         Some(_) => {}
    ///         None => panic!("no link within 5 s"),
    ///     }
    /// }
    /// # Ok::<(), bowline::Error>(())
    /// ```
    pub fn connect_any<U: Into<String>>(mut self, urls: impl IntoIterator<Item = U>) -> Self {
        self.connect.push(urls.into_iter().map(Into::into).collect());
        self
    }

    /// How long a session goes on without a link. Default: 10 s. Range: 0 to 1 h; 0: it ends with its link.
    ///
    /// Within the lease a lost link that is made again, or another one, carries the session on: routes stay linked, nothing is
    /// told anew, and lossless samples go on where they were, none lost, none twice, none out of order. Meanwhile `send` takes
    /// samples as for a link that is slow: what is lossless until there is no more room, of the rest the newest;
    /// [`Interest::latest`](crate::Interest::latest) answers that the link is down. Each side keeps what it wrote and does not know to
    /// have come: about 1 MiB for each link at most, and one sample. When the lease passes, or the peer started anew, the session is
    /// over, and what could not be kept is counted: see [`SessionEnded`](crate::Event::SessionEnded).
    ///
    /// Both sides must know sessions that outlive links; each keeps its own lease.
    pub fn lease(mut self, span: Duration) -> Self {
        self.lease = span;
        self
    }

    pub(super) fn check_lease(&self) -> Result<(), Error> {
        let range = Duration::ZERO..=Duration::from_secs(3600);
        require("lease", range.contains(&self.lease), format!("{:?}", self.lease), "it is 0 to 1 h")
    }

    /// The peers that are dialled, and by which links each.
    pub(super) fn peers(&self) -> Result<Vec<Vec<Arc<PeerUrl>>>, Error> {
        let peer = |urls: &Vec<String>| {
            require("connect_any", !urls.is_empty(), "[]".to_owned(), "it names at least one URL")?;
            let urls = urls.iter().map(|url| {
                let group = GroupUrl::is_meant(url);
                require("connect_any", !group, url.clone(), "it names peers; a group is joined")?;
                PeerUrl::parse(url).map(Arc::new)
            });
            urls.collect()
        };
        self.connect.iter().map(peer).collect()
    }
}
