//! Random tokens for the macros: whatever they are given, they must not panic.
//!
//! The soup is made of the words that the macros look for, so that it gets past the first checks often
//! enough; every round is the same in every run.

use proc_macro2::{Delimiter, Group, Ident, Literal, Punct, Spacing, Span, TokenStream, TokenTree};

use crate::{fiber_attribute, init_macro, main_attribute};

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
    "engine", "core", "idle", "stacks", "small", "medium", "large", "fibers", "grace", "stack",
    "max", "stall", "main", "fn", "async", "const", "unsafe", "extern", "pub", "crate", "self",
    "Self", "impl", "dyn", "where", "for", "static", "struct", "mut", "ref", "T", "u8", "x", "_",
    "true", "in", "use",
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
        for expanded in [
            main_attribute::run(arguments.clone(), item.clone()),
            fiber_attribute::run(arguments.clone(), item),
            init_macro::run(arguments),
        ] {
            // Printing visits every token of the answer.
            let _length = expanded.to_string().len();
        }
    }
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
