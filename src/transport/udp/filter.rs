//! What the system itself drops of a group: a program for its packet filter, as classic BPF.
//!
//! A datagram that wakes nobody costs its receiver a hundredth of one that is received and dropped.

use crate::wire::group::{Digest, SAMPLE_START};

/// One instruction: code, how far to jump if true and if false, operand.
pub(super) type Instruction = (u16, u8, u8, u32);

/// Lets through whatever is no sample, and the samples whose digest begins as one of these does.
pub(super) fn program(wanted: &[Digest]) -> Vec<Instruction> {
    let mut beginnings: Vec<u32> = wanted.iter().map(|digest| word(&digest.0)).collect();
    beginnings.sort_unstable();
    beginnings.dedup();
    let mut program = vec![
        // Too short for a digest: the reader looks at it and counts it.
        (LENGTH, 0, 0, 0),
        (AT_LEAST, 1, 0, UDP_HEAD + 8),
        (END, 0, 0, ALL),
        (LOAD, 0, 0, UDP_HEAD),
        (EQUAL, 1, 0, word(&SAMPLE_START)),
        (END, 0, 0, ALL),
        (LOAD, 0, 0, UDP_HEAD + 4),
    ];
    for beginning in beginnings {
        program.extend([(EQUAL, 0, 1, beginning), (END, 0, 0, ALL)]);
    }
    program.push((END, 0, 0, 0));
    program
}

fn word(bytes: &[u8]) -> u32 {
    bytes.iter().take(4).fold(0, |word, byte| word << 8 | u32::from(*byte))
}

/// A filter of a UDP socket sees its head too.
const UDP_HEAD: u32 = 8;
/// The whole datagram passes.
const ALL: u32 = u32::MAX;

// BPF_LD with BPF_LEN, BPF_LD with BPF_ABS, BPF_JMP with BPF_JGE and BPF_JEQ, BPF_RET.
const LENGTH: u16 = 0x80;
const LOAD: u16 = 0x20;
const AT_LEAST: u16 = 0x35;
const EQUAL: u16 = 0x15;
const END: u16 = 0x06;

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a program lets a datagram through, as the system runs it.
    fn passes(program: &[Instruction], payload: &[u8]) -> bool {
        let datagram = [&[0; UDP_HEAD as usize], payload].concat();
        let (mut at, mut value) = (0, 0);
        loop {
            let (code, yes, no, operand) = program[at];
            at += 1;
            match code {
                LENGTH => value = datagram.len() as u32,
                LOAD => value = word(&datagram[operand as usize..operand as usize + 4]),
                AT_LEAST => at += usize::from(if value >= operand { yes } else { no }),
                EQUAL => at += usize::from(if value == operand { yes } else { no }),
                _ => return operand > 0,
            }
        }
    }

    #[test]
    fn only_samples_nobody_wants_are_dropped() {
        let digest = |first: u8| Digest(std::array::from_fn(|at| first + at as u8));
        let sample = |digest: Digest| [&SAMPLE_START[..], &digest.0, &[0; 20]].concat();
        for wanted in [&[][..], &[digest(1)], &[digest(9), digest(1), digest(9)]] {
            let program = program(wanted);
            assert!(program.len() <= 8 + 2 * wanted.len());
            for first in 0..20 {
                let is_wanted = wanted.contains(&digest(first));
                assert_eq!(passes(&program, &sample(digest(first))), is_wanted, "{first}");
            }
            // Announcements, and what is none of ours, are for the reader.
            for other in
                [&b"BG\x01\x02 and more"[..], b"BG\x02\x01 and more", b"GET / HTTP", b"BG\x01\x01", b""]
            {
                assert!(passes(&program, other), "{other:?}");
            }
        }
    }
}
