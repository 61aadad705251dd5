//! What many peers, many routes, and those that do not read cost the others. Linux only, as it asks the system.
//!
//! `cargo bench --bench scale -- [--quick] [links] [stalled] [reader] [routes] [reconnect]`
//!
//! Times on a machine that does much else say little; `chrt --rr 10` before the program keeps the others out of it.
//!
//! Peers run in a process of their own, this program started again, so that what is measured here is one side.

mod process;
mod tap;

use bowline::{Bytes, Endpoint, EndpointBuilder, Event, Fate, Intent, Interest, InterestSettings, Sample};
use process::{Memory, cpu, threads};
use std::error::Error;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};
use tap::Tap;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const SOON: Duration = Duration::from_secs(30);

/// So slow that nothing is taken for dead which is only stopped for as long as it is measured.
const PING: Duration = Duration::from_secs(60);

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [role, url, count] = &args[..] {
        if role == "peers" {
            return peers(url, count.parse()?);
        }
    }
    let quick = args.iter().any(|arg| arg == "--quick");
    let named: Vec<&String> = args.iter().filter(|arg| !arg.starts_with("--")).collect();
    let wanted = |name: &str| named.is_empty() || named.iter().any(|arg| *arg == name);
    if wanted("routes") {
        routes(if quick { 1 } else { 5 })?;
    }
    if wanted("reconnect") {
        reconnect(if quick { 5 } else { 100 })?;
    }
    if wanted("reader") {
        reader(quick)?;
    }
    if wanted("stalled") {
        stalled(if quick { 64 } else { 256 }, quick)?;
    }
    if wanted("links") {
        links(if quick { &[10, 100] } else { &[10, 100, 1000] }, quick)?;
    }
    Ok(())
}

// ---- links --------------------------------------------------------------------------------------

/// What an idle link costs the process that has it, and what the others cost one that is used.
fn links(counts: &[usize], quick: bool) -> Result<()> {
    println!(
        "{:>6} {:>8} {:>14} {:>15} {:>10} {:>12} {:>12}",
        "links", "threads", "KiB each", "stack KiB each", "CPU %", "trip p50 µs", "trip p99 µs"
    );
    for &count in counts {
        let robot = robot(PING.min(Duration::from_secs(1)))?;
        let (before, threads_before) = (Memory::now()?, threads()?);
        let peers = Peers::start(&robot, count)?;
        peers.wait_for(&robot, count)?;
        // What was only needed to come up is given back or used again by now.
        pause(Duration::from_millis(500));
        let (after, threads) = (Memory::now()?, threads()? - threads_before);
        let span = Duration::from_secs(if quick { 1 } else { 5 });
        let begun = cpu()?;
        pause(span);
        let busy = (cpu()? - begun).as_secs_f64() / span.as_secs_f64();
        let mut trips = trips(&robot, if quick { 500 } else { 5000 })?;
        println!(
            "{count:>6} {threads:>8} {:>14.1} {:>15.1} {:>10.2} {:>12.1} {:>12.1}",
            (after.other - before.other.min(after.other)) as f64 / count as f64,
            (after.stacks - before.stacks.min(after.stacks)) as f64 / count as f64,
            busy * 100.0,
            micros(quantile(&mut trips, 0.5)),
            micros(quantile(&mut trips, 0.99)),
        );
        peers.end()?;
    }
    Ok(())
}

/// Round trips of 64 bytes to the first peer, whose callback sends them back.
fn trips(robot: &Endpoint, count: usize) -> Result<Vec<Duration>> {
    let there: Intent<Bytes> = robot.intent("robot.trip")?;
    let (came, coming) = channel();
    let _back = robot.on_sample("peer.trip", InterestSettings::new(), move |_: Sample<Bytes>| {
        let _ = came.send(Instant::now());
    })?;
    if !there.wait_interest(SOON) {
        return Err("nobody answers".into());
    }
    let mut trips = Vec::with_capacity(count);
    // The first tries end once the way back is linked too.
    while trips.len() < count {
        let begun = Instant::now();
        there.send(Bytes::from(vec![7; 64]))?;
        if let Ok(end) = coming.recv_timeout(Duration::from_millis(200)) {
            trips.push(end - begun);
        }
        pause(Duration::from_micros(200));
    }
    Ok(trips)
}

