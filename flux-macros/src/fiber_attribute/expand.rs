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
use super::check::{Attribute, Class, first_impl};
use super::lifetimes::{borrows, without_borrows};
use crate::function::Function;
use crate::root::Root;
use crate::settings::expand::constant;
use crate::value::Amount;

/// A function that makes the fiber.
///
/// The body goes into a closure, not into a nested function: `Self`, outer type parameters, `?` and
/// `return` mean in it what they meant before. Its statements are spliced, since a block in a closure
/// would be a warning about braces.
pub(crate) fn fiber(function: &Function, attribute: &Attribute) -> TokenStream {
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
    let fiber = fiber_type(&result, &attribute.root, at);
    let asserts = size_asserts(function, &arguments, &attribute.root);
    let record = record(function, attribute, &asserts.here);
    let asserts = asserts.instantiated;
    let new = new_fiber(
        function,
        attribute,
        true,
        &quote_spanned!(at=> move || -> #result #closure_body),
    );
    let body = braced(quote!(#asserts #record #new));
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
pub(crate) fn stub(function: &Function, attribute: &Attribute) -> TokenStream {
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
    let fiber = fiber_type(&result, &attribute.root, at);
    let new = new_fiber(
        function,
        attribute,
        false,
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

fn fiber_type(result: &TokenStream, root: &Root, at: Span) -> TokenStream {
    let support = root.support(at);
    quote_spanned! {at=>
        #support::Fiber<impl ::core::ops::FnOnce() -> #result + 'static>
    }
}

/// The expression that makes the fiber; `registered` if the function has a record to point to.
fn new_fiber(
    function: &Function,
    attribute: &Attribute,
    registered: bool,
    closure: &TokenStream,
) -> TokenStream {
    let at = generated_at(function.sig.ident.span());
    let support = attribute.root.support(at);
    // One without a bound is no reason to look at memory.
    if registered && attribute.max.is_some() {
        return quote_spanned!(at=> #support::Fiber::bounded(&FLUX_FIBER, #closure));
    }
    let class = class(attribute, at);
    let name = fiber_name(function);
    quote_spanned!(at=> #support::Fiber::new(#class, #name, #closure))
}

/// What the function says of itself at link time: see `flux::budget`, which reads the section.
fn record(function: &Function, attribute: &Attribute, asserts: &TokenStream) -> TokenStream {
    let at = generated_at(function.sig.ident.span());
    let support = attribute.root.support(at);
    let class = class(attribute, at);
    let name = fiber_name(function);
    let mut items = TokenStream::new();
    let max = match &attribute.max {
        None => quote_spanned!(at=> ::core::option::Option::None),
        Some(max) => {
            let max = match max {
                Amount::Written(max) => {
                    let max = proc_macro2::Literal::usize_unsuffixed(*max);
                    quote_spanned!(at=> #max)
                }
                Amount::Constant(path) => {
                    let (constant, name) =
                        constant(&attribute.root, path, "FLUX_MAX", Some("assert_max"));
                    items = constant;
                    quote!(#name)
                }
            };
            quote_spanned!(at=> ::core::option::Option::Some(#max))
        }
    };
    let mut value = quote_spanned!(at=> #support::FiberFn::new(#name, #class, #max));
    if !asserts.is_empty() {
        value = quote_spanned!(at=> { #asserts #value });
    }
    quote_spanned! {at=>
        #items
        #[used]
        #[cfg_attr(any(target_os = "linux", target_os = "freebsd"), unsafe(link_section = "flux_fibers_1"))]
        #[cfg_attr(target_os = "macos", unsafe(link_section = "__DATA,__flux_fibers_1"))]
        #[cfg_attr(windows, unsafe(link_section = ".flux$1b"))]
        static FLUX_FIBER: #support::FiberFn = #value;
    }
}

fn class(attribute: &Attribute, at: Span) -> TokenStream {
    let support = attribute.root.support(at);
    match attribute.class {
        Class::Small => quote_spanned!(at=> #support::StackClass::Small),
        Class::Medium => quote_spanned!(at=> #support::StackClass::Medium),
        Class::Large => quote_spanned!(at=> #support::StackClass::Large),
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
/// An item's initialiser is evaluated by `cargo check` too, but cannot name type parameters or `Self`; where
/// the types do, an inline constant is evaluated once the parameters are known, in `cargo build`. The item is the
/// function's record, since each constant of its own would cost the compiler more than the calls in it.
fn size_asserts(function: &Function, arguments: &[Argument<'_>], root: &Root) -> Asserts {
    let mut parameters = vec!["Self".to_string()];
    for param in &function.sig.generics.params {
        match param {
            GenericParam::Type(param) => parameters.push(param.ident.to_string()),
            GenericParam::Const(param) => parameters.push(param.ident.to_string()),
            GenericParam::Lifetime(_) => {}
        }
    }
    let (mut here, mut instantiated) = (TokenStream::new(), TokenStream::new());
    let mut assert = |at: Span, which: &str, types: TokenStream| {
        let which = syn::Ident::new(which, at);
        let support = root.support(at);
        let call = quote_spanned!(at=> #support::#which::<#types>());
        if mentions(&types, &parameters) {
            instantiated.extend(quote_spanned!(at=> const { #call }));
        } else {
            here.extend(quote_spanned!(at=> #call;));
        }
    };
    // Whether an argument is there at all is not known where the configuration may remove it.
    let certain: Vec<_> = arguments
        .iter()
        .filter(|argument| !argument.conditional)
        .collect();
    for argument in certain.iter().filter(|argument| !is_small(argument.ty)) {
        let at = generated_at(argument.ty.span());
        assert(at, "assert_argument_fits", argument.ty.to_token_stream());
    }
    let many = certain.len() > SMALL_MAX;
    if certain.len() > 1 && (many || certain.iter().any(|argument| !is_small(argument.ty))) {
        let types = certain.iter().map(|argument| argument.ty);
        let at = generated_at(function.sig.paren_token.span.join());
        assert(at, "assert_arguments_fit", quote!((#(#types,)*)));
    }
    match function.result_type() {
        None | Some(Type::Never(_)) => {}
        Some(result) if is_small(result) => {}
        Some(result) => {
            let at = generated_at(result.span());
            assert(at, "assert_result_fits", result.to_token_stream());
        }
    }
    Asserts { here, instantiated }
}

/// What is asserted of sizes: calls for an item's initialiser, and statements.
struct Asserts {
    here: TokenStream,
    instantiated: TokenStream,
}

/// So many small types fit a control block for certain.
const SMALL_MAX: usize = 8;

/// Whether a type is a primitive one of at most 16 bytes, so that nothing need be asserted of it. One that
/// only has the name of such is caught where the fiber is made.
fn is_small(ty: &Type) -> bool {
    const NAMES: &[&str] = &[
        "bool", "char", "f32", "f64", "i8", "i16", "i32", "i64", "i128", "isize", "u8", "u16",
        "u32", "u64", "u128", "usize",
    ];
    match ty {
        Type::Path(path) => NAMES.iter().any(|name| path.path.is_ident(name)),
        Type::Reference(_) => true,
        Type::Tuple(tuple) => tuple.elems.is_empty(),
        _ => false,
    }
}

/// Whether one of `names` stands in `tokens`, at whatever depth.
fn mentions(tokens: &TokenStream, names: &[String]) -> bool {
    tokens.clone().into_iter().any(|token| match token {
        TokenTree::Ident(ident) => names.iter().any(|name| ident == name),
        TokenTree::Group(group) => mentions(&group.stream(), names),
        _ => false,
    })
}
