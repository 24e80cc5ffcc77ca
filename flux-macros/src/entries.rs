//! From the tokens between an attribute's parentheses to a list of entries.
//!
//! An entry is `key`, `key = value`, or `key(entries)`. Parsing never gives up: what it cannot read is a
//! fault, and it goes on behind the next comma, so that one build shows everything that is wrong.
//!
//! Knows no key and no value: `settings` and `fiber_attribute::check` do.

use proc_macro2::{Delimiter, Group, Ident, TokenStream, TokenTree};
use syn::ext::IdentExt;

use crate::fault::{Faults, did_you_mean, listed};
use crate::value::{Kind, Value};

/// One key with what was given for it.
pub(crate) struct Entry {
    pub(crate) key: Ident,
    pub(crate) given: Given,
}

/// What stands behind a key.
pub(crate) enum Given {
    /// `key`
    Nothing,
    /// `key = value`
    Value(Value),
    /// `key(..)`
    List(Group),
}

impl Entry {
    /// The key without `r#`.
    pub(crate) fn name(&self) -> String {
        self.key.unraw().to_string()
    }

    /// The value, or a fault that shows `example`.
    pub(crate) fn value(&self, example: &str, faults: &mut Faults) -> Option<&Value> {
        let help = format!("write `{example}`");
        match &self.given {
            Given::Value(value) => return Some(value),
            Given::Nothing => faults.at(&self.key, &format!("`{}` needs a value", self.key), &help),
            Given::List(list) => {
                faults.at(
                    list,
                    &format!("`{}` takes one value, not a list", self.key),
                    &help,
                );
            }
        }
        None
    }

    /// The text of a value that must be a string, or a fault that shows `example` where there is no
    /// value, and `help` where it is something else.
    pub(crate) fn string(
        &self,
        example: &str,
        help: &str,
        faults: &mut Faults,
    ) -> Option<(String, &Value)> {
        let value = self.value(example, faults)?;
        if let Kind::String(text) = value.kind() {
            return Some((text, value));
        }
        let message = format!(
            "`{}` takes a string, found {}",
            self.name(),
            value.described()
        );
        faults.at(&value.tokens, &message, help);
        None
    }

    /// The entries in the parentheses, or a fault that shows `example`.
    pub(crate) fn list(&self, example: &str, faults: &mut Faults) -> Option<Vec<Entry>> {
        let help = format!("write `{example}`");
        match &self.given {
            Given::List(list) => return Some(parse(list.stream(), faults)),
            Given::Nothing => faults.at(&self.key, &format!("`{}` needs a list", self.key), &help),
            Given::Value(value) => {
                faults.at(
                    &value.tokens,
                    &format!("`{}` takes a list, not one value", self.key),
                    &help,
                );
            }
        }
        None
    }
}

/// The keys of one attribute: those there are, and those that a later version of flux will have.
pub(crate) struct Keys {
    pub(crate) known: &'static [&'static str],
    pub(crate) later: &'static [&'static str],
}

impl Keys {
    /// Keeps the entries whose key is known, and of these the first of each.
    pub(crate) fn sort_out(&self, entries: Vec<Entry>, faults: &mut Faults) -> Vec<Entry> {
        let mut kept: Vec<Entry> = Vec::new();
        for entry in entries {
            let name = entry.name();
            if !self.known.contains(&name.as_str()) {
                self.refuse(&entry, &name, faults);
            } else if kept.iter().any(|earlier| earlier.name() == name) {
                faults.at(
                    &entry.key,
                    &format!("`{name}` is given twice"),
                    "keep one of the two",
                );
            } else {
                kept.push(entry);
            }
        }
        kept
    }

    fn refuse(&self, entry: &Entry, name: &str, faults: &mut Faults) {
        let all = format!("the keys are {}", listed(self.known, '`'));
        if self.later.contains(&name) {
            faults.at(
                &entry.key,
                &format!("`{name}` is not in this version of flux"),
                &all,
            );
        } else if let Some(meant) = did_you_mean(name, self.known) {
            let help = format!("did you mean `{meant}`?");
            faults.at(&entry.key, &format!("unknown key `{name}`"), &help);
        } else {
            faults.at(&entry.key, &format!("unknown key `{name}`"), &all);
        }
    }
}

/// Reads entries, separated by commas; a comma may end the list.
pub(crate) fn parse(tokens: TokenStream, faults: &mut Faults) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut chunk = Vec::new();
    for token in tokens {
        match &token {
            TokenTree::Punct(punct) if punct.as_char() == ',' => {
                if chunk.is_empty() {
                    faults.at(&token, "expected a key, found `,`", "remove this `,`");
                }
                parse_chunk(&chunk, &mut entries, faults);
                chunk.clear();
            }
            _ => chunk.push(token),
        }
    }
    parse_chunk(&chunk, &mut entries, faults);
    entries
}

