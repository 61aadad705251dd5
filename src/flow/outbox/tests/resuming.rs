//! A session goes from link to link: nothing is lost that need not be, nothing comes twice.

use super::*;
use crate::flow::outbox::kept::MARK_EVERY;
use crate::links::Links;
use crate::wire::control::{Entry, Notify};
use proptest::prelude::*;
use there::{Answer, There};

mod there;

/// Both ends of a session.
struct World {
    outbox: Outbox,
    now: Timestamp,
    there: There,
    /// What the writer has, and how much of what is urgent in it is written.
    load: Option<(Vec<u8>, Batch, usize)>,
    /// What a sender writes inline.
    inline: Option<Batch>,
    /// On its way.
    wire: Vec<u8>,
    up: bool,
    pairs: Vec<Pair>,
    urgent: u32,
    in_line: u32,
    /// PINGs behind ENDs, and the aliases they free.
    pings: BTreeMap<u64, Vec<u32>>,
    ended: Vec<u32>,
    stamp: u64,
    slow: Option<u64>,
    largest: usize,
    /// Every other pair goes by `tcp` alone.
    choosy: bool,
    way: &'static str,
}

/// What was sent by one pair.
struct Pair {
    lane: LaneId,
    delivery: Delivery,
    /// When each was sent, also as the outbox read the clock last; and its size.
    sent: Vec<([u64; 2], usize)>,
    dropped: u64,
    ended: bool,
    taken: u64,
    /// It ended while it was barred, or may have.
    given_up: bool,
}

const KINDS: [(Delivery, Priority); 6] = [
    (Delivery::Lossless(1000), Priority::Normal),
    (Delivery::Queue(5), Priority::Normal),
    (Delivery::Latest, Priority::Urgent),
    (Delivery::Lossless(30), Priority::Bulk),
    (Delivery::Queue(100), Priority::Bulk),
    (Delivery::Lossless(1000), Priority::Urgent),
];

impl World {
    fn new(capacity: usize, limit: Option<usize>, slow: Option<u64>) -> Self {
        let mut outbox = Outbox::new(capacity);
        outbox.set_peer(1 << 20, true);
        outbox.set_stride(Some(500));
        outbox.set_resumes(true);
        if let (Some(limit), Some(kept)) = (limit, &mut outbox.kept) {
            kept.set_limit(limit);
        }
        Self {
            outbox,
            now: Timestamp::from_micros(1_000_000_000),
            there: There::default(),
            load: None,
            inline: None,
            wire: Vec::new(),
            up: true,
            pairs: Vec::new(),
            urgent: 0,
            in_line: 0,
            pings: BTreeMap::new(),
            ended: Vec::new(),
            stamp: 0,
            slow,
            largest: 0,
            choosy: false,
            way: "tcp://here",
        }
    }

    /// Opens an alias that is free.
    fn open(&mut self, alias: u32) {
        let busy = self.pairs.iter().any(|pair| pair.lane.alias == alias && !pair.ended);
        let freed = self.ended.iter().chain(self.pings.values().flatten()).all(|ended| *ended != alias);
        if busy || !freed {
            return;
        }
        let (delivery, priority) = KINDS[alias as usize % KINDS.len()];
        let lane = self.outbox.open_ranked(alias, delivery, priority, Bounds::default());
        let pair = self.pairs.len() as u32;
        if self.choosy && pair % 2 == 1 {
            self.outbox.set_links(alias, Links::only("tcp"));
        }
        let new =
            Pair { lane, delivery, sent: Vec::new(), dropped: 0, ended: false, taken: 0, given_up: false };
        self.pairs.push(new);
        let linked = Control::Notify(Notify::Linked { mine: pair, yours: 0, alias });
        if pair % 2 == 0 {
            assert!(self.outbox.urgent(&linked));
        } else {
            self.outbox.in_line(&linked);
        }
    }

    fn pair(&mut self, alias: u32) -> Option<(u32, &mut Pair)> {
        (0..).zip(&mut self.pairs).find(|(_, pair)| pair.lane.alias == alias && !pair.ended)
    }

