//! Where peers are: the URLs an endpoint connects to and listens at.

use crate::error::{Error, quote};
use crate::path::Path;
use std::fmt;
use std::str::FromStr;

pub(crate) mod group;
pub(crate) mod host;
pub(crate) mod options;

use host::HostPort;
use options::{Options, Role};

/// Which routes may pass between an endpoint and a peer.
///
/// It can be set for a whole endpoint or for one peer by its URL. Either side's wish rules the link.
///
/// ```
/// use bowline::Scope;
/// assert_eq!(Scope::default(), Scope::Open);
/// assert_eq!(Scope::Own.to_string(), "own");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Anyone may supply any route. This is the default.
    #[default]
    Open,
    /// A peer may supply only routes under its own path, and interests go only to peers that could
    /// supply them. `robot.arm` may supply `robot.arm.imu`, but neither `robot.base.imu` nor
    /// `robot.arm2.imu`: prefixes match whole segments. Both sides enforce it.
    Own,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Scope::Open => "open",
            Scope::Own => "own",
        })
    }
}

/// A URL to connect to: `scheme://address/path?options`.
///
/// | URL | Peer's path | |
/// | --- | --- | --- |
/// | `tcp://host:port[/path]` | may be absent | host: a name, `10.0.0.2`, or `[fe80::1%eth0]` |
/// | `udp://host:port[/path]` | may be absent | the same, over datagrams |
/// | `unix:///dir/socket/path` | needed | the last segment is the peer's path, the rest the socket |
/// | `memory://name[/path]` | may be absent | for endpoints of one process |
/// | `serial:///dev/ttyUSB0/path` | needed | a serial port; or `serial:by-id/name/path`, by its adapter |
/// | `fault+` and one of these | as there | the same on purpose with faults, with the feature `testing` |
/// | any other | needed | the last segment is the peer's path, the rest is for its transport |
///
/// `path` is the path of the peer that is expected there; a peer of another name is refused. `*`, or an
/// empty last segment, means any peer. Nothing is escaped: an address cannot hold `?`. At most 1024 bytes.
///
/// Options follow a `?`, separated by `&`:
///
/// | Scheme | Option | Default |
/// | --- | --- | --- |
/// | all | `scope=own` or `scope=open` sets the [`Scope`] for this peer | the endpoint's |
/// | `serial` | `baud=` 50 to 20000000 bits a second | 115200 |
/// | `serial` | `parity=none`, `even` or `odd` | `none` |
/// | `serial` | `stop=1` or `2` stop bits | 1 |
/// | `serial` | `bits=8`: bytes of all values occur | 8 |
/// | `serial` | `flow=none` or `hardware` (RTS/CTS) | `none` |
/// | `udp` | `mtu=` 576 to 65507 bytes of a datagram | 1200 |
/// | any other | what its transport takes, handed to it as it is | |
///
/// ```
/// use bowline::{PeerUrl, Scope};
/// let url = PeerUrl::parse("tcp://10.0.0.2:7400/robot.arm?scope=own")?;
/// assert_eq!(url.scheme(), "tcp");
/// assert_eq!(url.address(), "10.0.0.2:7400");
/// assert_eq!(url.path().map(|path| path.as_str()), Some("robot.arm"));
/// assert_eq!(url.scope(), Some(Scope::Own));
/// # Ok::<(), bowline::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PeerUrl {
    text: Box<str>,
    scheme: Box<str>,
    address: Box<str>,
    target: Box<str>,
    path: Option<Path>,
    scope: Option<Scope>,
}

