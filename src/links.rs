//! Over which of several links to one peer the samples of an intent go.

use std::fmt;
use std::sync::Arc;

/// Over which of the links to a peer the samples of an intent go, where there are several: see
/// [`connect_any`](crate::EndpointBuilder::connect_any). Set by [`IntentSettings::links`](crate::IntentSettings::links).
///
/// It is for links to peers that this endpoint knows itself; a relay passes samples on as if this were the default.
///
/// ```
/// use bowline::{IntentSettings, Links, Priority};
/// let stop = IntentSettings::new().priority(Priority::Urgent).links(Links::All); // by Ethernet and by radio at once
/// let pose = IntentSettings::new(); // by the one that carries the session
/// let eye = IntentSettings::new().priority(Priority::Bulk).links(Links::only("tcp")); // never by radio
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Links {
    /// The one that carries the session, the best of those that are well. The default.
    #[default]
    Best,
    /// All at once, for what must not wait until the loss of a link is noticed, such as a stop command: each sample goes over
    /// the link that carries the session, and a copy of it over each that stands by. The interest gets whichever is first,
    /// each sample once and in order.
    ///
    /// Nothing waits for a copy. It is left out where 64 KiB of copies wait on its link, or a twentieth of what that carries in a
    /// second if its speed is known; and where the sample is larger than that, or than 32 KiB. Then it comes by the link that carries
    /// the session alone. A copy that overtakes samples of which no copy came is taken by interests that may lose samples,
    /// which count those as lost on the way; lossless interests wait for them.
    All,
    /// Only links whose URL begins so: [`Links::only`].
    Only(Arc<str>),
}

impl Links {
    /// Only over links of one kind: `tcp`, say, so that images do not go over the radio. A scheme, or the beginning of a URL up to
    /// the end of one of its parts, such as `serial:///dev/ttyUSB0`. It is compared with the URL that was
    /// dialled, and where the peer dialled with that from which the connection came:
    /// [`PeerName::url`](crate::PeerName::url). `fault+` in front of that is passed over.
    ///
    /// While another link carries the session, samples wait: of `latest` the newest, of `queue(n)` the newest n, older ones are
    /// dropped and counted, and of `lossless` as many as there is room for, then the intent is turned away
    /// ([`LinkFull`](crate::Fate::LinkFull)). They go when a link carries the session that fits, with what was sent before and did not
    /// come. Where none ever does, they wait for good: see [`Intent::outcomes`](crate::Intent::outcomes), which says
    /// [`Waits`](crate::Fate::Waits). What waits is given up, and counted, when the intent is dropped.
    ///
    /// ```
    /// use bowline::{Bytes, Endpoint, Intent, IntentSettings, Links};
    /// let robot = Endpoint::builder("robot").start()?;
    /// let settings = IntentSettings::new().links(Links::only("tcp"));
    /// let eye: Intent<Bytes> = robot.intent_with("robot.eye", settings)?;
    /// // No URL begins with nothing at all.
    /// let settings = IntentSettings::new().links(Links::only(""));
    /// assert!(robot.intent_with::<Bytes>("robot.eye", settings).is_err());
    /// # Ok::<(), bowline::Error>(())
    /// ```
    pub fn only(begins: impl AsRef<str>) -> Self {
        Self::Only(Arc::from(begins.as_ref()))
    }

    /// Whether samples may go over a link of this URL.
    pub(crate) fn fit(&self, url: &str) -> bool {
        let Links::Only(begins) = self else { return true };
        let begins = begins.as_ref();
        let url = match url.strip_prefix(FAULTY) {
            Some(plain) if !begins.starts_with(FAULTY) => plain,
            _ => url,
        };
        let Some(rest) = url.strip_prefix(begins) else { return false };
        if !begins.contains(':') {
            return rest.starts_with(':');
        }
        // Not within a word or a number.
        let is_word = |char: char| char.is_ascii_alphanumeric();
        !(begins.ends_with(is_word) && rest.starts_with(is_word))
    }
}

impl fmt::Display for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Links::Best => f.pad("the best link"),
            Links::All => f.pad("all links"),
            Links::Only(begins) => write!(f, "links of {begins}"),
        }
    }
}

/// What stands before the scheme of a link with faults on purpose.
const FAULTY: &str = "fault+";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_fits_by_its_scheme_or_by_the_beginning_of_its_url() {
        let fits = [
            ("tcp", "tcp://10.0.0.2:7400/robot"),
            ("tcp", "fault+tcp://10.0.0.2:7400/robot?delay=5ms"),
            ("fault+tcp", "fault+tcp://10.0.0.2:7400/robot"),
            ("serial", "serial:by-id/usb-FTDI/robot"),
            ("radio", "radio://base/robot"),
            ("tcp://10.0.0.2:7400", "tcp://10.0.0.2:7400"),
            ("tcp://10.0.0.2:7400", "tcp://10.0.0.2:7400/robot"),
            ("tcp://10.0.0.2", "tcp://10.0.0.2:7400/robot"),
            ("tcp://10.0.", "tcp://10.0.0.2:7400/robot"),
            ("tcp://", "tcp://10.0.0.2:7400"),
        ];
        for (begins, url) in fits {
            assert!(Links::only(begins).fit(url), "{begins} {url}");
        }
        let other = [
            ("tcp", "tcps://10.0.0.2:7400"),
            ("tcp", "udp://10.0.0.2:7400"),
            ("tc", "tcp://10.0.0.2:7400"),
            ("cp", "tcp://10.0.0.2:7400"),
            ("tcp", "tcp"),
            ("fault+tcp", "tcp://10.0.0.2:7400"),
            ("tcp://10.0.0.2:740", "tcp://10.0.0.2:7400"),
            ("tcp://10.0.0.2:7400/robot", "tcp://10.0.0.2:7400"),
            ("fault", "fault+tcp://10.0.0.2:7400"),
        ];
        for (begins, url) in other {
            assert!(!Links::only(begins).fit(url), "{begins} {url}");
        }
        for links in [Links::Best, Links::All] {
            assert!(links.fit("udp://10.0.0.2:7400"));
        }
    }
}
