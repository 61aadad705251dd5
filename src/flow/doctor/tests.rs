use super::*;
use crate::wire::cobs::{Deframer, encode};

/// A line, its doctor, and what cuts its bytes.
struct Ward {
    doctor: Doctor,
    deframer: Deframer,
    now: Timestamp,
}

impl Ward {
    fn new(dials: bool) -> Self {
        let mut doctor = Doctor::new("/dev/ttyX (115200 baud, 8N1)".into());
        let now = Timestamp::from_micros(1_700_000_000_000_000);
        doctor.begin(now, dials);
        Self { doctor, deframer: Deframer::new(256), now }
    }

    fn pass(&mut self, millis: u64) {
        self.now = self.now + Duration::from_millis(millis);
    }

    fn arrive(&mut self, mut bytes: &[u8]) {
        self.doctor.bytes(self.now, bytes);
        while let Some(found) = self.deframer.next(&mut bytes) {
            self.doctor.found(self.now, &found);
        }
    }

    fn hear(&mut self, content: &[u8]) {
        self.arrive(&line(content));
    }

    fn send(&mut self, content: &[u8]) {
        self.doctor.sent(self.now, content, content.len() + 6);
    }

    fn finding(&self) -> Option<Finding> {
        self.diagnosis().map(|found| found.finding())
    }

    fn diagnosis(&self) -> Option<Diagnosis> {
        self.doctor.diagnose(self.now, self.deframer.pending())
    }

    fn says(&self, finding: Finding, words: &[&str]) {
        let found = self.diagnosis().unwrap_or_else(|| panic!("{finding:?} was not found"));
        println!("{found}");
        assert_eq!(found.finding(), finding, "{found}");
        for word in words {
            assert!(found.text().contains(word), "{found} lacks `{word}`");
        }
        assert!(found.text().contains("/dev/ttyX (115200 baud, 8N1)"));
    }
}

fn line(content: &[u8]) -> Vec<u8> {
    let mut line = Vec::new();
    encode(content, &mut line);
    line
}

fn open(version: u8, token: u8) -> Vec<u8> {
    [&[OPEN][..], b"BWLP", &[version], &[token; 4], &[0, 1, 0, 16, 0, 0, 0]].concat()
}

fn opened(token: u8) -> Vec<u8> {
    [&[OPENED, 1][..], &[token; 4], &[9; 4], &[0, 1, 0, 16, 0, 0]].concat()
}

fn ping(number: u64) -> Vec<u8> {
    [&[PING][..], &number.to_le_bytes()].concat()
}

/// What a receiver at `there` bits a second reads of bytes sent at `here`: eight data bits, one stop bit. Where
/// the stop bit is not one, the system gives a zero.
fn at_another_speed(bytes: &[u8], here: u32, there: u32) -> Vec<u8> {
    let mut bits = vec![true; 20];
    for byte in bytes {
        bits.push(false);
        bits.extend((0..8).map(|bit| byte >> bit & 1 == 1));
        bits.push(true);
    }
    bits.extend([true; 20]);
    let (per_bit, mut at, mut read) = (f64::from(here) / f64::from(there), 0.0, Vec::new());
    let level = |at: f64| bits.get(at as usize).copied();
    while let Some(high) = level(at) {
        if high {
            at += per_bit / 16.0;
            continue;
        }
        let sampled = (1..10).map(|bit| level(at + (f64::from(bit) + 0.5) * per_bit).unwrap_or(true));
        let sampled: Vec<bool> = sampled.collect();
        let byte = (0..8).fold(0u8, |byte, bit| byte | u8::from(sampled[bit]) << bit);
        read.push(if sampled[8] { byte } else { 0 });
        at += 9.5 * per_bit;
        while !sampled[8] && level(at) == Some(false) {
            at += per_bit / 16.0;
        }
    }
    read
}

#[test]
fn a_line_that_is_well_has_nothing() {
    let mut ward = Ward::new(true);
    ward.send(&open(1, 7));
    ward.pass(20);
    ward.hear(&opened(7));
    for number in 0..100 {
        ward.pass(100);
        ward.send(&ping(number));
        ward.hear(&[&[PONG][..], &[number as u8; 24]].concat());
        ward.hear(&[0x20, number as u8, 0, 1, 2, 3]);
        assert_eq!(ward.diagnosis(), None);
    }
    let counts = ward.doctor.counts();
    assert_eq!((counts.packets_in, counts.packets_out, counts.broken), (201, 101, 0));
}

#[test]
fn nothing_arrives() {
    let mut ward = Ward::new(true);
    for _ in 0..8 {
        assert_eq!(ward.diagnosis(), None);
        ward.send(&open(1, 7));
        ward.pass(200);
    }
    ward.says(Finding::Silent, &["nothing arrives", "8 packets were sent", "crossed"]);
    // Who waits to be dialled knows no better.
    let mut ward = Ward::new(false);
    ward.pass(60_000);
    assert_eq!(ward.diagnosis(), None);
}