    fn put(&mut self, alias: u32, size: usize, inline: Option<usize>) -> Option<Put> {
        let now = self.now;
        let (place, pair) = self.pair(alias)?;
        let (lane, number) = (pair.lane, pair.sent.len());
        let bytes = payload(place, number as u64, size);
        let put = self.outbox.put(lane, Outgoing { payload: &bytes, shared: None }, false, || now);
        self.largest = self.largest.max(bytes.len());
        match put {
            Put::Queued | Put::Inline | Put::Held => {}
            Put::Parked(dropped) => self.pair(alias)?.1.dropped += dropped,
            Put::NoRoom | Put::NoCredit(_) | Put::NotOpen | Put::TooManyBytes(_) => return Some(put),
            other => panic!("{other:?}"),
        }
        let times = [now.micros(), self.outbox.now().micros()];
        self.pair(alias)?.1.sent.push((times, bytes.len()));
        if put == Put::Inline && inline.is_some() {
            let mut batch = Batch::default();
            self.outbox.take_inline(&mut batch);
            self.write_inline(batch, inline.unwrap_or(0));
        }
        Some(put)
    }

    fn write_inline(&mut self, mut batch: Batch, most: usize) {
        assert!(self.inline.is_none() && self.load.is_none(), "two write at once");
        let bytes = batch.rest();
        let count = bytes.len().min(most);
        self.wire.extend_from_slice(&bytes[..count]);
        batch.wrote(count);
        self.inline = Some(batch);
    }

    fn end_inline(&mut self) {
        if let Some(mut batch) = self.inline.take() {
            self.outbox.end_inline(&mut batch, self.now);
            assert_eq!(batch.size(), 0);
        }
    }

    /// A sender writes what it filled, if it may.
    fn write_due(&mut self, most: usize) {
        if self.outbox.is_due() {
            let mut batch = Batch::default();
            self.outbox.take_due(&mut batch);
            self.write_inline(batch, most);
        }
    }

    fn end(&mut self, alias: u32) {
        let barred = self.up && self.outbox.lane(alias).is_some_and(|lane| lane.barred);
        if let Some((_, pair)) = self.pair(alias) {
            (pair.ended, pair.given_up) = (true, barred);
            self.outbox.end(alias);
            self.ended.push(alias);
        }
    }

    /// Asks whether what ended may be used again.
    fn ping_in_line(&mut self) {
        if self.up && !self.ended.is_empty() {
            self.stamp += 1;
            self.outbox.in_line(&ping(self.stamp));
            self.pings.insert(self.stamp, std::mem::take(&mut self.ended));
        }
    }

    /// The writer takes something, if it has nothing.
    fn take(&mut self) -> bool {
        if self.load.is_none() && self.up {
            let (mut urgent, mut batch) = (Vec::new(), Batch::default());
            let now = self.now;
            if self.outbox.take(&mut urgent, &mut batch, || now, false) {
                assert!(urgent.len() + batch.len() > 0);
                self.load = Some((urgent, batch, 0));
            }
        }
        self.load.is_some()
    }

    /// It writes some bytes of that.
    fn write(&mut self, most: usize) {
        let Some((mut urgent, mut batch, ahead)) = self.load.take() else { return };
        let mut bytes = urgent[ahead..].to_vec();
        bytes.extend_from_slice(&batch.rest());
        let count = bytes.len().min(most);
        self.wire.extend_from_slice(&bytes[..count]);
        let of_urgent = count.min(urgent.len() - ahead);
        batch.wrote(count - of_urgent);
        let now = self.now;
        if count < bytes.len() {
            self.load = Some((urgent, batch, ahead + of_urgent));
        } else if self.outbox.take(&mut urgent, &mut batch, || now, true) {
            // It came back for more at once.
            self.load = Some((urgent, batch, 0));
        } else {
            assert!(urgent.is_empty() && batch.size() == 0);
        }
    }

    fn read(&mut self, most: usize) {
        let bytes: Vec<u8> = self.wire.drain(..most.min(self.wire.len())).collect();
        self.there.receive(&bytes);
    }

    /// What the other end said comes here.
    fn answer(&mut self) {
        if !self.up {
            return;
        }
        for answer in std::mem::take(&mut self.there.answers) {
            match answer {
                Answer::Marked(number) => {
                    self.outbox.marked(number).expect("it was sent");
                }
                Answer::Pong(stamp) => drop(self.pings.remove(&stamp)),
                Answer::Opened(alias) => self.credit(alias),
            }
        }
    }