impl PeerUrl {
    /// Reads a URL to connect to. Whether there is a transport for its scheme is not looked at.
    ///
    /// ```
    /// # use bowline::PeerUrl;
    /// assert!(PeerUrl::parse("unix:///run/robot.sock/robot.base").is_ok());
    /// assert!(PeerUrl::parse("robot.base").is_err());
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidUrl`], naming the rule that is broken and the way out.
    pub fn parse(text: &str) -> Result<PeerUrl, Error> {
        Self::take_apart(text).map_err(|rule| Error::InvalidUrl { value: quote(text), rule })
    }

    fn take_apart(text: &str) -> Result<PeerUrl, String> {
        let (scheme, rest) = split_scheme(text, "tcp://10.0.0.2:7400/robot.arm")?;
        let (rest, options) = match rest.split_once('?') {
            Some((rest, options)) => (rest, Some(options)),
            None => (rest, None),
        };
        // Faults on purpose are carried by another transport, whose addresses they have.
        let carrier = carrier(scheme);
        let (address, path) = match carrier {
            "tcp" | "udp" | "memory" => rest.split_once('/').unwrap_or((rest, "")),
            _ => rest.rsplit_once('/').ok_or_else(|| missing_path(scheme, rest))?,
        };
        if carrier == "serial" && DEVICE_FOLDERS.contains(&address) {
            return Err(missing_path(scheme, rest));
        }
        if carrier == "unix" && path.ends_with(".sock") {
            // It could be a peer's path, but hardly anybody means that.
            return Err(format!(
                "`{path}` is where the peer's path belongs, and looks like a socket; write \
                 `unix://{rest}/robot.base`, or `unix://{rest}/*` for whoever is there"
            ));
        }
        check_address(carrier, address)?;
        if group::GroupUrl::is_meant(text) {
            return Err(
                "it is the address of a group, which has many members and is joined; only an endpoint's \
                        `connect` takes it, too"
                    .into(),
            );
        }
        if matches!(carrier, "tcp" | "udp") && HostPort::parse(address)?.port == 0 {
            return Err("there is no port 0 to connect to; name the one the peer listens at".into());
        }
        let path = match path {
            "" | "*" => None,
            path => Some(parse_path(path)?),
        };
        let options = read_options(scheme, Role::Connect, options)?;
        Ok(PeerUrl {
            text: text.into(),
            scheme: scheme.into(),
            address: address.into(),
            target: target(address, &options).into(),
            path,
            scope: options.scope,
        })
    }

    /// The part before `://`.
    ///
    /// ```
    /// # use bowline::PeerUrl;
    /// assert_eq!(PeerUrl::parse("memory://desk")?.scheme(), "memory");
    /// # Ok::<(), bowline::Error>(())
    /// ```
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// Where the peer is: the part between `://` and the peer's path.
    ///
    /// ```
    /// # use bowline::PeerUrl;
    /// let url = PeerUrl::parse("unix:///run/robot.sock/robot.base")?;
    /// assert_eq!(url.address(), "/run/robot.sock");
    /// # Ok::<(), bowline::Error>(())
    /// ```
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What the transport is given: the address, and behind a `?` the options that are the transport's.
    pub(crate) fn target(&self) -> &str {
        &self.target
    }

    /// The path of the expected peer; `None` where any will do.
    ///
    /// ```
    /// # use bowline::PeerUrl;
    /// assert_eq!(PeerUrl::parse("tcp://robot:7400/*")?.path(), None);
    /// # Ok::<(), bowline::Error>(())
    /// ```
    pub fn path(&self) -> Option<&Path> {
        self.path.as_ref()
    }

    /// The scope for this peer; `None` where the endpoint's own setting holds.
    ///
    /// ```
    /// # use bowline::PeerUrl;
    /// assert_eq!(PeerUrl::parse("tcp://robot:7400")?.scope(), None);
    /// # Ok::<(), bowline::Error>(())
    /// ```
    pub fn scope(&self) -> Option<Scope> {
        self.scope
    }

    /// The URL as it was given.
    ///
    /// ```
    /// # use bowline::PeerUrl;
    /// assert_eq!(PeerUrl::parse("tcp://robot:7400/*")?.as_str(), "tcp://robot:7400/*");
    /// # Ok::<(), bowline::Error>(())
    /// ```
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for PeerUrl {
    type Err = Error;
    fn from_str(text: &str) -> Result<PeerUrl, Error> {
        PeerUrl::parse(text)
    }
}

