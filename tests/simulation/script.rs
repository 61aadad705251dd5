//! What happens in a scene: faults by chance, then none, then rest.

use crate::plans::{Pair, Plan, Scenery};
use crate::programs::{NAMES, Program};
use bowline::Links;
use bowline::testing::{Faults, World};
use std::time::Duration;

/// Programs act once a turn.
const TURN: Duration = Duration::from_millis(20);
const TURNS_A_SECOND: u64 = 50;
/// How long things go wrong, and how long everything may take to flow again.
const TROUBLE: u64 = 47 * TURNS_A_SECOND;
const HEALING: u64 = 10 * TURNS_A_SECOND;
const REST: u64 = 3 * TURNS_A_SECOND;

pub struct Scene<'a> {
    world: &'a World,
    rng: Chance,
    /// Who falls asleep.
    drowsy: Chance,
    /// Who comes and goes.
    fickle: Chance,
    scenery: Scenery,
    /// What each program is now, and how many lives it had.
    programs: Vec<Option<Program>>,
    lives: Vec<u32>,
    frozen: Vec<bool>,
    /// Once the one of two lines is cut, when the other is, and between whom.
    next_cut: Option<(u64, [&'static str; 2], &'static str)>,
    /// What was known of each pair when all had been well for a while.
    calmed: Vec<Pair>,
    /// Connections are not ended on purpose: what is lost can be counted exactly.
    calm: bool,
    turn: u64,
    told: bool,
}

impl<'a> Scene<'a> {
    pub fn new(world: &'a World, seed: u64, told: bool) -> Self {
        let mut rng = Chance(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xB0);
        let scenery = Scenery::new(seed, &mut rng);
        let count = scenery.manners.len();
        let calm = rng.below(4) == 0;
        let mut scene = Self {
            world,
            rng,
            drowsy: Chance(seed ^ 0xD_2057),
            fickle: Chance(seed ^ 0xF1_C71E),
            programs: (0..count).map(|_| None).collect(),
            lives: vec![0; count],
            frozen: vec![false; count],
            scenery,
            next_cut: None,
            calmed: Vec::new(),
            calm,
            turn: 0,
            told,
        };
        for name in 0..count {
            scene.start(name);
        }
        scene
    }

    fn tell(&self, text: impl FnOnce() -> String) {
        if self.told {
            println!("{:>9.3} s  {}", self.world.elapsed().as_secs_f64(), text());
        }
    }

    fn start(&mut self, name: usize) {
        self.tell(|| format!("{} starts", NAMES[name]));
        let life = self.lives[name];
        self.lives[name] += 1;
        let program = Program::start(self.world, name, life, &mut self.scenery);
        self.programs[name] = Some(program);
    }

    fn turn(&mut self, sends: bool) {
        self.turn += 1;
        // What happened before a sample came is known before it is looked at.
        for program in self.programs.iter().flatten() {
            program.hear(&mut self.scenery.plans, &mut self.scenery.pairs, self.told);
        }
        for pair in &self.scenery.pairs {
            let ends = pair.ended.iter().max();
            assert!(
                ends <= Some(&pair.causes),
                "the session of {:?} ended without a cause: {pair:?}",
                pair.names()
            );
        }
        for name in 0..self.programs.len() {
            if self.frozen[name] {
                continue;
            }
            if let Some(program) = &self.programs[name] {
                let rng = &mut self.rng;
                program.read(&mut self.scenery.plans, self.turn, || sends && rng.below(4) == 0);
                if sends {
                    program.send(&mut self.scenery.plans, self.turn);
                }
            }
        }
        self.world.run_for(TURN);
    }

