//! Faults: what is wrong, where, and what to write instead.
//!
//! A fault has two lines. The first says what is wrong; the second, `help:`, proposes. Macros on stable
//! Rust cannot attach a note of their own, so both travel in one message, and rustc indents the second.
//!
//! Knows nothing of what is being checked.

use proc_macro2::TokenStream;
use quote::ToTokens;

/// Every fault found so far, in the order in which it was found.
#[derive(Default)]
pub(crate) struct Faults(Option<syn::Error>);

impl Faults {
    /// Adds a fault at all of `tokens`, or at the macro's own name if there are none.
    pub(crate) fn at(&mut self, tokens: &impl ToTokens, message: &str, help: &str) {
        self.add(syn::Error::new_spanned(tokens, sentence(message, help)));
    }

    fn add(&mut self, error: syn::Error) {
        match &mut self.0 {
            Some(first) => first.combine(error),
            None => self.0 = Some(error),
        }
    }

    /// Whether nothing is wrong so far.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The messages, for tests.
    #[cfg(test)]
    pub(crate) fn messages(self) -> Vec<String> {
        self.0
            .into_iter()
            .flatten()
            .map(|error| error.to_string())
            .collect()
    }
}

/// One `compile_error!` for each fault.
impl ToTokens for Faults {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        if let Some(error) = &self.0 {
            tokens.extend(error.to_compile_error());
        }
    }
}

fn sentence(message: &str, help: &str) -> String {
    format!("{message}\nhelp: {help}")
}

/// The one of `known` that `word` was probably meant to be.
pub(crate) fn did_you_mean<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let word = word.to_lowercase();
    known
        .iter()
        .map(|candidate| (distance(&word, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `"a", "b", "c"`, each in `quote`s.
pub(crate) fn listed(words: &[&str], quote: char) -> String {
    let quoted: Vec<String> = words
        .iter()
        .map(|word| format!("{quote}{word}{quote}"))
        .collect();
    quoted.join(", ")
}

/// How many letters to insert, remove, replace, or swap with their neighbour, to get from `a` to `b`.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    // A word much longer than any key is no misspelling, and not worth a table.
    if a.len().abs_diff(b.len()) > 8 {
        return usize::MAX;
    }
    // The rows of the usual table: what every prefix of `b` is away from the prefixes of `a` so far.
    let mut row: Vec<usize> = (0..=b.len()).collect();
    let mut row_before: Vec<usize> = Vec::new();
    let mut a_before = None;
    for (i, a_char) in a.iter().enumerate() {
        let mut next = vec![i + 1];
        let mut b_before = None;
        for (j, b_char) in b.iter().enumerate() {
            let at = |row: &[usize], j: usize| row.get(j).copied().unwrap_or(usize::MAX / 2);
            let replaced = at(&row, j) + usize::from(a_char != b_char);
            let mut best = replaced.min(at(&row, j + 1) + 1).min(at(&next, j) + 1);
            if a_before == Some(b_char) && b_before == Some(a_char) {
                best = best.min(at(&row_before, j.saturating_sub(1)) + 1);
            }
            next.push(best);
            b_before = Some(b_char);
        }
        row_before = std::mem::replace(&mut row, next);
        a_before = Some(a_char);
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_word_is_answered_with_the_nearest_one() {
        let known = ["engine", "core", "idle", "stacks", "fibers", "grace"];
        for (word, meant) in [
            ("engin", Some("engine")),
            ("egnine", Some("engine")),
            ("fibres", Some("fibers")),
            ("stack", Some("stacks")),
            ("Core", Some("core")),
            ("cpu", None),
            ("threads", None),
            ("", None),
            ("a_word_that_is_far_longer_than_any_key", None),
        ] {
            assert_eq!(did_you_mean(word, &known), meant, "{word}");
        }
    }

    #[test]
    fn faults_keep_their_order_and_each_becomes_an_error() {
        let mut faults = Faults::default();
        assert!(faults.is_empty());
        faults.at(&TokenStream::new(), "one", "first");
        faults.at(&quote::quote!(a b), "two", "second");
        let tokens = faults.to_token_stream().to_string();
        assert_eq!(tokens.matches("compile_error").count(), 2);
        assert_eq!(faults.messages(), ["one\nhelp: first", "two\nhelp: second"]);
    }
}
