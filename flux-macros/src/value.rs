//! What stands behind a `=`, and what it can be read as: a string, a count, a duration.
//!
//! Knows no key: the caller says what it expects, and words the help.

use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote_spanned};
use syn::Lit;
use syn::spanned::Spanned;

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
        Lit::ByteStr(_) | Lit::CStr(_) | Lit::Byte(_) => "a byte string".into(),
        _ => "a literal".into(),
    })
}

/// A number of things: written out, or a path to a constant.
#[derive(Clone)]
pub(crate) enum Count {
    Number(usize, Span),
    Path(TokenStream),
}

impl Count {
    /// The count that `value` is, if it is one.
    pub(crate) fn of(value: &Value) -> Option<Self> {
        match value.kind() {
            Kind::Number(number) => Some(Count::Number(number, value.tokens.span())),
            Kind::Path => Some(Count::Path(value.tokens.clone())),
            Kind::String(_) | Kind::Other(_) => None,
        }
    }

    /// Whether it is certainly 0.
    pub(crate) fn is_zero(&self) -> bool {
        matches!(self, Count::Number(0, _))
    }
}

impl ToTokens for Count {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        match self {
            Count::Number(number, span) => {
                let number = proc_macro2::Literal::usize_unsuffixed(*number);
                tokens.extend(quote_spanned!(*span=> #number));
            }
            // A constant of another type is then an error at the path, and names nothing of flux.
            Count::Path(path) => {
                let at = Span::mixed_site().located_at(path.span());
                tokens.extend(quote_spanned!(at=> { let number: usize = #path; number }));
            }
        }
    }
}

/// Reads `50us` as nanoseconds; the error says what is wrong with it, and what to write.
pub(crate) fn nanoseconds(text: &str) -> Result<u64, (String, &'static str)> {
    const HELP: &str = "a duration is a whole number and a unit: ns, us, ms, or s";
    let digits_end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(digits_end);
    let scale: u64 = match unit {
        _ if digits.is_empty() => return Err((format!("`{text}` is not a duration"), HELP)),
        "ns" => 1,
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "" => return Err((format!("the duration `{text}` has no unit"), HELP)),
        _ if unit.starts_with(['.', ',', '_']) => {
            return Err((format!("the duration `{text}` is not a whole number"), HELP));
        }
        _ => return Err((format!("`{unit}` is not a unit of time"), HELP)),
    };
    let number: Option<u64> = digits.parse().ok();
    number
        .and_then(|number| number.checked_mul(scale))
        .ok_or_else(|| {
            let message = format!("the duration `{text}` does not fit in 64 bits of nanoseconds");
            (message, "the longest is about 584 years")
        })
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
        assert_eq!(described("b\"x\""), "a byte string");
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

    #[test]
    fn durations_are_whole_numbers_with_a_unit() {
        assert_eq!(nanoseconds("50us"), Ok(50_000));
        assert_eq!(nanoseconds("0s"), Ok(0));
        assert_eq!(nanoseconds("5s"), Ok(5_000_000_000));
        for (text, fault) in [
            ("", "`` is not a duration"),
            ("us", "`us` is not a duration"),
            ("-5s", "`-5s` is not a duration"),
            ("50", "the duration `50` has no unit"),
            ("1.5s", "the duration `1.5s` is not a whole number"),
            ("5 s", "` s` is not a unit of time"),
            ("5m", "`m` is not a unit of time"),
            (
                "99999999999s",
                "the duration `99999999999s` does not fit in 64 bits of nanoseconds",
            ),
            (
                "99999999999999999999999s",
                "the duration `99999999999999999999999s` does not fit in 64 bits of nanoseconds",
            ),
        ] {
            let message = nanoseconds(text).map_err(|(message, _)| message);
            assert_eq!(message, Err(fault.to_string()), "{text}");
        }
    }
}
