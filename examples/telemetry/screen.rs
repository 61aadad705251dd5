//! The table.

use crate::figures::{Figures, Recent};
use std::io::{IsTerminal, Write};
use std::time::Duration;

/// Draws one block a second; on a terminal each over the one before.
pub struct Screen {
    terminal: bool,
    drawn: usize,
    last_event: String,
}

impl Screen {
    pub fn new() -> Self {
        Self { terminal: std::io::stdout().is_terminal(), drawn: 0, last_event: "none".into() }
    }

    /// An event: the last line on a terminal, a line of its own elsewhere.
    pub fn event(&mut self, text: String) {
        if !self.terminal {
            println!("{text}");
        }
        self.last_event = text;
    }

    /// Draws the table.
    pub fn draw(&mut self, second: u64, rows: &[(Figures, Recent)], round_trip: Option<Duration>) {
        let mut lines = vec![format!("second {second}, round trip {}", millis(round_trip)), head()];
        lines.extend(rows.iter().map(|(figures, recent)| {
            let newest = if figures.received == 0 { "no data" } else { &figures.newest };
            row(figures, recent.rate, recent.age_p50, recent.age_p99, round_trip, newest)
        }));
        if self.terminal {
            lines.push(format!("last event: {}", self.last_event));
        }
        let mut text = String::new();
        if self.terminal && self.drawn > 0 {
            text.push_str(&format!("\x1b[{}A", self.drawn));
        }
        for line in &lines {
            text.push_str(line);
            text.push_str(if self.terminal { "\x1b[K\n" } else { "\n" });
        }
        self.drawn = lines.len();
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}

/// Everything, at the end.
pub fn summary(all: &[Figures], ran: Duration, round_trip: Option<Duration>) {
    println!("\nsummary of {:.1} s", ran.as_secs_f64());
    println!("{}", head());
    for figures in all {
        let rate = figures.received as f64 / ran.as_secs_f64();
        let samples = format!("{} samples", figures.received);
        let (p50, p99) = (figures.ages.at(0.5), figures.ages.at(0.99));
        println!("{}", row(figures, rate, p50, p99, round_trip, &samples));
    }
}

fn head() -> String {
    format!(
        "{:<12} {:>9} {:>10} {:>10} {:>10} {:>6}  newest",
        "route", "rate", "age p50", "age p99", "rtt", "lost"
    )
}

fn row(
    figures: &Figures,
    rate: f64,
    age_p50: Option<Duration>,
    age_p99: Option<Duration>,
    round_trip: Option<Duration>,
    last: &str,
) -> String {
    let mut line = format!(
        "{:<12} {:>6.1} Hz {:>10} {:>10} {:>10} {:>6}  {last}",
        figures.name,
        rate,
        millis(age_p50),
        millis(age_p99),
        millis(round_trip),
        figures.lost,
    );
    // A line that wraps would spoil the redrawing.
    if let Some((cut, _)) = line.char_indices().nth(110) {
        line.truncate(cut);
    }
    line
}

fn millis(span: Option<Duration>) -> String {
    span.map_or_else(|| "-".into(), |span| format!("{:.3} ms", span.as_secs_f64() * 1e3))
}
