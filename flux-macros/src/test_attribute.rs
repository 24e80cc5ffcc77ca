//! `#[flux::test]`: a test whose body is the main fiber of a reactor of its own.
//!
//! It stays a test of std's harness: `#[should_panic]`, `#[ignore]` and the result's type mean what they
//! mean there. What runs one of them at a time is `flux::macro_support::run_test`.

use proc_macro2::{Delimiter, Group, Span, TokenStream};
use quote::{quote, quote_spanned};

use crate::blocking;
use crate::fault::Faults;
use crate::function::Function;
use crate::main_attribute::check;
use crate::main_attribute::expand::stub;
use crate::settings::expand::Generated;
use crate::settings::{self, Core, Settings};

pub(crate) fn run(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut faults = Faults::default();
    let mut settings = Settings::parse(arguments, &settings::FUNCTION, &mut faults);
    // Tests of other processes, and of this one that need no reactor, run at the same time.
    settings.core.get_or_insert(Core::None);
    let expanded = match Function::parse(item.clone()) {
        Err(no_function) => {
            faults.at(&no_function.place, no_function.message, no_function.help);
            item
        }
        Ok(function) => {
            no_second_test(&function, &mut faults);
            let arguments = "make what it needs in its body, or write one test for each value";
            if check::plain(&function, "a test", arguments, &mut faults) {
                blocking::check(&function, &settings.root, settings.leave, &mut faults);
                expand(&function, &settings)
            } else {
                stub(&function, &quote!(#[::core::prelude::v1::test]))
            }
        }
    };
    quote!(#faults #expanded)
}

/// With `#[test]` beside it, the body would run twice: once outside of any fiber.
fn no_second_test(function: &Function, faults: &mut Faults) {
    for attr in &function.attrs {
        if attr.path().is_ident("test") {
            faults.at(
                attr,
                "`#[flux::test]` makes this a test already",
                "remove `#[test]`",
            );
        }
    }
}

/// A test of std's harness around the written function.
fn expand(function: &Function, settings: &Settings) -> TokenStream {
    let Function {
        attrs,
        vis,
        sig,
        block,
    } = function;
    let (name, output, fn_token) = (&sig.ident, &sig.output, &sig.fn_token);
    // A second one would be the fault that was found.
    let attrs = attrs.iter().filter(|attr| !attr.path().is_ident("test"));
    let at = Span::mixed_site().located_at(name.span());
    let Generated { items, config } = settings.expand(at);
    let support = settings.root.support(at);
    let run = quote_spanned!(at=> #support::run_test(#config, #name));
    let mut body = Group::new(Delimiter::Brace, quote!(#items #sig #block #run));
    body.set_span(block.span());
    quote! {
        #(#attrs)*
        #[::core::prelude::v1::test]
        #vis #fn_token #name() #output #body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(arguments: &str, item: &str) -> String {
        run(
            arguments.parse().unwrap_or_default(),
            item.parse().unwrap_or_default(),
        )
        .to_string()
    }

    #[test]
    fn a_test_keeps_its_attributes_its_result_and_its_body() {
        let expanded = expand(
            "fibers = 4",
            "#[ignore] #[should_panic] fn t() -> u8 { odd body }",
        );
        assert!(
            expanded.contains(
                "# [ignore] # [should_panic] # [:: core :: prelude :: v1 :: test] fn t () -> u8 {"
            ),
            "{expanded}"
        );
        assert!(
            expanded.contains("fn t () -> u8 { odd body }"),
            "{expanded}"
        );
        assert!(expanded.contains("fibers (4)"), "{expanded}");
        assert!(!expanded.contains("compile_error"), "{expanded}");
    }

    #[test]
    fn a_test_is_not_pinned_unless_it_asks_for_a_core() {
        assert!(expand("", "fn t() {}").contains("Core :: None"));
        assert!(expand("core = 1", "fn t() {}").contains("Core :: Number (1)"));
    }

    #[test]
    fn each_fault_of_a_test_is_found() {
        let expanded = expand("", "#[test] async fn t(a: u8) {}");
        assert_eq!(expanded.matches("compile_error").count(), 3, "{expanded}");
        assert!(expanded.contains("prelude :: v1 :: test"), "{expanded}");
    }
}
