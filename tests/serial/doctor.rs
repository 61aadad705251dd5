//! What is wrong with a line is said in words: each fault is made here, and found.

use crate::cable::{Cable, End};
use crate::ends;
use crate::support::{SOON, Watch, until};
use bowline::{Diagnosis, Endpoint, Event, Finding, Intent, Interest};
use std::time::Duration;

/// The diagnosis with this finding, told in an event.
fn told(watch: &mut Watch, finding: Finding) -> Diagnosis {
    let found = watch.find(|event| match event {
        Event::LinkDiagnosed { diagnosis: Some(found), .. } if found.finding() == finding => {
            Some(found.clone())
        }
        _ => None,
    });
    println!("{found}");
    found
}

/// It is also what the state of the link says.
fn stands(endpoint: &Endpoint, finding: Finding) {
    let links = endpoint.links();
    assert_eq!(links[0].diagnosis.as_ref().map(Diagnosis::finding), Some(finding), "{links:#?}");
}

fn desk(cable: &Cable) -> Endpoint {
    Endpoint::builder("desk").connect(cable.url(End::B, "/robot")).start().unwrap()
}

#[test]
fn nothing_arrives() {
    let cable = Cable::new(115_200);
    let desk = desk(&cable);
    let mut watch = Watch::new(&desk);
    let found = told(&mut watch, Finding::Silent);
    assert!(found.text().contains("nothing arrives") && found.text().contains("115200 baud"));
    let reason = watch.find(|event| match event {
        Event::LinkDown { reason, .. } => Some(reason.clone()),
        _ => None,
    });
    assert_eq!(reason.text(), found.text());
    stands(&desk, Finding::Silent);
    // All is well once somebody is there, and that is said too.
    let _robot = Endpoint::builder("robot").listen(cable.url(End::A, "")).start().unwrap();
    watch.link_is_up();
    watch.wait(|event| matches!(event, Event::LinkDiagnosed { diagnosis: None, .. }));
    assert_eq!(desk.links()[0].diagnosis, None);
}

#[test]
fn only_text_arrives() {
    let cable = Cable::new(115_200);
    let desk = desk(&cable);
    cable.inject(End::A, &b"\r\nrobot login: ".repeat(30));
    let found = told(&mut Watch::new(&desk), Finding::OnlyText);
    assert!(found.text().contains("robot login:"), "{found}");
}

#[test]
fn the_other_end_runs_at_another_speed() {
    for theirs in [9600, 57_600, 230_400] {
        let cable = Cable::new(115_200);
        cable.way(End::A, move |bytes| at_another_speed(&bytes, theirs, 115_200));
        cable.way(End::B, move |bytes| at_another_speed(&bytes, 115_200, theirs));
        // It dials as well, so that it sends.
        let _robot = Endpoint::builder("robot").connect(cable.url(End::A, "/desk")).start().unwrap();
        let desk = desk(&cable);
        let found = told(&mut Watch::new(&desk), Finding::Garbled);
        assert!(found.text().contains("compare baud"), "{found}");
    }
}

#[test]
fn our_own_bytes_come_back() {
    let cable = Cable::new(115_200);
    cable.echo(End::B);
    let desk = desk(&cable);
    told(&mut Watch::new(&desk), Finding::Echo);
    stands(&desk, Finding::Echo);
}

#[test]
fn one_direction_is_dead_from_the_start() {
    // The dialler hears nothing; the listener hears it, and is told that it is not heard.
    let cable = Cable::new(115_200);
    cable.cut(End::A);
    let ends = ends(&cable);
    let fault = Watch::new(&ends.robot).find(|event| match event {
        Event::ListenerFault { text, .. } => Some(text.clone()),
        Event::LinkDiagnosed { diagnosis: Some(found), .. } => Some(found.to_string()),
        _ => None,
    });
    println!("{fault}");
    assert!(fault.contains("does not hear"), "{fault}");
    told(&mut Watch::new(&ends.desk), Finding::Silent);
}

