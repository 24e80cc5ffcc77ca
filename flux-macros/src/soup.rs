//! Random tokens for the macros: whatever they are given, they must not panic.
//!
//! The soup is made of the words that the macros look for, so that it gets past the first checks often
//! enough; and of the cases of `ui-tests`, each with a few tokens lost, doubled, or exchanged. Every round is
//! the same in every run.

use proc_macro2::{Delimiter, Group, Ident, Literal, Punct, Spacing, Span, TokenStream, TokenTree};

use crate::{fiber_attribute, init_macro, main_attribute, test_attribute};

/// A small generator of numbers (xorshift).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap_or(0)
    }

    fn one_of<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.below(choices.len())]
    }
}

const WORDS: &[&str] = &[
    "engine",
    "core",
    "idle",
    "stacks",
    "small",
    "medium",
    "large",
    "fibers",
    "grace",
    "stack",
    "max",
    "stall",
    "main",
    "fn",
    "async",
    "const",
    "unsafe",
    "extern",
    "pub",
    "crate",
    "self",
    "Self",
    "impl",
    "dyn",
    "where",
    "for",
    "static",
    "struct",
    "mut",
    "ref",
    "T",
    "u8",
    "x",
    "_",
    "true",
    "in",
    "use",
    "stack_sizes",
    "feeds",
    "feed_buffer",
    "blocking_ok",
    "flux",
    "std",
    "thread",
    "sleep",
    "fs",
    "read",
    "net",
    "Config",
    "new",
    "run",
    "init",
    "let",
    "match",
    "if",
    "loop",
    "move",
    "return",
    "as",
    "else",
    "println",
    "mod",
];

const STRINGS: &[&str] = &[
    "auto",
    "none",
    "io_uring",
    "epol",
    "block",
    "spin",
    "spin 50us",
    "spin ",
    "spin 9999999999999999999s",
    "5s",
    "5",
    "",
    " ",
    "s",
    "small",
    "tiny",
    "\u{0}",
    "spin µs",
    "5µs",
    "64KiB",
    "99999999999999999999GiB",
    "1KiB",
    "C",
];

const PUNCTUATION: &[u8] = b"=,:;<>&'#!-+.|?*/%^@$~";

fn soup(random: &mut Random, depth: usize) -> TokenStream {
    let length = random.below(12);
    (0..length).map(|_| token(random, depth)).collect()
}

fn token(random: &mut Random, depth: usize) -> TokenTree {
    match random.below(if depth == 0 { 8 } else { 11 }) {
        0..=2 => Ident::new(random.one_of(WORDS), Span::call_site()).into(),
        3 | 4 => {
            let char = char::from(PUNCTUATION[random.below(PUNCTUATION.len())]);
            let spacing = if random.below(2) == 0 {
                Spacing::Alone
            } else {
                Spacing::Joint
            };
            Punct::new(char, spacing).into()
        }
        5 => Literal::string(random.one_of(STRINGS)).into(),
        6 => Literal::u64_unsuffixed(random.next() >> random.below(64)).into(),
        7 => match random.below(5) {
            0 => Literal::f64_unsuffixed(3.5).into(),
            1 => Literal::u8_suffixed(3).into(),
            2 => Literal::byte_string(b"auto").into(),
            3 => Literal::c_string(c"auto").into(),
            _ => Literal::character('a').into(),
        },
        _ => {
            let delimiter = match random.below(4) {
                0 => Delimiter::Parenthesis,
                1 => Delimiter::Brace,
                2 => Delimiter::Bracket,
                _ => Delimiter::None,
            };
            Group::new(delimiter, soup(random, depth - 1)).into()
        }
    }
}