// ---- one that is stalled ------------------------------------------------------------------------

/// How late samples are at many peers, with and without one among them that is stopped.
fn stalled(count: usize, quick: bool) -> Result<()> {
    let robot = robot(PING)?;
    let victim = Peers::start(&robot, 1)?;
    let mut others = Peers::start(&robot, count - 1)?;
    others.wait_for(&robot, count)?;
    let state: Intent<Bytes> = robot.intent("robot.state")?;
    let fill: Intent<Bytes> = robot.intent("robot.fill")?;
    if !state.wait_interests(count, SOON) {
        return Err(format!("{} of {count} peers are interested", state.interested()).into());
    }
    let (rounds, sends) = if quick { (1, 20) } else { (5, 60) };
    let (mut with, mut without) = (Vec::new(), Vec::new());
    lateness(&state, &mut others, 5)?;
    for _ in 0..rounds {
        without.push(lateness(&state, &mut others, sends)?);
        victim.signal("-STOP")?;
        // Until its link takes nothing more, and each further sample costs an older one.
        let full = Bytes::from(vec![7; 32 * 1024]);
        let mut dropped = 0;
        while dropped < 100 {
            let outcome = fill.send(full.clone())?;
            dropped += u32::from(outcome.worst() == Fate::Replaced);
        }
        with.push(lateness(&state, &mut others, sends)?);
        victim.signal("-CONT")?;
        lateness(&state, &mut others, 5)?;
    }
    let (a, b) = (quantile(&mut without, 0.5), quantile(&mut with, 0.5));
    let ratio = b.as_secs_f64() / a.as_secs_f64();
    let (a, b) = (micros(a), micros(b));
    println!("{count} peers: p99 {a:.0} µs, with one of them stalled {b:.0} µs, {ratio:.2} × (goal: 2)");
    others.end()?;
    victim.end()
}

/// The 99th percentile of how late samples are at all these peers.
fn lateness(state: &Intent<Bytes>, peers: &mut Peers, sends: usize) -> Result<Duration> {
    for _ in 0..sends {
        state.send(stamped(64))?;
        pause(Duration::from_millis(40));
    }
    peers.lateness("robot.state")
}

// ---- a reader that sleeps -----------------------------------------------------------------------

/// How late samples of one route are while the reader of another on the same link sleeps.
///
/// Phases with and without the sleeper take turns, and which is first in each round does. Of each half second the
/// 99th percentile is taken, and of these the median: what else the machine does falls into a few of them. How much
/// that may still be is what the halves of the phases without a sleeper differ by.
fn reader(quick: bool) -> Result<()> {
    const WINDOW: u32 = 500;
    let robot = robot(PING)?;
    let mut desk = Peers::start(&robot, 1)?;
    desk.wait_for(&robot, 1)?;
    let (fast, slow): (Intent<Bytes>, Intent<Bytes>) =
        (robot.intent("robot.fast")?, robot.intent("robot.slow")?);
    if !(fast.wait_interest(SOON) && slow.wait_interest(SOON)) {
        return Err("the reader is not there".into());
    }
    let (rounds, windows) = if quick { (1, 2) } else { (8, 10) };
    let (mut awake, mut asleep, mut refused) = (Vec::new(), Vec::new(), 0);
    for round in 0..rounds {
        for sleeps in [round % 2 == 1, round % 2 == 0] {
            desk.tell(if sleeps { "sleep" } else { "wake" })?;
            // The first one is for what waited before to be read, or for the room to be used up.
            for window in 0..=windows {
                let begun = Instant::now();
                for cycle in 1..=WINDOW {
                    fast.send(stamped(64))?;
                    refused += usize::from(slow.try_send(Bytes::from(vec![7; 1024])).is_err());
                    let next = begun + Duration::from_millis(1) * cycle;
                    pause(next.saturating_duration_since(Instant::now()));
                }
                let late = desk.lateness("robot.fast")?;
                if window > 0 {
                    (if sleeps { &mut asleep } else { &mut awake }).push(late);
                }
            }
        }
    }
    let half = |first| awake.iter().skip(first).step_by(2).copied().collect::<Vec<_>>();
    let (even, odd) = (quantile(&mut half(0), 0.5), quantile(&mut half(1), 0.5));
    let noise = even.max(odd).as_secs_f64() / even.min(odd).as_secs_f64();
    let (a, b) = (quantile(&mut awake, 0.5), quantile(&mut asleep, 0.5));
    let ratio = b.as_secs_f64() / a.as_secs_f64();
    println!(
        "a reader sleeps {} s, {rounds} times: p99 of another route {:.0} µs, without {:.0} µs, {ratio:.2} × \
         (goal: 1.2; the same without a sleeper: {noise:.2} ×); {refused} sends of its own found no room",
        f64::from((windows + 1) * WINDOW) / 1e3,
        micros(b),
        micros(a),
    );
    desk.end()
}

