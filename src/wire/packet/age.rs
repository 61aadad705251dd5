//! How long a sample waited at its sender: in one byte, unless it is old.

use crate::wire::varint;

/// A span. Below a second it is a number with 4 bits of exponent and 4 of mantissa, in units of 64 µs: cut
/// off, exact below 2 ms, within 1/16 above. A longer one is exact, as a sample that was retained may be hours old.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Age {
    byte: u8,
    /// In microseconds, where the byte is [`LONG`].
    long: u64,
}

impl Age {
    /// The largest age that says no more than `micros`.
    pub(crate) const fn of(micros: u64) -> Self {
        if micros >= SHORT {
            return Self { byte: LONG, long: micros };
        }
        let units = micros / UNIT;
        if units < 16 {
            return Self { byte: units as u8, long: 0 };
        }
        // The leading one lands on bit 4 and, added, counts the exponent up by one.
        let shift = 59 - units.leading_zeros();
        Self { byte: ((shift as u8) << 4) + (units >> shift) as u8, long: 0 }
    }

    /// What a byte other than [`LONG`] says.
    pub(super) const fn from_byte(byte: u8) -> Self {
        Self { byte, long: 0 }
    }

    /// What stands behind a byte of [`LONG`].
    pub(super) const fn from_long(micros: u64) -> Self {
        Self { byte: LONG, long: micros }
    }

    /// The span it says, in microseconds.
    pub(crate) const fn micros(self) -> u64 {
        let (exponent, mantissa) = (self.byte >> 4, (self.byte & 0x0F) as u64);
        match (self.byte, exponent) {
            (LONG, _) => self.long,
            (_, 0) => mantissa * UNIT,
            (_, exponent) => ((16 + mantissa) << (exponent - 1)) * UNIT,
        }
    }

    /// How many bytes it takes.
    pub(crate) const fn len(self) -> usize {
        if self.byte == LONG { 1 + varint::len(self.long) } else { 1 }
    }

    #[inline]
    pub(super) fn put(self, out: &mut Vec<u8>) {
        out.push(self.byte);
        if self.byte == LONG {
            varint::put(out, self.long);
        }
    }
}

/// The byte behind which the span stands as it is.
pub(super) const LONG: u8 = 0xFF;

/// From here on a span is sent as it is, in microseconds.
const SHORT: u64 = 1_000_000;

const UNIT: u64 = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ages_rise_and_come_back() {
        let spans: Vec<u64> = (0..LONG).map(|byte| Age::from_byte(byte).micros()).collect();
        assert!(spans.windows(2).all(|pair| pair[0] < pair[1]));
        for (byte, &span) in spans.iter().enumerate().filter(|(_, span)| **span < SHORT) {
            assert_eq!(Age::of(span), Age::from_byte(byte as u8));
            assert_eq!(Age::of((spans[byte + 1] - 1).min(SHORT - 1)), Age::from_byte(byte as u8), "cut off");
        }
        for micros in [SHORT, u64::MAX] {
            assert_eq!(Age::of(micros), Age::from_long(micros));
        }
    }

    proptest! {
        #[test]
        fn an_age_is_cut_off_by_less_than_a_sixteenth(micros in prop_oneof![0..2_000_000u64, any::<u64>()]) {
            let age = Age::of(micros);
            let said = age.micros();
            prop_assert!(said <= micros && micros - said < (micros / 16).max(64));
            let mut out = Vec::new();
            age.put(&mut out);
            prop_assert_eq!(out.len(), age.len());
        }
    }
}
