//! The code behind `#[flux::fiber]`. Cannot fail.

use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{
    FnArg, GenericParam, Generics, Lifetime, PredicateType, Token, Type, TypeParamBound,
    WherePredicate,
};

use super::arguments::{Argument, arguments};
use super::check::{Class, first_impl};
use super::lifetimes::{borrows, without_borrows};
use crate::function::Function;

/// A function that makes the fiber.
///
/// The body goes into a closure, not into a nested function: `Self`, outer type parameters, `?` and
/// `return` mean in it what they meant before. Its statements are spliced, since a block in a closure
/// would be a warning about braces.
pub(crate) fn fiber(function: &Function, class: Class) -> TokenStream {
    let Function {
        attrs,
        vis,
        sig,
        block,
    } = function;
    let (name, fn_token) = (&sig.ident, &sig.fn_token);
    let at = generated_at(name.span());
    let arguments: Vec<Argument<'_>> = arguments(function).collect();
    let parameters = arguments.iter().map(|argument| &argument.parameter);
    let lets = arguments.iter().map(|argument| &argument.lets);
    let (inner_attrs, statements) = function.statements();
    // Braces at the user's braces, so that the spans of the items around them are the user's.
    let braced = |tokens| {
        let mut body = Group::new(Delimiter::Brace, tokens);
        body.set_span(block.span());
        body
    };
    let closure_body = braced(quote!(#(#lets)* #statements));
    let generics = outliving_everything(&sig.generics);
    let where_clause = &generics.where_clause;
    let result = stable_result(function);
    let fiber = fiber_type(&result, at);
    let asserts = size_asserts(function, &arguments);
    let new = new_fiber(
        function,
        class,
        &quote_spanned!(at=> move || -> #result #closure_body),
    );
    let body = braced(quote!(#asserts #new));
    quote! {
        #(#attrs)*
        #(#inner_attrs)*
        #vis #fn_token #name #generics (#(#parameters),*) -> #fiber #where_clause #body
    }
}

/// A function of the type that the fiber would have had, which runs nothing.
///
/// The written function is kept inside it, so that nothing in it counts as unused, and an editor still
/// knows its names.
pub(crate) fn stub(function: &Function, class: Class) -> TokenStream {
    let Function {
        attrs,
        vis,
        sig,
        block,
    } = function;
    let name = &sig.ident;
    let at = generated_at(name.span());
    let parameters = sig.inputs.iter().map(|input| match input {
        FnArg::Receiver(receiver) => receiver.to_token_stream(),
        FnArg::Typed(input) => {
            let (attrs, ty) = (&input.attrs, &input.ty);
            quote!(#(#attrs)* _: #ty)
        }
    });
    let generics = outliving_everything(&sig.generics);
    let where_clause = &generics.where_clause;
    let written = stable_result(function);
    let result = if first_impl(written.clone()).is_some() {
        quote!(())
    } else if function
        .result_type()
        .is_some_and(|ty| !borrows(ty).is_empty())
    {
        without_borrows(written)
    } else {
        written
    };
    let fiber = fiber_type(&result, at);
    let new = new_fiber(
        function,
        class,
        &quote_spanned!(at=> move || -> #result { loop {} }),
    );
    let mut kept = sig.clone();
    // A body that was meant to run at run time may call what a `const fn` may not.
    kept.constness = None;
    let names_impl = mentions(&quote!(#kept #block), &["Self".to_string()]);
    let kept = if names_impl || sig.receiver().is_some() || sig.variadic.is_some() {
        TokenStream::new()
    } else {
        quote!(#[allow(dead_code, reason = "the attribute above has an error")] #kept #block)
    };
    quote! {
        #(#attrs)*
        #vis fn #name #generics (#(#parameters),*) -> #fiber #where_clause {
            #kept
            #new
        }
    }
}

/// Resolves like generated code, shows at the user's token.
fn generated_at(span: Span) -> Span {
    Span::mixed_site().located_at(span)
}

/// The result's type. `!` cannot be named in a bound on stable Rust, and `Infallible` says the same.
fn stable_result(function: &Function) -> TokenStream {
    match function.result_type() {
        Some(Type::Never(never)) => {
            quote_spanned!(generated_at(never.span())=> ::core::convert::Infallible)
        }
        _ => function.result(),
    }
}

fn fiber_type(result: &TokenStream, at: Span) -> TokenStream {
    quote_spanned! {at=>
        ::flux::macro_support::Fiber<impl ::core::ops::FnOnce() -> #result + 'static>
    }
}

fn new_fiber(function: &Function, class: Class, closure: &TokenStream) -> TokenStream {
    let at = generated_at(function.sig.ident.span());
    let class = match class {
        Class::Small => quote_spanned!(at=> Small),
        Class::Medium => quote_spanned!(at=> Medium),
        Class::Large => quote_spanned!(at=> Large),
    };
    let name = fiber_name(function);
    quote_spanned! {at=>
        ::flux::macro_support::Fiber::new(::flux::macro_support::StackClass::#class, #name, #closure)
    }
}

fn fiber_name(function: &Function) -> String {
    function.sig.ident.unraw().to_string()
}

/// Adds `'static` to every type parameter, since a fiber may outlive its caller.
///
/// Each bound goes where the parameter has its others, since lints ask for one place.
fn outliving_everything(generics: &Generics) -> Generics {
    let mut generics = generics.clone();
    for param in &mut generics.params {
        let GenericParam::Type(param) = param else {
            continue;
        };
        let at = generated_at(param.ident.span());
        let outlives = TypeParamBound::Lifetime(Lifetime::new("'static", at));
        let predicates = generics
            .where_clause
            .iter_mut()
            .flat_map(|clause| &mut clause.predicates);
        let in_where = predicates
            .into_iter()
            .find_map(|predicate| match predicate {
                WherePredicate::Type(PredicateType {
                    bounded_ty: Type::Path(ty),
                    bounds,
                    ..
                }) if ty.path.is_ident(&param.ident) => Some(bounds),
                _ => None,
            });
        let bounds = match in_where {
            Some(bounds) if param.bounds.is_empty() => bounds,
            _ => {
                param.colon_token.get_or_insert(Token![:](at));
                &mut param.bounds
            }
        };
        if !bounds.iter().any(is_static) {
            bounds.push(outlives);
        }
    }
    generics
}

fn is_static(bound: &TypeParamBound) -> bool {
    matches!(bound, TypeParamBound::Lifetime(lifetime) if lifetime.ident == "static")
}

/// Refuses at compile time what the control block has no room for.
///
/// A constant item is evaluated by `cargo check` too, but cannot name type parameters or `Self`; where
/// the types do, an inline constant is evaluated once the parameters are known, in `cargo build`.
fn size_asserts(function: &Function, arguments: &[Argument<'_>]) -> TokenStream {
    let mut parameters = vec!["Self".to_string()];
    for param in &function.sig.generics.params {
        match param {
            GenericParam::Type(param) => parameters.push(param.ident.to_string()),
            GenericParam::Const(param) => parameters.push(param.ident.to_string()),
            GenericParam::Lifetime(_) => {}
        }
    }
    let mut asserts = TokenStream::new();
    let mut assert = |at: Span, which: &str, types: TokenStream| {
        let which = syn::Ident::new(which, at);
        let call = quote_spanned!(at=> ::flux::macro_support::#which::<#types>());
        asserts.extend(if mentions(&types, &parameters) {
            quote_spanned!(at=> const { #call })
        } else {
            quote_spanned!(at=> const _: () = #call;)
        });
    };
    // What the configuration may remove cannot stand in a tuple type.
    if !arguments.is_empty() && !arguments.iter().any(|argument| argument.conditional) {
        let types = arguments.iter().map(|argument| argument.ty);
        let at = generated_at(function.sig.paren_token.span.join());
        assert(at, "assert_arguments_fit", quote!((#(#types,)*)));
    }
    match function.result_type() {
        None | Some(Type::Never(_)) => {}
        Some(result) => {
            assert(
                generated_at(result.span()),
                "assert_result_fits",
                result.to_token_stream(),
            );
        }
    }
    asserts
}

/// Whether one of `names` stands in `tokens`, at whatever depth.
fn mentions(tokens: &TokenStream, names: &[String]) -> bool {
    tokens.clone().into_iter().any(|token| match token {
        TokenTree::Ident(ident) => names.iter().any(|name| ident == name),
        TokenTree::Group(group) => mentions(&group.stream(), names),
        _ => false,
    })
}
