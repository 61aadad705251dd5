//! Rounds of floor and bowline, taken in turn.

use crate::cases::{Case, Goal, cases};
use crate::meter::unix_now;
use crate::options::{Line, Mode, Options};
use crate::process::{Process, Processors, free_address};
use crate::table::Row;
use serde_json::Value;
use std::thread;
use std::time::Duration;

/// How one run is done.
struct Plan {
    rounds: usize,
    secs: f64,
    iters: u64,
    warmup: u64,
    settle: Duration,
    processors: Option<Processors>,
}

/// Measures everything. `progress` hears what is being measured.
pub fn run(options: &Options, mut progress: impl FnMut(&str)) -> Result<Vec<Row>, String> {
    let plan = Plan {
        rounds: options.rounds.unwrap_or(if options.quick { 1 } else { 3 }),
        secs: if options.quick { 0.2 } else { options.secs },
        iters: if options.quick { 500 } else { 50_000 },
        warmup: if options.quick { 50 } else { 2_000 },
        settle: Duration::from_millis(if options.quick { 300 } else { 700 }),
        processors: Processors::find(),
    };
    let mut cases = cases();
    if let Some(only) = &options.only {
        cases.retain(|case| case.name.contains(only.as_str()));
        if cases.is_empty() {
            return Err(format!("no line that has a floor contains `{only}`"));
        }
    }
    let mut rows: Vec<Row> = cases.iter().map(Row::of).collect();
    let mut others = Vec::new();
    for round in 0..plan.rounds {
        for (case, row) in cases.iter().zip(&mut rows) {
            progress(&format!("round {} of {}: {}", round + 1, plan.rounds, case.name));
            let measured = plan.round(case)?;
            row.add(measured.floor, measured.bowline);
            row.lost += measured.lost;
            if case.size == 1024 * 1024 {
                let goal = Goal::AtMost(32.0);
                note(&mut others, "publisher's peak memory at 1 MiB", "MB", goal, None, measured.peak_mb);
            }
        }
        if options.only.is_some() {
            continue;
        }
        progress(&format!("round {} of {}: idle, local", round + 1, plan.rounds));
        plan.idle(&mut others)?;
        plan.local(&mut others)?;
    }
    rows.append(&mut others);
    Ok(rows)
}

/// What one round of one case gave.
struct Measured {
    floor: Option<f64>,
    bowline: f64,
    lost: u64,
    peak_mb: Option<f64>,
}

impl Plan {
    /// The floor in its forms, then bowline.
    fn round(&self, case: &Case) -> Result<Measured, String> {
        let batches: &[usize] = match case.mode {
            Mode::Rtt => &[0],
            Mode::Fan => &[64 * 1024],
            _ => &[0, 64 * 1024],
        };
        let mut floor: Option<f64> = None;
        for batch in batches {
            let (value, _, _) = self.pair(case, Some(*batch))?;
            floor = Some(floor.map_or(value, |best| best.max(value)));
        }
        let (bowline, lost, peak_mb) = self.pair(case, None)?;
        Ok(Measured { floor, bowline, lost, peak_mb })
    }

    /// One server and its clients; with a batch size, those of the floor.
    fn pair(&self, case: &Case, batch: Option<usize>) -> Result<(f64, u64, Option<f64>), String> {
        let addr = free_address(case.line)?;
        let args = |role: &str, id: usize, start_ms: Option<u128>| {
            let role = if batch.is_some() { format!("raw-{role}") } else { role.to_string() };
            let mut args = vec![role];
            let mut add = |name: &str, value: String| args.extend([name.to_string(), value]);
            add("--mode", case.mode.name().into());
            add("--size", case.size.to_string());
            add("--secs", self.secs.to_string());
            add("--addr", addr.clone());
            add("--clients", case.clients.to_string());
            add("--line", case.line.name().into());
            add("--via", case.via.name().into());
            add("--id", id.to_string());
            add("--batch", batch.unwrap_or(0).to_string());
            if case.mode == Mode::Rtt {
                add("--iters", self.iters.to_string());
                add("--warmup", self.warmup.to_string());
            }
            if let Some(at) = start_ms {
                add("--start-ms", at.to_string());
            }
            args
        };
        let pinned = self.processors.filter(|_| case.pinned);
        let mut server = Process::start(&args("server", 0, None), pinned.map(|p| p.server))?;
        server.wait_ready()?;
        let start = (unix_now() + self.settle * if case.clients > 1 { 2 } else { 1 }).as_millis();
        let started: Result<Vec<Process>, String> = (0..case.clients)
            .map(|id| Process::start(&args("client", id, Some(start)), pinned.map(|p| p.client)))
            .collect();
        let (field, factor) = case.measure.field();
        let (mut value, mut lost) = (0.0, 0);
        for client in started? {
            let result = client.result().map_err(|e| format!("{}: {e}", case.name))?;
            value += figure(&result, field)? * factor;
            lost += result["lost"].as_u64().unwrap_or(0) + result["reordered"].as_u64().unwrap_or(0);
        }
        Ok((value, lost, server.status("VmHWM").map(|kib| kib * 1024.0 / 1e6)))
    }

