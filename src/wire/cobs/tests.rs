use super::*;
use proptest::prelude::*;

/// The longest content in these tests: two groups and a bit.
const BOUND: usize = 600;

fn packet(content: &[u8]) -> Vec<u8> {
    let mut line = Vec::new();
    encode(content, &mut line);
    line
}

/// What a deframer finds, `P` before a packet's content, `T` before text, `B` before broken bytes, `O` or `o`
/// before the first or a later part of an overlong block.
fn found(deframer: &mut Deframer, mut bytes: &[u8]) -> Vec<(char, Vec<u8>)> {
    let mut all = Vec::new();
    while let Some(found) = deframer.next(&mut bytes) {
        all.push(match found {
            Found::Packet(content) => ('P', content.to_vec()),
            Found::Text(text) => ('T', text.to_vec()),
            Found::Broken(bytes) => ('B', bytes.to_vec()),
            Found::Overlong { bytes, begins: true } => ('O', bytes.to_vec()),
            Found::Overlong { bytes, begins: false } => ('o', bytes.to_vec()),
        });
    }
    assert!(bytes.is_empty());
    assert!(deframer.block.len() <= 2 * most_encoded(BOUND), "{} bytes held", deframer.block.len());
    all
}

fn sorts(found: &[(char, Vec<u8>)]) -> String {
    found.iter().map(|(sort, _)| *sort).collect()
}

#[test]
fn a_sample_of_32_bytes_costs_9_more() {
    let content: Vec<u8> = [0x20, 5, 0].into_iter().chain(0..32).collect();
    assert_eq!(packet(&content).len(), 32 + 9);
    assert_eq!(most_encoded(content.len()), 32 + 9);
}

#[test]
fn groups_of_254_need_no_zero_between_them() {
    for length in [1, 249, 250, 251, 253, 254, 255, 504, 505, BOUND] {
        for fill in [0, 1, 0xFF] {
            let content = vec![fill; length];
            let line = packet(&content);
            assert!(line.len() <= most_encoded(length), "{length} of {fill}: {}", line.len());
            assert_eq!(line.iter().filter(|byte| **byte == 0).count(), 1);
            assert_eq!(found(&mut Deframer::new(BOUND), &line), [('P', content)]);
        }
    }
}

#[test]
fn an_empty_group_at_the_end_is_taken_too() {
    // 250 bytes whose checksum has no zero fill one group. Some encoders put an empty one behind it.
    let content = vec![7; 250];
    let mut line = packet(&content);
    assert_eq!((line[0], line.len()), (0xFF, 256));
    line.insert(255, 1);
    assert_eq!(found(&mut Deframer::new(BOUND), &line), [('P', content)]);
}

#[test]
fn nothing_and_less_than_a_checksum_is_no_packet() {
    let mut deframer = Deframer::new(BOUND);
    assert_eq!(found(&mut deframer, &[0, 0, 0]), []);
    let empty = packet(&[]);
    assert_eq!(sorts(&found(&mut deframer, &empty)), "B");
    assert_eq!(sorts(&found(&mut deframer, &[3, 1, 2, 0])), "B");
    assert_eq!(sorts(&found(&mut deframer, &[0x80, 1, 2, 0])), "B");
}

#[test]
fn text_is_told_apart_and_costs_no_packet() {
    let boot = b"\r\nU-Boot 2023.01 (Jan 01 2023)\r\nDRAM:  512 MiB\r\n";
    let mut deframer = Deframer::new(BOUND);
    let mut line = boot.to_vec();
    line.extend(packet(b"one"));
    line.extend(b"printf here: 25 \xC2\xB0C\n");
    line.extend(packet(b"two"));
    let all = found(&mut deframer, &line);
    assert_eq!(sorts(&all), "TPTP");
    assert_eq!((&*all[0].1, &*all[1].1, &*all[3].1), (&boot[..], &b"one"[..], &b"two"[..]));
    // However much it is.
    let long: Vec<u8> = boot.iter().copied().cycle().take(100_000).collect();
    let all = found(&mut deframer, &[long, packet(b"three")].concat());
    assert_eq!(
        all.iter().filter(|(sort, _)| *sort == 'T').map(|(_, bytes)| bytes.len()).sum::<usize>(),
        100_000
    );
    assert_eq!(all.last(), Some(&('P', b"three".to_vec())));
    assert_eq!(sorts(&all).trim_start_matches('T'), "P");
}

#[test]
fn text_without_a_zero_can_be_seen_while_it_waits() {
    let mut deframer = Deframer::new(BOUND);
    assert_eq!(found(&mut deframer, b"Press any key"), []);
    assert_eq!(deframer.pending(), b"Press any key");
    assert_eq!(sorts(&found(&mut deframer, &packet(b"one"))), "TP");
    assert_eq!(deframer.pending(), b"");
}

