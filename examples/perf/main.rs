//! How fast bowline is, next to plain blocking sockets on the same machine in the same run.
//!
//!     cargo run --release --example perf                 # the table
//!     cargo run --release --example perf -- --quick      # every part of it, in seconds, to no purpose
//!     perf server|client --mode rtt|thr|fan|idle ...     # either side alone; see --help
//!
//! The floor and bowline are measured in turn, round by round, so that whatever else the machine
//! does hits both. Round trips and small messages run with server and client pinned to different
//! processors: unpinned, the scheduler puts two processes that only answer each other on one, and
//! the floor itself swings threefold. Throughput goes to lossless interests: the publisher waits
//! for credit, and a lost or reordered message fails the line.

mod allocations;
mod cases;
mod client;
mod floor;
mod local;
mod meter;
mod options;
mod orchestrate;
mod process;
mod server;
mod table;

use allocations::Counting;
use options::{Options, Role};
use std::process::ExitCode;
use std::thread;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.iter().any(|arg| arg == "--help" || arg == "-h") {
        println!("{}", options::USAGE);
        return ExitCode::SUCCESS;
    }
    match Options::parse(args).and_then(|options| run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("perf: {text}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    match options.role {
        Role::Orchestrator => return orchestrate(options),
        Role::RawServer => {
            end_after_serving();
            floor::serve(options)?;
        }
        Role::RawClient => println!("{}", floor::measure(options)?),
        Role::Server => {
            end_after_serving();
            server::serve(options)?;
        }
        Role::Client => println!("{}", client::measure(options)?),
        Role::Local => println!("{}", local::measure(options)?),
    }
    Ok(())
}

/// A server that nobody ends goes by itself.
fn end_after_serving() {
    thread::spawn(|| {
        thread::sleep(Options::SERVE);
        std::process::exit(0);
    });
}

fn orchestrate(options: &Options) -> Result<(), String> {
    if cfg!(debug_assertions) {
        eprintln!("perf: a debug build; the figures say nothing about speed");
    }
    let rows = orchestrate::run(options, |text| eprintln!("perf: {text}"))?;
    if options.json {
        rows.iter().for_each(|row| println!("{}", row.json()));
    } else {
        print!("{}", table::markdown(&rows));
    }
    let lost: u64 = rows.iter().map(|row| row.lost).sum();
    if lost > 0 {
        return Err(format!("{lost} messages were lost or reordered on lossless interests"));
    }
    Ok(())
}