    /// Things go wrong.
    pub fn live(&mut self) {
        let mut next = 1;
        while self.turn < TROUBLE {
            if self.turn >= next {
                next = self.turn + 1 + self.rng.below(3 * TURNS_A_SECOND);
                self.trouble();
            }
            if let Some((_, name, scheme)) = self.next_cut.take_if(|(turn, ..)| *turn <= self.turn) {
                self.tell(|| format!("the {scheme} lines of {name:?} are cut too"));
                self.world.cut_lines(name[0], name[1], scheme);
            }
            if self.drowsy.below(TURNS_A_SECOND) == 0 {
                let plan = self.drowsy.below(self.scenery.plans.len() as u64) as usize;
                let readers = &mut self.scenery.plans[plan].readers;
                let reader = self.drowsy.below(readers.len() as u64) as usize;
                readers[reader].asleep = self.drowsy.below(3 * TURNS_A_SECOND);
            }
            if self.fickle.below(TURNS_A_SECOND / 2) == 0 {
                self.change_mind();
            }
            self.turn(true);
        }
    }

    /// Somebody withdraws an intent or an interest, or declares it again.
    fn change_mind(&mut self) {
        let number = self.fickle.below(self.scenery.plans.len() as u64) as usize;
        let plan = &mut self.scenery.plans[number];
        let suppliers = plan.suppliers.len();
        let part = self.fickle.below((suppliers + plan.readers.len()) as u64) as usize;
        let reader = part.checked_sub(suppliers);
        let name = reader.map_or_else(|| plan.suppliers[part].from, |reader| plan.readers[reader].to);
        let Some(program) = self.programs[name].as_mut().filter(|_| plan.fickle && !self.frozen[name]) else {
            return;
        };
        let withdraws = match reader {
            None if program.supplies(number) => {
                program.supply_no_more(number);
                plan.checkers().for_each(|checker| checker.session_ended(true));
                true
            }
            Some(reader) if program.reads([number, reader]) => {
                program.want_no_more([number, reader]);
                plan.readers[reader].checker.session_ended(true);
                true
            }
            None => {
                program.supply(number, plan);
                false
            }
            Some(reader) => {
                program.want([number, reader], plan);
                false
            }
        };
        self.tell(|| format!("{} withdraws part {part} of route {number}: {withdraws}", NAMES[name]));
    }

    /// The line that goes wrong, where there are two and not both do, and the other one.
    fn one_of_two(&mut self, pair: usize) -> Option<[&'static str; 2]> {
        let &[first, second] = self.scenery.pairs[pair].schemes else { return None };
        match self.rng.below(3) {
            0 => Some([first, second]),
            1 => Some([second, first]),
            _ => None,
        }
    }

    fn trouble(&mut self) {
        let name = self.rng.below(self.programs.len() as u64) as usize;
        let pair = self.rng.below(self.scenery.pairs.len() as u64) as usize;
        let names @ [one, other] = self.scenery.pairs[pair].names();
        let what = if self.calm { self.rng.below(4) } else { self.rng.below(14) };
        match what {
            0..=2 => {
                let faults = self.faults();
                self.tell(|| format!("between {names:?}: {faults:?}"));
                self.world.faults_between(one, other, faults);
            }
            3 => {
                let faults = self.faults();
                self.tell(|| format!("from {one} to {other}: {faults:?}"));
                self.world.faults_from(one, other, faults);
            }
            4 => {
                if let Some([scheme, _]) = self.one_of_two(pair) {
                    self.tell(|| format!("{names:?} are parted by {scheme}"));
                    self.world.partition_lines(one, other, scheme);
                    return;
                }
                self.tell(|| format!("{names:?} are parted"));
                self.world.partition(one, other);
            }
            5 => {
                self.tell(|| format!("nothing goes from {one} to {other}"));
                self.world.partition_from(one, other);
            }
            6 => {
                if let Some([scheme, then]) = self.one_of_two(pair) {
                    self.tell(|| format!("the {scheme} lines of {names:?} are cut"));
                    self.world.cut_lines(one, other, scheme);
                    if self.rng.below(2) == 0 {
                        self.next_cut = Some((self.turn + self.rng.below(TURNS_A_SECOND), names, then));
                    }
                    return;
                }
                self.tell(|| format!("the lines of {names:?} are cut"));
                self.world.cut(one, other);
            }
            7 => self.end(name),
            8 => {
                if self.programs[name].is_none() {
                    self.start(name);
                }
            }
            9 => self.freeze(name, true),
            10 => self.freeze(name, false),
            11 => {
                if let Some(program) = &self.programs[name] {
                    let span = Duration::from_millis(self.rng.below(5_000));
                    self.world.clock_jump(&program.endpoint, span);
                }
            }
            _ => {
                self.tell(|| "all lines are well".to_owned());
                self.world.heal();
            }
        }
    }