impl fmt::Display for PeerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

/// A URL to listen at: `scheme://address?options`, as in [`PeerUrl`] but without path, since an endpoint's
/// own path is given when it is built, and without `scope`. TCP port 0 takes a free one.
///
/// ```
/// use bowline::ListenUrl;
/// let url = ListenUrl::parse("tcp://0.0.0.0:7400")?;
/// assert_eq!((url.scheme(), url.address()), ("tcp", "0.0.0.0:7400"));
/// assert!(ListenUrl::parse("unix:///run/robot.sock").is_ok());
/// # Ok::<(), bowline::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ListenUrl {
    text: Box<str>,
    scheme: Box<str>,
    address: Box<str>,
    target: Box<str>,
}

impl ListenUrl {
    /// Reads a URL to listen at. Whether there is a transport for its scheme is not looked at.
    ///
    /// ```
    /// # use bowline::ListenUrl;
    /// assert!(ListenUrl::parse("tcp://[::]:0").is_ok());
    /// assert!(ListenUrl::parse("tcp://0.0.0.0:7400/robot.base").is_err());
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidUrl`], naming the rule that is broken and the way out.
    pub fn parse(text: &str) -> Result<ListenUrl, Error> {
        Self::take_apart(text).map_err(|rule| Error::InvalidUrl { value: quote(text), rule })
    }

    fn take_apart(text: &str) -> Result<ListenUrl, String> {
        let (scheme, rest) = split_scheme(text, "tcp://0.0.0.0:7400")?;
        let (address, options) = match rest.split_once('?') {
            Some((address, options)) => (address, Some(options)),
            None => (rest, None),
        };
        let options = read_options(scheme, Role::Listen, options)?;
        if matches!(carrier(scheme), "tcp" | "udp" | "memory") && address.contains('/') {
            return Err("a URL to listen at has no path: the endpoint's own is given when it is built; \
                        leave out all from the `/` on"
                .into());
        }
        check_address(carrier(scheme), address)?;
        Ok(ListenUrl {
            text: text.into(),
            scheme: scheme.into(),
            address: address.into(),
            target: target(address, &options).into(),
        })
    }

    /// The part before `://`.
    ///
    /// ```
    /// # use bowline::ListenUrl;
    /// assert_eq!(ListenUrl::parse("memory://desk")?.scheme(), "memory");
    /// # Ok::<(), bowline::Error>(())
    /// ```
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// Where it listens: the part after `://`, without options.
    ///
    /// ```
    /// # use bowline::ListenUrl;
    /// assert_eq!(ListenUrl::parse("unix:///run/robot.sock")?.address(), "/run/robot.sock");
    /// # Ok::<(), bowline::Error>(())
    /// ```
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What the transport is given: the address, and behind a `?` the options.
    pub(crate) fn target(&self) -> &str {
        &self.target
    }

    /// The URL as it was given.
    ///
    /// ```
    /// # use bowline::ListenUrl;
    /// assert_eq!(ListenUrl::parse("memory://desk")?.as_str(), "memory://desk");
    /// # Ok::<(), bowline::Error>(())
    /// ```
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for ListenUrl {
    type Err = Error;
    fn from_str(text: &str) -> Result<ListenUrl, Error> {
        ListenUrl::parse(text)
    }
}

impl fmt::Display for ListenUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

fn split_scheme<'a>(text: &'a str, example: &str) -> Result<(&'a str, &'a str), String> {
    check_length(text)?;
    if text.starts_with("serial:by-id/") {
        return text.split_once(':').ok_or_else(String::new);
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(format!("`scheme://` is missing at its start; write it as in `{example}`"));
    };
    let lower = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'+' | b'-');
    if !scheme.starts_with(|c: char| c.is_ascii_lowercase()) || !scheme.bytes().all(lower) {
        return Err(format!(
            "the scheme `{scheme}` does not begin with a lower-case letter, or holds more than \
             lower-case letters, digits, `+` and `-`; write it as in `{example}`"
        ));
    }
    Ok((scheme, rest))
}

