//! `#[flux::fiber]`: parse, check, expand.

mod arguments;
mod check;
mod expand;
mod lifetimes;

use proc_macro2::TokenStream;
use quote::quote;

use crate::blocking;
use crate::fault::Faults;
use crate::function::Function;

pub(crate) fn run(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut faults = Faults::default();
    let attribute = check::attribute(arguments, &mut faults);
    let expanded = match Function::parse(item.clone()) {
        Err(no_function) => {
            faults.at(&no_function.place, no_function.message, no_function.help);
            item
        }
        Ok(function) => {
            if check::signature(&function, &mut faults) {
                blocking::check(&function, &attribute.root, attribute.leave, &mut faults);
                expand::fiber(&function, &attribute)
            } else {
                expand::stub(&function, &attribute)
            }
        }
    };
    quote!(#faults #expanded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> TokenStream {
        text.parse().unwrap_or_default()
    }

    fn expand(arguments: &str, item: &str) -> String {
        run(tokens(arguments), tokens(item)).to_string()
    }

    /// Compared without white space, which depends on how tokens were joined.
    #[track_caller]
    fn has(expanded: &str, part: &str) {
        let part = tokens(part).to_string();
        assert!(
            squeezed(expanded).contains(&squeezed(&part)),
            "no `{part}` in `{expanded}`"
        );
    }

    fn squeezed(text: &str) -> String {
        text.split_whitespace().collect()
    }

    #[test]
    fn a_call_moves_every_argument_into_a_closure() {
        let expanded = expand(
            "stack = \"small\"",
            "#[doc = \"x\"] pub fn f(a: A, mut b: B, _: C, (d, _): D) -> R { odd body }",
        );
        has(
            &expanded,
            "#[doc = \"x\"] pub fn f(a: A, b: B, _argument_2: C, _argument_3: D) -> ::flux::macro_support::Fiber<",
        );
        has(&expanded, "impl ::core::ops::FnOnce() -> R + 'static");
        has(&expanded, "::flux::macro_support::StackClass::Small, \"f\"");
        has(
            &expanded,
            "let a = a; let mut b = b; let _argument_2 = _argument_2;",
        );
        has(
            &expanded,
            "let _argument_3 = _argument_3; let (d, _) = _argument_3; odd body }",
        );
        has(&expanded, "assert_argument_fits::<A>()");
        has(&expanded, "assert_arguments_fit::<(A, B, C, D,)>(");
        has(&expanded, "assert_result_fits::<R>()");
        assert!(!expanded.contains("compile_error"), "{expanded}");
    }

    #[test]
    fn sizes_that_depend_on_parameters_are_asserted_where_the_parameters_are_known() {
        let expanded = expand("", "fn f<T: Copy, const N: usize>(a: [T; N]) -> u8 {}");
        has(&expanded, "T: Copy + 'static");
        has(
            &expanded,
            "const { ::flux::macro_support::assert_argument_fits::<[T; N]>() }",
        );
        // Nothing need be asserted of a byte.
        assert!(!expanded.contains("assert_result_fits"), "{expanded}");
        has(&expanded, "StackClass::Medium");
    }

    #[test]
    fn a_bound_that_is_there_is_not_added_again() {
        has(
            &expand("", "fn f<T: 'static>(a: T) {}"),
            "fn f<T: 'static>(",
        );
        has(&expand("", "fn f<T>(a: T) {}"), "fn f<T: 'static>(");
    }

    #[test]
    fn nothing_is_asserted_of_what_has_no_size_to_speak_of() {
        let expanded = expand("", "fn f(#[cfg(unix)] a: A) -> ! { loop {} }");
        assert!(!expanded.contains("assert_"), "{expanded}");
        has(&expanded, "fn f(#[cfg(unix)] a: A)");
        has(&expanded, "#[cfg(unix)] let a = a;");
    }

    #[test]
    fn generated_code_names_flux_only_through_macro_support() {
        for item in ["fn f<T>(a: A, b: T) -> R {}", "async fn f() {}"] {
            let expanded = expand("", item);
            assert_eq!(
                expanded.matches("flux ::").count(),
                expanded.matches(":: flux :: macro_support ::").count(),
                "{expanded}"
            );
        }
    }

    #[test]
    fn a_faulty_key_leaves_a_working_fiber() {
        let expanded = expand("stack = \"tiny\"", "fn f() { body }");
        assert_eq!(expanded.matches("compile_error").count(), 1, "{expanded}");
        has(
            &expanded,
            "StackClass::Medium, \"f\", move || -> () { body }",
        );
    }

    #[test]
    fn a_faulty_signature_leaves_a_stub_that_has_its_type() {
        let expanded = expand("", "async fn f(a: &str) -> u8 { body.await }");
        assert_eq!(expanded.matches("compile_error").count(), 2, "{expanded}");
        has(
            &expanded,
            "fn f(_: &str) -> ::flux::macro_support::Fiber<impl ::core::ops::FnOnce() -> u8 + 'static>",
        );
        has(&expanded, "async fn f(a: &str) -> u8 { body.await }");
        has(&expanded, "move || -> u8 { loop {} }");
    }

    #[test]
    fn what_is_not_a_function_is_left_as_it_was() {
        for item in ["struct S ;", "fn f () ;", "enum E { }"] {
            let expanded = expand("", item);
            assert!(
                expanded.starts_with(":: core :: compile_error"),
                "{expanded}"
            );
            assert!(expanded.ends_with(item), "{expanded}");
        }
    }
}
