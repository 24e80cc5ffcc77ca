//! What a recording should lead to, as an independent program has computed it.
//!
//! `expected.json` stands beside the recordings and has an entry per file. Its keys are explained in
//! the README there; which of them a venue has, and what they are compared with, is [`verify`].
//!
//! [`verify`]: crate::verify

use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::decimal::{DECIMALS_MAX, Decimals};

/// The name of the file beside the recordings.
pub const FILE_NAME: &str = "expected.json";

/// Why the expected results could not be read.
#[derive(Debug)]
pub struct ExpectedError {
    path: PathBuf,
    why: String,
}

impl fmt::Display for ExpectedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cannot use `{}` as expected results: {}",
            self.path.display(),
            self.why
        )
    }
}

impl std::error::Error for ExpectedError {}

/// All expected results of a file.
#[derive(Debug, Clone)]
pub struct Expected(Value);

impl Expected {
    /// Reads the file.
    ///
    /// # Errors
    /// It cannot be read, or is not a JSON object.
    pub fn load(path: &Path) -> Result<Self, ExpectedError> {
        let error = |why: String| ExpectedError {
            path: path.to_owned(),
            why,
        };
        let text = std::fs::read_to_string(path).map_err(|e| error(e.to_string()))?;
        let value: Value = serde_json::from_str(&text).map_err(|e| error(e.to_string()))?;
        if value.is_object() {
            Ok(Self(value))
        } else {
            Err(error("it is not a JSON object".to_owned()))
        }
    }

    /// Reads the file that stands beside a recording, if there is one.
    ///
    /// # Errors
    /// There is one, and it cannot be used.
    pub fn beside(recording: &Path) -> Result<Option<Self>, ExpectedError> {
        let path = recording.with_file_name(FILE_NAME);
        if path.exists() {
            Self::load(&path).map(Some)
        } else {
            Ok(None)
        }
    }

    /// What is expected of a recording.
    #[must_use]
    pub fn of(&self, file_name: &str) -> Option<Entry<'_>> {
        self.0.get(file_name).map(Entry)
    }
}

/// What is expected of one recording, or of one product in it.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a>(&'a Value);

impl<'a> Entry<'a> {
    /// A whole number.
    #[must_use]
    pub fn number(self, key: &str) -> Option<i64> {
        self.0.get(key)?.as_i64()
    }

    /// A text, for example a checksum in hexadecimal.
    #[must_use]
    pub fn text(self, key: &str) -> Option<&'a str> {
        self.0.get(key)?.as_str()
    }

    /// The entries of an object, by name.
    pub fn parts(self, key: &str) -> impl Iterator<Item = (&'a str, Entry<'a>)> {
        let object = self.0.get(key).and_then(Value::as_object);
        object
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.as_str(), Entry(value)))
    }

    /// The decimals at which the numbers are meant, if it says so.
    #[must_use]
    pub fn decimals(self) -> Option<Decimals> {
        let read = |key| {
            u32::try_from(self.number(key)?)
                .ok()
                .filter(|&n| n <= DECIMALS_MAX)
        };
        Some(Decimals {
            price: read("price_decimals")?,
            quantity: read("qty_decimals")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_give_what_they_have() {
        let json =
            r#"{"a.gz":{"n":5,"t":"x","price_decimals":2,"qty_decimals":3,"final":{"P":{"n":1}}}}"#;
        let expected = Expected(serde_json::from_str(json).expect("JSON"));
        let entry = expected.of("a.gz").expect("an entry");
        assert_eq!(
            (entry.number("n"), entry.text("t"), entry.number("t")),
            (Some(5), Some("x"), None)
        );
        assert_eq!(
            entry.decimals(),
            Some(Decimals {
                price: 2,
                quantity: 3
            })
        );
        let parts: Vec<_> = entry
            .parts("final")
            .map(|(name, part)| (name, part.number("n")))
            .collect();
        assert_eq!(parts, [("P", Some(1))]);
        assert_eq!(entry.parts("none").count(), 0);
        assert!(expected.of("b.gz").is_none());
    }

    #[test]
    fn files_that_cannot_be_used_are_named() {
        let error = Expected::load(Path::new("/nonexistent/expected.json"))
            .expect_err("missing")
            .to_string();
        assert!(
            error.starts_with("cannot use `/nonexistent/expected.json` as expected results: "),
            "{error}"
        );
        assert!(matches!(
            Expected::beside(Path::new("/nonexistent/x.gz")),
            Ok(None)
        ));
    }
}
