//! Sessions that end: what never left is told from what may have come.

use super::*;

fn left(world: &mut World) -> Vec<(u32, u64, u64)> {
    world.outbox.close(None, true);
    let left = world.outbox.settle();
    left.map(|(alias, Left { unsent, unconfirmed })| (alias, unsent, unconfirmed)).collect()
}

/// Three samples of each of two lanes wait, and a first of each is written when the link ends.
fn cut_after_one() -> World {
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
    world
}

#[test]
fn samples_that_never_left_are_told_from_those_that_may_have_come() {
    for links in 0..3 {
        let mut world = cut_after_one();
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

#[test]
fn so_are_those_that_were_about_to_go_again() {
    for in_hand in [false, true] {
        let mut world = cut_after_one();
        world.resume();
        if in_hand {
            world.take();
            world.write(20);
        }
        world.outbox.close(None, false);
        if let Some((urgent, batch, _)) = world.load.take() {
            world.outbox.suspend(urgent, batch);
        }
        // Those that went by the first link may have come by that, though all were to go again.
        assert_eq!(left(&mut world), [(0, 2, 1), (1, 2, 0)], "in hand: {in_hand}");
    }
}