/// Something that begins like a list of keys.
fn keys(random: &mut Random) -> TokenStream {
    let mut tokens = TokenStream::new();
    for _ in 0..random.below(4) {
        tokens.extend([TokenTree::from(Ident::new(
            random.one_of(WORDS),
            Span::call_site(),
        ))]);
        tokens.extend([TokenTree::from(Punct::new('=', Spacing::Alone))]);
        tokens.extend([token(random, 2)]);
        tokens.extend([TokenTree::from(Punct::new(',', Spacing::Alone))]);
    }
    tokens
}

/// Something that begins like a function, with soup in the places that vary.
fn item(random: &mut Random) -> TokenStream {
    let front: TokenStream = random
        .one_of(&["", "pub", "async", "const unsafe", "extern \"C\"", "#[a]"])
        .parse()
        .unwrap_or_default();
    let name = Ident::new(random.one_of(&["main", "f", "r"]), Span::call_site());
    let inputs: TokenStream = match random.below(6) {
        0 => soup(random, 2),
        n => [
            "",
            "a: u8",
            "&self",
            "(a, _): (&str, T), mut b: B",
            "x: ...",
        ][n - 1]
            .parse()
            .unwrap_or_default(),
    };
    let generics: TokenStream = random
        .one_of(&["", "<T>", "<'a, T: 'a, const N: usize>", "<", "<>"])
        .parse()
        .unwrap_or_default();
    let result: TokenStream = match random.below(5) {
        0 => soup(random, 2),
        n => ["", "-> u8", "-> impl T<&'a u8>", "-> !"][n - 1]
            .parse()
            .unwrap_or_default(),
    };
    let body = soup(random, 3);
    quote::quote!(#front fn #name #generics (#inputs) #result { #body })
}

/// Something that begins like a body with calls in it.
fn calls(random: &mut Random) -> TokenStream {
    const LINES: &[&str] = &[
        "use std::{thread as t, fs::*, net::{self, TcpStream}};",
        "use a::{self as b}; use {std::io as io};",
        "let (a, mut b) = std::sync::mpsc::channel::<u8>();",
        "b.recv()?;",
        "t::sleep(d);",
        "let c @ Some(_) = std::process::Command::new(x).arg(y) else { return };",
        "for i in net::TcpListener::bind(a)?.incoming() { i.read(b); }",
        "if let Some(x) = y && std::fs::read(z).is_ok() {}",
        "println!(\"{}\", std::fs::read(p), );",
        "flux::init!(); flux::Config::new().run(move |x: u8| loop {});",
        "mod std {} fn t() {} type u = u8;",
        "match std::thread::spawn(f).join() { Ok(std) if std => {} _ => () }",
        "async move { std::thread::park() }; const { 1 };",
    ];
    let mut tokens = TokenStream::new();
    for _ in 0..random.below(6) {
        let line: TokenStream = random.one_of(LINES).parse().unwrap_or_default();
        tokens.extend(line);
        if random.below(4) == 0 {
            tokens.extend(soup(random, 2));
        }
    }
    tokens
}

/// The same tokens with one of them, at whatever depth, lost, doubled, exchanged, or another.
fn spoiled(tokens: TokenStream, random: &mut Random) -> TokenStream {
    let mut tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let at = random.below(tokens.len());
    let Some(chosen) = tokens.get(at).cloned() else {
        return soup(random, 1);
    };
    match (&chosen, random.below(6)) {
        (TokenTree::Group(group), 0..=3) => {
            let inner = spoiled(group.stream(), random);
            tokens[at] = Group::new(group.delimiter(), inner).into();
        }
        (_, 0) => drop(tokens.remove(at)),
        (_, 1) => tokens.insert(at, chosen),
        (_, 2) => {
            let other = random.below(tokens.len());
            tokens.swap(at, other);
        }
        _ => tokens[at] = token(random, 2),
    }
    tokens.into_iter().collect()
}

/// Each attribute of flux in a file, with its arguments, and all that stands behind it.
fn attributes(tokens: TokenStream, found: &mut Vec<(TokenStream, TokenStream)>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    for (at, token) in tokens.iter().enumerate() {
        let TokenTree::Group(group) = token else {
            continue;
        };
        let inside: Vec<TokenTree> = group.stream().into_iter().collect();
        if group.delimiter() == Delimiter::Bracket
            && matches!(inside.first(), Some(TokenTree::Ident(flux)) if flux == "flux")
        {
            let arguments = match inside.last() {
                Some(TokenTree::Group(arguments)) => arguments.stream(),
                _ => TokenStream::new(),
            };
            // To the end of the function that follows.
            let rest = tokens[at + 1..].iter().cloned();
            let mut item = Vec::new();
            for token in rest {
                let body = matches!(&token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace);
                item.push(token);
                if body {
                    break;
                }
            }
            found.push((arguments, item.into_iter().collect()));
        }
        attributes(group.stream(), found);
    }
}

/// What the cases of `ui-tests` give to the macros.
fn cases() -> Vec<(TokenStream, TokenStream)> {
    fn below(folder: &std::path::Path, found: &mut Vec<(TokenStream, TokenStream)>) {
        let entries = std::fs::read_dir(folder).expect("the cases are there");
        let mut paths: Vec<_> = entries
            .map(|entry| entry.expect("a folder lists its files").path())
            .collect();
        paths.sort();
        for path in paths {
            if path.is_dir() {
                below(&path, found);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                let text = std::fs::read_to_string(&path).expect("a case is text");
                attributes(text.parse().unwrap_or_default(), found);
            }
        }
    }
    let mut found = Vec::new();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../ui-tests/cases");
    below(&folder, &mut found);
    found
}

fn expand_all(arguments: &TokenStream, item: &TokenStream) {
    for expanded in [
        main_attribute::run(arguments.clone(), item.clone()),
        fiber_attribute::run(arguments.clone(), item.clone()),
        test_attribute::run(arguments.clone(), item.clone()),
        init_macro::run(arguments.clone()),
    ] {
        // Printing visits every token of the answer.
        let _length = expanded.to_string().len();
    }
}

#[test]
fn no_tokens_make_a_macro_panic() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..6_000 {
        let arguments = if random.below(2) == 0 {
            keys(&mut random)
        } else {
            soup(&mut random, 3)
        };
        let item = if random.below(4) == 0 {
            soup(&mut random, 3)
        } else {
            item(&mut random)
        };
        expand_all(&arguments, &item);
    }
}

