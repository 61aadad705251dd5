//! A session goes from link to link: nothing is lost that need not be, nothing comes twice.

use super::*;
use crate::flow::batch::{Part, frames_of};
use crate::flow::outbox::again::{Known, again};
use crate::flow::outbox::kept::{Ended, MARK_LEAST, MARK_MOST, MARK_PAUSE};
use crate::wire::control::{Control, Entry};
use crate::wire::{decode, kind};
use proptest::prelude::*;
use there::Answer;
use world::{KINDS, World};

mod given_up;
mod marks;
mod there;
mod world;

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
fn a_gap_before_samples_that_were_taken_leaves_no_doubt_about_the_number() {
    // A sample that found no room is dropped, and the next one is known to have come.
    let gap = [Step::Flow, Step::Many(3, 3), Step::Put(4, 3798, None), Step::Put(4, 107, None), Step::Flow];
    for end in [Some(Step::End(4)), None] {
        let cut = [Step::Credit(4), Step::Cut(0)].into_iter().chain(end);
        run(gap.clone().into_iter().chain(cut).collect(), 4096, None, None);
    }
}

/// The frames of rows, samples by their alias.
fn told(rows: &std::collections::VecDeque<Batch>) -> Vec<String> {
    let parts = rows.iter().flat_map(Batch::frames).map(|part| match part {
        Part::Sample(piece) => format!("sample of {}", piece.alias),
        Part::Control { kind, body, .. } => format!("{:?}", decode(kind, body).unwrap()),
    });
    parts.collect()
}

#[test]
fn of_a_lane_that_cannot_go_now_the_number_is_kept_behind_what_is_left_out() {
    let mut row = Batch::default();
    encode(row.bytes(), &Control::At { alias: 1, number: 166 });
    encode(row.bytes(), &Control::Gap { alias: 1, count: 23 });
    let mut stamps = StampWriter::default();
    let sample = || Outgoing { payload: &[7; 20], shared: None };
    (0..9).for_each(|_| put_sample(&mut row, &mut stamps, 1, Timestamp::from_micros(1), sample()));
    let links = Some(Links::only("tcp"));
    let lane = Ended { sequence: 198, taken: 122, delivery: Delivery::Queue(5), links };
    let known = Known {
        lanes: [(1, lane)].into(),
        loose: Vec::new(),
        kept_only: Vec::new(),
        barred: [1].into(),
        gone: Default::default(),
        held: 0,
        // The other side may have counted too few: none of them goes again, by whichever link.
        unsure: [1].into(),
        came: 0,
        slow: None,
        base: None,
    };
    let (_, held) = again(&[row], &known);
    let wanted =
        ["At { alias: 1, number: 166 }", "Gap { alias: 1, count: 23 }", "At { alias: 1, number: 198 }"];
    assert_eq!(told(&held), wanted);
}

#[test]
fn one_that_is_opened_behind_an_end_to_come_and_ends_too_does_so_behind_its_beginning() {
    let mut world = World { choosy: true, ..World::new(4096, None, None) };
    for alias in 0..2 {
        world.open(alias);
    }
    world.step(Step::Flow);
    world.put(1, 100, None);
    world.cut(0);
    world.end(1);
    // The third and the fourth pair, of which every other goes by one way alone.
    for alias in 2..4 {
        world.open(alias);
        world.end(alias);
    }
    world.finish();
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

#[test]
fn nothing_comes_twice_of_lanes_that_were_counted_too_low() {
    for (links, ends) in [(1, false), (2, false), (3, false), (1, true), (2, true)] {
        let mut world = World::new(4096, None, None);
        world.open(1);
        world.step(Step::Flow);
        // Some find no room, and what tells of those is lost.
        world.there.misses_gaps = true;
        for _ in 0..2 {
            (0..60).for_each(|_| assert!(world.put(1, 100, None).is_some()));
            while world.take() {
                world.write(usize::MAX);
            }
        }
        world.read(usize::MAX);
        let (sent, dropped) = (world.pairs[0].sent.len() as u64, world.pairs[0].dropped);
        assert!(dropped > 0 && world.there.aliases[&1].sequence == sent - dropped);
        world.there.misses_gaps = false;
        if ends {
            world.end(1);
        }
        for link in 0..links {
            world.cut(0);
            if link == 0 {
                world.outbox.note_links(&[1], false);
            }
            world.resume();
            world.put(1, 100, None);
            world.take();
            world.write(usize::MAX);
        }
        for _ in 0..3 {
            world.step(Step::Flow);
        }
        let came = if ends { &world.there.ended[&0] } else { &world.there.aliases[&1] };
        let number = |bytes: &[u8]| u64::from_le_bytes(bytes[4..12].try_into().expect("a payload"));
        let numbers: Vec<u64> = came.samples.iter().map(|(.., bytes)| number(bytes)).collect();
        assert!(numbers.is_sorted_by(|one, next| one < next), "after {links} links: {numbers:?}");
        assert_eq!(came.sequence, world.pairs[0].sent.len() as u64, "each came or is counted");
        assert!(ends || numbers.last() == Some(&(came.sequence - 1)), "what was sent since comes");
    }
}

#[test]
fn between_links_that_lose_nothing_only_what_may_not_have_come_is_told() {
    for (exact, more, told) in [(true, false, vec![]), (true, true, vec![1]), (false, false, vec![1, 2, 4])] {
        let mut world = World::new(4096, None, None);
        (0..5).for_each(|alias| world.open(alias));
        for alias in 0..5 {
            assert!(world.put(alias, 20, None).is_some());
        }
        // All of it came, and that is known.
        world.step(Step::Ping);
        world.step(Step::Flow);
        assert!(!more || world.put(1, 20, None).is_some());
        world.take();
        world.cut(0);
        world.outbox.note_links(&[], exact);
        world.resume();
        while world.take() {
            world.write(usize::MAX);
        }
        let at = |part| match part {
            Part::Control { kind: kind::AT, body, .. } => match decode(kind::AT, body) {
                Ok(Control::At { alias, .. }) => Some(alias),
                _ => None,
            },
            _ => None,
        };
        assert_eq!(frames_of(&world.wire).filter_map(at).collect::<Vec<_>>(), told);
        world.finish();
    }
}
