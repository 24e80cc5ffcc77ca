//! What stands behind a `=`, and what it can be read as: a string, a number, a path to a constant.
//!
//! Knows no key: the caller says what it expects, and words the help.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::Lit;

/// The tokens of a value, not yet read as anything.
pub(crate) struct Value {
    pub(crate) tokens: TokenStream,
}

/// What a value is, as far as its tokens say.
pub(crate) enum Kind {
    String(String),
    Number(usize),
    /// A path, such as `config::CORE`.
    Path,
    /// Anything else, with the words that name it in a message.
    Other(String),
}

impl Value {
    pub(crate) fn new(tokens: impl IntoIterator<Item = TokenTree>) -> Self {
        let mut tokens: Vec<TokenTree> = tokens.into_iter().collect();
        // A `macro_rules!` macro wraps what it passes on in invisible delimiters.
        while let [TokenTree::Group(group)] = tokens.as_slice()
            && group.delimiter() == Delimiter::None
        {
            tokens = group.stream().into_iter().collect();
        }
        Value {
            tokens: tokens.into_iter().collect(),
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        if let Ok(lit) = syn::parse2::<Lit>(self.tokens.clone()) {
            return literal_kind(&lit);
        }
        if syn::parse2::<syn::Path>(self.tokens.clone()).is_ok() {
            return Kind::Path;
        }
        Kind::Other("an expression".into())
    }

    /// What the value is, in words for a message.
    pub(crate) fn described(&self) -> String {
        match self.kind() {
            Kind::String(text) => format!("the string {text:?}"),
            Kind::Number(number) => format!("the number {number}"),
            Kind::Path => format!("`{}`", self.tokens.to_string().replace(' ', "")),
            Kind::Other(words) => words,
        }
    }
}

fn literal_kind(lit: &Lit) -> Kind {
    Kind::Other(match lit {
        Lit::Str(text) => return Kind::String(text.value()),
        Lit::Int(number) if !matches!(number.suffix(), "" | "usize") => {
            format!("a number with the suffix `{}`", number.suffix())
        }
        Lit::Int(number) if number.base10_digits().starts_with('-') => "a negative number".into(),
        Lit::Int(number) => match number.base10_parse() {
            Ok(number) => return Kind::Number(number),
            Err(_) => "a number that does not fit in `usize`".into(),
        },
        Lit::Float(_) => "a number with a fraction".into(),
        Lit::Bool(value) => format!("`{}`", value.value),
        Lit::Char(_) => "a character".into(),
        _ => "a literal that is no string and no number".into(),
    })
}

/// What a key is given: written out, or a path to a constant.
#[derive(Clone)]
pub(crate) enum Amount<T> {
    Written(T),
    Constant(TokenStream),
}

impl<T> Amount<T> {
    pub(crate) fn written(&self) -> Option<&T> {
        match self {
            Amount::Written(amount) => Some(amount),
            Amount::Constant(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(tokens: &str) -> String {
        Value::new(tokens.parse::<TokenStream>().unwrap_or_default()).described()
    }

    #[test]
    fn a_value_is_named_by_what_it_is() {
        assert_eq!(described("\"3\""), "the string \"3\"");
        assert_eq!(described("0x10"), "the number 16");
        assert_eq!(described("3usize"), "the number 3");
        assert_eq!(described("3u8"), "a number with the suffix `u8`");
        assert_eq!(described("3.5"), "a number with a fraction");
        assert_eq!(described("-1"), "a negative number");
        assert_eq!(
            described("99999999999999999999999"),
            "a number that does not fit in `usize`"
        );
        assert_eq!(described("crate::CORE"), "`crate::CORE`");
        assert_eq!(described("true"), "`true`");
        assert_eq!(described("'x'"), "a character");
        assert_eq!(
            described("b\"x\""),
            "a literal that is no string and no number"
        );
        assert_eq!(described("1 + 2"), "an expression");
        assert_eq!(described("{ 3 }"), "an expression");
        assert_eq!(described(""), "an expression");
    }

    #[test]
    fn invisible_delimiters_around_a_value_do_not_hide_it() {
        let inner: TokenStream = "7".parse().unwrap_or_default();
        let once = TokenTree::from(proc_macro2::Group::new(Delimiter::None, inner));
        let twice = TokenTree::from(proc_macro2::Group::new(Delimiter::None, once.into()));
        assert!(matches!(Value::new([twice]).kind(), Kind::Number(7)));
    }
}
