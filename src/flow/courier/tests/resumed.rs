//! A session goes on over this line: numbers are told, and nothing overtakes them.

use super::*;
use crate::wire::control::Ping;

/// One alias, as its sender and as its reader count.
#[derive(Default)]
struct Lane {
    next: u64,
    /// How often its number was told, by the sender and to the reader.
    told: u64,
    heard: u64,
    /// Counted by the reader. Where samples are lost that tell of others that were dropped, it is told of those later.
    sequence: Option<u64>,
    /// The number of the last sample.
    last: Option<u64>,
    delivered: u64,
    missing: u64,
}

struct Play {
    random: fastrand::Rng,
    bench: Bench,
    lanes: Vec<Lane>,
    /// Frames of the stream, and how many of them came.
    marks: u64,
    marked: u64,
    /// There are copies of the samples: their numbers are right at any time.
    copied: bool,
}

const LOOSE: [u32; 3] = [0, 1, 200];

impl Play {
    fn new(seed: u64, heavy: bool) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let settings = if random.u8(0..4) == 0 { serial(50_000) } else { udp() };
        let weather = Weather {
            loss: if heavy { random.u64(0..300) } else { 0 },
            doubled: if settings.fifo { 0 } else { random.u64(0..200) },
            delay: random.u64(0..10_000),
            jitter: random.u64(0..5_000),
            fifo: settings.fifo,
        };
        let mut bench = Bench::new(settings, weather, seed);
        bench.greet();
        bench.sides[0].control(&Control::Resume { received: 7, turn: 1 });
        let mut play = Self { random, bench, lanes: Vec::new(), marks: 0, marked: 0, copied: false };
        for (lane, alias) in LOOSE.into_iter().enumerate() {
            play.bench.sides[0].courier.lane(alias, false);
            play.lanes.push(Lane { next: 100, ..Lane::default() });
            play.tell(lane);
        }
        play
    }

    fn copied(seed: u64) -> Self {
        let mut play = Self::new(seed, true);
        LOOSE.into_iter().for_each(|alias| play.bench.sides[0].courier.copied(alias));
        play.copied = true;
        play
    }

    fn tell(&mut self, lane: usize) {
        let number = self.lanes[lane].next;
        self.lanes[lane].told += 1;
        self.bench.sides[0].control(&Control::At { alias: LOOSE[lane], number });
    }

    /// The next sample says its number, and how often a number was told before.
    fn payload(&mut self, lane: usize) -> Vec<u8> {
        let lane = &mut self.lanes[lane];
        lane.next += 1;
        [(lane.next - 1).to_le_bytes(), lane.told.to_le_bytes()].concat()
    }

    fn act(&mut self) {
        let now = self.bench.now;
        if self.bench.sides[0].outbox.len() > 20_000 {
            return;
        }
        let lane = self.random.usize(0..LOOSE.len());
        let alias = LOOSE[lane];
        match self.random.u8(0..20) {
            0 => {
                self.lanes[lane].next += self.random.u64(0..5);
                self.tell(lane);
            }
            1 => {
                let count = self.random.u64(1..4);
                self.lanes[lane].next += count;
                self.bench.sides[0].control(&Control::Gap { alias, count });
            }
            2 => {
                self.marks += 1;
                self.bench.sides[0].control(&Control::Mark { number: self.marks });
            }
            3 => self.bench.sides[0].control(&Control::Ping(Ping { sent: now })),
            4 => {
                let mut payload = self.payload(lane);
                payload.resize(self.random.usize(100..600), 7);
                self.bench.sides[0].pieces(now, alias, &payload, 90);
            }
            _ => {
                let payload = self.payload(lane);
                self.bench.sides[0].message(now, alias, &payload);
            }
        }
    }

    /// What came is looked at, in its order.
    fn look(&mut self) {
        for got in std::mem::take(&mut self.bench.sides[1].got) {
            let of = |alias: u32| LOOSE.iter().position(|loose| *loose == alias).expect("one of these");
            match got {
                Got::Message { alias, payload, .. } => {
                    let lane = &mut self.lanes[of(alias)];
                    let number = u64::from_le_bytes(payload[..8].try_into().unwrap());
                    let told = u64::from_le_bytes(payload[8..16].try_into().unwrap());
                    assert_eq!(told, lane.heard, "it overtook what told its number, or was overtaken");
                    assert!(lane.last < Some(number) && lane.sequence <= Some(number));
                    assert!(!self.copied || lane.sequence == Some(number), "{number}: {:?}", lane.sequence);
                    lane.last = Some(number);
                    lane.sequence = lane.sequence.map(|next| next + 1);
                    lane.delivered += 1;
                }
                Got::Control(Control::Gap { alias, count } | Control::Lost { alias, count }) => {
                    let lane = &mut self.lanes[of(alias)];
                    lane.sequence = lane.sequence.map(|next| next + count);
                    lane.missing += count;
                }
                Got::Control(Control::At { alias, number }) => {
                    let lane = &mut self.lanes[of(alias)];
                    let before = lane.sequence.unwrap_or(100);
                    assert!(number >= before, "{number} after {before}");
                    lane.missing += number - before;
                    lane.sequence = Some(number);
                    lane.heard += 1;
                }
                Got::Control(Control::Mark { number }) => {
                    self.marked += 1;
                    assert_eq!(number, self.marked);
                }
                _ => {}
            }
        }
    }
}

