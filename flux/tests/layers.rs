//! The rooms of the crate and who may use whom: reads the sources, and fails on a wrong arrow.
//!
//! Sees names, not types: comments, texts and tests are taken out, and what is left is read word by word.

#[path = "layers/words.rs"]
mod words;

use std::collections::BTreeMap;
use std::path::Path;

use words::{Word, attribute, group, without_tests, words};

/// The rooms, lowest first: each may use what stands above it here, and itself.
const LAYERS: [&[&str]; 13] = [
    &["sys", "clock", "list", "error", "config"],
    &["budget"],
    &["landing", "tray"],
    &["op"],
    &["feeds"],
    &["engine"],
    &["stack", "fiber"],
    &["wheel", "callbacks"],
    &["sched"],
    &["reactor"],
    &["task"],
    &["net", "time", "timer", "sync", "signal", "sequence"],
    &["stats", "ws", "tls", "macro_support"],
];
/// The arrows between rooms of one layer.
const BESIDE: [(&str, &str); 6] = [
    ("clock", "sys"),
    ("error", "sys"),
    ("config", "error"),
    ("config", "sys"),
    ("fiber", "stack"),
    ("timer", "time"),
];
/// Crates that few may name: files, or rooms with their slash.
const CRATES: [(&str, &[&str]); 6] = [
    ("corosensei", &["fiber/context.rs", "stack/slab.rs"]),
    ("io_uring", &["engine/uring.rs", "engine/uring/"]),
    ("libc", &["sys/", "engine/"]),
    ("windows_sys", &["sys/"]),
    ("rustls", &["tls/"]),
    ("webpki_roots", &["tls/"]),
];
/// The rooms in which a file may open `unsafe_code`.
const UNSAFE_ROOMS: [&str; 14] = [
    "budget",
    "sys",
    "list",
    "op",
    "feeds",
    "engine",
    "stack",
    "fiber",
    "callbacks",
    "reactor",
    "task",
    "net",
    "sync",
    "ws",
];
/// A file that is longer has a wall to find.
const LINES_MAX: usize = 450;

/// A file, by its path below `src`, and what it holds.
type Source = (String, String);

/// All sources but those that are tests as a whole.
fn sources() -> Vec<Source> {
    fn collect(folder: &Path, prefix: &str, all: &mut BTreeMap<String, String>) {
        for entry in std::fs::read_dir(folder).expect("the sources are there") {
            let entry = entry.expect("a folder lists its files");
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            let path = entry.path();
            if path.is_dir() {
                collect(&path, &format!("{name}/"), all);
            } else if path.extension().is_some_and(|kind| kind == "rs")
                && !name.ends_with("_tests.rs")
            {
                let text = std::fs::read_to_string(path).expect("a source is text");
                all.insert(name, text);
            }
        }
    }
    let mut all = BTreeMap::new();
    collect(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        "",
        &mut all,
    );
    assert!(all.contains_key("reactor/mod.rs"), "the sources moved");
    all.into_iter().collect()
}

/// The room that a file belongs to: its folder, or itself.
fn room_of(path: &str) -> &str {
    path.split('/')
        .next()
        .map_or(path, |first| first.strip_suffix(".rs").unwrap_or(first))
}

fn layer_of(room: &str) -> Option<usize> {
    LAYERS.iter().position(|rooms| rooms.contains(&room))
}

/// The names that follow `crate::` or as many `super::` as lead to the root, with their lines.
fn used_from_root(path: &str, words: &[Word]) -> Vec<Word> {
    let text = |at: usize| words.get(at).map_or("", |word| word.text.as_str());
    let leads_on = |at: usize| text(at) == ":" && text(at + 1) == ":";
    let file_depth = path.split('/').filter(|part| *part != "mod.rs").count();
    let (mut used, mut depth, mut modules) = (Vec::new(), 0_usize, Vec::new());
    let mut at = 0;
    while at < words.len() {
        match text(at) {
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                modules.retain(|opened_at| *opened_at < depth);
            }
            "mod" if text(at + 2) == "{" => modules.push(depth),
            "crate" if leads_on(at + 1) => used.extend(first_names(&words[at + 3..])),
            "super" if leads_on(at + 1) => {
                let mut levels = 1;
                while text(at + 3) == "super" && leads_on(at + 4) {
                    levels += 1;
                    at += 3;
                }
                if levels >= file_depth + modules.len() {
                    used.extend(first_names(&words[at + 3..]));
                }
            }
            _ => {}
        }
        at += 1;
    }
    used
}

