//! Every sentence that the macros can say is said in some case of `cases/fail`: a message without a case is one that
//! nobody has read as its reader would.
//!
//! A sentence is any text of the sources with a space in it: messages are told from other texts by that alone, so
//! that none has to be entered in a list. What stands in `{}` may be anything.

use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};

/// The sources that hold sentences for whoever misuses flux, from the workspace.
const SOURCES: [&str; 2] = ["flux-macros/src", "flux/src/macro_support/asserts.rs"];

/// Texts with a space that are no sentences, and sentences that no case can show, with the reason.
const EXCEPT: [(&str, &str); 1] = [("spin ", "the front of a value")];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All files below a folder, or the file, with the given ending.
fn files(at: &Path, ending: &str, all: &mut Vec<PathBuf>) {
    if at.is_dir() {
        for entry in fs::read_dir(at).expect("a folder lists its files") {
            files(
                &entry.expect("a folder lists its files").path(),
                ending,
                all,
            );
        }
    } else if at.extension().is_some_and(|found| found == ending) {
        all.push(at.to_path_buf());
    }
}

/// The texts of a source but for those in attributes, tests, and invocations of `quote!`.
fn texts(tokens: TokenStream, all: &mut Vec<String>) {
    let mut tokens = tokens.into_iter().peekable();
    let mut for_tests = false;
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Punct(mark) if mark.as_char() == '#' => {
                // `#[..]` or `#![..]`; what follows `#[cfg(test)]` is a test.
                if matches!(tokens.peek(), Some(TokenTree::Punct(_))) {
                    tokens.next();
                }
                if let Some(TokenTree::Group(attribute)) = tokens.next() {
                    for_tests |= attribute.stream().to_string() == "cfg (test)";
                }
            }
            TokenTree::Group(group) if for_tests => {
                // The module's body, or what belongs to the item before its body.
                for_tests = group.delimiter() != proc_macro2::Delimiter::Brace;
            }
            TokenTree::Punct(end) if end.as_char() == ';' => for_tests = false,
            TokenTree::Group(group) => texts(group.stream(), all),
            TokenTree::Literal(literal) if !for_tests => {
                if let Ok(text) = syn::parse_str::<syn::LitStr>(&literal.to_string()) {
                    all.push(text.value());
                }
            }
            _ => {}
        }
    }
}

/// The parts of a format that are always said: what stands in `{}` is not.
fn parts(format: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut chars = format.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '{' | '}' if chars.peek() == Some(&char) => {
                chars.next();
                parts.last_mut().expect("one is there").push(char);
            }
            '{' => {
                while chars.next().is_some_and(|char| char != '}') {}
                parts.push(String::new());
            }
            char => parts.last_mut().expect("one is there").push(char),
        }
    }
    parts
}

/// Whether each line of a sentence is said.
fn is_said(sentence: &str, lines: &[&str]) -> bool {
    sentence.lines().all(|line| is_in_one_line(line, lines))
}

/// Whether the parts of a sentence stand behind each other in one line.
fn is_in_one_line(sentence: &str, lines: &[&str]) -> bool {
    let parts = parts(sentence);
    lines.iter().any(|line| {
        let mut rest = *line;
        parts.iter().all(|part| match rest.find(part.as_str()) {
            Some(at) => {
                rest = &rest[at + part.len()..];
                true
            }
            None => false,
        })
    })
}

/// The sentences of the sources that no line of the cases' output says.
fn without_a_case(sources: &[String], outputs: &[String]) -> Vec<String> {
    let lines: Vec<&str> = outputs.iter().flat_map(|output| output.lines()).collect();
    let mut all = Vec::new();
    for source in sources {
        let tokens: TokenStream = source.parse().expect("a source is Rust");
        texts(tokens, &mut all);
    }
    all.retain(|text| {
        // A sentence has words, not blanks alone.
        let is_sentence = text.trim().contains(' ') || text.ends_with(' ');
        let excepted = EXCEPT.iter().any(|(except, _)| except == text);
        is_sentence && !excepted && !is_said(text, &lines)
    });
    all.sort();
    all.dedup();
    all
}

fn read(at: &Path, ending: &str) -> Vec<String> {
    let mut found = Vec::new();
    files(at, ending, &mut found);
    let text = |path: &PathBuf| fs::read_to_string(path).expect("a text can be read");
    found
        .iter()
        .filter(|path| !path.ends_with("soup.rs") && !path.ends_with("tests.rs"))
        .map(text)
        .collect()
}

#[test]
fn every_message_has_a_case() {
    let mut sources = Vec::new();
    for source in SOURCES {
        sources.extend(read(&workspace().join(source), "rs"));
    }
    let outputs = read(&workspace().join("ui-tests/cases/fail"), "stderr");
    assert!(
        sources.len() > 15 && outputs.len() > 60,
        "the folders moved"
    );
    let missing = without_a_case(&sources, &outputs);
    assert!(
        missing.is_empty(),
        "no file in `cases/fail` shows:\n  {}",
        missing.join("\n  ")
    );
}

#[test]
fn a_message_without_a_case_is_found() {
    let source = |text: &str| vec![text.to_string()];
    let output = source("error: unknown key `zebra`\n       help: the keys are `a`, `b`");
    for (text, missing) in [
        (r#"fn f() { say("unknown key") }"#, vec![]),
        (r#"fn f() { say(format!("unknown key `{name}`")) }"#, vec![]),
        (
            r#"fn f() { say("unknown key", "no such help") }"#,
            vec!["no such help"],
        ),
        (
            r#"fn f() { say(format!("unknown {name} `{key}` now")) }"#,
            vec!["unknown {name} `{key}` now"],
        ),
        (
            r#"#[doc = "in words"] fn f() {} #[cfg(test)] mod tests { const A: &str = "a test"; }"#,
            vec![],
        ),
        (
            r#"#[cfg(test)] mod soup; fn f() { say("not said") }"#,
            vec!["not said"],
        ),
        (
            r#"#[cfg(test)] use a::b; mod c { fn f() { say("nor this") } }"#,
            vec!["nor this"],
        ),
    ] {
        assert_eq!(without_a_case(&source(text), &output), missing, "{text}");
    }
}

#[test]
fn sixty_misuses_and_twenty_five_uses_are_shown() {
    let count = |folder: &str| read(&workspace().join("ui-tests/cases").join(folder), "rs").len();
    assert!(count("fail") >= 60, "{}", count("fail"));
    assert!(count("pass") >= 25, "{}", count("pass"));
}