/// Reads what stands between two commas: one entry, or several where commas are missing.
fn parse_chunk(mut chunk: &[TokenTree], entries: &mut Vec<Entry>, faults: &mut Faults) {
    while let [first, rest @ ..] = chunk {
        let TokenTree::Ident(key) = first else {
            let message = format!("expected a key, found `{}`", short(first));
            faults.at(first, &message, "write `key = value`, separated by commas");
            return;
        };
        let (given, rest) = match rest {
            [TokenTree::Punct(equals), rest @ ..] if equals.as_char() == '=' => match rest {
                // A literal is complete by itself, so that a name behind it is the next key.
                [TokenTree::Literal(literal), rest @ ..]
                    if matches!(rest, [TokenTree::Ident(_), ..]) =>
                {
                    let value = Value::new([TokenTree::Literal(literal.clone())]);
                    (Given::Value(value), rest)
                }
                [] => {
                    let message = format!("`{key}` has no value behind its `=`");
                    faults.at(equals, &message, "write `key = value`, separated by commas");
                    return;
                }
                value => (Given::Value(Value::new(value.iter().cloned())), &[][..]),
            },
            [TokenTree::Group(list), rest @ ..] if list.delimiter() == Delimiter::Parenthesis => {
                (Given::List(list.clone()), rest)
            }
            [] => (Given::Nothing, rest),
            [other, ..] => {
                let message = format!("expected `=` after `{key}`, found `{}`", short(other));
                faults.at(other, &message, "write `key = value`, separated by commas");
                return;
            }
        };
        entries.push(Entry {
            key: key.clone(),
            given,
        });
        chunk = rest;
        if let [next, ..] = chunk {
            let message = format!("expected `,` after `{key}`, found `{}`", short(next));
            faults.at(next, &message, "separate the keys by commas");
        }
    }
}

/// A token as it may stand in a message: a group is named by its brackets alone.
fn short(token: &TokenTree) -> String {
    match token {
        TokenTree::Group(group) => match group.delimiter() {
            Delimiter::Parenthesis => "(..)".into(),
            Delimiter::Brace => "{..}".into(),
            Delimiter::Bracket => "[..]".into(),
            Delimiter::None => "..".into(),
        },
        token => token.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The entries in one line, then the faults, one line each (without their help).
    fn trace(tokens: &str) -> String {
        let mut faults = Faults::default();
        let entries = parse(tokens.parse().unwrap_or_default(), &mut faults);
        let mut lines = vec![show(&entries)];
        let messages = faults.messages();
        lines.extend(
            messages
                .iter()
                .filter_map(|message| Some(message.lines().next()?.to_string())),
        );
        lines.join("; ")
    }

    fn show(entries: &[Entry]) -> String {
        let shown: Vec<String> = entries
            .iter()
            .map(|entry| match &entry.given {
                Given::Nothing => entry.name(),
                Given::Value(value) => format!("{}={}", entry.name(), value.tokens),
                Given::List(list) => format!("{}({})", entry.name(), list.stream()),
            })
            .collect();
        shown.join(" ")
    }

    #[test]
    fn entries_are_read_with_and_without_a_last_comma() {
        assert_eq!(trace(""), "");
        assert_eq!(trace("a"), "a");
        assert_eq!(
            trace("a = 1, r#type = x::Y, c(d = 1),"),
            "a=1 type=x :: Y c(d = 1)"
        );
    }

    #[test]
    fn what_cannot_be_read_is_a_fault_and_the_rest_is_still_read() {
        assert_eq!(
            trace("a 1, b = 2"),
            "b=2; expected `=` after `a`, found `1`"
        );
        assert_eq!(trace("a =, b = 2"), "b=2; `a` has no value behind its `=`");
        assert_eq!(trace("\"x\", b = 2"), "b=2; expected a key, found `\"x\"`");
        assert_eq!(trace(", b = 2"), "b=2; expected a key, found `,`");
        assert_eq!(trace("[1], b"), "b; expected a key, found `[..]`");
    }

    #[test]
    fn a_missing_comma_costs_neither_neighbour() {
        assert_eq!(
            trace("a = 1 b = 2"),
            "a=1 b=2; expected `,` after `a`, found `b`"
        );
        assert_eq!(trace("a = 1 + 2, b = 2"), "a=1 + 2 b=2");
        assert_eq!(
            trace("c(d = 1) b = 2"),
            "c(d = 1) b=2; expected `,` after `c`, found `b`"
        );
    }

    #[test]
    fn unknown_later_and_doubled_keys_are_sorted_out() {
        let keys = Keys {
            known: &["engine", "core"],
            later: &["stall"],
        };
        let mut faults = Faults::default();
        let entries = parse(
            "engin = 1, stall = 2, zebra = 3, core = 4, core = 5"
                .parse()
                .unwrap_or_default(),
            &mut faults,
        );
        let kept = keys.sort_out(entries, &mut faults);
        assert_eq!(show(&kept), "core=4");
        assert_eq!(
            faults.messages(),
            [
                "unknown key `engin`\nhelp: did you mean `engine`?",
                "`stall` is not in this version of flux\nhelp: the keys are `engine`, `core`",
                "unknown key `zebra`\nhelp: the keys are `engine`, `core`",
                "`core` is given twice\nhelp: keep one of the two",
            ]
        );
    }
}
