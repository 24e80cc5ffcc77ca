//! `#[flux::main]`: parse, check, expand.

pub(crate) mod check;
pub(crate) mod expand;

use proc_macro2::TokenStream;
use quote::quote;

use crate::blocking;
use crate::fault::Faults;
use crate::function::Function;
use crate::settings::{self, Settings};

pub(crate) fn run(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut faults = Faults::default();
    let settings = Settings::parse(arguments, &settings::FUNCTION, &mut faults);
    let expanded = match Function::parse(item.clone()) {
        Err(no_function) => {
            faults.at(&no_function.place, no_function.message, check::PLACE);
            item
        }
        Ok(function) => match check::function(&function, &mut faults) {
            check::Verdict::Main => {
                blocking::check(&function, &settings.root, settings.leave, &mut faults);
                expand::main(&function, &settings)
            }
            check::Verdict::FaultyMain => expand::stub(&function, &TokenStream::new()),
            check::Verdict::NotMain => item,
        },
    };
    quote!(#faults #expanded)
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
    fn main_keeps_its_attributes_visibility_and_body() {
        let expanded = expand(
            "core = 2",
            "#[doc = \"x\"] pub fn main() -> u8 { #![allow(unused)] odd body }",
        );
        assert!(
            expanded.contains("# [doc = \"x\"] pub fn main () -> :: std :: process :: ExitCode {"),
            "{expanded}"
        );
        assert!(
            expanded.contains("fn main () -> u8 { #! [allow (unused)] odd body }"),
            "{expanded}"
        );
        assert!(expanded.contains("Core :: Number (2)"), "{expanded}");
        assert!(!expanded.contains("compile_error"), "{expanded}");
    }

    #[test]
    fn generated_code_names_flux_only_through_macro_support() {
        let expanded = expand("engine = \"epoll\", idle = \"spin 1us\"", "fn main() {}");
        assert_eq!(
            expanded.matches("flux ::").count(),
            expanded.matches(":: flux :: macro_support ::").count(),
            "{expanded}"
        );
    }

    #[test]
    fn a_faulty_main_is_kept_inside_a_plain_one() {
        let expanded = expand("", "async fn main() -> u8 { body.await }");
        assert!(expanded.contains("compile_error"), "{expanded}");
        assert!(
            expanded.contains("fn main () { async fn main () -> u8 { body . await } }"),
            "{expanded}"
        );
    }

    #[test]
    fn what_is_not_main_is_left_as_it_was() {
        for item in ["struct S ;", "fn start () { }", "fn main () ;"] {
            let expanded = expand("", item);
            assert!(
                expanded.starts_with(":: core :: compile_error"),
                "{expanded}"
            );
            assert!(expanded.ends_with(item), "{expanded}");
        }
    }

    #[test]
    fn faults_of_the_keys_and_of_the_function_show_together() {
        let expanded = expand(
            "engin = \"epoll\", core = \"x\"",
            "const async unsafe extern \"C\" fn main<T>(a: u8) {}",
        );
        assert_eq!(expanded.matches("compile_error").count(), 8, "{expanded}");
    }
}
