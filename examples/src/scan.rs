//! A cursor over one JSON text: no tree, no allocation, no copy.
//!
//! A market-data message is read once, front to back, by code that knows what it wants from it. The
//! cursor hands out slices of the message itself; what is not wanted is skipped, but never unseen:
//! a text that ends too early or is not JSON where it is looked at is a [`ScanError`], so a message
//! is either read to its end or refused.
//!
//! Knows nothing of any exchange. Strings are handed out as they stand between their quotes: prices,
//! quantities, symbols, and ids need no unescaping.

use std::fmt;

/// How deep arrays and objects may nest. Market data nests four deep; the bound keeps a hostile
/// message from eating the stack of the fiber that reads it.
const DEPTH_MAX: u32 = 24;

/// Whole numbers of so many digits fit 64 bits, whichever they are.
const DIGITS_SAFE: usize = 19;

/// The bytes that numbers, `true`, `false` and `null` consist of.
const OF_TOKENS: [bool; 256] = {
    let mut of_tokens = [false; 256];
    let mut byte = 0_u8;
    loop {
        of_tokens[byte as usize] = matches!(
            byte,
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'+' | b'-' | b'.'
        );
        if byte == u8::MAX {
            break of_tokens;
        }
        byte += 1;
    }
};

/// How many bytes at the front are nothing special in a string, as far as eight at a time tell.
#[inline]
fn plain(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    // The lowest byte that is found is one; above it a borrow may show more than there are.
    let zeroes = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    let mut count = 0;
    while let Some(word) = bytes.get(count..).and_then(|rest| rest.first_chunk()) {
        let word = u64::from_le_bytes(*word);
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        let quote = zeroes(word ^ (ONES * u64::from(b'"')));
        let escape = zeroes(word ^ (ONES * u64::from(b'\\')));
        let special = control | quote | escape;
        if special != 0 {
            return count + special.trailing_zeros() as usize / 8;
        }
        count += 8;
    }
    count
}

/// Why a text could not be read as the JSON that was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScanError {
    /// The text ended in the middle of a value.
    Truncated,
    /// Something else stands at byte `at` than what was wanted.
    Unexpected {
        /// Offset in the text, in bytes.
        at: usize,
        /// What would have been right there.
        wanted: &'static str,
    },
    /// Arrays and objects nest deeper than any market-data message does.
    TooDeep,
}

impl fmt::Display for ScanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("the JSON text ends in the middle of a value"),
            Self::Unexpected { at, wanted } => {
                write!(
                    f,
                    "the JSON text has no {wanted} at byte {at}, where one was expected"
                )
            }
            Self::TooDeep => write!(f, "the JSON text nests deeper than {DEPTH_MAX} levels"),
        }
    }
}

impl std::error::Error for ScanError {}

/// A position in a JSON text.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
    depth: u32,
}

impl<'a> Cursor<'a> {
    /// A cursor at the start of `text`.
    #[must_use]
    pub fn new(text: &'a [u8]) -> Self {
        Self {
            text,
            at: 0,
            depth: 0,
        }
    }