    /// What a subscriber costs that does nothing but wait.
    fn idle(&self, rows: &mut Vec<Row>) -> Result<(), String> {
        let addr = free_address(Line::Tcp)?;
        let args = |role: &str| {
            [role, "--mode", "idle", "--size", "64", "--secs", "1", "--addr", &addr].map(String::from)
        };
        let mut server = Process::start(&args("server"), None)?;
        server.wait_ready()?;
        let client = Process::start(&args("client"), None)?;
        // The window is a second long and opens with the first message: this is inside it.
        thread::sleep(Duration::from_millis(700));
        let megabytes = |field: &str| client.status(field).map(|kib| kib * 1024.0 / 1e6);
        // What is mapped from files, the program and the system's libraries, all processes share.
        let (all, own) = (megabytes("VmRSS"), megabytes("RssAnon"));
        // The program's own thread is not ours; one link.
        let threads = client.status("Threads").map(|all| all - 1.0);
        client.result()?;
        note(rows, "subscriber idle, memory with the program's text", "MB", Goal::AtMost(3.0), None, all);
        note(rows, "subscriber idle, memory of its own", "MB", Goal::AtMost(1.0), None, own);
        note(rows, "subscriber idle, our threads, one link", "", Goal::AtMost(4.0), None, threads);
        Ok(())
    }

    /// What happens inside one process.
    fn local(&self, rows: &mut Vec<Row>) -> Result<(), String> {
        let run = |mode: Mode| {
            let args = ["local", "--mode", mode.name(), "--secs", &self.secs.min(5.0).to_string()];
            Process::start(&args.map(String::from), None)?.result()
        };
        let channel = figure(&run(Mode::Channel)?, "msg_s")? * 1e-6;
        let thread = figure(&run(Mode::Thread)?, "msg_s")? * 1e-6;
        let goal = Goal::RatioAtLeast(0.7);
        note(rows, "in one process, thread to thread, Arc", "M/s", goal, Some(channel), Some(thread));
        let nobody = run(Mode::Nobody)?;
        for (name, unit, most, field) in [
            ("`send` with nobody interested", "ns", 50.0, "ns"),
            ("`send` with nobody interested, allocations", "", 0.0, "allocations"),
        ] {
            note(rows, name, unit, Goal::AtMost(most), None, Some(figure(&nobody, field)?));
        }
        let steady = run(Mode::Allocations)?;
        for (name, field) in [
            ("allocations per `send`, steady", "send"),
            ("allocations per `latest`, steady", "latest"),
            ("allocations per message, all threads, both ends", "everywhere"),
        ] {
            note(rows, name, "", Goal::AtMost(0.0), None, Some(figure(&steady, field)?));
        }
        Ok(())
    }
}

/// Adds a figure to the row of this name; where the system does not tell it, there is no row.
fn note(
    rows: &mut Vec<Row>,
    name: &'static str,
    unit: &'static str,
    goal: Goal,
    floor: Option<f64>,
    value: Option<f64>,
) {
    let Some(value) = value else { return };
    let place = rows.iter().position(|row| row.name == name).unwrap_or_else(|| {
        rows.push(Row::new(name, unit, &[goal]));
        rows.len() - 1
    });
    rows[place].add(floor, value);
}

fn figure(result: &Value, field: &str) -> Result<f64, String> {
    result[field].as_f64().ok_or_else(|| format!("no `{field}` in {result}"))
}