    fn faults(&mut self) -> Faults {
        let mut part = |most: u64| self.rng.below(most + 1) as f64 / 100.0;
        let mut faults = Faults::none().loss(part(30)).duplicate(part(50)).reorder(part(20));
        faults = faults.delay(Duration::from_millis(self.rng.below(60)));
        faults = faults.jitter(Duration::from_millis(self.rng.below(30)));
        if self.rng.below(50) == 0 {
            // Clogged.
            faults = faults.rate(3_000 + self.rng.below(20_000));
        }
        faults
    }

    fn end(&mut self, name: usize) {
        let Some(program) = self.programs[name].take() else { return };
        let frozen = std::mem::take(&mut self.frozen[name]);
        let silently = self.rng.below(2) == 0;
        let politely = !frozen && self.fickle.below(3) == 0;
        self.tell(|| format!("{} ends, politely: {politely}, silently: {silently}", NAMES[name]));
        if politely {
            program.endpoint.close(Duration::from_millis(self.fickle.below(1_000)));
        } else if silently {
            self.world.power_off(&program.endpoint);
        } else {
            self.world.crash(&program.endpoint);
        }
        program.read_called(&mut self.scenery.plans);
        for plan in &mut self.scenery.plans {
            let all = plan.far || plan.supplier(name).is_some();
            for reader in plan.readers.iter_mut().filter(|reader| all || reader.to == name) {
                reader.checker.session_ended(true);
            }
        }
        for pair in self.scenery.pairs.iter_mut().filter(|pair| pair.ends.contains(&name)) {
            pair.causes += 1;
        }
        if self.rng.below(3) > 0 {
            self.start(name);
        }
    }

    fn freeze(&mut self, name: usize, frozen: bool) {
        if let Some(program) = &self.programs[name] {
            self.tell(|| format!("{} is frozen: {frozen}", NAMES[name]));
            self.frozen[name] = frozen;
            if frozen {
                self.world.freeze(&program.endpoint);
            } else {
                self.world.thaw(&program.endpoint);
            }
        }
    }

    /// Nothing goes wrong any more: within ten seconds everything flows.
    pub fn converge(&mut self) {
        self.tell(|| "all is well".to_owned());
        self.world.heal();
        self.scenery.plans.iter_mut().flat_map(|plan| &mut plan.readers).for_each(|reader| reader.asleep = 0);
        for name in 0..self.programs.len() {
            self.freeze(name, false);
            if self.programs[name].is_none() {
                self.start(name);
            }
            if let Some(program) = &mut self.programs[name] {
                program.declare_all(&mut self.scenery.plans);
            }
        }
        let end = self.turn + HEALING;
        while self.turn < end - REST {
            self.turn(true);
        }
        let before: Vec<_> = self
            .carried()
            .into_iter()
            .map(|(plan, carried)| {
                let came: Vec<_> = plan.readers.iter().map(|reader| reader.checker.received()).collect();
                (came, carried)
            })
            .collect();
        self.calmed = self.scenery.pairs.clone();
        while self.turn < end {
            self.turn(true);
        }
        // A session that goes back to its first link just then has the other one dialled anew.
        while self.turn < end + REST && self.not_linked().is_some() {
            self.turn(true);
        }
        if let Some(program) = self.not_linked() {
            let endpoint = &program.endpoint;
            panic!(
                "ten seconds after all was healed {} is not linked: {:#?}",
                endpoint.path(),
                endpoint.links()
            );
        }
        for ((plan, carried), (before, was_carried)) in self.carried().into_iter().zip(before) {
            for (reader, before) in plan.readers.iter().zip(before) {
                let waits = !carried || !was_carried;
                assert!(
                    waits || reader.checker.received() > before,
                    "{}: nothing flows to {} though all is well",
                    plan.path,
                    NAMES[reader.to]
                );
            }
        }
    }

