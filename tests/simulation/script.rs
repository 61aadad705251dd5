//! What happens in a scene: faults by chance, then none, then rest.

use crate::checker::Checker;
use crate::programs::{Manner, NAMES, Plan, Program, Sessions};
use bowline::testing::{Faults, World};
use bowline::{Delivery, Links, Priority};
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
    plans: Vec<Plan>,
    /// What each program is now, and how many lives it had.
    programs: [Option<Program>; 3],
    lives: [u32; 3],
    frozen: [bool; 3],
    sessions: [Sessions; 3],
    /// The two that dial do so by one line or two.
    manners: [Manner; 3],
    /// Once the one of two lines is cut, when the other is, and of whom.
    next_cut: Option<(u64, usize, &'static str)>,
    /// Connections are not ended on purpose: what is lost can be counted exactly.
    calm: bool,
    turn: u64,
    told: bool,
}

impl<'a> Scene<'a> {
    pub fn new(world: &'a World, seed: u64, told: bool) -> Self {
        let mut rng = Chance(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xB0);
        let mut plans = Vec::new();
        for number in 0..3 + rng.below(4) {
            let other = 1 + rng.below(2) as usize;
            let (from, to) = if rng.below(2) == 0 { (0, other) } else { (other, 0) };
            let delivery = match rng.below(5) {
                0 => Delivery::Latest,
                1 => Delivery::Queue(1 + rng.below(16) as u32),
                _ => Delivery::Lossless(1 + rng.below(32) as u32),
            };
            let path = format!("{}.route{number}", NAMES[from]);
            let checker = Checker::new(path.clone(), delivery);
            let (every, load) = (1 + rng.below(8), [0, 8, 200, 3000][rng.below(4) as usize]);
            plans.push(Plan {
                path,
                from,
                to,
                delivery,
                links: Links::Best,
                priority: Priority::Normal,
                #[cfg(feature = "lz4")]
                compression: bowline::Compression::Off,
                every,
                due: false,
                asleep: 0,
                fickle: false,
                load,
                checker,
            });
        }
        // In every second world some of what goes to the middle goes on to the other side.
        let mut far = Chance(seed ^ 0xFA2);
        if far.below(2) == 0 {
            for (number, plan) in plans.iter_mut().enumerate().filter(|_| far.below(3) == 0) {
                let ends = if plan.from.max(plan.to) == 1 { (1, 2) } else { (2, 1) };
                (plan.from, plan.to) = ends;
                plan.path = format!("far.route{number}");
                plan.checker = Checker::new(plan.path.clone(), plan.delivery);
            }
        }
        let mut schemes: [&[&str]; 3] = [&[], LINES[rng.below(2) as usize], LINES[rng.below(2) as usize]];
        let calm = rng.below(4) == 0;
        // One of them has both lines in every second world.
        if let name @ 1..=2 = Chance(seed ^ 0x2_11E5).below(4) as usize {
            schemes[name] = if schemes[name] == LINES[0] { &["tcp", "udp"] } else { &["udp", "tcp"] };
        }
        let mut policy = Chance(seed ^ 0x11_4B5);
        for plan in &mut plans {
            plan.links = match (policy.below(4), schemes[plan.from.max(plan.to)]) {
                _ if plan.is_relayed() => Links::Best,
                (0, _) => Links::All,
                (1, [first, _]) => Links::only(first),
                _ => Links::Best,
            };
        }
        // In every second world some are large, and some are more urgent than others.
        let mut lanes = Chance(seed ^ 0x1A_26E5);
        if lanes.below(2) == 0 {
            for plan in &mut plans {
                plan.priority = [Priority::Urgent, Priority::Normal, Priority::Bulk][lanes.below(3) as usize];
                if lanes.below(2) == 0 {
                    plan.load = [17_000, 40_000, 150_000][lanes.below(3) as usize];
                    plan.every = 5 + lanes.below(20);
                }
                #[cfg(feature = "lz4")]
                if lanes.below(4) == 0 {
                    plan.compression = bowline::Compression::Always;
                }
            }
        }
        let mut fickle = Chance(seed ^ 0xF1_C71E);
        if fickle.below(3) == 0 {
            plans.iter_mut().for_each(|plan| plan.fickle = fickle.below(2) == 0);
        }
        let mut manners = Chance(seed ^ 0x3A_2295);
        let manners = schemes.map(|schemes| Manner {
            schemes,
            fragment_bytes: [None, None, Some(300), Some(5_000), Some(100_000)][manners.below(5) as usize],
            outbox_bytes: [None, None, Some(1 << 10), Some(1 << 20)][manners.below(4) as usize],
        });
        let mut scene = Self {
            world,
            rng,
            drowsy: Chance(seed ^ 0xD_2057),
            fickle,
            plans,
            programs: [None, None, None],
            lives: [0; 3],
            frozen: [false; 3],
            sessions: [Sessions::default(); 3],
            manners,
            next_cut: None,
            calm,
            turn: 0,
            told,
        };
        for name in 0..3 {
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
        let program = Program::start(self.world, name, life, &self.manners[name], &mut self.plans);
        self.programs[name] = Some(program);
    }

    fn turn(&mut self, sends: bool) {
        self.turn += 1;
        // What happened before a sample came is known before it is looked at.
        for program in self.programs.iter().flatten() {
            program.hear(&mut self.plans, &mut self.sessions, self.told);
        }
        for (other, Sessions { causes, ends }) in self.sessions.iter().enumerate().skip(1) {
            assert!(
                ends.iter().all(|ends| ends <= causes),
                "the session of robot and {} ended without a cause: {ends:?} of {causes}",
                NAMES[other]
            );
        }
        for name in 0..3 {
            if self.frozen[name] {
                continue;
            }
            if let Some(program) = &self.programs[name] {
                let rng = &mut self.rng;
                program.read(&mut self.plans, || sends && rng.below(4) == 0);
                if sends {
                    program.send(&mut self.plans, self.turn);
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
                self.tell(|| format!("the {scheme} lines of robot and {} are cut too", NAMES[name]));
                self.world.cut_lines("robot", NAMES[name], scheme);
            }
            if self.drowsy.below(TURNS_A_SECOND) == 0 {
                let plan = self.drowsy.below(self.plans.len() as u64) as usize;
                self.plans[plan].asleep = self.drowsy.below(3 * TURNS_A_SECOND);
            }
            if self.fickle.below(TURNS_A_SECOND / 2) == 0 {
                self.change_mind();
            }
            self.turn(true);
        }
    }

    /// Somebody withdraws an intent or an interest, or declares it again.
    fn change_mind(&mut self) {
        let number = self.fickle.below(self.plans.len() as u64) as usize;
        let plan = &mut self.plans[number];
        let name = if self.fickle.below(2) == 0 { plan.from } else { plan.to };
        let Some(program) = self.programs[name].as_mut().filter(|_| plan.fickle && !self.frozen[name]) else {
            return;
        };
        let withdraws = program.has(number);
        if withdraws {
            program.withdraw(number);
            plan.checker.session_ended(true);
        } else {
            program.declare(number, plan);
        }
        self.tell(|| format!("{} withdraws its part of route {number}: {withdraws}", NAMES[name]));
    }

    /// The line that goes wrong, where there are two and not both do, and the other one.
    fn one_of_two(&mut self, name: usize) -> Option<[&'static str; 2]> {
        let &[first, second] = self.manners[name].schemes else { return None };
        match self.rng.below(3) {
            0 => Some([first, second]),
            1 => Some([second, first]),
            _ => None,
        }
    }

    fn trouble(&mut self) {
        let name = self.rng.below(3) as usize;
        let other = 1 + self.rng.below(2) as usize;
        let what = if self.calm { self.rng.below(4) } else { self.rng.below(14) };
        match what {
            0..=2 => {
                let faults = self.faults();
                self.tell(|| format!("between robot and {}: {faults:?}", NAMES[other]));
                self.world.faults_between("robot", NAMES[other], faults);
            }
            3 => {
                let faults = self.faults();
                self.tell(|| format!("from {} to robot: {faults:?}", NAMES[other]));
                self.world.faults_from(NAMES[other], "robot", faults);
            }
            4 => {
                if let Some([scheme, _]) = self.one_of_two(other) {
                    self.tell(|| format!("robot and {} are parted by {scheme}", NAMES[other]));
                    self.world.partition_lines("robot", NAMES[other], scheme);
                    return;
                }
                self.tell(|| format!("robot and {} are parted", NAMES[other]));
                self.world.partition("robot", NAMES[other]);
            }
            5 => {
                self.tell(|| format!("nothing goes from {} to robot", NAMES[other]));
                self.world.partition_from(NAMES[other], "robot");
            }
            6 => {
                if let Some([scheme, then]) = self.one_of_two(other) {
                    self.tell(|| format!("the {scheme} lines of robot and {} are cut", NAMES[other]));
                    self.world.cut_lines("robot", NAMES[other], scheme);
                    if self.rng.below(2) == 0 {
                        self.next_cut = Some((self.turn + self.rng.below(TURNS_A_SECOND), other, then));
                    }
                    return;
                }
                self.tell(|| format!("the lines of robot and {} are cut", NAMES[other]));
                self.world.cut("robot", NAMES[other]);
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
        let concerns = |plan: &&mut Plan| plan.from == name || plan.to == name || name == 0;
        for plan in self.plans.iter_mut().filter(concerns) {
            plan.checker.session_ended(true);
        }
        for other in 1..3 {
            self.sessions[other].causes += u32::from(name == 0 || name == other);
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
        self.plans.iter_mut().for_each(|plan| plan.asleep = 0);
        for name in 0..3 {
            self.freeze(name, false);
            if self.programs[name].is_none() {
                self.start(name);
            }
            if let Some(program) = &mut self.programs[name] {
                (0..).zip(&mut self.plans).for_each(|(number, plan)| program.declare(number, plan));
            }
        }
        let end = self.turn + HEALING;
        while self.turn < end - REST {
            self.turn(true);
        }
        let before: Vec<_> =
            self.plans.iter().map(|plan| (plan.checker.received(), self.is_carried(plan))).collect();
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
        for (plan, (before, carried)) in self.plans.iter().zip(before) {
            let waits = !carried || !self.is_carried(plan);
            assert!(
                waits || plan.checker.received() > before,
                "{}: nothing flows though all is well",
                plan.path
            );
        }
    }

    /// Whether the session has gone back to a link that a route may go over.
    fn is_carried(&self, plan: &Plan) -> bool {
        let from = self.programs[plan.from].as_ref();
        if plan.is_relayed() {
            return true;
        }
        from.is_some_and(|from| from.is_carried_by(plan.to, &plan.links))
    }

    /// One that misses a link, or one that stands by.
    fn not_linked(&self) -> Option<&Program> {
        let more = self.manners.map(|manner| manner.schemes.len().saturating_sub(1));
        let links = [(2, more[1] + more[2]), (1, more[1]), (1, more[2])];
        let all = self.programs.iter().flatten().zip(links);
        all.filter(|(program, (links, ready))| !program.is_linked(*links, *ready))
            .map(|(program, _)| program)
            .next()
    }

    /// Nothing is sent any more: all comes that was under way.
    pub fn rest(&mut self) {
        let end = self.turn + REST;
        while self.turn < end - TURNS_A_SECOND {
            self.turn(false);
        }
        let carried: Vec<_> = self.plans.iter().map(|plan| self.is_carried(plan)).collect();
        while self.turn < end {
            self.turn(false);
        }
        for name in 0..3 {
            let first = self.lives[name] == 1;
            let Some(program) = &self.programs[name] else { continue };
            program.hear(&mut self.plans, &mut self.sessions, self.told);
            for (number, interest) in &program.interests {
                let plan = &self.plans[*number];
                if plan.fickle || plan.is_relayed() || !carried[*number] || !self.is_carried(plan) {
                    // What was on its way to one that was withdrawn concerns nobody, and of what is passed on the supplier does not
                    // know; what waits for a link may wait still.
                    continue;
                }
                let counts = interest.counts();
                let lost = counts.lost_here + counts.lost_there + counts.lost_on_the_way;
                self.plans[*number].checker.check_end(first.then_some(lost));
            }
        }
    }
}

/// The lines that a program may dial by.
const LINES: [&[&str]; 2] = [&["tcp"], &["udp"]];

/// Numbers by chance, from a seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end
    }
}
