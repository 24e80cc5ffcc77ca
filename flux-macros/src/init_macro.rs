//! `flux::init!`: the keys of `#[flux::main]` as an expression that makes the reactor.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};

use crate::fault::Faults;
use crate::main_attribute::expand::Mark;
use crate::settings::expand::Generated;
use crate::settings::{self, Settings};

pub(crate) fn run(arguments: TokenStream) -> TokenStream {
    let mut faults = Faults::default();
    let settings = Settings::parse(arguments, &settings::EXPRESSION, &mut faults);
    let at = Span::mixed_site();
    let Mark {
        in_crate,
        in_program,
    } = Mark::new(at);
    let Generated { items, config } = settings.expand(at);
    let init = quote_spanned!(at=> #config.init());
    quote! {{
        #faults
        // An expression has no other place for it than a block.
        #[allow(non_local_definitions, reason = "it marks the whole crate on purpose")]
        #in_crate
        #in_program
        #items
        #init
    }}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(arguments: &str) -> String {
        run(arguments.parse().unwrap_or_default()).to_string()
    }

    #[test]
    fn it_is_an_expression_that_initialises_a_config() {
        let expanded = expand("fibers = 8");
        assert!(
            expanded
                .ends_with(":: flux :: macro_support :: Config :: new () . fibers (8) . init () }"),
            "{expanded}"
        );
        assert!(expanded.contains("export_name"), "{expanded}");
    }

    #[test]
    fn a_fault_leaves_an_expression_of_the_same_type() {
        let expanded = expand("fiber = 8");
        assert!(expanded.contains("compile_error"), "{expanded}");
        assert!(
            expanded.ends_with("Config :: new () . init () }"),
            "{expanded}"
        );
    }
}
