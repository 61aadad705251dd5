//! The routes of the scene: who supplies, who reads, and how, all by chance.

use crate::checker::Checker;
use crate::programs::NAMES;
use crate::script::Chance;
use bowline::{Delivery, Links, Priority};

/// Two programs that have a session, and what is known of it.
#[derive(Clone, Debug)]
pub struct Pair {
    /// Who dials, and who listens.
    pub ends: [usize; 2],
    /// By which lines it is dialled, the more wanted first.
    pub schemes: &'static [&'static str],
    /// How often one could end: a program of the two did, or one of them had no link for its lease.
    pub causes: u32,
    /// How often each of the two heard that it ended.
    pub ended: [u32; 2],
    /// How often it went on over another link, as either heard.
    pub moves: u32,
}

impl Pair {
    pub fn names(&self) -> [&'static str; 2] {
        self.ends.map(|end| NAMES[end])
    }

    /// The one of two programs with each other.
    pub fn of(pairs: &mut [Self], one: usize, other: usize) -> Option<&mut Self> {
        pairs.iter_mut().find(|pair| pair.ends == [one, other] || pair.ends == [other, one])
    }
}

/// How a program does things, as set with its builder.
#[derive(Clone, Copy)]
pub struct Manner {
    pub fragment_bytes: Option<usize>,
    pub outbox_bytes: Option<usize>,
}

/// One route of the scene.
pub struct Plan {
    pub path: String,
    /// It is passed on by all, and by which way cannot be told.
    pub far: bool,
    pub suppliers: Vec<Supplier>,
    /// How many intents there were.
    pub lives: u32,
    pub readers: Vec<Reader>,
    /// Over which links of several.
    pub links: Links,
    pub priority: Priority,
    /// Bytes, of which many are sent at once.
    pub raw: bool,
    /// The last one is given to latecomers.
    pub retains: bool,
    #[cfg(feature = "lz4")]
    pub compression: bowline::Compression,
    /// So many are sent each so many turns, as far as there is room.
    pub every: u64,
    pub burst: u64,
    /// Its intents and its interests come and go.
    pub fickle: bool,
    pub load: usize,
}

/// A program that supplies a route.
pub struct Supplier {
    pub from: usize,
    /// Its present intent, counted since the first of the route.
    pub life: u32,
    /// So many samples had no room yet, and are sent as soon as they have.
    pub due: u64,
}

/// An interest in a route.
pub struct Reader {
    pub to: usize,
    pub delivery: Delivery,
    /// It is called for each sample.
    pub called: bool,
    /// It does not read for so many turns.
    pub asleep: u64,
    pub checker: Checker,
}

impl Plan {
    /// Whether what was given can be counted exactly: events tell of a peer, and not of which interest of several; and a
    /// retained sample is given more often than it is sent.
    pub fn is_counted(&self) -> bool {
        self.readers.len() == 1 && self.suppliers.len() == 1 && !self.retains && !self.fickle && !self.far
    }

    /// Where a program stands among those that supply it.
    pub fn supplier(&self, name: usize) -> Option<usize> {
        self.suppliers.iter().position(|supplier| supplier.from == name)
    }

    pub fn checkers(&mut self) -> impl Iterator<Item = &mut Checker> {
        self.readers.iter_mut().map(|reader| &mut reader.checker)
    }

    /// Its last sample is given to latecomers, or it has several ends: who begins, begins anywhere.
    fn may_come_late(&mut self) {
        let is_late = self.retains || self.readers.len() > 1 || self.suppliers.len() > 1;
        for reader in self.readers.iter_mut().filter(|_| is_late) {
            reader.checker.may_come_late(self.retains);
        }
    }

    fn goes_far(&mut self, number: usize) {
        self.far = true;
        self.path = format!("far.route{number}");
        for reader in &mut self.readers {
            reader.checker = Checker::new(self.path.clone(), reader.delivery);
        }
    }

    fn new(number: usize, [from, to]: [usize; 2], delivery: Delivery, every: u64, load: usize) -> Self {
        let path = format!("{}.route{number}", NAMES[from]);
        let reader = Reader::new(to, delivery, &path);
        Self {
            path,
            far: false,
            suppliers: vec![Supplier::new(from)],
            lives: 0,
            readers: vec![reader],
            links: Links::Best,
            priority: Priority::Normal,
            raw: false,
            retains: false,
            #[cfg(feature = "lz4")]
            compression: bowline::Compression::Off,
            every,
            burst: 1,
            fickle: false,
            load,
        }
    }
}

