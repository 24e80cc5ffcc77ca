//! Decimal text to whole numbers and back, exactly.
//!
//! A price of `61809.50` at 2 decimals is the integer 6180950. Floats would round, compare unequal
//! where the exchange means the same level, and break every checksum; integers cost 6 ns.
//!
//! Knows nothing of books or venues: who calls it says how many decimals a symbol has.

use std::fmt;

/// The most decimals that a value may have: 10^18 still fits the integers used here.
pub const DECIMALS_MAX: u32 = 18;

/// How many digits after the point the prices and the quantities of a market have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decimals {
    /// Digits after the point of a price.
    pub price: u32,
    /// Digits after the point of a quantity.
    pub quantity: u32,
}

impl Decimals {
    /// Enough for every price and quantity of Binance spot, which always sends eight.
    pub const EIGHT: Self = Self {
        price: 8,
        quantity: 8,
    };
}

/// Why a text is not a decimal number that can be held exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecimalError {
    /// There is a character that is neither a digit nor the one point, or no digit at all.
    NotANumber,
    /// It has digits other than 0 beyond the given number of decimals.
    TooPrecise {
        /// The number of decimals that was allowed.
        decimals: u32,
    },
    /// It does not fit 63 bits at the given number of decimals.
    TooLarge {
        /// The number of decimals that was asked for.
        decimals: u32,
    },
    /// The text is longer than a book keeps of a price or a quantity.
    TooLong,
}

impl fmt::Display for DecimalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotANumber => f.write_str("a price or quantity is not a decimal number"),
            Self::TooPrecise { decimals } => {
                write!(
                    f,
                    "a price or quantity has more than {decimals} decimals; raise them with `--decimals`"
                )
            }
            Self::TooLarge { decimals } => {
                write!(
                    f,
                    "a price or quantity does not fit 63 bits at {decimals} decimals; lower them with `--decimals`"
                )
            }
            Self::TooLong => {
                f.write_str("a price or quantity has more characters than any venue sends")
            }
        }
    }
}

impl std::error::Error for DecimalError {}

/// Reads `text` as a number without a sign, in units of 10^-`decimals`.
///
/// # Errors
/// `text` is no such number, or cannot be held exactly.
pub fn parse(text: &[u8], decimals: u32) -> Result<i64, DecimalError> {
    let mut value = 0i64;
    let mut digits = 0u32;
    let mut after_point: Option<u32> = None;
    for &byte in text {
        match byte {
            b'0'..=b'9' => {
                digits += 1;
                if let Some(count) = &mut after_point {
                    if *count == decimals {
                        if byte != b'0' {
                            return Err(DecimalError::TooPrecise { decimals });
                        }
                        continue;
                    }
                    *count += 1;
                }
                value = shift_in(value, byte - b'0', decimals)?;
            }
            b'.' if after_point.is_none() => after_point = Some(0),
            _ => return Err(DecimalError::NotANumber),
        }
    }
    if digits == 0 {
        return Err(DecimalError::NotANumber);
    }
    for _ in after_point.unwrap_or(0)..decimals {
        value = shift_in(value, 0, decimals)?;
    }
    Ok(value)
}

/// Reads the number at the front of `text` if it is one of the usual shape: digits, and at most `decimals` behind a
/// point. What it is worth, and how many bytes it has; `None` for every other, which [`parse`] judges.
#[inline]
#[must_use]
pub fn leading(text: &[u8], decimals: u32) -> Option<(i64, usize)> {
    /// So many digits, with as many zeros behind them, fit 63 bits.
    const LEN_MAX: usize = 18;
    let mut value = 0_u64;
    let mut len = 0;
    let mut point = None;
    for &byte in text.iter().take(LEN_MAX) {
        let digit = byte.wrapping_sub(b'0');
        if digit <= 9 {
            value = value * 10 + u64::from(digit);
        } else if byte == b'.' && point.is_none() {
            point = Some(len);
        } else {
            break;
        }
        len += 1;
    }
    let behind = point.map_or(0, |point| len - point - 1);
    let digits = len - usize::from(point.is_some());
    let missing = decimals.checked_sub(u32::try_from(behind).ok()?)?;
    if digits == 0 || digits + missing as usize > LEN_MAX || len == LEN_MAX {
        return None;
    }
    let value = value * POWERS_OF_10[missing as usize];
    i64::try_from(value).ok().map(|value| (value, len))
}

/// As many as there can be decimals.
const POWERS_OF_10: [u64; DECIMALS_MAX as usize + 1] = {
    let mut powers = [1; DECIMALS_MAX as usize + 1];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
};

fn shift_in(value: i64, digit: u8, decimals: u32) -> Result<i64, DecimalError> {
    value
        .checked_mul(10)
        .and_then(|tens| tens.checked_add(i64::from(digit)))
        .ok_or(DecimalError::TooLarge { decimals })
}

/// A whole number shown as the decimal it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fixed {
    /// The number, in units of 10^-`decimals`.
    pub value: i64,
    /// Digits after the point.
    pub decimals: u32,
}

impl fmt::Display for Fixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scale = 10u64.pow(self.decimals.min(DECIMALS_MAX));
        let magnitude = self.value.unsigned_abs();
        let sign = if self.value < 0 { "-" } else { "" };
        if self.decimals == 0 {
            return write!(f, "{sign}{magnitude}");
        }
        let (whole, part) = (magnitude / scale, magnitude % scale);
        write!(
            f,
            "{sign}{whole}.{part:0width$}",
            width = self.decimals.min(DECIMALS_MAX) as usize
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_becomes_ticks_and_text_again() {
        for (text, decimals, ticks) in [
            ("61809.50", 2, 6_180_950),
            ("61809.5", 2, 6_180_950),
            ("61809", 2, 6_180_900),
            ("0.001", 3, 1),
            ("0.00000000", 8, 0),
            ("1001", 0, 1001),
            (".5", 1, 5),
            ("5.", 1, 50),
            ("1.500", 1, 15),
        ] {
            assert_eq!(
                parse(text.as_bytes(), decimals),
                Ok(ticks),
                "{text} at {decimals}"
            );
        }
        assert_eq!(
            Fixed {
                value: 6_180_950,
                decimals: 2
            }
            .to_string(),
            "61809.50"
        );
        assert_eq!(
            Fixed {
                value: 5,
                decimals: 3
            }
            .to_string(),
            "0.005"
        );
        assert_eq!(
            Fixed {
                value: -5,
                decimals: 0
            }
            .to_string(),
            "-5"
        );
    }

    #[test]
    fn what_cannot_be_held_exactly_is_refused() {
        use DecimalError::{NotANumber, TooLarge, TooPrecise};
        for (text, decimals, error) in [
            ("", 2, NotANumber),
            (".", 2, NotANumber),
            ("-1", 2, NotANumber),
            ("1e5", 2, NotANumber),
            ("1.2.3", 2, NotANumber),
            ("NaN", 2, NotANumber),
            ("0.001", 2, TooPrecise { decimals: 2 }),
            ("92233720368547758.08", 2, TooLarge { decimals: 2 }),
            ("10", 18, TooLarge { decimals: 18 }),
        ] {
            assert_eq!(
                parse(text.as_bytes(), decimals),
                Err(error),
                "{text} at {decimals}"
            );
        }
        assert_eq!(parse(b"92233720368547758.07", 2), Ok(i64::MAX));
    }
}