#[test]
fn no_sample_overtakes_the_number_of_its_alias() {
    for seed in 0..120 {
        let mut play = if seed < 60 { Play::new(seed, true) } else { Play::copied(seed) };
        for _ in 0..300 {
            for _ in 0..play.random.u8(0..8) {
                play.act();
            }
            let until = play.bench.now + Duration::from_micros(play.random.u64(0..20_000));
            play.bench.run(until, play.random.usize(1..3000));
            play.look();
        }
        play.bench.lines.iter_mut().for_each(Line::heal);
        for lane in 0..LOOSE.len() {
            play.tell(lane);
        }
        let until = play.bench.now + Duration::from_secs(60);
        play.bench.run(until, 1000);
        play.look();
        for lane in &play.lanes {
            assert_eq!(lane.sequence, Some(lane.next), "seed {seed}");
            assert_eq!(
                lane.delivered + lane.missing,
                lane.next - 100,
                "seed {seed}: each came or was counted"
            );
        }
        assert_eq!(play.marked, play.marks);
    }
}

#[test]
fn samples_are_loose_again_once_the_number_came() {
    let mut play = Play::new(3, false);
    let until = play.bench.now + Duration::from_secs(1);
    play.bench.run(until, 1000);
    let now = play.bench.now;
    for (lane, alias) in LOOSE.into_iter().enumerate() {
        let payload = play.payload(lane);
        play.bench.sides[0].message(now, alias, &payload);
    }
    let stream = play.bench.sides[0].courier.stream_out.end();
    play.bench.run(now + Duration::from_millis(5), 1000);
    assert_eq!(play.bench.sides[0].courier.stream_out.end(), stream, "none of them is in the stream");
    play.bench.run(now + Duration::from_secs(1), 1000);
    play.look();
    assert!(play.lanes.iter().all(|lane| lane.delivered == 1));
}

#[test]
fn the_rest_of_a_sample_that_began_on_another_line_goes_in_the_stream() {
    let mut play = Play::new(4, false);
    let now = play.bench.now;
    play.bench.run(now + Duration::from_secs(1), 1000);
    let mut bytes = Vec::new();
    put_fragment_head(&mut bytes, LOOSE[0], None, 3, 5);
    bytes.extend_from_slice(&[1; 5]);
    put_fragment_head(&mut bytes, LOOSE[0], None, 0, 3);
    bytes.extend_from_slice(&[2; 3]);
    let before = play.bench.sides[0].courier.stream_out.end();
    play.bench.sides[0].outbox.extend(bytes.iter());
    play.bench.sides[0].message(play.bench.now, LOOSE[0], &101_u64.to_le_bytes());
    let now = play.bench.now;
    play.bench.sides[0].push(now, 1000);
    assert_eq!(play.bench.sides[0].courier.stream_out.end(), before + bytes.len() as u64);
    // What follows waits for it.
    assert!(!play.bench.sides[0].outbox.is_empty());
}

