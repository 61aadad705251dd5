//! Any frames, over any connections that break anywhere and go on from any earlier frame.

use super::*;
use crate::wire::fragment::put_fragment_head;
use proptest::prelude::*;
use proptest::sample::Index;

const ALIASES: usize = 3;

/// A frame of the path of samples, as its sender keeps it.
struct Kept {
    alias: usize,
    /// The number of the sample it is of, or of the first that is missing.
    number: u64,
    bytes: Vec<u8>,
    /// A sample begins with it, or some are missing.
    begins: bool,
    what: What,
}

#[derive(Clone)]
enum What {
    /// More of it is to come.
    Piece,
    Sample(Vec<u8>),
    Gap(u64),
    Lost(u64),
}

/// What a sender does next under an alias.
#[derive(Clone, Debug)]
enum Turn {
    /// A sample, whole.
    Whole(usize),
    /// A sample in pieces of so many bytes, or the next piece of the one that is begun.
    Piece(usize),
    Gap(u64),
    Lost(u64),
}

fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        6 => (0..60usize).prop_map(Turn::Whole),
        1 => (LARGE..LARGE + 3000).prop_map(Turn::Whole),
        6 => (1..900usize).prop_map(Turn::Piece),
        3 => (LARGE..LARGE + 3000).prop_map(Turn::Piece),
        1 => (1..4u64).prop_map(Turn::Gap),
        1 => (1..4u64).prop_map(Turn::Lost),
    ]
}

/// One connection: from how far back it goes on, where it breaks, how its bytes come, and under which alias the sender
/// has lost how much.
#[derive(Clone, Debug)]
struct Link {
    back: Index,
    breaks: Index,
    at_once: usize,
    handed: Index,
    loses: Option<(usize, usize)>,
}

fn link() -> impl Strategy<Value = Link> {
    let loses = prop::option::weighted(0.3, (0..ALIASES, 0..6usize));
    let at_once = prop_oneof![1..40usize, 3000..9000usize, Just(usize::MAX)];
    (any::<Index>(), any::<Index>(), at_once, any::<Index>(), loses)
        .prop_map(|(back, breaks, at_once, handed, loses)| Link { back, breaks, at_once, handed, loses })
}

/// What the sender keeps of these turns; what was begun is ended.
fn row(turns: &[(usize, Turn)]) -> Vec<Kept> {
    // What comes in pieces: under the last alias, some of them are large.
    let sizes: [usize; ALIASES] = [2000, 2000, 3 * LARGE];
    let (mut row, mut next, mut begun) = (Vec::new(), [0; ALIASES], [0; ALIASES]);
    let payload = |alias: usize, number: u64, size: usize| -> Vec<u8> {
        (0..size).map(|at| (at as u64 * 7 + number * 31 + alias as u64) as u8).collect()
    };
    let rest = (0..ALIASES).map(|alias| (alias, Turn::Piece(sizes[alias]))).collect::<Vec<_>>();
    for (place, (alias, turn)) in turns.iter().chain(&rest).cloned().enumerate() {
        let (number, from, sample) = (next[alias], begun[alias], sizes[alias]);
        if place >= turns.len() && from == 0 {
            continue;
        }
        let mut keep = |bytes, begins, what| row.push(Kept { alias, number, bytes, begins, what });
        let count = match turn {
            Turn::Piece(size) => {
                let to = (from + size).min(sample);
                let (whole, mut bytes) = (payload(alias, number, sample), Vec::new());
                let first = (from == 0).then_some(Stamp(1));
                put_fragment_head(&mut bytes, alias as u32, first, (sample - to) as u32, to - from);
                bytes.extend_from_slice(&whole[from..to]);
                begun[alias] = to % sample;
                let what = if to == sample { What::Sample(whole) } else { What::Piece };
                keep(bytes, from == 0, what);
                u64::from(to == sample)
            }
            // One that is begun is given up by a GAP, and goes on with anything else.
            Turn::Gap(count) => {
                begun[alias] = 0;
                keep(frame(&Control::Gap { alias: alias as u32, count }), true, What::Gap(count));
                count
            }
            _ if from > 0 => 0,
            Turn::Whole(size) => {
                let payload = payload(alias, number, size);
                keep(message(alias as u32, &payload), true, What::Sample(payload));
                1
            }
            Turn::Lost(count) => {
                keep(frame(&Control::Lost { alias: alias as u32, count }), true, What::Lost(count));
                count
            }
        };
        next[alias] += count;
    }
    row
}

/// What a receiver has to make of it.
#[derive(Default, Debug, PartialEq)]
struct Came {
    sequence: u64,
    samples: Vec<(u64, Vec<u8>)>,
    lost_there: u64,
    lost_on_the_way: u64,
}

