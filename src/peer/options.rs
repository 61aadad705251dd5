//! What may follow the `?` of a URL: for every peer, and for each scheme.

use super::Scope;

/// One option of a scheme.
pub(crate) struct Known {
    pub(crate) name: &'static str,
    takes: Takes,
}

/// What values an option takes.
enum Takes {
    /// A number in a range, both ends included, of something.
    Number(u32, u32, &'static str),
    /// One of a few words, and why there are no others where somebody might look for them.
    Word(&'static [&'static str], &'static str),
    /// Any text that is not empty, of some kind.
    Text(&'static str),
}

/// Which kind of URL the options belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Connect,
    Listen,
}

/// Options that were found to be right.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) scope: Option<Scope>,
    /// Those of the transport, separated by `&`.
    pub(crate) transport: String,
}

/// The options of a scheme's own transport, the same to connect and to listen; `None` for the schemes of
/// programs, whose transports check their own.
fn known(scheme: &str) -> Option<&'static [Known]> {
    match scheme {
        "tcp" | "unix" | "memory" => Some(&[]),
        "serial" => Some(SERIAL),
        "udp" => Some(&[MTU]),
        super::group::GROUP => Some(GROUP),
        _ => None,
    }
}

const SERIAL: &[Known] = &[
    Known { name: "baud", takes: Takes::Number(50, 20_000_000, "bits a second") },
    Known { name: "parity", takes: Takes::Word(&["none", "even", "odd"], "") },
    Known { name: "stop", takes: Takes::Word(&["1", "2"], "") },
    Known { name: "bits", takes: Takes::Word(&["8"], "frames hold bytes of all values") },
    Known {
        name: "flow",
        takes: Takes::Word(&["none", "hardware"], "software flow control would take its bytes out of frames"),
    },
];

const MTU: Known = Known { name: "mtu", takes: Takes::Number(576, 65_507, "bytes of a datagram") };

const GROUP: &[Known] = &[
    MTU,
    Known { name: "ttl", takes: Takes::Number(1, 255, "networks to pass") },
    Known { name: "interface", takes: Takes::Text("an interface's name, or its IPv4 address") },
    Known { name: "loopback", takes: Takes::Word(&["0", "1"], "") },
    Known { name: "reuse", takes: Takes::Word(&["0", "1"], "") },
    Known { name: "broadcast", takes: Takes::Word(&["1"], "") },
];

impl Options {
    /// Reads what follows the `?`.
    pub(crate) fn parse(scheme: &str, role: Role, text: &str) -> Result<Options, String> {
        let known = known(scheme);
        if role == Role::Listen && known.is_some_and(<[Known]>::is_empty) {
            return Err("a URL to listen at has no options; leave out all from the `?` on".into());
        }
        let mut options = Options::default();
        let mut seen = Vec::new();
        for option in text.split('&') {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            if seen.contains(&name) {
                return Err(format!("the option `{name}` is given twice; leave one out"));
            }
            seen.push(name);
            if name == "scope" && role == Role::Connect {
                options.scope = Some(scope(value)?);
                continue;
            }
            match known.map(|known| known.iter().find(|known| known.name == name)) {
                Some(Some(known)) => known.takes.check(name, value)?,
                // What it takes is known to the transport of a program's own.
                None if !name.is_empty() => {}
                _ => return Err(format!("the option `{name}` is not known; there is {}", all(scheme, role))),
            }
            if !options.transport.is_empty() {
                options.transport.push('&');
            }
            options.transport.push_str(option);
        }
        Ok(options)
    }
}

/// The value of an option, out of what a transport is given.
pub(crate) fn value<'a>(options: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = options.split('&').filter_map(|option| option.split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| value)
}

impl Takes {
    fn check(&self, name: &str, value: &str) -> Result<(), String> {
        let (fits, why) = match self {
            Takes::Number(least, most, _) => {
                let digits = value.bytes().all(|b| b.is_ascii_digit());
                (digits && value.parse::<u32>().is_ok_and(|n| (*least..=*most).contains(&n)), "")
            }
            Takes::Word(words, why) => (words.contains(&value), *why),
            Takes::Text(_) => (!value.is_empty(), ""),
        };
        if fits {
            return Ok(());
        }
        let why = if why.is_empty() { String::new() } else { format!("; {why}") };
        Err(format!("the option `{name}` is {}, not `{value}`{why}", self.words()))
    }

    fn words(&self) -> String {
        match self {
            Takes::Number(least, most, of) => format!("{least} to {most} {of}"),
            Takes::Text(what) => (*what).to_owned(),
            Takes::Word(words, _) => {
                let quoted: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
                match quoted.split_last() {
                    Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
                    _ => quoted.concat(),
                }
            }
        }
    }
}

fn scope(value: &str) -> Result<Scope, String> {
    match value {
        "own" => Ok(Scope::Own),
        "open" => Ok(Scope::Open),
        _ => Err(format!("the option `scope` is `own` or `open`, not `{value}`")),
    }
}

/// All options of a scheme, for one who mistyped one.
fn all(scheme: &str, role: Role) -> String {
    let mut texts = Vec::new();
    if role == Role::Connect {
        texts.push("`scope=own` or `scope=open`".to_owned());
    }
    for option in known(scheme).unwrap_or_default() {
        texts.push(format!("`{}=` ({})", option.name, option.takes.words()));
    }
    texts.join(", ")
}
