//! The code behind `#[flux::main]`, and the mark that keeps a program to one reactor.

use proc_macro2::{Delimiter, Group, Span, TokenStream};
use quote::{quote, quote_spanned};

use crate::function::Function;
use crate::settings::Settings;
use crate::settings::expand::Generated;

/// A program's `main`: the written one, nested in one that starts the reactor.
pub(crate) fn main(function: &Function, settings: &Settings) -> TokenStream {
    let Function {
        attrs,
        vis,
        sig,
        block,
    } = function;
    let name = &sig.ident;
    // Resolves like generated code, shows at the user's token.
    let at_name = Span::mixed_site().located_at(name.span());
    let at_result = match function.result_type() {
        Some(result) => Span::mixed_site().located_at(syn::spanned::Spanned::span(result)),
        None => at_name,
    };
    let fn_token = &sig.fn_token;
    let Mark {
        in_crate,
        in_program,
    } = Mark::new(at_name);
    let Generated { items, config } = settings.expand(at_name);
    let support = settings.root.support(at_name);
    // A result that is no `Termination` shows at the result's type.
    let written = quote_spanned!(at_result=> main);
    let at_result_support = settings.root.support(at_result);
    let run_main = quote_spanned!(at_result=> #at_result_support::run_main);
    let in_root = quote_spanned! {at_name=>
        const _: () = #support::assert_crate_root(::core::module_path!());
    };
    let exit_code = quote_spanned!(at_name=> ::std::process::ExitCode);
    let mut body = Group::new(
        Delimiter::Brace,
        quote! {
            #in_program
            #in_root
            #items
            #sig #block
            #run_main(#config, #written)
        },
    );
    body.set_span(block.span());
    quote! {
        #in_crate
        #(#attrs)*
        #vis #fn_token #name() -> #exit_code #body
    }
}

/// A plain `main` that holds the faulty one, so that nothing in it counts as unused.
/// `above` is what the stub needs above it.
pub(crate) fn stub(function: &Function, above: &TokenStream) -> TokenStream {
    let Function {
        attrs,
        vis,
        sig,
        block,
    } = function;
    let name = &sig.ident;
    let mut nested = sig.clone();
    nested.constness = None;
    // A receiver is no argument of a nested function.
    let nested = if sig.receiver().is_some() {
        quote!()
    } else {
        quote!(#nested #block)
    };
    quote! {
        #(#attrs)*
        #above
        #[allow(dead_code, reason = "the attribute above has an error")]
        #vis fn #name() { #nested }
    }
}

/// Two items that no program can hold twice, wherever in it they stand.
///
/// Both names are the sentence that their error says. The symbol has no spaces, since a linker script
/// cannot quote them.
pub(crate) struct Mark {
    /// An exported macro, which lies in the root of its crate whatever module or block it is written in.
    /// A second one in the same crate is a duplicate name, which `cargo check` and editors see.
    pub(crate) in_crate: TokenStream,
    /// A symbol. A second one in another crate of the program is a duplicate for the linker.
    pub(crate) in_program: TokenStream,
}

impl Mark {
    /// The items; `at` is where their errors show.
    pub(crate) fn new(at: Span) -> Self {
        // Not hygienic: the two marks of one crate must collide.
        let at = Span::call_site().located_at(at);
        let in_crate = quote_spanned! {at=>
            #[doc(hidden)]
            #[macro_export]
            macro_rules! there_can_be_only_one_flux_main_or_init_in_a_program { () => {}; }
        };
        let in_program = quote_spanned! {at=>
            #[unsafe(export_name = "there_can_be_only_one_flux_main_or_init_in_a_program")]
            static ONLY_ONE_FLUX_MAIN_PER_PROGRAM: u8 = 0;
        };
        Mark {
            in_crate,
            in_program,
        }
    }
}
