use super::*;
use proptest::prelude::*;

const ALL: [Priority; 3] = [Priority::Urgent, Priority::Normal, Priority::Bulk];

fn sample(alias: u32, size: usize) -> Waiting {
    Waiting::new(alias, Timestamp::ZERO, Bytes::from(vec![alias as u8; size]), Missing::default())
}

/// What goes next, as alias, bytes, and what is left.
fn next(queues: &mut Queues, piece: usize) -> Option<(u32, usize, usize)> {
    queues.next(piece, piece).map(|cut| (cut.alias, cut.bytes.len(), cut.left))
}

#[test]
fn what_is_small_goes_whole_and_what_is_large_in_pieces() {
    let mut queues = Queues::default();
    queues.push(Priority::Bulk, sample(1, 100));
    queues.push(Priority::Bulk, sample(2, 250));
    queues.push(Priority::Bulk, sample(3, 0));
    let all: Vec<_> = std::iter::from_fn(|| next(&mut queues, 100)).collect();
    assert_eq!(all, [(1, 100, 0), (2, 100, 150), (2, 100, 50), (2, 50, 0), (3, 0, 0)]);
    assert!(queues.is_empty() && queues.queues.iter().all(|queue| queue.bytes == 0));
}

#[test]
fn an_urgent_sample_is_next_whoever_is_in_the_middle_of_one() {
    let mut queues = Queues::default();
    queues.push(Priority::Bulk, sample(1, 10_000));
    queues.push(Priority::Normal, sample(2, 10_000));
    for _ in 0..7 {
        next(&mut queues, 1000);
    }
    queues.push(Priority::Urgent, sample(3, 64));
    let then = [next(&mut queues, 1000), next(&mut queues, 1000)];
    assert!(then.contains(&Some((3, 64, 0))), "{then:?}");
}

#[test]
fn each_has_its_weight_of_a_line_that_all_of_them_fill() {
    let mut queues = Queues::default();
    let mut bytes = [0; 3];
    for _ in 0..13_000 {
        for priority in ALL {
            if queues.has_room(priority, 1500, 4000) {
                queues.push(priority, sample(priority.index() as u32, 1500));
            }
        }
        let (alias, size, _) = next(&mut queues, 1000).expect("they are full");
        bytes[alias as usize] += size;
    }
    let unit = bytes[2] as f64;
    assert!((7.5..8.5).contains(&(bytes[0] as f64 / unit)), "{bytes:?}");
    assert!((3.5..4.5).contains(&(bytes[1] as f64 / unit)), "{bytes:?}");
}

#[test]
fn a_sample_of_any_size_finds_room_in_an_empty_queue_and_no_other_behind_it() {
    let mut queues = Queues::default();
    assert!(queues.has_room(Priority::Bulk, 1 << 30, 1024));
    queues.push(Priority::Bulk, sample(0, 2000));
    assert!(!queues.has_room(Priority::Bulk, 0, 1024));
    assert!(queues.has_room(Priority::Normal, 2000, 1024));
}

proptest! {
    /// Every byte comes out once, in the order of its queue; none waits for longer than a round.
    #[test]
    fn nothing_is_lost_or_swapped_and_nobody_starves(
        samples in prop::collection::vec((0..3usize, 0..5000usize), 1..60),
        piece in 1..2000usize,
        whole in 0..3000usize,
    ) {
        let mut queues = Queues::default();
        let mut expected: [Vec<(u32, usize)>; 3] = Default::default();
        for (alias, (priority, size)) in samples.into_iter().enumerate() {
            queues.push(ALL[priority], sample(alias as u32, size));
            expected[priority].push((alias as u32, size));
        }
        let place = |alias: u32| expected.iter().position(|all| all.iter().any(|(a, _)| *a == alias)).unwrap();
        let mut got: [Vec<(u32, usize)>; 3] = Default::default();
        let (mut open, mut passed) = ([None; 3], [0; 3]);
        while let Some(cut) = queues.next(whole, piece) {
            let queue = place(cut.alias);
            prop_assert!(cut.bytes.len() <= piece.max(whole));
            prop_assert!(cut.bytes.iter().all(|byte| *byte == cut.alias as u8));
            match open[queue] {
                None => prop_assert!(cut.first),
                Some((alias, left)) => {
                    prop_assert!(!cut.first);
                    prop_assert_eq!((alias, left), (cut.alias, cut.bytes.len() + cut.left));
                }
            }
            if cut.first { got[queue].push((cut.alias, cut.bytes.len() + cut.left)); }
            open[queue] = (cut.left > 0).then_some((cut.alias, cut.left));
            let size = cut.bytes.len() + HEAD;
            for other in 0..3 {
                passed[other] = if other == queue || queues.queues[other].waiting.is_empty() { 0 } else { passed[other] + size };
                // Two rounds of the others at most: one it is in, one that it waits for.
                prop_assert!(passed[other] <= 2 * 13 * (piece.max(whole) + HEAD), "{:?}", passed);
            }
        }
        prop_assert_eq!(got, expected);
    }
}