    /// All that came was taken there.
    fn credit(&mut self, alias: u32) {
        let Some(taken) = self.there.aliases.get(&alias).map(|came| came.sequence) else { return };
        if !self.up {
            return;
        }
        let Some((_, pair)) = self.pair(alias) else { return };
        let (lossless, depth) = (pair.delivery.is_lossless(), u64::from(pair.delivery.depth()));
        let limit = if lossless { taken + depth } else { u64::MAX };
        pair.taken = taken;
        let _ = self.outbox.credit(Credit { alias, limit, taken, lost: 0 }).expect("an honest credit");
    }

    /// The link ends after some more bytes; what the other side said may be lost too.
    fn cut(&mut self, read: usize) {
        if !self.up {
            return;
        }
        self.read(read);
        self.wire.clear();
        self.up = false;
        let (urgent, batch, _) = self.load.take().unwrap_or_default();
        self.outbox.suspend(urgent, batch);
        self.there.turn();
        assert!(!self.outbox.wake());
        for aliases in std::mem::take(&mut self.pings).into_values() {
            self.ended.extend(aliases);
        }
    }

    fn resume(&mut self) {
        if self.up {
            return;
        }
        for wrong in [0, self.there.received + 1000] {
            if wrong != self.there.received && wrong < self.outbox.kept.as_ref().map_or(0, |kept| kept.first)
            {
                assert!(self.outbox.resume(wrong, None).is_err());
            }
        }
        assert!(self.outbox.resume(u64::MAX, None).is_err());
        self.outbox.set_way(self.way);
        self.there.barred = self.choosy && self.way != "tcp://here";
        let over: Vec<_> = self.there.ended.keys().copied().collect();
        for (place, pair) in (0..).zip(&mut self.pairs) {
            let choosy = self.there.barred && place % 2 == 1;
            pair.given_up |= choosy && pair.ended && !over.contains(&place);
        }
        assert_eq!(self.outbox.resume(self.there.received, self.slow), Ok(()));
        self.up = true;
    }

    fn check_bounds(&self) {
        let Some(kept) = &self.outbox.kept else { return };
        let held = kept.held();
        assert!(held < (1 << 20) * 2 + 8 * self.largest + 300_000, "{held}");
    }

    /// All that can come comes, and is what it should be.
    fn finish(mut self) {
        self.end_inline();
        if self.choosy {
            // All goes on, and none of it is missing.
            self.cut(usize::MAX);
            self.way = "tcp://here";
        }
        self.resume();
        for alias in 0..KINDS.len() as u32 {
            self.end(alias);
        }
        for round in 0..10_000 {
            self.answer();
            if round % 10 == 9 {
                // As links do once a second: so a mark comes where too few bytes go for one.
                self.outbox.urgent(&ping(0));
            }
            self.take();
            self.write(usize::MAX);
            self.read(usize::MAX);
            let aliases: Vec<u32> = self.there.aliases.keys().copied().collect();
            aliases.into_iter().for_each(|alias| self.credit(alias));
            let is_over = self.there.aliases.is_empty() && self.there.answers.is_empty();
            if is_over && self.load.is_none() && !self.take() {
                break;
            }
        }
        assert!(!self.outbox.has_work() && self.there.aliases.is_empty());
        assert_eq!(self.there.urgent, (0..self.urgent).collect::<Vec<_>>());
        assert_eq!(self.there.in_line, (0..self.in_line).collect::<Vec<_>>());
        assert_eq!(self.there.ended.len(), self.pairs.len());
        for (place, pair) in (0..).zip(&self.pairs) {
            let came = &self.there.ended[&place];
            let count = came.samples.len() as u64;
            assert_eq!(count + came.gaps + came.lost, pair.sent.len() as u64, "pair {place}");
            assert_eq!(came.sequence, pair.sent.len() as u64);
            assert!(came.gaps == pair.dropped || pair.given_up, "{} and {}", came.gaps, pair.dropped);
            assert!(came.samples.windows(2).all(|pair| pair[0].0 < pair[1].0));
            if (self.slow.is_none() || pair.delivery.is_lossless()) && !pair.given_up {
                assert_eq!(came.lost, 0, "pair {place}");
            }
            for (number, sent, bytes) in &came.samples {
                let (times, size) = pair.sent[*number as usize];
                assert_eq!(*bytes, payload(place, *number, size));
                let right = times.iter().any(|at| sent.abs_diff(*at) <= 1050);
                assert!(right, "{number} of pair {place}: {sent} is none of {times:?}");
            }
            if !pair.sent.is_empty() && !pair.given_up {
                assert_eq!(came.samples.last().map(|last| last.0 + 1), Some(pair.sent.len() as u64));
            }
        }
    }
}