#[test]
fn a_console_is_there() {
    let mut ward = Ward::new(true);
    ward.send(&open(1, 7));
    ward.arrive(b"\r\nDebian GNU/Linux 12 robot ttyS0\r\n\r\nrobot login: ");
    ward.says(Finding::OnlyText, &["only text", "`robot login:`", "console"]);
    let mut ward = Ward::new(false);
    ward.arrive(&b"boot \x1B[31mfailed\r\n".repeat(200));
    ward.says(Finding::OnlyText, &["boot"]);
    assert!(ward.doctor.counts().text_bytes > 1000);
}

#[test]
fn the_speeds_differ() {
    for (theirs, word) in [(9600, "are zero"), (38_400, ""), (57_600, ""), (230_400, ""), (921_600, "")] {
        let mut ward = Ward::new(true);
        for number in 0..12 {
            ward.send(&open(1, 7));
            ward.pass(200);
            let sent = [line(&open(1, 77)), line(&ping(number)), line(&opened(3))].concat();
            ward.arrive(&at_another_speed(&sent, theirs, 115_200));
        }
        println!("{theirs} read at 115200:");
        ward.says(Finding::Garbled, &["no packet among them", "compare baud", word]);
    }
}

#[test]
fn our_own_bytes_come_back() {
    let mut ward = Ward::new(true);
    for _ in 0..4 {
        ward.send(&open(1, 7));
        ward.pass(200);
        ward.hear(&open(1, 7));
    }
    ward.says(Finding::Echo, &["comes back (4 of 4 packets)"]);
}

#[test]
fn the_other_end_does_not_hear() {
    // It dialled, and our answers do not reach it.
    let mut ward = Ward::new(false);
    for _ in 0..4 {
        ward.hear(&open(1, 7));
        ward.send(&opened(7));
        assert_eq!(ward.diagnosis(), None);
        ward.pass(200);
    }
    ward.hear(&open(1, 7));
    ward.says(Finding::NotHeard, &["is heard but does not hear", "wire from TX here"]);
    // It began anew each time: that is another thing.
    let mut ward = Ward::new(false);
    for token in 0..9 {
        ward.hear(&open(1, token));
        ward.send(&opened(token));
        ward.pass(200);
    }
    assert_eq!(ward.diagnosis(), None);
    // The link stood, and our wire broke.
    let mut ward = Ward::new(true);
    ward.send(&open(1, 7));
    ward.hear(&opened(7));
    for number in 0..4 {
        assert_eq!(ward.diagnosis(), None);
        ward.send(&ping(number));
        ward.hear(&ping(1000 + number));
        ward.pass(400);
    }
    ward.says(Finding::NotHeard, &["4 packets"]);
    ward.hear(&[&[PONG][..], &[0; 24]].concat());
    assert_eq!(ward.diagnosis(), None);
}

#[test]
fn packets_come_damaged_in_bursts_or_scattered() {
    for (bursts, word) in [(true, "in bursts of up to 4"), (false, "scattered")] {
        let mut ward = Ward::new(true);
        for number in 0..100u8 {
            ward.pass(20);
            let mut bytes = line(&[0x20, number, 0, 1, 2, 3]);
            if if bursts { number % 25 < 4 } else { number % 8 == 0 } {
                bytes[3] ^= 0x55;
            }
            ward.arrive(&bytes);
        }
        ward.says(Finding::Damaged, &[word, "of 100 packets"]);
        assert!(ward.doctor.counts().broken >= 13);
        // It is over.
        for number in 0..100u8 {
            ward.pass(60);
            ward.hear(&[0x20, number, 0, 1, 2, 3]);
        }
        assert_eq!(ward.finding(), None);
    }
}

#[test]
fn one_damaged_packet_is_nothing() {
    let mut ward = Ward::new(true);
    ward.arrive(&[9, 9, 9, 0]);
    for number in 0..20u8 {
        ward.hear(&[0x20, number, 0, 1]);
    }
    assert_eq!(ward.diagnosis(), None);
}

#[test]
fn the_other_end_speaks_another_version() {
    let mut ward = Ward::new(false);
    ward.hear(&open(3, 7));
    ward.says(Finding::OtherVersion, &["speaks version 3", "this one 1"]);
    ward.hear(&open(1, 7));
    assert_eq!(ward.diagnosis(), None);
    let mut ward = Ward::new(true);
    ward.send(&open(1, 7));
    let mut answer = opened(7);
    answer[1] = 2;
    ward.hear(&answer);
    ward.says(Finding::OtherVersion, &["speaks version 2"]);
}

#[test]
fn both_ends_dial() {
    let mut ward = Ward::new(true);
    for _ in 0..3 {
        ward.send(&open(1, 7));
        ward.hear(&open(1, 9));
        ward.pass(200);
    }
    ward.says(Finding::BothDial, &["one of them must listen"]);
}

#[test]
fn the_port_takes_nothing() {
    let mut ward = Ward::new(true);
    ward.doctor.stalled(ward.now);
    ward.says(Finding::Stalled, &["takes nothing to send", "flow=none"]);
    ward.send(&ping(1));
    assert_eq!(ward.diagnosis(), None);
}
