//! How each argument of a fiber gets from the call into the body.
//!
//! A `move` closure captures only what its body mentions, and of that only the fields it mentions. A
//! guard that the body does not name would be dropped when the fiber is *made*. So the closure first
//! moves each whole argument into a local of its own, and then matches the written pattern against it:
//! everything lives until the body ends, and is dropped in the order that a plain function has.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, format_ident, quote_spanned};
use syn::spanned::Spanned;
use syn::{Attribute, FnArg, Pat, PatType, Type};

use crate::function::Function;

/// One argument, in the forms in which the generated code needs it.
pub(crate) struct Argument<'a> {
    pub(crate) ty: &'a Type,
    /// In the signature: `name: Type`.
    pub(crate) parameter: TokenStream,
    /// In the closure: the `let`s that move it in.
    pub(crate) lets: TokenStream,
    /// Whether the argument is there may depend on the configuration.
    pub(crate) conditional: bool,
}

/// All arguments but a receiver.
pub(crate) fn arguments(function: &Function) -> impl Iterator<Item = Argument<'_>> {
    function
        .sig
        .inputs
        .iter()
        .enumerate()
        .filter_map(|(index, input)| match input {
            FnArg::Typed(input) => Some(argument(index, input)),
            FnArg::Receiver(_) => None,
        })
}

fn argument(index: usize, input: &PatType) -> Argument<'_> {
    let PatType {
        attrs,
        pat,
        colon_token,
        ty,
    } = input;
    let at = Span::mixed_site().located_at(pat.span());
    let (conditions, lints): (Vec<&Attribute>, Vec<&Attribute>) = attrs
        .iter()
        .partition(|attr| attr.path().is_ident("cfg") || attr.path().is_ident("cfg_attr"));
    // A plain name stays the parameter's name, in the documentation too. One that begins with `_` does
    // not, since moving it into the closure would count as using what was said to be unused.
    let (name, lets) = if let Some((name, mutability)) = plain_name(pat) {
        (
            name.clone(),
            quote_spanned!(at=> #(#conditions)* #(#lints)* let #mutability #name = #name;),
        )
    } else {
        let name = format_ident!("_argument_{index}", span = at);
        let whole = quote_spanned!(at=> #(#conditions)* let #name = #name;);
        // `let _ = ..` would be the same as nothing, and a lint where it is a guard.
        let parts = match &**pat {
            Pat::Wild(_) => TokenStream::new(),
            // Clippy has no eye for destructors, and finds `let _guard = ..` without effect.
            Pat::Ident(_) => {
                quote_spanned!(at=> #(#conditions)* #(#lints)* let (#pat,) = (#name,);)
            }
            pat => quote_spanned!(at=> #(#conditions)* #(#lints)* let #pat = #name;),
        };
        (name, quote_spanned!(at=> #whole #parts))
    };
    Argument {
        ty,
        parameter: quote_spanned!(at=> #(#conditions)* #name #colon_token #ty),
        lets,
        conditional: !conditions.is_empty(),
    }
}

/// The name and its `mut`, if the pattern is no more than that.
fn plain_name(pat: &Pat) -> Option<(&syn::Ident, TokenStream)> {
    match pat {
        Pat::Ident(pat)
            if pat.by_ref.is_none()
                && pat.subpat.is_none()
                && !pat.ident.to_string().starts_with('_') =>
        {
            Some((&pat.ident, pat.mutability.to_token_stream()))
        }
        _ => None,
    }
}
