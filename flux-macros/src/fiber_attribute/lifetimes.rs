//! Where a type borrows, as far as a macro can see it.
//!
//! A fiber may outlive its caller, so nothing it takes or gives may borrow. A reference inside the
//! signature of a function pointer or an `Fn` trait (`Box<dyn Fn(&str)>`) borrows nothing yet. A
//! lifetime that is not written at all (`Chars`) is left to rustc.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, quote_spanned};
use syn::{GenericArgument, Lifetime, Path, PathArguments, Type, TypeParamBound};

/// Finds the `&` and the lifetimes that borrow in `ty`, in reading order.
pub(crate) fn borrows(ty: &Type) -> Vec<Borrow> {
    let mut found = Vec::new();
    in_type(ty, &mut found);
    found
}

/// A place that borrows.
pub(crate) struct Borrow {
    /// The `&`, or the lifetime.
    pub(crate) place: TokenStream,
    /// The name of the lifetime without its apostrophe, `_` where none is written.
    pub(crate) lifetime: String,
}

fn in_type(ty: &Type, found: &mut Vec<Borrow>) {
    match ty {
        Type::Reference(reference) => {
            let lifetime = reference.lifetime.as_ref().map_or("_".into(), name);
            if lifetime != "static" {
                found.push(Borrow {
                    place: reference.and_token.to_token_stream(),
                    lifetime,
                });
            }
            in_type(&reference.elem, found);
        }
        Type::Path(path) => {
            if let Some(qself) = &path.qself {
                in_type(&qself.ty, found);
            }
            in_path(&path.path, found);
        }
        Type::Array(array) => in_type(&array.elem, found),
        Type::Slice(slice) => in_type(&slice.elem, found),
        Type::Ptr(pointer) => in_type(&pointer.elem, found),
        Type::Paren(inner) => in_type(&inner.elem, found),
        Type::Group(inner) => in_type(&inner.elem, found),
        Type::Tuple(tuple) => tuple.elems.iter().for_each(|ty| in_type(ty, found)),
        Type::TraitObject(object) => in_bounds(object.bounds.iter(), found),
        Type::ImplTrait(object) => in_bounds(object.bounds.iter(), found),
        _ => {}
    }
}

fn in_bounds<'a>(bounds: impl Iterator<Item = &'a TypeParamBound>, found: &mut Vec<Borrow>) {
    for bound in bounds {
        match bound {
            // `for<'a> Trait<&'a T>` holds for every lifetime, so it borrows from none.
            TypeParamBound::Trait(bound) if bound.lifetimes.is_none() => {
                in_path(&bound.path, found);
            }
            TypeParamBound::Lifetime(lifetime) => in_lifetime(lifetime, found),
            _ => {}
        }
    }
}

fn in_path(path: &Path, found: &mut Vec<Borrow>) {
    for segment in &path.segments {
        let PathArguments::AngleBracketed(arguments) = &segment.arguments else {
            continue;
        };
        for argument in &arguments.args {
            match argument {
                GenericArgument::Lifetime(lifetime) => in_lifetime(lifetime, found),
                GenericArgument::Type(ty) => in_type(ty, found),
                GenericArgument::AssocType(assoc) => in_type(&assoc.ty, found),
                GenericArgument::Constraint(constraint) => {
                    in_bounds(constraint.bounds.iter(), found);
                }
                _ => {}
            }
        }
    }
}

fn in_lifetime(lifetime: &Lifetime, found: &mut Vec<Borrow>) {
    let name = name(lifetime);
    if name != "static" {
        found.push(Borrow {
            place: lifetime.to_token_stream(),
            lifetime: name,
        });
    }
}

fn name(lifetime: &Lifetime) -> String {
    lifetime.ident.to_string()
}

/// The same type with every lifetime `'static`, for the stub of a function whose result borrows.
pub(crate) fn without_borrows(ty: TokenStream) -> TokenStream {
    let mut tokens = ty.into_iter().peekable();
    let mut out = TokenStream::new();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Punct(punct) if punct.as_char() == '&' => {
                let written =
                    matches!(tokens.peek(), Some(TokenTree::Punct(next)) if next.as_char() == '\'');
                out.extend([TokenTree::Punct(punct)]);
                if !written {
                    out.extend(static_lifetime());
                }
            }
            TokenTree::Punct(punct) if punct.as_char() == '\'' => {
                tokens.next();
                out.extend(static_lifetime());
            }
            TokenTree::Group(group) => {
                let inner = without_borrows(group.stream());
                let mut copy = proc_macro2::Group::new(group.delimiter(), inner);
                copy.set_span(group.span());
                out.extend([TokenTree::Group(copy)]);
            }
            token => out.extend([token]),
        }
    }
    out
}

fn static_lifetime() -> TokenStream {
    quote_spanned!(Span::mixed_site()=> 'static)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lifetimes(ty: &str) -> Vec<String> {
        let ty: Result<Type, _> = syn::parse_str(ty);
        ty.map(|ty| {
            borrows(&ty)
                .into_iter()
                .map(|borrow| borrow.lifetime)
                .collect()
        })
        .unwrap_or_default()
    }

    #[test]
    fn borrows_are_found_wherever_a_type_can_hide_one() {
        assert_eq!(lifetimes("&str"), ["_"]);
        assert_eq!(lifetimes("&'a mut [&u8]"), ["a", "_"]);
        assert_eq!(lifetimes("Vec<(u8, Option<&'x T>)>"), ["x"]);
        assert_eq!(lifetimes("Cow<'_, str>"), ["_"]);
        assert_eq!(lifetimes("Box<dyn Read + 'a>"), ["a"]);
        assert_eq!(lifetimes("Box<dyn Iterator<Item = &str>>"), ["_"]);
        assert_eq!(lifetimes("<&T as Trait>::Out"), ["_"]);
        assert_eq!(lifetimes("[*const &u8; 4]"), ["_"]);
    }

    #[test]
    fn what_only_looks_like_a_borrow_is_none() {
        for ty in [
            "&'static str",
            "fn(&str) -> &u8",
            "Box<dyn Fn(&str) -> &str>",
            "Cow<'static, str>",
        ] {
            assert!(lifetimes(ty).is_empty(), "{ty}");
        }
        assert!(lifetimes("Box<dyn for<'a> Visitor<&'a u8>>").is_empty());
    }

    #[test]
    fn a_stub_has_no_lifetime_but_static() {
        let ty: TokenStream = "(&str, &'a mut T, Cow<'_, u8>)".parse().unwrap_or_default();
        let shown: String = without_borrows(ty).to_string().split_whitespace().collect();
        assert_eq!(shown, "(&'staticstr,&'staticmutT,Cow<'static,u8>)");
    }
}