#[test]
fn one_direction_dies() {
    let cable = Cable::new(115_200);
    let ends = ends(&cable);
    let mut watch = Watch::new(&ends.desk);
    watch.link_is_up();
    cable.cut(End::B);
    let found = told(&mut watch, Finding::NotHeard);
    assert!(found.text().contains("wire from TX here"), "{found}");
}

#[test]
fn checksums_fail_in_bursts() {
    let cable = Cable::new(460_800);
    let ends = ends(&cable);
    let intent: Intent<[u8; 32]> = ends.robot.intent("robot.imu").unwrap();
    let interest: Interest<[u8; 32]> = ends.desk.interest("robot.imu").unwrap();
    assert!(intent.wait_interest(SOON));
    let mut count = 0usize;
    cable.way(End::A, move |mut bytes| {
        for byte in &mut bytes {
            count += 1;
            if count % 2000 < 200 && count % 7 == 0 {
                *byte ^= 0x08;
            }
        }
        bytes
    });
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let sending = std::thread::spawn(move || {
        while stopped
            .recv_timeout(Duration::from_millis(2))
            .is_err_and(|why| matches!(why, std::sync::mpsc::RecvTimeoutError::Timeout))
        {
            let _ = intent.send([7; 32]);
        }
    });
    let found = told(&mut Watch::new(&ends.desk), Finding::Damaged);
    assert!(found.text().contains("in bursts"), "{found}");
    drop(stop);
    sending.join().unwrap();
    drop(interest);
}

#[test]
fn the_other_end_speaks_another_version() {
    // As the next version of a board might: OPEN with another number in it.
    let cable = Cable::new(115_200);
    let robot = Endpoint::builder("robot").listen(cable.url(End::A, "")).start().unwrap();
    let open = framed(&[&[1][..], b"BWLP", &[2, 7, 0, 7, 0, 0, 1, 0, 16, 0, 0, 0]].concat());
    let mut watch = Watch::new(&robot);
    cable.inject(End::B, &open);
    let fault = watch.find(|event| match event {
        Event::ListenerFault { text, .. } => Some(text.clone()),
        _ => None,
    });
    println!("{fault}");
    assert!(fault.contains("speaks version 2"), "{fault}");
}

#[test]
fn both_ends_dial() {
    let cable = Cable::new(115_200);
    let _robot = Endpoint::builder("robot").connect(cable.url(End::A, "/desk")).start().unwrap();
    let desk = desk(&cable);
    let found = told(&mut Watch::new(&desk), Finding::BothDial);
    assert!(found.text().contains("one of them must listen"), "{found}");
}

#[test]
fn a_port_that_takes_nothing() {
    let cable = Cable::new(2_000_000);
    let ends = ends(&cable);
    let intent: Intent<[u8; 32]> = ends.desk.intent("desk.noise").unwrap();
    let _interest: Interest<[u8; 32]> = ends.robot.interest("desk.noise").unwrap();
    assert!(intent.wait_interest(SOON));
    // The system takes a few kilobytes still, and then waits for the line.
    cable.freeze(End::B);
    let mut watch = Watch::new(&ends.desk);
    until("the port is found to take nothing", || {
        intent.send([1; 32]).unwrap();
        watch.all().iter().any(|event| match event {
            Event::LinkDiagnosed { diagnosis: Some(found), .. } => found.finding() == Finding::Stalled,
            _ => false,
        })
    });
}

/// The packet with this content as it stands on the line.
fn framed(content: &[u8]) -> Vec<u8> {
    let mut crc = u32::MAX;
    for byte in content {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { 0x82F6_3B78 ^ (crc >> 1) } else { crc >> 1 };
        }
    }
    let bytes = [content, &(!crc).to_le_bytes()].concat();
    let mut line = Vec::new();
    for group in bytes.split(|byte| *byte == 0) {
        line.push(group.len() as u8 + 1);
        line.extend_from_slice(group);
    }
    line.push(0);
    line
}

/// What a receiver at `there` bits a second reads of bytes sent at `here`: eight data bits, one stop bit. Where
/// the stop bit is not one, the system gives a zero.
fn at_another_speed(bytes: &[u8], here: u32, there: u32) -> Vec<u8> {
    if bytes.is_empty() {
        return Vec::new();
    }
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
