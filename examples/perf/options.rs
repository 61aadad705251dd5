//! The command line.

use std::str::FromStr;
use std::time::Duration;

/// What this process is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Start the others, interleave floor and bowline, print the table.
    Orchestrator,
    /// The bowline side that listens.
    Server,
    /// The bowline side that connects, measures and prints one line of JSON.
    Client,
    /// The same with plain blocking sockets.
    RawServer,
    RawClient,
    /// A measurement inside one process.
    Local,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Rtt,
    Thr,
    Fan,
    Idle,
    /// `perf local` only: two threads and an `Arc`, through bowline or through a plain channel.
    Thread,
    Channel,
    /// `perf local` only: `send` while nobody is interested.
    Nobody,
    /// `perf local` only: allocations of `send` and `latest` over a real link.
    Allocations,
}

impl Mode {
    const ALL: [(&'static str, Mode); 8] = [
        ("rtt", Mode::Rtt),
        ("thr", Mode::Thr),
        ("fan", Mode::Fan),
        ("idle", Mode::Idle),
        ("thread", Mode::Thread),
        ("channel", Mode::Channel),
        ("nobody", Mode::Nobody),
        ("allocations", Mode::Allocations),
    ];

    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, mode)| *mode == self).map_or("?", |(name, _)| name)
    }
}

/// How samples reach the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    Mailbox,
    Callback,
    /// Many at once, from where they lie, on both sides: `send_slices` and `recv_slices`.
    Slices,
}

impl Via {
    pub fn name(self) -> &'static str {
        match self {
            Via::Mailbox => "mailbox",
            Via::Callback => "callback",
            Via::Slices => "slices",
        }
    }
}

/// What the two processes are joined by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    Tcp,
    Udp,
}

impl Line {
    pub fn name(self) -> &'static str {
        match self {
            Line::Tcp => "tcp",
            Line::Udp => "udp",
        }
    }
}

/// Everything the command line says.
#[derive(Clone, Debug)]
pub struct Options {
    pub role: Role,
    pub mode: Mode,
    pub size: usize,
    pub secs: f64,
    pub addr: String,
    pub clients: Option<usize>,
    pub iters: Option<u64>,
    pub warmup: u64,
    pub start_ms: Option<u64>,
    pub id: u64,
    pub via: Via,
    pub line: Line,
    /// Orchestrator only: the lines of the table whose name contains this, and no others.
    pub only: Option<String>,
    /// Floor only: bytes per write; 0 is one write per message.
    pub batch: usize,
    pub rounds: Option<usize>,
    pub quick: bool,
    pub json: bool,
}

impl Options {
    /// How long a server serves at most, and how long a client waits to be linked.
    pub const SERVE: Duration = Duration::from_secs(60);
    pub const LINK: Duration = Duration::from_secs(10);

    pub fn parse(args: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut args = args.into_iter().peekable();
        let role = match args.peek().map(String::as_str) {
            Some("server") => Role::Server,
            Some("client") => Role::Client,
            Some("raw-server") => Role::RawServer,
            Some("raw-client") => Role::RawClient,
            Some("local") => Role::Local,
            _ => Role::Orchestrator,
        };
        if role != Role::Orchestrator {
            args.next();
        }
        let mut options = Self {
            role,
            mode: Mode::Thr,
            size: 64,
            secs: 2.0,
            addr: "127.0.0.1:7411".into(),
            clients: None,
            iters: None,
            warmup: 1_000,
            start_ms: None,
            id: 0,
            via: Via::Mailbox,
            line: Line::Tcp,
            only: None,
            batch: 64 * 1024,
            rounds: None,
            quick: false,
            json: false,
        };
        while let Some(name) = args.next() {
            match name.as_str() {
                "--quick" => options.quick = true,
                "--json" => options.json = true,
                _ => {
                    let value = args.next().ok_or_else(|| format!("{name} wants a value\n\n{USAGE}"))?;
                    options.set(&name, &value)?;
                }
            }
        }
        if options.size < 16 {
            return Err(format!("--size {} is too small: a payload has at least 16 bytes", options.size));
        }
        if !(options.secs > 0.0 && options.secs <= 60.0) {
            return Err(format!("--secs {} is out of range: above 0, at most 60", options.secs));
        }
        if options.line == Line::Udp && options.mode != Mode::Rtt && options.role != Role::Orchestrator {
            return Err(format!("--line udp is measured with --mode rtt, not {}", options.mode.name()));
        }
        if options.via == Via::Slices && !matches!(options.mode, Mode::Thr | Mode::Fan) {
            return Err(format!(
                "--via slices is measured with --mode thr or fan, not {}",
                options.mode.name()
            ));
        }
        if options.clients == Some(0) || options.rounds == Some(0) {
            return Err("--clients and --rounds start at 1".into());
        }
        Ok(options)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "--mode" => {
                let known = Mode::ALL.iter().find(|(name, _)| *name == value);
                self.mode = known.ok_or_else(|| bad(name, value))?.1;
            }
            "--via" => {
                self.via = match value {
                    "mailbox" => Via::Mailbox,
                    "callback" => Via::Callback,
                    "slices" => Via::Slices,
                    _ => return Err(bad(name, value)),
                }
            }
            "--line" => {
                self.line = match value {
                    "tcp" => Line::Tcp,
                    "udp" => Line::Udp,
                    _ => return Err(bad(name, value)),
                }
            }
            "--only" => self.only = Some(value.into()),
            "--size" => self.size = number(name, value)?,
            "--secs" => self.secs = number(name, value)?,
            "--addr" => self.addr = value.into(),
            "--clients" => self.clients = Some(number(name, value)?),
            "--iters" => self.iters = Some(number(name, value)?),
            "--warmup" => self.warmup = number(name, value)?,
            "--start-ms" => self.start_ms = Some(number(name, value)?),
            "--id" => self.id = number(name, value)?,
            "--batch" => self.batch = number(name, value)?,
            "--rounds" => self.rounds = Some(number(name, value)?),
            _ => return Err(format!("{name} is not known\n\n{USAGE}")),
        }
        Ok(())
    }
}

fn number<T: FromStr>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| bad(name, value))
}

fn bad(name: &str, value: &str) -> String {
    format!("{name} cannot be `{value}`\n\n{USAGE}")
}

pub const USAGE: &str = "\
usage: perf [--only TEXT] [--rounds N] [--secs S] [--quick] [--json]
       perf server|client|raw-server|raw-client --mode rtt|thr|fan|idle
            --size N --secs S --addr HOST:PORT [--clients N] [--iters N --warmup N]
            [--start-ms T] [--id I] [--via mailbox|callback|slices]
            [--line tcp|udp] [--batch BYTES]
       perf local --mode thread|channel|nobody|allocations --secs S

Without a subcommand it starts servers and clients itself and prints a table.
--only measures the lines whose name contains the text. udp is for rtt only,
slices for thr and fan.
--batch is for the floor: bytes per write, 0 for one write per message.";