#[test]
fn it_says_of_which_aliases_too_few_may_be_counted() {
    let mut play = Play::new(3, false);
    let span = Duration::from_secs(1);
    let flow = |play: &mut Play| play.bench.run(play.bench.now + span, 1000);
    let unsure = |play: &Play| play.bench.sides[0].courier.unsure();
    flow(&mut play);
    let alias = LOOSE[1];
    let gap = Control::Gap { alias, count: 2 };
    // A sample tells of those before it that were dropped, and may be lost.
    play.bench.sides[0].control(&gap);
    play.bench.sides[0].message(play.bench.now, alias, &[1]);
    flow(&mut play);
    assert_eq!(unsure(&play), [alias]);
    // So may what goes with the first PING; before the second it is told in the stream.
    for wanted in [&[alias][..], &[]] {
        let ping = Control::Ping(Ping { sent: play.bench.now });
        play.bench.sides[0].control(&ping);
        flow(&mut play);
        assert_eq!(unsure(&play), wanted);
    }
    // Not if the next sample may overtake it.
    play.bench.sides[0].control(&gap);
    play.bench.sides[0].message(play.bench.now, alias, &[2]);
    flow(&mut play);
    let ping = Control::Ping(Ping { sent: play.bench.now });
    play.bench.sides[0].control(&ping);
    flow(&mut play);
    let ping = Control::Ping(Ping { sent: play.bench.now });
    play.bench.sides[0].control(&ping);
    let now = play.bench.now;
    let before = play.bench.sides[0].courier.stream_out.end();
    play.bench.sides[0].push(now, 1000);
    let mut packet = Vec::new();
    assert!(play.bench.sides[0].courier.poll(now, &mut packet));
    assert!(play.bench.sides[0].courier.stream_out.end() > before, "a tally is in the stream");
    play.bench.sides[0].message(now, alias, &[3]);
    play.bench.sides[0].push(now, 1000);
    flow(&mut play);
    assert_eq!(unsure(&play), [alias]);
    for _ in 0..2 {
        let ping = Control::Ping(Ping { sent: play.bench.now });
        play.bench.sides[0].control(&ping);
        flow(&mut play);
    }
    assert!(unsure(&play).is_empty());
    // A busy alias is told of again and again.
    for count in 0..500_u64 {
        play.bench.sides[0].message(play.bench.now, alias, &count.to_le_bytes());
        wait(&mut play.bench, Duration::from_millis(2));
        assert!(unsure(&play).is_empty(), "after {count}");
    }
    // What was lost before is told in the stream, and overtaken until that came; so is a number.
    for frames in [&[Control::Lost { alias, count: 3 }][..], &[gap, Control::At { alias, number: 200 }]] {
        frames.iter().for_each(|frame| play.bench.sides[0].control(frame));
        let now = play.bench.now;
        play.bench.sides[0].push(now, 1000);
        assert_eq!(unsure(&play), [alias]);
        flow(&mut play);
        assert!(unsure(&play).is_empty());
    }
}

/// Runs for so long, whatever there is to do.
fn wait(bench: &mut Bench, span: Duration) {
    let until = bench.now + span;
    bench.run(until, 1000);
    bench.now = until;
}

#[test]
fn of_so_many_as_may_be_lost_uncounted_it_is_not_sure() {
    for settings in [serial(1_000_000), udp()] {
        // As many as the longer numbers tell apart.
        let most = 16_384;
        let weather = Weather { loss: 0, doubled: 0, delay: 100, jitter: 0, fifo: settings.fifo };
        let mut bench = Bench::new(settings, weather, 1);
        bench.greet();
        bench.link(0, 7, false);
        bench.run(START + Duration::from_secs(1), 3000);
        bench.lines[0].cut();
        for count in 1..=most + 100 {
            bench.sides[0].message(bench.now, 7, &[0; 8]);
            wait(&mut bench, Duration::from_millis(1));
            // Where the line may swap packets the others wait.
            let is_sure = count <= most || !settings.fifo;
            assert_eq!(bench.sides[0].courier.unsure().is_empty(), is_sure, "{count} of {most}");
        }
        bench.lines[0].heal();
        // What is told in the stream meanwhile comes; it is overtaken by fewer.
        wait(&mut bench, Duration::from_secs(5));
        for _ in 0..100 {
            bench.sides[0].message(bench.now, 7, &[0; 8]);
            wait(&mut bench, Duration::from_millis(10));
        }
        assert!(bench.sides[0].courier.unsure().is_empty());
    }
}
