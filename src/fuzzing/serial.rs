//! Bytes of anybody on a serial line.

use super::choices::Choices;
use crate::wire::cobs::{Deframer, Found, encode};

/// The largest content of a packet here: small, so that the bounds are met often.
const BOUND: usize = 300;

/// Packets, text and rubbish as the bytes of a line. Nothing is found that is larger than it may be; every byte
/// is given out, or is kept, within the bound; the same is found wherever the line is cut; and a packet
/// between zeros is found, whatever is around it.
///
/// # Panics
/// Where one of these is not so.
pub fn serial(input: &[u8]) {
    let mut choices = Choices::new(input);
    let (mut line, mut sure) = (Vec::new(), Vec::new());
    for _ in 0..choices.below(12) {
        piece(&mut choices, &mut line, &mut sure);
    }
    let whole = find_all(&[&line]);
    let mut packets = whole.iter().filter_map(|thing| match thing {
        Thing::Packet(content) => Some(content),
        Thing::Other(_) => None,
    });
    for content in &sure {
        assert!(packets.any(|packet| packet == content), "a whole packet was passed over: {content:?}");
    }
    let mut rest = &line[..];
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let length = 1 + choices.below(rest.len().min(700) as u64) as usize;
        let (part, after) = rest.split_at(length);
        parts.push(part);
        rest = after;
    }
    assert_eq!(find_all(&parts), whole, "another cut finds something else");
}

/// Appends something to the line; to `sure` what must be found.
fn piece(choices: &mut Choices<'_>, line: &mut Vec<u8>, sure: &mut Vec<Vec<u8>>) {
    let length = choices.below(BOUND as u64 + 1) as usize;
    match choices.below(4) {
        0 => line.extend((0..length * 4).map(|_| choices.u8())),
        1 => line.extend(std::iter::repeat_n(choices.u8(), length * 8)),
        kind => {
            let zeros = choices.below(3) == 0;
            let byte = |choices: &mut Choices<'_>| if zeros { choices.u8() & 1 } else { choices.u8() };
            let content: Vec<u8> = (0..length.max(1)).map(|_| byte(choices)).collect();
            if kind == 2 {
                // What may stand before it is ended.
                line.push(0);
                encode(&content, line);
                sure.push(content);
            } else {
                let begin = line.len();
                encode(&content, line);
                let at = begin + choices.below((line.len() - begin) as u64) as usize;
                line[at] ^= 1 << choices.below(8);
            }
        }
    }
}

#[derive(Debug, PartialEq)]
enum Thing {
    Packet(Vec<u8>),
    Other(Vec<u8>),
}

fn find_all(parts: &[&[u8]]) -> Vec<Thing> {
    let mut deframer = Deframer::new(BOUND);
    let mut things = Vec::new();
    for part in parts {
        let mut rest = *part;
        loop {
            match deframer.next(&mut rest) {
                None => break assert!(rest.is_empty(), "bytes are left behind"),
                Some(Found::Packet(content)) => {
                    assert!((1..=BOUND).contains(&content.len()), "{} bytes", content.len());
                    things.push(Thing::Packet(content.to_vec()));
                }
                Some(Found::Text(bytes) | Found::Broken(bytes) | Found::Overlong { bytes, .. }) => {
                    assert!(!bytes.is_empty(), "nothing was found, and told");
                    things.push(Thing::Other(bytes.to_vec()));
                }
            }
        }
    }
    things.push(Thing::Other(deframer.pending().to_vec()));
    things
}
