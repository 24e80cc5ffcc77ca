//! Texts with a unit: `50us` is a time, `64KiB` a size. And a size as a text again.
//!
//! Knows no key.

/// A number with its unit, or what is wrong with it and what to write.
type Reading<T> = Result<T, (String, &'static str)>;

const TIME: &str = "a duration is a whole number and a unit: ns, us, ms, or s";
const SIZE: &str = "a size is a whole number and a unit: B, KiB, MiB, or GiB";

/// Reads `50us` as nanoseconds.
pub(crate) fn nanoseconds(text: &str) -> Reading<u64> {
    let (digits, unit) = split(text);
    let scale = match unit {
        _ if digits.is_empty() => return Err((format!("`{text}` is not a duration"), TIME)),
        "ns" => 1,
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "" => return Err((format!("the duration `{text}` has no unit"), TIME)),
        _ if unit.starts_with(['.', ',', '_']) => {
            return Err((format!("the duration `{text}` is not a whole number"), TIME));
        }
        _ => return Err((format!("`{unit}` is not a unit of time"), TIME)),
    };
    let number: Option<u64> = digits.parse().ok();
    number
        .and_then(|number| number.checked_mul(scale))
        .ok_or_else(|| {
            let message = format!("the duration `{text}` does not fit in 64 bits of nanoseconds");
            (message, "the longest is about 584 years")
        })
}

/// Reads `64KiB` as bytes.
pub(crate) fn bytes(text: &str) -> Reading<usize> {
    let (digits, unit) = split(text);
    let scale = match unit {
        _ if digits.is_empty() => return Err((format!("`{text}` is not a size"), SIZE)),
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "" => return Err((format!("the size `{text}` has no unit"), SIZE)),
        _ if unit.starts_with(['.', ',', '_']) => {
            return Err((format!("the size `{text}` is not a whole number"), SIZE));
        }
        _ => return Err((format!("`{unit}` is not a unit of size"), SIZE)),
    };
    let number: Option<usize> = digits.parse().ok();
    number
        .and_then(|number| number.checked_mul(scale))
        .ok_or_else(|| {
            let message = format!("the size `{text}` does not fit in `usize`");
            (message, "no machine has that much memory")
        })
}

/// `64 KiB` for 65536: the largest unit of which it is a whole number.
pub(crate) fn in_words(bytes: usize) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let whole = units
        .into_iter()
        .find(|(shift, _)| bytes > 0 && bytes.trailing_zeros() >= *shift);
    match whole {
        Some((shift, unit)) => format!("{} {unit}", bytes >> shift),
        None => format!("{bytes} bytes"),
    }
}

/// The digits in front, and the rest.
fn split(text: &str) -> (&str, &str) {
    let digits_end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at_checked(digits_end).unwrap_or((text, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_whole_numbers_with_a_unit() {
        assert_eq!(nanoseconds("50us"), Ok(50_000));
        assert_eq!(nanoseconds("0s"), Ok(0));
        assert_eq!(nanoseconds("5s"), Ok(5_000_000_000));
        for (text, fault) in [
            ("", "`` is not a duration"),
            ("us", "`us` is not a duration"),
            ("-5s", "`-5s` is not a duration"),
            ("50", "the duration `50` has no unit"),
            ("1.5s", "the duration `1.5s` is not a whole number"),
            ("5 s", "` s` is not a unit of time"),
            ("5m", "`m` is not a unit of time"),
            (
                "99999999999s",
                "the duration `99999999999s` does not fit in 64 bits of nanoseconds",
            ),
            (
                "99999999999999999999999s",
                "the duration `99999999999999999999999s` does not fit in 64 bits of nanoseconds",
            ),
        ] {
            let message = nanoseconds(text).map_err(|(message, _)| message);
            assert_eq!(message, Err(fault.to_string()), "{text}");
        }
    }

    #[test]
    fn sizes_are_whole_numbers_with_a_unit() {
        assert_eq!(bytes("4096B"), Ok(4096));
        assert_eq!(bytes("64KiB"), Ok(65536));
        assert_eq!(bytes("1MiB"), Ok(1 << 20));
        assert_eq!(bytes("2GiB"), Ok(2 << 30));
        for (text, fault) in [
            ("", "`` is not a size"),
            ("KiB", "`KiB` is not a size"),
            ("64", "the size `64` has no unit"),
            ("0.5MiB", "the size `0.5MiB` is not a whole number"),
            ("64KB", "`KB` is not a unit of size"),
            ("64k", "`k` is not a unit of size"),
            (
                "99999999999999GiB",
                "the size `99999999999999GiB` does not fit in `usize`",
            ),
        ] {
            let message = bytes(text).map_err(|(message, _)| message);
            assert_eq!(message, Err(fault.to_string()), "{text}");
        }
    }

    #[test]
    fn a_size_is_told_in_its_largest_whole_unit() {
        assert_eq!(in_words(65536), "64 KiB");
        assert_eq!(in_words(1 << 20), "1 MiB");
        assert_eq!(in_words(3 << 30), "3 GiB");
        assert_eq!(in_words(1000), "1000 bytes");
        assert_eq!(in_words(0), "0 bytes");
    }
}
