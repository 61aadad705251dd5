//! Telemetry of this machine, live: a robot samples it at 100 Hz and a station shows it.
//!
//!     cargo run --release --example telemetry                              # both, for ten seconds
//!     telemetry --role robot --listen tcp://0.0.0.0:7400                   # on one machine
//!     telemetry --role station --peer tcp://192.168.1.20:7400 --seconds 60 # on another
//!
//! It exits with 0 only if data came on every route that the robot says it supplies.

mod figures;
mod json;
mod machine;
mod messages;
mod options;
mod robot;
mod screen;
mod station;

use bowline::{Endpoint, Event};
use messages::{ROBOT, STATION};
use options::{Options, Role};
use robot::Robot;
use screen::Screen;
use station::{Station, round_trip};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

fn main() -> ExitCode {
    env_logger::init();
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.iter().any(|arg| arg == "--help" || arg == "-h") {
        println!("{}", options::USAGE);
        return ExitCode::SUCCESS;
    }
    match Options::parse(args).and_then(|options| run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("telemetry: {text}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    match options.role {
        Role::Both => both(options),
        Role::Robot => robot(options),
        Role::Station => station(options),
    }
}

fn start(path: &str, options: &Options) -> Result<Endpoint, String> {
    let mut builder = Endpoint::builder(path);
    for url in &options.listen {
        builder = builder.listen(url);
    }
    for url in &options.peers {
        builder = builder.connect(url);
    }
    builder.start().map_err(|e| e.to_string())
}

/// The robot here, and a station in a process of its own.
fn both(options: &Options) -> Result<(), String> {
    let here = Options { listen: vec!["tcp://127.0.0.1:0".into()], ..options.clone() };
    let endpoint = start(ROBOT, &here)?;
    let robot = Robot::new(&endpoint).map_err(|e| e.to_string())?;
    let address = endpoint.listening().first().cloned().ok_or("the robot does not listen")?;
    let own = std::env::current_exe().map_err(|e| format!("cannot find this program: {e}"))?;
    let mut command = Command::new(own);
    command.args(["--role", "station", "--peer", &format!("{address}/{ROBOT}")]);
    command.args(["--seconds", &options.seconds.unwrap_or(10).to_string()]);
    if options.json {
        command.arg("--json");
    }
    let mut child = command.spawn().map_err(|e| format!("cannot start the station: {e}"))?;
    let mut ended = None;
    robot.run(|| {
        ended = child.try_wait().transpose();
        ended.is_none()
    })?;
    match ended {
        Some(Ok(status)) if status.success() => Ok(()),
        Some(Ok(status)) => Err(format!("the station failed: {status}")),
        Some(Err(e)) => Err(format!("cannot wait for the station: {e}")),
        None => Err("the station was not waited for".into()),
    }
}

fn robot(options: &Options) -> Result<(), String> {
    let endpoint = start(ROBOT, options)?;
    let robot = Robot::new(&endpoint).map_err(|e| e.to_string())?;
    if !options.json {
        println!("listening at {}", endpoint.listening().join(", "));
    }
    let until = options.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    robot.run(|| {
        while let Some(event) = endpoint.events().try_recv() {
            print_event(&event, options.json, &mut None);
        }
        until.is_none_or(|until| Instant::now() < until)
    })
}

fn station(options: &Options) -> Result<(), String> {
    let endpoint = start(STATION, options)?;
    let mut station = Station::new(&endpoint).map_err(|e| e.to_string())?;
    let mut screen = Some(Screen::new());
    let begun = Instant::now();
    for second in 1..=options.seconds.unwrap_or(10) {
        let until = begun + Duration::from_secs(second);
        // Events are shown as they come; the figures once a second.
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            if let Some(event) = endpoint.events().recv_timeout(left) {
                print_event(&event, options.json, &mut screen);
            }
        }
        let trip = round_trip(&endpoint);
        let rows = station.each(|figures| (figures.clone(), figures.take_recent()));
        match &mut screen {
            Some(screen) if !options.json => screen.draw(second, &rows, trip),
            _ => rows.iter().for_each(|(figures, recent)| println!("{}", json::route(figures, recent, trip))),
        }
    }
    let ran = begun.elapsed();
    let trip = round_trip(&endpoint);
    station.close();
    let all = station.each(|figures| figures.clone());
    if options.json {
        all.iter().for_each(|figures| println!("{}", json::summary(figures, ran, trip)));
    } else {
        screen::summary(&all, ran, trip);
    }
    endpoint.close(Duration::from_secs(1));
    match station.silent()[..] {
        [] => Ok(()),
        ref silent => Err(format!("no data came on: {}", silent.join(", "))),
    }
}

fn print_event(event: &Event, as_json: bool, screen: &mut Option<Screen>) {
    match screen {
        _ if as_json => println!("{}", json::event(event)),
        Some(screen) => screen.event(in_words(event)),
        None => println!("{}", in_words(event)),
    }
}

/// The events that matter to someone who watches.
fn in_words(event: &Event) -> String {
    match event {
        Event::LinkDialling { peer, attempt } => format!("dialling {peer}, attempt {attempt}"),
        Event::LinkHandshaking { peer } => format!("handshaking with {peer}"),
        Event::LinkUp { peer, .. } => format!("link up: {peer}"),
        Event::LinkDown { peer, reason } => format!("link down: {peer}: {reason}"),
        Event::RouteLinked { route, .. } => format!("linked: {route}"),
        Event::RouteUnlinked { route, .. } => format!("unlinked: {route}"),
        Event::RouteRelayed { route, from, to } => format!("relayed: {route} from {from} to {to}"),
        Event::RelayEnded { route, from, to } => format!("no longer relayed: {route} from {from} to {to}"),
        Event::RouteRefused { route, refusal, .. } => format!("refused: {route}: {refusal}"),
        Event::SamplesLost { route, count, .. } => format!("lost {count} samples of {route}"),
        other => format!("{other:?}"),
    }
}
