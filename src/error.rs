//! What a call of this library can fail with.

use crate::route::Route;
use std::io;

/// A call that could not do what was asked. The text names the value, the rule, and the way out.
///
/// Links that cannot be made or are lost are not errors but [events](crate::Event): they are tried
/// again by themselves.
///
/// ```
/// use bowline::{Error, Path};
/// let error = Path::parse("robot/arm").unwrap_err();
/// assert!(matches!(error, Error::InvalidPath { .. }));
/// assert!(error.is_user_mistake() && !error.is_closed());
/// assert!(error.to_string().contains("robot/arm"));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A dotted path that breaks a rule of [`Path`](crate::Path).
    #[error("the path {value:?} is not valid: {rule}")]
    InvalidPath {
        /// What was given, cut off where it is very long.
        value: String,
        /// The rule it breaks.
        rule: &'static str,
    },
    /// A type name that cannot stand in a [`Route`].
    #[error("the type name {value:?} is not valid: {rule}")]
    InvalidTypeName {
        /// What was given, cut off where it is very long.
        value: String,
        /// The rule it breaks.
        rule: &'static str,
    },
    /// A text that is no [`Route`], or a prefix that does not fit one.
    #[error("the route {value:?} is not valid: {rule}")]
    InvalidRoute {
        /// What was given, cut off where it is very long.
        value: String,
        /// The rule it breaks.
        rule: String,
    },
    /// A URL to connect to or to listen at that cannot be understood.
    #[error("the URL {value:?} is not valid: {rule}")]
    InvalidUrl {
        /// What was given, cut off where it is very long.
        value: String,
        /// The rule it breaks, and the way out.
        rule: String,
    },
    /// No transport serves the scheme of a URL.
    #[error(
        "no transport serves the scheme `{scheme}`: this endpoint has {known}; \
         add one with EndpointBuilder::transport"
    )]
    UnknownScheme {
        /// The scheme asked for.
        scheme: String,
        /// The schemes there are, separated by commas.
        known: String,
    },
    /// A setting outside its range.
    #[error("the setting `{name}` cannot be {value}: {rule}")]
    InvalidSetting {
        /// The setting, as its setter is called.
        name: &'static str,
        /// What was given.
        value: String,
        /// The range, or what it collides with.
        rule: String,
    },
    /// An address cannot be listened at.
    #[error("cannot listen at `{url}`: {}", listen_advice(source))]
    Listen {
        /// The listening URL.
        url: String,
        /// What the system said.
        source: io::Error,
    },
    /// The socket of a group cannot be opened.
    #[error("the group `{url}` cannot be joined: {}", join_advice(source))]
    Join {
        /// The URL of the group.
        url: String,
        /// What the system said.
        source: io::Error,
    },
    /// The system gave no thread.
    #[error("cannot start a thread: free some threads or memory, or raise the limit of this process")]
    Thread {
        /// What the system said.
        source: io::Error,
    },
    /// The shape of a message type cannot be found by looking at how it is deserialized.
    #[error("the message type `{type_name}` cannot be used: {text}")]
    Schema {
        /// The type's name.
        type_name: String,
        /// Why, and the way out.
        text: String,
    },
    /// The route is already declared in this endpoint with another message type.
    #[error(
        "`{route}` is already declared in this endpoint with another message type ({difference}): \
         use one type for it, or another path or type name"
    )]
    TypeInUse {
        /// The route.
        route: Route,
        /// Where the two types differ.
        difference: String,
    },
    /// The endpoint is closed.
    #[error("the endpoint is closed: start a new one")]
    Closed,
}

impl Error {
    /// Whether the endpoint was closed, by [`close`](crate::Endpoint::close) or by dropping it.
    pub fn is_closed(&self) -> bool {
        matches!(self, Error::Closed)
    }

    /// Whether the call itself must be changed: trying it again as it is cannot help.
    pub fn is_user_mistake(&self) -> bool {
        !matches!(self, Error::Listen { .. } | Error::Join { .. } | Error::Thread { .. } | Error::Closed)
    }

    /// Whether the same call can succeed later without anybody changing the program: an address
    /// that is still taken or not there yet, or a system short of threads.
    pub fn is_transient(&self) -> bool {
        match self {
            Error::Listen { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable | io::ErrorKind::Interrupted
            ),
            Error::Thread { .. } => true,
            _ => false,
        }
    }

    /// Whether the address to listen at is taken, by another program or by this one.
    pub fn is_address_in_use(&self) -> bool {
        matches!(self, Error::Listen { source, .. } if source.kind() == io::ErrorKind::AddrInUse)
    }
}

/// A value as an error keeps it: whole up to [`QUOTE_BYTES`], cut off after that, so that an error
/// about a value far too long is not itself far too long.
pub(crate) fn quote(value: &str) -> String {
    if value.len() <= QUOTE_BYTES {
        return value.to_owned();
    }
    let mut end = QUOTE_BYTES;
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &value[..end])
}

fn join_advice(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::AddrInUse => {
            "its port is taken by a program that does not share it; all members on one machine need `reuse=1`"
        }
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::NotFound => {
            "this machine has no such interface; name one that it has with `interface=`"
        }
        io::ErrorKind::PermissionDenied => "not allowed; choose a port above 1023",
        _ => "the system refused, with the reason in `source`",
    }
}

fn listen_advice(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::AddrInUse => {
            "it is taken; stop the program that has it, or choose another (TCP port 0 takes a free one)"
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address; 0.0.0.0 and [::] stand for all it has"
        }
        io::ErrorKind::PermissionDenied => {
            "not allowed; choose a TCP port above 1023, or a directory this user may write to"
        }
        io::ErrorKind::NotFound => "there is no such host or directory",
        _ => "the system refused, with the reason in `source`",
    }
}

/// Enough for any URL in use; longer ones are cut off in error texts.
const QUOTE_BYTES: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error as _;

    #[test]
    fn a_listen_error_keeps_its_source_and_does_not_repeat_it() {
        let source = io::Error::new(io::ErrorKind::AddrInUse, "the words of the system");
        let error = Error::Listen { url: "tcp://0.0.0.0:7400".into(), source };
        let text = error.to_string();
        assert!(text.contains("tcp://0.0.0.0:7400") && text.contains("it is taken"), "{text}");
        assert!(!text.contains("the words of the system"), "{text}");
        assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("the words of the system"));
        assert!(error.is_address_in_use() && error.is_transient() && !error.is_user_mistake());
    }

    #[test]
    fn a_huge_value_does_not_make_a_huge_error() {
        let quoted = quote(&"ü".repeat(100_000));
        assert!(quoted.len() <= QUOTE_BYTES + '…'.len_utf8());
        assert!(quoted.ends_with("ü…"));
        assert_eq!(quote("short"), "short");
    }

    #[test]
    fn an_error_can_cross_threads_and_be_boxed() {
        fn check<T: Send + Sync + std::error::Error + 'static>() {}
        check::<Error>();
    }

    #[test]
    fn only_closed_is_closed() {
        assert!(Error::Closed.is_closed() && !Error::Closed.is_user_mistake());
        let setting =
            Error::InvalidSetting { name: "redial", value: "0 ns".into(), rule: "at least 1 ms".into() };
        assert!(!setting.is_closed() && setting.is_user_mistake() && !setting.is_transient());
        assert_eq!(setting.to_string(), "the setting `redial` cannot be 0 ns: at least 1 ms");
    }
}
