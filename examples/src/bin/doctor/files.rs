//! Where the system says what it is like: its files, and the few formats that they have.

use std::io;
use std::path::Path;

/// The files of a machine, by their paths below `/`.
pub(crate) trait Files {
    /// The text of a file, without the white space around it.
    fn read(&self, path: &str) -> io::Result<String>;
    /// The names in a directory; none if it cannot be read.
    fn list(&self, path: &str) -> Vec<String>;
}

/// This machine.
pub(crate) struct ThisMachine;

impl Files for ThisMachine {
    fn read(&self, path: &str) -> io::Result<String> {
        let text = std::fs::read_to_string(Path::new("/").join(path))?;
        Ok(text.trim().to_owned())
    }

    fn list(&self, path: &str) -> Vec<String> {
        let entries = std::fs::read_dir(Path::new("/").join(path));
        let names = entries.into_iter().flatten().flatten();
        names
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect()
    }
}

/// Reads the kernel's list of cores: `2-5,8`. None, `(null)` and nothing at all are no cores.
pub(crate) fn cores(list: &str) -> Vec<usize> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.trim().parse::<usize>().ok();
        let (first, last) = (number(first)?, number(last)?);
        (first <= last && last < 1 << 16).then_some(first..=last)
    };
    list.split(',').filter_map(range).flatten().collect()
}

/// Core numbers as people write them: `0-3, 6`.
pub(crate) fn in_words(cores: &[usize]) -> String {
    let runs = cores.chunk_by(|core, next| core + 1 == *next);
    let words = runs.map(|run| match run {
        [first, .., last] => format!("{first}-{last}"),
        [first] => first.to_string(),
        [] => String::new(),
    });
    words.collect::<Vec<_>>().join(", ")
}

/// The word in brackets, of those that a file offers: `always [madvise] never`.
pub(crate) fn chosen(offer: &str) -> Option<&str> {
    let (_, rest) = offer.split_once('[')?;
    rest.split_once(']').map(|(word, _)| word)
}

/// A line `key: value`, or `key value`, of several.
pub(crate) fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == key).then(|| value.trim())
    })
}

#[cfg(test)]
pub(crate) mod fixture {
    use super::{Files, io};

    /// A machine that is made up: paths and texts. A text of `"!"` is a file that may not be read.
    pub(crate) struct Fixture<'a>(pub(crate) &'a [(&'a str, &'a str)]);

    impl Files for Fixture<'_> {
        fn read(&self, path: &str) -> io::Result<String> {
            match self.0.iter().find(|(name, _)| *name == path) {
                Some((_, "!")) => Err(io::ErrorKind::PermissionDenied.into()),
                Some((_, text)) => Ok(text.trim().to_owned()),
                None => Err(io::ErrorKind::NotFound.into()),
            }
        }

        fn list(&self, path: &str) -> Vec<String> {
            let below = self.0.iter().filter_map(|(name, _)| {
                let rest = name.strip_prefix(path)?.strip_prefix('/')?;
                rest.split('/').next().map(str::to_owned)
            });
            let mut names: Vec<String> = below.collect();
            names.sort();
            names.dedup();
            names
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cores_are_read_and_written() {
        assert_eq!(cores("2-5,8\n"), [2, 3, 4, 5, 8]);
        assert!(cores("").is_empty());
        assert!(cores(" (null)\n").is_empty());
        assert!(cores("5-2").is_empty());
        assert!(cores("0-99999999999999").is_empty());
        assert_eq!(in_words(&[0, 1, 2, 6, 8, 9]), "0-2, 6, 8-9");
        assert_eq!(in_words(&[3]), "3");
        assert_eq!(in_words(&[]), "");
    }

    #[test]
    fn choices_and_values_are_read() {
        assert_eq!(chosen("always [madvise] never"), Some("madvise"));
        assert_eq!(chosen("none"), None);
        assert_eq!(value("a:\t1\nb c: 2 kB\n", "b c"), Some("2 kB"));
        assert_eq!(value("a: 1", "b"), None);
    }

    #[test]
    fn this_machine_has_files() {
        assert!(!ThisMachine.list("").is_empty());
        assert!(ThisMachine.list("no/such/place").is_empty());
        assert!(ThisMachine.read("no/such/file").is_err());
    }
}
