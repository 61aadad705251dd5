//! A whole endpoint, engine and lines, and a peer that says frames in any order, in a simulated world.

use super::choices::Choices;
use crate::delivery::Delivery;
use crate::endpoint::Endpoint;
use crate::event::Event;
use crate::intent::Intent as Supplied;
use crate::interest::Interest as Wanted;
use crate::message::Message;
use crate::path::Path;
use crate::route::Route;
use crate::settings::InterestSettings;
use crate::testing::World;
use crate::transport::Connection;
use crate::wire::control::{
    Accept, Control, Credit, Declared, Entry, Hello, Intent, Interest, Notify, Ping, Pong,
};
use crate::wire::copied::{Copied, put_copied};
use crate::wire::fragment::put_fragment_head;
use crate::wire::message::put_message_head;
use crate::wire::{Frame, Limits, Split, Stamp, decode, encode, split};
use std::sync::Arc;
use std::time::Duration;

/// An endpoint with intents and interests, an honest peer on a lossless route, and a stranger whose frames are made of
/// the bytes: most of them of an established session, in any order. It comes again and again, goes on with sessions of its own
/// or not, and has several links at once. Whatever it says, the endpoint does not panic, says only frames that can be read,
/// and the honest peer gets every sample in order.
///
/// # Panics
/// Where one of these is not so.
pub fn session(input: &[u8]) {
    let mut choices = Choices::new(input);
    let world = World::new(choices.u64());
    let robot = Endpoint::builder("robot").listen("tcp://0.0.0.0:7400").listen("udp://0.0.0.0:7400");
    let robot = world.start(robot).expect("the robot starts");
    let desk = Endpoint::builder("desk").connect("tcp://robot:7400/robot");
    let desk = world.start(desk).expect("the desk starts");
    let count: Supplied<u32> = robot.intent("robot.count").expect("an intent");
    let lossless = InterestSettings::new().lossless(4);
    let counted: Wanted<u32> = desk.interest_with("robot.count", lossless).expect("an interest");
    let words: Supplied<String> = robot.intent("robot.words").expect("an intent");
    let kinds = [
        InterestSettings::new().latest(),
        InterestSettings::new().queue(3),
        InterestSettings::new().lossless(3),
    ];
    let heard = kinds.map(|kind| robot.interest_with::<String>("desk.words", kind).expect("an interest"));
    assert!(count.wait_interest(SOON), "the honest peer is not linked");

    let mut numbers = Vec::new();
    let mut strangers = vec![Stranger::new(&world, &mut numbers, &mut choices)];
    let mut number = 0;
    for _ in 0..STEPS {
        if choices.is_used_up() {
            break;
        }
        match choices.below(20) {
            0 | 7 => {
                // Some end without a word, the others stay.
                if strangers.len() == LINKS || choices.flag() {
                    let place = choices.below(strangers.len() as u64) as usize;
                    strangers.swap_remove(place).connection.close();
                }
                world.run_for(Duration::from_millis(choices.below(3)));
                strangers.push(Stranger::new(&world, &mut numbers, &mut choices));
            }
            1 => world.run_for(Duration::from_millis(choices.below(3000))),
            2 | 3 => {
                let _ = words.try_send(choices.text(40));
            }
            4 => heard.iter().for_each(|interest| while interest.try_recv().is_ok_and(|_| true) {}),
            5 => {
                let _ = heard[choices.below(3) as usize].latest();
            }
            6 => {
                count.send_timeout(number, SOON).expect("the honest peer has room");
                assert_eq!(*counted.recv_timeout(SOON).expect("it comes"), number);
                number += 1;
            }
            _ => {
                let place = choices.below(strangers.len() as u64) as usize;
                strangers[place].step(&mut choices);
            }
        }
        world.run_for(Duration::from_micros(choices.below(2000)));
        strangers.iter_mut().for_each(Stranger::listen);
    }
    for number in number..number + 6 {
        count.send_timeout(number, SOON).expect("the honest peer has room");
        assert_eq!(*counted.recv_timeout(SOON).expect("it comes"), number);
    }
    let events: Vec<_> = std::iter::from_fn(|| robot.events().try_recv()).collect();
    let lost = events.iter().find(|event| {
        matches!(event, Event::SamplesLost { route, .. } if route == count.route())
            || matches!(event, Event::LinkDown { peer, .. } if peer.path.as_ref().is_some_and(|path| path.as_str() == "desk"))
    });
    assert!(lost.is_none(), "the honest peer suffered: {lost:?}");
}

