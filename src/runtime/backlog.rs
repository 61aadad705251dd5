//! What the reader of one line has for the dispatcher.

use super::input::LineInput;
use crate::sync::{Condvar, Mutex, is_simulated};
use std::collections::VecDeque;
use std::time::Duration;

/// A queue bounded by what its inputs hold in memory, so that a peer that floods tables waits before it
/// costs much, and by their number.
#[derive(Default)]
pub(super) struct Backlog {
    waiting: Mutex<Waiting>,
    /// Raised when one was taken, or nobody will.
    room: Condvar,
}

#[derive(Default)]
struct Waiting {
    inputs: VecDeque<(LineInput, usize)>,
    bytes: usize,
}

impl Waiting {
    fn has_room(&self, cost: usize) -> bool {
        self.inputs.is_empty() || (self.inputs.len() < LINE_INPUTS && self.bytes + cost <= INPUT_BYTES)
    }

    fn push(&mut self, input: LineInput, cost: usize) {
        self.bytes += cost;
        self.inputs.push_back((input, cost));
    }
}

impl Backlog {
    /// Adds an input once there is room. False if nobody takes inputs any more, as `given_up` says.
    pub(super) fn put(&self, input: LineInput, given_up: impl Fn() -> bool) -> bool {
        let cost = input.cost();
        let mut waiting = self.waiting.lock();
        loop {
            if given_up() {
                return false;
            }
            // In a simulated world nobody would make room meanwhile, and the reader is not asked again before.
            if waiting.has_room(cost) || is_simulated() {
                waiting.push(input, cost);
                return true;
            }
            self.room.wait_for(&mut waiting, PATIENCE);
        }
    }

    /// Adds an input if there is room.
    pub(super) fn try_put(&self, input: LineInput) -> bool {
        let cost = input.cost();
        let mut waiting = self.waiting.lock();
        let room = waiting.has_room(cost);
        if room {
            waiting.push(input, cost);
        }
        room
    }

    pub(super) fn take(&self) -> Option<LineInput> {
        let mut waiting = self.waiting.lock();
        let (input, cost) = waiting.inputs.pop_front()?;
        waiting.bytes -= cost;
        drop(waiting);
        self.room.notify_one();
        Some(input)
    }

    /// Whoever waits for room looks whether it was given up.
    pub(super) fn give_up(&self) {
        self.room.notify_all();
    }
}

/// How many inputs of one line may wait for the dispatcher.
const LINE_INPUTS: usize = 64;

/// How many bytes they may hold, once decoded; one is taken whatever it holds. With the one the reader
/// waits with and the one the dispatcher is at, each of some 700 KiB at most, that is below 4 MiB.
const INPUT_BYTES: usize = 2 << 20;

/// How long a reader waits before it looks again whether the line was given up.
const PATIENCE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::{Reason, ReasonCode};
    use crate::time::Timestamp;
    use crate::wire::control::Control;
    use crate::wire::{decode, kind};

    /// The tables that hold most once decoded: as many entries as fit a frame, or as many as are allowed.
    fn tables() -> [Control; 2] {
        // 2978 of 22 bytes each.
        let mut adds = vec![0xA2, 0x17];
        for id in 128..128 + 2978_u32 {
            adds.extend_from_slice(&[0, id as u8 | 0x80, (id >> 7) as u8, 0, 1, b'T', 1, b'a']);
            adds.extend_from_slice(&[0; 8 + 1 + 4 + 1]);
        }
        let removals = [0x80, 0x20].into_iter().chain([2, 0].repeat(4096)).collect::<Vec<u8>>();
        [
            decode(kind::INTENTS, &removals).expect("removals"),
            decode(kind::INTENTS, &adds).expect("additions"),
        ]
    }

    #[test]
    fn tables_wait_by_what_they_hold_in_memory() {
        for table in tables() {
            let backlog = Backlog::default();
            let input = || LineInput::Control(Timestamp::ZERO, table.clone());
            let cost = input().cost();
            assert!((100 << 10..1 << 20).contains(&cost), "{cost} bytes");
            let taken = (0..1000).take_while(|_| backlog.try_put(input())).count();
            assert!((2..20).contains(&taken), "{taken} of {cost} bytes");
            assert!(taken * cost <= INPUT_BYTES && (taken + 1) * cost > INPUT_BYTES);
            assert!(backlog.take().is_some() && backlog.try_put(input()) && !backlog.try_put(input()));
        }
    }

    #[test]
    fn small_inputs_wait_by_their_number_and_a_reader_that_was_given_up_does_not() {
        let backlog = Backlog::default();
        let input = || LineInput::Lost(Reason::new(ReasonCode::Lost, "x"));
        assert_eq!((0..1000).take_while(|_| backlog.try_put(input())).count(), LINE_INPUTS);
        assert!(!backlog.put(input(), || true));
        std::thread::scope(|scope| {
            let putting = scope.spawn(|| backlog.put(input(), || false));
            assert!(backlog.take().is_some());
            assert!(putting.join().expect("puts"));
        });
        assert_eq!(std::iter::from_fn(|| backlog.take()).count(), LINE_INPUTS);
    }
}
