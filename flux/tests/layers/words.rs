//! Reading Rust word by word, as far as a rule about names needs it.

/// A name, a number, or one sign of punctuation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) line: usize,
    pub(crate) text: String,
}

/// The words of a source, without comments and the contents of literals.
pub(crate) fn words(source: &str) -> Vec<Word> {
    let chars: Vec<char> = source.chars().collect();
    let (mut words, mut at, mut line) = (Vec::new(), 0, 1);
    while at < chars.len() {
        let rest = &chars[at..];
        let is_name = |c: &char| c.is_alphanumeric() || *c == '_';
        let skipped = match rest {
            ['/', '/', ..] => rest.iter().take_while(|c| **c != '\n').count(),
            ['/', '*', ..] => comment(rest),
            // A lifetime has no second mark.
            ['"', ..] | ['\'', '\\', ..] | ['\'', _, '\'', ..] => quoted(rest),
            ['r', ..] | ['b' | 'c', 'r', ..] => raw_string(rest),
            _ => 0,
        };
        let len = match skipped {
            0 => rest.iter().take_while(|c| is_name(c)).count().max(1),
            len => len,
        };
        let text: String = rest[..len].iter().collect();
        if skipped == 0 && !text.trim().is_empty() {
            words.push(Word { line, text });
        }
        line += rest[..len].iter().filter(|c| **c == '\n').count();
        at += len;
    }
    words
}

/// The length of a comment of the kind that nests.
fn comment(text: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        match text[at..] {
            ['/', '*', ..] => depth += 1,
            ['*', '/', ..] => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            break;
        }
    }
    at
}

/// The length of a text or a character, marks included.
fn quoted(text: &[char]) -> usize {
    let mut at = 1;
    while at < text.len() && text[at] != text[0] {
        at += if text[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// The length of a raw string, or 0 when it is none.
fn raw_string(text: &[char]) -> usize {
    let letters = text.iter().take_while(|c| c.is_alphabetic()).count();
    let hashes = text[letters..].iter().take_while(|c| **c == '#').count();
    let open = letters + hashes;
    if letters > 2 || text.get(open) != Some(&'"') {
        return 0;
    }
    let end = |at: usize| {
        text[at] == '"'
            && text[at + 1..]
                .iter()
                .take(hashes)
                .filter(|c| **c == '#')
                .count()
                == hashes
    };
    let close = (open + 1..text.len()).find(|at| end(*at));
    close.map_or(text.len(), |at| at + 1 + hashes)
}

/// The length of an attribute at the start of `words`, `#[..]` or `#![..]`; 0 if there is none.
pub(crate) fn attribute(words: &[Word]) -> usize {
    let text = |at: usize| words.get(at).map(|word| word.text.as_str());
    let open = match (text(0), text(1), text(2)) {
        (Some("#"), Some("["), _) => 1,
        (Some("#"), Some("!"), Some("[")) => 2,
        _ => return 0,
    };
    open + group(&words[open..])
}

/// The length of a group in brackets of any kind, both brackets included.
pub(crate) fn group(words: &[Word]) -> usize {
    let mut depth = 0;
    for (at, word) in words.iter().enumerate() {
        match word.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    words.len()
}

/// Takes out what is compiled for tests alone, and says how many lines that were.
pub(crate) fn without_tests(words: &[Word]) -> (Vec<Word>, usize) {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let (mut kept, mut lines, mut at) = (Vec::new(), 0, 0);
    while at < words.len() {
        let rest = &words[at..];
        let marked = rest.len() > MARK.len() && MARK.iter().zip(rest).all(|(m, w)| *m == w.text);
        if !marked {
            kept.push(rest[0].clone());
            at += 1;
            continue;
        }
        let mut len = MARK.len();
        while attribute(&rest[len..]) > 0 {
            len += attribute(&rest[len..]);
        }
        // An item or a statement ends with its block or its mark; a field, with its comma.
        while let Some(word) = rest.get(len) {
            match word.text.as_str() {
                "(" | "[" => len += group(&rest[len..]),
                "{" => {
                    len += group(&rest[len..]);
                    break;
                }
                ";" | "," => {
                    len += 1;
                    break;
                }
                "}" => break,
                _ => len += 1,
            }
        }
        lines += rest[len - 1].line - rest[0].line + 1;
        at += len;
    }
    (kept, lines)
}
