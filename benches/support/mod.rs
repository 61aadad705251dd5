//! Times small pieces of work: enough for figures that can be compared between two states of the
//! code on one machine, and nothing more.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// Runs and prints the benches that the command line names; all without a name.
pub struct Bench {
    quick: bool,
    filters: Vec<String>,
}

impl Bench {
    /// `cargo bench -- [--quick] [part of a name]...`
    pub fn from_args() -> Self {
        let (flags, filters): (Vec<String>, Vec<String>) =
            std::env::args().skip(1).partition(|arg| arg.starts_with("--"));
        println!("{:<44} {:>12} {:>25}", "", "median", "range of rounds");
        Self { quick: flags.iter().any(|flag| flag == "--quick"), filters }
    }

    /// Times `work`, called over and over.
    #[allow(dead_code, reason = "not every bench needs it")]
    pub fn each<R>(&self, name: &str, mut work: impl FnMut() -> R) {
        self.batches(name, || (), |()| drop(black_box(work())), 1);
    }

    /// Times `work`, which does `count` things with what `prepare`, not timed, made for it.
    pub fn batches<P>(
        &self,
        name: &str,
        mut prepare: impl FnMut() -> P,
        mut work: impl FnMut(P),
        count: u32,
    ) {
        if !self.filters.is_empty() && !self.filters.iter().any(|part| name.contains(part.as_str())) {
            return;
        }
        let (rounds, span) = match self.quick {
            true => (3, Duration::from_millis(5)),
            false => (11, Duration::from_millis(100)),
        };
        let mut nanos = Vec::with_capacity(rounds);
        for round in 0..=rounds {
            let (mut spent, mut calls) = (Duration::ZERO, 0u32);
            while spent < span {
                // The clock is read once for many calls, as soon as it is known how many fit.
                let at_once = calls.clamp(1, 4096);
                let prepared: Vec<P> = (0..at_once).map(|_| prepare()).collect();
                let begun = Instant::now();
                prepared.into_iter().for_each(&mut work);
                spent += begun.elapsed();
                calls += at_once;
            }
            // The first round warms up.
            if round > 0 {
                nanos.push(spent.as_nanos() as f64 / f64::from(calls) / f64::from(count));
            }
        }
        nanos.sort_by(f64::total_cmp);
        let (median, least, most) = (nanos[nanos.len() / 2], nanos[0], nanos[nanos.len() - 1]);
        println!("{name:<44} {:>12} {:>12} {:>12}", text(median), text(least), text(most));
    }
}

fn text(nanos: f64) -> String {
    match nanos {
        ..1e3 => format!("{nanos:.1} ns"),
        ..1e6 => format!("{:.2} µs", nanos / 1e3),
        _ => format!("{:.2} ms", nanos / 1e6),
    }
}