// ---- many routes --------------------------------------------------------------------------------

const ROUTES: usize = 10_000;

fn path(n: usize) -> String {
    format!("robot.group-{}.route-{n}", n % 100)
}

fn many_intents(robot: &Endpoint) -> Result<Vec<Intent<f64>>> {
    Ok((0..ROUTES).map(|n| robot.intent(&path(n))).collect::<std::result::Result<_, _>>()?)
}

fn many_interests(desk: &Endpoint, intents: &[Intent<f64>]) -> Result<Vec<Interest<f64>>> {
    let all = (0..ROUTES).map(|n| desk.interest(&path(n))).collect::<std::result::Result<Vec<_>, _>>()?;
    if intents.iter().all(|intent| intent.wait_interest(SOON)) {
        Ok(all)
    } else {
        Err(format!("not all of {} routes were linked", all.len()).into())
    }
}

/// How long a table of 10,000 routes takes from one endpoint to another, and what goes over the line.
fn routes(rounds: usize) -> Result<()> {
    let robot = robot(PING)?;
    let intents = many_intents(&robot)?;
    let (mut took, mut linked) = (Vec::new(), Vec::new());
    let mut line = String::new();
    for _ in 0..rounds {
        let tap = Tap::default();
        let desk = Endpoint::builder("desk").transport(tap.clone());
        let begun = Instant::now();
        let desk = desk.connect(url(&robot).replace("tcp:", "tap:")).start()?;
        let last: Interest<f64> = desk.interest(&path(ROUTES - 1))?;
        if !last.wait_intent(SOON) {
            return Err("the last route was not linked".into());
        }
        took.push(begun.elapsed());
        let (frames, bytes) = tap.tables();
        line = format!("in {frames} frames of {bytes} bytes");
        drop(desk);

        let desk = Endpoint::builder("desk").connect(url(&robot)).start()?;
        let begun = Instant::now();
        let _all = many_interests(&desk, &intents)?;
        linked.push(begun.elapsed());
    }
    println!(
        "10,000 routes: told and the last one linked {:.1} ms after dialling (goal: 100), {line}; \
         all declared and linked in {:.0} ms",
        micros(quantile(&mut took, 0.5)) / 1e3,
        micros(quantile(&mut linked, 0.5)) / 1e3,
    );
    Ok(())
}

// ---- a link that breaks -------------------------------------------------------------------------