    /// The first byte of the value that comes next, or nothing at the end of the text.
    #[inline]
    pub fn peek(&mut self) -> Option<u8> {
        while let Some(&byte) = self.text.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    /// Reads an object, and calls `field` with each key; `field` must read the value or skip it.
    ///
    /// # Errors
    /// What `field` fails with, or the text is no object or ends within it.
    pub fn object<E: From<ScanError>>(
        &mut self,
        mut field: impl FnMut(&'a [u8], &mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.enter(b'{', "object")?;
        if self.close(b'}') {
            return Ok(());
        }
        loop {
            let key = self.string()?;
            self.expect(b':', "colon")?;
            field(key, self)?;
            if self.close(b'}') {
                return Ok(());
            }
            self.expect(b',', "comma or closing brace")?;
        }
    }

    /// Reads an array, and calls `item` at each element; `item` must read the element or skip it.
    ///
    /// # Errors
    /// What `item` fails with, or the text is no array or ends within it.
    pub fn array<E: From<ScanError>>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.enter(b'[', "array")?;
        if self.close(b']') {
            return Ok(());
        }
        loop {
            item(self)?;
            if self.close(b']') {
                return Ok(());
            }
            self.expect(b',', "comma or closing bracket")?;
        }
    }

    /// Reads a string, and returns what stands between its quotes, escapes untouched.
    ///
    /// # Errors
    /// The text has no string here, or ends within it.
    #[inline]
    pub fn string(&mut self) -> Result<&'a [u8], ScanError> {
        self.expect(b'"', "string")?;
        let start = self.at;
        loop {
            self.at += plain(&self.text[self.at.min(self.text.len())..]);
            match self.text.get(self.at) {
                None => return Err(ScanError::Truncated),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(&self.text[start..self.at - 1]);
                }
                Some(b'\\') => self.at += 2,
                Some(0..=0x1f) => {
                    return Err(self.unexpected("character that may stand in a string"));
                }
                Some(_) => self.at += 1,
            }
        }
    }