/// The sample of a pair with this number: its payload says which it is.
fn payload(pair: u32, number: u64, size: usize) -> Vec<u8> {
    let mut payload = vec![pair as u8; size.max(12)];
    payload[..4].copy_from_slice(&pair.to_le_bytes());
    payload[4..12].copy_from_slice(&number.to_le_bytes());
    payload
}

#[derive(Clone, Debug)]
enum Step {
    Open(u32),
    Put(u32, usize, Option<usize>),
    Many(u32, usize),
    Due(usize),
    EndInline,
    End(u32),
    Urgent,
    InLine,
    Ping,
    Take,
    Write(usize),
    Read(usize),
    Answer,
    Credit(u32),
    Wait(u64),
    Cut(usize),
    Resume,
    Way(bool),
    Flow,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let alias = 0..KINDS.len() as u32;
    let size = prop_oneof![6 => 12..60_usize, 2 => 60..600_usize, 1 => 600..6000_usize];
    let bytes = || prop_oneof![3 => 0..30_usize, 3 => 30..3000_usize, 2 => Just(usize::MAX)];
    let step = prop_oneof![
        3 => alias.clone().prop_map(Step::Open),
        12 => (alias.clone(), size, prop::option::of(bytes())).prop_map(|(a, s, i)| Step::Put(a, s, i)),
        2 => (alias.clone(), 1..60_usize).prop_map(|(alias, count)| Step::Many(alias, count)),
        2 => bytes().prop_map(Step::Due),
        2 => Just(Step::EndInline),
        1 => alias.clone().prop_map(Step::End),
        2 => Just(Step::Urgent),
        2 => Just(Step::InLine),
        2 => Just(Step::Ping),
        4 => Just(Step::Take),
        6 => bytes().prop_map(Step::Write),
        6 => bytes().prop_map(Step::Read),
        4 => Just(Step::Answer),
        3 => alias.prop_map(Step::Credit),
        3 => (0..40_000_u64).prop_map(Step::Wait),
        2 => bytes().prop_map(Step::Cut),
        3 => Just(Step::Resume),
        2 => any::<bool>().prop_map(Step::Way),
        4 => Just(Step::Flow),
    ];
    proptest::collection::vec(step, 1..300)
}

fn run(steps: Vec<Step>, capacity: usize, limit: Option<usize>, slow: Option<u64>) {
    run_in(World::new(capacity, limit, slow), steps);
}

fn run_in(mut world: World, steps: Vec<Step>) {
    (0..KINDS.len() as u32).for_each(|alias| world.open(alias));
    for step in steps {
        world.step(step);
        world.check_bounds();
    }
    world.finish();
}