/// The first name of a path, or of each path in a group of them.
fn first_names(words: &[Word]) -> Vec<Word> {
    if words.first().is_none_or(|word| word.text != "{") {
        return words.first().cloned().into_iter().collect();
    }
    let inside = &words[1..group(words) - 1];
    let (mut names, mut at) = (Vec::new(), 0);
    while at < inside.len() {
        names.push(inside[at].clone());
        while at < inside.len() && inside[at].text != "," {
            let nested = inside[at].text == "{";
            at += if nested { group(&inside[at..]) } else { 1 };
        }
        at += 1;
    }
    names
}

// The rules.

/// Whether one room may use another, and if not, why.
fn wrong_arrow(from: &str, to: &str) -> Option<&'static str> {
    if from == to || BESIDE.contains(&(from, to)) {
        return None;
    }
    match (layer_of(from), layer_of(to)) {
        (None, _) => Some("has no place in the list of rooms"),
        (_, None) => Some("names what is no room: take it from the room that owns it"),
        (Some(from), Some(to)) if to < from => None,
        (Some(from), Some(to)) if to == from => Some("points beside, within one layer"),
        _ => Some("points up"),
    }
}

fn arrows(path: &str, words: &[Word]) -> Vec<String> {
    let from = room_of(path);
    let wrong = |used: Word| {
        let why = wrong_arrow(from, &used.text)?;
        let (line, to) = (used.line, &used.text);
        Some(format!("{path}:{line}: the arrow `{from}` to `{to}` {why}"))
    };
    let used = used_from_root(path, words);
    used.into_iter().filter_map(wrong).collect()
}

fn crates(path: &str, words: &[Word]) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, allowed) in CRATES {
        let may = allowed
            .iter()
            .any(|place| *place == path || place.ends_with('/') && path.starts_with(place));
        let named = words.iter().filter(|word| word.text == name && !may);
        faults.extend(named.map(|word| {
            let line = word.line;
            format!("{path}:{line}: names `{name}`, which only {allowed:?} may")
        }));
    }
    faults
}

fn unsafe_rooms(path: &str, words: &[Word]) -> Vec<String> {
    let opens = |words: &[Word]| {
        words
            .iter()
            .find(|word| word.text == "unsafe_code")
            .map(|word| word.line)
    };
    let (mut faults, mut at) = (Vec::new(), 0);
    while words.get(at + 1).is_some_and(|word| word.text == "!") && attribute(&words[at..]) > 0 {
        let len = attribute(&words[at..]);
        let attribute = &words[at..at + len];
        if let Some(line) = opens(attribute) {
            if !UNSAFE_ROOMS.contains(&room_of(path)) {
                faults.push(format!(
                    "{path}:{line}: `{}` is no unsafe room",
                    room_of(path)
                ));
            }
            if !attribute.iter().any(|word| word.text == "reason") {
                faults.push(format!(
                    "{path}:{line}: opens `unsafe_code` without a reason"
                ));
            }
        }
        at += len;
    }
    if let Some(line) = opens(&words[at..]) {
        faults.push(format!(
            "{path}:{line}: opens `unsafe_code` below the head of the file"
        ));
    }
    faults
}