    /// Reads a whole number without a sign.
    ///
    /// # Errors
    /// The text has no such number here, it does not fit 64 bits, or the text ends right after it
    /// (a number that ends a text cannot be told from one that was cut short).
    pub fn unsigned(&mut self) -> Result<u64, ScanError> {
        const WANTED: &str = "whole number below 2^64";
        let wrong = ScanError::Unexpected {
            at: self.at,
            wanted: WANTED,
        };
        let token = self.token()?;
        if token.is_empty() {
            return Err(wrong);
        }
        let mut value = 0u64;
        let may_overflow = token.len() > DIGITS_SAFE;
        for &byte in token {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return Err(wrong);
            }
            value = if may_overflow {
                value
                    .checked_mul(10)
                    .and_then(|tens| tens.checked_add(u64::from(digit)))
                    .ok_or(wrong)?
            } else {
                value * 10 + u64::from(digit)
            };
        }
        Ok(value)
    }

    /// Reads `["price","quantity"]` in the shape in which venues write it, without white space or anything else, by
    /// what `number` makes of the bytes behind a quote: a value and how many bytes it has taken. Nothing is read
    /// when the text has another shape here.
    pub fn pair<N>(
        &mut self,
        mut number: impl FnMut(&'a [u8]) -> Option<(N, usize)>,
        mut second: impl FnMut(&'a [u8]) -> Option<(N, usize)>,
    ) -> Option<(N, N)> {
        let rest = self.text.get(self.at..)?;
        let behind = rest.strip_prefix(b"[\"")?;
        let (first, taken) = number(behind)?;
        let behind = behind.get(taken..)?.strip_prefix(b"\",\"")?;
        let (other, taken) = second(behind)?;
        let behind = behind.get(taken..)?.strip_prefix(b"\"]")?;
        self.at = self.text.len() - behind.len();
        Some((first, other))
    }

    /// Reads a number, `true`, `false`, or `null`, and returns its text.
    ///
    /// # Errors
    /// The text has none of them here, or ends right after it.
    #[inline]
    pub fn token(&mut self) -> Result<&'a [u8], ScanError> {
        self.peek();
        let start = self.at;
        loop {
            match self.text.get(self.at) {
                None => return Err(ScanError::Truncated),
                Some(byte) if OF_TOKENS[usize::from(*byte)] => self.at += 1,
                Some(_) if self.at == start => return Err(self.unexpected("value")),
                Some(_) => return Ok(&self.text[start..self.at]),
            }
        }
    }

    /// Reads a string or a bare token, whichever comes: venues quote their numbers or don't.
    ///
    /// # Errors
    /// The text has neither here, or ends within it.
    pub fn scalar(&mut self) -> Result<&'a [u8], ScanError> {
        match self.peek() {
            Some(b'"') => self.string(),
            _ => self.token(),
        }
    }

    /// Reads past one value of any kind.
    ///
    /// # Errors
    /// The text has no value here, or ends within it.
    pub fn skip(&mut self) -> Result<(), ScanError> {
        match self.peek() {
            Some(b'{') => self.object(|_, value| value.skip()),
            Some(b'[') => self.array(Self::skip),
            Some(b'"') => self.string().map(|_| ()),
            Some(_) => self.token().map(|_| ()),
            None => Err(ScanError::Truncated),
        }
    }

    /// Makes sure that nothing but white space is left.
    ///
    /// # Errors
    /// Something is left.
    pub fn end(&mut self) -> Result<(), ScanError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.unexpected("end of the message")),
        }
    }

    #[inline]
    fn enter(&mut self, open: u8, what: &'static str) -> Result<(), ScanError> {
        self.expect(open, what)?;
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            Err(ScanError::TooDeep)
        } else {
            Ok(())
        }
    }

    #[inline]
    fn close(&mut self, close: u8) -> bool {
        let closes = self.peek() == Some(close);
        if closes {
            self.at += 1;
            self.depth -= 1;
        }
        closes
    }

    #[inline]
    fn expect(&mut self, byte: u8, wanted: &'static str) -> Result<(), ScanError> {
        match self.peek() {
            Some(found) if found == byte => {
                self.at += 1;
                Ok(())
            }
            Some(_) => Err(self.unexpected(wanted)),
            None => Err(ScanError::Truncated),
        }
    }

    #[cold]
    fn unexpected(&self, wanted: &'static str) -> ScanError {
        ScanError::Unexpected {
            at: self.at,
            wanted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skip_all(text: &str) -> Result<(), ScanError> {
        let mut cursor = Cursor::new(text.as_bytes());
        cursor.skip()?;
        cursor.end()
    }

    #[test]
    fn whole_values_are_skipped_to_their_end() {
        for text in [
            "{}",
            "[]",
            r#" { "a" : [ 1 , -2.5e3 , "x\"y" , null , { "b" : true } ] } "#,
            r#"{"e":"depthUpdate","b":[["1.0","2.0"]],"a":[]}"#,
        ] {
            assert_eq!(skip_all(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn every_cut_of_a_message_is_refused() {
        let text = r#"{"stream":"x@depth","data":{"U":1,"u":2,"b":[["1.0","2"]],"a":[null]}}"#;
        for end in 0..text.len() {
            assert_eq!(
                skip_all(&text[..end]),
                Err(ScanError::Truncated),
                "{}",
                &text[..end]
            );
        }
    }

    #[test]
    fn what_is_no_json_is_refused_with_its_place() {
        for (text, at) in [
            ("<html>", 0),
            ("{\"a\" 1}", 5),
            ("{\"a\":1]", 6),
            ("[1 2]", 3),
            ("{}x", 2),
            ("[1,]", 3),
            ("\"a\nb\"", 2),
        ] {
            match skip_all(text) {
                Err(ScanError::Unexpected { at: found, .. }) => assert_eq!(found, at, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn nesting_has_a_bound() {
        let deep = "[".repeat(100_000);
        assert_eq!(skip_all(&deep), Err(ScanError::TooDeep));
    }

    #[test]
    fn numbers_are_whole_and_fit() {
        let read = |text: &str| Cursor::new(text.as_bytes()).unsigned();
        assert_eq!(read("18446744073709551615,"), Ok(u64::MAX));
        assert_eq!(
            read("7"),
            Err(ScanError::Truncated),
            "it may go on in bytes that were lost"
        );
        for wrong in ["18446744073709551616,", "-1,", "1.5,", "x,", ",", "\"7\","] {
            assert!(
                matches!(read(wrong), Err(ScanError::Unexpected { at: 0, .. })),
                "{wrong}"
            );
        }
    }
}
