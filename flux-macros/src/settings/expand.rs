//! The code that builds the `Config`. Cannot fail.
//!
//! Constants that the user names become constants here, each with an assertion of its own, so that a bad
//! value is an error at the name, in `cargo check` too.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;

use super::{Core, Engine, Idle, Settings};
use crate::fault::Faults;
use crate::limits::STACK_BYTES;
use crate::root::Root;
use crate::value::Amount;

/// What stands in the generated code for the settings.
pub(crate) struct Generated {
    /// Constants, and what is asserted of them.
    pub(crate) items: TokenStream,
    /// The expression that is the `Config`.
    pub(crate) config: TokenStream,
}

impl Settings {
    /// The code for these settings; `at` is where errors show that have no better place.
    pub(crate) fn expand(&self, at: Span) -> Generated {
        let support = self.root.support(at);
        let mut code = Code {
            root: &self.root,
            at,
            items: TokenStream::new(),
            config: quote_spanned!(at=> #support::Config::new()),
        };
        if let Some(engine) = &self.engine {
            code.engine(engine);
        }
        if let Some(core) = &self.core {
            code.core(core);
        }
        if let Some(idle) = &self.idle {
            code.idle(idle);
        }
        if self.stacks_auto {
            code.call(&quote_spanned!(at=> stacks_auto()));
        }
        for ((class, _), count) in STACK_BYTES.iter().zip(&self.stacks) {
            if let Some(count) = count {
                let assertion = if *class == "large" {
                    "assert_large_stacks"
                } else {
                    "assert_stacks"
                };
                let count = code.number(count, &format!("FLUX_STACKS_{class}"), Some(assertion));
                let class = code.class(class);
                code.call(&quote_spanned!(at=> stacks(#class, #count)));
            }
        }
        code.stack_sizes(&self.stack_sizes);
        for (name, count) in [
            ("fibers", &self.fibers),
            ("feeds", &self.feeds),
            ("feed_buffer", &self.feed_buffer),
            ("timers", &self.timers),
        ] {
            if let Some(count) = count {
                let method = Ident::new(name, at);
                let assertion = format!("assert_{name}");
                let count = code.number(count, &format!("FLUX_{name}"), Some(&assertion));
                code.call(&quote_spanned!(at=> #method(#count)));
            }
        }
        if let Some(grace) = &self.grace_ns {
            let grace = code.duration(grace, "FLUX_GRACE");
            code.call(&quote_spanned!(at=> grace(#grace)));
        }
        let Code { items, config, .. } = code;
        Generated { items, config }
    }
}

struct Code<'a> {
    root: &'a Root,
    at: Span,
    items: TokenStream,
    config: TokenStream,
}

impl Code<'_> {
    /// Adds a call of the builder.
    fn call(&mut self, call: &TokenStream) {
        let at = self.at;
        self.config.extend(quote_spanned!(at=> .#call));
    }

    fn engine(&mut self, engine: &Engine) {
        let at = self.at;
        let support = self.root.support(at);
        let variant = Ident::new(engine.variant, at);
        self.call(&quote_spanned!(at=> engine(#support::EventEngine::#variant)));
        if engine.systems.is_empty() {
            return;
        }
        let mut faults = Faults::default();
        faults.at(
            &engine.place,
            &format!("`{}` is not an engine of this system", engine.name),
            "write \"auto\", which takes the best one that there is",
        );
        let systems = engine.systems;
        self.items
            .extend(quote!(#[cfg(not(any(#(target_os = #systems),*)))] #faults));
    }

    fn core(&mut self, core: &Core) {
        let at = self.at;
        let support = self.root.support(at);
        let core = match core {
            Core::Auto => quote_spanned!(at=> Auto),
            Core::None => quote_spanned!(at=> None),
            Core::Number(number) => {
                let number = self.number(number, "FLUX_CORE", None);
                quote_spanned!(at=> Number(#number))
            }
        };
        self.call(&quote_spanned!(at=> core(#support::Core::#core)));
    }

    fn idle(&mut self, idle: &Idle) {
        let at = self.at;
        let support = self.root.support(at);
        let idle = match idle {
            Idle::Block => quote_spanned!(at=> Block),
            Idle::Spin => quote_spanned!(at=> Spin),
            Idle::SpinThenBlock { nanoseconds } => {
                let duration = self.duration(&Amount::Written(*nanoseconds), "FLUX_IDLE");
                quote_spanned!(at=> SpinThenBlock(#duration))
            }
        };
        self.call(&quote_spanned!(at=> idle(#support::Idle::#idle)));
    }

    fn stack_sizes(&mut self, sizes: &[Option<Amount<usize>>; 3]) {
        let at = self.at;
        let mut last_constant = None;
        let mut all = Vec::new();
        for ((name, default), size) in STACK_BYTES.iter().zip(sizes) {
            let Some(size) = size else {
                all.push(plain(*default, at));
                continue;
            };
            if let Amount::Constant(path) = size {
                last_constant = Some(at_path(path));
            }
            let constant = format!("FLUX_STACK_SIZE_{name}");
            let number = self.number(size, &constant, Some("assert_stack_size"));
            let class = self.class(name);
            self.call(&quote_spanned!(at=> stack_size(#class, #number)));
            all.push(number);
        }
        // Of sizes that were all written out, the check has said it.
        if let Some(at) = last_constant {
            let support = self.root.support(at);
            self.items.extend(quote_spanned! {at=>
                const _: () = #support::assert_stack_sizes_rise([#(#all),*]);
            });
        }
    }

    fn class(&self, name: &str) -> TokenStream {
        let at = self.at;
        let support = self.root.support(at);
        let variant = Ident::new(
            match name {
                "small" => "Small",
                "medium" => "Medium",
                _ => "Large",
            },
            at,
        );
        quote_spanned!(at=> #support::StackClass::#variant)
    }

    /// A number as an expression; of a path, a constant of its own, and the assertion that it passes.
    fn number(
        &mut self,
        number: &Amount<usize>,
        name: &str,
        assertion: Option<&str>,
    ) -> TokenStream {
        match number {
            Amount::Written(number) => plain(*number, self.at),
            Amount::Constant(path) => {
                let (items, name) = constant(self.root, path, name, assertion);
                self.items.extend(items);
                quote!(#name)
            }
        }
    }

    fn duration(&mut self, nanoseconds: &Amount<u64>, name: &str) -> TokenStream {
        let at = self.at;
        match nanoseconds {
            Amount::Written(nanoseconds) => {
                quote_spanned!(at=> ::core::time::Duration::from_nanos(#nanoseconds))
            }
            Amount::Constant(path) => {
                let at = at_path(path);
                let name = Ident::new(name, at);
                self.items
                    .extend(quote_spanned!(at=> const #name: ::core::time::Duration = #path;));
                quote!(#name)
            }
        }
    }
}

/// A constant with the value of `path`, so that one of another type is one error at the path, which names
/// nothing of flux; and what is asserted of it.
pub(crate) fn constant(
    root: &Root,
    path: &TokenStream,
    name: &str,
    assertion: Option<&str>,
) -> (TokenStream, Ident) {
    let at = at_path(path);
    let name = Ident::new(&name.to_uppercase(), at);
    let mut items = quote_spanned!(at=> const #name: usize = #path;);
    if let Some(assertion) = assertion {
        let support = root.support(at);
        let assertion = Ident::new(assertion, at);
        items.extend(quote_spanned!(at=> const _: () = #support::#assertion(#name);));
    }
    (items, name)
}

/// Resolves like generated code, shows at the end of the path: the constant's own name.
fn at_path(path: &TokenStream) -> Span {
    let name = path.clone().into_iter().last();
    let name = name.map_or_else(|| path.span(), |name| name.span());
    Span::mixed_site().located_at(name)
}

fn plain(number: usize, at: Span) -> TokenStream {
    let number = proc_macro2::Literal::usize_unsuffixed(number);
    quote_spanned!(at=> #number)
}