#[test]
fn a_lost_zero_costs_the_packet_it_ended_and_no_other() {
    let (one, two) = (packet(&[1; 300]), packet(&[2; 300]));
    for changed in [&[0x55][..], &[], &[0x55, 0xAA]] {
        let line = [&one[..one.len() - 1], changed, &two, &packet(b"three")].concat();
        let all = found(&mut Deframer::new(BOUND), &line);
        assert_eq!(sorts(&all), "BPP");
        assert_eq!(all[1].1, [2; 300]);
    }
}

#[test]
fn a_block_that_never_ends_is_bounded_and_counted_once() {
    let mut deframer = Deframer::new(BOUND);
    let all = found(&mut deframer, &vec![0xA5; 1 << 20]);
    assert_eq!(sorts(&all).trim_end_matches('o'), "O");
    // It ends at last, and all is well.
    assert_eq!(sorts(&found(&mut deframer, &[0xA5, 0])), "o");
    assert_eq!(sorts(&found(&mut deframer, &packet(b"one"))), "P");
    // A packet that is longer than it may be, by its checksum right.
    let mut small = Deframer::new(64);
    let mut line: &[u8] = &packet(&[3; 65]);
    assert!(matches!(small.next(&mut line), Some(Found::Broken(_))));
    let mut line: &[u8] = &packet(&[3; 500]);
    assert!(matches!(small.next(&mut line), Some(Found::Overlong { begins: true, .. })));
}

/// 10,000 packets with random faults: none is taken that was not sent, none is lost but the damaged ones.
#[test]
fn random_faults_cost_the_packets_they_hit_and_no_other() {
    let seed = std::env::var("BOWLINE_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(41);
    println!("BOWLINE_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut line, mut whole, mut hit) = (Vec::new(), Vec::new(), 0);
    for number in 0..10_000u32 {
        let mut content = number.to_le_bytes().to_vec();
        content.extend((0..random.usize(0..60)).map(|_| random.u8(..)));
        let mut bytes = packet(&content);
        if number > 0 && random.u8(0..5) == 0 {
            hit += 1;
            for _ in 0..random.usize(1..4) {
                let at = random.usize(0..bytes.len());
                match random.u8(0..3) {
                    0 => bytes[at] ^= 1 << random.u8(0..8),
                    1 => drop(bytes.remove(at)),
                    _ => bytes.insert(at, random.u8(..)),
                }
                if bytes.is_empty() {
                    break;
                }
            }
        } else {
            whole.push(number);
        }
        line.extend(bytes);
    }
    let mut taken = Vec::new();
    for (sort, content) in found(&mut Deframer::new(BOUND), &line) {
        if sort == 'P' {
            taken.push(u32::from_le_bytes(content[..4].try_into().unwrap()));
        }
    }
    // Faults can leave a packet as it was: an added zero at its end, say.
    let lost = whole.iter().filter(|number| taken.binary_search(number).is_err()).count();
    println!("10,000 packets, {hit} damaged, {} taken, {lost} undamaged lost", taken.len());
    assert!(taken.is_sorted(), "in order, each once");
    assert!(lost == 0, "{lost} undamaged packets were lost");
    assert!(taken.len() < whole.len() + hit / 10);
}

#[test]
fn bytes_made_to_look_like_beginnings_cost_one_block() {
    // Each of them may begin a packet that ends with the block.
    let mut line = vec![1; most_encoded(BOUND) - 1];
    line.push(0);
    line.extend(packet(b"next"));
    let found = found(&mut Deframer::new(BOUND), &line);
    assert_eq!(found[0].0, 'B');
    assert_eq!(found[1], ('P', b"next".to_vec()));
    assert_eq!(found.len(), 2);
}

proptest! {
    #[test]
    fn every_content_comes_back_whatever_the_pieces(
        contents in prop::collection::vec(prop::collection::vec(
            prop_oneof![Just(0u8), Just(1), Just(255), any::<u8>()], 1..BOUND), 1..6),
        cuts in prop::collection::vec(1usize..700, 1..40),
    ) {
        let line: Vec<u8> = contents.iter().flat_map(|content| packet(content)).collect();
        let mut deframer = Deframer::new(BOUND);
        let (mut rest, mut taken) = (&line[..], Vec::new());
        for cut in cuts.iter().cycle() {
            let (now, later) = rest.split_at(rest.len().min(*cut));
            taken.extend(found(&mut deframer, now));
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        let expected: Vec<_> = contents.into_iter().map(|content| ('P', content)).collect();
        prop_assert_eq!(taken, expected);
    }

    #[test]
    fn any_bytes_are_given_out_once_and_bounded(bytes in prop::collection::vec(any::<u8>(), 0..5000)) {
        let mut deframer = Deframer::new(64);
        let mut input = &bytes[..];
        let mut given = 0;
        while let Some(found) = deframer.next(&mut input) {
            given += match found {
                Found::Packet(content) => { prop_assert!(content.len() <= 64); 0 }
                Found::Text(bytes) | Found::Broken(bytes) | Found::Overlong { bytes, .. } => bytes.len(),
            };
        }
        let zeros = bytes.iter().filter(|byte| **byte == 0).count();
        prop_assert!(given + zeros + deframer.pending().len() <= bytes.len());
    }
}