/// How long a session of 10,000 routes takes to go on over another connection, and what goes over the line for that.
fn reconnect(rounds: usize) -> Result<()> {
    let robot = robot(PING)?;
    let intents = many_intents(&robot)?;
    let tap = Tap::default();
    let desk = Endpoint::builder("desk").transport(tap.clone()).ping_interval(PING);
    let desk = desk.redial(Duration::from_millis(1), Duration::from_millis(10));
    let desk = desk.connect(url(&robot).replace("tcp:", "tap:")).start()?;
    let _all = many_interests(&desk, &intents)?;
    let resumes = || -> Result<Instant> {
        for endpoint in [&desk, &robot] {
            loop {
                let event = endpoint.events().recv_timeout(SOON).ok_or("the session did not go on")?;
                if matches!(event, Event::SessionResumed { .. }) {
                    break;
                }
            }
        }
        Ok(Instant::now())
    };
    // What came before is of no matter, and takes the place of what comes.
    for endpoint in [&desk, &robot] {
        while endpoint.events().try_recv().is_some() {}
    }
    let (mut took, mut dialled, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let cut = Instant::now();
        tap.cut();
        let resumed = resumes()?;
        took.push(resumed - cut);
        dialled.extend(tap.dialled().map(|dialled| resumed - dialled));
        // What is said at last is a PONG, which asks for no answer.
        pause(Duration::from_millis(5));
        let (came, went) = tap.bytes();
        bytes.push(came + went);
    }
    bytes.sort_unstable();
    tap.set_closed(true);
    tap.cut();
    let more: Vec<Intent<f64>> =
        (0..10).map(|n| robot.intent(&format!("robot.new-{n}"))).collect::<std::result::Result<_, _>>()?;
    tap.set_closed(false);
    resumes()?;
    let last: Interest<f64> = desk.interest("robot.new-9")?;
    if !last.wait_intent(SOON) || !more[9].wait_interest(SOON) {
        return Err("what was declared meanwhile was not linked".into());
    }
    let (came, went) = tap.bytes();
    let mut millis = |part| [&mut took, &mut dialled].map(|times| micros(quantile(times, part)) / 1e3);
    let ([cut, half], [_, most]) = (millis(0.5), millis(0.99));
    println!(
        "a session with 10,000 routes goes on {half:.2} ms after it is dialled anew, 99 % within {most:.2} ms (goal: 5), \
         {cut:.1} ms after its link was cut; {} bytes both ways, with 10 routes declared and one linked meanwhile {}",
        bytes[bytes.len() / 2],
        came + went,
    );
    Ok(())
}

// ---- peers, in a process of their own -----------------------------------------------------------

struct Peers {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Peers {
    fn start(robot: &Endpoint, count: usize) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["peers", &url(robot), &count.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (to, from) = (child.stdin.take(), child.stdout.take());
        let (Some(to), Some(from)) = (to, from) else { return Err("the peers have no pipes".into()) };
        let mut peers = Self { child, to, from: BufReader::new(from) };
        peers.answer()?;
        Ok(peers)
    }

    fn wait_for(&self, robot: &Endpoint, count: usize) -> Result<()> {
        let deadline = Instant::now() + SOON;
        while robot.links().iter().filter(|link| link.reason.is_none()).count() < count {
            if Instant::now() > deadline {
                return Err(format!("{} of {count} peers came", robot.links().len()).into());
            }
            pause(Duration::from_millis(20));
        }
        Ok(())
    }

    fn tell(&mut self, words: &str) -> Result<String> {
        writeln!(self.to, "{words}")?;
        self.to.flush()?;
        self.answer()
    }

    fn answer(&mut self) -> Result<String> {
        let mut line = String::new();
        self.from.read_line(&mut line)?;
        if line.is_empty() { Err("the peers are gone".into()) } else { Ok(line.trim().to_owned()) }
    }

    /// The 99th percentile of the samples that came since this was asked last.
    fn lateness(&mut self, route: &str) -> Result<Duration> {
        Ok(Duration::from_nanos(self.tell(&format!("p99 {route}"))?.parse()?))
    }

    fn signal(&self, signal: &str) -> Result<()> {
        let done = Command::new("kill").args([signal, &self.child.id().to_string()]).status()?;
        if done.success() { Ok(()) } else { Err("the peer cannot be signalled".into()) }
    }

