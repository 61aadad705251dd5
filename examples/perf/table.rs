//! Medians, ranges, and the table.

use crate::cases::{Case, Goal};
use serde_json::{Value, json};

/// One line of the table.
#[derive(Clone, Debug)]
pub struct Row {
    pub name: &'static str,
    pub unit: &'static str,
    pub lost: u64,
    goals: Vec<Goal>,
    floor: Vec<f64>,
    bowline: Vec<f64>,
}

impl Row {
    pub fn new(name: &'static str, unit: &'static str, goals: &[Goal]) -> Self {
        Self { name, unit, lost: 0, goals: goals.to_vec(), floor: Vec::new(), bowline: Vec::new() }
    }

    pub fn of(case: &Case) -> Self {
        Self::new(case.name, case.measure.unit(), case.goals)
    }

    /// Adds a round.
    pub fn add(&mut self, floor: Option<f64>, bowline: f64) {
        self.floor.extend(floor);
        self.bowline.push(bowline);
    }

    /// Whether every goal is reached, by the medians, and nothing was lost.
    pub fn is_met(&self) -> bool {
        let value = Spread::of(&self.bowline).median;
        let ratio = self.ratio().map(|ratio| ratio.median);
        self.lost == 0 && self.goals.iter().all(|goal| goal.is_met(value, ratio))
    }

    /// bowline over the floor of the same round.
    fn ratio(&self) -> Option<Spread> {
        let ratios: Vec<f64> = self.bowline.iter().zip(&self.floor).map(|(b, f)| b / f).collect();
        (!ratios.is_empty()).then(|| Spread::of(&ratios))
    }

    fn goal_text(&self) -> String {
        let texts: Vec<String> = self.goals.iter().map(|goal| goal.text(self.unit)).collect();
        texts.join(", ")
    }

    pub fn json(&self) -> Value {
        let spread = |values: &[f64]| (!values.is_empty()).then(|| Spread::of(values).json(values));
        json!({
            "case": self.name,
            "unit": self.unit,
            "floor": spread(&self.floor),
            "bowline": spread(&self.bowline),
            "ratio": self.ratio().map(|r| json!({"median": r.median, "min": r.min, "max": r.max})),
            "lost": self.lost,
            "goal": self.goal_text(),
            "met": self.is_met(),
        })
    }

    fn cells(&self) -> [String; 6] {
        let absent = String::new;
        let floor = if self.floor.is_empty() { absent() } else { Spread::of(&self.floor).text(self.unit) };
        [
            self.name.into(),
            floor,
            Spread::of(&self.bowline).text(self.unit),
            self.ratio().map_or_else(absent, |ratio| format!("{:.2} ×", ratio.median)),
            self.goal_text(),
            if self.is_met() { "yes" } else { "no" }.into(),
        ]
    }
}

/// The table, in Markdown.
pub fn markdown(rows: &[Row]) -> String {
    let mut lines = vec![["", "floor", "bowline", "ratio", "goal", "met"].map(String::from)];
    lines.push(Default::default());
    lines.extend(rows.iter().map(Row::cells));
    let mut widths = [3; 6];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    lines[1] = widths.map(|width| "-".repeat(width));
    let mut text = String::new();
    for line in &lines {
        for (width, cell) in widths.iter().zip(line) {
            let room = " ".repeat(width - cell.chars().count());
            text.push_str(&format!("| {cell}{room} "));
        }
        text.push_str("|\n");
    }
    text
}

/// The middle and the ends of some values.
#[derive(Clone, Copy, Debug)]
struct Spread {
    median: f64,
    min: f64,
    max: f64,
}

impl Spread {
    fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let Some((&min, &max)) = sorted.first().zip(sorted.last()) else {
            return Self { median: f64::NAN, min: f64::NAN, max: f64::NAN };
        };
        let middle = sorted.len() / 2;
        let median = match sorted.len() % 2 {
            0 => (sorted[middle - 1] + sorted[middle]) / 2.0,
            _ => sorted[middle],
        };
        Self { median, min, max }
    }

    fn json(self, all: &[f64]) -> Value {
        json!({"median": self.median, "min": self.min, "max": self.max, "rounds": all})
    }

    fn text(self, unit: &str) -> String {
        let number = |value: f64| {
            if value == value.trunc() || value >= 1000.0 {
                format!("{value:.0}")
            } else if value >= 10.0 {
                format!("{value:.1}")
            } else {
                format!("{value:.2}")
            }
        };
        let space = if unit.is_empty() { "" } else { " " };
        if self.min == self.max {
            return format!("{}{space}{unit}", number(self.median));
        }
        format!("{}{space}{unit} ({} to {})", number(self.median), number(self.min), number(self.max))
    }
}
