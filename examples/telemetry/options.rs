//! The command line.

/// What this process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Samples this machine, and starts a station to look at it.
    Both,
    /// Samples this machine and supplies it.
    Robot,
    /// Shows what a robot supplies.
    Station,
}

/// Everything the command line says.
#[derive(Clone, Debug)]
pub struct Options {
    pub role: Role,
    pub listen: Vec<String>,
    pub peers: Vec<String>,
    /// How long; a robot alone goes on until it is ended.
    pub seconds: Option<u64>,
    pub json: bool,
}

impl Options {
    pub fn parse(args: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut options =
            Self { role: Role::Both, listen: Vec::new(), peers: Vec::new(), seconds: None, json: false };
        let mut args = args.into_iter();
        while let Some(name) = args.next() {
            if name == "--json" {
                options.json = true;
                continue;
            }
            let value = args.next().ok_or_else(|| format!("{name} wants a value\n\n{USAGE}"))?;
            match (name.as_str(), value.as_str()) {
                ("--role", "robot") => options.role = Role::Robot,
                ("--role", "station") => options.role = Role::Station,
                ("--listen", _) => options.listen.push(value),
                ("--peer", _) => options.peers.push(value),
                ("--seconds", _) => {
                    let seconds = value.parse().ok().filter(|seconds| (1..=86_400).contains(seconds));
                    options.seconds =
                        Some(seconds.ok_or_else(|| format!("--seconds {value}: 1 to 86400 is meant"))?);
                }
                _ => return Err(format!("`{name} {value}` is not known\n\n{USAGE}")),
            }
        }
        options.fill_in()?;
        Ok(options)
    }

    fn fill_in(&mut self) -> Result<(), String> {
        let addressed = !(self.listen.is_empty() && self.peers.is_empty());
        match self.role {
            Role::Both if addressed => Err(format!("--listen and --peer want a --role\n\n{USAGE}")),
            Role::Robot if !addressed => {
                self.listen.push("tcp://0.0.0.0:7400".into());
                Ok(())
            }
            Role::Station if !addressed => {
                self.peers.push("tcp://127.0.0.1:7400".into());
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

pub const USAGE: &str = "\
usage: telemetry [--seconds N] [--json]
       telemetry --role robot|station [--listen URL]... [--peer URL]... [--seconds N] [--json]

Without a role it samples this machine and starts a station beside it for ten seconds.
On two machines: `telemetry --role robot` on one (it listens at tcp://0.0.0.0:7400), and
`telemetry --role station --peer tcp://HOST:7400` on the other.
--json prints one JSON object a line: each event, and once a second the figures of each route.";