impl Supplier {
    fn new(from: usize) -> Self {
        Self { from, life: 0, due: 0 }
    }
}

impl Reader {
    pub fn new(to: usize, delivery: Delivery, path: &str) -> Self {
        let checker = Checker::new(path.to_owned(), delivery);
        Self { to, delivery, called: false, asleep: 0, checker }
    }
}

/// How the scene of a seed is.
pub struct Scenery {
    pub pairs: Vec<Pair>,
    pub manners: Vec<Manner>,
    pub plans: Vec<Plan>,
}

impl Scenery {
    /// Each kind of thing has numbers of its own, so that one more leaves the others as they are.
    pub fn new(seed: u64, rng: &mut Chance) -> Self {
        let mut plans: Vec<_> = (0..3 + rng.below(4)).map(|number| plan(number as usize, rng)).collect();
        let pairs = pairs(&mut Chance(seed ^ 0x0002_11E5));
        spread(&mut plans, &pairs, &mut Chance(seed ^ 0xFA2));
        multiply(&mut plans, &pairs, &mut Chance(seed ^ 0x3EAD));
        choose_links(&mut plans, &pairs, &mut Chance(seed ^ 0x11_4B5));
        load(&mut plans, &mut Chance(seed ^ 0x1A_26E5));
        roughen(&mut plans, &mut Chance(seed ^ 0x4A3));
        let mut fickle = Chance(seed ^ 0x000F_1C1E);
        if fickle.below(3) == 0 {
            plans.iter_mut().for_each(|plan| plan.fickle = fickle.below(2) == 0);
        }
        let mut rng = Chance(seed ^ 0x3A_2295);
        let manner = |_| Manner {
            fragment_bytes: [None, None, Some(300), Some(5_000), Some(100_000)][rng.below(5) as usize],
            outbox_bytes: [None, None, Some(1 << 10), Some(1 << 20)][rng.below(4) as usize],
        };
        let manners = (0..count(&pairs)).map(manner).collect();
        Self { pairs, manners, plans }
    }
}

/// Who dials whom: two the one in the middle, in every second world; or there are up to five, in a row or a ring.
fn pairs(rng: &mut Chance) -> Vec<Pair> {
    let more: &[[usize; 2]] = match rng.below(8) {
        0 => &[[2, 1]],
        1 => &[[3, 2]],
        2 => &[[3, 2], [3, 1]],
        3 => &[[3, 2], [3, 1], [4, 3]],
        _ => &[],
    };
    let all = [[1, 0], [2, 0]].iter().chain(more);
    let pair = |ends: &[usize; 2]| Pair {
        ends: *ends,
        schemes: LINES[rng.below(2) as usize],
        causes: 0,
        ended: [0; 2],
        moves: 0,
    };
    let mut pairs: Vec<_> = all.map(pair).collect();
    // One has both lines in every second world.
    if rng.below(2) == 0 {
        let pair = rng.below(pairs.len() as u64) as usize;
        let pair = &mut pairs[pair];
        pair.schemes = if pair.schemes == LINES[0] { &["tcp", "udp"] } else { &["udp", "tcp"] };
    }
    pairs
}

fn count(pairs: &[Pair]) -> u64 {
    pairs.iter().flat_map(|pair| pair.ends).max().map_or(0, |last| last as u64 + 1)
}

/// Of the one in the middle and another.
fn plan(number: usize, rng: &mut Chance) -> Plan {
    let other = 1 + rng.below(2) as usize;
    let ends = if rng.below(2) == 0 { [0, other] } else { [other, 0] };
    let delivery = delivery(rng);
    Plan::new(number, ends, delivery, 1 + rng.below(8), [0, 8, 200, 3000][rng.below(4) as usize])
}

fn delivery(rng: &mut Chance) -> Delivery {
    match rng.below(5) {
        0 => Delivery::Latest,
        1 => Delivery::Queue(1 + rng.below(16) as u32),
        _ => Delivery::Lossless(1 + rng.below(32) as u32),
    }
}

