//! How long a sample waited at its sender, in one byte.

/// A span as a number with 4 bits of exponent and 4 of mantissa, in units of 64 µs: cut off, exact below
/// 2 ms, within 1/16 above, and at most 32.5 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Age(pub(crate) u8);

impl Age {
    /// The largest age that says no more than `micros`.
    pub(crate) const fn of(micros: u64) -> Self {
        let units = micros / UNIT;
        if units < 16 {
            return Self(units as u8);
        }
        // The leading one lands on bit 4 and, added, counts the exponent up by one.
        let shift = 59 - units.leading_zeros();
        if shift > 14 {
            return Self(0xFF);
        }
        Self(((shift as u8) << 4) + (units >> shift) as u8)
    }

    /// The span it says, in microseconds.
    pub(crate) const fn micros(self) -> u64 {
        let (exponent, mantissa) = (self.0 >> 4, (self.0 & 0x0F) as u64);
        match exponent {
            0 => mantissa * UNIT,
            exponent => ((16 + mantissa) << (exponent - 1)) * UNIT,
        }
    }
}

const UNIT: u64 = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ages_rise_and_come_back() {
        let spans: Vec<u64> = (0..=u8::MAX).map(|byte| Age(byte).micros()).collect();
        assert!(spans.windows(2).all(|pair| pair[0] < pair[1]));
        for (byte, &span) in spans.iter().enumerate() {
            assert_eq!(usize::from(Age::of(span).0), byte);
            if let Some(next) = spans.get(byte + 1) {
                assert_eq!(usize::from(Age::of(next - 1).0), byte, "cut off");
            }
        }
        assert_eq!(Age(0xFF).micros(), 31 * (1 << 14) * 64);
        assert_eq!(Age::of(u64::MAX), Age(0xFF));
    }

    proptest! {
        #[test]
        fn an_age_is_cut_off_by_less_than_a_sixteenth(micros in 0..32_000_000u64) {
            let said = Age::of(micros).micros();
            prop_assert!(said <= micros && micros - said < (micros / 16).max(64));
        }
    }
}