/// Expects that no source breaks a rule, which is handed each without its tests.
#[track_caller]
fn expect_none(rule: impl Fn(&str, &[Word]) -> Vec<String>) {
    let faults: Vec<String> = sources()
        .iter()
        .flat_map(|(path, text)| rule(path, &without_tests(&words(text)).0))
        .collect();
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn every_arrow_points_down() {
    // The root is made of all rooms.
    expect_none(|path, words| match path {
        "lib.rs" => Vec::new(),
        _ => arrows(path, words),
    });
}

#[test]
fn each_foreign_crate_is_named_where_it_belongs() {
    expect_none(crates);
}

#[test]
fn unsafe_code_stays_in_its_rooms() {
    expect_none(unsafe_rooms);
}

#[test]
fn every_file_begins_with_what_it_owns() {
    for (path, text) in sources() {
        assert!(text.starts_with("//! "), "{path}:1: has no header");
    }
}

#[test]
fn no_file_is_too_long() {
    let too_long: Vec<String> = sources()
        .iter()
        .filter_map(|(path, text)| {
            let lines = text.lines().count() - without_tests(&words(text)).1;
            (lines > LINES_MAX)
                .then(|| format!("{path}: {lines} lines without its tests, of {LINES_MAX}"))
        })
        .collect();
    assert!(too_long.is_empty(), "\n{}\n", too_long.join("\n"));
}

// The rules have been seen to fail.

#[track_caller]
fn check(rule: fn(&str, &[Word]) -> Vec<String>, path: &str, source: &str, expected: &[&str]) {
    let faults = rule(path, &without_tests(&words(source)).0);
    assert_eq!(faults, expected, "{path}: {source}");
}

#[test]
fn a_planted_arrow_is_found_wherever_it_hides() {
    let up = "sched.rs:2: the arrow `sched` to `reactor` points up";
    check(
        arrows,
        "sched.rs",
        "//! Header.\nuse crate::reactor::Reactor;",
        &[up],
    );
    check(
        arrows,
        "sched.rs",
        "\npub(crate) use crate::{config::{Core, Idle}, reactor as r};",
        &[up],
    );
    check(
        arrows,
        "sched.rs",
        "fn f() {\n    crate::reactor::init();\n}",
        &[up],
    );
    check(
        arrows,
        "sched.rs",
        "fn f() { let _ = 'a'; }\nuse super::reactor;",
        &[up],
    );
    check(
        arrows,
        "sched.rs",
        "/* /* */ */ const A: &str = r#\"\"\n\"#; use crate::reactor;",
        &[up],
    );
    check(
        arrows,
        "engine/uring.rs",
        "use super::super::sched;\nuse crate::fiber;",
        &[
            "engine/uring.rs:1: the arrow `engine` to `sched` points up",
            "engine/uring.rs:2: the arrow `engine` to `fiber` points up",
        ],
    );
    check(
        arrows,
        "net/mod.rs",
        "mod sealed { use super::super::time; }",
        &["net/mod.rs:1: the arrow `net` to `time` points beside, within one layer"],
    );
    check(
        arrows,
        "op.rs",
        "use crate::Config;",
        &[
            "op.rs:1: the arrow `op` to `Config` names what is no room: take it from the room that owns it",
        ],
    );
    check(
        arrows,
        "watch.rs",
        "use crate::sched;",
        &["watch.rs:1: the arrow `watch` to `sched` has no place in the list of rooms"],
    );
}

#[test]
fn an_arrow_down_and_one_that_is_none_are_fine() {
    for (path, source) in [
        (
            "reactor/park.rs",
            "use crate::{clock, fiber::block::{Block, NIL}, sched::Sched};",
        ),
        (
            "reactor/park.rs",
            "use super::{current, init};\nuse crate::reactor::Reactor;",
        ),
        ("config.rs", "use crate::error::InitError;"),
        (
            "sched.rs",
            "//! See [`Reactor`](crate::reactor::Reactor).\n/// crate::task\nfn f() {}",
        ),
        (
            "sched.rs",
            "const A: &str = \"use crate::task; \\\" crate::net\"; const Q: char = '\"';",
        ),
        (
            "sched.rs",
            "#[cfg(test)]\nmod tests { use crate::task; }\nuse crate::op::Op;",
        ),
        (
            "sched.rs",
            "#[cfg(test)]\n#[path = \"x.rs\"]\nmod tests;\nuse crate::op::Op;",
        ),
        (
            "sched.rs",
            "struct S<'a> { #[cfg(test)] f: crate::task::T, #[cfg(test)] g: crate::net::T }",
        ),
        (
            "net/addr.rs",
            "mod sealed { pub trait S {} impl super::S for super::super::net::A {} }",
        ),
    ] {
        check(arrows, path, source, &[]);
    }
}

#[test]
fn a_foreign_crate_and_unsafe_code_in_the_wrong_room_are_found() {
    check(
        crates,
        "fiber/block.rs",
        "use corosensei::Coroutine;",
        &[
            "fiber/block.rs:1: names `corosensei`, which only [\"fiber/context.rs\", \"stack/slab.rs\"] may",
        ],
    );
    check(
        crates,
        "net/io.rs",
        "\nfn f() { unsafe { libc::send() } }",
        &["net/io.rs:2: names `libc`, which only [\"sys/\", \"engine/\"] may"],
    );
    check(
        crates,
        "config.rs",
        "/// `io_uring`\nconst NAME: &str = \"io_uring\";",
        &[],
    );
    check(crates, "sys/socket.rs", "use libc::c_int;", &[]);
    let opened =
        "#![allow(clippy::pedantic)]\n#![allow(unsafe_code, reason = \"calls\")]\nuse std::io;";
    check(unsafe_rooms, "sys/socket.rs", opened, &[]);
    check(
        unsafe_rooms,
        "time.rs",
        opened,
        &["time.rs:2: `time` is no unsafe room"],
    );
    check(
        unsafe_rooms,
        "op.rs",
        "#![allow(unsafe_code)]",
        &["op.rs:1: opens `unsafe_code` without a reason"],
    );
    check(
        unsafe_rooms,
        "op.rs",
        "use std::io;\n#[allow(unsafe_code, reason = \"\")]\nfn f() {}",
        &["op.rs:2: opens `unsafe_code` below the head of the file"],
    );
}