/// In every second world some go from anywhere to anywhere else.
fn spread(plans: &mut [Plan], pairs: &[Pair], rng: &mut Chance) {
    if rng.below(2) == 0 {
        return;
    }
    let count = count(pairs);
    let often = if count > 3 { 2 } else { 3 };
    for (number, plan) in plans.iter_mut().enumerate() {
        if rng.below(often) > 0 {
            continue;
        }
        let to = rng.below(count);
        let from = (to + 1 + rng.below(count - 1)) % count;
        (plan.suppliers[0].from, plan.readers[0].to) = (from as usize, to as usize);
        plan.goes_far(number);
    }
}

/// In every second world some have several readers or two suppliers, wherever these are, or retain, or come many at a time; and some readers are
/// called.
fn multiply(plans: &mut [Plan], pairs: &[Pair], rng: &mut Chance) {
    if rng.below(2) == 0 {
        return;
    }
    for (number, plan) in plans.iter_mut().enumerate() {
        plan.retains = rng.below(4) == 0;
        if rng.below(3) == 0 {
            plan.burst = 1 + rng.below(40);
        }
        if rng.below(3) == 0 {
            for _ in 0..1 + rng.below(3) {
                let (to, delivery) = (rng.below(count(pairs)) as usize, delivery(rng));
                plan.readers.push(Reader::new(to, delivery, &plan.path));
            }
        }
        if rng.below(5) == 0 {
            let from = rng.below(count(pairs)) as usize;
            plan.suppliers.extend((plan.suppliers[0].from != from).then(|| Supplier::new(from)));
        }
        let is_near = |from: usize, to: usize| {
            from == to || pairs.iter().any(|pair| pair.ends.contains(&from) && pair.ends.contains(&to))
        };
        let mut suppliers = plan.suppliers.iter();
        if !suppliers.all(|supplier| plan.readers.iter().all(|reader| is_near(supplier.from, reader.to))) {
            plan.goes_far(number);
        }
        for reader in &mut plan.readers {
            reader.called = rng.below(4) == 0;
        }
        plan.may_come_late();
    }
}

/// In every second world some are raw, and come by the dozen.
fn roughen(plans: &mut [Plan], rng: &mut Chance) {
    if rng.below(2) == 0 {
        return;
    }
    for plan in plans.iter_mut().filter(|plan| plan.load < 1000) {
        plan.raw = rng.below(2) == 0;
        if plan.raw {
            plan.burst = 1 + rng.below(100);
            for reader in &mut plan.readers {
                if let Delivery::Lossless(_) = reader.delivery {
                    reader.delivery = Delivery::Lossless(1 + rng.below(300) as u32);
                    reader.checker = Checker::new(plan.path.clone(), reader.delivery);
                }
            }
            plan.may_come_late();
        }
    }
}

fn choose_links(plans: &mut [Plan], pairs: &[Pair], rng: &mut Chance) {
    for plan in plans {
        let far = plan.suppliers[0].from.max(plan.readers[0].to);
        let schemes = pairs.iter().find(|pair| pair.ends == [far, 0]).map_or(&[][..], |pair| pair.schemes);
        plan.links = match (rng.below(4), schemes) {
            (0, _) => Links::All,
            _ if plan.readers.len() + plan.suppliers.len() > 2 => Links::Best,
            (1, _) if plan.far => everywhere(plan.suppliers[0].from, pairs).map_or(Links::Best, Links::only),
            (1, [first, _]) if !plan.far => Links::only(*first),
            _ => Links::Best,
        };
    }
}

/// The kind of line that a program's sessions all go over at times, whoever passes its samples on.
fn everywhere(name: usize, pairs: &[Pair]) -> Option<&'static str> {
    let own: Vec<_> = pairs.iter().filter(|pair| pair.ends.contains(&name)).collect();
    let first = *own.first()?.schemes.first()?;
    own.iter().all(|pair| pair.schemes.contains(&first)).then_some(first)
}

/// In every second world some are large, and some are more urgent than others.
fn load(plans: &mut [Plan], rng: &mut Chance) {
    if rng.below(2) > 0 {
        return;
    }
    for plan in plans {
        plan.priority = [Priority::Urgent, Priority::Normal, Priority::Bulk][rng.below(3) as usize];
        if rng.below(2) == 0 {
            plan.load = [17_000, 40_000, 150_000][rng.below(3) as usize];
            plan.every = 5 + rng.below(20);
            plan.burst = plan.burst.min(2);
        }
        #[cfg(feature = "lz4")]
        if rng.below(4) == 0 {
            plan.compression = bowline::Compression::Always;
        }
    }
}

/// The lines that a program may dial by.
const LINES: [&[&str]; 2] = [&["tcp"], &["udp"]];