    fn end(mut self) -> Result<()> {
        drop(self.to);
        self.child.wait()?;
        Ok(())
    }
}

/// The other process: endpoints that dial, and say how late samples come.
fn peers(url: &str, count: usize) -> Result<()> {
    let (late, lateness) = channel();
    let mut kept = Vec::new();
    for number in 0..count {
        let peer = Endpoint::builder(format!("peer-{}-{number}", std::process::id()));
        let peer = peer.ping_interval(Duration::from_secs(1)).connect(url).start()?;
        let mut interests = Vec::new();
        for path in ["robot.state", "robot.fast"] {
            let late = late.clone();
            interests.push(peer.on_sample(path, InterestSettings::new(), move |sample: Sample<Bytes>| {
                let _ = late.send((path, now().saturating_sub(stamp(&sample))));
            })?);
        }
        // Only one that is by itself: what is sent there fills its link.
        let fill: Option<Interest<Bytes>> = (count == 1).then(|| peer.interest("robot.fill")).transpose()?;
        let slow: Interest<Bytes> = peer.interest_with("robot.slow", InterestSettings::new().lossless(64))?;
        let back: Option<Intent<Bytes>> = (number == 0).then(|| peer.intent("peer.trip")).transpose()?;
        if let Some(back) = back {
            let echo = move |sample: Sample<Bytes>| drop(back.try_send(Bytes::clone(&sample)));
            interests.push(peer.on_sample("robot.trip", InterestSettings::new(), echo)?);
        }
        if number % 50 == 49 {
            // No more at once than the other side takes.
            let deadline = Instant::now() + SOON;
            while peer.links()[0].round_trip.is_none() && Instant::now() < deadline {
                pause(Duration::from_millis(5));
            }
        }
        kept.push((peer, interests, fill, slow));
    }
    println!("started");
    let mut asleep = false;
    let (lines, line) = channel();
    thread::spawn(move || {
        io::stdin().lines().map_while(io::Result::ok).try_for_each(|line| lines.send(line))
    });
    loop {
        match line.recv_timeout(Duration::from_millis(2)) {
            Ok(words) if words == "sleep" || words == "wake" => {
                asleep = words == "sleep";
                println!("{words}");
            }
            Ok(words) => println!("{}", worst(&lateness, words.trim_start_matches("p99 ")).as_nanos()),
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return Ok(()),
        }
        if !asleep {
            kept.iter().for_each(|(.., slow)| while slow.try_recv().is_ok() {});
        }
    }
}

fn worst(lateness: &Receiver<(&'static str, Duration)>, route: &str) -> Duration {
    let of_route = lateness.try_iter().filter(|(path, _)| *path == route);
    quantile(&mut of_route.map(|(_, late)| late).collect::<Vec<_>>(), 0.99)
}

// ---- what all need ------------------------------------------------------------------------------

fn robot(ping: Duration) -> Result<Endpoint> {
    let robot: EndpointBuilder = Endpoint::builder("robot").ping_interval(ping).link_limit(2000);
    Ok(robot.listen("tcp://127.0.0.1:0").start()?)
}

fn url(robot: &Endpoint) -> String {
    format!("{}/robot", robot.listening()[0])
}

/// Both processes have one clock.
fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

fn stamped(size: usize) -> Bytes {
    let mut bytes = vec![7; size.max(16)];
    bytes[..16].copy_from_slice(&now().as_nanos().to_le_bytes());
    Bytes::from(bytes)
}

fn stamp(bytes: &[u8]) -> Duration {
    let nanos = bytes.first_chunk().map_or(0, |nanos| u128::from_le_bytes(*nanos));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

fn pause(span: Duration) {
    let end = Instant::now() + span;
    while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        thread::park_timeout(left);
    }
}

fn quantile(times: &mut [Duration], part: f64) -> Duration {
    times.sort();
    let place = (times.len() as f64 * part) as usize;
    times.get(place.min(times.len().saturating_sub(1))).copied().unwrap_or_default()
}

fn micros(span: Duration) -> f64 {
    span.as_nanos() as f64 / 1e3
}
