//! Many programs, one datagram: a robot tells a group where it is, and whoever wants to know hears it.
//!
//!     cargo run --example udp_group                                  # all in one process, over loopback
//!     cargo run --example udp_group -- robot 'udp://239.1.1.1:7400'   # or each in a program of its own,
//!     cargo run --example udp_group -- desk 'udp://239.1.1.1:7400'    # on machines of one network
//!
//! The robot ends after 50 positions, a desk when the robot left.

use bowline::{Endpoint, Event, Intent, Interest, InterestSettings};
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::thread;
use std::time::Duration;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Position {
    number: u32,
    metres: [f64; 2],
}

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const POSITIONS: u32 = 50;
const LOOPBACK: &str = "udp://239.255.77.1:47010?interface=127.0.0.1&ttl=1";

fn main() -> Result<()> {
    env_logger::init();
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => in_one_process(),
        ["robot", group] => robot(group, 1).map(drop),
        ["desk", group] => desk("desk", group).map(drop),
        _ => Err("usage: udp_group [robot|desk URL]".into()),
    }
}

fn in_one_process() -> Result<()> {
    let desks: Vec<_> =
        ["desk", "arm", "logger"].map(|name| thread::spawn(move || desk(name, LOOPBACK))).into();
    let datagrams = robot(LOOPBACK, desks.len())?;
    let mut heard = 0;
    for desk in desks {
        heard += desk.join().map_err(|_| "a desk panicked")??;
    }
    println!("{POSITIONS} positions, {heard} receptions by 3 members, {datagrams} datagrams sent");
    Ok(())
}

/// Tells where it is; returns how many datagrams that took, announcements included.
fn robot(group: &str, listeners: usize) -> Result<u64> {
    let robot = Endpoint::builder("robot").join(group).ping_interval(Duration::from_millis(200)).start()?;
    let position: Intent<Position> = robot.intent("robot.position")?;
    if !position.wait_interests(listeners, Duration::from_secs(10)) {
        return Err("nobody wants to know where the robot is".into());
    }
    print_events("robot", &robot);
    for number in 0..POSITIONS {
        let angle = f64::from(number) / 10.0;
        // One datagram, however many listen; written by this very call.
        let outcome = position.send(Position { number, metres: [angle.cos(), angle.sin()] })?;
        if outcome.taken() != 1 {
            return Err(format!("position {number}: {}", outcome.worst()).into());
        }
        thread::sleep(Duration::from_millis(10));
    }
    let sent = robot.groups().iter().map(|group| group.sent).sum();
    robot.close(Duration::from_secs(1));
    Ok(sent)
}

/// Hears where the robot is until it leaves.
fn desk(name: &str, group: &str) -> Result<u32> {
    let desk = Endpoint::builder(name).join(group).ping_interval(Duration::from_millis(200)).start()?;
    let positions: Interest<Position> =
        desk.interest_with("robot.position", InterestSettings::new().queue(16))?;
    if !positions.wait_intent(Duration::from_secs(10)) {
        return Err("nobody tells where the robot is".into());
    }
    let mut heard = 0;
    while positions.suppliers() > 0 {
        match positions.recv_timeout(Duration::from_millis(100)) {
            Ok(position) => {
                heard += 1;
                if position.number % 25 == 0 {
                    println!(
                        "{name}: {:?} is at {:?}, {:?} old",
                        position.peer(),
                        position.metres,
                        position.age()
                    );
                }
            }
            Err(error) if error.is_timeout() => {}
            Err(error) => return Err(error.into()),
        }
    }
    print_events(name, &desk);
    let counts = positions.counts();
    println!("{name}: heard {heard} positions, {} lost", counts.lost_here + counts.lost_on_the_way);
    Ok(heard)
}

fn print_events(name: &str, endpoint: &Endpoint) {
    while let Some(event) = endpoint.events().try_recv() {
        match event {
            Event::MemberJoined { member } => println!("{name}: {member} is here"),
            Event::MemberLeft { member, reason } => println!("{name}: {member} left: {reason}"),
            Event::RouteLinked { route, peer, .. } => println!("{name}: {route} with {peer:?}"),
            other => println!("{name}: {other:?}"),
        }
    }
}