    fn carried(&self) -> Vec<(&Plan, bool)> {
        self.scenery.plans.iter().map(|plan| (plan, self.is_carried(plan))).collect()
    }

    /// Whether the session has gone back to a link that a route may go over; with whoever may pass it on, where it goes far.
    fn is_carried(&self, plan: &Plan) -> bool {
        let name = plan.suppliers[0].from;
        let carries =
            |to| self.programs[name].as_ref().is_some_and(|from| from.is_carried_by(to, &plan.links));
        if plan.links == Links::Best {
            return true;
        }
        if !plan.far {
            return carries(plan.readers[0].to);
        }
        let others = self.scenery.pairs.iter().filter(|pair| pair.ends.contains(&name));
        others.map(|pair| pair.ends[usize::from(pair.ends[0] == name)]).all(carries)
    }

    /// One that misses a link, or one that stands by.
    fn not_linked(&self) -> Option<&Program> {
        let Scenery { pairs, plans, .. } = &self.scenery;
        self.programs.iter().flatten().find(|program| !program.is_linked(pairs, plans))
    }

    /// Nothing is sent any more: all comes that was under way.
    pub fn rest(&mut self) {
        let end = self.turn + REST;
        while self.turn < end - TURNS_A_SECOND {
            self.turn(false);
        }
        let carried: Vec<_> = self.scenery.plans.iter().map(|plan| self.is_carried(plan)).collect();
        while self.turn < end {
            self.turn(false);
        }
        for (pair, before) in self.scenery.pairs.iter().zip(&self.calmed) {
            let names = pair.names();
            assert_eq!(pair.causes, before.causes, "the session of {names:?} ended though all was well");
            // It may leave its first link, which is not known to do well again, and goes back to it once, of which both hear.
            let moves = pair.moves - before.moves;
            assert!(moves <= 4, "the session of {names:?} moves to and fro though all is well: {moves}");
        }
        let carries: Vec<_> =
            (0..).zip(carried).filter(|(_, carried)| *carried).map(|(plan, _)| plan).collect();
        let carries: Vec<_> =
            carries.into_iter().filter(|plan| self.is_carried(&self.scenery.plans[*plan])).collect();
        for name in 0..self.programs.len() {
            let first = self.lives[name] == 1;
            let Some(program) = &self.programs[name] else { continue };
            program.hear(&mut self.scenery.plans, &mut self.scenery.pairs, self.told);
            for ([number, reader], counts) in program.counts() {
                let plan = &self.scenery.plans[number];
                // What waits for a link may wait still.
                if !carries.contains(&number) {
                    continue;
                }
                let checker = &plan.readers[reader].checker;
                // Of several suppliers the last of one may be dropped for that of another.
                if plan.suppliers.len() == 1 || plan.readers[reader].delivery.is_lossless() {
                    plan.suppliers.iter().for_each(|supplier| checker.check_last(supplier.life));
                }
                if plan.is_counted() {
                    let lost = counts.lost_here + counts.lost_there + counts.lost_on_the_way;
                    checker.check_end(first.then_some(lost));
                }
            }
        }
        for plan in carries.iter().map(|plan| &self.scenery.plans[*plan]).filter(|plan| plan.retains) {
            for reader in &plan.readers {
                let late = self.programs[reader.to].as_ref().expect("all live").late(self.world, plan);
                let lives = plan.suppliers.iter().map(|supplier| supplier.life);
                let last = lives.filter_map(|life| Some((life, reader.checker.last(life)?))).collect();
                assert_eq!(late, last, "{}: what one gets who comes late", plan.path);
            }
        }
    }
}

/// Numbers by chance, from a seed.
pub struct Chance(pub u64);

impl Chance {
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end
    }
}
