//! What is measured, and what is to be reached.

use crate::options::{Line, Mode, Via};

/// One line of the table that has a floor.
#[derive(Clone, Debug)]
pub struct Case {
    pub name: &'static str,
    pub mode: Mode,
    pub size: usize,
    pub via: Via,
    pub line: Line,
    /// Server and client on different processors.
    pub pinned: bool,
    pub clients: usize,
    pub measure: Measure,
    pub goals: &'static [Goal],
}

/// Which figure counts, in which unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// The median round trip.
    Micros,
    /// Millions of messages a second, of all clients together.
    MegaMessages,
    /// Gigabytes a second.
    Gigabytes,
}

impl Measure {
    pub fn unit(self) -> &'static str {
        match self {
            Measure::Micros => "µs",
            Measure::MegaMessages => "M/s",
            Measure::Gigabytes => "GB/s",
        }
    }

    /// The field of the client's JSON, and what it is multiplied by.
    pub fn field(self) -> (&'static str, f64) {
        match self {
            Measure::Micros => ("p50_us", 1.0),
            Measure::MegaMessages => ("msg_s", 1e-6),
            Measure::Gigabytes => ("mb_s", 1e-3),
        }
    }
}

/// What is to be reached.
#[derive(Clone, Copy, Debug)]
pub enum Goal {
    /// At most this multiple of the floor of the same round.
    RatioAtMost(f64),
    /// At least this share of the floor of the same round.
    RatioAtLeast(f64),
    AtMost(f64),
    AtLeast(f64),
}

impl Goal {
    pub fn is_met(self, value: f64, ratio: Option<f64>) -> bool {
        match self {
            Goal::RatioAtMost(most) => ratio.is_some_and(|ratio| ratio <= most),
            Goal::RatioAtLeast(least) => ratio.is_some_and(|ratio| ratio >= least),
            Goal::AtMost(most) => value <= most,
            Goal::AtLeast(least) => value >= least,
        }
    }

    pub fn text(self, unit: &str) -> String {
        match self {
            Goal::RatioAtMost(most) => format!("≤ {most} ×"),
            Goal::RatioAtLeast(least) => format!("≥ {least} ×"),
            Goal::AtMost(most) => format!("≤ {most} {unit}").trim_end().into(),
            Goal::AtLeast(least) => format!("≥ {least} {unit}").trim_end().into(),
        }
    }
}

/// The lines that have a floor.
pub fn cases() -> Vec<Case> {
    use Goal::{AtLeast, RatioAtLeast, RatioAtMost};
    use Measure::{Gigabytes, MegaMessages, Micros};
    let rtt = |name, via, goals| Case {
        name,
        mode: Mode::Rtt,
        size: 64,
        via,
        line: Line::Tcp,
        pinned: true,
        clients: 1,
        measure: Micros,
        goals,
    };
    let thr = |name, size, pinned, measure, goals| Case {
        name,
        mode: Mode::Thr,
        size,
        via: Via::Mailbox,
        line: Line::Tcp,
        pinned,
        clients: 1,
        measure,
        goals,
    };
    vec![
        rtt("round trip 64 B, mailbox, p50", Via::Mailbox, &[RatioAtMost(1.4)]),
        rtt("round trip 64 B, callback, p50", Via::Callback, &[RatioAtMost(1.1)]),
        Case {
            line: Line::Udp,
            ..rtt("round trip 64 B over UDP, callback, p50", Via::Callback, &[RatioAtMost(2.5)])
        },
        thr("16 B", 16, true, MegaMessages, &[RatioAtLeast(0.35)]),
        thr("64 B", 64, true, MegaMessages, &[RatioAtLeast(0.5), AtLeast(15.0)]),
        Case { via: Via::Slices, ..thr("16 B, 64 a call", 16, true, MegaMessages, &[RatioAtLeast(0.35)]) },
        Case {
            via: Via::Slices,
            ..thr("64 B, 64 a call", 64, true, MegaMessages, &[RatioAtLeast(0.5), AtLeast(15.0)])
        },
        thr("1 KiB", 1024, false, MegaMessages, &[RatioAtLeast(0.6)]),
        thr("64 KiB", 64 * 1024, false, Gigabytes, &[RatioAtLeast(0.85)]),
        thr("1 MiB", 1024 * 1024, false, Gigabytes, &[RatioAtLeast(0.9)]),
        Case {
            name: "fan-out to 8 processes, 64 B, in all",
            mode: Mode::Fan,
            size: 64,
            via: Via::Mailbox,
            line: Line::Tcp,
            pinned: false,
            clients: 8,
            measure: MegaMessages,
            goals: &[AtLeast(12.0)],
        },
    ]
}
