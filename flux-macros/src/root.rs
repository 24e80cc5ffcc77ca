//! Where generated code finds flux: `::flux`, or what the key `crate` names.
//!
//! Knows nothing of what is generated.

use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;
use syn::parse::Parser;

use crate::entries::Entry;
use crate::fault::Faults;
use crate::value::Kind;

/// The path of the crate, as the crate that is compiled names it.
#[derive(Default)]
pub(crate) struct Root(Option<syn::Path>);

impl Root {
    /// What `crate = path` says; `::flux` where it is faulty.
    pub(crate) fn read(entry: &Entry, faults: &mut Faults) -> Self {
        let Some(value) = entry.value("crate = my_name_for_flux", faults) else {
            return Root(None);
        };
        let path = syn::Path::parse_mod_style.parse2(value.tokens.clone());
        if path.is_err() {
            let help = match value.kind() {
                Kind::String(text) => format!("write `crate = {text}`, without quotes"),
                _ => "write the name under which this crate knows flux: `crate = my_name_for_flux`"
                    .into(),
            };
            let message = format!("`crate` takes a path, found {}", value.described());
            faults.at(&value.tokens, &message, &help);
        }
        Root(path.ok())
    }

    /// The module that generated code may name; `at` is where an error about it shows.
    pub(crate) fn support(&self, at: Span) -> TokenStream {
        match &self.0 {
            None => quote_spanned!(at=> ::flux::macro_support),
            Some(path) => quote_spanned!(at=> #path::macro_support),
        }
    }

    /// The name by which a body may call flux, if it is a single one.
    pub(crate) fn name(&self) -> Option<String> {
        match &self.0 {
            None => Some("flux".into()),
            Some(path) => path.get_ident().map(ToString::to_string),
        }
    }
}
