//! A function as an attribute gets it.
//!
//! The signature is parsed; the body is kept as the tokens it came as, so that every span survives,
//! also while an editor holds a body that is not yet complete.
//!
//! Knows nothing of what a fiber or `main` may look like: their `check`s do.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use quote::ToTokens;
use syn::parse::{ParseStream, Parser};
use syn::{Attribute, ReturnType, Signature, Type, Visibility};

/// A free function, or whatever else starts with `fn` and has a body.
pub(crate) struct Function {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) sig: Signature,
    /// The braces and all between them.
    pub(crate) block: Group,
}

/// Why an item is no function: `place` is the token to point at.
pub(crate) struct NotAFunction {
    pub(crate) place: TokenStream,
    pub(crate) message: &'static str,
    pub(crate) help: &'static str,
}

impl Function {
    pub(crate) fn parse(item: TokenStream) -> Result<Self, NotAFunction> {
        // The body is split off first: a parser would copy it token by token.
        let mut front: Vec<TokenTree> = item.into_iter().collect();
        let last = front.pop();
        let body = last.clone().and_then(body);
        if body.is_none() {
            front.extend(last);
        }
        let front: TokenStream = front.into_iter().collect();
        let parse = |input: ParseStream<'_>| {
            let attrs = input.call(Attribute::parse_outer)?;
            let vis = input.parse()?;
            let rest = input.fork();
            let Ok(sig) = input.parse::<Signature>() else {
                return Ok(Err(no_function(rest.parse()?)));
            };
            match body {
                Some(block) if input.is_empty() => Ok(Ok(Function {
                    attrs,
                    vis,
                    sig,
                    block,
                })),
                _ => {
                    let _rest: TokenStream = input.parse()?;
                    Ok(Err(no_body(&sig)))
                }
            }
        };
        parse
            .parse2(front.clone())
            .unwrap_or_else(|_| Err(no_function(front)))
    }

    /// The type of the result, `()` where none is written.
    pub(crate) fn result(&self) -> TokenStream {
        match &self.sig.output {
            ReturnType::Default => quote::quote!(()),
            ReturnType::Type(_, result) => result.to_token_stream(),
        }
    }

    pub(crate) fn result_type(&self) -> Option<&Type> {
        match &self.sig.output {
            ReturnType::Default => None,
            ReturnType::Type(_, result) => Some(result),
        }
    }

    /// The body's `#![..]` attributes, turned into outer ones, and the statements behind them.
    pub(crate) fn statements(&self) -> (Vec<Attribute>, TokenStream) {
        let body = self.block.stream();
        let mut front = body.clone().into_iter();
        let inner = matches!(
            (front.next(), front.next()),
            (Some(TokenTree::Punct(hash)), Some(TokenTree::Punct(bang)))
                if hash.as_char() == '#' && bang.as_char() == '!'
        );
        if !inner {
            return (Vec::new(), body);
        }
        let parse = |input: ParseStream<'_>| {
            let mut attrs = input.call(Attribute::parse_inner)?;
            for attr in &mut attrs {
                attr.style = syn::AttrStyle::Outer;
            }
            Ok((attrs, input.parse()?))
        };
        parse
            .parse2(body.clone())
            .unwrap_or_else(|_| (Vec::new(), body))
    }
}

/// The function as it was written.
impl ToTokens for Function {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        tokens.extend(self.attrs.iter().map(ToTokens::to_token_stream));
        self.vis.to_tokens(tokens);
        self.sig.to_tokens(tokens);
        self.block.to_tokens(tokens);
    }
}

/// The braces, if the token is nothing else.
fn body(token: TokenTree) -> Option<Group> {
    let TokenTree::Group(group) = token else {
        return None;
    };
    match group.delimiter() {
        Delimiter::Brace => Some(group),
        // A `macro_rules!` macro wraps a `$body:block` in invisible delimiters.
        Delimiter::None => {
            let mut tokens = group.stream().into_iter();
            match (tokens.next(), tokens.next()) {
                (Some(token), None) => body(token),
                _ => None,
            }
        }
        Delimiter::Parenthesis | Delimiter::Bracket => None,
    }
}

/// `item` has neither attributes nor visibility in front.
fn no_function(item: TokenStream) -> NotAFunction {
    NotAFunction {
        place: item.into_iter().take(1).collect(),
        message: "this is not a function",
        help: "put the attribute right above a `fn`",
    }
}

fn no_body(sig: &Signature) -> NotAFunction {
    NotAFunction {
        place: sig.to_token_stream(),
        message: "this function has no body",
        help: "put the attribute above a free function with a body",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(item: &str) -> Result<Function, &'static str> {
        Function::parse(item.parse().unwrap_or_default()).map_err(|no| no.message)
    }

    #[test]
    fn a_function_is_kept_as_it_was_written() {
        let item = "# [doc = \"x\"] pub (crate) async fn f < T > (a : T) -> u8 where T : Copy { not valid , rust }";
        let function = parse(item).map(|function| function.to_token_stream().to_string());
        let expected: TokenStream = item.parse().unwrap_or_default();
        assert_eq!(function, Ok(expected.to_string()));
    }

    #[test]
    fn other_items_are_told_from_functions() {
        for item in [
            "struct S;",
            "pub enum E {}",
            "const F: fn() = f;",
            "impl S { fn f() {} }",
            "",
            "#[a]",
            "fn",
        ] {
            assert_eq!(parse(item).err(), Some("this is not a function"), "{item}");
        }
        for item in ["fn f();", "fn f() {} fn g() {}"] {
            assert_eq!(
                parse(item).err(),
                Some("this function has no body"),
                "{item}"
            );
        }
    }

    #[test]
    fn invisible_delimiters_around_the_body_do_not_hide_it() {
        let body: TokenStream = "{ body }".parse().unwrap_or_default();
        let body = TokenTree::from(Group::new(Delimiter::None, body));
        let function = Function::parse(quote::quote!(fn f() #body));
        let block = function.map(|function| function.block.to_string()).ok();
        assert_eq!(block.as_deref(), Some("{ body }"));
        for no_block in ["fn f() (1)", "fn f() [1]"] {
            assert_eq!(parse(no_block).err(), Some("this function has no body"));
        }
    }

    #[test]
    fn inner_attributes_of_the_body_become_outer_ones() {
        let statements =
            parse("fn f() { #![allow(unused)] //! doc\n let x = 1; }").map(|f| f.statements());
        let shown = statements.map(|(attrs, body)| (attrs.len(), body.to_string()));
        assert_eq!(shown, Ok((2, "let x = 1 ;".to_string())));
    }
}
