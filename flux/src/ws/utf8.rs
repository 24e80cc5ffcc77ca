//! Whether text is UTF-8: a whole message, or one that comes in parts.
//!
//! A fault is found in the part that it lies in. Knows nothing of frames, nor where the parts are kept.

use super::error::Violation;

/// The text in bytes that were found to be UTF-8.
#[inline]
pub(super) fn checked(bytes: &[u8]) -> Result<&str, Violation> {
    simdutf8::basic::from_utf8(bytes).map_err(|_| Violation::Utf8)
}

/// A character of UTF-8 has at most so many bytes.
const CHARACTER_MAX: usize = 4;

/// A text in parts: keeps the beginning of the character that the last part ended in.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Utf8 {
    begun: [u8; CHARACTER_MAX],
    len: usize,
}

impl Utf8 {
    /// Takes the next part.
    pub(super) fn feed(&mut self, mut part: &[u8]) -> Result<(), Violation> {
        while self.len > 0 {
            let Some((&byte, rest)) = part.split_first() else {
                return Ok(());
            };
            part = rest;
            self.begun[self.len] = byte;
            self.len += 1;
            match std::str::from_utf8(&self.begun[..self.len]) {
                Ok(_) => self.len = 0,
                // Four bytes are a character or none, so that the next one has room.
                Err(error) if error.error_len().is_none() => {}
                Err(_) => return Err(Violation::Utf8),
            }
        }
        match simdutf8::compat::from_utf8(part) {
            Ok(_) => Ok(()),
            Err(error) if error.error_len().is_none() => {
                let begun = &part[error.valid_up_to()..];
                self.begun[..begun.len()].copy_from_slice(begun);
                self.len = begun.len();
                Ok(())
            }
            Err(_) => Err(Violation::Utf8),
        }
    }

    /// The text ends here, which must not be within a character.
    pub(super) fn end(&mut self) -> Result<(), Violation> {
        match std::mem::take(&mut self.len) {
            0 => Ok(()),
            _ => Err(Violation::Utf8),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the parts are a text, and the part in which a fault was found.
    fn in_parts(parts: &[&[u8]]) -> Result<(), usize> {
        let mut utf8 = Utf8::default();
        for (at, part) in parts.iter().enumerate() {
            utf8.feed(part).map_err(|_| at)?;
        }
        utf8.end().map_err(|_| parts.len())
    }

    #[test]
    fn a_text_is_one_wherever_it_is_cut() {
        let text = "κόσμε, €, 𐍈, \u{10ffff}, and ASCII that is longer than a register of sixty-four bytes is";
        for first in 0..=text.len() {
            for second in first..=text.len() {
                let bytes = text.as_bytes();
                let parts = [&bytes[..first], &bytes[first..second], &bytes[second..]];
                assert_eq!(in_parts(&parts), Ok(()), "cut at {first} and {second}");
            }
        }
    }

    #[test]
    fn a_fault_is_found_in_the_part_where_no_text_can_go_on_any_more() {
        // Above U+10FFFF: known from the second byte on.
        assert_eq!(in_parts(&[b"\xf4", b"\x90", b"\x80\x80"]), Err(1));
        // A surrogate, an overlong form, bytes that begin nothing, and a character that is cut off.
        assert_eq!(in_parts(&[b"a\xed", b"\xa0", b"\x80"]), Err(1));
        assert_eq!(in_parts(&[b"\xc0", b"\xaf"]), Err(0));
        assert_eq!(in_parts(&[b"ok", b"\x80"]), Err(1));
        assert_eq!(in_parts(&[b"\xe2\x82", b"x"]), Err(1));
        assert_eq!(in_parts(&[b"\xe2", b"\x82"]), Err(2));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_in_any_parts_are_judged_as_std_judges_the_whole(
            bytes in proptest::collection::vec(proptest::sample::select(
                &[b'a', 0x7f, 0x80, 0x8f, 0x90, 0xa0, 0xbf, 0xc2, 0xe0, 0xe2, 0xed, 0xf0, 0xf4, 0xf5][..],
            ), 0..12),
            cuts in proptest::collection::vec(0_usize..12, 0..4),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.sort_unstable();
            let (mut parts, mut from) = (Vec::new(), 0);
            for cut in cuts.into_iter().chain([bytes.len()]) {
                parts.push(&bytes[from..cut]);
                from = cut;
            }
            let found = in_parts(&parts);
            proptest::prop_assert_eq!(found.is_ok(), std::str::from_utf8(&bytes).is_ok());
            // Not before, and not later: what came up to the fault could have been gone on with.
            if let Err(at) = found {
                let before: Vec<u8> = parts[..at].concat();
                let possible = std::str::from_utf8(&before).map_or_else(|e| e.error_len().is_none(), |_| true);
                proptest::prop_assert!(possible);
            }
        }
    }
}