/// A peer that says anything.
struct Stranger {
    connection: Arc<dyn Connection>,
    bytes: Vec<u8>,
    /// The final that was offered.
    accept: Option<Accept>,
    pings: Vec<Ping>,
    /// What the endpoint linked: the aliases it supplies under.
    aliases: Vec<u32>,
    /// The last MARK that came.
    mark: u64,
    next_id: u32,
}

impl Stranger {
    /// Comes, and most often shakes hands: for a session of which it knows the number, or for any.
    fn new(world: &World, numbers: &mut Vec<u64>, choices: &mut Choices<'_>) -> Self {
        let connection = world.stranger("robot");
        let (accept, pings, aliases) = Default::default();
        let mut stranger =
            Self { connection, bytes: Vec::new(), accept, pings, aliases, mark: 0, next_id: 0 };
        world.run_for(Duration::from_millis(1));
        if choices.below(8) > 0 {
            let place = choices.below(numbers.len() as u64 + 1) as usize;
            let session = numbers.get(place).copied().unwrap_or_else(|| choices.below(3));
            // One that stands by for a session may send copies of its samples.
            let joins = session != 0 && choices.below(3) == 0;
            stranger.say(&Control::Hello(Hello { session, joins, ..hello(choices) }));
            world.run_for(Duration::from_millis(1));
            stranger.listen();
            let accept = stranger.accept.unwrap_or(Accept { version: 1, capabilities: 0, session: 1 });
            numbers.push(accept.session);
            stranger.say(&Control::Accept(accept));
            if session == accept.session && !joins && choices.below(4) > 0 {
                stranger.say(&Control::Resume { received: choices.below(12), turn: choices.below(12) });
            }
            world.run_for(Duration::from_millis(1));
            stranger.listen();
        }
        stranger
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        let control = match choices.below(24) {
            0 => return self.write(choices.raw(200)),
            1 => choices.control(),
            2 | 3 => Control::Intents(vec![self.entry(choices, |choices| Intent {
                declared: declared("desk.words", choices),
                exclusive: choices.below(8) == 0,
                retained: choices.flag(),
                priority: choices.priority(),
                relayed: None,
            })]),
            4 | 5 => Control::Interests(vec![self.entry(choices, |choices| Interest {
                unpacks: choices.flag(),
                declared: declared("robot.words", choices),
                delivery: match choices.below(3) {
                    0 => Delivery::Latest,
                    1 => Delivery::Queue(1 + choices.below(4) as u32),
                    _ => Delivery::Lossless(1 + choices.below(4) as u32),
                },
                only: None,
            })]),
            6 | 7 => {
                let (mine, yours) =
                    (choices.below(u64::from(self.next_id) + 2) as u32, choices.below(8) as u32);
                Control::Notify(Notify::Linked { mine, yours, alias: choices.below(5) as u32 })
            }
            8..=10 => {
                let mut frame = Vec::new();
                let payload = encoded(&choices.text(30));
                put_message_head(
                    &mut frame,
                    choices.below(5) as u32,
                    Stamp(choices.below(3000) as u16),
                    payload.len(),
                );
                frame.extend_from_slice(&payload);
                return self.write(&frame);
            }
            11 | 12 => {
                let alias = self.aliases.get(choices.below(self.aliases.len() as u64) as usize).copied();
                let taken = choices.below(12);
                Control::Credit(Credit {
                    alias: alias.unwrap_or(choices.below(4) as u32),
                    limit: taken + choices.below(6),
                    taken,
                    lost: choices.below(3),
                })
            }
            13 => match choices.below(3) {
                0 => Control::End { alias: choices.below(5) as u32 },
                1 => Control::Gap { alias: choices.below(5) as u32, count: choices.u64() },
                _ => Control::Lost { alias: choices.below(5) as u32, count: choices.u64() },
            },
            14 => Control::Time(choices.time()),
            16 => Control::Resume { received: choices.below(12), turn: choices.below(12) },
            17 => Control::At { alias: choices.below(5) as u32, number: choices.below(12) },
            18 => Control::Mark { number: choices.u64() },
            19 | 20 => {
                Control::Marked { number: if choices.below(8) > 0 { self.mark } else { choices.below(4) } }
            }
            21 => return self.write(&piece(choices)),
            22 | 23 => {
                let mut frame = Vec::new();
                put_copied(
                    &mut frame,
                    &Copied {
                        alias: choices.below(5) as u32,
                        ends: choices.below(3) as u32,
                        number: if choices.below(8) > 0 { choices.below(12) } else { choices.u64() },
                        sent: choices.time(),
                        payload: &encoded(&choices.text(30)),
                    },
                );
                return self.write(&frame);
            }
            _ => match self.pings.pop() {
                Some(ping) => Control::Pong(Pong { echo: ping.sent, received: ping.sent, sent: ping.sent }),
                None => Control::Ping(Ping { sent: choices.time() }),
            },
        };
        self.say(&control);
    }