impl Came {
    fn at(&mut self, number: u64) {
        self.lost_on_the_way += number.saturating_sub(self.sequence);
        self.sequence = self.sequence.max(number);
    }

    fn take(&mut self, kept: &Kept) {
        let new = |count: u64, sequence: u64| (kept.number + count).saturating_sub(sequence);
        match &kept.what {
            What::Piece => {}
            What::Sample(payload) if kept.number == self.sequence => {
                self.samples.push((kept.number, payload.clone()));
                self.sequence += 1;
            }
            What::Sample(_) => assert!(kept.number < self.sequence),
            What::Gap(count) => {
                let count = new(*count, self.sequence);
                self.lost_there += count;
                self.sequence += count;
            }
            What::Lost(count) => {
                let count = new(*count, self.sequence);
                self.lost_on_the_way += count;
                self.sequence += count;
            }
        }
    }
}

/// A sender, what it is known to have brought over, and what it kept.
struct Sender {
    row: Vec<Kept>,
    came: [Came; ALIASES],
    /// How much of the row came.
    here: usize,
    /// From where on it is kept under each alias.
    kept_from: [usize; ALIASES],
}

impl Sender {
    /// What comes over one connection.
    fn connect(&mut self, link: &Link, is_last: bool) -> Vec<u8> {
        let Self { row, came, here, kept_from } = self;
        let from = link.back.index(*here + 1);
        if let Some((alias, skip)) = link.loses {
            // It goes on with a sample that was not begun.
            let begins = |place: &usize| row[*place].alias == alias && row[*place].begins;
            kept_from[alias] = (*here..row.len()).filter(begins).nth(skip).unwrap_or(kept_from[alias]);
        }
        let mut bytes = frame(&Control::Time(Timestamp::from_micros(1000)));
        let (mut told, mut ends) = ([false; ALIASES], Vec::new());
        for (place, kept) in row.iter().enumerate().skip(from) {
            if place >= kept_from[kept.alias] {
                if !std::mem::replace(&mut told[kept.alias], true) {
                    let (alias, number) = (kept.alias as u32, kept.number);
                    bytes.extend(frame(&Control::At { alias, number }));
                    ends.push((bytes.len(), place, true));
                }
                bytes.extend_from_slice(&kept.bytes);
            }
            ends.push((bytes.len(), place, false));
        }
        let breaks = if is_last { bytes.len() } else { link.breaks.index(bytes.len() + 1) };
        for (_, place, is_at) in ends.iter().filter(|(end, ..)| *end <= breaks) {
            let kept = &row[*place];
            let came = &mut came[kept.alias];
            if *is_at {
                came.at(kept.number);
                continue;
            }
            if *place >= kept_from[kept.alias] {
                came.take(kept);
            }
            *here = (*here).max(place + 1);
        }
        bytes.truncate(breaks);
        bytes
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn each_sample_comes_once_in_order_and_each_loss_is_counted_once(
        turns in prop::collection::vec((0..ALIASES, turn()), 0..60),
        links in prop::collection::vec(link(), 0..8),
        last in any::<Index>(),
    ) {
        let (came, here, kept_from) = Default::default();
        let mut sender = Sender { row: row(&turns), came, here, kept_from };
        let script = Script::new(1 << 20);
        let (line, _inputs) = scripted(&script);
        drop(Reader::new(&line, MAX_FRAME));
        let deliveries = [Delivery::Queue(1000), Delivery::Lossless(1000), Delivery::Queue(1000)];
        let inlets: Vec<_> =
            (0..).zip(deliveries).map(|(alias, delivery)| open(&line, alias, delivery)).collect();
        let mut read: [Vec<(u64, Vec<u8>)>; ALIASES] = Default::default();
        let end = Link { back: last, breaks: last, at_once: usize::MAX, handed: last, loses: None };
        for (turn, link) in links.iter().chain([&end]).enumerate() {
            let bytes = sender.connect(link, turn == links.len());
            let (handed, rest) = bytes.split_at(link.handed.index(bytes.len() + 1));
            script.say(rest, link.at_once);
            read_to_end(&mut Reader::resumed(&line, MAX_FRAME, handed));
            for (read, (inbox, _)) in read.iter_mut().zip(&inlets) {
                read.extend(read_all(inbox));
            }
        }
        for ((came, read), (inbox, source)) in sender.came.iter().zip(read).zip(&inlets) {
            let lost = (source.lost_there(), source.lost_on_the_way(), source.lost_here());
            prop_assert_eq!(&came.samples, &read);
            prop_assert_eq!((came.lost_there, came.lost_on_the_way, 0), lost);
            prop_assert_eq!(inbox.counts().received, read.len() as u64);
        }
    }
}