#[test]
fn no_case_makes_a_macro_panic_however_it_is_spoiled() {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let cases = cases();
    assert!(cases.len() > 100, "{} cases", cases.len());
    for (arguments, item) in cases {
        for _ in 0..30 {
            let (mut arguments, mut item) = (arguments.clone(), item.clone());
            for _ in 0..=random.below(3) {
                if random.below(2) == 0 {
                    arguments = spoiled(arguments, &mut random);
                } else {
                    item = spoiled(item, &mut random);
                }
            }
            expand_all(&arguments, &item);
        }
    }
}

#[test]
fn no_body_makes_a_macro_panic_and_calls_in_it_are_found() {
    let mut random = Random(3);
    let mut found = 0;
    for _ in 0..2_000 {
        let mut body = calls(&mut random);
        if random.below(2) == 0 {
            body = spoiled(body, &mut random);
        }
        let item = quote::quote!(fn main() { #body });
        let expanded = main_attribute::run(TokenStream::new(), item).to_string();
        found += usize::from(expanded.contains("compile_error"));
    }
    assert!(found > 200, "{found} of 2000");
}

#[test]
fn the_soup_reaches_both_the_good_and_the_faulty_ends() {
    let mut random = Random(1);
    let (mut good, mut faulty) = (0, 0);
    for _ in 0..500 {
        let expanded = fiber_attribute::run(TokenStream::new(), item(&mut random)).to_string();
        if expanded.contains("compile_error") {
            faulty += 1;
        } else {
            good += 1;
        }
    }
    assert!(good > 20 && faulty > 20, "{good} good, {faulty} faulty");
}