impl World {
    fn step(&mut self, step: Step) {
        match step {
            Step::Open(alias) => self.open(alias),
            Step::Put(alias, size, inline) => {
                self.put(alias, size, inline);
            }
            Step::Many(alias, count) => {
                (0..count).for_each(|_| {
                    self.put(alias, 20, None);
                });
            }
            Step::Due(most) => self.write_due(most),
            Step::EndInline => self.end_inline(),
            Step::End(alias) => self.end(alias),
            Step::Urgent => {
                let id = self.urgent;
                self.urgent += 1;
                assert!(self.outbox.urgent(&Control::Interests(vec![Entry::Remove { id }])));
                let mut batch = Batch::default();
                if id % 2 == 0 && self.outbox.take_urgent_inline(&mut batch) {
                    self.write_inline(batch, 100);
                }
            }
            Step::InLine => {
                let id = self.in_line;
                self.in_line += 1;
                self.outbox.in_line(&Control::Intents(vec![Entry::Remove { id }]));
            }
            Step::Ping => {
                self.ping_in_line();
                assert!(self.outbox.urgent(&ping(0)));
            }
            Step::Take => {
                self.take();
            }
            Step::Write(most) => self.write(most),
            Step::Read(most) => self.read(most),
            Step::Answer => self.answer(),
            Step::Credit(alias) => self.credit(alias),
            Step::Wait(micros) => self.now = self.now + Duration::from_micros(micros),
            Step::Cut(read) => self.cut(read),
            Step::Resume => self.resume(),
            Step::Way(fits) => self.way = if fits { "tcp://here" } else { "udp://here" },
            Step::Flow => {
                self.resume();
                self.end_inline();
                for _ in 0..3 {
                    self.take();
                    self.write(usize::MAX);
                    self.read(usize::MAX);
                    self.answer();
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_links_end_samples_come_once_in_order_and_control_frames_exactly_once(
        steps in steps(),
        capacity in prop_oneof![Just(4096_usize), Just(20_000)],
        limit in prop::option::of(2000..20_000_usize),
    ) {
        run(steps, capacity, limit, None);
    }

    #[test]
    fn on_a_slow_line_only_the_newest_samples_come_again_and_the_rest_is_counted(
        steps in steps(),
        rate in 1_000..200_000_u64,
    ) {
        run(steps, 4096, None, Some(rate));
    }

    #[test]
    fn lanes_that_not_every_link_fits_wait_for_one_that_does_and_nothing_is_lost_or_doubled(
        steps in steps(),
        capacity in prop_oneof![Just(4096_usize), Just(20_000)],
        limit in prop::option::of(2000..20_000_usize),
        slow in prop::option::weighted(0.2, 1_000..200_000_u64),
    ) {
        run_in(World { choosy: true, ..World::new(capacity, limit, slow) }, steps);
    }
}

#[test]
fn a_peer_that_answers_no_mark_costs_no_more_than_the_bound() {
    let mut world = World::new(64 * 1024, None, None);
    world.open(0);
    world.open(1);
    world.step(Step::Flow);
    let mut sent = 0;
    for round in 0..200_000_u64 {
        sent += usize::from(matches!(world.put(0, 64, None), Some(Put::Queued | Put::Inline)));
        world.put(1, 64, None);
        world.credit(0);
        if round % 100 == 0 {
            world.take();
            world.write(usize::MAX);
            world.read(usize::MAX);
        }
    }
    let kept = world.outbox.kept.as_ref().expect("it keeps");
    assert!(kept.is_full() && kept.held() < (2 << 20) + (1 << 19), "{}", kept.held());
    assert!(!world.outbox.is_due() && !world.outbox.wake(), "nothing is taken");
    assert!(sent > 10_000 && world.outbox.batch.len() > 60_000);
    // Control frames still pass, and are bounded too.
    assert!(world.outbox.urgent(&ping(1)) && world.outbox.wake());
    assert!(world.take());
    world.write(usize::MAX);
    let credit = |n| Control::Credit(Credit { alias: 9, limit: n, taken: n, lost: 0 });
    let mut count = 0;
    while world.outbox.urgent(&credit(count)) && count < 1_000_000 {
        count += 1;
        if world.take() {
            world.write(usize::MAX);
        }
    }
    assert!(count < 1_000_000, "it is noticed that the peer reads no answers");
    assert!(world.outbox.urgent(&Control::Marked { number: 5 }) && world.take(), "or both would wait");
    let (urgent, ..) = world.load.as_ref().expect("taken");
    assert_eq!(urgent.len(), 3, "this alone");
}

#[test]
fn marks_that_were_never_sent_or_passed_are_no_answers() {
    let mut world = World::new(4096, None, None);
    world.open(0);
    assert!(world.outbox.marked(0).is_err() && world.outbox.marked(1).is_err());
    world.step(Step::Flow);
    world.put(0, 20, None);
    world.outbox.urgent(&ping(1));
    world.take();
    world.write(usize::MAX);
    world.put(0, 20, None);
    world.outbox.urgent(&ping(1));
    world.take();
    world.write(usize::MAX);
    world.read(usize::MAX);
    let marks: Vec<u64> = (world.there.answers.iter())
        .filter_map(|answer| match answer {
            Answer::Marked(number) => Some(*number),
            _ => None,
        })
        .collect();
    let [first, second] = marks[..] else { panic!("{marks:?}") };
    assert!(world.outbox.marked(second + 1).is_err());
    assert_eq!(world.outbox.marked(second), Ok(false));
    assert!(world.outbox.marked(first).is_err());
    assert_eq!(world.outbox.marked(second), Ok(false), "again");
}

#[test]
fn memory_goes_round_and_does_not_grow() {
    let mut world = World::new(64 * 1024, None, None);
    world.open(0);
    world.step(Step::Flow);
    let mut held = Vec::new();
    for _ in 0..60 {
        for _ in 0..3 * MARK_EVERY / 68 {
            if !matches!(world.put(0, 64, Some(usize::MAX)), Some(Put::Queued | Put::Inline)) {
                world.step(Step::Flow);
                world.credit(0);
            }
            world.end_inline();
        }
        world.step(Step::Flow);
        held.push(world.outbox.kept.as_ref().map_or(0, |kept| kept.held()));
    }
    let (early, late) = (held[..30].iter().max(), held[30..].iter().max());
    assert!(early >= late, "{held:?}");
}

#[test]
fn without_the_capability_nothing_is_kept_and_no_mark_is_sent() {
    let mut bench = Bench::new(CAPACITY);
    bench.open(0, Delivery::Lossless(1 << 20));
    for _ in 0..4 * MARK_EVERY / CAPACITY {
        assert_ne!(bench.put(0, &[0; CAPACITY - 8]), Put::NoRoom);
        bench.outbox.urgent(&ping(1));
        bench.write_all();
    }
    assert!(!bench.got.iter().any(|got| matches!(got, Got::Control(Control::Mark { .. }))));
    assert_eq!(bench.outbox.marked(3), Ok(false));
}

mod given_up {
    use super::*;

    fn left(world: &mut World) -> Vec<(u32, u64, u64)> {
        world.outbox.close(None, true);
        let left = world.outbox.settle();
        left.map(|(alias, Left { unsent, unconfirmed })| (alias, unsent, unconfirmed)).collect()
    }

    #[test]
    fn samples_that_never_left_are_told_from_those_that_may_have_come() {
        for links in 0..3 {
            let mut world = World::new(4096, None, None);
            world.open(0);
            world.open(1);
            world.step(Step::Flow);
            world.step(Step::Flow);
            for _ in 0..3 {
                world.put(0, 100, None);
                world.put(1, 100, None);
            }
            world.take();
            // A TIME at most, and a sample of each are out.
            world.write(10 + 2 * 104);
            world.cut(0);
            for _ in 0..links {
                world.resume();
                world.take();
                world.write(20);
                world.cut(usize::MAX);
            }
            world.put(0, 100, None);
            world.put(1, 100, None);
            // Of alias 0 all that was written is unconfirmed.
            assert_eq!(left(&mut world), [(0, 3, 1), (1, 3, 0)], "after {links} more links");
        }
    }
}

#[test]
fn numbers_that_were_left_out_before_are_told_again() {
    let steps = vec![
        Step::Flow,
        Step::Put(1, 1565, None),
        Step::Many(1, 26),
        Step::Open(0),
        Step::Urgent,
        Step::Flow,
        Step::Flow,
        Step::Put(1, 12, None),
        Step::Take,
        Step::Cut(0),
        Step::Resume,
        Step::Cut(0),
    ];
    run(steps, 4096, None, Some(1000));
}

#[test]
fn what_went_in_part_over_a_link_that_fits_goes_on_over_the_next_of_those() {
    let steps = vec![
        Step::Resume,
        Step::Flow,
        Step::Put(1, 3884, None),
        Step::Urgent,
        Step::Put(1, 21, None),
        Step::Cut(0),
        Step::Flow,
        Step::Credit(1),
        Step::Cut(0),
        Step::Way(false),
        Step::Flow,
    ];
    run_in(World { choosy: true, ..World::new(4096, None, None) }, steps);
}