    /// Numbers rise, most often.
    fn entry<T>(&mut self, choices: &mut Choices<'_>, item: fn(&mut Choices<'_>) -> T) -> Entry<T> {
        let id = choices.below(u64::from(self.next_id) + 1) as u32;
        match choices.below(6) {
            0 => Entry::Remove { id },
            1 => Entry::Update { id, item: item(choices) },
            _ => {
                self.next_id += 1;
                Entry::Add { id: self.next_id, item: item(choices) }
            }
        }
    }

    fn say(&mut self, control: &Control) {
        let mut frame = Vec::new();
        encode(&mut frame, control);
        self.write(&frame);
    }

    fn write(&mut self, bytes: &[u8]) {
        // A line that was hung up takes nothing.
        let _ = self.connection.try_write(bytes);
    }

    /// Reads what the endpoint says.
    fn listen(&mut self) {
        let mut chunk = [0; 4096];
        while let Ok(count @ 1..) = self.connection.read(&mut chunk) {
            self.bytes.extend_from_slice(&chunk[..count]);
        }
        let mut used = 0;
        while let Split::Frame { frame, consumed } =
            split(&self.bytes[used..], Limits::agreed(1 << 20)).expect("the endpoint says frames")
        {
            used += consumed;
            let Frame::Control { kind, body } = frame else { continue };
            match decode(kind, body).expect("the endpoint says what can be read") {
                Control::Accept(accept) => self.accept = Some(accept),
                Control::Ping(ping) => {
                    self.pings.push(ping);
                    self.pings.truncate(8);
                }
                Control::Notify(Notify::Linked { alias, .. }) => self.aliases.push(alias),
                Control::Mark { number } => self.mark = number,
                _ => {}
            }
        }
        self.bytes.drain(..used);
    }
}

fn hello(choices: &mut Choices<'_>) -> Hello {
    Hello {
        version_min: 1,
        version_max: 1,
        capabilities: if choices.below(4) > 0 { u32::MAX } else { choices.u32() },
        instance: [if choices.flag() { 5 } else { 5 + choices.below(4) as u8 }; 16],
        session: 0,
        scope_own: choices.below(8) == 0,
        joins: choices.flag(),
        max_frame: 1 << 20,
        ping_millis: 1000,
        clock: choices.time(),
        path: Path::parse("stranger").expect("it is valid"),
        expected: None,
    }
}

/// Most often as it is declared by the endpoint.
fn declared(path: &str, choices: &mut Choices<'_>) -> Declared {
    let schema = String::schema().expect("texts have a shape");
    let path = Path::parse(path).expect("it is valid");
    Declared {
        route: Route::new(schema.name(), &path).expect("it is valid"),
        fingerprint: schema.fingerprint() ^ u64::from(choices.below(8) == 0),
        codec: String::CODEC.to_owned(),
        lease_millis: choices.u32(),
    }
}

/// A piece of a sample: the first, one between, the last, or one of another.
fn piece(choices: &mut Choices<'_>) -> Vec<u8> {
    let bytes = encoded(&"ab".to_owned());
    let at = choices.below(bytes.len() as u64) as usize;
    let length = (1 + choices.below(3) as usize).min(bytes.len() - at);
    let first = (at == 0 || choices.below(8) == 0).then(|| Stamp(choices.below(3000) as u16));
    let left = (bytes.len() - at - length) as u32 + u32::from(choices.below(8) == 0);
    let mut frame = Vec::new();
    put_fragment_head(&mut frame, choices.below(5) as u32, first, left, length);
    frame.extend_from_slice(&bytes[at..at + length]);
    frame
}

/// A message as it is sent.
fn encoded(message: &String) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.encode(&mut bytes).expect("a text can be encoded");
    bytes
}

/// How many links the stranger has at most.
const LINKS: usize = 3;

/// How much is done with one input.
const STEPS: usize = 120;

/// Longer than anything honest takes.
const SOON: Duration = Duration::from_secs(10);