/// The scheme whose addresses a URL has: `tcp` for `fault+tcp`.
fn carrier(scheme: &str) -> &str {
    scheme.strip_prefix("fault+").unwrap_or(scheme)
}

fn check_length(text: &str) -> Result<(), String> {
    if text.len() > MAX_URL_BYTES {
        return Err(format!("it is longer than {MAX_URL_BYTES} bytes"));
    }
    if text.chars().any(char::is_control) {
        return Err("it holds control characters; leave them out".into());
    }
    Ok(())
}

fn check_address(scheme: &str, address: &str) -> Result<(), String> {
    match scheme {
        "tcp" | "udp" => HostPort::parse(address).map(drop),
        "unix" if !address.starts_with('/') || address.ends_with('/') => {
            Err("a socket is named by its whole path from the root, with three slashes in all: \
                 `unix:///run/robot.sock` to listen, `unix:///run/robot.sock/robot.base` to connect"
                .into())
        }
        "unix" if address.len() > MAX_SOCKET_BYTES => Err(format!(
            "the system takes at most {MAX_SOCKET_BYTES} bytes for the path of a socket, and this has {}",
            address.len()
        )),
        "serial" => check_port(address),
        _ if address.is_empty() => Err(format!("the address after `{scheme}://` is missing")),
        _ => Ok(()),
    }
}

fn missing_path(scheme: &str, rest: &str) -> String {
    format!(
        "with `{scheme}` the peer's path must follow the address; write `{scheme}://{rest}/robot.base`, \
         or `{scheme}://{rest}/*` for any peer"
    )
}

fn parse_path(path: &str) -> Result<Path, String> {
    match Path::parse(path) {
        Ok(path) => Ok(path),
        Err(Error::InvalidPath { rule, .. }) => {
            Err(format!("the peer's path `{path}`, its last segment, is not valid: {rule}"))
        }
        Err(other) => Err(other.to_string()),
    }
}

/// A serial port is a device file, an adapter's name, or a COM port.
fn check_port(address: &str) -> Result<(), String> {
    let by_id = address.strip_prefix("by-id/").is_some_and(|name| !name.is_empty() && !name.contains('/'));
    let com =
        address.strip_prefix("COM").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    if by_id || com || (address.starts_with('/') && !address.ends_with('/')) {
        return Ok(());
    }
    Err(format!(
        "`{address}` is no serial port: name its device file, as in `serial:///dev/ttyUSB0/robot.mcu` with three \
         slashes, or its adapter as it is listed in /dev/serial/by-id, as in `serial:by-id/usb-FTDI_1-if00/robot.mcu`"
    ))
}

fn read_options(scheme: &str, role: Role, text: Option<&str>) -> Result<Options, String> {
    text.map_or_else(|| Ok(Options::default()), |text| Options::parse(scheme, role, text))
}

fn target(address: &str, options: &Options) -> String {
    if options.transport.is_empty() { address.to_owned() } else { format!("{address}?{}", options.transport) }
}

/// The largest UDP datagram that is sent, in bytes, unless a URL says otherwise: what every path takes whole,
/// tunnels included.
pub(crate) const UDP_MTU: usize = 1200;

/// Longer than any address in use, and short enough for an event or a log line.
const MAX_URL_BYTES: usize = 1024;

/// What fits into a socket address: 108 bytes on Linux and 104 on the BSDs and macOS, a zero included.
const MAX_SOCKET_BYTES: usize = if cfg!(any(target_os = "linux", target_os = "android")) { 107 } else { 103 };

/// Where serial ports are listed: one whose URL says no more than this lacks the peer's path.
const DEVICE_FOLDERS: &[&str] = &["by-id", "/dev", "/dev/pts", "/dev/serial/by-id", "/dev/serial/by-path"];

#[cfg(test)]
mod tests;
